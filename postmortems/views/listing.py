"""The list of postmortems, what ought to be written, the form that begins one, and the panel of an incident's page."""

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_safe

from accounts.models import Team, User
from accounts.permissions import may, may_once_seen, may_somewhere, visible
from core.errors import DomainError
from core.pages import asked
from incidents import states as incident_states
from incidents.models import Incident, Severity
from postmortems import drafting, reminders, reviewing, searching, states
from postmortems.forms import NewForm
from postmortems.models import Postmortem, Wanted
from postmortems.views import finding
from postmortems.views.timeline import known_causes

A_PAGE = 25
MOST_WANTED = 8
LONGEST_REASON = Wanted._meta.get_field("decline_reason").max_length


@login_required
@never_cache
@require_safe
def postmortems(request):
    """All that one may see, the newest first, or what a search finds, the best first."""
    chosen = {
        name: finding.text_of(request.GET, name) for name in ("q", "status", "team", "severity", "owner", "cause")
    }
    found = searching.found(request.user, chosen["q"], _filters(chosen, request.user))
    page = Paginator(found, A_PAGE).get_page(request.GET.get("page"))
    query = request.GET.copy()
    query.pop("page", None)
    seen = visible(Postmortem.objects.order_by(), request.user)
    wanted = _wanted(request.user)
    context = finding.context(
        request,
        tab="list",
        page=page,
        query=query.urlencode(),
        chosen=chosen,
        is_filtered=any(chosen.values()),
        problems=found.problems,
        statuses=states.CHOICES,
        severities=Severity.choices,
        teams=visible(Team.objects.order_by("name"), request.user),
        owners=User.objects.filter(pk__in=seen.values("owner")).order_by("name", "email"),
        causes=known_causes(request.user),
        wanted=wanted[:MOST_WANTED],
        more_wanted=max(0, len(wanted) - MOST_WANTED),
        waiting=reviewing.waiting_for(request.user).select_related("postmortem"),
        may_begin=may_somewhere(request.user, "respond"),
    )
    return render(request, "postmortems/postmortems.html", context)


def _wanted(user):
    """The incidents that ought to have a postmortem and have none, the oldest first."""
    written = Postmortem.objects.exclude(status=states.ARCHIVED).filter(incidents__isnull=False).order_by()
    rows = Wanted.objects.filter(declined_at=None).exclude(incident__in=written.values("incidents"))
    rows = list(visible(rows, user).select_related("incident__service", "incident__team").order_by("since")[:100])
    for one in rows:
        one.may_answer = may_once_seen(user, "respond", one.incident)
    return rows


# --- beginning one ----------------------------------------------------------------------------------------------


@login_required
@never_cache
def new(request):
    """Begin a postmortem. `?incident=` fills in what it is about, once or several times."""
    if not may_somewhere(request.user, "respond"):
        raise PermissionDenied("Responders write postmortems. Ask an admin for the role.")
    numbers = [number for number in map(finding.number_of, request.GET.getlist("incident")) if number is not None]
    known = list(visible(Incident.objects.filter(pk__in=numbers), request.user).select_related("service", "team"))
    unknown = [number for number in numbers if number not in {one.pk for one in known}]
    initial = {"incidents": ", ".join(str(number) for number in numbers if number not in unknown)}
    form = NewForm(request.POST if request.method == "POST" else None, for_whom=request.user, initial=initial)
    if request.method == "POST" and form.is_valid() and (made := _begun(request, form)):
        return redirect("postmortems:edit", made.number)
    gone = [one for one in request.GET.getlist("incident") if finding.number_of(one) is None]
    context = finding.context(
        request,
        tab="list",
        form=form,
        known=known,
        existing=drafting.of([one.pk for one in known], request.user) if known else [],
        unknown=[*(f"#{number}" for number in unknown), *(f"“{one[:30]}”" for one in gone)],
    )
    return render(request, "postmortems/new.html", context, status=400 if form.is_bound else 200)


def _begun(request, form):
    """The new postmortem, None when it was refused: the form says why."""
    given = form.cleaned_data
    for incident in visible(Incident.objects.filter(pk__in=given["incidents"]), request.user).select_related("team"):
        if not may(request.user, "respond", incident):
            form.add_error(
                "incidents", f"Responders of the team {incident.team} write about incident #{incident.pk}. Ask one."
            )
            return None
    try:
        return drafting.start(
            given["incidents"],
            team=given["team"],
            template=given["template"],
            title=given["title"],
            by=request.user,
            now=timezone.now(),
        )
    except DomainError as error:
        form.refuse(error)
        return None


@login_required
@never_cache
def decline(request, number):
    """Ask why an incident needs no postmortem, and remind nobody of it any more."""
    incident = _incident(request, number)
    if not may(request.user, "respond", incident):
        raise PermissionDenied(f"Responders of the team {incident.team} decide this. Ask one of them.")
    wanted = Wanted.objects.filter(incident=incident).select_related("declined_by").first()
    error = ""
    reason = finding.text_of(request.POST, "reason", LONGEST_REASON + 1)
    if request.method == "POST":
        by_whom = {"by": request.user, "now": timezone.now()}
        try:
            if request.POST.get("do") == "want":
                reminders.want(incident.pk, **by_whom)
            else:
                reminders.decline(incident.pk, reason=reason, **by_whom)
        except DomainError as refused:
            error = refused.message
        else:
            back = request.POST.get("back")
            return redirect("incident", number) if back == "incident" else redirect("postmortems:postmortems")
    context = finding.context(
        request,
        tab="list",
        incident=incident,
        wanted=wanted,
        error=error,
        reason=reason,
        longest=LONGEST_REASON,
        back=request.GET.get("back") or request.POST.get("back", ""),
    )
    return render(request, "postmortems/decline.html", context, status=400 if error else 200)


# --- the panel of an incident's page ----------------------------------------------------------------------------


def _incident(request, number):
    rows = visible(Incident.objects.select_related("team", "service"), request.user)
    return get_object_or_404(rows, pk=number)


@login_required
@never_cache
@require_GET
def incident_panel(request, number):
    """The postmortems of an incident, and the way to begin one: a part of its page, or a page of its own."""
    incident = _incident(request, number)
    is_fragment = bool(asked(request))
    context = finding.context(
        request,
        incident=incident,
        postmortems=drafting.of([incident.pk], request.user).select_related("owner").order_by("number"),
        may_begin=may(request.user, "respond", incident),
        is_over=incident.status not in incident_states.OPEN,
        wanted=Wanted.objects.filter(incident=incident).select_related("declined_by").first(),
        is_fragment=is_fragment,
    )
    name = "_incident_panel" if is_fragment else "incident_panel"
    response = render(request, f"postmortems/{name}.html", context)
    patch_vary_headers(response, ["X-Fragment"])
    return response


def _filters(chosen, user):
    """What a search is narrowed to: what is not chosen is not there."""
    found = {name: value for name, value in chosen.items() if value and name != "q"}
    if found.get("owner") == "me":
        found["owner"] = str(user.uuid)
    return found
