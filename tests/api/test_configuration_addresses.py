import pytest

from accounts.models import Role, Team, User
from catalog.models import Service
from tests.factories import IncidentFactory, MembershipFactory, ServiceFactory, TeamFactory, UserFactory

# --- services -------------------------------------------------------------------------------------------------


def test_a_service_gets_its_slug_from_its_name(api, team):
    answer = api.post("/api/v1/services", {"name": "Card Payments", "team": "shop"})
    assert answer.status_code == 201, answer.data
    assert answer.data["slug"] == "card-payments"
    assert len(answer.data["routing_key"]) == 32
    assert (answer.data["policy"], answer.data["lifecycle"], answer.data["tier"]) == (None, "active", 3)
    again = api.post("/api/v1/services", {"name": "Card payments!", "team": "shop"})
    assert again.data["slug"] == "card-payments-2"


def test_a_name_without_latin_letters_asks_for_a_slug(api, team):
    answer = api.post("/api/v1/services", {"name": "Платежи", "team": "shop"})
    assert answer.status_code == 400
    assert answer.data["errors"][0]["field"] == "slug"
    given = api.post("/api/v1/services", {"name": "Платежи", "team": "shop", "slug": "payments"})
    assert (given.status_code, given.data["slug"]) == (201, "payments")


def test_a_service_is_changed_but_its_routing_key_never(api, service):
    key = service.routing_key
    answer = api.patch("/api/v1/services/checkout", {"tier": 1, "policy": None, "routing_key": "a" * 32})
    assert (answer.status_code, answer.data["tier"], answer.data["policy"]) == (200, 1, None)
    assert answer.data["routing_key"] == key
    answer = api.put("/api/v1/services/checkout", {"name": "Checkout", "team": "shop", "policy": "shop"})
    assert (answer.status_code, answer.data["policy"], answer.data["slug"]) == (200, "shop", "checkout")


def test_a_service_with_incidents_is_archived_not_deleted(api, service):
    IncidentFactory(service=service)
    answer = api.delete("/api/v1/services/checkout")
    assert answer.status_code == 409
    assert answer.data["detail"] == (
        "This service still has incidents, so it stays. Set its lifecycle to archived instead."
    )
    assert api.patch("/api/v1/services/checkout", {"lifecycle": "archived"}).status_code == 200
    assert [one["slug"] for one in api.get("/api/v1/services?lifecycle=archived").data["results"]] == ["checkout"]
    assert api.get("/api/v1/services?lifecycle=active,deprecated").data["results"] == []


def test_a_service_without_history_is_deleted(api, service):
    assert api.delete("/api/v1/services/checkout").status_code == 204
    assert not Service.objects.exists()


def test_services_are_filtered_and_in_the_order_of_their_names(api, service):
    ServiceFactory(name="Accounts")
    names = [one["name"] for one in api.get("/api/v1/services").data["results"]]
    assert names == ["Accounts", "Checkout"]
    for query in ("team=shop", "policy=shop"):
        assert [one["name"] for one in api.get(f"/api/v1/services?{query}").data["results"]] == ["Checkout"]


# --- teams ----------------------------------------------------------------------------------------------------


def test_a_team_is_made_with_its_members(api, bob, charlie):
    members = [{"user": "bob@example.com", "role": "admin"}, {"user": str(charlie.uuid)}]
    answer = api.post("/api/v1/teams", {"name": "Data", "members": members})
    assert answer.status_code == 201
    assert [(one["user"]["name"], one["role"]) for one in answer.data["members"]] == [
        ("Bob", "admin"),
        ("Charlie", "responder"),
    ]


def test_members_are_replaced_as_a_whole_and_kept_when_left_out(api, alice, bob, charlie):
    api.patch("/api/v1/teams/shop", {"description": "Sells things."})
    assert Team.objects.get(slug="shop").members.count() == 2
    answer = api.patch("/api/v1/teams/shop", {"members": [{"user": charlie.email}]})
    assert [one["user"]["name"] for one in answer.data["members"]] == ["Charlie"]


def test_what_was_read_can_be_written_back(api, service, alice, bob):
    for url in ("/api/v1/teams/shop", "/api/v1/policies/shop", "/api/v1/services/checkout"):
        before = api.get(url).data
        answer = api.put(url, before)
        assert (answer.status_code, answer.data) == (200, before), url


