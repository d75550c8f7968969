"""Discord's webhook: the embed, its limits, changes in place, and what the answers mean."""

import json

import pytest

from core.errors import SendError
from notifications.channels.base import DeadAddress
from notifications.channels.discord import Discord
from notifications.message import Kind
from tests.fakes import discord as fake
from tests.notifications.chat import outgoing

PATH = "/api/webhooks/1234567890/SECRET-token"


@pytest.fixture
def discord(settings):
    settings.HTTP_ALLOW_PRIVATE = ["127.0.0.1"]
    with fake.discord() as server:
        yield server


def send(discord, query="", **fields):
    return Discord().send(discord.url(PATH) + query, outgoing(**fields))


def test_a_page_is_one_embed_that_mentions_nobody(discord):
    accepted = send(discord, notes=("This page is 3 min late.",))
    (message,) = discord.messages
    assert (accepted.provider_id, accepted.is_delivered) == (message["id"], True)
    body = message["body"]
    assert body["allowed_mentions"] == {"parse": []}
    assert body["content"] == "🔴 CRITICAL: Checkout errors"
    (embed,) = body["embeds"]
    assert embed["title"] == "Checkout errors"
    assert embed["url"] == "https://oncall.example.com/incidents/42"
    assert embed["description"] == "⚠️ This page is 3 min late.\n5 % of orders fail."
    assert embed["fields"][0] == {"name": "Service", "value": "Checkout", "inline": True}
    assert "[Acknowledge](https://oncall.example.com/l/acknowledge)" in embed["fields"][-1]["value"]
    assert embed["footer"] == {"text": "For Alice"}
    assert embed["timestamp"] == "2026-05-04T10:15:00+00:00"


def test_a_change_edits_the_message_in_place(discord):
    accepted = send(discord)
    again = send(discord, previous=accepted.data, message={"kind": Kind.RESOLVED, "actions": ()})
    (message,) = discord.messages
    assert len(message["edits"]) == 1
    assert message["body"]["content"].startswith("✅ RESOLVED")
    assert "Answer" not in json.dumps(message["body"])
    assert again.data == accepted.data


def test_a_deleted_message_is_posted_anew(discord):
    accepted = send(discord)
    discord.messages.clear()
    again = send(discord, previous=accepted.data, message={"kind": Kind.RESOLVED})
    assert again.provider_id == discord.messages[0]["id"] != accepted.provider_id


def test_a_thread_of_the_address_is_kept(discord):
    accepted = send(discord, query="?thread_id=77")
    assert discord.messages[0]["thread_id"] == "77"
    send(discord, query="?thread_id=77", previous=accepted.data)
    assert discord.calls[1][:2] == ("PATCH", f"{PATH}/messages/{accepted.provider_id}?thread_id=77")


@pytest.mark.parametrize("filler", ["x", "*", "\\", "é ", "🔴", "z\n"])
def test_the_longest_message_keeps_within_every_limit(discord, filler):
    send(
        discord,
        notes=(filler * 3000,),
        person="P" + filler * 3000,
        message={
            "title": "T" + filler * 1000,
            "body": "B" + filler * 50_000,
            "fields": tuple((f"name {filler * 500}", f"value {filler * 5000}") for _ in range(60)),
        },
    )
    assert len(discord.messages) == 1
    assert "…" in discord.messages[0]["body"]["embeds"][0]["description"]


def test_a_blank_field_is_shown_as_empty(discord):
    send(discord, message={"fields": (("Service", " \n"), (" ", "Checkout"))})
    first, second, *_ = discord.messages[0]["body"]["embeds"][0]["fields"]
    assert (first["name"], first["value"], second["name"], second["value"]) == ("Service", "–", "–", "Checkout")


def test_markdown_of_an_alert_is_shown_as_it_is(discord):
    send(discord, message={"body": "[click](https://evil.example) @everyone **x**"})
    assert discord.messages[0]["body"]["embeds"][0]["description"].startswith(r"\[click\](https://evil.example)")


def test_too_many_requests_say_when_to_come_back_to_the_fraction(discord):
    answer = {"message": "You are being rate limited.", "retry_after": 64.57, "global": False}
    discord.next_answer(status=429, json=answer)
    with pytest.raises(SendError) as error:
        send(discord)
    assert (error.value.retry_after, error.value.permanent) == (64.57, False)
    discord.next_answer(status=429, json=[], headers={"Retry-After": "9"})
    with pytest.raises(SendError) as error:
        send(discord)
    assert error.value.retry_after == 9


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_webhook_that_is_gone_is_a_dead_address(discord, status):
    discord.next_answer(status=status, json={"message": "Unknown Webhook", "code": 10015})
    with pytest.raises(DeadAddress, match="Unknown Webhook") as error:
        send(discord)
    assert "SECRET" not in error.value.message


def test_a_deleted_webhook_is_not_tried_a_second_time_for_a_change(discord):
    accepted = send(discord)
    discord.deleted.add("1234567890")
    with pytest.raises(DeadAddress):
        send(discord, previous=accepted.data)
    assert len(discord.calls) == 2


def test_an_embed_that_discord_refuses_goes_out_as_text_with_links(discord):
    first = send(discord)
    for previous, title in ((None, "Checkout @everyone"), (first.data, "Checkout is over")):
        discord.next_answer(status=400, json={"message": "Invalid Form Body", "code": 50035})
        send(discord, previous=previous, notes=("This page is 3 min late.",), message={"title": title})
    changed, new = (one["body"] for one in discord.messages)
    assert "Checkout is over" in changed["content"]
    assert changed["embeds"] == new["embeds"] == []
    assert new["allowed_mentions"] == {"parse": []}
    for text in ("3 min late", "5 % of orders fail.", "/l/acknowledge", "/incidents/42"):
        assert text in new["content"]


def test_the_text_alone_keeps_within_the_limit_and_keeps_its_links(discord):
    discord.next_answer(status=400)
    send(discord, notes=("_" * 3000,), message={"title": "*" * 3000, "body": "x" * 9000})
    content = discord.messages[0]["body"]["content"]
    assert len(content) <= 2000
    assert "/l/acknowledge" in content


def test_a_refused_body_is_not_tried_for_ever(discord):
    discord.next_answer(status=400, json={"message": "Invalid Form Body", "code": 50035}, times=2)
    with pytest.raises(SendError, match="Invalid Form Body") as error:
        send(discord)
    assert error.value.permanent


def test_an_answer_without_the_message_is_no_success(discord):
    discord.next_answer(status=200, json={})
    with pytest.raises(SendError) as error:
        send(discord)
    assert not error.value.permanent


def test_only_a_webhook_s_address_is_taken():
    channel = Discord()
    assert channel.problem_with("https://discord.com/api/webhooks/1234567890/SECRET-token") == ""
    assert channel.problem_with("https://discord.com/api/v10/webhooks/1234567890/SECRET-token?thread_id=1") == ""
    problem = channel.problem_with("https://discord.com/channels/1/SECRET")
    assert "Integrations" in problem
    assert "SECRET" not in problem
