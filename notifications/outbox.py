"""The outbox: what is to be sent is a row; this claims due rows, sends them, and notes what came of it.

A row moves pending → sending → sent (→ delivered → acknowledged), or ends failed or cancelled. A claim gives a lease
and a fencing token and commits an `Attempt` before the call; the answer counts only while the token still matches. A
row in `sending` without a due time was settled while it was under way: it is never tried again.
"""

import collections
import datetime
import time
import uuid

from django.db import connection, transaction
from django.utils import timezone

from core import due
from notifications import alarms, bundling, jobs, limits, sending, turns
from notifications.message import CALLS, OUTSIDE
from notifications.models import Attempt, Notification
from notifications.planning import Page, PageOutcome, plan_many, reaches
from notifications.results import Ending, after, record, short
from notifications.turns import oldest_due

__all__ = [
    "Page",
    "PageOutcome",
    "claim",
    "deliver",
    "oldest_due",
    "oldest_outside",
    "plan_many",
    "reaches",
    "settle",
]

State = Notification.State
TABLE = Notification._meta.db_table

LEASE = datetime.timedelta(seconds=60)
STALE = datetime.timedelta(hours=12)  # after half a day a page misleads more than it helps
BATCH = 200
MAX_CLAIMS = 10  # a message that stops its worker each time is given up
PAUSE = datetime.timedelta(seconds=2)  # for messages handed back by a stuck lane
SETTLED_SECONDS = 0.2  # how often the messages that wait in lanes are compared with their rows
OUTSIDE_AT_ONCE = 48  # messages to readers outside in the hands of a worker: half of its threads, at the most
PAGES_SECONDS = 25  # a worker that waits for readers outside still takes pages for so long
DRAIN_SECONDS = 35  # `deliver` ends before the queue's time limit of 60 s, even when a provider hangs


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
            # A note that waits stays true whatever happens, and nothing later repeats it: it is sent.
            f"WITH wanted AS (SELECT id FROM {TABLE} WHERE topic = ANY(%(topics)s) AND ("
            "state IN ('pending', 'sending') AND NOT coalesce(message @? '$.data.in_thread', false) "
            "OR (state IN ('sent', 'delivered', 'read') AND user_id = %(by)s AND kind = ANY(%(calls)s)) "
            # Nobody waits for a receipt any more: one that is missing would page the admins about work that is taken.
            "OR (state = 'sent' AND receipt_due_at IS NOT NULL)) "
            "ORDER BY id FOR NO KEY UPDATE) "
            f"UPDATE {TABLE} AS entry SET due_at = NULL, receipt_due_at = NULL, "
            "state = CASE WHEN state = 'pending' THEN 'cancelled' WHEN state = 'sending' THEN 'sending' "
            "WHEN user_id = %(by)s AND kind = ANY(%(calls)s) THEN 'acknowledged' ELSE state END, "
            "reason = CASE WHEN state IN ('pending', 'sending') THEN %(reason)s ELSE reason END, "
            "acknowledged_at = CASE WHEN state IN ('sent', 'delivered', 'read') AND user_id = %(by)s "
            "AND kind = ANY(%(calls)s) THEN %(now)s ELSE acknowledged_at END "
            "FROM wanted WHERE entry.id = wanted.id "
            "AND entry.state IN ('pending', 'sending', 'sent', 'delivered', 'read')",
            {
                "topics": topics,
                "by": by.pk if by else None,
                "calls": [str(kind) for kind in CALLS],
                "reason": short(reason),
                "now": now,
            },
        )


def claim(now, limit=BATCH, *, is_outside=False):
    """Claim up to `limit` due rows for sending and return them, the most urgent first; each has an `Attempt`.

    Rows that are not worth sending any more are ended here with a reason: too old, or superseded by a newer page. What
    many rows say to one address becomes a bundle, and what is over a rate limit is due again later.

    With `is_outside` the rows are those of readers of status pages, as many as their own limit lets through; without,
    none of them is touched.
    """
    while True:
        rows, unfit = (_claim_outside if is_outside else _claim)(now, limit)
        if unfit:
            _end_unfit([row for row in rows if row.pk in unfit], unfit, now)
        wanted = [row for row in rows if row.pk not in unfit]
        if wanted or rows is NOTHING:
            return list(wanted)


NOTHING = ()


@transaction.atomic
def _claim(now, limit):
    """The rows claimed, with `{pk: (state, reason)}` of those that must not be sent; NOTHING when none is due."""
    rows = turns.pick(now, limit)
    return _take(rows + bundling.companions(rows, now), now) if rows else (NOTHING, {})


@transaction.atomic
def _claim_outside(now, limit):
    """The same for readers outside. What their limit does not let through stays due, as nothing waits behind it."""
    if not turns.due_classes(now, turns.OUTSIDE):
        return NOTHING, {}
    purse = limits.outside(now)
    rows = turns.pick(now, min(limit, purse.left(limits.OUTSIDE)), turns.OUTSIDE)
    if not rows:
        return NOTHING, {}
    for _ in rows:
        purse.take([limits.OUTSIDE])
    purse.save()
    return _take(rows, now)


