"""Which alerts are the same, which share an incident, and when a group is frozen."""

import datetime as dt

import pytest

from alerts import ingest
from alerts.models import Alert, ChangeEvent
from alerts.sources import opsgenie as source
from incidents import lifecycle
from incidents.models import Incident
from notifications.models import Notification
from tests import factories
from tests.alerts.sending import SECOND, resolve, trigger
from tests.threads import at_once


@pytest.fixture
def configure(send):
    """Set fields of the integration."""

    def set_fields(**fields):
        for name, value in fields.items():
            setattr(send.integration, name, value)
        send.integration.save()

    return set_fields


def test_fields_make_the_dedup_key_so_that_two_keys_of_the_source_are_one_alert(send, configure):
    configure(dedup_fields=["labels.cluster", "title"])
    send(trigger("a", labels={"cluster": "eu"}), trigger("b", labels={"cluster": "eu"}))
    send(trigger("c", labels={"cluster": "us"}))
    assert sorted(Alert.objects.values_list("dedup_key", flat=True)) == ['["eu","Disk full"]', '["us","Disk full"]']
    assert Alert.objects.get(dedup_key__contains="eu").occurrences == 2


def test_a_resolve_without_the_fields_meets_the_alert_of_its_own_key(send, configure, now):
    configure(dedup_fields=["labels.cluster"])
    send(trigger("a", labels={"cluster": "eu"}), trigger("b", labels={"cluster": "us"}))
    event = send(resolve("a"), at=now + SECOND)
    assert event.result[0]["outcome"] == "resolved"
    assert "the key of the source counts" in event.result[0]["reasons"][0]
    assert Alert.objects.firing().get().dedup_key == '["us"]'


def test_a_trigger_and_its_resolve_without_the_fields_meet_in_one_batch(send, configure):
    configure(dedup_fields=["labels.cluster"])
    send([trigger("a", labels={"cluster": "eu"}), resolve("a")])
    assert not Alert.objects.firing().exists() and Incident.objects.get().status == "resolved"


def test_values_that_hold_each_other_s_separators_are_different_keys(send, configure):
    configure(dedup_fields=["labels.a", "labels.b"])
    send(trigger("x", labels={"a": '1","2', "b": "3"}), trigger("y", labels={"a": "1", "b": '2","3'}))
    assert Alert.objects.count() == 2


def test_alerts_with_equal_fields_share_an_incident_across_severities_and_others_do_not(send, configure):
    configure(group_fields=["labels.host"])
    send(trigger("a", severity="low", labels={"host": "db1"}), trigger("c", labels={"host": "db2"}))
    event = send(trigger("b", severity="critical", labels={"host": "db1"}))
    shared = Alert.objects.get(dedup_key="a").incident
    assert Alert.objects.get(dedup_key="b").incident == shared != Alert.objects.get(dedup_key="c").incident
    assert "same service and labels.host “db1”" in event.result[0]["reasons"][1]


def test_a_critical_alert_that_joins_a_quiet_incident_makes_it_loud(send, configure, now):
    configure(group_fields=["labels.host"])
    send(trigger("a", severity="low", labels={"host": "db1"}))
    send(trigger("b", severity="critical", labels={"host": "db1"}), at=now + SECOND)
    incident = Incident.objects.get()
    assert (incident.severity, incident.priority, incident.urgency) == ("critical", "P1", "high")
    assert Notification.objects.filter(topic=incident.topic, urgency="high").exists()


def test_a_window_of_nothing_gives_each_alert_its_own_incident(send, configure):
    configure(group_window_seconds=0)
    send(trigger("a"), trigger("b"))
    assert Incident.objects.count() == 2


def test_a_new_storm_after_the_window_opens_a_new_incident(send, configure, now):
    configure(group_window_seconds=60)
    send(trigger("a"))
    assert send(trigger("b"), at=now + 59 * SECOND).result[0]["outcome"] == "joined_incident"
    assert send(trigger("c"), at=now + 60 * SECOND).result[0]["outcome"] == "new_incident"
    assert send(trigger("d"), at=now + 61 * SECOND).result[0]["outcome"] == "joined_incident"
    assert [one.alerts.count() for one in Incident.objects.order_by("number")] == [2, 2]


def test_a_sliding_window_starts_anew_with_each_alert_but_ends_after_a_day(send, configure, now):
    configure(group_window_seconds=3600 * 10, group_slides=True)
    send(trigger("a"))
    for hours in (9, 18):
        send(trigger(f"at {hours}"), at=now + dt.timedelta(hours=hours))
    assert Incident.objects.get().group_until == now + dt.timedelta(days=1)
    send(trigger("next day"), at=now + dt.timedelta(hours=24))
    assert Incident.objects.count() == 2


