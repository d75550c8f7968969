"""Healthchecks with the body that we give to paste."""

import datetime as dt

import pytest

from alerts.sources.base import BadEvent
from alerts.sources.healthchecks import BODY, Healthchecks
from tests.samples import hrefs, read, read_one, sample


def changed(file="healthchecks_down", /, **fields):
    return read_one("healthchecks", {**sample(file), **fields})


def test_a_check_is_down():
    event = changed()
    assert (event.action, event.dedup_key) == ("trigger", "31365bce-8da9-4729-8ff3-aaa71d56b712")
    assert event.title == "Nightly backup is DOWN"
    assert event.description == "pg_dump of the orders database"
    assert event.labels["tags"] == "backups,prod"
    assert event.labels["exit_status"] == "-1"
    assert hrefs(event) == {
        "Healthchecks": "https://cron.example.com/checks/31365bce-8da9-4729-8ff3-aaa71d56b712/details/"
    }
    assert event.occurred_at == dt.datetime(2026, 5, 4, 4, 15, tzinfo=dt.UTC)


def test_a_check_is_up():
    event = changed("healthchecks_up")
    assert (event.action, event.dedup_key, event.title) == ("resolve", changed().dedup_key, "Nightly backup is UP")


def test_tags_choose_severity_and_service():
    event = changed(tags="severity:high service:backups prod")
    assert (event.severity, event.service, event.labels["tags"]) == ("high", "backups", "prod")


def test_the_output_of_the_job_is_read():
    assert changed(body="pg_dump: error\nno space").description.endswith("pg_dump: error\nno space")


def test_the_test_message_is_about_a_check_that_does_not_exist():
    check = {"name": "TEST", "slug": "", "n_pings": 42, "uuid": "aa"}
    event = changed(name="TEST", slug="", check=check)
    assert event.action == "ignore"
    assert "test message" in event.reason
    assert changed(name="TEST").action == "trigger"  # a real check may have this name


def test_placeholders_that_were_not_filled_are_missing():
    event = changed(exit_status="$EXITSTATUS", now="$NOW", slug="$SLUG", tags="$TAGS")
    assert event.occurred_at is None
    assert "exit_status" not in event.labels and "slug" not in event.labels


def test_the_whole_check_is_enough():
    event = read_one("healthchecks", {"check": sample("healthchecks_up")["check"]})
    assert (event.action, event.dedup_key) == ("resolve", changed().dedup_key)


def test_nulls_are_no_trouble():
    event = changed(**dict.fromkeys(sample("healthchecks_down")))
    assert (event.action, event.title, event.links) == ("trigger", "A check without a name is DOWN", [])


@pytest.mark.parametrize("address", ["http://[", "no address", 7, None, "javascript://x/y"])
def test_an_odd_address_makes_no_link(address):
    data = sample("healthchecks_down")
    data["check"]["update_url"] = address
    assert read_one("healthchecks", data).links == []


def test_up_without_an_id_is_refused():
    with pytest.raises(BadEvent, match='send "check_uuid"'):
        read("healthchecks", {"check_uuid": "", "status": "up"})


def test_another_body_is_read_as_generic():
    assert read_one("healthchecks", {"title": "Own body"}).title == "Own body"


def test_the_answer_is_one_of_the_four_that_it_knows():
    assert Healthchecks().accepted([], "id")[0] == 200


def test_the_setup_text_has_the_body():
    assert BODY in Healthchecks.setup_help
