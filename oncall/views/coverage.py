"""The page that says what is wrong in the schedules of a team, whether its policies always reach somebody, and who
carries how much.
"""

import dataclasses
import datetime as dt

from django.contrib.auth.decorators import login_required
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.models import Team, User
from accounts.permissions import may, visible
from oncall import coverage, reports, shifts
from oncall.models import EscalationPolicy, Schedule
from oncall.views import plan

DAYS = (7, 14, 28, 60, 90)
USUAL_DAYS = 28
MOST = 12  # of one kind of problem, and of the holes of one policy

# The heading of each kind of problem, and how to mend it.
HEADINGS = {
    coverage.GAP: ("Gaps", "Somebody has to take these spans: add an override, or a layer that always has somebody."),
    coverage.TIME_OFF: ("Time off without cover", "Give these spans to somebody else."),
    coverage.UNREACHABLE: (
        "People whom nothing reaches",
        "Add a contact method for them and mark it as verified, or give their shifts to somebody else.",
    ),
    coverage.DEACTIVATED: (
        "Deactivated people on call",
        "They are never called. Take them out of the rotation, or give their shifts to somebody else.",
    ),
    coverage.EMPTY_SLOT: ("Empty slots", "Put a person into the slot, or give its turns to somebody."),
    coverage.DOUBLE_BOOKING: ("On call twice at once", "Give one of the two shifts to somebody else."),
    coverage.OVERLAP: ("Overlapping fixed shifts", "Remove one of them, or make one shorter."),
    coverage.OVERLOAD: ("Too long without a rest", "Give some of it to others, or change the rotation."),
    coverage.UNEVEN: ("Unevenly shared", "Give some turns to others, or change the rotation."),
}
GIVES = {  # whose mending is an override in that span
    coverage.GAP,
    coverage.TIME_OFF,
    coverage.UNREACHABLE,
    coverage.DEACTIVATED,
    coverage.EMPTY_SLOT,
    coverage.DOUBLE_BOOKING,
    coverage.OVERLOAD,
}
IN_LAYERS = {coverage.GAP, coverage.DEACTIVATED, coverage.EMPTY_SLOT, coverage.OVERLOAD, coverage.UNEVEN}


@dataclasses.dataclass
class Group:
    """The problems of one kind, each with its `links`: `[(problem, [(label, address)])]`."""

    kind: str
    heading: str
    mending: str
    rows: list
    hidden: int


@login_required
@never_cache
@require_safe
def page(request):
    now = timezone.now()
    teams = list(visible(Team.objects.all(), request.user))
    team = _team(request, teams)
    days = request.GET.get("days", "")
    days = int(days) if days in {str(one) for one in DAYS} else USUAL_DAYS
    context = {
        "section": "oncall",
        "now": now,
        "teams": teams,
        "team": team,
        "days": days,
        "days_choices": DAYS,
    }
    if team:
        context |= _found(request, team, now, now + dt.timedelta(days=days))
    return render(request, "oncall/coverage.html", context)


def _team(request, teams):
    """The team of the address, else the first of mine, else the first of all."""
    wanted = request.GET.get("team", "")
    mine = set(request.user.memberships.values_list("team_id", flat=True))
    by_slug = {one.slug: one for one in teams}
    return by_slug.get(wanted) or next((one for one in teams if one.pk in mine), None) or next(iter(teams), None)


def _found(request, team, now, end):
    schedules = {one.pk: one for one in Schedule.objects.filter(team=team)}
    policies = {one.pk: one for one in EscalationPolicy.objects.filter(team=team)}
    report = reports.of_schedules(list(schedules), start=now, end=end, now=now)
    proofs = reports.proof(list(policies), start=now, end=end, now=now)
    people = User.objects.in_bulk({one.user_id for one in report.loads})
    return {
        "has_schedules": bool(schedules),
        "problem_count": len(report.problems),
        "groups": _groups(request, report.problems, schedules),
        "proofs": [
            {
                "policy": policies[one.policy_id],
                "is_covered": one.is_covered,
                "holes": one.counter_examples[:MOST],
                "hidden": len(one.counter_examples[MOST:]),
            }
            for one in proofs
        ],
        "is_fine": not report.problems and all(one.is_covered for one in proofs),
        "loads": _loads(report.loads, people),
        "mean_hours": sum(one.hours for one in report.loads) / len(report.loads) if report.loads else 0,
    }


def _groups(request, problems, schedules):
    found = {kind: [] for kind in HEADINGS}
    for one in problems:
        found.setdefault(one.kind, []).append(one)
    return [
        Group(
            kind,
            *HEADINGS.get(kind, (kind.capitalize(), "")),
            rows=[(one, _links(request, one, schedules.get(one.schedule_id))) for one in rows[:MOST]],
            hidden=len(rows[MOST:]),
        )
        for kind, rows in found.items()
        if rows
    ]


def _links(request, problem, schedule):
    """Where to mend it, for who may."""
    links = []
    if problem.kind == coverage.UNREACHABLE and may(request.user, "administer"):
        links.append(("Add a contact method", reverse("admin:accounts_user_change", args=[problem.user_id])))
    if schedule is None:
        return links
    if problem.kind in GIVES and may(request.user, "respond", schedule):
        span = {"start": plan.stamp(problem.start_at), "end": plan.stamp(problem.end_at)}
        given = {"role": problem.role or shifts.PRIMARY, "next": request.get_full_path()}
        if problem.user_id:
            given["replaces"] = problem.user_id
        label = "Give it to somebody" if problem.user_id else "Put somebody in"
        label = "Give a part of it to somebody" if problem.kind == coverage.OVERLOAD else label
        links.append((label, plan.address("override-new", schedule.slug, **span, **given)))
    if problem.kind == coverage.OVERLAP and may(request.user, "configure", schedule):
        links.append(
            ("Change the shifts", f"{reverse('admin:oncall_fixedshift_changelist')}?schedule__id__exact={schedule.pk}")
        )
    if problem.kind in IN_LAYERS and may(request.user, "configure", schedule):
        links.append(("Change the layers", reverse("admin:oncall_schedule_change", args=[schedule.pk])))
    day = problem.start_at.astimezone(dt.UTC).date().isoformat()
    links.append(("Look at the schedule", plan.address("schedule", schedule.slug, date=day)))
    return links


def _loads(loads, people):
    """The loads with their people; `share` is the part of the heaviest load in percent."""
    most = max((one.hours for one in loads), default=0) or 1
    return [
        {"person": people.get(one.user_id), "load": one, "share": round(100 * one.hours / most, 1)} for one in loads
    ]
