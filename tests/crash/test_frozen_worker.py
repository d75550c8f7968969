"""A worker process that dies while it is idle freezes django-q2 in silence. The supervisor notices and replaces it."""

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from core.models import Counter, WorkerBeat
from tests.house import ROOT, House, wait_until

pytestmark = pytest.mark.crash


@pytest.fixture
def up(transactional_db, tmp_path):
    """`manage.py up` on the test's database."""
    tmp_path.chmod(0o755)
    house = House(tmp_path)
    house.environment.pop("WATCHBILL_WORKER_ID")
    arguments = [sys.executable, "manage.py", "up", "--no-demo", "--port", str(house.port)]
    house.running["up"] = subprocess.Popen(
        arguments, cwd=ROOT, env=house.environment, stdout=house.log, stderr=house.log, start_new_session=True
    )
    house.main = house.running["up"].pid
    yield house
    house.running["up"].send_signal(signal.SIGTERM)
    house.running["up"].wait(timeout=30)
    house.running.clear()
    house.log.close()


def is_ready(house):
    try:
        with urllib.request.urlopen(f"{house.base_url}/health/ready", timeout=2) as answer:
            return json.load(answer)["status"] == "ok"
    except urllib.error.HTTPError:
        return False
    except OSError:
        return False


def children(pid):
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def idle_workers(house):
    """The processes of the cluster that wait for tasks, by the titles that django-q2 gives them."""
    sentinels = [pid for child in children(house.main) for pid in children(child)]
    return [pid for one in sentinels for pid in children(one) if b"idle" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def test_killing_the_idle_workers_alone_is_noticed_and_the_cluster_replaced(up):
    wait_until(lambda: is_ready(up), 60, "everything is ready")
    first = set(WorkerBeat.objects.values_list("worker_id", flat=True))
    workers = wait_until(lambda: idle_workers(up), 10, "the cluster's workers are found")
    for pid in workers:
        os.kill(pid, signal.SIGKILL)

    def is_replaced():
        return WorkerBeat.objects.exclude(worker_id__in=first).exists()

    wait_until(is_replaced, 30, "another cluster runs tasks")
    assert Counter.objects.get(name="worker_restarts_total").value == 1
    assert is_ready(up)
