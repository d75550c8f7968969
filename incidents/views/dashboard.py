"""The first page: what is wrong now, who has it, and who is called next.

What stands at the top of it is fetched anew with every event by every open browser, so each part of the page is worked
out only when it is asked for, and the parts that change slowly are asked for seldom (`data-every` in the templates).
"""

import dataclasses
import datetime as dt
import functools

from django.contrib.auth.decorators import login_required
from django.db.models import Case, Count, Exists, OuterRef, Q, Value, When
from django.db.models.functions import TruncDate
from django.utils import timezone
from django.views.decorators.cache import never_cache

from accounts.permissions import may_once_seen, may_somewhere, visible
from accounts.visibility import hushed, kept_statement
from catalog import policies
from catalog.models import Service
from core.pages import asked, recent, respond
from core.zones import zone_of
from incidents import figures, live, states
from incidents.models import Incident, Priority, Responder
from incidents.views.calls import next_calls
from notifications.models import Alarm
from oncall import chain

SHOWN = 50
ALARMS_SHOWN = 5
DAYS = 14
WEEK = 7
NOISY = 5
FIGURES_SECONDS = 60  # they read two weeks of incidents, and a minute changes little of them
POLICIES_SHOWN = 6
LEVELS_SHOWN = 3
MINE = "mine"


@login_required
@never_cache
def dashboard(request):
    now = timezone.now()
    wanted = asked(request)
    parts = [name for name in PARTS if not wanted or name in wanted]
    context = {
        "section": "dashboard",
        "now": now,
        # First of all: what changes while we read the rest is told again.
        "latest": live.newest(),
        "may_open": may_somewhere(request.user, "respond"),
    }
    for name in parts:
        context |= PARTS[name](request.user, now)
    return respond(request, "incidents/dashboard.html", context, fragments=tuple(PARTS))


# --- what is wrong --------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Group:
    """Incidents under one heading. `count` is how many there are, also beyond those that are shown."""

    key: str
    count: int = 0
    rows: list = dataclasses.field(default_factory=list)

    @property
    def hidden(self):
        return self.count - len(self.rows)


@dataclasses.dataclass(frozen=True)
class Job:
    """All that the row of an incident shows."""

    number: int
    title: str
    service: str
    team: str
    severity: tuple  # the word for programs, and that for people
    status: tuple
    priority: str
    assignee_id: int | None
    assignee: str
    standing: str  # changes with each call
    triggered_at: dt.datetime
    snoozed_until: dt.datetime | None
    next_at: dt.datetime | None
    level: int
    called: tuple  # the names of those who are called next
    is_over: bool
    fuse: int | None  # how many seconds the wait for the next call has, whole
    may_respond: bool


def _job(one):
    step = one.next_call
    return Job(
        number=one.pk,
        title=one.title,
        service=one.service.name,
        team=one.team.name,
        severity=(one.severity, one.get_severity_display()),
        status=(one.status, one.get_status_display()),
        priority=one.priority,
        assignee_id=one.assignee_id,
        assignee=str(one.assignee or ""),
        standing=f"{one.page_number} {one.escalation_round}.{one.escalation_level}",
        triggered_at=one.triggered_at,
        snoozed_until=one.snoozed_until,
        next_at=one.next_escalation_at,
        level=one.escalation_level,
        called=tuple(person.name for person in step.pages) if step else (),
        is_over=bool(step and step.is_over),
        fuse=one.fuse and one.fuse[1],
        may_respond=one.may_respond,
    )


