"""The outbox: claimed once, sent, tried again, settled, and never silent."""

import datetime
import threading
import time

import pytest
from django.dispatch import receiver

from core.models import Counter
from incidents.models import TimelineEntry
from notifications import outbox, results, sending
from notifications.channels.base import Channel
from notifications.models import Alarm, Attempt, Notification, channels
from notifications.signals import delivery_ended
from tests.factories import IncidentFactory
from tests.notifications.conftest import NOW, after, make_message, make_method, make_person, make_rule, page

pytestmark = pytest.mark.django_db


@pytest.fixture
def news():
    """What `delivery_ended` says."""
    said = []

    @receiver(delivery_ended)
    def listen(signal, sender, **told):
        said.append(told)

    yield said
    delivery_ended.disconnect(listen)


def states(topic="incident:42"):
    return list(Notification.objects.filter(topic=topic).order_by("pk").values_list("state", flat=True))


def counted(name):
    return dict(Counter.objects.filter(name=name).values_list("labels", "value"))


# --- sending ----------------------------------------------------------------------------------------------------


def test_a_due_page_is_sent_and_noted(bob, sink):
    make_method(bob, address=sink.url("/hook"))
    (row,) = page(bob)
    outbox.deliver(now=after(seconds=1))
    row.refresh_from_db()
    assert (row.state, row.sent_at, row.due_at, row.attempts, row.reason) == (
        "delivered",
        after(seconds=1),
        None,
        1,
        "",
    )
    attempt = Attempt.objects.get()
    assert (attempt.number, attempt.ok, attempt.started_at, attempt.finished_at) == (
        1,
        True,
        after(seconds=1),
        after(seconds=1),
    )
    assert len(sink.requests) == 1
    assert counted("notifications_sent_total") == {'channel="webhook",status="sent"': 1}
    assert counted("oncall_notifications_sent_total") == {'channel="webhook"': 1}


def test_a_page_is_not_sent_before_it_is_due(bob, sink):
    make_rule(make_method(bob, address=sink.url()), delay_minutes=5)
    page(bob)
    outbox.deliver(now=after(minutes=4, seconds=59))
    assert sink.requests == []
    assert outbox.oldest_due(after(minutes=4)) is None
    assert outbox.oldest_due(after(minutes=6)) == after(minutes=5)
    outbox.deliver(now=after(minutes=5))
    assert len(sink.requests) == 1


def test_many_pages_go_out_in_one_call(bob, sink):
    make_method(bob, address=sink.url())
    pages = [outbox.Page(f"k:{n}", f"t:{n}", bob.pk, make_message()) for n in range(450)]
    outbox.plan_many(pages, now=NOW)
    outbox.deliver(now=NOW)
    assert len(sink.requests) == 450
    assert Notification.objects.filter(state="delivered").count() == 450
    assert Attempt.objects.filter(ok=True).count() == 450


def test_a_slow_host_holds_up_neither_results_nor_the_next_claim(alice, bob, sink):
    make_method(alice, address=sink.url("/slow?seconds=1.5"))
    make_method(bob, "email", "bob@example.com")
    outbox.plan_many([outbox.Page(f"s:{n}", "slow", alice.pk, make_message()) for n in range(40)], now=NOW)
    outbox.plan_many([outbox.Page("q", "quick", bob.pk, make_message())], now=NOW)
    started = time.monotonic()
    seen = []

    def clock():
        if states("quick").count("sent"):
            seen.append(time.monotonic() - started)
        return NOW

    outbox.deliver(clock=clock_in_main_thread(clock))
    assert seen and seen[0] < 1.5
    assert set(states("slow")) == {"delivered"}


def test_a_worker_makes_room_for_other_work_and_what_it_has_not_begun_stays_due(alice, bob, sink):
    make_method(bob, address=sink.url("/stall"))
    outbox.plan_many([outbox.Page(f"k:{n}", "incident:42", bob.pk, make_message()) for n in range(40)], now=NOW)
    make_method(alice)
    (other,) = page(alice, topic="other")
    Notification.objects.filter(pk=other.pk).update(
        state="sent", due_at=None, receipt_due_at=NOW - datetime.timedelta(seconds=1)
    )
    not_begun = Notification.objects.filter(state="pending", attempts=0)

    def clock():
        if len(sink.requests) == sending.LANE_COROUTINES and not_begun.exists():
            sink.go_on.set()
        return NOW

    outbox.deliver(clock=clock_in_main_thread(clock))
    assert Notification.objects.filter(state="delivered").count() == sending.LANE_COROUTINES
    assert list(not_begun.values_list("due_at", flat=True)) == [NOW] * (40 - sending.LANE_COROUTINES)


