"""The pages of schedules: the list, and one schedule as a timeline or a calendar."""

import datetime as dt
import zoneinfo

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import Q
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.models import Team, User
from accounts.permissions import may, visible
from notifications.message import storable
from oncall import coverage, drawing, lookup, reports, shifts
from oncall.models import Duty, Holiday, Schedule, ShiftRequest
from oncall.views import plan

A_PAGE = 50
LOOK_AHEAD = dt.timedelta(days=35)  # more than four weekly shifts
SNAP_MINUTES = {drawing.DAY: 15}  # 60 in the others
A_FEW = 3  # problems of a kind that are shown at once


# --- the list -------------------------------------------------------------------------------------------------
@login_required
@never_cache
@require_safe
def schedules(request):
    now = timezone.now()
    chosen = {name: storable(request.GET.get(name, "")).strip() for name in ("team", "q")}
    found = visible(Schedule.objects.select_related("team").order_by("team__name", "name"), request.user)
    if chosen["team"]:
        found = found.filter(team__slug=chosen["team"])
    if chosen["q"]:
        found = found.filter(Q(name__icontains=chosen["q"]) | Q(description__icontains=chosen["q"]))
    page = Paginator(found, A_PAGE).get_page(request.GET.get("page"))
    specs = lookup.specs([one.pk for one in page.object_list], start=now, end=now + LOOK_AHEAD)
    finals = {pk: shifts.final(spec, now, now + LOOK_AHEAD) for pk, spec in specs.items()}
    people = _people({one.user_id for spans in finals.values() for span in spans for one in span.people})
    away = lookup.unavailable({one.user_id for spans in finals.values() for one in spans[0].people}, at=now)
    for one in page.object_list:
        spans = finals[one.pk]
        one.has_layers = bool(specs[one.pk].layers)
        one.now, one.until, one.then = _now_and_then(spans, people, away, end=now + LOOK_AHEAD)
        one.gap = next(iter(shifts.gaps(spans)), None)
    query = request.GET.copy()
    query.pop("page", None)
    context = {
        "section": "schedules",
        "now": now,
        "page": page,
        "query": query.urlencode(),
        "chosen": chosen,
        "is_filtered": any(chosen.values()),
        "teams": visible(Team.objects.all(), request.user),
        "look_ahead_days": LOOK_AHEAD.days,
    }
    return render(request, "oncall/schedules.html", context)


def _people(user_ids):
    return User.objects.in_bulk(set(user_ids) - {None})


def _now_and_then(spans, people, away, *, end):
    """The people on call in the first span, until when, and who follows; None where it goes on beyond `end`."""
    here = [one.user_id for one in spans[0].people]
    change = next((span for span in spans if {one.user_id for one in span.people} != set(here)), None)
    now = [
        {
            "user": people[one.user_id],
            "is_off": one.is_off,
            "via": one.via,
            "why": one.why,
            "away": away.get(one.user_id),
        }
        for one in spans[0].people
    ]
    then = [people[one.user_id] for one in change.people] if change else None
    return now, change.start_at if change else None, then


# --- one schedule ---------------------------------------------------------------------------------------------
@login_required
@never_cache
@require_safe
def schedule(request, slug):
    now = timezone.now()
    found = get_object_or_404(visible(Schedule.objects.select_related("team"), request.user), slug=slug)
    zones = plan.zones(request.user, found)
    chosen, notice = _chosen(request.GET)
    zone = zones[chosen["zone"]]
    tz = zoneinfo.ZoneInfo(zone)
    day = _date(chosen["date"])
    if day is None:
        if chosen["date"]:
            notice = f"There is no day “{chosen['date'][:20]}” from 1990 to 2100, so here is today."
            chosen["date"] = ""
        day = now.astimezone(tz).date()
    period = drawing.period(chosen["view"], day, tz)
    days = drawing.days(period, tz)
    spec, spec_now = _specs(found.pk, period, now)
    roles = [role for role in shifts.ROLES if role == shifts.PRIMARY or _uses(spec, role) or _uses(spec_now, role)]
    finals = {role: shifts.final(spec, *period.padded, role) for role in roles}
    soon = {role: shifts.final(spec_now, now, now + LOOK_AHEAD, role) for role in roles}
    people = _people(plan.user_ids(spec) | plan.user_ids(spec_now))
    away = lookup.unavailable({one.user_id for spans in soon.values() for one in spans[0].people}, at=now)
    wanted = ShiftRequest.objects.filter(
        schedule=found, state=ShiftRequest.State.OPEN, start_at__lt=period.end, end_at__gt=period.start
    )
    links = plan.Links(found, chosen)
    pen = plan.Pen(
        people, plan.colours(spec), request.user, tz, links, now, list(wanted), may(request.user, "respond", found)
    )
    holidays = {}
    for one in Holiday.objects.filter(
        Q(team=None) | Q(team=found.team_id), day__gte=period.first, day__lt=period.last
    ).order_by("name"):
        holidays.setdefault(one.day, []).append(one.name)
    today = now.astimezone(tz).date()
    report = reports.of_schedules([found.pk], start=period.start, end=period.end, now=now)
    context = {
        "section": "schedules",
        "now": now,
        "zone": zone,  # the tags that write times use it
        "schedule": found,
        "chosen": chosen,
        "notice": notice,
        "has_layers": bool(spec.layers or spec_now.layers),
        "on_call": [
            {
                "role": Duty(role).label,
                "code": role,
                **_as_dict(_now_and_then(spans, people, away, end=now + LOOK_AHEAD)),
            }
            for role, spans in soon.items()
        ],
        "period": period,
        "title": _period_title(period),
        "is_today_shown": period.start <= now < period.end,
        "previous_url": period.previous and links.page(date=period.previous.isoformat()),
        "following_url": period.following and links.page(date=period.following.isoformat()),
        "today_url": links.page(date=""),
        "views": [(label, links.page(view=view), view == chosen["view"]) for view, label in drawing.VIEWS.items()],
        "shapes": [(label, links.page(shape=shape), shape == chosen["shape"]) for shape, label in plan.SHAPES.items()],
        "zones": _zone_choices(zones, chosen, links),
        "problems": _problems(report.problems, period.start, tz, links, now),
        "may_respond": pen.may_respond,
        "new_url": links.new(),
        "snap_minutes": SNAP_MINUTES.get(chosen["view"], 60),
    }
    if chosen["shape"] == plan.CALENDAR:
        context["weeks"] = plan.weeks(period, days, finals, pen, holidays, today)
    else:
        context["days"] = [plan.heading(one, chosen["view"], holidays, today, links) for one in days]
        context["ticks"] = drawing.ticks(period, tz) if chosen["view"] == drawing.DAY else []
        context["now_place"] = period.place(now) if period.start <= now < period.end else None
        context["groups"] = plan.groups(period, days, spec, finals, pen)
    return render(request, "oncall/schedule.html", context)


