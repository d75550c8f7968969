"""Opsgenie's addresses, over HTTP, with the events decided."""

import datetime as dt
import json
import time
import uuid
from urllib.parse import quote

import pytest
from django.utils import timezone

from alerts import ingest
from alerts.compat import opsgenie_query
from alerts.compat.opsgenie import tiny_id
from alerts.keys import KEPT_SECONDS
from alerts.models import Alert, Heartbeat, InboundEvent, Integration
from incidents.models import Incident
from tests import factories
from tests.alerts.test_door import Server, sample, waits_for

pytestmark = pytest.mark.django_db(transaction=True)

ALIAS = "search-index/replication-lag"


@pytest.fixture
def server():
    with Server(decide=ingest.decide_ids) as running:
        yield running


@pytest.fixture
def integration(service):
    return factories.IntegrationFactory(source="opsgenie", service=service)


@pytest.fixture
def call(server, integration):
    def send(method, path, body=None, key=None, **headers):
        body = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        authorization = f"GenieKey {integration.key if key is None else key}"
        return server.request(method, path, body, {"Authorization": authorization, **headers})

    return send


@pytest.fixture
def done(call):
    """Send what is answered by 202, and wait for the status of the request."""

    def send(method, path, body=None):
        reply = call(method, path, body)
        assert reply.status == 202, reply.body
        assert reply.json["result"] == "Request will be processed"
        status = f"/v2/alerts/requests/{reply.json['requestId']}"
        assert waits_for(lambda: call("GET", status).status == 200)
        return call("GET", status).json["data"]

    return send


def path_of(alias, rest="", method="alias"):
    return f"/v2/alerts/{quote(alias, safe='')}{rest}?identifierType={method}"


def test_an_alert_is_created_shown_acknowledged_and_closed(call, done, service):
    status = done("POST", "/v2/alerts", sample("opsgenie_create"))
    alert = Alert.objects.get()
    assert status == {
        **status,
        "isSuccess": True,
        "success": True,
        "action": "Create",
        "status": "Created alert",
        "alertId": str(alert.pk),
        "alias": ALIAS,
    }
    shown = call("GET", path_of(ALIAS)).json["data"]
    assert shown == {
        **shown,
        "id": str(alert.pk),
        "tinyId": tiny_id(alert.pk),
        "alias": ALIAS,
        "message": "search-index: replication lag above 120 s",
        "status": "open",
        "acknowledged": False,
        "tags": ["eu-west-1", "replication"],
        "count": 1,
        "priority": "P2",
        "source": "alertmanager",
        "entity": "search-db-2",
        "details": {"cluster": "search-prod", "lag_seconds": "143"},
        "description": "Replica search-db-2 is 143 s behind the primary.",
    }
    status = done("POST", path_of(ALIAS, "/acknowledge"), sample("opsgenie_acknowledge"))
    assert (status["action"], status["isSuccess"]) == ("Acknowledge", True)
    assert call("GET", path_of(ALIAS)).json["data"]["acknowledged"] is True
    assert Incident.objects.get().status == "acknowledged"
    status = done("POST", path_of(ALIAS, "/close"), sample("opsgenie_close"))
    assert (status["action"], status["isSuccess"], status["alertId"]) == ("Close", True, str(alert.pk))
    assert call("GET", path_of(ALIAS)).json["data"]["status"] == "closed"
    assert Incident.objects.get().status == "resolved"


def test_the_headers_and_the_ids_of_an_answer(call):
    reply = call("POST", "/v2/alerts/", {"message": "Down"})
    assert uuid.UUID(reply.json["requestId"])
    assert reply.headers["x-request-id"] == reply.json["requestId"]
    assert float(reply.headers["x-response-time"]) == reply.json["took"]
    assert reply.headers["x-ratelimit-state"] == "OK"
    assert InboundEvent.objects.get().pk == uuid.UUID(reply.json["requestId"])


@pytest.mark.parametrize("kind", ["id", "tiny", "alias"])
def test_an_alert_is_named_by_its_id_its_tiny_id_or_its_alias(call, done, kind):
    done("POST", "/v2/alerts", {"message": "Down", "alias": "a b/c/close"})
    alert = Alert.objects.get()
    name = {"id": str(alert.pk), "tiny": tiny_id(alert.pk), "alias": "a b/c/close"}[kind]
    assert call("GET", path_of(name, method=kind)).json["data"]["id"] == str(alert.pk)
    assert done("POST", path_of(name, "/notes", kind), {"note": "Looking"})["isSuccess"]
    assert done("POST", path_of(name, "/close", kind))["alertId"] == str(alert.pk)
    assert Alert.objects.get().resolved_at


