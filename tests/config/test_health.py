"""/health, /health/ready and /metrics."""

import datetime as dt

import pytest
from django.utils import timezone

from config import metrics
from core.models import Pulse, WorkerBeat
from incidents import lifecycle
from incidents.models import Incident
from notifications import alarms


@pytest.fixture
def alive(db):
    now = timezone.now()
    Pulse.objects.create(name="ticker", beat_at=now)
    WorkerBeat.objects.create(worker_id="one", beat_at=now)


def ready(client):
    answer = client.get("/health/ready")
    return answer.status_code, answer.json()


def test_alive_asks_nothing_of_the_database(client):
    assert client.get("/health").json() == {"status": "ok"}


def test_ready_when_every_part_lives(client, alive):
    status, body = ready(client)
    assert (status, body["status"], body["alarms"]) == (200, "ok", {"open": 0, "kinds": {}})


@pytest.mark.logs_errors
def test_a_silent_ticker_is_not_ready_and_says_what_to_start(client, alive):
    Pulse.objects.update(beat_at=timezone.now() - dt.timedelta(seconds=30))
    status, body = ready(client)
    assert status == 503 and "manage.py ticker" in body["checks"]["ticker"]


@pytest.mark.logs_errors
def test_a_silent_worker_is_not_ready(client, alive):
    WorkerBeat.objects.update(beat_at=timezone.now() - dt.timedelta(minutes=1))
    status, body = ready(client)
    assert status == 503 and "qcluster" in body["checks"]["worker"]


@pytest.mark.logs_errors
def test_late_work_is_not_ready_and_is_named(client, alive, service):
    incident = lifecycle.trigger(service, title="Down", severity="low", now=timezone.now())
    Incident.objects.filter(pk=incident.pk).update(next_escalation_at=timezone.now() - dt.timedelta(minutes=5))
    status, body = ready(client)
    assert status == 503 and "escalations 300 s" in body["checks"]["due_work"]


def test_open_alarms_are_counted_by_kind_and_tell_strangers_nothing_else(client, alive):
    now = timezone.now()
    for key in ("escalation:1", "escalation:2", "event:3", "escalation:4", "stale"):
        alarms.raise_alarm(key, "Alice of alice@example.com does not answer.", now=now)
    alarms.clear_alarm("escalation:4", now=now)
    answer = client.get("/health/ready")
    assert answer.json()["alarms"] == {"open": 4, "kinds": {"escalation": 2, "event": 1, "stale": 1}}
    assert b"Alice" not in answer.content


def test_metrics_come_from_rows(client, service, alice, now, monkeypatch):
    monkeypatch.setattr(metrics, "_cached", (0.0, ""))
    monkeypatch.setattr(metrics, "CACHE_SECONDS", -1)
    incident = lifecycle.trigger(service, title="Down", severity="critical", now=timezone.now())
    lifecycle.escalate(incident.pk, by=alice, now=timezone.now())
    lifecycle.acknowledge(incident.pk, by=alice, now=timezone.now())
    lines = client.get("/metrics").content.decode().splitlines()
    assert 'incidents_created_total{severity="critical"} 1' in lines
    assert 'escalations_total{team="shop"} 1' in lines
    assert 'incidents_by_status{status="acknowledged"} 1' in lines
    assert any(line.startswith("incident_mtta_seconds 0") for line in lines)
    for name in (*metrics.ALWAYS, "alert_processing_seconds", "due_work_oldest_seconds", "alarms_open"):
        assert any(line.startswith(f"# TYPE {name} ") for line in lines), name
