"""Grafana OnCall's addresses, over HTTP."""

import json

import pytest

from alerts.compat.oncall import TYPES
from alerts.models import InboundEvent, sources
from tests import factories
from tests.alerts.test_door import TRIGGER, Server, sample

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def server():
    with Server() as running:
        yield running


@pytest.fixture
def key_of(service):
    return lambda kind: factories.IntegrationFactory(source=kind, service=service).key


FORMATTED = {"alert_uid": "disk/web-03", "title": "Disk full", "state": "alerting", "message": "3 GB left"}


@pytest.mark.parametrize("slash", ["", "/"])
def test_the_answer_is_exactly_200_ok(server, key_of, slash):
    for kind, body, name in [
        ("oncall", FORMATTED, "formatted_webhook"),
        ("generic", TRIGGER, "webhook"),
        ("alertmanager", json.loads(sample("alertmanager_firing")), "alertmanager"),
        ("alertmanager", json.loads(sample("alertmanager_firing")), "alertmanager_v2"),
    ]:
        reply = server.post(f"/integrations/v1/{name}/{key_of(kind)}{slash}", body)
        assert (reply.status, reply.json) == (200, "Ok.")
        assert InboundEvent.objects.latest("received_at").source == kind


def test_every_type_leads_to_a_source_that_there_is():
    assert set(TYPES.values()) <= set(sources.classes())


def test_a_webhook_is_read_as_the_integration_of_the_key_says(server, key_of):
    for kind, body in (("oncall", FORMATTED), ("generic", FORMATTED), ("uptimekuma", sample("uptimekuma_down"))):
        assert server.post(f"/integrations/v1/webhook/{key_of(kind)}/", body).status == 200
        assert InboundEvent.objects.latest("received_at").source == kind


def test_the_routing_key_of_a_service_works_with_the_type_of_the_address(server, service):
    for name, kind in (("formatted_webhook", "oncall"), ("webhook", "generic"), ("elastalert", "generic")):
        assert server.post(f"/integrations/v1/{name}/{service.routing_key}/", FORMATTED).status == 200
        assert InboundEvent.objects.latest("received_at").source == kind


def test_a_key_of_another_source_and_an_unknown_one_are_told(server, key_of):
    reply = server.post(f"/integrations/v1/alertmanager/{key_of('generic')}/", sample("alertmanager_firing"))
    assert (reply.status, "/in/generic/<key>" in reply.json["message"]) == (404, True)
    assert server.post(f"/integrations/v1/webhook/{'0' * 32}/", TRIGGER).status == 404
    assert server.post("/integrations/v1/webhook/", TRIGGER).body == b"pages"
    assert not InboundEvent.objects.exclude(state="poison").exists()


def test_files_are_refused(server, key_of):
    body = b'--b\r\nContent-Disposition: form-data; name="f"; filename="x.txt"\r\n\r\nx\r\n--b--\r\n'
    for kind in ("generic", "oncall"):
        path = f"/integrations/v1/webhook/{key_of(kind)}/"
        reply = server.post(path, body, {"Content-Type": "multipart/form-data; boundary=b"})
        assert (reply.status, "File uploads" in reply.json["detail"]) == (400, True)
    assert not InboundEvent.objects.exclude(state="poison").exists()


def test_the_heartbeat_of_an_integration(server, service):
    integration = factories.IntegrationFactory(source="alertmanager", service=service)
    path = f"/integrations/v1/alertmanager/{integration.key}/heartbeat/"
    reply = server.post(path, {})
    assert (reply.status, "no heartbeat" in reply.json["detail"]) == (404, True)
    heartbeat = factories.HeartbeatFactory(service=service, integration=integration)
    for method in ("GET", "POST"):
        assert server.request(method, path).json == "Ok."
    heartbeat.refresh_from_db()
    assert (heartbeat.last_ping_via, heartbeat.armed_at is None) == ("oncall", False)
    assert server.request("DELETE", path).status == 405
    assert server.post(f"/integrations/v1/alertmanager/{'0' * 32}/heartbeat/", {}).status == 404
