"""Subscribers in the admin: who is told, and an end to it. They come and change what they want by themselves."""

from django.contrib import admin
from django.db.models import Q
from django.utils import timezone

from core.admin import ReadOnlyAdmin, button, display
from core.errors import IllegalMove
from statuspages import subscribing
from statuspages.models import Subscriber

STATES = {"told": "success", "not confirmed": "info", "ended": "warning"}


class StateFilter(admin.SimpleListFilter):
    title, parameter_name = "state", "state"
    CONDITIONS = {
        "told": Q(confirmed_at__isnull=False, ended_at__isnull=True),
        "waiting": Q(confirmed_at__isnull=True, ended_at__isnull=True),
        "ended": Q(ended_at__isnull=False),
    }

    def lookups(self, request, model_admin):
        return [("told", "Told"), ("waiting", "Not confirmed"), ("ended", "Ended")]

    def queryset(self, request, queryset):
        return queryset.filter(self.CONDITIONS.get(self.value(), Q()))


@admin.register(Subscriber)
class SubscriberAdmin(ReadOnlyAdmin):
    """Addresses are masked, as everywhere."""

    list_display = ("address", "page", "channel", "state", "created_at", "ended_at", "end_reason")
    list_filter = (StateFilter, "channel", "page")
    list_select_related = ("page", "destination")
    search_fields = ("page__name", "end_reason")
    date_hierarchy = "created_at"
    buttons = ("end",)
    readonly_fields = ("address", "state", "chosen")
    fieldsets = (
        (None, {"fields": ("address", "channel", "page", "chosen", "state")}),
        ("When", {"fields": ("created_at", "asked_at", "confirmed_at", "ended_at", "end_reason")}),
    )

    @admin.display(description="address")
    def address(self, obj):
        return obj.destination.shown

    @display(description="state", label=STATES)
    def state(self, obj):
        if obj.ended_at:
            return "ended"
        return "told" if obj.confirmed_at else "not confirmed"

    @admin.display(description="told about")
    def chosen(self, obj):
        return ", ".join(one.name for one in obj.components.all()) or "Everything on the page"

    def shown_buttons(self, request, obj):
        return [] if obj.ended_at else super().shown_buttons(request, obj)

    @button(
        "End the subscription",
        confirm="Nothing more is sent there. Whoever it is may subscribe again, and is asked first.",
    )
    def end(self, request, obj):
        if obj.ended_at:
            raise IllegalMove(f"The subscription of {obj.destination.shown} has ended already.")
        subscribing.stop(obj.uuid, by=request.user, now=timezone.now())
        return f"{obj.destination.shown} is told nothing more."
