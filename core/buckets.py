"""Token buckets: how much of something may happen, counted in one process, in Redis or in PostgreSQL.

A bucket is one number, the time at which it is full again: what is taken moves it into the future, and more than a
window ahead it never goes. All stores count alike, and none reads a clock. Times are seconds since 1970.
"""

import dataclasses
import re
import threading

import psycopg
import redis

from core import lines
from core.models import Bucket

SPANS = {"s": 1, "second": 1, "m": 60, "minute": 60, "h": 3600, "hour": 3600}
_WRITTEN = re.compile(r"(\d{1,9})\s*/\s*(\d{1,5})?\s*([a-z]+)")
_SLACK = 1e-5  # numbers of this size are exact to less than a microsecond
# A bucket that says it is emptier than empty comes from a clock that was set back: it begins anew. So far the clocks
# of two machines may differ.
_SKEW = 60
KEPT_LIMIT = 50_000

# A store that does not answer within this time is down: whoever waits for it is kept from paging somebody.
CONNECT_SECONDS, ANSWER_SECONDS = 1, 0.5


class StoreDown(Exception):
    """The shared buckets cannot be asked."""


@dataclasses.dataclass(frozen=True, slots=True)
class Limit:
    """`quota` at once, and as much again in every `window` seconds."""

    name: str
    quota: int
    window: int

    @property
    def rate(self):
        """How many come back each second."""
        return self.quota / self.window

    @classmethod
    def read(cls, name, text):
        """The limit that stands as "600/minute" or "20/10s" in a setting, or None for "off". Raises ValueError."""
        if text.strip().lower() == "off":
            return None
        match = _WRITTEN.fullmatch(text.strip().lower())
        if not match or match[3] not in SPANS or not int(match[1]) or not int(match[2] or 1):
            raise ValueError("write it as 600/minute, 20/10s or 5000/hour, or off")
        return cls(name, int(match[1]), int(match[2] or 1) * SPANS[match[3]])


@dataclasses.dataclass(frozen=True, slots=True)
class Taken:
    """What became of a wish: whether it was granted, and when the bucket is full again after it."""

    is_granted: bool
    full_at: float

    def left(self, limit, now):
        """How many there are."""
        return max(0, int((limit.window - max(0.0, self.full_at - now) + _SLACK / 2) * limit.rate))

    def wait(self, limit, cost, now):
        """In how many seconds there are `cost`."""
        return max(0.0, self.full_at + cost / limit.rate - limit.window - now)


def take(full_at, limit, cost, now):
    """Take `cost` out of a bucket that is full at `full_at`, all or nothing."""
    latest = now + limit.window + _SLACK
    begin = max(full_at, now) if full_at <= latest + _SKEW else now
    wanted = begin + cost / limit.rate
    if wanted <= latest:
        return Taken(True, wanted)
    return Taken(False, begin)


class ProcessStore:
    """Buckets of this process alone."""

    def __init__(self):
        self._buckets = {}
        self._lock = threading.Lock()

    def take(self, key, limit, cost, now):
        """Take `cost`, all or nothing."""
        with self._lock:
            taken = take(self._buckets.pop(key, 0.0), limit, cost, now)
            self._buckets[key] = taken.full_at  # now the latest
            if len(self._buckets) > KEPT_LIMIT:
                del self._buckets[next(iter(self._buckets))]
        return taken


