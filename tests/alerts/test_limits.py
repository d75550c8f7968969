"""What comes above a rate waits for its place or shares an incident; it is never lost, and urgent news goes first."""

import collections
import datetime as dt
import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.utils import timezone

from alerts import backlog, ingest, limits
from alerts.deciding import AT_ONCE, DECIDE_BURST, QUIET_BURST, RESERVE_BURST, Decider
from alerts.event import ACKNOWLEDGE, RESOLVE, TRIGGER, Event
from alerts.models import Alert, InboundEvent
from notifications.models import Alarm
from tests import factories
from tests.alerts.test_door import Server, stuck_inserts, waits_for

SECOND = dt.timedelta(seconds=1)


def event(key="disk", action=TRIGGER, severity="medium"):
    return Event(action, key, severity=severity)


@pytest.fixture
def place(now):
    """`place(event, ..., second=0)` is the Place of a request of these events, at 60 a minute."""
    pace = limits.Pace()

    def one(*events, second=0, severity=""):
        at = now + second * SECOND
        return pace.place(list(events), now=at, per_minute=60, default_severity=severity)

    one.pace = pace
    return one


# --- the rate, pure -----------------------------------------------------------------------------------------------


def test_a_minutes_worth_is_decided_at_once_and_then_each_has_its_place(place, now):
    for _ in range(60):
        assert place(event()) == limits.Place()
    assert place(event()) == limits.Place()  # the one that ends the minute
    assert [place(event()).due_at for _ in range(3)] == [now + n * SECOND for n in (1, 2, 3)]


def test_after_a_calm_minute_the_rate_has_room_again(place, now):
    for _ in range(200):
        place(event())
    assert place(event(), second=400).due_at is None


def test_nothing_waits_longer_than_ten_minutes_and_then_no_longer_than_that(place, now):
    for _ in range(5000):
        due_at = place(event()).due_at
    assert due_at == now + limits.LONGEST_WAIT
    assert place(event(), second=720).due_at is None


def test_a_request_of_many_alerts_counts_as_many(place, now):
    place(*[event() for _ in range(120)])
    assert place(event()).due_at == now + 60 * SECOND


def crowd(place, count=200):
    for _ in range(count):
        place(event("noise", severity="low"))


@pytest.mark.parametrize("severity", ["critical", "high"])
def test_urgent_news_does_not_wait(place, severity):
    crowd(place)
    assert place(event("new", severity=severity)) == limits.Place()
    assert place(event("another", severity=""), severity=severity) == limits.Place()


def test_what_calls_nobody_loudly_and_what_is_known_waits(place):
    crowd(place)
    assert place(event("new", severity="medium")).due_at
    assert place(event("first", severity="critical")) == limits.Place()
    assert place(event("first", severity="critical")).due_at


def test_a_key_that_was_resolved_or_not_heard_of_for_long_is_news_again(place):
    place(event("a", severity="critical"))
    place(event("a", RESOLVE))
    place(event("b", severity="critical"))
    crowd(place)
    assert place(event("a", severity="critical")) == limits.Place()
    assert place(event("b", severity="critical")).due_at
    for _ in range(30):
        crowd(place, 60)
    assert place(event("b", severity="critical"), second=700).due_at is None


def test_events_of_one_key_keep_their_order(place, now):
    """The end waits, so the next beginning may not be decided before it: all that waits goes first."""
    place(event("a", severity="critical"))
    crowd(place)
    end = place(event("a", RESOLVE))
    assert end.due_at > now
    assert place(event("a", severity="critical")) == limits.Place(in_a_hurry=True)


def test_urgent_news_beside_repeats_that_wait_passes_them(place):
    """As when Alertmanager sends a group again, with one more alert in it: repeats may come in any order."""
    place(event("a", severity="critical"))
    crowd(place)
    assert place(event("a", severity="critical")).due_at
    assert place(event("a", severity="critical"), event("b", severity="critical")) == limits.Place()


def test_an_end_never_passes_the_repeats_of_its_key(place, now):
    place(event("a"))
    crowd(place)
    repeat = place(event("a")).due_at
    assert place(event("a", RESOLVE)).due_at >= repeat
    last = place(event("a", ACKNOWLEDGE), second=1).due_at
    place.pace._free_at = None  # as if the rate had room again
    assert place(event("a"), second=2).due_at >= last


