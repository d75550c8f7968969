"""Our own outgoing webhook, signed as Standard Webhooks (standardwebhooks.com) says."""

import base64
import hashlib
import hmac
import json
import secrets
from urllib.parse import urlsplit

from core import http
from core.errors import SendError
from notifications.channels.base import Channel, DeadAddress

PREFIX = "whsec_"
EVENT_TYPE = "page.sent"
MAY_PASS = frozenset({408, 409, 425})  # a client error that can be over the next time


class Webhook(Channel):
    kind, label = "webhook", "Webhook"
    address_help = "A web address that takes a signed POST, for example https://example.com/pages"

    def problem_with(self, address):
        return http.problem_with(address)

    def new_secret(self):
        return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()

    def lane(self, address):
        return f"{self.kind} {urlsplit(address).netloc}"

    def send(self, address, outgoing):
        body = json.dumps(payload(outgoing), ensure_ascii=False, separators=(",", ":")).encode()
        headers = {"Content-Type": "application/json"}
        headers |= signature_headers(outgoing.secret, str(outgoing.uuid), int(outgoing.at.timestamp()), body)
        reply = http.post(address, data=body, headers=headers)
        if reply.is_success:
            return ""
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


def payload(outgoing):
    """The body: one event about one page. `id` is the same for every try."""
    message = outgoing.message
    return {
        "id": str(outgoing.uuid),
        "type": EVENT_TYPE,
        "timestamp": outgoing.at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "data": {
            "topic": outgoing.topic,
            "person": outgoing.person,
            "title": message.title,
            "body": message.body,
            "notes": list(outgoing.notes),
            "url": message.url,
            "urgency": message.urgency,
            "fields": [{"name": name, "value": value} for name, value in message.fields],
            "links": [{"label": label, "url": url} for label, url in outgoing.links],
            "attempt": outgoing.attempt,
        },
    }


def signature_headers(secret, message_id, timestamp, body):
    """The headers that prove these bytes are ours: Standard Webhooks, and `X-Signature-256` for simpler readers."""
    headers = {"webhook-id": message_id, "webhook-timestamp": str(timestamp)}
    if secret:
        signed = f"{message_id}.{timestamp}.".encode() + body
        digest = hmac.digest(_key(secret), signed, hashlib.sha256)
        headers["webhook-signature"] = f"v1,{base64.b64encode(digest).decode()}"
        headers["X-Signature-256"] = f"sha256={hmac.digest(secret.encode(), body, hashlib.sha256).hex()}"
    return headers


def _key(secret):
    text = secret.removeprefix(PREFIX)
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        raise SendError(
            f"The webhook's secret is not base64 after {PREFIX}. Empty it to get a new one.", permanent=True
        ) from None
