"""Our own outgoing webhook, signed as Standard Webhooks (standardwebhooks.com) says."""

import base64
import hashlib
import hmac
import json
import re
import secrets
from urllib.parse import urlsplit

from core import http
from core.errors import SendError
from notifications.channels.base import Accepted, Channel, DeadAddress
from notifications.message import Kind
from notifications.vendors.base import Setting

PREFIX = "whsec_"
EVENT_TYPE = "page.sent"
BODY_BYTES = 20_000  # what Standard Webhooks asks to stay below
HEADERS = 20
HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
HEADER_VALUE = re.compile(r"[\t\x20-\x7e]{0,2000}")
# Not for others to set: they belong to the connection (RFC 9110, 7.6.1), to the body, or prove that we sent it.
OURS = re.compile(
    r"(connection|host|keep-alive|proxy-.*|te|trailer|transfer-encoding|upgrade|expect|content-.*|accept-encoding"
    r"|webhook-.*|x-signature-256)",
    re.IGNORECASE,
)
MAY_PASS = frozenset({408, 409, 425})  # a client error that can be over the next time


class Webhook(Channel):
    kind, label = "webhook", "Webhook"
    address_help = "A web address that takes a signed POST, for example https://example.com/pages"
    is_for_teams = True
    is_bundled = False  # a program reads it, and wants each event on its own
    is_address_secret = True
    options = (
        Setting(
            "headers",
            "Headers",
            "Sent along with each request, one a line, for example Authorization: Bearer …",
            is_secret=True,
            is_required=False,
        ),
        Setting(
            "old_secret",
            "Old secret",
            "While the secret is changed: requests are signed with both. Empty it when the reader has the new one.",
            is_secret=True,
            is_required=False,
        ),
    )

    def problem_with(self, address):
        return http.problem_with(address)

    def problems_with_options(self, options):
        problems = {}
        try:
            headers = headers_of(options)
        except ValueError as error:
            return {"headers": str(error)}
        if len(headers) > HEADERS:
            problems["headers"] = f"There are {len(headers)} headers. Send at most {HEADERS}."
        for name, value in headers.items():
            if not HEADER_NAME.fullmatch(name):
                problems["headers"] = f"“{name[:100]}” is not the name of a header. Use letters, digits and hyphens."
            elif OURS.fullmatch(name):
                problems["headers"] = f"The header {name} is set by the product. Take it out."
            elif not isinstance(value, str) or not HEADER_VALUE.fullmatch(value):
                problems["headers"] = f"The value of {name} has a line break or letters that a header cannot carry."
        if old := options.get("old_secret"):
            try:
                _key(old)
            except SendError as error:
                problems["old_secret"] = error.message
        return problems

    def preview(self, outgoing):
        return {"Body": json.dumps(payload(outgoing), ensure_ascii=False, indent=2)}

    def new_secret(self):
        return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()

    def lane(self, address):
        return f"{self.kind} {urlsplit(address).netloc}"

    def send(self, address, outgoing):
        return self._judged(http.post(address, **self._request(outgoing), guard=guard_of(outgoing)))

    async def send_async(self, address, outgoing):
        return self._judged(await http.apost(address, **self._request(outgoing), guard=guard_of(outgoing)))

    def _request(self, outgoing):
        if problems := self.problems_with_options(outgoing.options):
            raise SendError(next(iter(problems.values())), permanent=True)
        body = encoded_status(outgoing) if outgoing.message.kind == Kind.STATUS else encoded(payload(outgoing))
        headers = {**headers_of(outgoing.options), "Content-Type": "application/json"}
        keys = (outgoing.secret, outgoing.options.get("old_secret", ""))
        headers |= signature_headers(keys[0], str(outgoing.uuid), int(outgoing.at.timestamp()), body, keys[1])
        return {"data": body, "headers": headers}

    def _judged(self, reply):
        if reply.is_success:
            return Accepted(is_delivered=True, answer=str(reply.status))
        if reply.status == 410:
            raise DeadAddress("The webhook's address answered 410: it is gone for good.", status=410)
        if 300 <= reply.status < 400:
            raise SendError(
                f"The webhook's address answered with a redirect ({reply.status}). Enter the address it leads to.",
                permanent=True,
                status=reply.status,
            )
        raise SendError(
            f"The webhook's address answered {reply.status}. Check the address and what its owner expects.",
            permanent=reply.status not in MAY_PASS,
            status=reply.status,
        )


