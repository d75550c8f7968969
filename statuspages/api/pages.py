"""Status pages with their groups and components, and the states that people set."""

import django_filters
from django.db.models import Count, Q
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.text import slugify
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.exceptions import NotFound
from rest_framework.response import Response

from accounts.api import PersonField, TeamField, TeamFilter
from catalog.api import ServiceField
from core.rest import (
    SLUG,
    UUID,
    ConfigureViewSet,
    Filters,
    MomentField,
    Shape,
    SluggedShape,
    WordsFilter,
    read_body,
)
from statuspages import publishing, states
from statuspages.models import RESERVED, Audience, Component, ComponentGroup, StatusPage


class OfPage:
    """Rows of one status page, which the address names."""

    resource = "status"
    lookup_field = "uuid"
    lookup_url_kwarg = "id"
    lookup_value_regex = UUID

    @cached_property
    def page(self):
        rows = self.request.user.visible(StatusPage.objects.select_related("team"))
        found = rows.filter(slug=self.kwargs["slug"]).first()
        if found is None:
            raise NotFound(f"There is no status page “{self.kwargs['slug']}”. GET /api/v1/status-pages lists them.")
        return found

    def get_queryset(self):
        return super().get_queryset().filter(page=self.page)

    def get_serializer_context(self):
        context = super().get_serializer_context()
        is_schema = getattr(self, "swagger_fake_view", False)
        return context if is_schema else {**context, "page": self.page}

    def caller(self):
        """The arguments that every verb takes from its request."""
        return {"by": self.request.user, "now": timezone.now()}

    def given(self, shape):
        """The checked values of a request. What belongs to the page is looked up in it."""
        return dict(self.checked(shape, self.request.data))

    def checked(self, shape, data):
        serializer = shape(data=data, context=self.get_serializer_context())
        serializer.is_valid(raise_exception=True)
        return serializer.validated_data


class NamedOfPage(Shape):
    """A row with a name that its page has once."""

    id = serializers.UUIDField(source="uuid", read_only=True)

    def validate_name(self, name):
        rows = self.Meta.model.objects.filter(page=self.context["page"], name=name)
        if rows.exclude(pk=self.instance and self.instance.pk).exists():
            noun = self.Meta.model._meta.verbose_name
            raise serializers.ValidationError(f"The page has a {noun} of this name already. Choose another.")
        return name

    def create(self, validated_data):
        return super().create({"page": self.context["page"], **validated_data})


# --- pages --------------------------------------------------------------------------------------------------------


class StatusPageShape(SluggedShape):
    reserved_slugs = RESERVED
    team = TeamField(required=False, allow_null=True, help_text="Who keeps it. Null: the admins of the platform.")
    state = serializers.SerializerMethodField(help_text="The worst state of its components.")
    open_posts = serializers.IntegerField(read_only=True, help_text="Those about trouble or maintenance that goes on.")
    address = serializers.CharField(read_only=True, help_text="Where readers find it.")

    class Meta:
        model = StatusPage
        fields = [
            "slug",
            "name",
            "description",
            "team",
            "audience",
            "is_enabled",
            "time_zone",
            "language",
            "accent_colour",
            "website_url",
            "support_url",
            "critical_state",
            "high_state",
            "medium_state",
            "low_state",
            "info_state",
            "needs_rule",
            "history_days",
            "shows_uptime",
            "accepts_subscribers",
            "state",
            "open_posts",
            "address",
            "created_at",
        ]
        read_only_fields = ["created_at"]

    def get_state(self, page) -> str:
        return states.worst([one.state for one in page.components.all()])

    def _free_slug(self, name):
        return super()._free_slug(slugify(name)[:50])  # a slug of these is shorter than others

    def create(self, validated_data):
        return self._counted(super().create(validated_data))

    def update(self, instance, validated_data):
        return self._counted(super().update(instance, validated_data))

    @staticmethod
    def _counted(page):
        page.open_posts = page.posts.going_on().exclude(stage=states.SCHEDULED).count()
        return page


class StatusPageFilters(Filters):
    team = TeamFilter()
    audience = WordsFilter(choices=Audience.choices)
    is_enabled = django_filters.BooleanFilter()


class StatusPageViewSet(ConfigureViewSet):
    """Status pages. Everybody reads those of teams they see; the admins of its team configure one."""

    resource = "status"
    queryset = StatusPage.objects.select_related("team").prefetch_related("components")
    serializer_class = StatusPageShape
    filterset_class = StatusPageFilters
    ordering = ("name", "id")
    lookup_field = "slug"
    lookup_value_regex = SLUG

    def get_queryset(self):
        goes_on = Q(posts__ended_at__isnull=True) & ~Q(posts__stage=states.SCHEDULED)
        return super().get_queryset().annotate(open_posts=Count("posts", filter=goes_on))


