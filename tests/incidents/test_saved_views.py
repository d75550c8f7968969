"""Filters of the list under a name: one's own, and those of a team."""

import pytest
from django.test import Client
from rest_framework.test import APIClient

from accounts.models import Role
from core.errors import DomainError, NotAllowed
from incidents import saved_views
from incidents.models import SavedView
from tests import factories

NOW = factories.NOW


@pytest.fixture
def page(bob):
    client = Client()
    client.force_login(bob)
    return client


@pytest.fixture
def dora(team):
    """A member of Bob's team, who administers nothing."""
    return factories.MembershipFactory(team=team, user__name="Dora").user


@pytest.fixture
def api():
    """A function that gives a client of the API, signed in as somebody."""

    def sign_in(user):
        client = APIClient()
        client.force_authenticate(user)
        return client

    return sign_in


def save(owner, name="Mine", query="severity=critical", **fields):
    return saved_views.save(owner, name=name, query=query, now=NOW, **fields)


def test_filters_are_kept_in_the_one_order_in_which_they_are_compared(bob, service):
    view = save(bob, query="?severity=low&service=checkout&severity=critical&before=7&colour=red")
    assert view.query == "severity=critical&severity=low&service=checkout"


def test_a_view_is_its_owners_or_its_teams(alice, bob, charlie, dora, team):
    own, shared = save(bob, "Own"), save(bob, "Shared", team=team)
    assert set(saved_views.of(bob)) == {own, shared}
    assert set(saved_views.of(dora)) == set(saved_views.of(alice)) == {shared}
    assert set(saved_views.of(charlie)) == set()


def test_only_a_team_of_ones_own_can_be_given_a_view(bob):
    with pytest.raises(NotAllowed, match="a team that you are in"):
        save(bob, team=factories.TeamFactory())


def test_the_owner_and_admins_of_the_team_change_it(dora, bob, team):
    view = save(bob, team=team)
    with pytest.raises(NotAllowed, match="Only Bob and admins of the team"):
        saved_views.change(view, by=dora, now=NOW, name="Hers")
    with pytest.raises(NotAllowed):
        saved_views.remove(view, by=dora)
    lead = factories.UserFactory(role=Role.OBSERVER)
    factories.MembershipFactory(team=team, user=lead, role=Role.ADMIN)
    assert saved_views.change(view, by=lead, now=NOW, name="Of us").name == "Of us"
    saved_views.remove(view, by=bob)
    assert not SavedView.objects.exists()


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": " \0 "}, "Give the view a name"),
        ({"name": "x" * 61}, "longer than 60"),
        ({"query": "state=nonsense"}, "“nonsense” is not a state"),
        ({"query": "service=hidden"}, "There is no service “hidden”"),
        ({"name": "Taken"}, "a view of this name already"),
    ],
)
def test_what_cannot_be_kept_is_a_sentence(bob, fields, said):
    save(bob, "Taken")
    with pytest.raises(DomainError, match=said):
        save(bob, **fields)


def test_nobody_keeps_more_than_fifty(bob):
    for _ in range(50):
        factories.SavedViewFactory(owner=bob)
    with pytest.raises(DomainError, match="You have 50 views"):
        save(bob)


def test_saving_renaming_and_deleting_on_the_page(page, bob, alice, team):
    form = {"name": "Payments at night", "query": "severity=critical", "team": team.pk}
    answer = page.post("/incidents/views", form)
    assert answer.headers["Location"] == "/incidents?severity=critical"
    view = SavedView.objects.get()
    assert (view.owner, view.team) == (bob, team)
    content = page.get("/incidents?severity=critical").content.decode()
    assert "is kept for Shop" in content and 'href="/incidents?severity=critical" aria-current="page"' in content
    assert f"/incidents/views/{view.pk}/delete" in content and "Everybody in Shop loses it." in content
    page.post(f"/incidents/views/{view.pk}/change", {"name": "By night", "team": ""})
    view.refresh_from_db()
    assert (view.name, view.team) == ("By night", None)
    assert b"is deleted" in page.post(f"/incidents/views/{view.pk}/delete", follow=True).content
    assert not SavedView.objects.exists()


def test_the_page_says_what_is_wrong_and_keeps_the_filters(page, db):
    answer = page.post("/incidents/views", {"name": "", "query": "severity=critical"})
    assert answer.headers["Location"] == "/incidents?severity=critical"
    assert b"Give the view a name" in page.get("/incidents").content


@pytest.mark.parametrize("given", ["4711", "x", "\0", "9" * 30])
def test_a_team_that_is_not_there_is_said_and_nothing_is_kept_for_oneself_instead(page, given):
    page.post("/incidents/views", {"name": "Night", "query": "severity=critical", "team": given})
    assert b"This team is not there any more" in page.get("/incidents").content
    assert not SavedView.objects.exists()


def test_what_is_not_ones_own_is_not_there(page, charlie):
    view = factories.SavedViewFactory(owner=charlie)
    assert page.post(f"/incidents/views/{view.pk}/delete").status_code == 404
    assert page.post(f"/incidents/views/{view.pk}/explode").status_code == 404
    assert view.name not in page.get("/incidents").content.decode()


def test_members_who_may_not_change_a_view_see_no_form(dora, bob, team):
    save(bob, "Of the team", team=team)
    client = Client()
    client.force_login(dora)
    content = client.get("/incidents?severity=critical").content.decode()
    assert "Of the team" in content and "/incidents/views/" not in content


# --- the API --------------------------------------------------------------------------------------------------


def test_the_api_makes_lists_changes_and_deletes(api, dora, bob, team):
    his, hers = api(bob), api(dora)
    body = {"name": "Night", "query": "state=all&severity=high", "team": team.slug}
    made = his.post("/api/v1/saved-views", body, format="json")
    assert made.status_code == 201, made.json()
    assert made.json()["query"] == "state=all&severity=high" or made.json()["query"] == "severity=high&state=all"
    address = f"/api/v1/saved-views/{made.json()['id']}"
    assert [one["name"] for one in hers.get("/api/v1/saved-views").json()["results"]] == ["Night"]
    assert hers.patch(address, {"name": "Hers"}, format="json").status_code == 403
    assert hers.delete(address).status_code == 403
    assert his.patch(address, {"team": None}, format="json").json()["team"] is None
    assert hers.get(address).status_code == 404
    assert his.delete(address).status_code == 204


def test_the_api_refuses_with_a_sentence(api, bob):
    save(bob, "Taken")
    for body, said in (
        ({"name": "Taken"}, "a view of this name already"),
        ({"name": "New", "query": "priority=P9"}, "“P9” is not a priority"),
        ({"name": "New", "team": "nowhere"}, "There is no team"),
    ):
        answer = api(bob).post("/api/v1/saved-views", body, format="json")
        assert answer.status_code == 400 and said in str(answer.json())
