"""Text messages: how they read, what they count, and what Twilio's answers mean."""

import concurrent.futures
import dataclasses
import json
import uuid
from pathlib import Path

import pytest

from core.errors import SendError
from notifications.channels.base import AdminNeeded, DeadAddress, Outgoing, ProviderBroken
from notifications.channels.sms import Sms, fit, segments, simple, text
from notifications.message import Kind
from notifications.vendors import twilio
from tests.fakes.server import running
from tests.fakes.twilio import FakeTwilio
from tests.notifications.conftest import NOW, make_message

PAYLOADS = Path(__file__).resolve().parents[1] / "payloads"
NUMBER = "+14155550123"
LINK = "https://oncall.example.com/l/abc"
OUTGOING = Outgoing(
    message=make_message(title="P1 Checkout errors", severity="critical"),
    uuid=uuid.UUID("5b0a6f0e-0000-4000-8000-000000000001"),
    topic="incident:42",
    person="Alice",
    at=NOW,
    links=(("Acknowledge", LINK),),
    tokens=(("Acknowledge", "acknowledge", "abc"),),
    reply_code="42",
)
HELP = "Reply 42a to acknowledge, 42r to resolve, 42e to escalate."


@pytest.fixture(autouse=True)
def address(settings):
    settings.PUBLIC_URL = "https://oncall.example.com"


@pytest.fixture
def fake(settings):
    settings.HTTP_ALLOW_PRIVATE = ["127.0.0.1"]
    with running(FakeTwilio()) as server:
        yield server


def send(fake, address=NUMBER, **changes):
    config = {"receipts": "yes", **fake.config, **changes.pop("config", {})}
    return Sms().send(address, dataclasses.replace(OUTGOING, config=config, **changes))


def test_a_page_says_how_bad_what_where_and_how_to_answer():
    assert text(NUMBER, OUTGOING) == f"CRITICAL: P1 Checkout errors (Checkout) {HELP} {LINK}"


def test_the_message_goes_out_with_all_that_twilio_needs(fake):
    accepted = send(fake)
    (made,) = fake.messages
    assert accepted.provider_id == made.sid
    assert accepted.answer == "queued, 1 segment GSM-7"
    assert not accepted.is_delivered
    assert {name: values[0] for name, values in made.fields.items()} == {
        "To": NUMBER,
        "From": "+15005550006",
        "Body": text(NUMBER, OUTGOING),
        "StatusCallback": "https://oncall.example.com/twilio/status/sms",
        "ValidityPeriod": "900",
    }


def test_a_messaging_service_sends_instead_of_the_number(fake):
    send(fake, config={"messaging_service_sid": "MG" + "1" * 32})
    assert fake.messages[0]["MessagingServiceSid"] == "MG" + "1" * 32
    assert "From" not in fake.messages[0].fields


def test_without_receipts_none_is_asked_for_and_none_is_missed(fake):
    send(fake, config={"receipts": "no"})
    assert "StatusCallback" not in fake.messages[0].fields
    assert "Reply" not in fake.messages[0].body  # nobody would hear it
    assert Sms().receipt_wait({"receipts": "no"}) is None
    assert Sms().receipt_wait({"receipts": "yes"}) == 60


@pytest.mark.parametrize(
    "typed, stored",
    [
        ("+1 (415) 555-0123", NUMBER),
        ("001 415 555 0123", NUMBER),
        ("+1.415.555.0123", NUMBER),
        ("+49 (0)170 1234567", "+491701234567"),
        ("+1\u00a0415\u2011555\u20110123", NUMBER),
    ],
)
def test_a_number_is_stored_in_one_form(typed, stored):
    assert Sms().normal(typed) == stored
    assert Sms().problem_with(typed) == ""


@pytest.mark.parametrize("typed", ["0170 1234567", "415-555-0123"])
def test_a_number_without_a_country_code_is_refused_with_a_sentence(typed):
    assert "has no country code" in Sms().problem_with(typed)


