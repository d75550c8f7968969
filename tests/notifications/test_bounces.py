"""Mail that comes back: what is read in it, what becomes of the message, and who may say so."""

import base64
import email.message
import hashlib
import hmac
import io
import json
import time
import uuid
from pathlib import Path

import pytest
from django.core.management import call_command

from notifications import bounces, envelope
from notifications.channels.base import Outgoing
from notifications.channels.email import Email
from notifications.message import Kind
from tests.notifications.conftest import NOW, make_message, make_method, page

MAILS = Path(__file__).resolve().parents[1] / "payloads" / "mail"
UUID = uuid.UUID("5b0a6f0e-0000-4000-8000-000000000001")
SECRET = "a secret of sixteen"
KEY = "mailgun-test-signing-key"


@pytest.fixture(autouse=True)
def mail_settings(settings):
    settings.PUBLIC_URL = "https://oncall.example.com"
    settings.BOUNCE_ADDRESS = "bounces@example.com"
    settings.BOUNCE_SECRET = SECRET
    settings.MAILGUN_SIGNING_KEY = KEY


def returned(name="postfix_failed", **fields):
    fields = {
        "to": "bounces@example.com",
        "action": "failed",
        "status": "5.1.1",
        "diagnostic": "550 5.1.1 <bob@example.org>: Recipient address rejected: User unknown",
        "message_id": envelope.message_id(UUID),
        **fields,
    }
    text = (MAILS / f"{name}.eml").read_text()
    for field, value in fields.items():
        text = text.replace(f"{{{field}}}", value)
    return text.encode()


@pytest.mark.parametrize(
    "fields, is_dead",
    [
        ({}, True),
        ({"status": "5.1.10", "diagnostic": "550 5.1.10 Recipient not found"}, True),
        ({"status": "5.0.0", "diagnostic": "550 no such user"}, True),
        ({"status": "5.0.0", "diagnostic": "550 5.7.1 blocked"}, False),
        ({"status": "5.0.0", "diagnostic": "550 relay not permitted"}, False),
        ({"status": "5.2.2", "diagnostic": "552 5.2.2 Mailbox full"}, False),
        ({"status": "5.7.1", "diagnostic": "550 5.7.1 Message rejected as spam"}, False),
        ({"status": "5.1.8", "diagnostic": "550 5.1.8 Sender address rejected"}, False),
        ({"status": "4.4.7", "diagnostic": "451 4.4.7 Retry time exceeded"}, False),
    ],
)
def test_a_report_says_which_message_failed_and_whether_the_address_is_dead(fields, is_dead):
    found = bounces.read(returned(**fields))
    assert (found.message_id, found.state, found.is_dead) == (envelope.message_id(UUID), "failed", is_dead)
    assert fields.get("diagnostic", "User unknown").split()[-1] in found.text


def test_a_report_of_a_delay_is_only_that():
    assert bounces.read(returned(action="delayed", status="4.4.1")).state == "delayed"
    assert bounces.read(returned(action="delivered", status="2.0.0")).state == "delivered"
    assert bounces.read(returned(action="relayed", status="2.0.0")) is None


def test_the_signed_sender_names_the_message_where_the_mail_itself_is_gone():
    own = envelope.sender(UUID)
    assert bounces.read(returned(to=own, message_id="")).message_id == envelope.message_id(UUID)
    assert bounces.read(returned(message_id=""), recipient=own).message_id == envelope.message_id(UUID)
    assert bounces.read(returned(message_id="")) is None
    name, _, token = own.partition("+")
    changed = f"{name}+{'b' if token[0] == 'a' else 'a'}{token[1:]}"
    assert bounces.read(returned(to=changed, message_id="")) is None


def test_a_rotated_key_still_names_the_message(settings):
    own = envelope.sender(UUID)
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another key of which nobody knows anything yet"
    assert envelope.sender(UUID) != own
    assert bounces.read(returned(to=own, message_id="")).message_id == envelope.message_id(UUID)


def test_a_bounce_in_plain_words_is_read_by_its_code():
    found = bounces.read(returned("qmail_failed", to=envelope.sender(UUID)))
    assert (found.status, found.is_dead) == ("5.1.1", True)
    assert "no mailbox here by that name" in found.text


def test_a_person_who_answers_is_no_bounce():
    assert bounces.read(returned("out_of_office", to=envelope.sender(UUID))) is None
    written = email.message.EmailMessage()
    written["From"], written["To"] = "bob@example.org", envelope.sender(UUID)
    written.set_content("What is 5.1.1?")
    assert bounces.read(written.as_bytes()) is None


