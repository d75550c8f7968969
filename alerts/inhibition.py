"""Inhibition rules: what people do with them. Each firing alert carries the rules of which it is a source.

So that asking is cheap, that is worked out when an alert opens, and here for all that fire when a rule changes.
"""

import itertools
import logging

from django.db import connection, transaction

from alerts import matching, quiet
from alerts.models import Alert
from core.errors import DomainError
from notifications import alarms
from notifications.message import storable

logger = logging.getLogger(__name__)

CHUNK = 2000
TABLE = Alert._meta.db_table


@transaction.atomic
def save(rule, *, now):
    """Write a new or changed rule, work out its sources, and look again at what it holds. Raises DomainError."""
    rule.name = storable(rule.name).strip()
    rule.source = _checked(rule.source, "source")
    rule.target = _checked(rule.target, "target")
    rule.equal = list(dict.fromkeys(filter(None, (_label(name) for name in rule.equal))))
    if not rule.name:
        raise DomainError("Give the rule a name: a held alert says it.", code="name_required")
    rule.save()
    note_sources(rule)
    _changed(rule.pk, now)
    return rule


@transaction.atomic
def delete(rule, *, now):
    """Delete a rule. What it held and still fires pages at once."""
    pk = rule.pk
    rule.delete()
    _forget(pk)
    _changed(pk, now)


def note_sources(rule):
    """Write at every firing alert whether it is a source of this rule."""
    _forget(rule.pk)
    if not rule.is_enabled:
        return
    source, target = matching.parse(rule.source), matching.parse(rule.target)
    rows = Alert.objects.firing().select_related("service", "integration").order_by("pk")
    if rule.integration_id:
        rows = rows.filter(integration=rule.integration_id)
    signs = {}
    for alert in rows.iterator(chunk_size=CHUNK):
        facts = matching.facts_of_alert(alert)
        if source.matches(facts):
            signs[alert.pk] = -rule.pk if target.matches(facts) else rule.pk
    for some in _batched(signs.items()):
        with connection.cursor() as cursor:
            cursor.execute(
                f"WITH found AS (SELECT one.id, given.signed FROM {TABLE} AS one "
                "JOIN unnest(%s::uuid[], %s::bigint[]) AS given(id, signed) ON given.id = one.id "
                "WHERE one.resolved_at IS NULL ORDER BY one.id FOR NO KEY UPDATE OF one) "
                f"UPDATE {TABLE} AS alert SET inhibits = array_append(alert.inhibits, found.signed) "
                "FROM found WHERE alert.id = found.id AND NOT found.signed = ANY(alert.inhibits)",
                [[pk for pk, _ in some], [signed for _, signed in some]],
            )


def _batched(items):
    items = iter(items)
    while some := list(itertools.islice(items, CHUNK)):
        yield some


def _forget(rule_id):
    with connection.cursor() as cursor:
        cursor.execute(
            # Locked in one order, so that two such statements cannot deadlock.
            f"WITH found AS (SELECT id FROM {TABLE} WHERE resolved_at IS NULL AND NOT inhibits = '{{}}'::bigint[] "
            "AND inhibits && %s::bigint[] ORDER BY id FOR NO KEY UPDATE) "
            f"UPDATE {TABLE} AS alert SET inhibits = array_remove(array_remove(alert.inhibits, %s), %s) "
            "FROM found WHERE alert.id = found.id",
            [[rule_id, -rule_id], rule_id, -rule_id],
        )


def _changed(rule_id, now):
    by = f"{quiet.INHIBITION}:{rule_id}"
    alarms.clear_alarm(quiet.alarm_key(by), now=now)
    quiet.recheck(by, now=now)


def _label(name):
    """The bare name of a label. Conditions may say `labels.cluster`; no alert has a label of that name, so the two
    sides would always be equal.
    """
    return storable(name).strip().removeprefix("labels.")


def _checked(text, side):
    text = storable(text).strip()
    try:
        condition = matching.parse(text)
    except matching.Wrong as error:
        raise DomainError(f"The {side}: {error}", code=side) from None
    if condition.reads_payload:
        raise DomainError(
            f"The {side} asks for the payload, which is known only while an alert comes in. Use labels or fields.",
            code=side,
        )
    return text
