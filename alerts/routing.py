"""Routing rules: what becomes of an event. `decide` is pure; `load` reads the rules of a batch in one query.

The rules of the integration are asked first, by position, then the global ones. The first that matches is the last,
unless it says that later rules count too: these fill in what is still open. Dropping and suppressing end the walk.
Only what the rules say is decided here; where none names a service, the key's own, the integration's and the team's
count: see alerts/ingest.py.
"""

import dataclasses
import datetime as dt
import functools
import hashlib

from django.db.models import Q

from alerts import matching
from alerts.event import TITLE_LIMIT, clean_line
from alerts.models import Rule
from core.zones import wall_clock, zone_or_none
from oncall.windows import Window, open_until

ROUTE, SUPPRESS, DROP = Rule.Action.ROUTE.value, Rule.Action.SUPPRESS.value, Rule.Action.DROP.value
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
WHOLE_WEEK = tuple(range(7))
MIDNIGHT = dt.time()
# What a rule can fill in, in the order in which it is told.
EFFECTS = ("service_id", "policy_id", "severity", "priority", "title", "pages_nobody")


@dataclasses.dataclass(frozen=True)
class RuleValue:
    """A rule as plain values, read once: `asks` and `window` are ready to be used, `broken` says why it is skipped."""

    id: int
    name: str
    integration_id: int | None = None
    condition: str = ""
    days: tuple = ()
    starts_at: dt.time | None = None
    ends_at: dt.time | None = None
    time_zone: str = ""
    action: str = ROUTE
    service_id: int | None = None
    policy_id: int | None = None
    severity: str = ""
    priority: str = ""
    title: str = ""
    pages_nobody: bool = False
    goes_on: bool = False
    position: int = 0

    @functools.cached_property
    def asks(self):
        """The parsed condition; None means every alert. Raises matching.Wrong."""
        return matching.parse(self.condition) if self.condition.strip() else None

    @functools.cached_property
    def broken(self):
        """Why the rule cannot be asked, as a sentence, or ""."""
        try:
            _ = self.asks
        except matching.Wrong as error:
            return f"The rule is skipped: its condition cannot be read, {error}"
        if not self.is_timed:
            return ""
        if zone_or_none(self.time_zone) is None:
            return f"The rule is skipped: “{self.time_zone[:64]}” is not a time zone. Choose one like Europe/Berlin."
        if (self.starts_at is None) != (self.ends_at is None):
            return "The rule is skipped: it has only one of its two times. Give both, or none."
        if any(day not in WHOLE_WEEK for day in self.days):
            return "The rule is skipped: its days are not all days of the week."
        return ""

    @property
    def is_timed(self):
        return bool(self.days or self.starts_at is not None or self.ends_at is not None)

    @functools.cached_property
    def window(self):
        """The days and times on which it counts; the day is that on which the window opens. None: always."""
        if not self.is_timed:
            return None
        days = tuple(sorted(self.days)) or WHOLE_WEEK
        if self.starts_at is None:
            return Window(days, MIDNIGHT, MIDNIGHT)
        return Window(days, self.starts_at, self.ends_at)

    def counts_at(self, at):
        """Whether it counts at this time of its clock."""
        return self.window is None or self.open_until(at) is not None

    def open_until(self, at):
        """The end of the days and times on which it counts now; None: it has none, or does not count now."""
        return _open_until(self.window, self.time_zone, at) if self.window else None

    @property
    def mark(self):
        """A short text that is another one when the rule means other alerts or other times, or is asked elsewhere."""
        said = (self.integration_id, self.position, self.condition, self.days, self.starts_at, self.ends_at)
        return hashlib.sha256(repr((*said, self.time_zone, self.action)).encode()).hexdigest()[:16]

    def when(self, at):
        """What its clock shows and when it counts, in words."""
        clock = wall_clock(at, zone_or_none(self.time_zone))
        days = ", ".join(DAYS[day] for day in sorted(self.days)) or "every day"
        times = f", {self.starts_at:%H:%M} to {self.ends_at:%H:%M}" if self.starts_at is not None else ""
        return f"it is {DAYS[clock.weekday()]} {clock:%H:%M} in {self.time_zone}; the rule counts {days}{times}"


