"""Deciding right after the commit: one thread of the web process, and whoever waits for its answer."""

import asyncio
import collections
import contextlib
import logging
import threading
import time

from django.db import close_old_connections, connection
from django.utils import timezone

from alerts.batch import DECIDED
from alerts.line import UNREACHABLE
from alerts.models import InboundEvent

logger = logging.getLogger(__name__)

# Deciding and accepting share one interpreter, and a busy deciding thread was measured to cost three quarters of the
# accepted requests. So this process decides a burst at once, and then so many a second; what is beyond is due at once
# for the workers.
DECIDE_BURST = 200
DECIDE_PER_SECOND = 50
LOOK_SECONDS = 0.025


class Decider:
    """One thread that decides what this process accepted, within an allowance that leaves the doors open.

    `decide(ids, now=)` is synchronous and takes a batch in one transaction. Whatever it leaves behind is a due row.
    """

    def __init__(self, decide):
        self._decide = decide
        self._waiting = collections.deque()
        self._change = threading.Condition()
        self._thread = None
        self._stopping = False
        self._allowance, self._allowed_at = DECIDE_BURST, time.monotonic()
        self.listeners = []  # called with nothing, in the thread, after each batch

    def has_room(self, count):
        """Whether `count` more may be handed over now: all or none, so that the thread wakes seldom under load."""
        clock = time.monotonic()
        self._allowance = min(DECIDE_BURST, self._allowance + DECIDE_PER_SECOND * (clock - self._allowed_at))
        self._allowed_at = clock
        return self._decide is not None and count + len(self._waiting) <= self._allowance

    def take(self, ids):
        """Decide these soon, in the thread."""
        if not ids:
            return
        self._allowance -= len(ids)
        with self._change:
            self._waiting.extend(ids)
            self._change.notify()
        if self._thread is None or not self._thread.is_alive():
            self._stopping = False
            self._thread = threading.Thread(target=self._work, name="alerts-decider", daemon=True)
            self._thread.start()

    def stop(self, timeout=5):
        """End the thread after the batch it is at; what still waits stays due."""
        with self._change:
            self._stopping = True
            self._waiting.clear()
            self._change.notify()
        if self._thread is not None:
            self._thread.join(timeout)

    def _work(self):
        try:
            while True:
                with self._change:
                    self._change.wait_for(lambda: self._waiting or self._stopping)
                    if self._stopping:
                        return
                    ids = list(self._waiting)
                    self._waiting.clear()
                self._batch(ids)
        finally:
            connection.close()

    def _batch(self, ids):
        close_old_connections()
        try:
            self._decide(ids, now=timezone.now())
        except Exception:  # the rows are due in a moment, and the workers' sweep looks at them one by one
            logger.warning("Deciding %d inbound events failed here. The workers take them.", len(ids), exc_info=True)
        finally:
            close_old_connections()
        for tell in list(self.listeners):
            tell()


class Watcher:
    """Waits for decisions: told by the decider of this process, and looking for those of the workers."""

    def __init__(self, line, loop):
        self._line = line
        self._loop = loop
        self._waiting = {}
        self._told = asyncio.Event()
        self._task = None

    def tell(self):
        """Look at once. Called in another thread."""
        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
            self._loop.call_soon_threadsafe(self._told.set)

    async def result(self, event_id, seconds):
        """The `result` of the event, or None if it is not decided within that time."""
        done = self._waiting.setdefault(event_id, self._loop.create_future())
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._look())
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.shield(done)
        except TimeoutError:
            return None
        finally:
            self._waiting.pop(event_id, None)

    async def _look(self):
        while self._waiting:
            self._told.clear()
            try:
                rows = await self._line.fetch(
                    f"SELECT id, result FROM {InboundEvent._meta.db_table} WHERE id = ANY(%s) AND state IN (%s, %s)",
                    [list(self._waiting), DECIDED, InboundEvent.State.POISON.value],
                )
            except UNREACHABLE as error:
                logger.warning("Could not look for decisions: %s", error)
                rows = []
            for event_id, result in rows:
                done = self._waiting.get(event_id)
                if done is not None and not done.done():
                    done.set_result(result)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._told.wait()
