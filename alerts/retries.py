"""Trying events again that could not be decided."""

from alerts.models import InboundEvent
from core import due
from core.errors import DomainError, NotFound

IN_TROUBLE = (InboundEvent.State.FAILED, InboundEvent.State.POISON)


def retry(event_id, *, now):
    """Decide this event again, at once. If that works, people may be paged for it.

    Raises NotFound, or DomainError for an event that did not fail.
    """
    rows = InboundEvent.objects.filter(pk=event_id)
    if not rows.filter(state__in=IN_TROUBLE).update(state=InboundEvent.State.FAILED, due_at=now):
        state = rows.values_list("state", flat=True).first()
        if state is None:
            raise NotFound("This event is not there any more.")
        raise DomainError(f"Event {event_id} is {state}: only one that failed can be tried again.")
    due.wake("events")


def retry_all(integration, *, now):
    """Decide all events of an integration again that failed. Returns how many."""
    rows = InboundEvent.objects.filter(integration=integration, state__in=IN_TROUBLE)
    count = rows.update(state=InboundEvent.State.FAILED, due_at=now)
    if count:
        due.wake("events")
    return count
