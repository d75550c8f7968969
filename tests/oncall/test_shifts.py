import datetime as dt
import zoneinfo

import pytest

from oncall.rotation import Rotation, moment
from oncall.shifts import (
    PRIMARY,
    ROLES,
    SECONDARY,
    SHADOW,
    SWAP,
    TERTIARY,
    FixedSpec,
    LayerSpec,
    OverrideSpec,
    ScheduleSpec,
    TimeOffSpec,
    final,
    gaps,
    on_call,
    roster,
    shifts,
)
from oncall.windows import Window
from tests.oncall.test_rotation import steps

ALICE, BOB, CHARLIE, DORA = 1, 2, 3, 4
NAMES = {ALICE: "Alice", BOB: "Bob", CHARLIE: "Charlie", DORA: "Dora"}
MONDAY = dt.datetime(2026, 1, 5, 9, tzinfo=dt.UTC)
HOUR, DAY, WEEK = dt.timedelta(hours=1), dt.timedelta(days=1), dt.timedelta(weeks=1)
SECOND = dt.timedelta(seconds=1)
WORKDAYS, ALL_DAYS = (0, 1, 2, 3, 4), tuple(range(7))


def layer(*slots, number=1, position=1, unit="week", every=1, start=MONDAY, zone="UTC", **changes):
    """A layer of these slots: a person, several, or none."""
    return LayerSpec(
        number=number,
        name=f"Layer {number}",
        position=position,
        rotation=Rotation(unit, every, start.date(), start.time(), zone),
        slots=tuple(slot if isinstance(slot, tuple) else (slot,) for slot in slots),
        **changes,
    )


def schedule(*layers, **exceptions):
    return ScheduleSpec("Shop", layers, **exceptions)


def override(number, user_id, start, hours, **changes):
    return OverrideSpec(number, user_id, start, start + hours * HOUR, **changes)


def who(spec, at, role=PRIMARY):
    """The names of who is on call."""
    return " ".join(NAMES[one.user_id] for one in on_call(spec, at, role))


def turns_of(spec, count, step=WEEK, start=MONDAY):
    return [who(spec, start + step * number) for number in range(count)]


# --- turns and slots ------------------------------------------------------------------------------------------
def test_participants_take_turns():
    assert turns_of(schedule(layer(ALICE, BOB)), 3) == ["Alice", "Bob", "Alice"]


def test_any_participant_may_start():
    assert turns_of(schedule(layer(ALICE, BOB, CHARLIE, first_slot=1)), 4) == ["Bob", "Charlie", "Alice", "Bob"]
    assert turns_of(schedule(layer(ALICE, BOB, first_slot=5)), 2) == ["Bob", "Alice"]


def test_several_people_in_one_slot_are_on_call_together():
    assert turns_of(schedule(layer((ALICE, BOB), CHARLIE)), 2) == ["Alice Bob", "Charlie"]


def test_a_person_twice_in_a_slot_is_on_call_once():
    assert who(schedule(layer((ALICE, ALICE))), MONDAY) == "Alice"


def test_an_empty_slot_lets_the_lower_layer_show_through():
    spec = schedule(layer(ALICE), layer((), BOB, number=2, position=2))
    assert turns_of(spec, 3) == ["Alice", "Bob", "Alice"]


def test_an_empty_slot_without_a_lower_layer_is_a_gap():
    spec = schedule(layer(ALICE, ()))
    assert gaps(final(spec, MONDAY, MONDAY + 4 * WEEK)) == [
        (MONDAY + WEEK, MONDAY + 2 * WEEK),
        (MONDAY + 3 * WEEK, MONDAY + 4 * WEEK),
    ]


def test_nobody_is_on_call_without_participants_or_before_the_start():
    assert who(schedule(layer()), MONDAY) == ""
    assert who(schedule(layer(ALICE)), MONDAY - SECOND) == ""
    assert who(schedule(), MONDAY) == ""


def test_the_answer_says_why_and_until_when():
    [one] = on_call(schedule(layer(ALICE, BOB, number=7)), MONDAY + WEEK + HOUR)
    assert (one.user_id, one.why, one.via, one.source) == (BOB, "Shop, Layer 7", "layer", "layer:7:1")
    assert one.until == MONDAY + 2 * WEEK


