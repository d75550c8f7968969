"""Live pages: a plain ASGI websocket that says which incidents changed, and the pump that finds out.

The socket carries numbers only; browsers fetch the fragments they show, with the rights of their session. One pump per
process LISTENs to the timeline, reads its new entries and fans them out through the in-memory channel layer.

Nobody hears a number that they may not see. Sockets from which the same teams are hidden share a group, so an entry is
said once for each such set of teams; whoever was called to an incident of a hidden team hears of it in a group of
their own. Which teams are hidden is known when a socket opens; when that changes it ends and comes back.
"""

import asyncio
import contextlib
import datetime as dt
import hashlib
import importlib
import json
import logging
import time
import urllib.parse
from collections import Counter

import django.db
import psycopg
from channels.db import database_sync_to_async
from channels.layers import get_channel_layer
from django.conf import settings
from django.contrib import auth
from django.http import parse_cookie
from django.http.request import split_domain_port, validate_host
from django.utils.crypto import constant_time_compare

from accounts import second_factor
from accounts.models import User
from accounts.permissions import may, visible
from core import lines
from core.limits import address_block, client_address
from incidents.models import Incident, TimelineEntry
from incidents.timeline import CHANNEL
from notifications.message import CALLS
from notifications.models import Notification

logger = logging.getLogger(__name__)

PATH = "/ws/live"
GROUP = "live"
CHECK_SECONDS = 60  # how long a socket may outlive its session
BEAT_SECONDS = 25  # below the 30 s after which some proxies close a silent connection
LIFETIME_SECONDS = 12 * 3600  # below the layer's group_expiry of a day; the page connects again
MESSAGES_A_MINUTE = 100
_open = Counter()  # address or person -> sockets of this process
_listening = Counter()  # (person, the teams hidden from them) -> sockets of this process
SEND_SECONDS = 20  # a browser that takes nothing for so long is gone; below the layer's expiry of 60 s
MANY = 500  # a page that missed more incidents than this loads itself anew
# Whoever hears of news fetches what changed, and a fetch costs the process so much. Few pages do it at once; many
# spread it, so that alerts that come in meanwhile do not stand behind all of them.
FETCH_MS = 15
FEW = 20
MOST_SPREAD_MS = 5000

NET_SECONDS = 5  # the pump looks this often without being told
GATHER_SECONDS = 0.1  # a burst of entries becomes one message
# A later entry may commit first, so nobody trusts the highest number alone. Two batches of pages side by side can be
# thousands of numbers apart; the pump knows what it told already and may look far back, a page must be told again.
BACK_IDS = 5000
PUMP_BACK = dt.timedelta(seconds=60)
PAGE_BACK = dt.timedelta(seconds=10)

# Close codes. The page reads them: static/js/live.js.
SIGNED_OUT, FOREIGN, NOWHERE, TOO_MANY, COME_BACK = 4401, 4403, 4404, 4429, 1013


def newest():
    """The number of the newest timeline entry: from here a page that is rendered now begins to listen."""
    return TimelineEntry.objects.order_by("-id").values_list("pk", flat=True).first() or 0


def news(entry, incidents, kinds, *, listeners=0):
    """What a socket says: the timeline stands at `entry`, and these incidents changed in these ways.

    With many listeners it says over how many milliseconds they share their fetches out among each other.
    """
    if len(incidents) > MANY:
        return json.dumps({"entry": entry, "reload": True})
    said = {"entry": entry, "incidents": sorted(incidents), "kinds": sorted(kinds)}
    if listeners > FEW:
        said["spread_ms"] = min(listeners * FETCH_MS, MOST_SPREAD_MS)
    return json.dumps(said)


# --- the socket -----------------------------------------------------------------------------------------------


