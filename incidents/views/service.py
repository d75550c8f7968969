"""The incidents of a service, a panel that the page of the service fetches."""

import datetime as dt

from django.contrib.auth.decorators import login_required
from django.db.models import Count, Q
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django.views.decorators.cache import never_cache

from accounts.permissions import visible
from catalog.models import Service
from incidents import figures
from incidents.models import Incident

FIGURES_DAYS = 30
MOST = 20


@login_required
@never_cache
def panel(request, slug):
    """The panel for the page that fetches it, or a page of its own where there are no scripts."""
    service = get_object_or_404(visible(Service.objects.all(), request.user), slug=slug)
    now = timezone.now()
    rows = visible(Incident.objects.filter(service=service), request.user)
    recent = rows.filter(triggered_at__gte=now - dt.timedelta(days=FIGURES_DAYS))
    counted = recent.aggregate(
        total=Count("pk"), loud=Count("pk", filter=Q(severity__in=["critical", "high"])), **figures.answered()
    )
    incidents = list(rows.open().select_related("assignee").order_by("-number")[: MOST + 1])
    context = {
        "section": "services",
        "now": now,
        "service": service,
        "incidents": incidents[:MOST],
        "is_more": len(incidents) > MOST,
        "days": FIGURES_DAYS,
        "total": counted["total"],
        "loud": counted["loud"],
        "figures": figures.said(counted),
    }
    name = "_service" if "X-Fragment" in request.headers else "service"
    response = render(request, f"incidents/{name}.html", context)
    patch_vary_headers(response, ["X-Fragment"])
    return response
