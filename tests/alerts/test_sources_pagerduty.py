"""PagerDuty's Events API v2, word for word where clients read it."""

import dataclasses
import datetime as dt
import json
from pathlib import Path

import pytest

from alerts.sources.base import BadEvent
from alerts.sources.pagerduty import PagerDuty, PagerDutyChange
from alerts.sources.pagerduty_v1 import PagerDutyV1

PAYLOADS = Path(__file__).parent.parent / "payloads"


def sample(name):
    return json.loads((PAYLOADS / f"{name}.json").read_text())


def parse(data, source=PagerDuty):
    return source().parse(json.dumps(data).encode(), {})


def messages(data, source=PagerDuty):
    with pytest.raises(BadEvent) as raised:
        parse(data, source)
    return source().refused(raised.value.errors)[1]["errors"]


def test_a_trigger():
    (event,) = parse(sample("pagerduty_trigger"))
    assert (event.action, event.dedup_key, event.severity) == ("trigger", "checkout/latency", "high")
    assert event.title == "Checkout takes 4 s at the 99th percentile"
    assert event.labels == {
        "source": "web-07.example.com",
        "component": "api",
        "group": "checkout",
        "class": "latency",
        "p99_ms": "4012",
        "region": "eu-west-1",
        "steps": '["cart","pay"]',
    }
    assert [link["href"] for link in event.links] == [
        "https://runbooks.example.com/latency",
        "https://monitor.example.com/checks/12",
        "https://graphs.example.com/d/latency",
        "https://graphs.example.com/latency.png",
    ]
    assert event.occurred_at == dt.datetime(2026, 6, 1, 11, 59, tzinfo=dt.UTC)


@pytest.mark.parametrize("action", ["acknowledge", "resolve"])
def test_the_other_actions_need_only_the_key(action):
    (event,) = parse(sample(f"pagerduty_{action}"))
    assert (event.action, event.dedup_key) == (action, "checkout/latency")


@pytest.mark.parametrize(
    ("word", "severity"), [("critical", "critical"), ("error", "high"), ("warning", "medium"), ("info", "info")]
)
def test_severities(word, severity):
    data = sample("pagerduty_trigger")
    data["payload"]["severity"] = word
    assert parse(data)[0].severity == severity


def test_a_wrong_severity_is_refused_in_the_vendors_words():
    data = sample("pagerduty_trigger")
    data["payload"]["severity"] = "awful"
    assert PagerDuty().refused([{"field": "", "message": "m"}]) == (
        400,
        {"status": "invalid event", "message": "Event object is invalid", "errors": ["m"]},
    )
    assert messages(data) == [
        "'payload.severity' is invalid (must be one of the following: 'critical', 'warning', 'error' or 'info')"
    ]


def test_what_is_missing_is_named_at_once():
    assert messages({"event_action": "trigger"}) == [
        "'payload.summary' is missing or blank",
        "'payload.source' is missing or blank",
        "'payload.severity' is missing or blank",
    ]
    assert messages({"event_action": "resolve"}) == ["'dedup_key' is missing or blank"]
    assert messages({}) == ["'event_action' is missing or blank"]
    assert messages({"event_action": "explode"}) == [
        "'event_action' is invalid (must be one of the following: 'trigger', 'acknowledge' or 'resolve')"
    ]


@pytest.mark.parametrize("data", [[], 3, None, "x"])
def test_what_is_no_object_is_refused(data):
    assert messages(data)


def test_custom_details_may_be_text():
    data = sample("pagerduty_trigger")
    data["payload"]["custom_details"] = "p99 4012 ms"
    assert parse(data)[0].labels["custom_details"] == "p99 4012 ms"


def test_odd_types_do_not_matter_where_nothing_depends_on_them():
    data = sample("pagerduty_trigger")
    data["payload"].update(summary=42, source=7, timestamp=[], component={"a": 1}, group=None)
    data.update(links={"href": 1}, images=[None, 3, {"src": 4}], client_url=5, dedup_key=9)
    (event,) = parse(data)
    assert (event.title, event.dedup_key, event.occurred_at, event.links) == ("42", "9", None, [])


