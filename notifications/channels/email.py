"""Email, through the mail server of the settings."""

import email.utils
import re
import smtplib

import css_inline
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.mail import BadHeaderError, EmailMultiAlternatives, get_connection
from django.core.mail.backends import filebased
from django.core.validators import validate_email
from django.template.loader import render_to_string

from core import markdown
from core.errors import SendError
from notifications import envelope
from notifications.channels.base import Channel, DeadAddress, Limit
from notifications.message import CHANGES, Kind

LINE_BREAK = re.compile(r"[\r\n]")
# Mail programs drop style sheets, so the styles go into the elements; only what is for dark mode stays a sheet.
INLINER = css_inline.CSSInliner(keep_at_rules=True, load_remote_stylesheets=False)
# White text on each of these has a contrast of 4.5:1 or more.
SEVERITIES = {"critical": "#b42318", "high": "#b54708", "medium": "#7a5c00", "low": "#2f5fc4", "info": "#475467"}
LOOKS = {
    Kind.ACKNOWLEDGED: ("ACKNOWLEDGED", "#2f5fc4"),
    Kind.RESOLVED: ("RESOLVED", "#18704a"),
    Kind.UPDATE: ("UPDATE", "#475467"),
    Kind.HANDOFF: ("HANDOFF", "#475467"),
    Kind.TEST: ("TEST", "#475467"),
    Kind.VERIFICATION: ("VERIFICATION", "#475467"),
}

# {kind: (text, HTML)} where they are not those of all other mails
TEMPLATES = {
    Kind.VERIFICATION: ("mail.txt", "mail_verification.html"),
    Kind.STATUS: ("mail_status.txt", "mail_status.html"),
}


class Email(Channel):
    kind, label = "email", "Email"
    address_help = "An email address, for example alice@example.com"
    is_for_teams = True
    per_provider = Limit(600, 60)  # what a relay of one's own takes, and most services for hire
    per_address = Limit(30, 60)  # a mailbox that gets more in a minute puts them aside as a flood

    def preview(self, outgoing):
        mail = compose("alice@example.com", outgoing)
        return {"Subject": mail.subject, "Text": mail.body}

    def problem_with(self, address):
        try:
            validate_email(address)
        except ValidationError:
            return f"“{address}” is not an email address. Use one like alice@example.com."
        return ""

    def shown(self, address):
        """The first letter and the domain: many people give the address of a mailbox at home."""
        name, at, domain = address.rpartition("@")
        return f"{name[:1]}•••@{domain}" if at else "•••"

    def send(self, address, outgoing):
        if problem := self.problem_with(address):
            raise SendError(problem, permanent=True)
        mail = compose(address, outgoing)
        connection = get_connection(fail_silently=False)
        if isinstance(connection, filebased.EmailBackend):
            # Django names the file after the second and a memory address, which two threads may share.
            name = f"{outgoing.at:%Y%m%d-%H%M%S}-{outgoing.uuid}-{outgoing.attempt}.eml"
            connection._fname = f"{connection.file_path}/{name}"
        try:
            mail.connection = connection
            mail.send()
        except smtplib.SMTPRecipientsRefused as error:
            code, answer = next(iter(error.recipients.values()))
            text = f"The mail server refused {self.shown(address)}: {code} {_words(answer)}"
            if _says_no_such_mailbox(code, answer):
                raise DeadAddress(text, status=code) from None
            raise SendError(text, permanent=code >= 500, status=code) from None
        except smtplib.SMTPAuthenticationError as error:
            # Not the address's fault, and somebody may be changing the password right now: try again.
            raise SendError(
                f"The mail server refused our user name or password ({error.smtp_code}). Check the setting EMAIL_URL."
            ) from None
        except smtplib.SMTPResponseException as error:
            text = f"The mail server answered {error.smtp_code} {_words(error.smtp_error)}"
            raise SendError(text, permanent=error.smtp_code >= 500, status=error.smtp_code) from None
        except smtplib.SMTPNotSupportedError as error:
            raise SendError(f"The mail server cannot take this mail: {error}.", permanent=True) from None
        except BadHeaderError as error:
            raise SendError(f"The mail has a line break in a header: {error}.", permanent=True) from None
        except (smtplib.SMTPException, OSError) as error:
            raise SendError(
                f"The mail server could not be reached: {error or type(error).__name__}. Check the setting EMAIL_URL."
            ) from None
        return mail.extra_headers["Message-ID"]


