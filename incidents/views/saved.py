"""The saved views of the list: save, change, delete."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, QueryDict
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST

from accounts.models import Team
from accounts.permissions import visible
from core.errors import DomainError
from incidents import saved_views
from incidents.views.calls import number_of
from notifications.message import storable

LONGEST = 4000  # characters of the filters in an address


@login_required
@require_POST
def save(request):
    """Keep the filters that the form names, for oneself or a team."""
    now = timezone.now()
    try:
        view = saved_views.save(
            request.user,
            name=request.POST.get("name", ""),
            query=request.POST.get("query", ""),
            team=_team(request),
            now=now,
        )
    except DomainError as error:
        messages.error(request, error.message)
        return redirect(address_of(request.POST.get("query", "")))
    messages.success(request, f"The view “{view.name}” is kept{f' for {view.team}' if view.team else ''}.")
    return redirect(address_of(view.query))


@login_required
@require_POST
def do(request, pk, verb):
    """Rename a view, or delete it."""
    view = get_object_or_404(saved_views.of(request.user).select_related("team", "owner"), pk=pk)
    query = view.query
    try:
        if verb == "delete":
            saved_views.remove(view, by=request.user)
            text = f"The view “{view.name}” is deleted."
        elif verb != "change":
            raise Http404
        else:
            name = request.POST.get("name", "")
            saved_views.change(view, by=request.user, now=timezone.now(), name=name, team=_team(request))
            text = f"The view is called “{view.name}” now."
    except DomainError as error:
        messages.error(request, error.message)
    else:
        messages.success(request, text)
    return redirect(address_of(query))


def _team(request):
    """The team that the form names, or None when it names none."""
    given = request.POST.get("team", "")
    if not given:
        return None
    team = visible(Team.objects.filter(pk=number_of(given)), request.user).first()
    if team is None:
        raise DomainError("This team is not there any more. Choose another one, or keep the view for yourself.")
    return team


def address_of(query):
    """The address of the list with these filters, which came with a form."""
    query = QueryDict(storable(query)[:LONGEST]).urlencode()
    return f"{reverse('incidents')}{'?' if query else ''}{query}"
