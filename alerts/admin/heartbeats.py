"""Heartbeats in the admin: what is expected, and whether it came."""

from django.contrib import admin
from django.forms import ModelForm
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html

from alerts import heartbeats
from alerts.models import Heartbeat, Presence
from core.admin import Admin, ReadOnlyAdmin, button, display
from core.admin_fields import number_field

STATES = {"up": "success", "late": "warning", "missing": "danger", "new": "info", "paused": "info"}


class HeartbeatForm(ModelForm):
    interval_seconds = number_field(
        min_value=heartbeats.SHORTEST_SECONDS,
        max_value=heartbeats.LONGEST_SECONDS,
        initial=300,
        help_text="How often it is expected, in seconds.",
    )
    grace_seconds = number_field(
        min_value=0, max_value=heartbeats.LONGEST_SECONDS, initial=60, help_text="How late it may be, in seconds."
    )

    class Meta:
        model = Heartbeat
        fields = heartbeats.CONFIGURED


@admin.register(Heartbeat)
class HeartbeatAdmin(Admin):
    """Signs of life. A key is shown once, when it is issued."""

    form = HeartbeatForm
    list_display = ("name", "service", "severity", "state_label", "every", "last_ping_at", "due_at")
    list_filter = ("is_enabled", ("missed_at", admin.EmptyFieldListFilter), "service__team")
    list_select_related = ("service",)
    search_fields = ("name", "description", "service__name", "key_last4")
    autocomplete_fields = ("service", "integration")
    buttons = ("arm", "pause", "resume", "new_key")
    readonly_fields = (
        "state_label",
        "key_hint",
        "armed_at",
        "last_ping_at",
        "last_ping_via",
        "missed_at",
        "due_at",
        "page",
    )
    fieldsets = (
        (None, {"fields": ("name", "description", "is_enabled")}),
        ("When it stays away", {"fields": ("service", "severity")}),
        ("When it is expected", {"fields": ("interval_seconds", "grace_seconds")}),
        ("Who may ping it by name", {"fields": ("integration",)}),
    )
    shown_fieldsets = (
        (
            "How it does",
            {
                "fields": (
                    "state_label",
                    "armed_at",
                    "last_ping_at",
                    "last_ping_via",
                    "due_at",
                    "missed_at",
                    "key_hint",
                    "page",
                )
            },
        ),
    )

    def get_fieldsets(self, request, obj=None):
        return self.fieldsets + self.shown_fieldsets if obj else self.fieldsets

    @display(description="state", label=STATES)
    def state_label(self, obj):
        return heartbeats.state(obj, now=timezone.now())

    @admin.display(description="expected every", ordering="interval_seconds")
    def every(self, obj):
        return heartbeats.span(obj.interval_seconds)

    @admin.display(description="key")
    def key_hint(self, obj):
        return f"…{obj.key_last4}"

    @admin.display(description="how to send it")
    def page(self, obj):
        url = reverse("alerts:heartbeat", args=[obj.uuid])
        return format_html('<a href="{}" class="text-link">Its address, examples and last misses</a>', url)

    def save_model(self, request, obj, form, change):
        if key := heartbeats.save(obj, now=timezone.now()):
            self.show_key(request, obj, key)

    def delete_model(self, request, obj):
        heartbeats.remove(obj, now=timezone.now())

    def delete_queryset(self, request, queryset):
        for heartbeat in queryset:
            heartbeats.remove(heartbeat, now=timezone.now())

    def show_key(self, request, obj, key):
        self.message_user(
            request,
            format_html(
                "This is the key of {}. It is shown only now, so copy what you need.<br>Key: "
                '<code class="wb-secret">{}</code><br>Address: <code class="wb-secret">{}</code>',
                obj.name,
                key,
                heartbeats.address(key),
            ),
        )

    def shown_buttons(self, request, obj):
        hidden = {"resume"} if obj.is_enabled else {"arm", "pause"}
        return [one for one in super().shown_buttons(request, obj) if one.name not in hidden]

    @button("Arm by hand", confirm="Pings are expected from now on. If it is missing now, its alert ends.")
    def arm(self, request, obj):
        heartbeats.arm(obj, now=timezone.now())
        return f"{obj.name} is armed."

    @button("Pause", confirm="Nobody is told when it stays away. If it is missing now, its alert ends.")
    def pause(self, request, obj):
        heartbeats.set_enabled(obj, False, now=timezone.now())
        return f"{obj.name} is paused."

    @button("Go on", confirm="Pings are expected again, from now on.")
    def resume(self, request, obj):
        heartbeats.set_enabled(obj, True, now=timezone.now())
        return f"{obj.name} goes on."

    @button(
        "Issue a new key",
        confirm="The old address stops working at once. Until its sender has the new one, the heartbeat goes missing.",
    )
    def new_key(self, request, obj):
        self.show_key(request, obj, heartbeats.new_key(obj))
        return f"{obj.name} has a new key."


@admin.register(Presence)
class PresenceAdmin(ReadOnlyAdmin):
    """When this installation could be reached."""

    list_display = ("beat_at", "away_at", "back_at")
