"""More than asked for: fields that give power, sent along with a form or a body that one may send."""

import json

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts import invitations, keys
from accounts.models import ApiKey, Membership, Role, Team, User
from alerts.models import Integration
from core import limits
from tests import factories
from tests.accounts.conftest import link_in
from tests.accounts.test_single_sign_on import corp, running, sign_in  # noqa: F401
from tests.admin.conftest import Fields

pytestmark = pytest.mark.django_db
# What somebody writes into a request who has read our models.
POWER = {
    "id": 1,
    "pk": 1,
    "uuid": "00000000-0000-4000-8000-000000000001",
    "email": "root@example.com",
    "role": "admin",
    "is_staff": True,
    "is_superuser": True,
    "is_active": False,
    "is_break_glass": True,
    "is_machine": True,
    "is_personal": False,
    "is_from_group": True,
    "erased_at": "2026-01-01T00:00:00Z",
    "password": "argon2$known",
    "last_login": None,
    "date_joined": "2020-01-01T00:00:00Z",
    "user": 1,
    "owner": 1,
    "team": 1,
    "team_id": 1,
    "user_id": 1,
    "members": [],
    "memberships": [],
    "groups": [1],
    "user_permissions": [1],
    "scopes": ["*:write"],
    "prefix": "0" * 12,
    "secret_hash": "0" * 64,
    "key_hash": "0" * 64,
    "verified_at": "2026-01-01T00:00:00Z",
    "acts_as": "alice@example.com",
    "state": "valid",
}
RIGHTS = ("role", "is_staff", "is_superuser", "is_active", "is_break_glass", "is_machine", "erased_at", "password")


def rights(person):
    """What a person is and may do, as stored."""
    return {
        **User.objects.values("id", "uuid", "email", "date_joined", *RIGHTS).get(pk=person.pk),
        "teams": sorted(Membership.objects.filter(user=person).values_list("team", "role", "is_from_group")),
        "groups": (person.groups.count(), person.user_permissions.count()),
    }


@pytest.fixture
def lead(team):
    """An admin of the team Shop, observer elsewhere."""
    person = factories.UserFactory(name="Lena", email="lena@example.com", role=Role.OBSERVER)
    factories.MembershipFactory(team=team, user=person, role=Role.ADMIN)
    return person


def signed_in(person):
    client = Client()
    client.force_login(person)
    return client


# --- pages ----------------------------------------------------------------------------------------------------
def test_a_profile_is_a_name_and_a_time_zone(bob):
    before = rights(bob)
    form = {f"profile-{name}": value for name, value in POWER.items() if value is not None}
    plain = {name: value for name, value in POWER.items() if value is not None}
    typed = {"name": "Bobby", "time_zone": "Europe/Berlin"}
    typed |= {f"profile-{name}": value for name, value in typed.items()}
    assert signed_in(bob).post("/settings/profile", {**plain, **form, **typed}).status_code == 302
    assert rights(bob) == before
    bob.refresh_from_db()
    assert bob.name == "Bobby"


def test_an_address_of_ones_own_is_neither_verified_nor_anothers_by_saying_so(bob, alice):
    factories.ContactMethodFactory(user=bob, channel="email", address="spare@example.com")
    form = {**{k: v for k, v in POWER.items() if v is not None}, "user": alice.pk, "address": "bob2@example.com"}
    answer = signed_in(bob).post("/settings/contacts/new/email", form)
    assert answer.status_code == 302
    made = bob.contact_methods.order_by("-pk").first()
    assert made.address == "bob2@example.com" and made.verified_at is None
    assert not any(one.address == "bob2@example.com" for one in alice.contact_methods.all())


def test_accepting_an_invitation_gives_what_was_offered_and_no_more(alice, team, sent):
    person = invitations.invite(
        "nora@example.com", by=alice, now=timezone.now(), role=Role.OBSERVER, team=team, team_role=Role.RESPONDER
    )
    link = link_in(sent()[-1])
    before = rights(person)
    typed = {"name": "Nora", "time_zone": "UTC", "password": "wet-otters-sing", "again": "wet-otters-sing"}
    extra = {name: value for name, value in POWER.items() if name != "password" and value is not None}
    assert Client().post(link, {**extra, **typed}).status_code == 302
    after = rights(person)
    assert after.pop("password") != before.pop("password")
    assert after == before


def test_a_sign_in_with_fields_of_power_is_a_sign_in(client, db):
    person = factories.UserFactory(email="dora@example.com", password="long and winding", role=Role.OBSERVER)
    before = rights(person)
    form = {name: value for name, value in POWER.items() if value is not None}
    client.post("/login", {**form, "username": "dora@example.com", "password": "long and winding"})
    assert client.session["_auth_user_id"] == str(person.pk)
    assert rights(person) == before


