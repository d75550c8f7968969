"""The audit as people read it: a list to search, one entry with before and after, and a file for a spreadsheet."""

import csv
import dataclasses
import datetime as dt
import functools
import io

from asgiref.sync import sync_to_async
from django.apps import apps
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.core.handlers.asgi import ASGIRequest
from django.http import StreamingHttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.text import capfirst
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts import audit, audited
from accounts.models import AuditEntry, Team
from accounts.permissions import may

A_PAGE = 50
AT_ONCE = 500  # rows of the file that are read together
SAME_STEP = 50
VIAS = ("web", "admin", "api", "command", "system")
COLUMNS = (
    "at", "person", "name", "verb", "kind", "object_id", "object", "team", "text", "changes", "via", "address", "agent"
)  # fmt: skip
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def for_admins(view):
    """A page for whoever may read the audit."""

    @login_required
    @never_cache
    @require_safe
    @functools.wraps(view)
    def guarded(request, *args, **kwargs):
        if not may(request.user, "administer"):
            raise PermissionDenied("The audit is for admins of the platform. Ask one of them what you want to know.")
        return view(request, *args, **kwargs)

    return guarded


# --- what is looked for -------------------------------------------------------------------------------------------
@dataclasses.dataclass(frozen=True)
class Search:
    """What somebody wants to see; what cannot be read finds nothing rather than everything."""

    who: str = ""
    verb: str = ""
    kind: str = ""
    object: str = ""
    team: str = ""
    since: str = ""
    until: str = ""
    via: str = ""
    address: str = ""
    q: str = ""

    @classmethod
    def of(cls, request):
        def said(name):
            return request.GET.get(name, "").replace("\0", "").encode("utf-8", "ignore").decode().strip()[:200]

        return cls(**{field.name: said(field.name) for field in dataclasses.fields(cls)})

    def entries(self):
        rows = AuditEntry.objects.all()
        for name in ("verb", "kind", "via"):
            if value := getattr(self, name):
                rows = rows.filter(**{name: value})
        rows = rows.by(self.who) if self.who else rows
        rows = rows.of(self.object) if self.object else rows
        rows = rows.filter(team__in=Team.objects.filter(slug=self.team)) if self.team else rows
        rows = rows.from_address(self.address) if self.address else rows
        if self.since:
            day = _day(self.since)
            rows = rows.filter(at__gte=_midnight(day)) if day else rows.none()
        if self.until:
            day = _day(self.until)
            rows = rows.filter(at__lt=_midnight(day + dt.timedelta(days=1))) if day else rows.none()
        return rows.telling(self.q) if self.q else rows

    def in_words(self):
        return ", ".join(f"{name} “{value}”" for name, value in dataclasses.asdict(self).items() if value)


def _day(text):
    try:
        day = dt.date.fromisoformat(text)
    except ValueError:
        return None
    return day if 1990 <= day.year < 2100 else None


def _midnight(day):
    return timezone.make_aware(dt.datetime.combine(day, dt.time()))


# --- pages --------------------------------------------------------------------------------------------------------
@for_admins
def listed(request):
    """The entries, newest first."""
    search = Search.of(request)
    rows = search.entries().select_related("actor", "team").order_by("-pk")
    before = request.GET.get("before", "")
    if before.isascii() and before.isdigit() and len(before) < 18:
        rows = rows.filter(pk__lt=int(before))
    else:
        before = ""
    page = list(rows[: A_PAGE + 1])
    query = request.GET.copy()
    query.pop("before", None)
    context = {
        "section": "audit",
        "entries": [Shown(entry) for entry in page[:A_PAGE]],
        "oldest": page[A_PAGE - 1].pk if len(page) > A_PAGE else None,
        "is_first": not before,
        "query": query.urlencode(),
        "search": search,
        "is_filtered": bool(search.in_words()),
        "about": _name_of(search.object),
        "verbs": audit.VERBS,
        "kinds": kinds(),
        "vias": VIAS,
        "teams": Team.objects.order_by("name"),
    }
    return render(request, "accounts/audit.html", context)


@for_admins
def one(request, pk):
    """One entry: before and after, and what else was done in the same step."""
    entry = get_object_or_404(AuditEntry.objects.select_related("actor", "team"), pk=pk)
    same = AuditEntry.objects.filter(request_id=entry.request_id).exclude(pk=entry.pk).order_by("pk")
    # A command, and what the product does by itself, has no step.
    rows = same.select_related("actor", "team")[:SAME_STEP] if entry.request_id else ()
    context = {
        "section": "audit",
        "entry": Shown(entry),
        "same_step": [Shown(each) for each in rows],
    }
    return render(request, "accounts/audit_entry.html", context)


