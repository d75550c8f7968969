"""The geometry of a schedule on a page: shifts in, bars with places in percent out. Pure.

A line from `start` to `end` is 100 wide and true to time, so a day of 23 hours is shorter than one of 25.
"""

import bisect
import dataclasses
import datetime as dt

from oncall import rotation, shifts, windows

FIRST_DAY, LAST_DAY = dt.date(1990, 1, 1), dt.date(2100, 12, 31)
DAY, WEEK, TWO_WEEKS, MONTH = "day", "week", "2weeks", "month"
VIEWS = {DAY: "Day", WEEK: "Week", TWO_WEEKS: "2 weeks", MONTH: "Month"}
# Narrower than this, in percent, nobody can read or hit a bar: such bars are joined, or drawn this wide.
LEAST = 0.45
COLOURS = 12  # as many as static/css/schedules.css has
LABEL_HOURS = 3
PAD = dt.timedelta(hours=1)


# --- the line -------------------------------------------------------------------------------------------------
@dataclasses.dataclass(frozen=True)
class Period:
    """What a page shows: local days from `first` up to `last`, which is not part of it."""

    view: str
    first: dt.date
    last: dt.date
    start: dt.datetime
    end: dt.datetime

    @property
    def previous(self):
        """A day of the period before, or None where our calendar begins."""
        day = self.first - dt.timedelta(days=1)
        return None if day < FIRST_DAY else start_of(self.view, day)

    @property
    def following(self):
        return None if self.last > LAST_DAY else self.last

    @property
    def padded(self):
        """A little more than what is shown, so that one sees what goes on beyond it."""
        return self.start - PAD, self.end + PAD

    def shows(self, start, end):
        return start < self.end and end > self.start

    def place(self, at):
        """Where a time lies, 0 to 100."""
        share = (at - self.start) / (self.end - self.start)
        return round(100 * min(max(share, 0), 1), 4)


def start_of(view, day):
    """The first day of the period that holds `day`."""
    if view in (WEEK, TWO_WEEKS):
        return max(day - dt.timedelta(days=day.weekday()), FIRST_DAY)
    return day.replace(day=1) if view == MONTH else day


def period(view, day, tz):
    """The day, the week from Monday, the two weeks or the month that holds `day`, by the clock of `tz`."""
    first = start_of(view, day)
    if view == MONTH:
        last = (first + dt.timedelta(days=31)).replace(day=1)
    else:
        monday = first - dt.timedelta(days=first.weekday())
        last = {DAY: first + dt.timedelta(days=1), WEEK: monday + dt.timedelta(days=7)}.get(
            view, monday + dt.timedelta(days=14)
        )
    return Period(view, first, last, midnight(first, tz), midnight(last, tz))


def midnight(day, tz):
    return rotation.moment(dt.datetime.combine(day, dt.time()), tz)


@dataclasses.dataclass(frozen=True)
class Day:
    """A local day on the line, with its true length in hours."""

    date: dt.date
    start_at: dt.datetime
    end_at: dt.datetime
    x: float
    width: float
    hours: float

    @property
    def is_weekend(self):
        return self.date.weekday() >= 5


def days(period, tz):
    """The days of a period. One that the clock skips as a whole is left out."""
    found = []
    for number in range((period.last - period.first).days):
        day = period.first + dt.timedelta(days=number)
        start, end = midnight(day, tz), midnight(day + dt.timedelta(days=1), tz)
        if end > start:
            x = period.place(start)
            hours = round((end - start).total_seconds() / 3600, 2)
            found.append(Day(day, start, end, x, round(period.place(end) - x, 4), hours))
    return found


@dataclasses.dataclass(frozen=True)
class Tick:
    """A full hour on the line of one day; some have a label."""

    x: float
    label: str


def ticks(period, tz):
    """The hours of a day, as the clock shows them: an hour that comes twice is there twice."""
    found, at = [], period.start
    while at < period.end:
        face = rotation.wall_clock(at, tz)
        if face.minute == 0:
            found.append(Tick(period.place(at), f"{face:%H:%M}" if face.hour % LABEL_HOURS == 0 else ""))
        at += dt.timedelta(hours=1) if face.minute == 0 else dt.timedelta(minutes=60 - face.minute)
    return found


# --- bars -----------------------------------------------------------------------------------------------------
@dataclasses.dataclass(frozen=True)
class Bar:
    """A bar on a line. `shift` is what it stands for: a Shift, an override, a time off; None for a gap.

    `count` is how many shifts were joined because each alone would be too narrow; then `people` are all of theirs.
    `lane` is the row within the row, where bars would lie upon each other.
    """

    x: float
    width: float
    start_at: dt.datetime
    end_at: dt.datetime
    people: tuple[int, ...] = ()
    shift: object = None
    count: int = 1
    lane: int = 0
    is_cut_before: bool = False
    is_cut_after: bool = False

    @property
    def user_id(self):
        return self.people[0] if self.people else None


def bar(period, start_at, end_at, people=(), shift=None, *, count=1):
    """A bar for a span, cut to the period and wide enough to be seen."""
    x, width = period.place(start_at), period.place(end_at) - period.place(start_at)
    if width < LEAST:
        x, width = min(x, 100 - LEAST), LEAST
    return Bar(
        x=x,
        width=round(width, 4),
        start_at=start_at,
        end_at=end_at,
        people=tuple(people),
        shift=shift,
        count=count,
        is_cut_before=start_at < period.start,
        is_cut_after=end_at > period.end,
    )


