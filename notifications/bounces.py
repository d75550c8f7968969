"""Mail that comes back: which message could not be delivered, and whether the address is dead (RFC 3464)."""

import dataclasses
import email
import email.policy
import hashlib
import hmac
import re

from django.utils.crypto import constant_time_compare

from notifications import envelope, receipts
from notifications.channels.email import Email
from notifications.message import storable

MAIL_BYTES = 1024 * 1024
TEXT_CHARACTERS = 20_000  # of a bounce without a report, as far as it is read
ENHANCED_CODE = re.compile(r"\b([245])\.(\d{1,3})\.(\d{1,3})\b")
FAILED, DELIVERED, DELAYED = "failed", "delivered", "delayed"


@dataclasses.dataclass(frozen=True)
class Bounce:
    """What a mail server says about a message of ours. `is_dead`: the address itself is wrong."""

    message_id: str
    state: str
    status: str = ""
    text: str = ""
    is_dead: bool = False


def receive(raw, *, now, recipient=""):
    """Take in a raw mail that came back. Returns the `Bounce`, or None when it is about no message of ours."""
    bounce = read(raw, recipient=recipient)
    report(bounce, now=now)
    return bounce


def report(bounce, *, now):
    """Note on the message what became of it. A delay is not the end of it, so it changes nothing."""
    if bounce and bounce.state in (FAILED, DELIVERED):
        receipts.report(
            Email.kind,
            bounce.message_id,
            bounce.state,
            at=now,
            error=bounce.text if bounce.state == FAILED else "",
            is_permanent=bounce.is_dead,
            answer=" ".join(filter(None, (bounce.status, bounce.text))),
        )


def read(raw, *, recipient=""):
    """The `Bounce` in a raw mail, or None when it is none of ours. `recipient` is the envelope's, if it is known."""
    try:
        return _read(email.message_from_bytes(raw[:MAIL_BYTES], policy=email.policy.compat32), recipient)
    except RecursionError:
        return None  # parts in parts in parts: no mail server writes that


def _read(mail, recipient):
    report = _part(mail, "message/delivery-status")
    if report is None and not _is_from_a_server(mail):
        return None  # an out-of-office answer, or a person who wrote back
    known = envelope.message_id_of(_addresses(mail, recipient)) or _returned_message_id(mail)
    if not known:
        return None
    if report is None:
        return _of_words(mail, known)
    blocks = [block for block in report.get_payload() or [] if hasattr(block, "get")]
    for block in blocks:
        action = str(block.get("Action", "")).strip().lower()
        if not action:
            continue  # the first block is about the mail, the others about its recipients
        status = _status(str(block.get("Status", "")))
        said = _one_line(str(block.get("Diagnostic-Code", "")))
        if status in ("", "5.0.0"):
            status = _status(said) or status
        if action == "failed":
            return _failed(known, status, said)
        if action == "delayed":
            return Bounce(known, DELAYED, status, said)
        if action == "delivered":
            return Bounce(known, DELIVERED, status, said)
    return None


def read_event(data):
    """The `Bounce` in an event of Mailgun's webhook, or None when it says nothing that counts."""
    event = data.get("event-data")
    if not isinstance(event, dict):
        return None
    headers = _dict(_dict(event.get("message")).get("headers"))
    known = storable(str(headers.get("message-id", ""))).strip().strip("<>")
    if not known:
        return None
    said = _dict(event.get("delivery-status"))
    text = _one_line(str(said.get("message") or said.get("description") or ""))
    status = _status(str(said.get("enhanced-code") or "")) or _status(text)
    if event.get("event") == "delivered":
        return Bounce(f"<{known}>", DELIVERED, status, text)
    if event.get("event") == "failed" and event.get("severity") == "permanent":
        bare = str(said.get("code", ""))
        return _failed(
            f"<{known}>", status or ("5.1.1" if bare == "550" and "relay" not in text.lower() else ""), text
        )
    return None


def is_signed(signature, key):
    """Whether Mailgun signed this: hex HMAC-SHA256 of timestamp and token."""
    parts = {name: storable(str(signature.get(name, ""))) for name in ("timestamp", "token", "signature")}
    if not key or not all(parts.values()):
        return False
    expected = hmac.new(key.encode(), (parts["timestamp"] + parts["token"]).encode(), hashlib.sha256).hexdigest()
    return constant_time_compare(expected, parts["signature"])


def _failed(known, status, said):
    text = f"The mail came back: {' '.join(filter(None, (status, said))) or 'the server gave no reason'}"
    return Bounce(known, FAILED, status, storable(text)[:400], is_dead=_says_no_such_mailbox(status, said))


def _says_no_such_mailbox(status, said):
    """The codes 5.1.x of RFC 3463 that are about the recipient's address, and 5.0.0, which gives no other reason."""
    if status == "5.0.0":
        return "relay" not in said.lower()
    return re.fullmatch(r"5\.1\.(0|1|2|3|6|10)", status) is not None


def _of_words(mail, known):
    """A bounce in plain words, as old servers write them: only an enhanced code is taken at its word."""
    for part in mail.walk():
        if part.get_content_type() == "text/plain":
            text = (part.get_payload(decode=True) or b"")[:TEXT_CHARACTERS].decode("utf-8", "replace")
            for found in ENHANCED_CODE.finditer(text):
                if found[1] == "5":
                    line = text[text.rfind("\n", 0, found.start()) + 1 :].partition("\n")[0]
                    return _failed(known, found[0], _one_line(line))
    return None


def _is_from_a_server(mail):
    """Whether a mail server wrote it: no sender to answer to, and not the automatic answer of a person's mailbox."""
    if str(mail.get("Auto-Submitted", "")).lower().startswith("auto-replied") and "mailer-daemon" not in _sender(mail):
        return False
    return str(mail.get("Return-Path", "")).strip() == "<>" or "mailer-daemon" in _sender(mail)


def _sender(mail):
    return str(mail.get("From", "")).lower()


def _addresses(mail, recipient):
    names = ("Delivered-To", "X-Original-To", "To", "Envelope-To")
    return " ".join([recipient, *(str(value) for name in names for value in mail.get_all(name, []))])


def _returned_message_id(mail):
    """The Message-ID in the headers of the mail that came back."""
    for kind in ("message/rfc822", "text/rfc822-headers", "message/rfc822-headers"):
        part = _part(mail, kind)
        if part is None:
            continue
        payload = part.get_payload()
        if isinstance(payload, list):
            found = payload[0].get("Message-ID", "") if payload else ""
        else:
            text = (part.get_payload(decode=True) or b"").decode("utf-8", "replace")
            found = email.message_from_string(text).get("Message-ID", "")
        return storable(str(found)).strip()
    return ""


def _part(mail, kind):
    return next((part for part in mail.walk() if part.get_content_type() == kind), None)


def _status(text):
    found = ENHANCED_CODE.search(text)
    return found[0] if found else ""


def _one_line(text):
    return " ".join(text.split())[:300]


def _dict(value):
    return value if isinstance(value, dict) else {}