def test_a_slash_in_an_alias_may_also_come_as_it_is(call, done):
    done("POST", "/v2/alerts", {"message": "Down", "alias": "a/b"})
    assert done("POST", "/v2/alerts/a/b/close?identifierType=alias")["isSuccess"]


def test_closing_what_is_not_there_is_202_and_fails_in_the_status(done):
    for path in (
        path_of("nothing", "/close"),
        path_of(str(uuid.uuid4()), "/close", "id"),
        path_of("x", "/close", "id"),
        path_of("12", "/snooze", "tiny"),
    ):
        status = done("POST", path)
        assert (status["isSuccess"], status["alertId"]) == (False, "")
        assert "does not exist" in status["status"]
    assert not Alert.objects.exists()


def test_an_open_alias_gains_an_occurrence_and_keeps_its_message(call, done):
    for message in ("First", "Second"):
        done("POST", "/v2/alerts", {"message": message, "alias": "k"})
    shown = call("GET", path_of("k")).json["data"]
    assert (shown["count"], shown["message"]) == (2, "First")


def test_the_update_calls_change_the_words(call, done):
    done("POST", "/v2/alerts", {"message": "Down", "alias": "k", "priority": "P5"})
    assert done("PUT", path_of("k", "/message"), {"message": "Very down"})["isSuccess"]
    assert done("PUT", path_of("k", "/description"), {"description": "All of it"})["isSuccess"]
    assert done("PUT", path_of("k", "/priority"), {"priority": "P1"})["isSuccess"]
    shown = call("GET", path_of("k")).json["data"]
    assert (shown["message"], shown["description"], shown["priority"]) == ("Very down", "All of it", "P1")
    assert call("PUT", path_of("k", "/priority"), {"priority": "P9"}).status == 422


def test_notes_stand_in_the_timeline(call, done):
    done("POST", "/v2/alerts", {"message": "Down", "alias": "k"})
    assert done("POST", path_of("k", "/notes"), {"note": "Rebooting it", "user": "Dora"})["isSuccess"]
    assert Incident.objects.get().timeline.filter(text__contains="Rebooting it").exists()
    notes = call("GET", path_of("k", "/notes")).json["data"]
    assert "Rebooting it" in notes[0]["note"]
    assert call("GET", path_of("k", "/logs")).json["data"]
    assert call("GET", path_of("k", "/recipients")).json["data"] == []
    assert call("POST", path_of("k", "/notes"), {}).status == 422


@pytest.mark.parametrize("verb", ["tags", "details", "responders", "teams", "unacknowledge"])
def test_the_other_calls_are_noted(done, verb):
    done("POST", "/v2/alerts", {"message": "Down", "alias": "k"})
    assert done("POST", path_of("k", f"/{verb}"), {"tags": ["a"], "details": {"b": "c"}})["isSuccess"]
    assert Alert.objects.get().resolved_at is None


def test_a_snooze_is_a_snooze(call, done):
    done("POST", "/v2/alerts", {"message": "Down", "alias": "k"})
    until = timezone.now() + dt.timedelta(hours=1)
    assert done("POST", path_of("k", "/snooze"), {"endTime": until.isoformat()})["isSuccess"]
    assert Incident.objects.get().snoozed_until == until
    assert call("GET", path_of("k")).json["data"]["snoozed"] is True
    assert not done("POST", path_of("k", "/snooze"), {"endTime": "soon"})["isSuccess"]


def test_assigning_calls_that_person_and_escalating_the_next_level(done, alice, bob):
    done("POST", "/v2/alerts", {"message": "Down", "alias": "k"})
    assert done("POST", path_of("k", "/assign"), {"owner": {"username": "bob@example.com"}})["isSuccess"]
    assert Incident.objects.get().assignee == bob
    assert not done("POST", path_of("k", "/assign"), {"owner": {"username": "nobody@example.com"}})["isSuccess"]
    level = Incident.objects.get().escalation_level
    assert done("POST", path_of("k", "/escalate"), {"escalation": {"name": "Shop"}})["isSuccess"]
    assert Incident.objects.get().escalation_level == level + 1


def test_deleting_ends_an_alert(done):
    done("POST", "/v2/alerts", {"message": "Down", "alias": "k/l"})
    status = done("DELETE", path_of("k/l"))
    assert (status["action"], status["isSuccess"]) == ("Delete", True)
    assert Alert.objects.get().resolved_at


def test_a_custom_action_is_noted(done):
    done("POST", "/v2/alerts", {"message": "Down", "alias": "k"})
    assert done("POST", path_of("k", "/actions/restart%20it"), {"user": "Dora"})["isSuccess"]
    assert Incident.objects.get().timeline.filter(text__contains="asked for the action restart it").exists()


