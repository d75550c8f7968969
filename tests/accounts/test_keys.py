"""API keys: whose they are, what they give, how they are rotated and how they end."""

import datetime as dt
import itertools

import pytest
from django.core.exceptions import ValidationError

from accounts import keys
from accounts.auth import ApiKeyAuthentication
from accounts.models import ApiKey, Role, User
from accounts.visibility import visible
from catalog.models import Service
from core.errors import DomainError, NotAllowed
from incidents import lifecycle
from oncall import scheduling
from oncall.models import Holiday
from tests import factories

DAY = dt.timedelta(days=1)


def made(by, **fields):
    fields = {"name": "deploy", "scopes": ["incidents:write"], "role": Role.RESPONDER, **fields}
    return keys.issue_machine_key(**fields, by=by)


# --- found --------------------------------------------------------------------------------------------------------
def test_a_key_is_found_by_its_text_and_by_nothing_near_it(alice, now):
    key, text = keys.issue_key(alice, name="x")
    assert keys.find_key(text, now=now) == key
    other, _ = keys.issue_key(alice, name="y")
    for wrong in (
        "",
        "wb__",
        text[:-1],
        text + "x",
        text.swapcase(),
        text.replace(key.prefix, other.prefix),
        f"{text}\0",
    ):
        assert keys.find_key(wrong, now=now) is None


def test_only_the_hash_is_stored(alice):
    key, text = keys.issue_key(alice, name="x")
    secret = text.rsplit("_", 1)[-1]
    assert not any(secret in str(value) for value in ApiKey.objects.filter(pk=key.pk).values()[0].values())


def test_an_empty_hash_is_no_secret(alice):
    assert not keys.opens("", "", "")
    assert not keys.opens("wb_0_0", "", "")


def test_an_unknown_prefix_costs_the_same_statement(alice, now, django_assert_num_queries):
    _, text = keys.issue_key(alice, name="x")
    with django_assert_num_queries(1):
        assert keys.find_key(text, now=now)
    with django_assert_num_queries(1):
        assert keys.find_key("wb_000000000000_" + "a" * 43, now=now) is None


def test_a_key_ends_with_its_time_with_revocation_and_with_its_person(alice, bob, now):
    key, text = keys.issue_key(bob, name="x", expires_at=now + DAY)
    assert keys.find_key(text, now=now + DAY - dt.timedelta(seconds=1))
    assert keys.find_key(text, now=now + DAY) is None
    User.objects.filter(pk=bob.pk).update(is_active=False)
    assert keys.find_key(text, now=now) is None
    User.objects.filter(pk=bob.pk).update(is_active=True)
    keys.revoke(key.pk, by=bob, now=now)
    assert keys.find_key(text, now=now) is None


# --- whose it is --------------------------------------------------------------------------------------------------
def test_a_key_of_a_program_acts_as_a_machine_of_its_own(alice, now):
    key, text = made(alice, name="deploy", role=Role.OBSERVER)
    machine = keys.find_key(text, now=now).user
    assert (machine.is_machine, machine.name, machine.role) == (True, "deploy", Role.OBSERVER)
    assert not machine.has_usable_password() and not machine.is_staff and not machine.is_superuser
    assert machine not in User.objects.people() and alice in User.objects.people()
    other, _ = made(alice)
    assert other.user != machine


def test_a_person_who_leaves_breaks_no_script(alice, now):
    _, text = made(alice)
    User.objects.filter(pk=alice.pk).update(is_active=False)
    assert keys.find_key(text, now=now)


def test_a_revoked_key_takes_its_machine_along_and_no_person(alice, now):
    key, _ = made(alice)
    keys.revoke(key.pk, by=alice, now=now)
    key.user.refresh_from_db()
    assert not key.user.is_active
    token, _ = keys.issue_key(alice, name="mine", is_personal=True)
    keys.revoke(token.pk, by=alice, now=now)
    alice.refresh_from_db()
    assert alice.is_active
    with pytest.raises(DomainError, match="revoked already"):
        keys.revoke(token.pk, by=alice, now=now)


# --- never more than its maker has --------------------------------------------------------------------------------
def test_a_responder_makes_no_key_and_a_team_admin_makes_those_of_the_team(bob, team):
    chief = factories.UserFactory(role=Role.OBSERVER)
    factories.MembershipFactory(user=chief, team=team, role=Role.ADMIN)
    for by, where in itertools.product((bob, chief), (None, factories.TeamFactory())):
        with pytest.raises(NotAllowed, match="made by its admins"):
            made(by, team=where)
    with pytest.raises(NotAllowed, match="made by its admins"):
        made(bob, team=team)
    key, _ = made(chief, team=team, role=Role.ADMIN)
    assert key.team == team


