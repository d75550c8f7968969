"""First pages of a quiet service while another one gets 10,000 events in a minute, and without them, in one run."""

import asyncio
import json
import os
import sys
import time

os.environ.setdefault("STORM_INCIDENTS_PER_MINUTE", "60")  # as it is by default; other benches have no limit

from bench import house, load

from django.utils import timezone  # isort: skip

from accounts.models import Team, User  # isort: skip
from alerts.keys import issue_key  # isort: skip
from alerts.models import Alert, InboundEvent, Integration  # isort: skip
from catalog.models import Service  # isort: skip
from incidents.models import Incident  # isort: skip
from notifications.models import ContactMethod, Notification, NotificationRule  # isort: skip
from oncall.models import EscalationPolicy, Level, Target  # isort: skip

EVENTS = 10_000
EVERY_SECONDS = 0.5
SERVICES = 1000
CONNECTIONS = 16


def quiet_path(page_url):
    """The address of a service of another team with a person of its own, each of whose events opens an incident."""
    team = Team.objects.create(name="Quiet", slug="quiet")
    person = User.objects.create_user("quiet@example.com", None, name="Quiet Person")
    method = ContactMethod.objects.create(user=person, channel="webhook", address=page_url, verified_at=timezone.now())
    NotificationRule.objects.create(user=person, contact_method=method)
    policy = EscalationPolicy.objects.create(name="Quiet", slug="quiet", team=team, repeats=0)
    Target.objects.create(level=Level.objects.create(policy=policy, number=1, delay_minutes=60), user=person)
    service = Service.objects.create(
        name="Quiet", slug="quiet", team=team, policy=policy, correlation_window_seconds=0
    )
    integration = Integration(name="Quiet", source="generic", service=service, incidents_per_minute=0)
    key = issue_key(integration)
    integration.save()
    return f"/in/generic/{key}"


def many_paths(company):
    """The addresses of SERVICES services, by their routing keys."""
    Service.objects.bulk_create(
        Service(
            name=f"Noisy {number}",
            slug=f"noisy-{number}",
            team=company.team,
            policy=company.policy,
            correlation_window_seconds=0,
            routing_key=f"{number:032d}",
        )
        for number in range(SERVICES)
    )
    return [f"/in/generic/{number:032d}" for number in range(SERVICES)]


def body(key):
    return json.dumps({"title": f"{key} is down", "severity": "critical", "dedup_key": key}).encode()


async def storm(port, requests, seconds):
    """Post all of these, evenly over so many seconds. Returns how many were refused, and how long it took."""
    refused, began = 0, time.monotonic()
    steps = max(1, round(seconds * 10))
    size = -(-len(requests) // steps)
    for step in range(steps):
        part = requests[step * size : (step + 1) * size]
        if not part:
            break
        _, results = await load.post_all(port, part, connections=CONNECTIONS)
        refused += sum(1 for status, _, _ in results if status != 202)
        await asyncio.sleep(max(0.0, began + (step + 1) / 10 - time.monotonic()))
    return refused, time.monotonic() - began


async def first_pages(port, path, sink, prefix, seconds):
    """Post an event of the quiet service every EVERY_SECONDS; returns how long the page of each took."""
    sent = {}

    async def one(name):
        sent[name] = time.time()
        _, ((status, *_),) = await load.post_all(port, [load.request(path, body(name))], connections=1)
        assert status == 202, f"An event of the quiet service was answered with {status}."

    began, running = time.monotonic(), []
    for number in range(round(seconds / EVERY_SECONDS)):
        await asyncio.sleep(max(0.0, began + number * EVERY_SECONDS - time.monotonic()))
        running.append(asyncio.create_task(one(f"bench-{prefix}-{number}")))
    await asyncio.gather(*running)
    missing = await sink.wait_for(sent, 60)
    assert not missing, f"{len(missing)} of {len(sent)} pages of the quiet service never arrived."
    return [sink.arrived[name] - at for name, at in sent.items()]


async def leg(label, port, path, sink, prefix, seconds, requests=(), over=None):
    """One line of figures, with these requests beside it."""
    beside = asyncio.create_task(storm(port, requests, seconds if over is None else over))
    took = await first_pages(port, path, sink, prefix, seconds)
    refused, needed = await beside
    print(
        f"{label:34} p50 {ms(took, 0.5)}   p95 {ms(took, 0.95)}   p99 {ms(took, 0.99)}   max {ms(took, 1)}   "
        f"({len(requests) - refused} events accepted in {needed:.0f} s, {refused} refused)",
        flush=True,
    )
    began = time.monotonic()
    while await asyncio.to_thread(InboundEvent.objects.exclude(state="decided").exists):
        if time.monotonic() > began + 180:
            raise TimeoutError("Some events were never decided.")
        await asyncio.sleep(0.2)


def counts():
    pages = Notification.objects.filter(topic__startswith="incident:").count()
    return f"{Alert.objects.count()} alerts, {Incident.objects.count()} incidents, {pages} pages in all"


async def run(server, seconds):
    sink = load.Sink()
    address = f"http://127.0.0.1:{await sink.start()}/hook"
    company = await asyncio.to_thread(house.Company, page_url=address, delay_minutes=60)
    quiet = await asyncio.to_thread(quiet_path, address)
    many = await asyncio.to_thread(many_paths, company)
    with house.worker(), house.ticker(), house.web(server) as port:
        await asyncio.sleep(6)
        await first_pages(port, quiet, sink, "warm", 5)
        distinct = [load.request(company.path, body(f"one-{number}")) for number in range(EVENTS)]
        repeats = [load.request(company.path, body("the-one"))] * EVENTS
        spread = [load.request(many[number % SERVICES], body(f"many-{number}")) for number in range(EVENTS)]
        at_once = [load.request(company.path, body(f"burst-{number}")) for number in range(EVENTS)]
        await leg("without a storm", port, quiet, sink, "calm", seconds)
        await leg("one service, distinct keys", port, quiet, sink, "keys", seconds, distinct)
        await leg("one service, one key", port, quiet, sink, "key", seconds, repeats)
        await leg(f"{SERVICES} services, distinct keys", port, quiet, sink, "many", seconds, spread)
        await leg("one service, distinct, all at once", port, quiet, sink, "once", seconds / 3, at_once, 0)
    print(await asyncio.to_thread(counts))
    sink.stop()


def ms(values, share):
    return f"{house.percentile(values, share) * 1000:6.0f} ms"


if __name__ == "__main__":
    server = sys.argv[1] if len(sys.argv) > 1 else "daphne"
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 60
    print(f"storm with {server} on {house.machine()}: {EVENTS} events in {seconds:.0f} s (wanted p99 < 2000 ms)")
    try:
        asyncio.run(run(server, seconds))
    finally:
        house.close()
