"""Alertmanager's webhook: each alert of a group is an event of its own."""

import datetime as dt
import hashlib
import json
from pathlib import Path

import pytest

from alerts.sources.alertmanager import Alertmanager, fingerprint
from alerts.sources.base import BadEvent

PAYLOADS = Path(__file__).parent.parent / "payloads"


def sample(name):
    return json.loads((PAYLOADS / f"{name}.json").read_text())


def parse(data):
    return Alertmanager().parse(json.dumps(data).encode(), {})


def test_a_firing_alert():
    (event,) = parse(sample("alertmanager_firing"))
    assert (event.action, event.dedup_key, event.severity) == ("trigger", "a1b2c3d4e5f60718", "critical")
    assert event.title == "The disk of db-02 is full in 3 hours"
    assert event.description == "db-02 lost 40 GB since midnight."
    assert event.service == "checkout"
    assert event.labels["instance"] == "db-02:9100"
    assert [link["text"] for link in event.links] == ["Runbook", "Source", "Alertmanager"]
    assert event.occurred_at == dt.datetime(2026, 6, 1, 11, 40, 5, 127000, tzinfo=dt.UTC)
    assert event.source == "alertmanager"


def test_a_group_may_be_mixed():
    over, firing = parse(sample("alertmanager_mixed"))
    assert (over.action, firing.action) == ("resolve", "trigger")
    assert over.occurred_at == dt.datetime(2026, 6, 1, 12, 10, 5, 127000, tzinfo=dt.UTC)


def test_trigger_and_resolve_have_the_same_key():
    (firing,), (over,) = parse(sample("alertmanager_firing")), parse(sample("alertmanager_resolved"))
    assert firing.dedup_key == over.dedup_key


def test_without_annotations_the_labels_make_the_title():
    data = sample("alertmanager_firing")
    data["alerts"][0]["annotations"] = None
    assert parse(data)[0].title == "DiskFilling on db-02:9100"
    data["alerts"][0]["labels"] = None
    (event,) = parse(data)
    assert (event.title, event.severity, event.service) == ("An alert without a name", "", "")


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (
            {
                "alertname": "InstanceDown",
                "instance": "web-03.prod.example.com:9100",
                "job": "node",
                "service": "checkout-api",
                "severity": "critical",
            },
            "38343d75ce1988db",
        ),
        ({"lbl1": "val1", "alertname": "alert1"}, "fac0861a85de433a"),
    ],
)
def test_a_missing_fingerprint_is_computed_as_prometheus_does(labels, expected):
    assert fingerprint(labels) == expected
    assert parse({"alerts": [{"status": "firing", "labels": labels}]})[0].dedup_key == expected


def test_left_out_alerts_are_mentioned():
    data = sample("alertmanager_firing")
    data["truncatedAlerts"] = 12
    assert "left 12 more alerts" in parse(data)[0].description


def as_group(data):
    (event,) = Alertmanager().parse(json.dumps(data).encode(), {}, {"mode": "group"})
    return event


def test_a_whole_group_is_one_alert_on_demand():
    firing, over = as_group(sample("alertmanager_firing")), as_group(sample("alertmanager_resolved"))
    key = hashlib.sha256(sample("alertmanager_firing")["groupKey"].encode()).hexdigest()
    assert (firing.action, over.action) == ("trigger", "resolve")
    assert firing.dedup_key == over.dedup_key == key
    assert (firing.title, firing.service) == ("The disk of db-02 is full in 3 hours", "checkout")
    assert firing.labels == {"alertname": "DiskFilling", "job": "node"}


def test_a_group_is_as_bad_as_the_worst_that_fires_and_as_old_as_the_first():
    data = sample("alertmanager_firing")
    (first,) = data["alerts"]
    for name, severity, begin in (("db-03", "warning", "2026-06-01T11:00:00Z"), ("db-04", "info", None)):
        labels = {**first["labels"], "instance": name, "severity": severity}
        data["alerts"].append({**first, "labels": labels, "annotations": {"summary": name}, "startsAt": begin})
    data["alerts"].append({**first, "status": "resolved", "startsAt": "2026-06-01T01:00:00Z"})
    event = as_group(data)
    assert (event.action, event.severity) == ("trigger", "critical")
    assert event.title == "3 alerts: DiskFilling"
    assert event.description.splitlines()[-3:] == ["- The disk of db-02 is full in 3 hours", "- db-03", "- db-04"]
    assert event.occurred_at == dt.datetime(2026, 6, 1, 11, 0, tzinfo=dt.UTC)


def test_a_group_that_fires_counts_as_firing_whatever_else_is_over():
    assert as_group(sample("alertmanager_mixed")).action == "trigger"
    assert as_group({**sample("alertmanager_mixed"), "status": None}).action == "trigger"
    assert as_group({**sample("alertmanager_resolved"), "status": None}).action == "resolve"


def test_a_group_without_a_key_has_one_made_of_its_labels():
    data = {**sample("alertmanager_firing"), "groupKey": None}
    assert as_group(data).dedup_key == as_group({**data, "status": "resolved"}).dedup_key
    assert as_group(data).dedup_key != as_group({**data, "groupLabels": {"alertname": "Other"}}).dedup_key


def test_a_crooked_alert_takes_no_good_one_with_it():
    data = sample("alertmanager_firing")
    data["alerts"] = [None, *data["alerts"], "x"]
    assert [event.dedup_key for event in parse(data)] == ["a1b2c3d4e5f60718"]


def test_a_receiver_with_its_own_payload_is_read_as_generic():
    (event,) = parse({"text": "Own template", "status": "firing", "title": "Own"})
    assert (event.title, event.description, event.action) == ("Own", "Own template", "trigger")


@pytest.mark.parametrize("alerts", [None, [], {}, "x", [1], [None]])
def test_crooked_groups_do_not_pass_silently(alerts):
    with pytest.raises(BadEvent):
        parse({"version": "4", "alerts": alerts})


def test_nulls_in_an_alert():
    names = ["status", "labels", "annotations", "startsAt", "endsAt", "generatorURL", "fingerprint"]
    (event,) = parse({"alerts": [dict.fromkeys(names)], "externalURL": None})
    assert event.action == "trigger"
    assert event.dedup_key


def test_the_answer_is_an_empty_200():
    assert Alertmanager().accepted([], "id") == (200, None)
    assert Alertmanager.max_body == 2 * 1024 * 1024
    assert Alertmanager().overloaded()[0] == 503  # 429 would be final for Alertmanager
