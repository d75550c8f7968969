"""The dialogs on a schedule: a shift and what can be done about it, and overrides.

A dialog is a page of its own: with the header `X-Fragment` a request gets only what goes into the dialog, without it
the whole page, so everything works without a script. Times that people type mean the zone that stands beside the
field and that the form sends along, never that of the browser.
"""

import datetime as dt
import zoneinfo

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied, ValidationError
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts.models import User
from accounts.permissions import may, visible
from core.errors import DomainError
from oncall import drawing, lookup, scheduling, shifts, swaps
from oncall.forms import Form, TextField
from oncall.models import Duty, Override, Schedule, ShiftRequest
from oncall.models.schedules import check_zone
from oncall.views import plan

AROUND = dt.timedelta(days=92)  # how far we look for where a shift begins and ends
SOON = dt.timedelta(days=35)
USUAL = dt.timedelta(hours=8)  # an override of which we know only the start
LONGEST_NUMBER = 18  # so many digits fit a bigint
COVER, SWAP = "cover", "swap"


# --- forms ----------------------------------------------------------------------------------------------------
class SpanForm(Form):
    """A form with a span. Its times are read in the zone that was shown, which it sends along as `zone`.

    `start_exact` and `end_exact` are the moments that the fields began with: they tell apart an hour that the clock
    shows twice.
    """

    def __init__(self, data=None, *, for_whom, schedule, initial=None, **kwargs):
        initial = initial or {}
        values = initial if data is None else data
        self.schedule = schedule
        self.zone, self.is_zone_known = zone_of_form(for_whom, schedule, values.get("zone", ""))
        super().__init__(data, for_whom=for_whom, initial=initial, **kwargs)
        self.tz = zoneinfo.ZoneInfo(self.zone)
        self.exact = {name: time_of(values.get(f"{name}_exact", "")) for name in ("start", "end")}
        self.fields["start_at"] = self.time("From", exact=self.exact["start"])
        self.fields["end_at"] = self.time("Until", exact=self.exact["end"])
        self.hidden = {"zone": self.zone, "next": values.get("next", "")}
        self.hidden |= {f"{name}_exact": at and plan.stamp(at) for name, at in self.exact.items()}

    def clean(self):
        if not self.is_zone_known:
            self.add_error(None, f"We do not know in which zone these times are. Shown is {self.zone}: check them.")

    def choose_from_people(self, name, nobody, *, without=None):
        """Offer everybody who can be on call, the team first."""
        people = User.objects.who_may("respond", self.schedule.team_id).prefetch_related("memberships")
        found = [one for one in people if one != without]
        team = [one for one in found if any(each.team_id == self.schedule.team_id for each in one.memberships.all())]
        others = [one for one in found if one not in team]
        self.people = {str(one.pk): one for one in found}
        groups = [(f"Team {self.schedule.team}", team), ("Everybody else", others)]
        self.fields[name].choices = [
            ("", nobody),
            *((label, [(str(one.pk), str(one)) for one in group]) for label, group in groups if group),
        ]


class OverrideForm(SpanForm):
    user = forms.ChoiceField(label="Who takes over", error_messages={"required": "Choose who takes over."})
    role = forms.ChoiceField(label="Role", choices=Duty.choices)
    replaces = forms.ChoiceField(label="Instead of", required=False)
    reason = TextField(label="Reason", required=False, max_length=200)

    def __init__(self, *args, now, **kwargs):
        super().__init__(*args, **kwargs)
        self.choose_from_people("user", "Choose a person")
        spec = lookup.specs([self.schedule.pk], start=now, end=now + SOON)[self.schedule.pk]
        self.replaceable = {str(one.pk): one for one in User.objects.filter(pk__in=plan.user_ids(spec))}
        self.fields["replaces"].choices = [
            ("", "Everybody of the role"),
            *((pk, str(one)) for pk, one in self.replaceable.items()),
        ]
        self.order_fields(["user", "start_at", "end_at", "role", "replaces", "reason"])

    def clean_user(self):
        return self.people[self.cleaned_data["user"]]

    def clean_replaces(self):
        return self.replaceable.get(self.cleaned_data["replaces"])


