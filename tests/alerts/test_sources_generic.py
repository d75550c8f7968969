"""Generic JSON: our own names, the names of others, and what nobody should send."""

import datetime as dt
import json
from pathlib import Path

import pytest

from alerts.sources.base import BadEvent
from alerts.sources.generic import Generic

PAYLOADS = Path(__file__).parent.parent / "payloads"


def parse(body):
    return Generic().parse(body if isinstance(body, bytes) else json.dumps(body).encode(), {})


def one(body):
    (event,) = parse(body)
    return event


def errors(body):
    with pytest.raises(BadEvent) as raised:
        parse(body)
    return raised.value.errors


def sample(name):
    return (PAYLOADS / f"{name}.json").read_bytes()


def test_our_own_names():
    event = one(sample("generic_trigger"))
    assert event.action == "trigger"
    assert event.dedup_key == "backup/db-02"
    assert event.severity == "high"
    assert event.title == "Backup of db-02 is 26 hours old"
    assert event.description == "The last good one ended at 02:10."
    assert event.service == "checkout"
    assert event.labels == {"host": "db-02", "env": "prod", "source": "backup-watch"}
    assert event.links == [{"href": "https://runbooks.example.com/backup", "text": "Runbook"}]
    assert event.occurred_at == dt.datetime(2026, 6, 1, 11, 58, tzinfo=dt.UTC)
    assert event.source == "generic"


def test_acknowledge_and_resolve_need_only_the_key():
    assert one(sample("generic_acknowledge")).action == "acknowledge"
    assert one(sample("generic_resolve")).action == "resolve"


def test_the_names_of_other_senders():
    event = one(sample("generic_foreign"))
    assert (event.action, event.title, event.severity) == ("trigger", "Queue depth over 10000", "medium")
    assert (event.dedup_key, event.description) == ("mq-17", "orders.in holds 12,481 messages")
    assert event.occurred_at == dt.datetime(2026, 6, 1, 11, 58, tzinfo=dt.UTC)


def test_the_shape_of_the_rest_api():
    event = one(sample("generic_rest"))
    assert (event.title, event.description, event.service) == ("Checkout answers 500", "", "checkout")
    assert event.severity == "critical"
    assert event.occurred_at == dt.datetime(2026, 6, 1, 11, 59, 30, tzinfo=dt.UTC)


def test_title_and_message_together_are_title_and_description():
    event = one({"title": "Short", "message": "Long"})
    assert (event.title, event.description) == ("Short", "Long")


@pytest.mark.parametrize("word", ["ok", "resolved", "recovered", "closed", "up", "cleared", "normal", "success", "OK"])
def test_words_that_mean_it_is_over(word):
    assert one({"title": "x", "id": 7, "status": word}).action == "resolve"


def test_an_unknown_state_of_another_sender_is_trouble():
    assert one({"title": "x", "status": "wobbling"}).action == "trigger"


def test_an_unknown_word_in_our_own_action_is_a_mistake():
    (error,) = errors({"title": "x", "action": "reslove"})
    assert error["field"] == "action"
    assert "resolve" in error["message"]


def test_an_unknown_severity_is_left_to_the_integration():
    assert one({"title": "x", "severity": "terrible"}).severity == ""


def test_p0_is_critical():
    assert one({"title": "x", "priority": "P0"}).severity == "critical"


def test_a_trigger_without_a_key_has_none():
    assert one({"title": "x"}).dedup_key == ""


def test_a_title_that_is_too_long_is_kept_whole_in_the_description():
    event = one({"message": "m" * 3000})
    assert len(event.title) == 1024
    assert event.description == "m" * 3000


def test_what_is_missing_is_named():
    assert errors({})[0]["field"] == "title"
    assert errors({"action": "resolve"})[0]["field"] == "dedup_key"
    assert errors({"title": "\x00\n "})[0]["field"] == "title"


