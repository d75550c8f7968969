"""Status pages over REST."""

import datetime as dt
import uuid

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from statuspages.models import Component, ComponentGroup, Partner, Post, PostTemplate, Series, StatusPage
from tests import factories

V1 = "/api/v1/status-pages"
SHOP = f"{V1}/shop"


def caller(person):
    api = APIClient()
    api.default_format = "json"
    api.force_authenticate(person)
    return api


@pytest.fixture
def page(team):
    return factories.StatusPageFactory(name="Shop status", slug="shop", team=team, time_zone="Europe/Berlin")


@pytest.fixture
def payments(page, service):
    return factories.ComponentFactory(page=page, name="Payments", services=[service])


@pytest.fixture
def alices(alice):
    return caller(alice)


@pytest.fixture
def bobs(bob):
    return caller(bob)


def soon(hours):
    return f"{timezone.now() + dt.timedelta(hours=hours):%Y-%m-%dT%H:%M:%SZ}"


# --- pages, groups, components ------------------------------------------------------------------------------------


def test_a_page_is_made_read_changed_and_deleted(alices, team):
    made = alices.post(V1, {"name": "Example Shop status", "team": "shop", "audience": "public"})
    assert made.status_code == 201, made.data
    assert made.data["slug"] == "example-shop-status" and made.data["state"] == "operational"
    place = f"{V1}/example-shop-status"
    changed = alices.patch(place, {"time_zone": "Europe/Berlin", "high_state": "major_outage"})
    assert (changed.data["time_zone"], changed.data["high_state"]) == ("Europe/Berlin", "major_outage")
    page = StatusPage.objects.get()
    factories.PostFactory(page=page)
    factories.PostFactory(page=page, stage="resolved", ended_at=timezone.now())
    assert [one["open_posts"] for one in alices.get(f"{V1}?team=shop&audience=public").data["results"]] == [1]
    assert alices.get(f"{V1}?audience=private").data["results"] == []
    assert alices.delete(place).status_code == 204 and not StatusPage.objects.exists()


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"slug": "partner"}, "address of ours"),
        ({"slug": "a b"}, "slug"),
        ({"slug": "shop"}, "slug"),
        ({"name": ""}, "name"),
        ({"name": "日本"}, "slug"),
        ({"time_zone": "Mars/Base"}, "time"),
        ({"accent_colour": "red"}, "colour"),
        ({"website_url": "javascript:alert(1)"}, "website_url"),
        ({"history_days": 9_999_999_999_999}, "history_days"),
        ({"high_state": "broken"}, "high_state"),
        ({"team": "nobody"}, "There is no team"),
        ({"team": 7}, "team"),
    ],
)
def test_a_wrong_page_gets_a_sentence(alices, page, values, word):
    answer = alices.post(V1, {"name": "New one", **values})
    assert answer.status_code == 400 and word in answer.data["detail"], answer.data
    assert StatusPage.objects.count() == 1


def test_a_long_name_gives_a_slug_that_fits(alices):
    made = alices.post(V1, {"name": "x" * 100})
    assert made.status_code == 201 and len(made.data["slug"]) <= 60


def test_groups_and_components_are_kept_and_stay_on_their_page(alices, page, service):
    group = alices.post(f"{SHOP}/groups", {"name": "Money", "position": 2})
    made = alices.post(
        f"{SHOP}/components",
        {"name": "Payments", "group": group.data["id"], "services": ["checkout"], "combines": "all"},
    )
    assert made.status_code == 201, made.data
    place = f"{SHOP}/components/{made.data['id']}"
    assert made.data["services"] == ["checkout"] and str(made.data["group"]) == group.data["id"]
    again = alices.post(f"{SHOP}/components", {"name": "Payments"})
    assert again.status_code == 400 and "Choose another" in again.data["detail"]
    foreign = factories.ComponentGroupFactory()
    for bad in (str(foreign.uuid), str(uuid.uuid4()), "x", 7, {}):
        answer = alices.patch(place, {"group": bad})
        assert answer.status_code == 400, bad
    assert alices.patch(place, {"group": None, "services": []}).data["services"] == []
    other = factories.ComponentFactory()
    assert alices.get(f"{SHOP}/components/{other.uuid}").status_code == 404
    assert alices.delete(f"{SHOP}/groups/{group.data['id']}").status_code == 204
    assert alices.delete(place).status_code == 204
    assert not Component.objects.filter(page=page).exists() and ComponentGroup.objects.get() == foreign


