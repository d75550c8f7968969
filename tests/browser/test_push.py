"""Push in a real browser: the button of the settings page, and the service worker behind it."""

import contextlib
import json

import pytest
from django.utils import timezone

from incidents import lifecycle
from notifications import push
from notifications.channels.webpush import WebPush, payload
from notifications.message import Message
from notifications.models import ContactMethod, Notification
from notifications.sending import Job, outgoing
from tests import factories
from tests.browser.stage import expect
from tests.fakes.pushservice import FakePushService
from tests.fakes.server import running
from tests.house import wait_until


@pytest.fixture
def page(open_page, alice):
    """Alice's settings page in a browser that may show notifications, with the service worker in place."""
    page = open_page("/settings", alice, permissions=["notifications"])
    expect(page.locator("[data-push]")).to_have_attribute("data-state", "off")
    page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    return page


@pytest.fixture
def browser(db):
    """The address that a browser of Alice's would have given."""
    with running(FakePushService()) as service:
        yield WebPush().normal(json.dumps(service.subscribe(push.public_key()).subscription))


@pytest.fixture
def row(service, alice, browser, settings):
    """A page that went out to that browser, and the incident it is about."""
    ContactMethod.objects.all().delete()
    factories.ContactMethodFactory(user=alice, channel="webpush", address=browser)
    lifecycle.trigger(service, title="Checkout is down", severity="critical", now=timezone.now())
    row = Notification.objects.get(channel="webpush")
    Notification.objects.update(state="sent", due_at=None, sent_at=timezone.now(), provider_id=str(row.uuid))
    return row


def push_to(page, data):
    """What a push service would bring to this browser."""
    tools = page.context.new_cdp_session(page)
    seen = []
    tools.on("ServiceWorker.workerRegistrationUpdated", lambda event: seen.extend(event["registrations"]))
    tools.send("ServiceWorker.enable")
    wait_until(lambda: page.wait_for_timeout(50) or seen, 60, "the service worker is registered")
    origin = "/".join(page.url.split("/")[:3])
    values = {"origin": origin, "registrationId": seen[0]["registrationId"], "data": data}
    tools.send("ServiceWorker.deliverPushMessage", values)


def shown(page):
    """The notifications on the screen."""
    return page.evaluate(
        "navigator.serviceWorker.ready.then((worker) => worker.getNotifications()).then((all) =>"
        " all.map(({ title, body, tag, data, actions, requireInteraction }) =>"
        " ({ title, body, tag, data, actions, requireInteraction })))"
    )


def push_until_shown(page, data):
    """Push, once more when nothing comes of it: a busy browser drops what arrives while it starts the worker."""
    for _ in range(3):
        push_to(page, data)
        with contextlib.suppress(AssertionError):
            return wait_until(lambda: shown(page), 15, "a notification is shown")
    raise AssertionError("Three pushes came, and the browser showed none of them.")


def bytes_of(row):
    job = Job(
        pk=row.pk,
        lease_token=row.uuid,
        uuid=row.uuid,
        topic=row.topic,
        plan_key=row.plan_key,
        user_id=row.user_id,
        channel=WebPush(),
        contact_method_id=None,
        address="",
        shown="",
        secret="",
        person="Alice",
        message=Message.from_json(row.message),
        attempt=1,
        planned_at=timezone.now(),
        is_possible_repeat=False,
    )
    return payload(outgoing(job, timezone.now())).decode()


def test_a_page_is_shown_and_the_browser_says_so(page, row):
    push_until_shown(page, bytes_of(row))
    (got,) = shown(page)
    assert got["title"].endswith("Checkout is down")
    assert got["tag"] == row.topic.replace(":", "-")
    assert [one["title"] for one in got["actions"]] == ["Acknowledge", "Open"]
    assert got["requireInteraction"]
    is_delivered = Notification.objects.filter(pk=row.pk, state="delivered").exists
    wait_until(is_delivered, 60, "the browser reports it")


