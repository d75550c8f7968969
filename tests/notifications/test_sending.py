"""Lanes: what is slow holds up itself alone."""

import threading
import time
import uuid

import pytest

from notifications import sending
from notifications.channels.base import Channel
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
        if address == "slow":
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
        user_id=1,
        channel=channel,
        contact_method_id=1,
        address=address,
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


def test_threads_come_back_for_later_work(gate):
    with sending.Lanes(lambda: NOW, threads=4, lane_threads=4) as lanes:
        for round_ in range(20):
            lanes.add([job(gate, round_ * 100 + number, "quick") for number in range(9)])
            assert len(collect(lanes, 9)) == 9
            assert not lanes.is_busy
        assert gate.most_at_once <= 4
