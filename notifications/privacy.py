"""What is stored here about a person: how they are reached, and every message to them."""

from accounts.privacy import erases, exports, identifies, rows
from notifications.models import Alarm, Attempt, ContactMethod, Notification


@exports(
    "how_reached",
    "notifications.ContactMethod.user",
    "notifications.NotificationRule.user",
    "notifications.QuietHours.user",
)
def _how_reached(person):
    methods = person.contact_methods.order_by("pk")
    names = ("urgency", "delay_minutes", "contact_method__channel", "contact_method__label")
    return {
        "contact_methods": [
            {
                "channel": one.channel,
                "address": one.address,
                "label": one.label,
                "verified_at": one.verified_at,
                "wants_updates": one.wants_updates,
                "disabled_reason": one.disabled_reason,
                "created_at": one.created_at,
            }
            for one in methods
        ],
        "rules": rows(person.notification_rules, *names),
        "quiet_hours": rows(person.quiet_hours, "days", "start_time", "end_time"),
    }


@exports("notifications", "notifications.Notification.user")
def _notifications(person):
    names = ("uuid", "topic", "kind", "channel", "address", "urgency", "message", "state", "reason")
    times = ("created_at", "planned_at", "sent_at", "delivered_at", "read_at", "acknowledged_at")
    tries = ("notification__uuid", "number", "started_at", "finished_at", "ok", "error", "answer")
    return {
        "messages": rows(Notification.objects.filter(user=person), *names, *times),
        "tries": rows(Attempt.objects.filter(notification__user=person), *tries),
    }


@identifies
def _addresses(person):
    return [one.address for one in person.contact_methods.all()]


@erases
def _erase(person, traces, now):
    theirs = Notification.objects.filter(user=person)
    # Nothing is being sent to them any more: whoever has an open page is not erased.
    theirs.unsettled().update(state=Notification.State.CANCELLED, due_at=None, reason="The person was erased.")
    theirs.update(address="…", provider_data={}, contact_method=None)
    ContactMethod.objects.filter(user=person).delete()
    person.quiet_hours.all().delete()
    traces.replace_in(Notification, "address", "message", "reason")
    traces.replace_in(Attempt, "error", "answer")
    traces.replace_in(Alarm, "text")
