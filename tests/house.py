"""The real processes on the test's own database: web, worker and ticker, started and killed by their process ids."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from django.conf import settings
from django.db import connection

ROOT = Path(__file__).resolve().parent.parent


class House:
    """Starts processes in sessions of their own. `stop` ends them by SIGTERM to the main process."""

    def __init__(self, home, **environment):
        # A worker that pytest-django's database does not know would look at the wrong one.
        url = urlsplit(os.environ["DATABASE_URL"])
        self.log = (home / "log.txt").open("ab")
        self.port = _free_port()
        self.base_url = f"http://127.0.0.1:{self.port}"
        self.environment = {
            **os.environ,
            "WATCHBILL_HOME": str(home),
            "DATABASE_URL": urlunsplit(url._replace(path="/" + connection.settings_dict["NAME"])),
            "PUBLIC_URL": self.base_url,
            # The addresses that a test writes are encrypted with its own key.
            "SECRET_KEY": settings.SECRET_KEY,
            "HTTP_ALLOW_PRIVATE": "127.0.0.1",
            "WATCHBILL_WORKER_ID": "tests",
            **environment,
        }
        self.running = {}

    def start(self, name):
        """Start `web`, `worker` or `ticker`."""
        arguments = {
            "web": ["-m", "daphne", "-v", "0", "-b", "127.0.0.1", "-p", str(self.port), "config.asgi:application"],
            "worker": ["manage.py", "qcluster"],
            "ticker": ["manage.py", "ticker"],
        }[name]
        self.running[name] = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            env={**self.environment, "WATCHBILL_ROLE": name},
            stdout=self.log,
            stderr=self.log,
            start_new_session=True,
        )
        if name == "web":
            self._await_web()

    def runs(self, name):
        return name in self.running and self.running[name].poll() is None

    def pause(self, name):
        """Let it stand still where it is, as a machine that sleeps."""
        self.running[name].send_signal(signal.SIGSTOP)

    def resume(self, name):
        self.running[name].send_signal(signal.SIGCONT)

    def start_all(self):
        for name in ("worker", "ticker", "web"):
            self.start(name)

    def kill(self, name):
        """SIGKILL to the whole session, as a machine that loses power would."""
        child = self.running.pop(name)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait(timeout=10)

    def stop(self):
        for child in self.running.values():
            child.send_signal(signal.SIGTERM)
            child.send_signal(signal.SIGCONT)
        deadline = time.monotonic() + 8
        for child in self.running.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(timeout=max(0.1, deadline - time.monotonic()))
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait(timeout=5)
        self.running = {}
        self.log.close()

    def _await_web(self):
        def answers():
            with contextlib.suppress(OSError):
                return urllib.request.urlopen(f"{self.base_url}/health", timeout=2).status == 200

        wait_until(answers, 60, "the web process answers /health")


def wait_until(condition, seconds, what):
    """Poll until the condition is truthy and return it; fail with words after so many seconds."""
    deadline = time.monotonic() + seconds
    while True:
        if found := condition():
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"Within {seconds} s it did not happen that {what}.")
        time.sleep(0.1)


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
