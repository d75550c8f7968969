"""Any program that can post JSON. Our own field names, and the names that others use for the same things."""

from alerts import mapping, matching
from alerts.event import (
    ACKNOWLEDGE,
    DESCRIPTION_LIMIT,
    IGNORE,
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
from alerts.sources.base import BadEvent, Option, Source

MOST_EVENTS = 100
# Of a list that an admin has named: its sender cannot be told to send less.
MOST_MAPPED = 1000

TITLE = ("title", "summary", "subject", "alertname", "name", "message")
DESCRIPTION = ("description", "message", "body", "text", "details")
ACTION = ("action", "event_action", "status", "state")
OUR_ACTION = ACTION[:2]  # in these a word that we do not know is a mistake, in the others it is a kind of trouble
DEDUP_KEY = ("dedup_key", "alias", "alert_uid", "incident_key", "fingerprint", "id")
SEVERITY = ("severity", "priority", "level")
OCCURRED_AT = ("occurred_at", "timestamp")
# A mapping that says what these mean takes them all.
CLEARED = (*ACTION, *SEVERITY)

_WORDS = {
    TRIGGER: "trigger triggered fire firing alert alerting problem open opened create created down failed failure new",
    ACKNOWLEDGE: "acknowledge acknowledged ack acked",
    RESOLVE: "resolve resolved ok recovered recovery close closed up cleared clear normal success",
}
_ACTIONS = {word: action for action, words in _WORDS.items() for word in words.split()}


PATH = 'A path such as alert.name, a text with paths such as {payload.check} on {payload.host}, or a "text".'
CONDITION = 'A condition on the event, such as payload.state in ("ok", "recovered").'
MAPPING = (
    Option(
        "events",
        "Where the events are",
        "The path of a list, if one request has several, such as data.alerts. The other paths then begin in each of "
        "them; $. before a path means the whole body.",
        check=mapping.check(mapping.path_of),
    ),
    Option("title", "Title", PATH, check=mapping.check(mapping.value_of)),
    Option("description", "Description", PATH, check=mapping.check(mapping.value_of)),
    Option(
        "dedup_key",
        "Dedup key",
        f"{PATH} The same for the beginning and the end of one trouble, so nothing that counts or tells the time.",
        check=mapping.check(mapping.value_of),
    ),
    Option("severity", "Severity", PATH, check=mapping.check(mapping.value_of)),
    Option(
        "severity_map",
        "What its severities mean",
        "One a line or with commas between: P0 = critical, P1 = high, * = medium. The star is for all others.",
        is_long=True,
        check=mapping.check(mapping.severities_of),
    ),
    Option("service", "Service", PATH, check=mapping.check(mapping.value_of)),
    Option("occurred_at", "When it happened", PATH, check=mapping.check(mapping.value_of)),
    Option(
        "resolve_when",
        "It is over when",
        f"{CONDITION} With one of these three conditions, whatever none of them takes is a trigger.",
        check=mapping.check(matching.parse),
    ),
    Option("acknowledge_when", "Somebody has it when", CONDITION, check=mapping.check(matching.parse)),
    Option("ignore_when", "Nothing follows when", CONDITION, check=mapping.check(matching.parse)),
    Option(
        "labels",
        "Labels",
        "One a line: host = server.name. They come before the labels of the event itself.",
        is_long=True,
        check=mapping.check(mapping.named_of),
    ),
    Option(
        "links",
        "Links",
        "One a line: Dashboard = links.dashboard.",
        is_long=True,
        check=mapping.check(mapping.named_of),
    ),
)


class Generic(Source):
    kind = "generic"
    label = "Generic JSON"
    setup_help = (
        "Post JSON to {url}. Only a title is required:\n\n"
        "curl -X POST {url} -H 'Content-Type: application/json' \\\n"
        '  -d \'{"title": "Disk 92% full on web-03", "severity": "high", "dedup_key": "disk/web-03"}\'\n\n'
        'When it is over, post {"action": "resolve", "dedup_key": "disk/web-03"}.'
    )

    options = MAPPING

    def read(self, data, headers, options):
        mapped = mapping.of(options)
        if mapped is not None:
            return self._mapped(data, mapped)
        if not isinstance(data, list):
            return [self.one(data)]
        if not 0 < len(data) <= MOST_EVENTS:
            raise BadEvent.about(
                "", f"The array has {len(data)} events. Send 1 to {MOST_EVENTS} of them in one request."
            )
        return self._all(data, self.one)

    def _mapped(self, data, mapped):
        bodies = data if isinstance(data, list) and mapped.events is None else [data]
        pairs = [(item, body) for body in bodies for item in mapped.items(body)]
        if not pairs:
            reason = "There is nothing in the list of events that this request names."
            return [Event(action=IGNORE, reason=reason, source=self.kind)]
        if len(pairs) > MOST_MAPPED:
            raise BadEvent.about("", f"The list has {len(pairs)} events. Send {MOST_MAPPED} at most in one request.")
        return self._all(pairs, lambda pair: self.one(pair[0], mapped, pair[1]))

    @staticmethod
    def _all(items, read):
        events, errors = [], []
        for index, item in enumerate(items):
            try:
                events.append(read(item))
            except BadEvent as bad:
                errors += [{**error, "field": f"[{index}].{error['field']}".rstrip(".")} for error in bad.errors]
        if errors:
            raise BadEvent(errors)
        return events

    def one(self, data, mapped=None, root=None):
        """The event of one JSON object. Raises BadEvent.

        What the Mapping finds in it, or in the `root` that it came in, comes before the names that we know.
        """
        if not isinstance(data, dict):
            raise BadEvent.about("", 'An event is a JSON object, for example {"title": "Disk full"}.')
        labels, links = {}, []
        if mapped is not None:
            decided = mapped.action(data)
            found = {name: mapped.value(name, data, root) for name in mapping.VALUES if name != "severity"}
            labels = dict(mapped.named(mapped.labels, data, root))
            links = [(address, text) for text, address in mapped.named(mapped.links, data, root)]
            severity = mapped.severity(data, root)
            if decided is not None:
                found |= dict.fromkeys(ACTION) | {"action": decided[0]}
                if decided[0] == IGNORE:
                    return Event(action=IGNORE, reason=f"The integration says so: {decided[1]}.", source=self.kind)
            if severity is not None:
                found |= dict.fromkeys(SEVERITY) | {"severity": severity}
            data = {**data, **{name: value for name, value in found.items() if value is not None or name in CLEARED}}
        action = self._action(data)
        if action == TRIGGER and mapped is not None and not any(clean_line(data.get(name)) for name in TITLE):
            # Its sender cannot read what we answer: better a bare page than none.
            data = {**data, "title": "An alert without a title"}
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
        own = data.get("labels")
        if own is not None and not isinstance(own, dict):
            own = {"labels": own}
        links += data["links"] if isinstance(data.get("links"), list) else []
        return Event(
            action=action,
            dedup_key=dedup_key,
            severity=next((found for name in SEVERITY if (found := severity_from(data.get(name)))), ""),
            title=clean_line(title),
            description=description,
            service=self._service(data.get("service")),
            labels=clean_labels(labels, own, {"source": data.get("source") or None}),
            links=clean_links(links),
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
