"""Messages that are due already: how many webhooks a second go out, and how long does a first page wait behind others?

    python -m bench.delivery [count] [redis]

Two workers of one cluster, one ticker, PostgreSQL and the receiver share the machine. The receiver also notes every
message's id, so that a double shows.
"""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
import uuid

from bench import house

import aiohttp  # isort: skip
from django.db import connection  # isort: skip
from django.utils import timezone  # isort: skip

from accounts.models import User  # isort: skip
from notifications import planning  # isort: skip
from notifications.message import Action, Message  # isort: skip
from notifications.models import Attempt, ContactMethod, Notification  # isort: skip

PEOPLE = 1000
FIRST_PAGES = 200


class Receiver(asyncio.Protocol):
    """Answers every POST with 200 and counts the ids. As lean as Python allows, because it runs beside the workers."""

    arrived = {}  # webhook-id -> first arrival
    count = 0

    def connection_made(self, transport):
        self.transport, self.buffer = transport, b""

    def data_received(self, data):
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = self.buffer[:end].lower()
            size = int(_header(head, b"content-length:"))
            if len(self.buffer) < end + 4 + size:
                return
            self.buffer = self.buffer[end + 4 + size :]
            Receiver.count += 1
            Receiver.arrived.setdefault(_header(head, b"webhook-id:").strip().decode(), time.time())
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    @classmethod
    async def start(cls):
        server = await asyncio.get_running_loop().create_server(cls, "127.0.0.1", 0)
        return server.sockets[0].getsockname()[1]

    @classmethod
    async def wait_for(cls, ids, seconds):
        """Wait until all of these arrived or the time is up; return how many did not."""
        until = time.monotonic() + seconds
        while (missing := len(ids - cls.arrived.keys())) and time.monotonic() < until:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        return missing


def _header(head, name):
    start = head.index(name) + len(name)
    end = head.find(b"\r\n", start)
    return head[start : end if end >= 0 else None]


def make_people(port):
    now = timezone.now()
    people = User.objects.bulk_create(
        [User(email=f"person{number}@bench.example.com", name=f"Person {number}") for number in range(PEOPLE)]
    )
    methods = ContactMethod.objects.bulk_create(
        [
            ContactMethod(
                user=person,
                channel="webhook",
                address=f"http://127.0.0.1:{port}/hook/{person.pk}",
                secret="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
                verified_at=now,
            )
            for person in people
        ]
    )
    return methods


def plan(methods, count, *, share, urgency="high", is_repeat=False, start=0):
    """Write `count` messages that are due now, over these contact methods in turn. Returns `{id: due at}`."""
    now = timezone.now()
    rows = []
    for number in range(start, start + count):
        method = methods[number % len(methods)]
        message = Message(
            title=f"#{number} Checkout answers with errors",
            body="5 % of the orders fail since 12:04. The error rate of the payment gateway is above its limit.",
            url=f"https://oncall.example.com/incidents/{number}",
            urgency=urgency,
            fields=(("Service", "Checkout"), ("Severity", "critical"), ("Priority", "P1")),
            actions=(Action("Acknowledge", "acknowledge"), Action("Escalate", "escalate")),
            thread=f"incident-{number}",
            severity="critical",
        )
        page = planning.Page(
            f"incident:{number}:p1", f"incident:{number}", method.user_id, message, is_repeat, share=share(number)
        )
        planned = planning.rules.Planned(method.pk, "webhook", "http://127.0.0.1/…", 0, now, "m1")
        rows.append(planning._row(page, f"{page.key}:u{method.user_id}:m", planned, json.dumps(message.to_json())))
    for first in range(0, len(rows), 2000):
        planning.write(rows[first : first + 2000], now=now)
    return {str(row.uuid): now.timestamp() for row in rows}


def service(number):
    return f"service:{number % 20}"


