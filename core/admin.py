"""What the pages of the admin are made of. The only module that knows the skin: docs/decisions/0006-admin-skin.md.

`Admin` edits, `ReadOnlyAdmin` shows. Both take `buttons`: methods `(self, request, obj) -> sentence` marked with
`@button`, which become a button on the page and an action in the list, always by POST.
"""

import dataclasses
import json
import zoneinfo

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.models import LogEntry
from django.contrib.admin.utils import quote, unquote
from django.contrib.auth import get_permission_codename
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import DataError, IntegrityError, models, transaction
from django.db.models.deletion import get_candidate_relations_to_delete
from django.http import Http404
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.text import capfirst, get_text_list
from django_q.models import Failure, OrmQ, Success
from django_q.models import Schedule as QueueSchedule
from unfold.admin import ModelAdmin as SkinModelAdmin
from unfold.admin import StackedInline as SkinStackedInline
from unfold.admin import TabularInline as SkinTabularInline
from unfold.decorators import display
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.widgets import (
    INPUT_CLASSES,
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminFileFieldWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminPasswordWidget,
    UnfoldAdminSelect2Widget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from core.errors import DomainError
from core.models import Counter, IdempotencyKey, Pulse, WorkerBeat
from core.pickers import PickOne

__all__ = [
    "Admin",
    "AdminPasswordChangeForm",
    "Inline",
    "ReadOnlyAdmin",
    "ReadOnlyInline",
    "SecretField",
    "StackedInline",
    "UserChangeForm",
    "UserCreationForm",
    "button",
    "choices_field",
    "display",
    "file_field",
    "link",
    "moment_widget",
    "number_field",
    "pretty",
    "select_field",
    "select_widget",
    "switch",
    "table",
    "text_field",
    "time_widget",
    "zone_field",
    "zone_text_field",
]

HELD = (models.ProtectedError, models.RestrictedError)


# --- what a page shows --------------------------------------------------------------------------------------------
def pretty(value):
    """JSON, or text that may be JSON, as a readable block. Anything that may have been sent can be shown."""
    if isinstance(value, (bytes, memoryview)):
        value = bytes(value).decode("utf-8", "replace")
    try:
        data = json.loads(value) if isinstance(value, str) else value
        text = json.dumps(data, indent=2, ensure_ascii=False, default=str)
    except (ValueError, RecursionError):  # no JSON, or nested too deeply
        text = str(value)
    if not text:
        return "-"
    # Half a surrogate pair may stand in JSON, but not in a page.
    return format_html('<pre class="wb-block">{}</pre>', text.encode("utf-8", "replace").decode())


def link(obj, text=""):
    """A link to the admin page of a row."""
    url = reverse(f"admin:{obj._meta.app_label}_{obj._meta.model_name}_change", args=[quote(obj.pk)])
    return format_html('<a href="{}" class="text-link">{}</a>', url, text or obj)


def table(heads, rows):
    """A small table. Cells are text, or safe HTML."""
    head = format_html_join("", "<th>{}</th>", ((one,) for one in heads))
    body = format_html_join(
        "", "<tr>{}</tr>", ((format_html_join("", "<td>{}</td>", ((cell,) for cell in row)),) for row in rows)
    )
    return format_html('<table class="wb-table"><thead><tr>{}</tr></thead><tbody>{}</tbody></table>', head, body)


# --- what a form asks ---------------------------------------------------------------------------------------------
def zone_field():
    """A time zone, chosen from the IANA names."""
    names = sorted(zoneinfo.available_timezones())
    return forms.ChoiceField(
        choices=[(name, name) for name in names],
        initial="UTC",
        widget=UnfoldAdminSelect2Widget(),
        help_text="Type to search, for example “Berlin”.",
        error_messages={"invalid_choice": "“%(value)s” is not a time zone. Choose one like Europe/Berlin."},
    )


def zone_text_field(**options):
    """A time zone that may be left out, typed with suggestions: a page with many of them stays small.

    The page brings the list itself: `<datalist id="wb-zones">`.
    """
    widget = UnfoldAdminTextInputWidget(attrs={"list": "wb-zones", "autocomplete": "off"})
    return forms.CharField(required=False, max_length=64, widget=widget, **options)


def number_field(**options):
    return forms.IntegerField(widget=UnfoldAdminIntegerFieldWidget(), **options)


def text_field(**options):
    return forms.CharField(widget=UnfoldAdminTextInputWidget(), **options)


def select_field(choices, **options):
    return forms.ChoiceField(choices=choices, widget=UnfoldAdminSelectWidget(), required=False, **options)


def choices_field(*, choices, coerce=str, **options):
    """Several of a few, ticked; its value is a list, for an array field."""
    return forms.TypedMultipleChoiceField(
        choices=choices, coerce=coerce, widget=UnfoldAdminCheckboxSelectMultipleWidget(), **options
    )


def switch(**options):
    return forms.BooleanField(required=False, widget=UnfoldBooleanSwitchWidget(), **options)


def file_field(**options):
    return forms.FileField(required=False, widget=UnfoldAdminFileFieldWidget(), **options)


def json_field(**options):
    return forms.JSONField(required=False, widget=lines_widget(3), **options)


def lines_widget(rows):
    return UnfoldAdminTextareaWidget(attrs={"rows": rows})


def select_widget(choices):
    return UnfoldAdminSelectWidget(choices=choices)


def time_widget():
    """A time of day, in the browser's own way of asking for it."""
    return forms.TimeInput(format="%H:%M", attrs={"type": "time", "class": " ".join(INPUT_CLASSES)})


def moment_widget():
    """A date and a time, in the browser's own way of asking for them."""
    attrs = {"type": "datetime-local", "class": " ".join(INPUT_CLASSES)}
    return forms.DateTimeInput(format="%Y-%m-%dT%H:%M", attrs=attrs)


class SecretField(forms.CharField):
    """A secret that is never sent back to the browser. Empty keeps what is stored; the form decides in `clean`."""

    def __init__(self, **options):
        super().__init__(
            required=False, widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}), **options
        )

    def has_changed(self, initial, data):
        return bool(data)


