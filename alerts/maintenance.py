"""Maintenance windows: what people do with them. When one is open, alerts/occurrences.py says.

An open window holds new alerts of what is worked on; incidents that are open already go on. When it closes, by itself
or because somebody ended, changed or disabled it, what it held and still fires is looked at at once, and pages.
"""

import datetime as dt
import logging

from django.db import transaction

from alerts import quiet
from alerts.models import MaintenanceWindow
from alerts.silences import checked_condition
from core.errors import DomainError, IllegalMove
from core.zones import zone_or_none
from notifications import alarms
from notifications.message import storable
from oncall.occurrences import BadWindow, Window

logger = logging.getLogger(__name__)

LONGEST, LONGEST_REPEATED = dt.timedelta(days=366), dt.timedelta(days=31)
OPEN, PLANNED, DISABLED, OVER = "open", "planned", "disabled", "over"


def window_of(row):
    """The values of a MaintenanceWindow that say when it is open."""
    return Window(row.starts_at, row.ends_at, row.rrule, row.time_zone)


def state(row, now):
    """open, planned, disabled or over."""
    if row.ended_at:
        return OVER
    spans = coming(row, now, count=1)
    if not spans:
        return OVER
    if not row.is_enabled:
        return DISABLED
    return OPEN if spans[0][0] <= now else PLANNED


def coming(row, now, *, count=3):
    """`[(start, end)]` of the present and the next times; none when it was ended or cannot be read."""
    if row.ended_at:
        return []
    try:
        return window_of(row).coming(now, count=count)
    except BadWindow:  # what asks for its holds tells the admins
        return []


@transaction.atomic
def create(*, name, starts_at, ends_at, by, now, services=(), teams=(), everything=False, **values):
    """Plan a window; `values` are reason, condition, rrule and time_zone. Raises DomainError."""
    row = MaintenanceWindow(owner=by, created_at=now)
    _fill(row, name, starts_at, ends_at, services, teams, everything, now, **values)
    row.save()
    _set_what(row, services, teams)
    return row


@transaction.atomic
def edit(
    window_id,
    *,
    name,
    starts_at,
    ends_at,
    by,
    now,
    services=(),
    teams=(),
    everything=False,
    **values,
):
    """Change a window that was not ended. What it holds is looked at again at once. Raises DomainError."""
    row = _locked(window_id)
    _fill(row, name, starts_at, ends_at, services, teams, everything, now, **values)
    row.save()
    _set_what(row, services, teams)
    return _changed(row, "edited", by, now)


@transaction.atomic
def enable(window_id, *, is_enabled, by, now):
    """Let a window count again, or let it hold nothing for the time being."""
    row = _locked(window_id)
    row.is_enabled = is_enabled
    row.save(update_fields=["is_enabled"])
    return _changed(row, "enabled" if is_enabled else "disabled", by, now)


@transaction.atomic
def end(window_id, *, by, now):
    """End a window for good. What it held and still fires pages at once. Raises IllegalMove when it was ended."""
    row = _locked(window_id)
    row.ended_at = now
    row.save(update_fields=["ended_at"])
    return _changed(row, "ended", by, now)


def by_of(row):
    """How an alert names the window that holds it."""
    return f"{quiet.MAINTENANCE}:{row.pk}"


def _locked(window_id):
    row = MaintenanceWindow.objects.select_for_update().get(pk=window_id)
    if row.ended_at:
        raise IllegalMove("This maintenance window was ended. Plan a new one instead.")
    return row


def _changed(row, verb, by, now):
    alarms.clear_alarm(quiet.alarm_key(by_of(row)), now=now)
    quiet.recheck(by_of(row), now=now)
    logger.info("Maintenance window %s was %s by %s.", row.pk, verb, by or "a program")
    return row


def _fill(
    row,
    name,
    starts_at,
    ends_at,
    services,
    teams,
    everything,
    now,
    reason="",
    condition="",
    rrule="",
    time_zone="UTC",
):
    row.name = storable(name).strip()[:200]
    if not row.name:
        raise DomainError("Give the window a name that says what is worked on.", code="name_required")
    row.reason = storable(reason).strip()[:500]
    row.condition = storable(condition).strip()
    if not row.condition and not (services or teams):
        raise DomainError(
            "Say what is worked on: choose services or teams, or write a condition.", code="means_nothing"
        )
    checked_condition(row.condition, is_narrow=bool(services or teams), everything=everything)
    row.starts_at, row.ends_at, row.rrule, row.time_zone = starts_at, ends_at, storable(rrule).strip(), time_zone
    check_time(row, now)


def check_time(row, now):
    """Refuse, with a DomainError, times and a recurrence rule that cannot be used."""
    if row.ends_at <= row.starts_at:
        raise DomainError("The end must be later than the start.", code="ends_before_it_starts")
    if zone_or_none(row.time_zone) is None:
        raise DomainError(f"“{row.time_zone}” is no time zone. Use one like Europe/Berlin.", code="time_zone")
    longest = LONGEST_REPEATED if row.rrule else LONGEST
    if row.ends_at - row.starts_at > longest:
        raise DomainError(
            f"A window that {'repeats' if row.rrule else 'is open once'} lasts {longest.days} days at most. "
            "Choose an earlier end.",
            code="too_long",
        )
    try:
        spans = window_of(row).coming(now, count=1)
        window_of(row).open_until(now)
    except BadWindow as error:
        raise DomainError(str(error), code="rrule") from None
    if not spans:
        raise DomainError(
            "It is never open again within two years: choose a later end, or another recurrence rule.",
            code="never_open",
        )


def _set_what(row, services, teams):
    row.services.set(services)
    row.teams.set(teams)
