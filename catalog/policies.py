"""Which policy calls people for a service: its own, else the default of its team."""

from oncall import chain
from oncall.models import EscalationPolicy


def copies_for(services):
    """`{service id: policy copy or {}}` in a constant number of queries. `{}` means that there is no policy at all."""
    without = {service.team_id for service in services if not service.policy_id}
    defaults = {}
    if without:
        defaults = dict(
            EscalationPolicy.objects.filter(team_id__in=without, is_team_default=True).values_list("team_id", "pk")
        )
    chosen = {service.pk: service.policy_id or defaults.get(service.team_id) for service in services}
    copies = chain.copies({pk for pk in chosen.values() if pk})
    return {service_id: copies.get(policy_id, {}) for service_id, policy_id in chosen.items()}
