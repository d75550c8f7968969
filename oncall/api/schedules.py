"""Schedules with their layers, what they answer, and their overrides."""

import datetime as dt

from django.db.models import Prefetch, Q
from django.utils import timezone
from drf_spectacular.extensions import OpenApiSerializerFieldExtension
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.response import Response

from accounts.api import PersonField, PersonShape, TeamField, TeamFilter
from accounts.models import User
from core.rest import (
    SLUG,
    ConfigureViewSet,
    Conflict,
    DayField,
    Filters,
    MomentField,
    Shape,
    SluggedShape,
    read_query,
)
from oncall import layers as verbs
from oncall import lookup, reports, scheduling, shifts
from oncall.api.shapes import (
    AtQuery,
    FinalShape,
    OnCallShape,
    RoleSpanQuery,
    SpanQuery,
    SpanShape,
    on_call_shown,
    people_shown,
    schedule_of,
    spans_shown,
)
from oncall.layers import MOST_IN_A_SLOT, MOST_LAYERS, MOST_RESTRICTIONS, MOST_SLOTS
from oncall.models import Duty, EscalationPolicy, Layer, Override, Restriction, Schedule, Weekday
from oncall.models.schedules import check_zone

WEEKDAYS = [(day.label.lower(), day.label) for day in Weekday]
PREVIEWED = dt.timedelta(days=28)


# --- layers ---------------------------------------------------------------------------------------------------


class SlotsField(serializers.Field):
    """The slots of a rotation in order: a person, a list of people who share the slot, or an empty list for nobody."""

    default_error_messages = {
        "not_a_list": "Give a list of people, in the order of the rotation.",
        "too_many": f"Use at most {MOST_SLOTS} slots in a layer, and {MOST_IN_A_SLOT} people in one of them.",
    }

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.person = PersonField(queryset=User.objects.all())

    def to_internal_value(self, data):
        if not isinstance(data, list):
            self.fail("not_a_list")
        slots = [one if isinstance(one, list) else [] if one is None else [one] for one in data]
        if len(slots) > MOST_SLOTS or any(len(slot) > MOST_IN_A_SLOT for slot in slots):
            self.fail("too_many")
        return [[self.person.to_internal_value(one) for one in slot] for slot in slots]

    def to_representation(self, participants):
        slots = {}
        for one in participants.all():
            slots.setdefault(one.position, []).extend([one.user] if one.user else [])
        shown = [[self.person.to_representation(user) for user in slots[position]] for position in sorted(slots)]
        return [slot[0] if len(slot) == 1 else slot for slot in shown]


class SlotsFieldSchema(OpenApiSerializerFieldExtension):
    target_class = SlotsField

    def map_serializer_field(self, auto_schema, direction):
        person = auto_schema.resolve_serializer(PersonShape, "response").ref
        if direction == "request":
            given = {"type": "string", "description": "An email or UUID.", "example": "alice@example.com"}
            person = {"oneOf": [given, person]}
        return {"type": "array", "items": {"oneOf": [person, {"type": "array", "items": person}]}}


class WeekdayField(serializers.ChoiceField):
    """A day of the week as a word."""

    def __init__(self, **kwargs):
        kwargs.pop("choices", None)
        super().__init__(WEEKDAYS, **kwargs)

    def to_internal_value(self, data):
        return Weekday[super().to_internal_value(data).upper()].value

    def to_representation(self, day):
        return Weekday(day).label.lower()


class RestrictionShape(Shape):
    """A weekly window in which the layer holds."""

    days = serializers.ListField(
        child=WeekdayField(),
        max_length=7,
        allow_empty=False,
        error_messages={"empty": "Choose the days on which the window opens."},
        help_text="On which it opens: monday, tuesday …",
    )
    until_day = WeekdayField(
        required=False, allow_null=True, help_text=Restriction._meta.get_field("until_day").help_text
    )

    class Meta:
        model = Restriction
        fields = ["days", "start_time", "end_time", "until_day"]

    def validate(self, fields):
        fields["days"] = sorted(set(fields["days"]))
        Restriction(**fields).clean()
        return fields


