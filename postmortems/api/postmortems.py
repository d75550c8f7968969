"""The postmortems themselves: read, begin, move, export."""

import json

import django_filters
from django.db.models import Prefetch
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import renderers, serializers, status
from rest_framework.decorators import action
from rest_framework.response import Response

from accounts.api import PersonField, PersonFilter, TeamField, TeamFilter
from core.rest import NUMBER, Filters, MomentField, MomentFilter, ReadViewSet, Shape, WordsFilter, read_body
from incidents.models import Incident, Severity
from incidents.searching import time_limit
from incidents.shapes import LARGEST_NUMBER
from postmortems import drafting, exporting, moments, reviewing, searching, states, telling, writing
from postmortems.api.base import SeenShape, Writes, person_field
from postmortems.api.items import ActionItemShape
from postmortems.api.readers import PostmortemReviewShape
from postmortems.api.texts import FactorShape, SectionShape
from postmortems.models import Postmortem, Section, Template


class PostmortemShape(Shape):
    team = serializers.SlugRelatedField("slug", read_only=True)
    owner = PersonField(read_only=True)
    created_by = PersonField(read_only=True)
    published_by = PersonField(read_only=True)
    incidents = serializers.SerializerMethodField(help_text="The numbers of those that you may see.")
    figures = serializers.SerializerMethodField(help_text="Without people_paged where an incident is hidden from you.")
    web_url = serializers.SerializerMethodField()

    class Meta:
        model = Postmortem
        fields = [
            "number",
            "title",
            "status",
            "visibility",
            "severity",
            "team",
            "owner",
            "incidents",
            "summary",
            "version",
            "impact_began_at",
            "impact_ended_at",
            "figures",
            "created_by",
            "created_at",
            "changed_at",
            "published_by",
            "published_at",
            "archived_at",
            "web_url",
        ]
        read_only_fields = fields

    def get_incidents(self, row) -> list[int]:
        return [one.pk for one in row.incidents.all()]

    def get_figures(self, row) -> dict:
        is_whole = len(row.incidents.all()) == len(row.all_incidents)
        return row.figures if is_whole else moments.without_people(row.figures)

    def get_web_url(self, row) -> str:
        return telling.url_of(row)


class WholeShape(PostmortemShape):
    sections = SectionShape(many=True, read_only=True)
    factors = FactorShape(many=True, read_only=True)
    reviews = PostmortemReviewShape(many=True, read_only=True)
    items = ActionItemShape(many=True, read_only=True)

    class Meta(PostmortemShape.Meta):
        fields = [*PostmortemShape.Meta.fields, "sections", "factors", "reviews", "items"]
        read_only_fields = fields


class NewPostmortemShape(serializers.Serializer):
    incidents = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=LARGEST_NUMBER),
        min_length=1,
        max_length=drafting.MOST_INCIDENTS,
        help_text="Their numbers.",
    )
    title = serializers.CharField(required=False, allow_blank=True, max_length=300)
    team = TeamField(required=False, help_text="Left out: that of the first incident.")
    template = serializers.IntegerField(
        required=False, min_value=1, max_value=LARGEST_NUMBER, help_text="Its number. Left out: the team's first one."
    )


class HeadShape(SeenShape):
    title = serializers.CharField(required=False, max_length=300)
    summary = serializers.CharField(required=False, allow_blank=True, max_length=5000)
    impact_began_at = MomentField(required=False)
    impact_ended_at = MomentField(required=False, allow_null=True)
    owner = person_field(required=False, allow_null=True)
    visibility = serializers.ChoiceField(Postmortem.Visibility.choices, required=False)


class PublishShape(serializers.Serializer):
    force = serializers.BooleanField(
        required=False, default=False, help_text="Although a reviewer asks for changes. For admins of the team."
    )


class WordsOfPostmortems(django_filters.CharFilter):
    def filter(self, qs, value):
        return qs.filter(searching.says(value)) if value else qs


class CauseFilter(django_filters.CharFilter):
    def filter(self, qs, value):
        return qs.filter(searching.caused_by(value)) if value else qs


class PostmortemFilters(Filters):
    q = WordsOfPostmortems(label="Words of title, summary, sections, factors and action items, or a number.")
    status = WordsFilter(choices=states.CHOICES)
    severity = WordsFilter(choices=Severity.choices)
    team = TeamFilter()
    owner = PersonFilter(label="Email or UUID.")
    cause = CauseFilter(label="A cause, as it is named among the contributing factors.")
    incident = django_filters.NumberFilter(
        field_name="incidents", min_value=1, max_value=LARGEST_NUMBER, label="The number of an incident."
    )
    since = MomentFilter(field_name="impact_began_at", lookup_expr="gte", label="The impact began then or later.")
    until = MomentFilter(field_name="impact_began_at", lookup_expr="lt", label="The impact began before.")


class AsItIs(renderers.BaseRenderer):
    """For addresses that answer with a file, whatever the request accepts. A refusal is JSON all the same."""

    media_type = "*/*"
    format = "file"

    def render(self, data, accepted_media_type=None, renderer_context=None):
        return data if isinstance(data, bytes) else json.dumps(data).encode()


