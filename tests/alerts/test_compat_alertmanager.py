"""Alertmanager's API v2, over HTTP."""

import datetime as dt
import json
import uuid
from urllib.parse import quote

import pytest
from django.utils import timezone

from alerts import ingest, silences
from alerts.models import Alert, InboundEvent, Integration, Silence
from incidents.models import Incident
from tests import factories
from tests.alerts.test_door import Server, waits_for

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def server():
    with Server(decide=ingest.decide_ids) as running:
        yield running


@pytest.fixture
def integration(service):
    return factories.IntegrationFactory(source="prometheus", service=service)


@pytest.fixture
def api(server, integration):
    def call(method, path, body=None, key=None):
        body = b"" if body is None else json.dumps(body).encode()
        return server.request(method, f"/in/{key or integration.key}{path}", body)

    return call


def alert(name="Up", minutes=5, **labels):
    ends_at = timezone.now() + dt.timedelta(minutes=minutes)
    return {
        "labels": {"alertname": name, **labels},
        "annotations": {"summary": f"{name} of {labels.get('instance', 'all')}"},
        "startsAt": (timezone.now() - dt.timedelta(minutes=9)).isoformat(),
        "endsAt": ends_at.isoformat(),
    }


def silence(minutes=60, **labels):
    return {
        "matchers": [{"name": name, "value": value, "isRegex": False} for name, value in labels.items()],
        "startsAt": timezone.now().isoformat(),
        "endsAt": (timezone.now() + dt.timedelta(minutes=minutes)).isoformat(),
        "createdBy": "dora",
        "comment": "New disks",
    }


# --- alerts -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["prometheus", "alertmanager"])
def test_alerts_are_taken_at_every_address_of_the_key(server, service, kind):
    key = factories.IntegrationFactory(source=kind, service=service).key
    for path in (f"/in/{key}/api/v2/alerts", f"/in/{kind}/{key}/api/v2/alerts", f"/in/prometheus/{key}"):
        for slash in ("", "/"):
            reply = server.post(path + slash, [alert()])
            assert (reply.status, reply.body) == (200, b"")
    bearer = {"Authorization": f"Bearer {key}"}
    assert server.post("/api/v2/alerts", [alert()], bearer).status == 200
    assert server.post("/in/prometheus", [alert()], bearer).status == 200
    assert set(InboundEvent.objects.values_list("source", flat=True)) == {"prometheus"}
    assert waits_for(lambda: not InboundEvent.objects.exclude(state="decided").exists())
    assert Alert.objects.get().occurrences >= 1


def test_it_fires_and_its_end_resolves(api):
    api("POST", "/api/v2/alerts", [alert(instance="a", severity="critical")])
    assert waits_for(lambda: Incident.objects.exists())
    assert Alert.objects.get().resolve_at > timezone.now()
    api("POST", "/api/v2/alerts", [alert(instance="a", severity="critical", minutes=-1)])
    assert waits_for(lambda: Incident.objects.get().status == "resolved")


def test_an_alert_that_is_no_longer_sent_ends_by_its_own_end(api):
    api("POST", "/api/v2/alerts", [alert(minutes=4)])
    assert waits_for(lambda: Incident.objects.exists())
    ingest.expire_due(now=timezone.now() + dt.timedelta(minutes=3))
    assert Alert.objects.firing().exists()
    ingest.expire_due(now=timezone.now() + dt.timedelta(minutes=5))
    assert not Alert.objects.firing().exists()
    assert Incident.objects.get().status == "resolved"


def test_each_time_it_is_sent_the_end_moves(api):
    for minutes in (1, 10):
        api("POST", "/api/v2/alerts", [alert(minutes=minutes)])
    assert waits_for(lambda: not InboundEvent.objects.exclude(state="decided").exists())
    ingest.expire_due(now=timezone.now() + dt.timedelta(minutes=5))
    assert Alert.objects.firing().exists()


def test_the_valid_ones_are_taken_though_the_answer_is_400(api):
    reply = api("POST", "/api/v2/alerts", [alert(), {"labels": {"a": ""}}])
    assert reply.status == 400
    assert "Alert 1 has no label with a value" in reply.json
    assert waits_for(lambda: Alert.objects.exists())
    assert isinstance(api("POST", "/api/v2/alerts", {}).json, str)
    assert api("POST", "/api/v2/alerts", [{"labels": {}}]).status == 400
    assert InboundEvent.objects.count() == 1


def test_an_unknown_key_is_404_and_401(server, service):
    assert server.post(f"/in/{'0' * 32}/api/v2/alerts", [alert()]).status == 404
    assert server.post("/api/v2/alerts", [alert()]).status == 401
    assert server.request("GET", "/api/v2/silences").status == 401
    other = factories.IntegrationFactory(source="generic", service=service)
    reply = server.post(f"/in/{other.key}/api/v2/alerts", [alert()])
    assert (reply.status, "/in/generic/<key>" in reply.json["message"]) == (404, True)


