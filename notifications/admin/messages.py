"""Every message with every try, and the alarms: to look at."""

import json

from django.contrib import admin
from django.utils import timezone

from core.admin import ReadOnlyAdmin, ReadOnlyInline, button, display, pretty
from core.errors import DomainError
from core.redacting import redacted
from notifications.alarms import clear_alarm
from notifications.message import OUTSIDE
from notifications.models import Alarm, Attempt, Notification

STATE_COLOURS = {
    "Pending": "info",
    "Sending": "info",
    "Sent": "success",
    "Delivered": "success",
    "Read": "success",
    "Acknowledged": "success",
    "Failed": "danger",
    "Cancelled": "warning",
    "Suppressed": "warning",
}
TIMES = (
    "planned_at",
    "due_at",
    "sent_at",
    "receipt_due_at",
    "receipt_missed_at",
    "delivered_at",
    "read_at",
    "acknowledged_at",
    "created_at",
)


class AttemptInline(ReadOnlyInline):
    model = Attempt
    fields = (
        "number",
        "provider",
        "started_at",
        "called_at",
        "finished_at",
        "ok",
        "error",
        "answer",
        "cost",
        "provider_id",
    )


@admin.register(Notification)
class NotificationAdmin(ReadOnlyAdmin):
    inlines = (AttemptInline,)
    list_display = ("created_at", "kind", "reader", "channel", "topic", "urgency", "state_label", "reason", "attempts")
    list_display_links = ("created_at", "topic")
    list_filter = ("state", "kind", "channel", "urgency", "is_possible_repeat")
    list_select_related = ("user", "destination")
    search_fields = ("topic", "address", "user__name", "user__email", "destination__name", "provider_id")
    date_hierarchy = "created_at"
    readonly_fields = ("state_label", "title", "text", "facts")
    fieldsets = (
        (
            None,
            {"fields": ("kind", "user", "destination", "channel", "address", "topic", "urgency", "level", "share")},
        ),
        (
            "What became of it",
            {
                "fields": (
                    "state_label",
                    "reason",
                    "attempts",
                    "provider",
                    "cost",
                    "is_repeat",
                    "is_possible_repeat",
                    "bundle",
                    "changes",
                )
            },
        ),
        (
            "When",
            {"fields": TIMES},
        ),
        ("What it says", {"fields": ("title", "text", "facts")}),
        (
            "Inside",
            {
                "classes": ("collapse",),
                "fields": (
                    "uuid",
                    "plan_key",
                    "contact_method",
                    "provider_id",
                    "provider_data",
                    "reply_code",
                    "target_seconds",
                    "link_expires_at",
                    "link_used_at",
                    "links_used",
                    "lease_until",
                    "lease_token",
                ),
            },
        ),
    )

    @display(description="state", ordering="state", label=STATE_COLOURS)
    def state_label(self, obj):
        return obj.get_state_display()

    @admin.display(description="title")
    def title(self, obj):
        return obj.message.get("title", "")

    @admin.display(description="body")
    def text(self, obj):
        return pretty(obj.message.get("body", ""))

    @admin.display(description="message")
    def facts(self, obj):
        """All of it. The links of a reader outside work without signing in, so they are theirs alone."""
        text = json.dumps(obj.message, ensure_ascii=False)
        return redacted(text) if obj.kind in OUTSIDE else text


@admin.register(Attempt)
class AttemptAdmin(ReadOnlyAdmin):
    list_display = ("started_at", "notification", "number", "ok", "error")
    list_filter = ("ok", "notification__channel")
    list_select_related = ("notification__user", "notification__destination")
    search_fields = ("error", "provider_id", "notification__topic", "notification__address")
    date_hierarchy = "started_at"


@admin.register(Alarm)
class AlarmAdmin(ReadOnlyAdmin):
    """What the product could not do. An open alarm is counted in /health/ready until it is cleared."""

    list_display = ("last_at", "text", "count", "is_open", "key")
    list_display_links = ("last_at", "text")
    list_filter = (("cleared_at", admin.EmptyFieldListFilter),)
    search_fields = ("text", "key")
    date_hierarchy = "last_at"
    buttons = ("clear",)
    fieldsets = ((None, {"fields": ("text", "count", "raised_at", "last_at", "cleared_at", "key")}),)

    @admin.display(description="open", boolean=True)
    def is_open(self, obj):
        return obj.cleared_at is None

    def shown_buttons(self, request, obj):
        return super().shown_buttons(request, obj) if obj.cleared_at is None else []

    @button("Clear", confirm="The alarm is over, as far as you know. If it happens again, a new one is raised.")
    def clear(self, request, obj):
        if obj.cleared_at:
            raise DomainError(f"“{obj}” was cleared before.")
        clear_alarm(obj.key, now=timezone.now())
        return f"“{obj}” is cleared."
