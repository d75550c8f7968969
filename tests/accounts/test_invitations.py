"""Inviting people: who may, what the link does, and when it stops."""

import datetime as dt

import pytest
from django.contrib.auth import SESSION_KEY
from django.utils import timezone

from accounts import invitations
from accounts.models import AccountMail, Membership, Role, User
from core.errors import DomainError, Gone, NotAllowed
from tests import factories
from tests.accounts.conftest import link_in, text_of

pytestmark = pytest.mark.django_db
TYPED = {"name": "Dora", "time_zone": "Europe/Berlin", "password": "wet-otters-sing", "again": "wet-otters-sing"}


@pytest.fixture
def now():
    """The pages are opened now, whenever that is."""
    return timezone.now()


@pytest.fixture
def lead(team):
    """An admin of the team Shop, observer elsewhere."""
    person = factories.UserFactory(name="Lena", email="lena@example.com", role=Role.OBSERVER)
    factories.MembershipFactory(team=team, user=person, role=Role.ADMIN)
    return person


@pytest.fixture
def invited(alice, now):
    return invitations.invite("dora@example.com", by=alice, now=now, role=Role.RESPONDER)


@pytest.fixture
def link(invited, sent, now):
    return link_in(sent(now)[-1])


# --- the mail and the link ------------------------------------------------------------------------------------------
def test_the_mail_says_who_invites_and_how_long_the_link_works(invited, sent, now):
    (message,) = sent(now)
    assert message["To"] == "dora@example.com"
    assert "Alice (alice@example.com) invites you" in text_of(message)
    assert "within 72 hours" in text_of(message)


def test_opening_the_link_changes_nothing(link, invited, client):
    before = User.objects.values().get(pk=invited.pk), AccountMail.objects.values().get()
    for _ in range(2):
        page = client.get(link)
        assert page.status_code == 200 and "dora@example.com" in page.content.decode()
    assert before == (User.objects.values().get(pk=invited.pk), AccountMail.objects.values().get())


def test_the_page_is_not_kept_and_passes_its_address_to_nobody(link, client):
    page = client.get(link)
    assert "no-store" in page["Cache-Control"]
    assert page["Referrer-Policy"] in ("no-referrer", "strict-origin")


def test_accepting_sets_name_zone_and_password_and_signs_in_with_a_new_session(link, invited, client):
    client.get(link)
    client.cookies["sessionid"] = "f" * 32  # somebody chose the key beforehand
    answer = client.post(link, TYPED)
    assert answer.status_code == 302 and answer["Location"] == "/settings"
    assert client.session.session_key != "f" * 32
    assert client.session[SESSION_KEY] == str(invited.pk)
    invited.refresh_from_db()
    assert (invited.name, invited.time_zone) == ("Dora", "Europe/Berlin")
    assert invited.check_password("wet-otters-sing")


def test_the_link_works_once(link, client, browser):
    client.post(link, TYPED)
    for ask in (browser().get, browser().post):
        page = ask(link, TYPED)
        assert page.status_code == 410 and "used already" in page.content.decode()


def test_a_newer_invitation_ends_the_older_one(link, invited, alice, client, now, sent):
    invitations.send_again(invited, by=alice, now=now)
    page = client.get(link)
    assert page.status_code == 410 and "newer mail" in page.content.decode()
    assert client.get(link_in(sent(now)[-1])).status_code == 200


def test_an_invitation_that_was_withdrawn_does_not_work_and_one_that_waits_is_not_sent(invited, alice, now, sent):
    invitations.withdraw(invited, by=alice, now=now)
    assert sent(now) == []
    with pytest.raises(DomainError, match="no open invitation"):
        invitations.withdraw(invited, by=alice, now=now)


def test_a_withdrawn_link_says_so(link, invited, alice, now, client):
    invitations.withdraw(invited, by=alice, now=now)
    assert "withdrawn" in client.get(link).content.decode()


def test_the_link_ends_after_invitation_hours(link, now):
    token = link.rpartition("/")[2]
    invitations.find(token, now=now + dt.timedelta(hours=72) - dt.timedelta(seconds=1))
    with pytest.raises(Gone, match="too old"):
        invitations.find(token, now=now + dt.timedelta(hours=72))


def test_the_link_ends_when_the_person_gets_a_password_otherwise(link, invited, client):
    invited.set_password("something else")
    invited.save()
    assert client.post(link, TYPED).status_code == 410
    invited.refresh_from_db()
    assert invited.check_password("something else")


def test_the_link_of_somebody_who_was_deactivated_does_not_work(link, invited, client):
    User.objects.filter(pk=invited.pk).update(is_active=False)
    assert client.post(link, TYPED).status_code == 410


def test_a_guessed_link_leads_nowhere(client, invited):
    for token in ("x", "a" * 43, "%00", "🙂"):
        assert client.get(f"/invitation/{token}").status_code == 404


def test_only_the_hash_of_the_link_is_stored(link):
    token = link.rpartition("/")[2]
    row = AccountMail.objects.get()
    assert token not in str(AccountMail.objects.values().get()) and len(row.link_hash) == 64


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ({"password": "12345678", "again": "12345678"}, "too common"),
        ({"password": "short", "again": "short"}, "too short"),
        ({"password": "dora@example.com", "again": "dora@example.com"}, "too similar to the email"),
        ({"again": "another"}, "The two passwords differ"),
        ({"name": ""}, "Write your name"),
        ({"time_zone": "Mars/Phobos"}, "Choose a time zone of the list"),
    ],
)
def test_what_cannot_be_taken_is_said_in_a_sentence_and_the_link_goes_on_working(link, client, typed, sentence):
    page = client.post(link, TYPED | typed)
    assert page.status_code == 400 and sentence in page.content.decode()
    assert client.post(link, TYPED).status_code == 302


