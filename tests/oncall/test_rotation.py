import datetime as dt
import itertools
import sys
import zoneinfo

import pytest

from oncall.rotation import BadRule, Rotation, check_rule, handoff, moment, turn, turns, wall, wall_clock

BERLIN = "Europe/Berlin"
HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)


def rotation(**changes):
    fields = {
        "unit": "week",
        "every": 1,
        "start_date": dt.date(2026, 1, 5),
        "handoff_time": dt.time(9, 0),
        "zone": BERLIN,
    }
    return Rotation(**{**fields, **changes})


def by_rule(rule, **changes):
    return rotation(**{"unit": "rrule", "rule": rule, **changes})


def utc(*parts):
    return dt.datetime(*parts, tzinfo=dt.UTC)


def local(*parts, zone=BERLIN):
    return dt.datetime(*parts, tzinfo=zoneinfo.ZoneInfo(zone)).astimezone(dt.UTC)


def first_walls(one, count):
    """The wall-clock times of the first handoffs, as text."""
    found = itertools.takewhile(bool, (wall(one, number) for number in range(count)))
    return [f"{each:%Y-%m-%d %H:%M}" for each in found]


def first_days(one, count):
    return [each.split()[0] for each in first_walls(one, count)]


# --- one turn after the other ---------------------------------------------------------------------------------
def test_nobody_has_a_turn_before_the_first_handoff():
    assert turn(rotation(), local(2026, 1, 5, 8, 59)) is None
    assert turn(rotation(), local(2026, 1, 5, 9, 0)) == 0


def test_a_handoff_belongs_to_the_next_turn():
    assert turn(rotation(), local(2026, 1, 12, 8, 59, 59)) == 0
    assert turn(rotation(), local(2026, 1, 12, 9, 0)) == 1


@pytest.mark.parametrize(
    "unit, every, second",
    [
        ("hour", 8, "2026-01-05 17:00"),
        ("day", 3, "2026-01-08 09:00"),
        ("week", 2, "2026-01-19 09:00"),
        ("month", 3, "2026-04-05 09:00"),
    ],
)
def test_a_turn_lasts_so_many_units(unit, every, second):
    assert first_walls(rotation(unit=unit, every=every), 2) == ["2026-01-05 09:00", second]


def test_turns_of_a_span_are_those_that_touch_it():
    found = list(turns(rotation(), local(2026, 1, 12, 8), local(2026, 1, 19, 9)))
    assert [number for number, _, _ in found] == [0, 1]
    assert found[1] == (1, local(2026, 1, 12, 9), local(2026, 1, 19, 9))


def test_a_span_before_the_first_handoff_has_no_turns():
    assert list(turns(rotation(), local(2025, 1, 1), local(2026, 1, 5, 9))) == []


# --- clock changes --------------------------------------------------------------------------------------------
def test_a_day_has_23_hours_when_the_clock_goes_forward():
    daily = rotation(unit="day", start_date=dt.date(2026, 3, 28))
    assert handoff(daily, 1) - handoff(daily, 0) == 23 * HOUR


def test_a_day_has_25_hours_when_the_clock_goes_back():
    daily = rotation(unit="day", start_date=dt.date(2026, 10, 24))
    assert handoff(daily, 1) - handoff(daily, 0) == 25 * HOUR


def test_a_handoff_in_the_skipped_hour_is_the_moment_of_the_jump():
    daily = rotation(unit="day", start_date=dt.date(2026, 3, 28), handoff_time=dt.time(2, 30))
    assert handoff(daily, 1) == utc(2026, 3, 29, 1)
    assert handoff(daily, 2) == local(2026, 3, 30, 2, 30)
    assert turn(daily, utc(2026, 3, 29, 0, 59, 59)) == 0
    assert turn(daily, utc(2026, 3, 29, 1)) == 1


