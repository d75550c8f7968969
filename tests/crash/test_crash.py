"""SIGKILL at random while people are being called: nothing is forgotten, and nothing doubled without saying so."""

import collections
import datetime as dt
import json
import random
import time

import pytest
from django.utils import timezone

from incidents import lifecycle
from incidents.models import Incident
from notifications.models import Notification
from oncall import chain
from tests import factories
from tests.fakes.sink import sink
from tests.house import House, wait_until

pytestmark = pytest.mark.crash

INCIDENTS, LEVELS, ACKNOWLEDGED = 500, 3, 100
LEVEL_SECONDS = 8
CHAOS_SECONDS = 35
# A receiver this slow has some messages under way whenever a worker dies.
SEND_SECONDS = 0.3


@pytest.fixture
def pages():
    with sink() as server:
        yield server


@pytest.fixture
def house(transactional_db, tmp_path):
    tmp_path.chmod(0o755)
    house = House(tmp_path)
    yield house
    house.stop()


@pytest.fixture
def policy(team, pages):
    """Three levels, a person each; the copy that the incidents keep waits seconds where an admin may say minutes."""
    policy = factories.EscalationPolicyFactory(team=team, repeats=0, is_team_default=True, calls=[])
    policy.levels.all().delete()
    for number in range(1, LEVELS + 1):
        person = factories.UserFactory(name=f"Person {number}")
        factories.ContactMethodFactory(user=person, channel="webhook", address=pages.url(path_of(number)))
        level = factories.LevelFactory(policy=policy, number=number)
        factories.TargetFactory(level=level, user=person)
    copy = chain.copies([policy.pk])[policy.pk]
    for level in copy["levels"]:
        level["delay_minutes"] = LEVEL_SECONDS / 60
    return copy


def path_of(level):
    return f"/slow/level{level}?seconds={SEND_SECONDS}"


def arm(service, policy):
    """Incidents whose first level falls due within a few seconds from now."""
    now = timezone.now()
    Incident.objects.bulk_create(
        Incident(
            title=f"Trouble {number}",
            service=service,
            team=service.team,
            severity="critical",
            priority="P1",
            urgency="high",
            triggered_at=now,
            policy=policy,
            next_escalation_at=now + dt.timedelta(seconds=random.uniform(2, 8)),
        )
        for number in range(INCIDENTS)
    )
    return list(Incident.objects.order_by("pk"))


def test_random_kills_lose_no_level_and_double_none_that_is_not_marked(house, pages, team, policy, capsys):
    seed = random.randrange(10**6)
    random.seed(seed)
    service = factories.ServiceFactory(team=team, policy=None)
    incidents = arm(service, policy)
    admin = factories.UserFactory(role="admin")
    for name in ("worker", "ticker"):
        house.start(name)

    kills = collections.Counter()
    answered = {}
    until = time.monotonic() + CHAOS_SECONDS
    to_answer = random.sample(incidents, ACKNOWLEDGED)
    while time.monotonic() < until:
        time.sleep(random.uniform(2, 5))
        # Each at least once, whatever chance says.
        name = next((one for one in ("ticker", "worker") if not kills[one]), None)
        name = name or random.choice(["worker", "worker", "ticker"])
        house.kill(name)
        kills[name] += 1
        house.start(name)
        for incident in [to_answer.pop() for _ in range(min(12, len(to_answer)))]:
            lifecycle.acknowledge(incident.pk, by=admin, now=timezone.now())
            answered[incident.pk] = time.time()

    def is_quiet():
        return not (
            Incident.objects.filter(next_escalation_at__isnull=False).exists()
            or Notification.objects.unsettled().filter(topic__startswith="incident:").exists()
        )

    # A message that a killed worker held is due again when its lease of 60 s ends.
    wait_until(is_quiet, 150, "every escalation has run to its end")

    copies, latest = collections.defaultdict(list), {}
    for request in pages.requests:
        body = json.loads(request.body)["data"]
        if body["kind"] != "page":  # who was paged is also told that somebody has it
            continue
        copies[body["topic"], request.path].append(json.dumps(body))
        latest[body["topic"]] = max(latest.get(body["topic"], 0), request.at)
    with capsys.disabled():
        doubled = sum(len(found) > 1 for found in copies.values())
        print(f"\n  seed {seed}: {dict(kills)} kills, {len(copies)} pages, {doubled} came twice and said so", end=" ")

    assert kills["worker"] and kills["ticker"]
    for incident in incidents:
        levels = [level for level in range(1, LEVELS + 1) if copies.get((incident.topic, path_of(level)))]
        if incident.pk not in answered:
            assert levels == list(range(1, LEVELS + 1)), f"seed {seed}: {incident} was paged at levels {levels} only"
    for incident in incidents:
        late = latest.get(incident.topic, 0) - answered.get(incident.pk, float("inf"))
        assert late < 2, f"seed {seed}: {incident} was paged {late:.1f} s after somebody had it"
    for (topic, path), found in copies.items():
        unmarked = [body for body in found if "You may have received this page before" not in body]
        assert len(unmarked) <= 1, f"seed {seed}: {topic} {path} came {len(unmarked)} times without a word"
