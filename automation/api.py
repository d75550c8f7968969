"""Hypotheses and recommended actions: programs post them, people approve or reject them."""

import django_filters
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.response import Response

from accounts.api import PersonField
from automation import proposals
from automation.models import Hypothesis, RecommendedAction, Verdict
from core.rest import UUID, Filters, MomentFilter, ReadViewSet, Shape, WordsFilter, read_body, visible
from incidents.models import Incident
from incidents.shapes import LARGEST_NUMBER


class EvidenceShape(serializers.Serializer):
    """What a proposal stands on."""

    text = serializers.CharField(max_length=proposals.LONGEST_EVIDENCE)
    url = serializers.URLField(required=False, allow_blank=True, max_length=1000, help_text="https:// or http://.")

    def validate_url(self, value):
        if value and not value.lower().startswith(("https://", "http://")):
            raise serializers.ValidationError("Begin the address with https:// or http://.")
        return value


class NumberField(serializers.IntegerField):
    """The number of an incident that the caller sees."""

    def __init__(self, **kwargs):
        super().__init__(min_value=1, max_value=LARGEST_NUMBER, **kwargs)

    def to_internal_value(self, data):
        number = super().to_internal_value(data)
        if not visible(self, Incident.objects.filter(pk=number)).exists():
            raise serializers.ValidationError(f"There is no incident #{number}.")
        return number


class ProposalShape(Shape):
    incident = serializers.IntegerField(source="incident_id", read_only=True)
    evidence = EvidenceShape(many=True, read_only=True)
    proposed_by = PersonField(read_only=True)
    reviewed_by = PersonField(read_only=True)


FIELDS = [
    "uuid",
    "incident",
    "text",
    "confidence",
    "evidence",
    "source",
    "proposed_by",
    "proposed_at",
    "verdict",
    "reviewed_by",
    "reviewed_at",
    "feedback",
]


class HypothesisShape(ProposalShape):
    class Meta:
        model = Hypothesis
        fields = FIELDS
        read_only_fields = fields


class RecommendedActionShape(ProposalShape):
    hypothesis = serializers.SlugRelatedField("uuid", read_only=True)

    class Meta:
        model = RecommendedAction
        fields = [*FIELDS, "hypothesis", "risk"]
        read_only_fields = fields


class NewHypothesisShape(serializers.Serializer):
    incident = NumberField()
    text = serializers.CharField(max_length=proposals.LONGEST_TEXT, help_text="Why it may be broken. Markdown.")
    confidence = serializers.FloatField(required=False, allow_null=True, min_value=0, max_value=1)
    evidence = EvidenceShape(many=True, required=False, max_length=proposals.MOST_EVIDENCE)
    source = serializers.CharField(max_length=100, help_text="The program that says so.")


class NewRecommendedActionShape(NewHypothesisShape):
    text = serializers.CharField(max_length=proposals.LONGEST_TEXT, help_text="What to do. Markdown.")
    hypothesis = serializers.UUIDField(
        required=False, help_text="The hypothesis of the same incident it follows from."
    )
    risk = serializers.ChoiceField(["low", "medium", "high"], required=False)

    def validate(self, fields):
        if "hypothesis" in fields:
            rows = Hypothesis.objects.filter(incident=fields["incident"])
            fields["hypothesis"] = rows.filter(uuid=fields["hypothesis"]).first()
            if fields["hypothesis"] is None:
                raise serializers.ValidationError(
                    {"hypothesis": f"Incident #{fields['incident']} has no hypothesis with this id."}
                )
        return fields


class ReviewShape(serializers.Serializer):
    feedback = serializers.CharField(
        required=False, allow_blank=True, max_length=proposals.LONGEST_FEEDBACK, help_text="What you say to it."
    )
    seen = serializers.ChoiceField(
        Verdict.choices,
        required=False,
        help_text="The verdict that you saw. When somebody gave another one meanwhile, the answer is 409.",
    )


class ProposalFilters(Filters):
    incident = django_filters.NumberFilter(min_value=1, max_value=LARGEST_NUMBER, label="Its number.")
    verdict = WordsFilter(choices=Verdict.choices)
    source = django_filters.CharFilter(label="The program that said so.")
    since = MomentFilter(field_name="proposed_at", lookup_expr="gte", label="Proposed at this time or later.")
    until = MomentFilter(field_name="proposed_at", lookup_expr="lt", label="Proposed before this time.")


class _Proposals(ReadViewSet):
    resource = "proposals"
    sentences = ("text", "feedback")
    filterset_class = ProposalFilters
    lookup_field = "uuid"
    lookup_value_regex = UUID
    ordering = ("-id",)
    http_method_names = ["get", "post", "head", "options"]

    def propose(self, request, shape):
        given = read_body(shape, request)
        number = given.pop("incident")
        caller = {"by": request.user, "now": timezone.now(), "via": "api"}
        row = self.do(proposals.propose, self.queryset.model, number, **given, **caller)
        return Response(self.get_serializer(row).data, status=status.HTTP_201_CREATED)

    def review(self, request, verdict):
        row = self.get_object()
        caller = {"by": request.user, "now": timezone.now(), "via": "api"}
        given = read_body(ReviewShape, request)
        row = proposals.review(self.queryset.model, row.uuid, verdict=verdict, **given, **caller)
        return Response(self.get_serializer(row).data)


PEOPLE = ("proposed_by", "reviewed_by")


class HypothesisViewSet(_Proposals):
    queryset = Hypothesis.objects.select_related(*PEOPLE)
    serializer_class = HypothesisShape

    @extend_schema(request=NewHypothesisShape, responses={201: HypothesisShape})
    def create(self, request):
        """Say why an incident may be broken. It pages nobody, and stands on the incident's page for review."""
        return self.propose(request, NewHypothesisShape)

    @extend_schema(request=ReviewShape)
    @action(detail=True, methods=["post"])
    def approve(self, request, uuid):
        """Say that it is right. Only a person does."""
        return self.review(request, Verdict.APPROVED)

    @extend_schema(request=ReviewShape)
    @action(detail=True, methods=["post"])
    def reject(self, request, uuid):
        """Say that it is wrong. Only a person does."""
        return self.review(request, Verdict.REJECTED)


class RecommendedActionViewSet(_Proposals):
    queryset = RecommendedAction.objects.select_related(*PEOPLE, "hypothesis")
    serializer_class = RecommendedActionShape

    @extend_schema(request=NewRecommendedActionShape, responses={201: RecommendedActionShape})
    def create(self, request):
        """Say what to do about an incident. Nothing is done by it."""
        return self.propose(request, NewRecommendedActionShape)

    @extend_schema(request=ReviewShape)
    @action(detail=True, methods=["post"])
    def approve(self, request, uuid):
        """Say that it is to be done. Only a person does. Without a runbook this is recorded, and nothing is run."""
        return self.review(request, Verdict.APPROVED)

    @extend_schema(request=ReviewShape)
    @action(detail=True, methods=["post"])
    def reject(self, request, uuid):
        """Say that it is not to be done. Only a person does."""
        return self.review(request, Verdict.REJECTED)
