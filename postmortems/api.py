"""Postmortems and their action items: read, write, review, publish, share, export."""

import json

import django_filters
from django.db.models import Prefetch, Q
from django.utils import timezone
from django.utils.functional import cached_property
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import permissions, renderers, serializers, status
from rest_framework.decorators import action
from rest_framework.response import Response

from accounts.api import PersonField, PersonFilter, TeamField, TeamFilter
from accounts.auth import RolePermission
from accounts.models import User
from accounts.permissions import may
from core.api import problem
from core.errors import NotFound
from core.rest import (
    NUMBER,
    UUID,
    DayField,
    Filters,
    MomentField,
    MomentFilter,
    ReadViewSet,
    Shape,
    WordsFilter,
    read_body,
)
from incidents.models import Incident, Severity
from incidents.searching import time_limit
from postmortems import drafting, exporting, items, moments, reviewing, searching, sharing, states, telling, writing
from postmortems.models import (
    ActionItem,
    Comment,
    Factor,
    Moment,
    Postmortem,
    Review,
    Revision,
    Section,
    ShareLink,
    Template,
)

LARGEST_NUMBER = 10**18 - 1


# --- shapes -------------------------------------------------------------------------------------------------------
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


class SectionShape(Shape):
    id = serializers.UUIDField(source="uuid", read_only=True)

    class Meta:
        model = Section
        fields = ["id", "title", "help", "body", "position", "version"]
        read_only_fields = fields


class RevisionShape(Shape):
    by = PersonField(read_only=True)

    class Meta:
        model = Revision
        fields = ["version", "title", "body", "by", "at", "is_autosave"]
        read_only_fields = fields


class MomentShape(Shape):
    id = serializers.UUIDField(source="uuid", read_only=True)
    incident = serializers.IntegerField(source="incident_id", read_only=True, allow_null=True)
    is_reworded = serializers.BooleanField(read_only=True)
    said = serializers.SerializerMethodField(help_text="As it was drawn; empty for who may not change it.")

    class Meta:
        model = Moment
        fields = ["id", "at", "text", "said", "source", "incident", "is_shown", "is_reworded"]
        read_only_fields = fields

    def get_said(self, row) -> str:
        return row.said if self.context["view"].writes else ""


class FactorShape(Shape):
    id = serializers.UUIDField(source="uuid", read_only=True)

    class Meta:
        model = Factor
        fields = ["id", "cause", "text", "is_root", "position"]
        read_only_fields = fields


class PostmortemReviewShape(Shape):
    user = PersonField(read_only=True)
    asked_by = PersonField(read_only=True)

    class Meta:
        model = Review
        fields = ["user", "asked_by", "asked_at", "verdict", "note", "decided_at"]
        read_only_fields = fields


class CommentShape(Shape):
    id = serializers.UUIDField(source="uuid", read_only=True)
    section = serializers.SlugRelatedField("uuid", read_only=True)
    by = PersonField(read_only=True)
    resolved_by = PersonField(read_only=True)

    class Meta:
        model = Comment
        fields = ["id", "section", "text", "by", "at", "resolved_at", "resolved_by"]
        read_only_fields = fields


class ActionItemShape(Shape):
    id = serializers.UUIDField(source="uuid", read_only=True)
    postmortem = serializers.IntegerField(source="postmortem_id", read_only=True)
    team = serializers.SlugRelatedField("slug", source="postmortem.team", read_only=True)
    owner = PersonField(read_only=True)
    link_label = serializers.SerializerMethodField(help_text="The key of the issue, such as SHOP-12; else its host.")

    class Meta:
        model = ActionItem
        fields = [
            "id",
            "postmortem",
            "team",
            "text",
            "owner",
            "due_on",
            "priority",
            "status",
            "link",
            "link_label",
            "created_at",
            "changed_at",
            "ended_at",
        ]
        read_only_fields = fields

    def get_link_label(self, row) -> str:
        return items.link_label(row.link) if row.link else ""


class ShareLinkShape(Shape):
    id = serializers.UUIDField(source="uuid", read_only=True)
    made_by = PersonField(read_only=True)
    works = serializers.SerializerMethodField()

    class Meta:
        model = ShareLink
        fields = ["id", "made_by", "made_at", "expires_at", "revoked_at", "opened_count", "works"]
        read_only_fields = fields

    def get_works(self, row) -> bool:
        return sharing.works(row, now=timezone.now())


