"""Datadog's webhook with the payload that we give to paste."""

import datetime as dt
import json

import pytest

from alerts.sources.datadog import TEMPLATE, Datadog
from tests.samples import hrefs, read_one, sample


def changed(name="datadog_triggered", **fields):
    return read_one("datadog", {**sample(name), **fields})


def test_a_monitor_triggers():
    event = changed()
    assert (event.action, event.dedup_key) == ("trigger", "7716548234011234567")
    assert (event.severity, event.priority) == ("high", "P2")
    assert event.title == "High error rate on payments-worker"
    assert event.service == "payments-worker"
    assert event.labels["env"] == "prod" and event.labels["tags"] == "monitor"
    assert hrefs(event) == {
        "Datadog": "https://app.datadoghq.com/event/event?id=7716548234011234900",
        "Snapshot": "https://p.datadoghq.com/snapshot/abc123.png",
    }
    assert event.occurred_at == dt.datetime(2026, 5, 4, 11, 0, tzinfo=dt.UTC)


def test_a_cycle_has_one_key_and_the_next_one_another():
    keys = [changed(f"datadog_{name}").dedup_key for name in ("triggered", "renotify", "recovered", "nodata")]
    assert len(set(keys[:3])) == 1
    assert keys[3] != keys[0]
    assert changed("datadog_recovered").action == "resolve"
    assert changed("datadog_nodata").action == "trigger"


@pytest.mark.parametrize(
    ("transition", "kind", "action"),
    [
        ("Triggered", "error", "trigger"),
        ("Re-Triggered", "error", "trigger"),
        ("No Data", "error", "trigger"),
        ("Re-No Data", "error", "trigger"),
        ("Renotify", "error", "trigger"),
        ("Recovered", "info", "resolve"),
        ("Null", "success", "resolve"),
        ("", "success", "resolve"),
        ("Something new", "error", "trigger"),
    ],
)
def test_transitions(transition, kind, action):
    event = changed(alert_transition=transition, alert_type=kind)
    assert event.action == action
    assert event.labels.get("alert_transition", "") == transition


@pytest.mark.parametrize(
    ("transition", "priority", "expected"),
    [
        ("Warn", "P1", ("medium", "")),
        ("Re-Warn", "P2", ("medium", "")),
        ("Warn", "P4", ("low", "P4")),
        ("Triggered", "P1", ("critical", "P1")),
        ("Triggered", "P5", ("info", "P5")),
    ],
)
def test_a_warning_is_at_most_medium(transition, priority, expected):
    event = changed(alert_transition=transition, alert_priority=priority)
    assert (event.severity, event.priority) == expected


@pytest.mark.parametrize(("kind", "severity"), [("error", "high"), ("warning", "medium"), ("info", "info"), ("?", "")])
def test_without_a_priority_the_type_gives_the_severity(kind, severity):
    event = changed(alert_priority="", alert_type=kind)
    assert (event.severity, event.priority) == (severity, "")


def test_without_a_cycle_the_monitor_and_its_sorted_scope_are_the_key():
    first = changed(alert_cycle_key="$ALERT_CYCLE_KEY", alert_scope="service:a,env:prod")
    again = changed(alert_cycle_key="", alert_scope="env:prod, service:a", alert_transition="Recovered")
    assert first.dedup_key == again.dedup_key == "148275309:env:prod,service:a"


def test_variables_that_do_not_apply_are_missing():
    event = changed(service="$TAGS[service]", snapshot="$SNAPSHOT", tags="$TAGS", hostname="$HOSTNAME")
    assert (event.service, "Snapshot" in hrefs(event), "host" in event.labels) == ("", False, False)
    assert "tags" not in event.labels
    assert read_one("datadog", sample("datadog_payload_template")).title == "A Datadog event without a title"


def test_text_that_only_begins_with_a_dollar_stays():
    assert changed(event_title="$HOME is full on web-03").title == "$HOME is full on web-03"


@pytest.mark.parametrize(
    ("given", "title"),
    [
        ("[Triggered] A [b] c", "A [b] c"),
        ("No groups", "No groups"),
        ("[only groups]", "High error rate on payments-worker"),
        ("[never closed", "[never closed"),
    ],
)
def test_the_title_has_no_leading_groups(given, title):
    assert changed(event_title=given).title == title


def test_a_plain_event_has_no_key():
    event = changed(alert_id="", alert_cycle_key="", alert_transition="", alert_scope="")
    assert (event.action, event.dedup_key) == ("trigger", "")


def test_good_news_about_nothing_is_kept_and_explained():
    event = read_one("datadog", {"title": "[P2] [Recovered] High error rate", "event_type": "metric_alert_monitor"})
    assert event.action == "ignore"
    assert "alert_cycle_key" in event.reason


def test_another_payload_is_read_as_generic():
    assert read_one("datadog", {"summary": "Own template"}).title == "Own template"


def test_the_setup_text_has_the_whole_template():
    assert sample("datadog_payload_template") == TEMPLATE
    assert json.dumps(TEMPLATE, indent=2) in Datadog.setup_help
    assert '{"Authorization": "Bearer {key}"}' in Datadog.setup_help
