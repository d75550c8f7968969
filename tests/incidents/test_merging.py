"""Merging incidents, and taking them apart again."""

import contextlib
import datetime as dt

import pytest
from django.db import transaction

from core.errors import DomainError, IllegalMove, NotFound
from incidents import checklist, lifecycle, merging, responding, updates
from incidents.models import Incident
from incidents.signals import incidents_merged
from notifications import alarms
from notifications.models import Alarm, Notification
from tests import factories
from tests.threads import at_once

MINUTE = dt.timedelta(minutes=1)


@pytest.fixture
def trigger(service, now):
    def make(title="Checkout is down", severity="high", at=now, **fields):
        return lifecycle.trigger(service, title=title, severity=severity, now=at, **fields)

    return make


@pytest.fixture
def pair(trigger):
    return trigger("Payments fail"), trigger("Checkout is down")


def fresh(incident):
    return Incident.objects.get(pk=incident.pk)


def texts(incident, kind):
    return list(incident.timeline.filter(kind=kind).values_list("text", flat=True))


def test_the_work_goes_on_in_the_other_one_and_both_timelines_say_so(pair, alice, now):
    source, target = pair
    merging.merge(source.pk, into=target.pk, by=alice, now=now + MINUTE)
    merged = fresh(source)
    assert (merged.status, merged.merged_into, merged.merged_at) == ("resolved", target, now + MINUTE)
    assert (merged.status_before_merge, merged.next_escalation_at, merged.group_until) == ("triggered", None, None)
    assert texts(source, "merged") == [f"Merged into #{target.pk} by Alice. Its work goes on there."]
    assert texts(target, "took_in") == [f"#{source.pk} was merged into this incident by Alice."]
    assert fresh(target).status == "triggered"


def test_its_pages_stop_and_those_of_the_other_go_on(pair, alice, now):
    source, target = pair
    merging.merge(source.pk, into=target.pk, by=alice, now=now)
    assert set(Notification.objects.filter(topic=source.topic).values_list("state", flat=True)) == {"cancelled"}
    pages = Notification.objects.filter(topic=target.topic)
    assert list(pages.values_list("state", "kind")) == [("pending", "page")]
    assert fresh(target).next_escalation_at == target.next_escalation_at


def test_whoever_was_paged_hears_that_it_goes_on_elsewhere(pair, bob, now):
    source, target = pair
    Notification.objects.filter(topic=source.topic).update(state="sent")
    merging.merge(source.pk, into=target.pk, by=bob, now=now)
    told = Notification.objects.get(topic=source.topic, kind="resolved")
    assert told.user.name == "Alice" and told.urgency == "low"
    assert f"merged it into #{target.pk}" in told.message["body"]


def test_responders_and_followers_come_along_and_each_hears_of_it_once(pair, alice, bob, charlie, now):
    source, target = pair
    responding.join(source.pk, by=charlie, now=now)
    updates.follow(source.pk, bob, now=now)
    updates.follow(source.pk, charlie, now=now)
    merging.merge(source.pk, into=target.pk, by=alice, now=now)
    told = Notification.objects.filter(topic=source.topic, kind="resolved")
    assert sorted(told.values_list("user__name", flat=True)) == ["Bob", "Charlie"]
    assert set(target.followers.values_list("user__name", flat=True)) == {"Bob", "Charlie"}
    assert target.responders.get().user == charlie and target.responders.get().joined_at == now
    assert not Notification.objects.filter(topic=target.topic, user=charlie).exists()


def test_nobody_comes_along_who_may_not_see_the_other_one(trigger, charlie, alice, now):
    source = trigger()
    target = factories.IncidentFactory(service=_private_service())
    updates.follow(source.pk, charlie, now=now)
    merging.merge(source.pk, into=target.pk, by=None, now=now)
    assert not target.followers.exists()


def _private_service():
    return factories.ServiceFactory(team=factories.TeamFactory(is_private=True))


def test_the_one_that_goes_on_is_as_bad_as_the_worse_of_the_two(trigger, alice, now):
    source, target = trigger(severity="critical"), trigger(severity="medium")
    merging.merge(source.pk, into=target.pk, by=alice, now=now)
    assert (fresh(target).severity, fresh(target).priority, fresh(target).urgency) == ("critical", "P1", "high")
    (text,) = texts(target, "worsened")
    assert f"#{source.pk}, which was merged into it, is critical and P1." in text


