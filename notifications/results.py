"""What became of a try: the row's next state, and all that follows from it, in one transaction.

A result counts only while the claim's token still matches. A page that ends unsent is told to the floors above and,
when nothing else reached the person, to the admins.
"""

import collections
import contextlib
import dataclasses
import datetime
import json
import random as randomness

from django.conf import settings
from django.db import IntegrityError, connection, transaction

from core import counters
from notifications import alarms, bundling, circuits, losses
from notifications.channels.base import AdminNeeded, ProviderBroken
from notifications.circuits import Verdict
from notifications.message import CALLS, OUTSIDE, PROBES, storable
from notifications.models import Attempt, ContactMethod, Destination, Notification
from notifications.providers import Route

State = Notification.State
TABLE = Notification._meta.db_table

WENT_OUT = (State.SENT, State.DELIVERED)
LONGEST_RETRY_SECONDS = 300  # whatever a provider's Retry-After says
JITTER = 0.2  # a wait is up to so much longer, so that what failed together does not come back together
TOO_MANY = 429


@dataclasses.dataclass(frozen=True)
class Ending:
    """What a claimed row becomes. `is_untried` undoes the claim: the try never began."""

    pk: int
    lease_token: object
    topic: str
    user_id: int | None
    channel: str
    shown: str
    contact_method_id: int | None
    destination_id: int | None
    state: str
    at: datetime.datetime
    due_at: datetime.datetime | None = None
    reason: str = ""
    provider: str = ""
    provider_id: str = ""
    provider_data: dict = dataclasses.field(default_factory=dict)
    answer: str = ""
    cost: str = ""
    called_at: datetime.datetime | None = None
    receipt_due_at: datetime.datetime | None = None
    person: str = ""
    title: str = ""
    kind: str = ""
    dead_reason: str = ""  # why the address is not to be used any more
    is_untried: bool = False
    verdict: Verdict | None = None  # what the try says of its circuit
    admin_text: str = ""  # what an admin has to change at the provider

    @classmethod
    def of_row(cls, row, state, at, **more):
        same = {"channel": row.channel, "shown": row.address, "title": row.message.get("title", ""), "kind": row.kind}
        return cls._of(row, state, at, **same, **more)

    @classmethod
    def of_job(cls, job, state, at, **more):
        same = {"channel": job.channel.kind, "shown": job.shown, "title": job.message.title, "person": job.person}
        if more.get("is_untried") and job.route and job.route.is_probe:
            more["verdict"] = _verdict(job.route, circuits.UNTRIED, at)
        return cls._of(job, state, at, provider=job.provider, kind=str(job.message.kind), **same, **more)

    @classmethod
    def _of(cls, source, state, at, **more):
        same = ("pk", "lease_token", "topic", "user_id", "contact_method_id", "destination_id")
        return cls(state=state, at=at, **{name: getattr(source, name) for name in same}, **more)


def after(sent, *, random=randomness.random):
    """What a row becomes after this try. `random()` spreads the waits."""
    if sent.error is None:
        return _went_out(sent)
    job, error, route = sent.job, sent.error, sent.job.route or Route()
    seconds = _wait(route, error, random)
    reason = error.message
    if sent.address_is_dead:
        reason += " The address is not used any more" + (", and its owner is told." if not job.is_outside else ".")
    return Ending.of_job(
        job,
        State.FAILED if seconds is None else State.PENDING,
        sent.at,
        due_at=None if seconds is None else sent.at + datetime.timedelta(seconds=seconds),
        reason=short(reason),
        dead_reason=short(error.message) if sent.address_is_dead else "",
        called_at=sent.called_at,
        verdict=_verdict_of(route, error, sent.at),
        admin_text=short(error.message) if isinstance(error, AdminNeeded) else "",
    )


