"""The audit in the API: read, and only read."""

import ipaddress

import django_filters
from rest_framework import exceptions, permissions, serializers

from accounts.api import PersonField, TeamFilter
from accounts.auth import RolePermission
from accounts.models import AuditEntry
from accounts.permissions import may
from core.rest import Filters, MomentFilter, ReadViewSet, Shape, is_storable

NO_ADDRESS = "This is no IP address. Write one like 192.0.2.7."


class MayAdminister(permissions.BasePermission):
    message = "The audit is for admins of the platform: it tells of every team."

    def has_permission(self, request, view):
        return may(request.user, "administer")


class AuditObjectShape(serializers.Serializer):
    kind = serializers.CharField(help_text="For example catalog.service.")
    id = serializers.CharField(source="object_id")
    name = serializers.CharField(source="object_name", help_text="What it was called then.")
    about = serializers.CharField(help_text="What it is a part of, for example oncall.escalationpolicy:7.")


class AuditEntryShape(Shape):
    actor = PersonField(read_only=True, allow_null=True)
    object = AuditObjectShape(source="*")
    team = serializers.SlugRelatedField(slug_field="slug", read_only=True, allow_null=True)
    changes = serializers.JSONField(help_text="{field: [before, after]}; secrets are only said to be there.")

    class Meta:
        model = AuditEntry
        fields = [
            "id",
            "at",
            "actor",
            "actor_name",
            "verb",
            "object",
            "team",
            "changes",
            "text",
            "via",
            "address",
            "agent",
            "request_id",
        ]


class TextFilter(django_filters.CharFilter):
    """Rows that a named read of the queryset finds by this text."""

    def __init__(self, *args, read, **kwargs):
        super().__init__(*args, **kwargs)
        self.read_by = read

    def filter(self, qs, value):
        if value and not is_storable(value):
            return qs.none()
        return getattr(qs, self.read_by)(value) if value else qs


class AddressFilter(TextFilter):
    def filter(self, qs, value):
        if value:
            try:
                ipaddress.ip_address(value)
            except ValueError:
                raise exceptions.ValidationError(
                    {"address": "This is no IP address. Write one like 192.0.2.7."}
                ) from None
        return super().filter(qs, value)


class AuditFilters(Filters):
    who = TextFilter(read="by", label="A part of a name or email of a person, or of what a key is called.")
    verb = django_filters.CharFilter(label="created, changed, deleted, signed in, exported …")
    kind = django_filters.CharFilter(label="For example catalog.service.")
    object = TextFilter(read="of", label="One object and its parts: catalog.service:7.")
    team = TeamFilter()
    since = MomentFilter(field_name="at", lookup_expr="gte", label="From this time on.")
    until = MomentFilter(field_name="at", lookup_expr="lt", label="Before this time.")
    via = django_filters.CharFilter(label="web, admin, api, command or system.")
    address = AddressFilter(read="from_address")
    request_id = django_filters.CharFilter(label="What was done in one step.")
    q = TextFilter(read="telling", label="Words in a name, a text, or a value before or after.")


class AuditViewSet(ReadViewSet):
    """Who changed what, signed in, or took data out, newest first. Nobody can change or delete an entry."""

    resource = "audit"
    permission_classes = [RolePermission, MayAdminister]
    queryset = AuditEntry.objects.select_related("actor", "team")
    serializer_class = AuditEntryShape
    filterset_class = AuditFilters
    lookup_value_regex = "[0-9]{1,18}"
