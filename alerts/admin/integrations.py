"""Integrations in the admin: doors for monitoring tools, each with its key."""

import datetime as dt
import re

from django import forms
from django.contrib import admin
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html

from alerts.admin import rules
from alerts.keys import issue_key, old_key_works, replace_key, rotate_key
from alerts.models import Integration, sources
from alerts.setup import NO_KEY, address, setup_text
from catalog.admin import ServiceAdmin
from core.admin import Admin, ReadOnlyInline, button, link
from core.admin_fields import SecretField, lines_widget, select_field, switch, text_field

OPTION = "option_"
KEY_OVERLAP = dt.timedelta(hours=24)
DEDUP = ("dedup_fields", "flap_changes", "flap_window_seconds", "flap_pause_seconds", "auto_resolve_seconds")
GROUPS = ("group_fields", "group_window_seconds", "group_slides", "group_freezes_on_acknowledge")
LIMITS = ("events_per_minute", "incidents_per_minute")


def source_of(obj, request):
    """The class of the source that is being set up, or None while it is not chosen."""
    kind = obj.source if obj else request.POST.get("source") or request.GET.get("source", "")
    return sources.classes().get(kind)


def field_of(option):
    """The form field of one option of a source."""
    if option.is_switch:
        return switch(label=option.label, help_text=option.help_text, initial=option.default)
    if option.choices:
        return select_field(option.choices, label=option.label, help_text=option.help_text, initial=option.default)
    field = text_field(required=False, label=option.label, help_text=option.help_text, initial=option.default)
    if option.is_long:
        field.widget = lines_widget(5)
    return field


class PathsField(forms.CharField):
    """Names of fields, separated by commas or lines."""

    def __init__(self, **options):
        super().__init__(required=False, widget=text_field().widget, **options)

    def prepare_value(self, value):
        return ", ".join(value) if isinstance(value, list) else value

    def to_python(self, value):
        return [part for part in (one.strip() for one in re.split(r"[,\n]", value or "")) if part]

    def validate(self, value):
        for name in value:
            if len(name) > 200 or not re.fullmatch(r"[\w@][\w.@:/-]*", name):
                raise forms.ValidationError(
                    f"“{name[:60]}” is not a field. Use names such as title, labels.cluster or payload.data.id."
                )


class IntegrationForm(forms.ModelForm):
    """The options of a source are added by the page, once the source is known."""

    signing_secret = SecretField(
        label="Signing secret",
        help_text="When set, every request must carry a valid HMAC signature. Empty: what is stored stays as it is.",
    )
    remove_secret = switch(label="Remove the signing secret", help_text="Requests then need no signature.")
    dedup_fields = PathsField(
        label="Key fields",
        help_text="Fields whose values make the dedup key, such as labels.cluster, labels.alertname. Empty: the key "
        "that the source gives.",
    )
    group_fields = PathsField(
        label="Group by",
        help_text="Alerts of a service with the same values in these fields share an incident. Empty: those of the "
        "same severity do.",
    )

    class Meta:
        model = Integration
        fields = (
            "name",
            "source",
            "service",
            "team",
            "may_choose_service",
            "default_severity",
            "key_expires_at",
            "signing_secret",
            *DEDUP,
            *GROUPS,
            *LIMITS,
            "is_enabled",
        )

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        for name in self.fields:
            if name.startswith(OPTION):
                kept = self.instance.options or {}
                self.initial[name] = kept.get(name.removeprefix(OPTION), self.fields[name].initial)

    def clean_signing_secret(self):
        return self.cleaned_data["signing_secret"] or self.initial.get("signing_secret", "")

    def clean(self):
        cleaned = super().clean()
        if cleaned.get("remove_secret"):
            cleaned["signing_secret"] = ""
        if not cleaned.get("service") and not cleaned.get("team"):
            self.add_error("service", "Choose a service, or a team that takes what names no service.")
        kind = sources.classes().get(cleaned.get("source") or self.instance.source)
        options = dict(self.instance.options or {})
        for option in kind.options if kind else ():
            if OPTION + option.name in self.fields:
                options[option.name] = self._checked(option, cleaned.get(OPTION + option.name))
        self.instance.options = options
        return cleaned

    def _checked(self, option, value):
        if option.check is None or not value:
            return value
        try:
            return option.check(value)
        except ValueError as error:
            self.add_error(OPTION + option.name, str(error))
            return value


