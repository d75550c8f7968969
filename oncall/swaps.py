"""Swap and cover requests: somebody asks others to take a shift; others take it, or offer to, perhaps for a return.

What is agreed becomes overrides, once: every move locks the request first, then the schedules, then looks again at who
is on call. Permission is asked here too, because it depends on who takes part.
"""

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from accounts.models import Role, User
from accounts.permissions import leads, may, may_once_seen
from core.errors import IllegalMove, NotAllowed, NotFound
from notifications.planning import Page, plan_many
from oncall import lookup, messages, scheduling, shifts
from oncall.models import Offer, Override, Schedule, ShiftRequest

OPEN, DONE, CANCELLED, REFUSED, EXPIRED = ShiftRequest.State.values
OFFERED, AGREED, APPLIED, DECLINED, WITHDRAWN = Offer.State.values
BATCH = 100  # requests that one wake-up closes in one transaction


# --- asking ---------------------------------------------------------------------------------------------------
@transaction.atomic
def ask(
    schedule_id, *, requester, start_at, end_at, role=shifts.PRIMARY, asked=None, wants_return=False, note="", now
):
    """Ask one person, or the team, to take a span in which the requester is on call. A start in the past means now."""
    schedule = scheduling.lock(schedule_id)
    request = ShiftRequest(
        schedule=schedule,
        role=role,
        requester=requester,
        asked=asked,
        start_at=scheduling.cut(start_at, now),
        end_at=end_at,
        wants_return=wants_return,
        note=note,
        created_at=now,
    )
    scheduling.check_span(request.start_at, request.end_at, now=now, what="The span")
    request.full_clean()
    if not requester.is_active:
        raise NotAllowed("Your account is deactivated. Ask an admin to activate it.")
    if asked and not asked.is_active:
        raise ValidationError({"asked": f"{asked} is deactivated. Choose somebody else."})
    if asked and not may_once_seen(asked, "respond", request.schedule):
        raise ValidationError({"asked": f"{asked} is an observer and takes no shifts. Choose somebody else."})
    if not _is_on_call(requester, schedule, role, request.start_at, request.end_at):
        raise ValidationError(
            {"start_at": f"You are not on call in {schedule} for all of that time. Choose a span of your own shift."}
        )
    overlapping = {"start_at__lt": request.end_at, "end_at__gt": request.start_at}
    if schedule.shift_requests.filter(requester=requester, role=role, state=OPEN, **overlapping).exists():
        raise IllegalMove("You already ask for cover at that time. Cancel that request first.")
    request.save()
    readers = [asked] if asked else _team(schedule, besides=requester)
    _tell(request, "ask", readers, messages.asked, now=now)
    return request


@transaction.atomic
def cancel(request_id, *, by, now):
    """The requester keeps the shift: what was taken stays taken, what waits is declined."""
    request = _lock(request_id)
    if by.pk != request.requester_id:
        raise NotAllowed(f"Only {request.requester} can cancel this request.")
    _check_open(request)
    _close(request, CANCELLED, now)
    _decline_waiting(request, f"{request.requester} has cancelled the request.", now=now)
    return request


@transaction.atomic
def refuse(request_id, *, by, now):
    """Who alone was asked says no: the requester is told, keeps the shift, and may ask somebody else."""
    request = _lock(request_id)
    if by.pk != request.asked_id:
        raise NotAllowed("Only who is asked by name can say no. If you cannot take the shift, let others.")
    _check_open(request)
    _close(request, REFUSED, now)
    _decline_waiting(request, f"{by} has said no.", now=now)
    _tell(request, "refused", [request.requester], messages.refused, now=now)
    return request


# --- taking and offering --------------------------------------------------------------------------------------
@transaction.atomic
def take(request_id, *, user, start_at=None, end_at=None, now):
    """Take the shift, or a part of it, at once. It waits for approval where the schedule says so.

    Without times: all that is left. Raises IllegalMove when somebody was faster.
    """
    request = _lock(request_id)
    _check_taker(request, user)
    _check_open(request)
    if request.wants_return:
        raise IllegalMove(f"{request.requester} wants a shift in return. Offer a shift of yours in return.")
    offer = Offer(request=request, user=user, created_at=now)
    offer.start_at, offer.end_at = _part(request, start_at, end_at, now)
    offer.full_clean()
    offer.save()
    _agree(request, offer, by=user, now=now)
    if offer.state == APPLIED:
        _tell(request, f"{offer.pk}:taken", [request.requester], messages.taken, offer, now=now)
    return offer


