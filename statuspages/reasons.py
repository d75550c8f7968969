"""Why a component is in its state, for those who keep the page: open incidents, posts, or somebody's hand."""

import collections
import dataclasses

from django.db.models import Q

from accounts.permissions import visible
from catalog import graph
from catalog.models import Dependency
from incidents import states as incident_states
from incidents.models import Incident
from statuspages import states
from statuspages.models import Affected, Component


@dataclasses.dataclass(frozen=True)
class Reason:
    """An open incident that counts for a component; `through` is the service of the component that needs it."""

    incident: Incident
    through: object = None


def of_components(page, components, user):
    """`{component pk: [Reason]}` of the open incidents that the person may see, own services first."""
    services = {one.pk: list(one.services.all()) for one in components}
    edges = _edges() if page.needs_rule != "nothing" else []
    own = {service.pk for rows in services.values() for service in rows}
    needed = {pk: graph.upstream(edges, pk) for pk in own}
    wanted = own.union(*needed.values())
    incidents = collections.defaultdict(list)
    # One that was merged goes on for its own service as long as the other one does.
    counts = Q(status__in=incident_states.OPEN) | Q(merged_into__status__in=incident_states.OPEN)
    rows = visible(Incident.objects.filter(counts, service__in=wanted), user) if wanted else ()
    for one in rows:
        if page.rules.by_severity.get(one.severity) != states.OPERATIONAL:
            incidents[one.service_id].append(one)
    found = {}
    for pk, rows in services.items():
        reasons = [Reason(one) for service in rows for one in incidents[service.pk]]
        seen = {one.incident.pk for one in reasons}
        for service in rows:
            for one in (one for needs in needed[service.pk] for one in incidents[needs]):
                if one.pk not in seen:
                    seen.add(one.pk)
                    reasons.append(Reason(one, through=service))
        found[pk] = reasons
    return found


def posted(page):
    """`{component pk: [Affected]}` of the open posts that give a component a state."""
    found = collections.defaultdict(list)
    rows = Affected.objects.filter(post__page=page, post__ended_at__isnull=True).exclude(post__stage=states.SCHEDULED)
    for one in rows.select_related("post"):
        if one.state:
            found[one.component_id].append(one)
    return found


def components_showing(service):
    """The components of enabled pages whose state an incident of this service may change."""
    needing = graph.downstream(_edges(), service.pk)
    own = Component.objects.filter(services=service)
    through = Component.objects.filter(services__in=needing).exclude(page__needs_rule="nothing")
    return Component.objects.filter(pk__in=own.values("pk").union(through.values("pk")), page__is_enabled=True)


def _edges():
    return list(Dependency.objects.values_list("service_id", "needs_id"))