def test_the_places_that_another_process_gave_away_are_taken(place, now):
    crowd(place, 61)
    place.pace.heard_of(now + 30 * SECOND)
    assert place(event()).due_at == now + 30 * SECOND
    place.pace.heard_of(now + 5 * SECOND)
    assert place(event()).due_at == now + 31 * SECOND


def test_what_is_known_of_keys_is_bounded(place):
    for number in range(limits.KEYS_KEPT + 50):
        place(event(f"key-{number}"))
    assert len(place.pace._keys) == limits.KEYS_KEPT


# --- incidents a minute, pure -------------------------------------------------------------------------------------


def test_a_service_may_open_so_many_incidents_a_minute_and_others_as_many():
    storms = limits.Storms({1: 58})
    assert [storms.may_open(1, 60) for _ in range(4)] == [True, True, False, False]
    assert storms.may_open(2, 60)
    assert storms.may_open(1, 0)


def test_a_storm_hides_nothing_louder_and_nobody_elses():
    keys = {
        limits.storm_key("low"),
        limits.storm_key("critical"),
        limits.storm_key("critical", policy_id=3),
        limits.storm_key("critical", pages=False),
    }
    assert len(keys) == 4
    assert all(key.startswith(limits.STORM) for key in keys)


# --- what a web process decides itself, pure ----------------------------------------------------------------------


def test_a_storm_through_one_key_leaves_the_process_open_for_a_quiet_one():
    decider = Decider(lambda ids, now: None)
    clock = decider._shared._at
    taken = sum("noisy" in decider.choose({"noisy": 20}, clock + number * 0.01) for number in range(500))
    assert DECIDE_BURST / 20 <= taken <= DECIDE_BURST / 20 + 5 * 50 / 20 + 1
    for number in range(RESERVE_BURST):
        assert decider.choose({"noisy": 100, f"quiet-{number}": 1}, clock + 5) == {f"quiet-{number}"}


def test_a_quiet_scope_that_becomes_noisy_has_no_reserve():
    decider = Decider(lambda ids, now: None)
    clock = decider._shared._at
    decider.choose({"noisy": DECIDE_BURST}, clock)
    assert sum("other" in decider.choose({"other": 1}, clock) for _ in range(100)) == QUIET_BURST


def test_without_a_way_to_decide_everything_is_left_to_the_workers():
    assert Decider(None).choose({"a": 1}) == set()


def test_the_deciding_thread_takes_scopes_in_turns():
    decider = Decider(lambda ids, now: None)
    for scope, count in (("noisy", 200), ("quiet", 1)):
        for number in range(count):
            decider._waiting.setdefault(scope, collections.deque()).append(f"{scope}-{number}")
    first = decider._next()
    assert len(first) == AT_ONCE
    assert first[:3] == ["noisy-0", "quiet-0", "noisy-1"]


# --- at the door --------------------------------------------------------------------------------------------------


@pytest.fixture
def limited(transactional_db, service):
    return factories.IntegrationFactory(
        name="Noise", source="generic", service=service, events_per_minute=10, default_severity="low"
    )


def test_what_is_above_the_rate_is_accepted_and_decided_in_its_place(limited):
    with Server(decide=ingest.decide_ids) as server:
        for _ in range(20):
            assert server.post(f"/in/generic/{limited.key}", {"title": "Noise", "dedup_key": "noise"}).status == 202
        urgent = {"title": "Fire", "severity": "critical", "dedup_key": "fire"}
        assert server.post(f"/in/generic/{limited.key}", urgent).status == 202
    rows = list(InboundEvent.objects.order_by("received_at"))
    assert len(rows) == 21
    waiting = [row for row in rows if row.due_at and row.due_at - row.received_at > 3 * SECOND]
    assert len(waiting) >= 8
    assert rows[-1] not in waiting
    assert [row.due_at for row in waiting] == sorted(row.due_at for row in waiting)
    now = timezone.now()
    while ingest.sweep(now=now + 3 * SECOND):
        pass
    assert Alert.objects.filter(dedup_key="fire").exists()
    assert InboundEvent.objects.filter(state="pending").exists()
    while ingest.sweep(now=now + limits.LONGEST_WAIT):
        pass
    assert Alert.objects.get(dedup_key="noise").occurrences == 20
    assert not InboundEvent.objects.exclude(state="decided").exists()


