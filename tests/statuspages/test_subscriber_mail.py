"""What arrives: mails at a real mail server, webhooks and Slack at a real web server, and mail that comes back."""

import base64
import hmac
import json
import re

import pytest

from alerts.sources.statuspage import Statuspage
from notifications import bounces, envelope, outbox
from notifications.models import Alarm, Notification
from statuspages import publishing, subscribing
from statuspages.models import Subscriber
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def addresses(settings):
    settings.PUBLIC_URL = "https://oncall.example.com"
    settings.DEFAULT_FROM_EMAIL = "Watchbill <pager@example.com>"
    settings.SUBSCRIBER_ALLOW_PRIVATE = ["127.0.0.1"]


def post(page, now, **more):
    found = publishing.open_incident(
        page.pk, title="Payments fail", body="We **look** into <it>.", by=None, now=now, **more
    )
    subscribing.tell_due(now)
    outbox.deliver(now=now, is_outside=True)
    return found


def parts(mail):
    text, html = mail.iter_parts()
    return text.get_content(), html.get_content()


def test_the_question_comes_by_mail_with_a_link_that_confirms(page, smtp, now):
    subscribing.ask(page, channel="email", address="reader@elsewhere.example", now=now)
    outbox.deliver(now=now, is_outside=True)
    (mail,) = smtp.mails
    assert (mail["To"], mail["From"]) == ("reader@elsewhere.example", "Example Shop <pager@example.com>")
    assert mail["Subject"] == "[Example Shop] Confirm your subscription"
    for part in parts(mail):
        token = re.search(r"https://oncall.example.com/status/shop/subscribe/confirm/([\w-]+)", part)[1]
        assert subscribing.asked_by(token, now=now) == Subscriber.objects.get()


def test_a_notice_comes_from_the_page_and_ends_with_one_click(page, shop, smtp, now):
    row = factories.SubscriberFactory(page=page, address="reader@elsewhere.example")
    post(page, now, components={str(shop.uuid): "partial_outage"})
    (mail,) = smtp.mails
    links = subscribing.links(row)
    assert (mail["From"], mail["Subject"]) == ("Example Shop <pager@example.com>", "[Example Shop] Payments fail")
    assert mail["List-Unsubscribe"].strip() == f"<{links.leave}>"
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert mail["X-Priority"] is None
    text, html = parts(mail)
    for part in (text, html):
        for words in (
            "Investigating: Payments fail",
            "Partial outage",
            links.manage,
            links.leave,
            "/status/shop/incidents/",
        ):
            assert words in part
        for words in ("Open in", "Acknowledge", "sent this to", row.destination.name):
            assert words not in part
    assert "We **look** into <it>." in text
    assert "<strong>look</strong>" in html
    assert "<it>" not in html
    assert Notification.objects.get().state == "sent"


def test_updates_of_one_post_stand_in_one_thread(page, smtp, now):
    factories.SubscriberFactory(page=page)
    found = post(page, now)
    publishing.add_update(found.uuid, stage="resolved", body="Fixed.", by=None, now=now)
    subscribing.tell_due(now)
    outbox.deliver(now=now, is_outside=True)
    first, second = smtp.mails
    assert first["References"] == second["References"] == f"<status-{found.uuid}@oncall.example.com>"
    assert first["Subject"] == second["Subject"]
    assert "Resolved: Payments fail" in parts(second)[0]


def test_fixed_words_are_in_the_language_of_the_page(page, shop, smtp, now):
    page.language = "de"
    page.save()
    factories.SubscriberFactory(page=page)
    post(page, now, components={str(shop.uuid): "partial_outage"})
    text, html = parts(smtp.mails[0])
    assert 'lang="de"' in html
    for part in (text, html):
        for words in ("Wird untersucht: Payments fail", "Teilausfall", "Abonnement ändern", "Abmelden"):
            assert words in part


def test_a_page_with_an_odd_name_breaks_no_header(page, smtp, now):
    page.name = 'Shop "A", <b>\r\nBcc: x@y.example'
    page.save()
    factories.SubscriberFactory(page=page)
    post(page, now)
    (mail,) = smtp.mails
    assert mail["Bcc"] is None
    assert mail["From"].addresses[0].addr_spec == "pager@example.com"
    assert smtp.recipients == [Subscriber.objects.get().destination.address]


def test_a_mailbox_that_does_not_exist_ends_the_subscription(page, smtp, now):
    row = factories.SubscriberFactory(page=page, address="gone@elsewhere.example")
    post(page, now)
    row.refresh_from_db()
    assert (row.ended_at, "No such person here" in row.end_reason) == (now, True)
    assert row.destination.disabled_reason
    assert not Alarm.objects.exists()


