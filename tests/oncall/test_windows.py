import datetime as dt
import threading
import zoneinfo

import pytest

from oncall import windows
from oncall.rotation import Rotation, moment, turn, wall
from oncall.windows import Window, open_until, openings, ordinal

BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
MONDAY, TUESDAY, WEDNESDAY, THURSDAY, FRIDAY, SATURDAY, SUNDAY = range(7)
WORKDAYS = (MONDAY, TUESDAY, WEDNESDAY, THURSDAY, FRIDAY)
ALL_DAYS = tuple(range(7))
OFFICE = Window(WORKDAYS, dt.time(9), dt.time(17))
NIGHTS = Window(ALL_DAYS, dt.time(22), dt.time(6))
WEEKEND = Window((FRIDAY,), dt.time(17), dt.time(9), until_day=MONDAY)
DAY = dt.timedelta(days=1)


def local(*parts):
    return moment(dt.datetime(*parts), BERLIN)


def spans(window, start, end):
    """The openings, as a person in Berlin would write them down."""
    found = openings((window,), start, end, BERLIN)
    return [f"{a.astimezone(BERLIN):%a %H:%M} - {b.astimezone(BERLIN):%a %H:%M}" for a, b in found]


def is_open(window, *parts):
    return open_until((window,), local(*parts), BERLIN) is not None


# --- when a window is open ------------------------------------------------------------------------------------
def test_a_window_is_open_on_its_days_from_its_start_until_before_its_end():
    assert not is_open(OFFICE, 2026, 6, 1, 8, 59)
    assert is_open(OFFICE, 2026, 6, 1, 9)
    assert is_open(OFFICE, 2026, 6, 1, 16, 59)
    assert not is_open(OFFICE, 2026, 6, 1, 17)
    assert not is_open(OFFICE, 2026, 6, 6, 12)  # a Saturday


def test_a_window_over_midnight_belongs_to_the_day_on_which_it_opens():
    friday_night = Window((FRIDAY,), dt.time(22), dt.time(6))
    assert spans(friday_night, local(2026, 6, 1), local(2026, 6, 8)) == ["Fri 22:00 - Sat 06:00"]
    assert is_open(friday_night, 2026, 6, 6, 5, 59)
    assert not is_open(friday_night, 2026, 6, 5, 5)  # the night to Friday is Thursday's


def test_a_window_over_the_weeks_end_opens_once():
    assert spans(WEEKEND, local(2026, 6, 1, 9), local(2026, 6, 15, 9)) == [
        "Fri 17:00 - Mon 09:00",
        "Fri 17:00 - Mon 09:00",
    ]
    assert not is_open(WEEKEND, 2026, 6, 3, 12)
    assert is_open(WEEKEND, 2026, 6, 7, 12)
    assert open_until((WEEKEND,), local(2026, 6, 7, 12), BERLIN) == local(2026, 6, 8, 9)


def test_a_window_until_its_own_weekday_lasts_a_week_when_it_ends_earlier():
    almost_a_week = Window((MONDAY,), dt.time(9), dt.time(8), until_day=MONDAY)
    assert is_open(almost_a_week, 2026, 6, 8, 7, 59)
    assert not is_open(almost_a_week, 2026, 6, 8, 8, 30)
    assert is_open(almost_a_week, 2026, 6, 8, 9)
    from_the_last_hour_on = local(2026, 6, 8, 7), local(2026, 6, 8, 10)
    assert spans(almost_a_week, *from_the_last_hour_on) == ["Mon 07:00 - Mon 08:00", "Mon 09:00 - Mon 10:00"]
    morning = Window((MONDAY,), dt.time(8), dt.time(9), until_day=MONDAY)
    assert spans(morning, local(2026, 6, 1), local(2026, 6, 8)) == ["Mon 08:00 - Mon 09:00"]


def test_a_window_until_midnight_ends_at_the_end_of_the_day():
    evening = Window((MONDAY,), dt.time(18), dt.time(0))
    assert spans(evening, local(2026, 6, 1), local(2026, 6, 8)) == ["Mon 18:00 - Tue 00:00"]


def test_several_windows_are_joined_where_they_touch_or_overlap():
    morning, noon = Window(WORKDAYS, dt.time(6), dt.time(12)), Window(WORKDAYS, dt.time(12), dt.time(14))
    early = Window((MONDAY,), dt.time(5), dt.time(7))
    found = openings((noon, early, morning), local(2026, 6, 1), local(2026, 6, 3), BERLIN)
    assert found == [(local(2026, 6, 1, 5), local(2026, 6, 1, 14)), (local(2026, 6, 2, 6), local(2026, 6, 2, 14))]


def test_of_several_open_windows_the_one_that_closes_last_counts():
    short = Window(WORKDAYS, dt.time(9), dt.time(12))
    assert open_until((short, OFFICE), local(2026, 6, 1, 10), BERLIN) == local(2026, 6, 1, 17)


def test_openings_are_cut_to_the_span():
    start, end = local(2026, 6, 1, 10), local(2026, 6, 1, 11)
    assert openings((OFFICE,), start, end, BERLIN) == [(start, end)]


