"""Bugs that another on-call product found in its schedules: each is a test that ours must pass."""

import dataclasses
import datetime as dt
import os
import time
import zoneinfo

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from oncall.models import Restriction
from oncall.rotation import moment
from oncall.shifts import FixedSpec, OverrideSpec, TimeOffSpec, final, gaps, on_call, roster, shifts
from oncall.windows import Window
from tests.oncall.test_shifts import ALICE, ALL_DAYS, BOB, CHARLIE, DAY, HOUR, WEEK, WORKDAYS, layer, schedule, who

OFFICE = Window(WORKDAYS, dt.time(9), dt.time(17))
NIGHTS = Window(ALL_DAYS, dt.time(22), dt.time(6))
WEEKEND = Window((4,), dt.time(18), dt.time(8), until_day=0)
MONDAY = dt.datetime(2026, 6, 1, 9, tzinfo=dt.UTC)
MINUTE = dt.timedelta(minutes=1)
BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")


def utc(*parts):
    return dt.datetime(*parts, tzinfo=dt.UTC)


def people(spans):
    return [[one.user_id for one in span.people] for span in spans]


# --- fixed loop caps ------------------------------------------------------------------------------------------
def test_bug_a_loop_cap_cut_the_schedule_of_a_long_window():
    """After 100 expanded periods there was nobody."""
    spec = schedule(layer(ALICE, BOB, unit="day", start=MONDAY))
    spans = final(spec, MONDAY, MONDAY + 1500 * DAY)
    assert gaps(spans) == []
    assert people(spans) == [[ALICE], [BOB]] * 750


def test_bug_a_loop_cap_cut_a_long_window_of_restrictions():
    spec = schedule(layer(ALICE, BOB, start=MONDAY, windows=(OFFICE,)))
    spans = [span for span in final(spec, MONDAY, MONDAY + 200 * WEEK) if span.people]
    assert len(spans) == 200 * 5
    assert people(spans[-5:]) == [[BOB]] * 5


