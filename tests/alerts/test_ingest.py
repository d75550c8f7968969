"""From raw events to alerts, incidents and first pages."""

import datetime as dt
import json
import threading

import pytest
from django.db import connection

from alerts import backlog, ingest
from alerts.models import Alert, InboundEvent
from incidents import lifecycle
from incidents.models import Incident
from notifications.models import Alarm, Notification
from tests import factories
from tests.alerts.sending import SECOND, resolve, trigger
from tests.threads import at_once


def test_a_trigger_opens_an_alert_and_an_incident_and_pages_the_first_level(send, alice, now):
    event = send(trigger())
    alert, incident = Alert.objects.get(), Incident.objects.get()
    assert alert.incident == incident and alert.status == "firing"
    assert (incident.severity, incident.priority, incident.urgency) == ("critical", "P1", "high")
    assert Notification.objects.get().user == alice
    assert incident.next_escalation_at == now + dt.timedelta(minutes=5)
    assert event.state == "decided"
    (result,) = event.result
    assert (result["alert_id"], result["incident"], result["outcome"]) == (str(alert.pk), incident.pk, "new_incident")
    assert result["reasons"] == [
        "Service Checkout: that of the integration.",
        "A new incident: no open one takes it (same service and severity).",
        f"Incident #{incident.pk} was opened.",
    ]


def test_a_repeat_counts_and_pages_nobody_again(send):
    send(trigger())
    again = send(trigger())
    assert again.result[0]["outcome"] == "repeat" and again.result[0]["reasons"] == []
    assert Alert.objects.get().occurrences == 2
    assert Incident.objects.count() == Notification.objects.count() == 1


def test_repeats_within_one_batch_are_one_alert(send):
    send(trigger(), trigger(), trigger())
    assert Alert.objects.get().occurrences == 3
    assert Incident.objects.count() == 1


def test_another_key_of_the_same_service_and_severity_joins_the_open_incident(send, now):
    send(trigger("disk"))
    joined = send(trigger("cpu", title="CPU hot"), at=now + 299 * SECOND)
    assert joined.result[0]["outcome"] == "joined_incident"
    incident = Incident.objects.get()
    assert incident.alerts.count() == 2
    assert incident.timeline.filter(kind="alert_added", text__contains="CPU hot").exists()
    assert Notification.objects.count() == 1


@pytest.mark.parametrize("seconds, severity, incidents", [(300, "critical", 2), (0, "high", 2), (0, "critical", 1)])
def test_correlation_ends_with_the_window_and_at_another_severity(send, now, seconds, severity, incidents):
    send(trigger("disk"))
    send(trigger("cpu", severity=severity), at=now + seconds * SECOND)
    assert Incident.objects.count() == incidents


def test_a_service_may_switch_correlation_off(send, service):
    service.correlation_window_seconds = 0
    service.save()
    send(trigger("disk"), trigger("cpu"))
    send(trigger("memory"))
    assert Incident.objects.count() == 3


def test_the_incident_ends_when_its_last_firing_alert_resolves(send, now):
    send(trigger("disk"), trigger("cpu"))
    send(resolve("disk"), at=now + SECOND)
    assert Incident.objects.get().status == "triggered"
    send(resolve("cpu"), at=now + 2 * SECOND)
    incident = Incident.objects.get()
    assert incident.status == "resolved" and incident.next_escalation_at is None
    assert Notification.objects.get().state == "cancelled"


def test_trigger_and_resolve_in_one_batch_disturb_nobody(send):
    send(trigger(), resolve())
    assert Incident.objects.get().status == "resolved"
    assert Notification.objects.get().state == "cancelled"


def test_a_resolve_without_an_open_alert_is_accepted_and_dropped(send):
    event = send(resolve())
    assert event.state == "decided" and event.result[0]["outcome"] == "no_open_alert"
    assert not Alert.objects.exists()


def test_a_new_trigger_after_the_resolve_is_a_new_alert_and_new_work(send, now):
    send(trigger())
    send(resolve(), at=now + SECOND)
    send(trigger(), at=now + 2 * SECOND)
    assert Alert.objects.count() == Incident.objects.count() == 2


