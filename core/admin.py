"""What the pages of the admin are made of. Only this module and core/admin_fields.py know the skin.

Why that one is chosen is in docs/decisions/0006-admin-skin.md.

Who may do what is asked of the table of roles (docs/access.md), through the methods of `request.user`. Rows of a team
are for its admins, everything else is for the platform's; what somebody may not change is not there for them.

`Admin` edits, `ReadOnlyAdmin` shows. Both take `buttons`: methods `(self, request, obj) -> sentence` marked with
`@button`, which become a button on the page and an action in the list, always by POST.
"""

import copy
import dataclasses
import functools
import json

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.utils import NestedObjects, quote, unquote
from django.contrib.admin.views.autocomplete import AutocompleteJsonView
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import DataError, IntegrityError, models, transaction
from django.db.models import Q
from django.db.models.deletion import get_candidate_relations_to_delete
from django.http import Http404
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.text import get_text_list
from django_q.models import Failure, OrmQ, Success
from django_q.models import Schedule as QueueSchedule
from unfold.admin import ModelAdmin as SkinModelAdmin
from unfold.admin import StackedInline as SkinStackedInline
from unfold.admin import TabularInline as SkinTabularInline
from unfold.decorators import display
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.sites import UnfoldAdminSite

from core.errors import DomainError
from core.models import Counter, IdempotencyKey, Pulse, WorkerBeat
from core.pickers import PickOne, PickSeveral
from core.signals import admin_did

