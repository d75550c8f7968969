"""The page behind the button of a message."""

import datetime as dt

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import Role
from incidents import lifecycle
from incidents.models import Incident
from notifications import links
from notifications.models import Notification

MINUTE = dt.timedelta(minutes=1)


@pytest.fixture
def incident(service):
    began = timezone.now() - 2 * MINUTE
    return lifecycle.trigger(service, title="Checkout is down", severity="critical", description="500s", now=began)


@pytest.fixture
def page(incident):
    """Alice's page."""
    return Notification.objects.get(topic=incident.topic)


@pytest.fixture
def path(page):
    return f"/l/{links.token(page.uuid, 'acknowledge')}"


@pytest.fixture
def stranger():
    """Somebody without a session, whose requests carry no token of a form."""
    return Client(enforce_csrf_checks=True)


def status_of(incident):
    incident.refresh_from_db()
    return incident.status


def test_opening_the_link_shows_the_incident_and_answers_nothing(stranger, incident, page, path):
    for _ in range(3):
        answer = stranger.get(path)
        assert answer.status_code == 200
        assert stranger.head(path).status_code == 200
    text = answer.content.decode()
    for word in (
        "Checkout is down",
        "Checkout",
        "P1",
        "Critical",
        "500s",
        "Level 1, round 1: Alice paged.",
        "Paged: Alice",
    ):
        assert word in text
    page.refresh_from_db()
    assert (status_of(incident), page.link_used_at) == ("triggered", None)


def test_the_address_stays_between_us_and_the_reader(stranger, path):
    for answer in (stranger.get(path), stranger.post(path), stranger.get(path), stranger.get("/l/forged")):
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert "no-store" in answer.headers["Cache-Control"]
        assert "Set-Cookie" not in answer.headers


def test_pressing_the_button_acknowledges(stranger, incident, alice, page, path):
    answer = stranger.post(path)
    assert answer.status_code == 200
    assert "You have it" in answer.content.decode() and "within target" in answer.content.decode()
    incident.refresh_from_db()
    assert (incident.status, incident.acknowledged_by, incident.timeline.last().via) == ("acknowledged", alice, "link")
    page.refresh_from_db()
    assert page.link_used_at


def test_pressing_it_twice_is_harmless_and_says_so(stranger, incident, path):
    stranger.post(path)
    again = stranger.post(path)
    assert again.status_code == 200 and b"You have it" in again.content
    assert list(incident.timeline.values_list("kind", flat=True)).count("acknowledged") == 1


def test_a_used_link_tells_its_owner_what_they_did(stranger, incident, path):
    stranger.post(path)
    answer = stranger.get(path)
    assert answer.status_code == 410
    text = answer.content.decode()
    assert "You acknowledged this" in text and f'href="/incidents/{incident.pk}"' in text
    assert "500s" not in text  # a used link is no longer a credential


def test_somebody_else_was_faster(stranger, incident, bob, path):
    lifecycle.acknowledge(incident.pk, by=bob, now=timezone.now())
    for answer in (stranger.get(path), stranger.post(path)):
        assert answer.status_code == 200
        assert "Bob has it already" in answer.content.decode() and "ago" in answer.content.decode()
        assert b"link.js" not in answer.content
    assert Incident.objects.get().acknowledged_by == bob


def test_it_is_already_over(stranger, incident, bob, page, path):
    lifecycle.resolve(incident.pk, by=bob, now=timezone.now())
    seen, pressed = stranger.get(path), stranger.post(path)
    assert (seen.status_code, pressed.status_code) == (200, 409)
    for answer in (seen, pressed):
        assert "It is already over" in answer.content.decode() and "resolved by Bob" in answer.content.decode()
    page.refresh_from_db()
    assert page.link_used_at is None


def test_an_expired_link_says_what_to_do(stranger, incident, page, path):
    Notification.objects.filter(pk=page.pk).update(link_expires_at=timezone.now())
    for answer in (stranger.get(path), stranger.post(path)):
        assert answer.status_code == 410
        text = answer.content.decode()
        assert "too old" in text and "still open" in text and f'href="/incidents/{incident.pk}"' in text
    assert status_of(incident) == "triggered"


@pytest.mark.parametrize("change", [lambda path: path[:-2], lambda path: path + "x", lambda path: "/l/nonsense"])
def test_a_forged_link_does_nothing(stranger, incident, path, change):
    for answer in (stranger.get(change(path)), stranger.post(change(path))):
        assert answer.status_code == 404 and "Copy the whole link" in answer.content.decode()
    assert status_of(incident) == "triggered"


def test_a_link_for_another_verb_does_not_acknowledge(stranger, incident, page):
    assert stranger.post(f"/l/{links.token(page.uuid, 'escalate')}").status_code == 404
    assert status_of(incident) == "triggered"


@pytest.mark.parametrize("change", [{"is_active": False}, {"role": Role.OBSERVER}])
def test_who_may_no_longer_answer_is_told_so(stranger, incident, alice, path, change):
    for name, value in change.items():
        setattr(alice, name, value)
    alice.save()
    answer = stranger.post(path)
    assert answer.status_code == 403 and "Ask an admin" in answer.content.decode()
    assert status_of(incident) == "triggered"


def test_other_methods_are_refused(stranger, incident, path):
    for method in ("put", "patch", "delete", "options"):
        assert getattr(stranger, method)(path).status_code == 405
    assert status_of(incident) == "triggered"
