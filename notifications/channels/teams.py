"""Microsoft Teams, by the webhook of a Workflows flow: one Adaptive Card per message.

The flow cannot take an answer, so its buttons open signed pages, and a posted card cannot be changed.
"""

import json
import logging
import re
from urllib.parse import urlsplit

from core import http
from core.errors import SendError
from notifications import blocks
from notifications.channels.base import Accepted, Channel, DeadAddress, Limit

logger = logging.getLogger(__name__)

CARD_VERSION = "1.4"  # what every Teams client shows
BODY_BYTES = 28 * 1024  # “request entity too large” from there on
TITLE, FACT, FACTS, TEXT, NOTES, ACTIONS = 300, 500, 20, 12_000, 1500, 6
COLOURS = {
    "CRITICAL": "Attention",
    "HIGH": "Warning",
    "MEDIUM": "Warning",
    "LOW": "Accent",
    "RESOLVED": "Good",
    "ACKNOWLEDGED": "Accent",
}
NOT_TAKEN = frozenset({400, 413})  # the card, or the address: the second try tells
PLAIN_TEXT = 2000
DEAD = frozenset({401, 403, 404, 410})
HIDDEN_ERROR = re.compile(r"HTTP error (\d{3})")  # of an answer that says 200


class Teams(Channel):
    kind, label = "teams", "Microsoft Teams"
    is_for_people = False
    is_for_teams = True
    is_address_secret = True
    tells_updates = False  # a card cannot be changed, so each word more is one more card
    address_label = "Webhook URL"
    address_help = (
        "The address of a flow made from “Post to a channel when a webhook request is received”, "
        "for example https://prod-01.westeurope.logic.azure.com/workflows/…"
    )
    per_address = Limit(4, 1)  # Microsoft: 4 requests a second; its limits per hour come back as 429

    def problem_with(self, address):
        return http.problem_with(address)

    def lane(self, address):
        return f"{self.kind} {urlsplit(address).netloc}"

    def send(self, address, outgoing):
        reply = _post(address, body_of(outgoing))
        if reply.status in NOT_TAKEN:
            logger.warning("Teams refused the card of message %s (%s): sent as text", outgoing.uuid, reply.status)
            reply = _post(address, _message(plain_card(outgoing)))
        if hidden := HIDDEN_ERROR.search(reply.text):
            status = int(hidden.group(1))
            raise SendError(
                f"Teams answered {reply.status}, and in it HTTP error {status}.",
                permanent=status < 500 and status != 429,
                status=status,
            )
        if reply.is_success:
            return Accepted(answer=f"{reply.status}: the flow has started")
        if reply.status in DEAD:
            raise DeadAddress(
                f"Teams answered {reply.status}: the flow was deleted, turned off, or its owner has left. "
                "Make a new one and enter its address.",
                status=reply.status,
            )
        words = " ".join(reply.text.split())[:200]
        logger.warning("Teams answered %s to message %s: %s", reply.status, outgoing.uuid, words)
        raise SendError(
            f"Teams answered {reply.status}. Check the address of the flow. {words}".strip(),
            permanent=True,
            status=reply.status,
        )


def _post(address, data):
    return http.post(address, data=data, headers={"Content-Type": "application/json"})


def body_of(outgoing):
    """The request's body, at most 28 KB: what is too long of the text is cut."""
    limit = TEXT
    while True:
        data = _message(card(outgoing, text_limit=limit))
        if len(data) <= BODY_BYTES or limit < 100:
            return data
        limit = limit * 2 // 3


def _message(content):
    """The bytes of a message with this card."""
    attachment = {
        "contentType": "application/vnd.microsoft.card.adaptive",
        "contentUrl": None,
        "content": content,
    }
    return json.dumps(
        {"type": "message", "attachments": [attachment]}, ensure_ascii=False, separators=(",", ":")
    ).encode()


def plain_card(outgoing):
    """The least that is a card: one text, with the links in it."""
    message = outgoing.message
    emoji, word = blocks.label_of(message)
    title = f"{emoji} {word}: {blocks.cut(message.title, TITLE)}"
    links = [f"{label}: {url}" for label, url in (*outgoing.links[: ACTIONS - 1], ("Open", message.url)) if url]
    words = [title, blocks.cut("\n".join(outgoing.notes), NOTES), blocks.cut(message.body.strip(), PLAIN_TEXT)]
    text = "\n\n".join([*(_paragraphs(one) for one in words if one), *links])
    return {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": CARD_VERSION,
        "fallbackText": title,
        "body": [_text(text)],
    }


def card(outgoing, *, text_limit=TEXT):
    """The Adaptive Card."""
    message = outgoing.message
    emoji, word = blocks.label_of(message)
    # The facts shrink together with the text: many of them can be longer than it.
    fact_limit = max(20, min(FACT, text_limit // FACTS))
    facts = [
        {"title": escape(blocks.cut(name, 60)), "value": escape(blocks.cut(value, fact_limit)) or "–"}
        for name, value in message.fields[:FACTS]
    ]
    body = [
        _text(f"{emoji} {word}", weight="Bolder", color=COLOURS.get(word, "Default")),
        _text(escape(blocks.cut(message.title, TITLE)), weight="Bolder", size="Medium", style="heading"),
    ]
    if outgoing.notes:
        body.append(_text("⚠️ " + _paragraphs(blocks.cut("\n".join(outgoing.notes), NOTES)), color="Warning"))
    if facts:
        body.append({"type": "FactSet", "facts": facts})
    if message.body.strip():
        body.append(_text(_paragraphs(blocks.cut(message.body.strip(), text_limit))))
    pairs = list(outgoing.links[: ACTIONS - 1])
    if message.url:
        pairs.append(("Open", message.url))
    return {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": CARD_VERSION,
        "fallbackText": f"{emoji} {word}: {blocks.cut(message.title, TITLE)}",
        "msteams": {"width": "Full"},
        "body": body,
        "actions": [{"type": "Action.OpenUrl", "title": blocks.cut(label, 60), "url": url} for label, url in pairs],
    }


def escape(text):
    """Text whose asterisks, underscores and brackets are shown, and not read as Markdown."""
    return re.sub(r"([\\*_\[\]`~])", r"\\\1", text)


def _paragraphs(text):
    """Escaped text that keeps its lines: Teams joins lines that only one break parts."""
    return re.sub(r"\n+", "\n\n", escape(text))


def _text(text, **more):
    return {"type": "TextBlock", "text": text, "wrap": True, **more}
