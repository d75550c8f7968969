"""Handoff notices: people are told before their shift, when it begins and when it ends, and who hands over to whom.

The truth is `Schedule.handoffs_due_at`, when a schedule is looked at next; `handoffs_seen_at` says up to when its
handoffs were told. A look takes the row's lock, and writes the notices and the next due time in one transaction. A
notice is named after the schedule, role, person, kind and time, and never written twice, so looking again is harmless:
a verb that changes who is on call makes the schedule due, and whoever is put on call at short notice is told then.
"""

import collections
import dataclasses
import datetime as dt
import logging
import time

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts.models import User
from core import due
from core.zones import zone_of
from notifications import alarms, outbox
from notifications.message import Kind, Message
from notifications.models import Notification
from oncall import chain, coverage, lookup, shifts
from oncall.models import FixedShift, Override, Schedule

logger = logging.getLogger(__name__)

BATCH = 25
SECONDS = 5  # what is left stays due, and a page that waits in the queue comes first
LONGEST_WAIT = dt.timedelta(hours=24)  # so that a schedule is looked at once a day, whatever we failed to foresee
# How far ahead the final schedule is worked out beyond the next look: until when a shift lasts is worth a word.
LOOK_AHEAD = dt.timedelta(days=15)
# After an outage: no more than this is looked back, and an end that is over for this long is no news.
LOOK_BACK, STALE = dt.timedelta(days=30), dt.timedelta(hours=2)
LATE = dt.timedelta(minutes=5)  # from then on a notice says since when
# A change may be cut to the moment of its request and be committed after a look that was a little later.
GRACE = dt.timedelta(minutes=1)
TROUBLE_DELAY = dt.timedelta(minutes=5)

# How many notices before a shift somebody gets from one schedule in an hour: far ahead of short shifts, or while it is
# edited again and again, it would be hundreds. The next looks tell the rest, and a start and an end are always told.
MOST_BEFORE, MOST_BEFORE_WITHIN = 10, dt.timedelta(hours=1)

BEFORE, BEGUN, ENDED = "before", "begun", "ended"


def oldest_due(now):
    """When the schedule that is due for longest was due, or None."""
    rows = Schedule.objects.filter(handoffs_due_at__lte=now).order_by("handoffs_due_at")
    return rows.values_list("handoffs_due_at", flat=True).first()


def run(now=None):
    """Tell the handoffs of every schedule that is due, in small batches. `now` stops the clock, for tests."""
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        due.beat()
        if not tell_due(now=now or timezone.now()):
            return


def tell_due(*, now, limit=BATCH):
    """Look at up to `limit` schedules that are due, in one transaction. Returns how many.

    When one of them raises, all are rolled back and looked at one by one, so that it stops no other.
    """
    rows = Schedule.objects.filter(handoffs_due_at__lte=now).order_by("handoffs_due_at", "pk")
    try:
        with transaction.atomic():
            return _tell(list(_locked(rows)[:limit]), now)
    except Exception:  # one broken schedule must not stop the rest: find it
        logger.warning("A batch of handoffs failed; the schedules are looked at one by one.", exc_info=True)
    return sum(_tell_alone(pk, now) for pk in list(rows.values_list("pk", flat=True)[:limit]))


def _locked(rows):
    return rows.select_for_update(skip_locked=True, no_key=True, of=("self",))


def _tell_alone(pk, now):
    """Returns 1 when the schedule is not due any more, told or not."""
    try:
        with transaction.atomic():
            return _tell(list(_locked(Schedule.objects.filter(pk=pk, handoffs_due_at__lte=now))), now)
    except Exception as error:  # tell the admins, look again soon, go on with the others
        logger.warning("The handoffs of schedule %s could not be told.", pk, exc_info=True)
        with transaction.atomic():
            Schedule.objects.filter(pk=pk, handoffs_due_at__lte=now).update(handoffs_due_at=now + TROUBLE_DELAY)
            alarms.raise_alarm(
                _alarm_key(pk),
                f"The handoffs of schedule {pk} cannot be told, and are tried again every "
                f"{TROUBLE_DELAY.seconds // 60} minutes: {error}",
                now=now,
            )
        return 1


def _alarm_key(pk):
    return f"handoffs-failed:{pk}"


# --- one look -------------------------------------------------------------------------------------------------
@dataclasses.dataclass(frozen=True)
class Change:
    """A moment at which the people of a role change. A new reason for the same people is none."""

    at: dt.datetime
    before: tuple[int, ...]
    after: tuple[int, ...]
    sources: frozenset[str]  # of the people after it

    @property
    def joining(self):
        return [user_id for user_id in self.after if user_id not in self.before]

    @property
    def leaving(self):
        return [user_id for user_id in self.before if user_id not in self.after]