def refused(row, route, at, *, random=randomness.random, **more):
    """What a claimed row becomes that found no account to call: the try counts as failed."""
    seconds = next_wait(route.round, route.seconds, random)
    return Ending.of_row(
        row,
        State.FAILED if seconds is None else State.PENDING,
        at,
        due_at=None if seconds is None else at + datetime.timedelta(seconds=seconds),
        reason=short(route.refusal),
        provider=route.account.key if route.account else "",
        **more,
    )


def _wait(route, error, random):
    """Seconds until the next try, 0 for another account at once, or None when there is no other try."""
    if isinstance(error, ProviderBroken) and route.account:
        if route.has_other:
            return 0
        if not route.may_recover:
            return None
    elif error.permanent:
        return None
    elif route.has_next:
        return 0
    return next_wait(route.round, error.retry_after or 0, random)


def next_wait(round, asked_seconds, random):
    """Seconds between a round of tries, counted from 1, and the next; never less than what the provider asked for."""
    delays = settings.RETRY_DELAYS_SECONDS
    if round > len(delays):
        return None
    # In this order `min` turns a number that is none, which JSON allows, into the longest wait.
    return max(delays[round - 1], min(LONGEST_RETRY_SECONDS, asked_seconds)) * (1 + JITTER * random())


def _verdict(route, what, at, **more):
    return Verdict(route.circuit, route.label, what, at, is_clean=route.is_clean, is_probe=route.is_probe, **more)


def _verdict_of(route, error, at):
    """What a failed try says of the account or host: a clear no is as good a sign of life as a yes."""
    if not route.circuit:
        return None
    if isinstance(error, ProviderBroken):
        return _verdict(route, circuits.BROKEN, at, error=short(error.message))
    if error.permanent:
        return _verdict(route, circuits.UNTRIED if error.status is None else circuits.WORKS, at)
    if error.status == TOO_MANY:
        asked = min(LONGEST_RETRY_SECONDS, error.retry_after or 0)
        until = at + datetime.timedelta(seconds=asked) if asked else None
        return _verdict(route, circuits.BUSY, at, error=short(error.message), until=until)
    return _verdict(route, circuits.FAILS, at, error=short(error.message))


def _went_out(sent):
    job, said, route = sent.job, sent.accepted, sent.job.route or Route()
    is_awaited = job.message.kind in CALLS and not said.is_delivered
    wait = job.channel.receipt_wait(job.account.config if job.account else {}) if is_awaited else None
    return Ending.of_job(
        job,
        State.DELIVERED if said.is_delivered else State.SENT,
        sent.at,
        provider_id=storable(said.provider_id)[:255],
        provider_data=said.data,
        answer=short(said.answer),
        cost=said.cost[:40],
        called_at=sent.called_at,
        receipt_due_at=sent.at + datetime.timedelta(seconds=wait) if wait else None,
        verdict=_verdict(route, circuits.WORKS, sent.at) if route.circuit else None,
    )


class Moved(Exception):
    """A row that was reported as ended was settled in the meantime: look again."""


def record(endings, *, now):
    """Write what became of claimed rows, where the token still matches, with all that follows from it."""
    endings = sorted(endings, key=lambda each: each.pk)
    # First, so that whoever claims a row which is due again at once knows which account to leave alone.
    if verdicts := [each.verdict for each in endings if each.verdict]:
        circuits.note(verdicts, now=now)
    for is_last in (False, False, True):
        try:
            with transaction.atomic():
                over = _write(endings, now, is_last)
        except Moved:
            continue
        # Only now: whoever tells a loss holds its alarm and waits for rows, so whoever holds rows waits for no alarm.
        if over:
            alarms.clear_alarms(over, now=now)
        return


