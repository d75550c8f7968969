"""Slack by a bot: what is posted through the SDK, changed in place, and what Slack's answers mean."""

import dataclasses
import json
from pathlib import Path

import pytest

from core.errors import SendError
from notifications import blocks
from notifications.channels.base import AdminNeeded, DeadAddress, ProviderBroken
from notifications.channels.slack import Slack, channel_name
from notifications.message import Action, Kind
from notifications.vendors.slack import Slack as Vendor
from notifications.vendors.slack import client, is_genuine
from tests.fakes import slack as fake
from tests.notifications.chat import outgoing
from tests.notifications.conftest import NOW, make_message

CHANNEL, MEMBER = "C024BE91L", "U061F7AUR"
VECTOR = json.loads((Path(__file__).parents[1] / "payloads" / "slack_signature.json").read_text())


@pytest.fixture
def slack(settings):
    settings.HTTP_ALLOW_PRIVATE = ["127.0.0.1"]
    with fake.slack() as server:
        yield server


def send(slack, address=CHANNEL, **fields):
    return Slack().send(address, outgoing(**{"config": slack.config, **fields}))


def first_message(slack, accepted, **message):
    """What a change of this message looks like to the channel."""
    return outgoing(slack.config, previous=accepted.data, message=message)


def buttons(message):
    """The buttons that come back to us, by their action_id."""
    found = [one for block in message["blocks"] if block["type"] == "actions" for one in block["elements"]]
    return {one["action_id"]: one for one in found if "url" not in one}


def words(message):
    return json.dumps(message["blocks"], ensure_ascii=False)


def test_a_page_has_words_fields_notes_and_a_button_for_every_verb(slack):
    accepted = send(slack, notes=("This page is 3 min late.",))
    (message,) = slack.messages
    assert accepted.is_delivered
    assert accepted.provider_id == message["ts"]
    assert accepted.data == {"channel": CHANNEL, "ts": message["ts"]}
    assert message["text"].startswith("🔴 CRITICAL: Checkout errors\nThis page is 3 min late.")
    kinds = [block["type"] for block in message["blocks"]]
    assert kinds == ["header", "section", "section", "section", "actions", "context"]
    header, notes, fields, body, actions, context = message["blocks"]
    assert header["text"]["text"] == "🔴 CRITICAL · Checkout errors"
    assert "3 min late" in notes["text"]["text"]
    assert fields["fields"] == [{"type": "mrkdwn", "text": "*Service*\nCheckout"}]
    assert body["text"]["text"] == "5 % of orders fail."
    assert [(one["action_id"], one.get("value"), one.get("url")) for one in actions["elements"]] == [
        ("watchbill:acknowledge", "token-acknowledge", None),
        ("watchbill:resolve", "token-resolve", None),
        ("watchbill:escalate", "token-escalate", None),
        ("watchbill:open", None, "https://oncall.example.com/incidents/42"),
    ]
    assert "Alice" in context["elements"][0]["text"]


def test_a_person_gets_a_direct_message(slack):
    accepted = send(slack, MEMBER)
    assert [name for name, _ in slack.calls] == ["conversations.open", "chat.postMessage"]
    assert slack.calls[0][1]["users"] == MEMBER
    assert accepted.data["channel"] == slack.messages[0]["channel"] == "D061F7AUR"
    send(slack, MEMBER)
    assert [name for name, _ in slack.calls].count("conversations.open") == 1


def test_nothing_in_an_alert_can_mention_anybody_or_hide_a_link(slack):
    nasty = "<!channel> <@U1> <https://evil.example|click> & more"
    send(slack, message={"title": nasty, "body": nasty, "fields": ((nasty, nasty),)})
    (message,) = slack.messages
    mrkdwn = [block["text"]["text"] for block in message["blocks"] if block["type"] == "section" and "text" in block]
    mrkdwn += [field["text"] for block in message["blocks"] for field in block.get("fields", [])] + [message["text"]]
    assert len(mrkdwn) == 3
    for text in mrkdwn:
        assert "<" not in text
        assert "&lt;!channel&gt;" in text


