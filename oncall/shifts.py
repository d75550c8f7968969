"""Final shifts: layers and overrides in, people and reasons out. Pure.

Precedence: an override made later wins over an earlier one, any override over every layer, a layer of a higher
position over a lower one. Every span is half-open: `start <= t < end`.
"""

import dataclasses
import datetime as dt

from oncall import rotation as rotations


@dataclasses.dataclass(frozen=True)
class LayerSpec:
    """One layer: its rotation, and its participants' user ids in order."""

    name: str
    position: int
    rotation: rotations.Rotation
    participants: tuple[int, ...]
    ends_at: dt.datetime | None = None


@dataclasses.dataclass(frozen=True)
class OverrideSpec:
    """A span that somebody takes; `number` orders overrides by the time they were made."""

    number: int
    user_id: int
    start_at: dt.datetime
    end_at: dt.datetime


@dataclasses.dataclass(frozen=True)
class ScheduleSpec:
    """A schedule as values."""

    name: str
    layers: tuple[LayerSpec, ...]
    overrides: tuple[OverrideSpec, ...] = ()


@dataclasses.dataclass(frozen=True)
class OnCall:
    """A person on call, why, and until when this reason holds at the longest."""

    user_id: int
    why: str
    until: dt.datetime | None


@dataclasses.dataclass(frozen=True)
class Shift:
    """A span of the final schedule; `user_id` is None in a gap."""

    start_at: dt.datetime
    end_at: dt.datetime
    user_id: int | None
    why: str


def on_call(schedule, at):
    """Who is on call at `at`: one OnCall, or None when nobody is."""
    override = max(
        (one for one in schedule.overrides if one.start_at <= at < one.end_at),
        key=lambda one: one.number,
        default=None,
    )
    if override:
        return OnCall(override.user_id, f"override in {schedule.name}", override.end_at)
    for layer in sorted(schedule.layers, key=lambda one: one.position, reverse=True):
        if not layer.participants or (layer.ends_at and at >= layer.ends_at):
            continue
        number = rotations.turn(layer.rotation, at)
        if number is None:
            continue
        until = rotations.handoff(layer.rotation, number + 1)
        if layer.ends_at:
            until = min(until, layer.ends_at)
        user_id = layer.participants[number % len(layer.participants)]
        return OnCall(user_id, f"{schedule.name}, {layer.name}", until)
    return None


def final(schedule, start, end):
    """The final schedule between two times: shifts and gaps in order, without holes and without overlaps."""
    edges = {start, end}
    for layer in schedule.layers:
        first = rotations.turn(layer.rotation, start)
        number = 0 if first is None else first
        while (edge := rotations.handoff(layer.rotation, number)) < end:
            edges.add(edge)
            number += 1
        if layer.ends_at:
            edges.add(layer.ends_at)
    for override in schedule.overrides:
        edges.update((override.start_at, override.end_at))
    inside = sorted(edge for edge in edges if start <= edge <= end)
    shifts = []
    for begin, finish in zip(inside, inside[1:], strict=False):
        person = on_call(schedule, begin)
        user_id, why = (person.user_id, person.why) if person else (None, "nobody is on call")
        last = shifts[-1] if shifts else None
        if last and (last.user_id, last.why) == (user_id, why) and user_id is None:
            shifts[-1] = dataclasses.replace(last, end_at=finish)
        else:
            shifts.append(Shift(begin, finish, user_id, why))
    return shifts
