"""Tell those who got a message what became of it, where they got it: in place where the channel can, else once more.

A change goes behind all pages. While an earlier message about the same topic is on its way to the same address, the
change waits a moment, so that the older words do not arrive last.
"""

import dataclasses
import datetime
import json
import uuid

from django.db.models import Count, Q

from notifications.message import CALLS, CHANGES, Kind, Message
from notifications.models import Destination, Notification, channels
from notifications.planning import Row, write

State = Notification.State

ON_ITS_WAY = (State.PENDING, State.SENDING)
REACHED = (State.SENT, State.DELIVERED, State.READ, State.ACKNOWLEDGED)
PAUSE = datetime.timedelta(seconds=3)  # most sends end within it

# Whoever got a bundle of this many is told of each; in a larger one the single incident was never looked at, and one
# message for each of two hundred would be the storm again.
FEW = 3


@dataclasses.dataclass(frozen=True)
class News:
    """Something to tell one destination about a topic.

    `is_quiet`: only where an earlier message can be changed in place, because nobody asked to be told. `is_asked_for`:
    also where each word more is one more message.
    """

    topic: str
    key: str
    message: Message
    destination: Destination
    share: str = ""
    is_quiet: bool = False
    is_asked_for: bool = False


def tell_readers(topic, message, *, key, skip_user_id=None, now):
    """Tell every person who was paged about the topic, at each address that got a page. In the caller's transaction.

    Left out are addresses that want no updates, and whoever `skip_user_id` is: they did it themselves. Only a message
    of theirs that can be changed in place is changed, so that it keeps no buttons that lead nowhere. `key` names the
    change: telling it twice writes nothing. Three statements, whatever the number of readers.
    """
    pages, waits = _pages(topic, now)
    sizes = _bundle_sizes({page.bundle_id for page in pages.values()} - {None})
    body = json.dumps(message.to_json())
    rows = []
    for method_id, page in pages.items():
        if page.channel not in channels or not page.contact_method.is_usable or not page.user.is_active:
            continue
        channel = channels.get(page.channel)
        if not channel.tells_changes or not page.contact_method.wants_updates:
            continue
        is_in_place = channel.can_update and not page.bundle_id
        if page.user_id == skip_user_id and not is_in_place:
            continue
        if page.bundle_id and sizes.get(page.bundle_id, 0) > FEW:
            continue
        rows.append(
            Row(
                uuid=uuid.uuid4(),
                plan_key=f"{key}:u{page.user_id}:m{method_id}",
                topic=topic,
                kind=str(message.kind),
                user_id=page.user_id,
                contact_method_id=method_id,
                destination_id=None,
                channel=page.channel,
                address=page.address,
                urgency="low",
                is_repeat=True,
                share=page.share,
                level=0,
                target_seconds=None,
                message=body,
                due_at=waits.get(method_id, now),
                changes_id=None if page.bundle_id else page.pk,
            )
        )
    write(rows, now=now)


def _pages(topic, now):
    """`{contact method: the first page that reached it}`, and `{contact method: when it is free}`."""
    rows = (
        Notification.objects.filter(topic=topic, user__isnull=False, contact_method__isnull=False)
        .filter(kind__in=CALLS | CHANGES)
        .filter(Q(state__in=(*ON_ITS_WAY, *REACHED)) | Q(bundle__state__in=(State.SENDING, *REACHED)))
        .select_related("user", "contact_method")
        .defer("message")
        .order_by("pk")
    )
    pages, waits = {}, {}
    for row in rows:
        _wait(waits, row.contact_method_id, row.state, row.due_at, now)
        if row.kind in CALLS and row.state != State.PENDING:
            pages.setdefault(row.contact_method_id, row)
    return pages, waits


def _wait(waits, address, state, due_at, now):
    if state in ON_ITS_WAY:
        # The due time of one that is being sent is the end of its lease, or nothing: it takes seconds.
        free_at = max(now, due_at or now) if state == State.PENDING else now
        waits[address] = max(waits.get(address, now), free_at + PAUSE)


def _bundle_sizes(pks):
    if not pks:
        return {}
    members = Notification.objects.filter(bundle_id__in=pks).order_by()
    return dict(members.values_list("bundle_id").annotate(Count("pk")))


def tell_places(news, *, now):
    """Tell destinations, each in the thread of what it was told before. In the caller's transaction."""
    news = [one for one in news if one.destination.channel in channels and one.destination.is_usable]
    if not news:
        return
    firsts, waits = _first_messages(news, now)
    bodies, rows = {}, []
    for one in news:
        place = one.destination
        first = firsts.get((one.topic, place.pk, place.channel))
        channel = channels.get(place.channel)
        if one.is_quiet and not (first and channel.can_update):
            continue
        if one.message.kind == Kind.UPDATE and not (channel.tells_updates or one.is_asked_for):
            continue
        body = bodies.get(id(one.message)) or bodies.setdefault(id(one.message), json.dumps(one.message.to_json()))
        rows.append(
            Row(
                uuid=uuid.uuid4(),
                plan_key=f"{one.key}:d{place.pk}:d0",
                topic=one.topic,
                kind=str(one.message.kind),
                user_id=None,
                contact_method_id=None,
                destination_id=place.pk,
                channel=place.channel,
                address=place.shown,
                urgency=one.message.urgency,
                is_repeat=True,
                share=one.share,
                level=0,
                target_seconds=None,
                message=body,
                due_at=waits.get((one.topic, place.pk), now),
                changes_id=first,
            )
        )
    write(rows, now=now)


def _first_messages(news, now):
    """`{(topic, destination, channel): the first message there}`, and `{(topic, destination): when it is free}`."""
    rows = (
        Notification.objects.filter(
            topic__in={one.topic for one in news},
            destination__in={one.destination.pk for one in news},
            state__in=(*ON_ITS_WAY, *REACHED),
        )
        .order_by("pk")
        .values_list("pk", "topic", "destination_id", "channel", "state", "due_at", "changes_id", "message__data")
    )
    firsts, waits = {}, {}
    for pk, topic, place_id, channel, state, due_at, changes_id, data in rows:
        _wait(waits, (topic, place_id), state, due_at, now)
        if changes_id is None and not (data or {}).get("in_thread"):
            firsts.setdefault((topic, place_id, channel), pk)
    return firsts, waits
