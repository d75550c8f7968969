"""One incident: its page, and the verbs of its buttons."""

import datetime as dt

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from accounts.models import User
from accounts.permissions import may, visible
from accounts.visibility import hushed
from core.errors import DomainError
from core.pages import respond
from incidents import figures, lifecycle, live, states
from incidents.models import Incident
from incidents.priorities import target_seconds
from incidents.views.calls import next_calls, number_of
from notifications import numbers
from notifications.message import CALLS
from notifications.models import ContactMethod, Notification, channels
from notifications.providers import names_of

LAST_ENTRIES = 200
LAST_PAGES = 100
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
def incident(request, number):
    now = timezone.now()
    latest = live.newest()
    people = Incident.objects.select_related("service", "team", "assignee", "acknowledged_by", "resolved_by")
    found = get_object_or_404(visible(people, request.user), pk=number)
    found.next_call = next_calls([found], now=now).get(found.pk)
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
    return respond(request, "incidents/incident.html", context, fragments=("head", "people", "timeline"))


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
    found = User.objects.who_may("respond", incident.team_id).filter(pk=number_of(pk)).first()
    if found is None:
        raise DomainError("Choose the person who takes the incident over, then press Reassign.")
    return found


def _snooze_end(minutes, now):
    length = number_of(minutes)
    if not length or length > SNOOZES[-1][0]:
        raise DomainError("Choose for how long to snooze it, then press Snooze.")
    return now + dt.timedelta(minutes=length)


def _back(request):
    """The page of ours that the form names, or ""."""
    url = request.POST.get("next", "")
    is_ours = url_has_allowed_host_and_scheme(url, {request.get_host()}, require_https=request.is_secure())
    return url if is_ours and url.startswith("/") else ""  # redirect() takes other words for names of pages
