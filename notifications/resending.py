"""What people do with a message by hand: send it once more, stop it, mark it as read."""

import json
import uuid

from django.db import transaction

from core.errors import DomainError, IllegalMove, NotAllowed, NotFound
from notifications import outbox, planning
from notifications.message import PROBES, Kind
from notifications.models import Notification

State = Notification.State
WAITING = (State.PENDING, State.SENDING)


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
    address = row.contact_method if row.user_id else row.destination
    if address is None or not address.is_usable:
        why = "was deleted" if address is None else f"is not used: {address.disabled_reason or 'it is not verified'}"
        raise DomainError(f"The address of this message {why}. Correct the address first.")
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
