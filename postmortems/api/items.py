"""Action items: those of one postmortem, and those of all."""

import django_filters
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import permissions, serializers
from rest_framework.response import Response

from accounts.api import PersonField, PersonFilter, TeamFilter
from accounts.auth import RolePermission
from accounts.permissions import may
from core.rest import UUID, DayField, Filters, ReadViewSet, Shape, WordsFilter, read_body
from incidents.shapes import LARGEST_NUMBER
from postmortems import items
from postmortems.api.base import Parts, Writes, person_field
from postmortems.models import ActionItem


class ActionItemShape(Shape):
    id = serializers.UUIDField(source="uuid", read_only=True)
    postmortem = serializers.IntegerField(source="postmortem_id", read_only=True)
    team = serializers.SlugRelatedField("slug", source="postmortem.team", read_only=True)
    owner = PersonField(read_only=True)
    link_label = serializers.SerializerMethodField(help_text="The key of the issue, such as SHOP-12; else its host.")

    class Meta:
        model = ActionItem
        fields = [
            "id",
            "postmortem",
            "team",
            "text",
            "owner",
            "due_on",
            "priority",
            "status",
            "link",
            "link_label",
            "created_at",
            "changed_at",
            "ended_at",
        ]
        read_only_fields = fields

    def get_link_label(self, row) -> str:
        return items.link_label(row.link) if row.link else ""


class NewItemShape(serializers.Serializer):
    text = serializers.CharField(max_length=items.LONGEST_TEXT)
    owner = person_field(required=False, allow_null=True)
    due_on = DayField(required=False, allow_null=True)
    priority = serializers.ChoiceField(ActionItem.Priority.choices, required=False)
    link = serializers.CharField(
        required=False, allow_blank=True, max_length=items.LONGEST_LINK, help_text="https://, of an issue elsewhere."
    )


class ItemEditShape(NewItemShape):
    text = serializers.CharField(required=False, max_length=items.LONGEST_TEXT)
    status = serializers.ChoiceField(ActionItem.Status.choices, required=False)


class OverdueFilter(django_filters.BooleanFilter):
    def filter(self, qs, value):
        late = items.overdue(timezone.now().date())
        return qs if value is None else qs.filter(late) if value else qs.exclude(late)


class ActionItemFilters(Filters):
    status = WordsFilter(choices=ActionItem.Status.choices)
    priority = WordsFilter(choices=ActionItem.Priority.choices)
    owner = PersonFilter(label="Email or UUID.")
    team = TeamFilter(field_name="postmortem__team")
    postmortem = django_filters.NumberFilter(
        field_name="postmortem", min_value=1, max_value=LARGEST_NUMBER, label="Its number."
    )
    is_overdue = OverdueFilter(label="Due before today, in UTC, and not done.")


class ItemsOfPostmortemViewSet(Parts):
    """What is to be done so that it does not come again. PATCH /api/v1/action-items/… changes one."""

    queryset = ActionItem.objects.select_related("postmortem__team", "owner")
    serializer_class = ActionItemShape
    ordering = ("id",)
    http_method_names = ["get", "post", "head", "options"]

    @extend_schema(request=NewItemShape, responses={201: ActionItemShape})
    def create(self, request, number):
        """Write down what is to be done. Its owner is told."""
        return self.made(items.add, NewItemShape)


class ActionItemViewSet(Writes, ReadViewSet):
    """Action items of all postmortems that you may see."""

    queryset = ActionItem.objects.select_related("postmortem__team", "owner")
    serializer_class = ActionItemShape
    filterset_class = ActionItemFilters
    ordering = ("-id",)
    lookup_field = "uuid"
    lookup_url_kwarg = "id"
    lookup_value_regex = UUID
    http_method_names = ["get", "patch", "head", "options"]

    change_verb = "read"  # its owner changes it too: see below

    def check_object_permissions(self, request, obj):
        """Its owner changes an item, as those do who may change its postmortem."""
        super().check_object_permissions(request, obj)
        is_change = request.method not in permissions.SAFE_METHODS
        if is_change and obj.owner_id != request.user.pk and not may(request.user, "respond", obj.postmortem):
            self.permission_denied(request, message=RolePermission.message)

    @extend_schema(request=ItemEditShape, responses={200: ActionItemShape})
    def partial_update(self, request, id):
        """Change it, or say how far it is: open, in_progress, completed, cancelled."""
        row = self.get_object()
        row = items.change(row.uuid, **read_body(ItemEditShape, request), **self.caller())
        return Response(self.get_serializer(self.get_queryset().get(pk=row.pk)).data)
