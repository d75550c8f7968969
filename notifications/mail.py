"""Mail programs and mail servers that talk back: “no more of these” (RFC 8058), and mail that could not be delivered.

Only messages about changes can be turned off by one click. A page never carries it: “unsubscribe” in a mail program is
pressed in passing and says nothing about being on call, and nobody would hear that a person cannot be paged any more.
"""

import base64
import datetime
import json

from django.conf import settings
from django.db import transaction
from django.http import HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_POST

from core.errors import DomainError, Gone, NotAllowed
from notifications import bounces, envelope, replays
from notifications.models import ContactMethod, Notification

EVENT_AGE = datetime.timedelta(days=1)  # Mailgun tries for eight hours; replays.py remembers for longer than this


@csrf_exempt  # mail programs post without having seen a page; the address is the credential
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def updates(request, token):
    """Ask (GET, as mail scanners open every link), and turn mails about changes off (POST)."""
    try:
        method = _method_of(envelope.read_updates_token(token))
    except DomainError as error:
        return _page(request, error.status, problem=error.message)
    if request.method == "POST":
        ContactMethod.objects.filter(pk=method.pk).update(wants_updates=False)
    return _page(request, 200, shown=method.shown, is_done=request.method == "POST")


def _method_of(notification_uuid):
    row = Notification.objects.filter(uuid=notification_uuid).select_related("contact_method").first()
    if row and row.destination_id:
        raise Gone("This address belongs to a team. An admin changes what a team is told.")
    if row is None or row.contact_method is None:
        raise Gone("This address is not used here any more, so nothing is sent to it.")
    return row.contact_method


def _page(request, status, **context):
    response = render(request, "notifications/unsubscribe.html", context, status=status)
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["X-Robots-Tag"] = "noindex"
    return response


@csrf_exempt  # the sender is a mail server: BOUNCE_SECRET or a signature proves who it is
@require_POST
def bounce(request):
    """Take a mail that came back: raw, or in Mailgun's event or form. Answers 200 to all that needs no second try."""
    now = timezone.now()
    try:
        with transaction.atomic():  # remembered only if it was noted
            found = _bounce_in(request, now)
            bounces.report(found, now=now)
    except DomainError as error:
        return HttpResponse(f"{error.message}\n", status=error.status, content_type="text/plain; charset=utf-8")
    return JsonResponse({"result": found.state if found else "ignored"})


def _bounce_in(request, now):
    """The bounce in a genuine request, or None. Raises DomainError when it is not genuine."""
    kind = request.content_type
    if kind in ("application/x-www-form-urlencoded", "multipart/form-data"):
        if not _check_signature(request.POST, now):
            return None
        upload = request.FILES.get("body-mime")
        raw = upload.read(bounces.MAIL_BYTES) if upload else request.POST.get("body-mime", "").encode()
        return bounces.read(raw, recipient=request.POST.get("recipient", ""))
    if kind == "application/json":
        try:
            data = json.loads(request.body)
        except (ValueError, RecursionError):
            raise DomainError("The body is not JSON.") from None
        signature = data.get("signature") if isinstance(data, dict) else None
        if not isinstance(signature, dict):
            raise DomainError("The body has no signature. Post events of Mailgun here, or raw mail as message/rfc822.")
        return bounces.read_event(data) if _check_signature(signature, now) else None
    if not _has_secret(request):
        raise NotAllowed("This is not the BOUNCE_SECRET of this installation. Send it as Bearer token or as password.")
    return bounces.read(request.body, recipient=request.GET.get("recipient", ""))


def _check_signature(signature, now):
    """False for what was taken in before. Raises NotAllowed for what Mailgun did not sign, or signed long ago."""
    if not bounces.is_signed(signature, settings.MAILGUN_SIGNING_KEY):
        raise NotAllowed("The signature does not fit. Set MAILGUN_SIGNING_KEY to the signing key of your account.")
    at = str(signature["timestamp"])
    if not at.isascii() or not at.isdigit() or abs(int(at) - now.timestamp()) > EVENT_AGE.total_seconds():
        raise NotAllowed("The signature is too old.")
    return replays.is_first(f"mailgun:{signature['token']}", now=now)


def _has_secret(request):
    """Whether the request carries BOUNCE_SECRET, as Bearer token or as the password of Basic authentication."""
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    given = value.strip()
    if scheme.lower() == "basic":
        try:
            given = base64.b64decode(given).decode().partition(":")[2]
        except ValueError:  # no base64, or no text in it
            return False
    elif scheme.lower() != "bearer":
        return False
    return bool(settings.BOUNCE_SECRET) and constant_time_compare(given, settings.BOUNCE_SECRET)