def test_responders_set_states_and_only_admins_configure(bobs, payments, page):
    place = f"{SHOP}/components/{payments.uuid}"
    assert bobs.patch(place, {"name": "New"}).status_code == 403
    assert bobs.post(f"{SHOP}/components", {"name": "New"}).status_code == 403
    until = soon(3)
    shown = bobs.put(f"{place}/state", {"state": "major_outage", "until": until, "reason": "Bank"})
    assert shown.status_code == 200, shown.data
    assert (shown.data["manual_state"], shown.data["manual_until"]) == ("major_outage", until)
    assert shown.data["manual_by"]["name"] == "Bob"
    assert bobs.put(f"{place}/state", {"state": "broken"}).status_code == 400
    assert bobs.put(f"{place}/state", {"state": "major_outage", "until": soon(-3)}).status_code == 400
    assert bobs.delete(f"{place}/state").data["manual_state"] == ""
    assert bobs.delete(f"{place}/state").status_code == 200


# --- posts --------------------------------------------------------------------------------------------------------


def test_a_post_goes_from_its_first_word_to_its_last(bobs, page, payments, service):
    incident = factories.IncidentFactory(service=service)
    component = {"id": str(payments.uuid), "state": "partial_outage"}
    made = bobs.post(
        f"{SHOP}/posts",
        {"title": "Payments fail", "body": "We look.", "components": [component], "incident": incident.pk},
    )
    assert made.status_code == 201, made.data
    assert (made.data["stage"], made.data["impact"], made.data["incident"]) == ("investigating", "major", incident.pk)
    place = f"{SHOP}/posts/{made.data['id']}"
    said = bobs.post(
        f"{place}/updates",
        {"stage": "identified", "body": "The bank.", "components": [{"id": str(payments.uuid), "state": None}]},
    )
    assert said.status_code == 201 and said.data["components"] == [], said.data
    first = said.data["updates"][1]
    assert bobs.patch(f"{place}/updates/{first['id']}", {"body": "We looked."}).status_code == 200
    assert bobs.patch(place, {"title": "Payments failed"}).data["title"] == "Payments failed"
    done = bobs.post(f"{place}/updates", {"stage": "resolved", "is_told": False})
    assert done.data["ended_at"] and [one["stage"] for one in done.data["updates"]] == [
        "resolved",
        "identified",
        "investigating",
    ]
    assert bobs.get(f"{SHOP}/posts?is_open=true").data["results"] == []
    assert len(bobs.get(f"{SHOP}/posts?kind=incident&stage=resolved").data["results"]) == 1
    assert bobs.delete(place).status_code == 204 and not Post.objects.exists()


def test_the_same_key_posts_once(bobs, page):
    key = {"Idempotency-Key": str(uuid.uuid4())}
    one, two = (bobs.post(f"{SHOP}/posts", {"title": "Down", "body": "x"}, headers=key) for _ in range(2))
    assert one.data["id"] == two.data["id"] and Post.objects.count() == 1


def test_maintenance_is_planned_and_shortened(bobs, page, payments):
    given = {
        "kind": "maintenance",
        "title": "Upgrade",
        "body": "Read-only.",
        "starts_at": soon(24),
        "ends_at": soon(26),
        "components": [{"id": str(payments.uuid)}],
    }
    made = bobs.post(f"{SHOP}/posts", given)
    assert made.status_code == 201, made.data
    assert made.data["stage"] == "scheduled" and made.data["components"][0]["name"] == "Payments"
    changed = bobs.patch(f"{SHOP}/posts/{made.data['id']}", {"ends_at": soon(25)})
    assert changed.status_code == 200 and changed.data["ends_at"] < made.data["ends_at"]
    for wrong in ({"starts_at": soon(30)}, {"stage": "resolved"}, {"ends_at": None}, {"impact": "minor"}):
        assert bobs.post(f"{SHOP}/posts", {**given, **wrong}).status_code == 400, wrong
    assert Post.objects.count() == 1