def joined(period, spans, days):
    """Bars for `(start, end, people, shift)` in order; neighbours of one day that are too narrow become one bar."""
    found, run = [], []
    narrow = (period.end - period.start) * (LEAST / 100)
    begins = [day.start_at for day in days]

    def flush():
        if run:
            people = tuple(dict.fromkeys(user_id for one in run for user_id in one[2]))
            shift = run[0][3] if len(run) == 1 else None
            found.append(bar(period, run[0][0], run[-1][1], people, shift, count=len(run)))
            run.clear()

    for one in spans:
        start, end = one[0], one[1]
        if not period.shows(start, end):
            continue
        if end - start >= narrow:
            flush()
            found.append(bar(period, *one))
            continue
        if run and (run[-1][1] != start or _day(begins, run[0][0]) != _day(begins, start)):
            flush()
        run.append(one)
    flush()
    return found


def _day(begins, at):
    return bisect.bisect_right(begins, at)


def stacked(bars):
    """The bars with lanes, so that none lies upon another; the lowest free lane first."""
    ends, found = [], []
    for one in sorted(bars, key=lambda each: (each.start_at, each.x)):
        lane = next((number for number, end in enumerate(ends) if end <= one.x + 1e-6), len(ends))
        ends[lane : lane + 1] = [one.x + one.width]
        found.append(dataclasses.replace(one, lane=lane) if lane else one)
    return found


def final_bars(period, spans, days):
    """The shifts of a final schedule as bars, each person's in a lane where several are on call together."""
    found = [(one.start_at, one.end_at, (one.user_id,), one) for one in shifts.shifts(spans)]
    lanes = []
    for one in found:  # people side by side are never one bar, so lanes come before joining
        lane = next((each for each in lanes if each[-1][1] <= one[0]), None)
        if lane is None:
            lanes.append(lane := [])
        lane.append(one)
    return [
        dataclasses.replace(each, lane=number)
        for number, lane in enumerate(lanes)
        for each in joined(period, lane, days)
    ]


def gap_bars(period, spans):
    """The spans in which nobody is on call. They are never joined with anything: each is seen."""
    return [bar(period, start, end) for start, end in shifts.gaps(spans) if period.shows(start, end)]


def layer_bars(period, layer, days):
    """What one layer alone would give, whoever has time off. An empty slot is a bar without people."""
    spans = []
    for begin, finish, (_, number) in shifts.turns_of(layer, *period.padded):
        place = windows.ordinal(layer.rotation, layer.windows, number) + layer.first_slot
        people = layer.slots[place % len(layer.slots)]
        if spans and spans[-1][1] == begin and spans[-1][3] == number:
            begin = spans.pop()[0]
        spans.append((begin, finish, people, number))
    return joined(period, spans, days)


def off_bars(period, bars, time_off):
    """Where the people of these bars have time off: bars to lay upon them."""
    found = []
    for one in bars:
        for off in time_off:
            if off.user_id in one.people:
                start, end = max(one.start_at, off.start_at), min(one.end_at, off.end_at)
                if start < end and period.shows(start, end):
                    found.append(dataclasses.replace(bar(period, start, end, (off.user_id,)), lane=one.lane))
    return found


# --- colours --------------------------------------------------------------------------------------------------
def colours(*groups):
    """`{user id: colour number}`: different as long as there are enough, and stable.

    Who stands in an earlier group, or is known longer, keeps their colour when others come.
    """
    found, taken = {}, set()
    for user_id in (one for group in groups for one in sorted(group)):
        if user_id in found:
            continue
        if len(taken) == COLOURS:
            taken.clear()
        number = user_id % COLOURS
        while number in taken:
            number = (number + 1) % COLOURS
        taken.add(number)
        found[user_id] = number
    return found


# --- the calendar ---------------------------------------------------------------------------------------------
@dataclasses.dataclass(frozen=True)
class Entry:
    """Somebody's part of a day in the calendar; `shift` is None where nobody is on call.

    `begins` and `ends` say whether the shift begins or ends within this day.
    """

    start_at: dt.datetime
    end_at: dt.datetime
    role: str
    shift: object = None
    begins: bool = True
    ends: bool = True

    @property
    def is_whole_day(self):
        return not self.begins and not self.ends


def calendar(days, finals):
    """`[(Day, [Entry, ...])]` from `{role: spans}`; what lies at midnight is in the day that begins."""
    entries = []
    for role, spans in finals.items():
        entries += [(one.start_at, one.end_at, role, one) for one in shifts.shifts(spans)]
        if role != shifts.SHADOW:
            entries += [(start, end, role, None) for start, end in shifts.gaps(spans)]
    entries.sort(key=lambda one: (one[0], shifts.ROLES.index(one[2])))
    found = [(day, []) for day in days]
    begins = [day.start_at for day in days]
    for start, end, role, shift in entries:
        place = max(_day(begins, start) - 1, 0)
        while place < len(days) and days[place].start_at < end:
            day = days[place]
            found[place][1].append(
                Entry(
                    max(start, day.start_at),
                    min(end, day.end_at),
                    role,
                    shift,
                    begins=start > day.start_at,
                    ends=end < day.end_at,
                )
            )
            place += 1
    return found


def weeks(found):
    """Calendar days in weeks from Monday, with None where a week holds no day of the period."""
    if not found:
        return []
    cells = [None] * found[0][0].date.weekday() + list(found)
    cells += [None] * (-len(cells) % 7)
    return [cells[place : place + 7] for place in range(0, len(cells), 7)]
