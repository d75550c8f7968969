"""Which services are worked on now, told to the floor below that shows how services are."""

from django.db.models import Q

from accounts.permissions import visible
from alerts import maintenance
from alerts.models import MaintenanceWindow
from catalog import state
from catalog.models import Service


@state.answers(state.IN_MAINTENANCE)
def worked_on(user, now):
    """The ids of the services in an open window that holds all their alerts, as far as the person may see it."""
    rows = MaintenanceWindow.objects.filter(is_enabled=True, ended_at=None, starts_at__lte=now, condition="")
    rows = rows.filter(Q(ends_at__gt=now) | ~Q(rrule=""))
    if not rows.exists():  # as mostly, and to find out what of it is hidden takes longer
        return set()
    is_open = [
        row
        for row in visible(rows, user).prefetch_related("services", "teams")
        if maintenance.state(row, now) == "open"
    ]
    found = {one.pk for row in is_open for one in row.services.all()}
    if teams := {team.pk for row in is_open for team in row.teams.all()}:
        found.update(Service.objects.filter(team__in=teams).values_list("pk", flat=True))
    return found