def test_a_milder_one_changes_nothing_of_it(trigger, alice, now):
    source, target = trigger(severity="low"), trigger(severity="critical")
    merging.merge(source.pk, into=target.pk, by=alice, now=now)
    assert fresh(target).severity == "critical" and not texts(target, "worsened")


def test_whoever_was_told_quietly_is_called_once_when_it_becomes_loud(trigger, alice, now):
    source, target = trigger(severity="critical"), trigger(severity="low")
    merging.merge(source.pk, into=target.pk, by=alice, now=now)
    pages = Notification.objects.filter(topic=target.topic, user=alice, urgency="high")
    assert pages.count() == 1


def test_a_target_that_would_call_nobody_calls_for_what_was_calling(pair, alice, now):
    source, target = pair
    lifecycle.snooze(target.pk, until=now + 60 * MINUTE, by=alice, now=now)
    merging.merge(source.pk, into=target.pk, by=alice, now=now + MINUTE)
    after = fresh(target)
    assert after.snoozed_until is None and after.next_escalation_at == now + 6 * MINUTE
    assert Notification.objects.filter(topic=target.topic, state="pending", kind="page").count() == 1
    assert "its policy starts again" in texts(target, "escalated")[0]


def test_two_that_are_snoozed_stay_quiet_until_the_first_of_both_times(trigger, alice, now):
    first, second, third = trigger(), trigger(), trigger()
    for incident, minutes in ((first, 30), (second, 60), (third, 10)):
        lifecycle.snooze(incident.pk, until=now + minutes * MINUTE, by=alice, now=now)
    before = Notification.objects.filter(topic=second.topic).count()
    merging.merge(first.pk, into=second.pk, by=alice, now=now)
    after = fresh(second)
    assert (after.snoozed_until, after.next_escalation_at) == (now + 30 * MINUTE, None)
    assert f"when the snooze of #{first.pk} ends" in texts(second, "snoozed")[-1]
    merging.merge(second.pk, into=third.pk, by=alice, now=now)
    assert fresh(third).snoozed_until == now + 10 * MINUTE and len(texts(third, "snoozed")) == 1
    assert Notification.objects.filter(topic=second.topic, kind="page").count() == before


def test_what_somebody_has_calls_nobody_anew(pair, alice, bob, now):
    source, target = pair
    lifecycle.acknowledge(target.pk, by=bob, now=now)
    merging.merge(source.pk, into=target.pk, by=alice, now=now)
    assert not Notification.objects.filter(state="pending", kind="page").exists()
    assert fresh(target).next_escalation_at is None


def test_the_alarm_about_its_escalation_is_closed(pair, alice, now):
    source, target = pair
    alarms.raise_alarm(f"escalation:{source.topic}", "Nobody could be reached.", now=now)
    merging.merge(source.pk, into=target.pk, by=alice, now=now)
    assert not Alarm.objects.filter(key=f"escalation:{source.topic}", cleared_at=None).exists()


def test_an_incident_is_not_merged_into_itself_or_into_nothing(pair, alice, now):
    source, _ = pair
    with pytest.raises(DomainError, match="into itself"):
        merging.merge(source.pk, into=source.pk, by=alice, now=now)
    with pytest.raises(NotFound, match="#99999"):
        merging.merge(source.pk, into=99999, by=alice, now=now)
    with pytest.raises(NotFound, match="#99999"):
        merging.merge(99999, into=source.pk, by=alice, now=now)


def test_what_is_over_is_refused_with_what_happened(pair, alice, bob, now):
    source, target = pair
    lifecycle.resolve(target.pk, by=bob, now=now)
    with pytest.raises(IllegalMove, match=f"#{target.pk}: Bob resolved it 2 m 0 s ago"):
        merging.merge(source.pk, into=target.pk, by=alice, now=now + 2 * MINUTE)
    with pytest.raises(IllegalMove, match=f"#{target.pk}: Bob resolved it"):
        merging.merge(target.pk, into=source.pk, by=alice, now=now + 2 * MINUTE)
    assert fresh(source).status == "triggered"


def test_what_is_merged_is_refused_and_says_where_its_work_goes_on(trigger, alice, bob, now):
    first, second, third = trigger(), trigger(), trigger()
    merging.merge(first.pk, into=second.pk, by=bob, now=now)
    with pytest.raises(IllegalMove, match=f"Bob merged it into #{second.pk} just now.*goes on in #{second.pk}"):
        merging.merge(first.pk, into=third.pk, by=alice, now=now)
    with pytest.raises(IllegalMove, match=f"Its work goes on in #{second.pk}"):
        merging.merge(third.pk, into=first.pk, by=alice, now=now)


