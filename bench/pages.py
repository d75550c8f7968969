"""Server time of the pages with 1,000,000 incidents: list, search, detail, dashboard; and how heavy they are.

    python -m bench.pages [incidents]

Pages are asked through Django's test client: every middleware, the session, the database and the templates, without a
network. The person who asks is a responder from whom one private team is hidden.
"""

import datetime as dt
import gzip
import itertools
import random
import re
import sys
import time
from pathlib import PurePosixPath
from urllib.parse import unquote

from bench import house

from django.contrib.staticfiles import finders  # isort: skip
from django.core.management import call_command  # isort: skip
from django.db import connection  # isort: skip
from django.test import Client  # isort: skip
from django.utils import timezone  # isort: skip

from accounts.models import Membership, Team, User  # isort: skip
from catalog.models import Dependency, Service  # isort: skip
from incidents.models import Incident, SavedView  # isort: skip
from oncall import chain  # isort: skip
from oncall.models import EscalationPolicy, Level, Target  # isort: skip

TEAMS, SERVICES, PEOPLE, OPEN = 10, 50, 100, 200
ROUNDS = 30
PRODUCTS = ("checkout", "search", "payments", "login", "mail", "catalog", "billing", "stock", "delivery", "reports")
PARTS = ("api", "web", "worker", "database", "cache")
SYMPTOMS = (
    "latency above 800 ms on",
    "error rate above 5 % on",
    "connection refused by",
    "disk almost full on",
    "latency of the queue on",
    "certificate expires soon on",
    "pods restarting on",
    "replication lag on",
    "memory above 90 % on",
    "no data from",
)
RARE = "kernelpanic"
DESCRIPTION = (
    "The threshold was crossed for five minutes in a row. Labels: region=eu-west-%s, cluster=prod-%s, build=%s. "
    "See the dashboard of the service for the graphs, and the runbook for what to try first: check the last "
    "deployment, then the saturation of the hosts, then the dependencies. Customers may notice slow requests."
)


def seed(count):
    """The company and its incidents. Returns the person who asks."""
    call_command("migrate", verbosity=0)
    call_command("createcachetable", verbosity=0)
    teams = Team.objects.bulk_create(
        Team(name=f"Team {n}", slug=f"team-{n}", is_private=n == TEAMS - 1) for n in range(TEAMS)
    )
    people = User.objects.bulk_create(
        User(email=f"person{n}@example.com", name=f"Person {n}", role="responder") for n in range(PEOPLE)
    )
    viewer = people[0]
    Membership.objects.bulk_create(
        Membership(team=teams[n % (TEAMS - 1)], user=one, role="responder") for n, one in enumerate(people)
    )
    policies = EscalationPolicy.objects.bulk_create(
        EscalationPolicy(name=f"Policy {n}", slug=f"policy-{n}", team=team) for n, team in enumerate(teams)
    )
    for number, policy in enumerate(policies):
        for level in (1, 2):
            row = Level.objects.create(policy=policy, number=level, delay_minutes=5)
            Target.objects.create(level=row, user=people[number + level * TEAMS])
    services = Service.objects.bulk_create(
        Service(
            name=f"{product.title()} {part}",
            slug=f"{product}-{part}",
            team=teams[n % TEAMS],
            policy=policies[n % TEAMS],
        )
        for n, (product, part) in enumerate(itertools.product(PRODUCTS, PARTS))
    )
    Dependency.objects.bulk_create(
        Dependency(service=services[n], needs=services[n + 1]) for n in range(SERVICES - 1) if n % 5 != 4
    )
    SavedView.objects.create(name="Critical here", owner=viewer, query="severity=critical&state=all")
    fill(count)
    return viewer


