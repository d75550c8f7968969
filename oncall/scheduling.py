"""What people write down over the layers: overrides, fixed shifts, time off, and whether they can be called.

The past never changes. What lies wholly in the past is refused, a start in the past is cut to now, and taking away
what has begun ends it now.
"""

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from accounts.models import User
from accounts.permissions import may_once_seen
from core import due
from core.errors import IllegalMove, NotFound
from oncall import lookup, shifts
from oncall.models import Availability, FixedShift, Override, Schedule, TimeOff

LONGEST = lookup.LONGEST
# No span reaches further; the calendar arithmetic of the engine is sure up to there.
LAST_YEAR = 2100
SPAN = ("start_at", "end_at")
ONE_AT_A_TIME = "one_fixed_shift_of_a_person_at_a_time"


# --- overrides ------------------------------------------------------------------------------------------------
@transaction.atomic
def add_override(schedule_id, *, user, start_at, end_at, role=shifts.PRIMARY, replaces=None, reason="", by, now):
    """Put somebody on call for a span, whatever the layers say; overrides may overlap, the later made one wins.

    A start in the past is cut to `now`, since history does not change. `replaces` takes only that person's part, and
    they must be on call at some time of the span.
    """
    schedule = lock(schedule_id)
    override = Override(
        schedule=schedule,
        user=user,
        role=role,
        replaces=replaces,
        start_at=cut(start_at, now),
        end_at=end_at,
        reason=reason,
        created_by=by,
    )
    check(override, now=now, what="The override")
    if replaces:
        spans = lookup.final(schedule, start=override.start_at, end=override.end_at, role=role)
        if not any(person.user_id == replaces.pk for span in spans for person in span.people):
            raise ValidationError(
                {
                    "replaces": f"{replaces} is not on call in {schedule} then. "
                    "Choose whom to replace, or leave it empty."
                }
            )
    override.save()
    changed([schedule.pk], now=now)
    return override


@transaction.atomic
def remove_override(override_id, *, by, now):
    """Take an override back: one to come is deleted, a running one ends now. One that is over stays."""
    _remove(Override, override_id, "override", now)


# --- fixed shifts ---------------------------------------------------------------------------------------------
@transaction.atomic
def add_fixed_shift(schedule_id, *, user, start_at, end_at, role=shifts.PRIMARY, note="", by, now):
    """Write down a shift of one person, on top of the layers. A start in the past is cut to `now`."""
    schedule = lock(schedule_id)
    shift = FixedShift(
        schedule=schedule,
        user=user,
        role=role,
        start_at=cut(start_at, now),
        end_at=end_at,
        note=note,
        created_by=by,
    )
    check(shift, now=now, what="The shift")
    _save_alone(shift)
    changed([schedule.pk], now=now)
    return shift


@transaction.atomic
def change_fixed_shift(fixed_shift_id, *, by, now, **changes):
    """Change `user`, `role`, `start_at`, `end_at` or `note` of a shift to come; of a running one the end and note.

    Values that stay the same count as no change, so a whole form may be passed. Raises IllegalMove when the shift is
    over, is of a calendar, or runs and something else would change.
    """
    _check_names(changes, "user", "role", "start_at", "end_at", "note")
    shift = _find(FixedShift, fixed_shift_id, "shift")
    _check_ours(shift)
    changes = _changes(shift, changes, "shift", {"end_at", "note"}, now)
    if not changes:
        return shift
    is_running = shift.start_at < now
    is_same_person = changes.get("user", shift.user) == shift.user
    for name, value in changes.items():
        setattr(shift, name, value)
    check(shift, now=now, what="The shift", may_end_now=is_running, is_new_person=not is_same_person)
    _save_alone(shift)
    changed([shift.schedule_id], now=now)
    return shift


@transaction.atomic
def remove_fixed_shift(fixed_shift_id, *, by, now):
    """Take a fixed shift back: one to come is deleted, a running one ends now. One that is over stays."""
    _remove(FixedShift, fixed_shift_id, "shift", now)


def _check_ours(shift):
    if shift.calendar_id:
        raise IllegalMove(f"This shift comes from the calendar {shift.calendar.name}. Change it there.")


