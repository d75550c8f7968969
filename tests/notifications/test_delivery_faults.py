"""Faults outside: broken and lying providers, dead channels, poison. A page arrives, or somebody is told."""

import contextlib
import socket
import threading

import pytest

from core import http
from core.errors import SendError
from notifications import outbox, receipts, results, sending
from notifications.channels.base import Channel
from notifications.models import Alarm, Attempt, Circuit, Notification, Provider, channels
from tests.factories import ProviderFactory
from tests.fakes.server import running
from tests.fakes.twilio import FakeTwilio
from tests.notifications.conftest import NOW, after, make_method, make_person, make_rule, page

pytestmark = pytest.mark.django_db

BUDGET_SECONDS = 45  # 5 s (or the 7 of a Retry-After), 10 and 20 s, each up to a fifth longer


@pytest.fixture
def accounts(settings):
    """Two accounts at Twilio, each with a server of its own."""
    settings.HTTP_ALLOW_PRIVATE = ["127.0.0.1"]
    settings.PROVIDERS = {}
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(running(FakeTwilio(account_sid="AC" + each * 32))) for each in "ab"]
        for position, server in enumerate(servers, 1):
            ProviderFactory(name=f"account {position}", position=position, config=server.config)
        yield servers


def run(row, until):
    """Deliver whenever something is due, up to a time; return when the row ended, or None."""
    at = NOW
    for _ in range(60):
        outbox.deliver(now=at)
        row.refresh_from_db()
        if row.state not in ("pending", "sending"):
            return at
        due_at = Notification.objects.unsettled().order_by("due_at").values_list("due_at", flat=True).first()
        if due_at is None or due_at > until:
            return None
        at = max(at, due_at)
    raise AssertionError("It never ended.")


# --- a provider that answers badly, or not at all -------------------------------------------------------------------


