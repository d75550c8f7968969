"""Receipts: they move a message forward only, and a missing one brings the next rule."""

import itertools
import threading
import time

import pytest
from django.db import connection
from django.dispatch import receiver

from notifications import outbox, receipts
from notifications.models import Alarm, Attempt, ContactMethod, Notification
from notifications.signals import delivery_ended, person_unreached, receipt_came
from tests.notifications.conftest import NOW, after, make_message, make_method, make_rule, page

pytestmark = pytest.mark.django_db

NUMBER, SID = "+14155550123", "SM" + "1" * 32
DUE = after(seconds=60)


@pytest.fixture
def news():
    """What the signals say: [(name, what)]."""
    said = []
    listeners = []
    for name, signal in (("ended", delivery_ended), ("unreached", person_unreached), ("receipt", receipt_came)):

        @receiver(signal)
        def listen(signal, sender, name=name, **told):
            said.append((name, told))

        listeners.append((signal, listen))
    yield said
    for signal, listen in listeners:
        signal.disconnect(listen)


def went_out(row, *, sid=SID, state="sent", **fields):
    """Let a planned row look as after its send through an account at Twilio."""
    fields = {"receipt_due_at": DUE, "provider": "twilio:1", "sent_at": NOW, **fields}
    Notification.objects.filter(pk=row.pk).update(state=state, provider_id=sid, due_at=None, attempts=1, **fields)
    Attempt.objects.create(
        notification=row, number=1, lease_token=row.uuid, started_at=NOW, finished_at=NOW, ok=True, provider_id=sid
    )
    row.refresh_from_db()
    return row


@pytest.fixture
def text(bob):
    """A text message to Bob that Twilio took."""
    method = make_method(bob, "sms", NUMBER)
    (row,) = page(bob)
    row.contact_method = method
    return went_out(row)


def report(state, seconds=5, sid=SID, **fields):
    return receipts.report("sms", sid, state, at=after(seconds=seconds), **fields)


def test_a_delivery_report_is_noted_with_what_it_cost(text, news):
    assert report("delivered", answer="delivered", cost="0.0079 USD") == text
    text.refresh_from_db()
    assert (text.state, text.delivered_at, text.receipt_due_at, text.cost) == (
        "delivered",
        after(seconds=5),
        None,
        "0.0079 USD",
    )
    assert Attempt.objects.values_list("answer", "cost").get() == ("delivered", "0.0079 USD")
    assert news == [
        (
            "receipt",
            {
                "topic": "incident:42",
                "notification_id": text.pk,
                "state": "delivered",
                "now": after(seconds=5),
            },
        )
    ]


def test_that_it_was_sent_is_no_news_and_the_receipt_is_still_awaited(text, news):
    report("sent", answer="sent")
    text.refresh_from_db()
    assert (text.state, text.receipt_due_at, news) == ("sent", DUE, [])


RANKS = {"sent": 0, "delivered": 1, "read": 2}


@pytest.mark.parametrize("order", list(itertools.permutations(RANKS)), ids="-".join)
def test_in_whatever_order_reports_come_the_state_never_moves_back(text, order):
    best = 0
    for number, state in enumerate(order):
        for _ in range(2):
            report(state, seconds=number)
            best = max(best, RANKS[state])
            text.refresh_from_db()
            assert RANKS[text.state] == best
    assert (text.state, text.read_at) == ("read", after(seconds=order.index("read")))
    assert text.delivered_at == after(seconds=min(order.index("read"), order.index("delivered")))


@pytest.mark.parametrize("state", ["delivered", "read"])
def test_what_arrived_does_not_fail_afterwards(text, state, news):
    report(state)
    news.clear()
    report("failed", error="The carrier did not deliver it.", is_permanent=True)
    text.refresh_from_db()
    assert (text.state, news) == (state, [])
    assert ContactMethod.objects.get().disabled_reason == ""


