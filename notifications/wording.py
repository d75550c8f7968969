"""Other words for messages: what an admin wrote for a kind of message, on one channel or on all of them.

The language is Django's, with a few tags and filters and nothing else: no attribute of a value is ever called, and
each look at a value and each turn of a loop is paid from a budget, so that no text can hold up a page. Words that
cannot be used are left out: the message goes out as it was, the row says why, and an alarm is raised.
"""

import dataclasses
import datetime
import functools
import uuid

from django.conf import settings
from django.template import Context, Engine, Library, Template, TemplateSyntaxError, defaultfilters, defaulttags
from django.template.base import FilterExpression, Lexer, Node, Parser, Variable, VariableDoesNotExist
from django.utils.html import format_html, format_html_join

from notifications import alarms
from notifications.channels.base import Outgoing
from notifications.message import Action, Kind, Message
from notifications.models import Wording, channels

SOURCE_CHARACTERS = 10_000
TITLE_CHARACTERS, BODY_CHARACTERS = 250, 5_000
VALUE_CHARACTERS = 500  # of a value inside `fields` and `data`
ITEMS = 50  # of a list, and of `fields`
TURNS = 500  # of all loops together
LOOKS = 1_000_000  # characters of all values that are looked at
CUT = "…"

TAGS = ("comment", "firstof", "for", "if", "verbatim", "with")
FILTERS = (
    "capfirst",
    "cut",
    "default",
    "default_if_none",
    "first",
    "join",
    "last",
    "length",
    "lower",
    "pluralize",
    "title",
    "truncatechars",
    "truncatewords",
    "upper",
    "yesno",
)
# name: what it is. The help of the admin and docs/wording.md say the same.
VARIABLES = {
    "title": "the title that the message has without other words",
    "body": "its text, likewise",
    "url": "where to read more",
    "severity": "critical, high, medium, low or info; empty where there is none",
    "urgency": "high or low",
    "kind": "the kind of the message, for example page",
    "person": "the name of the person, or of the team's destination",
    "site_name": "the name of this installation",
    "fields": "the facts below the text by their names: {{ fields.Service }}, or in a loop over fields.items",
    "number": "the number of the incident",
    "status": "its status, for example acknowledged",
    "priority": "its priority, for example P1",
    "service": "the name of its service",
    "team": "the team that owns it",
    "incident": "all facts about the incident: {{ incident.title }}, {{ incident.triggered_at }} and so on",
    "actor": "who did it, where somebody did something: {{ actor.name }}, {{ actor.via }}",
    "event": "what happened, for example incident.acknowledged",
    "previous": "what was before a change: {{ previous.status }}",
    "code": "the code of a verification, which has to be in its text",
    "count": "how many pages a bundle holds",
}
HELP = format_html(
    "<p>In the template language of Django, with a few of its tags ({}) and filters ({}). Leave a part empty to keep "
    "the product's own. Variables:</p><ul>{}</ul>",
    ", ".join(TAGS),
    ", ".join(FILTERS),
    format_html_join("", "<li><code>{}</code>: {}</li>", VARIABLES.items()),
)
LIFTED = ("number", "status", "priority", "service", "team")  # inner facts that have a name of their own


class Trouble(Exception):
    """Why words cannot be used, in a sentence."""


@dataclasses.dataclass
class Wordings:
    """The words of all kinds and channels, as they are now. `troubles` keeps what could not be used: `{row: why}`."""

    rows: dict
    troubles: dict = dataclasses.field(default_factory=dict)

    def apply(self, message, channel_kind, *, person=""):
        """Return `(message, trouble)`: with the words for it on this channel, or as it was and why."""
        row = self.rows.get((str(message.kind), channel_kind)) or self.rows.get((str(message.kind), ""))
        if row is None:
            return message, ""
        try:
            return _said(message, row.title, row.body, person), ""
        except Trouble as trouble:
            text = f"The wording “{row}” was not used: {trouble}"
            self.troubles[row.pk] = text
            return message, text

    def note_troubles(self, *, now):
        """Write down and raise an alarm for what `apply` could not use since the last time."""
        troubles, self.troubles = self.troubles, {}
        for pk, text in sorted(troubles.items()):
            Wording.objects.filter(pk=pk).exclude(trouble=text[:500]).update(trouble=text[:500])
            alarms.raise_alarm(_alarm(pk), text, now=now)


