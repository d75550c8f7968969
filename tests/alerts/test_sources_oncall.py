"""Grafana OnCall's formatted webhook, as Zabbix and Uptime Kuma send it."""

import hashlib

import pytest

from alerts.sources.base import BadEvent
from alerts.sources.oncall import OnCall
from tests.samples import hrefs, read, read_one, sample


def test_an_alert():
    event = read_one("oncall", sample("oncall_formatted_alerting"))
    assert (event.action, event.dedup_key, event.severity) == ("trigger", "disk-fill-web-03", "")
    assert event.title == "Disk 92% full on web-03"
    assert event.description == "/var has 3.1 GB left and fills in about 2 hours."
    assert hrefs(event) == {
        "Details": "https://monitor.example.com/hosts/web-03",
        "Image": "https://graphs.example.com/disk.png",
    }


@pytest.mark.parametrize("state", ["ok", "OK", "Ok", " ok "])
def test_ok_in_any_letter_case_resolves(state):
    event = read_one("oncall", {**sample("oncall_formatted_ok"), "state": state})
    assert (event.action, event.dedup_key) == ("resolve", "disk-fill-web-03")


@pytest.mark.parametrize("state", ["alerting", "okay", "resolved", "", None, 0, {}])
def test_every_other_state_triggers(state):
    assert read_one("oncall", {**sample("oncall_formatted_alerting"), "state": state}).action == "trigger"


def test_uptime_kuma_sends_no_key_so_its_title_makes_it():
    down = read_one("oncall", {"title": "Checkout is down", "message": "503", "state": "alerting"})
    up = read_one("oncall", {"title": "Checkout is up", "message": "200 - OK", "state": "ok"})
    assert down.dedup_key == up.dedup_key == hashlib.sha256(b"Checkout").hexdigest()
    assert (down.action, up.action) == ("trigger", "resolve")


def test_a_title_of_another_sender_makes_no_key():
    assert read_one("oncall", {"title": "General notification", "message": "x", "state": "alerting"}).dedup_key == ""


def test_an_end_of_nobody_knows_what_is_refused():
    with pytest.raises(BadEvent, match='send "alert_uid" as its trigger had it'):
        read("oncall", {"title": "Disk", "state": "ok"})


def test_other_fields_become_labels_and_a_title_is_found():
    event = read_one("oncall", {"alert_uid": 7, "message": "First\nSecond", "host": "web-03", "severity": "P1"})
    assert (event.title, event.labels, event.severity, event.dedup_key) == (
        "First",
        {"host": "web-03"},
        "critical",
        "7",
    )


def test_files_are_refused():
    with pytest.raises(BadEvent, match="Files are not taken"):
        OnCall().parse(b"--x\r\n\r\n--x--", {"content-type": "multipart/form-data; boundary=x"})


def test_the_answer_is_what_zabbix_compares_with():
    assert OnCall().accepted([], "id") == (200, "Ok.")