def test_a_key_gives_no_more_than_the_key_that_makes_it(alice, team, now):
    through, _ = keys.issue_key(alice, name="maker", scopes=["people:write", "incidents:read"], expires_at=now + DAY)
    own = {"name": "x", "role": Role.RESPONDER, "by": alice, "through": through}
    for scopes, ends, told in (
        (["incidents:write"], now + DAY, "no scope incidents:write"),
        (["*:read"], now + DAY, "no scope"),
        (["incidents:read"], None, "must end by then"),
        (["incidents:read"], now + 2 * DAY, "must end by then"),
    ):
        with pytest.raises(NotAllowed, match=told):
            keys.issue_machine_key(**own, scopes=scopes, expires_at=ends)
    key, _ = keys.issue_machine_key(**own, scopes=["incidents:read", "people:read"], expires_at=now + DAY)
    assert key.scopes == ["incidents:read", "people:read"]
    through.team, through.expires_at = team, None
    with pytest.raises(NotAllowed, match=r"for the team Shop only"):
        keys.issue_machine_key(**own, scopes=["incidents:read"])


# --- a key of a team ----------------------------------------------------------------------------------------------
def through_the_door(key, path, calls_client):
    return calls_client.get(f"/api/v1/{path}", headers={"X-API-Key": key})


def test_a_key_of_a_team_reaches_nothing_else(client, alice, team, service):
    other = factories.ServiceFactory(name="Search", slug="search")
    Holiday.objects.create(day=dt.date(2026, 12, 25), name="Of everybody")
    _, text = made(alice, team=team, scopes=["*:write"], role=Role.ADMIN)

    def read(path):
        return through_the_door(text, path, client)

    assert [one["slug"] for one in read("services").json()["results"]] == [service.slug]
    assert read(f"services/{service.slug}").status_code == 200
    assert read(f"services/{other.slug}").status_code == 404
    assert [one["slug"] for one in read("teams").json()["results"]] == [team.slug]
    assert read("holidays").json()["results"] == [] and read("users").json()["results"] == []
    answer = client.post(
        "/api/v1/teams", {"name": "New"}, content_type="application/json", headers={"X-API-Key": text}
    )
    assert answer.status_code in (400, 403)


def test_a_key_of_a_private_team_reaches_it_though_its_machine_is_no_member(client, alice, team, service):
    team.is_private = True
    team.save()
    _, text = made(alice, team=team, scopes=["catalog:read"])
    assert [one["slug"] for one in through_the_door(text, "services", client).json()["results"]] == [service.slug]
    _, text = made(alice, scopes=["catalog:read"])
    assert through_the_door(text, "services", client).json()["results"] == []


def test_a_token_for_a_team_gives_no_way_into_a_private_one_of_others(client, bob, charlie, team, service):
    team.is_private = True
    team.save()
    _, text = keys.issue_key(charlie, name="x", team=team, is_personal=True)
    assert through_the_door(text, "services", client).status_code == 403


def test_a_key_of_a_team_costs_one_query_more(alice, team, service, django_assert_num_queries, rf):
    _, text = made(alice, team=team)
    ApiKey.objects.update(last_used_at=dt.datetime(2100, 1, 1, tzinfo=dt.UTC))
    with django_assert_num_queries(2):
        user, _ = ApiKeyAuthentication().authenticate(rf.get("/", headers={"X-API-Key": text}))
    with django_assert_num_queries(0):
        user.access()
    assert list(visible(Service.objects.all(), user)) == [service]


# --- rotation -----------------------------------------------------------------------------------------------------
def test_after_a_rotation_both_texts_work_for_a_while(alice, now):
    key, old = made(alice)
    _, new = keys.rotate(key.pk, by=alice, now=now, overlap=keys.HOUR)
    assert new != old and new.split("_")[1] == old.split("_")[1]
    soon, later = now + keys.HOUR - dt.timedelta(seconds=1), now + keys.HOUR
    assert keys.find_key(old, now=soon) and keys.find_key(new, now=soon)
    assert keys.find_key(old, now=later) is None and keys.find_key(new, now=later)


