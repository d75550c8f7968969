"""Schedules and escalation policies in the admin, each on one page, with what they mean right now."""

import datetime as dt
import zoneinfo

from django import forms
from django.contrib import admin
from django.db.models import Count, F
from django.utils import timezone
from django.utils.html import format_html

from accounts.models import User
from core.admin import (
    Admin,
    Inline,
    PeopleInOrderField,
    StackedInline,
    number_field,
    picker,
    table,
    zone_field,
)
from notifications import planning
from oncall import chain, lookup
from oncall.models import EscalationPolicy, Layer, Level, Override, Participant, Schedule, Target

PREVIEW_WEEKS = 4
# While levels are renumbered, their old numbers are out of the way up there.
OUT_OF_THE_WAY = 100_000


# --- schedules ----------------------------------------------------------------------------------------------------
class ScheduleForm(forms.ModelForm):
    time_zone = zone_field()


class LayerForm(forms.ModelForm):
    participants = PeopleInOrderField(
        Participant._meta.get_field("user"),
        help_text="They take turns in this order. Empty places are ignored; save to get more of them.",
    )

    class Meta:
        model = Layer
        fields = ("name", "position", "unit", "every", "start_date", "handoff_time", "ends_at")

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.initial["participants"] = [one.user_id for one in self.instance.participants.all()]

    def clean(self):
        cleaned = super().clean()
        if "participants" in cleaned and not cleaned["participants"]:
            name = cleaned.get("name") or self.instance.name
            self.add_error("participants", f"Layer {name} has no participants. Add one, or delete the layer.")
        return cleaned

    def _save_m2m(self):
        super()._save_m2m()
        if "participants" in self.changed_data:
            self.instance.participants.all().delete()
            Participant.objects.bulk_create(
                Participant(layer=self.instance, user=user, position=position)
                for position, user in enumerate(self.cleaned_data["participants"])
            )


class LayerFormSet(StackedInline.formset):
    """The layers of a schedule. Which of two wins must never be a matter of chance."""

    def clean(self):
        super().clean()
        if any(self.errors):
            return
        taken = {}
        for form in self.forms:
            if form in self.deleted_forms or not (form.instance.pk or form.has_changed()):
                continue
            name, position = form.cleaned_data["name"], form.cleaned_data["position"]
            if position in taken:
                form.add_error(
                    "position", f"Layer {taken[position]} has this position too. The higher one wins: choose another."
                )
            taken[position] = name


class LayerInline(StackedInline):
    model, form, formset = Layer, LayerForm, LayerFormSet
    ordering = ("position", "id")
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("name", "position"),
                    ("every", "unit"),
                    ("start_date", "handoff_time"),
                    "ends_at",
                    "participants",
                ),
            },
        ),
    )

    def get_queryset(self, request):
        return super().get_queryset(request).prefetch_related("participants")


class OverrideInline(Inline):
    model = Override
    fields = ("user", "start_at", "end_at", "reason")
    autocomplete_fields = ("user",)

    def get_queryset(self, request):
        """Those that are over stay on their own list."""
        return super().get_queryset(request).filter(end_at__gt=timezone.now()).select_related("user", "schedule")


