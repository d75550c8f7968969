"""What people do with their messages by hand: send one once more, stop it, mark it as read, answer them."""

import json
import uuid

from django.db import transaction

from core.errors import DomainError, IllegalMove, NotAllowed, NotFound
from notifications import outbox, planning
from notifications.message import CALLS, PROBES, Kind
from notifications.models import Destination, Notification

State = Notification.State
WAITING = (State.PENDING, State.SENDING)
RECEIVED = (State.SENT, State.DELIVERED, State.READ)


def locked(notification_uuid):
    """The message, locked until the transaction ends. Raises NotFound."""
    rows = Notification.objects.select_for_update(no_key=True, of=("self",)).select_related("user", "destination")
    row = rows.filter(uuid=notification_uuid).first()
    if row is None:
        raise NotFound("There is no such message.")
    return row


@transaction.atomic
def send_again(notification_uuid, *, by, now):
    """Send a message that has ended once more, to the same reader at the same address. Returns the new one.

    Raises IllegalMove while it waits, DomainError when it cannot be repeated or its address is not used any more.
    """
    row = locked(notification_uuid)
    if row.state in WAITING:
        raise IllegalMove("This message still waits to be sent. Stop it, or wait for what becomes of it.")
    if row.kind in PROBES or row.kind == Kind.BUNDLE:
        raise DomainError(
            "A test, a code or a bundle is not sent again. Ask for a new one, or send the messages in the bundle."
        )
    if row.user and not row.user.is_active:
        raise DomainError(f"{row.user} is deactivated, so nothing is sent to them. Tell somebody else.")
    address = row.contact_method if row.user_id else row.destination
    if address is None or not address.is_usable:
        raise DomainError(f"The address of this message {_trouble(address)}. Correct the address first.")
    copy = planning.Row(
        uuid=uuid.uuid4(),
        plan_key=f"again:{row.pk}:{uuid.uuid4().hex}",
        topic=row.topic,
        kind=row.kind,
        user_id=row.user_id,
        contact_method_id=row.contact_method_id,
        destination_id=row.destination_id,
        channel=address.channel,
        address=address.shown,
        urgency=row.urgency,
        is_repeat=True,
        share=row.share,
        level=row.level,
        target_seconds=row.target_seconds,
        message=json.dumps(row.message),
        due_at=now,
    )
    planning.write([copy], now=now)
    return Notification.objects.get(uuid=copy.uuid)


def _trouble(address):
    """Why it is not used, as the end of a sentence."""
    if address is None:
        return "was deleted"
    why = address.disabled_reason.rstrip(".")
    return f"is not used: {why or ('it is not enabled' if isinstance(address, Destination) else 'it is not verified')}"


@transaction.atomic
def stop(notification_uuid, *, by, now):
    """Cancel a message that waits. Raises IllegalMove when it has ended or is being sent right now."""
    row = locked(notification_uuid)
    if row.state != State.PENDING:
        raise IllegalMove(f"This message is {row.get_state_display().lower()}: only one that waits can be stopped.")
    row.state, row.due_at, row.reason = State.CANCELLED, None, outbox.short(f"Stopped by {by}.")
    row.save(update_fields=["state", "due_at", "reason"])
    return row


@transaction.atomic
def mark_read(notification_uuid, *, by, now):
    """Note that its reader has read it. Twice is harmless, and an acknowledged one stays acknowledged.

    Raises NotAllowed for somebody else's, IllegalMove when it was never sent.
    """
    row = locked(notification_uuid)
    if row.user_id != by.pk:
        raise NotAllowed("Only its reader can mark a message as read.")
    if row.state in (State.READ, State.ACKNOWLEDGED):
        return row
    if row.state not in (State.SENT, State.DELIVERED):
        raise IllegalMove(f"This message is {row.get_state_display().lower()}, so nobody can have read it.")
    row.state, row.read_at, row.receipt_due_at = State.READ, now, None
    row.save(update_fields=["state", "read_at", "receipt_due_at"])
    return row


@transaction.atomic
def answer(topic, *, by, reason, now):
    """Note that `by` has answered their own pages about a topic: those that wait are stopped, and nobody else's."""
    pages = Notification.objects.filter(topic=topic, user=by, kind__in=CALLS, state__in=(*WAITING, *RECEIVED))
    # Locked in the order of their numbers, as everywhere, so that two such statements cannot deadlock.
    pks = list(pages.order_by("pk").select_for_update(no_key=True).values_list("pk", flat=True))
    rows, reason = Notification.objects.filter(pk__in=pks), outbox.short(reason)
    rows.filter(state=State.PENDING).update(state=State.CANCELLED, due_at=None, reason=reason)
    rows.filter(state=State.SENDING).update(due_at=None, reason=reason)
    rows.filter(state__in=RECEIVED).update(state=State.ACKNOWLEDGED, acknowledged_at=now, receipt_due_at=None)
