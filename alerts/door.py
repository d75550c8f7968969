"""The inbound door: a small ASGI application in front of Django that stores what monitoring tools send.

A request is checked, read into events, and put into a batch; a batch is committed by one statement (group commit), and
only then is each sender answered. After the commit one thread of this process decides the batch. What it cannot take
stays a due row that any worker takes: nothing here has to survive for an event to be decided.
"""

import asyncio
import base64
import dataclasses
import functools
import http
import logging
import time
import uuid
from datetime import UTC, datetime
from urllib.parse import parse_qs, quote

import msgspec
from django.conf import settings
from psycopg.types.json import Jsonb

from accounts.models import ApiKey
from accounts.scopes import allows, missing
from alerts.batch import PENDING, Collector, Replayed, Row, Unavailable, Unstorable
from alerts.deciding import Decider, Watcher
from alerts.event import clean_line, clean_text, with_key
from alerts.keys import Keyring, Target
from alerts.line import UNREACHABLE, Line
from alerts.models import InboundEvent, Integration, dialects, sources
from alerts.pacing import Paces
from alerts.refusals import Refusals, Unreadable
from alerts.sources.base import BadEvent, Source, read_json
from alerts.sources.generic import Generic
from core import limits
from core.headers import plain
from core.secrets import digest

logger = logging.getLogger(__name__)

RETRY_AFTER_SECONDS = 2
TOUCH_SECONDS = 60  # how often the time of last use of an integration or a key is written
WAIT_LIMIT_SECONDS = 10
KEPT_HEADERS = ("content-type", "user-agent")
QUERY_LIMIT = 64 * 1024
OBSERVES = (
    "The person of this API key may not send alerts here: they need the responder role. Or use the key of a program "
    "with the scope alerts:write."
)
TOO_MANY_GUESSES = (
    "Too many requests with keys that nobody has came from your address. Correct the key, wait for the time in "
    "Retry-After, and send again."
)


# --- answers --------------------------------------------------------------------------------------------------


class Refused(Exception):
    """The answer that ends a request early: `(status, answer)` and more headers."""

    def __init__(self, answer, headers=()):
        self.status, self.answer = answer
        self.headers = tuple(headers)


class Disconnected(Exception):
    """The sender hung up before its body was complete."""


class ApiDialect(Source):
    """How the REST API says the same things: problem details of RFC 9457."""

    @staticmethod
    def problem(status, code, detail, errors=()):
        return status, {
            "type": "about:blank",
            "title": http.HTTPStatus(status).phrase,
            "status": status,
            "detail": detail,
            "code": code,
            "errors": list(errors),
        }

    def refused(self, errors):
        return self.problem(400, "invalid", " ".join(error["message"] for error in errors), errors)

    def overloaded(self):
        return self.problem(503, "overloaded", super().overloaded()[1]["message"])

    def limited(self, sentence):
        return self.problem(429, "too_many_requests", sentence)

    def too_large(self, limit):
        return self.problem(413, "too_large", super().too_large(limit)[1]["message"])


# --- requests -------------------------------------------------------------------------------------------------


class Request:
    """What the door reads of an HTTP request."""

    __slots__ = ("scope", "method", "path", "raw_path", "query", "headers", "_receive", "_body")

    def __init__(self, scope, receive):
        self.scope = scope
        self.method = scope["method"]
        self.path = scope["path"]
        # As it was sent, where an encoded slash is no separator.
        self.raw_path = (scope.get("raw_path") or quote(self.path).encode()).decode("latin-1")
        self.query = scope.get("query_string", b"")
        self.headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        # No real header begins with a colon.
        self.headers[":method"], self.headers[":path"] = self.method, self.path
        self.headers[":query"] = self.query.decode("latin-1")
        self._receive = receive
        self._body = None

    def give_body(self, body):
        """Let this be the body of a request that has none."""
        self._body = body

    def bearer(self):
        """The key of `Authorization`, or "": the token of Bearer, the password of Basic, or its user if alone."""
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "basic":
            return _password(token.strip())
        return token.strip() if scheme.lower() == "bearer" else ""

    async def body(self, source):
        """The whole body. Stops reading at the source's limit and raises Refused, without trusting Content-Length."""
        if self._body is None:
            self._body = await self._read(source)
        return self._body

    async def _read(self, source):
        limit = settings.INGEST_MAX_BODY_BYTES
        if source.max_body != Source.max_body:
            limit = max(limit, source.max_body)
        declared = self.headers.get("content-length", "")
        if declared.isdecimal() and len(declared) < 20 and int(declared) > limit:
            raise Refused(source.too_large(limit))
        chunks, size = [], 0
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise Disconnected
            chunk = message.get("body", b"")
            size += len(chunk)
            if size > limit:
                raise Refused(source.too_large(limit))
            chunks.append(chunk)
            if not message.get("more_body", False):
                return chunks[0] if len(chunks) == 1 else b"".join(chunks)


