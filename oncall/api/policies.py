"""Escalation policies with their levels."""

from rest_framework import serializers

from accounts.api import PersonField, PersonFilter, TeamField, TeamFilter
from accounts.models import User
from core.rest import SLUG, ConfigureViewSet, Filters, Shape, SluggedShape
from oncall.api.shapes import CALLED_ROLES, ScheduleField
from oncall.models import Duty, EscalationPolicy, Level, NobodyAction, Target

MOST_LEVELS, MOST_TARGETS = 50, 50


class TargetShape(Shape):
    user = PersonField(queryset=User.objects.all(), required=False, allow_null=True)
    schedule = ScheduleField(required=False, allow_null=True)
    role = serializers.ChoiceField(
        CALLED_ROLES, default=Duty.PRIMARY, help_text=Target._meta.get_field("role").help_text
    )

    class Meta:
        model = Target
        fields = ["user", "schedule", "role"]

    def to_representation(self, target):
        shown, user = super().to_representation(target), self.context["request"].user
        # Whom their own policies call, its admins may know.
        if target.schedule and not (user.may("read", target.schedule) or user.may("configure", target)):
            shown["schedule"] = None
        return shown

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
        help_text="In the order in which they are called. Replaced as a whole when given; kept when left out.",
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

    resource = "config"
    queryset = EscalationPolicy.objects.select_related("team", "fallback_user").prefetch_related(
        "levels__targets__user", "levels__targets__schedule"
    )
    serializer_class = PolicyShape
    filterset_class = PolicyFilters
    ordering = ("name",)
    lookup_field = "slug"
    lookup_value_regex = SLUG
    delete_hint = "Give the services another policy first."