@pytest.mark.parametrize("state", ["sent", "delivered", "read", "failed"])
def test_an_answer_stands_above_every_report(text, state):
    Notification.objects.update(state="acknowledged", receipt_due_at=None)
    report(state, error="The carrier did not deliver it.")
    text.refresh_from_db()
    assert text.state == "acknowledged"


def test_a_failure_said_twice_is_one_failure(text, news):
    for _ in range(3):
        report("failed", error="The phone is switched off.")
    text.refresh_from_db()
    assert (text.state, text.reason, text.receipt_due_at) == ("failed", "The phone is switched off.", None)
    assert [name for name, _ in news] == ["ended", "unreached", "receipt"]
    assert Attempt.objects.values_list("ok", "error").get() == (False, "The phone is switched off.")
    report("delivered")
    text.refresh_from_db()
    assert text.state == "failed"


def test_an_unknown_id_changes_nothing(text):
    assert report("delivered", sid="SM" + "2" * 32) is None
    assert report("delivered", sid="") is None
    assert receipts.report("voice", SID, "delivered", at=NOW) is None
    text.refresh_from_db()
    assert text.state == "sent"


def test_an_unknown_state_is_a_mistake_of_ours(text):
    with pytest.raises(ValueError, match="cannot say"):
        report("exploded")


def test_a_failed_delivery_brings_the_next_rule_at_once(bob, text, news):
    mail = make_method(bob, "email", "bob@example.com")
    make_rule(text.contact_method)
    make_rule(mail, delay_minutes=10)
    first, second = page(bob, number=2)
    went_out(first, sid="SM2")
    report("failed", sid="SM2", error="The phone is switched off.")
    second.refresh_from_db()
    assert (second.state, second.due_at, second.planned_at) == ("pending", after(seconds=5), after(seconds=5))
    assert "sms" in second.reason
    assert [name for name, _ in news] == ["ended", "receipt"]
    assert not Alarm.objects.exists()


def test_a_dead_number_is_disabled_and_its_owner_is_told_elsewhere(bob, text):
    make_method(bob, "email", "bob@example.com")
    report("failed", error="This phone number does not exist (30005).", is_permanent=True)
    method = ContactMethod.objects.get(channel="sms")
    assert method.disabled_reason == "This phone number does not exist (30005)."
    notice = Notification.objects.get(topic=f"address:{method.pk}")
    assert (notice.channel, notice.kind, notice.urgency) == ("email", "notice", "low")
    assert "does not exist" in notice.message["body"] and notice.message["url"].endswith("/settings")


def test_a_dead_number_of_somebody_without_another_is_an_alarm(bob, text):
    report("failed", error="This phone number does not exist (30005).", is_permanent=True)
    alarm = Alarm.objects.get(key=f"no-address:{bob.pk}")
    assert "They have no other address to be told at." in alarm.text


def test_a_bounce_of_something_acknowledged_elsewhere_still_disables_the_address(text):
    Notification.objects.update(state="acknowledged")
    report("failed", error="No such mailbox.", is_permanent=True)
    assert ContactMethod.objects.get().disabled_reason == "No such mailbox."


# --- receipts that never come -------------------------------------------------------------------------------------


def test_a_missing_receipt_counts_as_not_delivered_but_may_still_come(bob, text, news):
    assert receipts.oldest_due(after(seconds=59)) is None
    receipts.note_missing(after(seconds=59))
    assert news == []
    assert receipts.oldest_due(DUE) == DUE
    receipts.note_missing(DUE)
    text.refresh_from_db()
    assert (text.state, text.receipt_missed_at, text.receipt_due_at) == ("sent", DUE, None)
    assert text.reason == "No receipt within 60 s, so it counts as not delivered."
    assert [name for name, _ in news] == ["ended", "unreached", "receipt"]
    assert news[1][1] == {
        "topic": "incident:42",
        "user_id": bob.pk,
        "page_key": f"incident:42:p1:u{bob.pk}",
        "reason": text.reason,
        "now": DUE,
    }
    assert Alarm.objects.get().key == f"unreachable:incident:42:{bob.pk}"
    receipts.note_missing(after(minutes=5))
    assert len(news) == 3
    report("delivered", seconds=90)
    text.refresh_from_db()
    assert (text.state, text.reason, text.receipt_missed_at) == ("delivered", "", DUE)
    assert Alarm.objects.get().cleared_at == after(seconds=90)


