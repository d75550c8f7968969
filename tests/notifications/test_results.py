"""What follows from a try: the next rule, news of who was not reached, dead addresses, and destinations."""

import pytest
from django.dispatch import receiver

from core.errors import SendError
from notifications import outbox, results, sending
from notifications.channels.base import AdminNeeded, DeadAddress
from notifications.models import Alarm, ContactMethod, Destination, Notification
from notifications.providers import Route
from notifications.signals import person_unreached
from tests.factories import DestinationFactory
from tests.notifications.conftest import NOW, after, make_message, make_method, make_rule, page

pytestmark = pytest.mark.django_db


@pytest.fixture
def unreached():
    """What `person_unreached` says."""
    said = []

    @receiver(person_unreached)
    def listen(signal, sender, **told):
        said.append(told)

    yield said
    person_unreached.disconnect(listen)


def rules(person, *addresses):
    """A rule for each address, ten minutes apart."""
    for number, address in enumerate(addresses):
        kind = "email" if "@" in address else "webhook"
        make_rule(make_method(person, kind, address), delay_minutes=10 * number)


def outcome(person):
    return list(Notification.objects.filter(user=person).order_by("pk").values_list("state", "due_at"))


# --- waits ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("round, wait", [(1, 5), (2, 10), (3, 20)])
@pytest.mark.parametrize("chance", [0.0, 0.5, 1.0])
def test_a_wait_is_spread_and_never_shorter(round, wait, chance):
    assert results.next_wait(round, 0, lambda: chance) == pytest.approx(wait * (1 + 0.2 * chance))


@pytest.mark.parametrize("asked, wait", [(2, 5), (90, 90), (86400, 300)])
def test_a_receiver_may_ask_for_a_longer_wait_within_reason(asked, wait):
    assert results.next_wait(1, asked, lambda: 0.0) == wait


def test_after_the_last_wait_there_is_no_other_try():
    assert results.next_wait(4, 0, lambda: 0.0) is None


def test_a_failure_goes_to_the_next_account_before_any_wait():
    assert results._wait(Route(round=4, has_next=True), SendError("It answered 500."), lambda: 0.0) == 0
    assert results._wait(Route(has_next=True), SendError("No.", permanent=True), lambda: 0.0) is None


# --- the next rule --------------------------------------------------------------------------------------------------


def test_when_a_page_cannot_be_delivered_the_next_rule_applies_now(bob, sink, unreached, mailoutbox):
    rules(bob, sink.url("/410"), "bob@example.com", "bob@example.org")
    page(bob)
    outbox.deliver(now=after(seconds=1))
    _, mail, last = Notification.objects.filter(topic="incident:42").order_by("pk")
    assert (mail.state, mail.sent_at, mail.planned_at) == ("sent", after(seconds=1), after(seconds=1))
    assert (last.state, last.due_at) == ("pending", after(minutes=20))
    assert unreached == []
    assert "min late" not in next(each for each in mailoutbox if "5 % of orders" in each.body).body


def test_a_rule_that_is_brought_forward_takes_all_of_its_time_with_it(bob, sink, mailoutbox):
    rules(bob, sink.url("/410"))
    for address in ("bob@example.com", "bob@example.org"):
        make_rule(make_method(bob, "email", address), delay_minutes=10)
    page(bob)
    outbox.deliver(now=NOW)
    assert {each.to[0] for each in mailoutbox if "5 % of orders" in each.body} == {
        "bob@example.com",
        "bob@example.org",
    }


def test_a_page_that_is_tried_again_later_brings_no_rule_forward(bob, sink):
    rules(bob, sink.url("/500"), "bob@example.com")
    page(bob)
    outbox.deliver(now=NOW)
    assert [state for state, _ in outcome(bob)] == ["pending", "pending"]
    assert outcome(bob)[1][1] == after(minutes=10)


def test_a_failed_update_brings_no_page_forward(bob, sink):
    rules(bob, sink.url("/410"), "bob@example.com")
    page(bob, message=make_message(kind="update"))
    outbox.deliver(now=NOW)
    assert outcome(bob)[1] == ("pending", after(minutes=10))


def test_other_pages_and_other_people_keep_their_times(alice, bob, sink):
    rules(bob, sink.url("/410"), "bob@example.com")
    rules(alice, sink.url(), "alice@example.com")
    page(alice)
    page(bob)
    page(bob, number=2, now=after(seconds=30))
    outbox.deliver(now=NOW)
    assert outcome(alice)[1] == ("pending", after(minutes=10))
    assert Notification.objects.get(plan_key__contains=":p2:", channel="email").due_at == after(minutes=10, seconds=30)


def test_a_rule_that_was_settled_meanwhile_stays_settled(bob, sink):
    rules(bob, sink.url("/410"), "bob@example.com")
    page(bob)
    claimed = outbox._prepare(outbox.claim(NOW), NOW)
    outbox.settle(["incident:42"], reason="Bob acknowledged.", now=NOW)
    results.record([results.after(sending.send(job, lambda: NOW)) for job in claimed], now=NOW)
    assert [state for state, _ in outcome(bob)] == ["cancelled", "cancelled"]


def test_when_the_last_way_fails_it_is_said_who_was_not_reached(bob, sink, unreached):
    rules(bob, sink.url("/410"), sink.url("/410/second"))
    page(bob)
    outbox.deliver(now=NOW)
    (told,) = unreached
    assert (told["topic"], told["user_id"], told["now"]) == ("incident:42", bob.pk, NOW)
    assert told["page_key"] == f"incident:42:p1:u{bob.pk}"
    assert "410" in told["reason"]
    assert Alarm.objects.filter(key=f"unreachable:incident:42:{bob.pk}").count() == 1


