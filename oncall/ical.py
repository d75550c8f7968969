"""iCalendar (RFC 5545, 7986): shifts written as a calendar, and calendars of others read. Pure.

Writing is icalendar's. Of reading only the lines are: its components remember every time zone of a file by name for
the whole process and work through that zone's rules, and what a stranger sends us must do neither.
"""

import bisect
import dataclasses
import datetime as dt
import functools
import heapq
import re
import urllib.parse
import zoneinfo
from collections import defaultdict

from icalendar import Calendar
from icalendar import Event as Component
from icalendar.parser import Contentlines
from icalendar.prop import vDuration, vText
from icalendar.timezone.windows_to_olson import WINDOWS_TO_OLSON

from oncall import recurrences, rotation

REFRESH = dt.timedelta(hours=1)
EPOCH = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)  # of SEQUENCE, which has 31 bits
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")

MOST_BYTES = 1024 * 1024
MOST_COMPONENTS = 5000
MOST_EVENTS = 2000
MOST_STEPS = 600_000  # of looking at days, for all the rules of a calendar: a second or two
LONGEST = dt.timedelta(days=366)  # of one event
YEARS = range(1600, 2201)  # other times are out of reach, and calendar arithmetic near year 9999 overflows
TIME = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})(?:T([0-9]{2})([0-9]{2})([0-9]{2})(Z)?)?")
DURATION = re.compile(
    r"([+-]?)P(?:([0-9]{1,4})W)?(?:([0-9]{1,5})D)?(?:T(?:([0-9]{1,6})H)?(?:([0-9]{1,8})M)?(?:([0-9]{1,9})S)?)?"
)
OFFSET = re.compile(r"([+-])([01][0-9]|2[0-3])([0-5][0-9])([0-5][0-9])?")
EMAIL = re.compile(r"[^\s@<>()\[\]{},;:\"'|=]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}")
ESCAPED = re.compile(r"\\([\\;,:nN\"])")
LONGEST_TEXT = 5000  # of a description that is searched for an address


# --- writing --------------------------------------------------------------------------------------------------
@dataclasses.dataclass(frozen=True)
class Entry:
    """One event to write. `changed_at` is when it last changed; it must not follow the clock of each fetch."""

    uid: str
    start_at: dt.datetime
    end_at: dt.datetime
    summary: str
    changed_at: dt.datetime
    description: str = ""
    url: str = ""
    contact: str = ""


class _Text(vText):
    """Text as RFC 5545 escapes it; icalendar would make a line break of a backslash before an N."""

    def to_ical(self):
        text = CONTROL.sub("", self.replace("\r\n", "\n").replace("\r", "\n"))
        for sign, escaped in (("\\", "\\\\"), (";", "\\;"), (",", "\\,"), ("\n", "\\n")):
            text = text.replace(sign, escaped)
        return text.encode("utf-8", "replace")


