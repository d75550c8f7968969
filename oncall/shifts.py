"""Final shifts: layers, fixed shifts, overrides and time off in; people and reasons out. Pure.

Precedence, for each role apart: a layer of a higher position wins over a lower one wherever it has somebody; fixed
shifts win over every layer; overrides are applied to that in the order in which they were made, each once. An override
that names whom it replaces changes nothing while that person is not on call. Every span is half-open:
`start <= t < end`.

`roster` answers for one moment and `final` for a span; they agree at every moment.
"""

import dataclasses
import datetime as dt

from oncall import rotation as rotations
from oncall.windows import Window, open_until, openings, ordinal

PRIMARY, SECONDARY, TERTIARY, SHADOW = "PRIMARY", "SECONDARY", "TERTIARY", "SHADOW"
# In the order in which they are called. A shadow watches and learns: never called, and no cover.
ROLES = (PRIMARY, SECONDARY, TERTIARY, SHADOW)
CALLED = (PRIMARY, SECONDARY, TERTIARY)

LAYER, FIXED, OVERRIDE, SWAP = "layer", "fixed shift", "override", "swap"


@dataclasses.dataclass(frozen=True)
class LayerSpec:
    """One layer: its rotation, and its slots in order. A slot holds the user ids that are on call together.

    An empty slot holds nobody: lower layers show through. Turn 0 belongs to `slots[first_slot]`. `windows` are the
    restrictions; outside of them the layer holds nobody, and a turn that lies outside is nobody's.
    """

    number: int
    name: str
    position: int
    rotation: rotations.Rotation
    slots: tuple[tuple[int, ...], ...]
    role: str = PRIMARY
    first_slot: int = 0
    windows: tuple[Window, ...] = ()
    starts_at: dt.datetime | None = None
    ends_at: dt.datetime | None = None


@dataclasses.dataclass(frozen=True)
class OverrideSpec:
    """A span that somebody takes; `number` orders overrides by the time they were made.

    With `replaces` only that person's part is taken; without, everybody of the role is replaced.
    """

    number: int
    user_id: int
    start_at: dt.datetime
    end_at: dt.datetime
    role: str = PRIMARY
    replaces: int | None = None
    via: str = OVERRIDE


@dataclasses.dataclass(frozen=True)
class FixedSpec:
    """A shift written down for one person, on top of the layers."""

    number: int
    user_id: int
    start_at: dt.datetime
    end_at: dt.datetime
    role: str = PRIMARY


@dataclasses.dataclass(frozen=True)
class TimeOffSpec:
    """A span in which somebody is off."""

    user_id: int
    start_at: dt.datetime
    end_at: dt.datetime


@dataclasses.dataclass(frozen=True)
class ScheduleSpec:
    """A schedule as values. `skips_time_off`: whose turn falls into their time off is passed over."""

    name: str
    layers: tuple[LayerSpec, ...]
    overrides: tuple[OverrideSpec, ...] = ()
    fixed: tuple[FixedSpec, ...] = ()
    time_off: tuple[TimeOffSpec, ...] = ()
    skips_time_off: bool = False


@dataclasses.dataclass(frozen=True)
class OnCall:
    """A person on call, and why.

    `via` is what put them there, and `source` names it ("layer:7:12" is turn 12 of layer 7). `instead_of` is the
    person whose shift it was. `is_off`: they have time off now, and somebody should take the span. `until` is when
    this reason ends at the longest; None when it has no end.
    """

    user_id: int
    why: str
    role: str
    via: str
    source: str
    instead_of: int | None = None
    is_off: bool = False
    until: dt.datetime | None = dataclasses.field(default=None, compare=False)


@dataclasses.dataclass(frozen=True)
class Span:
    """A span of the final schedule of one role, and the people on call in it; nobody in a gap."""

    start_at: dt.datetime
    end_at: dt.datetime
    people: tuple[OnCall, ...]


@dataclasses.dataclass(frozen=True)
class Shift:
    """One person's shift: as long as the same reason keeps them on call."""

    start_at: dt.datetime
    end_at: dt.datetime
    person: OnCall

    @property
    def user_id(self):
        return self.person.user_id


# --- one moment -----------------------------------------------------------------------------------------------
def roster(schedule, at):
    """Who is on call at `at`: `{role: (OnCall, ...)}` with every role; a role without people has an empty tuple."""
    return {role: _at(schedule, role, at) for role in ROLES}


