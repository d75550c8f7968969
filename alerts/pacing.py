"""The places of those who send more than their integration may, shared between the web processes."""

import time

from alerts.backlog import TABLE
from alerts.limits import Pace

# How often a process asks which places the others gave away, for a sender that is above its rate.
ASK_SECONDS = 1
SENDERS_KEPT = 1000

# By the index of turns, see alerts.backlog.in_scope.
LATEST = f"""
SELECT max(due_at) FROM (
    SELECT due_at FROM {TABLE} WHERE scope BETWEEN %s AND %s AND state = 'pending' AND due_at > %s
    ORDER BY scope DESC, received_at DESC LIMIT 100
) AS latest
"""
HURRY = f"UPDATE {TABLE} SET due_at = %s WHERE scope = %s AND state = 'pending' AND due_at > %s"


class Paces:
    """One Pace a sender, with `fetch(query, params) -> rows`, the door's own connection."""

    def __init__(self, fetch):
        self._fetch = fetch
        self._paces = {}  # scope -> [Pace, when it may ask again]

    async def due_at(self, target, events, *, now):
        """When a request with these events is to be decided; None: at once. Raises what is in alerts.line.UNREACHABLE.

        In memory but for two cases: a sender above its rate is looked up once a second, and urgent news that must not
        overtake what waits lets all that waits go first.
        """
        if not target.events_per_minute:
            return None
        kept = self._paces.pop(target.scope, None) or [Pace(), 0.0]
        self._paces[target.scope] = kept  # now the latest
        while len(self._paces) > SENDERS_KEPT:
            del self._paces[next(iter(self._paces))]
        pace, ask_at = kept
        if pace.is_above(now) and time.monotonic() >= ask_at:
            kept[1] = time.monotonic() + ASK_SECONDS
            ((latest,),) = await self._fetch(LATEST, [target.scope, target.scope, now])
            if latest:
                pace.heard_of(latest)
        place = pace.place(
            events, now=now, per_minute=target.events_per_minute, default_severity=target.default_severity
        )
        if place.in_a_hurry:
            await self._fetch(HURRY, [now, target.scope, now])
        return place.due_at
