"""Who is on call at a time, and why: loads schedules and asks the pure engine."""

import dataclasses
import datetime as dt
import functools
import logging

from django.db import connection
from django.db.models import Q

from accounts.models import Team
from oncall import rotation, shifts, windows
from oncall.models import Availability, FixedShift, Layer, Override, Participant, Restriction, Schedule, TimeOff

logger = logging.getLogger(__name__)

LONGEST = dt.timedelta(days=400)
# How far we look for the shift before or after a time.
NEIGHBOUR = dt.timedelta(days=120)


# --- loading --------------------------------------------------------------------------------------------------
def specs(schedule_ids, *, start, end):
    """`{schedule id: ScheduleSpec}` with all that touches `start <= t <= end`, in one statement.

    Layers that ended before the span are left out, so the past costs nothing. Rows come as JSON, since this stands in
    the way of every page: model instances would take several times as long.
    """
    return {row[0]: _spec(*row[1:]) for row in _rows(schedule_ids, start, end)}


def _rows(schedule_ids, start, end):
    ids = list(schedule_ids)
    if not ids:
        return []
    with connection.cursor() as cursor:
        cursor.execute(_LOAD, {"ids": ids, "start": start, "end": end})
        return cursor.fetchall()


# What `layer_of` reads, in its order.
_LAYER = (
    ("id", "name", "position", "role", "unit", "every", "rule", "start_date", "handoff_time", "time_zone")
    + ("first_slot", "starts_at", "ends_at")
)  # fmt: skip
_LOAD = f"""
WITH layers AS (
    SELECT layer.schedule_id, layer.position, layer.id, json_build_array({", ".join(f"layer.{one}" for one in _LAYER)},
        (SELECT json_agg(json_build_array(position, user_id) ORDER BY position, id)
            FROM {Participant._meta.db_table} WHERE layer_id = layer.id),
        (SELECT json_agg(json_build_array(days, start_time, end_time, until_day) ORDER BY id)
            FROM {Restriction._meta.db_table} WHERE layer_id = layer.id)) AS layer
    FROM {Layer._meta.db_table} layer
    WHERE layer.schedule_id = ANY(%(ids)s) AND (layer.ends_at IS NULL OR layer.ends_at > %(start)s)
), fixed AS (
    SELECT schedule_id, user_id, id, json_build_array(id, user_id, start_at, end_at, role) AS fixed
    FROM {FixedShift._meta.db_table}
    WHERE schedule_id = ANY(%(ids)s) AND start_at <= %(end)s AND end_at > %(start)s
), overrides AS (
    SELECT schedule_id, user_id, id,
        json_build_array(id, user_id, start_at, end_at, role, replaces_id, offer_id) AS override
    FROM {Override._meta.db_table}
    WHERE schedule_id = ANY(%(ids)s) AND start_at <= %(end)s AND end_at > %(start)s
), people AS (
    SELECT layers.schedule_id, participant.user_id
    FROM layers JOIN {Participant._meta.db_table} participant ON participant.layer_id = layers.id
    UNION SELECT schedule_id, user_id FROM fixed
    UNION SELECT schedule_id, user_id FROM overrides
)
SELECT schedule.id, name, time_zone, skips_time_off, layer_rows, fixed_rows, override_rows, absent_rows
FROM {Schedule._meta.db_table} schedule
LEFT JOIN (SELECT schedule_id, json_agg(layer ORDER BY position, id) AS layer_rows FROM layers GROUP BY schedule_id)
    AS layers_of ON layers_of.schedule_id = schedule.id
LEFT JOIN (SELECT schedule_id, json_agg(fixed ORDER BY id) AS fixed_rows FROM fixed GROUP BY schedule_id)
    AS fixed_of ON fixed_of.schedule_id = schedule.id
LEFT JOIN (SELECT schedule_id, json_agg(override ORDER BY id) AS override_rows FROM overrides GROUP BY schedule_id)
    AS overrides_of ON overrides_of.schedule_id = schedule.id
LEFT JOIN (
    SELECT schedule_id, json_agg(json_build_array(user_id, start_at, end_at) ORDER BY user_id, start_at, absent.id)
        AS absent_rows
    FROM people JOIN {TimeOff._meta.db_table} absent USING (user_id)
    WHERE start_at <= %(end)s AND end_at > %(start)s GROUP BY schedule_id
) AS absent_of ON absent_of.schedule_id = schedule.id
WHERE schedule.id = ANY(%(ids)s)
"""


