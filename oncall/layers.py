"""Change the layers of a schedule so that the past stays as it was: what has begun ends, and another row follows it.

An editor hands in drafts of all running layers. A draft that says what its layer says changes nothing. A layer that
has begun is ended and followed by a new row; one that begins at this very moment or later is changed in place.

Where only the participants or the restrictions change, whoever is on turn stays on turn until the handoff.
"""

import dataclasses
import datetime as dt

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import transaction

from core.errors import IllegalMove
from oncall import lookup, rotation, scheduling, shifts, windows
from oncall.models import Layer, Participant, Restriction, TimeOff
from oncall.models.schedules import check_zone, is_zone

MOST_LAYERS, MOST_SLOTS, MOST_IN_A_SLOT, MOST_RESTRICTIONS = 50, 200, 20, 20
YEARS = range(1990, scheduling.LAST_YEAR + 1)
EVER, FOR_EVER = dt.datetime(YEARS[0], 1, 1, tzinfo=dt.UTC), dt.datetime(YEARS[-1], 12, 31, tzinfo=dt.UTC)
# What a draft takes from its layer, and the part of it that says when the handoffs are.
FIELDS = (
    "name",
    "position",
    "role",
    "unit",
    "every",
    "rule",
    "start_date",
    "handoff_time",
    "time_zone",
    "first_slot",
    "starts_at",
    "ends_at",
)
ANCHOR = ("unit", "every", "rule", "start_date", "handoff_time", "time_zone", "first_slot")
# Instead of Django's words, which do not say what to change.
SENTENCES = {
    "every": "A shift lasts 1 to 365 units. Choose a number from 1 to 365.",
    "start_date": f"Choose a start date from {YEARS[0]}-01-01 to {YEARS[-1]}-01-01.",
}


@dataclasses.dataclass
class LayerDraft:
    """What a layer shall be. `slots` are the people on call together, in order; an empty list is an empty slot.

    `restrictions` are unsaved rows, `layer` is the running layer that this changes, if any. A start in the past means
    now. A start in the future, or a first shift in the future, lets the layer that it changes hold until then.
    """

    name: str = "Layer 1"
    position: int = 1
    role: str = shifts.PRIMARY
    unit: str = rotation.WEEK
    every: int = 1
    rule: str = ""
    start_date: dt.date | None = None
    handoff_time: dt.time = dt.time(9)
    time_zone: str = ""
    first_slot: int = 0
    starts_at: dt.datetime | None = None
    ends_at: dt.datetime | None = None
    slots: list = dataclasses.field(default_factory=list)
    restrictions: list = dataclasses.field(default_factory=list)
    layer: Layer | None = None

    @property
    def user_slots(self):
        """The ids of the people, slot by slot; nobody stands in a slot twice."""
        return tuple(tuple(dict.fromkeys(user.pk for user in slot)) for slot in self.slots)

    @property
    def windows(self):
        return tuple(one.window for one in self.restrictions)

    def hands_over_like(self, layer):
        """Whether its handoffs are at the same times as the layer's."""
        return all(getattr(self, name) == getattr(layer, name) for name in ANCHOR if name != "first_slot")

    def rotation(self, schedule):
        """When its handoffs are. The draft must have no problems."""
        zone = self.time_zone or schedule.time_zone
        # A schedule whose zone the system does not know any more must be open to repair.
        zone = zone if is_zone(zone) else "UTC"
        return rotation.Rotation(self.unit, self.every, self.start_date, self.handoff_time, zone, self.rule)


def draft_of(layer):
    """The draft that says what this layer says."""
    return LayerDraft(
        **{name: getattr(layer, name) for name in FIELDS},
        slots=_slots(layer),
        restrictions=[_copy(one) for one in layer.restrictions.all()],
        layer=layer,
    )


def drafts_of(schedule, *, now):
    """Drafts of all running layers, in their order."""
    return [draft_of(layer) for layer in _running(schedule, now)]


def _slots(layer):
    slots = {}
    for one in layer.participants.all():
        slot = slots.setdefault(one.position, [])
        if one.user_id and one.user not in slot:
            slot.append(one.user)
    return [slots[position] for position in sorted(slots)]


