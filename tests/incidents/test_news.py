"""Who is told of what becomes of an incident: destinations that subscribed, and people who were paged."""

import datetime as dt

import pytest

from core.announce import announce
from incidents import escalation, lifecycle, news
from incidents.models import Incident, Severity, Subscription
from notifications import outbox
from notifications.message import Kind
from notifications.models import Notification
from notifications.signals import person_unreached
from tests import factories
from tests.fakes.board import board as run_board
from tests.fakes.sink import sink as run_sink

MINUTE = dt.timedelta(minutes=1)


@pytest.fixture
def sink(settings):
    settings.HTTP_ALLOW_PRIVATE = ["127.0.0.1"]
    with run_sink() as server:
        yield server


@pytest.fixture
def place(sink, db):
    return factories.DestinationFactory(name="Shop chat", address=sink.url("/shop"))


@pytest.fixture
def subscription(place, team):
    return factories.SubscriptionFactory(
        destination=place, team=team, events=[*Subscription._meta.get_field("events").default(), "note"]
    )


@pytest.fixture
def incident(service, now):
    return lifecycle.trigger(
        service, title="Checkout is down", severity="critical", description="500s", via="web", now=now
    )


def told(place=None):
    """What destinations were told, in order, as Messages of JSON."""
    rows = Notification.objects.filter(destination__isnull=False).order_by("pk")
    return [row.message for row in (rows.filter(destination=place) if place else rows)]


def events(place=None):
    return [message["data"]["event"] for message in told(place)]


def to_people(kind):
    return list(Notification.objects.filter(kind=kind, user__isnull=False).order_by("pk"))


def verbs_of(message):
    return [action["verb"] for action in message["actions"]]


# --- destinations -----------------------------------------------------------------------------------------------


def test_a_team_s_destination_is_told_of_a_new_incident(subscription, incident):
    (message,) = told()
    assert message["title"] == "P1 Checkout is down" and message["body"] == "500s\n\nPaged: Alice."
    assert verbs_of(message) == ["acknowledge", "resolve", "escalate"]
    assert (message["kind"], message["urgency"], message["severity"]) == ("page", "high", "critical")
    assert message["data"]["event"] == "incident.triggered"
    assert message["data"]["incident"]["number"] == incident.pk
    assert message["data"]["actor"] == {"type": "system", "id": None, "name": "", "via": "system"}
    row = Notification.objects.get(destination__isnull=False)
    assert (row.topic, row.share, row.is_repeat) == (incident.topic, incident.share, False)


def test_every_verb_is_told_with_who_did_it(subscription, incident, alice, bob, now):
    lifecycle.escalate(incident.pk, by=alice, now=now, via="slack")
    lifecycle.reassign(incident.pk, to=bob, by=alice, now=now)
    lifecycle.add_note(incident.pk, text="The pool is full.", by=bob, now=now)
    lifecycle.acknowledge(incident.pk, by=bob, now=now + MINUTE, via="sms")
    lifecycle.start(incident.pk, by=bob, now=now)
    lifecycle.edit(incident.pk, by=bob, now=now, priority="P2", title="Checkout is slow")
    lifecycle.edit(incident.pk, by=bob, now=now, title="Checkout is slower")
    lifecycle.resolve(incident.pk, by=bob, now=now + 10 * MINUTE, note="Restarted it.")
    assert events() == [
        f"incident.{event}"
        for event in (
            "triggered",
            "escalated",
            "reassigned",
            "note_added",
            "acknowledged",
            "updated",
            "priority_changed",
            "updated",
            "resolved",
        )
    ]
    _, escalated, reassigned, note, acknowledged, _, edited, _, resolved = told()
    assert escalated["body"] == "Escalated by Alice. Level 2, round 1: Bob paged."
    assert escalated["data"]["actor"] == {
        "type": "user",
        "id": str(alice.uuid),
        "name": "Alice",
        "via": "slack",
    }
    assert reassigned["body"] == "Reassigned to Bob by Alice."
    assert note["body"] == "Bob: The pool is full." and note["data"]["in_thread"] is True
    assert acknowledged["title"] == "Acknowledged: Checkout is down"
    assert acknowledged["body"] == "Bob has it, after 1 m 0 s, within target. Nobody else is called."
    assert (acknowledged["kind"], verbs_of(acknowledged)) == ("acknowledged", ["resolve", "escalate"])
    assert acknowledged["data"]["previous"] == {"status": "triggered"}
    assert acknowledged["data"]["incident"]["status"] == "acknowledged"
    assert edited["data"]["previous"] == {"priority": "P1", "title": "Checkout is down"}
    assert edited["title"] == "Now P2: Checkout is slow"
    assert resolved["body"] == (
        "Bob resolved it 10 m 0 s after it began. Restarted it. Acknowledged by Bob after 1 m 0 s, within target."
    )
    assert (resolved["kind"], verbs_of(resolved)) == ("resolved", [])


