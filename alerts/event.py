"""The one shape of every source, and the tolerant readers that fill it. Pure: values in, values out."""

import dataclasses
import hashlib
import json
import math
import re
from datetime import UTC, datetime, timedelta

TRIGGER, ACKNOWLEDGE, RESOLVE = "trigger", "acknowledge", "resolve"
# Beside these three: a remark about an alert, new words for it, something done on purpose, and what calls for nothing.
NOTE, UPDATE, CHANGE, IGNORE = "note", "update", "change", "ignore"

TITLE_LIMIT = 1024
DESCRIPTION_LIMIT = 64 * 1024
KEY_LIMIT = 255
KEY_PREFIX = 180
SERVICE_LIMIT = 255
LABELS_LIMIT = 100
LABEL_NAME_LIMIT = 255
LABEL_VALUE_LIMIT = 4096
LINKS_LIMIT = 50
HREF_LIMIT = 2048
# An older time is a wrong clock or a replay: the event counts from its receipt.
OLDEST = timedelta(days=7)


@dataclasses.dataclass(frozen=True, slots=True)
class Event:
    """One message of a source: something is wrong, somebody saw it, or it is over."""

    action: str
    dedup_key: str = ""  # "" only for a trigger without a key: see with_key
    alert_id: str = ""  # instead of a dedup key: our own id of the alert, which must be of the same scope
    severity: str = ""  # "" when the source gave none, or a word that nobody knows
    title: str = ""
    description: str = ""
    service: str = ""  # a hint: slug or routing key
    labels: dict[str, str] = dataclasses.field(default_factory=dict)
    links: list[dict[str, str]] = dataclasses.field(default_factory=list)
    occurred_at: datetime | None = None
    source: str = ""
    priority: str = ""  # P1 to P5 when the source has priorities of its own, else from the severity
    ends_at: datetime | None = None  # over by then unless it is sent again
    reason: str = ""  # why it is ignored: a sentence for whoever looks at the raw event


def with_key(event, generated_key, index=0):
    """The event, with our own key if the sender gave none. `index` is its place in the request, from 0."""
    if event.dedup_key or event.alert_id:
        return event
    return dataclasses.replace(event, dedup_key=f"{generated_key}-{index}" if index else generated_key)


# --- text -----------------------------------------------------------------------------------------------------

# All control characters but tab and newline, and surrogates without a partner, which PostgreSQL cannot store.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_BREAK = re.compile("[\t\n\r\x0b\x0c\x85\u2028\u2029]+")


