"""Heartbeats that stayed away, and came back: events that we write ourselves. See alerts/heartbeats.py."""

from alerts.event import (
    DESCRIPTION_LIMIT,
    RESOLVE,
    TRIGGER,
    Event,
    clean_line,
    clean_links,
    clean_text,
    severity_from,
)
from alerts.sources.base import Source

MISSING = "missing"  # the one dedup key of a heartbeat's scope


class HeartbeatSource(Source):
    kind = "heartbeat"
    label = "Heartbeat"
    is_internal = True

    def read(self, data, headers, options):
        name = clean_line(data["name"], 200)
        if data["action"] == RESOLVE:
            return [Event(action=RESOLVE, dedup_key=MISSING, title=f"Heartbeat {name} is back", source=self.kind)]
        return [
            Event(
                action=TRIGGER,
                dedup_key=MISSING,
                severity=severity_from(data["severity"]),
                title=f"Heartbeat {name} is missing",
                description=clean_text(data["description"], DESCRIPTION_LIMIT),
                labels={"heartbeat": name},
                links=clean_links([(data["url"], "Heartbeat")]),
                source=self.kind,
            )
        ]
