"""PagerDuty's Events API at its own addresses: version 2, its change events, and version 1."""

import functools

from alerts.compat.base import Dialect
from alerts.sources.pagerduty import PagerDuty, PagerDutyChange
from alerts.sources.pagerduty_v1 import PagerDutyV1


class PagerDutyEvents(Dialect):
    kind = "pagerduty"
    label = "PagerDuty Events API"

    def __init__(self):
        self._handles = {
            path: functools.partial(_take, source=source)
            for path, source in (
                ("/v2/enqueue", PagerDuty()),
                ("/v2/change/enqueue", PagerDutyChange()),
                ("/generic/2010-04-15/create_event.json", PagerDutyV1()),
            )
        }

    def find(self, method, path):
        return self._handles.get(path)


async def _take(door, request, *, source):
    """The key is a field of the body."""
    return await door.accept(request, source, None, "body")
