"""What Twilio reports: signed, mapped, and never a step back."""

import json
import time
from pathlib import Path

import pytest
from django.test import Client
from twilio.request_validator import RequestValidator

from notifications import outbox
from notifications.models import Alarm, Attempt
from tests.factories import ProviderFactory
from tests.fakes.server import running
from tests.fakes.twilio import FakeTwilio, through
from tests.notifications.conftest import NOW, make_message, make_method, make_rule, page

PAYLOADS = Path(__file__).resolve().parents[1] / "payloads"
NUMBER = "+14155550123"
SMS_URL = "https://oncall.example.com/twilio/status/sms"


@pytest.fixture
def fake(db, settings):
    settings.PUBLIC_URL = "https://oncall.example.com"
    settings.HTTP_ALLOW_PRIVATE = ["127.0.0.1"]
    with running(FakeTwilio(deliver=through(Client(enforce_csrf_checks=True)))) as server:
        ProviderFactory(name="main", config=server.config)
        yield server


def send(person, channel):
    method = make_method(person, channel, NUMBER)
    make_rule(method)
    (row,) = page(person, message=make_message(severity="critical"))
    outbox.deliver(now=NOW)
    row.refresh_from_db()
    assert row.state in ("sent", "delivered"), row.reason
    return row


@pytest.fixture
def text(fake, alice):
    """A text message that went out."""
    return send(alice, "sms")


@pytest.fixture
def call(fake, alice):
    """A call that was started."""
    return send(alice, "voice")


def state_of(row):
    row.refresh_from_db()
    return row.state


def test_a_text_message_is_delivered_when_twilio_says_so(fake, text):
    assert text.reply_code == 1 and "Reply 1a to acknowledge" in fake.messages[0].body
    assert text.receipt_due_at is not None
    for word, state in [("queued", "sent"), ("sending", "sent"), ("sent", "sent"), ("delivered", "delivered")]:
        assert fake.status(text.provider_id, word) == 204
        assert state_of(text) == state
    assert text.delivered_at and text.receipt_due_at is None
    assert Attempt.objects.get(notification=text).answer == "delivered"


def test_late_reports_move_nothing_back(fake, text):
    fake.status(text.provider_id, "delivered")
    for word in ("sent", "queued", "delivered", "undelivered"):
        assert fake.status(text.provider_id, word, ErrorCode="30003") == 204
        assert state_of(text) == "delivered"


@pytest.mark.parametrize("word", ["undelivered", "failed", "canceled"])
def test_an_undelivered_message_has_failed_with_a_reason(fake, text, word):
    fake.status(text.provider_id, word, ErrorCode="30003")
    assert state_of(text) == "failed"
    assert "out of reach (30003)" in text.reason
    text.contact_method.refresh_from_db()
    assert text.contact_method.is_usable


def test_a_number_that_does_not_exist_is_not_used_again(fake, text):
    fake.status(text.provider_id, "undelivered", ErrorCode="30005")
    assert state_of(text) == "failed"
    text.contact_method.refresh_from_db()
    assert "does not exist" in text.contact_method.disabled_reason


@pytest.mark.parametrize("code, words", [("30007", "filtered"), ("30034", "A2P"), ("30002", "suspended")])
def test_what_only_an_admin_can_change_raises_the_alarm(fake, text, code, words):
    fake.status(text.provider_id, "undelivered", ErrorCode=code)
    assert Alarm.objects.filter(text__contains=words, cleared_at=None).exists()
    text.contact_method.refresh_from_db()
    assert text.contact_method.is_usable


def test_an_unknown_message_changes_nothing(fake, text):
    sample = json.loads((PAYLOADS / "twilio_sms_status_form.json").read_text())
    sample.pop("_note")
    status, _, _ = fake.send(SMS_URL, {**sample, "AccountSid": fake.account_sid})
    assert status == 204
    assert state_of(text) == "sent"


@pytest.mark.parametrize("path", ["status/sms", "status/voice", "sms", "voice/menu/abc"])
@pytest.mark.parametrize("signature", ["", "forged", "0/KCTR6DLpKmkAf8muzZqo1nDgQ=", "ü"])
def test_what_twilio_did_not_sign_is_refused(fake, text, path, signature):
    fields = {"MessageSid": text.provider_id, "MessageStatus": "delivered", "From": NUMBER, "Body": "a"}
    status, _, body = fake.send(f"https://oncall.example.com/twilio/{path}", fields, signature=signature)
    assert status == 403
    assert "PUBLIC_URL" in body
    assert state_of(text) == "sent"


