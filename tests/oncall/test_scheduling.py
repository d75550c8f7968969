"""Overrides, fixed shifts, time off and availability, as people write them down."""

import datetime as dt

import pytest
from django.core.exceptions import ValidationError

from core.errors import IllegalMove, NotFound
from oncall import handoffs, lookup, scheduling, shifts
from oncall.models import Availability, FixedShift, Override, Schedule, TimeOff
from tests import factories
from tests.threads import at_once

HOUR = dt.timedelta(hours=1)
DAY = 24 * HOUR


@pytest.fixture
def schedule(team, alice, bob):
    """Alice and Bob in turn, by the week; Bob has the week of `now`."""
    return factories.ScheduleFactory(name="Shop", team=team, people=[alice, bob])


def people(schedule, at, role=shifts.PRIMARY):
    return [one.user_id for one in lookup.who_many([schedule.pk], at=at)[schedule.pk][role]]


def past_of(schedule, now):
    return lookup.finals([schedule.pk], start=now - 60 * DAY, end=now)[schedule.pk]


def sentence(raised, field=None):
    """The only sentence of a ValidationError, and that it belongs to this field."""
    if field:
        assert list(raised.value.error_dict) == [field]
    (text,) = raised.value.messages
    return text


# --- overrides ------------------------------------------------------------------------------------------------
def add(schedule, now, **fields):
    values = {"start_at": now + HOUR, "end_at": now + 2 * HOUR, "by": None} | fields
    return scheduling.add_override(schedule.pk, now=now, **values)


def test_an_override_puts_somebody_on_call_for_its_span(schedule, alice, bob, charlie, now):
    made = add(schedule, now, user=charlie, reason="Dentist", by=alice)
    assert people(schedule, now) == [bob.pk]
    assert people(schedule, now + HOUR) == [charlie.pk]
    assert people(schedule, now + 2 * HOUR) == [bob.pk]
    assert (made.created_by, made.reason) == (alice, "Dentist")


def test_an_override_that_began_in_the_past_holds_from_now_on(schedule, charlie, now):
    before = past_of(schedule, now)
    made = add(schedule, now, user=charlie, start_at=now - 3 * HOUR)
    assert made.start_at == now
    assert past_of(schedule, now) == before
    assert people(schedule, now) == [charlie.pk]


@pytest.mark.parametrize(
    ("fields", "field", "text"),
    [
        ({"start_at": -2, "end_at": -1}, "end_at", "is over"),
        ({"start_at": -2, "end_at": 0}, "end_at", "is over"),
        ({"start_at": 2, "end_at": 1}, "end_at", "ends before it starts"),
        ({"start_at": 2, "end_at": 2}, "end_at", "ends before it starts"),
        ({"start_at": 1, "end_at": 24 * 401}, "end_at", "400 days"),
        ({"start_at": 24 * 365 * 90, "end_at": 24 * 365 * 90 + 1}, "end_at", "too far"),
    ],
)
@pytest.mark.parametrize("kind", ["override", "fixed shift", "time off"])
def test_a_span_that_cannot_be_is_refused_with_what_to_change(schedule, charlie, now, kind, fields, field, text):
    span = {name: now + hours * HOUR for name, hours in fields.items()}
    with pytest.raises(ValidationError) as raised:
        if kind == "override":
            add(schedule, now, user=charlie, **span)
        elif kind == "fixed shift":
            scheduling.add_fixed_shift(schedule.pk, user=charlie, by=None, now=now, **span)
        else:
            scheduling.add_time_off(user=charlie, by=None, now=now, **span)
    assert text in sentence(raised, field)
    assert not Override.objects.exists() and not FixedShift.objects.exists() and not TimeOff.objects.exists()


@pytest.mark.parametrize("missing", ["start_at", "end_at", "user"])
def test_what_is_missing_is_named(schedule, charlie, now, missing):
    with pytest.raises(ValidationError) as raised:
        add(schedule, now, **{"user": charlie, missing: None})
    assert list(raised.value.error_dict) == [missing]


