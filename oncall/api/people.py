"""What people say of themselves: time off, and whether they can be called now."""

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers, status
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet, ModelViewSet

from accounts.api import PersonField, PersonFilter, PersonShape, TeamFilter, acting_person
from accounts.models import User
from accounts.permissions import leads_person
from core.errors import NotAllowed
from core.rest import UUID, Edge, Filters, MomentField, Shape
from oncall import scheduling
from oncall.api.shapes import SpanFilters
from oncall.models import Availability, TimeOff


def check_may_speak_for(user, person):
    """Everybody speaks for themselves; admins, and those of a team of the person, for others."""
    if not leads_person(user, person):
        raise NotAllowed(f"Only {person}, an admin of their team or an admin may change this. Ask one of them.")


# --- time off -------------------------------------------------------------------------------------------------


class TimeOffShape(Shape):
    id = serializers.UUIDField(source="uuid", read_only=True)
    user = PersonField(queryset=User.objects.all(), required=False, help_text="Left out: whose key this is.")
    created_by = PersonField(read_only=True)

    class Meta:
        model = TimeOff
        fields = ["id", "user", "start_at", "end_at", "reason", "created_by", "created_at"]
        read_only_fields = ["created_at"]


class TimeOffFilters(SpanFilters):
    user = PersonFilter(label="Email or UUID.")
    team = TeamFilter(field_name="user__memberships__team")


class TimeOffViewSet(Edge, ModelViewSet):
    """Time off, the latest first. Everybody writes down their own; admins, and those of the team, that of others."""

    resource = "oncall"
    change_verb = "read"  # everybody speaks for themselves; `check_may_speak_for` knows about others
    queryset = TimeOff.objects.select_related("user", "created_by")
    serializer_class = TimeOffShape
    filterset_class = TimeOffFilters
    ordering = ("-start_at", "-id")
    lookup_field = "uuid"
    lookup_value_regex = UUID

    def perform_create(self, serializer):
        given = dict(serializer.validated_data)
        given["user"] = given.get("user") or acting_person(self.request)
        check_may_speak_for(self.request.user, given["user"])
        serializer.instance = scheduling.add_time_off(**given, by=self.request.user, now=timezone.now())

    def perform_update(self, serializer):
        row, given = serializer.instance, dict(serializer.validated_data)
        check_may_speak_for(self.request.user, row.user)
        if given.pop("user", row.user) != row.user:
            raise serializers.ValidationError(
                {"user": "Time off stays that of its person. Delete it, and add one for somebody else."}
            )
        scheduling.change_time_off(row.pk, **given, by=self.request.user, now=timezone.now())
        serializer.instance = self.get_queryset().get(pk=row.pk)

    @extend_schema(responses={204: None})
    def destroy(self, request, uuid):
        """Take time off back. What runs ends now, and what is over stays."""
        row = self.get_object()
        check_may_speak_for(request.user, row.user)
        scheduling.remove_time_off(row.pk, by=request.user, now=timezone.now())
        return Response(status=status.HTTP_204_NO_CONTENT)


# --- availability ---------------------------------------------------------------------------------------------


class AvailabilityShape(serializers.Serializer):
    """Whether a person can be called now. When `until_at` has come, they are available again."""

    user = PersonShape(read_only=True)
    status = serializers.ChoiceField(Availability.Status.choices, help_text="“away” needs an end.")
    since_at = MomentField(read_only=True, allow_null=True)
    until_at = MomentField(
        required=False, allow_null=True, help_text="Then the person is available again. Null: no end."
    )
    note = serializers.CharField(max_length=200, required=False, allow_blank=True, help_text="For the others to read.")

    def to_representation(self, user):
        said, now = getattr(user, "availability", None), timezone.now()
        if said and (said.holds(now) or said.status == Availability.Status.AVAILABLE):
            shown = {name: getattr(said, name) for name in ("status", "since_at", "until_at", "note")}
        else:  # nothing was said, or it is over
            since_at = said and said.until_at
            shown = {"status": Availability.Status.AVAILABLE, "since_at": since_at, "until_at": None, "note": ""}
        return super().to_representation({"user": user, **shown})


class AvailabilityFilters(Filters):
    team = TeamFilter(field_name="memberships__team")


class AvailabilityViewSet(Edge, mixins.ListModelMixin, mixins.RetrieveModelMixin, GenericViewSet):
    """Who can be called now, by person. Whoever cannot is skipped while anybody else can be called."""

    resource = "oncall"
    change_verb = "read"
    queryset = User.objects.people().filter(is_active=True).select_related("availability")
    serializer_class = AvailabilityShape
    filterset_class = AvailabilityFilters
    ordering = ("email",)
    lookup_field = "uuid"
    lookup_value_regex = f"(?:me|{UUID})"

    def get_object(self):
        if self.kwargs["uuid"] == "me":
            return self.get_queryset().get(pk=acting_person(self.request).pk)
        return super().get_object()

    def update(self, request, uuid):
        """Say that a person is available, busy, offline, or away until a time. “me” is whose key this is."""
        person = self.get_object()
        check_may_speak_for(request.user, person)
        shape = self.get_serializer(data=request.data)
        shape.is_valid(raise_exception=True)
        scheduling.set_availability(person, **shape.validated_data, now=timezone.now())
        return Response(self.get_serializer(self.get_object()).data)