@dataclasses.dataclass(frozen=True, slots=True)
class Accepted:
    """A stored request. `result` is what became of it, if somebody waited and it was decided in time."""

    event_id: uuid.UUID
    events: list
    is_new: bool
    result: list | None = None


class Desk:
    """All that belongs to one event loop: connections, caches, the batch."""

    def __init__(self, loop, decider):
        self.loop = loop
        self.writer, self.reader = Line(), Line()
        self.keys = Keyring(self.reader.fetch)
        self.watcher = Watcher(self.reader, loop)
        self.collector = Collector(self.writer, decider, self.touch_integrations)
        self.refusals, self.unreadable = Refusals(), Unreadable()
        self.paces = Paces(self.reader.fetch)
        self._touched = {}
        self._tasks = set()
        decider.listeners.append(self.watcher.tell)

    async def close(self):
        await self.collector.close()
        await self.refusals.close()
        await self.unreadable.close()
        await self.writer.close()
        await self.reader.close()

    def touch_integrations(self, rows):
        """Note that these rows' integrations are alive."""
        self._touch(Integration, "last_event_at", {row.integration_id for row in rows if row.integration_id})

    def touch_key(self, caller):
        self._touch(ApiKey, "last_used_at", {caller.key_id})

    def _touch(self, model, field, ids):
        """Write the time, off the hot path and at most once a minute for each row."""
        clock = time.monotonic()
        due = [pk for pk in ids if self._touched.get((model, pk), -TOUCH_SECONDS) <= clock - TOUCH_SECONDS]
        if not due:
            return
        self._touched.update({(model, pk): clock for pk in due})
        task = asyncio.create_task(self._write_time(model, field, due))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _write_time(self, model, field, ids):
        try:
            await self.reader.fetch(
                f"UPDATE {model._meta.db_table} SET {field} = now() WHERE id = ANY(%s)", [sorted(ids)]
            )
        except UNREACHABLE as error:
            logger.warning("Could not note the last use of %s %s: %s", model._meta.verbose_name, ids, error)


