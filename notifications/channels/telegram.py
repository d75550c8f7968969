"""A message of a Telegram bot, to a person or a group, with buttons that come back to us; see vendors/telegram.py.

Errors as the Bot API words them (core.telegram.org/bots/api, "Making requests"): it has numbers for few of them, so
what is meant is in the text.
"""

import html
import re

from core import http
from core.errors import SendError
from notifications.channels.base import Accepted, AdminNeeded, Channel, DeadAddress, Limit, ProviderBroken
from notifications.vendors import telegram
from notifications.vendors.base import Setting

MOST_UNITS = 4096  # of UTF-16, of the text as it is shown
MOST_DATA_BYTES = 64  # behind a button
TITLE, VALUE = 300, 300
MARKS = {"critical": "🔴", "high": "🟠", "medium": "🟡", "low": "🔵", "info": "⚪"}
CHAT = re.compile(r"-?\d{1,19}|@[A-Za-z][A-Za-z0-9_]{3,31}")
NOT_MODIFIED = "message is not modified"
# Besides every 403 (blocked by the user, deactivated, kicked from the group, never started).
DEAD = ("chat not found", "group chat was deleted", "user is deactivated", "bot was kicked", "bot was blocked")
NO_RIGHTS = ("not enough rights", "no rights to send", "need administrator rights", "chat_write_forbidden")


class Telegram(Channel):
    kind, label = "telegram", "Telegram"
    address_label = "Chat"
    address_help = (
        "A group's chat id, for example -1001234567890, or @name of a public channel; the bot must be a member. "
        "People link their own chat on the settings page."
    )
    vendor = "telegram"
    is_for_teams = True
    is_typed = False
    can_update = True
    per_provider = Limit(30, 1)
    per_address = Limit(20, 60)  # that of groups; a person gets less anyway
    options = (
        Setting(
            "topic_id",
            "Topic",
            "The number of a topic, in a group that has topics; it is the last number of the topic's link.",
            is_required=False,
        ),
    )

    def problem_with(self, address):
        if CHAT.fullmatch(address):
            return ""
        return "This is no chat of Telegram. Write its id, for example -1001234567890, or @name of a public channel."

    def problems_with_options(self, options):
        topic = str(options.get("topic_id") or "")
        return {} if topic.isdecimal() or not topic else {"topic_id": "Write the topic's number, or leave it empty."}

    def lane(self, address):
        return self.kind

    def preview(self, outgoing):
        said = content(outgoing)
        rows = said.get("reply_markup", {}).get("inline_keyboard", [])
        # Only our own markup is bare; what came from an alert is escaped.
        text = html.unescape(re.sub(r"</?b>", "", said["text"]))
        return {"Text": text, "Buttons": ", ".join(one["text"] for row in rows for one in row)}

    def send(self, address, outgoing):
        config, values = outgoing.config, {"chat_id": _chat(address), **content(outgoing)}
        before = outgoing.previous or {}
        if before.get("message_id"):
            place = {"chat_id": before.get("chat_id", values["chat_id"]), "message_id": before["message_id"]}
            said = _call(config, "editMessageText", {**values, **place})
            if said.is_ok or NOT_MODIFIED in said.text:
                return _accepted(place["chat_id"], place["message_id"], said)
            if not _may_be_the_message(said):
                _refused(said)
            # Deleted, or too old to edit: better a second message than none.
        if outgoing.options.get("topic_id"):
            values["message_thread_id"] = int(outgoing.options["topic_id"])
        said, chat = _send(config, values)
        if not said.is_ok and _may_be_the_message(said):
            # Something of the dress is not taken, a button's address for example: then the naked words.
            said, chat = _send(config, plain(outgoing, chat))
        if not said.is_ok:
            _refused(said)
        moved = {"moved_to": str(chat)} if str(chat) != address else {}
        return _accepted(chat, said.result.get("message_id"), said, **moved)


class _Said:
    """An answer of the Bot API."""

    def __init__(self, reply):
        answer = reply.json
        self.answer = answer if isinstance(answer, dict) else {}
        self.is_ok = self.answer.get("ok") is True
        code = self.answer.get("error_code")
        self.code = code if isinstance(code, int) and code else reply.status
        self.words = str(self.answer.get("description") or f"it answered {reply.status}")
        self.text = self.words.lower()
        result = self.answer.get("result")
        self.result = result if isinstance(result, dict) else {}
        parameters = self.answer.get("parameters")
        self.parameters = parameters if isinstance(parameters, dict) else {}


def _call(config, method, values):
    try:
        return _Said(telegram.call(config, method, values))
    except http.Refused as error:  # how long to wait is in the body
        if error.reply.body[:1] != b"{":
            raise
        return _Said(error.reply)


