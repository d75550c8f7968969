"""Signatures: who may send, and that nobody sends it twice."""

import base64
import datetime as dt
import hashlib
import hmac
import json
from pathlib import Path

import pytest

from alerts import signatures
from alerts.signatures import verify

VECTORS = json.loads((Path(__file__).parent.parent / "payloads" / "signature_vectors.json").read_text())
SENDERS = json.loads((Path(__file__).parent.parent / "payloads" / "signature_vectors_of_senders.json").read_text())
SECRET = "whk_test_secret_1"
BODY = b'{"title": "Disk full"}'
NOW = dt.datetime(2026, 6, 1, 12, 0, tzinfo=dt.UTC)
STAMP = int(NOW.timestamp())


def signed(body=BODY, stamp=STAMP, secret=SECRET):
    return hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()


@pytest.mark.parametrize("name", sorted(VECTORS))
def test_known_answers(name):
    vector = VECTORS[name]
    at = dt.datetime.fromtimestamp(vector.get("at", STAMP), dt.UTC)
    assert verify(vector["secret"], vector["headers"], vector["body"].encode(), at).ok
    assert not verify(vector["secret"], vector["headers"], vector["body"].encode() + b" ", at).ok
    assert not verify(vector["secret"] + "BBBB", vector["headers"], vector["body"].encode(), at).ok


def test_no_signature_is_refused_with_the_way_to_send_one():
    verdict = verify(SECRET, {"content-type": "application/json"}, BODY, NOW)
    assert not verdict.ok
    assert "X-Signature" in verdict.reason


@pytest.mark.parametrize(("seconds", "ok"), [(0, True), (300, True), (301, False), (-300, True), (-301, False)])
def test_a_signature_lives_five_minutes(seconds, ok):
    headers = {"x-signature": f"t={STAMP},v1={signed()}"}
    assert verify(SECRET, headers, BODY, NOW + dt.timedelta(seconds=seconds)).ok is ok


def test_two_signatures_while_the_secret_changes():
    other = signed(secret="another")
    assert verify(SECRET, {"x-signature": f"t={STAMP}, v1={other}, v1={signed()}, v2=zz"}, BODY, NOW).ok
    assert not verify(SECRET, {"x-signature": f"t={STAMP},v1={other},v2={signed()}"}, BODY, NOW).ok


def test_the_replay_token_is_the_same_however_the_header_is_written():
    one = verify(SECRET, {"x-signature": f"t={STAMP},v1={signed()}"}, BODY, NOW)
    two = verify(SECRET, {"x-signature": f"v1={signed().upper()}, v0=x,t={STAMP}"}, BODY, NOW)
    assert one.replay_token == two.replay_token != ""
    assert len(one.replay_token) <= 128


def test_the_form_over_the_body_alone_has_no_replay_token():
    vector = VECTORS["body_only"]
    assert verify(vector["secret"], vector["headers"], vector["body"].encode(), NOW).replay_token == ""


@pytest.mark.parametrize(
    "headers",
    [
        {"x-signature": ""},
        {"x-signature": "t=,v1="},
        {"x-signature": f"t=soon,v1={'0' * 64}"},
        {"x-signature": f"t={'9' * 400},v1=x"},
        {"x-signature": f"t=１２３,v1={'0' * 64}"},
        {"x-signature": f"t={STAMP}"},
        {"x-signature": f"t={STAMP},v1=é"},
        {"x-signature-256": "sha256="},
        {"x-signature-256": f"sha1={'0' * 40}"},
        {"webhook-signature": "v1,"},
        {"webhook-signature": "v1,x", "webhook-timestamp": str(STAMP)},
    ],
)
def test_crooked_headers_are_refused_not_fatal(headers):
    assert not verify(SECRET, headers, BODY, NOW).ok


