"""The queue's door: a wake-up that says "look now"."""

from django.utils import timezone

from core.due import due_work
from notifications import outbox, receipts


@due_work("deliveries", oldest=outbox.oldest_due)
def deliver():
    outbox.deliver()


@due_work("receipts", oldest=receipts.oldest_due)
def note_missing_receipts():
    receipts.note_missing(timezone.now())