@dataclasses.dataclass(frozen=True)
class Notice:
    """One person is to be told of one change. `until` is the end of the shift, where it is known."""

    kind: str
    schedule: Schedule
    role: str
    user_id: int
    change: Change
    until: dt.datetime | None = None

    @property
    def topic(self):
        # The notices of one shift's start share a topic: a late one gives way to its follower, and to no other's.
        end = ":end" if self.kind == ENDED else ""
        return f"handoff:{self.schedule.pk}:{self.role}:{self.change.at.astimezone(dt.UTC):%Y%m%dT%H%M%S.%f}{end}"

    @property
    def key(self):
        return f"{self.topic}:{self.kind}"


def changes(spans):
    """The Changes of a final schedule of one role, in order."""
    found = []
    for before, after in zip(spans, spans[1:], strict=False):
        old, new = (tuple(one.user_id for one in span.people) for span in (before, after))
        if set(old) != set(new):
            found.append(Change(after.start_at, old, new, frozenset(one.source for one in after.people)))
    return found


def _tell(schedules, now):
    if not schedules:
        return 0
    since = {one.pk: _since(one, now) for one in schedules}
    fresh = _fresh(since, now)
    starts = {pk: min([at, *(start for _, start in fresh.get(pk, ()))]) - GRACE for pk, at in since.items()}
    ends = {one.pk: now + LONGEST_WAIT + _ahead(one) + LOOK_AHEAD for one in schedules}
    specs = lookup.specs(since, start=min(starts.values()), end=max(ends.values()))
    notices = []
    for one in schedules:
        next_at = now + LONGEST_WAIT
        news = frozenset(source for source, _ in fresh.get(one.pk, ()))
        for role in shifts.ROLES:
            found = changes(shifts.final(specs[one.pk], starts[one.pk], ends[one.pk], role))
            if one.sends_handoff_notices:
                notices += _notices(one, role, found, news, now)
            for change in found:
                next_at = min([next_at, *(at for at in (change.at, change.at - _ahead(one)) if at > now)])
        one.handoffs_seen_at = max(one.handoffs_seen_at or now, now)
        one.handoffs_due_at = next_at
        # A notice that could not be delivered is news for no longer than this.
        alarms.clear_prefix(f"unreachable:handoff:{one.pk}:", now=now)
    _write(notices, now)
    Schedule.objects.bulk_update(schedules, ["handoffs_seen_at", "handoffs_due_at"])
    alarms.clear_alarms([key(one.pk) for one in schedules for key in (_alarm_key, chain.broken_key)], now=now)
    return len(schedules)


def _ahead(schedule):
    return dt.timedelta(minutes=schedule.notice_minutes)


def _since(schedule, now):
    """From when on the handoffs of a schedule are not told yet. Of a new one nothing is told about the past."""
    return max(min(schedule.handoffs_seen_at or now, now), now - LOOK_BACK)


def _fresh(since, now):
    """`{schedule id: [(source, start)]}` of running overrides and fixed shifts made since the last look.

    They may have begun before it, when a calendar or a program wrote them down.
    """
    found = {}
    for model, word in ((Override, "override"), (FixedShift, "fixed")):
        rows = model.objects.filter(
            schedule_id__in=list(since),
            created_at__gt=min(since.values()) - GRACE,
            start_at__gt=now - LOOK_BACK,
            start_at__lte=now,
            end_at__gt=now,
        ).values_list("schedule_id", "pk", "start_at", "created_at")
        for schedule_id, pk, start_at, created_at in rows:
            if created_at > since[schedule_id] - GRACE:
                found.setdefault(schedule_id, []).append((f"{word}:{pk}", start_at))
    return found


def _notices(schedule, role, found, fresh, now):
    """The Notices that are due for the changes of one role, whether or not they were written before."""
    is_new = schedule.handoffs_seen_at is None
    since = _since(schedule, now) - GRACE
    present = next((change.after for change in reversed(found) if change.at <= now), ())
    for number, change in enumerate(found):
        later = found[number + 1 :]
        if change.at > now:
            if change.at - _ahead(schedule) <= now:
                for user_id in change.joining:
                    yield Notice(BEFORE, schedule, role, user_id, change, _until(user_id, later))
        elif not is_new and (change.at > since or change.sources & fresh):
            for user_id in change.joining:
                until = _until(user_id, later)
                if until is None or until > now:
                    yield Notice(BEGUN, schedule, role, user_id, change, until)
            if change.at > now - STALE:
                for user_id in change.leaving:
                    if user_id not in present:
                        yield Notice(ENDED, schedule, role, user_id, change)


