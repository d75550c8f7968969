"""Calendar feeds: secret addresses that give shifts as iCalendar, for the calendar programs of people.

A feed shows the final schedule from 30 days back to 180 ahead, with overrides and swaps applied. It is a plain
function of the rows and of the day, so that a program that asks each hour gets the same bytes until something changes.
"""

import dataclasses
import datetime as dt
import hashlib
import re
import secrets
import uuid
import zoneinfo

from django.conf import settings
from django.core.cache import cache
from django.urls import reverse

from accounts.models import User
from accounts.permissions import may, may_somewhere
from core.errors import NotAllowed, NotFound
from core.secrets import digest
from oncall import ical, lookup, rotation, shifts
from oncall.models import CalendarFeed, FixedShift, Override, Schedule

BACK, AHEAD = dt.timedelta(days=30), dt.timedelta(days=180)
# A shift that began this long before the span, or ends this long after it, is shown with its true times.
MARGIN = dt.timedelta(days=35)
MOST_ENTRIES = 4000
SECRET = re.compile(r"[A-Za-z0-9_-]{43}")
USED_EVERY = dt.timedelta(minutes=1)
SEEN_SECONDS = 8 * 24 * 3600

WORDS = {
    shifts.PRIMARY: "primary",
    shifts.SECONDARY: "secondary",
    shifts.TERTIARY: "tertiary",
    shifts.SHADOW: "shadow, not called",
}


# --- the addresses --------------------------------------------------------------------------------------------
def issue(owner, *, person=None, schedule=None, team=None, name=""):
    """Make a feed of a person's shifts, a schedule or a team. Returns (row, secret); the secret is shown once."""
    if not may_somewhere(owner, "read"):
        raise NotAllowed("This account is deactivated, so it cannot have a calendar feed. Activate it first.")
    secret = secrets.token_urlsafe(32)
    feed = CalendarFeed(
        owner=owner, person=person, schedule=schedule, team=team, name=name, secret_hash=digest(secret)
    )
    feed.full_clean()
    feed.save()
    return feed, secret


def revoke(feed_id, *, by, now):
    """Stop a feed for good: its owner may, admins of its team, and admins. Twice is harmless."""
    feed = CalendarFeed.objects.select_related("schedule").filter(pk=feed_id).first()
    if feed is None:
        raise NotFound("This calendar feed does not exist any more.")
    if by is not None and by.pk != feed.owner_id and not may(by, "configure", feed):
        raise NotAllowed("Only its owner or an admin may revoke a calendar feed.")
    CalendarFeed.objects.filter(pk=feed_id, revoked_at=None).update(revoked_at=now)


def address(secret):
    """The web address of a feed, to be shown once."""
    return f"{settings.PUBLIC_URL}{reverse('calendar-feed', args=[secret])}"


def find(secret):
    """The CalendarFeed of a secret, or None when it is unknown, revoked, or its owner may not read any more."""
    if not SECRET.fullmatch(secret):
        return None
    feed = (
        CalendarFeed.objects.select_related("owner", "person", "schedule", "team")
        .filter(secret_hash=digest(secret), revoked_at=None)
        .first()
    )
    return feed if feed and may(feed.owner, "read", feed) else None


# --- the calendar ---------------------------------------------------------------------------------------------
@dataclasses.dataclass(frozen=True)
class Feed:
    """A calendar as it is sent."""

    content: bytes
    etag: str
    last_modified: dt.datetime


def render(secret, *, now):
    """The Feed of a secret address, or None when there is none. Notes that it was used."""
    feed = find(secret)
    if feed is None:
        return None
    if feed.last_used_at is None or now - feed.last_used_at >= USED_EVERY:
        CalendarFeed.objects.filter(pk=feed.pk).update(last_used_at=now)
    content = ical.write(_name(feed), entries(feed, now=now), version=settings.WATCHBILL_VERSION)
    etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    return Feed(content, etag, _since(feed, etag, now))


def _since(feed, etag, now):
    """When the feed began to give this content, as far as we remember; never earlier than a change."""
    key = f"calendar-feed:{feed.pk}"
    now = now.replace(microsecond=0)
    seen = cache.get(key)
    if seen and seen[0] == etag:
        return seen[1]
    # A second later than what was given before, since HTTP's dates have seconds.
    since = max(now, seen[1] + dt.timedelta(seconds=1)) if seen else now
    cache.set(key, (etag, since), SEEN_SECONDS)
    return since


def _name(feed):
    return f"On call: {feed.subject}"


