import re

import pytest
from django.utils import timezone

from accounts.models import Membership, Role, Team
from alerts.models import Integration
from catalog import policies
from catalog.models import Service
from config import first_steps
from core.errors import DomainError
from incidents import lifecycle
from incidents.models import Incident
from notifications import probes
from notifications.models import Notification
from tests import factories
from tests.threads import at_once

PANEL = {"X-Fragment": "panel"}


@pytest.fixture
def newcomer(db):
    """An admin of an empty house."""
    return factories.UserFactory(name="Nora", role=Role.ADMIN)


def done(user):
    return {step.name for step in first_steps.progress(user, now=timezone.now()).steps if step.is_done}


def test_from_nothing_to_an_acknowledged_test_page(client, newcomer):
    client.force_login(newcomer)
    assert "0 of 6 done" in client.get("/start").content.decode()

    made = client.post("/start/team", {"team": "Shop", "service": "Checkout"}, follow=True)
    assert "Checkout is there, and its policy calls you." in made.content.decode()
    assert done(newcomer) == {"team", "service"}
    service = Service.objects.get()
    assert service.team.name == "Shop" and Membership.objects.get().role == Role.ADMIN

    shown = client.post("/start/integration", {"service": service.pk}).content.decode()
    [key] = re.findall(r"/in/generic/([0-9a-f]{32})", shown)
    assert Integration.objects.get().key_last4 == key[-4:]
    assert key not in client.get("/start").content.decode()
    Integration.objects.update(last_event_at=timezone.now())

    factories.ContactMethodFactory(user=newcomer)
    assert done(newcomer) == {"team", "service", "integration", "phone"}

    paged = client.post("/start/test", follow=True).content.decode()
    incident = Incident.objects.get()
    assert f"Incident #{incident.pk} is open and you are being called" in paged
    assert [one.user for one in Notification.objects.filter(kind="page")] == [newcomer]
    Notification.objects.update(state=Notification.State.DELIVERED)
    lifecycle.acknowledge(incident.pk, by=newcomer, now=timezone.now())
    progress = first_steps.progress(newcomer, now=timezone.now())
    assert progress.is_finished and progress.following is None
    assert "You are all set" in client.get("/start").content.decode()


def test_a_service_that_is_made_really_calls_whoever_made_it(newcomer):
    service = first_steps.make_service(newcomer, team=None, team_name="Shop", service_name="Checkout")
    [(_, [(_, [called])])] = policies.escalation_chain([service], at=timezone.now())[service.pk]
    assert called.user_id == newcomer.pk


def test_names_that_are_taken_or_missing_are_refused_in_a_sentence_and_nothing_is_made(client, newcomer, service):
    client.force_login(newcomer)
    for team, name, said in [
        ("Other", "Checkout", "already exists"),
        ("Shop", "Other", "already exists"),
        ("", "Other", "Write a name for the team."),
        ("Other", " ", "Write a name for the service."),
        ("Other", "x" * 101, "more than 100 characters"),
    ]:
        answer = client.post("/start/team", {"team": team, "service": name})
        assert answer.status_code == 400 and said in answer.content.decode()
    assert Team.objects.count() == 1 and Service.objects.count() == 1


def test_two_services_of_one_name_in_different_cases_of_slugs_both_get_an_address(newcomer):
    first = first_steps.make_service(newcomer, team=None, team_name="Shop", service_name="Checkout!")
    second = first_steps.make_service(newcomer, team=first.team, team_name="", service_name="Checkout?")
    assert (first.slug, second.slug) == ("checkout", "checkout-2")
    assert first.policy.is_team_default and not second.policy.is_team_default


@pytest.mark.django_db(transaction=True)
def test_two_clicks_in_the_same_moment_make_one_team(newcomer):
    def make():
        return first_steps.make_service(newcomer, team=None, team_name="Shop", service_name="Checkout")

    outcomes = at_once(make, make)
    assert Team.objects.count() == Service.objects.count() == Membership.objects.count() == 1
    (refused,) = [one for one in outcomes if not isinstance(one, Service)]
    assert isinstance(refused, DomainError), refused


def test_one_integration_that_sends_is_enough(newcomer):
    service = first_steps.make_service(newcomer, team=None, team_name="Shop", service_name="Checkout")
    for _ in range(2):
        sending, _ = first_steps.make_integration(newcomer, service.pk)
    Integration.objects.filter(pk=sending.pk).update(last_event_at=timezone.now())
    assert "integration" in done(newcomer)


def test_whoever_may_not_is_told_whom_to_ask(client, charlie, service):
    client.force_login(charlie)
    page = client.get("/start").content.decode()
    assert "Ask an admin to put you into one" in page and 'name="team"' not in page
    assert client.post("/start/team", {"team": "Mine", "service": "Mine"}).status_code == 403
    answer = client.post("/start/integration", {"service": service.pk})
    assert answer.status_code == 400 and "Choose a service of a team that you configure" in answer.content.decode()
    assert not Integration.objects.exists()


def test_nobody_else_is_woken_up_for_a_test(client, service, bob):
    client.force_login(bob)  # Checkout calls Alice first
    answer = client.post("/start/test")
    assert answer.status_code == 400 and "would call others" in answer.content.decode()
    assert not Incident.objects.exists()


def test_a_test_message_counts_when_it_arrived(newcomer):
    method = factories.ContactMethodFactory(user=newcomer)
    sent = probes.send_test(method, by=newcomer, now=timezone.now())
    assert "test" not in done(newcomer)
    Notification.objects.filter(pk=sent.pk).update(state=Notification.State.SENT)
    assert "test" in done(newcomer)


def test_the_card_says_what_is_next_until_it_is_put_away(client, newcomer):
    client.force_login(newcomer)
    assert "First steps: 0 of 6" in client.get("/start/card", headers=PANEL).content.decode()
    away = client.post("/start/hide", follow=True).content.decode()
    assert "put away" in away
    assert client.get("/start/card", headers=PANEL).content.decode().strip() == ""
    assert 'href="/start"' in client.get("/docs/").content.decode()
    client.post("/start/hide", {"show": "1"})
    assert "First steps" in client.get("/start/card", headers=PANEL).content.decode()


def test_a_phone_gets_the_address_as_a_qr_code_where_it_can_open_it(client, newcomer, settings):
    client.force_login(newcomer)
    assert "only this machine can open" in client.get("/start").content.decode()
    settings.PUBLIC_URL = "https://oncall.example.com"
    page = client.get("/start").content.decode()
    assert "only this machine can open" not in page
    assert 'aria-label="QR code that opens this page on your phone"><svg' in page and "style=" not in page


@pytest.mark.parametrize("typed", ["", "x", "9" * 40, "²", "-1"])
def test_a_service_that_is_no_number_is_refused(client, newcomer, typed):
    client.force_login(newcomer)
    assert client.post("/start/integration", {"service": typed}).status_code == 400
