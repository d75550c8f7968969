"""The queue under stress: one storm delays nobody else, and after a pause the newest and worst goes first."""

import pytest

from notifications import outbox, planning, turns
from notifications.models import Notification
from tests.notifications.conftest import NOW, after, make_message, make_method, make_person, page

pytestmark = pytest.mark.django_db


def flood(person, count, *, share="service:1", now=NOW, start=0, **fields):
    """Page a person about so many incidents of one service, in one go."""
    message = make_message(**fields)
    pages = [
        planning.Page(f"flood:{share}:{number}", f"incident:{number}", person.pk, message, share=share)
        for number in range(start, start + count)
    ]
    planning.plan_many(pages, now=now)


def test_ten_thousand_pages_of_one_service_do_not_delay_anothers_first_page(alice, bob):
    make_method(alice)
    make_method(bob)
    flood(alice, 10_000, now=after(seconds=-20))
    page(bob, topic="incident:77777", share="service:2")
    assert "incident:77777" in [row.topic for row in outbox.claim(NOW)[:3]]


def test_ten_thousand_pages_of_one_person_do_not_delay_anothers_of_the_same_service(alice, bob):
    make_method(alice)
    make_method(bob)
    flood(alice, 10_000, now=after(seconds=-20))
    page(bob, topic="incident:77777", share="service:1")
    assert "incident:77777" in [row.topic for row in outbox.claim(NOW)[:3]]


def test_ten_thousand_quiet_messages_do_not_delay_a_loud_one(alice, bob):
    make_method(alice)
    make_method(bob)
    flood(alice, 10_000, now=after(seconds=-20), urgency="low")
    page(bob, topic="incident:77777", share="service:1")
    assert outbox.claim(NOW)[0].topic == "incident:77777"


def test_a_claim_of_a_large_backlog_is_bounded_and_full(alice, bob):
    make_method(alice)
    make_method(bob)
    flood(alice, 3000)
    flood(bob, 5, share="service:2")
    rows = outbox.claim(NOW)
    assert len(rows) == outbox.BATCH
    assert len({row.pk for row in rows}) == outbox.BATCH
    assert sum(row.user_id == bob.pk for row in rows) == 5


def test_everything_of_a_backlog_is_claimed_once(alice, bob):
    people = [alice, bob, make_person("Charlie")]
    for number, person in enumerate(people):
        make_method(person)
        flood(person, 150, share=f"service:{number % 2}", start=1000 * number)
    seen = []
    while rows := outbox.claim(NOW, 40):
        seen += [row.pk for row in rows]
    assert len(seen) == len(set(seen)) == 450


def test_services_take_turns(alice):
    make_method(alice)
    for number in range(4):
        flood(alice, 30, share=f"service:{number}", start=100 * number)
    shares = [row.share for row in outbox.claim(NOW, 8)]
    assert [shares.count(f"service:{number}") for number in range(4)] == [2, 2, 2, 2]


def test_people_of_one_service_take_turns():
    people = [make_person(f"Person{number}") for number in range(4)]
    for number, person in enumerate(people):
        make_method(person)
        flood(person, 30, start=100 * number)
    readers = [row.user_id for row in outbox.claim(NOW, 8)]
    assert [readers.count(person.pk) for person in people] == [2, 2, 2, 2]


def test_more_people_than_a_claim_takes_all_get_their_turn():
    people = [make_person(f"Person{number}") for number in range(30)]
    for number, person in enumerate(people):
        make_method(person)
        flood(person, 20, start=100 * number)
    seen = set()
    for _ in range(60):
        rows = outbox.claim(NOW, 5)
        seen.update(row.user_id for row in rows)
    assert seen == {person.pk for person in people}


def test_the_oldest_due_message_is_known(alice):
    make_method(alice)
    assert turns.oldest_due(NOW) is None
    page(alice, now=after(minutes=-3))
    assert turns.oldest_due(NOW) == after(minutes=-3)


# --- a worker that was paused for half an hour ------------------------------------------------------------------


def test_after_a_pause_what_was_answered_meanwhile_is_not_sent(bob, sink):
    make_method(bob, address=sink.url())
    page(bob, topic="incident:1")
    page(bob, topic="incident:2")
    stuck = outbox.claim(NOW)
    assert len(stuck) == 2
    outbox.settle(["incident:1"], by=None, reason="Alice acknowledged.", now=after(minutes=10))
    outbox.deliver(now=after(minutes=30))
    assert {row.topic: row.state for row in Notification.objects.all()} == {
        "incident:1": "cancelled",
        "incident:2": "delivered",
    }
    (request,) = sink.requests
    assert "This page is 30 min late" in request.body.decode()


def test_after_a_pause_the_newest_loud_pages_go_first_and_all_go_at_once(alice, bob, mailoutbox):
    make_method(alice)
    make_method(bob)
    for minutes in (30, 25, 20):
        page(alice, topic=f"incident:{minutes}", now=after(minutes=-minutes))
        page(bob, topic=f"incident:9{minutes}", now=after(minutes=-minutes), message=make_message(urgency="low"))
    assert [row.topic for row in outbox.claim(NOW)] == [
        "incident:20",
        "incident:25",
        "incident:30",
        "incident:920",
        "incident:925",
        "incident:930",
    ]


def test_after_a_pause_a_persons_open_pages_are_one_message_and_not_one_by_one(bob, mailoutbox):
    make_method(bob, "email", "bob@example.com")
    for number in range(50):
        page(bob, topic=f"incident:{number}", now=after(minutes=-30, seconds=number))
    outbox.settle([f"incident:{number}" for number in range(40)], reason="Alice acknowledged.", now=NOW)
    outbox.deliver(now=NOW)
    (mail,) = mailoutbox
    assert "late" in mail.body
    sent = Notification.objects.filter(state="sent").exclude(kind="bundle")
    assert sorted(row.topic for row in sent) == [f"incident:{number}" for number in range(40, 50)]


def test_half_an_hour_late_pages_of_one_incident_become_its_newest(bob, mailoutbox):
    make_method(bob, "email", "bob@example.com")
    for number in range(1, 6):
        page(bob, number=number, now=after(minutes=-30 + number), is_repeat=number > 1)
    outbox.deliver(now=NOW)
    assert len(mailoutbox) == 1
    assert list(Notification.objects.order_by("pk").values_list("state", flat=True)) == ["cancelled"] * 4 + ["sent"]
