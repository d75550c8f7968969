"""The database goes away under the door: who hears 202 is stored, who does not tries again, nothing is lost."""

import itertools
import socket
import threading

import pytest
from django.db import connection, connections
from django.utils import timezone

from alerts import ingest
from alerts.models import Alert, InboundEvent
from incidents.models import Incident
from notifications.models import Notification
from tests import factories
from tests.alerts.test_door import Server, waits_for
from tests.fakes.wire import Wire

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.logs_errors]

FIRE = {"title": "Disk full", "severity": "critical", "dedup_key": "disk"}


@pytest.fixture
def wire(monkeypatch):
    """What connects to the database from now on goes by a wire."""
    connection.ensure_connection()
    host, port = connection.connection.info.host, connection.connection.info.port  # this connection may close later

    def connect():
        if host.startswith("/"):
            line = socket.socket(socket.AF_UNIX)
            line.connect(f"{host}/.s.PGSQL.{port}")
            return line
        return socket.create_connection((host, port))

    wire = Wire(connect)
    for name, value in (("HOST", "127.0.0.1"), ("PORT", str(wire.port))):
        monkeypatch.setitem(connections.databases["default"], name, value)
    yield wire
    wire.close()
    monkeypatch.undo()
    connection.close()  # it may have come by the wire too


@pytest.fixture
def address(service):
    return f"/in/generic/{factories.IntegrationFactory(source='generic', service=service).key}"


@pytest.fixture
def server(wire):
    """A door that leaves deciding to the workers."""
    with Server() as running:
        yield running


def decide_all():
    while ingest.sweep(now=timezone.now()):
        pass


def test_a_commit_of_which_the_word_is_lost_is_stored_once(server, wire, address):
    server.post(address, {"title": "Before"})
    wire.lose_the_word()
    assert server.post(address, FIRE).status == 202
    assert wire.lost.is_set()
    decide_all()
    assert Alert.objects.get(dedup_key="disk").occurrences == 1
    assert InboundEvent.objects.count() == 2


def test_a_commit_of_which_the_word_is_lost_for_good_is_one_alert_when_the_sender_tries_again(server, wire, address):
    server.post(address, {"title": "Before"})
    wire.lose_the_word(then_cut=True)
    reply = server.post(address, FIRE)
    assert wire.lost.is_set()
    assert reply.status == 503 and reply.headers["retry-after"]
    assert InboundEvent.objects.count() == 2, "it was stored, and nobody could know"
    wire.mend()
    assert server.post(address, FIRE).status == 202
    decide_all()
    alert = Alert.objects.get(dedup_key="disk")
    assert alert.occurrences == 2 and Incident.objects.filter(alerts=alert).count() == 1


def test_a_database_that_says_nothing_is_answered_for_with_try_later(server, wire, address):
    server.post(address, FIRE)
    with wire.held():
        reply = server.post(address, FIRE)
        assert reply.status == 503 and reply.headers["retry-after"]
    assert server.post(address, FIRE).status == 202
    decide_all()
    assert Alert.objects.get().occurrences >= 2 and Notification.objects.count() == 1


def test_senders_that_try_again_lose_nothing_while_the_database_comes_and_goes(wire, address):
    """What was accepted just before a cut is decided too: by this process, or by a worker that finds it due."""
    accepted, refused, stop = set(), [], threading.Event()

    def send(name):
        for number in itertools.count():
            if stop.is_set():
                return
            key = f"{name}-{number}"
            while (status := server.post(address, {"title": "Down", "dedup_key": key}).status) != 202:
                refused.append(status)
            accepted.add(key)

    with Server(decide=ingest.decide_ids) as server:
        threads = [threading.Thread(target=send, args=(name,)) for name in range(8)]
        for thread in threads:
            thread.start()
        for _ in range(3):
            known, turned_away = len(accepted), len(refused)
            assert waits_for(lambda known=known: len(accepted) > known + 20, 20)
            wire.cut()
            assert waits_for(lambda turned_away=turned_away: len(refused) > turned_away + 20, 20)
            wire.mend()
        known = len(accepted)
        assert waits_for(lambda: len(accepted) > known, 20)
        stop.set()
        for thread in threads:
            thread.join(30)
    assert set(refused) == {503}
    assert waits_for(lambda: ingest.sweep(now=timezone.now() + 3 * ingest.EARLY_WAIT) or is_done(), 30)
    while not is_done():
        ingest.sweep(now=timezone.now() + 3 * ingest.EARLY_WAIT)
    assert set(Alert.objects.values_list("dedup_key", flat=True)) == accepted
    assert Alert.objects.count() == len(accepted)


def is_done():
    return not InboundEvent.objects.exclude(state="decided").exists()