@pytest.mark.parametrize(
    "raw", [b"", b"\x00\xff\xfe", b"Content-Type: multipart/report\n\n", b"From: MAILER-DAEMON@x\n\n"]
)
def test_what_is_no_mail_is_nothing(raw):
    assert bounces.read(raw) is None


def test_a_mail_that_is_nested_a_thousand_times_is_nothing():
    layers = b"".join(
        b'Content-Type: multipart/mixed; boundary="b%d"\n\n--b%d\n' % (each, each) for each in range(3000)
    )
    assert bounces.read(b"From: MAILER-DAEMON@x\n" + layers) is None
    assert bounces.read(b"From: MAILER-DAEMON@x\n" + b"Content-Type: message/rfc822\n\n" * 3000) is None


def test_a_signature_of_mailgun_is_known():
    vector = {
        "timestamp": "1777889700",
        "token": "c3f1a8d0b7e64e5f9a2b1c0d3e4f5a6b7c8d9e0f1a2b3c4d5e",
        "signature": "fe386bb295cb335780c4023bf8d467620206e3db4e484e6e365b6eb069df041d",
    }
    assert bounces.is_signed(vector, KEY)
    assert not bounces.is_signed(vector, "")
    assert not bounces.is_signed({**vector, "token": "x"}, KEY)
    assert not bounces.is_signed({}, KEY)


# --- at the door --------------------------------------------------------------------------------------------------
@pytest.fixture
def sent(bob):
    """A page by mail that went out."""
    method = make_method(bob, "email", "bob@example.org")
    (row,) = page(bob)
    row.state, row.provider_id, row.due_at, row.sent_at = "sent", envelope.message_id(row.uuid), None, NOW
    row.save()
    row.method = method
    return row


def post(client, body, authorization="", **fields):
    headers = {"Authorization": authorization} if authorization else {}
    return client.post("/mail/bounces", body, content_type="message/rfc822", headers=headers, **fields)


@pytest.mark.parametrize("scheme", ["Bearer", "Basic"])
def test_a_bounce_that_a_mail_server_posts_ends_the_message(client, sent, scheme):
    proof = SECRET if scheme == "Bearer" else base64.b64encode(f"postfix:{SECRET}".encode()).decode()
    answer = post(client, returned(message_id=sent.provider_id), f"{scheme} {proof}")
    assert (answer.status_code, answer.json()) == (200, {"result": "failed"})
    sent.refresh_from_db()
    assert sent.state == "failed"
    assert "User unknown" in sent.reason
    sent.method.refresh_from_db()
    assert "User unknown" in sent.method.disabled_reason


@pytest.mark.parametrize(
    "authorization", ["", "Bearer wrong", "Basic !", "Basic eDp5", "Bearer ", "Basic é", "Bearer é"]
)
def test_a_forged_bounce_changes_nothing(client, sent, settings, authorization):
    for secret in (SECRET, ""):
        settings.BOUNCE_SECRET = secret
        answer = post(client, returned(message_id=sent.provider_id), authorization)
        assert answer.status_code == 403
    sent.refresh_from_db()
    assert sent.state == "sent"


def test_a_bounce_of_somebody_elses_mail_is_taken_and_forgotten(client, sent):
    for raw in (returned(message_id="<x@elsewhere.example>"), returned("out_of_office"), b"nonsense"):
        assert post(client, raw, f"Bearer {SECRET}").status_code == 200
    sent.refresh_from_db()
    assert sent.state == "sent"


def signed(token="token-1", at=None, key=KEY):
    timestamp = str(int(at or time.time()))
    mac = hmac.new(key.encode(), (timestamp + token).encode(), hashlib.sha256).hexdigest()
    return {"timestamp": timestamp, "token": token, "signature": mac}


def event(row, signature, **fields):
    data = {
        "event": "failed",
        "severity": "permanent",
        "recipient": "bob@example.org",
        "message": {"headers": {"message-id": row.provider_id.strip("<>"), "to": "bob@example.org"}},
        "delivery-status": {"code": 550, "message": "5.1.1 The email account does not exist."},
        **fields,
    }
    return json.dumps({"signature": signature, "event-data": data})


def post_json(client, body):
    return client.post("/mail/bounces", body, content_type="application/json")


def test_an_event_of_mailgun_ends_the_message_once(client, sent):
    signature = signed()
    assert post_json(client, event(sent, signature)).json() == {"result": "failed"}
    sent.refresh_from_db()
    assert (sent.state, "does not exist" in sent.reason) == ("failed", True)
    assert post_json(client, event(sent, signature)).json() == {"result": "ignored"}


