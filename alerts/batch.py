"""Group commit: inbound events that arrive together are stored by one statement."""

import asyncio
import collections
import contextlib
import dataclasses
import functools
import logging
import math
import operator
import uuid
from datetime import datetime, timedelta

from django.conf import settings
from psycopg.types.json import Jsonb

from alerts.line import ROW_ERRORS, UNREACHABLE
from alerts.models import InboundEvent, SeenSignature

logger = logging.getLogger(__name__)

# The first event of a batch waits at most this long for others, and less when none come. While a commit is under way
# they gather anyway.
GATHER_SECONDS = 0.003
GATHER_STEPS = 3
BATCH_ROWS = 500
# Bodies may be megabytes: the queue is bounded in bytes as well as in rows (settings.INGEST_QUEUE_LIMIT).
QUEUE_BYTES = 64 * 1024 * 1024
# One scope has at most this share of it: a storm through one key must leave the door open to the others.
SCOPE_SHARE = 0.75
# Workers keep away for so long from what this process decides itself.
DECIDE_GRACE = timedelta(seconds=2)

PENDING, DECIDED = InboundEvent.State.PENDING.value, InboundEvent.State.DECIDED.value


class Unavailable(Exception):
    """Nothing was stored: the queue is full or the database cannot be reached. The sender must try again."""


class Replayed(Exception):
    """The signature of this request was used before."""


class Unstorable(Exception):
    """The database refuses this one row."""


_NOTHING = Jsonb([])


@dataclasses.dataclass(slots=True, eq=False)
class Row:
    """What becomes an InboundEvent. The fields but the last two are its columns."""

    id: uuid.UUID
    source: str
    scope: str
    integration_id: int | None
    service_id: int | None
    body: bytes
    headers: Jsonb
    generated_key: str
    received_at: datetime
    due_at: datetime | None
    state: str
    decided_at: datetime | None
    attempts: int = 0
    error: str = ""
    result: Jsonb = _NOTHING
    signature: str = ""  # may be used once
    may_exist: bool = False  # the id is derived from the request, so a repeat has the same


_TYPES = {
    "id": "uuid",
    "source": "text",
    "scope": "text",
    "integration_id": "int8",
    "service_id": "int8",
    "body": "bytea",
    "headers": "jsonb",
    "generated_key": "text",
    "received_at": "timestamptz",
    "due_at": "timestamptz",
    "state": "text",
    "decided_at": "timestamptz",
    "attempts": "int4",
    "error": "text",
    "result": "jsonb",
}
_COLUMNS = ", ".join(_TYPES)
_values = operator.attrgetter(*_TYPES)

_COPY = f"COPY {InboundEvent._meta.db_table} ({_COLUMNS}) FROM STDIN (FORMAT BINARY)"
# An id that is there already is left out, and so is a row whose signature was used before.
_INSERT = (
    f"INSERT INTO {InboundEvent._meta.db_table} ({_COLUMNS}) "
    f"SELECT {', '.join(f'%({name})s::{kind}' for name, kind in _TYPES.items())}"
)
_INSERT_NEW = f"{_INSERT} ON CONFLICT (id) DO NOTHING RETURNING id"
_INSERT_SIGNED = (
    f"WITH fresh AS (INSERT INTO {SeenSignature._meta.db_table} (integration_id, signature, seen_at) "
    "VALUES (%(integration_id)s, %(signature)s, %(received_at)s) ON CONFLICT DO NOTHING RETURNING 1) "
    f"{_INSERT} FROM fresh ON CONFLICT (id) DO NOTHING RETURNING id"
)


async def _commit(connection, rows):
    """Store the rows in one transaction; for each True, False (its id was there before) or an exception."""
    careful = [row for row in rows if row.signature or row.may_exist]
    if not careful:
        await _copy(connection, rows)
        return [True] * len(rows)
    async with connection.transaction():
        await _copy(connection, [row for row in rows if not (row.signature or row.may_exist)])
        outcomes = dict(zip(careful, await _insert(connection, careful), strict=True))
    return [outcomes.get(row, True) for row in rows]


async def _commit_alone(connection, row):
    async with connection.transaction():
        return (await _insert(connection, [row]))[0]


async def _copy(connection, rows):
    # Measured against INSERT ... SELECT FROM unnest(arrays): half the time on the server, half the CPU here.
    async with connection.cursor() as cursor, cursor.copy(_COPY) as copy:
        copy.set_types(list(_TYPES.values()))
        for row in rows:
            await copy.write_row(_values(row))


