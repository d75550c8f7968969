"""Coverage: what is wrong in a span of final schedules, who carries how much, and the coverage proof. Pure.

Works on the final schedules of a span, `{schedule id: {role: [Span, ...]}}` with every role. PRIMARY, SECONDARY and
TERTIARY are cover and load; a shadow is neither. Every walk goes from edge to edge, so a year of hourly shifts costs a
fraction of a second.
"""

import dataclasses
import datetime as dt

from core.zones import zone_of
from oncall import shifts
from oncall.rotation import moment, wall_clock
from oncall.windows import ordinal

GAP, OVERLAP, DOUBLE_BOOKING, TIME_OFF = "gap", "overlap", "double booking", "time off"
EMPTY_SLOT, UNREACHABLE, DEACTIVATED = "empty slot", "unreachable", "deactivated"
UNEVEN, OVERLOAD = "uneven", "overload"
KINDS = (GAP, OVERLAP, DOUBLE_BOOKING, TIME_OFF, EMPTY_SLOT, UNREACHABLE, DEACTIVATED, UNEVEN, OVERLOAD)

# The night of health and safety rules is seven hours or more around midnight; ours is the eight that people sleep in.
NIGHT_STARTS, NIGHT_ENDS = dt.time(22), dt.time(6)
# Uneven: more than this many times the mean, and at least a day more, so that small figures do not shout.
UNEVEN_TIMES, UNEVEN_LEAST = 1.5, dt.timedelta(hours=24)
# Overload: on call for more than a week without a night's rest. The hour more is for a week with the clock put back.
LONGEST_DUTY, REST = dt.timedelta(hours=7 * 24 + 1), dt.timedelta(hours=8)

DAY = dt.timedelta(days=1)


# --- what goes in ---------------------------------------------------------------------------------------------
@dataclasses.dataclass(frozen=True)
class Person:
    """Somebody who may be on call. `is_reachable`: they have a verified contact method that works."""

    id: int
    name: str
    is_active: bool = True
    is_reachable: bool = True
    zone: str = "UTC"

    @property
    def problem(self):
        """Why they cannot be called, as a sentence without its full stop, or ""."""
        if not self.is_active:
            return f"{self.name} is deactivated"
        return "" if self.is_reachable else f"{self.name} has no verified contact method"


@dataclasses.dataclass(frozen=True)
class Facts:
    """What the report must know of a schedule. `holidays` are the days off of its team."""

    id: int
    name: str
    zone: str = "UTC"
    layers: tuple[shifts.LayerSpec, ...] = ()
    holidays: frozenset[dt.date] = frozenset()


# --- what comes out -------------------------------------------------------------------------------------------
@dataclasses.dataclass(frozen=True)
class Problem:
    """One thing that is wrong, as a sentence, and when, where and for whom. `kind` is one of KINDS."""

    kind: str
    text: str
    start_at: dt.datetime
    end_at: dt.datetime
    schedule_id: int | None = None
    user_id: int | None = None
    role: str = ""


@dataclasses.dataclass(frozen=True)
class Load:
    """What one person carries in the span, in hours on call; being on call twice at once counts once."""

    user_id: int
    hours: float
    night_hours: float
    weekend_hours: float
    holiday_hours: float
    shifts: int


@dataclasses.dataclass(frozen=True)
class Report:
    """The problems of a span by their start, and the loads, the heaviest first."""

    start: dt.datetime
    end: dt.datetime
    problems: tuple[Problem, ...]
    loads: tuple[Load, ...]


@dataclasses.dataclass(frozen=True)
class CounterExample:
    """A span in which a policy reaches nobody, and why: sentences, level by level."""

    start_at: dt.datetime
    end_at: dt.datetime
    reasons: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Proof:
    """Whether a policy reaches somebody at every moment of a span, or when it does not."""

    policy_id: int
    is_covered: bool
    counter_examples: tuple[CounterExample, ...]


# --- times in words -------------------------------------------------------------------------------------------
def said(at, tz):
    """A time for people: "Mon 1 June, 09:00 CEST"."""
    local = at.astimezone(tz)
    return f"{local:%a} {local.day} {local:%B, %H:%M} {_zone_name(local)}"


def said_span(start, end, tz):
    """A span for people: "from Mon 1 June, 09:00 until Mon 8 June, 09:00 CEST"."""
    first, last = start.astimezone(tz), end.astimezone(tz)
    zone = "" if _zone_name(first) == _zone_name(last) else f" {_zone_name(first)}"
    return f"from {first:%a} {first.day} {first:%B, %H:%M}{zone} until {said(end, tz)}"


