"""The daily look at each team's coverage: its admins are told when something is wrong, and nobody when all is fine.

The truth is a CoverageCheck per team with schedules or policies, due at about 08:00 where its first schedule is. A
look takes the row's lock, and writes what it found, the notice and the next due time in one transaction.
"""

import datetime as dt
import logging
import time

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from accounts.models import Role, Team, User
from core import due
from core.zones import zone_of
from notifications import alarms, outbox
from notifications.message import Kind, Message
from notifications.models import Alarm
from oncall import chain, coverage, reports
from oncall.models import CalendarImport, CoverageCheck, EscalationPolicy, Schedule, Target
from oncall.rotation import moment, wall_clock

logger = logging.getLogger(__name__)

HORIZON = dt.timedelta(days=14)
AT = dt.time(8)  # when people begin to work, so that a bad day can still be mended
SOON = dt.timedelta(hours=24)  # a policy that reaches nobody before the next look is an alarm
MOST_LINES = 20
SECONDS = 5  # what is left stays due, and a page that waits in the queue comes first
TROUBLE_DELAY = dt.timedelta(minutes=15)

UNCOVERED = "uncovered"
# What a team is told of. Uneven loads and empty slots that other layers fill are for the coverage page.
TOLD = (coverage.GAP, coverage.UNREACHABLE, coverage.DEACTIVATED, coverage.TIME_OFF, coverage.DOUBLE_BOOKING)


def oldest_due(now):
    """When the check that is due for longest was due, or None. A team without a check yet is due now."""
    if _without_check().exists():
        return now
    rows = CoverageCheck.objects.filter(due_at__lte=now).order_by("due_at")
    return rows.values_list("due_at", flat=True).first()


def run(now=None):
    """Make the checks that are missing and look at every team that is due. `now` stops the clock, for tests."""
    _add_missing(now or timezone.now())
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        due.beat()
        if not inspect_next(now=now or timezone.now()):
            return


def _without_check():
    """The teams that have something to look at. A policy may name people only, and they may be out of reach too."""
    return Team.objects.filter(Q(schedules__isnull=False) | Q(policies__isnull=False), coverage_check=None)


def _add_missing(now):
    """A new team is first looked at tomorrow morning, when somebody had the time to set it up."""
    teams = list(_without_check().distinct())
    CoverageCheck.objects.bulk_create(
        [CoverageCheck(team=team, due_at=_next_look(team, now)) for team in teams], ignore_conflicts=True
    )


def _next_look(team, now):
    """The next 08:00 after `now` in the zone of the team's first schedule."""
    zone = Schedule.objects.filter(team=team).order_by("pk").values_list("time_zone", flat=True).first()
    tz = zone_of(zone or "UTC")
    date = wall_clock(now, tz).date()
    today = moment(dt.datetime.combine(date, AT), tz)
    return today if today > now else moment(dt.datetime.combine(date + coverage.DAY, AT), tz)


@due.housekeeping
def clear_orphans(*, now):
    """Close the alarms about what is gone: nothing looks at it any more, so nothing else would."""
    for prefix, rows in (
        ("handoffs-failed:", Schedule.objects.all()),
        (chain.broken_key(""), Schedule.objects.all()),
        ("coverage:", Team.objects.all()),
        ("coverage-failed:", Team.objects.all()),
        ("calendar:", CalendarImport.objects.filter(is_enabled=True)),
    ):
        keys = Alarm.objects.filter(key__startswith=prefix, cleared_at=None).values_list("key", flat=True)
        if keys := set(keys):
            alarms.clear_alarms(keys - {f"{prefix}{pk}" for pk in rows.values_list("pk", flat=True)}, now=now)


def inspect_next(*, now):
    """Look at the team that is due for longest. Returns whether there was one."""
    rows = CoverageCheck.objects.filter(due_at__lte=now).order_by("due_at", "pk")
    with transaction.atomic():
        check = rows.select_related("team").select_for_update(skip_locked=True, no_key=True, of=("self",)).first()
        if check is None:
            return False
        try:
            with transaction.atomic():
                _inspect(check, now)
        except Exception as error:  # one broken team must not stop the rest: tell the admins, look again soon
            logger.warning("The coverage of team %s could not be looked at.", check.team_id, exc_info=True)
            CoverageCheck.objects.filter(pk=check.pk).update(due_at=now + TROUBLE_DELAY)
            alarms.raise_alarm(
                _failed_key(check.team_id),
                f"The coverage of team {check.team} cannot be looked at, and is tried again every "
                f"{TROUBLE_DELAY.seconds // 60} minutes: {error}",
                now=now,
            )
    return True


