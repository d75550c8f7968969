"""Swap and cover requests with their offers: to look at, and to decide where somebody who leads the team may."""

from django.contrib import admin
from django.utils import timezone
from django.utils.html import format_html

from core.admin import ReadOnlyAdmin, ReadOnlyInline, button, display, link
from oncall import swaps
from oncall.admin.exceptions import SpanColumns, WhenFilter
from oncall.admin.zones import Zoned, shown
from oncall.models import Offer, ShiftRequest

REQUEST_COLOURS = {
    "Open": "info",
    "Taken": "success",
    "Cancelled": "warning",
    "Declined": "warning",
    "Expired": "danger",
}
OFFER_COLOURS = {
    "Offered": "info",
    "Waits for approval": "warning",
    "Accepted": "success",
    "Declined": "danger",
    "Withdrawn": "danger",
}


class OfferInline(ReadOnlyInline):
    model = Offer
    fields = ("offer", "starts", "ends", "in_return", "state", "note")

    def get_queryset(self, request):
        rows = super().get_queryset(request)
        return rows.select_related("user", "request__requester", "request__schedule", "return_schedule")

    def offer(self, obj):
        return link(obj, f"{obj.user} offers")

    def starts(self, obj):
        return shown(obj.start_at, obj.request.schedule.time_zone)

    def ends(self, obj):
        return shown(obj.end_at, obj.request.schedule.time_zone)

    def in_return(self, obj):
        return returned(obj)


def returned(offer):
    """What is given in return for a shift, in words."""
    if not offer.return_schedule_id:
        return "-"
    zone = offer.return_schedule.time_zone
    start, end = shown(offer.return_start_at, zone), shown(offer.return_end_at, zone)
    return format_html("{}: {} to {}", offer.return_schedule, start, end)


@admin.register(ShiftRequest)
class ShiftRequestAdmin(SpanColumns, Zoned, ReadOnlyAdmin):
    """Who asks for cover of a shift, and who offered."""

    inlines = (OfferInline,)
    list_display = ("requester", "schedule", "role", "starts", "ends", "kind", "asked", "state_label", "created_at")
    list_filter = ("state", WhenFilter, "wants_return", "role", "schedule__team", "schedule")
    list_select_related = ("requester", "schedule", "asked")
    search_fields = ("requester__name", "requester__email", "schedule__name", "note", "asked__name")
    date_hierarchy = "start_at"
    buttons = ("cancel",)
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("requester", "asked"),
                    ("schedule", "role"),
                    ("start_at", "end_at"),
                    ("wants_return", "note"),
                    ("state", "created_at", "closed_at"),
                ),
                "description": "Requests are made on the page of the schedule or by the API. Here they are looked at; "
                "offers are decided on their own page.",
            },
        ),
    )

    @admin.display(description="kind", ordering="wants_return")
    def kind(self, obj):
        return "swap" if obj.wants_return else "cover"

    @display(description="state", ordering="state", label=REQUEST_COLOURS)
    def state_label(self, obj):
        return obj.get_state_display()

    def shown_buttons(self, request, obj):
        is_mine = obj.requester_id == request.user.pk and obj.state == ShiftRequest.State.OPEN
        return super().shown_buttons(request, obj) if is_mine else []

    @button("Cancel the request", confirm="The shift stays with who asked. What was taken stays taken.")
    def cancel(self, request, obj):
        swaps.cancel(obj.pk, by=request.user, now=timezone.now())
        return "The request is cancelled."


@admin.register(Offer)
class OfferAdmin(SpanColumns, Zoned, ReadOnlyAdmin):
    """Who offered to take a shift; decided by the requester, or by who leads the team."""

    zone_path = "request__schedule__time_zone"
    list_display = ("user", "requester", "schedule", "starts", "ends", "in_return", "state_label", "decided_by")
    list_filter = ("state", WhenFilter, "request__schedule__team", "request__schedule")
    search_fields = ("user__name", "user__email", "request__requester__name", "request__schedule__name", "note")
    date_hierarchy = "start_at"
    buttons = ("approve", "accept", "decline")
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("request", "user"),
                    ("start_at", "end_at"),
                    ("return_schedule", "return_role"),
                    ("return_start_at", "return_end_at"),
                    "note",
                    ("state", "created_at"),
                    ("decided_by", "decided_at"),
                ),
                "description": "An offer that is accepted becomes an override. Where the schedule wants swaps "
                "approved, it waits for an admin of the team first.",
            },
        ),
    )

    def get_queryset(self, request):
        rows = super().get_queryset(request)
        return rows.select_related("user", "request__requester", "request__schedule", "return_schedule", "decided_by")

    def zone_of(self, obj):
        return obj.request.schedule.time_zone

    @admin.display(description="takes the shift of", ordering="request__requester__name")
    def requester(self, obj):
        return obj.request.requester

    @admin.display(description="schedule", ordering="request__schedule__name")
    def schedule(self, obj):
        return obj.request.schedule

    @admin.display(description="in return")
    def in_return(self, obj):
        return returned(obj)

    @display(description="state", ordering="state", label=OFFER_COLOURS)
    def state_label(self, obj):
        return obj.get_state_display()

    def shown_buttons(self, request, obj):
        wanted = {
            Offer.State.OFFERED: {"accept", "decline"},
            Offer.State.AGREED: {"approve", "decline"},
        }.get(obj.state, set())
        return [one for one in super().shown_buttons(request, obj) if one.name in wanted]

    @button("Approve", confirm="The swap counts from now on: the overrides are made.")
    def approve(self, request, obj):
        swaps.approve(obj.pk, by=request.user, now=timezone.now())
        return f"Approved: {obj}."

    @button("Accept", confirm="The offer is accepted. It counts at once, or waits for approval.")
    def accept(self, request, obj):
        made = swaps.accept(obj.pk, by=request.user, now=timezone.now())
        return "Accepted; it waits for approval." if made.state == Offer.State.AGREED else f"Accepted: {obj}."

    @button("Decline", confirm="The offer is declined. The shift stays where it is.")
    def decline(self, request, obj):
        swaps.decline(obj.pk, by=request.user, now=timezone.now())
        return f"Declined: {obj}."