def _zone_name(local):
    name = local.tzname()
    return f"UTC{name}" if name[0] in "+-" else name  # zones without letters of their own are called "-03"


def as_role(role):
    """How a role reads behind a place: nothing for the primary."""
    return "" if role == shifts.PRIMARY else f" as {role.lower()}"


# --- spans ----------------------------------------------------------------------------------------------------
def stretches(spans, chosen=None):
    """`{user id: [(start, end)]}`: when each person is on call, joined over changes of the reason.

    With `chosen`, a function of an OnCall, only where it is true.
    """
    found = {}
    for span in spans:
        for one in span.people:
            if chosen is None or chosen(one):
                _append(found.setdefault(one.user_id, []), span.start_at, span.end_at)
    return found


def _append(spans, start, end):
    if spans and spans[-1][1] == start:
        spans[-1] = (spans[-1][0], end)
    else:
        spans.append((start, end))


def union(spans):
    """The spans in order, joined where they overlap or touch."""
    joined = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return joined


def common(first, second):
    """What two lists of spans have in common; each in order and without overlaps."""
    return [(start, end) for start, end, _, _ in _meetings(first, second)]


def _meetings(first, second):
    """Yield (start, end, span of the first, span of the second) where spans of two ordered lists overlap.

    A span is a tuple that begins with its start and its end.
    """
    places = [0, 0]
    while places[0] < len(first) and places[1] < len(second):
        one, other = first[places[0]], second[places[1]]
        start, end = max(one[0], other[0]), min(one[1], other[1])
        if start < end:
            yield start, end, one, other
        places[one[1] > other[1]] += 1  # the one that ends first has met all that it can meet


def _length(spans):
    return sum((end - start for start, end in spans), dt.timedelta())


def _hours(spans):
    return _length(spans).total_seconds() / 3600


# --- the calendar ---------------------------------------------------------------------------------------------
def _dates(start, end, tz):
    """The days on the clock of `tz` that may touch the span, and the two before it."""
    date, last = wall_clock(start, tz).date() - 2 * DAY, wall_clock(end, tz).date() + DAY
    while date <= last:
        yield date
        date += DAY


def nights(start, end, tz):
    """The nights of a zone around a span, 22:00 until 06:00 on its clock, as UTC spans."""
    return union(
        (
            moment(dt.datetime.combine(date, NIGHT_STARTS), tz),
            moment(dt.datetime.combine(date + DAY, NIGHT_ENDS), tz),
        )
        for date in _dates(start, end, tz)
    )


def weekends(start, end, tz):
    """The weekends of a zone around a span, Saturday and Sunday on its clock, as UTC spans."""
    return [
        (_midnight(date, tz), _midnight(date + 2 * DAY, tz)) for date in _dates(start, end, tz) if date.weekday() == 5
    ]


def days(dates, start, end, tz):
    """These days on the clock of a zone, as UTC spans, where they touch a span."""
    spans = ((_midnight(date, tz), _midnight(date + DAY, tz)) for date in dates)
    return union(one for one in spans if one[0] < end and one[1] > start)


def _midnight(date, tz):
    return moment(dt.datetime.combine(date, dt.time()), tz)


class _Calendar:
    """The nights and weekends of each zone, worked out once."""

    def __init__(self, start, end):
        self._span = (start, end)
        self._known = {}

    def of(self, zone):
        if zone not in self._known:
            tz = zone_of(zone)
            self._known[zone] = nights(*self._span, tz), weekends(*self._span, tz)
        return self._known[zone]

    def holidays(self, dates, zone):
        key = dates, zone
        if key not in self._known:
            self._known[key] = days(dates, *self._span, zone_of(zone))
        return self._known[key]


# --- the report -----------------------------------------------------------------------------------------------
def report(schedule_ids, finals, facts, people, *, start, end, now=None):
    """The Report of these schedules between two times.

    `finals` and `facts` (by schedule id) may hold other schedules too: they count for double bookings only. `people`
    are Persons by id, everybody who stands in a final schedule or a layer. Whether somebody can be reached is known
    for `now` only, so shifts that were over by then are not judged by it.
    """
    ids = list(schedule_ids)
    duties = _duties(finals)
    problems = []
    for pk in ids:
        one, roles = facts[pk], finals[pk]
        problems += _gaps(one, roles)
        problems += _overlaps(one, roles, people)
        problems += _time_off(one, roles, people)
        problems += _empty_slots(one, start, end)
        problems += _not_called(one, duties, people, now or start)
        problems += _uneven(one, roles, duties, people, start, end)
    problems += _double_bookings(ids, duties, facts, people)
    problems += _overloads(ids, duties, facts, people)
    problems.sort(key=lambda one: (one.start_at, KINDS.index(one.kind), one.schedule_id or 0, one.text))
    return Report(start, end, tuple(problems), _loads(ids, duties, facts, people, start, end))