@contextlib.contextmanager
def raw_server(answer):
    """A port that takes every connection and does `answer(connection)` with it."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve():
            while True:
                try:
                    taken, _ = listening.accept()
                except OSError:
                    return
                threading.Thread(target=talk, args=(taken,), daemon=True).start()

        def talk(taken):
            with contextlib.suppress(OSError), taken:
                answer(taken)

        threading.Thread(target=serve, daemon=True).start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)


def reset(taken):
    """Close with a reset instead of an end: what a dying proxy does."""
    taken.recv(100)
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")


def no_tls(taken):
    taken.recv(100)
    taken.sendall(b"HTTP/1.0 400 This is no TLS\r\n\r\n")


def error_as_success(taken):
    taken.recv(10000)
    body = b'{"status": "error"}'
    taken.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body))
    taken.sendall(body)


ANSWERS = {
    "reset": ("http://127.0.0.1:{}", reset),
    "no TLS": ("https://127.0.0.1:{}", no_tls),
    "200 with an error body": ("http://127.0.0.1:{}", error_as_success),
}


@pytest.mark.parametrize("fault", ANSWERS)
def test_a_broken_provider_costs_the_page_no_time_while_another_works(bob, accounts, fault):
    url, answer = ANSWERS[fault]
    make_method(bob, "sms", "+14155550123")
    (row,) = page(bob)
    with raw_server(answer) as port:
        provider = Provider.objects.get(position=1)
        provider.config |= {"base_url": url.format(port)}
        provider.save()
        outbox.deliver(now=NOW)
    row.refresh_from_db()
    assert (row.state, row.sent_at) == ("sent", NOW)
    assert len(accounts[1].messages) == 1
    assert Attempt.objects.filter(notification=row, ok=False).count() == 1


@pytest.mark.parametrize(
    "path, reason",
    [
        ("/500", "answered 500"),
        ("/429?after=7", "answered 429"),
        ("/reset", "could not be reached"),
    ],
)
def test_a_receiver_that_stays_broken_makes_room_for_the_next_rule_within_the_budget(
    bob, sink, path, reason, mailoutbox
):
    make_rule(make_method(bob, address=sink.url(path)))
    make_rule(make_method(bob, "email", "bob@example.com"), delay_minutes=30)
    hook, mail = page(bob)
    ended_at = run(hook, after(minutes=5))
    assert hook.state == "failed" and reason in hook.reason
    assert ended_at <= after(seconds=BUDGET_SECONDS)
    outbox.deliver(now=ended_at)
    mail.refresh_from_db()
    assert (mail.state, mail.sent_at) == ("sent", ended_at)


@pytest.mark.parametrize(
    "address, reason",
    [
        ("http://nobody.invalid/", "could not be reached"),
        ("https://127.0.0.1:{port}/", "could not be reached"),
        ("http://127.0.0.1:9/", "could not be reached"),
    ],
)
def test_a_host_without_a_name_a_certificate_or_a_server_is_a_temporary_failure(bob, sink, address, reason):
    make_method(bob, address=address.format(port=sink.port))
    (row,) = page(bob)
    outbox.deliver(now=NOW)
    row.refresh_from_db()
    assert row.state == "pending" and reason in row.reason


def test_an_answer_that_never_comes_or_drips_ends_in_time(sink, settings):
    settings.HTTP_ALLOW_PRIVATE = ["127.0.0.1"]
    for path in ("/slow?seconds=5", "/slowbody?seconds=5"):
        with pytest.raises(SendError, match="did not answer within 0.5 s"):
            http.post(sink.url(path), json={}, timeout=0.5)


# --- a whole channel is dead ----------------------------------------------------------------------------------------


def test_when_all_accounts_of_a_channel_are_dead_the_other_rules_page_on_time(bob, accounts, sink):
    for server in accounts:
        for _ in range(400):
            server.next_answer(500)
    people = [make_person(f"Person{number}") for number in range(20)]
    for number, person in enumerate(people):
        make_rule(make_method(person, "sms", f"+1415555{number:04}"))
        make_rule(make_method(person, address=sink.url(f"/p{number}")))
        page(person, topic=f"incident:{number}")
    outbox.deliver(now=NOW)
    assert Notification.objects.filter(channel="webhook", sent_at=NOW).count() == 20
    # Dead accounts are left alone, so no thread waits for them.
    assert Circuit.objects.filter(failures__gte=5, opened_until__gt=NOW).exists()
    assert not Notification.objects.filter(channel="sms", state="failed").exists()


def test_when_all_accounts_of_a_channel_are_dead_every_message_ends_within_the_budget(bob, accounts):
    for server in accounts:
        for _ in range(400):
            server.next_answer(500)
    for number in range(20):
        person = make_person(f"Person{number}")
        make_method(person, "sms", f"+1415555{number:04}")
        (row,) = page(person, topic=f"incident:{number}")
    at = NOW
    while at is not None and at <= after(minutes=10):
        outbox.deliver(now=at)
        rows = Notification.objects.unsettled().order_by("due_at")
        at = rows.values_list("due_at", flat=True).first()
    texts = Notification.objects.filter(channel="sms")
    assert set(texts.values_list("state", flat=True)) == {"failed"}
    assert max(Attempt.objects.values_list("finished_at", flat=True)) <= after(seconds=BUDGET_SECONDS + 35)
    assert Attempt.objects.filter(called_at__isnull=False).count() < 20 * 8
    assert Alarm.objects.filter(key__startswith="unreachable:").count() == 20
    assert Alarm.objects.filter(key__startswith="circuit:").count() == 2


# --- receipts that lie ----------------------------------------------------------------------------------------------


def test_what_a_provider_takes_and_never_delivers_is_followed_by_the_next_rule(bob, accounts, mailoutbox):
    make_rule(make_method(bob, "sms", "+14155550123"))
    make_rule(make_method(bob, "email", "bob@example.com"), delay_minutes=30)
    text, mail = page(bob)
    outbox.deliver(now=NOW)
    receipts.note_missing(after(seconds=59))
    outbox.deliver(now=after(seconds=59))
    assert mailoutbox == []
    receipts.note_missing(after(seconds=60))
    outbox.deliver(now=after(seconds=60))
    mail.refresh_from_db()
    assert (mail.state, mail.sent_at) == ("sent", after(seconds=60))


# --- a worker that was paused ---------------------------------------------------------------------------------------


def test_a_worker_that_wakes_after_its_lease_changes_no_result(bob, sink):
    make_method(bob, address=sink.url())
    (row,) = page(bob)
    paused = outbox._prepare(outbox.claim(NOW), NOW)
    outbox.deliver(now=after(seconds=60))
    row.refresh_from_db()
    first = (row.state, row.sent_at, row.attempts)
    late = after(minutes=30)
    results.record([results.after(sending.send(job, lambda: late)) for job in paused], now=late)
    row.refresh_from_db()
    assert (row.state, row.sent_at, row.attempts) == first
    assert len({request.headers["webhook-id"] for request in sink.requests}) == 1
    assert b"You may have received this page before" in sink.requests[0].body


# --- poison ---------------------------------------------------------------------------------------------------------


class Poison(Channel):
    kind, label = "poison", "Poison"

    def send(self, address, outgoing):
        raise KeyError("a bug")


@pytest.mark.logs_errors
def test_a_message_that_breaks_its_channel_is_given_up_and_the_others_go_out(admin, alice, bob, sink, monkeypatch):
    monkeypatch.setitem(channels.classes(), "poison", Poison)
    make_method(admin, address=sink.url("/admin"))
    make_method(alice, address=sink.url("/alice"))
    make_method(bob, "poison", "x")
    (row,) = page(bob)
    page(alice)
    ended_at = run(row, after(minutes=5))
    assert (row.state, row.attempts) == ("failed", 4) and ended_at <= after(seconds=BUDGET_SECONDS)
    outbox.deliver(now=ended_at)
    paths = [request.path for request in sink.requests]
    assert paths.count("/alice") == 1 and paths.count("/admin") == 1
    assert "broke" in Alarm.objects.get().text


def test_a_message_that_stops_its_worker_is_given_up_and_the_others_go_out(alice, bob, sink):
    make_method(alice, address=sink.url("/alice"))
    make_method(bob, address=sink.url("/bob"))
    (row,) = page(bob)
    at = NOW
    for _ in range(outbox.MAX_CLAIMS):
        assert [each.pk for each in outbox.claim(at)] == [row.pk]
        at += outbox.LEASE
    page(alice, now=at)
    outbox.deliver(now=at)
    row.refresh_from_db()
    assert row.state == "failed" and "stopped 10 times" in row.reason
    assert [request.path for request in sink.requests] == ["/alice"]
    assert Alarm.objects.filter(key=f"unreachable:incident:42:{bob.pk}").exists()


@pytest.mark.logs_errors
def test_a_message_that_cannot_even_be_made_ready_stops_none_of_its_batch(alice, bob, sink):
    make_method(alice, address=sink.url("/alice"))
    make_method(bob, address="http://[::1")
    (row,) = page(bob)
    page(alice)
    outbox.deliver(now=NOW)
    row.refresh_from_db()
    assert row.state == "failed" and "ValueError" in row.reason
    assert [request.path for request in sink.requests] == ["/alice"]
    assert Alarm.objects.filter(key=f"unreachable:incident:42:{bob.pk}").exists()


# --- no way between the worker and the provider ---------------------------------------------------------------------


def test_a_connection_that_breaks_before_the_answer_makes_a_second_try_with_the_same_id(bob, sink):
    make_method(bob, address=sink.url("/reset"))
    (row,) = page(bob)
    outbox.deliver(now=NOW)
    bob.contact_methods.update(address=sink.url())
    row.refresh_from_db()
    outbox.deliver(now=row.due_at)
    row.refresh_from_db()
    assert row.state == "delivered"
    assert len({request.headers["webhook-id"] for request in sink.requests}) == 1
    assert b'"attempt":2' in sink.requests[-1].body


def test_nothing_is_lost_when_nothing_can_be_reached_for_a_while(bob, sink):
    """Everything fails for 30 s, as when the network of the worker is gone; then all that is left arrives."""
    make_method(bob, address=sink.url("/500"))
    rows = [page(bob, topic=f"incident:{number}")[0] for number in range(30)]
    at = NOW
    while at < after(seconds=30):
        outbox.deliver(now=at)
        at = Notification.objects.unsettled().order_by("due_at").values_list("due_at", flat=True).first()
    bob.contact_methods.update(address=sink.url("/"))
    while at is not None:
        outbox.deliver(now=at)
        at = Notification.objects.unsettled().order_by("due_at").values_list("due_at", flat=True).first()
    states = Notification.objects.filter(pk__in=[row.pk for row in rows]).values_list("state", flat=True)
    assert set(states) == {"delivered"}
    assert Alarm.objects.exclude(cleared_at=None).count() == Alarm.objects.count() == 1
