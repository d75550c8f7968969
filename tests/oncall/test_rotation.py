import datetime as dt
import zoneinfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oncall.rotation import Rotation, handoff, turn

BERLIN = "Europe/Berlin"


def rotation(**changes):
    fields = {
        "unit": "week",
        "every": 1,
        "start_date": dt.date(2026, 1, 5),
        "handoff_time": dt.time(9, 0),
        "zone": BERLIN,
    }
    return Rotation(**{**fields, **changes})


def local(*parts, zone=BERLIN):
    return dt.datetime(*parts, tzinfo=zoneinfo.ZoneInfo(zone)).astimezone(dt.UTC)


def test_nobody_has_a_turn_before_the_first_handoff():
    assert turn(rotation(), local(2026, 1, 5, 8, 59)) is None
    assert turn(rotation(), local(2026, 1, 5, 9, 0)) == 0


def test_a_handoff_belongs_to_the_next_turn():
    assert turn(rotation(), local(2026, 1, 12, 8, 59, 59)) == 0
    assert turn(rotation(), local(2026, 1, 12, 9, 0)) == 1


def test_the_handoff_keeps_its_wall_clock_time_when_the_clock_goes_forward_and_back():
    daily = rotation(unit="day", start_date=dt.date(2026, 3, 28))
    assert handoff(daily, 1) - handoff(daily, 0) == dt.timedelta(hours=23)
    autumn = rotation(unit="day", start_date=dt.date(2026, 10, 24))
    assert handoff(autumn, 1) - handoff(autumn, 0) == dt.timedelta(hours=25)


def test_a_handoff_in_the_skipped_hour_happens_after_the_jump():
    daily = rotation(unit="day", start_date=dt.date(2026, 3, 28), handoff_time=dt.time(2, 30))
    assert handoff(daily, 1) == dt.datetime(2026, 3, 29, 1, 30, tzinfo=dt.UTC)


def test_a_handoff_in_the_doubled_hour_happens_the_first_time():
    daily = rotation(unit="day", start_date=dt.date(2026, 10, 24), handoff_time=dt.time(2, 30))
    assert handoff(daily, 1) == dt.datetime(2026, 10, 25, 0, 30, tzinfo=dt.UTC)


def test_a_leap_day_is_a_day_like_any_other():
    daily = rotation(unit="day", start_date=dt.date(2028, 2, 28))
    assert turn(daily, local(2028, 2, 29, 12)) == 1
    assert turn(daily, local(2028, 3, 1, 12)) == 2


@settings(max_examples=300, deadline=None)
@given(
    unit=st.sampled_from(["day", "week"]),
    every=st.integers(1, 5),
    start=st.dates(dt.date(2020, 1, 1), dt.date(2030, 1, 1)),
    time=st.times().map(lambda one: one.replace(second=0, microsecond=0)),
    zone=st.sampled_from([BERLIN, "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "America/St_Johns"]),
    minutes=st.integers(0, 60 * 24 * 900),
)
def test_every_moment_lies_in_the_turn_that_a_walk_over_all_handoffs_finds(unit, every, start, time, zone, minutes):
    one = rotation(unit=unit, every=every, start_date=start, handoff_time=time, zone=zone)
    at = handoff(one, 0) + dt.timedelta(minutes=minutes)
    number = 0
    while handoff(one, number + 1) <= at:
        number += 1
    assert turn(one, at) == number


@pytest.mark.parametrize("years", [1, 36])
def test_an_old_rotation_costs_no_more_handoffs_than_a_new_one(years, monkeypatch):
    calls = []
    monkeypatch.setattr("oncall.rotation.handoff", lambda *args: calls.append(args) or handoff(*args))
    old = rotation(unit="day", start_date=dt.date(2026 - years, 1, 5))
    assert turn(old, local(2026, 6, 1, 12)) is not None
    assert len(calls) <= 4
