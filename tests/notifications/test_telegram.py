"""Telegram: what a message looks like, how it is changed in place, and what its errors mean."""

import dataclasses
import datetime
import html
import re
import string
import uuid

import pytest

from core.errors import DomainError, SendError
from notifications import links, outbox, providers, telegram_links
from notifications.channels.base import AdminNeeded, DeadAddress, Outgoing, ProviderBroken
from notifications.channels.telegram import Telegram, units
from notifications.models import ContactMethod, vendors
from tests.factories import DestinationFactory, ProviderFactory
from tests.fakes.server import running
from tests.fakes.telegram import TOKEN, FakeTelegram
from tests.notifications.conftest import NOW, make_message, make_method

UUID = uuid.UUID("5b0a6f0e-0000-4000-8000-000000000001")
GROUP = -1001234567890


@pytest.fixture
def telegram(settings):
    settings.HTTP_ALLOW_PRIVATE = ["127.0.0.1"]
    with running(FakeTelegram()) as server:
        yield server


@pytest.fixture
def outgoing(telegram):
    tokens = [(label, verb, links.token(UUID, verb)) for label, verb in (("Acknowledge", "acknowledge"),)]
    return Outgoing(
        message=make_message(severity="critical"),
        uuid=UUID,
        topic="incident:42",
        person="Alice",
        at=NOW,
        tokens=tuple(tokens),
        links=tuple((label, links.address(token)) for label, _, token in tokens),
        config=vendors.get("telegram").complete(telegram.config),
    )


def test_a_message_has_severity_in_words_and_buttons_that_come_back(telegram, outgoing):
    accepted = Telegram().send(str(GROUP), outgoing)
    ((place, got),) = telegram.messages.items()
    assert place[0] == GROUP
    assert got["text"].startswith("<b>🔴 Critical: Checkout errors</b>\n\n5 % of orders fail.")
    assert "<b>Service:</b> Checkout" in got["text"]
    answer, (opens,) = got["reply_markup"]["inline_keyboard"]
    assert opens == {"text": "Open", "url": "https://oncall.example.com/incidents/42"}
    assert links.read(answer[0]["callback_data"]) == (UUID, "acknowledge")
    assert accepted.is_delivered
    assert accepted.provider_id == f"{GROUP}:{place[1]}"


def test_what_came_from_an_alert_is_text_and_never_markup(telegram, outgoing):
    message = make_message(title="<b>a & b</b>", body="<a href='x'>", fields=(("Host<1>", "x & y"),))
    Telegram().send("7", dataclasses.replace(outgoing, message=message, notes=("1 < 2",)))
    (got,) = telegram.messages.values()
    shown = html.unescape(re.sub(r"</?b>", "", got["text"]))
    assert shown == "<b>a & b</b>\n\n1 < 2\n<a href='x'>\n\nHost<1>: x & y"


def test_a_preview_shows_the_words_without_markup(outgoing):
    shown = Telegram().preview(dataclasses.replace(outgoing, message=make_message(title="a < b", body="<b>")))
    assert shown["Text"].startswith("a < b\n\n<b>")
    assert shown["Buttons"] == "Acknowledge, Open"


@pytest.mark.parametrize("letter", ["x", "<", "🔥", "ß"])
def test_a_long_text_is_cut_to_what_a_message_takes(telegram, outgoing, letter):
    message = make_message(title=letter * 500, body=letter * 9000, fields=(("Service", letter * 1000),))
    Telegram().send("7", dataclasses.replace(outgoing, message=message))
    (got,) = telegram.messages.values()
    shown = html.unescape(re.sub(r"</?b>", "", got["text"]))
    assert 3900 < units(shown) <= 4096


def test_a_change_stands_where_the_message_was(telegram, outgoing):
    before = Telegram().send(str(GROUP), outgoing)
    news = make_message(kind="acknowledged", title="Acknowledged: Checkout errors", actions=())
    change = dataclasses.replace(outgoing, message=news, tokens=(), previous=before.data)
    after = Telegram().send(str(GROUP), change)
    ((_, got),) = telegram.messages.items()
    assert "Acknowledged: Checkout errors" in got["text"]
    assert [[one["text"] for one in row] for row in got["reply_markup"]["inline_keyboard"]] == [["Open"]]
    assert after.provider_id == before.provider_id
    assert Telegram().send(str(GROUP), change).is_delivered  # “message is not modified” is what was wanted


