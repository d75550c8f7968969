"""Coverage of real schedules, teams and policies, in a constant number of queries."""

import datetime as dt
import random

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from incidents import escalation, steps
from oncall import chain, reports
from oncall.models import Availability, Duty, Target
from tests import factories

HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)


@pytest.fixture
def schedule(team, alice, bob):
    return factories.ScheduleFactory(name="Shop on call", slug="shop", team=team, people=[alice, bob])


def kinds(report):
    return [one.kind for one in report.problems]


def test_a_schedule_that_is_always_held_by_people_who_can_be_reached_has_no_problems(schedule, alice, bob, now):
    report = reports.of_schedules([schedule.pk], start=now, end=now + 28 * DAY, now=now)
    assert report.problems == () and (report.start, report.end) == (now, now + 28 * DAY)
    assert {one.user_id: one.hours for one in report.loads} == {alice.pk: 336, bob.pk: 336}


def test_the_horizon_is_four_weeks_when_no_end_is_given(schedule, now):
    assert reports.of_schedules([schedule.pk], start=now, now=now).end == now + reports.HORIZON


def test_a_schedule_without_layers_is_one_long_gap(team, now):
    factories.ScheduleFactory(team=team, name="Empty")
    report = reports.of_team(team, start=now, now=now)
    (gap,) = report.problems
    assert (gap.kind, gap.start_at, gap.end_at) == ("gap", now, now + reports.HORIZON)


def test_people_without_a_verified_method_and_deactivated_ones_are_named(schedule, alice, bob, now):
    alice.contact_methods.update(disabled_reason="The mailbox is gone.")
    bob.is_active = False
    bob.save()
    report = reports.of_team(schedule.team, start=now, now=now)
    assert sorted(kinds(report)) == ["deactivated", "unreachable"]


def test_time_off_is_to_be_covered_until_an_override_covers_it(schedule, alice, bob, charlie, now):
    on_call = reports.of_schedules([schedule.pk], start=now, end=now + HOUR, now=now).loads[0].user_id
    person = alice if on_call == alice.pk else bob
    factories.TimeOffFactory(user=person, start_at=now + HOUR, end_at=now + 3 * HOUR)
    (one,) = reports.of_schedules([schedule.pk], start=now, now=now).problems
    assert (one.kind, one.user_id, one.start_at, one.end_at) == ("time off", person.pk, now + HOUR, now + 3 * HOUR)
    factories.OverrideFactory(schedule=schedule, user=charlie, start_at=now + HOUR, end_at=now + 3 * HOUR)
    assert reports.of_schedules([schedule.pk], start=now, now=now).problems == ()


def test_a_double_booking_with_the_schedule_of_another_team_is_found(schedule, bob, now):
    other = factories.ScheduleFactory(name="Infra")
    factories.FixedShiftFactory(schedule=other, user=bob, start_at=now, end_at=now + 10 * DAY)
    (one,) = reports.of_schedules([schedule.pk], start=now, now=now).problems
    assert one.kind == "double booking" and one.user_id == bob.pk and one.schedule_id == schedule.pk
    assert "in Shop on call and in Infra at once" in one.text


def test_a_schedule_with_layers_for_some_hours_has_gaps_in_the_others(team, alice, now):
    schedule = factories.ScheduleFactory(team=team)
    layer = factories.LayerFactory(schedule=schedule, people=[alice])
    factories.RestrictionFactory(layer=layer)
    report = reports.of_schedules([schedule.pk], start=now, end=now + 7 * DAY, now=now)
    assert [(one.kind, (one.end_at - one.start_at) / HOUR) for one in report.problems] == [
        *[("gap", 16)] * 4,
        ("gap", 64),
    ]


def test_a_broken_schedule_of_others_and_an_unknown_zone_of_a_person_spoil_no_report(schedule, alice, now):
    broken = factories.ScheduleFactory()
    factories.LayerFactory(schedule=broken, people=[alice], time_zone="Nowhere/Land")
    alice.time_zone = "Nowhere/Land"
    alice.save()
    report = reports.of_schedules([schedule.pk], start=now, now=now)
    assert report.problems == () and len(report.loads) == 2


def test_holidays_count_for_their_team_or_for_everybody(schedule, now):
    factories.HolidayFactory(day=now.date() + DAY)
    factories.HolidayFactory(day=now.date() + DAY, team=schedule.team)
    factories.HolidayFactory(day=now.date() + 2 * DAY, team=schedule.team)
    factories.HolidayFactory(day=now.date() + 3 * DAY, team=factories.TeamFactory())
    report = reports.of_schedules([schedule.pk], start=now, end=now + 7 * DAY, now=now)
    assert sum(one.holiday_hours for one in report.loads) == 48


def test_the_number_of_queries_does_not_grow_with_schedules_and_policies(db, now):
    def filled(number):
        people = [factories.ContactMethodFactory().user for _ in range(3)]
        schedules = [factories.ScheduleFactory(people=people) for _ in range(number)]
        for one in schedules:
            factories.OverrideFactory(schedule=one, user=people[0])
        return [one.pk for one in schedules], [factories.EscalationPolicyFactory(calls=[one]).pk for one in schedules]

    counts = []
    for number in (1, 5):
        ids, policy_ids = filled(number)
        with CaptureQueriesContext(connection) as queries:
            reports.of_schedules(ids, start=now, now=now)
            assert len(reports.proof(policy_ids, start=now, now=now)) == number
        counts.append(len(queries))
    assert counts[0] == counts[1]


