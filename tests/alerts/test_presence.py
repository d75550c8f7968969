"""Presence: while we were away nobody's heartbeat is missing, and after that real misses are found."""

import asyncio
import datetime as dt
import threading
import time

import pytest
from django.db import connection
from django.utils import timezone

from alerts import heartbeats, presence
from alerts.models import Heartbeat, Presence
from tests import factories
from tests.alerts.test_door import waits_for
from tests.house import House, wait_until
from tests.threads import at_once

pytestmark = pytest.mark.django_db(transaction=True)

SECOND, MINUTE, HOUR = dt.timedelta(seconds=1), dt.timedelta(minutes=1), dt.timedelta(hours=1)
DEADLINE = 6 * MINUTE


def pinged(at, **fields):
    """A heartbeat whose last ping was then."""
    one = factories.HeartbeatFactory(armed_at=at, last_ping_at=at, last_ping_via="GET", **fields)
    one.due_at = at + dt.timedelta(seconds=one.interval_seconds + one.grace_seconds)
    one.save()
    return one


def due(one):
    one.refresh_from_db()
    return one.due_at


def test_without_a_web_process_there_is_no_presence(now):
    assert presence.state() is None
    assert presence.is_away(now)
    assert presence.back_at(now) is None


def test_beats_close_together_are_no_gap(now):
    for seconds in (0, 5, 10, 40):
        presence.beat(now=now + seconds * SECOND)
    state = presence.state()
    assert (state.beat_at, state.away_at, state.back_at) == (now + 40 * SECOND, None, None)
    assert not presence.is_away(now + 70 * SECOND)
    assert presence.is_away(now + 71 * SECOND)


def test_a_gap_is_remembered(now):
    presence.beat(now=now)
    presence.beat(now=now + 10 * MINUTE)
    state = presence.state()
    assert (state.away_at, state.back_at) == (now, now + 10 * MINUTE)
    assert presence.back_at(now + 10 * MINUTE) == now + 10 * MINUTE
    presence.beat(now=now + 10 * MINUTE + 5 * SECOND)
    assert presence.state().back_at == now + 10 * MINUTE


def test_a_deadline_that_passed_while_we_were_away_counts_anew_from_our_return(now):
    one = pinged(now - 5 * MINUTE)
    presence.beat(now=now)
    back = now + 30 * MINUTE
    assert heartbeats.sweep(now=back) == 0, "before the first beat"
    assert presence.beat(now=back) == 1
    assert heartbeats.sweep(now=back) == 0
    assert due(one) == back + DEADLINE
    presence.beat(now=back + DEADLINE - 20 * SECOND)  # somewhat simplified: beats come every 5 seconds
    assert heartbeats.sweep(now=back + DEADLINE - SECOND) == 0
    due_at = due(one)
    Presence.objects.update(beat_at=due_at)
    assert heartbeats.sweep(now=due_at) == 1, "a real miss is found all the same"


def test_a_deadline_that_passed_before_we_went_is_a_real_miss(now):
    pinged(now - 7 * MINUTE)
    presence.beat(now=now)
    presence.beat(now=now + HOUR)
    assert heartbeats.sweep(now=now + HOUR) == 1


def test_a_ping_after_the_return_counts_and_not_the_gap(now):
    one = pinged(now - MINUTE)
    presence.beat(now=now)
    back = now + 10 * MINUTE
    Heartbeat.objects.update(last_ping_at=back - SECOND, due_at=back - SECOND + DEADLINE)  # before the first beat
    assert presence.beat(now=back) == 0
    assert due(one) == back - SECOND + DEADLINE


def test_a_ping_that_may_have_been_lost_puts_off_a_later_deadline(now):
    """Expected at 12:01, we were away from 12:00 to 12:01:30, and its deadline is only at 12:02."""
    one = pinged(now - 4 * MINUTE)
    presence.beat(now=now)
    back = now + 90 * SECOND
    presence.beat(now=back)
    assert due(one) == back + DEADLINE


def test_a_ping_that_is_not_expected_yet_is_not_waited_for_longer(now):
    daily = pinged(now - 2 * HOUR, interval_seconds=86400)
    before = daily.due_at
    presence.beat(now=now)
    presence.beat(now=now + MINUTE)
    assert due(daily) == before


