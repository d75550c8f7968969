"""Doors, rules, quiet, heartbeats and dependencies over the API."""

import pytest

from alerts.keys import digest
from alerts.models import Heartbeat, Integration, Rule, Silence
from catalog.models import Dependency
from tests.factories import (
    AlertFactory,
    ApiKeyFactory,
    HeartbeatFactory,
    IntegrationFactory,
    ServiceFactory,
    UserFactory,
)

V1 = "/api/v1"


def made(answer):
    assert answer.status_code == 201, answer.data
    return answer.data


def refused(answer, words, code=400):
    assert answer.status_code == code, answer.data
    assert words in str(answer.data), answer.data


def test_an_integration_is_made_and_its_key_is_shown_once(api, service):
    answer = made(api.post(f"{V1}/integrations", {"name": "Scripts", "source": "generic", "service": "checkout"}))
    row = Integration.objects.get()
    assert row.key_hash == digest(answer["key"])
    assert answer["address"].endswith(f"/in/generic/{answer['key']}")
    again = api.get(f"{V1}/integrations/{row.uuid}").data
    assert "key" not in again and "signing_secret" not in again and again["is_signed"] is False
    assert api.get(f"{V1}/integrations?service=checkout").data["results"][0]["id"] == str(row.uuid)


def test_the_same_idempotency_key_makes_one_integration_and_does_not_tell_its_key_again(api, service):
    body = {"name": "Scripts", "source": "generic", "service": "checkout"}
    first, second = (api.post(f"{V1}/integrations", body, headers={"Idempotency-Key": "one"}) for _ in range(2))
    assert "key" in first.data and "key" not in second.data
    assert Integration.objects.count() == 1


def test_an_integration_is_refused_in_sentences(api, service):
    body = {"name": "Scripts", "source": "generic"}
    refused(api.post(f"{V1}/integrations", body), "Give a service, or a team")
    refused(api.post(f"{V1}/integrations", {**body, "service": "checkout", "source": "smoke"}), "smoke")
    refused(api.post(f"{V1}/integrations", {**body, "team": "shop", "options": {"colour": "red"}}), "no option")
    refused(api.post(f"{V1}/integrations", {**body, "team": "shop", "dedup_fields": ["a b"]}), "names of fields")
    row = IntegrationFactory(service=service)
    refused(api.patch(f"{V1}/integrations/{row.uuid}", {"source": "alertmanager"}), "cannot be changed")


def test_a_key_is_rotated_with_an_overlap(api, service):
    row = IntegrationFactory(service=service)
    old = row.key_hash
    answer = api.post(f"{V1}/integrations/{row.uuid}/rotate-key", {"overlap_seconds": 600})
    assert answer.status_code == 200
    row.refresh_from_db()
    assert (row.key_hash, row.old_key_hash) == (digest(answer.data["key"]), old)
    answer = api.post(f"{V1}/integrations/{row.uuid}/rotate-key", {"overlap_seconds": 0})
    row.refresh_from_db()
    assert (row.key_hash, row.old_key_hash, row.old_key_until) == (digest(answer.data["key"]), "", None)


def test_a_rule_is_made_changed_and_deleted(api, service):
    body = {"name": "Staging is quiet", "condition": 'labels.env = "staging"', "action": "suppress"}
    rule = made(api.post(f"{V1}/routing-rules", body))
    assert api.patch(f"{V1}/routing-rules/{rule['id']}", {"position": 5}).data["position"] == 5
    refused(api.patch(f"{V1}/routing-rules/{rule['id']}", {"condition": "labels.env = "}), "condition")
    refused(api.post(f"{V1}/routing-rules", {**body, "condition": 'title =~ "(?=a)"'}), "condition")
    assert api.delete(f"{V1}/routing-rules/{rule['id']}").status_code == 204
    assert not Rule.objects.exists()


