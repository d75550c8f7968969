"""What happened at the demo company before its first start: two weeks of incidents, and one that is open now.

Made by the same verbs as in real life, with the time at which each of them happened. Nobody is paged for any of it.
"""

import dataclasses
import datetime as dt
import functools

from accounts.keys import issue_machine_key
from accounts.models import Role
from alerts.models import Alert, ChangeEvent
from automation import proposals
from automation.models import Hypothesis, RecommendedAction, Verdict
from incidents import checklist, lifecycle, merging, responding, updates
from incidents.lifecycle import NewIncident
from incidents.models import Responder

MINUTE = dt.timedelta(minutes=1)
NOBODY_PAGED = "Made up for the demo, so nobody was paged."


@dataclasses.dataclass(frozen=True)
class Story:
    """An incident of the past. `minutes` come after the start: until somebody had it, and until it was over."""

    before: tuple  # (days, minutes) before the first start
    service: str
    severity: str
    title: str
    who: str
    minutes: tuple
    ended: str = ""  # how, in their words; empty: its alerts stopped firing
    key: str = ""  # the dedup key of its alert; empty: it was opened by hand
    impact: str = ""
    notes: tuple = ()
    into: str = ""  # merged into the open incident of this title
    is_closed: bool = False


SLOW = "Checkout is slow: p95 above 2 s"
BAD_GATEWAY = "Checkout answers 502 to one order in five"
REPLICA = "Replica of PostgreSQL main is 40 s behind"
# The targets are 3 minutes for P1 (critical), 5 for P2 (high), 10 for the others: some of these are late.
PAST = [
    Story(
        (13, 640),
        "postgres-main",
        "medium",
        REPLICA,
        "dora",
        (6.4, 38),
        "A report read the whole table of orders. It runs on the second replica now.",
        key="postgres-replica-lag",
        is_closed=True,
    ),
    Story(
        (13, 95),
        "search",
        "high",
        "Search finds nothing for new products",
        "bob",
        (2.2, 51),
        "The indexer had stopped after a bad document. Skipped it and started the indexer again.",
        key="search-index-age",
        impact="Products of today are not found.",
        notes=("`indexer-2` stopped at document **48812**: its price is text.\n\n- skip it\n- tell the import team",),
    ),
    Story(
        (12, 1010),
        "checkout-api",
        "high",
        SLOW,
        "alice",
        (3.1, 42),
        "Rolled back to 4.11.2. The new version asked the database once for each line of a basket.",
        key="checkout-latency",
        impact="Paying takes ten seconds instead of one.",
        notes=(
            "It began with the deployment of **4.11.3**. One order makes 40 queries:\n\n"
            "```\nSELECT … FROM basket_line WHERE id = $1\n```\n\nRolling back.",
        ),
        is_closed=True,
    ),
    Story(
        (12, 205),
        "kubernetes",
        "medium",
        "Node worker-07 is not ready",
        "charlie",
        (14.5, 63),
        "Its disk was full of old images. Cleaned, and the garbage collection starts at 70 % now.",
        key="node-worker-07",
    ),
    Story((11, 880), "mailer", "low", "1,200 receipts wait to be sent", "dora", (8.3, 74), key="mailer-queue"),
    Story(
        (11, 120),
        "payments",
        "critical",
        "Payments by card fail",
        "charlie",
        (1.4, 36),
        "The bank's certificate had changed. We trust the new one, and the check of certificates runs daily.",
        key="payments-card",
        impact="Nobody can pay by card. Transfers work.",
        notes=(
            "The bank changed its certificate at 14:00. Their [status page](https://status.bank.example.com) says so.",
            "Orders wait and are **not** lost: they are charged once the bank answers.",
        ),
        is_closed=True,
    ),
    Story(
        (10, 1300),
        "redis",
        "medium",
        "Redis uses 92 % of its memory",
        "dora",
        (4.9, 29),
        "Sessions had no end. They live for 14 days now.",
        key="redis-memory",
    ),
    Story(
        (10, 415),
        "recommendations",
        "low",
        "Recommendations are a day old",
        "bob",
        (27, 190),
        key="recommendations-age",
    ),
    Story(
        (9, 760),
        "web-shop",
        "high",
        "Start page answers 500 for signed-in customers",
        "bob",
        (6.8, 33),
        "A feature flag without a default. Turned off until it has one.",
        key="web-shop-500",
        impact="Whoever is signed in sees an error page.",
    ),
    Story(
        (9, 250), "kafka", "medium", "Consumer group “orders” is 90,000 behind", "charlie", (3.7, 22), key="kafka-lag"
    ),
    Story(
        (8, 1190),
        "orders",
        "high",
        "Parcels get no labels",
        "dora",
        (2.6, 58),
        "The carrier's address had moved. Changed it, and printed the 310 labels that were missing.",
        impact="Orders are paid and not sent.",
        notes=("No alert saw this: the warehouse called. *We need one for labels a minute.*",),
    ),
    Story(
        (8, 310),
        "mobile-api",
        "medium",
        "Sign-in from the app takes 8 s",
        "alice",
        (5.5, 47),
        "A connection pool of 5. It has 50 now.",
        key="mobile-login",
    ),
    Story((7, 930), "kubernetes", "medium", "Node worker-03 is not ready", "charlie", (3.2, 18), key="node-worker-03"),
    Story(
        (7, 140),
        "checkout-api",
        "critical",
        BAD_GATEWAY,
        "alice",
        (1.1, 27),
        "One of five pods had an old password of the database. Deleted it; the new one is fine.",
        key="checkout-5xx",
        impact="One customer in five sees an error after “Pay”.",
        notes=("Only one pod fails:\n\n- `checkout-api-1` to `checkout-api-4`: 0 %\n- `checkout-api-5`: **100 %**",),
        is_closed=True,
    ),
    Story(
        (7, 136),
        "web-shop",
        "high",
        "Web shop shows “Something went wrong”",
        "bob",
        (2.0, 9),
        key="web-shop-errors",
        into=BAD_GATEWAY,
    ),
    Story(
        (6, 1120),
        "search",
        "low",
        "Search is slower than last week",
        "bob",
        (9.0, 130),
        "The index had 400 segments. Merged them, and a job does it each night.",
        key="search-latency",
    ),
    Story(
        (6, 520),
        "postgres-main",
        "high",
        "Connections to PostgreSQL main are at 95 %",
        "dora",
        (7.3, 44),
        "A batch of the mailer opened one connection per mail. Limited to 10.",
        key="postgres-connections",
        impact="Orders take some seconds longer.",
    ),
    Story((5, 1260), "redis", "low", "Redis was started again", "charlie", (5.8, 12), key="redis-restart"),
    Story(
        (5, 380),
        "mobile-api",
        "high",
        "Push of “order sent” fails for iPhones",
        "alice",
        (3.9, 71),
        "The key of the push service had expired. Made a new one, with a reminder in eleven months.",
        key="mobile-push",
        impact="Customers with an iPhone do not hear that their order was sent.",
    ),
    Story(
        (4, 1040),
        "kafka",
        "medium",
        "Consumer group “mailer” is 40,000 behind",
        "charlie",
        (11.8, 35),
        key="kafka-lag-2",
    ),
    Story(
        (4, 230),
        "payments",
        "high",
        "Refunds are not booked",
        "dora",
        (2.9, 96),
        "A job of the night had failed on a refund of 0.00. Fixed the row and ran it again.",
        notes=("216 refunds wait. None is lost, and none was paid twice.",),
    ),
    Story(
        (3, 1180),
        "postgres-main",
        "medium",
        REPLICA,
        "dora",
        (5.1, 16),
        key="postgres-replica-lag",
    ),
    Story(
        (3, 290),
        "checkout-api",
        "high",
        SLOW,
        "bob",
        (3.4, 31),
        "Redis was slow while it wrote its snapshot. Snapshots are made on the replica now.",
        key="checkout-latency",
        impact="Paying takes five seconds.",
        notes=("The database is fine. `redis-cli --latency` says **180 ms**, so it is not a deployment this time.",),
    ),
    Story(
        (2, 700),
        "web-shop",
        "info",
        "Certificate of shop.example.com ends in 20 days",
        "bob",
        (4.2, 240),
        "Renewed. The robot that does it had no right to change the DNS.",
        key="web-shop-certificate",
    ),
    Story(
        (1, 850),
        "orders",
        "critical",
        "No new orders for 5 minutes",
        "charlie",
        (4.6, 24),
        "A lock from a migration. Ended it, and migrations give up after 5 s now.",
        key="orders-none",
        impact="No order comes in.",
        notes=("`ALTER TABLE orders` waits for a report, and everybody waits for `ALTER TABLE`.",),
    ),
    Story((0, 560), "search", "medium", "Search node 2 has no disk left", "alice", (2.7, 40), key="search-disk"),
    Story(
        (9, 30),
        "vault",
        "high",
        "Vault is sealed after a restart",
        "erin",
        (3.3, 19),
        "Unsealed by hand with three keys. It unseals by itself now.",
        key="vault-sealed",
        impact="No service gets new secrets.",
    ),
]
# (days, minutes) before the first start, service, what, who did it
CHANGES = [
    ((12, 1024), "checkout-api", "checkout-api 4.11.3 deployed", "alice"),
    ((9, 771), "web-shop", "Feature flag “greeting” turned on", "bob"),
    ((5, 900), "redis", "Redis 7.4.6 installed", "charlie"),
    ((1, 853), "orders", "Migration 0231_order_channel started", "dora"),
    ((0, 1300), "payments", "payments 2.38.0 deployed", "charlie"),
]


