"""Debian's Alertmanager as it stands in a configuration, with only the address and the key changed; and amtool."""

import contextlib
import datetime as dt
import json
import subprocess
import urllib.request

import pytest
from django.utils import timezone

from alerts import ingest
from alerts.models import Alert, Silence
from incidents.models import Incident
from tests.house import wait_until
from tests.senders.programs import ALERTMANAGER, AMTOOL, free_port, needs_alertmanager, needs_amtool, running

pytestmark = pytest.mark.django_db(transaction=True)


@contextlib.contextmanager
def alertmanager(home, receiver):
    """An Alertmanager with this receiver. Gives a function that sends it alerts."""
    config, port = home / "alertmanager.yml", free_port()
    config.write_text(
        f"""
route: {{receiver: oncall, group_by: [alertname], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}}
receivers:
  - name: oncall
{receiver}
"""
    )
    arguments = [
        ALERTMANAGER,
        f"--config.file={config}",
        f"--storage.path={home}/data",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]
    with running(arguments, home / "alertmanager.log", f"http://127.0.0.1:{port}/-/ready"):
        yield lambda *alerts: post(f"http://127.0.0.1:{port}/api/v2/alerts", alerts)


def post(url, body):
    data = json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200


def alert(instance, **more):
    return {
        "labels": {"alertname": "InstanceDown", "severity": "critical", "instance": instance},
        "annotations": {"summary": f"{instance} is down"},
        **more,
    }


def over(instance):
    return alert(instance, endsAt=timezone.now().isoformat())


RECEIVERS = {
    "alertmanager": "    webhook_configs:\n      - {url: URL/in/alertmanager/KEY, send_resolved: true}",
    "oncall": "    webhook_configs:\n      - {url: URL/integrations/v1/alertmanager/KEY/, send_resolved: true}",
    "pagerduty": "    pagerduty_configs:\n      - {routing_key: KEY, url: URL/v2/enqueue, send_resolved: true}",
    "opsgenie": "    opsgenie_configs:\n      - {api_key: KEY, api_url: URL/, send_resolved: true, priority: P1,\n"
    '         message: "{{ .CommonAnnotations.summary }}"}',
}


@needs_alertmanager
@pytest.mark.parametrize("name", RECEIVERS)
def test_a_receiver_opens_an_incident_and_ends_it(server, key_of, tmp_path, name):
    kind = "alertmanager" if name == "oncall" else name
    receiver = RECEIVERS[name].replace("URL", server.url).replace("KEY", key_of(kind))
    with alertmanager(tmp_path, receiver) as send:
        send(alert("web-03"))
        wait_until(Incident.objects.first, 20, "an incident opens")
        assert Alert.objects.get().integration.source == kind
        send(over("web-03"))
        wait_until(lambda: Incident.objects.filter(status="resolved").exists(), 20, "the incident ends")
    assert "level=error" not in (tmp_path / "alertmanager.log").read_text()


@needs_alertmanager
def test_the_opsgenie_receiver_can_update_the_words_of_an_alert(server, key_of, tmp_path):
    receiver = (
        f"    opsgenie_configs:\n      - {{api_key: {key_of('opsgenie')}, api_url: {server.url}/, "
        'update_alerts: true, message: "{{ len .Alerts.Firing }} are down"}'
    )
    with alertmanager(tmp_path, receiver) as send:
        send(alert("web-03"))
        wait_until(lambda: Alert.objects.filter(title="1 are down").exists(), 20, "an alert opens")
        send(alert("web-03"), alert("web-04"))
        wait_until(lambda: Alert.objects.filter(title="2 are down").exists(), 20, "its title is updated")
    assert Alert.objects.count() == 1


# --- amtool -------------------------------------------------------------------------------------------------------


