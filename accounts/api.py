"""People and teams, and how other API modules name a person."""

import uuid

import django_filters
from django.core.exceptions import ValidationError
from drf_spectacular.extensions import OpenApiAuthenticationExtension, OpenApiSerializerFieldExtension
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.response import Response

from accounts.models import Membership, Role, Team, User
from accounts.permissions import may
from core.errors import NotAllowed
from core.rest import (
    SLUG,
    UUID,
    ConfigureViewSet,
    Filters,
    NamedField,
    NameFilter,
    Shape,
    SluggedShape,
    WordsFilter,
    is_storable,
    read_value,
)


class ApiKeyScheme(OpenApiAuthenticationExtension):
    target_class = "accounts.auth.ApiKeyAuthentication"
    name = ["apiKey", "apiKeyHeader"]

    def get_security_definition(self, auto_schema):
        return [
            {"type": "http", "scheme": "bearer", "bearerFormat": "wb_…"},
            {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        ]

    def get_security_requirement(self, auto_schema):
        return [{name: []} for name in self.name]


class PersonFilter(django_filters.CharFilter):
    """Rows that belong to a person, named by email or UUID."""

    def filter(self, qs, value):
        return qs.filter(**{self.field_name: read_value(self, value)}) if value else qs

    @staticmethod
    def read(value):
        return PersonField(queryset=User.objects.all()).to_internal_value(value)


def acting_person(request):
    """Whose key or session this is. Raises a ValidationError when a machine's: it is never on call."""
    if request.user.is_machine:
        raise serializers.ValidationError({"user": "This key acts as a machine, so say which person is meant."})
    return request.user


# --- people and teams -----------------------------------------------------------------------------------------


class PersonShape(serializers.Serializer):
    uuid = serializers.UUIDField()
    email = serializers.CharField()
    name = serializers.CharField(source="get_full_name")


class PersonField(serializers.RelatedField):
    """A person: given as email, UUID or an object with one of them; shown as UUID, email and name."""

    default_error_messages = {
        "does_not_exist": "There is no person “{value}”. GET /api/v1/users lists them.",
        "invalid": "Name a person by email or UUID, as text. GET /api/v1/users lists them.",
    }

    def to_internal_value(self, data):
        if isinstance(data, dict):
            data = data.get("uuid") or data.get("email")
        if not isinstance(data, str):
            self.fail("invalid")
        try:
            wanted = {"uuid": uuid.UUID(data)}
        except ValueError:
            wanted = {"email__iexact": data}
        # A machine is never called, added to a team or put on call.
        person = self.get_queryset().filter(**wanted, is_machine=False).first() if is_storable(data) else None
        if person is None:
            self.fail("does_not_exist", value=data[:254])
        return person

    def to_representation(self, person):
        return PersonShape(person).data


class PersonFieldSchema(OpenApiSerializerFieldExtension):
    target_class = PersonField
    match_subclasses = True

    def map_serializer_field(self, auto_schema, direction):
        shown = auto_schema.resolve_serializer(PersonShape, "response").ref
        if self.target.read_only:
            return shown
        given = {"type": "string", "description": "To write: an email or UUID.", "example": "alice@example.com"}
        return {"oneOf": [given, shown]}


class TeamField(NamedField):
    def __init__(self, **kwargs):
        if not kwargs.get("read_only"):
            kwargs.setdefault("queryset", Team.objects.all())
        super().__init__(noun="team", path="teams", **kwargs)


class TeamFilter(NameFilter):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, model=Team, noun="team", path="teams", **kwargs)


class UserShape(Shape):
    email = serializers.EmailField(max_length=254)

    class Meta:
        model = User
        fields = ["uuid", "email", "name", "role", "time_zone", "is_active", "is_machine"]

    def validate_email(self, email):
        if self.instance and email != self.instance.email:
            raise serializers.ValidationError("The address that a person signs in with is changed in the admin only.")
        if not self.instance and User.objects.filter(email__iexact=email).exists():
            raise serializers.ValidationError(f"There is a person with the address {email} already.")
        return email

    def validate_time_zone(self, name):
        try:
            User(time_zone=name).clean()
        except ValidationError as error:
            raise serializers.ValidationError(error.message_dict["time_zone"]) from None
        return name

    def create(self, validated_data):
        return User.objects.create_user(**validated_data)


class UserFilters(Filters):
    role = WordsFilter(choices=Role.choices)
    team = TeamFilter(field_name="memberships__team")
    is_active = django_filters.BooleanFilter()
    is_machine = django_filters.BooleanFilter(label="Machines are listed only when asked for: what API keys act as.")

    def filter_queryset(self, queryset):
        rows = super().filter_queryset(queryset)
        return rows if self.form.cleaned_data["is_machine"] is not None else rows.people()


class UserViewSet(ConfigureViewSet):
    """People. One who leaves is made inactive, not deleted: incidents keep their names."""

    resource = "people"
    queryset = User.objects.all()
    serializer_class = UserShape
    filterset_class = UserFilters
    ordering = ("email",)
    lookup_field = "uuid"
    lookup_value_regex = UUID
    http_method_names = ["get", "post", "patch", "head", "options"]

    @action(detail=False)
    def me(self, request):
        """The person whose key or session this is."""
        return Response(self.get_serializer(request.user).data)


class MemberShape(Shape):
    user = PersonField(queryset=User.objects.all())

    class Meta:
        model = Membership
        fields = ["user", "role"]


class TeamShape(SluggedShape):
    members = MemberShape(
        source="memberships",
        many=True,
        required=False,
        max_length=500,
        help_text="Replaced as a whole when given; kept when left out.",
    )

    class Meta:
        model = Team
        fields = ["slug", "name", "description", "is_private", "members"]

    def validate_members(self, members):
        people = [member["user"] for member in members]
        if len(set(people)) < len(people):
            raise serializers.ValidationError("Somebody is in this list twice. Name each person once.")
        return members

    def create(self, validated_data):
        members = validated_data.pop("memberships", ())
        return self._with(super().create(validated_data), members)

    def update(self, team, validated_data):
        members = validated_data.pop("memberships", None)
        return self._with(super().update(team, validated_data), members)

    @staticmethod
    def _with(team, members):
        if members is not None:
            team.memberships.all().delete()
            Membership.objects.bulk_create(Membership(team=team, **member) for member in members)
        return team


class TeamViewSet(ConfigureViewSet):
    """Teams. Their admins change them; which there are, and their names, is for the platform's admins."""

    resource = "people"
    queryset = Team.objects.prefetch_related("memberships__user")
    serializer_class = TeamShape
    ordering = ("name",)
    lookup_field = "slug"
    lookup_value_regex = SLUG

    def perform_create(self, serializer):
        self._check_administers()
        super().perform_create(serializer)

    def perform_update(self, serializer):
        team, given = serializer.instance, serializer.validated_data
        if any(given.get(name, getattr(team, name)) != getattr(team, name) for name in ("name", "slug")):
            self._check_administers()
        super().perform_update(serializer)

    def perform_destroy(self, team):
        self._check_administers()
        super().perform_destroy(team)

    def _check_administers(self):
        if not may(self.request.user, "administer"):
            raise NotAllowed("Only an admin of the platform makes, renames and deletes teams. Ask one.")