def fill(people, services, integrations, admin, *, now, told=(), after_each=lambda at: None):
    """Let it happen. `people` and `services` are by key, `integrations` by source. Returns the open incident.

    `told` are `(title of a story, minutes after its start, verb(number, at))`, which happen between; `after_each(at)`
    is called after everything that happened.
    """
    for before, service, title, who in CHANGES:
        _change(services[service], title, who, integrations, at=_ago(before, now))
    happened = []  # (when, what)
    numbers = {}
    for story in PAST:
        happened += _told(story, people, services[story.service], integrations, numbers, now)
    starts = {story.title: _ago(story.before, now) for story in PAST}
    for title, minutes, verb in told:
        happened.append((starts[title] + minutes * MINUTE, functools.partial(_beside, verb, numbers, title)))
    for at, verb in sorted(happened, key=lambda one: one[0]):
        verb(at)
        after_each(at)
    return _open_now(people, services["checkout-api"], integrations, admin, now=now)


def _beside(verb, numbers, title, at):
    verb(numbers[title], at)


def _told(story, people, service, integrations, numbers, now):
    """The verbs of a story, each with its time: `[(at, verb(at))]`."""
    by, start = people[story.who], _ago(story.before, now)
    until_had, until_over = (start + minutes * MINUTE for minutes in story.minutes)

    def begin(at):
        incident = _trigger(service, story.severity, story.title, None if story.key else by, at=at)
        numbers[story.title] = numbers[story] = incident.pk
        if story.key:
            _alert(incident, story.key, integrations, at=at)

    def finish(at):
        if story.into:
            merging.merge(numbers[story], into=numbers[story.into], by=by, now=at)
            return
        if story.ended:
            lifecycle.resolve(numbers[story], by=by, now=at, note=story.ended)
            return
        Alert.objects.filter(incident=numbers[story]).update(resolved_at=at, last_at=at, changed_at=at)
        lifecycle.resolve(numbers[story], by=None, now=at, via="source")

    verbs = [
        (start, begin),
        (until_had, lambda at: lifecycle.acknowledge(numbers[story], by=by, now=at)),
        (until_over, finish),
    ]
    if story.impact:
        at = until_had + 1.5 * MINUTE
        verbs.append((at, lambda at: lifecycle.edit(numbers[story], by=by, now=at, impact=story.impact)))
    for place, text in enumerate(story.notes, 1):
        at = until_had + place * (until_over - until_had) / (len(story.notes) + 1)
        verbs.append((at, lambda at, text=text: lifecycle.add_note(numbers[story], text=text, by=by, now=at)))
    if story.is_closed:
        at = until_over + 60 * MINUTE
        verbs.append((at, lambda at: lifecycle.close(numbers[story], by=by, now=at)))
    return verbs


