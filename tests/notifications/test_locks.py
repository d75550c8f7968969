"""Locks: whoever answers, sends and reports at the same moment never waits for each other in a circle."""

import functools
import random
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import transaction

from core.errors import DomainError, SendError
from incidents import lifecycle
from notifications import alarms, bundling, losses, outbox, receipts, results
from notifications.channels.base import Accepted, DeadAddress
from notifications.models import Alarm, Attempt, Notification
from notifications.sending import Sent
from tests.factories import IncidentFactory
from tests.house import wait_until
from tests.notifications.conftest import NOW, after, make_message, make_method, make_person, make_rule
from tests.threads import at_once, waits_for_us

pytestmark = pytest.mark.django_db(transaction=True)


def plan(incidents, people, *, now=NOW):
    pages = [
        outbox.Page(f"{each.topic}:p1", each.topic, person.pk, make_message())
        for each in incidents
        for person in people
    ]
    outbox.plan_many(pages, now=now)


def arrive(jobs, at):
    """Note that these went out, as a worker does; without any network."""
    results.record([results.after(Sent(job, at, Accepted(f"id-{job.pk}"), called_at=at)) for job in jobs], now=at)


def test_bundles_end_while_their_incidents_are_acknowledged():
    """A bundle, whose members have low numbers, ends together with single pages, whose numbers are high."""
    bob, alice = make_person("Bob"), make_person("Alice")
    make_method(bob, "email", "bob@example.com")
    make_method(alice)
    for turn in range(12):
        incidents = [IncidentFactory() for _ in range(8)]
        plan(incidents, [bob, alice], now=after(minutes=turn))
        at = after(minutes=turn)
        jobs = outbox._prepare(outbox.claim(at), at)
        assert any(job.topic.startswith(bundling.PREFIX) for job in jobs)
        outcomes = at_once(
            lambda jobs=jobs, at=at: arrive(jobs, at),
            *[
                lambda number=each.pk, at=at: lifecycle.acknowledge(number, by=alice, now=at)
                for each in incidents[::2]
            ],
        )
        assert [each for each in outcomes if isinstance(each, Exception)] == []
    assert not Notification.objects.filter(state="sending").exists()


def test_everything_at_once_neither_deadlocks_nor_loses_a_message(settings):
    settings.RETRY_DELAYS_SECONDS = [1]
    people = [make_person(name) for name in ("Alice", "Bob", "Charlie")]
    for person in people:
        make_rule(make_method(person, "email", f"{person.name}@example.com"))
        make_rule(make_method(person))
        make_rule(make_method(person, "sms", f"+1415555000{person.pk % 10}"), delay_minutes=1)
    dice = random.Random(1)

    def work(at):
        jobs = outbox._prepare(outbox.claim(at, 20), at)
        errors = {
            0: SendError("Later."),
            1: SendError("Never.", permanent=True),
            2: DeadAddress("Gone.") if at.second % 20 == 0 else SendError("Later."),
        }
        ended = []
        for job in jobs:
            error = errors.get(dice.randrange(8))
            said = None if error else Accepted(f"id-{job.pk}")
            ended.append(results.after(Sent(job, at, said, error=error, called_at=at)))
        results.record(ended, now=at)

    def report(at):
        for row in Notification.objects.filter(state="sent").exclude(provider_id="").order_by("?")[:10]:
            state = dice.choice(["delivered", "read", "failed"])
            receipts.report(row.channel, row.provider_id, state, at=at, error="It came back.")

    def answer(number, by, at):
        try:
            lifecycle.acknowledge(number, by=by, now=at)
            lifecycle.resolve(number, by=by, now=at)
        except DomainError:  # somebody else was first
            pass

    for turn in range(12):
        at = after(seconds=5 * turn)
        incidents = [IncidentFactory() for _ in range(6)]
        plan(incidents, people, now=at)
        Notification.objects.filter(state="sent").update(receipt_due_at=at)
        outcomes = at_once(
            *[lambda at=at: [work(at) for _ in range(4)]] * 2,
            *[lambda at=at: [report(at) for _ in range(2)]] * 2,
            lambda at=at: receipts.note_missing(at),
            *[
                lambda by=by, at=at, incidents=incidents: [answer(each.pk, by, at) for each in incidents[::2]]
                for by in people[:2]
            ],
        )
        assert [each for each in outcomes if isinstance(each, Exception)] == []
    # What is neither settled nor sent is due, or in a bundle that is: nothing waits for nobody.
    for second in range(60, 400, 2):
        if not Notification.objects.unsettled().exists():
            break
        work(after(seconds=second))
    assert not Notification.objects.unsettled().exists()


@pytest.mark.parametrize("how", ["a receipt", "the send itself"])
def test_a_message_that_arrives_waits_for_no_alarm_while_it_holds_its_row(how):
    """Whoever tells a loss holds the alarm, and then wants the rows of the messages."""
    incident, person = IncidentFactory(), make_person("Bob")
    make_method(person)
    plan([incident], [person])
    at = after(seconds=1)
    (job,) = outbox._prepare(outbox.claim(at), at)
    key = losses.unreachable_key(incident.topic, person.pk)
    alarms.raise_alarm(key, "Nobody.", now=NOW)
    row = Notification.objects.filter(pk=job.pk)
    if how == "a receipt":
        arrive([job], at)
        row.update(state="sent")
        call = functools.partial(receipts.report, job.channel.kind, f"id-{job.pk}", "delivered", at=at)
    else:
        call = functools.partial(arrive, [job], at)
    Alarm.objects.update(cleared_at=None)
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            assert Alarm.objects.select_for_update().get(key=key).cleared_at is None
            done = pool.submit(at_once, call)
            wait_until(waits_for_us, 10, "it waits for the alarm")
            assert row.select_for_update(nowait=True).get().state in ("sent", "delivered")
        assert [each for each in done.result(10) if isinstance(each, Exception)] == []
    assert Alarm.objects.get(key=key).cleared_at


@pytest.mark.parametrize("how", ["loss", "settled", "claimed"])
def test_who_refers_to_a_locked_message_does_not_wait(how):
    """Foreign keys are checked at the commit: whoever holds other messages by then would wait crosswise."""
    incident, person = IncidentFactory(), make_person("Bob")
    make_method(person)
    plan([incident], [person])
    pk = Notification.objects.get().pk
    lock = {
        "loss": lambda: losses.lock([pk]),
        "settled": lambda: outbox.settle([incident.topic], reason="It is over.", now=NOW),
        "claimed": lambda: outbox.claim(after(seconds=1)),
    }[how]
    about = {"notification_id": pk, "number": 9, "lease_token": uuid.uuid4(), "started_at": NOW}
    with ThreadPoolExecutor(1) as pool, transaction.atomic():
        lock()
        (made,) = pool.submit(at_once, lambda: Attempt.objects.create(**about)).result(10)
    assert made.notification_id == pk
