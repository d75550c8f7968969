"""Who is on call at a time, and why: loads schedules and asks the pure engine."""

import datetime as dt

from accounts.models import Team
from oncall import rotation, shifts
from oncall.models import Override, Schedule


def specs(schedule_ids, *, start, end):
    """`{schedule id: ScheduleSpec}` with the overrides that touch the span, in four queries however many there are."""
    schedules = Schedule.objects.filter(pk__in=schedule_ids).prefetch_related("layers__participants")
    overrides = {}
    for row in Override.objects.filter(schedule_id__in=schedule_ids, start_at__lte=end, end_at__gt=start):
        spec = shifts.OverrideSpec(row.pk, row.user_id, row.start_at, row.end_at)
        overrides.setdefault(row.schedule_id, []).append(spec)
    return {one.pk: _spec(one, tuple(overrides.get(one.pk, ()))) for one in schedules}


def _spec(schedule, overrides):
    layers = tuple(
        shifts.LayerSpec(
            name=layer.name,
            position=layer.position,
            rotation=rotation.Rotation(
                layer.unit, layer.every, layer.start_date, layer.handoff_time, schedule.time_zone
            ),
            participants=tuple(one.user_id for one in layer.participants.all()),
            ends_at=layer.ends_at,
        )
        for layer in schedule.layers.all()
    )
    return shifts.ScheduleSpec(schedule.name, layers, overrides)


def who_many(schedule_ids, *, at):
    """`{schedule id: OnCall or None}` at one time."""
    ids = list(schedule_ids)
    if not ids:
        return {}
    return {pk: shifts.on_call(spec, at) for pk, spec in specs(ids, start=at, end=at).items()}


def who(schedule, *, at):
    """The OnCall of one schedule at a time, or None."""
    return who_many([schedule.pk], at=at).get(schedule.pk)


def final(schedule, *, start, end):
    """The final schedule of one schedule for a span of at most 400 days, as a list of Shift."""
    end = min(end, start + dt.timedelta(days=400))
    return shifts.final(specs([schedule.pk], start=start, end=end)[schedule.pk], start, end)


def teams_now(*, at, teams=None):
    """`[(team, [(schedule, OnCall or None)])]` for the teams that have schedules."""
    teams = Team.objects.all() if teams is None else teams
    schedules = list(Schedule.objects.filter(team__in=teams).select_related("team").order_by("team__name", "name"))
    people = who_many([one.pk for one in schedules], at=at)
    grouped = {}
    for one in schedules:
        grouped.setdefault(one.team, []).append((one, people.get(one.pk)))
    return list(grouped.items())
