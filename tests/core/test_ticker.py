"""The ticker: due work wakes workers."""

import threading

import pytest
from django.db import connection
from django_q.models import OrmQ

from core import ticker as ticking
from core.models import Pulse, WorkerBeat
from core.ticker import Ticker
from incidents.models import Incident
from oncall import inspection
from tests import factories


def queued():
    return sorted(one.func() for one in OrmQ.objects.all())


@pytest.fixture
def ticker(db):
    yield Ticker()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_unlock_all()")


def test_it_wakes_a_worker_for_what_is_due_and_only_for_that(ticker, now):
    incident = factories.IncidentFactory()
    inspection.run(now=now)  # the team is looked at tomorrow
    Incident.objects.filter(pk=incident.pk).update(next_escalation_at=now)
    assert ticker.tick(now) == ["escalations"]
    assert "incidents.tasks.escalate" in queued()


def test_it_wakes_nobody_when_nothing_is_due_but_flies_a_canary_and_beats(ticker, now):
    assert ticker.tick(now) == []
    assert set(queued()) == {"core.tasks.canary", "core.tasks.housekeep"}
    assert Pulse.objects.get(name="ticker").beat_at == now


def test_there_are_canaries_for_every_cluster_that_lived_lately(ticker, now):
    for name in ("one", "two", "three"):
        WorkerBeat.objects.create(worker_id=name, beat_at=now)
    ticker.tick(now)
    assert queued().count("core.tasks.canary") == 6


def test_a_full_queue_is_not_made_fuller(ticker, now, monkeypatch):
    monkeypatch.setattr(ticking, "QUEUE_FULL", 0)
    incident = factories.IncidentFactory()
    Incident.objects.filter(pk=incident.pk).update(next_escalation_at=now)
    ticker.tick(now)
    assert ticker.tick(now) == []


@pytest.mark.django_db(transaction=True)
def test_a_second_ticker_stands_by_until_the_first_is_gone(now):
    holding, done = threading.Event(), threading.Event()

    def first():
        try:
            assert ticking._is_mine() and ticking._is_mine()
            holding.set()
            done.wait(timeout=10)
        finally:
            connection.close()

    other = threading.Thread(target=first)
    other.start()
    try:
        assert holding.wait(timeout=10)
        assert not ticking._is_mine()
    finally:
        done.set()
        other.join(timeout=10)
    for _ in range(50):
        if ticking._is_mine():
            break
        threading.Event().wait(0.1)
    else:
        pytest.fail("The lock of the first ticker did not end with its connection.")
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_unlock_all()")


def test_a_kind_that_may_have_no_wake_up_in_a_full_queue_gets_one_now_and_then(ticker, now, monkeypatch):
    monkeypatch.setattr(ticking, "QUEUE_FULL", 0)
    ticker.tick(now)  # canaries fill the queue
    incident = factories.IncidentFactory()
    inspection.run(now=now)  # the team is looked at tomorrow
    Incident.objects.filter(pk=incident.pk).update(next_escalation_at=now)
    assert ticker.tick(now) == ["escalations"]
    assert ticker.tick(now) == []
