"""Handoffs of one rotation across clock changes. Pure: values in, values out.

A wall-clock time means **the first moment at which the clock of the zone shows that time or a later one**. So a time
that the clock skips is the moment of the jump, a time that comes twice is the first of the two, and handoffs never
run backwards. A day may last 23 or 25 hours.

The fixed units are arithmetic, so a rotation of 1990 costs as much as one of today. So are rules (RFC 5545) that
repeat by the week; others are walked once from their first day and remembered.
"""

import bisect
import calendar
import dataclasses
import datetime as dt
import functools
import math
import re
import threading
import zoneinfo

from dateutil import rrule

from core.zones import moment, wall_clock

HOUR, DAY, WEEK, MONTH, RULE = "hour", "day", "week", "month", "rrule"
UNITS = (HOUR, DAY, WEEK, MONTH, RULE)
HOURS = {HOUR: 1, DAY: 24, WEEK: 168}

LONGEST_RULE = 500  # characters
MOST_INTERVAL, MOST_COUNT = 1000, 10_000
# Later than any time we are asked about (2100), near enough that no calendar arithmetic overflows.
LAST_DAY = dt.datetime(2150, 1, 1)  # noqa: DTZ001 - a wall-clock time
# A rule that does not fire this long after its first day never does: 29 February skips eight years at a century's end.
SILENT_YEARS = 9
# The calendar repeats itself every 400 years, and dateutil looks for a next occurrence up to the year 9999. Rules are
# walked so much later than they stand, so that it gives up on one that never fires after a moment, not after seconds.
LATER = dt.timedelta(days=19 * 146_097)
FREQUENCIES = ("HOURLY", "DAILY", "WEEKLY", "MONTHLY", "YEARLY")
# With these parts only, a rule by hours, days or weeks repeats by the week.
WEEKLY_PARTS = {"FREQ", "INTERVAL", "BYDAY", "BYHOUR", "BYMINUTE", "WKST"}
RULE_PARTS = WEEKLY_PARTS | {"BYMONTH", "BYMONTHDAY", "BYYEARDAY", "BYWEEKNO", "BYSETPOS", "COUNT", "UNTIL"}
LIMITS = {
    "BYMONTH": (1, 12),
    "BYMONTHDAY": (-31, 31),
    "BYYEARDAY": (-366, 366),
    "BYWEEKNO": (-53, 53),
    "BYSETPOS": (-366, 366),
    "BYHOUR": (0, 23),
    "BYMINUTE": (0, 59),
}
MOST_MINUTES = 4  # handoffs in an hour
EXAMPLE = "Write it like FREQ=WEEKLY;BYDAY=MO,TH."


class BadRule(ValueError):
    """The recurrence rule cannot be used; the text says what to change."""


@dataclasses.dataclass(frozen=True)
class Rotation:
    """`every` units between handoffs, counted from `start_date` at `handoff_time` in `zone` (an IANA name).

    With the unit "rrule", `rule` is a recurrence rule (RFC 5545) whose first day is `start_date`: each occurrence is
    a handoff, and so is the start. Then `every` is not used.
    """

    unit: str
    every: int
    start_date: dt.date
    handoff_time: dt.time
    zone: str
    rule: str = ""

    @functools.cached_property
    def start(self):
        """The wall-clock time of the first handoff, without a zone."""
        return dt.datetime.combine(self.start_date, self.handoff_time)

    @functools.cached_property
    def tz(self):
        return zoneinfo.ZoneInfo(self.zone)


def handoff(rotation, number):
    """The UTC time at which turn `number` (0 is the first) begins. With a rule that ends: None after its last one."""
    at = wall(rotation, number)
    return at and moment(at, rotation.tz)


def wall(rotation, number):
    """The wall-clock time, naive, at which turn `number` begins. With a rule that ends: None after its last one."""
    if rotation.unit == RULE:
        return _rule(rotation).occurrence(number)
    if rotation.unit == MONTH:
        return _months_later(rotation.start, rotation.every * number)
    return rotation.start + dt.timedelta(hours=HOURS[rotation.unit] * rotation.every * number)


def _months_later(wall, months):
    """So many months after `wall`, on the last day of a month that is too short. Counted from the start."""
    year, month = divmod(wall.year * 12 + wall.month - 1 + months, 12)
    return wall.replace(year=year, month=month + 1, day=min(wall.day, calendar.monthrange(year, month + 1)[1]))


