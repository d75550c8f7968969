"""The pages of subscribers: they look like the page, say the same to everybody, and act only on a button."""

import re

import pytest
from django.core.exceptions import ValidationError
from django.test import Client
from django.utils import timezone

from notifications.models import Destination, Notification
from statuspages import subscribing
from statuspages.models import Subscriber
from tests import factories

pytestmark = pytest.mark.django_db
ADDRESS = "reader@elsewhere.example"


@pytest.fixture
def browser():
    """Nobody is signed in, and forms are checked for their token as in a real browser."""
    return Client(enforce_csrf_checks=True)


def path_of(link):
    return re.sub(r"^https?://[^/]+", "", link)


def send(browser, path, data=None):
    """Press the button of the form at a page: with what is in the form already, its token among it."""
    shown = browser.get(path)
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', shown.content.decode())
    return browser.post(path, {**({"csrfmiddlewaretoken": token[1]} if token else {}), **(data or {})})


def text_of(response):
    return " ".join(re.sub(r"<[^>]+>", " ", response.content.decode()).split())


def link_in_last_message():
    return path_of(Notification.objects.latest("pk").message["url"])


def test_from_the_form_to_the_confirmation_by_mail(browser, page, shop, search):
    shown = browser.get("/status/shop/subscribe")
    assert shown.status_code == 200
    assert "Subscribe to Example Shop" in text_of(shown)
    assert "<script" not in shown.content.decode()
    asked = send(
        browser,
        "/status/shop/subscribe",
        {"channel": "email", "address": ADDRESS, "scope": "chosen", "component": [str(shop.uuid)]},
    )
    assert "Look for our message" in text_of(asked)
    (row,) = Subscriber.objects.all()
    assert (row.confirmed_at, [one.name for one in row.components.all()]) == (None, ["Shop"])
    link = link_in_last_message()
    assert "Confirm your subscription" in text_of(browser.get(link))
    row.refresh_from_db()
    assert row.confirmed_at is None  # a scanner of mails opens every link
    assert "You are subscribed" in text_of(send(browser, link))
    row.refresh_from_db()
    assert row.confirmed_at is not None
    assert "You are subscribed" in text_of(browser.get(link))


def test_the_answer_is_the_same_for_every_address(browser, page):
    factories.SubscriberFactory(page=page, address="told@elsewhere.example")
    factories.SubscriberFactory(page=page, address="asked@elsewhere.example", confirmed_at=None)
    factories.SubscriberFactory(page=page, address="gone@elsewhere.example", ended_at=timezone.now())
    answers = set()
    for name in ("told", "asked", "gone", "new"):
        given = {"channel": "email", "address": f"{name}@elsewhere.example"}
        answer = send(browser, "/status/shop/subscribe", given)
        answers.add((answer.status_code, answer.content))
    assert len(answers) == 1


def test_who_asks_too_often_is_told_to_wait(browser, page):
    for number in range(subscribing.CLIENTS.quota):
        send(browser, "/status/shop/subscribe", {"address": f"r{number}@elsewhere.example"})
    refused = send(browser, "/status/shop/subscribe", {"address": ADDRESS})
    assert (refused.status_code, "Wait" in text_of(refused)) == (429, True)
    assert ADDRESS in refused.content.decode()  # what was typed is not lost


@pytest.mark.parametrize(
    "given, says",
    [
        ({}, "is not an email address"),
        ({"address": "reader"}, "is not an email address"),
        ({"address": "http://127.0.0.1/x", "channel": "webhook"}, "not a web address"),
        ({"address": ADDRESS, "scope": "chosen"}, "Choose at least one system"),
        ({"address": ADDRESS, "scope": "chosen", "component": "x"}, "Choose at least one system"),
        ({"address": ADDRESS, "channel": "voice"}, "takes no subscribers"),
        ({"address": "\x00", "channel": "\x00", "scope": "\x00"}, "takes no subscribers"),
    ],
)
def test_bad_input_gets_a_sentence(browser, page, shop, given, says):
    answer = send(browser, "/status/shop/subscribe", given)
    assert (answer.status_code, says in text_of(answer)) == (400, True)
    assert not Subscriber.objects.exists()


def test_a_form_without_its_token_does_nothing(browser, page):
    assert browser.post("/status/shop/subscribe", {"address": ADDRESS}).status_code == 403
    assert not Subscriber.objects.exists()