@transaction.atomic
def offer(
    request_id,
    *,
    user,
    start_at=None,
    end_at=None,
    return_schedule_id=None,
    return_role=shifts.PRIMARY,
    return_start_at=None,
    return_end_at=None,
    note="",
    now,
):
    """Offer to take the shift or a part of it, perhaps for a shift of one's own. The requester accepts or declines."""
    request = _lock(request_id)
    _check_taker(request, user)
    _check_open(request)
    start_at, end_at = _part(request, start_at, end_at, now)
    made = Offer(request=request, user=user, start_at=start_at, end_at=end_at, note=note, created_at=now)
    if any((return_schedule_id, return_start_at, return_end_at)):
        _set_return(made, return_schedule_id, return_role, return_start_at, return_end_at, now)
    elif request.wants_return:
        raise ValidationError(
            {"return_start_at": f"{request.requester} wants a shift in return. Choose a shift of yours."}
        )
    made.full_clean()
    overlapping = {"start_at__lt": end_at, "end_at__gt": start_at}
    if made.return_schedule_id is None and request.offers.filter(user=user, state=OFFERED, **overlapping).exists():
        raise IllegalMove("You already offer to take that time. Withdraw that offer first.")
    made.save()
    _tell(request, f"{made.pk}:offer", [request.requester], messages.offered, made, now=now)
    return made


def _set_return(made, schedule_id, role, start_at, end_at, now):
    missing = "Say which shift you give in return: its schedule, start and end."
    if schedule_id is None:
        raise ValidationError({"return_schedule": missing})
    if start_at is None or end_at is None:
        raise ValidationError({"return_start_at" if start_at is None else "return_end_at": missing})
    schedule = Schedule.objects.filter(pk=schedule_id).first()
    if schedule is None:
        raise ValidationError({"return_schedule": "This schedule does not exist any more. Choose another shift."})
    if role not in shifts.ROLES:
        raise ValidationError({"return_role": f"Choose one of {', '.join(shifts.ROLES)}."})
    start_at = scheduling.cut(start_at, now)
    names = ("return_start_at", "return_end_at")
    scheduling.check_span(start_at, end_at, now=now, what="The shift in return", names=names)
    if not _is_on_call(made.user, schedule, role, start_at, end_at):
        raise ValidationError(
            {
                "return_start_at": f"You are not on call in {schedule} for all of that time. "
                "Choose a span of your own shift."
            }
        )
    is_same = schedule.pk == made.request.schedule_id and role == made.request.role
    if is_same and start_at < made.end_at and made.start_at < end_at:
        raise ValidationError(
            {"return_start_at": "The shift in return is at the same time as the one you take. Choose another one."}
        )
    made.return_schedule, made.return_role = schedule, role
    made.return_start_at, made.return_end_at = start_at, end_at


@transaction.atomic
def withdraw(offer_id, *, by, now):
    """Take back an offer that still waits."""
    request, made = _lock_offer(offer_id)
    if by.pk != made.user_id:
        raise NotAllowed(f"Only {made.user} can withdraw this offer.")
    _check_waits(made)
    _decide(made, WITHDRAWN, by, now)
    _tell(request, f"{made.pk}:withdrawn", [request.requester], messages.withdrawn, made, now=now)
    return made


# --- deciding -------------------------------------------------------------------------------------------------
@transaction.atomic
def accept(offer_id, *, by, now):
    """The requester, or who leads the team, says yes. It counts at once, or waits for approval."""
    request, made = _lock_offer(offer_id)
    if by.pk != request.requester_id and not leads(by, request.schedule.team):
        raise NotAllowed(f"Only {request.requester} or an admin of the team {request.schedule.team} can accept this.")
    if by.pk == made.user_id and not may(by, "configure"):
        raise NotAllowed(f"This is your own offer. {request.requester} or another admin of the team has to accept it.")
    if made.state == AGREED:
        raise IllegalMove("This offer is accepted already, and waits for approval.")
    _check_waits(made)
    _check_open(request)
    _agree(request, made, by=by, now=now)
    if made.state == APPLIED:
        _tell(request, f"{made.pk}:applied", _others([made.user], by), messages.applied, made, now=now)
    return made


