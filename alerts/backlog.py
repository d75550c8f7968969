"""What is stored and not decided yet: whose turn it is, who may take it, and how long raw events are kept.

Two orders hold at once. The scopes, which are the keys that events come through, take turns, so that ten thousand
events of one leave the next batch open to everybody else. And within a scope events are decided in the order in which
they were received: an end after its beginning, a new trouble after the end of the last. So a scope is in one hand at a
time: whoever decides some of it holds an advisory lock of the database until that is committed.
"""

import datetime as dt
import math
import time

from django.conf import settings
from django.db import connection, transaction

from alerts.batch import DECIDE_GRACE
from alerts.models import ChangeEvent, InboundEvent, Integration, SeenSignature
from notifications import alarms
from notifications.models import Alarm

BATCH = 200
# A batch is one transaction, and a few large requests hold as many alerts as hundreds of small ones.
BATCH_BYTES = 512 * 1024
# Rows of a batch while there is a backlog: as many as are decided in about this time.
SMALLEST, LARGEST = 50, 1000
BATCH_SECONDS = 0.2
# When another may look at what was left to it: whoever has the scope needs less.
HAND_OVER = dt.timedelta(milliseconds=100)
# The first of two numbers of an advisory lock; the second stands for the scope.
SCOPE_LOCK = 7_230_412
OPEN_STATES = (InboundEvent.State.PENDING, InboundEvent.State.FAILED)

TABLE = InboundEvent._meta.db_table
OPEN = "state IN ('pending', 'failed')"
# In its scope's order also comes what a web process keeps from the workers for a moment. What waits for longer (for
# its place in a rate, for an earlier event, for another try) lets others pass.
IN_LINE = "state = 'pending' AND due_at <= received_at + %(grace)s"


def in_scope(scope):
    """The rows of one scope in their order, by the index of turns.

    Said as a range: with an equation the planner leaves the scope out of the order, and may then read a hundred
    thousand rows of others by their time to find the one of a quiet scope.
    """
    return f"scope BETWEEN {scope} AND {scope}", "ORDER BY scope, received_at, id"


WHERE_HELD, IN_ORDER = in_scope("held.scope")
WHERE_NEXT, _ = in_scope("circle.scope")


# A loose scan: each step goes down the index to the next scope and reads nothing in between. It begins after the scope
# that had the last turn, and ends when enough are found.
DUE_SCOPES = f"""
WITH RECURSIVE upper_part AS (
    SELECT (SELECT min(scope) FROM {TABLE} WHERE {OPEN} AND scope > %(after)s) AS scope
    UNION ALL
    SELECT (SELECT min(scope) FROM {TABLE} WHERE {OPEN} AND scope > upper_part.scope)
    FROM upper_part WHERE scope IS NOT NULL
), lower_part AS (
    SELECT (SELECT min(scope) FROM {TABLE} WHERE {OPEN} AND scope <= %(after)s) AS scope
    UNION ALL
    SELECT (SELECT min(scope) FROM {TABLE} WHERE {OPEN} AND scope > lower_part.scope AND scope <= %(after)s)
    FROM lower_part WHERE scope IS NOT NULL
), circle AS (
    SELECT scope FROM upper_part WHERE scope IS NOT NULL
    UNION ALL SELECT scope FROM lower_part WHERE scope IS NOT NULL
), due_scopes AS MATERIALIZED (
    SELECT scope FROM circle
    WHERE (SELECT true FROM {TABLE} WHERE {OPEN} AND {WHERE_NEXT} AND due_at <= %(now)s {IN_ORDER} LIMIT 1)
    LIMIT 2 * %(limit)s
)
SELECT scope FROM due_scopes WHERE pg_try_advisory_xact_lock(%(lock)s, hashtext(scope)) LIMIT %(limit)s
"""

# The first of each scope, then the second of each, and so on. A statement of its own: it must see what those committed
# who had the locks before.
TAKE_TURNS = f"""
WITH waiting AS (
    SELECT entry.id, entry.size, held.place,
        row_number() OVER (PARTITION BY held.place ORDER BY entry.received_at, entry.id) AS turn
    FROM unnest(%(scopes)s::text[]) WITH ORDINALITY AS held (scope, place), LATERAL (
        SELECT id, received_at, length(body) AS size FROM {TABLE}
        WHERE {OPEN} AND {WHERE_HELD} AND (due_at <= %(now)s OR {IN_LINE})
        {IN_ORDER} LIMIT %(share)s
    ) AS entry
), line AS (
    SELECT id, place, row_number() OVER (ORDER BY turn, place) AS number,
        sum(size) OVER (ORDER BY turn, place) - size AS bytes_before
    FROM waiting
)
SELECT event.*, line.place FROM {TABLE} AS event JOIN line USING (id)
WHERE line.number <= %(limit)s AND line.bytes_before < %(bytes)s AND {OPEN}
ORDER BY event.received_at, event.id FOR UPDATE OF event SKIP LOCKED
"""

