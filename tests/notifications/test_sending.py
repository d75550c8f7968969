"""Lanes: what is slow holds up itself alone."""

import asyncio
import dataclasses
import datetime
import threading
import time
import uuid

import pytest

from notifications import sending
from notifications.channels.base import Accepted, Channel
from tests.notifications.conftest import NOW, make_message


class Gate(Channel):
    """Sends to "slow" wait until the gate opens."""

    kind, label = "gate", "Gate"

    def __init__(self):
        self.is_open = threading.Event()
        self.at_once, self.most_at_once = 0, 0

    def lane(self, address):
        return address

    def send(self, address, outgoing):
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        if address.startswith("slow"):
            self.is_open.wait(10)
        self.at_once -= 1
        return "id"


@pytest.fixture
def gate():
    channel = Gate()
    yield channel
    channel.is_open.set()


def job(channel, pk, address):
    return sending.Job(
        pk=pk,
        lease_token=uuid.uuid4(),
        uuid=uuid.uuid4(),
        topic="t",
        plan_key=f"t:u1:{pk}",
        user_id=1,
        channel=channel,
        contact_method_id=1,
        address=address,
        shown=address,
        secret="",
        person="Bob",
        message=make_message(),
        attempt=1,
        planned_at=NOW,
        is_possible_repeat=False,
    )


def collect(lanes, count, seconds=5):
    found, until = [], time.monotonic() + seconds
    while len(found) < count and time.monotonic() < until:
        found += lanes.results(timeout=0.05)
    return found


def test_a_stuck_lane_leaves_threads_to_the_others(gate):
    with sending.Lanes(lambda: NOW, threads=4, lane_threads=2) as lanes:
        lanes.add([job(gate, number, "slow") for number in range(6)])
        lanes.add([job(gate, number, "quick") for number in range(10, 20)])
        quick = collect(lanes, 10)
        assert sorted(sent.job.pk for sent in quick) == list(range(10, 20))
        assert lanes.waiting == 4
        gate.is_open.set()
        assert len(collect(lanes, 6)) == 6
        assert not lanes.is_busy


def test_several_stuck_lanes_leave_threads_to_the_others(gate):
    """Texts, calls and a chat that hang together, as when the network to all of them is gone."""
    with sending.Lanes(lambda: NOW) as lanes:
        for number in range(4):
            lane = [job(gate, 1000 * number + each, f"slow {number}") for each in range(sending.LANE_THREADS)]
            lanes.add(lane)
        lanes.add([job(gate, 9000, "quick")])
        assert [sent.job.pk for sent in collect(lanes, 1)] == [9000]


def test_a_stuck_lane_hands_its_waiting_messages_back(gate, monkeypatch):
    monkeypatch.setattr(sending, "STUCK_SECONDS", 0.1)
    with sending.Lanes(lambda: NOW, threads=4, lane_threads=2) as lanes:
        lanes.add([job(gate, number, "slow") for number in range(6)])
        assert lanes.give_back() == []
        time.sleep(0.15)
        assert [each.pk for each in lanes.give_back()] == [2, 3, 4, 5]
        assert lanes.waiting == 0
        gate.is_open.set()
        assert sorted(sent.job.pk for sent in collect(lanes, 2)) == [0, 1]
        assert not lanes.is_busy


def test_everything_that_waits_can_be_taken_back_at_the_end(gate):
    with sending.Lanes(lambda: NOW, threads=4, lane_threads=2) as lanes:
        lanes.add([job(gate, number, "slow") for number in range(6)])
        time.sleep(0.05)
        assert len(lanes.give_back(everything=True)) == 4
        assert lanes.is_busy


def test_what_is_not_wanted_any_more_is_taken_out_of_the_row(gate):
    with sending.Lanes(lambda: NOW, threads=4, lane_threads=2) as lanes:
        lanes.add([job(gate, number, "slow") for number in range(6)])
        until = time.monotonic() + 5
        while lanes.waiting > 4 and time.monotonic() < until:
            time.sleep(0.01)
        assert lanes.waiting_pks() == [2, 3, 4, 5]
        assert [each.pk for each in lanes.drop({0, 3, 5, 77})] == [3, 5]
        assert lanes.waiting_pks() == [2, 4]
        gate.is_open.set()
        assert sorted(sent.job.pk for sent in collect(lanes, 4)) == [0, 1, 2, 4]
        assert not lanes.is_busy


class AsyncGate(Gate):
    """The same as coroutines on the loop of core.http."""

    kind = "async-gate"

    async def send_async(self, address, outgoing):
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        while address == "slow" and not self.is_open.is_set():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        self.at_once -= 1
        if address == "bug":
            raise KeyError("a bug")
        return Accepted("id", is_delivered=True)


@pytest.fixture
def async_gate():
    channel = AsyncGate()
    yield channel
    channel.is_open.set()


def test_coroutines_send_without_threads_and_a_stuck_lane_leaves_room(async_gate):
    with sending.Lanes(lambda: NOW, threads=1) as lanes:
        slow = sending.LANE_COROUTINES + 5
        lanes.add([job(async_gate, number, "slow") for number in range(slow)])
        lanes.add([job(async_gate, number, "quick") for number in range(1000, 1020)])
        quick = collect(lanes, 20)
        assert sorted(sent.job.pk for sent in quick) == list(range(1000, 1020))
        assert {sent.accepted.is_delivered for sent in quick} == {True}
        assert lanes.waiting == 5
        assert [each.pk for each in lanes.drop({slow - 1})] == [slow - 1]
        async_gate.is_open.set()
        assert len(collect(lanes, slow - 1)) == slow - 1
        assert not lanes.is_busy


@pytest.mark.logs_errors
def test_a_coroutine_that_breaks_stops_nothing_else(async_gate):
    with sending.Lanes(lambda: NOW) as lanes:
        lanes.add([job(async_gate, 1, "bug"), job(async_gate, 2, "quick")])
        first, second = sorted(collect(lanes, 2), key=lambda sent: sent.job.pk)
    assert first.error.message == "The channel Gate broke: KeyError. The log has the details."
    assert second.error is None


def test_threads_and_coroutines_work_side_by_side(gate, async_gate):
    with sending.Lanes(lambda: NOW, threads=2, lane_threads=1) as lanes:
        lanes.add(
            [job(gate, 1, "slow"), job(async_gate, 2, "slow"), job(gate, 3, "quick"), job(async_gate, 4, "quick")]
        )
        assert sorted(sent.job.pk for sent in collect(lanes, 2)) == [3, 4]
        gate.is_open.set()
        async_gate.is_open.set()
        assert sorted(sent.job.pk for sent in collect(lanes, 2)) == [1, 2]


def late(**fields):
    """What a page says that is twelve minutes late."""
    one = dataclasses.replace(job(Gate(), 1, "quick"), **fields)
    return list(sending.notes(one, NOW + datetime.timedelta(minutes=12)))


def test_a_late_message_says_why():
    start = "This page is 12 min late: it was due on 04 May at 10:15 UTC."
    assert late() == [f"{start} No worker took it before."]
    assert late(last_error="The server answered 500.") == [f"{start} The server answered 500."]
    assert late(message=make_message(kind="resolved"))[0].startswith("This message is 12 min late")


def test_threads_come_back_for_later_work(gate):
    with sending.Lanes(lambda: NOW, threads=4, lane_threads=4) as lanes:
        for round_ in range(20):
            lanes.add([job(gate, round_ * 100 + number, "quick") for number in range(9)])
            assert len(collect(lanes, 9)) == 9
            assert not lanes.is_busy
        assert gate.most_at_once <= 4
