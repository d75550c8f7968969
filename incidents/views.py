"""The pages of incidents: the list, one incident, and the form that opens one.

A request that names fragments (`X-Fragment: head,timeline`, or `?fragment=`) gets only these parts of the same page;
static/js/live.js asks for what it shows when the socket says that something changed.
"""

import datetime as dt
import logging

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Case, Q, Value, When
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from accounts.models import Role, Team, User
from accounts.permissions import may
from catalog.models import Service
from core.errors import DomainError
from incidents import escalation, figures, lifecycle, live, states
from incidents.models import Incident, Severity
from incidents.priorities import target_seconds
from notifications.message import CALLS, storable
from notifications.models import Alarm, Notification, channels
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
    latest = live.newest()  # before all else: what changes while we read is told again
    chosen = {
        "status": request.GET.get("status") if request.GET.get("status") in STATUSES else "open",
        "team": storable(request.GET.get("team", "")),
        "service": storable(request.GET.get("service", "")),
        "q": storable(request.GET.get("q", "")).strip(),
    }
    found = _filtered(chosen, request.user).select_related("service", "team", "assignee")
    urgent = Case(When(status=states.TRIGGERED, then=Value(0)), default=Value(1))
    page = Paginator(found.order_by(urgent, "-number"), A_PAGE).get_page(request.GET.get("page"))
    calls = _next_calls(page.object_list, now=now)
    for one in page.object_list:
        one.next_call = calls.get(one.pk)
    query = request.GET.copy()
    query.pop("page", None)
    query.pop("fragment", None)
    counts = Incident.objects.open()
    context = {
        "section": "incidents",
        "now": now,
        "latest": latest,
        "page": page,
        "query": query.urlencode(),
        "chosen": chosen,
        "is_filtered": bool(chosen["team"] or chosen["service"] or chosen["q"] or chosen["status"] != "open"),
        "statuses": STATUSES,
        "teams": Team.objects.all(),
        "services": Service.objects.all(),
        "open_count": counts.count(),
        "triggered_count": counts.filter(status=states.TRIGGERED).count(),
        "figures": figures.summary(Incident.objects.filter(triggered_at__gte=now - dt.timedelta(days=FIGURES_DAYS))),
        "alarms": list(Alarm.objects.filter(cleared_at=None)[:6]),
        "may_respond": may(request.user, "respond"),
    }
    return _respond(request, "dashboard", context, fragments=("summary", "rows"))


def _filtered(chosen, user):
    found = Incident.objects.all()
    if chosen["status"] != "all":
        found = found.open()
    if chosen["status"] == "triggered":
        found = found.filter(status=states.TRIGGERED)
    if chosen["status"] == "mine":
        found = found.filter(assignee=user)
    if chosen["team"]:
        found = found.filter(team__slug=chosen["team"])
    if chosen["service"]:
        found = found.filter(service__slug=chosen["service"])
    if text := chosen["q"]:
        words = Q(title__icontains=text) | Q(description__icontains=text) | Q(service__name__icontains=text)
        number = _number(text.removeprefix("#"))
        found = found.filter(words if number is None else words | Q(number=number))
    return found


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
    found = get_object_or_404(people, pk=number)
    found.next_call = _next_calls([found], now=now).get(found.pk)
    may_respond = may(request.user, "respond")
    entries, hidden = _entries(found, everything="all" in request.GET)
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
        "responders": _responders() if may_respond and found.is_open else [],
        "snoozes": SNOOZES,
        "entries": entries,
        "hidden_entries": hidden,
        "pages": _pages(found),
    }
    return _respond(request, "incident", context, fragments=("head", "people", "timeline"))


def _responders():
    """Everybody who can be given work."""
    return User.objects.filter(is_active=True).exclude(role=Role.OBSERVER, is_superuser=False)


def _entries(found, *, everything):
    """The timeline, oldest first, with the names of those who were told; and how many older entries are not shown."""
    rows = found.timeline.select_related("by").order_by("-id")
    hidden = 0 if everything else max(0, rows.count() - LAST_ENTRIES)
    entries = list(rows if everything else rows[:LAST_ENTRIES])[::-1]
    told = {one["user"] for entry in entries for one in entry.data.get("told", ())}
    names = {user.pk: str(user) for user in User.objects.filter(pk__in=told)}
    for entry in entries:
        entry.told = [
            {
                "name": names.get(one["user"], "somebody who was deleted"),
                "channel": _channel(one["channel"]),
                "delay": one["delay_minutes"],
            }
            for one in entry.data.get("told", ())
        ]
    return entries, hidden


def _pages(found):
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
    return pages


def _channel(kind):
    """The name of a channel, which may have been removed since."""
    return channels.get(kind).label if kind in channels else kind


@login_required
@require_POST
def act(request, number, verb):
    """Do one verb of an incident, then show where the person came from."""
    if not may(request.user, "respond"):
        raise PermissionDenied
    by_whom = {"by": request.user, "now": timezone.now(), "via": "web"}
    try:
        if verb == "resolve":
            lifecycle.resolve(number, note=request.POST.get("note", ""), **by_whom)
        elif verb == "reassign":
            lifecycle.reassign(number, to=_person(request.POST.get("to", "")), **by_whom)
        elif verb == "snooze":
            lifecycle.snooze(number, until=_snooze_end(request.POST.get("minutes", ""), by_whom["now"]), **by_whom)
        elif verb == "note":
            lifecycle.add_note(number, text=request.POST.get("text", ""), **by_whom)
        elif verb in VERBS:
            VERBS[verb](number, **by_whom)
        else:
            raise Http404
    except DomainError as error:
        messages.error(request, error.message)
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


def _person(pk):
    found = _responders().filter(pk=_number(pk)).first()
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
    if not may(request.user, "respond"):
        raise PermissionDenied
    error = ""
    if request.method == "POST":
        try:
            opened = lifecycle.trigger(
                _service(request.POST.get("service", "")),
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
        "services": _services(),
        "severities": Severity.choices,
    }
    return render(request, "incidents/new.html", context, status=400 if error else 200)


def _services():
    return Service.objects.exclude(lifecycle=Service.Lifecycle.ARCHIVED).select_related("team")


def _service(slug):
    found = _services().filter(slug=storable(slug)).first()
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
