"""The page behind the button of a message: the answer of somebody who is not signed in.

Opening it is no answer, since mail scanners open every link: only the POST is. The link itself is the credential.
"""

from django.db import transaction
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from accounts.permissions import may
from core.errors import DomainError, IllegalMove, NotAllowed, NotFound
from incidents import figures, lifecycle, states
from incidents.models import Incident
from notifications import links
from notifications.models import Notification

LAST_ENTRIES = 6


@csrf_exempt
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def link(request, token):
    """Show the incident to the person who was paged (GET), or acknowledge it for them (POST)."""
    now = timezone.now()
    try:
        notification = links.open_link(token, now=now)
        number = _number(notification, token)
        incident = _acknowledge(notification, number, now=now) if request.method == "POST" else _incident(number)
    except DomainError as error:
        return _refused(request, token, error, now=now)
    page = "answered" if request.method == "POST" else "open"
    return _page(request, page, notification, incident, now=now)


def _number(notification, token):
    """The incident that the link is about. Raises when the link cannot acknowledge one for this person."""
    kind, _, number = notification.topic.partition(":")
    if kind != "incident" or links.verb_of(token) != "acknowledge":
        raise NotFound("This link does not acknowledge an incident. Log in and go on from the dashboard.")
    if not may(notification.user, "respond"):
        raise NotAllowed(
            f"{notification.user} may not answer: the account is deactivated or only reads. Ask an admin to change "
            "that. The escalation goes on, so somebody else is called."
        )
    return int(number)


@transaction.atomic
def _acknowledge(notification, number, *, now):
    """Use the link up and take the incident, both or neither."""
    lifecycle.locked(number)  # incident before messages, as everywhere, so that two answers cannot deadlock
    links.use(notification.pk, now=now)  # False: the same link a second earlier; acknowledging twice is harmless
    lifecycle.acknowledge(number, by=notification.user, now=now, via="link")
    return _incident(number)


def _incident(number):
    return Incident.objects.select_related("service", "team", "acknowledged_by", "resolved_by").get(pk=number)


def _refused(request, token, error, *, now):
    """Say why the link did nothing, what became of the incident, and what to do next."""
    notification = incident = None
    if error.code != "forged_link":
        notification = Notification.objects.select_related("user").filter(uuid=links.read(token)[0]).first()
    kind, _, number = notification.topic.partition(":") if notification else ("", "", "")
    if kind == "incident":
        incident = _incident(int(number))
    page, status = error.code, error.status
    if isinstance(error, IllegalMove):
        page = "answered"
    elif error.code == "used_link" and incident and request.method == "POST":
        page, status = "answered", 200  # the button was pressed twice
    elif error.code not in ("used_link", "expired_link", "forged_link"):
        page = "refused"
    return _page(request, page, notification, incident, now=now, status=status, error=error)


def _page(request, page, notification, incident, *, now, status=200, error=None):
    context = {"page": page, "incident": incident, "now": now, "error": error}
    if notification:
        context |= {"person": notification.user, "zone": notification.user.time_zone}
    if incident:
        context |= _answer(incident, notification.user)
    if page == "open":
        entries = list(incident.timeline.select_related("by").order_by("-id")[:LAST_ENTRIES])
        context |= {"entries": entries[::-1], "paged": _paged(incident)}
    response = render(request, "incidents/link.html", context, status=status)
    response.headers["Referrer-Policy"] = "no-referrer"  # the address is a credential
    response.headers["X-Robots-Tag"] = "noindex"
    return response


def _answer(incident, person):
    """Who has the incident, seen by this person."""
    return {
        "is_over": not incident.is_open,
        "is_waiting": incident.status == states.TRIGGERED,
        "is_mine": incident.acknowledged_by_id == person.pk,
        "answer": figures.answer_text(incident) if incident.acknowledged_at else "",
    }


def _paged(incident):
    """The people who were paged, first come first."""
    rows = Notification.objects.filter(topic=incident.topic).order_by("id").select_related("user")
    return list({row.user_id: row.user for row in rows}.values())
