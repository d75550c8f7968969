"""The queue's door: a wake-up that says "look now"."""

from core.due import due_work
from notifications import outbox


@due_work("deliveries", oldest=outbox.oldest_due)
def deliver():
    outbox.deliver()
