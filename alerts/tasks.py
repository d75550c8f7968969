"""The queue's door to undecided events."""

from django.utils import timezone

from alerts import ingest
from core.due import due_work, housekeeping


@due_work("events", oldest=ingest.oldest_due)
def decide_events():
    ingest.run(now_of=timezone.now)


housekeeping(ingest.prune)
