"""Mail as a source: a raw message, the forms of providers, what is ignored, and mail that nobody should send."""

import asyncio
import base64
import datetime as dt
import hashlib
import hmac
import json
import re
from email.message import EmailMessage
from pathlib import Path
from urllib.parse import urlencode

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from alerts.models import Alert, InboundEvent
from alerts.sources.base import BadEvent
from alerts.sources.email import EmailSource, text_of_html, without_quotes
from tests import factories
from tests.alerts.test_door import Server

PAYLOADS = Path(__file__).parent.parent / "payloads"
RAW = {"content-type": "message/rfc822"}
FORM = {"content-type": "application/x-www-form-urlencoded"}
MAILGUN = json.loads((PAYLOADS / "email_inbound_mailgun_form.json").read_text())
MAILGUN.pop("_note")
# The key with which the sample was signed is not known, so tests sign with their own.
SECRET = "key-3ax6xnjp29jd6fds4gc373sgvjxteol0"


def one(body, headers=RAW, options=None):
    (event,) = EmailSource().parse(body, headers, options)
    return event


def mail(subject="Disk full", text="It is full.", html="", **headers):
    message = EmailMessage()
    message["From"], message["To"] = "Nagios <nagios@mon.example.com>", "key@alerts.example.com"
    if subject is not None:
        message["Subject"] = subject
    for name, value in headers.items():
        message[name.replace("_", "-")] = value
    message.set_content(text)
    if html:
        message.add_alternative(html, subtype="html")
    return message


def raw(*args, plus="", sender="nagios@mon.example.com", options=None, **fields):
    return one(mail(*args, **fields).as_bytes(), {**RAW, "x-mail-plus": plus, "x-mail-from": sender}, options)


def signed(fields, *, at, secret=SECRET):
    stamp = str(int(at.timestamp()))
    text = f"{stamp}{fields['token']}".encode()
    return {**fields, "timestamp": stamp, "signature": hmac.new(secret.encode(), text, hashlib.sha256).hexdigest()}


