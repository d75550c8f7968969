"""Doors of monitoring tools, the rules that route what comes through them, and changes that were made on purpose."""

import django_filters
from django.db import transaction
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.response import Response

from accounts.api import TeamField, TeamFilter
from accounts.key_api import RotateShape
from alerts import rules
from alerts.keys import issue_key, rotate_key
from alerts.models import ChangeEvent, Integration, Rule, source_choices, sources
from alerts.setup import address
from catalog.api import ServiceField, ServiceFilter
from core.rest import (
    NUMBER,
    UUID,
    ConfigureViewSet,
    Filters,
    MomentFilter,
    NamedField,
    ReadViewSet,
    Shape,
    WordsFilter,
    visible,
)
from oncall.models import EscalationPolicy


class IntegrationField(serializers.SlugRelatedField):
    """An integration, named by its id."""

    default_error_messages = {
        "does_not_exist": "There is no integration “{value}”. GET /api/v1/integrations lists them.",
        "invalid": "Give the id of an integration. GET /api/v1/integrations lists them.",
    }

    def __init__(self, **kwargs):
        super().__init__(slug_field="uuid", **{"queryset": Integration.objects.all(), **kwargs})

    def get_queryset(self):
        return visible(self, super().get_queryset())

    def to_internal_value(self, data):
        try:
            known = serializers.UUIDField().run_validation(data)
        except serializers.ValidationError:
            self.fail("invalid")
        return super().to_internal_value(known)


class IntegrationFilter(django_filters.UUIDFilter):
    def __init__(self, **kwargs):
        message = "This is not the id of an integration. GET /api/v1/integrations lists them."
        super().__init__(field_name="integration__uuid", error_messages={"invalid": message}, **kwargs)


@extend_schema_field(OpenApiTypes.STR)
class SourceField(serializers.ChoiceField):
    """One of the sources there are, read when it is asked so that no schema has to name them."""

    def __init__(self, **kwargs):
        super().__init__(choices=[], **kwargs)
        self.choices = dict(source_choices())


class PathsField(serializers.ListField):
    child = serializers.RegexField(
        r"^[\w@][\w.@:/-]*$",
        max_length=200,
        error_messages={"invalid": "Use names of fields such as title, labels.cluster or payload.data.id."},
    )


class IntegrationShape(Shape):
    id = serializers.UUIDField(source="uuid", read_only=True)
    source = SourceField(help_text="Cannot be changed later: another sender gets an integration of its own.")
    service = ServiceField(required=False, allow_null=True)
    team = TeamField(required=False, allow_null=True)
    options = serializers.DictField(required=False, help_text="What this kind of source can be told.")
    dedup_fields = PathsField(required=False)
    group_fields = PathsField(required=False)
    signing_secret = serializers.CharField(required=False, allow_blank=True, write_only=True, max_length=200)
    is_signed = serializers.BooleanField(source="signing_secret", read_only=True, help_text="Asks for a signature.")

    class Meta:
        model = Integration
        fields = [
            "id",
            "name",
            "source",
            "service",
            "team",
            "may_choose_service",
            "default_severity",
            "options",
            "signing_secret",
            "is_signed",
            "dedup_fields",
            "group_fields",
            "group_window_seconds",
            "group_slides",
            "group_freezes_on_acknowledge",
            "flap_changes",
            "flap_window_seconds",
            "flap_pause_seconds",
            "auto_resolve_seconds",
            "events_per_minute",
            "incidents_per_minute",
            "is_enabled",
            "key_last4",
            "old_key_until",
            "key_expires_at",
            "created_at",
            "last_event_at",
        ]
        read_only_fields = ["key_last4", "old_key_until", "created_at", "last_event_at"]

    def validate(self, fields):
        kept = self.instance
        if kept and fields.get("source", kept.source) != kept.source:
            raise serializers.ValidationError(
                {"source": "The source cannot be changed. Make another integration for the other sender."}
            )
        if not any(fields.get(name, getattr(kept, name, None)) for name in ("service", "team")):
            raise serializers.ValidationError(
                {"service": "Give a service, or a team that takes what names no service."}
            )
        if "options" in fields:
            fields["options"] = self._options(fields.get("source", kept.source if kept else ""), fields["options"])
        return fields

    @staticmethod
    def _options(source, given):
        known = {option.name: option for option in getattr(sources.classes().get(source), "options", ())}
        checked = {}
        for name, value in given.items():
            option = known.get(name)
            if option is None:
                words = f"It has: {', '.join(sorted(known))}." if known else "It has none."
                raise serializers.ValidationError({"options": f"This source has no option “{name[:60]}”. {words}"})
            if option.is_switch != isinstance(value, bool) or not isinstance(value, bool | str):
                kind = "true or false" if option.is_switch else "text"
                raise serializers.ValidationError({"options": f"Give the option “{name}” as {kind}."})
            if option.choices and value not in dict(option.choices):
                words = ", ".join(word for word, _ in option.choices)
                raise serializers.ValidationError({"options": f"Give the option “{name}” as one of: {words}."})
            try:
                checked[name] = option.check(value) if option.check and value else value
            except ValueError as error:
                raise serializers.ValidationError({"options": f"{name}: {error}"}) from None
        return checked


