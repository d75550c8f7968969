"""Keys of the doors: which one opens what. Asked for every request, so answers are kept for some seconds."""

import asyncio
import dataclasses
import datetime as dt
import re
import time

from django.db import transaction

from accounts import scopes
from accounts.keys import narrowed, opens, prefix_of
from accounts.models import ApiKey, Membership, Team, User
from accounts.roles import ADMIN, EVERYTHING, Access
from alerts.models import Integration, new_key
from catalog.models import Service
from core.errors import DomainError
from core.secrets import UNREADABLE, decrypt, digest
from incidents.models import Severity

# A revoked key may still work for this long; one that was just made, or enabled again, waits at most for the second.
KEPT_SECONDS = 5
MISS_KEPT_SECONDS = 1
KEPT_LIMIT = 10_000

NOBODYS_KEY = ("",) * 11  # as many as the statement reads; nothing opens it

_KEY = re.compile(r"[A-Za-z0-9_-]{8,200}")


@dataclasses.dataclass(frozen=True, slots=True)
class Target:
    """Where the events of a key go. `scope` is the space in which their dedup keys are unique."""

    scope: str
    source: str  # the one whose door the key opens; "" when it opens every door
    integration_id: int | None
    service_id: int | None
    default_severity: str = Severity.MEDIUM.value
    signing_secret: str = ""
    may_choose_service: bool = False
    options: dict = dataclasses.field(default_factory=dict)
    events_per_minute: int | None = None

    def opens(self, source):
        """Whether the key may be used at the door of this kind of source."""
        return self.source in ("", source)


@dataclasses.dataclass(frozen=True, slots=True)
class Caller:
    """Who uses an API key, and what the key and its person may do."""

    key_id: int
    prefix: str
    scopes: tuple
    is_personal: bool
    team_id: int | None
    access: Access

    @property
    def may_send_alerts(self):
        """Whether there is any service for which it may."""
        if not scopes.allows(self.scopes, "alerts", True):
            return False
        return self._sends_as_a_program or self.access.allows_somewhere("respond")

    def reaches(self, team_id):
        """Whether the team exists for it."""
        return self.team_id in (None, team_id) and self.access.allows("read", {team_id})

    def may_send_to(self, team_id):
        """Whether it may send alerts for the services of this team."""
        return self.reaches(team_id) and (self._sends_as_a_program or self.access.allows("respond", {team_id}))

    @property
    def _sends_as_a_program(self):
        # An admin made it to send alerts, as they make an integration: no role has to say so again. With `*`, or as a
        # token that somebody made for themselves, it may what its person may, and no more.
        return not self.is_personal and "alerts:write" in self.scopes


def _signing_secret(stored):
    """The secret that was stored. One that cannot be read any more fits no signature, and is not one that is known."""
    text = decrypt(stored)
    return new_key() if text == UNREADABLE else text


def old_key_works(integration, *, now):
    """Whether the key before the present one still opens the door."""
    return bool(integration.old_key_hash and integration.old_key_until and integration.old_key_until > now)


def replace_key(pk, *, now, overlap):
    """Give the integration a new key in place of the newest, which nobody has: `(integration, text of the key)`.

    The key before that works for the timedelta `overlap` more. Raises DomainError when there is none.
    """
    with transaction.atomic():
        integration = _locked(pk)
        if not old_key_works(integration, now=now):
            raise DomainError(
                "No older key works, so there is nothing to keep. Issue a new key instead.", code="one_key"
            )
        integration.old_key_until = now + overlap
        return integration, _issue_and_save(integration)


def issue_key(integration):
    """Give the integration a new key and return its text, which nobody can read again. The caller saves."""
    text = new_key()
    integration.key_hash = digest(text)
    integration.key_last4 = text[-4:]
    return text


def rotate_key(pk, *, now, overlap):
    """Give it a new key; the old one works for the timedelta `overlap` more: `(integration, text of the key)`.

    Raises DomainError when an older one still works, because its sender would be turned away without a word.
    """
    with transaction.atomic():
        integration = _locked(pk)
        if overlap and old_key_works(integration, now=now):
            raise DomainError(
                f"Two keys of {integration.name} work already, the older one until "
                f"{integration.old_key_until.astimezone(dt.UTC):%d %b, %H:%M} UTC. Another new key would stop it at "
                "once. If nothing uses it any more, stop the old key first. If nobody has the newest key, replace "
                "that one.",
                code="two_keys_work",
            )
        old = (integration.key_hash, now + overlap) if overlap else ("", None)
        integration.old_key_hash, integration.old_key_until = old
        return integration, _issue_and_save(integration)


def _locked(pk):
    """Of two who ask for a new key at once, the second sees what the first was given."""
    return Integration.objects.select_for_update().get(pk=pk)


def _issue_and_save(integration):
    text = issue_key(integration)
    integration.save(update_fields=["key_hash", "key_last4", "old_key_hash", "old_key_until"])
    return text


