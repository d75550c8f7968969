"""Who asks, and how often they may: the address of a client, and limits that all processes share.

Limits are there for those who guess keys and for programs gone wild. They never keep a page from a human: while the
shared buckets cannot be asked, paging traffic passes, the rest is counted by each process for itself, and an alarm
says so.
"""

import functools
import ipaddress
import logging
import math
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from django.conf import settings
from django.db import DatabaseError, connection
from django.utils import timezone

from core import counters
from core.announce import announce
from core.buckets import Limit, PostgresStore, ProcessStore, RedisStore, StoreDown, Taken
from core.signals import limits_blind, limits_seeing

logger = logging.getLogger(__name__)

# A process takes so small a part of a bucket at once and gives it out without asking.
LEASED_PART = 50
KEPT_LIMIT = 50_000
DOWN_SECONDS = 5  # a store that was down is asked again after this time
STUCK_SECONDS = 2  # a store that has not answered after this time is down
SAID_SECONDS = 60  # the alarm is raised anew: another process may have ended it
TALLY_SECONDS = 5
# Who is refused at the door is not looked up again for this time, which is what Retry-After says.
PAUSE_SECONDS = 1.0
REFUSED = "limits_refused_total"
READ_CHARACTERS = 600  # of X-Forwarded-For, from the right: more than ten addresses
# Everybody behind a proxy that TRUSTED_PROXIES does not name has one address.
SHARED_FACTOR = 10

# --- the client's address -------------------------------------------------------------------------------------


def client_address(request_or_scope):
    """The address of the client behind this request (of Django or the API) or ASGI scope, as text; "" if unknown.

    X-Forwarded-For counts only as far as TRUSTED_PROXIES vouches for it: anybody may write anything into it. It is
    read from the right, where our own proxies write. An IPv4 address in IPv6 form is said as IPv4.
    """
    peer, forwarded = _seen(request_or_scope)
    return _behind(peer, forwarded, *read_proxies(tuple(settings.TRUSTED_PROXIES)))


def address_block(address):
    """What counts as one client for a limit: an IPv4 address, or the /64 of an IPv6 one, which is one line's."""
    found = _read(address)
    if found is None or found.version == 4:
        return address
    return str(ipaddress.ip_network((found, 64), strict=False))


def is_shared(request_or_scope):
    """Whether this address is that of a proxy that nobody told us of, so that all its clients look like one."""
    peer, forwarded = _seen(request_or_scope)
    if not forwarded or settings.TRUSTED_PROXIES:
        return False
    address = _read(peer)
    return address is None or address.is_private


def _seen(request_or_scope):
    """The address that opened the connection, and the whole X-Forwarded-For; several headers are one list."""
    if isinstance(request_or_scope, dict):
        client = request_or_scope.get("client")
        lines = [value for name, value in request_or_scope["headers"] if name == b"x-forwarded-for"]
        return client[0] if client else "", b",".join(lines)[-READ_CHARACTERS:].decode("latin-1")
    meta = request_or_scope.META
    return meta.get("REMOTE_ADDR", ""), meta.get("HTTP_X_FORWARDED_FOR", "")[-READ_CHARACTERS:]


@functools.lru_cache(maxsize=8)
def read_proxies(entries):
    """TRUSTED_PROXIES as (how many, networks). Raises ValueError; the system check says so before anybody asks."""
    entries = [entry.strip() for entry in entries if entry.strip()]
    if len(entries) == 1 and entries[0].isdecimal():
        return int(entries[0]), ()
    return 0, tuple(ipaddress.ip_network(entry, strict=False) for entry in entries)