def multipart(fields, files=()):
    lines = []
    for name, value in fields.items():
        lines.append(f'--xyz\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode())
    for name, data in files:
        head = f'--xyz\r\nContent-Disposition: form-data; name="{name}"; filename="a.bin"\r\n\r\n'.encode()
        lines.append(head + data + b"\r\n")
    return b"".join(lines) + b"--xyz--\r\n", {"content-type": 'multipart/form-data; boundary="xyz"'}


# --- a message ----------------------------------------------------------------------------------------------------
def test_a_mail_becomes_an_alert():
    event = raw(Date="Mon, 01 Jun 2026 13:59:00 +0200", plus="disk-web-03")
    assert (event.action, event.title, event.description) == ("trigger", "Disk full", "It is full.")
    assert (event.dedup_key, event.source, event.severity) == ("disk-web-03", "email", "")
    assert event.labels == {"from": "nagios@mon.example.com"}
    assert event.occurred_at == dt.datetime(2026, 6, 1, 11, 59, tzinfo=dt.UTC)


def test_text_is_preferred_to_html():
    assert raw(text="plain", html="<p>rich</p>").description == "plain"


def test_html_alone_is_read_as_text():
    message = EmailMessage()
    message["Subject"] = "Disk"
    message.set_content(
        "<html><head><title>no</title><style>p {color: red}</style></head><body><script>alert(1)</script>"
        "<p>Disk&nbsp;<b>full</b> &lt;92%&gt;</p><table><tr><td>host</td><td>web-03</td></tr></table>end</body>",
        subtype="html",
    )
    assert one(message.as_bytes()).description == "Disk full <92%>\nhost web-03\nend"


def test_attachments_are_not_read():
    message = mail()
    message.add_attachment("secret,numbers", subtype="plain", filename="numbers.txt")
    message.add_attachment(b"\x00" * 100, maintype="application", subtype="zip", filename="a.zip")
    assert one(message.as_bytes()).description == "It is full."


def test_a_mail_without_a_subject_takes_its_first_line():
    assert raw(None, text="\n\nCPU is hot\nvery").title == "CPU is hot"
    assert raw(None, text="").title == "A mail without a subject from nagios@mon.example.com"
    assert raw(None, text="").dedup_key == ""


@pytest.mark.parametrize(
    ("problem", "end"),
    [
        ("PROBLEM: disk /var on web-03 is CRITICAL", "RECOVERY: disk /var on web-03 is OK"),
        (
            "** PROBLEM Service Alert: web-03/HTTP is CRITICAL **",
            "** RECOVERY Service Alert: web-03/HTTP is OK **",
        ),
        ("[PROBLEM] Queue stuck 2026-06-01 12:00:03", "[RESOLVED] Queue stuck 2026-06-01T12:09:44Z"),
        ("DOWN: shop.example.com (1 Jun 2026 12:00)", "UP: shop.example.com (1 Jun 2026 12:04)"),
        ("PROBLEM Backup of db-02", "Re: Fwd: OK Backup of db-02"),
    ],
)
def test_a_problem_and_its_end_have_one_key(problem, end):
    first, last = raw(problem), raw(end)
    assert (first.action, last.action) == ("trigger", "resolve")
    assert first.dedup_key == last.dedup_key != ""


def test_different_troubles_have_different_keys():
    subjects = ["Disk full on web-01", "Disk full on web-02", "Host 10.0.0.1 is DOWN", "Host 10.0.0.2 is DOWN"]
    assert len({raw(subject).dedup_key for subject in subjects}) == 4


@pytest.mark.parametrize(
    "subject", ["Up to 90% of requests fail", "Okta is broken", "ok google is burning", "UPS fails"]
)
def test_words_that_only_look_like_an_end_are_none(subject):
    assert raw(subject).action == "trigger"


def test_the_key_from_a_regular_expression():
    options = {"key_pattern": r"Incident-(\d+)"}
    assert raw("Disk: Incident-77 opened", options=options).dedup_key == "77"
    assert raw("Disk", text="see Incident-78", options=options).dedup_key == "78"
    assert raw("Disk", options=options).dedup_key == "disk", "without a match the subject counts"
    assert raw("Incident-1", plus="mine", options=options).dedup_key == "mine"


def test_the_end_by_a_regular_expression_of_ones_own():
    options = {"resolve_pattern": r"(?i)all clear"}
    assert raw("Disk: all clear", options=options).action == "resolve"
    assert raw("RECOVERY: disk", options=options).action == "trigger"
    assert raw("OK").action == "ignore", "it names nothing"


def test_a_pattern_that_cannot_be_used_is_refused_in_the_admin_and_loses_no_mail():
    option = next(option for option in EmailSource.options if option.name == "key_pattern")
    with pytest.raises(ValueError, match="without look-ahead"):
        option.check(r"(?<=x)y")
    with pytest.raises(ValueError, match="longer than"):
        option.check("x" * 501)
    assert option.check(r"#(\d+)") == r"#(\d+)"
    assert raw("Disk", options={"key_pattern": "(", "resolve_pattern": "("}).dedup_key == "disk"


@pytest.mark.parametrize(
    ("subject", "severity"),
    [
        ("PROBLEM: disk is CRITICAL", "critical"),
        ("[P2] Queue", "high"),
        ("Warning: heat", "medium"),
        ("SEV-1 outage", "high"),
        ("Disk space is low on the main page", ""),
    ],
)
def test_the_severity_from_unmistakable_words_of_the_subject(subject, severity):
    assert raw(subject).severity == severity


def test_quoted_replies_are_left_out():
    text = "Still broken.\n\nOn Mon, 1 Jun 2026, Bob wrote:\n> It was fine\n> yesterday"
    assert without_quotes(text) == "Still broken."
    assert without_quotes("a\n-----Original Message-----\nFrom: b") == "a"
    assert raw(text="> all of it is quoted").description == "> all of it is quoted", "rather too much than nothing"


# --- what is ignored ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "headers",
    [
        {"Auto_Submitted": "auto-replied"},
        {"Auto_Submitted": "Auto-Replied; owner-email=x@example.com"},
        {"Auto_Submitted": "auto-generated", "In_Reply_To": "<1@mon.example.com>"},
        {"X_Auto_Response_Suppress": "All", "References": "<1@mon.example.com>"},
        {"Precedence": "auto_reply"},
    ],
)
def test_automatic_answers_are_ignored_with_a_reason(headers):
    event = raw(**headers)
    assert event.action == "ignore"
    assert "automatic answer" in event.reason


