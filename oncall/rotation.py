"""Handoffs of one rotation across clock changes. Pure: values in, values out.

A rotation walks wall-clock days in its own zone, so a day may last 23 or 25 hours. A handoff at a time that the
clock skips happens when the clock has jumped; at a time that comes twice, it happens the first time.
"""

import dataclasses
import datetime as dt
import zoneinfo

DAYS = {"day": 1, "week": 7}


@dataclasses.dataclass(frozen=True)
class Rotation:
    """`every` units between handoffs, counted from `start_date` at `handoff_time` in `zone` (an IANA name)."""

    unit: str
    every: int
    start_date: dt.date
    handoff_time: dt.time
    zone: str

    @property
    def days(self):
        return DAYS[self.unit] * self.every


def handoff(rotation, number):
    """The UTC time at which turn `number` (0 is the first) begins."""
    day = rotation.start_date + dt.timedelta(days=rotation.days * number)
    local = dt.datetime.combine(day, rotation.handoff_time, tzinfo=zoneinfo.ZoneInfo(rotation.zone))
    return local.astimezone(dt.UTC)


def turn(rotation, at):
    """The number of the turn that holds `at`, or None before the first one. Costs the same however old it is."""
    local_day = at.astimezone(zoneinfo.ZoneInfo(rotation.zone)).date()
    number = (local_day - rotation.start_date).days // rotation.days
    # On the day of a handoff the turn before may still run; a skipped hour may shift it by one day at most.
    while handoff(rotation, number) > at:
        number -= 1
    while handoff(rotation, number + 1) <= at:
        number += 1
    return number if number >= 0 else None