def test_bug_a_loop_cap_gave_the_wrong_person_in_an_old_hourly_schedule():
    """After 10,000 simulated periods, some 14 months of hours, the answer was nobody or the wrong one."""
    start = utc(1990, 1, 1)
    spec = schedule(layer(ALICE, BOB, CHARLIE, unit="hour", start=start))
    for at in (
        start + 9_999 * HOUR,
        start + 10_000 * HOUR,
        start + 10_001 * HOUR,
        utc(2026, 6, 1, 12),
        utc(2040, 2, 29),
    ):
        assert [one.user_id for one in on_call(spec, at)] == [(ALICE, BOB, CHARLIE)[(at - start) // HOUR % 3]]


# --- months ---------------------------------------------------------------------------------------------------
def test_bug_a_month_after_the_31st_of_january_was_off_by_one():
    start = utc(2026, 1, 31, 9)
    spec = schedule(layer(ALICE, BOB, CHARLIE, unit="month", start=start))
    handoffs = [span.start_at.date() for span in final(spec, start, utc(2026, 7, 1))]
    assert handoffs == [
        dt.date(2026, 1, 31),
        dt.date(2026, 2, 28),
        dt.date(2026, 3, 31),
        dt.date(2026, 4, 30),
        dt.date(2026, 5, 31),
        dt.date(2026, 6, 30),
    ]
    assert who(spec, utc(2026, 3, 30, 12)) == "Bob"  # not Charlie's before the 31st
    assert who(spec, utc(2026, 3, 31, 9)) == "Charlie"


# --- restrictions and turns -----------------------------------------------------------------------------------
def test_bug_a_fully_restricted_period_consumed_a_persons_turn():
    spec = schedule(layer(ALICE, BOB, CHARLIE, unit="day", start=MONDAY, windows=(OFFICE,)))
    days = [who(spec, MONDAY + DAY * number + HOUR) for number in range(8)]
    assert days == ["Alice", "Bob", "Charlie", "Alice", "Bob", "", "", "Charlie"]


def test_bug_an_answer_in_an_off_hours_gap_shifted_the_order_by_one():
    """Whoever is asked about, and from wherever the look begins, the person after the gap is the same."""
    spec = schedule(layer(ALICE, BOB, CHARLIE, unit="day", start=MONDAY, windows=(OFFICE,)))
    end = MONDAY + 2 * WEEK
    whole = final(spec, MONDAY, end)
    saturday = MONDAY + 5 * DAY
    for start in (saturday - 10 * HOUR, saturday, saturday + 13 * HOUR, saturday + 47 * HOUR, saturday + 48 * HOUR):
        assert roster(spec, start)["PRIMARY"] == next(span.people for span in whole if span.end_at > start)
        later = [(span.end_at, span.people) for span in whole if span.end_at > start]
        assert [(span.end_at, span.people) for span in final(spec, start, end)] == later


def test_bug_a_window_over_the_weekend_was_inverted_and_sprayed_phantom_coverage():
    spec = schedule(layer(ALICE, start=MONDAY, windows=(WEEKEND,)))
    spans = [span for span in final(spec, MONDAY, MONDAY + 8 * WEEK) if span.people]
    opened = sorted({span.start_at for span in spans} - {span.end_at for span in spans})
    assert opened == [utc(2026, 6, 5, 18) + number * WEEK for number in range(8)]
    assert sum((span.end_at - span.start_at for span in spans), dt.timedelta()) == 8 * 62 * HOUR
    for day in range(4):  # Monday to Thursday
        assert who(spec, MONDAY + day * DAY) == ""


def test_bug_an_overnight_restriction_was_lost_after_62_days():
    spec = schedule(layer(ALICE, BOB, start=MONDAY, windows=(NIGHTS,)))
    spans = final(spec, MONDAY, MONDAY + 800 * DAY)
    nights = [(span.start_at, span.end_at) for span in spans if span.people]
    first = utc(2026, 6, 1, 22)
    assert nights == [(first + number * DAY, first + number * DAY + 8 * HOUR) for number in range(800)]
    assert who(spec, first + 799 * DAY + HOUR) and not who(spec, first + 799 * DAY - HOUR)


# --- time zones -----------------------------------------------------------------------------------------------
@pytest.fixture(params=["UTC", "Asia/Kolkata", "America/St_Johns", "Australia/Lord_Howe"])
def zone_of_the_server(request):
    """The process and Django in another zone than the schedule."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = request.param
    time.tzset()
    with timezone.override(zoneinfo.ZoneInfo(request.param)):
        yield request.param
    if before is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = before
    time.tzset()


def test_bug_handoffs_drifted_where_the_zone_of_the_server_differs(zone_of_the_server):
    """In Berlin the handoff is at 9:00 in winter and in summer, and so is the restriction, wherever the server is."""
    start = moment(dt.datetime(2026, 3, 23, 9), BERLIN)
    spec = schedule(
        layer(ALICE, BOB, unit="day", start=dt.datetime(2026, 3, 23, 9), zone="Europe/Berlin"),
        layer(
            CHARLIE,
            number=2,
            position=2,
            start=dt.datetime(2026, 3, 23, 9),
            zone="Europe/Berlin",
            windows=(Window(ALL_DAYS, dt.time(22), dt.time(6)),),
        ),
    )
    spans = final(spec, start, start + 14 * DAY)
    begins = {(span.people[0].user_id, span.start_at.astimezone(BERLIN).time()) for span in spans}
    assert begins == {(ALICE, dt.time(9)), (BOB, dt.time(9)), (CHARLIE, dt.time(22))} | {
        (ALICE, dt.time(6)),
        (BOB, dt.time(6)),
    }
    assert spans[0].start_at == utc(2026, 3, 23, 8)
    assert utc(2026, 3, 30, 7) in {span.start_at for span in spans}  # summer time since the 29th
    assert who(spec, utc(2026, 3, 28, 22)) == who(spec, utc(2026, 3, 29, 3)) == "Charlie"
    assert who(spec, utc(2026, 3, 29, 4)) != "Charlie"  # 6:00 in Berlin


def test_bug_handoffs_drifted_also_with_a_rule_and_a_utc_until(zone_of_the_server):
    daily = layer(ALICE, BOB, unit="day", start=dt.datetime(2026, 3, 23, 9), zone="Europe/Berlin")
    rotation = dataclasses.replace(daily.rotation, unit="rrule", rule="FREQ=DAILY;UNTIL=20260401T070000Z")
    by_rule, by_day = schedule(dataclasses.replace(daily, rotation=rotation)), schedule(daily)
    begin, end = utc(2026, 3, 23), utc(2026, 4, 2)
    assert final(by_rule, begin, end) == final(by_day, begin, end)
    assert final(by_rule, end, end + WEEK)[-1].people == on_call(
        by_rule, utc(2026, 4, 1, 7)
    )  # 9:00 in Berlin, the last


# --- windows of no length -------------------------------------------------------------------------------------
@pytest.mark.parametrize("until_day", [None, 0])
def test_bug_a_window_from_nine_to_nine_paged_nobody(until_day):
    """It is refused with a sentence, since it may mean all day or never."""
    one = Restriction(days=[0], start_time=dt.time(9), end_time=dt.time(9), until_day=until_day)
    with pytest.raises(ValidationError) as refusal:
        one.clean()
    [sentence] = refusal.value.message_dict["end_time"]
    assert sentence.startswith("The window opens and closes at the same time. Choose another time;")


def test_bug_should_a_window_from_nine_to_nine_get_in_it_is_a_day_and_not_nothing():
    spec = schedule(layer(ALICE, start=MONDAY, windows=(Window(ALL_DAYS, dt.time(9), dt.time(9)),)))
    assert gaps(final(spec, MONDAY, MONDAY + 2 * WEEK)) == []


# --- overrides ------------------------------------------------------------------------------------------------
def test_bug_an_override_was_applied_twice():
    """Bob's part was given to Charlie, then Alice's to Bob: Bob is on call. The first one is not asked again."""
    bob_to_charlie = OverrideSpec(1, CHARLIE, MONDAY, MONDAY + DAY, replaces=BOB)
    alice_to_bob = OverrideSpec(2, BOB, MONDAY, MONDAY + DAY, replaces=ALICE)
    spec = schedule(layer(ALICE, start=MONDAY), overrides=(bob_to_charlie, alice_to_bob))
    [one] = on_call(spec, MONDAY)
    assert (one.user_id, one.instead_of) == (BOB, ALICE)
    assert people(final(spec, MONDAY, MONDAY + DAY)) == [[BOB]]


def test_bug_an_override_was_applied_twice_nor_is_one_left_out():
    """Made the other way round, each applies once: Alice's part went to Bob, and from Bob to Charlie."""
    alice_to_bob = OverrideSpec(1, BOB, MONDAY, MONDAY + DAY, replaces=ALICE)
    bob_to_charlie = OverrideSpec(2, CHARLIE, MONDAY, MONDAY + DAY, replaces=BOB)
    spec = schedule(layer(ALICE, start=MONDAY), overrides=(bob_to_charlie, alice_to_bob))
    assert who(spec, MONDAY) == "Charlie"


def test_bug_an_override_was_applied_twice_where_two_people_change_places():
    """Alice for Bob and Bob for Alice at one time: whoever took over last stands there, once."""
    swap = (
        OverrideSpec(1, BOB, MONDAY, MONDAY + DAY, replaces=ALICE),
        OverrideSpec(2, ALICE, MONDAY, MONDAY + DAY, replaces=BOB),
    )
    assert who(schedule(layer(ALICE, start=MONDAY), overrides=swap), MONDAY) == "Alice"
    assert who(schedule(layer((ALICE, BOB), start=MONDAY), overrides=swap), MONDAY) == "Alice"


# --- layers that end ------------------------------------------------------------------------------------------
def test_bug_a_deleted_layer_left_its_user_on_call():
    """A layer that ended holds nobody from that moment on, also in the middle of a turn and of a window."""
    ended = MONDAY + 2 * DAY + 3 * HOUR
    spec = schedule(
        layer(ALICE, start=MONDAY), layer(BOB, number=2, position=2, start=MONDAY, windows=(OFFICE,), ends_at=ended)
    )
    assert who(spec, ended - MINUTE) == "Bob"
    assert who(spec, ended) == "Alice"
    assert not any(BOB in group for group in people(final(spec, ended, ended + 4 * WEEK)))
    [last] = [one for one in shifts(final(spec, ended - DAY, ended + DAY)) if one.end_at == ended]
    assert last.user_id == BOB


def test_bug_a_deleted_layer_left_its_user_on_call_without_another_layer():
    ended = MONDAY + 2 * DAY
    spec = schedule(layer(ALICE, start=MONDAY, ends_at=ended))
    assert who(spec, ended) == ""
    assert gaps(final(spec, MONDAY, MONDAY + WEEK)) == [(ended, MONDAY + WEEK)]


# --- one person, twice ----------------------------------------------------------------------------------------
def test_bug_a_person_meant_twice_was_there_twice():
    """A slot, a fixed shift and an override that mean one person put them on call once."""
    twice = schedule(layer((ALICE, BOB, ALICE), start=MONDAY))
    assert who(twice, MONDAY) == "Alice Bob"
    fixed = schedule(fixed=(FixedSpec(1, BOB, MONDAY, MONDAY + DAY), FixedSpec(2, BOB, MONDAY, MONDAY + DAY)))
    assert who(fixed, MONDAY) == "Bob"
    taken = schedule(
        layer((ALICE, BOB), start=MONDAY), overrides=(OverrideSpec(1, BOB, MONDAY, MONDAY + DAY, replaces=ALICE),)
    )
    assert who(taken, MONDAY) == "Bob"


def test_bug_overlapping_time_off_ended_with_the_first_of_them():
    """Two spans of time off that overlap: the person is off until both are over."""
    off = (TimeOffSpec(ALICE, MONDAY, MONDAY + DAY), TimeOffSpec(ALICE, MONDAY + HOUR, MONDAY + 2 * HOUR))
    spec = schedule(layer(ALICE, BOB, start=MONDAY), time_off=off, skips_time_off=True)
    assert people(final(spec, MONDAY, MONDAY + 2 * DAY)) == [[BOB], [ALICE]]
