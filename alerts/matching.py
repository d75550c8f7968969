"""Conditions on alerts, as text: what they say, whether one holds, and why. Pure: values in, values out.

    labels.env = "prod" and (severity in ("critical", "high") or not title =~ "test.*")

The language is in docs/routing.md. Regular expressions are RE2, so none takes longer than its text is long; like in
Alertmanager they speak of the whole value, and a label that is missing is empty.
"""

import contextlib
import dataclasses
import functools
import itertools
import json
import re
import urllib.parse
from collections.abc import Callable
from types import MappingProxyType

import re2

from alerts.event import TRIGGER, as_text

CONDITION_LIMIT = 4000
DEPTH_LIMIT = 40
PATTERN_LIMIT = 500
PROGRAM_LIMIT = 4000
# A regular expression sees so much of a value.
TEXT_LIMIT = 4096
# So much of an object or a list of a payload is compared, as JSON, and so many elements of a list are looked at.
CONTAINER_LIMIT = 16 * 1024
ELEMENTS_LIMIT = 1000
# How much of a value, and of a whole explanation, is shown.
SHOWN, EXPLAINED = 80, 400

FIELDS = ("title", "description", "severity", "service", "source", "integration", "action", "key")
# Words of our own: a condition on another one would never hold.
WORDS = {
    "severity": ("critical", "high", "medium", "low", "info"),
    "action": ("trigger", "acknowledge", "resolve", "note", "update", "change", "ignore"),
}
KEYWORDS = ("and", "or", "not", "in", "exists", "contains")


class Wrong(ValueError):
    """A condition that cannot be read. The text is a sentence that says where and what to change."""


# --- what a condition is asked about ------------------------------------------------------------------------------


def _no_payload():
    return None


@dataclasses.dataclass(frozen=True, slots=True)
class Facts:
    """What is known of an event or an alert. `payload` is called only when a condition asks for it."""

    title: str = ""
    description: str = ""
    severity: str = ""
    service: str = ""  # the slug
    source: str = ""
    integration: str = ""  # the name
    action: str = TRIGGER
    key: str = ""
    labels: dict[str, str] = dataclasses.field(default_factory=dict)
    payload: Callable = _no_payload


def facts_of(event, *, service="", severity="", integration="", payload=None):
    """The facts of an Event: `service` is the slug of its service, `payload` a callable (see payload_of) or None."""
    return Facts(
        event.title,
        event.description,
        severity or event.severity,
        service or event.service,
        event.source,
        integration,
        event.action,
        event.dedup_key,
        event.labels,
        payload or _no_payload,
    )


def facts_of_alert(alert):
    """The facts of an Alert with its service and integration loaded. Its payload is no longer known."""
    return Facts(
        alert.title,
        alert.description,
        alert.severity,
        alert.service.slug,
        alert.source,
        alert.integration.name if alert.integration_id and alert.integration else "",
        TRIGGER,
        alert.route.get("source_key", alert.dedup_key),
        alert.labels,
    )


def payload_of(body):
    """A callable that reads a request's body once, when it is first called: JSON, else a form, else None."""
    return _Payload(body)


class _Payload:
    """One is made for each event and few are called, so it is lean."""

    __slots__ = ("_body", "_read")

    def __init__(self, body):
        self._body = body

    def __call__(self):
        if self._body is not None:
            self._read, self._body = _read_payload(self._body), None
        return self._read


def _read_payload(body):
    text = bytes(body).decode("utf-8", "replace").lstrip("\ufeff")
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):  # not JSON, or nested deeper than anybody means
        pass
    try:
        return dict(urllib.parse.parse_qsl(text, max_num_fields=1000)) or None
    except ValueError:
        return None