def test_the_button_of_a_notification_acknowledges_and_says_what_came_of_it(page, row, alice):
    push_until_shown(page, bytes_of(row))
    (data,) = [one["data"] for one in shown(page)]
    (worker,) = page.context.service_workers
    worker.evaluate("(data) => answer(data, data.actions[0])", data)
    (got,) = shown(page)  # in the place of the page
    assert got["title"] == "Acknowledge: done"
    assert got["body"].startswith("You have #")
    row.refresh_from_db()
    assert row.state == "acknowledged"
    worker.evaluate("(data) => answer({ ...data, tag: 'again' }, { ...data.actions[0], token: 'forged' })", data)
    (forged,) = [one for one in shown(page) if one["tag"] == "again"]
    assert forged["title"] == "Acknowledge: not done"


def test_a_notification_has_pictures_that_are_there(page, row):
    push_until_shown(page, bytes_of(row))
    pictures = page.evaluate(
        "navigator.serviceWorker.ready.then((worker) => worker.getNotifications())"
        ".then(([one]) => [one.icon, one.badge])"
    )
    assert [page.request.get(address).headers["content-type"] for address in pictures] == ["image/png", "image/png"]


def test_the_button_of_a_notification_pressed_without_a_connection_is_sent_when_there_is_one(page, row):
    push_until_shown(page, bytes_of(row))
    (data,) = [one["data"] for one in shown(page)]
    (worker,) = page.context.service_workers
    page.context.set_offline(True)
    worker.evaluate("(data) => answer(data, data.actions[0])", data)
    assert [one["title"] for one in shown(page)] == ["Acknowledge: not sent yet"]
    row.refresh_from_db()
    assert row.state != "acknowledged"
    page.context.set_offline(False)
    is_acknowledged = Notification.objects.filter(pk=row.pk, state="acknowledged").exists
    wait_until(is_acknowledged, 60, "it is sent")


def test_the_button_of_a_notification_waits_while_the_server_is_out_of_order(page, row):
    push_until_shown(page, bytes_of(row))
    (data,) = [one["data"] for one in shown(page)]
    (worker,) = page.context.service_workers
    worker.evaluate("self.there = self.fetch; self.fetch = async () => new Response('', { status: 502 })")
    worker.evaluate("(data) => answer(data, data.actions[0])", data)
    assert [one["title"] for one in shown(page)] == ["Acknowledge: not sent yet"]
    worker.evaluate("self.fetch = self.there; flush()")
    is_acknowledged = Notification.objects.filter(pk=row.pk, state="acknowledged").exists
    wait_until(is_acknowledged, 60, "it is sent")


def test_answers_to_two_bundles_without_a_connection_are_both_kept(page):
    (worker,) = page.context.service_workers
    page.context.set_offline(True)
    for token in ("first", "second", "second"):  # the last is pressed twice
        bundle = {"title": "3 incidents", "tag": token, "url": "/"}
        button = {"title": "Acknowledge all", "verb": "acknowledge", "token": token}
        worker.evaluate("([bundle, button]) => answer(bundle, button)", [bundle, button])
    assert worker.evaluate("entries().then((all) => all.map((one) => one.token))") == ["first", "second"]


def test_a_push_that_cannot_be_read_still_shows_something(page):
    push_until_shown(page, "not JSON")
    assert "could not be read" in shown(page)[0]["title"]


def test_without_a_push_service_the_button_says_what_is_wrong(page):
    place = page.locator("[data-push]")
    place.get_by_role("button", name="Turn push on in this browser").click()
    expect(place).to_contain_text("could not sign up with its push service")
    expect(place).to_have_attribute("data-state", "failed")
    assert not ContactMethod.objects.filter(channel="webpush").exists()


BLOCKED = "Object.defineProperty(Notification, 'permission', { get: () => 'denied' })"
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Version/17.5 Safari/604.1"


@pytest.mark.parametrize(
    "script, options, says",
    [
        (BLOCKED, {}, "was told to block notifications"),
        ("Object.defineProperty(window, 'isSecureContext', { value: false })", {}, "opened by https://"),
        ("delete window.PushManager", {}, "This browser has no push"),
        ("delete window.PushManager", {"user_agent": IPHONE}, "Add to Home Screen"),
    ],
)
def test_where_push_cannot_be_had_the_page_says_why(open_page, alice, script, options, says):
    page = open_page("/login", alice, **options)
    page.add_init_script(script)
    page.goto("/settings")
    expect(page.locator("[data-push]")).to_contain_text(says)
    expect(page.locator("[data-push]").get_by_role("button")).to_have_count(0)
