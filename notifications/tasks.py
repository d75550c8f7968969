"""The queue's door: a wake-up that says "look now"."""

from django.utils import timezone

from core.due import alone, due_work
from notifications import outbox, receipts


@due_work("deliveries", oldest=outbox.oldest_due)
def deliver():
    outbox.deliver()


# Any number that no other program on this database uses for an advisory lock.
OUTSIDE_LOCK = 7_230_418


@due_work("outside", oldest=outbox.oldest_outside, is_patient=True)
def deliver_outside():
    """One worker at a time, so that the others are free for pages however slow the servers of readers are."""
    with alone(OUTSIDE_LOCK) as is_ours:
        if is_ours:
            outbox.deliver(is_outside=True)


@due_work("receipts", oldest=receipts.oldest_due)
def note_missing_receipts():
    receipts.note_missing(timezone.now())