class PostmortemViewSet(Writes, ReadViewSet):
    """What teams learned from incidents. You see what is published for everybody, and all of your teams."""

    queryset = Postmortem.objects.select_related("team", "owner", "created_by", "published_by")
    serializer_class = PostmortemShape
    filterset_class = PostmortemFilters
    ordering = ("-number",)
    lookup_field = "number"
    lookup_value_regex = NUMBER
    http_method_names = ["get", "post", "patch", "head", "options"]

    def get_queryset(self):
        incidents = Incident.objects.order_by("number")
        if not getattr(self, "swagger_fake_view", False):
            incidents = self.request.user.visible(incidents)
        whole = Prefetch("incidents", Incident.objects.order_by().only("number"), to_attr="all_incidents")
        rows = super().get_queryset().prefetch_related(Prefetch("incidents", incidents), whole)
        if self.detail:
            shown = Prefetch("sections", Section.objects.filter(removed_at=None))
            rows = rows.prefetch_related(
                shown, "factors", "reviews__user", "reviews__asked_by", "items__owner", "items__postmortem__team"
            )
        return rows

    def answer(self, row, code=status.HTTP_200_OK):
        """The postmortem as it is now."""
        return Response(WholeShape(self.get_queryset().get(pk=row.pk), context={"request": self.request}).data, code)

    def list(self, request):
        """List postmortems, the newest first."""
        with time_limit():
            return super().list(request)

    @extend_schema(responses={200: WholeShape})
    def retrieve(self, request, number):
        """One postmortem with its sections, factors, reviews and action items."""
        row = self.get_object()
        return Response(WholeShape(row, context={"request": request}).data)

    @extend_schema(request=NewPostmortemShape, responses={201: WholeShape})
    def create(self, request):
        """Begin a postmortem of one or several incidents: sections, timeline and figures are there at once."""
        given = read_body(NewPostmortemShape, request)
        if number := given.pop("template", None):
            given["template"] = request.user.visible(Template.objects.filter(pk=number)).first()
            if given["template"] is None:
                raise serializers.ValidationError({"template": f"There is no template {number}."})
        numbers = given.pop("incidents")
        for incident in request.user.visible(Incident.objects.filter(pk__in=numbers)).select_related("team"):
            self.check_object_permissions(request, incident)
        row = self.do(drafting.start, numbers, **given, **self.caller(), via="api")
        return self.answer(row, status.HTTP_201_CREATED)

    @extend_schema(request=HeadShape, responses={200: WholeShape})
    def partial_update(self, request, number):
        """Change title, summary, times of impact, owner, or who may read it."""
        row = self.get_object()
        return self.answer(writing.save_head(row.pk, **read_body(HeadShape, request), **self.caller()))

    def _move(self, verb, **more):
        return self.answer(verb(self.get_object().pk, **more, **self.caller()))

    @extend_schema(request=PublishShape, responses={200: WholeShape})
    @action(detail=True, methods=["post"])
    def publish(self, request, number):
        """Publish it. Its team, and responders and followers of its incidents, are told once."""
        return self._move(reviewing.publish, is_forced=read_body(PublishShape, request)["force"])

    @extend_schema(request=None, responses={200: WholeShape})
    @action(detail=True, methods=["post"], url_path="take-back")
    def take_back(self, request, number):
        """Make a draft of it again."""
        return self._move(reviewing.take_back)

    @extend_schema(request=None, responses={200: WholeShape})
    @action(detail=True, methods=["post"])
    def archive(self, request, number):
        """Put it away. Its action items go on."""
        return self._move(reviewing.archive)

    @extend_schema(request=None, responses={200: WholeShape})
    @action(detail=True, methods=["post"])
    def restore(self, request, number):
        """Take it out of the archive, as a draft."""
        return self._move(reviewing.restore)

    @extend_schema(request=None, responses={200: WholeShape})
    @action(detail=True, methods=["post"])
    def redraw(self, request, number):
        """Take what was stored since into the timeline. What people hid or reworded stays as they left it."""
        return self._move(moments.redraw)

    @extend_schema(responses={(200, "text/markdown"): OpenApiTypes.STR})
    @action(detail=True, url_path=r"export\.md", url_name="export-md", renderer_classes=[AsItIs])
    def export_markdown(self, request, number):
        """The whole document in Markdown."""
        row = self.get_object()
        return _file(
            exporting.markdown(row, reader=request.user).encode(),
            exporting.file_name(row, "md"),
            "text/markdown; charset=utf-8",
        )

    @extend_schema(responses={(200, "application/pdf"): OpenApiTypes.BINARY})
    @action(detail=True, url_path=r"export\.pdf", url_name="export-pdf", renderer_classes=[AsItIs])
    def export_pdf(self, request, number):
        """The whole document as PDF."""
        row = self.get_object()
        return _file(exporting.pdf(row, reader=request.user), exporting.file_name(row, "pdf"), "application/pdf")


def _file(body, name, content_type):
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "X-Content-Type-Options": "nosniff"}
    return Response(body, content_type=content_type, headers=headers)
