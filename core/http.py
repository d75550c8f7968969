"""The one way out: HTTP calls with time limits, a guard against private addresses, and errors that say what to do.

`post` and `get` are plain calls for any thread. Behind them is one event loop per process, with one pool of
connections (aiohttp needs a sixth of the CPU of a threaded client for the same calls). `apost` and `aget` are the same
for coroutines that run on that loop, which saves a thread per call; `loop()` is where to start them. Redirects are not
followed, cookies and proxy variables are ignored.

The guard looks at the address that is about to be connected to, after name resolution, so a name that resolves to
something else the second time gains nothing. The settings name exceptions: HTTP_ALLOW_PRIVATE. An address that a
stranger gave has a guard of its own, with the exceptions of SUBSCRIBER_ALLOW_PRIVATE: what our teams may reach in the
house is not for everybody to post to.
"""

import asyncio
import atexit
import concurrent.futures
import dataclasses
import email.utils
import errno
import functools
import ipaddress
import json as jsonlib
import os
import socket
import threading
import time
from collections.abc import Mapping

import aiohttp
import yarl
from django.conf import settings

from core.errors import SendError

CONNECT_SECONDS = 5
NAME_THREADS = 16  # that look up names for each guard
BODY_BYTES = 64 * 1024
# The guards, each named after the setting with its exceptions.
OURS, STRANGERS = "HTTP_ALLOW_PRIVATE", "SUBSCRIBER_ALLOW_PRIVATE"
RETRY_AFTER_STATUSES = frozenset({429, *range(500, 600)})

# Written out, because `ipaddress.is_global` calls NAT64, 6to4 and parts of 192.0.0.0/24 global on Python 3.11.
# From the IANA special-purpose registries for IPv4 and IPv6.
NOT_PUBLIC = tuple(
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # carrier-grade NAT, also the metadata address of one cloud
        "127.0.0.0/8",  # loopback
        "169.254.0.0/16",  # link-local, with the metadata address of most clouds
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments, metadata address of another cloud
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
        "::/96",  # unspecified, loopback, IPv4-compatible
        "::ffff:0:0:0/96",  # IPv4-translated
        "64:ff9b::/96",  # NAT64: an IPv4 address in disguise
        "64:ff9b:1::/48",  # NAT64, local use
        "100::/64",  # discard
        "2001::/23",  # Teredo, ORCHID and other assignments
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: an IPv4 address in disguise
        "3fff::/20",  # documentation
        "5f00::/16",  # segment routing
        "fc00::/7",  # unique local
        "fe80::/10",  # link-local
        "fec0::/10",  # site-local
        "ff00::/8",  # multicast
    )
)
REFUSED = "the address is private, and the guard refused it"


@dataclasses.dataclass(frozen=True)
class Reply:
    """An answer: status, headers (any case), and the body, or the first 64 KiB of it."""

    status: int
    headers: Mapping
    body: bytes

    @property
    def is_success(self):
        return 200 <= self.status < 300

    @property
    def json(self):
        """The body as JSON. Raises SendError when it is something else."""
        try:
            return jsonlib.loads(self.body)
        except ValueError:
            raise SendError(f"The answer ({self.status}) is not JSON.", status=self.status) from None

    @property
    def text(self):
        return self.body.decode("utf-8", "replace")


class Refused(SendError):
    """An answer 429 or 5xx: try again later. `reply` is all of it, for what a vendor says in the body."""

    def __init__(self, shown, reply):
        after = retry_after(reply.headers.get("Retry-After", ""))
        super().__init__(f"{shown} answered {reply.status}.", retry_after=after, status=reply.status)
        self.reply = reply


def post(url, *, json=None, data=None, headers=None, timeout=15, body_bytes=BODY_BYTES, guard=OURS):
    """Post JSON, or `data` (bytes, text, or a dict sent as a form), and return the `Reply`.

    Raises SendError: temporary for 429, 5xx and a broken network, permanent for an address that may not be called.
    Any other status is the caller's to judge, redirects included.
    """
    return _send("POST", url, json, data, headers, timeout, body_bytes, guard)


async def apost(url, *, json=None, data=None, headers=None, timeout=15, guard=OURS):  # noqa: ASYNC109
    """Like `post`, in a coroutine on `loop()`."""
    data, headers = _body(json, data, headers)
    return await _acall("POST", url, data, headers, timeout, BODY_BYTES, guard)


