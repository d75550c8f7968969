"""The pages of incidents: the list, one incident, and the form that opens one.

A request that names fragments (`X-Fragment: head,timeline`, or `?fragment=`) gets only these parts of the same page;
static/js/live.js asks for what it shows when the socket says that something changed.
"""

import datetime as dt
import logging

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.postgres.expressions import ArraySubquery
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Case, Count, Max, OuterRef, Q, Subquery, Value, When
from django.db.models.functions import JSONObject
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from accounts.models import Team, User
from accounts.permissions import may, may_once_seen, may_somewhere, visible, where_may
from accounts.visibility import hushed
from catalog.models import Service
from core.errors import DomainError
from incidents import escalation, figures, lifecycle, live, states
from incidents.models import Incident, Severity, TimelineEntry
from incidents.priorities import target_seconds
from notifications import numbers
from notifications.message import CALLS, storable
from notifications.models import Alarm, ContactMethod, Notification, channels
from notifications.providers import names_of

logger = logging.getLogger(__name__)

A_PAGE = 50
FIGURES_DAYS = 7
LAST_ENTRIES = 200
LAST_PAGES = 100
LONGEST_NUMBER = 18  # so many digits fit a bigint; int() refuses thousands of them
STATUSES = {"open": "Open", "triggered": "Triggered", "mine": "Open and mine", "all": "All"}
LABELS = {
    "acknowledge": "Acknowledge",
    "start": "Start investigating",
    "remediate": "Start repairing",
    "resolve": "Resolve",
    "close": "Close",
    "escalate": "Call the next level",
    "reassign": "Reassign",
    "snooze": "Snooze",
}
# Minutes, and how the form says them.
SNOOZES = [(15, "15 minutes"), (60, "1 hour"), (240, "4 hours"), (720, "12 hours"), (1440, "1 day"), (10080, "7 days")]


@login_required
@never_cache
def dashboard(request):
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
    calls = _next_calls(page.object_list, now=now)
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
    return _respond(request, "dashboard", context, fragments=("summary", "rows"))


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
        number = _number(text.removeprefix("#"))
        wanted &= words if number is None else words | Q(number=number)
    return wanted or Q(pk__isnull=False)


