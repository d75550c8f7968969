"""When a window that may repeat is open: by the clock of its zone, over both changes of the clock."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oncall.occurrences import BadWindow, Window

HOUR, DAY, WEEK = dt.timedelta(hours=1), dt.timedelta(days=1), dt.timedelta(weeks=1)
TICK = dt.timedelta(microseconds=1)
BERLIN = "Europe/Berlin"


def utc(*args):
    return dt.datetime(*args, tzinfo=dt.UTC)


def test_once_means_from_the_start_to_just_before_the_end():
    start = utc(2026, 6, 1, 12)
    window = Window(start, start + HOUR)
    assert window.open_until(start - TICK) is None and window.open_until(start + HOUR) is None
    assert window.open_until(start) == window.open_until(start + HOUR - TICK) == start + HOUR
    assert window.coming(start - DAY) == window.coming(start) == [(start, start + HOUR)]
    assert window.coming(start + HOUR) == []


def test_a_weekly_window_keeps_its_wall_clock_time_when_the_clock_is_put_forward():
    # Sundays 03:30 in Berlin; on 29 March 2026 the clock goes from 02:00 to 03:00.
    window = Window(utc(2026, 3, 22, 2, 30), utc(2026, 3, 22, 4, 30), "FREQ=WEEKLY;BYDAY=SU", BERLIN)
    starts = [start for start, _ in window.coming(utc(2026, 3, 22), count=3)]
    assert starts == [utc(2026, 3, 22, 2, 30), utc(2026, 3, 29, 1, 30), utc(2026, 4, 5, 1, 30)]


def test_a_weekly_window_keeps_its_wall_clock_time_when_the_clock_is_put_back():
    # Sundays 01:00 in Berlin, three hours long; on 25 October 2026 03:00 becomes 02:00.
    window = Window(utc(2026, 10, 17, 23), utc(2026, 10, 18, 2), "FREQ=WEEKLY", BERLIN)
    spans = window.coming(utc(2026, 10, 17), count=3)
    assert [start for start, _ in spans] == [utc(2026, 10, 17, 23), utc(2026, 10, 24, 23), utc(2026, 11, 1, 0)]
    # It lasts as long as the first time, so that day it ends at 03:00 by the clock, which was 04:00 before.
    assert {end - start for start, end in spans} == {3 * HOUR}
    assert window.open_until(utc(2026, 10, 25, 1, 59)) == utc(2026, 10, 25, 2)


def test_a_start_that_the_clock_skips_is_the_moment_of_the_jump():
    window = Window(utc(2026, 3, 28, 1, 30), utc(2026, 3, 28, 2, 30), "FREQ=DAILY", BERLIN)  # 02:30 in winter
    assert window.coming(utc(2026, 3, 28, 12), count=1) == [(utc(2026, 3, 29, 1), utc(2026, 3, 29, 2))]


def test_a_start_that_comes_twice_is_the_first_of_the_two():
    window = Window(utc(2026, 10, 24, 0, 30), utc(2026, 10, 24, 1), "FREQ=DAILY", BERLIN)  # 02:30 in summer
    assert window.coming(utc(2026, 10, 24, 12), count=1) == [(utc(2026, 10, 25, 0, 30), utc(2026, 10, 25, 1))]


def test_a_first_time_that_is_the_second_of_two_counts():
    window = Window(utc(2026, 10, 25, 1, 30), utc(2026, 10, 25, 2), "FREQ=DAILY", BERLIN)  # 02:30, after the change
    assert window.open_until(utc(2026, 10, 25, 1, 45)) == utc(2026, 10, 25, 2)
    assert window.open_until(utc(2026, 10, 25, 0, 45)) is None


def test_windows_that_follow_each_other_directly_are_one():
    # Friday, Saturday and Sunday for a whole day each.
    window = Window(utc(2026, 6, 5), utc(2026, 6, 6), "FREQ=WEEKLY;BYDAY=FR,SA,SU", "UTC")
    assert window.open_until(utc(2026, 6, 5, 12)) == utc(2026, 6, 8)
    assert window.open_until(utc(2026, 6, 7, 23)) == utc(2026, 6, 8)
    assert window.open_until(utc(2026, 6, 8)) is None
    assert window.coming(utc(2026, 6, 6, 3), count=2) == [
        (utc(2026, 6, 6), utc(2026, 6, 8)),
        (utc(2026, 6, 12), utc(2026, 6, 15)),
    ]


def test_a_window_that_is_always_open_is_looked_at_again_within_weeks():
    window = Window(utc(2026, 6, 1), utc(2026, 6, 2), "FREQ=DAILY")
    now = utc(2026, 8, 1, 12)
    assert now + 5 * WEEK <= window.open_until(now) <= now + 6 * WEEK


def test_a_window_longer_than_its_interval_is_open_on_the_day_after():
    window = Window(utc(2026, 6, 1, 20), utc(2026, 6, 3, 4), "FREQ=WEEKLY")
    assert window.open_until(utc(2026, 6, 10, 1)) == utc(2026, 6, 10, 4)


def test_a_rule_ends_with_its_count_or_its_until():
    start = utc(2026, 6, 1, 12)
    twice = Window(start, start + HOUR, "FREQ=DAILY;COUNT=2")
    assert twice.open_until(start + DAY) and twice.open_until(start + 2 * DAY) is None
    for until in ("20260602", "20260602T120000", "20260602T120000Z"):
        window = Window(start, start + HOUR, f"FREQ=DAILY;UNTIL={until}")
        assert window.open_until(start + DAY) and window.open_until(start + 2 * DAY) is None
    berlin = Window(start, start + HOUR, "FREQ=DAILY;UNTIL=20260602T120000Z", BERLIN)
    assert berlin.open_until(start + DAY) and berlin.open_until(start + 2 * DAY) is None


def test_a_leap_day_comes_every_fourth_year():
    window = Window(utc(2024, 2, 29, 12), utc(2024, 2, 29, 13), "FREQ=YEARLY")
    assert window.open_until(utc(2028, 2, 29, 12)) == utc(2028, 2, 29, 13)
    assert window.coming(utc(2025, 1, 1)) == []  # further away than anybody plans


@pytest.mark.parametrize(
    ("rule", "zone", "words"),
    [
        ("FREQ=SECONDLY", "UTC", "repeats each second"),
        ("nonsense", "UTC", "cannot be read"),
        ("FREQ=DAILY;UNTIL=soon", "UTC", "no day like 20261231"),
        ("FREQ=DAILY;UNTIL=20261399", "UTC", "no day like 20261231"),
        ("FREQ=DAILY", "Mars/Olympus", "no time zone"),
        ("FREQ=DAILY;COUNT=900000", "UTC", "too often or from too long ago"),
    ],
)
def test_what_cannot_be_used_is_said_in_words(rule, zone, words):
    window = Window(utc(1990, 6, 1), utc(1990, 6, 1, 1), rule, zone)
    with pytest.raises(BadWindow, match=words):
        window.open_until(utc(2090, 6, 1))


@given(
    start=st.datetimes(dt.datetime(2024, 1, 1), dt.datetime(2028, 1, 1)),
    hours=st.integers(1, 60),
    rule=st.sampled_from(
        ["", "FREQ=DAILY", "FREQ=WEEKLY;BYDAY=MO,TU,SU", "FREQ=MONTHLY;BYDAY=2TU", "FREQ=DAILY;INTERVAL=3"]
    ),
    zone=st.sampled_from(["UTC", BERLIN, "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]),
    later=st.integers(0, 400 * 24),
)
def test_what_is_open_and_what_comes_agree(start, hours, rule, zone, later):
    start = start.replace(microsecond=0, tzinfo=dt.UTC)
    window = Window(start, start + hours * HOUR, rule, zone)
    at = start + later * HOUR
    until, spans = window.open_until(at), window.coming(at, count=2)
    assert all(a < b for a, b in spans) and all(one[1] < two[0] for one, two in zip(spans, spans[1:], strict=False))
    if until is None:
        assert not spans or spans[0][0] > at
    else:
        assert spans[0][0] <= at < until <= spans[0][1] or until > at + 5 * WEEK
    for begins, ends in spans[:1]:
        assert window.open_until(ends - TICK) and (window.open_until(begins) or begins > at + 400 * DAY)
        assert window.open_until(begins - TICK) is None or begins <= at
