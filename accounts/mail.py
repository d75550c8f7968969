"""Mails about accounts: rows, written in the transaction of what they tell of and sent by a worker.

So a page answers before any mail server is asked, nothing is told of what was rolled back, and a server that is down
delays a mail instead of losing it. What a mail says is emptied once it is sent, because of the links in it.
"""

import datetime as dt
import logging
import smtplib

from django.conf import settings
from django.core.mail import BadHeaderError, EmailMessage
from django.db import transaction
from django.db.models import Min

from accounts import signals
from accounts.models import AccountMail
from core import due
from core.announce import announce
from core.errors import SendError

logger = logging.getLogger(__name__)

# After the retries that pages have too: a mail server that is being restarted, or away for an hour.
LATER_SECONDS = (60, 300, 900, 3600)
LEASE = dt.timedelta(seconds=2 * settings.EMAIL_TIMEOUT + 30)
KEPT = dt.timedelta(days=30)
_composers = {}


def composed_by(kind):
    """Decorate `(row, now) -> bool`: what a worker does with a mail of this kind that has no body yet.

    It writes body and subject, or says False: then nobody gets a mail. It runs in a transaction, with the row locked.
    """

    def keep(function):
        _composers[kind] = function
        return function

    return keep


def write(kind, user, subject, body, *, now, address="", by=None):
    """Write a mail to a person in the caller's transaction. `by` is told if it can never be delivered."""
    row = AccountMail.objects.create(
        kind=kind,
        user=user,
        by=by,
        address=address or user.email,
        subject=one_line(subject),
        body=body,
        created_at=now,
        due_at=now,
    )
    due.wake("account-mails")
    return row


def one_line(text):
    """The text as a header takes it: on one line, or the rest of it would be headers."""
    return " ".join(text.split())[:200]


def _signed(body):
    """The body with what every mail ends with."""
    return f"{body}\n\n-- \n{one_line(settings.SITE_NAME)}, {settings.PUBLIC_URL}\n"


def oldest_due(now):
    """When the oldest mail that is due was due, or None."""
    return AccountMail.objects.filter(due_at__lte=now).aggregate(Min("due_at"))["due_at__min"]


def deliver(*, now):
    """Send all that is due."""
    waiting = AccountMail.objects.filter(due_at__lte=now).order_by("due_at", "pk")
    while rows := due.claim(waiting, now=now, lease=LEASE, limit=20):
        for row in rows:
            _deliver(row, now)


def _deliver(row, now):
    if not row.body:
        row = _compose(row, now)
        if row is None:
            return
    try:
        _send(row)
    except SendError as error:
        _failed(row, error, now)
    else:
        _finish(row, sent_at=now, body="", error="")


@transaction.atomic
def _compose(row, now):
    """The row with its body; None when there is nothing to send, or somebody else has it now."""
    locked = AccountMail.objects.select_for_update().filter(pk=row.pk, lease_token=row.lease_token).first()
    if locked is None:
        return None
    composer = _composers.get(locked.kind)
    if composer is None or not composer(locked, now):
        _finish(locked)
        return None
    locked.save()
    return locked


def _send(row):
    mail = EmailMessage(
        subject=one_line(row.subject),
        body=_signed(row.body),
        from_email=settings.DEFAULT_FROM_EMAIL,
        to=[row.address],
        headers={"Auto-Submitted": "auto-generated", "X-Auto-Response-Suppress": "All"},
    )
    try:
        mail.send()
    except smtplib.SMTPRecipientsRefused as error:
        code, answer = next(iter(error.recipients.values()))
        raise SendError(
            f"The mail server refused the address: {code} {_words(answer)}", permanent=code >= 500
        ) from None
    except smtplib.SMTPAuthenticationError as error:
        raise SendError(
            f"The mail server refused our user name or password ({error.smtp_code}). Check the setting EMAIL_URL."
        ) from None
    except smtplib.SMTPResponseException as error:
        text = f"The mail server answered {error.smtp_code} {_words(error.smtp_error)}"
        raise SendError(text, permanent=error.smtp_code >= 500) from None
    except BadHeaderError as error:
        raise SendError(f"The mail has a line break in a header: {error}.", permanent=True) from None
    except (smtplib.SMTPException, OSError) as error:
        raise SendError(
            f"The mail server could not be reached: {error or type(error).__name__}. Check the setting EMAIL_URL."
        ) from None


def _words(answer):
    return (answer.decode("utf-8", "replace") if isinstance(answer, bytes) else str(answer)).replace("\n", " ")[:200]


@transaction.atomic
def _failed(row, error, now):
    """Try again later, or give up and say so to whoever sent it, and to the floors above."""
    delays = (*settings.RETRY_DELAYS_SECONDS, *LATER_SECONDS)
    if not error.permanent and row.attempts <= len(delays):
        again = now + dt.timedelta(seconds=delays[row.attempts - 1])
        if row.link_expires_at is None or again < row.link_expires_at:
            _finish(row, due_at=again, error=error.message[:500])
            return
    logger.warning("Account mail %s (%s) was given up: %s", row.pk, row.kind, error.message)
    if not _finish(row, body="", error=error.message[:500]):
        return
    if row.by_id and row.by_id != row.user_id and row.by.is_active:
        write(
            "undelivered",
            row.by,
            f"Your {row.kind} to {row.address} did not arrive",
            f"The {row.kind} to {row.address} could not be delivered.\n\n{error.message}\n\n"
            "Correct the address, or tell the person another way.",
            now=now,
        )
    announce(signals.account_mail_failed, mail=row, reason=error.message, now=now)


def _finish(row, *, due_at=None, **fields):
    """Write what became of it, if it is still ours; returns how many rows that were."""
    ours = AccountMail.objects.filter(pk=row.pk, lease_token=row.lease_token)
    return ours.update(due_at=due_at, lease_until=None, lease_token=None, **fields)


def forget_old(*, now):
    """Delete what was sent or given up long ago and has no link that still works."""
    old = AccountMail.objects.filter(due_at=None, created_at__lt=now - KEPT)
    old.exclude(link_end="", link_expires_at__gt=now).delete()
    # Addresses that were typed at “Forgotten password?” and are nobody's.
    AccountMail.objects.filter(due_at=None, user=None, created_at__lt=now - dt.timedelta(days=1)).delete()
