"""Durable work: rows with a due time that any worker may claim.

The truth is the row; a queued task only says "look now". A claim takes due rows with `SKIP LOCKED`, gives them a lease
and a fencing token, and commits. Whoever holds the rows does the work with no transaction open and writes the answer
only where the token still matches: a worker that slept through its lease changes nothing. An expired lease makes the
row due again, because a claim moves `due_at` to the end of the lease.

A kind of work is registered beside its task:

    @due_work("deliveries", oldest=outbox.oldest_due)
    def deliver(): ...
"""

import contextlib
import dataclasses
import datetime
import functools
import importlib.util
import logging
import os
import socket
import uuid

from django.apps import apps
from django.conf import settings
from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone
from django_q.tasks import async_task

from core.models import WorkerBeat

logger = logging.getLogger(__name__)

PATIENCE = datetime.timedelta(milliseconds=500)


@dataclasses.dataclass(frozen=True)
class Kind:
    """One kind of due work: its name, the task to wake, and a call that gives the due time of the oldest row.

    `is_patient`: no other work makes room for it.
    """

    name: str
    task: str
    oldest: callable
    is_patient: bool = False


_kinds = {}


def due_work(name, *, oldest, is_patient=False):
    """Register the decorated task as the one that does due rows of this kind. `oldest(now)` -> datetime or None."""

    def register(function):
        path = f"{function.__module__}.{function.__name__}"
        _kinds[name] = Kind(name, path, oldest, is_patient)

        @functools.wraps(function)
        def run(*args, **kwargs):
            beat()
            return function(*args, **kwargs)

        return run

    return register


def kinds():
    """Every registered kind of due work, found in the `tasks.py` of the installed apps."""
    for config in apps.get_app_configs():
        if importlib.util.find_spec(f"{config.name}.tasks"):
            importlib.import_module(f"{config.name}.tasks")
    return dict(_kinds)


def wake(name):
    """Ask a worker to look at this kind of work now. Losing the call costs one tick: the row stays due."""
    kind = _kinds.get(name) or kinds()[name]
    transaction.on_commit(functools.partial(_enqueue, kind.task))


def _enqueue(path):
    try:
        async_task(path)
    except Exception:  # the queue is only a wake-up: the ticker finds the row within its interval
        logger.exception("Could not wake a worker for %s. The ticker will.", path)


def claim(due, *, now, lease, limit):
    """Claim up to `limit` rows of the ordered queryset `due` for the timedelta `lease`; return them with their token.

    Rows that another worker holds are skipped. Each claimed row counts one more attempt. Runs in a short transaction
    of its own, or in the caller's.
    """
    model = due.model
    token = uuid.uuid4()
    with transaction.atomic():
        ids = list(due.select_for_update(skip_locked=True, of=("self",)).values_list("pk", flat=True)[:limit])
        if not ids:
            return []
        until = now + lease
        model.objects.filter(pk__in=ids).update(
            due_at=until, lease_until=until, lease_token=token, attempts=F("attempts") + 1
        )
        rows = {row.pk: row for row in model.objects.filter(pk__in=ids)}
    return [rows[pk] for pk in ids]


def beat():
    """Note that this worker cluster runs tasks. Outside a cluster it does nothing."""
    worker_id = os.environ.get("WATCHBILL_WORKER_ID")
    if not worker_id and settings.ROLE == "worker":  # not of the supervisor: systemd or a container runs qcluster
        worker_id = f"{socket.gethostname()}-{os.getppid()}"  # the parent, which all tasks of a cluster share
    if worker_id:
        now = timezone.now()
        with connection.cursor() as cursor:
            cursor.execute(
                f"INSERT INTO {WorkerBeat._meta.db_table} (worker_id, beat_at) VALUES (%s, %s) "
                "ON CONFLICT (worker_id) DO UPDATE SET beat_at = EXCLUDED.beat_at",
                [worker_id, now],
            )


def others_wait(name, *, now):
    """Whether work of another kind has been due for so long that no worker can be at it.

    Who works in a loop asks this now and then, and ends: its own work is due still, behind that of the others.
    """
    return any(
        oldest is not None and now - oldest > PATIENCE
        for oldest in (kind.oldest(now) for kind in kinds().values() if kind.name != name and not kind.is_patient)
    )


@contextlib.contextmanager
def alone(lock):
    """Hold this advisory lock of the database, if it is free, for the length of a block; say whether it is ours.

    For work that only one worker may be at, so that the others stay free for pages. A worker that dies frees it.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [lock])
        is_ours = cursor.fetchone()[0]
    try:
        yield is_ours
    finally:
        if is_ours:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [lock])


_housekeepers = []


def housekeeping(function):
    """Register `function(now=...)` to run every few minutes, for cleaning up."""
    _housekeepers.append(function)
    return function


def housekeepers():
    kinds()
    return list(_housekeepers)