def _failed_key(team_id):
    return f"coverage-failed:{team_id}"


def _inspect(check, now):
    problems = find(check.team, now=now)
    check.problems = [_json(one) for one in problems]
    check.checked_at = now
    check.due_at = _next_look(check.team, now)
    check.save(update_fields=["problems", "checked_at", "due_at"])
    if problems:
        _tell(check.team, problems, now)
    urgent = [one for one in problems if one.kind == UNCOVERED and one.start_at < now + SOON]
    key = f"coverage:{check.team_id}"
    if urgent:
        text = " ".join(one.text for one in urgent[:3])
        alarms.raise_alarm(key, f"Team {check.team}: a policy reaches nobody within 24 hours. {text}", now=now)
    else:
        alarms.clear_alarm(key, now=now)
    alarms.clear_alarm(_failed_key(check.team_id), now=now)


def find(team, *, now):
    """The Problems of a team's coverage in the next two weeks that it is told of, the urgent ones first.

    A policy that reaches nobody is of the kind "uncovered", and comes before all others.
    """
    schedules = {one.pk: one for one in Schedule.objects.filter(team=team).order_by("name")}
    policies = {one.pk: one for one in EscalationPolicy.objects.filter(team=team).order_by("name")}
    called = set(Target.objects.filter(schedule__in=schedules).values_list("schedule_id", flat=True))
    span = {"start": now, "end": now + HORIZON, "now": now}
    found = []
    tz = zone_of(_zone(schedules))
    for proof in reports.proof(list(policies), **span):
        for one in proof.counter_examples:
            when = coverage.said_span(one.start_at, one.end_at, tz)
            text = f"{policies[proof.policy_id]} reaches nobody {when}. {' '.join(one.reasons)}"
            found.append(coverage.Problem(UNCOVERED, text, one.start_at, one.end_at))
    found.sort(key=lambda one: one.start_at)
    report = reports.of_schedules(list(schedules), **span)
    found += [
        one for one in report.problems if one.kind in TOLD and (one.kind != coverage.GAP or one.schedule_id in called)
    ]
    return found


def _zone(schedules):
    return schedules[min(schedules)].time_zone if schedules else "UTC"


def _json(problem):
    return {
        "kind": problem.kind,
        "text": problem.text,
        "start_at": problem.start_at.isoformat(),
        "end_at": problem.end_at.isoformat(),
        "schedule_id": problem.schedule_id,
        "user_id": problem.user_id,
        "role": problem.role,
    }


# --- the notice -----------------------------------------------------------------------------------------------
def _tell(team, problems, now):
    lines = [f"- {one.text}" for one in problems[:MOST_LINES]]
    if len(problems) > MOST_LINES:
        lines.append(f"and {len(problems) - MOST_LINES} more.")
    count = f"{len(problems)} problems" if len(problems) > 1 else "a problem"
    message = Message(
        title=f"Coverage of {team}: {count} in the next {HORIZON.days} days",
        body="\n".join(lines),
        url=_url(problems),
        urgency="low",
        kind=Kind.NOTICE,
    )
    topic = f"coverage:{team.pk}"  # tomorrow's notice replaces one that is stuck
    key = f"{topic}:{now.astimezone(dt.UTC):%Y-%m-%d}"
    pages = [outbox.Page(key, topic, user_id, message, is_repeat=True) for user_id in _readers(team)]
    outcomes = outbox.plan_many(pages, now=now)
    if not any(one.is_reachable for one in outcomes):
        reasons = " ".join(reason for one in outcomes for reason in one.reasons)
        logger.warning("Nobody could be told about the coverage of team %s. %s", team.pk, reasons)


def _url(problems):
    """The page of the schedule, where all problems are in one."""
    schedules = {one.schedule_id for one in problems}
    slug = Schedule.objects.filter(pk__in=schedules - {None}).values_list("slug", flat=True).first()
    return (
        f"{settings.PUBLIC_URL}/schedules/{slug}"
        if len(schedules) == 1 and slug
        else f"{settings.PUBLIC_URL}/coverage"
    )


def _readers(team):
    """The team's admins; if it has none, all its members; if there are none, the platform's admins."""
    active = User.objects.people().filter(is_active=True).order_by("pk")
    for people in (
        active.filter(memberships__team=team, memberships__role=Role.ADMIN),
        active.filter(memberships__team=team),
        active.filter(role=Role.ADMIN),
    ):
        if ids := list(people.values_list("pk", flat=True)):
            return ids
    return []
