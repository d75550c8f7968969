"""The vendors' own Python clients, with only the address changed."""

import datetime as dt

import opsgenie_sdk
import pagerduty
import pytest
from django.utils import timezone

from alerts.models import Alert, ChangeEvent
from incidents.models import Incident
from tests import factories
from tests.house import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


# --- pagerduty ----------------------------------------------------------------------------------------------------


@pytest.fixture
def events(server, key_of):
    client = pagerduty.EventsApiV2Client(key_of("pagerduty"))
    client._url = server.url  # the client refuses http:// in its argument
    client.retry[429] = 3
    return client


def test_pagerdutys_client_triggers_acknowledges_and_resolves(events):
    key = events.trigger(
        "Pool exhausted",
        "web-03",
        severity="error",
        custom_details={"pool": 50},
        links=[{"href": "https://runbooks.example.com/pool", "text": "Runbook"}],
    )
    incident = wait_until(Incident.objects.first, 10, "an incident opens")
    assert (incident.title, incident.severity) == ("Pool exhausted", "high")
    assert events.acknowledge(key) == key
    wait_until(lambda: Incident.objects.filter(status="acknowledged").exists(), 10, "it is acknowledged")
    assert events.resolve(key) == key
    wait_until(lambda: Incident.objects.filter(status="resolved").exists(), 10, "it is resolved")


def test_pagerdutys_client_submits_a_change(events):
    events.submit("Deployed 2.4", source="ci", timestamp="2026-06-01T11:59:00Z", custom_details={"build": 7}, links=[])
    change = wait_until(ChangeEvent.objects.first, 10, "the change is kept")
    assert (change.title, change.labels["build"]) == ("Deployed 2.4", "7")
    assert not Alert.objects.exists()


def test_pagerdutys_client_is_told_about_an_unknown_key(server):
    client = pagerduty.EventsApiV2Client("0" * 32)
    client._url = server.url
    with pytest.raises(pagerduty.Error, match="400|invalid"):
        client.trigger("Pool exhausted", "web-03")


# --- opsgenie_sdk -------------------------------------------------------------------------------------------------


@pytest.fixture
def opsgenie(server, key_of):
    settings = opsgenie_sdk.Configuration()
    settings.host = server.url
    settings.api_key["Authorization"] = key_of("opsgenie")
    settings.retry_enabled = False
    client = opsgenie_sdk.ApiClient(configuration=settings)
    yield client
    client.rest_client.pool_manager.clear()


@pytest.fixture
def alerts(opsgenie):
    return opsgenie_sdk.AlertApi(api_client=opsgenie)


def settled(alerts, answer):
    """The status of a request, asked for as the vendor's examples do."""

    def asked():
        try:
            return alerts.get_request_status(answer.request_id)
        except opsgenie_sdk.ApiException as error:
            assert error.status == 404
            return None

    return wait_until(asked, 10, "the request is processed").data


