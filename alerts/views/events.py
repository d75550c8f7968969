"""What the pages show of raw events."""

import re
import uuid

from alerts import retries
from alerts.keys import digest
from alerts.models import Alert, Heartbeat, Integration, sources
from catalog.models import Service

SHOWN_BODY = 4000
SHOWN_DECISIONS = 20
LAST_EVENTS = 30
KEY_LENGTH = 32
KEY = re.compile(rf"[0-9a-f]{{{KEY_LENGTH}}}", re.IGNORECASE)


def dressed(rows, alert=None):
    """What a template shows of raw events. With an alert, only what was decided about that one."""
    events = list(rows)
    for event in events:
        body = bytes(event.body)
        event.size = len(body)
        event.hidden = max(0, len(body) - SHOWN_BODY)
        # A key that the end would cut is still known as one.
        event.text = body[: SHOWN_BODY + KEY_LENGTH].decode("utf-8", "replace").replace("\x00", "�")
        found = [item for item in event.result if alert is None or item.get("alert_id") == str(alert.pk)]
        event.decisions, event.more = found[:SHOWN_DECISIONS], max(0, len(found) - SHOWN_DECISIONS)
        event.is_in_trouble = event.state in retries.IN_TROUBLE
    _name_decisions([item for event in events for item in event.decisions])
    _hide_keys(events)
    return events


def _name_decisions(decisions):
    ids = {item["alert_id"] for item in decisions if item.get("alert_id")}
    titles = {str(pk): title for pk, title in Alert.objects.filter(pk__in=ids).values_list("pk", "title")}
    for item in decisions:
        item["words"] = str(item.get("outcome", "")).replace("_", " ").capitalize()
        item["title"] = titles.get(item.get("alert_id"), "")


def _hide_keys(events):
    """Senders put their key into the body. Who may read what came in may not send in their name."""
    words = {word.lower() for event in events for word in KEY.findall(event.text)}
    hashes = {digest(word): word for word in words}
    keys = set(Service.objects.filter(routing_key__in=words).values_list("routing_key", flat=True))
    for model, field in ((Integration, "key_hash"), (Integration, "old_key_hash"), (Heartbeat, "key_hash")):
        keys |= {hashes[one] for one in model.objects.filter(**{f"{field}__in": hashes}).values_list(field, flat=True)}

    def hidden(match):
        return f"(key …{match[0][-4:]})" if match[0].lower() in keys else match[0]

    for event in events:
        event.text = KEY.sub(hidden, event.text)[:SHOWN_BODY]


def source_label(kind):
    found = sources.classes().get(kind)
    return found.label if found else kind


def uuid_or_none(text):
    try:
        return uuid.UUID(text)
    except ValueError:
        return None
