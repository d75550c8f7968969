"""/metrics: django-prometheus for this process, and figures from rows that are the same in every process."""

import datetime as dt
import time

from django.db.models import Avg, Count, F
from django.http import HttpResponse
from django.utils import timezone
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest

from core import due, limits
from core.models import Counter, Pulse, WorkerBeat
from incidents import states
from incidents.models import Incident
from notifications.models import Alarm, Notification

CACHE_SECONDS = 5
# A name ending so is kept in thousandths, because a counter row is a whole number.
THOUSANDTHS = "_sum_ms"
# Counters that exist from the start, so that a rate over them is never empty.
ALWAYS = [
    "alerts_received_total",
    "alerts_correlated_total",
    "incidents_created_total",
    "oncall_notifications_sent_total",
    "escalations_total",
    "notifications_sent_total",
    "worker_restarts_total",
    limits.REFUSED,
]

_cached = (0.0, "")


def export(request):
    """Everything in Prometheus' text format."""
    global _cached
    if time.monotonic() - _cached[0] > CACHE_SECONDS:
        _cached = (time.monotonic(), "\n".join(lines(timezone.now())) + "\n")
    return HttpResponse(generate_latest(REGISTRY) + _cached[1].encode(), content_type=CONTENT_TYPE_LATEST)


def lines(now):
    """The figures from rows."""
    counters = {}
    for row in Counter.objects.order_by("name", "labels"):
        counters.setdefault(row.name, []).append((row.labels, row.value))
    for name in ALWAYS:
        yield f"# TYPE {name} counter"
        for labels, value in counters.get(name, []) or [("", 0)]:
            yield f"{name}{{{labels}}} {value}" if labels else f"{name} {value}"
    yield from _histogram("alert_processing_seconds", counters)

    yield "# TYPE incidents_by_status gauge"
    found = dict(Incident.objects.order_by().values_list("status").annotate(Count("pk")))
    for status, _ in states.CHOICES:
        yield f'incidents_by_status{{status="{status}"}} {found.get(status, 0)}'
    means = Incident.objects.filter(triggered_at__gt=now - dt.timedelta(days=7)).aggregate(
        mtta=Avg(F("acknowledged_at") - F("triggered_at")), mttr=Avg(F("resolved_at") - F("triggered_at"))
    )
    for name, mean in (("incident_mtta_seconds", means["mtta"]), ("incident_mttr_seconds", means["mttr"])):
        yield f"# HELP {name} Mean over the incidents of the last 7 days."
        yield f"# TYPE {name} gauge"
        yield f"{name} {mean.total_seconds() if mean else 'NaN'}"

    yield "# TYPE notifications_by_state gauge"
    waiting = Notification.objects.unsettled().order_by().values_list("state").annotate(Count("pk"))
    for state, count in waiting:
        yield f'notifications_by_state{{state="{state}"}} {count}'
    yield "# TYPE due_work_oldest_seconds gauge"
    for kind in due.kinds().values():
        oldest = kind.oldest(now)
        yield f'due_work_oldest_seconds{{kind="{kind.name}"}} {(now - oldest).total_seconds() if oldest else 0}'
    yield "# TYPE alarms_open gauge"
    yield f"alarms_open {Alarm.objects.filter(cleared_at=None).count()}"
    yield "# TYPE ticker_age_seconds gauge"
    pulse = Pulse.objects.filter(name="ticker").first()
    yield f"ticker_age_seconds {(now - pulse.beat_at).total_seconds() if pulse else 'NaN'}"
    yield "# TYPE workers_alive gauge"
    yield f"workers_alive {WorkerBeat.objects.filter(beat_at__gt=now - dt.timedelta(seconds=20)).count()}"


def _histogram(name, counters):
    buckets = counters.get(f"{name}_bucket", [])
    count = dict(counters.get(f"{name}_count", [])).get("", 0)
    total = dict(counters.get(f"{name}{THOUSANDTHS}", [])).get("", 0)
    yield f"# TYPE {name} histogram"
    for labels, value in sorted(buckets, key=lambda one: float(one[0].split('"')[1])):
        yield f"{name}_bucket{{{labels}}} {value}"
    yield f'{name}_bucket{{le="+Inf"}} {count}'
    yield f"{name}_sum {total / 1000}"
    yield f"{name}_count {count}"