def _duties(finals):
    """`{user id: {(schedule id, role): [(start, end)]}}` of the roles that are called."""
    found = {}
    for pk, roles in finals.items():
        for role in shifts.CALLED:
            for user_id, spans in stretches(roles[role]).items():
                found.setdefault(user_id, {})[pk, role] = spans
    return found


def _gaps(one, roles):
    """A gap is where nobody is on call as primary, wanted or not; a secondary alone does not fill it."""
    tz = zone_of(one.zone)
    for start, end in shifts.gaps(roles[shifts.PRIMARY]):
        text = f"Nobody is on call as primary in {one.name} {said_span(start, end, tz)}."
        yield Problem(GAP, text, start, end, one.id, None, shifts.PRIMARY)


def _overlaps(one, roles, people):
    """An overlap is where several people have one role at once and one of them at least by a fixed shift.

    Fixed shifts hide the layers, so the others have fixed shifts too, or an override in place of one. People who
    share a slot of a layer are meant to be on call together and are no overlap.
    """
    tz = zone_of(one.zone)
    for role in shifts.CALLED:
        found = []
        for span in roles[role]:
            if len(span.people) > 1 and any(each.via == shifts.FIXED for each in span.people):
                users = tuple(sorted(each.user_id for each in span.people))
                if found and found[-1][1] == span.start_at and found[-1][2] == users:
                    found[-1] = (found[-1][0], span.end_at, users)
                else:
                    found.append((span.start_at, span.end_at, users))
        for start, end, users in found:
            names = listed([people[user_id].name for user_id in users])
            text = (
                f"{names} have overlapping fixed shifts as {role.lower()} in {one.name} {said_span(start, end, tz)}."
            )
            yield Problem(OVERLAP, text, start, end, one.id, None, role)


def _time_off(one, roles, people):
    tz = zone_of(one.zone)
    for role in shifts.CALLED:
        for user_id, spans in stretches(roles[role], lambda each: each.is_off).items():
            for start, end in spans:
                text = (
                    f"{people[user_id].name} has time off but is on call in {one.name}{as_role(role)} "
                    f"{said_span(start, end, tz)}. Somebody must cover it."
                )
                yield Problem(TIME_OFF, text, start, end, one.id, user_id, role)


def _empty_slots(one, start, end):
    """The turns that fall on an empty slot, whether or not a lower layer shows through."""
    tz = zone_of(one.zone)
    for layer in one.layers:
        if all(layer.slots):
            continue
        spans = []
        for begin, finish, (_, number) in shifts.turns_of(layer, start, end):
            place = (ordinal(layer.rotation, layer.windows, number) + layer.first_slot) % len(layer.slots)
            if not layer.slots[place]:
                _append(spans, begin, finish)
        for begin, finish in spans:
            text = (
                f"The turn of layer {layer.name} in {one.name} {said_span(begin, finish, tz)} falls on an empty slot. "
                "Put somebody into it."
            )
            yield Problem(EMPTY_SLOT, text, begin, finish, one.id, None, layer.role)


def _not_called(one, duties, people, now):
    """People on call who cannot be called: one problem each, with their first span that is not over."""
    tz = zone_of(one.zone)
    for user_id, places in duties.items():
        if not people[user_id].problem:
            continue
        own = [
            (*span, role) for (pk, role), spans in places.items() if pk == one.id for span in spans if span[1] > now
        ]
        if not own:
            continue
        start, end, role = min(own)
        kind = UNREACHABLE if people[user_id].is_active else DEACTIVATED
        text = f"{people[user_id].problem} but is on call in {one.name}{as_role(role)} {said_span(start, end, tz)}."
        yield Problem(kind, text, start, end, one.id, user_id, role)


