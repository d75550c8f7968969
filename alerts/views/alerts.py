"""What the sources said: the list of alerts, one alert with its decisions, and the doors they came through."""

import datetime as dt

from django.contrib.auth.decorators import login_required
from django.db.models import Count, Q, TextField
from django.db.models.functions import Cast
from django.shortcuts import get_object_or_404, render
from django.views.decorators.cache import never_cache

from accounts.models import Team
from accounts.permissions import may_once_seen, visible
from alerts.models import Alert, InboundEvent, Integration
from alerts.views.events import LAST_EVENTS, dressed, source_label, uuid_or_none
from alerts.views.quiet import link_holds
from alerts.visibility import hide_origins, hush_holds
from incidents.models import Severity
from notifications.message import storable

A_PAGE = 50
LAST_PAGE = 200  # further back, a filter finds it faster
STATES = [("open", "Firing and held"), ("firing", "Firing"), ("held", "Held"), ("resolved", "Resolved")]
LOOKED_THROUGH = 2000  # raw events, for those that made one alert


@login_required
@never_cache
def listed(request):
    """The alerts, those last heard of first."""
    chosen = _chosen(request)
    number = _page(request)
    rows = list(_rows(chosen, request.user)[(number - 1) * A_PAGE : number * A_PAGE + 1])
    hide_origins(rows, request.user)
    hush_holds(rows, request.user)
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
        "teams": visible(Team.objects.order_by("name"), request.user),
        "integrations": visible(Integration.objects.order_by("name"), request.user),
        "counts": visible(Alert.objects.firing(), request.user).aggregate(
            firing=Count("pk", filter=Q(held_by="")), held=Count("pk", filter=~Q(held_by=""))
        ),
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


def _rows(chosen, user):
    rows = visible(Alert.objects.select_related("service", "integration", "incident"), user)
    rows = rows.order_by("-last_at", "-id")
    if chosen["state"]:
        rows = rows.filter(resolved_at__isnull=chosen["state"] != "resolved")
    if chosen["state"] in ("firing", "held"):
        rows = rows.filter(held_by="") if chosen["state"] == "firing" else rows.exclude(held_by="")
    for name, field in (("severity", "severity"), ("team", "service__team__slug"), ("service", "service__slug")):
        if chosen[name]:
            rows = rows.filter(**{field: chosen[name]})
    if chosen["integration"]:
        known = uuid_or_none(chosen["integration"])
        through = visible(Integration.objects.filter(uuid=known), user)
        rows = rows.filter(integration__in=through) if known else rows.none()
    for word in chosen["q"].split()[:6]:
        found = Q(title__icontains=word) | Q(dedup_key__icontains=word) | Q(service__name__icontains=word)
        rows = rows.annotate(labels_text=Cast("labels", TextField())).filter(
            found | Q(labels_text__icontains=word.replace("=", '": "')) | Q(description__icontains=word)
        )
    return rows


@login_required
@never_cache
def one(request, pk):
    """One alert: what it carries, what was decided about it and why, and what holds it."""
    rows = Alert.objects.select_related("service__team", "integration", "incident")
    alert = get_object_or_404(visible(rows, request.user), pk=pk)
    events = _events_of(alert, request.user)
    hide_origins([alert], request.user)
    hush_holds([alert], request.user)
    link_holds([alert], request.user)
    around = Alert.objects.filter(scope=alert.scope, dedup_key=alert.dedup_key).exclude(pk=alert.pk)
    around = visible(around, request.user)
    context = {
        "section": "alerts",
        "tab": "alerts",
        "alert": alert,
        "source_label": source_label(alert.source),
        "events": events,
        "earlier": around.select_related("incident").order_by("-last_at")[:10],
        "may_respond": may_once_seen(request.user, "respond", alert),
    }
    return render(request, "alerts/alert.html", context)


def _events_of(alert, user):
    """The raw events that made and changed it, newest first, with what was decided about it in each."""
    newest = InboundEvent.objects.filter(
        scope=alert.scope, received_at__lte=alert.last_at + dt.timedelta(minutes=1)
    ).order_by("-received_at")[:LOOKED_THROUGH]
    mine = InboundEvent.objects.filter(
        pk__in=newest.values("pk"), result__contains=[{"alert_id": str(alert.pk)}]
    ).order_by("-received_at")
    return dressed(visible(mine, user).defer("headers")[:LAST_EVENTS], alert, user=user)