def test_what_is_too_long_is_cut(call, done):
    long = {
        "message": "m" * 500,
        "alias": "a" * 700,
        "description": "d" * 20_000,
        "tags": ["t" * 90] * 3 + [f"t{n}" for n in range(40)],
        "note": "n" * 30_000,
    }
    assert done("POST", "/v2/alerts", long)["isSuccess"]
    alert = Alert.objects.get()
    assert len(alert.title) == 130
    assert "m" * 500 in alert.description
    assert len(alert.dedup_key) <= 255
    assert done("POST", path_of("a" * 700, "/close"))["isSuccess"]


def test_mistakes(call, integration, service):
    assert call("POST", "/v2/alerts", b"{").status == 400
    reply = call("POST", "/v2/alerts", {"alias": "k"})
    assert (reply.status, reply.json["errors"]) == (422, {"message": "Message can not be empty."})
    assert call("POST", "/v2/alerts", {"message": "x"}, key="0" * 32).status == 401
    assert call("POST", "/v2/alerts", {"message": "x"}, key="").status == 401
    other = factories.IntegrationFactory(source="generic", service=service)
    reply = call("POST", "/v2/alerts", {"message": "x"}, key=other.key)
    assert (reply.status, "/in/generic/<key>" in reply.json["message"]) == (403, True)
    assert call("GET", path_of("nothing")).status == 404
    assert call("GET", path_of("x", method="name")).status == 422
    assert call("GET", f"/v2/alerts/requests/{uuid.uuid4()}").status == 404
    assert call("GET", "/v2/alerts/requests/x").status == 404
    assert call("POST", "/v2/alerts/x/attachments", b"").status == 403
    assert call("PATCH", "/v2/alerts").status == 405
    assert not InboundEvent.objects.exclude(state="poison").exists()
    for reply in (call("GET", path_of("nothing")), call("POST", "/v2/alerts", b"[")):
        assert set(reply.json) >= {"message", "took", "requestId"}


def test_without_the_signature_that_is_asked_for_nothing_is_done_or_shown(call, done):
    done("POST", "/v2/alerts", {"message": "Down", "alias": "k"})
    Integration.objects.update(signing_secret="whk_test_secret_1")
    time.sleep(KEPT_SECONDS + 0.2)  # so long the door remembers the key
    until = (timezone.now() + dt.timedelta(hours=1)).isoformat()
    assert call("POST", path_of("k", "/snooze"), {"endTime": until}).status == 401
    assert call("GET", "/v2/alerts").status == 401
    assert Incident.objects.get().snoozed_until is None


def test_a_key_sees_its_own_alerts_only(call, done, service):
    done("POST", "/v2/alerts", {"message": "Down", "alias": "k"})
    mine = Alert.objects.get()
    other = factories.IntegrationFactory(source="opsgenie", service=service).key
    request = str(InboundEvent.objects.get().pk)
    assert call("GET", "/v2/alerts", key=other).json["data"] == []
    assert call("GET", path_of("k"), key=other).status == 404
    assert call("GET", path_of(str(mine.pk), method="id"), key=other).status == 404
    assert call("GET", f"/v2/alerts/requests/{request}", key=other).status == 404
    reply = call("POST", path_of(str(mine.pk), "/close", "id"), key=other)
    assert reply.status == 202
    assert waits_for(lambda: InboundEvent.objects.get(pk=reply.json["requestId"]).state == "decided")
    assert Alert.objects.get().resolved_at is None


def test_the_routing_key_of_a_service_works_too(call, service):
    reply = call("POST", "/v2/alerts", {"message": "Down", "alias": "k"}, key=service.routing_key)
    assert reply.status == 202
    assert InboundEvent.objects.get().scope == f"service:{service.pk}"
    assert waits_for(lambda: call("GET", path_of("k"), key=service.routing_key).status == 200)
    assert server_count(call, service.routing_key) == 1


def server_count(call, key):
    return call("GET", "/v2/alerts/count", key=key).json["data"]["count"]


def test_a_parameter_may_carry_the_key(server, integration):
    reply = server.post(f"/v2/alerts?apiKey={integration.key}", {"message": "Down"})
    assert reply.status == 202
    assert integration.key not in json.dumps(InboundEvent.objects.get().headers)


