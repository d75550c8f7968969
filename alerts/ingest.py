"""From raw events to alerts, incidents and first pages: one transaction a batch.

Lock order everywhere: services, then incidents, then alerts. Under the locks of the services for which it opens
something, a batch is decided in memory, event after event, and written in a constant number of statements. When a row
turns out to have changed in between (another batch opened the same key under another service, somebody resolved the
incident by hand), the batch is rolled back and decided again on what is true now. When routing or quiet breaks, it is
decided without them, and pages. When deciding raises, the batch is halved until the event that raises is found: it is
marked and tried again, the others commit.
"""

import datetime as dt
import logging

from django.db import transaction

from alerts import backlog
from alerts.attempts import Changed, attempt
from alerts.correlating import EARLY_WAIT, Batch, failed_key
from alerts.expiry import expire_due as expire_due
from alerts.models import InboundEvent
from alerts.releasing import release_due as release_due
from core import due
from notifications import alarms

logger = logging.getLogger(__name__)

MAX_ATTEMPTS = 8
RETRY_SECONDS = (2, 5, 15, 60, 300, 900, 3600)


def decide_ids(ids, *, now):
    """Decide those of these events whose turn it is; the rest is left to the workers. Returns how many."""
    return _decide(lambda: backlog.claim_these(ids, now=now), now=now)


def sweep(*, now, limit=backlog.BATCH):
    """Decide what is due: left behind by a process that died or was full, or failed before. Returns how many."""
    return _decide(lambda: _turns.claim(now=now, limit=limit), now=now)


def run(*, now_of, seconds=1):
    """Sweep until nothing is due or the time is up; `now_of()` reads the clock.

    What is left then waits behind the other work of the queue: a storm must not keep every worker from sending pages.
    """
    began = now = now_of()
    size = backlog.BATCH
    while now < began + dt.timedelta(seconds=seconds):
        due.beat()
        decided = sweep(now=now, limit=size)
        if not decided:
            return
        before, now = now, now_of()
        size = backlog.next_size(size, decided, (now - before).total_seconds())
    if backlog.oldest_due(now):
        due.wake("events")


_turns = backlog.Turns()  # of this process


def _decide(claim, *, now):
    """Decide the rows that `claim()` locks. The locks are the claim, so no lease is needed."""
    with transaction.atomic():
        rows = claim()
        _decide_rows(rows, now)
        backlog.tell_of_limits(rows, now=now)
        return len(rows)


def _decide_rows(rows, now):
    if not rows:
        return
    try:
        attempt(lambda without: Batch(rows, now, without).decide())
        return
    except Changed:
        pass
    except Exception:  # one of them is poison: find it, let the others through
        if len(rows) > 1:
            logger.warning("A batch of %d events failed; it is halved.", len(rows), exc_info=True)
    if len(rows) == 1:
        _decide_alone(rows[0], now)
        return
    middle = len(rows) // 2
    _decide_rows(rows[:middle], now)
    _decide_rows(rows[middle:], now)


def _decide_alone(row, now):
    try:
        attempt(lambda without: Batch([row], now, without).decide())
    except Changed:  # no fault of the event: somebody else is at the same alert right now
        InboundEvent.objects.filter(pk=row.pk).update(due_at=now + EARLY_WAIT)
    except Exception as error:  # the event is kept, tried again and shown; nothing else may suffer from it
        logger.warning("Event %s of %s could not be decided.", row.pk, row.source, exc_info=True)
        _mark_failed(row, error, now)


def _mark_failed(row, error, now):
    row.attempts += 1
    row.error = f"{type(error).__name__}: {error}"[:2000].replace("\0", "")
    if row.attempts >= MAX_ATTEMPTS:
        row.state, row.due_at = InboundEvent.State.POISON, None
    else:
        wait = RETRY_SECONDS[min(row.attempts, len(RETRY_SECONDS)) - 1]
        row.state, row.due_at = InboundEvent.State.FAILED, now + dt.timedelta(seconds=wait)
    row.save(update_fields=["attempts", "error", "state", "due_at"])
    alarms.raise_alarm(
        failed_key(row),
        f"An event from {row.source} was accepted but could not be turned into an alert: {row.error} "
        "Nobody was paged for it. Open it in the admin under Inbound events.",
        now=now,
    )
