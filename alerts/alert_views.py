"""What the sources said: the list of alerts, one alert with its decisions, and the doors they came through."""

import datetime as dt
import uuid

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Q, TextField
from django.db.models.functions import Cast
from django.http import Http404
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from accounts.models import Team
from accounts.permissions import may
from alerts import retries
from alerts.models import Alert, InboundEvent, Integration, sources
from alerts.setup import NO_KEY, address, setup_text
from core.errors import DomainError, NotFound
from incidents.models import Severity
from notifications.message import storable

A_PAGE = 50
LAST_PAGE = 200  # further back, a filter finds it faster
STATES = [("open", "Firing and held"), ("firing", "Firing"), ("held", "Held"), ("resolved", "Resolved")]
LAST_EVENTS = 30
# An integration's last events lie close before its last sign of life, which is noted once a minute.
EVENT_SPAN = dt.timedelta(days=2)
LOOKED_THROUGH = 2000  # raw events, for those that made one alert
SHOWN_BODY = 4000


# --- alerts -------------------------------------------------------------------------------------------------------


@login_required
@never_cache
def listed(request):
    """The alerts, those last heard of first."""
    chosen = _chosen(request)
    number = _page(request)
    rows = list(_rows(chosen)[(number - 1) * A_PAGE : number * A_PAGE + 1])
    query = request.GET.copy()
    query.pop("page", None)
    context = {
        "section": "alerts",
        "tab": "alerts",
        "alerts": rows[:A_PAGE],
        "number": number,
        "has_next": len(rows) > A_PAGE and number < LAST_PAGE,
        "query": query.urlencode(),
        "chosen": chosen,
        "is_filtered": any(chosen.values()),
        "states": STATES,
        "severities": Severity.choices,
        "teams": Team.objects.order_by("name"),
        "integrations": Integration.objects.order_by("name"),
        "counts": Alert.objects.firing().aggregate(
            firing=Count("pk", filter=Q(held_by="")), held=Count("pk", filter=~Q(held_by=""))
        ),
        "may_respond": may(request.user, "respond"),
    }
    return render(request, "alerts/alerts.html", context)


def _page(request):
    text = request.GET.get("page", "")
    return min(max(int(text), 1), LAST_PAGE) if text.isascii() and text.isdigit() and len(text) < 6 else 1


def _chosen(request):
    def one_of(name, words):
        value = request.GET.get(name, "")
        return value if value in dict(words) else ""

    def text_of(name, limit=200):
        return storable(request.GET.get(name, "")).strip()[:limit]

    return {
        "state": one_of("state", STATES),
        "severity": one_of("severity", Severity.choices),
        "team": text_of("team", 100),
        "service": text_of("service", 100),
        "integration": text_of("integration", 40),
        "q": text_of("q"),
    }


def _rows(chosen):
    rows = Alert.objects.select_related("service", "integration", "incident").order_by("-last_at", "-id")
    if chosen["state"]:
        rows = rows.filter(resolved_at__isnull=chosen["state"] != "resolved")
    if chosen["state"] in ("firing", "held"):
        rows = rows.filter(held_by="") if chosen["state"] == "firing" else rows.exclude(held_by="")
    for name, field in (("severity", "severity"), ("team", "service__team__slug"), ("service", "service__slug")):
        if chosen[name]:
            rows = rows.filter(**{field: chosen[name]})
    if chosen["integration"]:
        known = _uuid(chosen["integration"])
        rows = rows.filter(integration__uuid=known) if known else rows.none()
    for word in chosen["q"].split()[:6]:
        found = Q(title__icontains=word) | Q(dedup_key__icontains=word) | Q(service__name__icontains=word)
        rows = rows.annotate(labels_text=Cast("labels", TextField())).filter(
            found | Q(labels_text__icontains=word.replace("=", '": "')) | Q(description__icontains=word)
        )
    return rows


def _uuid(text):
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


@login_required
@never_cache
def one(request, pk):
    """One alert: what it carries, what was decided about it and why, and what holds it."""
    rows = Alert.objects.select_related("service__team", "integration", "incident")
    alert = get_object_or_404(rows, pk=pk)
    around = Alert.objects.filter(scope=alert.scope, dedup_key=alert.dedup_key).exclude(pk=alert.pk)
    context = {
        "section": "alerts",
        "tab": "alerts",
        "alert": alert,
        "source_label": _label(alert.source),
        "events": _events_of(alert),
        "earlier": around.select_related("incident").order_by("-last_at")[:10],
        "may_respond": may(request.user, "respond"),
    }
    return render(request, "alerts/alert.html", context)


