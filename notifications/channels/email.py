"""Email, through the mail server of the settings."""

import re
import smtplib
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.mail import BadHeaderError, EmailMultiAlternatives, get_connection
from django.core.mail.backends import filebased
from django.core.validators import validate_email
from django.template.loader import render_to_string

from core.errors import SendError
from notifications.channels.base import Channel, DeadAddress

LINE_BREAK = re.compile(r"[\r\n]")


class Email(Channel):
    kind, label = "email", "Email"
    address_help = "An email address, for example alice@example.com"

    def problem_with(self, address):
        try:
            validate_email(address)
        except ValidationError:
            return f"“{address}” is not an email address. Use one like alice@example.com."
        return ""

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
            text = f"The mail server refused {address}: {code} {_words(answer)}"
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
    domain = urlsplit(settings.PUBLIC_URL).hostname
    headers = {
        "Message-ID": f"<{outgoing.uuid}@{domain}>",
        "Auto-Submitted": "auto-generated",
    }
    if message.thread:
        # A root that was never sent: readers then show all mails of an incident as one thread, whichever came first.
        root = f"<{message.thread}@{domain}>"
        headers |= {"References": root, "In-Reply-To": root}
    if message.urgency == "high":
        headers["X-Priority"] = "1"
    subject = message.subject or message.title
    for value in (subject, address, *headers.values()):
        if LINE_BREAK.search(value):
            raise SendError("The mail has a line break in a header. Take it out of the title.", permanent=True)
    context = {"message": message, "outgoing": outgoing, "site_name": settings.SITE_NAME}
    mail = EmailMultiAlternatives(
        subject=subject,
        body=render_to_string("notifications/page.txt", context),
        from_email=settings.DEFAULT_FROM_EMAIL,
        to=[address],
        headers=headers,
    )
    mail.attach_alternative(render_to_string("notifications/page.html", context), "text/html")
    return mail


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
