"""News for the floors above. Said through `core.announce`, inside the transaction that made it true."""

from django.dispatch import Signal

# A message reached its end without having been sent.
# topic: text such as "incident:42"; notification_ids: list of primary keys, all of that topic;
# state: "failed" or "cancelled"; reason: a sentence; now: when it was noted.
delivery_ended = Signal()

# Nothing is left to try for a person who was paged: every message of the page ended unsent.
# topic: text such as "incident:42"; user_id: the person; page_key: the page, for example "incident:42:r0:l1:u5";
# reason: a sentence; now: when it was noted.
person_unreached = Signal()

# A message to somebody outside, a reader of a status page, was not delivered, and no other try follows.
# destination_id: where it was to go; notification_id: its primary key; is_dead: the address is not used any more;
# reason: a sentence; now: when it was noted. Said before a row of a message is locked: do not lock any.
outside_unreached = Signal()

# A report came of what became of a message after it went out.
# topic: text such as "incident:42"; notification_id: its primary key; state: "delivered", "read", "failed", or
# "missed" when no report came in time; now: when it was noted.
receipt_came = Signal()
