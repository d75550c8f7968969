"""API keys: made, found, rotated, revoked. The text of a key is shown once; only its hash is kept.

A key for a program acts as a machine that is made with it, so that a person who leaves breaks no script. A personal
token acts as its person. No key gives more than whoever made it has: see `check_reach`.
"""

import datetime as dt
import hmac
import re
import secrets

from django.db import transaction

from accounts import scopes as scope_words
from accounts.models import ApiKey, User, new_prefix
from accounts.permissions import may
from accounts.roles import RANKS, Access, within
from core.errors import DomainError, NotAllowed
from core.secrets import digest

HOUR, DAY, WEEK = dt.timedelta(hours=1), dt.timedelta(days=1), dt.timedelta(days=7)
# How long the old text may go on working, in the order in which it is offered; nothing: it stops at once.
OVERLAPS = {"hour": (HOUR, "an hour"), "day": (DAY, "a day"), "week": (WEEK, "a week"), "none": (None, "")}
LONGEST_OVERLAP = WEEK
ENDS_SOON = dt.timedelta(days=14)
MACHINE_DOMAIN = "machine.invalid"  # reserved: no mail ever goes there

_KEY = re.compile(r"wb_([0-9a-f]{12})_[A-Za-z0-9_-]{16,200}")
_NOBODYS_HASH = "0" * 64


# --- finding ------------------------------------------------------------------------------------------------------
def prefix_of(text):
    """The lookup part of a key's text, or "" when it has not the form of a key."""
    found = _KEY.fullmatch(text)
    return found[1] if found else ""


def opens(text, secret_hash, old_secret_hash):
    """Whether the text is one of these secrets. Says nothing by the time it takes; "" is no secret."""
    hashed = digest(text)
    is_new = hmac.compare_digest(hashed, secret_hash or _NOBODYS_HASH)
    is_old = hmac.compare_digest(hashed, old_secret_hash or _NOBODYS_HASH)
    return is_new or is_old


def old_secret_works(key, *, now):
    """Whether the text before the last rotation is still accepted."""
    return bool(key.old_secret_hash and key.old_secret_until and key.old_secret_until > now)


def find_key(text, *, now):
    """The ApiKey that this text is, or None when it is wrong, revoked, expired or its person inactive."""
    row = ApiKey.objects.select_related("user").filter(prefix=prefix_of(text)).first()
    known = (row.secret_hash, row.old_secret_hash if old_secret_works(row, now=now) else "") if row else ("", "")
    if not opens(text, *known) or row.state_at(now) != ApiKey.VALID or not row.user.is_active:
        return None
    return row


def narrowed(access, role, team_id, everybody):
    """What a key of this team may, of the `access` of its person. `everybody` are the numbers of all teams.

    A machine has no access but its `role`, with which it was made for the team: a private team is not hidden from it,
    though it is no member.
    """
    return within(access or Access(role), team_id, everybody)


# --- making -------------------------------------------------------------------------------------------------------
def new_text(prefix):
    """A new text of the key with this prefix."""
    return f"wb_{prefix}_{secrets.token_urlsafe(32)}"


def issue_key(user, *, name, scopes=("*:write",), team=None, expires_at=None, is_personal=False, prefix=None):
    """Make a key that acts as `user`: `(row, text)`. Raises DomainError for scopes that there are not."""
    prefix = prefix or new_prefix()
    text = new_text(prefix)
    row = ApiKey.objects.create(
        user=user,
        name=name,
        scopes=read_scopes(scopes),
        team=team,
        is_personal=is_personal,
        prefix=prefix,
        secret_hash=digest(text),
        expires_at=expires_at,
    )
    return row, text


@transaction.atomic
def issue_machine_key(*, name, scopes, role, team=None, expires_at=None, by, through=None):
    """Make a key for a program, and the machine that it acts as, with this role: `(row, text)`.

    `by` makes it, with the key `through` where there is one. Raises NotAllowed when it would give more than they have.
    """
    scopes = read_scopes(scopes)
    check_reach(by, through, scopes=scopes, role=role, team=team, expires_at=expires_at)
    prefix = new_prefix()
    machine = User.objects.create_user(f"key-{prefix}@{MACHINE_DOMAIN}", None, name=name, role=role, is_machine=True)
    return issue_key(machine, name=name, scopes=scopes, team=team, expires_at=expires_at, prefix=prefix)


def read_scopes(scopes):
    """The scopes in order. Raises DomainError for one that there is not."""
    try:
        return scope_words.parse(scopes)
    except ValueError as error:
        raise DomainError(str(error)) from None


