"""Services in the admin: what can break, who owns it, and whom it calls right now."""

from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import OuterRef, Subquery
from django.forms.models import BaseInlineFormSet
from django.utils import timezone
from django.utils.html import format_html

from catalog import dependencies
from catalog.models import Dependency, Link, Service
from catalog.policies import copies_for
from catalog.signals import dependencies_changed
from core.admin import Admin, Inline, display, link
from core.announce import announce
from core.errors import DomainError
from oncall.admin import calls
from oncall.models import EscalationPolicy


class DependencyFormSet(BaseInlineFormSet):
    """Refuses a circle, and names it. Others who change dependencies wait until this page is saved."""

    asked_by = None  # the request

    def clean(self):
        super().clean()
        if any(self.errors) or not self.instance.pk:  # nothing can need a service that is not there yet
            return
        kept = [form.cleaned_data for form in self.forms if form.cleaned_data and form not in self.deleted_forms]
        # What the page does not show stays, too.
        there = self.instance.dependencies.exclude(pk__in=[row.pk for row in self.get_queryset()])
        needs = [*there.values_list("needs_id", flat=True), *(one["needs"].pk for one in kept if one.get("needs"))]
        try:
            dependencies.refuse_circle(self.instance.pk, needs)
        except DomainError as error:
            raise ValidationError(self.asked_by.user.hushed()(error.message)) from None


class DependencyInline(Inline):
    model = Dependency
    formset = DependencyFormSet
    fk_name = "service"
    fields = ("needs", "holds_alerts", "note")
    autocomplete_fields = ("needs",)
    verbose_name_plural = "what it needs"

    def get_formset(self, request, obj=None, **kwargs):
        formset = super().get_formset(request, obj, **kwargs)
        formset.asked_by = request
        return formset


class LinkInline(Inline):
    model = Link
    fields = ("kind", "label", "url")
    verbose_name_plural = "runbooks and links"

    def formfield_for_dbfield(self, db_field, request, **kwargs):
        if db_field.name == "url":
            kwargs["assume_scheme"] = "https"
        return super().formfield_for_dbfield(db_field, request, **kwargs)


@admin.register(Service)
class ServiceAdmin(Admin):
    list_display = ("name", "team", "tier", "lifecycle_label", "policy_in_use", "slug")
    list_filter = ("lifecycle", "tier", "team")
    list_select_related = ("team", "policy")
    search_fields = ("name", "slug", "description", "team__name", "routing_key")
    autocomplete_fields = ("team", "policy")
    prepopulated_fields = {"slug": ("name",)}
    inlines = (LinkInline, DependencyInline)
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

    def save_formset(self, request, form, formset, change):
        super().save_formset(request, form, formset, change)
        if isinstance(formset, DependencyFormSet) and formset.has_changed():
            announce(dependencies_changed, service_ids={form.instance.pk}, now=timezone.now())