def compose(address, outgoing):
    """The mail: text first, then HTML, in the thread of its incident."""
    message = outgoing.message
    headers = {
        "Message-ID": envelope.message_id(outgoing.uuid),
        "Auto-Submitted": "auto-generated",
        "From": settings.DEFAULT_FROM_EMAIL,
    }
    if message.thread:
        # A root that was never sent: readers then show all mails of an incident as one thread, whichever came first.
        root = f"<{message.thread}@{envelope.domain()}>"
        headers |= {"References": root, "In-Reply-To": root}
    if message.urgency == "high" and message.kind not in CHANGES:
        headers["X-Priority"] = "1"
    context = {"message": message, "outgoing": outgoing, "site_name": settings.SITE_NAME}
    context["word"], context["colour"] = look(message)
    if message.kind in CHANGES:  # never on a page; mail.py says why
        context["unsubscribe_url"] = url = envelope.updates_url(outgoing.uuid)
        headers |= {"List-Unsubscribe": f"<{url}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}
    if message.kind == Kind.STATUS:
        headers |= _status_headers(message)
        context["status"] = message.data
        context["rich"] = markdown.render(message.body) if message.data.get("is_markdown") else ""
    # One line, or the rest of it would be headers; a page with an odd title must go out all the same.
    subject = " ".join((message.subject or message.title).split())
    for value in (subject, address, *headers.values()):
        if LINE_BREAK.search(value):
            raise SendError("The mail has a line break in a header. Take it out of the title.", permanent=True)
    text, html = TEMPLATES.get(message.kind, ("mail.txt", "mail.html"))
    mail = EmailMultiAlternatives(
        subject=subject,
        body=render_to_string(f"notifications/{text}", context),
        from_email=envelope.sender(outgoing.uuid) or settings.DEFAULT_FROM_EMAIL,  # of the envelope
        to=[address],
        headers=headers,
    )
    mail.attach_alternative(INLINER.inline(render_to_string(f"notifications/{html}", context)), "text/html")
    return mail


def _status_headers(message):
    """Of a mail to a reader of a status page: from the page, and ended by one click (RFC 8058)."""
    name = " ".join(message.data.get("sender", "").split())
    _, sender = email.utils.parseaddr(settings.DEFAULT_FROM_EMAIL)
    headers = {"From": email.utils.formataddr((name, sender)) if name else settings.DEFAULT_FROM_EMAIL}
    if leave := message.data.get("leave"):
        headers |= {"List-Unsubscribe": f"<{leave}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}
    return headers


def look(message):
    """(word, colour) of a message: how bad it is, or what it tells. The colour only repeats the word."""
    if message.kind in LOOKS:
        return LOOKS[message.kind]
    if message.severity in SEVERITIES:
        return message.severity.upper(), SEVERITIES[message.severity]
    return ("HIGH URGENCY", "#b42318") if message.urgency == "high" else ("", "#3b6fd4")


def _says_no_such_mailbox(code, answer):
    """Whether the address itself is wrong, and not our relay, our reputation or a full mailbox.

    The enhanced codes 5.1.x of RFC 3463 say so: no such mailbox (1), no such domain (2), bad syntax (3), moved (6).
    Servers without them answer a bare 550, which some also say to a stranger who wants to relay.
    """
    if code < 500:
        return False
    answer = answer if isinstance(answer, bytes) else str(answer).encode()
    if re.match(rb"\d\.\d+\.\d+", answer):
        return re.match(rb"5\.1\.[1236]", answer) is not None
    return code == 550 and b"relay" not in answer.lower()


def _words(answer):
    return (answer.decode("utf-8", "replace") if isinstance(answer, bytes) else str(answer)).replace("\n", " ")[:200]