@functools.lru_cache(maxsize=4096)
def _behind(peer, forwarded, count, networks):
    address = _read(peer)
    # Without an address the peer is a program on this machine, at a Unix socket.
    nearest = address or ipaddress.ip_address("127.0.0.1")
    if count:
        said = [_read(part) for part in forwarded.split(",")[-count:]] if forwarded.strip() else []
        # An unreadable word was not written by a proxy of ours: what stands right of it was.
        for one in reversed(said):
            if one is None:
                break
            nearest = one
        return str(nearest)
    for part in reversed(forwarded.split(",")):
        if not any(nearest in network for network in networks if network.version == nearest.version):
            break
        one = _read(part)
        if one is None:
            break
        nearest = one
    return str(nearest) if address or nearest != ipaddress.ip_address("127.0.0.1") else ""


def _read(text):
    """The address that a proxy or a socket writes, with or without a port, or None."""
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


# --- the limits -----------------------------------------------------------------------------------------------


def limit(name):
    """The limit of this name in the setting RATE_LIMITS, or None when it is off."""
    return _limit(name, settings.RATE_LIMITS[name])


@functools.lru_cache(maxsize=64)
def _limit(name, text):
    return Limit.read(name, text)


def for_address(name, request_or_scope):
    """The limit of this name, or None, and whom it counts for: the client's address.

    Behind a proxy that nobody told us of, all clients count as one, with a higher limit.
    """
    found, who = limit(name), address_block(client_address(request_or_scope))
    if found is not None and is_shared(request_or_scope):
        return replace(found, quota=found.quota * SHARED_FACTOR), f"{who} and all behind it"
    return found, who


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether somebody may go on. `limit` is None when nothing was counted; times are seconds from now."""

    is_allowed: bool
    limit: Limit | None = None
    left: int = 0
    full_in: float = 0.0
    wait: float = 0.0

    @property
    def retry_after(self):
        """Whole seconds after which it is worth another try, at least 1."""
        return max(1, math.ceil(self.wait - 1e-3))

    def headers(self):
        """`{name: value}`: RateLimit and its policy (draft-ietf-httpapi-ratelimit-headers), and their older form."""
        if self.limit is None:
            return {}
        quota, name, full_in = self.limit.quota, self.limit.name, math.ceil(self.full_in)
        headers = {
            "RateLimit-Policy": f'"{name}";q={quota};w={self.limit.window}',
            "RateLimit": f'"{name}";r={self.left};t={full_in}',
            "RateLimit-Limit": str(quota),
            "RateLimit-Remaining": str(self.left),
            "RateLimit-Reset": str(full_in),
        }
        return headers if self.is_allowed else {**headers, "Retry-After": str(self.retry_after)}


FREE = Verdict(True)


class _Lease:
    """What this process took of a bucket and has not given out yet; below 0 it gave out more, and owes that."""

    __slots__ = ("tokens", "until", "full_at", "refused_until", "asked_at")

    def __init__(self):
        self.tokens, self.until, self.full_at, self.refused_until, self.asked_at = 0, 0.0, 0.0, 0.0, None

    def refuses(self, limit, now):
        """Whether it is known that nothing is left. A clock that was set back must not make that last."""
        return now < self.refused_until <= now + limit.window + PAUSE_SECONDS

    def verdict(self, limit, now):
        left = Taken(True, self.full_at).left(limit, now) + max(0, int(self.tokens))
        return Verdict(True, limit, min(left, limit.quota), max(0.0, self.full_at - now))


class Limiter:
    """Counts in `store`, which raises StoreDown when it cannot. Times are seconds since 1970."""

    def __init__(self, store):
        self._store = store
        self._own = ProcessStore()
        self._leases = {}
        self._lock = threading.Lock()
        self._down_until = 0.0
        self._is_up = None  # until it was asked for the first time
        self._said_at = 0.0
        self._behind = ThreadPoolExecutor(1, thread_name_prefix="limits")

    @property
    def is_up(self):
        """Whether the shared buckets answered when they were asked last."""
        return self._is_up is not False

    def close(self):
        self._behind.shutdown(wait=True)
        if hasattr(self._store, "close"):
            self._store.close()

    def check(self, limit, who, *, now, cost=1, is_exact=False, is_paging=False):
        """Take `cost` of the bucket that `who` has of this limit: a Verdict.

        Processes lease parts of a bucket, so together they may give out a little more than it holds; `is_exact` asks
        the store each time. While the store is down, `is_paging` traffic passes.
        """
        if limit is None:
            return FREE
        key = f"{limit.name}:{who}"
        part = 1 if is_exact else max(1, limit.quota // LEASED_PART)
        with self._lock:
            lease = self._lease(key)
            if lease.refuses(limit, now):
                return self._refusal(limit, Taken(False, lease.full_at), cost, now)
            if now >= lease.until:
                lease.tokens = 0
            if lease.tokens >= cost:
                lease.tokens -= cost
                return lease.verdict(limit, now)
        if now < self._down_until:
            return self._alone(key, limit, cost, now, is_paging)
        try:
            taken, got = self._take(key, limit, max(cost, part), cost, now)
        except StoreDown as error:
            self._went_down(error, now)
            return self._alone(key, limit, cost, now, is_paging)
        self._answered()
        with self._lock:
            lease.full_at = taken.full_at
            if not taken.is_granted:
                lease.refused_until = now + taken.wait(limit, cost, now)
                return self._refusal(limit, taken, cost, now)
            lease.tokens += got - cost
            lease.until = now + limit.window
            return lease.verdict(limit, now)

    def glance(self, limit, who, *, now):
        """As `check` of one for paging traffic that must not wait: judged by what is known, counted behind its back.

        So a sender may go a few milliseconds above its limit before it is refused.
        """
        if limit is None:
            return FREE
        key = f"{limit.name}:{who}"
        part = max(1, limit.quota // LEASED_PART)
        if now < self._down_until:
            return FREE
        with self._lock:
            lease = self._lease(key)
            if lease.refuses(limit, now):
                return self._refusal(limit, Taken(False, lease.full_at), 1, now, least=lease.refused_until - now)
            lease.tokens -= 1
            is_stuck = lease.asked_at is not None and now - lease.asked_at > STUCK_SECONDS
            if lease.asked_at is None and lease.tokens < part / 2:
                lease.asked_at = now
                self._behind.submit(self._renew, key, limit, part, lease, now)
            verdict = lease.verdict(limit, now)
        if is_stuck:
            self._went_down("It does not answer.", now)
        return verdict if self.is_up and not is_stuck else FREE

    def settle(self):
        """Wait until all that was counted behind somebody's back is counted."""
        self._behind.submit(int).result()

    def give_back(self, limit, who, *, now, cost=1):
        """Undo a `check` of so much: it proved to be harmless."""
        if limit is None or now < self._down_until:
            return
        try:
            self._store.take(f"{limit.name}:{who}", limit, -cost, now)
        except StoreDown as error:
            self._went_down(error, now)

    def _lease(self, key):
        lease = self._leases.pop(key, None) or _Lease()
        self._leases[key] = lease  # now the latest
        if len(self._leases) > KEPT_LIMIT:
            del self._leases[next(iter(self._leases))]
        return lease

    def _take(self, key, limit, wanted, needed, now):
        """Take what is wanted, or what is there if that is enough: `(Taken, how much)`."""
        wanted = min(wanted, max(limit.quota, needed))
        taken = self._store.take(key, limit, wanted, now)
        there = taken.left(limit, now)
        if taken.is_granted or not needed <= there < wanted:
            return taken, wanted
        return self._store.take(key, limit, there, now), there

    def _renew(self, key, limit, part, lease, now):
        with self._lock:
            owed = max(0, -lease.tokens)
        try:
            taken, got = self._take(key, limit, owed + part, 1, now)
        except StoreDown as error:
            self._went_down(error, now)
            with self._lock:
                lease.asked_at, lease.tokens = None, 0  # what passed meanwhile is not asked back
            return
        self._answered()
        with self._lock:
            lease.asked_at, lease.full_at = None, taken.full_at
            if taken.is_granted:
                # More than there was has been given out: that is forgiven, and the next one is refused.
                lease.tokens = max(lease.tokens + got, 0)
            if not taken.is_granted or got < owed:
                lease.tokens = 0
                lease.refused_until = now + max(PAUSE_SECONDS, taken.wait(limit, 1, now))

    @staticmethod
    def _refusal(limit, taken, cost, now, least=0.0):
        count_refusal(limit.name)
        wait = max(taken.wait(limit, cost, now), least)
        return Verdict(False, limit, taken.left(limit, now), max(0.0, taken.full_at - now), wait)

    def _alone(self, key, limit, cost, now, is_paging):
        if is_paging:
            return FREE
        taken = self._own.take(key, limit, cost, now)
        if not taken.is_granted:
            return self._refusal(limit, taken, cost, now)
        return Verdict(True, limit, taken.left(limit, now), taken.full_at - now)

    # --- a store that is down ---------------------------------------------------------------------------------

    def _went_down(self, error, now):
        with self._lock:
            self._down_until = now + DOWN_SECONDS
            was_up, self._is_up = self._is_up, False
            is_due = now - self._said_at >= SAID_SECONDS
            if is_due:
                self._said_at = now
        if was_up is not False:
            logger.warning("Limits are not shared between processes, and paging traffic has none: %s", error)
        if is_due:
            _tell(limits_blind)

    def _answered(self):
        if self._is_up:
            return
        with self._lock:
            was_up, self._is_up, self._down_until, self._said_at = self._is_up, True, 0.0, 0.0
        if was_up is False:
            logger.warning("Limits are shared between processes again.")
        if was_up is not True and not isinstance(self._store, ProcessStore):
            _tell(limits_seeing)  # at the start too: the process that raised the alarm may be gone


