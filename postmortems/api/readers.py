"""Who reviews a postmortem, what is said to it, and who reads it by a link."""

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.response import Response

from accounts.api import PersonField
from accounts.auth import RolePermission
from core.rest import Shape, read_body
from postmortems import reviewing, sharing
from postmortems.api.base import Parts, person_field
from postmortems.models import Comment, Review, ShareLink


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


class AskShape(serializers.Serializer):
    reviewers = serializers.ListField(
        child=person_field(), min_length=1, max_length=reviewing.MOST_REVIEWERS, help_text="By email or UUID."
    )


class VerdictShape(serializers.Serializer):
    verdict = serializers.ChoiceField(["approved", "changes"])
    note = serializers.CharField(
        required=False, allow_blank=True, max_length=reviewing.LONGEST_NOTE, help_text="With changes: what to change."
    )


class NewCommentShape(serializers.Serializer):
    text = serializers.CharField(max_length=reviewing.LONGEST_COMMENT, help_text="Markdown.")
    section = serializers.UUIDField(required=False, allow_null=True, help_text="Left out: about the whole.")


class NewLinkShape(serializers.Serializer):
    days = serializers.IntegerField(min_value=sharing.SHORTEST_DAYS, max_value=sharing.LONGEST_DAYS)


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
