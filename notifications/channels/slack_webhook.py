"""Slack, by an incoming webhook: nothing to install but a web address. It cannot change or thread what it posted."""

import logging
from urllib.parse import urlsplit

from core import http
from core.errors import SendError
from notifications import blocks
from notifications.channels.base import Accepted, Channel, DeadAddress, Limit

logger = logging.getLogger(__name__)

# The words that docs.slack.dev lists for incoming webhooks.
DEAD = {
    "no_service": "the webhook was removed or never existed",
    "no_service_id": "the address is not complete",
    "no_team": "the workspace is gone",
    "no_active_hooks": "the webhook was turned off",
    "team_disabled": "the workspace was disabled",
    "invalid_token": "the address is not right, or the webhook was revoked",
    "user_not_found": "the member that it posts to is gone",
    "channel_not_found": "the channel that it posts to is gone",
    "channel_is_archived": "the channel that it posts to is archived",
}
OUR_FAULT = frozenset(
    {"invalid_payload", "invalid_blocks", "invalid_blocks_format", "msg_too_long", "msg_blocks_too_long", "no_text"}
)
DEAD_STATUSES = frozenset({401, 403, 404, 410})


class SlackWebhook(Channel):
    kind, label = "slack_webhook", "Slack webhook"
    is_for_teams = True
    is_address_secret = True
    address_label = "Webhook URL"
    address_help = "The incoming webhook of a Slack app, for example https://hooks.slack.com/services/T000/B000/XXXX"
    per_address = Limit(5, 5)  # Slack: one a second, short bursts are fine

    def problem_with(self, address):
        return http.problem_with(address)

    def lane(self, address):
        return f"{self.kind} {urlsplit(address).netloc}"

    def preview(self, outgoing):
        return {"Text": blocks.plain(outgoing), "Blocks": blocks.words(outgoing, verbs=blocks.LINKS)}

    def send(self, address, outgoing):
        guard = http.STRANGERS if outgoing.is_outside else http.OURS
        reply = _post(address, guard, blocks.plain(outgoing), blocks.compose(outgoing, verbs=blocks.LINKS))
        if (word := _word(reply)) in OUR_FAULT:
            logger.error("Slack refused the blocks of message %s (%s): sent as text", outgoing.uuid, word)
            reply = _post(address, guard, blocks.plain(outgoing, with_links=True))
            word = _word(reply)
        if reply.is_success and word == "ok":
            return Accepted(is_delivered=True, answer="ok")
        if word in DEAD:
            raise DeadAddress(f"Slack says {word}: {DEAD[word]}. Make a new webhook.", status=reply.status)
        text = f"Slack's webhook answered {reply.status} {word}".rstrip()
        if reply.status in DEAD_STATUSES and not word.startswith(("action_prohibited", "posting_to_")):
            raise DeadAddress(f"{text}. Make a new webhook.", status=reply.status)
        # 200 with other words than “ok” is a proxy or a trouble that passes; any other status does not.
        raise SendError(
            f"{text}. Check the address, and the rules of the workspace.",
            permanent=not reply.is_success,
            status=reply.status,
        )


def _post(address, guard, text, found=None):
    body = {"text": text, "unfurl_links": False, "unfurl_media": False}
    return http.post(address, json=body | ({"blocks": found} if found else {}), guard=guard)


def _word(reply):
    """What Slack says, a word or two in plain text."""
    return " ".join(reply.text.split())[:100]
