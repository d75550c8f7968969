"""Requests that have a good key and are turned away all the same: the admins are told, since they reach nobody."""

import asyncio
import logging
import time

from django.db import DatabaseError, connection
from django.utils import timezone

from alerts.models import InboundEvent, Integration
from notifications import alarms
from notifications.models import Alarm

logger = logging.getLogger(__name__)

PREFIX, UNREADABLE = "refused:", "unreadable:"
# A sender that tries again and again is said once, and one that is right now and then does not page every time.
SAID_SECONDS = 3600
LOOK_SECONDS = 60  # other processes raise such alarms too
# Of what cannot be read so much is kept for each integration: a sender that is set up wrongly sends all day.
KEPT_AN_HOUR = 20


def alarm_key(integration_id):
    return f"{PREFIX}{integration_id}"


class Refusals:
    """Whom one event loop refused by a signature or a limit. Alarms are rows that a thread writes: nobody waits."""

    prefix = PREFIX
    text = "The integration “{name}” turns its sender away, so its alerts reach nobody. {reason}"

    def __init__(self):
        self._said = {}
        self._open = set()  # integrations with an alarm, as far as we know
        self._looked_at = -LOOK_SECONDS
        self._last = None

    def refused(self, integration_id, reason, *, now):
        """A request of this integration was turned away for `reason`, a sentence."""
        clock = time.monotonic()
        if integration_id is None or self._said.get(integration_id, -SAID_SECONDS) > clock - SAID_SECONDS:
            return
        self._said[integration_id] = clock
        self._open.add(integration_id)
        self._start(self._raise, integration_id, reason, now)

    def admitted(self, integration_id):
        """A request of this integration was good: if there is an alarm about it, that is over."""
        if integration_id in self._open:
            self._open.discard(integration_id)
            self._start(self._clear, integration_id)
        elif self._looked_at <= time.monotonic() - LOOK_SECONDS:
            self._looked_at = time.monotonic()
            self._start(self._look)

    async def close(self):
        """Wait for what is being written."""
        if self._last is not None:
            await asyncio.wait({self._last})

    def _start(self, function, *arguments):
        # One after the other: an alarm that ends at once must not end before it is raised.
        self._last = asyncio.create_task(self._run(self._last, function, *arguments))

    @staticmethod
    async def _run(before, function, *arguments):
        if before is not None:
            await asyncio.wait({before})
        await asyncio.to_thread(_quietly, function, *arguments)

    def _look(self):
        keys = Alarm.objects.filter(key__startswith=self.prefix, cleared_at=None).values_list("key", flat=True)
        self._open.update(int(key.removeprefix(self.prefix)) for key in keys)

    def _raise(self, integration_id, reason, now):
        name = Integration.objects.filter(pk=integration_id).values_list("name", flat=True).first()
        text = self.text.format(name=name, reason=reason)
        alarms.raise_alarm(f"{self.prefix}{integration_id}", text, now=now)

    def _clear(self, integration_id):
        alarms.clear_alarm(f"{self.prefix}{integration_id}", now=timezone.now())


class Unreadable(Refusals):
    """What no event can be made of. Its sender is told, but may be a program that nobody watches: some is kept raw."""

    prefix = UNREADABLE
    text = (
        "The integration “{name}” was sent what it cannot read as an event, so nobody was called for it: {reason} It "
        "is kept on the page of the integration, where it can be tried again."
    )

    def __init__(self):
        super().__init__()
        self._kept = {}  # integration -> [since when, how many]

    def keep(self, integration_id, reason, *, now, **row):
        """A request of this integration was refused for `reason`. `row` are its fields as an InboundEvent."""
        if integration_id is None:
            return
        clock = time.monotonic()
        kept = self._kept.get(integration_id)
        if kept is None or kept[0] < clock - SAID_SECONDS:
            kept = self._kept[integration_id] = [clock, 0]
        if kept[1] < KEPT_AN_HOUR:
            kept[1] += 1
            self._start(_store, {**row, "integration_id": integration_id, "received_at": now, "error": reason})
        self.refused(integration_id, reason, now=now)


def _store(row):
    InboundEvent.objects.create(**row, state=InboundEvent.State.POISON, due_at=None)


def _quietly(function, *arguments):
    try:
        function(*arguments)
    except DatabaseError as error:  # without it nothing is stored either, and that is said elsewhere
        logger.warning("What the door refused could not be noted: %s", error)
    finally:
        connection.close()  # the thread may never be used again