def _as_dict(found):
    return dict(zip(("people", "until", "then"), found, strict=True))


def _zone_choices(zones, chosen, links):
    """The switch between the zones; empty where both are the same."""
    if zones[plan.MINE] == zones[plan.SCHEDULE]:
        return []
    labels = {plan.MINE: f"My time ({zones[plan.MINE]})", plan.SCHEDULE: f"Schedule time ({zones[plan.SCHEDULE]})"}
    return [(labels[one], links.page(zone=one), one == chosen["zone"]) for one in plan.ZONES]


def _chosen(typed):
    """What the address asks for, and a sentence where it asks for something that we do not have."""
    known = {"view": drawing.VIEWS, "shape": plan.SHAPES, "zone": plan.ZONES}
    chosen, notice = dict(plan.DEFAULTS), ""
    for name, default in plan.DEFAULTS.items():
        value = storable(typed.get(name, default)).strip()
        if name in known and value not in known[name]:
            notice = f"There is no {name} “{value[:20]}”, so here is another." if value else notice
            value = default
        chosen[name] = value
    return chosen, notice


def _date(text):
    """The day that somebody asks for, or None when we cannot show it."""
    try:
        day = dt.date.fromisoformat(text)
    except ValueError:
        return None
    return day if drawing.FIRST_DAY <= day <= drawing.LAST_DAY else None


def _specs(pk, period, now):
    """The schedule as values around the period, and around now; loaded once where these lie together."""
    start, end = period.padded
    first, last = min(start, now), max(end, now + LOOK_AHEAD)
    if last - first < lookup.LONGEST:
        spec = lookup.specs([pk], start=first, end=last)[pk]
        return spec, spec
    load = {"around": (start, end), "now": (now, now + LOOK_AHEAD)}
    return tuple(lookup.specs([pk], start=one[0], end=one[1])[pk] for one in load.values())


def _uses(spec, role):
    return any(one.role == role for one in (*spec.layers, *spec.fixed, *spec.overrides))


def _period_title(period):
    first, last = period.first, period.last - dt.timedelta(days=1)
    if period.view == drawing.MONTH:
        return f"{first:%B %Y}"
    if first == last:
        return f"{first:%A} {first.day} {first:%B %Y}"
    if first.year != last.year:
        return f"{first.day} {first:%B %Y} – {last.day} {last:%B %Y}"
    if first.month != last.month:
        return f"{first.day} {first:%B} – {last.day} {last:%B %Y}"
    return f"{first.day} – {last.day} {last:%B %Y}"


def _problems(problems, start, tz, links, now):
    """`[(kind, the first few, the others)]`: first what leaves nobody to call, and what can still be mended."""
    groups = {}
    for one in sorted(problems, key=lambda each: (not _leaves_nobody(each), each.end_at <= now)):
        day = max(one.start_at, start).astimezone(tz).date()
        url = links.page(view=drawing.DAY, date=day.isoformat(), shape=plan.TIMELINE)
        line = {"text": one.text, "day": f"{day:%a} {day.day} {day:%b}", "url": url}
        groups.setdefault(one.kind, []).append(line)
    return [(kind, lines[:A_FEW], lines[A_FEW:]) for kind, lines in groups.items()]


def _leaves_nobody(problem):
    return problem.kind in (coverage.GAP, coverage.UNREACHABLE, coverage.DEACTIVATED)
