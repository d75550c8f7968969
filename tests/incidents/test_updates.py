"""Updates for stakeholders, who follows, and what a refusal says happened meanwhile."""

import datetime as dt

import pytest

from accounts.models import Role
from core.errors import DomainError, IllegalMove, NotFound
from incidents import lifecycle, updates
from incidents.models import Subscription
from notifications.models import Notification
from tests import factories

MINUTE = dt.timedelta(minutes=1)


@pytest.fixture
def incident(service, now):
    return lifecycle.trigger(service, title="Checkout is down", severity="critical", now=now)


@pytest.fixture
def dora(db):
    user = factories.UserFactory(name="Dora", role=Role.OBSERVER)
    factories.ContactMethodFactory(user=user)
    return user


def sent_to(user, incident):
    return Notification.objects.filter(topic=incident.topic, user=user).order_by("pk")


def test_an_update_reaches_followers_and_subscribed_destinations_once(incident, team, alice, dora, now):
    subscription = factories.SubscriptionFactory(team=team)
    updates.follow(incident.pk, dora, now=now)
    updates.follow(incident.pk, dora, now=now)
    updates.post(incident.pk, text="We switch to the **second** provider.", by=alice, now=now)
    message = sent_to(dora, incident).get()
    assert (message.kind, message.urgency, message.state) == ("update", "low", "pending")
    assert message.message["title"] == "Update: Checkout is down"
    place = Notification.objects.get(destination=subscription.destination, kind="update")
    assert place.message["data"]["event"] == "incident.status_update"
    entry = incident.timeline.get(kind="update")
    assert entry.text == "We switch to the **second** provider." and entry.by == alice


def test_an_acknowledgement_does_not_stop_an_update_on_its_way(incident, alice, dora, now):
    updates.follow(incident.pk, dora, now=now)
    updates.post(incident.pk, text="We look into it.", by=alice, now=now)
    lifecycle.acknowledge(incident.pk, by=alice, now=now)
    lifecycle.resolve(incident.pk, by=alice, now=now)
    assert list(sent_to(dora, incident).values_list("kind", "state")) == [
        ("update", "pending"),
        ("resolved", "pending"),
    ]


def test_a_destination_that_wants_no_updates_gets_none(incident, team, alice, now):
    factories.SubscriptionFactory(team=team, events=["triggered", "resolved"])
    updates.post(incident.pk, text="We look into it.", by=alice, now=now)
    assert not Notification.objects.filter(destination__isnull=False, kind="update").exists()


def test_new_subscriptions_want_updates_and_old_ones_keep_what_they_had(db):
    assert Subscription.Event.UPDATE in factories.SubscriptionFactory().events
    kept = factories.SubscriptionFactory(events=["triggered"])
    kept.refresh_from_db()
    assert kept.events == ["triggered"]


def test_a_card_that_cannot_change_is_sent_for_an_update_all_the_same(incident, team, alice, now):
    place = factories.DestinationFactory(channel="teams", address="https://example.com/teams")
    factories.SubscriptionFactory(team=team, destination=place)
    lifecycle.edit(incident.pk, title="Checkout is slow", by=alice, now=now)
    updates.post(incident.pk, text="We look into it.", by=alice, now=now)
    (told,) = Notification.objects.filter(destination=place, kind="update")
    assert told.message["data"]["event"] == "incident.status_update"


def test_a_follower_is_told_by_mail_and_never_rung_up(incident, alice, dora, now):
    factories.ContactMethodFactory(user=dora, channel="voice", address="+4930123456")
    factories.ContactMethodFactory(user=dora, channel="sms", address="+4930123456")
    updates.follow(incident.pk, dora, now=now)
    updates.post(incident.pk, text="We look into it.", by=alice, now=now)
    assert list(sent_to(dora, incident).values_list("channel", flat=True)) == ["email"]


def test_their_own_rules_for_what_is_quiet_count(incident, alice, dora, now):
    sms = factories.ContactMethodFactory(user=dora, channel="sms", address="+4930123456")
    factories.NotificationRuleFactory(user=dora, contact_method=sms, urgency="low", delay_minutes=0)
    updates.follow(incident.pk, dora, now=now)
    updates.post(incident.pk, text="We look into it.", by=alice, now=now)
    assert list(sent_to(dora, incident).values_list("channel", flat=True)) == ["sms"]


