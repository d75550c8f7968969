"""Accounts at outside services, and how they do: circuits and what is left of rate limits."""

from django.contrib import admin
from django.db.models import CharField, OuterRef, Subquery, Value
from django.db.models.functions import Cast, Concat
from django.forms import ModelForm
from django.utils import timezone

from core.admin import Admin, ReadOnlyAdmin, button
from core.admin_fields import SecretField, select_field, text_field
from notifications import circuits
from notifications.models import Allowance, Circuit, Provider, SeenRequest, vendors

PREFIX = "setting_"


def vendor_of(obj, request):
    kind = obj.vendor if obj else request.POST.get("vendor") or request.GET.get("vendor", "")
    return vendors.get(kind) if kind in vendors else None


def field_of(setting):
    """The form field of one setting of a vendor."""
    label = setting.label if setting.is_required else f"{setting.label} (optional)"
    if setting.is_secret:
        return SecretField(label=label, help_text=f"{setting.help} Empty: what is stored stays as it is.".strip())
    if setting.choices:
        return select_field(setting.choices, label=label, help_text=setting.help, initial=setting.default)
    return text_field(required=False, label=label, help_text=setting.help, initial=setting.default)


class ProviderForm(ModelForm):
    """The fields of a vendor are added by the page, once the vendor is known."""

    class Meta:
        model = Provider
        fields = ("vendor", "name", "position", "is_enabled")

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        config = self.instance.config or {}
        for name, field in self.fields.items():
            if name.startswith(PREFIX) and not isinstance(field, SecretField):
                self.initial[name] = config.get(name.removeprefix(PREFIX)) or field.initial or ""

    def clean(self):
        cleaned = super().clean()
        kind = cleaned.get("vendor") or self.instance.vendor
        if kind not in vendors:
            return cleaned
        vendor, config = vendors.get(kind), dict(self.instance.config or {})
        for setting in vendor.settings:
            if PREFIX + setting.name in self.fields:
                value = (cleaned.get(PREFIX + setting.name) or "").strip()
                if value or not setting.is_secret:
                    config[setting.name] = value
        self.instance.config = config
        if not any(name.startswith(PREFIX) for name in self.fields):
            return cleaned  # the first step: only the vendor is chosen
        for setting in vendor.settings:
            if setting.is_required and not config.get(setting.name) and not setting.default:
                self.add_error(PREFIX + setting.name, f"Enter the {setting.label}.")
        for name, problem in vendor.problems_with(vendor.complete(config)).items():
            self.add_error(PREFIX + name if PREFIX + name in self.fields else None, problem)
        return cleaned


@admin.register(Provider)
class ProviderAdmin(Admin):
    """Accounts of channels that need one. Several of one vendor are tried in the order of their positions."""

    form = ProviderForm
    list_display = ("name", "vendor", "position", "is_enabled", "state")
    list_filter = ("vendor", "is_enabled")
    search_fields = ("name",)
    buttons = ("close_circuit",)
    readonly_fields = ("state", "created_at")

    def get_form(self, request, obj=None, change=False, **kwargs):
        vendor = vendor_of(obj, request)
        fields = {PREFIX + one.name: field_of(one) for one in vendor.settings} if vendor else {}
        kwargs["form"] = type("VendorForm", (self.form,), fields)
        # The admin asks for the fields of its fieldsets, and those of a vendor are none of the model's.
        kwargs["fields"] = ("vendor", "name", "position", "is_enabled")
        return super().get_form(request, obj, change=change, **kwargs)

    def get_readonly_fields(self, request, obj=None):
        return ("vendor", *self.readonly_fields) if obj else self.readonly_fields

    def get_fieldsets(self, request, obj=None):
        vendor = vendor_of(obj, request)
        main = (None, {"fields": ("vendor", "name", "position", "is_enabled")})
        if vendor is None:
            main[1]["description"] = "Choose the vendor and save. Then its settings are asked for."
            return (main,)
        settings = {"fields": tuple(PREFIX + one.name for one in vendor.settings), "description": vendor.help}
        rest = (("How it does", {"fields": ("state", "created_at")}),) if obj else ()
        return (main, (vendor.label, settings), *rest)

    def response_add(self, request, obj, post_url_continue=None):
        if vendors.get(obj.vendor).missing(obj.config):
            request.POST = request.POST.copy()
            request.POST["_continue"] = "1"
        return super().response_add(request, obj, post_url_continue)

    def save_model(self, request, obj, form, change):
        super().save_model(request, obj, form, change)
        circuits.reset(obj.key, now=timezone.now())

    def get_queryset(self, request):
        open_ones = Circuit.objects.filter(
            name__startswith=Concat(OuterRef("vendor"), Value(":"), Cast(OuterRef("pk"), CharField()), Value(" "))
        ).exclude(opened_until=None, is_held=False)
        return super().get_queryset(request).annotate(last_error=Subquery(open_ones.values("last_error")[:1]))

    @admin.display(description="state")
    def state(self, obj):
        if obj.vendor not in vendors:
            return "There is no such vendor any more."
        if missing := vendors.get(obj.vendor).missing(obj.config):
            return f"Not used: {', '.join(missing)} is missing."
        if not obj.is_enabled:
            return "Not used: it is not enabled."
        error = getattr(obj, "last_error", None)
        return f"Left alone for now: {error}" if error else "Works, as far as is known."

    @button("Try it again", confirm="Its circuits are closed, so that messages go out through it at once.")
    def close_circuit(self, request, obj):
        circuits.reset(obj.key, now=timezone.now())
        return f"{obj} is tried again."


@admin.register(Circuit)
class CircuitAdmin(ReadOnlyAdmin):
    """Providers and hosts that failed lately. An open one is left alone until its time, then tried once."""

    list_display = ("name", "failures", "opened_until", "is_held", "last_error", "changed_at")
    list_filter = ("is_held", ("opened_until", admin.EmptyFieldListFilter))
    search_fields = ("name", "last_error")
    buttons = ("close",)

    @button("Close it", confirm="Messages go out that way at once.")
    def close(self, request, obj):
        circuits.reset(obj.name, now=timezone.now())
        return f"{obj} is closed."


@admin.register(Allowance)
class AllowanceAdmin(ReadOnlyAdmin):
    """What is left of each rate limit."""

    list_display = ("name", "tokens", "at")
    search_fields = ("name",)


@admin.register(SeenRequest)
class SeenRequestAdmin(ReadOnlyAdmin):
    """Requests from outside that were acted upon. The same one again does nothing."""

    list_display = ("key", "at")
    search_fields = ("key",)
