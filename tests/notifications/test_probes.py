"""A test goes out like a page, to exactly one address, and its outcome says what is known and no more."""

import datetime

import pytest
from django.core import mail

from core.errors import DomainError, TooMany
from core.zones import zone_of
from notifications import outbox, probes
from notifications.models import Notification
from tests.factories import DestinationFactory
from tests.notifications.conftest import NOW, after, make_method

pytestmark = pytest.mark.django_db
State = Notification.State


def test_a_test_to_an_unverified_address_arrives_and_says_that_the_other_side_took_it(bob):
    method = make_method(bob, "email", "bob@example.com", verified_at=None)
    make_method(bob, "email", "other@example.com")
    notification = probes.send_test(method, by=bob, now=NOW)
    assert probes.outcome(notification) == ("waiting", "It waits for its turn to be sent.")
    outbox.deliver(now=after(seconds=2))
    assert [each.to for each in mail.outbox] == [["bob@example.com"]]
    assert "Bob asked for it on 04 May at 10:15:00 UTC" in mail.outbox[0].body
    notification.refresh_from_db()
    state, sentence = probes.outcome(notification)
    assert state == "accepted"
    assert sentence == (
        "The other side accepted it at 10:15:02. No receipts come from there: look whether the message is there."
    )
    assert probes.is_over(notification)


def test_a_test_to_a_place_of_a_team_goes_there(admin, sink):
    place = DestinationFactory(address=sink.url("/team"), is_enabled=False)
    notification = probes.send_test(place, by=admin, now=NOW)
    outbox.deliver(now=NOW)
    notification.refresh_from_db()
    assert (notification.destination, notification.user) == (place, None)
    assert notification.state in (State.SENT, State.DELIVERED)
    assert len(sink.requests) == 1


def test_a_test_that_fails_says_why(bob, sink):
    method = make_method(bob, address=sink.url("/404"))
    notification = probes.send_test(method, by=bob, now=NOW)
    outbox.deliver(now=NOW)
    notification.refresh_from_db()
    state, sentence = probes.outcome(notification)
    assert state == "failed"
    assert sentence.startswith("It failed: The webhook's address answered 404.")


def test_a_disabled_address_is_not_tested(bob):
    method = make_method(bob, disabled_reason="It answered 410.")
    with pytest.raises(DomainError, match="It answered 410"):
        probes.send_test(method, by=bob, now=NOW)
    assert not Notification.objects.exists()


def test_a_sixth_test_within_a_minute_has_to_wait(bob):
    method, other = make_method(bob), make_method(bob, address="http://127.0.0.1:9/other")
    for second in range(5):
        probes.send_test(method, by=bob, now=after(seconds=second))
    with pytest.raises(TooMany):
        probes.send_test(method, by=bob, now=after(seconds=59))
    probes.send_test(other, by=bob, now=after(seconds=59))
    probes.send_test(method, by=bob, now=after(seconds=60))


def outcome_of(state, tz=datetime.UTC, now=None, **fields):
    row = Notification(state=state, **{"sent_at": NOW, "due_at": NOW, **fields})
    return *probes.outcome(row, now=now, tz=tz), probes.is_over(row)


def test_every_state_is_told_as_it_is():
    assert outcome_of(State.SENDING) == ("sending", "It is being sent now.", False)
    assert outcome_of(State.SENT, receipt_due_at=after(seconds=60)) == (
        "accepted",
        "The other side accepted it at 10:15:00. Waiting for the receipt, until 10:16:00.",
        False,
    )
    assert outcome_of(State.SENT, receipt_missed_at=after(seconds=60)) == (
        "no receipt",
        "The other side accepted it at 10:15:00, but no receipt came: it counts as not delivered.",
        True,
    )
    assert outcome_of(State.DELIVERED, delivered_at=after(seconds=3)) == ("delivered", "Delivered at 10:15:03.", True)
    assert outcome_of(State.READ, read_at=after(seconds=4)) == (
        "delivered",
        "Delivered, and read at 10:15:04.",
        True,
    )
    assert outcome_of(State.CANCELLED, reason="Bob's account is not active any more.") == (
        "failed",
        "It was cancelled: Bob's account is not active any more.",
        True,
    )


def test_a_try_that_did_not_work_says_when_the_next_one_is():
    state, sentence, is_over = outcome_of(
        State.PENDING, attempts=1, reason="The server answered 503.", due_at=after(seconds=5)
    )
    assert (state, is_over) == ("waiting", False)
    assert sentence == "Try 1 did not work: The server answered 503. It is tried again at 10:15:05."


def test_a_test_that_nobody_takes_up_says_so():
    state, sentence, _ = outcome_of(State.PENDING, now=after(seconds=30))
    assert state == "waiting"
    assert "waited for 30 s and no worker has taken it up" in sentence


def test_times_are_those_of_the_reader():
    _, sentence, _ = outcome_of(State.DELIVERED, tz=zone_of("Europe/Berlin"), delivered_at=NOW)
    assert sentence == "Delivered at 12:15:00."


def test_nobody_floods_a_stranger_with_tests_by_adding_the_address_anew(bob):
    for number in range(probes.PER_PERSON):
        method = make_method(bob, "email", "stranger@example.com", verified_at=None)
        probes.send_test(method, by=bob, now=after(seconds=number))
        method.delete()
    method = make_method(bob, "email", "stranger@example.com", verified_at=None)
    with pytest.raises(TooMany, match="30 tests were sent to Bob within an hour"):
        probes.send_test(method, by=bob, now=after(minutes=1))
    probes.send_test(method, by=bob, now=after(minutes=61))
