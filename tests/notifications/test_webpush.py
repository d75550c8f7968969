"""Browser push: what arrives in the browser, what the answers of a push service mean, and what the browser reports."""

import dataclasses
import datetime
import json
import uuid

import pytest
from django.test import Client
from django.utils import timezone

from core.errors import NotFound, SendError
from notifications import links, outbox, providers, push
from notifications.channels.base import AdminNeeded, DeadAddress, Outgoing, ProviderBroken
from notifications.channels.webpush import WebPush, read_receipt, receipt_token
from notifications.models import ContactMethod, Notification, Provider, vendors
from notifications.vendors import vapid
from tests.factories import NotificationFactory
from tests.fakes.pushservice import FakePushService
from tests.fakes.server import running
from tests.notifications.conftest import make_message, make_method, page

UUID = uuid.UUID("5b0a6f0e-0000-4000-8000-000000000001")
CHROME = "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36"


@pytest.fixture
def service(settings):
    settings.HTTP_ALLOW_PRIVATE = ["127.0.0.1"]
    with running(FakePushService()) as server:
        yield server


@pytest.fixture
def config():
    vendor = vendors.get("vapid")
    return vendor.complete(vendor.new_config())


@pytest.fixture
def browser(service, config):
    return service.subscribe(config["public_key"])


@pytest.fixture
def outgoing(config):
    return Outgoing(
        message=make_message(),
        uuid=UUID,
        topic="incident:42",
        person="Alice",
        at=timezone.now(),
        tokens=(("Acknowledge", "acknowledge", links.token(UUID, "acknowledge")), ("Escalate", "escalate", "x")),
        config=config,
    )


def address_of(browser):
    return WebPush().normal(json.dumps(browser.subscription))


def test_the_browser_can_read_it_and_knows_that_it_is_from_us(service, browser, outgoing, config):
    accepted = WebPush().send(address_of(browser), outgoing)
    (got,) = service.pushed
    assert got.json["title"] == "Checkout errors"
    assert got.json["body"] == "5 % of orders fail."
    assert got.json["url"] == "https://oncall.example.com/incidents/42"
    assert [one["verb"] for one in got.json["actions"]] == ["acknowledge"]
    assert links.read(got.json["actions"][0]["token"]) == (UUID, "acknowledge")
    assert read_receipt(got.json["receipt"]) == UUID
    assert (got.headers["Urgency"], got.headers["TTL"]) == ("high", "3600")
    assert got.claims["sub"] == config["subject"]
    assert accepted.provider_id == str(UUID)
    assert not accepted.is_delivered  # that is for the browser to say


def test_news_of_the_same_incident_take_the_place_of_older_ones(service, browser, outgoing):
    news = make_message(kind="resolved", urgency="low", title="Resolved: Checkout errors")
    other = make_message(thread="incident-43")
    for message in (outgoing.message, news, other):
        WebPush().send(address_of(browser), dataclasses.replace(outgoing, message=message))
    one, two, three = service.pushed
    assert one.headers["Topic"] == two.headers["Topic"] != three.headers["Topic"]
    assert one.json["tag"] == two.json["tag"] != three.json["tag"]
    assert (one.json["again"], two.json["again"]) == (True, False)
    assert two.headers["Urgency"] == "normal"
    assert two.json["actions"] == []


def test_two_push_services_get_signatures_of_their_own(service, browser, outgoing, config):
    with running(FakePushService()) as other:
        for one in (browser, other.subscribe(config["public_key"]), browser):
            WebPush().send(address_of(one), outgoing)
        assert len(other.pushed) == 1
    assert len(service.pushed) == 2


@pytest.mark.parametrize("letter", ["x", "ß", "🔥", '"', "\x01"])
def test_a_long_text_is_cut_to_what_a_push_service_takes(service, browser, outgoing, letter):
    message = make_message(title=letter * 300, body=letter * 9000)
    WebPush().send(address_of(browser), dataclasses.replace(outgoing, message=message))
    (got,) = service.pushed
    assert len(got.plain) <= 3993
    assert got.size <= 4096
    assert got.json["body"].endswith("…")
    assert got.json["actions"]


def test_a_text_of_usual_length_is_cut_only_as_far_as_needed(service, browser, outgoing):
    message = make_message(body="word " * 1000)
    WebPush().send(address_of(browser), dataclasses.replace(outgoing, message=message))
    assert 1500 < len(service.pushed[0].plain) <= 2000


@pytest.mark.parametrize("status", [404, 410])
def test_a_browser_that_is_gone_is_a_dead_address(service, browser, outgoing, status):
    service.answers["browser-1"] = (status, {})
    with pytest.raises(DeadAddress, match="Turn push on again"):
        WebPush().send(address_of(browser), outgoing)


def test_a_browser_that_signed_up_with_older_keys_is_a_dead_address(service, browser, outgoing):
    with pytest.raises(DeadAddress, match="older key"):
        WebPush().send(address_of(browser), dataclasses.replace(outgoing, options={"key": "BOld"}))
    assert service.pushed == []


