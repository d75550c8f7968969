"""Whoever should write, act or review is reminded, quietly, and once."""

import datetime as dt

import pytest

from accounts.models import Role
from core.errors import DomainError, IllegalMove
from incidents import lifecycle, merging
from notifications.models import Notification
from postmortems import drafting, reminders, tasks
from postmortems.models import ActionItem, Wanted
from tests import factories

HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)


def told(topic="postmortem"):
    rows = Notification.objects.filter(topic__startswith=topic, kind="notice").order_by("id")
    return [(str(row.user), row.message["title"]) for row in rows]


@pytest.fixture
def ended(service, bob, now):
    """A function: an incident of this severity that Bob had and that is over."""

    def end(severity="critical"):
        one = lifecycle.trigger(service, title="Checkout is down", severity=severity, by=None, now=now - HOUR)
        lifecycle.acknowledge(one.pk, by=bob, now=now - HOUR / 2)
        return lifecycle.resolve(one.pk, by=bob, now=now)

    return end


# --- incidents ------------------------------------------------------------------------------------------------------
def test_after_two_days_without_a_postmortem_its_last_assignee_and_the_leads_are_reminded_once(ended, alice, now):
    one = ended()
    due_at = now + 48 * HOUR
    assert reminders.remind(due_at - HOUR) == 0 and reminders.oldest_due(due_at - HOUR) is None
    assert reminders.oldest_due(due_at) == due_at
    assert reminders.remind(due_at) == 1
    assert told("postmortem-wanted") == [
        ("Alice", f"No postmortem yet: #{one.pk} Checkout is down"),
        ("Bob", f"No postmortem yet: #{one.pk} Checkout is down"),
    ]
    message = Notification.objects.filter(topic=f"postmortem-wanted:{one.pk}").first()
    assert message.urgency == "low" and message.message["url"].endswith(f"/postmortems/new?incident={one.pk}")
    assert reminders.remind(due_at + 30 * DAY) == 0 and len(told("postmortem-wanted")) == 2
    assert Wanted.objects.get().reminded_at == due_at


@pytest.mark.parametrize(("severity", "is_wanted"), [("critical", True), ("high", True), ("medium", False)])
def test_only_incidents_of_p1_and_p2_want_one(severity, is_wanted, ended):
    ended(severity)
    assert Wanted.objects.exists() is is_wanted


def test_without_hours_nobody_is_reminded_and_it_stays_on_the_list(ended, settings, now):
    settings.POSTMORTEM_REMINDER_HOURS = 0
    ended()
    assert Wanted.objects.get().due_at is None
    assert reminders.remind(now + 30 * DAY) == 0


def test_a_postmortem_that_was_begun_in_time_spares_the_reminder(ended, bob, now):
    drafting.start([ended().pk], by=bob, now=now)
    assert reminders.remind(now + 3 * DAY) == 0 and told("postmortem-wanted") == []


def test_a_merged_incident_wants_none_until_it_is_taken_out_and_is_over(service, bob, now):
    target = lifecycle.trigger(service, title="Payments fail", severity="critical", by=bob, now=now)
    source = lifecycle.trigger(service, title="Again", severity="critical", by=bob, now=now)
    merging.merge(source.pk, into=target.pk, by=bob, now=now)
    lifecycle.resolve(target.pk, by=bob, now=now)
    assert [row.incident for row in Wanted.objects.all()] == [target]
    merging.unmerge(source.pk, by=bob, now=now)  # it stays over, as the other one is
    assert Wanted.objects.filter(incident=source).exists()


def test_the_priority_decides_also_when_it_changes_afterwards(ended, bob, now):
    one = ended()
    lifecycle.edit(one.pk, priority="P4", by=bob, now=now)
    assert not Wanted.objects.exists()
    lifecycle.edit(one.pk, priority="P2", by=bob, now=now)
    assert Wanted.objects.get().incident == one


def test_declining_takes_a_reason_ends_the_reminder_and_can_be_taken_back(ended, bob, now):
    one = ended()
    for reason in (" ", "x" * 301):
        with pytest.raises(DomainError):
            reminders.decline(one.pk, reason=reason, by=bob, now=now)
    row = reminders.decline(one.pk, reason=" A drill. ", by=bob, now=now)
    assert (row.decline_reason, row.declined_by, row.due_at) == ("A drill.", bob, None)
    assert one.timeline.filter(kind="postmortem").get().text == "Bob said that it needs no postmortem: A drill."
    lifecycle.edit(one.pk, priority="P2", by=bob, now=now)
    assert reminders.remind(now + 3 * DAY) == 0
    row = reminders.want(one.pk, by=bob, now=now + DAY)
    assert (row.declined_at, row.decline_reason, row.due_at) == (None, "", now + 3 * DAY)
    drafting.start([one.pk], by=bob, now=now)
    with pytest.raises(IllegalMove, match="has a postmortem"):
        reminders.decline(one.pk, reason="No.", by=bob, now=now)


