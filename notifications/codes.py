"""Reply codes: small numbers by which somebody who answers in words names a message, "42a".

A code is unique for one number or address for 24 hours, also when several people share it: it says who answers. The
same topic keeps its code, so that the second page of an incident is answered like the first.
"""

import collections
import datetime

from django.db import connection, transaction
from django.db.models.functions import Coalesce

from core import secrets
from notifications.message import CALLS, CHANGES, Kind
from notifications.models import ContactMethod, Notification, channels

VALID = datetime.timedelta(hours=24)
LARGEST = 32767  # what the column holds
ARRIVED = ("sending", "sent", "delivered", "read", "acknowledged")


def give(rows, *, now):
    """Give these claimed rows a code, in the database and on the objects, where their channel takes replies.

    A constant number of statements; none when no row needs one.
    """
    wanted = [row for row in rows if _wants_code(row)]
    if not wanted:
        return
    with transaction.atomic():
        methods = dict(
            ContactMethod.objects.filter(pk__in={row.contact_method_id for row in wanted}).values_list(
                "pk", "address_key"
            )
        )
        with connection.cursor() as cursor:
            # Two workers must not give one number the same code for two topics. In one order, against deadlocks.
            cursor.execute(
                "SELECT pg_advisory_xact_lock(hashtext(key)) FROM unnest(%s::text[]) AS key",
                [sorted(set(methods.values()))],
            )
        known = collections.defaultdict(dict)  # {(channel, address_key): {what: code}}
        for key, channel, method, kind, topic, code in (
            Notification.objects.filter(
                contact_method__address_key__in=set(methods.values()),
                channel__in={row.channel for row in wanted},
                reply_code__isnull=False,
                planned_at__gt=now - VALID,
            )
            .order_by("id")
            .values_list("contact_method__address_key", "channel", "contact_method", "kind", "topic", "reply_code")
        ):
            known[channel, key][_what(method, kind, topic)] = code
        given = {}
        for row in sorted(wanted, key=lambda each: each.pk):
            if row.contact_method_id not in methods:
                continue
            codes = known[row.channel, methods[row.contact_method_id]]
            what = _what(row.contact_method_id, row.kind, row.topic)
            if what not in codes:
                codes[what] = _smallest_free(codes.values())
            if codes[what] <= LARGEST:
                given[row.pk] = row.reply_code = codes[what]
        with connection.cursor() as cursor:
            cursor.execute(
                f"WITH given AS (SELECT * FROM unnest(%s::bigint[], %s::int[]) AS it (id, code)), "
                f"held AS (SELECT entry.id FROM {Notification._meta.db_table} AS entry JOIN given USING (id) "
                "ORDER BY entry.id FOR NO KEY UPDATE OF entry) "
                f"UPDATE {Notification._meta.db_table} AS entry SET reply_code = given.code "
                "FROM given JOIN held USING (id) WHERE entry.id = given.id",
                [list(given), list(given.values())],
            )


def find(channel, address, code, *, now):
    """The newest message that this code names at this address, or None. Only of verified, usable addresses."""
    return _to(channel, address, now).filter(reply_code=code).first() if 0 < code <= LARGEST else None


def last(channel, address, *, now):
    """The page that was sent to this address last, within 24 hours, or None."""
    return _to(channel, address, now).filter(kind__in=[str(kind) for kind in CALLS], bundle=None).first()


def _to(channel, address, now):
    keys = secrets.fingerprints(channels.get(channel).normal(address))
    return (
        Notification.objects.filter(
            channel=channel,
            contact_method__address_key__in=keys,
            contact_method__verified_at__isnull=False,
            contact_method__disabled_reason="",
            state__in=ARRIVED,
            planned_at__gt=now - VALID,
        )
        .annotate(went_at=Coalesce("sent_at", "planned_at"))
        .order_by("-went_at", "-id")
        .select_related("user", "contact_method")
    )


def _wants_code(row):
    return (
        row.reply_code is None
        and row.contact_method_id is not None
        and row.kind in CALLS | CHANGES
        and row.channel in channels
        and channels.get(row.channel).takes_replies
    )


def _what(method_id, kind, topic):
    """What a code stands for: a topic that one person answers for, or a bundle of several."""
    return method_id, kind == Kind.BUNDLE, topic


def _smallest_free(codes):
    taken, code = set(codes), 1
    while code in taken:
        code += 1
    return code