# --- buttons ------------------------------------------------------------------------------------------------------
@dataclasses.dataclass(frozen=True)
class Button:
    """A thing to do with a row. `confirm` says what will happen, before it does."""

    name: str
    label: str
    confirm: str


def button(label, *, confirm):
    """Mark a method `(self, request, obj) -> sentence` of an Admin as a button. A DomainError becomes a message."""

    def mark(method):
        method.button = Button(method.__name__, label, confirm)
        return method

    return mark


def _as_action(model_admin, name):
    def action(model_admin, request, queryset):
        chosen = model_admin.button_named(name)
        if not model_admin.may_push(request):
            raise PermissionDenied
        if "confirmed" in request.POST:
            model_admin.push(request, queryset, chosen)
            return None
        hidden = [("action", name), *((ACTION_CHECKBOX_NAME, row.pk) for row in queryset)]
        return model_admin.confirm_page(request, queryset, chosen, hidden)

    return action


class ButtonsMixin:
    """The buttons of a page and the actions of its list."""

    buttons = ()

    def button_named(self, name):
        if name not in self.buttons:
            raise Http404
        return getattr(self, name).button

    def may_push(self, request):
        opts = self.opts
        return request.user.has_perm(f"{opts.app_label}.{get_permission_codename('change', opts)}")

    def shown_buttons(self, request, obj):
        """The buttons that make sense for this row."""
        return [self.button_named(name) for name in self.buttons] if self.may_push(request) else []

    def shown_links(self, request, obj):
        """Other pages about this row, `[(label, url)]`, beside its buttons."""
        return []

    def push(self, request, rows, chosen):
        """Do it for each row, each in a transaction of its own, and say what came of it."""
        for row in rows:
            try:
                with transaction.atomic():
                    text = getattr(self, chosen.name)(request, row)
                    self.log_change(request, row, chosen.label)
            except DomainError as error:
                self.message_user(request, error.message, messages.ERROR)
            else:
                self.message_user(request, text, messages.SUCCESS)

    def confirm_page(self, request, rows, chosen, hidden):
        context = {
            **self.admin_site.each_context(request),
            "title": chosen.label,
            "opts": self.opts,
            "rows": rows,
            "chosen": chosen,
            "hidden": [*hidden, ("confirmed", "yes")],
        }
        return TemplateResponse(request, "admin/confirm.html", context)

    def button_view(self, request, object_id, name):
        chosen = self.button_named(name)
        row = self.get_object(request, unquote(object_id))
        if row is None:
            raise Http404
        if not self.may_push(request):
            raise PermissionDenied
        if request.method != "POST":
            return self.confirm_page(request, [row], chosen, [])
        self.push(request, [row], chosen)
        return redirect(self.change_url(row))

    def get_urls(self):
        name = f"{self.opts.app_label}_{self.opts.model_name}_do"
        view = self.admin_site.admin_view(self.button_view)
        return [path("<path:object_id>/do/<slug:name>/", view, name=name), *super().get_urls()]

    def get_actions(self, request):
        actions = super().get_actions(request)
        if self.may_push(request):
            actions |= {name: (_as_action(self, name), name, self.button_named(name).label) for name in self.buttons}
        return actions

    def change_url(self, row):
        name = f"{self.opts.app_label}_{self.opts.model_name}_change"
        return reverse(f"{self.admin_site.name}:{name}", args=[quote(row.pk)])

    def render_change_form(self, request, context, add=False, change=False, form_url="", obj=None):
        if obj is not None and obj.pk:
            url_name = f"{self.admin_site.name}:{self.opts.app_label}_{self.opts.model_name}_do"
            context["buttons"] = [
                (one, reverse(url_name, args=[quote(obj.pk), one.name])) for one in self.shown_buttons(request, obj)
            ]
            context["links"] = self.shown_links(request, obj)
        return super().render_change_form(request, context, add=add, change=change, form_url=form_url, obj=obj)


