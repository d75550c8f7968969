"""Decide and write what is to be sent: one row per message, due at a time.

Batch-shaped, because a storm pages thousands: a constant number of statements whatever the number of pages.
"""

import dataclasses
import datetime
import functools
import json
import uuid

from django.conf import settings
from django.contrib.postgres.expressions import ArraySubquery
from django.db import connection
from django.db.models import OuterRef
from django.db.models.functions import JSONObject

from accounts.models import User
from core import due
from notifications import rules
from notifications.message import OUTSIDE, Message
from notifications.models import (
    BULK,
    ContactMethod,
    Destination,
    Notification,
    NotificationRule,
    QuietHours,
    shown_address,
)


@dataclasses.dataclass(frozen=True)
class Page:
    """Tell one person something, or one destination.

    `key` names the page, for example "incident:42:p1": planning it twice writes nothing. `topic` says what it is
    about, for example "incident:42". `is_repeat` is True from the second page of a topic on; first pages go first.
    `share` names whose turn it uses ("service:3"), `level` the escalation level (0: none), `target_seconds` the time
    in which an answer is due.
    """

    key: str
    topic: str
    user_id: int | None
    message: Message
    is_repeat: bool = False
    destination_id: int | None = None
    share: str = ""
    level: int = 0
    target_seconds: int | None = None


@dataclasses.dataclass(frozen=True)
class PageOutcome:
    """What became of a page: the messages planned, and the reasons for what was decided otherwise."""

    page: Page
    planned: tuple
    reasons: tuple

    @property
    def is_reachable(self):
        return bool(self.planned)


def reaches(user_ids):
    """Load how these people can be reached: `{user_id: Reach}`, in two statements. Unknown ids are left out."""
    user_ids = set(user_ids)
    if not user_ids:
        return {}
    methods = {}
    for user_id, pk, channel, address, verified_at, disabled_reason in (
        ContactMethod.objects.filter(user_id__in=user_ids)
        .order_by("pk")
        .values_list("user_id", "pk", "channel", "address", "verified_at", "disabled_reason")
    ):
        shown = shown_address(channel, address)
        method = rules.Method(pk, channel, verified_at is not None, disabled_reason, shown)
        methods.setdefault(user_id, []).append(method)
    return {
        pk: rules.Reach(
            pk,
            name or email,
            is_active,
            tuple(methods.get(pk, ())),
            tuple(rules.Rule(one["method"], one["urgency"], one["delay"]) for one in wanted),
            zone,
            tuple(
                rules.Quiet(
                    tuple(one["days"]),
                    datetime.time.fromisoformat(one["start"]),
                    datetime.time.fromisoformat(one["end"]),
                )
                for one in quiet
            ),
        )
        for pk, name, email, is_active, zone, wanted, quiet in _people().filter(pk__in=user_ids)
    }


@functools.cache
def _people():
    """All people with their rules and quiet hours. Built once: it takes longer than the database needs to answer."""
    wanted = NotificationRule.objects.filter(user=OuterRef("pk")).order_by("delay_minutes", "pk")
    wanted = wanted.values(row=JSONObject(method="contact_method_id", urgency="urgency", delay="delay_minutes"))
    quiet = QuietHours.objects.filter(user=OuterRef("pk")).order_by("pk")
    quiet = quiet.values(row=JSONObject(days="days", start="start_time", end="end_time"))
    people = User.objects.annotate(wanted=ArraySubquery(wanted), quiet=ArraySubquery(quiet)).order_by()
    return people.values_list("pk", "name", "email", "is_active", "time_zone", "wanted", "quiet")


def plan_many(pages, *, now, reaches=None):
    """Write the messages of these pages in the caller's transaction; return a `PageOutcome` for each, in order.

    Writing the same page again changes nothing. `reaches` may hold people that are already loaded.
    """
    pages = list(pages)
    people = reaches
    if people is None:
        people = load_reaches(page.user_id for page in pages if page.user_id is not None)
    places = _places({page.destination_id for page in pages} - {None})
    outcomes, rows, bodies, plans = [], [], {}, {}
    for page in pages:
        message = page.message
        if page.destination_id is None:
            planned, reasons = _plan(plans, people, page.user_id, message.urgency, now)
            key = f"{page.key}:u{page.user_id}"
        else:
            planned, reasons = _plan_place(places.get(page.destination_id), now)
            key = f"{page.key}:d{page.destination_id}"
        outcomes.append(PageOutcome(page, planned, reasons))
        # The same message goes to several people: write its JSON once. Told apart by identity, which costs nothing.
        body = bodies.get(id(message)) or bodies.setdefault(id(message), json.dumps(message.to_json()))
        rows += [_row(page, f"{key}:{each.rule_key}", each, body) for each in planned]
    write(rows, now=now)
    return outcomes


