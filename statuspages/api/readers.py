"""Who is told what is posted, and which partners may look."""

from django.db import transaction
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers, status
from rest_framework.decorators import action
from rest_framework.exceptions import NotFound
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from accounts.permissions import may
from core.errors import NotAllowed
from core.limits import client_address
from core.rest import UUID, ConfigureViewSet, Edge, Filters, NamedField, Shape, WordsFilter
from statuspages import partners, subscribing
from statuspages.api.pages import ComponentField, OfPage
from statuspages.models import Partner, PartnerSession, StatusPage, Subscriber

# --- subscribers --------------------------------------------------------------------------------------------------


class SubscriberShape(Shape):
    id = serializers.UUIDField(source="uuid", read_only=True)
    address = serializers.CharField(source="destination.shown", read_only=True, help_text="Masked.")
    components = ComponentField(many=True, read_only=True)

    class Meta:
        model = Subscriber
        fields = [
            "id",
            "channel",
            "address",
            "components",
            "confirmed_at",
            "asked_at",
            "ended_at",
            "end_reason",
            "created_at",
        ]
        read_only_fields = fields


class NewSubscriberShape(serializers.Serializer):
    channel = serializers.ChoiceField(choices=Subscriber.Channel.choices)
    address = serializers.CharField(max_length=2000, help_text="A mail address, or the address of a webhook.")
    components = ComponentField(many=True, required=False, help_text="None: everything on the page.")


class SubscriberAskedShape(serializers.Serializer):
    detail = serializers.CharField()


class SubscriberFilters(Filters):
    channel = WordsFilter(choices=Subscriber.Channel.choices)


class SubscriberViewSet(
    OfPage, Edge, mixins.ListModelMixin, mixins.RetrieveModelMixin, mixins.DestroyModelMixin, GenericViewSet
):
    """Addresses outside that are told what is posted. They confirm before anything else is sent to them."""

    change_verb = "configure"
    queryset = Subscriber.objects.select_related("page__team", "destination").prefetch_related("components")
    serializer_class = SubscriberShape
    filterset_class = SubscriberFilters
    ordering = ("-id",)

    @extend_schema(request=NewSubscriberShape, responses={202: SubscriberAskedShape})
    def create(self, request, slug):
        """Ask an address whether it wants to be told. The answer is the same whoever is subscribed already."""
        self.check_object_permissions(request, self.page)
        given = self.given(NewSubscriberShape)
        given["components"] = [str(one.uuid) for one in given.get("components", ())]
        subscribing.ask(self.page, **given, now=timezone.now(), address_of_client=client_address(request))
        said = "The address is asked. It is told what is posted once it has confirmed."
        return Response({"detail": said}, status=status.HTTP_202_ACCEPTED)

    def perform_destroy(self, instance):
        subscribing.stop(instance.uuid, by=self.request.user, now=timezone.now())


# --- partners -----------------------------------------------------------------------------------------------------


class PartnerShape(Shape):
    id = serializers.UUIDField(source="uuid", read_only=True)
    pages = NamedField(
        queryset=StatusPage.objects.all(),
        noun="status page",
        path="status-pages",
        many=True,
        allow_empty=False,
        help_text="What they may read, of pages whose readers are partners.",
    )

    class Meta:
        model = Partner
        fields = ["id", "name", "email", "company", "pages", "expires_at", "is_enabled", "created_at"]
        read_only_fields = ["created_at"]

    def validate_email(self, email):
        rows = Partner.objects.filter(email__iexact=email)
        if rows.exclude(pk=self.instance and self.instance.pk).exists():
            raise serializers.ValidationError("There is a partner with this address already. Choose another.")
        return email.lower()

    def create(self, validated_data):
        return super().create({"created_by": self.context["request"].user, **validated_data})


class PartnerSessionShape(Shape):
    id = serializers.UUIDField(source="uuid", read_only=True)

    class Meta:
        model = PartnerSession
        fields = ["id", "created_at", "seen_at", "expires_at", "revoked_at", "address", "agent"]
        read_only_fields = fields


class PartnerViewSet(ConfigureViewSet):
    """People of other companies who may read certain pages by a link in a mail. Nothing else opens for them."""

    resource = "status"
    queryset = Partner.objects.prefetch_related("pages")
    serializer_class = PartnerShape
    ordering = ("name", "id")
    lookup_field = "uuid"
    lookup_url_kwarg = "id"
    lookup_value_regex = UUID
    http_method_names = ["get", "post", "patch", "delete", "head", "options"]

    def get_queryset(self):
        # People outside, with their addresses: only who arranges for them reads of them.
        return partners.arranged_by(self.request.user, super().get_queryset())

    def check_object_permissions(self, request, obj):
        """Whoever changes a partner could look as them: so every page that opens must be theirs to configure."""
        super().check_object_permissions(request, obj)
        if request.method not in ("GET", "HEAD", "OPTIONS"):
            for page in obj.pages.all():
                if not may(request.user, "configure", page):
                    raise NotAllowed(f"Only admins of {page.name} change who reads it. Ask one of them.")

    def perform_update(self, serializer):
        email_before = serializer.instance.email
        with transaction.atomic():
            super().perform_update(serializer)
            partner = serializer.instance
            partners.close_if_other(partner, email_before=email_before, now=timezone.now())
            partner._prefetched_objects_cache = {}
            self.check_object_permissions(self.request, partner)

    @extend_schema(request=None, responses={202: PartnerShape})
    @action(detail=True, methods=["post"], url_path="send-link")
    def send_link(self, request, id):
        """Mail them a link that opens once, within 15 minutes."""
        partner = partners.invite(self.get_object().pk, by=request.user, now=timezone.now())
        return Response(self.get_serializer(partner).data, status=status.HTTP_202_ACCEPTED)

    @extend_schema(responses=PartnerSessionShape(many=True))
    @action(detail=True, pagination_class=None)
    def sessions(self, request, id):
        """The browsers in which they are signed in."""
        rows = partners.open_sessions(timezone.now()).filter(partner=self.get_object())
        return Response(PartnerSessionShape(rows, many=True).data)

    @extend_schema(request=None, responses=PartnerSessionShape(many=True))
    @action(detail=True, methods=["post"], url_path=f"sessions/(?P<session>{UUID})/revoke", pagination_class=None)
    def revoke(self, request, id, session):
        """End a session for them."""
        partner = self.get_object()
        if not partner.sessions.filter(uuid=session).exists():
            raise NotFound("The partner has no such session.")
        partners.revoke(session, by=request.user, now=timezone.now())
        return Response(
            PartnerSessionShape(partners.open_sessions(timezone.now()).filter(partner=partner), many=True).data
        )