class IntegrationFilters(Filters):
    source = django_filters.CharFilter()
    service = ServiceFilter()
    team = TeamFilter()
    is_enabled = django_filters.BooleanFilter()
    q = django_filters.CharFilter(field_name="name", lookup_expr="icontains", label="Words of the name.")


class IssuedKeyShape(IntegrationShape):
    key = serializers.CharField(read_only=True, help_text="Shown only now.")
    address = serializers.CharField(read_only=True, help_text="Where the sender posts to. Shown only now.")

    class Meta(IntegrationShape.Meta):
        fields = [*IntegrationShape.Meta.fields, "key", "address"]


class IntegrationViewSet(ConfigureViewSet):
    """Doors of monitoring tools. The key of one is shown when it is issued, and never again."""

    resource = "config"
    queryset = Integration.objects.select_related("service", "team")
    serializer_class = IntegrationShape
    filterset_class = IntegrationFilters
    ordering = ("name", "id")
    lookup_field = "uuid"
    lookup_url_kwarg = "id"
    lookup_value_regex = UUID
    issued = ""

    @extend_schema(request=IntegrationShape, responses={201: IssuedKeyShape})
    def create(self, request, *args, **kwargs):
        return super().create(request, *args, **kwargs)

    def perform_create(self, serializer):
        bare = Integration()
        self.issued = issue_key(bare)
        self.do(serializer.save, key_hash=bare.key_hash, key_last4=bare.key_last4)

    @extend_schema(request=RotateShape, responses={200: IssuedKeyShape})
    @action(detail=True, methods=["post"], url_path="rotate-key")
    def rotate_key(self, request, id):
        """Issue a new key; the old one works for a while longer, or stops at once."""
        overlap = RotateShape.overlap_of(request)
        integration, self.issued = rotate_key(self.get_object().pk, now=timezone.now(), overlap=overlap)
        return Response(self.get_serializer(integration).data)

    def finalize_response(self, request, response, *args, **kwargs):
        # Only now, so that the key is not in what an Idempotency-Key remembers.
        if self.issued and response.status_code < 400:
            source = response.data["source"]
            response.data = {**response.data, "key": self.issued, "address": address(source, self.issued)}
        return super().finalize_response(request, response, *args, **kwargs)


# --- rules --------------------------------------------------------------------------------------------------------


class PolicyField(NamedField):
    def __init__(self, **kwargs):
        super().__init__(queryset=EscalationPolicy.objects.all(), noun="policy", path="policies", **kwargs)


class RuleShape(Shape):
    integration = IntegrationField(required=False, allow_null=True)
    service = ServiceField(required=False, allow_null=True)
    policy = PolicyField(required=False, allow_null=True)
    days = serializers.ListField(child=serializers.IntegerField(min_value=0, max_value=6), required=False)

    class Meta:
        model = Rule
        fields = ["id", *rules.CONFIGURED]

    def validate(self, fields):
        kept = {name: getattr(self.instance, name) for name in rules.CONFIGURED} if self.instance else {}
        if found := rules.problems(Rule(**{**kept, **fields})):
            raise serializers.ValidationError({name or "non_field_errors": text for name, text in found.items()})
        return fields


class RuleFilters(Filters):
    integration = IntegrationFilter()
    is_enabled = django_filters.BooleanFilter()
    action = WordsFilter(choices=Rule.Action.choices)


class RuleViewSet(ConfigureViewSet):
    """Routing rules. Those of the integration are asked first, then the global ones, each in order of position."""

    resource = "config"
    queryset = Rule.objects.select_related("integration", "service", "policy")
    serializer_class = RuleShape
    filterset_class = RuleFilters
    ordering = ("position", "id")
    lookup_value_regex = NUMBER

    def perform_update(self, serializer):
        with transaction.atomic():
            super().perform_update(serializer)
            rules.changed([serializer.instance.pk], now=timezone.now())


# --- changes ------------------------------------------------------------------------------------------------------


class ChangeEventShape(Shape):
    integration = serializers.UUIDField(source="integration.uuid", default=None, read_only=True, allow_null=True)
    service = serializers.SlugRelatedField("slug", read_only=True)

    class Meta:
        model = ChangeEvent
        fields = [
            "id",
            "title",
            "description",
            "service",
            "integration",
            "source",
            "labels",
            "links",
            "at",
            "received_at",
        ]
        read_only_fields = fields


class ChangeEventFilters(Filters):
    service = ServiceFilter()
    source = django_filters.CharFilter()
    since = MomentFilter(field_name="at", lookup_expr="gte", label="Happened at this time or later.")
    until = MomentFilter(field_name="at", lookup_expr="lt", label="Happened before this time.")


class ChangeEventViewSet(ReadViewSet):
    """Deployments and other changes, the latest first. They come in through integrations."""

    resource = "alerts"
    queryset = ChangeEvent.objects.select_related("integration", "service")
    serializer_class = ChangeEventShape
    filterset_class = ChangeEventFilters
    ordering = ("-at", "-id")
    lookup_field = "id"
    lookup_value_regex = UUID