class NewShareLinkShape(ShareLinkShape):
    address = serializers.CharField(required=False, help_text="Shown this once, and not when a request is repeated.")

    class Meta(ShareLinkShape.Meta):
        fields = [*ShareLinkShape.Meta.fields, "address"]
        read_only_fields = fields


class WholeShape(PostmortemShape):
    sections = SectionShape(many=True, read_only=True)
    factors = FactorShape(many=True, read_only=True)
    reviews = PostmortemReviewShape(many=True, read_only=True)
    items = ActionItemShape(many=True, read_only=True)

    class Meta(PostmortemShape.Meta):
        fields = [*PostmortemShape.Meta.fields, "sections", "factors", "reviews", "items"]
        read_only_fields = fields


# --- what is given ------------------------------------------------------------------------------------------------
def _person(**kwargs):
    return PersonField(queryset=User.objects.filter(is_active=True), **kwargs)


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


class SeenShape(serializers.Serializer):
    seen_version = serializers.IntegerField(
        min_value=1,
        max_value=2**31 - 1,
        help_text="The version that you read. When it is not the newest, the answer is 409 with both texts.",
    )


class HeadShape(SeenShape):
    title = serializers.CharField(required=False, max_length=300)
    summary = serializers.CharField(required=False, allow_blank=True, max_length=5000)
    impact_began_at = MomentField(required=False)
    impact_ended_at = MomentField(required=False, allow_null=True)
    owner = _person(required=False, allow_null=True)
    visibility = serializers.ChoiceField(Postmortem.Visibility.choices, required=False)


class NewSectionShape(serializers.Serializer):
    title = serializers.CharField(max_length=100)
    body = serializers.CharField(
        required=False, allow_blank=True, trim_whitespace=False, max_length=writing.LONGEST_BODY, help_text="Markdown."
    )


class SectionEditShape(SeenShape):
    title = serializers.CharField(required=False, max_length=100)
    body = serializers.CharField(
        allow_blank=True, trim_whitespace=False, max_length=writing.LONGEST_BODY, help_text="Markdown."
    )


class VersionShape(serializers.Serializer):
    version = serializers.IntegerField(min_value=1, max_value=2**31 - 1)


class NewMomentShape(serializers.Serializer):
    at = MomentField()
    text = serializers.CharField(max_length=2000)


class MomentEditShape(serializers.Serializer):
    at = MomentField(required=False, help_text="Only of lines that were written by hand.")
    text = serializers.CharField(required=False, max_length=2000)
    is_shown = serializers.BooleanField(required=False)


class NewFactorShape(serializers.Serializer):
    cause = serializers.CharField(max_length=100)
    text = serializers.CharField(required=False, allow_blank=True, max_length=2000)
    is_root = serializers.BooleanField(required=False)


class FactorEditShape(NewFactorShape):
    cause = serializers.CharField(required=False, max_length=100)


class AskShape(serializers.Serializer):
    reviewers = serializers.ListField(
        child=_person(), min_length=1, max_length=reviewing.MOST_REVIEWERS, help_text="By email or UUID."
    )


class VerdictShape(serializers.Serializer):
    verdict = serializers.ChoiceField(["approved", "changes"])
    note = serializers.CharField(
        required=False, allow_blank=True, max_length=reviewing.LONGEST_NOTE, help_text="With changes: what to change."
    )


class PublishShape(serializers.Serializer):
    force = serializers.BooleanField(
        required=False, default=False, help_text="Although a reviewer asks for changes. For admins of the team."
    )


class NewCommentShape(serializers.Serializer):
    text = serializers.CharField(max_length=reviewing.LONGEST_COMMENT, help_text="Markdown.")
    section = serializers.UUIDField(required=False, allow_null=True, help_text="Left out: about the whole.")


class NewItemShape(serializers.Serializer):
    text = serializers.CharField(max_length=items.LONGEST_TEXT)
    owner = _person(required=False, allow_null=True)
    due_on = DayField(required=False, allow_null=True)
    priority = serializers.ChoiceField(ActionItem.Priority.choices, required=False)
    link = serializers.CharField(
        required=False, allow_blank=True, max_length=items.LONGEST_LINK, help_text="https://, of an issue elsewhere."
    )


class ItemEditShape(NewItemShape):
    text = serializers.CharField(required=False, max_length=items.LONGEST_TEXT)
    status = serializers.ChoiceField(ActionItem.Status.choices, required=False)


