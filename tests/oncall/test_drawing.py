"""Where bars stand. Pure."""

import datetime as dt
import zoneinfo

import pytest

from oncall import drawing, shifts
from oncall.rotation import Rotation

BERLIN, UTC = zoneinfo.ZoneInfo("Europe/Berlin"), zoneinfo.ZoneInfo("UTC")
MONDAY = dt.date(2026, 6, 1)
HOUR = dt.timedelta(hours=1)


def at(day, hour=0):
    return dt.datetime(2026, 6, day, hour, tzinfo=dt.UTC)


def layer(unit="day", every=1, slots=((1,), (2,)), **fields):
    rotation = Rotation(unit, every, dt.date(2026, 1, 5), dt.time(9), "UTC")
    return shifts.LayerSpec(number=7, name="Days", position=1, rotation=rotation, slots=slots, **fields)


def final(*layers, period, **fields):
    return shifts.final(shifts.ScheduleSpec("Shop", layers, **fields), *period.padded)


@pytest.mark.parametrize(
    ("view", "day", "first", "last"),
    [
        ("day", "2026-06-03", "2026-06-03", "2026-06-04"),
        ("week", "2026-06-07", "2026-06-01", "2026-06-08"),
        ("2weeks", "2026-06-07", "2026-06-01", "2026-06-15"),
        ("month", "2028-02-29", "2028-02-01", "2028-03-01"),
        ("month", "2026-12-31", "2026-12-01", "2027-01-01"),
    ],
)
def test_a_period_holds_its_day(view, day, first, last):
    found = drawing.period(view, dt.date.fromisoformat(day), UTC)
    assert (found.first.isoformat(), found.last.isoformat()) == (first, last)


@pytest.mark.parametrize("view", drawing.VIEWS)
def test_the_calendar_ends_in_1990_and_in_2100_and_never_breaks(view):
    first, last = drawing.period(view, drawing.FIRST_DAY, BERLIN), drawing.period(view, drawing.LAST_DAY, BERLIN)
    assert first.previous is None and last.following is None
    assert drawing.days(first, BERLIN) and drawing.days(last, BERLIN)


@pytest.mark.parametrize("view", drawing.VIEWS)
def test_going_on_and_back_comes_to_the_same_period(view):
    here = drawing.period(view, dt.date(2028, 2, 29), BERLIN)
    there = drawing.period(view, here.following, BERLIN)
    assert there.start == here.end
    if view != "2weeks":  # two weeks begin at whatever Monday one is at
        assert drawing.period(view, there.previous, BERLIN) == here


