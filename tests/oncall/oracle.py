"""Who is on call, minute by minute: slow, literal, and written without a look at the engine that it judges.

Of the engine it knows the values that go in (the specs), nothing else. Time is a whole number of minutes, counted from
1 January 1970: of UTC, or of what a clock shows ("wall"), which is the same count for a clock without a zone.
"""

import bisect
import datetime as dt
import functools
import itertools
from array import array
from zoneinfo import ZoneInfo

from dateutil.rrule import rrulestr

HOUR, DAY, WEEK = 60, 24 * 60, 7 * 24 * 60
EPOCH = dt.datetime(1970, 1, 1)
A_WHILE = 2 * DAY  # no clock of the world is that far from UTC
MINUTE = dt.timedelta(minutes=1)
MINUTES_OF_A_DAY = [each * MINUTE for each in range(DAY)]


def minute(at):
    """An aware time, or a naive one, as a whole minute."""
    if at.tzinfo is not None:
        at = at.astimezone(dt.UTC).replace(tzinfo=None)
    minutes, rest = divmod(at - EPOCH, MINUTE)
    assert not rest, f"{at} is not a whole minute"
    return minutes


def time_of(minutes):
    """The naive time of a minute."""
    return EPOCH + dt.timedelta(minutes=minutes)


@functools.lru_cache(maxsize=30_000)
def clock_of_a_day(zone, day):
    """What the clock of the zone is ahead of UTC, in minutes, at each minute of a UTC day (counted from 1970)."""
    midnight = (EPOCH + dt.timedelta(days=day)).replace(tzinfo=dt.UTC)
    tz = ZoneInfo(zone)
    return array("h", [(midnight + each).astimezone(tz).utcoffset() // MINUTE for each in MINUTES_OF_A_DAY])


@functools.lru_cache(maxsize=64)
def latest_shown(zone, first_day, last_day):
    """For each minute of these UTC days: the latest time that the clock has shown so far."""
    shown = []
    for day in range(first_day, last_day + 1):
        shown += [utc + ahead for utc, ahead in enumerate(clock_of_a_day(zone, day), start=day * DAY)]
    return list(itertools.accumulate(shown, max))


class Oracle:
    """Answers for each minute of `start <= t < end`."""

    def __init__(self, schedule, start, end):
        self.schedule = schedule
        self.start, self.end = minute(start), minute(end)
        self.length = self.end - self.start

    def answers(self, role):
        """A list with one entry for each minute: `((user id, is off, turn), ...)`.

        `turn` is "layer:number:turn" for somebody who is there by a layer, else None.
        """
        layers = sorted(
            (each for each in self.schedule.layers if each.role == role),
            key=lambda each: (each.position, each.number),
            reverse=True,
        )
        overrides = sorted((each for each in self.schedule.overrides if each.role == role), key=lambda o: o.number)
        fixed = sorted((each for each in self.schedule.fixed if each.role == role), key=lambda f: f.number)
        time_off = self.schedule.time_off
        columns = [self.turns(each) for each in layers]
        columns += [self.paint([(each.start_at, each.end_at)]) for each in (*fixed, *overrides, *time_off)]

        @functools.cache  # minutes of which the same is true have the same answer
        def answer(row):
            row = iter(row)
            turns = [(each, next(row)) for each in layers]
            shifts = [each for each in fixed if next(row)]
            changes = [each for each in overrides if next(row)]
            off = {each.user_id for each in time_off if next(row)}
            return self.settle(turns, shifts, changes, off)

        return [answer(row) for row in zip(*columns, strict=True)] if columns else [()] * self.length

    def settle(self, turns, shifts, changes, off):
        people = []
        for layer, turn in turns:
            people = self.people_of(layer, turn, off)
            if people:
                break
        if shifts:
            people = [(each.user_id, None) for each in shifts]
        for change in changes:
            if change.replaces is None:
                people = [(change.user_id, None)]
            elif any(user == change.replaces for user, _ in people):
                people = [each for each in people if each[0] != change.replaces] + [(change.user_id, None)]
        seen, result = set(), []
        for user, turn in people:
            if user not in seen:
                seen.add(user)
                result.append((user, user in off, turn))
        return tuple(result)

    def people_of(self, layer, turn, off):
        """The people of a turn; `turn` is (turn number, place in the order), or None outside of all turns."""
        if turn is None or not layer.slots:
            return []
        number, place = turn
        slot = layer.slots[place % len(layer.slots)]
        if slot and self.schedule.skips_time_off:
            for further in range(len(layer.slots)):
                slot = layer.slots[(place + further) % len(layer.slots)]
                slot = [each for each in slot if each not in off]
                if slot:
                    break
        return [(user, f"layer:{layer.number}:{number}") for user in slot]

    # Columns: one entry for each minute

    def paint(self, spans):
        """True in the minutes of these spans of UTC times (None is without a limit), else False."""
        column = [False] * self.length
        for start_at, end_at in spans:
            first = 0 if start_at is None else self.within(minute(start_at))
            last = self.length if end_at is None else self.within(minute(end_at))
            column[first:last] = [True] * (last - first)
        return column

    def within(self, utc):
        return min(max(utc - self.start, 0), self.length)

    def turns(self, layer):
        """For each minute the turn that a layer gives: (turn number, place in the order), or None."""
        rotation = layer.rotation
        walls = self.handoffs(rotation)
        column = [None] * self.length
        places = self.places(layer, walls)
        moments = [self.moment(wall, rotation.zone) for wall in walls] + [self.length]
        for number, (begin, finish) in enumerate(itertools.pairwise(moments)):
            if begin < finish:  # what the clock skips altogether is no time
                column[begin:finish] = [(number, places[number])] * (finish - begin)
        in_effect = self.paint([(layer.starts_at, layer.ends_at)])
        is_open = self.open(layer.windows, rotation.zone)
        return [
            turn if effect and opened else None
            for turn, effect, opened in zip(column, in_effect, is_open, strict=True)
        ]

    def moment(self, wall, zone):
        """The first minute at which the clock shows `wall` or later, as a place in a column."""
        if wall < self.start - A_WHILE:
            return 0
        if wall > self.end + A_WHILE:
            return self.length
        first_day = (self.start - 2 * A_WHILE) // DAY
        last_day = (self.end + 2 * A_WHILE) // DAY
        shown = latest_shown(zone, first_day, last_day)
        return self.within(first_day * DAY + bisect.bisect_left(shown, wall))  # the first minute that shows so much

    def handoffs(self, rotation):
        """The wall-clock minutes of all handoffs from the first until well after the end."""
        first = dt.datetime.combine(rotation.start_date, rotation.handoff_time)
        last = self.end + A_WHILE
        if rotation.unit == "rrule":
            walls = self.occurrences(rotation, first, last)
        elif rotation.unit == "month":
            walls = []
            for number in itertools.count():
                walls.append(minute(months_later(first, number * rotation.every)))
                if walls[-1] > last:
                    break
        else:
            step = rotation.every * {"hour": HOUR, "day": DAY, "week": WEEK}[rotation.unit]
            walls = list(range(minute(first), max(last, minute(first)) + step + 1, step))
        return walls

    def occurrences(self, rotation, first, last):
        parts = dict(part.split("=") for part in rotation.rule.upper().removeprefix("RRULE:").split(";"))
        until = last_allowed(parts.pop("UNTIL", ""), rotation.zone)
        walls = [minute(first)]
        for each in rrulestr(";".join(f"{name}={value}" for name, value in parts.items()), dtstart=first):
            if (until and each > until) or walls[-1] > last:
                break
            if each != first:
                walls.append(minute(each))
        return walls

    def places(self, layer, walls):
        """For each turn: how many turns before it count, plus the place of the first."""
        if not layer.windows:
            return [layer.first_slot + number for number in range(len(walls))]
        face = week_face(layer.windows)
        places, place = [], layer.first_slot
        for number, wall in enumerate(walls):
            places.append(place)
            if number + 1 < len(walls):
                first = week_minute(wall)
                length = min(walls[number + 1] - wall, WEEK)
                place += face.find(1, first, first + length) >= 0
        return places

    def open(self, windows, zone):
        """For each minute, whether any window is open; a layer without windows always is."""
        if not windows:
            return [True] * self.length
        column = [False] * self.length
        for window in windows:
            # A window is open for a week at the most.
            for day in range((self.start - A_WHILE - WEEK) // DAY, (self.end + A_WHILE) // DAY + 1):
                date = (EPOCH + dt.timedelta(days=day)).date()
                if date.weekday() in window.days:
                    opens, closes = opening(window, date)
                    first, last = self.moment(opens, zone), self.moment(closes, zone)
                    if first < last:
                        column[first:last] = [True] * (last - first)
        return column


def opening(window, date):
    """The wall-clock minutes from which and to which a window that opens on this date is open."""
    if window.until_day is None:
        days = 0 if window.end > window.start else 1
    else:
        days = 0
        while (date + dt.timedelta(days=days)).weekday() != window.until_day:
            days += 1
        if days == 0 and window.end <= window.start:
            days = 7
    close = date + dt.timedelta(days=days)
    return minute(dt.datetime.combine(date, window.start)), minute(dt.datetime.combine(close, window.end))


def week_minute(wall):
    """How many minutes after Monday 0:00."""
    return (wall - minute(dt.datetime(1970, 1, 5))) % WEEK


@functools.lru_cache(maxsize=256)
def week_face(windows):
    """Two weeks of minutes from Monday 0:00 on a clock without a zone, 1 where any window is open."""
    week = bytearray(WEEK)
    monday = dt.date(1970, 1, 5)
    for window in windows:
        for day in window.days:
            opens, closes = opening(window, monday + dt.timedelta(days=day))
            first = week_minute(opens)
            for each in range(first, first + closes - opens):
                week[each % WEEK] = 1
    return bytes(week + week)


def last_allowed(until, zone):
    """The wall-clock time that UNTIL names: a day with all its hours, a local time, or a UTC time."""
    if not until:
        return None
    day, _, time = until.removesuffix("Z").partition("T")
    time = time or "235959"
    at = dt.datetime(int(day[:4]), int(day[4:6]), int(day[6:]), int(time[:2]), int(time[2:4]), int(time[4:]))
    return at.replace(tzinfo=dt.UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None) if until.endswith("Z") else at


def months_later(first, months):
    """So many months later; a day that the month does not have becomes its last."""
    year, month = divmod(first.year * 12 + first.month - 1 + months, 12)
    for day in range(first.day, 27, -1):
        try:
            return first.replace(year=year, month=month + 1, day=day)
        except ValueError:
            continue
    return first.replace(year=year, month=month + 1)
