"""Mail, from any program that can do no more: as our own SMTP listener stores it, or as a mail provider posts it.

Reads a raw message (message/rfc822), the form of Mailgun and of those who name its fields alike, and the JSON of
Postmark. Only the first part of a message is looked at, with a bound for everything: it may be as hostile as any mail.
"""

import binascii
import dataclasses
import functools
import hashlib
import hmac
import html
import json
import re
from email import message_from_bytes
from email.errors import HeaderParseError
from email.header import decode_header
from email.utils import parseaddr, parsedate_to_datetime
from urllib.parse import parse_qsl

import re2

from alerts import signatures
from alerts.event import (
    DESCRIPTION_LIMIT,
    IGNORE,
    RESOLVE,
    TRIGGER,
    Event,
    clean_key,
    clean_labels,
    clean_line,
    clean_text,
    parse_time,
    severity_from,
)
from alerts.sources.base import KIBIBYTE, BadEvent, Option, Source, read_json
from notifications import envelope

# What our SMTP listener says of the envelope. The address itself is not kept: it holds the key.
PLUS_HEADER, SENDER_HEADER = "x-mail-plus", "x-mail-from"
NOBODY = "<>"  # the empty envelope sender, of mail that wants no answer

READ_BYTES = 256 * KIBIBYTE  # of a raw message; attachments come after the text
MULTIPARTS, PARTS = 50, 50
FIELD_BYTES = 256 * KIBIBYTE
FORM_FIELDS = 300
HEADER_CHARACTERS = 4096
HEADERS = {
    "subject",
    "from",
    "date",
    "message-id",
    "in-reply-to",
    "references",
    "auto-submitted",
    "x-auto-response-suppress",
    "precedence",
}
PATTERN_CHARACTERS = 500
RESOLVED = r"^(RECOVERY|RESOLVED|OK|UP)\b"
# A provider tries for hours with the signature of its first try, and each delivery is stored once.
SIGNATURE_SECONDS = 12 * 3600
TEXT_SEEN = 64 * KIBIBYTE


@dataclasses.dataclass(slots=True)
class Mail:
    """What we read of a message. Names of headers are in lower case; `plus` is the part of the address after the +."""

    subject: str = ""
    text: str = ""
    html: str = ""
    sender: str = ""
    plus: str = ""
    headers: dict = dataclasses.field(default_factory=dict)
    received: str = ""  # when a provider got it, if the mail itself does not say


def _check_pattern(text):
    try:
        _pattern(text)
    except re2.error as error:
        raise ValueError(
            f"This regular expression cannot be used: {error}. It is one of RE2, without look-ahead and back "
            "references."
        ) from None
    return text


