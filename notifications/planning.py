"""Decide and write what is to be sent: one row per message, due at a time.

Batch-shaped, because a storm pages thousands: a constant number of statements whatever the number of pages.
"""

import dataclasses
import datetime
import json
import uuid

from django.conf import settings
from django.db import connection

from accounts.models import User
from core import due
from notifications import rules
from notifications.message import Message
from notifications.models import ContactMethod, Notification, NotificationRule, shown_address


@dataclasses.dataclass(frozen=True)
class Page:
    """Tell one person something.

    `key` names the page, for example "incident:42:p1": planning it twice writes nothing. `topic` says what it is
    about, for example "incident:42". `is_repeat` is True from the second page of a topic on; first pages go first.
    """

    key: str
    topic: str
    user_id: int
    message: Message
    is_repeat: bool = False


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
    """Load how these people can be reached: `{user_id: Reach}`, in three statements. Unknown ids are left out."""
    user_ids = set(user_ids)
    if not user_ids:
        return {}
    methods, wanted = {}, {}
    for user_id, pk, channel, address, verified_at, disabled_reason in (
        ContactMethod.objects.filter(user_id__in=user_ids)
        .order_by("pk")
        .values_list("user_id", "pk", "channel", "address", "verified_at", "disabled_reason")
    ):
        method = rules.Method(
            pk, channel, address, verified_at is not None, disabled_reason, shown_address(channel, address)
        )
        methods.setdefault(user_id, []).append(method)
    for user_id, method_id, urgency, delay_minutes in (
        NotificationRule.objects.filter(user_id__in=user_ids)
        .order_by("delay_minutes", "pk")
        .values_list("user_id", "contact_method_id", "urgency", "delay_minutes")
    ):
        wanted.setdefault(user_id, []).append(rules.Rule(method_id, urgency, delay_minutes))
    return {
        pk: rules.Reach(pk, name or email, is_active, tuple(methods.get(pk, ())), tuple(wanted.get(pk, ())))
        for pk, name, email, is_active in User.objects.filter(pk__in=user_ids).values_list(
            "pk", "name", "email", "is_active"
        )
    }


def plan_many(pages, *, now, reaches=None):
    """Write the messages of these pages in the caller's transaction; return a `PageOutcome` for each, in order.

    Writing the same page again changes nothing. `reaches` may hold people that are already loaded.
    """
    people = reaches if reaches is not None else load_reaches(page.user_id for page in pages)
    outcomes, rows, bodies, plans = [], [], {}, {}
    for page in pages:
        message = page.message
        planned, reasons = _plan(plans, people, page.user_id, message.urgency, now)
        outcomes.append(PageOutcome(page, planned, reasons))
        # The same message goes to several people: write its JSON once. Told apart by identity, which costs nothing.
        body = bodies.get(id(message)) or bodies.setdefault(id(message), json.dumps(message.to_json()))
        key = f"{page.key}:u{page.user_id}"
        rows += [
            (
                uuid.uuid4(),
                f"{key}:{each.rule_key}",
                page.topic,
                page.user_id,
                each.method_id,
                each.channel,
                each.address,
                message.urgency,
                page.is_repeat,
                body,
                each.due_at,
            )
            for each in planned
        ]
    if rows:
        _insert(rows, now=now, link_expires_at=now + datetime.timedelta(hours=settings.LINK_HOURS))
        if any(row[-1] <= now for row in rows):
            due.wake("deliveries")
    return outcomes


def _insert(rows, *, now, link_expires_at):
    """Write the rows that are not there yet: columns as arrays, which takes a third of the time of `bulk_create`."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {Notification._meta.db_table} (uuid, plan_key, topic, user_id, contact_method_id, channel, "
            "address, urgency, is_repeat, message, due_at, planned_at, created_at, link_expires_at, state, reason, "
            "provider_id, is_possible_repeat, attempts) "
            "SELECT uuid, plan_key, topic, user_id, method_id, channel, address, urgency, is_repeat, message, due_at, "
            "due_at, %s, %s, 'pending', '', '', false, 0 "
            "FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::bigint[], %s::bigint[], %s::text[], %s::text[], "
            "%s::text[], %s::boolean[], %s::jsonb[], %s::timestamptz[]) AS page (uuid, plan_key, topic, user_id, "
            "method_id, channel, address, urgency, is_repeat, message, due_at) "
            "ON CONFLICT (plan_key) DO NOTHING",
            [now, link_expires_at, *(list(column) for column in zip(*rows, strict=True))],
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
