"""Sentry's webhooks become events."""

import asyncio
import datetime as dt
import hashlib
import hmac
import json
from pathlib import Path

import pytest

from alerts import ingest
from alerts.models import Alert, InboundEvent
from alerts.sources.base import BadEvent
from alerts.sources.sentry import Sentry
from tests import factories
from tests.alerts.test_door import Server

PAYLOADS = Path(__file__).parent.parent / "payloads"
SECRET = "whk_test_secret_1"
RESOURCES = {
    "sentry_issue": "issue",
    "sentry_issue_resolved": "issue",
    "sentry_event_alert": "event_alert",
    "sentry_metric_alert_critical": "metric_alert",
    "sentry_metric_alert_resolved": "metric_alert",
}


def sample(name):
    return json.loads((PAYLOADS / f"{name}.json").read_text())


def parse(data, resource="", **headers):
    headers = {"sentry-hook-resource": resource, **headers} if resource else headers
    (event,) = Sentry().parse(json.dumps(data).encode(), headers, {})
    return event


def parsed(name):
    return parse(sample(name), RESOURCES[name])


def test_an_alert_rule_and_the_issue_share_a_key():
    rule, created, resolved = (
        parsed(name) for name in ("sentry_event_alert", "sentry_issue", "sentry_issue_resolved")
    )
    assert rule.dedup_key == created.dedup_key == resolved.dedup_key == "issue:5180042211"
    assert [one.action for one in (rule, created, resolved)] == ["trigger", "trigger", "resolve"]


def test_an_alert_rule():
    event = parsed("sentry_event_alert")
    assert event.title == "TimeoutError: payment gateway did not answer in 10 s"
    assert (event.severity, event.service) == ("high", "checkout-api")
    assert event.labels["rule"] == "Checkout errors page on-call"
    assert (event.labels["server_name"], event.labels["environment"]) == ("worker-2", "production")
    assert event.links[0]["href"].endswith("/events/e4874d664c3540c1a32eab185f12c5ab/")
    assert event.occurred_at == dt.datetime(2026, 5, 4, 12, 4, 52, 100000, tzinfo=dt.UTC)


def test_whoever_made_the_rule_may_choose_the_severity():
    data = sample("sentry_event_alert")
    data["data"]["issue_alert"]["settings"] += [
        {"name": "severity", "value": "critical"},
        {"name": "x", "value": 1},
        7,
    ]
    event = parse(data, "event_alert")
    assert (event.severity, event.labels["x"]) == ("critical", "1")


@pytest.mark.parametrize(
    ("level", "severity"),
    [("fatal", "critical"), ("error", "high"), ("warning", "medium"), ("info", "info"), ("debug", "info"), ("x", "")],
)
def test_levels(level, severity):
    data = sample("sentry_event_alert")
    data["data"]["event"]["level"] = level
    assert parse(data, "event_alert").severity == severity


@pytest.mark.parametrize(
    ("action", "what"),
    [
        ("created", "trigger"),
        ("unresolved", "trigger"),
        ("resolved", "resolve"),
        ("archived", "resolve"),
        ("ignored", "resolve"),
        ("assigned", "note"),
        ("something new", "ignore"),
    ],
)
def test_what_happens_to_an_issue(action, what):
    event = parse(sample("sentry_issue") | {"action": action}, "issue")
    assert event.action == what
    assert bool(event.reason) is (what == "ignore")


def test_an_issue_is_resolved_when_the_message_was_sent_not_when_it_was_seen_last():
    event = parse(sample("sentry_issue_resolved"), "issue", **{"sentry-hook-timestamp": "1777896600"})
    assert event.occurred_at == dt.datetime(2026, 5, 4, 12, 10, tzinfo=dt.UTC)
    assert parsed("sentry_issue_resolved").occurred_at is None


def test_a_note_says_who_has_the_issue():
    data = sample("sentry_issue") | {"action": "assigned"}
    data["data"]["issue"]["assignedTo"] = {"type": "user", "name": "Alice"}
    assert parse(data, "issue").description == "Sentry assigned the issue in Sentry to Alice."


def test_a_metric_alert():
    begun, over = parsed("sentry_metric_alert_critical"), parsed("sentry_metric_alert_resolved")
    assert (begun.action, over.action) == ("trigger", "resolve")
    assert begun.dedup_key == over.dedup_key == "metric:41"
    assert (begun.severity, begun.title) == ("critical", "Checkout failure rate")
    assert begun.links[0]["href"] == "https://sentry.io/organizations/example/alerts/17/"
    assert begun.occurred_at < over.occurred_at
    assert parse(sample("sentry_metric_alert_critical") | {"action": "warning"}, "metric_alert").severity == "medium"


