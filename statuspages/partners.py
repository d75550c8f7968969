"""Partners: people of other companies who may read certain pages, and nothing else. They have no account.

They come in by a link in a mail. It opens once, within 15 minutes, and a newer one replaces it; only its SHA-256 is
kept. Looking at it changes nothing, because mail scanners open every link. A session of theirs is a row and a cookie
of its own, which the rest of the product never looks at. Whether they may still look is asked at each request: who is
disabled or over, or whose page was taken away, reads nothing from that moment on.

Who asks for a link is answered alike whether there is such a partner: only a worker looks.
"""

import datetime as dt
import secrets
import time

from django.conf import settings
from django.db import transaction
from django.urls import reverse

from accounts import audit, mail
from accounts.models import AccountMail
from accounts.permissions import where_may
from core import due, limits
from core.buckets import Limit
from core.errors import Gone, IllegalMove, NotFound, TooMany
from core.secrets import digest, fingerprint
from statuspages.models import Audience, MagicLink, Partner, PartnerSession, StatusPage, Visit

KIND = "status link"
COOKIE = "watchbill_partner"
LINK_LIFETIME = dt.timedelta(minutes=15)
LIFETIME, IDLE = dt.timedelta(days=30), dt.timedelta(days=7)
SEEN_EVERY = dt.timedelta(minutes=5)
# A page that is left open asks again by itself; that is one visit.
SAME_VISIT = dt.timedelta(minutes=5)
VISITS_KEPT = dt.timedelta(days=90)
# One client asks for somebody, not for everybody; and nobody's mailbox is filled by strangers.
PER_CLIENT = Limit("partner_links", 20, 3600)
PER_MAILBOX = Limit("partner_mailbox", 5, 3600)

ASKED = (
    "If this address may read status pages, a mail with a link is on its way to it. It comes within a minute; look "
    "among the unwanted ones too."
)
AGAIN = "Ask for a new one."
CLOSED = "Your access has ended. Ask whoever gave it to you."


# --- links ----------------------------------------------------------------------------------------------------------
@transaction.atomic
def send_link(email, *, page=None, address, now):
    """Note that somebody wants a link for this mailbox: the same work and the same answer whether it is a partner's.

    `page` is the slug of where they wanted to go, `address` that of the client. Raises TooMany for the client.
    """
    client = limits.limiter().check(PER_CLIENT, limits.address_block(address), now=time.time(), is_exact=True)
    if not client.is_allowed:
        raise TooMany(f"Too many links were asked for from here. Wait {client.retry_after} seconds, then try again.")
    mailbox = limits.limiter().check(PER_MAILBOX, fingerprint(email.lower()), now=time.time(), is_exact=True)
    if mailbox.is_allowed:
        _ask(email, page=page, by=None, now=now)
    return ASKED


@transaction.atomic
def invite(partner_id, *, by, now):
    """Send a partner a link; `by` is told if it cannot be delivered. Raises DomainError when nothing would open."""
    partner = Partner.objects.select_for_update().get(pk=partner_id)
    if not partner.is_enabled:
        raise IllegalMove(f"{partner} is disabled. Enable them first.")
    if not partner.is_open(now):
        raise IllegalMove(f"The access of {partner} has ended. Give it a later end first.")
    if not pages_of(partner).exists():
        raise IllegalMove(f"{partner} has no page that partners read. Choose one first.")
    _ask(partner.email, page=None, by=by, now=now)
    audit.record("did", partner, by=by, text="A link was sent.")
    return partner


def _ask(email, *, page, by, now):
    # Until the worker has written the mail, its subject says which page was wanted.
    AccountMail.objects.create(kind=KIND, address=email, subject=(page or "")[:60], by=by, created_at=now, due_at=now)
    due.wake("account-mails")


