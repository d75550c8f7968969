"""Calendars out and in, and holidays."""

import django_filters
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers, status
from rest_framework.decorators import action
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from accounts.api import PersonField, TeamField, TeamFilter, acting_person
from accounts.models import ApiKey, User
from accounts.permissions import may
from core.errors import IllegalMove, NotAllowed
from core.rest import NUMBER, UUID, ConfigureViewSet, DayField, Edge, Filters, Shape, WordsFilter
from oncall import feeds, ical, imports
from oncall.api.shapes import OriginField, ScheduleField, ScheduleFilter
from oncall.models import CalendarFeed, CalendarImport, Holiday


class DayFilter(django_filters.DateFilter):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, error_messages={"invalid": DayField.default_error_messages["invalid"]}, **kwargs)


# --- out ------------------------------------------------------------------------------------------------------


class CalendarFeedShape(Shape):
    id = serializers.UUIDField(source="uuid", read_only=True)
    person = PersonField(queryset=User.objects.all(), required=False, allow_null=True)
    schedule = ScheduleField(required=False, allow_null=True)
    team = TeamField(required=False, allow_null=True)
    address = serializers.SerializerMethodField(
        help_text="For a calendar program. Shown only once, in the answer that makes it; null otherwise."
    )

    class Meta:
        model = CalendarFeed
        fields = ["id", "name", "person", "schedule", "team", "created_at", "last_used_at", "address"]
        read_only_fields = ["created_at", "last_used_at"]

    def get_address(self, feed) -> str | None:
        return None

    def validate(self, fields):
        if sum(bool(fields.get(name)) for name in ("person", "schedule", "team")) > 1:
            raise serializers.ValidationError(
                "Choose one: a person, a schedule or a team. With none it is of your own shifts."
            )
        return fields


class CalendarFeedViewSet(
    Edge, mixins.ListModelMixin, mixins.RetrieveModelMixin, mixins.CreateModelMixin, GenericViewSet
):
    """One's own calendar addresses, the latest first. Whoever has one of them can read the shifts, so keep it."""

    resource = "oncall"
    change_verb = "read"  # they show what their owner may read
    queryset = CalendarFeed.objects.filter(revoked_at=None).select_related("person", "schedule", "team")
    serializer_class = CalendarFeedShape
    ordering = ("-created_at", "-id")
    lookup_field = "uuid"
    lookup_value_regex = UUID
    made = None

    def get_queryset(self):
        if not self.request:  # the OpenAPI document is made
            return super().get_queryset()
        return super().get_queryset().filter(owner=self.request.user)

    def perform_create(self, serializer):
        given = dict(serializer.validated_data)
        if not any(given.get(name) for name in ("person", "schedule", "team")):
            given["person"] = acting_person(self.request)
        key = self.request.auth if isinstance(self.request.auth, ApiKey) else None
        if key and key.team_id and given.get("person"):  # the address would go on showing what the key does not reach
            raise NotAllowed(
                f"Your key is for the team {key.team} only, and somebody's shifts may be in others too. Name the team "
                "or one of its schedules, or use another key."
            )
        serializer.instance, self.made = feeds.issue(self.request.user, **given)

    def finalize_response(self, request, response, *args, **kwargs):
        # Only now, so that the secret is not in what an Idempotency-Key remembers.
        if self.made:
            response.data = {**response.data, "address": feeds.address(self.made)}
        return super().finalize_response(request, response, *args, **kwargs)

    @extend_schema(responses={204: None})
    def destroy(self, request, uuid):
        """Revoke an address: it stops at once."""
        feeds.revoke(self.get_object().pk, by=request.user, now=timezone.now())
        return Response(status=status.HTTP_204_NO_CONTENT)


# --- in -------------------------------------------------------------------------------------------------------


