"""What becomes of a message is told where it was read: in place, or once more."""

import pytest

from accounts.models import User
from notifications import changes, outbox
from notifications.message import Kind
from notifications.models import ContactMethod, Notification
from tests.factories import DestinationFactory
from tests.fakes.board import board as run_board
from tests.notifications.conftest import NOW, after, make_message, make_method, page

pytestmark = pytest.mark.django_db

TOPIC = "incident:42"


@pytest.fixture(autouse=True)
def board():
    with run_board() as chat:
        yield chat


def taken(**fields):
    return make_message(title="Acknowledged", kind=Kind.ACKNOWLEDGED, urgency="low", actions=(), **fields)


def told():
    """`[(person or place, what it changes)]` of the changes that were written, in order."""
    rows = Notification.objects.filter(kind=Kind.ACKNOWLEDGED).order_by("pk").select_related("user", "destination")
    return [(str(row.reader), row.changes_id) for row in rows]


def tell(**more):
    changes.tell_readers(TOPIC, taken(), key=f"{TOPIC}:acknowledge", now=after(minutes=2), **more)


def sent(person, **fields):
    """Page the person, send it, and return the rows."""
    rows = page(person, **fields)
    outbox.deliver(now=NOW)
    return rows


def test_who_was_paged_is_told_at_the_same_address(bob, sink):
    make_method(bob, address=sink.url())
    (first,) = sent(bob)
    tell()
    row = Notification.objects.get(kind=Kind.ACKNOWLEDGED)
    assert (row.user, row.contact_method_id, row.changes) == (bob, first.contact_method_id, first)
    assert (row.urgency, row.is_repeat, row.state, row.due_at) == ("low", True, "pending", after(minutes=2))
    outbox.deliver(now=after(minutes=2))
    assert b"Acknowledged" in sink.requests[-1].body


def test_it_is_told_once_however_often_it_is_said(bob, sink):
    make_method(bob, address=sink.url())
    sent(bob)
    tell()
    tell()
    assert len(told()) == 1


def test_who_got_nothing_yet_is_not_told(bob, sink):
    make_method(bob, address=sink.url())
    page(bob)
    tell()
    assert told() == []


def test_who_did_it_needs_no_news(alice, bob, sink):
    for person in (alice, bob):
        make_method(person, address=sink.url(f"/to{person.pk}"))
        sent(person)
    tell(skip_user_id=alice.pk)
    assert [name for name, _ in told()] == ["Bob"]


def test_a_message_that_can_be_changed_is_changed_even_for_who_did_it(alice, board):
    make_method(alice, "tests_board", "here")
    (first,) = sent(alice)
    tell(skip_user_id=alice.pk)
    assert told() == [("Alice", first.pk)]
    outbox.deliver(now=after(minutes=2))
    assert board.said == [("Checkout errors", None), ("Acknowledged", {"ts": 1})]


def test_of_several_pages_to_one_address_the_first_is_changed(alice, board):
    make_method(alice, "tests_board", "here")
    (first,) = sent(alice)
    sent(alice, number=2)
    tell()
    assert told() == [("Alice", first.pk)]


@pytest.mark.parametrize(
    "change",
    [
        lambda: ContactMethod.objects.update(wants_updates=False),
        lambda: ContactMethod.objects.update(disabled_reason="Dead."),
        lambda: ContactMethod.objects.update(verified_at=None),
        lambda: ContactMethod.objects.all().delete(),
        lambda: User.objects.update(is_active=False),
    ],
)
def test_an_address_that_wants_no_updates_or_cannot_get_them_is_left_alone(bob, sink, change):
    make_method(bob, address=sink.url())
    sent(bob)
    change()
    tell()
    assert told() == []


def test_a_channel_that_only_calls_does_not_call_again(bob, board):
    make_method(bob, "tests_voice", "here")
    sent(bob)
    tell()
    assert told() == []


def test_what_is_being_sent_right_now_goes_first(bob, sink):
    make_method(bob, address=sink.url())
    (row,) = page(bob)
    outbox.claim(NOW)
    changes.tell_readers(TOPIC, taken(), key=f"{TOPIC}:acknowledge", now=NOW)
    change = Notification.objects.get(kind=Kind.ACKNOWLEDGED)
    assert (change.changes, change.due_at) == (row, NOW + changes.PAUSE)


