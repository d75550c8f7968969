"""Session fixation, and sessions that should have ended: a key that somebody chose or kept opens nothing.

The way by password and by invitation is in tests/accounts; so is a new password that ends the other sessions.
"""

import pytest
from django.contrib.auth import SESSION_KEY
from django.test import Client

from accounts.models import Role
from tests import factories
from tests.accounts.test_second_factor import code, first_step, second_step, with_app  # noqa: F401
from tests.accounts.test_second_factor import dora as dora  # its password is known there
from tests.accounts.test_single_sign_on import corp, running, sign_in  # noqa: F401

pytestmark = pytest.mark.django_db
CHOSEN = "abcdefghijklmnopqrstuvwxyz012345"  # the form of a key of Django's


def planted(client):
    """A session that exists, is nobody's, and whose key somebody else knows."""
    session = client.session
    session["planted"] = "by somebody"
    session.save()
    client.cookies["sessionid"] = session.session_key
    return session.session_key


def knows(key):
    """Whose session the key opens, by the eyes of who knows it."""
    thief = Client()
    thief.cookies["sessionid"] = key
    return thief.session.get(SESSION_KEY)


def test_a_second_factor_is_proved_in_a_new_session(client, with_app):  # noqa: F811
    first = planted(client)
    first_step(client, with_app)
    between = client.session.session_key
    assert SESSION_KEY not in client.session
    second_step(client, code())
    after = client.session.session_key
    assert client.session[SESSION_KEY] == str(with_app.pk)
    assert after not in (first, between)
    assert knows(first) is None and knows(between) is None


def test_a_sign_in_through_a_provider_begins_a_new_session(client, corp, dora):  # noqa: F811
    first = planted(client)
    sign_in(client, corp)
    assert client.session[SESSION_KEY] == str(dora.pk)
    assert client.session.session_key != first and knows(first) is None


def test_a_key_that_somebody_chose_becomes_no_session(client, dora):
    client.cookies["sessionid"] = CHOSEN
    first_step(client, dora)
    assert client.session[SESSION_KEY] == str(dora.pk)
    assert client.session.session_key != CHOSEN and knows(CHOSEN) is None


def test_a_key_in_the_address_or_the_form_is_no_session(client, dora):
    victim = Client()
    victim.force_login(dora)
    key = victim.session.session_key
    for ask in (client.get, client.post):
        assert ask(f"/settings?sessionid={key}&session={key}", {"sessionid": key}).status_code in (302, 405)


def test_signing_out_ends_the_session_and_not_only_the_cookie(client, dora):
    first_step(client, dora)
    key = client.session.session_key
    client.post("/logout")
    assert knows(key) is None
    thief = Client()
    thief.cookies["sessionid"] = key
    assert thief.get("/settings").status_code == 302


def test_signing_in_as_another_leaves_nothing_of_the_one_before(client, dora, bob):
    client.force_login(bob)
    session = client.session
    session["second_factor"] = str(bob.pk)
    session["oidc_pending"] = {"state": {"at": 0}}
    session.save()
    first_step(client, dora)
    if client.session.get(SESSION_KEY) == str(dora.pk):
        assert "oidc_pending" not in client.session
        assert client.session.get("second_factor") != str(bob.pk)
    else:  # who is signed in is not asked again
        assert client.session[SESSION_KEY] == str(bob.pk)


@pytest.mark.parametrize("path", ["/settings", "/", "/admin/", "/api/v1/users/me"])
def test_a_deactivated_person_is_out_with_the_next_request(client, alice, path):
    client.force_login(alice)
    assert client.get(path).status_code == 200
    type(alice).objects.filter(pk=alice.pk).update(is_active=False)  # beneath everything that ends sessions
    assert client.get(path).status_code in (302, 401, 403)


def test_a_role_that_is_taken_away_is_gone_with_the_next_request(client, alice):
    client.force_login(alice)
    assert client.get("/audit").status_code == 200
    alice.memberships.all().delete()
    alice.role = Role.OBSERVER
    alice.save()
    assert client.get("/audit").status_code == 403
    assert client.get("/admin/").status_code in (302, 403)
    assert client.patch(f"/api/v1/users/{alice.uuid}", {}, content_type="application/json").status_code == 403


def test_a_password_that_an_admin_sets_ends_the_sessions(client, dora):
    client.force_login(dora)
    assert client.get("/settings").status_code == 200
    dora.set_password("another long one")
    dora.save()
    assert client.get("/settings").status_code == 302


def test_a_session_of_somebody_erased_opens_nothing(client, alice):
    person = factories.UserFactory(name="Gone")
    client.force_login(person)
    person.is_active = False
    person.set_unusable_password()
    person.save()
    assert client.get("/settings").status_code == 302


def test_both_cookies_are_for_this_site_and_its_requests_only(client, dora, settings):
    client.get("/login")
    first_step(client, dora)
    for name in (settings.SESSION_COOKIE_NAME, settings.CSRF_COOKIE_NAME):
        cookie = client.cookies[name]
        assert cookie["httponly"] and cookie["samesite"] == "Lax" and cookie["path"] == "/" and not cookie["domain"]


@pytest.mark.parametrize("is_https", [True, False])
def test_with_tls_cookies_are_never_sent_without(client, dora, settings, is_https):
    settings.SESSION_COOKIE_SECURE = settings.CSRF_COOKIE_SECURE = is_https
    client.get("/login")
    first_step(client, dora)
    for name in (settings.SESSION_COOKIE_NAME, settings.CSRF_COOKIE_NAME):
        assert bool(client.cookies[name]["secure"]) is is_https
