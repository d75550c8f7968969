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

from accounts.permissions import may
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
    alarms = _alarms(*rows)
    for row in rows:
        row.alarm = alarms.get(row.pk)
        row.source_label = source_label(row.source)
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
def one(request, uuid):
    """One door: its address, how to set the sender up, what came in last and what became of it."""
    rows = Integration.objects.select_related("service__team", "team")
    found = get_object_or_404(rows, uuid=uuid)
    failed = InboundEvent.objects.filter(integration=found, state__in=retries.IN_TROUBLE)
    context = {
        "section": "alerts",
        "tab": "integrations",
        "integration": found,
        "alarm": _alarms(found).get(found.pk),
        "source_label": source_label(found.source),
        "address": address(found.source, NO_KEY),
        "setup": setup_parts(setup_text(found.source, NO_KEY)),
        "old_key_works": old_key_works(found, now=timezone.now()),
        "events": dressed(_last_events(found)),
        "errors": dressed(failed.order_by("-received_at")[:LAST_EVENTS]),
        "failed": failed.count(),
        "firing": Alert.objects.firing().filter(integration=found).count(),
        "rules": found.rules.filter(is_enabled=True),
        "global_rules": Rule.objects.filter(integration=None, is_enabled=True).count(),
        "may_respond": may(request.user, "respond"),
        "may_configure": may(request.user, "configure"),
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
    if not may(request.user, "respond"):
        raise PermissionDenied
    found = get_object_or_404(Integration, uuid=uuid)
    now, event_id = timezone.now(), request.POST.get("event", "")
    try:
        if event_id == "all":
            count = retries.retry_all(found, now=now)
            messages.success(request, f"Tried again: {count}. Look at the result in a few seconds.")
        else:
            known = uuid_or_none(event_id)
            if known is None:
                raise Http404
            retries.retry(known, now=now)
            messages.success(request, "The event is tried again. Look at the result in a few seconds.")
    except NotFound:
        raise Http404 from None
    except DomainError as error:
        messages.error(request, error.message)
    return redirect("alerts:integration", uuid)
