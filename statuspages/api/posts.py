"""What is posted on a status page: trouble, maintenance that comes once or again and again, and words kept ready."""

import django_filters
from django.db.models import Prefetch, Q
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.exceptions import NotFound
from rest_framework.response import Response

from core.rest import UUID, ConfigureViewSet, Filters, MomentField, MomentFilter, ReadViewSet, Shape, WordsFilter
from core.rest import visible as seen_by
from incidents.models import Incident
from incidents.shapes import LARGEST_NUMBER
from statuspages import publishing, recurring, states
from statuspages.api.pages import ComponentField, OfPage
from statuspages.models import Affected, Post, PostTemplate, PostUpdate, Series

LONGEST_BODY = 10_000
BLANK_STATES = [("", "What its incidents say"), *states.COMPONENT_STATES]


class IncidentField(serializers.IntegerField):
    """The number of an incident that the caller sees."""

    def __init__(self, **kwargs):
        super().__init__(min_value=1, max_value=LARGEST_NUMBER, **kwargs)

    def to_internal_value(self, data):
        number = super().to_internal_value(data)
        if not seen_by(self, Incident.objects.filter(pk=number)).exists():
            raise serializers.ValidationError(f"There is no incident #{number}.")
        return number


class PostComponentShape(Shape):
    id = serializers.UUIDField(source="component.uuid")
    name = serializers.CharField(source="component.name")

    class Meta:
        model = Affected
        fields = ["id", "name", "state"]


class PostUpdateShape(Shape):
    id = serializers.UUIDField(source="uuid", read_only=True)

    class Meta:
        model = PostUpdate
        fields = ["id", "stage", "body", "at", "is_told", "edited_at"]
        read_only_fields = fields


class PostShape(Shape):
    id = serializers.UUIDField(source="uuid")
    incident = serializers.SerializerMethodField(help_text="Ours, if you may see it. Readers never do.")
    series = serializers.SlugRelatedField("uuid", read_only=True)
    components = PostComponentShape(source="affected", many=True)
    updates = PostUpdateShape(many=True, help_text="The newest first.")

    class Meta:
        model = Post
        fields = [
            "id",
            "kind",
            "title",
            "stage",
            "impact",
            "incident",
            "components",
            "starts_at",
            "ends_at",
            "goes_by_itself",
            "series",
            "ended_at",
            "created_at",
            "changed_at",
            "updates",
        ]
        read_only_fields = fields

    def get_incident(self, post) -> int | None:
        return post.incident.pk if post.incident else None  # of those that are fetched: see get_queryset


class GivenComponentShape(serializers.Serializer):
    id = ComponentField()
    state = serializers.ChoiceField(
        choices=BLANK_STATES,
        required=False,
        allow_blank=True,
        allow_null=True,
        default="",
        help_text="Empty: what its incidents say. In an update, null takes the component out of the post.",
    )


def chosen(rows):
    """`{uuid: state}` of what was given as a list."""
    return {str(one["id"].uuid): one["state"] for one in rows}


class NewPostShape(serializers.Serializer):
    kind = serializers.ChoiceField(choices=Post.Kind.choices, default=Post.Kind.INCIDENT)
    title = serializers.CharField(max_length=200)
    body = serializers.CharField(max_length=LONGEST_BODY, help_text="Markdown.")
    stage = serializers.ChoiceField(
        choices=states.INCIDENT_STAGES, required=False, help_text="Of an incident. Left out: investigating."
    )
    impact = serializers.ChoiceField(
        choices=states.IMPACTS, required=False, help_text="Of an incident. Left out: what the worst state means."
    )
    components = GivenComponentShape(many=True, required=False, max_length=500)
    incident = IncidentField(required=False, allow_null=True, help_text="Ours. Nothing of it is shown.")
    starts_at = MomentField(required=False, help_text="Of an incident, left out: now. Of maintenance it is needed.")
    ends_at = MomentField(required=False, help_text="Of maintenance only.")
    goes_by_itself = serializers.BooleanField(
        required=False, default=True, help_text="Maintenance begins and ends at its times."
    )
    is_told = serializers.BooleanField(required=False, default=True, help_text="Whether subscribers are told.")

    NOT_FOR = {Post.Kind.INCIDENT: ("ends_at",), Post.Kind.MAINTENANCE: ("stage", "impact", "incident")}

    def validate(self, given):
        kind = given["kind"]
        if wrong := [name for name in self.NOT_FOR[kind] if given.get(name) is not None]:
            raise serializers.ValidationError({name: f"A post of the kind {kind} has none." for name in wrong})
        if kind == Post.Kind.MAINTENANCE:
            missing = [name for name in ("starts_at", "ends_at") if name not in given]
            if missing:
                raise serializers.ValidationError(dict.fromkeys(missing, "Maintenance needs this time."))
        return given


