"""Whose turn it is: the due messages that are claimed next.

Classes first: first pages before repeats, and loud ones before quiet ones. Within a class the shares (a service, for
example) take turns, and within a share its readers do, so that ten thousand messages of one leave the next claim open
to everybody else. While fewer are due than a claim takes, the order is that of their times.
"""

import datetime
import random

from django.db import connection

from notifications.models import BULK, Notification

TABLE = Notification._meta.db_table

CLASSES = ((False, "high"), (False, "low"), (True, "high"), (True, "low"))
# Of readers outside, who are claimed apart from all others: the questions to new ones before the notices.
OUTSIDE = ((False, BULK), (True, BULK))
LATE = datetime.timedelta(seconds=60)
SPARE = 2  # candidates for each row that is wanted, because another worker may hold some

# Of whom it is: a person's number, or that of a destination below zero. The same expression as in the index.
READER = "COALESCE(user_id, destination_id * -1, 0)"
UNSETTLED = "state IN ('pending', 'sending')"
CLASS = f"is_repeat = %(is_repeat)s AND urgency = %(urgency)s AND {UNSETTLED}"
IN_CLASS = f"FROM {TABLE} WHERE {CLASS}"
DUE = "due_at BETWEEN %(from)s AND %(to)s"

# A loose scan: each step goes down the index to the next share, or the next reader, and reads nothing in between.
# Readers start at a random one, so that when there are more than can have a turn, all have the same chance.
FAIR = f"""
WITH RECURSIVE every_share AS (
    SELECT (SELECT min(share) {IN_CLASS}) AS share
    UNION ALL
    SELECT (SELECT min(share) {IN_CLASS} AND share > every_share.share) FROM every_share WHERE share IS NOT NULL
), shares AS MATERIALIZED (
    SELECT share FROM every_share WHERE share IS NOT NULL LIMIT %(candidates)s
), queues AS MATERIALIZED (
    SELECT shares.share, readers.reader FROM shares, LATERAL (
        WITH RECURSIVE upper_part AS (
            SELECT (SELECT min({READER}) {IN_CLASS} AND share = shares.share AND {READER} >= %(start)s) AS reader
            UNION ALL
            SELECT (SELECT min({READER}) {IN_CLASS} AND share = shares.share AND {READER} > upper_part.reader)
            FROM upper_part WHERE reader IS NOT NULL
        ), lower_part AS (
            SELECT (SELECT min({READER}) {IN_CLASS} AND share = shares.share AND {READER} < %(start)s) AS reader
            UNION ALL
            SELECT (SELECT min({READER}) {IN_CLASS} AND share = shares.share AND {READER} > lower_part.reader
                    AND {READER} < %(start)s)
            FROM lower_part WHERE reader IS NOT NULL
        )
        SELECT reader FROM upper_part WHERE reader IS NOT NULL
        UNION ALL SELECT reader FROM lower_part WHERE reader IS NOT NULL
        LIMIT (SELECT greatest(1, %(candidates)s / count(*)) FROM shares)
    ) AS readers
), candidates AS (
    SELECT entry.id, entry.due_at, queues.share,
        row_number() OVER (PARTITION BY queues.share, queues.reader ORDER BY entry.due_at {{direction}}) AS turn
    FROM queues, LATERAL (
        SELECT id, due_at {IN_CLASS} AND share = queues.share AND {READER} = queues.reader AND {DUE}
        ORDER BY due_at {{direction}}
        LIMIT (SELECT greatest(1, %(candidates)s / count(*)) FROM queues)
    ) AS entry
)
SELECT id FROM candidates
ORDER BY row_number() OVER (PARTITION BY share ORDER BY turn, due_at {{direction}}, random()), due_at {{direction}}
"""

# The numbers are given as values: then the planner knows that they are few.
LOCK = f"""
SELECT * FROM {TABLE} WHERE id = ANY(%(ids)s) AND {UNSETTLED} AND {DUE}
ORDER BY array_position(%(ids)s::bigint[], id) LIMIT %(limit)s FOR NO KEY UPDATE SKIP LOCKED
"""

IN_ORDER = f"""
SELECT * {IN_CLASS} AND {DUE} AND NOT id = ANY(%(taken)s)
ORDER BY due_at {{direction}} LIMIT %(limit)s FOR NO KEY UPDATE SKIP LOCKED
"""


def oldest_due(now):
    """When the oldest due message was due, or None."""
    return min((oldest for *_, oldest in due_classes(now)), default=None)


def due_classes(now, classes=CLASSES):
    """(is_repeat, urgency, oldest due time) of each class with due rows, first class first; an index look-up each."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.is_repeat, c.urgency, oldest.due_at "
            "FROM unnest(%s::boolean[], %s::text[]) AS c (is_repeat, urgency), "
            f"LATERAL (SELECT due_at FROM {TABLE} AS entry WHERE entry.is_repeat = c.is_repeat "
            f"AND entry.urgency = c.urgency AND {UNSETTLED} AND due_at <= %s "
            "ORDER BY due_at LIMIT 1) AS oldest",
            [[is_repeat for is_repeat, _ in classes], [urgency for _, urgency in classes], now],
        )
        return sorted(cursor.fetchall(), key=lambda row: classes.index(row[:2]))


def pick(now, limit, classes=CLASSES):
    """Lock up to `limit` due messages and return them in the order in which they are to go out.

    Rows that another worker holds are left out. Call it in a transaction.
    """
    rows = []
    for is_repeat, urgency, oldest in due_classes(now, classes):
        spans = [(oldest, now, "ASC")]
        if oldest < now - LATE:  # after an outage: what is on time first, then the newest of what is late
            late = now - LATE
            spans = [(late, now, "ASC"), (oldest, late - datetime.timedelta(microseconds=1), "DESC")]
        for start, end, direction in spans:
            if len(rows) < limit:
                values = {"is_repeat": is_repeat, "urgency": urgency, "from": start, "to": end}
                rows += _pick(values, direction, limit - len(rows))
    return rows


def _pick(values, direction, limit):
    rows = []
    if _is_crowded(values, limit):
        start = random.randint(*_readers())
        with connection.cursor() as cursor:
            cursor.execute(FAIR.format(direction=direction), {**values, "candidates": SPARE * limit, "start": start})
            ids = [pk for (pk,) in cursor.fetchall()]
        rows = list(Notification.objects.raw(LOCK, {**values, "ids": ids, "limit": limit}))
    if len(rows) < limit:
        more = {"limit": limit - len(rows), "taken": [row.pk for row in rows]}
        rows += Notification.objects.raw(IN_ORDER.format(direction=direction), {**values, **more})
    return rows


def _is_crowded(values, limit):
    """Whether more messages are due than one claim takes."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT count(*) > %(limit)s FROM (SELECT 1 {IN_CLASS} AND {DUE} LIMIT %(limit)s + 1) AS waiting",
            {**values, "limit": limit},
        )
        return cursor.fetchone()[0]


def _readers():
    """The lowest and the highest number of a person, near enough to draw one from."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT COALESCE(min(user_id), 0), COALESCE(max(user_id), 0) FROM {TABLE}")
        return cursor.fetchone()
