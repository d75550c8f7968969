"""What the floors below report: deliveries that ended, and people whom nothing reaches."""

from django.dispatch import receiver

from core import due
from incidents import escalation, news, states, timeline
from incidents.models import Incident
from incidents.signals import incident_changed, incidents_escalated, incidents_triggered
from notifications.message import CALLS
from notifications.models import Notification
from notifications.signals import delivery_ended, person_unreached

State = Notification.State
ALIVE = (State.PENDING, State.SENDING, State.SENT, State.DELIVERED, State.READ, State.ACKNOWLEDGED)


@receiver(incidents_triggered)
def tell_of_new_incidents(incidents, now, **kwargs):
    news.tell_triggered(incidents, now=now)


@receiver(incidents_escalated)
def tell_of_escalations(entries, now, **kwargs):
    news.tell_escalated(entries, now=now)


@receiver(incident_changed)
def tell_of_change(incident, verb, by, via, text, previous, now, **kwargs):
    news.tell_changed(incident, verb, by=by, via=via, text=text, previous=previous, now=now)


@receiver(delivery_ended)
def write_failed_delivery(topic, notification_ids, state, reason, now, **kwargs):
    """A message that could not be delivered stands in the incident's timeline."""
    if state != State.FAILED:
        return
    incident = Incident.objects.filter(pk=_number(topic)).first()
    if incident is None:
        return
    rows = Notification.objects.filter(pk__in=notification_ids).select_related("user", "destination")
    timeline.record_many(
        [
            timeline.entry(
                incident,
                "delivery_failed",
                f"The {row.channel} {'page' if row.kind in CALLS else 'message'} to {row.reader or row.address} "
                f"failed: {reason}",
                at=now,
                channel=row.channel,
            )
            for row in rows
        ]
    )


@receiver(person_unreached)
def go_on_without(topic, user_id, page_key, reason, now, **kwargs):
    """When nobody of a level can be reached, the next level of the round is called now: its delay waits for an answer.

    The timeline remembers who was not reached, since the rows of the others may be written in the same transaction.
    """
    incident = Incident.objects.select_for_update(no_key=True).filter(pk=_number(topic)).first()
    if incident is None or not incident.is_open:
        return
    step = escalation.step_key(incident, incident.escalation_round, incident.escalation_level) + ":"
    paged = Notification.objects.filter(topic=topic, plan_key__startswith=step, user__isnull=False)
    names = {row.user_id: str(row.user) for row in paged.select_related("user").only("user")}
    unreached = {user_id} | set(
        incident.timeline.filter(kind="unreached", data__step=step).values_list("data__user", flat=True)
    )
    alive = set(paged.filter(state__in=ALIVE).exclude(user__in=unreached).values_list("user_id", flat=True))
    is_of_step = user_id in names and f"{page_key}:".startswith(step)
    # After the last level the delay holds: in an outage of a provider all rounds would be over within seconds.
    is_last = incident.escalation_level >= max((one["number"] for one in incident.policy.get("levels", ())), default=0)
    is_next = (
        is_of_step
        and not alive
        and not is_last
        and incident.status == states.TRIGGERED
        and incident.next_escalation_at is not None
        and incident.next_escalation_at > now
    )
    text = f"{names.get(user_id) or 'Somebody who was paged'} could not be reached. {reason}".strip()
    if is_next:
        text += f" Nobody of level {incident.escalation_level} is left, so the escalation goes on now."
    timeline.record(incident, "unreached", text, at=now, user=user_id, step=step if is_of_step else page_key)
    if is_next:
        incident.next_escalation_at = now
        incident.save(update_fields=["next_escalation_at"])
        due.wake("escalations")


def _number(topic):
    """The incident that a topic is about, or None."""
    kind, _, number = topic.partition(":")
    return int(number) if kind == "incident" and number.isdecimal() else None
