"""What keeps alerts quiet: silences, maintenance windows, inhibition rules."""

import django_filters
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.response import Response

from accounts.api import PersonField, TeamField
from alerts import inhibition, maintenance, silences
from alerts.api.integrations import IntegrationField, IntegrationFilter, PathsField
from alerts.models import Alert, InhibitionRule, MaintenanceWindow, Silence
from catalog.api import ServiceField, ServiceFilter
from core.rest import NUMBER, UUID, ConfigureViewSet, Filters, MomentField, ReadViewSet, Shape, read_body

LONGEST_CONDITION = 4000


class Responds:
    """Made and ended by responders, in the middle of the night; never deleted, so that it can be told later."""

    change_verb = "respond"
    lookup_field = "uuid"
    lookup_url_kwarg = "id"
    lookup_value_regex = UUID
    http_method_names = ["get", "post", "put", "head", "options"]

    def shown(self, row, code=status.HTTP_200_OK):
        """The row as it is now."""
        return Response(self.get_serializer(self.get_queryset().get(pk=row.pk)).data, status=code)

    def given(self, request, shape=None):
        """The checked values of a request."""
        return dict(read_body(shape or self.serializer_class, request))

    def caller(self):
        """The arguments that every verb takes from its request."""
        return {"by": self.request.user, "now": timezone.now()}


# --- silences -----------------------------------------------------------------------------------------------------


class SilenceShape(Shape):
    id = serializers.UUIDField(source="uuid", read_only=True)
    condition = serializers.CharField(
        max_length=LONGEST_CONDITION,
        required=False,
        allow_blank=True,
        default="",
        help_text='Which alerts, such as labels.env = "prod" and severity in ("low", "info"). Empty with a service or '
        "an integration: all of theirs.",
    )
    starts_at = MomentField(required=False, help_text="Left out: now.")
    integration = IntegrationField(required=False, allow_null=True)
    service = ServiceField(required=False, allow_null=True)
    reason = serializers.CharField(max_length=500)
    owner = PersonField(read_only=True)
    everything = serializers.BooleanField(
        required=False, write_only=True, default=False, help_text="Yes, it may hold nearly every alert."
    )
    status = serializers.SerializerMethodField(help_text="pending, active or expired.")
    holds = serializers.SerializerMethodField(help_text="How many firing alerts it holds now.")

    class Meta:
        model = Silence
        fields = [
            "id",
            "status",
            "condition",
            "starts_at",
            "ends_at",
            "reason",
            "integration",
            "service",
            "everything",
            "owner",
            "made_by",
            "holds",
            "created_at",
            "updated_at",
            "expired_at",
        ]
        read_only_fields = ["made_by", "created_at", "updated_at", "expired_at"]

    def get_status(self, silence) -> str:
        return silences.state(silence, timezone.now())

    def get_holds(self, silence) -> int:
        return silence.holds


class SilenceStatusFilter(django_filters.ChoiceFilter):
    def __init__(self, **kwargs):
        words = (silences.PENDING, silences.ACTIVE, silences.EXPIRED)
        message = f"“%(value)s” is not a status of silences. Use {', '.join(words)}."
        super().__init__(
            choices=[(word, word) for word in words], error_messages={"invalid_choice": message}, **kwargs
        )

    def filter(self, qs, value):
        return silences.in_state(qs, value, timezone.now()) if value else qs


class SilenceFilters(Filters):
    status = SilenceStatusFilter()
    service = ServiceFilter()
    integration = IntegrationFilter()


class ExtendShape(serializers.Serializer):
    seconds = serializers.IntegerField(min_value=60, max_value=365 * 24 * 3600)


class SilencePreviewShape(serializers.Serializer):
    condition = serializers.CharField(max_length=LONGEST_CONDITION, required=False, allow_blank=True, default="")
    integration = IntegrationField(required=False, allow_null=True)
    service = ServiceField(required=False, allow_null=True)


class PreviewedAlertShape(serializers.ModelSerializer):
    service = serializers.SlugRelatedField("slug", read_only=True)

    class Meta:
        model = Alert
        fields = ["id", "title", "severity", "service", "last_at"]
        read_only_fields = fields


class SilencePreviewAnswerShape(serializers.Serializer):
    looked_at = serializers.IntegerField(help_text="The newest alerts of the last 7 days, so many of them.")
    is_cut = serializers.BooleanField(help_text="There were more alerts than were looked at.")
    total = serializers.IntegerField(help_text="Those of them that match.")
    firing = serializers.IntegerField(help_text="Those that match and fire now.")
    paged = serializers.IntegerField(help_text="Those of these with an open incident, which goes on.")
    incidents = serializers.IntegerField(help_text="Incidents that would not have been opened.")
    alerts = PreviewedAlertShape(many=True, help_text="The newest that match.")