# A batch asks the same few windows about nearly the same moment, again and again.
@functools.lru_cache(maxsize=4096)
def _open_until(window, zone, at):
    return open_until([window], at, zone_or_none(zone))


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What the rules say of one event. Empty and None: they say nothing of it."""

    action: str = ROUTE
    service_id: int | None = None
    policy_id: int | None = None
    severity: str = ""
    priority: str = ""
    title: str = ""
    pages: bool = True
    rule_id: int | None = None  # the one that dropped or suppressed it, else the first that matched
    by: dict = dataclasses.field(default_factory=dict)  # effect -> (rule id, name) that said so
    matched: tuple = ()  # (rule id, name) of those that matched, in order
    asked: tuple = dataclasses.field(default=(), repr=False)
    facts: object = dataclasses.field(default=None, repr=False, compare=False)
    at: dt.datetime | None = dataclasses.field(default=None, repr=False, compare=False)

    @property
    def decider(self):
        """The RuleValue that dropped or suppressed it, or None."""
        return self.asked[-1][0] if self.action != ROUTE else None

    @functools.cached_property
    def steps(self):
        """Each asked rule in order: `(name, matched, why)`."""
        return self.told(len(self.asked))

    def told(self, limit):
        """The first `limit` of the steps. Worked out only when asked for: words cost more than deciding."""
        return [(rule.name, matched, _why(rule, matched, self.facts, self.at)) for rule, matched in self.asked[:limit]]


# Without rules, for most.
NOTHING = Verdict()


def _why(rule, matched, facts, at):
    if rule.broken:
        return rule.broken
    why = "it has no condition" if rule.asks is None else rule.asks.explain(facts)
    if matched and rule.window is not None:
        return f"{why}, and {rule.when(at)}"
    if not matched and (rule.asks is None or rule.asks.matches(facts)):
        return rule.when(at)
    return why


class Routing:
    """The rules that the events of a batch may meet."""

    def __init__(self, rules):
        """`rules` are RuleValues, in any order; only enabled ones."""
        self._shared, own = [], {}
        for rule in rules:
            (self._shared if rule.integration_id is None else own.setdefault(rule.integration_id, [])).append(rule)
        self._chains = {pk: (*mine, *self._shared) for pk, mine in own.items()}
        self._shared = tuple(self._shared)

    def rules_for(self, integration_id):
        """The rules that an event of this integration meets, in order; None: an event without one."""
        return self._chains.get(integration_id, self._shared)

    def decide(self, facts, *, integration_id, at):
        """The Verdict on one event. `facts` is a matching.Facts, `at` when it came in. Never raises."""
        rules = self.rules_for(integration_id)
        if not rules:
            return NOTHING
        return decide(rules, facts, at=at)


def decide(rules, facts, *, at):
    """The Verdict of these RuleValues, asked in this order."""
    asked, matched, found, by = [], [], {}, {}
    action, decider = ROUTE, None
    for rule in rules:
        holds = not rule.broken and (rule.asks is None or rule.asks.matches(facts)) and rule.counts_at(at)
        asked.append((rule, holds))
        if not holds:
            continue
        name = (rule.id, rule.name)
        matched.append(name)
        for effect in EFFECTS:
            value = getattr(rule, effect)
            if value and effect not in found:
                found[effect], by[effect] = value, name
        if rule.action != ROUTE:
            action, decider = rule.action, rule.id
            by["action"] = name
            break
        if not rule.goes_on:
            break
    title = found.get("title", "")
    return Verdict(
        action=action,
        service_id=found.get("service_id"),
        policy_id=found.get("policy_id"),
        severity=found.get("severity", ""),
        priority=found.get("priority", ""),
        title=clean_line(matching.fill(title, facts), TITLE_LIMIT) if title else "",
        pages=not found.get("pages_nobody", False),
        rule_id=decider if decider is not None else matched[0][0] if matched else None,
        by=by,
        matched=tuple(matched),
        asked=tuple(asked),
        facts=facts,
        at=at,
    )


def load(integrations):
    """The Routing for events of these integrations (rows or their ids) and for events without one: one query."""
    ids = {getattr(one, "pk", one) for one in integrations} - {None}
    rules = Rule.objects.filter(Q(integration=None) | Q(integration_id__in=ids), is_enabled=True)
    return Routing([value_of(rule) for rule in rules.order_by("position", "pk")])


def value_of(rule):
    """The RuleValue of a Rule."""
    return RuleValue(
        id=rule.pk,
        name=rule.name,
        integration_id=rule.integration_id,
        condition=rule.condition,
        days=tuple(rule.days),
        starts_at=rule.starts_at,
        ends_at=rule.ends_at,
        time_zone=rule.time_zone,
        action=rule.action,
        service_id=rule.service_id,
        policy_id=rule.policy_id,
        severity=rule.severity,
        priority=rule.priority,
        title=rule.title,
        pages_nobody=rule.pages_nobody,
        goes_on=rule.goes_on,
        position=rule.position,
    )
