"""Rate limits: how many messages an account, an address or a person gets in a time. A message over one waits its turn.

Token buckets, kept in rows that all workers share. A message takes a token of each limit that applies to it; when one
is empty it takes none, and is due again when a token will be there, with the reason in words.
"""

import datetime
import math

from django.conf import settings
from django.db import connection

from notifications import providers
from notifications.channels.base import Limit
from notifications.message import CALLS, CHANGES
from notifications.models import BULK, Allowance, ContactMethod, Destination, channels, vendors

TABLE = Allowance._meta.db_table

# One person, over all channels that are read by people, for all but the first page of a topic that is urgent.
PER_PERSON = Limit(30, 300)
# All readers outside together; see `outside`.
OUTSIDE = "outside"
SHORTEST = datetime.timedelta(milliseconds=1)  # due again at this very moment, it would be claimed without end
LONGEST = datetime.timedelta(minutes=5)  # a message that is held looks again at the latest after this


def refilled(tokens, at, limit, now):
    """How many tokens are in a bucket that held `tokens` at a time. It never holds more than a full burst."""
    seconds = max(0.0, (now - at).total_seconds())
    return min(float(limit.count), tokens + seconds * limit.count / limit.seconds)


def whole(tokens):
    """The whole tokens in a bucket. What time brings in may fall short of one by the rounding of a float."""
    return math.floor(tokens + 1e-6)


def wait(tokens, limit, ahead=0):
    """The time until a bucket has a token for a message that has `ahead` others in front of it."""
    missing = ahead + 1 - tokens
    return datetime.timedelta(seconds=max(0.0, missing * limit.seconds / limit.count))


class Purse:
    """The buckets of these limits, `{name: Limit}`, locked until the caller's transaction ends."""

    def __init__(self, limits, now):
        self.limits, self.now = limits, now
        self._tokens, self._queued = {}, dict.fromkeys(limits, 0)
        names = sorted(limits)  # locked in the order of their names, so that two workers cannot deadlock
        if not names:
            return
        with connection.cursor() as cursor:
            cursor.execute(
                f"INSERT INTO {TABLE} AS bucket (name, tokens, at) "
                "SELECT name, count, %s FROM unnest(%s::text[], %s::float8[]) AS wanted (name, count) "
                # The update that changes nothing locks the row and returns it.
                "ON CONFLICT (name) DO UPDATE SET tokens = bucket.tokens RETURNING name, tokens, at",
                [now, names, [limits[name].count for name in names]],
            )
            for name, tokens, at in cursor.fetchall():
                self._tokens[name] = refilled(tokens, at, limits[name], now)

    def left(self, name):
        """How many whole messages the limit lets through now."""
        return whole(self._tokens[name])

    def take(self, names):
        """Take a token of each of these limits, or none: then return the name of the one that must be waited for."""
        empty = [name for name in names if not self.left(name)]
        if not empty:
            for name in names:
                self._tokens[name] -= 1
            return None
        return max(empty, key=self._wait)

    def queue(self, name):
        """When a message that could not be taken may look again: the next after those that asked before it."""
        due_at = self.now + min(max(self._wait(name), SHORTEST), LONGEST)
        self._queued[name] += 1
        return due_at

    def _wait(self, name):
        return wait(self._tokens[name], self.limits[name], self._queued[name])

    def save(self):
        if not self.limits:
            return
        names = sorted(self.limits)
        with connection.cursor() as cursor:
            cursor.execute(
                f"UPDATE {TABLE} AS bucket SET tokens = saved.tokens, at = %s "
                "FROM unnest(%s::text[], %s::float8[]) AS saved (name, tokens) WHERE bucket.name = saved.name",
                [self.now, names, [self._tokens[name] for name in names]],
            )


def outside(now):
    """The Purse of what readers outside get in a minute, all together. They wait in the queue, and are not put off."""
    return Purse({OUTSIDE: _of_outside()}, now)


def outside_since(oldest, now):
    """Since when a message to a reader outside could go out, the oldest being due since `oldest`; None: not now."""
    bucket = Allowance.objects.filter(name=OUTSIDE).first()
    if bucket is None or oldest is None:
        return oldest
    return max(oldest, bucket.at) if whole(refilled(bucket.tokens, bucket.at, _of_outside(), now)) else None


def _of_outside():
    return Limit(settings.SUBSCRIBER_MESSAGES_PER_MINUTE, 60)


def over(rows, now):
    """`{pk: (due_at, reason)}` of those claimed rows that are over a limit; the others have taken their tokens.

    In the caller's transaction. Rows come in the order in which they are to go out.
    """
    applying, words = _applying(rows)
    if not applying:
        return {}
    purse = Purse({name: limit for limits in applying.values() for name, limit in limits}, now)
    held = {}
    for row in rows:
        names = [name for name, _ in applying.get(row.pk, ())]
        if names and (name := purse.take(names)):
            held[row.pk] = (purse.queue(name), f"Held back: {words[name]}.")
    purse.save()
    return held


def _applying(rows):
    """`{pk: [(name, Limit)]}` and the words of each limit."""
    used = {kind: channels.get(kind) for kind in {row.channel for row in rows} if kind in channels}
    keys = _address_keys([row for row in rows if row.channel in used and used[row.channel].per_address])
    accounts = {}
    if any(channel.per_provider for channel in used.values()):
        accounts = {vendor: found[0].key for vendor, found in providers.all_accounts().items() if found}
    applying, words = {}, {}
    for row in rows:
        channel = used.get(row.channel)
        if channel is None:
            continue
        found = []
        if channel.per_provider and (account := accounts.get(channel.vendor)):
            found.append((f"{account} {channel.kind}", channel.per_provider, vendors.get(channel.vendor).label))
        # Its address was counted at the first try.
        key = None if row.attempts else keys.get((row.contact_method_id, row.destination_id))
        if channel.per_address and key:
            # A reader outside may have the address of somebody who is paged: they share nothing.
            whose = "outside:" if row.urgency == BULK else ""
            found.append((f"{whose}{channel.kind} {key}", channel.per_address, f"this {channel.label} address"))
        if not row.attempts and is_counted_for_person(row, channel):
            found.append((f"person {row.user_id}", PER_PERSON, "one person"))
        for name, limit, who in found:
            applying.setdefault(row.pk, []).append((name[:200], limit))
            words[name[:200]] = f"{who} takes {in_words(limit)}"
    return applying, words


def is_counted_for_person(row, channel):
    """Whether the person's own limit holds for this message: never for the first page of something urgent."""
    if row.user_id is None or not channel.is_bundled or row.kind not in CALLS | CHANGES:
        return False
    return row.is_repeat or row.urgency != "high"


def _address_keys(rows):
    keys = {}
    if methods := {row.contact_method_id for row in rows} - {None}:
        for pk, key in ContactMethod.objects.filter(pk__in=methods).values_list("pk", "address_key"):
            keys[pk, None] = key
    if places := {row.destination_id for row in rows} - {None}:
        for pk, key in Destination.objects.filter(pk__in=places).values_list("pk", "address_key"):
            keys[None, pk] = key
    return keys


def in_words(limit):
    """“1 message a second”, “30 messages in 300 s”."""
    messages = f"{limit.count} message{'' if limit.count == 1 else 's'}"
    span = {1: "a second", 60: "a minute", 3600: "an hour", 86400: "a day"}.get(limit.seconds, f"in {limit.seconds} s")
    return f"{messages} {span}"
