"""What `bin/up --fakes` starts: real processes, the fakes as a process, and presses on their page."""

import html
import json
import re
import socket
import subprocess
import sys
import urllib.request
from urllib.parse import urlencode

import pytest
from django.utils import timezone

from config import demo
from incidents.models import Incident
from notifications.models import Notification
from tests.house import ROOT, House, wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.crash]


def free_ports(count):
    """The first of so many free ports in a row."""
    for _ in range(50):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            first = probe.getsockname()[1]
        try:
            for number in range(first, first + count):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", number))
            return first
        except OSError:
            continue
    raise AssertionError("There are no free ports in a row.")


@pytest.fixture
def stage(tmp_path, settings):
    """The house with the demo company and the fakes: `stage.page()`, `stage.do(what, **fields)`."""
    settings.WATCHBILL_HOME = tmp_path
    port = free_ports(demo.FAKES_PORTS)
    house = House(tmp_path, **demo.fakes_environment(port))
    settings.SECRET_KEY = house.environment["SECRET_KEY"]  # the processes read what is written here
    content = demo.fill(base_url=house.base_url, now=timezone.now())
    demo.use_fakes(port, now=timezone.now())
    demo.use_fakes(port, now=timezone.now())  # twice is harmless
    fakes = subprocess.Popen([sys.executable, *demo.fakes_command(port, house.base_url)], cwd=ROOT)
    try:
        house.start_all()
        yield Stage(demo.stage_url(port), content)
    finally:
        house.stop()
        fakes.terminate()
        fakes.wait(10)


class Stage:
    def __init__(self, url, content):
        self.url, self.content = url, content

    def page(self):
        with urllib.request.urlopen(f"{self.url}/messages", timeout=5) as answer:
            return answer.read().decode()

    def do(self, what, **fields):
        with urllib.request.urlopen(f"{self.url}/do/{what}", urlencode(fields).encode(), timeout=15) as answer:
            return answer.read().decode()

    def forms(self, what):
        """The fields of each button on the page that does this."""
        found = re.findall(rf'<form data-do="{what}">(.*?)</form>', self.page(), re.DOTALL)
        fields = [re.findall(r'name=(\w+) value="([^"]*)"', one) for one in found]
        return [{name: html.unescape(value) for name, value in one} for one in fields]

    def press(self, action, user):
        found = self.forms("press")
        form = next(one for one in found if one["action"].endswith(action) and one["user"] == user)
        return self.do("press", **form)

    def alert(self, key):
        body = json.dumps({"title": f"{key} is down", "severity": "critical", "dedup_key": key}).encode()
        urllib.request.urlopen(self.content["integrations"]["generic"], body, timeout=10).read()
        return wait_until(lambda: Incident.objects.filter(title__contains=key).first(), 15, "an incident opens")


def test_a_button_in_slack_acknowledges_and_the_message_changes_everywhere(stage):
    incident = stage.alert("checkout")
    first = wait_until(lambda: stage.forms("press"), 30, "somebody is told in Slack")
    user = next(one["user"] for one in first if one["user"] in dict(demo.REACHED.values()))
    wait_until(lambda: "checkout is down" in stage.page() and "SMS to" in stage.page(), 30, "a text message comes")
    wait_until(lambda: stage.page().count("class=teams") == 1, 30, "a card comes to Teams")
    assert stage.press("acknowledge", user).startswith("200")
    incident.refresh_from_db()
    assert (incident.status, incident.timeline.get(kind="acknowledged").via) == ("acknowledged", "slack")
    wait_until(lambda: "edited" in stage.page(), 30, "the message in Slack says who has it")
    wait_until(
        lambda: not [one for one in stage.forms("press") if one["action"].endswith("acknowledge")],
        30,
        "no message asks to acknowledge any more",
    )
    wait_until(
        lambda: Notification.objects.filter(channel="sms", state__in=["delivered", "acknowledged"]).exists(),
        30,
        "the receipt of a text message comes",
    )


def test_a_reply_by_text_message_acknowledges(stage):
    incident = stage.alert("search")
    (number, *_) = wait_until(
        lambda: [one["number"] for one in stage.forms("reply")], 30, "a text message comes to somebody"
    )
    assert "have" in stage.do("reply", number=number, body="ack")
    incident.refresh_from_db()
    assert (incident.status, incident.timeline.get(kind="acknowledged").via) == ("acknowledged", "sms")
    assert stage.page().count("class=out") == 1