async def aget(url, *, headers=None, timeout=15, body_bytes=BODY_BYTES):  # noqa: ASYNC109
    """Like `get`, in a coroutine on `loop()`."""
    return await _acall("GET", url, None, dict(headers or {}), timeout, body_bytes)


def loop():
    """The event loop of this process on which `apost` and `aget` work. It runs in a thread of its own."""
    return _client().loop


def patch(url, *, json=None, data=None, headers=None, timeout=15, body_bytes=BODY_BYTES):
    """Like `post`, to change what is there."""
    return _send("PATCH", url, json, data, headers, timeout, body_bytes)


def call(method, url, *, data=None, headers=None, timeout=15, body_bytes=BODY_BYTES):
    """Like `post`, with a method that somebody else chose, such as an SDK whose calls are led here."""
    return _send(method, url, None, data, headers, timeout, body_bytes)


def _send(method, url, json, data, headers, timeout, body_bytes, guard=OURS):
    data, headers = _body(json, data, headers)
    return _call(method, url, data=data, headers=headers, timeout=timeout, body_bytes=body_bytes, guard=guard)


def _body(json, data, headers):
    headers = dict(headers or {})
    if json is not None:
        data = jsonlib.dumps(json, ensure_ascii=False, separators=(",", ":")).encode()
        headers.setdefault("Content-Type", "application/json")
    return data, headers


def get(url, *, headers=None, timeout=15, body_bytes=BODY_BYTES):
    """Get a page, and of its body up to `body_bytes`; see `post` for what comes back and what is raised."""
    return _call("GET", url, data=None, headers=dict(headers or {}), timeout=timeout, body_bytes=body_bytes)


def problem_with(url, *, guard=OURS):
    """What is wrong with a URL that somebody typed, in a sentence, or "". Looks up no names."""
    try:
        parsed = _parsed(url)
    except SendError as error:
        return error.message
    try:
        address = ipaddress.ip_address(parsed.host)
    except ValueError:
        return ""
    return "" if is_allowed(address, guard=guard) else _refusal(url, guard)


def is_allowed(address, *, guard=OURS):
    """Whether the guard lets a connection to this IP address through."""
    address = ipaddress.ip_address(address)
    mapped = getattr(address, "ipv4_mapped", None)
    address = mapped or address
    return not any(address in network for network in NOT_PUBLIC) or any(
        address in network for network in _exceptions(tuple(getattr(settings, guard)))
    )


@functools.lru_cache(maxsize=8)
def _exceptions(texts):
    if "*" in texts:
        texts = ("0.0.0.0/0", "::/0")
    return tuple(ipaddress.ip_network(text.strip(), strict=False) for text in texts)


def _parsed(url):
    try:
        parsed = yarl.URL(url)
        host, _ = parsed.host, parsed.port
    except (ValueError, TypeError):
        host = None
    if not host or parsed.scheme not in ("http", "https"):
        raise SendError(
            f"“{_shown(url)}” is not a web address. Use one that starts with https:// or http://.", permanent=True
        )
    return parsed


def _shown(url):
    """Scheme and host only: the path of a webhook is often its password."""
    try:
        parsed = yarl.URL(url)
        return f"{parsed.scheme}://{parsed.host}" if parsed.host else str(url)[:100]
    except (ValueError, TypeError):
        return str(url)[:100]


def _refusal(url, guard):
    return (
        f"{_shown(url)} is a private address, and calls to those are refused. "
        f"If it is meant, an administrator adds the address to the setting {guard}."
    )


def _guarded_socket(address_info, *, guard):
    """Make the socket for a connection, unless its final address is refused. Called by aiohttp for every connect."""
    family, kind, protocol, _, sockaddr = address_info
    if not is_allowed(sockaddr[0].partition("%")[0], guard=guard):
        raise PermissionError(errno.EACCES, REFUSED)
    return socket.socket(family=family, type=kind, proto=protocol)


class _OwnThreads:
    """What looks names up as an event loop does, in threads that nothing else waits for.

    The threads of a loop are few, and a name server that never answers holds one for half a minute. Those of strangers
    may do that to each other, and not to what pages people.
    """

    def __init__(self, loop, guard):
        self._loop = loop
        self._pool = concurrent.futures.ThreadPoolExecutor(NAME_THREADS, thread_name_prefix=f"names-{guard}")

    def getaddrinfo(self, host, port, **how):
        return self._loop.run_in_executor(self._pool, functools.partial(socket.getaddrinfo, host, port, **how))

    def getnameinfo(self, address, flags=0):
        return self._loop.run_in_executor(self._pool, socket.getnameinfo, address, flags)


