"""The end of a snooze: an incident that is still open calls again.

A snoozed incident is a row with a due time, like an escalation. While nobody has it, its policy starts again at the
first level; whoever has it is called again.
"""

import datetime as dt
import logging

from django.db import transaction

from core import due
from core.announce import announce
from incidents import escalation, states, timeline
from incidents.models import Incident
from incidents.signals import incidents_escalated
from notifications import alarms

logger = logging.getLogger(__name__)

BATCH = 100
# One that raises is tried again after this; the admins are told.
TROUBLE_DELAY = dt.timedelta(seconds=30)


def end_due(*, now, limit=BATCH):
    """Wake every incident whose snooze is over, one transaction each. Returns how many."""
    numbers = Incident.objects.filter(snoozed_until__lte=now).order_by("snoozed_until").values_list("pk", flat=True)
    return sum(_end(number, now=now) for number in list(numbers[:limit]))


def _end(number, *, now):
    try:
        with transaction.atomic():
            rows = Incident.objects.filter(pk=number, snoozed_until__lte=now).select_related("service", "team")
            incident = rows.select_for_update(skip_locked=True, no_key=True, of=("self",)).first()
            if incident is None:
                return 0
            _wake(incident, now=now)
            alarms.clear_alarm(f"snooze:{number}", now=now)
            return 1
    except (
        Exception
    ) as error:  # it must not stop the others, nor be forgotten: it stays due, and the admins hear of it
        logger.warning("The snooze of incident %s could not end.", number, exc_info=True)
        with transaction.atomic():
            Incident.objects.filter(pk=number, snoozed_until__lte=now).update(snoozed_until=now + TROUBLE_DELAY)
            alarms.raise_alarm(
                f"snooze:{number}",
                f"Incident #{number} should call again after its snooze, and could not: {error}. "
                "It is tried again every 30 s.",
                now=now,
            )
        return 0


def _wake(incident, *, now):
    incident.snoozed_until = None
    if not incident.is_open:
        incident.save(update_fields=["snoozed_until"])
        return
    if incident.status != states.TRIGGERED and incident.assignee and incident.assignee.is_active:
        incident.page_number += 1
        incident.save(update_fields=["snoozed_until", "page_number"])
        text = f"The snooze is over and the incident is still open: {incident.assignee} is called again."
        timeline.record(incident, "snooze_ended", text, at=now, via="system")
        escalation.page_person(
            incident,
            incident.assignee,
            key=f"snooze{incident.page_number}",
            now=now,
            via="system",
            by=None,
            event="escalated",
            why="has the incident, and its snooze is over",
        )
        return
    text = "The snooze is over and the incident is still open: its policy starts again."
    timeline.record(incident, "snooze_ended", text, at=now, via="system")
    incident.escalation_round += 1  # the pages of a step have one key in all its life: this is another round
    incident.escalation_level = 0
    callers = escalation.Callers([incident.policy], now=now)
    step = callers.step(incident)
    escalation.take(incident, step, now=now)
    if incident.status != states.TRIGGERED:
        incident.next_escalation_at = None
    incident.save(update_fields=["snoozed_until", "escalation_round", "escalation_level", "next_escalation_at"])
    entries = escalation.page_many([(incident, step)], callers, now=now)
    announce(incidents_escalated, entries=entries, now=now)


def oldest_due(now):
    """The time at which the oldest snooze that is over ended, or None."""
    rows = Incident.objects.filter(snoozed_until__lte=now).order_by("snoozed_until")
    return rows.values_list("snoozed_until", flat=True).first()


def run(*, now_of, seconds=10):
    """End what is due until nothing is or the time is up; `now_of()` reads the clock."""
    until = now_of() + dt.timedelta(seconds=seconds)
    while (now := now_of()) < until:
        due.beat()
        if not end_due(now=now):
            return