# --- pages --------------------------------------------------------------------------------------------------------
class ZoneNamedMixin:
    """Says which time zone a time is typed in: the current one, which is that of the site where no page changes it."""

    def zone_named(self, request):
        """The zone in words."""
        return timezone.get_current_timezone_name()

    def formfield_for_dbfield(self, db_field, request, **kwargs):
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field and isinstance(db_field, models.DateTimeField):
            field.help_text = f"{field.help_text} Time zone: {self.zone_named(request)}.".strip()
        return field


class PickerMixin:
    """Foreign keys that are picked by typing."""

    def formfield_for_foreignkey(self, db_field, request, **kwargs):
        if "widget" not in kwargs and db_field.name in self.get_autocomplete_fields(request):
            kwargs["widget"] = PickOne(db_field, self.admin_site, using=kwargs.get("using"))
        return super().formfield_for_foreignkey(db_field, request, **kwargs)


class Admin(ZoneNamedMixin, PickerMixin, ButtonsMixin, SkinModelAdmin):
    """A page that edits."""

    # The end of the sentence that refuses to delete a row which others need.
    instead_of_deleting = "Remove it there first."
    actions = ("delete_selected",)
    list_per_page = 50
    compressed_fields = True
    warn_unsaved_form = True

    class Media:
        css = {"all": ("core/admin.css",)}

    def get_changeform_initial_data(self, request):
        """What an address fills in; what cannot be read is left out."""
        initial = super().get_changeform_initial_data(request)
        for field in self.opts.concrete_fields:
            if field.name in initial:
                try:
                    initial[field.name] = field.to_python(initial[field.name])
                except ValidationError:
                    del initial[field.name]
        return initial

    def changelist_view(self, request, extra_context=None):
        try:
            return super().changelist_view(request, extra_context)
        except (DataError, OverflowError):  # a filter that nobody can choose, typed into the address
            self.message_user(request, "This filter is none of ours. All rows are shown.", messages.ERROR)
            return redirect(request.path)

    def get_search_results(self, request, queryset, search_term):
        return super().get_search_results(request, queryset, search_term.replace("\0", ""))

    def held_by(self, obj):
        """What needs this row, in words: “3 timeline entries”."""
        held = []
        for relation in get_candidate_relations_to_delete(obj._meta):
            if relation.on_delete in (models.PROTECT, models.RESTRICT):
                rows = relation.related_model._base_manager.filter(**{relation.field.name: obj})
                if count := rows.count():
                    meta = relation.related_model._meta
                    held.append(f"{count} {meta.verbose_name if count == 1 else meta.verbose_name_plural}")
        return held

    def refusal_to_delete(self, obj):
        """Why this row cannot be deleted and what to do instead, or ""."""
        held = self.held_by(obj)
        if not held:
            return ""
        return f"{obj} cannot be deleted, because of {get_text_list(held, 'and')}. {self.instead_of_deleting}"

    def explain(self, error):
        """A sentence for what the database refused: two people at the same moment, or a rule of a table."""
        if isinstance(error, DomainError):
            return error.message
        if isinstance(error, ValidationError):
            return " ".join(error.messages)
        if isinstance(error, HELD):
            meta = {row._meta.verbose_name_plural for row in error.args[1]}
            return f"Nothing was deleted, because of {get_text_list(sorted(meta), 'and')}. {self.instead_of_deleting}"
        diagnosis = getattr(error.__cause__, "diag", None)
        rule = (getattr(diagnosis, "constraint_name", "") or "a rule of the database").replace("_", " ")
        return (
            f"Nothing was saved: it would break “{rule}”. Somebody else may have changed the same at this moment. "
            "Look at what is there now, and save again."
        )

    def changeform_view(self, request, object_id=None, form_url="", extra_context=None):
        try:
            with transaction.atomic():
                return super().changeform_view(request, object_id, form_url, extra_context)
        except (IntegrityError, DomainError, ValidationError) as error:
            if request.method != "POST":
                raise
            self.message_user(request, self.explain(error), messages.ERROR)
            return redirect(request.get_full_path())

    def delete_view(self, request, object_id, extra_context=None):
        obj = self.get_object(request, unquote(object_id))
        if obj is None or not self.has_delete_permission(request, obj):
            return super().delete_view(request, object_id, extra_context)
        if refusal := self.refusal_to_delete(obj):
            self.message_user(request, refusal, messages.ERROR)
            return redirect(self.change_url(obj))
        try:
            with transaction.atomic():
                return super().delete_view(request, object_id, extra_context)
        except (IntegrityError, DomainError) as error:
            self.message_user(request, self.explain(error), messages.ERROR)
            return redirect(self.change_url(obj))

    @admin.action(permissions=["delete"], description="Delete selected %(verbose_name_plural)s")
    def delete_selected(self, request, queryset):
        refusals = [refusal for row in queryset if (refusal := self.refusal_to_delete(row))]
        for refusal in refusals:
            self.message_user(request, refusal, messages.ERROR)
        if refusals:
            return None
        try:
            with transaction.atomic():
                return admin.actions.delete_selected(self, request, queryset)
        except (IntegrityError, DomainError) as error:
            self.message_user(request, self.explain(error), messages.ERROR)
            return None

    def get_deleted_objects(self, objs, request):
        """Rows that only make sense beside the deleted one go with it, also those whose own page is read-only."""
        rows, counts, lacking, protected = super().get_deleted_objects(objs, request)
        return rows, counts, set() if request.user.is_superuser else lacking, protected