class Door:
    """The ASGI application. It answers the inbound addresses and passes everything else on to `app`.

    `decide(ids, now=)` decides a batch of accepted events; without it they are left to the workers.
    """

    def __init__(self, app, decide=None):
        self.app = app
        self._decider = Decider(decide)
        self._current = None
        self._sources = {kind: sources.get(kind) for kind, cls in sources.classes().items() if not cls.is_internal}
        self._dialects = [dialects.get(kind) for kind in sorted(dialects.classes())]
        self._generic = Generic()
        self._api = ApiDialect()
        self._complained_at = 0

    async def __call__(self, scope, receive, send):
        handle = self._route(scope) if scope["type"] == "http" else None
        if handle is None:
            await self.app(scope, receive, send)
            return
        try:
            status, answer, headers = await handle(Request(scope, receive))
        except Refused as refused:
            status, answer, headers = refused.status, refused.answer, refused.headers
        except Disconnected:
            return
        body = b"" if answer is None else answer if isinstance(answer, bytes) else msgspec.json.encode(answer)
        if answer is not None and not any(name == b"content-type" for name, _ in headers):
            kind = b"application/problem+json" if handle == self._rest and status >= 400 else b"application/json"
            headers = ((b"content-type", kind), *headers)
        headers = (*plain(), *headers, (b"content-length", b"%d" % len(body)))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    @property
    def queued(self):
        """How many events wait for their commit."""
        return self._current.collector.rows if self._current else 0

    async def close(self):
        """Close the connections of the running loop and end the deciding thread."""
        if self._current is not None and self._current.loop is asyncio.get_running_loop():
            await self._current.close()
            self._current = None
        await asyncio.to_thread(self._decider.stop)

    async def submit(self, target, source, body, headers, *, wait=None, event_id=None, signature=""):
        """Store one request for `target` and return it as Accepted, after the commit.

        `wait` is how many seconds to wait for the decision. With an `event_id` the same id is stored only once.
        Raises BadEvent, Unavailable, Replayed or Unstorable.
        """
        try:
            events = source.parse(body, headers, target.options)
        except BadEvent as bad:
            self._keep_unreadable(target, source, body, headers, bad)
            raise
        except Exception:  # a mistake of ours in a source must not lose the event: keep it raw, deciding shows it
            logger.exception("The source %s could not read a request through %s.", source.kind, target.scope)
            events = []
        may_exist = event_id is not None
        event_id = event_id or uuid.uuid4()
        generated_key = "" if all(event.dedup_key or event.alert_id for event in events) else event_id.hex
        events = [with_key(event, generated_key, index) for index, event in enumerate(events)]
        now = datetime.now(UTC)
        desk = self._desk()
        desk.unreadable.admitted(target.integration_id)
        desk.collector.check_room(target.scope)
        row = Row(
            id=event_id,
            source=source.kind,
            scope=target.scope,
            integration_id=target.integration_id,
            service_id=target.service_id,
            body=body,
            headers=_kept_headers(source, headers),
            generated_key=generated_key,
            received_at=now,
            due_at=await desk.paces.due_at(target, events, now=now),
            state=PENDING,
            decided_at=None,
            signature=signature,
            may_exist=may_exist,
        )
        is_new = await desk.collector.put(row)
        result = await desk.watcher.result(event_id, wait) if wait else None
        return Accepted(event_id, events, is_new, result)

    def _keep_unreadable(self, target, source, body, headers, bad):
        self._desk().unreadable.keep(
            target.integration_id,
            str(bad)[:500].replace("\0", ""),
            now=datetime.now(UTC),
            source=source.kind,
            scope=target.scope,
            service_id=target.service_id,
            body=body,
            headers=_kept_headers(source, headers).obj,
        )

    def _try_later(self, source, error):
        """The answer when nothing was stored. Logged at most once a second: during an outage every request gets it."""
        if time.monotonic() - self._complained_at > 1:
            self._complained_at = time.monotonic()
            if isinstance(error, Unavailable):
                logger.warning("Inbound events are turned away: the queue is full or could not be stored.")
            else:
                logger.error("Inbound events are turned away: the database cannot be asked: %s", error)
        return Refused(source.overloaded(), [(b"retry-after", b"%d" % RETRY_AFTER_SECONDS)])

    @staticmethod
    def unknown_key(request, source, answer, headers=()):
        """The Refused for a key that nobody has. An address that sends many of them is told to wait instead.

        It is asked after the key was looked up: a sender with a right key may share its address with one whose key is
        old, and its events come in.
        """
        limit, who = limits.for_address("unknown_keys", request.scope)
        verdict = limits.limiter().glance(limit, who, now=time.time())
        if verdict.is_allowed:
            return Refused(answer, headers)
        return Refused(source.limited(TOO_MANY_GUESSES), limit_headers(verdict))

    def _check_rate(self, who, source, integration_id=None):
        """The Verdict on one more request of a known key. In memory, and passes while in doubt.

        Raises Refused, and tells the admins: not every sender comes again.
        """
        verdict = limits.limiter().glance(limits.limit("inbound"), who, now=time.time())
        if not verdict.is_allowed:
            reason = (
                f"More than {verdict.limit.quota} requests came with its key in {verdict.limit.window} seconds, which "
                "is the limit RATE_LIMIT_INBOUND."
            )
            self._desk().refusals.refused(integration_id, reason, now=datetime.now(UTC))
            raise Refused(source.limited(too_many(verdict)), limit_headers(verdict))
        return verdict

    def _desk(self):
        loop = asyncio.get_running_loop()
        if self._current is None or self._current.loop is not loop:
            self._decider.listeners.clear()
            self._current = Desk(loop, self._decider)
        return self._current

    def _route(self, scope):
        path = scope["path"]
        for dialect in self._dialects:
            handle = dialect.find(scope["method"], path.removesuffix("/"))
            if handle is not None:
                return functools.partial(handle, self)
        if path.startswith("/in/"):
            return self._by_path
        match path.removesuffix("/"):
            case "/api/events":
                return self._by_header
            case "/api/v1/alerts" if scope["method"] == "POST":
                return self._rest
        return None

    # --- the addresses ----------------------------------------------------------------------------------------

    async def _by_path(self, request):
        """`/in/{source}/{key}`, or `/in/{source}` with the key in the Authorization header."""
        kind, _, key = request.path[len("/in/") :].removesuffix("/").partition("/")
        source = self._sources.get(kind)
        if source is None:
            known = ", ".join(sorted(self._sources))
            message = f"There is no source “{clean_line(kind, 40)}”. Use /in/<source>/<key> with one of: {known}."
            raise Refused((404, {"status": "unknown_source", "message": message}))
        where = "path" if key else "header"
        return await self.accept(request, source, key or request.bearer(), where)

    async def _by_header(self, request):
        """`/api/events` with `Authorization: Bearer <key>`."""
        return await self.accept(request, self._generic, request.bearer(), "header")

    async def accept(self, request, source, key, where):
        """Take one request for `source`: `(status, answer, headers)`. Raises Refused.

        `key` is None where the body names it.
        """
        if request.method not in source.methods:
            message = (
                f"Send events to this address with {source.methods[0]}. That you read this shows that the address is "
                "reachable."
            )
            allowed = ", ".join(source.methods).encode()
            raise Refused((405, {"status": "method_not_allowed", "message": message}), [(b"allow", allowed)])
        desk = self._desk()
        try:
            desk.collector.check_room()
            if where != "body":
                target = await self.target(source, key, where, request)
                desk.collector.check_room(target.scope)
                body = await request.body(source)
            else:
                body = await request.body(source)
                target = await self.target(source, source.key_of(body, request.headers), where, request)
            self._check_rate(target.scope, source, target.integration_id)
            signature = await self._admit(target, source, request.headers, body)
            event_id = _delivery(target, source, request.headers, body)
            accepted = await self.submit(target, source, body, request.headers, event_id=event_id, signature=signature)
        except BadEvent as bad:
            raise Refused(source.refused(bad.errors)) from None
        except Replayed:
            reason = "This signature was used before. Sign each attempt anew, with the present time."
            raise Refused(source.bad_signature(reason)) from None
        except Unstorable:
            desk.keys.forget()  # the likely cause: the integration was deleted a moment ago
            raise Refused(_server_error(source)) from None
        except (Unavailable, *UNREACHABLE) as error:
            raise self._try_later(source, error) from None
        status, answer = source.accepted(accepted.events, str(accepted.event_id))
        return status, answer, ()

    async def _admit(self, target, source, headers, body):
        """The token that guards against a replay, or "". Raises Refused, and tells the admins of it."""
        now = datetime.now(UTC)
        verdict = await source.admit(target, headers, body, now=now, fetch=self.fetch)
        if verdict.ok:
            self._desk().refusals.admitted(target.integration_id)
            return verdict.replay_token if target.integration_id else ""
        self._desk().refusals.refused(target.integration_id, verdict.reason, now=now)
        if verdict.is_later:
            raise Refused(source.overloaded(), [(b"retry-after", b"%d" % RETRY_AFTER_SECONDS)])
        raise Refused(source.bad_signature(verdict.reason))

    async def result(self, event_id, seconds):
        """What became of a stored event, or None if it is not decided within that time."""
        return await self._desk().watcher.result(event_id, seconds)

    async def fetch(self, query, params=None):
        """The rows of one statement. Raises what is in alerts.line.UNREACHABLE."""
        return await self._desk().reader.fetch(query, params)

    async def target(self, source, key, where, request=None):
        """Where the events of this key go. `where` the key stood is "path", "header" or "body". Raises Refused.

        `request` says whose guess an unknown key is; a mail has none.
        """
        target = await self._desk().keys.target(key)
        if target is None:
            headers = [(b"www-authenticate", b"Bearer")] if where == "header" else ()
            if request is None:
                raise Refused(source.unknown_key(where), headers)
            raise self.unknown_key(request, source, source.unknown_key(where), headers)
        if not any(target.opens(kind) for kind in (source.kind, *source.also_keys_of)):
            raise Refused(source.wrong_door(target.source, where))
        return target

    async def _rest(self, request):
        """`POST /api/v1/alerts`: an API key, and a service that the body names."""
        desk, problem = self._desk(), self._api.problem
        try:
            desk.collector.check_room()
            caller = await self._caller(desk, request)
            verdict = self._check_rate(f"key:{caller.key_id}", self._api)
            seconds = _wait_seconds(request.query)
            body = await request.body(self._api)
            data = read_json(body)
            if not isinstance(data, dict):
                raise BadEvent.about("", "Send one alert as a JSON object.")
            target = await self._service_target(desk, caller, data)
            event_id = None
            idempotency_key = request.headers.get("idempotency-key", "")
            if idempotency_key and not data.get("dedup_key"):
                event_id = uuid.uuid5(uuid.NAMESPACE_URL, f"watchbill:{caller.prefix}:{idempotency_key}")
            accepted = await self.submit(target, self._generic, body, request.headers, wait=seconds, event_id=event_id)
            if not accepted.is_new and event_id and not await self._same_body(desk, event_id, body):
                detail = "This Idempotency-Key was used with another body. Use a new key for a new alert."
                raise Refused(problem(422, "idempotency_key_reused", detail))
        except BadEvent as bad:
            raise Refused(self._api.refused(bad.errors)) from None
        except Unstorable:
            desk.keys.forget()
            raise Refused(problem(500, "not_stored", _server_error(self._api)[1]["message"])) from None
        except (Unavailable, *UNREACHABLE) as error:
            raise self._try_later(self._api, error) from None
        desk.touch_key(caller)
        answer = {
            "status": "accepted",
            "event_id": str(accepted.event_id),
            "dedup_key": accepted.events[0].dedup_key if accepted.events else "",
        }
        if accepted.result:
            answer["alert_id"] = accepted.result[0].get("alert_id")
            answer["incident_number"] = accepted.result[0].get("incident")
        return 202, answer, limit_headers(verdict)

    async def _caller(self, desk, request):
        problem = self._api.problem
        caller = await desk.keys.caller(request.bearer() or request.headers.get("x-api-key", "").strip())
        if caller is None:
            detail = (
                "Send a valid API key as “Authorization: Bearer wb_…” or “X-API-Key: wb_…”. "
                "A revoked or expired key, or one of an inactive person, does not work."
            )
            answer = problem(401, "not_authenticated", detail)
            raise self.unknown_key(request, self._api, answer, [(b"www-authenticate", b"Bearer")])
        if not caller.may_send_alerts:
            lacks_scope = not allows(caller.scopes, "alerts", True)
            detail = missing(caller.scopes, "alerts", True) if lacks_scope else OBSERVES
            raise Refused(problem(403, "not_allowed", detail))
        return caller

    async def _service_target(self, desk, caller, data):
        name = clean_line(data.get("service"), 200)
        if not name:
            raise BadEvent.about(
                "service", "Name the service that has the trouble. GET /api/v1/services lists the slugs."
            )
        service_id, team_id = await desk.keys.service(name) or (None, None)
        if service_id is None or not caller.reaches(team_id):
            raise BadEvent.about("service", f"There is no service “{name}”. GET /api/v1/services lists the slugs.")
        if not caller.may_send_to(team_id):
            raise Refused(self._api.problem(403, "not_allowed", OBSERVES))
        return Target(f"api:{service_id}", self._generic.kind, None, service_id)

    @staticmethod
    async def _same_body(desk, event_id, body):
        rows = await desk.reader.fetch(
            f"SELECT body = %b FROM {InboundEvent._meta.db_table} WHERE id = %s", [body, event_id]
        )
        return not rows or rows[0][0]