def test_a_role_that_is_none_is_refused(schedule, charlie, now):
    with pytest.raises(ValidationError) as raised:
        add(schedule, now, user=charlie, role="BOSS")
    assert list(raised.value.error_dict) == ["role"]


def test_somebody_deactivated_cannot_be_put_on_call(schedule, charlie, now):
    charlie.is_active = False
    with pytest.raises(ValidationError) as raised:
        add(schedule, now, user=charlie)
    assert sentence(raised, "user") == "Charlie is deactivated. Choose somebody else."


def test_an_observer_cannot_answer_a_page_and_is_a_shadow_at_most(schedule, charlie, now):
    charlie.role = "observer"
    with pytest.raises(ValidationError) as raised:
        add(schedule, now, user=charlie)
    assert "Charlie is an observer and cannot answer a page." in sentence(raised, "user")
    assert add(schedule, now, user=charlie, role=shifts.SHADOW).pk


def test_only_who_is_on_call_can_be_replaced(schedule, alice, bob, charlie, now):
    with pytest.raises(ValidationError) as raised:
        add(schedule, now, user=charlie, replaces=alice)
    assert sentence(raised, "replaces") == (
        "Alice is not on call in Shop then. Choose whom to replace, or leave it empty."
    )
    add(schedule, now, user=charlie, replaces=alice, end_at=now + 8 * DAY)  # her week begins within it
    with pytest.raises(ValidationError) as raised:
        add(schedule, now, user=alice, replaces=bob, role=shifts.SECONDARY)
    assert "Bob is not on call" in sentence(raised, "replaces")


def test_who_stands_on_call_by_an_override_can_be_replaced_again(schedule, alice, bob, charlie, now):
    add(schedule, now, user=charlie, replaces=bob)
    add(schedule, now, user=alice, replaces=charlie)
    assert people(schedule, now + HOUR) == [alice.pk]
    with pytest.raises(ValidationError):
        add(schedule, now, user=charlie, replaces=bob)  # he is not on call then any more


def test_nobody_replaces_themselves(schedule, bob, now):
    with pytest.raises(ValidationError) as raised:
        add(schedule, now, user=bob, replaces=bob)
    assert list(raised.value.error_dict) == ["replaces"]


def test_overrides_may_overlap_and_the_later_one_wins(schedule, alice, charlie, now):
    add(schedule, now, user=charlie, end_at=now + 3 * HOUR)
    add(schedule, now, user=alice, start_at=now + 2 * HOUR, end_at=now + 4 * HOUR)
    assert people(schedule, now + HOUR) == [charlie.pk]
    assert people(schedule, now + 2 * HOUR) == [alice.pk]


def test_removing_an_override_to_come_deletes_it(schedule, bob, charlie, now):
    made = add(schedule, now, user=charlie)
    scheduling.remove_override(made.pk, by=None, now=now)
    assert not Override.objects.exists()


def test_removing_a_running_override_ends_it_now(schedule, bob, charlie, now):
    made = add(schedule, now, user=charlie)
    later = now + HOUR + dt.timedelta(minutes=10)
    scheduling.remove_override(made.pk, by=None, now=later)
    assert people(schedule, later - dt.timedelta(seconds=1)) == [charlie.pk]
    assert people(schedule, later) == [bob.pk]


def test_removing_an_override_at_its_start_deletes_it(schedule, charlie, now):
    made = add(schedule, now, user=charlie)
    scheduling.remove_override(made.pk, by=None, now=made.start_at)
    assert not Override.objects.exists()


def test_an_override_that_is_over_stays(schedule, charlie, now):
    made = add(schedule, now, user=charlie)
    with pytest.raises(IllegalMove, match="This override is over"):
        scheduling.remove_override(made.pk, by=None, now=made.end_at)
    assert Override.objects.get() == made


