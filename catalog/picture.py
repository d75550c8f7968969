"""The graph of the services that a person may see, with how each one is now, which the pages of services say alike."""

import dataclasses

from accounts.permissions import visible
from catalog import graph, state
from catalog.models import Dependency, Service


@dataclasses.dataclass
class Node:
    service: Service
    state: state.State
    needs: list = dataclasses.field(default_factory=list)  # nodes
    needed_by: list = dataclasses.field(default_factory=list)
    troubled_by: list = dataclasses.field(default_factory=list)  # the heavy trouble that it needs, however indirectly

    @property
    def is_at_risk(self):
        return bool(self.troubled_by) and not self.state.is_trouble

    @property
    def is_affected(self):
        return bool(self.troubled_by) or self.state.word != state.FINE

    @property
    def mark(self):
        """The word of its mark, one of `state.MARKS`."""
        return state.RISK if self.is_at_risk and self.state.word == state.FINE else self.state.word

    @property
    def label(self):
        return state.MARKS[self.mark]

    @property
    def order(self):
        """Nodes sorted by it have the worst first."""
        return MARKED.index(self.mark), not self.is_at_risk


MARKED = list(state.MARKS)


class Picture:
    """All services that are not archived, by their ids, and the dependencies between them; hidden ones are not there.

    In a constant number of queries.
    """

    def __init__(self, user, *, now):
        rows = Service.objects.exclude(lifecycle=Service.Lifecycle.ARCHIVED).select_related("team")
        self._state_of = state.of(user, now=now)
        self.nodes = {one.pk: Node(one, self._state_of(one.pk)) for one in visible(rows, user).order_by("name")}
        edges = visible(Dependency.objects.order_by("pk"), user).values_list("service_id", "needs_id", "holds_alerts")
        self._edges = [one for one in edges if one[0] in self.nodes and one[1] in self.nodes]
        self.edges = [(start, end) for start, end, _ in self._edges]
        for start, end in self.edges:
            self.nodes[start].needs.append(self.nodes[end])
            self.nodes[end].needed_by.append(self.nodes[start])
        for pk, node in sorted(self.nodes.items(), key=lambda one: one[1].state.rank):
            if node.state.word in state.HEAVY:
                for below in graph.downstream(self.edges, pk):
                    self.nodes[below].troubled_by.append(node)

    def node(self, service):
        """The node of a service. One that is archived stands alone: nothing in the picture needs it any more."""
        return self.nodes.get(service.pk) or Node(service, self._state_of(service.pk))

    def around(self, service_id, depth):
        """The ids of a service's neighbourhood."""
        return graph.around(self.edges, service_id, depth)

    def data(self, keep=None):
        """What the drawing is made of, as JSON; `keep` are the ids of the nodes, or None for all."""
        kept = self.nodes if keep is None else {pk: self.nodes[pk] for pk in self.nodes if pk in keep}
        return {
            "nodes": [
                {
                    "slug": node.service.slug,
                    "name": node.service.name,
                    "team": node.service.team.slug,
                    "team_name": node.service.team.name,
                    "tier": node.service.tier,
                    "state": node.state.word,
                    "open_incidents": node.state.open_count,
                    "in_maintenance": node.state.in_maintenance,
                    "troubled_by": [one.service.slug for one in node.troubled_by],
                }
                for node in kept.values()
            ],
            "edges": [
                {
                    "service": kept[start].service.slug,
                    "needs": kept[end].service.slug,
                    "holds_alerts": holds,
                }
                for start, end, holds in self._edges
                if start in kept and end in kept
            ],
        }
