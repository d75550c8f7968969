"""Figures over time."""

import datetime as dt

import pytest

from postmortems import trends
from tests import factories

NOW = factories.NOW
DAY = dt.timedelta(days=1)
SINCE, UNTIL = dt.datetime(2026, 3, 1, tzinfo=dt.UTC), dt.datetime(2026, 6, 2, tzinfo=dt.UTC)


def written(team, began_at, *, causes=(), waited=None, **fields):
    """A postmortem; `waited` after the end of its impact it was published."""
    if waited is not None:
        fields |= {"status": "published", "published_at": began_at + DAY + waited}
    made = factories.PostmortemFactory(
        team=team, impact_began_at=began_at, impact_ended_at=began_at + DAY, incidents=[], **fields
    )
    for cause in causes:
        factories.FactorFactory(postmortem=made, cause=cause)
    return made


def test_months_times_and_repeated_causes(team, alice, bob):
    first = written(team, SINCE + DAY, waited=2 * DAY, causes=["expired certificate", "no alarm"], title="One")
    second = written(team, SINCE + 40 * DAY, waited=4 * DAY, causes=["Expired  Certificate"], title="Two")
    written(team, SINCE + 41 * DAY, causes=["full disk"])
    written(team, SINCE - DAY, waited=DAY, causes=["full disk"])
    written(team, UNTIL, causes=["full disk"])
    found = trends.figures(bob, SINCE, UNTIL, now=NOW)
    assert [(one.first_day.month, one.begun, one.published) for one in found.months] == [
        (3, 1, 1),
        (4, 2, 1),
        (5, 0, 0),
        (6, 0, 0),
    ]
    assert (found.count, found.published) == (3, 2)
    assert found.publish_median_seconds == found.publish_mean_seconds == 3 * 24 * 3600
    [cause] = found.causes
    assert (cause.cause, cause.count) == ("Expired  Certificate", 2)
    assert cause.postmortems == ((second.number, "Two"), (first.number, "One"))


def test_items_count_per_team_and_overdue_ones_apart(team, alice, bob):
    other = factories.TeamFactory(name="Mail")
    for where, due_on, status in (
        (team, NOW.date() - DAY, "open"),
        (team, NOW.date(), "in_progress"),
        (team, NOW.date() - DAY, "completed"),
        (other, None, "open"),
    ):
        postmortem = written(where, SINCE, waited=DAY)
        factories.ActionItemFactory(postmortem=postmortem, due_on=due_on, status=status)
    found = trends.figures(bob, SINCE, UNTIL, now=NOW)
    assert [(one.team, one.open, one.overdue) for one in found.teams] == [("Shop", 2, 1), ("Mail", 1, 0)]
    assert (found.open_items, found.overdue_items) == (3, 1)
    # It is later in the day in Auckland: what is due today here is overdue there.
    bob.time_zone = "Pacific/Auckland"
    assert trends.figures(bob, SINCE, UNTIL, now=NOW).overdue_items == 2


def test_the_share_of_urgent_incidents_with_a_postmortem(team, service, alice, bob):
    ended = {"status": "resolved", "triggered_at": SINCE + DAY, "resolved_at": SINCE + 2 * DAY, "service": service}
    one, two, _ = (factories.IncidentFactory(priority=priority, **ended) for priority in ("P1", "P2", "P3"))
    factories.PostmortemFactory(team=team, incidents=[one])
    factories.PostmortemFactory(team=team, incidents=[one])
    found = trends.figures(bob, SINCE, UNTIL, now=NOW)
    assert (found.urgent_incidents, found.urgent_with_postmortem, found.urgent_share) == (2, 1, 0.5)
    assert trends.figures(bob, SINCE - 9 * DAY, SINCE, now=NOW).urgent_share is None


def test_what_somebody_may_not_see_counts_nowhere(team, charlie, bob):
    private = factories.TeamFactory(is_private=True)
    hidden = written(private, SINCE + DAY, waited=DAY, causes=["expired certificate"])
    written(team, SINCE + DAY, waited=DAY, causes=["expired certificate"])
    draft = written(team, SINCE + DAY, causes=["expired certificate"])
    for postmortem in (hidden, draft):
        factories.ActionItemFactory(postmortem=postmortem)
    found = trends.figures(charlie, SINCE, UNTIL, now=NOW)
    assert (found.count, found.causes, found.open_items) == (1, (), 0)


def test_the_number_of_statements_does_not_grow(team, bob, django_assert_num_queries):
    for number in range(6):
        postmortem = written(team, SINCE + number * DAY, waited=DAY, causes=["a", "b"])
        factories.ActionItemFactory(postmortem=postmortem)
    bob.remember_access().access()
    with django_assert_num_queries(4):
        assert len(trends.figures(bob, SINCE, UNTIL, now=NOW).causes) == 2


def test_nothing_at_all_is_no_error(bob):
    found = trends.figures(bob, SINCE, UNTIL, now=NOW)
    assert found.publish_median_seconds is None and found.urgent_share is None and len(found.months) == 4


@pytest.mark.parametrize("zone", ["Pacific/Auckland", "America/Los_Angeles"])
def test_months_are_those_of_the_persons_zone(team, bob, zone):
    bob.time_zone = zone
    written(team, dt.datetime(2026, 4, 30, 23, tzinfo=dt.UTC))
    month = {"Pacific/Auckland": 5, "America/Los_Angeles": 4}[zone]
    found = trends.figures(bob, SINCE, UNTIL, now=NOW)
    assert [one.first_day.month for one in found.months if one.begun] == [month]