def guard_of(outgoing):
    """Which guard looks at the address: what our teams may reach is not for a stranger to post to."""
    return http.STRANGERS if outgoing.is_outside else http.OURS


def encoded_status(outgoing):
    """What a reader of a status page gets: the body that was made for machines, of which only texts may be too long.

    The older entries of a long story are left out, the oldest first, so that the whole stays below BODY_BYTES.
    """
    body = dict(outgoing.message.data.get("body", {}))
    while len(_json(body)) > BODY_BYTES and len(body.get("incident", {}).get("incident_updates", ())) > 1:
        body["incident"] = body["incident"] | {"incident_updates": body["incident"]["incident_updates"][:-1]}
    return _json(body)


def payload(outgoing):
    """The body: one event, with its facts and its words. `id` is the same for every try."""
    message = outgoing.message
    facts = {name: value for name, value in message.data.items() if name != "event"}
    return {
        "id": str(outgoing.uuid),
        "type": message.data.get("event") or EVENT_TYPE,
        "timestamp": outgoing.at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "data": {
            **facts,
            "kind": str(message.kind),
            "topic": outgoing.topic,
            "person": outgoing.person,
            "title": message.title,
            "body": message.body,
            "notes": list(outgoing.notes),
            "url": message.url,
            "urgency": message.urgency,
            "severity": message.severity,
            "fields": [{"name": name, "value": value} for name, value in message.fields],
            "links": [{"label": label, "url": url} for label, url in outgoing.links],
            "attempt": outgoing.attempt,
        },
    }


def encoded(event):
    """The event as it is sent. A long text is cut so that the whole stays below BODY_BYTES, and says that it was."""
    body = _json(event)
    if len(body) <= BODY_BYTES:
        return body
    data = event["data"] | {"is_cut": True}
    room = BODY_BYTES - len(_json(event | {"data": data | {"body": ""}})) - len("…")
    text = data["body"]
    while text and len(_json(text)) > max(room, 0):  # its quotes are counted, so there is room for the mark
        text = text[: len(text) * max(room, 0) // (len(_json(text)) + 1)]
    return _json(event | {"data": data | {"body": f"{text}…" if text else ""}})


def _json(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def headers_of(options):
    """The headers of an address, `{name: value}`: from a dict, or from lines as somebody typed them."""
    given = options.get("headers") or {}
    if isinstance(given, dict):
        return given
    headers = {}
    for line in filter(str.strip, str(given).splitlines()):
        name, colon, value = line.partition(":")
        if not colon:
            raise ValueError("A line of the headers has no colon. Write each as Name: value.")
        headers[name.strip()] = value.strip()
    return headers


def signature_headers(secret, message_id, timestamp, body, old_secret=""):
    """The headers that prove these bytes are ours: Standard Webhooks, and `X-Signature-256` for simpler readers.

    While a secret is changed the first has two signatures, so that both the old and the new one fit.
    """
    headers = {"webhook-id": message_id, "webhook-timestamp": str(timestamp)}
    if secret:
        signed = f"{message_id}.{timestamp}.".encode() + body
        digests = [hmac.digest(_key(one), signed, hashlib.sha256) for one in (secret, old_secret) if one]
        headers["webhook-signature"] = " ".join(f"v1,{base64.b64encode(one).decode()}" for one in digests)
        headers["X-Signature-256"] = f"sha256={hmac.digest(secret.encode(), body, hashlib.sha256).hex()}"
    return headers


def _key(secret):
    text = secret.removeprefix(PREFIX)
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        key = b""
    if not key:  # an empty key signs, too, and everybody has it
        raise SendError(
            f"The webhook's secret is not base64 after {PREFIX}. Empty it to get a new one.", permanent=True
        )
    return key
