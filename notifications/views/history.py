"""What was sent to whom and what came of it: the list with its filters, and one message with every try."""

import datetime as dt

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import Http404
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.dateparse import parse_date
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from accounts.permissions import may, may_once_seen, visible
from core.errors import DomainError, NotFound
from core.zones import zone_of
from notifications import history, providers, resending
from notifications.message import OUTSIDE, storable
from notifications.models import KINDS, Notification, channels

A_PAGE = 50
READERS = {"all": "Everybody", "mine": "Me"}
State = Notification.State
# Colours of states, where a state of an incident has the same name.
TONES = {State.ACKNOWLEDGED: "page-acknowledged", State.READ: "delivered"}


@login_required
@never_cache
def listed(request):
    """The messages, newest first."""
    now = timezone.now()
    chosen = _chosen(request)
    page = Paginator(_rows(chosen, request.user), A_PAGE).get_page(request.GET.get("page"))
    for row in page.object_list:
        _dress(row)
    query = request.GET.copy()
    query.pop("page", None)
    context = {
        "section": "notifications",
        "now": now,
        "page": page,
        "query": query.urlencode(),
        "chosen": chosen,
        "is_filtered": any(value for name, value in chosen.items() if value != "all"),
        "states": State.choices,
        "kinds": [(kind, label) for kind, label in KINDS if kind not in OUTSIDE],
        "channels": channels.choices(),
        "readers": READERS,
    }
    return render(request, "notifications/history.html", context)


def _chosen(request):
    """What the filter asks for; a word that is none of ours asks for nothing."""

    def one_of(name, words):
        value = request.GET.get(name, "")
        return value if value in dict(words) else ""

    return {
        "state": one_of("state", State.choices),
        "kind": one_of("kind", KINDS),
        "channel": one_of("channel", channels.choices()),
        "reader": one_of("reader", READERS.items()) or "all",
        "day": request.GET.get("day", "") if _day(request.GET.get("day", "")) else "",
        "q": storable(request.GET.get("q", "")).strip()[:200],
    }


def _day(text):
    try:
        day = parse_date(text)
    except ValueError:  # 2026-02-30
        return None
    return day if day and 1990 <= day.year < 2100 else None


def _rows(chosen, user):
    rows = Notification.objects.to_us().select_related("user", "destination").defer("provider_data").order_by("-id")
    rows = visible(rows, user)
    for name in ("state", "kind", "channel"):
        if chosen[name]:
            rows = rows.filter(**{name: chosen[name]})
    if chosen["reader"] == "mine":
        rows = rows.filter(user=user)
    if chosen["day"]:
        day, zone = _day(chosen["day"]), zone_of(user.time_zone)
        start, end = (dt.datetime.combine(one, dt.time(), zone) for one in (day, day + dt.timedelta(days=1)))
        rows = rows.filter(created_at__gte=start, created_at__lt=end)
    return history.searched(rows, chosen["q"]) if chosen["q"] else rows


def _dress(row):
    """What a template shows of a row."""
    row.channel_label = channels.get(row.channel).label if row.channel in channels else row.channel
    row.title = row.message.get("title", "")
    row.tone = TONES.get(row.state, row.state)
    row.latency = (row.sent_at - row.planned_at).total_seconds() if row.sent_at else None
    kind, _, number = row.topic.partition(":")
    row.incident = number if kind == "incident" else ""
    return row


@login_required
@never_cache
def one(request, uuid):
    """One message: what it said, each try, and what became of it."""
    rows = Notification.objects.to_us().select_related("user", "destination", "contact_method", "bundle", "changes")
    row = get_object_or_404(visible(rows, request.user), uuid=uuid)
    tries = list(row.tries.order_by("number"))
    for each in tries:
        began, ended = each.called_at or each.started_at, each.finished_at
        each.seconds = (ended - began).total_seconds() if ended else None
    names = providers.names_of({row.provider, *(each.provider for each in tries)})
    for each in (row, *tries):
        each.provider_name = names.get(each.provider, each.provider)
    context = {
        "section": "notifications",
        "now": timezone.now(),
        "row": _dress(row),
        "tries": tries,
        "body": row.message.get("body", ""),
        "members": [_dress(each) for each in _members(row, request.user)],
        "bundle": row.bundle if row.bundle and may(request.user, "read", row.bundle) else None,
        "is_waiting": row.state in resending.WAITING,
        "may_respond": row.user_id == request.user.pk or may_once_seen(request.user, "respond", row),
    }
    return render(request, "notifications/notification.html", context)


def _members(row, user):
    rows = visible(row.members.select_related("user", "destination"), user)
    return rows.order_by("id")[:100]


@login_required
@require_POST
def do(request, uuid, verb):
    """Send it again, or stop it."""
    row = get_object_or_404(visible(Notification.objects.to_us(), request.user), uuid=uuid)
    if row.user_id != request.user.pk and not may_once_seen(request.user, "respond", row):
        raise PermissionDenied
    now, by = timezone.now(), request.user
    try:
        if verb not in ("resend", "stop"):
            raise Http404
        if verb == "resend":
            again = resending.send_again(uuid, by=by, now=now)
            messages.success(request, "It is on its way once more. This page shows what becomes of it.")
            return redirect("notification", again.uuid)
        resending.stop(uuid, by=by, now=now)
        messages.success(request, "It is stopped and will not be sent.")
    except NotFound:
        raise Http404 from None
    except DomainError as error:
        messages.error(request, error.message)
    return redirect("notification", uuid)
