"""Who is on call, from the rows."""

import datetime as dt

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from oncall import chain, lookup
from tests import factories

HOUR, DAY, WEEK = dt.timedelta(hours=1), dt.timedelta(days=1), dt.timedelta(weeks=1)
# The week of NOW is turn 21 of the factory's layer: the second of two people.
MONDAY = dt.datetime(2026, 6, 1, 9, tzinfo=dt.UTC)


@pytest.fixture
def schedule(team, alice, bob):
    return factories.ScheduleFactory(name="Shop on call", slug="shop-on-call", team=team, people=[alice, bob])


def test_the_answer_says_who_and_why_and_until(schedule, bob, now):
    (answer,) = lookup.who(schedule, at=now)
    assert (answer.user_id, answer.role, answer.via) == (bob.pk, "PRIMARY", "layer")
    assert answer.why == "Shop on call, Layer 1"
    assert answer.until == MONDAY + WEEK


def test_a_team_means_all_its_schedules_and_roles(schedule, team, alice, bob, charlie, now):
    second = factories.ScheduleFactory(name="Zebra", team=team)
    factories.LayerFactory(schedule=second, people=[charlie], role="SECONDARY")
    found = lookup.who(team, at=now)
    assert [(one.schedule_id, one.role, one.user_id) for one in found] == [
        (schedule.pk, "PRIMARY", bob.pk),
        (second.pk, "SECONDARY", charlie.pk),
    ]


def test_nothing_else_can_be_asked_for(db, now):
    with pytest.raises(TypeError):
        lookup.who("shop", at=now)


def test_overrides_fixed_shifts_and_time_off_are_found_at_their_exact_boundaries(schedule, alice, bob, charlie, now):
    factories.OverrideFactory(schedule=schedule, user=charlie)
    half = dt.timedelta(minutes=30)
    assert [one.user_id for one in lookup.who(schedule, at=now - half)] == [charlie.pk]
    assert [one.user_id for one in lookup.who(schedule, at=now + half)] == [bob.pk]
    factories.FixedShiftFactory(schedule=schedule, user=alice, start_at=now + HOUR, end_at=now + 2 * HOUR)
    (answer,) = lookup.who(schedule, at=now + HOUR)
    assert (answer.user_id, answer.via) == (alice.pk, "fixed shift")
    factories.TimeOffFactory(user=bob, start_at=now + 3 * HOUR, end_at=now + 4 * HOUR)
    (answer,) = lookup.who(schedule, at=now + 3 * HOUR)
    assert (answer.user_id, answer.is_off) == (bob.pk, True)
    schedule.skips_time_off = True
    schedule.save()
    (answer,) = lookup.who(schedule, at=now + 3 * HOUR)
    assert (answer.user_id, answer.is_off, answer.instead_of) == (alice.pk, False, bob.pk)


def test_the_rows_and_the_loaded_values_mean_the_same_layer(schedule, alice, charlie):
    layer = factories.LayerFactory(
        schedule=schedule,
        name="Nights, “odd”; names",
        position=2,
        role="SECONDARY",
        unit="rrule",
        rule="FREQ=WEEKLY;BYDAY=MO,TH",
        time_zone="Asia/Kolkata",
        first_slot=1,
        starts_at=MONDAY + dt.timedelta(microseconds=5),
        ends_at=MONDAY + WEEK,
        handoff_time=dt.time(8, 30),
    )
    factories.ParticipantFactory(layer=layer, user=alice, position=3)
    factories.ParticipantFactory(layer=layer, user=charlie, position=3)
    factories.ParticipantFactory(layer=layer, user=None, position=4)
    factories.ParticipantFactory(layer=layer, user=charlie, position=7)
    factories.RestrictionFactory(layer=layer)
    factories.RestrictionFactory(layer=layer, days=[4], start_time=dt.time(17), end_time=dt.time(9), until_day=0)
    spec = lookup.specs([schedule.pk], start=MONDAY, end=MONDAY)[schedule.pk]
    assert spec.layers[1] == lookup.layer_spec(layer, schedule)
    assert spec.layers[1].slots == ((alice.pk, charlie.pk), (), (charlie.pk,))
    assert spec.layers[0] == lookup.layer_spec(schedule.layers.get(position=1), schedule)


def test_layers_that_ended_are_not_even_loaded(schedule, alice, now):
    factories.LayerFactory(schedule=schedule, position=2, people=[alice], ends_at=now)
    assert len(lookup.specs([schedule.pk], start=now, end=now)[schedule.pk].layers) == 1
    assert len(lookup.specs([schedule.pk], start=now - HOUR, end=now)[schedule.pk].layers) == 2


def test_many_schedules_cost_as_many_queries_as_one(schedule, team, alice, now):
    more = [factories.ScheduleFactory(team=team, people=[alice]) for _ in range(4)]
    with CaptureQueriesContext(connection) as one:
        lookup.answers([schedule.pk], at=now)
    with CaptureQueriesContext(connection) as many:
        lookup.answers([schedule.pk, *(each.pk for each in more)], at=now)
    assert len(one) == len(many) == 2