def kinds():
    """`[(kind, words)]` of everything that is audited."""
    found = [(model._meta.label_lower, capfirst(str(model._meta.verbose_name))) for model in audited.audited_models()]
    return sorted(found, key=lambda pair: pair[1])


def _name_of(text):
    """What the object in a filter was called last, or ""."""
    entry = AuditEntry.objects.of(text).exclude(object_name="").order_by("-pk").first() if text else None
    return entry.object_name if entry else ""


class Shown:
    """An entry in words."""

    def __init__(self, entry):
        self.entry = entry

    @property
    def who(self):
        """The person, the key that acted as them, or what else it was."""
        actor, name = self.entry.actor, self.entry.actor_name
        if actor and name:
            return f"{actor}, with {name}"
        return str(actor) if actor else name or "Somebody who was not signed in"

    @property
    def kind(self):
        """The kind of object in words."""
        try:
            return str(apps.get_model(self.entry.kind)._meta.verbose_name)
        except (LookupError, ValueError):
            return self.entry.kind

    @property
    def changes(self):
        """`[(field, before, after)]` as texts."""
        return [
            (name.replace("_", " "), *(said(value) for value in pair)) for name, pair in self.entry.changes.items()
        ]

    @property
    def what(self):
        """The object in words; "" when somebody did something to themselves, such as signing in."""
        entry = self.entry
        is_self = entry.kind == "accounts.user" and entry.object_id == str(entry.actor_id) and not entry.changes
        return "" if is_self or not entry.object_name else f"{self.kind} {entry.object_name}"

    @property
    def object(self):
        """How a filter names the object."""
        return f"{self.entry.kind}:{self.entry.object_id}" if self.entry.object_id else ""

    @property
    def url(self):
        """The page of the object in the admin, while it is there."""
        if not self.entry.object_id or self.entry.verb == "deleted":
            return ""
        try:
            return reverse(f"admin:{self.entry.kind.replace('.', '_')}_change", args=[self.entry.object_id])
        except NoReverseMatch:
            return ""


def said(value):
    """A value of an entry as text."""
    if value is None or value == "":
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(said(one) for one in value)
    if isinstance(value, dict):
        return ", ".join(f"{name}: {said(one)}" for name, one in value.items())
    return str(value)


# --- the file -----------------------------------------------------------------------------------------------------
@for_admins
def export(request):
    """What the filter finds as CSV, newest first. Fetching it is an entry too."""
    search = Search.of(request)
    words = search.in_words()
    audit.record("exported", kind="accounts.auditentry", text=f"The audit: {words or 'everything'}.")
    parts = _parts(search.entries())
    body = _without_a_loop(parts) if isinstance(request, ASGIRequest) else parts
    response = StreamingHttpResponse(body, content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = 'attachment; filename="audit.csv"'
    return response


def _parts(rows):
    """The file in pieces, so that no size of it is too large."""
    yield _lines([COLUMNS])
    last = None
    while True:
        more = rows.filter(pk__lt=last) if last is not None else rows
        found = list(more.select_related("actor", "team").order_by("-pk")[:AT_ONCE])
        if not found:
            return
        yield _lines(_cells(entry) for entry in found)
        last = found[-1].pk


async def _without_a_loop(parts):
    """The pieces for a server that must not wait for the database in its loop."""
    while (part := await sync_to_async(next)(parts, None)) is not None:
        yield part


def _lines(rows):
    text = io.StringIO()
    writer = csv.writer(text)
    for row in rows:
        writer.writerow([harmless(cell) for cell in row])
    return text.getvalue()


def harmless(cell):
    """Text that no spreadsheet takes for a formula."""
    return f"'{cell}" if cell.lstrip(" ").startswith(FORMULA) else cell


def _cells(entry):
    shown = Shown(entry)
    changes = "; ".join(
        f"{name}: {before or '(empty)'} → {after or '(empty)'}" for name, before, after in shown.changes
    )
    return (
        entry.at.astimezone(dt.UTC).isoformat(timespec="seconds"),
        entry.actor.email if entry.actor else "",
        entry.actor_name,
        entry.verb,
        entry.kind,
        entry.object_id,
        entry.object_name,
        entry.team.slug if entry.team else "",
        entry.text,
        changes,
        entry.via,
        entry.address or "",
        entry.agent,
    )
