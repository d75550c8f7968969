"""Senders that are refused by their signature: the admins are told, since what those report reaches nobody."""

import asyncio
import logging
import time

from django.db import DatabaseError, connection
from django.utils import timezone

from alerts.models import Integration
from notifications import alarms
from notifications.models import Alarm

logger = logging.getLogger(__name__)

PREFIX = "refused:"
# A sender that tries again and again is said once, and one that is right now and then does not page every time.
SAID_SECONDS = 3600
LOOK_SECONDS = 60  # other processes raise such alarms too


def alarm_key(integration_id):
    return f"{PREFIX}{integration_id}"


class Refusals:
    """What one event loop refused. Alarms are rows, written by a thread: nobody waits for them."""

    def __init__(self):
        self._said = {}
        self._open = set()  # integrations with an alarm, as far as we know
        self._looked_at = -LOOK_SECONDS
        self._tasks = set()

    def refused(self, integration_id, reason, *, now):
        """A request of this integration was turned away for `reason`, a sentence."""
        clock = time.monotonic()
        if integration_id is None or self._said.get(integration_id, -SAID_SECONDS) > clock - SAID_SECONDS:
            return
        self._said[integration_id] = clock
        self._open.add(integration_id)
        self._start(_raise, integration_id, reason, now)

    def admitted(self, integration_id):
        """A request of this integration was good: if there is an alarm about it, that is over."""
        if integration_id in self._open:
            self._open.discard(integration_id)
            self._start(_clear, integration_id)
        elif self._looked_at <= time.monotonic() - LOOK_SECONDS:
            self._looked_at = time.monotonic()
            self._start(self._look)

    async def close(self):
        """Wait for what is being written."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self, function, *arguments):
        task = asyncio.create_task(asyncio.to_thread(_quietly, function, *arguments))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _look(self):
        keys = Alarm.objects.filter(key__startswith=PREFIX, cleared_at=None).values_list("key", flat=True)
        self._open.update(int(key.removeprefix(PREFIX)) for key in keys)


def _quietly(function, *arguments):
    try:
        function(*arguments)
    except DatabaseError as error:  # without it nothing is stored either, and that is said elsewhere
        logger.warning("What the door refused could not be noted: %s", error)
    finally:
        connection.close()  # the thread may never be used again


def _raise(integration_id, reason, now):
    name = Integration.objects.filter(pk=integration_id).values_list("name", flat=True).first()
    alarms.raise_alarm(
        alarm_key(integration_id),
        f"The integration “{name}” turns its sender away, so its alerts reach nobody. {reason}",
        now=now,
    )


def _clear(integration_id):
    alarms.clear_alarm(alarm_key(integration_id), now=timezone.now())