class Kept:
    """The answers of a slow lookup, kept for some seconds. Whoever asks at the same time shares one lookup."""

    def __init__(self, load):
        self._load = load
        self._answers = {}
        self._asking = {}

    async def get(self, key):
        """What `load(key)` gives; None, which stands for "there is none", is kept for a shorter time."""
        kept = self._answers.get(key)
        if kept and kept[0] > time.monotonic():
            return kept[1]
        asking = self._asking.get(key)
        if asking is None:
            asking = self._asking[key] = asyncio.ensure_future(self._ask(key))
        # Shielded: one sender who hangs up must not take the answer from the others.
        return await asyncio.shield(asking)

    def forget(self):
        self._answers.clear()

    async def _ask(self, key):
        try:
            answer = await self._load(key)
        finally:
            del self._asking[key]
        self._answers.pop(key, None)
        while len(self._answers) >= KEPT_LIMIT:
            self._answers.pop(next(iter(self._answers)))  # the oldest
        seconds = MISS_KEPT_SECONDS if answer is None else KEPT_SECONDS
        self._answers[key] = (time.monotonic() + seconds, answer)
        return answer


class Keyring:
    """Looks keys and services up with `fetch(query, params) -> rows`, the door's own connection."""

    def __init__(self, fetch):
        self._fetch = fetch
        self._targets = Kept(self._load_target)
        self._callers = Kept(self._load_caller)
        self._services = Kept(self._load_service)

    async def target(self, key):
        """Where the events of this integration key or routing key go, or None for an unknown or disabled one."""
        return await self._targets.get(key) if _KEY.fullmatch(key) else None

    async def caller(self, key):
        """The Caller of an API key that is neither revoked nor expired and whose person is active, or None."""
        return await self._callers.get(key) if prefix_of(key) else None

    async def service(self, name):
        """`(id, team_id)` of the service with this slug, routing key or name, or None."""
        return await self._services.get(name) if name else None

    def forget(self):
        """Look everything up anew: a kept answer has proved wrong."""
        for kept in (self._targets, self._callers, self._services):
            kept.forget()

    async def _load_target(self, key):
        rows = await self._fetch(
            f"SELECT id, source, service_id, default_severity, signing_secret, may_choose_service, "
            f"options, events_per_minute FROM {Integration._meta.db_table} WHERE is_enabled "
            "AND (key_expires_at IS NULL OR key_expires_at > now()) "
            "AND (key_hash = %s OR (old_key_hash = %s AND old_key_until > now()))",
            [digest(key)] * 2,
        )
        if rows:
            pk, source, service_id, severity, stored, *rest = rows[0]
            return Target(f"integration:{pk}", source, pk, service_id, severity, _signing_secret(stored), *rest)
        rows = await self._fetch(f"SELECT id FROM {Service._meta.db_table} WHERE routing_key = %s", [key])
        return Target(f"service:{rows[0][0]}", "", None, rows[0][0]) if rows else None

    async def _load_caller(self, key):
        # By the prefix only, and compared here: how long it takes says nothing about the secret.
        rows = await self._fetch(
            "SELECT api_key.secret_hash, CASE WHEN api_key.old_secret_until > now() THEN api_key.old_secret_hash END, "
            "person.role, person.is_machine, "
            f"(SELECT json_object_agg(own.team_id, own.role) FROM {Membership._meta.db_table} own "
            "WHERE own.user_id = person.id), "
            f"ARRAY(SELECT team.id FROM {Team._meta.db_table} team WHERE team.is_private AND NOT EXISTS ("
            f"SELECT FROM {Membership._meta.db_table} own WHERE own.team_id = team.id AND own.user_id = person.id)), "
            "api_key.id, api_key.prefix, api_key.scopes, api_key.is_personal, api_key.team_id "
            f"FROM {ApiKey._meta.db_table} api_key "
            f"JOIN {User._meta.db_table} person ON person.id = api_key.user_id "
            "WHERE api_key.prefix = %s AND api_key.revoked_at IS NULL "
            "AND (api_key.expires_at IS NULL OR api_key.expires_at > now()) AND person.is_active",
            [prefix_of(key)],
        )
        secret_hash, old_secret_hash, role, is_machine, teams, hidden, *known = (*rows, NOBODYS_KEY)[0]
        if not opens(key, secret_hash, old_secret_hash):
            return None
        if role == ADMIN:
            access = EVERYTHING
        else:
            access = Access(role, {int(team): own for team, own in (teams or {}).items()}, frozenset(hidden))
        if team_id := known[-1]:
            access = narrowed(None if is_machine else access, role, team_id, {team_id, *hidden})
        return Caller(*known, access)

    async def _load_service(self, name):
        rows = await self._fetch(
            f"SELECT id, team_id FROM {Service._meta.db_table} WHERE slug = %s OR routing_key = %s OR name = %s "
            "ORDER BY (slug = %s) DESC, (routing_key = %s) DESC LIMIT 1",
            [name] * 5,
        )
        return rows[0] if rows else None