@pytest.mark.parametrize("filler", ["x", "&", "<b>", "é\n", "🔴 "])
def test_the_longest_message_keeps_within_every_limit(slack, filler):
    send(
        slack,
        notes=(filler * 3000,),
        person=filler * 300,
        message={
            "title": filler * 1000,
            "body": filler * 20_000,
            "fields": tuple((filler * 500, filler * 5000) for _ in range(60)),
        },
    )
    (message,) = slack.messages
    assert [name for name, _ in slack.calls] == ["chat.postMessage"]
    assert fake.length(message["blocks"]) <= blocks.TOTAL
    assert len(message["text"]) <= blocks.TEXT
    assert len(message["blocks"]) <= blocks.BLOCKS
    assert "…" in words(message)
    assert "watchbill:acknowledge" in buttons(message)
    for text in (field["text"] for block in message["blocks"] for field in block.get("fields", [])):
        assert not text.rstrip("…").endswith(("&", "&a", "&am", "&amp", "&l", "&lt", "&g", "&gt"))


def test_long_text_loses_only_its_end(slack):
    body = "\n".join(f"line {number} of a long story" for number in range(200))
    send(slack, message={"body": body, "fields": ()})
    said = "\n".join(block["text"]["text"] for block in slack.messages[0]["blocks"] if block["type"] == "section")
    assert said == body
    assert all(
        len(block["text"]["text"]) <= 3000 for block in slack.messages[0]["blocks"] if block["type"] == "section"
    )


def test_an_acknowledgement_changes_the_message_in_place(slack):
    accepted = send(slack)
    change = first_message(
        slack,
        accepted,
        kind=Kind.ACKNOWLEDGED,
        title="Checkout errors: Alice has it",
        actions=(Action("Resolve", "resolve"),),
    )
    again = Slack().send(CHANNEL, change)
    (message,) = slack.messages
    assert len(message["edits"]) == 1
    assert "👀 ACKNOWLEDGED · Checkout errors: Alice has it" in words(message)
    assert set(buttons(message)) == {"watchbill:resolve"}
    assert again.data == accepted.data
    assert again.provider_id == message["ts"]


def test_a_resolved_message_has_no_buttons_left(slack):
    accepted = send(slack)
    Slack().send(CHANNEL, first_message(slack, accepted, kind=Kind.RESOLVED, actions=()))
    assert "✅ RESOLVED" in words(slack.messages[0])
    assert buttons(slack.messages[0]) == {}


def test_an_update_changes_the_message_and_is_said_in_its_thread(slack):
    accepted = send(slack)
    again = Slack().send(CHANNEL, first_message(slack, accepted, kind=Kind.UPDATE, title="Escalated"))
    root, answer = slack.messages
    assert (len(root["edits"]), answer["thread_ts"]) == (1, root["ts"])
    assert "watchbill:acknowledge" in buttons(root)
    assert buttons(answer) == {}  # they would grow old there
    assert again.data == accepted.data
    assert again.provider_id == answer["ts"]


def test_a_note_is_written_in_the_thread_only(slack):
    accepted = send(slack)
    note = first_message(slack, accepted, kind=Kind.UPDATE, title="A note", data={"in_thread": True})
    again = Slack().send(CHANNEL, note)
    root, answer = slack.messages
    assert (root["edits"], answer["thread_ts"], buttons(answer)) == ([], root["ts"], {})
    assert again.data == accepted.data
    slack.messages.clear()
    Slack().send(CHANNEL, note)
    assert slack.messages[0]["thread_ts"] is None


@pytest.mark.parametrize("error", ["cant_update_message", "edit_window_closed"])
def test_a_message_that_cannot_be_changed_is_followed_in_its_thread(slack, error):
    accepted = send(slack)
    slack.next_answer("chat.update", json={"ok": False, "error": error})
    Slack().send(CHANNEL, first_message(slack, accepted, kind=Kind.RESOLVED, actions=()))
    assert slack.messages[1]["thread_ts"] == accepted.data["ts"]
    assert "RESOLVED" in words(slack.messages[1])