def test_an_array_is_several_events_in_order():
    assert [event.title for event in parse([{"title": "a"}, {"title": "b"}])] == ["a", "b"]


def test_an_array_names_the_place_of_each_mistake():
    found = errors([{"title": "a"}, {"action": "resolve"}, 3])
    assert [error["field"] for error in found] == ["[1].dedup_key", "[2]"]


@pytest.mark.parametrize("count", [0, 101])
def test_an_array_has_one_to_a_hundred_events(count):
    assert "100" in errors([{"title": "x"}] * count)[0]["message"]


@pytest.mark.parametrize(
    "body",
    [
        b"", b"  ", b"hello", b"{", b"{'title': 'x'}", b"title=x", b"null", b"3", b'"title"', b"true", b"\x00\xff",
        b"[" * 100_000, b'{"a":' * 100_000, b'{"title": "x", "n": ' + b"1" * 6000 + b"}",
        b'{"title": "x", "labels": ' + b"[" * 5000 + b"]" * 5000 + b"}",
    ],
)  # fmt: skip
def test_what_no_event_can_be_made_of_is_refused_with_a_sentence(body):
    found = errors(body)
    assert found
    assert all(error["message"].endswith((".", "}.")) for error in found)


@pytest.mark.parametrize("depth", [1, 50, 300, 600, 900, 980])
def test_nesting_up_to_what_can_be_read(depth):
    body = b'{"title": "x", "labels": {"deep": ' + b"[" * depth + b"]" * depth + b"}}"
    try:
        assert one(body).title == "x"
    except BadEvent as bad:
        assert "nested" in bad.errors[0]["message"]


def test_crippled_text_still_makes_an_alert():
    assert one(b'{"title": "Disk \xff\xfe full"}').title == "Disk \ufffd\ufffd full"
    assert one(b'{"title": "half \\ud83d pair"}').title == "half  pair"
    assert one(b'{"title": "nul \\u0000 here"}').title == "nul  here"
    assert one(b'\xef\xbb\xbf{"title": "mark"}').title == "mark"
    assert one(b'{"title": "raw\nbreak"}').title == "raw break"
    assert one(b'{"title": "x", "labels": {"value": NaN, "top": Infinity}}').labels["value"] == "NaN"


def test_null_everywhere_is_like_missing():
    names = ["action", "dedup_key", "description", "severity", "service", "source", "occurred_at", "labels", "links"]
    event = one({"title": "x", **dict.fromkeys(names)})
    assert (event.action, event.dedup_key, event.labels, event.links, event.occurred_at) == (
        "trigger",
        "",
        {},
        [],
        None,
    )


def test_odd_types_everywhere():
    event = one(
        {
            "title": 42,
            "description": {"a": 1},
            "dedup_key": 17,
            "severity": 3,
            "service": {"name": "Checkout", "slug": "checkout"},
            "labels": ["a", "b"],
            "links": "https://x.example",
            "occurred_at": {"t": 1},
        }
    )
    assert (event.title, event.description, event.dedup_key) == ("42", '{"a":1}', "17")
    assert (event.severity, event.service, event.links) == ("", "checkout", [])
    assert event.labels == {"labels": '["a","b"]'}


def test_a_label_of_a_megabyte_is_cut():
    assert len(one({"title": "x", "labels": {"big": "x" * 1_000_000}}).labels["big"]) == 4096


def test_answers():
    source = Generic()
    (event,) = parse({"title": "x", "dedup_key": "k"})
    assert source.accepted([event], "id-1") == (202, {"status": "accepted", "dedup_key": "k", "event_id": "id-1"})
    assert source.accepted([event, event], "id-1")[1]["dedup_keys"] == ["k", "k"]
    mistakes = [{"field": "title", "message": "…"}]
    assert source.refused(mistakes) == (400, {"status": "invalid", "errors": mistakes})
    assert [source.unknown_key(where)[0] for where in ("path", "header")] == [404, 401]