def test_it_needs_the_token_of_the_form(link, browser):
    assert browser(enforce_csrf_checks=True).post(link, TYPED).status_code == 403


def test_where_only_single_sign_on_is_allowed_the_mail_has_no_link(alice, now, sent, settings):
    settings.PASSWORD_SIGN_IN = "break-glass"
    invitations.invite("dora@example.com", by=alice, now=now)
    (message,) = sent(now)
    assert "/invitation/" not in text_of(message) and "single sign-on" in text_of(message)


def test_a_name_with_line_breaks_makes_no_header(alice, now, sent):
    alice.name = "Alice\nBcc: all@example.com"
    alice.save()
    invitations.invite("dora@example.com", by=alice, now=now)
    assert sent(now)[0]["Bcc"] is None


# --- who may --------------------------------------------------------------------------------------------------------
def test_an_admin_gives_any_role(alice, team, now):
    person = invitations.invite("dora@example.com", by=alice, now=now, role=Role.ADMIN, team=team)
    assert person.role == Role.ADMIN and person.is_staff and not person.has_usable_password()
    assert Membership.objects.get(user=person).team == team


def test_an_admin_of_a_team_invites_into_it_as_an_observer_of_the_platform(lead, team, now):
    person = invitations.invite("dora@example.com", by=lead, now=now, team=team, team_role=Role.ADMIN)
    assert person.role == Role.OBSERVER and Membership.objects.get(user=person).role == Role.ADMIN


@pytest.mark.parametrize("role", [Role.RESPONDER, Role.ADMIN])
def test_an_admin_of_a_team_gives_no_role_on_the_platform(lead, team, now, role):
    with pytest.raises(NotAllowed, match="Only an admin of the platform"):
        invitations.invite("dora@example.com", by=lead, now=now, role=role, team=team)
    assert not User.objects.filter(email="dora@example.com").exists()


def test_an_admin_of_a_team_invites_to_no_other(lead, now):
    other = factories.TeamFactory()
    for team in (other, None):
        with pytest.raises(NotAllowed):
            invitations.invite("dora@example.com", by=lead, now=now, team=team)


def test_the_form_of_a_team_admin_takes_no_role_of_the_platform(lead, team, browser):
    typed = {"email": "dora@example.com", "role": "admin", "team": team.slug, "team_role": "responder"}
    assert browser(lead).post("/people/invite", typed).status_code == 302
    assert User.objects.get(email="dora@example.com").role == Role.OBSERVER


@pytest.mark.parametrize("name", ["bob", "charlie"])
def test_others_invite_nobody(name, request, invited, browser):
    client = browser(request.getfixturevalue(name))
    assert client.get("/people/invite").status_code == 403
    assert client.post("/people/invite", {"email": "x@example.com"}).status_code == 403
    for verb in ("again", "withdraw"):
        assert client.post(f"/people/invite/{invited.pk}/{verb}").status_code == 404


def test_an_admin_of_a_team_has_nothing_to_do_with_invitations_of_others(lead, invited, browser):
    client = browser(lead)
    assert "dora@example.com" not in client.get("/people/invite").content.decode()
    assert client.post(f"/people/invite/{invited.pk}/withdraw").status_code == 404


def test_somebody_with_an_account_is_not_invited(alice, bob, now):
    bob.last_login = now
    bob.save()
    with pytest.raises(DomainError, match="has an account already"):
        invitations.invite("BOB@example.com", by=alice, now=now)


def test_inviting_somebody_again_makes_no_second_account(alice, invited, now):
    assert invitations.invite("Dora@Example.com", by=alice, now=now) == invited


# --- the page -------------------------------------------------------------------------------------------------------
def test_the_page_lists_who_has_not_come_yet_and_why(alice, now, sent, browser, link):
    invitations.invite("gone@example.com", by=alice, now=now)
    sent(now)
    page = browser(alice).get("/people/invite").content.decode()
    assert "It was sent, and nobody has opened" in page
    assert "No such person here" in page


def test_whoever_came_is_not_listed_any_more(alice, link, client, browser):
    client.post(link, TYPED)
    assert "dora@example.com" not in browser(alice).get("/people/invite").content.decode()


def test_an_invitation_that_is_too_old_is_listed_as_such(alice, invited, now):
    (one,) = invitations.waiting(alice, now=now + dt.timedelta(hours=73))
    assert one.state == "expired"


def test_the_button_of_the_admin_sends_one(alice, now, browser, sent):
    person = factories.UserFactory(email="dora@example.com")
    browser(alice).post(f"/admin/accounts/user/{person.pk}/do/send_invitation/")
    assert link_in(sent()[-1])


def test_a_name_that_is_html_is_shown_as_text(alice, browser, now):
    alice.name = "<script>alert(1)</script>"
    alice.save()
    invitations.invite("dora@example.com", by=alice, now=now)
    assert "<script>alert" not in browser(alice).get("/people/invite").content.decode()
