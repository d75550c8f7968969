"""What was sent to whom, and what came of it. To read only: acknowledging is done on the incident or by a link."""

import datetime as dt

import django_filters
from django.db.models import Avg, Count, F
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.response import Response

from accounts.api import PersonField, PersonFilter
from core.rest import UUID, Filters, MomentFilter, ReadViewSet, Shape, WordsFilter
from notifications.models import Attempt, Notification, Urgency, channels, shown_address

FAILURES_WITHIN = dt.timedelta(hours=24)


class NotificationShape(Shape):
    user = PersonField(read_only=True)
    address = serializers.SerializerMethodField(help_text="Of a web address the host only: the rest may be a secret.")
    title = serializers.CharField(source="message.title", default="", read_only=True)
    attempt_count = serializers.IntegerField(source="attempts", read_only=True)

    class Meta:
        model = Notification
        fields = [
            "uuid",
            "topic",
            "user",
            "channel",
            "address",
            "urgency",
            "state",
            "reason",
            "title",
            "is_repeat",
            "is_possible_repeat",
            "attempt_count",
            "created_at",
            "planned_at",
            "sent_at",
            "delivered_at",
            "acknowledged_at",
        ]

    def get_address(self, row) -> str:
        return shown_address(row.channel, row.address)


class AttemptShape(Shape):
    class Meta:
        model = Attempt
        fields = ["number", "started_at", "finished_at", "ok", "error"]


class NotificationDetailShape(NotificationShape):
    body = serializers.CharField(source="message.body", default="", read_only=True)
    attempts = AttemptShape(source="tries", many=True, read_only=True)

    class Meta(NotificationShape.Meta):
        fields = [*NotificationShape.Meta.fields, "body", "attempts"]


class NotificationSummaryShape(serializers.Serializer):
    total = serializers.IntegerField()
    by_channel = serializers.DictField(
        child=serializers.DictField(child=serializers.IntegerField()), help_text="Counts by channel, then by state."
    )
    mean_seconds_to_send = serializers.FloatField(allow_null=True, help_text="From planned to sent.")
    failed_last_24_hours = serializers.IntegerField()


class NotificationFilters(Filters):
    state = WordsFilter(choices=Notification.State.choices)
    channel = WordsFilter(choices=channels.choices())
    user = PersonFilter(label="Email or UUID.")
    topic = django_filters.CharFilter(label="For example incident:42.")
    urgency = WordsFilter(choices=Urgency.choices)
    since = MomentFilter(field_name="created_at", lookup_expr="gte", label="Planned at this time or later.")
    until = MomentFilter(field_name="created_at", lookup_expr="lt", label="Planned before this time.")


class NotificationViewSet(ReadViewSet):
    queryset = Notification.objects.select_related("user")
    serializer_class = NotificationShape
    filterset_class = NotificationFilters
    ordering = ("-id",)
    lookup_field = "uuid"
    lookup_value_regex = UUID

    @extend_schema(responses=NotificationDetailShape)
    def retrieve(self, request, uuid):
        """One notification with every try to send it."""
        return Response(NotificationDetailShape(self.get_object()).data)

    @extend_schema(responses=NotificationSummaryShape, filters=True)
    @action(detail=False, url_path="stats/summary", pagination_class=None)
    def summary(self, request):
        """Counts by channel and state, how fast messages went out, and the failures of the last 24 hours."""
        rows = self.filter_queryset(self.get_queryset())
        by_channel = {}
        for channel, state, count in rows.order_by().values_list("channel", "state").annotate(Count("pk")):
            by_channel.setdefault(channel, {})[state] = count
        mean = rows.aggregate(mean=Avg(F("sent_at") - F("planned_at")))["mean"]
        failed = rows.filter(state=Notification.State.FAILED, created_at__gte=timezone.now() - FAILURES_WITHIN)
        return Response(
            {
                "total": sum(count for states in by_channel.values() for count in states.values()),
                "by_channel": by_channel,
                "mean_seconds_to_send": mean.total_seconds() if mean else None,
                "failed_last_24_hours": failed.count(),
            }
        )
