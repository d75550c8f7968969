"""Services in the admin: what can break, who owns it, and whom it calls right now."""

from django.contrib import admin
from django.db.models import OuterRef, Subquery
from django.utils import timezone
from django.utils.html import format_html

from catalog.models import Service
from catalog.policies import copies_for
from core.admin import Admin, display, link
from oncall.admin import calls
from oncall.models import EscalationPolicy


@admin.register(Service)
class ServiceAdmin(Admin):
    list_display = ("name", "team", "tier", "lifecycle_label", "policy_in_use", "slug")
    list_filter = ("lifecycle", "tier", "team")
    list_select_related = ("team", "policy")
    search_fields = ("name", "slug", "description", "team__name", "routing_key")
    autocomplete_fields = ("team", "policy")
    prepopulated_fields = {"slug": ("name",)}
    readonly_fields = ("routing_key", "created_at", "resolved_policy")
    instead_of_deleting = (
        "What happened stays told, with the services it happened to. Archive the service instead: choose the "
        "lifecycle “Archived” on this page."
    )
    fieldsets = (
        (None, {"fields": ("name", "slug", "description", "team", "tier", "lifecycle")}),
        ("Who is called", {"fields": ("policy", "resolved_policy")}),
        (
            "Alerts",
            {
                "fields": ("routing_key", "correlation_window_seconds"),
                "description": "A sender may use the routing key instead of an integration's key. It never changes.",
            },
        ),
    )

    def get_queryset(self, request):
        default = EscalationPolicy.objects.filter(team=OuterRef("team"), is_team_default=True)
        return super().get_queryset(request).annotate(default_policy=Subquery(default.values("name")[:1]))

    @display(
        description="lifecycle",
        ordering="lifecycle",
        label={"Active": "success", "Deprecated": "warning", "Archived": "info"},
    )
    def lifecycle_label(self, obj):
        return obj.get_lifecycle_display()

    @admin.display(description="policy")
    def policy_in_use(self, obj):
        if obj.policy:
            return obj.policy.name
        return f"{obj.default_policy} (default)" if obj.default_policy else "none: nobody is called"

    @admin.display(description="would be called now")
    def resolved_policy(self, obj):
        if not obj or not obj.pk:
            return "Save the service to see who would be called."
        policy = copies_for([obj])[obj.pk]
        if not policy:
            return (
                f"Nobody. {obj.team} has no default policy: choose a policy here, or mark one of the team's policies "
                "as its default."
            )
        row = EscalationPolicy.objects.get(pk=policy["id"])
        whose = "the service's own policy" if obj.policy_id else f"the default policy of {obj.team}"
        return format_html("{}, {}{}", link(row), whose, calls(policy, at=timezone.now()))