def _write(endings, now, is_last):
    """Write all of it. Returns the keys of the alarms that end with it."""
    # The news go first, before any row is locked here: see losses.py.
    told, following = _tell([each for each in endings if each.state in (State.FAILED, State.CANCELLED)], now)
    has_bundles = any(each.topic.startswith(bundling.PREFIX) for each in endings)
    if following or has_bundles:  # what follows from these writes to more rows than theirs, with lower numbers
        losses.lock({each.pk for each in endings}.union(*following.values()))
    states = _update(endings)
    if not is_last and any(states.get(each.pk) != each.state for each in told):
        raise Moved
    counts = collections.Counter()
    methods, places, quiet, over, needed = {}, {}, set(), set(), {}
    for each in endings:
        if states.get(each.pk) != each.state:
            continue
        if each.state in WENT_OUT:
            counts["oncall_notifications_sent_total", counters.text(channel=each.channel)] += 1
            over.update(losses.over_keys(each.topic, each.user_id, each.destination_id))
            _follow(each)
        if each.state in (*WENT_OUT, State.FAILED):
            status = State.FAILED if each.state == State.FAILED else State.SENT
            counts["notifications_sent_total", counters.text(channel=each.channel, status=status.value)] += 1
        if each.dead_reason and each.contact_method_id:
            methods[each.contact_method_id] = each.dead_reason
            if each.kind in PROBES:
                quiet.add(each.contact_method_id)  # whoever asked for it looks at the answer
        if each.dead_reason and each.destination_id:
            places[each.destination_id] = each.dead_reason
        if each.admin_text and each.kind not in OUTSIDE:
            key = f"provider:{each.provider or each.channel} {each.channel}"
            needed[key] = f"{each.channel} to {each.shown}: {each.admin_text}"
    bundles = [each for each in endings if each.topic.startswith(bundling.PREFIX) and each.pk in states]
    arrived = [each.pk for each in bundles if states[each.pk] in WENT_OUT]
    for topic, user_id in bundling.follow(arrived):
        over.update(losses.over_keys(topic, user_id, None))
    bundling.follow([each.pk for each in bundles if states[each.pk] not in WENT_OUT])
    if following:
        failed = [each for each in told if states.get(each.pk) == State.FAILED]
        losses.bring_forward(following, failed, now=now)
    if methods or places:
        losses.disable(methods, places, quiet=quiet, now=now)
    if needed:
        alarms.raise_alarms(needed, now=now)
    counters.add_many(counts)
    return over


def _follow(ending):
    """Keep the address at which the provider found the reader, when it said that it has moved."""
    moved_to = ending.provider_data.get("moved_to")
    if not moved_to:
        return
    model, pk = (
        (Destination, ending.destination_id) if ending.destination_id else (ContactMethod, ending.contact_method_id)
    )
    row = model.objects.filter(pk=pk).first()
    if row:
        row.address = moved_to
        with contextlib.suppress(IntegrityError), transaction.atomic():  # the person has the new one as well
            row.save(update_fields=["address", "address_key"])


def _tell(endings, now):
    """Say which rows end unsent. Return what was told, and the messages that are to be sent now instead."""
    if not endings:
        return [], {}
    losses.take_turns()
    held = {
        (pk, token): plan_key
        for pk, token, plan_key in Notification.objects.filter(
            pk__in=[each.pk for each in endings], state=State.SENDING, due_at__isnull=False
        ).values_list("pk", "lease_token", "plan_key")
    }
    told = [
        losses.Loss(
            plan_key=held[each.pk, each.lease_token],
            **{name: getattr(each, name) for name in LOST},
        )
        for each in endings
        if (each.pk, each.lease_token) in held
    ]
    return told, losses.tell(told, now=now)


LOST = [field.name for field in dataclasses.fields(losses.Loss) if field.name != "plan_key"]