def test_the_final_schedule_changes_hands_where_the_layers_do(schedule, alice, bob):
    spans = lookup.final(schedule, start=MONDAY, end=MONDAY + 2 * WEEK)
    found = [(one.start_at, [person.user_id for person in one.people]) for one in spans]
    assert found == [(MONDAY, [bob.pk]), (MONDAY + WEEK, [alice.pk])]


def test_the_next_and_the_previous_shift_of_a_person(schedule, bob, alice, charlie, now):
    pk, shift = lookup.next_shift(bob.pk, after=now)
    assert (pk, shift.start_at) == (schedule.pk, MONDAY + 2 * WEEK)
    pk, shift = lookup.previous_shift(bob.pk, before=now)
    assert (shift.start_at, shift.end_at) == (MONDAY - 2 * WEEK, MONDAY - WEEK)
    # One that runs is neither.
    assert lookup.previous_shift(alice.pk, before=now)[1].end_at == MONDAY
    assert lookup.next_shift(charlie.pk, after=now) is None
    assert lookup.previous_shift(charlie.pk, before=now) is None


def test_a_person_is_unavailable_as_long_as_they_said(bob, charlie, now):
    factories.AvailabilityFactory(user=bob, status="away", until_at=now + HOUR, note="dentist")
    factories.AvailabilityFactory(user=charlie, status="available")
    away = lookup.unavailable([bob.pk, charlie.pk], at=now)
    assert away == {bob.pk: "Bob is away until 2026-06-01 13:00 UTC (dentist)"}
    assert lookup.unavailable([bob.pk], at=now + HOUR) == {}
    assert lookup.unavailable([bob.pk], at=now - 2 * HOUR) == {}


# --- whom a policy's targets mean -----------------------------------------------------------------------------
def called(policy, at):
    """What the first target of the policy means."""
    copy = chain.copies([policy.pk])[policy.pk]
    return chain.resolve([copy], at=at)(copy["levels"][0]["targets"][0])


def test_a_schedule_means_its_primary(schedule, team, bob, alice, now):
    factories.LayerFactory(schedule=schedule, people=[alice], role="SECONDARY", position=2)
    policy = factories.EscalationPolicyFactory(team=team, calls=[schedule])
    (one,) = called(policy, now)
    assert (one.user_id, one.problem) == (bob.pk, "")
    assert one.why == "on call: Shop on call, Layer 1"


def test_a_target_may_name_the_secondary(schedule, team, alice, now):
    factories.LayerFactory(schedule=schedule, people=[alice], role="SECONDARY", position=2)
    policy = factories.EscalationPolicyFactory(team=team, calls=[schedule])
    policy.levels.get().targets.update(role="SECONDARY")
    (one,) = called(policy, now)
    assert (one.user_id, one.role) == (alice.pk, "SECONDARY")
    assert str(policy.levels.get().targets.get()) == "Shop on call (secondary)"


def test_whoever_is_busy_is_passed_over_for_the_next_role_and_that_is_said(schedule, team, alice, bob, now):
    factories.LayerFactory(schedule=schedule, people=[alice], role="SECONDARY", position=2)
    factories.AvailabilityFactory(user=bob)
    policy = factories.EscalationPolicyFactory(team=team, calls=[schedule])
    first, second = called(policy, now)
    assert (first.user_id, first.problem, first.is_spare) == (bob.pk, "Bob is busy", True)
    assert (second.user_id, second.problem) == (alice.pk, "")


def test_a_shadow_is_never_called(team, alice, now):
    schedule = factories.ScheduleFactory(name="Nights", team=team)
    factories.LayerFactory(schedule=schedule, people=[alice], role="SHADOW")
    policy = factories.EscalationPolicyFactory(team=team, calls=[schedule])
    (one,) = called(policy, now)
    assert (one.user_id, one.problem) == (None, "nobody is on call in Nights")


def test_a_policy_copied_before_roles_existed_means_the_primary(schedule, bob, now):
    target = {"kind": "schedule", "id": schedule.pk, "name": "Shop on call"}
    copy = {"levels": [{"number": 1, "delay_minutes": 5, "targets": [target]}]}
    (one,) = chain.resolve([copy], at=now)(target)
    assert one.user_id == bob.pk


def test_a_primary_who_cannot_be_reached_leads_to_the_secondary(schedule, team, alice, bob, now):
    factories.LayerFactory(schedule=schedule, people=[alice], role="SECONDARY", position=2)
    bob.contact_methods.all().delete()
    policy = factories.EscalationPolicyFactory(team=team, calls=[schedule])
    first, second = called(policy, now)
    assert (first.problem, first.is_spare) == ("Bob has no verified contact method", False)
    assert (second.user_id, second.problem) == (alice.pk, "")
    bob.is_active = False
    bob.save()
    assert called(policy, now)[0].problem == "Bob is deactivated"