class LayerShape(Shape):
    id = serializers.UUIDField(
        source="uuid",
        required=False,
        help_text="Of the running layer that this changes. Left out: the one of this role and position, or a new one.",
    )
    position = serializers.IntegerField(
        min_value=1, max_value=1000, required=False, help_text="The highest wins. Left out: the place in the list."
    )
    every = serializers.IntegerField(
        min_value=1,
        max_value=365,
        required=False,
        error_messages=dict.fromkeys(("min_value", "max_value"), verbs.SENTENCES["every"]),
        help_text=Layer._meta.get_field("every").help_text,
    )
    start_date = DayField(help_text=Layer._meta.get_field("start_date").help_text)
    first_slot = serializers.IntegerField(
        min_value=0, max_value=MOST_SLOTS, required=False, help_text=Layer._meta.get_field("first_slot").help_text
    )
    participants = SlotsField(
        help_text="In the order of the rotation: each a person, a list of people who share the slot, or an empty list."
    )
    restrictions = RestrictionShape(many=True, required=False, max_length=MOST_RESTRICTIONS)

    class Meta:
        model = Layer
        fields = [
            "id",
            "name",
            "position",
            "role",
            "unit",
            "every",
            "rule",
            "start_date",
            "handoff_time",
            "time_zone",
            "first_slot",
            "starts_at",
            "ends_at",
            "participants",
            "restrictions",
        ]


def layer_list(**kwargs):
    return LayerShape(many=True, max_length=MOST_LAYERS, **kwargs)


DRAFTED = ("name", "role", "unit", "every", "rule", "handoff_time", "time_zone", "first_slot", "starts_at", "ends_at")


def drafts_of(schedule, layers, *, now):
    """The LayerDrafts that a written list of layers means; each knows the running layer that it changes.

    Raises a ValidationError with the sentences of everything that is wrong, at the layer where it is.
    """
    running = list(Layer.objects.filter(schedule=schedule).running(now).order_by("position", "id"))
    by_id = {one.uuid: one for one in running}
    named = {fields["uuid"] for fields in layers if "uuid" in fields}
    by_place = {}
    for one in running:
        if one.uuid not in named:
            by_place.setdefault((one.role, one.position), one)  # where another follows later, that one is replaced
    drafts, errors = [], {}
    for index, fields in enumerate(layers):
        values = {name: fields.get(name, Layer._meta.get_field(name).get_default()) for name in DRAFTED}
        position = fields.get("position", index + 1)
        layer = by_id.pop(fields["uuid"], None) if "uuid" in fields else by_place.pop((values["role"], position), None)
        if layer is None and "uuid" in fields:
            sentence = "There is no running layer with this id, or it stands here twice. Leave it out for a new layer."
            errors[index] = {"id": [sentence]}
        if layer is not None and "starts_at" not in fields:
            values["starts_at"] = layer.starts_at
        draft = verbs.LayerDraft(
            **values,
            position=position,
            start_date=fields["start_date"],
            slots=fields["participants"],
            restrictions=[Restriction(**one) for one in fields.get("restrictions", ())],
            layer=layer,
        )
        if layer is not None and "first_slot" not in fields and draft.hands_over_like(layer):
            # Whoever is on turn stays: the same request twice must not change who is on call.
            draft.first_slot = layer.first_slot
        drafts.append(draft)
    for index, wrong in verbs.problems(schedule, drafts, now=now).items():
        for name, sentences in wrong.items():
            name = {"slots": "participants", "": "non_field_errors"}.get(name, name)
            errors.setdefault(index, {}).setdefault(name, []).extend(sentences)
    if errors:
        raise serializers.ValidationError({"layers": errors})
    return drafts


# --- schedules ------------------------------------------------------------------------------------------------


class ScheduleShape(SluggedShape):
    team = TeamField()
    layers = layer_list(
        required=False,
        help_text="Those that run now or will. Replaced as a whole when given, from now on; kept when left out.",
    )

    class Meta:
        model = Schedule
        fields = [
            "slug",
            "name",
            "team",
            "time_zone",
            "description",
            "skips_time_off",
            "swaps_need_approval",
            "sends_handoff_notices",
            "notice_minutes",
            "layers",
        ]

    def create(self, validated_data):
        layers = validated_data.pop("layers", None)
        return self._with(super().create(validated_data), layers)

    def update(self, schedule, validated_data):
        layers = validated_data.pop("layers", None)
        # Shifts of the past keep the zone they were in, so the schedule's own changes last.
        zone = validated_data.pop("time_zone", schedule.time_zone)
        return self._with(super().update(schedule, validated_data), layers, zone)

    def _with(self, schedule, layers, zone=None):
        by, now = self.context["request"].user, timezone.now()
        if layers is not None:
            verbs.change_layers(schedule.pk, drafts_of(schedule, layers, now=now), by=by, now=now)
        if zone and zone != schedule.time_zone:
            verbs.change_zone(schedule.pk, zone, by=by, now=now)
        scheduling.changed([schedule.pk], now=now)
        return schedule


