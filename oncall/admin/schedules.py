"""A schedule on one page: its layers with participants and restrictions, what stands over them, and a live preview."""

import dataclasses
import zoneinfo

from django import forms
from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Count, Q
from django.http import Http404, HttpResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.html import format_html, format_html_join
from django.views.decorators.http import require_POST

from accounts.visibility import hushed
from core.admin import Admin, StackedInline, table
from core.admin_fields import number_field, zone_field, zone_text_field
from core.pickers import PeopleInOrderField
from core.zones import zone_or_none
from oncall import layers, lookup, scheduling, shifts
from oncall.admin import preview
from oncall.admin.coverage import say_problems
from oncall.admin.exceptions import OverrideForm
from oncall.admin.windows import WindowsField
from oncall.admin.zones import Zoned, ZoneNamed, shown
from oncall.models import Layer, Override, Participant, Schedule

MEANWHILE = "Somebody changed the layers of this schedule meanwhile. Load the page again, and repeat your change."


class ScheduleForm(forms.ModelForm):
    time_zone = zone_field()

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if "description" in self.fields:
            self.fields["description"].widget.attrs["rows"] = 2


# --- layers -------------------------------------------------------------------------------------------------------
class LayerForm(forms.ModelForm):
    """A layer as its editor types it. `draft` is what `oncall.layers` takes; nothing is written from here."""

    time_zone = zone_text_field(
        label="Time zone", help_text="Empty: that of the schedule. Set it to follow the sun. Type to search."
    )
    first_slot = number_field(
        label="Starts with",
        min_value=1,
        max_value=layers.MOST_SLOTS,
        initial=1,
        help_text="Which place has the first shift: 1 is the first participant below.",
    )
    slots = PeopleInOrderField(
        Participant._meta.get_field("user"),
        label="Participants",
        help_text="They take turns in this order. People in one place are on call together; a place marked “nobody” "
        "is a turn that nobody has, and lower layers show through. Places left empty are ignored.",
    )
    restrictions = WindowsField(
        label="Restrictions",
        help_text="Only in these windows the layer holds; without any it always does. A window that closes before it "
        "opens closes on the next day. For one over several days choose the day on which it closes.",
    )

    class Meta:
        model = Layer
        fields = (
            "name",
            "position",
            "role",
            "unit",
            "every",
            "rule",
            "start_date",
            "handoff_time",
            "time_zone",
            "starts_at",
            "ends_at",
        )

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.before = layers.draft_of(self.instance)
            self.instance.get_inline_title = self.before.name  # what the skin writes above it
            self.initial["first_slot"] = self.before.first_slot + 1
            self.initial["slots"] = [[user.pk for user in slot] for slot in self.before.slots]
            self.initial["restrictions"] = self.before.restrictions
            self.fields["slots"].widget.known = [user for slot in self.before.slots for user in slot]

    def _post_clean(self):
        """`layers.problems` checks all layers together, and the row must stay as it is."""

    def draft(self):
        """What the layer shall be. What was not touched is as it was, down to the microsecond."""
        cleaned = dict(self.cleaned_data)
        cleaned["first_slot"] = (cleaned["first_slot"] or 1) - 1
        values = {name: cleaned[name] for name in (*layers.FIELDS, "slots", "restrictions")}
        if not self.instance.pk:
            return layers.LayerDraft(**values)
        return dataclasses.replace(self.before, **{name: values[name] for name in values if name in self.changed_data})


