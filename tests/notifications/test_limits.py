"""Rate limits: what is over one waits for its token, says why, and is not lost."""

import datetime

import pytest

from notifications import limits, outbox
from notifications.channels.base import Channel, Limit
from notifications.models import Attempt, Notification, channels
from tests.notifications.conftest import NOW, after, make_message, make_method, make_person, page

ONE_A_SECOND = Limit(1, 1)


def test_a_bucket_fills_up_to_its_burst_and_no_further():
    limit = Limit(30, 300)
    assert limits.refilled(0, NOW, limit, after(seconds=10)) == pytest.approx(1)
    assert limits.refilled(29, NOW, limit, after(hours=1)) == 30
    assert limits.refilled(3, NOW, limit, after(seconds=-5)) == 3


def test_a_message_waits_for_its_token_and_for_those_before_it():
    assert limits.wait(0.25, ONE_A_SECOND) == datetime.timedelta(seconds=0.75)
    assert limits.wait(0, Limit(2, 1), ahead=3) == datetime.timedelta(seconds=2)
    assert limits.wait(5, ONE_A_SECOND) == datetime.timedelta(0)


@pytest.mark.parametrize(
    "limit, text",
    [
        (Limit(1, 1), "1 message a second"),
        (Limit(5, 60), "5 messages a minute"),
        (Limit(30, 300), "30 messages in 300 s"),
    ],
)
def test_a_limit_is_said_in_words(limit, text):
    assert limits.in_words(limit) == text


@pytest.mark.django_db
def test_a_message_takes_a_token_of_every_limit_or_of_none():
    both = {"a": Limit(2, 10), "b": Limit(1, 10)}
    purse = limits.Purse(both, NOW)
    assert purse.take(["a", "b"]) is None
    assert purse.take(["a", "b"]) == "b"
    assert (purse.left("a"), purse.left("b")) == (1, 0)
    assert [purse.queue("b") for _ in range(2)] == [after(seconds=10), after(seconds=20)]
    purse.save()
    again = limits.Purse(both, after(seconds=10))
    assert (again.left("a"), again.left("b")) == (2, 1)


class Narrow(Channel):
    """Takes one message a second to one address."""

    kind, label = "narrow", "Narrow"
    is_bundled = False
    per_address = ONE_A_SECOND
    got = []

    def send(self, address, outgoing):
        self.got.append((address, outgoing.message.title, outgoing.notes))


class Chatty(Narrow):
    """Has no limit of its own; people read it."""

    kind, label = "chatty", "Chatty"
    is_bundled = True
    per_address = None


@pytest.fixture(autouse=True)
def narrow(monkeypatch):
    for channel in (Narrow, Chatty):
        monkeypatch.setitem(channels.classes(), channel.kind, channel)
    Narrow.got.clear()
    return Narrow.got


def test_what_is_over_the_limit_of_an_address_goes_out_later_and_counts_as_no_try(bob, narrow):
    make_method(bob, "narrow", "bob's")
    rows = [page(bob, topic=f"incident:{number}")[0] for number in range(3)]
    outbox.deliver(now=NOW)
    assert len(narrow) == 1
    held = Notification.objects.filter(pk__in=[row.pk for row in rows], state="pending").order_by("due_at")
    assert [(row.due_at, row.attempts) for row in held] == [(after(seconds=1), 0), (after(seconds=2), 0)]
    assert held[0].reason == "Held back: this Narrow address takes 1 message a second."
    assert Attempt.objects.count() == 1
    outbox.deliver(now=after(seconds=1))
    outbox.deliver(now=after(seconds=2))
    assert len(narrow) == 3
    assert Attempt.objects.count() == 3


def test_another_address_is_not_held_back(alice, bob, narrow):
    for person in (alice, bob):
        make_method(person, "narrow", person.name)
        page(person, topic="incident:1")
        page(person, topic="incident:2")
    outbox.deliver(now=NOW)
    assert sorted(address for address, *_ in narrow) == ["Alice", "Bob"]


def test_a_held_message_says_at_last_why_it_is_late(bob, narrow):
    make_method(bob, "narrow", "bob's")
    for number in range(2):
        page(bob, topic=f"incident:{number}")
    outbox.deliver(now=NOW)
    outbox.deliver(now=after(minutes=2))
    assert narrow[1][2] == (
        "This page is 2 min late: it was due on 04 May at 10:15 UTC. "
        "Held back: this Narrow address takes 1 message a second.",
    )


def test_a_person_gets_only_so_many_quiet_messages_and_repeats(bob, narrow):
    make_method(bob, "chatty", "bob's")
    for number in range(limits.PER_PERSON.count + 1):
        # Spread over so long that they are not bundled, with a limit that does not fill up meanwhile.
        limits.Allowance.objects.filter(name__startswith="bundle ").delete()
        page(bob, topic=f"incident:{number}", message=make_message(urgency="low"))
        outbox.deliver(now=NOW)
    assert len(narrow) == limits.PER_PERSON.count
    (held,) = Notification.objects.filter(state="pending")
    assert (held.due_at, held.reason) == (after(seconds=10), "Held back: one person takes 30 messages in 300 s.")


def test_the_first_page_of_something_urgent_is_never_held_for_the_person(bob, narrow):
    make_method(bob, "chatty", "bob's")
    limits.Allowance.objects.create(name=f"person {bob.pk}", tokens=0, at=NOW)
    page(bob, topic="incident:1", message=make_message(urgency="low"))
    page(bob, topic="incident:2", is_repeat=True)
    page(bob, topic="incident:3")
    outbox.deliver(now=NOW)
    assert Notification.objects.get(state="sent").topic == "incident:3"
    assert Notification.objects.filter(state="pending", due_at__gt=NOW).count() == 2


def test_two_people_do_not_share_a_limit(db, narrow):
    for name in ("Dora", "Emil"):
        person = make_person(name)
        make_method(person, "chatty", name)
        if name == "Dora":
            limits.Allowance.objects.create(name=f"person {person.pk}", tokens=0, at=NOW)
        page(person, topic="incident:1", message=make_message(urgency="low"))
    outbox.deliver(now=NOW)
    assert [address for address, *_ in narrow] == ["Emil"]


def test_a_wait_is_never_so_short_that_the_claim_would_look_again_at_once(db):
    limit = Limit(30, 1)
    purse = limits.Purse({"x": limit}, NOW)
    purse._tokens["x"] = 1 - 5e-6
    assert purse.take(["x"]) == "x"
    assert purse.queue("x") > NOW
