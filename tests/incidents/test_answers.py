"""Answers from outside: every verb in every state by every role, and the sentence that comes back."""

import datetime as dt
import threading

import pytest
from django.db import connection

from accounts.models import Role
from incidents import lifecycle
from incidents.models import Incident
from incidents.replies import answers
from notifications.message import Kind
from notifications.models import Notification
from tests import factories

MINUTE = dt.timedelta(minutes=1)


@pytest.fixture
def incident(service, now):
    return lifecycle.trigger(service, title="Checkout is down", severity="critical", now=now)


@pytest.fixture
def page(incident):
    """Alice's page."""
    return Notification.objects.get(topic=incident.topic)


@pytest.fixture
def bundle(service, alice, now):
    """Three incidents that came to Alice as one message."""
    for number in range(3):
        lifecycle.trigger(service, title=f"Trouble {number}", severity="high", now=now)
    whole = factories.NotificationFactory(
        user=alice, contact_method=alice.contact_methods.get(), topic="bundle:1", kind=Kind.BUNDLE
    )
    Notification.objects.filter(kind=Kind.PAGE).update(bundle=whole)
    return whole


def bring(incident, status, by, now):
    """Move the incident to a status."""
    way = {
        "triggered": [],
        "acknowledged": ["acknowledge"],
        "investigating": ["acknowledge", "start"],
        "remediating": ["acknowledge", "remediate"],
        "resolved": ["resolve"],
        "closed": ["resolve", "close"],
    }
    for verb in way[status]:
        getattr(lifecycle, verb)(incident.pk, by=by, now=now)


OPEN = ("triggered", "acknowledged", "investigating", "remediating")
OVER = ("resolved", "closed")


@pytest.mark.parametrize("role", [Role.RESPONDER, Role.ADMIN])
@pytest.mark.parametrize("status", [*OPEN, *OVER])
@pytest.mark.parametrize("verb", list(answers.VERBS))
def test_every_verb_in_every_state_by_who_may(incident, bob, charlie, now, verb, status, role):
    bring(incident, status, bob, now)
    charlie.role = role
    charlie.save()
    reply = answers.answer(incident.pk, verb, by=charlie, via="sms", now=now + MINUTE, note="Looking.")
    assert reply.is_done == (status in OPEN or verb == "note")
    assert f"#{incident.pk} Checkout is down" in reply.text and reply.text.endswith(".")
    entry = incident.timeline.filter(by=charlie).first()
    if not reply.is_done:
        assert f"This incident is {status}" in reply.text and entry is None
    elif verb == "acknowledge" and status != "triggered":
        assert reply.text.startswith("Bob already has") and entry is None
    else:
        assert (entry.via, reply.incident.status) == (
            "sms",
            {"acknowledge": "acknowledged", "resolve": "resolved"}.get(verb, status),
        )


@pytest.mark.parametrize("change", [{"role": Role.OBSERVER}, {"is_active": False}])
@pytest.mark.parametrize("verb", list(answers.VERBS))
def test_who_may_not_is_told_what_to_do_and_that_others_are_called(incident, charlie, now, verb, change):
    for name, value in change.items():
        setattr(charlie, name, value)
    reply = answers.answer(incident.pk, verb, by=charlie, via="slack", now=now, note="Looking.")
    assert not reply.is_done
    assert "Ask an admin" in reply.text and "somebody else is called" in reply.text
    incident.refresh_from_db()
    assert incident.status == "triggered" and not incident.timeline.filter(by=charlie).exists()


def test_the_sentences(incident, alice, bob, now):
    def say(verb, by, **more):
        return answers.answer(incident.pk, verb, by=by, via="sms", now=now + MINUTE, **more).text

    name = f"#{incident.pk} Checkout is down"
    assert say("acknowledge", alice) == f"You have {name}. The calls have stopped."
    assert say("acknowledge", alice) == f"You already have {name}. The calls have stopped."
    assert say("acknowledge", bob) == f"Alice already has {name}, acknowledged after 1 m 0 s, within target."
    assert say("escalate", alice) == f"The next level is called for {name}."
    assert say("note", alice, note="Looking.") == f"The note is in the timeline of {name}."
    assert say("note", alice, note=" ").startswith(f"{name}: The note is empty. Write what")
    assert say("resolve", alice, note="Restarted.") == f"{name} is resolved."
    incident.refresh_from_db()
    assert incident.resolution_note == "Restarted."


def test_what_does_not_exist_is_named(incident, alice, now):
    assert answers.answer(999999, "resolve", by=alice, via="sms", now=now).text == "There is no incident #999999."
    assert "Use acknowledge, resolve" in answers.answer(incident.pk, "explode", by=alice, via="sms", now=now).text
    assert not answers.answer(10**30, "resolve", by=alice, via="sms", now=now).is_done


def test_when_no_level_is_left_it_says_what_to_do_instead(incident, alice, now):
    for _ in range(20):
        reply = answers.answer(incident.pk, "escalate", by=alice, via="voice", now=now)
        if not reply.is_done:
            break
    assert "There is no further level to call. Reassign" in reply.text


# --- messages ---------------------------------------------------------------------------------------------------


def test_a_message_is_answered_for_its_reader(incident, page, alice, now):
    reply = answers.answer_message(page, "acknowledge", via="push", now=now)
    assert reply.is_done and reply.incident.acknowledged_by == alice
    assert incident.timeline.get(kind="acknowledged").via == "push"


