"""The escalation engine: levels on time, once, until somebody answers."""

import datetime as dt
import threading

import pytest
from django.db import connection

from incidents import escalation, lifecycle
from incidents.models import Incident
from notifications.models import Alarm, Notification
from oncall import handoffs
from oncall.models import Override, Schedule, Target
from tests import factories

MINUTE = dt.timedelta(minutes=1)


@pytest.fixture
def incident(service, now):
    return lifecycle.trigger(service, title="Checkout is down", severity="critical", now=now)


def pages():
    """`[(level, name)]` of what was planned, in order; alarms to admins left out."""
    rows = Notification.objects.filter(topic__startswith="incident:").order_by("pk").select_related("user")
    return [(int(row.plan_key.split(":")[3][1:]), row.user.name) for row in rows]


def test_the_next_level_is_called_when_its_time_has_come_and_not_before(incident, now):
    assert escalation.advance_due(now=now + 5 * MINUTE - dt.timedelta(seconds=1)) == 0
    assert escalation.advance_due(now=now + 5 * MINUTE) == 1
    assert pages() == [(1, "Alice"), (2, "Bob")]
    incident.refresh_from_db()
    assert incident.next_escalation_at == now + 15 * MINUTE


def test_the_policy_repeats_as_often_as_it_says_and_then_says_loudly_that_nobody_answered(incident, now):
    policy = incident.policy
    at = now
    for _ in range(20):
        incident.refresh_from_db()
        if incident.next_escalation_at is None:
            break
        at = incident.next_escalation_at
        escalation.advance_due(now=at)
    rounds = policy["repeats"] + 1
    assert pages() == [(1, "Alice"), (2, "Bob")] * rounds
    assert incident.timeline.last().kind == "escalation_ended"
    assert Alarm.objects.filter(key=f"escalation:incident:{incident.pk}", cleared_at=None).exists()


def test_an_answer_stops_it_and_clears_the_alarm(incident, alice, now):
    lifecycle.acknowledge(incident.pk, by=alice, now=now + MINUTE)
    assert escalation.advance_due(now=now + 60 * MINUTE) == 0
    assert pages() == [(1, "Alice")]


def test_an_escalation_keeps_the_policy_it_started_with(incident, service, charlie, now):
    service.policy.levels.all().delete()
    service.policy.delete() if not service.policy.services.exists() else None
    escalation.advance_due(now=now + 5 * MINUTE)
    assert pages() == [(1, "Alice"), (2, "Bob")]


def test_people_are_looked_up_when_the_step_runs(team, alice, bob, charlie, now):
    schedule = factories.ScheduleFactory(team=team, people=[alice])
    policy = factories.EscalationPolicyFactory(team=team, calls=[schedule, schedule], is_team_default=True)
    service = factories.ServiceFactory(team=team, policy=None)
    incident = lifecycle.trigger(service, title="Down", severity="high", now=now)
    wait = policy.levels.first().delay_minutes * MINUTE
    Override.objects.create(schedule=schedule, user=charlie, start_at=now + wait, end_at=now + 2 * wait)
    escalation.advance_due(now=now + wait)
    assert pages() == [(1, "Alice"), (2, "Charlie")]
    assert any("override" in reason for reason in incident.timeline.last().data["reasons"])


def test_the_policy_of_the_service_wins_over_the_default_of_the_team(service, team, charlie, now):
    factories.EscalationPolicyFactory(team=team, calls=[charlie], is_team_default=True)
    lifecycle.trigger(service, title="Down", severity="high", now=now)
    assert pages() == [(1, "Alice")]
    lifecycle.trigger(factories.ServiceFactory(team=team, policy=None), title="Down", severity="high", now=now)
    assert pages()[-1] == (1, "Charlie")


def test_without_any_policy_the_admins_are_paged_and_the_timeline_says_why(team, alice, now):
    service = factories.ServiceFactory(team=team, policy=None)
    incident = lifecycle.trigger(service, title="Down", severity="critical", now=now)
    assert "no escalation policy" in incident.timeline.last().text
    alarm = Alarm.objects.get()
    assert Notification.objects.get(topic=f"alarm:{alarm.pk}").user == alice


def test_a_deactivated_person_is_passed_over_and_named(service, alice, now):
    alice.is_active = False
    alice.save()
    incident = lifecycle.trigger(service, title="Down", severity="critical", now=now)
    assert pages() == [(2, "Bob")]
    assert "Level 1: Alice is deactivated." in incident.timeline.last().data["reasons"]