class NewLinkShape(serializers.Serializer):
    days = serializers.IntegerField(min_value=sharing.SHORTEST_DAYS, max_value=sharing.LONGEST_DAYS)


# --- filters ------------------------------------------------------------------------------------------------------
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


class OverdueFilter(django_filters.BooleanFilter):
    def filter(self, qs, value):
        late = items.overdue(timezone.now().date())
        return qs if value is None else qs.filter(late) if value else qs.exclude(late)


class ActionItemFilters(Filters):
    status = WordsFilter(choices=ActionItem.Status.choices)
    priority = WordsFilter(choices=ActionItem.Priority.choices)
    owner = PersonFilter(label="Email or UUID.")
    team = TeamFilter(field_name="postmortem__team")
    postmortem = django_filters.NumberFilter(
        field_name="postmortem", min_value=1, max_value=LARGEST_NUMBER, label="Its number."
    )
    is_overdue = OverdueFilter(label="Due before today, in UTC, and not done.")


# --- views --------------------------------------------------------------------------------------------------------
class AsItIs(renderers.BaseRenderer):
    """For addresses that answer with a file, whatever the request accepts. A refusal is JSON all the same."""

    media_type = "*/*"
    format = "file"

    def render(self, data, accepted_media_type=None, renderer_context=None):
        return data if isinstance(data, bytes) else json.dumps(data).encode()


class Writes:
    """What all these views do alike."""

    resource = "postmortems"
    sentences = ("text", "said", "body", "summary", "note")

    def caller(self):
        """The arguments that every verb takes from its request."""
        return {"by": self.request.user, "now": timezone.now()}

    def handle_exception(self, error):
        """A refused save carries both texts, so that a program can merge them."""
        if not isinstance(error, writing.Conflict):
            return super().handle_exception(error)
        answer = problem(error.status, "The request was refused", error.message, code=error.code)
        answer.data |= {"mine": error.mine, "theirs": error.theirs, "version": error.version}
        answer.exception = True
        return answer


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


class Parts(Writes, ReadViewSet):
    """What a postmortem consists of."""

    lookup_field = "uuid"
    lookup_url_kwarg = "id"
    lookup_value_regex = UUID
    http_method_names = ["get", "post", "patch", "delete", "head", "options"]

    @cached_property
    def postmortem(self):
        """The postmortem of the address, if the person sees it."""
        rows = self.request.user.visible(Postmortem.objects.select_related("team"))
        found = rows.filter(pk=self.kwargs["number"]).first()
        if found is None:
            raise NotFound(f"There is no postmortem PM-{self.kwargs['number']}.")
        return found

    def get_queryset(self):
        rows = super().get_queryset()
        if getattr(self, "swagger_fake_view", False):
            return rows
        rows = rows.filter(postmortem=self.postmortem)
        return rows if self.for_readers is None or self.writes else rows.filter(self.for_readers)

    # Which rows are there for who reads the postmortem and may not change it; None: all.
    for_readers = None

    @cached_property
    def writes(self):
        """Whether the person may change the postmortem."""
        return may(self.request.user, "respond", self.postmortem)

    def number(self):
        """The number of the postmortem, which the person may change."""
        self.check_object_permissions(self.request, self.postmortem)
        return self.postmortem.pk

    def answer(self, row, code=status.HTTP_200_OK):
        """The row as it is now."""
        return Response(self.get_serializer(self.get_queryset().get(pk=row.pk)).data, code)

    def made(self, verb, shape):
        """Add a part by its verb, from the body."""
        given = read_body(shape, self.request)
        return self.answer(verb(self.number(), **given, **self.caller()), status.HTTP_201_CREATED)

    def changed(self, verb, shape=None):
        """Change a part by its verb."""
        row = self.get_object()
        given = read_body(shape, self.request) if shape else {}
        return self.answer(verb(row.uuid, **given, **self.caller()))

    def gone(self, verb):
        """Remove a part by its verb."""
        verb(self.get_object().uuid, **self.caller())
        return Response(status=status.HTTP_204_NO_CONTENT)


