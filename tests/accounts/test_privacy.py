"""Who sees a phone number, and what a person gets who asks what is stored about them."""

import io
import json

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.urls import reverse

from accounts import privacy
from accounts.models import AuditEntry, Role, User
from incidents import lifecycle
from notifications.models import Notification
from tests import factories

pytestmark = pytest.mark.django_db

NUMBER = "+4915112345678"
# Keys to User that no export follows, and why.
NOT_EXPORTED = {
    "accounts.AccountMail.by": "Mails to others; that they sent them is in the audit.",
    "accounts.Team.members": "The same rows as accounts.Membership.user.",
}


@pytest.fixture
def phone(bob):
    """Bob's number, which is nobody else's."""
    return factories.ContactMethodFactory(user=bob, channel="sms", address=NUMBER, label="his own")


@pytest.fixture
def incident(service, phone, alice, now):
    """An open incident that called Alice and then Bob."""
    opened = lifecycle.trigger(service, title="Checkout is down", severity="critical", by=None, now=now)
    lifecycle.reassign(opened.pk, to=User.objects.get(name="Bob"), by=alice, now=now)
    return opened


@pytest.fixture
def lead(team):
    person = factories.UserFactory(name="Lena", email="lena@example.com", role=Role.OBSERVER)
    factories.MembershipFactory(team=team, user=person, role=Role.ADMIN)
    return person


@pytest.fixture
def olga(db):
    """An observer of no team."""
    return factories.UserFactory(name="Olga", email="olga@example.com", role=Role.OBSERVER)


# --- who sees a number ----------------------------------------------------------------------------------------------
def pages(incident):
    """Every page and API answer that lists or shows people, what they do, or what was sent to them."""
    names = ["dashboard", "notifications", "shifts", "schedules", "people-invite", "settings", "sessions", "privacy"]
    found = [reverse(name) for name in names]
    found += [f"/incidents/{incident.pk}?all", "/oncall", "/alerts", "/api/schema"]
    areas = (
        "users",
        "users/me",
        "teams",
        "incidents",
        "notifications",
        "schedules",
        "policies",
        "services",
        "on-call",
    )
    found += [f"/api/v1/{area}" for area in (*areas, "oncall/current", "notifications/stats/summary")]
    found += [f"/api/v1/incidents/{incident.pk}", f"/api/v1/incidents/{incident.pk}/timeline"]
    found += [f"/notifications/{one.uuid}" for one in Notification.objects.all()]
    found += [f"/api/v1/notifications/{one.uuid}" for one in Notification.objects.all()]
    return found


def seen_at(client, paths, text):
    """The paths whose answer has the text; nothing may break."""
    found = set()
    for path in paths:
        answer = client.get(path)
        assert answer.status_code < 500, path
        if text in b"".join(answer).decode("utf-8", "replace"):
            found.add(path)
    return found


def test_a_number_is_shown_to_those_who_are_on_the_incident_and_nowhere_else(incident, team, browser):
    dora = factories.MembershipFactory(team=team).user
    assert seen_at(browser(dora), pages(incident), NUMBER) == {f"/incidents/{incident.pk}?all"}


def test_admins_also_call_whoever_is_on_call(incident, alice, browser):
    assert seen_at(browser(alice), pages(incident), NUMBER) == {f"/incidents/{incident.pk}?all", "/oncall"}


def test_on_call_the_number_is_for_admins_and_admins_of_a_team_of_that_person(
    service, team, phone, lead, alice, olga, browser
):
    def offered(person):
        return f'href="tel:{NUMBER}"' in browser(person).get("/oncall?team=all").content.decode()

    policy = factories.EscalationPolicyFactory(name="Bob", slug="bob", team=team, calls=[phone.user])
    type(service).objects.filter(pk=service.pk).update(policy=policy)
    leads_others = factories.MembershipFactory(
        team=factories.TeamFactory(name="Other", slug="other"), role=Role.ADMIN
    ).user
    member = factories.MembershipFactory(team=team).user
    assert offered(alice) and offered(lead)
    for person in (member, leads_others, olga):
        assert "Bob" in browser(person).get("/oncall?team=all").content.decode()
        assert not offered(person)
    assert not offered(phone.user)  # nobody calls themselves
    type(phone).objects.filter(pk=phone.pk).update(disabled_reason="Dead.")
    assert not offered(alice)


def test_a_mailbox_at_home_is_shown_to_nobody_else(service, bob, alice, charlie, now, browser):
    factories.ContactMethodFactory(user=bob, address="bobby@home.example")
    opened = lifecycle.trigger(service, title="Checkout is down", severity="critical", by=None, now=now)
    lifecycle.reassign(opened.pk, to=User.objects.get(name="Bob"), by=alice, now=now)
    assert Notification.objects.filter(address="b•••@home.example").exists()
    for person in (alice, charlie):
        assert seen_at(browser(person), pages(opened), "bobby@home.example") == set()


def test_whoever_is_not_on_the_incident_never_sees_the_number(incident, charlie, olga, browser):
    for person in (charlie, olga):
        assert seen_at(browser(person), pages(incident), NUMBER) == set()


