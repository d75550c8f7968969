"""The queue's door to reminders."""

from django.utils import timezone

from core.due import due_work, housekeeping
from postmortems import reminders


@due_work("postmortem reminders", oldest=reminders.oldest_due)
def remind():
    reminders.run(now_of=timezone.now)


@housekeeping
def remind_reviewers(now):
    reminders.remind_reviewers(now)
