"""Schedules with their layers and overrides, and escalation policies with their levels."""

import datetime as dt

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.generics import get_object_or_404
from rest_framework.response import Response

from accounts.api import PersonField, PersonFilter, PersonShape, TeamField, TeamFilter
from accounts.models import User
from core.rest import (
    NUMBER,
    SLUG,
    ConfigureViewSet,
    DayField,
    Filters,
    MomentField,
    NamedField,
    Shape,
    SluggedShape,
    read_query,
)
from oncall import lookup
from oncall.models import EscalationPolicy, Layer, Level, NobodyAction, Override, Participant, Schedule, Target

LONGEST_SPAN = dt.timedelta(days=400)
SHOWN_SPAN = dt.timedelta(days=14)
MOST_LAYERS, MOST_PARTICIPANTS, MOST_LEVELS, MOST_TARGETS = 50, 200, 50, 50
WHOLE_LIST_HELP = "Replaced as a whole when given; kept when left out."


class ScheduleField(NamedField):
    def __init__(self, **kwargs):
        super().__init__(queryset=Schedule.objects.all(), noun="schedule", path="schedules", **kwargs)


# --- schedules ------------------------------------------------------------------------------------------------


class ParticipantField(PersonField):
    def to_representation(self, participant):
        return super().to_representation(participant.user)


class LayerShape(Shape):
    position = serializers.IntegerField(
        min_value=1, max_value=1000, required=False, help_text="The highest wins. Left out: the place in the list."
    )
    start_date = DayField(help_text=Layer._meta.get_field("start_date").help_text)
    participants = serializers.ManyRelatedField(
        child_relation=ParticipantField(queryset=User.objects.all()),
        allow_empty=False,
        error_messages={"empty": "This layer has no participants. Add one, or leave the layer out."},
        help_text="In the order of the rotation.",
    )

    class Meta:
        model = Layer
        fields = ["name", "position", "unit", "every", "start_date", "handoff_time", "ends_at", "participants"]

    def validate_participants(self, people):
        if len(people) > MOST_PARTICIPANTS:
            raise serializers.ValidationError(f"Use at most {MOST_PARTICIPANTS} participants in a layer.")
        return people


class ScheduleShape(SluggedShape):
    team = TeamField()
    layers = LayerShape(many=True, required=False, max_length=MOST_LAYERS, help_text=WHOLE_LIST_HELP)

    class Meta:
        model = Schedule
        fields = ["slug", "name", "team", "time_zone", "description", "layers"]

    def validate_layers(self, layers):
        for number, layer in enumerate(layers, start=1):
            layer.setdefault("position", number)
        positions = [layer["position"] for layer in layers]
        if len(set(positions)) < len(positions):
            raise serializers.ValidationError(
                "Two layers have the same position, so neither wins. Number them differently."
            )
        return layers

    def create(self, validated_data):
        layers = validated_data.pop("layers", ())
        return self._with(super().create(validated_data), layers)

    def update(self, schedule, validated_data):
        layers = validated_data.pop("layers", None)
        return self._with(super().update(schedule, validated_data), layers)

    @staticmethod
    def _with(schedule, layers):
        if layers is not None:
            schedule.layers.all().delete()
            for fields in layers:
                people = fields.pop("participants")
                layer = Layer.objects.create(schedule=schedule, **fields)
                Participant.objects.bulk_create(
                    Participant(layer=layer, user=user, position=place) for place, user in enumerate(people)
                )
        return schedule


class OverrideShape(Shape):
    user = PersonField(queryset=User.objects.filter(is_active=True), help_text="Who takes the span.")
    created_by = PersonField(read_only=True)

    class Meta:
        model = Override
        fields = ["id", "user", "start_at", "end_at", "reason", "created_by"]

    def validate(self, fields):
        if fields["end_at"] <= fields["start_at"]:
            raise serializers.ValidationError({"end_at": "The override ends before it starts. Choose a later end."})
        return fields


class AtQuery(serializers.Serializer):
    at = MomentField(required=False, help_text="Left out: now.")


