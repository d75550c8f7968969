"""The alerts of an incident, a panel that the incident's page fetches."""

from django.contrib.auth.decorators import login_required
from django.shortcuts import get_object_or_404, render
from django.utils.cache import patch_vary_headers
from django.views.decorators.cache import never_cache

from accounts.permissions import visible
from alerts import quiet
from alerts.models import Alert
from alerts.visibility import hide_origins
from incidents.models import Incident

LAST_ALERTS = 100


@login_required
@never_cache
def panel(request, number):
    """The panel for the page that fetches it, or a page of its own where there are no scripts."""
    incident = get_object_or_404(visible(Incident.objects.all(), request.user), pk=number)
    rows = visible(Alert.objects.filter(incident=incident), request.user).select_related("service", "integration")
    total = rows.count()
    alerts, held = list(rows[:LAST_ALERTS]), []
    if incident.is_open:
        held = list(visible(quiet.held_because_of(incident), request.user)[:LAST_ALERTS])
    hide_origins([*alerts, *held], request.user)
    context = {
        "section": "incidents",
        "incident": incident,
        "alerts": alerts,
        "total": total,
        "hidden": max(0, total - LAST_ALERTS),
        "held": held,
    }
    name = "_panel" if "X-Fragment" in request.headers else "panel"
    response = render(request, f"alerts/{name}.html", context)
    patch_vary_headers(response, ["X-Fragment"])
    return response
