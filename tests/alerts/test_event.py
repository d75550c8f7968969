"""Reading what senders write: text, keys, severities, times."""

import datetime as dt
import hashlib

import pytest

from alerts import event
from alerts.event import Event

AT = dt.datetime(2026, 6, 1, 11, 58, 0, tzinfo=dt.UTC)


def test_text_loses_control_characters_and_half_surrogates_but_keeps_lines():
    assert event.clean_text("a\x00b\x07c\ud800d\te\r\nf\n", 100) == "abcd\te\nf"


def test_a_line_has_no_breaks():
    assert event.clean_line("first\r\nsecond\u2028third\tx", 100) == "first second third x"


def test_long_text_is_cut_with_a_sign():
    assert event.clean_text("x" * 5_000_000, 10) == "x" * 9 + "…"


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), (42, "42"), (True, "true"), (1.5, "1.5"), ({"a": [1]}, '{"a":[1]}'), (float("nan"), "NaN")],
)
def test_any_value_becomes_text(value, text):
    assert event.clean_text(value, 100) == text


def test_a_long_key_keeps_a_prefix_and_its_hash():
    long = "k" * 256
    key = event.clean_key(long)
    assert key == "k" * 180 + ":" + hashlib.sha256(long.encode()).hexdigest()
    assert len(key) <= 255
    assert event.clean_key("k" * 255) == "k" * 255
    assert event.clean_key("k" * 10_000 + "a") != event.clean_key("k" * 10_000 + "b")


@pytest.mark.parametrize(("value", "key"), [(None, ""), ("  ", ""), (False, ""), (17, "17"), (" a\x00b ", "ab")])
def test_a_key_is_text_without_surprises(value, key):
    assert event.clean_key(value) == key


@pytest.mark.parametrize(
    ("severity", "words"),
    [
        ("critical", "critical page emergency fatal disaster sev0 P1 P0 CRITICAL"),
        ("high", "high error err major sev1 P2 Error"),
        ("medium", "medium warning warn moderate sev2 P3"),
        ("low", "low minor notice sev3 P4"),
        ("info", "info informational none debug ok P5"),
    ],
)
def test_severity_words(severity, words):
    assert {event.severity_from(word) for word in words.split()} == {severity}


@pytest.mark.parametrize("word", ["", "bad", None, 3, ["high"], "x" * 10_000])
def test_an_unknown_severity_is_left_to_the_integration(word):
    assert event.severity_from(word) == ""


@pytest.mark.parametrize(
    "text",
    [
        "2026-06-01T11:58:00Z",
        "2026-06-01t11:58:00z",
        "2026-06-01T11:58Z",
        "2026-06-01T11:58:00.0Z",
        "2026-06-01T11:58:00.000000000Z",
        "2026-06-01T13:58:00.000+0200",
        "2026-06-01T13:58:00+02:00",
        "2026-06-01T06:58:00-05",
        "2026-06-01 11:58:00",
        "2026.06.01 11:58:00",
        "2026-06-01 11:58:00 UTC",
        "1780315080",
        "1780315080000",
        1780315080,
        1780315080.0,
        1780315080000,
        1780315080000000,
        1780315080000000000,
    ],
)
def test_times_in_every_form(text):
    assert event.parse_time(text) == AT


def test_fractions_of_any_length():
    assert event.parse_time("2026-06-01T11:58:00.123456789Z") == AT.replace(microsecond=123456)
    assert event.parse_time("2026-06-01T11:58:00.5Z") == AT.replace(microsecond=500000)


def test_a_day_alone_begins_at_midnight():
    assert event.parse_time("2026.06.01") == AT.replace(hour=0, minute=0)


def test_a_leap_second_is_the_second_before():
    assert event.parse_time("2026-06-30T23:59:60Z") == dt.datetime(2026, 6, 30, 23, 59, 59, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    "value",
    [
        None, "", "0001-01-01T00:00:00Z", "yesterday",
        "2026-13-01T00:00:00Z", "9999-12-31T23:59:59-12:00", 0, -5, True,
        float("nan"), float("inf"), 10**400, "9" * 30, {}, [], "2026-06-01T25:00:00Z", "٢٠٢٦-06-01T00:00:00Z" * 2,
    ],
)  # fmt: skip
def test_what_is_no_time_is_none(value):
    assert event.parse_time(value) is None


@pytest.mark.parametrize(
    ("occurred_at", "counts"),
    [
        (AT - dt.timedelta(hours=1), AT - dt.timedelta(hours=1)),
        (AT - dt.timedelta(days=7), AT - dt.timedelta(days=7)),
        (AT - dt.timedelta(days=7, seconds=1), AT),
        (AT + dt.timedelta(seconds=1), AT),
        (None, AT),
    ],
)
def test_an_unlikely_time_is_replaced_by_the_receipt(occurred_at, counts):
    assert event.event_time(occurred_at, AT) == counts


def test_labels_are_flat_text_and_limited():
    labels = event.clean_labels({"a": 1, "b": {"c": [None]}, "d": None, "e\n": "x\x00", "": "y"}, {"a": 2, "f": True})
    assert labels == {"a": "1", "b": '{"c":[null]}', "e": "x", "f": "true"}
    assert len(event.clean_labels({str(n): n for n in range(500)})) == event.LABELS_LIMIT
    assert len(event.clean_labels({"big": "x" * 1_000_000})["big"]) == event.LABEL_VALUE_LIMIT


def test_only_web_links_stay():
    links = event.clean_links(
        [
            {"href": "https://a.example/x", "text": "A"},
            {"href": "javascript:alert(1)", "text": "B"},
            {"href": "HTTP://b.example", "text": None},
            {"href": "https://a.example/x", "text": "twice"},
            {"href": "https://long.example/" + "x" * 5000},
            "https://c.example",
            None,
            7,
        ]
    )
    assert links == [
        {"href": "https://a.example/x", "text": "A"},
        {"href": "HTTP://b.example", "text": "HTTP://b.example"},
        {"href": "https://c.example", "text": "https://c.example"},
    ]
    assert event.clean_links("https://x.example") == []


def test_a_generated_key_numbers_the_events_of_one_request():
    one = Event("trigger", title="x")
    assert event.with_key(one, "abc").dedup_key == "abc"
    assert event.with_key(one, "abc", 2).dedup_key == "abc-2"
    assert event.with_key(Event("trigger", dedup_key="own"), "abc", 2).dedup_key == "own"
