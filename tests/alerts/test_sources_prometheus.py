"""Alerts as Prometheus sends them: no fingerprint, no status."""

import datetime as dt
import json
from pathlib import Path

import pytest

from alerts.sources.alertmanager import Alertmanager
from alerts.sources.base import BadEvent
from alerts.sources.prometheus import Prometheus

PAYLOADS = Path(__file__).parent.parent / "payloads"
RECEIVED = dt.datetime(2026, 5, 4, 10, 16, tzinfo=dt.UTC)
LATER = dt.datetime(2026, 5, 4, 10, 32, tzinfo=dt.UTC)


def parse(data, at=RECEIVED):
    body = data if isinstance(data, bytes) else json.dumps(data).encode()
    return Prometheus().parse(body, {":received-at": at.isoformat()})


def sample(name):
    return (PAYLOADS / f"alertmanager_api_v2_{name}.json").read_bytes()


def test_an_alert_that_ends_in_the_future_fires_until_then():
    (event,) = parse(sample("firing"))
    assert (event.action, event.severity, event.service) == ("trigger", "critical", "checkout-api")
    assert event.title == "web-03 is down"
    assert event.occurred_at == dt.datetime(2026, 5, 4, 10, 15, 12, 331000, tzinfo=dt.UTC)
    assert event.ends_at > RECEIVED
    assert [link["text"] for link in event.links] == ["Runbook", "Source"]


def test_an_end_in_the_past_resolves_under_the_same_key():
    (event,) = parse(sample("resolved"), LATER)
    assert (event.action, event.ends_at) == ("resolve", None)
    assert event.occurred_at == dt.datetime(2026, 5, 4, 10, 31, 12, 331000, tzinfo=dt.UTC)
    assert event.dedup_key == parse(sample("firing"))[0].dedup_key


def test_it_is_the_time_of_receipt_that_counts_whenever_it_is_decided():
    assert [parse(sample("firing"), at)[0].action for at in (RECEIVED, LATER)] == ["trigger", "resolve"]


def test_the_key_is_the_fingerprint_of_the_webhook():
    labels = {"alertname": "Up", "instance": "a"}
    group = {"alerts": [{"labels": labels, "status": "firing"}], "status": "firing"}
    (hooked,) = Alertmanager().parse(json.dumps(group).encode(), {})
    (sent,) = parse([{"labels": {**labels, "empty": ""}}])
    assert sent.dedup_key == hooked.dedup_key
    assert "empty" not in sent.labels


def test_without_an_end_it_fires_for_five_minutes():
    (event,) = parse([{"labels": {"alertname": "Up"}}])
    assert (event.action, event.ends_at, event.occurred_at) == ("trigger", RECEIVED + dt.timedelta(minutes=5), None)
    (event,) = parse([{"labels": {"alertname": "Up"}, "endsAt": "0001-01-01T00:00:00Z"}])
    assert event.ends_at == RECEIVED + dt.timedelta(minutes=5)
    (event,) = parse([{"labels": {"alertname": "Up"}, "endsAt": "9999-12-31T23:59:59Z"}])
    assert event.ends_at == RECEIVED + dt.timedelta(days=366)


def test_the_valid_ones_count_though_others_are_not():
    source = Prometheus()
    data = [{"labels": {"a": ""}}, {"labels": {"alertname": "Up"}}, 3, {"labels": []}]
    data.append({"labels": {"b": "c"}, "startsAt": "2026-05-04T10:00:00Z", "endsAt": "2026-05-04T09:00:00Z"})
    (event,) = source.parse(json.dumps(data).encode(), {})
    assert event.labels == {"alertname": "Up"}
    assert [error["field"] for error in source.errors] == ["[0].labels", "[2].labels", "[3].labels", "[4].endsAt"]
    status, answer = source.refused(source.errors)
    assert status == 400 and "Alert 4 ends before it starts" in answer


@pytest.mark.parametrize("data", [{}, 3, None, [{"labels": {}}], [None]])
def test_what_holds_no_alert_is_refused(data):
    with pytest.raises(BadEvent):
        parse(data)


def test_odd_types_do_not_matter_where_nothing_depends_on_them():
    (event,) = parse(
        [{"labels": {"alertname": 5, "x": {"y": 1}}, "annotations": [], "startsAt": [], "generatorURL": 1}]
    )
    assert (event.title, event.labels) == ("5", {"alertname": "5", "x": '{"y":1}'})


def test_an_empty_array_is_kept_with_the_reason():
    (event,) = parse([])
    assert (event.action, event.reason) == ("ignore", "There is no alert in it.")


def test_more_alerts_than_any_sender_has_are_refused():
    for source, data in ((Prometheus(), [{}] * 20_001), (Alertmanager(), {"alerts": [{}] * 20_001})):
        with pytest.raises(BadEvent, match="20000 at most"):
            source.parse(json.dumps(data).encode(), {})


def test_of_many_mistakes_the_first_are_said():
    source = Prometheus()
    with pytest.raises(BadEvent) as raised:
        source.parse(json.dumps([{}] * 5000).encode(), {})
    status, answer = source.refused(raised.value.errors)
    assert (status, answer[-15:]) == (400, " And 4980 more.")
    assert len(answer) < 3000
