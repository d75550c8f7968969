"""The pages of integrations: how each does, how to set its sender up, what came in last, and retries."""

import datetime as dt

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Q
from django.http import Http404
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from accounts.permissions import may_once_seen, may_somewhere, visible
from alerts import refusals, retries, topics
from alerts.keys import old_key_works
from alerts.models import Alert, InboundEvent, Integration, Rule, Topic
from alerts.setup import NO_KEY, address, setup_parts, setup_text
from alerts.views.events import LAST_EVENTS, dressed, source_label, uuid_or_none
from core.errors import DomainError, NotFound
from notifications.message import storable
from notifications.models import Alarm

# An integration's last events lie close before its last sign of life, which is noted once a minute.
EVENT_SPAN = dt.timedelta(days=2)


@login_required
@never_cache
def listed(request):
    """The doors of monitoring tools, and how they do."""
    chosen = {"q": storable(request.GET.get("q", "")).strip()[:200]}
    rows = visible(Integration.objects.select_related("service__team", "team"), request.user)
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
    alarms = _alarms(*rows)
    firing = visible(Alert.objects.firing().filter(integration__in=[row.pk for row in rows]), request.user)
    firing = dict(firing.order_by().values_list("integration").annotate(Count("pk")))
    for row in rows:
        row.firing = firing.get(row.pk, 0)
        row.alarm = alarms.get(row.pk)
        row.source_label = source_label(row.source)
        row.failed = failed.get(row.pk, 0)
    context = {
        "section": "alerts",
        "tab": "integrations",
        "integrations": rows,
        "chosen": chosen,
        "may_configure": may_somewhere(request.user, "configure"),
    }
    return render(request, "alerts/integrations.html", context)


@login_required
@never_cache
def one(request, uuid):
    """One door: its address, how to set the sender up, what came in last and what became of it."""
    rows = Integration.objects.select_related("service__team", "team")
    found = get_object_or_404(visible(rows, request.user), uuid=uuid)
    failed = InboundEvent.objects.filter(integration=found, state__in=retries.IN_TROUBLE)
    context = {
        "section": "alerts",
        "tab": "integrations",
        "integration": found,
        "now": timezone.now(),
        "alarm": _alarms(found).get(found.pk),
        "source_label": source_label(found.source),
        "address": address(found.source, NO_KEY),
        "setup": setup_parts(setup_text(found.source, NO_KEY)),
        "old_key_works": old_key_works(found, now=timezone.now()),
        "events": dressed(_last_events(found), user=request.user),
        "errors": dressed(failed.order_by("-received_at")[:LAST_EVENTS], user=request.user),
        "failed": failed.count(),
        "firing": visible(Alert.objects.firing().filter(integration=found), request.user).count(),
        "rules": visible(found.rules.filter(is_enabled=True), request.user),
        "global_rules": visible(Rule.objects.filter(integration=None, is_enabled=True), request.user).count(),
        "may_respond": may_once_seen(request.user, "respond", found),
        "may_configure": may_once_seen(request.user, "configure", found),
    }
    return render(request, "alerts/integration.html", context)


def _alarms(*integrations):
    """`{id: the Alarm}` of those whose sender is turned away, or whose topic of Amazon SNS cannot be confirmed."""
    keys = {refusals.alarm_key(one.pk): one.pk for one in integrations}
    for topic in Topic.objects.filter(integration__in=integrations):
        keys[topics.alarm_key(topic)] = topic.integration_id
    return {keys[alarm.key]: alarm for alarm in Alarm.objects.filter(key__in=keys, cleared_at=None)}


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
    rows = Integration.objects.select_related("service")
    found = get_object_or_404(visible(rows, request.user), uuid=uuid)
    if not may_once_seen(request.user, "respond", found):
        raise PermissionDenied
    now, event_id = timezone.now(), request.POST.get("event", "")
    try:
        if event_id == "all":
            count = retries.retry_all(found, now=now)
            messages.success(request, f"Tried again: {count}. Look at the result in a few seconds.")
        else:
            known = uuid_or_none(event_id)
            if known is None or not InboundEvent.objects.filter(pk=known, integration=found).exists():
                raise Http404
            retries.retry(known, now=now)
            messages.success(request, "The event is tried again. Look at the result in a few seconds.")
    except NotFound:
        raise Http404 from None
    except DomainError as error:
        messages.error(request, error.message)
    return redirect("alerts:integration", uuid)
