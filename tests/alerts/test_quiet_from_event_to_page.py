"""Held and let go, from the event to the page: nothing held is lost, whatever ends while we look the other way."""

import datetime as dt
import json

import pytest

from alerts import ingest, inhibition, maintenance, quiet, releasing, silences
from alerts.models import Alert, InboundEvent, InhibitionRule
from catalog import dependencies
from incidents import escalation, lifecycle
from incidents.models import Incident
from notifications.models import Notification
from tests import factories

SECOND, MINUTE, HOUR, DAY = (dt.timedelta(seconds=n) for n in (1, 60, 3600, 86400))


@pytest.fixture
def integration(service):
    return factories.IntegrationFactory(source="generic", service=service)


@pytest.fixture
def fire(integration):
    """A function that sends triggers and decides them as one batch; returns their alerts."""

    def send(at, *events, through=integration, action="trigger"):
        rows = [
            InboundEvent.objects.create(
                source="generic",
                scope=f"integration:{through.pk}",
                integration=through,
                service=through.service,
                body=json.dumps({"action": action, "severity": "critical", "dedup_key": one["title"], **one}).encode(),
                received_at=at + number * dt.timedelta(microseconds=1),
                due_at=at + 2 * SECOND,
            )
            for number, one in enumerate(events)
        ]
        ingest.decide_ids([row.pk for row in rows], now=at)
        keys = [one["title"] for one in events]
        return [Alert.objects.filter(dedup_key=key).latest("first_at") for key in keys]

    return send


@pytest.fixture
def silence(alice, now):
    """Holds staging for an hour from now."""
    return silences.create(
        condition='env = "staging"', starts_at=now, ends_at=now + HOUR, reason="Disk work", by=alice, now=now
    )


DISK = {"title": "Disk full", "labels": {"env": "staging"}}


def paged():
    return Notification.objects.filter(topic__startswith="incident:").count()


def work(at):
    """What the ticker does at a time."""
    silences.sweep(now=at)
    while releasing.oldest_due(at):
        releasing.release_due(now=at)


def incident_of(alert):
    alert.refresh_from_db()
    return alert.incident


def test_a_silenced_alert_calls_nobody_and_pages_at_the_very_end(fire, silence, now):
    (alert,) = fire(now, DISK)
    assert alert.held_by == f"silence:{silence.pk}" and alert.held_why == "Silence by Alice until 13:00 UTC: Disk work"
    assert not Incident.objects.exists()
    work(now + HOUR - SECOND)
    assert incident_of(alert) is None
    work(now + HOUR)
    opened = incident_of(alert)
    assert opened and alert.held_by == "" and paged() == 1
    entry = opened.timeline.get(kind="released")
    assert "Silence by Alice until 13:00 UTC: Disk work" in entry.text


def test_an_alert_at_the_very_end_of_a_silence_pages_and_one_just_before_is_held(fire, silence, now):
    (before,) = fire(now + HOUR - dt.timedelta(microseconds=1), DISK)
    (after,) = fire(now + HOUR, {**DISK, "title": "Another"})
    assert before.held_by and after.incident and not after.held_by


def test_an_end_while_we_were_away_is_made_good_when_we_are_back(fire, silence, now):
    (alert,) = fire(now, DISK)
    work(now + 9 * HOUR)
    assert incident_of(alert).triggered_at == now + 9 * HOUR and paged() == 1
    (late,) = fire(now + 9 * HOUR, {**DISK, "title": "Another"})
    assert late.incident and not late.held_by  # what is over holds nothing again


def test_an_event_that_waited_through_the_end_of_a_silence_pages(fire, silence, integration, now):
    InboundEvent.objects.create(
        source="generic",
        scope=f"integration:{integration.pk}",
        integration=integration,
        service=integration.service,
        body=json.dumps({"action": "trigger", "severity": "critical", "dedup_key": "d", **DISK}).encode(),
        received_at=now,
        due_at=now,
    )
    ingest.sweep(now=now + 2 * HOUR)
    assert Alert.objects.get().incident and paged() == 1


def test_what_is_over_before_the_silence_ends_pages_nobody(fire, silence, now):
    (alert,) = fire(now, DISK)
    fire(now + MINUTE, DISK, action="resolve")
    work(now + 2 * HOUR)
    assert incident_of(alert) is None and alert.resolved_at and paged() == 0


def test_a_silence_that_starts_in_the_middle_of_an_escalation_stops_nothing(fire, service, alice, now):
    (alert,) = fire(now, DISK)
    silences.create(
        condition='env = "staging"',
        starts_at=now + MINUTE,
        ends_at=now + HOUR,
        reason="Too late",
        by=alice,
        now=now + MINUTE,
    )
    escalation.advance_due(now=now + 5 * MINUTE)
    assert [row.user.name for row in Notification.objects.order_by("pk")] == ["Alice", "Bob"]
    (repeat,) = fire(now + 6 * MINUTE, DISK)
    assert repeat == alert and repeat.occurrences == 2 and not repeat.held_by


