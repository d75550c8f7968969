"""What every API module shares: fields, filters and views that answer with sentences.

Apart from `core.api`, which Django REST framework imports while it loads itself.
"""

import datetime as dt
import json

import django_filters
from django import forms
from django.conf import settings
from django.core.exceptions import RequestDataTooBig, ValidationError
from django.db import DataError, IntegrityError, models, transaction
from django.db.models import ProtectedError, RestrictedError
from django.utils.text import slugify
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter
from rest_framework import exceptions, mixins, parsers, serializers, status, viewsets

from core.api import CursorPagination
from core.errors import DomainError
from core.idempotency import HEADER, KEY_LIMIT, Idempotent

SLUG = "[-a-zA-Z0-9_]{1,100}"
UUID = "[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"
NUMBER = "[0-9]{1,18}"
# Far enough for every shift, and near enough that no calendar arithmetic overflows.
FIRST_DAY, LAST_DAY = dt.date(1990, 1, 1), dt.date(2100, 1, 1)
TIME_HELP = "Write it like 2026-06-01T12:00:00Z"


class Conflict(DomainError):
    status = 409
    code = "conflict"


class TooLarge(exceptions.APIException):
    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_detail = "The body is too large."
    default_code = "too_large"


# --- reading a request ----------------------------------------------------------------------------------------


class Parser(parsers.JSONParser):
    """JSON in UTF-8 whatever the header says, and with no text that PostgreSQL cannot store."""

    def parse(self, stream, media_type=None, parser_context=None):
        try:
            data = json.loads(stream.read().decode(), parse_constant=_refuse_constant)
            _check_text(data)
        except RecursionError:
            raise exceptions.ParseError("The JSON is nested too deeply.") from None
        except ValueError as error:
            raise exceptions.ParseError(f"The body is not the JSON we can read: {error}") from None
        return data


def _refuse_constant(name):
    raise ValueError(f"{name} is not a JSON number.")


def _check_text(data):
    waiting = [data]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            if not is_storable(value):
                raise ValueError("a text holds the character U+0000 or half of a surrogate pair. Remove it.")
        elif isinstance(value, dict):
            waiting += value.keys()
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value


def is_storable(text):
    """Whether PostgreSQL can hold this text: no NUL, no lone surrogate."""
    return "\0" not in text and text.encode("utf-8", "ignore").decode() == text


class MomentField(serializers.DateTimeField):
    """A time between 1990 and 2100; said in UTC, and read as UTC when it has no offset."""

    default_error_messages = {
        "invalid": f"This is not a time. {TIME_HELP}.",
        "date": f"This is a day without a time. {TIME_HELP}.",
        "range": f"Use a time between {FIRST_DAY.year} and {LAST_DAY.year}.",
    }

    def __init__(self, **kwargs):
        super().__init__(default_timezone=dt.UTC, **kwargs)

    def to_internal_value(self, value):
        moment = super().to_internal_value(value)
        if not FIRST_DAY <= moment.date() < LAST_DAY:
            self.fail("range")
        return moment


class DayField(serializers.DateField):
    """A day between 1990 and 2100."""

    default_error_messages = {
        "invalid": "This is not a day. Write it like 2026-06-01.",
        "datetime": "This is a time, and a day is needed. Write it like 2026-06-01.",
        "range": MomentField.default_error_messages["range"].replace("time", "day"),
    }

    def to_internal_value(self, value):
        day = super().to_internal_value(value)
        if not FIRST_DAY <= day < LAST_DAY:
            self.fail("range")
        return day


def visible(field, queryset):
    """Of the rows that a field may name, those that exist for the person of the request."""
    return field.context["request"].user.visible(queryset)


class NamedField(serializers.SlugRelatedField):
    """A row named by its slug. `noun` and `path` are for the sentence: There is no service “x”. …"""

    default_error_messages = {
        "does_not_exist": "There is no {noun} “{value}”. GET /api/v1/{path} lists them.",
        "invalid": "Give the slug of a {noun} as text. GET /api/v1/{path} lists them.",
    }

    def __init__(self, *, noun, path, **kwargs):
        self.words = {"noun": noun, "path": path}
        super().__init__(slug_field="slug", **kwargs)

    def to_internal_value(self, data):
        return self.find(data, visible(self, self.get_queryset()))

    def find(self, data, queryset):
        """The row of the queryset that is named so. Raises a ValidationError."""
        if not isinstance(data, str):
            self.fail("invalid", **self.words)
        row = queryset.filter(slug=data).first() if is_storable(data) else None
        if row is None:
            self.fail("does_not_exist", value=data[:100], **self.words)
        return row