class PostEditShape(serializers.Serializer):
    title = serializers.CharField(max_length=200, required=False)
    impact = serializers.ChoiceField(choices=states.IMPACTS, required=False)
    starts_at = MomentField(required=False)
    ends_at = MomentField(required=False)
    goes_by_itself = serializers.BooleanField(required=False)


class NewPostUpdateShape(serializers.Serializer):
    stage = serializers.ChoiceField(choices=states.STAGES, required=False, help_text="Left out: unchanged.")
    body = serializers.CharField(max_length=LONGEST_BODY, required=False, allow_blank=True, help_text="Markdown.")
    impact = serializers.ChoiceField(choices=states.IMPACTS, required=False)
    components = GivenComponentShape(many=True, required=False, max_length=500, help_text="Those that change.")
    is_told = serializers.BooleanField(required=False, default=True, help_text="Whether subscribers are told.")


class PostUpdateEditShape(serializers.Serializer):
    body = serializers.CharField(max_length=LONGEST_BODY, help_text="Markdown. Nobody is told again.")


class PostFilters(Filters):
    kind = WordsFilter(choices=Post.Kind.choices)
    stage = WordsFilter(choices=states.STAGES)
    is_open = django_filters.BooleanFilter(field_name="ended_at", lookup_expr="isnull", label="Not over.")
    since = MomentFilter(field_name="starts_at", lookup_expr="gte")
    until = MomentFilter(field_name="starts_at", lookup_expr="lt")


class PostViewSet(OfPage, ReadViewSet):
    """What readers are told: about trouble with `kind` incident, and about planned work with `kind` maintenance."""

    queryset = Post.objects.select_related("page__team", "series").prefetch_related("affected__component", "updates")
    serializer_class = PostShape
    filterset_class = PostFilters
    ordering = ("-starts_at", "-id")
    http_method_names = ["get", "post", "patch", "delete", "head", "options"]

    def get_queryset(self):
        # One that they may not see is not there for the reader.
        incidents = self.request.user.visible(Incident.objects.all())
        return super().get_queryset().prefetch_related(Prefetch("incident", queryset=incidents))

    @extend_schema(request=NewPostShape, responses={201: PostShape})
    def create(self, request, slug):
        """Post about trouble, or plan maintenance."""
        given = self.given(NewPostShape)
        kind, components = given.pop("kind"), chosen(given.pop("components", []))
        by_itself = given.pop("goes_by_itself")
        if kind == Post.Kind.MAINTENANCE:
            given.pop("incident", None)
            verb, more = publishing.plan_maintenance, {"components": list(components), "goes_by_itself": by_itself}
        else:
            given["incident"] = Incident.objects.filter(pk=given.get("incident")).first()
            verb, more = publishing.open_incident, {"components": _without_none(components)}
        row = self.do(verb, self.page.pk, **given, **more, **self.caller(), via="api")
        return self.shown(row, status.HTTP_201_CREATED)

    @extend_schema(request=PostEditShape, responses=PostShape)
    def partial_update(self, request, slug, id):
        """Correct what it says of itself. Nobody is told."""
        row = self.get_object()
        return self.shown(publishing.edit_post(row.uuid, **self.given(PostEditShape), **self.caller()))

    def destroy(self, request, slug, id):
        """Take it off the page with all its updates. Notices that wait are not sent."""
        publishing.remove(self.get_object().uuid, **self.caller())
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=NewPostUpdateShape, responses={201: PostShape})
    @action(detail=True, methods=["post"])
    def updates(self, request, slug, id):
        """Say how it goes on. The stages resolved and completed end it, an earlier one opens it again."""
        row, given = self.get_object(), self.given(NewPostUpdateShape)
        if "components" in given:
            given["components"] = chosen(given["components"])
        publishing.add_update(row.uuid, **given, **self.caller(), via="api")
        return self.shown(row, status.HTTP_201_CREATED)

    @extend_schema(request=PostUpdateEditShape, responses=PostShape)
    @action(detail=True, methods=["patch"], url_path=f"updates/(?P<update>{UUID})")
    def edit_update(self, request, slug, id, update):
        """Correct the words of an update. Nobody is told again."""
        row = self.get_object()
        if not row.updates.filter(uuid=update).exists():
            raise NotFound("The post has no such update.")
        publishing.edit_update(update, **self.given(PostUpdateEditShape), **self.caller())
        return self.shown(row)

    def shown(self, row, code=status.HTTP_200_OK):
        """The post as it is now."""
        return Response(self.get_serializer(self.get_queryset().get(pk=row.pk)).data, status=code)