def clock_in_main_thread(clock):
    """The clock is also read by sending threads, which have no database."""
    main = threading.current_thread()
    return lambda: clock() if threading.current_thread() is main else NOW


# --- trying again -----------------------------------------------------------------------------------------------


def test_a_broken_receiver_is_tried_after_5_10_and_20_seconds_and_then_given_up(bob, sink, news):
    make_method(bob, address=sink.url("/500"))
    (row,) = page(bob)
    at = NOW
    for delay in (5, 10, 20):
        outbox.deliver(now=at)
        row.refresh_from_db()
        waits = (row.due_at - at).total_seconds()
        assert row.state == "pending" and delay <= waits <= 1.2 * delay
        assert "answered 500" in row.reason
        outbox.deliver(now=row.due_at - datetime.timedelta(seconds=1))
        at = row.due_at
    assert news == []
    outbox.deliver(now=at)
    row.refresh_from_db()
    assert (row.state, row.due_at, row.attempts) == ("failed", None, 4)
    assert [attempt.number for attempt in row.tries.all()] == [1, 2, 3, 4]
    assert len(sink.requests) == 4
    assert news == [
        {"topic": "incident:42", "notification_ids": [row.pk], "state": "failed", "reason": row.reason, "now": at},
    ]
    assert counted("notifications_sent_total") == {'channel="webhook",status="failed"': 1}


def test_every_try_carries_the_same_id_and_link(bob, sink):
    make_method(bob, address=sink.url("/500"))
    page(bob)
    outbox.deliver(now=NOW)
    outbox.deliver(now=after(seconds=6))
    first, second = sink.requests
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.headers["webhook-timestamp"] != second.headers["webhook-timestamp"]
    assert first.body.split(b'"links"')[1].split(b"]")[0] == second.body.split(b'"links"')[1].split(b"]")[0]


@pytest.mark.parametrize("asked, seconds", [("90", 90), ("2", 5), ("86400", 300)])
def test_a_busy_receiver_says_when_to_come_back_within_reason(bob, sink, asked, seconds):
    make_method(bob, address=sink.url(f"/429?after={asked}"))
    (row,) = page(bob)
    outbox.deliver(now=NOW)
    row.refresh_from_db()
    assert row.state == "pending" and after(seconds=seconds) <= row.due_at <= after(seconds=1.2 * seconds)


def test_an_address_that_is_gone_is_disabled(bob, sink):
    method = make_method(bob, address=sink.url("/410"))
    (row,) = page(bob)
    outbox.deliver(now=NOW)
    row.refresh_from_db()
    method.refresh_from_db()
    assert (row.state, row.attempts) == ("failed", 1)
    assert "410" in method.disabled_reason
    (outcome,) = outbox.plan_many([outbox.Page("next", "t", bob.pk, make_message())], now=NOW)
    assert not outcome.is_reachable


def test_a_permanent_error_does_not_disable_an_address_that_may_be_right(bob, sink):
    method = make_method(bob, address=sink.url("/301"))
    page(bob)
    outbox.deliver(now=NOW)
    method.refresh_from_db()
    assert (states(), method.disabled_reason) == (["failed"], "")


class Broken(Channel):
    kind, label = "broken", "Broken"

    def send(self, address, outgoing):
        raise KeyError("a bug")


@pytest.mark.logs_errors
def test_a_channel_that_breaks_is_tried_again_and_stops_nothing_else(alice, bob, sink, monkeypatch):
    monkeypatch.setitem(channels.classes(), "broken", Broken)
    make_method(alice, address=sink.url())
    make_method(bob, "broken")
    (row,) = page(bob)
    page(alice)
    outbox.deliver(now=NOW)
    row.refresh_from_db()
    assert states() == ["pending", "delivered"]
    assert row.reason == "The channel Broken broke: KeyError. The log has the details."