def test_what_a_provider_claims_beside_groups_gives_nothing(client, corp, settings):  # noqa: F811
    settings.OIDC_CREATE_ACCOUNTS = True
    power = {name: value for name, value in POWER.items() if name not in ("email", "groups")}
    corp.says(email="mallory@example.com", email_verified=True, groups=["admin", "admins", "root"], **power)
    sign_in(client, corp)
    person = User.objects.get(email="mallory@example.com")
    assert client.session["_auth_user_id"] == str(person.pk)
    found = rights(person)
    assert (found["role"], found["is_staff"], found["is_superuser"], found["is_active"]) == (
        "observer",
        False,
        False,
        True,
    )
    assert (found["is_break_glass"], found["is_machine"], found["teams"], found["groups"]) == (
        False,
        False,
        [],
        (0, 0),
    )


def test_a_provider_signs_nobody_in_as_a_machine(client, corp):  # noqa: F811
    factories.UserFactory(email="key-1@machine.invalid", is_machine=True, role=Role.ADMIN)
    corp.says(email="key-1@machine.invalid", email_verified=True)
    sign_in(client, corp)
    assert "_auth_user_id" not in client.session


# --- the API --------------------------------------------------------------------------------------------------
WAYS = ["patch", "put", "post", "delete"]


@pytest.mark.parametrize("who", ["bob", "lead"])
@pytest.mark.parametrize("path", ["users/me", "users/{uuid}", "users"])
def test_nobody_but_an_admin_changes_people(request, who, path, team):
    person = request.getfixturevalue(who)
    before, people = rights(person), User.objects.count()
    client = signed_in(person)
    for way in WAYS:
        limits.forget()
        body = {**POWER, "email": "new@example.com", "name": "New"}
        answer = getattr(client, way)(
            f"/api/v1/{path.format(uuid=person.uuid)}", body, content_type="application/json"
        )
        assert answer.status_code in (400, 403, 404, 405), (way, answer.status_code)
    assert rights(person) == before and User.objects.count() == people


def test_what_an_admin_may_not_write_of_a_person_is_refused_or_left_alone(alice, bob):
    before = rights(bob)
    for name in set(POWER) - {"role", "is_active", "email"}:
        limits.forget()
        signed_in(alice).patch(f"/api/v1/users/{bob.uuid}", {name: POWER[name]}, content_type="application/json")
        assert rights(bob) == before, name


@pytest.mark.parametrize("who", ["bob", "charlie"])
def test_who_does_not_lead_a_team_gives_nobody_a_place_in_it(request, who, team):
    person = request.getfixturevalue(who)
    before = sorted(Membership.objects.values_list("team", "user", "role"))
    member = [{"user": person.email, "role": "admin"}]
    client = signed_in(person)
    for way, path, body in (
        ("patch", f"teams/{team.slug}", {"members": member}),
        ("put", f"teams/{team.slug}", {"name": "Mine", "members": member}),
        ("post", "teams", {"name": "Mine", "slug": "mine", "members": member}),
    ):
        limits.forget()
        answer = getattr(client, way)(f"/api/v1/{path}", body, content_type="application/json")
        assert answer.status_code == 403, (way, answer.status_code)
    assert sorted(Membership.objects.values_list("team", "user", "role")) == before
    assert not Team.objects.filter(name="Mine").exists()


def test_an_admin_of_a_team_makes_nobody_an_admin_of_the_platform(lead, bob, team):
    before = rights(bob), rights(lead)["role"]
    nested = {"uuid": str(bob.uuid), "email": bob.email, "role": "admin", "is_staff": True, "is_superuser": True}
    members = [{"user": nested, "role": "responder", **POWER | {"user": nested, "role": "responder"}}]
    members += [{"user": lead.email, "role": "admin"}]
    answer = signed_in(lead).patch(
        f"/api/v1/teams/{team.slug}", {"members": members, **{"role": "admin"}}, content_type="application/json"
    )
    assert answer.status_code in (200, 400)
    assert (rights(bob), rights(lead)["role"]) == before


def test_a_token_has_no_fields_but_its_own(bob, alice, team):
    client = signed_in(bob)
    form = {name: value for name, value in POWER.items() if value is not None}
    client.post(
        "/settings/tokens", {**form, "name": "mine", "scopes": ["alerts:write"], "expires": "month", "team": ""}
    )
    answer = client.post("/api/v1/api-keys", {**POWER, "name": "mine"}, content_type="application/json")
    assert answer.status_code in (400, 403)
    for key in ApiKey.objects.all():
        assert key.user == bob and key.is_personal and key.prefix != POWER["prefix"]
        assert key.secret_hash != POWER["secret_hash"] and key.revoked_at is None


