"""Opsgenie's Alert API: what is created, closed, acknowledged, noted and renamed there."""

from alerts.event import (
    ACKNOWLEDGE,
    DESCRIPTION_LIMIT,
    IGNORE,
    NOTE,
    RESOLVE,
    TRIGGER,
    UPDATE,
    Event,
    as_text,
    clean_key,
    clean_labels,
    clean_line,
    clean_text,
    severity_from,
)
from alerts.sources.base import BadEvent, Source, read_json, text_of, too_deep

# The vendor's own limits. What is longer is cut: clients rely on it.
MESSAGE_LIMIT, ALIAS_LIMIT, TEXT_LIMIT = 130, 512, 15_000
TAG_LIMIT, TAGS_LIMIT = 50, 20
PRIORITIES = ("P1", "P2", "P3", "P4", "P5")
# Set by the door from the path: what is asked for, and of which alert. A body alone creates an alert.
ACTION, NAME, ALIAS, ALERT_ID, FAILURE = ":action", ":action-name", ":alias", ":alert-id", ":failure"


class Opsgenie(Source):
    kind = "opsgenie"
    label = "Opsgenie"
    setup_help = (
        "Where the sender asks for the address of Opsgenie's API, enter {server} instead of https://api.opsgenie.com, "
        "and as the API key (GenieKey) {key}. A sender that can only create alerts at one address posts to {url}.\n\n"
        "In alertmanager.yml, with the slash at the end:\n\n"
        "opsgenie_configs:\n"
        "  - api_key: {key}\n"
        "    api_url: {server}/\n\n"
        "Heartbeats are pinged at {server}/v2/heartbeats/<name>/ping with the same key."
    )
    # Opsgenie's clients know 429 and try again.
    overloaded_status = 429
    methods = ("POST", "PUT", "DELETE")
    keep_headers = (ACTION, NAME, ALIAS, ALERT_ID, FAILURE)

    def parse(self, body, headers, options=None):
        # Most calls but the one that creates may come without a body.
        data = {} if headers.get(ACTION, "create") != "create" and not body.strip() else read_json(body)
        try:
            return self.read(data, headers, options or {})
        except RecursionError:
            raise too_deep() from None

    def read(self, data, headers, options):
        if not isinstance(data, dict):
            raise BadEvent.about("", "The body must be a JSON object.")
        action = headers.get(ACTION, "create")
        if headers.get(FAILURE):
            return [Event(IGNORE, reason=headers[FAILURE], source=self.kind)]
        if action == "create":
            return self._created(data)
        about = {
            "dedup_key": headers.get(ALIAS, ""),
            "alert_id": headers.get(ALERT_ID, ""),
            "source": self.kind,
        }
        events = [_READERS[action](data, about)] if action in _READERS else []
        note = clean_text(data.get("note"), TEXT_LIMIT)
        who = clean_line(data.get("user"), 100)
        if action == "notes" and not note:
            raise BadEvent.about("note", "Note can not be empty.")
        if note:
            # Before the end: a closed alert takes no more remarks.
            events.insert(0, Event(NOTE, description=f"{who}: {note}" if who else note, **about))
        if not events:
            events = [Event(NOTE, description=_told(action, data, headers), **about)]
        return events

    def _created(self, data):
        message = clean_line(data.get("message"), MESSAGE_LIMIT)
        if not message:
            raise BadEvent.about("message", "Message can not be empty.")
        tags = data.get("tags") if isinstance(data.get("tags"), list) else []
        details = data.get("details")
        if details is not None and not isinstance(details, dict):
            details = {"details": details}
        about = {"dedup_key": alias_key(data.get("alias")), "source": self.kind}
        description = clean_text(data.get("description"), TEXT_LIMIT)
        whole = clean_line(data.get("message"), DESCRIPTION_LIMIT)
        if len(whole) > MESSAGE_LIMIT:
            description = f"{whole}\n\n{description}".strip()  # what the title cannot hold is not lost
        note = clean_text(data.get("note"), TEXT_LIMIT)
        if note and not about["dedup_key"]:
            description = f"{description}\n\n{note}".strip()
        events = [
            Event(
                TRIGGER,
                severity=severity_from(data.get("priority")),
                priority=_priority(data),
                title=message,
                description=description,
                labels=clean_labels(
                    {name: clean_line(data.get(name), 512) or None for name in ("entity", "source")},
                    {f"tag:{tag}": "true" for tag in tags_of(tags)},
                    details,
                    {"responders": _named(data.get("responders")) or None},
                ),
                **about,
            )
        ]
        if note and about["dedup_key"]:
            events.append(Event(NOTE, description=note, **about))
        return events

    def accepted(self, events, event_id):
        return 202, {"result": "Request will be processed", "requestId": event_id}

    def refused(self, errors):
        if not errors[0]["field"]:
            return 400, {"message": errors[0]["message"]}
        return 422, {
            "message": "Request body is not processable. Please check the errors.",
            "errors": {error["field"]: error["message"] for error in errors},
        }

    def overloaded(self):
        return self.overloaded_status, {"message": "You are making too many requests! Send the same again later."}

    def limited(self, sentence):
        return self.limited_status, {"message": sentence}

    def unknown_key(self, where):
        status, answer = super().unknown_key(where)
        return status, {"message": f"Could not authenticate. {answer['message']}"}

    def wrong_door(self, kind, where):
        _, answer = super().wrong_door(kind, where)
        return 404 if where == "path" else 403, {"message": answer["message"]}

    def bad_signature(self, reason):
        return 401, {"message": reason}

    def too_large(self, limit):
        status, answer = super().too_large(limit)
        return status, {"message": answer["message"]}


