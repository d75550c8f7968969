"""Escalation policies as data: the copy that an incident keeps, and the people whom its targets mean at a time."""

import dataclasses
import datetime as dt

from notifications import outbox
from oncall import lookup, shifts
from oncall.models import EscalationPolicy, TargetKind


def copies(policy_ids):
    """`{policy id: copy}`, in four queries however many there are. The copy is plain JSON:

    {"id", "name", "repeats", "nobody_action", "fallback_user",
     "levels": [{"number", "delay_minutes", "targets": [{"kind", "id", "name", "role"}]}]}
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
                    {
                        "kind": target.kind.value,
                        "id": target.user_id or target.schedule_id,
                        "name": str(target),
                        "role": target.role,
                    }
                    for target in level.targets.all()
                ],
            }
            for level in policy.levels.all()
        ],
    }


@dataclasses.dataclass(frozen=True)
class Called:
    """Somebody whom a level means, and why. `problem` says why they are not called; `user_id` may then be None.

    `is_spare`: they are only busy, offline or away, so they are called after all where nobody else can be.
    """

    user_id: int | None
    why: str
    problem: str = ""
    is_spare: bool = False
    schedule_id: int | None = None
    role: str = ""
    until: dt.datetime | None = None
    via: str = ""
    instead_of: int | None = None
    is_off: bool = False


def resolve(policies, *, at, also=()):
    """For policy copies: a function `(target) -> [Called, ...]` that knows all their schedules at `at`.

    A schedule means the people of the target's role; when none of them can be called, those of the next role too.
    Nobody of a schedule: one Called without a person, whose problem says so. The function's `reaches` say how all
    these people, and the ids in `also`, can be reached; its `broken` is `{schedule id: sentence}` of the schedules
    that cannot be worked out, for an alarm.
    """
    return _Resolver(policies, at, also)


class _Resolver:
    def __init__(self, policies, at, also):
        targets = [target for policy in policies for level in policy.get("levels", ()) for target in level["targets"]]
        names = {one["id"]: one["name"] for one in targets if one["kind"] == TargetKind.SCHEDULE}
        self._rosters, errors = lookup.rosters(names, at=at)
        self.broken = {pk: f"the schedule {names[pk]} cannot be worked out ({error})" for pk, error in errors.items()}
        people = {one["id"] for one in targets if one["kind"] == TargetKind.USER}
        people.update(one.user_id for roster in self._rosters.values() for group in roster.values() for one in group)
        self._away = lookup.unavailable(people, at=at)
        self.reaches = outbox.reaches({*people, *also})

    def __call__(self, target):
        if target["kind"] == TargetKind.USER:
            return [self._called(target["id"], "named in the policy")]
        if target["id"] in self.broken:
            return [Called(None, "", self.broken[target["id"]], schedule_id=target["id"])]
        if target["id"] not in self._rosters:
            return [Called(None, "", f"the schedule {target['name']} no longer exists")]
        return self._of_roster(self._rosters[target["id"]], target)

    def _of_roster(self, roster, target):
        found = []
        wanted = target.get("role", shifts.PRIMARY)
        if wanted not in shifts.CALLED:
            return [Called(None, "", f"nobody is ever called as {wanted.lower()}, as {target['name']} wants")]
        for role in shifts.CALLED[shifts.CALLED.index(wanted) :]:
            for one in roster[role]:
                as_role = "" if role == shifts.PRIMARY else f", as {role.lower()}"
                called = self._called(one.user_id, f"on call: {one.why}{as_role}")
                found.append(
                    dataclasses.replace(
                        called,
                        schedule_id=target["id"],
                        role=one.role,
                        until=one.until,
                        via=one.via,
                        instead_of=one.instead_of,
                        is_off=one.is_off,
                    )
                )
            if any(not one.problem for one in found):
                return found
        return found or [Called(None, "", f"nobody is on call in {target['name']}")]

    def _called(self, user_id, why):
        if problem := trouble(self.reaches.get(user_id)):
            return Called(user_id, why, problem)
        away = self._away.get(user_id, "")
        return Called(user_id, why, away, is_spare=bool(away))


def broken_key(schedule_id):
    """The key of the alarm about a schedule that cannot be worked out."""
    return f"schedule-broken:{schedule_id}"


def trouble(reach):
    """Why a person cannot be reached at all, as a sentence without its full stop; empty when they can."""
    if reach is None:
        return "a person who no longer exists was meant"
    if not reach.is_active:
        return f"{reach.name} is deactivated"
    if not any(method.is_usable for method in reach.methods):
        return f"{reach.name} has no verified contact method"
    return ""