def entries(feed, *, now):
    """The shifts that a feed shows, as Entries."""
    today = now.astimezone(dt.UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    start, end = today - BACK, today + AHEAD
    wide_start, wide_end = start - MARGIN, end + MARGIN
    schedules = Schedule.objects.select_related("team").in_bulk(_schedule_ids(feed, wide_start, wide_end))
    specs = lookup.specs(schedules, start=wide_start, end=wide_end)
    news = _news(schedules, today, now)
    found = []
    for pk, spec in specs.items():
        for role in shifts.ROLES:
            uids = _Uids(schedules[pk], spec, role, wide_start)
            for shift in shifts.shifts(shifts.final(spec, wide_start, wide_end, role)):
                if shift.start_at >= end or shift.end_at <= start:
                    continue
                if feed.person_id is None or shift.user_id == feed.person_id:
                    found.append((schedules[pk], shift, uids.key(shift)))
    found.sort(key=lambda one: (one[1].start_at, one[0].pk, one[1].end_at))
    is_full = len(found) > MOST_ENTRIES
    found = found[:MOST_ENTRIES]
    people = User.objects.in_bulk(
        {one for _, shift, _ in found for one in (shift.user_id, shift.person.instead_of) if one}
    )
    written = []
    for schedule, shift, key in found:
        notes = []
        begin, finish = shift.start_at, shift.end_at
        if begin == wide_start:
            begin = start
            notes.append(f"The shift began before {_day(begin)}; this calendar goes no further back.")
        if finish == wide_end:
            finish = end
            notes.append(f"The shift goes on after {_day(finish)}; this calendar ends there.")
        if is_full and len(written) == MOST_ENTRIES - 1:
            notes.append(f"Later shifts are left out: this calendar holds {MOST_ENTRIES}.")
        person = people[shift.user_id]
        changed_at = max((at for at, *span in news[schedule.pk] if _touches(shift, *span)), default=today)
        written.append(
            ical.Entry(
                uid=str(uuid.uuid5(schedule.uuid, f"{key}:{person.uuid}")),
                start_at=begin,
                end_at=finish,
                summary=_summary(feed, schedule, shift.person, person),
                description=_description(schedule, shift, person, people, notes),
                url=f"{settings.PUBLIC_URL}{reverse('schedule', args=[schedule.slug])}",
                contact="" if feed.person_id else f"{person}, {person.email}",
                changed_at=changed_at,
            )
        )
    return written


def _schedule_ids(feed, start, end):
    if feed.schedule_id:
        return [feed.schedule_id]
    if feed.team_id:
        return list(feed.team.schedules.values_list("pk", flat=True))
    return list(lookup.schedules_with(feed.person_id, start, end))


def _summary(feed, schedule, on_call, person):
    who = "On call" if feed.person_id else f"{person} on call"
    return f"{who}: {schedule} ({WORDS[on_call.role]})"


def _description(schedule, shift, person, people, notes):
    zone = zoneinfo.ZoneInfo(schedule.time_zone)
    begin, finish = (rotation.wall_clock(at, zone) for at in (shift.start_at, shift.end_at))
    on_call = shift.person
    lines = [f"{person} is on call for {schedule} of the team {schedule.team}: {on_call.why}."]
    if on_call.instead_of in people and on_call.instead_of != person.pk:
        lines.append(f"Instead of {people[on_call.instead_of]}.")
    if on_call.is_off:
        lines.append(f"{person} has time off then. Somebody should cover it.")
    if notes:
        lines += notes
    else:
        lines.append(f"{begin:%a %Y-%m-%d %H:%M} to {finish:%a %Y-%m-%d %H:%M}, {schedule.time_zone}.")
    return "\n".join(lines)


def _day(at):
    return f"{at:%Y-%m-%d %H:%M} UTC"


# --- what stays the same --------------------------------------------------------------------------------------
class _Uids:
    """Names for the shifts of one role of a schedule, which stay when a shift becomes longer or shorter.

    A shift is named by its source, for example turn 12 of layer 7. What is left of it after an override is named by
    that override, so that it keeps its name when the override is made longer; the pieces between openings of a
    restricted layer are named by their start.
    """

    def __init__(self, schedule, spec, role, edge):
        self._edge = edge
        self._layers = {one.number: one for one in spec.layers}
        exceptions = [(f"fixed:{one.number}", one) for one in spec.fixed if one.role == role]
        exceptions += [(f"override:{one.number}", one) for one in spec.overrides if one.role == role]
        self._starts = {name: one.start_at for name, one in exceptions}
        self._ended = {}
        for name, one in exceptions:
            self._ended.setdefault(one.end_at, name)

    def key(self, shift):
        source = shift.person.source
        if shift.start_at in (self._edge, self._begin(source)):
            return source
        if shift.start_at in self._ended:
            return f"{source}:after:{self._ended[shift.start_at]}"
        return f"{source}:{shift.start_at:%Y%m%dT%H%M%S}"

    def _begin(self, source):
        """When the source begins, if it holds without breaks from there."""
        if source in self._starts:
            return self._starts[source]
        _, number, turn = source.split(":")
        layer = self._layers[int(number)]
        if layer.windows:
            return None
        begin = rotation.handoff(layer.rotation, int(turn))
        return max(begin, layer.starts_at) if layer.starts_at else begin


def _news(schedule_ids, today, now):
    """`{schedule id: [(made at, start, end)]}` of the overrides and fixed shifts that were made since `today`.

    We keep no history of when a shift last changed: a deleted override leaves no trace. So an event counts as changed
    on each new day, and at the time at which something beside it was made. A program that compares versions then takes
    every change within a day, and the bytes stay the same from one fetch to the next.
    """
    found = {pk: [] for pk in schedule_ids}
    for model in (Override, FixedShift):
        rows = model.objects.filter(schedule_id__in=found, created_at__gt=today, created_at__lte=now)
        for pk, *row in rows.values_list("schedule_id", "created_at", "start_at", "end_at"):
            found[pk].append(row)
    return found


def _touches(shift, start, end):
    return start <= shift.end_at and end >= shift.start_at
