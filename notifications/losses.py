"""A message did not arrive: the person's next rule applies now; and when nothing is left, somebody is told loudly.

Two steps, because of the order of locks. Whoever acknowledges holds the incident and then waits for the rows of its
messages; so `tell`, whose listeners may lock the incident, comes before any row of a message is locked, and
`bring_forward` comes after the caller has locked the rows that `tell` named, together with its own.
"""

import collections
import dataclasses

from django.conf import settings
from django.db import connection
from django.db.models import Q

from core import due
from core.announce import announce
from notifications import alarms, bundling
from notifications.message import CALLS, CHANGES, OUTSIDE, PROBES, Kind, Message
from notifications.models import ContactMethod, Destination, Notification
from notifications.planning import Page, plan_many
from notifications.signals import delivery_ended, outside_unreached, person_unreached

State = Notification.State
WENT_OUT = (State.SENT, State.DELIVERED)


@dataclasses.dataclass(frozen=True)
class Loss:
    """A message that ended unsent, or whose receipt is missing. `state` is what is told: failed, or cancelled."""

    pk: int
    plan_key: str
    topic: str
    kind: str
    user_id: int | None
    destination_id: int | None
    channel: str
    shown: str
    person: str
    title: str
    state: str
    reason: str
    dead_reason: str = ""

    @classmethod
    def of_row(cls, row, state, reason, dead_reason=""):
        return cls(
            pk=row.pk,
            plan_key=row.plan_key,
            topic=row.topic,
            kind=row.kind,
            user_id=row.user_id,
            destination_id=row.destination_id,
            channel=row.channel,
            shown=row.address,
            person=str(row.reader or "somebody who is gone"),
            title=row.message.get("title", ""),
            state=state,
            reason=reason,
            dead_reason=dead_reason,
        )

    @property
    def is_call(self):
        return self.kind in CALLS and self.user_id is not None


def take_turns():
    """Until the end of the transaction, only one notes losses.

    Two workers that note the last two failures of one page must see each other, or neither raises the alarm.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('notifications.outbox.failed'))")


def tell(losses, *, now):
    """Say which messages did not arrive, and raise an alarm for people and destinations whom nothing reaches.

    Returns `{pk of a loss: pks of the messages that its loss makes due now}`. Call `take_turns` first.
    """
    _tell_of_outside([each for each in losses if each.kind in OUTSIDE], now)
    losses = [each for each in losses if each.kind not in OUTSIDE]
    messages = _messages(losses)
    groups = collections.defaultdict(list)
    for each in losses:
        for pk, topic, _ in messages[each.pk]:
            groups[topic, each.state, each.reason].append(pk)
    # By number, incident:9 before incident:10: whoever locks several incidents takes them in that order too.
    for (topic, state, reason), pks in sorted(groups.items(), key=lambda group: (len(group[0][0]), group[0])):
        announce(delivery_ended, topic=topic, notification_ids=pks, state=str(state), reason=reason, now=now)
    failed = [each for each in losses if each.state == State.FAILED]
    failed = [each for each in failed if each.kind not in PROBES and not alarms.is_about_alarm(each.topic)]
    wanted = {(topic, page) for each in failed for _, topic, page in messages[each.pk]}
    hopeful, waiting = _rest(wanted, {each.pk for each in losses})
    following, unreached, texts = {}, {}, {}
    for each in failed:
        if each.user_id is None:
            text = f"The destination {each.person} could not be told about “{each.title}” ({each.topic})."
            text += f" {each.channel} {each.shown}: {each.reason}"
            texts.setdefault(destination_key(each.destination_id), text)
            continue
        if each.is_call:
            following[each.pk] = sorted({pk for *_, page in messages[each.pk] for pk in waiting.get(page, ())})
        for _, topic, page in messages[each.pk]:
            if page in hopeful or each.kind in CHANGES:
                continue
            if each.is_call:
                unreached[page] = (topic, each)
            key = unreachable_key(topic, each.user_id)
            texts.setdefault(key, f"No channel could reach {each.person} about “{each.title}” ({topic}).")
            texts[key] += f" {each.channel} {each.shown}: {each.reason}"
    for page, (topic, each) in sorted(unreached.items(), key=lambda one: (len(one[1][0]), one[1][0], one[0])):
        announce(person_unreached, topic=topic, user_id=each.user_id, page_key=page, reason=each.reason, now=now)
    alarms.raise_alarms(texts, now=now)
    return {pk: pks for pk, pks in following.items() if pks}


def _tell_of_outside(losses, now):
    """Readers outside are nobody's to page: whoever knows them is told, and no admin is."""
    for each in sorted(losses, key=lambda each: each.pk):
        if each.state == State.FAILED and each.destination_id:
            announce(
                outside_unreached,
                destination_id=each.destination_id,
                notification_id=each.pk,
                is_dead=bool(each.dead_reason),
                reason=each.dead_reason or each.reason,
                now=now,
            )