def _send(config, values):
    """Send, where the group has gone if it has moved. Return (what was said, the chat)."""
    said = _call(config, "sendMessage", values)
    moved_to = said.parameters.get("migrate_to_chat_id")
    if moved_to:
        values = {**values, "chat_id": moved_to}
        said = _call(config, "sendMessage", values)
    return said, values["chat_id"]


def _accepted(chat, message_id, said, **more):
    data = {"chat_id": chat, "message_id": message_id, **more}
    return Accepted(
        f"{chat}:{message_id}", is_delivered=True, data=data, answer="ok" if said.is_ok else said.words[:200]
    )


def _may_be_the_message(said):
    """Whether another message may be taken at the same place."""
    return said.code == 400 and not any(text in said.text for text in DEAD)


def _refused(said):
    """Raise what an error means."""
    if said.code == 429:
        raise SendError(
            "Telegram asks to wait.", retry_after=_seconds(said.parameters.get("retry_after")), status=said.code
        )
    if said.code >= 500:
        raise SendError(f"Telegram has trouble: {said.words}.", status=said.code)
    if said.code in (401, 404):
        raise ProviderBroken(f"Telegram does not know the bot ({said.words}). An admin corrects its token.")
    if said.code == 403 or any(text in said.text for text in DEAD):
        raise DeadAddress(f"Telegram cannot reach this chat: {said.words}.", status=said.code)
    if any(text in said.text for text in NO_RIGHTS):
        raise AdminNeeded(f"Telegram does not let the bot write there: {said.words}. Make it an admin of the group.")
    raise SendError(f"Telegram refused the message: {said.words}.", permanent=True, status=said.code)


def _seconds(value):
    return value if isinstance(value, int) and value > 0 else None


def _chat(address):
    return address if address.startswith("@") else int(address)


def content(outgoing):
    """The text, in HTML, and the buttons."""
    message = outgoing.message
    title, body = heading(message), "\n".join([*outgoing.notes, message.body])
    fields = [(name, cut(str(value), VALUE)) for name, value in message.fields]
    tail = "".join(f"\n{name}: {value}" for name, value in fields)
    body = cut(body, MOST_UNITS - units(title) - units(tail) - 8)
    text = f"<b>{html.escape(title, quote=False)}</b>"
    if body:
        text += f"\n\n{html.escape(body, quote=False)}"
    if fields:
        text += "\n" + "".join(
            f"\n<b>{html.escape(name, quote=False)}:</b> {html.escape(value, quote=False)}" for name, value in fields
        )
    values = {"text": text, "parse_mode": "HTML", "link_preview_options": {"is_disabled": True}}
    if message.urgency == "low":
        values["disable_notification"] = True
    if rows := buttons(outgoing):
        values["reply_markup"] = {"inline_keyboard": rows}
    return values


def plain(outgoing, chat):
    """The same without formatting and buttons, which nothing can be wrong with; links are in the text."""
    message = outgoing.message
    links = [f"{label}: {url}" for label, url in outgoing.links]
    tail = "\n".join([*(f"{name}: {cut(str(value), VALUE)}" for name, value in message.fields), *links, message.url])
    tail = cut(tail, MOST_UNITS // 2)
    head = cut("\n".join([heading(message), *outgoing.notes, message.body]), MOST_UNITS - units(tail) - 2)
    return {"chat_id": chat, "text": f"{head}\n\n{tail}".strip(), "link_preview_options": {"is_disabled": True}}


def heading(message):
    mark = f"{MARKS[message.severity]} {message.severity.capitalize()}: " if message.severity in MARKS else ""
    return cut(mark + (message.title or "A message"), TITLE)


def buttons(outgoing):
    """Rows of buttons: the actions, answered in the chat, and the page."""
    actions = [
        {"text": label, "callback_data": token}
        if len(token.encode()) <= MOST_DATA_BYTES
        else {"text": label, "url": dict(outgoing.links)[label]}
        for label, _, token in outgoing.tokens
    ]
    rows = [actions] if actions else []
    if outgoing.message.url:
        rows.append([{"text": "Open", "url": outgoing.message.url}])
    return rows


def units(text):
    """The length as Telegram counts it."""
    return len(text.encode("utf-16-le", "replace")) // 2


def cut(text, most):
    """The text in at most so many units, with a sign where it was cut."""
    if units(text) <= most:
        return text
    raw = text.encode("utf-16-le", "replace")[: 2 * max(0, most - 1)]
    return raw.decode("utf-16-le", "ignore").rstrip() + "…"
