"""Addresses, rules, and every message with every try. A person's addresses and rules are also on their own page."""

from django.contrib import admin
from django.forms import ModelForm
from django.utils import timezone

from accounts.admin import UserAdmin
from core.admin import Admin, Inline, ReadOnlyAdmin, ReadOnlyInline, button, display, pretty, switch
from core.errors import DomainError
from notifications.alarms import clear_alarm
from notifications.models import Alarm, Attempt, ContactMethod, Notification, NotificationRule, channels

STATE_COLOURS = {
    "Pending": "info",
    "Sending": "info",
    "Sent": "success",
    "Delivered": "success",
    "Acknowledged": "success",
    "Failed": "danger",
    "Cancelled": "warning",
    "Suppressed": "warning",
}


class ContactMethodForm(ModelForm):
    is_verified = switch(
        label="Verified",
        help_text="Only a verified address is used. Mark it when you know that it reaches the person. "
        "A changed address has to be marked again.",
    )

    class Meta:
        model = ContactMethod
        fields = ("user", "channel", "address", "label", "secret", "disabled_reason")

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.initial["is_verified"] = bool(self.instance.verified_at)
        if "address" in self.fields:
            helps = [one.address_help for one in channels.classes().values()]
            self.fields["address"].help_text = " ".join(f"{text.rstrip('.')}." for text in helps if text)

    def clean(self):
        cleaned = super().clean()
        if "address" in self.changed_data and self.instance.verified_at and "is_verified" not in self.changed_data:
            # The mark was about the old address.
            self.instance.verified_at = None
        elif not cleaned.get("is_verified"):
            self.instance.verified_at = None
        elif not self.instance.verified_at:
            self.instance.verified_at = timezone.now()
        return cleaned


class ContactMethodInline(Inline):
    model, form = ContactMethod, ContactMethodForm
    fields = ("channel", "address", "label", "is_verified", "disabled_reason")
    show_change_link = True


class NotificationRuleInline(Inline):
    model = NotificationRule
    fields = ("urgency", "contact_method", "delay_minutes")

    def formfield_for_foreignkey(self, db_field, request, **kwargs):
        if db_field.name == "contact_method":
            user_id = request.resolver_match.kwargs.get("object_id")
            kwargs["queryset"] = ContactMethod.objects.filter(user_id=user_id).select_related("user")
        return super().formfield_for_foreignkey(db_field, request, **kwargs)


# A floor below may not know this one, so this one adds its parts there.
UserAdmin.inlines = (*UserAdmin.inlines, ContactMethodInline, NotificationRuleInline)


@admin.register(ContactMethod)
class ContactMethodAdmin(Admin):
    form = ContactMethodForm
    list_display = ("user", "channel", "address", "label", "usable", "disabled_reason")
    list_display_links = ("address",)
    list_filter = (
        "channel",
        ("verified_at", admin.EmptyFieldListFilter),
        ("disabled_reason", admin.EmptyFieldListFilter),
    )
    list_select_related = ("user",)
    search_fields = ("address", "label", "user__name", "user__email")
    autocomplete_fields = ("user",)
    readonly_fields = ("verified_at", "created_at")
    fieldsets = (
        (None, {"fields": ("user", "channel", "address", "label")}),
        ("Use", {"fields": ("is_verified", "verified_at", "disabled_reason", "created_at")}),
        (
            "Signature",
            {"fields": ("secret",), "description": "The receiver checks with it that a message comes from here."},
        ),
    )

    @admin.display(description="used", boolean=True)
    def usable(self, obj):
        return obj.is_usable


@admin.register(NotificationRule)
class NotificationRuleAdmin(Admin):
    list_display = ("user", "urgency", "contact_method", "delay_minutes")
    list_filter = ("urgency", "contact_method__channel")
    list_select_related = ("user", "contact_method__user")
    search_fields = ("user__name", "user__email", "contact_method__address")
    autocomplete_fields = ("user", "contact_method")
    fieldsets = (
        (
            None,
            {
                "fields": ("user", "urgency", "contact_method", "delay_minutes"),
                "description": "Without any rule, every verified address of a person is used at once.",
            },
        ),
    )


class AttemptInline(ReadOnlyInline):
    model = Attempt
    fields = ("number", "started_at", "finished_at", "ok", "error", "provider_id")


@admin.register(Notification)
class NotificationAdmin(ReadOnlyAdmin):
    inlines = (AttemptInline,)
    list_display = ("created_at", "user", "channel", "topic", "urgency", "state_label", "reason", "attempts")
    list_display_links = ("created_at", "topic")
    list_filter = ("state", "channel", "urgency", "is_possible_repeat")
    list_select_related = ("user",)
    search_fields = ("topic", "address", "user__name", "user__email", "provider_id")
    date_hierarchy = "created_at"
    readonly_fields = ("state_label", "title", "text")
    fieldsets = (
        (None, {"fields": ("user", "channel", "address", "topic", "urgency")}),
        ("What became of it", {"fields": ("state_label", "reason", "attempts", "is_repeat", "is_possible_repeat")}),
        ("When", {"fields": ("planned_at", "due_at", "sent_at", "delivered_at", "acknowledged_at", "created_at")}),
        ("What it says", {"fields": ("title", "text", "message")}),
        (
            "Inside",
            {
                "classes": ("collapse",),
                "fields": (
                    "uuid",
                    "plan_key",
                    "contact_method",
                    "provider_id",
                    "link_expires_at",
                    "link_used_at",
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


@admin.register(Attempt)
class AttemptAdmin(ReadOnlyAdmin):
    list_display = ("started_at", "notification", "number", "ok", "error")
    list_filter = ("ok", "notification__channel")
    list_select_related = ("notification__user",)
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