class TakeForm(SpanForm):
    """Take somebody's shift or a part of it: an override with oneself."""

    reason = TextField(label="Reason", required=False, max_length=200)


class AskForm(SpanForm):
    """Ask others to take one's own shift or a part of it."""

    kind = forms.ChoiceField(
        label="What for",
        choices=[(COVER, "Cover: somebody takes it"), (SWAP, "Swap: and I take one of theirs")],
        initial=COVER,
    )
    asked = forms.ChoiceField(label="Whom to ask", required=False)
    note = TextField(label="Note", required=False, max_length=200)

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.choose_from_people("asked", "Everybody of the team", without=self.for_whom)
        self.order_fields(["kind", "start_at", "end_at", "asked", "note"])

    def clean_asked(self):
        return self.people.get(self.cleaned_data["asked"])


def zone_of_form(user, schedule, name):
    """The zone in which a form's times are, and whether we know it: an IANA name, or what the page calls it."""
    zones = plan.zones(user, schedule)
    if not name or name in zones:
        return zones.get(name, zones[plan.MINE]), True
    try:
        check_zone(name)
    except ValidationError:
        return zones[plan.MINE], False
    return name, True


def time_of(text):
    """A moment in an address, such as 2026-06-01T09:00Z, or None."""
    try:
        at = dt.datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    if not at.tzinfo or not drawing.FIRST_DAY.year < at.year < drawing.LAST_DAY.year:
        return None
    return at.astimezone(dt.UTC)


def number_of(text):
    return int(text) if text.isascii() and text.isdigit() and len(text) <= LONGEST_NUMBER else None


# --- a shift --------------------------------------------------------------------------------------------------
@login_required
@never_cache
@require_safe
def shift(request, slug):
    """One shift of the final schedule: who, why, until when, and what the reader can do about it."""
    return _shift_page(request, _schedule(request, slug), request.GET, now=timezone.now())


def _shift_page(request, schedule, values, *, now, ask=None, take=None, status=200):
    at, role, user_id = time_of(values.get("at", "")), values.get("role", ""), number_of(values.get("user", ""))
    context = _context(request, schedule, values, now=now)
    one = _find_shift(schedule, at, role, user_id)
    if one is None:
        return _answer(request, "oncall/_shift.html", context, status=404)
    people = User.objects.in_bulk({one.user_id, one.person.instead_of} - {None})
    source, _, number = one.person.source.partition(":")
    override = Override.objects.filter(pk=number, schedule=schedule).first() if source == "override" else None
    is_mine = one.user_id == request.user.pk
    may_change = may(request.user, "respond", schedule) and one.end_at > now
    start = max(one.start_at, now)
    initial = {
        "zone": context["zone"],
        "next": context["next"],
        "start_exact": plan.stamp(start),
        "end_exact": plan.stamp(one.end_at),
    }
    if may_change and is_mine and ask is None:
        ask = AskForm(for_whom=request.user, schedule=schedule, initial=initial)
    if may_change and not is_mine and take is None:
        take = TakeForm(for_whom=request.user, schedule=schedule, initial=initial)
    zone = {"zone": values.get("zone", "")}
    context |= {
        "shift": one,
        "role": Duty(role).label,
        "person": people[one.user_id],
        "instead_of": people.get(one.person.instead_of),
        "is_now": one.start_at <= now < one.end_at,
        "is_mine": is_mine,
        "away": lookup.unavailable([one.user_id], at=now).get(one.user_id) if one.start_at <= now < one.end_at else "",
        "starts_at": one.start_at if one.start_at > at - AROUND else None,
        "ends_at": one.end_at if one.end_at < at + AROUND else None,
        "override": override,
        "override_url": override and plan.address("override", schedule.slug, override.pk, **zone),
        "new_url": may_change
        and plan.address(
            "override-new",
            schedule.slug,
            start=plan.stamp(start),
            end=plan.stamp(one.end_at),
            role=role,
            replaces=one.user_id,
            **zone,
        ),
        "ask": ask if may_change and is_mine else None,
        "take": take if may_change and not is_mine else None,
        "kept": {"at": plan.stamp(at), "role": role, "user": one.user_id},  # what says which shift it is
        "requests": ShiftRequest.objects.filter(
            schedule=schedule,
            requester_id=one.user_id,
            role=role,
            state=ShiftRequest.State.OPEN,
            start_at__lt=one.end_at,
            end_at__gt=one.start_at,
        ).select_related("asked"),
    }
    return _answer(request, "oncall/_shift.html", context, status=status)