def _board(user, now):
    """All open incidents that the person sees, theirs first, then by priority."""
    is_theirs = _is_theirs(user)
    seen = visible(Incident.objects.open(), user).annotate(is_mine=Case(When(is_theirs, Value(True)), default=False))
    groups = {key: Group(key) for key in (MINE, *Priority.values)}
    waiting = 0
    by_priority = dict.fromkeys(Priority.values, 0)
    counted = seen.order_by().values_list("is_mine", "priority", "status").annotate(Count("pk"))
    for is_mine, priority, status, count in counted:
        groups[MINE if is_mine else priority].count += count
        by_priority[priority] += count
        waiting += count if status == states.TRIGGERED else 0
    for one in _rows(seen, user, now) if any(by_priority.values()) else ():
        groups[MINE if one.is_mine else one.priority].rows.append(one)
    alarms = _alarms(user)
    return {
        "groups": [one for one in groups.values() if one.count],
        "open_count": sum(by_priority.values()),
        "waiting_count": waiting,
        "mine_count": groups[MINE].count,
        "by_priority": [(priority, count) for priority, count in by_priority.items() if count],
        "hidden_count": sum(one.hidden for one in groups.values()),
        "shown_most": SHOWN,
        "alarms": alarms[:ALARMS_SHOWN],
        "has_more_alarms": len(alarms) > ALARMS_SHOWN,
    }


def _alarms(user):
    """What is wrong with the installation itself, as far as the person may know: one more than is shown.

    Mostly nothing is. That is asked first, because whose alarms are hidden takes the database milliseconds to plan.
    """
    if not Alarm.objects.filter(cleared_at=None).order_by().exists():
        return []
    sql, parameters = kept_statement("alarms", user, _seen_alarms)
    return list(Alarm.objects.raw(sql, parameters)) if sql else []


def _seen_alarms(user):
    return visible(Alarm.objects.filter(cleared_at=None), user)[: ALARMS_SHOWN + 1]


def _is_theirs(user):
    """The condition for an incident that waits for this person: they have it, are called to it, or work on it."""
    helps = Responder.objects.filter(incident=OuterRef("pk"), user=user, declined_at=None)
    return Q(assignee=user) | Q(Exists(helps)) | Q(Incident.called(user), status=states.TRIGGERED)


def _rows(seen, user, now):
    """The incidents to show, each with what its row says."""
    urgent = Case(When(status=states.TRIGGERED, then=Value(0)), default=Value(1))
    rows = (
        seen.select_related("service", "team", "assignee")
        .only(
            *("title", "severity", "priority", "status", "triggered_at", "policy", "escalation_round"),
            *("escalation_level", "next_escalation_at", "page_number", "snoozed_until"),
            *("service__name", "service__team", "team__name", "assignee__name", "assignee__email"),
        )
        .order_by("-is_mine", urgent, "priority", "-number")[:SHOWN]
    )
    rows = sorted(rows, key=lambda one: (one.priority, one.status != states.TRIGGERED, -one.number))
    calls = next_calls(rows, now=now)
    # Whoever is called answers, also where the team is hidden from them: as accounts.permissions has it.
    answers_calls = bool(user.access().own_teams("respond"))
    for one in rows:
        one.next_call = calls.get(one.pk)
        one.fuse = _fuse(one, now)
        one.may_respond = may_once_seen(user, "respond", one) or (one.is_mine and answers_calls)
        one.job = _job(one)
    return rows


def _fuse(incident, now):
    """`(start, whole seconds, seconds left)` of the wait for the next call, or None."""
    if not incident.next_escalation_at or incident.snoozed_until:
        return None
    levels = incident.policy.get("levels", ())
    # A broken copy of a policy must not hide the incidents.
    delays = {one.get("number"): one.get("delay_minutes", 0) for one in levels}
    minutes = delays.get(incident.escalation_level, 0)
    whole = minutes * 60 or (incident.next_escalation_at - incident.triggered_at).total_seconds()
    left = (incident.next_escalation_at - now).total_seconds()
    return incident.next_escalation_at, max(1, int(whole)), max(0, int(left))


# --- who is on call -------------------------------------------------------------------------------------------