def alias_key(alias):
    """The dedup key of an alias, as it stands in a body or in a path."""
    return clean_key(as_text(alias)[:ALIAS_LIMIT])


def tags_of(values):
    """Clean tags, as many and as long as the vendor takes."""
    tags = [clean_line(tag, TAG_LIMIT) for tag in values[: 2 * TAGS_LIMIT]]
    return [tag for tag in dict.fromkeys(tags) if tag][:TAGS_LIMIT]


def _priority(data):
    word = clean_line(data.get("priority"), 10).upper()
    if word == "P0":  # some clients count from there
        return "P1"
    return word if word in PRIORITIES else ""


def _named(responders):
    """Who was to be told, in words: a hint for people, no instruction."""
    names = []
    for one in responders if isinstance(responders, list) else ():
        if isinstance(one, dict):
            names.append(text_of(one, "name", "username", "id", limit=100))
    return ", ".join(filter(None, names[:50]))


def _message(data, about):
    title = clean_line(data.get("message"), MESSAGE_LIMIT)
    if not title:
        raise BadEvent.about("message", "Message can not be empty.")
    return Event(UPDATE, title=title, **about)


def _description(data, about):
    description = clean_text(data.get("description"), TEXT_LIMIT)
    if not description:
        raise BadEvent.about("description", "Description can not be empty.")
    return Event(UPDATE, description=description, **about)


def _new_priority(data, about):
    priority = _priority(data)
    if not priority:
        raise BadEvent.about("priority", "Priority should be one of P1, P2, P3, P4 or P5.")
    return Event(UPDATE, priority=priority, severity=severity_from(priority), **about)


_READERS = {
    "acknowledge": lambda data, about: Event(ACKNOWLEDGE, **about),
    "close": lambda data, about: Event(RESOLVE, **about),
    "delete": lambda data, about: Event(RESOLVE, description="Deleted.", **about),
    "message": _message,
    "description": _description,
    "priority": _new_priority,
}


def _told(action, data, headers):
    """What was asked for, in a sentence, where no more than a remark becomes of it."""
    who = clean_line(data.get("user"), 100) or "Opsgenie's API"
    details = data.get("details") if isinstance(data.get("details"), dict) else {}
    what = {
        "unacknowledge": "unacknowledged it",
        "snooze": f"snoozed it until {clean_line(data.get('endTime'), 40)}",
        "escalate": "escalated it",
        "assign": f"assigned it to {_named([data.get('owner')]) or 'somebody'}",
        "tags": f"added the tags {', '.join(_words(data.get('tags')))}",
        "remove-tags": f"removed the tags {', '.join(_words(data.get('tags')))}",
        "details": f"added details: {', '.join(f'{name}={as_text(value)}' for name, value in details.items())}",
        "remove-details": f"removed the details {', '.join(_words(data.get('keys')))}",
        "responders": f"added responders: {_named([data.get('responder')])}",
        "teams": f"added the team {_named([data.get('team')])}",
        "actions": f"asked for the action {headers.get(NAME, '')}",
    }.get(action, action)
    return clean_text(f"{who} {what}.", DESCRIPTION_LIMIT)


def _words(value):
    """A list, or text with commas, as a query string has it."""
    return tags_of(value if isinstance(value, list) else as_text(value).split(","))