# --- the proof ------------------------------------------------------------------------------------------------
def test_the_proof_names_each_time_at_which_nobody_would_be_paged(team, alice, bob, now):
    schedule = factories.ScheduleFactory(name="Shop on call", team=team)
    factories.FixedShiftFactory(schedule=schedule, user=alice, start_at=now, end_at=now + 5 * HOUR)
    bob.contact_methods.all().delete()
    policy = factories.EscalationPolicyFactory(name="Shop", team=team, calls=[schedule, bob])
    (proof,) = reports.proof([policy.pk], start=now - DAY, end=now + DAY, now=now)
    (one,) = proof.counter_examples
    assert (one.start_at, one.end_at) == (now + 5 * HOUR, now + DAY)
    assert one.reasons == (
        "Level 1: nobody is on call in Shop on call.",
        "Level 2: Bob has no verified contact method.",
    )


def test_who_is_busy_counts_since_they_are_paged_when_nobody_else_can_be(schedule, alice, bob, now):
    for person in (alice, bob):
        factories.AvailabilityFactory(user=person, status=Availability.Status.BUSY)
    policy = factories.EscalationPolicyFactory(calls=[schedule])
    (proof,) = reports.proof([policy.pk], start=now, now=now)
    assert proof.is_covered


@pytest.mark.parametrize("seed", range(12))
def test_the_proof_agrees_with_whom_the_engine_would_page(team, now, seed):
    chance = random.Random(seed)
    people = [factories.UserFactory(is_active=chance.random() < 0.8) for _ in range(5)]
    for person in people:
        if chance.random() < 0.5:
            factories.ContactMethodFactory(user=person)
    schedules = [factories.ScheduleFactory(team=team) for _ in range(2)]
    for one in schedules:
        for _ in range(chance.randint(1, 5)):
            start = now + chance.randint(-10, 20) * HOUR
            factories.FixedShiftFactory(
                schedule=one,
                user=chance.choice(people),
                role=chance.choice(Duty.values),
                start_at=start,
                end_at=start + chance.randint(1, 9) * HOUR,
                calendar=factories.CalendarImportFactory(schedule=one),
            )
    calls = chance.choices([*schedules, *people], k=chance.randint(0, 3))
    fallback = chance.choice([None, *people])
    policy = factories.EscalationPolicyFactory(
        team=team,
        calls=calls,
        nobody_action="fallback" if fallback else chance.choice(["next_level", "alarm"]),
        fallback_user=fallback,
    )
    (proof,) = reports.proof([policy.pk], start=now, end=now + DAY, now=now)
    copy = chain.copies([policy.pk])[policy.pk]
    for at in (now + number * HOUR / 2 for number in range(48)):
        callers = escalation.Callers([copy], now=at)
        is_paged, round_, level = False, 0, 0
        while not is_paged:
            step = steps.next_step(
                copy,
                round=round_,
                level=level,
                candidates=callers.candidates,
                fallback=lambda callers=callers: callers.fallback(copy),
            )
            is_paged = bool(step.pages)
            if step.is_over or step.wait_minutes is None:
                break
            round_, level = step.round, step.level
        failing = any(one.start_at <= at < one.end_at for one in proof.counter_examples)
        assert is_paged == (not failing), (at, proof)


def test_a_span_that_is_over_has_no_counter_examples(team, now):
    policy = factories.EscalationPolicyFactory(team=team, calls=[])
    (found,) = reports.proof([policy.pk], start=now - 3 * DAY, end=now - 2 * DAY, now=now)
    assert (found.is_covered, found.counter_examples) == (True, ())


def test_a_broken_schedule_reaches_nobody_and_hides_no_other_target(team, alice, bob, now):
    broken = factories.ScheduleFactory(name="Broken", team=team, people=[alice], time_zone="Nowhere/Land")
    both = factories.EscalationPolicyFactory(team=team, calls=[broken, bob])
    alone = factories.EscalationPolicyFactory(team=team, calls=[broken])
    covered, open_one = reports.proof([both.pk, alone.pk], start=now, end=now + DAY, now=now)
    assert covered.is_covered
    (found,) = open_one.counter_examples
    assert found.reasons == ("Level 1: the schedule Broken cannot be worked out.",)


def test_a_target_that_wants_a_shadow_reaches_nobody(team, alice, now):
    schedule = factories.ScheduleFactory(name="Shop", team=team, people=[alice])
    policy = factories.EscalationPolicyFactory(team=team, calls=[schedule])
    Target.objects.update(role=Duty.SHADOW)
    (proof,) = reports.proof([policy.pk], start=now, end=now + DAY, now=now)
    assert proof.counter_examples[0].reasons == ("Level 1: nobody is ever called as shadow, as Shop (shadow) wants.",)
