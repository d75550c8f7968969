"""Answers by text message and by the keys of a phone: from the page that went out to the incident that changes."""

import json
import re
from pathlib import Path

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import Role
from incidents import lifecycle
from incidents.replies import twilio
from notifications import links, outbox
from notifications.message import Kind
from notifications.models import ContactMethod, Notification
from tests.factories import ContactMethodFactory, ProviderFactory
from tests.fakes.server import running
from tests.fakes.twilio import FakeTwilio, through

PAYLOADS = Path(__file__).resolve().parents[1] / "payloads"
NUMBER, OTHER = "+14155550123", "+14155550199"
SMS_URL = "https://oncall.example.com/twilio/sms"


@pytest.fixture
def fake(db, settings):
    settings.PUBLIC_URL = "https://oncall.example.com"
    settings.HTTP_ALLOW_PRIVATE = ["127.0.0.1"]
    deliver = through(Client(enforce_csrf_checks=True))
    with running(FakeTwilio(app_url=settings.PUBLIC_URL, deliver=deliver)) as server:
        ProviderFactory(config=server.config)
        yield server


def phone_of(person, channel="sms", number=NUMBER):
    """Make this number the only address of a person."""
    ContactMethod.objects.filter(user=person).delete()
    return ContactMethodFactory(user=person, channel=channel, address=number)


@pytest.fixture
def phone(alice):
    return phone_of(alice)


def trigger(service, title="Checkout is down"):
    incident = lifecycle.trigger(service, title=title, severity="critical", description="500s", now=timezone.now())
    outbox.deliver()
    return incident


@pytest.fixture
def incident(fake, phone, service):
    return trigger(service)


@pytest.fixture
def call(fake, alice, service):
    """The call about an incident; `call.incident` is that."""
    phone_of(alice, "voice")
    incident = trigger(service)
    (made,) = fake.calls
    made.incident = incident
    return made


def status_of(incident):
    incident.refresh_from_db()
    return incident.status


def code_of(incident):
    return Notification.objects.get(topic=incident.topic, channel="sms", kind=Kind.PAGE).reply_code


# --- text messages --------------------------------------------------------------------------------------------


def test_a_page_is_answered_with_its_code(fake, incident, alice):
    assert "Reply 1a to acknowledge" in fake.messages[0].body
    (said,) = fake.reply(NUMBER, "1a")
    assert said == f"You have #{incident.pk} Checkout is down. The calls have stopped."
    incident.refresh_from_db()
    assert (incident.status, incident.acknowledged_by, incident.timeline.last().via) == ("acknowledged", alice, "sms")


@pytest.mark.parametrize(
    "body, status",
    [
        ("1a", "acknowledged"),
        (" 1A ", "acknowledged"),
        ("'1a", "acknowledged"),
        ("1 ack", "acknowledged"),
        ("ack", "acknowledged"),
        ("Acknowledge", "acknowledged"),
        ("a 1", "acknowledged"),
        ("ack #1", "acknowledged"),
        ("a", "acknowledged"),
        ("1r", "resolved"),
        ("R", "resolved"),
        ("resolve 1", "resolved"),
        ("1c", "resolved"),
        ("close", "resolved"),
        ("what?", "triggered"),
        ("7a", "triggered"),
        ("1", "triggered"),
        ("1x", "triggered"),
        ("a friend called", "triggered"),
        ("", "triggered"),
        ("99999999999999999999a", "triggered"),
    ],
)
def test_the_grammar_of_answers(fake, incident, body, status):
    (said,) = fake.reply(NUMBER, body)
    assert status_of(incident) == status
    assert (f"#{incident.pk}" in said) == (status != "triggered")


def test_signs_that_xml_cannot_carry_cost_no_answer(fake, phone, service):
    incident = trigger(service, "Disk \x08\x1b[31m\ufffe full")
    (said,) = fake.reply(NUMBER, "1a")
    assert "full" in said
    assert status_of(incident) == "acknowledged"


def test_escalating_calls_the_next_level(fake, incident):
    (said,) = fake.reply(NUMBER, "1 e")
    assert said == f"The next level is called for #{incident.pk} Checkout is down."
    incident.refresh_from_db()
    assert incident.escalation_level == 2


def test_a_note_goes_into_the_timeline(fake, incident):
    fake.reply(NUMBER, "1 note Looking at it")
    entry = incident.timeline.last()
    assert (entry.via, status_of(incident)) == ("sms", "triggered")
    assert "Looking at it" in entry.text


def test_a_bare_word_is_for_the_last_page_and_a_code_for_its_own(fake, incident, service):
    later = trigger(service, "Cart is down")
    fake.reply(NUMBER, "a")
    assert (status_of(incident), status_of(later)) == ("triggered", "acknowledged")
    fake.reply(NUMBER, f"{code_of(incident)}r")
    assert (status_of(incident), status_of(later)) == ("resolved", "acknowledged")