def test_a_closing_window_or_the_end_of_the_layer_ends_the_reason_earlier():
    office = Window(WORKDAYS, dt.time(9), dt.time(17))
    [one] = on_call(schedule(layer(ALICE, windows=(office,))), MONDAY)
    assert one.until == MONDAY + 8 * HOUR
    [one] = on_call(schedule(layer(ALICE, ends_at=MONDAY + DAY)), MONDAY)
    assert one.until == MONDAY + DAY


# --- layers ---------------------------------------------------------------------------------------------------
def test_the_higher_layer_wins_and_falls_through_when_it_ends():
    spec = schedule(layer(ALICE), layer(BOB, number=2, position=2, ends_at=MONDAY + WEEK))
    assert who(spec, MONDAY) == "Bob"
    assert who(spec, MONDAY + WEEK - SECOND) == "Bob"
    assert who(spec, MONDAY + WEEK) == "Alice"


def test_a_layer_holds_from_its_start_on():
    spec = schedule(layer(ALICE), layer(BOB, number=2, position=2, starts_at=MONDAY + DAY))
    assert who(spec, MONDAY + DAY - SECOND) == "Alice"
    assert who(spec, MONDAY + DAY) == "Bob"


def test_of_two_layers_at_one_position_the_newer_wins():
    assert who(schedule(layer(ALICE, number=1), layer(BOB, number=2)), MONDAY) == "Bob"
    assert who(schedule(layer(BOB, number=2), layer(ALICE, number=1)), MONDAY) == "Bob"


def test_a_layer_holds_only_inside_its_windows():
    nights = Window(ALL_DAYS, dt.time(20), dt.time(6))
    spec = schedule(layer(ALICE), layer(BOB, number=2, position=2, windows=(nights,)))
    assert who(spec, MONDAY) == "Alice"
    assert who(spec, MONDAY.replace(hour=20)) == "Bob"
    assert who(spec, MONDAY.replace(hour=5) + DAY) == "Bob"
    assert who(spec, MONDAY.replace(hour=6) + DAY) == "Alice"


def test_a_day_outside_of_the_windows_does_not_eat_a_turn():
    office = Window(WORKDAYS, dt.time(9), dt.time(17))
    spec = schedule(layer(ALICE, BOB, CHARLIE, unit="day", windows=(office,)))
    assert turns_of(spec, 9, step=DAY) == ["Alice", "Bob", "Charlie", "Alice", "Bob", "", "", "Charlie", "Alice"]


def test_following_the_sun_over_three_zones_leaves_no_gap_all_year():
    day = (Window(ALL_DAYS, dt.time(9), dt.time(18)),)
    start = dt.datetime(2025, 12, 1, 9)
    follow = schedule(
        layer(ALICE, number=1, zone="Asia/Tokyo", start=start, windows=day),
        layer(BOB, number=2, zone="Europe/Berlin", start=start, windows=day),
        layer(CHARLIE, number=3, zone="America/Los_Angeles", start=start, windows=day),
    )
    year = final(follow, dt.datetime(2026, 1, 1, tzinfo=dt.UTC), dt.datetime(2027, 1, 1, tzinfo=dt.UTC))
    assert gaps(year) == []

    def names(month, day):
        return " ".join(who(follow, dt.datetime(2026, month, day, hour, 30, tzinfo=dt.UTC)) for hour in (1, 7, 16))

    assert names(1, 20) == "Charlie Alice Bob"
    assert names(7, 21) == "Alice Bob Charlie"  # Berlin and Los Angeles begin an hour earlier in UTC, Tokyo does not
    assert names(3, 20) == "Alice Alice Charlie"  # for three weeks only Los Angeles has summer time


