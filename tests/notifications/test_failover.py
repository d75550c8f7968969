"""Failover: a message takes the next account at once, waits only between rounds, and comes to an end."""

import contextlib

import pytest

from notifications import outbox, receipts, results
from notifications.channels.base import ProviderBroken
from notifications.models import Alarm, Attempt, Circuit, ContactMethod, Notification
from notifications.providers import Account, Route
from tests.factories import ProviderFactory
from tests.fakes.server import running
from tests.fakes.twilio import FakeTwilio
from tests.notifications.conftest import NOW, after, make_method, make_person, make_rule, page

pytestmark = pytest.mark.django_db

NUMBER = "+14155550123"


@pytest.fixture
def accounts(settings):
    """Two accounts at Twilio, each with a server of its own: [(server, provider)]."""
    settings.HTTP_ALLOW_PRIVATE = ["127.0.0.1"]
    settings.PROVIDERS = {}
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(running(FakeTwilio(account_sid="AC" + each * 32))) for each in "ab"]
        yield [
            (server, ProviderFactory(name=name, position=position, config=server.config))
            for position, (server, name) in enumerate(zip(servers, ("main", "backup"), strict=True), 1)
        ]


@pytest.fixture
def to_bob(bob):
    """Bob's phone."""
    return make_method(bob, "sms", NUMBER)


def tries(row):
    return list(Attempt.objects.filter(notification=row).order_by("number").values_list("provider", flat=True))


def deliver_until_it_ends(row):
    """Deliver at each time at which the row is due; return the waits between the tries, in seconds."""
    at, waits = NOW, []
    for _ in range(30):
        outbox.deliver(now=at)
        row.refresh_from_db()
        if row.state != "pending":
            return waits
        waits.append((row.due_at - at).total_seconds())
        at = max(at, row.due_at)
    raise AssertionError("It never ended.")


def is_about(waits, expected):
    return len(waits) == len(expected) and all(
        want <= wait <= 1.2 * want for wait, want in zip(waits, expected, strict=True)
    )


def test_the_first_account_is_used_while_it_works(bob, to_bob, accounts):
    (main, provider), (backup, _) = accounts
    (row,) = page(bob)
    outbox.deliver(now=NOW)
    row.refresh_from_db()
    assert (row.state, row.provider, len(main.messages), backup.messages) == ("sent", provider.key, 1, [])
    assert row.provider_id == main.messages[0].sid
    assert not Circuit.objects.exists()


@pytest.mark.parametrize("status, code", [(500, None), (503, None), (429, 20429)])
def test_a_temporary_failure_takes_the_next_account_without_a_wait(bob, to_bob, accounts, status, code):
    (main, first), (backup, second) = accounts
    main.next_answer(status, code=code)
    (row,) = page(bob)
    outbox.deliver(now=NOW)
    row.refresh_from_db()
    assert (row.state, row.sent_at, row.provider) == ("sent", NOW, second.key)
    assert tries(row) == [first.key, second.key]
    assert len(backup.messages) == 1


def test_the_waits_lie_between_rounds_and_every_account_is_tried_four_times(bob, to_bob, accounts):
    (main, first), (backup, second) = accounts
    for server, _ in accounts:
        for _ in range(4):
            server.next_answer(500)
    (row,) = page(bob)
    waits = deliver_until_it_ends(row)
    assert row.state == "failed"
    assert tries(row) == [first.key, second.key] * 4
    assert is_about([wait for wait in waits if wait], [5, 10, 20])


def test_a_permanent_error_is_not_taken_to_the_next_account(bob, to_bob, accounts):
    (main, first), (backup, _) = accounts
    main.next_answer(400, code=21610)
    (row,) = page(bob)
    outbox.deliver(now=NOW)
    row.refresh_from_db()
    assert (row.state, tries(row), backup.messages) == ("failed", [first.key], [])


def test_an_account_with_a_wrong_token_is_left_alone_and_the_admin_is_told_which(admin, bob, to_bob, accounts, sink):
    make_method(admin, address=sink.url())
    (main, first), (backup, second) = accounts
    main.auth_token = "another"
    for number in range(2):
        page(bob, topic=f"incident:{number}")
        outbox.deliver(now=after(seconds=number))
    assert set(Notification.objects.filter(user=bob).values_list("state", "provider")) == {("sent", second.key)}
    assert main.refused == 1
    circuit = Circuit.objects.get()
    assert (circuit.name, circuit.is_held) == (f"{first.key} sms", True)
    alarm = Alarm.objects.get()
    assert alarm.text.startswith("Twilio (main) cannot be used: Twilio refuses the Account SID or the auth token")
    assert "under Providers in the admin" in alarm.text
    assert len(sink.requests) == 1


