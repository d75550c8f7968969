"""Uptime Kuma's webhook in its three forms."""

import datetime as dt
import json
from urllib.parse import urlencode

import pytest

from alerts.sources.base import BadEvent
from alerts.sources.uptimekuma import UptimeKuma
from tests.samples import hrefs, read, read_one, sample


def changed(name="uptimekuma_down", monitor=(), **heartbeat):
    data = sample(name)
    data["heartbeat"].update(heartbeat)
    data["monitor"].update(monitor)
    return read_one("uptimekuma", data)


def test_a_monitor_is_down():
    event = changed()
    assert (event.action, event.dedup_key, event.severity) == ("trigger", "monitor:14", "")
    assert event.title == "Checkout health is down"
    assert event.description.startswith("Request failed with status code 503")
    assert event.service == "checkout-api"
    assert hrefs(event) == {"Monitored address": "https://shop.example.com/healthz"}
    assert event.occurred_at == dt.datetime(2026, 5, 4, 10, 15, 12, 331000, tzinfo=dt.UTC)


def test_a_monitor_is_up():
    event = changed("uptimekuma_up")
    assert (event.action, event.dedup_key, event.title) == ("resolve", "monitor:14", "Checkout health is up")


@pytest.mark.parametrize(("status", "word"), [(2, "pending"), (3, "maintenance")])
def test_pending_and_maintenance_call_for_nothing(status, word):
    event = changed(status=status)
    assert event.action == "ignore"
    assert word in event.reason


@pytest.mark.parametrize(
    ("status", "action"), [("1", "resolve"), ("0", "trigger"), (None, "trigger"), ([], "trigger")]
)
def test_odd_statuses(status, action):
    assert changed(status=status).action == action


def test_the_test_button_opens_no_alert():
    event = read_one("uptimekuma", sample("uptimekuma_test"))
    assert event.action == "ignore"
    assert "test message" in event.reason


@pytest.mark.parametrize("monitor", [None, {"name": "Checkout health"}])
def test_a_certificate_that_expires_is_for_information_and_has_no_key(monitor):
    text = "[Checkout health][https://shop.example.com] server certificate shop.example.com will expire in 7 days"
    event = read_one("uptimekuma", {"heartbeat": None, "monitor": monitor, "msg": text})
    assert (event.action, event.severity, event.dedup_key, event.title) == ("trigger", "info", "", text)


def test_tags_choose_severity_and_service():
    tags = [{"name": "Severity", "value": "critical"}, {"name": "service", "value": "cart"}, None, {"value": 1}]
    event = changed(monitor={"tags": tags})
    assert (event.severity, event.service) == ("critical", "cart")


def test_a_monitor_without_an_address_has_no_link():
    assert changed(monitor={"url": "https://", "hostname": "db-02", "port": 5432}).links == []


def test_a_form_with_the_json_in_one_field():
    text = json.dumps(sample("uptimekuma_down"))
    body = f'--x\r\nContent-Disposition: form-data; name="data"\r\n\r\n{text}\r\n--x--\r\n'.encode()
    (event,) = UptimeKuma().parse(body, {"content-type": "multipart/form-data; boundary=x"})
    assert event == changed()
    (event,) = UptimeKuma().parse(
        urlencode({"data": text}).encode(), {"content-type": "application/x-www-form-urlencoded"}
    )
    assert event == changed()


def test_a_query():
    data = sample("uptimekuma_down")
    query = urlencode({name: value if name == "msg" else json.dumps(value) for name, value in data.items()})
    (event,) = UptimeKuma().parse(b"", {":method": "GET", ":query": query})
    assert event == changed()


def test_the_test_button_by_a_query():
    (event,) = UptimeKuma().parse(b"", {":method": "GET", ":query": "msg=On-call+Testing&heartbeat=null&monitor=null"})
    assert event.action == "ignore"


@pytest.mark.parametrize("query", ["", "&&&"])
def test_a_query_with_nothing_in_it_is_refused(query):
    with pytest.raises(BadEvent, match="neither a body nor a query"):
        UptimeKuma().parse(b"", {":method": "GET", ":query": query})


@pytest.mark.parametrize("heartbeat", ["[" * 100_000, "{", "17", '"text"'])
def test_a_query_with_nonsense_still_wakes_somebody(heartbeat):
    (event,) = UptimeKuma().parse(
        b"", {":method": "GET", ":query": urlencode({"msg": "Down", "heartbeat": heartbeat})}
    )
    assert (event.action, event.title) == ("trigger", "Down")


def test_a_custom_body_is_read_as_generic():
    event = read_one("uptimekuma", {"title": "Own", "msg": "Own text", "id": "7"})
    assert (event.title, event.dedup_key) == ("Own", "7")


def test_up_of_nobody_knows_what_is_refused():
    data = sample("uptimekuma_up")
    data["heartbeat"]["monitorID"] = data["monitor"]["id"] = None
    with pytest.raises(BadEvent, match="heartbeat.monitorID"):
        read("uptimekuma", data)
