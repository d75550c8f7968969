"""Real programs on free ports of this machine, started and ended by their process ids."""

import contextlib
import shutil
import socket
import subprocess
import urllib.request

import pytest

from tests.house import wait_until

PROMETHEUS = shutil.which("prometheus")
ALERTMANAGER = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
AMTOOL = shutil.which("amtool")

needs_prometheus = pytest.mark.skipif(not PROMETHEUS, reason="Debian's prometheus is not installed here")
needs_alertmanager = pytest.mark.skipif(
    not ALERTMANAGER, reason="Debian's prometheus-alertmanager is not installed here"
)
needs_amtool = pytest.mark.skipif(not AMTOOL, reason="amtool is not installed here")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def running(arguments, log, url):
    """Start a program, wait until `url` answers, and kill it at the end. Gives its process."""
    with log.open("ab") as output:
        process = subprocess.Popen(arguments, stdout=output, stderr=output)
    try:
        wait_until(lambda: answers(url) or process.poll() is not None, 30, f"{arguments[0]} answers")
        assert process.poll() is None, log.read_text()[-2000:]
        yield process
    finally:
        process.kill()
        process.wait(timeout=10)


def answers(url):
    with contextlib.suppress(OSError):
        return urllib.request.urlopen(url, timeout=2).status == 200
    return False
