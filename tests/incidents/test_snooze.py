"""Snoozed: nobody is called until then, and a trouble that is still there calls again."""

import datetime as dt

import pytest

from core.errors import DomainError, IllegalMove
from incidents import escalation, lifecycle, snoozing
from incidents.models import Incident
from notifications.models import Alarm, Notification

HOUR = dt.timedelta(hours=1)


@pytest.fixture
def incident(service, now):
    return lifecycle.trigger(service, title="Checkout is down", severity="critical", now=now)


def pages(incident):
    return Notification.objects.filter(topic=incident.topic).order_by("pk")


def test_snoozing_cancels_what_is_pending_and_stops_the_escalation(incident, alice, now):
    lifecycle.snooze(incident.pk, until=now + HOUR, by=alice, now=now)
    incident.refresh_from_db()
    assert (incident.status, incident.snoozed_until, incident.next_escalation_at) == ("triggered", now + HOUR, None)
    page = pages(incident).get()
    assert page.state == "cancelled" and page.reason == "snoozed by Alice"
    assert incident.timeline.last().text.startswith("Snoozed by Alice for 1 h 0 m, until ")
    assert escalation.advance_due(now=now + HOUR / 2) == 0


def test_nobody_has_it_at_the_end_so_the_policy_starts_again(incident, alice, now):
    lifecycle.snooze(incident.pk, until=now + HOUR, by=alice, now=now)
    assert snoozing.end_due(now=now + HOUR - dt.timedelta(seconds=1)) == 0
    assert snoozing.oldest_due(now + HOUR) == now + HOUR
    assert snoozing.end_due(now=now + HOUR) == 1
    incident.refresh_from_db()
    assert (incident.snoozed_until, incident.escalation_level) == (None, 1)
    assert incident.next_escalation_at > now + HOUR
    assert [page.state for page in pages(incident)] == ["cancelled", "pending"]
    assert snoozing.end_due(now=now + HOUR) == 0


def test_it_can_be_snoozed_again_and_again(incident, alice, now):
    for number in range(3):
        at = now + number * HOUR
        lifecycle.snooze(incident.pk, until=at + HOUR, by=alice, now=at)
        assert snoozing.end_due(now=at + HOUR) == 1
    assert [page.state for page in pages(incident)] == ["cancelled"] * 3 + ["pending"]


def test_whoever_has_it_is_called_again_at_the_end(incident, alice, now):
    lifecycle.acknowledge(incident.pk, by=alice, now=now)
    lifecycle.snooze(incident.pk, until=now + HOUR, by=alice, now=now)
    snoozing.end_due(now=now + HOUR)
    incident.refresh_from_db()
    assert (incident.status, incident.next_escalation_at) == ("acknowledged", None)
    page = pages(incident).last()
    assert (page.user, page.state) == (alice, "pending")
    assert "Alice is called again" in incident.timeline.get(kind="snooze_ended").text


def test_if_the_one_who_had_it_was_deactivated_the_policy_is_called(incident, alice, bob, now):
    lifecycle.acknowledge(incident.pk, by=bob, now=now)
    lifecycle.snooze(incident.pk, until=now + HOUR, by=bob, now=now)
    bob.is_active = False
    bob.save()
    snoozing.end_due(now=now + HOUR)
    assert pages(incident).last().user == alice


@pytest.mark.parametrize(
    "verb",
    [
        lambda number, by, now: lifecycle.acknowledge(number, by=by, now=now),
        lambda number, by, now: lifecycle.resolve(number, by=by, now=now),
        lambda number, by, now: lifecycle.reassign(number, to=by, by=by, now=now),
    ],
)
def test_another_answer_ends_the_snooze(incident, alice, now, verb):
    lifecycle.snooze(incident.pk, until=now + HOUR, by=alice, now=now)
    verb(incident.pk, alice, now)
    incident.refresh_from_db()
    assert incident.snoozed_until is None
    assert snoozing.end_due(now=now + HOUR) == 0


@pytest.mark.parametrize("hours", [0, -1, 24 * 7 + 1])
def test_the_end_must_be_within_a_week(incident, alice, now, hours):
    with pytest.raises(DomainError, match="at most 7 days"):
        lifecycle.snooze(incident.pk, until=now + hours * HOUR, by=alice, now=now)


def test_what_is_over_cannot_be_snoozed(incident, alice, now):
    lifecycle.resolve(incident.pk, by=alice, now=now)
    with pytest.raises(IllegalMove, match="cannot be snoozed"):
        lifecycle.snooze(incident.pk, until=now + HOUR, by=alice, now=now)


@pytest.mark.logs_errors
def test_one_that_cannot_be_woken_stops_no_other_and_is_tried_again(service, alice, now):
    broken, fine = (lifecycle.trigger(service, title=title, severity="high", now=now) for title in "ab")
    for one in (broken, fine):
        lifecycle.snooze(one.pk, until=now + HOUR, by=alice, now=now)
    Incident.objects.filter(pk=broken.pk).update(policy={"levels": [{}], "name": "broken"})
    assert snoozing.end_due(now=now + HOUR) == 1
    assert pages(fine).last().state == "pending"
    broken.refresh_from_db()
    assert broken.snoozed_until == now + HOUR + snoozing.TROUBLE_DELAY
    assert "could not" in Alarm.objects.get(key=f"snooze:{broken.pk}").text


def test_the_page_snoozes_and_says_until_when(client, incident, alice):
    client.force_login(alice)
    at = f"/incidents/{incident.pk}"
    answer = client.post(f"{at}/do/snooze", {"minutes": "60"}, follow=True).content.decode()
    assert "is snoozed. It calls again" in answer and "Snoozed: nobody is called." in answer
    assert "Choose for how long" in client.post(f"{at}/do/snooze", {"minutes": "many"}, follow=True).content.decode()
