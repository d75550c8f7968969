"""What is stored about a person: handed out to them as a whole, and erased when they have gone.

The floors above know their own tables, so each app says in its `privacy.py` what it has (`exports`), what forbids to
erase somebody now (`obstacles`), what names them beside their account (`identifies`), and what goes (`erases`).

History stays, under a pseudonym. Where it points to the person it says the pseudonym by itself. Where a text was
written with the name in it, `Traces.replace_in` writes the pseudonym instead, in the tables that only tell what
happened. What people typed into configuration is not rewritten, since a condition or a name may decide who is paged:
`mentions` says where it stands, so that an admin changes it by hand.
"""

import collections
import dataclasses
import json
import re
import secrets

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from allauth.usersessions.models import UserSession
from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.apps import apps
from django.contrib.admin.models import LogEntry
from django.db import connection, models, transaction
from django.db.models import Q
from django.db.models.functions import Cast
from django.utils.module_loading import autodiscover_modules

from accounts import audit, sessions
from accounts.models import AccountMail, AuditEntry, Membership, Role, User
from core.errors import DomainError
from core.models import IdempotencyKey
from core.secrets import EncryptedTextField

SHORTEST_NAME, SHORTEST_ADDRESS = 2, 6
TEXTS = (models.CharField, models.TextField, models.JSONField)

_exports, _fields, _obstacles, _identities, _erasures = {}, set(), [], [], []


@dataclasses.dataclass(frozen=True)
class Obstacle:
    """Why somebody cannot be erased now, in a sentence. With `may_force` it says what then becomes empty."""

    text: str
    may_force: bool = False


class Refused(DomainError):
    """Somebody cannot be erased now. `obstacles` has every reason."""

    status = 409
    code = "conflict"

    def __init__(self, found):
        super().__init__(" ".join(one.text for one in found))
        self.obstacles = found


# --- what the apps say ----------------------------------------------------------------------------------------------
def exports(name, *fields):
    """Decorate `(person) -> plain data`, the part `name` of an export; `fields` are the keys to User that it follows.

    A field is written as `app.Model.field`.
    """

    def keep(function):
        _exports[name] = function
        _fields.update(fields)
        return function

    return keep


def obstacles(function):
    """Decorate `(person, now) -> Obstacles`."""
    _obstacles.append(function)
    return function


def identifies(function):
    """Decorate `(person) -> texts` that name the person alone, such as phone numbers."""
    _identities.append(function)
    return function


def erases(function):
    """Decorate `(person, traces, now)`: delete what goes, and let `traces` replace the name in what stays."""
    _erasures.append(function)
    return function


def parts():
    """The names of the parts of an export."""
    autodiscover_modules("privacy")
    return sorted(_exports)


def exported_fields():
    """The keys to User that an export follows, as `app.Model.field`."""
    parts()
    return frozenset(_fields)


def rows(queryset, *names):
    """Rows as plain data, for an export."""
    return list(queryset.order_by("pk").values(*names))


# --- export ---------------------------------------------------------------------------------------------------------
def export(person, *, now):
    """All that is stored about the person, as data for JSON."""
    return {"exported_at": now, "about": str(person)} | {name: _exports[name](person) for name in parts()}


# --- erase ----------------------------------------------------------------------------------------------------------
@dataclasses.dataclass(frozen=True)
class Erased:
    """What became of it. `mentions` are places where the name may still stand in text that somebody typed."""

    pseudonym: str
    forced: tuple
    mentions: tuple
    keeps_name: bool


def obstacles_to(person, *, by=None, now):
    """Why the person cannot be erased now; those that `force` overcomes come last."""
    parts()
    found = []
    if person.erased_at:
        found.append(Obstacle(f"{person} is erased already."))
    if by is not None and by.pk == person.pk:
        found.append(Obstacle("You cannot erase yourself. Ask another admin."))
    others = User.objects.filter(is_active=True, role=Role.ADMIN, is_machine=False).exclude(pk=person.pk)
    if person.is_active and person.role == Role.ADMIN and not others.exists():
        found.append(Obstacle(f"{person} is the only active admin. Make somebody else an admin first."))
    for ask in _obstacles:
        found += ask(person, now)
    return sorted(found, key=lambda one: one.may_force)


@transaction.atomic
def erase(person, *, by=None, now, force=False):
    """Take away who the person is; what they did stays under a pseudonym. Raises Refused with all the reasons.

    `force` leaves turns and places of theirs behind in schedules and policies, where then nobody is reached.
    """
    person = User.objects.select_for_update().get(pk=person.pk)
    found = obstacles_to(person, by=by, now=now)
    if any(not (force and one.may_force) for one in found):
        raise Refused(found)
    traces = Traces(person, addresses={text for tell in _identities for text in tell(person)})
    with _erasing(), audit.quiet():
        for go in _erasures:
            go(person, traces, now)
        _clear(person, traces.pseudonym, now)
    mentions = tuple(traces.mentions())
    audit.record("erased", User.objects.get(pk=person.pk), by=by, text="The person was erased; a pseudonym stays.")
    return Erased(traces.pseudonym, tuple(one.text for one in found), mentions, not traces.replaces_name)


