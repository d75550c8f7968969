"""API keys over the API. A key never gives more than the key that makes it has."""

import datetime as dt

import django_filters
from django.db.models import Q
from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.response import Response

from accounts import keys, scopes
from accounts.api import PersonShape, TeamField, TeamFilter
from accounts.models import ApiKey, Role
from core.errors import NotAllowed
from core.rest import ConfigureViewSet, Filters, Shape, WordsFilter, read_body

STATES = [(one, one.capitalize()) for one in (ApiKey.VALID, ApiKey.EXPIRED, ApiKey.REVOKED)]


class RotateShape(serializers.Serializer):
    overlap_seconds = serializers.IntegerField(
        min_value=0,
        max_value=int(keys.LONGEST_OVERLAP.total_seconds()),
        default=24 * 3600,
        help_text="How long the old key still works; 0: it stops at once.",
    )

    @classmethod
    def overlap_of(cls, request):
        """The overlap that a request asks for, as a timedelta."""
        return dt.timedelta(seconds=read_body(cls, request)["overlap_seconds"])


class ApiKeyShape(Shape):
    id = serializers.CharField(source="prefix", read_only=True, help_text="The key begins with wb_, this, and _.")
    scopes = serializers.ListField(
        child=serializers.CharField(max_length=40),
        max_length=len(scopes.ALL),
        help_text=f"Some of {', '.join(scopes.ALL)}. Writing includes reading.",
    )
    role = serializers.ChoiceField(
        choices=Role.choices,
        source="user.role",
        default=Role.RESPONDER,
        help_text="Of the machine that the key acts as; the scopes narrow it.",
    )
    team = TeamField(required=False, allow_null=True, help_text="With it the key reaches nothing else.")
    acts_as = serializers.SerializerMethodField(help_text="The person; null for the key of a program.")
    state = serializers.SerializerMethodField()

    class Meta:
        model = ApiKey
        fields = [
            "id",
            "name",
            "scopes",
            "role",
            "team",
            "acts_as",
            "is_personal",
            "state",
            "created_at",
            "last_used_at",
            "expires_at",
            "revoked_at",
            "old_secret_until",
        ]
        read_only_fields = ["is_personal", "created_at", "last_used_at", "revoked_at", "old_secret_until"]

    @extend_schema_field(PersonShape(allow_null=True))
    def get_acts_as(self, key):
        return None if key.user.is_machine else PersonShape(key.user).data

    @extend_schema_field(serializers.ChoiceField(choices=STATES))
    def get_state(self, key):
        return key.state_at(timezone.now())

    def validate_scopes(self, given):
        try:
            return scopes.parse(given)
        except ValueError as error:
            raise serializers.ValidationError(str(error)) from None

    def validate_expires_at(self, moment):
        if moment and moment <= timezone.now():
            raise serializers.ValidationError("This time is over. Choose a later one, or revoke the key.")
        return moment

    def validate(self, fields):
        if self.instance:
            given = {**fields, "role": fields.get("user", {}).get("role")}
            kept = {"scopes": self.instance.scopes, "team": self.instance.team, "role": self.instance.user.role}
            for name, value in kept.items():
                if name in self.initial_data and given.get(name) != value:
                    raise serializers.ValidationError({name: "This cannot be changed. Make another key for that."})
        return fields


class IssuedApiKeyShape(ApiKeyShape):
    key = serializers.CharField(read_only=True, help_text="Shown only now.")

    class Meta(ApiKeyShape.Meta):
        fields = [*ApiKeyShape.Meta.fields, "key"]


class ApiKeyFilters(Filters):
    state = WordsFilter(choices=STATES, method="of_states")
    team = TeamFilter()
    is_personal = django_filters.BooleanFilter()

    def of_states(self, queryset, name, words):
        if not words:
            return queryset
        now, wanted = timezone.now(), Q(pk__in=())
        for word in words:
            wanted |= Q(pk__in=ApiKey.objects.in_state(word, now=now).values("pk"))
        return queryset.filter(wanted)


class ApiKeyViewSet(ConfigureViewSet):
    """Keys of programs, and one's own tokens. A key made here acts as a machine; its text is shown only once."""

    resource = "people"
    change_verb = "read"  # one's own tokens are everybody's to end; who may make and change others, `keys` decides
    queryset = ApiKey.objects.select_related("user", "team")
    serializer_class = ApiKeyShape
    filterset_class = ApiKeyFilters
    ordering = ("name", "id")
    lookup_field = "prefix"
    lookup_url_kwarg = "id"
    lookup_value_regex = "[0-9a-f]{12}"
    http_method_names = ["get", "post", "patch", "delete", "head", "options"]
    issued = ""

    def get_queryset(self):
        rows = super().get_queryset()
        if not self.request:  # the OpenAPI document is made
            return rows
        access = self.request.user.access()
        if not access.allows("configure"):
            rows = rows.filter(Q(user=self.request.user) | Q(team__in=access.own_teams("configure")))
        through = self._through()
        return rows.filter(team=through.team_id) if through and through.team_id else rows

    def _through(self):
        """The key of this request, or None where somebody is signed in."""
        return self.request.auth if isinstance(self.request.auth, ApiKey) else None

    @extend_schema(request=ApiKeyShape, responses={201: IssuedApiKeyShape})
    def create(self, request, *args, **kwargs):
        return super().create(request, *args, **kwargs)

    def perform_create(self, serializer):
        given = {**serializer.validated_data, **serializer.validated_data["user"]}
        del given["user"]
        made = keys.issue_machine_key(**given, by=self.request.user, through=self._through())
        serializer.instance, self.issued = made

    def perform_update(self, serializer):
        key, given = serializer.instance, serializer.validated_data
        if not keys.may_revoke(self.request.user, key):
            raise NotAllowed("Only its person, or an admin of its team, may change this key.")
        if "expires_at" in given:
            keys.check_within_key(self._through(), scopes=key.scopes, team=key.team, expires_at=given["expires_at"])
        for name in {"name", "expires_at"} & given.keys():
            setattr(key, name, given[name])
        key.save(update_fields=["name", "expires_at"])

    def perform_destroy(self, instance):
        """Revoke it. The row stays: what the key did is told with its name."""
        keys.revoke(instance.pk, by=self.request.user, now=timezone.now())

    @extend_schema(request=RotateShape, responses={200: IssuedApiKeyShape})
    @action(detail=True, methods=["post"])
    def rotate(self, request, id):
        """Issue a new text; the old one works for a while longer, or stops at once."""
        key, self.issued = keys.rotate(
            self.get_object().pk,
            by=request.user,
            now=timezone.now(),
            overlap=RotateShape.overlap_of(request),
            through=self._through(),
        )
        return Response(self.get_serializer(key).data)

    @extend_schema(request=None)
    @action(detail=True, methods=["post"], url_path="stop-old")
    def stop_old(self, request, id):
        """Stop the text before the last rotation now."""
        return Response(self.get_serializer(keys.stop_old(self.get_object().pk, by=request.user)).data)

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def revoke(self, request, id):
        """End the key for good."""
        key = keys.revoke(self.get_object().pk, by=request.user, now=timezone.now())
        return Response(self.get_serializer(key).data)

    def finalize_response(self, request, response, *args, **kwargs):
        # Only now, so that the key is not in what an Idempotency-Key remembers.
        if self.issued and response.status_code < status.HTTP_400_BAD_REQUEST:
            response.data = {**response.data, "key": self.issued}
        return super().finalize_response(request, response, *args, **kwargs)
