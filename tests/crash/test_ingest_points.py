"""SIGKILL to the web process once it has accepted an event: a worker takes over, and its page goes out once."""

import contextlib
import http.client
import itertools
import threading

import pytest

from alerts.models import Alert, InboundEvent
from incidents.models import Incident
from notifications.models import Notification
from tests import factories
from tests.crash.points import frozen, kill, waits_for_a_lock
from tests.fakes.sink import sink
from tests.house import House, wait_until
from tests.journeys.test_alert_to_acknowledged import post

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


@pytest.fixture
def address(house, pages, team):
    """Where to send alerts that call Bob."""
    bob = factories.UserFactory(name="Bob")
    factories.ContactMethodFactory(user=bob, channel="webhook", address=pages.url("/"))
    policy = factories.EscalationPolicyFactory(team=team, calls=[bob])
    service = factories.ServiceFactory(team=team, policy=policy)
    return f"{house.base_url}/in/generic/{factories.IntegrationFactory(source='generic', service=service).key}"


def trouble(key="disk"):
    return {"title": "Disk full", "severity": "critical", "dedup_key": key}


def is_done():
    return not InboundEvent.objects.exclude(state="decided").exists()


@pytest.mark.parametrize(
    "statement",
    [
        "LOCK TABLE alerts_alert IN ACCESS EXCLUSIVE MODE",  # before it has looked for anything
        "LOCK TABLE core_counter IN EXCLUSIVE MODE",  # all is written but the counters, and not committed
    ],
)
def test_killed_after_the_answer_and_before_it_is_decided(house, pages, address, statement):
    house.start("web")
    with frozen(house, statement):
        assert post(address, trouble())[0] == 202
        wait_until(waits_for_a_lock, 30, "the web process is deciding")
        kill(house, "web")
    assert InboundEvent.objects.get().state == "pending" and not Alert.objects.exists()
    house.start("ticker")
    house.start("worker")
    wait_until(lambda: pages.requests, 60, "the page has arrived")
    assert InboundEvent.objects.get().state == "decided"
    assert Alert.objects.get().occurrences == 1 and Incident.objects.count() == 1
    wait_until(lambda: not Notification.objects.unsettled().exists(), 30, "the result is stored")
    assert len(pages.requests) == 1 and Notification.objects.get().state == "delivered"


def test_killed_again_and_again_while_many_send(house, address):
    """Senders try again until they hear 202, as real ones do; each of their alerts is there, and only once."""
    accepted, stop = set(), threading.Event()

    def send(name):
        for number in itertools.count():
            if stop.is_set():
                return
            key = f"{name}-{number}"
            status = 0
            while status != 202:
                with contextlib.suppress(OSError, http.client.HTTPException):
                    status, _ = post(address, trouble(key))
            accepted.add(key)

    house.start("web")
    threads = [threading.Thread(target=send, args=(name,)) for name in range(6)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        known = len(accepted)
        wait_until(lambda known=known: len(accepted) > known + 20, 60, "events are accepted")
        house.kill("web")
        house.start("web")
    stop.set()
    for thread in threads:
        thread.join(60)
    house.start("ticker")
    house.start("worker")
    wait_until(is_done, 120, "all is decided")
    keys = list(Alert.objects.values_list("dedup_key", flat=True))
    assert len(keys) == len(set(keys)) and set(keys) == accepted
