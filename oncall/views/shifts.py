"""My shifts: when I am on call, who asks me for cover, what I ask of others, my time off and my calendar feeds."""

import dataclasses
import datetime as dt
import functools

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Q
from django.http import Http404
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts.models import Role, Team, User
from accounts.permissions import may, may_somewhere, visible
from core.errors import DomainError
from core.zones import zone_of
from notifications import planning
from oncall import feeds, lookup, scheduling, shifts, swaps
from oncall.forms import FeedForm, OfferForm, PartForm, TimeOffForm
from oncall.models import Availability, CalendarFeed, Duty, Offer, Schedule, ShiftRequest, TimeOff
from oncall.views import plan
from oncall.views.overrides import time_of

SHOWN = dt.timedelta(days=60)
# So far around what is shown we look, so that a shift is shown whole.
AROUND = dt.timedelta(days=35)
MOST = 100  # shifts on one page
NEXT = 3  # shifts in the settings
LATELY = dt.timedelta(days=7)  # requests that were closed since are still shown


def responds(view):
    """A page for those who may respond."""

    @login_required
    @never_cache
    @functools.wraps(view)
    def checked(request, *args, **kwargs):
        if not may_somewhere(request.user, "respond"):
            raise PermissionDenied
        return view(request, *args, **kwargs)

    return checked


# --- the page -------------------------------------------------------------------------------------------------
@login_required
@never_cache
@require_safe
def mine(request):
    return show(request)


@login_required
@never_cache
@require_safe
def panel(request):
    """What is next for me, as a part of my settings; without scripts the page of my shifts."""
    if "X-Fragment" not in request.headers:
        return redirect("shifts")
    user, now = request.user, timezone.now()
    duties, hidden = _duties(user, now)
    context = {
        "now": now,
        "duties": duties[:NEXT],
        "more": len(duties[NEXT:]) + hidden,
        "days": SHOWN.days,
        "said": next((one for one in Availability.objects.filter(user=user) if one.holds(now)), None),
        "may_respond": may_somewhere(user, "respond"),
        "feeds": _feeds(user),
    }
    return render(request, "oncall/_mine.html", context)


def show(request, refused=None):
    """The page; with a form that was refused, it keeps what was typed."""
    user, now = request.user, timezone.now()

    def form(kind, key, **options):
        return refused if refused and refused.key == key else kind(for_whom=user, key=key, **options)

    duties, hidden = _duties(user, now)
    requests = _own_requests(user, now)
    for one in duties:
        one.is_asked_for = any(_is_about(each, one) for each in requests)
    running = [one for one in duties if one.start_at <= now]
    asked = _asked(user, now)
    returns = _returns(duties, user)
    for one in asked:
        left = swaps.remaining(one)
        one.is_promised = not left
        one.left = left if left != [(one.start_at, one.end_at)] else []
        one.can_take = len(left) == 1 and not one.wants_return
        one.my_offers = [each for each in one.offers.all() if each.user_id == user.pk and each.state in Offer.WAITING]
        span = next(iter(left), (one.start_at, one.end_at))
        one.part_form = form(PartForm, f"take-{one.uuid}", span=span)
        one.offer_form = form(OfferForm, f"offer-{one.uuid}", span=span, shifts=returns)
    context = {
        "section": "shifts",
        "now": now,
        "may_respond": may_somewhere(user, "respond"),
        "has_returns": bool(returns),
        "is_reachable": any(method.is_usable for method in planning.reaches([user.pk])[user.pk].methods),
        "running": running,
        "duties": duties,
        "hidden": hidden,
        "next_duty": next((one for one in duties if one.start_at > now), None),
        "previous": _previous(user, now),
        "asked": asked,
        "requests": requests,
        "offers": _offers_elsewhere(user, {one.pk for one in asked}),
        "approvals": _approvals(user),
        "time_off": TimeOff.objects.filter(user=user, end_at__gt=now).order_by("start_at"),
        "time_off_form": form(TimeOffForm, "time-off"),
        "feeds": _feeds(user),
        "feed_form": form(FeedForm, "feed", **_subjects(user)),
        "days": SHOWN.days,
        "refused": refused,
        "reasons": _reasons(refused, asked, returns),
    }
    return render(request, "oncall/shifts.html", context, status=400 if refused else 200)


