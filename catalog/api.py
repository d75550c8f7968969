"""Services, and who is on call now, for teams and for a service."""

from django.utils import timezone
from django.utils.functional import cached_property
from drf_spectacular.utils import extend_schema, extend_schema_field, extend_schema_serializer
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.exceptions import NotFound
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from accounts.api import PersonField, PersonShape, TeamField, TeamFilter
from accounts.models import User
from catalog import dependencies, policies, state
from catalog.models import RESERVED, Dependency, Link, Service
from catalog.picture import Picture
from catalog.state import CHOICES as STATES
from core.rest import (
    NUMBER,
    SLUG,
    ConfigureViewSet,
    Edge,
    Filters,
    MomentField,
    NamedField,
    NameFilter,
    Shape,
    SluggedShape,
    WordsFilter,
    read_body,
    read_query,
)
from notifications.api import SendShape, SentShape, tell
from oncall import lookup, shifts
from oncall.api import (
    AtQuery,
    OnCallPersonShape,
    OnCallShape,
    ScheduleField,
    first_called,
    on_call_shown,
    people_shown,
)
from oncall.models import Duty, EscalationPolicy, Schedule


class ServiceField(NamedField):
    def __init__(self, **kwargs):
        super().__init__(queryset=Service.objects.all(), noun="service", path="services", **kwargs)


class ServiceFilter(NameFilter):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, model=Service, noun="service", path="services", **kwargs)


class ServiceShape(SluggedShape):
    reserved_slugs = RESERVED
    team = TeamField()
    policy = NamedField(
        queryset=EscalationPolicy.objects.all(),
        noun="policy",
        path="policies",
        required=False,
        allow_null=True,
        help_text=Service._meta.get_field("policy").help_text,
    )
    state = serializers.SerializerMethodField(
        help_text="The worst severity of its open incidents; else maintenance, fine."
    )
    open_incidents = serializers.SerializerMethodField(help_text="How many, of those that you may see.")

    @extend_schema_field(serializers.ChoiceField(choices=STATES))
    def get_state(self, service):
        return self._state_of(service).word

    @extend_schema_field(serializers.IntegerField())
    def get_open_incidents(self, service):
        return self._state_of(service).open_count

    def _state_of(self, service):
        if "state_of" not in self.context:  # one answer for all rows of the page
            self.context["state_of"] = state.of(self.context["request"].user, now=timezone.now())
        return self.context["state_of"](service.pk)

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
            "state",
            "open_incidents",
        ]
        read_only_fields = ["routing_key", "created_at"]


class GraphQuery(serializers.Serializer):
    around = ServiceField(required=False, help_text="The slug of a service: only its neighbourhood.")
    depth = serializers.IntegerField(min_value=1, max_value=10, default=1)


class NodeShape(serializers.Serializer):
    slug = serializers.CharField()
    name = serializers.CharField()
    team = serializers.CharField()
    team_name = serializers.CharField()
    tier = serializers.IntegerField()
    state = serializers.ChoiceField(choices=STATES)
    open_incidents = serializers.IntegerField()
    in_maintenance = serializers.BooleanField()
    troubled_by = serializers.ListField(
        child=serializers.CharField(), help_text="The services in trouble that it needs, also indirectly."
    )


class EdgeShape(serializers.Serializer):
    service = serializers.CharField(help_text="The one that needs the other.")
    needs = serializers.CharField()
    holds_alerts = serializers.BooleanField()


class GraphShape(serializers.Serializer):
    nodes = NodeShape(many=True)
    edges = EdgeShape(many=True)


class ServiceFilters(Filters):
    team = TeamFilter()
    lifecycle = WordsFilter(choices=Service.Lifecycle.choices)
    policy = NameFilter(model=EscalationPolicy, noun="policy", path="policies")


class ServiceViewSet(ConfigureViewSet):
    resource = "catalog"
    queryset = Service.objects.select_related("team", "policy")
    serializer_class = ServiceShape
    filterset_class = ServiceFilters
    ordering = ("name",)
    lookup_field = "slug"
    lookup_value_regex = SLUG
    delete_hint = "Set its lifecycle to archived instead."

    @extend_schema(operation_id="services_graph", parameters=[GraphQuery], responses=GraphShape)
    @action(detail=False, pagination_class=None, filterset_class=None)
    def graph(self, request):
        """The services that are not archived, which needs which, and how each is now.

        With `around`, only its neighbourhood: what it needs and what needs it within `depth` steps.
        """
        query = read_query(GraphQuery, request)
        picture = Picture(request.user, now=timezone.now())
        keep = picture.around(query["around"].pk, query["depth"]) if query.get("around") else None
        return Response(GraphShape(picture.data(keep)).data)


