"""A message as Slack shows it: Block Kit, within its limits. Values in, values out.

The figures are those of the SDK's validators and of docs.slack.dev; TOTAL is lower than what Slack was seen to refuse
(about 13,000 characters in all blocks), because that limit is not documented.
"""

import datetime
import re

from notifications.message import Kind

BLOCKS = 50
HEADER, SECTION, FIELD, CONTEXT = 150, 3000, 2000, 2000
FIELDS_IN_SECTION, ELEMENTS_IN_ACTIONS = 10, 25
BUTTON_TEXT, BUTTON_VALUE, BUTTON_URL = 75, 2000, 3000
TOTAL = 10_000
TEXT = 4000  # Slack takes 40,000 and asks for less

BUTTONS, LINKS, NONE = "buttons", "links", "none"

NOTES_MAX, FIELDS_MAX = 1500, 3000  # of TOTAL, so that one of them cannot take the room of all the others

# The word says it; shape and colour only repeat it.
SEVERITIES = {
    "critical": ("🔴", "CRITICAL"),
    "high": ("🔶", "HIGH"),
    "medium": ("🟡", "MEDIUM"),
    "low": ("🔹", "LOW"),
    "info": ("⚪", "INFO"),
}
KINDS = {
    Kind.ACKNOWLEDGED: ("👀", "ACKNOWLEDGED"),
    Kind.RESOLVED: ("✅", "RESOLVED"),
    Kind.UPDATE: ("🔄", "UPDATE"),
    Kind.HANDOFF: ("🤝", "HANDOFF"),
    Kind.BUNDLE: ("📚", "SEVERAL"),
    Kind.TEST: ("🧪", "TEST"),
    Kind.VERIFICATION: ("🔑", "VERIFICATION"),
    Kind.NOTICE: ("📣", "NOTICE"),
    Kind.STATUS: ("📣", "STATUS"),
}
STYLES = {"acknowledge": "primary", "resolve": "danger"}
CONFIRMATIONS = {
    "resolve": ("Resolve it?", "It is over for everybody, and nobody is called any more.", "Resolve"),
    "escalate": ("Call the next level?", "They are called now, whatever the time is where they are.", "Call them"),
}


def label_of(message):
    """(emoji, word) for a message: its severity, or what it is for."""
    if message.kind == Kind.STATUS:
        return "📣", message.data.get("sender") or "STATUS"
    if message.severity in SEVERITIES and message.kind in (Kind.PAGE, Kind.UPDATE, Kind.BUNDLE):
        return SEVERITIES[message.severity]
    return KINDS.get(message.kind, ("🔔", f"{message.urgency.upper()} URGENCY"))