def bundled(person, count):
    """So many pages that went out to the person as one message."""
    rows = [page(person, topic=f"incident:{42 + number}")[0] for number in range(count)]
    bundle = page(person, topic="bundle:1", message=make_message(kind=Kind.BUNDLE))[0]
    Notification.objects.filter(pk__in=[row.pk for row in rows]).update(bundle=bundle, state="sent", due_at=None)
    Notification.objects.filter(pk=bundle.pk).update(state="sent", due_at=None)


@pytest.mark.parametrize("count, times", [(changes.FEW, 1), (changes.FEW + 1, 0)])
def test_of_a_few_that_came_in_one_message_each_is_told_and_of_many_none(bob, sink, count, times):
    make_method(bob, address=sink.url())
    bundled(bob, count)
    tell()
    assert told() == [("Bob", None)] * times


def test_many_readers_cost_as_much_as_one(alice, bob, charlie, sink, django_assert_max_num_queries):
    make_method(alice, address=sink.url("/to"))
    sent(alice)
    with django_assert_max_num_queries(10) as few:
        tell()
    for number in range(10):
        for person in (bob, charlie):
            make_method(person, address=sink.url(f"/to{number}"))
    sent(bob, number=2)
    sent(charlie, number=3)
    with django_assert_max_num_queries(len(few)):
        changes.tell_readers(TOPIC, taken(), key=f"{TOPIC}:again", now=NOW)
    assert len(told()) == 22


# --- destinations -----------------------------------------------------------------------------------------------


@pytest.fixture
def place():
    return DestinationFactory(name="Shop chat", channel="tests_board", address="shop")


def tell_place(place, verb="acknowledge", now=NOW, **fields):
    more = {name: fields.pop(name) for name in ("is_quiet",) if name in fields}
    news = changes.News(TOPIC, f"{TOPIC}:{verb}", taken(**fields), place, "service:1", **more)
    changes.tell_places([news], now=now)


def test_a_place_is_told_in_the_thread_of_its_first_message(place, board):
    outbox.plan_many([outbox.Page(f"{TOPIC}:t", TOPIC, None, make_message(), destination_id=place.pk)], now=NOW)
    outbox.deliver(now=NOW)
    first = Notification.objects.get()
    tell_place(place)
    tell_place(place, "escalate", now=after(minutes=1))
    assert told() == [("Shop chat", first.pk)] * 2
    outbox.deliver(now=after(minutes=1))
    assert len(board.said) == 2  # one after the other
    outbox.deliver(now=after(minutes=1) + changes.PAUSE)
    assert [previous for _, previous in board.said] == [None, {"ts": 1}, {"ts": 1}]


def test_a_place_that_heard_nothing_yet_gets_a_message_of_its_own(place):
    tell_place(place)
    assert told() == [("Shop chat", None)]


def test_a_note_in_a_thread_is_never_the_message_that_is_changed(place, board):
    tell_place(place, "note", data={"in_thread": True})
    outbox.deliver(now=NOW)
    tell_place(place, now=after(minutes=1))
    assert told() == [("Shop chat", None)] * 2


def test_a_place_that_did_not_ask_is_only_changed_in_place(place, sink):
    loud = DestinationFactory(address=sink.url())
    for one in (place, loud):
        page = outbox.Page(f"{TOPIC}:t", TOPIC, None, make_message(), destination_id=one.pk)
        outbox.plan_many([page], now=NOW)
    outbox.deliver(now=NOW)
    for one in (place, loud):
        tell_place(one, is_quiet=True)
    assert [name for name, _ in told()] == ["Shop chat"]


def test_a_place_whose_address_moved_to_another_channel_starts_anew(place, board):
    tell_place(place, "escalate")
    outbox.deliver(now=NOW)
    place.channel = "tests_voice"
    place.save()
    tell_place(place, now=after(minutes=1))
    assert told()[-1] == ("Shop chat", None)