@admin.register(Schedule)
class ScheduleAdmin(Admin):
    form = ScheduleForm
    inlines = (LayerInline, OverrideInline)
    list_display = ("name", "team", "time_zone", "layer_count", "now_on_call")
    list_filter = ("team",)
    list_select_related = ("team",)
    search_fields = ("name", "slug", "team__name")
    autocomplete_fields = ("team",)
    prepopulated_fields = {"slug": ("name",)}
    readonly_fields = ("preview",)
    instead_of_deleting = "Take it out of those policies first."
    fieldsets = (
        (None, {"fields": ("name", "slug", "team", "time_zone", "description")}),
        ("The next four weeks", {"fields": ("preview",)}),
    )

    def get_queryset(self, request):
        return super().get_queryset(request).annotate(count_of_layers=Count("layers"))

    def get_changelist_instance(self, request):
        """Know who is on call in all schedules of the page, at the cost of one."""
        changelist = super().get_changelist_instance(request)
        people = lookup.who_many([one.pk for one in changelist.result_list], at=timezone.now())
        names = names_of(one.user_id for one in people.values() if one)
        for one in changelist.result_list:
            person = people.get(one.pk)
            one.name_on_call = names[person.user_id] if person else "nobody"
        return changelist

    @admin.display(description="layers", ordering="count_of_layers")
    def layer_count(self, obj):
        return obj.count_of_layers

    @admin.display(description="on call now")
    def now_on_call(self, obj):
        return obj.name_on_call

    @admin.display(description="who is on call")
    def preview(self, obj):
        if not obj or not obj.pk:
            return "Save the schedule to see who is on call."
        now = timezone.now()
        shifts = lookup.final(obj, start=now, end=now + dt.timedelta(weeks=PREVIEW_WEEKS))
        names = names_of(one.user_id for one in shifts)
        zone = zoneinfo.ZoneInfo(obj.time_zone)
        rows = (
            (
                _when(one.start_at, zone),
                _when(one.end_at, zone),
                names.get(one.user_id) or format_html("<strong>{}</strong>", "nobody"),
                one.why,
            )
            for one in shifts
        )
        return format_html("{}<p>Times in {}.</p>", table(("From", "To", "Person", "Why"), rows), obj.time_zone)

    def save_formset(self, request, form, formset, change):
        if formset.model is Override:
            for one in formset.save(commit=False):
                if one.created_by_id is None:
                    one.created_by = request.user
        formset.save()


def names_of(user_ids):
    """`{user id: name}`."""
    return {user.pk: str(user) for user in User.objects.filter(pk__in={pk for pk in user_ids if pk})}


def _when(at, zone):
    return f"{at.astimezone(zone):%a %d %b %Y %H:%M}"


@admin.register(Override)
class OverrideAdmin(Admin):
    list_display = ("user", "schedule", "start_at", "end_at", "reason", "created_by")
    list_filter = ("schedule__team", "schedule")
    list_select_related = ("user", "schedule", "created_by")
    search_fields = ("user__name", "user__email", "schedule__name", "reason")
    autocomplete_fields = ("schedule", "user")
    readonly_fields = ("created_by",)
    date_hierarchy = "start_at"
    fieldsets = (
        (
            None,
            {
                "fields": ("schedule", "user", "start_at", "end_at", "reason", "created_by"),
                "description": "An override wins over every layer. Where two overlap, the one made later wins.",
            },
        ),
    )

    def save_model(self, request, obj, form, change):
        if not change:
            obj.created_by = request.user
        super().save_model(request, obj, form, change)


# --- escalation policies ------------------------------------------------------------------------------------------
class PolicyForm(forms.ModelForm):
    def clean(self):
        cleaned = super().clean()
        team = cleaned.get("team")
        if team and cleaned.get("is_team_default"):
            other = team.policies.filter(is_team_default=True).exclude(pk=self.instance.pk).first()
            if other:
                self.add_error(
                    "is_team_default",
                    f"“{other}” is the default policy of {team}. Take the mark off there first.",
                )
        return cleaned


class LevelForm(forms.ModelForm):
    """A level with its targets. `order` is what the person typed; the formset makes it 1, 2, 3."""

    order = number_field(
        label="Level", required=False, min_value=1, help_text="Levels are renumbered 1, 2, 3 … in this order."
    )
    people = picker(Target._meta.get_field("user"))
    schedules = picker(Target._meta.get_field("schedule"))

    class Meta:
        model = Level
        fields = ("delay_minutes",)

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            targets = list(self.instance.targets.all())
            self.initial["order"] = self.instance.number
            self.initial["people"] = [one.user_id for one in targets if one.user_id]
            self.initial["schedules"] = [one.schedule_id for one in targets if one.schedule_id]

    def save_targets(self):
        """Write what changed; targets that stay keep their rows."""
        for name, field in (("people", "user"), ("schedules", "schedule")):
            if name not in self.changed_data:
                continue
            chosen = self.cleaned_data[name]
            rows = self.instance.targets.filter(**{f"{field}__isnull": False})
            rows.exclude(**{f"{field}__in": chosen}).delete()
            there = set(rows.values_list(f"{field}_id", flat=True))
            Target.objects.bulk_create(
                Target(level=self.instance, **{field: one}) for one in chosen if one.pk not in there
            )


