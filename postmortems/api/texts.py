"""What a postmortem says: its sections, its timeline, and what contributed."""

from django.db.models import Q
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.response import Response

from accounts.api import PersonField
from core.rest import MomentField, Shape, read_body
from postmortems import factors, moments, writing
from postmortems.api.base import Parts, SeenShape
from postmortems.models import Factor, Moment, Revision, Section


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
        return self.made(factors.add, NewFactorShape)

    @extend_schema(request=FactorEditShape, responses={200: FactorShape})
    def partial_update(self, request, number, id):
        """Change what is named of a cause."""
        return self.changed(factors.change, FactorEditShape)

    def destroy(self, request, number, id):
        """Take a cause out."""
        return self.gone(factors.remove)
