"""What we tell a person, whatever the channel. Plain values: knows no incident, no address and no database."""

import dataclasses
import enum


def storable(text):
    """The text without what PostgreSQL refuses in text and JSON: zero bytes and halves of surrogate pairs."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode()


def _storable(value):
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, dict):
        return {storable(str(key)): _storable(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_storable(each) for each in value]
    return value


class Kind(enum.StrEnum):
    """What a message is for. Each kind has words of its own on each channel; see wording.py."""

    PAGE = "page"
    UPDATE = "update"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"
    HANDOFF = "handoff"
    BUNDLE = "bundle"
    TEST = "test"
    VERIFICATION = "verification"
    NOTICE = "notice"
    STATUS = "status"

    @property
    def label(self):
        return self.value.capitalize()


CALLS = frozenset({Kind.PAGE, Kind.BUNDLE})  # they ask for an answer
CHANGES = frozenset({Kind.UPDATE, Kind.ACKNOWLEDGED, Kind.RESOLVED})  # they tell what became of an earlier message
PROBES = frozenset({Kind.TEST, Kind.VERIFICATION})  # they go to an address that nobody has verified
OUTSIDE = frozenset({Kind.STATUS})  # they go to readers of status pages, who are no users: nobody is paged about them


@dataclasses.dataclass(frozen=True)
class Action:
    """Something the reader can do by a link or a button: the words on it, and the verb it runs."""

    label: str
    verb: str


@dataclasses.dataclass(frozen=True)
class Message:
    """A message. `fields` are (name, value) pairs; `urgency` is high or low.

    `thread` is a stable text such as "incident-42": messages with the same one belong together. `subject` stays the
    same for the whole thread, for example "[#42] Checkout errors", because some mail readers group by it. `severity`
    is a word of ours (critical, high, medium, low, info) or "". `data` are the facts behind the words, for machines:
    plain JSON, such as {"incident": {…}, "actor": {…}}.
    """

    title: str
    body: str
    url: str = ""
    urgency: str = "high"
    fields: tuple = ()
    actions: tuple = ()
    thread: str = ""
    subject: str = ""
    kind: str = Kind.PAGE
    severity: str = ""
    data: dict = dataclasses.field(default_factory=dict)

    def to_json(self):
        """The message as plain JSON values that PostgreSQL takes, whatever an alert's title is made of."""
        return {
            "title": storable(self.title),
            "body": storable(self.body),
            "url": storable(self.url),
            "urgency": self.urgency,
            "fields": [[storable(name), storable(str(value))] for name, value in self.fields],
            "actions": [{"label": action.label, "verb": action.verb} for action in self.actions],
            "thread": self.thread,
            "subject": storable(self.subject),
            "kind": str(self.kind),
            "severity": self.severity,
            "data": _storable(self.data),
        }

    @classmethod
    def from_json(cls, data):
        """The message that `to_json` gave. What an older version did not write gets its default."""
        known = {field.name for field in dataclasses.fields(cls)}
        values = {name: value for name, value in data.items() if name in known}
        values["fields"] = tuple((name, value) for name, value in data.get("fields", ()))
        values["actions"] = tuple(Action(action["label"], action["verb"]) for action in data.get("actions", ()))
        return cls(**values)