def test_a_rotation_at_once_stops_every_older_text(alice, now):
    key, first = made(alice)
    _, second = keys.rotate(key.pk, by=alice, now=now, overlap=keys.DAY)
    with pytest.raises(DomainError, match="Two texts of deploy work already"):
        keys.rotate(key.pk, by=alice, now=now, overlap=keys.DAY)
    _, third = keys.rotate(key.pk, by=alice, now=now, overlap=None)
    assert [bool(keys.find_key(text, now=now)) for text in (first, second, third)] == [False, False, True]


def test_the_old_text_is_stopped_by_hand(alice, now):
    key, old = made(alice)
    _, new = keys.rotate(key.pk, by=alice, now=now, overlap=keys.WEEK)
    keys.stop_old(key.pk, by=alice)
    assert keys.find_key(old, now=now) is None and keys.find_key(new, now=now)


def test_nobody_is_given_a_text_that_acts_as_somebody_else(alice, bob, now):
    token, text = keys.issue_key(bob, name="mine", is_personal=True)
    with pytest.raises(NotAllowed, match="acts as them"):
        keys.rotate(token.pk, by=alice, now=now, overlap=None)
    assert keys.find_key(text, now=now)
    keys.revoke(token.pk, by=alice, now=now)  # an admin may end it
    assert keys.find_key(text, now=now) is None


def test_a_small_key_cannot_rotate_itself_into_a_large_one(alice, now):
    large, _ = made(alice, scopes=["*:write"])
    small, _ = keys.issue_key(alice, name="small", scopes=["people:write"])
    with pytest.raises(NotAllowed, match="no scope"):
        keys.rotate(large.pk, by=alice, now=now, overlap=None, through=small)
    mine, _ = keys.issue_key(alice, name="mine", is_personal=True)
    with pytest.raises(NotAllowed, match="no scope"):
        keys.rotate(mine.pk, by=alice, now=now, overlap=None, through=small)


def test_a_key_that_ended_is_not_rotated(alice, now):
    key, _ = made(alice, expires_at=now + DAY)
    with pytest.raises(DomainError, match="expired"):
        keys.rotate(key.pk, by=alice, now=now + DAY, overlap=None)
    keys.revoke(key.pk, by=alice, now=now)
    with pytest.raises(DomainError, match="revoked"):
        keys.rotate(key.pk, by=alice, now=now, overlap=None)


def test_a_stranger_rotates_and_revokes_nothing(alice, bob, charlie, team, now):
    key, _ = made(alice, team=team)
    for person in (bob, charlie):
        for verb in (
            lambda by: keys.rotate(key.pk, by=by, now=now, overlap=None),
            lambda by: keys.revoke(key.pk, by=by, now=now),
            lambda by: keys.stop_old(key.pk, by=by),
        ):
            with pytest.raises(NotAllowed):
                verb(person)


# --- lists --------------------------------------------------------------------------------------------------------
def test_keys_by_state_and_those_that_end_soon(alice, now):
    forever, _ = keys.issue_key(alice, name="a")
    soon, _ = keys.issue_key(alice, name="b", expires_at=now + DAY)
    over, _ = keys.issue_key(alice, name="c", expires_at=now)
    gone, _ = keys.issue_key(alice, name="d", expires_at=now)
    keys.revoke(gone.pk, by=alice, now=now)

    def listed(state):
        return list(ApiKey.objects.in_state(state, now=now))

    assert (listed("valid"), listed("expired"), listed("revoked")) == ([forever, soon], [over], [gone])
    assert list(ApiKey.objects.ending(now=now, within=keys.ENDS_SOON)) == [soon]


# --- machines are never picked ------------------------------------------------------------------------------------
def test_a_machine_that_acknowledges_is_not_who_is_called_when_it_grows_worse(alice, service, now):
    key, _ = made(alice)
    incident = lifecycle.trigger(service, title="Down", severity="low", now=now)
    incident = lifecycle.acknowledge(incident.pk, by=key.user, now=now, via="api")
    assert (incident.acknowledged_by, incident.assignee) == (key.user, None)
    with pytest.raises(DomainError, match="is a machine"):
        lifecycle.reassign(incident.pk, to=key.user, by=alice, now=now)


def test_a_machine_is_never_put_on_call(alice, team, now):
    key, _ = made(alice)
    schedule = factories.ScheduleFactory(team=team)
    span = {"start_at": now, "end_at": now + DAY}
    with pytest.raises(ValidationError, match="is a machine"):
        scheduling.add_override(schedule.pk, user=key.user, **span, by=alice, now=now)
