"""The daily look at a team's coverage: loud when something is wrong, silent when all is fine."""

import datetime as dt

import pytest

from accounts.models import Membership, Role
from notifications.models import Alarm, Notification
from oncall import inspection
from oncall.models import CoverageCheck, Schedule
from tests import factories

HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)


@pytest.fixture
def schedule(team, alice, bob):
    """Always held by people who can be reached."""
    return factories.ScheduleFactory(name="Shop on call", slug="shop-on-call", team=team, people=[alice, bob])


@pytest.fixture
def policy(schedule):
    return factories.EscalationPolicyFactory(name="Shop", team=schedule.team, calls=[schedule])


def inspect(team, at):
    CoverageCheck.objects.update_or_create(team=team, defaults={"due_at": at})
    inspection.run(now=at)
    return CoverageCheck.objects.get(team=team)


def notices():
    rows = Notification.objects.filter(topic__startswith="coverage:").order_by("pk").select_related("user")
    return [(one.user.name, one.message) for one in rows]


def test_it_is_silent_when_all_is_fine(team, policy, now):
    check = inspect(team, now)
    assert (check.problems, check.checked_at) == ([], now)
    assert not Notification.objects.exists() and not Alarm.objects.exists()


def test_a_team_with_schedules_gets_a_check_for_the_next_morning_where_its_schedule_is(team, schedule, now):
    Schedule.objects.update(time_zone="America/New_York")
    factories.TeamFactory()  # without schedules, so there is nothing to look at
    assert inspection.oldest_due(now) == now
    inspection.run(now=now)
    (check,) = CoverageCheck.objects.all()
    # 12:00 UTC is 08:00 in New York, which is now, so it is tomorrow.
    assert (check.team, check.due_at, check.checked_at) == (team, now + DAY, None)
    assert inspection.oldest_due(now + DAY - HOUR) is None
    assert inspection.oldest_due(now + DAY) == now + DAY


def test_an_unknown_zone_of_a_schedule_does_not_keep_the_others_from_being_looked_at(team, schedule, policy, now):
    factories.ScheduleFactory(time_zone="Nowhere/Land")
    assert inspect(team, now).checked_at == now
    assert CoverageCheck.objects.count() == 2


def test_the_next_look_is_at_eight_across_a_clock_change(team, schedule):
    Schedule.objects.update(time_zone="Europe/Berlin")
    check = inspect(team, dt.datetime(2026, 10, 24, 6, tzinfo=dt.UTC))
    assert check.due_at == dt.datetime(2026, 10, 25, 7, tzinfo=dt.UTC)


def test_what_is_wrong_is_told_to_the_teams_admins_in_one_message(team, policy, alice, bob, charlie, now):
    factories.TimeOffFactory(user=alice, start_at=now + DAY, end_at=now + 12 * DAY)
    check = inspect(team, now)
    ((name, message),) = notices()
    assert name == "Alice" and message["urgency"] == "low"
    assert message["title"] == "Coverage of Shop: a problem in the next 14 days"
    assert message["body"].startswith("- Alice has time off but is on call in Shop on call from")
    assert message["url"].endswith("/schedules/shop-on-call")
    (problem,) = check.problems
    assert problem["kind"] == "time off" and problem["user_id"] == alice.pk
    assert problem["text"] in message["body"]


def test_looking_twice_on_a_day_tells_once(team, policy, alice, now):
    factories.TimeOffFactory(user=alice, start_at=now + DAY, end_at=now + 12 * DAY)
    inspect(team, now)
    inspect(team, now + HOUR)
    assert len(notices()) == 1
    inspect(team, now + DAY)
    assert len(notices()) == 2


def test_a_gap_counts_only_where_a_policy_calls_the_schedule(team, schedule, now):
    empty = factories.ScheduleFactory(name="Empty", team=team)
    assert inspect(team, now).problems == []
    # A policy of another team, which is that team's to prove.
    factories.EscalationPolicyFactory(calls=[empty])
    (gap,) = inspect(team, now).problems
    assert (gap["kind"], gap["schedule_id"]) == ("gap", empty.pk)