class LinkShape(Shape):
    class Meta:
        model = Link
        fields = ["id", "kind", "label", "url"]

    def validate_url(self, url):
        rows = Link.objects.filter(service=self.context["service"], url=url)
        if rows.exclude(pk=self.instance and self.instance.pk).exists():
            raise serializers.ValidationError("The service has a link to this address already. Change that one.")
        return url

    def create(self, validated_data):
        return super().create({"service": self.context["service"], **validated_data})


class LinkViewSet(ConfigureViewSet):
    """The runbooks, dashboards and other links of a service."""

    resource = "catalog"
    queryset = Link.objects.select_related("service")
    serializer_class = LinkShape
    ordering = ("id",)
    lookup_value_regex = NUMBER
    http_method_names = ["get", "post", "patch", "delete", "head", "options"]

    @cached_property
    def service(self):
        rows = self.request.user.visible(Service.objects.select_related("team"))
        found = rows.filter(slug=self.kwargs["slug"]).first()
        if found is None:
            raise NotFound(f"There is no service “{self.kwargs['slug']}”. GET /api/v1/services lists them.")
        return found

    def get_queryset(self):
        return super().get_queryset().filter(service=self.service)

    def get_serializer_context(self):
        context = super().get_serializer_context()
        is_schema = getattr(self, "swagger_fake_view", False)
        return context if is_schema else {**context, "service": self.service}


class DependencyShape(Shape):
    service = ServiceField(help_text="The one that needs the other.")
    needs = ServiceField(help_text="The one it cannot work without.")

    class Meta:
        model = Dependency
        fields = ["id", "service", "needs", "holds_alerts", "note"]
        validators = []  # what is there already gets the new values


class DependencyFilters(Filters):
    service = ServiceFilter()
    needs = ServiceFilter()


class DependencyViewSet(ConfigureViewSet):
    """Which service needs which. A circle is refused, with its names."""

    resource = "catalog"
    queryset = Dependency.objects.select_related("service", "needs")
    serializer_class = DependencyShape
    filterset_class = DependencyFilters
    ordering = ("id",)
    lookup_value_regex = NUMBER
    http_method_names = ["get", "post", "delete", "head", "options"]

    def perform_create(self, serializer):
        serializer.instance = self.do(dependencies.add, **serializer.validated_data, now=timezone.now())

    def perform_destroy(self, instance):
        dependencies.remove(instance, now=timezone.now())


# --- who is on call -------------------------------------------------------------------------------------------


class CurrentQuery(AtQuery):
    team = TeamField(required=False)
    service = ServiceField(required=False)


class TeamOnCallShape(serializers.Serializer):
    team = serializers.CharField()
    schedules = OnCallShape(many=True)


class CalledShape(OnCallPersonShape):
    """Somebody whom a target means; `user` is null when it means nobody, and `unavailable` says so."""

    target = serializers.CharField(help_text="The person or the schedule that the policy names.")
    user = PersonShape(allow_null=True)


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


# What tells who is on call: why, by which policy, and what its targets are called.
ON_CALL = ("why", "unavailable", "target", "policy")


class CurrentOnCall(Edge, ViewSet):
    resource = "oncall"
    sentences = ON_CALL
    pagination_class = None

    @extend_schema(operation_id="oncall_current", parameters=[CurrentQuery], responses=CurrentShape)
    def list(self, request):
        """Who is on call: per team and schedule, and for a service level by level, with the reasons.

        Without `team` all teams with schedules are shown, unless a `service` is asked for.
        """
        query, at = _read(CurrentQuery, request)
        team, service = query.get("team"), query.get("service")
        schedules = request.user.visible(Schedule.objects.filter(team=team) if team else Schedule.objects.all())
        if service and not team:
            schedules = schedules.none()
        teams = {}
        for one, shown in _schedules(schedules, at=at):
            teams.setdefault(one.team.slug, []).append(shown)
        answer = {
            "at": at,
            "teams": [{"team": slug, "schedules": found} for slug, found in teams.items()],
            "service": service and _service(service, at),
        }
        return Response(CurrentShape(answer).data)


