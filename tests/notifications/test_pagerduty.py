"""PagerDuty: which news become which events, and what its answers mean."""

import dataclasses
import json
import uuid

import pytest
from django.utils import timezone

from alerts.sources.pagerduty import PagerDuty as Source
from core.errors import SendError
from incidents import lifecycle
from notifications import outbox
from notifications.channels.base import DeadAddress, Outgoing
from notifications.channels.pagerduty import PagerDuty
from tests.factories import DestinationFactory, SubscriptionFactory
from tests.fakes.pagerduty import KEY, FakePagerDuty
from tests.fakes.server import running
from tests.notifications.conftest import NOW, make_message

DATA = {
    "event": "incident.triggered",
    "incident": {
        "priority": "P2",
        "service": {"slug": "checkout", "name": "Checkout"},
        "team": "shop",
        "triggered_at": "2026-05-04T10:15:00.000Z",
    },
}


@pytest.fixture
def pagerduty(settings):
    settings.HTTP_ALLOW_PRIVATE = ["127.0.0.1"]
    settings.SITE_NAME = "Watchbill"
    with running(FakePagerDuty()) as server:
        yield server


@pytest.fixture
def outgoing(pagerduty):
    message = make_message(
        severity="critical",
        fields=(("Service", "Checkout"), ("Runbook", "https://runbooks.example.com/db")),
        data=DATA,
    )
    return Outgoing(
        message=message,
        uuid=uuid.UUID("5b0a6f0e-0000-4000-8000-000000000001"),
        topic="incident:42",
        at=NOW,
        notes=("Late.",),
        options={"url": pagerduty.url("/v2/enqueue")},
    )


def saying(outgoing, kind, event, **more):
    data = {**DATA, "event": f"incident.{event}"}
    return dataclasses.replace(outgoing, message=dataclasses.replace(outgoing.message, kind=kind, data=data, **more))


def test_an_incident_is_opened_with_all_that_a_responder_needs(pagerduty, outgoing):
    accepted = PagerDuty().send(KEY, outgoing)
    assert pagerduty.events == [
        {
            "routing_key": KEY,
            "event_action": "trigger",
            "dedup_key": "incident-42",
            "client": "Watchbill",
            "client_url": "https://oncall.example.com/incidents/42",
            "payload": {
                "summary": "Checkout errors",
                "source": "Checkout",
                "severity": "error",
                "component": "checkout",
                "group": "shop",
                "timestamp": "2026-05-04T10:15:00.000Z",
                "custom_details": {
                    "Service": "Checkout",
                    "Runbook": "https://runbooks.example.com/db",
                    "text": "5 % of orders fail.",
                    "notes": "Late.",
                },
            },
            "links": [{"href": "https://runbooks.example.com/db", "text": "Runbook"}],
        }
    ]
    assert accepted.provider_id == "incident-42"
    assert accepted.answer == "Event processed"


def test_a_preview_shows_the_event_without_the_key(outgoing):
    event = json.loads(PagerDuty().preview(outgoing)["Event"])
    assert (event["routing_key"], event["dedup_key"]) == ("…", "incident-42")
    assert PagerDuty().preview(saying(outgoing, "update", "note_added")) == {"Event": "Nothing is sent."}


def test_taking_and_ending_an_incident_is_passed_on(pagerduty, outgoing):
    PagerDuty().send(KEY, outgoing)
    PagerDuty().send(KEY, saying(outgoing, "acknowledged", "acknowledged"))
    assert pagerduty.incidents == {"incident-42": "acknowledged"}
    PagerDuty().send(KEY, saying(outgoing, "resolved", "resolved"))
    assert pagerduty.incidents == {"incident-42": "resolved"}


@pytest.mark.parametrize(
    "kind, event", [("update", "escalated"), ("page", "escalated"), ("update", "note_added"), ("handoff", "x")]
)
def test_an_escalation_of_ours_opens_nothing_there(pagerduty, outgoing, kind, event):
    accepted = PagerDuty().send(KEY, saying(outgoing, kind, event))
    assert pagerduty.events == []
    assert "Not passed on" in accepted.answer


@pytest.mark.parametrize(
    "priority, severity", [("P1", "critical"), ("P2", "error"), ("P3", "warning"), ("P4", "info"), ("P5", "info")]
)
def test_severity_follows_the_priority(pagerduty, outgoing, priority, severity):
    data = {**DATA, "incident": {**DATA["incident"], "priority": priority}}
    message = dataclasses.replace(outgoing.message, data=data)
    PagerDuty().send(KEY, dataclasses.replace(outgoing, message=message))
    assert pagerduty.events[0]["payload"]["severity"] == severity