def test_the_answers():
    assert PagerDuty().accepted(parse(sample("pagerduty_trigger")), "id") == (
        202,
        {"status": "success", "message": "Event processed", "dedup_key": "checkout/latency"},
    )
    assert PagerDuty().overloaded()[0] == 429
    assert PagerDuty().unknown_key("body")[0] == 400
    assert PagerDuty().unknown_key("path")[0] == 404


def test_the_key_is_a_field_or_else_a_header():
    key_of = PagerDuty().key_of
    body = json.dumps(sample("pagerduty_trigger")).encode()
    assert key_of(body, {"x-routing-key": "other"}) == "0123456789abcdef0123456789abcdef"
    assert key_of(b'{"event_action": "resolve"}', {"x-routing-key": "other"}) == "other"
    assert key_of(b'{"routing_key": "abc", "title": "\xff"}', {}) == "abc"
    for bad in (b"{", b"[]", b"{}", b'{"routing_key": 5}', b'{"service_key": "abc"}'):
        with pytest.raises(BadEvent):
            key_of(bad, {})


def test_a_change():
    (event,) = parse(sample("pagerduty_change"), PagerDutyChange)
    assert (event.action, event.dedup_key, event.source) == ("change", "", "pagerduty")
    assert event.title == sample("pagerduty_change")["payload"]["summary"]
    assert event.occurred_at
    assert event.labels["source"]
    assert PagerDutyChange().accepted([], "id") == (
        202,
        {"status": "success", "message": "Change event processed"},
    )
    assert messages({"payload": {}}, PagerDutyChange) == ["'payload.summary' is missing or blank"]
    assert messages([], PagerDutyChange) == ["'payload.summary' is missing or blank"]


def test_version_1():
    (event,) = parse(sample("pagerduty_v1_trigger"), PagerDutyV1)
    assert (event.action, event.dedup_key, event.severity) == ("trigger", "nightly-backup", "")
    assert event.title == "DOWN: nightly-backup has not pinged for 26 hours"
    assert event.labels == {"Project": "Backups", "Period": "1 day", "Total pings": "412"}
    assert [link["href"] for link in event.links] == [
        "https://runbooks.example.com/backup",
        "https://cron.example.com/checks/nightly-backup",
    ]
    (event,) = parse(sample("pagerduty_v1_resolve"), PagerDutyV1)
    assert (event.action, event.dedup_key) == ("resolve", "nightly-backup")
    assert parse(sample("pagerduty_v1_resolve")) == [dataclasses.replace(event, source="pagerduty")]


def test_version_1_has_answers_of_its_own():
    source = PagerDutyV1()
    assert source.accepted(parse(sample("pagerduty_v1_trigger"), PagerDutyV1), "id") == (
        200,
        {"status": "success", "message": "Event processed", "incident_key": "nightly-backup"},
    )
    assert source.overloaded()[0] == 403
    assert source.key_of(json.dumps(sample("pagerduty_v1_trigger")).encode(), {}) == "4f7c2b9e1d8a4c03b65e90fa7d21c3e8"
    assert messages({}, PagerDutyV1) == ["'event_type' is missing or blank"]
    assert messages({"event_type": "x"}, PagerDutyV1)[0].startswith("'event_type' is invalid")
    assert messages({"event_type": "trigger"}, PagerDutyV1) == ["'description' is missing or blank"]
    assert messages({"event_type": "resolve"}, PagerDutyV1) == ["'incident_key' is missing or blank"]
    assert messages([], PagerDutyV1) == ["The event is not a JSON object"]
    odd = {"event_type": "trigger", "description": 5, "details": "text", "contexts": [3, {"src": []}], "client_url": 1}
    (event,) = parse(odd, PagerDutyV1)
    assert (event.title, event.labels, event.links) == ("5", {"details": "text"}, [])