async def run(count):
    port = await Receiver.start()
    methods = await asyncio.to_thread(prepare, port)
    rate = await throughput(methods, count)
    pure = await bare(port, min(count, 10_000))
    print(f"for comparison: one aiohttp session posts the same bodies to the same receiver with {pure:,.0f}/s")
    print(f"  (the workers reach {rate / pure:.2f} of that, with claims, attempts, signatures and results)")
    await waiting_behind(methods, min(count, 10_000) // 2 * 2)


def prepare(port):
    house.call_command("migrate", verbosity=0)
    house.call_command("createcachetable", verbosity=0)
    return make_people(port)


async def throughput(methods, count):
    ids = await asyncio.to_thread(plan, methods, count, share=service)
    await asyncio.to_thread(vacuum)
    before = house.cpu_seconds(database=True)
    with house.worker() as worker, house.ticker():
        missing = await Receiver.wait_for(ids.keys(), 120 + count / 100)
        for _ in range(100):  # the last results are being written
            if not await asyncio.to_thread(unsettled):
                break
            await asyncio.sleep(0.05)
        ended = time.time()
        workers = house.cpu_seconds(worker.pid)
        database = house.cpu_seconds(database=True) - before
    began = min(Receiver.arrived.values())
    rate = count / (ended - began)
    attempts, wrong = await asyncio.to_thread(attempts_of, ids)
    print(f"sent {count} in {ended - began:.1f} s: {rate:,.0f}/s   (wanted 2,000/s)")
    print(
        f"CPU for each: workers {workers / count * 1000:.2f} ms (with their start), "
        f"PostgreSQL {database / count * 1000:.2f} ms"
    )
    print(f"missing {missing}   doubles {Receiver.count - len(Receiver.arrived)}   attempts stored {attempts}", end="")
    print(f"   without exactly one good attempt: {wrong}")
    return rate


def vacuum():
    with connection.cursor() as cursor:
        cursor.execute(f"VACUUM ANALYZE {Notification._meta.db_table}")


def unsettled():
    return Notification.objects.unsettled().filter(due_at__isnull=False).exists()


def attempts_of(ids):
    found = list(Attempt.objects.filter(notification__uuid__in=list(ids)).values_list("notification_id", "ok"))
    good = {pk for pk, ok in found if ok}
    return len(found), len(ids) - len(good) + len(found) - len({pk for pk, _ in found})


async def bare(port, count):
    """Post bodies of the same size with aiohttp alone: what the machine gives at this moment."""
    body = b"x" * 900
    gate = asyncio.Semaphore(32)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=32)) as session:

        async def one(number):
            async with (
                gate,
                session.post(
                    f"http://127.0.0.1:{port}/hook/{number}", data=body, headers={"webhook-id": str(uuid.uuid4())}
                ) as response,
            ):
                await response.read()

        began = time.monotonic()
        await asyncio.gather(*(one(number) for number in range(count)))
        return count / (time.monotonic() - began)


async def waiting_behind(methods, count):
    """First pages, one each 50 ms, while `count` low-urgency messages wait in front of them."""
    low = await asyncio.to_thread(plan, methods, count, share=service, urgency="low", start=1_000_000)
    with house.worker(), house.ticker():
        await Receiver.wait_for(set(list(low)[:1]) or set(), 30)
        while not low.keys() & Receiver.arrived.keys():  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        first, behind = {}, []
        for number in range(FIRST_PAGES):
            left = len(low.keys() - Receiver.arrived.keys())
            if left == 0:
                break
            behind.append(left)
            first |= await asyncio.to_thread(plan, methods, 1, share=service, start=2_000_000 + number)
            await asyncio.sleep(0.02)
        missing = await Receiver.wait_for(first.keys() | low.keys(), 120)
    late = [Receiver.arrived[one] - at for one, at in first.items() if one in Receiver.arrived]
    shown = "   ".join(f"p{int(p * 100)} {house.percentile(late, p):.3f} s" for p in (0.5, 0.95, 0.99, 1))
    print(f"{len(first)} first pages while {behind[0]} to {behind[-1]} low-urgency messages wait: {shown}", end="")
    print(f"   missing {missing}   (wanted p99 < 1 s)")


@contextlib.contextmanager
def broker(wanted):
    """Redis as queue and cache instead of PostgreSQL."""
    if not wanted:
        yield
        return
    port = house.free_port()
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(house.HOME)]
    server = subprocess.Popen(["redis-server", *options], stdout=subprocess.DEVNULL)
    os.environ["REDIS_URL"] = f"redis://127.0.0.1:{port}/0"
    try:
        yield
    finally:
        server.terminate()
        server.wait(timeout=10)


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    os.environ["WORKERS"] = "2"
    name = "Redis" if "redis" in sys.argv else "PostgreSQL"
    print(f"delivery: {count} webhooks due on {house.machine()}, broker {name}")
    try:
        with broker("redis" in sys.argv):
            asyncio.run(run(count))
    finally:
        house.close()