# --- fields -------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True)
class Field:
    """One place in the facts: `kind` is a name of FIELDS with no `path`, "labels" with one name, or "payload"."""

    kind: str
    path: tuple[str, ...] = ()

    def __str__(self):
        if not self.path:
            return self.kind
        if self.kind == "labels":
            return f"labels.{_name(self.path[0], '.')}"
        return ".".join(("payload", *(_name(one) for one in self.path)))

    def raw(self, facts):
        """The value as it is, or None when it is missing."""
        if self.kind == "labels":
            return facts.labels.get(self.path[0])
        if self.kind == "payload":
            return _walk(facts.payload(), self.path)
        return getattr(facts, self.kind)

    def text(self, facts):
        """The value as text; what is missing is empty."""
        return _text(self.raw(facts))


def _walk(value, path):
    for step in path:
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and step.isascii() and step.isdigit() and len(step) < 7:
            at = int(step)
            value = value[at] if at < len(value) else None
        else:
            return None
    return value


_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=str)


def _text(value):
    if isinstance(value, str):
        return value
    if isinstance(value, (dict, list)):
        pieces, size = [], 0
        with contextlib.suppress(RecursionError):  # what was read so far is enough to compare
            for piece in _ENCODER.iterencode(value):
                pieces.append(piece)
                size += len(piece)
                if size > CONTAINER_LIMIT:
                    break
        return "".join(pieces)[:CONTAINER_LIMIT]
    return as_text(value)


@functools.lru_cache(maxsize=4096)
def field(path):
    """The field that a path such as labels.host or payload.data.0.id names. Raises Wrong when it is none."""
    tokens = _tokens(path)
    if len(tokens) != 2 or tokens[0].kind not in ("word", "text"):
        raise Wrong(f"“{_short(path)}” is no field. Write one such as title, labels.host or payload.data.id.")
    return _field_of(tokens[0], path)


def value_of(facts, path):
    """The value of a field as text: "" when it is missing, or when there is no such field."""
    try:
        return field(path).text(facts)
    except Wrong:
        return ""


# --- templates ----------------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=1024)
def check_template(template):
    """The pieces of a template: text and fields. Raises Wrong when a brace is left open or names no field."""
    pieces, text, at = [], "", 0
    while at < len(template):
        char = template[at]
        if template[at : at + 2] in ("{{", "}}"):
            text, at = text + char, at + 2
        elif char == "{":
            end = template.find("}", at)
            if end < 0:
                raise Wrong(f"{_place(template, at)}the brace is not closed. For a brace itself, write {{{{.")
            try:
                named = field(template[at + 1 : end].strip())
            except Wrong as error:
                raise Wrong(f"{_place(template, at)}there is no field in these braces. {error}") from None
            pieces += [text, named] if text else [named]
            text, at = "", end + 1
        elif char == "}":
            raise Wrong(f"{_place(template, at)}this brace closes nothing. For a brace itself, write }}}}.")
        else:
            text, at = text + char, at + 1
    return (*pieces, text) if text else tuple(pieces)


def fill(template, facts):
    """The template with the values of its fields, such as `{labels.host} is down: {title}`.

    A doubled brace is one brace, a missing value is empty. A template that cannot be read comes back as it is.
    """
    try:
        pieces = check_template(template)
    except Wrong:
        return template
    return "".join(one if isinstance(one, str) else one.text(facts)[:TEXT_LIMIT] for one in pieces)