@pytest.mark.parametrize(
    "change, state, reason",
    [
        (lambda method: method.delete(), "failed", "was deleted"),
        (lambda method: method.__class__.objects.update(disabled_reason="Dead."), "failed", "not usable: Dead."),
        (lambda method: method.__class__.objects.update(verified_at=None), "failed", "not verified"),
        (lambda method: method.user.__class__.objects.update(is_active=False), "cancelled", "not active"),
    ],
)
def test_what_changed_since_the_plan_counts(bob, sink, change, state, reason):
    method = make_method(bob, address=sink.url())
    (row,) = page(bob)
    change(method)
    outbox.deliver(now=NOW)
    row.refresh_from_db()
    assert row.state == state
    assert reason in row.reason
    assert sink.requests == []


# --- nothing reaches a person -----------------------------------------------------------------------------------


def test_when_nothing_reaches_a_person_an_alarm_pages_the_admins(admin, bob, sink):
    make_method(admin, address=sink.url("/admin"))
    make_method(bob, address=sink.url("/410"))
    make_method(bob, "email", "not an address")
    page(bob)
    outbox.deliver(now=NOW)
    alarm = Alarm.objects.get(key=f"unreachable:incident:42:{bob.pk}")
    assert alarm.text.startswith("No channel could reach Bob about “Checkout errors” (incident:42).")
    assert states(f"alarm:{alarm.pk}") == ["delivered"]
    assert b"No channel could reach Bob" in next(r for r in sink.requests if r.path == "/admin").body


def test_an_alarm_keeps_the_secret_part_of_a_web_address(bob, sink, caplog):
    make_method(bob, address=sink.url("/410?token=SECRET"))
    page(bob)
    outbox.deliver(now=NOW)
    text = Alarm.objects.get(key__startswith="unreachable:").text
    assert "webhook http://127.0.0.1/…: " in text
    assert "SECRET" not in text + caplog.text


def test_a_failure_stands_in_the_timeline_at_the_time_it_was_noted(bob, sink):
    incident = IncidentFactory()
    make_method(bob, address=sink.url("/410"))
    page(bob, topic=incident.topic)
    outbox.deliver(now=after(minutes=3))
    entry = TimelineEntry.objects.get(incident=incident, kind="delivery_failed")
    assert entry.at == after(minutes=3)


def test_no_alarm_while_another_channel_may_still_reach_them(bob, sink):
    make_rule(make_method(bob, address=sink.url("/410")))
    make_rule(make_method(bob, "email", "bob@example.com"), delay_minutes=5)
    page(bob)
    outbox.deliver(now=NOW)
    assert not Alarm.objects.exists()


def test_an_earlier_page_that_arrived_does_not_excuse_the_next(bob, sink):
    method = make_method(bob, address=sink.url())
    page(bob)
    outbox.deliver(now=NOW)
    method.address = sink.url("/410")
    method.save()
    page(bob, number=2, is_repeat=True)
    outbox.deliver(now=NOW)
    assert Alarm.objects.filter(key__startswith="unreachable:").count() == 1


def test_a_page_that_arrives_closes_the_alarm(bob, sink):
    broken = make_method(bob, address=sink.url("/410"))
    page(bob)
    outbox.deliver(now=NOW)
    broken.delete()
    make_method(bob, address=sink.url())
    page(bob, number=2)
    outbox.deliver(now=after(minutes=1))
    assert {alarm.cleared_at for alarm in Alarm.objects.all()} == {after(minutes=1)}


def test_an_alarm_that_reaches_no_admin_raises_no_other(admin, bob, sink):
    make_method(admin, address=sink.url("/410"))
    make_method(bob, address=sink.url("/410"))
    page(bob)
    outbox.deliver(now=NOW)
    assert [alarm.key.partition(":")[0] for alarm in Alarm.objects.order_by("key")] == [
        "no-address",
        "no-address",
        "unreachable",
    ]
    assert set(Notification.objects.values_list("state", flat=True)) == {"failed"}


def test_a_broken_listener_does_not_stop_the_result(bob, sink, request):
    @receiver(delivery_ended)
    def broken(**told):
        raise RuntimeError("I am broken")

    request.addfinalizer(lambda: delivery_ended.disconnect(broken))
    request.node.add_marker(pytest.mark.logs_errors)
    make_method(bob, address=sink.url("/410"))
    page(bob)
    outbox.deliver(now=NOW)
    assert states() == ["failed"]


