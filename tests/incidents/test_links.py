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
from tests import factories

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


def test_a_link_for_a_verb_that_links_do_not_know_does_nothing(stranger, incident, page):
    assert stranger.post(f"/l/{links.token(page.uuid, 'remediate')}").status_code == 404
    assert status_of(incident) == "triggered"


def link_of(page, verb):
    return f"/l/{links.token(page.uuid, verb)}"


@pytest.mark.parametrize("verb, button", [("resolve", "Resolve"), ("escalate", "Call the next level now")])
def test_resolving_and_escalating_need_a_press(stranger, incident, page, verb, button):
    answer = stranger.get(link_of(page, verb))
    text = answer.content.decode()
    assert answer.status_code == 200 and f">{button}</button>" in text
    assert "link.js" not in text and "data-answer" not in text and "countdown-bar" not in text
    assert status_of(incident) == "triggered" and incident.escalation_level == 1


def test_only_acknowledging_one_incident_may_happen_by_being_looked_at(stranger, path):
    assert b"link.js" in stranger.get(path).content


def test_resolving_by_link_keeps_the_note(stranger, incident, alice, page):
    answer = stranger.post(link_of(page, "resolve"), {"note": "Restarted the pool."})
    assert answer.status_code == 200 and "It is resolved" in answer.content.decode()
    incident.refresh_from_db()
    assert (incident.status, incident.resolved_by, incident.resolution_note) == (
        "resolved",
        alice,
        "Restarted the pool.",
    )
    assert incident.timeline.get(kind="resolved").via == "link"


def test_escalating_by_link_calls_the_next_level_once(stranger, incident, bob, page):
    first, second = (stranger.post(link_of(page, "escalate")) for _ in range(2))
    assert first.status_code == second.status_code == 200
    assert "The next level is called" in first.content.decode()
    assert "nobody was called twice" in second.content.decode()
    assert Notification.objects.filter(topic=incident.topic, user=bob, kind="page").count() == 1
    incident.refresh_from_db()
    assert incident.escalation_level == 2


def test_each_verb_of_a_message_works_once(stranger, incident, page, path):
    assert stranger.post(link_of(page, "escalate")).status_code == 200
    assert stranger.post(path).status_code == 200
    assert stranger.post(link_of(page, "resolve")).status_code == 200
    page.refresh_from_db()
    assert page.links_used == ["escalate", "acknowledge", "resolve"] and page.link_used_at
    for verb in page.links_used:
        assert stranger.get(link_of(page, verb)).status_code == 410


def test_when_no_level_is_left_the_link_says_so_and_is_not_used_up(stranger, incident, page, now):
    Incident.objects.update(policy={**incident.policy, "repeats": 0}, escalation_level=2)
    answer = stranger.post(link_of(page, "escalate"))
    assert answer.status_code == 409 and "There is no further level to call" in answer.content.decode()
    page.refresh_from_db()
    assert page.links_used == []


@pytest.mark.parametrize("verb", ["resolve", "escalate"])
def test_who_has_it_stands_on_the_page(stranger, incident, bob, page, verb):
    lifecycle.acknowledge(incident.pk, by=bob, now=timezone.now())
    assert "Bob has it: acknowledged" in stranger.get(link_of(page, verb)).content.decode()


@pytest.mark.parametrize("verb", ["resolve", "escalate"])
def test_what_is_over_cannot_be_answered_any_more(stranger, incident, bob, page, verb):
    lifecycle.resolve(incident.pk, by=bob, now=timezone.now())
    seen, pressed = stranger.get(link_of(page, verb)), stranger.post(link_of(page, verb))
    assert (seen.status_code, pressed.status_code) == (200, 409)
    for answer in (seen, pressed):
        assert "It is already over" in answer.content.decode() and "</button>" not in answer.content.decode()


