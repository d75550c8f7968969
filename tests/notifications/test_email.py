"""Mail: both parts, the thread, the links, and what a mail server may answer."""

import concurrent.futures
import dataclasses
import email
import email.policy
import uuid

import pytest

from core.errors import SendError
from notifications import envelope, outbox
from notifications.channels.base import DeadAddress, Outgoing
from notifications.channels.email import Email
from notifications.message import CHANGES, Kind
from tests.notifications.conftest import NOW, after, make_message, make_method, page

UUID = uuid.UUID("5b0a6f0e-0000-4000-8000-000000000001")
OUTGOING = Outgoing(
    message=make_message(),
    uuid=UUID,
    topic="incident:42",
    person="Alice",
    at=NOW,
    links=(("Acknowledge", "https://oncall.example.com/l/abc"),),
)


@pytest.fixture(autouse=True)
def public_url(settings):
    settings.PUBLIC_URL = "https://oncall.example.com"
    settings.DEFAULT_FROM_EMAIL = "Watchbill <pager@example.com>"


def change(**fields):
    return dataclasses.replace(OUTGOING, **fields)


def parts(mail):
    assert mail.get_content_type() == "multipart/alternative"
    text, html = mail.iter_parts()
    assert (text.get_content_type(), html.get_content_type()) == ("text/plain", "text/html")
    return text.get_content(), html.get_content()


def test_a_mail_has_a_text_and_an_html_part_with_everything(smtp):
    Email().send("alice@example.com", OUTGOING)
    (mail,) = smtp.mails
    assert (mail["To"], mail["From"]) == ("alice@example.com", "Watchbill <pager@example.com>")
    assert mail["Subject"] == "[#42] Checkout errors"
    text, html = parts(mail)
    for part in (text, html):
        assert "Checkout errors" in part
        assert "5 % of orders fail." in part
        assert "Service" in part
        assert "https://oncall.example.com/incidents/42" in part
    assert "\nhttps://oncall.example.com/l/abc\n" in text.replace("\r", "")
    assert 'href="https://oncall.example.com/l/abc"' in html
    assert "Alice" in text


def test_all_mails_of_an_incident_form_one_thread(smtp):
    Email().send("alice@example.com", OUTGOING)
    Email().send("alice@example.com", change(uuid=uuid.uuid4()))
    one, two = smtp.mails
    assert one["Message-ID"] == f"<{UUID}@oncall.example.com>"
    assert one["Message-ID"] != two["Message-ID"]
    for mail in (one, two):
        assert mail["References"] == mail["In-Reply-To"] == "<incident-42@oncall.example.com>"
        assert mail["Auto-Submitted"] == "auto-generated"
        assert mail["X-Priority"] == "1"
    assert one["Subject"] == two["Subject"]


def test_a_quiet_mail_without_a_thread_says_less(smtp):
    Email().send("alice@example.com", change(message=make_message(urgency="low", thread="", subject="")))
    (mail,) = smtp.mails
    assert mail["X-Priority"] is None
    assert mail["References"] is None
    assert mail["Subject"] == "Checkout errors"


def test_notes_stand_in_front(smtp):
    Email().send("alice@example.com", change(notes=("This page is 12 min late: it was due at noon.",)))
    text, html = parts(smtp.mails[0])
    assert text.startswith("This page is 12 min late")
    assert "This page is 12 min late" in html


def test_text_is_plain_and_html_is_escaped(smtp):
    Email().send("alice@example.com", change(message=make_message(title="<b>a & b</b>", body="x < y\nz")))
    text, html = parts(smtp.mails[0])
    assert "<b>a & b</b>" in text
    assert "&lt;b&gt;a &amp; b&lt;/b&gt;" in html
    assert "x &lt; y<br>z" in html


