"""Who may read which page. For everybody else a page that is there is like one that is not."""

import pytest
from django.utils import timezone

from accounts.models import Role
from statuspages import copying, partners
from statuspages.models import Audience, StatusPage, Visit
from tests import factories

FILES = ("", "/history", "/history.atom", "/api/v2/summary.json", "/badge.svg", "/status.css", "/logo")


@pytest.fixture
def pages(db, now):
    """One of each audience."""
    found = {}
    for audience in Audience.values:
        page = factories.StatusPageFactory(slug=audience, name=f"Page {audience}", audience=audience)
        factories.LogoFactory(page=page)
        copying.refresh(page.pk, now=now)
        found[audience] = page
    return found


@pytest.fixture
def partner(pages, client):
    """Signs a browser in as a partner of the partners' page."""
    row = factories.PartnerFactory(pages=[pages["partners"]])
    factories.PartnerSessionFactory(partner=row, key="their-key", created_at=timezone.now())
    client.cookies[partners.COOKIE] = "their-key"
    return row


def answers(client, slug):
    return {file: client.get(f"/status/{slug}{file}").status_code for file in FILES}


def test_everybody_reads_a_public_page(client, pages):
    assert set(answers(client, "public").values()) == {200}


def test_a_stranger_finds_no_hint_of_other_pages(client, pages):
    for slug in ("private", "partners"):
        for file in FILES:
            there = client.get(f"/status/{slug}{file}")
            none = client.get(f"/status/{'x' * len(slug)}{file}")
            assert there.status_code == none.status_code == 404, slug + file
            assert there.content.replace(slug.encode(), b"") == none.content.replace(b"x" * len(slug), b"")
            assert there.headers.keys() == none.headers.keys()
    listed = client.get("/status").content.decode()
    assert "Page public" in listed and "Page private" not in listed and "Page partners" not in listed


def test_people_with_an_account_read_them_and_nothing_is_kept_by_caches(client, pages, charlie):
    client.force_login(charlie)
    for slug in pages:
        assert set(answers(client, slug).values()) == {200}
    assert client.get("/status/private").headers["Cache-Control"] == "no-store"
    assert "Page private" in client.get("/status").content.decode()


def test_a_page_of_a_private_team_is_for_its_members(client, pages, bob, charlie):
    team = factories.TeamFactory(is_private=True)
    factories.MembershipFactory(user=bob, team=team, role=Role.RESPONDER)
    StatusPage.objects.filter(slug="private").update(team=team)
    client.force_login(bob)
    assert client.get("/status/private").status_code == 200
    client.force_login(charlie)
    assert client.get("/status/private").status_code == 404
    assert "Page private" not in client.get("/status").content.decode()


def test_a_partner_reads_the_pages_given_to_them_and_each_visit_is_noted(client, pages, partner):
    other = factories.StatusPageFactory(slug="others", audience=Audience.PARTNERS)
    factories.CopyFactory(page=other)
    assert set(answers(client, "partners").values()) == {200}
    assert set(answers(client, "private").values()) == set(answers(client, "others").values()) == {404}
    whats = set(Visit.objects.filter(partner=partner, page=pages["partners"]).values_list("what", flat=True))
    assert whats == {"/status/partners", "/status/partners/history"}
    listed = client.get("/status").content.decode()
    assert "Page partners" in listed and "Page public" in listed and "Page private" not in listed


def test_a_partner_whose_page_becomes_private_reads_it_no_more(client, pages, partner):
    StatusPage.objects.filter(slug="partners").update(audience=Audience.PRIVATE)
    assert set(answers(client, "partners").values()) == {404}


def test_a_page_that_is_switched_off_is_not_there_for_anybody(client, pages, alice, partner):
    StatusPage.objects.update(is_enabled=False)
    client.force_login(alice)
    for slug in pages:
        assert set(answers(client, slug).values()) == {404}
    assert "Page public" not in client.get("/status").content.decode()


def test_a_page_says_what_may_run_on_it_and_is_not_sent_twice(client, pages, charlie):
    client.force_login(charlie)
    answer = client.get("/status/private")
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'self'")
    again = client.get("/status/private", headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304


@pytest.mark.parametrize(
    "path",
    ["incidents/x", "incidents/00000000-0000-4000-8000-000000000001", "api/v2/none.json", "../x", "badge.xx.svg"],
)
def test_what_is_no_file_of_a_page_is_not_found(client, pages, path):
    assert client.get(f"/status/public/{path}").status_code == 404


def test_nothing_can_be_posted_to_a_page(client, pages):
    for path in ("/status", "/status/public", "/status/public/history"):
        assert client.post(path).status_code == 405
