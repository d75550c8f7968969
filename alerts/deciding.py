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
DECIDE_BURST, DECIDE_PER_SECOND = 200, 50
# So much more is kept for the scopes that send little: a storm through one key must not send them all to the workers.
RESERVE_BURST, RESERVE_PER_SECOND = 100, 10
QUIET_BURST, QUIET_PER_SECOND = 10, 1
# Once events of a scope were left to the workers, those that come next follow them: they would only wait for them.
LEFT_SECONDS = 1
AT_ONCE = 100
SCOPES_KEPT = 10_000
LOOK_SECONDS = 0.025


class Allowance:
    """So many at once, and so many more a second."""

    __slots__ = ("burst", "per_second", "_left", "_at")

    def __init__(self, burst, per_second, clock):
        self.burst, self.per_second = burst, per_second
        self._left, self._at = burst, clock

    def left(self, clock):
        """How many may be taken now."""
        self._left = min(self.burst, self._left + self.per_second * (clock - self._at))
        self._at = clock
        return self._left

    def take(self, count):
        self._left -= count


class Decider:
    """One thread that decides what this process accepted, within an allowance that leaves the doors open.

    `decide(ids, now=)` is synchronous and takes a batch in one transaction. Whatever it leaves behind is a due row.
    """

    def __init__(self, decide):
        self._decide = decide
        self._waiting = {}  # scope -> ids in order
        self._change = threading.Condition()
        self._thread = None
        self._stopping = False
        clock = time.monotonic()
        self._shared = Allowance(DECIDE_BURST, DECIDE_PER_SECOND, clock)
        self._reserve = Allowance(RESERVE_BURST, RESERVE_PER_SECOND, clock)
        self._scopes = {}  # scope -> its Allowance
        self._left_at = {}  # scope -> when some of it was left to the workers
        self.listeners = []  # called with nothing, in the thread, after each batch

    def choose(self, counts, clock=None):
        """The scopes of which this process takes what it just accepted; `counts` is how much of each.

        All or nothing of a scope, so that the thread wakes seldom under load.
        """
        if self._decide is None:
            return set()
        clock = time.monotonic() if clock is None else clock
        waiting = sum(map(len, list(self._waiting.values())))
        return {scope for scope, count in counts.items() if self._is_ours(scope, count, waiting, clock)}

    def take(self, rows):
        """Decide these soon, in the thread: pairs of a scope and an id."""
        if not rows:
            return
        with self._change:
            for scope, pk in rows:
                self._waiting.setdefault(scope, collections.deque()).append(pk)
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

    def _is_ours(self, scope, count, waiting, clock):
        if clock - self._left_at.get(scope, -LEFT_SECONDS) < LEFT_SECONDS:
            return False
        own = self._own(scope, clock)
        if own.left(clock) >= count and waiting < DECIDE_BURST + RESERVE_BURST:
            for allowance in (self._shared, self._reserve):
                if allowance.left(clock) >= count:
                    own.take(count)
                    allowance.take(count)
                    return True
        elif self._shared.left(clock) >= count + waiting:
            self._shared.take(count)
            return True
        self._left_at.pop(scope, None)
        self._left_at[scope] = clock
        while len(self._left_at) > SCOPES_KEPT:
            del self._left_at[next(iter(self._left_at))]
        return False

    def _own(self, scope, clock):
        own = self._scopes.pop(scope, None) or Allowance(QUIET_BURST, QUIET_PER_SECOND, clock)
        self._scopes[scope] = own  # now the latest
        while len(self._scopes) > SCOPES_KEPT:
            del self._scopes[next(iter(self._scopes))]
        return own

    def _work(self):
        try:
            while True:
                with self._change:
                    self._change.wait_for(lambda: self._waiting or self._stopping)
                    if self._stopping:
                        return
                    ids = self._next()
                self._batch(ids)
        finally:
            connection.close()

    def _next(self):
        """Some of what waits: the first of each scope, then the second of each, and so on."""
        ids = []
        while self._waiting and len(ids) < AT_ONCE:
            for scope in list(self._waiting):
                ids.append(self._waiting[scope].popleft())
                if not self._waiting[scope]:
                    del self._waiting[scope]
        return ids

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