@transaction.atomic
def decline(offer_id, *, by, now):
    """Say no: the requester or who leads the team to an offer, who leads the team to what waits for approval."""
    request, made = _lock_offer(offer_id)
    _check_waits(made)
    is_lead = any(leads(by, one.team) for one in _schedules(request, made))
    if made.state == AGREED and not is_lead:
        raise NotAllowed(f"Only an admin of the team {request.schedule.team} can decline this.")
    if made.state == OFFERED and by.pk != request.requester_id and not is_lead:
        raise NotAllowed(f"Only {request.requester} or an admin of the team {request.schedule.team} can decline this.")
    was_agreed = made.state == AGREED
    _decide(made, DECLINED, by, now)
    readers = [made.user, request.requester] if was_agreed else [made.user]
    _tell(
        request,
        f"{made.pk}:declined",
        _others(readers, by),
        lambda request, made, reader: messages.declined(request, made, reader, f"{by} said no."),
        made,
        now=now,
    )
    return made


@transaction.atomic
def approve(offer_id, *, by, now):
    """Who leads the team lets an agreed swap or cover count. Who takes part in it cannot, but for platform admins."""
    request, made = _lock_offer(offer_id)
    schedules = _schedules(request, made)
    concerned = [one for one in schedules if one.swaps_need_approval] or schedules[:1]
    for schedule in concerned:
        if not leads(by, schedule.team):
            raise NotAllowed(f"Only an admin of the team {schedule.team} can approve this.")
    if by.pk in (made.user_id, request.requester_id) and not may(by, "configure"):
        raise NotAllowed("You take part in this swap. Ask another admin of the team to approve it.")
    if made.state == OFFERED:
        raise IllegalMove(f"{request.requester} has not accepted this offer yet.")
    _check_waits(made)
    _check_open(request)
    _apply(request, made, by=by, now=now)
    _tell(request, f"{made.pk}:applied", _others([made.user, request.requester], by), messages.applied, made, now=now)
    return made


def _agree(request, made, *, by, now):
    """Both sides want it: apply it, or let the leads approve it."""
    schedules = _schedules(request, made)
    if not any(one.swaps_need_approval for one in schedules):
        _apply(request, made, by=by, now=now)
        return
    _check_possible(request, made, now)
    _decide(made, AGREED, by, now)
    if by.pk != request.requester_id:
        _tell(request, f"{made.pk}:waits", [request.requester], messages.waits, made, now=now)
    elif by.pk != made.user_id:
        _tell(request, f"{made.pk}:waits", [made.user], messages.waits, made, now=now)
    approvers = _approvers(request, made, schedules)
    _tell(request, f"{made.pk}:approve", approvers, messages.to_approve, made, now=now)


def _apply(request, made, *, by, now):
    """Make the overrides, close what is settled by them, and decline what they leave no room for."""
    _check_possible(request, made, now)
    _decide(made, APPLIED, by, now)
    swapped = [(request.schedule, request.role, made.user, request.requester, made.start_at, made.end_at)]
    if made.return_schedule_id:
        span = made.return_start_at, made.return_end_at
        swapped.append((made.return_schedule, made.return_role, request.requester, made.user, *span))
    for schedule, role, user, replaces, start_at, end_at in swapped:
        override = Override(
            schedule=schedule,
            role=role,
            user=user,
            replaces=replaces,
            start_at=start_at,
            end_at=end_at,
            reason=f"{made.user} and {request.requester}, by request"[:200],
            offer=made,
            created_by=by,
        )
        override.full_clean()
        override.save()
    _decline_waiting(
        request,
        f"{made.user} has taken that time.",
        now=now,
        besides=made,
        start_at__lt=made.end_at,
        end_at__gt=made.start_at,
    )
    if not _left(request, [APPLIED], now):
        _close(request, DONE, now)
        _decline_waiting(request, "All of the time is taken.", now=now)
    scheduling.changed([schedule.pk for schedule, *_ in swapped], now=now)