def _find_shift(schedule, at, role, user_id):
    if not at or role not in shifts.ROLES or not user_id:
        return None
    spans = lookup.final(schedule, start=at - AROUND, end=at + AROUND, role=role)
    found = (one for one in shifts.shifts(spans) if one.user_id == user_id and one.start_at <= at < one.end_at)
    return next(found, None)


@login_required
@require_POST
def ask(request, slug):
    """Ask others to take one's own shift or a part of it: a cover, or a swap."""
    now, found = timezone.now(), _changed_schedule(request, slug)
    form = AskForm(request.POST, for_whom=request.user, schedule=found)
    status, role = 400, _role(request)
    if form.is_valid() and role:
        typed = form.cleaned_data
        try:
            made = swaps.ask(
                found.pk,
                requester=request.user,
                start_at=typed["start_at"],
                end_at=typed["end_at"],
                role=role,
                asked=typed["asked"],
                wants_return=typed["kind"] == SWAP,
                note=typed["note"],
                now=now,
            )
        except (ValidationError, DomainError) as error:
            form.refuse(error)
            status = getattr(error, "status", 400)
        else:
            whom = str(typed["asked"] or f"the team {found.team}")
            what = "swap" if made.wants_return else "cover"
            messages.success(
                request, f"You asked {whom} for a {what} {_words(made, form.tz)}. Until somebody agrees it is yours."
            )
            return redirect(_back(request, found, made.start_at))
    values = {**request.POST.dict(), "user": str(request.user.pk)}
    return _shift_page(request, found, values, now=now, ask=form, status=status)


@login_required
@require_POST
def take(request, slug):
    """Take somebody else's shift or a part of it, at once."""
    now, found = timezone.now(), _changed_schedule(request, slug)
    form = TakeForm(request.POST, for_whom=request.user, schedule=found)
    replaced = User.objects.filter(pk=number_of(request.POST.get("user", ""))).first()
    status, role = 400, _role(request)
    if form.is_valid() and replaced and role:
        typed = {**form.cleaned_data, "user": request.user, "replaces": replaced, "role": role}
        made, status = _add(request, found, form, typed, now)
        if made:
            return redirect(_back(request, found, made.start_at))
    return _shift_page(request, found, request.POST, now=now, take=form, status=status)


def _role(request):
    """The role of the shift that the form is about, or None where there is no such role, and so no such shift."""
    role = request.POST.get("role", "")
    return role if role in shifts.ROLES else None


# --- overrides ------------------------------------------------------------------------------------------------
@login_required
@never_cache
@require_safe
def new(request, slug):
    """The form of a new override. The page fills it by `start` and `end` (UTC), `role`, `user` and `replaces`."""
    now, found = timezone.now(), _changed_schedule(request, slug)
    next_hour = now.replace(minute=0, second=0, microsecond=0) + dt.timedelta(hours=1)
    start = time_of(request.GET.get("start", "")) or next_hour
    end = time_of(request.GET.get("end", "")) or start + USUAL
    initial = {
        **{name: request.GET.get(name, "") for name in ("zone", "next", "role", "user", "replaces")},
        "start_exact": plan.stamp(start),
        "end_exact": plan.stamp(end),
    }
    form = OverrideForm(for_whom=request.user, schedule=found, initial=initial, now=now)
    return _override_form(request, found, form, now=now)


@login_required
@require_POST
def add(request, slug):
    now, found = timezone.now(), _changed_schedule(request, slug)
    form = OverrideForm(request.POST, for_whom=request.user, schedule=found, now=now)
    status = 400
    if form.is_valid():
        made, status = _add(request, found, form, form.cleaned_data, now)
        if made:
            return redirect(_back(request, found, made.start_at))
    return _override_form(request, found, form, now=now, status=status)