@mail.composed_by(KIND)
def compose(row, now):
    """Write the mail, if the address is that of a partner for whom anything opens. Returns whether to send it."""
    partner = Partner.objects.select_for_update().filter(email__iexact=row.address).first()
    if partner is None or not partner.is_open(now):
        return False
    pages = list(pages_of(partner))
    if not pages:
        return False
    # A link that was not sent yet would be dead when it arrives.
    older = AccountMail.objects.filter(kind=KIND, address__iexact=row.address, due_at__isnull=False, pk__lt=row.pk)
    older.update(due_at=None, body="")
    wanted = next((one for one in pages if one.slug == row.subject), None)
    token = secrets.token_urlsafe(32)
    MagicLink.objects.filter(partner=partner, used_at=None).delete()
    MagicLink.objects.create(
        partner=partner, page=wanted, token_hash=digest(token), created_at=now, expires_at=now + LINK_LIFETIME
    )
    row.address, row.link_expires_at = partner.email, now + LINK_LIFETIME
    site = mail.one_line(settings.SITE_NAME)
    row.subject = mail.one_line(
        f"Your link to {wanted or (pages[0] if len(pages) == 1 else f'status pages of {site}')}"
    )
    names = "\n".join(f"- {one.name}" for one in pages)
    row.body = (
        f"{_opening(row, site)}\n\n{settings.PUBLIC_URL}{reverse('statuspages:partner-link', args=[token])}\n\n"
        f"It works once, within 15 minutes. Later you get another at "
        f"{settings.PUBLIC_URL}{reverse('statuspages:partner')}\n\nWhat you may read:\n\n{names}\n\n"
        "If you do not expect this mail, do nothing: without the link nobody gets in."
    )
    return True


def _opening(row, site):
    if row.by_id:
        return f"{row.by} gives you access to status pages of {site}. Open this link to read them:"
    return f"Somebody asked for a link to status pages of {site}. If it was you, open it:"


def look(token, now):
    """The link, unchanged. Raises NotFound or Gone with a sentence that says what to do."""
    return _find(MagicLink.objects.select_related("partner", "page"), token, now)


def _find(rows, token, now):
    link = rows.filter(token_hash=digest(token)).first()
    if link is None:
        raise NotFound(f"This link is not complete, or there is a newer mail with the one that works. {AGAIN}")
    if link.used_at:
        raise Gone(f"This link was used already. {AGAIN}")
    if link.expires_at <= now:
        raise Gone(f"This link is too old: it works for 15 minutes. {AGAIN}")
    if not link.partner.is_open(now):
        raise Gone(CLOSED)
    return link


# --- sessions -------------------------------------------------------------------------------------------------------
@transaction.atomic
def open_session(token, *, address, agent, now):
    """Use the link up and sign its partner in. Returns `(session, key)`; the key is the value of the cookie.

    The key is made here: whatever the browser had before is never taken over. Raises NotFound or Gone.
    """
    rows = MagicLink.objects.select_related("partner", "page").select_for_update(of=("self",))
    link = _find(rows, token, now)
    link.used_at = now
    link.save(update_fields=["used_at"])
    key = secrets.token_urlsafe(32)
    session = PartnerSession.objects.create(
        partner=link.partner,
        key_hash=digest(key),
        created_at=now,
        seen_at=now,
        expires_at=now + LIFETIME,
        address=address or None,
        agent=_storable(agent),
    )
    note_visit(link.partner, page=link.page, what="signed in", address=address, agent=agent, now=now)
    return session, key


def session_of(request, *, now):
    """The partner's session that the request comes in, or None."""
    key = request.COOKIES.get(COOKIE, "")
    if not key:
        return None
    session = open_sessions(now).select_related("partner").filter(key_hash=digest(key)).first()
    if session is None or not session.partner.is_open(now):
        return None
    if now - session.seen_at >= SEEN_EVERY:
        # Only forward, and not one that was ended meanwhile.
        open_sessions(now).filter(pk=session.pk).update(seen_at=now)
    return session


def partner_of(request, *, now):
    """The partner who asks, or None. Which pages they may read, `pages_of` says."""
    session = session_of(request, now=now)
    return session.partner if session else None


