"""Heartbeats: signs of life that are expected again and again, and the alert when one stays away.

A ping is one statement that moves the deadline on. The sweep takes deadlines that have passed and writes, in the same
transaction, an event of the internal source "heartbeat" in the heartbeat's own scope: so a miss is routed, silenced
and grouped like all that comes in from outside. The next ping writes the event that ends it. Whoever writes holds the
lock of the heartbeat's row, so each miss has exactly one beginning and one end.

The functions that take a `door` are for the event loop; what `door.fetch` raises they raise too.
"""

import dataclasses
import datetime as dt
import json
import uuid

from django.conf import settings
from django.db import transaction
from django.db.models import Min

from alerts import keys, presence
from alerts.models import Alert, Heartbeat, InboundEvent, Integration, Presence
from alerts.sources.heartbeat import HeartbeatSource
from catalog.models import Service
from core import due
from core.secrets import digest
from notifications import alarms

SWEPT = 200
SHORTEST_SECONDS, LONGEST_SECONDS = 10, 366 * 86400
# What people set. Everything else of a row is written by pings and by the sweep, and must not be overwritten by a form
# that was opened before them.
CONFIGURED = (
    "name",
    "description",
    "service",
    "severity",
    "interval_seconds",
    "grace_seconds",
    "integration",
    "is_enabled",
)
AWAY_ALARM, AWAY_ALARM_AFTER = "heartbeats:away", dt.timedelta(minutes=2)

_KIND = HeartbeatSource.kind
_TABLE = Heartbeat._meta.db_table


# --- pings --------------------------------------------------------------------------------------------------------
@dataclasses.dataclass(frozen=True, slots=True)
class Ping:
    """A heartbeat that was pinged. `was_missing` says whether that ends a miss."""

    name: str
    was_missing: bool
    is_enabled: bool


# The end of a miss is later than its beginning, whatever the clocks of two machines say.
_PING = f"""
WITH found AS (
    SELECT id, missed_at FROM {_TABLE} WHERE {{which}} ORDER BY id FOR NO KEY UPDATE
), pinged AS (
    UPDATE {_TABLE} AS heartbeat SET
        last_ping_at = greatest(%(now)s, found.missed_at + interval '1 millisecond'),
        last_ping_via = %(via)s,
        armed_at = coalesce(armed_at, %(now)s),
        missed_at = NULL,
        due_at = CASE WHEN is_enabled THEN %(now)s + make_interval(secs => interval_seconds + grace_seconds) END
    FROM found WHERE heartbeat.id = found.id
    RETURNING heartbeat.id, name, service_id, is_enabled, last_ping_at, found.missed_at AS was_missed_at
), told AS (
    INSERT INTO {InboundEvent._meta.db_table}
        (id, source, scope, service_id, body, headers, generated_key, received_at, state, due_at, attempts, error,
         result)
    SELECT gen_random_uuid(), '{_KIND}', 'heartbeat:' || id, service_id,
        convert_to(json_build_object('action', 'resolve', 'name', name, 'via', %(via)s)::text, 'UTF8'),
        '{{{{}}}}', '', last_ping_at, 'pending', last_ping_at, 0, '', '[]'
    FROM pinged WHERE was_missed_at IS NOT NULL
)
SELECT name, was_missed_at IS NOT NULL, is_enabled FROM pinged ORDER BY id
"""


async def ping_by_key(door, key, via, *, now):
    """A Ping of the heartbeat with this key, or None for an unknown one."""
    pings = await _ping(door, "key_hash = %(digest)s", {"digest": digest(key)}, via, now)
    return pings[0] if pings else None


async def ping_by_name(door, name, via, *, target, now):
    """A Ping of the heartbeat with this name, or None where the key may ping none of this name.

    `target` is that of the sender's key. It pings the heartbeats of its own integration, and those without an
    integration that belong to its service or team.
    """
    which = (
        "name = %(name)s AND (integration_id = %(integration)s OR integration_id IS NULL AND service_id IN ("
        f"SELECT id FROM {Service._meta.db_table} WHERE id = %(service)s OR team_id IN ("
        f"SELECT coalesce(door.team_id, its.team_id) FROM {Integration._meta.db_table} AS door "
        f"LEFT JOIN {Service._meta.db_table} AS its ON its.id = door.service_id WHERE door.id = %(integration)s)))"
    )
    params = {"name": name, "integration": target.integration_id, "service": target.service_id}
    pings = await _ping(door, which, params, via, now)
    return pings[0] if pings else None


