"""What keeps alerts quiet, in the admin: silences and windows to look at, inhibition rules to set up."""

from django.contrib import admin
from django.forms import ModelForm
from django.utils import timezone

from alerts import inhibition, maintenance, matching, silences
from alerts.models import InhibitionRule, MaintenanceWindow, Silence
from core.admin import Admin, ReadOnlyAdmin, lines_widget


@admin.register(Silence)
class SilenceAdmin(ReadOnlyAdmin):
    """Made by responders, over the API and with amtool."""

    list_display = ("condition", "state", "owner", "reason", "starts_at", "ends_at")
    list_filter = ("integration", "service")
    list_select_related = ("owner", "integration", "service")
    search_fields = ("condition", "reason", "made_by", "owner__name")

    @admin.display(description="state")
    def state(self, obj):
        return silences.state(obj, timezone.now())


@admin.register(MaintenanceWindow)
class MaintenanceWindowAdmin(ReadOnlyAdmin):
    """Planned work, made by responders and over the API."""

    list_display = ("name", "state", "owner", "starts_at", "ends_at", "rrule", "is_enabled")
    list_filter = ("is_enabled",)
    list_select_related = ("owner",)
    search_fields = ("name", "reason", "condition")

    @admin.display(description="state")
    def state(self, obj):
        return maintenance.state(obj, timezone.now())


class InhibitionRuleForm(ModelForm):
    class Meta:
        model = InhibitionRule
        fields = ("name", "integration", "source", "target", "equal", "is_enabled")
        widgets = {"source": lines_widget(3), "target": lines_widget(3)}

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
