"""New Relic's workflow webhook."""

import datetime as dt

import pytest

from alerts.sources.base import BadEvent
from alerts.sources.newrelic import TEMPLATE, NewRelic
from tests.samples import hrefs, read, read_one, sample


def changed(name="newrelic_activated", **fields):
    return read_one("newrelic", {**sample(name), **fields})


def test_an_issue_is_activated():
    event = changed()
    assert (event.action, event.severity) == ("trigger", "critical")
    assert event.dedup_key == "7e1f9c1a-5c1c-4a2f-9d0b-0f3c5b8f2a61"
    assert event.title.startswith("checkout-api query result is > 2.0")
    assert event.labels["alertPolicyNames"] == "Checkout golden signals"
    assert event.occurred_at == dt.datetime(2026, 5, 4, 11, 10, 0, 123000, tzinfo=dt.UTC)
    assert hrefs(event)["New Relic"].startswith("https://radar-api.service.newrelic.com/")


def test_an_issue_is_closed():
    event = changed("newrelic_closed")
    assert (event.action, event.dedup_key) == ("resolve", changed().dedup_key)
    assert event.occurred_at == dt.datetime(2026, 5, 4, 11, 30, 0, 789000, tzinfo=dt.UTC)


def test_a_closed_incident_does_not_close_the_issue():
    assert changed(trigger="INCIDENT_CLOSED", state="ACTIVATED").action == "trigger"


def test_created_and_activated_are_the_same_alert():
    assert changed(state="CREATED").dedup_key == changed().dedup_key
    assert changed(state="CREATED").action == "trigger"


@pytest.mark.parametrize(
    "said",
    [
        {"acknowledged": True},
        {"acknowledged": "true"},
        {"isAcknowledged": True},
        {"issueAcknowledgedAt": 1777893300000},
    ],
)
def test_a_user_action_acknowledges_if_the_template_says_so(said):
    assert changed("newrelic_acknowledged", **said).action == "acknowledge"


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"acknowledged": False},
        {"acknowledged": "false"},
        {"isAcknowledged": None},
        {"issueAcknowledgedAt": None},
        {"issueAcknowledgedAt": 0},
        {"issueAcknowledgedAt": ""},
    ],
)
def test_a_user_action_that_takes_it_back_acknowledges_nothing(said):
    assert changed("newrelic_acknowledged", **said).action == "trigger"


@pytest.mark.parametrize("trigger", ["STATE_CHANGE", "INCIDENT_ADDED", "PRIORITY_CHANGED", "MERGE_REQUEST", None])
def test_other_news_of_an_issue_that_somebody_has_acknowledge_nothing(trigger):
    assert changed("newrelic_activated", trigger=trigger, acknowledged=True).action == "trigger"


def test_an_action_on_a_closed_issue_resolves():
    assert changed("newrelic_closed", trigger="USER_ACTION", acknowledged=True).action == "resolve"


def test_lists_may_be_null_and_booleans_text():
    nulls = dict.fromkeys(["impactedEntities", "sources", "alertPolicyNames", "alertConditionNames", "runbooks"])
    event = changed(**nulls, isCorrelated="false", service=None)
    assert event.labels["isCorrelated"] == "false"
    assert "sources" not in event.labels
    assert changed(isCorrelated=True).labels["isCorrelated"] == "true"


def test_the_additions_of_our_template():
    event = changed(runbooks=["https://runbooks.example.com/checkout"], service=["checkout", "cart"])
    assert hrefs(event)["Runbook"] == "https://runbooks.example.com/checkout"
    assert event.service == "checkout"


@pytest.mark.parametrize(
    ("state", "action"), [("open", "trigger"), ("acknowledged", "acknowledge"), ("closed", "resolve")]
)
def test_the_names_of_old_channels(state, action):
    event = read_one(
        "newrelic",
        {
            "current_state": state,
            "incident_id": 9911,
            "condition_name": "Error rate",
            "severity": "WARNING",
            "details": "Error rate > 5%",
            "timestamp": 1777893000123,
        },
    )
    assert (event.action, event.dedup_key, event.severity) == (action, "9911", "medium")
    assert (event.title, event.description) == ("Error rate", "Error rate > 5%")


def test_an_end_without_an_id_is_refused():
    with pytest.raises(BadEvent, match='send "id"'):
        read("newrelic", {"state": "CLOSED"})


def test_another_template_is_read_as_generic():
    assert read_one("newrelic", {"summary": "Own template"}).title == "Own template"


def test_the_setup_text_has_the_recommended_template():
    assert TEMPLATE in NewRelic.setup_help
    for addition in (
        '"acknowledged": {{#if issueAcknowledgedAt}}true{{else}}false{{/if}}',
        '"runbooks": {{ json accumulations.runbookUrl }}',
        '"service": {{ json accumulations.tag.affectedService }}',
    ):
        assert addition in TEMPLATE