@pytest.mark.parametrize("typed", ["", "hello", "+0123456789", "+1415", "+1415555012345678", "+1415555O123"])
def test_other_texts_are_no_numbers(typed):
    assert "is not a phone number" in Sms().problem_with(typed)


def test_of_a_number_the_last_digits_are_shown():
    assert Sms().shown(NUMBER) == "••• 0123"
    assert Sms().shown("123") == "•••"


@pytest.mark.parametrize(
    "what, expected",
    [
        ("", ("GSM-7", 1)),
        ("a" * 160, ("GSM-7", 1)),
        ("a" * 161, ("GSM-7", 2)),
        ("a" * 306, ("GSM-7", 2)),
        ("a" * 307, ("GSM-7", 3)),
        ("€" * 80, ("GSM-7", 1)),  # two places each
        ("€" * 81, ("GSM-7", 2)),
        ("€" * 152, ("GSM-7", 2)),  # 76 in a part of 153: one place stays empty in each
        ("€" * 153, ("GSM-7", 3)),
        ("é" * 160, ("GSM-7", 1)),
        ("ж" * 70, ("UCS-2", 1)),
        ("ж" * 71, ("UCS-2", 2)),
        ("ж" * 134, ("UCS-2", 2)),
        ("ж" * 135, ("UCS-2", 3)),
        ("🔥" * 35, ("UCS-2", 1)),  # two places each
        ("🔥" * 66, ("UCS-2", 2)),
        ("🔥" * 67, ("UCS-2", 3)),
    ],
)
def test_segments_are_counted_as_they_are_charged(what, expected):
    assert segments(what) == expected


def test_one_fancy_letter_does_not_double_the_price():
    fancy = "“Don’t” – it’s 5\u00a0%… Dvořák • a→b"
    assert segments(fancy)[0] == "UCS-2"
    assert simple(fancy) == "\"Don't\" - it's 5 %... Dvorak * a->b"
    assert segments(simple(fancy))[0] == "GSM-7"
    assert simple("Größe à la Ñandú? Πλ ж 🔥") == "Größe à la Ñandu? Πλ ж 🔥"


@pytest.mark.parametrize("title", ["word " * 300, "ж" * 1024, "🔥" * 1024, "[" * 1024])
def test_a_long_title_is_cut_and_the_way_to_answer_is_not(title):
    body = text(NUMBER, dataclasses.replace(OUTGOING, message=make_message(title=title, severity="critical")))
    assert body.startswith("CRITICAL: ")
    assert body.endswith(f"... {HELP} {LINK}")
    assert segments(body)[1] == 3


def test_fitting_uses_all_the_room_there_is():
    assert segments(fit("a" * 1000, "end"))[1] == 3
    assert len(fit("a" * 1000, "end")) == 459


def test_a_late_page_says_so_first():
    assert text(NUMBER, dataclasses.replace(OUTGOING, notes=("It is late.",))).startswith("It is late. CRITICAL: ")


@pytest.mark.parametrize("number", ["+919876543210", "+84912345678", "+50212345678"])
def test_who_cannot_answer_by_text_gets_the_link_only(number):
    assert text(number, OUTGOING) == f"CRITICAL: P1 Checkout errors (Checkout) {LINK}"


def test_no_link_goes_where_carriers_drop_messages_with_links():
    assert text("+8613812345678", OUTGOING) == "CRITICAL: P1 Checkout errors (Checkout)"


def test_a_bundle_is_acknowledged_as_a_whole():
    message = make_message(title="3 incidents", body="#1 One, #2 Two, #3 Three", kind=Kind.BUNDLE)
    body = text(NUMBER, dataclasses.replace(OUTGOING, message=message))
    assert body.startswith("3 incidents - #1 One, #2 Two, #3 Three Reply 42a to acknowledge all, ")


