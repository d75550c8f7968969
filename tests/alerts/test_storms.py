"""A storm on one service, or on a thousand: how many incidents it makes, and how long others wait for a first page."""

import datetime as dt
import json

import pytest

from alerts import backlog, ingest
from alerts.models import Alert, InboundEvent
from incidents.models import Incident
from notifications.models import Notification
from tests import factories

SECOND = dt.timedelta(seconds=1)


@pytest.fixture
def noisy(service):
    """An integration of Checkout, each of whose alerts would open an incident of its own."""
    service.correlation_window_seconds = 0
    service.save()
    return factories.IntegrationFactory(source="generic", service=service)


@pytest.fixture
def quiet(team, charlie):
    """An integration of another service, which calls Charlie."""
    policy = factories.EscalationPolicyFactory(calls=[charlie])
    other = factories.ServiceFactory(name="Search", slug="search", team=team, policy=policy)
    return factories.IntegrationFactory(source="generic", service=other)


def store(integration, bodies, at, **fields):
    """Undecided events as the door stores them, in this order."""
    return InboundEvent.objects.bulk_create(
        InboundEvent(
            source="generic",
            scope=f"integration:{integration.pk}",
            integration=integration,
            service_id=integration.service_id,
            body=json.dumps(body).encode(),
            received_at=at + dt.timedelta(microseconds=number),
            due_at=at + dt.timedelta(microseconds=number),
            **fields,
        )
        for number, body in enumerate(bodies)
    )


def trouble(key, severity="critical", **fields):
    return {"title": f"{key} is down", "severity": severity, "dedup_key": key, **fields}


def decide(now):
    batches = 0
    while ingest.sweep(now=now):
        batches += 1
    return batches


# --- one incident for a storm -------------------------------------------------------------------------------------


def test_alerts_above_the_limit_share_one_incident_that_pages(noisy, service, alice, settings, now):
    settings.STORM_INCIDENTS_PER_MINUTE = 5
    rows = store(noisy, [trouble(f"host-{number}") for number in range(40)], now)
    decide(now + SECOND)
    assert Incident.objects.count() == 6
    storm = Incident.objects.get(title__startswith="Alert storm on Checkout")
    assert storm.title == "Alert storm on Checkout: more alerts than 5 a minute share this incident"
    assert storm.alerts.count() == 35 and storm.severity == "critical"
    assert Notification.objects.filter(topic=storm.topic, user=alice).exists()
    last = InboundEvent.objects.get(pk=rows[-1].pk).result[0]
    assert last["incident"] == storm.pk
    assert any("shares the incident of the storm" in reason for reason in last["reasons"])
    assert storm.timeline.filter(kind="triggered", text__contains="5 new incidents within a minute").exists()
    store(noisy, [trouble("one-more")], now + 2 * SECOND)
    decide(now + 3 * SECOND)
    (entry,) = storm.timeline.filter(kind="alert_added")
    assert "one-more is down" in entry.text and "shares the incident of the storm" in entry.text


def test_the_limit_counts_over_batches_and_by_the_minute(noisy, settings, now):
    settings.STORM_INCIDENTS_PER_MINUTE = 5
    for second in range(4):
        store(noisy, [trouble(f"{second}-{number}") for number in range(2)], now + second * SECOND)
        decide(now + second * SECOND + SECOND)
    assert Incident.objects.count() == 6
    store(noisy, [trouble("later")], now + 70 * SECOND)
    decide(now + 71 * SECOND)
    assert Incident.objects.filter(title="later is down").exists()


def test_a_storm_of_little_hides_nothing_critical(noisy, settings, alice, now):
    settings.STORM_INCIDENTS_PER_MINUTE = 5
    store(noisy, [*(trouble(f"low-{number}", "low") for number in range(20)), trouble("fire")], now)
    decide(now + SECOND)
    incident = Alert.objects.get(dedup_key="fire").incident
    assert (incident.severity, incident.urgency) == ("critical", "high")
    assert Notification.objects.filter(topic=incident.topic, user=alice, urgency="high").exists()


def test_a_storm_on_one_service_leaves_the_incidents_of_another_alone(noisy, quiet, settings, now):
    settings.STORM_INCIDENTS_PER_MINUTE = 5
    store(noisy, [trouble(f"host-{number}") for number in range(20)], now)
    store(quiet, [trouble("search")], now)
    decide(now + SECOND)
    assert Incident.objects.get(service=quiet.service).title == "search is down"