def _copy(restriction):
    return Restriction(
        days=list(restriction.days),
        start_time=restriction.start_time,
        end_time=restriction.end_time,
        until_day=restriction.until_day,
    )


def _running(schedule, now):
    rows = schedule.layers.running(now).prefetch_related("participants__user", "restrictions")
    return list(rows.order_by("position", "id"))


# --- what is wrong --------------------------------------------------------------------------------------------
def problems(schedule, drafts, *, now=None):
    """Everything that is wrong with these drafts, in words: `{index: {field: [sentences]}}`, empty when fine.

    The field "" is for the layer as a whole. With `now`, an end in the past is a problem too.
    """
    found = {}
    for number, draft in enumerate(drafts):
        if wrong := _problems(schedule, draft, now):
            found[number] = wrong
    if len(drafts) > MOST_LAYERS:
        _note(found.setdefault(MOST_LAYERS, {}), "", f"A schedule has at most {MOST_LAYERS} layers. Delete some.")
    _check_positions(schedule, drafts, found)
    return found


def _note(wrong, field, sentence):
    wrong.setdefault(field, []).append(sentence)


def _problems(schedule, draft, now):
    wrong = {}
    row = Layer(schedule=schedule, **{name: getattr(draft, name) for name in FIELDS})
    try:
        row.full_clean(exclude=["schedule", "follows"], validate_unique=False, validate_constraints=False)
    except ValidationError as error:
        for field, errors in error.error_dict.items():
            field = "" if field == NON_FIELD_ERRORS else field
            is_range = errors[0].code in ("min_value", "max_value")
            wrong[field] = [SENTENCES[field]] if is_range and field in SENTENCES else _messages(errors)
    for field in ("starts_at", "ends_at"):
        at = getattr(draft, field)
        if at is not None and at.year not in YEARS:
            _note(wrong, field, f"Choose a time in the years {YEARS[0]} to {YEARS[-1]}.")
    _check_slots(schedule, draft, wrong)
    _check_restrictions(draft, wrong)
    if not wrong:
        _check_end(schedule, draft, now, wrong)
    return wrong


def _messages(errors):
    return [message for error in errors for message in error.messages]


def _check_slots(schedule, draft, wrong):
    layer = f"Layer {draft.name}"
    if not any(draft.slots):
        _note(wrong, "slots", f"{layer} has no participants. Add one, or delete the layer.")
    if len(draft.slots) > MOST_SLOTS:
        _note(wrong, "slots", f"{layer} has more than {MOST_SLOTS} places in its order. Take some out.")
    known = {user.pk for slot in _slots(draft.layer) for user in slot} if draft.layer else set()
    unfit = {}  # who stood there before may stay: coverage tells of them
    for number, slot in enumerate(draft.slots, start=1):
        if len(slot) > MOST_IN_A_SLOT:
            _note(wrong, "slots", f"Place {number} of {layer} has more than {MOST_IN_A_SLOT} people. Take some out.")
        seen = set()
        for user in slot:
            if user.pk in seen:
                _note(wrong, "slots", f"{user} stands twice in place {number} of {layer}. Take one out.")
            seen.add(user.pk)
            if user.pk not in known and (trouble := scheduling.unfit(user, draft.role, schedule)):
                unfit[user.pk] = trouble
    for trouble in unfit.values():
        _note(wrong, "slots", f"{layer}: {trouble}")


def _check_restrictions(draft, wrong):
    if len(draft.restrictions) > MOST_RESTRICTIONS:
        _note(
            wrong, "restrictions", f"Layer {draft.name} has more than {MOST_RESTRICTIONS} restrictions. Delete some."
        )
        return
    for one in draft.restrictions:
        try:
            one.full_clean(exclude=["layer"], validate_unique=False, validate_constraints=False)
        except ValidationError as error:
            for sentence in error.messages:
                if sentence not in wrong.get("restrictions", ()):
                    _note(wrong, "restrictions", sentence)