def test_the_alerts_are_listed_and_filtered(api, integration, service):
    for name, instance in (("Up", "a"), ("Up", "b"), ("Disk", "b")):
        api("POST", "/api/v2/alerts", [alert(name, instance=instance, severity="warning")])
    assert waits_for(lambda: Alert.objects.count() == 3)
    Alert.objects.filter(labels__alertname="Disk").update(held_by="inhibition:3")

    def found(*filters, **switches):
        pairs = [("filter", one) for one in filters] + list(switches.items())
        reply = api("GET", "/api/v2/alerts?" + "&".join(f"{name}={quote(value)}" for name, value in pairs))
        assert reply.status == 200, reply.body
        return sorted(f"{one['labels']['alertname']} {one['labels']['instance']}" for one in reply.json)

    assert found() == ["Disk b", "Up a", "Up b"]
    assert found('alertname="Up"') == ["Up a", "Up b"]
    assert found("alertname=Up", 'instance=~"b|c"') == ["Up b"]
    assert found('alertname!="Up"') == ["Disk b"]
    assert found('severity="warning"', 'instance!~"b"') == ["Up a"]
    assert found('{alertname="Disk"}') == ["Disk b"]
    assert found(inhibited="false") == ["Up a", "Up b"]
    assert found(active="false") == ["Disk b"]
    assert found(receiver="nobody") == []
    one = api("GET", "/api/v2/alerts?filter=" + quote('alertname="Disk"')).json[0]
    assert one["status"] == {"state": "suppressed", "silencedBy": [], "inhibitedBy": ["inhibition:3"]}
    assert set(one) >= {"labels", "annotations", "startsAt", "endsAt", "updatedAt", "fingerprint", "receivers"}
    groups = api("GET", "/api/v2/alerts/groups").json
    assert [(group["labels"]["alertname"], len(group["alerts"])) for group in groups] == [("Disk", 1), ("Up", 2)]
    for bad in ("alertname", "=x", 'a=~"("', ""):
        reply = api("GET", f"/api/v2/alerts?filter={quote(bad)}&filter=%00")
        assert reply.status == 400 and isinstance(reply.json, str)
    other = factories.IntegrationFactory(source="prometheus", service=service)
    assert api("GET", "/api/v2/alerts", key=other.key).json == []


# --- silences -----------------------------------------------------------------------------------------------------


def test_a_silence_holds_the_alerts_of_its_integration_and_no_others(api, integration, service):
    reply = api("POST", "/api/v2/silences", silence(alertname="Disk"))
    made = Silence.objects.get()
    assert (reply.status, reply.json) == (200, {"silenceID": str(made.uuid)})
    assert (made.integration, made.made_by, made.reason, made.owner) == (integration, "dora", "New disks", None)
    api("POST", "/api/v2/alerts", [alert("Disk", instance="a")])
    assert waits_for(lambda: Alert.objects.exists())
    held = Alert.objects.get()
    assert (held.held_by, held.incident) == (f"silence:{made.pk}", None)
    (shown,) = api("GET", "/api/v2/alerts").json
    assert shown["status"] == {"state": "suppressed", "silencedBy": [str(made.uuid)], "inhibitedBy": []}
    assert api("GET", "/api/v2/alerts?silenced=false").json == []
    other = factories.IntegrationFactory(source="prometheus", service=service)
    api("POST", "/api/v2/alerts", [alert("Disk", instance="b")], key=other.key)
    assert waits_for(lambda: Incident.objects.exists())
    assert api("GET", "/api/v2/silences", key=other.key).json == []
    assert api("DELETE", f"/api/v2/silence/{made.uuid}", key=other.key).status == 404


def test_when_it_is_expired_what_it_held_pages(api):
    made = api("POST", "/api/v2/silences", silence(alertname="Disk")).json["silenceID"]
    api("POST", "/api/v2/alerts", [alert("Disk")])
    assert waits_for(lambda: Alert.objects.exists())
    assert not Incident.objects.exists()
    for _ in range(2):
        assert api("DELETE", f"/api/v2/silence/{made}").status == 200
    ingest.release_due(now=timezone.now())
    assert Incident.objects.get().title == "Disk of all"
    assert api("GET", f"/api/v2/silence/{made}").json["status"] == {"state": "expired"}


def test_a_silence_is_shown_and_listed(api):
    body = silence(alertname="Disk")
    body["matchers"].append({"name": "env", "value": "prod|stage", "isRegex": True, "isEqual": False})
    made = api("POST", "/api/v2/silences", body).json["silenceID"]
    shown = api("GET", f"/api/v2/silence/{made}/").json
    assert shown == {
        **shown,
        "id": made,
        "status": {"state": "active"},
        "comment": "New disks",
        "createdBy": "dora",
        "matchers": [
            {"name": "alertname", "value": "Disk", "isRegex": False, "isEqual": True},
            {"name": "env", "value": "prod|stage", "isRegex": True, "isEqual": False},
        ],
    }
    assert api("GET", "/api/v2/silences").json == [shown]
    assert api("GET", "/api/v2/silences?filter=" + quote('alertname="Disk"')).json == [shown]
    assert api("GET", "/api/v2/silences?filter=" + quote('alertname="Up"')).json == []
    Silence.objects.update(expired_at=timezone.now() - dt.timedelta(days=9))
    assert api("GET", "/api/v2/silences").json == []


