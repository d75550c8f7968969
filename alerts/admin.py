"""Integrations, what came in through them, and what became of it."""

from django.conf import settings
from django.contrib import admin
from django.forms import ModelForm
from django.utils import timezone
from django.utils.html import format_html

from alerts.keys import issue_key
from alerts.models import Alert, InboundEvent, Integration, SeenSignature, sources
from catalog.admin import ServiceAdmin
from core import due
from core.admin import Admin, ReadOnlyAdmin, ReadOnlyInline, SecretField, button, display, link, pretty, switch
from core.errors import DomainError
from incidents.admin import SEVERITY_COLOURS, IncidentAdmin

NO_KEY = "KEY"


# --- integrations -------------------------------------------------------------------------------------------------
def address(source, key):
    """Where a sender with this key posts to."""
    return f"{settings.PUBLIC_URL}/in/{source}/{key}"


def setup_text(source, key):
    """How to set the sender up, with its address and key filled in."""
    kind = sources.classes().get(source)
    if kind is None:
        return f"There is no source “{source}” any more. Choose another."
    values = {"{url}": address(source, key), "{key}": key, "{server}": settings.PUBLIC_URL}
    text = kind.setup_help
    for name, value in values.items():
        text = text.replace(name, value)
    return text


class IntegrationForm(ModelForm):
    signing_secret = SecretField(
        label="Signing secret",
        help_text="When set, every request must carry a valid HMAC signature. Empty: what is stored stays as it is.",
    )
    remove_secret = switch(label="Remove the signing secret", help_text="Requests then need no signature.")

    class Meta:
        model = Integration
        fields = (
            "name",
            "source",
            "service",
            "may_choose_service",
            "default_severity",
            "signing_secret",
            "is_enabled",
        )

    def clean_signing_secret(self):
        return self.cleaned_data["signing_secret"] or self.initial.get("signing_secret", "")

    def clean(self):
        cleaned = super().clean()
        if cleaned.get("remove_secret"):
            cleaned["signing_secret"] = ""
        return cleaned


@admin.register(Integration)
class IntegrationAdmin(Admin):
    """Doors for monitoring tools. A key is shown once, when it is issued."""

    form = IntegrationForm
    list_display = ("name", "source", "service", "is_enabled", "key_hint", "last_event_at")
    list_filter = ("source", "is_enabled", "service__team")
    list_select_related = ("service",)
    search_fields = ("name", "service__name", "key_last4")
    autocomplete_fields = ("service",)
    buttons = ("new_key",)
    readonly_fields = ("key_hint", "last_event_at", "created_at", "setup")
    fieldsets = (
        (None, {"fields": ("name", "source", "is_enabled")}),
        ("What its alerts become", {"fields": ("service", "may_choose_service", "default_severity")}),
        ("Signature", {"fields": ("signing_secret", "remove_secret"), "classes": ("collapse",)}),
    )
    shown_fieldsets = (("How to set the sender up", {"fields": ("setup", "key_hint", "last_event_at", "created_at")}),)

    def get_fieldsets(self, request, obj=None):
        return self.fieldsets + self.shown_fieldsets if obj else self.fieldsets

    @admin.display(description="key")
    def key_hint(self, obj):
        return f"…{obj.key_last4}"

    @admin.display(description="steps")
    def setup(self, obj):
        note = f"Put the key in place of {NO_KEY}. It was shown when it was issued; if it is lost, issue a new one."
        return format_html('<pre class="wb-block">{}</pre><p>{}</p>', setup_text(obj.source, NO_KEY), note)

    def save_model(self, request, obj, form, change):
        if change:
            super().save_model(request, obj, form, change)
            return
        key = issue_key(obj)
        super().save_model(request, obj, form, change)
        self.show_key(request, obj, key)

    def show_key(self, request, obj, key):
        self.message_user(
            request,
            format_html(
                "This is the key of {}. It is shown only now, so copy what you need.<br>Key: "
                '<code class="wb-secret">{}</code><br>Address: <code class="wb-secret">{}</code>'
                '<pre class="wb-block">{}</pre>',
                obj.name,
                key,
                address(obj.source, key),
                setup_text(obj.source, key),
            ),
        )

    @button(
        "Issue a new key",
        confirm="The old key stops working within seconds. Give the sender the new one, or its alerts are refused.",
    )
    def new_key(self, request, obj):
        key = issue_key(obj)
        obj.save(update_fields=["key_hash", "key_last4"])
        self.show_key(request, obj, key)
        return f"{obj.name} has a new key."


class IntegrationInline(ReadOnlyInline):
    model = Integration
    fields = ("open", "source", "is_enabled", "last_event_at")
    verbose_name_plural = "integrations"

    @admin.display(description="name")
    def open(self, obj):
        return link(obj, obj.name)


ServiceAdmin.inlines = (*ServiceAdmin.inlines, IntegrationInline)


# --- what came in -------------------------------------------------------------------------------------------------
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
    readonly_fields = ("state_label", "body_text", "error_text")
    fieldsets = (
        (None, {"fields": ("source", "integration", "service", "received_at", "state_label", "decided_at")}),
        ("What became of it", {"fields": ("result", "error_text", "attempts", "due_at")}),
        ("What was sent", {"fields": ("body_text", "headers")}),
        (
            "Inside",
            {"classes": ("collapse",), "fields": ("id", "scope", "generated_key", "lease_until", "lease_token")},
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

    @admin.display(description="body")
    def body_text(self, obj):
        return pretty(obj.body)

    def get_queryset(self, request):
        # Bodies are big, and a list shows none.
        rows = super().get_queryset(request)
        return rows.defer("body", "headers", "result") if _is_list(request) else rows

    def shown_buttons(self, request, obj):
        return super().shown_buttons(request, obj) if obj.state in self.again else []

    again = (InboundEvent.State.FAILED, InboundEvent.State.POISON)

    @button("Try again now", confirm="The event is decided again. If that works, people may be paged for it.")
    def try_again(self, request, obj):
        rows = InboundEvent.objects.filter(pk=obj.pk, state__in=self.again)
        if not rows.update(state=InboundEvent.State.FAILED, due_at=timezone.now()):
            raise DomainError(f"Event {obj.pk} is {obj.state}: only one that failed can be tried again.")
        due.wake("events")
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
        ("Where from", {"fields": ("source", "integration", "scope", "dedup_key")}),
        ("What it carries", {"fields": ("labels", "links")}),
    )

    @display(description="severity", ordering="severity", label=SEVERITY_COLOURS)
    def severity_label(self, obj):
        return obj.get_severity_display()

    @admin.display(description="firing", boolean=True)
    def is_firing(self, obj):
        return obj.resolved_at is None


class AlertInline(ReadOnlyInline):
    model = Alert
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