def test_a_bounce_is_ignored():
    assert "no envelope sender" in raw(sender="<>").reason


def test_our_own_mails_and_answers_to_them_are_ignored(settings):
    settings.PUBLIC_URL = "https://oncall.example.com"
    ours = "<6f1c5a52-44a5-4b9f-9d0e-0e6f2a1b7c3d@oncall.example.com>"
    for name in ("Message_ID", "In_Reply_To", "References"):
        assert "a mail of ours" in raw(**{name: ours}).reason
    assert raw(Message_ID="<20260601.1@oncall.example.com>").action == "trigger", "a program on the same machine"


def test_cron_and_monitoring_tools_mark_their_mails_automatic_and_are_heard():
    assert raw(Auto_Submitted="auto-generated").action == "trigger"
    assert raw(X_Auto_Response_Suppress="All").action == "trigger"
    strict = {"drop_automatic": True}
    assert raw(Auto_Submitted="auto-generated", options=strict).action == "ignore"
    assert raw(X_Auto_Response_Suppress="All", options=strict).action == "ignore"
    assert raw(Auto_Submitted="no", options=strict).action == "trigger"


# --- providers ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("encode", [lambda fields: (urlencode(fields).encode(), FORM), multipart])
def test_mailguns_form(encode):
    event = one(*encode(MAILGUN))
    assert (event.action, event.dedup_key) == ("trigger", "disk-web-03")
    assert event.title == "PROBLEM: disk /var on web-03 is CRITICAL"
    assert event.description == "Host: web-03\nService: disk /var\nState: CRITICAL"
    assert (event.severity, event.labels) == ("critical", {"from": "nagios@mon.example.com"})


def test_the_envelope_recipient_counts_and_not_the_to_header():
    fields = {
        **MAILGUN,
        "To": "other+wrong@alerts.example.com",
        "recipient": "a@x.example.com,key+right@x.example.com",
    }
    assert one(urlencode(fields).encode(), FORM).dedup_key == "right"


def test_mailguns_headers_are_known():
    fields = {**MAILGUN, "message-headers": json.dumps([["Auto-Submitted", "auto-replied"], ["X", 1], "y"])}
    assert one(urlencode(fields).encode(), FORM).action == "ignore"


def test_a_raw_message_in_a_form():
    fields = {**MAILGUN, "body-mime": mail("RECOVERY disk").as_string()}
    event = one(urlencode(fields).encode(), FORM)
    assert (event.action, event.title, event.dedup_key) == ("resolve", "RECOVERY disk", "disk-web-03")


def test_files_of_a_form_are_skipped():
    body, headers = multipart(MAILGUN, files=[("attachment-1", b"\r\n--xy\x00" * 1000), ("subject", b"wrong")])
    assert one(body, headers).title == MAILGUN["subject"]


def test_postmarks_json():
    body = {
        "FromFull": {"Email": "nagios@mon.example.com"},
        "From": "nagios@mon.example.com",
        "OriginalRecipient": "key+disk-web-03@inbound.example.com",
        "Subject": "UP: web-03",
        "TextBody": "fine\n",
        "StrippedTextReply": "",
        "Headers": [{"Name": "Auto-Submitted", "Value": "no"}],
        "Attachments": [{"Name": "a.png", "Content": "AAAA"}],
    }
    event = one(json.dumps(body).encode(), {"content-type": "application/json"})
    assert (event.action, event.dedup_key, event.description) == ("resolve", "disk-web-03", "fine")


def test_sendgrids_form():
    fields = {
        "headers": "From: a@example.com\nAuto-Submitted: auto-replied\n",
        "envelope": json.dumps({"to": ["key+k1@in.example.com"], "from": "a@example.com"}),
        "subject": "Disk",
        "text": "full",
        "to": "somebody@example.com",
    }
    event = one(*multipart(fields))
    assert (event.action, event.dedup_key) == ("ignore", "k1")