def read_query(serializer_class, request):
    """The checked query parameters of a request. Raises a ValidationError with sentences."""
    return _checked(serializer_class, request, request.query_params.dict())


def read_body(serializer_class, request):
    """The checked body of a request. Raises a ValidationError with sentences."""
    return _checked(serializer_class, request, request.data)


def _checked(serializer_class, request, data):
    serializer = serializer_class(data=data, context={"request": request})
    serializer.is_valid(raise_exception=True)
    return serializer.validated_data


# The bases have no docstrings: they would stand in the OpenAPI document of every heir.
class Shape(serializers.ModelSerializer):
    serializer_field_mapping = {
        **serializers.ModelSerializer.serializer_field_mapping,
        models.DateTimeField: MomentField,
        models.DateField: DayField,
    }


class SluggedShape(Shape):
    reserved_slugs = frozenset()  # addresses of ours

    def get_fields(self):
        fields = super().get_fields()
        fields["slug"].required = False
        return fields

    def create(self, validated_data):
        if not validated_data.get("slug"):
            validated_data["slug"] = self._free_slug(validated_data["name"])  # none was given
        return super().create(validated_data)

    def _free_slug(self, name):
        base = slugify(name)[:90]
        if not base:
            raise serializers.ValidationError({"slug": "The name has no Latin letters to make a slug of. Give one."})
        # Only slugs that begin like this one are looked at: base, base-2, base-3 …
        taken = set(self.Meta.model.objects.filter(slug__startswith=base).values_list("slug", flat=True))
        taken |= self.reserved_slugs & {base}
        candidates = [base, *(f"{base}-{number}" for number in range(2, len(taken) + 2))]
        return next(slug for slug in candidates if slug not in taken)


# --- filters --------------------------------------------------------------------------------------------------


class _SpanForm(forms.Form):
    def clean(self):
        cleaned = super().clean()
        since, until = cleaned.get("since"), cleaned.get("until")
        if since and until and until <= since:
            self.add_error("until", "This is not after “since”. Choose a later time.")
        return cleaned


class Filters(django_filters.FilterSet):
    """`since` and `until`, where a subclass has them, are a half-open span and must be in order."""

    class Meta:
        form = _SpanForm


class MomentFilter(django_filters.IsoDateTimeFilter):
    def __init__(self, *args, **kwargs):
        message = f"This is not a time. {TIME_HELP}, with “+” in an offset as %%2B."
        super().__init__(*args, error_messages={"invalid": message}, **kwargs)


class NameFilter(django_filters.CharFilter):
    """Rows that belong to something named by its slug."""

    def __init__(self, *args, model, noun, path, **kwargs):
        super().__init__(*args, **kwargs)
        self.named = NamedField(queryset=model.objects.all(), noun=noun, path=path)

    def read(self, value):
        return self.named.find(value, self.parent.request.user.visible(self.named.get_queryset()))

    def filter(self, qs, value):
        return qs.filter(**{self.field_name: read_value(self, value)}) if value else qs


def read_value(a_filter, value):
    """What the value of a filter means; a refusal names the filter. Raises a ValidationError."""
    try:
        return a_filter.read(value)
    except exceptions.ValidationError as error:
        name = next(name for name, one in a_filter.parent.filters.items() if one is a_filter)
        raise exceptions.ValidationError({name: error.detail}) from None


class WordsFilter(django_filters.BaseInFilter, django_filters.ChoiceFilter):
    """One word of a list, or several with commas between them."""

    def __init__(self, *args, choices, **kwargs):
        words = ", ".join(word for word, _ in choices)
        message = f"“%(value)s” is not one of the words for this. Use {words}."
        super().__init__(*args, choices=choices, error_messages={"invalid_choice": message}, **kwargs)


# --- views ----------------------------------------------------------------------------------------------------


class Pages(CursorPagination):
    """Pages in the view's own order."""

    def get_ordering(self, request, queryset, view):
        return getattr(view, "ordering", None) or ("-pk",)

    def paginate_queryset(self, queryset, request, view=None):
        try:
            return super().paginate_queryset(queryset, request, view)
        except (ValueError, ValidationError, DataError):
            raise exceptions.NotFound("This cursor is not one of ours. Take the address in “next” as it is.") from None