async def socket(scope, receive, send):
    """The ASGI application of `/ws/live?since=<entry number>`."""
    await receive()  # websocket.connect
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    key = parse_cookie(headers.get("cookie", "")).get(settings.SESSION_COOKIE_NAME, "")
    await send({"type": "websocket.accept"})  # before any refusal: only then does the browser learn the code
    try:
        if scope["path"] != PATH:
            code = NOWHERE
        elif not is_our_origin(headers.get("origin", ""), headers.get("host", "")):
            code = FOREIGN
        else:
            with _room(f"address:{address_block(client_address(scope))}", settings.SOCKETS_PER_ADDRESS) as is_room:
                code = await _admit(scope, key, receive, send) if is_room else TOO_MANY
    except (django.db.Error, TimeoutError):  # the database is away, or the browser takes nothing any more
        code = COME_BACK
    except OSError:  # the browser went while we spoke
        code = None
    if code:
        with contextlib.suppress(OSError):
            await send({"type": "websocket.close", "code": code})


async def _admit(scope, key, receive, send):
    """Let a person who is signed in listen. Returns as `_serve` does."""
    person = await _signed_in(key)
    if person is None:
        return SIGNED_OUT
    with _room(f"person:{person.pk}", settings.SOCKETS_PER_PERSON) as is_room:
        if not is_room:
            return TOO_MANY
        await Pump.ready()
        return await _serve(_since(scope), person, key, receive, send)


@contextlib.contextmanager
def _room(who, most):
    """Count one more socket of somebody while inside; says whether that is within the limit."""
    _open[who] += 1
    try:
        yield _open[who] <= most
    finally:
        _open[who] -= 1
        if not _open[who]:
            del _open[who]


async def _serve(since, person, key, receive, send):
    """Talk until somebody ends it. Returns the close code, or None when the browser went."""
    layer = get_channel_layer()
    channel = await layer.new_channel("live")
    hidden = person.access().hidden
    groups = [group_of(hidden), group_of(hidden, person.pk)] if hidden else [GROUP]
    for group in groups:  # before catching up, so that nothing falls in between
        await layer.group_add(group, channel)
    _listening[person.pk, hidden] += 1
    tasks = []
    try:
        await _say(send, await _missed(since, person))
        tasks = [
            asyncio.create_task(_listen(receive)),
            asyncio.create_task(_forward(layer, channel, send)),
            asyncio.create_task(_watch(key, hidden, send)),
        ]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return next(task.result() for task in tasks if task.done())
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        _listening[person.pk, hidden] -= 1
        if not _listening[person.pk, hidden]:
            del _listening[person.pk, hidden]
        for group in groups:
            await layer.group_discard(group, channel)


def group_of(hidden, person_id=None):
    """The group of the sockets from which these teams are hidden, or of one such person."""
    if not hidden:
        return GROUP
    name = hashlib.sha256(repr(sorted(hidden)).encode()).hexdigest()[:32]
    return f"{GROUP}.{name}" if person_id is None else f"{GROUP}.{name}.{person_id}"


async def _say(send, text):
    await asyncio.wait_for(send({"type": "websocket.send", "text": text}), SEND_SECONDS)


async def _listen(receive):
    """Wait until the browser goes, or talks too much. What it says has no meaning."""
    times = []
    while True:
        event = await receive()
        if event["type"] == "websocket.disconnect":
            return None
        now = time.monotonic()
        times = [one for one in times if now - one < 60] + [now]
        if len(times) > MESSAGES_A_MINUTE:
            return TOO_MANY


async def _forward(layer, channel, send):
    while True:
        message = await layer.receive(channel)
        await _say(send, message["text"])


async def _watch(key, hidden, send):
    """Say something now and then, and end when the session has ended, or when other teams are hidden than before."""
    started = checked = time.monotonic()
    while True:
        await asyncio.sleep(min(BEAT_SECONDS, CHECK_SECONDS))
        now = time.monotonic()
        if now - started >= LIFETIME_SECONDS:
            return COME_BACK
        if now - checked >= CHECK_SECONDS:
            checked = now
            with contextlib.suppress(django.db.Error):  # a database that is away signs nobody out
                person = await _signed_in(key)
                if person is None:
                    return SIGNED_OUT
                if person.access().hidden != hidden:
                    await _say(send, json.dumps({"reload": True}))
                    return COME_BACK
        await _say(send, "{}")