def test_what_needs_no_answer_asks_for_none():
    message = make_message(title="[#42] Checkout errors", body="Bob has it.", kind=Kind.ACKNOWLEDGED)
    body = text(NUMBER, dataclasses.replace(OUTGOING, message=message, links=()))
    assert body == "[#42] Checkout errors - Bob has it. https://oncall.example.com/incidents/42"


@pytest.mark.parametrize(
    "code, status, error, words",
    [
        (20429, 429, SendError, "20429"),
        (None, 500, SendError, "500"),
        (None, 503, SendError, "503"),
        (30001, 400, SendError, "queue"),
        (21211, 400, DeadAddress, "not a valid phone number"),
        (21614, 400, DeadAddress, "mobile"),
        (21612, 400, DeadAddress, "route"),
        (21610, 400, DeadAddress, "STOP"),
        (21408, 400, AdminNeeded, "geographic"),
        (21608, 400, AdminNeeded, "trial"),
        (21606, 400, AdminNeeded, "from number"),
        (20003, 401, ProviderBroken, "auth token"),
        (20404, 404, ProviderBroken, "account"),
        (21212, 400, ProviderBroken, "from number"),
        (21999, 400, SendError, "21999"),
    ],
)
def test_the_errors_of_twilio_mean_different_things(fake, code, status, error, words):
    fake.next_answer(status, code=code, message=f"Something about {NUMBER}")
    with pytest.raises(SendError, match=words) as raised:
        send(fake)
    assert type(raised.value) is error
    assert raised.value.status == status
    assert NUMBER not in str(raised.value)
    is_temporary = code in (20429, 30001) or status >= 500
    assert raised.value.permanent == (not is_temporary and error is not ProviderBroken)
    assert fake.messages == []


@pytest.mark.parametrize(
    "code, error, is_permanent",
    [
        ("30003", SendError, False),
        ("30008", SendError, False),
        ("30999", SendError, False),
        ("", SendError, False),
        ("nonsense", SendError, False),
        ("30005", DeadAddress, True),
        ("30006", DeadAddress, True),
        ("30007", AdminNeeded, True),
        ("30034", AdminNeeded, True),
        ("30002", ProviderBroken, False),
    ],
)
def test_a_report_brings_the_same_codes_without_a_status(code, error, is_permanent):
    found = twilio.error_of(code)
    assert type(found) is error
    assert found.permanent == is_permanent


def test_the_sample_of_an_error_is_understood():
    sample = json.loads((PAYLOADS / "twilio_error_400.json").read_text())
    assert isinstance(twilio.error_of(sample["code"], sample["message"], status=sample["status"]), DeadAddress)


def test_a_wrong_password_is_the_accounts_fault(fake):
    with pytest.raises(ProviderBroken, match="auth token"):
        send(fake, config={"auth_token": "wrong"})
    assert fake.refused == 1


@pytest.mark.parametrize("status, body", [(201, "<html>Proxy</html>"), (201, {}), (200, {"sid": None}), (201, "[]")])
def test_an_answer_that_is_none_is_tried_again(fake, status, body):
    fake.next_answer(status, body=body)
    with pytest.raises(SendError) as raised:
        send(fake)
    assert not raised.value.permanent


def test_an_accepted_message_with_an_error_in_it_has_failed(fake):
    fake.next_answer(201, body={"sid": "SM1", "status": "failed", "error_code": 30005, "error_message": "Unknown"})
    with pytest.raises(DeadAddress, match="does not exist"):
        send(fake)


def test_the_cost_is_told_when_twilio_knows_it(fake):
    body = json.loads((PAYLOADS / "twilio_message_response_201.json").read_text())
    fake.next_answer(201, body={**body, "price": "-0.00790", "price_unit": "USD"})
    accepted = send(fake)
    assert (accepted.provider_id, accepted.cost) == (body["sid"], "0.00790 USD")


