"""What the on-call addresses share: names, spans, and people on call with the reason."""

import contextlib
import datetime as dt

from django.core.exceptions import ValidationError
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers
from rest_framework.generics import get_object_or_404

from accounts.api import PersonShape
from accounts.models import User
from core.rest import Filters, MomentField, MomentFilter, NamedField, NameFilter
from notifications import planning
from oncall import chain, shifts
from oncall.models import Duty, Schedule

LONGEST_SPAN = dt.timedelta(days=400)
SHOWN_SPAN = dt.timedelta(days=14)
SCHEDULE_IN_PATH = OpenApiParameter("slug", str, OpenApiParameter.PATH, description="The slug of the schedule.")
CALLED_ROLES = [(value, label) for value, label in Duty.choices if value in shifts.CALLED]


# --- names ----------------------------------------------------------------------------------------------------


class ScheduleField(NamedField):
    def __init__(self, **kwargs):
        if not kwargs.get("read_only"):
            kwargs.setdefault("queryset", Schedule.objects.all())
        super().__init__(noun="schedule", path="schedules", **kwargs)


def schedule_of(view):
    """The schedule that the address names. Raises Http404 where it does not exist for the person of the request."""
    return get_object_or_404(view.request.user.visible(Schedule.objects.all()), slug=view.kwargs["slug"])


class ScheduleFilter(NameFilter):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, model=Schedule, noun="schedule", path="schedules", **kwargs)


class OriginField(serializers.UUIDField):
    """The UUID of what made a row, or null where nothing did. To read only."""

    def __init__(self, **kwargs):
        super().__init__(read_only=True, allow_null=True, **kwargs)

    def get_attribute(self, row):
        for name in self.source_attrs:
            row = row and getattr(row, name)
        return row and row.uuid


@contextlib.contextmanager
def renamed(**names):
    """Call the fields of a refusal as the API does: `renamed(role="priority")`."""
    try:
        yield
    except ValidationError as error:
        if not hasattr(error, "error_dict"):
            raise
        raise serializers.ValidationError(
            {names.get(field, field): sentences for field, sentences in error.message_dict.items()}
        ) from error


# --- queries --------------------------------------------------------------------------------------------------


class AtQuery(serializers.Serializer):
    at = MomentField(required=False, help_text="Left out: now.")


class SpanQuery(serializers.Serializer):
    start = MomentField(required=False, help_text="Left out: now.")
    end = MomentField(required=False, help_text="Left out: two weeks after the start.")

    def validate(self, fields):
        start = fields.setdefault("start", timezone.now())
        end = fields.setdefault("end", start + SHOWN_SPAN)
        if end <= start:
            raise serializers.ValidationError({"end": "The end is not after the start. Choose a later end."})
        if end - start > LONGEST_SPAN:
            raise serializers.ValidationError({"end": f"Ask for at most {LONGEST_SPAN.days} days at a time."})
        return fields


class RoleSpanQuery(SpanQuery):
    role = serializers.ChoiceField(Duty.choices, default=Duty.PRIMARY)


class SpanFilters(Filters):
    """Rows with a span that touches the one asked for."""

    since = MomentFilter(field_name="end_at", lookup_expr="gt", label="Still running at this time, or later.")
    until = MomentFilter(field_name="start_at", lookup_expr="lt", label="Started before this time.")


# --- people on call -------------------------------------------------------------------------------------------


class SpanPersonShape(serializers.Serializer):
    """Somebody on call, and why."""

    user = PersonShape()
    why = serializers.CharField()
    via = serializers.CharField(help_text="What put them there: layer, fixed shift, override, swap or policy.")
    instead_of = PersonShape(allow_null=True, help_text="Whose shift it was.")
    is_off = serializers.BooleanField(help_text="They have time off: somebody should take the span.")