def test_an_answer_by_the_source_is_told_as_such(subscription, incident, now):
    lifecycle.acknowledge(incident.pk, by=None, now=now + 4 * MINUTE, via="source")
    lifecycle.resolve(incident.pk, by=None, now=now + 5 * MINUTE, via="source")
    _, acknowledged, resolved = told()
    assert acknowledged["body"].startswith("The monitoring tool has it, after 4 m 0 s, target of 3 m 0 s missed.")
    assert resolved["body"].startswith("Its last alert stopped firing, 5 m 0 s after it began.")
    assert resolved["data"]["actor"]["type"] == "system" and resolved["data"]["actor"]["via"] == "source"


def test_what_nobody_had_is_said_to_have_been_nobody_s(subscription, incident, bob, now):
    lifecycle.resolve(incident.pk, by=bob, now=now + MINUTE)
    assert told()[-1]["body"] == "Bob resolved it 1 m 0 s after it began. Nobody had acknowledged it."


def test_news_stand_in_the_thread_of_the_first_message(subscription, incident, alice, now):
    outbox.deliver(now=now)
    first = Notification.objects.get(destination__isnull=False)
    lifecycle.acknowledge(incident.pk, by=alice, now=now + MINUTE)
    change = Notification.objects.get(destination__isnull=False, kind=Kind.ACKNOWLEDGED)
    assert (first.state, change.changes, change.is_repeat) == ("delivered", first, True)
    assert change.message["thread"] == first.message["thread"]


def test_the_end_supersedes_news_that_still_wait(subscription, incident, alice, now):
    outbox.deliver(now=now)
    lifecycle.acknowledge(incident.pk, by=alice, now=now + MINUTE)
    lifecycle.resolve(incident.pk, by=alice, now=now + MINUTE)
    rows = Notification.objects.filter(destination__isnull=False).order_by("pk").values_list("kind", "state")
    assert list(rows) == [("page", "delivered"), ("acknowledged", "cancelled"), ("resolved", "pending")]


def test_a_note_that_still_waits_is_sent_all_the_same(subscription, incident, alice, now):
    outbox.deliver(now=now)
    lifecycle.add_note(incident.pk, text="Looking.", by=alice, now=now + MINUTE)
    lifecycle.resolve(incident.pk, by=alice, now=now + MINUTE)
    waiting = Notification.objects.filter(destination__isnull=False, state="pending").order_by("due_at")
    assert [row.message["data"]["event"] for row in waiting] == ["incident.note_added", "incident.resolved"]


def test_acknowledging_twice_is_told_once(subscription, incident, alice, bob, now):
    for person in (alice, bob):
        lifecycle.acknowledge(incident.pk, by=person, now=now)
    assert events() == ["incident.triggered", "incident.acknowledged"]
    news = Notification.objects.get(kind=Kind.ACKNOWLEDGED, destination__isnull=False)
    assert news.state == "pending"  # the second tap stops nobody's news of the first


def test_only_what_was_asked_for_is_told(place, service, now, alice):
    factories.SubscriptionFactory(destination=place, team=None, service=service, events=["resolved"])
    incident = lifecycle.trigger(service, title="Checkout is down", severity="critical", now=now)
    lifecycle.acknowledge(incident.pk, by=alice, now=now)
    lifecycle.add_note(incident.pk, text="Looking.", by=alice, now=now)
    lifecycle.resolve(incident.pk, by=alice, now=now)
    assert events() == ["incident.resolved"]


@pytest.mark.parametrize("minimum", Severity.values)
def test_nothing_below_the_minimum_severity_is_told(place, service, team, now, minimum):
    factories.SubscriptionFactory(destination=place, team=team, minimum_severity=minimum)
    for severity in Severity.values:
        lifecycle.trigger(service, title="Trouble", severity=severity, now=now)
    assert [message["severity"] for message in told()] == Severity.values[: Severity.values.index(minimum) + 1]


def test_two_subscriptions_of_one_destination_tell_it_once(place, service, team, now):
    factories.SubscriptionFactory(destination=place, team=team)
    factories.SubscriptionFactory(destination=place, team=None, service=service)
    lifecycle.trigger(service, title="Trouble", severity="high", now=now)
    assert len(told()) == 1


def test_other_teams_and_destinations_that_are_off_hear_nothing(place, service, team, now):
    factories.SubscriptionFactory(destination=place)
    for change in ({"is_enabled": False}, {"disabled_reason": "Gone."}):
        factories.SubscriptionFactory(destination=factories.DestinationFactory(**change), team=team)
    lifecycle.trigger(service, title="Trouble", severity="high", now=now)
    assert told() == []