def _feeds(user):
    rows = CalendarFeed.objects.filter(owner=user, revoked_at=None)
    return rows.select_related("person", "schedule", "team")


def _reasons(refused, asked, returns):
    """Why a form was refused that is not on the page any more, since somebody was faster; else nothing."""
    shown = {one.part_form.key for one in asked if not (one.is_promised or one.wants_return)}
    shown |= {one.offer_form.key for one in asked if not one.is_promised and returns}
    if refused is None or refused.key in shown or not isinstance(refused, PartForm):
        return []
    return [sentence for sentences in refused.errors.values() for sentence in sentences]


@dataclasses.dataclass
class OnDuty:
    """One shift of mine. `end_at` is None without an end that we see; `following` are the people who come after it."""

    schedule: Schedule
    shift: shifts.Shift
    end_at: dt.datetime | None
    following: list
    instead_of: User | None
    is_asked_for: bool = False  # whether I ask for cover of it

    @property
    def start_at(self):
        return self.shift.start_at

    @property
    def person(self):
        return self.shift.person

    @property
    def role(self):
        return Duty(self.person.role).label

    @property
    def is_shadow(self):
        return self.person.role == shifts.SHADOW

    @property
    def url(self):
        """The page of this shift, where one asks for cover of it."""
        at = plan.stamp(self.start_at)
        role, user_id, back = self.person.role, self.person.user_id, reverse("shifts")
        return plan.address("schedule-shift", self.schedule.slug, at=at, role=role, user=user_id, next=back)


def _duties(user, now):
    """My shifts that run or begin in the days that are shown, each whole, by start; and how many more there are."""
    horizon = now + SHOWN + AROUND
    found = [
        (pk, one)
        for pk, one in lookup.shifts_of(user.pk, start=now - AROUND, end=horizon)
        if one.end_at > now and one.start_at < now + SHOWN
    ]
    found, hidden = found[:MOST], len(found[MOST:])
    ids = {pk for pk, _ in found}
    specs = lookup.specs(ids, start=now, end=horizon)
    after = {
        (pk, one): [each.user_id for each in shifts.on_call(specs[pk], one.end_at, one.person.role)]
        for pk, one in found
        if one.end_at < horizon
    }
    schedules = Schedule.objects.select_related("team").in_bulk(ids)
    people = {user_id for each in after.values() for user_id in each} | {one.person.instead_of for _, one in found}
    people = User.objects.in_bulk(people - {None})
    duties = [
        OnDuty(
            schedule=schedules[pk],
            shift=one,
            end_at=one.end_at if one.end_at < horizon else None,
            following=[people[user_id] for user_id in after.get((pk, one), ())],
            instead_of=people.get(one.person.instead_of),
        )
        for pk, one in found
    ]
    return duties, hidden


def _previous(user, now):
    """My last shift that is over, with its schedule; None when there is none."""
    found = lookup.previous_shift(user.pk, before=now)
    return found and {"schedule": Schedule.objects.get(pk=found[0]), "shift": found[1]}


REQUESTS = ShiftRequest.objects.select_related("schedule__team", "requester", "asked").prefetch_related(
    "offers__user", "offers__return_schedule"
)


def _asked(user, now):
    """Open requests of others that I may answer: made to me, to my teams, or to who stands in my schedules."""
    ours = Q(schedule__team__in=user.teams.all()) | Q(schedule__layers__participants__user=user)
    found = ShiftRequest.objects.filter(Q(asked=user) | Q(ours, asked=None), state=ShiftRequest.State.OPEN)
    found = found.filter(end_at__gt=now).exclude(requester=user)
    return list(REQUESTS.filter(pk__in=found.values("pk")).order_by("start_at", "id"))


def _own_requests(user, now):
    """What I ask of others: what is open, and what was settled lately."""
    lately = Q(state=ShiftRequest.State.OPEN) | Q(closed_at__gt=now - LATELY)
    found = list(REQUESTS.filter(lately, requester=user).order_by("start_at", "id"))
    for one in found:
        one.shown_offers = [each for each in one.offers.all() if each.state != Offer.State.WITHDRAWN]
        one.left = swaps.remaining(one) if one.state == ShiftRequest.State.OPEN and one.shown_offers else []
    return found