def test_resolving_the_incident_by_hand_ends_its_alerts_so_that_the_next_event_opens_new_work(send, alice, now):
    send(trigger())
    lifecycle.resolve(Incident.objects.get().pk, by=alice, now=now + SECOND)
    assert not Alert.objects.firing().exists()
    send(trigger(), at=now + 2 * SECOND)
    assert Incident.objects.open().count() == 1


def test_an_acknowledge_from_the_source_stops_the_escalation(send, now):
    send(trigger())
    send({"action": "acknowledge", "dedup_key": "disk"}, at=now + SECOND)
    incident = Incident.objects.get()
    assert incident.status == "acknowledged" and incident.next_escalation_at is None
    assert Notification.objects.get().state == "cancelled"


def test_a_delayed_resolve_from_before_the_trigger_leaves_the_alert_firing(send, now):
    send(trigger(occurred_at=now.isoformat()), at=now)
    late = send(resolve(occurred_at=(now - 60 * SECOND).isoformat()), at=now + SECOND)
    assert late.result[0]["outcome"] == "stale"
    assert Alert.objects.firing().exists()


def test_a_delayed_trigger_from_before_the_resolve_opens_nothing(send, now):
    send(trigger(occurred_at=now.isoformat()))
    send(resolve(occurred_at=(now + 60 * SECOND).isoformat()), at=now + 61 * SECOND)
    late = send(trigger(occurred_at=(now + SECOND).isoformat()), at=now + 62 * SECOND)
    assert late.result[0]["outcome"] == "stale"
    assert Incident.objects.count() == 1


def test_keys_live_inside_one_integration(send, service):
    other = factories.IntegrationFactory(source="generic", service=service)
    send(trigger())
    dropped = send(resolve(), through=other)
    assert dropped.result[0]["outcome"] == "no_open_alert"
    assert Alert.objects.firing().count() == 1


def test_an_event_may_name_another_service_unless_the_integration_forbids_it(send, team):
    other = factories.ServiceFactory(slug="search", team=team)
    send(trigger("a", service="search"))
    assert Alert.objects.get().service == other
    send.integration.may_choose_service = False
    send.integration.save()
    send(trigger("b", service="search"))
    assert Alert.objects.get(dedup_key="b").service == send.integration.service


def test_a_service_that_does_not_exist_falls_to_that_of_the_integration(send):
    send(trigger(service="no-such-thing"))
    assert Alert.objects.get().service == send.integration.service


def test_a_missing_severity_is_that_of_the_integration(send):
    send.integration.default_severity = "low"
    send.integration.save()
    send({"title": "Odd"})
    assert Alert.objects.get().severity == "low"


def test_a_trigger_without_a_key_always_opens_an_alert(send):
    send({"title": "One"}, {"title": "One"})
    assert Alert.objects.count() == 2


def test_a_poison_event_is_marked_and_shown_and_the_rest_of_its_batch_pages(send, now):
    good, poison, other = send(trigger("a"), b'{"title": ', trigger("b"))
    assert [good.state, poison.state, other.state] == ["decided", "failed", "decided"]
    assert poison.error and poison.due_at > now and bytes(poison.body) == b'{"title": '
    assert Alert.objects.count() == 2
    assert Alarm.objects.filter(key=f"event:{poison.pk}", cleared_at=None).exists()


def test_an_event_that_succeeds_at_last_pages_and_ends_its_alarm(send, now):
    event = send(b"not json")
    InboundEvent.objects.filter(pk=event.pk).update(body=json.dumps(trigger()).encode())
    ingest.sweep(now=now + dt.timedelta(hours=1))
    assert Incident.objects.exists()
    assert not Alarm.objects.filter(cleared_at=None).exists()


def test_a_poison_event_is_given_up_after_some_tries_and_stays_visible(send, now):
    poison = send(b"not json")
    for hour in range(1, 20):
        ingest.sweep(now=now + dt.timedelta(hours=hour))
    poison.refresh_from_db()
    assert poison.state == "poison" and poison.due_at is None and poison.attempts == ingest.MAX_ATTEMPTS


