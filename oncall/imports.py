"""Calendars of others, read regularly: their events become fixed shifts of a schedule, or holidays.

A fetch that fails changes nothing: the last good copy counts until a better one comes, and when it is older than a day
the admins are told. A calendar changes only what is to come: what is over stays as it was, and a running shift keeps
its start.
"""

import collections
import dataclasses
import datetime as dt
import hashlib
import logging
import time
import urllib.parse

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Lower
from django.utils import timezone

from accounts import audit
from accounts.models import User
from core import due, http
from core.errors import DomainError, SendError
from notifications import alarms
from notifications.message import storable
from oncall import ical, scheduling
from oncall.models import CalendarImport, FixedShift, Holiday

logger = logging.getLogger(__name__)

BACK, AHEAD = dt.timedelta(days=30), dt.timedelta(days=180)
STALE = dt.timedelta(hours=24)
MOST_WARNINGS = 50
MOST_REDIRECTS = 3
WEBCAL = "webcal://"
SCHEMES = ("https://", "http://", WEBCAL)
FETCH_SECONDS = 20
DRAIN_SECONDS = 5  # then others have their turn; with one more fetch this stays below the queue's limit of 60 s
# How long a calendar is left alone by others while it is read; a worker that dies meanwhile costs only that.
CLAIM = dt.timedelta(minutes=5)
NO_CALENDAR = "Give the calendar's address in iCal format, which needs no sign-in."


class BadCalendar(DomainError):
    """The text is not a calendar that we can read; what was read before still counts."""

    code = "bad_calendar"


# --- due work -------------------------------------------------------------------------------------------------
def oldest_due(now):
    """When the calendar that waits longest was due, or None."""
    return _due(now).values_list("due_at", flat=True).first()


def _due(now):
    return CalendarImport.objects.filter(is_enabled=True, due_at__lte=now).order_by("due_at")


def run(now=None):
    """Read the calendars that are due, one after the other, as far as the time goes; the next tick takes the rest."""
    until = time.monotonic() + DRAIN_SECONDS
    while time.monotonic() < until:
        at = now or timezone.now()
        claimed = _claim(at)
        if claimed is None:
            return
        read(claimed, now=at)


@transaction.atomic
def _claim(now):
    row = _due(now).select_for_update(skip_locked=True).first()
    if row is None:
        return None
    CalendarImport.objects.filter(pk=row.pk).update(due_at=now + CLAIM)
    return row.pk


# --- reading --------------------------------------------------------------------------------------------------
def read(calendar_import_id, *, now, seconds=FETCH_SECONDS):
    """Fetch a calendar, or take its file, and apply it. Returns the CalendarImport, or None when there is none.

    Never raises: what went wrong is a sentence in `error`, and the last good copy stays. A fetch may take `seconds`,
    all its redirects together.
    """
    row = CalendarImport.objects.filter(pk=calendar_import_id).first()
    if row is None:
        return None
    try:
        if row.url:
            content, etag = _fetch(row, seconds)
            apply(row, content, now=now, etag=etag)
        elif row.content:
            # The days move on: what was beyond the horizon comes into it.
            apply(row, row.content, now=now, read_at=row.read_at)
        else:
            raise BadCalendar("There is no calendar yet. Give its address, or upload its .ics file.")
    except CalendarImport.DoesNotExist:
        return None  # deleted while it was fetched
    except (SendError, DomainError) as error:
        _note_failure(row, error.message, now)
    except Exception:  # one broken calendar must not keep the others from being read
        logger.exception("The calendar import %s could not be read", row.pk)
        _note_failure(row, "The calendar could not be read, because of a fault of Watchbill. See its log.", now)
    return CalendarImport.objects.filter(pk=calendar_import_id).first()


def _note_failure(row, error, now):
    same = CalendarImport.objects.filter(pk=row.pk, url=row.url)  # else it is due again, at another address
    if not same.update(error=storable(error), due_at=now + _pause(row)):
        return
    if row.is_enabled and row.read_at is not None and row.url and now - row.read_at > STALE:
        alarms.raise_alarm(
            _alarm(row),
            f"The calendar {row.name} could not be read since {row.read_at:%Y-%m-%d %H:%M} UTC. {error} "
            "Until then its last good copy counts, which may no longer be true.",
            now=now,
        )