class CalendarImportShape(Shape):
    id = serializers.UUIDField(source="uuid", read_only=True)
    schedule = ScheduleField(required=False, allow_null=True, help_text="Where the shifts go.")
    team = TeamField(required=False, allow_null=True, help_text="Whose holidays; null: all.")
    content = serializers.CharField(
        write_only=True,
        required=False,
        max_length=ical.MOST_BYTES,
        trim_whitespace=False,
        help_text="The calendar itself (iCalendar), where there is no address.",
    )
    warnings = serializers.ListField(
        child=serializers.CharField(), read_only=True, help_text="What was left out, and why."
    )
    error = serializers.CharField(read_only=True, help_text="What went wrong last. The last good copy still counts.")

    class Meta:
        model = CalendarImport
        fields = [
            "id",
            "name",
            "kind",
            "schedule",
            "team",
            "role",
            "url",
            "refresh_minutes",
            "is_enabled",
            "content",
            "read_at",
            "error",
            "warnings",
            "due_at",
        ]
        read_only_fields = ["read_at", "due_at"]

    def to_representation(self, row):
        shown = super().to_representation(row)
        if row.url and not may(self.context["request"].user, "configure", row):
            shown["url"] = row.shown_url
        return shown

    def validate_url(self, url):
        if url and (problem := imports.problem_with(url)):
            raise serializers.ValidationError(problem)
        return url

    def validate(self, fields):
        def value(name):
            return fields[name] if name in fields else getattr(self.instance, name, None)

        kind = value("kind") or CalendarImport.Kind.SHIFTS
        if kind == CalendarImport.Kind.SHIFTS and not value("schedule"):
            raise serializers.ValidationError({"schedule": "Name the schedule that the shifts go to."})
        if kind == CalendarImport.Kind.HOLIDAYS and value("schedule"):
            raise serializers.ValidationError({"schedule": "Holidays go to no schedule. Leave it out."})
        if value("url") and fields.get("content"):
            raise serializers.ValidationError(
                {"content": "Give an address or the calendar itself: the next reading of the address would win."}
            )
        if not value("url") and not value("content"):
            raise serializers.ValidationError({"url": "Give the address of the calendar, or the calendar itself."})
        return fields

    def create(self, validated_data):
        content = validated_data.pop("content", "")
        return self._read(super().create({**validated_data, "created_by": self.context["request"].user}), content)

    def update(self, row, validated_data):
        content = validated_data.pop("content", "")
        return self._read(super().update(row, validated_data), content)

    def _read(self, row, content):
        """What is sent counts at once; an address is read by the worker."""
        now = timezone.now()
        if content:
            return imports.apply(row, content, now=now)
        imports.changed(row, now=now)
        return row


class CalendarImportFilters(Filters):
    kind = WordsFilter(choices=CalendarImport.Kind.choices)
    schedule = ScheduleFilter()
    team = TeamFilter()


class CalendarImportViewSet(ConfigureViewSet):
    """Calendars of others: their events become fixed shifts, matched by email, or holidays."""

    resource = "oncall"
    queryset = CalendarImport.objects.select_related("schedule", "team")
    serializer_class = CalendarImportShape
    filterset_class = CalendarImportFilters
    ordering = ("name", "id")
    lookup_field = "uuid"
    lookup_value_regex = UUID

    def perform_create(self, serializer):
        super().perform_create(serializer)
        serializer.instance = self.get_queryset().get(pk=serializer.instance.pk)

    def perform_update(self, serializer):
        super().perform_update(serializer)
        serializer.instance = self.get_queryset().get(pk=serializer.instance.pk)

    def perform_destroy(self, instance):
        imports.remove(instance.pk, now=timezone.now())

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def refresh(self, request, uuid):
        """Read it now. What went wrong is in `error`; the last good copy still counts."""
        row = self.get_object()
        imports.read(row.pk, now=timezone.now())
        return Response(self.get_serializer(self.get_object()).data)


# --- holidays -------------------------------------------------------------------------------------------------


class HolidayShape(Shape):
    id = serializers.IntegerField(read_only=True)
    day = DayField()
    team = TeamField(required=False, allow_null=True, help_text=Holiday._meta.get_field("team").help_text)
    calendar = OriginField(
        help_text="The imported calendar that it comes from, or null. Such a holiday is changed there."
    )

    class Meta:
        model = Holiday
        fields = ["id", "day", "name", "team", "calendar"]
        validators = []  # the generated one says "must make a unique set"; `validate` says what to change

    def validate(self, fields):
        row = {name: fields.get(name, getattr(self.instance, name, None)) for name in ("day", "name", "team")}
        if Holiday.objects.filter(**row).exclude(pk=self.instance and self.instance.pk).exists():
            raise serializers.ValidationError({"day": "This holiday is there already. Choose another name or day."})
        return fields


class HolidayFilters(Filters):
    team = TeamFilter()
    since = DayFilter(field_name="day", lookup_expr="gte", label="On this day or later.")
    until = DayFilter(field_name="day", lookup_expr="lt", label="Before this day.")


class HolidayViewSet(ConfigureViewSet):
    """Holidays, which are counted apart in the load of each person. Those of an imported calendar change there."""

    resource = "oncall"
    queryset = Holiday.objects.select_related("team", "calendar")
    serializer_class = HolidayShape
    filterset_class = HolidayFilters
    ordering = ("day", "id")
    lookup_value_regex = NUMBER

    def perform_update(self, serializer):
        _check_ours(serializer.instance)
        super().perform_update(serializer)

    def perform_destroy(self, instance):
        _check_ours(instance)
        super().perform_destroy(instance)


def _check_ours(holiday):
    if holiday.calendar_id:
        raise IllegalMove(f"This holiday comes from the calendar {holiday.calendar.name}. Change it there.")