def on_call(schedule, at, role=PRIMARY):
    """Who is on call in one role at `at`: a tuple of OnCall."""
    return _at(schedule, role, at)


def _at(schedule, role, at):
    off = {one.user_id: one.end_at for one in schedule.time_off if one.start_at <= at < one.end_at}
    fixed = [one for one in schedule.fixed if one.role == role and one.start_at <= at < one.end_at]
    people = [_fixed(schedule, one) for one in sorted(fixed, key=_number)]
    if not people:
        layers = [one for one in schedule.layers if one.role == role]
        for layer in sorted(layers, key=_precedence, reverse=True):
            people = _layer_at(schedule, layer, at, off)
            if people:
                break
    active = [one for one in schedule.overrides if one.role == role and one.start_at <= at < one.end_at]
    return _settled(schedule, people, sorted(active, key=_number), off)


def _precedence(layer):
    return layer.position, layer.number


def _number(one):
    return one.number  # fixed shifts stand, and overrides apply, in the order in which they were made


def _layer_at(schedule, layer, at, off):
    if not layer.slots or (layer.starts_at and at < layer.starts_at) or (layer.ends_at and at >= layer.ends_at):
        return ()
    ends = [layer.ends_at] if layer.ends_at else []
    if layer.windows:
        closes = open_until(layer.windows, at, layer.rotation.tz)
        if closes is None:
            return ()
        ends.append(closes)
    number = rotations.turn(layer.rotation, at)
    if number is None:
        return ()
    if (handoff := rotations.handoff(layer.rotation, number + 1)) is not None:
        ends.append(handoff)
    return [dataclasses.replace(one, until=min(ends, default=None)) for one in _of_turn(schedule, layer, number, off)]


def _of_turn(schedule, layer, number, off):
    """The people of one turn of a layer. `off` holds the people who have time off."""
    place = (ordinal(layer.rotation, layer.windows, number) + layer.first_slot) % len(layer.slots)
    slot = layer.slots[place]
    source = f"layer:{layer.number}:{number}"
    why = f"{schedule.name}, {layer.name}"
    if not schedule.skips_time_off or not any(user_id in off for user_id in slot):
        return [OnCall(user_id, why, layer.role, LAYER, source) for user_id in slot]
    present = [user_id for user_id in slot if user_id not in off]
    if present:
        return [OnCall(user_id, why, layer.role, LAYER, source) for user_id in present]
    for step in range(1, len(layer.slots)):
        present = [user_id for user_id in layer.slots[(place + step) % len(layer.slots)] if user_id not in off]
        if present:
            why = f"{why}, in place of somebody with time off"
            return [OnCall(user_id, why, layer.role, LAYER, source, instead_of=slot[0]) for user_id in present]
    return []


def _fixed(schedule, one):
    why = f"fixed shift in {schedule.name}"
    return OnCall(one.user_id, why, one.role, FIXED, f"fixed:{one.number}", until=one.end_at)


def _settled(schedule, people, overrides, off):
    """Apply the overrides in order, each once, and mark who has time off. Nobody stands there twice."""
    people = list(people)
    for one in overrides:
        taken = people[:1] if one.replaces is None else [each for each in people if each.user_id == one.replaces]
        if one.replaces is not None and not taken:
            continue
        taker = OnCall(
            user_id=one.user_id,
            why=f"{one.via} in {schedule.name}",
            role=one.role,
            via=one.via,
            source=f"override:{one.number}",
            instead_of=taken[0].user_id if taken else None,
            until=one.end_at,
        )
        kept = [] if one.replaces is None else [each for each in people if each.user_id != one.replaces]
        people = [*kept, taker]
    distinct = {}
    for one in people:
        distinct.setdefault(one.user_id, dataclasses.replace(one, is_off=True) if one.user_id in off else one)
    return tuple(distinct.values())