class SubjectQuery(AtQuery):
    """Exactly one of those that a subclass names."""

    team = TeamField(required=False)
    service = ServiceField(required=False)

    def validate(self, fields):
        names = [name for name in self.fields if name != "at"]
        if sum(name in fields for name in names) != 1:
            listed = f"{', '.join(names[:-1])} or {names[-1]}"
            raise serializers.ValidationError(f"Name exactly one {listed}, for example ?service=checkout.")
        return fields


class FindCurrentQuery(SubjectQuery):
    schedule = ScheduleField(required=False)


class FindCurrentShape(serializers.Serializer):
    """Whom to call first, and everybody on call in the order in which they are called."""

    at = MomentField()
    user = PersonShape(allow_null=True, help_text="Null: nobody is on call, or nobody of those can be reached.")
    role = serializers.CharField(allow_blank=True)
    why = serializers.CharField(help_text="Why this person, or why nobody.")
    until = MomentField(allow_null=True)
    people = OnCallPersonShape(many=True)


class ChainShape(serializers.Serializer):
    """Whom an escalation calls, step by step."""

    at = MomentField()
    service = serializers.CharField(allow_null=True)
    team = serializers.CharField()
    policy = serializers.CharField(
        allow_null=True, help_text="Of the service, else the default of the team. Null: there is none."
    )
    repeats = serializers.IntegerField(allow_null=True, help_text="How often it starts again after the last level.")
    levels = CalledLevelShape(many=True)
    people = OnCallPersonShape(
        many=True,
        help_text="Everybody in the order in which they are called: by level; without a policy those on call in the "
        "schedules of the team: primary, secondary, tertiary.",
    )


class ScheduleNowShape(OnCallShape):
    team = serializers.CharField()


class EverybodyShape(serializers.Serializer):
    at = MomentField()
    schedules = ScheduleNowShape(many=True)


class OnCallViewSet(Edge, ViewSet):
    resource = "oncall"
    sentences = ON_CALL
    pagination_class = None

    @extend_schema(operation_id="oncall_find_current", parameters=[FindCurrentQuery], responses=FindCurrentShape)
    @action(detail=False, url_path="find-current")
    def find_current(self, request):
        """Who is on call for a team, a service or a schedule: the person to call first, and everybody."""
        query, at = _read(FindCurrentQuery, request)
        subject = query.get("service") or query.get("schedule") or query.get("team")
        found = lookup.who(subject, at=at)
        if not query.get("service"):  # there the levels of the policy are the order
            found = sorted(found, key=lambda one: shifts.ROLES.index(one.role))
        people = people_shown(found)
        first = first_called(people)
        shown = {name: first[name] for name in ("user", "role", "why", "until")} if first else _nobody(subject, people)
        return Response(FindCurrentShape({"at": at, "people": people, **shown}).data)

    @extend_schema(operation_id="oncall_escalation_chain", parameters=[SubjectQuery], responses=ChainShape)
    @action(detail=False, url_path="escalation-chain")
    def escalation_chain(self, request):
        """Whom an escalation of a service, or of a team by its default policy, calls at each level."""
        query, at = _read(SubjectQuery, request)
        service = query.get("service")
        team = service.team if service else query["team"]
        service_like = service or Service(team=team)  # without a policy of its own: the default of the team
        policy = policies.copies_for([service_like])[service_like.pk]
        levels = _levels(policy, at)
        if policy:
            people = [one for level in levels for one in level["calls"] if one["user"]]
        else:
            found = [one for one in lookup.who(team, at=at) if one.role in shifts.CALLED]
            people = people_shown(sorted(found, key=lambda one: shifts.ROLES.index(one.role)))
        answer = {
            "at": at,
            "service": service and service.slug,
            "team": team.slug,
            "policy": policy.get("name"),
            "repeats": policy.get("repeats"),
            "levels": levels,
            "people": people,
        }
        return Response(ChainShape(answer).data)

    @extend_schema(operation_id="oncall_current_all", parameters=[AtQuery], responses=EverybodyShape)
    @action(detail=False, url_path="current/all")
    def everybody(self, request):
        """Everybody who is on call, in every schedule and role, by team."""
        _, at = _read(AtQuery, request)
        schedules = [shown for _, shown in _schedules(request.user.visible(Schedule.objects.all()), at=at)]
        return Response(EverybodyShape({"at": at, "schedules": schedules}).data)