def test_a_shift_keeps_its_wall_clock_times_across_a_clock_change():
    berlin = zoneinfo.ZoneInfo("Europe/Berlin")
    spec = schedule(layer(ALICE, BOB, unit="day", zone="Europe/Berlin", start=dt.datetime(2026, 3, 28, 9)))
    start = moment(dt.datetime(2026, 3, 28, 9), berlin)
    found = [(one.user_id, one.end_at - one.start_at) for one in shifts(final(spec, start, start + 71 * HOUR))]
    assert found == [(ALICE, 23 * HOUR), (BOB, 24 * HOUR), (ALICE, 24 * HOUR)]


# --- roles ----------------------------------------------------------------------------------------------------
def test_roles_stand_beside_each_other():
    spec = schedule(
        layer(ALICE, BOB),
        layer(BOB, ALICE, number=2, position=2, role=SECONDARY),
        layer(CHARLIE, number=3, position=3, role=TERTIARY),
    )
    everybody = {role: [one.user_id for one in people] for role, people in roster(spec, MONDAY).items()}
    assert everybody == {PRIMARY: [ALICE], SECONDARY: [BOB], TERTIARY: [CHARLIE], SHADOW: []}


def test_a_shadow_stands_beside_and_covers_nothing():
    spec = schedule(layer(ALICE, ()), layer(CHARLIE, number=2, position=9, role=SHADOW))
    assert turns_of(spec, 2) == ["Alice", ""]
    assert who(spec, MONDAY + WEEK, SHADOW) == "Charlie"
    assert gaps(final(spec, MONDAY, MONDAY + 2 * WEEK)) == [(MONDAY + WEEK, MONDAY + 2 * WEEK)]


def test_an_exception_of_one_role_leaves_the_others_alone():
    spec = schedule(
        layer(ALICE),
        layer(BOB, number=2, role=SECONDARY),
        overrides=(override(1, CHARLIE, MONDAY, 1, role=SECONDARY),),
        fixed=(FixedSpec(1, DORA, MONDAY, MONDAY + HOUR, role=SHADOW),),
    )
    assert [who(spec, MONDAY, role) for role in ROLES] == ["Alice", "Charlie", "", "Dora"]


# --- overrides ------------------------------------------------------------------------------------------------
def test_an_override_wins_over_every_layer_at_its_exact_boundaries():
    span = override(1, CHARLIE, MONDAY + HOUR, 1)
    spec = schedule(layer(ALICE), layer(BOB, number=2, position=2), overrides=(span,))
    assert who(spec, span.start_at - SECOND) == "Bob"
    assert who(spec, span.start_at) == "Charlie"
    assert who(spec, span.end_at - SECOND) == "Charlie"
    assert who(spec, span.end_at) == "Bob"


def test_of_two_overlapping_overrides_the_later_made_one_wins():
    first = OverrideSpec(1, ALICE, MONDAY, MONDAY + WEEK)
    second = OverrideSpec(2, CHARLIE, MONDAY, MONDAY + HOUR)
    spec = schedule(layer(BOB), overrides=(second, first))
    assert who(spec, MONDAY) == "Charlie"
    assert who(spec, MONDAY + HOUR) == "Alice"


def test_overrides_that_touch_leave_no_gap_and_do_not_overlap():
    spec = schedule(overrides=(override(1, ALICE, MONDAY, 2), override(2, BOB, MONDAY + 2 * HOUR, 2)))
    spans = final(spec, MONDAY, MONDAY + 4 * HOUR)
    assert [(span.start_at, [one.user_id for one in span.people]) for span in spans] == [
        (MONDAY, [ALICE]),
        (MONDAY + 2 * HOUR, [BOB]),
    ]


def test_an_override_across_a_handoff_holds_on_both_sides():
    span = override(1, CHARLIE, MONDAY + WEEK - HOUR, 2)
    spec = schedule(layer(ALICE, BOB), overrides=(span,))
    found = shifts(final(spec, MONDAY, MONDAY + 2 * WEEK))
    assert [(one.user_id, one.start_at, one.person.instead_of) for one in found] == [
        (ALICE, MONDAY, None),
        (CHARLIE, span.start_at, ALICE),
        (BOB, span.end_at, None),
    ]


def test_an_override_of_everybody_replaces_all_of_the_slot():
    spec = schedule(layer((ALICE, BOB)), overrides=(override(1, CHARLIE, MONDAY, 1),))
    assert who(spec, MONDAY) == "Charlie"