def _messages(losses):
    """`{pk: [(pk, topic, page)]}`: the message itself, or those that went out together in a bundle."""
    messages = {each.pk: [(each.pk, each.topic, page_of(each.plan_key))] for each in losses}
    if bundles := [each.pk for each in losses if each.topic.startswith(bundling.PREFIX)]:
        members = collections.defaultdict(list)
        for bundle_id, pk, topic, plan_key in Notification.objects.filter(
            bundle__in=bundles, state__in=[State.PENDING, *WENT_OUT]
        ).values_list("bundle_id", "pk", "topic", "plan_key"):
            members[bundle_id].append((pk, topic, page_of(plan_key)))
        # A bundle whose messages were all answered or settled has lost nothing.
        messages |= {pk: members[pk] for pk in bundles}
    return messages


def _rest(wanted, lost):
    """What else there is of these (topic, page): pages that may still arrive or did, and `{page: its next rule}`."""
    hopeful, waiting = set(), collections.defaultdict(list)
    if not wanted:
        return hopeful, waiting
    names = {page for _, page in wanted}
    rows = (
        Notification.objects.filter(topic__in={topic for topic, _ in wanted})
        .exclude(pk__in=lost)
        .exclude(bundle__in=lost)
        .exclude(state__in=[State.FAILED, State.CANCELLED, State.SUPPRESSED])
        .exclude(state=State.SENT, receipt_missed_at__isnull=False)
    )
    for pk, plan_key, state, attempts, due_at in rows.values_list("pk", "plan_key", "state", "attempts", "due_at"):
        page = page_of(plan_key)
        if page in names:
            hopeful.add(page)
            if state == State.PENDING and not attempts and due_at:
                waiting[page].append((due_at, pk))
    first = {page: min(due_at for due_at, _ in each) for page, each in waiting.items()}
    return hopeful, {page: [pk for at, pk in each if at == first[page]] for page, each in waiting.items()}


def lock(pks):
    """Lock these messages, and what is in them if they are bundles.

    In the order of their numbers, as everywhere, so that two such statements cannot deadlock. And as everywhere not
    against those who only refer to a message: that is checked at their commit, when they hold other messages.
    """
    rows = Notification.objects.filter(Q(pk__in=pks) | Q(bundle__in=pks))
    list(rows.order_by("pk").select_for_update(no_key=True, of=("self",)).values_list("pk"))


def bring_forward(following, losses, *, now):
    """Make the next rules of these losses due now; `following` is what `tell` returned, and its rows are locked."""
    reasons = {each.pk: f"It is sent early: {each.channel} {each.shown} failed." for each in losses}
    count = 0
    for reason, pks in _by_reason(following, reasons).items():
        waiting = Notification.objects.filter(pk__in=pks, state=State.PENDING, due_at__gt=now)
        count += waiting.update(due_at=now, planned_at=now, reason=reason[:500])
    if count:
        due.wake("deliveries")


def _by_reason(following, reasons):
    grouped = collections.defaultdict(set)
    for pk, pks in following.items():
        if pk in reasons:
            grouped[reasons[pk]].update(pks)
    return grouped


def disable(methods, places=None, *, quiet=(), now):
    """Use these addresses no more, `{pk: why}` of contact methods and of destinations, and tell whose they are.

    An owner is told over their other addresses, except of those in `quiet`; the admins are when there is none, and of
    every destination.
    """
    texts, pages = {}, []
    for pk, why in sorted(methods.items()):
        is_new = ContactMethod.objects.filter(pk=pk, disabled_reason="").update(disabled_reason=why[:300])
        if is_new and pk not in quiet:
            pages.append(_notice(ContactMethod.objects.select_related("user").get(pk=pk), why, now))
    for page, outcome in zip(pages, plan_many(pages, now=now), strict=True):
        if not outcome.is_reachable:
            texts[no_address_key(page.user_id)] = f"{page.message.body} They have no other address to be told at."
    for pk, why in sorted((places or {}).items()):
        if Destination.objects.filter(pk=pk, disabled_reason="").update(disabled_reason=why[:300]):
            place = Destination.objects.get(pk=pk)
            if place.is_outside:
                continue  # `tell` said so
            texts[destination_key(pk)] = (
                f"The destination {place} is not used any more: {why} "
                "Correct it in the admin and empty its “disabled reason”."
            )
    alarms.raise_alarms(texts, now=now)


def _notice(method, why, now):
    message = Message(
        title=f"Your {method.get_channel_display()} address is not used any more",
        body=f"{method.user}'s address {method.get_channel_display()} {method.shown} was disabled: {why} "
        "Correct it in the settings, or use another, so that pages arrive.",
        url=f"{settings.PUBLIC_URL}/settings",
        urgency="low",
        kind=Kind.NOTICE,
    )
    return Page(f"address:{method.pk}:{int(now.timestamp())}", f"address:{method.pk}", method.user_id, message)


def unreachable_key(topic, user_id):
    return f"unreachable:{topic}:{user_id}"


def destination_key(destination_id):
    return f"destination:{destination_id}"


def no_address_key(user_id):
    return f"no-address:{user_id}"


def over_keys(topic, user_id, destination_id):
    """The alarms that end when a message about this topic reaches this person, or this destination."""
    if user_id is None:
        return [destination_key(destination_id)]
    return [unreachable_key(topic, user_id), no_address_key(user_id)]


def page_of(plan_key):
    """The part of a plan key that all messages of one page to one person share."""
    return plan_key.rpartition(":")[0]