def test_a_handoff_in_the_doubled_hour_happens_the_first_time():
    daily = rotation(unit="day", start_date=dt.date(2026, 10, 24), handoff_time=dt.time(2, 30))
    assert handoff(daily, 1) == utc(2026, 10, 25, 0, 30)
    assert turn(daily, utc(2026, 10, 25, 0, 30)) == 1
    assert turn(daily, utc(2026, 10, 25, 1, 29)) == 1  # the clock shows 2:29 again
    assert turn(daily, utc(2026, 10, 25, 1, 30)) == 1


def test_hours_are_hours_of_the_clock():
    hourly = rotation(unit="hour", start_date=dt.date(2026, 3, 29), handoff_time=dt.time(0))
    spring = [(number, begin) for number, begin, _ in turns(hourly, utc(2026, 3, 28, 23), utc(2026, 3, 29, 3))]
    # 2:00 does not exist, so turn 2 begins and ends with the jump to 3:00 and nobody has it.
    assert spring == [
        (0, utc(2026, 3, 28, 23)),
        (1, utc(2026, 3, 29, 0)),
        (3, utc(2026, 3, 29, 1)),
        (4, utc(2026, 3, 29, 2)),
    ]
    hourly = rotation(unit="hour", start_date=dt.date(2026, 10, 25), handoff_time=dt.time(0))
    autumn = [finish - begin for _, begin, finish in turns(hourly, utc(2026, 10, 24, 22), utc(2026, 10, 25, 3))]
    assert autumn == [HOUR, HOUR, 2 * HOUR, HOUR]  # the hour from 2 to 3 comes twice


@pytest.mark.parametrize(
    "zone, face, at",
    [
        ("Australia/Lord_Howe", (2026, 10, 4, 2, 15), utc(2026, 10, 3, 15, 30)),  # half an hour is skipped
        ("Australia/Lord_Howe", (2026, 4, 5, 1, 45), utc(2026, 4, 4, 14, 45)),  # and doubled
        ("Antarctica/Troll", (2026, 3, 29, 2, 59), utc(2026, 3, 29, 1)),  # two hours
        ("Pacific/Apia", (2011, 12, 30, 12), utc(2011, 12, 30, 10)),  # a day that Samoa never had
        ("America/St_Johns", (2010, 3, 14, 0, 30), utc(2010, 3, 14, 3, 31)),  # a minute past midnight
        ("Africa/Cairo", (2026, 4, 24, 0), utc(2026, 4, 23, 22)),  # midnight itself is skipped
        ("America/Havana", (2026, 11, 1, 0, 30), utc(2026, 11, 1, 4, 30)),  # the hour after midnight is doubled
        ("Asia/Kathmandu", (2026, 6, 1, 9), utc(2026, 6, 1, 3, 15)),
    ],
)
def test_a_wall_clock_time_is_the_first_moment_that_shows_it_or_a_later_one(zone, face, at):
    assert moment(dt.datetime(*face), zoneinfo.ZoneInfo(zone)) == at


def test_handoffs_never_run_backwards():
    for zone in ("Australia/Lord_Howe", "Antarctica/Troll", "Africa/Casablanca", "Africa/Cairo", "America/Havana"):
        hourly = rotation(unit="hour", start_date=dt.date(2026, 1, 1), handoff_time=dt.time(0, 30), zone=zone)
        handoffs = [handoff(hourly, number) for number in range(366 * 24)]
        assert handoffs == sorted(handoffs)


def test_the_clock_of_the_zone_is_read_without_a_zone():
    assert wall_clock(utc(2026, 7, 1, 10), zoneinfo.ZoneInfo(BERLIN)) == dt.datetime(2026, 7, 1, 12)


# --- months and leap days -------------------------------------------------------------------------------------
def test_months_are_counted_from_the_start_and_end_early_where_they_are_short():
    monthly = rotation(unit="month", start_date=dt.date(2026, 1, 31))
    assert first_days(monthly, 6) == [
        "2026-01-31",
        "2026-02-28",
        "2026-03-31",
        "2026-04-30",
        "2026-05-31",
        "2026-06-30",
    ]


