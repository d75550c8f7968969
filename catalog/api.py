"""Services, and who is on call now, for teams and for a service."""

from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_serializer
from rest_framework import serializers
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from accounts.api import PersonShape, TeamField, TeamFilter
from accounts.models import Team, User
from catalog.models import Service
from catalog.policies import copies_for
from core.rest import (
    SLUG,
    ConfigureViewSet,
    Edge,
    Filters,
    MomentField,
    NamedField,
    NameFilter,
    SluggedShape,
    WordsFilter,
    read_query,
)
from oncall import chain, lookup
from oncall.api import AtQuery, OnCallShape, on_call_shown
from oncall.models import EscalationPolicy


class ServiceField(NamedField):
    def __init__(self, **kwargs):
        super().__init__(queryset=Service.objects.all(), noun="service", path="services", **kwargs)


class ServiceFilter(NameFilter):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, model=Service, noun="service", path="services", **kwargs)


class ServiceShape(SluggedShape):
    team = TeamField()
    policy = NamedField(
        queryset=EscalationPolicy.objects.all(),
        noun="policy",
        path="policies",
        required=False,
        allow_null=True,
        help_text=Service._meta.get_field("policy").help_text,
    )

    class Meta:
        model = Service
        fields = [
            "slug",
            "name",
            "description",
            "team",
            "policy",
            "lifecycle",
            "tier",
            "correlation_window_seconds",
            "routing_key",
            "created_at",
        ]
        read_only_fields = ["routing_key", "created_at"]


class ServiceFilters(Filters):
    team = TeamFilter()
    lifecycle = WordsFilter(choices=Service.Lifecycle.choices)
    policy = NameFilter(model=EscalationPolicy, noun="policy", path="policies")


class ServiceViewSet(ConfigureViewSet):
    queryset = Service.objects.select_related("team", "policy")
    serializer_class = ServiceShape
    filterset_class = ServiceFilters
    ordering = ("name",)
    lookup_field = "slug"
    lookup_value_regex = SLUG
    delete_hint = "Set its lifecycle to archived instead."


class CurrentQuery(AtQuery):
    team = TeamField(required=False)
    service = ServiceField(required=False)


class TeamOnCallShape(serializers.Serializer):
    team = serializers.CharField()
    schedules = OnCallShape(many=True)


class CalledShape(serializers.Serializer):
    """Whom a target means now; `user` is null when it means nobody, and `why` says so."""

    target = serializers.CharField()
    user = PersonShape(allow_null=True)
    why = serializers.CharField()


class CalledLevelShape(serializers.Serializer):
    number = serializers.IntegerField()
    delay_minutes = serializers.IntegerField()
    calls = CalledShape(many=True)


class ServiceOnCallShape(serializers.Serializer):
    service = serializers.CharField()
    policy = serializers.CharField(allow_null=True, help_text="Null: nobody would be called.")
    levels = CalledLevelShape(many=True)


@extend_schema_serializer(many=False)
class CurrentShape(serializers.Serializer):
    at = MomentField()
    teams = TeamOnCallShape(many=True)
    service = ServiceOnCallShape(allow_null=True)


class CurrentOnCall(Edge, ViewSet):
    pagination_class = None

    @extend_schema(operation_id="oncall_current", parameters=[CurrentQuery], responses=CurrentShape)
    def list(self, request):
        """Who is on call: per team and schedule, and for a service level by level, with the reasons.

        Without `team` all teams with schedules are shown, unless a `service` is asked for.
        """
        query = read_query(CurrentQuery, request)
        at = query.get("at") or timezone.now()
        team, service = query.get("team"), query.get("service")
        teams = Team.objects.filter(pk=team.pk) if team else Team.objects.all()
        if service and not team:
            teams = teams.none()
        answer = {"at": at, "teams": _teams(teams, at), "service": service and _service(service, at)}
        return Response(CurrentShape(answer).data)


def _teams(teams, at):
    found = lookup.teams_now(at=at, teams=teams)
    people = User.objects.in_bulk({one.user_id for _, schedules in found for _, one in schedules if one})
    return [
        {
            "team": team.slug,
            "schedules": [on_call_shown(schedule, one, people, at=at) for schedule, one in schedules],
        }
        for team, schedules in found
    ]


def _service(service, at):
    policy = copies_for([service])[service.pk]
    called = chain.resolve([policy], at=at)
    levels = [
        {**level, "calls": [(target, called(target)) for target in level["targets"]]}
        for level in policy.get("levels", ())
    ]
    people = User.objects.in_bulk({one.user_id for level in levels for _, one in level["calls"] if one.user_id})
    for level in levels:
        level["calls"] = [
            {"target": target["name"], "user": people.get(one.user_id), "why": one.why}
            for target, one in level["calls"]
        ]
    return {"service": service.slug, "policy": policy.get("name"), "levels": levels}
