"""The queue's door to escalations and snoozes."""

from django.utils import timezone

from core.due import due_work
from incidents import escalation, snoozing


@due_work("escalations", oldest=escalation.oldest_due)
def escalate():
    escalation.run(now_of=timezone.now)


@due_work("snoozes", oldest=snoozing.oldest_due)
def end_snoozes():
    snoozing.run(now_of=timezone.now)
