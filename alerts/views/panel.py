"""The alerts of an incident, a panel that the incident's page fetches."""

from django.contrib.auth.decorators import login_required
from django.shortcuts import get_object_or_404, render
from django.utils.cache import patch_vary_headers
from django.views.decorators.cache import never_cache

from alerts import quiet
from alerts.models import Alert
from incidents.models import Incident

LAST_ALERTS = 100


@login_required
@never_cache
def panel(request, number):
    """The panel for the page that fetches it, or a page of its own where there are no scripts."""
    incident = get_object_or_404(Incident, pk=number)
    rows = Alert.objects.filter(incident=incident).select_related("service", "integration")
    total = rows.count()
    context = {
        "section": "incidents",
        "incident": incident,
        "alerts": rows[:LAST_ALERTS],
        "total": total,
        "hidden": max(0, total - LAST_ALERTS),
        "held": quiet.held_because_of(incident)[:LAST_ALERTS] if incident.is_open else [],
    }
    name = "_panel" if "X-Fragment" in request.headers else "panel"
    response = render(request, f"alerts/{name}.html", context)
    patch_vary_headers(response, ["X-Fragment"])
    return response
