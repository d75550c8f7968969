"""Held alerts: kept, said by what, and paged as soon as nothing holds them and they still fire."""

import datetime as dt
import threading

import pytest
from django.db import connection, transaction

from alerts import ingest, quiet
from alerts.models import Alert, Silence
from alerts.opening import lock_services
from alerts.sources import opsgenie
from incidents import lifecycle
from incidents.models import Incident
from notifications.models import Alarm, Notification
from tests import factories
from tests.alerts.sending import SECOND, resolve, trigger
from tests.house import wait_until
from tests.threads import waits_for_us

STAGING = {"env": "staging"}


def test_a_silenced_alert_is_kept_without_an_incident_and_says_by_what(send, now):
    silence = factories.SilenceFactory()
    event = send(trigger(labels=STAGING))
    alert = Alert.objects.get()
    assert event.result[0]["outcome"] == "held" and event.result[0]["incident"] is None
    assert alert.held_by == f"silence:{silence.pk}" and "Disk work" in alert.held_why and alert.held_at == now
    assert f"Held: {alert.held_why}" in event.result[0]["reasons"]
    assert not Incident.objects.exists() and not Notification.objects.exists()
    assert alert.recheck_at == now + 10 * SECOND
    ingest.release_due(now=now + 10 * SECOND)
    assert Alert.objects.get().recheck_at == now + 10 * SECOND + dt.timedelta(minutes=5)


def test_what_still_fires_at_the_end_of_the_silence_is_paged_then(send, now, alice):
    silence = factories.SilenceFactory(ends_at=now + 60 * SECOND)
    send(trigger(labels=STAGING))
    ingest.release_due(now=now + 59 * SECOND)
    assert not Incident.objects.exists()
    ingest.release_due(now=now + 60 * SECOND)
    alert, incident = Alert.objects.get(), Incident.objects.get()
    assert alert.incident == incident and alert.held_by == "" and alert.recheck_at is None
    assert Notification.objects.get().user == alice
    said = incident.timeline.get(kind="triggered").text
    assert "It was held since 12:00 UTC" in said and silence.reason in said
    assert incident.timeline.filter(kind="released").exists()


def test_a_held_alert_that_resolves_is_simply_over(send, now):
    factories.SilenceFactory(ends_at=now + 60 * SECOND)
    send(trigger(labels=STAGING))
    assert send(resolve(), at=now + SECOND).result[0]["outcome"] == "resolved"
    assert ingest.release_due(now=now + 3600 * SECOND) == 0
    assert not Incident.objects.exists() and not Notification.objects.exists()


def test_repeats_of_a_held_alert_are_counted_and_still_held(send, now):
    factories.SilenceFactory()
    send(trigger(labels=STAGING))
    send(trigger(labels=STAGING), at=now + SECOND)
    assert Alert.objects.get().occurrences == 2 and not Incident.objects.exists()


def test_a_held_alert_that_becomes_worse_is_looked_at_again(send, now):
    factories.SilenceFactory(condition='severity = "low"')
    send(trigger(severity="low"))
    send(trigger(severity="critical"), at=now + SECOND)
    ingest.release_due(now=now + SECOND)
    assert Incident.objects.get().severity == "critical"


def test_a_silence_that_goes_on_keeps_holding(send, now):
    factories.SilenceFactory(ends_at=now + dt.timedelta(days=2))
    send(trigger(labels=STAGING))
    for minutes in (5, 10, 15):
        assert ingest.release_due(now=now + dt.timedelta(minutes=minutes)) == 1
    assert Alert.objects.get().recheck_at == now + dt.timedelta(minutes=20) and not Incident.objects.exists()


def test_what_another_silence_holds_when_the_first_ends_says_so(send, now):
    factories.SilenceFactory(ends_at=now + 60 * SECOND)
    send(trigger(labels=STAGING))
    second = factories.SilenceFactory(ends_at=now + 120 * SECOND, reason="More work")
    ingest.release_due(now=now + 60 * SECOND)
    alert = Alert.objects.get()
    assert alert.held_by == f"silence:{second.pk}" and "More work" in alert.held_why
    assert alert.recheck_at == now + 120 * SECOND


