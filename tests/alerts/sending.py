"""Bodies of generic events, and the way from a stored event to its decision without a door."""

import datetime as dt
import json

from alerts import ingest
from alerts.models import InboundEvent

SECOND = dt.timedelta(seconds=1)


def trigger(key="disk", **fields):
    return {"action": "trigger", "title": "Disk full", "severity": "critical", "dedup_key": key, **fields}


def resolve(key="disk", **fields):
    return {"action": "resolve", "dedup_key": key, **fields}


def sender(integration, now):
    """A function that stores events as the door does, decides them, and returns them as decided."""

    def post(*bodies, at=now, through=integration, source="", headers=None, decide=True):
        rows = [
            InboundEvent.objects.create(
                source=source or through.source,
                headers=headers or {},
                scope=f"integration:{through.pk}",
                integration=through,
                service=through.service,
                body=body if isinstance(body, bytes) else json.dumps(body).encode(),
                received_at=at + dt.timedelta(microseconds=number - len(bodies)),
                due_at=at + 2 * SECOND,
            )
            for number, body in enumerate(bodies)
        ]
        if decide:
            ingest.decide_ids([row.pk for row in rows], now=at)
            for row in rows:
                row.refresh_from_db()
        return rows[0] if len(rows) == 1 else rows

    post.integration = integration
    return post