def _add(request, schedule, form, typed, now):
    """The override, or None when it was refused, then the form says why; and the status of the answer."""
    names = ("user", "start_at", "end_at", "role", "replaces", "reason")
    try:
        made = scheduling.add_override(schedule.pk, **{name: typed[name] for name in names}, by=request.user, now=now)
    except (ValidationError, DomainError) as error:
        form.refuse(error)
        return None, getattr(error, "status", 400)
    who = "You are" if made.user == request.user else f"{made.user} is"
    role = "" if made.role == shifts.PRIMARY else f" as {made.get_role_display().lower()}"
    messages.success(request, f"{who} on call for {schedule}{role} {_words(made, form.tz)}.")
    return made, 302


def _override_form(request, schedule, form, *, now, status=200):
    context = {**_context(request, schedule, {"zone": form.zone, "next": form.hidden["next"]}, now=now), "form": form}
    return _answer(request, "oncall/_override_form.html", context, status=status)


@login_required
@never_cache
@require_safe
def override(request, slug, number):
    """One override: who, why, by whom; and the button that takes it back."""
    now = timezone.now()
    rows = visible(Override.objects.select_related("schedule__team", "user", "replaces", "created_by"), request.user)
    found = get_object_or_404(rows, pk=number, schedule__slug=slug)
    context = {
        **_context(request, found.schedule, request.GET, now=now),
        "override": found,
        "is_now": found.start_at <= now < found.end_at,
        "is_over": found.end_at <= now,
        "may_remove": may(request.user, "respond", found) and found.end_at > now,
    }
    return _answer(request, "oncall/_override.html", context)


@login_required
@require_POST
def remove(request, slug, number):
    now = timezone.now()
    rows = visible(Override.objects.select_related("schedule__team", "user"), request.user)
    found = get_object_or_404(rows, pk=number, schedule__slug=slug)
    if not may(request.user, "respond", found):
        raise PermissionDenied
    try:
        scheduling.remove_override(number, by=request.user, now=now)
    except DomainError as error:
        messages.error(request, error.message)
    else:
        done = "ended now" if found.start_at < now else "is taken back"
        messages.success(request, f"The override with {found.user} {done}. The schedule decides again.")
    return redirect(_back(request, found.schedule, None))


# --- what the dialogs share -----------------------------------------------------------------------------------
def _schedule(request, slug):
    return get_object_or_404(visible(Schedule.objects.select_related("team"), request.user), slug=slug)


def _changed_schedule(request, slug):
    """The schedule, for who may change who is on call in it."""
    found = _schedule(request, slug)
    if not may(request.user, "respond", found):
        raise PermissionDenied
    return found


def _context(request, schedule, values, *, now):
    next_url = _ours(request, values.get("next", ""))
    return {
        "section": "schedules",
        "now": now,
        "zone": zone_of_form(request.user, schedule, values.get("zone", ""))[0],  # the tags that write times use it
        "schedule": schedule,
        "next": next_url,
        "back_url": next_url or reverse("schedule", args=[schedule.slug]),
    }


def _answer(request, fragment, context, *, status=200):
    """The fragment alone for a dialog, or on a page of its own."""
    if request.headers.get("X-Fragment"):
        response = render(request, fragment, {**context, "is_dialog": True}, status=status)
    else:
        response = render(request, "oncall/schedule_part.html", {**context, "fragment": fragment}, status=status)
    patch_vary_headers(response, ["X-Fragment"])
    return response


def _ours(request, url):
    """The page of ours that the form names, or ""."""
    is_ours = url_has_allowed_host_and_scheme(url, {request.get_host()}, require_https=request.is_secure())
    return url if is_ours and url.startswith("/") else ""


def _back(request, schedule, at):
    """Where to go after a change: the page that one came from, or the schedule where the change is seen."""
    if url := _ours(request, request.POST.get("next", "")):
        return url
    return plan.address("schedule", schedule.slug, **({"date": at.date().isoformat()} if at else {}))


def _words(span, tz):
    start, end = (at.astimezone(tz) for at in (span.start_at, span.end_at))
    return f"from {start:%a} {start.day} {start:%b, %H:%M} until {end:%a} {end.day} {end:%b, %H:%M %Z}"