__all__ = [
    "Admin",
    "AdminPasswordChangeForm",
    "Inline",
    "ReadOnlyAdmin",
    "ReadOnlyInline",
    "StackedInline",
    "UserChangeForm",
    "UserCreationForm",
    "button",
    "display",
    "link",
    "pretty",
    "table",
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
        """Whether there is a row of this page whose buttons the person may use; others are not in its list."""
        return self.may(request)

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
        if not self.may_push(request):
            raise PermissionDenied
        row = self.get_object(request, unquote(object_id))
        if row is None:
            raise Http404
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
            context["has_history"] = request.user.may("administer")
        return super().render_change_form(request, context, add=add, change=change, form_url=form_url, obj=obj)


# --- pages --------------------------------------------------------------------------------------------------------
def _changed_fields(message):
    """The names in what Django says of a saved form: its own, and those of the rows beside it."""
    return [name for part in message for said in part.values() for name in said.get("fields", (said.get("name"),))]


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
    """Other rows, one or several, that are picked by typing: those that the person may choose."""

    def formfield_for_foreignkey(self, db_field, request, **kwargs):
        if "widget" not in kwargs and db_field.name in self.get_autocomplete_fields(request):
            kwargs["widget"] = PickOne(db_field, self.admin_site, using=kwargs.get("using"))
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def formfield_for_manytomany(self, db_field, request, **kwargs):
        if "widget" not in kwargs and db_field.name in self.get_autocomplete_fields(request):
            kwargs["widget"] = PickSeveral(db_field, self.admin_site, using=kwargs.get("using"))
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    def stored(self, db_field, obj):
        """The condition of what stands in this field of the page already: it may stay, whoever put it there."""
        raise NotImplementedError

    def narrow(self, request, form, obj):
        """Let the fields of a form class take only what its reader may choose, also where numbers are typed in."""
        if request.user.may("administer"):
            return
        for name, field in form.base_fields.items():
            db_field = self._picked(name, field)
            if db_field is None:
                continue
            remote = db_field.remote_field.model
            may_choose = Q(pk__in=offered(self.admin_site, request, db_field).order_by().values("pk"))
            if obj is not None and obj.pk:
                may_choose |= self.stored(db_field, obj)
            form.base_fields[name] = field = copy.deepcopy(field)  # it may be shared with other requests
            field.queryset = remote._default_manager.filter(may_choose)

    def _picked(self, name, field):
        if not hasattr(field, "queryset"):
            return None
        return field.picks if hasattr(field, "picks") else self.model._meta.get_field(name)


class RolesMixin:
    """Who may use the page, and which rows are there: those that the person may configure."""

    # Rows of no team that the admins of teams choose, too: people, and destinations.
    is_offered_to_all = False
    # Fields that only the platform's admins read.
    of_the_platform = ()

    def may(self, request, obj=None):
        """Whether the person may configure the row; without one, whether there may be any."""
        user = request.user
        if not user.is_authenticated:
            return False
        if user.may("administer"):
            return True
        if not hasattr(self.model, "team_paths"):
            return False
        if obj is None or obj.pk is None:
            return user.may_somewhere("configure")
        known = self._known(request)
        if obj.pk not in known:
            rows = self.model._base_manager.filter(pk=obj.pk)
            known[obj.pk] = user.where_may(rows, "configure").exists()
        return known[obj.pk]

    def _known(self, request):
        """What was found out about rows during this request: Django asks many times for one page."""
        if not hasattr(request, "known_rows"):
            request.known_rows = {}
        return request.known_rows.setdefault(self.model, {})

    def has_module_permission(self, request):
        return self.may(request)

    def has_view_permission(self, request, obj=None):
        return self.may(request, obj)

    def has_add_permission(self, request):
        return self.may(request)

    def has_change_permission(self, request, obj=None):
        return self.may(request, obj)

    def has_delete_permission(self, request, obj=None):
        return self.may(request, obj)

    def get_queryset(self, request):
        rows = super().get_queryset(request)
        if hasattr(self.model, "team_paths"):
            return request.user.where_may(rows, "configure")
        return rows if request.user.may("administer") else rows.none()

    def get_object(self, request, object_id, from_field=None):
        obj = super().get_object(request, object_id, from_field)
        if obj is not None:
            self._known(request)[obj.pk] = True  # the list of this person has it
        return obj

    def offered(self, request, verb):
        """The rows that pickers offer: those for which the person may do the verb."""
        rows = super().get_queryset(request)
        if hasattr(self.model, "team_paths"):
            return request.user.where_may(rows, verb)
        return rows if self.is_offered_to_all or request.user.may("administer") else rows.none()

    # --- forms
    def get_fieldsets(self, request, obj=None):
        sets = super().get_fieldsets(request, obj)
        if not self.of_the_platform or request.user.may("administer"):
            return sets
        return [
            (title, {**options, "fields": [name for name in options["fields"] if name not in self.of_the_platform]})
            for title, options in sets
        ]

    def stored(self, db_field, obj):
        if db_field.many_to_many:
            return Q(pk__in=getattr(obj, db_field.name).order_by().values("pk"))
        return Q(pk=getattr(obj, db_field.attname))

    def get_form(self, request, obj=None, change=False, **kwargs):
        form = super().get_form(request, obj, change=change, **kwargs)
        self.narrow(request, form, obj)
        return form

    def save_related(self, request, form, formsets, change):
        super().save_related(request, form, formsets, change)
        if not request.user.may("administer"):
            self._refuse_what_is_of_others(request, form.instance, formsets)

    def _refuse_what_is_of_others(self, request, obj, formsets):
        """Whatever the forms let through: nothing was saved for a team that the person does not lead."""
        saved = {type(obj): {obj.pk}}
        for formset in formsets:
            rows = [*formset.new_objects, *(row for row, _ in formset.changed_objects)]
            saved.setdefault(formset.model, set()).update(row.pk for row in rows)
        for model, pks in saved.items():
            rows = model._base_manager.filter(pk__in=pks)
            if request.user.where_may(rows, "configure").count() != len(pks):
                raise DomainError(
                    f"Nothing was saved: the {model._meta.verbose_name} would not belong to a team that you lead. "
                    "Choose a team of yours, or a service, schedule or integration of it."
                )

    # --- lists
    def get_search_fields(self, request):
        """Whole email addresses find somebody; parts of them would tell the address letter by letter."""
        names = super().get_search_fields(request)
        if request.user.may("administer"):
            return names
        return [f"={name}" if name.endswith("email") else name for name in names]

    def lookup_allowed(self, lookup, value, request=None):
        """Only by what the page offers: filters on other fields would tell what they hold letter by letter."""
        names = {"pk", self.opts.pk.name, self.date_hierarchy}
        for one in self.get_list_filter(request):
            is_class = isinstance(one, type) and issubclass(one, admin.SimpleListFilter)
            names.add(one.parameter_name if is_class else one if isinstance(one, str) else one[0])
        is_offered = any(name and (lookup == name or lookup.startswith(f"{name}__")) for name in names)
        return is_offered and super().lookup_allowed(lookup, value, request)


def offered(site, request, db_field):
    """The rows that the person may choose for a foreign key.

    What gives a row its team has to be theirs; of the rest they may choose what they could call people for.
    """
    owns = any(path.split("__")[0] == db_field.name for path in getattr(db_field.model, "team_paths", ()))
    page = site.get_model_admin(db_field.remote_field.model)
    return page.offered(request, "configure" if owns else "respond")


class OwnRowsFilter(admin.RelatedFieldListFilter):
    """Choices of a filter: the admins of teams see names of their own rows only."""

    def field_choices(self, field, request, model_admin):
        if request.user.may("administer"):
            return super().field_choices(field, request, model_admin)
        page = model_admin.admin_site.get_model_admin(field.remote_field.model)
        return [(row.pk, str(row)) for row in page.offered(request, "configure")]


admin.FieldListFilter.register(lambda field: field.remote_field, OwnRowsFilter, take_priority=True)


class Choices(AutocompleteJsonView):
    """What pickers ask for while somebody types. Whom the page offers nothing finds nothing."""

    def has_perm(self, request, obj=None):
        return isinstance(self.model_admin, RolesMixin)

    def get_queryset(self):
        rows = offered(self.admin_site, self.request, self.source_field)
        rows = rows.complex_filter(self.source_field.get_limit_choices_to())
        rows, has_duplicates = self.model_admin.get_search_results(self.request, rows, self.term)
        return rows.distinct() if has_duplicates else rows


NOT_HERE = "The admin is for admins of the platform and of teams. Ask one of them to change what you need changed."


class Site(UnfoldAdminSite):
    """The admin is for those who may configure anything. What Django calls staff is not asked for."""

    def has_permission(self, request):
        return request.user.is_authenticated and request.user.may_somewhere("configure")

    def admin_view(self, view, cacheable=False):
        """Who is signed in and has no right here is told so; the page to sign in would only send them back."""
        asked = super().admin_view(view, cacheable)

        @functools.wraps(asked)
        def told(request, *args, **kwargs):
            if request.user.is_authenticated and not self.has_permission(request):
                raise PermissionDenied(NOT_HERE)
            return asked(request, *args, **kwargs)

        return told

    def autocomplete_view(self, request):
        return Choices.as_view(admin_site=self)(request)


admin.site.__class__ = Site  # the skin makes the site, before any page is registered


class Admin(RolesMixin, ZoneNamedMixin, PickerMixin, ButtonsMixin, SkinModelAdmin):
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

    # Django's own log would be a second history: what is done here is told to the one there is, the audit.
    def log_addition(self, request, obj, message):
        admin_did.send(type(obj), row=obj, verb="created", text="")

    def log_change(self, request, obj, message):
        is_button = isinstance(message, str)
        text = message if is_button else get_text_list(_changed_fields(message), "and")
        admin_did.send(type(obj), row=obj, verb="did" if is_button else "changed", text=text)

    def log_deletions(self, request, queryset):
        for obj in queryset:
            admin_did.send(type(obj), row=obj, verb="deleted", text="")

    def history_view(self, request, object_id, extra_context=None):
        """What was done to this row, in the audit."""
        obj = self.get_object(request, unquote(object_id))
        if obj is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
        if not self.has_view_or_change_permission(request, obj):
            raise PermissionDenied
        if not request.user.may("administer"):
            raise PermissionDenied("The history is in the audit, and admins of the platform read that.")
        return redirect(f"{reverse('audit')}?{urlencode({'object': f'{self.opts.label_lower}:{obj.pk}'})}")

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
        """Rows that only make sense beside the deleted one go with it, also those whose own page is read-only.

        What others own does not, and is not told to whom it is none of.
        """
        if not request.user.may("administer") and (others := self._of_others(objs, request)):
            return [], {}, others, []
        rows, counts, _, protected = super().get_deleted_objects(objs, request)
        return rows, counts, set(), protected

    def _of_others(self, objs, request):
        """The kinds of rows that would go with these and belong to others."""
        collector = NestedObjects(using="default")
        collector.collect(objs)
        found = {model: {row.pk for row in rows} for model, rows in collector.model_objs.items()}
        for rows in collector.fast_deletes:
            found.setdefault(rows.model, set()).update(rows.values_list("pk", flat=True))
        return {
            f"{model._meta.verbose_name_plural} of others"
            for model, pks in found.items()
            if hasattr(model, "team_paths")
            and request.user.where_may(model._base_manager.filter(pk__in=pks), "configure").count() != len(pks)
        }


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


class PartMixin:
    """Rows of another table: who may change the page may change them. Those that are hidden are not there."""

    def _may_write(self, request, obj):
        page = self.admin_site.get_model_admin(self.parent_model)
        return page.has_change_permission(request, obj) if obj and obj.pk else page.has_add_permission(request)

    def has_view_permission(self, request, obj=None):
        return self.admin_site.get_model_admin(self.parent_model).has_view_permission(request, obj)

    def has_add_permission(self, request, obj=None):
        return self._may_write(request, obj)

    def has_change_permission(self, request, obj=None):
        return self._may_write(request, obj)

    def has_delete_permission(self, request, obj=None):
        return self._may_write(request, obj)

    def get_queryset(self, request):
        return request.user.visible(super().get_queryset(request))

    def stored(self, db_field, obj):
        own = forms.models._get_foreign_key(self.parent_model, self.model, fk_name=self.fk_name)
        return Q(pk__in=self.model._base_manager.filter(**{own.name: obj}).values(db_field.attname))

    def get_formset(self, request, obj=None, **kwargs):
        formset = super().get_formset(request, obj, **kwargs)
        self.narrow(request, formset.form, obj)
        return formset


class Inline(PartMixin, ZoneNamedMixin, PickerMixin, SkinTabularInline):
    """Rows of another table on the page, one a line."""

    extra = 0


class StackedInline(PartMixin, ZoneNamedMixin, PickerMixin, SkinStackedInline):
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