def test_a_change_of_a_message_that_was_deleted_is_a_new_message(telegram, outgoing):
    before = Telegram().send(str(GROUP), outgoing)
    telegram.messages.clear()
    after = Telegram().send(str(GROUP), dataclasses.replace(outgoing, previous=before.data))
    assert after.provider_id != before.provider_id
    assert len(telegram.messages) == 1


def test_a_group_that_moved_is_followed_and_its_new_id_told(telegram, outgoing):
    telegram.moved[-55] = GROUP
    accepted = Telegram().send("-55", outgoing)
    assert [place for place, _ in telegram.messages] == [GROUP]
    assert accepted.data["moved_to"] == str(GROUP)


def test_a_message_goes_into_the_topic_of_the_group(telegram, outgoing):
    Telegram().send(str(GROUP), dataclasses.replace(outgoing, options={"topic_id": "17"}))
    (got,) = telegram.messages.values()
    assert got["message_thread_id"] == 17


def test_a_button_that_telegram_refuses_does_not_cost_the_page(telegram, outgoing):
    message = make_message(url="http://localhost:8000/incidents/42")
    Telegram().send("7", dataclasses.replace(outgoing, message=message))
    (got,) = telegram.messages.values()
    assert "reply_markup" not in got
    assert "Acknowledge: " + outgoing.links[0][1] in got["text"]
    assert got["text"].endswith("http://localhost:8000/incidents/42")


def test_a_token_too_long_for_a_button_becomes_a_link(telegram, outgoing):
    tokens = (("Acknowledge", "acknowledge", "x" * 65),)
    url = "https://oncall.example.com/l/xxx"
    Telegram().send("7", dataclasses.replace(outgoing, tokens=tokens, links=(("Acknowledge", url),)))
    (got,) = telegram.messages.values()
    assert got["reply_markup"]["inline_keyboard"][0] == [{"text": "Acknowledge", "url": url}]


@pytest.mark.parametrize(
    "code, text",
    [
        (403, "Forbidden: bot was blocked by the user"),
        (403, "Forbidden: user is deactivated"),
        (403, "Forbidden: bot was kicked from the supergroup chat"),
        (403, "Forbidden: the group chat was deleted"),
        (400, "Bad Request: chat not found"),
    ],
)
def test_a_chat_that_is_gone_is_a_dead_address(telegram, outgoing, code, text):
    telegram.refuse(text, code)
    with pytest.raises(DeadAddress, match=text.partition(": ")[2]):
        Telegram().send("7", outgoing)
    assert len(telegram.calls) == 1


def test_too_many_messages_wait_for_as_long_as_telegram_says(telegram, outgoing):
    telegram.refuse("Too Many Requests: retry after 14", 429, retry_after=14)
    with pytest.raises(SendError) as error:
        Telegram().send("7", outgoing)
    assert not error.value.permanent
    assert error.value.retry_after == 14


def test_trouble_at_telegram_is_tried_again(telegram, outgoing):
    telegram.refuse("Internal Server Error", 500)
    with pytest.raises(SendError) as error:
        Telegram().send("7", outgoing)
    assert not error.value.permanent


def test_a_wrong_token_is_our_accounts_fault_and_is_never_quoted(telegram, outgoing):
    wrong = {**outgoing.config, "bot_token": "999:" + "B" * 35}
    with pytest.raises(ProviderBroken) as error:
        Telegram().send("7", dataclasses.replace(outgoing, config=wrong))
    assert "999" not in error.value.message


@pytest.mark.parametrize(
    "text, kind",
    [("not enough rights to send text messages to the chat", AdminNeeded), ("something new", SendError)],
)
def test_another_refusal_is_for_good(telegram, outgoing, text, kind):
    for _ in range(2):
        telegram.refuse(f"Bad Request: {text}")
    with pytest.raises(kind, match=text) as error:
        Telegram().send("7", outgoing)
    assert error.value.permanent
    assert type(error.value) is kind


@pytest.mark.parametrize("address, is_good", [("7", True), ("-100123", True), ("@shop_oncall", True), ("shop", False)])
def test_a_chat_is_a_number_or_a_public_name(address, is_good):
    assert (Telegram().problem_with(address) == "") == is_good


