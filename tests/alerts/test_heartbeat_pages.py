"""The pages of heartbeats, and the admin's."""

import datetime as dt
import re
import urllib.parse

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts.models import Role
from alerts import heartbeats, ingest
from alerts.models import Alert, Heartbeat, Presence
from core.secrets import digest
from tests import factories

LIST = "/heartbeats"


@pytest.fixture
def heartbeat(service):
    return factories.HeartbeatFactory(name="backup <b>", service=service)


@pytest.fixture
def here(db):
    Presence.objects.create(beat_at=timezone.now())


@pytest.fixture
def missing(heartbeat, here):
    """Missing, with its alert and incident."""
    now = timezone.now()
    heartbeats.arm(heartbeat, now=now - dt.timedelta(minutes=7))
    assert heartbeats.sweep(now=now) == 1
    ingest.sweep(now=now)
    heartbeat.refresh_from_db()
    return heartbeat


def page_of(heartbeat, verb=""):
    return f"{LIST}/{heartbeat.uuid}" + (f"/{verb}" if verb else "")


def text_of(response):
    assert response.status_code == 200
    return response.content.decode()


def typed(service, **fields):
    return {
        "name": "nightly",
        "service": service.pk,
        "severity": "critical",
        "interval": "2",
        "interval_unit": "3600",
        "grace": "15",
        "grace_unit": "60",
        "description": "Look at the disk.",
        "integration": "",
        **fields,
    }


@pytest.fixture
def as_alice(client, alice):
    client.force_login(alice)
    return client


@pytest.fixture
def as_bob(client, bob):
    client.force_login(bob)
    return client


# --- looking ------------------------------------------------------------------------------------------------------
def test_without_heartbeats_the_page_says_what_they_are_for(as_alice, bob):
    assert "Make the first heartbeat" in text_of(as_alice.get(LIST))
    as_alice.force_login(bob)
    assert "Ask an admin" in text_of(as_alice.get(LIST))


def test_the_list_shows_states_the_missing_first(as_bob, missing, service):
    now = timezone.now()
    factories.HeartbeatFactory(name="a-paused", service=service, is_enabled=False)
    factories.HeartbeatFactory(name="b-new", service=service)
    factories.HeartbeatFactory(name="c-up", service=service, armed_at=now, due_at=now + dt.timedelta(minutes=6))
    factories.HeartbeatFactory(name="d-late", service=service, armed_at=now, due_at=now + dt.timedelta(seconds=30))
    page = text_of(as_bob.get(LIST))
    names = re.findall(r'class="message-title"[^>]*>([^<]+)<', page)
    assert names == ["backup &lt;b&gt;", "a-paused", "b-new", "c-up", "d-late"]
    chips = re.findall(r'class="chip chip-(\w+)"', page)
    assert chips == ["failed", "cancelled", "pending", "delivered", "acknowledged"]


@pytest.mark.parametrize(("state", "name"), [("missing", "backup"), ("new", "b-new"), ("paused", "a-paused")])
def test_the_list_is_filtered(as_bob, missing, service, state, name):
    factories.HeartbeatFactory(name="a-paused", service=service, is_enabled=False)
    factories.HeartbeatFactory(name="b-new", service=service)
    found = re.findall(r'class="message-title"[^>]*>([^<&]+)', text_of(as_bob.get(LIST, {"state": state})))
    assert [one.strip() for one in found] == [name]
    assert "No heartbeat fits" in text_of(as_bob.get(LIST, {"q": "nothing like it"}))
    assert "No heartbeat fits" in text_of(as_bob.get(LIST, {"team": "no\x00body"}))


def test_a_list_of_many_costs_no_more_queries(as_bob, service, here, django_assert_max_num_queries):
    for _ in range(60):
        factories.HeartbeatFactory(service=service)
    with django_assert_max_num_queries(12):
        assert "Page 1 of 2" in text_of(as_bob.get(LIST))