def test_a_person_without_a_verified_address_is_passed_over_and_named(service, alice, now):
    alice.contact_methods.update(verified_at=None)
    incident = lifecycle.trigger(service, title="Down", severity="critical", now=now)
    assert pages() == [(2, "Bob")]
    assert any("no verified contact method" in reason for reason in incident.timeline.last().data["reasons"])


def test_a_person_who_is_meant_twice_is_paged_once(team, alice, now):
    schedule = factories.ScheduleFactory(team=team, people=[alice])
    policy = factories.EscalationPolicyFactory(team=team, calls=[alice])
    Target.objects.create(level=policy.levels.get(), schedule=schedule)
    lifecycle.trigger(factories.ServiceFactory(team=team, policy=policy), title="Down", severity="high", now=now)
    assert pages() == [(1, "Alice")]


def test_a_personal_rule_with_a_delay_is_planned_for_its_time(service, alice, now):
    second = factories.ContactMethodFactory(user=alice, address="alice@home.example")
    factories.NotificationRuleFactory(user=alice, contact_method=alice.contact_methods.first(), delay_minutes=0)
    factories.NotificationRuleFactory(user=alice, contact_method=second, delay_minutes=3)
    lifecycle.trigger(service, title="Down", severity="critical", now=now)
    due = dict(Notification.objects.values_list("address", "due_at"))
    assert due == {"a•••@example.com": now, "a•••@home.example": now + 3 * MINUTE}


@pytest.mark.logs_errors
def test_one_broken_escalation_stops_no_other(service, now):
    broken = lifecycle.trigger(service, title="Broken", severity="critical", now=now)
    sound = lifecycle.trigger(service, title="Sound", severity="high", now=now)
    Incident.objects.filter(pk=broken.pk).update(policy={"levels": "nonsense"})
    escalation.advance_due(now=now + 5 * MINUTE)
    sound.refresh_from_db()
    broken.refresh_from_db()
    assert sound.escalation_level == 2
    assert broken.next_escalation_at == now + 5 * MINUTE + escalation.TROUBLE_DELAY
    assert Alarm.objects.filter(key=f"escalation-failed:{broken.pk}").exists()


def test_a_hundred_steps_cost_a_constant_number_of_statements(service, now, django_assert_max_num_queries):
    service.correlation_window_seconds = 0
    service.save()
    new = [lifecycle.NewIncident(service, "high", f"Down {number}") for number in range(100)]
    lifecycle.trigger_many(new, now=now)
    with django_assert_max_num_queries(40):
        assert escalation.advance_due(now=now + 5 * MINUTE) == 100


@pytest.mark.django_db(transaction=True)
def test_ten_workers_advance_each_escalation_once(service, now):
    new = [lifecycle.NewIncident(service, "high", f"Down {number}") for number in range(60)]
    lifecycle.trigger_many(new, now=now)
    barrier, advanced = threading.Barrier(10), []

    def work():
        try:
            barrier.wait(timeout=10)
            for _ in range(20):
                advanced.append(escalation.advance_due(now=now + 5 * MINUTE, limit=7))
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert sum(advanced) == 60
    assert sorted(pages()) == [(1, "Alice")] * 60 + [(2, "Bob")] * 60


def test_an_alarm_that_nobody_can_be_reached_ends_when_somebody_is(service, alice, bob, now):
    alice.contact_methods.update(verified_at=None)
    bob.contact_methods.update(verified_at=None)
    incident = lifecycle.trigger(service, title="Down", severity="critical", now=now)
    alarm = Alarm.objects.get(key=f"escalation:incident:{incident.pk}")
    assert alarm.cleared_at is None
    alice.contact_methods.update(verified_at=now)
    incident.refresh_from_db()
    at = incident.next_escalation_at
    escalation.advance_due(now=at)
    assert pages() == [(1, "Alice")]
    alarm.refresh_from_db()
    assert alarm.cleared_at == at


def test_a_busy_person_is_skipped_visibly_and_the_next_level_called(service, alice, now):
    factories.AvailabilityFactory(user=alice, until_at=now + dt.timedelta(hours=2))
    incident = lifecycle.trigger(service, title="Checkout is down", severity="critical", now=now)
    assert pages() == [(2, "Bob")]
    entry = incident.timeline.filter(kind="paged").get()
    assert "Level 1: Alice is busy until 2026-06-01 14:00 UTC." in entry.data["reasons"]