def test_an_address_disabled_since_the_plan_brings_the_next_rule_too(bob, sink, mailoutbox):
    rules(bob, sink.url(), "bob@example.com")
    page(bob)
    ContactMethod.objects.filter(channel="webhook").update(disabled_reason="Dead.")
    outbox.deliver(now=NOW)
    outbox.deliver(now=NOW)  # a worker was woken for the next rule
    assert len(mailoutbox) == 1


def test_a_failed_change_is_no_alarm(bob, sink, unreached):
    make_method(bob, address=sink.url("/301"))
    page(bob, message=make_message(kind="resolved"))
    outbox.deliver(now=NOW)
    assert [state for state, _ in outcome(bob)] == ["failed"]
    assert unreached == [] and not Alarm.objects.exists()


# --- dead addresses -------------------------------------------------------------------------------------------------


def test_the_owner_of_a_dead_address_is_told_at_their_others(bob, sink, mailoutbox):
    method = make_method(bob, address=sink.url("/410"))
    make_method(bob, "email", "bob@example.com")
    (row, _) = page(bob)
    outbox.deliver(now=NOW)
    outbox.deliver(now=NOW)
    row.refresh_from_db()
    method.refresh_from_db()
    assert row.reason.endswith("The address is not used any more, and its owner is told.")
    assert method.disabled_reason == "The webhook's address answered 410: it is gone for good."
    (notice,) = [mail for mail in mailoutbox if "not used any more" in mail.body]
    assert "/settings" in notice.body and "410" in notice.body
    assert not Alarm.objects.exists()


def test_two_messages_to_a_dead_address_make_one_notice(bob, sink):
    make_method(bob, address=sink.url("/410"))
    make_method(bob, "email", "bob@example.com")
    page(bob)
    page(bob, topic="incident:43")
    outbox.deliver(now=NOW)
    assert Notification.objects.filter(topic__startswith="address:").count() == 1


def test_a_code_to_an_address_that_does_not_exist_is_no_news_to_the_admins(bob, sink):
    method = make_method(bob, address=sink.url("/410"))
    page(bob, message=make_message(kind="test"))
    outbox.deliver(now=NOW)
    method.refresh_from_db()
    assert method.disabled_reason
    assert not Alarm.objects.exists()
    assert not Notification.objects.filter(topic__startswith="address:").exists()


def test_the_alarm_about_somebody_without_an_address_ends_when_something_reaches_them(bob, sink):
    make_method(bob, address=sink.url("/410"))
    page(bob)
    outbox.deliver(now=NOW)
    make_method(bob, "email", "bob@example.com")
    page(bob, topic="incident:43", now=after(minutes=1))
    outbox.deliver(now=after(minutes=1))
    assert Alarm.objects.get(key=f"no-address:{bob.pk}").cleared_at == after(minutes=1)


# --- destinations ---------------------------------------------------------------------------------------------------


def tell(place, *, now=NOW, number=1):
    outbox.plan_many(
        [outbox.Page(f"incident:42:e{number}", "incident:42", None, make_message(), destination_id=place.pk)], now=now
    )


def test_a_destination_that_cannot_be_told_is_one_alarm_until_it_can(sink, unreached):
    place = DestinationFactory(name="ops channel", address=sink.url("/301"))
    tell(place)
    tell(place, number=2)
    outbox.deliver(now=NOW)
    alarm = Alarm.objects.get()
    assert (alarm.key, alarm.cleared_at) == (f"destination:{place.pk}", None)
    assert alarm.text.startswith("The destination ops channel could not be told about “Checkout errors”")
    assert unreached == []
    place.address = sink.url()
    place.save()
    tell(place, number=3, now=after(minutes=1))
    outbox.deliver(now=after(minutes=1))
    alarm.refresh_from_db()
    assert alarm.cleared_at == after(minutes=1)


def test_a_dead_destination_is_disabled_with_an_alarm(sink):
    place = DestinationFactory(name="ops channel", address=sink.url("/410"))
    tell(place)
    outbox.deliver(now=NOW)
    place = Destination.objects.get()
    assert "410" in place.disabled_reason
    assert "is not used any more" in Alarm.objects.get(key=f"destination:{place.pk}").text


# --- what only an admin can change ----------------------------------------------------------------------------------


def ending(bob, error):
    make_method(bob, "email", "bob@example.com")
    page(bob)
    (job,) = outbox._prepare(outbox.claim(NOW), NOW)
    return results.after(sending.Sent(job, NOW, error=error, called_at=NOW))


def test_what_an_admin_must_change_is_an_alarm_and_the_address_stays(bob):
    each = ending(bob, AdminNeeded("The account may not call this country: allow it.", status=400))
    results.record([each], now=NOW)
    assert [state for state, _ in outcome(bob)] == ["failed"]
    assert "allow it" in Alarm.objects.get(key="provider:email email").text
    assert ContactMethod.objects.get().disabled_reason == ""


def test_a_dead_address_is_disabled_with_the_providers_words_alone(bob):
    each = ending(bob, DeadAddress("No such mailbox."))
    assert (each.dead_reason, each.state) == ("No such mailbox.", "failed")


def test_a_busy_provider_that_asks_for_a_time_that_is_no_number_stops_no_worker():
    error = SendError("Too many.", retry_after=float("nan"), status=429)  # JSON allows it
    verdict = results._verdict_of(Route(circuit="webhook host"), error, NOW)
    assert verdict.until <= after(seconds=results.LONGEST_RETRY_SECONDS)
    assert results.next_wait(1, error.retry_after, lambda: 0.0) == results.LONGEST_RETRY_SECONDS