@admin.register(Integration)
class IntegrationAdmin(Admin):
    """Doors for monitoring tools. A key is shown once, when it is issued."""

    form = IntegrationForm
    list_display = ("name", "source", "goes_to", "is_enabled", "key_hint", "last_event_at")
    list_filter = ("source", "is_enabled", "service__team")
    list_select_related = ("service", "team")
    search_fields = ("name", "service__name", "team__name", "key_last4")
    autocomplete_fields = ("service", "team")
    buttons = ("new_key", "replace_key", "new_key_at_once", "end_old_key")
    readonly_fields = ("key_hint", "last_event_at", "created_at", "setup", "page")
    shown_fieldsets = (
        (
            "How to set the sender up",
            {"fields": ("setup", "page", "key_hint", "old_key_until", "last_event_at", "created_at")},
        ),
    )

    def get_form(self, request, obj=None, change=False, **kwargs):
        kind = source_of(obj, request)
        fields = {OPTION + one.name: field_of(one) for one in kind.options} if kind else {}
        kwargs["form"] = type("SourceForm", (self.form,), fields)
        # The admin asks for the fields of its fieldsets, and those of a source are none of the model's.
        fixed = self.get_readonly_fields(request, obj)
        kwargs["fields"] = [name for name in self.form.Meta.fields if name not in fixed]
        return super().get_form(request, obj, change=change, **kwargs)

    def get_readonly_fields(self, request, obj=None):
        return ("source", *self.readonly_fields, "old_key_until") if obj else self.readonly_fields

    def get_fieldsets(self, request, obj=None):
        kind = source_of(obj, request)
        options = tuple(OPTION + one.name for one in kind.options) if kind else ()
        sets = [
            (None, {"fields": ("name", "source", "is_enabled")}),
            (
                "What its alerts become",
                {
                    "fields": ("service", "team", "may_choose_service", "default_severity"),
                    "description": "First counts a service that the alert names, then the routing rules, then the "
                    "service here, then the team.",
                },
            ),
        ]
        if options:
            sets.append((kind.label, {"fields": options}))
        sets += [
            ("Which alerts are the same", {"fields": DEDUP, "classes": ("collapse",)}),
            ("Which alerts share an incident", {"fields": GROUPS, "classes": ("collapse",)}),
            ("How much it may send", {"fields": LIMITS, "classes": ("collapse",)}),
            ("Until when its key works", {"fields": ("key_expires_at",), "classes": ("collapse",)}),
            ("Signature", {"fields": ("signing_secret", "remove_secret"), "classes": ("collapse",)}),
        ]
        return (*sets, *self.shown_fieldsets) if obj else tuple(sets)

    @admin.display(description="goes to")
    def goes_to(self, obj):
        return obj.service or f"team {obj.team}"

    @admin.display(description="key")
    def key_hint(self, obj):
        return f"…{obj.key_last4}"

    @admin.display(description="steps")
    def setup(self, obj):
        note = f"Put the key in place of {NO_KEY}. It was shown when it was issued; if it is lost, issue a new one."
        return format_html('<pre class="wb-block">{}</pre><p>{}</p>', setup_text(obj.source, NO_KEY), note)

    @admin.display(description="what came in")
    def page(self, obj):
        url = reverse("alerts:integration", args=[obj.uuid])
        return format_html('<a href="{}" class="text-link">Last events, decisions and errors</a>', url)

    def save_model(self, request, obj, form, change):
        if change:
            super().save_model(request, obj, form, change)
            return
        key = issue_key(obj)
        super().save_model(request, obj, form, change)
        self.show_key(request, obj, key)

    def show_key(self, request, obj, key):
        self.message_user(
            request,
            format_html(
                "This is the key of {}. It is shown only now, so copy what you need.<br>Key: "
                '<code class="wb-secret">{}</code><br>Address: <code class="wb-secret">{}</code>'
                '<pre class="wb-block">{}</pre>',
                obj.name,
                key,
                address(obj.source, key),
                setup_text(obj.source, key),
            ),
        )

    def shown_links(self, request, obj):
        return rules.rehearsal_links(request, "Test routing", integration=obj.pk)

    def shown_buttons(self, request, obj):
        shown = super().shown_buttons(request, obj)
        hidden = {"new_key"} if old_key_works(obj, now=timezone.now()) else {"replace_key", "end_old_key"}
        return [one for one in shown if one.name not in hidden]

    @button(
        "New key, the old one lasts a day",
        confirm="Give the sender the new key within 24 hours. Until then both work.",
    )
    def new_key(self, request, obj):
        return self._issued(request, *rotate_key(obj.pk, now=timezone.now(), overlap=KEY_OVERLAP))

    @button(
        "Replace the newest key",
        confirm="For a newest key that nobody has: it stops working within seconds. The one before it works for a day "
        "more.",
    )
    def replace_key(self, request, obj):
        return self._issued(request, *replace_key(obj.pk, now=timezone.now(), overlap=KEY_OVERLAP))

    @button(
        "New key at once",
        confirm="The old key stops working within seconds. Give the sender the new one, or its alerts are refused.",
    )
    def new_key_at_once(self, request, obj):
        return self._issued(request, *rotate_key(obj.pk, now=timezone.now(), overlap=None))

    def _issued(self, request, obj, key):
        self.show_key(request, obj, key)
        return f"{obj.name} has a new key."

    @button("Stop the old key", confirm="What still uses the old key is refused within seconds.")
    def end_old_key(self, request, obj):
        obj.old_key_hash, obj.old_key_until = "", None
        obj.save(update_fields=["old_key_hash", "old_key_until"])
        return f"The old key of {obj.name} stopped working."


class IntegrationInline(ReadOnlyInline):
    model = Integration
    fields = ("open", "source", "is_enabled", "last_event_at")
    verbose_name_plural = "integrations"

    @admin.display(description="name")
    def open(self, obj):
        return link(obj, obj.name)


ServiceAdmin.inlines = (*ServiceAdmin.inlines, IntegrationInline)