def oldest_outside(now):
    """Since when a message to a reader outside could have gone out, or None when none is due that may."""
    oldest = min((oldest for *_, oldest in turns.due_classes(now, turns.OUTSIDE)), default=None)
    return limits.outside_since(oldest, now) if oldest else None


def _take(rows, now):
    """What of these locked rows is claimed, and `{pk: (state, reason)}` of those that must not be sent."""
    unfit = _unfit(rows, now)
    fit, held = bundling.gather([row for row in rows if row.pk not in unfit], now)
    over = limits.over(fit, now)
    _hold(held | over, now)
    claimed = [row for row in fit if row.pk not in over] + [row for row in rows if row.pk in unfit]
    _start(claimed, now)
    return claimed, unfit


def _start(rows, now):
    """Give the locked rows a lease, a token and an `Attempt`. One statement."""
    if not rows:
        return
    until, token = now + LEASE, uuid.uuid4()
    with connection.cursor() as cursor:
        cursor.execute(
            f"WITH claimed AS (UPDATE {TABLE} SET state = 'sending', due_at = %(until)s, lease_until = %(until)s, "
            "lease_token = %(token)s, attempts = attempts + 1, "
            "is_possible_repeat = is_possible_repeat OR state = 'sending' "
            "WHERE id = ANY(%(ids)s) RETURNING id, attempts) "
            f"INSERT INTO {Attempt._meta.db_table} "
            "(notification_id, number, lease_token, started_at, error, provider, provider_id, answer, cost) "
            "SELECT id, attempts, %(token)s, %(now)s, '', '', '', '', '' FROM claimed ORDER BY id",
            {"ids": [row.pk for row in rows], "until": until, "token": token, "now": now},
        )
    for row in rows:
        row.is_possible_repeat |= row.state == State.SENDING
        row.state, row.due_at, row.lease_until, row.lease_token = State.SENDING, until, until, token
        row.attempts += 1


def _hold(held, now):
    """Put locked rows off, `{pk: (due_at, reason)}`. It counts as no try."""
    if not held:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {TABLE} AS entry SET due_at = held.due_at, reason = held.reason, state = 'pending', "
            "lease_until = NULL, lease_token = NULL, "
            "is_possible_repeat = is_possible_repeat OR state = 'sending' "
            "FROM unnest(%s::bigint[], %s::timestamptz[], %s::text[]) AS held (id, due_at, reason) "
            "WHERE entry.id = held.id",
            [list(held), [due_at for due_at, _ in held.values()], [short(reason) for _, reason in held.values()]],
        )


def _unfit(rows, now):
    """`{pk: (state, reason)}` of those locked rows that must not be sent."""
    superseded = _superseded([row for row in rows if row.kind in CALLS and now - row.planned_at > sending.LATE], now)
    poisonous = _poisonous([row for row in rows if row.attempts >= MAX_CLAIMS])
    empty = bundling.refresh(rows)
    unfit = {}
    for row in rows:
        if now - row.planned_at > STALE:
            unfit[row.pk] = State.CANCELLED, "It was more than 12 hours late, so it was not sent any more."
        elif row.pk in poisonous:
            reason = f"The worker that sent it stopped {MAX_CLAIMS} times, so it was given up. See the worker's log."
            unfit[row.pk] = State.FAILED, reason
        elif row.pk in superseded:
            unfit[row.pk] = State.CANCELLED, "It was superseded by a newer page of the same incident."
        elif row.pk in empty:
            unfit[row.pk] = State.CANCELLED, "Everything in it was settled before it was sent."
    return unfit


def _end_unfit(rows, unfit, now):
    endings = []
    for row in rows:
        state, reason = unfit[row.pk]
        person = str(row.reader) if state == State.FAILED else ""
        endings.append(Ending.of_row(row, state, now, reason=reason, person=person))
    record(endings, now=now)
    stale = sum(
        now - row.planned_at > STALE and not alarms.is_about_alarm(row.topic) and row.kind not in OUTSIDE
        for row in rows
    )
    if stale:
        alarms.raise_alarm(
            f"stale-pages:{now:%Y-%m-%d}",  # nothing ends this alarm, and the next outage must page again
            f"Pages were more than 12 hours late and were not sent ({stale} of them in one go). "
            "Check that a worker and the ticker run, and look through the open incidents.",
            now=now,
        )


def _poisonous(rows):
    """The pks of those rows whose tries never ended: a try that failed, through one of many accounts, does no harm."""
    if not rows:
        return set()
    tries = Attempt.objects.filter(notification__in=[row.pk for row in rows], finished_at=None)
    stopped = collections.Counter(tries.values_list("notification_id", flat=True))
    return {pk for pk, count in stopped.items() if count >= MAX_CLAIMS}


