import datetime as dt

from oncall.rotation import Rotation
from oncall.shifts import LayerSpec, OverrideSpec, ScheduleSpec, final, on_call

ALICE, BOB, CHARLIE = 1, 2, 3
MONDAY = dt.datetime(2026, 1, 5, 9, tzinfo=dt.UTC)
WEEK = dt.timedelta(weeks=1)


def layer(*participants, position=1, name="Weekly", ends_at=None, start=MONDAY):
    return LayerSpec(name, position, Rotation("week", 1, start.date(), dt.time(9), "UTC"), participants, ends_at)


def schedule(*layers, overrides=()):
    return ScheduleSpec("Primary", layers, tuple(overrides))


def who(spec, at):
    found = on_call(spec, at)
    return found and found.user_id


def test_participants_take_turns():
    spec = schedule(layer(ALICE, BOB))
    assert [who(spec, MONDAY + WEEK * number) for number in range(3)] == [ALICE, BOB, ALICE]


def test_the_higher_layer_wins_and_falls_through_when_it_ends():
    spec = schedule(layer(ALICE), layer(BOB, position=2, ends_at=MONDAY + WEEK))
    assert who(spec, MONDAY) == BOB
    assert who(spec, MONDAY + WEEK) == ALICE


def test_override_wins_over_every_layer_at_its_exact_boundaries():
    span = OverrideSpec(1, CHARLIE, MONDAY + dt.timedelta(hours=1), MONDAY + dt.timedelta(hours=2))
    spec = schedule(layer(ALICE), layer(BOB, position=2), overrides=[span])
    assert who(spec, span.start_at - dt.timedelta(seconds=1)) == BOB
    assert who(spec, span.start_at) == CHARLIE
    assert who(spec, span.end_at) == BOB


def test_of_two_overlapping_overrides_the_later_made_one_wins():
    first = OverrideSpec(1, ALICE, MONDAY, MONDAY + WEEK)
    second = OverrideSpec(2, CHARLIE, MONDAY, MONDAY + dt.timedelta(hours=1))
    spec = schedule(layer(BOB), overrides=[second, first])
    assert who(spec, MONDAY) == CHARLIE
    assert who(spec, MONDAY + dt.timedelta(hours=1)) == ALICE


def test_an_override_across_a_handoff_holds_on_both_sides():
    span = OverrideSpec(1, CHARLIE, MONDAY + WEEK - dt.timedelta(hours=1), MONDAY + WEEK + dt.timedelta(hours=1))
    spec = schedule(layer(ALICE, BOB), overrides=[span])
    shifts = final(spec, MONDAY, MONDAY + 2 * WEEK)
    assert [(one.user_id, one.start_at) for one in shifts] == [
        (ALICE, MONDAY),
        (CHARLIE, span.start_at),
        (CHARLIE, MONDAY + WEEK),
        (BOB, span.end_at),
    ]


def test_nobody_is_on_call_without_participants_or_before_the_start():
    assert who(schedule(layer()), MONDAY) is None
    assert who(schedule(layer(ALICE)), MONDAY - dt.timedelta(seconds=1)) is None
    assert who(schedule(), MONDAY) is None


def test_the_final_schedule_has_no_holes_and_agrees_with_who_is_on_call():
    span = OverrideSpec(1, CHARLIE, MONDAY - WEEK, MONDAY - dt.timedelta(hours=5))
    spec = schedule(layer(ALICE, BOB), overrides=[span])
    start, end = MONDAY - 2 * WEEK, MONDAY + 3 * WEEK
    shifts = final(spec, start, end)
    assert shifts[0].start_at == start and shifts[-1].end_at == end
    for one, following in zip(shifts, shifts[1:], strict=False):
        assert one.end_at == following.start_at
    for one in shifts:
        assert one.user_id == who(spec, one.start_at) == who(spec, one.end_at - dt.timedelta(seconds=1))