def test_what_a_dead_process_left_behind_is_swept_once_it_is_due(send, now):
    row = send(trigger(), decide=False)
    assert backlog.oldest_due(now) is None and ingest.sweep(now=now) == 0
    assert ingest.sweep(now=now + 3 * SECOND) == 1
    row.refresh_from_db()
    assert row.state == "decided" and Incident.objects.exists()
    assert ingest.sweep(now=now + 4 * SECOND) == 0


def test_deciding_twice_changes_nothing(send, now):
    row = send(trigger())
    assert ingest.decide_ids([row.pk], now=now) == 0
    assert Alert.objects.get().occurrences == 1


def test_hostile_text_is_kept_without_breaking_the_event(send):
    event = send(trigger(title="a\u0000b\x1b[31m" + "x" * 5000, labels={"k\u0000": "v" * 100_000, "n": {"deep": [1]}}))
    assert event.state == "decided"
    assert "\x00" not in Alert.objects.get().title and len(Alert.objects.get().title) <= 1024


def test_two_hundred_alerts_cost_a_constant_number_of_statements(send, service, now, django_assert_max_num_queries):
    service.correlation_window_seconds = 0
    service.save()
    send.integration.incidents_per_minute = 0  # no limit: they are not to share the incident of a storm
    send.integration.save()
    rows = send(*[trigger(f"key-{number}") for number in range(200)], decide=False)
    with django_assert_max_num_queries(60):
        ingest.decide_ids([row.pk for row in rows], now=now)
    assert Incident.objects.count() == 200


@pytest.mark.django_db(transaction=True)
def test_fifty_concurrent_deciders_of_one_key_make_one_alert_and_one_incident(send, now):
    """Also with the key under two services, where no lock of a service is shared."""
    other = factories.ServiceFactory(slug="other", team=send.integration.service.team)
    rows = send(*[trigger(service=other.slug if number % 2 else "") for number in range(50)], decide=False)
    barrier, failures = threading.Barrier(10), []

    def decide(mine):
        try:
            barrier.wait(timeout=10)
            for row in mine:
                ingest.decide_ids([row.pk], now=now)
        except Exception as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=decide, args=(rows[start::10],)) for start in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert not failures
    while ingest.sweep(now=now + 5 * SECOND):  # what another had in hand is left to the workers
        pass
    assert Alert.objects.get().occurrences == 50
    assert Incident.objects.count() == 1
    assert set(InboundEvent.objects.values_list("state", flat=True)) == {"decided"}


def test_a_trouble_that_is_back_with_its_old_start_time_opens_new_work(send, now):
    """As when Prometheus was cut off: Alertmanager resolves by itself, and fires again with the first start time."""
    send(trigger(occurred_at=now.isoformat()))
    send(resolve(occurred_at=(now + 60 * SECOND).isoformat()), at=now + 60 * SECOND)
    back = send(trigger(occurred_at=now.isoformat()), at=now + 1200 * SECOND)
    assert back.result[0]["outcome"] == "new_incident"
    assert Incident.objects.open().count() == 1


def test_what_begins_right_after_an_end_without_a_time_pages_whatever_its_start_time(send, now):
    """PagerDuty's senders give the time of a start only: it is older than the receipt of the end before it."""
    send(trigger(occurred_at=(now - 60 * SECOND).isoformat()))
    send(resolve(), at=now + 60 * SECOND)
    again = send(trigger(occurred_at=(now + 55 * SECOND).isoformat()), at=now + 65 * SECOND)
    assert again.result[0]["outcome"] == "new_incident"
    assert Alert.objects.firing().get().incident.is_open


def test_a_trigger_that_comes_after_its_own_end_pages(send, now):
    """Nothing was known of it, so it may as well be a trouble that goes on: a page too many beats one too few."""
    assert send(resolve(), at=now + SECOND).result[0]["outcome"] == "no_open_alert"
    late = send(trigger(occurred_at=now.isoformat()), at=now + 2 * SECOND)
    assert late.result[0]["outcome"] == "new_incident" and Notification.objects.count() == 1