def test_a_changed_report_is_refused(fake, text):
    fields = {"AccountSid": fake.account_sid, "ApiVersion": "2010-04-01", "MessageSid": text.provider_id}
    signature = RequestValidator(fake.auth_token).compute_signature(SMS_URL, {**fields, "MessageStatus": "sent"})
    status, _, _ = fake.send(SMS_URL, {**fields, "MessageStatus": "delivered"}, signature=signature)
    assert status == 403
    assert state_of(text) == "sent"


def test_while_the_token_is_changed_both_are_believed(fake, text):
    config = {**fake.config, "auth_token": "the-new-one", "old_auth_token": fake.auth_token}
    ProviderFactory._meta.model.objects.filter(name="main").delete()
    ProviderFactory(name="main", config=config)
    fake.status(text.provider_id, "delivered")
    assert state_of(text) == "delivered"


def test_every_account_of_ours_may_report(fake, text):
    ProviderFactory(name="backup", config={**fake.config, "account_sid": "AC" + "b" * 32, "auth_token": "other"})
    fake.auth_token = "other"
    assert fake.status(text.provider_id, "delivered") == 204
    assert state_of(text) == "delivered"


def test_only_a_post_is_a_report(fake, client):
    assert client.get("/twilio/status/sms").status_code == 405
    assert client.get("/twilio/status/voice").status_code == 405


def test_a_call_that_was_taken_is_delivered_and_not_acknowledged(fake, call):
    for word, state in [("initiated", "sent"), ("ringing", "sent"), ("in-progress", "delivered")]:
        assert fake.status(call.provider_id, word) == 204
        assert state_of(call) == state
    fake.status(call.provider_id, "completed", CallDuration="23")
    assert (state_of(call), call.read_at, call.acknowledged_at) == ("delivered", None, None)


@pytest.mark.parametrize(
    "word, words", [("busy", "busy"), ("no-answer", "Nobody"), ("failed", "connected"), ("canceled", "cancelled")]
)
def test_a_call_that_nobody_took_has_failed(fake, call, word, words):
    fake.status(call.provider_id, "ringing")
    fake.status(call.provider_id, word)
    assert state_of(call) == "failed"
    assert words in call.reason
    call.contact_method.refresh_from_db()
    assert call.contact_method.is_usable


def test_a_machine_is_nobody(fake, alice):
    ProviderFactory._meta.model.objects.all().delete()
    ProviderFactory(name="main", config={**fake.config, "machine_detection": "yes"})
    row = send(alice, "voice")
    fake.status(row.provider_id, "in-progress")
    assert state_of(row) == "sent"  # it is not known yet who it is
    fake.status(row.provider_id, "completed", AnsweredBy="machine_start")
    assert state_of(row) == "failed"
    assert "machine" in row.reason


def test_a_human_is_somebody(fake, alice):
    ProviderFactory._meta.model.objects.all().delete()
    ProviderFactory(name="main", config={**fake.config, "machine_detection": "yes"})
    row = send(alice, "voice")
    fake.status(row.provider_id, "in-progress", AnsweredBy="human")
    assert state_of(row) == "delivered"


def test_no_log_line_has_a_number_in_it(fake, alice, caplog):
    caplog.set_level("DEBUG")
    row = send(alice, "sms")
    fake.next_answer(400, code=21211, message=f"The 'To' number {NUMBER} is not a valid phone number.")
    page(alice, number=2, topic="incident:43")
    outbox.deliver(now=NOW)
    fake.status(row.provider_id, "undelivered", ErrorCode="30005")
    ours = [line.getMessage() for line in caplog.records if not line.name.startswith("django.db")]
    assert not [line for line in ours if NUMBER.lstrip("+") in line]
    assert not [line for line in ours if fake.auth_token in line]


@pytest.mark.django_db(transaction=True)
def test_over_real_http_reports_come_while_the_send_is_still_written_down(alice, settings, live_server):
    settings.PUBLIC_URL = live_server.url
    settings.HTTP_ALLOW_PRIVATE = ["127.0.0.1"]
    with running(FakeTwilio(is_automatic=True)) as server:
        ProviderFactory(name="main", config=server.config)
        row = send(alice, "sms")
        until = time.monotonic() + 20
        while state_of(row) != "delivered" and time.monotonic() < until:
            time.sleep(0.05)
        assert row.state == "delivered"
        assert server.post_errors == []