class LayerFormSet(StackedInline.formset):
    """The running layers of a schedule."""

    def get_form_kwargs(self, index):
        kwargs = super().get_form_kwargs(index)
        if index is None or index >= self.initial_form_count():
            number = self.initial_form_count() + 1 + (index - self.initial_form_count() if index is not None else 0)
            today = timezone.localtime().date()
            kwargs["initial"] = {"name": f"Layer {number}", "position": number, "start_date": today}
        return kwargs

    def add_fields(self, form, index):
        super().add_fields(form, index)
        form.fields[self.model._meta.pk.name].error_messages["invalid_choice"] = MEANWHILE

    def kept(self):
        """The forms that will be layers."""
        return [
            form for form in self.forms if form not in self.deleted_forms and (form.instance.pk or form.has_changed())
        ]

    def drafts(self):
        return [form.draft() for form in self.kept()]

    def clean(self):
        if any(self.errors):
            return
        there = {row.pk for row in self.get_queryset()}
        if there != {form.instance.pk for form in self.initial_forms}:
            raise ValidationError(MEANWHILE)
        kept = self.kept()
        wrong = layers.problems(self.instance, self.drafts(), now=timezone.now())
        for number, fields in wrong.items():
            form = kept[number] if number < len(kept) else None
            for field, sentences in fields.items():
                if form is None:
                    raise ValidationError(sentences)
                form.add_error(field if field in form.fields else None, sentences)

    def save(self, *, by, now):
        """Write the drafts; remember for the history what changed."""
        known = [form.instance.pk for form in self.initial_forms]
        rows = layers.change_layers(self.instance.pk, self.drafts(), by=by, now=now, known=known)
        changed = {
            form.instance.pk: form.changed_data for form in self.kept() if form.instance.pk and form.has_changed()
        }
        self.deleted_objects = [form.instance for form in self.deleted_forms if form.instance.pk]
        self.changed_objects = [
            (row, changed[row.follows_id or row.pk]) for row in rows if (row.follows_id or row.pk) in changed
        ]
        self.new_objects = [row for row in rows if row.pk not in known and row.follows_id not in changed]
        return rows


class LayerInline(ZoneNamed, StackedInline):
    model, form, formset = Layer, LayerForm, LayerFormSet
    ordering = ("role", "position", "id")
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "name",
                    ("role", "position"),
                    "slots",
                    ("every", "unit"),
                    "rule",
                    ("start_date", "handoff_time"),
                    ("first_slot", "time_zone"),
                    "restrictions",
                    "starts_at",
                    "ends_at",
                ),
            },
        ),
    )

    def get_queryset(self, request):
        """Those that ended are shown below, and never change."""
        rows = super().get_queryset(request).running(timezone.now())
        return rows.select_related("schedule").prefetch_related("participants__user", "restrictions")

    def get_extra(self, request, obj=None, **kwargs):
        return 0 if obj else 1

    def stored(self, db_field, obj):
        return Q(pk__in=Participant.objects.filter(layer__schedule=obj).values(db_field.attname))


# --- overrides ----------------------------------------------------------------------------------------------------
class OverrideFormSet(StackedInline.formset):
    def save(self, *, by, now):
        self.new_objects, self.changed_objects, self.deleted_objects = [], [], []
        for form in self.deleted_forms:
            if form.instance.pk:
                self.deleted_objects.append(form.instance)
                scheduling.remove_override(form.instance.pk, by=by, now=now)
        for form in self.extra_forms:
            if form.has_changed() and form not in self.deleted_forms:
                self.new_objects.append(form.act(now))


class OverrideInline(ZoneNamed, StackedInline):
    model, form, formset = Override, OverrideForm, OverrideFormSet
    fieldsets = ((None, {"fields": ("user", ("role", "replaces"), "start_at", "end_at", "reason")}),)
    autocomplete_fields = ("user", "replaces")
    verbose_name_plural = "overrides now and to come"

    def has_change_permission(self, request, obj=None):
        """One that is there is deleted, and another made."""
        return False

    def get_queryset(self, request):
        """Those that are over stay on their own list."""
        rows = super().get_queryset(request).filter(end_at__gt=timezone.now())
        return rows.select_related("user", "replaces", "schedule").order_by("start_at", "id")

    def get_formset(self, request, obj=None, **kwargs):
        formset = super().get_formset(request, obj, **kwargs)
        formset.form.by = request.user
        return formset


