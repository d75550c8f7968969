"""The alerts of merged incidents: they go on in the other one, and come back."""

import datetime as dt

import pytest

from alerts import expiry, ingest
from alerts.models import Alert
from incidents import lifecycle, merging
from incidents.models import Incident
from notifications.models import Notification
from tests.alerts.sending import resolve, trigger
from tests.threads import at_once

MINUTE = dt.timedelta(minutes=1)


def incident_of(event):
    return Incident.objects.get(pk=event.result[0]["incident"])


@pytest.fixture
def pair(send):
    """Two incidents of one alert each, of severities that share no group."""
    send.integration.group_window_seconds = 0
    send.integration.save()
    source = incident_of(send(trigger("disk")))
    target = incident_of(send(trigger("cpu", title="CPU is hot", severity="high")))
    assert source != target
    return source, target


def state(incident):
    incident.refresh_from_db()
    return incident.status


def test_alerts_go_along_and_remember_where_they_came_from(pair, alice, now):
    source, target = pair
    merging.merge(source.pk, into=target.pk, by=alice, now=now)
    alert = Alert.objects.get(dedup_key="disk")
    assert (alert.incident, alert.merged_from, alert.status) == (target, source, "firing")


def test_the_page_of_the_merged_one_says_where_its_alerts_are(pair, client, alice, now):
    source, target = pair
    merging.merge(source.pk, into=target.pk, by=alice, now=now)
    client.force_login(alice)
    page = client.get(f"/incidents/{source.pk}/alerts").content.decode()
    assert f'href="/incidents/{target.pk}"' in page and "opened by hand" not in page
    assert "Disk full" in client.get(f"/incidents/{target.pk}/alerts").content.decode()


def test_what_repeats_goes_on_in_the_other_one_and_opens_nothing(pair, send, alice, now):
    source, target = pair
    merging.merge(source.pk, into=target.pk, by=alice, now=now)
    event = send(trigger("disk"), at=now + MINUTE)
    assert (event.result[0]["outcome"], event.result[0]["incident"]) == ("repeat", target.pk)
    assert Incident.objects.count() == 2


def test_an_alert_that_grows_worse_raises_the_other_one(pair, send, alice, now):
    source, target = pair
    lifecycle.edit(source.pk, severity="medium", by=alice, now=now)
    Alert.objects.filter(dedup_key="disk").update(severity="medium", route={"came": "medium"})
    Incident.objects.filter(pk=source.pk).update(priority="P3")
    merging.merge(source.pk, into=target.pk, by=alice, now=now)
    send(trigger("disk"), at=now + MINUTE)
    target.refresh_from_db()
    assert (target.severity, target.priority) == ("critical", "P1")


def test_a_new_alert_of_the_group_opens_work_of_its_own_and_pages(send, alice, now):
    send.integration.group_window_seconds = 600
    send.integration.save()
    source = incident_of(send(trigger("disk")))
    target = incident_of(send(trigger("cpu", severity="high")))
    merging.merge(source.pk, into=target.pk, by=alice, now=now)
    event = send(trigger("memory"), at=now + MINUTE)
    assert event.result[0]["outcome"] == "new_incident"
    assert event.result[0]["incident"] not in (source.pk, target.pk)
    assert Notification.objects.filter(topic=incident_of(event).topic, state="pending", kind="page").exists()


def test_the_other_one_ends_when_all_of_its_alerts_do(pair, send, alice, now):
    source, target = pair
    merging.merge(source.pk, into=target.pk, by=alice, now=now)
    send(resolve("cpu"), at=now + MINUTE)
    assert state(target) == "triggered"
    send(resolve("disk"), at=now + 2 * MINUTE)
    assert state(target) == "resolved"


def test_an_alert_that_expires_ends_the_other_one(pair, alice, now):
    source, target = pair
    Alert.objects.update(resolve_at=now + MINUTE)
    merging.merge(source.pk, into=target.pk, by=alice, now=now)
    expiry.expire_due(now=now + 2 * MINUTE)
    assert state(target) == "resolved" and not Alert.objects.firing().exists()


def test_a_resolve_by_hand_ends_the_alerts_that_came_along_and_new_events_open_new_work(pair, send, alice, now):
    source, target = pair
    merging.merge(source.pk, into=target.pk, by=alice, now=now)
    lifecycle.resolve(target.pk, by=alice, now=now + MINUTE)
    assert not Alert.objects.firing().exists()
    event = send(trigger("disk"), at=now + 2 * MINUTE)
    assert event.result[0]["outcome"] == "new_incident"