class Schema(AutoSchema):
    """Adds what every operation has: problem documents, and on POST the `Idempotency-Key`."""

    def get_override_parameters(self):
        if self.method != "POST":
            return []
        description = "A new UUID for each new request. The same key again gives the same answer, for 24 hours."
        schema = {"type": "string", "maxLength": KEY_LIMIT}
        return [OpenApiParameter(HEADER, schema, OpenApiParameter.HEADER, description=description)]

    def get_serializer_name(self, serializer, direction):
        return super().get_serializer_name(serializer, direction).removesuffix("Shape")

    def _get_response_bodies(self, direction="response"):
        problem = self._get_response_for_code(ProblemShape, "default", ["application/problem+json"], direction)
        return {**super()._get_response_bodies(direction), "default": problem}


class FieldProblemShape(serializers.Serializer):
    field = serializers.CharField()
    message = serializers.CharField()


class ProblemShape(serializers.Serializer):
    """What went wrong and what to do about it (RFC 9457)."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField(help_text="A sentence for people.")
    code = serializers.CharField(help_text="A word for programs.")
    errors = FieldProblemShape(many=True, required=False)


class Edge(Idempotent):
    parser_classes = [Parser]
    pagination_class = Pages
    schema = Schema()
    change_verb = "respond"
    # Fields, however deep, of what was written for everybody: names of what the reader may not see are taken out.
    sentences = ()

    def do(self, verb, *args, **kwargs):
        """Call a verb that returns a row. When the row is not the person's to change, nothing of it is kept."""
        with transaction.atomic():
            row = verb(*args, **kwargs)
            self.check_object_permissions(self.request, row)
        return row

    def initial(self, request, *args, **kwargs):
        # A body that comes in chunks has no length, and DRF would take it for none.
        if request.method in ("POST", "PUT", "PATCH") and not request.META.get("CONTENT_LENGTH"):
            request.META["CONTENT_LENGTH"] = str(len(request.body))
        super().initial(request, *args, **kwargs)

    def handle_exception(self, error):
        if isinstance(error, RequestDataTooBig):
            error = TooLarge(f"The body is too large. Send at most {settings.DATA_UPLOAD_MAX_MEMORY_SIZE} bytes.")
        if isinstance(error, DomainError) and self.request.user.is_authenticated:
            error.message = self.request.user.hushed()(error.message)
        return super().handle_exception(error)

    def finalize_response(self, request, response, *args, **kwargs):
        if self.sentences and response.status_code < 400 and request.user.is_authenticated:
            response.data = _hushed(response.data, self.sentences, request.user.hushed())
        return super().finalize_response(request, response, *args, **kwargs)


def _hushed(data, names, hush, is_said=False):
    if isinstance(data, dict):
        return {name: _hushed(value, names, hush, name in names) for name, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_hushed(value, names, hush, is_said) for value in data]
    return hush(data) if is_said and isinstance(data, str) else data


class ReadViewSet(Edge, mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet):
    pass


class ConfigureViewSet(Edge, viewsets.ModelViewSet):
    change_verb = "configure"  # only admins change it
    delete_hint = "Move or delete these first."

    def perform_create(self, serializer):
        self._save(serializer)

    def perform_update(self, serializer):
        self._save(serializer)

    def _save(self, serializer):
        try:
            with transaction.atomic():
                if serializer.instance is not None:  # two people who change the same thing take turns
                    rows = type(serializer.instance).objects.select_for_update(no_key=True)
                    serializer.instance.refresh_from_db(from_queryset=rows)
                # Also what it became must be theirs: a row can be made for, and moved to, another team.
                self.check_object_permissions(self.request, serializer.save())
        except IntegrityError:
            raise Conflict("Somebody else changed or took the same just now. Read it again, then retry.") from None

    def perform_destroy(self, instance):
        try:
            kinds = _needed_by(instance)
            if not kinds:
                instance.delete()
        except (ProtectedError, RestrictedError):  # somebody began to need it just now
            kinds = _needed_by(instance) or ["other things"]
        if kinds:
            noun = instance._meta.verbose_name
            raise Conflict(f"This {noun} still has {' and '.join(kinds)}, so it stays. {self.delete_hint}")


def _needed_by(instance):
    """What keeps a row from being deleted, in words."""
    return [
        str(relation.related_model._meta.verbose_name_plural)
        for relation in instance._meta.related_objects
        if relation.on_delete is models.PROTECT
        and relation.related_model._base_manager.filter(**{relation.field.name: instance}).exists()
    ]
