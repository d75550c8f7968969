"""The query language of Opsgenie's list of alerts, as far as it is about what we know. Text in, a Django Q out.

status:open AND priority:(P1 OR P2) AND NOT message:"disk full"
"""

import dataclasses
import datetime as dt
import re

from django.db.models import Q

from alerts.event import clean_key, parse_time
from incidents import states

QUERY_LIMIT, DEPTH_LIMIT, STARS_LIMIT = 1000, 20, 6
SORTS = {
    "createdAt": "first_at",
    "updatedAt": "last_at",
    "lastOccurredAt": "last_at",
    "tinyId": "id",
    "alias": "dedup_key",
    "message": "title",
    "status": "resolved_at",
    "count": "occurrences",
    "priority": "severity",
    "source": "source",
}
SEVERITY = {"P0": "critical", "P1": "critical", "P2": "high", "P3": "medium", "P4": "low", "P5": "info"}
TAKEN = (states.ACKNOWLEDGED, states.INVESTIGATING, states.REMEDIATING)
COMPARISONS = {":": "", "=": "", ">": "__gt", ">=": "__gte", "<": "__lt", "<=": "__lte"}
_TOKEN = re.compile(
    r'\s*(?:(?P<quoted>"(?:[^"\\]|\\.)*")|(?P<mark>[()])|(?P<op>!=|>=|<=|[:=<>])|(?P<word>[^\s()":=<>!]+))',
    re.DOTALL,
)


class Wrong(ValueError):
    """A query that is not understood. The text is a sentence that says what to change."""


def parse(text, *, now):
    """The Q of a query on Alert; an empty query means every alert. Raises Wrong."""
    if not text.strip():
        return Q()
    if len(text) > QUERY_LIMIT:
        raise Wrong(f"The query is longer than {QUERY_LIMIT} characters. Make it shorter.")
    if "\0" in text:
        raise Wrong("The query has a character that cannot be searched for.")
    return _Reader(_tokens(text), now).whole()


@dataclasses.dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    value: str


def _tokens(text):
    found, at = [], 0
    while text[at:].strip():
        match = _TOKEN.match(text, at)
        if match is None:
            raise Wrong(f"The query is not understood at “{text[at:].strip()[:20]}”. Put texts into double quotes.")
        kind, value = match.lastgroup, match[match.lastgroup]
        if kind == "quoted":
            value = re.sub(r"\\(.)", r"\1", value[1:-1])
        found.append(_Token(kind, value))
        at = match.end()
    return found


class _Reader:
    """Recursive descent: OR, AND (also by standing side by side), NOT, a comparison or a part in brackets."""

    def __init__(self, tokens, now):
        self.tokens, self.at, self.depth, self.now = tokens, 0, 0, now

    def whole(self):
        found = self.any_of(self.one)
        if self.peek():
            raise Wrong(f"The query is not understood at “{self.peek().value}”.")
        return found

    def peek(self, offset=0):
        at = self.at + offset
        return self.tokens[at] if at < len(self.tokens) else None

    def take(self):
        token = self.peek()
        if token is None:
            raise Wrong("The query ends too early. Write field:value, for example status:open.")
        self.at += 1
        return token

    def is_next(self, *words):
        token = self.peek()
        return token is not None and token.kind == "word" and token.value.upper() in words

    def is_mark(self, mark):
        token = self.peek()
        return token is not None and token.kind == "mark" and token.value == mark

    def any_of(self, part):
        self.depth += 1
        if self.depth > DEPTH_LIMIT:
            raise Wrong(f"Brackets are nested deeper than {DEPTH_LIMIT}.")
        found = self.all_of(part)
        while self.is_next("OR"):
            self.take()
            found |= self.all_of(part)
        self.depth -= 1
        return found

    def all_of(self, part):
        found = self.maybe_not(part)
        while self.peek() and not self.is_next("OR") and not self.is_mark(")"):
            if self.is_next("AND"):
                self.take()
            found &= self.maybe_not(part)
        return found

    def maybe_not(self, part):
        negated = False
        while self.is_next("NOT"):
            self.take()
            negated = not negated
        found = self.bracketed(part) if self.is_mark("(") else part()
        return ~found if negated else found

    def bracketed(self, part):
        self.take()
        found = self.any_of(part)
        if not self.is_mark(")"):
            raise Wrong("A bracket is not closed.")
        self.take()
        return found

    def one(self):
        token, following = self.take(), self.peek()
        if token.kind not in ("word", "quoted"):
            raise Wrong(f"The query is not understood at “{token.value}”.")
        if following is None or following.kind != "op":
            return _text("title", token.value) | _text("description", token.value) | _text("dedup_key", token.value)
        op = self.take().value
        if self.is_mark("("):
            return self.bracketed(lambda: self.comparison(token.value, op))
        return self.comparison(token.value, op)

    def comparison(self, name, op):
        token = self.take()
        if token.kind not in ("word", "quoted"):
            raise Wrong(f"After “{name}{op}” a value is missing.")
        value = token.value
        # An address or a time has colons of its own.
        while token.kind == "word" and self.peek() and self.peek().kind == "op" and self.peek().value == ":":
            value += self.take().value
            if self.peek() and self.peek().kind == "word":
                value += self.take().value
        if op == "!=":
            return ~_compare(name, ":", value, self.now)
        return _compare(name, op, value, self.now)


