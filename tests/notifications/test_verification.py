"""A code is sent to an address and typed in: then the address is verified."""

import datetime
import json
import re
import threading

import pytest
from django.core import mail
from django.db import connection

from core.errors import DomainError, TooMany
from notifications import outbox, verification
from notifications.models import Attempt, ContactMethod, Notification
from tests.notifications.conftest import NOW, after, make_method, make_person

pytestmark = pytest.mark.django_db


@pytest.fixture
def method(bob):
    return make_method(bob, "email", "bob@example.com", verified_at=None)


def code_in(text):
    return "".join(re.search(r"(\d{3}) (\d{3})", text).groups())


def send(method, now=NOW):
    """Send a code and deliver it; the code that arrived."""
    verification.send_code(method.pk, by=method.user, now=now)
    outbox.deliver(now=now)
    return code_in(mail.outbox[-1].body)


def wrong(code):
    return f"{(int(code) + 1) % 1_000_000:06}"


def test_the_code_that_arrived_verifies_the_address(method, bob):
    code = send(method)
    assert mail.outbox[0].to == ["bob@example.com"]
    assert code_in(mail.outbox[0].subject) == code
    verification.confirm(method.pk, f" {code[:3]} {code[3:]} ", by=bob, now=after(minutes=9))
    method.refresh_from_db()
    assert (method.verified_at, method.code_hash, method.code_tries) == (after(minutes=9), "", 0)


def test_the_code_stands_nowhere_in_the_database(method):
    code = send(method)
    notification = Notification.objects.get()
    assert notification.state == "sent"
    assert verification.HIDDEN in notification.message["title"]
    method.refresh_from_db()
    with connection.cursor() as cursor:
        for model in (Notification, Attempt, ContactMethod):
            cursor.execute(f"SELECT * FROM {model._meta.db_table}")
            stored = json.dumps([[str(value) for value in row] for row in cursor.fetchall()])
            assert code not in re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}|\.\d{6}|[0-9a-f]{32,}|gAAAA[\w=-]+", "", stored)
            assert f"{code[:3]} {code[3:]}" not in stored
    assert method.code_hash


def test_a_wrong_code_says_how_many_tries_are_left_and_the_fifth_ends_it(method, bob):
    code = send(method)
    for left in ("4 tries are", "3 tries are", "2 tries are", "1 try is"):
        with pytest.raises(DomainError, match=f"{left} left"):
            verification.confirm(method.pk, wrong(code), by=bob, now=NOW)
    with pytest.raises(DomainError, match="it was the last try"):
        verification.confirm(method.pk, wrong(code), by=bob, now=NOW)
    with pytest.raises(DomainError, match="tried 5 times"):
        verification.confirm(method.pk, code, by=bob, now=NOW)
    method.refresh_from_db()
    assert method.verified_at is None


def test_a_code_expires_after_ten_minutes(method, bob):
    code = send(method)
    with pytest.raises(DomainError, match="has expired"):
        verification.confirm(method.pk, code, by=bob, now=after(minutes=10))


def test_without_a_code_nothing_is_confirmed(method, bob):
    for text in ("", "000000", "١٢٣٤٥٦"):
        with pytest.raises(DomainError, match="No code was sent"):
            verification.confirm(method.pk, text, by=bob, now=NOW)


def test_a_new_code_replaces_the_one_before(method, bob):
    first, second = send(method), send(method, after(minutes=1))
    if first != second:
        with pytest.raises(DomainError, match="not the code"):
            verification.confirm(method.pk, first, by=bob, now=after(minutes=2))
    assert verification.confirm(method.pk, second, by=bob, now=after(minutes=2)).is_usable


def test_a_code_proves_only_the_address_that_it_was_sent_to(method, bob):
    code = send(method)
    ContactMethod.objects.filter(pk=method.pk).update(address="other@example.com")
    with pytest.raises(DomainError, match="not the code"):
        verification.confirm(method.pk, code, by=bob, now=NOW)


def test_a_fourth_code_to_one_address_has_to_wait_even_for_somebody_else(method, bob, charlie):
    for minute in range(3):
        verification.send_code(method.pk, by=bob, now=after(minutes=minute))
    with pytest.raises(TooMany, match="Wait 7 minutes"):
        verification.send_code(method.pk, by=bob, now=after(minutes=3))
    same = make_method(charlie, "email", "bob@example.com", verified_at=None)
    with pytest.raises(TooMany, match="to this address"):
        verification.send_code(same.pk, by=charlie, now=after(minutes=3))
    method.delete()  # which does not make anybody forget
    again = make_method(bob, "email", "bob@example.com", verified_at=None)
    with pytest.raises(TooMany):
        verification.send_code(again.pk, by=bob, now=after(minutes=3))
    verification.send_code(again.pk, by=bob, now=after(minutes=10))


def test_a_person_gets_ten_codes_in_an_hour_at_most(bob):
    for number in range(10):
        one = make_method(bob, "email", f"bob{number}@example.com", verified_at=None)
        verification.send_code(one.pk, by=bob, now=NOW)
    last = make_method(bob, "email", "last@example.com", verified_at=None)
    with pytest.raises(TooMany, match="Wait 30 minutes"):
        verification.send_code(last.pk, by=bob, now=after(minutes=30))
    verification.send_code(last.pk, by=bob, now=after(minutes=60))


def test_codes_go_to_no_verified_and_no_disabled_address(bob):
    verified = make_method(bob, "email", "bob@example.com")
    with pytest.raises(DomainError, match="verified already"):
        verification.send_code(verified.pk, by=bob, now=NOW)
    dead = make_method(bob, "email", "old@example.com", verified_at=None, disabled_reason="No such person here.")
    with pytest.raises(DomainError, match="No such person here"):
        verification.send_code(dead.pk, by=bob, now=NOW)


def test_a_code_goes_out_before_everything_else(method, bob):
    notification = verification.send_code(method.pk, by=bob, now=NOW)
    assert (notification.urgency, notification.is_repeat, notification.due_at) == ("high", False, NOW)
    assert (notification.kind, notification.contact_method, notification.user) == ("verification", method, bob)


@pytest.mark.django_db(transaction=True)
def test_twenty_guesses_at_once_are_five():
    method = make_method(make_person("Bob"), "email", "bob@example.com", verified_at=None)
    bob = method.user
    verification.send_code(method.pk, by=bob, now=NOW)
    answers, start = [], threading.Barrier(20)

    def guess(number):
        start.wait()
        try:
            verification.confirm(method.pk, f"9{number:06}", by=bob, now=NOW + datetime.timedelta(seconds=1))
        except DomainError as error:
            answers.append(error.code)
        finally:
            connection.close()

    threads = [threading.Thread(target=guess, args=[number]) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (answers.count("wrong_code"), answers.count("no_valid_code")) == (5, 15)