# --- conditions ---------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True)
class Test:
    """One comparison. `op` is = != =~ !~ in contains or exists."""

    field: Field
    op: str
    values: tuple[str, ...] = ()

    def __str__(self):
        if self.op == "exists":
            return f"{self.field} exists"
        if self.op == "in":
            return f"{self.field} in ({', '.join(_quote(one) for one in self.values)})"
        return f"{self.field} {self.op} {_quote(self.values[0])}"

    def compiled(self):
        """A function of the facts that says whether it holds."""
        kind, value = self.field.kind, self.values[0] if self.values else ""
        if self.op == "exists":
            return self._exists
        if self.op == "contains":
            return self._contains
        if kind == "labels":
            name = self.field.path[0]

            def read(facts):
                return facts.labels.get(name, "")

        elif kind == "payload":
            read = self.field.text
        else:

            def read(facts):
                return getattr(facts, kind)

        if self.op == "=":
            return lambda facts: read(facts) == value
        if self.op == "!=":
            return lambda facts: read(facts) != value
        if self.op == "in":
            values = frozenset(self.values)
            return lambda facts: read(facts) in values
        matches = _matcher(value)
        if self.op == "=~":
            return lambda facts: matches(read(facts))
        return lambda facts: not matches(read(facts))

    def _exists(self, facts):
        raw = self.field.raw(facts)
        return raw is not None if self.field.path else bool(raw)

    def _contains(self, facts):
        raw, value = self.field.raw(facts), self.values[0]
        if isinstance(raw, list):
            return any(_text(one) == value for one in itertools.islice(raw, ELEMENTS_LIMIT))
        return value in _text(raw)

    def explained(self, facts):
        holds = self.compiled()(facts)
        raw = self.field.raw(facts)
        text = _text(raw)
        missing = raw is None or (not self.field.path and not text)
        if self.op == "exists":
            return holds, f"{self.field} is {'set' if holds else 'not set'}"
        if self.op == "contains":
            shown = f"{self.field} is not set" if missing else f"{self.field} is “{_short(text)}”"
            return holds, f"{shown}, which {'contains' if holds else 'does not contain'} “{_short(self.values[0])}”"
        shown = f"{self.field} is not set" if missing else f"{self.field} is “{_short(text)}”"
        if self.op in ("=~", "!~"):
            matches = holds == (self.op == "=~")
            does = "matches" if matches else "does not match" if missing else "does not match as a whole"
            return holds, f"{shown}, which {does} “{_short(self.values[0])}”"
        same = holds != (self.op == "!=")
        if same:
            return holds, shown
        wanted = [f"“{_short(one)}”" if one else "empty" for one in self.values[:5]]
        if self.op == "in":
            more = f" and {len(self.values) - 5} more" if len(self.values) > 5 else ""
            return holds, f"{shown}, none of {', '.join(wanted)}{more}"
        return holds, f"{shown}, not {wanted[0]}"


@dataclasses.dataclass(frozen=True, slots=True)
class Not:
    """The opposite."""

    part: object

    def __str__(self):
        return f"not {self.part}" if isinstance(self.part, (Test, Not)) else f"not ({self.part})"

    def compiled(self):
        part = self.part.compiled()
        return lambda facts: not part(facts)

    def explained(self, facts):
        holds, why = self.part.explained(facts)
        return not holds, why


@dataclasses.dataclass(frozen=True, slots=True)
class And:
    """All of these."""

    parts: tuple

    def __str__(self):
        return " and ".join(f"({one})" if isinstance(one, (And, Or)) else str(one) for one in self.parts)

    def compiled(self):
        parts = [one.compiled() for one in self.parts]
        if len(parts) == 2:
            first, second = parts
            return lambda facts: first(facts) and second(facts)

        def all_of(facts):
            for part in parts:  # noqa: SIM110 all() with a generator is twice as slow, and this is asked most
                if not part(facts):
                    return False
            return True

        return all_of

    def explained(self, facts):
        whys = []
        for part in self.parts:
            holds, why = part.explained(facts)
            if not holds:
                return False, why
            whys.append(why)
        return True, " and ".join(whys)


@dataclasses.dataclass(frozen=True, slots=True)
class Or:
    """One of these."""

    parts: tuple

    def __str__(self):
        return " or ".join(f"({one})" if isinstance(one, Or) else str(one) for one in self.parts)

    def compiled(self):
        parts = [one.compiled() for one in self.parts]

        def one_of(facts):
            for part in parts:  # noqa: SIM110 see And
                if part(facts):
                    return True
            return False

        return one_of

    def explained(self, facts):
        whys = []
        for part in self.parts:
            holds, why = part.explained(facts)
            if holds:
                return True, why
            whys.append(why)
        return False, " and ".join(whys)


