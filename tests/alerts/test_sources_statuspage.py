"""The status page of a vendor."""

import datetime as dt

import pytest

from alerts.sources.base import BadEvent
from tests.samples import hrefs, read, read_one, sample


def changed(file="statuspage_incident", /, **incident):
    data = sample(file)
    data["incident"].update(incident)
    return read_one("statuspage", data)


def component(status="partial_outage", **options):
    data = sample("statuspage_component")
    data["component_update"]["new_status"] = status
    return read_one("statuspage", data, **options)


def test_an_incident_of_the_vendor():
    event = changed()
    assert (event.action, event.dedup_key, event.severity) == ("trigger", "incident:z3lct0r596n4", "high")
    assert (event.title, event.description) == ("Elevated API errors", "We are looking into failed API calls.")
    assert event.labels["components"] == "Public API"
    assert hrefs(event) == {"Status page": "https://stspg.io/646947c1e"}
    assert event.occurred_at == dt.datetime(2026, 5, 4, 15, 2, 0, 507000, tzinfo=dt.UTC)


@pytest.mark.parametrize("status", ["resolved", "completed", "postmortem"])
def test_it_is_over(status):
    event = changed("statuspage_incident_resolved", status=status)
    assert (event.action, event.dedup_key) == ("resolve", changed().dedup_key)
    assert event.occurred_at == dt.datetime(2026, 5, 4, 15, 47, 20, 785000, tzinfo=dt.UTC)


def test_what_the_vendor_finds_out_is_a_remark():
    data = sample("statuspage_incident")
    updates = data["incident"]["incident_updates"]
    data["incident"].update(
        status="identified",
        incident_updates=[{"body": "A bad release.", "created_at": "2026-05-04T15:20:00Z"}, *updates],
    )
    trigger, note = read("statuspage", data)
    assert (trigger.action, note.action, note.dedup_key) == ("trigger", "note", trigger.dedup_key)
    assert note.description == "identified: A bad release."


@pytest.mark.parametrize("status", ["scheduled", "in_progress", "verifying"])
def test_planned_maintenance_calls_nobody(status):
    event = changed(status=status, impact="maintenance")
    assert event.action == "change"
    assert event.title.startswith("Planned by the vendor (")


@pytest.mark.parametrize(
    ("impact", "override", "severity"),
    [
        ("critical", None, "critical"),
        ("major", None, "high"),
        ("minor", None, "medium"),
        ("none", None, "info"),
        ("none", "critical", "critical"),
        ("critical", "minor", "medium"),
        (None, None, ""),
    ],
)
def test_the_impact_gives_the_severity(impact, override, severity):
    assert changed(impact=impact, impact_override=override).severity == severity


def test_components_are_left_out_unless_asked_for():
    event = component()
    assert event.action == "ignore"
    assert "incidents only" in event.reason


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("degraded_performance", ("trigger", "low")),
        ("partial_outage", ("trigger", "medium")),
        ("major_outage", ("trigger", "high")),
        ("under_maintenance", ("trigger", "info")),
        ("operational", ("resolve", "")),
    ],
)
def test_components_on_demand(status, expected):
    event = component(status, events="all")
    assert (event.action, event.severity) == expected
    assert event.dedup_key == "component:zvdm6f7gf76j"
    assert event.title == f"Public API: {status.replace('_', ' ')}"


def test_nulls_are_no_trouble():
    event = changed(**dict.fromkeys(sample("statuspage_incident")["incident"]))
    assert (event.action, event.title, event.dedup_key) == ("trigger", "An incident without a name", "")


@pytest.mark.parametrize("data", [{}, {"page": {}}, {"incident": None}, {"incident": []}])
def test_what_is_about_nothing_is_refused(data):
    with pytest.raises(BadEvent, match="neither an “incident” nor a “component_update”"):
        read("statuspage", data)
