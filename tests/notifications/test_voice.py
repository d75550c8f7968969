"""Calls: what they say, which keys they take, and what Twilio is asked for."""

import dataclasses
import uuid
import xml.etree.ElementTree as ElementTree

import pytest

from core.errors import SendError
from notifications.channels.base import AdminNeeded, DeadAddress, Outgoing
from notifications.channels.voice import Voice, said, sentence, spoken, twiml
from notifications.message import Kind
from tests.fakes.server import running
from tests.fakes.twilio import FakeTwilio
from tests.notifications.conftest import NOW, make_message

NUMBER = "+14155550123"
FIELDS = (("Incident", "#42"), ("Service", "checkout-api"), ("Since", "2026-05-04 10:15:00 UTC"))
MESSAGE = make_message(title="P1 Checkout errors", severity="critical", fields=FIELDS)
OUTGOING = Outgoing(
    message=MESSAGE,
    uuid=uuid.UUID("5b0a6f0e-0000-4000-8000-000000000001"),
    topic="incident:42",
    person="Alice",
    at=NOW,
    links=(("Acknowledge", "https://oncall.example.com/l/abc"),),
    tokens=(("Acknowledge", "acknowledge", "abc-_1"),),
)
ACTION = "https://oncall.example.com/twilio/voice/menu/abc-_1"


@pytest.fixture(autouse=True)
def address(settings):
    settings.PUBLIC_URL = "https://oncall.example.com"


@pytest.fixture
def fake(settings):
    settings.HTTP_ALLOW_PRIVATE = ["127.0.0.1"]
    with running(FakeTwilio()) as server:
        yield server


def send(fake, **changes):
    config = {"receipts": "yes", "machine_detection": "no", **fake.config, **changes.pop("config", {})}
    return Voice().send(NUMBER, dataclasses.replace(OUTGOING, config=config, **changes))


def test_a_call_says_how_bad_what_where_and_since_when():
    assert said(MESSAGE) == (
        "This is Watchbill. Severity critical. P 1 Checkout errors. Service checkout api. Since 10:15 U T C."
    )


def test_what_the_reader_must_know_is_said_first():
    assert said(MESSAGE, ("This page is 5 min late.",)).startswith("This is Watchbill. This page is 5 min late. ")


def test_a_page_waits_for_one_key_and_says_which(settings):
    tree = ElementTree.fromstring(twiml(MESSAGE, ACTION))
    gather = tree.find("Gather")
    assert gather.attrib == {
        "input": "dtmf",
        "numDigits": "1",
        "timeout": "10",
        "finishOnKey": "",
        "actionOnEmptyResult": "true",
        "action": ACTION,
        "method": "POST",
    }
    (say,) = gather
    assert say.get("loop") == "2"
    assert say.text.endswith("Press 4 to acknowledge, 6 to resolve, 5 to escalate, star to repeat.")
    assert [each.tag for each in tree] == ["Gather", "Say", "Hangup"]


def test_a_call_without_a_menu_is_said_twice_and_hangs_up():
    tree = ElementTree.fromstring(twiml(MESSAGE))
    assert [(each.tag, each.get("loop")) for each in tree] == [("Say", "2"), ("Hangup", None)]


@pytest.mark.parametrize("title", ["</Say><Dial>+1900</Dial>", "a & b < c", "zero\x00 bell\x07 \ufffe", "\x1b[31m"])
def test_a_title_cannot_break_out_of_its_sentence(title):
    tree = ElementTree.fromstring(twiml(make_message(title=title), ACTION))
    assert [each.tag for each in tree.iter()] == ["Response", "Gather", "Say", "Say", "Hangup"]


@pytest.mark.parametrize(
    "text, heard",
    [
        ("CPU 95% on db-1_a", "CPU 95 percent on db 1 a"),
        ("#42 is open, see https://example.com/x?y=1 now", "number 42 is open, see now"),
        ("order 1234567 (failed)", "order 1, 2, 3, 4, 5, 6, 7 failed"),
        ("P2 a & b", "P 2 a and b"),
        ("1 234", "1 234"),
    ],
)
def test_text_is_made_for_the_ear(text, heard):
    assert spoken(text) == heard


def test_a_code_is_read_digit_by_digit_and_twice():
    message = make_message(
        title="Your Watchbill code is 012 345",
        body="Type 012 345 into your settings.",
        kind=Kind.VERIFICATION,
        fields=(),
    )
    (say,) = ElementTree.fromstring(twiml(message, ACTION)).iter("Say")
    assert (say.get("loop"), say.text) == ("2", "This is Watchbill. Your code is 0, 1, 2, 3, 4, 5.")


def test_a_bundle_says_what_is_in_it():
    message = make_message(title="3 incidents", body="#1 One, #2 Two, #3 Three", kind=Kind.BUNDLE)
    text = " ".join(each.text for each in ElementTree.fromstring(twiml(message, ACTION)).iter("Say"))
    assert "3 incidents. number 1 One, number 2 Two, number 3 Three. Press 4 to acknowledge all, " in text


@pytest.mark.parametrize("filler", ["& <", "%", "9", "é"])
def test_the_longest_message_fits_into_a_call(fake, filler):
    message = make_message(title=filler * 400, body=filler * 4000, kind=Kind.BUNDLE)
    assert send(fake, message=message).provider_id == fake.calls[0].sid


def test_the_call_goes_out_with_all_that_twilio_needs(fake):
    accepted = send(fake)
    (made,) = fake.calls
    assert accepted.provider_id == made.sid
    assert made.fields == {
        "To": [NUMBER],
        "From": ["+15005550006"],
        "Twiml": [twiml(MESSAGE, ACTION)],
        "Timeout": ["45"],
        "StatusCallback": ["https://oncall.example.com/twilio/status/voice"],
        "StatusCallbackEvent": ["initiated", "ringing", "answered", "completed"],
    }


def test_without_a_way_back_the_call_only_tells(fake):
    send(fake, config={"receipts": "no"})
    (made,) = fake.calls
    assert "StatusCallback" not in made.fields and "<Gather" not in made["Twiml"]
    assert Voice().receipt_wait({"receipts": "no"}) is None


def test_machines_are_detected_when_the_account_says_so(fake):
    send(fake, config={"machine_detection": "yes"})
    assert fake.calls[0]["MachineDetection"] == "Enable"
    assert Voice().receipt_wait({"machine_detection": "yes"}) > Voice().receipt_wait({"machine_detection": "no"})


def test_a_message_without_anything_to_answer_has_no_menu(fake):
    send(fake, message=make_message(kind=Kind.TEST, actions=()), tokens=())
    assert "<Gather" not in fake.calls[0]["Twiml"]


def test_calls_need_a_number_of_ours(fake):
    with pytest.raises(AdminNeeded, match="from number"):
        send(fake, config={"from_number": "", "messaging_service_sid": "MG1"})


def test_a_country_that_may_not_be_called_is_the_admins_business(fake):
    fake.next_answer(400, code=21215)
    with pytest.raises(AdminNeeded, match="geographic"):
        send(fake)
    fake.next_answer(400, code=21217)
    with pytest.raises(DeadAddress):
        send(fake)
    fake.next_answer(500)
    with pytest.raises(SendError) as raised:
        send(fake)
    assert not raised.value.permanent


def test_one_sentence_and_good_bye():
    tree = ElementTree.fromstring(sentence("You have #42 <Checkout>."))
    assert [(each.tag, each.text) for each in tree] == [("Say", "You have number 42 Checkout."), ("Hangup", None)]
