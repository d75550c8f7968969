"""bin/audit: a known vulnerability fails, a database that cannot be asked says so and passes."""

import http.server
import json
import os
import subprocess
import sys
import threading

import pytest
from django.conf import settings

LIST = "packaging==24.0 --hash=sha256:2ddfb553fdf02fb784c234c7ba6ccc288296ceabec964ad2eae3777778130bc5\n"
KNOWN = {
    "id": "GHSA-test-0001",
    "aliases": ["CVE-2026-0001"],
    "summary": "Something bad",
    "published": "2026-01-01T00:00:00Z",
    "affected": [
        {
            "package": {"name": "packaging", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "24.1"}]}],
        }
    ],
}


@pytest.fixture
def osv():
    """A server that speaks the protocol of OSV; `answers` is what it says, as (status, body)."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            status, body = server.answer
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *args):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    server.answer, server.asked = (200, {}), asked
    server.url = f"http://127.0.0.1:{server.server_port}/v1/query"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def audit(tmp_path, url, text=LIST):
    packages = tmp_path / "requirements.txt"
    packages.write_text(text)
    return subprocess.run(
        [sys.executable, settings.BASE_DIR / "bin" / "audit", str(packages)],
        env={**os.environ, "AUDIT_URL": url, "NO_PROXY": "127.0.0.1"},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_packages_without_a_known_vulnerability_pass(osv, tmp_path):
    run = audit(tmp_path, osv.url)
    assert (run.returncode, run.stdout) == (0, "bin/audit: no known vulnerability in 1 packages.\n"), run.stderr
    assert osv.asked == [{"package": {"name": "packaging", "ecosystem": "PyPI"}, "version": "24.0"}]


def test_a_known_vulnerability_fails_and_says_what_to_do(osv, tmp_path):
    osv.answer = (200, {"vulns": [KNOWN]})
    run = audit(tmp_path, osv.url)
    assert run.returncode == 1
    assert "packaging 24.0 has" in run.stdout and "CVE-2026-0001" in run.stdout and "fixed in 24.1" in run.stdout
    assert "bin/lock" in run.stdout


@pytest.mark.parametrize("how", ["closed", "broken"])
def test_a_database_that_cannot_be_asked_says_so_loudly_and_passes(osv, tmp_path, how):
    osv.answer = (503, {})
    run = audit(tmp_path, "http://127.0.0.1:9/v1/query" if how == "closed" else osv.url)
    assert run.returncode == 0, run.stderr
    assert "NOTHING WAS CHECKED" in run.stdout


def test_a_list_that_cannot_be_read_fails(osv, tmp_path):
    assert audit(tmp_path, osv.url, "packaging\n").returncode == 1
