"""A sender that is refused by its signature: it gets a sentence, and the admins an alarm."""

import hashlib
import hmac
import json

import pytest

from alerts.models import InboundEvent
from alerts.refusals import KEPT_AN_HOUR
from notifications.models import Alarm
from tests import factories
from tests.alerts.test_door import Server, waits_for

pytestmark = pytest.mark.django_db(transaction=True)

SECRET = "whk_test_secret_1"
BODY = json.dumps({"title": "Disk full", "alerts": []}).encode()


def open_alarms():
    return Alarm.objects.filter(cleared_at=None, key__startswith="refused:")


@pytest.fixture
def server(db):
    with Server() as running:
        yield running


def signature(secret=SECRET, body=BODY):
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def test_a_wrong_secret_is_said_to_the_sender_and_to_the_admins_once(server, service):
    integration = factories.IntegrationFactory(service=service, signing_secret=SECRET, name="Monitor")
    address = f"/in/generic/{integration.key}"
    for _ in range(3):
        reply = server.post(address, BODY, {"X-Signature-256": f"sha256={signature('another')}"})
        assert reply.status == 401
        assert "does not match" in reply.json["message"]
    assert waits_for(lambda: open_alarms().exists())
    alarm = open_alarms().get()
    assert (alarm.key, alarm.count) == (f"refused:{integration.pk}", 1)
    assert "“Monitor” turns its sender away" in alarm.text
    assert SECRET not in alarm.text
    assert not InboundEvent.objects.exists()
    assert server.post(address, BODY, {"X-Signature-256": f"sha256={signature()}"}).status == 202
    assert waits_for(lambda: not open_alarms().exists())


def test_an_alarm_of_another_process_ends_with_a_good_request_too(server, service, now):
    integration = factories.IntegrationFactory(service=service, signing_secret=SECRET)
    Alarm.objects.create(key=f"refused:{integration.pk}", text="x", raised_at=now, last_at=now)
    address = f"/in/generic/{integration.key}"

    def is_over():
        assert server.post(address, BODY, {"X-Signature-256": f"sha256={signature()}"}).status == 202
        return not open_alarms().exists()

    assert waits_for(is_over)


def test_the_key_of_a_service_has_no_integration_to_name(server, service):
    reply = server.post(f"/in/cloudwatch/{service.routing_key}", b"{}")
    assert reply.status == 401
    assert not open_alarms().exists()


@pytest.mark.parametrize("options", [{}, {"signature_header": "X-Mine"}])
def test_grafana_signs_in_the_header_that_the_integration_names(server, service, options):
    integration = factories.IntegrationFactory(
        source="grafana", service=service, signing_secret=SECRET, options=options
    )
    header = options.get("signature_header", "X-Grafana-Alerting-Signature")
    address = f"/in/grafana/{integration.key}"
    assert server.post(address, BODY, {header: signature("another")}).status == 401
    assert server.post(address, BODY, {"X-Other": signature()}).status == 401
    assert server.post(address, BODY, {header: signature()}).status < 300


# --- what cannot be read ------------------------------------------------------------------------------------------


def unreadable():
    return Alarm.objects.filter(cleared_at=None, key__startswith="unreadable:")


def test_what_cannot_be_read_is_kept_and_said_to_the_admins_until_something_can(server, service):
    integration = factories.IntegrationFactory(service=service, name="Monitor")
    address = f"/in/generic/{integration.key}"
    for body in (b"{oops", json.dumps({"severity": "high"}).encode()):
        assert server.post(address, body).status == 400
    assert waits_for(lambda: InboundEvent.objects.count() == 2 and unreadable().exists())
    rows = {bytes(row.body): row for row in InboundEvent.objects.all()}
    row = rows[b'{"severity": "high"}']
    assert (row.state, row.integration, row.due_at, row.source) == ("poison", integration, None, "generic")
    assert "A trigger needs a title" in row.error
    alarm = unreadable().get()
    assert (alarm.key, alarm.count) == (f"unreadable:{integration.pk}", 1)
    assert "“Monitor” was sent what it cannot read as an event" in alarm.text
    assert server.post(address, BODY).status == 202
    assert waits_for(lambda: not unreadable().exists())


def test_a_sender_that_is_set_up_wrongly_does_not_fill_the_database(db, service):
    integration = factories.IntegrationFactory(service=service)
    with Server() as server:
        for _ in range(KEPT_AN_HOUR + 5):
            assert server.post(f"/in/generic/{integration.key}", b"[]").status == 400
    assert InboundEvent.objects.count() == KEPT_AN_HOUR


def test_what_is_mended_at_once_leaves_no_alarm(db, service):
    integration = factories.IntegrationFactory(service=service)
    with Server() as server:
        assert server.post(f"/in/generic/{integration.key}", b"[]").status == 400
        assert server.post(f"/in/generic/{integration.key}", BODY).status == 202
    assert Alarm.objects.get(key=f"unreadable:{integration.pk}").cleared_at