class LevelFormSet(Inline.formset):
    """The levels of a policy: at least one, numbered without holes, each with somebody to call."""

    def kept(self):
        """The forms that will be levels, in the order they are called."""
        forms_ = [
            form for form in self.forms if form not in self.deleted_forms and (form.instance.pk or form.has_changed())
        ]
        last = len(forms_) + OUT_OF_THE_WAY
        return sorted(forms_, key=lambda form: form.cleaned_data.get("order") or last)

    def clean(self):
        super().clean()
        if any(self.errors):
            return
        kept = self.kept()
        if not kept:
            raise forms.ValidationError("The policy calls nobody. Add a level with a person or a schedule.")
        for number, form in enumerate(kept, start=1):
            form.instance.number = number
            if not form.cleaned_data.get("people") and not form.cleaned_data.get("schedules"):
                form.add_error(
                    "people", f"Level {number} calls nobody. Add a person or a schedule, or delete the level."
                )

    def save(self, commit=True):
        """Save all levels, since one that did not change itself may have another number now."""
        super().save(commit=False)
        self.save_m2m()
        for level in self.deleted_objects:
            level.delete()
        self.instance.levels.update(number=F("number") + OUT_OF_THE_WAY)
        saved = []
        for form in self.kept():
            form.instance.policy = self.instance
            form.instance.save()
            form.save_targets()
            saved.append(form.instance)
        return saved


class LevelInline(Inline):
    model, form, formset = Level, LevelForm, LevelFormSet
    fields = ("order", "delay_minutes", "people", "schedules")
    ordering = ("number",)

    def get_queryset(self, request):
        return super().get_queryset(request).prefetch_related("targets")

    def get_extra(self, request, obj=None, **kwargs):
        return 0 if obj else 1


@admin.register(EscalationPolicy)
class EscalationPolicyAdmin(Admin):
    form = PolicyForm
    inlines = (LevelInline,)
    list_display = ("name", "team", "is_team_default", "level_count", "repeats", "nobody_action")
    list_filter = ("is_team_default", "team", "nobody_action")
    list_select_related = ("team",)
    search_fields = ("name", "slug", "team__name")
    autocomplete_fields = ("team", "fallback_user")
    prepopulated_fields = {"slug": ("name",)}
    readonly_fields = ("preview",)
    instead_of_deleting = "Give those services another policy first."
    fieldsets = (
        (None, {"fields": ("name", "slug", "team", "is_team_default")}),
        (
            "When nobody answers",
            {
                "fields": ("repeats", "nobody_action", "fallback_user"),
                "description": "An incident keeps the policy it started with: a change here counts for new incidents.",
            },
        ),
        ("Who would be called now", {"fields": ("preview",)}),
    )

    def get_queryset(self, request):
        return super().get_queryset(request).annotate(count_of_levels=Count("levels"))

    @admin.display(description="levels", ordering="count_of_levels")
    def level_count(self, obj):
        return obj.count_of_levels

    @admin.display(description="if an incident came in")
    def preview(self, obj):
        if not obj or not obj.pk:
            return "Save the policy to see who would be called."
        return calls(chain.copies([obj.pk])[obj.pk], at=timezone.now())


def calls(policy, *, at):
    """Whom a policy copy would call for an incident of this moment, as a table."""
    called = chain.resolve([policy], at=at)
    steps = [(level, [called(target) for target in level["targets"]]) for level in policy["levels"]]
    user_ids = {one.user_id for _, targets in steps for one in targets if one.user_id}
    reaches = planning.reaches(user_ids)
    rows, minutes = [], 0
    for level, targets in steps:
        for one in targets:
            reach = reaches.get(one.user_id)
            rows.append(
                (
                    f"Level {level['number']}",
                    f"after {minutes} min" if minutes else "at once",
                    reach.name if reach else format_html("<strong>{}</strong>", "nobody"),
                    one.why,
                    _how(reach),
                )
            )
        minutes += level["delay_minutes"]
    if not rows:
        return "Nobody: the policy has no levels."
    repeats = policy["repeats"]
    times = (
        f"Then again from level 1, {repeats} more time{'' if repeats == 1 else 's'}." if repeats else "Then no more."
    )
    return format_html("{}<p>{}</p>", table(("Level", "When", "Person", "Why", "How"), rows), times)


def _how(reach):
    if reach is None:
        return ""
    if not reach.is_active:
        return format_html("<strong>{}</strong>", "not at all: the person is deactivated")
    channels = sorted({method.channel for method in reach.methods if method.is_usable})
    return ", ".join(channels) or format_html("<strong>{}</strong>", "not at all: no verified address")
