"""What a mail of ours carries on its envelope and in its headers, so that what comes back finds its message.

The Message-ID is the message's uuid. With BOUNCE_ADDRESS set, the mail is sent from `bounces+<token>@example.com`, and
a mail about a change says where its reader can turn such mails off; both are signed.
"""

import base64
import binascii
import hmac
import re
import uuid
from urllib.parse import urlsplit

from django.conf import settings
from django.core.signing import BadSignature, Signer
from django.utils.crypto import constant_time_compare, salted_hmac

from core.errors import NotFound

MAC_BYTES = 10  # with the uuid 42 letters: the part before the @ has room for 64
SENDER_SALT, UPDATES_SALT = "notifications.envelope.sender", "notifications.envelope.updates"
TOKEN = re.compile(r"\+([a-z2-7]{42})@", re.IGNORECASE)


def domain():
    return urlsplit(settings.PUBLIC_URL).hostname


def message_id(notification_uuid):
    """The Message-ID of a message, the same for every try."""
    return f"<{notification_uuid}@{domain()}>"


def sender(notification_uuid):
    """The envelope's sender, to which bounces go, or "" when BOUNCE_ADDRESS is not set."""
    local, at, host = settings.BOUNCE_ADDRESS.rpartition("@")
    if not at:
        return ""
    payload = notification_uuid.bytes
    token = base64.b32encode(_mac(payload, settings.SECRET_KEY) + payload).decode().rstrip("=").lower()
    return f"{local}+{token}@{host}"


def message_id_of(addresses):
    """The Message-ID of the message whose signed sender is in this text, or ""."""
    for token in TOKEN.findall(addresses):
        try:
            data = base64.b32decode(token.upper() + "=" * (-len(token) % 8))
        except binascii.Error:
            continue
        mac, payload = data[:MAC_BYTES], data[MAC_BYTES:]
        keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
        if len(payload) == 16 and any([constant_time_compare(mac, _mac(payload, key)) for key in keys]):
            return message_id(uuid.UUID(bytes=payload))
    return ""


def updates_url(notification_uuid):
    """Where the reader of this message turns off mails about changes."""
    return f"{settings.PUBLIC_URL}/mail/updates/{Signer(salt=UPDATES_SALT).sign(notification_uuid.hex)}"


def read_updates_token(token):
    """The uuid of the message that carried the address. Raises NotFound when we did not sign it."""
    try:
        return uuid.UUID(hex=Signer(salt=UPDATES_SALT).unsign(token))
    except (BadSignature, ValueError):
        raise NotFound("This link is not one of ours, or it was cut off. Copy the whole link.") from None


def _mac(payload, key):
    return hmac.digest(salted_hmac(SENDER_SALT, b"", secret=key, algorithm="sha256").digest(), payload, "sha256")[
        :MAC_BYTES
    ]
