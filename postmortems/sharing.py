"""Addresses that show a published postmortem to people without an account, until a time.

What they see is less than what people with an account see: no comments and reviews, no hidden lines of the timeline,
and nobody's address.
"""

import dataclasses
import datetime as dt
import re
import secrets

from django.conf import settings
from django.db import transaction
from django.db.models import F

from accounts import audit
from accounts.models import Team
from accounts.visibility import hushed_from
from core.errors import DomainError, Gone, IllegalMove, NotFound
from core.secrets import digest
from postmortems import states
from postmortems.locking import locked
from postmortems.models import Image, ShareLink

SHORTEST_DAYS, LONGEST_DAYS = 1, 90
MOST_LINKS = 50  # of one postmortem that work at a time
TOKEN_BYTES = 32
LONGEST_TOKEN = 100
ADDRESS = re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}")
PHONE = re.compile(r"(?<![\w+])\+[1-9](?:[ ()./-]{0,2}[0-9]){7,14}(?!\w)")
HIDDEN_ADDRESS, HIDDEN_PHONE = "(address)", "(number)"


@transaction.atomic
def make(number, *, days, by, now):
    """Make an address for so many days: `(ShareLink, token)`. The token is shown this once.

    Raises DomainError for other than 1 to 90 days, IllegalMove when the postmortem is not published.
    """
    postmortem = locked(number)
    if postmortem.status != states.PUBLISHED:
        raise IllegalMove("Only a published postmortem is shared. Publish it first.")
    if not SHORTEST_DAYS <= days <= LONGEST_DAYS:
        raise DomainError(f"A link works for {SHORTEST_DAYS} to {LONGEST_DAYS} days. Choose a number in between.")
    if postmortem.share_links.filter(revoked_at=None, expires_at__gt=now).count() >= MOST_LINKS:
        raise DomainError(f"There are {MOST_LINKS} links that work. Revoke one first.")
    token = secrets.token_urlsafe(TOKEN_BYTES)
    expires_at = now + dt.timedelta(days=days)
    link = ShareLink.objects.create(
        postmortem=postmortem, token_hash=digest(token), made_by=by, made_at=now, expires_at=expires_at
    )
    audit.record(
        "did", postmortem, by=by, text=f"Made a link for people without an account, until {_day(expires_at)}."
    )
    return link, token


@transaction.atomic
def revoke(uuid, *, by, now):
    """End a link at once. Twice is harmless. Returns the ShareLink."""
    link = ShareLink.objects.select_for_update(of=("self",)).select_related("postmortem").filter(uuid=uuid).first()
    if link is None:
        raise NotFound("There is no such link any more.")
    if link.revoked_at is None:
        link.revoked_at = now
        link.save(update_fields=["revoked_at"])
        audit.record("did", link.postmortem, by=by, text=f"Revoked the link until {_day(link.expires_at)}.")
    return link


def works(link, *, now):
    """Whether the link opens its postmortem now."""
    return link.revoked_at is None and now < link.expires_at and link.postmortem.status == states.PUBLISHED


def find(token, *, now):
    """The ShareLink of a token that works. Raises NotFound, or Gone when it works no more."""
    rows = ShareLink.objects.select_related("postmortem__team")
    link = rows.filter(token_hash=digest(token)).first() if len(token) <= LONGEST_TOKEN else None
    if link is None:
        raise NotFound("This link is not one of ours. Ask who sent it for a new one.")
    if not works(link, now=now):
        raise Gone("This link works no more. Ask who sent it for a new one.")
    return link


def open(token, *, now):
    """What the link shows, and count that it was opened: see `Shown`. Raises NotFound or Gone."""
    link = find(token, now=now)
    ShareLink.objects.filter(pk=link.pk).update(opened_count=F("opened_count") + 1)
    return shown(link.postmortem)


def image(token, uuid, *, now):
    """A picture of the postmortem that the link opens. Raises NotFound or Gone."""
    link = find(token, now=now)
    found = Image.objects.filter(postmortem=link.postmortem, uuid=uuid).first()
    if found is None:
        raise NotFound("There is no such picture.")
    return found


def address_of(token):
    """The whole address of a link, to be sent to somebody."""
    return f"{settings.PUBLIC_URL}/postmortems/shared/{token}"


# --- what strangers see -------------------------------------------------------------------------------------------
@dataclasses.dataclass(frozen=True)
class Part:
    """A section: its heading and its Markdown."""

    title: str
    body: str


@dataclasses.dataclass(frozen=True)
class Shown:
    """A postmortem as strangers see it: texts and times, and no row that would lead to more.

    `moments` are `(at, text)`, `factors` `(cause, text, is_root)`, `items` `(text, priority, status, due_on)`.
    """

    number: int
    title: str
    team: str
    severity: str
    summary: str
    impact_began_at: dt.datetime
    impact_ended_at: dt.datetime | None
    published_at: dt.datetime
    sections: tuple
    moments: tuple
    factors: tuple
    items: tuple


def shown(postmortem):
    """What strangers see of a postmortem."""
    return Shown(
        number=postmortem.number,
        title=without_addresses(postmortem.title),
        team=postmortem.team.name,
        severity=postmortem.get_severity_display(),
        summary=without_addresses(postmortem.summary),
        impact_began_at=postmortem.impact_began_at,
        impact_ended_at=postmortem.impact_ended_at,
        published_at=postmortem.published_at,
        sections=tuple(
            Part(without_addresses(one.title), without_addresses(one.body))
            for one in postmortem.sections.filter(removed_at=None)
        ),
        moments=tuple(_told_to_strangers(postmortem)),
        factors=tuple(
            (without_addresses(one.cause), without_addresses(one.text), one.is_root)
            for one in postmortem.factors.all()
        ),
        items=tuple(
            (without_addresses(one.text), one.get_priority_display(), one.get_status_display(), one.due_on)
            for one in postmortem.items.all()
        ),
    )


def _told_to_strangers(postmortem):
    """`(at, text)` of the lines that are shown, without what other teams that are private are and have."""
    hidden = list(Team.objects.filter(is_private=True).exclude(pk=postmortem.team_id).values_list("pk", flat=True))
    hush = hushed_from(hidden)
    for one in postmortem.moments.filter(is_shown=True).exclude(incident__team__in=hidden):
        yield one.at, without_addresses(hush(one.text))


def without_addresses(text):
    """The text without mail addresses and telephone numbers: whoever wrote them down did not think of strangers."""
    return PHONE.sub(HIDDEN_PHONE, ADDRESS.sub(HIDDEN_ADDRESS, text))


def _day(at):
    return f"{at:%Y-%m-%d %H:%M} UTC"
