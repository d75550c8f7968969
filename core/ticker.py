"""The ticker: several times a second it asks which kinds of durable work are due, and wakes workers for them.

Any number may run; an advisory lock lets one do the work while the others stand by. Nothing depends on there being
just one: a task woken twice finds nothing to do.
"""

import datetime as dt
import logging
import time

from django.db import DatabaseError, close_old_connections, connection
from django.utils import timezone
from django_q.brokers import get_broker
from django_q.tasks import async_task

from core import due
from core.models import Pulse, WorkerBeat

logger = logging.getLogger(__name__)

INTERVAL = 0.2
CANARY_SECONDS = 3
HOUSEKEEPING_SECONDS = 600
# With so many wake-ups waiting, one more would wake nobody sooner; a kind that may have none gets one now and then.
QUEUE_FULL, FULL_SECONDS = 20, 30
# Any number that no other program on this database uses for an advisory lock.
LOCK = 7_230_411


class Ticker:
    """The loop. `tick(now)` is one round; `run()` goes on until `stop()`."""

    def __init__(self):
        self.kinds = due.kinds()
        self.is_stopping = False
        self._canary_at = self._housekeeping_at = self._pulse_at = 0.0
        self._woken_at = {}
        self._is_in_trouble = False

    def stop(self, *_):
        self.is_stopping = True

    def run(self):
        logger.info("The ticker watches: %s.", ", ".join(sorted(self.kinds)))
        while not self.is_stopping:
            began = time.monotonic()
            try:
                close_old_connections()
                self.tick(timezone.now())
                if self._is_in_trouble:
                    logger.info("The ticker works again.")
                self._is_in_trouble = False
            except DatabaseError as error:
                if not self._is_in_trouble:
                    logger.warning("The ticker cannot use the database and tries again: %s", error)
                self._is_in_trouble = True
                connection.close()
                time.sleep(0.5)
            time.sleep(max(0.0, INTERVAL - (time.monotonic() - began)))

    def tick(self, now):
        """One round: wake workers for what is due, send a canary now and then. Returns the kinds that were woken."""
        if not _is_mine():
            return []
        clock = time.monotonic()
        if clock - self._pulse_at >= 1:
            Pulse.objects.update_or_create(name="ticker", defaults={"beat_at": now})
            self._pulse_at = clock
        woken = [kind for kind in self.kinds.values() if kind.oldest(now) is not None]
        if woken and get_broker().queue_size() > QUEUE_FULL:
            woken = [kind for kind in woken if clock - self._woken_at.get(kind.name, 0.0) > FULL_SECONDS]
        for kind in woken:
            self._woken_at[kind.name] = clock
            async_task(kind.task)
        if clock - self._canary_at >= CANARY_SECONDS:
            self._canary_at = clock
            # A canary flies to any cluster, so there are two for each that lived lately.
            alive = WorkerBeat.objects.filter(beat_at__gt=now - dt.timedelta(minutes=1)).count()
            for _ in range(2 * max(1, alive)):
                async_task("core.tasks.canary")
        if clock - self._housekeeping_at >= HOUSEKEEPING_SECONDS:
            self._housekeeping_at = clock
            async_task("core.tasks.housekeep")
        return [kind.name for kind in woken]


def _is_mine():
    with connection.cursor() as cursor:
        # Held by this session already, or free: one answer for both, and the lock is never counted up.
        cursor.execute(
            "SELECT CASE WHEN EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = %s "
            "AND pid = pg_backend_pid()) THEN true ELSE pg_try_advisory_lock(%s) END",
            [LOCK, LOCK],
        )
        return cursor.fetchone()[0]
