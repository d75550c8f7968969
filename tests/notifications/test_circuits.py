"""Circuits: what fails five times in a row is left alone, probed by one message, and closes when that works."""

import datetime

import pytest

from notifications import circuits, outbox, providers
from notifications.channels.email import Email
from notifications.channels.webhook import Webhook
from notifications.circuits import BROKEN, BUSY, FAILS, UNTRIED, WORKS, Board, Verdict
from notifications.models import Alarm, Attempt, Circuit, Notification
from notifications.providers import Account
from tests.notifications.conftest import NOW, after, make_method, make_person, page

pytestmark = pytest.mark.django_db

NAME = "webhook example.com"


def note(*whats, at=NOW, name=NAME, **fields):
    fields = {"error": "It answered 500.", **fields}
    circuits.note([Verdict(name, "The host", what, at, **fields) for what in whats], now=at)


def is_free(at=NOW, name=NAME):
    return Board({name}, at).is_free(name)


def test_five_failures_in_a_row_open_it_for_half_a_minute(admin):
    note(FAILS, FAILS, FAILS, FAILS)
    assert is_free() and not Alarm.objects.exists()
    note(FAILS)
    assert not is_free() and not is_free(after(seconds=29.9))
    assert is_free(after(seconds=30))
    alarm = Alarm.objects.get()
    assert alarm.text.startswith("The host failed 5 times in a row and is left alone until 10:15:30 UTC")
    assert "It answered 500." in alarm.text


def test_a_success_in_between_starts_the_count_anew():
    note(FAILS, FAILS, FAILS, FAILS)
    note(WORKS)
    note(FAILS, FAILS, FAILS, FAILS)
    note(WORKS, FAILS, FAILS, FAILS, FAILS)
    assert is_free()
    assert Circuit.objects.get().failures == 4


def test_a_success_closes_it_and_ends_the_alarm():
    note(*[FAILS] * 5)
    note(WORKS, at=after(seconds=31), is_probe=True)
    assert is_free(after(seconds=31))
    assert not Circuit.objects.exists()
    assert Alarm.objects.get().cleared_at == after(seconds=31)


def test_success_with_a_clean_circuit_costs_no_statement(django_assert_num_queries):
    with django_assert_num_queries(0):
        note(WORKS, WORKS, is_clean=True, name="webhook clean.example.com")


def test_one_worker_sends_one_probe():
    note(*[FAILS] * 5)
    mine, theirs = Board({NAME}, after(seconds=31)), Board({NAME}, after(seconds=31))
    assert mine.take(NAME) and theirs.take(NAME)
    assert not mine.is_free(NAME) and mine.is_probed(NAME)
    assert (mine.claim_probes(), theirs.claim_probes()) == ({NAME}, set())
    later = Board({NAME}, after(seconds=32))
    assert not later.is_free(NAME) and later.is_probed(NAME)
    # The worker with the probe died: another one sends the next.
    assert Board({NAME}, after(seconds=61)).is_free(NAME)


def test_a_probe_that_fails_opens_it_again_without_another_alarm():
    note(*[FAILS] * 5)
    board = Board({NAME}, after(seconds=31))
    board.take(NAME)
    board.claim_probes()
    note(FAILS, at=after(seconds=32), is_probe=True)
    assert not is_free(after(seconds=61)) and is_free(after(seconds=62))
    assert not Board({NAME}, after(seconds=33)).is_probed(NAME)
    assert Alarm.objects.get().count == 1


def test_a_probe_that_was_not_sent_is_left_to_the_next():
    note(*[FAILS] * 5)
    board = Board({NAME}, after(seconds=31))
    board.take(NAME)
    board.claim_probes()
    note(UNTRIED, at=after(seconds=32), is_probe=True)
    assert is_free(after(seconds=32))


def test_what_cannot_be_used_is_held_until_it_is_corrected():
    note(BROKEN, name="twilio:1 sms", error="Twilio refuses the token.")
    assert not is_free(after(minutes=9), name="twilio:1 sms")
    # A message that was under way says nothing about the account as it is now.
    note(WORKS, name="twilio:1 sms", at=after(minutes=1))
    assert not is_free(after(minutes=9), name="twilio:1 sms")
    circuits.reset("twilio:1", now=after(minutes=2))
    assert is_free(after(minutes=2), name="twilio:1 sms")
    assert Alarm.objects.get().cleared_at == after(minutes=2)


def test_what_is_held_is_probed_now_and_then_as_the_environment_may_have_been_corrected():
    note(BROKEN, name="twilio:environment sms")
    board = Board({"twilio:environment sms"}, after(minutes=10))
    assert board.is_free("twilio:environment sms") and board.take("twilio:environment sms")
    note(WORKS, name="twilio:environment sms", at=after(minutes=10), is_probe=True)
    assert not Circuit.objects.exists()


def test_resetting_an_account_leaves_others_alone():
    for name in ("twilio:1 sms", "twilio:1 voice", "twilio:11 sms"):
        note(BROKEN, name=name)
    circuits.reset("twilio:1", now=NOW)
    assert list(Circuit.objects.values_list("name", flat=True)) == ["twilio:11 sms"]


