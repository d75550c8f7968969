"""The live socket: over the wire with the servers that the manual names, and by itself where time must be short."""

import asyncio
import contextlib
import json
import subprocess
import sys
import threading
import time

import pytest
import websockets
from django.contrib.sessions.models import Session
from django.db import connection, connections, transaction
from django.test import Client
from django.utils import timezone

from incidents import lifecycle, live
from incidents.models import TimelineEntry
from tests import factories
from tests.house import ROOT, House

PATIENCE = 10
COOKIE = "sessionid"


@pytest.fixture
def incident(service):
    return lifecycle.trigger(service, title="Checkout is down", severity="critical", now=timezone.now())


def key_of(user):
    """The session key of somebody who signed in."""
    client = Client()
    client.force_login(user)
    return client.cookies[COOKIE].value


def do(verb, *args, **kwargs):
    """Run a verb beside the event loop, on a connection of its own."""

    def run():
        try:
            return verb(*args, **kwargs, now=timezone.now())
        finally:
            connection.close()

    return asyncio.to_thread(run)


# --- over the wire --------------------------------------------------------------------------------------------


class Uvicorn(House):
    def start(self, name):
        arguments = ["-m", "uvicorn", "--port", str(self.port), "--log-level", "warning", "config.asgi:application"]
        self.running[name] = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            env={**self.environment, "WATCHBILL_ROLE": name},
            stdout=self.log,
            stderr=self.log,
            start_new_session=True,
        )
        self._await_web()


@contextlib.contextmanager
def web_of(kind, home, settings):
    home.chmod(0o755)
    house = kind(home)
    settings.SECRET_KEY = house.environment["SECRET_KEY"]  # sessions made here are valid there
    try:
        house.start("web")
        yield house
    finally:
        house.stop()
    log = (home / "log.txt").read_text()
    assert "Traceback" not in log and "ERROR" not in log, log


@pytest.fixture(params=[House, Uvicorn], ids=["daphne", "uvicorn"])
def each_server(request, transactional_db, tmp_path, settings):
    with web_of(request.param, tmp_path, settings) as house:
        yield house


@pytest.fixture
def house(transactional_db, tmp_path, settings):
    with web_of(House, tmp_path, settings) as house:
        yield house


def connect(house, key, *, since=None, path="/ws/live", **origin):
    url = house.base_url.replace("http", "ws", 1) + path + ("" if since is None else f"?since={since}")
    headers = {"Cookie": f"{COOKIE}={key}"} if key else {}
    return websockets.connect(url, additional_headers=headers, **{"origin": house.base_url, **origin})


async def hears(socket, *incidents):
    """Wait until these incidents, and no others, were named; return the messages that did it."""
    found, messages = set(), []
    while not found >= set(incidents):
        messages.append(json.loads(await asyncio.wait_for(socket.recv(), PATIENCE)))
        found |= set(messages[-1].get("incidents", ()))
    assert found == set(incidents)
    return messages


async def code_of(socket):
    """The code that the server closes with."""
    with contextlib.suppress(websockets.ConnectionClosed):
        while True:
            await asyncio.wait_for(socket.recv(), PATIENCE)
    return socket.close_code


def test_verbs_are_told_to_everybody_at_once(each_server, incident, alice, bob):
    async def journey():
        async with connect(each_server, key_alice) as hers, connect(each_server, key_bob) as his:
            await hers.recv(), await his.recv()
            began, told = time.monotonic(), []
            for verb in (lifecycle.acknowledge, lifecycle.start, lifecycle.remediate):
                await do(verb, incident.pk, by=alice)
                told.append((await hears(hers, incident.pk))[-1])
                assert (await hears(his, incident.pk))[-1] == told[-1]
            return told, time.monotonic() - began

    key_alice, key_bob = key_of(alice), key_of(bob)
    told, seconds = asyncio.run(journey())
    assert seconds < live.NET_SECONDS  # told by NOTIFY: who only looks needs at least twice as long
    entries = incident.timeline.filter(kind__in=["acknowledged", "investigating", "remediating"])
    # Numbers, never facts.
    assert told == [{"entry": one.pk, "incidents": [incident.pk], "kinds": [one.kind]} for one in entries]