def _check_possible(request, made, now):
    """Refuse an offer that the schedule, or another offer, has left behind. Cuts what has passed of it.

    Locks the schedules, so that it holds until the overrides are there.
    """
    locked = scheduling.lock_all([one.pk for one in _schedules(request, made)])
    if len(locked) < len({one.pk for one in _schedules(request, made)}):
        raise NotFound("This schedule does not exist any more.")
    if not may_once_seen(made.user, "respond", request.schedule):
        raise IllegalMove(f"{made.user} cannot take shifts any more. Decline the offer.")
    if made.end_at <= now:
        raise IllegalMove("The time of this offer is over.")
    made.start_at = max(made.start_at, now)
    _check_free(request, made.start_at, made.end_at, besides=made)
    if not _is_on_call(request.requester, request.schedule, request.role, made.start_at, made.end_at):
        raise IllegalMove(
            f"{request.requester} is not on call in {request.schedule} for all of that time any more. "
            "Look at the schedule, and ask again."
        )
    if made.return_schedule_id is None:
        return
    if made.return_end_at <= now:
        raise IllegalMove("The shift in return is over. Decline the offer, or ask for another one.")
    if not request.requester.is_active:
        raise IllegalMove(f"{request.requester} is deactivated and can take no shift in return.")
    made.return_start_at = max(made.return_start_at, now)
    span = made.return_start_at, made.return_end_at
    if not _is_on_call(made.user, made.return_schedule, made.return_role, *span):
        raise IllegalMove(
            f"{made.user} is not on call in {made.return_schedule} for all of the shift in return any more. "
            "Decline the offer, or ask for another one."
        )


# --- what is left ---------------------------------------------------------------------------------------------
def remaining(request):
    """The spans of a request that nobody has taken, in order: `[(start, end)]`. What waits for approval is taken."""
    return _without(request, request.start_at, _settled(request, [APPLIED, AGREED]))


def _left(request, states, now):
    """As `remaining`, from now on only."""
    return _without(request, max(request.start_at, now), _settled(request, states))


def _settled(request, states):
    """The offers in these states, by start. A prefetched request costs no query."""
    return sorted((one for one in request.offers.all() if one.state in states), key=lambda one: one.start_at)


def _without(request, start, offers):
    spans = []
    for one in offers:
        if one.start_at > start:
            spans.append((start, one.start_at))
        start = max(start, one.end_at)
    if start < request.end_at:
        spans.append((start, request.end_at))
    return spans


def _part(request, start_at, end_at, now):
    """The span that somebody wants of a request, all that is left by default, if it is still free."""
    if request.end_at <= now:
        raise IllegalMove("The time of this request is over.")
    if start_at is None and end_at is None:
        left = _left(request, [APPLIED, AGREED], now)
        if not left:
            raise IllegalMove(_faster(request, request.start_at, request.end_at))
        if len(left) > 1:
            raise IllegalMove("Parts of this time are taken. Choose one of the parts that are left.")
        return left[0]
    start_at, end_at = max(start_at or request.start_at, now), end_at or request.end_at
    if end_at <= start_at:
        raise ValidationError({"end_at": "The span ends before it starts, or is over. Choose a later end."})
    if end_at > request.end_at or start_at < max(request.start_at, now):
        raise ValidationError({"start_at": "Choose a span that lies within the one that is asked for."})
    _check_free(request, start_at, end_at)
    return start_at, end_at


def _check_free(request, start_at, end_at, besides=None):
    if sentence := _faster(request, start_at, end_at, besides):
        raise IllegalMove(sentence)


def _faster(request, start_at, end_at, besides=None):
    """Who has taken a part of the span, as a sentence; empty when it is free."""
    for one in _settled(request, [APPLIED, AGREED]):
        if one.pk != getattr(besides, "pk", None) and one.start_at < end_at and start_at < one.end_at:
            return f"{one.user} has taken this already."
    return ""


def _is_on_call(user, schedule, role, start_at, end_at):
    """Whether the person is on call in the whole span, as the final schedule stands."""
    spans = lookup.final(schedule, start=start_at, end=end_at, role=role)
    return all(any(person.user_id == user.pk for person in span.people) for span in spans)


# --- time -----------------------------------------------------------------------------------------------------
def oldest_due(now):
    """When the open request that ended first has ended, or None."""
    return (
        ShiftRequest.objects.filter(state=OPEN, end_at__lte=now)
        .order_by("end_at")
        .values_list("end_at", flat=True)
        .first()
    )


def run():
    """Close the requests whose time is over."""
    while expire_due(now=timezone.now()) == BATCH:
        pass


@transaction.atomic
def expire_due(*, now):
    """Close open requests whose time is over, and decline what waits. Returns how many there were."""
    due = ShiftRequest.objects.filter(state=OPEN, end_at__lte=now).order_by("end_at")
    requests = list(due.select_for_update(skip_locked=True, of=("self",))[:BATCH])
    for request in requests:
        _close(request, EXPIRED, now)
        _decline_waiting(request, "The time is over.", now=now)
        _tell(request, "expired", [request.requester], messages.expired, now=now)
    return len(requests)