def load():
    """The words that are enabled, in one query."""
    return Wordings({(row.kind, row.channel): row for row in Wording.objects.filter(is_enabled=True)})


def accept(row, *, now):
    """Somebody saved this row anew, or turned it off: it has a clean slate."""
    Wording.objects.filter(pk=row.pk).update(trouble="", changed_at=now)
    alarms.clear_alarm(_alarm(row.pk), now=now)


def problems(kind, channel, title, body):
    """What is wrong with words, in sentences; an empty list when they can be used."""
    found = []
    for name, source in (("title", title), ("body", body)):
        if not source:
            continue
        missing = set()
        try:
            _rendered(source, _context(SAMPLES[Kind(kind)], "Alice"), missing)
        except Trouble as trouble:
            found.append(f"In the {name}: {trouble}")
        found += [
            f"In the {name}: there is no variable “{one}”. Use one of {', '.join(VARIABLES)}."
            for one in sorted(missing - set(VARIABLES))
        ]
    if not found:
        try:
            _said(SAMPLES[Kind(kind)], title, body, "Alice")
        except Trouble as trouble:
            found.append(str(trouble))
    if channel and channel not in channels:
        found.append(f"There is no channel “{channel}” any more. Choose another.")
    return found


def preview(kind, channel, title, body):
    """How a sample message of the kind reads: `{"title": …, "body": …, "Email: Subject": …}` and so on.

    With `"trouble"` in it, the words cannot be used and the rest shows those of the product.
    """
    sample, trouble = SAMPLES[Kind(kind)], ""
    try:
        sample = _said(sample, title, body, "Alice")
    except Trouble as error:
        trouble = str(error)
    shown = {"trouble": trouble} if trouble else {}
    shown |= {"title": sample.title, "body": sample.body}
    for one in [channel] if channel else sorted(channels.classes()):
        if one in channels:
            parts = channels.get(one).preview(_sample_outgoing(sample))
            shown |= {f"{channels.get(one).label}: {part}": text for part, text in parts.items()}
    return shown


def _alarm(pk):
    return f"wording:{pk}"


# --- saying it ------------------------------------------------------------------------------------------------
def _said(message, title, body, person):
    """The message in these words. Raises Trouble when they cannot be used."""
    values = _context(message, person)
    new_title = " ".join(_rendered(title, values).split()) if title else message.title
    new_body = _rendered(body, values).strip() if body else message.body
    if not new_title:
        raise Trouble("The title is empty. Write something that is always there, for example {{ title }}.")
    if body and message.body and not new_body:
        raise Trouble("The text is empty. Write something that is always there, for example {{ body }}.")
    code = str(message.data.get("code", "")) if message.kind == Kind.VERIFICATION else ""
    if code and code not in f"{new_title} {new_body}":
        raise Trouble("The text does not say the code. Write {{ code }} into it.")
    return dataclasses.replace(
        message, title=_short(new_title, TITLE_CHARACTERS), body=_short(new_body, BODY_CHARACTERS)
    )


def _rendered(source, values, missing=None):
    """The text. Raises Trouble. The top-level names that were looked for in vain are put into `missing`."""
    if len(source) > SOURCE_CHARACTERS:
        raise Trouble(f"It is {len(source)} characters long. Write at most {SOURCE_CHARACTERS}.")
    try:
        return _compiled(source).render(_Values(values, set() if missing is None else missing))
    except Trouble:
        raise
    except TemplateSyntaxError as error:
        raise Trouble(f"{str(error).rstrip('.?')}. docs/wording.md lists what can be used.") from None
    except Exception as error:  # whatever somebody wrote, the page goes out
        raise Trouble(f"It cannot be filled in ({type(error).__name__}: {str(error)[:100]}).") from None


def _context(message, person):
    """The values for a message: text, numbers, lists and dicts, all of bounded length."""
    data = _plain(message.data) if message.data else {}
    lifted = {}
    for part in data.values():
        if isinstance(part, dict):
            for name in LIFTED:
                if part.get(name):
                    value = part[name]
                    lifted.setdefault(name, value.get("name", "") if isinstance(value, dict) else value)
    fields = {str(name): _short(str(value), VALUE_CHARACTERS) for name, value in message.fields[:ITEMS]}
    return {
        "service": fields.get("Service", ""),
        **data,
        **lifted,
        "title": _short(message.title, TITLE_CHARACTERS),
        "body": _short(message.body, BODY_CHARACTERS),
        "url": message.url,
        "severity": message.severity,
        "urgency": message.urgency,
        "kind": str(message.kind),
        "person": person,
        "site_name": settings.SITE_NAME,
        "fields": fields,
    }