def test_a_bot_gets_a_secret_of_its_own_that_stays_the_same():
    vendor = vendors.get("telegram")
    one, same, other = (vendor.complete({"bot_token": token}) for token in (TOKEN, TOKEN, "1:x"))
    assert re.fullmatch(r"[A-Za-z0-9_-]{32,256}", one["webhook_secret"])
    assert one["webhook_secret"] == same["webhook_secret"] != other["webhook_secret"]
    assert vendor.complete({"bot_token": TOKEN, "webhook_secret": "mine"})["webhook_secret"] == "mine"
    assert set(vendor.problems_with({"bot_token": "abc", "webhook_secret": "ä"})) == {"bot_token", "webhook_secret"}


# --- linking a chat -------------------------------------------------------------------------------------------
def test_a_code_links_the_chat_to_the_person_who_got_it_once(alice, bob):
    code = telegram_links.make(alice, now=NOW)
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", code)
    method = telegram_links.take(code, 111111, now=NOW)
    assert (method.user, method.address, method.verified_at) == (alice, "111111", NOW)
    with pytest.raises(DomainError, match="used already"):
        telegram_links.take(code, 111111, now=NOW)
    with pytest.raises(DomainError, match="linked to somebody else"):
        telegram_links.take(telegram_links.make(bob, now=NOW), 111111, now=NOW)


def test_a_used_code_is_used_however_it_is_spelled(alice):
    code = telegram_links.make(alice, now=NOW)
    telegram_links.take(code, 111111, now=NOW)
    letters = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"
    # Four bits of the last letter carry nothing, and base64 has two spellings of two letters.
    for other in (*(code[:-1] + each for each in letters), code.translate(str.maketrans("-_", "+/")), code + "=="):
        with pytest.raises(DomainError, match="used already|not one of ours"):
            telegram_links.take(other, 222222, now=NOW)
    assert ContactMethod.objects.filter(channel="telegram").count() == 1


def test_linking_again_brings_a_dead_chat_back(alice):
    make_method(alice, "telegram", "111111", disabled_reason="bot was blocked by the user")
    telegram_links.take(telegram_links.make(alice, now=NOW), 111111, now=NOW)
    (method,) = ContactMethod.objects.filter(user=alice, channel="telegram")
    assert method.is_usable


@pytest.mark.parametrize("spoil", [lambda code: code[:-1], lambda code: "A" + code[1:], lambda code: "", str.upper])
def test_a_forged_code_links_nothing(alice, spoil):
    code = spoil("_" + telegram_links.make(alice, now=NOW)[1:])
    with pytest.raises(DomainError, match="not one of ours"):
        telegram_links.take(code, 111111, now=NOW)
    assert not ContactMethod.objects.filter(channel="telegram").exists()


def test_a_code_expires(alice):
    code = telegram_links.make(alice, now=NOW)
    with pytest.raises(DomainError, match="expired"):
        telegram_links.take(code, 111111, now=NOW + datetime.timedelta(minutes=31))


def test_the_link_opens_our_bot(alice):
    assert telegram_links.address(alice, now=NOW) == ""
    ProviderFactory(vendor="telegram", config={"bot_token": TOKEN, "bot_name": "@watchbill_bot"})
    assert providers.accounts("telegram")[0].config["bot_name"] == "watchbill_bot"
    link = telegram_links.address(alice, now=NOW)
    assert link == f"https://t.me/watchbill_bot?start={telegram_links.make(alice, now=NOW)}"


@pytest.mark.django_db
def test_a_moved_group_keeps_its_destination():
    place = DestinationFactory(channel="telegram", address="-55")
    telegram_links.move(-55, GROUP)
    place.refresh_from_db()
    assert place.address == str(GROUP)


def test_a_group_that_moved_is_remembered_after_the_first_message(telegram, db):
    ProviderFactory(vendor="telegram", config=telegram.config)
    place = DestinationFactory(channel="telegram", address="-55")
    telegram.moved[-55] = GROUP
    message = make_message(url="https://oncall.example.com/incidents/42")
    outbox.plan_many([outbox.Page("x:1", "incident:42", None, message, destination_id=place.pk)], now=NOW)
    outbox.deliver(NOW)
    place.refresh_from_db()
    assert place.address == str(GROUP)
    assert [chat for chat, _ in telegram.messages] == [GROUP]
