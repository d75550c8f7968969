"""What a private team has does not exist for strangers in the API either: no list, row or sentence names it."""

import pytest
from django.test import Client

from accounts.models import Role
from tests import factories, private_team

STRANGERS = ["observer", "responder", "admin of another team"]
LISTS = [
    *("alerts", "alerts?is_held=true", "incidents", "incidents/stats/summary", "services", "dependencies", "teams"),
    *("users", "schedules", "policies", "on-call", "on-call/current/all", "oncall/current", "time-off"),
    *("calendar-feeds", "calendar-imports", "holidays", "notifications", "notifications/stats/summary"),
    *("integrations", "routing-rules", "change-events", "silences", "maintenance-windows", "inhibition-rules"),
    *("heartbeats", "api-keys", "availability"),
]
# Rows of the public team, which has to do with the private one wherever two teams can.
ROWS = [
    "incidents/{public.pk}",
    "incidents/{public.pk}/timeline",
    "incidents/{public.pk}/responders",
    "incidents/{public.pk}/similar",
    "incidents/{public.pk}/changes",
    "incidents/{public.pk}/metrics",
    *(f"alerts/{{tied[{place}].pk}}" for place in range(4)),
    "services/{service.slug}",
    "policies/{service.policy.slug}",
    "integrations/{public_door.uuid}",
    "oncall/current?service={service.slug}",
    "on-call/find-current?service={service.slug}",
    "on-call/escalation-chain?service={service.slug}",
]


@pytest.fixture
def world(service):
    return private_team.build(service)


@pytest.mark.parametrize("who", STRANGERS)
def test_no_answer_says_a_word_of_a_private_team(world, who):
    client = Client()
    client.force_login(private_team.strangers()[who])
    for path in (*LISTS, *(row.format(**vars(world)) for row in ROWS)):
        answer = client.get(f"/api/v1/{path}")
        assert answer.status_code == 200, path
        assert not private_team.leaks(world, answer.content.decode()), path


def test_silences_are_previewed_and_counted_over_what_one_sees(world):
    rita = private_team.strangers()["responder"]
    times = dict.fromkeys(("first_at", "last_at", "changed_at"), world.now)
    silence = factories.SilenceFactory(condition='env = "x"', integration=world.public_door, owner=rita)
    for service in (world.service, world.hidden):
        factories.AlertFactory(service=service, held_by=f"silence:{silence.pk}", held_why="x", **times)
    client = Client()
    client.force_login(rita)
    assert client.get(f"/api/v1/silences/{silence.uuid}").json()["holds"] == 1
    answer = client.post("/api/v1/silences/preview", {"condition": 'host = "Zugspitze"'}, "application/json")
    assert answer.status_code == 200 and not private_team.leaks(world, answer.content.decode())


def test_a_refusal_names_no_hidden_service(world):
    lead = factories.UserFactory(role=Role.OBSERVER)
    factories.MembershipFactory(team=world.service.team, user=lead, role=Role.ADMIN)
    last = factories.ServiceFactory(name="Ledger view", slug="ledger-view", team=world.service.team)
    factories.DependencyFactory(service=world.hidden, needs=last)
    client = Client()
    client.force_login(lead)
    edge = {"service": last.slug, "needs": world.service.slug}
    refused = client.post("/api/v1/dependencies", edge, "application/json")
    assert refused.status_code == 400
    assert f"{world.service.name} needs (private) needs Ledger view" in refused.json()["detail"]


def test_the_same_answers_speak_of_it_to_its_members(world):
    client = Client()
    client.force_login(world.member)
    for path in ("alerts?is_held=true", "incidents", "incidents/{public.pk}/timeline", "oncall/current", "teams"):
        assert private_team.leaks(world, client.get(f"/api/v1/{path.format(**vars(world))}").content.decode()), path