def test_followers_hear_of_the_end_once_also_when_they_were_paged(incident, alice, bob, dora, now):
    for person in (alice, dora):
        updates.follow(incident.pk, person, now=now)
    Notification.objects.filter(topic=incident.topic, user=alice).update(state="sent")
    lifecycle.resolve(incident.pk, by=bob, now=now)
    assert sent_to(dora, incident).get().kind == "resolved"
    assert sent_to(alice, incident).filter(kind="resolved").count() == 1


def test_who_stops_following_hears_nothing_more(incident, alice, dora, now):
    updates.follow(incident.pk, dora, now=now)
    updates.unfollow(incident.pk, dora)
    updates.unfollow(incident.pk, dora)
    updates.post(incident.pk, text="We look into it.", by=alice, now=now)
    assert not sent_to(dora, incident).exists()


def test_who_may_not_see_it_can_neither_follow_nor_hear(incident, alice, charlie, now):
    updates.follow(incident.pk, charlie, now=now)
    incident.team.is_private = True
    incident.team.save()
    charlie = type(charlie).objects.get(pk=charlie.pk)
    updates.post(incident.pk, text="Secret.", by=alice, now=now)
    assert not sent_to(charlie, incident).exists()
    with pytest.raises(NotFound):
        updates.follow(incident.pk, charlie, now=now)


def test_an_empty_update_and_a_book_are_refused(incident, alice, now):
    with pytest.raises(DomainError, match="empty"):
        updates.post(incident.pk, text=" ", by=alice, now=now)
    with pytest.raises(DomainError, match="at most 2000"):
        updates.post(incident.pk, text="x" * 2001, by=alice, now=now)


def test_an_update_after_the_end_is_told_and_after_the_closing_refused(incident, alice, now):
    lifecycle.resolve(incident.pk, by=alice, now=now)
    updates.post(incident.pk, text="It is over since noon.", by=alice, now=now)
    lifecycle.close(incident.pk, by=alice, now=now)
    with pytest.raises(IllegalMove, match="You closed it just now"):
        updates.post(incident.pk, text="More.", by=alice, now=now)


# --- what happened meanwhile --------------------------------------------------------------------------------------


def test_a_refusal_says_who_was_faster_and_when(incident, alice, bob, now):
    lifecycle.resolve(incident.pk, by=bob, now=now)
    with pytest.raises(IllegalMove) as refused:
        lifecycle.acknowledge(incident.pk, by=alice, now=now + 2 * MINUTE + dt.timedelta(seconds=5))
    assert refused.value.message == (
        "Bob resolved it 2 m 5 s ago. This incident is resolved, so it cannot be acknowledged. "
        "It is over: close it, or trigger a new incident if the trouble is back."
    )


def test_a_refusal_says_that_the_source_ended_it(incident, alice, now):
    lifecycle.resolve(incident.pk, by=None, now=now, via="source")
    with pytest.raises(IllegalMove, match="^Its last alert stopped firing 1 m 0 s ago"):
        lifecycle.escalate(incident.pk, by=alice, now=now + MINUTE)


@pytest.mark.parametrize(
    ("verbs", "then", "words"),
    [
        (["acknowledge", "start"], "start", "Bob started to investigate 1 m 0 s ago"),
        (["acknowledge", "remediate"], "start", "Bob started to repair 1 m 0 s ago"),
        (["acknowledge"], "close", "Bob acknowledged it 1 m 0 s ago"),
        (["resolve", "close"], "close", "Bob closed it 1 m 0 s ago"),
        ([], "close", "^This incident is triggered"),
    ],
)
def test_each_refusal_names_the_last_move(incident, alice, bob, now, verbs, then, words):
    for verb in verbs:
        getattr(lifecycle, verb)(incident.pk, by=bob, now=now)
    with pytest.raises(IllegalMove, match=words):
        getattr(lifecycle, then)(incident.pk, by=alice, now=now + MINUTE)


# --- impact and severity ------------------------------------------------------------------------------------------


def test_impact_and_severity_are_edited_and_the_priority_stays(incident, alice, now):
    lifecycle.edit(incident.pk, impact=" Nobody can\n pay. ", severity="low", by=alice, now=now)
    incident.refresh_from_db()
    assert (incident.impact, incident.severity, incident.priority) == ("Nobody can pay.", "low", "P1")
    text = incident.timeline.get(kind="edited").text
    assert text == "Edited by Alice: impact is “Nobody can pay”, severity is low."


def test_an_unknown_severity_is_refused(incident, alice, now):
    with pytest.raises(DomainError, match="Use critical"):
        lifecycle.edit(incident.pk, severity="awful", by=alice, now=now)
