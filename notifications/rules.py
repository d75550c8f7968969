"""Which address of a person is told, and after how long. Values in, values out, with the reasons in words."""

import dataclasses
import datetime

from core.zones import moment, wall_clock, zone_of

DAY = datetime.timedelta(days=1)
LONGEST_HOLD = DAY  # however many quiet hours follow each other


@dataclasses.dataclass(frozen=True)
class Method:
    """One address of a person. Only a verified one that is not disabled is usable."""

    id: int
    channel: str
    is_verified: bool = True
    disabled_reason: str = ""
    shown: str = ""  # the address as others may read it

    @property
    def is_usable(self):
        return self.is_verified and not self.disabled_reason

    @property
    def trouble(self):
        """Why it is not usable, as the end of a sentence."""
        if self.disabled_reason:
            return f"is disabled ({self.disabled_reason.rstrip('.')})"
        return "" if self.is_verified else "is not verified"

    def __str__(self):
        return f"{self.channel} {self.shown}"


@dataclasses.dataclass(frozen=True)
class Rule:
    """Tell this address of pages with this urgency, so many minutes after the page."""

    method_id: int
    urgency: str
    delay_minutes: int = 0


@dataclasses.dataclass(frozen=True)
class Quiet:
    """From a wall-clock time until another one, on the weekdays (Monday is 0) on which it begins.

    An end that is not after the beginning is on the next day; the same time twice is a whole day.
    """

    days: tuple[int, ...]
    start_time: datetime.time
    end_time: datetime.time


@dataclasses.dataclass(frozen=True)
class Reach:
    """How one person can be reached. `zone` is the IANA name of their time zone, in which `quiet` is meant."""

    user_id: int
    name: str
    is_active: bool = True
    methods: tuple[Method, ...] = ()
    rules: tuple[Rule, ...] = ()
    zone: str = "UTC"
    quiet: tuple[Quiet, ...] = ()


@dataclasses.dataclass(frozen=True)
class Planned:
    """One message to write: where to, when, and a text that names it within its page."""

    method_id: int | None
    channel: str
    shown: str
    delay_minutes: int
    due_at: datetime.datetime
    rule_key: str


def plan(person, *, urgency, now):
    """Return what to send to `person`, soonest first, and the reasons for everything that was decided otherwise.

    Without a rule for this urgency every usable address is told at once, and also when the rules leave none: a page
    in the wrong place beats no page. An empty list means that the person cannot be reached; the last reason says why.
    What is of low urgency and falls into quiet hours waits until they end.
    """
    if not person.is_active:
        return [], [
            f"{person.name}'s account is not active. Activate it, or take them out of the schedule and policy."
        ]
    methods = {method.id: method for method in person.methods}
    usable = [method for method in person.methods if method.is_usable]
    reasons = []
    wanted = []
    for rule in person.rules:
        if rule.urgency != urgency:
            continue
        method = methods.get(rule.method_id)
        if method is not None and method.is_usable:
            wanted.append((method, rule.delay_minutes))
            continue
        what = f"{method} {method.trouble}" if method else "its contact method no longer exists"
        reasons.append(f"A rule of {person.name} for {urgency} urgency was skipped: {what}.")
    if not usable:
        reasons += [f"{person.name}'s contact method {method} {method.trouble}." for method in person.methods]
        reasons.append(
            f"{person.name} has no verified contact method. "
            "Add one under Contact methods in their settings and verify it."
        )
        return [], reasons
    if not wanted:
        if reasons:
            reasons.append(f"No rule of {person.name} was left, so every verified contact method is used at once.")
        wanted = [(method, 0) for method in usable]
    # One message per address and delay, however many rules ask for it.
    planned = {
        (method.id, delay): Planned(
            method_id=method.id,
            channel=method.channel,
            shown=method.shown,
            delay_minutes=delay,
            due_at=now + datetime.timedelta(minutes=delay),
            rule_key=f"m{method.id}d{delay}",
        )
        for method, delay in wanted
    }
    planned = sorted(planned.values(), key=lambda each: each.delay_minutes)
    if urgency == "low" and person.quiet:
        planned, held = _hold(planned, person, methods)
        reasons += held
    return planned, reasons


def quiet_until(quiet, zone, at):
    """When the quiet hours that hold `at` end, as a UTC time; `at` itself when there are none then.

    What follows without a break counts as one, up to LONGEST_HOLD.
    """
    tz, end = zone_of(zone), at
    while end - at < LONGEST_HOLD:
        ends = [until for start, until in _spans(quiet, tz, end) if start <= end < until]
        if not ends:
            return end
        end = max(ends)
    return at + LONGEST_HOLD


def _spans(quiet, tz, at):
    """The quiet hours that begin around the day of `at`, as UTC spans."""
    today = wall_clock(at, tz).date()
    for each in quiet:
        for days in (-2, -1, 0, 1):  # two: a zone may skip a whole day
            first = today + days * DAY
            if first.weekday() in each.days:
                last = first if each.end_time > each.start_time else first + DAY
                yield (
                    moment(datetime.datetime.combine(first, each.start_time), tz),
                    moment(datetime.datetime.combine(last, each.end_time), tz),
                )


def _hold(planned, person, methods):
    """Move what falls into quiet hours to their end; `(planned, reasons)`. What was held keeps its distances."""
    held, reasons, before = [], [], None
    for each in planned:
        due_at = quiet_until(person.quiet, person.zone, each.due_at)
        if due_at > each.due_at:
            if before:
                apart = datetime.timedelta(minutes=each.delay_minutes - before.delay_minutes)
                due_at = max(due_at, before.due_at + apart)
            tz = zone_of(person.zone)
            wall = wall_clock(due_at, tz)
            day = "" if wall.date() == wall_clock(each.due_at, tz).date() else f" on {wall:%A}"
            what = methods[each.method_id]
            reasons.append(f"{what} of {person.name} is held until {wall:%H:%M} {tz.key}{day}: quiet hours.")
            each = dataclasses.replace(each, due_at=due_at)
        held.append(each)
        before = each
    return held, reasons