def test_an_admin_of_a_team_makes_keys_of_that_team_only(lead, team):
    client = signed_in(lead)
    for body in (
        {"name": "x", "scopes": ["*:write"], "role": "admin"},
        {"name": "x", "scopes": ["*:write"], "role": "admin", "team": None},
    ):
        assert client.post("/api/v1/api-keys", body, content_type="application/json").status_code == 403
    body = {**POWER, "name": "x", "scopes": ["people:write"], "role": "admin", "team": team.slug, "expires_at": None}
    answer = client.post("/api/v1/api-keys", body, content_type="application/json")
    assert answer.status_code == 201, answer.content
    key = ApiKey.objects.get()
    assert key.user.is_machine and key.team == team and not key.is_personal
    assert key.user.role == "admin" and not key.user.is_staff and not key.user.is_superuser
    # That admin is one within the team only: it makes nobody anything elsewhere.
    headers = {"Authorization": f"Bearer {answer.json()['key']}"}
    before = rights(lead)
    made = Client().patch(
        f"/api/v1/users/{lead.uuid}", {"role": "admin"}, content_type="application/json", headers=headers
    )
    assert made.status_code in (403, 404) and rights(lead) == before


# Lists of the API that make something: what is in the body beside what they ask for.
@pytest.mark.parametrize(
    "path", ["silences", "incidents", "time-off", "calendar-feeds", "schedules/{schedule}/overrides"]
)
def test_what_is_made_is_by_who_made_it(path, bob, alice, service, team):
    schedule = factories.ScheduleFactory(team=team, people=[bob])
    bodies = {
        "silences": {"service": service.slug, "reason": "Disk", "ends_at": "2030-01-01T00:00:00Z"},
        "incidents": {"service": service.slug, "title": "Down", "severity": "low"},
        "time-off": {"start_at": "2030-01-01T00:00:00Z", "end_at": "2030-01-02T00:00:00Z"},
        "calendar-feeds": {},
        "schedules/{schedule}/overrides": {
            "user": bob.email,
            "start_at": "2030-01-01T00:00:00Z",
            "end_at": "2030-01-02T00:00:00Z",
        },
    }
    forged = {
        "created_by": alice.email,
        "by": alice.email,
        "owner": alice.email,
        "secret_hash": "0" * 64,
        "uuid": POWER["uuid"],
        "number": 999_999,
        "status": "closed",
        "assignee": alice.email,
        "acknowledged_by": alice.email,
        "resolved_by": alice.email,
    }
    answer = signed_in(bob).post(
        f"/api/v1/{path.format(schedule=schedule.slug)}", {**forged, **bodies[path]}, content_type="application/json"
    )
    assert answer.status_code in (201, 400), answer.content
    if answer.status_code == 201:
        text = json.dumps(answer.json())
        assert "alice@example.com" not in text and POWER["uuid"] not in text and "999999" not in text
        assert answer.json().get("status") != "closed"


# --- the admin ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "address",
    ["accounts_user_add", "accounts_user_change", "accounts_team_add", "accounts_groupmapping_add"],
)
def test_an_admin_of_a_team_has_no_form_that_makes_admins(lead, address):
    arguments = [lead.pk] if address.endswith("change") else []
    before, people = rights(lead), User.objects.count()
    form = {**{k: v for k, v in POWER.items() if v is not None}, "name": "x", "group": "x", "_save": "Save"}
    answer = signed_in(lead).post(reverse(f"admin:{address}", args=arguments), form)
    assert answer.status_code in (302, 403, 404)
    assert rights(lead) == before and User.objects.count() == people
    assert not Team.objects.filter(name="x").exists()


def test_the_form_of_a_team_takes_no_other_fields(lead, team, bob):
    url = reverse("admin:accounts_team_change", args=[team.pk])
    client = signed_in(lead)
    page = client.get(url)
    assert page.status_code == 200
    found = Fields("team")
    found.feed(page.content.decode())
    before = rights(bob)
    power = {name: value for name, value in POWER.items() if value is not None and name not in found.data}
    inline = {
        f"memberships-0-{name}": value for name, value in power.items() if f"memberships-0-{name}" not in found.data
    }
    answer = client.post(url, {**found.data, **power, **inline, "user-role": "admin"})
    assert answer.status_code in (200, 302)
    assert rights(bob) == before and rights(lead)["role"] == "observer"
    assert not Membership.objects.filter(is_from_group=True).exists()


def test_the_key_of_an_integration_cannot_be_chosen(alice, service):
    body = {
        "name": "Mine",
        "source": "generic",
        "service": service.slug,
        "key_hash": "0" * 64,
        "key": "known-key-known-key",
        "key_prefix": "known",
        "uuid": POWER["uuid"],
    }
    answer = signed_in(alice).post("/api/v1/integrations", body, content_type="application/json")
    assert answer.status_code in (201, 400)
    if answer.status_code == 201:
        made = Integration.objects.get()
        assert str(made.uuid) != POWER["uuid"] and made.key_hash != "0" * 64
        assert "known" not in json.dumps(answer.json())


def test_a_token_of_ones_own_writes_no_more_than_its_person(bob):
    _, text = keys.issue_key(bob, name="mine", scopes=["*:write"], is_personal=True)
    headers = {"Authorization": f"Bearer {text}"}
    answer = Client().patch(
        f"/api/v1/users/{bob.uuid}", {"role": "admin"}, content_type="application/json", headers=headers
    )
    assert answer.status_code == 403 and rights(bob)["role"] == "responder"