def test_two_letters_answer_for_all_of_the_service(fake, incident, service):
    later = trigger(service, "Cart is down")
    (said,) = fake.reply(NUMBER, "1aa")
    assert said == f"2 of 2 done: #{incident.pk}, #{later.pk}."
    assert (status_of(incident), status_of(later)) == ("acknowledged", "acknowledged")


def test_the_code_says_which_of_two_people_answers(fake, phone, alice, bob, service):
    phone_of(bob, number=NUMBER)
    incident = trigger(service)
    lifecycle.escalate(incident.pk, by=alice, now=timezone.now())
    outbox.deliver()
    theirs = Notification.objects.get(topic=incident.topic, user=bob)
    mine = Notification.objects.get(topic=incident.topic, user=alice)
    assert (mine.reply_code, theirs.reply_code) == (1, 2)
    fake.reply(NUMBER, "1a")
    incident.refresh_from_db()
    assert incident.acknowledged_by == alice  # although Bob was asked last


def test_the_same_message_twice_counts_once(fake, incident):
    assert fake.reply(NUMBER, "1e", sid="SM1")
    assert fake.reply(NUMBER, "1e", sid="SM1") == []
    assert incident.timeline.filter(via="sms", kind="escalated").count() == 1


def test_a_stranger_changes_nothing_and_is_told_why(fake, incident, caplog):
    (said,) = fake.reply(OTHER, "1a")
    assert said == twilio.STRANGER
    assert status_of(incident) == "triggered"
    assert OTHER.lstrip("+") not in caplog.text


@pytest.mark.parametrize("fields", [{"verified_at": None}, {"disabled_reason": "Gone."}])
def test_an_address_that_is_not_used_answers_nothing(fake, incident, phone, fields):
    ContactMethod.objects.filter(pk=phone.pk).update(**fields)
    fake.reply(NUMBER, "1a")
    assert status_of(incident) == "triggered"


def test_who_may_only_read_is_told_so(fake, incident, alice):
    type(alice).objects.filter(pk=alice.pk).update(role=Role.OBSERVER)
    alice.memberships.update(role=Role.OBSERVER)
    (said,) = fake.reply(NUMBER, "1a")
    assert "may not answer" in said
    assert status_of(incident) == "triggered"


def test_an_answer_that_is_too_late_says_how_it_is(fake, incident, bob):
    lifecycle.acknowledge(incident.pk, by=bob, now=timezone.now())
    (said,) = fake.reply(NUMBER, "1a")
    assert said.startswith(f"Bob already has #{incident.pk} Checkout is down")


@pytest.mark.parametrize("word", ["STOP", "stop", "Unsubscribe.", "quit", "END", "cancel", "stopall"])
def test_a_stop_word_disables_the_number_and_the_owner_is_told_elsewhere(fake, incident, phone, alice, word):
    ContactMethodFactory(user=alice)
    assert fake.reply(NUMBER, word) == []
    phone.refresh_from_db()
    assert "STOP" in phone.disabled_reason
    assert status_of(incident) == "triggered"
    notice = Notification.objects.get(kind=Kind.NOTICE, user=alice)
    assert notice.channel == "email"


def test_a_start_word_enables_it_again(fake, incident, phone):
    fake.reply(NUMBER, "stop")
    (said,) = fake.reply(NUMBER, "START")
    assert "again" in said
    phone.refresh_from_db()
    assert phone.is_usable


def test_a_start_word_does_not_revive_a_number_that_is_dead(fake, incident, phone):
    ContactMethod.objects.filter(pk=phone.pk).update(disabled_reason="This phone number does not exist (30005).")
    fake.reply(NUMBER, "start")
    phone.refresh_from_db()
    assert not phone.is_usable


def test_two_machines_do_not_talk_for_ever(fake, incident):
    said = [fake.reply(NUMBER, "I am away until Monday") for _ in range(8)]
    assert [len(each) for each in said] == [1] * 5 + [0] * 3
    assert len(fake.reply(NUMBER, "1a")) == 1  # what was done is always told
    assert len(fake.reply(NUMBER, "what?")) == 1  # and the counting begins anew


def test_twilios_own_sample_is_understood(fake, incident):
    sample = json.loads((PAYLOADS / "twilio_sms_inbound_form.json").read_text())
    sample.pop("_note")
    status, kind, text = fake.send(SMS_URL, {**sample, "AccountSid": fake.account_sid, "Body": "1a"})
    assert (status, kind) == (200, "text/xml")
    assert status_of(incident) == "acknowledged"


def test_only_posts_are_answers(fake, client):
    assert client.get("/twilio/sms").status_code == 405
    assert client.get("/twilio/voice/menu/abc").status_code == 405


# --- calls ----------------------------------------------------------------------------------------------------


