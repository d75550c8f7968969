"""Answers from Telegram: who may press what, what they read then, and what is refused."""

import json

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from incidents import lifecycle
from incidents.models import Incident, TimelineEntry
from incidents.replies import grammar
from incidents.replies.grammar import Command
from notifications import outbox, providers, telegram_links
from notifications.models import ContactMethod, Notification
from notifications.vendors.telegram import SECRET_HEADER
from tests.factories import (
    ContactMethodFactory,
    DestinationFactory,
    ProviderFactory,
    ScheduleFactory,
    SubscriptionFactory,
)
from tests.fakes.server import running
from tests.fakes.telegram import FakeTelegram

ALICE, BOB, STRANGER, GROUP = 111111, 222222, 333333, -1001234567890


@pytest.fixture
def telegram(settings):
    settings.HTTP_ALLOW_PRIVATE = ["127.0.0.1"]
    settings.PUBLIC_URL = "https://oncall.example.com"
    with running(FakeTelegram()) as server:
        yield server


@pytest.fixture
def account(db, telegram):
    ProviderFactory(vendor="telegram", name="bot", config=telegram.config)
    return providers.accounts("telegram")[0]


@pytest.fixture
def linked(account, alice, bob):
    """Alice and Bob with nothing but Telegram."""
    ContactMethod.objects.all().delete()
    for person, chat in ((alice, ALICE), (bob, BOB)):
        ContactMethodFactory(user=person, channel="telegram", address=str(chat))


@pytest.fixture
def incident(linked, service):
    found = lifecycle.trigger(service, title="Checkout is down", severity="critical", now=timezone.now())
    outbox.deliver(timezone.now())
    return found


@pytest.fixture
def post(telegram, account):
    """A function that posts an update as Telegram does, and returns what our answer makes Telegram do."""

    def post(update, secret=None):
        headers = {SECRET_HEADER: account.config["webhook_secret"] if secret is None else secret}
        answer = Client(enforce_csrf_checks=True).post(
            "/telegram/webhook", json.dumps(update), content_type="application/json", headers=headers
        )
        if answer.status_code != 200:
            return answer.status_code
        if not answer.content:
            return None
        said = answer.json()
        assert telegram.take(said)["ok"]
        return said

    return post


def page_of(telegram, chat):
    return next(number for place, number in telegram.messages if place == chat)


def test_pressing_acknowledge_stops_the_escalation_and_says_so(telegram, post, incident, alice):
    said = post(telegram.press(ALICE, page_of(telegram, ALICE), "Acknowledge", ALICE))
    incident.refresh_from_db()
    assert incident.acknowledged_by == alice
    assert said["method"] == "answerCallbackQuery"
    assert said["text"].startswith(f"You have #{incident.pk}")
    assert not said["show_alert"]
    assert TimelineEntry.objects.filter(incident=incident, via="telegram", by=alice).exists()


def test_the_page_comes_back_changed_in_place(telegram, post, incident):
    place = ALICE, page_of(telegram, ALICE)
    post(telegram.press(*place, "Acknowledge", ALICE))
    outbox.deliver(timezone.now())
    assert len(telegram.messages) == 1
    assert "Acknowledged: Checkout is down" in telegram.messages[place]["text"]
    labels = [one["text"] for row in telegram.messages[place]["reply_markup"]["inline_keyboard"] for one in row]
    assert "Acknowledge" not in labels
    post(telegram.press(*place, "Resolve", ALICE))
    incident.refresh_from_db()
    assert incident.status == "resolved"


def test_a_message_in_a_group_is_answered_by_whoever_presses(telegram, post, linked, service, bob):
    place = DestinationFactory(channel="telegram", address=str(GROUP), name="Shop chat")
    SubscriptionFactory(destination=place, service=service)
    incident = lifecycle.trigger(service, title="Checkout is down", severity="critical", now=timezone.now())
    outbox.deliver(timezone.now())
    number = page_of(telegram, GROUP)
    assert "do not know you" in post(telegram.press(GROUP, number, "Acknowledge", STRANGER))["text"]
    incident.refresh_from_db()
    assert incident.acknowledged_by is None
    post(telegram.press(GROUP, number, "Acknowledge", BOB))
    incident.refresh_from_db()
    assert incident.acknowledged_by == bob
    late = post(telegram.press(GROUP, number, "Acknowledge", ALICE))
    assert late["text"].startswith("Bob already has")