@pytest.mark.parametrize(
    "values",
    [
        {"title": ""},
        {"title": "x" * 201},
        {"body": ""},
        {"body": 7, "title": []},
        {"kind": "party"},
        {"stage": "completed"},
        {"impact": "huge"},
        {"incident": 10**30},
        {"incident": 4242},
        {"incident": "x"},
        {"components": "all"},
        {"components": [{"id": "x"}]},
        {"components": [{"id": str(uuid.uuid4())}]},
        {"components": [{}]},
        {"starts_at": "9999-01-01T00:00:00Z"},
        {"starts_at": soon(9)},
        {"ends_at": soon(9)},
    ],
)
def test_a_wrong_post_is_a_problem_with_a_sentence(bobs, page, values):
    answer = bobs.post(f"{SHOP}/posts", {"title": "Down", "body": "x", **values})
    assert answer.status_code == 400 and answer["Content-Type"] == "application/problem+json", answer.data
    assert answer.data["detail"] and not Post.objects.exists()


def test_a_post_of_another_page_is_not_there(bobs, page):
    other = factories.PostUpdateFactory()
    for path in (f"posts/{other.post.uuid}", f"posts/{uuid.uuid4()}"):
        assert bobs.get(f"{SHOP}/{path}").status_code == 404
        assert bobs.post(f"{SHOP}/{path}/updates", {"body": "x"}).status_code == 404
    own = factories.PostFactory(page=page)
    assert bobs.patch(f"{SHOP}/posts/{own.uuid}/updates/{other.uuid}", {"body": "x"}).status_code == 404
    foreign = factories.ComponentFactory()
    answer = bobs.post(f"{SHOP}/posts/{own.uuid}/updates", {"components": [{"id": str(foreign.uuid)}]})
    assert answer.status_code == 400 and "The page has no component" in answer.data["detail"]
    assert bobs.get(f"{V1}/nobody/posts").status_code == 404


def test_the_number_of_an_incident_is_shown_only_to_who_may_see_it(charlie, alice, page):
    hidden = factories.IncidentFactory(service__team__is_private=True)
    post = factories.PostFactory(page=page, incident=hidden)
    assert caller(alice).get(f"{SHOP}/posts/{post.uuid}").data["incident"] == hidden.pk
    assert caller(charlie).get(f"{SHOP}/posts/{post.uuid}").data["incident"] is None
    answer = caller(charlie).post(f"{SHOP}/posts", {"title": "Down", "body": "x", "incident": hidden.pk})
    assert answer.status_code == 400 and f"There is no incident #{hidden.pk}" in answer.data["detail"]


def test_who_only_sees_some_services_is_told_of_these_only(charlie, page, payments):
    payments.services.add(factories.ServiceFactory(slug="vault", team__is_private=True))
    assert caller(charlie).get(f"{SHOP}/components").data["results"][0]["services"] == ["checkout"]


def test_lists_cost_the_same_with_one_row_and_with_ten(alices, page, service, django_assert_max_num_queries):
    def grow():
        component = factories.ComponentFactory(page=page, services=[service], manual_by=factories.UserFactory())
        incident = factories.IncidentFactory(service=service)
        series = factories.SeriesFactory(page=page, components=[component])
        post = factories.PostFactory(page=page, incident=incident, series=series)
        factories.AffectedFactory(post=post, component=component)
        factories.PostUpdateFactory(post=post)
        factories.SubscriberFactory(page=page, components=[component])
        factories.PartnerFactory(pages=[page, factories.StatusPageFactory()])

    places = [V1, *(f"{SHOP}/{name}" for name in ("components", "posts", "series", "subscribers", "templates"))]
    for _ in range(10):
        grow()
    for place in [*places, "/api/v1/partners"]:
        with django_assert_max_num_queries(10):
            assert alices.get(place).status_code == 200


# --- series and templates -----------------------------------------------------------------------------------------


