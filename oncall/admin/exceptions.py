"""What stands over the layers: overrides, fixed shifts, time off, holidays, and whether people can be called."""

from django.contrib import admin
from django.contrib.admin import SimpleListFilter
from django.utils import timezone
from django.utils.html import format_html

from core.admin import Admin, display
from oncall import scheduling, shifts
from oncall.admin.coverage import say_problems
from oncall.admin.verbs import VerbAdmin, VerbForm
from oncall.admin.zones import shown
from oncall.models import Availability, FixedShift, Holiday, Override, TimeOff

HISTORY = "One that runs ends when it is deleted, and stays in the list; one that is over stays as it was."
STATUS_COLOURS = {"Available": "success", "Busy": "warning", "Offline": "danger", "Away": "danger"}


class WhenFilter(SimpleListFilter):
    """Now, to come, or over."""

    title, parameter_name = "when", "when"

    def lookups(self, request, model_admin):
        return [("now", "now"), ("later", "to come"), ("over", "over")]

    def queryset(self, request, queryset):
        now = timezone.now()
        wanted = {
            "now": {"start_at__lte": now, "end_at__gt": now},
            "later": {"start_at__gt": now},
            "over": {"end_at__lte": now},
        }
        return queryset.filter(**wanted.get(self.value(), {}))


class SpanColumns:
    """The columns `starts` and `ends`, in the zone of the schedule or person; pages to look at show them too."""

    # What is not known before a row is there.
    later = ("created_by", "created_at", "calendar")

    @admin.display(description="starts", ordering="start_at")
    def starts(self, obj):
        return shown(obj.start_at, self.zone_of(obj))

    @admin.display(description="ends", ordering="end_at")
    def ends(self, obj):
        return shown(obj.end_at, self.zone_of(obj))

    def zone_of(self, obj):
        return obj.schedule.time_zone

    def get_fieldsets(self, request, obj=None):
        is_looked_at = obj is not None and not self.has_change_permission(request, obj)
        instead = {"start_at": "starts", "end_at": "ends"} if is_looked_at else {}
        gone = self.later if obj is None else ()
        found = []
        for title, options in super().get_fieldsets(request, obj):
            lines = [[line] if isinstance(line, str) else line for line in options["fields"]]
            lines = [tuple(instead.get(name, name) for name in line if name not in gone) for line in lines]
            found.append((title, {**options, "fields": [line for line in lines if line]}))
        return found

    def get_readonly_fields(self, request, obj=None):
        return (*super().get_readonly_fields(request, obj), "starts", "ends")


# --- overrides and fixed shifts -----------------------------------------------------------------------------------
class OverrideForm(VerbForm):
    class Meta:
        model = Override
        fields = ("schedule", "user", "role", "replaces", "start_at", "end_at", "reason")

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        row = self.instance
        if row.pk:  # what the skin writes above it on the page of a schedule
            zone = row.schedule.time_zone
            row.get_inline_title = format_html(
                "{}, {} to {}", row.user, shown(row.start_at, zone), shown(row.end_at, zone)
            )

    def act(self, now):
        row = self.instance
        return scheduling.add_override(
            row.schedule_id,
            user=row.user,
            start_at=row.start_at,
            end_at=row.end_at,
            role=row.role,
            replaces=row.replaces,
            reason=row.reason,
            by=self.by,
            now=now,
        )

    def spec(self, number):
        """The override as the engine reads it."""
        row = self.instance
        return shifts.OverrideSpec(number, row.user_id, row.start_at, row.end_at, row.role, row.replaces_id)


@admin.register(Override)
class OverrideAdmin(SpanColumns, VerbAdmin):
    form = OverrideForm
    is_made_once = True
    list_display = ("user", "schedule", "role", "starts", "ends", "replaces", "reason", "created_by")
    list_filter = (WhenFilter, "role", "schedule__team", "schedule")
    list_select_related = ("user", "schedule", "created_by", "replaces")
    search_fields = ("user__name", "user__email", "schedule__name", "reason")
    autocomplete_fields = ("schedule", "user", "replaces")
    readonly_fields = ("created_by", "created_at")
    date_hierarchy = "start_at"
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "schedule",
                    "user",
                    ("role", "replaces"),
                    "start_at",
                    "end_at",
                    "reason",
                    ("created_by", "created_at"),
                ),
                "description": "An override wins over every layer and fixed shift. Where two overlap, the one made "
                f"later wins. It is not changed afterwards: delete it and make another. {HISTORY}",
            },
        ),
    )

    def save_model(self, request, obj, form, change):
        super().save_model(request, obj, form, change)
        say_problems(self, request, [obj.schedule_id], now=timezone.now())

    def take_back(self, obj, by, now):
        scheduling.remove_override(obj.pk, by=by, now=now)


class FixedShiftForm(VerbForm):
    class Meta:
        model = FixedShift
        fields = ("schedule", "user", "role", "start_at", "end_at", "note")

    def act(self, now):
        row = self.instance
        values = {name: getattr(row, name) for name in ("user", "role", "start_at", "end_at", "note")}
        if row.pk is None:
            return scheduling.add_fixed_shift(row.schedule_id, **values, by=self.by, now=now)
        # What was not touched is as it was, down to the microsecond.
        changes = {name: value for name, value in values.items() if name in self.changed_data}
        return scheduling.change_fixed_shift(row.pk, **changes, by=self.by, now=now)


