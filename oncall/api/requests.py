"""Swap and cover requests: somebody asks, others take or offer, somebody agrees. One address per verb."""

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins, serializers, status
from rest_framework.decorators import action
from rest_framework.generics import get_object_or_404
from rest_framework.response import Response

from accounts.api import PersonField, PersonFilter
from accounts.models import User
from core.rest import UUID, MomentField, ReadViewSet, Shape, WordsFilter, read_body
from oncall import swaps
from oncall.api.shapes import SCHEDULE_IN_PATH, ScheduleField, SpanFilters, schedule_of
from oncall.models import Duty, Offer, ShiftRequest


class OfferShape(Shape):
    id = serializers.UUIDField(source="uuid", read_only=True)
    user = PersonField(read_only=True)
    return_schedule = serializers.SlugRelatedField("slug", read_only=True)
    decided_by = PersonField(read_only=True)

    class Meta:
        model = Offer
        fields = [
            "id",
            "user",
            "state",
            "start_at",
            "end_at",
            "return_schedule",
            "return_role",
            "return_start_at",
            "return_end_at",
            "note",
            "created_at",
            "decided_by",
            "decided_at",
        ]
        read_only_fields = fields


class SwapShape(Shape):
    id = serializers.UUIDField(source="uuid", read_only=True)
    schedule = serializers.SlugRelatedField("slug", read_only=True)
    requester = PersonField(read_only=True, help_text="Whose shift it is: whoever asks.")
    asked = PersonField(
        queryset=User.objects.all(),
        required=False,
        allow_null=True,
        help_text=ShiftRequest._meta.get_field("asked").help_text,
    )
    wants_return = serializers.BooleanField(
        default=False, help_text="A swap: whoever takes it gives a shift of theirs in return."
    )
    offers = OfferShape(many=True, read_only=True)

    class Meta:
        model = ShiftRequest
        fields = [
            "id",
            "schedule",
            "role",
            "requester",
            "asked",
            "start_at",
            "end_at",
            "wants_return",
            "note",
            "state",
            "created_at",
            "closed_at",
            "offers",
        ]
        read_only_fields = ["state", "created_at", "closed_at"]


class TakeShape(serializers.Serializer):
    start_at = MomentField(required=False, help_text="Left out: from the start of what is asked for.")
    end_at = MomentField(required=False, help_text="Left out: until the end of what is asked for.")


class NewOfferShape(TakeShape):
    return_schedule = ScheduleField(required=False, allow_null=True, help_text="Left out: the same schedule.")
    return_role = serializers.ChoiceField(Duty.choices, default=Duty.PRIMARY)
    return_start_at = MomentField(required=False, allow_null=True, help_text="The shift that is wanted in return.")
    return_end_at = MomentField(required=False, allow_null=True)
    note = serializers.CharField(required=False, allow_blank=True, max_length=200)


class SwapFilters(SpanFilters):
    state = WordsFilter(choices=ShiftRequest.State.choices)
    requester = PersonFilter(label="Email or UUID.")
    asked = PersonFilter(label="Email or UUID.")


OFFER_IN_PATH = OpenApiParameter("offer", {"type": "string", "format": "uuid"}, OpenApiParameter.PATH)


def of_an_offer(verb):
    """An action at `offers/{offer}/{verb}` of a request."""
    return action(detail=True, methods=["post"], url_path=f"offers/(?P<offer>{UUID})/{verb}", filterset_class=None)


@extend_schema(parameters=[SCHEDULE_IN_PATH])
class SwapViewSet(mixins.CreateModelMixin, ReadViewSet):
    """Swap and cover requests of a schedule, the latest first. Every verb answers with the request's new state."""

    resource = "oncall"
    queryset = ShiftRequest.objects.select_related("schedule", "requester", "asked").prefetch_related(
        "offers__user", "offers__return_schedule", "offers__decided_by"
    )
    serializer_class = SwapShape
    filterset_class = SwapFilters
    ordering = ("-created_at", "-id")
    lookup_field = "uuid"
    lookup_value_regex = UUID

    def get_queryset(self):
        return super().get_queryset().filter(schedule=self._schedule())

    def _schedule(self):
        return schedule_of(self)

    def perform_create(self, serializer):
        given = {**serializer.validated_data, "requester": self.request.user, "now": timezone.now()}
        made = self.do(swaps.ask, self._schedule().pk, **given)
        serializer.instance = self.get_queryset().get(pk=made.pk)

    @extend_schema(request=TakeShape)
    @action(detail=True, methods=["post"])
    def take(self, request, slug, uuid):
        """Take the span, or a part of it, at once. Where the schedule says so, it waits for approval."""
        swaps.take(self.get_object().pk, user=request.user, **read_body(TakeShape, request), now=timezone.now())
        return self._answer()

    @extend_schema(request=NewOfferShape, responses={201: SwapShape})
    @action(detail=True, methods=["post"])
    def offer(self, request, slug, uuid):
        """Offer to take the span or a part of it, perhaps for a shift in return. The requester decides."""
        found = self.get_object()
        given = read_body(NewOfferShape, request)
        wanted = given.pop("return_schedule", None)
        if wanted is None and (given.get("return_start_at") or given.get("return_end_at")):
            wanted = found.schedule
        if wanted is None:
            given.pop("return_role")
        swaps.offer(found.pk, user=request.user, return_schedule_id=wanted and wanted.pk, **given, now=timezone.now())
        return self._answer(status.HTTP_201_CREATED)

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def cancel(self, request, slug, uuid):
        """Ask no longer. What was taken stays taken."""
        swaps.cancel(self.get_object().pk, by=request.user, now=timezone.now())
        return self._answer()

    @extend_schema(request=None)
    @action(detail=True, methods=["post"], url_path="decline", url_name="refuse")
    def refuse(self, request, slug, uuid):
        """Say no, as the one who is asked. The requester stays on call, and may ask somebody else."""
        swaps.refuse(self.get_object().pk, by=request.user, now=timezone.now())
        return self._answer()

    @extend_schema(request=None, parameters=[OFFER_IN_PATH])
    @of_an_offer("accept")
    def accept(self, request, slug, uuid, offer):
        """Agree to an offer: it counts at once, or waits for approval."""
        return self._decide(swaps.accept, offer)

    @extend_schema(request=None, parameters=[OFFER_IN_PATH])
    @of_an_offer("decline")
    def decline(self, request, slug, uuid, offer):
        """Say no to an offer."""
        return self._decide(swaps.decline, offer)

    @extend_schema(request=None, parameters=[OFFER_IN_PATH])
    @of_an_offer("approve")
    def approve(self, request, slug, uuid, offer):
        """Let an agreed offer count. For the admins of the team."""
        return self._decide(swaps.approve, offer)

    @extend_schema(request=None, parameters=[OFFER_IN_PATH])
    @of_an_offer("withdraw")
    def withdraw(self, request, slug, uuid, offer):
        """Take an offer of one's own back."""
        return self._decide(swaps.withdraw, offer)

    def _decide(self, verb, offer):
        found = get_object_or_404(Offer, request=self.get_object(), uuid=offer)
        verb(found.pk, by=self.request.user, now=timezone.now())
        return self._answer()

    def _answer(self, code=status.HTTP_200_OK):
        return Response(SwapShape(self.get_queryset().get(uuid=self.kwargs["uuid"])).data, status=code)
