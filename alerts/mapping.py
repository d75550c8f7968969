"""What the fields of a foreign JSON object mean, as an admin wrote it down for one integration. Pure.

A value is written in one of three ways: a path with dots (`alert.name`, `items.0.id`; `$.` before it means the whole
body where one request has several events), a text in double quotes, which is always the same, or a text with paths of
the payload in braces (`{payload.check} on {payload.host}`). Conditions are those of alerts/matching.py, on the
event's own object: `payload.state = "ok"`, or just `state = "ok"` for a field at its top.
"""

import dataclasses
import functools

from alerts import matching
from alerts.event import ACKNOWLEDGE, IGNORE, RESOLVE, TRIGGER, as_text, severity_from

VALUES = ("title", "description", "severity", "service", "dedup_key", "occurred_at")
CONDITIONS = {"ignore_when": IGNORE, "resolve_when": RESOLVE, "acknowledge_when": ACKNOWLEDGE}
NAMED = ("labels", "links")
NAMES = ("events", *VALUES, "severity_map", *CONDITIONS, *NAMED)
ROOT = "$."
ANY = "*"
SEVERITIES = ("critical", "high", "medium", "low", "info")
MOST_LINES = 50


@dataclasses.dataclass(frozen=True, slots=True)
class Value:
    """How one value is found in an event's object, or in the whole body."""

    field: matching.Field | None = None
    template: str = ""
    constant: str = ""
    is_of_root: bool = False

    def raw(self, item, root):
        """The value as it stands there; None or "" when there is none."""
        if self.field is not None:
            return self.field.raw(_facts(root if self.is_of_root else item))
        return matching.fill(self.template, _facts(item)) if self.template else self.constant


@dataclasses.dataclass(frozen=True, slots=True)
class Mapping:
    """The parts that were filled in; what is missing is read as always."""

    events: Value | None
    values: dict
    severities: dict | None
    conditions: tuple  # (action, Condition)
    labels: tuple  # (name, Value)
    links: tuple  # (text, Value)

    def items(self, body):
        """The objects of the events in a body: the list at the path, or the body itself when nothing is there."""
        if self.events is None:
            return [body]
        found = self.events.raw(body, body)
        if found is None:
            return [body]
        return found if isinstance(found, list) else [found]

    def value(self, name, item, root):
        """What the mapping says for a field: None when it says nothing, or found nothing."""
        value = self.values.get(name)
        found = value.raw(item, root) if value else None
        return None if found == "" else found

    def severity(self, item, root):
        """Our severity, or None when the mapping says nothing of it."""
        if "severity" not in self.values and self.severities is None:
            return None
        word = as_text(self.value("severity", item, root)).strip()
        known = self.severities or {}
        return known.get(word.lower()) or severity_from(word) or known.get(ANY, "")

    def action(self, item):
        """`(action, why)`, or None when there are no conditions: then the field's word counts as always."""
        if not self.conditions:
            return None
        facts = _facts_with_labels(item)
        for action, condition in self.conditions:
            if condition.matches(facts):
                return action, condition.explain(facts)
        return TRIGGER, ""

    def named(self, pairs, item, root):
        """`[(name, value)]` of the labels or links that were found."""
        found = ((name, value.raw(item, root)) for name, value in pairs)
        return [(name, value) for name, value in found if value not in (None, "")]


def of(options):
    """The Mapping of an integration's options, or None without one. A part that cannot be read counts as empty."""
    written = tuple((name, options[name]) for name in NAMES if isinstance(options.get(name), str) and options[name])
    return _mapping(written) if written else None


@functools.lru_cache(maxsize=256)
def _mapping(written):
    read = dict(written)

    def part(name, reader):
        # The admin has checked it: what is wrong here came another way, and alerts matter more than the mapping.
        try:
            return reader(read[name]) if name in read else None
        except ValueError:
            return None

    values = {name: value for name in VALUES if (value := part(name, value_of))}
    conditions = [(action, part(name, matching.parse)) for name, action in CONDITIONS.items()]
    return Mapping(
        part("events", path_of),
        values,
        part("severity_map", severities_of),
        tuple((action, condition) for action, condition in conditions if condition),
        part("labels", named_of) or (),
        part("links", named_of) or (),
    )


# --- reading what was written -------------------------------------------------------------------------------------


def path_of(text):
    """The Value of a path. Raises ValueError."""
    text = text.strip()
    path = text.removeprefix(ROOT)
    try:
        return Value(field=matching.field(f"payload.{path}"), is_of_root=text.startswith(ROOT))
    except matching.Wrong:
        raise ValueError(
            f"“{text[:100]}” is no path. Write names with dots between them, such as alert.name or items.0.id, "
            'or put a text that is always the same into double quotes: "checkout".'
        ) from None


def value_of(text):
    """The Value of a path, a text in quotes or a text with paths in braces. Raises ValueError."""
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] == '"':
        return Value(constant=text[1:-1])
    if "{" in text:
        matching.check_template(text)
        return Value(template=text)
    return path_of(text)


def severities_of(text):
    """`{word: severity}` of `P0 = critical, P1 = high`, one a line or with commas between. Raises ValueError."""
    found = {}
    for part in _parts(text.replace(",", "\n")):
        word, sign, severity = (one.strip() for one in part.rpartition("="))
        severity = severity.lower()
        if not sign or not word or severity not in SEVERITIES:
            raise ValueError(
                f"“{part[:100]}” does not say what it becomes. Write P0 = critical, with one of "
                f"{', '.join(SEVERITIES)} on the right; * = high is for all others."
            )
        found[word.lower()] = severity
    return found


def named_of(text):
    """`((name, Value), …)` of lines such as `host = server.name`. Raises ValueError."""
    found = []
    for line in _parts(text):
        name, sign, value = (one.strip() for one in line.partition("="))
        if not sign or not name or not value:
            raise ValueError(f"“{line[:100]}” has no name and path. Write one a line, such as host = server.name.")
        found.append((name, value_of(value)))
    return tuple(found)


def _parts(text):
    parts = [part.strip() for part in text.splitlines() if part.strip()]
    if len(parts) > MOST_LINES:
        raise ValueError(f"There are {len(parts)} lines. Write {MOST_LINES} at most.")
    return parts


def check(reader):
    """A check for an Option: the text itself if `reader` takes it."""

    def checked(text):
        text = text.strip()
        if text:
            reader(text)
        return text

    return checked


# --- asking -------------------------------------------------------------------------------------------------------


def _facts(item):
    return matching.Facts(payload=lambda: item)


def _facts_with_labels(item):
    labels = item if isinstance(item, dict) else {}
    return matching.Facts(
        action="",
        labels={name: as_text(value) for name, value in labels.items() if not isinstance(value, (dict, list))},
        payload=lambda: item,
    )