class Condition:
    """A condition that was read. Two are equal when they say the same in the same order; str() gives its text."""

    __slots__ = ("tree", "matches")

    def __init__(self, tree):
        self.tree = tree
        # A plain function, since the inbound path asks each rule about each event: `matches(facts) -> bool`.
        self.matches = tree.compiled()

    def explain(self, facts):
        """Which part decided, in words: `labels.env is “staging”, not “prod”`."""
        why = self.tree.explained(facts)[1]
        return why if len(why) <= EXPLAINED else why[: EXPLAINED - 1] + "…"

    @property
    def reads_payload(self):
        """Whether it asks for the payload, which is known while an event is decided and not later."""
        return any(test.field.kind == "payload" for test in _tests(self.tree))

    def __str__(self):
        return str(self.tree)

    def __repr__(self):
        return f"<Condition {self}>"

    def __eq__(self, other):
        return isinstance(other, Condition) and self.tree == other.tree

    def __hash__(self):
        return hash(self.tree)


def _tests(tree):
    if isinstance(tree, Test):
        yield tree
    else:
        for part in (tree.part,) if isinstance(tree, Not) else tree.parts:
            yield from _tests(part)


@functools.lru_cache(maxsize=2048)
def parse(text):
    """The condition that `text` says. Raises Wrong. An empty text is wrong too: "every alert" is for the caller."""
    if not text.strip():
        raise Wrong('The condition is empty. Write one such as labels.env = "prod".')
    tokens = _tokens(text)
    return Condition(_Parser(text, tokens).whole())


# --- Alertmanager's matchers --------------------------------------------------------------------------------------


def from_matchers(matchers):
    """The text of a list of Alertmanager's matchers, `{name, value, isRegex, isEqual}`. Raises Wrong."""
    tests = []
    for one in matchers:
        name, value = one.get("name"), one.get("value")
        if not isinstance(name, str) or not isinstance(value, str) or not name:
            raise Wrong("A matcher needs a name and a value, both of them text.")
        equal = one.get("isEqual") is not False  # missing means true, as in version 0.21
        op = ("=~" if equal else "!~") if one.get("isRegex") else ("=" if equal else "!=")
        tests.append(Test(Field("labels", (name,)), op, (value,)))
    if not tests:
        raise Wrong("Without a matcher it would mean every alert. Give at least one.")
    text = str(tests[0] if len(tests) == 1 else And(tuple(tests)))
    parse(text)
    return text


def to_matchers(text):
    """Alertmanager's matchers for a condition, or None when it says what they cannot."""
    try:
        tree = parse(text).tree
    except Wrong:
        return None
    matchers = []
    for one in tree.parts if isinstance(tree, And) else (tree,):
        if not isinstance(one, Test) or one.field.kind != "labels" or one.op not in ("=", "!=", "=~", "!~"):
            return None
        matchers.append(
            {
                "name": one.field.path[0],
                "value": one.values[0],
                "isRegex": one.op.endswith("~"),
                "isEqual": not one.op.startswith("!"),
            }
        )
    return matchers


# --- regular expressions ------------------------------------------------------------------------------------------


def _options():
    options = re2.Options()
    options.log_errors = False
    options.max_mem = 1 << 20  # of one compiled pattern: it refuses what would need more
    options.dot_nl = True  # a description has many lines, and ".*" means all of it
    options.never_capture = True
    return options


_OPTIONS = _options()


@functools.lru_cache(maxsize=2048)
def _pattern(text):
    if len(text) > PATTERN_LIMIT:
        raise Wrong(f"the regular expression is longer than {PATTERN_LIMIT} characters. Make two conditions of it.")
    try:
        pattern = re2.compile(text, _OPTIONS)
    except re2.error as error:
        said = error.args[0] if error.args else ""
        said = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
        raise Wrong(
            f"the regular expression cannot be used: {said}. RE2 knows no look-ahead, no back references and no "
            "counts above 1000."
        ) from None
    # A match may take as long as its program times the text.
    if pattern.programsize > PROGRAM_LIMIT:
        raise Wrong(
            "the regular expression cannot be used: its counts make it too large. Use smaller ones, or + or *."
        )
    return pattern