def test_what_was_merged_before_goes_along(trigger, alice, now):
    first, second, third = trigger(), trigger(), trigger()
    merging.merge(first.pk, into=second.pk, by=alice, now=now)
    merging.merge(second.pk, into=third.pk, by=alice, now=now)
    assert fresh(first).merged_into == third and fresh(second).merged_into == third
    assert f"#{second.pk} was merged into #{third.pk}" in texts(first, "moved_on")[0]
    merging.unmerge(first.pk, by=alice, now=now)
    assert fresh(first).status == "triggered" and fresh(second).merged_into == third


@pytest.mark.logs_errors
def test_a_listener_that_fails_stops_the_merge(pair, alice, now):
    source, target = pair

    def broken(**news):
        raise RuntimeError("alerts could not move")

    incidents_merged.connect(broken)
    try:
        with pytest.raises(RuntimeError), transaction.atomic():
            merging.merge(source.pk, into=target.pk, by=alice, now=now)
    finally:
        incidents_merged.disconnect(broken)
    assert fresh(source).status == "triggered" and not texts(source, "merged")


def test_open_tasks_are_done_in_the_other_one_and_go_back(pair, alice, bob, now):
    source, target = pair
    mine = checklist.add(target.pk, text="Mine", by=alice, now=now)
    done = checklist.add(source.pk, text="Done", by=alice, now=now)
    checklist.complete(source.pk, done, by=alice, now=now)
    first, second = (checklist.add(source.pk, text=text, assignee=bob, by=alice, now=now) for text in "12")
    merging.merge(source.pk, into=target.pk, by=alice, now=now)
    assert set(target.tasks.all()) == {mine, first, second} and set(source.tasks.all()) == {done}
    (taken,) = texts(target, "took_in")
    assert taken == f"#{source.pk} was merged into this incident by Alice. It brings 2 open tasks."
    checklist.complete(target.pk, first, by=bob, now=now)
    merging.unmerge(source.pk, by=alice, now=now)
    assert set(target.tasks.all()) == {mine} and set(source.tasks.all()) == {done, first, second}
    first.refresh_from_db()
    assert (first.done_by, first.merged_from, first.assignee) == (bob, None, bob)
    (left,) = texts(target, "let_go")
    assert left == f"#{source.pk} was taken out of this incident by Alice. It takes 2 tasks along."


def test_tasks_remember_their_first_incident_also_when_it_goes_on_once_more(trigger, alice, now):
    first, second, third = trigger(), trigger(), trigger()
    early = checklist.add(first.pk, text="Early", by=alice, now=now)
    late = checklist.add(second.pk, text="Late", by=alice, now=now)
    merging.merge(first.pk, into=second.pk, by=alice, now=now)
    merging.merge(second.pk, into=third.pk, by=alice, now=now)
    assert set(third.tasks.all()) == {early, late}
    merging.unmerge(second.pk, by=alice, now=now)
    assert set(second.tasks.all()) == {late} and set(third.tasks.all()) == {early}
    merging.unmerge(first.pk, by=alice, now=now)
    assert set(first.tasks.all()) == {early}


def test_nobody_lists_tasks_where_the_work_does_not_go_on(pair, alice, now):
    source, target = pair
    task = checklist.add(source.pk, text="Call", by=alice, now=now)
    checklist.complete(source.pk, task, by=alice, now=now)
    merging.merge(source.pk, into=target.pk, by=alice, now=now)
    for change in (checklist.reopen, checklist.remove):
        with pytest.raises(IllegalMove, match=f"Its work goes on in #{target.pk}"):
            change(source.pk, task, by=alice, now=now)
    with pytest.raises(IllegalMove, match=f"Its work goes on in #{target.pk}"):
        checklist.add(source.pk, text="Call again", by=alice, now=now)


# --- taking apart -------------------------------------------------------------------------------------------------


