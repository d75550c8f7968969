"""Receipts: what providers report of a message after they took it. Late or doubled, they never move a state back.

No receipt in time counts as not delivered: the person's next rule applies at once, but a late receipt still counts.
"""

import threading
import time

from django.db import transaction
from django.db.models import Min

from core.announce import announce
from notifications import alarms, bundling, losses
from notifications.message import CALLS
from notifications.models import Attempt, Notification
from notifications.results import Moved, short
from notifications.signals import receipt_came

State = Notification.State

SENT, DELIVERED, READ, FAILED = "sent", "delivered", "read", "failed"
RANKS = {SENT: 0, DELIVERED: 1, READ: 2}
WENT_OUT = (State.SENT, State.DELIVERED, State.READ, State.ACKNOWLEDGED)

WAIT_SECONDS, LOOK_SECONDS, WAITERS = 2, 0.1, 4  # see `report`
BATCH = 200

_waiters = threading.BoundedSemaphore(WAITERS)


def report(channel, provider_id, state, *, at, error="", is_permanent=False, answer="", cost=""):
    """Note what became of a message, by the provider's id of it. Returns the message, or None for an unknown id.

    `state` is sent, delivered, read or failed; `error` is a sentence, `is_permanent` means the address is dead.

    A report may come before the send itself is written down. While messages of this channel are being sent, it waits
    for that up to WAIT_SECONDS, WAITERS at a time in one process: nobody can tie up the rest by naming unknown ids.
    """
    if state not in RANKS and state != FAILED:
        raise ValueError(f"A receipt cannot say “{state}”.")
    if not provider_id:
        return None
    row = _find(channel, provider_id)
    if row is None and _may_come(channel) and _waiters.acquire(blocking=False):
        try:
            until = time.monotonic() + WAIT_SECONDS
            while row is None and time.monotonic() < until:
                time.sleep(LOOK_SECONDS)
                row = _find(channel, provider_id)
        finally:
            _waiters.release()
    if row is None:
        return None
    for _ in range(3):
        try:
            with transaction.atomic():
                row, over = _note(row.pk, provider_id, state, at, short(error), is_permanent, short(answer), cost[:40])
        except Moved:
            continue
        if over:  # only now, as in results.record
            alarms.clear_alarms(over, now=at)
        break
    return row


def _find(channel, provider_id):
    return Notification.objects.filter(channel=channel, provider_id=provider_id).order_by("-pk").first()


def _may_come(channel):
    return Notification.objects.filter(channel=channel, state=State.SENDING).exists()


def _note(pk, provider_id, state, at, error, is_permanent, answer, cost):
    """Write the report down. Returns the message, and the keys of the alarms that it ends."""
    loss, following, over = None, {}, []
    if state == FAILED:
        # Like every loss it is told before a row is locked: see losses.py.
        losses.take_turns()
        row = Notification.objects.select_related("user", "destination").get(pk=pk)
        if row.state == State.SENT:
            why = error or "The provider could not deliver it."
            loss = losses.Loss.of_row(row, State.FAILED.value, why, dead_reason=why if is_permanent else "")
            following = losses.tell([loss], now=at)
    losses.lock({pk}.union(*following.values()))
    row = Notification.objects.select_related("user", "destination").get(pk=pk)
    if (row.state == State.SENT) != (loss is not None) and state == FAILED:
        raise Moved
    _write_attempt(row, provider_id, answer, cost)
    before = row.state
    if state == FAILED:
        _fail(row, loss, following, is_permanent, error, at)
    else:
        _forward(row, state, at)
    row.cost = cost or row.cost
    row.save(
        update_fields=["state", "reason", "receipt_due_at", "delivered_at", "read_at", "cost", "receipt_missed_at"]
    )
    if row.state != before:
        reached = bundling.follow([row.pk]) if row.topic.startswith(bundling.PREFIX) else ()
        if row.state in (State.DELIVERED, State.READ):
            over = losses.over_keys(row.topic, row.user_id, row.destination_id)
            for topic, user_id in reached:
                over += losses.over_keys(topic, user_id, None)
        announce(receipt_came, topic=row.topic, notification_id=row.pk, state=str(row.state), now=at)
    return row, over


def _forward(row, state, at):
    """Delivered, or read: a state only moves on. A message that its reader answered keeps the answer."""
    if row.state not in WENT_OUT or state == SENT:
        return
    row.receipt_due_at = None
    row.delivered_at = row.delivered_at or at
    if state == READ:
        row.read_at = row.read_at or at
    if row.state != State.ACKNOWLEDGED and RANKS[state] > RANKS[row.state]:
        row.state, row.reason = State(state), ""


def _fail(row, loss, following, is_permanent, error, at):
    if loss:
        row.state, row.reason, row.receipt_due_at = State.FAILED, loss.reason, None
        Attempt.objects.filter(notification=row, provider_id=row.provider_id).update(ok=False, error=loss.reason)
        losses.bring_forward(following, [loss], now=at)
    # Also of a message that was answered from elsewhere: the address is dead all the same. Said again, it is not news.
    if is_permanent and (loss or row.state == State.ACKNOWLEDGED):
        why = error or "The provider cannot deliver to it."
        if row.contact_method_id:
            losses.disable({row.contact_method_id: why}, now=at)
        elif row.destination_id:
            losses.disable({}, {row.destination_id: why}, now=at)


def _write_attempt(row, provider_id, answer, cost):
    said = {name: value for name, value in (("answer", answer), ("cost", cost)) if value}
    if said:
        Attempt.objects.filter(notification=row, provider_id=provider_id).update(**said)


def oldest_due(now):
    """When the oldest receipt that has not come was due, or None."""
    return Notification.objects.filter(receipt_due_at__lte=now).aggregate(oldest=Min("receipt_due_at"))["oldest"]


def note_missing(now):
    """Note the receipts that did not come in time: those messages count as not delivered."""
    for _ in range(100):  # a bound, should something keep them from being noted
        try:
            with transaction.atomic():
                if not _note_missing(now):
                    return
        except Moved:
            continue


def _note_missing(now):
    losses.take_turns()
    late = Notification.objects.filter(receipt_due_at__lte=now).order_by("receipt_due_at")
    rows = list(late.select_related("user", "destination")[:BATCH])
    missing = [row for row in rows if row.state == State.SENT and row.kind in CALLS]
    lost = [losses.Loss.of_row(row, State.FAILED.value, _why(row)) for row in missing]
    following = losses.tell(lost, now=now)
    losses.lock({row.pk for row in rows}.union(*following.values()))
    still = set(late.filter(pk__in=[row.pk for row in rows]).values_list("pk", "state"))
    if still != {(row.pk, row.state) for row in rows}:
        raise Moved
    for loss in lost:
        Notification.objects.filter(pk=loss.pk).update(
            receipt_missed_at=now, receipt_due_at=None, reason=loss.reason[:500]
        )
        Notification.objects.filter(bundle=loss.pk, state=State.SENT).update(
            receipt_missed_at=now, reason=loss.reason[:500]
        )
        announce(receipt_came, topic=loss.topic, notification_id=loss.pk, state="missed", now=now)
    Notification.objects.filter(pk__in=[row.pk for row in rows], receipt_due_at__isnull=False).update(
        receipt_due_at=None
    )
    losses.bring_forward(following, lost, now=now)
    return bool(rows)


def _why(row):
    seconds = round((row.receipt_due_at - row.sent_at).total_seconds()) if row.sent_at else None
    within = f" within {seconds} s" if seconds else ""
    return f"No receipt{within}, so it counts as not delivered."