def _clear(person, pseudonym, now):
    person.name, person.email = pseudonym, f"{secrets.token_hex(8)}@erased.invalid"
    person.role, person.time_zone, person.last_login, person.erased_at = Role.OBSERVER, "UTC", None, now
    person.is_active = person.is_staff = person.is_superuser = person.is_break_glass = False
    person.set_unusable_password()
    person.save()
    person.groups.clear()
    person.user_permissions.clear()


class _erasing:
    """While it is open, the database lets the words of the timeline and of the audit be replaced, and nothing else."""

    def __enter__(self):
        self._say("on")

    def __exit__(self, kind, *_):
        if kind is None:  # else the transaction is rolled back, and takes no more statements
            self._say("off")

    @staticmethod
    def _say(value):
        with connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL watchbill.erasing = '{value}'")


class Traces:
    """The texts that name a person, and how to take them out of other texts.

    A name is replaced as a whole word. Where others have the same name nobody can tell who was meant, so it stays;
    in a longer name of somebody else it stays as well. Addresses are theirs alone and always go.
    """

    def __init__(self, person, *, addresses=()):
        self.person = person
        self.pseudonym = _pseudonym()
        names, emails = _former(person)
        others = set(User.objects.exclude(pk=person.pk).exclude(name="").values_list("name", flat=True))
        self._names = {one for one in names if len(one) >= SHORTEST_NAME and one not in others}
        self.replaces_name = self._names == names
        longer = {other for other in others if any(one in other for one in self._names)}
        self._addresses = emails | {one for one in addresses if len(one) >= SHORTEST_ADDRESS}
        self._pattern = _pattern(self._names | longer, self._addresses)
        self._sure_pattern = _pattern((), self._addresses)
        self._lower = {one.lower() for one in self._addresses}
        self._done = set()

    @property
    def addresses(self):
        """Mail addresses and numbers that are, or were, theirs alone, in small letters where they were known so."""
        return frozenset(self._addresses)

    def clean(self, value):
        """The value, text or JSON, with the pseudonym instead. Keys of JSON keep names, which may be so by chance."""
        if isinstance(value, str):
            return self._pattern.sub(self._word, value)
        if isinstance(value, dict):
            return {self._sure_pattern.sub(self.pseudonym, key): self.clean(one) for key, one in value.items()}
        return [self.clean(one) for one in value] if isinstance(value, list) else value

    def _word(self, match):
        text = match[0]
        return self.pseudonym if text in self._names or text.lower() in self._lower else text

    def replace_in(self, rows, *names):
        """Replace what names the person in these fields of a model or queryset."""
        rows = rows if isinstance(rows, models.QuerySet) else rows._base_manager.all()
        fields = [rows.model._meta.get_field(name) for name in names]
        self._done.update(fields)
        for row in self._found(rows, fields, self._names | self._addresses).iterator():
            changed = {}
            for field in fields:
                value = getattr(row, field.attname)
                cleaned = self.clean(value)
                if isinstance(cleaned, str) and field.max_length:
                    cleaned = cleaned[: field.max_length]
                if cleaned != value:
                    changed[field.attname] = cleaned
            if changed:
                rows.model._base_manager.filter(pk=row.pk).update(**changed)

    def mentions(self):
        """Where one of the texts may still stand: “Service, description: 1”. Reads every text that is not history."""
        found = collections.Counter()
        for model in apps.get_models():
            fields = [
                field
                for field in model._meta.local_concrete_fields
                if isinstance(field, TEXTS)
                and not isinstance(field, EncryptedTextField)
                and not field.primary_key
                and not field.choices
                and field not in self._done
            ]
            if not fields or model._meta.app_label in ("sessions", "django_q", "contenttypes"):
                continue
            for row in self._found(model._base_manager.all(), fields, self._names | self._addresses).iterator():
                for field in fields:
                    value = getattr(row, field.attname)
                    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
                    if self.clean(text) != text:
                        found[f"{model._meta.verbose_name}, {field.verbose_name}"] += 1
        return [f"{place}: {count}" for place, count in sorted(found.items())]

    @staticmethod
    def _found(rows, fields, needles):
        """The rows that have one of the needles in one of the fields, whatever the case and what stands beside it."""
        wanted, casts = Q(pk__in=()), {}
        for number, field in enumerate(fields):
            name = field.name
            is_json = isinstance(field, models.JSONField)
            if is_json:
                name = f"text_{number}"
                casts[name] = Cast(field.name, models.TextField())
            for needle in needles:
                text = json.dumps(needle, ensure_ascii=False)[1:-1] if is_json else needle
                wanted |= Q(**{f"{name}__icontains": text})
        return rows.annotate(**casts).filter(wanted)