class SectionViewSet(Parts):
    """The sections of a postmortem. A save names the version that it began from, so that no text is lost."""

    queryset = Section.objects.filter(removed_at=None)
    serializer_class = SectionShape
    ordering = ("position", "id")

    @extend_schema(request=NewSectionShape, responses={201: SectionShape})
    def create(self, request, number):
        """Add a section below the others."""
        return self.made(writing.add_section, NewSectionShape)

    @extend_schema(request=SectionEditShape, responses={200: SectionShape})
    def partial_update(self, request, number, id):
        """Save a section. When somebody else saved it since the version you saw, the answer is 409 with both texts."""
        return self.changed(writing.save_section, SectionEditShape)

    def destroy(self, request, number, id):
        """Take a section out. Its history stays, and the page brings it back."""
        return self.gone(writing.remove_section)

    @extend_schema(responses={200: RevisionShape(many=True)})
    @action(detail=True, pagination_class=None)
    def revisions(self, request, number, id):
        """The last hundred versions of a section, the newest first."""
        rows = self.get_object().revisions.select_related("by")[:100]
        return Response(RevisionShape(rows, many=True, context={"request": request}).data)

    @extend_schema(request=VersionShape, responses={200: SectionShape})
    @action(detail=True, methods=["post"])
    def restore(self, request, number, id):
        """Make the text of an older version the newest one."""
        row, version = self.get_object(), read_body(VersionShape, request)["version"]
        return self.answer(writing.restore(row.uuid, version, **self.caller()))


class MomentViewSet(Parts):
    """The timeline of a postmortem, in order: what was drawn from what is stored, and what people wrote.

    Hidden lines, and what a reworded one said before, are there for who may change it.
    """

    queryset = Moment.objects.all()
    for_readers = Q(is_shown=True)
    serializer_class = MomentShape
    ordering = ("at", "id")

    @extend_schema(request=NewMomentShape, responses={201: MomentShape})
    def create(self, request, number):
        """Write a line."""
        return self.made(moments.add, NewMomentShape)

    @extend_schema(request=MomentEditShape, responses={200: MomentShape})
    def partial_update(self, request, number, id):
        """Reword, hide or show a line."""
        return self.changed(moments.change, MomentEditShape)

    def destroy(self, request, number, id):
        """Delete a line that was written by hand. Others can be hidden."""
        return self.gone(moments.remove)

    @extend_schema(request=None, responses={200: MomentShape})
    @action(detail=True, methods=["post"], url_path="put-back")
    def put_back(self, request, number, id):
        """Let a line say again what was drawn."""
        return self.changed(moments.put_back)


class FactorViewSet(Parts):
    """What contributed, each by a cause in the same few words every time."""

    queryset = Factor.objects.all()
    serializer_class = FactorShape
    ordering = ("position", "id")

    @extend_schema(request=NewFactorShape, responses={201: FactorShape})
    def create(self, request, number):
        """Name a cause."""
        return self.made(writing.add_factor, NewFactorShape)

    @extend_schema(request=FactorEditShape, responses={200: FactorShape})
    def partial_update(self, request, number, id):
        """Change what is named of a cause."""
        return self.changed(writing.change_factor, FactorEditShape)

    def destroy(self, request, number, id):
        """Take a cause out."""
        return self.gone(writing.remove_factor)


class CommentViewSet(Parts):
    """What is said to sections. Whoever may read a postmortem may comment on it."""

    change_verb = "read"  # who may resolve one, its verb knows
    queryset = Comment.objects.select_related("section", "by", "resolved_by")
    serializer_class = CommentShape
    ordering = ("at", "id")
    http_method_names = ["get", "post", "head", "options"]

    @extend_schema(request=NewCommentShape, responses={201: CommentShape})
    def create(self, request, number):
        """Comment on a section, or on the whole."""
        return self.made(reviewing.comment, NewCommentShape)

    @extend_schema(request=None, responses={200: CommentShape})
    @action(detail=True, methods=["post"])
    def resolve(self, request, number, id):
        """Say that it is dealt with."""
        return self.changed(reviewing.resolve_comment)

    @extend_schema(request=None, responses={200: CommentShape})
    @action(detail=True, methods=["post"])
    def reopen(self, request, number, id):
        """Say that it is not dealt with after all."""
        return self.changed(reviewing.reopen_comment)


