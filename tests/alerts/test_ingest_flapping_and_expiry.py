"""Alerts that flap, that end by silence or by their end time, and events out of order."""

import datetime as dt

import pytest

from alerts import ingest
from alerts.models import Alert, InboundEvent, Presence
from incidents import lifecycle
from incidents.models import Incident
from notifications.models import Notification
from tests import factories
from tests.alerts.sending import SECOND, resolve, trigger

MINUTE = dt.timedelta(minutes=1)


def flap(send, now, times=4):
    """Open the alert so often, 20 s apart, with an end in between; returns the time of the last opening."""
    at = now
    for number in range(times):
        at = now + number * 20 * SECOND
        send(trigger(), at=at)
        if number < times - 1:
            send(resolve(), at=at + 10 * SECOND)
    return at


def test_an_alert_that_opens_again_and_again_flaps_and_its_incident_stays_open(send, now):
    at = flap(send, now)
    alert, incident = Alert.objects.firing().get(), Incident.objects.open().get()
    assert alert.flapping_since == at
    assert "opened 4 times within 900 s" in incident.timeline.get(kind="flapping").text
    assert Notification.objects.filter(topic=incident.topic).exists(), "its first page went out"
    event = send(resolve(), at=at + 10 * SECOND)
    assert event.result[0]["outcome"] == "flapping"
    alert.refresh_from_db()
    assert alert.resolved_at is None and alert.resolve_at == at + 310 * SECOND
    assert Incident.objects.open().get() == incident


def test_a_flapping_alert_that_is_back_clears_its_end_and_calls_nobody_anew(send, now):
    at = flap(send, now)
    send(resolve(), at=at + 10 * SECOND)
    pages = Notification.objects.count()
    event = send(trigger(), at=at + 20 * SECOND)
    assert event.result[0]["outcome"] == "flapping" and Alert.objects.firing().get().resolve_at is None
    assert ingest.expire_due(now=at + 3600 * SECOND) == 0
    assert Incident.objects.open().count() == 1 and Notification.objects.count() == pages


def test_a_flapping_alert_ends_when_it_has_been_calm_for_the_pause(send, now):
    at = flap(send, now)
    send(resolve(), at=at + 10 * SECOND)
    send(resolve(), at=at + 200 * SECOND)
    assert ingest.expire_due(now=at + 309 * SECOND) == 0
    ingest.expire_due(now=at + 310 * SECOND)
    assert not Incident.objects.open().exists()
    assert "stayed over for 300 s" in Alert.objects.latest("first_at").resolved_why


def test_a_flapping_alert_that_then_fires_for_long_ends_at_once(send, now):
    at = flap(send, now)
    assert send(resolve(), at=at + 901 * SECOND).result[0]["outcome"] == "resolved"


def test_openings_outside_the_window_do_not_flap_and_zero_switches_it_off(send, now):
    flap(send, now, times=3)
    send(resolve(), at=now + 50 * SECOND)
    send(trigger(), at=now + 1000 * SECOND)
    assert Alert.objects.firing().get().flapping_since is None
    send(resolve(), at=now + 1001 * SECOND)
    send.integration.flap_changes = 0
    send.integration.save()
    flap(send, now + 2000 * SECOND, times=6)
    assert not Alert.objects.exclude(flapping_since=None).exists()


def test_openings_and_ends_within_one_batch_flap_too(send):
    send([trigger(), resolve(), trigger(), resolve(), trigger(), resolve(), trigger()])
    assert Alert.objects.firing().get().flapping_since is not None and Incident.objects.open().count() == 1


def test_resolving_a_flapping_incident_by_hand_ends_it(send, now, alice):
    at = flap(send, now)
    lifecycle.resolve(Incident.objects.open().get().pk, by=alice, now=at + SECOND)
    assert not Alert.objects.firing().exists()


def test_a_flapping_alert_whose_end_had_no_time_is_back_whatever_start_time_its_source_gives(send, now):
    at = flap(send, now)
    send(resolve(), at=at + 10 * SECOND)
    back = send(trigger(occurred_at=(at + 5 * SECOND).isoformat()), at=at + 20 * SECOND)
    assert back.result[0]["outcome"] == "flapping"
    assert Alert.objects.firing().get().resolve_at is None


# --- expiry -------------------------------------------------------------------------------------------------------


@pytest.fixture
def silent(send):
    """An integration whose alerts are over after ten minutes of silence."""
    send.integration.auto_resolve_seconds = 600
    send.integration.save()
    return send


def test_an_alert_of_which_nothing_is_heard_is_over_and_so_is_its_incident(silent, now):
    silent(trigger())
    assert ingest.expire_due(now=now + 599 * SECOND) == 0
    assert ingest.expire_due(now=now + 600 * SECOND) == 1
    assert Alert.objects.get().resolved_why == "nothing was heard of it for 600 s"
    assert Incident.objects.get().status == "resolved"