def test_a_team_without_admins_is_told_as_a_whole_and_one_without_members_through_the_platforms_admins(
    team, schedule, alice, bob, charlie, now
):
    bob.contact_methods.update(verified_at=None)
    factories.MembershipFactory(team=team, user=charlie)
    Membership.objects.update(role=Role.RESPONDER)
    inspect(team, now)
    assert sorted(name for name, _ in notices()) == ["Alice", "Charlie"]  # and Bob cannot be told
    Notification.objects.all().delete()
    Membership.objects.all().delete()
    inspect(team, now)
    assert [name for name, _ in notices()] == ["Alice"]


def test_of_many_problems_the_first_twenty_are_listed(team, alice, now):
    schedule = factories.ScheduleFactory(team=team)
    factories.EscalationPolicyFactory(calls=[schedule], team=team)
    for number in range(24):
        start = now + number * 6 * HOUR
        factories.FixedShiftFactory(schedule=schedule, user=alice, start_at=start, end_at=start + 3 * HOUR)
    check = inspect(team, now)
    ((_, message),) = notices()
    assert len(check.problems) == 48
    assert message["title"] == "Coverage of Shop: 48 problems in the next 14 days"
    assert len(message["body"].splitlines()) == 21 and message["body"].endswith("and 28 more.")
    assert message["url"].endswith("/coverage")
    assert {one["kind"] for one in check.problems[:24]} == {"uncovered"}  # what is worst comes first


def test_a_policy_that_reaches_nobody_within_a_day_is_an_alarm_until_it_does(team, policy, schedule, alice, bob, now):
    for person in (alice, bob):
        person.contact_methods.update(disabled_reason="The mailbox is gone.")
    check = inspect(team, now)
    alarm = Alarm.objects.get(key=f"coverage:{team.pk}")
    assert alarm.cleared_at is None
    assert "Shop reaches nobody from Mon 1 June, 12:00 until" in alarm.text
    assert "Level 1: Bob has no verified contact method." in alarm.text
    assert [one["kind"] for one in check.problems].count("unreachable") == 2

    for person in (alice, bob):
        person.contact_methods.update(disabled_reason="")
    assert inspect(team, now + DAY).problems == []
    alarm.refresh_from_db()
    assert alarm.cleared_at == now + DAY


def test_a_policy_that_reaches_nobody_next_week_is_a_problem_and_no_alarm_yet(team, alice, now):
    schedule = factories.ScheduleFactory(team=team)
    factories.EscalationPolicyFactory(name="Shop", calls=[schedule], team=team)
    factories.FixedShiftFactory(schedule=schedule, user=alice, start_at=now, end_at=now + 7 * DAY)
    check = inspect(team, now)
    assert [one["kind"] for one in check.problems] == ["uncovered", "gap"]
    assert not Alarm.objects.exists()


def test_one_broken_team_stops_no_other_and_the_admins_are_told(team, schedule, policy, alice, now):
    other = factories.TeamFactory(name="Broken")
    broken = factories.ScheduleFactory(team=other)
    factories.LayerFactory(schedule=broken, people=[alice], time_zone="Nowhere/Land")
    CoverageCheck.objects.create(team=other, due_at=now - HOUR)
    assert inspect(team, now).checked_at == now
    assert CoverageCheck.objects.get(team=other).due_at == now + inspection.TROUBLE_DELAY
    assert Alarm.objects.filter(key=f"coverage-failed:{other.pk}", cleared_at=None).exists()


def test_a_team_whose_schedules_are_gone_is_looked_at_in_peace(team, now):
    check = inspect(team, now)
    assert check.problems == [] and check.due_at == dt.datetime(2026, 6, 2, 8, tzinfo=dt.UTC)


def test_a_team_without_schedules_is_looked_at_when_it_has_a_policy(team, bob, now):
    factories.EscalationPolicyFactory(team=team, calls=[bob])
    bob.is_active = False
    bob.save()
    inspection.run(now=now)
    inspection.run(now=now + DAY)
    (problem,) = CoverageCheck.objects.get(team=team).problems
    assert problem["kind"] == inspection.UNCOVERED and "Bob is deactivated" in problem["text"]