class OnCallPersonShape(SpanPersonShape):
    """Somebody on call at a time, and why."""

    role = serializers.ChoiceField(Duty.choices, allow_blank=True, help_text="Empty: the policy names the person.")
    until = MomentField(allow_null=True, help_text="Until when this holds at the longest; null: it has no end.")
    unavailable = serializers.CharField(
        allow_blank=True, help_text="Why they cannot be called now, in words. Empty: they can be."
    )
    is_spare = serializers.BooleanField(
        help_text="They are only busy, offline or away, so they are called where nobody else can be."
    )


class OnCallShape(serializers.Serializer):
    """Who is on call in one schedule; `user`, `why` and `until` are of the first primary, null when nobody is."""

    schedule = serializers.CharField()
    at = MomentField()
    user = PersonShape(allow_null=True)
    why = serializers.CharField()
    until = MomentField(allow_null=True, help_text="Until when this holds at the longest.")
    people = OnCallPersonShape(many=True, help_text="Of all roles: primary, secondary, tertiary, shadow.")


def people_shown(answers):
    """Answers as OnCallPersonShape reads them, in their order; the user of one may be None."""
    answers = list(answers)
    ids = {one.user_id for one in answers} - {None}
    people = User.objects.in_bulk(ids | {one.instead_of for one in answers} - {None})
    reaches = planning.reaches(ids)
    shown = []
    for one in answers:
        problem = chain.trouble(reaches.get(one.user_id)) if one.user_id else one.unavailable
        shown.append(
            {
                "user": people.get(one.user_id),
                "role": one.role,
                "why": one.why,
                "via": one.via,
                "until": one.until,
                "instead_of": people.get(one.instead_of),
                "is_off": one.is_off,
                "unavailable": problem or one.unavailable,
                "is_spare": bool(one.unavailable) and not problem,
            }
        )
    return shown


def first_called(people):
    """Of people as `people_shown` gives them: whom to call first, or None. A shadow is never called."""
    called = [one for one in people if one["user"] and one["role"] != shifts.SHADOW]
    available = (one for one in called if not one["unavailable"])
    return next(available, None) or next((one for one in called if one["is_spare"]), None)


def on_call_shown(schedule, people, *, at):
    """What OnCallShape reads; `people` as `people_shown` gives them."""
    first = next((one for one in people if one["role"] == shifts.PRIMARY), None)
    nobody = f"nobody is primary in {schedule.name}" if people else f"nobody is on call in {schedule.name}"
    return {
        "schedule": schedule.slug,
        "at": at,
        "user": first and first["user"],
        "why": first["why"] if first else nobody,
        "until": first and first["until"],
        "people": people,
    }


# --- spans ----------------------------------------------------------------------------------------------------


class SpanShape(serializers.Serializer):
    """A span in which the people on call do not change; `people` is empty in a gap."""

    start_at = MomentField()
    end_at = MomentField()
    user = PersonShape(allow_null=True, help_text="The first of the people; null in a gap.")
    why = serializers.CharField()
    people = SpanPersonShape(many=True)


class FinalShape(serializers.Serializer):
    schedule = serializers.CharField()
    role = serializers.ChoiceField(Duty.choices)
    start = MomentField()
    end = MomentField()
    shifts = SpanShape(many=True)


def spans_shown(schedule, spans_by_role):
    """`{role: [what SpanShape reads]}` for `{role: [Span]}`, in one query."""
    everybody = [one for spans in spans_by_role.values() for span in spans for one in span.people]
    people = User.objects.in_bulk({one.user_id for one in everybody} | {one.instead_of for one in everybody} - {None})
    return {role: [_span_shown(schedule, span, people) for span in spans] for role, spans in spans_by_role.items()}


def _span_shown(schedule, span, people):
    found = [
        {
            "user": people.get(one.user_id),
            "why": one.why,
            "via": one.via,
            "instead_of": people.get(one.instead_of),
            "is_off": one.is_off,
        }
        for one in span.people
    ]
    return {
        "start_at": span.start_at,
        "end_at": span.end_at,
        "user": found[0]["user"] if found else None,
        "why": found[0]["why"] if found else f"nobody is on call in {schedule.name}",
        "people": found,
    }