@pytest.mark.parametrize(
    "fields, word",
    [
        ({"severity": "critical"}, "CRITICAL"),
        ({"severity": "low"}, "LOW"),
        ({"severity": ""}, "HIGH URGENCY"),
        ({"kind": Kind.RESOLVED, "severity": "critical"}, "RESOLVED"),
        ({"kind": Kind.ACKNOWLEDGED}, "ACKNOWLEDGED"),
        ({"kind": Kind.TEST}, "TEST"),
    ],
)
def test_what_the_colour_says_is_also_a_word(smtp, fields, word):
    Email().send("alice@example.com", change(message=make_message(**fields)))
    text, html = parts(smtp.mails[0])
    assert f"\n{word}\n" in text.replace("\r", "")
    assert f">{word}</span>" in html


def test_styles_are_in_the_elements_and_only_those_of_dark_mode_in_a_sheet(smtp):
    Email().send("alice@example.com", OUTGOING)
    _, html = parts(smtp.mails[0])
    sheet = html.partition("<style>")[2].partition("</style>")[0]
    assert sheet.strip().startswith("@media (prefers-color-scheme: dark)")
    assert 'class="title" style="' in html
    assert len(html) < 20_000


def test_a_code_is_easy_to_read(smtp):
    message = make_message(kind=Kind.VERIFICATION, title="Your code is 482915", data={"code": "482915"})
    Email().send("alice@example.com", change(message=message, links=()))
    _, html = parts(smtp.mails[0])
    assert ">482915</td>" in html
    assert "font-size: 36px" in html.partition('class="code"')[2][:200]


@pytest.mark.parametrize("kind", [Kind.UPDATE, Kind.ACKNOWLEDGED, Kind.RESOLVED])
def test_mail_about_a_change_can_be_turned_off_by_one_click(smtp, kind):
    Email().send("alice@example.com", change(message=make_message(kind=kind)))
    (mail,) = smtp.mails
    url = mail["List-Unsubscribe"].strip(" <>")
    assert url.startswith("https://oncall.example.com/mail/updates/")
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert mail["X-Priority"] is None
    for part in parts(mail):
        assert url in part


@pytest.mark.parametrize("kind", sorted(set(Kind) - CHANGES))
def test_a_page_cannot_be_turned_off_by_one_click(smtp, kind):
    Email().send("alice@example.com", change(message=make_message(kind=kind)))
    (mail,) = smtp.mails
    assert mail["List-Unsubscribe"] is mail["List-Unsubscribe-Post"] is None
    assert "/mail/updates/" not in "".join(parts(mail))


def test_a_mail_that_comes_back_has_an_address_of_its_own(smtp, settings):
    settings.BOUNCE_ADDRESS = "bounces@example.com"
    Email().send("alice@example.com", OUTGOING)
    (sender,) = smtp.senders
    assert sender.startswith("bounces+")
    assert sender.endswith("@example.com")
    assert len(sender.partition("@")[0]) <= 64
    assert envelope.message_id_of(f"To: <{sender.upper()}>") == smtp.mails[0]["Message-ID"]
    assert smtp.mails[0]["From"] == "Watchbill <pager@example.com>"


def test_without_a_bounce_address_mails_come_back_to_the_sender(smtp):
    Email().send("alice@example.com", OUTGOING)
    assert smtp.senders == ["pager@example.com"]


def test_a_line_break_in_a_header_is_refused(smtp):
    with pytest.raises(SendError, match="line break") as error:
        Email().send("alice@example.com", change(message=make_message(thread="a\r\nBcc: all@example.com")))
    assert error.value.permanent
    assert smtp.mails == []