def test_a_page_that_takes_none_says_so(browser, page):
    page.accepts_subscribers = False
    page.save()
    shown = browser.get("/status/shop/subscribe")
    assert "This page takes no subscribers." in text_of(shown)
    assert "<form" not in shown.content.decode()


def test_what_somebody_is_told_of_is_changed_by_the_link_in_a_letter(browser, page, shop, search):
    row = factories.SubscriberFactory(page=page, components=[shop])
    manage = path_of(subscribing.links(row).manage)
    shown = browser.get(manage)
    assert row.destination.shown in text_of(shown)
    assert row.destination.address not in shown.content.decode()
    saved = send(browser, manage, {"scope": "chosen", "component": [str(search.uuid)]})
    assert "Saved." in text_of(saved)
    assert [one.name for one in row.components.all()] == ["Search"]
    assert "Choose at least one" in text_of(send(browser, manage, {"scope": "chosen"}))
    send(browser, manage, {"scope": "everything"})
    assert not row.components.exists()


def test_leaving_needs_a_button(browser, page):
    row = factories.SubscriberFactory(page=page)
    leave = path_of(subscribing.links(row).leave)
    assert "End this subscription?" in text_of(browser.get(leave))
    assert Subscriber.objects.told().exists()
    assert "You are unsubscribed" in text_of(send(browser, leave))
    assert not Subscriber.objects.told().exists()
    assert "You are unsubscribed" in text_of(browser.get(leave))


def test_a_mail_program_ends_it_with_one_request(browser, page):
    """RFC 8058: a POST without cookies or token, with this body."""
    row = factories.SubscriberFactory(page=page)
    leave = path_of(subscribing.links(row).leave)
    answer = browser.post(leave, "List-Unsubscribe=One-Click", content_type="application/x-www-form-urlencoded")
    assert answer.status_code == 200
    row.refresh_from_db()
    assert row.end_reason == "They unsubscribed."


def test_a_webhook_sees_its_secret_when_it_is_confirmed_and_a_mail_none(browser, page):
    row = factories.SubscriberFactory(
        page=page,
        channel="webhook",
        address="https://elsewhere.example/hook",
        confirmed_at=None,
        token="t1",
        asked_at=timezone.now(),
    )
    shown = send(browser, "/status/shop/subscribe/confirm/t1")
    assert row.destination.secret in text_of(shown)
    factories.SubscriberFactory(page=page, confirmed_at=None, token="t2", asked_at=timezone.now())
    assert "whsec_" not in text_of(send(browser, "/status/shop/subscribe/confirm/t2"))


@pytest.mark.parametrize(
    "path", ["subscribe/confirm/x", "subscribe/x", "unsubscribe/x", "unsubscribe/%00", "subscribe/a:b"]
)
def test_a_link_that_is_not_ours_is_refused_with_a_sentence(browser, page, path):
    for answer in (browser.get(f"/status/shop/{path}"), send(browser, f"/status/shop/{path}")):
        assert answer.status_code in (403, 404)
    assert "not one of ours" in text_of(browser.get(f"/status/shop/{path}"))


def test_a_link_works_when_its_page_has_another_name_by_now(browser, page):
    row = factories.SubscriberFactory(page=page, confirmed_at=None, token="t1", asked_at=timezone.now())
    links = subscribing.links(row)
    page.slug = "shop-status"
    page.save()
    factories.StatusPageFactory(slug="shop", name="Another one")
    assert "Example Shop" in text_of(browser.get("/status/shop/subscribe/confirm/t1"))
    assert "You are subscribed" in text_of(send(browser, "/status/shop/subscribe/confirm/t1"))
    shown = browser.get(path_of(links.manage))
    assert "Example Shop" in text_of(shown) and "Another one" not in text_of(shown)
    assert browser.post(path_of(links.leave), {"List-Unsubscribe": "One-Click"}).status_code == 200
    assert not Subscriber.objects.told().exists()


def test_of_a_page_that_not_everybody_reads_only_those_subscribe_who_may_look(browser, client, page, alice):
    page.audience = "private"
    page.save()
    assert browser.get("/status/shop/subscribe").status_code == 404
    assert Client().post("/status/shop/subscribe", {"address": ADDRESS}).status_code == 404
    client.force_login(alice)
    shown = client.get("/status/shop/subscribe").content.decode()
    assert 'value="webhook"' not in shown
    client.post("/status/shop/subscribe", {"address": ADDRESS})
    assert not Subscriber.objects.exists()
    client.post("/status/shop/subscribe", {"address": alice.email})
    assert Subscriber.objects.count() == 1
    # Whoever opens the link in the mail may be signed out by then.
    assert "You are subscribed" in text_of(send(browser, link_in_last_message()))


