"""Forgotten passwords: nobody learns whose addresses there are, and a link opens nothing but a new password."""

import datetime as dt
import re

import pytest
from allauth.mfa.models import Authenticator
from django.contrib.sessions.models import Session
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import invitations, resets, sessions
from accounts.models import AccountMail, User
from core import limits
from core.errors import Gone
from tests import factories
from tests.accounts.conftest import link_in, text_of

pytestmark = pytest.mark.django_db
TYPED = {"password": "wet-otters-sing", "again": "wet-otters-sing"}


@pytest.fixture
def now():
    """The pages are opened now, whenever that is."""
    return timezone.now()


@pytest.fixture(autouse=True)
def own_limits(settings):
    """Limits are counted in this process, anew for each test."""
    settings.RATE_LIMIT_STORE = "process"
    limits.forget()
    yield
    limits.forget()


@pytest.fixture
def erin(db):
    """Somebody with a password, who was here before."""
    return factories.UserFactory(
        name="Erin",
        email="erin@example.com",
        password="the old one",
        last_login=dt.datetime(2026, 5, 1, tzinfo=dt.UTC),
    )


@pytest.fixture
def link(erin, sent, now):
    resets.ask("erin@example.com", now=now)
    return link_in(sent(now)[-1])


def asked(client, email):
    return client.post("/reset", {"email": email})


def test_the_sign_in_page_leads_to_it(client):
    assert 'href="/reset"' in client.get("/login").content.decode()


def test_known_and_unknown_addresses_get_the_same_answer_for_the_same_work(erin, browser):
    answers, work = [], []
    for email in ("erin@example.com", "nobody@example.com"):
        client = browser()
        with CaptureQueriesContext(connection) as queries:
            page = asked(client, email)
        answers.append((page.status_code, page.content.decode()))
        work.append([re.sub(r"'[^']*'|\d+", "?", query["sql"]) for query in queries])
    assert answers[0] == answers[1] and answers[0][0] == 200
    assert work[0] == work[1]


def test_an_unknown_address_gets_no_mail_and_is_forgotten(sent, now, client):
    asked(client, "nobody@example.com")
    assert sent() == []
    resets.mail.forget_old(now=now + dt.timedelta(days=2))
    assert not AccountMail.objects.exists()


def test_the_account_is_found_in_any_case_and_mailed_at_its_own_address(erin, sent, now, client):
    asked(client, "ERIN@EXAMPLE.COM")
    assert sent()[0]["To"] == "erin@example.com"


def test_opening_the_link_changes_nothing(link, erin, client):
    before = User.objects.values().get(pk=erin.pk)
    assert client.get(link).status_code == 200
    assert before == User.objects.values().get(pk=erin.pk)


def test_a_new_password_signs_nobody_in(link, erin, client):
    answer = client.post(link, TYPED)
    assert answer.status_code == 302 and answer["Location"] == "/login"
    assert "_auth_user_id" not in client.session
    erin.refresh_from_db()
    assert erin.check_password("wet-otters-sing")


def test_the_second_factor_is_still_asked_for(link, erin, client):
    Authenticator.objects.create(user=erin, type=Authenticator.Type.TOTP, data={"secret": "x"})
    client.post(link, TYPED)
    client.post("/login", {"username": "erin@example.com", "password": "wet-otters-sing"})
    assert "_auth_user_id" not in client.session
    assert Authenticator.objects.filter(user=erin).exists()


def test_every_session_of_the_person_ends_and_nobody_elses(link, erin, bob, browser, client):
    hers, his = browser(erin), browser(bob)
    hers.get("/settings/sessions")
    client.post(link, TYPED)
    assert hers.get("/settings/sessions").status_code == 302
    assert his.get("/settings/sessions").status_code == 200
    assert Session.objects.filter(session_key=his.session.session_key).exists()


def test_the_person_is_told_of_the_change(link, client, sent, now):
    client.post(link, TYPED)
    message = sent()[-1]
    assert message["To"] == "erin@example.com" and "was changed" in message["Subject"]
    assert "tell an admin at once" in text_of(message)


def test_the_link_works_once(link, client, browser):
    client.post(link, TYPED)
    assert browser().post(link, TYPED | {"password": "another-one-9"}).status_code == 410


def test_a_newer_link_ends_the_older_one(link, client, now, sent):
    resets.ask("erin@example.com", now=now)
    newer = link_in(sent(now)[-1])
    assert client.get(link).status_code == 410 and client.get(newer).status_code == 200


def test_the_link_ends_after_reset_minutes(link, now):
    with pytest.raises(Gone, match="too old"):
        resets.find(link.rpartition("/")[2], now=now + dt.timedelta(minutes=60))


def test_the_link_of_an_invitation_resets_nothing(alice, now, sent, client):
    invitations.invite("dora@example.com", by=alice, now=now)
    token = link_in(sent(now)[-1]).rpartition("/")[2]
    assert client.get(f"/reset/{token}").status_code == 404


def test_a_weak_password_is_refused_in_a_sentence(link, client):
    page = client.post(link, {"password": "password", "again": "password"})
    assert page.status_code == 400 and "too common" in page.content.decode()


def test_three_mails_an_hour_and_no_more(erin, sent, now):
    for _ in range(5):
        resets.ask("Erin@example.com", now=now)
    assert len(sent(now)) == 3
    later = now + dt.timedelta(hours=1, seconds=1)
    resets.ask("erin@example.com", now=later)
    assert len(sent(later)) == 4


def test_one_address_cannot_ask_for_everybody(client, sent, now):
    answers = [asked(client, f"person{number}@example.com").status_code for number in range(21)]
    assert answers == [200] * 20 + [429]


def test_who_signs_in_elsewhere_is_told_how(erin, sent, now, settings):
    settings.PASSWORD_SIGN_IN = "break-glass"
    resets.ask("erin@example.com", now=now)
    (message,) = sent(now)
    assert "/reset/" not in text_of(message) and "single sign-on" in text_of(message)


def test_who_never_had_a_password_gets_none_by_mail(erin, sent, now):
    erin.set_unusable_password()
    erin.save()
    resets.ask("erin@example.com", now=now)
    assert "/reset/" not in text_of(sent(now)[0])


def test_a_link_sent_before_single_sign_on_became_the_only_way_sets_no_password(link, client, settings, erin):
    settings.PASSWORD_SIGN_IN = "break-glass"
    assert client.post(link, TYPED).status_code == 410
    erin.refresh_from_db()
    assert erin.check_password("the old one")


@pytest.mark.parametrize("field", [{"is_active": False}, {"is_machine": True}])
def test_who_cannot_sign_in_gets_no_mail(erin, sent, now, field):
    User.objects.filter(pk=erin.pk).update(**field)
    resets.ask("erin@example.com", now=now)
    assert sent(now) == []


def test_who_has_not_accepted_an_invitation_is_told_so(alice, now, sent):
    invitations.invite("dora@example.com", by=alice, now=now)
    sent(now)
    resets.ask("dora@example.com", now=now)
    assert "not accepted your invitation" in text_of(sent(now)[-1])


def test_line_breaks_in_an_address_are_refused(client):
    assert asked(client, "erin@example.com\nBcc: x@example.com").status_code == 400
    assert not AccountMail.objects.exists()


def test_sessions_without_a_row_end_too(erin, browser):
    hers = browser(erin)
    assert sessions.end_all(erin) == 1
    assert hers.get("/settings/sessions").status_code == 302
