"""What was changed at a service, or around an incident: panels that their pages fetch."""

import datetime as dt

from django.contrib.auth.decorators import login_required
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django.views.decorators.cache import never_cache

from accounts.permissions import visible
from alerts.changes import BEFORE, around, lately
from catalog.models import Service
from incidents.models import Incident

DAYS = 14
MOST = 15


@login_required
@never_cache
def of_service(request, slug):
    """The last changes of a service: a panel, or a page of its own where there are no scripts."""
    service = get_object_or_404(visible(Service.objects.all(), request.user), slug=slug)
    now = timezone.now()
    context = {
        "section": "services",
        "now": now,
        "service": service,
        "changes": lately(service, request.user, since=now - dt.timedelta(days=DAYS), limit=MOST),
        "days": DAYS,
    }
    name = "_changes" if "X-Fragment" in request.headers else "changes"
    response = render(request, f"alerts/{name}.html", context)
    patch_vary_headers(response, ["X-Fragment"])
    return response


@login_required
@never_cache
def of_incident(request, number):
    """The changes before the start of an incident and during it: a panel, or a page of its own."""
    incident = get_object_or_404(visible(Incident.objects.select_related("service"), request.user), pk=number)
    context = {
        "section": "incidents",
        "incident": incident,
        "changes": around(incident, request.user),
        "hours": int(BEFORE.total_seconds()) // 3600,
    }
    name = "_incident_changes" if "X-Fragment" in request.headers else "incident_changes"
    response = render(request, f"alerts/{name}.html", context)
    patch_vary_headers(response, ["X-Fragment"])
    return response