class EmailSource(Source):
    kind = "email"
    label = "Email"
    setup_help = (
        "With the SMTP listener on (MAIL_IN_PORT), send mail to {key}@{mail}. What stands behind a plus is the key "
        "of the alert: {key}+disk-web-03@{mail}.\n\n"
        'With a mail provider, let it post what it receives: at Mailgun a route with forward("{url}"). Enter '
        "Mailgun's signing key as the signing secret.\n\n"
        "A subject that begins with RECOVERY, RESOLVED, OK or UP ends the alert; the options below take another "
        "regular expression."
    )
    max_body = 10 * 1024 * KIBIBYTE
    keep_headers = (PLUS_HEADER, SENDER_HEADER)
    options = (
        Option(
            "key_pattern",
            "Key from the text",
            "A regular expression; the first match in the subject, or else in the text, is the dedup key (its first "
            "group, if it has one). Empty: the subject without RE:, PROBLEM, OK and times.",
            check=_check_pattern,
        ),
        Option(
            "resolve_pattern",
            "Over when the subject matches",
            "A regular expression, for subjects without RE: and leading signs. A mail that matches ends the alert of "
            "its key.",
            default=RESOLVED,
            check=_check_pattern,
        ),
        Option(
            "drop_automatic",
            "Ignore every mail that calls itself automatic",
            "Also those with Auto-Submitted: auto-generated, as cron and many monitoring tools send them. Automatic "
            "answers are ignored anyway.",
            default=False,
            is_switch=True,
        ),
    )

    def parse(self, body, headers, options=None):
        try:
            mail = read(body, headers)
        except RecursionError:
            mail = Mail(text=_decoded_bytes(body[:READ_BYTES]))
        return [_event(mail, options or {})]

    def accepted(self, events, event_id):
        return 200, {"status": "accepted", "dedup_key": events[0].dedup_key if events else "", "event_id": event_id}

    def refused(self, errors):
        # 406 is how Mailgun is told not to try again.
        return 406, {"status": "invalid", "errors": errors}

    def unknown_key(self, where):
        status, answer = super().unknown_key(where)
        return (406 if where == "body" else status), answer

    async def check(self, secret, headers, body, *, now):
        """Mailgun signs the time and a token with its signing key; both are fields of the form."""
        if not secret:
            return signatures.Verdict(True)
        fields = _fields(body, headers)
        stamp, token, given = (str(fields.get(name) or "") for name in ("timestamp", "token", "signature"))
        expected = hmac.new(secret.encode(), f"{stamp}{token}".encode("utf-8", "replace"), hashlib.sha256).hexdigest()
        if not (token and hmac.compare_digest(expected.encode(), given.lower().encode("utf-8", "replace"))):
            return signatures.Verdict(
                False,
                "The signature does not match. Enter the HTTP webhook signing key of Mailgun as this integration's "
                "signing secret.",
            )
        if not (stamp.isdecimal() and abs(now.timestamp() - float(stamp[:15])) <= SIGNATURE_SECONDS):
            return signatures.Verdict(False, "The signature is older than 12 hours. Check the clock of this server.")
        return signatures.Verdict(True)

    def delivery_id(self, headers, body):
        fields = _fields(body, headers)
        # All three are Mailgun's. A token alone may be the same in every form that somebody posts.
        if not all(fields.get(name) for name in ("timestamp", "token", "signature")):
            return ""
        # Other words under the same signature, which does not cover them, are another mail.
        return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()

    def key_of(self, body, headers):
        for address in _recipients(_fields(body, headers)):
            return address.partition("@")[0].partition("+")[0]
        raise BadEvent.about(
            "recipient", "There is no recipient. Post the mail with the field “recipient”, its envelope recipient."
        )


# --- the event ----------------------------------------------------------------------------------------------------
_REPLY = re.compile(r"\s*(?:(?:re|fwd?|aw|wg|sv|vs|antw|tr)(?:\[\d+\])?\s*:\s*)+", re.IGNORECASE)
_SIGNS = re.compile(r"^[\s*\[\](){}<>#!:–-]+")
_STATES = re.compile(
    r"\b(?:PROBLEM|RECOVERY|RECOVERED|RESOLVED|OK|UP|DOWN|CRITICAL|WARNING|WARN|UNKNOWN|UNREACHABLE|ERROR|FIRING|"
    r"ALARM|CLEARED|ACKNOWLEDGEMENT)\b"
)
_TIMES = re.compile(
    r"\b\d{4}[-./]\d\d?[-./]\d\d?(?:[T ]+\d\d?:\d\d(?::\d\d(?:[.,]\d{1,9})?)?)?(?:\s?(?:Z|UTC|GMT|[+-]\d\d:?\d\d)\b)?"
    r"|\b\d\d?[./]\d\d?[./]\d{4}\b"
    r"|\b(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),?\s)?\d\d?\s(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)\s\d{4}\b"
    r"|\b\d\d?:\d\d(?::\d\d)?(?:\s?[AP]M\b)?(?:\s?(?:UTC|GMT|CET|CEST|[+-]\d{4})\b)?",
    re.IGNORECASE,
)
_GRADE = re.compile(r"\b(critical|emergency|disaster|fatal|warning|P[0-5]|SEV-?[0-4])\b", re.IGNORECASE)