def test_taken_out_again_its_alerts_go_back_and_their_events_too(pair, send, alice, now):
    source, target = pair
    merging.merge(source.pk, into=target.pk, by=alice, now=now)
    merging.unmerge(source.pk, by=alice, now=now + MINUTE)
    alert = Alert.objects.get(dedup_key="disk")
    assert (alert.incident, alert.merged_from) == (source, None)
    assert Alert.objects.get(dedup_key="cpu").incident == target
    assert send(trigger("disk"), at=now + 2 * MINUTE).result[0]["incident"] == source.pk
    assert state(source) == "triggered" and state(target) == "triggered"


def test_it_stays_resolved_when_none_of_its_alerts_fires_any_more(pair, send, alice, now):
    source, target = pair
    merging.merge(source.pk, into=target.pk, by=alice, now=now)
    send(resolve("disk"), at=now + MINUTE)
    merging.unmerge(source.pk, by=alice, now=now + 2 * MINUTE)
    assert state(source) == "resolved" and source.merged_into is None
    assert Alert.objects.get(dedup_key="disk").incident == source
    assert "None of its alerts fires" in source.timeline.get(kind="unmerged").text


def test_the_other_one_ends_when_all_that_fired_was_of_the_one_taken_out(pair, send, alice, now):
    source, target = pair
    merging.merge(source.pk, into=target.pk, by=alice, now=now)
    send(resolve("cpu"), at=now + MINUTE)
    merging.unmerge(source.pk, by=alice, now=now + 2 * MINUTE)
    assert state(source) == "triggered" and state(target) == "resolved"


def test_out_of_one_that_is_over_it_opens_again_only_while_an_alert_fires(pair, alice, now):
    source, target = pair
    merging.merge(source.pk, into=target.pk, by=alice, now=now)
    lifecycle.resolve(target.pk, by=alice, now=now)
    Alert.objects.filter(dedup_key="disk").update(resolved_at=None)
    merging.unmerge(source.pk, by=alice, now=now + MINUTE)
    assert state(source) == "triggered" and source.next_escalation_at == now + 6 * MINUTE
    assert state(target) == "resolved"


def test_a_chain_keeps_the_first_incident_of_each_alert(pair, send, alice, now):
    first, second = pair
    third = incident_of(send(trigger("memory", severity="medium")))
    merging.merge(first.pk, into=second.pk, by=alice, now=now)
    merging.merge(second.pk, into=third.pk, by=alice, now=now)
    found = dict(Alert.objects.values_list("dedup_key", "merged_from"))
    assert found == {"disk": first.pk, "cpu": second.pk, "memory": None}
    assert set(Alert.objects.values_list("incident", flat=True)) == {third.pk}
    merging.unmerge(second.pk, by=alice, now=now)
    assert Alert.objects.get(dedup_key="cpu").incident == second
    assert Alert.objects.get(dedup_key="disk").incident == third


@pytest.mark.django_db(transaction=True)
def test_events_that_come_in_while_it_is_merged_lose_nothing(pair, send, alice, now):
    source, target = pair
    outcomes = at_once(
        lambda: merging.merge(source.pk, into=target.pk, by=alice, now=now),
        lambda: send(*[trigger("disk")] * 5, at=now + MINUTE),
        lambda: send(trigger("memory", severity="low"), at=now + MINUTE),
    )
    assert not [one for one in outcomes if isinstance(one, Exception)]
    while ingest.sweep(now=now + 2 * MINUTE):  # what somebody else was at
        pass
    alert = Alert.objects.get(dedup_key="disk")
    assert (alert.incident, alert.occurrences, alert.status) == (target, 6, "firing")
    assert Alert.objects.get(dedup_key="memory").incident.is_open


@pytest.mark.django_db(transaction=True)
def test_expiring_and_merging_at_once_cannot_block_each_other(pair, alice, now):
    source, target = pair
    Alert.objects.update(resolve_at=now)
    outcomes = at_once(
        lambda: merging.merge(source.pk, into=target.pk, by=alice, now=now),
        lambda: expiry.expire_due(now=now + MINUTE),
    )
    assert not [one for one in outcomes if isinstance(one, Exception) and not hasattr(one, "message")]
    while expiry.expire_due(now=now + MINUTE):
        pass
    assert not Incident.objects.open().exists() and not Alert.objects.firing().exists()