@admin.register(FixedShift)
class FixedShiftAdmin(SpanColumns, VerbAdmin):
    form = FixedShiftForm
    list_display = ("user", "schedule", "role", "starts", "ends", "note", "calendar")
    list_filter = (WhenFilter, "role", ("calendar", admin.EmptyFieldListFilter), "schedule__team", "schedule")
    list_select_related = ("user", "schedule", "calendar")
    search_fields = ("user__name", "user__email", "schedule__name", "note")
    autocomplete_fields = ("schedule", "user")
    readonly_fields = ("calendar", "created_by", "created_at")
    date_hierarchy = "start_at"
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "schedule",
                    "user",
                    "role",
                    "start_at",
                    "end_at",
                    "note",
                    ("calendar", "created_by", "created_at"),
                ),
                "description": "A fixed shift wins over every layer; several at one time are on call together. "
                f"One from a calendar is changed in that calendar. {HISTORY}",
            },
        ),
    )

    def get_readonly_fields(self, request, obj=None):
        return (*super().get_readonly_fields(request, obj), *(["schedule"] if obj else []))

    def has_change_permission(self, request, obj=None):
        """What is over, or comes from a calendar, is looked at."""
        may = super().has_change_permission(request, obj)
        return may and (obj is None or (obj.calendar_id is None and obj.end_at > timezone.now()))

    def refusal_to_delete(self, obj):
        if obj.calendar_id:
            return f"“{obj}” comes from the calendar {obj.calendar}. Change it there, or delete that calendar here."
        return super().refusal_to_delete(obj)

    def save_model(self, request, obj, form, change):
        super().save_model(request, obj, form, change)
        say_problems(self, request, [obj.schedule_id], now=timezone.now())

    def take_back(self, obj, by, now):
        scheduling.remove_fixed_shift(obj.pk, by=by, now=now)


# --- people -------------------------------------------------------------------------------------------------------
class TimeOffForm(VerbForm):
    class Meta:
        model = TimeOff
        fields = ("user", "start_at", "end_at", "reason")

    def act(self, now):
        row = self.instance
        return scheduling.add_time_off(
            user=row.user, start_at=row.start_at, end_at=row.end_at, reason=row.reason, by=self.by, now=now
        )


@admin.register(TimeOff)
class TimeOffAdmin(SpanColumns, VerbAdmin):
    form = TimeOffForm
    is_made_once = True
    zone_path, unknown_zone = "user__time_zone", "that of the person"
    list_display = ("user", "starts", "ends", "reason", "created_by")
    list_filter = (WhenFilter, "user__teams")
    list_select_related = ("user", "created_by")
    search_fields = ("user__name", "user__email", "reason")
    autocomplete_fields = ("user",)
    readonly_fields = ("created_by", "created_at")
    date_hierarchy = "start_at"
    fieldsets = (
        (
            None,
            {
                "fields": ("user", "start_at", "end_at", "reason", ("created_by", "created_at")),
                "description": "A schedule that skips people with time off gives the turn to the next one. In the "
                "others the person stays on call until somebody covers them, and coverage says so. "
                f"It is not changed afterwards: delete it and add another. {HISTORY}",
            },
        ),
    )

    def zone_of(self, obj):
        return obj.user.time_zone

    def take_back(self, obj, by, now):
        scheduling.remove_time_off(obj.pk, by=by, now=now)


class AvailabilityForm(VerbForm):
    class Meta:
        model = Availability
        fields = ("user", "status", "until_at", "note")

    def act(self, now):
        row = self.instance
        values = {"status": row.status, "until_at": row.until_at, "note": row.note}
        return scheduling.set_availability(row.user, **values, now=now)


@admin.register(Availability)
class AvailabilityAdmin(VerbAdmin):
    form = AvailabilityForm
    zone_path, unknown_zone = "user__time_zone", "that of the person"
    list_display = ("user", "status_label", "since", "until", "note")
    list_filter = ("status", "user__teams")
    list_select_related = ("user",)
    search_fields = ("user__name", "user__email", "note")
    autocomplete_fields = ("user",)
    fieldsets = (
        (
            None,
            {
                "fields": ("user", "status", "until_at", "note"),
                "description": "Whoever is busy, offline or away is skipped while anybody else can be called; where "
                "nobody else can, they are called after all. “Away” needs an end.",
            },
        ),
    )

    def get_readonly_fields(self, request, obj=None):
        return ("user",) if obj else ()

    def has_delete_permission(self, request, obj=None):
        """It goes with its person; “Available” says that nothing keeps them."""
        return False

    @display(description="status", ordering="status", label=STATUS_COLOURS)
    def status_label(self, obj):
        return obj.get_status_display()

    @admin.display(description="since", ordering="since_at")
    def since(self, obj):
        return shown(obj.since_at, obj.user.time_zone)

    @admin.display(description="until", ordering="until_at")
    def until(self, obj):
        return shown(obj.until_at, obj.user.time_zone)


@admin.register(Holiday)
class HolidayAdmin(Admin):
    list_display = ("day", "name", "whose", "calendar")
    list_filter = ("team", ("calendar", admin.EmptyFieldListFilter))
    list_select_related = ("team", "calendar")
    search_fields = ("name", "team__name")
    autocomplete_fields = ("team",)
    readonly_fields = ("calendar",)
    date_hierarchy = "day"
    fieldsets = (
        (
            None,
            {
                "fields": (("day", "name"), "team", "calendar"),
                "description": "Work on a holiday is counted apart in the load of each person. A calendar of holidays "
                "can be read regularly: see calendar imports.",
            },
        ),
    )

    @admin.display(description="whose", ordering="team__name")
    def whose(self, obj):
        return obj.team or "all teams"

    def has_change_permission(self, request, obj=None):
        """One from a calendar is changed in that calendar."""
        return super().has_change_permission(request, obj) and (obj is None or obj.calendar_id is None)
