"""The outbox: what is to be sent is a row; this claims due rows, sends them, and notes what came of it.

A row moves pending → sending → sent (→ delivered → acknowledged), or ends failed or cancelled. A claim gives a lease
and a fencing token and commits an `Attempt` before the call; the answer counts only while the token still matches. A
row in `sending` without a due time was settled while it was under way: it is never tried again.
"""

import collections
import dataclasses
import datetime
import time

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q
from django.utils import timezone

from accounts.models import User
from core import counters, due
from core.announce import announce
from notifications import alarms, sending
from notifications.message import Message, storable
from notifications.models import Attempt, ContactMethod, Notification, channels, shown_address
from notifications.planning import Page, PageOutcome, plan_many, reaches
from notifications.signals import delivery_ended

__all__ = ["Page", "PageOutcome", "claim", "deliver", "oldest_due", "plan_many", "reaches", "settle"]

State = Notification.State
TABLE = Notification._meta.db_table

LEASE = datetime.timedelta(seconds=60)
STALE = datetime.timedelta(hours=12)  # after half a day a page misleads more than it helps
BATCH = 200
MAX_CLAIMS = 10  # a message that stops its worker each time is given up
LONGEST_RETRY_SECONDS = 300  # whatever a provider's Retry-After says
PAUSE = datetime.timedelta(seconds=2)  # for messages handed back by a stuck lane
SETTLED_SECONDS = 0.2  # how often the messages that wait in lanes are compared with their rows
DRAIN_SECONDS = 35  # `deliver` ends before the queue's time limit of 60 s, even when a provider hangs

# Of the messages due at the same time, first pages go before repeats, and loud ones before quiet ones.
CLASSES = ((False, "high"), (False, "low"), (True, "high"), (True, "low"))


def settle(topics, *, by=None, reason, now):
    """Stop all messages of these topics: cancel what is pending, and never retry what is being sent right now.

    What `by` has received counts as acknowledged by them. One statement, in the caller's transaction.
    """
    topics = list(topics)
    if not topics:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            # Locked in the order of their numbers, as everywhere here, so that two such statements cannot deadlock.
            f"WITH wanted AS (SELECT id FROM {TABLE} WHERE topic = ANY(%(topics)s) AND ("
            "state IN ('pending', 'sending') OR (state IN ('sent', 'delivered') AND user_id = %(by)s)) "
            "ORDER BY id FOR UPDATE) "
            f"UPDATE {TABLE} AS entry SET due_at = NULL, "
            "state = CASE state WHEN 'pending' THEN 'cancelled' WHEN 'sending' THEN 'sending' "
            "ELSE 'acknowledged' END, "
            "reason = CASE WHEN state IN ('pending', 'sending') THEN %(reason)s ELSE reason END, "
            "acknowledged_at = CASE WHEN state IN ('sent', 'delivered') THEN %(now)s ELSE acknowledged_at END "
            "FROM wanted WHERE entry.id = wanted.id AND entry.state IN ('pending', 'sending', 'sent', 'delivered')",
            {"topics": topics, "by": by.pk if by else None, "reason": _short(reason), "now": now},
        )


def oldest_due(now):
    """When the oldest due row was due, or None."""
    return min((oldest for *_, oldest in _due_classes(now)), default=None)


