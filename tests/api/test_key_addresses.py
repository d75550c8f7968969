"""/api/v1/api-keys, and what scopes open of all other addresses."""

import datetime as dt

import pytest
from django.utils import timezone

from accounts import keys, scopes
from accounts.models import ApiKey, Role, User
from config.api import router
from tests import factories

V1 = "/api/v1"
NEW = {"name": "deploy", "scopes": ["incidents:write", "incidents:read"], "role": "responder"}


@pytest.mark.parametrize("view", sorted({view for _, view, _ in router.registry}, key=lambda one: one.__name__))
def test_every_address_says_which_scope_it_needs(view):
    assert view.resource in scopes.RESOURCES


def test_a_refusal_names_the_scope_that_is_missing(through, alice, service):
    _, text = keys.issue_key(alice, name="x", scopes=["incidents:read"])
    answer = through(text).post(f"{V1}/incidents", {"service": "checkout", "title": "Down", "severity": "low"})
    assert answer.status_code == 403
    assert answer.data["detail"].startswith("This key has no scope incidents:write. It has incidents:read.")


def test_what_sends_alerts_cannot_keep_them_quiet(through, alice):
    _, text = keys.issue_key(alice, name="x", scopes=["alerts:write"])
    for area in ("silences", "maintenance-windows", "inhibition-rules", "heartbeats", "integrations"):
        assert through(text).post(f"{V1}/{area}", {}).status_code == 403
    assert through(text).get(f"{V1}/alerts").status_code == 200


# --- made, listed, rotated, revoked -------------------------------------------------------------------------------
def test_a_key_is_made_and_shown_once(api, through, now):
    answer = api.post(f"{V1}/api-keys", NEW)
    assert answer.status_code == 201
    text = answer.data["key"]
    assert (answer.data["scopes"], answer.data["acts_as"], answer.data["state"]) == (
        ["incidents:write"],
        None,
        "valid",
    )
    key = keys.find_key(text, now=timezone.now())
    assert key.user.is_machine and key.user.name == "deploy"
    assert through(text).get(f"{V1}/incidents").status_code == 200
    read = api.get(f"{V1}/api-keys/{key.prefix}")
    assert "key" not in read.data and text not in str(read.data) and key.secret_hash not in str(read.data)


def test_a_repeat_with_an_idempotency_key_does_not_give_the_text_again(api):
    headers = {"Idempotency-Key": "one"}
    first, again = (api.post(f"{V1}/api-keys", NEW, headers=headers) for _ in range(2))
    assert first.data["key"] and "key" not in again.data
    assert ApiKey.objects.count() == 1


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"scopes": ["incidents:delete"]}, "scopes"),
        ({"scopes": []}, "scopes"),
        ({"role": "root"}, "role"),
        ({"team": "nowhere"}, "team"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
    ],
)
def test_a_wrong_field_is_named(api, change, field):
    answer = api.post(f"{V1}/api-keys", {**NEW, **change})
    assert answer.status_code == 400
    assert answer.data["errors"][0]["field"].split(".")[0] == field
    assert not ApiKey.objects.exists() and not User.objects.filter(is_machine=True).exists()


def test_nobody_makes_themselves_a_stronger_key_by_naming_fields(api, bob):
    answer = api.post(f"{V1}/api-keys", {**NEW, "user": bob.email, "is_personal": True, "acts_as": bob.email})
    key = ApiKey.objects.get()
    assert answer.status_code == 201 and key.user.is_machine and not key.is_personal


def test_a_key_makes_only_smaller_keys(through, alice):
    _, text = keys.issue_key(alice, name="maker", scopes=["people:write", "incidents:write"])
    assert through(text).post(f"{V1}/api-keys", NEW).status_code == 201
    answer = through(text).post(f"{V1}/api-keys", {**NEW, "scopes": ["*:read"]})
    assert answer.status_code == 403 and "no scope" in answer.data["detail"]


def test_a_key_of_a_team_makes_keys_of_that_team_and_sees_no_others(through, alice, team):
    keys.issue_machine_key(name="other", scopes=["*:read"], role=Role.OBSERVER, by=alice)
    _, text = keys.issue_machine_key(name="x", scopes=["*:write"], role=Role.ADMIN, team=team, by=alice)
    client = through(text)
    assert client.post(f"{V1}/api-keys", NEW).status_code == 403
    assert client.post(f"{V1}/api-keys", {**NEW, "team": "shop"}).status_code == 201
    assert {one["name"] for one in client.get(f"{V1}/api-keys").data["results"]} == {"x", "deploy"}


