"""The escalation of an incident: start, advance, stop.

An incident's escalation is a row with a due time (`next_escalation_at`). Whoever advances it holds the row's lock, and
writes the notifications and the next due time in one transaction: no step is done twice, and none is forgotten.
"""

import datetime as dt
import logging

from django.db import connection, transaction

from core import counters, due
from core.announce import announce
from incidents import messages, steps, timeline
from incidents.models import Incident
from incidents.priorities import target_seconds
from incidents.signals import incidents_escalated
from notifications import alarms, outbox
from oncall import chain

logger = logging.getLogger(__name__)

BATCH = 200
# A step that raises is tried again after this; the admins are told.
TROUBLE_DELAY = dt.timedelta(seconds=30)


class Callers:
    """Finds the people whom a set of policy copies means at one time, in a constant number of queries."""

    def __init__(self, policies, *, now):
        fallbacks = {policy["fallback_user"] for policy in policies if policy.get("fallback_user")}
        self._called = chain.resolve(policies, at=now, also=fallbacks)
        self.reaches = self._called.reaches
        self.broken = self._called.broken

    def candidates(self, level):
        """The Candidates of one level of a policy copy."""
        return [
            self._candidate(one.user_id, one.why, one.problem, one.is_spare)
            for target in level["targets"]
            for one in self._called(target)
        ]

    def fallback(self, policy):
        """The Candidate of the policy's fallback person, or None."""
        user_id = policy.get("fallback_user")
        if not user_id:
            return None
        return self._candidate(user_id, "fallback person of the policy", chain.trouble(self.reaches.get(user_id)))

    def _candidate(self, user_id, why, problem, is_spare=False):
        reach = self.reaches.get(user_id)
        if reach is None:
            return steps.Candidate(None, "", why, problem)
        return steps.Candidate(user_id, reach.name, why, problem, is_spare)

    def step(self, incident):
        """The next Step of an incident."""
        return steps.next_step(
            incident.policy,
            round=incident.escalation_round,
            level=incident.escalation_level,
            candidates=self.candidates,
            fallback=lambda: self.fallback(incident.policy),
        )


def take(incident, step, *, now):
    """Move the incident's escalation to where the step stands. Changes the object only."""
    incident.escalation_round = step.round
    incident.escalation_level = step.level
    waits = step.wait_minutes is not None
    incident.next_escalation_at = now + dt.timedelta(minutes=step.wait_minutes) if waits else None


def page_many(taken, callers, *, now, via="system", by=None):
    """Write the pages, timeline entries and alarms of `[(incident, step)]` that were taken. Return the entries."""
    pages, owners = [], []
    for incident, step in taken:
        key = step_key(incident, step.round, step.level)
        first = step.round == 0 and step.level == first_level(incident)
        message = messages.page(incident, step, event="triggered" if first else "escalated", by=by, via=via)
        for person in step.pages:
            pages.append(
                outbox.Page(
                    key,
                    incident.topic,
                    person.user_id,
                    message,
                    is_repeat=not first,
                    share=incident.share,
                    level=step.level,
                    target_seconds=target_seconds(incident.priority),
                )
            )
            owners.append(incident.pk)
    outcomes, escalated = {}, {}
    for number, outcome in zip(owners, outbox.plan_many(pages, now=now, reaches=callers.reaches), strict=True):
        outcomes.setdefault(number, []).append(outcome)
    entries = []
    for incident, step in taken:
        entries.append(_entry(incident, step, outcomes.get(incident.pk, []), now=now, via=via, by=by))
        if step.level != first_level(incident) or step.round:
            name = ("escalations_total", counters.text(team=incident.team.slug))
            escalated[name] = escalated.get(name, 0) + 1
        if step.alarm:
            alarms.raise_alarm(
                _alarm_key(incident), f"Incident #{incident.pk} {incident.title}: {step.alarm}", now=now
            )
    alarms.raise_alarms(
        {
            chain.broken_key(pk): f"{why[0].upper()}{why[1:]}. Until it is repaired, nobody of it is called: "
            "look at its time zones, layers and restrictions in the admin."
            for pk, why in callers.broken.items()
        },
        now=now,
    )
    timeline.record_many(entries)
    counters.add_many(escalated)
    # Whoever could not be reached before is reached now.
    alarms.clear_alarms([_alarm_key(incident) for incident, step in taken if step.pages and not step.alarm], now=now)
    return entries


def step_key(incident, round, level):
    """Names the pages of one escalation step."""
    return f"{incident.topic}:r{round}:l{level}"


def page_person(incident, user, *, key, now, via, by, event="reassigned", why="named by hand", said=""):
    """Page one person outside the levels, for example after a reassignment; say in the timeline if that fails."""
    person = steps.Candidate(user.pk, str(user), why)
    step = steps.Step(incident.escalation_round, incident.escalation_level, (person,), (), None)
    page = outbox.Page(
        f"{incident.topic}:{key}",
        incident.topic,
        user.pk,
        messages.page(incident, step, event=event, by=by, via=via, said=said),
        share=incident.share,
        level=step.level,
        target_seconds=target_seconds(incident.priority),
    )
    (outcome,) = outbox.plan_many([page], now=now)
    if outcome.is_reachable:
        text = f"{user} paged."
    else:
        text = f"{user} could not be paged. {' '.join(outcome.reasons)}"
        alarms.raise_alarm(_alarm_key(incident), f"Incident #{incident.pk}: {text}", now=now)
    timeline.record(incident, "paged", text, at=now, via=via, by=by, reasons=outcome.reasons)