def test_a_month_after_the_30th_of_january_is_the_end_of_february_leap_year_or_not():
    assert first_days(rotation(unit="month", start_date=dt.date(2027, 1, 30)), 3)[1:] == ["2027-02-28", "2027-03-30"]
    assert first_days(rotation(unit="month", start_date=dt.date(2028, 1, 30)), 3)[1:] == ["2028-02-29", "2028-03-30"]


def test_twelve_months_after_a_leap_day_is_the_28th_until_the_next_leap_day():
    yearly = rotation(unit="month", every=12, start_date=dt.date(2024, 2, 29))
    assert first_days(yearly, 5) == ["2024-02-29", "2025-02-28", "2026-02-28", "2027-02-28", "2028-02-29"]


def test_the_turn_at_a_short_month_changes_at_its_last_day():
    monthly = rotation(unit="month", start_date=dt.date(2026, 1, 31))
    assert turn(monthly, local(2026, 2, 28, 8, 59)) == 0
    assert turn(monthly, local(2026, 2, 28, 9)) == 1
    assert turn(monthly, local(2026, 3, 30, 12)) == 1
    assert turn(monthly, local(2026, 3, 31, 9)) == 2


def test_a_leap_day_is_a_day_like_any_other():
    daily = rotation(unit="day", start_date=dt.date(2028, 2, 28))
    assert turn(daily, local(2028, 2, 29, 12)) == 1
    assert turn(daily, local(2028, 3, 1, 12)) == 2


# --- rules ----------------------------------------------------------------------------------------------------
def test_a_rule_by_weekdays():
    twice_a_week = by_rule("FREQ=WEEKLY;BYDAY=MO,TH")
    assert first_days(twice_a_week, 5) == ["2026-01-05", "2026-01-08", "2026-01-12", "2026-01-15", "2026-01-19"]


def test_a_rule_by_the_nth_weekday_of_the_month():
    last_friday = by_rule("FREQ=MONTHLY;BYDAY=-1FR", start_date=dt.date(2026, 1, 30))
    assert first_days(last_friday, 4) == ["2026-01-30", "2026-02-27", "2026-03-27", "2026-04-24"]


def test_a_rule_skips_months_without_its_day():
    on_the_31st = by_rule("FREQ=MONTHLY;BYMONTHDAY=31", start_date=dt.date(2026, 1, 31))
    assert first_days(on_the_31st, 3) == ["2026-01-31", "2026-03-31", "2026-05-31"]


def test_the_start_is_a_handoff_even_when_the_rule_does_not_name_it():
    from_wednesday = by_rule("FREQ=WEEKLY;BYDAY=MO", start_date=dt.date(2026, 1, 7))
    assert first_days(from_wednesday, 3) == ["2026-01-07", "2026-01-12", "2026-01-19"]


def test_every_second_week_counts_from_the_week_of_the_start():
    fortnightly = by_rule("FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,FR", start_date=dt.date(2026, 1, 9))
    assert first_days(fortnightly, 4) == ["2026-01-09", "2026-01-19", "2026-01-23", "2026-02-02"]


def test_a_rule_may_name_hours():
    twice_a_day = by_rule("FREQ=DAILY;BYHOUR=8,20", handoff_time=dt.time(8))
    assert first_walls(twice_a_day, 3) == ["2026-01-05 08:00", "2026-01-05 20:00", "2026-01-06 08:00"]


def test_a_rule_may_be_written_small_and_with_its_name():
    assert first_days(by_rule("RRULE:freq=weekly;byday=mo"), 2) == ["2026-01-05", "2026-01-12"]


def test_the_last_turn_of_a_rule_that_counts_goes_on_for_ever():
    three = by_rule("FREQ=WEEKLY;COUNT=3")
    assert first_days(three, 10) == ["2026-01-05", "2026-01-12", "2026-01-19"]
    assert turn(three, local(2040, 1, 1)) == 2
    assert handoff(three, 3) is None
    assert list(turns(three, local(2026, 2, 1), local(2026, 3, 1))) == [(2, local(2026, 1, 19, 9), None)]