def _save_alone(shift):
    """Save a fixed shift. What another writer did since the check is the same sentence, not a broken page."""
    try:
        with transaction.atomic():
            shift.save()
    except IntegrityError as error:
        if getattr(getattr(error.__cause__, "diag", None), "constraint_name", "") != ONE_AT_A_TIME:
            raise
        constraint = next(one for one in FixedShift._meta.constraints if one.name == ONE_AT_A_TIME)
        raise ValidationError(constraint.get_violation_error_message()) from error


# --- people ---------------------------------------------------------------------------------------------------
@transaction.atomic
def add_time_off(*, user, start_at, end_at, reason="", by, now):
    """Note that somebody is off. A start in the past is cut to `now`."""
    time_off = TimeOff(user=user, start_at=cut(start_at, now), end_at=end_at, reason=reason, created_by=by)
    check(time_off, now=now, what="The time off")
    time_off.save()
    changed(lookup.schedules_with(user.pk, time_off.start_at, time_off.end_at), now=now)
    return time_off


@transaction.atomic
def change_time_off(time_off_id, *, by, now, **changes):
    """Change `start_at`, `end_at` or `reason` of time off to come; of what runs the end and the reason.

    Values that stay the same count as no change. Raises IllegalMove when it is over, or runs and its start would
    change.
    """
    _check_names(changes, "start_at", "end_at", "reason")
    time_off = _time_off(time_off_id)
    changes = _changes(time_off, changes, "time off", {"end_at", "reason"}, now)
    if not changes:
        return time_off
    is_running = time_off.start_at < now
    spans = [(time_off.start_at, time_off.end_at)]
    for name, value in changes.items():
        setattr(time_off, name, value)
    check(time_off, now=now, what="The time off", may_end_now=is_running, is_new_person=False)
    time_off.save()
    spans.append((time_off.start_at, time_off.end_at))
    changed({pk for span in spans for pk in lookup.schedules_with(time_off.user_id, *span)}, now=now)
    return time_off


@transaction.atomic
def remove_time_off(time_off_id, *, by, now):
    """Take time off back: what is to come is deleted, what runs ends now. What is over stays."""
    time_off = _time_off(time_off_id)
    schedules = list(lookup.schedules_with(time_off.user_id, time_off.start_at, time_off.end_at))
    _end_or_delete(time_off, "time off", now)
    changed(schedules, now=now)


def _time_off(pk):
    time_off = TimeOff.objects.select_for_update(no_key=True).filter(pk=pk).first()
    if time_off is None:
        raise NotFound("This time off does not exist any more.")
    return time_off


@transaction.atomic
def set_availability(user, *, status, until_at=None, note="", now):
    """Note whether somebody can be called now. “Away” needs an end; the others may have one."""
    User.objects.select_for_update(no_key=True).get(pk=user.pk)  # the row may not be there yet: one writer at a time
    availability = Availability.objects.filter(user=user).first() or Availability(user=user, status="")
    is_over = availability.until_at is not None and availability.until_at <= now
    if availability.status != status or is_over:
        availability.since_at = now
    is_available = status == Availability.Status.AVAILABLE
    availability.status = status
    availability.until_at = None if is_available else until_at
    availability.note = note
    if status == Availability.Status.AWAY and until_at is None:
        raise ValidationError({"until_at": "Say until when you are away."})
    if availability.until_at is not None and availability.until_at <= now:
        raise ValidationError({"until_at": "This time is over. Choose a later one, or leave it empty."})
    availability.full_clean()
    availability.save()
    return availability


# --- what they share ------------------------------------------------------------------------------------------
def changed(schedule_ids, *, now):
    """Look at the handoffs of these schedules again: somebody changed who is on call."""
    ids = list(schedule_ids)
    if not ids:
        return
    lock_all(ids)  # in one order, whoever else is at it
    Schedule.objects.filter(pk__in=ids).update(handoffs_due_at=now)
    due.wake("handoffs")


def lock(schedule_id):
    """The schedule, locked until the transaction ends: who changes who is on call comes one after the other."""
    found = lock_all([schedule_id])
    if schedule_id not in found:
        raise NotFound("This schedule does not exist any more.")
    return found[schedule_id]