# "prod|stage" is by far the most common kind, and a set is twenty times as fast.
_ALTERNATIVES = re.compile(r"[A-Za-z0-9_ :/@-]+(?:\|[A-Za-z0-9_ :/@-]+)*")


def _matcher(text):
    """A function that says whether a text matches the pattern as a whole."""
    if _ALTERNATIVES.fullmatch(text):
        return frozenset(text.split("|")).__contains__
    pattern = _pattern(text)

    def matches(value):
        value = value[:TEXT_LIMIT]
        try:
            return pattern.fullmatch(value) is not None
        except UnicodeEncodeError:  # half a character, from a payload
            return pattern.fullmatch(value.encode("utf-8", "replace").decode()) is not None

    return matches


# --- reading ------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True)
class _Token:
    kind: str  # word, text, op, or the punctuation itself; "end"
    at: int
    value: str = ""
    parts: tuple = ()  # of a word: (text, was quoted)


_QUOTES = "\"'`"
_OPERATORS = ("=~", "!~", "==", "!=", "=")
_SPECIAL = frozenset("\"'`(){}[],=!~<>&|")
_ESCAPES = MappingProxyType({"n": "\n", "r": "\r", "t": "\t", "\\": "\\", '"': '"', "'": "'"})
_CURLY = frozenset("“”„‘’")


def _place(text, at):
    before = text[:at]
    line, column = before.count("\n") + 1, at - (before.rfind("\n") + 1) + 1
    return f"in column {column}: " if "\n" not in text else f"in line {line}, column {column}: "


def _wrong(text, at, sentence):
    return Wrong(_place(text, at) + sentence)


def _tokens(text):
    if len(text) > CONDITION_LIMIT:
        raise Wrong(f"It has {len(text)} characters. Use at most {CONDITION_LIMIT}.")
    tokens, at = [], 0
    while at < len(text):
        char = text[at]
        if char.isspace():
            at += 1
        elif char in _QUOTES:
            value, end = _quoted(text, at)
            tokens.append(_Token("text", at, value))
            at = end
        elif char in "(){}[],":
            tokens.append(_Token(char, at, char))
            at += 1
        elif operator := next((one for one in _OPERATORS if text.startswith(one, at)), ""):
            tokens.append(_Token("op", at, "=" if operator == "==" else operator))
            at += len(operator)
        elif char in "&|":
            raise _wrong(text, at, f"write “{'and' if char == '&' else 'or'}” instead of “{text[at : at + 2]}”.")
        elif char == "!":
            raise _wrong(text, at, "write “not” instead of “!”.")
        elif char in _SPECIAL:
            raise _wrong(text, at, f"“{char}” means nothing here. The comparisons are = != =~ !~ in contains exists.")
        elif char in _CURLY:
            raise _wrong(text, at, 'these quotes are curly. Use straight ones: "…".')
        else:
            token, at = _word(text, at)
            tokens.append(token)
    tokens.append(_Token("end", len(text)))
    return tokens


def _word(text, start):
    parts, at = [], start
    while at < len(text):
        begin = at
        while at < len(text) and text[at] not in _SPECIAL and text[at] not in _CURLY and not text[at].isspace():
            _check_character(text, at)
            at += 1
        if at > begin:
            parts.append((text[begin:at], False))
        # A quoted name is part of the word right after a dot: labels."my label"
        if at < len(text) and text[at] in _QUOTES and at > begin and text[at - 1] == ".":
            value, at = _quoted(text, at)
            parts.append((value, True))
            if at < len(text) and text[at] == ".":
                continue
        break
    return _Token("word", start, text[start:at], tuple(parts)), at