def test_a_deleted_message_is_posted_anew(slack):
    accepted = send(slack)
    slack.messages.clear()
    again = Slack().send(CHANNEL, first_message(slack, accepted, kind=Kind.RESOLVED, actions=()))
    (message,) = slack.messages
    assert message["thread_ts"] is None
    assert again.data == {"channel": CHANNEL, "ts": message["ts"]}


@pytest.mark.parametrize("error", ["invalid_auth", "token_revoked", "account_inactive", "org_login_required"])
def test_trouble_with_our_account_is_not_the_address_s_fault(slack, error):
    slack.next_answer("chat.postMessage", json={"ok": False, "error": error})
    with pytest.raises(ProviderBroken, match="Slack account"):
        send(slack)


def test_a_wrong_token_is_trouble_with_our_account(slack):
    with pytest.raises(ProviderBroken) as error:
        send(slack, config={**slack.config, "bot_token": "xoxb-wrong-secret"})
    assert "wrong-secret" not in error.value.message


def test_a_missing_scope_is_named_to_the_admins(slack):
    answer = {"ok": False, "error": "missing_scope", "needed": "im:write", "provided": "chat:write"}
    slack.next_answer("conversations.open", json=answer)
    with pytest.raises(AdminNeeded, match="im:write"):
        send(slack, "U0SCOPE01")


@pytest.mark.parametrize("error", ["channel_not_found", "is_archived", "user_not_found", "users_not_found"])
def test_an_address_that_is_gone_is_dead(slack, error):
    slack.next_answer("chat.postMessage", json={"ok": False, "error": error})
    with pytest.raises(DeadAddress):
        send(slack)


@pytest.mark.parametrize(
    "error", ["internal_error", "fatal_error", "service_unavailable", "request_timeout", "new_one"]
)
def test_trouble_that_passes_is_tried_again(slack, error):
    slack.next_answer("chat.postMessage", json={"ok": False, "error": error})
    with pytest.raises(SendError, match=error) as raised:
        send(slack)
    assert not raised.value.permanent
    assert not isinstance(raised.value, ProviderBroken)


def test_too_many_requests_say_when_to_come_back(slack):
    slack.next_answer("chat.postMessage", status=429, headers={"Retry-After": "17"})
    with pytest.raises(SendError) as error:
        send(slack)
    assert (error.value.retry_after, error.value.permanent) == (17, False)
    assert [name for name, _ in slack.calls] == ["chat.postMessage"]  # the SDK does not sleep and try again


@pytest.mark.parametrize("status", [500, 503])
def test_a_broken_slack_is_tried_again(slack, status):
    slack.next_answer("chat.postMessage", status=status, text="<html>sorry</html>")
    with pytest.raises(SendError, match=str(status)) as error:
        send(slack)
    assert not error.value.permanent


def test_an_answer_that_is_not_json_is_tried_again_and_not_quoted(slack):
    slack.next_answer("chat.postMessage", status=200, text="<html>captive portal</html>")
    with pytest.raises(SendError) as error:
        send(slack)
    assert not error.value.permanent
    assert "captive" not in error.value.message


def test_the_app_joins_a_channel_once_and_then_gives_up(slack):
    slack._known(CHANNEL)["is_joined"] = False
    send(slack)
    assert [name for name, _ in slack.calls] == ["chat.postMessage", "conversations.join", "chat.postMessage"]
    slack.next_answer("chat.postMessage", json={"ok": False, "error": "not_in_channel"}, times=2)
    with pytest.raises(SendError, match="Invite it") as error:
        send(slack)
    assert error.value.permanent