def write(name, entries, *, product="Watchbill", version="1"):
    """Write a calendar of Entries as bytes: the same entries give the same bytes."""
    calendar = Calendar()
    calendar.add("prodid", _Text(f"-//{product}//{version}//EN"))
    calendar.add("version", "2.0")
    calendar.add("calscale", "GREGORIAN")
    calendar.add("method", "PUBLISH")
    calendar.add("name", _Text(name))
    calendar.add("x-wr-calname", _Text(name))
    calendar.add("x-wr-timezone", "UTC")
    calendar.add("refresh-interval", vDuration(REFRESH), parameters={"VALUE": "DURATION"})
    calendar.add("x-published-ttl", vDuration(REFRESH))
    for entry in sorted(entries, key=lambda one: (one.start_at, one.end_at, one.uid)):
        if _second(entry.end_at) <= _second(entry.start_at):
            continue  # shorter than what a calendar knows, where an event ends after it starts
        event = Component()
        event.add("uid", _Text(entry.uid))
        event.add("dtstamp", _second(entry.changed_at))
        event.add("dtstart", _second(entry.start_at))
        event.add("dtend", _second(entry.end_at))
        event.add("summary", _Text(entry.summary))
        if entry.description:
            event.add("description", _Text(entry.description))
        if entry.contact:
            event.add("contact", _Text(entry.contact))
        if entry.url:
            event.add("url", entry.url)
        # Never falls, and rises with every change that we know of: who compares versions takes the new one.
        event.add("sequence", max(0, (entry.changed_at - EPOCH) // dt.timedelta(minutes=1)))
        event.add("last-modified", _second(entry.changed_at))
        event.add("status", "CONFIRMED")
        event.add("transp", "TRANSPARENT")  # on call is not busy
        calendar.add_component(event)
    return calendar.to_ical()


def _second(at):
    return at.astimezone(dt.UTC).replace(microsecond=0)


# --- reading --------------------------------------------------------------------------------------------------
class BadCalendar(ValueError):
    """The text is not a calendar that we can read; the message says how to mend it."""


class _LeftOut(ValueError):
    """One event cannot be used; the text is the end of a sentence."""


@dataclasses.dataclass(frozen=True)
class Event:
    """One event, or one occurrence of a repeating one, in UTC. `uid` is the same as long as it is the same one.

    `days` are the local days of an all-day event, else empty.
    """

    uid: str
    start_at: dt.datetime
    end_at: dt.datetime
    summary: str = ""
    description: str = ""
    attendees: tuple[str, ...] = ()  # lower-case addresses, without those who declined
    organizer: str = ""
    mentioned: tuple[str, ...] = ()  # addresses in the texts
    days: tuple[dt.date, ...] = ()


@dataclasses.dataclass(frozen=True)
class Reading:
    """What a calendar holds between two times: events by start, and a sentence for each that was left out."""

    events: tuple[Event, ...]
    problems: tuple[str, ...]


def read(content, *, zone, start, end):
    """Read the events that touch `start <= t < end`. Local times without a zone are in `zone`, an IANA name.

    An all-day event is a day in the calendar's own zone, if it names one. Raises BadCalendar.
    """
    _check(content)
    calendar_zone, zone_blocks, blocks = _blocks(content)
    floating = zoneinfo.ZoneInfo(zone)
    zones = _Zones(zone_blocks, start, end)
    try:
        all_day = zones.named(calendar_zone) if calendar_zone else floating
    except _LeftOut:
        all_day = floating
    problems, parts = [], []
    for block in blocks:
        try:
            parts.append(_Part(block, zones, floating, all_day))
        except _LeftOut as error:
            problems.append(_sentence(block, error))
    fuel = recurrences.Fuel(MOST_STEPS)
    events = []
    for masters, changed in _by_uid(parts):
        if len(events) > 10 * MOST_EVENTS:
            break
        for part in masters:
            try:
                events += _instances(part, changed, start, end, fuel)
            except (_LeftOut, recurrences.BadRule) as error:
                problems.append(_sentence(part.block, error))
        for part in changed:
            if not part.is_cancelled:
                at = part.start
                events += _touching([_event(part, at, part.end_of(at), f"/{part.instance:%Y%m%dT%H%M%S}")], start, end)
    if len(events) > MOST_EVENTS:
        problems.append(
            f"The calendar has more than {MOST_EVENTS} events in the time we read, so only the first ones count. "
            "Split it into several calendars."
        )
    return Reading(tuple(heapq.nsmallest(MOST_EVENTS, events, key=_order)), tuple(problems))


def _order(event):
    return event.start_at, event.end_at, event.uid


def _check(content):
    head = content[:2000].lstrip("\ufeff \t\r\n")
    if head.startswith(("\x1f\x8b", "\x1f\ufffd", "PK\x03")):
        raise BadCalendar("This is a compressed file, not a calendar. Unpack it, and give the .ics file in it.")
    if head.startswith("<"):
        raise BadCalendar(
            "This is a web page, not a calendar. Give the calendar's address in iCal format; it often ends in .ics, "
            "and calendar programs call it “secret address” or “publish”."
        )
    if not head.upper().startswith("BEGIN:VCALENDAR"):
        raise BadCalendar("This is not a calendar: it does not start with BEGIN:VCALENDAR. Give an .ics file.")
    if len(content.encode("utf-8", "replace")) > MOST_BYTES:
        raise BadCalendar("The calendar is larger than 1 MiB. Publish fewer events, or split it.")
    if not content[-2000:].rstrip().upper().endswith("END:VCALENDAR"):
        raise BadCalendar("The calendar is cut off: it does not end with END:VCALENDAR. Export it again.")


def _blocks(content):
    """(the zone it names, its VTIMEZONEs, its VEVENTs); a block is `{NAME: [(parameters, value)]}`."""
    found = {"VTIMEZONE": [], "VEVENT": []}
    zone, path, components, block = "", [], 0, None
    lines = Contentlines.from_ical(content.lstrip("\ufeff \t\r\n").encode("utf-8", "replace"))
    for line in filter(None, lines):
        try:
            name, parameters, value = line.raw_parts()
        except (ValueError, IndexError):
            continue  # a line without a meaning; an event that lacks it then says so
        name = name.upper()
        if name == "BEGIN":
            components += 1
            if components > MOST_COMPONENTS:
                raise BadCalendar(f"The calendar has more than {MOST_COMPONENTS} parts. Publish fewer events.")
            path.append(value.strip().upper())
            if len(path) == 2 and path[1] in found:
                block = defaultdict(list)
                found[path[1]].append(block)
            elif len(path) == 3 and path[1] == "VTIMEZONE":
                block = defaultdict(list)
                found["VTIMEZONE"][-1][path[2]].append(block)
        elif name == "END":
            if not path or path.pop() != value.strip().upper():
                raise BadCalendar("The calendar is broken: its BEGIN and END lines do not match. Export it again.")
        elif len(path) == 1 and name == "X-WR-TIMEZONE":
            zone = value.strip()
        elif block is not None and (len(path) == 2 or (len(path) == 3 and path[1] == "VTIMEZONE")):
            block[name].append((parameters, value))
    if path:
        raise BadCalendar("The calendar is broken: a part of it has no END line. Export it again.")
    return zone, found["VTIMEZONE"], found["VEVENT"]


def _text(block, name):
    return CONTROL.sub("", ESCAPED.sub(_unescaped, block[name][0][1])).strip() if block.get(name) else ""


def _unescaped(match):
    return "\n" if match[1] in "nN" else match[1]


def _value(block, name):
    return block[name][0][1].strip() if block.get(name) else ""


def _sentence(block, why):
    name = " ".join(_text(block, "SUMMARY").split())[:60] or "An event without a name"
    value = _value(block, "DTSTART")
    day = f" of {value[:4]}-{value[4:6]}-{value[6:8]}" if TIME.fullmatch(value) else ""
    return f"“{name}”{day} was left out: {why}."


# --- events ---------------------------------------------------------------------------------------------------
class _Part:
    """A VEVENT with its times read: local times without a zone, and the zone beside them."""

    def __init__(self, block, zones, floating, all_day):
        self.block, self._zones, self._floating, self._all_day = block, zones, floating, all_day
        if not block.get("DTSTART"):
            raise _LeftOut("it has no start that we can read")
        self.start, self.tz, self.is_all_day = self._time(*block["DTSTART"][0])
        self.length = self._length()
        if self.length <= dt.timedelta(0):
            raise _LeftOut("it ends before it starts, or lasts no time")
        if self.length > LONGEST:
            raise _LeftOut(f"it lasts longer than {LONGEST.days} days")
        self.uid = _text(block, "UID")[:400] or f"{self.start:%Y%m%dT%H%M%S}-{_text(block, 'SUMMARY')[:200]}"
        self.is_cancelled = _value(block, "STATUS").upper() == "CANCELLED"
        sequence = _value(block, "SEQUENCE")
        self.sequence = int(sequence) if re.fullmatch(r"[0-9]{1,9}", sequence) else 0
        self.instance = None
        if block.get("RECURRENCE-ID"):
            if "RANGE" in block["RECURRENCE-ID"][0][0]:
                raise _LeftOut("it changes all later occurrences at once. Make them an event of their own")
            wall, tz, is_day = self._time(*block["RECURRENCE-ID"][0])
            # What is compared is a moment, or a day.
            self.instance = wall if is_day else _moment(wall, tz).replace(tzinfo=None)
        recur = [name for name in ("EXDATE", "RDATE") if block.get(name)]
        self.extra = {name: [one for line in block[name] for one in self._list(*line)] for name in recur}

    def _time(self, parameters, value):
        """(local time, zone, whether it is a day) of a value like 20260601T090000Z."""
        match = TIME.fullmatch(value.strip())
        if not match:
            raise _LeftOut(f"“{value.strip()[:40]}” is not a time we can read")
        wall = _naive(match)
        if match[4] is None:
            return wall, self._all_day, True
        if match[7]:
            return wall, dt.UTC, False
        name = parameters.get("TZID", "")
        return wall, self._zones.named(name) if name else self._floating, False

    def _list(self, parameters, value):
        """The times of EXDATE and RDATE: [(local time, zone, is a day)]. Of a period the start counts."""
        return [self._time(parameters, one.split("/")[0]) for one in value.split(",")[:MOST_EVENTS] if one.strip()]

    def _length(self):
        """How long it is by the wall clock of its start: calendars show 09:00 to 09:00 also when the clock changes."""
        if self.block.get("DTEND"):
            wall, tz, is_day = self._time(*self.block["DTEND"][0])
            self.end = (wall, tz) if not is_day else None
            if is_day != self.is_all_day:
                raise _LeftOut("one of its start and end is a day, and the other a time")
            if not is_day and tz is not self.tz:
                wall = rotation.wall_clock(_moment(wall, tz), self.tz)
            # Some programs let an event of one day end on that day.
            return wall - self.start or dt.timedelta(days=int(is_day))
        self.end = None
        if self.block.get("DURATION"):
            match = DURATION.fullmatch(_value(self.block, "DURATION").upper())
            if not match or not any(match.groups()[1:]):
                raise _LeftOut("its DURATION cannot be read")
            sign, *numbers = match.groups()
            weeks, days, hours, minutes, seconds = (int(one or 0) for one in numbers)
            length = dt.timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)
            return -length if sign == "-" else length
        return dt.timedelta(days=1) if self.is_all_day else dt.timedelta(0)

    @functools.cached_property
    def words(self):
        """What an event says beside its times."""
        block = self.block
        summary, description = _text(block, "SUMMARY"), _text(block, "DESCRIPTION")
        texts = (summary, _text(block, "CONTACT"), description)
        return {
            "summary": summary,
            "description": description,
            "attendees": tuple(_address(*one) for one in block.get("ATTENDEE", ()) if _comes(one[0])),
            "organizer": _address(*block["ORGANIZER"][0]) if block.get("ORGANIZER") else "",
            "mentioned": tuple(found.lower() for text in texts for found in EMAIL.findall(text[:LONGEST_TEXT])),
        }

    def end_of(self, wall):
        """(local time, zone) of the end of the occurrence that starts at this local time."""
        return self.end if self.end and wall == self.start else (wall + self.length, self.tz)


def _moment(wall, tz):
    return wall.replace(tzinfo=dt.UTC) if tz is dt.UTC else rotation.moment(wall, tz)


def _by_uid(parts):
    """Yield (masters, changed occurrences) of each UID; of several versions the highest SEQUENCE counts.

    Some programs give many events one UID. None of them may get lost, so then their starts tell them apart.
    """
    groups = defaultdict(lambda: (defaultdict(list), {}))
    for part in parts:
        masters, changed = groups[part.uid]
        if part.instance is None:
            masters[part.sequence].append(part)
        elif part.instance not in changed or part.sequence >= changed[part.instance].sequence:
            changed[part.instance] = part
    for masters, changed in groups.values():
        newest = masters[max(masters)] if masters else []
        if len({part.start for part in newest}) > 1:
            for part in newest:
                part.uid += f"/{part.start:%Y%m%dT%H%M%S}"
        yield newest, list(changed.values())


def _instances(part, changed, start, end, fuel):
    """The events of one VEVENT between two times, repeated by its rule; what was changed or taken out is not there."""
    if part.is_cancelled:
        return []
    rules = part.block.get("RRULE", ())
    if not rules and not part.extra.get("RDATE"):
        return _touching([_event(part, part.start, part.end_of(part.start))], start, end)
    if part.block.get("EXRULE"):
        raise _LeftOut("we do not read EXRULE. Take the occurrences out one by one (EXDATE)")
    # A day wider than what may touch the span in any zone; the true moments decide.
    first = start.replace(tzinfo=None) - part.length - dt.timedelta(days=1)
    last = end.replace(tzinfo=None) + dt.timedelta(days=1)
    walls = {part.start} if first <= part.start <= last else set()
    for _, text in rules[:10]:
        rule = recurrences.parse(text)
        until = _until(rule, part)
        walls.update(recurrences.occurrences(rule, part.start, first, last, until=until, fuel=fuel))
    for wall, tz, is_day in part.extra.get("RDATE", ()):
        fuel.burn()
        if is_day:
            wall = dt.datetime.combine(wall, part.start.time())  # a day names the occurrence on it
        elif tz is not part.tz and not part.is_all_day:
            wall = rotation.wall_clock(_moment(wall, tz), part.tz)
        if first <= wall <= last:
            walls.add(wall)
    taken = part.extra.get("EXDATE", ())
    days = {wall.date() for wall, _, is_day in taken if is_day or part.is_all_day}
    moments = {_moment(wall, tz).replace(tzinfo=None) for wall, tz, is_day in taken if not is_day}
    moments |= {one.instance for one in changed}
    found = []
    for wall in sorted(walls):
        at = _moment(wall, part.tz).replace(tzinfo=None)
        key = wall if part.is_all_day else at
        if wall.date() not in days and key not in moments:
            found.append(_event(part, wall, part.end_of(wall), f"/{key:%Y%m%dT%H%M%S}"))
    return _touching(found, start, end)


def _until(rule, part):
    """The last local time that UNTIL allows."""
    if not rule.until:
        return dt.datetime(YEARS[-1], 1, 1)  # noqa: DTZ001 - a wall-clock time
    match = TIME.fullmatch(rule.until)
    if match and int(match[1]) not in YEARS:
        if int(match[1]) > YEARS[-1]:
            return dt.datetime(YEARS[-1], 1, 1)  # noqa: DTZ001 - a wall-clock time
        raise _LeftOut("its UNTIL is before its start")
    wall, tz, is_day = part._time({}, rule.until)
    if is_day:
        return wall + dt.timedelta(days=1, microseconds=-1)
    return rotation.wall_clock(wall.replace(tzinfo=dt.UTC), part.tz) if tz is dt.UTC else wall


def _touching(events, start, end):
    # An event in an hour that the clock skips has no length.
    return [one for one in events if one.start_at < end and one.end_at > start and one.end_at > one.start_at]


def _event(part, wall, end, suffix=""):
    finish, tz = end
    days = ()
    if part.is_all_day:
        days = tuple(wall.date() + dt.timedelta(days=number) for number in range((finish - wall).days))
    return Event(
        uid=part.uid + suffix, start_at=_moment(wall, part.tz), end_at=_moment(finish, tz), days=days, **part.words
    )


def _comes(parameters):
    """Whether an attendee is a person who did not decline."""
    return (
        str(parameters.get("PARTSTAT", "")).upper() != "DECLINED"
        and str(parameters.get("CUTYPE", "")).upper() not in ("ROOM", "RESOURCE")
        and str(parameters.get("ROLE", "")).upper() != "NON-PARTICIPANT"
    )


def _address(parameters, value):
    value = value.strip()
    if value.lower().startswith("mailto:"):
        return urllib.parse.unquote(value[7:]).strip().lower()
    return str(parameters.get("EMAIL", value)).strip().lower()


# --- zones ----------------------------------------------------------------------------------------------------
class _Zones:
    """The time zones that a calendar names: by IANA name, by the names of Windows, or by its own VTIMEZONE."""

    def __init__(self, blocks, start, end):
        self._blocks = {_value(block, "TZID"): block for block in blocks}
        self._start, self._end = start.replace(tzinfo=None), end.replace(tzinfo=None)
        self._known = {}

    def named(self, name):
        """The tzinfo. Raises _LeftOut."""
        name = str(name).strip()
        if name not in self._known:
            self._known[name] = self._find(name)
        if self._known[name] is None:
            raise _LeftOut(f"nobody knows its time zone “{name[:40]}”. Use one like Europe/Berlin")
        return self._known[name]

    def _find(self, name):
        block = self._blocks.get(name, {})
        names = [name, _value(block, "X-LIC-LOCATION")]
        if name.startswith("/"):  # "/vendor.example.com/Europe/Berlin"
            parts = name.strip("/").split("/")[-4:]
            names += ["/".join(parts[place:]) for place in range(len(parts))]
        for one in names:
            one = WINDOWS_TO_OLSON.get(one, one)
            if one.upper() in ("UTC", "GMT", "Z"):
                return dt.UTC
            try:
                return zoneinfo.ZoneInfo(one)
            except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
                continue
        try:
            return _Zone(block, self._start, self._end) if block else None
        except (_LeftOut, recurrences.BadRule):
            return None


class _Zone(dt.tzinfo):
    """A zone as a VTIMEZONE describes it, for the times around a span."""

    def __init__(self, block, start, end):
        fuel = recurrences.Fuel(20_000)
        first, last = start - 2 * LONGEST, end + 2 * LONGEST
        changes = set()
        for one in [*block.get("STANDARD", ()), *block.get("DAYLIGHT", ())][:200]:
            before, after = _offset(one, "TZOFFSETFROM"), _offset(one, "TZOFFSETTO")
            match = TIME.fullmatch(_value(one, "DTSTART"))
            if not match or match[4] is None:
                raise _LeftOut("its time zone cannot be read")
            onset = _naive(match)
            walls = {onset}
            for _, text in one.get("RRULE", ())[:1]:
                rule = recurrences.parse(text)
                if rule.frequency != recurrences.YEARLY:
                    raise _LeftOut("its time zone cannot be read")
                until = TIME.fullmatch(rule.until)
                # UNTIL is in UTC; half a day more or less cannot matter between changes of the clock.
                limit = _naive(until) + dt.timedelta(hours=12) if until else last
                walls.update(recurrences.occurrences(rule, onset, first, last, until=limit, fuel=fuel))
            for _, text in one.get("RDATE", ())[:200]:
                found = [TIME.fullmatch(each.strip()) for each in text.split(",")[:200]]
                walls.update(_naive(each) for each in found if each)
            changes.update((wall - before, before, after) for wall in walls)
        if not changes:
            raise _LeftOut("its time zone cannot be read")
        ordered = sorted(changes)
        self._offsets = [ordered[0][1], *(after for _, _, after in ordered)]
        self._utc = [at for at, _, _ in ordered]
        # A time that the clock skips or shows twice is still the old offset's, or with `fold` already the new one's.
        self._walls = [at + max(before, after) for at, before, after in ordered]
        self._folded = [at + min(before, after) for at, before, after in ordered]

    def utcoffset(self, at):
        walls = self._folded if at.fold else self._walls
        return self._offsets[bisect.bisect_right(walls, at.replace(tzinfo=None, fold=0))]

    def dst(self, at):
        return None

    def tzname(self, at):
        return None

    def fromutc(self, at):
        at = at.replace(tzinfo=None)
        offset = self._offsets[bisect.bisect_right(self._utc, at)]
        wall = (at + offset).replace(tzinfo=self)
        return wall if wall.utcoffset() == offset else wall.replace(fold=1)


def _naive(match):
    """The local time that a match of TIME is."""
    year, month, day, hour, minute, second = (int(one or 0) for one in match.groups()[:6])
    if year not in YEARS:
        raise _LeftOut(f"the year {year} is out of reach")
    try:
        return dt.datetime(year, month, day, hour, minute, min(second, 59))  # noqa: DTZ001 - a wall-clock time
    except ValueError:
        raise _LeftOut(f"“{match[0]}” is no time of the calendar") from None


def _offset(block, name):
    match = OFFSET.fullmatch(_value(block, name))
    if not match:
        raise _LeftOut("its time zone cannot be read")
    sign, hours, minutes, seconds = match.groups()
    offset = dt.timedelta(hours=int(hours), minutes=int(minutes), seconds=int(seconds or 0))
    return -offset if sign == "-" else offset
