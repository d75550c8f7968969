"""Runbooks and other links of a service, on its page and through the API."""

import pytest
from django.test import Client
from rest_framework.test import APIClient

from catalog.models import Link
from tests import factories

URL = "https://wiki.example.com/runbooks/checkout"
TYPED = {"kind": "runbook", "label": "When checkout is slow", "url": URL}


@pytest.fixture
def browser(alice, service):
    client = Client()
    client.force_login(alice)
    return client


@pytest.fixture
def api(alice, service):
    client = APIClient()
    client.force_authenticate(alice)
    return client


def test_a_link_is_added_changed_and_removed_on_the_page(browser):
    page = browser.post("/services/checkout/links", TYPED, follow=True).content.decode()
    assert f'href="{URL}"' in page and "The link “When checkout is slow” is saved." in page
    link = Link.objects.get()
    browser.post(f"/services/checkout/links/{link.pk}", TYPED | {"label": "Slow checkout", "kind": "dashboard"})
    link.refresh_from_db()
    assert (link.label, link.kind) == ("Slow checkout", "dashboard")
    page = browser.post(f"/services/checkout/links/{link.pk}/remove", follow=True).content.decode()
    assert "No runbook yet" in page and not Link.objects.exists()


def test_a_script_gets_the_parts_of_the_page_and_the_message(browser):
    answer = browser.post("/services/checkout/links", TYPED, headers={"X-Fragment": "links,head"}, follow=True)
    assert 'data-fragment="links"' in answer.content.decode() and "<html" not in answer.content.decode()


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "ftp://files.example.com/x", "wiki", "", "data:text/html,x", "https://"]
)
def test_only_addresses_of_the_web_are_links(browser, api, url):
    answer = browser.post("/services/checkout/links", TYPED | {"url": url})
    assert answer.status_code == 400
    assert "Write the whole address, for example https://wiki.example.com" in answer.content.decode()
    assert api.post("/api/v1/services/checkout/links", TYPED | {"url": url}, format="json").status_code == 400
    assert not Link.objects.exists()


def test_what_else_got_into_the_database_is_shown_and_not_linked(browser, service):
    factories.LinkFactory(service=service, label="Planted", url="javascript:alert(1)")
    page = browser.get("/services/checkout").content.decode()
    assert "Planted" in page and 'href="javascript' not in page


def test_a_second_link_to_one_address_is_refused(browser, api, service):
    first = factories.LinkFactory(service=service, url=URL)
    answer = browser.post("/services/checkout/links", TYPED)
    assert answer.status_code == 400
    assert "The service has a link to this address already. Change that one." in answer.content.decode()
    answer = api.post("/api/v1/services/checkout/links", TYPED, format="json")
    assert answer.status_code == 400 and "already" in str(answer.data)
    assert api.patch(f"/api/v1/services/checkout/links/{first.pk}", TYPED, format="json").status_code == 200


def test_runbooks_come_first(browser, service):
    factories.LinkFactory(service=service, kind="chat", label="A chat")
    factories.LinkFactory(service=service, kind="runbook", label="Z runbook")
    page = browser.get("/services/checkout").content.decode()
    assert page.index("Z runbook") < page.index("A chat")


def test_the_links_of_another_service_are_not_reached_by_this_one(browser, api, service):
    theirs = factories.LinkFactory()
    assert browser.post(f"/services/checkout/links/{theirs.pk}/remove").status_code == 404
    assert api.get(f"/api/v1/services/checkout/links/{theirs.pk}").status_code == 404
    assert Link.objects.filter(pk=theirs.pk).exists()


def test_the_api_reads_and_writes_links(api):
    made = api.post("/api/v1/services/checkout/links", TYPED, format="json")
    assert made.status_code == 201 and made.data == {"id": Link.objects.get().pk, **TYPED}
    path = f"/api/v1/services/checkout/links/{made.data['id']}"
    assert api.patch(path, {"label": "Other"}, format="json").data["label"] == "Other"
    assert [one["label"] for one in api.get("/api/v1/services/checkout/links").data["results"]] == ["Other"]
    assert api.delete(path).status_code == 204
    assert api.get("/api/v1/services/nope/links").status_code == 404
