"""What is wrong in the coming weeks, said after a save; and the daily look at the coverage of each team."""

from django.contrib import admin, messages
from django.urls import reverse
from django.utils.html import format_html, format_html_join

from accounts.visibility import hushed
from core.admin import ReadOnlyAdmin
from oncall import reports
from oncall.admin.preview import SPAN
from oncall.models import CoverageCheck

MOST_PROBLEMS = 5


def say_problems(model_admin, request, schedule_ids, *, now):
    """Say what is wrong in these schedules for four weeks: at most five sentences and a link. Silent when fine."""
    ids = list(schedule_ids)
    problems = reports.of_schedules(ids, start=now, end=now + SPAN, now=now).problems
    if not problems:
        return
    hush = hushed(request.user)
    for one in problems[:MOST_PROBLEMS]:
        model_admin.message_user(request, hush(one.text), messages.WARNING)
    more = len(problems) - MOST_PROBLEMS
    url = reverse(f"{model_admin.admin_site.name}:oncall_schedule_change", args=[problems[0].schedule_id or ids[0]])
    text = format_html(
        '{} <a href="{}#preview-heading" class="text-link">Look at the schedule</a>',
        f"And {more} more in the next four weeks." if more > 0 else "All of it within the next four weeks.",
        url,
    )
    model_admin.message_user(request, text, messages.WARNING)


@admin.register(CoverageCheck)
class CoverageCheckAdmin(ReadOnlyAdmin):
    """The daily look at each team's coverage. It tells the team when something is wrong."""

    list_display = ("team", "how_many", "checked_at", "due_at")
    list_filter = (("checked_at", admin.DateFieldListFilter), "team")
    list_select_related = ("team",)
    search_fields = ("team__name",)
    date_hierarchy = "checked_at"
    fieldsets = (
        (
            None,
            {
                "fields": ("team", ("checked_at", "due_at"), "what_is_wrong"),
                "description": "Looked at once a day; the team is told when something is wrong, and nobody when all "
                "is fine.",
            },
        ),
    )
    readonly_fields = ("what_is_wrong",)

    @admin.display(description="problems")
    def how_many(self, obj):
        if obj.checked_at is None:
            return "not looked at yet"
        return len(obj.problems) or "none"

    def get_object(self, request, object_id, from_field=None):
        obj = super().get_object(request, object_id, from_field)
        if obj is not None:
            obj.hush = hushed(request.user)
        return obj

    @admin.display(description="what was wrong the last time")
    def what_is_wrong(self, obj):
        if not obj.problems:
            return "Nothing." if obj.checked_at else "The team was not looked at yet."
        sentences = (obj.hush(one.get("text", "") if isinstance(one, dict) else str(one)) for one in obj.problems)
        return format_html(
            '<ul class="wb-list">{}</ul>', format_html_join("", "<li>{}</li>", ((one,) for one in sentences))
        )