LOCK_SCOPES_OF = f"""
SELECT scope FROM (SELECT DISTINCT scope FROM {TABLE} WHERE id = ANY(%(ids)s) AND {OPEN}) AS named
WHERE pg_try_advisory_xact_lock(%(lock)s, hashtext(scope))
"""

# Only what nothing older of its scope stands before: in line, or due by now, such as an end that waited for its place.
# Joined by an expression, so that the rows are found by their ids and not among all that wait in their scope.
TAKE_THESE = f"""
WITH held AS MATERIALIZED (
    SELECT scope, (
        SELECT received_at FROM {TABLE}
        WHERE {OPEN} AND {WHERE_HELD} AND state = 'pending' AND (due_at <= %(now)s OR {IN_LINE})
            AND id <> ALL(%(ids)s)
        ORDER BY scope, received_at LIMIT 1
    ) AS waiting_since FROM unnest(%(scopes)s::text[]) AS held (scope)
)
SELECT event.* FROM {TABLE} AS event JOIN held ON held.scope = event.scope || ''
WHERE event.id = ANY(%(ids)s) AND {OPEN} AND (waiting_since IS NULL OR event.received_at <= waiting_since)
ORDER BY event.received_at, event.id FOR UPDATE OF event SKIP LOCKED
"""

LEAVE_TO_OTHERS = f"""
UPDATE {TABLE} SET due_at = %(soon)s WHERE id IN (
    SELECT id FROM {TABLE} WHERE id = ANY(%(ids)s) AND state = 'pending' AND due_at > %(soon)s FOR UPDATE SKIP LOCKED
)
"""


class Turns:
    """Remembers which scope had the last turn in this process, so that each has one before any has two."""

    def __init__(self):
        self.after = ""

    def claim(self, *, now, limit=BATCH):
        """Lock up to `limit` due events, fairly, and return them in the order of their receipt.

        Call it in a transaction, whose end gives the locks back. What somebody else has in hand is left out.
        """
        values = {"now": now, "limit": limit, "bytes": BATCH_BYTES, "grace": DECIDE_GRACE, "lock": SCOPE_LOCK}
        scopes = _column(DUE_SCOPES, {**values, "after": self.after})
        if not scopes:
            return []
        share = limit if len(scopes) == 1 else math.ceil(2 * limit / len(scopes))
        rows = list(InboundEvent.objects.raw(TAKE_TURNS, {**values, "scopes": scopes, "share": share}))
        if rows:
            self.after = scopes[max(row.place for row in rows) - 1]
        return rows


def claim_these(ids, *, now):
    """Lock those of these events whose turn it is, and return them; the others are left to the workers.

    Call it in a transaction. Left are those whose scope is in another hand, or has something older.
    """
    ids = list(ids)
    values = {"ids": ids, "now": now, "grace": DECIDE_GRACE, "lock": SCOPE_LOCK}
    scopes = _column(LOCK_SCOPES_OF, values)
    rows = list(InboundEvent.objects.raw(TAKE_THESE, {**values, "scopes": scopes})) if scopes else []
    if len(rows) < len(ids):
        rest = list(set(ids).difference(row.pk for row in rows))
        with connection.cursor() as cursor:
            cursor.execute(LEAVE_TO_OTHERS, {"ids": rest, "soon": now + HAND_OVER})
    return rows


def oldest_due(now):
    """The due time of the oldest undecided event that is due, or None."""
    rows = InboundEvent.objects.filter(state__in=OPEN_STATES, due_at__lte=now).order_by("due_at")
    return rows.values_list("due_at", flat=True).first()


def next_size(size, decided, seconds):
    """How many rows the next batch should have, after one of so many took so long."""
    if decided < size:
        return size
    wanted = decided * BATCH_SECONDS / max(seconds, BATCH_SECONDS / 2)  # at most twice as many
    return round(min(LARGEST, max(SMALLEST, wanted)))