async def _insert(connection, rows):
    async with connection.pipeline():
        cursors = [
            await connection.execute(
                _INSERT_SIGNED if row.signature else _INSERT_NEW,
                {name: getattr(row, name) for name in (*_TYPES, "signature")},
            )
            for row in rows
        ]
        new = {row for row, cursor in zip(rows, cursors, strict=True) if await cursor.fetchone()}
    missing = [row.id for row in rows if row not in new]
    known = set()
    if missing:
        cursor = await connection.execute(
            f"SELECT id FROM {InboundEvent._meta.db_table} WHERE id = ANY(%s)", [missing]
        )
        known = {row_id for (row_id,) in await cursor.fetchall()}
    # An id of our own making that is there was stored by an earlier try whose answer got lost.
    return [row in new or (not row.may_exist if row.id in known else Replayed()) for row in rows]


class Collector:
    """Group commit: rows that arrive together are stored by one statement. `put` returns after the commit."""

    def __init__(self, line, decider, committed):
        self._line = line
        self._decider = decider
        self._committed = committed
        self._waiting = collections.deque()
        self.rows = self._bytes = 0  # waiting or being written
        self._scopes = {}  # scope -> [rows, bytes] of these
        self._arrived = asyncio.Event()
        self._task = None

    def check_room(self, scope=None):
        """Raise Unavailable if no more can be taken, of this scope if one is given."""
        limit = settings.INGEST_QUEUE_LIMIT
        if self.rows >= limit or self._bytes >= QUEUE_BYTES:
            raise Unavailable
        rows, size = self._scopes.get(scope, (0, 0))
        if rows >= math.ceil(limit * SCOPE_SHARE) or size >= QUEUE_BYTES * SCOPE_SHARE:
            raise Unavailable

    async def put(self, row):
        """Store the row; True if it is new, False if its id was there before.

        Raises Unavailable, Replayed or Unstorable: then it is not stored.
        """
        self.check_room(row.scope)
        done = asyncio.get_running_loop().create_future()
        self._count(row, 1)
        self._waiting.append((row, done))
        self._arrived.set()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work())
        return await done

    async def close(self):
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _work(self):
        while True:
            self._arrived.clear()
            if not self._waiting:
                await self._arrived.wait()
                await self._gather()
            batch = [self._waiting.popleft() for _ in range(min(BATCH_ROWS, len(self._waiting)))]
            try:
                await self._write(batch)
            except Exception as error:  # the loop must go on
                # Those who gathered meanwhile would only wait as long again for the same answer: try later.
                batch += self._waiting
                self._waiting.clear()
                logger.error("%d inbound events could not be stored: %s", len(batch), error)
                self._turn_away(batch)
            except asyncio.CancelledError:
                self._turn_away(batch)
                raise
            finally:
                for row, _ in batch:
                    self._count(row, -1)

    def _count(self, row, amount):
        size = amount * len(row.body)
        self.rows += amount
        self._bytes += size
        own = self._scopes.setdefault(row.scope, [0, 0])
        own[0] += amount
        own[1] += size
        if not own[0]:
            del self._scopes[row.scope]

    async def _gather(self):
        for _ in range(GATHER_STEPS):
            before = len(self._waiting)
            await asyncio.sleep(GATHER_SECONDS / GATHER_STEPS)
            if len(self._waiting) == before or before >= BATCH_ROWS:
                return  # nobody else is coming just now

    async def _write(self, batch):
        rows = [row for row, _ in batch]
        # What has a due time already waits for its place in a rate.
        at_once = [row for row in rows if row.state == PENDING and row.due_at is None]
        ours = self._decider.choose(collections.Counter(row.scope for row in at_once))
        for row in at_once:
            row.due_at = row.received_at + DECIDE_GRACE if row.scope in ours else row.received_at
        outcomes = await self._store(rows)
        self._settle(batch, outcomes)
        stored = [row for row, outcome in zip(rows, outcomes, strict=True) if outcome is True]
        if ours:
            taken = set(at_once)
            self._decider.take([(row.scope, row.id) for row in stored if row.scope in ours and row in taken])
        self._committed(stored)

    async def _store(self, rows):
        try:
            return await self._line.do(functools.partial(_commit, rows=rows))
        except ROW_ERRORS:
            # One of them is bad, or all were stored by a try whose answer got lost. Nobody fails for another.
            outcomes = []
            for row in rows:
                is_down = outcomes and isinstance(outcomes[-1], Unavailable)
                outcomes.append(Unavailable() if is_down else await self._store_alone(row))
            return outcomes

    async def _store_alone(self, row):
        try:
            return await self._line.do(functools.partial(_commit_alone, row=row))
        except ROW_ERRORS as error:
            logger.error("An inbound event of %s through %s could not be stored: %s", row.source, row.scope, error)
            return Unstorable()
        except UNREACHABLE:
            return Unavailable()

    def _turn_away(self, batch):
        self._settle(batch, [Unavailable() for _ in batch])

    @staticmethod
    def _settle(batch, outcomes):
        for (_, done), outcome in zip(batch, outcomes, strict=True):
            if done.done():
                continue  # the sender hung up
            if isinstance(outcome, Exception):
                done.set_exception(outcome)
            else:
                done.set_result(outcome)