def _plain(value, depth=4):
    if isinstance(value, str):
        return _short(value, VALUE_CHARACTERS)
    if isinstance(value, dict):
        return {str(key): _plain(each, depth - 1) for key, each in list(value.items())[:ITEMS]} if depth else {}
    if isinstance(value, list | tuple):
        return [_plain(each, depth - 1) for each in value[:ITEMS]] if depth else []
    return value


def _short(text, length):
    return text if len(text) <= length else text[: length - 1] + CUT


# --- the language ---------------------------------------------------------------------------------------------
class _Values(Context):
    """The values of one rendering, and what it may still do with them."""

    def __init__(self, values, missing):
        super().__init__(values, autoescape=False)
        self.turns, self.looks, self.missing = TURNS, LOOKS, missing

    def turn(self):
        self.turns -= 1
        if self.turns < 0:
            raise Trouble(f"Its loops turn more than {TURNS} times. Loop over less.")

    def look(self, value):
        self.looks -= len(value) if isinstance(value, str) else VALUE_CHARACTERS
        if self.looks < 0:
            raise Trouble("It says too much. Use the long values fewer times.")
        return value


class _Turn(Node):
    """Stands at the beginning of every loop's inside."""

    def render(self, context):
        context.turn()
        return ""


class _Value(Variable):
    """A name with dots: keys of dicts and places of lists. Nothing is called, and no attribute can be reached."""

    def _resolve_lookup(self, context):
        first, *rest = self.lookups
        try:
            value = context[first]
        except KeyError:
            context.missing.add(first)
            raise VariableDoesNotExist("No value named %s", (first,)) from None
        for name in rest:
            if isinstance(value, dict) and name in value:
                value = value[name]
            elif isinstance(value, dict) and name == "items":
                value = list(value.items())
            elif isinstance(value, list | tuple) and name.isdigit() and int(name) < len(value):
                value = value[int(name)]
            else:
                raise VariableDoesNotExist("Nothing named %s in it", (name,))
        return context.look(value)


class _Parser(Parser):
    def compile_filter(self, token):
        expression = FilterExpression(token, self)
        expression.var = _guarded(expression.var)
        expression.filters = [
            (function, [(is_variable, _guarded(value)) for is_variable, value in arguments])
            for function, arguments in expression.filters
        ]
        return expression


def _guarded(value):
    return _Value(value.var) if isinstance(value, Variable) else value


class _Template(Template):
    def compile_nodelist(self):
        parser = _Parser(Lexer(self.source).tokenize(), {}, [_LIBRARY], self.origin)
        return parser.parse()


def _for(parser, token):
    node = defaulttags.do_for(parser, token)
    node.nodelist_loop.insert(0, _Turn())
    return node


def _bounded(function):
    """A filter whose result is never longer than a text of ours. `join` takes lists only: a text would explode."""

    @functools.wraps(function)
    def filtered(value, *arguments, **more):
        if function is defaultfilters.join and not isinstance(value, list | tuple):
            return value
        result = function(value, *arguments, **more)
        return _short(result, BODY_CHARACTERS) if isinstance(result, str) else result

    return filtered


def _library():
    library = Library()
    for name in TAGS:
        library.tags[name] = _for if name == "for" else defaulttags.register.tags[name]
    for name in FILTERS:
        library.filters[name] = _bounded(defaultfilters.register.filters[name])
    return library


_LIBRARY = _library()
_ENGINE = Engine(loaders=[], autoescape=False)


@functools.lru_cache(maxsize=200)
def _compiled(source):
    return _Template(source, engine=_ENGINE)


