"""A provider of single sign-on: django-oauth-toolkit, in a process of its own, with its own keys and database.

It signs everybody in as the same person, and does as `POST /control` says, which no real provider offers: what it says
of the person, and which lie it tells in its next tokens.
"""

import contextlib
import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).resolve().parents[3]


class Provider:
    """Starts and stops the process; `visit` is what a browser does there."""

    client_id, client_secret = "watchbill", "a secret of the tests: with a colon"

    def __init__(self, home, callback):
        self.home, self.callback, self.port = home, callback, _free_port()
        self.issuer = f"http://127.0.0.1:{self.port}/o"
        self.process = None

    def start(self):
        with (self.home / "provider.log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "tests.fakes.oidc_provider.serve",
                    str(self.home),
                    str(self.port),
                    self.client_id,
                    self.client_secret,
                    self.callback,
                ],
                cwd=ROOT,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(OSError):
                return urllib.request.urlopen(f"{self.issuer}/.well-known/openid-configuration", timeout=2).close()
            time.sleep(0.1)
        self.stop()
        raise AssertionError(f"The provider did not start: {(self.home / 'provider.log').read_text()[-3000:]}")

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait(timeout=10)
            self.process = None

    def says(self, **what):
        """Make the provider say this of the person from now on; `lie` names what is wrong with its tokens."""
        body = json.dumps(what).encode()
        urllib.request.urlopen(f"http://127.0.0.1:{self.port}/control", body, timeout=5).close()

    def visit(self, address):
        """Go where the browser is sent, sign in there, and return the way back: path and query of our callback."""
        with pytest.raises(urllib.error.HTTPError) as led:
            urllib.request.build_opener(_Stay).open(address, timeout=10)
        with led.value as answer:
            location = answer.headers["Location"]
        assert answer.code == 302 and location.startswith(self.callback), location
        back = urlsplit(location)
        return f"{back.path}?{back.query}"


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args, **kwargs):
        return None


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