def _is_about(request, duty):
    """Whether an open request asks for cover of a shift or of a part of it."""
    return (
        request.state == ShiftRequest.State.OPEN
        and (request.schedule_id, request.role) == (duty.schedule.pk, duty.person.role)
        and request.start_at < duty.shift.end_at
        and request.end_at > duty.start_at
    )


WAITING = Offer.objects.select_related(
    "user", "return_schedule__team", "request__schedule__team", "request__requester"
).order_by("start_at", "id")


def _offers_elsewhere(user, request_ids):
    """My offers that wait, in requests that are not shown anyway."""
    return WAITING.filter(user=user, state__in=Offer.WAITING).exclude(request__in=request_ids)


def _approvals(user):
    """Agreed offers that wait for me; who takes part in one leaves it to another, but for platform admins."""
    found = WAITING.filter(state=Offer.State.AGREED)
    if may(user, "configure"):
        return found
    led = user.memberships.filter(role=Role.ADMIN).values("team")
    ours = Q(request__schedule__team__in=led) | Q(
        return_schedule__team__in=led, return_schedule__swaps_need_approval=True
    )
    return found.filter(ours).exclude(Q(user=user) | Q(request__requester=user))


def _returns(duties, user):
    """The shifts that I can give in return: `[(value, label)]`."""
    tz = zone_of(user.time_zone)
    return [
        (
            "|".join((str(one.schedule.pk), one.person.role, plan.stamp(one.start_at), plan.stamp(one.end_at))),
            _label(one, tz),
        )
        for one in duties
        if one.end_at and not one.is_shadow
    ]


def _label(one, tz):
    start, end = one.start_at.astimezone(tz), one.end_at.astimezone(tz)
    role = "" if one.person.role == shifts.PRIMARY else f", {one.role.lower()}"
    return f"{start:%a %d %b %H:%M} to {end:%a %d %b %H:%M}, {one.schedule}{role}"


# --- answering ------------------------------------------------------------------------------------------------
@responds
@require_POST
def take(request, uuid):
    """Take all that is left of a request, or the part that the form names."""
    found = get_object_or_404(visible(ShiftRequest.objects.all(), request.user), uuid=uuid)
    part = {}
    if "start_at" in request.POST:
        span = next(iter(swaps.remaining(found)), (found.start_at, found.end_at))
        form = PartForm(request.POST, for_whom=request.user, key=f"take-{uuid}", span=span)
        if not form.is_valid():
            return show(request, form)
        part = form.cleaned_data
    try:
        made = swaps.take(found.pk, user=request.user, now=timezone.now(), **part)
    except (ValidationError, DomainError) as error:
        if part:
            form.refuse(error)
            return show(request, form)
        return _said(request, error)
    if made.state == Offer.State.APPLIED:
        messages.success(request, "The shift is yours.")
    else:
        messages.success(request, "You offered to take it. It counts when an admin of the team has approved it.")
    return redirect("shifts")


@responds
@require_POST
def offer(request, uuid):
    """Offer to take a span, for a shift of mine in return."""
    found = get_object_or_404(visible(ShiftRequest.objects.all(), request.user), uuid=uuid)
    now = timezone.now()
    form = OfferForm(
        request.POST,
        for_whom=request.user,
        key=f"offer-{uuid}",
        span=next(iter(swaps.remaining(found)), (found.start_at, found.end_at)),
        shifts=_returns(_duties(request.user, now)[0], request.user),
    )
    if not form.is_valid():
        return show(request, form)
    given = form.cleaned_data
    schedule_id, role, start_at, end_at = given.pop("returned").split("|")
    given["return_schedule_id"], given["return_role"] = int(schedule_id), role
    given["return_start_at"], given["return_end_at"] = time_of(start_at), time_of(end_at)
    try:
        swaps.offer(found.pk, user=request.user, now=now, **given)
    except (ValidationError, DomainError) as error:
        form.refuse(error)
        return show(request, form)
    messages.success(request, f"{found.requester} is told of your offer, and accepts or declines it.")
    return redirect("shifts")


CLOSING = {
    "cancel": (swaps.cancel, "The request is cancelled. You keep what nobody has taken."),
    "decline": (swaps.refuse, "{requester} is told that you cannot take it."),
}


