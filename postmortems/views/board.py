"""Action items across postmortems: the board, one item, and what is done about it; and the figures over time."""

import datetime as dt

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.db.models import Case, F, IntegerField, Q, When
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts.models import Team, User
from accounts.permissions import may, visible
from core.errors import DomainError
from core.pages import respond
from postmortems import items as work
from postmortems import trends
from postmortems.forms import ItemForm
from postmortems.models import ActionItem
from postmortems.views import finding, reading
from postmortems.views.cards import dressed

MOST = 100  # of one column; the filter finds the rest
OVER_FOR = dt.timedelta(days=60)  # what is over longer than this leaves the board
ORDER = Case(When(priority="high", then=0), When(priority="medium", then=1), default=2, output_field=IntegerField())
PERIODS = {"90": "90 days", "180": "Half a year", "365": "A year"}


@login_required
@never_cache
@require_safe
def items(request):
    """The board: a column for each state, one's own items first."""
    today = finding.today(request.user)
    chosen = {
        "owner": finding.text_of(request.GET, "owner"),
        "team": finding.text_of(request.GET, "team"),
        "priority": finding.text_of(request.GET, "priority"),
        "overdue": "yes" if request.GET.get("overdue") == "yes" else "",
    }
    rows = work.seen_by(request.user).select_related("owner", "postmortem__team")
    rows = _filtered(rows, chosen, request.user, today)
    recent = timezone.now() - OVER_FOR
    rows = rows.filter(Q(ended_at=None) | Q(ended_at__gte=recent))
    rows = rows.annotate(
        is_others=Case(When(owner=request.user, then=0), default=1, output_field=IntegerField()), rank=ORDER
    ).order_by("is_others", F("due_on").asc(nulls_last=True), "rank", "pk")
    columns = []
    for status, label in ActionItem.Status.choices:
        found = list(rows.filter(status=status)[: MOST + 1])
        columns.append({"status": status, "label": label, "items": dressed(found[:MOST], request.user, today)})
        columns[-1]["has_more"] = len(found) > MOST
    seen = work.seen_by(request.user)
    context = finding.context(
        request,
        tab="items",
        columns=columns,
        chosen=chosen,
        is_filtered=any(chosen.values()),
        total=sum(len(one["items"]) for one in columns),
        owners=User.objects.filter(pk__in=seen.values("owner")).order_by("name", "email"),
        teams=visible(Team.objects.order_by("name"), request.user),
        priorities=ActionItem.Priority.choices,
        days=OVER_FOR.days,
        query=request.GET.urlencode(),
    )
    return respond(request, "postmortems/items.html", context, fragments=("board",))


def _filtered(rows, chosen, user, today):
    if chosen["owner"] == "me":
        rows = rows.filter(owner=user)
    elif chosen["owner"] == "nobody":
        rows = rows.filter(owner=None)
    elif chosen["owner"]:
        wanted = finding.uuid_of(chosen["owner"])
        rows = rows.filter(owner__uuid=wanted) if wanted else rows.none()
    if chosen["team"]:
        rows = rows.filter(postmortem__team__slug=chosen["team"])
    if chosen["priority"]:
        rows = rows.filter(priority=chosen["priority"])
    return rows.filter(work.overdue(today)) if chosen["overdue"] else rows


def _item(request, uuid):
    rows = work.seen_by(request.user).select_related("owner", "postmortem__team")
    found = get_object_or_404(rows, uuid=uuid)
    if not (found.owner_id == request.user.pk or may(request.user, "respond", found.postmortem)):
        raise PermissionDenied(
            f"Its owner and responders of the team {found.postmortem.team} change this action item. Ask one of them."
        )
    return found


@login_required
@never_cache
def item(request, uuid):
    """One item with the form that changes it."""
    found = _item(request, uuid)
    form = ItemForm(
        request.POST if request.method == "POST" else None,
        for_whom=request.user,
        team=found.postmortem.team,
        item=found,
    )
    status = 200
    if request.method == "POST":
        if form.is_valid() and _change(request, found, form):
            return redirect(_back(request, found))
        status = 400
    context = finding.context(
        request,
        tab="items",
        item=dressed([found], request.user, finding.today(request.user))[0],
        form=form,
        statuses=ActionItem.Status.choices,
        back=_back(request, found),
        next=request.GET.get("next") or request.POST.get("next", ""),
    )
    return render(request, "postmortems/item.html", context, status=status)


def _change(request, found, form):
    try:
        work.change(found.uuid, **form.cleaned_data, by=request.user, now=timezone.now())
    except DomainError as error:
        form.refuse(error)
        return False
    return True


@login_required
@require_POST
def move(request, uuid):
    """Say how far it is."""
    found = _item(request, uuid)
    status = finding.text_of(request.POST, "status")
    label = dict(ActionItem.Status.choices).get(status, status).lower()
    finding.do(request, f"“{found.text}” is {label}.", work.change, uuid, status=status)
    return redirect(_back(request, found))


def _back(request, found):
    """Where they came from: the board with its filter, or the page of the postmortem."""
    wanted = request.POST.get("next") or request.GET.get("next", "")
    if wanted.startswith("/") and url_has_allowed_host_and_scheme(wanted, allowed_hosts=None):
        return wanted  # redirect() takes other words for names of pages
    return reverse("postmortems:postmortem", args=[found.postmortem_id]) + "#items-head"


@login_required
@require_POST
def add(request, number):
    """Add an item to a postmortem."""
    found = finding.writable(request, number)
    form = ItemForm(request.POST, for_whom=request.user, team=found.team)
    if form.is_valid():
        try:
            work.add(number, **form.cleaned_data, by=request.user, now=timezone.now())
        except DomainError as error:
            form.refuse(error)
        else:
            return redirect(reverse("postmortems:postmortem", args=[number]) + "#items-head")
    return reading.page(request, found, item_form=form, status=400)


# --- figures ------------------------------------------------------------------------------------------------------


@login_required
@never_cache
@require_safe
def figures(request):
    """What comes again, what is left to do, and how long it takes until something is learned."""
    period = request.GET.get("days", "180")
    period = period if period in PERIODS else "180"
    now = timezone.now()
    found = trends.figures(request.user, now - dt.timedelta(days=int(period)), now, now=now)
    context = finding.context(
        request,
        tab="figures",
        periods=PERIODS,
        period=period,
        figures=found,
        most=max((one.begun for one in found.months), default=0) or 1,
        most_open=max((one.open for one in found.teams), default=0) or 1,
    )
    return render(request, "postmortems/figures.html", context)