def test_what_does_not_exist_is_not_found(db, charlie, now):
    with pytest.raises(NotFound):
        scheduling.remove_override(4711, by=None, now=now)
    with pytest.raises(NotFound):
        scheduling.remove_time_off(4711, by=None, now=now)
    with pytest.raises(NotFound):
        scheduling.add_override(4711, user=charlie, start_at=now, end_at=now + HOUR, by=None, now=now)


# --- fixed shifts ---------------------------------------------------------------------------------------------
def fix(schedule, now, **fields):
    values = {"start_at": now + HOUR, "end_at": now + 5 * HOUR, "by": None} | fields
    return scheduling.add_fixed_shift(schedule.pk, now=now, **values)


def test_a_fixed_shift_wins_over_the_layers_from_now_on(schedule, bob, charlie, now):
    before = past_of(schedule, now)
    fix(schedule, now, user=charlie, start_at=now - DAY, note="Handbook week")
    assert people(schedule, now) == [charlie.pk]
    assert people(schedule, now + 5 * HOUR) == [bob.pk]
    assert past_of(schedule, now) == before


def test_two_fixed_shifts_of_one_person_may_touch_but_not_overlap(schedule, bob, charlie, now):
    fix(schedule, now, user=charlie)
    fix(schedule, now, user=charlie, start_at=now + 5 * HOUR, end_at=now + 6 * HOUR)
    fix(schedule, now, user=bob)
    with pytest.raises(ValidationError) as raised:
        fix(schedule, now, user=charlie, start_at=now + 4 * HOUR, end_at=now + 5 * HOUR)
    assert "already has a fixed shift in this schedule at that time" in sentence(raised)


@pytest.mark.django_db(transaction=True)
def test_overlapping_fixed_shifts_written_at_once_are_one_and_a_sentence(schedule, charlie, now):
    outcomes = at_once(
        lambda: fix(schedule, now, user=charlie), lambda: fix(schedule, now, user=charlie, end_at=now + 9 * HOUR)
    )
    assert FixedShift.objects.count() == 1
    (refused,) = [one for one in outcomes if isinstance(one, Exception)]
    assert isinstance(refused, ValidationError)


def test_what_the_check_could_not_see_is_the_same_sentence(schedule, charlie, now):
    """Another writer who takes no lock came between the check and the write."""
    factories.FixedShiftFactory(schedule=schedule, user=charlie, start_at=now, end_at=now + HOUR)
    late = factories.FixedShiftFactory.build(
        schedule=schedule, user=charlie, start_at=now, end_at=now + HOUR, created_by=None
    )
    with pytest.raises(ValidationError) as raised:
        scheduling._save_alone(late)
    assert "already has a fixed shift in this schedule at that time" in sentence(raised)


def test_a_shift_to_come_can_change_wholly(schedule, alice, charlie, now):
    made = fix(schedule, now, user=charlie)
    scheduling.change_fixed_shift(
        made.pk, user=alice, role=shifts.SECONDARY, start_at=now - HOUR, end_at=now + HOUR, note="x", by=None, now=now
    )
    made.refresh_from_db()
    assert (made.user, made.role, made.start_at, made.note) == (alice, shifts.SECONDARY, now, "x")


def test_a_running_shift_changes_its_end_and_note_only(schedule, alice, charlie, now):
    made = fix(schedule, now, user=charlie)
    later = made.start_at + HOUR
    same = {"user": charlie, "role": made.role, "start_at": made.start_at}
    scheduling.change_fixed_shift(made.pk, end_at=later + DAY, note="longer", by=None, now=later, **same)
    made.refresh_from_db()
    assert (made.end_at, made.note) == (later + DAY, "longer")
    for change in ({"user": alice}, {"start_at": later}, {"role": shifts.SHADOW}):
        with pytest.raises(IllegalMove, match="only its end and its note can change"):
            scheduling.change_fixed_shift(made.pk, by=None, now=later, **change)
    with pytest.raises(ValidationError):
        scheduling.change_fixed_shift(made.pk, end_at=later - HOUR / 2, by=None, now=later)
    scheduling.change_fixed_shift(made.pk, end_at=later, by=None, now=later)
    assert FixedShift.objects.get().end_at == later