def test_a_colleague_of_the_team_calls_whoever_was_paged(incident, team, browser):
    dora = factories.MembershipFactory(team=team).user
    page = browser(dora).get(f"/incidents/{incident.pk}").content.decode()
    assert f'href="tel:{NUMBER}"' in page and "Call Bob" in page


def test_an_observer_of_the_team_calls_nobody(incident, team, olga, browser):
    factories.MembershipFactory(team=team, user=olga, role=Role.OBSERVER)
    assert NUMBER not in browser(olga).get(f"/incidents/{incident.pk}").content.decode()


def test_a_number_goes_from_the_page_when_the_incident_is_over(incident, alice, now, browser):
    lifecycle.resolve(incident.pk, by=alice, now=now)
    assert NUMBER not in browser(alice).get(f"/incidents/{incident.pk}").content.decode()


def test_a_number_that_is_not_verified_or_dead_is_not_offered(incident, phone, alice, browser):
    for field in ({"verified_at": None}, {"disabled_reason": "Dead."}):
        type(phone).objects.filter(pk=phone.pk).update(**{"verified_at": factories.NOW, "disabled_reason": ""} | field)
        assert NUMBER not in browser(alice).get(f"/incidents/{incident.pk}").content.decode()


def test_the_owner_reads_the_number_in_full(phone, bob, browser):
    assert NUMBER in browser(bob).get("/settings").content.decode()


def test_a_masked_number_stands_where_messages_are_listed(incident, phone, alice, browser):
    page = browser(alice).get("/notifications").content.decode()
    assert "••• 5678" in page


def test_in_the_admin_only_admins_read_numbers(phone, alice, bob, charlie, browser):
    path = f"/admin/notifications/contactmethod/{phone.pk}/change/"
    assert browser(alice).get(path).status_code == 200
    for person in (bob, charlie):
        answer = browser(person).get(path)
        assert answer.status_code in (302, 403) and NUMBER not in answer.content.decode()


def test_an_admin_of_a_team_reads_numbers_of_its_people_and_of_no_others(phone, lead, charlie, browser):
    other = factories.ContactMethodFactory(user=charlie, channel="sms", address="+4915187654321")
    client = browser(lead)
    answer = client.get(f"/admin/notifications/contactmethod/{other.pk}/change/", follow=True)
    assert "+4915187654321" not in answer.content.decode()


# --- export ---------------------------------------------------------------------------------------------------------
def keys_to_user():
    return {
        f"{model._meta.app_label}.{model.__name__}.{field.name}"
        for model in apps.get_models()
        for field in (*model._meta.local_fields, *model._meta.local_many_to_many)
        if field.related_model is User
    }


def test_an_export_follows_every_key_to_a_person_or_says_why_not():
    assert keys_to_user() == privacy.exported_fields() | NOT_EXPORTED.keys()
    assert not privacy.exported_fields() & NOT_EXPORTED.keys()


def test_a_person_downloads_what_is_stored_about_them(incident, bob, browser):
    answer = browser(bob).post("/settings/privacy/export")
    assert answer["Content-Disposition"].startswith("attachment;")
    data = json.loads(answer.content)
    assert data["profile"]["email"] == "bob@example.com"
    assert NUMBER in [one["address"] for one in data["how_reached"]["contact_methods"]]
    assert data["notifications"]["messages"] and data["incidents"]["assigned"][0]["number"] == incident.pk


def test_an_export_has_no_secret(bob, now):
    key = factories.ApiKeyFactory(user=bob)
    bob.set_password("his password")
    bob.save()
    text = json.dumps(privacy.export(bob, now=now), default=str)
    assert key.prefix in text
    for secret in (key.text, key.secret_hash, bob.password):
        assert secret not in text


def test_the_audit_tells_of_every_export(alice, bob, browser):
    browser(bob).post("/settings/privacy/export")
    browser(alice).post(f"/admin/accounts/user/{bob.pk}/privacy/", {"export": "yes"})
    call_command("export_person", "bob@example.com", stdout=io.StringIO())
    entries = AuditEntry.objects.filter(verb="exported", kind="accounts.user", object_id=str(bob.pk))
    assert {entry.actor for entry in entries} == {alice, bob, None}


def test_nobody_exports_somebody_else(bob, charlie, lead, browser):
    for person in (charlie, lead):
        answer = browser(person).post(f"/admin/accounts/user/{bob.pk}/privacy/", {"export": "yes"})
        assert "Content-Disposition" not in answer and answer.status_code in (302, 403, 404)


def test_a_download_is_asked_for_by_post(bob, browser):
    assert browser(bob).get("/settings/privacy/export").status_code == 405


def test_the_command_writes_to_a_file(bob, tmp_path):
    path = tmp_path / "bob.json"
    call_command("export_person", "BOB@example.com", output=str(path))
    assert json.loads(path.read_text())["profile"]["email"] == "bob@example.com"


def test_the_command_knows_nobody_by_another_address(db):
    with pytest.raises(CommandError, match="There is no person"):
        call_command("export_person", "nobody@example.com")
