"""Repeating events of other people's calendars (RFC 5545, 3.3.10), looked at through a window. Pure.

All times are naive wall-clock times. The walk is our own, because a library's cannot be stopped: a rule that never
fires, like 30 February, walks to the year 9999. Here it goes straight to the window, looks at the days in it and no
further, and every step burns `Fuel`, which all the rules of a calendar share.

Not read: BYWEEKNO, BYEASTER, RSCALE, and what repeats by the minute or second.
"""

import calendar
import dataclasses
import datetime as dt
import re

from dateutil import rrule

HOURLY, DAILY, WEEKLY, MONTHLY, YEARLY = "HOURLY", "DAILY", "WEEKLY", "MONTHLY", "YEARLY"
FREQUENCIES = (HOURLY, DAILY, WEEKLY, MONTHLY, YEARLY)
WEEKDAYS = {str(day): day.weekday for day in (rrule.MO, rrule.TU, rrule.WE, rrule.TH, rrule.FR, rrule.SA, rrule.SU)}
ORDINAL = re.compile(r"([+-]?[0-9]{1,2})?(MO|TU|WE|TH|FR|SA|SU)")
# Name: (lowest, highest); with a negative lowest, zero is not allowed.
NUMBERS = {
    "BYMONTH": (1, 12),
    "BYMONTHDAY": (-31, 31),
    "BYYEARDAY": (-366, 366),
    "BYHOUR": (0, 23),
    "BYMINUTE": (0, 59),
    "BYSECOND": (0, 59),
    "BYSETPOS": (-366, 366),
}
PARTS = {"FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST", "BYDAY", *NUMBERS}
LONGEST = 1000  # characters
MOST_A_DAY = 24
FIRST_YEAR, LAST_YEAR = 1600, 2200  # no calendar arithmetic overflows in between


class BadRule(ValueError):
    """The rule cannot be used; the text is the end of a sentence: "it repeats each second"."""


class Fuel:
    """How many days and occurrences may still be looked at."""

    def __init__(self, steps):
        self.left = steps

    def burn(self, steps=1):
        self.left -= steps
        if self.left < 0:
            raise BadRule("it repeats too often or from too long ago, together with the others of this calendar")


@dataclasses.dataclass(frozen=True)
class Rule:
    """A rule as values. `until` is its text, since only the caller knows the zone of a UTC time."""

    frequency: str
    interval: int = 1
    count: int | None = None
    until: str = ""
    week_start: int = 0
    days: tuple[tuple[int, int], ...] = ()  # (weekday, ordinal or 0)
    by: dict = dataclasses.field(default_factory=dict)  # the numbers of the other parts by name


def parse(text):
    """Read a rule. Raises BadRule."""
    parts = _parts(text)
    frequency = parts.get("FREQ", "")
    if frequency in ("SECONDLY", "MINUTELY"):
        raise BadRule("it repeats each second or minute")
    if frequency not in FREQUENCIES:
        raise BadRule("its RRULE has no FREQ that we know")
    if unknown := sorted(set(parts) - PARTS):
        raise BadRule(f"we do not read {unknown[0][:20]} in an RRULE")
    by = {name: _numbers(name, parts[name]) for name in NUMBERS if name in parts}
    times = [len(by.get(name, (0,))) for name in ("BYHOUR", "BYMINUTE", "BYSECOND")]
    a_day = (24 if frequency == HOURLY else times[0]) * times[1] * times[2]
    if a_day > MOST_A_DAY:
        raise BadRule(f"it repeats more than {MOST_A_DAY} times a day")
    if frequency == HOURLY and "BYSETPOS" in by:
        raise BadRule("we do not read BYSETPOS with FREQ=HOURLY")
    if parts.get("WKST", "MO") not in WEEKDAYS:
        raise BadRule("the WKST of its RRULE is no weekday")
    return Rule(
        frequency=frequency,
        interval=_whole(parts.get("INTERVAL", "1")),
        count=_whole(parts["COUNT"]) if "COUNT" in parts else None,
        until=parts.get("UNTIL", ""),
        week_start=WEEKDAYS[parts.get("WKST", "MO")],
        days=_days(parts.get("BYDAY", ""), frequency),
        by=by,
    )