def is_our_origin(origin, host):
    """Whether a page of ours asks: scheme, host and port are those of PUBLIC_URL, or those that the request names."""
    if not origin:
        return False
    ours = {_origin(settings.PUBLIC_URL)}
    domain, _ = split_domain_port(host)
    if domain and validate_host(domain, settings.ALLOWED_HOSTS):
        ours |= {_origin(f"http://{host}"), _origin(f"https://{host}")}
    return _origin(origin) in ours - {None}


def _origin(url):
    """(scheme, host, port), or None when it is none."""
    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    except (ValueError, KeyError):
        return None
    return parts.scheme, parts.hostname, port


@database_sync_to_async
def _signed_in(key):
    """The person whose session has this key and who may read, with what they may; or None. Only looks.

    Channels' own lookup ignores SECRET_KEY_FALLBACKS and deletes the sessions that it cannot verify.
    """
    session = importlib.import_module(settings.SESSION_ENGINE).SessionStore(key).load() if key else {}
    backend = session.get(auth.BACKEND_SESSION_KEY)
    if backend not in settings.AUTHENTICATION_BACKENDS:
        return None
    user = auth.load_backend(backend).get_user(User._meta.pk.to_python(session[auth.SESSION_KEY]))
    if user is None:
        return None
    proof = session.get(auth.HASH_SESSION_KEY, "")
    genuine = [user.get_session_auth_hash(), *user.get_session_auth_fallback_hash()]
    is_genuine = any(constant_time_compare(proof, one) for one in genuine)
    if second_factor.is_lacking(user, session):
        return None
    # Their access is read here, in a thread, and remembered.
    return user if is_genuine and may(user.remember_access(), "read") else None


def _since(scope):
    """The entry that the page saw last, or None when it does not say."""
    text = urllib.parse.parse_qs(scope["query_string"].decode("latin-1")).get("since", [""])[0]
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


@database_sync_to_async
def _missed(since, person):
    """What a page is told that saw entry `since` last: rather too much than too little, but nothing hidden."""
    last = newest()
    if since is None:
        return news(last, (), ())
    rows = visible(TimelineEntry.objects.order_by(), person)
    missed = rows.filter(pk__gt=since).values_list("incident_id", "kind").distinct()
    missed = list(missed[: (MANY + 1) * 10])  # an incident has seldom more than ten kinds of entries
    incidents, kinds = {one for one, _ in missed}, {kind for _, kind in missed}
    seen_at = TimelineEntry.objects.filter(pk=since).values_list("recorded_at", flat=True).first()
    if seen_at:  # lower numbers that may have been committed after the page was made
        late = rows.filter(pk__lt=since, pk__gt=since - BACK_IDS, recorded_at__gt=seen_at - PAGE_BACK)
        incidents.update(late.values_list("incident_id", flat=True).distinct())
    return news(last, incidents, kinds)


# --- the pump -------------------------------------------------------------------------------------------------


