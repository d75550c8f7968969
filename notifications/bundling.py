"""Bundles: many pages that wait for one address become one message, so that a storm is no row of a thousand calls.

One address gets a few messages at once (`AT_ONCE`); after that, what comes is gathered and goes out as one message at
a time. The bundle is a notification of its own; its members wait for it, and take its state when it ends. Whoever
settles one member takes it out; a bundle that has none left is not sent.
"""

import collections
import json
import uuid

from django.conf import settings
from django.db import connection
from django.db.models import Q

from notifications import limits
from notifications.channels.base import Limit
from notifications.message import CALLS, CHANGES, Action, Kind, Message
from notifications.models import Allowance, Notification, channels
from notifications.planning import Row, write

State = Notification.State
TABLE = Notification._meta.db_table

FEW = 3  # up to so many waiting messages go out one by one
AT_ONCE = Limit(FEW, 30)  # of one address: three at once, and then one in ten seconds; see `_name`
LISTED = 20  # the rest is counted
MOST = 1000  # in one bundle
GATHERED = "Held back: messages came quickly one after the other, so the next ones were gathered into one."
PREFIX = "bundle:"

SEVERITIES = ("critical", "high", "medium", "low", "info")


def companions(rows, now):
    """Lock and return the other messages for the addresses of these rows that a bundle would take along.

    Those are the due ones and the ones that were held back, and only of addresses that may get a message now.
    """
    groups = _groups(rows)
    if not groups:
        return []
    names = {group: _name(group, members) for group, members in groups.items()}
    buckets = Allowance.objects.in_bulk(names.values())
    free = [group for group, name in names.items() if _may_get_one(buckets.get(name), now)]
    calls = Q(contact_method__in=[method for method, is_call in free if is_call], kind__in=CALLS)
    changes = Q(contact_method__in=[method for method, is_call in free if not is_call], kind__in=CHANGES)
    waiting = (
        Notification.objects.unsettled()
        .filter(calls | changes, Q(due_at__lte=now) | Q(due_at__isnull=False, reason=GATHERED), bundle=None)
        .exclude(pk__in=[row.pk for row in rows])
        .exclude(topic__startswith=PREFIX)
        .order_by("is_repeat", "urgency", "due_at")
    )
    found = waiting.select_for_update(skip_locked=True, no_key=True, of=("self",))[:MOST] if free else ()
    return [row for row in found if is_bundled(row)]


def _may_get_one(bucket, now):
    return bucket is None or limits.whole(limits.refilled(bucket.tokens, bucket.at, AT_ONCE, now)) > 0


def is_bundled(row):
    """Whether a message may become part of a bundle. One that changes an earlier one in place stays on its own."""
    if row.contact_method_id is None or row.kind not in CALLS | CHANGES:
        return False
    if row.topic.startswith(PREFIX):
        return False  # one of changes has the kind of a change: its members would wait for ever inside another
    if row.attempts:
        return False  # it had its turn: the next try, perhaps through another account, must not queue again
    if row.channel not in channels:
        return False
    channel = channels.get(row.channel)
    return channel.is_bundled and not (row.changes_id and channel.can_update)


def gather(rows, now):
    """Return what is to be sent of these locked rows, with bundles in the place of their first members.

    Also returned is `{pk: (due_at, reason)}` of those that wait a moment, so that more of them go out together.
    """
    groups = _groups(rows)
    names = {group: _name(group, members) for group, members in groups.items()}
    purse = limits.Purse(dict.fromkeys(names.values(), AT_ONCE), now)
    instead, held, bundles = {}, {}, {}
    for group, members in groups.items():
        name = names[group]
        left = purse.left(name)
        if len(members) <= min(left, FEW):
            for _ in members:
                purse.take([name])
        elif purse.take([name]):
            due_at = purse.queue(name)
            for row in members:
                held[row.pk] = due_at, GATHERED
        elif len(members) > 1:
            plan = _row(sorted(members, key=_rank), now)
            bundles[str(plan.uuid)] = plan, members
    purse.save()
    if bundles:
        write([plan for plan, _ in bundles.values()], now=now, is_claimed=True)
        for bundle in Notification.objects.filter(uuid__in=list(bundles)):
            plan, members = bundles[str(bundle.uuid)]
            _join(bundle, members)
            instead[members[0].pk] = bundle
            instead |= {row.pk: None for row in members[1:]}
    found = [instead.get(row.pk, row) for row in rows if row.pk not in held]
    return [row for row in found if row is not None], held


def _groups(rows):
    """`{(contact method, whether they ask for an answer): rows}` of those that may go out together."""
    groups = collections.defaultdict(list)
    for row in rows:
        if is_bundled(row):
            groups[row.contact_method_id, row.kind in CALLS].append(row)
    return groups


def _name(group, rows):
    """The limit of these rows. First urgent pages have their own, so that no quiet message can use it up."""
    method_id, is_call = group
    if not is_call:
        return f"bundle {method_id} changes"
    is_first = any(row.urgency == "high" and not row.is_repeat for row in rows)
    return f"bundle {method_id} {'first' if is_first else 'calls'}"


