"""Signing in with a password: who gets in, what guessing costs, break glass, and the ways back."""

import datetime as dt
import io

import pytest
from axes.models import AccessAttempt, AccessLog
from django.contrib.auth.hashers import MD5PasswordHasher
from django.core.management import CommandError, call_command
from django.urls import reverse
from django.utils import timezone

from accounts import lockout
from accounts.models import AccountMail, Role, User
from accounts.signals import break_glass_used
from notifications.models import Alarm
from tests import factories

PASSWORD = "long and winding"
pytestmark = pytest.mark.django_db


@pytest.fixture
def dora():
    return factories.UserFactory(name="Dora", email="dora@example.com", password=PASSWORD)


def sign_in(client, email="dora@example.com", password=PASSWORD, address="192.0.2.1", **more):
    return client.post("/login", {"username": email, "password": password, **more}, REMOTE_ADDR=address)


def is_in(client):
    return "_auth_user_id" in client.session


def said(answer):
    return " ".join(answer.content.decode().split())


def test_signing_in_leads_on_and_never_elsewhere(client, dora):
    assert sign_in(client, next="/shifts").url == "/shifts"
    for wanted in ("https://evil.example.com/", "//evil.example.com", "https:evil.example.com", "javascript:alert(1)"):
        client.logout()
        assert sign_in(client, next=wanted).url == "/"


def test_a_session_begins_anew_at_the_sign_in(client, dora):
    client.get("/login")
    session = client.session
    session["planted"] = "by somebody"
    session.save()
    before = session.session_key
    sign_in(client)
    assert is_in(client) and client.session.session_key != before
    assert not type(client.session)().exists(before)


def test_the_session_cookie_is_not_for_scripts_or_other_sites(client, dora, settings):
    sign_in(client)
    cookie = client.cookies[settings.SESSION_COOKIE_NAME]
    assert cookie["httponly"] and cookie["samesite"] == "Lax" and cookie["max-age"] == 336 * 3600


def test_unknown_and_known_people_get_the_same_answer(client, dora):
    dora_inactive = factories.UserFactory(email="old@example.com", password=PASSWORD, is_active=False)
    machine = factories.UserFactory(email="machine@example.com", password=PASSWORD, is_machine=True)
    pages = {
        said(sign_in(client, email, password)).replace(email, "somebody")
        for email, password in [
            (dora.email, "guess"),
            ("nobody@example.com", "guess"),
            (dora_inactive.email, PASSWORD),
            (machine.email, PASSWORD),
        ]
    }
    hidden = {page.partition("csrfmiddlewaretoken")[0] for page in pages}
    assert len(hidden) == 1 and "do not belong together" in hidden.pop()


def test_an_unknown_person_costs_as_much_hashing_as_a_known_one(client, dora, settings, monkeypatch):
    counted = []
    encode = MD5PasswordHasher.encode
    monkeypatch.setattr(MD5PasswordHasher, "encode", lambda self, *args: counted.append(1) or encode(self, *args))
    sign_in(client, password="guess")
    known, counted[:] = len(counted), []
    sign_in(client, email="nobody@example.com", password="guess")
    assert known == len(counted) == 1


def test_nobody_signs_up(client):
    assert client.get("/signup").status_code == 404 and client.get("/accounts/signup/").status_code == 404


def test_the_admin_has_no_sign_in_of_its_own(client, dora):
    assert client.get("/admin/").url == "/admin/login/?next=/admin/"
    assert client.get("/admin/login/?next=/admin/").url == "/login?next=%2Fadmin%2F"
    assert client.post("/admin/login/", {"username": dora.email, "password": PASSWORD}).status_code == 302
    assert not is_in(client)


def test_who_may_not_use_the_admin_is_told_so(client, dora):
    sign_in(client)
    assert client.get("/admin/login/?next=/admin/").status_code == 403


def test_signing_out_needs_a_press_and_ends_the_session(client, dora):
    sign_in(client)
    assert client.get("/logout").status_code == 200 and is_in(client)
    assert client.post("/logout").url == "/login" and not is_in(client)


# --- guessing -----------------------------------------------------------------------------------------------------
def test_guessing_closes_the_address_it_comes_from_and_no_other(client, dora):
    for _ in range(5):
        sign_in(client, password="guess", address="203.0.113.66")
    answer = sign_in(client, address="203.0.113.66")
    assert "Too many attempts for this address failed. Wait 15 minutes" in said(answer) and not is_in(client)
    sign_in(client, address="192.0.2.1")
    assert is_in(client)


def test_an_attacker_cannot_choose_the_address_that_counts(client, dora):
    for number in range(6):
        answer = client.post(
            "/login",
            {"username": dora.email, "password": "guess"},
            headers={"X-Forwarded-For": f"198.51.100.{number}"},
        )
    assert "Too many attempts" in said(answer)


def test_waiting_out_the_lockout_is_enough(client, dora):
    for _ in range(7):  # the last two do not make it longer
        sign_in(client, password="guess")
    AccessAttempt.objects.update(attempt_time=timezone.now() - dt.timedelta(minutes=15, seconds=1))
    sign_in(client)
    assert is_in(client)


def test_a_lockout_is_the_same_for_names_that_nobody_has(client):
    for _ in range(5):
        sign_in(client, email="nobody@example.com", password="guess")
    assert "Too many attempts" in said(sign_in(client, email="Nobody@example.com"))