def limit_headers(verdict):
    """What a Verdict says in headers of ASGI."""
    return [(name.lower().encode(), value.encode()) for name, value in verdict.headers().items()]


def too_many(verdict):
    """The sentence for a known key above its limit."""
    return (
        f"Nothing was stored: more than {verdict.limit.quota} requests in {verdict.limit.window} seconds came with "
        "this key. Send the same again after the time in Retry-After, and more events in one request."
    )


def _delivery(target, source, headers, body):
    """The id under which this delivery is stored once, or None if its sender does not name it."""
    name = source.delivery_id(headers, body)
    # Digested first: a name may be of any length and hold what is no text.
    return uuid.uuid5(uuid.NAMESPACE_URL, digest(f"watchbill:{target.scope}:{source.kind}:{name}")) if name else None


def _password(token):
    """The password of HTTP Basic, or the user where there is none; "" when it cannot be read."""
    try:
        user, _, password = base64.b64decode(token, validate=True).decode().partition(":")
    except ValueError:
        return ""
    return password.strip() or user.strip()


def _kept_headers(source, headers):
    """The few headers that are kept with the body. Keys, tokens and cookies are never among them."""
    names = [name for name in (*KEPT_HEADERS, *source.keep_headers) if name in headers]
    # A query may be all there is of an event.
    kept = {name: clean_text(headers[name], QUERY_LIMIT if name == ":query" else 500) for name in names}
    return Jsonb(kept, dumps=msgspec.json.encode)


def _wait_seconds(query):
    """The `wait` of a query string in seconds, or None. Raises BadEvent."""
    given = parse_qs(query.decode("latin-1")).get("wait")
    if not given:
        return None
    try:
        seconds = float(given[-1])
    except ValueError:
        seconds = -1
    if not 0 <= seconds <= WAIT_LIMIT_SECONDS:
        raise BadEvent.about("wait", f"Give wait as a number of seconds from 0 to {WAIT_LIMIT_SECONDS}.")
    return seconds


def _server_error(source):
    return 500, {"status": "not_stored", "message": "The event could not be stored. The server's log says why."}
