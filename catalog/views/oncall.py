"""The page that says who is on call now, service by service, and where people say whether they can be called."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Exists, OuterRef, Q
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from accounts.models import Team
from accounts.permissions import may_somewhere, visible
from catalog.board import Board, together
from catalog.models import Service
from core.errors import DomainError
from notifications.message import storable
from oncall import scheduling
from oncall.forms import AvailabilityForm
from oncall.models import Availability, EscalationPolicy, Schedule

MINE, ALL = "mine", "all"


@login_required
@never_cache
def oncall(request):
    return _show(request)


@login_required
@require_POST
def availability(request):
    """Say whether one can be called now."""
    if not may_somewhere(request.user, "respond"):
        raise PermissionDenied
    form = AvailabilityForm(request.POST, for_whom=request.user)
    if form.is_valid():
        try:
            set_to = scheduling.set_availability(request.user, now=timezone.now(), **form.cleaned_data)
        except (ValidationError, DomainError) as error:
            form.refuse(error)
        else:
            messages.success(request, DONE[set_to.status])
            return redirect("settings" if request.POST.get("back") == "settings" else "oncall")
    return _show(request, form)


SKIPPED = "You are skipped while anybody else can be called."
DONE = {
    Availability.Status.AVAILABLE: "You are available: you are called when it is your turn.",
    Availability.Status.BUSY: f"You are busy. {SKIPPED}",
    Availability.Status.OFFLINE: f"You are offline. {SKIPPED}",
    Availability.Status.AWAY: f"You are away. {SKIPPED}",
}


def _show(request, refused=None):
    now = timezone.now()
    said = next((one for one in Availability.objects.filter(user=request.user) if one.holds(now)), None)
    reader = request.user
    teams = list(visible(Team.objects.all(), reader))
    mine = set(request.user.memberships.values_list("team_id", flat=True))
    chosen = _chosen(request, teams, has_teams=bool(mine))
    wanted = {MINE: mine, ALL: None}.get(chosen["team"], {one.pk for one in teams if one.slug == chosen["team"]})
    services = Service.objects.exclude(lifecycle=Service.Lifecycle.ARCHIVED).select_related("team")
    schedules = Schedule.objects.filter(~_called_for_a_service(reader)).select_related("team")
    services, schedules = visible(services, reader), visible(schedules, reader).order_by("team__name", "name")
    if wanted is not None:
        services, schedules = services.filter(team_id__in=wanted), schedules.filter(team_id__in=wanted)
    if chosen["q"]:
        services, schedules = services.filter(name__icontains=chosen["q"]), schedules.none()
    services = list(services.order_by("tier", "name"))
    board = Board(services, list(schedules), now=now, reader=reader)
    called = together([board.service(one) for one in services])
    with_schedule = set(Schedule.objects.values_list("team_id", flat=True))
    context = {
        "section": "oncall",
        "now": now,
        "chosen": chosen,
        "is_filtered": bool(chosen["q"]) or chosen["team"] != (MINE if mine else ALL),
        "teams": teams,
        "has_teams": bool(mine),
        "services": called,
        "mine": board.mine(),
        "loose": board.loose(),
        "teams_without": [
            one for one in teams if one.pk not in with_schedule and (wanted is None or one.pk in wanted)
        ],
        "form": refused or AvailabilityForm(for_whom=request.user, said=said),
        "said": said,
        "may_respond": may_somewhere(reader, "respond"),
        "skipped": SKIPPED,
    }
    return render(request, "catalog/oncall.html", context, status=400 if refused else 200)


def _chosen(request, teams, *, has_teams):
    """The filter of the address; an unknown team is as good as none."""
    team = request.GET.get("team", "")
    if team not in {ALL, *(one.slug for one in teams)}:
        team = MINE if has_teams else ALL
    return {"team": team, "q": storable(request.GET.get("q", "")).strip()}


def _called_for_a_service(reader):
    """The schedules that the policy of a service calls: its own policy, or the default of its team."""
    services = visible(Service.objects.exclude(lifecycle=Service.Lifecycle.ARCHIVED), reader)
    used = EscalationPolicy.objects.filter(
        Q(Exists(services.filter(policy=OuterRef("pk"))))
        | Q(Exists(services.filter(policy=None, team=OuterRef("team"))), is_team_default=True)
    )
    return Exists(used.filter(levels__targets__schedule=OuterRef("pk")))