def test_an_acknowledged_incident_takes_more_alerts_unless_its_group_freezes(send, configure, alice, now):
    send(trigger("a"))
    lifecycle.acknowledge(Incident.objects.get().pk, by=alice, now=now)
    assert send(trigger("b"), at=now + SECOND).result[0]["outcome"] == "joined_incident"
    configure(group_freezes_on_acknowledge=True)
    event = send(trigger("c"), at=now + 2 * SECOND)
    assert event.result[0]["outcome"] == "new_incident" and "is frozen" in " ".join(event.result[0]["reasons"])
    assert send(trigger("d"), at=now + 3 * SECOND).result[0]["outcome"] == "joined_incident"
    assert Notification.objects.filter(topic=Incident.objects.latest("number").topic).exists()


def test_a_resolved_incident_is_frozen(send, alice, now):
    send(trigger("a"))
    lifecycle.resolve(Incident.objects.get().pk, by=alice, now=now)
    assert send(trigger("b"), at=now + SECOND).result[0]["outcome"] == "new_incident"


def test_an_incident_opened_by_hand_takes_no_alerts(send, service, alice, now):
    lifecycle.trigger(service, title="Checkout is slow", severity="critical", by=alice, now=now)
    assert send(trigger()).result[0]["outcome"] == "new_incident"


def test_more_incidents_than_the_limit_of_a_minute_share_one_for_the_storm(send, configure, now):
    configure(group_window_seconds=0, incidents_per_minute=3)
    send(*[trigger(f"key-{number}") for number in range(10)])
    assert Incident.objects.count() == 4 and Alert.objects.filter(incident=None).count() == 0
    storm = Incident.objects.latest("number")
    assert storm.title.startswith("Alert storm on Checkout") and storm.alerts.count() == 7
    send(trigger("later"), at=now + SECOND)
    assert storm.alerts.count() == 8
    send(trigger("quiet again"), at=now + 120 * SECOND)
    assert Incident.objects.count() == 5


@pytest.mark.django_db(transaction=True)
def test_one_group_has_one_incident_however_many_alerts_come_at_once(send, configure, now):
    configure(group_fields=["labels.host"])
    others = [
        factories.IntegrationFactory(service=send.integration.service, group_fields=["labels.host"]) for _ in "1234"
    ]
    rows = [send(trigger(labels={"host": "db1"}), through=one, decide=False) for one in others]
    outcomes = at_once(*[lambda row=row: ingest.decide_ids([row.pk], now=now) for row in rows])
    assert outcomes == [1, 1, 1, 1]
    assert Incident.objects.get().alerts.count() == 4


# --- notes, updates, changes --------------------------------------------------------------------------------------


def opsgenie(send, action, body, now, alias="disk"):
    """Send a call of Opsgenie's API, always through the same integration."""
    if not hasattr(send, "opsgenie"):
        send.opsgenie = factories.IntegrationFactory(source="opsgenie", service=send.integration.service)
    headers = {source.ACTION: action} | ({} if action == "create" else {source.ALIAS: alias})
    return send(body, through=send.opsgenie, headers=headers, at=now)


def test_a_note_lands_in_the_timeline_of_the_incident(send, now):
    opsgenie(send, "create", {"message": "Disk full", "alias": "disk", "priority": "P1"}, now)
    event = opsgenie(send, "notes", {"note": "Looking at it", "user": "Bob"}, now + SECOND)
    assert event.result[0]["outcome"] == "noted"
    assert Incident.objects.get().timeline.get(kind="note").text == "Bob: Looking at it"


def test_an_update_gives_the_alert_and_the_incident_it_opened_new_words(send, now):
    opsgenie(send, "create", {"message": "Disk full", "alias": "disk", "priority": "P4"}, now)
    assert opsgenie(send, "message", {"message": "Disk full on db1"}, now + SECOND).result[0]["outcome"] == "updated"
    opsgenie(send, "priority", {"priority": "P1"}, now + 2 * SECOND)
    alert, incident = Alert.objects.get(), Incident.objects.get()
    assert alert.title == incident.title == "Disk full on db1"
    assert alert.severity == incident.severity == "critical"
    assert (incident.priority, incident.urgency) == ("P1", "high")


def test_an_event_may_name_an_alert_by_its_id_but_only_of_its_own_scope(send, now):
    opsgenie(send, "create", {"message": "Disk full", "alias": "disk"}, now)
    alert = Alert.objects.get()
    other = factories.IntegrationFactory(source="opsgenie", service=send.integration.service)
    headers = {source.ACTION: "close", source.ALERT_ID: str(alert.pk)}
    assert send({}, through=other, headers=headers, at=now + SECOND).result[0]["outcome"] == "no_open_alert"
    assert send({}, through=send.opsgenie, headers=headers, at=now + SECOND).result[0]["outcome"] == "resolved"


def test_a_change_event_is_kept_and_calls_nobody(send, now):
    hook = factories.IntegrationFactory(source="pagerduty", service=send.integration.service)
    body = {"routing_key": "k" * 32, "payload": {"summary": "Deployed 1.2", "source": "ci"}}
    event = send(body, through=hook, source="pagerduty_change", at=now)
    assert event.result[0]["outcome"] == "change"
    change = ChangeEvent.objects.get()
    assert (change.title, change.service) == ("Deployed 1.2", send.integration.service)
    assert not Alert.objects.exists() and not Notification.objects.exists()
