"""Limits at the door: known senders meet none, guessing is told to wait, and no event goes without a word."""

import pytest

from alerts.models import InboundEvent
from core import limits
from notifications.models import Alarm
from tests import factories
from tests.alerts.test_door import TRIGGER, Server
from tests.fakes.redis_server import redis_server

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def tight(settings):
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "inbound": "5/minute", "unknown_keys": "3/minute"}


@pytest.fixture
def server():
    with Server() as running:
        yield running


@pytest.fixture
def integration(service):
    return factories.IntegrationFactory(source="generic", service=service)


def settled(server, *arguments):
    """A reply, after its request was counted."""
    reply = server.post(*arguments)
    limits.limiter().settle()
    return reply


def test_a_key_above_its_limit_is_told_to_come_again_and_nothing_is_stored(server, integration, tight):
    address = f"/in/generic/{integration.key}"
    assert [settled(server, address).status for _ in range(5)] == [202] * 5
    reply = settled(server, address)
    assert reply.status == 429
    assert 1 <= int(reply.headers["Retry-After"]) <= 12
    assert reply.headers["RateLimit-Policy"] == '"inbound";q=5;w=60'
    assert reply.json["status"] == "too_many_requests"
    assert "Nothing was stored" in reply.json["message"]
    assert InboundEvent.objects.count() == 5
    assert limits.refusals() == {"inbound": 1}


def test_the_admins_hear_of_an_integration_above_its_limit(integration, tight):
    with Server() as server:  # its end waits for what is being written
        for _ in range(6):
            settled(server, f"/in/generic/{integration.key}")
    assert "More than 5 requests came with its key" in Alarm.objects.get(key=f"refused:{integration.pk}").text


def test_another_key_is_not_touched(server, integration, service, tight):
    for _ in range(6):
        settled(server, f"/in/generic/{integration.key}")
    other = factories.IntegrationFactory(source="generic", service=service)
    assert server.post(f"/in/generic/{other.key}").status == 202


ALERTMANAGER = {"version": "4", "status": "firing", "alerts": [{"status": "firing", "labels": {"alertname": "Disk"}}]}
PAGERDUTY = {"event_action": "trigger", "payload": {"summary": "Disk", "source": "web-1", "severity": "critical"}}


@pytest.mark.parametrize(
    ("source", "path", "body", "status"),
    [
        ("alertmanager", "/in/alertmanager/{key}", ALERTMANAGER, 503),  # it would never send again after 429
        ("prometheus", "/in/{key}/api/v2/alerts", ALERTMANAGER["alerts"], 503),
        ("grafana", "/in/grafana/{key}", ALERTMANAGER, 503),
        ("pagerduty", "/v2/enqueue", PAGERDUTY, 429),
        ("oncall", "/integrations/v1/webhook/{key}/", {"title": "Disk"}, 429),
        ("opsgenie", "/v2/alerts", {"message": "Disk"}, 429),
    ],
)
def test_each_protocol_says_it_so_that_its_sender_comes_again(server, service, tight, source, path, body, status):
    integration = factories.IntegrationFactory(source=source, service=service)
    headers = {"Authorization": f"GenieKey {integration.key}"} if source == "opsgenie" else {}
    if source == "pagerduty":
        body = {**body, "routing_key": integration.key}
    path = path.format(key=integration.key)
    replies = [settled(server, path, body, headers) for _ in range(6)]
    assert [reply.status < 300 for reply in replies[:5]] == [True] * 5, replies[0].body
    assert replies[5].status == status
    assert int(replies[5].headers["Retry-After"]) >= 1
    assert InboundEvent.objects.count() == 5


def test_guessing_keys_is_told_to_wait_and_a_right_key_from_there_comes_in(server, integration, tight):
    guesses = [settled(server, f"/in/generic/{number:032x}") for number in range(5)]
    assert [reply.status for reply in guesses] == [404, 404, 404, 429, 429]
    assert int(guesses[4].headers["Retry-After"]) >= 1
    assert "keys that nobody has" in guesses[4].json["message"]
    assert server.post(f"/in/generic/{integration.key}").status == 202


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/api/v1/alerts", {"Authorization": "Bearer wb_0123456789ab_" + "x" * 43}),
        ("/in/heartbeat/" + "0" * 32, {}),
        ("/v2/alerts", {"Authorization": "GenieKey 0123"}),
        ("/integrations/v1/webhook/" + "0" * 32 + "/", {}),
        ("/in/" + "0" * 32 + "/api/v2/alerts", {}),
    ],
)
def test_every_door_counts_guesses(server, db, tight, path, headers):
    replies = [settled(server, path, TRIGGER, headers) for _ in range(4)]
    assert replies[2].status in (401, 404)
    assert replies[3].status in (429, 503)
    assert int(replies[3].headers["Retry-After"]) >= 1


def test_an_alert_by_the_api_says_what_is_left(server, service, alice):
    headers = {"Authorization": f"Bearer {factories.ApiKeyFactory(user=alice).text}"}
    reply = server.post("/api/v1/alerts", {**TRIGGER, "service": service.slug}, headers)
    assert reply.status == 202
    assert reply.headers["RateLimit-Limit"] == "100000"


def test_when_the_store_dies_events_pass_and_when_it_is_back_they_are_counted(
    server, integration, tight, settings, tmp_path
):
    address = f"/in/generic/{integration.key}"
    with redis_server(tmp_path) as redis:
        settings.RATE_LIMIT_STORE, settings.REDIS_URL = "shared", redis.url
        limits.forget()
        assert settled(server, address).status == 202
        redis.kill()
        assert [settled(server, address).status for _ in range(20)] == [202] * 20
        assert not limits.limiter().is_up
    assert InboundEvent.objects.count() == 21