# --- over HTTP ----------------------------------------------------------------------------------------------------
@pytest.fixture
def server():
    with Server() as running:
        yield running


@pytest.fixture
def integration(service):
    return factories.IntegrationFactory(source="email", service=service)


def send(server, path, fields, encode=lambda fields: (urlencode(fields).encode(), FORM)):
    body, headers = encode(fields)
    return server.post(path, body, headers)


@pytest.mark.django_db(transaction=True)
def test_a_provider_posts_and_is_answered_200(server, integration):
    for encode in (lambda fields: (urlencode(fields).encode(), FORM), multipart):
        reply = send(server, f"/in/email/{integration.key}", {**MAILGUN, "token": encode.__name__}, encode)
        assert (reply.status, reply.json["dedup_key"]) == (200, "disk-web-03")
    assert InboundEvent.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_a_provider_that_looks_first_finds_somebody(server, integration):
    assert server.request("HEAD", f"/in/email/{integration.key}").status == 200
    assert server.request("HEAD", "/in/email").status == 200
    assert not InboundEvent.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_mailguns_signature_is_checked(server, integration):
    integration.signing_secret = SECRET
    integration.save()
    path, now = f"/in/email/{integration.key}", timezone.now()
    assert send(server, path, MAILGUN).status == 401
    assert send(server, path, signed(MAILGUN, at=now, secret="wrong")).status == 401
    assert send(server, path, signed(MAILGUN, at=now - dt.timedelta(hours=13))).status == 401
    assert send(server, path, {"subject": "x"}).status == 401
    assert not InboundEvent.objects.exists()
    assert send(server, path, signed(MAILGUN, at=now)).status == 200
    assert send(server, path, signed(MAILGUN, at=now), multipart).status == 200, "a repeat is answered like the first"
    assert InboundEvent.objects.count() == 1, "and stored once"
    later = signed({**MAILGUN, "token": "another"}, at=now - dt.timedelta(hours=4))
    assert send(server, path, later).status == 200, "Mailgun tries for hours"


@pytest.mark.django_db(transaction=True)
def test_a_token_that_is_the_same_in_every_mail_loses_none(server, integration):
    path = f"/in/email/{integration.key}"
    for subject in ("Disk full", "Queue full"):
        assert send(server, path, {"subject": subject, "token": "a-password-of-theirs"}).status == 200
        assert send(server, path, {**MAILGUN, "subject": subject}).status == 200
    assert InboundEvent.objects.count() == 4


@pytest.mark.django_db(transaction=True)
def test_one_address_for_all_integrations_finds_the_key_in_the_recipient(server, integration):
    fields = {**MAILGUN, "recipient": f"{integration.key}+k1@alerts.example.com"}
    reply = send(server, "/in/email", fields)
    assert (reply.status, reply.json["dedup_key"]) == (200, "k1")
    assert InboundEvent.objects.get().integration == integration
    assert send(server, "/in/email", {**MAILGUN, "token": "2"}).status == 406, "Mailgun must not try this again"
    assert send(server, "/in/email", {"subject": "x"}).status == 406


@pytest.mark.django_db(transaction=True)
def test_the_wrong_key_in_the_path_is_a_404(server, integration):
    assert send(server, "/in/email/0123456789abcdef", MAILGUN).status == 404


@pytest.mark.django_db(transaction=True)
def test_a_mail_with_attachments_of_megabytes_is_kept_whole(server, integration):
    message = mail()
    message.add_attachment(b"\x01" * 3_000_000, maintype="application", subtype="zip", filename="a.zip")
    body = message.as_bytes()
    assert server.post(f"/in/email/{integration.key}", body, RAW).status == 200
    assert bytes(InboundEvent.objects.get().body) == body
    assert server.post(f"/in/email/{integration.key}", b"x" * (10 * 1024 * 1024 + 1), RAW).status == 413