def turn(rotation, at):
    """The number of the turn that holds `at`, or None before the first one. Costs the same however old it is.

    Where two handoffs fall on one moment, because the clock skipped what lay between, the later turn holds it.
    """
    face = wall_clock(at, rotation.tz)
    if rotation.unit == RULE:
        number = _rule(rotation).count_until(face) - 1
    elif rotation.unit == MONTH:
        months = (face.year - rotation.start.year) * 12 + face.month - rotation.start.month
        number = months // rotation.every
    else:
        number = (face - rotation.start) // dt.timedelta(hours=HOURS[rotation.unit] * rotation.every)
    # The clock may have been put back since, or a short month may have moved the day: the truth is a step or two away.
    while number >= 0 and handoff(rotation, number) > at:
        number -= 1
    while (following := handoff(rotation, number + 1)) is not None and following <= at:
        number += 1
    return number if number >= 0 else None


def turns_in_period(rotation):
    """With a rule that repeats by the week: how many turns until it repeats. None for other rules."""
    return _rule(rotation).turns_in_period


def turns(rotation, start, end):
    """Yield (number, begin, finish) of each turn that touches `start <= t < end`; `finish` is None without an end."""
    number = turn(rotation, start)
    number = 0 if number is None else number
    begin = handoff(rotation, number)
    while begin is not None and begin < end:
        finish = handoff(rotation, number + 1)
        if finish is None or finish > begin:
            yield number, begin, finish
        number, begin = number + 1, finish


# --- rules ----------------------------------------------------------------------------------------------------
def check_rule(text, start, zone):
    """Read a recurrence rule (RFC 5545, 3.3.10) whose first day is the naive time `start` in `zone`.

    Raises BadRule, whose text says what to change.
    """
    parts = _parts(text)
    frequency = parts.get("FREQ")
    if frequency in ("SECONDLY", "MINUTELY") or "BYSECOND" in parts:
        raise BadRule("This rule hands over too often. Use FREQ=HOURLY or longer, and leave BYSECOND out.")
    if frequency not in FREQUENCIES:
        raise BadRule(f"The rule needs a FREQ: one of {', '.join(FREQUENCIES)}. {EXAMPLE}")
    if unknown := sorted(set(parts) - RULE_PARTS):
        raise BadRule(f"We do not know {unknown[0][:20]} in a recurrence rule. Leave it out.")
    if frequency == "HOURLY" and set(parts) - WEEKLY_PARTS - {"COUNT", "UNTIL"}:
        raise BadRule(
            "With FREQ=HOURLY use INTERVAL, BYDAY and BYHOUR only. For other days use FREQ=DAILY and BYHOUR."
        )
    _check_values(parts)
    for name, most in (("INTERVAL", MOST_INTERVAL), ("COUNT", MOST_COUNT)):
        if not (parts.get(name, "1").isdigit() and 1 <= int(parts.get(name, "1")) <= most):
            raise BadRule(f"{name} must be a whole number from 1 to {most}.")
    if "UNTIL" in parts and "COUNT" in parts:
        raise BadRule("Give UNTIL or COUNT, not both.")
    try:
        second = _second(text, start, zone)
    except (ValueError, TypeError, KeyError, IndexError, OverflowError, ZeroDivisionError) as error:
        raise BadRule(f"“{text[:80]}” is not a recurrence rule we can read ({error}). {EXAMPLE}") from None
    if second is None:
        raise BadRule(
            f"“{text[:80]}” never fires in the {SILENT_YEARS} years after its first day. Change the rule or that day."
        )
    return text


def _check_values(parts):
    """Refuse days and times that do not exist, which would else be ignored or never come."""
    for name, (least, most) in LIMITS.items():
        for value in parts[name].split(",") if name in parts else ():
            number = int(value) if re.fullmatch(r"[+-]?\d{1,3}", value) else None
            if number is None or not least <= number <= most or (number == 0 and least < 0):
                also = f", or from {least} to -1 counted from the end" if least < 0 else ""
                raise BadRule(f"{name} takes whole numbers from {max(least, 1) if least else 0} to {most}{also}.")
    if parts.get("BYMINUTE", "").count(",") >= MOST_MINUTES:
        raise BadRule(f"This rule hands over too often. Give BYMINUTE at most {MOST_MINUTES} minutes.")
    most = {"MONTHLY": 5, "YEARLY": 5 if "BYMONTH" in parts else 53}.get(parts["FREQ"], 0)
    for value in parts["BYDAY"].split(",") if "BYDAY" in parts else ():
        day = re.fullmatch(r"([+-]?\d{1,2})?(MO|TU|WE|TH|FR|SA|SU)", value)
        if not day:
            raise BadRule("BYDAY takes days like MO,TH; with FREQ=MONTHLY also 1MO (the first) and -1FR (the last).")
        if day[1] and not 1 <= abs(int(day[1])) <= most:
            raise BadRule(
                f"The number in {value} must be from 1 to {most}, or from -{most} to -1 counted from the end."
                if most
                else f"The number in {value} needs FREQ=MONTHLY or YEARLY. Use that, or write {day[2]}."
            )
    if "UNTIL" in parts and not re.fullmatch(r"\d{8}(T\d{6}Z?)?", parts["UNTIL"]):
        raise BadRule("Write UNTIL as a day like 20261231, or as a time like 20261231T090000.")


