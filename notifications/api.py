"""What was sent to whom, and what came of it; and messages that somebody sends by hand."""

import uuid as uuids

import django_filters
from django.core.exceptions import PermissionDenied
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.response import Response

from accounts.api import PersonField, PersonFilter
from accounts.models import User
from accounts.permissions import may_once_seen
from core.errors import DomainError
from core.rest import UUID, Filters, MomentFilter, ReadViewSet, Shape, WordsFilter, read_body
from notifications import history, outbox, resending
from notifications.message import Kind, Message
from notifications.models import KINDS, Attempt, Notification, Urgency, channels

LONGEST_TEXT = 20_000


class Unreachable(DomainError):
    """Nobody of those named can be told."""

    status = 409
    code = "unreachable"


class NotificationShape(Shape):
    user = PersonField(read_only=True, allow_null=True)
    destination = serializers.CharField(source="destination.name", default=None, read_only=True, allow_null=True)
    address = serializers.CharField(read_only=True, help_text="As others may read it: the rest may be a secret.")
    title = serializers.CharField(source="message.title", default="", read_only=True)
    attempt_count = serializers.IntegerField(source="attempts", read_only=True)

    class Meta:
        model = Notification
        fields = [
            "uuid",
            "topic",
            "kind",
            "user",
            "destination",
            "channel",
            "address",
            "urgency",
            "state",
            "reason",
            "provider",
            "cost",
            "level",
            "title",
            "is_repeat",
            "is_possible_repeat",
            "attempt_count",
            "created_at",
            "planned_at",
            "sent_at",
            "delivered_at",
            "read_at",
            "receipt_missed_at",
            "acknowledged_at",
        ]
        read_only_fields = fields


class AttemptShape(Shape):
    class Meta:
        model = Attempt
        fields = ["number", "provider", "started_at", "called_at", "finished_at", "ok", "error", "answer", "cost"]


class NotificationDetailShape(NotificationShape):
    body = serializers.CharField(source="message.body", default="", read_only=True)
    attempts = AttemptShape(source="tries", many=True, read_only=True)

    class Meta(NotificationShape.Meta):
        fields = [*NotificationShape.Meta.fields, "body", "attempts"]


class NotificationSummaryShape(serializers.Serializer):
    total = serializers.IntegerField()
    total_sent = serializers.IntegerField()
    total_delivered = serializers.IntegerField(help_text="Known to have arrived, by the provider's word or a receipt.")
    total_acknowledged = serializers.IntegerField()
    total_failed = serializers.IntegerField()
    by_channel = serializers.DictField(
        child=serializers.DictField(child=serializers.IntegerField()), help_text="Counts by channel, then by state."
    )
    mean_seconds_to_send = serializers.FloatField(allow_null=True, help_text="From planned to sent.")
    failed_last_24_hours = serializers.IntegerField()


class SendShape(serializers.Serializer):
    """A message to one person, by their own rules."""

    user = PersonField(queryset=User.objects.all())
    title = serializers.CharField(max_length=250)
    body = serializers.CharField(required=False, allow_blank=True, max_length=LONGEST_TEXT)
    url = serializers.URLField(required=False, allow_blank=True, max_length=2000)
    urgency = serializers.ChoiceField(Urgency.choices, default=Urgency.LOW, help_text="High is never held back.")


class SentShape(serializers.Serializer):
    notifications = NotificationShape(many=True)
    reasons = serializers.ListField(child=serializers.CharField(), help_text="What was decided otherwise, and why.")


class NotificationEditShape(serializers.Serializer):
    state = serializers.ChoiceField(
        [("read", "Read"), ("cancelled", "Cancelled")],
        help_text="`read` by its reader, `cancelled` while it waits. An answer goes to the incident.",
    )


class NotificationFilters(Filters):
    state = WordsFilter(choices=Notification.State.choices)
    kind = WordsFilter(choices=KINDS)
    channel = WordsFilter(choices=channels.choices())
    user = PersonFilter(label="Email or UUID.")
    topic = django_filters.CharFilter(label="For example incident:42.")
    urgency = WordsFilter(choices=Urgency.choices)
    since = MomentFilter(field_name="created_at", lookup_expr="gte", label="Planned at this time or later.")
    until = MomentFilter(field_name="created_at", lookup_expr="lt", label="Planned before this time.")


def tell(people, fields, *, now):
    """Write one message by hand to each of these people. Returns the rows and the reasons.

    Raises Unreachable when nobody of them can be told.
    """
    key = f"message:{uuids.uuid4()}"
    message = Message(
        title=" ".join(fields["title"].split()),
        body=fields.get("body", ""),
        url=fields.get("url", ""),
        urgency=fields["urgency"],
        kind=Kind.NOTICE,
        thread=key.replace(":", "-"),
    )
    pages = [outbox.Page(key, key, one.pk, message) for one in people]
    outcomes = outbox.plan_many(pages, now=now)
    reasons = [reason for outcome in outcomes for reason in outcome.reasons]
    if not any(outcome.is_reachable for outcome in outcomes):
        raise Unreachable(" ".join(reasons) or "Nobody is on call, so nobody was told.")
    rows = Notification.objects.filter(topic=key).select_related("user", "destination").order_by("pk")
    return {"notifications": rows, "reasons": reasons}


class NotificationViewSet(ReadViewSet):
    resource = "notifications"
    sentences = ("reason", "reasons")
    change_verb = "read"  # one's own messages are everybody's to answer
    queryset = Notification.objects.to_us().select_related("user", "destination")
    serializer_class = NotificationShape
    filterset_class = NotificationFilters
    ordering = ("-id",)
    lookup_field = "uuid"
    lookup_value_regex = UUID

    @extend_schema(responses=NotificationDetailShape)
    def retrieve(self, request, uuid):
        """One notification with every try to send it."""
        return Response(NotificationDetailShape(self.get_object()).data)

    @extend_schema(request=NotificationEditShape, responses=NotificationShape)
    def partial_update(self, request, uuid):
        """Mark it as read, or stop it while it waits."""
        state = read_body(NotificationEditShape, request)["state"]
        self._check_answers()
        verb = {"read": resending.mark_read, "cancelled": resending.stop}[state]
        return Response(NotificationShape(verb(uuid, by=request.user, now=timezone.now())).data)

    @extend_schema(request=None, responses={201: NotificationShape})
    @action(detail=True, methods=["post"])
    def resend(self, request, uuid):
        """Send it once more, to the same reader at the same address."""
        self._check_answers()
        row = resending.send_again(uuid, by=request.user, now=timezone.now())
        return Response(NotificationShape(row).data, status=201)

    def _check_answers(self):
        """One's own messages, or those of others for who may respond."""
        row = self.get_object()
        if row.user_id != self.request.user.pk and not may_once_seen(self.request.user, "respond", row):
            raise PermissionDenied("Only its reader, or a responder, may do this with the message.")

    @extend_schema(request=SendShape, responses={201: SentShape}, filters=False)
    @action(detail=False, methods=["post"], pagination_class=None, change_verb="respond")
    def send(self, request):
        """Tell one person something, by their own rules. 409 when nothing reaches them."""
        fields = read_body(SendShape, request)
        return Response(SentShape(tell([fields["user"]], fields, now=timezone.now())).data, status=201)

    @extend_schema(responses=NotificationSummaryShape, filters=True)
    @action(detail=False, url_path="stats/summary", pagination_class=None)
    def summary(self, request):
        """Counts by channel and state, how fast messages went out, and the failures of the last 24 hours."""
        return Response(history.figures(self.filter_queryset(self.get_queryset()), now=timezone.now()))
