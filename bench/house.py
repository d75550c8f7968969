"""A house to measure: its own home, its own embedded PostgreSQL, the real processes, and a seeded company.

Importing this module prepares the environment and Django, so a bench imports it first.
"""

import contextlib
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HOME = Path(tempfile.mkdtemp(prefix="watchbill-bench-"))
os.chmod(HOME, 0o755)
(HOME / "static").mkdir()

from core import embedded  # noqa: E402

os.environ.update(
    WATCHBILL_HOME=str(HOME),
    DATABASE_URL=embedded.start(HOME),
    DJANGO_SETTINGS_MODULE="config.settings",
    HTTP_ALLOW_PRIVATE="127.0.0.1",
    LOG_LEVEL="WARNING",
    # What is measured are incidents and pages, not how a storm of them is folded; bench.storm has its own.
    STORM_INCIDENTS_PER_MINUTE=os.environ.get("STORM_INCIDENTS_PER_MINUTE", "0"),
)
os.environ.pop("REDIS_URL", None)

import django  # noqa: E402

django.setup()

from django.core.management import call_command  # noqa: E402
from django.db import connections  # noqa: E402
from django.utils import timezone  # noqa: E402

from accounts.models import Team, User  # noqa: E402
from alerts.keys import issue_key  # noqa: E402
from alerts.models import Integration  # noqa: E402
from catalog.models import Service  # noqa: E402
from notifications.models import ContactMethod, NotificationRule  # noqa: E402
from oncall.models import EscalationPolicy, Level, Target  # noqa: E402

APPLICATION = os.environ.get("BENCH_APPLICATION", "config.asgi:application")
SERVERS = {
    "daphne": ["-m", "daphne", "-v", "0", "-b", "127.0.0.1", "-p", "{port}", APPLICATION],
    "uvicorn": ["-m", "uvicorn", "--port", "{port}", "--log-level", "warning", APPLICATION],
    "granian": [
        "-m",
        "granian",
        "--interface",
        "asgi",
        "--port",
        "{port}",
        "--no-ws",
        "--log-level",
        "error",
        APPLICATION,
    ],
}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Company:
    """One team, one person reached by a webhook, one service without correlation, one generic integration."""

    def __init__(self, *, page_url="http://127.0.0.1:9/", delay_minutes=5, rule_delay_minutes=0):
        call_command("migrate", verbosity=0)
        call_command("createcachetable", verbosity=0)
        now = timezone.now()
        self.team = Team.objects.create(name="Bench", slug="bench")
        self.people = []
        self.policy = EscalationPolicy.objects.create(name="Bench", slug="bench", team=self.team, repeats=0)
        for number in (1, 2):
            person = User.objects.create_user(f"person{number}@example.com", None, name=f"Person {number}")
            method = ContactMethod.objects.create(user=person, channel="webhook", address=page_url, verified_at=now)
            NotificationRule.objects.create(user=person, contact_method=method, delay_minutes=rule_delay_minutes)
            level = Level.objects.create(policy=self.policy, number=number, delay_minutes=delay_minutes)
            Target.objects.create(level=level, user=person)
            self.people.append(person)
        self.service = Service.objects.create(
            name="Bench", slug="bench", team=self.team, policy=self.policy, correlation_window_seconds=0
        )
        integration = Integration(name="Bench", source="generic", service=self.service)
        self.key = issue_key(integration)
        integration.save()
        self.path = f"/in/generic/{self.key}"


@contextlib.contextmanager
def process(role, arguments):
    """Run one of our processes in a session of its own; stop it as the supervisor does."""
    environment = {**os.environ, "WATCHBILL_ROLE": role, "WATCHBILL_WORKER_ID": f"bench-{time.monotonic_ns()}"}
    child = subprocess.Popen([sys.executable, *arguments], cwd=ROOT, env=environment, start_new_session=True)
    try:
        yield child
    finally:
        child.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(timeout=10)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)


@contextlib.contextmanager
def web(server="daphne"):
    """The web process; yields its port once it answers."""
    port = free_port()
    with process("web", [part.format(port=port) for part in SERVERS[server]]) as child:
        deadline = time.monotonic() + 30
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2).read()
                break
            except OSError:
                if time.monotonic() > deadline or child.poll() is not None:
                    raise
                time.sleep(0.1)
        yield port


def worker():
    return process("worker", ["manage.py", "qcluster"])


def ticker():
    return process("ticker", ["manage.py", "ticker"])


def memory_mib(pid):
    """The proportional set size of a process and its children, in MiB."""
    total = 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if os.getsid(int(entry.name)) == pid:
                    line = next(
                        one for one in (entry / "smaps_rollup").read_text().splitlines() if one.startswith("Pss:")
                    )
                    total += int(line.split()[1])
    return total / 1024


def cpu_seconds(session=None, *, database=False):
    """CPU that the processes of a session have used, or those of the embedded database, in seconds."""
    parent = int((HOME / "postgres" / "postmaster.pid").read_text().split()[0]) if database else None
    total = 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(fields[1]) == parent or int(entry.name) == parent or int(fields[3]) == session:
                    own = fields[11:13]
                    ended = fields[13:15] if int(entry.name) in (parent, session) else ()  # of children that are gone
                    total += sum(int(ticks) for ticks in (*own, *ended))
    return total / os.sysconf("SC_CLK_TCK")


def machine():
    """One line that says where the figures come from."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown CPU")
    return (
        f"{os.cpu_count()} cores of {model}, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f} before"
    )


def percentile(values, share):
    """The value below which this share of the values lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def close():
    """Stop the database and remove the home."""
    connections.close_all()
    embedded.stop(HOME)
    shutil.rmtree(HOME, ignore_errors=True)
