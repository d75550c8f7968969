"""Escalation policies: levels with targets on one page, and whom they would call right now."""

from django import forms
from django.contrib import admin
from django.db.models import Count, F, Q
from django.utils import timezone
from django.utils.html import format_html

from core.admin import Admin, StackedInline, table
from core.admin_fields import number_field
from core.pickers import picker
from oncall import chain
from oncall.models import Duty, EscalationPolicy, Level, Target

# While levels are renumbered, their old numbers are out of the way up there.
OUT_OF_THE_WAY = 100_000
# The pickers of a level: (name, the field of the target, its role).
PICKERS = (
    ("people", "user", Duty.PRIMARY),
    ("schedules", "schedule", Duty.PRIMARY),
    ("secondaries", "schedule", Duty.SECONDARY),
    ("tertiaries", "schedule", Duty.TERTIARY),
)


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
    schedules = picker(
        Target._meta.get_field("schedule"),
        help_text="Their primary is called; when nobody of that role can be, the next role is.",
    )
    secondaries = picker(Target._meta.get_field("schedule"), label="Secondary of")
    tertiaries = picker(Target._meta.get_field("schedule"), label="Tertiary of")

    class Meta:
        model = Level
        fields = ("delay_minutes",)

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.initial["order"] = self.instance.number
            for name, field, role in PICKERS:
                self.initial[name] = [
                    pk
                    for one in self.instance.targets.all()
                    if (pk := getattr(one, f"{field}_id")) and (field == "user" or one.role == role)
                ]

    def save_targets(self):
        """Write what changed; targets that stay keep their rows."""
        for name, field, role in PICKERS:
            if name not in self.changed_data:
                continue
            chosen = self.cleaned_data[name]
            rows = self.instance.targets.filter(**{f"{field}__isnull": False})
            if field == "schedule":
                rows = rows.filter(role=role)
            rows.exclude(**{f"{field}__in": chosen}).delete()
            there = set(rows.values_list(f"{field}_id", flat=True))
            Target.objects.bulk_create(
                Target(level=self.instance, role=role, **{field: one}) for one in chosen if one.pk not in there
            )


class LevelFormSet(StackedInline.formset):
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
            if not any(form.cleaned_data.get(name) for name, _, _ in PICKERS):
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


class LevelInline(StackedInline):
    model, form, formset = Level, LevelForm, LevelFormSet
    fields = (("order", "delay_minutes"), ("people", "schedules"), ("secondaries", "tertiaries"))
    ordering = ("number",)

    def get_queryset(self, request):
        return super().get_queryset(request).prefetch_related("targets")

    def get_extra(self, request, obj=None, **kwargs):
        return 0 if obj else 1

    def stored(self, db_field, obj):
        return Q(pk__in=Target.objects.filter(level__policy=obj).values(db_field.attname))


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
    steps = [(level, [one for target in level["targets"] for one in called(target)]) for level in policy["levels"]]
    rows, minutes = [], 0
    for level, people in steps:
        can_be_called = any(not one.problem for one in people)
        for one in people:
            reach = called.reaches.get(one.user_id)
            rows.append(
                (
                    f"Level {level['number']}",
                    f"after {minutes} min" if minutes else "at once",
                    reach.name if reach else format_html("<strong>{}</strong>", "nobody"),
                    one.why or one.problem,
                    _how(one, reach, can_be_called),
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


def _how(one, reach, can_be_called):
    """By which channels the person is called. Who is only busy or away is called where nobody else of the level is."""
    if one.user_id is None:
        return ""
    if one.problem and not one.is_spare:
        return format_html("<strong>not at all: {}</strong>", one.problem)
    how = ", ".join(sorted({method.channel for method in reach.methods if method.is_usable}))
    if not one.problem:
        return how
    if can_be_called:
        return f"skipped: {one.problem}"
    return f"{how}, although {one.problem}: nobody else can be called"