def test_a_call_reads_the_incident_and_takes_a_key(fake, call, alice):
    said = fake.answer(call.sid)
    assert "P 1 Checkout is down." in said and "Service Checkout." in said and "Press 4 to acknowledge" in said
    answer = fake.press(call.sid, "4")
    number = re.match(r"You have number ([\d, ]+) Checkout is down. The calls have stopped. Goodbye.$", answer)
    assert number[1].replace(", ", "") == str(call.incident.pk)  # a long one is said digit by digit
    incident = call.incident
    incident.refresh_from_db()
    assert (incident.status, incident.acknowledged_by, incident.timeline.last().via) == (
        "acknowledged",
        alice,
        "voice",
    )
    assert call.action == ""
    assert Notification.objects.get(provider_id=call.sid).state == "acknowledged"


@pytest.mark.parametrize("key, status, level", [("6", "resolved", 1), ("5", "triggered", 2)])
def test_the_other_keys(fake, call, key, status, level):
    fake.answer(call.sid)
    fake.press(call.sid, key)
    assert status_of(call.incident) == status
    assert call.incident.escalation_level == level


@pytest.mark.parametrize("key", ["*", "1", "9", "0", "#"])
def test_the_star_and_keys_without_a_meaning_say_it_again(fake, call, key):
    first = fake.answer(call.sid)
    for _ in range(3):
        assert fake.press(call.sid, key) == first
    assert status_of(call.incident) == "triggered"
    fake.press(call.sid, "4")
    assert status_of(call.incident) == "acknowledged"


def test_whoever_presses_nothing_hears_it_once_more(fake, call):
    first = fake.answer(call.sid)
    assert fake.press(call.sid, "") == first
    assert fake.press(call.sid, "") == "No key was pressed. The page is still open. Goodbye."
    assert call.action == ""
    assert status_of(call.incident) == "triggered"
    assert Notification.objects.get(provider_id=call.sid).state == "delivered"  # heard by whom, nobody knows


def test_a_key_proves_that_somebody_listens(fake, call):
    fake.answer(call.sid)
    fake.press(call.sid, "*")
    assert Notification.objects.get(provider_id=call.sid).state == "read"


def test_the_same_key_twice_counts_once(fake, call):
    fake.answer(call.sid)
    action = call.action
    fake.press(call.sid, "5")
    call.action = action
    assert fake.press(call.sid, "5") == "Your answer is here already. Goodbye."
    call.incident.refresh_from_db()
    assert call.incident.escalation_level == 2


def test_another_number_cannot_answer_the_call(fake, call):
    fields = {"CallSid": call.sid, "To": OTHER, "Digits": "4", "CallStatus": "in-progress"}
    _, _, text = fake.send(call.action, fields)
    assert "does not belong to a page" in text
    assert status_of(call.incident) == "triggered"


def test_a_forged_token_answers_nothing(fake, call):
    fields = {"CallSid": call.sid, "To": NUMBER, "Digits": "4", "CallStatus": "in-progress"}
    for token in ("abc", "A" * 58, call.action.rpartition("/")[2][:-1]):
        status, kind, text = fake.send(f"https://oncall.example.com/twilio/voice/menu/{token}", fields)
        assert (status, kind) == (200, "text/xml")
        assert "does not belong to a page" in text
    assert status_of(call.incident) == "triggered"


def test_the_link_of_a_text_message_is_no_menu(fake, incident):
    row = Notification.objects.get(topic=incident.topic)
    url = f"https://oncall.example.com/twilio/voice/menu/{links.token(row.uuid, 'acknowledge')}"
    _, _, text = fake.send(url, {"CallSid": "CA1", "To": NUMBER, "Digits": "4"})
    assert "does not belong to a page" in text
    assert status_of(incident) == "triggered"


def test_a_key_for_a_bundle_answers_for_all_of_it(fake, call, service, alice):
    later = lifecycle.trigger(service, title="Cart is down", severity="critical", now=timezone.now())
    bundle = Notification.objects.get(provider_id=call.sid)
    Notification.objects.filter(topic=later.topic).update(bundle=bundle)
    first = Notification.objects.get(pk=bundle.pk)
    first.pk, first.uuid, first.plan_key = None, links.uuid.uuid4(), "member"
    first.bundle = bundle
    first.save()
    Notification.objects.filter(pk=bundle.pk).update(kind=Kind.BUNDLE, topic="bundle:1")
    fake.answer(call.sid)
    assert fake.press(call.sid, "4").startswith("2 of 2 done")
    assert (status_of(call.incident), status_of(later)) == ("acknowledged", "acknowledged")


def test_twilios_own_sample_of_a_key_is_understood(fake, call):
    sample = json.loads((PAYLOADS / "twilio_voice_gather_form.json").read_text())
    sample.pop("_note")
    status, kind, text = fake.send(call.action, {**sample, "AccountSid": fake.account_sid, "CallSid": call.sid})
    assert (status, kind) == (200, "text/xml")
    assert status_of(call.incident) == "acknowledged"
