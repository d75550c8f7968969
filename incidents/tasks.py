"""The queue's door to escalations."""

from django.utils import timezone

from core.due import due_work
from incidents import escalation


@due_work("escalations", oldest=escalation.oldest_due)
def escalate():
    escalation.run(now_of=timezone.now)
