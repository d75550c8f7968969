"""Which service needs which. The graph has no circle: whatever writes an edge asks here first, one at a time."""

from django.db import connection, transaction

from catalog import graph
from catalog.models import Dependency, Service
from catalog.signals import dependencies_changed
from core.announce import announce
from core.errors import DomainError


@transaction.atomic
def add(service, needs, *, holds_alerts=False, note="", now):
    """Write down that a service needs another; what is there already gets the new values.

    Raises DomainError, which names the circle, when the other one needs this one.
    """
    refuse_circle(service.pk, [needs.pk], beside=True)
    row, _ = Dependency.objects.update_or_create(
        service=service, needs=needs, defaults={"holds_alerts": holds_alerts, "note": note}
    )
    announce(dependencies_changed, service_ids={service.pk}, now=now)
    return row


@transaction.atomic
def remove(dependency, *, now):
    """Forget a dependency. Alerts that it holds are looked at again."""
    service_id = dependency.service_id
    dependency.delete()
    announce(dependencies_changed, service_ids={service_id}, now=now)


def refuse_circle(service_id, needs_ids, *, beside=False):
    """Refuse what a service is to need when that closes a circle; with `beside`, on top of what it needs already.

    Others who change dependencies wait until the caller's transaction ends, so that no two of them close a circle
    together. Raises DomainError.
    """
    with connection.cursor() as cursor:
        cursor.execute(f"LOCK TABLE {Dependency._meta.db_table} IN SHARE ROW EXCLUSIVE MODE")
    rows = Dependency.objects.order_by("pk")
    edges = list((rows if beside else rows.exclude(service=service_id)).values_list("service_id", "needs_id"))
    for needs_id in needs_ids:
        if path := graph.cycle(edges, (service_id, needs_id)):
            raise DomainError(_refusal(path), code="dependency_cycle")


def _refusal(path):
    names = dict(Service.objects.filter(pk__in=path).values_list("pk", "name"))
    if len(path) == 2:
        return f"{names[path[0]]} cannot need itself."
    said = " needs ".join(names[pk] for pk in path)
    return f"This would be a circle: {said}. Take one of these dependencies out first."
