"""News of incidents for the floors above."""

from django.dispatch import Signal

# incidents: list of Incident, now: datetime. One call for a whole batch.
incidents_triggered = Signal()

# incident: Incident, verb: str ("acknowledge", "resolve" …), by: User or None, now: datetime.
incident_changed = Signal()