# --- rows -----------------------------------------------------------------------------------------------------
def _lock(request_id):
    rows = ShiftRequest.objects.select_for_update(of=("self",)).select_related("schedule__team", "requester", "asked")
    request = rows.filter(pk=request_id).first()
    if request is None:
        raise NotFound("This request does not exist any more.")
    return request


def _lock_offer(offer_id):
    """The request, locked, and the offer: every move of an offer happens under the lock of its request."""
    request_id = Offer.objects.filter(pk=offer_id).values_list("request_id", flat=True).first()
    if request_id is None:
        raise NotFound("This offer does not exist any more.")
    request = _lock(request_id)
    made = Offer.objects.select_related("user", "return_schedule__team").filter(pk=offer_id).first()
    if made is None:
        raise NotFound("This offer does not exist any more.")
    made.request = request
    return request, made


def _schedules(request, made):
    return [one for one in (request.schedule, made.return_schedule) if one is not None]


def _check_open(request):
    if request.state == OPEN:
        return
    if request.state == DONE:
        taker = next((one.user for one in _settled(request, [APPLIED])), "Somebody")
        raise IllegalMove(f"{taker} has taken this already.")
    if request.state == CANCELLED:
        raise IllegalMove(f"{request.requester} has cancelled this request.")
    if request.state == REFUSED:
        raise IllegalMove(f"{request.asked} has said no to this request.")
    raise IllegalMove("The time of this request is over.")


def _check_waits(made):
    if made.state not in Offer.WAITING:
        raise IllegalMove(f"This offer is {made.get_state_display().lower()} already.")


def _check_taker(request, user):
    if user.pk == request.requester_id:
        raise NotAllowed("This is your own shift. Somebody else has to take it.")
    if not may_once_seen(user, "respond", request.schedule):
        raise NotAllowed("Observers and deactivated people take no shifts. Ask an admin for the role responder.")
    if request.asked_id and user.pk != request.asked_id:
        raise NotAllowed(f"{request.requester} asks only {request.asked}.")


def _decide(made, state, by, now):
    made.state, made.decided_by, made.decided_at = state, by, now
    made.save()


def _close(request, state, now):
    request.state, request.closed_at = state, now
    request.save(update_fields=["state", "closed_at"])


def _decline_waiting(request, why, *, now, besides=None, **which):
    """The system declines what cannot come true any more, and says why."""
    waiting = request.offers.filter(state__in=Offer.WAITING, **which).select_related("user", "return_schedule")
    for one in waiting.exclude(pk=getattr(besides, "pk", None)):
        _decide(one, DECLINED, None, now)
        _tell(
            request,
            f"{one.pk}:declined",
            [one.user],
            lambda request, made, reader: messages.declined(request, made, reader, why),
            one,
            now=now,
        )


# --- telling --------------------------------------------------------------------------------------------------
def _tell(request, what, readers, text, *details, now):
    """Tell each of these people once; `text(request, *details, reader)` is the message in their own time zone."""
    pages = [
        Page(
            key=f"shift-request:{request.pk}:{what}",
            topic=f"shift-request:{request.pk}:{what}",  # a late message gives way to its like, and to no other
            user_id=reader.pk,
            message=text(request, *details, reader),
            is_repeat=True,  # never before a first page
        )
        for reader in readers
        if reader.is_active
    ]
    plan_many(pages, now=now)


def _others(readers, by):
    return [one for one in readers if one.pk != by.pk]


def _team(schedule, besides):
    people = User.objects.people().filter(is_active=True, memberships__team=schedule.team).exclude(pk=besides.pk)
    return [one for one in people.distinct() if may_once_seen(one, "respond", schedule)]


def _approvers(request, made, schedules):
    """The admins of the teams that take no part in it; where there are none, those of the platform."""
    parties = (made.user_id, request.requester_id)
    teams = [one.team_id for one in schedules if one.swaps_need_approval]
    active = User.objects.people().filter(is_active=True).exclude(pk__in=parties)
    people = list(active.filter(memberships__team__in=teams, memberships__role=Role.ADMIN).distinct())
    return people or list(active.filter(role=Role.ADMIN))
