"""What alerts and changes tell of incidents that are over."""

import datetime as dt

from django.db.models import Q

from alerts import changes
from alerts.models import Alert, ChangeEvent
from catalog import graph
from catalog.models import Dependency
from incidents.history import ALERT, CHANGE, Happened, cut, teller
from incidents.models import Incident

MOST = 100  # of each incident
NEAR = dt.timedelta(hours=2)  # a change before that is seldom the cause: it waits until somebody picks it


@teller
def alerts(numbers):
    """When each alert began and ended by its source's clock; what ended with its incident says nothing new."""
    found = []
    for number in numbers:
        rows = Alert.objects.filter(Q(incident=number) | Q(merged_from=number)).order_by("first_at", "pk")
        for alert in rows[:MOST]:
            times = f", {alert.occurrences} times" if alert.occurrences > 1 else ""
            began = f"Alert: {alert.title} ({alert.severity}{times})"
            found.append(Happened(alert.first_at, cut(began), ALERT, f"alert:{alert.pk}", number))
            if alert.resolved_at and not alert.resolved_why.startswith("its incident was resolved"):
                why = f" ({alert.resolved_why})" if alert.resolved_why else ""
                over = cut(f"Alert over: {alert.title}{why}")
                found.append(Happened(alert.resolved_at, over, ALERT, f"alert:{alert.pk}:over", number))
        if (more := rows.count() - MOST) > 0:
            last = rows[MOST]
            text = f"{more} more alerts from here on."
            found.append(Happened(last.first_at, text, ALERT, f"alerts:{number}:more", number))
    return found


@teller
def changes_around(numbers):
    """What was deployed before and during it, at its service and at what that needs; the nearest to its begin first.

    What belongs to a private team is told to incidents of that team only: a postmortem is read by others.
    """
    edges = list(Dependency.objects.order_by().values_list("service_id", "needs_id"))
    found = {}
    for incident in Incident.objects.filter(pk__in=numbers).order_by("pk"):
        services = {incident.service_id, *graph.upstream(edges, incident.service_id)}
        rows = ChangeEvent.objects.filter(
            Q(service__in=services) | Q(service=None), at__gte=incident.triggered_at - changes.BEFORE
        )
        if incident.resolved_at:
            rows = rows.filter(at__lte=incident.resolved_at)
        for path in ChangeEvent.team_paths:
            rows = rows.exclude(Q(**{f"{path}__is_private": True}) & ~Q(**{path: incident.team_id}))
        before = rows.filter(at__lte=incident.triggered_at).select_related("service").order_by("-at")[:MOST]
        during = rows.filter(at__gt=incident.triggered_at).select_related("service").order_by("at")[:MOST]
        for one in (*before, *during):
            text = cut(f"Change{f' of {one.service.name}' if one.service else ''}: {one.title}")
            is_near = one.at >= incident.triggered_at - NEAR
            told = Happened(one.at, text, CHANGE, f"change:{one.pk}", incident.pk, is_near)
            found.setdefault(one.pk, told)  # two incidents at one time had the same changes before them
    return list(found.values())