class ReadOnlyAdmin(Admin):
    """A page that shows: nothing can be added, changed or deleted by hand."""

    actions = ()
    show_full_result_count = False
    warn_unsaved_form = False

    def has_add_permission(self, request):
        return False

    def has_change_permission(self, request, obj=None):
        return False

    def has_delete_permission(self, request, obj=None):
        return False

    def get_readonly_fields(self, request, obj=None):
        named = super().get_readonly_fields(request, obj)
        return [*named, *(field.name for field in self.opts.concrete_fields if field.name not in named)]


class Inline(ZoneNamedMixin, PickerMixin, SkinTabularInline):
    """Rows of another table on the page, one a line."""

    extra = 0


class StackedInline(ZoneNamedMixin, PickerMixin, SkinStackedInline):
    """Rows of another table on the page, each with room."""

    extra = 0


class ReadOnlyInline(Inline):
    """Rows of another table on the page, to look at."""

    can_delete = False
    hide_title = True

    def has_add_permission(self, request, obj=None):
        return False

    def has_change_permission(self, request, obj=None):
        return False

    def has_delete_permission(self, request, obj=None):
        return False

    def get_readonly_fields(self, request, obj=None):
        return self.fields or ()


# --- pages of this floor, and of packages -------------------------------------------------------------------------
@admin.register(Pulse)
class PulseAdmin(ReadOnlyAdmin):
    list_display = ("name", "beat_at")
    search_fields = ("name",)


