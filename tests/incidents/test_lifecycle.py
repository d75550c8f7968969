"""The verbs of an incident."""

import datetime as dt

import pytest
from django.db import IntegrityError, transaction

from core.errors import DomainError, IllegalMove, NotFound
from incidents import figures, lifecycle
from incidents.models import Incident, TimelineEntry
from incidents.signals import incident_changed
from notifications import alarms
from notifications.models import Alarm, Notification
from tests import factories

MINUTE = dt.timedelta(minutes=1)


@pytest.fixture
def incident(service, now):
    return lifecycle.trigger(service, title="Checkout is down", severity="critical", now=now)


def kinds(incident):
    return list(incident.timeline.values_list("kind", flat=True))


def test_triggering_pages_the_first_level_and_says_why(incident, alice, now):
    page = Notification.objects.get()
    assert (page.user, page.state, page.topic) == (alice, "pending", f"incident:{incident.pk}")
    paged = incident.timeline.get(kind="paged")
    assert "Level 1: Alice, named in the policy." in paged.data["reasons"]
    assert paged.data["told"] == [{"user": alice.pk, "channel": "email", "delay_minutes": 0}]


def test_acknowledging_stops_the_escalation_and_cancels_what_is_pending(incident, alice, now):
    lifecycle.acknowledge(incident.pk, by=alice, now=now + 2 * MINUTE)
    incident.refresh_from_db()
    assert (incident.status, incident.acknowledged_by, incident.assignee) == ("acknowledged", alice, alice)
    assert incident.next_escalation_at is None
    page = Notification.objects.get()
    assert page.state == "cancelled" and "Alice" in page.reason
    assert incident.timeline.last().text == "Acknowledged by Alice after 2 m 0 s, within target."


def test_acknowledging_twice_is_harmless_and_keeps_the_first(incident, alice, bob, now):
    lifecycle.acknowledge(incident.pk, by=alice, now=now)
    lifecycle.acknowledge(incident.pk, by=bob, now=now + MINUTE)
    incident.refresh_from_db()
    assert incident.acknowledged_by == alice
    assert kinds(incident).count("acknowledged") == 1


def test_a_late_tap_stops_one_s_own_pages_and_nobody_else_s(incident, alice, bob, charlie, now):
    lifecycle.acknowledge(incident.pk, by=charlie, now=now)
    for person in (alice, bob):
        lifecycle.reassign(incident.pk, to=person, by=charlie, now=now)
    lifecycle.acknowledge(incident.pk, by=alice, now=now)
    pages = Notification.objects.filter(topic=incident.topic, plan_key__contains="reassign")
    assert dict(pages.values_list("user__name", "state")) == {"Alice": "cancelled", "Bob": "pending"}


def test_a_late_tap_answers_what_was_received_and_ends_what_is_being_sent(incident, alice, bob, now):
    lifecycle.acknowledge(incident.pk, by=bob, now=now)
    method = alice.contact_methods.get()
    rows = [
        factories.NotificationFactory(topic=incident.topic, user=alice, contact_method=method, state=state)
        for state in ("sent", "delivered", "read", "sending", "failed")
    ]
    lifecycle.acknowledge(incident.pk, by=alice, now=now + MINUTE)
    for row in rows:
        row.refresh_from_db()
    assert [row.state for row in rows] == ["acknowledged"] * 3 + ["sending", "failed"]
    assert {row.acknowledged_at for row in rows[:3]} == {now + MINUTE}
    assert rows[3].due_at is None


def test_a_late_answer_says_that_the_target_was_missed(incident, alice, now):
    lifecycle.acknowledge(incident.pk, by=alice, now=now + 4 * MINUTE)
    assert "target of 3 m 0 s missed" in incident.timeline.last().text


def test_the_whole_way_through(incident, alice, now):
    for verb in ("acknowledge", "start", "remediate", "resolve", "close"):
        getattr(lifecycle, verb)(incident.pk, by=alice, now=now + MINUTE)
    incident.refresh_from_db()
    assert incident.status == "closed" and incident.closed_at == now + MINUTE
    assert kinds(incident) == [
        "triggered", "paged", "acknowledged", "investigating", "remediating", "resolved", "closed",
    ]  # fmt: skip


@pytest.mark.parametrize("verb", ["start", "remediate", "close"])
def test_an_illegal_move_is_refused_and_changes_nothing(incident, alice, now, verb):
    with pytest.raises(IllegalMove):
        getattr(lifecycle, verb)(incident.pk, by=alice, now=now)
    incident.refresh_from_db()
    assert incident.status == "triggered" and kinds(incident) == ["triggered", "paged"]


@pytest.mark.parametrize("verb", ["acknowledge", "escalate", "resolve"])
def test_nothing_but_closing_is_left_once_it_is_resolved(incident, alice, now, verb):
    lifecycle.resolve(incident.pk, by=alice, now=now, note=" Restarted the pool. ")
    with pytest.raises(IllegalMove):
        getattr(lifecycle, verb)(incident.pk, by=alice, now=now)
    with pytest.raises(IllegalMove):
        lifecycle.reassign(incident.pk, to=alice, by=alice, now=now)
    incident.refresh_from_db()
    assert incident.resolution_note == "Restarted the pool."


def test_escalating_by_hand_calls_the_next_level_now(incident, alice, bob, now):
    lifecycle.escalate(incident.pk, by=alice, now=now + MINUTE)
    incident.refresh_from_db()
    assert incident.escalation_level == 2
    assert incident.next_escalation_at == now + 11 * MINUTE
    assert set(Notification.objects.values_list("user__name", flat=True)) == {"Alice", "Bob"}


