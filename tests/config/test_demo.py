"""The demo company."""

import json

import pytest

from accounts.keys import find_key
from accounts.models import User
from accounts.permissions import visible
from alerts import changes, ingest, similar
from alerts.models import InboundEvent, Integration
from config import demo
from incidents.models import Incident, TimelineEntry
from incidents.priorities import target_seconds
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


def test_its_past_pages_nobody(db, home, now):
    demo.fill(base_url="http://127.0.0.1:8000", now=now)
    assert not Notification.objects.exists()
    assert not Incident.objects.filter(next_escalation_at__isnull=False).exists()
    assert not Incident.objects.filter(snoozed_until__isnull=False).exists()
    assert not Incident.objects.filter(triggered_at__gt=now).exists()
    assert not TimelineEntry.objects.filter(at__gt=now).exists()


def test_one_incident_is_open_and_has_all_that_a_page_shows(db, home, now):
    demo.fill(base_url="http://127.0.0.1:8000", now=now)
    incident = Incident.objects.open().get()
    alice = User.objects.get(email="alice@example.com")
    assert (incident.assignee, incident.status, incident.priority) == (alice, "investigating", "P2")
    assert incident.impact and incident.alerts.get().links
    assert set(incident.responders.values_list("role", flat=True)) == {"commander", "scribe"}
    assert [task.done_at is not None for task in incident.tasks.all()] == [True, False, False]
    assert {"update", "note", "proposed", "reviewed"} <= set(incident.timeline.values_list("kind", flat=True))
    assert [one.title for one in changes.around(incident, alice) if one.is_before][0] == "checkout-api 4.12.0 deployed"
    assert [one.is_same_alert for one in similar.find(incident, alice)][:2] == [True, True]


def test_of_its_past_some_is_late_merged_closed_and_private(db, home, now):
    demo.fill(base_url="http://127.0.0.1:8000", now=now)
    over = Incident.objects.filter(status__in=["resolved", "closed"])
    assert over.count() >= 25
    answers = [((one.acknowledged_at - one.triggered_at).total_seconds(), one.priority) for one in over]
    late = [seconds > target_seconds(priority) for seconds, priority in answers]
    assert 3 <= sum(late) < len(late) / 2
    assert over.filter(merged_into__isnull=False).exists() and over.filter(status="closed").exists()
    bob = User.objects.get(email="bob@example.com")
    hidden = set(over) - set(visible(over, bob))
    assert {one.team.slug for one in hidden} == {"security"}