def _open_now(people, service, integrations, admin, *, now):
    """Checkout is slow again, and Alice has it."""
    alice, bob, dora = (people[key] for key in ("alice", "bob", "dora"))
    start = now - 34.5 * MINUTE

    def after(minutes):
        return start + minutes * MINUTE

    deployed = _change(service, "checkout-api 4.12.0 deployed", "bob", integrations, at=after(-20))
    incident = _trigger(service, "high", SLOW, None, at=start)
    _alert(
        incident,
        "checkout-latency",
        integrations,
        at=start,
        description="The 95th percentile of POST /orders is 3.8 s, and was 0.6 s an hour ago.",
        occurrences=12,
        last_at=now - MINUTE,
        labels={"env": "production", "region": "eu-central-1", "endpoint": "POST /orders", "version": "4.12.0"},
        links=[
            {"href": "https://grafana.example.com/d/checkout", "text": "Orders a minute"},
            {"href": "https://wiki.example.com/runbooks/checkout", "text": "When checkout is slow"},
        ],
    )
    number = incident.pk
    lifecycle.acknowledge(number, by=alice, now=after(2.4))
    lifecycle.edit(number, by=alice, now=after(4), impact="Paying takes eight seconds. One customer in ten gives up.")
    lifecycle.start(number, by=alice, now=after(4.5))
    machine = _machine(admin)
    _propose(number, machine, alice, deployed, after)
    responding.set_role(number, bob, Responder.Role.COMMANDER, by=bob, now=after(9))
    tasks = [
        checklist.add(number, text=text, assignee=who, by=bob, now=after(10 + place / 2))
        for place, (text, who) in enumerate(
            [
                ("Compare the queries of 4.11.9 and 4.12.0", alice),
                ("Roll back to 4.11.9 in one region", alice),
                ("Tell support what to say to customers", bob),
            ]
        )
    ]
    responding.set_role(number, dora, Responder.Role.SCRIBE, by=dora, now=after(12))
    lifecycle.add_note(
        number,
        text=(
            "4.12.0 reads the stock of **each** line of a basket by itself:\n\n"
            "```\nSELECT … FROM stock WHERE sku = $1   -- 38 times per order\n```\n\n"
            "- 4.11.9: 4 queries per order\n- 4.12.0: 41 queries per order"
        ),
        by=alice,
        now=after(17),
    )
    checklist.complete(number, tasks[0], by=alice, now=after(17.5))
    updates.post(
        number,
        text="Paying is slow since half an hour ago, and works. We know the cause and take the last version back. "
        "The next update comes in 30 minutes.",
        by=bob,
        now=after(21),
    )
    return incident