def quiet(incident, *, now):
    """Close the alarm about this escalation: somebody has the incident, or it is over."""
    alarms.clear_alarm(_alarm_key(incident), now=now)
    alarms.clear_prefix(f"unreachable:{incident.topic}:", now=now)


def _alarm_key(incident):
    return f"escalation:{incident.topic}"


def first_level(incident):
    return min((one["number"] for one in incident.policy.get("levels", ())), default=0)


def _entry(incident, step, outcomes, *, now, via, by):
    reasons = list(step.reasons)
    told = []
    for outcome in outcomes:
        reasons += outcome.reasons
        told += [
            {"user": outcome.page.user_id, "channel": one.channel, "delay_minutes": one.delay_minutes}
            for one in outcome.planned
        ]
    names = ", ".join(person.name for person in step.pages)
    if step.pages:
        text = f"Level {step.level}, round {step.round + 1}: {names} paged."
        kind = "paged"
    elif step.is_over:
        text, kind = f"Escalation ended. {step.reasons[-1]}", "escalation_ended"
    else:
        text, kind = step.reasons[-1], "nobody_reached"
    data = {"round": step.round, "level": step.level, "reasons": reasons, "told": told}
    if step.alarm:
        data["alarm"] = step.alarm
    return timeline.entry(incident, kind, text, at=now, via=via, by=by, **data)


def advance_due(*, now, limit=BATCH):
    """Advance every escalation that is due, up to `limit`, in one transaction. Returns how many.

    When one of them raises, all are rolled back and advanced one by one, so that it stops no other.
    """
    try:
        with transaction.atomic():
            return _advance(_due(now, limit), now=now)
    except Exception:  # one broken incident must not stop the rest: find it
        logger.warning("A batch of escalations failed; they are advanced one by one.", exc_info=True)
    numbers = list(Incident.objects.filter(next_escalation_at__lte=now).values_list("pk", flat=True)[:limit])
    return sum(_advance_alone(number, now=now) for number in numbers)


def _due(now, limit):
    rows = Incident.objects.filter(next_escalation_at__lte=now).order_by("next_escalation_at", "number")
    return list(_locked(rows)[:limit])


def _locked(rows):
    return rows.select_related("service", "team").select_for_update(skip_locked=True, no_key=True, of=("self",))


def _advance_alone(number, *, now):
    try:
        with transaction.atomic():
            return _advance(list(_locked(Incident.objects.filter(pk=number, next_escalation_at__lte=now))), now=now)
    except Exception as error:  # keep it due, tell the admins, go on with the others
        logger.warning("Incident %s could not escalate.", number, exc_info=True)
        with transaction.atomic():
            Incident.objects.filter(pk=number, next_escalation_at__lte=now).update(
                next_escalation_at=now + TROUBLE_DELAY
            )
            alarms.raise_alarm(
                f"escalation-failed:{number}",
                f"The escalation of incident #{number} failed and is tried again every 30 s: {error}",
                now=now,
            )
        return 0


def _advance(incidents, *, now):
    if not incidents:
        return 0
    callers = Callers([incident.policy for incident in incidents], now=now)
    taken = []
    for incident in incidents:
        step = callers.step(incident)
        take(incident, step, now=now)
        taken.append((incident, step))
    save_many(incidents)
    entries = page_many(taken, callers, now=now)
    announce(incidents_escalated, entries=entries, now=now)
    alarms.clear_alarms([f"escalation-failed:{incident.pk}" for incident in incidents], now=now)
    return len(taken)


def save_many(incidents):
    """Store where the escalations of these locked incidents stand, in one statement."""
    columns = [
        [incident.pk for incident in incidents],
        [incident.escalation_round for incident in incidents],
        [incident.escalation_level for incident in incidents],
        [incident.next_escalation_at for incident in incidents],
    ]
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {Incident._meta.db_table} AS incident SET escalation_round = new.round, "
            "escalation_level = new.level, next_escalation_at = new.due "
            "FROM unnest(%s::bigint[], %s::int[], %s::int[], %s::timestamptz[]) AS new(number, round, level, due) "
            "WHERE incident.number = new.number",
            columns,
        )


def oldest_due(now):
    """The due time of the oldest escalation that is due, or None."""
    rows = Incident.objects.filter(next_escalation_at__lte=now).order_by("next_escalation_at")
    return rows.values_list("next_escalation_at", flat=True).first()


def run(*, now_of, seconds=10):
    """Advance until nothing is due or the time is up; `now_of()` reads the clock. What is left stays due."""
    until = now_of() + dt.timedelta(seconds=seconds)
    while (now := now_of()) < until:
        due.beat()
        if not advance_due(now=now):
            return
