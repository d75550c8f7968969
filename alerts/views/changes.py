"""What was changed at a service, a panel that the page of the service fetches."""

import datetime as dt

from django.contrib.auth.decorators import login_required
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django.views.decorators.cache import never_cache

from accounts.permissions import visible
from alerts.changes import BEFORE, address_of, around
from alerts.models import ChangeEvent
from alerts.visibility import hide_origins
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
    recent = ChangeEvent.objects.filter(service=service, at__gte=now - dt.timedelta(days=DAYS)).order_by("-at")
    context = {
        "section": "services",
        "now": now,
        "service": service,
        "changes": [_linked(one) for one in visible(recent, request.user)[:MOST]],
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
    found = around(incident, request.user)
    hide_origins(found, request.user)
    context = {
        "section": "incidents",
        "incident": incident,
        "changes": found,
        "hours": int(BEFORE.total_seconds()) // 3600,
    }
    name = "_incident_changes" if "X-Fragment" in request.headers else "incident_changes"
    response = render(request, f"alerts/{name}.html", context)
    patch_vary_headers(response, ["X-Fragment"])
    return response


def _linked(change):
    """The change with `address`, where to read more."""
    change.address = address_of(change)
    return change
