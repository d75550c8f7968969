"""What the buttons of an incident's page do: one address per verb."""

import datetime as dt
from urllib.parse import urlsplit

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.db.models import Case, IntegerField, Q, When
from django.http import Http404, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from accounts.models import User
from accounts.permissions import may, visible, where_may
from accounts.visibility import hushed
from core import markdown
from core.errors import DomainError, NotAllowed
from core.pages import asked
from incidents import checklist, lifecycle, merging, responding, states, updates
from incidents.models import Incident, Priority, Responder, Severity
from incidents.views.calls import number_of
from incidents.views.incident import SNOOZES, page

LONGEST_PREVIEW = 20_000
MOST_CANDIDATES = 8


@login_required
@require_POST
def act(request, number, verb):
    """Do one verb of an incident, then show where the person came from."""
    found = get_object_or_404(visible(Incident.objects.select_related("team"), request.user), pk=number)
    if verb not in VERBS:
        raise Http404
    if verb not in FOR_READERS and not may(request.user, "respond", found):
        raise PermissionDenied(
            f"Responders of the team {found.team} do this. Ask one of them, or an admin for the role."
        )
    by_whom = {"by": request.user, "now": timezone.now(), "via": "web"}
    try:
        said = VERBS[verb](found, request.POST, by_whom)
    except DomainError as error:
        messages.error(request, hushed(request.user)(error.message))
        if request.headers.get("HX-Request") and not _back(request):
            return page(request, number, asked=_asked(request), status=error.status)  # what is true now
    else:
        messages.success(request, said.format(number=number))
    asked = _asked(request).urlencode()
    return redirect(_back(request) or redirect("incident", number).url + (f"?{asked}" if asked else ""))


@login_required
@never_cache
@require_POST
def preview(request, number):
    """What a text looks like as a note: the same Markdown, by the same code."""
    get_object_or_404(visible(Incident.objects.all(), request.user), pk=number)
    text = request.POST.get("text", "")[:LONGEST_PREVIEW]
    return HttpResponse(markdown.render(text) if text.strip() else "")


@login_required
@never_cache
def merge(request, number):
    """The open incidents that this one can be merged into, by number or words: a part of its page, or its own page."""
    found = get_object_or_404(visible(Incident.objects.select_related("team", "service"), request.user), pk=number)
    if not may(request.user, "respond", found):
        raise PermissionDenied(f"Responders of the team {found.team} merge it. Ask one of them.")
    query = request.GET.get("q", "").replace("\0", "").strip()[:200]
    rows = where_may(Incident.objects.open(), request.user, "respond").exclude(pk=found.pk)
    rows = rows.select_related("service", "assignee")
    if query:
        wanted = Q(pk=number_of(query.removeprefix("#")) or 0)
        rows = rows.filter(wanted | Q(title__icontains=query) | Q(service__name__icontains=query))
    # Those of its own service first: they are what it is most likely to be.
    rows = rows.annotate(
        is_far=Case(When(service=found.service_id, then=0), default=1, output_field=IntegerField())
    ).order_by("is_far", "-number")
    context = {
        "section": "incidents",
        "incident": found,
        "query": query,
        "candidates": list(rows[:MOST_CANDIDATES]),
        "may_merge": found.status in states.OPEN,
    }
    name = "_merge" if asked(request) else "merge"
    response = render(request, f"incidents/{name}.html", context)
    patch_vary_headers(response, ["X-Fragment"])
    return response


# --- verbs ----------------------------------------------------------------------------------------------------
# Each takes the incident, the form and who presses; it returns what is said then.


def _move(verb, said):
    def move(found, form, by_whom):
        verb(found.pk, **by_whom)
        return said

    return move


def _resolve(found, form, by_whom):
    lifecycle.resolve(found.pk, note=form.get("note", ""), **by_whom)
    return "Incident #{number} is resolved."


def _reassign(found, form, by_whom):
    to = _person(found, form.get("to", ""), "Choose the person who takes the incident over, then press Reassign.")
    lifecycle.reassign(found.pk, to=to, **by_whom)
    return "Incident #{number} was reassigned."


def _snooze(found, form, by_whom):
    length = number_of(form.get("minutes", ""))
    if not length or length > SNOOZES[-1][0]:
        raise DomainError("Choose for how long to snooze it, then press Snooze.")
    lifecycle.snooze(found.pk, until=by_whom["now"] + dt.timedelta(minutes=length), **by_whom)
    return "Incident #{number} is snoozed. It calls again if it is still open then."


def _note(found, form, by_whom):
    lifecycle.add_note(found.pk, text=form.get("text", ""), **by_whom)
    return "The note is in the timeline."


def _edit(found, form, by_whom):
    changes = {name: form[name] for name in ("title", "impact", "severity", "priority") if name in form}
    if changes.get("priority", Priority.P1) not in Priority.values:
        raise DomainError(f"Choose a priority: {', '.join(Priority.values)}.")
    if changes.get("severity", Severity.HIGH) not in Severity.values:
        raise DomainError(f"Choose a severity: {', '.join(Severity.values)}.")
    lifecycle.edit(found.pk, **changes, **by_whom)
    return "Incident #{number} is changed."


