"""Escalation policies as data: the copy that an incident keeps, and the people whom its targets mean at a time."""

import dataclasses

from oncall import lookup
from oncall.models import EscalationPolicy, TargetKind


def copies(policy_ids):
    """`{policy id: copy}`, in four queries however many there are. The copy is plain JSON:

    {"id", "name", "repeats", "nobody_action", "fallback_user",
     "levels": [{"number", "delay_minutes", "targets": [{"kind", "id", "name"}]}]}
    """
    policies = EscalationPolicy.objects.filter(pk__in=policy_ids).prefetch_related(
        "levels__targets__user", "levels__targets__schedule"
    )
    return {policy.pk: _copy(policy) for policy in policies}


def _copy(policy):
    return {
        "id": policy.pk,
        "name": policy.name,
        "repeats": policy.repeats,
        "nobody_action": policy.nobody_action,
        "fallback_user": policy.fallback_user_id,
        "levels": [
            {
                "number": level.number,
                "delay_minutes": level.delay_minutes,
                "targets": [
                    {"kind": target.kind.value, "id": target.user_id or target.schedule_id, "name": str(target)}
                    for target in level.targets.all()
                ],
            }
            for level in policy.levels.all()
        ],
    }


@dataclasses.dataclass(frozen=True)
class Called:
    """Somebody whom a level means, and why. `user_id` is None where a schedule has nobody; `why` says so."""

    user_id: int | None
    why: str


def resolve(policies, *, at):
    """For policy copies: a function `(target) -> Called` that knows all their schedules at `at`."""
    schedule_ids = {
        target["id"]
        for policy in policies
        for level in policy.get("levels", ())
        for target in level["targets"]
        if target["kind"] == TargetKind.SCHEDULE
    }
    people = lookup.who_many(schedule_ids, at=at)

    def called(target):
        if target["kind"] == TargetKind.USER:
            return Called(target["id"], "named in the policy")
        if target["id"] not in people:
            return Called(None, f"the schedule {target['name']} no longer exists")
        person = people[target["id"]]
        if person is None:
            return Called(None, f"nobody is on call in {target['name']}")
        return Called(person.user_id, f"on call: {person.why}")

    return called
