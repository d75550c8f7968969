"""Status pages in the admin: their look, their rules, their groups and components, and how their copy does."""

import copy

from django.contrib import admin
from django.contrib.admin.utils import NestedObjects
from django.core.exceptions import ObjectDoesNotExist
from django.forms import ModelForm
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html

from core.admin import Admin, Inline, StackedInline, button, display
from core.admin_fields import file_field, lines_widget, switch, zone_field
from core.errors import DomainError
from statuspages import copying, logos
from statuspages.models import Component, ComponentGroup, Copy, StatusPage

AUDIENCES = {"public": "success", "partners": "info", "private": "warning"}
STATES = {
    "Operational": "success",
    "Under maintenance": "info",
    "Degraded performance": "warning",
    "Partial outage": "warning",
    "Major outage": "danger",
}
RULES = ("critical_state", "high_state", "medium_state", "low_state", "info_state", "needs_rule")


class GroupInline(Inline):
    model = ComponentGroup
    fields = ("name", "position")


class ComponentInline(StackedInline):
    """A group is one of the same page: it is there to be chosen once the page was saved with it."""

    model = Component
    fields = ("name", "description", ("group", "position"), ("services", "combines"), "state_label", "by_hand")
    readonly_fields = ("state_label", "by_hand")
    autocomplete_fields = ("services",)

    def get_queryset(self, request):
        return super().get_queryset(request).select_related("group", "manual_by").prefetch_related("services")

    def narrow(self, request, form, obj):
        group = form.base_fields.pop("group", None)
        super().narrow(request, form, obj)
        if group is not None:
            form.base_fields["group"] = group = copy.deepcopy(group)
            group.queryset = (
                ComponentGroup.objects.filter(page=obj) if obj and obj.pk else ComponentGroup.objects.none()
            )
            group.help_text = "A new group can be chosen after saving."

    @display(description="state", label=STATES)
    def state_label(self, obj):
        return obj.get_state_display() if obj.pk else "-"

    @admin.display(description="set by hand")
    def by_hand(self, obj):
        if not obj.manual_state:
            return "No: incidents and posts make the state."
        until = f" until {obj.manual_until:%Y-%m-%d %H:%M} UTC" if obj.manual_until else " until somebody ends it"
        by = f", by {obj.manual_by}" if obj.manual_by else ""
        return f"{obj.get_manual_state_display()}{until}{by}. {obj.manual_reason}".strip()


class StatusPageForm(ModelForm):
    time_zone = zone_field()
    new_logo = file_field(
        label="Logo",
        help_text="PNG, JPEG or WebP, at most 1 MB. It is drawn anew, 48 pixels high. Empty keeps what there is.",
    )
    without_logo = switch(label="Take the logo away")

    class Meta:
        model = StatusPage
        fields = (
            *("name", "slug", "description", "team", "audience", "is_enabled", "accent_colour", "language"),
            *("time_zone", *RULES, "shows_uptime", "history_days", "accepts_subscribers", "export_folder"),
        )
        widgets = {"description": lines_widget(3)}

    def clean_new_logo(self):
        upload = self.cleaned_data["new_logo"]
        if upload is not None:
            try:
                logos.look(upload)
            except DomainError as error:
                self.add_error("new_logo", error.message)
        return upload