def test_when_everybody_is_busy_somebody_is_paged_all_the_same(service, alice, bob, now):
    for person in (alice, bob):
        factories.AvailabilityFactory(user=person)
    incident = lifecycle.trigger(service, title="Checkout is down", severity="critical", now=now)
    assert {name for _, name in pages()} == {"Alice", "Bob"}
    entry = incident.timeline.filter(kind="paged").get()
    assert any("Paged all the same" in reason for reason in entry.data["reasons"])


def test_two_targets_that_resolve_to_one_person_page_them_once(team, alice, now):
    """Fault catalogue, part A."""
    schedule = factories.ScheduleFactory(team=team, people=[alice])
    policy = factories.EscalationPolicyFactory(team=team, calls=[schedule])
    factories.TargetFactory(level=policy.levels.get(), user=alice)
    service = factories.ServiceFactory(team=team, policy=policy)
    lifecycle.trigger(service, title="Checkout is down", severity="critical", now=now)
    assert pages() == [(1, "Alice")]


@pytest.fixture
def broken(team, alice):
    """A schedule whose zone the system does not know any more."""
    schedule = factories.ScheduleFactory(name="Nights", team=team, people=[alice])
    Schedule.objects.filter(pk=schedule.pk).update(time_zone="US/Pacific-New")
    return schedule


def service_that_calls(team, *calls):
    return factories.ServiceFactory(team=team, policy=factories.EscalationPolicyFactory(team=team, calls=calls))


def test_a_broken_schedule_counts_as_nobody_and_says_so_loudly(team, broken, bob, now):
    service = service_that_calls(team, broken, bob)
    incident = lifecycle.trigger(service, title="Checkout is down", severity="critical", now=now)
    assert pages() == [(2, "Bob")]
    reasons = incident.timeline.get(kind="paged").data["reasons"]
    assert reasons[0].startswith("Level 1: the schedule Nights cannot be worked out (ZoneInfoNotFoundError:")
    assert "US/Pacific-New" in reasons[0]
    alarm = Alarm.objects.get(key=f"schedule-broken:{broken.pk}", cleared_at=None)
    assert alarm.text.startswith("The schedule Nights cannot be worked out (")


def test_a_broken_schedule_stops_no_other_escalation(team, broken, alice, bob, now):
    working = factories.ScheduleFactory(team=team, people=[bob])
    new = [
        lifecycle.NewIncident(service_that_calls(team, schedule, alice), "critical", "Down")
        for schedule in (broken, working)
    ]
    first, second = lifecycle.trigger_many(new, now=now)
    assert pages() == [(2, "Alice"), (1, "Bob")]
    # The first policy has repeats left, the second has Alice.
    assert escalation.advance_due(now=now + 30 * MINUTE) == 2
    assert Alarm.objects.get(key=f"schedule-broken:{broken.pk}").count == 2
    assert not Alarm.objects.filter(key__startswith="escalation-failed").exists()


def test_where_only_a_broken_schedule_is_called_the_admins_are_paged(team, broken, alice, now):
    lifecycle.trigger(service_that_calls(team, broken), title="Down", severity="critical", now=now)
    assert pages() == []
    keys = Alarm.objects.filter(cleared_at=None).values_list("key", flat=True)
    assert {key.split(":")[0] for key in keys} == {"schedule-broken", "escalation"}
    assert Notification.objects.filter(topic__startswith="alarm:", user=alice).exists()


def test_the_alarm_about_a_broken_schedule_ends_when_it_can_be_worked_out_again(team, broken, bob, now):
    lifecycle.trigger(service_that_calls(team, broken, bob), title="Down", severity="critical", now=now)
    alarm = Alarm.objects.get(key=f"schedule-broken:{broken.pk}")
    Schedule.objects.filter(pk=broken.pk).update(time_zone="America/Los_Angeles", handoffs_due_at=now)
    handoffs.tell_due(now=now)
    alarm.refresh_from_db()
    assert alarm.cleared_at == now


def test_a_target_with_a_role_that_is_never_called_is_passed_over_and_named(team, bob, now):
    schedule = factories.ScheduleFactory(name="Shop on call", team=team, people=[bob])
    service = service_that_calls(team, schedule, bob)
    Target.objects.filter(schedule=schedule).update(role="SHADOW")
    incident = lifecycle.trigger(service, title="Down", severity="critical", now=now)
    assert pages() == [(2, "Bob")]
    reason = "Level 1: nobody is ever called as shadow, as Shop on call (shadow) wants."
    assert reason in incident.timeline.get(kind="paged").data["reasons"]
