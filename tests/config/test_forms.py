"""Which addresses take a POST without the token of a form, and what stands in its place."""

import uuid

import pytest
from django.test import Client
from django.urls import get_resolver
from rest_framework.views import APIView

# view: what proves who sends. A new exception needs a row here, and a test of its proof.
PROOFS = {
    "notifications.mail.updates": "the signed token in the address, which only the mail has",
    "statuspages.views.subscribing.leave": "the signed token in the address, which only the letter has",
    "notifications.mail.bounce": "BOUNCE_SECRET, or the signature of Mailgun",
    "notifications.push.receipt": "the signed token of the message, which only the browser has",
    "notifications.twilio_receipts.sms_status": "X-Twilio-Signature",
    "notifications.twilio_receipts.voice_status": "X-Twilio-Signature",
    "incidents.replies.links.link": "the signed single-use token in the address",
    "automation.views.proposals.link_review": "the signed token in the address",
    "incidents.replies.slack.interactive": "X-Slack-Signature",
    "incidents.replies.slack.commands": "X-Slack-Signature",
    "incidents.replies.slack.events": "X-Slack-Signature",
    "incidents.replies.telegram.webhook": "X-Telegram-Bot-Api-Secret-Token",
    "incidents.replies.twilio.text_message": "X-Twilio-Signature",
    "incidents.replies.twilio.voice_menu": "X-Twilio-Signature",
}


def views(patterns):
    for one in patterns:
        if hasattr(one, "url_patterns"):
            yield from views(one.url_patterns)
        else:
            yield one.callback


def exempt():
    """The views of ours that need no token, apart from the API, which asks for one with a session only."""
    for view in views(get_resolver().url_patterns):
        is_api = isinstance(getattr(view, "cls", None), type) and issubclass(view.cls, APIView)
        if getattr(view, "csrf_exempt", False) and not is_api:
            yield f"{view.__module__}.{view.__qualname__}"


def test_every_address_without_a_token_has_another_proof():
    assert {name for name in exempt() if not name.startswith("allauth.")} == set(PROOFS)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/mail/updates/forged", {}),
        ("/mail/bounces", {"recipient": "x"}),
        ("/push/receipt", {"token": "forged", "state": "shown"}),
        ("/twilio/status/sms", {"MessageSid": "SM1"}),
        ("/twilio/status/voice", {"CallSid": "CA1"}),
        ("/l/forged", {}),
        (f"/l/forged/proposals/action/{uuid.UUID(int=7)}/approve", {}),
        ("/slack/interactive", {"payload": "{}"}),
        ("/slack/commands", {"text": "ack 1"}),
        ("/slack/events", {"type": "event_callback"}),
        ("/telegram/webhook", {"update_id": 1}),
        ("/twilio/sms", {"Body": "ack 1", "From": "+14155550123"}),
        ("/twilio/voice/menu/forged", {"Digits": "1"}),
    ],
)
def test_without_that_proof_nothing_is_taken(db, path, body):
    answer = Client(enforce_csrf_checks=True).post(path, body)
    assert answer.status_code in (400, 401, 403, 404, 410), answer.status_code


@pytest.mark.parametrize("path", ["/incidents/new", "/settings/profile", "/oncall/availability", "/push/subscribe"])
def test_a_form_of_another_site_changes_nothing(alice, path):
    careful = Client(enforce_csrf_checks=True)
    careful.force_login(alice)
    assert careful.post(path, {}).status_code == 403
    assert careful.post(path, {}, headers={"origin": "https://evil.example"}).status_code == 403


def test_a_session_needs_the_token_in_the_api_too(alice):
    careful = Client(enforce_csrf_checks=True)
    careful.force_login(alice)
    answer = careful.post("/api/v1/incidents", {"title": "x"}, content_type="application/json")
    assert answer.status_code == 403 and "CSRF" in answer.json()["detail"]