class PreviewQuery(serializers.Serializer):
    """Layers as they would be written, and from when to show them."""

    layers = layer_list()
    time_zone = serializers.CharField(
        max_length=64, required=False, validators=[check_zone], help_text="Left out: that of the schedule."
    )
    start = MomentField(required=False, help_text="Left out: now.")


class RoleSpansShape(serializers.Serializer):
    role = serializers.ChoiceField(Duty.choices)
    shifts = SpanShape(many=True)


class PreviewShape(serializers.Serializer):
    schedule = serializers.CharField()
    start = MomentField()
    end = MomentField()
    roles = RoleSpansShape(many=True, help_text="The final schedule of each role that has anybody, and of primary.")


class ProblemInCoverageShape(serializers.Serializer):
    kind = serializers.CharField(
        help_text="gap, overlap, double booking, time off, empty slot, unreachable, deactivated, overload or uneven."
    )
    text = serializers.CharField()
    start_at = MomentField()
    end_at = MomentField()
    schedule = serializers.CharField(allow_null=True)
    role = serializers.CharField(allow_blank=True)
    user = PersonShape(allow_null=True)


class LoadShape(serializers.Serializer):
    """What one person carries in the span, in hours; `shifts` counts their shifts."""

    user = PersonShape(allow_null=True)
    hours = serializers.FloatField()
    night_hours = serializers.FloatField()
    weekend_hours = serializers.FloatField()
    holiday_hours = serializers.FloatField()
    shifts = serializers.IntegerField()


class CounterExampleShape(serializers.Serializer):
    """A span in which a policy reaches nobody, and why at each level."""

    start_at = MomentField()
    end_at = MomentField()
    reasons = serializers.ListField(child=serializers.CharField())


class ProofShape(serializers.Serializer):
    """Whether each moment of the span has a person at some level of the policy who can be reached."""

    policy = serializers.CharField()
    is_covered = serializers.BooleanField()
    counter_examples = CounterExampleShape(many=True)


class CoverageShape(serializers.Serializer):
    schedule = serializers.CharField()
    start = MomentField()
    end = MomentField()
    problems = ProblemInCoverageShape(many=True)
    loads = LoadShape(many=True, help_text="The heaviest first.")
    proofs = ProofShape(many=True, help_text="Of the policies that call this schedule.")


class ScheduleFilters(Filters):
    team = TeamFilter()


