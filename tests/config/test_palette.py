import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import Role
from config import palette
from tests import factories


def labels(user, query=""):
    return [one.label for _, entries in palette.found(user, query) for one in entries]


def test_without_words_it_shows_what_is_open_and_every_page(incident_of, service, bob):
    opened = incident_of(service, "Checkout is down")
    found = labels(bob)
    assert found[0] == f"#{opened.pk} Checkout is down"
    assert {"Overview", "My shifts", "Open an incident", "Help"} <= set(found)


def test_an_incident_is_found_by_number_and_by_the_beginning_of_its_words(incident_of, service, bob):
    opened = incident_of(service, "Checkout is down")
    incident_of(service, "Search is slow")
    for query in (str(opened.pk), f"#{opened.pk}", "check down", "CHECKOUT"):
        assert f"#{opened.pk} Checkout is down" in labels(bob, query)
    assert not any("Search is slow" in label for label in labels(bob, "check down"))


@pytest.mark.parametrize("query", ["zz zz", "' & | !", "(((", "a:*", "\x00", "9" * 19, "9" * 40, "²", "#", "%", "\\"])
def test_whatever_is_typed_gets_an_answer(client, bob, query):
    client.force_login(bob)
    assert client.get("/go", {"q": query}).status_code == 200


def test_services_schedules_and_teams_are_found_by_name(service, team, bob):
    factories.ScheduleFactory(name="Shop nights", slug="shop-nights", team=team)
    assert "Checkout" in labels(bob, "checko")
    assert {"Shop nights", "Shop"} <= set(labels(bob, "shop"))


def test_pages_and_actions_are_only_those_one_may_use(bob, alice):
    observer = factories.UserFactory(role=Role.OBSERVER)
    assert "Open an incident" in labels(bob, "open") and "Open an incident" not in labels(observer, "open")
    assert "Audit" in labels(alice, "audit") and "Audit" not in labels(bob, "audit")


def test_people_are_found_by_admins_only(alice, bob):
    assert "Bob" in labels(alice, "bob")
    assert "Bob" not in labels(bob, "bob")


def test_a_private_team_is_hidden_with_all_that_is_its(incident_of, charlie, bob):
    hidden = factories.TeamFactory(name="Secret lab", slug="secret-lab", is_private=True)
    service = factories.ServiceFactory(name="Secret service", slug="secret-service", team=hidden)
    factories.ScheduleFactory(name="Secret nights", slug="secret-nights", team=hidden)
    opened = incident_of(service, "Secret fire")
    for query in ("", "secret", str(opened.pk)):
        assert not any("ecret" in label for label in labels(charlie, query))
    factories.MembershipFactory(team=hidden, user=charlie)
    found = labels(charlie, "secret")
    assert {f"#{opened.pk} Secret fire", "Secret service", "Secret nights", "Secret lab"} <= set(found)


def test_it_asks_as_many_queries_whatever_it_finds(client, incident_of, team, service, bob):
    client.force_login(bob)

    def count(query):
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert client.get("/go", {"q": query}, headers={"x-fragment": "results"}).status_code == 200
        return len(queries)

    count("shop")
    few = count("shop")
    for number in range(8):
        other = factories.ServiceFactory(name=f"Shop {number}", slug=f"shop-{number}", team=team)
        factories.ScheduleFactory(name=f"Shop {number}", slug=f"shop-{number}", team=team)
        incident_of(other, f"Shop {number} is down")
    assert count("shop") == few <= 12


def test_the_part_for_the_dialog_is_no_page(client, incident_of, service, bob):
    incident_of(service, "<b>Bold</b> & loud")
    client.force_login(bob)
    part = client.get("/go", {"q": "loud"}, headers={"x-fragment": "results"}).content.decode()
    assert "<html" not in part and part.lstrip().startswith('<div data-fragment="results">')
    assert "&lt;b&gt;Bold&lt;/b&gt; &amp; loud" in part


def test_without_script_it_is_a_page_with_links(client, service, bob):
    client.force_login(bob)
    page = client.get("/go", {"q": "checkout"}).content.decode()
    assert "<h1>Go to</h1>" in page and "Checkout" in page
    assert "Nothing has these words" in client.get("/go", {"q": "zzzz"}).content.decode()


@pytest.fixture
def incident_of():
    def make(service, title):
        return factories.IncidentFactory(service=service, team=service.team, title=title)

    return make
