"""The pages that choose what a postmortem tells: its timeline, its causes, and which incidents it is about."""

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.db.models import Count
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from accounts.permissions import may, visible
from accounts.visibility import hushed
from core.errors import DomainError
from core.pages import respond
from core.zones import zone_of
from incidents.models import Incident
from oncall.forms import shown
from postmortems import drafting, moments
from postmortems import factors as causes
from postmortems.forms import FactorForm, MomentForm
from postmortems.models import Factor, Moment
from postmortems.views import finding

MOST_CAUSES = 200  # that a field offers


@login_required
@never_cache
def timeline(request, number):
    """Everything that was drawn, shown or hidden; with script each line is changed in its place."""
    found = finding.writable(request, number)
    return _timeline(request, found)


def _timeline(request, found, form=None, status=200):
    source = request.GET.get("source", "")
    sources = dict(Moment.Source.choices)
    rows = list(visible(found.moments.select_related("incident", "changed_by"), request.user))
    counts = {name: sum(one.source == name for one in rows) for name in sources}
    chosen = source if counts.get(source) else ""
    tz, hush = zone_of(request.user.time_zone), hushed(request.user)
    for one in rows:
        one.text, one.said = hush(one.text), hush(one.said)
        one.wall = f"{shown(one.at, tz):%Y-%m-%dT%H:%M}"
    context = finding.context(
        request,
        postmortem=found,
        tab="timeline",
        moments=[one for one in rows if not chosen or one.source == chosen],
        chosen=chosen,
        sources=[(name, label, counts[name]) for name, label in sources.items() if counts[name]],
        total=len(rows),
        shown_count=sum(one.is_shown for one in rows),
        form=form or MomentForm(for_whom=request.user, exact=found.impact_began_at),
        edited=request.GET.get("reword", ""),
    )
    return respond(request, "postmortems/timeline.html", context, fragments=("moments",), status=status)


def _back(request, number, anchor=""):
    source = request.POST.get("source", "")
    query = f"?source={source}" if source in Moment.Source.values else ""
    return redirect(reverse("postmortems:timeline", args=[number]) + query + anchor)


@login_required
@require_POST
def redraw(request, number):
    """Take in what was stored about its incidents since."""
    finding.writable(request, number)
    finding.do(request, "The timeline is drawn anew. What you hid or reworded stays as it is.", moments.redraw, number)
    return _back(request, number)


@login_required
@never_cache
@require_POST
def add(request, number):
    """Write a line of one's own."""
    found = finding.writable(request, number)
    form = MomentForm(request.POST, for_whom=request.user, exact=found.impact_began_at)
    if form.is_valid():
        try:
            moments.add(number, **form.cleaned_data, by=request.user, now=timezone.now())
        except DomainError as error:
            form.refuse(error)
        else:
            return _back(request, number)
    return _timeline(request, found, form, status=400)


@login_required
@require_POST
def change(request, number, uuid):
    """Hide, show, reword, put back or remove one line."""
    found = finding.writable(request, number)
    moment = get_object_or_404(visible(found.moments.all(), request.user), uuid=uuid)
    match request.POST.get("do", ""):
        case "hide":
            finding.do(request, "The line is hidden.", moments.change, uuid, is_shown=False)
        case "show":
            finding.do(request, "The line is shown.", moments.change, uuid, is_shown=True)
        case "put back":
            finding.do(request, "The line says again what was drawn.", moments.put_back, uuid)
        case "remove":
            finding.do(request, "The line is removed.", moments.remove, uuid)
        case _:
            _reword(request, moment)
    return _back(request, number, f"#moment-{uuid}")


def _reword(request, moment):
    values = {"text": finding.text_of(request.POST, "text", 10_000)}
    if moment.source == Moment.Source.OWN and "at" in request.POST:
        form = MomentForm(request.POST, for_whom=request.user, exact=moment.at)
        if form.errors.get("at"):
            return finding.refuse(request, f"The line is as it was. {' '.join(form.errors['at'])}", values["text"])
        values["at"] = form.cleaned_data["at"]
    said = "The line is changed."
    return finding.do(request, said, moments.change, moment.uuid, typed=values["text"], **values)


# --- causes -----------------------------------------------------------------------------------------------------


@login_required
@never_cache
def factors(request, number):
    """Name what contributed, in the words that others used before."""
    found = finding.writable(request, number)
    form, status = FactorForm(for_whom=request.user), 200
    if request.method == "POST":
        uuid = request.POST.get("factor", "")
        if request.POST.get("do") == "remove":
            factor = get_object_or_404(found.factors, uuid=finding.uuid_of(uuid))
            finding.do(request, "The cause is removed.", causes.remove, factor.uuid)
            return redirect("postmortems:factors", number)
        factor = get_object_or_404(found.factors, uuid=finding.uuid_of(uuid)) if uuid else None
        form = FactorForm(request.POST, for_whom=request.user)
        if form.is_valid() and _save_factor(request, found, factor, form):
            return redirect("postmortems:factors", number)
        status = 400
    edited = finding.uuid_of(request.POST.get("factor") or request.GET.get("change", ""))
    chosen = found.factors.filter(uuid=edited).first() if edited else None
    if chosen and request.method != "POST":
        form = FactorForm(
            for_whom=request.user,
            initial={"cause": chosen.cause, "text": chosen.text, "is_root": chosen.is_root},
        )
    context = finding.context(
        request,
        postmortem=found,
        tab="factors",
        factors=found.factors.all(),
        chosen=chosen,
        causes=known_causes(request.user),
        form=form,
    )
    return respond(request, "postmortems/factors.html", context, status=status)


def _save_factor(request, found, factor, form):
    by_whom = {"by": request.user, "now": timezone.now()}
    try:
        if factor:
            causes.change(factor.uuid, **form.cleaned_data, **by_whom)
        else:
            causes.add(found.number, **form.cleaned_data, **by_whom)
    except DomainError as error:
        form.refuse(error)
        return False
    return True


def known_causes(user):
    """The causes that postmortems named so far, the most frequent first."""
    rows = visible(Factor.objects.all(), user).order_by().values_list("cause").annotate(times=Count("pk"))
    return [cause for cause, _ in rows.order_by("-times", "cause")[:MOST_CAUSES]]


# --- incidents --------------------------------------------------------------------------------------------------


@login_required
@require_POST
def incidents(request, number):
    """Take in another incident, or let one go."""
    finding.writable(request, number)
    wanted = finding.number_of(request.POST.get("incident", ""))
    incident = visible(Incident.objects.all(), request.user).filter(pk=wanted).first() if wanted else None
    if incident is None:
        finding.refuse(request, "There is no incident of this number. Its page and the list of incidents show it.")
    elif not may(request.user, "respond", incident):
        raise PermissionDenied(f"Responders of the team {incident.team} decide where it is written about.")
    elif request.POST.get("do") == "remove":
        finding.do(
            request,
            f"Incident #{wanted} is no longer part of it, and what was drawn of it is gone.",
            drafting.remove_incident,
            number,
            wanted,
        )
    else:
        finding.do(
            request,
            f"Incident #{wanted} is part of it, and its timeline is drawn.",
            drafting.add_incident,
            number,
            wanted,
        )
    return redirect("postmortems:postmortem", number)
