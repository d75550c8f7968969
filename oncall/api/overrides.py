"""Overrides of a schedule: somebody takes a span, whatever the layers say."""

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers, status
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from accounts.api import PersonField, PersonFilter
from accounts.models import User
from core.rest import UUID, Edge, Shape, WordsFilter
from oncall import scheduling
from oncall.api.shapes import SCHEDULE_IN_PATH, OriginField, SpanFilters, schedule_of
from oncall.models import Duty, Override


class OverrideShape(Shape):
    id = serializers.UUIDField(source="uuid", read_only=True)
    user = PersonField(queryset=User.objects.all(), help_text="Who takes the span.")
    replaces = PersonField(
        queryset=User.objects.all(),
        required=False,
        allow_null=True,
        help_text=Override._meta.get_field("replaces").help_text,
    )
    swap = OriginField(source="offer.request", help_text="The request that made it, or null.")
    created_by = PersonField(read_only=True)

    class Meta:
        model = Override
        fields = [
            "id",
            "user",
            "role",
            "replaces",
            "start_at",
            "end_at",
            "reason",
            "swap",
            "created_by",
            "created_at",
        ]
        read_only_fields = ["created_at"]


class OverrideFilters(SpanFilters):
    user = PersonFilter(label="Who takes the span: email or UUID.")
    role = WordsFilter(choices=Duty.choices)


@extend_schema(parameters=[SCHEDULE_IN_PATH])
class OverrideViewSet(
    Edge, mixins.ListModelMixin, mixins.RetrieveModelMixin, mixins.CreateModelMixin, mixins.DestroyModelMixin,
    GenericViewSet,
):  # fmt: skip
    """The overrides of a schedule, the latest first. Whoever responds may take a span."""

    resource = "oncall"
    queryset = Override.objects.select_related("user", "replaces", "created_by", "offer__request")
    serializer_class = OverrideShape
    filterset_class = OverrideFilters
    ordering = ("-start_at", "-id")
    lookup_field = "uuid"
    lookup_value_regex = UUID

    def get_queryset(self):
        return super().get_queryset().filter(schedule=self._schedule())

    def _schedule(self):
        return schedule_of(self)

    def perform_create(self, serializer):
        given = {**serializer.validated_data, "by": self.request.user, "now": timezone.now()}
        serializer.instance = self.do(scheduling.add_override, self._schedule().pk, **given)

    @extend_schema(responses={204: None})
    def destroy(self, request, slug, uuid):
        """Take an override back. One that runs ends now, and one that is over stays."""
        scheduling.remove_override(self.get_object().pk, by=request.user, now=timezone.now())
        return Response(status=status.HTTP_204_NO_CONTENT)