def fill(count):
    """Rows by INSERT … SELECT; the indexes are made afterwards, which is faster."""
    now = timezone.now()
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit = off; SET maintenance_work_mem = '512MB'")
        cursor.execute(
            "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'incidents_incident' "
            "AND indexname <> 'incidents_incident_pkey'"
        )
        indexes = cursor.fetchall()
        for name, _ in indexes:
            cursor.execute(f'DROP INDEX "{name}"')
        parameters = {
            "count": count,
            "now": now,
            "symptoms": list(SYMPTOMS),
            "description": DESCRIPTION,
            "rare": RARE,
            "step": max(1, min(20, count // OPEN)),
            "open": OPEN,
        }
        cursor.execute(
            """
            INSERT INTO incidents_incident (
                title, description, service_id, team_id, severity, priority, urgency, status, triggered_at,
                acknowledged_at, acknowledged_by_id, resolved_at, resolved_by_id, assignee_id, resolution_note, impact,
                policy, escalation_round, escalation_level, page_number, group_key, next_escalation_at
            )
            SELECT
                (%(symptoms)s::text[])[1 + g %% 10] || ' ' || service.slug || '-' || g %% 97
                    || CASE WHEN g %% (%(count)s / 20) = 7 THEN ' ' || %(rare)s ELSE '' END,
                format(%(description)s, g %% 3, g %% 11, md5(g::text)),
                service.id, service.team_id, grade.severity, grade.priority,
                CASE grade.priority WHEN 'P1' THEN 'high' ELSE 'low' END,
                CASE WHEN NOT is_open THEN CASE WHEN g %% 3 = 0 THEN 'resolved' ELSE 'closed' END
                     WHEN g %% 4 = 0 THEN 'triggered' WHEN g %% 4 = 1 THEN 'investigating' ELSE 'acknowledged' END,
                at, CASE WHEN NOT is_open OR g %% 4 > 0 THEN at + interval '3 minutes' END,
                CASE WHEN NOT is_open OR g %% 4 > 0 THEN who END,
                CASE WHEN NOT is_open THEN at + (g %% 90) * interval '1 minute' + interval '5 minutes' END,
                CASE WHEN NOT is_open THEN who END, CASE WHEN NOT is_open OR g %% 4 > 0 THEN who END,
                CASE WHEN NOT is_open AND g %% 2 = 0 THEN 'Restarted the ' || service.slug || ', then it was well.'
                     ELSE '' END,
                CASE WHEN g %% 10 = 0 THEN 'Some customers wait longer.' ELSE '' END,
                '{}', 0, 1, 1, '', NULL
            FROM (
                SELECT g, %(now)s::timestamptz - (%(count)s - g) * interval '30 seconds' AS at,
                    g > %(count)s - %(open)s * %(step)s AND g %% %(step)s = 0 AS is_open,
                    (hashint8(g) & 2147483647) AS dice
                FROM generate_series(1, %(count)s) AS g
            ) AS series
            CROSS JOIN LATERAL (SELECT (dice %% 50) AS place, (dice / 50 %% 100) AS chance) AS thrown
            JOIN (
                SELECT id, slug, team_id, row_number() OVER (ORDER BY id) - 1 AS place FROM catalog_service
            ) AS service ON service.place = thrown.place
            CROSS JOIN LATERAL (
                SELECT (SELECT min(id) FROM accounts_user) + dice %% 100 AS who,
                    CASE WHEN chance < 3 THEN 'critical' WHEN chance < 15 THEN 'high' WHEN chance < 50 THEN 'medium'
                         WHEN chance < 85 THEN 'low' ELSE 'info' END AS severity,
                    CASE WHEN chance < 3 THEN 'P1' WHEN chance < 15 THEN 'P2' WHEN chance < 50 THEN 'P3'
                         WHEN chance < 85 THEN 'P4' ELSE 'P5' END AS priority
            ) AS grade
            ORDER BY g
            """,
            parameters,
        )
        call_policies()
        cursor.execute(
            "INSERT INTO incidents_timelineentry (incident_id, kind, at, by_id, via, text, data, recorded_at) "
            "SELECT number, kind, triggered_at + place * interval '1 minute', NULL, 'source', "
            "       kind || ' entry ' || place || ' of ' || title, '{}', triggered_at + place * interval '1 minute' "
            "FROM incidents_incident CROSS JOIN unnest(ARRAY['triggered', 'paged', 'escalated', 'note', "
            "'acknowledged', 'note', 'resolved']) WITH ORDINALITY AS kinds (kind, place) "
            "WHERE number % 50 = 0 OR status NOT IN ('resolved', 'closed')"
        )
        cursor.execute("SET maintenance_work_mem = '512MB'")
        for _, text in indexes:
            cursor.execute(text)
        cursor.execute("VACUUM ANALYZE")


def call_policies():
    """Open incidents have the copy of their policy, and those that nobody has are about to call."""
    for policy in EscalationPolicy.objects.all():
        (copied,) = chain.copies([policy.pk]).values()
        Incident.objects.open().filter(team=policy.team).update(policy=copied)
    Incident.objects.filter(status="triggered").update(next_escalation_at=timezone.now() + dt.timedelta(minutes=4))


def paths(count):
    """`{name: (wanted ms, function that returns an address)}`."""
    chance = random.Random(7)
    deep = lambda: int(count * chance.uniform(0.1, 0.6))  # noqa: E731
    some = lambda: chance.randrange(TEAMS - 1)  # noqa: E731
    slug = lambda: f"{chance.choice(PRODUCTS)}-{chance.choice(PARTS[:4])}"  # noqa: E731
    opened = list(Incident.objects.open().exclude(team__is_private=True).values_list("pk", flat=True))
    return {
        "dashboard, 200 open": (50, lambda: "/"),
        "incident, open": (50, lambda: f"/incidents/{chance.choice(opened)}"),
        "incident, any": (100, lambda: f"/incidents/{deep() // 10 * 10 + 1}"),
        "list, open": (100, lambda: "/incidents"),
        "list, all": (100, lambda: "/incidents?state=all"),
        "list, all, deep page": (100, lambda: f"/incidents?state=all&before={deep()}"),
        "list, a team": (100, lambda: f"/incidents?state=all&team=team-{some()}"),
        "list, a service, deep page": (100, lambda: f"/incidents?state=all&service={slug()}&before={deep()}"),
        "list, two services": (100, lambda: f"/incidents?state=all&service={slug()}&service={slug()}"),
        "list, critical": (100, lambda: "/incidents?state=all&severity=critical"),
        "list, by priority, deep page": (100, lambda: f"/incidents?state=all&sort=priority&before=P3_{deep()}"),
        "list, a week long ago": (100, lambda: "/incidents?state=all&from=200d&to=193d"),
        "list, mine": (100, lambda: "/incidents?state=all&responder=me"),
        "list, longest open": (100, lambda: "/incidents?sort=longest"),
        "saved view": (100, lambda: "/incidents?severity=critical&state=all"),
        "search, rare word": (100, lambda: f"/incidents?q={RARE}"),
        "search, rare word and team": (100, lambda: f"/incidents?q={RARE}&team=team-{some()}"),
        "search, word in every fifth": (100, lambda: "/incidents?q=latency"),
        "search, two common words": (100, lambda: "/incidents?q=latency+restarted"),
        "search, words that never meet": (100, lambda: "/incidents?q=certificate+latency"),
        "search, prefix": (100, lambda: "/incidents?q=certif"),
        "search, phrase": (100, lambda: "/incidents?q=%22latency+of+the+queue%22"),
        "search, without a word": (100, lambda: "/incidents?q=latency+-queue"),
        "search, name of a service": (100, lambda: "/incidents?q=billing+replication"),
        "search, one of a build": (100, lambda: f"/incidents?q={chance.getrandbits(28):07x}"),
        "search, number": (100, lambda: f"/incidents?q=%23{deep()}"),
    }


def measure(client, path, rounds):
    seconds, found = [], []
    for turn in range(rounds + 2):
        address = path()
        began = time.perf_counter()
        answer = client.get(address)
        took = time.perf_counter() - began
        assert answer.status_code in (200, 404), f"{address}: {answer.status_code}"
        if turn > 1:  # the first two warm the templates
            seconds.append(took)
            found.append(answer.content.count(b"<tr role"))
    return seconds, found


def weight(client, path):
    """Compressed bytes of a page by kind: what a browser fetches that has nothing."""
    answer = client.get(path)
    sizes = {"html": len(gzip.compress(answer.content, 6)), "css": 0, "js": 0, "font": 0, "icon": 0}
    found = re.findall(r'<(?:link|script|img)[^>]*(?:href|src)="/static/([^"?#]+)', answer.content.decode())
    waiting = [unquote(one) for one in found]
    seen = set()
    while waiting:
        name = waiting.pop()
        if name in seen or (place := finders.find(name)) is None:
            continue
        seen.add(name)
        data = open(place, "rb").read()  # noqa: SIM115
        kind = {".css": "css", ".js": "js", ".woff2": "font"}.get(PurePosixPath(name).suffix, "icon")
        sizes[kind] += len(data) if kind in ("font", "icon") else len(gzip.compress(data, 6))
        if kind == "js":
            for other in re.findall(r'^import [^"]*"(\./[^"]+)"', data.decode(), re.MULTILINE):
                waiting.append(str(PurePosixPath(name).parent / other[2:]))
    return sizes


def run(count, rounds):
    began = time.perf_counter()
    viewer = seed(count)
    size = f"pg_size_pretty(pg_total_relation_size('{Incident._meta.db_table}'))"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {size}")
        (size,) = cursor.fetchone()
    print(f"{count} incidents with {size}, filled in {time.perf_counter() - began:.0f} s", flush=True)
    client = Client(SERVER_NAME="localhost")
    client.force_login(viewer)
    for name, (wanted, path) in paths(count).items():
        seconds, found = measure(client, path, rounds)
        p50, p95, worst = (house.percentile(seconds, share) * 1000 for share in (0.5, 0.95, 1))
        verdict = "" if p95 < wanted else "   TOO SLOW"
        print(
            f"{name:32} p50 {p50:6.1f} ms   p95 {p95:6.1f} ms   max {worst:6.1f} ms   wanted p95 < {wanted} ms   "
            f"rows {min(found)}-{max(found)}{verdict}",
            flush=True,
        )
    opened = Incident.objects.open().exclude(team__is_private=True).first()
    for name, path in (("dashboard", "/"), ("incident", f"/incidents/{opened.pk}"), ("list", "/incidents")):
        sizes = weight(client, path)
        parts = ", ".join(f"{kind} {size / 1000:.1f}" for kind, size in sizes.items())
        print(f"{name}: {sum(sizes.values()) / 1000:.0f} kB compressed ({parts})", flush=True)


if __name__ == "__main__":
    amount = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    print(f"pages on {house.machine()}")
    try:
        run(amount, int(sys.argv[2]) if len(sys.argv) > 2 else ROUNDS)
    finally:
        house.close()