def test_a_channel_that_nobody_can_join_by_themselves_wants_an_invitation(slack):
    slack.next_answer("chat.postMessage", json={"ok": False, "error": "not_in_channel"})
    slack.next_answer("conversations.join", json={"ok": False, "error": "method_not_supported_for_channel_type"})
    with pytest.raises(SendError, match="Invite it") as error:
        send(slack)
    assert error.value.permanent


def test_all_calls_of_one_message_share_a_time_limit(slack):
    """A dozen slow calls, each within its own limit, would outlast the lease, and the message would go out twice."""
    late = client({**slack.config}, within=0)
    with pytest.raises(SendError, match="within 0 s"):
        late.chat_postMessage(channel=CHANNEL, text="x")
    assert slack.calls == []


@pytest.mark.logs_errors
@pytest.mark.parametrize("error", ["msg_too_long", "msg_blocks_too_long", "invalid_blocks", "no_text"])
def test_blocks_that_slack_refuses_go_out_as_text_with_links(slack, error):
    slack.next_answer("chat.postMessage", json={"ok": False, "error": error})
    send(slack)
    (message,) = slack.messages
    assert message["blocks"] == []
    assert "Checkout errors" in message["text"]
    assert "Acknowledge: https://oncall.example.com/l/acknowledge" in message["text"]


def test_a_slow_slack_is_given_up_and_tried_again(slack):
    slack.next_answer("chat.postMessage", seconds=3)
    with pytest.raises(SendError, match="did not answer") as error:
        client(slack.config, timeout=0.2).chat_postMessage(channel=CHANNEL, text="x")
    assert not error.value.permanent


def test_a_slack_that_is_not_there_is_tried_again(slack):
    with pytest.raises(SendError, match="could not be reached") as error:
        send(slack, config={**slack.config, "base_url": "http://127.0.0.1:9/api/"})
    assert not error.value.permanent


def test_a_private_address_of_the_api_is_refused(slack, settings):
    settings.HTTP_ALLOW_PRIVATE = []
    with pytest.raises(SendError, match="HTTP_ALLOW_PRIVATE"):
        send(slack)
    assert slack.calls == []


WISH = {"name": "inc-42 Checkout errors!", "topic": "P1 Checkout errors", "invite": ["U0ALICE01", "U0BOB0001"]}


def test_an_incident_gets_a_channel_with_its_responders(slack):
    accepted = send(slack, message={"data": {"slack_channel": WISH}})
    room = slack.channels[accepted.data["incident_channel"]]
    assert (room["name"], room["topic"]) == ("inc-42-checkout-errors", "P1 Checkout errors")
    assert room["members"] == ["U0ALICE01", "U0BOB0001"]
    assert [one["channel"] for one in slack.messages] == [CHANNEL, room["id"]]
    assert accepted.data["ts"] == slack.messages[0]["ts"]
    assert "watchbill:acknowledge" in buttons(slack.messages[1])


def test_a_channel_name_that_is_taken_gets_a_number(slack):
    long = {**WISH, "name": "x" * 100}
    rooms = [send(slack, message={"data": {"slack_channel": long}}).data["incident_channel"] for _ in range(3)]
    assert [slack.channels[one]["name"] for one in rooms] == ["x" * 80, "x" * 78 + "-2", "x" * 78 + "-3"]


def test_a_channel_that_cannot_be_opened_does_not_stop_the_page(slack):
    slack.next_answer(
        "conversations.create", json={"ok": False, "error": "missing_scope", "needed": "channels:manage"}
    )
    accepted = send(slack, message={"data": {"slack_channel": WISH}})
    assert len(slack.messages) == 1
    assert "incident_channel" not in accepted.data
    assert "channels:manage" in accepted.answer


def test_somebody_who_is_gone_does_not_stop_the_invitation_of_the_others(slack):
    slack.unknown.add("U0ALICE01")
    accepted = send(slack, message={"data": {"slack_channel": WISH}})
    assert slack.channels[accepted.data["incident_channel"]]["members"] == ["U0BOB0001"]