def test_a_silence_is_changed_in_place_unless_its_matchers_change(api):
    made = api("POST", "/api/v2/silences", silence(alertname="Disk")).json["silenceID"]
    changed = api("POST", "/api/v2/silences", {**silence(alertname="Disk", minutes=5), "id": made, "comment": "Soon"})
    assert changed.json["silenceID"] == made
    assert Silence.objects.get().reason == "Soon"
    moved = api("POST", "/api/v2/silences", {**silence(alertname="Up"), "id": made}).json["silenceID"]
    assert moved != made
    assert api("GET", f"/api/v2/silence/{made}").json["status"]["state"] == "expired"
    again = api("POST", "/api/v2/silences", {**silence(alertname="Disk"), "id": made}).json["silenceID"]
    assert again not in (made, moved)


def test_a_condition_that_matchers_cannot_say_survives_an_update(api, integration):
    now = timezone.now()
    condition = 'title =~ "a.*" or labels.b exists'
    row = silences.create(
        condition=condition, starts_at=now, ends_at=now + dt.timedelta(hours=1), reason="x", by=None, now=now,
        integration=integration,
    )  # fmt: skip
    shown = api("GET", f"/api/v2/silence/{row.uuid}").json
    assert shown["matchers"][0]["value"] == condition
    body = {name: shown[name] for name in ("id", "matchers", "startsAt", "endsAt", "createdBy")}
    assert api("POST", "/api/v2/silences", {**body, "comment": "y"}).json["silenceID"] == str(row.uuid)
    row.refresh_from_db()
    assert (row.condition, row.reason) == (condition, "y")


def test_mistakes_in_a_silence_are_400_in_words(api):
    good = silence(alertname="Up")
    for change in (
        {"matchers": []},
        {"matchers": "x"},
        {"matchers": [{"name": "a", "value": ""}]},
        {"matchers": [{"name": "a", "value": "(", "isRegex": True}]},
        {"matchers": [{"name": 3, "value": "x"}]},
        {"endsAt": None},
        {"endsAt": "2020-01-01T00:00:00Z"},
        {"endsAt": "2999-01-01T00:00:00Z"},
        {"startsAt": "2999-01-01T00:00:00Z"},
        {"startsAt": "9999-12-31T00:00:00Z", "endsAt": "9999-12-31T23:00:00Z"},
    ):
        reply = api("POST", "/api/v2/silences", {**good, **change})
        assert reply.status == 400, change
        assert isinstance(reply.json, str) and reply.json.endswith("."), change
    assert api("POST", "/api/v2/silences", [1]).status == 400
    for unknown in (str(uuid.uuid4()), "x", "%00"):
        assert api("GET", f"/api/v2/silence/{unknown}").status == 404
        assert api("DELETE", f"/api/v2/silence/{unknown}").status == 404
    assert api("POST", "/api/v2/silences", {**good, "id": str(uuid.uuid4())}).status == 404
    assert api("PATCH", "/api/v2/silences", good).status == 405
    assert not Silence.objects.exists()


def test_without_the_signature_that_is_asked_for_nobody_makes_a_silence(api, integration):
    Integration.objects.update(signing_secret="whk_test_secret_1")
    assert api("POST", "/api/v2/silences", silence(alertname="Up")).status == 401
    assert api("GET", "/api/v2/alerts").status == 401
    assert api("POST", "/api/v2/alerts", [alert()]).status == 401
    assert not Silence.objects.exists()


def test_a_silence_by_a_routing_key_is_for_its_service(api, service):
    made = api("POST", "/api/v2/silences", silence(alertname="Up"), key=service.routing_key).json["silenceID"]
    row = Silence.objects.get()
    assert (row.integration, row.service) == (None, service)
    assert [one["id"] for one in api("GET", "/api/v2/silences", key=service.routing_key).json] == [made]
    assert api("GET", "/api/v2/silences").json == []


# --- the rest -----------------------------------------------------------------------------------------------------


def test_status_receivers_and_health(server, api, integration):
    status = api("GET", "/api/v2/status").json
    assert status["cluster"]["status"] == "disabled"
    assert "receivers:" in status["config"]["original"]
    assert set(status) == {"cluster", "config", "uptime", "versionInfo"}
    assert api("GET", "/api/v2/receivers").json == [{"name": "watchbill"}]
    for path in ("/-/healthy", "/-/ready", f"/in/{integration.key}/-/healthy"):
        assert server.request("GET", path).body == b"OK"


def test_other_addresses_are_not_taken(server):
    for path in ("/api/v2", "/api/v2/other", "/api/v1/alerts", "/-/reload"):
        assert server.request("GET", path).body == b"pages"


def test_what_was_sent_marks_the_integration_as_alive(api, integration):
    api("POST", "/api/v2/alerts", [alert()])
    assert waits_for(lambda: Integration.objects.exclude(last_event_at=None).exists())