class Pump:
    """Follows the timeline for all sockets of this process. It starts with the first socket and then stays."""

    _pumps = {}  # event loop -> Pump: a process has one, tests may have several

    @classmethod
    async def ready(cls):
        """Wait until the pump of this event loop listens. Raises TimeoutError when the database is away."""
        loop = asyncio.get_running_loop()
        pump = cls._pumps.get(loop)
        if pump is None or pump._task.done():
            pump = cls._pumps[loop] = cls()
        await asyncio.wait_for(pump._listens.wait(), NET_SECONDS)

    def __init__(self):
        self._listens = asyncio.Event()
        self._last = None  # the highest entry seen; survives a lost connection, so nothing is missed
        self._told = set()
        self._task = asyncio.create_task(self._run(), name="watchbill live pump")

    async def _run(self):
        while True:
            try:
                parameters = lines.parameters("watchbill live")
                async with await psycopg.AsyncConnection.connect(**parameters, autocommit=True) as connection:
                    await connection.execute(f"LISTEN {CHANNEL}")
                    await self._read(connection)
                    self._listens.set()
                    await self._follow(connection)
            except (psycopg.Error, OSError) as error:
                if self._listens.is_set() or self._last is None:
                    logger.warning("Live pages wait for the database: %s", error)
                self._listens.clear()
                await asyncio.sleep(1)

    async def _follow(self, connection):
        while True:
            async for _ in connection.notifies(timeout=NET_SECONDS, stop_after=1):
                break
            await self._read(connection)
            await asyncio.sleep(GATHER_SECONDS)

    async def _read(self, connection):
        """Tell the sockets what is new. The very first time nothing is new: nobody listened before."""
        table = TimelineEntry._meta.db_table
        if self._last is None:
            cursor = await connection.execute(f"SELECT coalesce(max(id), 0) FROM {table}")
            (self._last,) = await cursor.fetchone()
        cursor = await connection.execute(
            f"SELECT entry.id, incident_id, kind, team_id FROM {table} AS entry "
            f"JOIN {Incident._meta.db_table} AS incident ON incident.number = incident_id "
            "WHERE entry.id > %(last)s - %(back)s AND (entry.id > %(last)s OR recorded_at > now() - %(while)s)",
            {"last": self._last, "back": BACK_IDS, "while": PUMP_BACK},
        )
        rows = [row for row in await cursor.fetchall() if row[0] not in self._told]
        if not rows:
            return
        self._last = max(self._last, *(row[0] for row in rows))
        self._told = {one for one in self._told if one > self._last - BACK_IDS} | {row[0] for row in rows}
        await self._spread(connection, rows)

    async def _spread(self, connection, rows):
        """Tell each set of sockets what they may know of these entries."""
        for hidden in {frozenset(), *(hidden for _, hidden in _listening)}:
            await self._tell(group_of(hidden), [row for row in rows if row[3] not in hidden])
        for (person_id, hidden), numbers in (await self._called(connection, rows)).items():
            hers = [row for row in rows if row[1] in numbers and row[3] in hidden]
            await self._tell(group_of(hidden, person_id), hers)

    async def _tell(self, group, rows):
        if rows:
            listeners = sum(_listening.values())
            text = news(self._last, {row[1] for row in rows}, {row[2] for row in rows}, listeners=listeners)
            await get_channel_layer().group_send(group, {"type": "live.changed", "text": text})

    async def _called(self, connection, rows):
        """`{(person, the teams hidden from them): numbers}` of hidden incidents that those who listen have or were
        called to, as `Incident.shown_although_hidden` says. One query, and none while nothing of it is hidden."""
        teams = {row[3] for row in rows}
        blind = [(person_id, hidden) for person_id, hidden in _listening if hidden & teams]
        if not blind:
            return {}
        concealed = frozenset().union(*(hidden for _, hidden in blind))
        numbers = sorted({row[1] for row in rows if row[3] in concealed})
        cursor = await connection.execute(
            f"SELECT user_id, split_part(topic, ':', 2)::bigint FROM {Notification._meta.db_table} "
            "WHERE topic = ANY(%(topics)s) AND kind = ANY(%(calls)s) AND user_id = ANY(%(people)s) "
            f"UNION SELECT assignee_id, number FROM {Incident._meta.db_table} "
            "WHERE number = ANY(%(numbers)s) AND assignee_id = ANY(%(people)s)",
            {
                "topics": [f"incident:{number}" for number in numbers],
                "calls": sorted(map(str, CALLS)),
                "people": sorted({person_id for person_id, _ in blind}),
                "numbers": numbers,
            },
        )
        called = {}
        for person_id, number in await cursor.fetchall():
            called.setdefault(person_id, set()).add(number)
        return {one: called[one[0]] for one in blind if one[0] in called}