class RedisStore:
    """Buckets in Redis; each goes by itself when it is full."""

    # As `take` above, in one atomic step. Numbers go as text: Lua would cut them.
    SCRIPT = """
    local now, cost, window = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
    local latest = now + window + tonumber(ARGV[4])
    local begin = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now)
    if begin > latest + tonumber(ARGV[5]) then begin = now end
    local wanted = begin + cost
    if wanted > latest then
        return {0, string.format('%.6f', begin)}
    end
    local kept = math.max(math.ceil((wanted - now) * 1000), 0) + 1000
    redis.call('SET', KEYS[1], string.format('%.6f', wanted), 'PX', kept)
    return {1, string.format('%.6f', wanted)}
    """

    def __init__(self, url):
        self._client = redis.Redis.from_url(
            url, socket_connect_timeout=CONNECT_SECONDS, socket_timeout=ANSWER_SECONDS, retry_on_timeout=False
        )
        self._script = self._client.register_script(self.SCRIPT)

    def take(self, key, limit, cost, now):
        """Take `cost`, all or nothing. Raises StoreDown."""
        try:
            granted, full_at = self._script(
                keys=[f"watchbill:bucket:{key}"],
                args=[repr(now), repr(cost / limit.rate), limit.window, _SLACK, _SKEW],
            )
        except redis.RedisError as error:
            raise StoreDown(f"Redis does not answer: {error}") from error
        return Taken(bool(granted), float(full_at))

    def close(self):
        self._client.close()


class PostgresStore:
    """Buckets as rows, by a connection of their own: a view's transaction must not hold a bucket until it ends."""

    _BEGIN = (
        "CASE WHEN bucket.full_at <= %(latest)s + %(skew)s THEN greatest(bucket.full_at, %(now)s) ELSE %(now)s END"
    )
    # As `take` above, in one statement. A row that somebody else made during it is not seen by its second half.
    STATEMENT = f"""
    WITH taken AS (
        INSERT INTO {Bucket._meta.db_table} AS bucket (key, full_at)
        SELECT %(key)s, %(now)s + %(cost)s WHERE %(now)s + %(cost)s <= %(latest)s
        ON CONFLICT (key) DO UPDATE SET full_at = {_BEGIN} + %(cost)s WHERE {_BEGIN} + %(cost)s <= %(latest)s
        RETURNING full_at
    )
    SELECT true, full_at FROM taken
    UNION ALL
    SELECT false, full_at FROM {Bucket._meta.db_table} WHERE key = %(key)s AND NOT EXISTS (SELECT FROM taken)
    """

    def __init__(self):
        self._connection = None
        self._lock = threading.Lock()

    def take(self, key, limit, cost, now):
        """Take `cost`, all or nothing. Raises StoreDown."""
        seconds, latest = cost / limit.rate, now + limit.window + _SLACK
        values = {"key": key, "now": now, "cost": seconds, "latest": latest, "skew": _SKEW}
        with self._lock:
            try:
                row = self._run(values)
            except (psycopg.Error, OSError) as error:
                self._drop()
                raise StoreDown(f"PostgreSQL does not answer: {error}") from error
        if row is None:  # there was none, and either too much was wanted or somebody made one just now
            row = (False, now if now + seconds > latest else now + limit.window)
        granted, full_at = row
        return Taken(granted, full_at if granted else max(full_at, now))

    def close(self):
        with self._lock:
            self._drop()

    def _run(self, values):
        if self._connection is not None:
            try:
                return self._connection.execute(self.STATEMENT, values).fetchone()
            except psycopg.OperationalError:
                self._drop()  # the server was started anew, perhaps: once more on a new line
        self._connection = self._connect()
        return self._connection.execute(self.STATEMENT, values).fetchone()

    def _drop(self):
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @staticmethod
    def _connect():
        # Django's cursor and type adapters are not needed here.
        parameters = lines.parameters(
            "watchbill limits",
            without=(*lines.NOT_PSYCOPGS, "context"),
            connect_timeout=2,  # libpq's smallest
            tcp_user_timeout=2000,
        )
        line = psycopg.Connection.connect(**parameters, autocommit=True)
        line.execute(f"SET statement_timeout = '{int(ANSWER_SECONDS * 1000)}ms'")
        return line


def forget_full_buckets(*, now):
    """Delete what says no more than no row would."""
    Bucket.objects.filter(full_at__lt=now.timestamp()).delete()
