"""The graph of services: its data, its table, and the dependencies that are edited on the page of a service."""

import pytest
from django.test import Client
from rest_framework.test import APIClient

from catalog import graph
from catalog.models import Dependency
from incidents import lifecycle
from tests import factories


@pytest.fixture
def browser(alice):
    client = Client()
    client.force_login(alice)
    return client


@pytest.fixture
def chain(team, service):
    """Web needs Checkout, which needs Cards, which needs Data."""
    made = {"checkout": service}
    for name in ("Web", "Cards", "Data"):
        made[name.lower()] = factories.ServiceFactory(name=name, slug=name.lower(), team=team, policy=service.policy)
    for one, other in (("web", "checkout"), ("checkout", "cards"), ("cards", "data")):
        factories.DependencyFactory(service=made[one], needs=made[other], holds_alerts=one == "web")
    return made


def test_a_neighbourhood_reaches_so_many_steps_up_and_down_and_not_sideways():
    edges = [("web", "shop"), ("shop", "cards"), ("cards", "data"), ("search", "cards")]
    assert graph.around(edges, "shop", 1) == {"web", "shop", "cards"}
    assert graph.around(edges, "shop", 2) == {"web", "shop", "cards", "data"}
    assert graph.around(edges, "alone", 3) == {"alone"}


def test_the_data_has_every_service_its_state_and_who_needs_whom(browser, chain, now):
    lifecycle.trigger(chain["data"], title="Full", severity="critical", now=now)
    data = browser.get("/services/graph/data").json()
    nodes = {one["slug"]: one for one in data["nodes"]}
    assert nodes["data"]["state"] == "critical" and nodes["data"]["open_incidents"] == 1
    assert nodes["web"]["state"] == "fine" and nodes["web"]["troubled_by"] == ["data"]
    assert {"service": "web", "needs": "checkout", "holds_alerts": True} in data["edges"]
    assert len(data["edges"]) == 3


def test_a_light_incident_puts_nobody_at_risk(browser, chain, now):
    lifecycle.trigger(chain["data"], title="Hm", severity="low", now=now)
    nodes = {one["slug"]: one for one in browser.get("/services/graph/data").json()["nodes"]}
    assert nodes["data"]["state"] == "low" and nodes["web"]["troubled_by"] == []


@pytest.mark.parametrize(
    ("depth", "found"),
    [
        ("1", {"web", "checkout", "cards"}),
        ("2", {"web", "checkout", "cards", "data"}),
        ("x", {"web", "checkout", "cards"}),
    ],
)
def test_the_data_of_a_neighbourhood(browser, chain, depth, found):
    data = browser.get(f"/services/graph/data?around=checkout&depth={depth}").json()
    assert {one["slug"] for one in data["nodes"]} == found


def test_the_same_data_is_not_sent_twice(browser, chain, now):
    first = browser.get("/services/graph/data")
    assert browser.get("/services/graph/data", headers={"if-none-match": first["ETag"]}).status_code == 304
    lifecycle.trigger(chain["data"], title="Full", severity="critical", now=now)
    again = browser.get("/services/graph/data", headers={"if-none-match": first["ETag"]})
    assert again.status_code == 200 and again["ETag"] != first["ETag"]
    assert "private" in first["Cache-Control"]


def test_the_table_says_the_same_without_a_script(browser, chain, now):
    lifecycle.trigger(chain["data"], title="Full", severity="critical", now=now)
    page = browser.get("/services/graph").content.decode()
    table = page[page.index("The same as a table") :]
    assert table.index("Data") < table.index("Cards")  # trouble first
    assert "At risk" in table and "4 services, 3 dependencies" in page


@pytest.mark.parametrize(
    ("query", "rows"), [("state=affected", 4), ("state=critical", 1), ("state=risk", 3), ("team=x", 4)]
)
def test_the_table_is_filtered_by_the_address(browser, chain, now, query, rows):
    lifecycle.trigger(chain["data"], title="Full", severity="critical", now=now)
    assert browser.get(f"/services/graph?{query}").content.decode().count('<th scope="row">') == rows


def test_the_api_has_the_same_graph(alice, chain):
    api = APIClient()
    api.force_authenticate(alice)
    assert len(api.get("/api/v1/services/graph").data["nodes"]) == 4
    around = api.get("/api/v1/services/graph?around=data&depth=2").data
    assert {one["slug"] for one in around["nodes"]} == {"data", "cards", "checkout"}
    assert api.get("/api/v1/services/graph?around=nope").status_code == 400
    assert api.get("/api/v1/services/graph?depth=99").status_code == 400
    assert api.get("/api/v1/services/checkout").data["state"] == "fine"


# --- editing ------------------------------------------------------------------------------------------------------


def test_a_dependency_is_added_changed_and_removed_on_the_page(browser, chain):
    typed = {"needs": "data", "note": "keeps sessions", "holds_alerts": "on"}
    page = browser.post("/services/web/dependencies", typed, follow=True).content.decode()
    assert "Web needs Data: saved." in page and "keeps sessions" in page
    row = Dependency.objects.get(service=chain["web"], needs=chain["data"])
    assert row.holds_alerts
    browser.post("/services/web/dependencies", {"needs": "data", "note": "baskets"})
    row.refresh_from_db()
    assert (row.note, row.holds_alerts) == ("baskets", False)
    page = browser.post(f"/services/web/dependencies/{row.pk}/remove", follow=True).content.decode()
    assert "Web does not need Data any more." in page
    assert not Dependency.objects.filter(pk=row.pk).exists()


def test_a_circle_is_refused_with_the_sentence_that_names_it(browser, chain):
    answer = browser.post("/services/data/dependencies", {"needs": "web"})
    assert answer.status_code == 400
    sentence = "This would be a circle: Data needs Web needs Checkout needs Cards needs Data."
    assert sentence in answer.content.decode()
    assert "Data cannot need itself" in browser.post("/services/data/dependencies", {"needs": "data"}).content.decode()
    assert Dependency.objects.count() == 3


def test_a_circle_through_a_private_team_does_not_name_it(team, service):
    lead = factories.UserFactory(role="observer")
    factories.MembershipFactory(team=team, user=lead, role="admin")
    private = factories.TeamFactory(name="Zugspitze", is_private=True)
    hidden = factories.ServiceFactory(name="Zugspitze ledger", team=private)
    web = factories.ServiceFactory(name="Web", slug="web", team=team)
    factories.DependencyFactory(service=web, needs=hidden)
    factories.DependencyFactory(service=hidden, needs=service)
    client = Client()
    client.force_login(lead)
    answer = client.post("/services/checkout/dependencies", {"needs": "web"})
    assert answer.status_code == 400
    assert "This would be a circle: Checkout needs Web needs (private) needs Checkout." in answer.content.decode()
    answer = client.post("/services/checkout/dependencies", {"needs": hidden.slug})
    assert answer.status_code == 400 and "Zugspitze" not in answer.content.decode()


def test_who_may_not_configure_it_changes_nothing(bob, chain):
    client = Client()
    client.force_login(bob)
    row = Dependency.objects.get(service=chain["web"])
    assert client.post("/services/web/dependencies", {"needs": "data"}).status_code == 403
    assert client.post(f"/services/web/dependencies/{row.pk}/remove").status_code == 403
    assert (
        client.post("/services/web/links", {"kind": "other", "label": "x", "url": "https://x.org"}).status_code == 403
    )
    assert Dependency.objects.count() == 3
