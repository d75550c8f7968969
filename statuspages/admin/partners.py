"""Partners in the admin: who may read which pages, where they are signed in, and what they opened."""

from django.contrib import admin, messages
from django.forms import ModelForm
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html

from accounts.sessions import device
from core.admin import Admin, ReadOnlyAdmin, ReadOnlyInline, button, display
from core.errors import IllegalMove
from statuspages import partners
from statuspages.models import Audience, Partner, PartnerSession, Visit

STATES = {"open": "success", "disabled": "warning", "ended": "warning"}
SESSION_STATES = {"open": "success", "over": "warning", "ended": "warning"}


def _is_theirs(request, partner):
    """Whether all that the partner may read is the person's to configure; a partner who is not there yet is."""
    if partner is None or partner.pk is None or request.user.may("administer"):
        return True
    return partners.arranged_by(request.user).filter(pk=partner.pk).exists()


def _session_state(session, now):
    if session.revoked_at:
        return "ended"
    is_over = session.expires_at <= now or session.seen_at <= now - partners.IDLE
    return "over" if is_over or not session.partner.is_open(now) else "open"


class SessionInline(ReadOnlyInline):
    model = PartnerSession
    fields = ("device_shown", "address", "created_at", "seen_at", "state", "end_it")
    verbose_name_plural = "sessions"

    def get_queryset(self, request):
        return super().get_queryset(request).select_related("partner")

    @admin.display(description="browser")
    def device_shown(self, obj):
        return device(obj.agent)

    @display(description="state", label=SESSION_STATES)
    def state(self, obj):
        return _session_state(obj, timezone.now())

    @admin.display(description="")
    def end_it(self, obj):
        if obj.revoked_at:
            return "-"
        url = reverse("admin:statuspages_partnersession_do", args=[obj.pk, "revoke"])
        return format_html('<a href="{}" class="text-link">End it</a>', url)


class PartnerForm(ModelForm):
    class Meta:
        model = Partner
        fields = ("name", "email", "company", "pages", "expires_at", "is_enabled")

    def clean_email(self):
        return self.cleaned_data["email"].lower()


@admin.register(Partner)
class PartnerAdmin(Admin):
    """Somebody of another company. They have no account and no password: a link in a mail signs them in."""

    form = PartnerForm
    inlines = (SessionInline,)
    list_display = ("name", "company", "email", "state", "expires_at", "created_at")
    list_filter = ("is_enabled", "pages")
    search_fields = ("name", "company", "email")
    autocomplete_fields = ("pages",)
    buttons = ("send_link", "end_sessions")
    readonly_fields = ("state", "visits_shown", "created_by", "created_at")
    fieldsets = (
        (None, {"fields": ("name", "email", "company")}),
        ("What they may read", {"fields": ("pages", "expires_at", "is_enabled")}),
    )
    shown_fieldsets = (("How it is", {"fields": ("state", "visits_shown", "created_by", "created_at")}),)

    def get_fieldsets(self, request, obj=None):
        sets = super().get_fieldsets(request, obj)
        return [*sets, *self.shown_fieldsets] if obj else sets

    def may(self, request, obj=None):
        return super().may(request, obj) and _is_theirs(request, obj)

    def get_queryset(self, request):
        rows = super().get_queryset(request).select_related("created_by")
        return partners.arranged_by(request.user, rows)

    def offered(self, request, verb):
        return partners.arranged_by(request.user, super().offered(request, verb))

    def save_model(self, request, obj, form, change):
        if not change:
            obj.created_by = request.user
        super().save_model(request, obj, form, change)
        if change:
            partners.close_if_other(obj, email_before=form.initial["email"], now=timezone.now())

    def save_related(self, request, form, formsets, change):
        super().save_related(request, form, formsets, change)
        others = form.instance.pages.exclude(audience=Audience.PARTNERS)
        if names := ", ".join(one.name for one in others):
            self.message_user(
                request, f"This opens nothing until its readers are partners: {names}.", messages.WARNING
            )

    def shown_buttons(self, request, obj):
        return [
            one
            for one in super().shown_buttons(request, obj)
            if one.name != "send_link" or obj.is_open(timezone.now())
        ]

    @display(description="access", label=STATES)
    def state(self, obj):
        if not obj.is_enabled:
            return "disabled"
        return "open" if obj.is_open(timezone.now()) else "ended"

    @admin.display(description="what they opened")
    def visits_shown(self, obj):
        url = f"{reverse('admin:statuspages_visit_changelist')}?partner__id__exact={obj.pk}"
        return format_html('<a href="{}" class="text-link">Their visits of the last 90 days</a>', url)

    @button(
        "Send a link",
        confirm="They get a mail with a link. It works once, within 15 minutes; an older one stops working.",
    )
    def send_link(self, request, obj):
        partners.invite(obj.pk, by=request.user, now=timezone.now())
        return f"A link is on its way to {obj.email}."

    @button("End all sessions", confirm="They are signed out everywhere, and a link that was sent stops working.")
    def end_sessions(self, request, obj):
        count = partners.end_all(obj, now=timezone.now())
        return f"{obj} is signed out: {count} session{'' if count == 1 else 's'} ended."


class OfPartnerAdmin(ReadOnlyAdmin):
    """Rows of partners, for who may change the partner."""

    def may(self, request, obj=None):
        return super().may(request, obj) and _is_theirs(request, obj and obj.partner)

    def get_queryset(self, request):
        return super().get_queryset(request).filter(partner__in=partners.arranged_by(request.user).values("pk"))


@admin.register(PartnerSession)
class PartnerSessionAdmin(OfPartnerAdmin):
    """Where partners are signed in."""

    list_display = ("partner", "device_shown", "address", "created_at", "seen_at", "state")
    list_filter = ("partner",)
    list_select_related = ("partner",)
    search_fields = ("partner__name", "partner__email", "address")
    date_hierarchy = "created_at"
    buttons = ("revoke",)
    readonly_fields = ("device_shown", "state")
    fieldsets = (
        (None, {"fields": ("partner", "device_shown", "agent", "address", "state")}),
        ("When", {"fields": ("created_at", "seen_at", "expires_at", "revoked_at")}),
    )

    @admin.display(description="browser")
    def device_shown(self, obj):
        return device(obj.agent)

    @display(description="state", label=SESSION_STATES)
    def state(self, obj):
        return _session_state(obj, timezone.now())

    def shown_buttons(self, request, obj):
        return [] if obj.revoked_at else super().shown_buttons(request, obj)

    @button("End the session", confirm="This browser reads nothing from that moment on. They may ask for a new link.")
    def revoke(self, request, obj):
        if obj.revoked_at:
            raise IllegalMove(f"This session of {obj.partner} was ended already.")
        partners.revoke(obj.uuid, by=request.user, now=timezone.now())
        return f"The session of {obj.partner} is ended."


@admin.register(Visit)
class VisitAdmin(OfPartnerAdmin):
    """What partners opened, when and from where. Kept for 90 days."""

    list_display = ("at", "partner", "what", "page", "address", "browser")
    list_filter = ("partner", "page")
    list_select_related = ("partner", "page")
    search_fields = ("what", "partner__name", "partner__email", "address")
    date_hierarchy = "at"
    fieldsets = ((None, {"fields": ("at", "partner", "what", "page", "address", "agent")}),)

    @admin.display(description="browser")
    def browser(self, obj):
        return device(obj.agent)
