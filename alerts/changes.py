"""What was changed on purpose: at a service lately, or before an incident and during it, also at what it needs."""

import datetime as dt

from django.db.models import Q

from accounts.permissions import visible
from alerts.models import ChangeEvent
from catalog import graph
from catalog.models import Dependency

BEFORE = dt.timedelta(hours=24)
MOST = 50


def around(incident, reader, *, since=None, until=None, limit=MOST):
    """The ChangeEvents that the reader may see, the newest first; each with `is_before`, whether it came first.

    From 24 hours before the start to the end. One that names no service stands beside the incidents of all.
    """
    since = since or incident.triggered_at - BEFORE
    edges = Dependency.objects.order_by().values_list("service_id", "needs_id")
    services = {incident.service_id, *graph.upstream(edges, incident.service_id)}
    rows = ChangeEvent.objects.filter(Q(service__in=services) | Q(service=None), at__gte=since)
    until = min(filter(None, (incident.resolved_at, until)), default=None)
    if until:
        rows = rows.filter(at__lte=until)
    if not rows.exists():  # as mostly, and to find out what of it is hidden takes longer
        return []
    found = _newest(rows, reader, limit)
    for one in found:
        one.is_before = one.at < incident.triggered_at
        one.is_of_needed = one.service_id is not None and one.service_id != incident.service_id
    return found


def lately(service, reader, *, since, limit=MOST):
    """The ChangeEvents of a service that the reader may see, the newest first."""
    return _newest(ChangeEvent.objects.filter(service=service, at__gte=since), reader, limit)


def _newest(rows, reader, limit):
    """The newest of them that the reader may see, each with `address`, where to read more."""
    found = list(visible(rows, reader).select_related("service", "integration").order_by("-at")[:limit])
    for one in found:
        one.address = _address_of(one)
    return found


def _address_of(change):
    """The first of its links that is one of the web, or "": sources send whatever they like."""
    links = change.links if isinstance(change.links, list) else []
    addresses = [one.get("href") or one.get("url") or "" if isinstance(one, dict) else one for one in links]
    safe = (one for one in addresses if isinstance(one, str) and one.lower().startswith(("https://", "http://")))
    return next(safe, "")