@admin.register(StatusPage)
class StatusPageAdmin(Admin):
    """Set up here; what is posted on a page, and states by hand, are made on its own pages by responders."""

    form = StatusPageForm
    list_display = ("name", "slug", "team", "audience_label", "is_enabled", "language", "time_zone")
    list_filter = ("audience", "is_enabled", "team")
    list_select_related = ("team",)
    search_fields = ("name", "slug", "description")
    autocomplete_fields = ("team",)
    prepopulated_fields = {"slug": ("name",)}
    inlines = (GroupInline, ComponentInline)
    buttons = ("compute",)
    of_the_platform = ("export_folder",)
    readonly_fields = ("logo_shown", "address_shown", "copy_shown", "export_shown", "created_at")
    fieldsets = (
        (None, {"fields": ("name", "slug", "description", "team", "audience", "is_enabled")}),
        ("Look", {"fields": ("new_logo", "without_logo", "accent_colour", "language", "time_zone")}),
        ("Links", {"fields": ("website_url", "support_url")}),
        (
            "What an open incident makes of a component",
            {
                "fields": RULES,
                "description": "Of several incidents the worst counts. A post can give a component another state, "
                "and what a person sets by hand wins over everything.",
            },
        ),
        ("Shown", {"fields": ("shows_uptime", "history_days", "accepts_subscribers")}),
        ("Copy for another web server", {"fields": ("export_folder",), "classes": ("collapse",)}),
    )
    shown_fieldsets = (
        ("How it does", {"fields": ("address_shown", "logo_shown", "copy_shown", "export_shown", "created_at")}),
    )

    def get_fieldsets(self, request, obj=None):
        sets = super().get_fieldsets(request, obj)
        # What only admins of the platform set is no heading for the others.
        sets = [one for one in sets if one[1]["fields"]]
        return [*sets, *self.shown_fieldsets] if obj else sets

    def formfield_for_dbfield(self, db_field, request, **kwargs):
        if db_field.name in ("website_url", "support_url"):
            kwargs["assume_scheme"] = "https"
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    def save_model(self, request, obj, form, change):
        super().save_model(request, obj, form, change)
        now = timezone.now()
        if upload := form.cleaned_data.get("new_logo"):
            logos.set_logo(obj, upload, now=now, by=request.user)
        elif form.cleaned_data.get("without_logo"):
            logos.remove_logo(obj, now=now, by=request.user)

    def get_deleted_objects(self, objs, request):
        """What goes with a page is counted and not listed: it may have ten thousand subscribers."""
        if not request.user.may("administer") and (others := self._of_others(objs, request)):
            return [], {}, others, []
        collector = NestedObjects(using="default")
        collector.collect(objs)
        counts = {model._meta: len(rows) for model, rows in collector.model_objs.items()}
        said = [
            f"{count} {meta.verbose_name if count == 1 else meta.verbose_name_plural}"
            for meta, count in counts.items()
            if meta.model is not StatusPage and not meta.auto_created
        ]
        totals = {meta.verbose_name_plural: count for meta, count in counts.items()}
        return [*map(str, objs), said], totals, set(), [str(one) for one in collector.protected]

    def shown_links(self, request, obj):
        return [
            ("Post and set states", reverse("statuspages:status-page", args=[obj.slug])),
            ("See it as readers do", f"/status/{obj.slug}"),
        ]

    @display(description="who may read it", ordering="audience", label=AUDIENCES)
    def audience_label(self, obj):
        return obj.audience

    @admin.display(description="address")
    def address_shown(self, obj):
        return format_html('<a href="/status/{}" class="text-link">{}</a>', obj.slug, obj.address)

    @admin.display(description="logo")
    def logo_shown(self, obj):
        try:
            logo = obj.logo
        except ObjectDoesNotExist:
            return "None: the name stands alone."
        return f"{logo.width} × {logo.height} pixels, since {logo.changed_at:%Y-%m-%d %H:%M} UTC"

    @admin.display(description="computed")
    def copy_shown(self, obj):
        made = _copy_of(obj)
        if made is None:
            return "Not yet. A worker does it within seconds."
        return f"Version {made.version}, made {made.made_at:%Y-%m-%d %H:%M:%S} UTC"

    @admin.display(description="copy for another web server")
    def export_shown(self, obj):
        made = _copy_of(obj)
        if not obj.export_folder:
            return "No folder is set."
        if made is None:
            return "Not written yet."
        if made.export_error:
            return format_html('<strong class="text-red-600">{}</strong>', f"Not written: {made.export_error}")
        return f"Version {made.exported_version} is written, of {made.version}."

    @button("Compute it anew", confirm="A worker computes the states of its components and draws the page again.")
    def compute(self, request, obj):
        copying.nudge(page=obj, now=timezone.now())
        return f"{obj} is computed anew."


def _copy_of(page):
    """Without what it says, which is long."""
    return Copy.objects.defer("content", "files").filter(page=page).first()
