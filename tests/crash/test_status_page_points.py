"""SIGKILL to the worker while it computes a status page: another one does, and readers see the state."""

import pytest
from django.utils import timezone

from incidents import lifecycle
from statuspages.models import Copy, Nudge
from tests import factories
from tests.crash.points import frozen, kill, waits_for_a_lock
from tests.house import House, wait_until

pytestmark = pytest.mark.crash


@pytest.fixture
def house(transactional_db, tmp_path):
    tmp_path.chmod(0o755)
    house = House(tmp_path, WORKERS="1")
    yield house
    house.stop()


def test_a_page_shows_what_changed_although_its_worker_was_killed(house, service, alice):
    page = factories.StatusPageFactory(audience="public")
    component = factories.ComponentFactory(page=page, services=[service])
    house.start("ticker")
    house.start("worker")
    wait_until(lambda: Copy.objects.filter(page=page).exists() and not Nudge.objects.exists(), 90, "it is computed")

    began = timezone.now()
    with frozen(house, "SELECT 1 FROM statuspages_statuspage WHERE id = %s FOR UPDATE", page.pk):
        incident = lifecycle.trigger(service, title="Disk full", severity="critical", now=began)
        wait_until(waits_for_a_lock, 30, "the worker has claimed the nudge and waits for the page")
        kill(house, "worker")
    assert Nudge.objects.get().lease_until is not None  # it is claimed, and whoever did is gone
    assert Copy.objects.get(page=page).content["state"] == "operational"

    Nudge.objects.update(due_at=timezone.now())  # what the end of the lease does a minute later
    house.start("worker")
    wait_until(lambda: Copy.objects.get(page=page).content["state"] == "major_outage", 60, "readers see it")
    component.refresh_from_db()
    assert component.state_since == began  # since it happened
    wait_until(lambda: not Nudge.objects.exists(), 30, "nothing waits any more")

    lifecycle.resolve(incident.pk, by=alice, now=timezone.now())
    wait_until(lambda: Copy.objects.get(page=page).content["state"] == "operational", 30, "readers see the end")