def test_naming_a_member_twice_is_400(api, bob):
    answer = api.patch("/api/v1/teams/shop", {"members": [{"user": "bob@example.com"}, {"user": "BOB@example.com"}]})
    assert answer.status_code == 400
    assert "Name each person once." in answer.data["detail"]


def test_an_admin_of_a_team_describes_it_and_renames_it_not(team, client):
    lead = UserFactory(role=Role.OBSERVER)
    MembershipFactory(team=team, user=lead, role=Role.ADMIN)
    client.force_login(lead)
    for body, status in (
        ({"description": "Sells things."}, 200),
        ({"name": team.name, "description": "Sells more."}, 200),
        ({"name": "Other"}, 403),
        ({"slug": "other"}, 403),
    ):
        assert client.patch("/api/v1/teams/shop", body, "application/json").status_code == status, body
    team.refresh_from_db()
    assert (team.name, team.slug, team.description) == ("Shop", "shop", "Sells more.")


def test_a_team_that_owns_services_stays(api, service):
    answer = api.delete("/api/v1/teams/shop")
    assert answer.status_code == 409
    assert "escalation policies" in answer.data["detail"] and "services" in answer.data["detail"]
    TeamFactory(slug="empty")
    assert api.delete("/api/v1/teams/empty").status_code == 204


# --- users ----------------------------------------------------------------------------------------------------


def test_me_is_the_caller_and_nothing_secret_is_shown(calls, bob):
    answer = calls(bob).get("/api/v1/users/me")
    assert answer.data == {
        "uuid": str(bob.uuid),
        "email": "bob@example.com",
        "name": "Bob",
        "role": "responder",
        "time_zone": "UTC",
        "is_active": True,
        "is_machine": False,
    }


def test_an_admin_invites_a_person_who_cannot_sign_in_yet(api):
    new = {"email": "dave@example.com", "name": "Dave", "time_zone": "Europe/Berlin", "is_superuser": True}
    answer = api.post("/api/v1/users", new)
    assert answer.status_code == 201
    dave = User.objects.get(email="dave@example.com")
    assert not dave.has_usable_password() and not dave.is_superuser and not dave.is_staff


def test_an_address_that_differs_in_case_only_is_taken(api, bob):
    answer = api.post("/api/v1/users", {"email": "BOB@example.com"})
    assert (answer.status_code, answer.data["errors"][0]["field"]) == (400, "email")


def test_an_admin_changes_role_name_zone_and_whether_active(api, bob):
    changes = {"role": "observer", "name": "Robert", "time_zone": "Asia/Tokyo", "is_active": False}
    answer = api.patch(f"/api/v1/users/{bob.uuid}", changes)
    assert answer.status_code == 200
    assert changes.items() <= answer.data.items()


def test_a_wrong_time_zone_is_400(api, bob):
    answer = api.patch(f"/api/v1/users/{bob.uuid}", {"time_zone": "Mars/Base"})
    assert answer.status_code == 400
    assert "Use one like Europe/Berlin." in answer.data["detail"]


def test_users_are_filtered(api, alice, bob, charlie):
    UserFactory(is_active=False, email="zoe@example.com")
    for query, wanted in {
        "role=admin": ["alice"],
        "team=shop": ["alice", "bob"],
        "is_active=false": ["zoe"],
        "": ["alice", "bob", "charlie", "zoe"],
    }.items():
        people = api.get(f"/api/v1/users?{query}").data["results"]
        assert [one["email"].split("@")[0] for one in people] == wanted


# --- who may what ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["services", "teams", "users", "schedules", "policies"])
def test_only_an_admin_configures_and_everybody_reads(calls, bob, path):
    assert calls(bob).get(f"/api/v1/{path}").status_code == 200
    answer = calls(bob).post(f"/api/v1/{path}", {})
    assert answer.status_code == 403
    assert answer["Content-Type"] == "application/problem+json"


def test_an_observer_reads_but_does_not_respond(calls, service):
    incident = IncidentFactory(service=service)
    observer = calls(UserFactory(role=Role.OBSERVER))
    assert observer.get("/api/v1/incidents").status_code == 200
    assert observer.post(f"/api/v1/incidents/{incident.number}/acknowledge").status_code == 403
    assert observer.post("/api/v1/escalate", {"incident": incident.number}).status_code == 403


def test_without_a_key_nothing_is_shown(calls, db):
    for path in ("incidents", "alerts", "services", "users/me", "oncall/current", "notifications"):
        assert calls().get(f"/api/v1/{path}").status_code == 401