def test_the_same_update_twice_acts_once(telegram, post, incident):
    update = telegram.write(ALICE, f"note {incident.pk} looking", ALICE)
    assert "timeline" in post(update)["text"]
    assert post(update) is None
    assert TimelineEntry.objects.filter(incident=incident, text="looking").count() == 1


@pytest.mark.parametrize("secret", ["", "wrong", "ä"])
def test_an_update_without_the_secret_is_refused(telegram, post, incident, secret):
    update = telegram.press(ALICE, page_of(telegram, ALICE), "Acknowledge", ALICE)
    assert post(update, secret=secret) == 403
    incident.refresh_from_db()
    assert incident.acknowledged_by is None


def test_an_account_that_is_not_verified_or_not_active_may_not_answer(telegram, post, incident, alice):
    update = telegram.press(ALICE, page_of(telegram, ALICE), "Acknowledge", ALICE)
    ContactMethod.objects.filter(user=alice).update(verified_at=None)
    said = post(update)
    assert said["show_alert"]
    assert "https://oncall.example.com/settings" in said["text"]
    ContactMethod.objects.filter(user=alice).update(verified_at=timezone.now())
    alice.is_active = False
    alice.save()
    said = post(telegram.press(ALICE, page_of(telegram, ALICE), "Acknowledge", ALICE))
    assert "deactivated" in said["text"]
    incident.refresh_from_db()
    assert incident.acknowledged_by is None


def test_a_button_with_a_forged_token_does_nothing(telegram, post, incident):
    update = telegram.press(ALICE, page_of(telegram, ALICE), "Acknowledge", ALICE)
    update["callback_query"]["data"] = "ack:INC-42"
    assert post(update)["text"] == "This button is not one of ours."


# --- words ----------------------------------------------------------------------------------------------------
def test_words_do_what_buttons_do(telegram, post, incident, alice):
    assert post(telegram.write(ALICE, "/ack", ALICE))["text"].startswith(f"You have #{incident.pk}")
    assert "nothing waits" in post(telegram.write(ALICE, "ack", ALICE))["text"].lower()
    assert post(telegram.write(ALICE, f"Resolve #{incident.pk}", ALICE))["text"].endswith("is resolved.")
    assert "no incident #999" in post(telegram.write(ALICE, "ack 999", ALICE))["text"]


def test_of_several_pages_a_bare_word_asks_which_and_a_reply_to_one_means_that_one(telegram, post, incident, service):
    first = page_of(telegram, ALICE)
    other = lifecycle.trigger(service, title="Search is slow", severity="critical", now=timezone.now())
    outbox.deliver(timezone.now())
    (number,) = (number for place, number in telegram.messages if place == ALICE and number != first)
    asked = post(telegram.write(ALICE, "ack", ALICE))["text"]
    assert f"#{incident.pk}, #{other.pk}" in asked
    said = post(telegram.write(ALICE, "ack", ALICE, reply_to_message={"message_id": number}))["text"]
    assert f"#{other.pk}" in said
    assert f"#{incident.pk}" in post(telegram.write(ALICE, "ack all", ALICE))["text"]
    assert not Incident.objects.filter(acknowledged_by=None).exists()


def test_a_chat_of_people_is_left_alone_unless_they_mean_us(telegram, post, incident):
    assert post(telegram.write(GROUP, "who had lunch?", BOB)) is None
    assert "I understand" in post(telegram.write(GROUP, "/help@watchbill_bot", BOB))["text"]
    assert "I understand" in post(telegram.write(BOB, "who had lunch?", BOB))["text"]
    assert "do not know you" in post(telegram.write(STRANGER, "hello", STRANGER))["text"]


def test_in_a_group_a_word_without_a_number_is_talk(telegram, post, incident, bob):
    for word in ("close", "r", "ack", "note that lunch is ready"):
        assert post(telegram.write(GROUP, word, BOB)) is None
        for other in ({"from": {"id": ALICE}}, {"from": {"is_bot": True}, "forum_topic_created": {"name": "Shop"}}):
            assert post(telegram.write(GROUP, word, BOB, reply_to_message={"message_id": 1, **other})) is None
    incident.refresh_from_db()
    assert incident.status == "triggered"
    assert f"#{incident.pk}" in post(telegram.write(GROUP, f"ack {incident.pk}", BOB))["text"]
    ours = {"message_id": 1, "from": {"is_bot": True}}
    assert post(telegram.write(GROUP, "ack", BOB, reply_to_message=ours))["method"] == "sendMessage"