def test_what_nobody_wants_cannot_be_declined_and_can_be_wanted(ended, service, bob, now):
    one = ended("low")
    with pytest.raises(IllegalMove, match="Nobody expects"):
        reminders.decline(one.pk, reason="No.", by=bob, now=now)
    assert reminders.want(one.pk, by=bob, now=now).due_at == now + 2 * DAY
    lifecycle.edit(one.pk, title="Renamed", by=bob, now=now)
    assert Wanted.objects.filter(incident=one).exists()
    with pytest.raises(IllegalMove, match="still open"):
        reminders.want(factories.IncidentFactory(service=service).pk, by=bob, now=now)


def test_of_a_private_team_only_those_who_see_the_incident_are_reminded(ended, team, charlie, alice, now):
    one = ended()
    team.is_private = True
    team.save()
    type(one).objects.filter(pk=one.pk).update(assignee=None)
    factories.MembershipFactory(team=team, user=factories.UserFactory(name="Gone", is_active=False), role=Role.ADMIN)
    reminders.remind(now + 3 * DAY)
    assert [name for name, _ in told("postmortem-wanted")] == ["Alice"]


# --- action items ---------------------------------------------------------------------------------------------------
@pytest.fixture
def item(team, bob, now):
    """Bob's, of a published postmortem, due on the 15th of June; the first reminder is a week before, at 9 o'clock."""
    return factories.ActionItemFactory(
        postmortem__team=team,
        postmortem__status="published",
        owner=bob,
        due_on=dt.date(2026, 6, 15),
        due_at=dt.datetime(2026, 6, 8, 9, tzinfo=dt.UTC),
    )


def test_an_owner_is_reminded_a_week_and_a_day_before_on_the_day_and_then_weekly(item):
    at, days = item.due_at, []
    while at and at < dt.datetime(2026, 7, 1, tzinfo=dt.UTC):
        assert reminders.remind(at) == 1 and reminders.remind(at) == 0
        days.append(at.day)
        at = ActionItem.objects.get().due_at
    assert days == [8, 14, 15, 22, 29]
    assert [title for _, title in told()] == [
        "Due in 7 days: Renew certificates by machine",
        "Due tomorrow: Renew certificates by machine",
        "Due today: Renew certificates by machine",
        "Due since 7 days: Renew certificates by machine",
        "Due since 14 days: Renew certificates by machine",
    ]


def test_an_item_that_was_completed_or_given_away_reminds_nobody(item, bob, now):
    ActionItem.objects.update(owner=None)
    assert reminders.remind(item.due_at) == 1
    assert told() == [] and ActionItem.objects.get().due_at is None


@pytest.mark.logs_errors
def test_one_broken_row_stops_no_other_and_is_due_again(item, ended, now):
    ActionItem.objects.update(due_on=dt.date.max)  # no reminder can be computed from that
    ended()
    at = now + 8 * DAY
    assert reminders.remind(at) == 2
    assert told("postmortem-wanted") and ActionItem.objects.get().due_at == at + reminders.LEASE


def test_a_worker_finds_both_kinds(item, ended):
    ended()
    tasks.remind()
    assert {name for name, _ in told()} == {"Alice", "Bob"} and len(told()) == 3


# --- reviews --------------------------------------------------------------------------------------------------------
def test_a_reviewer_who_says_nothing_is_reminded_after_three_days_and_after_ten(team, charlie, bob, now):
    review = factories.ReviewFactory(
        postmortem__team=team, postmortem__status="in_review", user=charlie, asked_by=bob, asked_at=now
    )
    for days in (1, 3, 3.1, 5, 10, 11, 40):
        reminders.remind_reviewers(now + days * DAY)
    assert told() == [("Charlie", "Your review waits: Checkout was down")] * 2
    review.verdict = "approved"
    review.asked_at = now + 50 * DAY
    review.save()
    reminders.remind_reviewers(now + 60 * DAY)
    assert len(told()) == 2