def test_a_delivery_that_mailgun_saw_is_noted(client, sent):
    assert post_json(client, event(sent, signed(), event="delivered")).json() == {"result": "delivered"}
    sent.refresh_from_db()
    assert sent.state == "delivered"
    assert post_json(client, event(sent, signed("2"), event="opened")).json() == {"result": "ignored"}
    assert post_json(client, event(sent, signed("3"), severity="temporary")).json() == {"result": "ignored"}


def test_a_forged_or_old_event_changes_nothing(client, sent):
    for signature in (signed(key="wrong"), signed(at=time.time() - 3 * 86400), {}, {"timestamp": "x", "token": "y"}):
        assert post_json(client, event(sent, signature)).status_code == 403
    for body in ("{", "[]", "{}", '{"signature": 5}'):
        assert post_json(client, body).status_code == 400
    sent.refresh_from_db()
    assert sent.state == "sent"


def test_a_whole_mail_that_mailgun_forwards_is_read(client, sent):
    raw = returned(message_id=sent.provider_id).decode()
    form = {"recipient": "bounces@example.com", "body-mime": raw}
    assert client.post("/mail/bounces", form | signed(key="wrong")).status_code == 403
    assert client.post("/mail/bounces", form | signed()).json() == {"result": "failed"}


def test_a_bounce_with_zero_bytes_is_of_no_message_of_ours(client, sent):
    answer = post(client, returned(message_id="<a\x00b@c>"), f"Bearer {SECRET}")
    assert answer.status_code == 200
    sent.refresh_from_db()
    assert sent.state == "sent"


@pytest.mark.parametrize(
    "body, status",
    [
        ("[" * 100_000, 400),
        ("7", 400),
        ('{"signature": 7}', 400),
        ('{"signature": {"timestamp": "1", "token": "\\ud800", "signature": "x"}}', 403),
        ('{"signature": {"timestamp": "1", "token": "x", "signature": "\\ud800"}}', 403),
    ],
)
def test_an_odd_event_breaks_nothing(client, db, body, status):
    assert client.post("/mail/bounces", body, content_type="application/json").status_code == status


def test_only_a_post_brings_a_bounce(client):
    assert client.get("/mail/bounces").status_code == 405


def test_a_mail_server_pipes_a_bounce_into_the_command(sent, monkeypatch, capsys):
    for raw in (returned("out_of_office"), returned(message_id=sent.provider_id)):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(raw)))
        call_command("bounce", recipient="bounces@example.com")
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "Ignored: not about a message."
    assert out[1].startswith(f"{sent.provider_id}: failed The mail came back: 5.1.1 smtp; 550")
    sent.refresh_from_db()
    assert sent.state == "failed"


# --- turning mails about changes off ------------------------------------------------------------------------------
def path_of(row):
    return envelope.updates_url(row.uuid).removeprefix("https://oncall.example.com")


def test_one_click_turns_mails_about_changes_off_and_pages_stay(client, sent):
    asked = client.get(path_of(sent))
    sent.method.refresh_from_db()
    assert (asked.status_code, sent.method.wants_updates) == (200, True)
    assert b"Pages themselves still come" in asked.content
    done = client.post(path_of(sent), {"List-Unsubscribe": "One-Click"})
    sent.method.refresh_from_db()
    assert (done.status_code, sent.method.wants_updates) == (200, False)
    assert (sent.method.is_usable, done.headers["Referrer-Policy"]) == (True, "no-referrer")


def test_the_address_in_the_mail_is_the_one_that_works(client, sent, smtp):
    outgoing = Outgoing(message=make_message(kind=Kind.RESOLVED), uuid=sent.uuid, at=NOW)
    Email().send("bob@example.org", outgoing)
    url = smtp.mails[0]["List-Unsubscribe"].strip(" <>")
    assert client.post(url.removeprefix("https://oncall.example.com")).status_code == 200


def test_a_forged_address_turns_nothing_off(client, sent):
    path = path_of(sent)
    for forged in (
        f"{path[:-1]}{'a' if path[-1] != 'a' else 'b'}",
        "/mail/updates/x",
        f"/mail/updates/{sent.uuid.hex}:x",
    ):
        assert client.post(forged).status_code == 404
    sent.method.refresh_from_db()
    assert sent.method.wants_updates


def test_an_address_that_was_deleted_says_so(client, sent):
    sent.method.delete()
    answer = client.post(path_of(sent))
    assert answer.status_code == 410
    assert b"not used here any more" in answer.content