def _quoted(text, start):
    quote, out, at = text[start], [], start + 1
    while at < len(text):
        char = text[at]
        if char == quote:
            return "".join(out), at + 1
        if char == "\\" and quote != "`" and at + 1 < len(text):
            # Like Alertmanager: a backslash before anything else is a backslash, so "\d+" is what it looks like.
            follower = text[at + 1]
            _check_character(text, at + 1)
            out.append(_ESCAPES.get(follower, "\\" + follower))
            at += 2
            continue
        _check_character(text, at)
        out.append(char)
        at += 1
    raise _wrong(text, start, "this quote is not closed.")


def _check_character(text, at):
    char = text[at]
    if char == "\0" or "\ud800" <= char <= "\udfff":
        raise _wrong(text, at, "this character cannot be used.")


def _field_of(token, text):
    if token.kind == "text":
        if not token.value:
            raise _wrong(text, token.at, "the name of the label is empty.")
        return Field("labels", (token.value,))
    first, dot, _ = token.value.partition(".")
    if first in ("labels", "payload") and (dot or len(token.parts) == 1):
        parts = [(token.parts[0][0][len(first) + 1 :], False), *token.parts[1:]]
        if first == "labels":
            name = "".join(one for one, _ in parts)
            if not name:
                raise _wrong(text, token.at, "say which label, for example labels.env.")
            return Field("labels", (name,))
        path = []
        for one, was_quoted in parts:
            if was_quoted:
                path.append(one)
            elif one:
                path += one.removeprefix(".").removesuffix(".").split(".") if one != "." else []
        if not path or "" in path:
            raise _wrong(text, token.at, "say which part of the payload, for example payload.data.0.id.")
        return Field("payload", tuple(path))
    name = "".join(one for one, _ in token.parts)
    if name in FIELDS:
        return Field(name)
    return Field("labels", (name,))


