"""The list of incidents, with its filters."""

import datetime as dt

from django.contrib.auth.decorators import login_required
from django.contrib.postgres.expressions import ArraySubquery
from django.core.paginator import Paginator
from django.db.models import Case, Count, Max, OuterRef, Q, Subquery, Value, When
from django.db.models.functions import JSONObject
from django.utils import timezone
from django.views.decorators.cache import never_cache

from accounts.models import Team
from accounts.permissions import may_once_seen, may_somewhere, visible
from catalog.models import Service
from core.pages import respond
from incidents import figures, states
from incidents.models import Incident, TimelineEntry
from incidents.views.calls import next_calls, number_of
from notifications.message import storable
from notifications.models import Alarm

A_PAGE = 50
FIGURES_DAYS = 7
STATUSES = {"open": "Open", "triggered": "Triggered", "mine": "Open and mine", "all": "All"}


@login_required
@never_cache
def incidents(request):
    now = timezone.now()
    chosen = {
        "status": request.GET.get("status") if request.GET.get("status") in STATUSES else "open",
        "team": storable(request.GET.get("team", "")),
        "service": storable(request.GET.get("service", "")),
        "q": storable(request.GET.get("q", "")).strip(),
    }
    seen = visible(Incident.objects.all(), request.user)
    wanted = _wanted(chosen, request.user)
    # First of all, and with the number of the newest entry: what changes while we read the rest is told again.
    counted = _counted(seen, wanted, now)
    found = seen.filter(wanted).select_related("service", "team", "assignee")
    urgent = Case(When(status=states.TRIGGERED, then=Value(0)), default=Value(1))
    page = Counted(found.order_by(urgent, "-number"), A_PAGE, counted["found"]).get_page(request.GET.get("page"))
    calls = next_calls(page.object_list, now=now)
    for one in page.object_list:
        one.next_call, one.may_respond = calls.get(one.pk), may_once_seen(request.user, "respond", one)
    query = request.GET.copy()
    query.pop("page", None)
    query.pop("fragment", None)
    teams = _teams_and_services(request.user)
    context = {
        "section": "incidents",
        "now": now,
        "latest": counted["latest"] or 0,
        "page": page,
        "query": query.urlencode(),
        "chosen": chosen,
        "is_filtered": bool(chosen["team"] or chosen["service"] or chosen["q"] or chosen["status"] != "open"),
        "statuses": STATUSES,
        "teams": teams,
        "services": sorted((one for team in teams for one in team.its_services), key=lambda one: one["name"].lower()),
        "open_count": counted["open"],
        "triggered_count": counted["triggered"],
        "figures": figures.said(counted),
        "alarms": list(visible(Alarm.objects.filter(cleared_at=None), request.user)[:6]),
        "may_open": may_somewhere(request.user, "respond"),
    }
    return respond(request, "incidents/list.html", context, fragments=("rows",))


class Counted(Paginator):
    """Pages of rows that were counted before."""

    def __init__(self, rows, per_page, count):
        super().__init__(rows, per_page)
        self.count = count


def _counted(seen, wanted, now):
    """What the page counts, in one query over what the person sees: all that matches, all open, and the figures."""
    is_recent = Q(triggered_at__gte=now - dt.timedelta(days=FIGURES_DAYS))
    newest = TimelineEntry.objects.order_by("-id").values("pk")[:1]
    return (
        seen.filter(wanted | Q(status__in=states.OPEN) | is_recent)
        .annotate(newest=Subquery(newest))
        .aggregate(
            latest=Max("newest", default=Subquery(newest)),  # also when it counts nothing
            found=Count("pk", filter=wanted),
            open=Count("pk", filter=Q(status__in=states.OPEN)),
            triggered=Count("pk", filter=Q(status=states.TRIGGERED)),
            **figures.answered(is_recent),
        )
    )


def _teams_and_services(user):
    """The teams that the person sees, each with `its_services` as `{"slug": …, "name": …}`: in one query."""
    services = Service.objects.filter(team=OuterRef("pk")).order_by().values(row=JSONObject(slug="slug", name="name"))
    return list(visible(Team.objects.annotate(its_services=ArraySubquery(services)), user))


def _wanted(chosen, user):
    """The condition of what the filter asks for."""
    wanted = Q()
    if chosen["status"] != "all":
        wanted &= Q(status__in=states.OPEN)
    if chosen["status"] == "triggered":
        wanted &= Q(status=states.TRIGGERED)
    if chosen["status"] == "mine":
        wanted &= Q(assignee=user)
    if chosen["team"]:
        wanted &= Q(team__slug=chosen["team"])
    if chosen["service"]:
        wanted &= Q(service__slug=chosen["service"])
    if text := chosen["q"]:
        words = Q(title__icontains=text) | Q(description__icontains=text) | Q(service__name__icontains=text)
        number = number_of(text.removeprefix("#"))
        wanted &= words if number is None else words | Q(number=number)
    return wanted or Q(pk__isnull=False)