def _rank(row):
    """The order in which a bundle names its members: the same however the database gave them."""
    return row.is_repeat, row.urgency, row.planned_at, row.pk


def _join(bundle, members):
    bundle.planned_at = min(row.planned_at for row in members)
    bundle.is_possible_repeat = any(row.is_possible_repeat or row.state == State.SENDING for row in members)
    bundle.reason = next((row.reason for row in members if row.reason), "")
    bundle.save(update_fields=["planned_at", "is_possible_repeat", "reason"])
    Notification.objects.filter(pk__in=[row.pk for row in members]).update(
        bundle=bundle, state=State.PENDING, due_at=None, lease_until=None, lease_token=None, reason=""
    )


def _row(members, now):
    """The row of a new bundle: as urgent as its most urgent member, and a first page if one of them is."""
    first, name = members[0], uuid.uuid4()
    return Row(
        uuid=name,
        plan_key=f"{PREFIX}{name}:u{first.user_id}:m{first.contact_method_id}",
        topic=f"{PREFIX}{name}",
        kind=str(Kind.BUNDLE if first.kind in CALLS else Kind.UPDATE),
        user_id=first.user_id,
        contact_method_id=first.contact_method_id,
        destination_id=None,
        channel=first.channel,
        address=first.address,
        urgency="high" if any(row.urgency == "high" for row in members) else "low",
        is_repeat=all(row.is_repeat for row in members),
        share=first.share,
        level=min(row.level for row in members),
        target_seconds=min((row.target_seconds for row in members if row.target_seconds), default=None),
        message=json.dumps(message([row.message for row in members], first.kind in CALLS).to_json()),
        due_at=now,
    )


def message(members, is_call=True):
    """One message that lists others, each given as its JSON."""
    lines = [f"• {each.get('title', '')}\n  {each.get('url', '')}".rstrip() for each in members[:LISTED]]
    if len(members) > LISTED:
        lines.append(f"… and {len(members) - LISTED} more.")
    ranks = [SEVERITIES.index(each["severity"]) for each in members if each.get("severity") in SEVERITIES]
    what = "pages" if is_call else "changes"
    return Message(
        title=f"{len(members)} {what}: {members[0].get('title', '')}" + (" and others" if len(members) > 1 else ""),
        body="\n".join(lines),
        url=f"{settings.PUBLIC_URL}/",
        urgency="high" if any(each.get("urgency") == "high" for each in members) else "low",
        actions=(Action("Acknowledge all", "acknowledge"),) if is_call else (),
        kind=Kind.BUNDLE if is_call else Kind.UPDATE,
        severity=SEVERITIES[min(ranks)] if ranks else "",
        data={"count": len(members)},
    )


def refresh(rows):
    """Make the text of due bundles anew, without the members that were settled. Returns the pks of empty ones."""
    bundles = {row.pk: row for row in rows if row.topic.startswith(PREFIX)}
    if not bundles:
        return set()
    members = collections.defaultdict(list)
    waiting = Notification.objects.filter(bundle__in=bundles).order_by("is_repeat", "urgency", "planned_at", "pk")
    for bundle_id, state, text in waiting.values_list("bundle_id", "state", "message"):
        if state == State.PENDING:
            members[bundle_id].append(text)
    for pk, row in bundles.items():
        if members[pk] and len(members[pk]) != row.message.get("data", {}).get("count"):
            row.message = message(members[pk], row.kind == Kind.BUNDLE).to_json()
            row.save(update_fields=["message"])
    return {pk for pk in bundles if not members[pk]}


def empty(pks):
    """Those of these bundles, given by their numbers, that have no member left to be sent."""
    full = Notification.objects.filter(bundle__in=pks, state=State.PENDING).values_list("bundle_id", flat=True)
    return set(pks) - set(full.distinct())


def follow(pks):
    """Give the members of these bundles, where they still wait for it, the state that their bundle has now.

    In the caller's transaction, after the bundle was written. Returns the (topic, user_id) of those members.
    """
    if not pks:
        return []
    with connection.cursor() as cursor:
        cursor.execute(
            f"WITH ended AS (SELECT * FROM {TABLE} WHERE id = ANY(%s) AND state NOT IN ('pending', 'sending')), "
            f"held AS (SELECT entry.id FROM {TABLE} AS entry JOIN ended ON entry.bundle_id = ended.id "
            "WHERE entry.state IN ('pending', 'sent', 'delivered') ORDER BY entry.id FOR NO KEY UPDATE OF entry) "
            f"UPDATE {TABLE} AS entry SET state = CASE WHEN ended.state = 'acknowledged' THEN 'sent' "
            "ELSE ended.state END, reason = ended.reason, sent_at = ended.sent_at, "
            "delivered_at = ended.delivered_at, read_at = ended.read_at, provider = ended.provider "
            "FROM ended, held WHERE entry.bundle_id = ended.id AND entry.id = held.id "
            "AND entry.state IN ('pending', 'sent', 'delivered') RETURNING entry.topic, entry.user_id",
            [list(pks)],
        )
        return cursor.fetchall()
