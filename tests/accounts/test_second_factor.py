"""The second factor: codes of an app, recovery codes, who must have one, and the way back for who lost theirs."""

import re
import time

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, hotp_value
from allauth.usersessions.models import UserSession
from django.db import connection
from django.urls import reverse

from accounts import second_factor
from accounts.models import Role
from tests import factories

PASSWORD = "long and winding"
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
pytestmark = pytest.mark.django_db


@pytest.fixture
def dora():
    return factories.UserFactory(name="Dora", email="dora@example.com", password=PASSWORD, role=Role.RESPONDER)


@pytest.fixture
def with_app(dora):
    TOTP.activate(dora, SECRET)
    return dora


def code(secret=SECRET, ago=0):
    """The code that an app shows now, or showed some steps of 30 seconds ago (RFC 6238)."""
    return format_hotp_value(hotp_value(secret, int(time.time()) // 30 - ago))


def first_step(client, user, address="192.0.2.1", **more):
    return client.post("/login", {"username": user.email, "password": PASSWORD, **more}, REMOTE_ADDR=address)


def second_step(client, text, address="192.0.2.1"):
    return client.post("/login/second-factor", {"code": text}, REMOTE_ADDR=address)


def is_in(client):
    return "_auth_user_id" in client.session


def said(answer):
    return " ".join(answer.content.decode().split())


def confirm(client):
    """Type the password once more, as changing the factors asks for."""
    return client.post("/account/confirm", {"password": PASSWORD})


def set_up(client):
    """Set an app up on the page, and return its secret."""
    confirm(client)
    page = said(client.get("/account/security/app"))
    secret = re.search(r"Type this key into the app: <code>(\w+)</code>", page)[1]
    answer = client.post("/account/security/app", {"code": code(secret)})
    assert answer.url == "/account/security/codes"
    return secret


def test_the_password_alone_is_not_enough(client, with_app):
    answer = first_step(client, with_app, next="/shifts")
    assert answer.url == "/login/second-factor" and not is_in(client)
    assert client.get("/shifts").url == "/login?next=/shifts"
    assert second_step(client, code()).url == "/shifts" and is_in(client)


def test_a_wrong_code_is_refused_and_counts_like_a_wrong_password(client, with_app):
    first_step(client, with_app)
    for _ in range(5):
        assert "wrong, old or used already" in said(second_step(client, "000000"))
    assert "Too many attempts" in said(second_step(client, code())) and not is_in(client)


def test_guessing_codes_elsewhere_does_not_keep_the_person_out(client, with_app):
    thief = type(client)()
    first_step(thief, with_app, address="203.0.113.66")
    for _ in range(6):
        second_step(thief, "000000", address="203.0.113.66")
    first_step(client, with_app)
    second_step(client, code())
    assert is_in(client)


def test_a_code_works_once_whoever_typed_it_first(client, with_app):
    first_step(client, with_app)
    used = code()
    second_step(client, used)
    assert is_in(client)
    thief = type(client)()
    first_step(thief, with_app, address="192.0.2.2")
    assert "used already" in said(second_step(thief, used, "192.0.2.2")) and not is_in(thief)
    assert "used already" in said(second_step(thief, code(ago=1), "192.0.2.2")) and not is_in(thief)


def test_the_clock_of_a_phone_may_be_half_a_minute_late(client, with_app):
    first_step(client, with_app)
    second_step(client, code(ago=1))
    assert is_in(client)


def test_a_code_of_two_minutes_ago_is_old(client, with_app):
    first_step(client, with_app)
    second_step(client, code(ago=4))
    assert not is_in(client)


def test_a_recovery_code_works_once(client, dora):
    client.force_login(dora)
    set_up(client)
    codes = re.findall(r"<li><code>(\d{8})</code></li>", said(client.get("/account/security/codes")))
    assert len(codes) == 10
    client.post("/logout")
    first_step(client, dora)
    second_step(client, codes[3])
    assert is_in(client)
    client.post("/logout")
    first_step(client, dora)
    second_step(client, codes[3])
    assert not is_in(client)


def test_setting_an_app_up_asks_for_the_password_again(client, dora):
    client.force_login(dora)
    assert client.get("/account/security/app").url.startswith("/account/confirm")
    set_up(client)
    assert "An app on your phone shows codes for you" in said(client.get("/account/security"))


def test_secrets_are_encrypted_in_the_database(client, dora):
    client.force_login(dora)
    secret = set_up(client)
    with connection.cursor() as cursor:
        cursor.execute("SELECT data::text FROM mfa_authenticator")
        stored = " ".join(row[0] for row in cursor.fetchall())
    assert secret not in stored and '"secret": "enc:' in stored and '"seed": "enc:' in stored


def test_removing_the_app_asks_first(client, dora):
    client.force_login(dora)
    set_up(client)
    assert "Remove the app?" in said(client.get("/account/security/app/remove"))
    client.post("/account/security/app/remove")
    assert not Authenticator.objects.exists()


# --- who must have one --------------------------------------------------------------------------------------------
@pytest.fixture
def required(settings):
    settings.REQUIRE_SECOND_FACTOR = "admins"


@pytest.fixture
def boss(team):
    return factories.UserFactory(
        email="boss@example.com", password=PASSWORD, role=Role.ADMIN, is_staff=True, is_superuser=True
    )


@pytest.mark.django_db(transaction=True)  # the session remembers it after the commit
def test_who_must_have_one_sets_it_up_before_anything_else(client, boss, required):
    first_step(client, boss)
    assert client.get("/shifts?x=1").url == "/account/security?next=%2Fshifts%3Fx%3D1"
    assert client.get("/admin/").url.startswith("/account/security")
    page = said(client.get("/account/security?next=/shifts"))
    assert "Your role needs a second factor" in page and "Set up an app" in page
    set_up(client)
    assert "Go on where you wanted to" in said(client.get("/account/security"))
    assert client.get("/shifts").status_code == 200


def test_the_api_is_closed_to_a_browser_without_it(client, boss, required):
    first_step(client, boss)
    answer = client.get("/api/v1/teams")
    assert answer.status_code == 403 and "second factor" in answer.json()["detail"]
    assert answer["Content-Type"] == "application/problem+json"


def test_others_work_without(client, dora, required):
    first_step(client, dora)
    assert client.get("/shifts").status_code == 200


def test_everybody_means_everybody(client, dora, settings):
    settings.REQUIRE_SECOND_FACTOR = "everybody"
    first_step(client, dora)
    assert client.get("/shifts").url.startswith("/account/security")


def test_an_older_session_proves_the_factor_that_was_set_up_elsewhere(client, boss, settings):
    first_step(client, boss)
    TOTP.activate(boss, SECRET)
    settings.REQUIRE_SECOND_FACTOR = "admins"
    lead = client.get("/shifts", follow=True).redirect_chain[-1][0]
    assert lead == "/account/confirm/code?next=%2Fshifts"
    assert client.post(lead, {"code": code()}).url == "/shifts"
    assert client.get("/shifts").status_code == 200


@pytest.mark.parametrize("page", ["/account/confirm", "/account/security/passkeys/add", "/account/security/app"])
def test_an_older_session_adds_no_other_factor_with_the_password_alone(client, boss, required, page):
    first_step(client, boss)
    TOTP.activate(boss, SECRET)
    confirm(client)
    assert client.get(page).url.startswith("/account/security?next=")
    assert client.post(page, {"password": PASSWORD}).url.startswith("/account/security")


def test_the_link_of_a_page_works_in_a_browser_that_must_still_prove_it(client, boss, required):
    first_step(client, boss)
    assert "/account/security" not in client.get("/l/unknown", follow=True).request["PATH_INFO"]


@pytest.mark.django_db(transaction=True)  # the session remembers it after the commit
def test_the_last_factor_stays_where_one_is_needed(client, boss, required):
    first_step(client, boss)
    set_up(client)
    assert "this is the only one" in said(client.get("/account/security/app/remove"))
    client.post("/account/security/app/remove")
    assert second_factor.factors(boss).exists()


def test_a_session_that_proved_it_costs_no_query(client, boss, required, django_assert_num_queries):
    TOTP.activate(boss, SECRET)
    first_step(client, boss)
    second_step(client, code())
    session = dict(client.session.items())
    with django_assert_num_queries(0):
        assert not second_factor.is_lacking(boss, session)


def test_the_proof_of_one_person_is_none_for_another(client, boss, dora, required):
    assert second_factor.is_lacking(boss, {second_factor.PROVED: str(dora.pk)})


# --- the way back -------------------------------------------------------------------------------------------------
def test_an_admin_resets_the_factor_of_who_lost_the_phone(client, boss, with_app):
    lost = type(client)()
    first_step(lost, with_app)
    second_step(lost, code())
    assert UserSession.objects.filter(user=with_app).exists()
    client.force_login(boss)
    page = reverse("admin:accounts_user_do", args=[with_app.pk, "reset_second_factor"])
    assert "call them back" in said(client.get(page))
    assert "has no second factor any more" in said(client.post(page, {"confirmed": "yes"}, follow=True))
    assert lost.get("/shifts").url.startswith("/login")
    client.post("/logout")
    first_step(client, with_app)
    assert is_in(client)


def test_others_cannot_reset_it(client, dora, boss):
    TOTP.activate(boss, SECRET)
    client.force_login(dora)
    answer = client.post(
        reverse("admin:accounts_user_do", args=[boss.pk, "reset_second_factor"]), {"confirmed": "yes"}
    )
    assert answer.status_code in (302, 403, 404) and second_factor.factors(boss).exists()
