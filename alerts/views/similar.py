"""Earlier incidents like one, a panel that the incident's page fetches."""

from django.contrib.auth.decorators import login_required
from django.shortcuts import get_object_or_404, render
from django.utils.cache import patch_vary_headers
from django.views.decorators.cache import never_cache

from accounts.permissions import visible
from accounts.visibility import hushed
from alerts import similar as alike
from incidents.models import Incident


@login_required
@never_cache
def similar(request, number):
    """The panel for the page that fetches it, or a page of its own where there are no scripts."""
    incident = get_object_or_404(visible(Incident.objects.select_related("service"), request.user), pk=number)
    found, hush = alike.find(incident, request.user), hushed(request.user)
    for one in found:
        one.incident.resolution_note = hush(one.incident.resolution_note)
        for note in one.notes:
            note.text = hush(note.text)
    context = {"section": "incidents", "incident": incident, "similar": found}
    name = "_similar" if "X-Fragment" in request.headers else "similar"
    response = render(request, f"alerts/{name}.html", context)
    patch_vary_headers(response, ["X-Fragment"])
    return response