def test_when_no_account_can_be_used_the_message_fails_at_once_and_the_next_rule_applies(
    bob, to_bob, accounts, mailoutbox
):
    make_rule(to_bob)
    make_rule(make_method(bob, "email", "bob@example.com"), delay_minutes=10)
    for server, _ in accounts:
        server.auth_token = "another"
    text, mail = page(bob)
    outbox.deliver(now=NOW)
    text.refresh_from_db()
    mail.refresh_from_db()
    assert (text.state, mail.state, mail.sent_at) == ("failed", "sent", NOW)
    assert len(mailoutbox) == 1


def test_an_open_circuit_is_passed_over_and_no_call_is_made(bob, to_bob, accounts):
    (main, first), (backup, second) = accounts
    for _ in range(5):
        main.next_answer(500)
    for number in range(5):
        person = make_person(f"Person{number}")
        make_method(person, "sms", f"+1415555010{number}")
        page(person, topic=f"incident:{number}")
    outbox.deliver(now=NOW)
    assert len(backup.messages) == 5
    assert Circuit.objects.get().failures == 5
    (row,) = page(bob, topic="incident:9")
    outbox.deliver(now=after(seconds=1))
    assert tries(row) == [second.key]
    # Half a minute later the first one is tried again, and works.
    (row,) = page(bob, topic="incident:10", now=after(seconds=31))
    outbox.deliver(now=after(seconds=31))
    assert tries(row) == [first.key]
    assert not Circuit.objects.exists()


def test_an_account_that_is_disabled_is_not_used(bob, to_bob, accounts):
    (main, first), (backup, second) = accounts
    first.is_enabled = False
    first.save()
    page(bob)
    outbox.deliver(now=NOW)
    assert (main.messages, len(backup.messages)) == ([], 1)


def test_three_accounts_are_all_tried_before_the_message_is_given_up(bob, to_bob, accounts):
    with running(FakeTwilio(account_sid="AC" + "c" * 32)) as third:
        accounts.append((third, ProviderFactory(name="third", position=3, config=third.config)))
        for server, _ in accounts:
            for _ in range(4):
                server.next_answer(500)
        (row,) = page(bob)
        deliver_until_it_ends(row)
    assert row.state == "failed"
    assert tries(row) == [provider.key for _, provider in accounts] * 4
    assert "answered 500" in row.reason


def test_a_try_that_never_ended_counts_against_no_account(bob, to_bob, accounts):
    (main, first), (backup, second) = accounts
    (row,) = page(bob)
    outbox.claim(NOW)
    main.next_answer(500)
    outbox.deliver(now=after(seconds=61))
    row.refresh_from_db()
    assert (row.state, row.provider, row.is_possible_repeat) == ("sent", second.key, True)
    assert tries(row) == ["", first.key, second.key]


def test_a_receipt_finds_the_message_whichever_account_sent_it(bob, to_bob, accounts):
    (main, _), (backup, _) = accounts
    main.next_answer(500)
    (row,) = page(bob)
    outbox.deliver(now=NOW)
    receipts.report("sms", backup.messages[0].sid, "delivered", at=after(seconds=3))
    row.refresh_from_db()
    assert (row.state, row.delivered_at) == ("delivered", after(seconds=3))


def test_without_an_account_the_message_fails_with_what_to_do(bob, to_bob, settings):
    settings.PROVIDERS = {}
    (row,) = page(bob)
    outbox.deliver(now=NOW)
    row.refresh_from_db()
    assert (row.state, row.reason) == ("failed", "No account of Twilio is set up. Add one in the admin.")
    assert ContactMethod.objects.get(pk=to_bob.pk).disabled_reason == ""


@pytest.mark.parametrize(
    "route, seconds",
    [
        ({"has_other": True}, 0),
        ({"may_recover": True}, 5),
        ({}, None),
    ],
)
def test_a_broken_account_waits_only_for_one_that_may_come_back(route, seconds):
    account = Account("twilio:1", "twilio", "main", {})
    route = Route(account=account, **route)
    assert results._wait(route, ProviderBroken("The token is wrong."), lambda: 0.0) == seconds
