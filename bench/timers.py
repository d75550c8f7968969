"""10,000 armed escalations that fall due within a minute: how late is each advanced, and how late is its page?"""

import asyncio
import datetime as dt
import random
import sys
import time

from bench import house, load

from django.utils import timezone  # isort: skip

from catalog.policies import copies_for  # isort: skip
from incidents.models import Incident, TimelineEntry  # isort: skip


def arm(company, count, start, spread):
    copy = copies_for([company.service])[company.service.pk]
    due = [start + dt.timedelta(seconds=random.uniform(0, spread)) for _ in range(count)]
    Incident.objects.bulk_create(
        [
            Incident(
                title=f"bench-{number} is down",
                service=company.service,
                team=company.team,
                severity="critical",
                priority="P1",
                urgency="high",
                triggered_at=start - dt.timedelta(minutes=5),
                policy=copy,
                escalation_level=1,
                next_escalation_at=at,
            )
            for number, at in enumerate(due)
        ],
        batch_size=1000,
    )
    return {f"bench-{number}": at.timestamp() for number, at in enumerate(due)}


async def run(count, spread):
    sink = load.Sink()
    company = await asyncio.to_thread(
        house.Company, page_url=f"http://127.0.0.1:{await sink.start()}/hook", delay_minutes=1000
    )
    with house.worker(), house.ticker():
        await asyncio.sleep(6)
        due = await asyncio.to_thread(arm, company, count, timezone.now() + dt.timedelta(seconds=10), spread)
        missing = await sink.wait_for(due, 10 + spread + 120)
        await asyncio.sleep(1)
    entries = await asyncio.to_thread(
        lambda: list(
            TimelineEntry.objects.filter(kind="paged").values_list("incident__title", "recorded_at", "incident_id")
        )
    )
    late = [at.timestamp() - due[title.split()[0]] for title, at, _ in entries]
    paged = [sink.arrived[name] - at for name, at in due.items() if name in sink.arrived]
    print(f"advanced {len(entries)} of {count}, each once: {len({pk for *_, pk in entries}) == len(entries) == count}")
    print(f"lateness of the step   {figures(late)}   (wanted p99 < 2 s)")
    print(f"lateness of the page   {figures(paged)}   missing {len(missing)}")
    sink.stop()


def figures(values):
    return "   ".join(f"p{int(share * 100)} {house.percentile(values, share):.3f} s" for share in (0.5, 0.95, 0.99, 1))


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    print(f"timers: {count} within 60 s on {house.machine()}")
    began = time.monotonic()
    try:
        asyncio.run(run(count, 60))
    finally:
        house.close()
    print(f"took {time.monotonic() - began:.0f} s")
