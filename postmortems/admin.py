"""Postmortems in the admin: what new ones begin with. What was written is read there, and changed on its page."""

from django.contrib import admin
from django.db.models import Count
from django.urls import reverse
from django.utils.html import format_html

from core.admin import Admin, ReadOnlyAdmin, StackedInline, display
from postmortems.models import ActionItem, Postmortem, Template, TemplateSection, Wanted


class TemplateSectionInline(StackedInline):
    model = TemplateSection
    fields = ("title", "position", "help", "body")
    verbose_name_plural = "sections"


@admin.register(Template)
class TemplateAdmin(Admin):
    """What a new postmortem begins with: its sections, and what their writers are asked."""

    list_display = ("name", "team", "is_default", "section_count")
    list_filter = ("is_default", "team")
    list_select_related = ("team",)
    search_fields = ("name", "team__name", "sections__title")
    autocomplete_fields = ("team",)
    fields = ("name", "team", "is_default")
    inlines = (TemplateSectionInline,)

    def get_queryset(self, request):
        return super().get_queryset(request).annotate(count=Count("sections"))

    @display(description="sections", ordering="count")
    def section_count(self, obj):
        return obj.count


@admin.register(Postmortem)
class PostmortemAdmin(ReadOnlyAdmin):
    list_display = ("number", "title", "team", "status", "severity", "owner", "changed_at", "page")
    list_filter = ("status", "visibility", "severity", "team")
    list_select_related = ("team", "owner")
    search_fields = ("=number", "title", "summary")
    date_hierarchy = "created_at"
    fields = (
        "number",
        "title",
        "page",
        "team",
        "status",
        "visibility",
        "severity",
        "owner",
        "summary",
        "impact_began_at",
        "impact_ended_at",
        "created_by",
        "created_at",
        "changed_at",
        "published_by",
        "published_at",
        "archived_at",
    )
    readonly_fields = ("page",)

    @display(description="its page")
    def page(self, obj):
        address = reverse("postmortems:postmortem", args=[obj.pk])
        return format_html('<a href="{}" class="text-link">PM-{}</a>', address, obj.pk)


@admin.register(ActionItem)
class ActionItemAdmin(ReadOnlyAdmin):
    list_display = ("text", "postmortem", "owner", "due_on", "priority", "status")
    list_filter = ("status", "priority", "postmortem__team")
    list_select_related = ("postmortem", "owner")
    search_fields = ("text", "link", "=postmortem__number", "postmortem__title")
    date_hierarchy = "due_on"


@admin.register(Wanted)
class WantedAdmin(ReadOnlyAdmin):
    """Incidents that ought to have a postmortem, and when somebody is reminded of it."""

    list_display = ("incident", "since", "due_at", "reminded_at", "declined_at", "declined_by")
    list_select_related = ("incident", "declined_by")
    search_fields = ("=incident__number", "incident__title", "decline_reason")
    date_hierarchy = "since"