def _spec(name, zone, skips_time_off, layers, fixed, overrides, absent):
    return shifts.ScheduleSpec(
        name=name,
        layers=tuple(_layer(zone, *one) for one in layers or ()),
        overrides=tuple(
            shifts.OverrideSpec(
                number=pk,
                user_id=user_id,
                start_at=dt.datetime.fromisoformat(start_at),
                end_at=dt.datetime.fromisoformat(end_at),
                role=role,
                replaces=replaces,
                via=shifts.SWAP if offer else shifts.OVERRIDE,
            )
            for pk, user_id, start_at, end_at, role, replaces, offer in overrides or ()
        ),
        fixed=tuple(
            shifts.FixedSpec(pk, user_id, dt.datetime.fromisoformat(start), dt.datetime.fromisoformat(end), role)
            for pk, user_id, start, end, role in fixed or ()
        ),
        time_off=tuple(
            shifts.TimeOffSpec(user_id, dt.datetime.fromisoformat(start_at), dt.datetime.fromisoformat(end_at))
            for user_id, start_at, end_at in absent or ()
        ),
        skips_time_off=skips_time_off,
    )


def _layer(zone, *row):
    *row, places, restrictions = row
    values = dict(zip(_LAYER, row, strict=True))
    return layer_of(
        **values
        | {
            "start_date": dt.date.fromisoformat(values["start_date"]),
            "handoff_time": dt.time.fromisoformat(values["handoff_time"]),
            "time_zone": values["time_zone"] or zone,
            "starts_at": values["starts_at"] and dt.datetime.fromisoformat(values["starts_at"]),
            "ends_at": values["ends_at"] and dt.datetime.fromisoformat(values["ends_at"]),
        },
        places=places or (),
        windows=tuple(
            windows.Window(
                tuple(sorted(set(days))), dt.time.fromisoformat(opens), dt.time.fromisoformat(closes), until_day
            )
            for days, opens, closes, until_day in restrictions or ()
        ),
    )


def layer_spec(layer, schedule):
    """A Layer row with its participants and restrictions as values; `specs` loads many of them faster."""
    values = {name: getattr(layer, name) for name in _LAYER} | {"time_zone": layer.time_zone or schedule.time_zone}
    places = [(one.position, one.user_id) for one in layer.participants.all()]
    return layer_of(**values, places=places, windows=tuple(one.window for one in layer.restrictions.all()))


def layer_of(
    *, id, name, position, role, unit, every, rule, start_date, handoff_time, time_zone, first_slot, starts_at,
    ends_at, places, windows,
):  # fmt: skip
    """A LayerSpec from the columns of a layer and its `places`, `[(position, user id or None)]` in order."""
    slots = {}
    for place, user_id in places:
        slot = slots.setdefault(place, [])
        if user_id and user_id not in slot:
            slot.append(user_id)
    return shifts.LayerSpec(
        number=id,
        name=name,
        position=position,
        rotation=rotation.Rotation(unit, every, start_date, handoff_time, time_zone, rule),
        slots=tuple(tuple(slots[place]) for place in sorted(slots)),
        role=role,
        first_slot=first_slot,
        windows=windows,
        starts_at=starts_at,
        ends_at=ends_at,
    )


# --- one moment -----------------------------------------------------------------------------------------------
def who_many(schedule_ids, *, at):
    """`{schedule id: roster}` at one time; a roster is `{role: (OnCall, ...)}` with every role."""
    return {pk: shifts.roster(spec, at) for pk, spec in specs(schedule_ids, start=at, end=at).items()}


def rosters(schedule_ids, *, at):
    """As `who_many`, for whoever is called: `({schedule id: roster}, {schedule id: why there is none})`.

    A schedule that cannot be worked out, for example because its zone is no more, stops nobody else's page.
    """
    found, broken = {}, {}
    for pk, *row in _rows(schedule_ids, at, at):
        try:
            found[pk] = shifts.roster(_spec(*row), at)
        except Exception as error:  # whoever it is: the other schedules have people to call
            logger.warning("Who is on call in schedule %s cannot be worked out.", pk, exc_info=True)
            broken[pk] = f"{type(error).__name__}: {error}"
    return found, broken


@dataclasses.dataclass(frozen=True)
class Answer:
    """One person on call, and why. `unavailable` is a sentence when they would be skipped now, else empty."""

    user_id: int
    role: str
    why: str
    via: str
    schedule_id: int | None
    until: dt.datetime | None = None
    instead_of: int | None = None
    is_off: bool = False
    unavailable: str = ""
    level: int | None = None


