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
from notifications.message import Kind
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
            "kind": "page",
            "topic": "incident:42",
            "person": "Alice",
            "title": "Checkout errors",
            "body": "5 % of orders fail.",
            "notes": ["Late."],
            "url": "https://oncall.example.com/incidents/42",
            "urgency": "high",
            "severity": "",
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


def test_an_answer_means_that_it_was_delivered(sink):
    accepted = Webhook().send(sink.url("/201"), OUTGOING)
    assert (accepted.is_delivered, accepted.answer) == (True, "201")


def test_the_facts_of_an_event_are_in_the_body_and_give_it_its_type(sink):
    data = {
        "event": "incident.acknowledged",
        "incident": {"number": 42, "status": "acknowledged"},
        "actor": {"type": "user", "name": "Bob", "via": "sms"},
        "previous": {"status": "triggered"},
        "title": "not this one",
    }
    message = make_message(kind=Kind.ACKNOWLEDGED, data=data)
    Webhook().send(sink.url(), dataclasses.replace(OUTGOING, message=message))
    body = json.loads(sink.requests[0].body)
    assert body["type"] == "incident.acknowledged"
    assert body["data"]["incident"] == {"number": 42, "status": "acknowledged"}
    assert body["data"]["actor"]["via"] == "sms"
    assert body["data"]["previous"] == {"status": "triggered"}
    assert (body["data"]["title"], body["data"]["kind"]) == ("Checkout errors", "acknowledged")
    assert "event" not in body["data"]


@pytest.mark.parametrize("text", ["x" * 100_000, "ü€😀" * 20_000, '\n"' * 30_000])
def test_a_long_text_is_cut_so_that_readers_take_the_body(sink, text):
    Webhook().send(sink.url(), dataclasses.replace(OUTGOING, message=make_message(body=text)))
    (got,) = sink.requests
    assert 18_000 < len(got.body) <= 20_000
    data = json.loads(got.body)["data"]
    assert data["is_cut"] is True
    assert data["body"][-1] == "…"
    assert text.startswith(data["body"][:-1])
    assert data["links"]


def test_while_the_secret_changes_both_sign(sink):
    old = "whsec_" + base64.b64encode(b"the old secret of this webhook").decode()
    Webhook().send(sink.url(), dataclasses.replace(OUTGOING, options={"old_secret": old}))
    (got,) = sink.requests
    headers = {name.lower(): value for name, value in got.headers.items()}
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + got.body
    macs = [
        base64.b64encode(hmac.digest(base64.b64decode(one.removeprefix("whsec_")), signed, "sha256")).decode()
        for one in (SECRET, old)
    ]
    assert headers["webhook-signature"] == f"v1,{macs[0]} v1,{macs[1]}"


@pytest.mark.parametrize(
    "headers", [{"Authorization": "Bearer s3cret", "X-Team": "shop"}, "Authorization: Bearer s3cret\n\nX-Team:shop\n"]
)
def test_headers_of_the_address_are_sent_along(sink, headers):
    assert Webhook().problems_with_options({"headers": headers}) == {}
    Webhook().send(sink.url(), dataclasses.replace(OUTGOING, options={"headers": headers}))
    (got,) = sink.requests
    assert (got.headers["Authorization"], got.headers["X-Team"]) == ("Bearer s3cret", "shop")
    assert got.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "other.example.com"},
        {"content-type": "text/plain"},
        {"Content-Length": "1"},
        {"Transfer-Encoding": "chunked"},
        {"Proxy-Authorization": "s3cret"},
        {"webhook-signature": "v1,s3cret"},
        {"X-Signature-256": "s3cret"},
        {"X-A": "s3cret\r\nHost: other.example.com"},
        {"X-A\r\nHost": "s3cret"},
        {"X A": "s3cret"},
        {"X-A": "s3cret ü"},
        {"X-A": 5},
        "X-A s3cret",
        {f"X-{number}": "s3cret" for number in range(30)},
    ],
)
def test_headers_that_would_change_the_request_are_refused(sink, headers):
    problem = Webhook().problems_with_options({"headers": headers})["headers"]
    assert problem.endswith(".")
    assert "s3cret" not in problem
    with pytest.raises(SendError) as error:
        Webhook().send(sink.url(), dataclasses.replace(OUTGOING, options={"headers": headers}))
    assert (error.value.permanent, sink.requests) == (True, [])


def test_an_old_secret_has_to_be_one():
    assert "base64" in Webhook().problems_with_options({"old_secret": "whsec_*"})["old_secret"]


def test_the_preview_is_the_body(sink):
    assert json.loads(Webhook().preview(OUTGOING)["Body"])["data"]["title"] == "Checkout errors"


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


@pytest.mark.parametrize("secret", ["whsec_*", "whsec_", "whsec_==="])
def test_a_broken_secret_says_what_to_do(sink, secret):
    with pytest.raises(SendError, match="Empty it to get a new one"):
        Webhook().send(sink.url(), dataclasses.replace(OUTGOING, secret=secret))
