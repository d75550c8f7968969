"""Signed links in messages: one tap, no sign-in, each verb once.

A link carries the notification's uuid, a verb, and a MAC over both. Whether it is expired or used is in the row. A GET
shows a page and only a POST acts: mail scanners open every link.
"""

import base64
import binascii
import datetime
import hmac
import uuid

from django.conf import settings
from django.db import connection
from django.utils.crypto import constant_time_compare, salted_hmac

from core.errors import Gone, NotFound
from notifications.models import Notification

MAC_BYTES = 16  # 128 bits; a shorter link survives the line breaks of SMS and plain mail
SALT = "notifications.links"
INSTEAD = "Log in and open the incident from the dashboard."


def token(notification_uuid, verb):
    """The signed text for this notification and verb. The same each time, so a retry carries the same link."""
    payload = notification_uuid.bytes + verb.encode()
    mac = _mac(payload, settings.SECRET_KEY)
    return base64.urlsafe_b64encode(mac + payload).rstrip(b"=").decode()


def url(notification_uuid, verb):
    """The address to put into a message."""
    return address(token(notification_uuid, verb))


def address(text):
    """The address of a token."""
    return f"{settings.PUBLIC_URL}/l/{text}"


def read(text):
    """Return the (uuid, verb) that a token carries. Raises NotFound when we did not sign it."""
    try:
        data = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise _forged() from None
    mac, payload = data[:MAC_BYTES], data[MAC_BYTES:]
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    genuine = [constant_time_compare(mac, _mac(payload, key)) for key in keys]
    if len(payload) <= 16 or not any(genuine):
        raise _forged()
    return uuid.UUID(bytes=payload[:16]), payload[16:].decode()


def verb_of(text):
    """The verb that a token carries. Raises NotFound when we did not sign it."""
    return read(text)[1]


def open_link(text, *, now):
    """Return the notification of a link that may be used. Raises NotFound (forged) or Gone (expired, used)."""
    notification_uuid, verb = read(text)
    notification = Notification.objects.select_related("user").filter(uuid=notification_uuid).first()
    if notification is None:
        raise NotFound(f"The message of this link was deleted. {INSTEAD}", code="forged_link")
    if verb in notification.links_used:
        raise Gone(f"This link was already used{_used_when(notification)}. {INSTEAD}", code="used_link")
    _refuse_expired(notification, now)
    return notification


def holder_of(text, *, now):
    """Return the notification of a link that is not expired, used or not. Raises NotFound (forged) or Gone (expired).

    For what whoever holds it may do beside its verb, which a link does once.
    """
    notification = Notification.objects.select_related("user").filter(uuid=read(text)[0]).first()
    if notification is None:
        raise NotFound(f"The message of this link was deleted. {INSTEAD}", code="forged_link")
    _refuse_expired(notification, now)
    return notification


def _refuse_expired(notification, now):
    if notification.link_expires_at is None or notification.link_expires_at <= now:
        raise Gone(f"This link has expired. {INSTEAD}", code="expired_link")


def _used_when(notification):
    """When, if it is known: the row keeps the time of its first link only."""
    if len(notification.links_used) > 1 or notification.link_used_at is None:
        return ""
    return f", on {notification.link_used_at.astimezone(datetime.UTC):%d %B at %H:%M} UTC"


def use(notification_pk, verb, *, now):
    """Use the link of a verb up. True for the first caller only, and only before it expires."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {Notification._meta.db_table} SET links_used = links_used || jsonb_build_array(%(verb)s::text), "
            "link_used_at = coalesce(link_used_at, %(now)s) "
            "WHERE id = %(pk)s AND NOT links_used @> jsonb_build_array(%(verb)s::text) "
            "AND link_expires_at > %(now)s",
            {"pk": notification_pk, "verb": verb, "now": now},
        )
        return cursor.rowcount == 1


def _forged():
    return NotFound(
        f"This link is not one of ours, or it was cut off on the way. Copy the whole link. {INSTEAD}",
        code="forged_link",
    )


def _mac(payload, key):
    return hmac.digest(salted_hmac(SALT, b"", secret=key, algorithm="sha256").digest(), payload, "sha256")[:MAC_BYTES]
