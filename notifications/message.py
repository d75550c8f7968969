"""What we tell a person, whatever the channel. Plain values: knows no incident, no address and no database."""

import dataclasses


def storable(text):
    """The text without what PostgreSQL refuses in text and JSON: zero bytes and halves of surrogate pairs."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode()


@dataclasses.dataclass(frozen=True)
class Action:
    """Something the reader can do by a link or a button: the words on it, and the verb it runs."""

    label: str
    verb: str


@dataclasses.dataclass(frozen=True)
class Message:
    """A message. `fields` are (name, value) pairs; `urgency` is high or low.

    `thread` is a stable text such as "incident-42": messages with the same one belong together. `subject` stays the
    same for the whole thread, for example "[#42] Checkout errors", because some mail readers group by it.
    """

    title: str
    body: str
    url: str = ""
    urgency: str = "high"
    fields: tuple = ()
    actions: tuple = ()
    thread: str = ""
    subject: str = ""

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
        }

    @classmethod
    def from_json(cls, data):
        """The message that `to_json` gave. What an older version did not write gets its default."""
        known = {field.name for field in dataclasses.fields(cls)}
        values = {name: value for name, value in data.items() if name in known}
        values["fields"] = tuple((name, value) for name, value in data.get("fields", ()))
        values["actions"] = tuple(Action(action["label"], action["verb"]) for action in data.get("actions", ()))
        return cls(**values)