def _event(mail, options):
    subject = clean_line(mail.subject)
    text = without_quotes(mail.text) or mail.text or text_of_html(mail.html)
    bare = _SIGNS.sub("", _REPLY.sub("", subject, count=1) if _REPLY.match(subject) else subject)
    sender = clean_line(parseaddr(mail.headers.get("from", ""))[1] or mail.sender, 255)
    why = _why_ignored(mail, options)
    key = clean_key(mail.plus) or _matched_key(options.get("key_pattern"), subject, text) or _key_of_subject(bare)
    pattern = options.get("resolve_pattern") or RESOLVED
    action = RESOLVE if _search(pattern, bare) else TRIGGER
    if not why and action == RESOLVE and not key:
        why = "It says that something is over, and names nothing."
    grade = _GRADE.search(subject)
    first = next((line for line in text.splitlines() if line.strip()), "")
    return Event(
        action=IGNORE if why else action,
        reason=why,
        dedup_key=key,
        severity=severity_from(grade[1].replace("-", "")) if grade else "",
        title=subject or clean_line(first) or f"A mail without a subject from {sender or 'nobody'}",
        description=clean_text(text, DESCRIPTION_LIMIT),
        labels=clean_labels({"from": sender or None}),
        occurred_at=_sent_at(mail),
        source=EmailSource.kind,
    )


def _why_ignored(mail, options):
    """A sentence when it is an automatic answer or one of our own mails that came back, else ""."""
    marked = (mail.headers.get("auto-submitted", "") or "no").partition(";")[0].strip().lower()
    suppresses = mail.headers.get("x-auto-response-suppress", "").strip().lower() not in ("", "none")
    answers = f"{mail.headers.get('in-reply-to', '')} {mail.headers.get('references', '')}".strip()
    if _is_ours(f"{mail.headers.get('message-id', '')} {answers}"):
        return "It is a mail of ours that came back, or an answer to one."
    if mail.sender == NOBODY:
        return "It has no envelope sender: a bounce, or an automatic answer."
    if marked.startswith("auto-repl") or "auto_reply" in mail.headers.get("precedence", "").lower():
        return "It is an automatic answer."
    # auto-generated alone is what cron and monitoring tools send.
    if (marked != "no" or suppresses) and answers:
        return "It is an automatic answer: it marks itself automatic and answers another mail."
    if (marked != "no" or suppresses) and options.get("drop_automatic"):
        return "It calls itself automatic, and this integration ignores such mails."
    return ""


def _is_ours(identifiers):
    ours = rf"<[0-9a-f]{{8}}(?:-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}@{re.escape(envelope.domain() or '-')}>"
    return bool(re.search(ours, identifiers[: 4 * HEADER_CHARACTERS], re.IGNORECASE))


def _key_of_subject(bare):
    """The subject without what differs between a problem and its end."""
    left = _TIMES.sub(" ", _STATES.sub(" ", bare))
    return clean_key(" ".join(left.split()).strip(" *[](){}<>:;,.!-–").lower())


def _matched_key(pattern, *texts):
    for text in texts:
        found = _search(pattern, text) if pattern else None
        if found:
            return clean_key(next((group for group in found.groups() if group), found[0]))
    return ""


def _search(pattern, text):
    try:
        return _pattern(pattern).search(text[:TEXT_SEEN])
    except re2.error:  # it was checked when it was entered; whatever happened to it must not lose the mail
        return None


@functools.lru_cache(maxsize=200)
def _pattern(text):
    options = re2.Options()
    options.log_errors = False
    options.max_mem = 1 << 20
    if len(text) > PATTERN_CHARACTERS:
        raise re2.error(f"it is longer than {PATTERN_CHARACTERS} characters")
    return re2.compile(text, options)


def _sent_at(mail):
    date = mail.headers.get("date", "")[:100]
    try:
        at = parsedate_to_datetime(date) if date else None
    except (ValueError, TypeError, IndexError, OverflowError):
        at = None
    # "-0000" is a time of which nobody knows the zone.
    return at if at and at.tzinfo else parse_time(mail.received)


# --- reading ------------------------------------------------------------------------------------------------------
def read(body, headers):
    """The Mail in a body that is a raw message, a form or JSON."""
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "message/rfc822" or not _is_fields(kind, body):
        mail = _of_message(body)
        mail.sender = headers.get(SENDER_HEADER, mail.sender)
        mail.plus = headers.get(PLUS_HEADER, "")
        return mail
    return _of_fields(_fields(body, headers))


def _is_fields(kind, body):
    return kind in ("multipart/form-data", "application/x-www-form-urlencoded", "application/json") or (
        body[:100].lstrip()[:1] == b"{"
    )