def test_a_responder_sees_and_ends_their_own_tokens_only(calls, alice, bob, charlie):
    keys.issue_machine_key(name="machine", scopes=["*:read"], role=Role.OBSERVER, by=alice)
    theirs, _ = keys.issue_key(charlie, name="theirs", is_personal=True)
    mine, _ = keys.issue_key(bob, name="mine", is_personal=True)
    client = calls(bob)
    assert [one["name"] for one in client.get(f"{V1}/api-keys").data["results"]] == ["mine"]
    assert client.post(f"{V1}/api-keys", NEW).status_code == 403
    for verb in ("rotate", "revoke", "stop-old"):
        assert client.post(f"{V1}/api-keys/{theirs.prefix}/{verb}").status_code == 404
    assert client.post(f"{V1}/api-keys/{mine.prefix}/rotate").data["key"]
    assert client.post(f"{V1}/api-keys/{mine.prefix}/revoke").data["state"] == "revoked"


def test_rotation_keeps_the_old_text_for_as_long_as_asked(api, now):
    made = api.post(f"{V1}/api-keys", NEW).data
    turned = api.post(f"{V1}/api-keys/{made['id']}/rotate", {"overlap_seconds": 3600}).data
    at = timezone.now()
    assert keys.find_key(made["key"], now=at) and keys.find_key(turned["key"], now=at)
    assert keys.find_key(made["key"], now=at + dt.timedelta(hours=1)) is None
    assert turned["old_secret_until"]
    assert api.post(f"{V1}/api-keys/{made['id']}/rotate").data["code"] == "two_keys_work"
    assert api.post(f"{V1}/api-keys/{made['id']}/stop-old").data["old_secret_until"] is None
    assert keys.find_key(made["key"], now=at) is None
    assert api.post(f"{V1}/api-keys/{made['id']}/rotate", {"overlap_seconds": 8 * 86400}).status_code == 400


def test_a_key_is_renamed_and_prolonged_and_stays_what_it_is(api, team):
    made = api.post(f"{V1}/api-keys", NEW).data
    address = f"{V1}/api-keys/{made['id']}"
    changed = api.patch(address, {"name": "release", "expires_at": "2090-01-01T00:00:00Z"})
    assert (changed.data["name"], changed.data["expires_at"]) == ("release", "2090-01-01T00:00:00Z")
    for change in ({"scopes": ["*:write"]}, {"role": "admin"}, {"team": "shop"}):
        assert api.patch(address, change).status_code == 400
    assert api.patch(address, {"scopes": ["incidents:write"], "role": "responder"}).status_code == 200


def test_deleting_revokes(api):
    made = api.post(f"{V1}/api-keys", NEW).data
    assert api.delete(f"{V1}/api-keys/{made['id']}").status_code == 204
    assert api.get(f"{V1}/api-keys/{made['id']}").data["state"] == "revoked"
    assert api.delete(f"{V1}/api-keys/{made['id']}").status_code == 400
    assert [one["name"] for one in api.get(f"{V1}/api-keys?state=revoked").data["results"]] == ["deploy"]
    assert api.get(f"{V1}/api-keys?state=valid,expired").data["results"] == []


# --- machines among people ----------------------------------------------------------------------------------------
def test_machines_are_listed_only_when_asked_for(api, alice):
    key, _ = keys.issue_machine_key(name="robot", scopes=["*:read"], role=Role.OBSERVER, by=alice)
    assert "robot" not in {one["name"] for one in api.get(f"{V1}/users").data["results"]}
    assert [one["name"] for one in api.get(f"{V1}/users?is_machine=true").data["results"]] == ["robot"]
    assert "robot" not in str(api.get(f"{V1}/availability").data)
    members = [{"user": key.user.email, "role": "admin"}]
    assert api.patch(f"{V1}/teams/shop", {"members": members}).status_code == 400


def test_a_machine_says_whom_it_means(through, alice, bob, soon):
    _, text = keys.issue_machine_key(name="robot", scopes=["oncall:write"], role=Role.ADMIN, by=alice)
    span = {"start_at": soon(24), "end_at": soon(48)}
    assert "which person is meant" in str(through(text).post(f"{V1}/time-off", span).data)
    assert through(text).post(f"{V1}/time-off", {**span, "user": bob.email}).status_code == 201
    assert through(text).get(f"{V1}/availability/me").status_code == 400


def test_me_is_the_machine_of_the_key(through, alice):
    _, text = keys.issue_machine_key(name="robot", scopes=["people:read"], role=Role.OBSERVER, by=alice)
    assert through(text).get(f"{V1}/users/me").data["is_machine"] is True
    assert factories.UserFactory().is_machine is False
