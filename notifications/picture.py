"""What happens when a person is paged, in the order in which it happens. Values in, values out."""

import dataclasses

from core.zones import wall_clock, zone_of
from notifications import rules


@dataclasses.dataclass(frozen=True)
class Step:
    """The addresses that are told together, so many minutes after the page."""

    delay_minutes: int
    method_ids: tuple[int, ...]

    @property
    def when(self):
        """The delay in words: "At once", "After 1 h 15 min"."""
        return delay(self.delay_minutes)


@dataclasses.dataclass(frozen=True)
class Picture:
    """The steps of a page of one urgency, why some rules are not among them, and what there is to say of it."""

    steps: tuple[Step, ...]
    reasons: tuple[str, ...]
    quiet: str
    advice: str


def delay(minutes):
    if not minutes:
        return "At once"
    hours, rest = divmod(minutes, 60)
    return "After " + " ".join(text for text in (f"{hours} h" * bool(hours), f"{rest} min" * bool(rest)) if text)


def draw(person, *, urgency, now):
    """The picture of a page to `person` (a `rules.Reach`).

    The steps are those of a page outside of quiet hours, which `quiet` speaks of.
    """
    planned, reasons = rules.plan(dataclasses.replace(person, quiet=()), urgency=urgency, now=now)
    together = {}
    for one in planned:
        together.setdefault(one.delay_minutes, []).append(one.method_id)
    steps = tuple(Step(minutes, tuple(ids)) for minutes, ids in together.items())
    return Picture(
        steps=steps,
        reasons=tuple(reasons),
        quiet=_quiet(person, urgency, now) if steps else "",
        advice=_advice(steps, urgency),
    )


def _quiet(person, urgency, now):
    if not person.quiet:
        return ""
    if urgency != "low":
        return "Your quiet hours do not hold it."
    until = rules.quiet_until(person.quiet, person.zone, now)
    if until <= now:
        return "In your quiet hours it waits until they end."
    tz = zone_of(person.zone)
    wall = wall_clock(until, tz)
    day = "" if wall.date() == wall_clock(now, tz).date() else f" on {wall:%A}"
    return f"You have quiet hours now: a page of this moment waits until {wall:%H:%M}{day}."


def _advice(steps, urgency):
    """What would make it safer, for pages that must not get lost."""
    if urgency == "high" and len({pk for one in steps for pk in one.method_ids}) == 1:
        return "Only one address is used: when it fails, you are not reached. Add a second way."
    return ""