def _uneven(one, roles, duties, people, start, end):
    """Who carries far more than the mean of the schedule's people, those of its layers included.

    In a fair rotation somebody may be ahead by one turn, by the luck of where the span begins. So whoever is ahead by
    no more than their longest turn is not told off, however short the span is.
    """
    users = {
        user_id for layer in one.layers if layer.role in shifts.CALLED for slot in layer.slots for user_id in slot
    }
    carried = {user_id: dt.timedelta() for user_id in users}
    for user_id, places in duties.items():
        own = [span for (pk, _), spans in places.items() if pk == one.id for span in spans]
        if own:
            carried[user_id] = _length(union(own))
    if len(carried) < 2:
        return
    mean = sum(carried.values(), dt.timedelta()) / len(carried)
    turns = _longest_turns(roles)
    for user_id, length in carried.items():
        ahead = length - mean
        if length > UNEVEN_TIMES * mean and ahead >= UNEVEN_LEAST and ahead > turns.get(user_id, dt.timedelta()):
            text = (
                f"{people[user_id].name} is on call {_rounded(length)} h in {one.name}, "
                f"{length / mean:.1f} times the mean of its {len(carried)} people, which is {_rounded(mean)} h."
            )
            yield Problem(UNEVEN, text, start, end, one.id, user_id)


def _longest_turns(roles):
    """`{user id: how long their longest turn of a layer is}`; a turn may be in pieces."""
    lengths = {}
    for role in shifts.CALLED:
        for span in roles[role]:
            for each in span.people:
                if each.via == shifts.LAYER:
                    key = each.user_id, each.source
                    lengths[key] = lengths.get(key, dt.timedelta()) + (span.end_at - span.start_at)
    longest = {}
    for (user_id, _), length in lengths.items():
        longest[user_id] = max(longest.get(user_id, length), length)
    return longest


def _rounded(length):
    return round(length.total_seconds() / 3600)


def _double_bookings(ids, duties, facts, people):
    """Who is on call in two places at once: a place is a role of a schedule. One of them at least is ours."""
    for user_id, places in duties.items():
        for start, end, at_once in _several(places):
            own = [place for place in at_once if place[0] in ids]
            if not own:
                continue
            pk, role = own[0]
            if len({place[0] for place in at_once}) == 1:
                where = f"{listed([f'as {each.lower()}' for _, each in at_once])} in {facts[pk].name}"
            else:
                where = listed([f"in {facts[other].name}{as_role(each)}" for other, each in at_once])
            tz = zone_of(facts[pk].zone)
            text = f"{people[user_id].name} is on call {where} at once {said_span(start, end, tz)}."
            yield Problem(DOUBLE_BOOKING, text, start, end, pk, user_id, role)


def _several(places):
    """`[(start, end, places)]` where two or more of the places hold at once, in a stable order of places."""
    if len(places) < 2:
        return []
    order = {place: (place[0], shifts.ROLES.index(place[1])) for place in places}
    edges = sorted(
        (at, is_start, order[place], place)
        for place, spans in places.items()
        for start, end in spans
        for at, is_start in ((start, True), (end, False))
    )
    found, active, since = [], set(), None
    for at, is_start, _, place in edges:
        if len(active) > 1 and since < at:
            held = tuple(sorted(active, key=order.get))
            if found and found[-1][1] == since and found[-1][2] == held:
                found[-1] = (found[-1][0], at, held)
            else:
                found.append((since, at, held))
        (active.add if is_start else active.discard)(place)
        since = at
    return found


def _overloads(ids, duties, facts, people):
    """Who is on call for longer than LONGEST_DUTY without REST, over all the schedules of the report."""
    for user_id, places in duties.items():
        own = {place: spans for place, spans in places.items() if place[0] in ids}
        for start, end, length in _runs(union(span for spans in own.values() for span in spans)):
            if length <= LONGEST_DUTY:
                continue
            pk, role = min((spans[0][0], place) for place, spans in own.items())[1]
            tz = zone_of(facts[pk].zone)
            text = (
                f"{people[user_id].name} is on call {_rounded(length)} h without a break of {_rounded(REST)} h, "
                f"{said_span(start, end, tz)}. Let somebody else take a part."
            )
            yield Problem(OVERLOAD, text, start, end, pk, user_id, role)


def _runs(spans):
    """Duty that no break of REST or more interrupts: `[(start, end, time on call)]`."""
    found = []
    for start, end in spans:
        if found and start - found[-1][1] < REST:
            found[-1] = (found[-1][0], end, found[-1][2] + (end - start))
        else:
            found.append((start, end, end - start))
    return found