UNITS = {HOURLY: "hour", DAILY: "day", WEEKLY: "week", MONTHLY: "month", YEARLY: "year"}


def in_words(text):
    """A rule as people say it: "every 2 weeks on Sunday". One that says more than that stays as it is written."""
    try:
        rule = parse(text)
    except BadRule:
        return text
    days_are_said = rule.frequency == WEEKLY or not rule.days
    if rule.by or rule.count or rule.until or not days_are_said or any(ordinal for _, ordinal in rule.days):
        return text
    unit = UNITS[rule.frequency]
    said = f"every {unit}" if rule.interval == 1 else f"every {rule.interval} {unit}s"
    days = [calendar.day_name[weekday] for weekday in sorted({weekday for weekday, _ in rule.days})]
    if days:
        said += " on " + " and ".join(filter(None, [", ".join(days[:-1]), days[-1]]))
    return said


def _parts(text):
    if len(text) > LONGEST or not text.isascii():
        raise BadRule("its RRULE is too long or has odd letters")
    parts = {}
    for part in filter(None, text.strip().upper().split(";")):
        name, _, value = part.partition("=")
        if not name or not value or name in parts:
            raise BadRule(f"“{part[:40]}” in its RRULE cannot be read, or stands there twice")
        parts[name] = value
    return parts


def _whole(text):
    if not re.fullmatch(r"[0-9]{1,6}", text) or int(text) < 1:
        raise BadRule(f"“{text[:20]}” in its RRULE is not a whole number from 1 to 999999")
    return int(text)


def _numbers(name, text):
    lowest, highest = NUMBERS[name]
    found = set()
    for one in text.split(","):
        number = int(one) if re.fullmatch(r"[+-]?[0-9]{1,3}", one) else None
        if number is None or not lowest <= number <= highest or (lowest < 0 and number == 0):
            raise BadRule(f"“{one[:20]}” is no {name}")
        found.add(number)
    return tuple(sorted(found))


def _days(text, frequency):
    found = []
    for one in filter(None, text.split(",")):
        match = ORDINAL.fullmatch(one)
        if not match:
            raise BadRule(f"“{one[:20]}” is no BYDAY")
        ordinal = int(match[1] or 0)
        found.append((WEEKDAYS[match[2]], ordinal if frequency in (MONTHLY, YEARLY) else 0))
    return tuple(found)


def occurrences(rule, start, first, last, *, until=dt.datetime.max, fuel):  # noqa: DTZ901 - a wall-clock time
    """Yield the times of a rule that lie in `first <= t <= last`, in order.

    `start` is the first of them, whether or not the rule names it. `until` is the last time that may be one.
    Raises BadRule when the fuel is used up.
    """
    if not FIRST_YEAR <= start.year <= LAST_YEAR:
        raise BadRule(f"it begins before {FIRST_YEAR} or after {LAST_YEAR}")
    last = min(last, until)
    count = 1
    if first <= start <= last:
        yield start
    rule = _with_defaults(rule, start)
    number = 0 if rule.count else max(0, _periods_before(rule, start, first))
    while rule.count is None or count < rule.count:
        fuel.burn(2)  # a period costs about as much as two days
        period = _period(rule, start, number)
        number += 1
        if period is None or period[0] > last.date():
            return
        for wall in _in_period(rule, start, *period, fuel):
            if wall <= start:
                continue
            if wall > last or count == rule.count:
                return
            count += 1
            fuel.burn()
            if wall >= first:
                yield wall


def _with_defaults(rule, start):
    """What the rule leaves open comes from its first time, as RFC 5545 says."""
    by = dict(rule.by)
    days = rule.days
    if not (days or "BYMONTHDAY" in by or "BYYEARDAY" in by):
        if rule.frequency == YEARLY:
            by.setdefault("BYMONTH", (start.month,))
        if rule.frequency in (YEARLY, MONTHLY):
            by["BYMONTHDAY"] = (start.day,)
        if rule.frequency == WEEKLY:
            days = ((start.weekday(), 0),)
    if rule.frequency != HOURLY:
        by.setdefault("BYHOUR", (start.hour,))
    by.setdefault("BYMINUTE", (start.minute,))
    by.setdefault("BYSECOND", (start.second,))
    return dataclasses.replace(rule, days=days, by=by)