def check_reach(by, through, *, scopes, role, team, expires_at):
    """Raise NotAllowed when a key like this could do more than the person `by`, or their key `through`, can."""
    if not may(by, "configure", team):
        where = f"the team {team}" if team else "the whole platform"
        raise NotAllowed(f"Keys for {where} are made by its admins. Choose a team that you lead, or ask one of them.")
    own = by.access().role_in(team.pk) if team else by.access().role
    if RANKS[role] > RANKS[own]:
        raise NotAllowed(f"A key cannot have a stronger role than you have there. Choose {own} or less.")
    check_within_key(through, scopes=scopes, team=team, expires_at=expires_at)


def check_within_key(through, *, scopes, team, expires_at):
    """Raise NotAllowed when a key like this could do more, or for longer, than the key `through`."""
    if through is None:
        return
    if more := scope_words.beyond(scopes, through.scopes):
        raise NotAllowed(f"Your key has no scope {', '.join(more)}, so it cannot give it. Leave it out.")
    if through.team_id and (team is None or team.pk != through.team_id):
        raise NotAllowed(f"Your key is for the team {through.team} only. Give the new one that team.")
    if through.expires_at and (expires_at is None or expires_at > through.expires_at):
        raise NotAllowed(f"Your key ends at {through.expires_at:%Y-%m-%dT%H:%M:%SZ}, so this one must end by then.")


# --- rotating, revoking -------------------------------------------------------------------------------------------
def may_rotate(by, key):
    """Whether the person may have the next text of the key: their own, or that of a machine in what they lead.

    Nobody gets a text that acts as somebody else.
    """
    if key.user_id == by.pk:
        return True
    return key.user.is_machine and may(by, "configure", key)


def may_revoke(by, key):
    """Whether the person may end the key: their own, or one of what they lead."""
    return key.user_id == by.pk or may(by, "configure", key)


@transaction.atomic
def rotate(pk, *, by, now, overlap, through=None):
    """Give the key a new text; the one before works for the timedelta `overlap` more: `(row, text)`.

    Raises DomainError when an older one still works, because who uses it would be turned away without a word.
    """
    key = _locked(pk)
    if not may_rotate(by, key):
        raise NotAllowed("Only its person can rotate this key: whoever has its text acts as them. You can revoke it.")
    if through is not None:
        if key.user_id == by.pk:
            check_within_key(through, scopes=key.scopes, team=key.team, expires_at=key.expires_at)
        else:
            check_reach(by, through, scopes=key.scopes, role=key.user.role, team=key.team, expires_at=key.expires_at)
    if (state := key.state_at(now)) != ApiKey.VALID:
        raise DomainError(f"{key} is {state}, so a new text would not work either. Make a new key.", code=state)
    if overlap and old_secret_works(key, now=now):
        raise DomainError(
            f"Two texts of {key.name} work already, the older one until "
            f"{key.old_secret_until.astimezone(dt.UTC):%d %b, %H:%M} UTC. Another new key would stop it at once. If "
            "nothing uses it any more, stop the old key first.",
            code="two_keys_work",
        )
    text = new_text(key.prefix)
    old = (key.secret_hash, now + overlap) if overlap else ("", None)
    key.old_secret_hash, key.old_secret_until = old
    key.secret_hash = digest(text)
    key.save(update_fields=["secret_hash", "old_secret_hash", "old_secret_until"])
    return key, text


@transaction.atomic
def stop_old(pk, *, by):
    """End the text before the last rotation now. Twice is harmless."""
    key = _locked(pk)
    if not may_revoke(by, key):
        raise NotAllowed("Only its person, or an admin of its team, may stop the old text of this key.")
    key.old_secret_hash, key.old_secret_until = "", None
    key.save(update_fields=["old_secret_hash", "old_secret_until"])
    return key


@transaction.atomic
def revoke(pk, *, by, now):
    """End the key for good, and its machine with it. Raises DomainError when it has ended so before."""
    key = _locked(pk)
    if not may_revoke(by, key):
        raise NotAllowed("Only its person, or an admin of its team, may revoke this key.")
    if key.revoked_at:
        raise DomainError(f"{key} is revoked already.", code="revoked")
    key.revoked_at = now
    key.old_secret_hash, key.old_secret_until = "", None
    key.save(update_fields=["revoked_at", "old_secret_hash", "old_secret_until"])
    if key.user.is_machine:
        key.user.is_active = False
        key.user.save(update_fields=["is_active"])
    return key


def _locked(pk):
    """Of two who rotate at once, the second sees what the first was given."""
    return ApiKey.objects.select_for_update(of=("self",)).select_related("user", "team").get(pk=pk)