def _loads(ids, duties, facts, people, start, end):
    calendar = _Calendar(start, end)
    participants = {
        user_id
        for pk in ids
        for layer in facts[pk].layers
        if layer.role in shifts.CALLED
        for slot in layer.slots
        for user_id in slot
    }
    on_call = {user_id for user_id, places in duties.items() if any(pk in ids for pk, _ in places)}
    loads = [
        _load(people[user_id], duties.get(user_id, {}), ids, facts, calendar) for user_id in participants | on_call
    ]
    return tuple(sorted(loads, key=lambda one: (-one.hours, people[one.user_id].name, one.user_id)))


def _load(person, places, ids, facts, calendar):
    own = {place: spans for place, spans in places.items() if place[0] in ids}
    spans = union(span for held in own.values() for span in held)
    at_night, at_weekends = calendar.of(person.zone)
    on_holidays = union(
        span
        for (pk, _), held in own.items()
        if facts[pk].holidays
        for span in common(held, calendar.holidays(facts[pk].holidays, person.zone))
    )
    return Load(
        user_id=person.id,
        hours=_hours(spans),
        night_hours=_hours(common(spans, at_night)),
        weekend_hours=_hours(common(spans, at_weekends)),
        holiday_hours=_hours(on_holidays),
        shifts=sum(map(len, own.values())),
    )


def listed(words):
    """ "Alice", "Alice and Bob", "Alice, Bob and Charlie"."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


# --- the proof ------------------------------------------------------------------------------------------------
def prove(policy, finals, people, *, start, end):
    """Prove that a policy copy (see `chain.copies`) reaches somebody at every moment between two times.

    Somebody is reached where any level has an active person with a verified contact method: a person it names, or, of
    a schedule, the people of the target's role, or of the next roles while none of those can be reached, as in
    `chain.resolve`. A policy that falls back on a person has them at every level. People who are busy or have time off
    count: they are called when nobody else can be.
    """
    open_spans = [(start, end, ())] if start < end else []  # the past proves nothing
    for level in policy["levels"]:
        where = f"Level {level['number']}"
        if not level["targets"]:
            open_spans = [(*span, (*reasons, f"{where} has no targets.")) for *span, reasons in open_spans]
        for target in level["targets"]:
            missed = _missed(target, finals, people, start, end)
            open_spans = [
                (begin, finish, (*one[2], *(f"{where}: {problem}." for problem in other[2])))
                for begin, finish, one, other in _meetings(open_spans, missed)
            ]
    if not policy["levels"]:
        open_spans = [(*span, ("The policy has no levels.",)) for *span, _ in open_spans]
    elif policy["nobody_action"] == "fallback":
        problem = _problem(people, policy["fallback_user"]) if policy["fallback_user"] else "nobody is chosen"
        open_spans = [(*span, (*reasons, f"Fallback: {problem}.")) for *span, reasons in open_spans if problem]
    found = []
    for begin, finish, reasons in open_spans:
        if found and found[-1].end_at == begin and found[-1].reasons == reasons:
            found[-1] = CounterExample(found[-1].start_at, finish, reasons)
        else:
            found.append(CounterExample(begin, finish, reasons))
    return Proof(policy["id"], not found, tuple(found))


def _problem(people, user_id):
    person = people.get(user_id)
    return person.problem if person else "a person who no longer exists was meant"


def _missed(target, finals, people, start, end):
    """Where a target reaches nobody: `[(start, end, (problem, ...))]` in order. A broken schedule's final is None."""
    if target["kind"] == "user":
        problem = _problem(people, target["id"])
        return [(start, end, (problem,))] if problem else []
    if target["id"] not in finals:
        return [(start, end, (f"the schedule {target['name']} no longer exists",))]
    if finals[target["id"]] is None:
        return [(start, end, (f"the schedule {target['name']} cannot be worked out",))]
    wanted = target.get("role", shifts.PRIMARY)
    if wanted not in shifts.CALLED:
        return [(start, end, (f"nobody is ever called as {wanted.lower()}, as {target['name']} wants",))]
    missed = [(start, end, ())]
    for role in shifts.CALLED[shifts.CALLED.index(wanted) :]:
        spans = [(span.start_at, span.end_at, span.people) for span in finals[target["id"]][role]]
        missed = [
            (begin, finish, (*problems, *filter(None, found)))
            for begin, finish, (_, _, problems), (_, _, present) in _meetings(missed, spans)
            if all(found := [_problem(people, each.user_id) for each in present])
        ]
    nobody = (f"nobody is on call in {target['name']}",)
    return [(begin, finish, problems or nobody) for begin, finish, problems in missed]