def test_standard_webhooks_with_a_plain_secret():
    text = f"msg_1.{STAMP}.".encode() + BODY
    value = base64.b64encode(hmac.new(SECRET.encode(), text, hashlib.sha256).digest()).decode()
    headers = {"webhook-id": "msg_1", "webhook-timestamp": str(STAMP), "webhook-signature": f"v1,bad v1,{value}"}
    assert verify(SECRET, headers, BODY, NOW).ok


def test_a_secret_that_is_not_base64_says_so():
    headers = {"webhook-id": "m", "webhook-timestamp": str(STAMP), "webhook-signature": "v1,x"}
    assert "base64" in verify("whsec_!!!", headers, BODY, NOW).reason


# --- senders with a form of their own -----------------------------------------------------------------------------


def known(name):
    """`(headers, body)` of a known answer."""
    vector = SENDERS[name]
    return {vector["header"].lower(): vector["value"]}, vector["body"].encode()


def test_the_known_answers_of_senders():
    headers, body = known("github")
    assert signatures.github(SENDERS["github"]["secret"], headers, body).ok
    assert not signatures.github(SENDERS["github"]["secret"], headers, body + b" ").ok
    headers, body = known("sentry")
    assert signatures.sentry(SECRET, headers, body).ok
    assert not signatures.sentry("another", headers, body).ok
    headers, body = known("grafana_hmac_body_only")
    assert signatures.grafana(SECRET, headers, body, NOW).ok
    assert not signatures.grafana(SECRET, headers, b" " + body, NOW).ok


@pytest.mark.parametrize(("seconds", "ok"), [(0, True), (300, True), (301, False), (-301, False)])
def test_the_signature_of_grafana_may_carry_a_time(seconds, ok):
    headers, body = known("grafana_hmac_with_timestamp")
    stamp = SENDERS["grafana_hmac_with_timestamp"]["timestamp_header_value"]
    at = dt.datetime.fromtimestamp(int(stamp) + seconds, dt.UTC)
    verdict = signatures.grafana(SECRET, headers | {"x-time": stamp}, body, at, timestamp_header="X-Time")
    assert verdict.ok is ok
    assert bool(verdict.replay_token) is ok
    assert not signatures.grafana(SECRET, headers, body, at, timestamp_header="X-Time").ok


def test_the_header_of_grafana_has_the_name_that_was_chosen():
    headers, body = known("grafana_hmac_body_only")
    (value,) = headers.values()
    assert signatures.grafana(SECRET, {"x-mine": value}, body, NOW, header="X-Mine").ok
    verdict = signatures.grafana(SECRET, headers, body, NOW, header="X-Mine")
    assert not verdict.ok
    assert "X-Mine" in verdict.reason


@pytest.mark.parametrize("check", [signatures.github, signatures.sentry])
@pytest.mark.parametrize("value", ["", "sha256=", "é", "0" * 64, "sha1=abc"])
def test_a_crooked_signature_of_a_sender_is_refused_not_fatal(check, value):
    name = "x-hub-signature-256" if check is signatures.github else "sentry-hook-signature"
    assert not check(SECRET, {name: value}, BODY).ok
    assert "asks for a signature" in check(SECRET, {}, BODY).reason


def test_two_secrets_stand_side_by_side_while_one_replaces_the_other():
    headers, body = known("sentry")
    assert signatures.sentry(f"{SECRET} another-secret", headers, body).ok
    assert signatures.sentry(f"another-secret {SECRET}", headers, body).ok
    assert verify(f"another-secret {SECRET}", {"x-signature": f"t={STAMP},v1={signed()}"}, BODY, NOW).ok
    vector = VECTORS["standard_webhooks"]
    at = dt.datetime.fromtimestamp(vector["at"], dt.UTC)
    assert verify(f"whsec_!!!!!!!!! {vector['secret']}", vector["headers"], vector["body"].encode(), at).ok


def test_a_word_of_a_secret_with_spaces_is_no_secret():
    body = b"Hello, World!"
    value = "sha256=" + hmac.new(b"Secret", body, hashlib.sha256).hexdigest()
    assert not signatures.github("It's a Secret to Everybody", {"x-hub-signature-256": value}, body).ok