def _tell(signal):
    """Announce it from a thread of its own: whoever met the trouble does not wait."""

    def run():
        try:
            connection.ensure_connection()
            announce(signal, now=timezone.now())
        except DatabaseError as error:  # that is said elsewhere, and loudly
            logger.warning("Nobody could be told about the limits: %s", error)
        finally:
            connection.close()

    threading.Thread(target=run, name="limits", daemon=True).start()


# --- the limiter of this process ------------------------------------------------------------------------------

_limiter = None
_making = threading.Lock()


def limiter():
    """The Limiter of this process, on the store that the settings name."""
    global _limiter
    if _limiter is None:
        with _making:
            if _limiter is None:
                _limiter = Limiter(_store())
    return _limiter


def forget():
    """Begin anew with what the settings say now."""
    global _limiter
    with _making:
        old, _limiter = _limiter, None
    if old is not None:
        old.close()
    with _tally_lock:
        _tally.clear()


def _store():
    if settings.RATE_LIMIT_STORE == "process":
        return ProcessStore()
    return RedisStore(settings.REDIS_URL) if settings.REDIS_URL else PostgresStore()


# --- refusals, counted ----------------------------------------------------------------------------------------

_tally = Counter()
_tally_lock = threading.Lock()
_timer = None


def count_refusal(name):
    """Count a refusal by the limit of this name; written every few seconds, since a flood is refused often."""
    global _timer
    with _tally_lock:
        _tally[name] += 1
        if _timer is None and settings.ROLE == "web":
            _timer = threading.Timer(TALLY_SECONDS, _write_in_thread)
            _timer.daemon = True
            _timer.start()


def refusals():
    """`{name of the limit: how many}` of this process that are not written yet."""
    with _tally_lock:
        return dict(_tally)


def write_refusals():
    """Add what was refused to the counters that all processes share. Raises DatabaseError; nothing is lost then."""
    with _tally_lock:
        amounts = dict(_tally)
    counters.add_many({(REFUSED, counters.text(limit=name)): amount for name, amount in amounts.items()})
    with _tally_lock:
        _tally.subtract(amounts)
        for name in [name for name, amount in _tally.items() if not amount]:
            del _tally[name]


def _write_in_thread():
    global _timer
    with _tally_lock:
        _timer = None
    try:
        write_refusals()
    except DatabaseError as error:
        logger.warning("What was refused by limits could not be counted: %s", error)
    finally:
        connection.close()