def test_an_alarm_of_cloudwatch_that_had_no_data_and_then_fires_makes_its_incident_loud(send, alice, now):
    hook = factories.IntegrationFactory(
        source="cloudwatch", service=send.integration.service, options={"insufficient_data": True}
    )

    def alarm(state, at):
        said = {
            "AlarmName": "5xx",
            "AlarmArn": "arn:aws:cloudwatch:eu-west-1:123456789012:alarm:5xx",
            "AlarmDescription": "severity=critical",
            "NewStateValue": state,
            "StateChangeTime": at.isoformat(),
        }
        envelope = {"Type": "Notification", "TopicArn": "arn:aws:sns:eu-west-1:123456789012:alarms"}
        envelope |= {"Timestamp": at.isoformat(), "Message": json.dumps(said)}
        return send(envelope, through=hook, at=at)

    alarm("INSUFFICIENT_DATA", now)
    incident = Incident.objects.get()
    assert (incident.severity, incident.urgency) == ("low", "low")
    assert alarm("ALARM", now + SECOND).result[0]["outcome"] == "repeat"
    incident.refresh_from_db()
    assert (incident.severity, incident.urgency) == ("critical", "high")
    assert Notification.objects.filter(topic=incident.topic, urgency="high", user=alice).exists()


def test_a_key_may_resolve_and_fire_again_in_one_request(send, now):
    send(trigger())
    again = send([resolve(), trigger(title="Disk full again")], at=now + SECOND)
    assert again.state == "decided"
    assert [one["outcome"] for one in again.result] == ["resolved", "joined_incident"]
    assert Alert.objects.firing().get().title == "Disk full again"
    assert Incident.objects.get().status == "triggered"


def test_an_alert_left_behind_on_a_finished_incident_swallows_nothing(send, now):
    send(trigger())
    Incident.objects.update(status="resolved", resolved_at=now, next_escalation_at=None)
    fresh = send(trigger(), at=now + 60 * SECOND)
    assert fresh.result[0]["outcome"] == "new_incident"
    assert Incident.objects.open().count() == 1 and Alert.objects.firing().count() == 1


def test_a_resolve_waits_for_an_older_trigger_that_is_still_undecided(send, now):
    first = send(trigger(), decide=False)
    early = send(resolve(), at=now + SECOND)
    assert early.state == "pending" and early.due_at > now + SECOND
    ingest.decide_ids([first.pk], now=now + SECOND)
    ingest.sweep(now=now + 3 * SECOND)
    assert Incident.objects.get().status == "resolved"


def test_a_resolve_does_not_wait_for_ever_for_what_may_never_be_decided(send, now):
    send(b"not json", at=now)
    early = send(resolve(), at=now + SECOND)
    for second in range(3, 60):
        ingest.sweep(now=now + second * SECOND)
    early.refresh_from_db()
    assert early.state == "decided" and early.result[0]["outcome"] == "no_open_alert"


def test_a_trigger_never_waits(send, now):
    send(b"not json")
    assert send([resolve("other"), trigger()], at=now + SECOND).state == "decided"


def test_a_slug_means_its_service_before_another_service_of_that_name(send, team):
    meant = factories.ServiceFactory(slug="payments", name="Payments of today", team=team)
    factories.ServiceFactory(slug="payments-legacy", name="payments", team=team)
    send(trigger(service="payments"))
    assert Alert.objects.get().service == meant


@pytest.mark.django_db(transaction=True)
def test_one_key_sent_by_fifty_senders_at_the_same_moment_is_one_alert(send, now):
    """As when a sender tries again before it has its answer: each stores and decides on a connection of its own."""
    outcomes = at_once(*[lambda: send(trigger(), decide=False) and ingest.sweep(now=now + 5 * SECOND)] * 50)
    assert not [one for one in outcomes if isinstance(one, Exception)]
    while ingest.sweep(now=now + 5 * SECOND):
        pass
    assert Alert.objects.get().occurrences == 50
    assert Incident.objects.count() == Notification.objects.count() == 1
