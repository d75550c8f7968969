"""What the alerts know about an incident: earlier ones like it, and what was changed before it."""

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from accounts.api import PersonField
from alerts import changes as changed
from alerts import similar as alike
from alerts.api.integrations import ChangeEventShape
from core.rest import NUMBER, Edge, MomentField
from incidents import messages
from incidents.models import Incident


class SimilarShape(serializers.Serializer):
    """An earlier incident, and how it ended."""

    number = serializers.IntegerField(source="incident.pk")
    title = serializers.CharField(source="incident.title")
    status = serializers.CharField(source="incident.status")
    severity = serializers.CharField(source="incident.severity")
    service = serializers.CharField(source="incident.service.slug")
    is_same_alert = serializers.BooleanField(help_text="False: its words are alike.")
    triggered_at = MomentField(source="incident.triggered_at")
    resolved_at = MomentField(source="incident.resolved_at", allow_null=True)
    resolved_by = PersonField(source="incident.resolved_by", read_only=True, allow_null=True)
    resolution_note = serializers.CharField(source="incident.resolution_note")
    took_seconds = serializers.FloatField(allow_null=True)
    notes = serializers.SerializerMethodField(help_text="Its last notes.")
    web_url = serializers.SerializerMethodField()

    def get_notes(self, one) -> list[str]:
        return [note.text for note in one.notes]

    def get_web_url(self, one) -> str:
        return messages.url_of(one.incident)


class ChangeBesideShape(ChangeEventShape):
    is_before = serializers.BooleanField(read_only=True, help_text="Whether it came before the incident.")

    class Meta(ChangeEventShape.Meta):
        fields = [*ChangeEventShape.Meta.fields, "is_before"]
        read_only_fields = fields


class BesideViewSet(Edge, GenericViewSet):
    resource = "incidents"
    sentences = ("resolution_note", "notes")
    queryset = Incident.objects.select_related("service")
    serializer_class = SimilarShape
    lookup_field = "number"
    lookup_value_regex = NUMBER
    http_method_names = ["get", "head", "options"]

    @extend_schema(responses=SimilarShape(many=True), filters=False)
    @action(detail=True, pagination_class=None)
    def similar(self, request, number):
        """Earlier incidents like it, the likest first, and how they ended."""
        return Response(SimilarShape(alike.find(self.get_object(), request.user), many=True).data)

    @extend_schema(responses=ChangeBesideShape(many=True), filters=False)
    @action(detail=True, pagination_class=None, serializer_class=ChangeBesideShape)
    def changes(self, request, number):
        """What was changed in the 24 hours before it and during it: its service, and those it needs."""
        return Response(ChangeBesideShape(changed.around(self.get_object(), request.user), many=True).data)
