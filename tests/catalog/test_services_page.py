"""The directory of services and the page of one: how it is, who is called, what hangs together, what was changed."""

import datetime as dt
import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import Role
from alerts.models import ChangeEvent
from catalog.models import Dependency, Service
from incidents import lifecycle
from tests import factories, private_team

HOUR = dt.timedelta(hours=1)


@pytest.fixture
def get(alice):
    """A function that gets a page of a reader as text, with white space as a browser shows it."""

    def get(path, *, user=alice, **headers):
        client = Client()
        client.force_login(user)
        answer = client.get(path, headers=headers)
        assert answer.status_code == 200, answer.status_code
        content = answer.content.decode()
        main = content[content.index("<main") :] if "<main" in content else content
        return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", main))

    return get


@pytest.fixture
def search(team, service):
    return factories.ServiceFactory(name="Search", slug="search", team=team, policy=service.policy, tier=2)


# --- the directory ------------------------------------------------------------------------------------------------


def test_trouble_comes_first_with_its_word_and_how_many(get, service, search, now):
    for severity in ("low", "high"):
        lifecycle.trigger(search, title="Slow", severity=severity, now=now)
    text = get("/services")
    assert re.search(r"High Search .*? 2 open 2 without an answer .*? Fine Checkout", text)
    assert re.search(r"1 High 1 Fine", text)


def test_the_directory_and_the_graph_say_the_same_of_every_service(get, client, alice, service, search, team, now):
    """At risk is what needs a service in trouble, on both pages; in maintenance it is that, and at risk as well."""
    idle = factories.ServiceFactory(name="Idle", slug="idle", team=team, policy=service.policy)
    paused = factories.ServiceFactory(name="Paused", slug="paused", team=team, policy=service.policy)
    for one in (service, paused):
        factories.DependencyFactory(service=one, needs=search)
    factories.MaintenanceWindowFactory(
        services=[paused], starts_at=timezone.now() - HOUR, ends_at=timezone.now() + HOUR
    )
    lifecycle.trigger(search, title="Slow", severity="high", now=now)
    client.force_login(alice)
    said = []
    for path, start in (("/services", "service-row"), ("/services/graph", '<tr id="row-')):
        rows = client.get(path).content.decode().split(start)[1:]
        marks = [re.search(r'mark-(\w+)"', row)[1] for row in rows]
        slugs = [re.search(r'/services/([\w-]+)"', row)[1] for row in rows]
        said.append(dict(zip(slugs, marks, strict=True)))
    assert said[0] == said[1]
    assert said[0] == {"search": "high", "paused": "maintenance", "checkout": "risk", idle.slug: "fine"}
    assert list(said[0]) == list(said[1])
    text = get("/services")
    assert re.search(r"1 High 1 Maintenance 1 At risk 1 Fine", text)
    assert re.search(r"At risk Checkout .*? No incident Needs Search \(high\)", text)
    assert "Idle" not in get("/services?state=risk") and "Checkout" in get("/services?state=risk")
    assert "Idle" in get("/services?state=fine") and "Checkout" not in get("/services?state=fine")


def test_what_is_archived_is_shown_beside_its_neighbours_as_it_is(get, service, search, now):
    factories.DependencyFactory(service=service, needs=search)
    lifecycle.trigger(search, title="Slow", severity="high", now=now)
    Service.objects.filter(pk=search.pk).update(lifecycle="archived")
    assert re.search(r"It needs Search High", get("/services/checkout"))


def test_an_incident_that_is_over_is_no_trouble(get, service, now):
    incident = lifecycle.trigger(service, title="Down", severity="critical", now=now)
    lifecycle.resolve(incident.pk, note="", by=None, now=now)
    assert re.search(r"Fine Checkout .*? No incident", get("/services"))


def test_a_row_says_who_is_on_call_by_first_name(get, service):
    assert re.search(r"Checkout .*? On call Alice", get("/services"))


