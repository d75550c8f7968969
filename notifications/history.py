"""What was sent, read for people: the list with its filters, and figures over it."""

import datetime as dt

from django.db.models import Avg, Count, F, Q

from notifications.models import Notification

FAILURES_WITHIN = dt.timedelta(hours=24)


def figures(rows, *, now):
    """Counts by channel and state of a queryset, how fast they went out, and the failures of the last 24 hours."""
    by_channel = {}
    for channel, state, count in rows.order_by().values_list("channel", "state").annotate(Count("pk")):
        by_channel.setdefault(channel, {})[state] = count
    totals = rows.aggregate(
        total_sent=Count("pk", filter=Q(sent_at__isnull=False)),
        total_delivered=Count("pk", filter=Q(delivered_at__isnull=False) | Q(read_at__isnull=False)),
        total_acknowledged=Count("pk", filter=Q(acknowledged_at__isnull=False)),
        total_failed=Count("pk", filter=Q(state=Notification.State.FAILED)),
        failed_last_24_hours=Count(
            "pk", filter=Q(state=Notification.State.FAILED, created_at__gte=now - FAILURES_WITHIN)
        ),
        to_send=Avg(F("sent_at") - F("planned_at")),
    )
    to_send = totals.pop("to_send")
    return {
        "total": sum(count for states in by_channel.values() for count in states.values()),
        "by_channel": by_channel,
        "mean_seconds_to_send": to_send.total_seconds() if to_send else None,
        **totals,
    }


def searched(rows, text):
    """Those whose topic, reader, reason or title has this text. `#42` means the incident with this number only."""
    number = text.removeprefix("#")
    if number != text and number.isdigit():
        return rows.filter(topic=f"incident:{number}")
    return rows.filter(
        Q(topic__icontains=text)
        | Q(user__name__icontains=text)
        | Q(user__email__icontains=text)
        | Q(destination__name__icontains=text)
        | Q(reason__icontains=text)
        | Q(message__title__icontains=text)
    )
