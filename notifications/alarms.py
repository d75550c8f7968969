"""Alarms: the product could not do its job, and says so to its admins. Never silent, and never in a loop.

One open row per key, shown to admins, counted in /health/ready and in the metrics. Opening one pages every admin; what
happens again while it is open is only counted. When everything breaks at once, the first PAGED_ALARMS alarms of
PAGED_WITHIN page and the rest are rows only, so that the alarms do not become the storm.
"""

import datetime
import logging

from django.conf import settings
from django.db import connection, transaction

from accounts.models import Role, User
from notifications.message import Kind, Message, storable
from notifications.models import Alarm
from notifications.planning import Page, plan_many

logger = logging.getLogger(__name__)

TOPIC = "alarm:"
PAGED_ALARMS, PAGED_WITHIN = 10, datetime.timedelta(minutes=10)
KEY_LENGTH = Alarm._meta.get_field("key").max_length


def raise_alarm(key, text, *, now):
    """Open the alarm of this key and page the admins, or count it once more if it is open. Never raises."""
    raise_alarms({key: text}, now=now)


def raise_alarms(texts, *, now):
    """Raise several alarms, `{key: text}`, at the cost of one. Never raises."""
    if not texts:
        return
    try:
        with transaction.atomic():
            opened = _upsert({key[:KEY_LENGTH]: storable(text) for key, text in texts.items()}, now)
            for pk, text in opened:
                logger.warning("Alarm %s: %s", pk, text)
            if opened:
                _page_admins(opened, now)
    except Exception:  # what raises an alarm has trouble enough: it must get through
        logger.exception("Could not raise the alarms %s", sorted(texts))


def clear_alarm(key, *, now):
    """Close the alarm of this key, if it is open. Never raises."""
    clear_alarms([key], now=now)


def clear_alarms(keys, *, now):
    """Close the open alarms of these keys. Never raises."""
    try:
        with transaction.atomic():
            wanted = {key[:KEY_LENGTH] for key in keys}
            # Nearly always none is open, and then hundreds of keys need not be sent.
            if is_open := wanted.intersection(Alarm.objects.filter(cleared_at=None).values_list("key", flat=True)):
                _close(Alarm.objects.filter(key__in=is_open), now)
    except Exception:  # see raise_alarms
        logger.exception("Could not clear the alarms %s", sorted(keys))


def clear_prefix(prefix, *, now):
    """Close every open alarm whose key starts with this text. Never raises."""
    try:
        with transaction.atomic():
            _close(Alarm.objects.filter(key__startswith=prefix[:KEY_LENGTH]), now)
    except Exception:  # see raise_alarms
        logger.exception("Could not clear the alarms that start with %s", prefix)


def _close(alarms, now):
    """Close those of these alarms that are open. Keys in order, as in `_upsert`."""
    held = alarms.filter(cleared_at=None).order_by("key").select_for_update()
    Alarm.objects.filter(pk__in=list(held.values_list("pk", flat=True))).update(cleared_at=now)


def is_about_alarm(topic):
    """Whether a message is itself a page about an alarm: if that fails, it raises no other."""
    return topic.startswith(TOPIC)


def _upsert(texts, now):
    """Return (id, text) of the rows that were not open yet. Keys in order, so that two workers cannot deadlock."""
    keys = sorted(texts)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {Alarm._meta.db_table} AS alarm (key, text, count, raised_at, last_at) "
            "SELECT key, text, 1, %s, %s FROM unnest(%s::text[], %s::text[]) AS wanted (key, text) "
            "ON CONFLICT (key) WHERE cleared_at IS NULL DO UPDATE "
            "SET count = alarm.count + 1, last_at = EXCLUDED.last_at, text = EXCLUDED.text "
            # A row that this statement inserted, not updated, has no xmax.
            "RETURNING id, text, xmax = 0",
            [now, now, keys, [texts[key] for key in keys]],
        )
        return [(pk, text) for pk, text, is_new in cursor.fetchall() if is_new]


def _page_admins(opened, now):
    recent = Alarm.objects.filter(raised_at__gt=now - PAGED_WITHIN).count()
    paged = opened[: max(0, PAGED_ALARMS - (recent - len(opened)))]
    admins = User.objects.people().filter(role=Role.ADMIN, is_active=True).values_list("pk", flat=True)
    if not paged:
        logger.warning("%s alarms page nobody: there were %s in ten minutes.", len(opened), recent)
        return
    messages = {
        pk: Message(
            title=f"{settings.SITE_NAME} needs its admin",
            body=text,
            url=f"{settings.PUBLIC_URL}/",
            urgency="high",
            kind=Kind.NOTICE,
            thread=f"alarm-{pk}",
            subject=f"[alarm {pk}] {settings.SITE_NAME} needs its admin",
        )
        for pk, text in paged
    }
    admins = list(admins)
    pages = [Page(f"{TOPIC}{pk}", f"{TOPIC}{pk}", admin, messages[pk]) for pk, _ in paged for admin in admins]
    if not any(outcome.is_reachable for outcome in plan_many(pages, now=now)):
        logger.warning(
            "No admin could be paged about the alarms %s: none has a verified contact method.", list(messages)
        )