def test_the_old_plugin_has_the_key_of_the_issue():
    event = parse(sample("sentry_legacy_plugin"))
    assert (event.action, event.dedup_key, event.severity) == ("trigger", "issue:5180042211", "high")
    assert event.title == "TimeoutError: payment gateway did not answer in 10 s"
    assert event.labels["rule"] == "Checkout errors page on-call"


@pytest.mark.parametrize("resource", ["installation", "comment", "error", "something new"])
def test_other_resources_are_ignored(resource):
    event = parse({"action": "created", "data": {"event": {}, "issue": {}, "comment": "x"}}, resource)
    assert event.action == "ignore"
    assert resource in event.reason


@pytest.mark.parametrize("name", sorted(RESOURCES))
def test_a_lost_header_is_made_up_for(name):
    assert parse(sample(name)).action == parsed(name).action


@pytest.mark.parametrize("body", [b"[]", b"7", b"{}", b'{"id": 1}'])
def test_what_is_not_of_sentry_says_so(body):
    with pytest.raises(BadEvent, match="Sentry"):
        Sentry().parse(body, {}, {})


@pytest.mark.parametrize("inner", [7, [], {"tags": 7}, {"tags": [["a"], 7, [1, 2]]}, {"issue_id": {"a": 1}}])
def test_a_crooked_alert_is_read_as_far_as_it_goes(inner):
    event = parse({"action": "triggered", "data": {"event": inner, "issue_alert": inner}}, "event_alert")
    assert event.action == ("trigger" if isinstance(inner, dict) else "ignore")


def sign(body, secret=SECRET):
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def test_the_signature_is_over_the_bytes_as_they_came():
    async def check(body, headers, secret=SECRET):
        return (await Sentry().check(secret, headers, body, now=None)).ok

    spaced = b'{ "a":  1 }'
    assert asyncio.run(check(spaced, {"sentry-hook-signature": sign(spaced)}))
    assert not asyncio.run(check(b'{"a": 1}', {"sentry-hook-signature": sign(spaced)}))
    assert not asyncio.run(check(spaced, {}))
    assert asyncio.run(check(spaced, {}, secret=""))


@pytest.mark.django_db(transaction=True)
def test_a_request_that_comes_twice_is_stored_once(service):
    integration = factories.IntegrationFactory(source="sentry", service=service, signing_secret=SECRET)
    body = json.dumps(sample("sentry_issue")).encode()
    headers = {"Sentry-Hook-Resource": "issue", "Sentry-Hook-Signature": sign(body), "Request-ID": "abc"}
    with Server() as server:
        first = server.post(f"/in/sentry/{integration.key}", body, headers)
        again = server.post(f"/in/sentry/{integration.key}", body, headers)
        assert (first.status, again.status) == (200, 200)
        assert first.json == again.json
        assert InboundEvent.objects.count() == 1
        other = body.replace(b"created", b"resolved")
        server.post(f"/in/sentry/{integration.key}", other, headers | {"Sentry-Hook-Signature": sign(other)})
        assert InboundEvent.objects.count() == 2
        ignored = b'{"action": "created", "data": {}}'
        headers = {"Sentry-Hook-Resource": "installation", "Sentry-Hook-Signature": sign(ignored)}
        assert server.post(f"/in/sentry/{integration.key}", ignored, headers).status == 200
        refused = server.post(f"/in/sentry/{integration.key}", body, headers)
        assert refused.status == 401
        assert "Sentry-Hook-Signature" in refused.json["message"]
    assert InboundEvent.objects.count() == 3


@pytest.mark.django_db(transaction=True)
def test_a_warning_that_becomes_critical_is_a_critical_alert(service):
    integration = factories.IntegrationFactory(source="sentry", service=service)
    data = sample("sentry_metric_alert_critical")
    with Server() as server:
        for action in ("warning", "critical"):
            headers = {"Sentry-Hook-Resource": "metric_alert"}
            assert server.post(f"/in/sentry/{integration.key}", data | {"action": action}, headers).status == 200
            ingest.sweep(now=dt.datetime.now(dt.UTC) + dt.timedelta(seconds=3))
    assert Alert.objects.firing().get().severity == "critical"