def test_who_has_no_session_or_a_foreign_page_is_refused(each_server, alice):
    async def journey():
        foreign = each_server.base_url.replace("127.0.0.1", "evil.example")
        other_port = "http://127.0.0.1:1"
        tries = {
            "no session": connect(each_server, ""),
            "made up": connect(each_server, "x" * 32),
            "foreign": connect(each_server, key, origin=foreign),
            "other port": connect(each_server, key, origin=other_port),
            "no origin": connect(each_server, key, origin=None),
            "other path": connect(each_server, key, path="/ws/other"),
        }
        codes = {}
        for name, attempt in tries.items():
            async with attempt as socket:
                codes[name] = await code_of(socket)
        return codes

    key = key_of(alice)
    assert asyncio.run(journey()) == {
        "no session": 4401,
        "made up": 4401,
        "foreign": 4403,
        "other port": 4403,
        "no origin": 4403,
        "other path": 4404,
    }


def test_a_page_that_comes_back_hears_what_it_missed(house, service, alice):
    async def journey():
        async with connect(house, key, since=seen) as socket:
            first = json.loads(await socket.recv())
        async with connect(house, key, since=first["entry"]) as socket:
            return first, json.loads(await socket.recv())

    old, new = (factories.IncidentFactory(service=service) for _ in range(2))
    long_ago = timezone.now() - 2 * live.PAGE_BACK
    seen = factories.TimelineEntryFactory(incident=old, recorded_at=long_ago).pk
    last = factories.TimelineEntryFactory(incident=new, kind="note").pk
    key = key_of(alice)
    first, second = asyncio.run(journey())
    assert first == {"entry": last, "incidents": [new.pk], "kinds": ["note"]}
    assert second == {"entry": last, "incidents": [], "kinds": []}


def test_the_pump_comes_back_when_the_database_was_away(house, incident, alice):
    def cut():
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                "WHERE application_name = 'watchbill live' AND datname = current_database()"
            )
            (count,) = cursor.fetchone()
        connection.close()
        return count

    async def journey():
        async with connect(house, key) as socket:
            await socket.recv()
            assert await asyncio.to_thread(cut) == 1
            await do(lifecycle.acknowledge, incident.pk, by=alice)  # while nobody listens
            await hears(socket, incident.pk)

    key = key_of(alice)
    asyncio.run(journey())


def test_an_entry_that_commits_after_a_later_one_is_told(house, service, alice):
    written, may_commit = threading.Event(), threading.Event()

    def slowly(number, now):
        with transaction.atomic():
            lifecycle.add_note(number, text="slow", by=alice, now=now)
            written.set()
            may_commit.wait(PATIENCE)

    async def journey():
        async with connect(house, key) as socket:
            await socket.recv()
            slow = asyncio.create_task(do(slowly, first.pk))
            await asyncio.to_thread(written.wait, PATIENCE)
            await do(lifecycle.add_note, second.pk, text="quick", by=alice)
            await hears(socket, second.pk)
            may_commit.set()
            await slow
            await hears(socket, first.pk)

    first, second = (factories.IncidentFactory(service=service) for _ in range(2))
    key = key_of(alice)
    asyncio.run(journey())
    assert list(TimelineEntry.objects.order_by("id").values_list("text", flat=True)) == ["slow", "quick"]


def test_a_burst_becomes_few_messages(house, service, alice):
    async def journey():
        async with connect(house, key) as socket:
            await socket.recv()
            await do(burst)
            return await hears(socket, *numbers)

    def burst(now):
        for number in numbers:
            lifecycle.add_note(number, text="Seen.", by=alice, now=now)

    numbers = [factories.IncidentFactory(service=service).pk for _ in range(30)]
    key = key_of(alice)
    assert len(asyncio.run(journey())) < 15


def test_who_talks_too_much_is_cut_off(house, alice):
    async def journey():
        async with connect(house, key) as socket:
            for _ in range(live.MESSAGES_A_MINUTE + 1):
                await socket.send("hello")
            return await code_of(socket)

    key = key_of(alice)
    assert asyncio.run(journey()) == 4429


# --- by itself ------------------------------------------------------------------------------------------------


@pytest.fixture
def short_lived(transactional_db, monkeypatch):
    """Connections of other threads end with their work, so that the test's database can be dropped."""
    monkeypatch.setitem(connections["default"].settings_dict, "CONN_MAX_AGE", 0)


