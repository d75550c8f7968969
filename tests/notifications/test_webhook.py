"""The webhook: what is posted, how it is signed, and what an answer means."""

import base64
import dataclasses
import hashlib
import hmac
import json
import uuid

import pytest

from core.errors import SendError
from notifications.channels.base import DeadAddress, Outgoing
from notifications.channels.webhook import Webhook, signature_headers
from tests.notifications.conftest import NOW, SECRET, make_message

OUTGOING = Outgoing(
    message=make_message(),
    uuid=uuid.UUID("5b0a6f0e-0000-4000-8000-000000000001"),
    topic="incident:42",
    person="Alice",
    at=NOW,
    attempt=2,
    links=(("Acknowledge", "https://oncall.example.com/l/abc"),),
    notes=("Late.",),
    secret=SECRET,
)


def test_the_signature_is_that_of_standard_webhooks():
    # The example of the Standard Webhooks specification and its libraries.
    headers = signature_headers(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
    )
    assert headers["webhook-id"] == "msg_p5jXN8AQM9LWM0D4loKWxJek"
    assert headers["webhook-timestamp"] == "1614265330"
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_simple_signature_is_of_the_body_alone():
    headers = signature_headers("whsec_dGVzdA==", "a", 1, b"body")
    expected = hmac.new(b"whsec_dGVzdA==", b"body", hashlib.sha256).hexdigest()
    assert headers["X-Signature-256"] == f"sha256={expected}"


def test_the_body_says_everything_and_is_signed_as_sent(sink):
    Webhook().send(sink.url("/hook"), OUTGOING)
    (got,) = sink.requests
    assert got.headers["Content-Type"] == "application/json"
    assert json.loads(got.body) == {
        "id": "5b0a6f0e-0000-4000-8000-000000000001",
        "type": "page.sent",
        "timestamp": "2026-05-04T10:15:00.000Z",
        "data": {
            "topic": "incident:42",
            "person": "Alice",
            "title": "Checkout errors",
            "body": "5 % of orders fail.",
            "notes": ["Late."],
            "url": "https://oncall.example.com/incidents/42",
            "urgency": "high",
            "fields": [{"name": "Service", "value": "Checkout"}],
            "links": [{"label": "Acknowledge", "url": "https://oncall.example.com/l/abc"}],
            "attempt": 2,
        },
    }
    headers = {name.lower(): value for name, value in got.headers.items()}
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + got.body
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    mac = base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
    assert headers["webhook-signature"] == f"v1,{mac}"
    assert headers["webhook-timestamp"] == str(int(NOW.timestamp()))


def test_without_a_secret_nothing_is_signed(sink):
    Webhook().send(sink.url(), dataclasses.replace(OUTGOING, secret=""))
    assert not any("signature" in name.lower() for name in sink.requests[0].headers)


def test_gone_means_gone(sink):
    with pytest.raises(DeadAddress, match="410"):
        Webhook().send(sink.url("/410"), OUTGOING)


def test_a_redirect_is_a_failure(sink):
    with pytest.raises(SendError, match="redirect") as error:
        Webhook().send(sink.url("/307"), OUTGOING)
    assert error.value.permanent
    assert len(sink.requests) == 1


@pytest.mark.parametrize("status, is_permanent", [(400, True), (404, True), (408, False), (429, False), (503, False)])
def test_other_answers_are_failures(sink, status, is_permanent):
    with pytest.raises(SendError, match=str(status)) as error:
        Webhook().send(sink.url(f"/{status}"), OUTGOING)
    assert error.value.permanent == is_permanent
    assert not isinstance(error.value, DeadAddress)


def test_a_private_address_is_refused_when_typed_and_when_sent(sink, settings):
    settings.HTTP_ALLOW_PRIVATE = []
    assert "HTTP_ALLOW_PRIVATE" in Webhook().problem_with(sink.url())
    with pytest.raises(SendError, match="HTTP_ALLOW_PRIVATE") as error:
        Webhook().send(sink.url(), OUTGOING)
    assert error.value.permanent
    assert sink.requests == []


def test_a_broken_secret_says_what_to_do(sink):
    with pytest.raises(SendError, match="Empty it to get a new one"):
        Webhook().send(sink.url(), dataclasses.replace(OUTGOING, secret="whsec_*"))