def test_what_the_escalation_does_by_itself_is_told(subscription, incident, now):
    escalation.advance_due(now=now + 5 * MINUTE)
    assert events() == ["incident.triggered", "incident.escalated"]
    assert told()[-1]["body"] == "Level 2, round 1: Bob paged."


def test_a_storm_costs_a_constant_number_of_statements(subscription, service, now, django_assert_max_num_queries):
    def storm(count):
        new = [lifecycle.NewIncident(service, "high", f"Trouble {number}") for number in range(count)]
        lifecycle.trigger_many(new, now=now)

    storm(1)
    with django_assert_max_num_queries(60) as few:
        storm(1)
    with django_assert_max_num_queries(len(few)):
        storm(50)
    assert len(told()) == 52
    Incident.objects.update(next_escalation_at=now)
    with django_assert_max_num_queries(60):
        escalation.advance_due(now=now)
    assert events().count("incident.escalated") == 52


def test_an_incident_can_get_a_channel_of_its_own_until_it_is_closed(service, team, alice, bob, now):
    for number, fields in enumerate([{}, {"verified_at": None}, {"disabled_reason": "Dead."}]):
        factories.ContactMethodFactory(user=alice, channel="tests_board", address=f"alice{number}", **fields)
    factories.ContactMethodFactory(user=bob, channel="tests_board", address="bob")
    with run_board():
        chat = factories.DestinationFactory(channel="tests_board", address="shop")
        factories.SubscriptionFactory(destination=chat, team=team, opens_channel=True)
        incident = lifecycle.trigger(service, title="Checkout: 5 % of ÄRGER!", severity="critical", now=now)
        outbox.deliver(now=now)
        lifecycle.resolve(incident.pk, by=bob, now=now + MINUTE)
        outbox.deliver(now=now + MINUTE)
        lifecycle.close(incident.pk, by=bob, now=now + 2 * MINUTE)
    first, _, last = told()
    assert first["data"]["slack_channel"] == {
        "name": f"inc-{incident.pk}-checkout-5-of-rger",
        "topic": "P1 Checkout: Checkout: 5 % of ÄRGER!",
        "invite": ["alice0"],
    }
    assert (last["title"], last["data"]["archive"]) == ("Closed: Checkout: 5 % of ÄRGER!", True)


def test_a_message_that_can_be_changed_keeps_no_stale_buttons_asked_for_or_not(service, team, bob, now):
    with run_board() as board:
        for channel in ("tests_board", "tests_voice"):
            chat = factories.DestinationFactory(channel=channel, address="shop")
            factories.SubscriptionFactory(destination=chat, team=team, events=["triggered"])
        incident = lifecycle.trigger(service, title="Checkout is down", severity="critical", now=now)
        outbox.deliver(now=now)
        lifecycle.acknowledge(incident.pk, by=bob, now=now + MINUTE)
        lifecycle.close(lifecycle.resolve(incident.pk, by=bob, now=now + MINUTE).pk, by=bob, now=now + MINUTE)
        outbox.deliver(now=now + 2 * MINUTE)
    assert sorted(board.said[:2]) == [("P1 Checkout is down", None)] * 2
    assert [title for title, previous in board.said[2:] if previous] == ["Resolved: Checkout is down"]


def test_the_name_of_a_channel_is_never_too_long(service, now):
    incident = factories.IncidentFactory(service=service, title="x " * 500)
    channel = news._channel_of(incident, [])
    assert len(channel["name"]) <= 80 and not channel["name"].endswith("-") and len(channel["topic"]) <= 250


# --- people -----------------------------------------------------------------------------------------------------


def test_who_was_paged_is_told_who_has_it_and_when_it_is_over(incident, alice, bob, now):
    outbox.deliver(now=now)
    lifecycle.acknowledge(incident.pk, by=bob, now=now + 2 * MINUTE)
    (row,) = to_people(Kind.ACKNOWLEDGED)
    assert (row.user, row.urgency, row.message["title"]) == (alice, "low", "Acknowledged: Checkout is down")
    outbox.deliver(now=now + 2 * MINUTE)
    lifecycle.resolve(incident.pk, by=bob, now=now + 10 * MINUTE)
    (row,) = to_people(Kind.RESOLVED)
    assert (row.user, row.state) == (alice, "pending")


def test_who_took_it_is_not_told_so_and_who_never_heard_of_it_neither(incident, alice, bob, now):
    outbox.deliver(now=now)
    lifecycle.acknowledge(incident.pk, by=alice, now=now)
    assert to_people(Kind.ACKNOWLEDGED) == []


def test_notes_and_escalations_call_nobody_twice(incident, alice, bob, now):
    outbox.deliver(now=now)
    lifecycle.add_note(incident.pk, text="Looking.", by=bob, now=now)
    lifecycle.escalate(incident.pk, by=bob, now=now)
    assert to_people(Kind.UPDATE) == []