async def ping_of_integration(door, target, via, *, now):
    """The Pings of all heartbeats of the integration of this target; an empty list if it has none."""
    return await _ping(door, "integration_id = %(integration)s", {"integration": target.integration_id}, via, now)


async def is_key(door, key):
    """Whether a heartbeat has this key."""
    return bool(await door.fetch(f"SELECT 1 FROM {_TABLE} WHERE key_hash = %s", [digest(key)]))


async def _ping(door, which, params, via, now):
    rows = await door.fetch(_PING.format(which=which), {**params, "via": via[:40], "now": now})
    return [Ping(*row) for row in rows]


# --- misses -------------------------------------------------------------------------------------------------------
def sweep(*, now, limit=SWEPT):
    """Declare missing what is overdue, as far as we could have heard of it. Returns how many."""
    with transaction.atomic():
        rows = _overdue(now).order_by("due_at").select_for_update(skip_locked=True, no_key=True, of=("self",))
        missing = list(rows[:limit])
        for heartbeat in missing:
            heartbeat.missed_at, heartbeat.due_at = now, None
        Heartbeat.objects.bulk_update(missing, ["missed_at", "due_at"])
        InboundEvent.objects.bulk_create([_event(one, _miss(one), now) for one in missing])
        if missing:
            due.wake("events")
    return len(missing)


def oldest_due(now):
    """The deadline of the heartbeat that is overdue for the longest time, or None."""
    return _overdue(now).aggregate(oldest=Min("due_at"))["oldest"]


def _overdue(now):
    # A deadline after the last beat of a web process may only have passed because nobody could reach us.
    heard_until = Presence.objects.filter(pk=1).values("beat_at")
    return Heartbeat.objects.filter(is_enabled=True, due_at__lte=now).filter(due_at__lte=heard_until)


def _miss(heartbeat):
    every, grace = span(heartbeat.interval_seconds), span(heartbeat.grace_seconds)
    last = "It has never pinged."
    if heartbeat.last_ping_at:
        last = f"The last ping came at {heartbeat.last_ping_at:%Y-%m-%d %H:%M:%S} UTC by {heartbeat.last_ping_via}."
    expected = (
        f"A ping is expected every {every} and may be {grace} late."
        if heartbeat.grace_seconds
        else (f"A ping is expected every {every}.")
    )
    return {
        "action": "trigger",
        "name": heartbeat.name,
        "severity": heartbeat.severity,
        "description": "\n\n".join(filter(None, (f"{expected} {last}", heartbeat.description))),
        "url": page_of(heartbeat),
    }


def _event(heartbeat, body, now):
    return InboundEvent(
        id=uuid.uuid4(),
        source=_KIND,
        scope=scope_of(heartbeat),
        service_id=heartbeat.service_id,
        body=json.dumps(body).encode(),
        received_at=now,
        due_at=now,
    )


def scope_of(heartbeat):
    """The scope of its alerts."""
    return f"heartbeat:{heartbeat.pk}"


def alerts_of(heartbeat):
    """Its misses, the latest first."""
    return Alert.objects.filter(scope=scope_of(heartbeat)).select_related("incident").order_by("-first_at")


def page_of(heartbeat):
    return f"{settings.PUBLIC_URL}/heartbeats/{heartbeat.uuid}"


def address(key):
    """Where its sign of life is sent to."""
    return f"{settings.PUBLIC_URL}/in/{_KIND}/{key}"


def state(heartbeat, *, now):
    """ "paused", "new" (waits for its first ping), "missing", "late" (may be, for a while yet) or "up"."""
    if not heartbeat.is_enabled:
        return "paused"
    if heartbeat.missed_at:
        return "missing"
    if heartbeat.due_at is None:
        return "new"
    return "late" if heartbeat.due_at - dt.timedelta(seconds=heartbeat.grace_seconds) <= now else "up"


def span(seconds):
    """A number of seconds in the largest unit that holds it whole: "5 minutes", "90 seconds"."""
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1)):
        if seconds % size == 0 and (seconds or size == 1):
            count = seconds // size
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return f"{seconds} seconds"