# --- the page -----------------------------------------------------------------------------------------------------
@admin.register(Schedule)
class ScheduleAdmin(Zoned, Admin):
    form = ScheduleForm
    change_form_template = "admin/oncall/schedule/change_form.html"
    zone_path = "time_zone"
    list_display = ("name", "team", "time_zone", "layer_count", "now_on_call")
    list_filter = ("team", "time_zone", "skips_time_off", "swaps_need_approval")
    list_select_related = ("team",)
    search_fields = ("name", "slug", "team__name", "description")
    autocomplete_fields = ("team",)
    prepopulated_fields = {"slug": ("name",)}
    instead_of_deleting = "Take it out of those policies first."
    fieldsets = (
        (None, {"fields": (("name", "slug"), ("team", "time_zone"), "description")}),
        (
            "Time off, swaps and notices",
            {
                "fields": (
                    ("skips_time_off", "swaps_need_approval"),
                    ("sends_handoff_notices", "notice_minutes"),
                ),
                "classes": ("collapse",),
            },
        ),
    )

    class Media:
        css = {"all": ("oncall/admin/schedule.css",)}
        js = (forms.Script("oncall/admin/preview.js", type="module"),)

    def zone_name(self, request, object_id):
        return super().zone_name(request, object_id) if object_id is not None else request.POST.get("time_zone")

    def get_queryset(self, request):
        now = timezone.now()
        running = Q(layers__ends_at=None) | Q(layers__ends_at__gt=now)
        return super().get_queryset(request).annotate(count_of_layers=Count("layers", filter=running))

    def get_inlines(self, request, obj):
        return (LayerInline, OverrideInline) if obj and obj.pk else (LayerInline,)

    # --- the list
    def get_changelist_instance(self, request):
        """Know who is on call in all schedules of the page, at the cost of one."""
        changelist = super().get_changelist_instance(request)
        rosters, broken = lookup.rosters([one.pk for one in changelist.result_list], at=timezone.now())
        names = preview.names_of(
            one.user_id for roster in rosters.values() for people in roster.values() for one in people
        )
        for one in changelist.result_list:
            one.roster_in_words = _roster_in_words(rosters.get(one.pk, {}), names)
            if one.pk in broken:
                one.roster_in_words = format_html("<strong>cannot be worked out: {}</strong>", broken[one.pk])
        return changelist

    @admin.display(description="layers", ordering="count_of_layers")
    def layer_count(self, obj):
        return obj.count_of_layers

    @admin.display(description="on call now")
    def now_on_call(self, obj):
        return obj.roster_in_words

    # --- saving
    def save_model(self, request, obj, form, change):
        """The zone is changed last, by its verb: what the layers did in the old one stays."""
        if change and "time_zone" in form.changed_data:
            wanted, obj.time_zone = obj.time_zone, form.initial["time_zone"]
            super().save_model(request, obj, form, change)
            obj.time_zone = wanted
        else:
            super().save_model(request, obj, form, change)

    def save_formset(self, request, form, formset, change):
        formset.save(by=request.user, now=request.saved_at)

    def save_related(self, request, form, formsets, change):
        request.saved_at = timezone.now()
        super().save_related(request, form, formsets, change)
        schedule = form.instance
        if change and "time_zone" in form.changed_data:
            layers.change_zone(schedule.pk, schedule.time_zone, by=request.user, now=request.saved_at)
        scheduling.changed([schedule.pk], now=request.saved_at)

    def response_add(self, request, obj, post_url_continue=None):
        return self._with_problems(request, obj, super().response_add(request, obj, post_url_continue))

    def response_change(self, request, obj):
        return self._with_problems(request, obj, super().response_change(request, obj))

    def _with_problems(self, request, obj, response):
        say_problems(self, request, [obj.pk], now=request.saved_at)
        return response

    # --- the preview
    def get_urls(self):
        view = self.admin_site.admin_view(self.preview_view)
        return [
            path("add/preview/", view, name="oncall_schedule_add_preview"),
            path("<path:object_id>/preview/", view, name="oncall_schedule_preview"),
            *super().get_urls(),
        ]

    @method_decorator(require_POST)
    def preview_view(self, request, object_id=None):
        """The next four weeks as they would be if this form were saved. Saves nothing."""
        schedule = None
        if object_id is not None:
            schedule = self.get_object(request, unquote(object_id))
            if schedule is None:
                raise Http404
        may = self.has_change_permission(request, schedule) if schedule else self.has_add_permission(request)
        if not may:
            raise PermissionDenied
        request.zone = zone_or_none(self.zone_name(request, unquote(object_id) if object_id else None))
        with timezone.override(request.zone or timezone.get_default_timezone()):
            return HttpResponse(self._preview(request, schedule))

    def _preview(self, request, schedule):
        now = timezone.now()
        change = schedule is not None
        form = self.get_form(request, schedule, change=change)(request.POST, instance=schedule)
        form.is_valid()
        formsets, _ = self._create_formsets(request, form.instance, change)
        sentences = _sentences(form)
        for formset in formsets:
            formset.is_valid()
            sentences += formset.non_form_errors()
            for one in formset.forms:
                if one not in formset.deleted_forms:
                    sentences += _sentences(one)
        running = next(formset for formset in formsets if formset.model is Layer)
        spec = None
        if running.is_valid() and "time_zone" not in form.errors:
            try:
                drafts = running.drafts()
                spec = layers.spec_of(form.instance, drafts, start=now, end=now + preview.SPAN, now=now)
                spec = _with_overrides(spec, formsets)
            except ValidationError as error:
                sentences += error.messages
        return preview.render(
            form.instance, spec, now=now, sentences=sentences, is_draft=True, hush=hushed(request.user)
        )

    def render_change_form(self, request, context, add=False, change=False, form_url="", obj=None):
        now = timezone.now()
        is_there = obj is not None and obj.pk
        url_name = f"{self.admin_site.name}:oncall_schedule_{'preview' if is_there else 'add_preview'}"
        context["preview_url"] = reverse(url_name, args=[obj.pk] if is_there else [])
        context["preview"] = (
            preview.saved(Schedule.objects.get(pk=obj.pk), now=now, hush=hushed(request.user)) if is_there else ""
        )
        context["earlier"] = _earlier(obj, now) if is_there else ""
        context["zones"] = sorted(zoneinfo.available_timezones())
        return super().render_change_form(request, context, add=add, change=change, form_url=form_url, obj=obj)


