"""A line break in the wrong place: headers of mails, headers of answers, lines of the log."""

import io
import logging
import logging.config
import re
from urllib.parse import quote

import pytest
from django.conf import settings as loaded
from django.test import Client
from django.utils import timezone

from accounts import invitations, mail, resets
from accounts.models import AccountMail, Role
from core import limits
from core.errors import DomainError
from incidents import lifecycle
from notifications import outbox
from notifications.models import ContactMethod
from tests import factories
from tests.attacks import addresses
from tests.attacks.test_csrf import READS, VALUES, is_exempt

pytestmark = pytest.mark.django_db
BREAKS = ["\r\n", "\n", "\r", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029", "\0"]
EVIL = "{0}Bcc: eve@evil.example{0}X-Evil: 1{0}{0}<b>body</b>"
# What a mail of ours may have as headers; another one was smuggled in.
HEADERS = {
    *("from", "to", "subject", "date", "message-id", "mime-version", "content-type", "content-transfer-encoding"),
    *(
        "auto-submitted",
        "in-reply-to",
        "references",
        "list-id",
        "list-unsubscribe",
        "list-unsubscribe-post",
        "reply-to",
    ),
    *("precedence", "x-auto-response-suppress", "importance", "x-priority", "x-peer", "thread-topic", "priority"),
}


@pytest.mark.parametrize("end", BREAKS)
def test_names_of_people_teams_and_the_site_make_no_header(alice, sent, settings, end):
    settings.SITE_NAME = "Watchbill" + EVIL.format(end)
    settings.DEFAULT_FROM_EMAIL = "Watchbill <watchbill@example.org>"
    alice.name = "Alice" + EVIL.format("\t" if end == "\0" else end)
    alice.save()
    now = timezone.now()
    if end == "\0":
        settings.SITE_NAME = "Watchbill"
    invitations.invite("nora@example.com", name="Nora", by=alice, now=now, role=Role.OBSERVER)
    factories.UserFactory(email="erin@example.com", password="long and winding")
    resets.ask("erin@example.com", now=now)
    mails = sent(now)
    assert len(mails) == 2
    for one in mails:
        assert {name.lower() for name in one} <= HEADERS
        assert "evil" not in str(one["To"]) and one["Bcc"] is None


@pytest.mark.parametrize("end", BREAKS)
@pytest.mark.parametrize(
    "address", ["nora@example.com{0}Bcc: eve@evil.example", "{0}nora@example.com", "a@b.example,eve@evil.example"]
)
def test_an_address_with_more_than_an_address_is_none(alice, end, address):
    address = address.format(end)
    client = Client()
    client.force_login(alice)
    client.post("/reset", {"email": address})
    client.post("/people/invite", {"email": address, "name": "x", "role": "observer", "team_role": "responder"})
    client.post("/settings/contacts/new/email", {"address": address, "label": "x"})
    with pytest.raises((DomainError, ValueError)):
        invitations.invite(address + "\n", by=alice, now=timezone.now(), role=Role.OBSERVER)
        raise DomainError("")
    stored = [*AccountMail.objects.values_list("address", flat=True)]
    stored += [one.address for one in ContactMethod.objects.filter(channel="email")]
    # White space around an address is no part of it; what is left is one address.
    assert all(re.fullmatch(r"[\w.+-]+@[\w.-]+", one) for one in stored), stored
    assert not any("evil" in one for one in stored)


@pytest.mark.parametrize("end", [one for one in BREAKS if one != "\0"])
def test_titles_and_names_make_no_header_in_a_page(service, alice, smtp, now, end):
    service.name = ("Checkout" + EVIL.format(end))[:100]
    service.save()
    service.team.name = ("Shop" + EVIL.format(end))[:100]
    service.team.save()
    lifecycle.trigger(service, title="Down" + EVIL.format(end), severity="critical", now=now)
    outbox.deliver(now=now)
    assert smtp.mails
    for one in smtp.mails:
        assert {name.lower() for name in one} <= HEADERS, list(one)
        assert one["Bcc"] is None and one["X-Evil"] is None
        assert str(one["To"]).endswith("@example.com")


def test_a_mail_goes_to_the_one_it_is_for(alice, sent):
    """The envelope is what a mail server believes: it has the address and nothing of any text."""
    invitations.invite("nora@example.com", by=alice, now=timezone.now(), role=Role.OBSERVER, name=EVIL.format("\r\n"))
    (one,) = sent()
    assert str(one["To"]) == "nora@example.com"
    assert mail.one_line("a\r\nb\x85c\u2028d") == "a b c d"


# --- headers of answers ---------------------------------------------------------------------------------------
SPLIT = "x\r\nSet-Cookie: planted=1\r\n\r\n<script>"


def test_nothing_in_an_address_makes_a_header_of_the_answer(alice):
    client = Client()
    client.force_login(alice)
    for route, pattern in addresses.pages():
        if route in READS or is_exempt(pattern):
            continue
        for text in (SPLIT, "é\u2028\r\nX-Evil: 1"):
            limits.forget()
            query = "&".join(f"{name}={quote(text)}" for name in ("next", "q", "zone", "state", "then", "at"))
            answer = client.get(f"{addresses.fill(route, VALUES)}?{query}")
            assert answer.status_code < 500, route
            assert "planted" not in client.cookies and not answer.has_header("X-Evil"), route
            assert not any(sign in value for _, value in answer.items() for sign in "\r\n"), route


@pytest.mark.parametrize("path", ["/login", "/incidents/1/do/acknowledge", "/logout", "/shifts/feeds"])
def test_nothing_in_a_form_makes_a_header_of_the_answer(alice, service, path):
    factories.IncidentFactory(service=service, pk=1)
    client = Client()
    client.force_login(alice)
    answer = client.post(path, {"next": f"/{SPLIT}", "name": SPLIT})
    assert answer.status_code < 500 and "planted" not in client.cookies
    assert not any(sign in value for _, value in answer.items() for sign in "\r\n")


def test_a_name_makes_no_header_of_a_download(alice):
    alice.name = SPLIT
    alice.save()
    client = Client()
    client.force_login(alice)
    for answer in (client.post("/settings/privacy/export"), client.get("/audit/export.csv")):
        assert answer.status_code == 200
        assert re.fullmatch(r'(attachment|inline); filename="[\w.-]+"', answer["Content-Disposition"])


# --- the log --------------------------------------------------------------------------------------------------
FORGED = "2026-06-01 12:00:00,000 CRITICAL root: The admin Alice was deleted"


def written(message, *arguments):
    """What our log writes for this, as the settings have it."""
    handler = logging.StreamHandler(io.StringIO())
    handler.setFormatter(logging.Formatter(loaded.LOGGING["formatters"]["line"]["format"]))
    for name in loaded.LOGGING["handlers"]["console"]["filters"]:
        kind = loaded.LOGGING["filters"][name]["()"]
        handler.addFilter(logging.config.BaseConfigurator({}).resolve(kind)())
    logger = logging.getLogger("tests.attacks")
    logger.addHandler(handler)
    try:
        logger.warning(message, *arguments)
    finally:
        logger.removeHandler(handler)
    return handler.stream.getvalue()


@pytest.mark.parametrize("end", [one for one in BREAKS if one != "\0"])
def test_what_others_send_writes_no_line_of_its_own_into_the_log(end):
    lines = written("A sender calls itself %s", f"x{end}{FORGED}{end}").splitlines()
    assert not any(line.startswith("2026-06-01 12:00:00") for line in lines), lines


def test_what_others_send_does_not_speak_to_the_terminal():
    assert "\x1b" not in written("A sender calls itself %s", "\x1b]0;owned\x07\x1b[2J") and "\x9b" not in written(
        "%s", "\x9b2J"
    )


def test_a_text_of_ours_keeps_its_lines():
    assert len(written("First\nsecond").splitlines()) == 2