def _pause(row):
    return dt.timedelta(minutes=row.refresh_minutes)


def _alarm(row):
    return f"calendar:{row.pk}"


def web_address(text):
    """The address to fetch: calendar programs write webcal:// for https://."""
    text = text.strip()
    return f"https://{text[len(WEBCAL) :]}" if text.lower().startswith(WEBCAL) else text


def problem_with(text):
    """What is wrong with an address that somebody typed, in a sentence, or ""."""
    if not text.lower().startswith(SCHEMES):
        return "Give a web address that begins with https://."
    is_address = CalendarImport(url=text).host
    return "" if is_address else "This is not a web address. Copy the whole of it from your calendar."


def _mark(url):
    """Stands before an ETag, so that it counts for the address it came from, whoever changes that."""
    return hashlib.sha256(url.encode()).hexdigest()[:16]


def _fetch(row, seconds):
    """(text, etag) of the calendar at its address; the text we have when it has not changed. Raises SendError."""
    url, until = web_address(row.url), time.monotonic() + seconds
    headers = {"Accept": "text/calendar, */*;q=0.1"}
    of_address, _, etag = row.etag.partition(" ")
    if of_address == _mark(row.url) and etag and row.content:
        headers["If-None-Match"] = etag
    for _ in range(MOST_REDIRECTS + 1):
        left = max(1, round(until - time.monotonic()))
        reply = http.get(url, headers=headers, timeout=left, body_bytes=ical.MOST_BYTES + 1)
        name, target = _onward(url, reply)
        if not target:
            return _content(row, reply, name)
        if url.lower().startswith("https:") and not target.lower().startswith("https:"):
            raise SendError(f"{name} sends us on to an address without https, and we do not follow. {NO_CALENDAR}")
        url = target
    raise SendError(f"{name} sends us on more than {MOST_REDIRECTS} times. {NO_CALENDAR}")


def _onward(url, reply):
    """(host, where a redirect leads or "")."""
    try:
        name, target = urllib.parse.urlsplit(url).hostname, reply.headers.get("Location", "")
        is_redirect = reply.status in (301, 302, 303, 307, 308) and target
        return name, urllib.parse.urljoin(url, web_address(target)) if is_redirect else ""
    except ValueError:
        raise SendError(f"The calendar's server sends us on to what is no address. {NO_CALENDAR}") from None


def _content(row, reply, name):
    if reply.status == 304 and row.content:
        return row.content, row.etag
    if reply.status in (401, 403):
        raise SendError(f"{name} answered {reply.status}: it wants a sign-in. {NO_CALENDAR}")
    if reply.status in (404, 410):
        raise SendError(f"{name} answered {reply.status}: there is no calendar there. Check the address.")
    if reply.status != 200:
        raise SendError(f"{name} answered {reply.status}, and not with a calendar. {NO_CALENDAR}")
    if len(reply.body) > ical.MOST_BYTES:
        raise SendError("The calendar is larger than 1 MiB. Publish fewer events, or split it.")
    etag = reply.headers.get("ETag", "")
    kept = f"{_mark(row.url)} {etag}"
    is_kept = len(kept) <= CalendarImport._meta.get_field("etag").max_length and etag.isascii() and etag.isprintable()
    return reply.text, kept if etag and is_kept else ""


