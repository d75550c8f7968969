"""News of services for the floors above."""

from django.dispatch import Signal

# service_ids: set of those whose dependencies changed, now: datetime.
dependencies_changed = Signal()