def test_the_list_is_searched_sorted_and_paged(call, integration, service):
    scope = f"integration:{integration.pk}"
    now = timezone.now()
    for number in range(5):
        factories.AlertFactory(
            scope=scope,
            integration=integration,
            service=service,
            dedup_key=f"disk/{number}",
            title=f"Disk {number} full",
            severity="critical" if number < 2 else "low",
            labels={"tag:db": "true", "entity": f"web-{number}"} if number else {},
            first_at=now - dt.timedelta(minutes=10 - number),
            resolved_at=now if number == 4 else None,
        )

    def found(query, **more):
        parameters = "&".join(f"{name}={value}" for name, value in {"query": quote(query), **more}.items())
        reply = call("GET", f"/v2/alerts?{parameters}")
        assert reply.status == 200, reply.body
        return [one["alias"][-1] for one in reply.json["data"]]

    assert found("") == ["4", "3", "2", "1", "0"]
    assert found("", order="asc", limit=2) == ["0", "1"]
    assert found("", order="asc", limit=2, offset=4) == ["4"]
    assert found("status:open") == ["3", "2", "1", "0"]
    assert found("status: closed") == ["4"]
    assert found("NOT status:open") == ["4"]
    assert found("alias:disk/3") == ["3"]
    assert found('alias:"disk/3" OR alias:disk/1') == ["3", "1"]
    assert found("priority:P1") == ["1", "0"]
    assert found("priority:(P1 OR P4) AND status:open AND tag:db") == ["3", "2", "1"]
    assert found('message:"disk 2"') == ["2"]
    assert found("Disk*3") == ["3"]
    assert found("entity:web-2") == ["2"]
    assert found("count>1") == []
    assert found(f"createdAt>{int((now - dt.timedelta(minutes=8, seconds=30)).timestamp() * 1000)}") == ["4", "3", "2"]
    assert found("acknowledged:true") == []
    paging = call("GET", "/v2/alerts?limit=2&offset=2").json["paging"]
    assert "offset=4" in paging["next"] and "offset=0" in paging["prev"]
    assert call("GET", "/v2/alerts/count?query=status%3Aopen").json["data"] == {"count": 4}
    for bad in ("colour:red", "priority:P9", "status:maybe", "(status:open", "count>x", "status:", "a\0", 'x "'):
        assert call("GET", f"/v2/alerts?query={quote(bad)}").status == 422, bad
    assert call("GET", "/v2/alerts?limit=1000").status == 422
    assert call("GET", "/v2/alerts?sort=colour").status == 422


@pytest.mark.parametrize(
    "text",
    [
        "(" * 50,
        "NOT",
        "AND",
        "x" * 2000,
        "a:b:c",
        ")",
        "status>open",
        "createdAt:soon",
        "createdAt:31-12-9999",
        "*" * 50,
    ],
)
def test_a_query_is_understood_or_refused(text):
    try:
        opsgenie_query.parse(text, now=timezone.now())
    except opsgenie_query.Wrong as wrong:
        assert str(wrong).endswith(".")


# --- heartbeats ---------------------------------------------------------------------------------------------------


def test_a_heartbeat_is_pinged_shown_and_paused(call, service):
    heartbeat = factories.HeartbeatFactory(name="nightly backup", service=service, interval_seconds=7200)
    for method in ("GET", "POST", "PUT", "PATCH"):
        reply = call(method, "/v2/heartbeats/nightly%20backup/ping")
        assert (reply.status, reply.json["result"]) == (202, "PONG - Heartbeat received")
    heartbeat.refresh_from_db()
    assert heartbeat.armed_at and heartbeat.last_ping_via == "opsgenie"
    shown = call("GET", "/v2/heartbeats/nightly%20backup").json["data"]
    assert shown == {
        **shown,
        "name": "nightly backup",
        "interval": 2,
        "intervalUnit": "hours",
        "enabled": True,
        "expired": False,
    }
    listed = call("GET", "/v2/heartbeats").json["data"]["heartbeats"]
    assert [one["name"] for one in listed] == ["nightly backup"]
    assert call("POST", "/v2/heartbeats/nightly%20backup/disable").json["data"]["enabled"] is False
    assert Heartbeat.objects.get().is_enabled is False
    assert call("POST", "/v2/heartbeats/nightly%20backup/enable").json["data"]["enabled"] is True


def test_an_unknown_heartbeat_is_404_and_so_is_one_of_another_team(call):
    strange = factories.HeartbeatFactory(name="theirs")
    for name in ("nothing", strange.name, "a%00b"):
        for rest in ("", "/ping"):
            assert call("GET", f"/v2/heartbeats/{name}{rest}").status == 404
    assert call("GET", "/v2/heartbeats").json["data"]["heartbeats"] == []
    assert call("GET", "/v2/heartbeats/nothing/ping", key="0" * 32).status == 401
    assert call("POST", "/v2/heartbeats", {"name": "x"}).status == 403
    assert call("DELETE", "/v2/heartbeats/theirs").status == 403
