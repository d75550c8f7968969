"""Incidents and their timeline, to look at. They are driven on their own pages, by the API and by replies."""

from urllib.parse import urlencode

from django.contrib import admin
from django.forms import ModelForm
from django.urls import reverse
from django.utils.html import format_html

from catalog.admin import ServiceAdmin
from core.admin import Admin, Inline, ReadOnlyAdmin, ReadOnlyInline, display
from core.admin_fields import choices_field
from incidents.models import Follower, Incident, Responder, SavedView, Subscription, Task, TimelineEntry
from notifications.admin.addresses import DestinationAdmin

SEVERITY_COLOURS = {"Critical": "danger", "High": "warning", "Medium": "info", "Low": "success", "Info": "success"}


class TimelineInline(ReadOnlyInline):
    model = TimelineEntry
    fields = ("at", "kind", "text", "by", "via")
    ordering = ("id",)
    verbose_name_plural = "timeline"

    def get_queryset(self, request):
        return super().get_queryset(request).select_related("by", "incident")


class ResponderInline(ReadOnlyInline):
    model = Responder
    fk_name = "incident"
    fields = ("user", "role", "added_by", "added_at", "joined_at", "declined_at")

    def get_queryset(self, request):
        return super().get_queryset(request).select_related("user", "added_by", "incident")


class TaskInline(ReadOnlyInline):
    model = Task
    fk_name = "incident"
    fields = ("text", "assignee", "created_by", "done_by", "done_at")

    def get_queryset(self, request):
        return super().get_queryset(request).select_related("assignee", "created_by", "done_by", "incident")


class FollowerInline(ReadOnlyInline):
    model = Follower
    fields = ("user", "since")

    def get_queryset(self, request):
        return super().get_queryset(request).select_related("user", "incident")


@admin.register(Incident)
class IncidentAdmin(ReadOnlyAdmin):
    inlines = (ResponderInline, TaskInline, FollowerInline, TimelineInline)
    list_display = ("number", "title", "service", "severity_label", "priority", "status", "assignee", "triggered_at")
    list_display_links = ("number", "title")
    list_filter = ("status", "severity", "priority", "team", "service")
    list_select_related = ("service", "team", "assignee")
    search_fields = ("=number", "title", "service__name")
    date_hierarchy = "triggered_at"
    readonly_fields = ("severity_label", "pages")
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "title",
                    "description",
                    "impact",
                    "service",
                    "team",
                    "severity_label",
                    "priority",
                    "urgency",
                    "status",
                    "merged_into",
                )
            },
        ),
        ("Who has it", {"fields": ("assignee", "acknowledged_by", "resolved_by", "resolution_note", "pages")}),
        ("When", {"fields": ("triggered_at", "acknowledged_at", "resolved_at", "closed_at")}),
        (
            "Escalation",
            {
                "fields": (
                    "next_escalation_at",
                    "escalation_level",
                    "escalation_round",
                    "page_number",
                    "policy",
                )
            },
        ),
    )

    @display(description="severity", ordering="severity", label=SEVERITY_COLOURS)
    def severity_label(self, obj):
        return obj.get_severity_display()

    @admin.display(description="messages")
    def pages(self, obj):
        url = f"{reverse('admin:notifications_notification_changelist')}?{urlencode({'q': obj.topic})}"
        return format_html('<a href="{}" class="text-link">All messages about this incident</a>', url)


@admin.register(TimelineEntry)
class TimelineEntryAdmin(ReadOnlyAdmin):
    list_display = ("at", "incident", "kind", "text", "by", "via")
    list_display_links = ("at", "text")
    list_filter = ("kind", "via")
    list_select_related = ("incident", "by")
    search_fields = ("text", "=incident__number", "by__name", "by__email")
    date_hierarchy = "at"
    fieldsets = (
        (None, {"fields": ("incident", "kind", "at", "by", "via", "text")}),
        ("Reasons", {"fields": ("data", "recorded_at")}),
    )


@admin.register(SavedView)
class SavedViewAdmin(Admin):
    """Filters of the list under a name. They are made on the list itself; what is in the way is changed here."""

    list_display = ("name", "owner", "team", "query")
    list_filter = ("team",)
    list_select_related = ("owner", "team")
    search_fields = ("name", "owner__name", "owner__email")
    autocomplete_fields = ("owner", "team")
    fieldsets = ((None, {"fields": ("name", "owner", "team", "query", "created_at")}),)


# --- subscriptions ------------------------------------------------------------------------------------------------
class SubscriptionForm(ModelForm):
    events = choices_field(choices=Subscription.Event.choices, help_text="What it is told of.")

    class Meta:
        model = Subscription
        fields = ("destination", "team", "service", "events", "minimum_severity", "opens_channel")


@admin.register(Subscription)
class SubscriptionAdmin(Admin):
    """Which destination is told of which team's or service's incidents."""

    form = SubscriptionForm
    list_display = ("destination", "team", "service", "minimum_severity", "opens_channel")
    list_filter = ("team", "service", "minimum_severity")
    list_select_related = ("destination", "team", "service")
    search_fields = ("destination__name", "team__name", "service__name")
    autocomplete_fields = ("destination", "team", "service")
    fieldsets = (
        (None, {"fields": ("destination", "team", "service")}),
        ("What it is told", {"fields": ("events", "minimum_severity", "opens_channel")}),
    )


class SubscriptionInline(Inline):
    model, form = Subscription, SubscriptionForm
    fields = ("team", "service", "events", "minimum_severity", "opens_channel")
    autocomplete_fields = ("team", "service")


class ServiceSubscriptionInline(SubscriptionInline):
    fields = ("destination", "events", "minimum_severity", "opens_channel")
    autocomplete_fields = ("destination",)


# The floors below cannot know this one, so this one adds its parts there.
DestinationAdmin.inlines = (*DestinationAdmin.inlines, SubscriptionInline)
ServiceAdmin.inlines = (*ServiceAdmin.inlines, ServiceSubscriptionInline)
