"""Durable work: claim, lease, fencing token."""

import datetime as dt
import os
import socket
import threading

import pytest
from django.db import connection

from core import due
from core.models import WorkerBeat
from notifications.models import Notification
from tests import factories

LEASE = dt.timedelta(seconds=60)


def ready(now):
    return Notification.objects.filter(due_at__lte=now).order_by("due_at")


def test_a_claim_leases_the_row_so_that_nobody_else_finds_it_due(db, now):
    row = factories.NotificationFactory()
    (mine,) = due.claim(ready(now), now=now, lease=LEASE, limit=10)
    assert mine.pk == row.pk and mine.lease_until == now + LEASE and mine.attempts == 1
    assert due.claim(ready(now), now=now, lease=LEASE, limit=10) == []


def test_an_expired_lease_makes_the_row_due_again_under_a_new_token(db, now):
    factories.NotificationFactory()
    (first,) = due.claim(ready(now), now=now, lease=LEASE, limit=10)
    (second,) = due.claim(ready(now + LEASE), now=now + LEASE, lease=LEASE, limit=10)
    assert second.pk == first.pk and second.attempts == 2
    assert first.lease_token != second.lease_token == Notification.objects.get().lease_token


def test_a_claim_keeps_the_order_it_was_asked_for_and_its_limit(db, now):
    late = factories.NotificationFactory(due_at=now)
    early = factories.NotificationFactory(due_at=now - LEASE)
    factories.NotificationFactory(due_at=now + LEASE)
    assert [row.pk for row in due.claim(ready(now), now=now, lease=LEASE, limit=10)] == [early.pk, late.pk]


@pytest.mark.django_db(transaction=True)
def test_ten_workers_share_the_rows_without_waiting_and_without_doubles(now):
    factories.NotificationFactory.create_batch(100)
    barrier, claimed = threading.Barrier(10), []

    def work():
        try:
            barrier.wait(timeout=10)
            while rows := due.claim(ready(now), now=now, lease=LEASE, limit=3):
                claimed.extend(row.pk for row in rows)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert len(claimed) == len(set(claimed)) == 100


def test_every_kind_of_durable_work_is_registered():
    assert {"events", "escalations", "deliveries"} <= due.kinds().keys()


def test_others_wait_when_work_of_another_kind_is_due_for_a_while(db, now, django_assert_max_num_queries):
    row = factories.NotificationFactory(due_at=now)
    a_while = due.PATIENCE + dt.timedelta(milliseconds=1)
    assert not due.others_wait("events", now=now + due.PATIENCE), "a worker may just have begun"
    assert due.others_wait("events", now=now + a_while)
    assert not due.others_wait("deliveries", now=now + a_while), "that is its own work"
    Notification.objects.filter(pk=row.pk).update(due_at=None)
    with django_assert_max_num_queries(len(due.kinds()) + 2):
        assert not due.others_wait("events", now=now + a_while)


@pytest.mark.parametrize(
    ("role", "given", "known"),
    [
        ("worker", "house-1", ["house-1"]),
        ("command", "house-1", ["house-1"]),
        ("worker", "", [f"{socket.gethostname()}-{os.getppid()}"]),  # started by systemd or in a container
        ("command", "", []),
    ],
)
def test_a_worker_beats_whoever_started_it(db, settings, monkeypatch, role, given, known):
    settings.ROLE = role
    monkeypatch.setenv("WATCHBILL_WORKER_ID", given)
    due.beat()
    due.beat()
    assert list(WorkerBeat.objects.values_list("worker_id", flat=True)) == known