def _due_classes(now):
    """(is_repeat, urgency, oldest due time) of each class with due rows, first class first; four index look-ups."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.is_repeat, c.urgency, oldest.due_at "
            "FROM (VALUES (false, 'high'), (false, 'low'), (true, 'high'), (true, 'low')) AS c (is_repeat, urgency), "
            f"LATERAL (SELECT due_at FROM {TABLE} AS entry WHERE entry.is_repeat = c.is_repeat "
            "AND entry.urgency = c.urgency AND state IN ('pending', 'sending') AND due_at <= %s "
            "ORDER BY due_at LIMIT 1) AS oldest",
            [now],
        )
        return sorted(cursor.fetchall(), key=lambda row: CLASSES.index(row[:2]))


def claim(now, limit=BATCH):
    """Claim up to `limit` due rows for sending and return them, the most urgent first; each has an `Attempt`.

    Rows that are not worth sending any more are ended here with a reason: too old, or superseded by a newer page.
    """
    wanted = []
    while not wanted:
        rows = _claim(now, limit)
        if not rows:
            return []
        ended = _not_worth_sending(rows, now)
        if ended:
            _record(ended.values(), now=now)
        wanted = [row for row in rows if row.pk not in ended]
    return wanted


@transaction.atomic
def _claim(now, limit):
    rows = []
    for is_repeat, urgency, oldest in _due_classes(now):
        ready = Notification.objects.unsettled().filter(is_repeat=is_repeat, urgency=urgency, due_at__lte=now)
        if oldest >= now - sending.LATE:
            queries = [ready.order_by("due_at")]
        else:  # after an outage: what is on time first, then the newest of what is late
            on_time = Q(due_at__gte=now - sending.LATE)
            queries = [ready.filter(on_time).order_by("due_at"), ready.exclude(on_time).order_by("-due_at")]
        for query in queries:
            if len(rows) < limit:
                rows += due.claim(query, now=now, lease=LEASE, limit=limit - len(rows))
    if rows:
        interrupted = [row.pk for row in rows if row.state == State.SENDING]
        Notification.objects.filter(pk__in=[row.pk for row in rows]).update(state=State.SENDING)
        if interrupted:
            Notification.objects.filter(pk__in=interrupted).update(is_possible_repeat=True)
        Attempt.objects.bulk_create(
            Attempt(notification_id=row.pk, number=row.attempts, lease_token=row.lease_token, started_at=now)
            for row in rows
        )
        for row in rows:
            row.is_possible_repeat |= row.state == State.SENDING
            row.state = State.SENDING
    return rows


def _not_worth_sending(rows, now):
    """`{pk: ending}` of the claimed rows that must not be sent."""
    superseded = _superseded([row for row in rows if now - row.planned_at > sending.LATE], now)
    ended = {}
    for row in rows:
        state, person = State.CANCELLED, ""
        if now - row.planned_at > STALE:
            reason = "It was more than 12 hours late, so it was not sent any more."
        elif row.attempts > MAX_CLAIMS:
            state, person = State.FAILED, str(row.user)
            reason = f"The worker that sent it stopped {MAX_CLAIMS} times, so it was given up. See the worker's log."
        elif row.pk in superseded:
            reason = "It was superseded by a newer page of the same incident."
        else:
            continue
        ended[row.pk] = _Ending.of_row(row, state, now, reason=reason, person=person)
    stale = sum(now - row.planned_at > STALE and not alarms.is_about_alarm(row.topic) for row in rows)
    if stale:
        alarms.raise_alarm(
            f"stale-pages:{now:%Y-%m-%d}",  # nothing ends this alarm, and the next outage must page again
            f"Pages were more than 12 hours late and were not sent ({stale} of them in one go). "
            "Check that a worker and the ticker run, and look through the open incidents.",
            now=now,
        )
    return ended


def _superseded(late, now):
    """The pks of those late rows for which the same address has a newer page about the same topic."""
    if not late:
        return set()
    newest, members = {}, collections.defaultdict(list)
    others = Notification.objects.filter(
        topic__in={row.topic for row in late},
        state__in=[State.PENDING, State.SENDING, State.SENT, State.DELIVERED],
        planned_at__lte=now,
    ).values_list("topic", "user_id", "channel", "address", "planned_at", "pk", "is_repeat", "state")
    for *address, planned_at, pk, is_repeat, state in others:
        address = tuple(address)
        members[address].append((pk, is_repeat, state))
        newest[address] = max(newest.get(address, (planned_at, pk)), (planned_at, pk))
    old, heirs = set(), []
    for row in late:
        planned_at, pk = newest.get((row.topic, row.user_id, row.channel, row.address), (row.planned_at, row.pk))
        if planned_at > row.planned_at:
            old.add(row.pk)
            if not row.is_repeat:
                heirs.append(pk)
    if heirs:
        # Nobody has told them yet, so the newer page is now their first and does not queue behind others' repeats.
        with transaction.atomic():
            waiting = Notification.objects.filter(pk__in=heirs, state=State.PENDING, is_repeat=True)
            pks = list(waiting.select_for_update(skip_locked=True).values_list("pk", flat=True))
            Notification.objects.filter(pk__in=pks).update(is_repeat=False)
    return old


@dataclasses.dataclass(frozen=True)
class _Ending:
    """What a claimed row becomes. `is_untried` undoes the claim: the try never began."""

    pk: int
    lease_token: object
    topic: str
    user_id: int
    channel: str
    address: str
    contact_method_id: int | None
    state: str
    at: datetime.datetime
    due_at: datetime.datetime | None = None
    reason: str = ""
    provider_id: str = ""
    person: str = ""
    title: str = ""
    dead_address: bool = False
    is_untried: bool = False

    @classmethod
    def of_row(cls, row, state, at, **more):
        return cls._of(row, state, at, channel=row.channel, title=row.message.get("title", ""), **more)

    @classmethod
    def of_job(cls, job, state, at, **more):
        channel, title = job.channel.kind, job.message.title
        return cls._of(job, state, at, channel=channel, title=title, person=job.person, **more)

    @classmethod
    def _of(cls, source, state, at, **more):
        same = ("pk", "lease_token", "topic", "user_id", "address", "contact_method_id")
        return cls(state=state, at=at, **{name: getattr(source, name) for name in same}, **more)


def deliver(now=None, seconds=10, clock=timezone.now):
    """Send what is due, until nothing is left or `seconds` have passed. `now` stops the clock, for tests.

    Results are written in small groups as they come in, so a slow provider delays neither them nor the next claim.
    """
    if now is not None:
        clock = lambda: now  # noqa: E731
    _end_abandoned(clock())
    started = time.monotonic()
    looked_at = compared_at = beaten_at = float("-inf")
    with sending.Lanes(clock) as lanes:
        while True:
            passed = time.monotonic() - started
            if passed - beaten_at >= 1:
                due.beat()
                beaten_at = passed
            if passed >= seconds:
                _give_back(lanes.give_back(everything=True), clock())
            elif lanes.waiting < BATCH // 2 and (not lanes.is_busy or passed - looked_at >= 0.05):
                found = _prepare(claim(clock(), BATCH), clock())
                lanes.add(found)
                looked_at = float("-inf") if len(found) == BATCH else time.monotonic() - started
            if passed - compared_at >= SETTLED_SECONDS and (waiting := lanes.waiting_pks()):
                # Somebody may have acknowledged since the claim: whoever has not been called yet is not called.
                _give_back(lanes.drop(_settled(waiting)), clock())
                compared_at = passed
            if not lanes.is_busy or passed >= seconds + DRAIN_SECONDS:
                return
            ended = lanes.results(timeout=0.2)
            if ended:
                _record([_after(sent) for sent in ended], now=clock())
            _give_back(lanes.give_back(), clock())


def _end_abandoned(now):
    """End rows that were settled while they were being sent, by a worker that never came back to say how it went."""
    Notification.objects.filter(state=State.SENDING, due_at=None, lease_until__lte=now).update(
        state=State.CANCELLED, lease_token=None, lease_until=None
    )


def _settled(pks):
    """Those of the claimed rows that were settled since."""
    return set(Notification.objects.filter(pk__in=pks, due_at=None).values_list("pk", flat=True))


def _prepare(rows, now):
    """Turn claimed rows into jobs of plain values. Rows whose address may no longer be used end here."""
    if not rows:
        return []
    methods = ContactMethod.objects.in_bulk({row.contact_method_id for row in rows} - {None})
    people = User.objects.in_bulk({row.user_id for row in rows})
    jobs, ended = [], []
    for row in rows:
        method, person = methods.get(row.contact_method_id), people[row.user_id]
        state, trouble = State.FAILED, ""
        if not person.is_active:
            state, trouble = State.CANCELLED, f"{person}'s account is not active any more."
        elif method is None:
            trouble = "The contact method was deleted before the message was sent."
        elif not method.is_usable:
            trouble = f"The contact method is not usable: {method.disabled_reason or 'it is not verified'}."
        elif row.channel not in channels:
            trouble = f"There is no channel “{row.channel}” any more. Choose another for this contact method."
        if trouble:
            ended.append(_Ending.of_row(row, state, now, reason=trouble, person=str(person)))
            continue
        jobs.append(
            sending.Job(
                pk=row.pk,
                lease_token=row.lease_token,
                uuid=row.uuid,
                topic=row.topic,
                user_id=row.user_id,
                channel=channels.get(row.channel),
                contact_method_id=row.contact_method_id,
                address=row.address,
                secret=method.secret,
                person=str(person),
                message=Message.from_json(row.message),
                attempt=row.attempts,
                planned_at=row.planned_at,
                is_possible_repeat=row.is_possible_repeat,
            )
        )
    if ended:
        _record(ended, now=now)
    return jobs


def _after(sent):
    """What a row becomes after this try."""
    job, error = sent.job, sent.error
    if error is None:
        return _Ending.of_job(job, State.SENT, sent.at, provider_id=storable(sent.provider_id)[:255])
    delays = settings.RETRY_DELAYS_SECONDS
    if error.permanent or job.attempt > len(delays):
        return _Ending.of_job(
            job, State.FAILED, sent.at, reason=_short(error.message), dead_address=sent.address_is_dead
        )
    seconds = max(delays[job.attempt - 1], min(error.retry_after or 0, LONGEST_RETRY_SECONDS))
    due_at = sent.at + datetime.timedelta(seconds=seconds)
    return _Ending.of_job(job, State.PENDING, sent.at, reason=_short(error.message), due_at=due_at)


def _give_back(jobs, now):
    """Put claimed rows back as if they had not been claimed, due again after a pause; a settled one ends cancelled."""
    if jobs:
        _record(
            [_Ending.of_job(job, State.PENDING, now, due_at=now + PAUSE, is_untried=True) for job in jobs], now=now
        )


class _Moved(Exception):
    """A row that was reported as ended was settled in the meantime: look again."""


def _record(endings, *, now):
    """Write what became of claimed rows, where the token still matches, with all that follows from it."""
    endings = sorted(endings, key=lambda each: each.pk)
    for is_last in (False, False, True):
        try:
            with transaction.atomic():
                _write(endings, now, is_last)
            return
        except _Moved:
            continue


def _write(endings, now, is_last):
    # The news go first, before any row is locked here: a listener may have to wait for the incident, and whoever
    # acknowledges holds the incident and then waits for the rows.
    told = _tell([each for each in endings if each.state in (State.FAILED, State.CANCELLED)], now)
    states = _update(endings)
    if not is_last and any(states.get(each.pk) != each.state for each in told):
        raise _Moved
    counts = collections.Counter()
    dead, reached = {}, []
    for each in endings:
        if states.get(each.pk) != each.state:
            continue
        if each.state == State.SENT:
            counts["oncall_notifications_sent_total", counters.text(channel=each.channel)] += 1
            reached.append(_unreachable(each.topic, each.user_id))
        if each.state in (State.SENT, State.FAILED):
            counts["notifications_sent_total", counters.text(channel=each.channel, status=each.state.value)] += 1
        if each.dead_address and each.contact_method_id:
            dead[each.contact_method_id] = each.reason
    for pk, reason in sorted(dead.items()):
        ContactMethod.objects.filter(pk=pk, disabled_reason="").update(disabled_reason=reason[:300])
    if reached:
        alarms.clear_alarms(reached, now=now)
    counters.add_many(counts)


def _tell(endings, now):
    """Say which rows end unsent, and raise an alarm for people whom nothing reaches. Return the endings told."""
    if not endings:
        return []
    with connection.cursor() as cursor:
        # Two workers that note the last two failures of one page must see each other, or neither raises the alarm.
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('notifications.outbox.failed'))")
    held = {
        (pk, token): plan_key
        for pk, token, plan_key in Notification.objects.filter(
            pk__in=[each.pk for each in endings], state=State.SENDING, due_at__isnull=False
        ).values_list("pk", "lease_token", "plan_key")
    }
    endings = [each for each in endings if (each.pk, each.lease_token) in held]
    groups = collections.defaultdict(list)
    for each in endings:
        groups[each.topic, each.state, each.reason].append(each.pk)
    # By number, incident:9 before incident:10: whoever locks several incidents takes them in that order too.
    for (topic, state, reason), pks in sorted(groups.items(), key=lambda group: (len(group[0][0]), group[0])):
        announce(delivery_ended, topic=topic, notification_ids=pks, state=state.value, reason=reason, now=now)
    failed = [each for each in endings if each.state == State.FAILED and not alarms.is_about_alarm(each.topic)]
    if failed:
        pages = {each.pk: _page_of(held[each.pk, each.lease_token]) for each in failed}
        alive = Notification.objects.filter(
            topic__in={each.topic for each in failed},
            state__in=[State.PENDING, State.SENDING, State.SENT, State.DELIVERED, State.ACKNOWLEDGED],
        ).exclude(pk__in=[each.pk for each in failed])
        reached = {_page_of(plan_key) for plan_key in alive.values_list("plan_key", flat=True)}
        texts = {}
        for each in failed:
            if pages[each.pk] not in reached:
                key = _unreachable(each.topic, each.user_id)
                texts.setdefault(key, f"No channel could reach {each.person} about “{each.title}” ({each.topic}).")
                texts[key] += f" {each.channel} {shown_address(each.channel, each.address)}: {each.reason}"
        alarms.raise_alarms(texts, now=now)
    return endings


def _update(endings):
    """Write the rows and their attempts. Return `{pk: state}` of the rows that were still ours."""
    columns = [
        [each.pk for each in endings],
        [each.lease_token for each in endings],
        [each.state.value for each in endings],
        [each.due_at for each in endings],
        [each.reason for each in endings],
        [each.provider_id for each in endings],
        [each.at for each in endings],
        [each.is_untried for each in endings],
    ]
    ended = (
        "unnest(%s::bigint[], %s::uuid[], %s::text[], %s::timestamptz[], %s::text[], %s::text[], %s::timestamptz[], "
        "%s::boolean[]) AS ended (id, lease_token, state, due_at, reason, provider_id, at, is_untried)"
    )
    with connection.cursor() as cursor:
        # A row without a due time was settled meanwhile: it keeps that reason, and ends unless the try worked.
        cursor.execute(
            f"WITH ended AS (SELECT * FROM {ended}), "
            f"held AS (SELECT entry.id FROM {TABLE} AS entry JOIN ended USING (id, lease_token) "
            "WHERE entry.state = 'sending' ORDER BY entry.id FOR UPDATE OF entry) "
            f"UPDATE {TABLE} AS entry SET "
            "state = CASE WHEN entry.due_at IS NULL AND ended.state <> 'sent' THEN 'cancelled' ELSE ended.state END, "
            "reason = CASE WHEN entry.due_at IS NULL AND ended.state <> 'sent' OR ended.is_untried "
            "THEN entry.reason ELSE ended.reason END, "
            "due_at = CASE WHEN entry.due_at IS NULL THEN NULL ELSE ended.due_at END, "
            "sent_at = CASE WHEN ended.state = 'sent' THEN ended.at ELSE entry.sent_at END, "
            "provider_id = CASE WHEN ended.state = 'sent' THEN ended.provider_id ELSE entry.provider_id END, "
            "attempts = entry.attempts - ended.is_untried::int, lease_until = NULL, lease_token = NULL "
            "FROM ended JOIN held USING (id) "
            "WHERE entry.id = ended.id AND entry.lease_token = ended.lease_token AND entry.state = 'sending' "
            "RETURNING entry.id, entry.state",
            columns,
        )
        states = dict(cursor.fetchall())
        # An attempt tells what happened even when the result came too late to count.
        cursor.execute(
            f"UPDATE {Attempt._meta.db_table} AS attempt SET finished_at = ended.at, ok = ended.state = 'sent', "
            "error = CASE WHEN ended.state = 'sent' THEN '' ELSE ended.reason END, provider_id = ended.provider_id "
            f"FROM {ended} WHERE NOT ended.is_untried "
            "AND attempt.notification_id = ended.id AND attempt.lease_token = ended.lease_token",
            columns,
        )
    if untried := [each for each in endings if each.is_untried]:
        Attempt.objects.filter(
            notification_id__in=[each.pk for each in untried], lease_token__in={each.lease_token for each in untried}
        ).delete()
    return states


def _unreachable(topic, user_id):
    return f"unreachable:{topic}:{user_id}"


def _page_of(plan_key):
    """The part of a plan key that all messages of one page to one person share."""
    return plan_key.rpartition(":")[0]


def _short(text):
    text = storable(text)  # it may quote a provider
    return text if len(text) <= 500 else text[:499] + "…"