def test_what_somebody_resolved_has_no_deadline_any_more(silent, alice, now):
    """Or those who look for the next deadline would pass all of these, several times a second."""
    silent(trigger())
    lifecycle.resolve(Incident.objects.get().pk, by=alice, now=now + SECOND)
    assert Alert.objects.get().resolve_at is None


def test_every_repeat_gives_it_its_whole_time_again(silent, now):
    silent(trigger())
    silent(trigger(), at=now + 500 * SECOND)
    ingest.expire_due(now=now + 1099 * SECOND)
    assert Alert.objects.get().status == "firing"
    ingest.expire_due(now=now + 1100 * SECOND)
    assert Alert.objects.get().status == "resolved"


def test_silence_during_our_own_absence_resolves_nothing(silent, now):
    silent(trigger())
    back = now + 30 * MINUTE
    Presence.objects.create(beat_at=back, away_at=now + MINUTE, back_at=back)
    ingest.expire_due(now=back)
    assert Alert.objects.get().resolve_at == back + 10 * MINUTE
    Presence.objects.update(beat_at=back + 10 * MINUTE)
    ingest.expire_due(now=back + 10 * MINUTE)
    assert Alert.objects.get().status == "resolved", "a real silence ends it after all"


def test_nothing_expires_while_nobody_can_reach_us(silent, now):
    silent(trigger())
    Presence.objects.create(beat_at=now + MINUTE)
    ingest.expire_due(now=now + 20 * MINUTE)
    assert Alert.objects.get().status == "firing"


def test_what_has_come_in_and_waits_is_heard_before_anything_expires(silent, now):
    silent(trigger())
    waiting = silent(trigger(), at=now + 590 * SECOND, decide=False)
    ingest.expire_due(now=now + 601 * SECOND)
    assert Alert.objects.get().status == "firing"
    ingest.decide_ids([waiting.pk], now=now + 602 * SECOND)
    assert Alert.objects.get().resolve_at == now + 1202 * SECOND


def prometheus(send, now, *, minutes):
    hook = getattr(send, "prometheus", None) or factories.IntegrationFactory(
        source="prometheus", service=send.integration.service
    )
    send.prometheus = hook
    body = [{"labels": {"alertname": "Down"}, "endsAt": (now + minutes * MINUTE).isoformat()}]
    return send(body, through=hook, headers={":received-at": now.isoformat()}, at=now)


def test_an_end_time_of_the_source_ends_the_alert_unless_it_is_prolonged(send, now):
    prometheus(send, now, minutes=4)
    prometheus(send, now + MINUTE, minutes=4)
    assert ingest.expire_due(now=now + 4 * MINUTE) == 0
    ingest.expire_due(now=now + 5 * MINUTE)
    assert Incident.objects.get().status == "resolved"
    assert "did not prolong" in Alert.objects.get().resolved_why


def test_an_event_that_was_decided_late_does_not_expire_at_once(send, now):
    prometheus(send, now, minutes=4)
    InboundEvent.objects.update(state="pending", due_at=now)
    Alert.objects.all().delete()
    ingest.sweep(now=now + 20 * MINUTE)
    assert Alert.objects.get().resolve_at > now + 23 * MINUTE


# --- order --------------------------------------------------------------------------------------------------------


def test_trigger_and_resolve_within_a_second_page_once_and_end(send, now):
    send(trigger())
    send(resolve(), at=now + dt.timedelta(milliseconds=300))
    assert Incident.objects.get().status == "resolved" and Notification.objects.count() == 1


def peer(now, status, **times):
    alert = {"status": status, "labels": {"alertname": "Down"}, "annotations": {}, "fingerprint": "f" * 16, **times}
    return {"version": "4", "status": status, "groupKey": "{}", "alerts": [alert]}


def test_two_alertmanagers_that_send_the_same_group_out_of_order_make_one_alert_and_end_it(send, now):
    hook = factories.IntegrationFactory(source="alertmanager", service=send.integration.service)
    start, end = now.isoformat(), (now + 60 * SECOND).isoformat()
    firing, resolved = peer(now, "firing", startsAt=start), peer(now, "resolved", startsAt=start, endsAt=end)
    outcomes = [
        send(body, through=hook, at=now + seconds * SECOND).result[0]["outcome"]
        for body, seconds in ((firing, 1), (firing, 2), (resolved, 61), (firing, 62), (resolved, 63))
    ]
    assert outcomes == ["new_incident", "repeat", "resolved", "stale", "no_open_alert"]
    assert Incident.objects.count() == 1 and not Alert.objects.firing().exists()


def test_a_late_trigger_of_a_flapping_alert_does_not_bring_it_back(send, now):
    at = flap(send, now)
    send(resolve(occurred_at=(at + 10 * SECOND).isoformat()), at=at + 10 * SECOND)
    late = send(trigger(occurred_at=(at + 5 * SECOND).isoformat()), at=at + 12 * SECOND)
    assert late.result[0]["outcome"] == "stale"
    assert Alert.objects.firing().get().resolve_at == at + 310 * SECOND