def _until(user_id, later):
    return next((change.at for change in later if user_id not in change.after), None)


def _write(notices, now):
    if not notices:
        return
    # The key alone would let a notice through to an address that was added since.
    rows = Notification.objects.filter(topic__in={one.topic for one in notices})
    written = {plan_key.rpartition(":")[0] for plan_key in rows.values_list("plan_key", flat=True)}
    notices = _limited([one for one in notices if f"{one.key}:u{one.user_id}" not in written], now)
    ids = {user_id for one in notices for user_id in (one.user_id, *one.change.before, *one.change.after)}
    people = User.objects.in_bulk(ids)
    pages = [
        outbox.Page(one.key, one.topic, one.user_id, _message(one, people, now), is_repeat=True) for one in notices
    ]
    for outcome in outbox.plan_many(pages, now=now):
        if not outcome.is_reachable:  # the daily look at the coverage tells the team
            logger.warning("The notice %s could not be given: %s", outcome.page.key, " ".join(outcome.reasons))


def _limited(notices, now):
    """The notices without those that would make a flood, the soonest first."""
    before = sorted((one for one in notices if one.kind == BEFORE), key=lambda one: one.change.at)
    recent = Notification.objects.filter(
        user_id__in={one.user_id for one in before},
        topic__startswith="handoff:",
        plan_key__contains=f":{BEFORE}:u",
        created_at__gt=now - MOST_BEFORE_WITHIN,
    )
    topics = set(recent.values_list("user_id", "topic")) if before else ()  # one notice may go to several addresses
    counts = collections.Counter((user_id, int(topic.split(":")[1])) for user_id, topic in topics)
    left_out = set()
    for one in before:
        key = one.user_id, one.schedule.pk
        counts[key] += 1
        if counts[key] > MOST_BEFORE:
            left_out.add(one)
    if left_out:
        logger.warning("%s notices before a shift wait, so that nobody gets a flood of them.", len(left_out))
    return [one for one in notices if one not in left_out]


# --- in words -------------------------------------------------------------------------------------------------
def _message(notice, people, now):
    schedule, change = notice.schedule, notice.change
    tz = zone_of(people[notice.user_id].time_zone)
    what = f"Your shift{coverage.as_role(notice.role)} in {schedule.name}"
    at = coverage.said(change.at, tz)
    is_late = now - change.at > LATE
    if notice.kind == BEFORE:
        title = first = f"{what} begins at {at}"
    elif notice.kind == BEGUN:
        title = f"{what} has begun"
        first = f"{title}: you are on call since {at}" if is_late else title
    else:
        title = f"{what} has ended"
        first = f"{title}, at {at}" if is_late else title
    lines = [f"{first}."]
    if notice.until:
        lines.append(f"It lasts until {coverage.said(notice.until, tz)}.")
    if others := _others(notice, people):
        lines.append(others)
    if notice.kind == ENDED and notice.role == shifts.PRIMARY and not change.after:
        title = f"Nobody took over from you in {schedule.name}"
    return Message(
        title=title,
        body=" ".join(lines),
        url=f"{settings.PUBLIC_URL}/schedules/{schedule.slug}",
        urgency="low",
        kind=Kind.HANDOFF,
    )


def _others(notice, people):
    """Who hands over to whom, as a sentence; of a shadow only where there is somebody."""
    change = notice.change
    others = [user_id for user_id in change.after if user_id != notice.user_id]
    if notice.kind == ENDED:
        if change.joining:
            return f"{_names(change.joining, people)} took over."
        if others:
            return f"{_names(others, people)} {'stays' if len(others) == 1 else 'stay'} on call."
        if notice.role == shifts.SHADOW:
            return ""
        nobody = f"Nobody took over: nobody is on call{_as_what(notice.role)} now."
        return f"{nobody} Tell your team, or add an override." if notice.role == shifts.PRIMARY else nobody
    is_to_come = notice.kind == BEFORE
    if change.leaving:
        return f"You {'take' if is_to_come else 'took'} over from {_names(change.leaving, people)}."
    if others:
        return f"You are on call together with {_names(others, people)}."
    if notice.role == shifts.SHADOW:
        return ""
    return f"Nobody {'is' if is_to_come else 'was'} on call{_as_what(notice.role)} before you."


def _as_what(role):
    return f" as {role.lower()}"


def _names(user_ids, people):
    return coverage.listed([str(people[user_id]) for user_id in user_ids])
