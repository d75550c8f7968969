"""The audit: who did what, before and after, when and from where. The database takes entries and changes none.

`record` writes one in the caller's transaction, so what is rolled back leaves none. Who and from where is known from
what runs: the middleware `origin` says it for a request, `acting` for somebody who answers by other ways; without
either it is a command, or the product itself. Changes of configuration are seen by `accounts.audited`.
"""

import contextlib
import contextvars
import datetime as dt
import pathlib
import sys
import time
import uuid

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.apps import apps
from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from accounts.visibility import teams_of
from core import counters
from core.limits import client_address

# What the page offers to filter by; others may be recorded too.
VERBS = (
    "created",
    "changed",
    "deleted",
    "signed in",
    "signed out",
    "sign-in failed",
    "locked out",
    "unlocked",
    "break-glass used",
    "second factor added",
    "second factor removed",
    "second factor failed",
    "sign-in connected",
    "sign-in disconnected",
    "session ended",
    "exported",
    "erased",
    "did",
    "pruned",
)
FAILURES_A_MINUTE = 10  # written down for one address; those beyond are counted
ALL_FAILURES_A_MINUTE = 200  # … and for all of them
FAILURES = "sign_in_failures_total"

_origin = contextvars.ContextVar("audit_origin", default=None)
_is_quiet = contextvars.ContextVar("audit_is_quiet", default=False)


# --- who, and from where ------------------------------------------------------------------------------------------
class _Origin:
    """Where what happens comes from. `facts()` is asked when something is recorded, and only then."""

    def __init__(self, request=None, **said):
        self.request, self.said = request, said
        self.id = uuid.uuid4().hex

    def facts(self):
        facts = {"request_id": self.id}
        if self.request is not None:
            facts |= _facts_of(self.request)
        return facts | self.said


def _facts_of(request):
    """Who asks. A sign-in that goes on knows nobody yet; a key names itself beside the person that it acts as."""
    user = getattr(request, "user", None)
    key = getattr(request, "auth", None)
    path = request.path_info
    via = "admin" if path.startswith("/admin/") else "api" if path.startswith("/api/") else "web"
    return {
        "actor": user if user is not None and user.is_authenticated else None,
        "actor_name": "" if key is None else str(key)[:254],
        "via": via,
        "address": client_address(request) or None,
        "agent": _storable(request.META.get("HTTP_USER_AGENT", ""))[:300],
    }


def _facts_without_request():
    """A command names itself. The rest of what runs is the product: workers, the ticker."""
    if settings.ROLE != "command":
        return {"actor_name": "Watchbill", "via": "system"}
    return {"actor_name": " ".join([pathlib.Path(sys.argv[0]).name, *sys.argv[1:2]])[:254], "via": "command"}


def _storable(text):
    return text.replace("\0", "").encode("utf-8", "replace").decode()


@contextlib.contextmanager
def _from(one):
    before = _origin.get()
    _origin.set(one)
    try:
        yield
    finally:
        _origin.set(before)


class Origin:
    """Middleware: what is recorded while a request is answered came from it, in whichever thread that is."""

    sync_capable = async_capable = True

    def __init__(self, get_response):
        self.get_response = get_response
        self.is_async = iscoroutinefunction(get_response)
        if self.is_async:
            markcoroutinefunction(self)

    def __call__(self, request):
        if self.is_async:
            return self._answer(request)
        with _from(_Origin(request)):
            return self.get_response(request)

    async def _answer(self, request):
        with _from(_Origin(request)):
            return await self.get_response(request)


@contextlib.contextmanager
def acting(*, by=None, name="", via, address=None):
    """What is recorded inside was done by this person, or by what has this name: for ways in that are no request."""
    with _from(_Origin(actor=by, actor_name=name[:254], via=via, address=address)):
        yield


@contextlib.contextmanager
def quiet():
    """Record no change inside: rows that only copy what somebody else keeps, such as the shifts of a calendar."""
    before = _is_quiet.get()
    _is_quiet.set(True)
    try:
        yield
    finally:
        _is_quiet.set(before)


def is_quiet():
    return _is_quiet.get()