# --- settling ---------------------------------------------------------------------------------------------------


def test_settling_cancels_what_is_pending_and_acknowledges_what_was_read(alice, bob, sink):
    make_method(alice, address=sink.url())
    make_rule(make_method(bob, address=sink.url()))
    make_rule(bob.contact_methods.get(), delay_minutes=5)
    page(alice)
    page(bob)
    outbox.deliver(now=NOW)
    outbox.settle(["incident:42"], by=bob, reason="Bob acknowledged.", now=after(minutes=1))
    hers = Notification.objects.get(user=alice)
    his, later = Notification.objects.filter(user=bob).order_by("planned_at")
    assert (hers.state, hers.acknowledged_at) == ("delivered", None)
    assert (his.state, his.acknowledged_at, his.reason) == ("acknowledged", after(minutes=1), "")
    assert (later.state, later.due_at, later.reason) == ("cancelled", None, "Bob acknowledged.")
    outbox.deliver(now=after(minutes=6))
    assert len(sink.requests) == 2


def test_settling_leaves_other_topics_alone(bob):
    make_method(bob)
    page(bob)
    page(bob, topic="incident:43")
    page(bob, topic="incident:44")
    outbox.settle(["incident:42", "incident:44"], reason="Resolved.", now=NOW)
    assert (states("incident:42"), states("incident:43"), states("incident:44")) == (
        ["cancelled"],
        ["pending"],
        ["cancelled"],
    )


def test_settling_is_one_statement(bob, django_assert_num_queries):
    make_method(bob)
    for number in range(20):
        page(bob, topic=f"incident:{number}")
    with django_assert_num_queries(1):
        outbox.settle([f"incident:{number}" for number in range(20)], by=bob, reason="Merged.", now=NOW)


@pytest.mark.parametrize("path, state, reason", [("/", "delivered", ""), ("/500", "cancelled", "Bob acknowledged.")])
def test_a_page_settled_while_it_is_sent_is_never_tried_again(bob, sink, path, state, reason, news):
    make_method(bob, address=sink.url(path))
    (row,) = page(bob)
    claimed = outbox.claim(NOW)
    outbox.settle(["incident:42"], reason="Bob acknowledged.", now=NOW)
    row.refresh_from_db()
    assert (row.state, row.due_at) == ("sending", None)
    finish(claimed, NOW)
    row.refresh_from_db()
    assert (row.state, row.due_at, row.reason) == (state, None, reason)
    assert Attempt.objects.get().finished_at == NOW
    assert news == []
    outbox.deliver(now=after(minutes=2))
    assert len(sink.requests) == 1


def test_a_page_settled_while_its_worker_died_ends_cancelled(bob, sink):
    make_method(bob, address=sink.url())
    (row,) = page(bob)
    outbox.claim(NOW)
    outbox.settle(["incident:42"], reason="Bob acknowledged.", now=NOW)
    outbox.deliver(now=after(seconds=59))
    assert states() == ["sending"]
    outbox.deliver(now=after(seconds=61))
    row.refresh_from_db()
    assert (row.state, row.reason, sink.requests) == ("cancelled", "Bob acknowledged.", [])


def test_pages_that_wait_in_a_worker_are_not_sent_after_an_acknowledgement(bob, sink):
    make_method(bob, address=sink.url("/slow?seconds=1"))
    pages = [outbox.Page(f"k:{n}", "incident:42", bob.pk, make_message()) for n in range(40)]
    outbox.plan_many(pages, now=NOW)
    settled = []

    def clock():
        if sink.requests and not settled:
            outbox.settle(["incident:42"], reason="Bob acknowledged.", now=NOW)
            settled.append(NOW)
        return NOW

    outbox.deliver(clock=clock_in_main_thread(clock))
    assert len(sink.requests) == sending.LANE_COROUTINES
    cancelled = Notification.objects.filter(state="cancelled")
    assert set(cancelled.values_list("reason", "attempts", "due_at", "lease_token")) == {
        ("Bob acknowledged.", 0, None, None)
    }
    assert cancelled.count() == 40 - sending.LANE_COROUTINES
    assert Notification.objects.filter(state="delivered").count() == sending.LANE_COROUTINES
    assert Attempt.objects.count() == sending.LANE_COROUTINES


