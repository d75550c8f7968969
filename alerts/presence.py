"""Whether we could be reached: so that heartbeats that were sent while we were away are not held against anybody.

Every web process writes a beat every few seconds, and only while its event loop answers. A gap in the beats means that
no ping could come in. When the first beat ends a gap, the same transaction puts off the heartbeats that may have been
sent into it. Nothing is judged missing later than the last beat, so a web process that is dead judges nobody.
"""

import asyncio
import datetime as dt
import functools
import logging
import threading

from django.db import close_old_connections, connection, transaction
from django.utils import timezone

from alerts.models import Heartbeat, Presence

logger = logging.getLogger(__name__)

BEAT_SECONDS = 5
AWAY = dt.timedelta(seconds=30)

_FORGIVE = f"""
WITH lost AS (
    SELECT id, %(back)s + make_interval(secs => interval_seconds + grace_seconds) AS until
    FROM {Heartbeat._meta.db_table}
    CROSS JOIN LATERAL (
        SELECT greatest(last_ping_at, armed_at) AS since,
               make_interval(secs => interval_seconds + grace_seconds) AS allowed
    ) AS its
    WHERE is_enabled AND missed_at IS NULL AND due_at > %(away)s
      AND (due_at <= %(back)s OR (due_at = since + allowed AND %(back)s > since + allowed / 2))
    ORDER BY id FOR NO KEY UPDATE OF {Heartbeat._meta.db_table}
)
UPDATE {Heartbeat._meta.db_table} AS heartbeat SET due_at = lost.until
FROM lost WHERE heartbeat.id = lost.id AND heartbeat.due_at < lost.until
"""


def beat(*, now):
    """Note that pings can come in. Returns how many heartbeats were put off because of a gap that ends now."""
    if Presence.objects.filter(pk=1, beat_at__gte=now - AWAY, beat_at__lte=now).update(beat_at=now):
        return 0
    with transaction.atomic():
        Presence.objects.bulk_create([Presence(pk=1, beat_at=now)], ignore_conflicts=True)
        row = Presence.objects.select_for_update().get(pk=1)
        if abs(row.beat_at - now) <= AWAY:  # another process was first, or its clock is a little ahead
            return 0
        put_off = 0
        if row.beat_at < now:
            row.away_at, row.back_at = row.beat_at, now
            put_off = _forgive(away=row.away_at, back=now)
            logger.warning(
                "No web process could be reached from %s to %s. %d heartbeats that may have been sent meanwhile are "
                "expected later.",
                row.away_at,
                now,
                put_off,
            )
        row.beat_at = now  # also when it was far ahead: a clock was set back
        row.save()
    return put_off


def _forgive(*, away, back):
    """Put off the heartbeats whose ping may have been lost in the gap; return how many.

    A deadline in the gap counts anew from its end. So does a later one if a single lost ping could explain that it is
    passed, which needs at least half of the time that a ping gives; and only once for each real ping, or restarts
    that come more often than a heartbeat would hide its misses for ever.
    """
    with connection.cursor() as cursor:
        cursor.execute(_FORGIVE, {"away": away, "back": back})
        return cursor.rowcount


def state():
    """The Presence of this installation, or None when no web process has run yet."""
    return Presence.objects.filter(pk=1).first()


def back_at(now):
    """When the last gap ended, or None: there was none, or it lasts at `now`."""
    row = state()
    return row.back_at if row and now - row.beat_at <= AWAY else None


def is_away(now):
    """Whether no web process has shown a sign of life for a while."""
    row = state()
    return row is None or now - row.beat_at > AWAY


class Beater(threading.Thread):
    """The thread of a web process that beats while its event loop answers; outlives outages of the database."""

    def __init__(self, *, every=BEAT_SECONDS):
        super().__init__(name="presence", daemon=True)
        self._every = every
        self._loop = None
        self._stopping = threading.Event()
        self._is_in_trouble = False

    def around(self, app):
        """The ASGI application `app`, of which this thread learns the event loop."""

        @functools.wraps(app)
        async def watched(scope, receive, send):
            if self._loop is None:
                self._loop = asyncio.get_running_loop()
            await app(scope, receive, send)

        return watched

    def stop(self):
        self._stopping.set()

    def run(self):
        while not self._stopping.wait(self._every):
            if self._answers():
                self._beat()

    def _answers(self):
        """Whether the event loop has just done something for us. Before the first request we do not know it."""
        if self._loop is None:
            return True
        answered = threading.Event()
        try:
            self._loop.call_soon_threadsafe(answered.set)
        except RuntimeError:  # closed: the server ends
            return False
        return answered.wait(self._every)

    def _beat(self):
        try:
            close_old_connections()
            beat(now=timezone.now())
            if self._is_in_trouble:
                logger.info("Beats are written again.")
            self._is_in_trouble = False
        except Exception as error:  # without this thread no heartbeat would be judged any more, and nobody would know
            if not self._is_in_trouble:
                logger.warning("A beat could not be written, and is tried again: %s", error)
            self._is_in_trouble = True
        finally:
            connection.close()
