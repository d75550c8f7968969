"""Whether the house stands: alive without touching anything, ready when every part that pages people works."""

import collections
import datetime as dt
import logging

from django.contrib.auth.decorators import login_required
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import JsonResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django.views.decorators.cache import never_cache

from alerts import presence
from alerts.models import Heartbeat
from core import due
from core.models import Pulse, WorkerBeat
from core.pages import recent
from notifications.models import Alarm

logger = logging.getLogger(__name__)

TICKER_SECONDS = 5
WORKER_SECONDS = 20
LATE_SECONDS = 60

_migrations_done = False


def alive(request):
    """The process answers."""
    return JsonResponse({"status": "ok"})


def ready(request):
    """200 when all checks pass, else 503; the body names each check and what is wrong with it.

    Anybody may ask, so open alarms are counted by their kind: their texts name people and incidents.
    """
    now = timezone.now()
    try:
        checks = _checks(now)
        alarms = _alarms()
    except DatabaseError as error:
        logger.warning("/health/ready cannot ask the database: %s", error)
        # Its text names hosts and accounts, and anybody may ask.
        checks, alarms = {"database": "The database does not answer. The log of the web process says why."}, None
    ok = not any(checks.values())
    body = {
        "status": "ok" if ok else "failing",
        "checks": {name: problem or "ok" for name, problem in checks.items()},
        "alarms": alarms,
    }
    return JsonResponse(body, status=200 if ok else 503)


def _checks(now):
    """What is wrong with each part, as a sentence; empty where nothing is. Raises DatabaseError."""
    return {
        "database": "",
        "migrations": _migrations(),
        "ticker": _ticker(now),
        "worker": _worker(now),
        "due_work": _due_work(now),
        "presence": _presence(now),
    }


LABELS = {
    "database": "Everything is stored",
    "ticker": "Escalations advance on time",
    "worker": "Messages are sent",
    "due_work": "No work is late",
    "presence": "Heartbeats are watched",
    "migrations": "The database fits this version",
}
PANEL_SECONDS = 5  # every open overview asks each minute


@login_required
@never_cache
def panel(request):
    """What a person needs to know of the product itself: a panel of the overview, and a page without script."""
    checks = recent("health-panel", PANEL_SECONDS, lambda: _checks(timezone.now()))
    parts = [(LABELS[name], checks[name]) for name in LABELS]
    context = {"parts": parts, "has_trouble": any(checks.values()), "section": "dashboard"}
    is_fragment = "X-Fragment" in request.headers
    response = render(request, "config/_health.html" if is_fragment else "config/health.html", context)
    patch_vary_headers(response, ["X-Fragment"])
    return response


def _alarms():
    keys = Alarm.objects.filter(cleared_at=None).values_list("key", flat=True)
    kinds = collections.Counter(key.partition(":")[0] for key in keys)
    return {"open": kinds.total(), "kinds": kinds}


def _migrations():
    global _migrations_done
    if not _migrations_done:
        executor = MigrationExecutor(connection)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            return "Migrations are missing. Run `manage.py migrate`, or start with bin/up."
        _migrations_done = True
    return ""


def _ticker(now):
    pulse = Pulse.objects.filter(name="ticker").first()
    if pulse is None or now - pulse.beat_at > dt.timedelta(seconds=TICKER_SECONDS):
        last = f"the last sign of life was at {pulse.beat_at:%H:%M:%S} UTC" if pulse else "it has never run"
        return f"No ticker runs: {last}. Escalations stand still. Start `manage.py ticker`, or bin/up."
    return ""


def _worker(now):
    if not WorkerBeat.objects.filter(beat_at__gt=now - dt.timedelta(seconds=WORKER_SECONDS)).exists():
        return "No worker runs tasks. Pages stand still. Start `manage.py qcluster`, or bin/up."
    return ""


def _presence(now):
    # This process answers, but its thread may have ended, or it may be the first few seconds.
    if Heartbeat.objects.filter(due_at__isnull=False).exists() and presence.is_away(now):
        return "No web process writes its sign of life. Heartbeats that stay away are not noticed. Restart them."
    return ""


def _due_work(now):
    late = []
    for kind in due.kinds().values():
        oldest = kind.oldest(now)
        if oldest and now - oldest > dt.timedelta(seconds=LATE_SECONDS):
            late.append(f"{kind.name} {int((now - oldest).total_seconds())} s")
    return f"Work is late: {', '.join(late)}. The workers cannot keep up, or fail; see the log." if late else ""