def finish(claimed, now):
    """Send claimed rows and note the results, as the worker that claimed them does."""
    found = outbox._prepare(claimed, now)
    results.record([results.after(sending.send(job, lambda: now)) for job in found], now=now)


# --- leases -----------------------------------------------------------------------------------------------------


def test_a_claimed_page_is_not_claimed_again(bob):
    make_method(bob)
    page(bob)
    (row,) = outbox.claim(NOW)
    assert (row.state, row.attempts) == ("sending", 1)
    assert Attempt.objects.get().ok is None
    assert outbox.claim(after(seconds=59)) == []


def test_a_dead_workers_page_is_sent_again_and_says_so(bob, sink):
    method = make_method(bob, address=sink.url())
    (row,) = page(bob)
    slept = outbox.claim(NOW)
    outbox.deliver(now=after(seconds=60))
    assert b"You may have received this page before" in sink.requests[0].body
    row.refresh_from_db()
    assert (row.state, row.is_possible_repeat, row.attempts, row.sent_at) == ("delivered", True, 2, after(seconds=60))
    # The first worker wakes up and reports a failure: too late to change anything.
    method.address = sink.url("/410")
    method.save()
    finish(slept, after(seconds=90))
    row.refresh_from_db()
    assert (row.state, row.sent_at) == ("delivered", after(seconds=60))
    assert [attempt.ok for attempt in row.tries.all()] == [False, True]
    assert counted("notifications_sent_total") == {'channel="webhook",status="sent"': 1}
    assert not Alarm.objects.exists()


def test_a_late_result_does_not_touch_the_page_that_another_worker_holds(bob, sink):
    make_method(bob, address=sink.url())
    (row,) = page(bob)
    slept = outbox.claim(NOW)
    awake = outbox.claim(after(seconds=60))
    assert awake[0].is_possible_repeat
    finish(slept, after(seconds=61))
    row.refresh_from_db()
    assert (row.state, row.lease_token) == ("sending", awake[0].lease_token)
    finish(awake, after(seconds=62))
    row.refresh_from_db()
    assert (row.state, row.sent_at) == ("delivered", after(seconds=62))


def test_a_page_that_stops_its_worker_each_time_is_given_up(bob, news):
    make_method(bob)
    (row,) = page(bob)
    at = NOW
    for _ in range(10):
        assert outbox.claim(at)
        at += datetime.timedelta(seconds=60)
    assert outbox.claim(at) == []
    row.refresh_from_db()
    assert (row.state, row.due_at) == ("failed", None)
    assert "stopped 10 times" in row.reason
    assert [(told["state"], told["notification_ids"]) for told in news] == [("failed", [row.pk])]
    alarm = Alarm.objects.get()
    assert alarm.text.startswith("No channel could reach Bob about “Checkout errors” (incident:42).")
    assert "stopped 10 times" in alarm.text


def test_pages_handed_back_count_no_try(bob, sink):
    make_method(bob, address=sink.url())
    (row,) = page(bob)
    outbox._give_back(outbox._prepare(outbox.claim(NOW), NOW), NOW)
    row.refresh_from_db()
    assert (row.state, row.attempts, row.due_at, row.reason) == ("pending", 0, after(seconds=2), "")
    assert not Attempt.objects.exists()
    assert not row.is_possible_repeat


# --- order and lateness -----------------------------------------------------------------------------------------


def test_first_pages_go_before_repeats_and_loud_ones_before_quiet_ones(bob):
    make_method(bob)
    quiet, loud = make_message(urgency="low"), make_message()
    page(bob, topic="d", message=quiet, is_repeat=True, now=after(seconds=-9))
    page(bob, topic="c", message=loud, is_repeat=True, now=after(seconds=-8))
    page(bob, topic="b", message=quiet, now=after(seconds=-7))
    page(bob, topic="a2", message=loud, now=after(seconds=-5))
    page(bob, topic="a1", message=loud, now=after(seconds=-6))
    assert [row.topic for row in outbox.claim(NOW)] == ["a1", "a2", "b", "c", "d"]


