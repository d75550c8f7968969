"""How partners come in and go: the form that asks for a link, the link itself, their pages and their sessions.

These pages know nothing of accounts: who is signed in to the product is neither asked nor shown. The cookie of a
partner is sent to addresses below /status only, and only `statuspages.partners` reads it.
"""

from django.conf import settings
from django.middleware.csrf import rotate_token
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from accounts.sessions import device
from core.errors import DomainError
from core.limits import client_address
from statuspages import partners
from statuspages.partner_forms import LinkForm


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def front(request):
    """Who is signed in reads which pages are theirs. Everybody else asks for a link: the answer is always the same."""
    session = partners.session_of(request, now=timezone.now())
    if session is not None and request.method != "POST":
        return _own(request, session)
    form = LinkForm(request.POST if request.method == "POST" else None, initial={"page": request.GET.get("page", "")})
    status, asked = 200, ""
    if form.is_bound and form.is_valid():
        typed = form.cleaned_data
        try:
            asked = partners.send_link(
                typed["email"], page=typed["page"], address=client_address(request), now=timezone.now()
            )
        except DomainError as error:
            form.add_error(None, error.message)
            status = error.status
    elif form.is_bound:
        status = 400
    return _shown(request, "partner_sign_in.html", {"form": form, "asked": asked}, status=status)


def _own(request, session):
    now = timezone.now()
    own = partners.open_sessions(now).filter(partner=session.partner).order_by("-seen_at")
    sessions = [
        {"uuid": one.uuid, "device": device(one.agent), "row": one, "is_this": one.pk == session.pk} for one in own
    ]
    context = {
        "partner": session.partner,
        "pages": partners.pages_of(session.partner),
        "sessions": sorted(sessions, key=lambda one: not one["is_this"]),
        "zone": "UTC",
    }
    return _shown(request, "partner_pages.html", context)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def link(request, token):
    """The link of a mail. Looking at it changes nothing; the button on its page uses it up."""
    now = timezone.now()
    try:
        found = partners.look(token, now)
        if request.method != "POST":
            page = found.page if found.page in partners.pages_of(found.partner) else None
            return _shown(request, "partner_link.html", {"partner": found.partner, "page": page})
        before = partners.session_of(request, now=now)
        session, key = partners.open_session(token, **_from(request), now=now)
    except DomainError as error:
        return _shown(request, "partner_refused.html", {"sentence": error.message}, status=error.status)
    if before is not None:
        partners.end_session(before, **_from(request), now=now)
    rotate_token(request)
    response = redirect(_where_to(session.partner, found.page))
    response.set_cookie(
        partners.COOKIE,
        key,
        max_age=partners.LIFETIME,
        path="/status",
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )
    return response


def _where_to(partner, page):
    """The page that was wanted, or the only one, or the list."""
    pages = list(partners.pages_of(partner))
    if page in pages:
        return f"/status/{page.slug}"
    return f"/status/{pages[0].slug}" if len(pages) == 1 else reverse("statuspages:partner")


@never_cache
@require_POST
def sign_out(request):
    """End this session, and take its cookie away."""
    session = partners.session_of(request, now=timezone.now())
    if session is not None:
        partners.end_session(session, **_from(request), now=timezone.now())
    response = redirect("statuspages:partner")
    response.delete_cookie(partners.COOKIE, path="/status", samesite="Lax")
    return response


@never_cache
@require_POST
def end_session(request, uuid):
    """End another session of the same partner. Whose it is not, it is not there."""
    session = partners.session_of(request, now=timezone.now())
    if session is None:
        return redirect("statuspages:partner")
    if session.uuid == uuid:
        return sign_out(request)
    partners.end_own(session.partner, uuid, **_from(request), now=timezone.now())
    return redirect("statuspages:partner")


def _from(request):
    return {"address": client_address(request), "agent": request.headers.get("User-Agent", "")}


def _shown(request, template, context, *, status=200):
    response = render(request, f"statuspages/{template}", context, status=status)
    response.headers["X-Robots-Tag"] = "noindex"
    return response
