"""What alerts have to say in the timeline of an incident: when they ended, and what was changed meanwhile."""

from django.urls import reverse

from accounts.permissions import visible
from alerts import changes
from alerts.models import Alert
from incidents.timeline import Beside, beside

MOST = 100


@beside
def ends_of_alerts(incident, reader, *, since, until):
    """Their beginnings stand in the timeline already, and what ended with the incident says nothing new."""
    rows = Alert.objects.filter(incident=incident, resolved_at__gte=since, resolved_at__lte=until)
    rows = rows.exclude(resolved_why__startswith="its incident was resolved")
    if not rows.exists():  # asked first, because to find out what of it is hidden takes far longer
        return []
    return [
        Beside(
            alert.resolved_at,
            "alert",
            f"Alert over: {alert.title}" + (f" ({alert.resolved_why})" if alert.resolved_why else ""),
            reverse("alerts:alert", args=[alert.pk]),
            alert.severity,
        )
        for alert in visible(rows, reader).order_by("-resolved_at")[:MOST]
    ]


@beside
def changes_meanwhile(incident, reader, *, since, until):
    """Also those shortly before the start, which may be why."""
    return [
        Beside(one.at, "change", f"Change{f' of {one.service.name}' if one.service else ''}: {one.title}", one.address)
        for one in changes.around(incident, reader, since=since, until=until)
    ]