def test_an_override_of_one_person_leaves_the_others():
    spec = schedule(layer((ALICE, BOB)), overrides=(override(1, CHARLIE, MONDAY, 1, replaces=ALICE),))
    assert who(spec, MONDAY) == "Bob Charlie"
    taker = on_call(spec, MONDAY)[1]
    assert (taker.instead_of, taker.source, taker.until) == (ALICE, "override:1", MONDAY + HOUR)


def test_an_override_of_somebody_who_is_not_on_call_changes_nothing():
    spec = schedule(layer(ALICE, BOB), overrides=(OverrideSpec(1, CHARLIE, MONDAY, MONDAY + 2 * WEEK, replaces=BOB),))
    assert turns_of(spec, 3) == ["Alice", "Charlie", "Alice"]


def test_taking_the_part_of_somebody_beside_oneself_leaves_one():
    spec = schedule(layer((ALICE, BOB)), overrides=(override(1, BOB, MONDAY, 1, replaces=ALICE),))
    assert who(spec, MONDAY) == "Bob"


def test_a_swap_says_that_it_is_one():
    spec = schedule(layer(ALICE), overrides=(override(1, BOB, MONDAY, 1, replaces=ALICE, via=SWAP),))
    assert on_call(spec, MONDAY)[0].why == "swap in Shop"


# --- fixed shifts ---------------------------------------------------------------------------------------------
def test_fixed_shifts_win_over_every_layer_and_overrides_over_them():
    spec = schedule(
        layer(ALICE),
        fixed=(FixedSpec(1, BOB, MONDAY, MONDAY + 2 * HOUR),),
        overrides=(override(1, CHARLIE, MONDAY + HOUR, 1),),
    )
    assert turns_of(spec, 3, step=HOUR) == ["Bob", "Charlie", "Alice"]


def test_fixed_shifts_at_one_time_are_on_call_together_in_the_order_they_were_made():
    spec = schedule(fixed=(FixedSpec(2, ALICE, MONDAY, MONDAY + DAY), FixedSpec(1, BOB, MONDAY, MONDAY + HOUR)))
    assert turns_of(spec, 2, step=HOUR) == ["Bob Alice", "Alice"]
    assert [one.source for one in on_call(spec, MONDAY)] == ["fixed:1", "fixed:2"]


# --- time off -------------------------------------------------------------------------------------------------
ALICE_OFF = (TimeOffSpec(ALICE, MONDAY, MONDAY + DAY),)


def test_somebody_with_time_off_stays_on_call_and_is_marked():
    spec = schedule(layer(ALICE, BOB), time_off=ALICE_OFF)
    spans = final(spec, MONDAY, MONDAY + WEEK)
    assert [(span.end_at, span.people[0].user_id, span.people[0].is_off) for span in spans] == [
        (MONDAY + DAY, ALICE, True),
        (MONDAY + WEEK, ALICE, False),
    ]


def test_somebody_with_time_off_is_passed_over_where_the_schedule_says_so():
    spec = schedule(layer(ALICE, BOB, CHARLIE), time_off=ALICE_OFF, skips_time_off=True)
    assert turns_of(spec, 3, step=DAY / 2) == ["Bob", "Bob", "Alice"]
    [one] = on_call(spec, MONDAY)
    assert (one.instead_of, one.is_off) == (ALICE, False)
    assert one.why == "Shop, Layer 1, in place of somebody with time off"
    assert who(spec, MONDAY + WEEK) == "Bob"  # whose own turn comes as if nothing had happened


def test_the_others_of_the_slot_are_enough():
    spec = schedule(layer((ALICE, BOB), CHARLIE), time_off=ALICE_OFF, skips_time_off=True)
    assert who(spec, MONDAY) == "Bob"


def test_an_empty_slot_is_not_filled_because_somebody_else_is_off():
    spec = schedule(layer((), ALICE, BOB), time_off=ALICE_OFF, skips_time_off=True)
    assert who(spec, MONDAY) == ""