def _number(text):
    """The number that somebody typed or picked, or None when nothing can have it."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= LONGEST_NUMBER else None


def _next_calls(incidents, *, now):
    """`{number: Step}`: whom the escalation calls next, as it would decide now; in a constant number of queries."""
    waiting = [one for one in incidents if one.next_escalation_at]
    if not waiting:
        return {}
    try:
        callers = escalation.Callers([one.policy for one in waiting], now=now)
        return {one.pk: callers.step(one) for one in waiting}
    except (AttributeError, KeyError, TypeError, ValueError):  # a broken copy of a policy must not hide the incidents
        logger.warning("Whom the escalation calls next cannot be shown.", exc_info=True)
        return {}


@login_required
@never_cache
def incident(request, number):
    now = timezone.now()
    latest = live.newest()
    people = Incident.objects.select_related("service", "team", "assignee", "acknowledged_by", "resolved_by")
    found = get_object_or_404(visible(people, request.user), pk=number)
    found.next_call = _next_calls([found], now=now).get(found.pk)
    may_respond = may(request.user, "respond", found)
    # What was written for everybody may name the schedule of a private team, which the policy called.
    hush = hushed(request.user)
    if found.policy:
        found.policy["name"] = hush(found.policy.get("name", ""))
    entries, hidden = _entries(found, hush, everything="all" in request.GET)
    context = {
        "section": "incidents",
        "now": now,
        "latest": latest,
        "incident": found,
        "figures": figures.of(found, now=now),
        "target_at": found.triggered_at + dt.timedelta(seconds=target_seconds(found.priority)),
        "answer": figures.answer_text(found) if found.acknowledged_at else "",
        "may_respond": may_respond,
        "verbs": [(verb, LABELS[verb]) for verb in states.verbs(found.status)] if may_respond else [],
        "responders": User.objects.who_may("respond", found.team_id) if may_respond and found.is_open else [],
        "snoozes": SNOOZES,
        "entries": entries,
        "hidden_entries": hidden,
        "pages": _pages(found, hush),
    }
    context["phones"] = _phones(found, context["pages"], request.user) if may_respond else []
    return _respond(request, "incident", context, fragments=("head", "people", "timeline"))


def _entries(found, hush, *, everything):
    """The timeline, oldest first, with the names of those who were told; and how many older entries are not shown."""
    rows = found.timeline.select_related("by").order_by("-id")
    hidden = 0 if everything else max(0, rows.count() - LAST_ENTRIES)
    entries = list(rows if everything else rows[:LAST_ENTRIES])[::-1]
    told = {one["user"] for entry in entries for one in entry.data.get("told", ())}
    names = {user.pk: str(user) for user in User.objects.filter(pk__in=told)}
    for entry in entries:
        entry.text, entry.reasons = hush(entry.text), [hush(reason) for reason in entry.data.get("reasons", ())]
        entry.told = [
            {
                "name": names.get(one["user"], "somebody who was deleted"),
                "channel": _channel(one["channel"]),
                "delay": one["delay_minutes"],
            }
            for one in entry.data.get("told", ())
        ]
    return entries, hidden


def _pages(found, hush):
    pages = list(
        Notification.objects.filter(topic=found.topic)
        .select_related("user", "destination")
        .order_by("-id")[:LAST_PAGES]
    )
    providers = names_of({page.provider for page in pages})
    for page in pages:
        page.channel_label = _channel(page.channel)
        page.provider_name = providers.get(page.provider, "")
        page.what = "Page" if page.kind in CALLS else "News"
        page.reason = hush(page.reason)
    return pages


def _phones(found, pages, user):
    """`[(name, number)]` of who has the open incident or was paged for it, for those who are on it together.

    Who merely may respond anywhere is not shown numbers: whoever takes the incident, or is of its team, is.
    """
    if not found.is_open:
        return []
    called = {page.user_id for page in pages if page.kind in CALLS} | {found.assignee_id, found.acknowledged_by_id}
    if user.pk not in called and found.team_id not in user.access().teams and not may(user, "contacts", found):
        return []
    methods = ContactMethod.objects.filter(user__in=called - {None, user.pk}, user__is_active=True)
    methods = list(methods.select_related("user"))
    names = {one.user_id: str(one.user) for one in methods}
    return sorted((names[pk], number) for pk, number in numbers.to_call(methods).items())


def _channel(kind):
    """The name of a channel, which may have been removed since."""
    return channels.get(kind).label if kind in channels else kind


@login_required
@require_POST
def act(request, number, verb):
    """Do one verb of an incident, then show where the person came from."""
    found = get_object_or_404(visible(Incident.objects.select_related("team"), request.user), pk=number)
    if not may(request.user, "respond", found):
        raise PermissionDenied(
            f"Responders of the team {found.team} do this. Ask one of them, or an admin for the role."
        )
    by_whom = {"by": request.user, "now": timezone.now(), "via": "web"}
    try:
        if verb == "resolve":
            lifecycle.resolve(number, note=request.POST.get("note", ""), **by_whom)
        elif verb == "reassign":
            lifecycle.reassign(number, to=_person(found, request.POST.get("to", "")), **by_whom)
        elif verb == "snooze":
            lifecycle.snooze(number, until=_snooze_end(request.POST.get("minutes", ""), by_whom["now"]), **by_whom)
        elif verb == "note":
            lifecycle.add_note(number, text=request.POST.get("text", ""), **by_whom)
        elif verb in VERBS:
            VERBS[verb](number, **by_whom)
        else:
            raise Http404
    except DomainError as error:
        messages.error(request, hushed(request.user)(error.message))
    else:
        messages.success(request, DONE[verb].format(number=number))
    return redirect(_back(request) or redirect("incident", number).url)


VERBS = {
    "acknowledge": lifecycle.acknowledge,
    "start": lifecycle.start,
    "remediate": lifecycle.remediate,
    "close": lifecycle.close,
    "escalate": lifecycle.escalate,
}
DONE = {
    "acknowledge": "You have incident #{number}. Nobody else is called.",
    "start": "Incident #{number} is being investigated.",
    "remediate": "Incident #{number} is being repaired.",
    "resolve": "Incident #{number} is resolved.",
    "close": "Incident #{number} is closed.",
    "escalate": "The next level of incident #{number} was called.",
    "reassign": "Incident #{number} was reassigned.",
    "snooze": "Incident #{number} is snoozed. It calls again if it is still open then.",
    "note": "The note is in the timeline.",
}


def _person(incident, pk):
    found = User.objects.who_may("respond", incident.team_id).filter(pk=_number(pk)).first()
    if found is None:
        raise DomainError("Choose the person who takes the incident over, then press Reassign.")
    return found


def _snooze_end(minutes, now):
    length = _number(minutes)
    if not length or length > SNOOZES[-1][0]:
        raise DomainError("Choose for how long to snooze it, then press Snooze.")
    return now + dt.timedelta(minutes=length)


def _back(request):
    """The page of ours that the form names, or ""."""
    url = request.POST.get("next", "")
    is_ours = url_has_allowed_host_and_scheme(url, {request.get_host()}, require_https=request.is_secure())
    return url if is_ours and url.startswith("/") else ""  # redirect() takes other words for names of pages


@login_required
def new(request):
    """Open an incident by hand."""
    if not may_somewhere(request.user, "respond"):
        raise PermissionDenied
    error = ""
    if request.method == "POST":
        try:
            opened = lifecycle.trigger(
                _service(request.user, request.POST.get("service", "")),
                title=request.POST.get("title", ""),
                severity=request.POST.get("severity", ""),
                description=request.POST.get("description", "").strip(),
                by=request.user,
                now=timezone.now(),
            )
        except DomainError as refused:
            error = refused.message
        else:
            messages.success(request, f"Incident #{opened.pk} is open, and its first level is being called.")
            return redirect("incident", opened.pk)
    context = {
        "section": "incidents",
        "error": error,
        "typed": request.POST if request.method == "POST" else request.GET,
        "services": _services(request.user),
        "severities": Severity.choices,
    }
    return render(request, "incidents/new.html", context, status=400 if error else 200)


def _services(user):
    rows = Service.objects.exclude(lifecycle=Service.Lifecycle.ARCHIVED).select_related("team")
    return where_may(rows, user, "respond")


def _service(user, slug):
    found = _services(user).filter(slug=storable(slug)).first()
    if found is None:
        raise DomainError("Choose the service that is in trouble: its policy says who is called.")
    return found


def _respond(request, page, context, *, fragments):
    """The whole page, or those of its fragments that the request names."""
    wanted = request.headers.get("X-Fragment") or request.GET.get("fragment", "")
    names = [name for name in wanted.split(",") if name in fragments]
    if wanted and not names:
        raise Http404
    if names:
        parts = (render_to_string(f"incidents/_{name}.html", context, request) for name in names)
        response = HttpResponse("\n".join(parts))
    else:
        response = render(request, f"incidents/{page}.html", context)
    patch_vary_headers(response, ["X-Fragment"])
    return response
