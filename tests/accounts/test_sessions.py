"""Where somebody is signed in, in words; and the end of it."""

import datetime as dt

import pytest
from allauth.usersessions.models import UserSession
from django.contrib.sessions.models import Session
from django.utils import timezone

from accounts import sessions
from accounts.auth import find_key
from tests import factories

pytestmark = pytest.mark.django_db

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 "
    "Mobile/15E148 Safari/604.1"
)
EDGE = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36 "
    "Edg/141.0.0.0"
)


def key_of(client):
    return client.session.session_key


@pytest.mark.parametrize(
    ("agent", "words"),
    [
        (FIREFOX, "Firefox on Linux"),
        (IPHONE, "Safari on iPhone"),
        (EDGE, "Edge on Windows"),
        ("Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 Chrome/141.0 Mobile Safari/537.36", "Chrome on Android"),
        ("curl/8.5.0", "curl"),
        ("", "Unknown browser"),
        ("a" * 500, "a" * 40),
    ],
)
def test_a_browser_is_said_in_words(agent, words):
    assert sessions.device(agent) == words


def test_the_page_shows_my_sessions_this_one_first_and_nobody_elses(bob, charlie, browser):
    browser(bob, headers={"user-agent": IPHONE}).get("/settings/sessions")
    browser(charlie, headers={"user-agent": EDGE}).get("/settings/sessions")
    page = browser(bob, headers={"user-agent": FIREFOX}).get("/settings/sessions").content.decode()
    assert page.index("Firefox on Linux") < page.index("This one") < page.index("Safari on iPhone")
    assert "127.0.0.1" in page and "Edge on Windows" not in page


def test_what_a_browser_calls_itself_is_text(bob, browser):
    page = browser(bob, headers={"user-agent": "<script>alert(1)</script>"}).get("/settings/sessions")
    assert "<script>alert" not in page.content.decode()


def test_ending_a_session_signs_it_out(bob, browser):
    lost, mine = browser(bob), browser(bob)
    lost.get("/settings/sessions"), mine.get("/settings/sessions")
    row = UserSession.objects.get(session_key=key_of(lost))
    mine.post(f"/settings/sessions/{row.pk}/end")
    assert lost.get("/settings/sessions").status_code == 302
    assert mine.get("/settings/sessions").status_code == 200


def test_ending_this_session_leads_to_the_sign_in_page(bob, browser):
    client = browser(bob)
    client.get("/settings/sessions")
    row = UserSession.objects.get(session_key=key_of(client))
    assert client.post(f"/settings/sessions/{row.pk}/end")["Location"] == "/login"
    assert client.get("/settings/sessions").status_code == 302


def test_nobody_ends_a_session_of_another(bob, charlie, browser):
    his, other = browser(bob), browser(charlie)
    his.get("/settings/sessions")
    row = UserSession.objects.get(session_key=key_of(his))
    other.post(f"/settings/sessions/{row.pk}/end")
    assert his.get("/settings/sessions").status_code == 200


def test_all_others_end_also_those_without_a_row(bob, charlie, browser):
    mine, other, stranger = browser(bob), browser(bob), browser(charlie)
    mine.post("/settings/sessions/end")
    assert mine.get("/settings/sessions").status_code == 200
    assert other.get("/settings/sessions").status_code == 302
    assert stranger.get("/settings/sessions").status_code == 200


def test_looking_ends_nothing(bob, browser):
    client = browser(bob)
    client.get("/settings/sessions")
    row = UserSession.objects.get()
    assert client.get(f"/settings/sessions/{row.pk}/end").status_code == 405
    assert client.get("/settings/sessions/end").status_code == 405


def test_use_is_noted_from_where_it_comes(bob, browser, settings):
    settings.TRUSTED_PROXIES = ["127.0.0.1"]
    client = browser(bob)
    client.get("/settings/sessions", headers={"x-forwarded-for": "203.0.113.9"})
    assert UserSession.objects.get().ip == "203.0.113.9"


def test_sessions_that_are_over_are_deleted_and_those_that_work_stay(bob, browser):
    over, mine = browser(bob), browser(bob)
    over.get("/settings/sessions"), mine.get("/settings/sessions")
    now = timezone.now() + dt.timedelta(hours=1)
    Session.objects.filter(session_key=key_of(over)).update(expire_date=now - dt.timedelta(seconds=1))
    sessions.forget_old(now=now)
    assert UserSession.objects.get().session_key == Session.objects.get().session_key == key_of(mine)


def test_an_admin_ends_all_sessions_of_a_person(alice, bob, browser):
    his, hers = browser(bob), browser(alice)
    his.get("/settings/sessions")
    hers.post(f"/admin/accounts/user/{bob.pk}/do/end_sessions/")
    assert his.get("/settings/sessions").status_code == 302
    assert hers.get("/settings/sessions").status_code == 200


def test_deactivating_a_person_ends_their_sessions_and_tokens_for_good(bob, browser):
    client, key = browser(bob), factories.ApiKeyFactory(user=bob)
    type(key).objects.filter(pk=key.pk).update(is_personal=True)
    client.get("/settings/sessions")
    bob.is_active = False
    bob.save()
    assert not Session.objects.filter(session_key=key_of(client)).exists() and not UserSession.objects.exists()
    bob.is_active = True
    bob.save()
    assert client.get("/settings/sessions").status_code == 302
    assert find_key(key.text, now=timezone.now()) is None


def test_saving_a_person_who_is_active_ends_nothing(bob, browser):
    client = browser(bob)
    client.get("/settings/sessions")
    bob.save()
    assert client.get("/settings/sessions").status_code == 200


def test_the_pages_of_settings_lead_to_each_other(bob, browser):
    client = browser(bob)
    for path in ("/settings", "/settings/sessions", "/settings/privacy"):
        page = client.get(path).content.decode()
        assert 'href="/settings/sessions"' in page and 'href="/settings/privacy"' in page