def test_when_all_are_off_the_lower_layer_shows_through():
    spec = schedule(layer(BOB), layer(ALICE, number=2, position=2), time_off=ALICE_OFF, skips_time_off=True)
    assert who(spec, MONDAY) == "Bob"
    assert who(spec, MONDAY + DAY) == "Alice"


def test_who_takes_an_override_during_their_time_off_is_marked():
    spec = schedule(layer(BOB), time_off=ALICE_OFF, skips_time_off=True, overrides=(override(1, ALICE, MONDAY, 1),))
    [one] = on_call(spec, MONDAY)
    assert (one.user_id, one.is_off) == (ALICE, True)


# --- the final schedule ---------------------------------------------------------------------------------------
def test_the_final_schedule_has_no_holes_and_agrees_with_who_is_on_call():
    span = OverrideSpec(1, CHARLIE, MONDAY - WEEK, MONDAY - 5 * HOUR)
    spec = schedule(layer(ALICE, BOB), overrides=(span,))
    start, end = MONDAY - 2 * WEEK, MONDAY + 3 * WEEK
    spans = final(spec, start, end)
    assert spans[0].start_at == start and spans[-1].end_at == end
    for one, following in zip(spans, spans[1:], strict=False):
        assert one.end_at == following.start_at
    for one in spans:
        assert one.people == on_call(spec, one.start_at) == on_call(spec, one.end_at - SECOND)


def test_a_handoff_to_oneself_is_a_handoff():
    spans = final(schedule(layer(ALICE)), MONDAY, MONDAY + 2 * WEEK)
    assert [span.end_at for span in spans] == [MONDAY + WEEK, MONDAY + 2 * WEEK]


def test_a_span_without_a_length_has_no_shifts():
    assert final(schedule(layer(ALICE)), MONDAY, MONDAY) == []


def test_shifts_are_told_for_each_person_as_long_as_one_reason_lasts():
    spec = schedule(layer((ALICE, BOB), CHARLIE), overrides=(override(1, DORA, MONDAY + DAY, 24, replaces=ALICE),))
    found = [(NAMES[one.user_id], one.start_at, one.end_at) for one in shifts(final(spec, MONDAY, MONDAY + 2 * WEEK))]
    assert found == [
        ("Alice", MONDAY, MONDAY + DAY),
        ("Bob", MONDAY, MONDAY + WEEK),  # one shift, whatever happens beside it
        ("Dora", MONDAY + DAY, MONDAY + 2 * DAY),
        ("Alice", MONDAY + 2 * DAY, MONDAY + WEEK),
        ("Charlie", MONDAY + WEEK, MONDAY + 2 * WEEK),
    ]


def test_gaps_that_touch_are_one():
    spec = schedule(layer((), (), ALICE))
    assert gaps(final(spec, MONDAY, MONDAY + 3 * WEEK)) == [(MONDAY, MONDAY + 2 * WEEK)]


def test_layers_that_were_not_saved_yet_and_have_no_number_are_told_apart():
    """A preview may give every new layer the number 0."""
    spec = schedule(
        layer(ALICE, number=0, ends_at=MONDAY + DAY), layer(BOB, number=0, position=2, starts_at=MONDAY + DAY)
    )
    assert [span.people[0].user_id for span in final(spec, MONDAY, MONDAY + 2 * DAY)] == [ALICE, BOB]


@pytest.mark.parametrize("unit", ["hour", "day", "week", "month"])
def test_an_old_schedule_takes_no_more_steps_than_a_new_one(unit):
    office = (Window(WORKDAYS, dt.time(9), dt.time(17)),)
    at = MONDAY + 20 * WEEK + HOUR

    def asked(start):
        spec = schedule(layer(ALICE, BOB, CHARLIE, unit=unit, start=start, windows=office))
        roster(spec, at)  # what repeats by the week is worked out once
        return steps(lambda: roster(spec, at)) + steps(lambda: final(spec, at, at + WEEK))

    old, new = asked(dt.datetime(1990, 1, 1, 9, tzinfo=dt.UTC)), asked(MONDAY)
    assert old <= new * 1.1 + 50