# --- clock changes --------------------------------------------------------------------------------------------
def test_a_night_is_an_hour_shorter_in_spring_and_an_hour_longer_in_autumn():
    [spring] = openings((NIGHTS,), local(2026, 3, 28, 12), local(2026, 3, 29, 12), BERLIN)
    [autumn] = openings((NIGHTS,), local(2026, 10, 24, 12), local(2026, 10, 25, 12), BERLIN)
    assert spring[1] - spring[0] == dt.timedelta(hours=7)
    assert autumn[1] - autumn[0] == dt.timedelta(hours=9)


def test_a_window_inside_the_skipped_hour_does_not_open_that_day():
    small_hours = Window(ALL_DAYS, dt.time(2, 10), dt.time(2, 50))
    assert spans(small_hours, local(2026, 3, 28, 12), local(2026, 3, 30, 12)) == ["Mon 02:10 - Mon 02:50"]


def test_a_window_that_opens_in_the_skipped_hour_opens_with_the_jump():
    small_hours = Window(ALL_DAYS, dt.time(2, 30), dt.time(4))
    assert spans(small_hours, local(2026, 3, 29), local(2026, 3, 29, 12)) == ["Sun 03:00 - Sun 04:00"]


def test_a_window_over_the_doubled_hour_is_open_both_times():
    until_half_past_three = Window(ALL_DAYS, dt.time(2), dt.time(3, 30))
    [(opens, closes)] = openings((until_half_past_three,), local(2026, 10, 25), local(2026, 10, 25, 12), BERLIN)
    assert closes - opens == dt.timedelta(hours=2, minutes=30)


# --- whose turn -----------------------------------------------------------------------------------------------
def rotation(**changes):
    fields = {
        "unit": "day",
        "every": 1,
        "start_date": dt.date(2026, 6, 1),
        "handoff_time": dt.time(9),
        "zone": "Europe/Berlin",
    }
    return Rotation(**{**fields, **changes})


def places(one, window, count):
    return [ordinal(one, (window,), number) for number in range(count)]


def test_without_windows_every_turn_counts():
    assert [ordinal(rotation(), (), number) for number in range(4)] == [0, 1, 2, 3]


def test_a_turn_outside_of_every_window_eats_nobodys_place():
    # Saturday's and Sunday's turns begin at 9 and touch no window, so Monday's is the one after Friday's.
    assert places(rotation(), OFFICE, 9) == [0, 1, 2, 3, 4, 5, 5, 5, 6]


def test_a_turn_that_touches_a_window_for_a_minute_counts():
    short = Window((SATURDAY,), dt.time(8, 59), dt.time(9))  # the last minute of Friday's turn
    assert places(rotation(), short, 8) == [0, 0, 0, 0, 0, 1, 1, 1]


def test_hourly_turns_outside_of_the_windows_eat_nobodys_place():
    eight_hours = rotation(unit="hour", every=8)  # 9-17 counts, 17-1 and 1-9 do not
    assert places(eight_hours, OFFICE, 7) == [0, 1, 1, 1, 2, 2, 2]


def test_turns_of_a_week_or_a_month_always_count():
    assert places(rotation(unit="week"), OFFICE, 3) == [0, 1, 2]
    assert places(rotation(unit="month"), WEEKEND, 3) == [0, 1, 2]


def test_a_clock_change_never_shifts_the_order():
    # On 29 March the window does not open at all, since its whole time is skipped; the turn counts all the same.
    small_hours = Window(ALL_DAYS, dt.time(2, 10), dt.time(2, 50))
    daily = rotation(start_date=dt.date(2026, 3, 27))
    assert places(daily, small_hours, 5) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=DAILY",
        "FREQ=HOURLY;INTERVAL=5",
        "FREQ=WEEKLY;INTERVAL=3;BYDAY=MO,WE,SA",
        "FREQ=WEEKLY;BYDAY=MO,SA;UNTIL=20261231",
        "FREQ=WEEKLY;BYDAY=MO,TH",
        "FREQ=MONTHLY;BYMONTHDAY=1,6,7",
        "FREQ=DAILY;COUNT=40",
    ],
)
@pytest.mark.parametrize("start", [dt.date(2026, 6, 1), dt.date(2026, 6, 6), dt.date(2026, 6, 7)])
def test_turns_of_a_rule_are_counted_one_by_one(rule, start):
    one = rotation(unit="rrule", rule=rule, start_date=start)
    place = 0
    for number in range(300):
        begin, finish = wall(one, number), wall(one, number + 1)
        if begin is None:
            break
        assert ordinal(one, (OFFICE,), number) == place
        place += finish is None or windows.touches((OFFICE,), begin, finish)


def test_the_place_in_a_rotation_of_1990_is_counted_as_if_from_the_first_turn():
    old = rotation(unit="hour", every=8, start_date=dt.date(1990, 1, 1))
    number = turn(old, local(2026, 6, 1, 10))
    assert ordinal(old, (OFFICE,), number) == sum(
        windows.touches((OFFICE,), wall(old, each), wall(old, each + 1)) for each in range(number)
    )


def test_threads_that_ask_together_count_alike():
    one = rotation(unit="rrule", rule="FREQ=MONTHLY;BYMONTHDAY=1,6,7", start_date=dt.date(1991, 1, 1))
    asked, answers = threading.Barrier(8), []

    def ask():
        asked.wait()
        answers.append([ordinal(one, (OFFICE,), number) for number in range(0, 1200, 100)])

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(answer == answers[0] for answer in answers)
    assert answers[0][-1] == sum(
        windows.touches((OFFICE,), wall(one, each), wall(one, each + 1)) for each in range(1100)
    )
