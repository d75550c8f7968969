"""What the house itself has to say to the floors above."""

from django.dispatch import Signal

# The shared buckets of the limits cannot be asked: paging traffic passes without limits. Arguments: now.
# Said again every minute while it lasts.
limits_blind = Signal()
# They answer again, or for the first time in this process. Arguments: now.
limits_seeing = Signal()

# Something was done in the admin. row: the row; verb: "created", "changed", "deleted", or "did" for a button, whose
# label is the text; text: what was changed. Sent before a row is deleted.
admin_did = Signal()