@admin.register(WorkerBeat)
class WorkerBeatAdmin(ReadOnlyAdmin):
    list_display = ("worker_id", "beat_at")
    search_fields = ("worker_id",)


@admin.register(Counter)
class CounterAdmin(ReadOnlyAdmin):
    list_display = ("name", "labels", "value")
    list_filter = ("name",)
    search_fields = ("name", "labels")
    ordering = ("name", "labels")


@admin.register(IdempotencyKey)
class IdempotencyKeyAdmin(ReadOnlyAdmin):
    """Answers of the API that are kept, so that a request sent twice acts once."""

    list_display = ("created_at", "route", "key", "principal", "status")
    list_filter = ("status",)
    search_fields = ("key", "route", "principal")
    date_hierarchy = "created_at"


@admin.register(LogEntry)
class LogEntryAdmin(ReadOnlyAdmin):
    """Who changed what in the admin."""

    list_display = ("action_time", "user", "content_type", "object_repr", "what")
    list_filter = ("action_flag", "content_type")
    list_select_related = ("user", "content_type")
    search_fields = ("object_repr", "user__email", "user__name")
    date_hierarchy = "action_time"
    fields = ("action_time", "user", "content_type", "object_id", "object_repr", "what")
    readonly_fields = ("what",)

    @admin.display(description="change")
    def what(self, obj):
        return obj.get_change_message() or capfirst(obj.get_action_flag_display())


# Roles decide what a person may do, and the ticker decides when work is due: neither is set by hand.
for model in (Group, QueueSchedule, Success, Failure, OrmQ):
    if admin.site.is_registered(model):
        admin.site.unregister(model)


@admin.register(Failure)
class FailureAdmin(ReadOnlyAdmin):
    """Tasks that raised. The work itself is a row that is still due, so nothing has to be started again by hand."""

    list_display = ("name", "func", "started", "stopped", "attempt_count")
    list_filter = ("func",)
    search_fields = ("name", "func")
    ordering = ("-stopped",)
    fields = ("name", "func", "started", "stopped", "attempt_count", "error")
    readonly_fields = ("error",)

    @admin.display(description="error")
    def error(self, obj):
        return pretty(str(obj.result))


@admin.register(OrmQ)
class QueueAdmin(ReadOnlyAdmin):
    """Wake-ups that wait for a worker."""

    list_display = ("id", "key", "task_name", "task_function", "lock")
    fields = ("key", "lock", "task_name", "task_function")
    readonly_fields = ("task_name", "task_function")

    @admin.display(description="name")
    def task_name(self, obj):
        return obj.name()

    @admin.display(description="function")
    def task_function(self, obj):
        return obj.func()