def test_restarts_more_often_than_a_heartbeat_do_not_hide_its_miss(now):
    daily = pinged(now, interval_seconds=86400)
    presence.beat(now=now)
    at, found = now, 0
    while at < now + 72 * HOUR and not found:
        for _ in range(180):  # away for a minute at the end of each 3 hours; compressed: two beats
            at += MINUTE
            Presence.objects.update(beat_at=at)
            found = found or heartbeats.sweep(now=at)
        at += MINUTE
        presence.beat(now=at)
    assert found
    daily.refresh_from_db()
    assert daily.missed_at < now + 48 * HOUR


def test_missing_paused_and_unarmed_heartbeats_are_left_alone(now):
    presence.beat(now=now)
    missing = pinged(now, missed_at=now)
    Heartbeat.objects.filter(pk=missing.pk).update(due_at=None)
    paused, fresh = factories.HeartbeatFactory(is_enabled=False), factories.HeartbeatFactory()
    assert presence.beat(now=now + HOUR) == 0
    assert [due(one) for one in (missing, paused, fresh)] == [None] * 3


def test_two_web_processes_that_return_at_once_put_off_once(now):
    one = pinged(now - MINUTE)
    presence.beat(now=now)
    outcomes = at_once(*[lambda: presence.beat(now=now + HOUR)] * 4)
    assert sorted(outcomes) == [0, 0, 0, 1]
    assert due(one) == now + HOUR + DEADLINE


def test_a_clock_that_was_set_back_does_not_keep_us_present_for_ever(now):
    presence.beat(now=now + HOUR)
    presence.beat(now=now)
    assert presence.state().beat_at == now
    presence.beat(now=now - SECOND)  # of another machine, a little behind
    assert presence.state().beat_at == now


class Loop:
    """An event loop in a thread, that serves one request through the beater's wrapper and can be held up."""

    def __enter__(self):
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        return self

    def serve(self, beater):
        async def app(scope, receive, send):
            pass

        asyncio.run_coroutine_threadsafe(beater.around(app)({}, None, None), self.loop).result(5)

    def __exit__(self, *error):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


@pytest.fixture
def beater():
    one = presence.Beater(every=0.05)
    one.start()
    yield one
    one.stop()
    one.join(10)


def beats_on():
    before = Presence.objects.values_list("beat_at", flat=True).first()
    return waits_for(lambda: Presence.objects.values_list("beat_at", flat=True).first() != before)


def test_a_web_process_beats_while_its_event_loop_answers(beater):
    assert beats_on(), "also before the first request"
    with Loop() as loop:
        loop.serve(beater)
        assert beats_on()
        held = threading.Event()
        loop.loop.call_soon_threadsafe(held.wait)
        time.sleep(0.3)
        before = presence.state().beat_at
        time.sleep(0.5)
        assert presence.state().beat_at == before, "a process whose loop hangs cannot be reached"
        held.set()
        assert beats_on()


def test_the_beat_outlives_an_outage_of_the_database(beater):
    assert beats_on()
    table = Presence._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} RENAME TO elsewhere")
        time.sleep(0.3)
        cursor.execute(f"ALTER TABLE elsewhere RENAME TO {table}")
    assert beats_on()


def test_real_processes_a_dead_web_process_makes_no_false_miss_and_a_real_one_is_found(tmp_path, service):
    """Away for longer than the whole deadline: nothing is missing then. Afterwards it stays away for real."""
    house = House(tmp_path)
    try:
        house.start_all()
        one = factories.HeartbeatFactory(service=service, interval_seconds=10, grace_seconds=5)
        wait_until(lambda: presence.state(), 30, "the web process beats")
        heartbeats.arm(one, now=timezone.now())
        house.kill("web")
        time.sleep(35)
        one.refresh_from_db()
        assert one.due_at < timezone.now()
        assert one.missed_at is None
        house.start("web")
        wait_until(lambda: due(one) and one.due_at > timezone.now(), 30, "its deadline is put off")
        assert one.missed_at is None
        assert Presence.objects.get().back_at
        wait_until(lambda: Heartbeat.objects.filter(missed_at__isnull=False).exists(), 60, "the real miss is found")
        wait_until(lambda: heartbeats.alerts_of(one).exists(), 30, "it becomes an alert")
        assert heartbeats.alerts_of(one).get().incident.title.endswith("is missing")
    finally:
        house.stop()