def _check_end(schedule, draft, now, wrong):
    """A layer that ends before it can ever hold is a mistake; one that was ended soon after it began is none."""
    if draft.ends_at is None or (draft.layer and _face(draft) == _face(draft_of(draft.layer))):
        return
    if now is not None and draft.ends_at <= now:
        _note(wrong, "ends_at", f"The end of layer {draft.name} is over. Choose a later end, or delete the layer.")
        return
    turns = draft.rotation(schedule)
    begin = _begin(turns, draft.starts_at)
    if draft.ends_at <= begin:
        at = begin.astimezone(turns.tz)
        _note(
            wrong,
            "ends_at",
            f"Layer {draft.name} ends before its first shift on {at:%Y-%m-%d} at {at:%H:%M}. "
            "Choose a later end, or an earlier start.",
        )
    elif draft.restrictions:
        if draft.layer is None and now is not None:
            begin = max(begin, now)  # a new layer holds nothing in the past
        soon = min(draft.ends_at, begin + dt.timedelta(days=9))
        if not windows.openings(draft.windows, begin, soon, turns.tz):
            _note(
                wrong,
                "ends_at",
                f"Layer {draft.name} ends before its restrictions first open. Choose a later end.",
            )


def _check_positions(schedule, drafts, found):
    """In one role, no two layers of one position at one time: it would be chance which wins."""
    holding = {}
    for number, draft in enumerate(drafts):
        if {"position", "role", "starts_at", "ends_at"} & set(found.get(number, ())):
            continue
        span = _held(schedule, draft, found.get(number))
        for other, (begin, finish) in holding.setdefault((draft.role, draft.position), []):
            if span[0] < finish and begin < span[1] and not (_hands_over(other, draft) or _hands_over(draft, other)):
                _note(
                    found.setdefault(number, {}),
                    "position",
                    f"Layer {draft.name} has the same position as layer {other.name}. "
                    "Give each layer of a role a position of its own.",
                )
                break
        holding[draft.role, draft.position].append((draft, span))


def _hands_over(one, other):
    """Whether the first holds until the second, which follows it, begins. Where that begins its end goes along."""
    return (
        bool(one.layer and other.layer)
        and other.layer.follows_id == one.layer.pk
        and one.ends_at is not None
        and one.ends_at == one.layer.ends_at
    )


def _held(schedule, draft, wrong):
    """From when until when the draft holds; the widest span where we cannot tell."""
    earliest, latest = dt.datetime.min.replace(tzinfo=dt.UTC), dt.datetime.max.replace(tzinfo=dt.UTC)
    begin = draft.starts_at or earliest
    if not wrong:
        begin = _begin(draft.rotation(schedule), draft.starts_at)
    return begin, draft.ends_at or latest


def _begin(turns, starts_at):
    """When a layer first holds: its first handoff, or its start if that is later."""
    first = rotation.handoff(turns, 0)
    return max(first, starts_at) if starts_at else first


def check(schedule, drafts, *, now=None):
    """Raise ValidationError with every sentence of `problems`."""
    found = problems(schedule, drafts, now=now)
    if found:
        raise ValidationError([sentence for wrong in found.values() for each in wrong.values() for sentence in each])


# --- what a change means --------------------------------------------------------------------------------------
@dataclasses.dataclass(frozen=True)
class _Step:
    """One row as it shall be. `row` is the layer that stays or is changed; `draft` says what is written, if anything.

    Without a draft the row ends at `ends_at`, or is deleted when it would never have held (`is_gone`).
    """

    row: Layer | None = None
    draft: LayerDraft | None = None
    starts_at: dt.datetime | None = None
    ends_at: dt.datetime | None = None
    first_slot: int = 0
    follows: Layer | None = None
    is_gone: bool = False