@pytest.mark.parametrize("end", ["\r\n", "\n", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029"])
@pytest.mark.parametrize("name", ["Disk", "Plätze"])
def test_a_subject_of_several_lines_becomes_one_and_the_page_goes_out(smtp, end, name):
    for rest in ("Bcc: all@example.com", "is full"):
        Email().send("alice@example.com", change(message=make_message(subject=f"{name}{end}{rest}")))
        mail = smtp.mails.pop()
        assert str(mail["Subject"]) == f"{name} {rest}"
        assert mail["Bcc"] is None
        assert mail.is_multipart()


@pytest.mark.parametrize("address", ["a\r\nb@example.com", "alice", "", "alice@example.com\nBcc: x@example.com"])
def test_only_an_address_is_an_address(smtp, address):
    assert Email().problem_with(address)
    with pytest.raises(SendError):
        Email().send(address, OUTGOING)
    assert smtp.mails == []


def test_a_refused_recipient_is_dead(smtp):
    with pytest.raises(DeadAddress, match="550.*No such person here"):
        Email().send("gone@example.com", OUTGOING)


@pytest.mark.parametrize(
    "answer, is_dead",
    [
        ("550 5.1.1 No such person here", True),
        ("550 5.1.6 The mailbox has moved", True),
        ("553 5.1.3 Bad mailbox syntax", True),
        ("550 No such user", True),
        ("554 5.7.1 Relay access denied", False),
        ("550 5.7.1 Rejected by policy", False),
        ("550 relay not permitted", False),  # Exim, without an enhanced code
        ("552 5.2.2 Mailbox full", False),
        ("530 Authentication required", False),
    ],
)
def test_only_a_mailbox_that_does_not_exist_is_dead(smtp, monkeypatch, answer, is_dead):
    async def refuse(*_):
        return answer

    monkeypatch.setattr(smtp, "handle_RCPT", refuse)
    with pytest.raises(SendError, match=answer) as error:
        Email().send("bob@example.com", OUTGOING)
    assert error.value.permanent
    assert isinstance(error.value, DeadAddress) is is_dead


@pytest.mark.django_db
def test_a_relay_that_refuses_everybody_disables_nobody(bob, smtp, monkeypatch):
    async def refuse(*_):
        return "554 5.7.1 Relay access denied"

    monkeypatch.setattr(smtp, "handle_RCPT", refuse)
    method = make_method(bob, "email", "bob@example.com")
    (row,) = page(bob)
    outbox.deliver(now=NOW)
    row.refresh_from_db()
    method.refresh_from_db()
    assert (row.state, method.disabled_reason) == ("failed", "")
    assert "Relay access denied" in row.reason


def test_a_recipient_refused_for_now_is_tried_again(smtp):
    with pytest.raises(SendError, match="451.*come back later") as error:
        Email().send("later@example.com", OUTGOING)
    assert not error.value.permanent


def test_a_refused_content_is_permanent_and_the_address_lives(smtp):
    with pytest.raises(SendError, match="552") as error:
        Email().send("full@example.com", OUTGOING)
    assert error.value.permanent
    assert not isinstance(error.value, DeadAddress)


def test_a_missing_mail_server_is_tried_again(settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9
    with pytest.raises(SendError, match="could not be reached.*EMAIL_URL") as error:
        Email().send("alice@example.com", OUTGOING)
    assert not error.value.permanent


def test_without_a_mail_server_each_mail_is_a_file(settings, tmp_path):
    settings.EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
    settings.EMAIL_FILE_PATH = tmp_path / "mail"
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        sends = [pool.submit(Email().send, "alice@example.com", change(uuid=uuid.uuid4())) for _ in range(100)]
    assert all(each.result() for each in sends)
    files = sorted((tmp_path / "mail").iterdir())
    assert len(files) == 100
    for file in files:
        mail = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
        assert mail["Subject"] == "[#42] Checkout errors"


@pytest.mark.django_db
def test_a_page_arrives_in_the_mailbox(bob, smtp):
    make_method(bob, "email", "bob@example.com")
    (row,) = page(bob)
    outbox.deliver(now=after(seconds=2))
    row.refresh_from_db()
    assert (row.state, row.provider_id) == ("sent", f"<{row.uuid}@oncall.example.com>")
    text, _ = parts(smtp.mails[0])
    assert text.count("https://oncall.example.com/l/") == 2


@pytest.mark.django_db
def test_a_dead_mailbox_is_disabled(bob, smtp):
    method = make_method(bob, "email", "gone@example.com")
    page(bob)
    outbox.deliver(now=NOW)
    method.refresh_from_db()
    assert "No such person here" in method.disabled_reason
