"""News of incidents for the floors above."""

from django.dispatch import Signal

# incidents: list of Incident, now: datetime. One call for a whole batch.
incidents_triggered = Signal()

# entries: list of TimelineEntry that say what the escalation did by itself, each with its incident; now: datetime.
incidents_escalated = Signal()

# incident: Incident, verb: str ("acknowledge", "resolve" …), by: User or None, via: str, text: a sentence that says
# what was done, previous: dict of what was there before ({"status": "triggered"}), now: datetime.
incident_changed = Signal()
