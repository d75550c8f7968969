"""A public status page under 1,000 readers a second, while incidents change it; and how soon a change is on it.

    python -m bench.status_page [server] [seconds]

The readers are another process (bench/readers.py). Web, worker, ticker, PostgreSQL and readers share the machine. An
incident is opened or resolved each second: the worker computes the page anew, and the web process takes it over.
"""

import asyncio
import datetime as dt
import json
import statistics
import sys
import time

from bench import house

from django.db import transaction  # isort: skip
from django.utils import timezone  # isort: skip

from catalog.models import Service  # isort: skip
from incidents import lifecycle  # isort: skip
from statuspages import copying, publishing, states  # isort: skip
from statuspages.models import Component, ComponentGroup, Copy, Span, StatusPage  # isort: skip

SLUG = "bench"
COMPONENTS, GROUPS, POSTS = 20, 4, 30
RATE, CONNECTIONS = 1000, 200
PAUSE = 1.0  # between changes
WANTED_P99_MS, WANTED_FRESH_SECONDS = 50, 2


def seed(company):
    """A page as a shop of some size has it: components with 90 days behind them, and posts."""
    now = timezone.now()
    page = StatusPage.objects.create(
        name="Bench", slug=SLUG, audience="public", created_at=now - dt.timedelta(days=200), time_zone="Europe/Berlin"
    )
    groups = [ComponentGroup.objects.create(page=page, name=f"Group {n}", position=n) for n in range(GROUPS)]
    for number in range(COMPONENTS):
        service = company.service
        if number:
            service = Service.objects.create(
                name=f"Bench {number}", slug=f"bench-{number}", team=company.team, policy=company.policy
            )
        component = Component.objects.create(
            page=page,
            group=groups[number % GROUPS],
            name=f"Component {number}",
            position=number,
            created_at=page.created_at,
            state_since=page.created_at,
        )
        component.services.add(service)
        Span.objects.bulk_create(
            Span(
                component=component,
                state=states.TROUBLE[day % 3],
                began_at=now - dt.timedelta(days=day, hours=2),
                ended_at=now - dt.timedelta(days=day, hours=1),
            )
            for day in range(1 + number % 7, 90, 7)
        )
    body = "Some customers **wait longer** than usual. We look for the cause, and write here again within the hour."
    for number in range(POSTS):
        at = now - dt.timedelta(days=2 * number + 1)
        post = publishing.open_incident(page.pk, title=f"Trouble {number}", body=body, by=None, now=at)
        publishing.add_update(post.uuid, stage="resolved", body=body, by=None, now=at + dt.timedelta(hours=1))
    copying.refresh(page.pk, now=now)
    return page


class Probe:
    """Asks one small file again and again: when did the page's state become another?"""

    def __init__(self, port):
        self._port = port

    async def wait_for(self, indicator, since):
        """Seconds from `since` until the page says this indicator."""
        asked = f"GET /status/{SLUG}/api/v2/status.json HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: keep-alive\r\n\r\n"
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            while time.perf_counter() - since < 20:
                writer.write(asked.encode())
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = int(head.partition(b"content-length:")[2].split(b"\r\n")[0])
                said = json.loads(await reader.readexactly(length))
                if said["status"]["indicator"] == indicator:
                    return time.perf_counter() - since
                await asyncio.sleep(0.02)
        finally:
            writer.close()
        raise AssertionError(f"The page did not become {indicator} within 20 seconds.")


async def change(port, service, until):
    """Open and resolve an incident by turns; seconds from each commit until a reader sees it."""
    probe, found = Probe(port), []
    while time.perf_counter() < until:
        incident = await asyncio.to_thread(open_incident, service)
        found.append(await probe.wait_for("critical", time.perf_counter()))
        await asyncio.sleep(PAUSE)
        await asyncio.to_thread(resolve, incident)
        found.append(await probe.wait_for("none", time.perf_counter()))
        await asyncio.sleep(PAUSE)
    return found


def open_incident(service):
    with transaction.atomic():
        return lifecycle.trigger(service, title="Down", severity="critical", now=timezone.now())


def resolve(incident):
    lifecycle.resolve(incident.pk, by=None, now=timezone.now())


async def readers(port, seconds, rate, connections):
    arguments = [str(one) for one in (port, SLUG, seconds, rate, connections)]
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.readers", *arguments, cwd=house.ROOT, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await child.communicate()
    assert child.returncode == 0, "The readers ended with an error."
    return json.loads(out)


async def run(server, seconds):
    company = await asyncio.to_thread(house.Company)
    page = await asyncio.to_thread(seed, company)
    copy = await asyncio.to_thread(Copy.objects.get, page=page)
    size = len(copy.files[""][1])
    print(
        f"{COMPONENTS} components, {len(copy.files)} files; the page has {size / 1000:.0f} kB before gzip", flush=True
    )
    with house.worker(), house.ticker(), house.web(server) as port:
        await asyncio.sleep(5)
        await readers(port, 2, 200, 20)
        for name, rate in (("1,000 a second", RATE), ("as fast as they can", 0)):
            before = await asyncio.to_thread(lambda: Copy.objects.get(page=page).version)
            began = time.perf_counter()
            (said, fresh) = await asyncio.gather(
                readers(port, seconds, rate, CONNECTIONS if rate else 50),
                change(port, company.service, began + seconds - 3),
            )
            after = await asyncio.to_thread(lambda: Copy.objects.get(page=page).version)
            report(name, said, fresh, after - before, is_judged=bool(rate))


def report(name, said, fresh, versions, *, is_judged):
    took = said["took"]
    p50, p99, worst = (house.percentile(took, share) * 1000 for share in (0.5, 0.99, 1))
    wanted = ""
    if is_judged:  # what is wanted is a time at this rate; as fast as they can, readers wait for each other
        wanted = f"   wanted {RATE}/s, p99 < {WANTED_P99_MS} ms{'' if p99 < WANTED_P99_MS else '   TOO SLOW'}"
    print(
        f"{name}: {len(took) / said['seconds']:.0f} answers/s, p50 {p50:.1f} ms, p99 {p99:.1f} ms, "
        f"max {worst:.0f} ms{wanted}\n"
        f"    statuses {said['statuses']}, {said['bytes'] / said['seconds'] / 1e6:.1f} MB/s, "
        f"{versions} versions of the page meanwhile",
        flush=True,
    )
    worst = max(fresh)
    verdict = "" if worst < WANTED_FRESH_SECONDS else "   TOO LATE"
    print(
        f"    from a change to its being on the page: p50 {statistics.median(fresh):.2f} s, max {worst:.2f} s of "
        f"{len(fresh)}   wanted < {WANTED_FRESH_SECONDS} s{verdict}",
        flush=True,
    )


if __name__ == "__main__":
    which = sys.argv[1] if len(sys.argv) > 1 else "daphne"
    print(f"status page with {which} on {house.machine()}")
    try:
        asyncio.run(run(which, float(sys.argv[2]) if len(sys.argv) > 2 else 30.0))
    finally:
        house.close()
