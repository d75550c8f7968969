"""Posts, recurring maintenance and templates in the admin. Posts are written on the pages of responders."""

from django.contrib import admin
from django.core.exceptions import ValidationError
from django.forms import ModelForm
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html_join

from core.admin import Admin, ReadOnlyAdmin, ReadOnlyInline, display
from core.admin_fields import lines_widget
from statuspages import recurring, states
from statuspages.models import Affected, Post, PostTemplate, PostUpdate, Series

IMPACTS = {"None": "success", "Minor": "info", "Major": "warning", "Critical": "danger"}
NEXT_TIMES = 3


class UpdateInline(ReadOnlyInline):
    model = PostUpdate
    fields = ("at", "stage", "body", "by", "via", "is_told", "edited_at")
    verbose_name_plural = "updates"

    def get_queryset(self, request):
        return super().get_queryset(request).select_related("by", "post")


class AffectedInline(ReadOnlyInline):
    model = Affected
    fields = ("component", "state")
    verbose_name_plural = "components"

    def get_queryset(self, request):
        return super().get_queryset(request).select_related("component", "post")


@admin.register(Post)
class PostAdmin(ReadOnlyAdmin):
    """What was told, to look at."""

    inlines = (UpdateInline, AffectedInline)
    list_display = ("title", "page", "kind", "stage", "impact_label", "starts_at", "ended_at")
    list_filter = ("kind", "stage", "impact", "page")
    list_select_related = ("page",)
    search_fields = ("title", "page__name")
    date_hierarchy = "starts_at"
    readonly_fields = ("impact_label",)
    fieldsets = (
        (None, {"fields": ("title", "page", "kind", "stage", "impact_label", "incident", "series")}),
        ("When", {"fields": ("starts_at", "ends_at", "ended_at", "goes_by_itself", "due_at")}),
        ("Who", {"fields": ("created_by", "created_at", "changed_at")}),
    )

    @display(description="impact", ordering="impact", label=IMPACTS)
    def impact_label(self, obj):
        return obj.get_impact_display()

    def shown_links(self, request, obj):
        return [("Change it", reverse("statuspages:status-post", args=[obj.page.slug, obj.uuid]))]


@admin.register(Series)
class SeriesAdmin(ReadOnlyAdmin):
    """Maintenance that comes again and again, made by responders on the page's own pages."""

    list_display = ("title", "page", "rrule", "starts_at", "announced_days", "is_enabled", "due_at")
    list_filter = ("is_enabled", "page")
    list_select_related = ("page",)
    search_fields = ("title", "page__name")
    readonly_fields = ("chosen", "next_times")
    fieldsets = (
        (None, {"fields": ("title", "page", "body", "chosen", "is_enabled")}),
        ("When", {"fields": ("starts_at", "ends_at", "rrule", "time_zone", "next_times")}),
        ("Announced", {"fields": ("announced_days", "announced_until", "due_at", "created_at")}),
    )

    @admin.display(description="components")
    def chosen(self, obj):
        return ", ".join(one.name for one in obj.components.all()) or "None"

    @admin.display(description="next times")
    def next_times(self, obj):
        times = recurring.coming(obj, timezone.now(), count=NEXT_TIMES)
        said = [(f"{start:%a %d %b %Y, %H:%M} to {end:%a %d %b, %H:%M} UTC",) for start, end in times]
        return format_html_join("", "{}<br>", said) or "It does not come again."

    def shown_links(self, request, obj):
        return [("Change or delete it", reverse("statuspages:status-series", args=[obj.page.slug, obj.uuid]))]


class PostTemplateForm(ModelForm):
    class Meta:
        model = PostTemplate
        fields = ("name", "page", "kind", "stage", "title", "body")
        widgets = {"body": lines_widget(8)}

    def clean(self):
        cleaned = super().clean()
        of_kind = states.INCIDENT_STAGES if cleaned.get("kind") == Post.Kind.INCIDENT else states.MAINTENANCE_STAGES
        stage = cleaned.get("stage")
        if stage and stage not in dict(of_kind):
            names = ", ".join(name for _, name in of_kind)
            self.add_error("stage", ValidationError(f"This kind of post has other stages: {names}."))
        return cleaned


@admin.register(PostTemplate)
class PostTemplateAdmin(Admin):
    """Words that are ready for a bad moment: chosen when a post or an update is written."""

    form = PostTemplateForm
    list_display = ("name", "page", "kind", "stage", "title")
    list_filter = ("kind", "page")
    list_select_related = ("page",)
    search_fields = ("name", "title", "body")
    autocomplete_fields = ("page",)
    fieldsets = (
        (None, {"fields": ("name", "page")}),
        ("What it fills in", {"fields": ("kind", "stage", "title", "body")}),
    )