def escape(text):
    """Text as Slack's mrkdwn wants it: nothing in it is a mention or a link."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def cut(text, limit):
    """At most `limit` characters; what was cut ends in “…”."""
    return text if len(text) <= limit else text[: max(0, limit - 1)].rstrip() + "…"[:limit]


def cut_escaped(text, limit):
    """`text` escaped and cut, never through the middle of an entity."""
    text = escape(text)
    return text if len(text) <= limit else re.sub(r"&[a-z]{0,3}$", "", text[: max(0, limit - 1)]) + "…"[:limit]


def plain(outgoing, *, with_links=False):
    """The message as text, for notifications, for screen readers, and for when the blocks are refused."""
    message = outgoing.message
    emoji, word = label_of(message)
    lines = [f"{emoji} {word}: {message.title}", *outgoing.notes]
    if with_links:
        lines += [f"{name}: {value}" for name, value in message.fields[:20]]
    tail = ""
    if with_links:
        pairs = [*outgoing.links, *((("Open", message.url),) if message.url else ())]
        tail = "".join(f"\n{escape(label)}: {escape(url)}" for label, url in pairs)
    text = "\n".join(line for line in (*lines, message.body) if line)
    return cut_escaped(text, TEXT - len(tail)) + tail


def compose(outgoing, *, verbs=BUTTONS):
    """The blocks: severity and title, notes, fields, text, buttons, and when it was.

    `verbs` says how the reader can answer: BUTTONS that come back to us, LINKS that open a page, or NONE.
    """
    message = outgoing.message
    room = TOTAL
    emoji, word = label_of(message)
    header = cut(f"{emoji} {word} · {' '.join(message.title.split())}", HEADER)
    when = _when(outgoing)
    elements = _elements(outgoing, verbs)
    room -= len(header) + len(when) + _length(elements)

    notes = cut_escaped("\n".join(outgoing.notes), NOTES_MAX)
    room -= len(notes)
    fields = _fields(message)
    room -= _length(fields)

    found = [{"type": "header", "text": {"type": "plain_text", "text": header, "emoji": True}}]
    if notes:
        found.append(section(f"⚠️ {notes}"))
        room -= 3
    found += [
        {"type": "section", "fields": fields[start : start + FIELDS_IN_SECTION]}
        for start in range(0, len(fields), FIELDS_IN_SECTION)
    ]
    found += [section(part) for part in _parts(cut_escaped(message.body.strip(), room))]
    if elements:
        found.append({"type": "actions", "block_id": "watchbill", "elements": elements[:ELEMENTS_IN_ACTIONS]})
    if when:
        found.append({"type": "context", "elements": [{"type": "mrkdwn", "text": when}]})
    return found[:BLOCKS]


def _fields(message):
    found, left = [], FIELDS_MAX
    for name, value in message.fields:
        name = f"*{cut_escaped(name, 100)}*\n"
        if left < len(name) + 20:
            break
        text = name + cut_escaped(value or "–", min(FIELD, left) - len(name))
        found.append({"type": "mrkdwn", "text": text})
        left -= len(text)
    return found


def words(outgoing, *, verbs=BUTTONS):
    """What the blocks say, line by line, for whoever wants to read them without Slack."""
    return "\n".join(_texts(compose(outgoing, verbs=verbs)))


def _texts(value):
    if isinstance(value, dict):
        for key, one in value.items():
            if key == "text" and isinstance(one, str):
                yield one
            elif key != "confirm":
                yield from _texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)


def section(text):
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def _parts(text):
    """Escaped text in pieces that fit a section each, cut at a line where there is one."""
    while text:
        if len(text) <= SECTION:
            yield text
            return
        end = text.rfind("\n", 1, SECTION)
        if end < SECTION // 2:
            end = len(re.sub(r"&[a-z]{0,3}$", "", text[:SECTION]))
        yield text[:end]
        text = text[end:].lstrip("\n")


def _elements(outgoing, verbs):
    found = []
    if verbs == BUTTONS:
        for label, verb, token in outgoing.tokens:
            if len(token) <= BUTTON_VALUE:
                found.append(_button(label, f"watchbill:{verb}", value=token, verb=verb))
    elif verbs == LINKS:
        for number, (label, url) in enumerate(outgoing.links, start=1):
            if len(url) <= BUTTON_URL:
                found.append(_button(label, f"watchbill:link{number}", url=url))
    if outgoing.message.url and len(outgoing.message.url) <= BUTTON_URL:
        label = outgoing.message.data.get("open_word") if outgoing.message.kind == Kind.STATUS else ""
        found.append(_button(label or "Open", "watchbill:open", url=outgoing.message.url))
        if manage := outgoing.message.data.get("manage") if label else "":
            found.append(_button(outgoing.message.data["manage_word"], "watchbill:manage", url=manage))
    return found


def _button(label, action_id, *, verb="", **target):
    button = {
        "type": "button",
        "action_id": action_id,
        "text": {"type": "plain_text", "text": cut(label, BUTTON_TEXT), "emoji": True},
        **target,
    }
    if verb in STYLES:
        button["style"] = STYLES[verb]
    if verb in CONFIRMATIONS:
        title, text, confirm = CONFIRMATIONS[verb]
        button["confirm"] = {
            "title": {"type": "plain_text", "text": title},
            "text": {"type": "plain_text", "text": text},
            "confirm": {"type": "plain_text", "text": confirm},
            "deny": {"type": "plain_text", "text": "Cancel"},
        }
    return button


def _when(outgoing):
    if outgoing.at is None:
        return ""
    at = outgoing.at.astimezone(datetime.UTC)
    shown = f"<!date^{int(at.timestamp())}^{{date_short_pretty}} {{time_secs}}|{at:%Y-%m-%d %H:%M:%S} UTC>"
    return f"{shown} · for {cut_escaped(outgoing.person, 100)}" if outgoing.person else shown


def _length(value):
    """How many characters of text these blocks hold."""
    if isinstance(value, dict):
        return sum(len(one) if key == "text" and isinstance(one, str) else _length(one) for key, one in value.items())
    return sum(_length(one) for one in value) if isinstance(value, list) else 0