@pytest.mark.parametrize(("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25)])
def test_a_day_has_its_true_length(day, hours):
    period = drawing.period("week", dt.date.fromisoformat(day), BERLIN)
    sunday, saturday = drawing.days(period, BERLIN)[-1], drawing.days(period, BERLIN)[-2]
    assert (sunday.hours, saturday.hours) == (hours, 24)
    assert sunday.width / saturday.width == pytest.approx(hours / 24, abs=0.001)
    assert sunday.x + sunday.width == pytest.approx(100)


@pytest.mark.parametrize(("day", "hours"), [("2026-03-29", 23), ("2026-06-01", 24), ("2026-10-25", 25)])
def test_the_hours_of_a_day_are_those_of_its_clock(day, hours):
    found = drawing.ticks(drawing.period("day", dt.date.fromisoformat(day), BERLIN), BERLIN)
    assert len(found) == hours
    assert [one.label for one in found if one.label] == [f"{hour:02}:00" for hour in range(0, 24, 3)]


def test_the_hour_that_comes_twice_moves_the_later_labels():
    period = drawing.period("day", dt.date(2026, 10, 25), BERLIN)
    places = {one.label: one.x for one in drawing.ticks(period, BERLIN) if one.label}
    assert places["03:00"] == pytest.approx(400 / 25)  # 00, 01, 02, 02 come before it


def test_a_bar_stands_where_its_shift_is():
    period = drawing.period("week", MONDAY, UTC)
    spans = final(layer(), period=period)
    second = drawing.final_bars(period, spans, drawing.days(period, UTC))[1]
    assert second.start_at == at(1, 9)
    assert second.x == pytest.approx(100 * 9 / 168, abs=0.001)
    assert second.width == pytest.approx(100 * 24 / 168, abs=0.001)


def test_a_shift_that_goes_beyond_the_page_says_so():
    period = drawing.period("day", MONDAY, UTC)
    before, after = drawing.final_bars(period, final(layer(), period=period), drawing.days(period, UTC))
    assert (before.is_cut_before, before.is_cut_after) == (True, False)
    assert (after.is_cut_before, after.is_cut_after) == (False, True)
    assert (before.x, after.x + after.width) == (0, pytest.approx(100))


def test_many_short_shifts_become_one_bar_a_day():
    period = drawing.period("month", MONDAY, UTC)
    days = drawing.days(period, UTC)
    bars = drawing.final_bars(period, final(layer("hour"), period=period), days)
    assert [one.count for one in bars[1:-1]] == [24] * 28
    assert set(bars[3].people) == {1, 2}


def test_a_gap_is_seen_however_short_it_is():
    period = drawing.period("month", MONDAY, UTC)
    minute = dt.timedelta(minutes=1)
    fixed = [
        shifts.FixedSpec(1, 1, period.start - HOUR * 5, at(10)),
        shifts.FixedSpec(2, 2, at(10) + minute, period.end + HOUR * 5),
    ]
    (gap,) = drawing.gap_bars(period, final(period=period, fixed=tuple(fixed)))
    assert gap.end_at - gap.start_at == minute
    assert gap.width >= drawing.LEAST


def test_people_who_are_on_call_together_stand_in_lanes():
    period = drawing.period("day", MONDAY, UTC)
    bars = drawing.final_bars(period, final(layer("week", slots=((1, 2),)), period=period), drawing.days(period, UTC))
    at_noon = [one for one in bars if one.start_at <= at(1, 12) < one.end_at]
    assert {(one.user_id, one.lane) for one in at_noon} == {(1, 0), (2, 1)}


def test_overrides_that_overlap_stand_in_lanes_and_the_lowest_free_one_is_taken():
    period = drawing.period("day", MONDAY, UTC)
    found = drawing.stacked(drawing.bar(period, at(1, start), at(1, end)) for start, end in ((1, 5), (3, 8), (5, 9)))
    assert [one.lane for one in found] == [0, 1, 0]


def test_a_layer_alone_shows_its_turns_and_its_empty_slots():
    period = drawing.period("week", MONDAY, UTC)
    bars = drawing.layer_bars(period, layer(slots=((1,), ())), drawing.days(period, UTC))
    assert [one.user_id for one in bars[:4]] in ([1, None, 1, None], [None, 1, None, 1])


def test_time_off_lies_upon_the_turns_of_its_person_only():
    period = drawing.period("week", MONDAY, UTC)
    bars = drawing.layer_bars(period, layer(), drawing.days(period, UTC))
    off = shifts.TimeOffSpec(1, at(2), at(4))
    found = drawing.off_bars(period, bars, [off])
    assert found and {one.user_id for one in found} == {1}
    assert all(at(2) <= one.start_at < one.end_at <= at(4) for one in found)
    assert sum((one.end_at - one.start_at for one in found), dt.timedelta()) == 24 * HOUR


def test_colours_differ_and_stay_when_others_come():
    few = drawing.colours({5, 17, 29})
    assert len(set(few.values())) == 3
    assert drawing.colours({5, 17, 29, 41}).items() >= few.items()
    assert drawing.colours({5, 17, 29}, {1, 2, 5}).items() >= few.items()
    assert len(drawing.colours(set(range(100)))) == 100


def test_a_day_of_the_calendar_says_who_begins_and_ends_and_who_is_missing():
    period = drawing.period("week", MONDAY, UTC)
    fixed = (shifts.FixedSpec(1, 1, at(1, 9), at(3, 17)),)
    found = drawing.calendar(drawing.days(period, UTC), {"PRIMARY": final(period=period, fixed=fixed)})
    words = [[(one.shift and one.shift.user_id, one.begins, one.ends) for one in entries] for _, entries in found[:3]]
    assert words == [
        [(None, False, True), (1, True, False)],
        [(1, False, False)],
        [(1, False, True), (None, True, False)],
    ]
    assert found[1][1][0].is_whole_day


def test_weeks_begin_on_monday_with_empty_days_around_a_month():
    period = drawing.period("month", dt.date(2026, 8, 1), UTC)  # a Saturday
    found = drawing.weeks(drawing.calendar(drawing.days(period, UTC), {}))
    assert [len(week) for week in found] == [7] * 6
    assert found[0][:5] == [None] * 5 and found[0][5][0].date == dt.date(2026, 8, 1)