def test_without_a_priority_severity_follows_ours(pagerduty, outgoing):
    message = make_message(severity="medium")
    PagerDuty().send(KEY, dataclasses.replace(outgoing, message=message))
    assert pagerduty.events[0]["payload"]["severity"] == "warning"


def test_a_test_leaves_nothing_open(pagerduty, outgoing):
    message = make_message(kind="test", thread="", title="A test")
    PagerDuty().send(KEY, dataclasses.replace(outgoing, message=message))
    assert [one["event_action"] for one in pagerduty.events] == ["trigger", "resolve"]
    assert pagerduty.events[0]["payload"]["severity"] == "info"
    assert list(pagerduty.incidents.values()) == ["resolved"]


def test_what_is_too_long_is_cut_and_what_is_too_much_left_out(pagerduty, outgoing):
    message = dataclasses.replace(outgoing.message, title="x" * 2000, body="y" * 600_000, thread="t" * 300)
    PagerDuty().send(KEY, dataclasses.replace(outgoing, message=message))
    (event,) = pagerduty.events
    assert len(event["payload"]["summary"]) == 1024
    assert len(event["dedup_key"]) == 255
    assert "custom_details" not in event["payload"]
    assert pagerduty.sizes[0] < 512_000


def test_a_refusal_is_final_and_says_why(pagerduty, outgoing):
    with pytest.raises(SendError, match="'routing_key' is invalid") as error:
        PagerDuty().send("0" * 32, outgoing)
    assert error.value.permanent
    assert not isinstance(error.value, DeadAddress)
    assert "0" * 32 not in error.value.message


@pytest.mark.parametrize("status, after, seconds", [(429, None, 30), (429, "90", 90), (503, "1", 30), (408, None, 30)])
def test_trouble_is_tried_again_after_half_a_minute_at_the_earliest(pagerduty, outgoing, status, after, seconds):
    pagerduty.answers.append((status, {"Retry-After": after} if after else {}))
    with pytest.raises(SendError) as error:
        PagerDuty().send(KEY, outgoing)
    assert not error.value.permanent
    assert error.value.retry_after == seconds


def test_a_server_that_is_not_there_is_tried_again_as_well(pagerduty, outgoing):
    with pytest.raises(SendError) as error:
        PagerDuty().send(KEY, dataclasses.replace(outgoing, options={"url": "http://127.0.0.1:9/"}))
    assert not error.value.permanent
    assert error.value.retry_after == 30


def test_a_200_of_somebody_else_is_no_success(pagerduty, outgoing):
    pagerduty.answers.append((200, {}))
    with pytest.raises(SendError, match="not PagerDuty's") as error:
        PagerDuty().send(KEY, outgoing)
    assert error.value.permanent


def test_the_key_is_a_secret():
    channel = PagerDuty()
    assert channel.is_address_secret
    assert channel.shown(KEY) == "…c3e8"
    assert channel.shown("short") == "…"
    assert channel.problem_with(KEY) == ""
    assert "32 letters" in channel.problem_with(KEY[:-1])
    assert set(channel.problems_with_options({"url": "ftp://example.com"})) == {"url"}
    assert channel.problems_with_options({"url": "https://events.eu.pagerduty.com/v2/enqueue"}) == {}


def test_our_own_door_for_pagerduty_understands_what_we_send(pagerduty, outgoing):
    for message in (outgoing, saying(outgoing, "resolved", "resolved")):
        PagerDuty().send(KEY, message)
    opened, ended = (Source().parse(json.dumps(event).encode(), {})[0] for event in pagerduty.events)
    assert opened.title == "Checkout errors"
    assert opened.severity == "high"
    assert opened.dedup_key == ended.dedup_key == "incident-42"
    assert (opened.action, ended.action) == ("trigger", "resolve")


def test_a_team_that_subscribed_has_its_incidents_there(pagerduty, service):
    url = pagerduty.url("/v2/enqueue")
    place = DestinationFactory(channel="pagerduty", address=KEY, options={"url": url}, name="PagerDuty")
    SubscriptionFactory(destination=place, service=service)
    alice = service.policy.levels.first().targets.first().user
    incident = lifecycle.trigger(service, title="Checkout is down", severity="critical", now=timezone.now())
    key = f"incident-{incident.pk}"
    outbox.deliver(timezone.now())
    assert pagerduty.incidents == {key: "triggered"}
    lifecycle.escalate(incident.pk, by=alice, now=timezone.now())
    outbox.deliver(timezone.now())
    assert len(pagerduty.events) == 1
    lifecycle.acknowledge(incident.pk, by=alice, now=timezone.now())
    outbox.deliver(timezone.now())
    assert pagerduty.incidents == {key: "acknowledged"}
    lifecycle.resolve(incident.pk, by=alice, now=timezone.now())
    outbox.deliver(timezone.now())
    assert pagerduty.incidents == {key: "resolved"}
