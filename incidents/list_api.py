"""The list of incidents over REST: what is done to many at once, and saved views."""

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from accounts.api import PersonField, TeamField
from core.rest import NUMBER, ConfigureViewSet, Edge, Shape, read_body
from incidents import bulk, saved_views
from incidents.models import SavedView
from incidents.shapes import LARGEST_NUMBER, LONGEST_TEXT


class BulkShape(serializers.Serializer):
    verb = serializers.ChoiceField([(verb, label) for verb, label in bulk.VERBS.items()])
    numbers = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=LARGEST_NUMBER),
        max_length=1000,
        help_text=f"The incidents; at most {bulk.MOST_AT_ONCE}.",
    )
    note = serializers.CharField(
        required=False, allow_blank=True, max_length=LONGEST_TEXT, help_text="With resolve: what it was."
    )
    into = serializers.IntegerField(
        required=False, min_value=1, max_value=LARGEST_NUMBER, help_text="With merge: the incident that goes on."
    )


class BulkResultShape(serializers.Serializer):
    number = serializers.IntegerField()
    is_done = serializers.BooleanField()
    text = serializers.CharField(help_text="What came of it, in a sentence.")


class BulkResultsShape(serializers.Serializer):
    detail = serializers.CharField(help_text="What came of all, in a sentence.")
    results = BulkResultShape(many=True)


class BulkViewSet(Edge, ViewSet):
    resource = "incidents"
    is_paging = True

    @extend_schema(operation_id="incidents_bulk", request=BulkShape, responses={200: BulkResultsShape})
    def create(self, request):
        """Acknowledge, resolve or merge many incidents. Each is done by itself, and each says what came of it.

        The answer is 200 also when some of them were refused: read `is_done` of each.
        """
        given = read_body(BulkShape, request)
        results = bulk.do_many(**given, by=request.user, now=timezone.now(), via="api")
        return Response(BulkResultsShape({"detail": bulk.said(given["verb"], results), "results": results}).data)


class SavedViewShape(Shape):
    owner = PersonField(read_only=True)
    team = TeamField(required=False, allow_null=True, help_text=SavedView._meta.get_field("team").help_text)

    class Meta:
        model = SavedView
        fields = ["id", "name", "query", "owner", "team", "created_at"]
        read_only_fields = ["created_at"]
        validators = []  # saved_views says it in its own words

    def create(self, validated_data):
        request = self.context["request"]
        return saved_views.save(request.user, **{"query": "", **validated_data}, now=timezone.now())

    def update(self, view, validated_data):
        return saved_views.change(view, by=self.context["request"].user, now=timezone.now(), **validated_data)


class SavedViewViewSet(ConfigureViewSet):
    """Filters of the list under a name: one's own, and those of one's teams."""

    resource = "incidents"
    change_verb = "read"  # a view shows what its reader may see; `saved_views` knows who changes it
    queryset = SavedView.objects.select_related("owner", "team")
    serializer_class = SavedViewShape
    ordering = ("name", "id")
    lookup_value_regex = NUMBER
    http_method_names = ["get", "post", "patch", "delete", "head", "options"]

    def get_queryset(self):
        if not self.request:  # the OpenAPI document is made
            return super().get_queryset()
        return saved_views.of(self.request.user).select_related("owner", "team")

    def perform_destroy(self, view):
        saved_views.remove(view, by=self.request.user)
