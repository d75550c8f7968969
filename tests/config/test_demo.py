"""The demo company."""

import json

import pytest

from accounts.keys import find_key
from accounts.models import User
from alerts import ingest
from alerts.models import InboundEvent, Integration
from config import demo
from incidents.models import Incident
from notifications.models import Notification


@pytest.fixture
def home(settings, tmp_path):
    settings.WATCHBILL_HOME = tmp_path
    settings.MAIL_DIR = tmp_path / "mail"
    return tmp_path


def test_it_writes_everything_that_a_newcomer_needs(db, home, now):
    demo.fill(base_url="http://127.0.0.1:8000", now=now)
    content = json.loads((home / "demo.json").read_text())
    assert {"base_url", "admin", "responders", "api_key", "integrations", "mail_dir"} <= content.keys()
    assert content["integrations"]["generic"].startswith("http://127.0.0.1:8000/in/generic/")
    assert content["integrations"]["pagerduty"] == "http://127.0.0.1:8000/v2/enqueue"
    assert len(content["integrations"]["routing_key"]) == 32
    assert find_key(content["api_key"], now=now).user.email == content["admin"]["email"]
    for person in [content["admin"], *content["responders"]]:
        assert User.objects.get(email=person["email"]).check_password(person["password"])
    assert (home / "demo.json").stat().st_mode & 0o077 == 0


def test_its_curl_line_pages_somebody(db, home, now):
    content = demo.fill(base_url="http://127.0.0.1:8000", now=now)
    body = demo.banner(content).split("-d '")[1].split("'")[0]
    integration = Integration.objects.get(source="generic")
    row = InboundEvent.objects.create(
        source="generic",
        scope=f"integration:{integration.pk}",
        integration=integration,
        service=integration.service,
        body=body.encode(),
        received_at=now,
        due_at=now,
    )
    ingest.decide_ids([row.pk], now=now)
    assert Incident.objects.get(status="triggered").severity == "critical"
    assert Notification.objects.filter(topic__startswith="incident:", state="pending").exists()


def test_a_house_with_people_is_left_alone(db, home, alice):
    assert not demo.is_wanted()
    assert demo.refresh(base_url="http://x") is None


def test_a_new_port_is_written_and_the_keys_stay(db, home, now):
    before = demo.fill(base_url="http://127.0.0.1:8000", now=now)
    after = demo.refresh(base_url="http://127.0.0.1:9000")
    assert after["keys"] == before["keys"]
    assert after["integrations"]["generic"].startswith("http://127.0.0.1:9000/")


def test_the_fakes_are_used_again_whatever_people_did_to_their_rules(db, home, now):
    demo.fill(base_url="http://127.0.0.1:8000", now=now)
    demo.use_fakes(8690, now=now)
    alice = User.objects.get(email="alice@example.com")
    (work,) = alice.contact_methods.filter(channel="email")
    assert set(alice.notification_rules.values_list("urgency", "contact_method__channel", "delay_minutes")) == {
        ("high", "slack", 0),
        ("high", "sms", 0),
        ("high", "voice", 1),
        ("high", "email", 0),
        ("low", "email", 0),
    }
    alice.notification_rules.filter(contact_method__channel="voice").update(delay_minutes=2)
    alice.notification_rules.create(urgency="high", contact_method=work, delay_minutes=5)
    changed = list(alice.notification_rules.values())
    demo.use_fakes(8690, now=now)
    assert list(alice.notification_rules.values()) == changed