def _duty(user, now):
    """Who is called first, second and third for the services of the person's teams; of all, for who has no team."""
    services = visible(Service.objects.exclude(lifecycle=Service.Lifecycle.ARCHIVED), user)
    teams = set(user.access().teams)
    if teams:
        services = services.filter(team__in=teams)
    services = list(services.order_by("tier", "name").only("name", "team_id", "policy_id"))
    named, uncovered = {}, []
    for pk, policy in policies.copies_for(services).items():
        if policy:
            named.setdefault(policy["id"], (policy, []))[1].append(pk)
        else:
            uncovered.append(pk)
    names = {one.pk: one.name for one in services}
    shown = list(named.values())[:POLICIES_SHOWN]
    called = chain.resolve([policy for policy, _ in shown], at=now)
    hush = functools.cache(lambda: hushed(user))  # asked for only where there is something to say
    return {
        "duty": [
            {
                "services": [names[pk] for pk in pks],
                "levels": [
                    {"number": level["number"], "people": _people(level, called, user, hush)}
                    for level in policy.get("levels", ())[:LEVELS_SHOWN]
                ],
            }
            for policy, pks in shown
        ],
        "more_duty": len(named) - len(shown),
        "uncovered": [names[pk] for pk in uncovered],
        "has_teams": bool(teams),
    }


def _people(level, called, user, hush):
    found = {}
    for one in (one for target in level["targets"] for one in called(target)):
        found.setdefault(
            one.user_id or one.problem,
            {
                "name": called.reaches[one.user_id].name if one.user_id in called.reaches else "",
                "problem": hush()(one.problem) if one.problem else "",
                "is_reader": one.user_id == user.pk,
            },
        )
    return list(found.values())


# --- how it goes ----------------------------------------------------------------------------------------------


def _kept(name, user, work_out):
    """What was worked out within the last minute for those who see the same, else now.

    From whom a team is hidden sees incidents of it that they were called to: that is kept for them alone.
    """
    reader = user.pk if user.access().hidden else "all"
    return recent(f"overview-{name}-{reader}-{user.time_zone}", FIGURES_SECONDS, work_out)


def _trends(user, now):
    return _kept("trends", user, lambda: _trends_now(user, now))


def _noise(user, now):
    return _kept("noise", user, lambda: _noise_now(user, now))


def _trends_now(user, now):
    """How fast incidents were answered in the last days, day by day in the person's zone, and in two weeks."""
    zone = zone_of(user.time_zone)
    today = now.astimezone(zone).date()
    first = today - dt.timedelta(days=DAYS - 1)
    start = dt.datetime.combine(first, dt.time(), zone)
    rows = visible(Incident.objects.filter(triggered_at__gte=start), user)
    rows = rows.order_by().annotate(day=TruncDate("triggered_at", tzinfo=zone)).values("day")
    by_day = {row["day"]: row for row in rows.annotate(opened=Count("pk"), **figures.answered())}
    days = [_day(first + dt.timedelta(days=number), by_day) for number in range(DAYS)]
    return {
        "days": days,
        "this_week": _together(days[-WEEK:]),
        "last_week": _together(days[:-WEEK]),
        "has_trends": any(one["opened"] for one in days),
    }


def _day(date, by_day):
    row = by_day.get(date)
    if row is None:
        return {"date": date, "opened": 0, "acknowledged": 0, "acknowledged_within_target": 0}
    return {"date": date, "opened": row["opened"], **figures.said(row)}


def _together(days):
    """The figures of several days as one: of all that was answered, not of the days' means."""
    answered = sum(one["acknowledged"] for one in days)
    waited = sum(one["mtta_seconds"] * one["acknowledged"] for one in days if one["acknowledged"])
    within = sum(one["acknowledged_within_target"] for one in days)
    return {
        "opened": sum(one["opened"] for one in days),
        "answered": answered,
        "within": within,
        "mtta_seconds": waited / answered if answered else None,
        "percent": round(100 * within / answered) if answered else None,
    }


def _noise_now(user, now):
    """The services with the most incidents in the last days, and how many of them called people loudly."""
    recent = visible(Incident.objects.filter(triggered_at__gte=now - dt.timedelta(days=WEEK)), user)
    noisy = list(
        recent.order_by()
        .values("service__name", "service__slug")
        .annotate(incidents=Count("pk"), urgent=Count("pk", filter=Q(urgency="high")))
        .order_by("-incidents", "-urgent", "service__name")[:NOISY]
    )
    return {"noisy": noisy, "most": noisy[0]["incidents"] if noisy else 0}


PARTS = {"board": _board, "duty": _duty, "trends": _trends, "noise": _noise}