def _of_message(body):
    head = body[:READ_BYTES]
    if head.lower().count(b"multipart/") > MULTIPARTS:  # nobody nests so deep, and reading it would take long
        head = re.split(rb"\r?\n\r?\n", head, maxsplit=1)[0] + b"\r\n\r\n"
    message = message_from_bytes(head)
    mail = Mail(headers=_headers((name, str(value)) for name, value in message._headers))
    mail.subject = mail.headers.get("subject", "")
    mail.text, mail.html = _texts(message)
    return mail


def _headers(pairs):
    """The first of each name, decoded. A mail may have any number of them."""
    kept = {}
    for name, value in pairs:
        name = name.lower()
        if name in HEADERS and name not in kept:
            kept[name] = decoded(value)
    return kept


def decoded(value):
    """The text of a header, whatever its charset claims to be."""
    value = value[:HEADER_CHARACTERS]
    try:
        parts = decode_header(value)
    except (HeaderParseError, binascii.Error, ValueError):
        parts = [(value, None)]
    texts = [_decoded_bytes(part, charset) if isinstance(part, bytes) else part for part, charset in parts]
    # What was no ASCII in a raw message stands in the text as half surrogates.
    return "".join(texts).encode("utf-8", "surrogateescape").decode("utf-8", "replace").strip()


def _decoded_bytes(data, charset=None):
    try:
        return data.decode(charset or "utf-8", "replace")
    except (LookupError, ValueError):
        return data.decode("utf-8", "replace")


def _texts(message):
    """The first text and the first HTML of a message that are no attachments."""
    found = {"text/plain": "", "text/html": ""}
    for index, part in enumerate(message.walk()):
        kind = part.get_content_type()
        if index >= PARTS or all(found.values()):
            break
        if part.is_multipart() or kind not in found or found[kind] or _is_attached(part):
            continue
        try:
            data = part.get_payload(decode=True) or b""
        except (ValueError, LookupError):  # an encoding that is none
            data = str(part.get_payload()).encode("utf-8", "replace")
        charset = part.get_content_charset("utf-8")
        found[kind] = _decoded_bytes(data[:FIELD_BYTES], charset if isinstance(charset, str) else None)
    return found["text/plain"], found["text/html"]


def _is_attached(part):
    return part.get_content_disposition() == "attachment"


def _of_fields(fields):
    """Of a provider's names: Mailgun's, Postmark's, SendGrid's."""
    given = {name.lower().replace("_", "-"): value for name, value in fields.items() if isinstance(name, str)}
    raw = next((given[name] for name in ("body-mime", "email", "rawemail") if isinstance(given.get(name), str)), "")
    if raw:
        mail = _of_message(raw.encode("utf-8", "replace"))
    else:
        mail = Mail(headers=_headers((name, value) for name, value in given.items() if isinstance(value, str)))
        mail.headers = {**mail.headers, **_headers(_listed_headers(given))}
        mail.subject = mail.headers.get("subject", "")
        mail.text = _first(given, "stripped-text", "strippedtextreply", "body-plain", "textbody", "text")
        mail.html = _first(given, "stripped-html", "body-html", "htmlbody", "html")
    mail.sender = _first(given, "sender", "mail-from") or _envelope(given).get("from") or ""
    if not isinstance(mail.sender, str):
        mail.sender = ""
    mail.plus = next((plus for one in _recipients(fields) if (plus := one.rpartition("@")[0].partition("+")[2])), "")
    mail.received = _first(given, "timestamp")
    return mail


def _first(given, *names):
    return next((given[name] for name in names if isinstance(given.get(name), str) and given[name].strip()), "")


def _listed_headers(given):
    """The pairs in the field in which a provider lists all headers."""
    listed = given.get("message-headers") or given.get("headers")
    if isinstance(listed, str):
        try:
            listed = json.loads(listed[:FIELD_BYTES])
        except (ValueError, RecursionError):
            message = message_from_bytes(listed[:FIELD_BYTES].encode("utf-8", "replace"))
            return [(name, str(value)) for name, value in message._headers]
    pairs = []
    for one in listed if isinstance(listed, list) else ():
        if isinstance(one, dict):
            one = [one.get("Name"), one.get("Value")]
        if isinstance(one, list) and len(one) == 2 and all(isinstance(text, str) for text in one):
            pairs.append(one)
    return pairs


