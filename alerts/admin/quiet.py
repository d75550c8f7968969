"""What keeps alerts quiet, in the admin: silences and windows to look at, inhibition rules to set up."""

from django.contrib import admin
from django.forms import ModelForm
from django.urls import reverse
from django.utils import timezone

from alerts import inhibition, maintenance, matching, silences
from alerts.admin.integrations import PathsField
from alerts.models import InhibitionRule, MaintenanceWindow, Silence
from core.admin import Admin, ReadOnlyAdmin
from core.admin_fields import lines_widget


class QuietAdmin(ReadOnlyAdmin):
    """What responders make on pages of its own: `pages` are the URL names of their list and of one."""

    list_before_template = "admin/alerts/quiet_before.html"
    pages = ()

    def changelist_view(self, request, extra_context=None):
        return super().changelist_view(request, {"page_url": reverse(self.pages[0]), **(extra_context or {})})

    def shown_links(self, request, obj):
        return [("Change or end it", reverse(self.pages[1], args=[obj.uuid]))]


@admin.register(Silence)
class SilenceAdmin(QuietAdmin):
    """Made by responders, over the API and with amtool."""

    pages = ("alerts:silences", "alerts:silence")

    list_display = ("condition", "state", "owner", "reason", "starts_at", "ends_at")
    list_filter = ("integration", "service")
    list_select_related = ("owner", "integration", "service")
    search_fields = ("condition", "reason", "made_by", "owner__name")
    readonly_fields = ("state",)
    fieldsets = (
        (None, {"fields": ("condition", "service", "integration", "reason", "owner", "made_by")}),
        ("When", {"fields": ("state", "starts_at", "ends_at", "expired_at", "created_at", "updated_at")}),
        ("Inside", {"classes": ("collapse",), "fields": ("id", "uuid", "warn_at", "due_at")}),
    )

    @admin.display(description="state")
    def state(self, obj):
        return silences.state(obj, timezone.now())


@admin.register(MaintenanceWindow)
class MaintenanceWindowAdmin(QuietAdmin):
    """Planned work, made by responders and over the API."""

    pages = ("alerts:maintenance", "alerts:maintenance-window")

    list_display = ("name", "state", "owner", "starts_at", "ends_at", "rrule", "is_enabled")
    list_filter = ("is_enabled",)
    list_select_related = ("owner",)
    search_fields = ("name", "reason", "condition")
    readonly_fields = ("state",)
    fieldsets = (
        (None, {"fields": ("name", "reason", "services", "teams", "condition", "owner", "is_enabled")}),
        ("When", {"fields": ("state", "starts_at", "ends_at", "rrule", "time_zone", "ended_at")}),
        ("Inside", {"classes": ("collapse",), "fields": ("id", "uuid", "created_at")}),
    )

    @admin.display(description="state")
    def state(self, obj):
        return maintenance.state(obj, timezone.now())


class InhibitionRuleForm(ModelForm):
    equal = PathsField(
        help_text="Labels that must have the same value on both sides, such as cluster, namespace. Empty: none."
    )

    class Meta:
        model = InhibitionRule
        fields = ("name", "integration", "source", "target", "equal", "is_enabled")
        widgets = {"source": lines_widget(3), "target": lines_widget(3)}
        help_texts = {
            "source": 'The alert that says more, for example alertname = "ClusterDown" and severity = "critical".',
            "target": 'The alerts that need not page beside it, for example severity in ("high", "medium").',
        }

    def clean(self):
        cleaned = super().clean()
        for side in ("source", "target"):
            try:
                matching.parse(cleaned.get(side, "") or "")
            except matching.Wrong as error:
                self.add_error(side, str(error))
        return cleaned


@admin.register(InhibitionRule)
class InhibitionRuleAdmin(Admin):
    """While an alert fires that matches the source, alerts that match the target are held."""

    form = InhibitionRuleForm
    list_display = ("name", "integration", "source", "target", "is_enabled")
    list_filter = ("is_enabled", "integration")
    list_select_related = ("integration",)
    search_fields = ("name", "source", "target")
    autocomplete_fields = ("integration",)

    def save_model(self, request, obj, form, change):
        inhibition.save(obj, now=timezone.now())

    def delete_model(self, request, obj):
        inhibition.delete(obj, now=timezone.now())

    def delete_queryset(self, request, queryset):
        for rule in queryset:
            inhibition.delete(rule, now=timezone.now())
