"""When a window that may repeat is open. Pure: values in, UTC spans out.

A repeating window begins by the clock of its zone and lasts as long as its first time did, whatever the clock does
meanwhile. Spans that touch or overlap are one span.
"""

import dataclasses
import datetime as dt
import re

from core.zones import moment, wall_clock, zone_or_none
from oncall import recurrences

# How far a chain of occurrences that follow each other directly is walked: then it is looked at again.
FARTHEST = dt.timedelta(days=35)
# How far ahead the next times are looked for.
HORIZON = dt.timedelta(days=2 * 366)
# More than any clock is put forward or back.
CLOCK_CHANGE = dt.timedelta(hours=26)
FUEL = 20_000
UNTIL = re.compile(r"(\d{8})(T\d{6})?(Z)?")


class BadWindow(ValueError):
    """The window cannot be used; the text is a sentence that says what to change."""


@dataclasses.dataclass(frozen=True)
class Window:
    """`starts_at` and `ends_at` are the first time, as aware UTC times. Without an rrule it is the only one."""

    starts_at: dt.datetime
    ends_at: dt.datetime
    rrule: str = ""
    zone: str = "UTC"

    def open_until(self, at):
        """The end of the present span, or None when the window is closed at this time. Raises BadWindow."""
        until = None
        for start, end in self._spans(at - self.length, at + FARTHEST):
            if until is None:
                if start > at:
                    return None
                if end > at:
                    until = end
            elif start > until:
                return until
            else:
                until = max(until, end)
        return until

    def coming(self, at, *, count=3):
        """`[(start, end)]` of the present span, if there is one, and the next ones. Raises BadWindow."""
        found = []
        for start, end in self._spans(at - self.length, at + HORIZON):
            if found and start <= found[-1][1]:
                found[-1] = found[-1][0], max(end, found[-1][1])
                if found[-1][1] > at + FARTHEST:
                    return found
            elif len(found) == count:
                return found
            elif end > at:
                found.append((start, end))
        return found

    @property
    def length(self):
        return self.ends_at - self.starts_at

    def _spans(self, first, last):
        """The spans of which the start lies in `first < start <= last`, in order."""
        if not self.rrule:
            if first < self.starts_at <= last:
                yield self.starts_at, self.ends_at
            return
        tz = zone_or_none(self.zone)
        if tz is None:
            raise BadWindow(f"“{self.zone}” is no time zone. Use one like Europe/Berlin.")
        try:
            rule = recurrences.parse(self.rrule)
            walls = recurrences.occurrences(
                rule,
                wall_clock(self.starts_at, tz),
                wall_clock(first, tz) - CLOCK_CHANGE,
                wall_clock(last, tz) + CLOCK_CHANGE,
                until=_until(rule.until, tz),
                fuel=recurrences.Fuel(FUEL),
            )
            for wall in walls:
                # The first time may be the second of two that the clock shows.
                is_first = wall == wall_clock(self.starts_at, tz)
                start = self.starts_at if is_first else moment(wall, tz)
                if first < start <= last:
                    yield start, start + self.length
        except recurrences.BadRule as error:
            raise BadWindow(f"The recurrence rule “{self.rrule}” cannot be used: {error}.") from None


def _until(text, tz):
    """The last wall-clock time that UNTIL allows: a day, a local time, or a UTC time."""
    if not text:
        return dt.datetime.max  # noqa: DTZ901 - a wall-clock time
    match = UNTIL.fullmatch(text)
    try:
        if match and not match[2]:
            return dt.datetime.combine(dt.date.fromisoformat(match[1]), dt.time.max)
        if match:
            wall = dt.datetime.fromisoformat(match[1] + match[2])
            return wall_clock(wall.replace(tzinfo=dt.UTC), tz) if match[3] else wall
    except ValueError:
        pass
    raise recurrences.BadRule(f"its UNTIL “{text[:20]}” is no day like 20261231 and no time like 20261231T090000Z")