# --- groups -------------------------------------------------------------------------------------------------------


class ComponentGroupShape(NamedOfPage):
    class Meta:
        model = ComponentGroup
        fields = ["id", "name", "position"]


class GroupViewSet(OfPage, ConfigureViewSet):
    """The headings of a page. Components of one that is deleted stay, without a heading."""

    queryset = ComponentGroup.objects.select_related("page__team")
    serializer_class = ComponentGroupShape
    ordering = ("position", "id")


# --- components ---------------------------------------------------------------------------------------------------


class OfPageField(serializers.SlugRelatedField):
    """A row of the page, named by its UUID."""

    def __init__(self, *, noun, path, **kwargs):
        self.words = {"noun": noun, "path": path}
        super().__init__(slug_field="uuid", **kwargs)

    default_error_messages = {
        "does_not_exist": "The page has no {noun} “{value}”. GET /api/v1/status-pages/{{slug}}/{path} lists them.",
        "invalid": "Give the UUID of a {noun} as text.",
    }

    def to_internal_value(self, data):
        try:
            wanted = serializers.UUIDField().to_internal_value(data)
        except serializers.ValidationError:
            self.fail("invalid", **self.words)
        row = self.get_queryset().filter(page=self.context["page"], uuid=wanted).first()
        if row is None:
            self.fail("does_not_exist", value=str(data)[:100], **self.words)
        return row

    def to_representation(self, row):
        return str(row.uuid)


class ComponentField(OfPageField):
    def __init__(self, **kwargs):
        if not kwargs.get("read_only"):
            kwargs.setdefault("queryset", Component.objects.all())
        super().__init__(noun="component", path="components", **kwargs)


class ComponentShape(NamedOfPage):
    group = OfPageField(
        queryset=ComponentGroup.objects.all(),
        noun="group",
        path="groups",
        required=False,
        allow_null=True,
        help_text="The UUID of a group of the page.",
    )
    services = ServiceField(many=True, required=False, help_text="Their open incidents make its state.")
    manual_by = PersonField(read_only=True)

    class Meta:
        model = Component
        fields = [
            "id",
            "name",
            "description",
            "group",
            "position",
            "services",
            "combines",
            "state",
            "state_since",
            "manual_state",
            "manual_until",
            "manual_reason",
            "manual_by",
            "created_at",
        ]
        read_only_fields = ["state", "state_since", "manual_state", "manual_until", "manual_reason", "created_at"]

    def to_representation(self, component):
        found = super().to_representation(component)
        seen = self._seen()
        found["services"] = [slug for slug in found["services"] if seen is None or slug in seen]
        return found

    def _seen(self):
        """The slugs of the services that the reader sees; None when nothing is hidden from them."""
        user = self.context["request"].user
        if "seen_services" not in self.context:
            rows = user.visible(ServiceField().get_queryset()) if user.access().hidden else None
            self.context["seen_services"] = None if rows is None else set(rows.values_list("slug", flat=True))
        return self.context["seen_services"]


class ComponentStateShape(serializers.Serializer):
    state = serializers.ChoiceField(choices=states.COMPONENT_STATES)
    until = MomentField(required=False, allow_null=True, default=None, help_text="Null: until somebody ends it.")
    reason = serializers.CharField(
        required=False, allow_blank=True, default="", max_length=300, help_text="Readers do not see it."
    )


class ComponentViewSet(OfPage, ConfigureViewSet):
    """What readers know by name. Its state follows incidents and posts, unless somebody sets it."""

    queryset = Component.objects.select_related("page__team", "group", "manual_by").prefetch_related("services")
    serializer_class = ComponentShape
    ordering = ("position", "id")

    @extend_schema(request=ComponentStateShape, responses=ComponentShape)
    @action(detail=True, methods=["put"], change_verb="respond")
    def state(self, request, slug, id):
        """Set its state by hand. It wins over incidents and posts until it ends."""
        component = self.get_object()
        publishing.set_state(component.uuid, **read_body(ComponentStateShape, request), **self.caller())
        return self._shown()

    @extend_schema(request=None, responses=ComponentShape)
    @state.mapping.delete
    def clear_state(self, request, slug, id):
        """Let incidents and posts decide again. Twice is harmless."""
        publishing.clear_state(self.get_object().uuid, **self.caller())
        return self._shown()

    def _shown(self):
        return Response(self.get_serializer(self.get_object()).data)