@pytest.mark.parametrize("path", ["subscribe/confirm/x", "subscribe/x", "unsubscribe/x"])
def test_a_link_that_opens_nothing_does_not_tell_of_a_page_that_not_everybody_reads(browser, page, path):
    page.audience = "private"
    page.save()
    there, nowhere = browser.get(f"/status/shop/{path}"), browser.get(f"/status/nothing/{path}")
    assert (there.status_code, text_of(there)) == (nowhere.status_code, text_of(nowhere))
    assert there.status_code == 404 and "Example Shop" not in there.content.decode()
    link = f"subscribe/{subscribing.links(factories.SubscriberFactory()).manage.rsplit('/', 1)[1]}"
    there, nowhere = browser.get(f"/status/shop/{link}"), browser.get(f"/status/nothing/{link}")
    assert (there.status_code, text_of(there)) == (nowhere.status_code, text_of(nowhere))


def test_whoever_may_read_a_page_no_more_sees_nothing_of_it_and_can_leave(browser, page, shop):
    page.audience = "partners"
    page.save()
    partner = factories.PartnerFactory(pages=[page], email="pat@partner.example")
    row = factories.SubscriberFactory(page=page, address="pat@partner.example")
    links = subscribing.links(row)
    assert "Shop" in text_of(browser.get(path_of(links.manage)))
    partner.is_enabled = False
    partner.save()
    answer = browser.get(path_of(links.manage))
    assert (answer.status_code, answer.url) == (302, links.leave)
    assert browser.post(path_of(links.leave)).status_code == 200
    assert not Subscriber.objects.told().exists()


def test_no_such_page(browser, page):
    page.is_enabled = False
    page.save()
    for path in ("subscribe", "subscribe/confirm/x", "subscribe/x", "unsubscribe/x"):
        assert browser.get(f"/status/shop/{path}").status_code == 404
        assert browser.get(f"/status/nothing/{path}").status_code == 404


def test_words_are_those_of_the_pages_language(browser, page, shop):
    page.language = "fr"
    page.save()
    shown = browser.get("/status/shop/subscribe").content.decode()
    assert 'lang="fr"' in shown
    assert "S’abonner à Example Shop" in shown
    assert "Subscribe" not in shown


def test_links_are_told_to_nobody_and_found_by_no_search_engine(browser, page):
    row = factories.SubscriberFactory(page=page)
    answer = browser.get(path_of(subscribing.links(row).manage))
    assert answer.headers["X-Robots-Tag"] == "noindex"
    assert "no-store" in answer.headers["Cache-Control"]
    assert answer.headers["Referrer-Policy"] == "strict-origin"  # and a browser still says whose form it sends
    assert browser.get(path_of(subscribing.links(row).leave)).headers["Referrer-Policy"] == "no-referrer"


# --- subscribers are nobody's destinations --------------------------------------------------------------------------
def test_they_are_not_offered_among_the_destinations_of_teams(client, page):
    admin = factories.UserFactory(role="admin", is_superuser=True, is_staff=True)
    client.force_login(admin)
    row = factories.SubscriberFactory(page=page)
    team = factories.DestinationFactory(name="Team channel")
    listed = client.get("/admin/notifications/destination/").content.decode()
    assert (team.name in listed, row.destination.name in listed) == (True, False)
    assert client.get(f"/admin/notifications/destination/{row.destination_id}/change/").status_code in (302, 404)
    given = {"app_label": "incidents", "model_name": "subscription", "field_name": "destination"}
    offered = client.get("/admin/autocomplete/", given).json()["results"]
    assert [one["text"] for one in offered] == [team.name]
    subscription = factories.SubscriptionFactory.build(destination=row.destination, team=factories.TeamFactory())
    with pytest.raises(ValidationError, match="reader of a status page"):
        subscription.full_clean()
    assert set(Destination.objects.of_teams()) == {team}


def test_what_they_are_told_is_not_among_the_messages_of_people(client, page, alice):
    row = factories.SubscriberFactory(page=page)
    factories.NotificationFactory(
        user=None,
        contact_method=None,
        destination=row.destination,
        channel="email",
        address=row.destination.shown,
        kind="status",
        topic="status-post:1",
        message={"title": "Payments fail for readers"},
    )
    client.force_login(alice)
    assert "Payments fail for readers" not in client.get("/notifications").content.decode()
    assert client.get("/api/v1/notifications").json()["results"] == []