def as_text(value):
    """Any JSON value as text: strings as they are, null as nothing, the rest as JSON writes it."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


def clean_text(value, limit):
    """Text of at most `limit` characters without control characters (tab and newline stay), NUL or lone surrogates."""
    if value is None:
        return ""
    if isinstance(value, str) and len(value) <= limit and value.isprintable():
        return value.strip()  # most text is, and this is read many times per request
    text = as_text(value)[: 2 * limit]  # twice, so that stripping costs the reader nothing and us no megabytes
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = _CONTROL.sub("", text).strip()
    return text if len(text) <= limit else text[: limit - 1] + "…"


def clean_line(value, limit=TITLE_LIMIT):
    """Like clean_text, on one line."""
    if value is None:
        return ""
    if isinstance(value, str) and len(value) <= limit and value.isprintable():
        return value.strip()
    return clean_text(_BREAK.sub(" ", as_text(value)[: 2 * limit]), limit)


def clean_key(value):
    """A dedup key of at most 255 characters; a longer one keeps 180 of them, a colon and its SHA-256."""
    if isinstance(value, bool):
        return ""
    whole = as_text(value)
    key = _CONTROL.sub("", whole[: 2 * KEY_LIMIT]).strip()
    if len(whole) <= 2 * KEY_LIMIT and len(key) <= KEY_LIMIT:
        return key
    return f"{key[:KEY_PREFIX]}:{hashlib.sha256(whole.encode('utf-8', 'surrogatepass')).hexdigest()}"


def clean_labels(*mappings):
    """A flat map of text to text; the first mapping that has a name wins, nested values become JSON."""
    labels = {}
    for mapping in mappings:
        if not isinstance(mapping, dict):
            continue
        for name, value in mapping.items():
            if len(labels) == LABELS_LIMIT:
                return labels
            name = clean_line(name, LABEL_NAME_LIMIT)
            if name and value is not None and name not in labels:
                labels[name] = clean_text(value, LABEL_VALUE_LIMIT)
    return labels


def clean_links(items):
    """`[{href, text}]` of the http and https links in `items`, which are such objects, pairs or bare addresses."""
    links, seen = [], set()
    for item in items if isinstance(items, (list, tuple)) else ():
        if isinstance(item, dict):
            href, text = item.get("href"), item.get("text")
        elif isinstance(item, tuple):
            href, text = item
        else:
            href, text = item, None
        # A cut address leads nowhere, so a longer one is left out.
        if not isinstance(href, str) or len(href) > HREF_LIMIT:
            continue
        href = clean_line(href, HREF_LIMIT)
        if href.lower().startswith(("http://", "https://")) and href not in seen:
            seen.add(href)
            links.append({"href": href, "text": clean_line(text, 200) or href})
        if len(links) == LINKS_LIMIT:
            break
    return links


# --- severity -------------------------------------------------------------------------------------------------

_WORDS = {
    "critical": "critical p0 p1 page emergency fatal disaster sev0",
    "high": "high p2 error err major sev1",
    "medium": "medium p3 warning warn moderate average sev2",
    "low": "low p4 minor notice sev3",
    "info": "info p5 informational information none debug ok sev4",
}
_SEVERITIES = {word: severity for severity, words in _WORDS.items() for word in words.split()}


def severity_from(word):
    """Our severity for a word of any sender, or "" for an unknown one: then the integration's default counts."""
    if not isinstance(word, str):
        return ""
    return _SEVERITIES.get(word[:40].strip().lower(), "")


# --- time -----------------------------------------------------------------------------------------------------

_EPOCH = re.compile(r"[+-]?\d{1,19}(\.\d*)?")
_WRITTEN = re.compile(
    r"(\d{4})[-./](\d\d?)[-./](\d\d?)"
    r"(?:[T ]+(\d\d?):(\d\d)(?::(\d\d)(?:[.,](\d*))?)?)?"
    r"\s*(Z|UTC|GMT|[+-]\d\d(?::?\d\d)?)?",
    re.IGNORECASE,
)


def parse_time(value):
    """The aware UTC time in any form that senders use, or None if there is none to read.

    Reads RFC 3339 with 0 to 9 fraction digits, offsets with and without colon, a space instead of the T,
    `YYYY.MM.DD`, and epoch seconds, milliseconds, microseconds or nanoseconds as a number or as text. A time without
    an offset is UTC. Go's zero time means "not set".
    """
    if isinstance(value, str):
        text = value.strip()
        if _EPOCH.fullmatch(text):
            return _from_epoch(float(text))
        return _from_words(text)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            return _from_epoch(float(value))
        except OverflowError:
            return None
    return None


def _from_epoch(number):
    if not math.isfinite(number) or number <= 0:
        return None
    while number > 1e11:  # the year 5138 in seconds: what is larger counts a finer unit
        number /= 1000
    return datetime.fromtimestamp(number, UTC)


def _from_words(text):
    match = _WRITTEN.fullmatch(text)
    if not match:
        return None
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    if int(year) <= 1:
        return None
    if zone is None or zone.upper() in ("Z", "UTC", "GMT"):
        offset = timedelta(0)
    else:
        digits = zone[1:].replace(":", "")
        offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:] or 0)) * (-1 if zone[0] == "-" else 1)
    try:
        return (
            datetime(
                int(year),
                int(month),
                int(day),
                int(hour or 0),
                int(minute or 0),
                min(int(second or 0), 59),  # a leap second is written as 60
                int((fraction or "").ljust(6, "0")[:6]),
                tzinfo=UTC,
            )
            - offset
        )
    except (ValueError, OverflowError):
        return None


def event_time(occurred_at, received_at):
    """When it happened: what the sender says, unless that is missing, in the future or older than 7 days."""
    if occurred_at is None or occurred_at > received_at or received_at - occurred_at > OLDEST:
        return received_at
    return occurred_at
