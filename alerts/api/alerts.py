"""Alerts: what the sources say is wrong. New ones come in through `alerts/door.py`, in front of Django."""

import django_filters
from django.db.models import Q
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers

from alerts import event
from alerts.models import Alert
from alerts.visibility import hide_origins, hush_holds
from catalog.api import ServiceFilter
from core.api import problem
from core.rest import UUID, Filters, MomentFilter, ReadViewSet, Shape, WordsFilter
from incidents.models import Severity

LARGEST_NUMBER = 2**63 - 1


class AlertShape(Shape):
    status = serializers.ChoiceField(["firing", "resolved"], read_only=True)
    service = serializers.SlugRelatedField("slug", read_only=True)
    integration = serializers.UUIDField(source="integration.uuid", default=None, read_only=True, allow_null=True)
    incident = serializers.IntegerField(source="incident_id", read_only=True, allow_null=True)

    class Meta:
        model = Alert
        fields = [
            "id",
            "status",
            "title",
            "description",
            "severity",
            "service",
            "incident",
            "dedup_key",
            "source",
            "integration",
            "labels",
            "links",
            "occurrences",
            "first_at",
            "last_at",
            "resolved_at",
            "resolved_why",
            "held_by",
            "held_why",
            "held_at",
        ]
        read_only_fields = fields


class NewAlertShape(serializers.Serializer):
    """One event. The tolerant names of the generic source work too."""

    service = serializers.CharField(max_length=event.SERVICE_LIMIT, help_text="Slug or routing key.")
    title = serializers.CharField(max_length=event.TITLE_LIMIT, required=False, help_text="Required for a trigger.")
    action = serializers.ChoiceField([event.TRIGGER, event.ACKNOWLEDGE, event.RESOLVE], default=event.TRIGGER)
    severity = serializers.ChoiceField(Severity.choices, required=False)
    description = serializers.CharField(required=False)
    dedup_key = serializers.CharField(
        max_length=event.KEY_LIMIT, required=False, help_text="Events with the same key are one alert."
    )
    labels = serializers.DictField(child=serializers.CharField(), required=False)
    links = serializers.ListField(child=serializers.DictField(child=serializers.CharField()), required=False)
    occurred_at = serializers.DateTimeField(required=False)


class AcceptedAlertShape(serializers.Serializer):
    status = serializers.ChoiceField(["accepted"])
    event_id = serializers.UUIDField()
    dedup_key = serializers.CharField()
    alert_id = serializers.UUIDField(required=False, help_text="With `wait` only.")
    incident_number = serializers.IntegerField(required=False, allow_null=True, help_text="With `wait` only.")


class StatusFilter(django_filters.ChoiceFilter):
    def __init__(self, **kwargs):
        message = "“%(value)s” is not a status of alerts. Use firing or resolved."
        choices = [("firing", "Firing"), ("resolved", "Resolved")]
        super().__init__(
            field_name="resolved_at", choices=choices, error_messages={"invalid_choice": message}, **kwargs
        )

    def filter(self, qs, value):
        return qs.filter(resolved_at__isnull=value == "firing") if value else qs


class AlertFilters(Filters):
    status = StatusFilter()
    is_held = django_filters.BooleanFilter(method="held", label="Fires and calls nobody: held_by says why.")
    service = ServiceFilter()
    severity = WordsFilter(choices=Severity.choices)
    incident = django_filters.NumberFilter(
        field_name="incident_id", min_value=1, max_value=LARGEST_NUMBER, decimal_places=0, label="Its number."
    )
    dedup_key = django_filters.CharFilter()
    since = MomentFilter(field_name="first_at", lookup_expr="gte", label="Began at this time or later.")
    until = MomentFilter(field_name="first_at", lookup_expr="lt", label="Began before this time.")

    def held(self, rows, name, value):
        is_held = Q(resolved_at=None) & ~Q(held_by="")
        return rows.filter(is_held if value else ~is_held)


class AlertViewSet(ReadViewSet):
    resource = "alerts"
    queryset = Alert.objects.select_related("service", "integration")
    serializer_class = AlertShape
    filterset_class = AlertFilters
    ordering = ("-first_at", "-id")
    lookup_field = "id"
    lookup_value_regex = UUID

    def paginate_queryset(self, queryset):
        return self._hushed(super().paginate_queryset(queryset))

    def get_object(self):
        return self._hushed([super().get_object()])[0]

    def _hushed(self, alerts):
        hide_origins(alerts, self.request.user)
        hush_holds(alerts, self.request.user)
        return alerts

    @extend_schema(
        request=NewAlertShape,
        responses={202: AcceptedAlertShape},
        parameters=[OpenApiParameter("wait", float, description="Wait up to so many seconds (10) for the decision.")],
    )
    def create(self, request):
        """Say that something is wrong, or over. Answered after the commit with 202; the incident follows at once."""
        return problem(
            503,
            "Not taken",
            "Alerts are taken by the ASGI application config.asgi. Start the program with bin/up, not with runserver.",
            code="not_taken",
        )
