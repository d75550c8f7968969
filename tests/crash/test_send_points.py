"""SIGKILL and SIGSTOP to a real worker at each point of a send: never no page, at most one double, and it says so."""

import datetime as dt
import os
import signal

import pytest
from django.utils import timezone

from core.models import Counter, WorkerBeat
from notifications import outbox
from notifications.message import Message
from notifications.models import Attempt, Notification
from tests import factories
from tests.crash.points import frozen, kill, waits_for_a_lock
from tests.fakes.sink import sink
from tests.house import House, wait_until

pytestmark = pytest.mark.crash


@pytest.fixture
def pages():
    with sink() as server:
        yield server


@pytest.fixture
def house(transactional_db, tmp_path):
    tmp_path.chmod(0o755)
    house = House(tmp_path, WORKERS="1")
    yield house
    house.stop()


def plan(address):
    """Page Bob at an address, due at once."""
    person = factories.UserFactory(name="Bob")
    factories.ContactMethodFactory(user=person, channel="webhook", address=address)
    message = Message(title="Checkout errors", body="5 % of orders fail.", thread="incident-42", subject="[#42]")
    outbox.plan_many([outbox.Page("incident:42:p1", "incident:42", person.pk, message)], now=timezone.now())
    return Notification.objects.get(topic="incident:42")


def start(house):
    house.start("ticker")
    house.start("worker")
    wait_until(WorkerBeat.objects.exists, 60, "the worker runs")


def taken_over(house, row):
    """Let the lease of a minute be over, and a second worker take over; return the row when that is done."""
    past = timezone.now() - dt.timedelta(seconds=1)
    Notification.objects.filter(pk=row.pk, state="sending").update(due_at=past, lease_until=past)
    house.start("worker")
    wait_until(lambda: Notification.objects.get(pk=row.pk).state == "delivered", 60, "the page is delivered")
    return Notification.objects.get(pk=row.pk)


def assert_sent(pages, row, calls):
    """So many calls with one id between them, the last of which says that it may be a double."""
    assert len(pages.requests) == calls
    assert len({request.headers["webhook-id"] for request in pages.requests}) == 1
    assert row.is_possible_repeat
    assert b"You may have received this page before" in pages.requests[-1].body
    assert Attempt.objects.filter(notification=row).count() == 2
    assert not Notification.objects.unsettled().exists()


def test_killed_after_the_claim(house, pages):
    # The wordings are read after the claim is committed and before any call is made.
    with frozen(house, "LOCK TABLE notifications_wording IN ACCESS EXCLUSIVE MODE"):
        start(house)
        row = plan(pages.url("/"))
        wait_until(waits_for_a_lock, 60, "the worker has claimed the page")
        assert Notification.objects.get(pk=row.pk).state == "sending"
        kill(house, "worker")
    assert pages.requests == []
    assert_sent(pages, taken_over(house, row), calls=1)


def test_killed_after_the_provider_took_the_page(house, pages):
    start(house)
    row = plan(pages.url("/stall"))
    wait_until(lambda: pages.requests, 60, "the page has arrived")
    kill(house, "worker")
    pages.go_on.set()
    assert_sent(pages, taken_over(house, row), calls=2)


def test_killed_before_the_result_is_stored(house, pages):
    start(house)
    row = plan(pages.url("/stall"))
    wait_until(lambda: pages.requests, 60, "the page has arrived")
    with frozen(house, "SELECT 1 FROM notifications_notification WHERE id = %s FOR UPDATE", row.pk):
        pages.go_on.set()
        wait_until(waits_for_a_lock, 60, "the worker wants to store the result")
        kill(house, "worker")
    assert Notification.objects.get(pk=row.pk).state == "sending"
    assert_sent(pages, taken_over(house, row), calls=2)


def test_killed_after_the_result_is_stored_and_before_it_is_committed(house, pages):
    start(house)
    row = plan(pages.url("/stall"))
    wait_until(lambda: pages.requests, 60, "the page has arrived")
    # The counters are the last that is written with a result.
    with frozen(house, "LOCK TABLE core_counter IN EXCLUSIVE MODE"):
        pages.go_on.set()
        wait_until(waits_for_a_lock, 60, "the worker has stored the result")
        kill(house, "worker")
    assert Notification.objects.get(pk=row.pk).state == "sending"
    assert_sent(pages, taken_over(house, row), calls=2)


def test_paused_until_long_after_its_lease(house, pages):
    start(house)
    row = plan(pages.url("/stall"))
    wait_until(lambda: pages.requests, 60, "the page has arrived")
    paused = house.running.pop("worker")
    house.running["paused"] = paused
    os.killpg(paused.pid, signal.SIGSTOP)
    pages.go_on.set()
    first = taken_over(house, row)
    os.killpg(paused.pid, signal.SIGCONT)
    wait_until(
        lambda: not Attempt.objects.filter(notification=row, finished_at=None).exists(), 60, "it has noted its result"
    )
    assert_sent(pages, first, calls=2)
    now = Notification.objects.get(pk=row.pk)
    assert (now.state, now.sent_at, now.attempts) == (first.state, first.sent_at, first.attempts)
    sent = Counter.objects.filter(name="notifications_sent_total").values_list("value", flat=True)
    assert list(sent) == [1]