@pytest.mark.parametrize(
    "until, last",
    [
        ("20260115", "2026-01-15 20:00"),  # the whole day
        ("20260115T080000", "2026-01-15 08:00"),
        ("20260115T185959Z", "2026-01-15 08:00"),  # 19:59:59 in Berlin
        ("20260115T190000Z", "2026-01-15 20:00"),
    ],
)
def test_until_is_a_day_a_local_time_or_a_utc_time(until, last):
    twice_a_day = by_rule(f"FREQ=DAILY;BYHOUR=8,20;UNTIL={until}", handoff_time=dt.time(8))
    assert first_walls(twice_a_day, 100)[-1] == last


def test_a_rule_that_ended_before_its_start_has_one_turn():
    over = by_rule("FREQ=HOURLY;UNTIL=20250101")
    assert turn(over, local(2026, 6, 1)) == 0
    assert turn(over, local(2026, 1, 1)) is None


def test_a_rule_keeps_its_wall_clock_time_across_a_clock_change():
    sundays = by_rule("FREQ=WEEKLY;BYDAY=SU", start_date=dt.date(2026, 3, 22), handoff_time=dt.time(2, 30))
    assert handoff(sundays, 0) == utc(2026, 3, 22, 1, 30)
    assert handoff(sundays, 1) == utc(2026, 3, 29, 1)  # the moment of the jump
    assert handoff(sundays, 2) == utc(2026, 4, 5, 0, 30)


# --- rules that are refused -----------------------------------------------------------------------------------
TOO_OFTEN = "This rule hands over too often"
NEVER = "never fires in the 9 years after its first day. Change the rule or that day."


@pytest.mark.parametrize(
    "rule, sentence",
    [
        ("FREQ=SECONDLY", TOO_OFTEN),
        ("FREQ=MINUTELY;INTERVAL=30", TOO_OFTEN),
        ("FREQ=DAILY;BYSECOND=0,1", TOO_OFTEN),
        ("FREQ=HOURLY;BYMINUTE=" + ",".join(map(str, range(60))), TOO_OFTEN),
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", NEVER),
        ("FREQ=DAILY;BYMONTH=4;BYMONTHDAY=31", NEVER),
        ("FREQ=DAILY;BYMONTH=4;BYMONTHDAY=31;COUNT=5", NEVER),
        ("FREQ=DAILY;INTERVAL=7;BYDAY=TU", NEVER),
        ("FREQ=HOURLY;INTERVAL=28;BYDAY=FR", NEVER),
        ("FREQ=WEEKLY;UNTIL=20251231", NEVER),
        ("FREQ=DAILY;COUNT=1", NEVER),
        ("FREQ=DAILY;INTERVAL=0", "INTERVAL must be a whole number from 1 to 1000."),
        ("FREQ=DAILY;INTERVAL=-1", "INTERVAL must be a whole number from 1 to 1000."),
        ("FREQ=DAILY;INTERVAL=1001", "INTERVAL must be a whole number from 1 to 1000."),
        ("FREQ=DAILY;COUNT=0", "COUNT must be a whole number from 1 to 10000."),
        ("FREQ=DAILY;COUNT=3;UNTIL=20270101", "Give UNTIL or COUNT, not both."),
        ("FREQ=DAILY;UNTIL=tomorrow", "Write UNTIL as a day like 20261231"),
        ("FREQ=DAILY;UNTIL=20261399", "is not a recurrence rule we can read"),
        ("FREQ=DAILY;BYHOUR=8,25", "BYHOUR takes whole numbers from 0 to 23."),
        ("FREQ=MONTHLY;BYMONTHDAY=0", "BYMONTHDAY takes whole numbers from 1 to 31, or from -31 to -1"),
        ("FREQ=YEARLY;BYMONTH=13", "BYMONTH takes whole numbers from 1 to 12."),
        ("FREQ=WEEKLY;BYDAY=MONDAY", "BYDAY takes days like MO,TH"),
        ("FREQ=WEEKLY;BYDAY=2MO", "The number in 2MO needs FREQ=MONTHLY or YEARLY."),
        ("FREQ=MONTHLY;BYDAY=MO,53MO", "The number in 53MO must be from 1 to 5"),
        ("FREQ=HOURLY;BYMONTHDAY=1", "With FREQ=HOURLY use INTERVAL, BYDAY and BYHOUR only."),
        ("FREQ=YEARLY;BYEASTER=0", "We do not know BYEASTER in a recurrence rule. Leave it out."),
        ("FREQ=FORTNIGHTLY", "The rule needs a FREQ: one of HOURLY, DAILY, WEEKLY, MONTHLY, YEARLY."),
        ("", "The rule needs a FREQ"),
        ("every other Tuesday", "is not a part of a recurrence rule"),
        ("FREQ=DAILY;FREQ=WEEKLY", "stands there twice"),
        ("FREQ=DAILY\nEXDATE:20260105", "is not a part of a recurrence rule"),
        ("FREQ=WEEKLY;WKST=XX", "is not a recurrence rule we can read"),
        ("FREQ=TÄGLICH", "odd letters"),
        ("FREQ=DAILY;BYHOUR=" + "1," * 300, "too long"),
    ],
)
def test_a_rule_that_cannot_be_used_is_refused_with_what_to_change(rule, sentence):
    with pytest.raises(BadRule) as refusal:
        check_rule(rule, dt.datetime(2026, 1, 5, 9), BERLIN)
    assert sentence in str(refusal.value)


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=WEEKLY;BYDAY=MO,TH",
        "FREQ=HOURLY;INTERVAL=12",
        "FREQ=MONTHLY;BYDAY=-1FR",
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29",
        "FREQ=YEARLY;BYDAY=53MO",
        "FREQ=DAILY;UNTIL=20270101T000000Z",
        "rrule:freq=weekly;wkst=su",
    ],
)
def test_a_rule_that_fires_is_taken_as_it_is(rule):
    assert check_rule(rule, dt.datetime(2026, 1, 5, 9), BERLIN) == rule