def test_a_claim_takes_no_more_than_its_limit(bob):
    make_method(bob)
    for number in range(5):
        page(bob, topic=str(number), message=make_message(urgency="high" if number % 2 else "low"))
    first = [row.topic for row in outbox.claim(NOW, 3)]
    assert set(first[:2]) == {"1", "3"} and first[2] in ("0", "2", "4")  # those due at the same time in any order
    assert len(outbox.claim(NOW, 3)) == 2


def test_after_an_outage_the_newest_goes_first(bob):
    make_method(bob)
    for minutes in (-30, -20, -10):
        page(bob, topic=str(minutes), now=after(minutes=minutes))
    page(bob, topic="-30s", now=after(seconds=-30))
    page(bob, topic="0", now=NOW)
    assert [row.topic for row in outbox.claim(NOW)] == ["-30s", "0", "-10", "-20", "-30"]


def test_after_an_outage_the_older_page_of_an_incident_is_dropped(bob, news):
    make_method(bob)
    make_method(bob, "email", "bob@example.com")
    first = page(bob, now=after(minutes=-30))
    second = page(bob, number=2, is_repeat=True, now=after(minutes=-20))
    claimed = outbox.claim(NOW) + outbox.claim(NOW)
    assert {row.pk for row in claimed} == {row.pk for row in second}
    assert states() == ["cancelled", "cancelled", "sending", "sending"]
    assert Notification.objects.get(pk=first[0].pk).reason == "It was superseded by a newer page of the same incident."
    assert news[0]["notification_ids"] == [row.pk for row in first]


def test_the_page_that_replaces_a_first_page_is_a_first_page(bob):
    make_method(bob)
    page(bob, now=after(minutes=-30))
    (second,) = page(bob, number=2, is_repeat=True, now=after(minutes=-20))
    outbox.claim(NOW, 1)
    second.refresh_from_db()
    assert not second.is_repeat


def test_a_page_is_not_dropped_for_one_that_is_not_due_yet(bob):
    method = make_method(bob)
    make_rule(method)
    make_rule(method, delay_minutes=30)
    first, _ = page(bob)
    assert [row.pk for row in outbox.claim(after(minutes=5))] == [first.pk]


def test_a_late_page_says_how_late_it_is(bob, sink):
    make_method(bob, address=sink.url())
    page(bob)
    outbox.deliver(now=after(minutes=12, seconds=10))
    assert "This page is 12 min late: it was due on 04 May at 10:15 UTC." in sink.requests[0].body.decode()


def test_a_page_on_time_says_nothing_of_the_kind(bob, sink):
    make_method(bob, address=sink.url())
    page(bob)
    outbox.deliver(now=after(seconds=60))
    assert b'"notes":[]' in sink.requests[0].body


def test_a_page_of_yesterday_is_cancelled_with_an_alarm(admin, bob, sink, news):
    make_method(admin, address=sink.url("/admin"))
    make_method(bob, address=sink.url("/bob"))
    (row,) = page(bob)
    now = after(hours=12, seconds=1)
    outbox.deliver(now=now)
    row.refresh_from_db()
    assert (row.state, row.reason) == ("cancelled", "It was more than 12 hours late, so it was not sent any more.")
    assert Alarm.objects.get().key == "stale-pages:2026-05-04"
    assert [request.path for request in sink.requests] == ["/admin"]
    assert news[0]["state"] == "cancelled"


def test_stale_pages_of_another_day_are_another_alarm(admin, bob):
    make_method(bob)
    for number, days in enumerate((0, 1, 1)):
        page(bob, number=number, now=after(days=days, hours=-13))
        outbox.claim(after(days=days))
    assert list(Alarm.objects.order_by("pk").values_list("key", flat=True)) == [
        "stale-pages:2026-05-04",
        "stale-pages:2026-05-05",
    ]


def test_a_storm_of_alarms_pages_the_admins_only_so_often(admin, sink):
    make_method(admin, address=sink.url())
    for number in range(15):
        person = make_person(f"Person{number}")
        make_method(person, address=sink.url("/410"))
        page(person, topic=f"incident:{number}")
    outbox.deliver(now=NOW)
    assert Alarm.objects.filter(key__startswith="unreachable:").count() == 15
    assert Notification.objects.filter(topic__startswith="alarm:").count() <= 10
