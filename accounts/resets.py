"""Forgotten passwords. Who asks is answered alike whether there is such an account: only a worker looks.

A new password signs nobody in, so that the second factor is asked for as ever; it ends every session, and the person
is told by mail.
"""

import datetime as dt

from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.db import transaction
from django.urls import reverse

from accounts import audit, links, lockout, mail, passwords, sessions
from accounts.models import AccountMail, User
from core import due

KIND = "reset"
PER_ACCOUNT, WITHIN = 3, dt.timedelta(hours=1)


@transaction.atomic
def ask(email, *, now):
    """Note that somebody wants a new password for this address: the same work whether it is somebody's or not."""
    lately = AccountMail.objects.filter(kind=KIND, address__iexact=email, created_at__gt=now - WITHIN)
    if lately.count() >= PER_ACCOUNT:
        return
    AccountMail.objects.create(kind=KIND, address=email, created_at=now, due_at=now)
    due.wake("account-mails")


@mail.composed_by(KIND)
def compose(row, now):
    """Write the mail, if the address is somebody's. Returns whether there is one to send."""
    person = User.objects.filter(email__iexact=row.address, is_active=True, is_machine=False).first()
    if person is None:
        return False
    site = mail.one_line(settings.SITE_NAME)
    row.user, row.address = person, person.email
    row.subject = mail.one_line(f"Your password for {site}")
    login = f"{settings.PUBLIC_URL}{reverse('login')}"
    if not passwords.may_sign_in_here(person) or (person.last_login and not person.has_usable_password()):
        row.body = (
            f"Somebody asked for a new password for your account at {site}.\n\n"
            f"Your account has none: sign in with the button for single sign-on at {login}. Your password there is "
            "changed where you got it from."
        )
    elif not person.has_usable_password():
        row.body = (
            f"Somebody asked for a new password for your account at {site}.\n\n"
            "You have not accepted your invitation yet. Open the link in its mail, or ask whoever invited you to send "
            "it again."
        )
    else:
        lifetime = dt.timedelta(minutes=settings.RESET_MINUTES)
        address = links.add(row, "password-reset", lifetime=lifetime, now=now)
        row.body = (
            f"Somebody asked for a new password for your account at {site}. If it was you, open this link:\n\n"
            f"{address}\n\nIt works once, within {settings.RESET_MINUTES} minutes. If it was not you, do nothing: "
            "your password stays as it is."
        )
    return True


def find(token, *, now, lock=False):
    """The mail of a reset that can still be used. Raises NotFound or Gone."""
    row = links.find(KIND, token, now=now, lock=lock)
    if not passwords.may_sign_in_here(row.user) or not row.user.has_usable_password():
        raise links.Gone("Your account has no password of its own. Sign in through single sign-on.")
    return row


@transaction.atomic
def set_password(token, password, *, now):
    """Give the account a new password and end the link and every session. Returns the person, who is not signed in.

    Raises NotFound or Gone for the link, and ValidationError for the password.
    """
    row = find(token, now=now, lock=True)
    person = User.objects.select_for_update().get(pk=row.user_id)
    validate_password(password, person)
    person.set_password(password)
    person.save(update_fields=["password"])
    links.end(row, links.End.USED, now=now)
    sessions.end_all(person)
    lockout.unlock(person, by=person, now=now)  # the mailbox proved who it is
    audit.record("did", person, by=person, text="The password was reset by mail.")
    mail.write(
        "notice",
        person,
        f"Your password for {settings.SITE_NAME} was changed",
        f"A new password was set for your account through a link in a mail, on {now:%Y-%m-%d at %H:%M} UTC, and every "
        "session was ended.\n\nIf it was not you, tell an admin at once: somebody else can read your mail.",
        now=now,
    )
    return person
