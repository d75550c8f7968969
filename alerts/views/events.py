"""What the pages show of raw events."""

import re
import uuid

from accounts.permissions import visible
from alerts import retries
from alerts.models import Alert, Heartbeat, Integration, sources
from alerts.visibility import reasons_hushed
from catalog.models import Service
from core.secrets import digest

SHOWN_BODY = 4000
SHOWN_DECISIONS = 20
LAST_EVENTS = 30
KEY_LENGTH = 32
KEY = re.compile(rf"[0-9a-f]{{{KEY_LENGTH}}}", re.IGNORECASE)


NOT_SHOWN = "This request speaks of alerts that are not yours to see, so what was sent is not shown."


def dressed(rows, alert=None, *, user):
    """What a template shows of raw events. With an alert, only what was decided about that one.

    What was decided about alerts that the user may not see is left out, and so is the text that spoke of them.
    """
    events = list(rows)
    titles = _titles(events, user)
    hush = reasons_hushed(user) if events else list
    for event in events:
        event.result, count = [item for item in event.result if _is_seen(item, titles)], len(event.result)
        event.is_partly_hidden = len(event.result) < count
        body = bytes(event.body)
        event.size = len(body)
        event.hidden = max(0, len(body) - SHOWN_BODY)
        # A key that the end would cut is still known as one.
        event.text = body[: SHOWN_BODY + KEY_LENGTH].decode("utf-8", "replace").replace("\x00", "�")
        found = [item for item in event.result if alert is None or item.get("alert_id") == str(alert.pk)]
        event.decisions, event.more = found[:SHOWN_DECISIONS], max(0, len(found) - SHOWN_DECISIONS)
        event.is_in_trouble = event.state in retries.IN_TROUBLE
    _name_decisions([item for event in events for item in event.decisions], titles, hush)
    _hide_keys(events)
    for event in events:
        if event.is_partly_hidden:
            event.text, event.hidden, event.error = NOT_SHOWN, 0, ""
    return [event for event in events if event.result or not event.is_partly_hidden]


def _titles(events, user):
    """`{id: title}` of the alerts in the decisions; of those that the person may not see the title is None."""
    ids = {item["alert_id"] for event in events for item in event.result if item.get("alert_id")}
    known = dict(Alert.objects.filter(pk__in=ids).values_list("pk", "title"))
    if user.access().hidden:
        seen = set(visible(Alert.objects.filter(pk__in=ids), user).values_list("pk", flat=True))
        known = {pk: title if pk in seen else None for pk, title in known.items()}
    return {str(pk): title for pk, title in known.items()}


def _is_seen(item, titles):
    return titles.get(item.get("alert_id"), "") is not None


def _name_decisions(decisions, titles, hush):
    for item in decisions:
        item["words"] = str(item.get("outcome", "")).replace("_", " ").capitalize()
        item["title"] = titles.get(item.get("alert_id"), "")
        item["reasons"] = hush(item.get("reasons", ()))


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