class SilenceViewSet(Responds, ReadViewSet):
    """Silences hold new alerts that match until they end. Incidents that are open already go on."""

    resource = "config"
    queryset = Silence.objects.select_related("integration", "service", "owner")
    serializer_class = SilenceShape
    filterset_class = SilenceFilters
    ordering = ("-created_at", "-id")

    def get_queryset(self):
        return silences.with_holds(super().get_queryset(), self.request.user)

    @extend_schema(responses={201: SilenceShape})
    def create(self, request):
        """Silence new alerts that match."""
        given, caller = self.given(request), self.caller()
        given.setdefault("starts_at", caller["now"])
        return self.shown(self.do(silences.create, **given, **caller), status.HTTP_201_CREATED)

    @extend_schema(responses={200: SilenceShape})
    def update(self, request, id):
        """Change a silence that is not over."""
        row = self.get_object()
        given = self.given(request)
        given.setdefault("starts_at", row.starts_at)
        return self.shown(self.do(silences.edit, row.pk, **given, **self.caller()))

    @extend_schema(request=None, responses={200: SilenceShape})
    @action(detail=True, methods=["post"])
    def expire(self, request, id):
        """End it now. What it held and still fires pages at once."""
        return self.shown(silences.expire(self.get_object().pk, **self.caller()))

    @extend_schema(request=ExtendShape, responses={200: SilenceShape})
    @action(detail=True, methods=["post"])
    def extend(self, request, id):
        """Let it end later."""
        given = self.given(request, ExtendShape)
        return self.shown(silences.extend(self.get_object().pk, **given, **self.caller()))

    @extend_schema(request=SilencePreviewShape, responses={200: SilencePreviewAnswerShape})
    @action(detail=False, methods=["post"])
    def preview(self, request):
        """What a silence would hold now, and would have held in the last 7 days. Nothing is changed."""
        found = silences.preview(**self.given(request, SilencePreviewShape), **self.caller())
        return Response(SilencePreviewAnswerShape(found).data)


# --- maintenance --------------------------------------------------------------------------------------------------


class SpanShape(serializers.Serializer):
    starts_at = MomentField()
    ends_at = MomentField()


class MaintenanceWindowShape(Shape):
    id = serializers.UUIDField(source="uuid", read_only=True)
    services = ServiceField(many=True, required=False)
    teams = TeamField(many=True, required=False)
    owner = PersonField(read_only=True)
    everything = serializers.BooleanField(required=False, write_only=True, default=False)
    status = serializers.SerializerMethodField(help_text="open, planned, disabled or over.")
    coming = serializers.SerializerMethodField(help_text="The present and the next times.")

    class Meta:
        model = MaintenanceWindow
        fields = [
            "id",
            "status",
            "name",
            "reason",
            "services",
            "teams",
            "condition",
            "everything",
            "starts_at",
            "ends_at",
            "rrule",
            "time_zone",
            "owner",
            "is_enabled",
            "coming",
            "created_at",
            "ended_at",
        ]
        read_only_fields = ["is_enabled", "created_at", "ended_at"]

    def get_status(self, row) -> str:
        return maintenance.state(row, timezone.now())

    @extend_schema(responses=SpanShape(many=True))
    def get_coming(self, row) -> list:
        spans = maintenance.coming(row, timezone.now())
        return [dict(SpanShape({"starts_at": start, "ends_at": end}).data) for start, end in spans]


class MaintenanceWindowFilters(Filters):
    is_enabled = django_filters.BooleanFilter()


class MaintenanceWindowViewSet(Responds, ReadViewSet):
    """Planned work: alerts of what is worked on are held while it lasts, once or again and again."""

    resource = "config"
    queryset = MaintenanceWindow.objects.select_related("owner").prefetch_related("services", "teams")
    serializer_class = MaintenanceWindowShape
    filterset_class = MaintenanceWindowFilters
    ordering = ("-starts_at", "-id")

    @extend_schema(responses={201: MaintenanceWindowShape})
    def create(self, request):
        """Plan a window."""
        row = self.do(maintenance.create, **self.given(request), **self.caller())
        return self.shown(row, status.HTTP_201_CREATED)

    @extend_schema(responses={200: MaintenanceWindowShape})
    def update(self, request, id):
        """Change a window that was not ended."""
        row = self.get_object()
        return self.shown(self.do(maintenance.edit, row.pk, **self.given(request), **self.caller()))

    @extend_schema(request=None, responses={200: MaintenanceWindowShape})
    @action(detail=True, methods=["post"])
    def end(self, request, id):
        """End it for good. What it held and still fires pages at once."""
        return self.shown(maintenance.end(self.get_object().pk, **self.caller()))

    @extend_schema(request=None, responses={200: MaintenanceWindowShape})
    @action(detail=True, methods=["post"])
    def enable(self, request, id):
        """Let it count again."""
        return self.shown(maintenance.enable(self.get_object().pk, is_enabled=True, **self.caller()))

    @extend_schema(request=None, responses={200: MaintenanceWindowShape})
    @action(detail=True, methods=["post"])
    def disable(self, request, id):
        """Let it hold nothing for the time being."""
        return self.shown(maintenance.enable(self.get_object().pk, is_enabled=False, **self.caller()))


# --- inhibition ---------------------------------------------------------------------------------------------------


class InhibitionRuleShape(Shape):
    integration = IntegrationField(required=False, allow_null=True)
    source = serializers.CharField(max_length=LONGEST_CONDITION, help_text="A condition: the alert that says more.")
    target = serializers.CharField(
        max_length=LONGEST_CONDITION, help_text="A condition: what need not page beside it."
    )
    equal = PathsField(required=False, help_text="Labels that must have the same value on both sides.")

    class Meta:
        model = InhibitionRule
        fields = ["id", "name", "integration", "source", "target", "equal", "is_enabled"]

    def create(self, validated_data):
        return inhibition.save(InhibitionRule(**validated_data), now=timezone.now())

    def update(self, instance, validated_data):
        for name, value in validated_data.items():
            setattr(instance, name, value)
        return inhibition.save(instance, now=timezone.now())


class InhibitionRuleFilters(Filters):
    integration = IntegrationFilter()
    is_enabled = django_filters.BooleanFilter()


class InhibitionRuleViewSet(ConfigureViewSet):
    """While an alert fires that matches the source, alerts that match the target are held."""

    resource = "config"
    queryset = InhibitionRule.objects.select_related("integration")
    serializer_class = InhibitionRuleShape
    filterset_class = InhibitionRuleFilters
    ordering = ("name", "id")
    lookup_value_regex = NUMBER

    def perform_destroy(self, instance):
        inhibition.delete(instance, now=timezone.now())