def test_a_page_tells_machines_why_it_came(incident, alice, bob, now):
    escalation.advance_due(now=now + 5 * MINUTE)
    lifecycle.reassign(incident.pk, to=alice, by=bob, now=now + 5 * MINUTE)
    pages = to_people(Kind.PAGE)
    assert [row.message["data"]["event"] for row in pages] == [
        "incident.triggered",
        "incident.escalated",
        "incident.reassigned",
    ]
    assert [verbs_of(row.message) for row in pages] == [["acknowledge", "resolve", "escalate"]] * 3


def test_a_broken_destination_stops_no_page_and_stands_in_the_timeline(subscription, place, service, alice, sink, now):
    place.address = sink.url("/404")
    place.save()
    incident = lifecycle.trigger(service, title="Checkout is down", severity="critical", now=now)
    outbox.deliver(now=now)
    assert [row.state for row in to_people(Kind.PAGE)] == ["sent"]
    assert incident.timeline.get(kind="delivery_failed").text.startswith("The webhook page to Shop chat failed: ")


# --- people whom nothing reaches --------------------------------------------------------------------------------


def unreached(incident, person, level=1, reason="Every address failed.", now=None):
    key = f"{incident.topic}:r0:l{level}:u{person.pk}"
    Notification.objects.filter(plan_key__startswith=f"{key}:").update(state="failed", due_at=None)
    announce(person_unreached, topic=incident.topic, user_id=person.pk, page_key=key, reason=reason, now=now)
    incident.refresh_from_db()


def test_when_nobody_of_a_level_is_reached_the_next_is_called_at_once(incident, alice, bob, now):
    at = now + dt.timedelta(seconds=20)
    unreached(incident, alice, now=at)
    assert incident.next_escalation_at == at
    text = incident.timeline.get(kind="unreached").text
    assert text == (
        "Alice could not be reached. Every address failed. Nobody of level 1 is left, so the escalation goes on now."
    )
    escalation.advance_due(now=at)
    assert [row.user for row in to_people(Kind.PAGE)] == [alice, bob]


def test_while_somebody_of_the_level_may_answer_the_next_waits(service, alice, bob, charlie, now):
    factories.TargetFactory(level=service.policy.levels.get(number=1), user=charlie)
    incident = lifecycle.trigger(service, title="Checkout is down", severity="critical", now=now)
    unreached(incident, alice, now=now + MINUTE)
    assert incident.next_escalation_at == now + 5 * MINUTE
    assert incident.timeline.get(kind="unreached").text == "Alice could not be reached. Every address failed."
    unreached(incident, charlie, now=now + 2 * MINUTE)
    assert incident.next_escalation_at == now + 2 * MINUTE


def test_people_lost_in_one_go_are_seen_together(service, alice, charlie, now):
    """The rows of both are still being sent when the news come."""
    factories.TargetFactory(level=service.policy.levels.get(number=1), user=charlie)
    incident = lifecycle.trigger(service, title="Checkout is down", severity="critical", now=now)
    for person in (alice, charlie):
        key = f"{incident.topic}:r0:l1:u{person.pk}"
        announce(person_unreached, topic=incident.topic, user_id=person.pk, page_key=key, reason="", now=now)
    incident.refresh_from_db()
    assert incident.next_escalation_at == now


def test_after_the_last_level_the_delay_holds_so_that_an_outage_does_not_end_the_escalation(incident, alice, bob, now):
    at = now + dt.timedelta(seconds=20)
    unreached(incident, alice, now=at)
    escalation.advance_due(now=at)
    unreached(incident, bob, level=2, now=at + MINUTE)
    assert (incident.escalation_level, incident.next_escalation_at) == (2, at + 10 * MINUTE)
    escalation.advance_due(now=at + 10 * MINUTE)
    incident.refresh_from_db()
    assert (incident.escalation_round, incident.escalation_level) == (1, 1), "the second round begins in its time"


def test_nobody_reached_changes_nothing_once_somebody_has_it_or_another_level_is_called(incident, alice, bob, now):
    escalation.advance_due(now=now + 5 * MINUTE)
    unreached(incident, alice, now=now + 6 * MINUTE)
    assert incident.next_escalation_at == now + 15 * MINUTE
    lifecycle.acknowledge(incident.pk, by=bob, now=now + 7 * MINUTE)
    unreached(incident, bob, level=2, now=now + 8 * MINUTE)
    assert incident.next_escalation_at is None and incident.status == "acknowledged"


@pytest.mark.parametrize("topic", ["alarm:1", "incident:x", "incident:999999", "bundle:1"])
def test_news_of_other_topics_are_none_of_ours(db, now, topic):
    announce(person_unreached, topic=topic, user_id=1, page_key=topic, reason="", now=now)
    assert not Incident.objects.exists()
