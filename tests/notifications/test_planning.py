"""Pages become rows: once each, due at a time, in a constant number of statements."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from core import due
from notifications import outbox
from notifications.models import Notification
from tests.notifications.conftest import NOW, after, make_message, make_method, make_person, make_rule, page

pytestmark = pytest.mark.django_db


@pytest.fixture
def woken(monkeypatch):
    """What the queue is asked to look at; the queue itself is not ours to test."""
    kinds = []
    monkeypatch.setattr(due, "_enqueue", kinds.append)
    return kinds


def test_a_page_becomes_a_row_per_rule(bob):
    email, webhook = make_method(bob, "email", "bob@example.com"), make_method(bob)
    make_rule(email)
    make_rule(webhook, delay_minutes=5)
    first, second = page(bob)
    assert first.plan_key == f"incident:42:p1:u{bob.pk}:m{email.pk}d0"
    assert (first.channel, first.address, first.due_at, first.planned_at) == ("email", "b•••@example.com", NOW, NOW)
    assert (second.channel, second.due_at, second.planned_at) == ("webhook", after(minutes=5), after(minutes=5))
    assert first.link_expires_at == after(hours=24)
    assert first.message["title"] == "Checkout errors"
    assert (first.state, first.urgency, first.is_repeat) == ("pending", "high", False)


def test_a_page_planned_twice_is_written_once(bob):
    make_method(bob)
    page(bob)
    page(bob, now=after(minutes=1))
    assert Notification.objects.get().due_at == NOW


def test_the_outcome_says_what_was_planned_and_why(alice, bob):
    make_method(alice)
    make_method(bob, verified_at=None)
    pages = [outbox.Page("k", "t", pk, make_message()) for pk in (alice.pk, bob.pk, 999_999)]
    reached, unverified, unknown = outbox.plan_many(pages, now=NOW)
    assert (reached.page, reached.is_reachable, reached.planned[0].channel) == (pages[0], True, "webhook")
    assert not unverified.is_reachable
    assert "Bob has no verified contact method" in unverified.reasons[-1]
    assert unknown.reasons == ("Person number 999999 does not exist any more.",)
    assert Notification.objects.count() == 1


def test_the_reasons_keep_the_secret_part_of_a_web_address(bob):
    make_method(bob, address="https://hooks.example.com/SECRET", verified_at=None)
    (outcome,) = outbox.plan_many([outbox.Page("k", "t", bob.pk, make_message())], now=NOW)
    assert outcome.reasons[0] == "Bob's contact method webhook https://hooks.example.com/… is not verified."


def test_a_thousand_pages_cost_as_many_statements_as_one(bob, alice):
    make_rule(make_method(bob))
    make_method(alice)
    counts = []
    for name, many in (("few", 1), ("many", 1000)):
        pages = [
            outbox.Page(f"{name}:{number}", "t", person.pk, make_message())
            for number in range(many)
            for person in (alice, bob)
        ]
        with CaptureQueriesContext(connection) as queries:
            outbox.plan_many(pages, now=NOW)
        counts.append(sum("SAVEPOINT" not in query["sql"] for query in queries))
    assert counts == [3, 3]
    assert Notification.objects.count() == 2002


def test_people_already_loaded_are_not_loaded_again(bob):
    make_method(bob)
    people = outbox.reaches([bob.pk])
    with CaptureQueriesContext(connection) as queries:
        outbox.plan_many([outbox.Page("k", "t", bob.pk, make_message())], now=NOW, reaches=people)
    assert sum("SAVEPOINT" not in query["sql"] for query in queries) == 1


def test_a_worker_is_woken_for_what_is_due_at_once(bob, woken, django_capture_on_commit_callbacks):
    make_rule(make_method(bob), delay_minutes=5)
    with django_capture_on_commit_callbacks(execute=True):
        page(bob)
    assert woken == []
    make_rule(make_method(bob, "email", "bob@example.com"))
    with django_capture_on_commit_callbacks(execute=True):
        page(bob, number=2)
    assert woken == ["notifications.tasks.deliver"]


def test_no_page_costs_nothing(django_assert_num_queries):
    with django_assert_num_queries(0):
        assert outbox.plan_many([], now=NOW) == []
        assert outbox.reaches([]) == {}


def test_a_person_without_a_name_goes_by_the_address(db):
    person = make_person("")
    assert outbox.reaches([person.pk])[person.pk].name == person.email