class Talk:
    """A browser without a server: speaks ASGI to the socket."""

    def __init__(self, key, origin="http://testserver"):
        headers = {"host": "testserver", "origin": origin, "cookie": f"a=b; {COOKIE}={key}"}
        self.scope = {
            "type": "websocket",
            "path": live.PATH,
            "query_string": b"",
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }
        self.inbox, self.said = asyncio.Queue(), []
        self.inbox.put_nowait({"type": "websocket.connect"})

    async def send(self, event):
        self.said.append(event)

    def run(self):
        return asyncio.create_task(live.socket(self.scope, self.inbox.get, self.send))


async def _stop_pump():
    pump = live.Pump._pumps.pop(asyncio.get_running_loop())
    pump._task.cancel()
    await asyncio.gather(pump._task, return_exceptions=True)


@pytest.mark.parametrize("end", ["signs out", "is deactivated", "changes the password"])
def test_a_socket_ends_with_its_session(short_lived, monkeypatch, alice, end):
    def finish():
        if end == "signs out":
            Session.objects.all().delete()
        elif end == "is deactivated":
            alice.is_active = False
        else:
            alice.set_password("something new")
        alice.save()
        connection.close()

    async def journey():
        talk = Talk(key)
        socket = talk.run()
        async with asyncio.timeout(PATIENCE):  # it lives, and says something now and then
            while len(talk.said) <= 2:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert not socket.done()
        await asyncio.to_thread(finish)
        await asyncio.wait_for(socket, PATIENCE)
        await _stop_pump()
        return talk.said[-1]

    monkeypatch.setattr(live, "CHECK_SECONDS", 0.1)
    key = key_of(alice)
    assert asyncio.run(journey()) == {"type": "websocket.close", "code": 4401}


def test_a_socket_whose_browser_went_leaves_nothing_behind(short_lived, alice):
    async def journey():
        talk = Talk(key)
        socket = talk.run()
        await asyncio.sleep(0.4)
        talk.inbox.put_nowait({"type": "websocket.disconnect", "code": 1001})
        await asyncio.wait_for(socket, PATIENCE)
        await _stop_pump()
        return live.get_channel_layer().groups

    key = key_of(alice)
    assert asyncio.run(journey()).get(live.GROUP) is None


def test_changing_the_secret_key_signs_nobody_out(short_lived, settings, alice):
    key = key_of(alice)
    settings.SECRET_KEY_FALLBACKS, settings.SECRET_KEY = [settings.SECRET_KEY], "a new one that nobody has seen"
    assert asyncio.run(live._signed_in(key))
    settings.SECRET_KEY_FALLBACKS = []
    assert not asyncio.run(live._signed_in(key))
    assert Session.objects.count() == 1  # it only looks


@pytest.mark.parametrize(
    ("origin", "host", "is_ours"),
    [
        ("https://watch.example", "watch.example", True),
        ("https://watch.example:443", "watch.example", True),
        ("https://watch.example", "10.0.0.7:8000", True),  # behind a proxy that renames the host
        ("http://10.0.0.7:8000", "10.0.0.7:8000", True),  # past the proxy
        ("https://10.0.0.7:8000", "10.0.0.7:8000", True),
        ("http://watch.example", "10.0.0.7:8000", False),
        ("https://watch.example:8443", "watch.example", False),
        ("http://10.0.0.7:8001", "10.0.0.7:8000", False),
        ("https://watch.example.evil.example", "watch.example", False),
        ("https://rebound.example", "rebound.example", False),  # not in ALLOWED_HOSTS
        ("http://[::1]:8000", "[::1]:8000", True),
        ("null", "watch.example", False),
        ("", "watch.example", False),
        ("https://watch.example:port", "watch.example", False),
        ("file://", "", False),
    ],
)
def test_which_pages_are_ours(settings, origin, host, is_ours):
    settings.PUBLIC_URL = "https://watch.example"
    settings.ALLOWED_HOSTS = ["watch.example", "10.0.0.7", "[::1]"]
    assert live.is_our_origin(origin, host) is is_ours


@pytest.mark.parametrize(
    ("query", "since"),
    [(b"since=42", 42), (b"", None), (b"since=-1", None), (b"since=1e9", None), (b"since=" + b"9" * 30, None)],
)
def test_what_a_page_says_it_saw(query, since):
    assert live._since({"query_string": query}) == since


def test_too_much_news_says_reload():
    assert json.loads(live.news(7, range(live.MANY), ["note"]))["incidents"] == list(range(live.MANY))
    assert json.loads(live.news(7, range(live.MANY + 1), ["note"])) == {"entry": 7, "reload": True}