def test_released_alerts_of_one_group_share_one_incident(send, now):
    factories.SilenceFactory(ends_at=now + 60 * SECOND)
    send(trigger("a", labels=STAGING), trigger("b", labels=STAGING))
    ingest.release_due(now=now + 60 * SECOND)
    assert Incident.objects.get().alerts.count() == 2 and Notification.objects.count() == 1


def test_a_release_keeps_what_routing_decided(send, now, team, bob):
    policy = factories.EscalationPolicyFactory(slug="nights", team=team, calls=[bob])
    other = factories.ServiceFactory(team=team)
    factories.RuleFactory(service=other, policy=policy, severity="high", priority="P1")
    factories.SilenceFactory(ends_at=now + 60 * SECOND)
    send(trigger(labels=STAGING))
    ingest.release_due(now=now + 60 * SECOND)
    incident = Incident.objects.get()
    assert (incident.service, incident.severity, incident.priority) == (other, "high", "P1")
    assert Notification.objects.get().user == bob


@pytest.mark.parametrize("order", ["source first", "source last"])
def test_an_inhibitor_of_the_same_request_holds_wherever_it_stands(send, order):
    rule = factories.InhibitionRuleFactory()
    source = trigger("node", labels={"alertname": "NodeDown", "host": "db1"})
    target = trigger("disk", labels={"alertname": "Disk", "host": "db1"})
    send([source, target] if order == "source first" else [target, source])
    assert Alert.objects.get(dedup_key="disk").held_by == f"inhibition:{rule.pk}"
    assert Alert.objects.get(dedup_key="node").inhibits == [rule.pk]
    assert Incident.objects.get().alerts.get().dedup_key == "node"


def test_the_end_of_an_inhibitor_lets_go_of_what_it_held_at_once(send, now):
    factories.InhibitionRuleFactory()
    send(trigger("node", labels={"alertname": "NodeDown", "host": "db1"}))
    send(trigger("disk", labels={"alertname": "Disk", "host": "db1"}), at=now + SECOND)
    send(resolve("node"), at=now + 2 * SECOND)
    assert Alert.objects.get(dedup_key="disk").recheck_at == now + 2 * SECOND
    ingest.release_due(now=now + 2 * SECOND)
    assert Incident.objects.open().get().alerts.get().dedup_key == "disk"


def test_an_inhibitor_that_ends_in_its_own_request_holds_nothing_for_long(send, now):
    factories.InhibitionRuleFactory()
    source = {"labels": {"alertname": "NodeDown", "host": "db1"}}
    send([trigger("node", **source), trigger("disk", labels={"alertname": "Disk", "host": "db1"}), resolve("node")])
    ingest.release_due(now=now)
    assert Alert.objects.get(dedup_key="disk").incident is not None


def test_a_dependant_pages_when_the_trouble_of_what_it_needs_is_over(send, now, team, alice):
    database = factories.ServiceFactory(slug="database", team=team)
    factories.DependencyFactory(service=send.integration.service, needs=database)
    incident = lifecycle.trigger(database, title="Database down", severity="critical", by=alice, now=now)
    send(trigger(), at=now + SECOND)
    assert Alert.objects.get().held_by.startswith("dependency:")
    lifecycle.resolve(incident.pk, by=alice, now=now + 60 * SECOND)
    ingest.release_due(now=now + 60 * SECOND)
    assert Alert.objects.get().incident is not None


def test_what_holds_and_ended_unseen_while_the_alert_came_in_is_found_soon(send, now):
    rule = factories.InhibitionRuleFactory()
    send(trigger("node", labels={"alertname": "NodeDown", "host": "db1"}))
    send(trigger("disk", labels={"alertname": "Disk", "host": "db1"}))
    rule.delete()
    assert Alert.objects.get(dedup_key="disk").recheck_at == now + 10 * SECOND
    ingest.release_due(now=now + 10 * SECOND)
    assert Alert.objects.get(dedup_key="disk").incident is not None


def test_a_silence_that_somebody_ended_while_the_alert_came_in_holds_it_for_seconds_only(send, now):
    silence = factories.SilenceFactory()
    send(trigger(labels=STAGING))
    Silence.objects.filter(pk=silence.pk).update(expired_at=now)  # whoever ended it could not see the alert yet
    ingest.release_due(now=now + 10 * SECOND)
    assert Incident.objects.exists()