def test_escalating_what_somebody_has_calls_once_and_no_further(incident, alice, bob, now):
    lifecycle.acknowledge(incident.pk, by=alice, now=now)
    lifecycle.escalate(incident.pk, by=alice, now=now + MINUTE)
    incident.refresh_from_db()
    assert incident.status == "acknowledged" and incident.next_escalation_at is None
    assert Notification.objects.filter(user=bob, state="pending").count() == 1


def test_reassigning_pages_the_person_each_time(incident, alice, charlie, now):
    lifecycle.reassign(incident.pk, to=charlie, by=alice, now=now)
    lifecycle.reassign(incident.pk, to=charlie, by=alice, now=now + MINUTE)
    incident.refresh_from_db()
    assert incident.assignee == charlie
    assert Notification.objects.filter(user=charlie).count() == 2


def test_reassigning_to_somebody_who_left_is_refused(incident, alice, charlie, now):
    charlie.is_active = False
    charlie.save()
    with pytest.raises(DomainError, match="deactivated"):
        lifecycle.reassign(incident.pk, to=charlie, by=alice, now=now)


def test_a_note_stands_in_the_timeline_and_an_empty_one_is_refused(incident, alice, now):
    lifecycle.add_note(incident.pk, text="Looking at the pool.", by=alice, now=now)
    assert incident.timeline.last().text == "Looking at the pool."
    with pytest.raises(DomainError):
        lifecycle.add_note(incident.pk, text="  ", by=alice, now=now)


def test_an_incident_that_does_not_exist_is_named(db, now):
    with pytest.raises(NotFound, match="#999"):
        lifecycle.acknowledge(999, by=None, now=now)


def test_bad_input_for_a_new_incident_says_what_to_change(service, now):
    with pytest.raises(DomainError, match="title"):
        lifecycle.trigger(service, title=" ", severity="high", now=now)
    with pytest.raises(DomainError, match="Use critical, high"):
        lifecycle.trigger(service, title="Down", severity="awful", now=now)
    assert not Incident.objects.exists()


def test_the_database_refuses_to_change_or_delete_the_timeline(incident):
    entry = incident.timeline.first()
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        TimelineEntry.objects.filter(pk=entry.pk).update(text="It never happened.")
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        TimelineEntry.objects.filter(pk=entry.pk).delete()


def test_the_database_refuses_to_change_a_routing_key(service):
    service.routing_key = "0" * 32
    with pytest.raises(IntegrityError, match="never changes"), transaction.atomic():
        service.save()


def test_the_database_refuses_an_escalation_of_what_is_over(incident, alice, now):
    lifecycle.resolve(incident.pk, by=alice, now=now)
    with pytest.raises(IntegrityError, match="only_triggered"), transaction.atomic():
        Incident.objects.filter(pk=incident.pk).update(next_escalation_at=now)


@pytest.mark.logs_errors
def test_a_broken_listener_cannot_stop_an_acknowledgement(incident, alice, now):
    def broken(**news):
        Incident.objects.update(title="half a write")
        raise RuntimeError("a listener of another app is broken")

    incident_changed.connect(broken)
    try:
        lifecycle.acknowledge(incident.pk, by=alice, now=now)
    finally:
        incident_changed.disconnect(broken)
    incident.refresh_from_db()
    assert incident.status == "acknowledged" and incident.title == "Checkout is down"


def test_figures_of_one_and_of_many(incident, service, alice, now):
    lifecycle.acknowledge(incident.pk, by=alice, now=now + MINUTE)
    done = lifecycle.resolve(incident.pk, by=alice, now=now + 10 * MINUTE)
    lifecycle.trigger(service, title="Another", severity="low", now=now)
    one = figures.of(done, now=now + 20 * MINUTE)
    assert (one["time_to_acknowledge_seconds"], one["time_to_resolve_seconds"], one["target_met"]) == (60, 600, True)
    many = figures.summary(Incident.objects.all())
    assert (many["total"], many["open"], many["mtta_seconds"], many["mttr_seconds"]) == (2, 1, 60, 600)
    assert many["by_status"] == {"resolved": 1, "triggered": 1}
    assert many["target_compliance"] == 1


def test_a_title_is_one_line_however_it_was_given(incident, service, alice, now):
    lifecycle.edit(incident.pk, title=" Checkout\nis\tdown\x00 ", by=alice, now=now)
    incident.refresh_from_db()
    assert incident.title == "Checkout is down"
    with pytest.raises(DomainError, match="title"):
        lifecycle.edit(incident.pk, title=" \n ", by=alice, now=now)


def test_text_that_the_database_refuses_is_cleaned(incident, service, alice, now):
    lifecycle.add_note(incident.pk, text="log: a\x00b\ud800", by=alice, now=now)
    assert incident.timeline.last().text == "log: ab?"
    lifecycle.resolve(incident.pk, note="done\x00", by=alice, now=now)
    lifecycle.trigger(service, title="a\x00b", description="c\x00", severity="low", now=now)


def test_an_observer_cannot_be_given_an_incident(incident, alice, charlie, now):
    charlie.role = "observer"
    charlie.save()
    with pytest.raises(DomainError, match="only look"):
        lifecycle.reassign(incident.pk, to=charlie, by=alice, now=now)
    assert not Notification.objects.filter(user=charlie).exists()


def test_an_answer_ends_the_alarms_about_the_incident(incident, alice, now):
    for key in (
        f"escalation:incident:{incident.pk}",
        f"unreachable:incident:{incident.pk}:7",
        "unreachable:incident:0:7",
    ):
        alarms.raise_alarm(key, "Nobody answers.", now=now)
    lifecycle.acknowledge(incident.pk, by=alice, now=now)
    assert list(Alarm.objects.filter(cleared_at=None).values_list("key", flat=True)) == ["unreachable:incident:0:7"]