def _column(query, values):
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        return [value for (value,) in cursor.fetchall()]


# --- what waits for its place in a rate ---------------------------------------------------------------------------

WAITS = "state = 'pending' AND attempts = 0 AND due_at > received_at + %(grace)s"
LIMIT_ALARM = "rate:"


def tell_of_limits(rows, *, now):
    """Raise an alarm for each integration of whose events some waited for their place in its rate."""
    slow = {
        row.scope: row.integration_id
        for row in rows
        if row.integration_id and row.due_at and not row.attempts and row.due_at - row.received_at > DECIDE_GRACE
    }
    if not slow:
        return
    limited = Integration.objects.filter(pk__in=slow.values(), events_per_minute__isnull=False).in_bulk()
    texts = {}
    for scope, integration_id in slow.items():
        if integration_id in limited:
            texts[f"{LIMIT_ALARM}{scope}"] = _limit_text(limited[integration_id], scope, now)
    alarms.raise_alarms(texts, now=now)


def _limit_text(integration, scope, now):
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT count(*), max(due_at) FROM {TABLE} WHERE scope = %(scope)s AND {WAITS}",
            {"scope": scope, "grace": DECIDE_GRACE},
        )
        waiting, until = cursor.fetchone()
    longest = max(0, round((until - now).total_seconds())) if until else 0
    return (
        f"The integration “{integration.name}” sends more than its {integration.events_per_minute} events a minute: "
        f"{waiting} of them wait, up to {longest} s. None is lost, and new critical and high alerts do not wait. Let "
        "it send less, or raise its limit in the admin."
    )


def clear_limit_alarms(*, now):
    """Close the alarms of integrations of which nothing waits any more."""
    open_ones = Alarm.objects.filter(key__startswith=LIMIT_ALARM, cleared_at=None)
    keys = set(open_ones.values_list("key", flat=True))
    if not keys:
        return
    scopes = [key.removeprefix(LIMIT_ALARM) for key in keys]
    still = _column(
        f"SELECT DISTINCT scope FROM {TABLE} WHERE scope = ANY(%(scopes)s) AND {OPEN} AND {WAITS}",
        {"scopes": scopes, "grace": DECIDE_GRACE},
    )
    if calm := keys.difference(f"{LIMIT_ALARM}{scope}" for scope in still):
        alarms.clear_alarms(calm, now=now)


# --- retention ----------------------------------------------------------------------------------------------------

PRUNED_AT_ONCE = 1000
PRUNE_SECONDS = 10
# What could not be decided, and what nobody has dealt with, is kept this many times as long.
TROUBLE_KEPT = 4
# A signature is refused when it is 300 s old, so nobody can replay one that was seen this long ago.
SIGNATURE_KEPT = dt.timedelta(seconds=600)


def prune(*, now, seconds=PRUNE_SECONDS, clock=time.monotonic):
    """Delete what is older than it is kept, and return how many rows.

    In short transactions that skip what somebody holds, for `seconds` at most; the next call goes on.
    """
    old_event = now - dt.timedelta(days=settings.RAW_EVENT_DAYS)
    old_trouble = now - TROUBLE_KEPT * dt.timedelta(days=settings.RAW_EVENT_DAYS)
    old_change = now - dt.timedelta(days=settings.CHANGE_EVENT_DAYS)
    until = clock() + seconds
    deleted = 0
    for model, field, condition, before in (
        (SeenSignature, "seen_at", "true", now - SIGNATURE_KEPT),
        (InboundEvent, "received_at", "state = 'decided'", old_event),
        (InboundEvent, "received_at", "state IN ('failed', 'poison')", old_trouble),
        (ChangeEvent, "received_at", "true", old_change),
    ):
        while clock() < until:
            gone = _delete(model._meta.db_table, field, condition, before)
            deleted += len(gone)
            if "poison" in condition:
                alarms.clear_alarms([f"event:{pk}" for pk in gone], now=now)
            if len(gone) < PRUNED_AT_ONCE:
                break
    return deleted


def _delete(table, field, condition, before):
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            f"DELETE FROM {table} WHERE id IN (SELECT id FROM {table} WHERE {condition} AND {field} < %s "
            f"ORDER BY {field} LIMIT %s FOR UPDATE SKIP LOCKED) RETURNING id",
            [before, PRUNED_AT_ONCE],
        )
        return [pk for (pk,) in cursor.fetchall()]