class SpanQuery(serializers.Serializer):
    start = MomentField(required=False, help_text="Left out: now.")
    end = MomentField(required=False, help_text="Left out: two weeks after the start.")

    def validate(self, fields):
        start = fields.setdefault("start", timezone.now())
        end = fields.setdefault("end", start + SHOWN_SPAN)
        if end <= start:
            raise serializers.ValidationError({"end": "The end is not after the start. Choose a later end."})
        if end - start > LONGEST_SPAN:
            raise serializers.ValidationError({"end": f"Ask for at most {LONGEST_SPAN.days} days at a time."})
        return fields


class OnCallShape(serializers.Serializer):
    """Who is on call in one schedule; `user` is null when nobody is."""

    schedule = serializers.CharField()
    at = MomentField()
    user = PersonShape(allow_null=True)
    why = serializers.CharField()
    until = MomentField(allow_null=True, help_text="Until when this holds at the longest.")


class ShiftShape(serializers.Serializer):
    start_at = MomentField()
    end_at = MomentField()
    user = PersonShape(allow_null=True)
    why = serializers.CharField()


class FinalShape(serializers.Serializer):
    schedule = serializers.CharField()
    start = MomentField()
    end = MomentField()
    shifts = ShiftShape(many=True)


def on_call_shown(schedule, person, people, *, at):
    """An OnCall, or None, as OnCallShape reads it; `people` is `{user id: User}`."""
    return {
        "schedule": schedule.slug,
        "at": at,
        "user": person and people.get(person.user_id),
        "why": person.why if person else f"nobody is on call in {schedule.name}",
        "until": person and person.until,
    }


class ScheduleFilters(Filters):
    team = TeamFilter()


class ScheduleViewSet(ConfigureViewSet):
    queryset = Schedule.objects.select_related("team").prefetch_related("layers__participants__user")
    serializer_class = ScheduleShape
    filterset_class = ScheduleFilters
    ordering = ("name",)
    lookup_field = "slug"
    lookup_value_regex = SLUG
    delete_hint = "Take it out of the policies that call it first."

    @extend_schema(parameters=[AtQuery], responses=OnCallShape)
    @action(detail=True)
    def oncall(self, request, slug):
        """Who is on call, and why."""
        schedule = self.get_object()
        at = read_query(AtQuery, request).get("at") or timezone.now()
        person = lookup.who(schedule, at=at)
        people = User.objects.in_bulk([person.user_id] if person else [])
        return Response(OnCallShape(on_call_shown(schedule, person, people, at=at)).data)

    @extend_schema(parameters=[SpanQuery], responses=FinalShape)
    @action(detail=True)
    def final(self, request, slug):
        """The final schedule: shifts and gaps in order, overrides applied."""
        schedule = self.get_object()
        span = read_query(SpanQuery, request)
        shifts = lookup.final(schedule, **span)
        people = User.objects.in_bulk({shift.user_id for shift in shifts if shift.user_id})
        shown = [
            {"start_at": one.start_at, "end_at": one.end_at, "user": people.get(one.user_id), "why": one.why}
            for one in shifts
        ]
        return Response(FinalShape({"schedule": schedule.slug, **span, "shifts": shown}).data)

    # Whoever responds may take a shift of somebody; the schedule itself stays with the admins.
    @extend_schema(responses=OverrideShape(many=True), filters=False)
    @action(
        detail=True,
        serializer_class=OverrideShape,
        filterset_class=None,
        ordering=("-start_at", "-id"),
        change_verb="respond",
    )
    def overrides(self, request, slug):
        """The overrides of the schedule, the latest first."""
        rows = self._overrides().select_related("user", "created_by")
        return self.get_paginated_response(self.get_serializer(self.paginate_queryset(rows), many=True).data)

    @extend_schema(responses={201: OverrideShape})
    @overrides.mapping.post
    def add_override(self, request, slug):
        """Give a span of the schedule to somebody."""
        shape = self.get_serializer(data=request.data)
        shape.is_valid(raise_exception=True)
        shape.save(schedule=self._schedule(), created_by=request.user)
        return Response(shape.data, status=status.HTTP_201_CREATED)

    @extend_schema(responses={204: None})
    @action(
        detail=True,
        methods=["delete"],
        url_path=f"overrides/(?P<override_id>{NUMBER})",
        change_verb="respond",
        serializer_class=None,
    )
    def remove_override(self, request, slug, override_id):
        """Take an override back: the layers count again."""
        get_object_or_404(self._overrides(), pk=override_id).delete()
        return Response(status=status.HTTP_204_NO_CONTENT)

    def _schedule(self):
        return get_object_or_404(Schedule, slug=self.kwargs["slug"])

    def _overrides(self):
        return Override.objects.filter(schedule=self._schedule())