# --- writing ------------------------------------------------------------------------------------------------------
def record(verb, row=None, *, by=None, text="", changes=None, **said):
    """Write that this was done to the row: “exported”, “signed in” … Returns the entry.

    `by` is the person where the origin does not know them. `said` may give any other field of the entry.
    """
    made = entry(verb, row, by=by, text=text, changes=changes, **said)
    made.save(force_insert=True)
    return made


def _name_of(row):
    try:
        return str(row)
    except (AttributeError, TypeError, ValueError):  # its values are not those of a saved row yet; the entry matters
        return f"{row._meta.verbose_name} {row.pk}"


def entry(verb, row=None, *, by=None, text="", changes=None, **said):
    """An entry that is not written yet; see `record`."""
    origin = _origin.get()
    facts = origin.facts() if origin else _facts_without_request()
    if by is not None:
        facts["actor"] = by
    if row is not None:
        facts |= {
            "kind": row._meta.label_lower,
            "object_id": str(row.pk),
            "object_name": _storable(_name_of(row))[:300],
            "team_id": min(teams_of(row), default=None),
        }
    facts |= said
    if facts.get("actor") is not None:
        facts["actor"] = _as_person(facts["actor"])
    model = apps.get_model("accounts", "AuditEntry")
    return model(at=timezone.now(), verb=verb, text=_storable(text)[:500], changes=changes or {}, **facts)


def _as_person(user):
    """The row itself: the user of a request is a lazy stand-in for it."""
    return user._wrapped if hasattr(user, "_wrapped") else user


def write(entries):
    """Write these entries in one statement."""
    if entries:
        apps.get_model("accounts", "AuditEntry").objects.bulk_create(entries)


def record_failure(verb, *, name, text=""):
    """Write down a sign-in that was refused, for a name that somebody typed.

    So many a minute for one address, and so many for all: whoever guesses must not fill the disk. The last one says
    that the rest is only counted. What does not look like an address may be a password, so it is left out.
    """
    counters.add(FAILURES)
    origin = _origin.get()
    address = origin.facts().get("address") if origin else None
    entries = apps.get_model("accounts", "AuditEntry").objects
    lately = entries.filter(verb=verb, at__gt=timezone.now() - dt.timedelta(minutes=1))
    here = lately.filter(address=address)[:FAILURES_A_MINUTE].count()
    if here >= FAILURES_A_MINUTE or lately[:ALL_FAILURES_A_MINUTE].count() >= ALL_FAILURES_A_MINUTE:
        return
    if here == FAILURES_A_MINUTE - 1:
        text = f"{text} More from this address within the minute are counted ({FAILURES}), not listed.".strip()
    shown = _storable(name)[:254] if "@" in name else "(no email address)"
    record(verb, text=text, actor=None, actor_name=shown)


# --- retention ----------------------------------------------------------------------------------------------------
PRUNED_AT_ONCE = 1000
PRUNE_SECONDS = 10


def prune(*, now, seconds=PRUNE_SECONDS, clock=time.monotonic):
    """Delete entries older than AUDIT_DAYS, in batches, for `seconds` at most. Returns how many.

    In the same transaction one entry says how many are gone, and from before when.
    """
    if not settings.AUDIT_DAYS:
        return 0
    before = now - dt.timedelta(days=settings.AUDIT_DAYS)
    until, deleted = clock() + seconds, 0
    with transaction.atomic():
        while clock() < until:
            count = _delete(before)
            deleted += count
            if count < PRUNED_AT_ONCE:
                break
        if deleted:
            since = f"{before:%Y-%m-%d %H:%M} UTC"
            text = f"{deleted} entries from before {since} are deleted: AUDIT_DAYS is {settings.AUDIT_DAYS}."
            record("pruned", text=text, kind="accounts.auditentry", actor_name="Watchbill", via="system")
    return deleted


def _delete(before):
    table = apps.get_model("accounts", "AuditEntry")._meta.db_table
    with connection.cursor() as cursor:
        # The trigger lets nothing else delete, and this only until the transaction ends.
        cursor.execute("SET LOCAL watchbill.audit_retention = 'on'")
        cursor.execute(
            f"DELETE FROM {table} WHERE id IN (SELECT id FROM {table} WHERE at < %s ORDER BY at LIMIT %s)",
            [before, PRUNED_AT_ONCE],
        )
        count = cursor.rowcount
        cursor.execute("SET LOCAL watchbill.audit_retention = 'off'")
    return count