def _events_of(alert):
    """The raw events that made and changed it, newest first, with what was decided about it in each."""
    newest = InboundEvent.objects.filter(
        scope=alert.scope, received_at__lte=alert.last_at + dt.timedelta(minutes=1)
    ).order_by("-received_at")[:LOOKED_THROUGH]
    mine = InboundEvent.objects.filter(
        pk__in=newest.values("pk"), result__contains=[{"alert_id": str(alert.pk)}]
    ).order_by("-received_at")
    events = []
    for event in mine.defer("headers")[:LAST_EVENTS]:
        decisions = [item for item in event.result if item.get("alert_id") == str(alert.pk)]
        events.append(_dressed(event, decisions))
    return events


def _dressed(event, decisions=None):
    """What a template shows of a raw event."""
    body = bytes(event.body)
    event.text = body[:SHOWN_BODY].decode("utf-8", "replace").replace("\x00", "�")
    event.hidden = max(0, len(body) - SHOWN_BODY)
    event.size = len(body)
    event.decisions = event.result if decisions is None else decisions
    for item in event.decisions:
        item["words"] = str(item.get("outcome", "")).replace("_", " ").capitalize()
    event.is_in_trouble = event.state in retries.IN_TROUBLE
    return event


def _label(kind):
    found = sources.classes().get(kind)
    return found.label if found else kind


# --- integrations -------------------------------------------------------------------------------------------------


@login_required
@never_cache
def integrations(request):
    """The doors of monitoring tools, and how they do."""
    chosen = {"q": storable(request.GET.get("q", "")).strip()[:200]}
    rows = Integration.objects.select_related("service__team", "team").annotate(
        firing=Count("alerts", filter=Q(alerts__resolved_at=None))
    )
    if chosen["q"]:
        words = chosen["q"]
        rows = rows.filter(
            Q(name__icontains=words)
            | Q(source__icontains=words)
            | Q(service__name__icontains=words)
            | Q(team__name__icontains=words)
        )
    failed = dict(
        InboundEvent.objects.filter(state__in=retries.IN_TROUBLE, integration__isnull=False)
        .order_by()
        .values_list("integration")
        .annotate(Count("pk"))
    )
    rows = list(rows)
    for row in rows:
        row.source_label = _label(row.source)
        row.failed = failed.get(row.pk, 0)
    context = {
        "section": "alerts",
        "tab": "integrations",
        "integrations": rows,
        "chosen": chosen,
        "may_configure": may(request.user, "configure"),
    }
    return render(request, "alerts/integrations.html", context)


@login_required
@never_cache
def integration(request, uuid):
    """One door: its address, how to set the sender up, what came in last and what became of it."""
    rows = Integration.objects.select_related("service__team", "team")
    found = get_object_or_404(rows, uuid=uuid)
    now = timezone.now()
    context = {
        "section": "alerts",
        "tab": "integrations",
        "integration": found,
        "source_label": _label(found.source),
        "address": address(found.source, NO_KEY),
        "setup": setup_text(found.source, NO_KEY),
        "old_key_works": bool(found.old_key_hash and found.old_key_until and found.old_key_until > now),
        "events": [_dressed(event) for event in _last_events(found)],
        "errors": [
            _dressed(event)
            for event in InboundEvent.objects.filter(integration=found, state__in=retries.IN_TROUBLE).order_by(
                "-received_at"
            )[:LAST_EVENTS]
        ],
        "firing": Alert.objects.firing().filter(integration=found).count(),
        "rules": found.rules.filter(is_enabled=True),
        "may_respond": may(request.user, "respond"),
        "may_configure": may(request.user, "configure"),
    }
    return render(request, "alerts/integration.html", context)


def _last_events(found):
    if found.last_event_at is None:
        return []
    rows = InboundEvent.objects.filter(
        integration=found,
        received_at__gt=found.last_event_at - EVENT_SPAN,
    )
    return rows.order_by("-received_at")[:LAST_EVENTS]


@login_required
@require_POST
def retry(request, uuid):
    """Decide one event again that failed, or all of them."""
    if not may(request.user, "respond"):
        raise PermissionDenied
    found = get_object_or_404(Integration, uuid=uuid)
    now, event_id = timezone.now(), request.POST.get("event", "")
    try:
        if event_id == "all":
            count = retries.retry_all(found, now=now)
            messages.success(request, f"Tried again: {count}. Look at the result in a few seconds.")
        else:
            known = _uuid(event_id)
            if known is None:
                raise Http404
            retries.retry(known, now=now)
            messages.success(request, "The event is tried again. Look at the result in a few seconds.")
    except NotFound:
        raise Http404 from None
    except DomainError as error:
        messages.error(request, error.message)
    return redirect("alerts:integration", uuid)
