"""How much of each day a component worked. Pure: spans of bad states in, figures out.

Statuspage's rule: a major outage counts in full, a partial outage with 30 %, anything else not at all. A day is one of
the page's time zone, so it may have 23 or 25 hours; that of today ends now.
"""

import collections
import dataclasses
import datetime as dt
import math

from core.zones import moment, wall_clock
from statuspages import states

WEIGHTS = {states.MAJOR: 1.0, states.PARTIAL: 0.3}


@dataclasses.dataclass(frozen=True)
class Day:
    """A day of the page: `start <= t < end` in UTC."""

    date: dt.date
    start: dt.datetime
    end: dt.datetime


def days_until(now, tz, count):
    """The last `count` days of the zone, the oldest first; the last one is that of `now`."""
    today = wall_clock(now, tz).date()
    dates = [today - dt.timedelta(days=back) for back in range(count - 1, -2, -1)]
    starts = [moment(dt.datetime.combine(date, dt.time()), tz) for date in dates]
    return [Day(dates[place], starts[place], starts[place + 1]) for place in range(count)]


def next_day(now, tz):
    """The moment at which the next day of the zone begins."""
    tomorrow = wall_clock(now, tz).date() + dt.timedelta(days=1)
    return moment(dt.datetime.combine(tomorrow, dt.time()), tz)


def history(spans, days, *, existed_from, now):
    """`(uptime, [day…])` of one component; `spans` are `(state, began, ended or None)` of all but good times.

    A day is `{"date", "uptime", "worst", "seconds"}`: percent, the worst state, and how long each bad state lasted.
    Uptime is None where the component did not exist yet.
    """
    lost_on = _seconds_by_day(spans, days, max(existed_from, days[0].start), now)
    existed = lost = 0.0
    shown = []
    for day in days:
        if existed_from >= day.end or day.start > now:
            shown.append({"date": day.date.isoformat(), "uptime": None, "worst": states.OPERATIONAL, "seconds": {}})
            continue
        length = (min(day.end, now) - max(day.start, existed_from)).total_seconds()
        seconds = lost_on.get(day.date)
        existed += max(length, 0.0)
        if not seconds:
            shown.append({"date": day.date.isoformat(), "uptime": 100.0, "worst": states.OPERATIONAL, "seconds": {}})
            continue
        weighted = sum(WEIGHTS.get(state, 0.0) * lasted for state, lasted in seconds.items())
        lost += weighted
        shown.append(
            {
                "date": day.date.isoformat(),
                "uptime": _percent(weighted, length),
                "worst": states.worst(seconds),
                "seconds": {state: round(lasted) for state, lasted in sorted(seconds.items())},
            }
        )
    is_known = any(day["uptime"] is not None for day in shown)
    return (_percent(lost, existed) if is_known else None), shown


def _seconds_by_day(spans, days, first, now):
    """`{date: {state: seconds}}` of the days that have any; only those that a span touches are looked at."""
    found = {}
    for state, began, ended in spans:
        start, end = max(began, first), min(ended or now, now)
        place = _place(days, start)
        while start < end and place < len(days):
            until = min(end, days[place].end)
            on = found.setdefault(days[place].date, collections.defaultdict(float))
            on[state] += (until - start).total_seconds()
            start, place = until, place + 1
    return found


def _place(days, at):
    """The place of the day in which this moment lies: near where days of 24 hours would put it."""
    place = max(0, int((at - days[0].start) / dt.timedelta(days=1)) - 1)
    while place < len(days) and days[place].end <= at:
        place += 1
    return place


def _percent(lost, length):
    """Two digits, cut off: what was down for a second did not work for 100 %."""
    if lost <= 0 or length <= 0:
        return 100.0
    return math.floor(max(0.0, 1 - lost / length) * 10_000) / 100