def test_the_page_has_address_examples_and_misses(as_bob, missing, settings):
    settings.MAIL_IN_PORT, settings.MAIL_IN_DOMAIN = 2525, "alerts.example.com"
    page = text_of(as_bob.get(page_of(missing)))
    assert f"{settings.PUBLIC_URL}/in/heartbeat/KEY" in page
    for words in ("vector(1)", "repeat_interval: 150s", "GenieKey", "KEY@alerts.example.com", "missing since"):
        assert words in page
    assert f"/v2/heartbeats/{urllib.parse.quote('backup <b>', safe='')}/ping" in page
    assert f"incident #{Alert.objects.get().incident_id}" in page
    assert missing.key not in page
    assert "<b>" not in page


def test_the_page_says_when_nothing_can_be_judged(as_bob, heartbeat):
    assert "nothing is judged missing just now" in text_of(as_bob.get(page_of(heartbeat)))


def test_strangers_sign_in_first(client, heartbeat):
    for path in (LIST, page_of(heartbeat), f"{LIST}/new", page_of(heartbeat, "delete")):
        assert client.get(path).status_code == 302


def test_unknown_ones_are_not_found(as_alice, heartbeat):
    assert as_alice.get(f"{LIST}/00000000-0000-4000-8000-000000000000").status_code == 404
    assert as_alice.get(f"{LIST}/{'-' * 36}/arm").status_code == 404
    assert as_alice.post(page_of(heartbeat, "explode")).status_code == 404


# --- making and changing ------------------------------------------------------------------------------------------
def test_a_new_heartbeat_shows_its_key_once(as_alice, service):
    assert "Make it" in text_of(as_alice.get(f"{LIST}/new"))
    page = text_of(as_alice.post(f"{LIST}/new", typed(service)))
    made = Heartbeat.objects.get()
    assert (made.name, made.severity, made.interval_seconds, made.grace_seconds) == ("nightly", "critical", 7200, 900)
    key = re.search(r"/in/heartbeat/([0-9a-f]{32})", page)[1]
    assert made.key_hash == digest(key)
    assert key not in text_of(as_alice.get(page_of(made)))


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("name", "backup <b>", "already. Choose another name"),
        ("interval", "9", "from 10 seconds to 366 days"),
        ("interval", "99999999999", "less than or equal"),
        ("grace", "-1", "greater than or equal"),
        ("service", "0", "valid choice"),
        ("interval_unit", "7", "valid choice"),
    ],
)
def test_what_cannot_be_is_refused_at_its_field(as_alice, heartbeat, service, field, value, said):
    fields = typed(service, interval_unit="1") | {field: value}
    response = as_alice.post(f"{LIST}/new", fields)
    assert response.status_code == 400
    assert said in response.content.decode()
    assert Heartbeat.objects.count() == 1


def test_an_edit_changes_what_was_typed_and_nothing_else(as_alice, missing, service):
    page = text_of(as_alice.get(page_of(missing, "edit")))
    assert 'value="5"' in page
    response = as_alice.post(
        page_of(missing, "edit"), typed(service, interval="5", interval_unit="60", grace="60", grace_unit="1")
    )
    assert response.status_code == 302
    after = Heartbeat.objects.get()
    assert (after.name, after.missed_at, after.key_hash) == ("nightly", missing.missed_at, missing.key_hash)


def test_pausing_asks_and_ends_the_alert(as_bob, missing):
    assert "Nobody is told" in text_of(as_bob.get(page_of(missing, "pause")))
    assert Heartbeat.objects.get().is_enabled
    assert as_bob.post(page_of(missing, "pause")).status_code == 302
    ingest.sweep(now=timezone.now() + dt.timedelta(seconds=1))
    assert Alert.objects.get().resolved_at
    assert as_bob.post(page_of(missing, "resume")).status_code == 302
    assert Heartbeat.objects.get().due_at > timezone.now()


def test_arming_by_hand(as_bob, heartbeat):
    assert "It is armed by its first ping" in text_of(as_bob.get(page_of(heartbeat)))
    assert as_bob.get(page_of(heartbeat, "arm")).status_code == 405
    assert as_bob.post(page_of(heartbeat, "arm")).status_code == 302
    assert Heartbeat.objects.get().due_at


