"""Google Cloud Monitoring's webhook."""

import datetime as dt

import pytest

from alerts.sources.base import BadEvent
from tests.samples import hrefs, read, read_one, sample


def changed(name="gcp_open", **incident):
    data = sample(name)
    data["incident"].update(incident)
    return read_one("gcp", data)


def test_an_incident_opens():
    event = changed()
    assert (event.action, event.dedup_key, event.severity) == ("trigger", "0.n2q8x6zdkemq", "critical")
    assert event.title == "Checkout CPU on web-03"
    assert event.description.startswith("CPU utilization for web-03 is above the threshold")
    assert event.description.endswith("See https://runbooks.example.com/cpu")
    assert event.service == "checkout-api"
    assert event.labels["env"] == "prod" and event.labels["zone"] == "europe-west1-b"
    assert hrefs(event)["Google Cloud"].startswith("https://console.cloud.google.com/monitoring/")
    assert event.occurred_at == dt.datetime(2026, 5, 4, 14, 0, tzinfo=dt.UTC)


@pytest.mark.parametrize("state", ["closed", "CLOSED"])
def test_an_incident_closes(state):
    event = changed("gcp_closed", state=state)
    assert (event.action, event.dedup_key) == ("resolve", changed().dedup_key)
    assert event.occurred_at == dt.datetime(2026, 5, 4, 14, 20, tzinfo=dt.UTC)


def test_the_test_message_opens_no_alert():
    event = read_one("gcp", sample("gcp_test"))
    assert event.action == "ignore"
    assert "test message" in event.reason


def test_times_of_zero_are_not_set():
    assert changed(started_at=0).occurred_at is None
    assert changed("gcp_closed", ended_at=0).occurred_at is None


@pytest.mark.parametrize(
    ("severity", "label", "expected"),
    [
        ("Critical", None, "critical"),
        ("Error", "critical", "high"),
        ("Warning", None, "medium"),
        (None, "critical", "critical"),
        ("No severity", "critical", "critical"),
        ("No severity", None, "info"),
        (None, None, ""),
    ],
)
def test_severities(severity, label, expected):
    assert changed(severity=severity, policy_user_labels={"severity": label}).severity == expected


@pytest.mark.parametrize("documentation", ["Plain text", {"content": "Plain text"}])
def test_documentation_is_an_object_or_text(documentation):
    assert changed(summary="", documentation=documentation).description == "Plain text"


def test_nulls_are_no_trouble():
    event = changed(**dict.fromkeys(sample("gcp_open")["incident"]))
    assert (event.action, event.title, event.dedup_key) == ("trigger", "An incident without a name", "")


@pytest.mark.parametrize("data", [{}, {"incident": None}, {"incident": "x"}])
def test_what_has_no_incident_is_refused(data):
    with pytest.raises(BadEvent, match="There is no “incident” in it"):
        read("gcp", data)