@responds
@require_POST
def close(request, uuid, verb):
    """Cancel a request of mine, or say no to one that asks me by name."""
    found = get_object_or_404(visible(ShiftRequest.objects.all(), request.user), uuid=uuid)
    close_it, said = CLOSING[verb]
    try:
        close_it(found.pk, by=request.user, now=timezone.now())
    except (ValidationError, DomainError) as error:
        return _said(request, error)
    messages.success(request, said.format(requester=found.requester))
    return redirect("shifts")


VERBS = {"accept": swaps.accept, "decline": swaps.decline, "approve": swaps.approve, "withdraw": swaps.withdraw}
DONE = {
    Offer.State.APPLIED: "Done: {user} takes the shift.",
    Offer.State.AGREED: "Accepted. It counts when an admin of the team has approved it; until then nothing changes.",
    Offer.State.DECLINED: "The offer is declined, and {user} is told.",
    Offer.State.WITHDRAWN: "Your offer is withdrawn.",
}


@responds
@require_POST
def decide(request, uuid, verb):
    """Accept, decline, approve or withdraw an offer."""
    found = get_object_or_404(visible(Offer.objects.select_related("user"), request.user), uuid=uuid)
    if verb not in VERBS:
        raise Http404
    try:
        made = VERBS[verb](found.pk, by=request.user, now=timezone.now())
    except (ValidationError, DomainError) as error:
        return _said(request, error)
    messages.success(request, DONE[made.state].format(user=made.user))
    return redirect("shifts")


def _said(request, error):
    """What was refused, as a message on the page."""
    for sentence in error.messages if isinstance(error, ValidationError) else [error.message]:
        messages.error(request, sentence)
    return redirect("shifts")


# --- time off -------------------------------------------------------------------------------------------------
@responds
@require_POST
def add_time_off(request):
    form = TimeOffForm(request.POST, for_whom=request.user, key="time-off")
    if not form.is_valid():
        return show(request, form)
    try:
        scheduling.add_time_off(user=request.user, by=request.user, now=timezone.now(), **form.cleaned_data)
    except (ValidationError, DomainError) as error:
        form.refuse(error)
        return show(request, form)
    messages.success(request, "Your time off is noted. Ask for cover of the shifts that lie in it.")
    return redirect("shifts")


@responds
@require_POST
def remove_time_off(request, uuid):
    found = get_object_or_404(TimeOff, uuid=uuid, user=request.user)
    try:
        scheduling.remove_time_off(found.pk, by=request.user, now=timezone.now())
    except (ValidationError, DomainError) as error:
        return _said(request, error)
    messages.success(request, "Your time off is removed.")
    return redirect("shifts")


# --- calendar feeds -------------------------------------------------------------------------------------------
def _subjects(user):
    """Of what a feed can be, besides of oneself."""
    return {"teams": visible(Team.objects.all(), user), "schedules": visible(Schedule.objects.all(), user)}


# Also for observers: a feed shows what its owner may read.
@login_required
@never_cache
@require_POST
def make_feed(request):
    """Make a calendar feed, and show its secret address this once."""
    form = FeedForm(request.POST, for_whom=request.user, key="feed", **_subjects(request.user))
    if not form.is_valid():
        return show(request, form)
    owner = form.owners[form.cleaned_data["subject"]]
    try:
        feed, secret = feeds.issue(request.user, name=form.cleaned_data["name"], **owner)
    except (ValidationError, DomainError) as error:
        form.refuse(error)
        return show(request, form)
    context = {"section": "shifts", "feed": feed, "address": feeds.address(secret)}
    return render(request, "oncall/feed.html", context, status=201)


@login_required
@never_cache
def revoke_feed(request, uuid):
    """Ask first: the calendars that read the address stop showing shifts."""
    found = get_object_or_404(CalendarFeed, uuid=uuid, owner=request.user, revoked_at=None)
    if request.method != "POST":
        return render(request, "oncall/feed_revoke.html", {"section": "shifts", "feed": found})
    try:
        feeds.revoke(found.pk, by=request.user, now=timezone.now())
    except (ValidationError, DomainError) as error:
        return _said(request, error)
    messages.success(request, "The feed is revoked: its address shows nothing any more.")
    return redirect("shifts")
