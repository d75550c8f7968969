"""The inbound door, driven over HTTP by a real server on the real database."""

import asyncio
import base64
import contextlib
import datetime as dt
import hashlib
import hmac
import http.client
import json
import socket
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import uvicorn
from django.db import connection, connections
from django.utils import timezone
from psycopg.types.json import Jsonb

from accounts import keys as api_keys
from accounts.models import ApiKey
from alerts import ingest, keys
from alerts.batch import Collector, Row
from alerts.deciding import Decider
from alerts.door import Door
from alerts.line import Line
from alerts.models import Alert, InboundEvent, Integration, SeenSignature
from core import secrets
from core.secrets import digest
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)

ROOT = Path(__file__).parent.parent.parent
PAYLOADS = ROOT / "tests" / "payloads"
TRIGGER = {"title": "Disk full", "dedup_key": "disk/web-03"}


async def pages(scope, receive, send):
    """Stands for Django behind the door."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": b"pages"})


class Reply:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def json(self):
        return json.loads(self.body)


class Server:
    """A door under uvicorn in a thread of its own."""

    def __init__(self, decide=None):
        self.door = Door(pages, decide=decide)
        config = uvicorn.Config(self.door, port=0, lifespan="off", log_level="warning", access_log=False)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    async def _serve(self):
        await self._server.serve()
        await self.door.close()

    def __enter__(self):
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)
        self.port = self._server.servers[0].sockets[0].getsockname()[1]
        return self

    def __exit__(self, *error):
        self._server.should_exit = True
        self._thread.join(10)

    def request(self, method, path, body=b"", headers=()):
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=15)
        with contextlib.closing(client):
            body = body if isinstance(body, bytes) or hasattr(body, "__next__") else json.dumps(body).encode()
            client.request(method, path, body, dict(headers))
            return Reply(client.getresponse())

    def post(self, path, body=TRIGGER, headers=()):
        return self.request("POST", path, body, headers)


@pytest.fixture
def server():
    """A door that leaves deciding to the workers."""
    with Server() as running:
        yield running


@pytest.fixture
def integration(service):
    return factories.IntegrationFactory(source="generic", service=service)


@pytest.fixture
def address(integration):
    return f"/in/generic/{integration.key}"


@contextlib.contextmanager
def stuck_inserts():
    """While inside, whoever inserts an event waits; reading goes on."""
    inside, leave = threading.Event(), threading.Event()

    def hold():
        with contextlib.closing(connection), connection.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute(f"LOCK TABLE {InboundEvent._meta.db_table} IN EXCLUSIVE MODE")
            inside.set()
            leave.wait(10)
            cursor.execute("ROLLBACK")

    thread = threading.Thread(target=hold)
    thread.start()
    assert inside.wait(5)
    try:
        yield
    finally:
        leave.set()
        thread.join()


def waits_for(condition, seconds=5):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if condition():
            return True
        time.sleep(0.01)
    return False


def sample(name):
    return (PAYLOADS / f"{name}.json").read_bytes()


# --- storing --------------------------------------------------------------------------------------------------


def test_an_event_is_stored_raw_before_the_answer(server, address, integration, service):
    body = b'{"title": "Disk full",  "dedup_key": "disk/web-03"}'
    before = timezone.now()
    reply = server.post(address, body, {"User-Agent": "watcher/1", "Authorization": "Basic x", "Cookie": "a=b"})
    row = InboundEvent.objects.get()
    assert reply.status == 202
    assert reply.headers["content-type"] == "application/json"
    assert reply.json == {"status": "accepted", "dedup_key": "disk/web-03", "event_id": str(row.pk)}
    assert bytes(row.body) == body
    assert (row.source, row.scope) == ("generic", f"integration:{integration.pk}")
    assert (row.integration, row.service, row.state) == (integration, service, "pending")
    assert (row.attempts, row.error, row.result, row.decided_at) == (0, "", [], None)
    assert row.headers == {"user-agent": "watcher/1"}
    assert before <= row.received_at <= row.due_at <= timezone.now()


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("slash", ["", "/"])
def test_the_answer_comes_with_and_without_a_slash(server, address, method, slash):
    assert server.request(method, address + slash, TRIGGER).status == 202


def test_no_answer_before_the_commit(server, address):
    with ThreadPoolExecutor() as pool:
        with stuck_inserts():
            waiting = pool.submit(server.post, address)
            assert waits_for(lambda: server.door.queued == 1)
            time.sleep(0.1)
            assert not waiting.done()
        assert waiting.result().status == 202
    assert InboundEvent.objects.count() == 1


def test_fifty_at_once_are_all_committed(server, address):
    with ThreadPoolExecutor(50) as pool:
        replies = list(pool.map(lambda n: server.post(address, {"title": f"Event {n}"}), range(50)))
    assert {reply.status for reply in replies} == {202}
    ids = {reply.json["event_id"] for reply in replies}
    assert ids == {str(pk) for pk in InboundEvent.objects.values_list("pk", flat=True)}
    assert len(ids) == 50


def test_a_trigger_without_a_key_gets_one(server, address):
    reply = server.post(address, {"title": "x"})
    row = InboundEvent.objects.get()
    assert reply.json["dedup_key"] == row.generated_key != ""
    reply = server.post(address, [{"title": "a"}, {"title": "b", "dedup_key": "own"}, {"title": "c"}])
    key = InboundEvent.objects.exclude(pk=row.pk).get().generated_key
    assert reply.json["dedup_keys"] == [key, "own", f"{key}-2"]


def test_bad_json_makes_nothing_and_says_what_to_change(server, address):
    reply = server.post(address, b"{'title': 'x'}")
    assert reply.status == 400
    assert reply.json["status"] == "invalid"
    assert "double quotes" in reply.json["errors"][0]["message"]
    assert server.post(address, b'{"action": "resolve"}').json["errors"][0]["field"] == "dedup_key"
    assert server.post(address, b"[" * 200_000).status == 400
    assert not InboundEvent.objects.exclude(state="poison").exists()


def test_hostile_bytes_still_make_an_event(server, address):
    reply = server.post(address, b'{"title": "\xff\x00", "dedup_key": "a\\u0000b", "labels": {"x": NaN}}')
    assert reply.status == 202
    assert reply.json["dedup_key"] == "ab"
    assert server.post(address, TRIGGER, {"User-Agent": "é\xa0" * 4000}).status == 202
    assert InboundEvent.objects.count() == 2


def test_a_body_that_is_too_large_is_not_read_to_its_end(server, address, settings):
    settings.INGEST_MAX_BODY_BYTES = 1000
    assert server.post(address, {"title": "x" * 2000}).status == 413
    assert server.post(address, iter([b'{"title": "'] + [b"x" * 400] * 5)).status == 413  # without Content-Length
    assert not InboundEvent.objects.exists()
    assert server.post(address).status == 202
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as line:
        line.sendall(f"POST {address} HTTP/1.1\r\nHost: x\r\nContent-Length: 999999\r\n\r\n".encode())
        assert b" 413 " in line.recv(1000)


def test_alertmanager_may_send_more(server, service):
    integration = factories.IntegrationFactory(source="alertmanager", service=service)
    data = json.loads(sample("alertmanager_firing"))
    data["alerts"][0]["annotations"]["description"] = "x" * 1_000_000
    assert server.post(f"/in/alertmanager/{integration.key}", data).status == 200
    other = factories.IntegrationFactory(source="generic", service=service)
    assert server.post(f"/in/generic/{other.key}", {"title": "x" * 1_000_000}).status == 413


def test_only_post_and_put(server, address):
    for path in (address, "/v2/enqueue", "/v2/change/enqueue/", "/api/events"):
        for method in ("GET", "HEAD", "DELETE"):
            reply = server.request(method, path)
            assert reply.status == 405
            assert reply.headers["allow"] == "POST, PUT"


@pytest.mark.parametrize("path", ["/", "/v2/enqueue2", "/incidents/1", "/v2/", "/inbox/x"])
def test_everything_else_is_djangos(server, path):
    assert server.post(path).body == b"pages"


def test_the_list_of_alerts_is_djangos(server):
    assert server.request("GET", "/api/v1/alerts").body == b"pages"


# --- keys -----------------------------------------------------------------------------------------------------


def test_a_wrong_key_in_the_path_is_404(server, integration):
    for key in ("0" * 32, "x", "%00", "a" * 500, integration.key_hash, f"{integration.key}/more"):
        reply = server.post(f"/in/generic/{key}")
        assert reply.status == 404
        assert reply.json["message"].endswith(".")
    assert not InboundEvent.objects.exists()


def test_an_unknown_source_is_404_and_lists_the_known(server, integration):
    reply = server.post(f"/in/nothing/{integration.key}")
    assert reply.status == 404
    assert "alertmanager" in reply.json["message"]


def test_a_key_in_a_header(server, integration):
    for path in ("/api/events", "/api/events/", "/in/generic", "/in/generic/"):
        assert server.post(path, TRIGGER, {"Authorization": f"Bearer {integration.key}"}).status == 202
        for pair in (f"watchbill:{integration.key}", f"{integration.key}:"):
            basic = base64.b64encode(pair.encode()).decode()
            assert server.post(path, TRIGGER, {"Authorization": f"Basic {basic}"}).status == 202
        for token in ("Bearer wrong-wrong-wrong", "Basic wrong", "Basic //79/Q==", "Basic", "Digest"):
            assert server.post(path, TRIGGER, {"Authorization": token}).status == 401
        reply = server.post(path)
        assert (reply.status, reply.headers["www-authenticate"]) == (401, "Bearer")


def test_a_disabled_integration_is_unknown(server, integration, address):
    Integration.objects.update(is_enabled=False)
    assert server.post(address).status == 404


def test_the_routing_key_of_a_service_opens_every_source(server, service):
    assert server.post(f"/in/generic/{service.routing_key}").status == 202
    assert server.post(f"/in/alertmanager/{service.routing_key}", sample("alertmanager_firing")).status == 200
    rows = InboundEvent.objects.all()
    assert {(row.scope, row.integration, row.service) for row in rows} == {(f"service:{service.pk}", None, service)}


def test_the_key_of_an_integration_opens_the_door_of_its_own_source_only(server, service):
    bodies = {
        "generic": TRIGGER,
        "alertmanager": sample("alertmanager_firing"),
        "pagerduty": sample("pagerduty_trigger"),
    }
    for own in bodies:
        key = factories.IntegrationFactory(source=own, service=service).key
        for kind, body in bodies.items():
            for path, headers in ((f"/in/{kind}/{key}", {}), (f"/in/{kind}", {"Authorization": f"Bearer {key}"})):
                reply = server.post(path, body, headers)
                if kind == own:
                    assert reply.status < 300
                else:
                    assert (reply.status, reply.json["status"]) == (404, "unknown_key")
                    assert f"/in/{own}/<key>" in reply.json["message"]
    assert InboundEvent.objects.count() == 2 * len(bodies)


def test_the_short_address_of_events_takes_generic_integrations_only(server, service):
    for kind, status in (("generic", 202), ("alertmanager", 404), ("pagerduty", 404)):
        key = factories.IntegrationFactory(source=kind, service=service).key
        assert server.post("/api/events", TRIGGER, {"Authorization": f"Bearer {key}"}).status == status


def test_a_key_is_shown_once_and_stored_as_a_hash(integration):
    text = keys.issue_key(integration)
    integration.save()
    integration.refresh_from_db()
    assert integration.key_hash == hashlib.sha256(text.encode()).hexdigest()
    assert integration.key_last4 == text[-4:]
    assert len(text) == 32


def test_the_integration_notes_when_it_was_last_heard(server, integration, address):
    server.post(address)
    assert waits_for(lambda: Integration.objects.exclude(last_event_at=None).exists())


# --- PagerDuty ------------------------------------------------------------------------------------------------


def pagerduty(name, key):
    return {**json.loads(sample(f"pagerduty_{name}")), "routing_key": key}


def test_pagerduty_events_are_taken_by_integration_key_and_by_routing_key(server, service):
    integration = factories.IntegrationFactory(source="pagerduty", service=service)
    for key in (integration.key, service.routing_key):
        reply = server.post("/v2/enqueue", pagerduty("trigger", key))
        assert reply.status == 202
        assert reply.json == {"status": "success", "message": "Event processed", "dedup_key": "checkout/latency"}
    scopes = InboundEvent.objects.values_list("source", "scope")
    assert set(scopes) == {("pagerduty", f"integration:{integration.pk}"), ("pagerduty", f"service:{service.pk}")}


def test_pagerduty_mistakes_are_400_with_a_list(server, service):
    for body, word in [
        (pagerduty("trigger", "0" * 32), "routing_key"),
        ({"event_action": "trigger"}, "routing_key"),
        ({"routing_key": service.routing_key, "event_action": "resolve"}, "dedup_key"),
        (b"{", "JSON"),
    ]:
        reply = server.post("/v2/enqueue", body)
        assert reply.status == 400
        assert reply.json["status"] == "invalid event"
        assert word in reply.json["errors"][0]
    assert not InboundEvent.objects.exists()


@pytest.mark.parametrize("path", ["/v2/enqueue", "/v2/change/enqueue"])
def test_pagerdutys_addresses_take_integrations_of_pagerduty_only(server, service, path):
    body = "change" if "change" in path else "trigger"
    own = factories.IntegrationFactory(source="pagerduty", service=service)
    other = factories.IntegrationFactory(source="generic", service=service)
    assert server.post(path, pagerduty(body, own.key)).status == 202
    reply = server.post(path, pagerduty(body, other.key))
    assert (reply.status, reply.json["status"]) == (400, "invalid event")
    assert "/in/generic/<key>" in reply.json["errors"][0]
    assert InboundEvent.objects.count() == 1


def test_pagerduty_key_in_a_header_and_in_the_path(server, service):
    body = {"event_action": "resolve", "dedup_key": "k"}
    assert server.post("/v2/enqueue/", body, {"X-Routing-Key": service.routing_key}).status == 202
    assert server.post(f"/in/pagerduty/{service.routing_key}", body).status == 202


def test_a_change_is_stored_and_decided_like_everything_else(server, service):
    reply = server.post("/v2/change/enqueue", pagerduty("change", service.routing_key))
    assert (reply.status, reply.json) == (202, {"status": "success", "message": "Change event processed"})
    row = InboundEvent.objects.get()
    assert (row.source, row.state) == ("pagerduty_change", "pending")
    assert row.due_at


# --- signatures -----------------------------------------------------------------------------------------------


@pytest.fixture
def secret(integration):
    integration.signing_secret = "whk_test_secret_1"
    integration.save()
    return integration.signing_secret


def signed(secret, body, at=None):
    stamp = int(at or time.time())
    value = hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    return {"X-Signature": f"t={stamp},v1={value}"}


def test_a_signature_is_asked_for_and_works_once(server, address, secret, integration):
    body = json.dumps(TRIGGER).encode()
    assert server.post(address, body).status == 401
    assert server.post(address, body, signed("wrong", body)).status == 401
    assert server.post(address, body, signed(secret, body, time.time() - 400)).status == 401
    headers = signed(secret, body)
    assert server.post(address, body, headers).status == 202
    reply = server.post(address, body, headers)
    assert reply.status == 401
    assert "used before" in reply.json["message"]
    assert InboundEvent.objects.count() == 1
    assert SeenSignature.objects.get().integration == integration


def test_a_secret_that_cannot_be_read_any_more_fits_no_signature(server, address, secret, settings):
    settings.SECRET_KEY = "another key, and the old one is lost"
    body = json.dumps(TRIGGER).encode()
    for guess in (secret, secrets.UNREADABLE, ""):
        assert server.post(address, body, signed(guess, body)).status == 401
    assert not InboundEvent.objects.exists()


def test_an_answer_of_the_door_is_guarded_too(server, address):
    for reply in (server.post(address, json.dumps(TRIGGER).encode()), server.post("/in/generic/wrong-key", b"{}")):
        assert reply.headers["Cache-Control"] == "no-store"
        assert reply.headers["X-Content-Type-Options"] == "nosniff"
        assert reply.headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert reply.headers["Referrer-Policy"] == "no-referrer"


def test_of_ten_equal_signatures_at_once_one_is_stored(server, address, secret):
    body = json.dumps(TRIGGER).encode()
    headers = signed(secret, body)
    with ThreadPoolExecutor(12) as pool:
        with stuck_inserts():
            first = pool.submit(server.post, address, body, signed(secret, body, time.time() - 1))
            assert waits_for(lambda: server.door.queued == 1)
            same = [pool.submit(server.post, address, body, headers) for _ in range(10)]
            assert waits_for(lambda: server.door.queued == 11)
        assert first.result().status == 202
        assert sorted(one.result().status for one in same) == [202] + [401] * 9
    assert InboundEvent.objects.count() == 2


def test_a_signature_over_the_body_alone_may_come_again(server, address, secret):
    body = json.dumps(TRIGGER).encode()
    value = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    for _ in range(2):
        assert server.post(address, body, {"X-Signature-256": f"sha256={value}"}).status == 202


# --- when it does not fit -------------------------------------------------------------------------------------


def test_a_full_queue_says_try_later_in_each_protocol(server, address, integration, service, settings):
    settings.INGEST_QUEUE_LIMIT = 3
    key = factories.ApiKeyFactory(user=factories.UserFactory())
    server.post(address)  # so that the key is known
    with ThreadPoolExecutor() as pool:
        with stuck_inserts():
            waiting = [pool.submit(server.post, address) for _ in range(3)]
            assert waits_for(lambda: server.door.queued == 3)
            late = server.post(address)
            pages_still = server.request("GET", "/")
            vendor = server.post("/v2/enqueue", pagerduty("trigger", service.routing_key))
            rest = server.post("/api/v1/alerts", {"title": "x"}, {"X-API-Key": key.text})
        assert [one.result().status for one in waiting].count(202) == len(waiting)
    assert pages_still.status == 200
    assert (late.status, vendor.status, rest.status) == (503, 429, 503)
    assert late.headers["retry-after"] == vendor.headers["retry-after"] == rest.headers["retry-after"] == "2"
    assert rest.headers["content-type"] == "application/problem+json"
    assert server.post(address).status == 202


@pytest.mark.logs_errors
def test_without_a_database_nothing_is_accepted_and_it_comes_back_by_itself(server, address, service, monkeypatch):
    monkeypatch.setitem(connections.databases["default"], "PORT", "1")
    monkeypatch.setitem(connections.databases["default"], "HOST", "127.0.0.1")
    reply = server.post(address)
    vendor = server.post("/v2/enqueue", pagerduty("trigger", service.routing_key))
    assert (reply.status, vendor.status) == (503, 429)
    assert reply.headers["retry-after"]
    monkeypatch.undo()
    assert server.post(address).status == 202
    assert InboundEvent.objects.count() == 1


def test_a_lost_connection_is_replaced_unseen(server, address):
    def lines(wanted):
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT {wanted} FROM pg_stat_activity WHERE application_name = %s AND datname = current_database()",
                ["watchbill door"],
            )
            return cursor.fetchall()

    # The server process of a door that closed a moment ago may still be ending.
    assert waits_for(lambda: lines("pid") == [])
    server.post(address)
    assert lines("pg_terminate_backend(pid)") == [(True,), (True,)]
    replies = [server.post(address).status for _ in range(3)]
    assert replies == [202] * 3
    assert InboundEvent.objects.count() == 4


def test_a_batch_whose_commit_was_not_heard_of_is_not_stored_twice(service):
    """The connection broke after the commit, so the same rows are sent once more."""

    def row(**fields):
        now = timezone.now()
        common = {"source": "generic", "scope": f"service:{service.pk}", "integration_id": None, "body": b"{}"}
        common |= {"headers": Jsonb({}), "generated_key": "", "received_at": now, "due_at": now, "state": "pending"}
        return Row(id=uuid.uuid4(), service_id=service.pk, decided_at=None, **common, **fields)

    async def store_twice(rows):
        line = Line()
        collector = Collector(line, Decider(None), lambda rows: None)
        try:
            return [await collector._store(rows) for _ in range(2)]
        finally:
            await line.close()

    first, again = asyncio.run(store_twice([row(), row(), row(may_exist=True)]))
    assert first == [True, True, True]
    assert again == [True, True, False]
    assert InboundEvent.objects.count() == 3


@pytest.mark.logs_errors
def test_one_bad_row_fails_alone(server, address, service):
    """Its integration was deleted a moment ago, while the door still knows the key."""
    gone = factories.IntegrationFactory(source="generic", service=service)
    bad = f"/in/generic/{gone.key}"
    assert server.post(bad).status == server.post(address).status == 202
    Integration.objects.filter(pk=gone.pk).delete()
    with ThreadPoolExecutor() as pool:
        with stuck_inserts():
            first = pool.submit(server.post, address)
            assert waits_for(lambda: server.door.queued == 1)
            time.sleep(0.05)  # it is being written; the others gather for the next batch
            others = [pool.submit(server.post, path) for path in (address, bad, address)]
            assert waits_for(lambda: server.door.queued == 4)
        assert first.result().status == 202
        assert [one.result().status for one in others] == [202, 500, 202]
    assert server.post(bad).status == 404
    assert InboundEvent.objects.count() == 5


def test_a_sender_who_hangs_up_harms_nobody(server, address):
    body = json.dumps(TRIGGER).encode()
    head = f"POST {address} HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
    server.post(address)
    with stuck_inserts():
        with socket.create_connection(("127.0.0.1", server.port)) as line:
            line.sendall((head % len(body)).encode() + body)
        with socket.create_connection(("127.0.0.1", server.port)) as line:
            line.sendall((head % 1000).encode() + body)  # less than it promised
        assert waits_for(lambda: server.door.queued == 1)
    assert server.post(address).status == 202
    assert waits_for(lambda: InboundEvent.objects.count() == 3)


@pytest.mark.logs_errors
def test_a_mistake_of_ours_in_a_source_loses_nothing(server, address, monkeypatch):
    """The event stays raw; deciding it fails visibly."""
    monkeypatch.setattr(type(server.door._sources["generic"]), "read", lambda *_: 1 / 0)
    assert server.post(address).status == 202
    assert InboundEvent.objects.get().state == "pending"


# --- deciding -------------------------------------------------------------------------------------------------


def test_accepted_events_are_decided_right_after_the_commit(address):
    with Server(decide=ingest.decide_ids) as server:
        server.post(address)
        assert waits_for(lambda: Alert.objects.exists())
    row = InboundEvent.objects.get()
    assert row.state == "decided"
    assert row.result[0]["outcome"] == "new_incident"


def test_what_this_process_decides_is_kept_from_the_workers_for_a_moment(address):
    with Server(decide=lambda ids, now: None) as server:
        server.post(address)
    row = InboundEvent.objects.get()
    assert row.due_at - row.received_at == dt.timedelta(seconds=2)


def test_a_flood_is_left_to_the_workers(address):
    taken = []
    with Server(decide=lambda ids, now: taken.extend(ids)) as server, ThreadPoolExecutor(20) as pool:
        replies = list(pool.map(lambda n: server.post(address, {"title": f"{n}"}), range(400)))
        assert waits_for(lambda: len(taken) >= 150)
    assert {reply.status for reply in replies} == {202}
    left = [row for row in InboundEvent.objects.all() if row.due_at == row.received_at]
    assert len(left) + len(taken) == 400
    assert len(left) > 50


def test_when_deciding_fails_the_next_batch_is_decided_all_the_same(address, caplog):
    calls = []

    def decide(ids, now):
        calls.append(ids)
        if len(calls) == 1:
            raise RuntimeError("boom")

    with Server(decide=decide) as server:
        for count in (1, 2):
            assert server.post(address).status == 202
            assert waits_for(lambda count=count: len(calls) == count)
    assert "The workers take them" in caplog.text


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_deciding_thread_that_died_is_replaced(address):
    calls = []

    def decide(ids, now):
        calls.append(ids)
        if len(calls) == 1:
            raise SystemExit

    with Server(decide=decide) as server:
        server.post(address)
        assert waits_for(lambda: calls and not server.door._decider._thread.is_alive())
        server.post(address)
        assert waits_for(lambda: len(calls) == 2)


# --- POST /api/v1/alerts --------------------------------------------------------------------------------------


@pytest.fixture
def api_key(alice):
    return factories.ApiKeyFactory(user=alice, scopes=["alerts:write"])


@pytest.fixture
def send(server, api_key):
    def post(body, headers=(), query=""):
        return server.post(
            f"/api/v1/alerts{query}", body, {"Authorization": f"Bearer {api_key.text}", **dict(headers)}
        )

    return post


def is_problem(reply, status, code):
    assert reply.status == status
    assert reply.headers["content-type"] == "application/problem+json"
    assert set(reply.json) == {"type", "title", "status", "detail", "code", "errors"}
    assert (reply.json["status"], reply.json["code"]) == (status, code)
    assert reply.json["detail"].endswith(".")
    return True


def test_an_alert_by_the_api(send, service):
    reply = send(sample("generic_rest"))
    row = InboundEvent.objects.get()
    assert reply.status == 202
    assert reply.json == {"status": "accepted", "event_id": str(row.pk), "dedup_key": row.generated_key}
    assert (row.source, row.scope, row.service) == ("generic", f"api:{service.pk}", service)


def test_the_service_by_slug_routing_key_or_name(send, service):
    for name in (service.slug, service.routing_key, service.name):
        assert send({"service": name, "title": "x"}).status == 202
    assert set(InboundEvent.objects.values_list("service", flat=True)) == {service.pk}


@pytest.mark.parametrize("name", ["nothing", "", None, 5, {"slug": "x"}, "a\x00b"])
def test_an_unknown_service_is_refused_with_the_way_to_find_one(send, service, name):
    reply = send({"service": name, "title": "x"})
    assert is_problem(reply, 400, "invalid")
    assert reply.json["errors"][0]["field"] == "service"
    assert "GET /api/v1/services" in reply.json["detail"]


@pytest.mark.parametrize("body", [b"{", b"", b"[]", b"3", b'{"service": "checkout"}'])
def test_bad_alerts_are_problems(send, service, body):
    assert is_problem(send(body), 400, "invalid")
    assert not InboundEvent.objects.exists()


def test_keys_that_may_not(server, service, alice):
    def status(key):
        return server.post("/api/v1/alerts/", {"service": service.slug, "title": "x"}, {"X-API-Key": key})

    good = factories.ApiKeyFactory(user=alice, scopes=["*:write"])
    assert status(good.text).status == 202
    past = timezone.now() - dt.timedelta(minutes=1)
    expired = factories.ApiKeyFactory(user=alice, expires_at=past)
    revoked = factories.ApiKeyFactory(user=alice)
    type(revoked).objects.filter(pk=revoked.pk).update(revoked_at=past)
    inactive = factories.ApiKeyFactory(user=factories.UserFactory(is_active=False))
    for text in ("", "wb_x", good.text + "x", good.text[:-1], expired.text, revoked.text, inactive.text):
        assert is_problem(status(text), 401, "not_authenticated")
    assert is_problem(status(factories.ApiKeyFactory(user=alice, scopes=["*:read"]).text), 403, "not_allowed")
    assert waits_for(lambda: type(good).objects.filter(pk=good.pk).exclude(last_used_at=None).exists())


@pytest.mark.parametrize(
    ("role", "scope", "status"),
    [
        ("observer", "*:write", 403),
        ("observer", "alerts:write", 202),
        ("responder", "*:write", 202),
        ("admin", "*:write", 202),
        ("admin", "*:read", 403),
    ],
)
def test_a_write_key_sends_alerts_when_its_person_may_respond(server, service, role, scope, status):
    person = factories.UserFactory(role=role)
    key = factories.ApiKeyFactory(user=person, scopes=[scope])
    reply = server.post("/api/v1/alerts", {"service": service.slug, "title": "x"}, {"X-API-Key": key.text})
    assert reply.status == status
    assert status == 202 or is_problem(reply, 403, "not_allowed")


def test_a_key_of_a_team_sends_for_its_services_and_others_do_not_exist(server, service, alice):
    other = factories.ServiceFactory(name="Search", slug="search")
    key, text = api_keys.issue_machine_key(
        name="x", scopes=["alerts:write"], role="observer", team=service.team, by=alice
    )

    def post(slug):
        return server.post("/api/v1/alerts", {"service": slug, "title": "x"}, {"X-API-Key": text})

    assert post(service.slug).status == 202
    assert is_problem(post(other.slug), 400, "invalid")
    assert post(other.slug).json["detail"] == post("nowhere").json["detail"].replace("nowhere", "search")
    assert InboundEvent.objects.count() == 1


def test_a_private_team_does_not_exist_for_the_keys_of_strangers(server, service, team, alice, bob, charlie):
    team.is_private = True
    team.save()

    def status(person, scopes):
        text = factories.ApiKeyFactory(user=person, scopes=scopes).text
        return server.post("/api/v1/alerts", {"service": service.slug, "title": "x"}, {"X-API-Key": text}).status

    assert [status(charlie, [scope]) for scope in ("*:write", "alerts:write")] == [400, 400]
    assert [status(person, ["*:write"]) for person in (alice, bob)] == [202, 202]
    _, text = api_keys.issue_machine_key(name="x", scopes=["alerts:write"], role="observer", team=team, by=alice)
    reply = server.post("/api/v1/alerts", {"service": service.slug, "title": "x"}, {"X-API-Key": text})
    assert reply.status == 202


def test_a_role_in_the_team_counts_for_its_services_only(server, service, team):
    other = factories.ServiceFactory(name="Search", slug="search")
    person = factories.UserFactory(role="observer")
    factories.MembershipFactory(user=person, team=team, role="responder")
    text = factories.ApiKeyFactory(user=person, scopes=["*:write"]).text

    def post(slug):
        return server.post("/api/v1/alerts", {"service": slug, "title": "x"}, {"X-API-Key": text})

    assert post(service.slug).status == 202
    assert is_problem(post(other.slug), 403, "not_allowed")


def test_a_personal_token_sends_what_its_person_may(server, service):
    person = factories.UserFactory(role="observer")
    text = factories.ApiKeyFactory(user=person, scopes=["alerts:write"], is_personal=True).text
    reply = server.post("/api/v1/alerts", {"service": service.slug, "title": "x"}, {"X-API-Key": text})
    assert is_problem(reply, 403, "not_allowed") and "responder role" in reply.json["detail"]


def test_both_texts_of_a_rotated_key_send_until_the_older_one_ends(server, service, alice):
    now = timezone.now()
    key, old = api_keys.issue_machine_key(name="x", scopes=["alerts:write"], role="observer", by=alice)
    _, new = api_keys.rotate(key.pk, by=alice, now=now, overlap=api_keys.HOUR)

    def status(text):
        return server.post("/api/v1/alerts", {"service": service.slug, "title": "x"}, {"X-API-Key": text}).status

    assert (status(old), status(new)) == (202, 202)
    late, ended = api_keys.rotate(key.pk, by=alice, now=now, overlap=None)
    ApiKey.objects.filter(pk=key.pk).update(
        old_secret_hash=digest(old), old_secret_until=now - dt.timedelta(seconds=1)
    )
    server.door._current.keys.forget()
    assert (status(old), status(new), status(ended)) == (401, 401, 202)


def test_the_key_of_an_integration_ends_with_its_time(server, service):
    def status(**ends):
        integration = factories.IntegrationFactory(
            service=service, key_expires_at=timezone.now() + dt.timedelta(**ends)
        )
        return server.post(f"/in/generic/{integration.key}", TRIGGER).status

    assert status(hours=1) == 202
    assert status(seconds=-1) in (401, 403, 404)


def test_an_unknown_key_costs_one_statement_as_a_known_one_does(alice):
    _, text = api_keys.issue_key(alice, name="x", scopes=["alerts:write"])
    asked = []

    async def fetch(query, params):
        asked.append(params)
        return await asyncio.to_thread(_fetch, query, params)

    async def callers():
        ring = keys.Keyring(fetch)
        return [await ring.caller(one) for one in (text, "wb_000000000000_" + "a" * 43, text[:-4] + "aaaa")]

    known, unknown, wrong = asyncio.run(callers())
    assert known.may_send_alerts and unknown is wrong is None
    assert len(asked) == 3 and all(text not in str(params) for params in asked)


def _fetch(query, params):
    with connection.cursor() as cursor:
        cursor.execute(query, params)
        rows = cursor.fetchall()
    connection.close()
    return rows


def test_an_idempotency_key_stores_once(send, service):
    headers = {"Idempotency-Key": "deploy-17"}
    body = {"service": service.slug, "title": "x"}
    first, again = send(body, headers), send(body, headers)
    assert first.status == again.status == 202
    assert first.json == again.json
    assert is_problem(send({**body, "title": "y"}, headers), 422, "idempotency_key_reused")
    assert InboundEvent.objects.count() == 1
    assert send(body, {"Idempotency-Key": "deploy-18"}).json["event_id"] != first.json["event_id"]


def test_an_idempotency_key_used_at_once_stores_once(send, service):
    body = {"service": service.slug, "title": "x"}
    with ThreadPoolExecutor(10) as pool:
        replies = list(pool.map(lambda _: send(body, {"Idempotency-Key": "one"}), range(10)))
    assert {reply.status for reply in replies} == {202}
    assert len({reply.json["event_id"] for reply in replies}) == 1
    assert InboundEvent.objects.count() == 1


def test_the_dedup_key_comes_before_the_idempotency_key(send, service):
    body = {"service": service.slug, "title": "x", "dedup_key": "own"}
    replies = [send(body, {"Idempotency-Key": "one"}) for _ in range(2)]
    assert {reply.json["dedup_key"] for reply in replies} == {"own"}
    assert InboundEvent.objects.count() == 2


def test_waiting_for_the_decision_gives_the_incident(service, api_key):
    body = {"service": service.slug, "severity": "critical", "message": "Checkout answers 500"}
    with Server(decide=ingest.decide_ids) as server:
        reply = server.post("/api/v1/alerts?wait=5", body, {"X-API-Key": api_key.text})
    alert = Alert.objects.get()
    assert reply.status == 202
    assert reply.json["alert_id"] == str(alert.pk)
    assert reply.json["incident_number"] == alert.incident_id
    assert reply.json["dedup_key"] == alert.dedup_key


def test_waiting_hears_of_a_decision_elsewhere(send, service):
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(send, {"service": service.slug, "title": "x"}, (), "?wait=5")
        assert waits_for(lambda: InboundEvent.objects.exists())
        ingest.decide_ids([InboundEvent.objects.get().pk], now=timezone.now())
        assert waiting.result().json["alert_id"] == str(Alert.objects.get().pk)


def test_waiting_ends(send, service):
    began = time.monotonic()
    reply = send({"service": service.slug, "title": "x"}, (), "?wait=0.2")
    assert time.monotonic() - began < 2
    assert reply.status == 202
    assert "alert_id" not in reply.json


@pytest.mark.parametrize("wait", ["11", "-1", "soon", "nan"])
def test_a_crooked_wait_is_a_problem(send, service, wait):
    assert is_problem(send({"service": service.slug, "title": "x"}, (), f"?wait={wait}"), 400, "invalid")