@dataclasses.dataclass(frozen=True)
class Row:
    """One notification to write, in the order of the columns of `COLUMNS`."""

    uuid: uuid.UUID
    plan_key: str
    topic: str
    kind: str
    user_id: int | None
    contact_method_id: int | None
    destination_id: int | None
    channel: str
    address: str
    urgency: str
    is_repeat: bool
    share: str
    level: int
    target_seconds: int | None
    message: str  # JSON
    due_at: datetime.datetime
    changes_id: int | None = None


COLUMNS = {
    "uuid": "uuid",
    "plan_key": "text",
    "topic": "text",
    "kind": "text",
    "user_id": "bigint",
    "contact_method_id": "bigint",
    "destination_id": "bigint",
    "channel": "text",
    "address": "text",
    "urgency": "text",
    "is_repeat": "boolean",
    "share": "text",
    "level": "int",
    "target_seconds": "int",
    "message": "jsonb",
    "due_at": "timestamptz",
    "changes_id": "bigint",
}


def _row(page, key, planned, body):
    return Row(
        uuid=uuid.uuid4(),
        plan_key=key,
        topic=page.topic,
        kind=str(page.message.kind),
        user_id=page.user_id,
        contact_method_id=planned.method_id if page.destination_id is None else None,
        destination_id=page.destination_id,
        channel=planned.channel,
        address=planned.shown,
        urgency=BULK if page.message.kind in OUTSIDE else page.message.urgency,
        is_repeat=page.is_repeat,
        share=page.share,
        level=page.level,
        target_seconds=page.target_seconds,
        message=body,
        due_at=planned.due_at,
    )


def _places(destination_ids):
    return Destination.objects.in_bulk(destination_ids) if destination_ids else {}


def _plan_place(place, now):
    """A destination is told at once, or not at all."""
    if place is None:
        return (), ("The destination does not exist any more.",)
    if not place.is_usable:
        why = place.disabled_reason or "it is not enabled"
        return (), (f"The destination {place} is not used: {why}",)
    planned = rules.Planned(
        method_id=None, channel=place.channel, shown=place.shown, delay_minutes=0, due_at=now, rule_key="d0"
    )
    return (planned,), ()


def write_probe(address, message, *, topic, by, now):
    """Write a message to exactly this address, verified or not, due now; return its Notification.

    `address` is a ContactMethod or a Destination. For tests and codes only, since it asks no rule.
    """
    is_place = isinstance(address, Destination)
    row = Row(
        uuid=uuid.uuid4(),
        plan_key=f"{topic}:{uuid.uuid4().hex}:{'d0' if is_place else f'm{address.pk}'}",
        topic=topic,
        kind=str(message.kind),
        user_id=None if is_place else address.user_id,
        contact_method_id=None if is_place else address.pk,
        destination_id=address.pk if is_place else None,
        channel=address.channel,
        address=address.shown,
        urgency=message.urgency,
        is_repeat=False,
        share=f"probes:{by.pk if by else 0}",
        level=0,
        target_seconds=None,
        message=json.dumps(message.to_json()),
        due_at=now,
    )
    write([row], now=now)
    return Notification.objects.get(uuid=row.uuid)


def write(rows, *, now, is_claimed=False):
    """Write rows in the caller's transaction, and wake the workers when something is due, unless that is seen to."""
    if not rows:
        return
    _insert(rows, now=now, link_expires_at=now + datetime.timedelta(hours=settings.LINK_HOURS))
    if is_claimed:
        return
    for kind in sorted({"outside" if row.urgency == BULK else "deliveries" for row in rows if row.due_at <= now}):
        due.wake(kind)


def _insert(rows, *, now, link_expires_at):
    """Write the rows that are not there yet: columns as arrays, which takes a third of the time of `bulk_create`."""
    names = ", ".join(COLUMNS)
    arrays = ", ".join(f"%s::{kind}[]" for kind in COLUMNS.values())
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {Notification._meta.db_table} ({names}, planned_at, created_at, link_expires_at, state, "
            "reason, provider, provider_id, provider_data, cost, links_used, is_possible_repeat, attempts) "
            f"SELECT {names}, due_at, %s, %s, 'pending', '', '', '', '{{}}', '', '[]', false, 0 "
            f"FROM unnest({arrays}) AS page ({names}) ON CONFLICT (plan_key) DO NOTHING",
            [now, link_expires_at, *([getattr(row, name) for row in rows] for name in COLUMNS)],
        )


def _plan(plans, people, user_id, urgency, now):
    """The plan for one person, made once per call and urgency."""
    if (user_id, urgency) not in plans:
        person = people.get(user_id)
        if person is None:
            planned, reasons = [], [f"Person number {user_id} does not exist any more."]
        else:
            planned, reasons = rules.plan(person, urgency=urgency, now=now)
        plans[user_id, urgency] = tuple(planned), tuple(reasons)
    return plans[user_id, urgency]


load_reaches = reaches  # `plan_many` has an argument of the same name
