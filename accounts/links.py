"""Links in mails that can be used once: of a newer mail of the same kind, an older one's is dead.

A token has 256 random bits and only its SHA-256 is kept. Looking at a link changes nothing, because mail scanners open
every link; what it allows is done by POST, and ends it in the same transaction.
"""

import secrets

from django.conf import settings
from django.urls import reverse

from accounts.models import AccountMail
from core.errors import Gone, NotFound
from core.secrets import digest

End = AccountMail.LinkEnd
AGAIN = {
    "invitation": "Ask whoever invited you for a new one.",
    "reset": "Ask for a new one: “Forgotten your password?” on the sign-in page.",
}
GONE = {
    End.USED: "This link was used already.",
    End.REPLACED: "There is a newer mail, and the link in it is the one that works.",
    End.WITHDRAWN: "This link was withdrawn.",
}


def add(row, view, *, lifetime, now):
    """Give the mail a link to the page named `view`, and end older ones. Returns its address; the row is not saved."""
    end_all(row.user, row.kind, End.REPLACED, now=now, besides=row)
    token = secrets.token_urlsafe(32)
    row.link_hash, row.link_expires_at = digest(token), now + lifetime
    row.link_end, row.link_ended_at = "", None
    return f"{settings.PUBLIC_URL}{reverse(view, args=[token])}"


def open_links(kind):
    """The mails of this kind whose link was not ended; it may have expired."""
    return AccountMail.objects.filter(kind=kind, link_end="").exclude(link_hash="")


def find(kind, token, *, now, lock=False):
    """The mail of the link. Raises NotFound or Gone with a sentence that says what to do."""
    rows = AccountMail.objects.filter(kind=kind, link_hash=digest(token)).select_related("user", "by")
    row = (rows.select_for_update(of=("self",)) if lock else rows).first()
    if row is None:
        raise NotFound(f"This link is not complete, or not one of ours. {AGAIN[kind]}")
    if row.link_end:
        again = "" if row.link_end == End.REPLACED else f" {AGAIN[kind]}"
        raise Gone(f"{GONE[row.link_end]}{again}")
    if row.link_expires_at <= now or not row.user.is_active:
        raise Gone(f"This link is too old. {AGAIN[kind]}")
    return row


def end(row, why, *, now):
    """End the link of one mail; what was not sent yet is not sent any more."""
    row.link_end, row.link_ended_at, row.due_at, row.body = why, now, None, ""
    row.save(update_fields=["link_end", "link_ended_at", "due_at", "body"])


def end_all(user, kind, why, *, now, besides=None):
    """End every open link of this kind to a person. Returns how many there were."""
    rows = open_links(kind).filter(user=user).exclude(pk=besides and besides.pk)
    return rows.update(link_end=why, link_ended_at=now, due_at=None, body="")
