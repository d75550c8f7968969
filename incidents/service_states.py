"""What the pages of services know of incidents, told to the floor below."""

from django.db.models import Count, Q

from accounts.permissions import visible
from catalog import state
from incidents import states
from incidents.live import newest
from incidents.models import Incident

state.answers(state.NEWEST)(newest)


@state.answers(state.OPEN_INCIDENTS)
def open_incidents(user, service_ids=None):
    """`{service id: (worst severity, open incidents, those that nobody has acknowledged)}` in one query."""
    rows = visible(Incident.objects.open(), user)
    if service_ids is not None:
        rows = rows.filter(service_id__in=service_ids)
    rows = rows.order_by().values_list("service_id", "severity")
    counted = rows.annotate(count=Count("pk"), waiting=Count("pk", filter=Q(status=states.TRIGGERED)))
    found = {}
    for service_id, severity, count, waiting in counted:
        worst, more, wait = found.get(service_id, (severity, 0, 0))
        found[service_id] = min(worst, severity, key=state.RANK.get), more + count, wait + waiting
    return found
