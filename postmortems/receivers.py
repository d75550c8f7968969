"""What the postmortems hear of incidents."""

from django.dispatch import receiver

from incidents.signals import incident_changed
from postmortems import reminders

# After these an incident may have ended, or be open again.
COUNTS = ("resolve", "merge", "unmerge")


@receiver(incident_changed)
def want_a_postmortem(incident, verb, previous, now, **kwargs):
    if verb in COUNTS or "priority" in previous:
        reminders.follow(incident, now=now)
