"""Azure Monitor's common alert schema."""

import datetime as dt

import pytest

from alerts.sources.base import BadEvent
from tests.samples import hrefs, read, read_one, sample


def changed(name="azure_fired", **essentials):
    data = sample(name)
    data["data"]["essentials"].update(essentials)
    return read_one("azure", data)


def test_an_alert_fires():
    event = changed()
    assert (event.action, event.dedup_key) == ("trigger", "b9569717-bc32-442f-add5-83a997729330")
    assert (event.severity, event.service) == ("high", "checkout-api")
    assert event.title == "checkout-cpu-high on web-03"
    assert "Percentage CPU GreaterThan 90: 97.4" in event.description
    assert event.labels["resource_group"] == "checkout"
    assert (event.labels["team"], event.labels["signalType"]) == ("checkout", "Metric")
    assert hrefs(event)["Azure portal"].endswith("%2Fb9569717-bc32-442f-add5-83a997729330")
    assert event.occurred_at == dt.datetime(2026, 5, 4, 13, 58, 24, 371321, tzinfo=dt.UTC)


def test_an_alert_resolves():
    event = changed("azure_resolved")
    assert (event.action, event.dedup_key) == ("resolve", changed().dedup_key)
    assert event.occurred_at == dt.datetime(2026, 5, 4, 14, 3, 16, 224631, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("word", "severity"),
    [("Sev0", "critical"), ("Sev1", "high"), ("sev2", "medium"), ("Sev3", "low"), ("Sev4", "info"), ("Sev9", "")],
)
def test_severities(word, severity):
    assert changed(severity=word).severity == severity


def test_without_an_alert_id_the_origin_is_the_key():
    event = changed(alertId=None)
    assert event.dedup_key.endswith("checkout-cpu-high_-117781227")
    assert event.links == []


def test_custom_properties_may_be_null():
    data = sample("azure_fired")
    data["data"]["customProperties"] = data["data"]["alertContext"] = None
    assert (read_one("azure", data).service, read_one("azure", data).action) == ("", "trigger")


def test_nulls_are_no_trouble():
    event = changed(**dict.fromkeys(sample("azure_fired")["data"]["essentials"]))
    assert (event.action, event.title, event.dedup_key) == ("trigger", "An Azure alert without a name", "")


@pytest.mark.parametrize("data", [{"schemaId": "AzureMonitorMetricAlert"}, {"data": {}}, {"data": {"essentials": []}}])
def test_another_schema_is_refused_with_what_to_change(data):
    with pytest.raises(BadEvent, match="common alert schema"):
        read("azure", data)