def test_a_provider_that_says_how_long_is_left_alone_so_long_without_an_alarm():
    note(BUSY, until=after(seconds=90))
    assert not is_free(after(seconds=89)) and is_free(after(seconds=90))
    assert not Alarm.objects.exists()
    note(WORKS, at=after(seconds=1))  # it was under way before
    assert not is_free(after(seconds=89))
    board = Board({NAME}, after(seconds=91))
    assert not board.take(NAME)  # everything may go out again: this is no probe
    note(WORKS, at=after(seconds=92))
    assert not Circuit.objects.exists()


def test_a_lane_without_a_host_never_opens():
    note(*[FAILS] * 9, name="email")
    assert is_free(name="email") and not Circuit.objects.exists()


def test_a_broken_mail_server_is_an_alarm_that_ends_with_the_next_mail():
    note(BROKEN, name="email", error="The mail server refused our password.")
    assert is_free(name="email")
    assert "refused our password" in Alarm.objects.get().text
    note(WORKS, name="email", at=after(minutes=1))
    assert Alarm.objects.get().cleared_at == after(minutes=1)


def test_names_keep_passwords_of_web_addresses():
    assert circuits.name_of(Webhook(), None, "https://joe:secret@example.com/x") == "webhook example.com"
    assert circuits.name_of(Email(), None, "joe@example.com") == "email"
    assert circuits.name_of(Email(), Account("smtp:1", "smtp", "x", {}), "joe@example.com") == "smtp:1 email"


# --- what it does to messages ---------------------------------------------------------------------------------------


def test_a_dead_host_is_called_five_times_and_then_left_alone(bob, sink):
    make_method(bob, address=sink.url("/500"))
    for number in range(5):
        page(bob, topic=f"incident:{number}")
    outbox.deliver(now=NOW)
    (row,) = page(bob, topic="incident:9", now=after(seconds=1))
    outbox.deliver(now=after(seconds=1))
    row.refresh_from_db()
    assert len(sink.requests) == 5
    assert row.state == "pending" and after(seconds=6) <= row.due_at <= after(seconds=7)
    host = sink.url("")[len("http://") :]
    assert row.reason.startswith(f"webhook {host} failed 5 times in a row and is left alone until 10:15:30 UTC: ")
    assert Attempt.objects.get(notification=row).called_at is None


def test_while_a_probe_is_under_way_the_others_wait_and_lose_no_try(bob, sink):
    make_method(bob, address=sink.url("/500"))
    for number in range(5):
        page(bob, topic=f"incident:{number}")
    outbox.deliver(now=NOW)
    bob.contact_methods.update(address=sink.url("/"))
    rows = [page(bob, topic=f"incident:{number}", now=after(seconds=31))[0] for number in (10, 11, 12)]
    Notification.objects.exclude(pk__in=[row.pk for row in rows]).delete()
    jobs = outbox._prepare(outbox.claim(after(seconds=31)), after(seconds=31))
    assert [job.route.is_probe for job in jobs] == [True]
    assert sorted(Notification.objects.values_list("state", "attempts")) == [
        ("pending", 0),
        ("pending", 0),
        ("sending", 1),
    ]


def test_a_success_with_a_closed_circuit_writes_no_circuit(bob, sink):
    make_method(bob, address=sink.url())
    page(bob)
    outbox.deliver(now=NOW)
    assert not Circuit.objects.exists()


def test_a_dead_host_costs_other_hosts_nothing(alice, bob, sink):
    make_method(alice, address=sink.url("/500").replace("127.0.0.1", "localhost"))
    make_method(bob, address=sink.url())
    for number in range(8):
        page(alice, topic=f"incident:{number}")
        page(bob, topic=f"incident:{number}")
    outbox.deliver(now=NOW)
    assert set(Notification.objects.filter(user=bob).values_list("state", flat=True)) == {"delivered"}


def test_the_work_for_a_batch_is_the_same_for_one_message_and_for_many(sink, django_assert_max_num_queries):
    for number in range(30):
        person = make_person(f"Person{number}")
        make_method(person, address=sink.url())
        page(person, topic=f"incident:{number}")
    rows = outbox.claim(NOW)
    with django_assert_max_num_queries(9):
        outbox._prepare(rows, NOW)


def test_a_route_prefers_the_fewest_tries_and_then_the_order(settings):
    first, second = (Account(f"twilio:{number}", "twilio", str(number), {}) for number in (1, 2))
    board = Board(set(), NOW)

    def choose(tries):
        return providers.route(Email(), "x", [first, second], tries, 0, board)

    assert choose({}).account == first and choose({}).has_next
    assert choose({"twilio:1": 1}).account == second and not choose({"twilio:1": 1}).has_next
    assert choose({"twilio:1": 1, "twilio:2": 1}).account == first
    assert choose({"twilio:1": 4, "twilio:2": 4}).is_spent
    assert datetime.timedelta(seconds=30) == circuits.OPEN