class ScheduleViewSet(ConfigureViewSet):
    """Schedules. A change of layers counts from now on: what ran so far ends, and the past stays as it was."""

    resource = "oncall"
    sentences = ("text", "why", "reasons")
    queryset = Schedule.objects.select_related("team")
    serializer_class = ScheduleShape
    filterset_class = ScheduleFilters
    ordering = ("name",)
    lookup_field = "slug"
    lookup_value_regex = SLUG
    delete_hint = "Take it out of the policies that call it first."

    def get_queryset(self):
        running = _whole(Layer.objects.running(timezone.now()))
        return super().get_queryset().prefetch_related(Prefetch("layers", queryset=running))

    def perform_create(self, serializer):
        super().perform_create(serializer)
        self._read_again(serializer)

    def perform_update(self, serializer):
        super().perform_update(serializer)
        self._read_again(serializer)

    def perform_destroy(self, schedule):
        swapped = Q(offer__request__schedule=schedule) | Q(offer__return_schedule=schedule)
        if Override.objects.filter(swapped).exists():
            raise Conflict(
                f"Shifts of {schedule} were swapped, and history does not change, so it stays. "
                "Write an empty list of layers instead."
            )
        super().perform_destroy(schedule)

    def _read_again(self, serializer):
        """What is answered are the layers that run now, not those that were written."""
        serializer.instance = self.get_queryset().get(pk=serializer.instance.pk)

    @extend_schema(responses=LayerShape(many=True), filters=False)
    @action(detail=True, filterset_class=None, serializer_class=LayerShape, ordering=("position", "id"))
    def layers(self, request, slug):
        """All layers, with those that a change has ended."""
        rows = _whole(Layer.objects.filter(schedule=self._schedule()))
        return self.get_paginated_response(LayerShape(self.paginate_queryset(rows), many=True).data)

    @extend_schema(parameters=[AtQuery], responses=OnCallShape)
    @action(detail=True)
    def oncall(self, request, slug):
        """Who is on call in each role, why, and until when."""
        schedule = self._schedule()
        at = read_query(AtQuery, request).get("at") or timezone.now()
        people = people_shown(lookup.who(schedule, at=at))
        return Response(OnCallShape(on_call_shown(schedule, people, at=at)).data)

    @extend_schema(parameters=[RoleSpanQuery], responses=FinalShape)
    @action(detail=True)
    def final(self, request, slug):
        """The final schedule of one role: shifts and gaps in order, with everything applied."""
        schedule = self._schedule()
        query = read_query(RoleSpanQuery, request)
        role = query["role"]
        shown = spans_shown(schedule, {role: lookup.final(schedule, **query)})
        return Response(FinalShape({"schedule": schedule.slug, **query, "shifts": shown[role]}).data)

    @extend_schema(parameters=[SpanQuery], responses=CoverageShape)
    @action(detail=True)
    def coverage(self, request, slug):
        """What is wrong in a span, who carries how much, and whether the policies always reach somebody."""
        schedule = self._schedule()
        span = read_query(SpanQuery, request)
        now = timezone.now()
        policies = request.user.visible(EscalationPolicy.objects.filter(levels__targets__schedule=schedule))
        policies = policies.distinct().order_by("name")
        slugs = dict(policies.values_list("pk", "slug"))
        report = reports.of_schedules([schedule.pk], **span, now=now)
        proofs = reports.proof(list(slugs), **span, now=now)
        people = User.objects.in_bulk({one.user_id for one in (*report.problems, *report.loads)} - {None})
        shown = {
            "schedule": schedule.slug,
            **span,
            "problems": [
                {
                    "kind": one.kind,
                    "text": one.text,
                    "start_at": one.start_at,
                    "end_at": one.end_at,
                    "schedule": one.schedule_id and schedule.slug,
                    "role": one.role,
                    "user": people.get(one.user_id),
                }
                for one in report.problems
            ],
            "loads": [
                {
                    "user": people.get(one.user_id),
                    "hours": one.hours,
                    "night_hours": one.night_hours,
                    "weekend_hours": one.weekend_hours,
                    "holiday_hours": one.holiday_hours,
                    "shifts": one.shifts,
                }
                for one in report.loads
            ],
            "proofs": [
                {
                    "policy": slugs[one.policy_id],
                    "is_covered": one.is_covered,
                    "counter_examples": [
                        {"start_at": each.start_at, "end_at": each.end_at, "reasons": each.reasons}
                        for each in one.counter_examples
                    ],
                }
                for one in proofs
            ],
        }
        return Response(CoverageShape(shown).data)

    # Looking is for everybody: nothing is saved.
    @extend_schema(request=PreviewQuery, responses=PreviewShape)
    @action(detail=True, methods=["post"], change_verb="read", serializer_class=PreviewQuery)
    def preview(self, request, slug):
        """The final schedule of the next four weeks if these were its layers. Nothing is saved."""
        schedule = self._schedule()
        query = self.get_serializer(data=request.data)
        query.is_valid(raise_exception=True)
        given = query.validated_data
        now = timezone.now()
        schedule.time_zone = given.get("time_zone", schedule.time_zone)
        drafts = drafts_of(schedule, given["layers"], now=now)
        start = given.get("start", now)
        end = start + PREVIEWED
        spans = spans_shown(schedule, verbs.preview(schedule, drafts, start=start, end=end, now=now))
        roles = [
            {"role": role, "shifts": spans[role]}
            for role in shifts.ROLES
            if role in spans and (role == shifts.PRIMARY or any(one["people"] for one in spans[role]))
        ]
        return Response(PreviewShape({"schedule": schedule.slug, "start": start, "end": end, "roles": roles}).data)

    def _schedule(self):
        return schedule_of(self)


def _whole(layers):
    return layers.prefetch_related("participants__user", "restrictions").order_by("position", "id")