# --- a span ---------------------------------------------------------------------------------------------------
def final(schedule, start, end, role=PRIMARY):
    """The final schedule of one role between two times: Spans in order, without holes and without overlaps.

    Two spans follow each other only where the people or their reasons change, a handoff to oneself included.
    """
    time_off = [one for one in schedule.time_off if one.start_at < end and one.end_at > start]
    fixed, overrides = (
        sorted((one for one in group if one.role == role and one.start_at < end and one.end_at > start), key=_number)
        for group in (schedule.fixed, schedule.overrides)
    )
    layers = sorted((one for one in schedule.layers if one.role == role), key=_precedence, reverse=True)
    stacks = [spans for layer in layers if (spans := turns_of(layer, start, end))]

    edges = {start, end}
    for spans in stacks:
        for begin, finish, _ in spans:
            edges.add(begin)
            edges.add(finish)
    for one in (*time_off, *fixed, *overrides):
        edges.add(max(one.start_at, start))
        edges.add(min(one.end_at, end))

    found, places = [], [0] * len(stacks)
    points = sorted(edges)
    exceptions = _Sweep(time_off, fixed, overrides)
    made = {}  # the people of a turn are the same objects wherever nothing else changes
    for begin, finish in zip(points, points[1:], strict=False):
        off, fixed_now, overrides_now = exceptions.at(begin)
        people = [_fixed(schedule, one) for one in fixed_now]
        if not people:
            people = _top(schedule, stacks, places, begin, off, made)
        if overrides_now or off or len(people) > 1:
            people = _settled(schedule, people, overrides_now, off)
        people = tuple(people)
        if found and found[-1].people == people:
            found[-1] = Span(found[-1].start_at, finish, people)
        else:
            found.append(Span(begin, finish, people))
    return found


def _top(schedule, stacks, places, at, off, made):
    """The people of the highest layer that has somebody at `at`. `places` remembers how far each stack was read."""
    for number, spans in enumerate(stacks):
        place = places[number]
        while place < len(spans) and spans[place][1] <= at:
            place += 1
        places[number] = place
        if place < len(spans) and spans[place][0] <= at:
            layer, turn = spans[place][2]
            if off:
                people = _of_turn(schedule, layer, turn, off)
            else:
                key = number, turn
                people = made.get(key)
                if people is None:
                    people = made[key] = _of_turn(schedule, layer, turn, off)
            if people:
                return people
    return []


class _Sweep:
    """What of the exceptions holds at a time; asked in ascending order. Most schedules have few, most times none."""

    def __init__(self, time_off, fixed, overrides):
        self._groups = (time_off, fixed, overrides)
        edges = {edge for group in self._groups for one in group for edge in (one.start_at, one.end_at)}
        self._edges = sorted(edges)
        self._place = 0
        self._now = ({}, [], [])

    def at(self, at):
        moved = False
        while self._place < len(self._edges) and self._edges[self._place] <= at:
            self._place += 1
            moved = True
        if moved:
            off, fixed, overrides = (
                [one for one in group if one.start_at <= at < one.end_at] for group in self._groups
            )
            self._now = ({one.user_id: one.end_at for one in off}, fixed, overrides)
        return self._now


def turns_of(layer, start, end):
    """The spans between two times in which a layer is open, by turn: `[(begin, finish, (layer, turn number))]`.

    Empty slots are spans too, since a turn is a turn; who holds them is decided by the final schedule.
    """
    start = max(start, layer.starts_at) if layer.starts_at else start
    end = min(end, layer.ends_at) if layer.ends_at else end
    if start >= end or not layer.slots:
        return []
    spans = [
        (max(begin, start), min(finish, end) if finish else end, (layer, number))
        for number, begin, finish in rotations.turns(layer.rotation, start, end)
    ]
    if not layer.windows:
        return spans
    windows = openings(layer.windows, start, end, layer.rotation.tz)
    cut, place = [], 0
    for begin, finish, turn in spans:
        while place < len(windows) and windows[place][1] <= begin:
            place += 1
        at = place
        while at < len(windows) and windows[at][0] < finish:
            cut.append((max(begin, windows[at][0]), min(finish, windows[at][1]), turn))
            at += 1
    return cut


def shifts(spans):
    """The Shifts of the people in a final schedule, by start. A person's neighbouring spans of one reason are one."""
    found, running = [], {}
    for span in spans:
        going_on = {}
        for person in span.people:
            key = person.user_id, person.source, person.is_off
            place = running.get(key)
            if place is None:
                place = len(found)
                found.append(Shift(span.start_at, span.end_at, person))
            else:
                found[place] = Shift(found[place].start_at, span.end_at, found[place].person)
            going_on[key] = place
        running = going_on
    return found


def gaps(spans):
    """The spans in which nobody is on call, joined where they touch: `[(start, end)]`."""
    found = []
    for span in spans:
        if span.people:
            continue
        if found and found[-1][1] == span.start_at:
            found[-1] = (found[-1][0], span.end_at)
        else:
            found.append((span.start_at, span.end_at))
    return found