def test_a_message_in_a_chat_is_answered_for_who_pressed(incident, page, bob, now):
    assert answers.answer_message(page, "acknowledge", by=bob, via="slack", now=now).incident.acknowledged_by == bob


def test_a_message_to_a_place_needs_to_know_who_answers(incident, now):
    row = factories.NotificationFactory(
        user=None,
        contact_method=None,
        destination=factories.DestinationFactory(),
        channel="webhook",
        address="x",
        topic=incident.topic,
    )
    reply = answers.answer_message(row, "acknowledge", via="link", now=now)
    assert not reply.is_done and "Sign in" in reply.text


def test_a_message_about_something_else_has_nothing_to_answer(alice, now):
    row = factories.NotificationFactory(user=alice, contact_method=alice.contact_methods.get(), topic="alarm:1")
    reply = answers.answer_message(row, "acknowledge", via="sms", now=now)
    assert not reply.is_done and "nothing to answer" in reply.text


def test_one_answer_takes_all_of_a_bundle(bundle, alice, now):
    reply = answers.answer_message(bundle, "acknowledge", via="sms", now=now)
    one, two, three = Incident.objects.order_by("pk")
    assert reply.text == f"You have #{one.pk}, #{two.pk} and #{three.pk}. The calls have stopped."
    assert reply.is_done and reply.incident is None and reply.incidents == (one, two, three)
    assert set(Incident.objects.values_list("acknowledged_by", flat=True)) == {alice.pk}


def test_of_a_bundle_what_others_have_and_what_is_over_is_said(bundle, alice, bob, now):
    one, two, three = Incident.objects.order_by("pk")
    lifecycle.acknowledge(one.pk, by=bob, now=now)
    lifecycle.resolve(two.pk, by=bob, now=now)
    text = answers.answer_message(bundle, "acknowledge", via="sms", now=now).text
    assert f"Bob already has #{one.pk} Trouble 0" in text
    assert f"#{two.pk} Trouble 1: Bob resolved it just now." in text
    assert f"You have #{three.pk} Trouble 2." in text


def test_one_of_a_bundle_can_be_taken_alone(bundle, alice, now):
    one, two, three = Incident.objects.order_by("pk")
    answers.answer(two.pk, "acknowledge", by=alice, via="sms", now=now)
    assert list(Incident.objects.order_by("pk").values_list("status", flat=True)) == [
        "triggered",
        "acknowledged",
        "triggered",
    ]


@pytest.mark.parametrize("verb", list(answers.VERBS))
def test_a_large_bundle_is_answered_in_few_words(service, alice, now, verb):
    for number in range(30):
        lifecycle.trigger(service, title=f"Trouble {number}", severity="high", now=now)
    whole = factories.NotificationFactory(
        user=alice, contact_method=alice.contact_methods.get(), topic="bundle:1", kind=Kind.BUNDLE
    )
    Notification.objects.filter(kind=Kind.PAGE).update(bundle=whole)
    text = answers.answer_message(whole, verb, via="sms", now=now, note="Looking.").text
    assert "and 24 more" in text and len(text) < 160
    again = answers.answer_message(whole, verb, via="sms", now=now, note="Looking.")
    assert len(again.text) < 600


# --- races ------------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_an_answer_by_text_message_and_one_in_the_app_at_once_make_one_owner(service, alice, bob, now):
    incident = lifecycle.trigger(service, title="Checkout is down", severity="critical", now=now)
    barrier, replies = threading.Barrier(2), {}

    def press(person, via):
        try:
            barrier.wait(timeout=10)
            replies[person] = answers.answer(incident.pk, "acknowledge", by=person, via=via, now=now + MINUTE)
        finally:
            connection.close()

    threads = [threading.Thread(target=press, args=pair) for pair in ((alice, "sms"), (bob, "web"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    incident.refresh_from_db()
    owner = incident.acknowledged_by
    (entry,) = incident.timeline.filter(kind="acknowledged")
    assert (entry.by, entry.via) == (owner, "sms" if owner == alice else "web")
    other = bob if owner == alice else alice
    assert replies[owner].text.startswith("You have") and replies[other].text.startswith(f"{owner} already has")


@pytest.mark.django_db(transaction=True)
def test_two_bundles_of_the_same_incidents_answered_at_once_do_not_deadlock(service, alice, bob, now):
    wholes = []
    for person in (alice, bob):
        wholes.append(
            factories.NotificationFactory(
                user=person, contact_method=person.contact_methods.get(), topic=f"bundle:{person.pk}", kind=Kind.BUNDLE
            )
        )
    numbers = [
        lifecycle.trigger(service, title=f"Trouble {number}", severity="high", now=now).pk for number in range(8)
    ]
    for whole, order in zip(wholes, (numbers, numbers[::-1]), strict=True):
        for number in order:
            factories.NotificationFactory(
                user=whole.user,
                contact_method=whole.contact_method,
                topic=f"incident:{number}",
                plan_key=f"incident:{number}:x:u{whole.user_id}:m1",
                bundle=whole,
            )
    barrier, replies = threading.Barrier(2), []

    def press(whole):
        try:
            barrier.wait(timeout=10)
            replies.append(answers.answer_message(whole, "acknowledge", via="link", now=now + MINUTE))
        finally:
            connection.close()

    threads = [threading.Thread(target=press, args=(whole,)) for whole in wholes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert [reply.is_done for reply in replies] == [True, True]
    assert not Incident.objects.exclude(status="acknowledged").exists()