# --- samples --------------------------------------------------------------------------------------------------
def _sample(kind, title, body, event="", actor=None, status="triggered", **more):
    incident = {
        "number": 42,
        "title": "Checkout answers 500",
        "status": status,
        "severity": "critical",
        "priority": "P1",
        "service": {"slug": "checkout", "name": "Checkout"},
        "team": "shop",
        "url": "https://oncall.example.com/incidents/42",
        "triggered_at": "2026-05-04T10:15:03.000Z",
    }
    data = {"event": event, "incident": incident} | ({"actor": actor} if actor else {})
    return Message(
        **{
            "title": title,
            "body": body,
            "url": incident["url"],
            "fields": (("Incident", "#42"), ("Service", "Checkout"), ("Severity", "critical"), ("Priority", "P1")),
            "thread": "incident-42",
            "subject": "[#42] Checkout answers 500",
            "kind": kind,
            "severity": "critical",
            "data": data,
            **more,
        }
    )


_ALICE = {"type": "user", "name": "Alice", "via": "sms"}
_ACKNOWLEDGE = (Action("Acknowledge", "acknowledge"),)
_NO_THREAD = {"fields": (), "thread": "", "subject": "", "severity": "", "urgency": "low"}
SAMPLES = {
    Kind.PAGE: _sample(
        Kind.PAGE,
        "P1 Checkout answers 500",
        "5 % of orders fail since 10:15.\nYou are on call for Shop.",
        "incident.triggered",
        actions=_ACKNOWLEDGE,
    ),
    Kind.UPDATE: _sample(Kind.UPDATE, "Checkout answers 500", "Priority P2 → P1.", "incident.priority_changed"),
    Kind.ACKNOWLEDGED: _sample(
        Kind.ACKNOWLEDGED,
        "Checkout answers 500: acknowledged",
        "Alice has it, by SMS, 59 seconds after the page.",
        "incident.acknowledged",
        _ALICE,
        "acknowledged",
    ),
    Kind.RESOLVED: _sample(
        Kind.RESOLVED,
        "Checkout answers 500: resolved",
        "Alice resolved it after 12 minutes.",
        "incident.resolved",
        _ALICE,
        "resolved",
    ),
    Kind.HANDOFF: _sample(
        Kind.HANDOFF,
        "You are on call for Shop",
        "Your shift began at 09:00 and ends on Monday at 09:00.",
        **_NO_THREAD,
        url="https://oncall.example.com/",
        data={},
    ),
    Kind.BUNDLE: _sample(
        Kind.BUNDLE,
        "3 pages for you",
        "#42 Checkout answers 500\n#43 Search is slow\n#44 Disk full on db-1",
        **_NO_THREAD | {"urgency": "high"},
        actions=_ACKNOWLEDGE,
        data={"count": 3},
    ),
    Kind.TEST: _sample(
        Kind.TEST,
        "This is a test",
        "You asked for a test message. Nothing is wrong.",
        **_NO_THREAD,
        url="https://oncall.example.com/settings",
        data={},
    ),
    Kind.VERIFICATION: _sample(
        Kind.VERIFICATION,
        "Your code is 482 915",
        "Type 482 915 on the page that asked for it. It works for 10 minutes.",
        **_NO_THREAD,
        url="",
        data={"code": "482 915"},
    ),
    Kind.NOTICE: _sample(
        Kind.NOTICE,
        "Your phone number was turned off",
        "The provider says that +44 7700 900123 does not exist. Add another number.",
        **_NO_THREAD,
        url="https://oncall.example.com/settings",
        data={},
    ),
    Kind.STATUS: _sample(
        Kind.STATUS,
        "Investigating: Payments fail",
        "We see failing payments and look into it.",
        **_NO_THREAD,
        url="https://oncall.example.com/status/shop",
        data={
            "sender": "Example Shop",
            "language": "en",
            "colour": "#1f6feb",
            "open_word": "Open the status page",
            "leave": "https://oncall.example.com/status/shop/unsubscribe/…",
            "leave_word": "Unsubscribe",
            "body": {"page": {"id": "shop"}},
        },
    ),
}


def _sample_outgoing(message):
    links = tuple((action.label, f"{settings.PUBLIC_URL}/l/…") for action in message.actions)
    at = datetime.datetime(2026, 5, 4, 10, 15, 5, tzinfo=datetime.UTC)
    return Outgoing(
        message=message,
        uuid=uuid.UUID(int=42),
        topic="incident:42",
        person="Alice",
        at=at,
        links=links,
        reply_code="42",
    )