def test_a_link_in_a_team_s_place_asks_to_sign_in_first(stranger, incident):
    row = factories.NotificationFactory(
        user=None,
        contact_method=None,
        destination=factories.DestinationFactory(),
        channel="webhook",
        address="x",
        topic=incident.topic,
        link_expires_at=timezone.now() + 60 * MINUTE,
    )
    for answer in (stranger.get(link_of(row, "acknowledge")), stranger.post(link_of(row, "acknowledge"))):
        assert answer.status_code == 302 and answer.headers["Location"] == f"/incidents/{incident.pk}"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert status_of(incident) == "triggered"


# --- bundles ----------------------------------------------------------------------------------------------------


@pytest.fixture
def bundle(service, incident, alice):
    """Three incidents that came to Alice as one message."""
    for number in range(2):
        lifecycle.trigger(service, title=f"Trouble {number}", severity="high", now=timezone.now())
    whole = factories.NotificationFactory(
        user=alice,
        contact_method=alice.contact_methods.get(),
        topic="bundle:1",
        kind="bundle",
        link_expires_at=timezone.now() + 60 * MINUTE,
    )
    Notification.objects.filter(kind="page").update(bundle=whole)
    return whole


def test_the_link_of_a_bundle_lists_them_and_waits_for_a_press(stranger, bundle):
    text = stranger.get(link_of(bundle, "acknowledge")).content.decode()
    assert "Checkout is down" in text and "Trouble 0" in text and "Trouble 1" in text
    assert "Acknowledge: 3 incidents" in text and "link.js" not in text
    assert not Incident.objects.exclude(status="triggered").exists()


def test_the_link_of_a_bundle_takes_them_all(stranger, bundle, alice):
    answer = stranger.post(link_of(bundle, "acknowledge"))
    assert answer.status_code == 200 and "The calls have stopped" in answer.content.decode()
    assert set(Incident.objects.values_list("acknowledged_by", flat=True)) == {alice.pk}
    again = stranger.post(link_of(bundle, "acknowledge"))
    assert again.status_code == 200 and "pressed this button before" in again.content.decode()
    assert stranger.get(link_of(bundle, "acknowledge")).status_code == 410


def test_the_link_of_a_bundle_counts_what_is_left(stranger, bundle, bob):
    first, *others = Incident.objects.order_by("pk")
    lifecycle.acknowledge(first.pk, by=bob, now=timezone.now())
    assert "Acknowledge: 2 incidents" in stranger.get(link_of(bundle, "acknowledge")).content.decode()
    for one in others:
        lifecycle.resolve(one.pk, by=bob, now=timezone.now())
    text = stranger.get(link_of(bundle, "acknowledge")).content.decode()
    assert "Nothing is left to do" in text and "</button>" not in text


def test_the_link_of_a_bundle_resolves_what_is_open(stranger, bundle, bob):
    lifecycle.resolve(Incident.objects.first().pk, by=bob, now=timezone.now())
    answer = stranger.post(link_of(bundle, "resolve"))
    assert answer.status_code == 200 and "They are over" in answer.content.decode()
    assert not Incident.objects.open().exists()


def test_a_bundle_that_is_over_says_so(stranger, bundle, bob):
    for one in Incident.objects.all():
        lifecycle.resolve(one.pk, by=bob, now=timezone.now())
    answer = stranger.post(link_of(bundle, "acknowledge"))
    assert answer.status_code == 409 and "They are over" in answer.content.decode()


@pytest.mark.parametrize("change", [{"is_active": False}, {"role": Role.OBSERVER}])
def test_who_may_no_longer_answer_is_told_so(stranger, incident, alice, path, change):
    for name, value in change.items():
        setattr(alice, name, value)
    alice.save()
    alice.memberships.update(role=Role.OBSERVER)
    answer = stranger.post(path)
    assert answer.status_code == 403 and "Ask an admin" in answer.content.decode()
    assert status_of(incident) == "triggered"


def test_other_methods_are_refused(stranger, incident, path):
    for method in ("put", "patch", "delete", "options"):
        assert getattr(stranger, method)(path).status_code == 405
    assert status_of(incident) == "triggered"