class NotifyShape(SendShape):
    """A message to one person, or to those on call for a team, a service or a schedule."""

    user = PersonField(queryset=User.objects.all(), required=False)
    team = TeamField(required=False)
    service = ServiceField(required=False)
    schedule = ScheduleField(required=False)

    def validate(self, fields):
        named = [name for name in ("user", "team", "service", "schedule") if name in fields]
        if len(named) != 1:
            raise serializers.ValidationError("Name exactly one: user, team, service or schedule.")
        return fields


class Notify(Edge, ViewSet):
    resource = "notifications"
    sentences = ("reason", "reasons")

    @extend_schema(operation_id="notify", request=NotifyShape, responses={201: SentShape})
    def create(self, request):
        """Tell one person, or whoever is on call now, by their own rules. 409 when nothing reaches anybody.

        Of those on call the first role that has somebody is told: the primary, else the secondary, else the tertiary;
        for a service, the first person whom its policy calls.
        """
        fields, now = read_body(NotifyShape, request), timezone.now()
        subject = fields.get("service") or fields.get("schedule") or fields.get("team")
        people = _first_on_call(subject, now) if subject else [fields["user"]]
        return Response(SentShape(tell(people, fields, now=now)).data, status=201)


def _first_on_call(subject, at):
    """Whom to tell: of a service the first person called, else the people of the first role that has somebody."""
    found = [one for one in lookup.who(subject, at=at) if one.user_id and one.role != Duty.SHADOW]
    if isinstance(subject, Service):
        wanted = [one.user_id for one in found][:1]
    else:
        first = min((one.role for one in found), key=shifts.ROLES.index, default="")
        wanted = list(dict.fromkeys(one.user_id for one in found if one.role == first))
    people = User.objects.in_bulk(wanted)
    return [people[pk] for pk in wanted]


def _read(query_class, request):
    """The query, and the time that it asks about."""
    query = read_query(query_class, request)
    return query, query.get("at") or timezone.now()


def _schedules(schedules, *, at):
    """`[(schedule, what ScheduleNowShape reads)]` by team, in a constant number of queries."""
    schedules = list(schedules.select_related("team").order_by("team__name", "name"))
    answers = lookup.answers([one.pk for one in schedules], at=at)
    people = {one.pk: [] for one in schedules}
    for one, shown in zip(answers, people_shown(answers), strict=True):
        people[one.schedule_id].append(shown)
    return [(one, {**on_call_shown(one, people[one.pk], at=at), "team": one.team.slug}) for one in schedules]


def _service(service, at):
    policy = policies.copies_for([service])[service.pk]
    return {"service": service.slug, "policy": policy.get("name"), "levels": _levels(policy, at)}


def _levels(policy, at):
    """The levels of a policy copy with the people whom they call."""
    steps = policies.chain_of({None: policy}, at=at)[None]
    shown = iter(people_shown(_answer(one) for _, targets in steps for _, found in targets for one in found))
    return [
        {**level, "calls": [{**next(shown), "target": target["name"]} for target, found in targets for _ in found]}
        for level, targets in steps
    ]


def _answer(called):
    return lookup.Answer(
        user_id=called.user_id,
        role=called.role,
        why=called.why or called.problem,
        via=called.via or policies.NAMED,
        schedule_id=called.schedule_id,
        until=called.until,
        instead_of=called.instead_of,
        is_off=called.is_off,
        unavailable=called.problem,
    )


def _nobody(subject, people):
    """Why there is nobody to call."""
    why = f"nobody is on call for {subject.name}"
    reasons = list(dict.fromkeys(one["unavailable"] for one in people if one["unavailable"]))
    if reasons:
        why = f"nobody who is on call for {subject.name} can be reached: {'; '.join(reasons)}"
    return {"user": None, "role": "", "why": why, "until": None}
