"""What came in, in the admin, and what became of it."""

from django.contrib import admin
from django.template.loader import render_to_string
from django.utils import timezone

from alerts import retries
from alerts.admin import rules
from alerts.models import Alert, InboundEvent, SeenSignature
from alerts.views.events import dressed
from alerts.visibility import hide_origins, hush_holds
from core.admin import (
    ReadOnlyAdmin,
    ReadOnlyInline,
    button,
    display,
    link,
    pretty,
)
from incidents.admin import SEVERITY_COLOURS, IncidentAdmin


@admin.register(InboundEvent)
class InboundEventAdmin(ReadOnlyAdmin):
    """Every accepted request, raw. One that failed is tried again; one that was given up waits for somebody."""

    list_display = ("received_at", "source", "integration", "service", "state_label", "attempts", "error_line")
    list_display_links = ("received_at",)
    list_filter = ("state", "source", "integration")
    list_select_related = ("integration", "service")
    search_fields = ("id", "error", "scope", "generated_key")
    date_hierarchy = "received_at"
    buttons = ("try_again",)
    readonly_fields = ("state_label", "body_text", "error_text", "decisions")
    of_the_platform = ("result",)  # it has more than the decisions that are shown
    fieldsets = (
        (None, {"fields": ("source", "integration", "service", "received_at", "state_label", "decided_at")}),
        ("What became of it", {"fields": ("decisions", "error_text", "attempts", "due_at")}),
        ("What was sent", {"fields": ("body_text", "headers")}),
        (
            "Inside",
            {
                "classes": ("collapse",),
                "fields": ("id", "scope", "generated_key", "result", "lease_until", "lease_token"),
            },
        ),
    )

    @display(
        description="state",
        ordering="state",
        label={"pending": "info", "decided": "success", "failed": "warning", "given up": "danger"},
    )
    def state_label(self, obj):
        return "given up" if obj.state == InboundEvent.State.POISON else obj.state

    @admin.display(description="error")
    def error_line(self, obj):
        return obj.error[:120]

    @admin.display(description="error")
    def error_text(self, obj):
        return pretty(obj.error)

    @admin.display(description="decided")
    def decisions(self, obj):
        return render_to_string("admin/alerts/_decisions.html", {"event": obj})

    @admin.display(description="body")
    def body_text(self, obj):
        return pretty(obj.text if obj.is_partly_hidden else obj.body)

    def get_object(self, request, object_id, from_field=None):
        obj = super().get_object(request, object_id, from_field)
        if obj is not None:
            dressed([obj], user=request.user)
        return obj

    def get_queryset(self, request):
        # Bodies are big, and a list shows none.
        rows = super().get_queryset(request)
        return rows.defer("body", "headers", "result") if _is_list(request) else rows

    def shown_links(self, request, obj):
        return rules.rehearsal_links(request, "Test routing with it", event=obj.pk)

    def shown_buttons(self, request, obj):
        return super().shown_buttons(request, obj) if obj.state in retries.IN_TROUBLE else []

    @button("Try again now", confirm="The event is decided again. If that works, people may be paged for it.")
    def try_again(self, request, obj):
        retries.retry(obj.pk, now=timezone.now())
        return f"Event {obj.pk} is tried again. Look at it in a few seconds."


def _is_list(request):
    return bool(request.resolver_match) and request.resolver_match.url_name.endswith("_changelist")


@admin.register(Alert)
class AlertAdmin(ReadOnlyAdmin):
    list_display = ("last_at", "title", "severity_label", "service", "source", "is_firing", "occurrences", "incident")
    list_display_links = ("last_at", "title")
    list_filter = (("resolved_at", admin.EmptyFieldListFilter), "severity", "source", "service")
    list_select_related = ("service", "integration", "incident")
    search_fields = ("title", "dedup_key", "service__name", "=incident__number")
    date_hierarchy = "last_at"
    readonly_fields = ("severity_label",)
    fieldsets = (
        (None, {"fields": ("title", "description", "severity_label", "service", "incident")}),
        ("When", {"fields": ("first_at", "last_at", "changed_at", "resolved_at", "resolved_why", "occurrences")}),
        ("Held", {"fields": ("held_by", "held_why", "held_at", "recheck_at")}),
        ("Ends by itself", {"fields": ("resolve_at", "resolve_at_why", "flapping_since")}),
        ("Where from", {"fields": ("source", "integration", "scope", "dedup_key")}),
        ("What it carries", {"fields": ("labels", "links", "route", "inhibits")}),
    )

    def get_object(self, request, object_id, from_field=None):
        obj = super().get_object(request, object_id, from_field)
        if obj is not None:
            hide_origins([obj], request.user)
            hush_holds([obj], request.user)
        return obj

    @display(description="severity", ordering="severity", label=SEVERITY_COLOURS)
    def severity_label(self, obj):
        return obj.get_severity_display()

    @admin.display(description="firing", boolean=True)
    def is_firing(self, obj):
        return obj.resolved_at is None


class AlertInline(ReadOnlyInline):
    model = Alert
    fk_name = "incident"
    fields = ("open", "severity", "source", "dedup_key", "occurrences", "first_at", "resolved_at")

    @admin.display(description="title")
    def open(self, obj):
        return link(obj)


IncidentAdmin.inlines = (*IncidentAdmin.inlines, AlertInline)


@admin.register(SeenSignature)
class SeenSignatureAdmin(ReadOnlyAdmin):
    """Signatures that were used, kept while somebody could replay them."""

    list_display = ("seen_at", "integration", "signature")
    list_select_related = ("integration",)
    search_fields = ("signature",)