def _sentences(form):
    """What a form says is wrong; a field's own words get its label before them."""
    found = []
    for name, errors in form.errors.items():
        label = form.fields[name].label if name in form.fields else None
        for error in errors:
            found.append(
                f"{label or name.replace('_', ' ').capitalize()}: {error}" if error.startswith("This field") else error
            )
    return found


def _with_overrides(spec, formsets):
    """The schedule with the overrides that are typed on the page, and without those marked for deletion."""
    for formset in formsets:
        if formset.model is not Override or not formset.is_valid():
            continue
        gone = {form.instance.pk for form in formset.deleted_forms}
        last = max((one.number for one in spec.overrides), default=0)
        typed = [form for form in formset.extra_forms if form.has_changed() and form not in formset.deleted_forms]
        made = [form.spec(last + number) for number, form in enumerate(typed, start=1)]
        kept = [one for one in spec.overrides if one.number not in gone]
        spec = dataclasses.replace(spec, overrides=(*kept, *made))
    return spec


def _roster_in_words(roster, names):
    primary = [names.get(one.user_id, "?") for one in roster.get(shifts.PRIMARY, ())]
    others = [
        f"{role.lower()}: {', '.join(names.get(one.user_id, '?') for one in roster[role])}"
        for role in shifts.ROLES[1:]
        if roster.get(role)
    ]
    first = ", ".join(primary) if primary else format_html("<strong>{}</strong>", "nobody")
    return format_html("{}{}", first, f"; {'; '.join(others)}" if others else "")


def _earlier(schedule, now):
    """The layers that ended, the latest first, as a table; "" when there are none."""
    rows = schedule.layers.filter(ends_at__lte=now).order_by("-ends_at", "-id")
    rows = rows.prefetch_related("participants__user", "restrictions")[:50]
    cells = [
        (
            row.name,
            row.get_role_display(),
            shown(row.starts_at, schedule.time_zone) if row.starts_at else "its first shift",
            shown(row.ends_at, schedule.time_zone),
            _rotation_in_words(row, schedule),
            _slots_in_words(row),
        )
        for row in rows
        if row.starts_at is None or row.starts_at < row.ends_at
    ]
    return table(("Layer", "Role", "From", "Until", "Rotation", "Participants"), cells) if cells else ""


def _rotation_in_words(row, schedule):
    if row.unit == Layer.Unit.RULE:
        how = row.rule
    else:
        how = f"every {row.every} {row.unit}s" if row.every > 1 else f"every {row.unit}"
    zone = row.time_zone or schedule.time_zone
    restrictions = "".join(f"; {one}" for one in row.restrictions.all())
    return f"{how}, {row.handoff_time:%H:%M} {zone}, first on {row.start_date:%d %b %Y}{restrictions}"


def _slots_in_words(row):
    slots = layers.draft_of(row).slots
    return format_html_join(", ", "{}", ((" + ".join(str(user) for user in slot) or "nobody",) for slot in slots))