def open_sessions(now):
    """Sessions that were not ended, are not too old and were used lately. Their partner may still be closed."""
    return PartnerSession.objects.filter(revoked_at=None, expires_at__gt=now, seen_at__gt=now - IDLE)


def pages_of(partner):
    """The pages that the partner may read: those given to them, as long as their readers are partners."""
    return partner.pages.filter(is_enabled=True, audience=Audience.PARTNERS)


def may_look(partner, page):
    """Whether this page is one of them."""
    return pages_of(partner).filter(pk=page.pk).exists()


@transaction.atomic
def end_session(session, *, address, agent, now):
    """Sign out. Twice is harmless."""
    if _ended(PartnerSession.objects.filter(pk=session.pk), now):
        note_visit(session.partner, page=None, what="signed out", address=address, agent=agent, now=now)


@transaction.atomic
def end_own(partner, session_uuid, *, address, agent, now):
    """End another session of the same partner. Returns whether there was one."""
    count = _ended(PartnerSession.objects.filter(partner=partner, uuid=session_uuid), now)
    if count:
        note_visit(partner, page=None, what="ended another session", address=address, agent=agent, now=now)
    return bool(count)


@transaction.atomic
def revoke(session_uuid, *, by, now):
    """End a partner's session for them. Raises NotFound, and IllegalMove when it is over."""
    session = PartnerSession.objects.select_for_update(of=("self",)).filter(uuid=session_uuid).first()
    if session is None:
        raise NotFound("There is no such session.")
    if session.revoked_at:
        raise IllegalMove(f"The session of {session.partner} was ended already.")
    session.revoked_at = now
    session.save(update_fields=["revoked_at"])
    audit.record("session ended", session.partner, by=by, text=f"From {session.address or 'an unknown address'}.")
    return session


def arranged_by(user, rows=None):
    """The partners whose pages are all the person's to configure.

    Whoever changes a partner could look as them: so what opens must be theirs, pages of no team included.
    """
    rows = Partner.objects.all() if rows is None else rows
    own = where_may(StatusPage.objects.all(), user, "configure").order_by()
    strange = Partner.pages.through.objects.exclude(statuspage__in=own.values("pk"))
    return where_may(rows, user, "configure").exclude(pk__in=strange.values("partner"))


def close_if_other(partner, *, email_before, now):
    """End their sessions after a change: another mailbox is another person, and who is disabled comes back anew."""
    if email_before.lower() != partner.email.lower() or not partner.is_enabled:
        end_all(partner, now=now)


@transaction.atomic
def end_all(partner, *, now):
    """End every session and link of a partner. Returns how many sessions there were."""
    MagicLink.objects.filter(partner=partner, used_at=None).delete()
    return _ended(PartnerSession.objects.filter(partner=partner), now)


def _ended(rows, now):
    return rows.filter(revoked_at=None).update(revoked_at=now)


# --- what they opened -----------------------------------------------------------------------------------------------
def note_visit(partner, *, page, what, address, agent, now):
    """Write down what the partner did. The same again within five minutes is one visit."""
    values = {"page": page, "what": what[:200], "address": address or None, "agent": _storable(agent)}
    if not Visit.objects.filter(partner=partner, at__gt=now - SAME_VISIT, at__lte=now, **values).exists():
        Visit.objects.create(partner=partner, at=now, **values)


def _storable(agent):
    return agent.replace("\0", "").encode("utf-8", "replace").decode()[:300]


def forget_old(*, now):
    """Delete visits after 90 days, and links and sessions that are over."""
    Visit.objects.filter(at__lt=now - VISITS_KEPT).delete()
    MagicLink.objects.filter(expires_at__lt=now - dt.timedelta(days=1)).delete()
    PartnerSession.objects.filter(expires_at__lt=now).delete()
    PartnerSession.objects.filter(revoked_at__lt=now - LIFETIME).delete()
    PartnerSession.objects.filter(seen_at__lt=now - LIFETIME).delete()