class ReviewViewSet(Parts):
    """Who is asked to read it before it is published, and what they said."""

    queryset = Review.objects.select_related("user", "asked_by")
    serializer_class = PostmortemReviewShape
    ordering = ("asked_at", "id")
    lookup_field = "user__uuid"
    lookup_url_kwarg = "user"
    http_method_names = ["get", "post", "delete", "head", "options"]

    @property
    def change_verb(self):
        return "read" if getattr(self, "action", None) == "verdict" else "respond"

    @extend_schema(request=AskShape, responses={200: PostmortemReviewShape(many=True)})
    def create(self, request, number):
        """Ask people to review it. A draft goes to review."""
        people = read_body(AskShape, request)["reviewers"]
        reviewing.ask(self.number(), people, **self.caller())
        return Response(self.get_serializer(self.get_queryset().order_by(*self.ordering), many=True).data)

    @extend_schema(request=VerdictShape, responses={200: PostmortemReviewShape})
    @action(detail=False, methods=["post"])
    def verdict(self, request, number):
        """Approve it or ask for changes, as one of those who were asked."""
        given = read_body(VerdictShape, request)
        return self.answer(reviewing.say(self.number(), **given, **self.caller()))

    def destroy(self, request, number, user):
        """Take somebody off the reviewers."""
        row = self.get_object()
        reviewing.unask(row.postmortem_id, row.user, **self.caller())
        return Response(status=status.HTTP_204_NO_CONTENT)


class ItemsOfPostmortemViewSet(Parts):
    """What is to be done so that it does not come again. PATCH /api/v1/action-items/… changes one."""

    queryset = ActionItem.objects.select_related("postmortem__team", "owner")
    serializer_class = ActionItemShape
    ordering = ("id",)
    http_method_names = ["get", "post", "head", "options"]

    @extend_schema(request=NewItemShape, responses={201: ActionItemShape})
    def create(self, request, number):
        """Write down what is to be done. Its owner is told."""
        return self.made(items.add, NewItemShape)


class ShareLinkViewSet(Parts):
    """Addresses that show a published postmortem to people without an account, for 1 to 90 days.

    Only who may change the postmortem sees them.
    """

    issued = ""
    queryset = ShareLink.objects.select_related("postmortem", "made_by")
    serializer_class = ShareLinkShape
    ordering = ("-id",)
    http_method_names = ["get", "post", "head", "options"]

    def get_queryset(self):
        rows = super().get_queryset()
        if not getattr(self, "swagger_fake_view", False) and not self.writes:
            self.permission_denied(self.request, message=RolePermission.message)
        return rows

    @extend_schema(request=NewLinkShape, responses={201: NewShareLinkShape})
    def create(self, request, number):
        """Make an address. It is shown this once."""
        link, token = sharing.make(self.number(), **read_body(NewLinkShape, request), **self.caller())
        self.issued = sharing.address_of(token)
        return Response(ShareLinkShape(link, context={"request": request}).data, status.HTTP_201_CREATED)

    def finalize_response(self, request, response, *args, **kwargs):
        # Only now, so that the address is not in what an Idempotency-Key remembers.
        if self.issued and response.status_code < status.HTTP_400_BAD_REQUEST:
            response.data = {**response.data, "address": self.issued}
        return super().finalize_response(request, response, *args, **kwargs)

    @extend_schema(request=None, responses={200: ShareLinkShape})
    @action(detail=True, methods=["post"])
    def revoke(self, request, number, id):
        """End it at once."""
        return self.changed(sharing.revoke)


class ActionItemViewSet(Writes, ReadViewSet):
    """Action items of all postmortems that you may see."""

    queryset = ActionItem.objects.select_related("postmortem__team", "owner")
    serializer_class = ActionItemShape
    filterset_class = ActionItemFilters
    ordering = ("-id",)
    lookup_field = "uuid"
    lookup_url_kwarg = "id"
    lookup_value_regex = UUID
    http_method_names = ["get", "patch", "head", "options"]

    change_verb = "read"  # its owner changes it too: see below

    def check_object_permissions(self, request, obj):
        """Its owner changes an item, as those do who may change its postmortem."""
        super().check_object_permissions(request, obj)
        is_change = request.method not in permissions.SAFE_METHODS
        if is_change and obj.owner_id != request.user.pk and not may(request.user, "respond", obj.postmortem):
            self.permission_denied(request, message=RolePermission.message)

    @extend_schema(request=ItemEditShape, responses={200: ActionItemShape})
    def partial_update(self, request, id):
        """Change it, or say how far it is: open, in_progress, completed, cancelled."""
        row = self.get_object()
        row = items.change(row.uuid, **read_body(ItemEditShape, request), **self.caller())
        return Response(self.get_serializer(self.get_queryset().get(pk=row.pk)).data)
