"""Coverage of schedules, teams and policies: loads everything in a constant number of queries, asks `coverage`."""

import datetime as dt
import logging
from collections import defaultdict

from django.db.models import Q

from accounts.models import User
from notifications import outbox
from oncall import chain, coverage, lookup, shifts
from oncall.coverage import CounterExample, Load, Problem, Proof, Report
from oncall.models import FixedShift, Holiday, Override, Participant, Schedule, TargetKind

__all__ = [
    "HORIZON",
    "CounterExample",
    "Load",
    "Problem",
    "Proof",
    "Report",
    "of_draft",
    "of_schedules",
    "of_team",
    "proof",
]

logger = logging.getLogger(__name__)

# How far one looks when nothing else is said: four weeks hold a turn of everybody in most rotations.
HORIZON = dt.timedelta(days=28)
NEW = 0  # stands for the id of a schedule that is not saved yet


def of_schedules(schedule_ids, *, start, end=None, now):
    """The Report of these schedules for a span of at most 400 days.

    Double bookings are also found with the other schedules in which their people stand.
    """
    end = min(end or start + HORIZON, start + lookup.LONGEST)
    ids = list(dict.fromkeys(schedule_ids))
    return _report(ids, lookup.specs(ids, start=start, end=end), start, end, now)


def of_draft(schedule, spec, *, start, end=None, now):
    """The Report of a schedule as somebody edits it, saved or new: `spec` says what it would be."""
    end = min(end or start + HORIZON, start + lookup.LONGEST)
    pk = schedule.pk or NEW
    return _report([pk], {pk: spec}, start, end, now, draft=schedule)


def _report(ids, specs, start, end, now, draft=None):
    others = lookup.specs(_others(specs, ids, start, end), start=start, end=end)
    finals = {**_finals(specs, start, end), **_finals_of_others(others, start, end)}
    facts = _facts({**specs, **others}, start, end, draft)
    people = _people(_everybody(finals) | _participants(specs))
    return coverage.report([pk for pk in ids if pk in specs], finals, facts, people, start=start, end=end, now=now)


def of_team(team, *, start, end=None, now):
    """The Report of all schedules of a team."""
    ids = Schedule.objects.filter(team=team).values_list("pk", flat=True)
    return of_schedules(ids, start=start, end=end, now=now)


def proof(policy_ids, *, start, end=None, now):
    """A Proof for each of these policies that exists, in their order.

    Who can be reached is known for `now` only, so what was over by then is left out.
    """
    end = min(end or start + HORIZON, start + lookup.LONGEST)
    return prove(chain.copies(policy_ids), policy_ids, start=max(start, now), end=end)


def prove(copies, policy_ids, *, start, end):
    """The Proofs of policy copies, `{policy id: copy}`, in this order of their ids. The copies may be unsaved ones."""
    targets = [target for copy in copies.values() for level in copy["levels"] for target in level["targets"]]
    ids = {one["id"] for one in targets if one["kind"] == TargetKind.SCHEDULE}
    specs = lookup.specs(ids, start=start, end=end)
    # One that cannot be worked out reaches nobody, and the other targets are called all the same; see `chain.resolve`.
    finals = {**dict.fromkeys(specs), **_finals_of_others(specs, start, end)}
    named = {one["id"] for one in targets if one["kind"] == TargetKind.USER}
    named |= {copy["fallback_user"] for copy in copies.values()} - {None}
    people = _people(_everybody({pk: roles for pk, roles in finals.items() if roles}) | named)
    return [
        coverage.prove(copies[pk], finals, people, start=start, end=end)
        for pk in dict.fromkeys(policy_ids)
        if pk in copies
    ]


def _finals(specs, start, end):
    return {pk: {role: shifts.final(spec, start, end, role) for role in shifts.ROLES} for pk, spec in specs.items()}


def _finals_of_others(specs, start, end):
    """The same, without those that cannot be worked out: one broken schedule must not hide what others lack."""
    found = {}
    for pk, spec in specs.items():
        try:
            found |= _finals({pk: spec}, start, end)
        except Exception:  # see above; the daily look at its own team raises the alarm
            logger.warning("Schedule %s cannot be worked out and is left out of a report.", pk, exc_info=True)
    return found


def _others(specs, ids, start, end):
    """The other schedules in which the people of these may be on call in the span."""
    people = _participants(specs)
    in_span = {"user_id__in": people, "start_at__lt": end, "end_at__gt": start}
    running = Q(layer__ends_at=None) | Q(layer__ends_at__gt=start)
    return (
        Schedule.objects.filter(
            Q(pk__in=Participant.objects.filter(running, user_id__in=people).values("layer__schedule_id"))
            | Q(pk__in=FixedShift.objects.filter(**in_span).values("schedule_id"))
            | Q(pk__in=Override.objects.filter(**in_span).values("schedule_id"))
        )
        .exclude(pk__in=ids)
        .values_list("pk", flat=True)
    )


def _participants(specs):
    """Everybody who stands anywhere in these schedules."""
    people = set()
    for spec in specs.values():
        people.update(one.user_id for one in (*spec.fixed, *spec.overrides))
        people.update(user_id for layer in spec.layers for slot in layer.slots for user_id in slot)
    return people


def _everybody(finals):
    return {
        one.user_id for roles in finals.values() for spans in roles.values() for span in spans for one in span.people
    }


def _facts(specs, start, end, draft=None):
    rows = [one for one in Schedule.objects.filter(pk__in=specs) if draft is None or one.pk != draft.pk]
    rows += [draft] if draft else []
    days = defaultdict(set)
    holidays = Holiday.objects.filter(
        Q(team=None) | Q(team__in={one.team_id for one in rows}),
        day__gte=start.date() - coverage.DAY,
        day__lte=end.date() + coverage.DAY,
    )
    for team_id, day in holidays.values_list("team_id", "day"):
        days[team_id].add(day)
    return {
        one.pk or NEW: coverage.Facts(
            id=one.pk or NEW,
            name=one.name,
            zone=one.time_zone,
            layers=specs[one.pk or NEW].layers,
            holidays=frozenset(days[None] | days[one.team_id]),
        )
        for one in rows
    }


def _people(user_ids):
    """`{user id: Person}`, in four queries."""
    zones = dict(User.objects.filter(pk__in=user_ids).values_list("pk", "time_zone"))
    return {
        pk: coverage.Person(
            id=pk,
            name=reach.name,
            is_active=reach.is_active,
            is_reachable=any(method.is_usable for method in reach.methods),
            zone=zones[pk],
        )
        for pk, reach in outbox.reaches(user_ids).items()
        if pk in zones
    }
