"""Maintenance that comes again and again: what people do with it. Each time is announced by `statuspages.maintenance`.

A change counts for the times that have not been announced: a post that stands on the page is changed there.
"""

import datetime as dt

from django.db import transaction

from core.errors import DomainError, NotFound
from core.zones import zone_or_none
from notifications.message import storable
from oncall.occurrences import BadWindow
from statuspages import maintenance, publishing
from statuspages.models import Series

LONGEST = dt.timedelta(days=31)
# What people say of it, besides the components.
VALUES = ("title", "body", "starts_at", "ends_at", "rrule", "time_zone", "announced_days", "is_enabled")


def coming(row, now, *, count=3):
    """`[(start, end)]` of the present and the next times; none when the rule cannot be read."""
    try:
        return row.window.coming(now, count=count)
    except BadWindow:
        return []


@transaction.atomic
def save(page_id, *, now, series=None, components=(), **values):
    """Plan recurring maintenance, or change the one with the UUID `series`. Returns it.

    `components` are UUIDs as text, and `values` are those of `VALUES`. Raises DomainError.
    """
    page = publishing.locked_page(page_id)
    row = _of_page(page, series) if series else Series(page=page, created_at=now)
    for name, value in values.items():
        setattr(row, name, storable(value).strip() if isinstance(value, str) else value)
    _check(row, now)
    chosen = _components(page, components)
    row.save()
    row.components.set(chosen)
    maintenance.plan_announcement(row, now=now)
    return row


@transaction.atomic
def remove(series_uuid):
    """Let it come no more. What is announced already stays on the page. Twice is harmless."""
    row = Series.objects.select_for_update().filter(uuid=series_uuid).first()
    if row is not None:
        row.delete()


def _of_page(page, series_uuid):
    row = Series.objects.select_for_update().filter(page=page, uuid=series_uuid).first()
    if row is None:
        raise NotFound("Somebody has deleted this recurring maintenance.")
    return row


def _components(page, wanted):
    rows = list(page.components.filter(uuid__in=wanted))
    if len(rows) < len(set(wanted)):
        raise DomainError("One of the components is not on this page. Load the page again.", code="components")
    return rows


def _check(row, now):
    if not row.title:
        raise DomainError("Give the maintenance a title that says what is worked on.", code="title")
    if not row.body:
        raise DomainError("Say what is done, and what readers notice.", code="body")
    if row.ends_at <= row.starts_at:
        raise DomainError("The end must be later than the start.", code="ends_at")
    if row.ends_at - row.starts_at > LONGEST:
        raise DomainError(f"One time lasts {LONGEST.days} days at most. Choose an earlier end.", code="ends_at")
    if zone_or_none(row.time_zone) is None:
        raise DomainError(f"“{row.time_zone}” is no time zone. Use one like Europe/Berlin.", code="time_zone")
    if not row.rrule:
        raise DomainError("Write how it repeats, such as FREQ=WEEKLY.", code="rrule")
    try:
        spans = row.window.coming(now, count=1)
    except BadWindow as error:
        raise DomainError(str(error), code="rrule") from None
    if not spans:
        raise DomainError("It never comes again within two years. Choose another rule or time.", code="rrule")