def _periods_before(rule, start, first):
    """How many periods of the rule lie wholly before `first`; one or two fewer do no harm."""
    if rule.frequency in (YEARLY, MONTHLY):
        months = (first.year - start.year) * 12 + first.month - start.month
        return months // (rule.interval * (12 if rule.frequency == YEARLY else 1)) - 1
    hours = {HOURLY: 1, DAILY: 24, WEEKLY: 168}[rule.frequency] * rule.interval
    return (first - start) // dt.timedelta(hours=hours) - 1


def _period(rule, start, number):
    """(first day, last day, hour or None) of a period, or None beyond all times we know."""
    step = rule.interval * number
    if rule.frequency in (YEARLY, MONTHLY):
        month = start.year * 12 + start.month - 1 + step if rule.frequency == MONTHLY else (start.year + step) * 12
        year, month = divmod(month, 12)
        if year > LAST_YEAR:
            return None
        last = (year, 12) if rule.frequency == YEARLY else (year, month + 1)
        return dt.date(year, month + 1, 1), dt.date(*last, calendar.monthrange(*last)[1]), None
    days = {HOURLY: 0, DAILY: 1, WEEKLY: 7}[rule.frequency] * step
    if days > 366 * (LAST_YEAR - FIRST_YEAR) or (rule.frequency == HOURLY and step > 24 * 366 * LAST_YEAR):
        return None
    if rule.frequency == HOURLY:
        at = start + dt.timedelta(hours=step)
        return at.date(), at.date(), at.hour
    day = start.date() + dt.timedelta(days=days)
    if rule.frequency == DAILY:
        return day, day, None
    monday = day - dt.timedelta(days=(day.weekday() - rule.week_start) % 7)
    return monday, monday + dt.timedelta(days=6), None


def _in_period(rule, start, first, last, hour, fuel):
    """The times of one period, in order."""
    by = rule.by
    hours = by["BYHOUR"] if hour is None else [hour] if hour in by.get("BYHOUR", (hour,)) else []
    times = [dt.time(h, m, s) for h in hours for m in by["BYMINUTE"] for s in by["BYSECOND"]]
    found = [dt.datetime.combine(day, time) for day in _days_of(rule, first, last, fuel) for time in times]
    if "BYSETPOS" in by:
        size = len(found)
        places = {place - 1 if place > 0 else size + place for place in by["BYSETPOS"]}
        found = [found[place] for place in sorted(places) if 0 <= place < size]
    return found


def _days_of(rule, first, last, fuel):
    by = rule.by
    months = by.get("BYMONTH")
    day = first
    while day <= last:
        fuel.burn()
        if months and day.month not in months:
            day = dt.date(day.year + day.month // 12, day.month % 12 + 1, 1)  # the next month
            continue
        if _fits(rule, day):
            yield day
        day += dt.timedelta(days=1)


def _fits(rule, day):
    by = rule.by
    if "BYMONTHDAY" in by:
        length = calendar.monthrange(day.year, day.month)[1]
        if day.day not in by["BYMONTHDAY"] and day.day - length - 1 not in by["BYMONTHDAY"]:
            return False
    if "BYYEARDAY" in by:
        number, length = day.timetuple().tm_yday, 366 if calendar.isleap(day.year) else 365
        if number not in by["BYYEARDAY"] and number - length - 1 not in by["BYYEARDAY"]:
            return False
    return not rule.days or any(_is_weekday(rule, day, *one) for one in rule.days)


def _is_weekday(rule, day, weekday, ordinal):
    if day.weekday() != weekday:
        return False
    if ordinal == 0:
        return True
    if rule.frequency == MONTHLY or "BYMONTH" in rule.by:
        number, length = day.day, calendar.monthrange(day.year, day.month)[1]
    else:
        number, length = day.timetuple().tm_yday, 366 if calendar.isleap(day.year) else 365
    return (number - 1) // 7 + 1 == ordinal if ordinal > 0 else -((length - number) // 7 + 1) == ordinal