def _former(person):
    """(names, email addresses) that the person has and had, as far as the audit knows."""
    names, emails = {person.name} - {""}, {person.email.lower()}
    for changes in AuditEntry.objects.filter(kind="accounts.user", object_id=str(person.pk)).values_list(
        "changes", flat=True
    ):
        names |= {one for one in changes.get("name", ()) if one and isinstance(one, str)}
        emails |= {one.lower() for one in changes.get("email", ()) if one and isinstance(one, str)}
    return names, emails


def _pattern(names, addresses):
    """Finds any of these as a whole, the longest first; nothing at all when there is none."""
    # The same characters before and after it would make it part of another's address: x.alice@example.com, .au
    sure = [rf"(?i:(?<![\w.+-]){re.escape(one)}(?![\w-]|\.\w))" for one in sorted(addresses, key=len, reverse=True)]
    words = [rf"(?<!\w){re.escape(one)}(?!\w)" for one in sorted(names, key=len, reverse=True)]
    return re.compile("|".join([*sure, *words]) or r"(?!)")


def _pseudonym():
    while True:
        name = f"Former member {secrets.token_hex(2)}"
        if not User.objects.filter(name=name).exists():
            return name


# --- what this floor has --------------------------------------------------------------------------------------------
@exports("profile")
def _profile(person):
    names = ("uuid", "email", "name", "role", "time_zone", "is_active", "date_joined", "last_login")
    return {name: getattr(person, name) for name in names}


@exports("teams", "accounts.Membership.user")
def _teams(person):
    return rows(person.memberships, "team__name", "role", "is_from_group")


@exports("api_keys", "accounts.ApiKey.user")
def _api_keys(person):
    names = ("name", "prefix", "scopes", "team__name", "is_personal", "created_at", "expires_at", "revoked_at")
    return rows(person.api_keys, *names, "last_used_at")


@exports(
    "sign_in",
    "usersessions.UserSession.user",
    "socialaccount.SocialAccount.user",
    "account.EmailAddress.user",
    "mfa.Authenticator.user",
)
def _sign_in(person):
    return {
        "sessions": rows(UserSession.objects.filter(user=person), "ip", "user_agent", "created_at", "last_seen_at"),
        "single_sign_on": rows(
            SocialAccount.objects.filter(user=person), "provider", "uid", "extra_data", "date_joined", "last_login"
        ),
        "addresses": rows(EmailAddress.objects.filter(user=person), "email", "verified"),
        "second_factors": rows(Authenticator.objects.filter(user=person), "type", "created_at", "last_used_at"),
        "attempts": rows(
            AccessAttempt.objects.filter(username__iexact=person.email), "attempt_time", "ip_address", "user_agent"
        ),
        "log": rows(
            AccessLog.objects.filter(username__iexact=person.email),
            *("attempt_time", "logout_time", "ip_address", "user_agent"),
        ),
    }


@exports("account_mails", "accounts.AccountMail.user")
def _account_mails(person):
    names = ("kind", "address", "subject", "created_at", "sent_at", "error")
    return rows(AccountMail.objects.filter(user=person), *names)


@exports("audit", "accounts.AuditEntry.actor", "admin.LogEntry.user")
def _audit(person):
    names = ("at", "verb", "kind", "object_name", "text", "via", "address", "agent")
    return {
        "entries": rows(AuditEntry.objects.filter(actor=person), *names),
        "admin": rows(LogEntry.objects.filter(user=person), "action_time", "object_repr", "change_message"),
    }


@obstacles
def _keys_that_others_use(person, now):
    """Keys from before there were machines act as a person, and stop with them."""
    for key in person.api_keys.filter(is_personal=False, revoked_at=None):
        yield Obstacle(f"The key “{key.name}” acts as them. Whatever uses it stops working.", may_force=True)


@erases
def _erase_accounts(person, traces, now):
    sessions.end_all(person)
    for model in (AccessAttempt, AccessFailureLog, AccessLog):
        model.objects.filter(username__iexact=person.email).delete()
    for model in (UserSession, SocialAccount, EmailAddress, Authenticator, AccountMail, Membership):
        model.objects.filter(user=person).delete()
    AccountMail.objects.filter(address__iexact=person.email).delete()
    person.api_keys.all().delete()
    traces.replace_in(AuditEntry, "actor_name", "object_name", "changes", "text")
    traces.replace_in(LogEntry, "object_repr", "change_message")
    traces.replace_in(IdempotencyKey, "response")
    traces.replace_in(AccountMail, "subject", "error")
