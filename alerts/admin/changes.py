"""Change events, and the topics of Amazon SNS: both are written by what comes in, and shown here."""

from django.contrib import admin
from django.utils import timezone

from alerts.models import ChangeEvent, Topic
from core import due
from core.admin import ReadOnlyAdmin, button, display
from core.errors import DomainError


@admin.register(ChangeEvent)
class ChangeEventAdmin(ReadOnlyAdmin):
    """What was done on purpose: deployments, releases, migrations. It calls nobody and stands beside incidents."""

    list_display = ("at", "title", "service", "source", "integration")
    list_display_links = ("at", "title")
    list_filter = ("source", "service")
    list_select_related = ("service", "integration")
    search_fields = ("title", "description", "service__name")
    date_hierarchy = "at"
    fieldsets = (
        (None, {"fields": ("title", "description", "service", "at")}),
        ("Where from", {"fields": ("source", "integration", "received_at")}),
        ("What it carries", {"fields": ("labels", "links")}),
    )

    def get_queryset(self, request):
        rows = super().get_queryset(request)
        return rows if request.resolver_match.url_name.endswith("_change") else rows.defer("description", "labels")


@admin.register(Topic)
class TopicAdmin(ReadOnlyAdmin):
    """Topics of Amazon SNS that send here. The first that subscribes is the only one its integration takes."""

    list_display = ("arn", "integration", "state_label", "seen_at", "error")
    list_filter = ("state", "integration")
    list_select_related = ("integration",)
    search_fields = ("arn", "integration__name")
    buttons = ("confirm_again",)
    readonly_fields = ("state_label",)
    fieldsets = (
        (None, {"fields": ("arn", "integration", "state_label", "seen_at")}),
        ("Confirmation", {"fields": ("error", "attempts", "due_at")}),
    )

    @display(
        description="state",
        ordering="state",
        label={
            "To be confirmed": "info",
            "Confirmed": "success",
            "Could not be confirmed": "danger",
            "Unsubscribed": "warning",
        },
    )
    def state_label(self, obj):
        return obj.get_state_display()

    def shown_buttons(self, request, obj):
        return super().shown_buttons(request, obj) if obj.subscribe_url else []

    @button("Confirm it again", confirm="The address that Amazon SNS gave for the confirmation is visited once more.")
    def confirm_again(self, request, obj):
        rows = Topic.objects.filter(pk=obj.pk).exclude(subscribe_url="")
        if not rows.update(state=Topic.State.PENDING, due_at=timezone.now(), attempts=0, lease_token=None):
            raise DomainError(
                f"{obj} needs no confirmation. To get a new one, request it in the console of Amazon SNS."
            )
        due.wake("topics")
        return f"The subscription to {obj} is confirmed again. Look at it in a few seconds."