def _second(text, start, zone):
    """The first occurrence after the start, or None when there is none for years. Looks no further than that."""
    soon = start + dt.timedelta(days=366 * SILENT_YEARS)
    occurrences = _Occurrences(text, start, zone, end=soon)
    return occurrences.occurrence(1)


def _parts(text):
    """The parts of a rule, `{name: value}` in capitals. Raises BadRule."""
    if len(text) > LONGEST_RULE or not text.isascii():
        raise BadRule(f"The rule is too long or has odd letters. Use at most {LONGEST_RULE} plain ones.")
    parts = {}
    for part in filter(None, text.strip().upper().removeprefix("RRULE:").split(";")):
        name, _, value = part.partition("=")
        if not name or not value or name in parts or any(sign.isspace() for sign in part):
            raise BadRule(f"“{part[:40]}” is not a part of a recurrence rule, or stands there twice. {EXAMPLE}")
        parts[name] = value
    return parts


def _rule(rotation):
    return _occurrences(rotation.rule, rotation.start, rotation.zone)


@functools.lru_cache(maxsize=1024)
def _occurrences(text, start, zone):
    return _Occurrences(text, start, zone)


class _Occurrences:
    """The wall-clock occurrences of a rule by number. Number 0 is the start, whether or not the rule names it."""

    def __init__(self, text, start, zone, end=LAST_DAY):
        parts = _parts(text)
        self.start = start
        self.last = max(_until(parts.pop("UNTIL", ""), zone), start)  # the start is a handoff whatever the rule says
        count = parts.pop("COUNT", "")
        self._text = ";".join(f"{name}={value}" for name, value in parts.items()) + (
            f";COUNT={count}" if count else ""
        )
        self._period = None if count else _period(parts)
        self._known = [start]  # in order; grows as far as it was asked about
        self._lock = threading.Lock()
        if self._period:
            # From the first occurrence on, what lies one period later is an occurrence too.
            self._pattern = [wall for wall in self._walk(start + self._period) if wall > start]
        else:
            self._later = (wall for wall in self._walk(end) if wall > start)

    @property
    def turns_in_period(self):
        return len(self._pattern) if self._period else None

    def occurrence(self, number):
        """The naive time of an occurrence, or None after the last one."""
        if number == 0:
            return self.start
        if self._period:
            if not self._pattern:
                return None
            periods, place = divmod(number - 1, len(self._pattern))
            wall = self._pattern[place] + self._period * periods
        else:
            self._learn(lambda: len(self._known) > number)
            if number >= len(self._known):
                return None
            wall = self._known[number]
        return None if wall > self.last else wall

    def count_until(self, wall):
        """How many occurrences there are up to this naive time, itself included."""
        if wall < self.start:
            return 0
        wall = min(wall, self.last)
        if self._period:
            periods, rest = divmod(wall - self.start, self._period)
            return 1 + periods * len(self._pattern) + bisect.bisect_right(self._pattern, self.start + rest)
        self._learn(lambda: self._known[-1] > wall)
        return bisect.bisect_right(self._known, wall)

    def _walk(self, end):
        """The rule's own occurrences up to `end`, which keeps a rule that fires no more from walking for ever."""
        until = "" if "COUNT" in self._text else f";UNTIL={end + LATER:%Y%m%dT%H%M%S}"
        return (wall - LATER for wall in rrule.rrulestr(self._text + until, dtstart=self.start + LATER))

    def _learn(self, is_enough):
        """Walk on until we know enough or the rule is over."""
        with self._lock:
            while not is_enough() and (wall := next(self._later, None)) is not None:
                self._known.append(wall)


def _until(text, zone):
    """The last wall-clock time that UNTIL allows: a day, a local time, or a UTC time."""
    if not text:
        return LAST_DAY
    if "T" not in text:
        return dt.datetime.combine(dt.date.fromisoformat(text), dt.time.max)
    wall = dt.datetime.fromisoformat(text.removesuffix("Z"))
    return wall_clock(wall.replace(tzinfo=dt.UTC), zoneinfo.ZoneInfo(zone)) if text.endswith("Z") else wall


def _period(parts):
    """After which span a rule repeats itself exactly, or None where it follows months or years."""
    hours = {"HOURLY": 1, "DAILY": 24, "WEEKLY": 168}.get(parts.get("FREQ"))
    if hours is None or set(parts) - WEEKLY_PARTS:
        return None
    return dt.timedelta(hours=math.lcm(hours * int(parts.get("INTERVAL", 1)), 168))
