"""The queue's door to undecided events."""

from django.utils import timezone

from alerts import backlog, expiry, heartbeats, ingest, releasing, silences, topics
from core.due import due_work, housekeeping


@due_work("events", oldest=backlog.oldest_due)
def decide_events():
    ingest.run(now_of=timezone.now)


@due_work("held", oldest=releasing.oldest_due)
def look_at_held_alerts():
    releasing.run(now_of=timezone.now)


@due_work("expiry", oldest=expiry.oldest_due)
def end_silent_alerts():
    expiry.run(now_of=timezone.now)


@due_work("silences", oldest=silences.oldest_due)
def look_at_silences():
    silences.sweep(now=timezone.now())


@due_work("topics", oldest=topics.oldest_due)
def confirm_topics():
    topics.run(now_of=timezone.now)


@due_work("heartbeats", oldest=heartbeats.oldest_due)
def look_at_heartbeats():
    heartbeats.sweep(now=timezone.now())


housekeeping(heartbeats.watch_presence)
housekeeping(backlog.prune)
housekeeping(backlog.clear_limit_alarms)
