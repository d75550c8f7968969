"""What the floors below report: deliveries that ended."""

from django.dispatch import receiver

from incidents import timeline
from incidents.models import Incident
from notifications.models import Notification
from notifications.signals import delivery_ended


@receiver(delivery_ended)
def write_failed_delivery(topic, notification_ids, state, reason, now, **kwargs):
    """A page that could not be delivered stands in the incident's timeline."""
    kind, _, number = topic.partition(":")
    if kind != "incident" or state != Notification.State.FAILED:
        return
    incident = Incident.objects.filter(pk=number).first()
    if incident is None:
        return
    rows = Notification.objects.filter(pk__in=notification_ids).select_related("user")
    timeline.record_many(
        [
            timeline.entry(
                incident,
                "delivery_failed",
                f"The {row.channel} page to {row.user} failed: {reason}",
                at=now,
                channel=row.channel,
            )
            for row in rows
        ]
    )