def _plan(schedule, drafts, running, now, old_zone=None):
    """The steps from the running layers to these drafts. `old_zone`: that of the schedule, if it changes too."""
    old_zone = old_zone or schedule.time_zone
    rows = {layer.pk: layer for layer in running}
    steps = []
    for draft in drafts:
        row = rows.pop(draft.layer.pk) if draft.layer else None
        if row is None:
            steps.append(_written(schedule, draft, None, draft.first_slot, now))
        else:
            steps += _changed(schedule, draft, row, now, old_zone)
    for row in rows.values():
        has_begun = _has_begun(row, old_zone, now)
        steps.append(_Step(row=row, ends_at=now) if has_begun else _Step(row=row, is_gone=True))
    return _joined(schedule, steps, old_zone)


def _joined(schedule, steps, old_zone):
    """Where a layer to come begins at another time now, the one that holds until then ends at that time."""
    ends = {}
    for step in steps:
        if step.row and step.draft and step.row.follows_id:
            begin = _begin(step.draft.rotation(schedule), step.starts_at)
            ends[step.row.follows_id, _begin_of(step.row, old_zone)] = begin
    joined = []
    for step in steps:
        before = step.follows or step.row
        end = ends.get((before.pk, step.ends_at)) if before else None
        if end:
            end = max(end, step.starts_at) if step.starts_at else end
            step = dataclasses.replace(step, ends_at=end)
        joined.append(step)
    return joined


def _begin_of(row, zone):
    """When a saved layer first holds, in a schedule of this zone."""
    zone = row.time_zone or zone
    zone = zone if is_zone(zone) else "UTC"
    turns = rotation.Rotation(row.unit, row.every, row.start_date, row.handoff_time, zone, row.rule)
    return _begin(turns, row.starts_at)


def _has_begun(row, zone, now):
    """One whose zone the system does not know any more has no past to keep: changed in place, it works again."""
    return is_zone(row.time_zone or zone) and _begin_of(row, zone) < now


def _changed(schedule, draft, row, now, old_zone):
    old = draft_of(row)
    has_begun = _has_begun(row, old_zone, now)
    if has_begun and (draft.starts_at is None or draft.starts_at <= now):
        draft = dataclasses.replace(draft, starts_at=row.starts_at)  # it has started: any start in the past will do
    has_moved = not draft.time_zone and old_zone != schedule.time_zone
    # A new end alone, which lies in the future, needs no new row: there is no past to keep.
    if not has_moved and _face(dataclasses.replace(draft, ends_at=row.ends_at)) == _face(old):
        return [_Step(row=row, ends_at=draft.ends_at)]
    begin = max(now, _begin(draft.rotation(schedule), draft.starts_at))
    if draft.ends_at and draft.ends_at <= begin:
        return [_Step(row=row, ends_at=draft.ends_at)]  # it ends before a new zone would count
    first_slot = _first_slot(schedule, draft, old, begin)
    if not has_begun:
        return [_written(schedule, draft, row, first_slot, now)]
    ended = _Step(row=row, ends_at=min(row.ends_at, begin) if row.ends_at else begin)
    follower = _written(schedule, draft, None, first_slot, now)
    # Until the new one begins the old one holds, so that nobody is missing in between.
    return [ended, dataclasses.replace(follower, follows=row)]


def _written(schedule, draft, row, first_slot, now):
    starts_at = draft.starts_at
    if (starts_at is None or starts_at < now) and rotation.handoff(draft.rotation(schedule), 0) < now:
        starts_at = now  # it would change the past
    return _Step(row=row, draft=draft, starts_at=starts_at, ends_at=draft.ends_at, first_slot=first_slot)


def _face(draft):
    """All that a draft says, to compare."""
    windows_of = tuple(
        (tuple(sorted(set(one.days))), one.start_time, one.end_time, one.until_day) for one in draft.restrictions
    )
    return tuple(getattr(draft, name) for name in FIELDS), draft.user_slots, windows_of


def _first_slot(schedule, draft, old, at):
    """With which slot the new layer starts, so that whoever is on turn at `at` stays on turn.

    Where the draft changes when the handoffs are, or who starts, it means what it says.
    """
    turns, new_slots, old_slots = draft.rotation(schedule), draft.user_slots, old.user_slots
    if any(getattr(draft, name) != getattr(old, name) for name in ANCHOR) or not old_slots:
        return draft.first_slot
    if rotation.handoff(turns, 0) >= at:
        return draft.first_slot  # nobody had a turn yet
    number = rotation.turn(turns, at)
    place = (windows.ordinal(turns, old.windows, number) + old.first_slot) % len(old_slots)
    target = _successor(old_slots, new_slots, place)
    return (target - windows.ordinal(turns, draft.windows, number)) % len(new_slots)