def test_a_silence_is_previewed_made_extended_and_ended(api, service, soon):
    AlertFactory(service=service, labels={"env": "prod"}, title="Disk full")
    body = {"condition": 'labels.env = "prod"', "ends_at": soon(1), "reason": "Disk work"}
    assert api.post(f"{V1}/silences/preview", {"condition": body["condition"]}).status_code == 200
    silence = made(api.post(f"{V1}/silences", body))
    assert (silence["status"], silence["owner"]["email"], silence["holds"]) == ("active", "alice@example.com", 0)
    at = f"{V1}/silences/{silence['id']}"
    assert api.post(f"{at}/extend", {"seconds": 3600}).data["ends_at"] == soon(2)
    assert api.put(at, {**body, "reason": "More work"}).data["reason"] == "More work"
    assert [one["id"] for one in api.get(f"{V1}/silences?status=active").data["results"]] == [silence["id"]]
    assert api.post(f"{at}/expire").data["status"] == "expired"
    assert api.post(f"{at}/expire").status_code == 409
    assert Silence.objects.get().expired_at


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"condition": "labels.env ="}, "condition"),
        ({"reason": " "}, "reason"),
        ({"ends_at": "2001-01-01T00:00:00Z"}, "end"),
        ({"service": "nowhere"}, "There is no service"),
        ({"integration": "nowhere"}, "integration"),
    ],
)
def test_a_silence_that_cannot_be_is_refused(api, service, soon, change, words):
    body = {"condition": 'labels.env = "prod"', "ends_at": soon(1), "reason": "Disk work"}
    refused(api.post(f"{V1}/silences", {**body, **change}), words)
    assert not Silence.objects.exists()


def test_a_maintenance_window_repeats_and_is_ended(api, service, soon):
    body = {"name": "Patch night", "services": ["checkout"], "starts_at": soon(1), "ends_at": soon(2)}
    window = made(api.post(f"{V1}/maintenance-windows", {**body, "rrule": "FREQ=WEEKLY"}))
    assert (window["status"], len(window["coming"])) == ("planned", 3)
    at = f"{V1}/maintenance-windows/{window['id']}"
    assert api.post(f"{at}/disable").data["status"] == "disabled"
    assert api.post(f"{at}/enable").data["status"] == "planned"
    assert api.put(at, {**body, "name": "Patch evening"}).data["name"] == "Patch evening"
    assert api.post(f"{at}/end").data["status"] == "over"
    refused(api.post(f"{V1}/maintenance-windows", {**body, "rrule": "FREQ=NOW"}), "")
    refused(api.post(f"{V1}/maintenance-windows", {**body, "services": []}), "what is worked on")


def test_an_inhibition_rule_is_made_and_deleted(api, service):
    body = {"name": "Host down", "source": 'alertname = "HostDown"', "target": "severity = low", "equal": ["host"]}
    refused(api.post(f"{V1}/inhibition-rules", {**body, "source": "("}), "source")
    rule = made(api.post(f"{V1}/inhibition-rules", {**body, "target": 'severity = "low"'}))
    at = f"{V1}/inhibition-rules/{rule['id']}"
    assert api.patch(at, {"is_enabled": False}).data["is_enabled"] is False
    assert api.delete(at).status_code == 204


def test_a_heartbeat_is_made_armed_and_deleted(api, service):
    heartbeat = made(api.post(f"{V1}/heartbeats", {"name": "Backup", "service": "checkout", "interval_seconds": 60}))
    row = Heartbeat.objects.get()
    assert row.key_hash == digest(heartbeat["key"])
    at = f"{V1}/heartbeats/{heartbeat['id']}"
    assert api.get(at).data["armed_at"] is None and "key" not in api.get(at).data
    assert api.post(f"{at}/arm").data["armed_at"]
    assert api.patch(at, {"is_enabled": False}).data["is_enabled"] is False
    refused(api.post(f"{V1}/heartbeats", {"name": "Backup", "service": "checkout"}), "name")
    assert api.delete(at).status_code == 204


def test_a_dependency_that_closes_a_circle_is_refused_by_name(api, service):
    other = ServiceFactory(name="Database", slug="database", team=service.team)
    row = made(api.post(f"{V1}/dependencies", {"service": "checkout", "needs": "database", "holds_alerts": True}))
    refused(api.post(f"{V1}/dependencies", {"service": "database", "needs": "checkout"}), other.name)
    assert api.get(f"{V1}/dependencies?service=checkout").data["results"][0]["needs"] == "database"
    assert api.delete(f"{V1}/dependencies/{row['id']}").status_code == 204
    assert not Dependency.objects.exists()


@pytest.mark.parametrize("area", ["integrations", "routing-rules", "inhibition-rules", "heartbeats", "dependencies"])
def test_only_admins_configure(calls, bob, service, area):
    assert calls(bob).get(f"{V1}/{area}").status_code == 200
    assert calls(bob).post(f"{V1}/{area}", {}).status_code == 403


def test_change_events_are_listed(api, service):
    assert api.get(f"{V1}/change-events?service=checkout").data["results"] == []


def test_a_change_of_a_disabled_window_does_not_enable_it(api, service, soon):
    body = {"name": "Patch night", "services": ["checkout"], "starts_at": soon(-1), "ends_at": soon(2)}
    window = made(api.post(f"{V1}/maintenance-windows", body))
    at = f"{V1}/maintenance-windows/{window['id']}"
    api.post(f"{at}/disable")
    answer = api.put(at, {**body, "reason": "Later"})
    assert (answer.data["status"], answer.data["is_enabled"]) == ("disabled", False)