def test_a_running_shift_of_somebody_deactivated_can_still_be_ended(schedule, charlie, now):
    made = fix(schedule, now, user=charlie)
    charlie.is_active = False
    charlie.save()
    scheduling.change_fixed_shift(made.pk, end_at=made.start_at + HOUR, by=None, now=made.start_at)


def test_a_shift_that_is_over_does_not_change(schedule, charlie, now):
    made = fix(schedule, now, user=charlie)
    with pytest.raises(IllegalMove, match="history does not change"):
        scheduling.change_fixed_shift(made.pk, note="x", by=None, now=made.end_at)
    with pytest.raises(IllegalMove, match="history does not change"):
        scheduling.remove_fixed_shift(made.pk, by=None, now=made.end_at)
    assert scheduling.change_fixed_shift(made.pk, note="", by=None, now=made.end_at) == made  # nothing changes


def test_changing_a_shift_into_another_one_is_refused(schedule, charlie, now):
    fix(schedule, now, user=charlie)
    made = fix(schedule, now, user=charlie, start_at=now + 6 * HOUR, end_at=now + 7 * HOUR)
    with pytest.raises(ValidationError):
        scheduling.change_fixed_shift(made.pk, start_at=now + 4 * HOUR, by=None, now=now)


def test_a_shift_of_a_calendar_is_changed_in_the_calendar(schedule, charlie, now):
    calendar = factories.CalendarImportFactory(schedule=schedule, name="Rota")
    made = factories.FixedShiftFactory(schedule=schedule, user=charlie, calendar=calendar, calendar_uid="1")
    with pytest.raises(IllegalMove, match="comes from the calendar Rota. Change it there."):
        scheduling.change_fixed_shift(made.pk, note="x", by=None, now=now)
    with pytest.raises(IllegalMove, match="Change it there."):
        scheduling.remove_fixed_shift(made.pk, by=None, now=now)


def test_removing_a_fixed_shift_keeps_what_was(schedule, bob, charlie, now):
    running, to_come = fix(schedule, now, user=charlie), fix(schedule, now, user=bob, start_at=now + 4 * HOUR)
    later = running.start_at + HOUR
    scheduling.remove_fixed_shift(running.pk, by=None, now=later)
    scheduling.remove_fixed_shift(to_come.pk, by=None, now=later)
    assert FixedShift.objects.get().end_at == later
    assert people(schedule, later - HOUR) == [charlie.pk]


# --- time off and availability --------------------------------------------------------------------------------
def test_time_off_counts_from_now_on_and_ends_when_taken_back(schedule, alice, bob, now):
    Schedule.objects.update(skips_time_off=True)
    before = past_of(schedule, now)
    made = scheduling.add_time_off(user=bob, start_at=now - DAY, end_at=now + DAY, by=alice, now=now)
    assert people(schedule, now) == [alice.pk]
    assert past_of(schedule, now) == before
    scheduling.remove_time_off(made.pk, by=alice, now=now + HOUR)
    assert people(schedule, now) == [alice.pk]
    assert people(schedule, now + HOUR) == [bob.pk]
    with pytest.raises(IllegalMove, match="This time off is over"):
        scheduling.remove_time_off(made.pk, by=alice, now=now + 2 * HOUR)