@pytest.fixture
def amtool(server, key_of):
    key = key_of("prometheus")

    def run(*arguments, expect=0):
        done = subprocess.run(
            [AMTOOL, f"--alertmanager.url={server.url}/in/{key}", *arguments], capture_output=True, timeout=20
        )
        assert done.returncode == expect, done.stderr
        return done.stdout.decode().strip()

    run.send = lambda *alerts: post(f"{server.url}/in/{key}/api/v2/alerts", alerts)
    return run


@needs_amtool
def test_amtool_makes_shows_changes_and_ends_a_silence_that_holds_an_alert(amtool):
    arguments = ["--author=dora", "--comment=New disks", "--duration=2h", "alertname=InstanceDown", "instance=~web.*"]
    made = amtool("silence", "add", *arguments)
    silence = Silence.objects.get()
    assert (made, silence.made_by, silence.reason) == (str(silence.uuid), "dora", "New disks")
    assert timezone.now() + dt.timedelta(minutes=119) < silence.ends_at < timezone.now() + dt.timedelta(minutes=121)
    assert amtool("silence", "query", "-q") == made
    assert "New disks" in amtool("silence", "query", "alertname=InstanceDown")
    assert amtool("silence", "query", "-q", "alertname=Other") == ""

    amtool.send(alert("web-03"))
    wait_until(lambda: Alert.objects.filter(held_by=f"silence:{silence.pk}").exists(), 10, "the silence holds it")
    assert not Incident.objects.exists()
    assert "InstanceDown" not in amtool("alert", "query")
    assert "InstanceDown" in amtool("alert", "query", "--silenced")

    assert made in amtool("silence", "update", "--duration=4h", "--comment=More disks", made)
    silence.refresh_from_db()
    assert silence.reason == "More disks"
    assert silence.ends_at > timezone.now() + dt.timedelta(hours=3)

    amtool("silence", "expire", made)
    silence.refresh_from_db()
    assert silence.expired_at
    assert amtool("silence", "query", "-q") == ""
    assert amtool("silence", "query", "--expired", "-q") == made
    ingest.release_due(now=timezone.now())
    assert Incident.objects.get().title == "web-03 is down"


@needs_amtool
def test_amtool_carries_silences_over(amtool, tmp_path):
    amtool("silence", "add", "--author=dora", "--comment=New disks", "alertname=InstanceDown")
    kept = tmp_path / "silences.json"
    kept.write_text(amtool("silence", "query", "-o", "json"))
    Silence.objects.all().delete()
    amtool("silence", "import", str(kept))
    made = Silence.objects.get()
    assert (made.made_by, made.reason, made.condition) == ("dora", "New disks", 'labels.alertname = "InstanceDown"')


@needs_amtool
def test_amtool_lists_alerts_and_shows_the_configuration(amtool):
    amtool.send(alert("web-03"), alert("db-01"))
    wait_until(lambda: Alert.objects.count() == 2, 10, "the alerts are there")
    found = json.loads(amtool("-o", "json", "alert", "query", "instance=~db.*"))
    assert [one["labels"]["instance"] for one in found] == ["db-01"]
    assert found[0]["status"]["state"] == "active"
    assert "web-03 is down" in amtool("alert", "query", "alertname=InstanceDown")
    assert "receiver: watchbill" in amtool("config", "show")
    assert amtool("config", "routes", "test", "a=b") == "watchbill"


@needs_amtool
def test_amtool_sends_alerts_too(amtool):
    amtool("alert", "add", "alertname=FromTheShell", "severity=high", "--annotation=summary=By hand")
    incident = wait_until(Incident.objects.first, 10, "an incident opens")
    assert (incident.title, incident.severity) == ("By hand", "high")


@needs_amtool
def test_amtool_is_told_what_is_wrong(amtool):
    done = amtool("silence", "add", "--author=d", "--comment=c", "--duration=9000h", "a=b", expect=1)
    assert done == ""
    amtool("silence", "expire", "8d9bd7a3-7c0a-4a9c-bb2c-2b0e0f2b7a11", expect=1)