def lock_all(schedule_ids):
    """`{schedule id: Schedule}`, locked in the order of their ids."""
    rows = Schedule.objects.filter(pk__in=set(schedule_ids)).order_by("pk")
    return {one.pk: one for one in rows.select_for_update(no_key=True)}


def cut(start_at, now):
    """A start that lies in the past becomes now."""
    return max(start_at, now) if start_at else start_at


def check(row, *, now, what, may_end_now=False, is_new_person=True):
    """Refuse a row with `start_at`, `end_at` and `user` that is wrong. Raises ValidationError with field names.

    `what` begins a sentence, for example "The override".
    """
    check_span(row.start_at, row.end_at, now=now, what=what, may_end_now=may_end_now)
    if (
        is_new_person
        and row.user_id
        and (trouble := unfit(row.user, getattr(row, "role", shifts.SHADOW), getattr(row, "schedule", None)))
    ):
        raise ValidationError({"user": trouble})
    row.full_clean()


def unfit(user, role, schedule):
    """Why a person may not be put on call in this role of the schedule, as a sentence; empty when they may."""
    if not user.is_active:
        return f"{user} is deactivated. Choose somebody else."
    if user.is_machine:
        return f"{user} is a machine and cannot be called. Choose a person."
    if role != shifts.SHADOW and not may_once_seen(user, "respond", schedule):
        return f"{user} is an observer and cannot answer a page. Choose a responder, or let them be a shadow."
    return ""


def check_span(start_at, end_at, *, now, what, may_end_now=False, names=SPAN):
    """Refuse a span that is over, too long or too far away; a missing time is for the model to say.

    `names` are the names of the two fields in the ValidationError.
    """
    if end_at is not None and (end_at < now or (end_at == now and not may_end_now)):
        # Before anything else: the start may have been cut to now, and would look wrong.
        raise ValidationError({names[1]: "This time is over, and history does not change. Choose a later end."})
    if start_at is None or end_at is None:
        return
    if end_at.year > LAST_YEAR or start_at.year > LAST_YEAR:
        raise ValidationError({names[1]: f"{what} is too far in the future. Choose a time before {LAST_YEAR + 1}."})
    if end_at <= start_at:
        raise ValidationError({names[1]: f"{what} ends before it starts. Choose a later end."})
    if end_at - start_at > LONGEST:
        raise ValidationError({names[1]: f"{what} lasts longer than {LONGEST.days} days. Choose an earlier end."})


def _check_names(changes, *names):
    if unknown := sorted(set(changes) - set(names)):
        raise TypeError(f"{unknown[0]} cannot be changed; {', '.join(names)} can.")


def _changes(row, changes, word, while_running, now):
    """Which of the values would change the row, if they may. A start in the past is cut to now."""
    changes = {name: value for name, value in changes.items() if getattr(row, name) != value}
    if not changes:
        return changes
    if row.end_at <= now:
        raise IllegalMove(f"This {word} is over, and history does not change. Add another one instead.")
    if row.start_at < now and set(changes) - while_running:
        note = next(iter(while_running - {"end_at"}))
        raise IllegalMove(
            f"This {word} is running, so only its end and its {note} can change. End it now, and add another one."
        )
    if "start_at" in changes:
        changes["start_at"] = cut(changes["start_at"], now)
    return changes


def _find(model, pk, word):
    """The row, with its schedule locked before it is read."""
    schedule_id = model.objects.filter(pk=pk).values_list("schedule_id", flat=True).first()
    if schedule_id is not None:
        lock(schedule_id)
    row = model.objects.filter(pk=pk).first()
    if row is None:
        raise NotFound(f"This {word} does not exist any more.")
    return row


def _remove(model, pk, word, now):
    row = _find(model, pk, word)
    if model is FixedShift:
        _check_ours(row)
    _end_or_delete(row, word, now)
    changed([row.schedule_id], now=now)


def _end_or_delete(row, word, now):
    if row.end_at <= now:
        raise IllegalMove(f"This {word} is over, and history does not change.")
    if row.start_at >= now:
        row.delete()
    else:
        row.end_at = now
        row.save(update_fields=["end_at"])
