"""1,000 open browsers on one web process: from the commit of an event to the frame in the last of them, and whether
pages to people become slower beside them.

The browsers are real sockets with real sessions, from one process. They fetch nothing: what a fetch costs is measured
apart, by the time that the server takes for the overview with 200 open incidents.
"""

import asyncio
import json
import os
import statistics
import sys
import time
import urllib.request

CLIENTS = int(os.environ.get("BENCH_CLIENTS", "1000"))
os.environ.setdefault("SOCKETS_PER_ADDRESS", str(CLIENTS * 2))  # they all come from here
os.environ.setdefault("SOCKETS_PER_PERSON", str(CLIENTS))

from bench import house, load  # noqa: E402
from bench.page_latency import burst, ms  # noqa: E402

import aiohttp  # noqa: E402 isort: skip
from django.test import Client  # noqa: E402 isort: skip
from django.utils import timezone  # noqa: E402 isort: skip

from accounts.models import Membership, Role, User  # noqa: E402 isort: skip
from incidents import lifecycle  # noqa: E402 isort: skip

PEOPLE = 50
EVENTS = 100
PAGES = 30
OPEN = 150  # more: with those that pages left open it is 200


class Browsers:
    """Sockets of many people, and when each heard of an incident."""

    def __init__(self, port, keys):
        self._port, self._keys = port, keys
        self._sockets, self._readers = [], []
        self.heard = {}  # number of an incident -> times
        self.frames = 0

    async def open(self, count):
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar()
        )
        for start in range(0, count, 50):
            await asyncio.gather(*(self._open(number) for number in range(start, min(start + 50, count))))
        assert len(self._sockets) == count

    async def _open(self, number):
        origin = f"http://127.0.0.1:{self._port}"
        socket = await self._session.ws_connect(
            f"{origin}/ws/live",
            origin=origin,
            headers={"Cookie": f"sessionid={self._keys[number % len(self._keys)]}"},
            heartbeat=None,
        )
        assert "entry" in (await socket.receive_json())
        self._sockets.append(socket)
        self._readers.append(asyncio.create_task(self._read(socket)))

    async def _read(self, socket):
        async for message in socket:
            now = time.perf_counter()
            self.frames += 1
            for number in json.loads(message.data).get("incidents", ()):
                self.heard.setdefault(number, []).append(now)

    async def close(self):
        for task in self._readers:
            task.cancel()
        await self._session.close()


def sessions(company):
    """The session keys of people who may look at everything."""
    keys = []
    for number in range(PEOPLE):
        person = User.objects.create_user(
            f"browser{number}@example.com", None, name=f"Browser {number}", role=Role.RESPONDER
        )
        Membership.objects.create(team=company.team, user=person, role=Role.RESPONDER)
        client = Client()
        client.force_login(person)
        keys.append(client.cookies["sessionid"].value)
    return keys


def opened(company, count):
    now = timezone.now()
    return [
        lifecycle.trigger(company.service, title=f"Trouble {number}", severity="low", now=now).pk
        for number in range(count)
    ]


async def events(browsers, numbers):
    """Acknowledge incidents one after the other: seconds from each commit until the first, half and the last know."""
    person = await asyncio.to_thread(User.objects.get, email="browser0@example.com")
    first, half, last = [], [], []
    for number in numbers:
        await asyncio.sleep(0.35)
        browsers.heard.pop(number, None)  # they heard when it was opened
        await asyncio.to_thread(lifecycle.acknowledge, number, by=person, now=timezone.now())
        committed = time.perf_counter()
        deadline = committed + 20
        while len(browsers.heard.get(number, ())) < CLIENTS:
            assert time.perf_counter() < deadline, (
                f"{len(browsers.heard.get(number, ()))} of {CLIENTS} heard of {number}"
            )
            await asyncio.sleep(0.005)
        times = sorted(one - committed for one in browsers.heard[number][:CLIENTS])
        first.append(times[0])
        half.append(statistics.median(times))
        last.append(times[-1])
    return first, half, last


async def pages(port, company, sink, prefix):
    own = []
    for number in range(PAGES):
        await asyncio.sleep(0.2)
        one, _, _ = await burst(port, company.path, sink, f"{prefix}{number}", 1, connections=1)
        own += one
    return own


def fetches(port, key, path, headers, count=30):
    """Seconds that the server takes for the same request, one after the other."""
    took = []
    for _ in range(count):
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}{path}", headers={"Cookie": f"sessionid={key}", **headers}
        )
        began = time.perf_counter()
        with urllib.request.urlopen(request, timeout=30) as answer:
            answer.read()
        took.append(time.perf_counter() - began)
    return took


async def run(server):
    sink = load.Sink()
    company = await asyncio.to_thread(house.Company, page_url=f"http://127.0.0.1:{await sink.start()}/hook")
    keys = await asyncio.to_thread(sessions, company)
    with house.worker(), house.ticker(), house.web(server) as port:
        await asyncio.sleep(6)
        await burst(port, company.path, sink, "warm", 20, connections=4)
        await asyncio.sleep(2)
        without, beside = [], []
        for turn in (1, 2):  # by turns, since the machine is not the same from minute to minute
            without += await pages(port, company, sink, f"alone{turn}")
            browsers = Browsers(port, keys)
            began = time.perf_counter()
            await browsers.open(CLIENTS)
            print(f"{CLIENTS} sockets opened in {time.perf_counter() - began:.1f} s", flush=True)
            beside += await pages(port, company, sink, f"beside{turn}")
            if turn == 2:
                numbers = await asyncio.to_thread(opened, company, EVENTS)
                await asyncio.sleep(3)
                first, half, last = await events(browsers, numbers)
                print(f"event to the first browser  p50 {ms(first, 0.5)}   p99 {ms(first, 0.99)}")
                print(f"event to half of them       p50 {ms(half, 0.5)}   p99 {ms(half, 0.99)}")
                told = f"p50 {ms(last, 0.5)}   p99 {ms(last, 0.99)}   max {ms(last, 1)}"
                print(f"event to the last of them   {told}   (wanted p99 < 1 s)")
            await browsers.close()
            await asyncio.sleep(3)
        for name, values in (("without browsers", without), ("beside browsers", beside)):
            print(f"page, {name:17} p50 {ms(values, 0.5)}   p95 {ms(values, 0.95)}   max {ms(values, 1)}")
        ratio = statistics.median(beside) / statistics.median(without)
        print(f"page beside / without, p50  {ratio:.2f}   (wanted about 1)")
        await asyncio.to_thread(opened, company, OPEN)
        for what, headers in (("overview, whole", {}), ("overview, its news", {"X-Fragment": "board", "X-News": "1"})):
            await asyncio.to_thread(fetches, port, keys[0], "/", headers, 3)
            took = await asyncio.to_thread(fetches, port, keys[0], "/", headers)
            print(f"{what:19} p50 {ms(took, 0.5)}   p95 {ms(took, 0.95)}   (wanted p95 < 50 ms)")
    sink.stop()


if __name__ == "__main__":
    server = sys.argv[1] if len(sys.argv) > 1 else "daphne"
    print(f"live with {server} on {house.machine()}")
    try:
        asyncio.run(run(server))
    finally:
        house.close()
