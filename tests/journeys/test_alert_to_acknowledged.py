"""The main job with real parts: real processes, real senders, real SMTP, real HTTP."""

import json
import re
import shutil
import socket
import subprocess
import threading
import urllib.error
import urllib.request

import pagerduty
import pytest

from alerts.keys import issue_key
from alerts.models import Alert, Integration
from incidents.models import Incident
from notifications.models import Notification
from tests.house import wait_until

ALERTMANAGER = shutil.which("prometheus-alertmanager")


def post(url, body, **headers):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers={"Content-Type": "application/json", **headers})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read()


@pytest.fixture
def integration(service):
    def make(source):
        row = Integration(name=source, source=source, service=service)
        key = issue_key(row)
        row.save()
        return key

    return make


def text_of(mail):
    return mail.get_body(("plain",)).get_content()


def test_an_alert_becomes_a_mail_whose_link_acknowledges(house, service, integration, mails, alice):
    status, _ = post(
        f"{house.base_url}/in/generic/{integration('generic')}",
        {"title": "Checkout is down", "severity": "critical", "dedup_key": "checkout"},
    )
    assert status == 202
    wait_until(lambda: mails.mails, 15, "the mail arrives")
    mail = mails.mails[0]
    assert mail["To"] == "alice@example.com" and "Checkout is down" in mail["Subject"]
    link = re.search(r"http://\S+/l/\S+", text_of(mail))[0]

    with urllib.request.urlopen(link, timeout=10) as page:  # a mail scanner opens it
        assert "Checkout is down" in page.read().decode()
    assert Incident.objects.get().status == "triggered"

    status, page = post(link, b"")
    assert status == 200 and "within target" in page.decode()
    incident = Incident.objects.get()
    assert (incident.status, incident.acknowledged_by, incident.next_escalation_at) == ("acknowledged", alice, None)
    assert incident.timeline.filter(kind="acknowledged", via="link").exists()


def test_with_redis_as_the_queue_a_page_goes_out_the_same_way(redis_house, integration, mails):
    url = f"{redis_house.base_url}/in/generic/{integration('generic')}"
    assert post(url, {"title": "Checkout is down", "severity": "critical", "dedup_key": "checkout"})[0] == 202
    wait_until(lambda: mails.mails, 15, "the mail arrives")


def test_fifty_concurrent_posts_of_one_key_are_one_alert_and_one_incident(house, integration):
    url = f"{house.base_url}/in/generic/{integration('generic')}"
    answers, barrier = [], threading.Barrier(50)

    def send():
        barrier.wait(timeout=10)
        answers.append(post(url, {"title": "Down", "severity": "high", "dedup_key": "one"})[0])

    threads = [threading.Thread(target=send) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert answers == [202] * 50
    wait_until(lambda: Alert.objects.filter(occurrences=50).exists(), 15, "all fifty are counted")
    assert Alert.objects.count() == Incident.objects.count() == 1
    assert Notification.objects.filter(topic__startswith="incident:").count() == 1


def test_the_official_pagerduty_client_triggers_acknowledges_and_resolves(house, integration):
    client = pagerduty.EventsApiV2Client(integration("pagerduty"))
    client._url = house.base_url  # the client refuses http:// in its argument
    client.retry[429] = 3
    key = client.trigger("Pool exhausted", "web-03", severity="error", custom_details={"pool": 50})
    incident = wait_until(Incident.objects.first, 10, "an incident opens")
    assert (incident.title, incident.severity) == ("Pool exhausted", "high")
    assert client.acknowledge(key) == key
    wait_until(lambda: Incident.objects.filter(status="acknowledged").exists(), 10, "it is acknowledged")
    client.resolve(key)
    wait_until(lambda: Incident.objects.filter(status="resolved").exists(), 10, "it is resolved")


def test_the_pagerduty_client_is_told_about_an_unknown_key(house, service):
    client = pagerduty.EventsApiV2Client("0" * 32)
    client._url = house.base_url
    with pytest.raises(pagerduty.Error, match="400|invalid"):
        client.trigger("Pool exhausted", "web-03")
    assert not Alert.objects.exists()


@pytest.mark.skipif(not ALERTMANAGER, reason="Debian's prometheus-alertmanager is not installed here")
def test_a_real_alertmanager_fires_and_resolves_through_its_webhook_and_its_pagerduty_receiver(
    house, integration, tmp_path
):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = tmp_path / "alertmanager.yml"
    config.write_text(
        f"""
route: {{receiver: oncall, group_by: [alertname], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}}
receivers:
  - name: oncall
    webhook_configs:
      - {{url: "{house.base_url}/in/alertmanager/{integration("alertmanager")}", send_resolved: true}}
    pagerduty_configs:
      - {{routing_key: {integration("pagerduty")}, url: "{house.base_url}/v2/enqueue", send_resolved: true}}
"""
    )
    arguments = [f"--config.file={config}", f"--storage.path={tmp_path}/am", f"--web.listen-address=127.0.0.1:{port}"]
    process = subprocess.Popen(
        [ALERTMANAGER, *arguments, "--cluster.listen-address="], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    labels = {"alertname": "InstanceDown", "severity": "critical"}
    url = f"http://127.0.0.1:{port}/api/v2/alerts"

    def send(ends_at=None):
        alerts = [
            {"labels": {**labels, "instance": name}, "annotations": {"summary": f"{name} is down"}} for name in "ab"
        ]
        for alert in alerts:
            alert.update({"endsAt": ends_at} if ends_at else {})
        try:
            return post(url, alerts)[0] == 200
        except OSError:
            return False

    try:
        wait_until(send, 20, "Alertmanager takes alerts")
        wait_until(lambda: Alert.objects.filter(source="alertmanager").count() == 2, 20, "two alerts came by webhook")
        wait_until(lambda: Alert.objects.filter(source="pagerduty").count() == 1, 20, "one group came as PagerDuty")
        assert Incident.objects.filter(severity="critical").count() == 1
        wait_until(lambda: send("2020-01-01T00:00:00Z"), 5, "Alertmanager takes the end")
        wait_until(lambda: not Alert.objects.firing().exists(), 20, "all alerts resolve")
        wait_until(lambda: not Incident.objects.open().exists(), 5, "the incidents resolve with them")
    finally:
        process.kill()
        process.wait(timeout=10)