def test_deleting_asks_and_ends_the_alert(as_alice, missing):
    assert "Nobody" not in text_of(as_alice.get(page_of(missing, "delete")))
    assert Heartbeat.objects.exists()
    assert as_alice.post(page_of(missing, "delete")).status_code == 302
    assert not Heartbeat.objects.exists()
    ingest.sweep(now=timezone.now() + dt.timedelta(seconds=1))
    assert Alert.objects.get().resolved_at


def test_a_new_key_is_shown_once(as_alice, heartbeat):
    assert "stops working at once" in text_of(as_alice.get(page_of(heartbeat, "key")))
    page = text_of(as_alice.post(page_of(heartbeat, "key")))
    key = re.search(r"/in/heartbeat/([0-9a-f]{32})", page)[1]
    assert Heartbeat.objects.get().key_hash == digest(key) != digest(heartbeat.key)


def test_responders_arm_and_pause_and_admins_configure(as_bob, heartbeat, bob):
    for verb in ("edit", "delete", "key"):
        assert as_bob.get(page_of(heartbeat, verb)).status_code == 403
        assert as_bob.post(page_of(heartbeat, verb)).status_code == 403
    assert as_bob.get(f"{LIST}/new").status_code == 403
    assert "Delete" not in text_of(as_bob.get(page_of(heartbeat)))
    bob.role = Role.OBSERVER
    bob.save()
    bob.memberships.update(role=Role.OBSERVER)
    for verb in ("arm", "pause", "resume"):
        assert as_bob.post(page_of(heartbeat, verb)).status_code == 403
    assert "Pause" not in text_of(as_bob.get(page_of(heartbeat)))


# --- the admin ----------------------------------------------------------------------------------------------------
@pytest.fixture
def admin(client, alice):
    alice.role = Role.ADMIN
    alice.save()
    client.force_login(alice)
    return client


def test_the_admin_makes_one_and_shows_its_key_once(admin, service):
    fields = {"name": "nightly", "service": service.pk, "severity": "high", "interval_seconds": 60, "grace_seconds": 0}
    response = admin.post(reverse("admin:alerts_heartbeat_add"), {**fields, "is_enabled": "on"}, follow=True)
    made = Heartbeat.objects.get()
    key = re.search(r"/in/heartbeat/([0-9a-f]{32})", response.content.decode())[1]
    assert made.key_hash == digest(key)
    page = admin.get(reverse("admin:alerts_heartbeat_change", args=[made.pk])).content.decode()
    assert key not in page
    assert made.key_hash not in page
    refused = admin.post(reverse("admin:alerts_heartbeat_add"), {**fields, "name": "x", "interval_seconds": 0})
    assert refused.status_code == 200
    assert Heartbeat.objects.count() == 1


@pytest.mark.parametrize("several", [False, True])
def test_deleting_in_the_admin_ends_the_alert_too(admin, missing, several):
    if several:
        data = {"action": "delete_selected", "_selected_action": missing.pk, "post": "yes"}
        admin.post(reverse("admin:alerts_heartbeat_changelist"), data)
    else:
        admin.post(reverse("admin:alerts_heartbeat_delete", args=[missing.pk]), {"post": "yes"})
    assert not Heartbeat.objects.exists()
    ingest.sweep(now=timezone.now() + dt.timedelta(seconds=1))
    assert Alert.objects.get().resolved_at


def test_the_buttons_of_the_admin(admin, heartbeat):
    def push(name):
        return admin.post(reverse("admin:alerts_heartbeat_do", args=[heartbeat.pk, name]), follow=True)

    push("arm")
    assert Heartbeat.objects.get().due_at
    push("pause")
    assert Heartbeat.objects.get().due_at is None
    push("resume")
    assert Heartbeat.objects.get().due_at
    key = re.search(r"/in/heartbeat/([0-9a-f]{32})", push("new_key").content.decode())[1]
    assert Heartbeat.objects.get().key_hash == digest(key)
