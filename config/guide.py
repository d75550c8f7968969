"""The page of the first steps, `/start`: what is done, what comes next, and the forms for it right there."""

import functools
import io

import qrcode
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import mark_safe
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe
from qrcode.image.svg import SvgPathImage

from accounts.permissions import may
from alerts.setup import address
from config import checks, first_steps
from core import packages
from core.errors import DomainError
from notifications import push

EVENT = '{"title": "First test: acknowledge me", "severity": "critical", "dedup_key": "first-test"}'


@login_required
@never_cache
@require_safe
def page(request):
    """All steps."""
    return _show(request)


def _show(request, *, error="", error_at="", key="", integration=None, status=200):
    now = timezone.now()
    progress = first_steps.progress(request.user, now=now)
    here = f"{settings.PUBLIC_URL}{reverse('guide')}"
    context = {
        "section": "help",
        "now": now,
        "progress": progress,
        "steps": {step.name: step for step in progress.steps},
        "may_make": first_steps.may_make(request.user, progress.team),
        "may_configure": progress.team is not None and may(request.user, "configure", progress.team),
        "delay_minutes": first_steps.DELAY_MINUTES,
        "error": error,
        "error_at": error_at,
        "typed": request.POST,
        "line": f"curl -X POST {address('generic', key)} -d '{EVENT}'" if key else "",
        "made": integration,
        "here": here,
        "qr": _qr(here),
        "is_local": checks.is_local(),
        "push_key": push.public_key(),
        "missing": packages.missing() if may(request.user, "administer") else [],
    }
    return render(request, "config/guide.html", context, status=status)


@functools.cache
def _qr(text):
    """The text as a QR code: an SVG."""
    out = io.BytesIO()
    qrcode.make(text, image_factory=SvgPathImage, border=1).save(out)
    drawing = out.getvalue().decode().partition("?>")[2].strip()
    return mark_safe(drawing)  # of our own settings: nobody else's text is in it


@login_required
@never_cache
@require_safe
def card(request):
    """How far one is, for the overview: a part of its page. The guide itself says it to who asks without a script."""
    if "X-Fragment" not in request.headers:
        return redirect("guide")
    hidden = request.user.guide_hidden_at is not None
    progress = None if hidden else first_steps.progress(request.user, now=timezone.now())
    return render(request, "config/_guide_card.html", {"progress": progress})


@login_required
@never_cache
@require_POST
def make_team(request):
    """Make the service that calls somebody, and its team."""
    team = first_steps.progress(request.user, now=timezone.now()).team
    if not first_steps.may_make(request.user, team):
        raise PermissionDenied("Only an admin makes teams and services. Ask one to put you into a team.")
    try:
        service = first_steps.make_service(
            request.user,
            team=team,
            team_name=request.POST.get("team", ""),
            service_name=request.POST.get("service", ""),
        )
    except DomainError as error:
        return _show(request, error=error.message, error_at="service", status=400)
    messages.success(request, f"{service} is there, and its policy calls you.")
    return redirect(f"{reverse('guide')}#integration")


@login_required
@never_cache
@require_POST
def make_integration(request):
    """Make an integration for a service, and show its key, once."""
    text = request.POST.get("service", "")
    service_id = int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0
    try:
        made, key = first_steps.make_integration(request.user, service_id)
    except DomainError as error:
        return _show(request, error=error.message, error_at="integration", status=400)
    return _show(request, key=key, integration=made)


@login_required
@never_cache
@require_POST
def send_test(request):
    """Page the person themselves, by an incident that calls nobody else."""
    try:
        opened = first_steps.page_me(request.user, now=timezone.now())
    except DomainError as error:
        return _show(request, error=error.message, error_at="test", status=400)
    messages.success(request, f"Incident #{opened.pk} is open and you are being called. Acknowledge it on your phone.")
    return redirect(f"{reverse('guide')}#test")


@login_required
@never_cache
@require_POST
def hide(request):
    """Put the card of the overview away, or show it again."""
    is_back = request.POST.get("show") == "1"
    request.user.guide_hidden_at = None if is_back else timezone.now()
    request.user.save(update_fields=["guide_hidden_at"])
    if is_back:
        messages.success(request, "The first steps stand on the overview again.")
        return redirect("guide")
    messages.success(request, "The first steps are put away. They stay under Help.")
    return redirect("dashboard")