def apply(calendar_import, content, *, now, etag="", read_at=None):
    """Make the text of a calendar count: from an upload, or just fetched. Returns the fresh CalendarImport.

    Raises BadCalendar when it is none, and then nothing changes. One transaction; coverage and handoffs are looked at
    again when somebody's shifts changed. `read_at` is the time of the copy, if not now. When the address or the
    schedule was changed meanwhile, the text is of no use any more.
    """
    content = storable(content).removeprefix("\ufeff")
    zone = calendar_import.schedule.time_zone if calendar_import.schedule_id else "UTC"
    try:
        reading = ical.read(content, zone=zone, start=now - BACK, end=now + AHEAD)
    except ical.BadCalendar as error:
        raise BadCalendar(str(error)) from None
    with transaction.atomic():
        # First the calendar and then its schedule, as whoever changes a calendar has them.
        row = CalendarImport.objects.select_for_update(of=("self",)).get(pk=calendar_import.pk)
        if (row.url, row.schedule_id) != (calendar_import.url, calendar_import.schedule_id):
            return row
        if row.schedule_id:
            scheduling.lock(row.schedule_id)
        is_shifts = row.kind == CalendarImport.Kind.SHIFTS
        # The other kind gets nothing: what it had from before, when somebody changed the kind, goes.
        left_out = _apply_shifts(row, reading.events if is_shifts else (), now)
        left_out += _apply_holidays(row, () if is_shifts else reading.events, now)
        row.content, row.etag, row.error = content, etag, ""
        row.warnings = _first([*left_out, *reading.problems])
        row.read_at, row.due_at = read_at or now, now + _pause(row)
        row.save(update_fields=["content", "etag", "error", "warnings", "read_at", "due_at"])
    alarms.clear_alarm(_alarm(row), now=now)
    return row


def _first(sentences):
    if len(sentences) <= MOST_WARNINGS:
        return sentences
    return [*sentences[:MOST_WARNINGS], f"And {len(sentences) - MOST_WARNINGS} more."]


# --- changes by hand ------------------------------------------------------------------------------------------
def changed(calendar_import, *, now):
    """Read a calendar soon, since somebody changed it; of one that is switched off no failure is told any more."""
    CalendarImport.objects.filter(pk=calendar_import.pk).update(due_at=now)
    if calendar_import.is_enabled:
        due.wake("calendars")
    else:
        alarms.clear_alarm(_alarm(calendar_import), now=now)


@transaction.atomic
def remove(calendar_import_id, *, now):
    """Delete a calendar with its shifts and holidays to come. What runs ends now, and what is over stays as it was.

    Twice is harmless.
    """
    row = CalendarImport.objects.select_for_update(of=("self",)).filter(pk=calendar_import_id).first()
    if row is None:
        return
    if row.schedule_id:
        scheduling.lock(row.schedule_id)
    scheduling.changed(_replace(row, {}, now), now=now)
    with audit.quiet():
        FixedShift.objects.filter(calendar=row).update(calendar=None)
        Holiday.objects.filter(calendar=row, day__lt=now.astimezone(dt.UTC).date()).update(calendar=None)
    row.delete()
    alarms.clear_alarm(f"calendar:{calendar_import_id}", now=now)


# --- shifts ---------------------------------------------------------------------------------------------------
@dataclasses.dataclass(frozen=True)
class _Wanted:
    start_at: dt.datetime
    end_at: dt.datetime
    note: str


def _apply_shifts(row, events, now):
    """Make the fixed shifts to come those of the events. Returns a sentence for each event that is nobody's."""
    events = [one for one in events if one.end_at > now]
    people = _People(events, row)
    wanted, left_out = {}, []
    for event in events:
        user_ids, why = people.of(event)
        if not user_ids:
            left_out.append(f"“{_short(event.summary)}” of {event.start_at:%Y-%m-%d %H:%M} UTC was left out: {why}")
        for user_id in user_ids:
            shift = _Wanted(event.start_at, event.end_at, storable(event.summary)[:200])
            wanted.setdefault((_uid(event.uid), user_id), shift)
    scheduling.changed(_replace(row, wanted, now), now=now)
    return left_out