def _successor(old, new, place):
    """The place in `new` of the slot at `place` in `old`; if it is gone, of its replacement or of the next one."""
    if (found := _same(old, new, place)) is not None:
        return found
    if len(old) == len(new) and not set(new[place]) & {user_id for slot in old for user_id in slot}:
        return place  # somebody new took over the place
    for step in range(1, len(old)):
        if (found := _same(old, new, (place + step) % len(old))) is not None:
            return found
    return place % len(new)


def _same(old, new, place):
    """Where in `new` the slot at `place` of `old` is: the same people, else most of them. None when they are gone."""
    slot = set(old[place])
    equal = [number for number, one in enumerate(new) if set(one) == slot]
    if equal:
        before = sum(set(one) == slot for one in old[:place])  # somebody may stand in the order several times
        return equal[min(before, len(equal) - 1)]
    best = max(range(len(new)), key=lambda number: len(slot & set(new[number])))
    return best if slot & set(new[best]) else None


# --- verbs ----------------------------------------------------------------------------------------------------
@transaction.atomic
def change_layers(schedule_id, drafts, *, by, now, known=None):
    """Make these drafts the running layers of the schedule; the past stays as it was. Returns the running layers.

    The drafts are all of them: a running layer without a draft ends now, or is deleted if it has not begun. `known`
    may be the ids of the running layers that the editor saw, so that nothing is lost that somebody added meanwhile.
    Raises ValidationError with all sentences of `problems`.
    """
    schedule = scheduling.lock(schedule_id)
    running = _running(schedule, now)
    there = {layer.pk for layer in running}
    drafted = [draft.layer.pk for draft in drafts if draft.layer]
    if not set(drafted) <= there or (known is not None and set(known) != there):
        raise IllegalMove(
            f"Somebody changed the layers of {schedule} meanwhile. Load them again, and repeat your change."
        )
    if len(set(drafted)) < len(drafted):
        raise ValidationError(f"A layer of {schedule} is given twice. Give each one once.")
    check(schedule, drafts, now=now)
    for step in _plan(schedule, drafts, running, now):
        _carry_out(schedule, step)
    scheduling.changed([schedule.pk], now=now)
    return _running(schedule, now)


def _carry_out(schedule, step):
    if step.is_gone:
        step.row.delete()
    elif step.draft is None:
        if step.row.ends_at != step.ends_at:
            step.row.ends_at = step.ends_at
            step.row.save(update_fields=["ends_at"])
    else:
        _write(schedule, step)


def _write(schedule, step):
    row = step.row or Layer(schedule=schedule, follows=step.follows)
    for name in FIELDS:
        setattr(row, name, getattr(step.draft, name))
    row.starts_at, row.ends_at, row.first_slot = step.starts_at, step.ends_at, step.first_slot
    row.save(update_fields=FIELDS if step.row else None)  # whom it follows may have changed meanwhile
    if step.follows:
        # A change that was planned for later follows this one now.
        schedule.layers.filter(follows=step.follows).exclude(pk=row.pk).update(follows=row)
    if step.row:
        row.participants.all().delete()
        row.restrictions.all().delete()
    Participant.objects.bulk_create(
        Participant(layer=row, user_id=user_id, position=position)
        for position, slot in enumerate(step.draft.user_slots)
        for user_id in slot or (None,)
    )
    for one in step.draft.restrictions:
        copy = _copy(one)
        copy.layer = row
        copy.save()


