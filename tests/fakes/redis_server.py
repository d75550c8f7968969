"""A real Redis that nothing else uses, and that may be killed and started again at the same address."""

import contextlib
import shutil
import socket
import subprocess
import time

import pytest


class RedisServer:
    def __init__(self, program, directory):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._command = [program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", directory]
        self._process = None

    def start(self):
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return
            assert time.monotonic() < deadline, "Redis did not start within 10 s."
            time.sleep(0.02)

    def kill(self):
        self._process.kill()
        self._process.wait(timeout=10)


@contextlib.contextmanager
def redis_server(directory):
    """A running RedisServer; skips the test where there is no Redis."""
    program = shutil.which("redis-server")
    if not program:
        pytest.skip("Debian's redis-server is not installed here")
    server = RedisServer(program, str(directory))
    server.start()
    try:
        yield server
    finally:
        server.kill()
