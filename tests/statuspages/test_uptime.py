"""Figures of uptime: what counts, which day it belongs to, and what is not known."""

import datetime as dt
import zoneinfo

import pytest

from statuspages import uptime
from statuspages.states import DEGRADED, MAINTENANCE, MAJOR, OPERATIONAL, PARTIAL

UTC = dt.UTC
BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
NOW = dt.datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
LONG_AGO = NOW - dt.timedelta(days=400)
HOUR = dt.timedelta(hours=1)


def figures(*spans, now=NOW, tz=UTC, count=90, existed_from=LONG_AGO):
    whole, days = uptime.history(spans, uptime.days_until(now, tz, count), existed_from=existed_from, now=now)
    return whole, {day["date"]: day for day in days}


@pytest.mark.parametrize(
    ("state", "percent"), [(MAJOR, 75.0), (PARTIAL, 92.5), (DEGRADED, 100.0), (MAINTENANCE, 100.0)]
)
def test_six_hours_of_a_state_count_as_it_is_bad(state, percent):
    began = dt.datetime(2026, 5, 20, 6, 0, tzinfo=UTC)
    whole, days = figures((state, began, began + 6 * HOUR))
    assert days["2026-05-20"] == {"date": "2026-05-20", "uptime": percent, "worst": state, "seconds": {state: 21600}}
    assert days["2026-05-21"]["uptime"] == 100.0 and days["2026-05-21"]["worst"] == OPERATIONAL
    assert (whole < 100.0) == (percent < 100.0)


def test_the_days_are_those_shown_and_the_last_is_today():
    _, days = figures(count=7)
    assert list(days) == [f"2026-05-{day}" for day in range(26, 32)] + ["2026-06-01"]


def test_an_outage_over_midnight_belongs_to_both_days_of_the_zone():
    began = dt.datetime(2026, 5, 20, 21, 0, tzinfo=UTC)  # 23:00 in Berlin
    _, days = figures((MAJOR, began, began + 3 * HOUR), tz=BERLIN)
    assert days["2026-05-20"]["seconds"] == {MAJOR: 3600}
    assert days["2026-05-21"]["seconds"] == {MAJOR: 7200}


@pytest.mark.parametrize(
    ("date", "hours"), [(dt.date(2026, 3, 29), 23), (dt.date(2026, 10, 25), 25), (dt.date(2028, 2, 29), 24)]
)
def test_a_day_of_a_clock_change_has_its_own_length(date, hours):
    now = dt.datetime.combine(date + dt.timedelta(days=3), dt.time(12), tzinfo=UTC)
    day = next(day for day in uptime.days_until(now, BERLIN, 7) if day.date == date)
    assert day.end - day.start == hours * HOUR
    _, days = figures((MAJOR, day.start - HOUR, day.end + HOUR), now=now, tz=BERLIN)
    assert days[date.isoformat()]["uptime"] == 0.0
    assert days[date.isoformat()]["seconds"] == {MAJOR: hours * 3600}
    _, days = figures((MAJOR, day.start, day.start + hours * HOUR / 2), now=now, tz=BERLIN)
    assert days[date.isoformat()]["uptime"] == 50.0


def test_what_goes_on_counts_until_now_of_what_was_of_today():
    _, days = figures((MAJOR, NOW - 3 * HOUR, None))
    assert days["2026-06-01"]["uptime"] == 75.0  # three of twelve hours


def test_before_it_existed_nothing_is_known():
    born = dt.datetime(2026, 5, 31, 12, 0, tzinfo=UTC)
    whole, days = figures((MAJOR, born - 5 * HOUR, born + 3 * HOUR), existed_from=born)
    assert days["2026-05-30"]["uptime"] is None
    assert days["2026-05-31"]["uptime"] == 75.0  # three of the twelve hours that it existed
    assert whole == 87.5  # three of twenty-four


def test_a_component_made_this_moment_is_up():
    whole, days = figures(existed_from=NOW)
    assert whole == 100.0 and days["2026-06-01"]["uptime"] == 100.0 and days["2026-05-31"]["uptime"] is None


def test_one_second_down_is_not_a_hundred_percent():
    began = dt.datetime(2026, 5, 20, 6, 0, tzinfo=UTC)
    whole, days = figures((MAJOR, began, began + dt.timedelta(seconds=1)))
    assert days["2026-05-20"]["uptime"] == 99.99
    assert whole == 99.99


def test_what_was_over_before_the_first_day_is_not_counted():
    whole, _ = figures((MAJOR, LONG_AGO, NOW - dt.timedelta(days=89, hours=12)))
    assert whole == 100.0


def test_the_worst_state_of_a_day_marks_it_and_all_are_listed():
    began = dt.datetime(2026, 5, 20, 6, 0, tzinfo=UTC)
    spans = [(DEGRADED, began, began + HOUR), (MAJOR, began + HOUR, began + 2 * HOUR)]
    day = figures(*spans)[1]["2026-05-20"]
    assert day["worst"] == MAJOR and day["seconds"] == {DEGRADED: 3600, MAJOR: 3600}


def test_the_next_day_begins_at_midnight_of_the_zone():
    assert uptime.next_day(dt.datetime(2026, 3, 28, 22, 30, tzinfo=UTC), BERLIN) == dt.datetime(
        2026, 3, 28, 23, 0, tzinfo=UTC
    )
    assert uptime.next_day(dt.datetime(2026, 3, 28, 23, 0, tzinfo=UTC), BERLIN) == dt.datetime(
        2026, 3, 29, 22, 0, tzinfo=UTC
    )
