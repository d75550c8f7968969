"""News of incidents for the floors above."""

from django.dispatch import Signal

# incidents: list of Incident, now: datetime. One call for a whole batch.
incidents_triggered = Signal()

# entries: list of TimelineEntry that say what the escalation did by itself, each with its incident; now: datetime.
incidents_escalated = Signal()

# incident: Incident, verb: str ("acknowledge", "resolve" …), by: User or None, via: str, text: a sentence that says
# what was done, previous: dict of what was there before ({"status": "triggered"}), now: datetime.
incident_changed = Signal()

# source: Incident whose work goes on in target: Incident; now: datetime. Both are locked. A listener that fails stops
# the merge: a half of it would leave alerts behind.
incidents_merged = Signal()

# source: Incident that is taken out of target: Incident again; now: datetime. Each listener takes its rows back and
# answers how many of those of the source still fire, or None when it has none. One that fails stops it.
incidents_unmerged = Signal()
