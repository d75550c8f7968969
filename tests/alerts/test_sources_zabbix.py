"""Zabbix through our media type, its script included."""

import datetime as dt
import re

import pytest

from alerts.sources.base import BadEvent
from alerts.sources.zabbix import PARAMETERS, SCRIPT, Zabbix
from tests.samples import hrefs, read, read_one, sample


def changed(name="zabbix_problem", **fields):
    return read_one("zabbix", {**sample(name), **fields})


def test_a_problem():
    event = changed()
    assert (event.action, event.dedup_key, event.severity) == ("trigger", "188402", "high")
    assert event.title == "High CPU load on web-03"
    assert event.service == "checkout-api"
    assert (event.labels["host"], event.labels["scope"]) == ("web-03", "performance")
    assert hrefs(event) == {"Zabbix": "https://zabbix.example.com/tr_events.php?triggerid=24011&eventid=188402"}
    assert event.occurred_at == dt.datetime(2026, 5, 4, 10, 15, 2, tzinfo=dt.UTC)


def test_a_recovery_has_the_id_of_the_problem_and_no_time_of_its_own():
    event = changed("zabbix_recovery")
    assert (event.action, event.dedup_key, event.occurred_at) == ("resolve", "188402", None)
    event = changed("zabbix_recovery", event_recovery_timestamp="1777890722")
    assert event.occurred_at == dt.datetime(2026, 5, 4, 10, 32, 2, tzinfo=dt.UTC)


def test_an_update_that_acknowledges():
    assert changed("zabbix_update_ack").action == "acknowledge"
    assert changed("zabbix_update_ack", event_update_action="acknowledged, commented").action == "acknowledge"


@pytest.mark.parametrize(
    "fields",
    [
        {"event_update_action": "unacknowledged", "event_ack_status": "No"},
        {"event_update_action": "unacknowledged", "event_ack_status": "Yes"},
        {"event_update_action": "commented", "event_ack_status": "Yes"},
        {"event_update_action": "changed severity from High to Disaster", "event_ack_status": "No"},
        {"event_update_action": "{EVENT.UPDATE.ACTION}"},
    ],
)
def test_other_updates_are_remarks(fields):
    event = changed("zabbix_update_ack", **fields)
    assert event.action == "note"
    assert event.description.endswith("Acknowledged by on-call")


@pytest.mark.parametrize("source", ["1", "2", "3", "4"])
@pytest.mark.parametrize("value", ["0", "1", "2", "{EVENT.VALUE}"])
def test_what_is_no_trigger_is_trouble_whatever_its_value(source, value):
    assert changed(event_source=source, event_value=value).action == "trigger"


def test_a_recovery_of_an_internal_event_that_names_itself_counts():
    assert changed("zabbix_recovery", event_source="3").action == "resolve"


@pytest.mark.parametrize(
    ("number", "severity"),
    [("5", "critical"), ("4", "high"), ("3", "medium"), ("2", "low"), ("1", "info"), ("0", "info"), (4, "high")],
)
def test_severities(number, severity):
    assert changed(event_nseverity=number).severity == severity


def test_a_tag_severity_wins():
    tags = '[{"tag":"Severity","value":"critical"}]'
    assert changed(event_tags_json=tags).severity == "critical"


def test_macros_that_were_not_resolved_are_missing():
    event = changed(
        zabbix_url="{$ZABBIX.URL}",
        host_name="{HOST.NAME}",
        event_nseverity="{EVENT.NSEVERITY}",
        event_opdata="*UNKNOWN*",
        event_tags_json="{EVENT.TAGSJSON}",
        event_timestamp="{EVENT.TIMESTAMP}",
    )
    assert (event.links, event.severity, event.service, event.occurred_at) == ([], "", "", None)
    assert event.labels.keys() == {"event_id", "event_severity", "host_ip", "trigger_id"}


@pytest.mark.parametrize("tags", ["not json", "{}", "[1, null, {}]", "", None, '[{"tag": null, "value": 1}]'])
def test_odd_tags_are_no_trouble(tags):
    assert changed(event_tags_json=tags).action == "trigger"


def test_a_recovery_without_an_id_is_refused():
    with pytest.raises(BadEvent, match='send "event_id"'):
        read("zabbix", {**sample("zabbix_recovery"), "event_id": "{EVENT.ID}"})


def test_ids_that_are_none_make_no_link():
    assert changed(trigger_id="1&x=2").links == []


def test_a_script_of_their_own_is_read_as_generic():
    assert read_one("zabbix", {"subject": "Own script"}).title == "Own script"


def test_the_setup_text_has_every_parameter_and_the_script():
    for name, macro in PARAMETERS.items():
        assert f"   {name}   {macro}\n" in Zabbix.setup_help
    assert SCRIPT in Zabbix.setup_help
    # What the sample lacks is the recovery's own time, which old servers do not know.
    assert PARAMETERS.keys() - sample("zabbix_problem").keys() == {"event_recovery_timestamp"}


def test_the_script_is_plain_ecmascript_5():
    assert SCRIPT.count("{") == SCRIPT.count("}") and SCRIPT.count("(") == SCRIPT.count(")")
    assert not re.search(r"\b(let|const|async|await|class)\b|=>|`", SCRIPT)