def test_who_is_deactivated_does_not_read_who_is_on_call(telegram, post, linked, team, alice):
    ScheduleFactory(name="Shop on call", team=team, people=[alice])
    alice.is_active = False
    alice.save()
    said = post(telegram.write(ALICE, "/oncall", ALICE))["text"]
    assert "deactivated" in said
    assert "Shop" not in said


def test_who_is_on_call(telegram, post, linked, team, alice):
    assert post(telegram.write(ALICE, "/oncall", ALICE))["text"] == "There are no schedules yet."
    ScheduleFactory(name="Shop on call", team=team, people=[alice])
    assert post(telegram.write(ALICE, "/oncall", ALICE))["text"] == "Shop, Shop on call: Alice"


# --- linking --------------------------------------------------------------------------------------------------
def test_starting_the_bot_with_a_code_links_the_chat(telegram, post, alice):
    code = telegram_links.make(alice, now=timezone.now())
    assert "linked to Alice" in post(telegram.write(ALICE, f"/start {code}", ALICE))["text"]
    method = ContactMethod.objects.get(user=alice, channel="telegram")
    assert (method.address, method.is_usable) == (str(ALICE), True)
    assert "used already" in post(telegram.write(BOB, f"/start {code}", BOB))["text"]
    assert "link this chat" in post(telegram.write(BOB, "/start", BOB))["text"]


def test_a_code_said_in_a_group_links_nothing(telegram, post, alice):
    code = telegram_links.make(alice, now=timezone.now())
    assert "a chat of our own" in post(telegram.write(GROUP, f"/start {code}", ALICE))["text"]
    assert not ContactMethod.objects.filter(channel="telegram").exists()


def test_a_group_that_moves_is_followed(telegram, post):
    place = DestinationFactory(channel="telegram", address="-55", name="Shop chat")
    assert post(telegram.write(-55, "", ALICE, migrate_to_chat_id=GROUP)) is None
    place.refresh_from_db()
    assert place.address == str(GROUP)


@pytest.mark.parametrize("update", [[], {}, {"update_id": 1}, {"update_id": 2, "message": {"chat": 7}}, "x"])
def test_an_odd_update_breaks_nothing(post, update):
    assert post(update) in (None, 400)
    assert not Notification.objects.exists()


@pytest.mark.parametrize("body", ["", "[" * 100_000, '{"update_id": Infinity}', '{"update_id": 1e999}', b"\xff"])
def test_what_is_no_update_is_refused(account, body):
    headers = {SECRET_HEADER: account.config["webhook_secret"]}
    answer = Client().post("/telegram/webhook", body, content_type="application/json", headers=headers)
    assert answer.status_code == 400


def test_the_command_tells_telegram_where_to_post(telegram, account, capsys):
    call_command("telegram_webhook")
    assert telegram.webhook["url"] == "https://oncall.example.com/telegram/webhook"
    assert telegram.webhook["secret_token"] == account.config["webhook_secret"]
    assert telegram.webhook["allowed_updates"] == ["message", "callback_query"]
    assert "@watchbill_bot" in capsys.readouterr().out


def test_the_command_says_why_telegram_refused(telegram, account):
    with pytest.raises(CommandError, match="An HTTPS URL must be provided"):
        call_command("telegram_webhook", url="http://oncall.example.com")


@pytest.mark.django_db
def test_the_command_without_a_bot_says_what_to_do():
    with pytest.raises(CommandError, match="TELEGRAM_BOT_TOKEN"):
        call_command("telegram_webhook")


# --- the grammar ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "text, command",
    [
        ("42a", Command("acknowledge", 42)),
        ("'42 ack", Command("acknowledge", 42)),
        ("42aa", Command("acknowledge", 42, is_all=True)),
        ("42a please", Command("acknowledge", 42, text="please")),
        ("ACK", Command("acknowledge")),
        ("ack42", Command("acknowledge", 42)),
        ("ack # 42", Command("acknowledge", 42)),
        ("ack, thanks!", Command("acknowledge", text="thanks!")),
        ("ack all", Command("acknowledge", is_all=True)),
        ("/ack@watchbill_bot 42", Command("acknowledge", 42)),
        ("c 7", Command("resolve", 7)),
        ("Resolve", Command("resolve")),
        ("e", Command("escalate")),
        ("note 42 On my way", Command("note", 42, text="On my way")),
        ("Note I am late", Command("note", text="I am late")),
        ("oncall", Command("oncall")),
        ("?", Command("help")),
        ("a problem", None),
        ("resolve later?", None),
        ("acknowledgement", None),
        ("42", None),
        ("", None),
    ],
)
def test_what_people_write_is_understood(text, command):
    assert grammar.read(text) == command