def test_a_service_that_calls_nobody_is_loud_and_can_be_filtered(get, service, team):
    factories.ServiceFactory(name="Forgotten", slug="forgotten", team=team, policy=None)
    assert re.search(r"Forgotten .*? No escalation policy: nobody is called. Choose a policy", get("/services"))
    text = get("/services?state=nobody")
    assert "Forgotten" in text and "Checkout" not in text


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("team=shop", "Checkout Search"),
        ("team=other", "Wiki"),
        ("tier=2", "Search"),
        ("q=searc", "Search"),
        ("q=finds+products", "Search"),
        ("state=fine", "Checkout Wiki"),
        ("state=critical", "Search"),
        ("state=trouble", "Search"),
        ("state=maintenance", ""),
        ("lifecycle=archived", "Old"),
        ("lifecycle=all", "Checkout Old Search Wiki"),
        ("team=nobody&tier=9&state=x&lifecycle=x", "Checkout Search Wiki"),
        ("q=nothing+like+this", ""),
    ],
)
def test_filters_stand_in_the_address(client, alice, service, search, now, query, found):
    Service.objects.filter(pk=search.pk).update(description="Finds products.")
    other = factories.TeamFactory(name="Other", slug="other")
    factories.ServiceFactory(name="Wiki", slug="wiki", team=other, policy=service.policy)
    factories.ServiceFactory(name="Old", slug="old", team=other, policy=service.policy, lifecycle="archived")
    lifecycle.trigger(search, title="Slow", severity="critical", now=now)
    client.force_login(alice)
    page = client.get(f"/services?{query}").content.decode()
    assert sorted(re.findall(r'service-name"><a href="/services/[\w-]+">(\w+)<', page)) == found.split()
    assert found or "No service matches" in page


def test_an_open_window_of_maintenance_is_a_state(get, service, search):
    now = timezone.now()
    factories.MaintenanceWindowFactory(services=[search], starts_at=now - HOUR, ends_at=now + HOUR)
    factories.MaintenanceWindowFactory(services=[service], starts_at=now + HOUR, ends_at=now + 2 * HOUR)
    text = get("/services")
    assert re.search(r"Maintenance Search", text) and re.search(r"Fine Checkout", text)


def test_what_a_window_holds_by_a_condition_is_not_the_whole_service(get, service):
    now = timezone.now()
    factories.MaintenanceWindowFactory(
        services=[service], condition='labels.env == "dev"', starts_at=now - HOUR, ends_at=now + HOUR
    )
    assert re.search(r"Fine Checkout", get("/services"))


def test_without_services_it_says_what_to_do(get, alice, team):
    assert "Make the first service" in get("/services")
    assert "Ask an admin" in get("/services", user=factories.UserFactory(role=Role.OBSERVER))


def test_the_directory_refreshes_its_rows_alone(client, alice, service, now):
    client.force_login(alice)
    page = client.get("/services").content.decode()
    assert 'data-socket="/ws/live"' in page
    part = client.get("/services", headers={"X-Fragment": "directory"}).content.decode()
    assert part.startswith('<div data-fragment="directory">') and "<form" not in part


def queries(client, path):
    client.get(path)
    with CaptureQueriesContext(connection) as found:
        assert client.get(path).status_code == 200
    return len(found)


@pytest.mark.parametrize("path", ["/services", "/services/checkout", "/services/graph", "/services/graph/data"])
def test_more_services_cost_not_one_query_more(client, alice, service, path, now):
    def more(count):
        for number in range(count):
            other = factories.ServiceFactory(policy=service.policy, team=service.team)
            factories.DependencyFactory(service=service, needs=other)
            factories.LinkFactory(service=service)
            if number % 2:
                factories.IncidentFactory(service=other, triggered_at=now)

    client.force_login(alice)
    more(3)
    few = queries(client, path)
    more(12)
    assert queries(client, path) == few


# --- one service --------------------------------------------------------------------------------------------------


def test_the_page_says_how_it_is_and_who_is_called(get, service, now):
    lifecycle.trigger(service, title="Down", severity="critical", now=now)
    text = get("/services/checkout")
    assert "Critical 1 open incident, 1 without an answer Checkout" in text
    assert re.search(r"Who is called now .*? Level 1 at once Alice", text)


def test_a_service_at_risk_names_what_is_in_trouble_however_far_away(get, service, team, now):
    middle, database = (
        factories.ServiceFactory(name=name, slug=name.lower(), team=team) for name in ("Cards", "Data")
    )
    factories.DependencyFactory(service=service, needs=middle)
    factories.DependencyFactory(service=middle, needs=database)
    assert "At risk" not in get("/services/checkout")
    lifecycle.trigger(database, title="Full", severity="high", now=now)
    assert re.search(r"At risk Checkout Needs Data \(high\)", get("/services/checkout"))


def test_both_sides_of_its_dependencies_are_there_with_their_state(get, service, search, team, now):
    web = factories.ServiceFactory(name="Web shop", slug="web", team=team)
    factories.DependencyFactory(service=service, needs=search, note="finds things")
    factories.DependencyFactory(service=web, needs=service)
    lifecycle.trigger(search, title="Slow", severity="medium", now=now)
    text = get("/services/checkout")
    assert re.search(r"It needs 1 in all, direct and indirect Search Medium .*? finds things", text)
    assert re.search(r"Needed by 1 in all, direct and indirect Web shop At risk", text)


