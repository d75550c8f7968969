"""Linking a chat of Telegram to a person: a signed code of the settings page that works once, within half an hour.

The person opens the bot by the link, which sends it "/start <code>"; whoever sends that is them.
"""

import base64
import datetime
import struct

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils.crypto import constant_time_compare, salted_hmac

from accounts.models import User
from core import secrets
from core.errors import DomainError, Gone
from notifications import providers, replays
from notifications.channels.telegram import Telegram
from notifications.models import ContactMethod, Destination

VALID = datetime.timedelta(minutes=30)
SALT = "notifications.telegram_links"
MAC_BYTES = 16
FORM = ">QI"  # whose it is, and when it was made
AGAIN = "Open your settings page and press the button there again."


def make(user, *, now):
    """A new code for this person: at most 64 letters, digits, _ and -, which is what /start takes."""
    payload = struct.pack(FORM, user.pk, int(now.timestamp()))
    return base64.urlsafe_b64encode(_mac(payload, settings.SECRET_KEY) + payload).rstrip(b"=").decode()


def address(user, *, now):
    """The link that opens our bot with a new code, or "" while the bot's name is not in its settings."""
    found = providers.accounts(Telegram.vendor)
    name = found[0].config["bot_name"] if found else ""
    return f"https://t.me/{name}?start={make(user, now=now)}" if name else ""


@transaction.atomic
def take(code, chat_id, *, now):
    """Link the chat to the person who got this code, and return its ContactMethod. Raises DomainError."""
    user, payload = _read(code, now)
    chat = str(chat_id)
    same = ContactMethod.objects.filter(channel=Telegram.kind, address_key__in=secrets.fingerprints(chat))
    if same.exclude(user=user).exists():
        # An answer from this chat must be one person's.
        raise DomainError("This Telegram account is linked to somebody else. They delete it on their settings page.")
    # Not by the code itself: base64 has several spellings of the same bytes.
    if not replays.is_first(f"telegram-link:{payload.hex()}", now=now):
        raise Gone(f"This code was used already. {AGAIN}")
    method = same.first() or ContactMethod(user=user, channel=Telegram.kind, address=chat)
    method.verified_at, method.disabled_reason = now, ""
    method.save()
    return method


def move(old_chat_id, new_chat_id):
    """Follow a group that got another id."""
    old, new = str(old_chat_id), str(new_chat_id)
    for model in (Destination, ContactMethod):
        for row in model.objects.filter(channel=Telegram.kind, address_key__in=secrets.fingerprints(old)):
            row.address = new
            try:
                with transaction.atomic():
                    row.save(update_fields=["address", "address_key"])
            except IntegrityError:
                continue  # the person has the new one as well


def _read(code, now):
    """(the person, the bytes that were signed). Raises DomainError."""
    try:
        data = base64.b64decode(code.encode("ascii") + b"=" * (-len(code) % 4), altchars=b"-_", validate=True)
    except ValueError:
        data = b""
    mac, payload = data[:MAC_BYTES], data[MAC_BYTES:]
    keys = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    genuine = [constant_time_compare(mac, _mac(payload, key)) for key in keys]
    if len(payload) != struct.calcsize(FORM) or not any(genuine):
        raise DomainError(f"This code is not one of ours, or it was cut off on the way. {AGAIN}")
    pk, made = struct.unpack(FORM, payload)
    if made + VALID.total_seconds() < now.timestamp():
        raise Gone(f"This code has expired. {AGAIN}")
    user = User.objects.filter(pk=pk, is_active=True).first()
    if user is None:
        raise DomainError("This account is deactivated. Ask an admin to change that.")
    return user, payload


def _mac(payload, key):
    return salted_hmac(SALT, payload, secret=key, algorithm="sha256").digest()[:MAC_BYTES]
