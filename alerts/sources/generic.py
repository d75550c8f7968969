"""Any program that can post JSON. Our own field names, and the names that others use for the same things."""

from alerts.event import (
    ACKNOWLEDGE,
    DESCRIPTION_LIMIT,
    RESOLVE,
    SERVICE_LIMIT,
    TITLE_LIMIT,
    TRIGGER,
    Event,
    as_text,
    clean_key,
    clean_labels,
    clean_line,
    clean_links,
    clean_text,
    parse_time,
    severity_from,
)
from alerts.sources.base import BadEvent, Source

MOST_EVENTS = 100

TITLE = ("title", "summary", "subject", "alertname", "name", "message")
DESCRIPTION = ("description", "message", "body", "text", "details")
ACTION = ("action", "event_action", "status", "state")
OUR_ACTION = ACTION[:2]  # in these a word that we do not know is a mistake, in the others it is a kind of trouble
DEDUP_KEY = ("dedup_key", "alias", "alert_uid", "incident_key", "fingerprint", "id")
SEVERITY = ("severity", "priority", "level")
OCCURRED_AT = ("occurred_at", "timestamp")

_WORDS = {
    TRIGGER: "trigger triggered fire firing alert alerting problem open opened create created down failed failure new",
    ACKNOWLEDGE: "acknowledge acknowledged ack acked",
    RESOLVE: "resolve resolved ok recovered recovery close closed up cleared clear normal success",
}
_ACTIONS = {word: action for action, words in _WORDS.items() for word in words.split()}


class Generic(Source):
    kind = "generic"
    label = "Generic JSON"
    setup_help = (
        "Post JSON to {url}. Only a title is required:\n\n"
        "curl -X POST {url} -H 'Content-Type: application/json' \\\n"
        '  -d \'{"title": "Disk 92% full on web-03", "severity": "high", "dedup_key": "disk/web-03"}\'\n\n'
        'When it is over, post {"action": "resolve", "dedup_key": "disk/web-03"}.'
    )

    def read(self, data, headers):
        if not isinstance(data, list):
            return [self.one(data)]
        if not 0 < len(data) <= MOST_EVENTS:
            raise BadEvent.about(
                "", f"The array has {len(data)} events. Send 1 to {MOST_EVENTS} of them in one request."
            )
        events, errors = [], []
        for index, item in enumerate(data):
            try:
                events.append(self.one(item))
            except BadEvent as bad:
                errors += [{**error, "field": f"[{index}].{error['field']}".rstrip(".")} for error in bad.errors]
        if errors:
            raise BadEvent(errors)
        return events

    def one(self, data):
        """The event of one JSON object. Raises BadEvent."""
        if not isinstance(data, dict):
            raise BadEvent.about("", 'An event is a JSON object, for example {"title": "Disk full"}.')
        action = self._action(data)
        title_from = next((name for name in TITLE if clean_line(data.get(name))), "")
        title = data.get(title_from)
        description = next(
            (
                text
                for name in DESCRIPTION
                if name != title_from and (text := clean_text(data.get(name), DESCRIPTION_LIMIT))
            ),
            "",
        )
        if not description and len(as_text(title)) > TITLE_LIMIT:
            description = clean_text(title, DESCRIPTION_LIMIT)  # what the title cannot hold is not lost
        dedup_key = next((key for name in DEDUP_KEY if (key := clean_key(data.get(name)))), "")
        if action == TRIGGER and not title_from:
            raise BadEvent.about(
                "title", 'A trigger needs a title. Add "title" with one line that says what is wrong.'
            )
        if action != TRIGGER and not dedup_key:
            raise BadEvent.about(
                "dedup_key", f'To {action} an alert, add "dedup_key" with the key that its trigger had or was given.'
            )
        labels = data.get("labels")
        if labels is not None and not isinstance(labels, dict):
            labels = {"labels": labels}
        return Event(
            action=action,
            dedup_key=dedup_key,
            severity=next((found for name in SEVERITY if (found := severity_from(data.get(name)))), ""),
            title=clean_line(title),
            description=description,
            service=self._service(data.get("service")),
            labels=clean_labels(labels, {"source": data.get("source") or None}),
            links=clean_links(data.get("links")),
            occurred_at=next((time for name in OCCURRED_AT if (time := parse_time(data.get(name)))), None),
            source=self.kind,
        )

    @staticmethod
    def _action(data):
        for name in ACTION:
            word = clean_line(data.get(name), 40).lower()
            if not word:
                continue
            if word in _ACTIONS:
                return _ACTIONS[word]
            if name in OUR_ACTION:
                raise BadEvent.about(name, f"“{word}” is not an action. Use trigger, acknowledge or resolve.")
            return TRIGGER
        return TRIGGER

    @staticmethod
    def _service(hint):
        if isinstance(hint, dict):
            hint = hint.get("slug") or hint.get("name")
        return clean_line(hint, SERVICE_LIMIT)