def _update(endings):
    """Write the rows and their attempts. Return `{pk: state}` of the rows that were still ours."""
    columns = {
        "id": ("bigint", [each.pk for each in endings]),
        "lease_token": ("uuid", [each.lease_token for each in endings]),
        "state": ("text", [each.state.value for each in endings]),
        "due_at": ("timestamptz", [each.due_at for each in endings]),
        "reason": ("text", [each.reason for each in endings]),
        "provider": ("text", [each.provider for each in endings]),
        "provider_id": ("text", [each.provider_id for each in endings]),
        "provider_data": ("jsonb", [json.dumps(each.provider_data) for each in endings]),
        "answer": ("text", [each.answer for each in endings]),
        "cost": ("text", [each.cost for each in endings]),
        "called_at": ("timestamptz", [each.called_at for each in endings]),
        "receipt_due_at": ("timestamptz", [each.receipt_due_at for each in endings]),
        "at": ("timestamptz", [each.at for each in endings]),
        "is_untried": ("boolean", [each.is_untried for each in endings]),
    }
    arrays = ", ".join(f"%s::{kind}[]" for kind, _ in columns.values())
    ids, *values = (value for _, value in columns.values())
    with connection.cursor() as cursor:
        # A row without a due time was settled meanwhile: it keeps that reason, and ends unless the try worked. The
        # numbers are given twice, as that leads to the rows by their keys whatever the planner thinks of the states.
        cursor.execute(
            "WITH ended AS MATERIALIZED (SELECT *, state IN ('sent', 'delivered') AS went_out "
            f"FROM unnest({arrays}) AS it ({', '.join(columns)})), "
            f"held AS (SELECT entry.id FROM {TABLE} AS entry JOIN ended USING (id, lease_token) "
            "WHERE entry.id = ANY(%s) AND entry.state = 'sending' ORDER BY entry.id FOR NO KEY UPDATE OF entry), "
            # An attempt tells what happened even when the result came too late to count.
            f"tried AS (UPDATE {Attempt._meta.db_table} AS attempt SET finished_at = ended.at, ok = went_out, "
            "error = CASE WHEN went_out THEN '' ELSE ended.reason END, provider = ended.provider, "
            "provider_id = ended.provider_id, called_at = ended.called_at, answer = ended.answer, cost = ended.cost "
            "FROM ended WHERE NOT ended.is_untried AND attempt.notification_id = ANY(%s) "
            "AND attempt.notification_id = ended.id AND attempt.lease_token = ended.lease_token) "
            f"UPDATE {TABLE} AS entry SET "
            "state = CASE WHEN entry.due_at IS NULL AND NOT went_out THEN 'cancelled' ELSE ended.state END, "
            "reason = CASE WHEN entry.due_at IS NULL AND NOT went_out OR ended.is_untried "
            "THEN entry.reason ELSE ended.reason END, "
            "due_at = CASE WHEN entry.due_at IS NULL THEN NULL ELSE ended.due_at END, "
            "sent_at = CASE WHEN went_out THEN ended.at ELSE entry.sent_at END, "
            "delivered_at = CASE WHEN ended.state = 'delivered' THEN ended.at ELSE entry.delivered_at END, "
            "receipt_due_at = CASE WHEN entry.due_at IS NULL THEN NULL ELSE ended.receipt_due_at END, "
            "provider = CASE WHEN ended.is_untried THEN entry.provider ELSE ended.provider END, "
            "provider_id = CASE WHEN went_out THEN ended.provider_id ELSE entry.provider_id END, "
            "provider_data = CASE WHEN went_out THEN ended.provider_data ELSE entry.provider_data END, "
            "cost = CASE WHEN went_out THEN ended.cost ELSE entry.cost END, "
            "attempts = entry.attempts - ended.is_untried::int, lease_until = NULL, lease_token = NULL "
            "FROM ended JOIN held USING (id) "
            "WHERE entry.id = ANY(%s) AND entry.id = ended.id AND entry.lease_token = ended.lease_token "
            "AND entry.state = 'sending' RETURNING entry.id, entry.state",
            [ids, *values, ids, ids, ids],
        )
        states = dict(cursor.fetchall())
    if untried := [each for each in endings if each.is_untried]:
        Attempt.objects.filter(
            notification_id__in=[each.pk for each in untried], lease_token__in={each.lease_token for each in untried}
        ).delete()
    return states


def short(text):
    text = storable(text)  # it may quote a provider
    return text if len(text) <= 500 else text[:499] + "…"