def _merge(found, form, by_whom):
    into = visible(Incident.objects.all(), by_whom["by"]).filter(pk=number_of(form.get("into", ""))).first()
    if into is None:
        raise DomainError("Choose the incident that it is merged into, then press Merge.")
    if not may(by_whom["by"], "respond", into):
        raise NotAllowed(f"You may not respond to #{into.pk}. Ask somebody of the team {into.team} to merge them.")
    merging.merge(found.pk, into=into.pk, **by_whom)
    return f"Incident #{{number}} goes on in #{into.pk}."


def _unmerge(found, form, by_whom):
    one = merging.unmerge(found.pk, **by_whom)
    return "Incident #{number} stands by itself again" + (", and is open." if one.is_open else ". It stays resolved.")


def _add_responder(found, form, by_whom):
    person = _person(found, form.get("person", ""), "Choose the person to add, then press Add.")
    responding.add(
        found.pk,
        people=[person],
        role=form.get("role") or Responder.Role.RESPONDER,
        message=form.get("message", ""),
        **by_whom,
    )
    return "You are on incident #{number}." if person == by_whom["by"] else "They are asked to help, and paged."


def _set_role(found, form, by_whom):
    person = _responder(found, form)
    responding.set_role(found.pk, person, form.get("role", ""), **by_whom)
    return "The role is changed."


def _remove_responder(found, form, by_whom):
    responding.remove(found.pk, _responder(found, form), **by_whom)
    return "They are off incident #{number}, and are not asked any more."


def _responder(found, form):
    row = found.responders.select_related("user").filter(user=number_of(form.get("person", ""))).first()
    if row is None:
        raise DomainError("This person is not on the incident any more. Look at the list again.")
    return row.user


def _decline(found, form, by_whom):
    responding.decline(found.pk, reason=form.get("reason", ""), **by_whom)
    return "You declined. Whoever asked you is told."


def _add_task(found, form, by_whom):
    checklist.add(found.pk, text=form.get("text", ""), assignee=_assignee(found, form), **by_whom)
    return "The task is on the list."


def _edit_task(found, form, by_whom):
    assignee = _assignee(found, form) if "assignee" in form else checklist.KEEP
    checklist.edit(found.pk, _task(form), text=form.get("text"), assignee=assignee, **by_whom)
    return "The task is changed."


def _tick(verb, said):
    def tick(found, form, by_whom):
        verb(found.pk, _task(form), **by_whom)
        return said

    return tick


def _task(form):
    return number_of(form.get("task", "")) or 0


def _assignee(found, form):
    given = form.get("assignee", "")
    return _person(found, given, "Choose a person of the list for the task, or nobody.") if given else None


def _update(found, form, by_whom):
    updates.post(found.pk, text=form.get("text", ""), **by_whom)
    return "The update is on its way to the stakeholders."


def _follow(found, form, by_whom):
    updates.follow(found.pk, by_whom["by"], now=by_whom["now"])
    return "You follow incident #{number}: you are told of updates and of its end."


def _unfollow(found, form, by_whom):
    updates.unfollow(found.pk, by_whom["by"])
    return "You do not follow incident #{number} any more."


VERBS = {
    "acknowledge": _move(lifecycle.acknowledge, "You have incident #{number}. Nobody else is called."),
    "start": _move(lifecycle.start, "Incident #{number} is being investigated."),
    "remediate": _move(lifecycle.remediate, "Incident #{number} is being repaired."),
    "resolve": _resolve,
    "close": _move(lifecycle.close, "Incident #{number} is closed."),
    "escalate": _move(lifecycle.escalate, "The next level of incident #{number} was called."),
    "reassign": _reassign,
    "snooze": _snooze,
    "note": _note,
    "edit": _edit,
    "merge": _merge,
    "unmerge": _unmerge,
    "add-responder": _add_responder,
    "set-role": _set_role,
    "remove-responder": _remove_responder,
    "join": _move(responding.join, "You are on incident #{number}."),
    "decline": _decline,
    "add-task": _add_task,
    "edit-task": _edit_task,
    "complete-task": _tick(checklist.complete, "The task is done."),
    "reopen-task": _tick(checklist.reopen, "The task is on the list again."),
    "remove-task": _tick(checklist.remove, "The task is off the list."),
    "update": _update,
    "follow": _follow,
    "unfollow": _unfollow,
}
# Who may only look at incidents may do these too.
FOR_READERS = {"follow", "unfollow"}


def _person(incident, pk, otherwise):
    found = User.objects.who_may("respond", incident.team_id).filter(pk=number_of(pk)).first()
    if found is None:
        raise DomainError(otherwise)
    return found


def _asked(request):
    """What the page in the browser shows of itself: its filters, when a script sent the form from there."""
    given = QueryDict(urlsplit(request.headers.get("HX-Current-URL", "")).query)
    kept = QueryDict(mutable=True)
    kept.update({name: given[name] for name in ("show", "person", "all") if name in given})
    return kept


def _back(request):
    """The page of ours that the form names, or ""."""
    url = request.POST.get("next", "")
    is_ours = url_has_allowed_host_and_scheme(url, {request.get_host()}, require_https=request.is_secure())
    return url if is_ours and url.startswith("/") else ""  # redirect() takes other words for names of pages
