"""News for the floors above. Said through `core.announce`, inside the transaction that made it true."""

from django.dispatch import Signal

# A message reached its end without having been sent.
# topic: text such as "incident:42"; notification_ids: list of primary keys, all of that topic;
# state: "failed" or "cancelled"; reason: a sentence; now: when it was noted.
delivery_ended = Signal()