def test_an_integration_may_have_a_limit_of_its_own(noisy, settings, now):
    settings.STORM_INCIDENTS_PER_MINUTE = 5
    noisy.incidents_per_minute = 2
    noisy.save()
    store(noisy, [trouble(f"host-{number}") for number in range(10)], now)
    decide(now + SECOND)
    assert Incident.objects.count() == 3


def test_a_new_storm_opens_a_new_incident(noisy, settings, now):
    settings.STORM_INCIDENTS_PER_MINUTE = 2
    for minute in (0, 10):
        at = now + dt.timedelta(minutes=minute)
        store(noisy, [trouble(f"{minute}-{number}") for number in range(5)], at)
        decide(at + SECOND)
    assert Incident.objects.filter(title__startswith="Alert storm").count() == 2


def test_the_storm_is_over_when_its_last_alert_is(noisy, settings, now):
    settings.STORM_INCIDENTS_PER_MINUTE = 1
    keys = [f"host-{number}" for number in range(4)]
    store(noisy, [trouble(key) for key in keys], now)
    decide(now + SECOND)
    storm = Incident.objects.get(title__startswith="Alert storm")
    store(noisy, [{"action": "resolve", "dedup_key": key} for key in keys], now + 2 * SECOND)
    decide(now + 3 * SECOND)
    storm.refresh_from_db()
    assert storm.status == "resolved"


# --- the first page of everybody else -----------------------------------------------------------------------------


def first_page_of(quiet):
    return Notification.objects.filter(topic__in=[one.topic for one in quiet.service.incidents.all()]).exists()


def test_ten_thousand_events_of_one_service_cost_another_one_batch(noisy, quiet, now):
    store(noisy, [trouble(f"host-{number % 3000}") for number in range(10_000)], now)
    store(quiet, [trouble("search")], now + 30 * SECOND)
    ingest.sweep(now=now + 31 * SECOND)
    assert first_page_of(quiet)
    assert InboundEvent.objects.filter(state="pending").count() == 10_001 - backlog.BATCH


def test_a_storm_on_a_thousand_services_costs_another_a_round_of_batches(noisy, quiet, team, now):
    services = [
        factories.ServiceFactory(name=f"S{number}", slug=f"s{number}", team=team, policy=noisy.service.policy)
        for number in range(1000)
    ]
    InboundEvent.objects.bulk_create(
        InboundEvent(
            source="generic",
            scope=f"service:{one.pk}",
            service=one,
            body=json.dumps(trouble(f"{one.slug}-{place}")).encode(),
            received_at=now + dt.timedelta(microseconds=place),
            due_at=now + dt.timedelta(microseconds=place),
        )
        for one in services
        for place in range(10)
    )
    store(quiet, [trouble("search")], now + SECOND)
    batches = 0
    while not first_page_of(quiet):
        assert ingest.sweep(now=now + 2 * SECOND)
        batches += 1
    assert batches <= 6  # 1,001 scopes, 200 in a batch


def test_one_webhook_with_a_thousand_alerts_is_one_batch_of_statements(service, now, django_assert_max_num_queries):
    integration = factories.IntegrationFactory(source="alertmanager", service=service)
    alerts = [
        {
            "status": "firing",
            "labels": {"alertname": "Down", "severity": "critical", "instance": f"web-{number}"},
            "annotations": {"summary": f"web-{number} is down"},
            "startsAt": "2026-06-01T11:59:00Z",
            "fingerprint": f"{number:016x}",
        }
        for number in range(1000)
    ]
    body = json.dumps({"version": "4", "status": "firing", "alerts": alerts}).encode()
    row = InboundEvent.objects.create(
        source="alertmanager",
        scope=f"integration:{integration.pk}",
        integration=integration,
        service=service,
        body=body,
        received_at=now,
        due_at=now,
    )
    with django_assert_max_num_queries(80):
        ingest.decide_ids([row.pk], now=now)
    row.refresh_from_db()
    assert (row.state, len(row.result)) == ("decided", 1000)
    assert Alert.objects.count() == 1000
    assert Incident.objects.count() == 1