def _envelope(given):
    """SendGrid's envelope: JSON in a field."""
    try:
        found = json.loads(given.get("envelope") or "{}")
    except (TypeError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _recipients(fields):
    """The addresses of the envelope, in the order they were named."""
    given = {name.lower(): value for name, value in fields.items() if isinstance(name, str)}
    named = _envelope(given).get("to") or given.get("recipient") or given.get("originalrecipient") or given.get("to")
    parts = named if isinstance(named, list) else str(named or "").split(",")
    found = [parseaddr(one)[1] for one in parts[:50] if isinstance(one, str)]
    return [one for one in found if "@" in one]


def _fields(body, headers):
    """The fields of a form or of a JSON object; none of what is neither."""
    declared = headers.get("content-type", "")
    kind = declared.partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return _multipart(body, declared)
    if kind == "application/x-www-form-urlencoded":
        try:
            pairs = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=FORM_FIELDS)
        except ValueError:
            raise BadEvent.about("", f"The form has more than {FORM_FIELDS} fields.") from None
        return dict(reversed(pairs))
    if kind == "message/rfc822" or not _is_fields(kind, body):
        return {}
    data = read_json(body)
    return data if isinstance(data, dict) else {}


def _multipart(body, declared):
    """The text fields of a multipart form. Files are skipped unread, so that ten megabytes of them cost nothing."""
    found = re.search(r"boundary=(?:\"([^\"]{1,200})\"|([^;\s]{1,200}))", declared, re.IGNORECASE)
    if not found:
        raise BadEvent.about("", "The form has no boundary. Send multipart/form-data as its standard says.")
    boundary = (found[1] or found[2]).encode("latin-1", "replace")
    fields = {}
    for part in body.split(b"--" + boundary, FORM_FIELDS)[1:]:
        head, _, value = part.partition(b"\r\n\r\n")
        name = re.search(rb"[;\s]name=\"([^\"]{1,200})\"", head[:2000], re.IGNORECASE)
        if name and not re.search(rb"[;\s]filename\*?=", head[:2000], re.IGNORECASE):
            text = value[:FIELD_BYTES].decode("utf-8", "replace").removesuffix("\r\n")
            fields.setdefault(name[1].decode("utf-8", "replace"), text)
    return fields


# --- text ---------------------------------------------------------------------------------------------------------
def _quietly(pattern):
    options = re2.Options()
    options.log_errors = False
    return re2.compile(pattern, options)


# RE2, since HTML of a mail may be built to make another engine run for minutes.
_HIDDEN = [
    _quietly(r"(?is)<!--.*?-->"),
    _quietly(r"(?is)<script\b.*?</script[^>]*>"),
    _quietly(r"(?is)<style\b.*?</style[^>]*>"),
    _quietly(r"(?is)<head\b.*?</head[^>]*>"),
]
_BREAKS = _quietly(r"(?i)<(?:br|/p|/div|/tr|/h[1-6]|/li|/table)\b[^>]*>")
_CELLS = _quietly(r"(?i)</t[dh]\b[^>]*>")
_TAGS = _quietly(r"<[^>]*>")


def text_of_html(source):
    """The words of HTML, without its tags, line by line."""
    text = " ".join(source[:FIELD_BYTES].replace("\0", "").split())
    for hidden in _HIDDEN:
        text = hidden.sub(" ", text)
    text = _TAGS.sub("", _CELLS.sub(" ", _BREAKS.sub("\n", text)))
    lines = [" ".join(line.split()) for line in html.unescape(text).splitlines()]
    return "\n".join(line for line in lines if line)


_QUOTED = re.compile(
    r"^(?:-{2,} ?(?:original message|ursprüngliche nachricht) ?-{2,}"
    r"|(?:on|am|le) .{4,200}(?:wrote|schrieb|écrit) ?:)\s*$",
    re.IGNORECASE,
)


def without_quotes(text):
    """The text without the mail that it answers."""
    kept = []
    for line in text[:FIELD_BYTES].splitlines():
        if _QUOTED.match(line[:300]):
            break
        if not line.startswith(">"):
            kept.append(line)
    return "\n".join(kept).strip()
