"""Alerts that end by themselves: nothing was heard of them, their end time passed, or they flapped and are calm.

While nobody could reach us we heard nothing of anybody, so what was silent then has its whole time again from when we
were back; and what has come in but waits to be decided is heard first.
"""

import datetime as dt
import logging

from django.db import transaction
from django.db.models import Q

from alerts import presence, quiet
from alerts.models import Alert, InboundEvent
from core import due
from incidents import lifecycle
from incidents.models import Incident
from notifications import alarms

logger = logging.getLogger(__name__)

BATCH = 500
# An alert whose end raises is tried again after this; the admins are told.
TROUBLE_DELAY = dt.timedelta(seconds=60)
# How soon to look again while events of its scope wait to be decided, or while we are away.
WAIT = dt.timedelta(seconds=5)


def oldest_due(now):
    """The deadline of the alert that should be over longest, or None."""
    rows = Alert.objects.firing().filter(resolve_at__lte=now).order_by("resolve_at")
    return rows.values_list("resolve_at", flat=True).first()


def run(*, now_of, seconds=10):
    """Expire until nothing is due or the time is up; `now_of()` reads the clock."""
    until = now_of() + dt.timedelta(seconds=seconds)
    while (now := now_of()) < until:
        due.beat()
        if not expire_due(now=now):
            return


def expire_due(*, now, limit=BATCH):
    """End the alerts whose deadline has passed, and the incidents of which none fires then. Returns how many it
    looked at.

    When one of them raises, all are rolled back and ended one by one, so that it stops no other.
    """
    rows = Alert.objects.firing().filter(resolve_at__lte=now).order_by("resolve_at")
    ids = list(rows.values_list("pk", flat=True)[:limit])
    if not ids:
        return 0
    try:
        with transaction.atomic():
            _expire(ids, now)
    except Exception:  # one broken alert must not stop the rest: find it
        logger.warning("%d alerts could not expire together; they are taken one by one.", len(ids), exc_info=True)
        for pk in ids:
            _expire_alone(pk, now)
    return len(ids)


def _expire_alone(pk, now):
    try:
        with transaction.atomic():
            _expire([pk], now)
    except Exception as error:  # it stays due, the admins are told, the others go on
        logger.warning("Alert %s could not expire.", pk, exc_info=True)
        Alert.objects.firing().filter(pk=pk).update(resolve_at=now + TROUBLE_DELAY)
        alarms.raise_alarm(
            f"expiry-failed:{pk}",
            f"Alert {pk} should have ended by itself and could not: {error}. It is tried again every minute.",
            now=now,
        )


def _expire(ids, now):
    rows = Alert.objects.filter(pk__in=ids, incident__isnull=False)
    numbers = set(rows.values_list("incident_id", flat=True))
    # Incidents before alerts, as everywhere.
    list(Incident.objects.filter(pk__in=numbers).order_by("pk").select_for_update(no_key=True).values_list("pk"))
    rows = Alert.objects.firing().filter(pk__in=ids, resolve_at__lte=now).order_by("pk")
    # One whose incident was merged a moment ago waits for the next look: its new incident is not locked.
    rows = rows.filter(Q(incident__in=numbers) | Q(incident=None))
    alerts = list(rows.select_for_update(no_key=True))
    ended, later = [], []
    heard = _waiting_scopes({alert.scope for alert in alerts})
    is_away, back = _absence(now)
    for alert in alerts:
        until = alert.resolve_at
        if is_away or alert.scope in heard:
            until = now + WAIT
        elif back and alert.last_at < back:
            until = max(until, back + _allowance(alert))
        if until > now:
            alert.resolve_at = until
            later.append(alert)
            continue
        alert.resolved_at, alert.resolved_why = now, alert.resolve_at_why or "its time was over"
        alert.resolve_at = alert.recheck_at = None
        ended.append(alert)
    Alert.objects.bulk_update(later, ["resolve_at", "route"])
    Alert.objects.bulk_update(ended, ["resolved_at", "resolved_why", "resolve_at", "recheck_at"])
    resolve_burnt_out({alert.incident_id for alert in ended if alert.incident_id}, now=now)
    quiet.recheck_inhibited([rule for alert in ended for rule in alert.inhibits], now=now)


def _allowance(alert):
    """How long an alert may be silent. Once it is noted it stays the same until we hear of the alert again."""
    heard_at = alert.last_at.isoformat()
    noted = alert.route.get("silence")
    if not noted or noted[0] != heard_at:
        noted = alert.route["silence"] = [heard_at, (alert.resolve_at - alert.last_at).total_seconds()]
    return dt.timedelta(seconds=noted[1])


def _absence(now):
    """`(whether we are away, when we were back last or None)`. Without a web process ever, nothing is known."""
    row = presence.state()
    if row is None:
        return False, None
    return presence.is_away(now), presence.back_at(now)


def _waiting_scopes(scopes):
    """Those of these scopes of which something has come in that is not decided yet."""
    rows = InboundEvent.objects.filter(state=InboundEvent.State.PENDING, scope__in=scopes)
    return set(rows.order_by().values_list("scope", flat=True).distinct())


def resolve_burnt_out(numbers, *, now):
    """Resolve those of these locked incidents that are open and have no firing alert any more."""
    if not numbers:
        return
    burning = set(Alert.objects.firing().filter(incident_id__in=numbers).values_list("incident_id", flat=True))
    over = Incident.objects.open().filter(pk__in=numbers - burning).order_by("pk")
    for number in over.values_list("pk", flat=True):
        lifecycle.resolve(number, by=None, now=now, via="source")