def _compare(name, op, value, now):
    lower = name.lower()
    times = {"createdat": "first_at", "updatedat": "last_at", "lastoccurredat": "last_at"}
    if lower in times:
        return _time(times[lower], name, op, value)
    if lower == "count":
        if not (value.isascii() and value.isdecimal() and len(value) < 10):
            raise Wrong(f"count is a number, not “{value}”.")
        return Q(**{f"occurrences{COMPARISONS[op]}": int(value)})
    if op not in (":", "="):
        raise Wrong(f"“{name}” can only be compared with “:”.")
    if lower == "status":
        if value.lower() not in ("open", "closed"):
            raise Wrong(f"The status of an alert is open or closed, not “{value}”.")
        return Q(resolved_at__isnull=value.lower() == "open")
    if lower == "priority":
        if value.upper() not in SEVERITY:
            raise Wrong(f"A priority is one of P1 to P5, not “{value}”.")
        return Q(severity=SEVERITY[value.upper()])
    if lower in ("acknowledged", "isacknowledged", "snoozed", "issnoozed"):
        if value.lower() not in ("true", "false"):
            raise Wrong(f"{name} is true or false, not “{value}”.")
        is_true = Q(incident__status__in=TAKEN) if "ack" in lower else Q(incident__snoozed_until__gt=now)
        return is_true if value.lower() == "true" else ~is_true
    if lower == "alias":
        return _text("dedup_key", value, is_whole=True) if "*" in value else Q(dedup_key=clean_key(value))
    if lower in ("message", "description"):
        return _text("title" if lower == "message" else lower, value)
    if lower in ("tag", "tags"):
        return Q(labels__has_key=f"tag:{value}")
    if lower in ("source", "entity"):
        return Q(labels__contains={lower: value})
    if lower.startswith("details."):
        return Q(labels__contains={name[len("details.") :]: value})
    if lower == "owner":
        return Q(incident__assignee__email__iexact=value) | Q(incident__acknowledged_by__email__iexact=value)
    if lower in ("team", "teams", "responders"):
        return Q(service__team__slug__iexact=value) | Q(service__team__name__iexact=value)
    if lower == "integration.name":
        return Q(integration__name__iexact=value)
    known = "status, priority, alias, message, description, tag, source, entity, details.<name>, owner, teams, count, "
    raise Wrong(f"“{name}” cannot be searched for. Known are {known}acknowledged, snoozed, createdAt and updatedAt.")


def _time(field, name, op, value):
    at = parse_time(value)
    if at is None and (match := re.fullmatch(r"(\d\d?)-(\d\d?)-(\d{4})", value)):
        at = parse_time(f"{match[3]}-{match[2]}-{match[1]}")
    if at is None:
        raise Wrong(f"{name} is compared with a time: milliseconds since 1970, or dd-mm-yyyy, not “{value}”.")
    if op in (":", "="):  # of that day
        at = min(at, dt.datetime.max.replace(tzinfo=dt.UTC) - dt.timedelta(days=1))
        return Q(**{f"{field}__gte": at, f"{field}__lt": at + dt.timedelta(days=1)})
    return Q(**{f"{field}{COMPARISONS[op]}": at})


def _text(field, value, is_whole=False):
    """Text that holds all of these words in this order; a star stands for anything."""
    pieces = [re.escape(piece) for piece in value.split("*")]
    if len(pieces) > STARS_LIMIT:
        raise Wrong(f"“{value[:20]}” has more than {STARS_LIMIT - 1} stars.")
    if len(pieces) == 1 and not is_whole:
        return Q(**{f"{field}__icontains": value})
    pattern = ".*".join(pieces)
    return Q(**{f"{field}__iregex": f"^{pattern}$" if is_whole else pattern})
