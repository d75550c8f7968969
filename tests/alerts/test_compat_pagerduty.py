"""PagerDuty's addresses, over HTTP."""

import json

import pytest

from alerts.models import InboundEvent
from tests import factories
from tests.alerts.test_door import Server, sample

pytestmark = pytest.mark.django_db(transaction=True)

V1 = "/generic/2010-04-15/create_event.json"


@pytest.fixture
def server():
    with Server() as running:
        yield running


@pytest.fixture
def integration(service):
    return factories.IntegrationFactory(source="pagerduty", service=service)


def with_key(name, **key):
    return {**json.loads(sample(f"pagerduty_{name}")), **key}


@pytest.mark.parametrize("slash", ["", "/"])
def test_each_address_answers_with_and_without_a_slash(server, integration, slash):
    key = integration.key
    assert server.post(f"/v2/enqueue{slash}", with_key("trigger", routing_key=key)).status == 202
    assert server.post(f"/v2/change/enqueue{slash}", with_key("change", routing_key=key)).status == 202
    reply = server.post(f"{V1}{slash}", with_key("v1_trigger", service_key=key))
    assert (reply.status, reply.json) == (
        200,
        {"status": "success", "message": "Event processed", "incident_key": "nightly-backup"},
    )
    sources = sorted(InboundEvent.objects.values_list("source", flat=True))
    assert sources == ["pagerduty", "pagerduty_change", "pagerduty_v1"]


def test_version_1_is_taken_at_the_address_of_the_integration_too(server, integration):
    reply = server.post(f"/in/pagerduty/{integration.key}", with_key("v1_trigger", service_key="of another vendor"))
    assert (reply.status, reply.json["dedup_key"]) == (202, "nightly-backup")


def test_a_key_without_an_incident_key_gets_one_in_the_answer(server, integration):
    body = {"service_key": integration.key, "event_type": "trigger", "description": "Down"}
    key = server.post(V1, body).json["incident_key"]
    assert key == InboundEvent.objects.get().generated_key != ""


def test_mistakes_of_version_1_name_its_fields(server, integration, service):
    other = factories.IntegrationFactory(source="generic", service=service)
    for body, word in [
        ({"event_type": "trigger", "description": "x"}, "service_key"),
        ({"service_key": "0" * 32, "event_type": "trigger", "description": "x"}, "service_key"),
        ({"service_key": other.key, "event_type": "trigger", "description": "x"}, "/in/generic/<key>"),
        ({"service_key": integration.key, "event_type": "resolve"}, "incident_key"),
        ({"service_key": integration.key, "event_action": "trigger"}, "event_type"),
        ([1], "service_key"),
    ]:
        reply = server.post(V1, body)
        assert (reply.status, reply.json["status"]) == (400, "invalid event")
        assert word in reply.json["errors"][0]
    assert not InboundEvent.objects.exclude(state="poison").exists()


def test_an_overloaded_version_1_answers_403_and_version_2_429(server, integration, settings):
    settings.INGEST_QUEUE_LIMIT = 0
    assert server.post(V1, with_key("v1_trigger", service_key=integration.key)).status == 403
    assert server.post("/v2/enqueue", with_key("trigger", routing_key=integration.key)).status == 429


def test_the_internal_kinds_have_no_door_of_their_own(server, integration):
    for kind in ("pagerduty_v1", "pagerduty_change"):
        assert server.post(f"/in/{kind}/{integration.key}", {}).json["status"] == "unknown_source"