def test_running_time_off_changes_its_end_and_reason_only(charlie, now):
    made = scheduling.add_time_off(user=charlie, start_at=now, end_at=now + DAY, by=None, now=now)
    later = now + HOUR
    scheduling.change_time_off(made.pk, start_at=now, end_at=now + 2 * DAY, reason="Flu", by=None, now=later)
    with pytest.raises(IllegalMove, match="only its end and its reason can change"):
        scheduling.change_time_off(made.pk, start_at=later, by=None, now=later)
    with pytest.raises(ValidationError):
        scheduling.change_time_off(made.pk, end_at=now, by=None, now=later)
    with pytest.raises(IllegalMove, match="is over"):
        scheduling.change_time_off(made.pk, reason="", by=None, now=now + 2 * DAY)
    made.refresh_from_db()
    assert (made.start_at, made.end_at, made.reason) == (now, now + 2 * DAY, "Flu")


def test_time_off_to_come_can_move(charlie, now):
    made = scheduling.add_time_off(user=charlie, start_at=now + DAY, end_at=now + 2 * DAY, by=None, now=now)
    scheduling.change_time_off(made.pk, start_at=now - DAY, by=None, now=now)
    assert TimeOff.objects.get().start_at == now


def test_somebody_who_was_busy_is_available_again(charlie, now):
    scheduling.set_availability(charlie, status="busy", until_at=now + HOUR, note="Demo", now=now)
    assert lookup.unavailable([charlie.pk], at=now)
    assert not lookup.unavailable([charlie.pk], at=now + HOUR)
    made = scheduling.set_availability(charlie, status="available", now=now + DAY)
    assert (made.until_at, made.since_at) == (None, now + DAY)
    assert Availability.objects.count() == 1


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"status": "away"}, "until_at"),
        ({"status": "busy", "until_at": -1}, "until_at"),
        ({"status": "asleep"}, "status"),
    ],
)
def test_an_availability_that_says_nothing_is_refused(charlie, now, fields, field):
    if "until_at" in fields:
        fields = fields | {"until_at": now + fields["until_at"] * HOUR}
    with pytest.raises(ValidationError) as raised:
        scheduling.set_availability(charlie, now=now, **fields)
    assert list(raised.value.error_dict) == [field]


# --- handoffs -------------------------------------------------------------------------------------------------
def test_every_change_lets_the_handoffs_be_looked_at_again(schedule, bob, charlie, now):
    later = now + 300 * DAY

    def is_due():
        due = Schedule.objects.get().handoffs_due_at == now
        Schedule.objects.update(handoffs_due_at=later)
        return due

    Schedule.objects.update(handoffs_due_at=later)
    override = add(schedule, now, user=charlie)
    assert is_due()
    shift = fix(schedule, now, user=charlie)
    assert is_due()
    scheduling.change_fixed_shift(shift.pk, note="x", by=None, now=now)
    assert is_due()
    scheduling.remove_override(override.pk, by=None, now=now)
    assert is_due()
    scheduling.remove_fixed_shift(shift.pk, by=None, now=now)
    assert is_due()
    off = scheduling.add_time_off(user=bob, start_at=now, end_at=now + DAY, by=None, now=now)
    assert is_due()
    scheduling.change_time_off(off.pk, end_at=now + 2 * DAY, by=None, now=now)
    assert is_due()
    scheduling.remove_time_off(off.pk, by=None, now=now)
    assert is_due()
    add(schedule, now, user=charlie)
    assert handoffs.oldest_due(now) is not None


def test_who_is_busy_again_was_not_busy_in_between(charlie, now):
    scheduling.set_availability(charlie, status="busy", until_at=now + HOUR, now=now)
    scheduling.set_availability(charlie, status="busy", until_at=now + 4 * HOUR, now=now + 3 * HOUR)
    assert Availability.objects.get().since_at == now + 3 * HOUR
    assert lookup.unavailable([charlie.pk], at=now + 2 * HOUR) == {}
    scheduling.set_availability(charlie, status="busy", until_at=now + 5 * HOUR, now=now + 3.5 * HOUR)
    assert Availability.objects.get().since_at == now + 3 * HOUR