def watch_presence(*, now):
    """Tell the admins when heartbeats cannot be judged because no web process shows a sign of life."""
    row = presence.state()
    is_long = row is None or now - row.beat_at > AWAY_ALARM_AFTER
    if is_long and Heartbeat.objects.filter(due_at__isnull=False).exists():
        since = f"since {row.beat_at:%Y-%m-%d %H:%M:%S} UTC" if row else "so far"
        alarms.raise_alarm(
            AWAY_ALARM,
            f"No web process has shown a sign of life {since}, so no alert comes in, and heartbeats that stay "
            "away are not noticed. Start it, or look into its log.",
            now=now,
        )
    else:
        alarms.clear_alarm(AWAY_ALARM, now=now)


# --- what people do -----------------------------------------------------------------------------------------------
@transaction.atomic
def save(heartbeat, *, now):
    """Store what people set, and make its deadline and its alert fit to that. Returns the new key of a new one.

    A changed interval counts from the last ping; where that would be missing already, from now. Pausing ends a miss.
    """
    if heartbeat._state.adding:
        key = keys.issue_key(heartbeat)
        heartbeat.save()
        return key
    heartbeat.save(update_fields=CONFIGURED)  # locks the row
    _settle(heartbeat, now)
    return ""


@transaction.atomic
def new_key(heartbeat):
    """Give it a new key and return its text. The old one stops working at once."""
    key = keys.issue_key(heartbeat)
    heartbeat.save(update_fields=["key_hash", "key_last4"])
    return key


@transaction.atomic
def arm(heartbeat, *, now):
    """Expect pings from now on, whether or not one has come yet. Ends a miss."""
    _lock(heartbeat)
    _end_miss(heartbeat, "It was armed by hand.", now)
    heartbeat.armed_at = now
    _count_from(heartbeat, now)
    heartbeat.save(update_fields=["armed_at", "missed_at", "due_at"])


@transaction.atomic
def set_enabled(heartbeat, is_enabled, *, now):
    """Pause it, which ends a miss, or go on: then it counts from now."""
    heartbeat.is_enabled = is_enabled
    heartbeat.save(update_fields=["is_enabled"])
    _settle(heartbeat, now)


@transaction.atomic
def remove(heartbeat, *, now):
    """Delete it. An alert about it ends."""
    _lock(heartbeat)
    _end_miss(heartbeat, "The heartbeat was deleted.", now)
    heartbeat.delete()


def _lock(heartbeat):
    """Lock its row, and read what pings and the sweep wrote."""
    fresh = Heartbeat.objects.select_for_update().get(pk=heartbeat.pk)
    for name in ("armed_at", "last_ping_at", "last_ping_via", "missed_at", "due_at"):
        setattr(heartbeat, name, getattr(fresh, name))


def _settle(heartbeat, now):
    _lock(heartbeat)
    if not heartbeat.is_enabled:
        _end_miss(heartbeat, "The heartbeat was paused.", now)
        heartbeat.due_at = None
    elif heartbeat.armed_at is None:
        heartbeat.due_at = None
    elif heartbeat.due_at is None and heartbeat.missed_at is None:  # it goes on after a pause
        heartbeat.armed_at = now
        _count_from(heartbeat, now)
    else:
        last = max(filter(None, (heartbeat.last_ping_at, heartbeat.armed_at)))
        allowed = dt.timedelta(seconds=heartbeat.interval_seconds + heartbeat.grace_seconds)
        if last + allowed > now:
            _end_miss(heartbeat, "By its new times it is not missing.", now)
            _count_from(heartbeat, last)
        elif heartbeat.missed_at is None:
            heartbeat.armed_at = now
            _count_from(heartbeat, now)
    heartbeat.save(update_fields=["armed_at", "missed_at", "due_at"])


def _count_from(heartbeat, at):
    heartbeat.due_at = None
    if heartbeat.is_enabled:
        heartbeat.due_at = at + dt.timedelta(seconds=heartbeat.interval_seconds + heartbeat.grace_seconds)


def _end_miss(heartbeat, why, now):
    if heartbeat.missed_at is None:
        return
    at = max(now, heartbeat.missed_at + dt.timedelta(milliseconds=1))
    body = {"action": "resolve", "name": heartbeat.name, "via": why}
    InboundEvent.objects.bulk_create([_event(heartbeat, body, at)])
    heartbeat.missed_at = None
    due.wake("events")
