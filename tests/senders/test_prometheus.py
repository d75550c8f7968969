"""Debian's Prometheus evaluates a rule and sends straight to us, without an Alertmanager."""

import contextlib
import datetime as dt
import http.server
import threading

import pytest
from django.utils import timezone

from alerts import ingest
from alerts.models import Alert
from incidents.models import Incident
from tests.house import wait_until
from tests.senders.programs import PROMETHEUS, free_port, needs_prometheus, running

pytestmark = [pytest.mark.django_db(transaction=True), needs_prometheus]


class Metrics:
    """A tiny thing to watch: one number."""

    def __init__(self):
        self.depth = 0
        metrics = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                body = f"queue_depth {metrics.depth}\n".encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]

    def __enter__(self):
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()
        return self

    def __exit__(self, *error):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)


@contextlib.contextmanager
def prometheus(home, metrics, alertmanager):
    """Prometheus with a rule on the number, which it looks at each second."""
    (home / "rules.yml").write_text(
        """
groups:
  - name: queue
    interval: 1s
    rules:
      - alert: QueueDeep
        expr: queue_depth > 100
        labels: {severity: critical}
        annotations: {summary: "The queue holds {{ $value }}"}
"""
    )
    config = home / "prometheus.yml"
    config.write_text(
        f"""
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: [rules.yml]
scrape_configs:
  - job_name: queue
    static_configs: [{{targets: ["127.0.0.1:{metrics.port}"]}}]
alerting:
  alertmanagers:
    - {alertmanager}
"""
    )
    port = free_port()
    arguments = [
        PROMETHEUS,
        f"--config.file={config}",
        f"--storage.tsdb.path={home}/data",
        f"--web.listen-address=127.0.0.1:{port}",
        "--rules.alert.resend-delay=2s",
    ]
    with running(arguments, home / "prometheus.log", f"http://127.0.0.1:{port}/-/ready") as process:
        yield process


@pytest.mark.parametrize("is_bearer", [False, True])
def test_a_rule_that_fires_opens_an_incident_and_its_end_resolves_it(server, key_of, tmp_path, is_bearer):
    key = key_of("prometheus")
    how = f'authorization: {{credentials: "{key}"}}' if is_bearer else f"path_prefix: /in/{key}"
    alertmanager = f'{{{how}, static_configs: [{{targets: ["127.0.0.1:{server.port}"]}}]}}'
    with Metrics() as metrics, prometheus(tmp_path, metrics, alertmanager):
        metrics.depth = 250
        incident = wait_until(Incident.objects.first, 40, "the rule opens an incident")
        alert = Alert.objects.get()
        assert (incident.title, incident.severity) == ("The queue holds 250", "critical")
        assert alert.labels["alertname"] == "QueueDeep" and alert.labels["job"] == "queue"
        assert alert.resolve_at > timezone.now() - dt.timedelta(seconds=5)
        metrics.depth = 0
        wait_until(lambda: Incident.objects.filter(status="resolved").exists(), 40, "its end resolves the incident")
    assert Alert.objects.count() == 1


def test_when_prometheus_dies_the_alert_ends_by_the_time_it_named(server, key_of, tmp_path):
    alertmanager = (
        f'{{path_prefix: /in/{key_of("prometheus")}, static_configs: [{{targets: ["127.0.0.1:{server.port}"]}}]}}'
    )
    with Metrics() as metrics, prometheus(tmp_path, metrics, alertmanager):
        metrics.depth = 250
        wait_until(Incident.objects.first, 40, "the rule opens an incident")
    ends_at = Alert.objects.get().resolve_at
    ingest.expire_due(now=ends_at - dt.timedelta(seconds=1))
    assert Alert.objects.firing().exists()
    ingest.expire_due(now=ends_at + dt.timedelta(seconds=1))
    assert Incident.objects.get().status == "resolved"