def test_two_web_processes_share_the_places_of_a_sender(limited):
    with Server() as one, Server() as other:
        for _ in range(12):
            one.post(f"/in/generic/{limited.key}", {"title": "Noise", "dedup_key": "noise"})
            other.post(f"/in/generic/{limited.key}", {"title": "Noise", "dedup_key": "noise"})
        last = InboundEvent.objects.order_by("due_at").last().due_at
        # Above its own rate, the other process asks which places are gone before it gives away more.
        other.door._current.paces._paces[f"integration:{limited.pk}"][1] = 0
        other.post(f"/in/generic/{limited.key}", {"title": "Noise", "dedup_key": "noise"})
    assert InboundEvent.objects.order_by("received_at").last().due_at >= last


def test_urgent_news_about_a_key_whose_end_waits_lets_all_that_waits_go_first(limited):
    with Server() as server:
        fire = {"title": "Fire", "severity": "critical", "dedup_key": "fire"}
        server.post(f"/in/generic/{limited.key}", fire)
        for _ in range(20):
            server.post(f"/in/generic/{limited.key}", {"title": "Noise", "dedup_key": "noise"})
        server.post(f"/in/generic/{limited.key}", {"action": "resolve", "dedup_key": "fire"})
        assert InboundEvent.objects.order_by("received_at").last().due_at > timezone.now() + 3 * SECOND
        server.post(f"/in/generic/{limited.key}", fire)
    ingest.sweep(now=timezone.now())
    assert not InboundEvent.objects.exclude(state="decided").exists()
    assert Alert.objects.filter(dedup_key="fire").count() == 2
    assert Alert.objects.firing().filter(dedup_key="fire").count() == 1


def test_admins_are_told_that_the_events_of_an_integration_wait_and_when_they_no_longer_do(limited, now):
    rows = [
        InboundEvent(
            source="generic",
            scope=f"integration:{limited.pk}",
            integration=limited,
            service_id=limited.service_id,
            body=json.dumps({"title": "Noise", "dedup_key": "noise"}).encode(),
            received_at=now,
            due_at=now + second * SECOND,
        )
        for second in (5, 65)
    ]
    InboundEvent.objects.bulk_create(rows)
    ingest.sweep(now=now + 5 * SECOND)
    alarm = Alarm.objects.get(cleared_at=None)
    assert "“Noise” sends more than its 10 events a minute" in alarm.text
    assert "60 s" in alarm.text
    backlog.clear_limit_alarms(now=now + 6 * SECOND)
    assert Alarm.objects.filter(cleared_at=None).exists()
    InboundEvent.objects.filter(pk=rows[1].pk).update(state="decided", due_at=None)
    backlog.clear_limit_alarms(now=now + 66 * SECOND)
    assert not Alarm.objects.filter(cleared_at=None).exists()


def test_a_key_has_three_quarters_of_the_queue_and_others_still_get_in(limited, service, settings):
    settings.INGEST_QUEUE_LIMIT = 8
    other = factories.IntegrationFactory(source="generic", service=service)
    noisy, quiet = f"/in/generic/{limited.key}", f"/in/generic/{other.key}"
    with Server() as server, ThreadPoolExecutor(16) as pool:
        server.post(noisy)
        server.post(quiet)
        with stuck_inserts():
            waiting = [pool.submit(server.post, noisy) for _ in range(6)]
            assert waits_for(lambda: server.door.queued == 6)
            refused = server.post(noisy)
            waiting += [pool.submit(server.post, quiet) for _ in range(2)]
            assert waits_for(lambda: server.door.queued == 8)
            full = server.post(quiet)
        assert [one.result().status for one in waiting] == [202] * 8
        assert (refused.status, full.status) == (503, 503)
        assert refused.headers["retry-after"]
        assert server.post(noisy).status == 202