def test_opsgenies_client_creates_reads_acknowledges_and_closes(alerts):
    body = opsgenie_sdk.CreateAlertPayload(
        message="Disk full",
        alias="disk/web 03",
        description="3 GB left",
        tags=["disk", "prod"],
        details={"mount": "/srv"},
        entity="web-03",
        priority="P2",
        responders=[{"name": "shop", "type": "team"}],
    )
    created = settled(alerts, alerts.create_alert(create_alert_payload=body))
    assert (created.is_success, created.alias, created.action) == (True, "disk/web 03", "Create")

    shown = alerts.get_alert(identifier="disk/web 03", identifier_type="alias").data
    assert (shown.id, shown.status, shown.priority, shown.count) == (created.alert_id, "open", "P2", 1)
    assert (sorted(shown.tags), shown.details, shown.entity) == (["disk", "prod"], {"mount": "/srv"}, "web-03")
    assert isinstance(shown.created_at, dt.datetime)
    assert alerts.get_alert(identifier=shown.tiny_id, identifier_type="tiny").data.id == shown.id
    assert [one.id for one in alerts.list_alerts(query="status:open AND tag:disk").data] == [shown.id]
    assert alerts.count_alerts(query="status:closed").data.count == 0

    note = opsgenie_sdk.AddNoteToAlertPayload(note="Looking", user="dora", source="test")
    assert settled(alerts, alerts.add_note(identifier=shown.id, add_note_to_alert_payload=note)).is_success
    assert "Looking" in alerts.list_notes(identifier=shown.id).data[0].note
    taken = alerts.acknowledge_alert(identifier=shown.id, acknowledge_alert_payload={"user": "dora"})
    assert settled(alerts, taken).is_success
    assert alerts.get_alert(identifier=shown.id).data.acknowledged is True
    assert Incident.objects.get().status == "acknowledged"
    until = timezone.now() + dt.timedelta(hours=1)
    snoozed = alerts.snooze_alert(
        identifier=shown.id, snooze_alert_payload=opsgenie_sdk.SnoozeAlertPayload(end_time=until)
    )
    assert settled(alerts, snoozed).is_success
    assert alerts.get_alert(identifier=shown.id).data.snoozed is True
    payload = opsgenie_sdk.UpdateAlertMessagePayload(message="Disk nearly full")
    updated = alerts.update_alert_message(identifier=shown.id, update_alert_message_payload=payload)
    assert settled(alerts, updated).is_success

    closed = alerts.close_alert(identifier="disk/web 03", identifier_type="alias", close_alert_payload={"note": "ok"})
    assert settled(alerts, closed).action == "Close"
    shown = alerts.get_alert(identifier=shown.id).data
    assert (shown.status, shown.message) == ("closed", "Disk nearly full")
    assert Incident.objects.get().status == "resolved"


def test_opsgenies_client_may_wait_for_the_result_itself(alerts):
    answer = alerts.create_alert(create_alert_payload={"message": "Disk full"})
    assert answer.retrieve_result().data.is_success is True
    assert answer.id == str(Alert.objects.get().pk)
    assert answer.retrieve_resulting_action().data.message == "Disk full"


def test_opsgenies_client_deletes_and_removes_tags(alerts):
    created = settled(alerts, alerts.create_alert(create_alert_payload={"message": "Disk full", "alias": "d"}))
    assert settled(alerts, alerts.remove_tags(identifier="d", identifier_type="alias", tags=["a"])).is_success
    assert settled(alerts, alerts.delete_alert(identifier=created.alert_id, user="dora")).is_success
    assert Alert.objects.get().resolved_at


def test_opsgenies_client_is_told_what_is_wrong(alerts, opsgenie):
    with pytest.raises(opsgenie_sdk.OpenApiException) as raised:
        alerts.create_alert(create_alert_payload={"message": ""})
    assert (raised.value.status, "Message can not be empty" in raised.value.body) == (422, True)
    with pytest.raises(opsgenie_sdk.OpenApiException) as raised:
        alerts.get_alert(identifier="nothing", identifier_type="alias")
    assert raised.value.status == 404
    opsgenie.configuration.api_key["Authorization"] = "0" * 32
    with pytest.raises(opsgenie_sdk.OpenApiException) as raised:
        alerts.list_alerts()
    assert raised.value.status == 401


def test_opsgenies_client_pings_a_heartbeat(opsgenie, service):
    heartbeat = factories.HeartbeatFactory(name="nightly backup", service=service)
    beats = opsgenie_sdk.HeartbeatApi(api_client=opsgenie)
    assert "PONG" in beats.ping("nightly backup").result
    heartbeat.refresh_from_db()
    assert heartbeat.last_ping_at
    assert beats.get_heartbeat("nightly backup").data.enabled is True
    assert [one.name for one in beats.list_heart_beats().data.heartbeats] == ["nightly backup"]
    assert beats.disable_heartbeat("nightly backup").data.enabled is False
    assert beats.enable_heartbeat("nightly backup").data.enabled is True
    with pytest.raises(opsgenie_sdk.OpenApiException) as raised:
        beats.ping("nothing")
    assert raised.value.status == 404
