"""Heartbeats: signs of life that are expected again and again."""

import django_filters
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.response import Response

from alerts import heartbeats
from alerts.api.integrations import IntegrationField
from alerts.models import Heartbeat
from catalog.api import ServiceField, ServiceFilter
from core.rest import UUID, ConfigureViewSet, Filters, Shape


class HeartbeatShape(Shape):
    id = serializers.UUIDField(source="uuid", read_only=True)
    service = ServiceField()
    integration = IntegrationField(required=False, allow_null=True)
    interval_seconds = serializers.IntegerField(min_value=10, max_value=366 * 24 * 3600, required=False)
    grace_seconds = serializers.IntegerField(min_value=0, max_value=366 * 24 * 3600, required=False)

    class Meta:
        model = Heartbeat
        fields = [
            "id",
            "name",
            "description",
            "service",
            "integration",
            "severity",
            "interval_seconds",
            "grace_seconds",
            "is_enabled",
            "key_last4",
            "armed_at",
            "last_ping_at",
            "last_ping_via",
            "missed_at",
            "due_at",
            "created_at",
        ]
        read_only_fields = fields[9:]

    def to_representation(self, heartbeat):
        shown, user = super().to_representation(heartbeat), self.context["request"].user
        if heartbeat.integration and not user.may("read", heartbeat.integration):
            shown["integration"] = None  # another team's door may ping it
        return shown

    def create(self, validated_data):
        heartbeat = Heartbeat(**validated_data)
        heartbeat.issued = heartbeats.save(heartbeat, now=timezone.now())
        return heartbeat

    def update(self, instance, validated_data):
        for name, value in validated_data.items():
            setattr(instance, name, value)
        heartbeats.save(instance, now=timezone.now())
        return instance


class HeartbeatFilters(Filters):
    service = ServiceFilter()
    is_enabled = django_filters.BooleanFilter()
    is_missing = django_filters.BooleanFilter(field_name="missed_at", lookup_expr="isnull", exclude=True)


class HeartbeatKeyShape(HeartbeatShape):
    key = serializers.CharField(read_only=True, help_text="Shown only now.")

    class Meta(HeartbeatShape.Meta):
        fields = [*HeartbeatShape.Meta.fields, "key"]


class HeartbeatViewSet(ConfigureViewSet):
    """Signs of life. When one stays away for longer than its interval and grace, an incident opens."""

    resource = "config"
    queryset = Heartbeat.objects.select_related("service", "integration__service")
    serializer_class = HeartbeatShape
    filterset_class = HeartbeatFilters
    ordering = ("name", "id")
    lookup_field = "uuid"
    lookup_url_kwarg = "id"
    lookup_value_regex = UUID
    issued = ""

    @extend_schema(responses={201: HeartbeatKeyShape})
    def create(self, request, *args, **kwargs):
        return super().create(request, *args, **kwargs)

    def perform_create(self, serializer):
        super().perform_create(serializer)
        self.issued = serializer.instance.issued

    def perform_destroy(self, instance):
        heartbeats.remove(instance, now=timezone.now())

    @extend_schema(request=None, responses={200: HeartbeatShape})
    @action(detail=True, methods=["post"], change_verb="respond")
    def arm(self, request, id):
        """Expect pings from now on, whether or not one has come yet."""
        heartbeat = self.get_object()
        heartbeats.arm(heartbeat, now=timezone.now())
        return Response(self.get_serializer(heartbeat).data)

    def finalize_response(self, request, response, *args, **kwargs):
        # Only now, so that the key is not in what an Idempotency-Key remembers.
        if self.issued and response.status_code < 400:
            response.data = {**response.data, "key": self.issued}
        return super().finalize_response(request, response, *args, **kwargs)