def test_guessing_from_everywhere_meets_a_growing_wait(client, dora):
    for number in range(1, 13):
        AccessAttempt.objects.create(
            username=dora.email, ip_address=f"203.0.113.{number}", user_agent="x", failures_since_start=1
        )
    answer = sign_in(client, address="198.51.100.7")
    assert "Wait" in said(answer) and "second" in said(answer) and not is_in(client)


def test_guessing_from_everywhere_does_not_hold_where_the_person_signs_in_usually(client, dora):
    sign_in(client, address="192.0.2.1")
    client.logout()
    for number in range(1, 41):
        AccessAttempt.objects.create(
            username=dora.email, ip_address=f"203.0.113.{number}", user_agent="x", failures_since_start=4
        )
    sign_in(client, address="192.0.2.1")
    assert is_in(client)


@pytest.mark.parametrize(("failures", "seconds"), [(9, 0), (10, 1), (13, 8), (16, 60), (10_000, 60)])
def test_the_wait_grows_to_a_minute(failures, seconds):
    assert lockout._wait(failures) == dt.timedelta(seconds=seconds)


def test_passwords_that_were_tried_are_not_kept(client, dora):
    sign_in(client, password="my password of another site")
    (row,) = AccessAttempt.objects.all()
    assert "another site" not in row.post_data + row.get_data


def test_failures_and_known_addresses_are_forgotten_in_time(client, dora):
    sign_in(client)
    sign_in(type(client)(), password="guess")
    lockout.forget_old(now=timezone.now() + dt.timedelta(minutes=16))
    assert not AccessAttempt.objects.exists() and AccessLog.objects.exists()
    lockout.forget_old(now=timezone.now() + dt.timedelta(days=91))
    assert not AccessLog.objects.exists()


def test_an_admin_unlocks_with_a_button(client, dora, alice):
    for _ in range(5):
        sign_in(client, password="guess")
    client.force_login(alice)
    User.objects.filter(pk=alice.pk).update(is_staff=True, is_superuser=True)
    page = reverse("admin:accounts_user_do", args=[dora.pk, "unlock"])
    assert "is unlocked. There were failures from 1 address." in said(client.post(page, follow=True))
    client.logout()
    sign_in(client)
    assert is_in(client)


def test_a_command_unlocks_when_nobody_can_get_in(client, dora):
    for _ in range(5):
        sign_in(client, password="guess")
    out = io.StringIO()
    call_command("unlock", "DORA@example.com", stdout=out)
    assert "failures from 1 addresses" in out.getvalue()
    sign_in(client)
    assert is_in(client)
    with pytest.raises(CommandError, match="Nobody has the address"):
        call_command("unlock", "nobody@example.com")


# --- break glass --------------------------------------------------------------------------------------------------
@pytest.fixture
def only_single_sign_on(settings):
    settings.PASSWORD_SIGN_IN = "break-glass"
    settings.OIDC_PROVIDERS = [
        {"id": "corp", "name": "Corp", "issuer": "http://127.0.0.1:9/down", "client_id": "x"},
    ]


@pytest.fixture
def glass(alice):
    return factories.UserFactory(
        name="Glass", email="glass@example.com", password=PASSWORD, is_break_glass=True, role=Role.ADMIN
    )


def test_with_single_sign_on_only_a_password_is_refused(client, dora, only_single_sign_on):
    assert "do not belong together, or the account may not sign in" in said(sign_in(client)) and not is_in(client)
    assert "Emergency sign-in with a password" in said(client.get("/login"))


def test_break_glass_works_with_the_provider_down_and_rings_a_bell(client, glass, only_single_sign_on):
    sign_in(client, glass.email)
    assert is_in(client)
    alarm = Alarm.objects.get()
    assert alarm.key.startswith("break-glass:") and "Glass signed in from 192.0.2.1" in alarm.text
    mails = AccountMail.objects.filter(kind="break-glass")
    assert {one.user.email for one in mails} == {"alice@example.com", "glass@example.com"}
    assert "without single sign-on" in mails[0].body


@pytest.mark.logs_errors
def test_a_bell_that_cannot_ring_keeps_nobody_out(client, glass, only_single_sign_on):
    def broken(**kwargs):
        raise OSError("the bell is broken")

    break_glass_used.connect(broken)
    try:
        sign_in(client, glass.email)
    finally:
        break_glass_used.disconnect(broken)
    assert is_in(client) and Alarm.objects.exists()


def test_others_ring_no_bell(client, dora):
    sign_in(client)
    assert not Alarm.objects.exists()


# --- the password -------------------------------------------------------------------------------------------------
def test_a_new_password_ends_the_other_sessions(client, dora):
    elsewhere = type(client)()
    sign_in(client)
    sign_in(elsewhere)
    new = "another sentence that nobody guesses"
    answer = client.post("/account/password", {"oldpassword": PASSWORD, "password1": new, "password2": new})
    assert answer.url == "/account/security"
    assert client.get("/account/security").status_code == 200
    assert elsewhere.get("/account/security").url == "/login?next=/account/security"
    assert User.objects.get(pk=dora.pk).check_password(new)


def test_a_password_is_changed_only_by_who_knows_the_old_one(client, dora):
    sign_in(client)
    new = "another sentence that nobody guesses"
    answer = client.post("/account/password", {"oldpassword": "guess", "password1": new, "password2": new})
    assert answer.status_code == 200 and User.objects.get(pk=dora.pk).check_password(PASSWORD)


def test_who_has_no_password_is_not_asked_for_one(client):
    client.force_login(factories.UserFactory(email="sso@example.com", password=None))
    assert client.get("/account/password", follow=True).redirect_chain[-1][0] == "/account/security"
