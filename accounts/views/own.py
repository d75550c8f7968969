"""A person's own sessions, and what is stored about them. Everything here is about who is signed in."""

import json

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import logout
from django.contrib.auth.decorators import login_required
from django.core.serializers.json import DjangoJSONEncoder
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts import audit, privacy, sessions
from accounts.models import User


@login_required
@never_cache
@require_safe
def sessions_page(request):
    """Where I am signed in."""
    now = timezone.now()
    context = {
        "section": "settings",
        "tab": "sessions",
        "now": now,
        "sessions": sessions.here(request, now=now),
        "days": settings.SESSION_COOKIE_AGE // 86400,
    }
    return render(request, "accounts/sessions.html", context)


@login_required
@never_cache
@require_POST
def end_session(request, pk):
    """End one of my sessions; this one means signing out."""
    this = next((one for one in sessions.listed(request.user, this=request.session.session_key) if one.is_this), None)
    if this is not None and this.pk == pk:
        sessions.end(request.user, pk)
        logout(request)
        return redirect("login")
    if sessions.end(request.user, pk):
        audit.record("session ended", request.user, text="One of their own sessions.")
        messages.success(request, "The session is ended. Whoever has it open is signed out within a minute.")
    else:
        messages.info(request, "This session has ended already.")
    return redirect("sessions")


@login_required
@never_cache
@require_POST
def end_other_sessions(request):
    """End all of my sessions but this one."""
    count = sessions.end_all(request.user, besides=request.session.session_key)
    if count:
        audit.record("session ended", request.user, text=f"{count} of their own, all but this one.")
    ended = (
        "No other session was open." if not count else f"{count} other session{'s are' if count > 1 else ' is'} ended."
    )
    messages.success(request, ended)
    return redirect("sessions")


@login_required
@never_cache
@require_safe
def privacy_page(request):
    """What is stored about me, who sees it, and how it goes."""
    parts = [name.replace("_", " ").capitalize() for name in privacy.parts()]
    context = {"section": "settings", "tab": "privacy", "parts": parts}
    return render(request, "accounts/privacy.html", context)


@login_required
@never_cache
@require_POST
def export(request):
    """All that is stored about me, as a file."""
    return export_answer(request.user, by=request.user)


def export_answer(person, *, by):
    """The export of a person as an answer that is saved as a file. Writes it into the audit."""
    now = timezone.now()
    audit.record("exported", person, by=by, text="All that is stored about the person.")
    text = json.dumps(privacy.export(person, now=now), cls=DjangoJSONEncoder, indent=2, ensure_ascii=False)
    response = HttpResponse(text, content_type="application/json; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="watchbill-{now:%Y-%m-%d}-{person.uuid}.json"'
    return response


@login_required
@never_cache
@require_POST
def theme(request):
    """Choose how the pages look. Answers a script, which has changed the page already, with nothing."""
    wanted = request.POST.get("theme", "")
    is_known = wanted in dict(User._meta.get_field("theme").choices)
    if is_known and wanted != request.user.theme:
        request.user.theme = wanted
        request.user.save(update_fields=["theme"])
    if "text/html" not in request.headers.get("Accept", "text/html"):
        return HttpResponse(status=204 if is_known else 400)
    if not is_known:
        messages.error(request, "Choose how the pages look: as the device, light or dark.")
    back = request.POST.get("next", "")
    is_ours = url_has_allowed_host_and_scheme(back, {request.get_host()}, require_https=request.is_secure())
    return redirect(back if is_ours and back.startswith("/") else "settings")
