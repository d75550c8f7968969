"""Repeating events, compared with a library where the library can be trusted, and bounded where it cannot."""

import datetime as dt
import itertools

import pytest
from dateutil import rrule
from hypothesis import given, settings
from hypothesis import strategies as st

from oncall import recurrences

FIRST, LAST = dt.datetime(2026, 5, 2), dt.datetime(2026, 11, 28)


def walk(text, start=dt.datetime(2026, 1, 5, 9, 0), first=FIRST, last=LAST, steps=500_000):
    fuel = recurrences.Fuel(steps)
    return list(recurrences.occurrences(recurrences.parse(text), start, first, last, fuel=fuel))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("FREQ=WEEKLY", "every week"),
        ("FREQ=DAILY;INTERVAL=2", "every 2 days"),
        ("FREQ=WEEKLY;BYDAY=SU", "every week on Sunday"),
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=WE,MO,FR", "every 2 weeks on Monday, Wednesday and Friday"),
        ("FREQ=WEEKLY;BYDAY=MO,MO", "every week on Monday"),
        ("FREQ=MONTHLY;BYDAY=-1SU", "FREQ=MONTHLY;BYDAY=-1SU"),
        ("FREQ=WEEKLY;COUNT=3", "FREQ=WEEKLY;COUNT=3"),
        ("nonsense", "nonsense"),
    ],
)
def test_simple_rules_are_said_in_words_and_others_as_they_are_written(text, words):
    assert recurrences.in_words(text) == words


@st.composite
def rules(draw):
    frequency = draw(st.sampled_from(recurrences.FREQUENCIES))
    parts = [f"FREQ={frequency}", f"INTERVAL={draw(st.integers(1, 5))}"]
    # Each rule fires now and then: one that never does would keep the library busy up to the year 9999.
    kind = draw(st.sampled_from(["", "days", "month days", "year days"]))
    if kind == "days":
        is_long = frequency in ("MONTHLY", "YEARLY")
        ordinal = draw(st.sampled_from(["", "1", "2", "-1", "+3", "5"])) if is_long else ""
        days = draw(st.lists(st.sampled_from(sorted(recurrences.WEEKDAYS)), min_size=1, max_size=4, unique=True))
        parts.append("BYDAY=" + ",".join(ordinal + day for day in days))
    elif kind == "month days":
        parts.append(f"BYMONTHDAY={draw(st.sampled_from([1, 15, 28, 31, -1, -31]))},13")
    elif kind == "year days" and frequency == "YEARLY":
        parts.append("BYYEARDAY=1,140,-1,366")
    if kind != "year days" and draw(st.booleans()):
        parts.append(f"BYMONTH={draw(st.integers(1, 12))},{draw(st.integers(1, 12))}")
    if draw(st.booleans()) and frequency != "HOURLY":
        parts.append("BYHOUR=3,17")
    if kind and draw(st.booleans()) and frequency != "HOURLY":
        parts.append(f"BYSETPOS={draw(st.sampled_from(['1', '-1', '1,-1']))}")
    if draw(st.booleans()):
        parts.append("WKST=SU")
    if draw(st.booleans()):
        parts.append(f"COUNT={draw(st.integers(1, 40))}")
    return ";".join(parts)


@settings(max_examples=200, deadline=None)
@given(rules(), st.datetimes(dt.datetime(2024, 1, 1), dt.datetime(2026, 10, 1)))
def test_the_walk_is_the_one_of_the_library(text, start):
    start = start.replace(minute=30, second=0, microsecond=0)
    theirs = itertools.takewhile(lambda one: one <= LAST, rrule.rrulestr(text, dtstart=start))
    theirs = list(theirs)
    if not theirs or theirs[0] != start:
        return  # what a first time means that the rule does not name is not defined; for us it is an occurrence
    assert walk(text, start) == [one for one in theirs if one >= FIRST]


def test_the_first_time_counts_even_if_the_rule_does_not_name_it():
    start = dt.datetime(2026, 6, 3, 9, 0)  # a Wednesday
    found = walk("FREQ=WEEKLY;BYDAY=MO;COUNT=3", start)
    assert [one.day for one in found] == [3, 8, 15]


@pytest.mark.parametrize(
    "text",
    [
        "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=HOURLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=MONTHLY;BYDAY=6MO",
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=DAILY;BYSETPOS=9",
    ],
)
def test_a_rule_that_never_fires_costs_no_more_than_the_window(text):
    assert walk(text, dt.datetime(1970, 1, 1), steps=16_000) == []


def test_an_old_rule_costs_as_much_as_a_new_one():
    assert len(walk("FREQ=HOURLY", dt.datetime(1900, 1, 1), steps=21_000)) == 210 * 24 + 1


def test_counting_from_long_ago_uses_up_the_fuel():
    with pytest.raises(recurrences.BadRule, match="too often or from too long ago"):
        walk("FREQ=DAILY;COUNT=999999;BYMONTHDAY=31", dt.datetime(1900, 1, 1), steps=20_000)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("FREQ=SECONDLY", "each second"),
        ("FREQ=MINUTELY", "minute"),
        ("FREQ=DAILY;BYHOUR=1,2,3;BYMINUTE=0,1,2,3,4,5,6,7,8,9", "more than 24 times a day"),
        ("FREQ=HOURLY;BYMINUTE=0,30", "more than 24 times a day"),
        ("FREQ=YEARLY;BYWEEKNO=20", "BYWEEKNO"),
        ("FREQ=DAILY;INTERVAL=0", "whole number"),
        ("FREQ=DAILY;INTERVAL=99999999999999999999", "whole number"),
        ("FREQ=DAILY;COUNT=-1", "whole number"),
        ("FREQ=DAILY;BYMONTH=13", "BYMONTH"),
        ("FREQ=DAILY;BYMONTHDAY=0", "BYMONTHDAY"),
        ("FREQ=DAILY;BYDAY=XX", "BYDAY"),
        ("FREQ=DAILY;FREQ=DAILY", "twice"),
        ("FREQ", "cannot be read"),
        ("", "no FREQ"),
        ("FREQ=FORTNIGHTLY", "no FREQ"),
        ("FREQ=DAILY;WKST=1", "WKST"),
        ("FREQ=DAILY;BYHOUR=" + "1," * 600, "too long"),
        ("FREQ=DAILY;BYHOUR=١", "odd letters"),
    ],
)
def test_bad_rules_say_why(text, words):
    with pytest.raises(recurrences.BadRule, match=words):
        recurrences.parse(text)
