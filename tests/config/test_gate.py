"""Limits of addresses at what needs no account: guessing is slowed, and nobody who is right is kept out by it."""

import datetime as dt

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from incidents import lifecycle
from notifications import links, providers
from notifications.models import Notification
from notifications.vendors.telegram import SECRET_HEADER
from oncall import feeds
from tests import factories
from tests.fakes.server import running
from tests.fakes.telegram import FakeTelegram

MINUTE = dt.timedelta(minutes=1)


@pytest.fixture(autouse=True)
def tight(settings):
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "public": "20/minute", "guesses": "3/minute"}


@pytest.fixture
def stranger():
    return Client(enforce_csrf_checks=True)


@pytest.fixture
def link(service):
    incident = lifecycle.trigger(
        service, title="Checkout is down", severity="critical", now=timezone.now() - 2 * MINUTE
    )
    return f"/l/{links.token(Notification.objects.get(topic=incident.topic).uuid, 'acknowledge')}"


def statuses(call, count):
    return [call(number).status_code for number in range(count)]


def test_guessing_links_is_slowed(stranger, link):
    answers = statuses(lambda number: stranger.get(f"{link[:-3]}{number:03}"), 6)
    assert answers == [404, 404, 404, 429, 429, 429]


def test_looking_for_pages_that_are_not_there_is_slowed(stranger, db):
    assert statuses(lambda number: stranger.get(f"/status/page-{number}"), 22)[-1] == 429


def test_the_right_link_works_beside_somebody_who_guesses(stranger, link):
    statuses(lambda number: stranger.get(f"{link[:-3]}{number:03}"), 6)
    assert stranger.get(link).status_code == 200
    assert stranger.post(link).status_code == 200


def test_guessing_the_token_of_an_acknowledgement_is_slowed(stranger, link):
    def acknowledge(token):
        return stranger.post(
            "/api/v1/notifications/acknowledge", {"token": token}, content_type="application/json"
        ).status_code

    right = link.removeprefix("/l/")
    assert [acknowledge(f"{right[:-3]}{number:03}") for number in range(5)] == [404, 404, 404, 429, 429]
    assert acknowledge(right) == 200


def test_guessing_feeds_is_slowed_and_the_right_feed_is_still_read(stranger, alice):
    factories.ScheduleFactory()
    _, secret = feeds.issue(alice, person=alice)
    assert statuses(lambda number: stranger.get(f"/ical/{secret[:-3]}{number:03}.ics"), 5)[-1] == 429
    assert stranger.get(f"/ical/{secret}.ics").status_code == 200


def test_an_address_that_asks_too_much_is_refused_before_anything_is_done(stranger, link, django_assert_num_queries):
    assert statuses(lambda number: stranger.get(link), 20) == [200] * 20
    with django_assert_num_queries(0):
        answer = stranger.get(link, headers={"Accept": "text/html"})
    assert answer.status_code == 429
    assert 1 <= int(answer["Retry-After"]) <= 3
    text = answer.content.decode()
    assert f"Too many requests came from your address. Wait {answer['Retry-After']} second" in text
    assert answer["Content-Security-Policy"]


def test_other_addresses_are_not_touched(stranger, link):
    statuses(lambda number: stranger.get(link), 25)
    assert stranger.get(link, REMOTE_ADDR="198.51.100.7").status_code == 200


def test_a_made_up_forwarded_address_does_not_make_another_client(stranger, link, settings):
    settings.TRUSTED_PROXIES = ["1"]
    answers = statuses(
        lambda number: stranger.get(link, headers={"X-Forwarded-For": f"6.6.6.{number}, 198.51.100.1"}), 21
    )
    assert answers[-1] == 429
    assert stranger.get(link, headers={"X-Forwarded-For": "198.51.100.2"}).status_code == 200


def test_one_line_of_ipv6_is_one_client(stranger, link):
    assert statuses(lambda number: stranger.get(link, REMOTE_ADDR=f"2001:db8:1:2::{number}"), 21)[-1] == 429
    assert stranger.get(link, REMOTE_ADDR="2001:db8:1:3::1").status_code == 200


def test_people_behind_a_proxy_that_nobody_named_are_not_refused_for_one_another(stranger, link):
    answers = statuses(
        lambda number: stranger.get(link, REMOTE_ADDR="10.0.0.1", headers={"X-Forwarded-For": f"198.51.100.{number}"}),
        60,
    )
    assert answers == [200] * 60


def test_wrong_passwords_are_slowed_before_they_are_looked_at(stranger, alice):
    client = Client()
    answers = [
        client.post(reverse("login"), {"username": "x@example.com", "login": "x@example.com", "password": "wrong"})
        for _ in range(5)
    ]
    assert [one.status_code for one in answers[-2:]] == [429, 429]
    assert all(one.status_code != 429 for one in answers[:3])
    assert 1 <= int(answers[-1]["Retry-After"]) <= 20


def test_the_sign_in_page_itself_is_shown_beside_somebody_who_guesses(alice):
    client = Client()
    for _ in range(5):
        client.post(reverse("login"), {"username": "x@example.com", "login": "x@example.com", "password": "wrong"})
    assert client.get(reverse("login")).status_code == 200


def test_signing_in_costs_nothing_when_it_works(alice):
    alice.set_password("a good one 4711")
    alice.save()
    for _ in range(6):
        client = Client()
        form = {"username": alice.email, "login": alice.email, "password": "a good one 4711"}
        assert client.post(reverse("login"), form).status_code == 302


def test_asking_for_mails_that_reset_a_password_is_slowed(alice):
    answers = statuses(lambda number: Client().post(reverse("password-forgotten"), {"email": alice.email}), 5)
    assert answers[0] != 429
    assert answers[-2:] == [429, 429]


def test_wrong_signatures_of_providers_are_slowed(stranger, db):
    answers = statuses(lambda number: stranger.post("/telegram/webhook", b"{}", content_type="application/json"), 5)
    assert answers == [403, 403, 403, 429, 429]


def test_signed_calls_of_a_provider_are_never_too_many(db, settings):
    """Many people answer in the same minute, while somebody at the same address sends what is not signed."""
    settings.HTTP_ALLOW_PRIVATE = ["127.0.0.1"]
    with running(FakeTelegram()) as telegram:
        factories.ProviderFactory(vendor="telegram", config=telegram.config)
        (account,) = providers.accounts("telegram")
        client, right = Client(), {SECRET_HEADER: account.config["webhook_secret"]}

        def update(number, headers):
            body = {"update_id": number}
            return client.post("/telegram/webhook", body, content_type="application/json", headers=headers)

        assert statuses(lambda number: update(number, {}), 5) == [403, 403, 403, 429, 429]
        assert statuses(lambda number: update(number, right), 100) == [200] * 100


def test_pages_of_people_who_are_signed_in_have_no_limit(alice):
    client = Client()
    client.force_login(alice)
    assert statuses(lambda number: client.get("/"), 30) == [200] * 30


def test_whether_the_process_is_alive_may_be_asked_without_end(stranger, db):
    assert statuses(lambda number: stranger.get("/health"), 30) == [200] * 30


def test_public_answers_say_what_is_left(stranger, link):
    answer = stranger.get(link)
    assert answer["RateLimit-Policy"] == '"public";q=20;w=60'
    assert answer["RateLimit-Remaining"] == "19"