def test_maintenance_that_ends_in_the_middle_of_an_escalation_lets_what_it_held_join(fire, service, alice, now):
    (first,) = fire(now, {"title": "Before"})
    window = maintenance.create(
        name="Upgrade",
        starts_at=now + MINUTE,
        ends_at=now + 4 * MINUTE,
        services=[service],
        by=alice,
        now=now + MINUTE,
    )
    (held,) = fire(now + 2 * MINUTE, {"title": "During"})
    assert held.held_by == f"maintenance:{window.pk}" and held.incident is None
    work(now + 4 * MINUTE)
    assert incident_of(held) == incident_of(first)  # within the window of its group
    escalation.advance_due(now=now + 5 * MINUTE)
    assert [row.user.name for row in Notification.objects.order_by("pk")] == ["Alice", "Bob"]


def test_ending_extending_and_editing_a_silence_changes_what_it_holds_at_once(fire, silence, alice, now):
    kept, freed = fire(now, DISK, {"title": "Node", "labels": {"env": "staging", "host": "db1"}})
    silences.edit(
        silence.pk,
        condition='env = "staging" and not host exists',
        starts_at=now,
        ends_at=now + HOUR,
        reason="Disks only",
        by=alice,
        now=now + MINUTE,
    )
    work(now + MINUTE)
    assert incident_of(freed) and incident_of(kept) is None
    assert kept.held_why == "Silence by Alice until 13:00 UTC: Disks only"
    silences.extend(silence.pk, seconds=3600, by=alice, now=now + 2 * MINUTE)
    work(now + HOUR)
    assert incident_of(kept) is None and "until 14:00 UTC" in kept.held_why
    silences.expire(silence.pk, by=alice, now=now + HOUR + MINUTE)
    work(now + HOUR + MINUTE)
    assert incident_of(kept)


def test_two_silences_hold_until_both_are_over(fire, silence, alice, now):
    longer = silences.create(
        condition="env exists", starts_at=now, ends_at=now + 2 * HOUR, reason="More", by=alice, now=now
    )
    (alert,) = fire(now, DISK)
    silences.expire(longer.pk, by=alice, now=now + MINUTE)
    work(now + MINUTE)
    alert.refresh_from_db()
    assert alert.held_by == f"silence:{silence.pk}" and alert.incident is None
    work(now + HOUR)
    assert incident_of(alert)


def test_maintenance_every_night_holds_each_night_and_pages_in_the_morning(fire, service, alice, now):
    maintenance.create(
        name="Backups",
        starts_at=now,
        ends_at=now + HOUR,
        rrule="FREQ=DAILY",
        services=[service],
        by=alice,
        now=now,
    )
    for night in (now, now + DAY):
        (alert,) = fire(night + MINUTE, {"title": f"Slow {night:%d}"})
        assert alert.held_by
        work(night + HOUR)
        assert incident_of(alert)
    (day,) = fire(now + DAY + 2 * HOUR, {"title": "By day"})
    assert day.incident


def test_a_node_that_is_down_holds_what_runs_on_it_until_it_is_up(fire, now):
    inhibition.save(
        InhibitionRule(
            name="Node down", source='alertname = "NodeDown"', target='alertname != "NodeDown"', equal=["host"]
        ),
        now=now,
    )
    node = {"title": "Node db1", "labels": {"alertname": "NodeDown", "host": "db1"}}
    disk = {"title": "Disk db1", "labels": {"alertname": "DiskSlow", "host": "db1"}}
    other = {"title": "Disk db2", "labels": {"alertname": "DiskSlow", "host": "db2"}}
    held, source, free = fire(now, disk, node, other)  # the node comes second, and in the same batch
    assert source.incident and free.incident and not held.incident
    assert held.held_why == "Inhibited by “Node db1”, which fires: rule “Node down”."
    (later,) = fire(now + MINUTE, {**disk, "title": "Network db1"})
    assert later.held_by
    fire(now + 2 * MINUTE, node, action="resolve")
    work(now + 2 * MINUTE)
    assert incident_of(held) and incident_of(later)


def test_a_failing_database_holds_its_dependants_until_it_is_over(fire, service, alice, client, now):
    database = factories.ServiceFactory(name="Database", slug="database", team=service.team, policy=service.policy)
    dependencies.add(service, database, holds_alerts=True, now=now)
    incident = lifecycle.trigger(database, title="No space left", severity="critical", now=now)
    (held,) = fire(now + MINUTE, {"title": "Checkout answers 500"})
    assert held.incident is None
    assert held.held_why == f"Database has the open incident #{incident.pk} (critical), and Checkout needs Database."
    client.force_login(alice)
    assert "Checkout answers 500" in client.get(f"/incidents/{incident.pk}/alerts").content.decode()
    lifecycle.acknowledge(incident.pk, by=alice, now=now + 2 * MINUTE)
    work(now + 20 * MINUTE)
    assert incident_of(held) is None  # somebody is at it
    lifecycle.resolve(incident.pk, by=alice, now=now + 30 * MINUTE)
    work(now + 30 * MINUTE)
    assert incident_of(held)


def test_an_alert_that_is_let_go_by_hand_pages_although_the_silence_goes_on(fire, silence, bob, now):
    alert, other = fire(now, DISK, {**DISK, "title": "Another"})
    quiet.release(alert.pk, by=bob, now=now + MINUTE)
    work(now + MINUTE)
    assert incident_of(alert) and incident_of(other) is None
    assert "Bob let it go" in alert.incident.timeline.get(kind="released").text
    fire(now + 2 * MINUTE, DISK, action="resolve")
    (again,) = fire(now + 3 * MINUTE, DISK)
    assert again.held_by  # a new alert is held anew
