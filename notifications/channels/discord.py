"""Discord, by the webhook of a channel: one embed per message, changed in place."""

import logging
import re
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from core import http
from core.errors import SendError
from notifications import blocks
from notifications.channels.base import Accepted, Channel, DeadAddress, Limit

logger = logging.getLogger(__name__)

CONTENT, TITLE, DESCRIPTION, NAME, VALUE, FOOTER, TOTAL = 2000, 256, 4096, 256, 1024, 2048, 6000
FIELDS = 25
NOTES = 1500
ANSWER_BYTES = 256 * 1024  # Discord answers with the whole message
FIELDS_MAX = 2000  # of TOTAL, so that the text has room
SHORT = 40  # values up to this stand beside each other
PATH = re.compile(r"/api(/v\d+)?/webhooks/\d+/[\w-]+/?")
COLOURS = {
    "CRITICAL": 0xD92D20,
    "HIGH": 0xE8590C,
    "MEDIUM": 0xE0A100,
    "LOW": 0x2F6FDE,
    "ACKNOWLEDGED": 0x2F6FDE,
    "RESOLVED": 0x2B8A3E,
}
GREY = 0x6B7280
# 10,000 answers of these in ten minutes and Discord shuts out our whole address, so the first one ends it.
DEAD = frozenset({401, 403, 404})
UNKNOWN_MESSAGE = 10008  # an error code of Discord's, in the body of a 404


class Discord(Channel):
    kind, label = "discord", "Discord"
    is_for_teams = True
    is_address_secret = True
    can_update = True
    address_label = "Webhook URL"
    address_help = "The webhook of a channel, for example https://discord.com/api/webhooks/1234567890/XXXX"
    per_address = Limit(5, 10)  # 30 messages a minute into one channel

    def problem_with(self, address):
        if problem := http.problem_with(address):
            return problem
        if not PATH.fullmatch(urlsplit(address).path):
            return (
                "This is not the address of a Discord webhook. Copy it in Discord from the channel's settings under "
                "“Integrations”, “Webhooks”; it looks like https://discord.com/api/webhooks/1234567890/XXXX."
            )
        return ""

    def lane(self, address):
        return f"{self.kind} {urlsplit(address).netloc}"

    def send(self, address, outgoing):
        message_id = (outgoing.previous or {}).get("message_id", "")
        try:
            if message_id:
                reply = _call(http.patch, _url(address, message_id), outgoing)
                if reply.status != 404 or _json(reply).get("code") != UNKNOWN_MESSAGE:
                    return _accepted(reply, message_id)
            return _accepted(_call(http.post, _url(address, wait="true"), outgoing), "")
        except http.Refused as error:
            after = _json(error.reply).get("retry_after")  # more exact than the header, and there when that is not
            if isinstance(after, int | float) and after >= 0:
                error.retry_after = max(float(after), error.retry_after or 0)
            raise


def _call(method, url, outgoing):
    """Post or edit with the embed, or as text alone when Discord does not take that."""
    reply = method(url, json=body_of(outgoing), body_bytes=ANSWER_BYTES)
    if reply.status != 400:
        return reply
    logger.warning("Discord refused the embed of message %s: sent as text", outgoing.uuid)
    return method(url, json=plain_body_of(outgoing), body_bytes=ANSWER_BYTES)


def _accepted(reply, message_id):
    if reply.is_success:
        message_id = message_id or str(_json(reply).get("id") or "")
        if not message_id:
            raise SendError("Discord answered without the message. Check that the address is Discord's.")
        return Accepted(message_id, is_delivered=True, data={"message_id": message_id})
    words = blocks.cut(" ".join(str(_json(reply).get("message") or "").split()), 200)
    if reply.status in DEAD:
        raise DeadAddress(
            f"Discord answered {reply.status} {words}".rstrip() + ": the webhook was deleted. Make a new one.",
            status=reply.status,
        )
    raise SendError(f"Discord answered {reply.status} {words}".rstrip() + ".", permanent=True, status=reply.status)


def _json(reply):
    try:
        found = reply.json
    except SendError:
        return {}
    return found if isinstance(found, dict) else {}


def _url(address, message_id="", **query):
    """The webhook's address, or that of a message of it. A thread_id that was typed stays."""
    parts = urlsplit(address)
    path = parts.path.rstrip("/") + (f"/messages/{message_id}" if message_id else "")
    return urlunsplit(parts._replace(path=path, query=urlencode({**dict(parse_qsl(parts.query)), **query})))


def body_of(outgoing):
    """Content and one embed, within Discord's limits. Nothing in it can mention anybody."""
    message = outgoing.message
    emoji, word = blocks.label_of(message)
    content = cut(f"{emoji} {word}: {message.title}", CONTENT)
    title = cut(message.title, TITLE)
    footer = blocks.cut(f"For {outgoing.person}", FOOTER) if outgoing.person else ""
    answers = " · ".join(f"[{escape(label)}]({url})" for label, url in outgoing.links)
    fields, left = [], FIELDS_MAX
    for name, value in message.fields[: FIELDS - 1]:
        name = cut(name.strip(), 100) or "–"  # Discord refuses what is blank
        value = cut(value.strip(), max(1, min(VALUE, left - len(name)))) or "–"
        if len(name) + len(value) > left:
            break
        fields.append({"name": name, "value": value, "inline": len(value) <= SHORT})
        left -= len(name) + len(value)
    if answers and len(answers) <= VALUE:
        fields.append({"name": "Answer", "value": answers, "inline": False})
    room = TOTAL - len(title) - len(footer) - sum(len(one["name"]) + len(one["value"]) for one in fields)
    notes = blocks.cut("\n".join(f"⚠️ {note}" for note in outgoing.notes), NOTES)
    text = f"{notes}\n{message.body.strip()}".strip()
    embed = {"title": title, "description": cut(text, min(DESCRIPTION, room)), "color": COLOURS.get(word, GREY)}
    if message.url:
        embed["url"] = message.url
    if fields:
        embed["fields"] = fields
    if footer:
        embed["footer"] = {"text": footer}
    if outgoing.at:
        embed["timestamp"] = outgoing.at.isoformat()
    return {"content": content, "embeds": [embed], "allowed_mentions": {"parse": []}}


def plain_body_of(outgoing):
    """The same as text alone, which nothing can be wrong with; the links are in it."""
    message = outgoing.message
    emoji, word = blocks.label_of(message)
    pairs = [*outgoing.links, *((("Open", message.url),) if message.url else ())]
    tail = "".join(f"\n{label}: {url}" for label, url in pairs)
    tail = tail if len(tail) < CONTENT // 2 else ""
    text = "\n".join(
        line for line in (f"{emoji} {word}: {message.title[:TITLE]}", *outgoing.notes, message.body) if line
    )
    return {"content": cut(text, CONTENT - len(tail)) + tail, "embeds": [], "allowed_mentions": {"parse": []}}


def escape(text):
    """Text as it is, and not as Discord's Markdown."""
    return re.sub(r"([\\*_~`|\[\]<>])", r"\\\1", text)


def cut(text, limit):
    """Escaped and cut, never through the middle of an escape."""
    text = escape(text)
    if len(text) <= limit:
        return text
    text = text[: limit - 1]
    if (len(text) - len(text.rstrip("\\"))) % 2:
        text = text[:-1]
    return text + "…"