@pytest.mark.parametrize("status, is_ended", [("5.1.1", True), ("5.2.2", False), ("4.4.1", False)])
def test_mail_that_comes_back_ends_it_only_when_there_is_no_such_mailbox(page, smtp, now, settings, status, is_ended):
    settings.BOUNCE_ADDRESS = "bounces@example.com"
    row = factories.SubscriberFactory(page=page)
    post(page, now)
    sent = Notification.objects.get()
    assert smtp.senders == [envelope.sender(sent.uuid)]
    action = "failed" if status.startswith("5") else "delayed"
    bounces.receive(
        (
            "Return-Path: <>\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=x\r\n\r\n"
            "--x\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example.com\r\n\r\n"
            f"Final-Recipient: rfc822; r@elsewhere.example\r\nAction: {action}\r\nStatus: {status}\r\n\r\n"
            "--x\r\nContent-Type: text/rfc822-headers\r\n\r\n"
            f"Message-ID: {envelope.message_id(sent.uuid)}\r\n\r\n--x--\r\n"
        ).encode(),
        now=now,
    )
    row.refresh_from_db()
    assert (row.ended_at is not None) == is_ended
    assert not Alarm.objects.exists()


# --- webhooks and Slack ---------------------------------------------------------------------------------------------
def test_a_webhook_is_asked_and_told_in_the_shape_of_statuspage_signed(page, shop, search, sink, now):
    subscribing.ask(page, channel="webhook", address=sink.url("/hook"), components=[str(shop.uuid)], now=now)
    outbox.deliver(now=now, is_outside=True)
    (asked,) = sink.requests
    url = json.loads(asked.body)["subscription"]["confirm_url"]
    row = subscribing.confirm(url.rsplit("/", 1)[1], now=now)
    found = post(page, now, components={str(shop.uuid): "major_outage", str(search.uuid): "degraded_performance"})
    bodies = [json.loads(request.body) for request in sink.requests[1:]]
    incident = next(body for body in bodies if "incident" in body)
    update = next(body for body in bodies if "component_update" in body)
    assert len(bodies) == 2  # of Search nothing was wanted
    assert incident["meta"]["unsubscribe"] == subscribing.links(row).leave
    assert incident["page"] == {
        "id": "shop",
        "status_indicator": "critical",
        "status_description": "Major Service Outage",
    }
    shown = incident["incident"]
    assert (shown["id"], shown["name"], shown["status"]) == (str(found.uuid), "Payments fail", "investigating")
    assert shown["incident_updates"][0]["body"] == "We **look** into <it>."
    assert [one["name"] for one in shown["components"]] == ["Shop", "Search"]
    assert update["component_update"]["component_id"] == str(shop.uuid)
    assert (update["component_update"]["old_status"], update["component_update"]["new_status"]) == (
        "operational",
        "major_outage",
    )
    assert (update["component"]["name"], update["component"]["status"]) == ("Shop", "major_outage")
    for request in sink.requests:
        assert_signed(request, row.destination.secret)


def assert_signed(request, secret):
    """As standardwebhooks.com says, worked out anew."""
    headers = {name.lower(): value for name, value in request.headers.items()}
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + request.body
    mac = hmac.digest(base64.b64decode(secret.removeprefix("whsec_")), signed, "sha256")
    assert headers["webhook-signature"] == f"v1,{base64.b64encode(mac).decode()}"


def test_our_own_source_understands_the_webhook(page, shop, sink, now):
    factories.SubscriberFactory(page=page, channel="webhook", address=sink.url("/hook"))
    found = post(page, now, components={str(shop.uuid): "major_outage"})
    publishing.add_update(found.uuid, stage="resolved", body="Fixed.", by=None, now=now)
    subscribing.tell_due(now)
    outbox.deliver(now=now, is_outside=True)
    events = []
    for request in sink.requests:
        body = json.loads(request.body)
        if "incident" in body:
            events += Statuspage().read(body, {}, {})
    assert {(str(one.action), one.title) for one in events if one.title} == {
        ("trigger", "Payments fail"),
        ("resolve", "Payments fail"),
    }
    assert len({one.dedup_key for one in events}) == 1


def test_slack_is_told_with_the_links_of_the_page_and_without_ours(page, shop, sink, now):
    row = factories.SubscriberFactory(page=page, channel="slack_webhook", address=sink.url("/services/T/B/X"))
    post(page, now, components={str(shop.uuid): "major_outage"})
    body = json.loads(sink.requests[0].body)
    buttons = [one for block in body["blocks"] if block["type"] == "actions" for one in block["elements"]]
    assert [one["text"]["text"] for one in buttons] == ["Open the status page", "Change what you are told"]
    assert buttons[1]["url"] == subscribing.links(row).manage
    assert "Example Shop" in body["blocks"][0]["text"]["text"]
    assert "Shop: Major outage" in str(body["blocks"])
    assert "PAGE" not in str(body)
    assert row.destination.name not in str(body)