def test_keys_that_one_push_service_refuses_do_not_stop_push_for_everybody(service, outgoing):
    stranger = service.subscribe("somebody else's key")
    with pytest.raises(AdminNeeded, match="403"):
        WebPush().send(address_of(stranger), outgoing)


@pytest.mark.parametrize("status, is_permanent", [(400, True), (413, True), (307, True), (429, False), (503, False)])
def test_other_answers(service, browser, outgoing, status, is_permanent):
    service.answers["browser-1"] = (status, {"Retry-After": "17", "Location": "/elsewhere"})
    with pytest.raises(SendError) as error:
        WebPush().send(address_of(browser), outgoing)
    assert error.value.permanent == is_permanent
    assert error.value.retry_after == (None if is_permanent else 17)
    assert not isinstance(error.value, DeadAddress)


def test_a_private_push_service_is_refused(service, browser, outgoing, settings):
    address = address_of(browser)
    settings.HTTP_ALLOW_PRIVATE = []
    assert "HTTP_ALLOW_PRIVATE" in WebPush().problem_with(address)
    with pytest.raises(SendError, match="HTTP_ALLOW_PRIVATE"):
        WebPush().send(address, outgoing)
    assert service.pushed == []


def spoil(browser, **more):
    """A subscription in which something is wrong."""
    subscription = browser.subscription
    keys = {**subscription["keys"], **more.pop("keys", {})}
    return json.dumps({**subscription, "keys": keys, **more})


@pytest.mark.parametrize(
    "more, trouble",
    [
        ({"endpoint": "http://push.example.net/x"}, "https"),
        ({"endpoint": "file:///etc/passwd"}, "web address"),
        ({"endpoint": 7}, "web address"),
        ({"keys": {"auth": "AAAA"}}, "broken"),
        ({"keys": {"p256dh": "AAAA"}}, "broken"),
        ({"keys": {"p256dh": "B" + "A" * 86}}, "broken"),  # 65 bytes, but no point of the curve
        ({"keys": {"auth": None}}, "not what a browser gives"),
    ],
)
def test_what_is_no_subscription_is_refused(browser, more, trouble):
    assert WebPush().problem_with(address_of(browser)) == ""
    assert trouble in WebPush().problem_with(spoil(browser, **more))


def test_an_address_is_shown_by_the_host_of_its_push_service(browser):
    assert WebPush().shown(address_of(browser)) == "127.0.0.1"
    assert WebPush().shown("secret") == "…"


def test_the_keys_are_made_once_and_kept(db, settings):
    settings.DEFAULT_FROM_EMAIL = "Watchbill <oncall@example.com>"
    one, two = push.public_key(), push.public_key()
    assert one == two
    assert len(vapid.decoded(one)) == 65
    assert Provider.objects.get().config["subject"] == "mailto:oncall@example.com"
    vendor = vendors.get("vapid")
    assert vendor.problems_with(Provider.objects.get().config) == {}
    assert set(vendor.problems_with({"private_key": "x", "subject": "me"})) == {"private_key", "subject"}


def test_keys_that_cannot_be_read_are_not_replaced_and_disable_no_browser(db, browser, outgoing):
    Provider.objects.create(vendor="vapid", name="own", config={})
    assert push.public_key() == ""
    config = vendors.get("vapid").complete({"private_key": "spoilt", "subject": "mailto:oncall@example.com"})
    with pytest.raises(ProviderBroken, match="cannot be read"):
        WebPush().send(address_of(browser), dataclasses.replace(outgoing, config=config, options={"key": "BOld"}))


def test_a_preview_shows_what_the_browser_will_show(outgoing):
    assert WebPush().preview(outgoing) == {"Title": "Checkout errors", "Text": "5 % of orders fail."}


# --- signing up -----------------------------------------------------------------------------------------------
@pytest.fixture
def client(alice):
    client = Client(headers={"User-Agent": CHROME})
    client.force_login(alice)
    return client


def post(client, path, **values):
    return client.post(path, json.dumps(values), content_type="application/json")


@pytest.fixture
def signed_up(service, client):
    """Alice's browser, signed up through the page."""
    key = push.public_key()
    browser = service.subscribe(key)
    assert post(client, "/push/subscribe", subscription=browser.subscription, key=key).status_code == 200
    return browser


def test_a_browser_that_signs_up_is_a_verified_contact_method(signed_up, alice):
    method = ContactMethod.objects.get(user=alice, channel="webpush")
    assert method.is_usable
    assert method.label == "Chrome on Android"
    assert json.loads(method.address)["endpoint"] == signed_up.endpoint
    assert method.options == {"key": push.public_key()}


def test_signing_up_again_brings_a_dead_browser_back(signed_up, client, alice):
    ContactMethod.objects.update(disabled_reason="gone")
    answer = post(client, "/push/subscribe", subscription=signed_up.subscription, is_question=True)
    assert answer.json() == {"is_on": False}
    post(client, "/push/subscribe", subscription=signed_up.subscription, key=push.public_key())
    assert ContactMethod.objects.get(user=alice).is_usable
    answer = post(client, "/push/subscribe", subscription=signed_up.subscription, is_question=True)
    assert answer.json() == {"is_on": True}