def test_recurring_maintenance_is_kept_by_responders(bobs, page, payments):
    given = {
        "title": "Weekly work",
        "body": "Short breaks.",
        "starts_at": "2026-01-04T02:00:00Z",
        "ends_at": "2026-01-04T03:00:00Z",
        "rrule": "FREQ=WEEKLY",
        "components": [str(payments.uuid)],
    }
    made = bobs.post(f"{SHOP}/series", given)
    assert made.status_code == 201, made.data
    assert made.data["time_zone"] == "Europe/Berlin" and len(made.data["coming"]) == 3
    place = f"{SHOP}/series/{made.data['id']}"
    changed = bobs.patch(place, {"announced_days": 3})
    assert changed.data["announced_days"] == 3 and changed.data["components"] == [str(payments.uuid)]
    for wrong in (
        {"rrule": "FREQ=NEVER"},
        {"rrule": ""},
        {"time_zone": "Mars/Base"},
        {"ends_at": "2026-01-04T01:00:00Z"},
        {"announced_days": 10**12},
        {"components": [str(uuid.uuid4())]},
        {"title": " "},
    ):
        answer = bobs.patch(place, wrong)
        assert answer.status_code == 400 and answer.data["detail"], wrong
    assert bobs.delete(place).status_code == 204 and not Series.objects.exists()


def test_templates_of_the_page_are_its_admins_and_those_of_all_pages_the_platforms(alices, page, team):
    lead = factories.UserFactory(role="observer")
    factories.MembershipFactory(team=team, user=lead, role="admin")
    everywhere = factories.PostTemplateFactory(name="For all")
    leads = caller(lead)
    made = leads.post(f"{SHOP}/templates", {"name": "Bank", "body": "The bank is slow.", "stage": "identified"})
    assert made.status_code == 201 and made.data["is_everywhere"] is False, made.data
    wrong = leads.post(f"{SHOP}/templates", {"name": "Bank", "body": "x", "stage": "completed"})
    assert wrong.status_code == 400 and "has one of investigating" in wrong.data["detail"]
    assert leads.patch(f"{SHOP}/templates/{everywhere.uuid}", {"name": "Mine"}).status_code == 403
    assert alices.patch(f"{SHOP}/templates/{everywhere.uuid}", {"name": "Ours"}).status_code == 200
    assert {one["name"] for one in leads.get(f"{SHOP}/templates").data["results"]} == {"Bank", "Ours"}
    assert leads.delete(f"{SHOP}/templates/{made.data['id']}").status_code == 204
    assert PostTemplate.objects.get() == everywhere


# --- subscribers and partners -------------------------------------------------------------------------------------


def test_subscribers_are_asked_listed_masked_and_ended(alices, bobs, page):
    StatusPage.objects.filter(pk=page.pk).update(audience="public")
    one = factories.SubscriberFactory(page=page)
    shown = bobs.get(f"{SHOP}/subscribers").data["results"]
    assert [row["id"] for row in shown] == [str(one.uuid)] and shown[0]["address"] == one.destination.shown
    assert one.destination.address not in str(shown)
    new = {"channel": "email", "address": "new@elsewhere.example"}
    assert bobs.post(f"{SHOP}/subscribers", new).status_code == 403
    assert alices.post(f"{SHOP}/subscribers", new).status_code == 202
    assert alices.post(f"{SHOP}/subscribers", {**new, "address": "nobody"}).status_code == 400
    assert alices.post(f"{SHOP}/subscribers", {**new, "channel": "pigeon"}).status_code == 400
    waiting = page.subscribers.exclude(pk=one.pk).get()
    assert waiting.confirmed_at is None
    assert bobs.delete(f"{SHOP}/subscribers/{one.uuid}").status_code == 403
    assert alices.delete(f"{SHOP}/subscribers/{one.uuid}").status_code == 204
    one.refresh_from_db()
    assert one.ended_at


