"""What the pages show of raw events."""

import uuid

from alerts import retries
from alerts.models import sources

SHOWN_BODY = 4000
LAST_EVENTS = 30


def dressed(event, decisions=None):
    """What a template shows of a raw event."""
    body = bytes(event.body)
    event.text = body[:SHOWN_BODY].decode("utf-8", "replace").replace("\x00", "�")
    event.hidden = max(0, len(body) - SHOWN_BODY)
    event.size = len(body)
    event.decisions = event.result if decisions is None else decisions
    for item in event.decisions:
        item["words"] = str(item.get("outcome", "")).replace("_", " ").capitalize()
    event.is_in_trouble = event.state in retries.IN_TROUBLE
    return event


def source_label(kind):
    found = sources.classes().get(kind)
    return found.label if found else kind


def uuid_or_none(text):
    try:
        return uuid.UUID(text)
    except ValueError:
        return None