def test_a_silence_of_a_whole_service_needs_no_condition(api, service, soon):
    AlertFactory(service=service, last_at=soon(0))
    body = {"service": "checkout", "ends_at": soon(1), "reason": "Disk work"}
    assert api.post(f"{V1}/silences/preview", {"service": "checkout"}).data["total"] == 1
    silence = made(api.post(f"{V1}/silences", body))
    read = api.get(f"{V1}/silences/{silence['id']}").data
    given = {name: read[name] for name in ("condition", "starts_at", "ends_at", "reason", "integration", "service")}
    assert api.put(f"{V1}/silences/{silence['id']}", given).status_code == 200
    refused(api.post(f"{V1}/silences", {**body, "service": None}), "condition is empty")


def test_a_silence_says_how_many_alerts_it_holds(api, service, soon):
    body = {"condition": 'labels.env = "prod"', "ends_at": soon(1), "reason": "Disk work"}
    first, second = made(api.post(f"{V1}/silences", body)), made(api.post(f"{V1}/silences", body))
    by = f"silence:{Silence.objects.get(uuid=first['id']).pk}"
    AlertFactory.create_batch(2, service=service, held_by=by)
    AlertFactory(service=service, held_by=by, resolved_at=soon(0))
    holds = {one["id"]: one["holds"] for one in api.get(f"{V1}/silences").data["results"]}
    assert holds == {first["id"]: 2, second["id"]: 0}
    assert api.post(f"{V1}/silences/{first['id']}/expire").data["holds"] == 2


def test_a_suppressed_alert_is_looked_at_again_when_its_rule_is_deleted(api, service):
    rule = made(api.post(f"{V1}/routing-rules", {"name": "Quiet", "action": "suppress"}))
    alert = AlertFactory(service=service, held_by=f"rule:{rule['id']}", recheck_at=None)
    assert api.delete(f"{V1}/routing-rules/{rule['id']}").status_code == 204
    alert.refresh_from_db()
    assert alert.recheck_at


@pytest.mark.parametrize("area", ["silences", "maintenance-windows", "silences/preview"])
def test_responders_make_quiet_and_observers_only_read_it(calls, bob, service, area):
    observer = UserFactory(role="observer")
    assert calls(bob).post(f"{V1}/{area}", {"service": "checkout"}).status_code != 403
    assert calls(observer).post(f"{V1}/{area}", {}).status_code == 403
    if area != "silences/preview":
        assert calls(observer).get(f"{V1}/{area}").status_code == 200


ADDRESSES = ["integrations", "routing-rules", "change-events", "silences", "maintenance-windows", "inhibition-rules"]


# `alerts:write` includes what came in: alerts and changes.
@pytest.mark.parametrize("area", [*(one for one in ADDRESSES if one != "change-events"), "heartbeats", "dependencies"])
def test_a_key_for_alerts_reads_no_settings_and_nobody_reads_without_one(calls, alice, area):
    headers = {"X-API-Key": ApiKeyFactory(user=alice, scopes=["alerts:write"]).text}
    assert calls().get(f"{V1}/{area}", headers=headers).status_code == 403
    assert calls().get(f"{V1}/{area}").status_code == 401


def test_a_held_alert_says_by_what_and_is_found_by_that(api, service, soon):
    held = AlertFactory(service=service, held_by="silence:7", held_why="Silence by Alice: Disk work", held_at=soon(0))
    others = AlertFactory(service=service), AlertFactory(service=service, held_by="silence:7", resolved_at=soon(0))
    (found,) = api.get(f"{V1}/alerts?is_held=true").data["results"]
    assert (found["id"], found["held_by"]) == (str(held.pk), "silence:7")
    assert found["held_why"] == "Silence by Alice: Disk work" and found["held_at"]
    rest = api.get(f"{V1}/alerts?is_held=false").data["results"]
    assert {one["id"] for one in rest} == {str(one.pk) for one in others}


def test_a_responder_arms_a_heartbeat_and_an_observer_does_not(calls, bob, service):
    row = HeartbeatFactory(service=service)
    assert calls(UserFactory(role="observer")).post(f"{V1}/heartbeats/{row.uuid}/arm").status_code == 403
    assert calls(bob).post(f"{V1}/heartbeats/{row.uuid}/arm").data["armed_at"]
    assert calls(bob).patch(f"{V1}/heartbeats/{row.uuid}", {"is_enabled": False}).status_code == 403