def _without_none(components):
    return {key: state or "" for key, state in components.items()}


# --- again and again ----------------------------------------------------------------------------------------------


class SeriesTimeShape(serializers.Serializer):
    starts_at = MomentField()
    ends_at = MomentField()


class SeriesShape(Shape):
    id = serializers.UUIDField(source="uuid", read_only=True)
    components = ComponentField(many=True, required=False)
    coming = serializers.SerializerMethodField(help_text="The present and the next times.")

    class Meta:
        model = Series
        fields = [
            "id",
            "title",
            "body",
            "components",
            "starts_at",
            "ends_at",
            "rrule",
            "time_zone",
            "announced_days",
            "is_enabled",
            "coming",
            "created_at",
        ]
        read_only_fields = ["created_at"]

    @extend_schema(responses=SeriesTimeShape(many=True))
    def get_coming(self, row) -> list:
        spans = recurring.coming(row, timezone.now()) if row.is_enabled else []
        return [dict(SeriesTimeShape({"starts_at": start, "ends_at": end}).data) for start, end in spans]

    def create(self, given):
        return self._saved(None, {"time_zone": self.context["page"].time_zone, **given})

    def update(self, instance, given):
        kept = {name: getattr(instance, name) for name in recurring.VALUES}
        return self._saved(instance.uuid, {**kept, "components": instance.components.all(), **given})

    def _saved(self, series, given):
        given["components"] = [str(one.uuid) for one in given.get("components", ())]
        return recurring.save(self.context["page"].pk, series=series, **given, now=timezone.now())


class SeriesViewSet(OfPage, ConfigureViewSet):
    """Maintenance that comes again and again. Each time is announced as a post, `announced_days` before."""

    change_verb = "respond"
    queryset = Series.objects.select_related("page__team").prefetch_related("components")
    serializer_class = SeriesShape
    ordering = ("title", "id")

    def perform_destroy(self, instance):
        recurring.remove(instance.uuid)


# --- words kept ready ---------------------------------------------------------------------------------------------


class PostTemplateShape(Shape):
    id = serializers.UUIDField(source="uuid", read_only=True)
    is_everywhere = serializers.SerializerMethodField(help_text="Offered on every page; made in the admin.")

    class Meta:
        model = PostTemplate
        fields = ["id", "name", "kind", "title", "stage", "body", "is_everywhere"]

    def get_is_everywhere(self, template) -> bool:
        return template.page_id is None

    def validate(self, given):
        kind = given.get("kind", self.instance.kind if self.instance else Post.Kind.INCIDENT)
        stage = given.get("stage", self.instance.stage if self.instance else "")
        if stage and stage not in publishing.STAGES[kind]:
            words = ", ".join(publishing.STAGES[kind])
            raise serializers.ValidationError({"stage": f"A post of the kind {kind} has one of {words}."})
        return given

    def create(self, validated_data):
        return super().create({"page": self.context["page"], **validated_data})


class TemplateFilters(Filters):
    kind = WordsFilter(choices=Post.Kind.choices)


class TemplateViewSet(OfPage, ConfigureViewSet):
    """Words that are ready for a bad moment: those of the page, and those that every page offers."""

    queryset = PostTemplate.objects.select_related("page__team")
    serializer_class = PostTemplateShape
    filterset_class = TemplateFilters
    ordering = ("name", "id")

    def get_queryset(self):
        return PostTemplate.objects.select_related("page__team").filter(Q(page=self.page) | Q(page=None))