def test_a_missing_receipt_brings_the_next_rule_now_and_wakes_a_worker(
    bob, text, mailoutbox, django_capture_on_commit_callbacks
):
    make_rule(text.contact_method)
    make_rule(make_method(bob, "email", "bob@example.com"), delay_minutes=10)
    make_rule(make_method(bob, "email", "bob@example.org"), delay_minutes=20)
    first, second, third = page(bob, number=2)
    went_out(first, sid="SM2", receipt_due_at=after(seconds=61))
    with django_capture_on_commit_callbacks() as woken:
        receipts.note_missing(after(seconds=61))
    assert woken
    outbox.deliver(now=after(seconds=61))
    second.refresh_from_db()
    third.refresh_from_db()
    assert (second.state, second.sent_at) == ("sent", after(seconds=61))
    assert (third.state, third.due_at) == ("pending", after(minutes=20))


def test_a_missing_receipt_of_a_notice_is_nothing(bob, news):
    make_method(bob, "sms", NUMBER)
    (row,) = page(bob, message=make_message(kind="notice"))
    went_out(row)
    receipts.note_missing(DUE)
    row.refresh_from_db()
    assert (row.receipt_due_at, row.receipt_missed_at, news) == (None, None, [])


def test_a_page_that_was_acknowledged_awaits_no_receipt(bob, text):
    outbox.settle(["incident:42"], by=bob, reason="Bob acknowledged.", now=NOW)
    assert receipts.oldest_due(after(minutes=5)) is None


def test_many_missing_receipts_are_noted_together(bob, django_assert_max_num_queries):
    make_method(bob, "sms", NUMBER)
    for number in range(300):
        (row,) = page(bob, topic=f"incident:{number}")
        went_out(row, sid=f"SM{number}")
    receipts.note_missing(DUE)
    assert Notification.objects.filter(receipt_missed_at=DUE).count() == 300
    assert receipts.oldest_due(after(days=1)) is None


# --- reports that come too early ----------------------------------------------------------------------------------


def test_an_unknown_id_is_not_waited_for_when_nothing_is_being_sent(text, monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda seconds: pytest.fail("It waited."))
    assert report("delivered", sid="SM9") is None


@pytest.mark.django_db(transaction=True)
def test_a_report_that_comes_before_the_send_is_written_down_waits_for_it(bob):
    make_method(bob, "sms", NUMBER)
    (row,) = page(bob)
    Notification.objects.update(state="sending")
    found = []

    def come_early():
        found.append(report("delivered"))
        connection.close()

    early = threading.Thread(target=come_early)
    early.start()
    time.sleep(0.3)
    assert early.is_alive()
    went_out(row)
    early.join(5)
    row.refresh_from_db()
    assert (found, row.state) == ([row], "delivered")


@pytest.mark.django_db(transaction=True)
def test_only_a_few_wait_for_ids_that_nobody_knows(bob):
    make_method(bob, "sms", NUMBER)
    page(bob)
    Notification.objects.update(state="sending")
    waiting = [
        threading.Thread(target=lambda: (report("delivered", sid="SM9"), connection.close()))
        for _ in range(receipts.WAITERS)
    ]
    for each in waiting:
        each.start()
    time.sleep(0.3)
    assert report("delivered", sid="SM9") is None
    assert all(each.is_alive() for each in waiting)
    for each in waiting:
        each.join(10)


def test_nobody_is_missed_for_want_of_a_receipt_once_somebody_else_has_the_incident(alice, text):
    outbox.settle(["incident:42"], by=alice, reason="Alice acknowledged.", now=after(seconds=5))
    receipts.note_missing(after(minutes=5))
    text.refresh_from_db()
    assert (text.state, text.acknowledged_at, text.receipt_missed_at) == ("sent", None, None)
    assert not Alarm.objects.exists()
