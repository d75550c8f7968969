"""Which policy calls people for a service: its own, else the default of its team; and whom that means at a time."""

from catalog.models import Service
from oncall import chain, lookup
from oncall.models import EscalationPolicy

NAMED = "policy"  # `Answer.via` of a person whom the policy names


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


def escalation_chain(services, *, at):
    """Whom each service would call at a time, level by level: `{service id: [(level copy, [(target, [Called])])]}`.

    In a constant number of queries. No levels: the service has no policy, or the policy has none.
    """
    return chain_of(copies_for(services), at=at)


def chain_of(copies, *, at):
    """The escalation chain of what `copies_for` found, for who needs the policies too."""
    called = chain.resolve(list(copies.values()), at=at)
    return {
        service_id: [
            (level, [(target, called(target)) for target in level["targets"]]) for level in policy.get("levels", ())
        ]
        for service_id, policy in copies.items()
    }


@lookup.who.register
def _(service: Service, *, at):
    return [
        lookup.Answer(
            user_id=one.user_id,
            role=one.role,
            why=one.why,
            via=one.via or NAMED,
            schedule_id=one.schedule_id,
            until=one.until,
            instead_of=one.instead_of,
            is_off=one.is_off,
            unavailable=one.problem,
            level=level["number"],
        )
        for level, targets in escalation_chain([service], at=at)[service.pk]
        for _, people in targets
        for one in people
        if one.user_id is not None
    ]