class _Client:
    """An event loop in a thread of its own, with a session for each guard: they share no open connection."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, name="http", daemon=True).start()
        self.sessions = {
            guard: asyncio.run_coroutine_threadsafe(self._open(guard), self.loop).result()
            for guard in (OURS, STRANGERS)
        }
        self.pid = os.getpid()
        atexit.register(self._close)

    async def _open(self, guard):
        guarded = functools.partial(_guarded_socket, guard=guard)
        resolver = aiohttp.ThreadedResolver(_OwnThreads(asyncio.get_running_loop(), guard))
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=400, limit_per_host=32, socket_factory=guarded, resolver=resolver),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            # No compression, asked for or not: the limit on the body then also limits the work.
            auto_decompress=False,
            headers={"User-Agent": f"Watchbill/{settings.WATCHBILL_VERSION}", "Accept-Encoding": "identity"},
        )

    def _close(self):
        if self.pid == os.getpid():
            for session in self.sessions.values():
                asyncio.run_coroutine_threadsafe(session.close(), self.loop).result(CONNECT_SECONDS)

    async def call(self, method, url, data, headers, seconds, body_bytes, guard):
        limits = aiohttp.ClientTimeout(total=seconds, sock_connect=min(CONNECT_SECONDS, seconds))
        async with self.sessions[guard].request(
            method, url, data=data, headers=headers, timeout=limits, allow_redirects=False
        ) as response:
            body = b""
            while len(body) < body_bytes and (part := await response.content.read(body_bytes - len(body))):
                body += part
            if not response.content.at_eof():
                response.close()  # the rest of a long answer is not worth the connection
            return Reply(response.status, response.headers, body)


_clients = {}
_lock = threading.Lock()


def _forget():
    """Start anew in a forked child: threads and loops do not survive a fork, and the lock may be held."""
    global _lock
    _lock = threading.Lock()
    _clients.clear()


os.register_at_fork(after_in_child=_forget)


def _client():
    client = _clients.get(os.getpid())
    if client is None:
        with _lock:
            client = _clients.get(os.getpid())
            if client is None:
                client = _clients[os.getpid()] = _Client()
    return client


def _call(method, url, *, data, headers, timeout, body_bytes=BODY_BYTES, guard=OURS):
    call = _acall(method, url, data, headers, timeout, body_bytes, guard)
    future = asyncio.run_coroutine_threadsafe(call, _client().loop)
    try:
        # The loop keeps the time; the rest is a net for a loop that is stuck.
        return future.result(timeout + CONNECT_SECONDS)
    except concurrent.futures.TimeoutError:
        future.cancel()
        raise SendError(f"{_shown(url)} did not answer within {timeout} s.") from None


async def _acall(method, url, data, headers, seconds, body_bytes, guard=OURS):
    parsed = _parsed(url)
    # A literal private address needs no try; a name is judged when it is connected to.
    if problem := problem_with(url, guard=guard):
        raise SendError(problem, permanent=True)
    try:
        reply = await _client().call(method, parsed, data, headers, seconds, body_bytes, guard)
    except TimeoutError:
        raise SendError(f"{_shown(url)} did not answer within {seconds} s.") from None
    except aiohttp.InvalidURL:
        raise SendError(f"“{_shown(url)}” is not a web address. Check how it is written.", permanent=True) from None
    except aiohttp.ClientResponseError as error:  # its full text quotes the whole address, which may be a secret
        raise SendError(f"{_shown(url)} could not be reached: {error.message or type(error).__name__}.") from None
    except (aiohttp.ClientError, OSError) as error:
        if REFUSED in str(error):
            raise SendError(_refusal(url, guard), permanent=True) from None
        raise SendError(f"{_shown(url)} could not be reached: {error or type(error).__name__}.") from None
    except ValueError as error:  # a header value with a line break, for example
        raise SendError(f"The request to {_shown(url)} could not be built: {error}.", permanent=True) from None
    if reply.status in RETRY_AFTER_STATUSES:
        raise Refused(_shown(url), reply)
    return reply


def retry_after(text, *, now=None):
    """Seconds that a Retry-After header asks for: a number, or a date (RFC 9110). None when it says nothing."""
    text = text.strip()
    if text.isascii() and text.isdigit():
        return int(text[:9])
    try:
        then = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0, round(then.timestamp() - (time.time() if now is None else now.timestamp())))