def test_a_server_that_is_not_there_is_tried_again(fake):
    with pytest.raises(SendError, match="could not be reached") as raised:
        send(fake, config={"base_url": "http://127.0.0.1:9"})
    assert not raised.value.permanent
    assert fake.account_sid not in str(raised.value)


def test_a_private_address_of_the_api_is_refused(fake, settings):
    settings.HTTP_ALLOW_PRIVATE = []
    with pytest.raises(ProviderBroken, match="HTTP_ALLOW_PRIVATE"):
        send(fake)


def test_a_name_of_a_private_address_is_refused_when_it_is_called(fake, settings):
    settings.HTTP_ALLOW_PRIVATE = []
    with pytest.raises(SendError, match="private"):
        send(fake, config={"base_url": f"http://localhost:{fake.port}"})
    assert fake.messages == []


def test_too_many_requests_say_when_to_come_back(fake):
    fake.next_answer(429, code=20429, headers={"Retry-After": "17"})
    with pytest.raises(SendError, match="20429") as raised:
        send(fake)
    assert (raised.value.permanent, raised.value.retry_after) == (False, 17)


def test_threads_do_not_share_a_client(fake):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        sids = list(pool.map(lambda n: send(fake, f"+141555501{n:02}").provider_id, range(40)))
    assert {made.sid: made.to for made in fake.messages} == {sid: f"+141555501{n:02}" for n, sid in enumerate(sids)}


def test_the_settings_of_an_account_are_checked():
    vendor = twilio.Twilio()
    good = {"account_sid": "AC1", "auth_token": "x", "from_number": "+15005550006"}
    assert vendor.problems_with(good) == {}
    assert vendor.missing(good) == []
    assert vendor.complete(good)["receipts"] == "yes"
    assert list(vendor.problems_with({**good, "account_sid": "SK1"})) == ["account_sid"]
    assert list(vendor.problems_with({**good, "from_number": ""})) == ["from_number"]
    assert list(vendor.problems_with({**good, "from_number": "0170 123"})) == ["from_number"]
    assert vendor.problems_with({**good, "from_number": "", "messaging_service_sid": "MG1"}) == {}
    assert list(vendor.problems_with({**good, "messaging_service_sid": "XX"})) == ["messaging_service_sid"]
    assert list(vendor.problems_with({**good, "base_url": "ftp://x"})) == ["base_url"]
    assert list(vendor.problems_with({**good, "receipts": "false"})) == ["receipts"]


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8000",
        "http://localhost:8000",
        "http://10.1.2.3",
        "https://watchbill.internal",
        "http://[::1]",
    ],
)
def test_twilio_is_not_asked_to_call_an_address_of_our_own_network(settings, url):
    settings.PUBLIC_URL = url
    assert not twilio.can_call_back({"receipts": "yes", "base_url": "https://api.twilio.com"})
    assert twilio.can_call_back({"receipts": "yes", "base_url": "http://127.0.0.1:9000"})  # a stand-in beside us
    settings.PUBLIC_URL = "https://oncall.example.com"
    assert twilio.can_call_back({"receipts": "yes", "base_url": "https://api.twilio.com"})


def test_the_known_signature_is_believed_with_either_token():
    vector = json.loads((PAYLOADS / "twilio_signature.json").read_text())
    url, params, signature = vector["url"], vector["params"], vector["value"]
    assert twilio.is_signed({"auth_token": vector["auth_token"]}, url, params, signature)
    assert twilio.is_signed({"auth_token": "new", "old_auth_token": vector["auth_token"]}, url, params, signature)
    assert not twilio.is_signed({"auth_token": "new", "old_auth_token": ""}, url, params, signature)
    assert not twilio.is_signed({"auth_token": vector["auth_token"]}, url, {**params, "Digits": "5"}, signature)
    assert not twilio.is_signed({"auth_token": vector["auth_token"]}, url + "&x=1", params, signature)
    assert not twilio.is_signed({"auth_token": vector["auth_token"]}, url, params, "")