def _superseded(late, now):
    """The pks of those late rows for which the same address has a newer page about the same topic."""
    if not late:
        return set()
    newest, members = {}, collections.defaultdict(list)
    others = Notification.objects.filter(
        topic__in={row.topic for row in late},
        state__in=[State.PENDING, State.SENDING, State.SENT, State.DELIVERED, State.READ],
        kind__in=CALLS,
        planned_at__lte=now,
    ).values_list("topic", "contact_method_id", "destination_id", "planned_at", "pk", "is_repeat", "state")
    for *address, planned_at, pk, is_repeat, state in others:
        address = tuple(address)
        members[address].append((pk, is_repeat, state))
        newest[address] = max(newest.get(address, (planned_at, pk)), (planned_at, pk))
    old, heirs = set(), []
    for row in late:
        planned_at, pk = newest.get((row.topic, row.contact_method_id, row.destination_id), (row.planned_at, row.pk))
        if planned_at > row.planned_at:
            old.add(row.pk)
            if not row.is_repeat:
                heirs.append(pk)
    if heirs:
        # Nobody has told them yet, so the newer page is now their first and does not queue behind others' repeats.
        with transaction.atomic():
            waiting = Notification.objects.filter(pk__in=heirs, state=State.PENDING, is_repeat=True)
            pks = list(waiting.select_for_update(skip_locked=True, no_key=True).values_list("pk", flat=True))
            Notification.objects.filter(pk__in=pks).update(is_repeat=False)
    return old


def deliver(now=None, seconds=10, clock=timezone.now, *, is_outside=False):
    """Send what is due, until nothing is left or `seconds` have passed. `now` stops the clock, for tests.

    Results are written in small groups as they come in, so a slow provider delays neither them nor the next claim.

    With `is_outside` readers of status pages are told too, a few at a time beside the pages: a worker that waits for
    their servers goes on to take what pages people.
    """
    if now is not None:
        clock = lambda: now  # noqa: E731
    _end_abandoned(clock())
    started = time.monotonic()
    looked_at = compared_at = beaten_at = float("-inf")
    bundles, is_ending = set(), False
    with sending.Lanes(clock) as lanes:
        while True:
            passed = time.monotonic() - started
            if passed - beaten_at >= 1:
                due.beat()
                beaten_at = passed
                if passed >= 1 and due.others_wait("outside" if is_outside else "deliveries", now=clock()):
                    seconds = passed  # all workers may be here, and then nobody decides whom to page next
            if passed >= seconds:
                _give_back(lanes.give_back(), clock())
                if not is_ending:
                    # What is not stuck is due still: a pause would let what matters less pass it.
                    _give_back(lanes.give_back(everything=True), clock(), pause=datetime.timedelta(0))
                is_ending = True
            elif is_outside and (room := OUTSIDE_AT_ONCE - lanes.outside) > 0:
                lanes.add(_prepare(claim(clock(), room, is_outside=True), clock()))
            takes_pages = not is_ending or (is_outside and lanes.is_busy and passed < PAGES_SECONDS)
            if takes_pages and lanes.waiting < BATCH // 2 and (not lanes.is_busy or passed - looked_at >= 0.05):
                found = _prepare(claim(clock(), BATCH), clock())
                lanes.add(found)
                bundles.update(job.pk for job in found if job.topic.startswith(bundling.PREFIX))
                looked_at = float("-inf") if len(found) == BATCH else time.monotonic() - started
            if passed - compared_at >= SETTLED_SECONDS and (waiting := lanes.waiting_pks()):
                # Somebody may have acknowledged since the claim: whoever has not been called yet is not called.
                _give_back(lanes.drop(_settled(waiting, bundles.intersection(waiting))), clock())
                compared_at = passed
            if not lanes.is_busy or passed >= seconds + DRAIN_SECONDS:
                return
            ended = lanes.results(timeout=0.2)
            if ended:
                record([after(sent) for sent in ended], now=clock())
            _give_back(lanes.give_back(), clock())


def _end_abandoned(now):
    """End rows that were settled while they were being sent, by a worker that never came back to say how it went."""
    abandoned = Notification.objects.filter(state=State.SENDING, due_at=None, lease_until__lte=now)
    with transaction.atomic():
        # What somebody else holds is left to the next call: waiting for it could become a deadlock.
        if pks := list(abandoned.select_for_update(skip_locked=True, no_key=True).values_list("pk", flat=True)):
            Notification.objects.filter(pk__in=pks).update(state=State.CANCELLED, lease_token=None, lease_until=None)


def _settled(pks, bundles):
    """Those of the claimed rows that were settled since; of bundles, those whose members all were."""
    settled = set(Notification.objects.filter(pk__in=pks, due_at=None).values_list("pk", flat=True))
    return settled | bundling.empty(bundles) if bundles else settled


def _prepare(rows, now):
    """The jobs of these claimed rows. What cannot be sent ends here."""
    found, endings = jobs.make(rows, now)
    if endings:
        record(endings, now=now)
    return found


def _give_back(waiting, now, pause=PAUSE):
    """Put claimed rows back as if they had not been claimed, due again after a pause; a settled one ends cancelled."""
    if waiting:
        back = [Ending.of_job(job, State.PENDING, now, due_at=now + pause, is_untried=True) for job in waiting]
        record(back, now=now)