# --- policies -------------------------------------------------------------------------------------------------


class TargetShape(Shape):
    user = PersonField(queryset=User.objects.all(), required=False, allow_null=True)
    schedule = ScheduleField(required=False, allow_null=True)

    class Meta:
        model = Target
        fields = ["user", "schedule"]

    def validate(self, fields):
        if bool(fields.get("user")) == bool(fields.get("schedule")):
            raise serializers.ValidationError("A target is either a user or a schedule. Give one of the two.")
        return fields


class LevelShape(Shape):
    targets = TargetShape(
        many=True,
        allow_empty=False,
        max_length=MOST_TARGETS,
        error_messages={"empty": "This level calls nobody. Add a user or a schedule, or leave the level out."},
    )

    class Meta:
        model = Level
        fields = ["number", "delay_minutes", "targets"]
        read_only_fields = ["number"]


class PolicyShape(SluggedShape):
    team = TeamField()
    fallback_user = PersonField(queryset=User.objects.all(), required=False, allow_null=True)
    levels = LevelShape(
        many=True,
        required=False,
        max_length=MOST_LEVELS,
        help_text=f"In the order in which they are called. {WHOLE_LIST_HELP}",
    )

    class Meta:
        model = EscalationPolicy
        fields = ["slug", "name", "team", "is_team_default", "repeats", "nobody_action", "fallback_user", "levels"]
        validators = []  # the generated one says "must make a unique set"; `validate` says which policy is in the way

    def validate(self, fields):
        def value(name):
            return fields[name] if name in fields else getattr(self.instance, name, None)

        if value("nobody_action") == NobodyAction.FALLBACK and not value("fallback_user"):
            raise serializers.ValidationError(
                {"fallback_user": "Name the person to page when nobody is on call, or choose another nobody_action."}
            )
        if value("is_team_default"):
            others = EscalationPolicy.objects.filter(team=value("team"), is_team_default=True)
            other = others.exclude(pk=self.instance and self.instance.pk).first()
            if other:
                raise serializers.ValidationError(
                    {"is_team_default": f"“{other.slug}” is the default of this team. Set it to false there first."}
                )
        return fields

    def create(self, validated_data):
        levels = validated_data.pop("levels", ())
        return self._with(super().create(validated_data), levels)

    def update(self, policy, validated_data):
        levels = validated_data.pop("levels", None)
        return self._with(super().update(policy, validated_data), levels)

    @staticmethod
    def _with(policy, levels):
        if levels is not None:
            policy.levels.all().delete()
            for number, fields in enumerate(levels, start=1):
                targets = fields.pop("targets")
                level = Level.objects.create(policy=policy, number=number, **fields)
                Target.objects.bulk_create(Target(level=level, **target) for target in targets)
        return policy


class PolicyFilters(Filters):
    team = TeamFilter()
    user = PersonFilter(field_name="levels__targets__user", distinct=True, label="Policies that name this person.")


class PolicyViewSet(ConfigureViewSet):
    """Escalation policies. A change counts for new incidents: an open one keeps the policy it started with."""

    queryset = EscalationPolicy.objects.select_related("team", "fallback_user").prefetch_related(
        "levels__targets__user", "levels__targets__schedule"
    )
    serializer_class = PolicyShape
    filterset_class = PolicyFilters
    ordering = ("name",)
    lookup_field = "slug"
    lookup_value_regex = SLUG
    delete_hint = "Give the services another policy first."