@transaction.atomic
def change_zone(schedule_id, time_zone, *, by, now):
    """Give the schedule another time zone from now on. Layers that ended keep the old one, written down.

    Running layers without a zone of their own are ended and followed; whose turn it is goes on by the clock.
    """
    try:
        check_zone(time_zone)
    except ValidationError as error:
        raise ValidationError({"time_zone": error.messages}) from error
    schedule = scheduling.lock(schedule_id)
    old_zone = schedule.time_zone
    if old_zone == time_zone:
        return schedule
    if not is_zone(old_zone):  # so nobody was on call, and there is no past to keep
        schedule.time_zone = time_zone
        schedule.save(update_fields=["time_zone"])
        scheduling.changed([schedule.pk], now=now)
        return schedule
    running = [layer for layer in _running(schedule, now) if not layer.time_zone]
    to_come = [layer.pk for layer in running if _begin_of(layer, old_zone) >= now]
    drafts = [draft_of(layer) for layer in running]
    schedule.layers.filter(time_zone="").exclude(pk__in=to_come).update(time_zone=old_zone)
    schedule.time_zone = time_zone
    schedule.save(update_fields=["time_zone"])
    for step in _plan(schedule, drafts, running, now, old_zone=old_zone):
        _carry_out(schedule, step)
    scheduling.changed([schedule.pk], now=now)
    return schedule


# --- preview --------------------------------------------------------------------------------------------------
def preview(schedule, drafts, *, start, end, now=None):
    """`{role: [Span]}`: the final schedule between two times, as if the drafts were saved at `now` (else `start`)."""
    spec = spec_of(schedule, drafts, start=start, end=end, now=now)
    return {role: shifts.final(spec, start, end, role) for role in shifts.ROLES}


def spec_of(schedule, drafts, *, start=None, end=None, now=None):
    """The schedule as values, as if the drafts were saved at `now` (else at `start`), with all that stands above them.

    Nothing is written, and the schedule may be new. Without any time the drafts count from ever on. Raises
    ValidationError with all sentences of `problems`.
    """
    check(schedule, drafts, now=now)
    start, end = start or EVER, end or FOR_EVER
    now = start if now is None else now
    stored, running = None, []
    if schedule.pk:
        stored = type(schedule).objects.get(pk=schedule.pk)
        running = _running(schedule, now)
        spec = lookup.specs([schedule.pk], start=min(start, now), end=end)[schedule.pk]
    else:
        spec = shifts.ScheduleSpec(schedule.name, ())
    there = {layer.pk for layer in running}
    drafts = [draft if draft.layer is None or draft.layer.pk in there else _new(draft) for draft in drafts]
    steps = _plan(schedule, drafts, running, now, old_zone=stored.time_zone if stored else None)
    layers = {layer.number: layer for layer in spec.layers}
    for number, step in enumerate(steps, start=1):
        if step.draft:
            number = step.row.pk if step.row else -number
            layers[number] = _layer_spec(schedule, step, number)
        elif step.is_gone:
            layers.pop(step.row.pk, None)
        elif step.row.pk in layers:
            layers[step.row.pk] = dataclasses.replace(layers[step.row.pk], ends_at=step.ends_at)
    layers = tuple(sorted(layers.values(), key=lambda layer: (layer.position, layer.number)))
    people = {one.user_id for one in (*spec.fixed, *spec.overrides)}
    people.update(user_id for layer in layers for slot in layer.slots for user_id in slot)
    rows = TimeOff.objects.filter(user_id__in=people, start_at__lte=end, end_at__gt=start)
    time_off = tuple(
        shifts.TimeOffSpec(*values)
        for values in rows.order_by("user_id", "start_at", "id").values_list("user_id", "start_at", "end_at")
    )
    return dataclasses.replace(
        spec, name=schedule.name, layers=layers, time_off=time_off, skips_time_off=schedule.skips_time_off
    )


def _new(draft):
    return dataclasses.replace(draft, layer=None)


def _layer_spec(schedule, step, number):
    draft = step.draft
    return shifts.LayerSpec(
        number=number,
        name=draft.name,
        position=draft.position,
        rotation=draft.rotation(schedule),
        slots=draft.user_slots,
        role=draft.role,
        first_slot=step.first_slot,
        windows=draft.windows,
        starts_at=step.starts_at,
        ends_at=step.ends_at,
    )
