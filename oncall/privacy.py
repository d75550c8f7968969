"""What is stored here about a person: their shifts, their time off, and who calls them when."""

import datetime as dt

from django.db.models import Q

from accounts.privacy import Obstacle, erases, exports, obstacles, rows
from oncall import lookup
from oncall.models import (
    Availability,
    CalendarFeed,
    CalendarImport,
    EscalationPolicy,
    FixedShift,
    Offer,
    Override,
    Participant,
    Schedule,
    ShiftRequest,
    Target,
    TimeOff,
)

SPAN = ("start_at", "end_at")


# --- export ---------------------------------------------------------------------------------------------------------
@exports(
    "shifts",
    "oncall.Participant.user",
    "oncall.FixedShift.user",
    "oncall.FixedShift.created_by",
    "oncall.Override.user",
    "oncall.Override.replaces",
    "oncall.Override.created_by",
)
def _shifts(person):
    in_schedule = ("schedule__name", "role", *SPAN)
    return {
        "rotations": rows(Participant.objects.filter(user=person), "layer__schedule__name", "layer__name", "position"),
        "fixed": rows(FixedShift.objects.filter(user=person), *in_schedule, "note"),
        "overrides": rows(Override.objects.filter(user=person), *in_schedule, "reason"),
        "replaced": rows(Override.objects.filter(replaces=person), *in_schedule, "reason"),
        "made": rows(Override.objects.filter(created_by=person), *in_schedule)
        + rows(FixedShift.objects.filter(created_by=person), *in_schedule),
    }


@exports("absence", "oncall.TimeOff.user", "oncall.TimeOff.created_by", "oncall.Availability.user")
def _absence(person):
    return {
        "time_off": rows(TimeOff.objects.filter(user=person), *SPAN, "reason"),
        "time_off_entered_for_others": rows(TimeOff.objects.filter(created_by=person).exclude(user=person), *SPAN),
        "availability": rows(Availability.objects.filter(user=person), "status", "since_at", "until_at", "note"),
    }


@exports(
    "swaps",
    "oncall.ShiftRequest.requester",
    "oncall.ShiftRequest.asked",
    "oncall.Offer.user",
    "oncall.Offer.decided_by",
)
def _swaps(person):
    asked = ("schedule__name", "role", *SPAN, "state", "created_at")
    return {
        "requests": rows(ShiftRequest.objects.filter(requester=person), *asked, "note"),
        "asked_of_them": rows(ShiftRequest.objects.filter(asked=person), *asked),
        "offers": rows(Offer.objects.filter(user=person), *SPAN, "state", "note", "created_at"),
        "decided": rows(Offer.objects.filter(decided_by=person), *SPAN, "state", "decided_at"),
    }


@exports(
    "calendars",
    "oncall.CalendarFeed.owner",
    "oncall.CalendarFeed.person",
    "oncall.CalendarImport.created_by",
)
def _calendars(person):
    feeds = CalendarFeed.objects.filter(Q(owner=person) | Q(person=person))
    return {
        "feeds": rows(feeds, "name", "created_at", "revoked_at", "last_used_at"),
        "imports": rows(CalendarImport.objects.filter(created_by=person), "name", "kind"),
    }


@exports("policies", "oncall.Target.user", "oncall.EscalationPolicy.fallback_user")
def _policies(person):
    return {
        "levels": rows(Target.objects.filter(user=person), "level__policy__name", "level__number"),
        "fallback_of": rows(EscalationPolicy.objects.filter(fallback_user=person), "name"),
    }


# --- erase ----------------------------------------------------------------------------------------------------------
@obstacles
def _on_call(person, now):
    """On call now forbids it; what is planned would be empty then, and may be left so."""
    names = dict(Schedule.objects.values_list("pk", "name"))
    held = set()
    for pk, shift in lookup.shifts_of(person.pk, start=now, end=now + dt.timedelta(minutes=1)):
        if shift.start_at <= now < shift.end_at and pk not in held:
            held.add(pk)
            yield Obstacle(f"{person} is on call now in {names[pk]}. Let somebody else take over first.")
    for name in _rotations(person, now):
        yield Obstacle(f"{person} is in the rotation of {name}: those turns would be empty.", may_force=True)
    for model, what in ((Override, "an override"), (FixedShift, "a fixed shift")):
        for one in model.objects.filter(user=person, end_at__gt=now).select_related("schedule"):
            yield Obstacle(
                f"{person} has {what} in {one.schedule} until {one.end_at:%Y-%m-%d %H:%M} UTC: it would be empty.",
                may_force=True,
            )
    for one in Target.objects.filter(user=person).select_related("level__policy"):
        yield Obstacle(f"{one.level} calls {person}: nobody would be called in their place.", may_force=True)
    for one in EscalationPolicy.objects.filter(fallback_user=person):
        yield Obstacle(f"{person} is the fallback person of {one}: it would have none.", may_force=True)


def _rotations(person, now):
    layers = Participant.objects.filter(user=person).filter(Q(layer__ends_at=None) | Q(layer__ends_at__gt=now))
    return list(layers.order_by("layer__schedule__name").values_list("layer__schedule__name", flat=True).distinct())


@erases
def _erase(person, traces, now):
    CalendarFeed.objects.filter(Q(owner=person) | Q(person=person)).delete()
    Availability.objects.filter(user=person).delete()
    # Past absences keep their span, since who was on call then depends on it; why is nobody's business any more.
    TimeOff.objects.filter(user=person, start_at__gt=now).delete()
    TimeOff.objects.filter(user=person).update(reason="")
    Override.objects.filter(Q(user=person) | Q(replaces=person)).update(reason="")
    FixedShift.objects.filter(user=person).update(note="")
    ShiftRequest.objects.filter(requester=person, state=ShiftRequest.State.OPEN).update(
        state=ShiftRequest.State.CANCELLED, closed_at=now
    )
    Offer.objects.filter(user=person, state__in=Offer.WAITING).update(state=Offer.State.WITHDRAWN, decided_at=now)
    ShiftRequest.objects.filter(requester=person).update(note="")
    Offer.objects.filter(user=person).update(note="")
    traces.replace_in(Override, "reason")
    traces.replace_in(FixedShift, "note", "calendar_uid")
    traces.replace_in(TimeOff, "reason")
    traces.replace_in(ShiftRequest, "note")
    traces.replace_in(Offer, "note")
    traces.replace_in(CalendarImport, "content", "error", "warnings")