def _propose(number, machine, alice, deployed, after):
    """What a program says: two hypotheses, and two actions, one of which Alice approved."""
    given = {"source": "Root cause agent", "by": machine}
    likely = proposals.propose(
        Hypothesis,
        number,
        text="The deployment of checkout-api 4.12.0 made each order ask the database ten times as often.\n\n"
        "It reads the stock of **every line** of a basket by itself, as 4.11.3 did.",
        confidence=0.86,
        evidence=[
            {"text": "4.12.0 was deployed 20 minutes before the start.", "url": deployed.links[0]["href"]},
            {
                "text": "Queries per order rose from 4 to 41 at that minute.",
                "url": "https://grafana.example.com/d/checkout?viewPanel=7",
            },
            {"text": "The same happened with 4.11.3, and taking it back ended it.", "url": ""},
        ],
        now=after(6),
        **given,
    )
    proposals.propose(
        Hypothesis,
        number,
        text="Redis is slow while it writes its snapshot, as three days ago.",
        confidence=0.17,
        evidence=[{"text": "The latency of Redis is 2 ms, as always.", "url": ""}],
        now=after(6.2),
        **given,
    )
    back = proposals.propose(
        RecommendedAction,
        number,
        text="Take checkout-api back to 4.11.9.\n\n```\nkubectl rollout undo deployment/checkout-api\n```",
        confidence=0.9,
        hypothesis=likely,
        risk="low",
        now=after(6.4),
        **given,
    )
    proposals.propose(
        RecommendedAction,
        number,
        text="Add an index on the column sku of the table stock. It helps whichever version runs.",
        confidence=0.4,
        risk="medium",
        now=after(6.6),
        **given,
    )
    proposals.review(
        RecommendedAction,
        back.uuid,
        verdict=Verdict.APPROVED,
        by=alice,
        now=after(19),
        feedback="Yes, one region first.",
    )


def _machine(admin):
    """The program that proposes."""
    key, _ = issue_machine_key(
        name="Root cause agent",
        scopes=["alerts:read", "catalog:read", "incidents:read", "proposals:write"],
        role=Role.RESPONDER,
        by=admin,
    )
    return key.user


def _trigger(service, severity, title, by, *, at):
    opened = f"Opened by {by}" if by else "Triggered"
    why = f"{opened} for {service.name}: {title}. {NOBODY_PAGED}"
    new = NewIncident(service, severity, title, why=why, by=by, via="web" if by else "source", pages=False)
    return lifecycle.trigger_many([new], now=at)[0]


def _alert(incident, key, integrations, *, at, **fields):
    """The alert that opened the incident."""
    integration = integrations["generic" if incident.team.slug == "shop" else "alertmanager"]
    given = {
        "labels": {"env": "production", "service": incident.service.slug},
        "last_at": at,
        "changed_at": at,
        **fields,
    }
    return Alert.objects.create(
        scope=f"integration:{integration.pk}",
        dedup_key=key,
        source=integration.source,
        integration=integration,
        service=incident.service,
        incident=incident,
        severity=incident.severity,
        title=incident.title,
        first_at=at,
        **given,
    )


def _change(service, title, who, integrations, *, at):
    return ChangeEvent.objects.create(
        integration=integrations["generic"],
        service=service,
        source="generic",
        title=title,
        description=f"By {who}.",
        labels={"service": service.slug, "by": who},
        links=[{"href": f"https://ci.example.com/{service.slug}/deployments/{at:%m%d%H%M}", "text": "Deployment"}],
        at=at,
        received_at=at,
    )


def _ago(before, now):
    days, minutes = before
    return now - dt.timedelta(days=days, minutes=minutes)
