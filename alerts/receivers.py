"""What the floors below report: an incident that ended takes its firing alerts with it."""

from django.dispatch import receiver

from alerts.models import Alert
from incidents.signals import incident_changed


@receiver(incident_changed)
def end_alerts_of_resolved_incident(incident, verb, by, now, **kwargs):
    """After a resolve by hand the next event of the same key opens a new alert, and so new work."""
    if verb == "resolve":
        Alert.objects.firing().filter(incident=incident).update(
            resolved_at=now, resolved_why=f"its incident was resolved by {by or 'the system'}"[:200]
        )