def test_partners_are_made_invited_and_signed_out(alices):
    factories.StatusPageFactory(slug="trade", audience="partners")
    made = alices.post("/api/v1/partners", {"name": "Dora", "email": "dora@elsewhere.example", "pages": ["trade"]})
    assert made.status_code == 201 and made.data["pages"] == ["trade"], made.data
    place = f"/api/v1/partners/{made.data['id']}"
    again = alices.post("/api/v1/partners", {"name": "D", "email": "DORA@elsewhere.example", "pages": ["trade"]})
    assert again.status_code == 400 and "this address already" in again.data["detail"]
    assert alices.post("/api/v1/partners", {"name": "D", "email": "d@x.example", "pages": []}).status_code == 400
    assert alices.post(f"{place}/send-link").status_code == 202
    now = timezone.now()
    session = factories.PartnerSessionFactory(
        partner=Partner.objects.get(), created_at=now, seen_at=now, expires_at=now + dt.timedelta(days=1)
    )
    assert [one["id"] for one in alices.get(f"{place}/sessions").data] == [str(session.uuid)]
    assert alices.post(f"{place}/sessions/{session.uuid}/revoke").data == []
    assert alices.post(f"{place}/sessions/{session.uuid}/revoke").status_code == 409
    assert alices.post(f"{place}/sessions/{uuid.uuid4()}/revoke").status_code == 404
    assert alices.patch(place, {"is_enabled": False}).data["is_enabled"] is False
    assert alices.post(f"{place}/send-link").status_code == 409
    assert alices.delete(place).status_code == 204 and not Partner.objects.exists()


def test_nobody_makes_themselves_a_partner_of_a_page_that_is_not_theirs(page, team):
    lead = factories.UserFactory(role="observer")
    factories.MembershipFactory(team=team, user=lead, role="admin")
    leads, other = caller(lead), factories.StatusPageFactory(slug="other", team=factories.TeamFactory())
    given = {"name": "D", "email": "d@x.example", "pages": ["shop"]}
    made = leads.post("/api/v1/partners", given)
    assert made.status_code == 201, made.data
    both = {**given, "email": "e@x.example", "pages": ["shop", "other"]}
    assert leads.post("/api/v1/partners", both).status_code == 403
    assert leads.patch(f"/api/v1/partners/{made.data['id']}", {"pages": ["shop", "other"]}).status_code == 403
    shared = factories.PartnerFactory(pages=[page, other])
    # With another address the page of the other team would open for them.
    assert leads.patch(f"/api/v1/partners/{shared.uuid}", {"email": "me@x.example"}).status_code == 404
    assert leads.post(f"/api/v1/partners/{shared.uuid}/send-link").status_code == 404
    assert [one["id"] for one in leads.get("/api/v1/partners").data["results"]] == [made.data["id"]]
    assert Partner.objects.count() == 2 and set(shared.pages.all()) == {page, other}


def test_a_partner_of_a_page_of_no_team_is_the_platforms(page, team):
    lead = factories.UserFactory(role="observer")
    factories.MembershipFactory(team=team, user=lead, role="admin")
    shared = factories.PartnerFactory(pages=[page, factories.StatusPageFactory(team=None)])
    leads = caller(lead)
    assert leads.get("/api/v1/partners").data["results"] == []
    assert leads.patch(f"/api/v1/partners/{shared.uuid}", {"email": "me@x.example"}).status_code == 404


@pytest.mark.parametrize("change", [{"email": "Somebody@elsewhere.example"}, {"is_enabled": False}])
def test_another_mailbox_and_disabling_end_the_sessions_of_a_partner(alices, page, change):
    partner = factories.PartnerFactory(pages=[page], email="dora@elsewhere.example")
    session = factories.PartnerSessionFactory(partner=partner)
    place = f"/api/v1/partners/{partner.uuid}"
    assert alices.patch(place, {"company": "Trade"}).status_code == 200
    session.refresh_from_db()
    assert session.revoked_at is None
    changed = alices.patch(place, change)
    assert changed.status_code == 200 and changed.data["email"] == changed.data["email"].lower()
    session.refresh_from_db()
    assert session.revoked_at


def test_a_key_needs_the_scope(alice, page):
    for scope, reads, writes in (("config:write", 403, 403), ("status:read", 200, 403), ("status:write", 200, 201)):
        headers = {"X-API-Key": factories.ApiKeyFactory(user=alice, scopes=[scope]).text}
        api = APIClient()
        assert api.get(f"{SHOP}/posts", headers=headers).status_code == reads
        new = {"title": "Down", "body": "x"}
        assert api.post(f"{SHOP}/posts", new, format="json", headers=headers).status_code == writes