# --- hostile mail -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\r\n\r\n",
        b"\x00\xff\xfe garbage",
        b"Subject: =?nonsense?B?AAAA?=\r\n\r\nx",
        b"Subject: =?utf-8?B?A?=\r\n\r\nx",
        b"Subject: \xe9\xe8 caf\xe9\r\nContent-Type: text/plain\r\n\r\n\xe9",
        b"Subject: a\r\nContent-Type: text/plain; charset=klingon\r\n\r\n\xe9",
        b"Subject: a\r\nContent-Type: text/plain; charset*=a'b'%FF\r\n\r\nx",
        b"Subject: a\r\nContent-Transfer-Encoding: base64\r\n\r\n!!!!",
        b"Subject: a\r\nContent-Transfer-Encoding: uuencode\r\n\r\nbegin",
        b"Subject: a\r\nContent-Type: multipart/mixed\r\n\r\nno boundary",
        b'Subject: a\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\n\r\nnever closed',
        b"Subject: a\r\nDate: 99 Foo 99999999999999 99:99\r\n\r\nx",
        b'Subject: a\r\nFrom: """<<<>>>,,,\r\n\r\nx',
        b"Subject:" + b" a" * 100_000 + b"\r\n\r\nx",
        b"".join(b"X-%d: y\r\n" % n for n in range(10_000)) + b"Subject: late\r\n\r\nx",
        b"Subject: a\r\n" * 10_000,
        b"Subject: a\r\nContent-Type: text/html\r\n\r\n" + b"<!--" * 60_000,
        b"Subject: a\r\nContent-Type: text/html\r\n\r\n" + b"<a " * 80_000,
        b"Subject: a\r\nContent-Type: text/html\r\n\r\n" + b"<script>" * 30_000,
        b"Subject: a\r\n\r\n" + b"On " * 100_000,
        b"Subject: " + b"12:" * 1300 + b"\r\n\r\nx",
        b"Subject: a\r\nReferences: " + b"<1" * 2000 + b"\r\n\r\nx",
        b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(3000)),
        b"Content-Type: message/rfc822\r\n\r\n" * 3000,
    ],
    ids=lambda body: re.sub(r"\W+", "-", body[:40].decode("latin-1")),
)
def test_hostile_mail_is_one_event(body):
    event = one(body)
    assert event.action == "trigger"
    assert event.title
    assert "\x00" not in event.title + event.description + event.dedup_key


def test_a_subject_in_another_alphabet():
    encoded = "=?iso-8859-1?Q?Gr=FC=DFe?= =?utf-8?B?" + base64.b64encode("日本".encode()).decode() + "?="
    assert one(f"Subject: {encoded}\r\n\r\nx".encode()).title == "Grüße日本"


@given(st.binary(max_size=2000), st.sampled_from(["message/rfc822", "", "application/json", *FORM.values()]))
def test_any_bytes_are_an_event_or_a_mistake_that_says_so(body, kind):
    try:
        one(body, {"content-type": kind})
    except BadEvent as bad:
        assert bad.errors


@given(
    st.dictionaries(
        st.sampled_from([*MAILGUN, "headers", "envelope", "message-headers", "to"]), st.text() | st.lists(st.text())
    )
)
def test_any_fields_are_an_event(fields):
    assert one(json.dumps(fields).encode(), {"content-type": "application/json"}).title
    asyncio.run(
        EmailSource().check("s", FORM, urlencode(fields, doseq=True).encode(errors="replace"), now=timezone.now())
    )


@pytest.mark.parametrize("source", ["<p>a</p", "<", "&#x110000;&amp", "<![CDATA[" * 10])
def test_broken_html_is_text_of_some_kind(source):
    assert isinstance(text_of_html(source), str)


@pytest.mark.django_db(transaction=True)
def test_a_problem_and_its_recovery_open_and_end_an_alert(server, integration):
    from alerts import ingest

    for subject, firing in (("PROBLEM: disk", 1), ("RECOVERY: disk", 0)):
        assert server.post(f"/in/email/{integration.key}", mail(subject).as_bytes(), RAW).status == 200
        ingest.sweep(now=timezone.now() + dt.timedelta(seconds=3))
        assert Alert.objects.firing().count() == firing
    assert Alert.objects.count() == 1