class _Parser:
    """Recursive descent: or, and (also a comma), not, one comparison or a part in brackets."""

    def __init__(self, text, tokens):
        self.text, self.tokens, self.at, self.depth = text, tokens, 0, 0

    def whole(self):
        tree = self.any_of()
        if self.now.kind != "end":
            raise self.wrong(self._hint_after())
        return tree

    @property
    def now(self):
        return self.tokens[self.at]

    def next(self):
        token = self.now
        self.at += 1
        return token

    def wrong(self, sentence, token=None):
        return _wrong(self.text, (token or self.now).at, sentence)

    def is_word(self, *words, token=None):
        token = token or self.now
        return token.kind == "word" and token.value.lower() in words

    def any_of(self):
        self.depth += 1
        if self.depth > DEPTH_LIMIT:
            raise self.wrong(f"brackets are nested deeper than {DEPTH_LIMIT}. Make two conditions of it.")
        parts = [self.all_of()]
        while self.is_word("or"):
            self.next()
            parts.append(self.all_of())
        self.depth -= 1
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def all_of(self):
        parts = [self.one()]
        while self.now.kind == "," or self.is_word("and"):
            comma = self.next().kind == ","
            if comma and self.now.kind in ("}", "end"):
                break  # Alertmanager allows a comma at the end
            parts.append(self.one())
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def one(self):
        token = self.now
        if self.is_word("not") and self.tokens[self.at + 1].kind != "op":
            self.next()
            self.depth += 1
            if self.depth > DEPTH_LIMIT:
                raise self.wrong("“not” stands here too often.")
            part = Not(self.one())
            self.depth -= 1
            return part
        if token.kind in ("(", "{"):
            closing = {"(": ")", "{": "}"}[token.kind]
            self.next()
            part = self.any_of()
            if self.now.kind != closing:
                if self.now.kind == "end":
                    raise self.wrong(f"this bracket is not closed. Add “{closing}”.", token)
                raise self.wrong(self._hint_after())
            self.next()
            return part
        if self.is_word("exists") and self.tokens[self.at + 1].kind in ("word", "text", "("):
            return self.exists_first()
        return self.comparison()

    def exists_first(self):
        self.next()
        bracket = self.now.kind == "("
        if bracket:
            self.next()
        named = self.named()
        if bracket:
            if self.now.kind != ")":
                raise self.wrong("“)” is missing here.")
            self.next()
        return Test(named, "exists")

    def named(self):
        token = self.now
        if token.kind == "end":
            raise self.wrong('something is missing at the end. Write a comparison such as labels.env = "prod".')
        if token.kind not in ("word", "text") or (
            self.is_word("and", "or", "not", "in", "contains") and self.tokens[self.at + 1].kind != "op"
        ):
            raise self.wrong(f"a field should stand here, such as title or labels.env, not “{token.value}”.")
        self.next()
        return _field_of(token, self.text)

    def comparison(self):
        start = self.now
        named = self.named()
        token, negated = self.now, False
        if self.is_word("not"):
            negated = True
            self.next()
            token = self.now
        if token.kind == "op" and not negated:
            self.next()
            at = self.now
            value = self.value(named, token.value)
            if token.value.endswith("~"):
                try:
                    _pattern(value)
                except Wrong as error:
                    raise self.wrong(str(error), at) from None
            test = Test(named, token.value, (value,))
        elif self.is_word("exists"):
            self.next()
            test = Test(named, "exists")
        elif self.is_word("contains"):
            self.next()
            test = Test(named, "contains", (self.value(named, "contains"),))
            if not test.values[0]:
                raise self.wrong("everything contains an empty text. Write what to look for.", token)
        elif self.is_word("in"):
            self.next()
            test = Test(named, "in", self.values(named))
        else:
            raise self.wrong(
                f"after “{_short(start.value)}” a comparison is missing: = != =~ !~ in contains or exists."
                if token.kind == "end" or not negated
                else "after “not” here, write in, contains or exists."
            )
        return Not(test) if negated else test

    def values(self, named):
        opening = self.now
        if opening.kind not in ("(", "["):
            raise self.wrong('a list should stand here: ("critical", "high").')
        closing = {"(": ")", "[": "]"}[self.next().kind]
        values = [self.value(named, "in")]
        while self.now.kind == ",":
            self.next()
            if self.now.kind == closing:
                break
            values.append(self.value(named, "in"))
        if self.now.kind != closing:
            raise self.wrong(f"“{closing}” or a comma is missing in this list.")
        self.next()
        return tuple(dict.fromkeys(values))

    def value(self, named, op):
        token = self.now
        if token.kind == "word":
            if token.value.lower() in KEYWORDS or token.value.startswith(("labels.", "payload.")):
                raise self.wrong(f"“{_short(token.value)}” should be a text. Put it into quotes if it is one.")
        elif token.kind != "text":
            raise self.wrong(f'after “{op}” a text in quotes is missing, for example "prod".')
        self.next()
        value = token.value
        words = WORDS.get(named.kind)
        if words and op in ("=", "!=", "in") and value not in words:
            raise self.wrong(
                f"{named} is one of {', '.join(words)}, never “{_short(value)}”. "
                f"For the label of that name, write labels.{named}.",
                token,
            )
        return value

    def _hint_after(self):
        token = self.now
        if token.kind in ("word", "text"):
            return f"“and” or “or” is missing before “{_short(token.value)}”."
        return f"“{_short(token.value)}” does not belong here."


# --- writing ------------------------------------------------------------------------------------------------------


def _short(text, limit=SHOWN):
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _quote(text):
    text = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + text.replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t") + '"'


def _name(text, allowed=""):
    """A name as it must be written inside a path."""
    plain = text and all(char.isascii() and (char.isalnum() or char in "_-:/@" + allowed) for char in text)
    if plain and not text.startswith(".") and not text.endswith(".") and ".." not in text:
        return text
    return _quote(text)