def steps(work):
    """How many functions `work` calls, all the way down."""
    calls = 0

    def count(frame, event, argument):
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(None)
    return calls


def test_a_rule_that_never_fires_is_refused_after_a_bounded_search():
    def refuse():
        with pytest.raises(BadRule):
            check_rule("FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30", dt.datetime(2026, 1, 5, 9), BERLIN)

    assert steps(refuse) < 1_500_000  # some 8,000 years of days would be tens of millions


# --- the age of a rotation ------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "fields",
    [
        {"unit": "hour"},
        {"unit": "hour", "every": 7},
        {"unit": "day"},
        {"unit": "week"},
        {"unit": "month"},
        {"unit": "rrule", "rule": "FREQ=WEEKLY;BYDAY=MO,TH"},
        {"unit": "rrule", "rule": "FREQ=HOURLY;INTERVAL=5"},
        {"unit": "rrule", "rule": "FREQ=DAILY;BYHOUR=8,20;UNTIL=20991231"},
    ],
)
def test_an_old_rotation_takes_no_more_steps_than_a_new_one(fields):
    at = local(2026, 6, 1, 12)
    # At 9:01 and 9:02, so that no other test has asked about them and nothing is remembered.
    old = rotation(start_date=dt.date(1990, 1, 1), handoff_time=dt.time(9, 1), **fields)
    new = rotation(start_date=dt.date(2026, 1, 5), handoff_time=dt.time(9, 2), **fields)
    old_steps, new_steps = steps(lambda: turn(old, at)), steps(lambda: turn(new, at))
    assert turn(old, at) > turn(new, at) * 20
    assert old_steps <= new_steps + 30  # a step or two from one turn to the next


def test_a_rule_by_months_is_walked_once_and_then_remembered():
    at = local(2026, 6, 1, 12)
    old = by_rule("FREQ=MONTHLY;BYDAY=1MO", start_date=dt.date(1990, 1, 1))
    new = by_rule("FREQ=MONTHLY;BYDAY=1MO", start_date=dt.date(2026, 1, 5))
    assert turn(old, at) == turn(new, at) + 36 * 12
    assert steps(lambda: turn(old, at)) <= steps(lambda: turn(new, at)) + 30