@functools.singledispatch
def who(subject, *, at):
    """Who is on call for a schedule, a team or a service at a time: Answers, those who are called first first.

    A team means all its schedules. A service means the levels of its policy; the catalog registers that.
    """
    raise TypeError(f"Nobody can be on call for {subject!r}.")


@who.register
def _(schedule: Schedule, *, at):
    return answers([schedule.pk], at=at)


@who.register
def _(team: Team, *, at):
    return answers(list(team.schedules.order_by("name").values_list("pk", flat=True)), at=at)


def answers(schedule_ids, *, at):
    """The Answers of these schedules, in their order, and within each by role."""
    found = who_many(schedule_ids, at=at)
    people = [(pk, one) for pk in schedule_ids for role in shifts.ROLES for one in found.get(pk, {}).get(role, ())]
    away = unavailable({one.user_id for _, one in people}, at=at)
    return [
        Answer(
            user_id=one.user_id,
            role=one.role,
            why=one.why,
            via=one.via,
            schedule_id=pk,
            until=one.until,
            instead_of=one.instead_of,
            is_off=one.is_off,
            unavailable=away.get(one.user_id, ""),
        )
        for pk, one in people
    ]


def unavailable(user_ids, *, at):
    """`{user id: sentence}` for those of them who are busy, offline or away at `at`."""
    rows = Availability.objects.filter(user_id__in=set(user_ids)).exclude(status=Availability.Status.AVAILABLE)
    return {one.user_id: _words(one) for one in rows.select_related("user").order_by() if one.holds(at)}


def _words(availability):
    until = f" until {availability.until_at:%Y-%m-%d %H:%M} UTC" if availability.until_at else ""
    note = f" ({availability.note})" if availability.note else ""
    return f"{availability}{until}{note}"


def teams_now(*, at, teams=None):
    """`[(team, [(schedule, roster)])]` for the teams that have schedules."""
    teams = Team.objects.all() if teams is None else teams
    schedules = list(Schedule.objects.filter(team__in=teams).select_related("team").order_by("team__name", "name"))
    people = who_many([one.pk for one in schedules], at=at)
    grouped = {}
    for one in schedules:
        grouped.setdefault(one.team, []).append((one, people.get(one.pk, {})))
    return list(grouped.items())


# --- a span ---------------------------------------------------------------------------------------------------
def final(schedule, *, start, end, role=shifts.PRIMARY):
    """The final schedule of one role for a span of at most 400 days, as a list of Span."""
    return finals([schedule.pk], start=start, end=end, roles=[role])[schedule.pk][role]


def finals(schedule_ids, *, start, end, roles=shifts.ROLES):
    """`{schedule id: {role: [Span, ...]}}` for a span of at most 400 days."""
    end = min(end, start + LONGEST)
    return {
        pk: {role: shifts.final(spec, start, end, role) for role in roles}
        for pk, spec in specs(schedule_ids, start=start, end=end).items()
    }


def shifts_of(user_id, *, start, end):
    """`[(schedule id, Shift)]` of one person in all schedules and roles that touch the span, by start."""
    found = []
    for pk, roles in finals(schedules_with(user_id, start, end), start=start, end=end).items():
        for spans in roles.values():
            found += [(pk, one) for one in shifts.shifts(spans) if one.user_id == user_id]
    return sorted(found, key=lambda one: (one[1].start_at, one[0]))


def schedules_with(user_id, start, end):
    """The schedules in which somebody may have a shift in the span."""
    in_span = {"start_at__lte": end, "end_at__gt": start}
    return Schedule.objects.filter(
        Q(pk__in=Layer.objects.filter(participants__user_id=user_id).values("schedule_id"))
        | Q(pk__in=FixedShift.objects.filter(user_id=user_id, **in_span).values("schedule_id"))
        | Q(pk__in=Override.objects.filter(user_id=user_id, **in_span).values("schedule_id"))
    ).values_list("pk", flat=True)


def next_shift(user_id, *, after):
    """`(schedule id, Shift)` of the person's first shift that starts after `after`, or None in the next 120 days."""
    later = shifts_of(user_id, start=after, end=after + NEIGHBOUR)
    return next((one for one in later if one[1].start_at > after), None)


def previous_shift(user_id, *, before):
    """`(schedule id, Shift)` of the person's last shift that ended by `before`, or None in the 120 days before."""
    # A shift that goes on past `before` would look cut off there.
    earlier = shifts_of(user_id, start=before - NEIGHBOUR, end=before + dt.timedelta(seconds=1))
    return next((one for one in reversed(earlier) if one[1].end_at <= before), None)