def test_the_routing_key_is_shown_to_whoever_may_configure_it_only(get, service, bob):
    assert service.routing_key in get("/services/checkout")
    text = get("/services/checkout", user=bob)
    assert service.routing_key not in text
    assert "Add a link" not in text and "Add a dependency" not in text


def test_an_archived_service_still_has_a_page(get, service):
    Service.objects.update(lifecycle="archived")
    assert "Archived" in get("/services/checkout")
    assert "No service" in get("/services")


def test_the_panel_of_incidents_has_those_that_are_open_and_the_figures_of_thirty_days(get, service, alice):
    now = timezone.now()
    old = factories.IncidentFactory(service=service, status="resolved", triggered_at=now - 40 * 24 * HOUR, title="Old")
    over = factories.IncidentFactory(service=service, status="resolved", triggered_at=now - 2 * HOUR, title="Over")
    type(over).objects.filter(pk=over.pk).update(
        acknowledged_at=over.triggered_at + dt.timedelta(minutes=3), resolved_at=over.triggered_at + HOUR
    )
    factories.IncidentFactory(service=service, triggered_at=now, title="Down now", assignee=alice)
    text = get("/services/checkout/incidents", **{"X-Fragment": "panel"})
    assert "Down now" in text and "Alice has it" in text
    assert "Over" not in text and old.title not in text
    assert "Incidents, 30 days 2" in text
    assert re.search(r"\(MTTA\) 3 m 0 s .*?\(MTTR\) 1 h 0 m", text)
    assert text.index("Down now") < text.index("Incidents, 30 days")
    assert "Back to the service" in get("/services/checkout/incidents")


def test_the_panel_of_changes_has_the_last_two_weeks(get, service):
    now = timezone.now()
    recent = factories.ChangeEventFactory(
        service=service, title="Deployed 4512", at=now - HOUR, links=[{"href": "https://ci.example.com", "text": "CI"}]
    )
    factories.ChangeEventFactory(service=service, title="Long ago", at=now - 30 * 24 * HOUR)
    text = get("/services/checkout/changes", **{"X-Fragment": "panel"})
    assert recent.title in text and "Long ago" not in text


def test_a_change_says_who_told_it(get, service):
    now = timezone.now()
    factories.ChangeEventFactory(
        service=service, at=now - HOUR, integration=factories.IntegrationFactory(name="Deploy bot", service=service)
    )
    assert "Deploy bot" in get("/services/checkout/changes")
    ChangeEvent.objects.update(integration=None, source="generic")
    assert "Generic JSON" in get("/services/checkout/changes")
    ChangeEvent.objects.update(source="gone")
    assert "gone" in get("/services/checkout/changes")


def test_without_changes_the_panel_says_how_to_send_them(get, service):
    assert "Let your deployments report them" in get("/services/checkout/changes")


def test_a_private_team_stays_hidden_on_every_page_of_services(service):
    world = private_team.build(service)
    paths = ["/services", "/services?lifecycle=all", "/services/graph", "/services/graph/data"]
    paths += [f"/services/{service.slug}{rest}" for rest in ("", "/incidents", "/changes")]
    for who, person in private_team.strangers().items():
        client = Client()
        client.force_login(person)
        for path in paths:
            answer = client.get(path)
            assert answer.status_code == 200
            assert private_team.leaks(world, answer.content.decode()) == [], (who, path)
        assert client.get(f"/services/{world.hidden.slug}").status_code == 404
        assert client.get(f"/services/graph/data?around={world.hidden.slug}").status_code == 404


def test_a_hidden_incident_does_not_change_the_state_of_a_service_that_one_sees(service):
    world = private_team.build(service)
    Dependency.objects.create(service=factories.ServiceFactory(name="Web", slug="web"), needs=service)
    person = private_team.strangers()["observer"]
    client = Client()
    client.force_login(person)
    nodes = {one["slug"]: one for one in client.get("/services/graph/data").json()["nodes"]}
    assert nodes[service.slug]["state"] == "high"  # its own incident; that of the service it needs is hidden
    assert nodes[service.slug]["troubled_by"] == []
    assert nodes["web"]["troubled_by"] == [service.slug]
    assert world.hidden.slug not in nodes


def test_a_service_cannot_take_the_address_of_the_graph(service, alice, team):
    client = Client()
    client.force_login(alice)
    answer = client.post("/api/v1/services", {"name": "Graph", "team": "shop"}, content_type="application/json")
    assert answer.status_code == 201 and answer.json()["slug"] == "graph-2"
    body = {"name": "Graph two", "slug": "graph", "team": "shop"}
    answer = client.post("/api/v1/services", body, content_type="application/json")
    assert answer.status_code == 400 and "Choose another" in answer.content.decode()
