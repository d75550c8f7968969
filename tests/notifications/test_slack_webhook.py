"""Slack's incoming webhook: what is posted, and what its plain words mean."""

import json

import pytest

from core.errors import SendError
from notifications.channels.base import DeadAddress
from notifications.channels.slack_webhook import SlackWebhook
from tests.fakes import slack as fake
from tests.notifications.chat import outgoing

PATH = "/services/T000/B000/SECRET"


@pytest.fixture
def slack(settings):
    settings.HTTP_ALLOW_PRIVATE = ["127.0.0.1"]
    with fake.slack() as server:
        yield server


def send(slack, **fields):
    return SlackWebhook().send(slack.url(PATH), outgoing(**fields))


def test_a_message_has_links_in_the_place_of_buttons(slack):
    assert send(slack).is_delivered
    (message,) = slack.messages
    assert message["channel"] == PATH
    elements = next(block["elements"] for block in message["blocks"] if block["type"] == "actions")
    assert [(one["text"]["text"], one["url"]) for one in elements] == [
        ("Acknowledge", "https://oncall.example.com/l/acknowledge"),
        ("Resolve", "https://oncall.example.com/l/resolve"),
        ("Escalate", "https://oncall.example.com/l/escalate"),
        ("Open", "https://oncall.example.com/incidents/42"),
    ]
    assert "token-" not in json.dumps(message)


@pytest.mark.parametrize(
    "status, word",
    [
        (404, "no_service"),
        (403, "invalid_token"),
        (404, "channel_not_found"),
        (410, "channel_is_archived"),
        (400, "no_active_hooks"),
        (410, ""),
    ],
)
def test_a_webhook_that_is_gone_is_a_dead_address(slack, status, word):
    slack.next_answer("webhook", status=status, text=word)
    with pytest.raises(DeadAddress, match=word or "410") as error:
        send(slack)
    assert "SECRET" not in error.value.message


@pytest.mark.logs_errors
@pytest.mark.parametrize("word", ["invalid_payload", "invalid_blocks", "no_text"])
def test_blocks_that_are_refused_go_out_as_text(slack, word):
    slack.next_answer("webhook", status=400, text=word)
    send(slack)
    (message,) = slack.messages
    assert message["blocks"] == []
    assert "https://oncall.example.com/l/acknowledge" in message["text"]


@pytest.mark.logs_errors
def test_text_that_is_refused_too_is_the_end(slack):
    slack.next_answer("webhook", status=400, text="invalid_payload", times=2)
    with pytest.raises(SendError, match="invalid_payload") as error:
        send(slack)
    assert error.value.permanent


def test_the_workspace_s_rules_do_not_kill_the_address(slack):
    slack.next_answer("webhook", status=403, text="action_prohibited")
    with pytest.raises(SendError, match="action_prohibited") as error:
        send(slack)
    assert error.value.permanent
    assert not isinstance(error.value, DeadAddress)


def test_200_without_ok_is_no_success(slack):
    slack.next_answer("webhook", status=200, text="<html>Sign in to the network</html>")
    with pytest.raises(SendError) as error:
        send(slack)
    assert not error.value.permanent


@pytest.mark.parametrize("status", [429, 500, 503])
def test_trouble_that_passes_is_tried_again(slack, status):
    slack.next_answer("webhook", status=status, text="", headers={"Retry-After": "30"})
    with pytest.raises(SendError) as error:
        send(slack)
    assert (error.value.permanent, error.value.retry_after) == (False, 30)


def test_the_address_is_a_secret():
    channel = SlackWebhook()
    assert channel.is_address_secret
    assert channel.shown("https://hooks.slack.com/services/T0/B0/SECRET") == "https://hooks.slack.com/…"
    assert channel.problem_with("https://hooks.slack.com/services/T0/B0/SECRET") == ""
    assert channel.problem_with("hooks.slack.com/services") != ""
    assert channel.lane("https://hooks.slack.com/services/T0/B0/SECRET") == "slack_webhook hooks.slack.com"