def test_the_channel_of_an_incident_is_told_and_put_away_at_the_end(slack):
    accepted = send(slack, message={"data": {"slack_channel": WISH}})
    room = slack.channels[accepted.data["incident_channel"]]
    end = first_message(slack, accepted, kind=Kind.RESOLVED, actions=(), data={"archive": True})
    again = Slack().send(CHANNEL, end)
    assert room["is_archived"]
    assert again.data == accepted.data
    first, inside, last = slack.messages
    assert "RESOLVED" in words(first)
    assert "RESOLVED" in words(inside)
    assert (last["channel"], buttons(inside), buttons(last)) == (room["id"], {}, {})


@pytest.mark.parametrize(
    "text, name", [("INC 42: Ünïcode & more", "inc-42-n-code-more"), ("!!!", "incident"), ("a_b-c", "a_b-c")]
)
def test_a_channel_name_is_one_that_slack_takes(text, name):
    assert channel_name(text) == name


@pytest.mark.parametrize("address", ["U061F7AUR", "W061F7AUR", "C024BE91L", "G024BE91L"])
def test_an_id_is_an_address(address):
    assert Slack().problem_with(address) == ""


@pytest.mark.parametrize("address", ["@alice", "#shop-alerts", "alice@example.com", "u061f7aur", "U1", ""])
def test_anything_else_says_where_the_id_stands(address):
    assert "ID" in Slack().problem_with(address)


@pytest.mark.parametrize("severity", ["critical", "high", "medium", "low", "info"])
def test_the_severity_is_a_word_and_a_shape(severity):
    emoji, word = blocks.label_of(make_message(severity=severity))
    assert word == severity.upper()
    assert len({blocks.label_of(make_message(severity=one))[0] for one in blocks.SEVERITIES}) == 5
    assert emoji


def test_the_signature_is_that_of_the_documentation():
    signed = {
        "timestamp": VECTOR["headers"]["X-Slack-Request-Timestamp"],
        "signature": VECTOR["headers"]["X-Slack-Signature"],
        "body": VECTOR["body"].encode(),
    }
    at = NOW.fromtimestamp(1531420618, NOW.tzinfo)
    config = {"signing_secret": VECTOR["signing_secret"]}
    assert is_genuine(config, now=at, **signed)
    late = NOW.fromtimestamp(1531420618 + 301, NOW.tzinfo)
    assert not is_genuine(config, now=late, **signed)
    assert not is_genuine({"signing_secret": ""}, now=at, **signed)
    assert not is_genuine({"signing_secret": "another"}, now=at, **signed)
    assert not is_genuine(config, now=at, **{**signed, "body": signed["body"] + b"&more=1"})
    for timestamp in ("", "soon", "-1531420618", "1531420618.0", "１５３１４２０６１８", "9" * 400):
        assert not is_genuine(config, now=at, **{**signed, "timestamp": timestamp})
    for signature in ("", "v0=", "v0=é", signed["signature"][:-1]):
        assert not is_genuine(config, now=at, **{**signed, "signature": signature})


def test_an_account_says_what_is_wrong_with_it(slack):
    assert Vendor().problems_with(slack.config) == {}
    assert "xoxb-" in Vendor().problems_with({**slack.config, "bot_token": "xoxp-1"})["bot_token"]
    assert "base_url" in Vendor().problems_with({**slack.config, "base_url": "slack.com"})
    assert Vendor().missing({}) == ["Bot token", "Signing secret"]
    assert Vendor().complete({})["base_url"] == "https://slack.com/api/"


def test_the_preview_reads_like_the_message(slack):
    look = Slack().preview(dataclasses.replace(outgoing(), notes=("Late.",)))
    assert look["Text"].startswith("🔴 CRITICAL: Checkout errors")
    assert look["Blocks"].splitlines()[:2] == ["🔴 CRITICAL · Checkout errors", "⚠️ Late."]
    assert "Acknowledge" in look["Blocks"]
