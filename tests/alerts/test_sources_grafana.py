"""Grafana's contact point, and the dashboard alerts of old."""

import datetime as dt
import hashlib

import pytest

from alerts.sources.grafana import Grafana
from tests.samples import hrefs, read, read_one, sample


def test_a_firing_alert():
    event = read_one("grafana", sample("grafana_firing"))
    assert (event.action, event.dedup_key, event.severity) == ("trigger", "79e9fbce8e25709e", "high")
    assert event.title == "p95 latency is 2.4 s (limit 1 s)"
    assert event.service == "checkout-api"
    assert event.source == "grafana"
    assert event.occurred_at == dt.datetime(2026, 5, 4, 11, 2, 10, tzinfo=dt.UTC)
    assert list(hrefs(event)) == ["Runbook", "Source", "Silence", "Dashboard", "Panel", "Grafana"]
    assert event.labels["grafana_values"] == '{"A":2.41,"C":1}'


def test_a_resolved_alert_has_the_key_and_its_end():
    event = read_one("grafana", sample("grafana_resolved"))
    assert (event.action, event.dedup_key) == ("resolve", "79e9fbce8e25709e")
    assert event.occurred_at == dt.datetime(2026, 5, 4, 11, 20, 10, tzinfo=dt.UTC)


def test_an_image_is_a_link():
    data = sample("grafana_firing")
    data["alerts"][0]["imageURL"] = "https://grafana.example.com/image.png"
    assert hrefs(read_one("grafana", data))["Image"] == "https://grafana.example.com/image.png"


def test_values_may_be_null():
    data = sample("grafana_firing")
    data["alerts"][0]["values"] = None
    assert "grafana_values" not in read_one("grafana", data).labels


@pytest.mark.parametrize(("name", "state"), [("DatasourceNoData", "no_data"), ("DatasourceError", "error")])
def test_a_rule_that_could_not_be_asked_is_an_alert_with_a_tag(name, state):
    data = sample("grafana_firing")
    data["alerts"][0]["labels"] = {"alertname": name, "rulename": "High p95 latency", "datasource_uid": "x1"}
    event = read_one("grafana", data)
    assert event.action == "trigger"
    assert event.labels["grafana_state"] == state


def test_a_whole_group_is_one_alert_on_demand():
    firing = read_one("grafana", sample("grafana_firing"), mode="group")
    over = read_one("grafana", sample("grafana_resolved"), mode="group")
    key = hashlib.sha256(sample("grafana_firing")["groupKey"].encode()).hexdigest()
    assert firing.dedup_key == over.dedup_key == key
    assert (firing.action, over.action) == ("trigger", "resolve")


def test_the_test_message_opens_no_alert():
    data = sample("grafana_firing")
    data["alerts"][0]["labels"] = {"alertname": "TestAlert", "instance": "Grafana"}
    event = read_one("grafana", data)
    assert event.action == "ignore"
    assert "test message" in event.reason


def test_a_custom_payload_is_read_as_generic():
    event = read_one("grafana", {"title": "Own", "status": "firing", "fingerprint": "f1"})
    assert (event.title, event.action, event.dedup_key) == ("Own", "trigger", "f1")


def test_a_legacy_alert():
    event = read_one("grafana", sample("grafana_legacy_alerting"))
    assert (event.action, event.dedup_key, event.severity) == ("trigger", "legacy:1:88", "")
    assert event.title == "High p95 latency"
    assert event.description == "Checkout p95 above 1 s\n\np95: 2.41"
    assert event.service == "checkout-api"
    assert list(hrefs(event)) == ["Rule", "Image"]


@pytest.mark.parametrize(
    ("state", "action"),
    [("ok", "resolve"), ("alerting", "trigger"), ("paused", "ignore"), ("pending", "ignore"), ("no_data", "ignore")],
)
def test_the_states_of_legacy_alerts(state, action):
    event = read_one("grafana", {**sample("grafana_legacy_alerting"), "state": state})
    assert event.action == action
    assert bool(event.reason) == (action == "ignore")


def test_no_data_of_a_legacy_alert_counts_on_demand():
    event = read_one("grafana", {**sample("grafana_legacy_alerting"), "state": "no_data"}, no_data=True)
    assert (event.action, event.labels["grafana_state"]) == ("trigger", "no_data")


def test_nulls_are_no_trouble():
    legacy = dict.fromkeys(sample("grafana_legacy_alerting"))
    assert read_one("grafana", legacy).action == "trigger"
    data = sample("grafana_firing")
    data["alerts"][0] = dict.fromkeys(data["alerts"][0])
    assert len(read("grafana", data)) == 1


def test_the_answer_is_an_empty_200():
    assert Grafana().accepted([], "id") == (200, None)
