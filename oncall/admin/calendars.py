"""Calendars out and in: secret addresses to revoke, and calendars of others that we read."""

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.html import format_html, format_html_join

from core.admin import Admin, ReadOnlyAdmin, button, display
from core.admin_fields import file_field
from core.errors import DomainError, NotFound
from oncall import feeds, ical, imports
from oncall.models import CalendarFeed, CalendarImport

LONGEST_FILE = 5_000_000  # bytes


@admin.register(CalendarFeed)
class CalendarFeedAdmin(ReadOnlyAdmin):
    """Secret addresses of calendars. Each is shown once, to who made it; here it can only be revoked."""

    list_display = ("subject", "what", "owner", "name", "state_label", "created_at", "last_used_at")
    list_filter = (("revoked_at", admin.EmptyFieldListFilter), ("last_used_at", admin.EmptyFieldListFilter), "team")
    list_select_related = ("owner", "person", "schedule", "team")
    search_fields = ("name", "owner__name", "owner__email", "person__name", "schedule__name", "team__name")
    date_hierarchy = "created_at"
    buttons = ("revoke",)
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("person", "schedule", "team"),
                    ("owner", "name"),
                    ("created_at", "last_used_at", "revoked_at"),
                ),
                "description": "A calendar program reads shifts at a secret address. Only a hash of it is kept, so "
                "nobody can look it up. Revoke it when it got into wrong hands; its owner can make another.",
            },
        ),
    )

    def get_readonly_fields(self, request, obj=None):
        """Never the hash."""
        return [name for name in super().get_readonly_fields(request, obj) if name != "secret_hash"]

    @admin.display(description="calendar of")
    def subject(self, obj):
        return obj.subject

    @admin.display(description="kind")
    def what(self, obj):
        return "person" if obj.person_id else "schedule" if obj.schedule_id else "team"

    @display(description="state", ordering="revoked_at", label={"in use": "success", "revoked": "danger"})
    def state_label(self, obj):
        return "revoked" if obj.revoked_at else "in use"

    def shown_buttons(self, request, obj):
        return [] if obj.revoked_at else super().shown_buttons(request, obj)

    @button("Revoke", confirm="The address stops working at once, in every program that reads it.")
    def revoke(self, request, obj):
        feeds.revoke(obj.pk, by=request.user, now=timezone.now())
        return f"The calendar of {obj.subject} is revoked."


class CalendarImportForm(forms.ModelForm):
    file = file_field(
        label="File",
        help_text="An .ics file, instead of an address. It is read when you save, and replaces what came before.",
    )

    class Meta:
        model = CalendarImport
        fields = ("name", "kind", "schedule", "team", "role", "url", "refresh_minutes", "is_enabled")

    def clean_url(self):
        url = self.cleaned_data["url"]
        if url and (problem := imports.problem_with(url)):
            raise ValidationError(problem)
        return url

    def clean_file(self):
        file = self.cleaned_data["file"]
        if not file:
            return None
        if file.size > LONGEST_FILE:
            raise ValidationError(f"This file is larger than {LONGEST_FILE // 1_000_000} MB. Export a shorter time.")
        try:
            content = file.read().decode()
            now = timezone.now()
            ical.read(content, zone="UTC", start=now - imports.BACK, end=now + imports.AHEAD)
        except UnicodeDecodeError as error:
            raise ValidationError(
                "This is not a calendar file in UTF-8. Export it as .ics, and upload that."
            ) from error
        except ical.BadCalendar as error:
            raise ValidationError(str(error)) from error
        return content

    def clean(self):
        cleaned = super().clean()
        if cleaned.get("file") and cleaned.get("url"):
            self.add_error("file", "Give an address or a file, not both: the next reading of the address would win.")
        elif not (self.errors or cleaned.get("file") or cleaned.get("url") or self.instance.content):
            self.add_error("url", "Give the address of the calendar, or upload its file.")
        return cleaned


@admin.register(CalendarImport)
class CalendarImportAdmin(Admin):
    """Calendars of others, by address or from a file. Their shifts and holidays follow what is read."""

    form = CalendarImportForm
    list_display = ("name", "kind", "goes_to", "source", "state_label", "read_at")
    list_filter = ("kind", "is_enabled", ("error", admin.EmptyFieldListFilter), "schedule")
    list_select_related = ("schedule", "team")
    search_fields = ("name", "schedule__name", "team__name")
    autocomplete_fields = ("schedule", "team")
    readonly_fields = ("read_at", "due_at", "error", "left_out", "created_by")
    buttons = ("read_now",)
    instead_of_deleting = "Delete those first."
    fieldsets = (
        (
            None,
            {
                "fields": ("name", ("kind", "role"), ("schedule", "team")),
                "description": "Shifts become fixed shifts of a schedule, each for the person whose email address the "
                "event names. Holidays are days off, of a team or of all.",
            },
        ),
        ("Where it is", {"fields": ("url", "file", ("refresh_minutes", "is_enabled"))}),
        (
            "What was read",
            {
                "fields": (("read_at", "due_at"), "error", "left_out", "created_by"),
                "description": "When a reading fails, the last good copy still counts.",
            },
        ),
    )

    @admin.display(description="goes to", ordering="schedule__name")
    def goes_to(self, obj):
        return obj.schedule or (f"holidays of {obj.team}" if obj.team else "holidays of all teams")

    @admin.display(description="from")
    def source(self, obj):
        """Where from, without what may be secret in the address."""
        return obj.host or "an address" if obj.url else "a file"

    @display(
        description="state",
        ordering="error",
        label={"fine": "success", "fails": "danger", "not read yet": "info", "with warnings": "warning"},
    )
    def state_label(self, obj):
        if obj.error:
            return "fails"
        if obj.read_at is None:
            return "not read yet"
        return "with warnings" if obj.warnings else "fine"

    @admin.display(description="what was left out")
    def left_out(self, obj):
        if not obj.warnings:
            return "nothing"
        sentences = ((one if isinstance(one, str) else str(one),) for one in obj.warnings)
        return format_html('<ul class="wb-list">{}</ul>', format_html_join("", "<li>{}</li>", sentences))

    def save_model(self, request, obj, form, change):
        now = timezone.now()
        if not change:
            obj.created_by = request.user
        if form.cleaned_data.get("file"):
            obj.url = ""
            super().save_model(request, obj, form, change)
            imports.apply(obj, form.cleaned_data["file"], now=now)
            return
        super().save_model(request, obj, form, change)
        if form.changed_data:  # another address, schedule or kind: what it gives is another
            imports.changed(obj, now=now)

    def delete_model(self, request, obj):
        imports.remove(obj.pk, now=timezone.now())

    def delete_queryset(self, request, queryset):
        for row in queryset.order_by("schedule_id", "pk"):
            imports.remove(row.pk, now=timezone.now())

    @button("Read now", confirm="The calendar is read at once. What it says replaces what was read before.")
    def read_now(self, request, obj):
        row = imports.read(obj.pk, now=timezone.now())
        if row is None:
            raise NotFound("This calendar does not exist any more.")
        if row.error:
            raise DomainError(f"{row} could not be read. {row.error} What was read before still counts.")
        left_out = len(row.warnings)
        return f"{row} is read." + (f" {left_out} things were left out: see its page." if left_out else "")

    def push(self, request, rows, chosen):
        """The calendars are fetched with no transaction open."""
        for row in rows:
            try:
                text = self.read_now(request, row)
            except DomainError as error:
                self.message_user(request, error.message, messages.ERROR)
            else:
                self.log_change(request, row, chosen.label)
                self.message_user(request, text, messages.SUCCESS)
