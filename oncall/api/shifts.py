"""Fixed shifts: who has a span written down; and the shift before and after a time."""

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.response import Response
from rest_framework.viewsets import ModelViewSet

from accounts.api import PersonField, PersonFilter, PersonShape, TeamField, TeamFilter
from accounts.models import User
from core.rest import UUID, Edge, MomentField, Shape, WordsFilter, read_query
from oncall import lookup, scheduling
from oncall.api.shapes import AtQuery, OriginField, ScheduleField, ScheduleFilter, SpanFilters, renamed
from oncall.models import Duty, FixedShift, Schedule


class TeamOfScheduleField(TeamField):
    def get_attribute(self, row):
        return row.schedule.team


class FixedShiftShape(Shape):
    id = serializers.UUIDField(source="uuid", read_only=True)
    schedule = ScheduleField(required=False, help_text="A shift stays in its schedule.")
    team = TeamOfScheduleField(required=False, help_text="Instead of the schedule, where the team has only one.")
    user = PersonField(queryset=User.objects.all())
    priority = serializers.ChoiceField(Duty.choices, source="role", default=Duty.PRIMARY)
    calendar = OriginField(
        help_text="The imported calendar that it comes from, or null. Such a shift is changed there."
    )
    created_by = PersonField(read_only=True)

    class Meta:
        model = FixedShift
        fields = [
            "id",
            "schedule",
            "team",
            "user",
            "priority",
            "start_at",
            "end_at",
            "note",
            "calendar",
            "created_by",
            "created_at",
        ]
        read_only_fields = ["created_at"]

    def validate(self, fields):
        team = fields.pop("team", None)
        schedule = fields.get("schedule") or (self.instance and self.instance.schedule) or _only_schedule(team)
        if self.instance and schedule != self.instance.schedule:
            raise serializers.ValidationError(
                {"schedule": "A shift stays in its schedule. Delete it, and add one to the other schedule."}
            )
        if team and team != schedule.team:
            raise serializers.ValidationError(
                {"team": f"The schedule “{schedule.slug}” is of the team “{schedule.team.slug}”. Leave the team out."}
            )
        return {**fields, "schedule": schedule}


def _only_schedule(team):
    """The schedule that is meant where only a team is given."""
    if team is None:
        raise serializers.ValidationError(
            {"schedule": "Name the schedule, or the team if it has only one. GET /api/v1/schedules lists them."}
        )
    found = list(Schedule.objects.filter(team=team).select_related("team").order_by("name"))
    if len(found) == 1:
        return found[0]
    if not found:
        raise serializers.ValidationError({"team": f"The team “{team.slug}” has no schedule. Make one first."})
    slugs = ", ".join(one.slug for one in found[:10])
    raise serializers.ValidationError(
        {"team": f"The team “{team.slug}” has {len(found)} schedules. Name one as “schedule”: {slugs}."}
    )


class FixedShiftFilters(SpanFilters):
    team = TeamFilter(field_name="schedule__team")
    schedule = ScheduleFilter()
    user = PersonFilter(label="Email or UUID.")
    priority = WordsFilter(field_name="role", choices=Duty.choices)


class NeighbourQuery(AtQuery):
    user = PersonField(queryset=User.objects.all(), required=False, help_text="Left out: whose key this is.")


class NeighbourShape(serializers.Serializer):
    """A shift of one person; without one all but `user` is null."""

    user = PersonShape()
    schedule = serializers.CharField(allow_null=True)
    role = serializers.ChoiceField(Duty.choices, allow_null=True)
    start_at = MomentField(allow_null=True)
    end_at = MomentField(allow_null=True)
    why = serializers.CharField(allow_null=True)


class FixedShiftViewSet(Edge, ModelViewSet):
    """Fixed shifts, the latest first: spans written down for one person, on top of the rotations.

    Whoever responds may change them. Those of an imported calendar are changed there.
    """

    resource = "oncall"
    queryset = FixedShift.objects.select_related("schedule__team", "user", "calendar", "created_by")
    serializer_class = FixedShiftShape
    filterset_class = FixedShiftFilters
    ordering = ("-start_at", "-id")
    lookup_field = "uuid"
    lookup_value_regex = UUID

    def perform_create(self, serializer):
        given = dict(serializer.validated_data)
        with renamed(role="priority"):
            made = self.do(
                scheduling.add_fixed_shift, given.pop("schedule").pk, **given, by=self.request.user, now=timezone.now()
            )
        serializer.instance = self.get_queryset().get(pk=made.pk)

    def perform_update(self, serializer):
        given = dict(serializer.validated_data)
        given.pop("schedule")
        with renamed(role="priority"):
            scheduling.change_fixed_shift(serializer.instance.pk, **given, by=self.request.user, now=timezone.now())
        serializer.instance = self.get_queryset().get(pk=serializer.instance.pk)

    @extend_schema(responses={204: None})
    def destroy(self, request, uuid):
        """Take a shift back. One that runs ends now, and one that is over stays."""
        scheduling.remove_fixed_shift(self.get_object().pk, by=request.user, now=timezone.now())
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(parameters=[NeighbourQuery], responses=NeighbourShape, filters=False)
    @action(detail=False, pagination_class=None, filterset_class=None)
    def next(self, request):
        """The first shift of a person that starts after a time, in all schedules, within 120 days."""
        return self._neighbour(lambda user, at: lookup.next_shift(user.pk, after=at))

    @extend_schema(parameters=[NeighbourQuery], responses=NeighbourShape, filters=False)
    @action(detail=False, pagination_class=None, filterset_class=None)
    def previous(self, request):
        """The last shift of a person that ended by a time, in all schedules, within 120 days."""
        return self._neighbour(lambda user, at: lookup.previous_shift(user.pk, before=at))

    def _neighbour(self, look):
        query = read_query(NeighbourQuery, self.request)
        user = query.get("user") or self.request.user
        found = look(user, query.get("at") or timezone.now())
        shown = dict.fromkeys(("schedule", "role", "start_at", "end_at", "why")) | {"user": user}
        if found:
            schedule_id, shift = found
            shown |= {
                "schedule": Schedule.objects.values_list("slug", flat=True).get(pk=schedule_id),
                "role": shift.person.role,
                "start_at": shift.start_at,
                "end_at": shift.end_at,
                "why": shift.person.why,
            }
        return Response(NeighbourShape(shown).data)
