"""Time zones by their IANA names, as people and rows give them, and what their clocks show. Pure.

A wall-clock time means **the first moment at which the clock of the zone shows that time or a later one**. So a time
that the clock skips is the moment of the jump, and a time that comes twice is the first of the two.
"""

import datetime as dt
import zoneinfo


def zone_or_none(name):
    """The zone of this name, or None when there is none."""
    try:
        return zoneinfo.ZoneInfo(name) if name else None
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return None


def zone_of(name):
    """The zone of this name; UTC where there is none, since a time in UTC beats no time."""
    return zone_or_none(name) or zoneinfo.ZoneInfo("UTC")


def moment(wall, tz):
    """The first UTC moment at which the clock of `tz` shows the naive time `wall` or a later one."""
    aware = wall.replace(tzinfo=tz)
    offset = aware.utcoffset()
    later = aware.replace(fold=1).utcoffset()
    if offset >= later:  # an ordinary time, or one that comes twice: fold 0 is the first of the two
        return (wall - offset).replace(tzinfo=dt.UTC)
    # The clock skips this time: the jump lies between its two readings.
    before, after = (wall - later).replace(tzinfo=dt.UTC), (wall - offset).replace(tzinfo=dt.UTC)
    while after - before > dt.timedelta(seconds=1):
        middle = before + dt.timedelta(seconds=int((after - before).total_seconds()) // 2)
        if middle.astimezone(tz).utcoffset() == offset:
            before = middle
        else:
            after = middle
    return after


def wall_clock(at, tz):
    """What the clock of `tz` shows at `at`, without a zone."""
    return at.astimezone(tz).replace(tzinfo=None)