def test_an_expired_silence_does_not_come_back_with_events_of_the_downtime(send, now):
    """It ended while we were down: what came in before and is decided now is not held by it."""
    factories.SilenceFactory(ends_at=now + 60 * SECOND)
    row = send(trigger(labels=STAGING), decide=False)
    ingest.sweep(now=now + 600 * SECOND)
    row.refresh_from_db()
    assert row.result[0]["outcome"] == "new_incident"


def test_a_silence_that_starts_in_the_middle_leaves_the_escalation_of_an_open_incident_alone(send, now):
    send(trigger(labels=STAGING))
    factories.SilenceFactory()
    send(trigger(labels=STAGING), at=now + SECOND)
    assert Incident.objects.get().next_escalation_at is not None
    assert Alert.objects.get().held_by == ""


@pytest.mark.django_db(transaction=True)
def test_everything_pages_and_an_admin_is_told_when_quiet_cannot_be_loaded(send):
    factories.SilenceFactory()
    table = Silence._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} RENAME TO hidden")
    try:
        event = send(trigger(labels=STAGING))
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE hidden RENAME TO {table}")
    assert event.state == "decided" and Incident.objects.count() == 1
    assert Alarm.objects.filter(key="quiet-failed", cleared_at=None).exists()


def test_notes_on_a_held_alert_reach_its_incident(send, now):
    factories.SilenceFactory(condition='key = "disk"', ends_at=now + 60 * SECOND)
    hook = factories.IntegrationFactory(source="opsgenie", service=send.integration.service)
    send({"message": "Disk full", "alias": "disk"}, through=hook, headers={opsgenie.ACTION: "create"})
    headers = {opsgenie.ACTION: "notes", opsgenie.ALIAS: "disk"}
    send({"note": "It is the log"}, through=hook, headers=headers, at=now + SECOND)
    ingest.release_due(now=now + 60 * SECOND)
    assert Incident.objects.get().timeline.get(kind="note").text == "It is the log"


def test_a_hundred_held_alerts_are_let_go_in_a_constant_number_of_statements(send, now, django_assert_max_num_queries):
    factories.SilenceFactory(ends_at=now + 60 * SECOND)
    send([trigger(f"key-{number}", labels=STAGING) for number in range(100)])
    with django_assert_max_num_queries(70):
        ingest.release_due(now=now + 60 * SECOND)
    assert Incident.objects.get().alerts.count() == 100


def decided_meanwhile(row, now, work):
    """Decide the event in another process, which comes to wait for what `work()` does not let go before its end."""
    outcome = []

    def decide():
        outcome.append(ingest.decide_ids([row.pk], now=now))
        connection.close()

    thread = threading.Thread(target=decide)
    with transaction.atomic():
        for _ in work():
            thread.start()
            wait_until(waits_for_us, 10, "the other process waits")
    thread.join(10)
    assert outcome == [1]


@pytest.mark.django_db(transaction=True)
def test_an_alert_that_is_let_go_while_it_becomes_worse_makes_its_incident_worse(send, now):
    factories.SilenceFactory(condition='severity = "low"', ends_at=now + 60 * SECOND)
    send(trigger(severity="low"))
    at = now + 60 * SECOND
    row = send(trigger(severity="critical"), at=at, decide=False)

    def work():
        lock_services([send.integration.service])
        yield  # it has read the alert as held
        ingest.release_due(now=at)
        assert Incident.objects.get().severity == "low"

    decided_meanwhile(row, at, work)
    assert Incident.objects.get().severity == "critical"


@pytest.mark.django_db(transaction=True)
def test_an_alert_that_somebody_lets_go_while_it_becomes_worse_pages(send, bob, now):
    factories.SilenceFactory(condition='key = "disk"')
    send(trigger(severity="low"))
    row = send(trigger(severity="critical"), at=now + SECOND, decide=False)

    def work():
        quiet.release(Alert.objects.get().pk, by=bob, now=now + SECOND)
        yield

    decided_meanwhile(row, now + SECOND, work)
    ingest.release_due(now=now + 2 * SECOND)
    assert Incident.objects.get().severity == "critical"


def test_recheck_of_something_that_holds_nothing_changes_nothing(send, now):
    send(trigger())
    assert quiet.recheck("silence:1", now=now) == 0