def test_the_same_browser_of_somebody_else_must_sign_up_anew(signed_up, bob):
    client = Client()
    client.force_login(bob)
    answer = post(client, "/push/subscribe", subscription=signed_up.subscription, key=push.public_key())
    assert answer.status_code == 409
    assert not ContactMethod.objects.filter(user=bob).exists()


def test_signing_up_needs_a_person_the_right_keys_and_a_token_against_forgery(service, client, alice):
    key = push.public_key()
    subscription = service.subscribe(key).subscription
    assert post(Client(), "/push/subscribe", subscription=subscription, key=key).status_code == 401
    assert post(client, "/push/subscribe", subscription=subscription, key="BOld").status_code == 409
    assert post(client, "/push/subscribe", subscription={"endpoint": "x"}, key=key).status_code == 400
    assert post(client, "/push/subscribe").status_code == 400
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(alice)
    assert post(strict, "/push/subscribe", subscription=subscription, key=key).status_code == 403
    assert not ContactMethod.objects.exists()


def test_turning_push_off_deletes_only_this_browser(signed_up, service, client, alice):
    other = make_method(alice, "webpush", address_of(service.subscribe(push.public_key())))
    assert post(client, "/push/unsubscribe", subscription=signed_up.subscription).status_code == 204
    assert list(ContactMethod.objects.filter(user=alice)) == [other]


# --- what the browser reports ---------------------------------------------------------------------------------
def test_a_page_that_is_shown_and_clicked_is_delivered_and_read(signed_up, service, alice):
    now = timezone.now()
    (row,) = page(alice, now=now)
    outbox.deliver(now)
    row.refresh_from_db()
    assert row.state == "sent"
    assert row.receipt_due_at == now + datetime.timedelta(seconds=60)
    token = service.pushed[0].json["receipt"]
    browser = Client(enforce_csrf_checks=True)  # a service worker has no form, and no session
    for state, becomes in (("shown", "delivered"), ("clicked", "read"), ("shown", "read")):
        assert post(browser, "/push/receipt", token=token, state=state).status_code == 204
        row.refresh_from_db()
        assert row.state == becomes
    assert row.receipt_due_at is None


def test_a_receipt_that_is_faster_than_our_own_writing_is_asked_for_again(alice):
    row = NotificationFactory(user=alice, channel="webpush", state="sending", provider_id="")
    answer = post(Client(), "/push/receipt", token=receipt_token(row.uuid), state="shown")
    assert answer.status_code == 409


def test_a_forged_receipt_is_refused(alice):
    row = NotificationFactory(user=alice, channel="webpush", state="sent", provider_id="x")
    Notification.objects.filter(pk=row.pk).update(provider_id=str(row.uuid))
    token = receipt_token(row.uuid)
    for forged in ("", "A" + token[1:], token[:-1], links.token(row.uuid, "receipt")):
        forged = forged if forged != token else "B" + token[1:]
        assert post(Client(), "/push/receipt", token=forged, state="shown").status_code == 403
    assert post(Client(), "/push/receipt", token=token, state="bought").status_code == 400
    row.refresh_from_db()
    assert row.state == "sent"


def test_a_receipt_of_ours_from_before_the_secret_was_changed_still_counts(settings):
    token = receipt_token(UUID)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "new", [settings.SECRET_KEY]
    assert read_receipt(token) == UUID
    settings.SECRET_KEY_FALLBACKS = []
    with pytest.raises(NotFound):
        read_receipt(token)


def test_a_message_without_an_account_of_its_own_uses_the_keys_of_the_product(db):
    account = providers.own_account("vapid")
    assert account.config["public_key"] == push.public_key()


def test_the_service_worker_stands_at_the_root_and_is_looked_for_anew(client):
    answer = client.get("/sw.js")
    assert answer["Content-Type"].startswith("text/javascript")
    assert answer["Cache-Control"] == "no-cache"
    assert b'addEventListener("push"' in answer.content
    app = client.get("/manifest.webmanifest")
    assert app["Content-Type"] == "application/manifest+json"
    assert app.json()["display"] == "standalone"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"[" * 8000,
        b"{" * 9000,
        b"[1]",
        b'{"state": []}',
        b'{"state": {"shown": 1}}',
        b'{"state": "shown", "token": "\\ud800"}',
        b'{"state": "shown", "token": ["x"]}',
        b'{"subscription": [{"endpoint": 7}]}',
        b'{"subscription": {"endpoint": 7, "keys": {"auth": [], "p256dh": "\\ud800"}}}',
        b'{"subscription": {"endpoint": ["https://push.example.com"], "keys": {"auth": "", "p256dh": ""}}}',
    ],
)
@pytest.mark.parametrize("path", ["/push/receipt", "/push/subscribe", "/push/unsubscribe"])
def test_an_odd_body_breaks_nothing(client, path, body):
    answer = client.post(path, body, content_type="application/json")
    assert answer.status_code in ((204,) if path == "/push/unsubscribe" else (400, 403))
    assert not ContactMethod.objects.exists()
