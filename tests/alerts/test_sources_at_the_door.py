"""From a request of each sender over HTTP to an alert, and back: the real door, the real database, the real ingest."""

import json
from urllib.parse import urlencode

import pytest
from django.utils import timezone

from alerts import ingest
from alerts.models import Alert, InboundEvent
from incidents.models import Incident
from tests import factories
from tests.alerts.test_door import Server
from tests.samples import PAYLOADS, sample

pytestmark = pytest.mark.django_db(transaction=True)

# kind, what fires, what resolves, the status that its sender wants
PAIRS = [
    ("alertmanager", "alertmanager_firing", "alertmanager_resolved", 200),
    ("grafana", "grafana_firing", "grafana_resolved", 200),
    ("oncall", "oncall_formatted_alerting", "oncall_formatted_ok", 200),
    ("datadog", "datadog_triggered", "datadog_recovered", 202),
    ("newrelic", "newrelic_activated", "newrelic_closed", 202),
    ("azure", "azure_fired", "azure_resolved", 202),
    ("gcp", "gcp_open", "gcp_closed", 202),
    ("zabbix", "zabbix_problem", "zabbix_recovery", 202),
    ("uptimekuma", "uptimekuma_down", "uptimekuma_up", 202),
    ("healthchecks", "healthchecks_down", "healthchecks_up", 200),
    ("statuspage", "statuspage_incident", "statuspage_incident_resolved", 202),
]


@pytest.fixture
def server():
    with Server() as running:
        yield running


@pytest.fixture
def door(server, service, alice):
    """Send a body as this kind of sender does and decide it; returns the answer."""
    doors = {}

    def send(kind, body, *, method="POST", query="", headers=(), **options):
        if kind not in doors:
            doors[kind] = factories.IntegrationFactory(source=kind, service=service, options=options)
        reply = server.request(method, f"/in/{kind}/{doors[kind].key}{query}", body, headers)
        waiting = InboundEvent.objects.filter(state=InboundEvent.State.PENDING)
        ingest.decide_ids(list(waiting.values_list("pk", flat=True)), now=timezone.now())
        return reply

    return send


def body_of(name):
    return (PAYLOADS / f"{name}.json").read_bytes()


@pytest.mark.parametrize(("kind", "fires", "resolves", "status"), PAIRS, ids=[pair[0] for pair in PAIRS])
def test_an_alert_opens_and_ends(door, kind, fires, resolves, status):
    assert door(kind, body_of(fires)).status == status
    alert = Alert.objects.get()
    assert (alert.status, alert.source, alert.incident.is_open) == ("firing", kind, True)
    assert door(kind, body_of(resolves)).status == status
    alert.refresh_from_db()
    assert (alert.status, alert.incident.status) == ("resolved", "resolved")
    assert Alert.objects.count() == 1


@pytest.mark.parametrize("kind", ["alertmanager", "grafana"])
def test_a_group_opens_and_ends_as_one_alert(door, kind):
    door(kind, body_of(f"{kind}_firing"), mode="group")
    assert Alert.objects.get().status == "firing"
    door(kind, body_of(f"{kind}_resolved"))
    assert Alert.objects.get().status == "resolved"


def test_oncall_is_answered_word_for_word(door):
    reply = door("oncall", body_of("oncall_formatted_alerting"))
    assert (reply.status, reply.body) == (200, b'"Ok."')


def test_an_acknowledgement_in_zabbix_is_one_here(door):
    door("zabbix", body_of("zabbix_problem"))
    door("zabbix", body_of("zabbix_update_ack"))
    assert Incident.objects.get().status == "acknowledged"


@pytest.mark.parametrize(
    ("kind", "name"),
    [("gcp", "gcp_test"), ("uptimekuma", "uptimekuma_test"), ("statuspage", "statuspage_component")],
)
def test_what_calls_for_nothing_is_kept_with_the_reason(door, kind, name):
    assert door(kind, body_of(name)).status == 202
    assert not Alert.objects.exists()
    (outcome,) = InboundEvent.objects.get(state="decided").result
    assert outcome["outcome"] == "ignored"
    assert outcome["reasons"]


def test_uptime_kuma_may_send_a_query(door):
    for name in ("uptimekuma_down", "uptimekuma_up"):
        data = sample(name)
        data["monitor"]["description"] = "long " * 200  # more than is kept of any other header
        query = urlencode({key: value if key == "msg" else json.dumps(value) for key, value in data.items()})
        assert door("uptimekuma", b"", method="GET", query=f"?{query}").status == 202
    alert = Alert.objects.get()
    assert (alert.dedup_key, alert.status) == ("monitor:14", "resolved")


def test_uptime_kuma_may_send_a_form(door):
    text = body_of("uptimekuma_down").decode()
    form = f'--x\r\nContent-Disposition: form-data; name="data"\r\n\r\n{text}\r\n--x--\r\n'.encode()
    headers = {"content-type": "multipart/form-data; boundary=x"}
    assert door("uptimekuma", form, headers=headers).status == 202
    assert Alert.objects.get().title == "Checkout health is down"


@pytest.mark.parametrize("kind", [pair[0] for pair in PAIRS])
def test_what_is_no_object_is_refused_with_a_sentence(door, kind):
    for body in (b"[]", b'"text"', b"17", b"null"):
        reply = door(kind, body)
        assert reply.status == 400
        assert reply.json["errors"][0]["message"].endswith(".")
    assert not InboundEvent.objects.exclude(state="poison").exists()