def test_a_triggered_one_that_is_taken_out_calls_again_from_its_first_level(pair, alice, bob, now):
    source, target = pair
    lifecycle.escalate(source.pk, by=alice, now=now)
    merging.merge(source.pk, into=target.pk, by=alice, now=now)
    merging.unmerge(source.pk, by=alice, now=now + MINUTE)
    after = fresh(source)
    assert (after.status, after.escalation_level, after.merged_into, after.merged_at) == ("triggered", 1, None, None)
    assert (after.resolved_at, after.resolved_by, after.status_before_merge) == (None, None, "")
    assert after.next_escalation_at == now + 6 * MINUTE
    pages = Notification.objects.filter(topic=source.topic, kind="page", state="pending")
    assert list(pages.values_list("user__name", flat=True)) == ["Alice"]
    assert texts(source, "unmerged") == [f"Taken out of #{target.pk} by Alice. It is triggered again."]
    assert texts(target, "let_go") == [f"#{source.pk} was taken out of this incident by Alice."]


def test_one_that_somebody_had_is_theirs_again_and_calls_nobody(pair, alice, bob, now):
    source, target = pair
    lifecycle.acknowledge(source.pk, by=bob, now=now)
    lifecycle.start(source.pk, by=bob, now=now)
    merging.merge(source.pk, into=target.pk, by=alice, now=now)
    merging.unmerge(source.pk, by=alice, now=now)
    after = fresh(source)
    assert (after.status, after.assignee, after.next_escalation_at) == ("investigating", bob, None)
    assert not Notification.objects.filter(topic=source.topic, kind="page", state="pending").exists()


def test_it_stays_resolved_when_the_other_one_is_over(pair, alice, now):
    source, target = pair
    merging.merge(source.pk, into=target.pk, by=alice, now=now)
    lifecycle.resolve(target.pk, by=alice, now=now)
    merging.unmerge(source.pk, by=alice, now=now)
    assert fresh(source).status == "resolved" and fresh(source).merged_into is None
    assert f"#{target.pk} is over" in texts(source, "unmerged")[0]


def test_what_is_not_merged_cannot_be_taken_out(pair, alice, now):
    with pytest.raises(IllegalMove, match="not merged"):
        merging.unmerge(pair[0].pk, by=alice, now=now)
    with pytest.raises(NotFound):
        merging.unmerge(99999, by=alice, now=now)


def test_it_can_be_merged_resolved_and_merged_again(trigger, alice, now):
    source, target, other = trigger(), trigger(), trigger()
    merging.merge(source.pk, into=target.pk, by=alice, now=now)
    merging.unmerge(source.pk, by=alice, now=now)
    merging.merge(source.pk, into=other.pk, by=alice, now=now)
    merging.unmerge(source.pk, by=alice, now=now)
    lifecycle.resolve(source.pk, by=alice, now=now)
    assert fresh(source).status == "resolved"
    assert source.timeline.filter(kind="merged").count() == 2


# --- news ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def subscription(team):
    return factories.SubscriptionFactory(team=team)


def told(incident):
    rows = Notification.objects.filter(topic=incident.topic, destination__isnull=False).order_by("pk")
    return [(row.kind, row.message["data"]["event"]) for row in rows]


def test_destinations_hear_the_end_of_the_one_the_growth_of_the_other_and_the_return(subscription, pair, alice, now):
    source, target = pair
    merging.merge(source.pk, into=target.pk, by=alice, now=now)
    assert told(source)[-1] == ("resolved", "incident.merged")
    assert told(target)[-1] == ("update", "incident.updated")
    merging.unmerge(source.pk, by=alice, now=now)
    assert told(source)[-1] == ("page", "incident.reopened")


# --- at the same time ---------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_two_that_are_merged_into_each_other_at_once_end_in_one(trigger, alice, now):
    one, other = trigger(), trigger()

    def merge(number, into):
        try:
            merging.merge(number, into=into, by=alice, now=now)
        except IllegalMove as error:
            return error.message

    results = at_once(lambda: merge(one.pk, other.pk), lambda: merge(other.pk, one.pk))
    assert sorted(result is None for result in results) == [False, True]
    assert Incident.objects.open().count() == 1


@pytest.mark.django_db(transaction=True)
def test_merging_and_acknowledging_at_once_cannot_block_each_other(trigger, alice, bob, now):
    one, other = trigger(), trigger()

    def take():
        with contextlib.suppress(IllegalMove):
            lifecycle.acknowledge(one.pk, by=bob, now=now)

    at_once(lambda: merging.merge(one.pk, into=other.pk, by=alice, now=now), take)
    assert fresh(one).merged_into == other