@audit.quiet()  # the calendar tells of them, and who set it up is recorded
def _replace(row, wanted, now):
    """Change the rows of the calendar that are not over to what is wanted. Returns the ids of changed schedules."""
    changed = set()
    for shift in FixedShift.objects.filter(calendar=row, end_at__gt=now).order_by("pk"):
        key = shift.calendar_uid, shift.user_id
        want = wanted.get(key)
        is_running = shift.start_at < now
        is_same = want and (shift.schedule_id, shift.role) == (row.schedule_id, row.role)
        if not is_same or (is_running and want.start_at > now):
            changed.add(shift.schedule_id)
            if is_running:
                FixedShift.objects.filter(pk=shift.pk).update(end_at=now)
            else:
                shift.delete()
            continue
        del wanted[key]
        start_at = shift.start_at if is_running else max(want.start_at, now)
        values = {"start_at": start_at, "end_at": want.end_at, "note": want.note}
        changes = {name: value for name, value in values.items() if getattr(shift, name) != value}
        if changes:
            changed.add(shift.schedule_id)
            FixedShift.objects.filter(pk=shift.pk).update(**changes)
    FixedShift.objects.bulk_create(
        FixedShift(
            schedule_id=row.schedule_id,
            user_id=user_id,
            role=row.role,
            start_at=max(want.start_at, now),
            end_at=want.end_at,
            note=want.note,
            calendar=row,
            calendar_uid=uid,
            created_by_id=row.created_by_id,
        )
        for (uid, user_id), want in wanted.items()
    )
    return changed | {row.schedule_id} if wanted else changed


def _uid(text):
    text = storable(text)
    return text if len(text) <= 500 else hashlib.sha256(text.encode()).hexdigest()


def _short(text):
    return " ".join(text.split())[:60] or "An event without a name"


class _People:
    """Who the events are of: by address, or else by a name that only one person has."""

    def __init__(self, events, row):
        self._role, self._schedule = row.role, row.schedule
        addresses = {one for event in events for one in (*event.attendees, event.organizer, *event.mentioned)}
        names = {_name(event.summary) for event in events}
        rows = (
            User.objects.people()
            .annotate(email_lower=Lower("email"), name_lower=Lower("name"))
            .filter(Q(email_lower__in=map(storable, addresses)) | Q(name_lower__in=map(storable, names - {""})))
        )
        self._by_email, self._by_name = {}, collections.defaultdict(list)
        for one in rows:
            self._by_email[one.email_lower] = one
            if not self._trouble(one):
                self._by_name[one.name_lower].append(one.pk)

    def of(self, event):
        """(user ids, why nobody): the attendees, or the organizer, or the first address in a text, or the name."""
        known = [self._by_email[one] for one in event.attendees if one in self._by_email]
        if known and all(map(self._trouble, known)):  # not for the organizer, who may be anybody
            return [], self._trouble(known[0])
        for group, most in ((event.attendees, None), ((event.organizer,), 1), (event.mentioned, 1)):
            found = [self._by_email[one] for one in group if one in self._by_email]
            if fit := [one.pk for one in found if not self._trouble(one)][:most]:
                return list(dict.fromkeys(fit)), ""
        named = self._by_name.get(_name(event.summary), [])
        if len(named) == 1:
            return named, ""
        if named:
            return [], "several people have this name. Invite the right one by email address."
        if event.attendees:
            return [], f"nobody here has the address {event.attendees[0][:100]}. Invite the person by their own."
        return [], "it names nobody. Invite the person on call, or write their email address into its name."

    def _trouble(self, user):
        return scheduling.unfit(user, self._role, self._schedule)


def _name(summary):
    return " ".join(summary.split()).lower()


# --- holidays -------------------------------------------------------------------------------------------------
@audit.quiet()
def _apply_holidays(row, events, now):
    """Make the holidays to come those of the all-day events; those of the past stay. Returns what was left out."""
    today = now.astimezone(dt.UTC).date()
    first, last = today - BACK, today + AHEAD
    wanted, left_out = set(), []
    for event in events:
        if not event.days:
            left_out.append(f"“{_short(event.summary)}” was left out: it is not an all-day event.")
        name = " ".join(storable(event.summary).split())[:100] or row.name
        wanted.update((day, name) for day in event.days if first <= day <= last)
    kept = set()
    for one in Holiday.objects.filter(calendar=row, day__gte=first):
        is_wanted = (one.day, one.name) in wanted and one.team_id == row.team_id
        if is_wanted or one.day < today:
            kept.add((one.day, one.name))
        else:
            one.delete()
    Holiday.objects.bulk_create(
        [Holiday(day=day, name=name, team_id=row.team_id, calendar=row) for day, name in sorted(wanted - kept)],
        ignore_conflicts=True,  # somebody wrote the same one down by hand
    )
    return left_out
