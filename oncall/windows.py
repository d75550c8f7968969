"""When a layer is open: weekly windows on the clock of its zone, over midnight and over the week's end. Pure.

A turn that lies outside of every window is nobody's: the next person has the next turn that touches one. That is
counted on the clock's face, so a clock change never shifts the order.
"""

import dataclasses
import datetime as dt
import functools
import math
import threading

from oncall import rotation as rotations
from oncall.rotation import moment, wall_clock

WEEK = dt.timedelta(days=7)


@dataclasses.dataclass(frozen=True)
class Window:
    """Opens at `start` on each of `days` (0 is Monday) and closes at the next `end`, or at `end` on `until_day`."""

    days: tuple[int, ...]
    start: dt.time
    end: dt.time
    until_day: int | None = None

    def length(self, day):
        """How many days after opening on `day` it closes."""
        if self.until_day is None:
            return 0 if self.end > self.start else 1
        days = (self.until_day - day) % 7
        return 7 if days == 0 and self.end <= self.start else days

    def face(self, date):
        """The opening on this date, which must be one of its days, on the clock's face: two naive times."""
        closes = date + dt.timedelta(days=self.length(date.weekday()))
        return dt.datetime.combine(date, self.start), dt.datetime.combine(closes, self.end)

    def span(self, date, tz):
        """The UTC span of the opening on this date."""
        opens, closes = self.face(date)
        return moment(opens, tz), moment(closes, tz)


def open_until(windows, at, tz):
    """When the window that holds `at` closes, or None when all are closed. Of several, the one that closes last."""
    today = wall_clock(at, tz).date()
    found = None
    for window in windows:
        longest = max(map(window.length, window.days), default=0)
        # From tomorrow's: a clock that is put back over midnight has shown tomorrow already.
        for back in range(-1, longest + 2):
            date = today - dt.timedelta(days=back)
            if date.weekday() not in window.days:
                continue
            opens, closes = window.span(date, tz)
            if opens <= at < closes and (found is None or closes > found):
                found = closes
    return found


def openings(windows, start, end, tz):
    """The UTC spans between `start` and `end` in which any window is open: in order, joined where they touch."""
    first, last = (
        wall_clock(start, tz).date() - dt.timedelta(days=9),
        wall_clock(end, tz).date() + dt.timedelta(days=1),
    )
    spans = []
    for window in windows:
        date = first
        while date <= last:
            if date.weekday() in window.days:
                opens, closes = window.span(date, tz)
                opens, closes = max(opens, start), min(closes, end)
                if opens < closes:
                    spans.append((opens, closes))
            date += dt.timedelta(days=1)
    joined = []
    for opens, closes in sorted(spans):
        if joined and opens <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], closes))
        else:
            joined.append((opens, closes))
    return joined


# --- whose turn -----------------------------------------------------------------------------------------------
def ordinal(rotation, windows, number):
    """How many turns before turn `number` touch a window: the place in the order of participants.

    Costs the same however old the rotation is.
    """
    if not windows or rotation.unit in (rotations.WEEK, rotations.MONTH):
        return number  # a turn of a week or more touches every window
    return _order(rotation, windows).before(number)


@functools.lru_cache(maxsize=1024)
def _order(rotation, windows):
    return _RuleOrder(rotation, windows) if rotation.unit == rotations.RULE else _UnitOrder(rotation, windows)


class _UnitOrder:
    """Turns of hours or days: which of them touch a window repeats after a whole number of weeks."""

    def __init__(self, rotation, windows):
        hours = rotations.HOURS[rotation.unit] * rotation.every
        walls = [rotations.wall(rotation, number) for number in range(math.lcm(hours, 168) // hours + 1)]
        self._prefix = _prefix(walls, windows)

    def before(self, number):
        periods, place = divmod(number, len(self._prefix) - 1)
        return periods * self._prefix[-1] + self._prefix[place]


class _RuleOrder:
    """Turns of a recurrence rule: repeated where the rule repeats by the week, else counted up from the first."""

    def __init__(self, rotation, windows):
        self._rotation, self._windows = rotation, windows
        self._period = rotations.turns_in_period(rotation)
        # What touches a window among the turns from 0 on; the turn at the start is not part of the period.
        self._prefix = [0]
        self._lock = threading.Lock()
        if self._period:
            self._learn(self._period + 1)

    def before(self, number):
        if self._period and number > self._period:
            periods, rest = divmod(number - 1, self._period)
            in_period = self._prefix[self._period + 1] - self._prefix[1]
            return periods * in_period + self._prefix[rest + 1]
        self._learn(number)
        return self._prefix[number]

    def _learn(self, number):
        with self._lock:
            while len(self._prefix) <= number:
                turn = len(self._prefix) - 1
                begin, finish = rotations.wall(self._rotation, turn), rotations.wall(self._rotation, turn + 1)
                is_open = finish is None or begin is None or touches(self._windows, begin, finish)
                self._prefix.append(self._prefix[-1] + is_open)


def _prefix(walls, windows):
    """How many of the turns between these naive times touch a window, summed up from 0."""
    sums = [0]
    for begin, finish in zip(walls, walls[1:], strict=False):
        sums.append(sums[-1] + touches(windows, begin, finish))
    return sums


def touches(windows, begin, finish):
    """Whether any window is open between two naive times, on the clock's face."""
    if finish - begin >= WEEK:
        return True
    days = (finish.date() - begin.date()).days
    for window in windows:
        for back in range(-days, 9):
            date = begin.date() - dt.timedelta(days=back)
            if date.weekday() in window.days:
                opens, closes = window.face(date)
                if opens < finish and begin < closes:
                    return True
    return False
