"""The statements that write alerts: one for all that are new, one for all that repeat, one for all that changed."""

from django.db import connection
from psycopg.types.json import Jsonb

from alerts.attempts import Changed
from alerts.models import Alert

TABLE = Alert._meta.db_table
# What a change of an alert may touch. Who holds it and which incident it has is only written by whoever lets it go.
CHANGING = (
    "severity",
    "title",
    "description",
    "changed_at",
    "resolved_at",
    "resolved_why",
    "route",
    "resolve_at",
    "resolve_at_why",
    "flapping_since",
)
RELEASING = (
    "incident_id",
    "service_id",
    "severity",
    "title",
    "route",
    "held_by",
    "held_why",
    "held_at",
    "recheck_at",
)
TIMES = ("first_at", "last_at", "changed_at", "resolved_at", "held_at", "recheck_at", "resolve_at", "flapping_since")


def _row(alert, names):
    row = {name: getattr(alert, name) for name in names}
    for name in TIMES:
        if row.get(name):
            row[name] = row[name].isoformat()
    row["id"] = str(alert.pk)
    return row


_ALL = tuple(field.attname for field in Alert._meta.concrete_fields)


def insert(alerts):
    """Write new alerts. Raises Changed when one of their keys fires already."""
    if not alerts:
        return
    rows = [_row(alert, _ALL) for alert in sorted(alerts, key=lambda one: (one.scope, one.dedup_key))]
    names = ", ".join(rows[0])
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {TABLE} ({names}) SELECT {names} FROM jsonb_populate_recordset(NULL::{TABLE}, %s) "
            "ON CONFLICT (scope, dedup_key) WHERE resolved_at IS NULL DO NOTHING",
            [Jsonb(rows)],
        )
        if cursor.rowcount != len(rows):
            raise Changed


def repeat(repeats, *, now):
    """Count `{alert: how many more}`, each until its new deadline. Raises Changed when one of them is over."""
    if not repeats:
        return
    rows = sorted((alert.pk, more, alert.resolve_at, alert.resolve_at_why) for alert, more in repeats.items())
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {TABLE} AS alert SET occurrences = alert.occurrences + more.amount, last_at = %s, "
            "resolve_at = more.resolve_at, resolve_at_why = more.why "
            "FROM unnest(%s::uuid[], %s::int[], %s::timestamptz[], %s::text[]) "
            "AS more(id, amount, resolve_at, why) WHERE alert.id = more.id AND alert.resolved_at IS NULL",
            [now, *(list(column) for column in zip(*rows, strict=True))],
        )
        if cursor.rowcount != len(rows):
            raise Changed


def change(alerts, *, now):
    """Write what changed of firing alerts, their end included. Raises Changed when one is over or was let go."""
    if not alerts:
        return
    columns = ", ".join(f"{name} = new.{name}" for name in CHANGING)
    names = (*CHANGING, "incident_id", "held_why", "recheck_at")
    rows = [_row(alert, names) for alert in sorted(alerts, key=lambda one: one.pk)]
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {TABLE} AS alert SET {columns}, last_at = %s, "
            # Somebody may just have asked for an earlier look at a held alert.
            "recheck_at = CASE WHEN new.resolved_at IS NULL THEN least(new.recheck_at, alert.recheck_at) END "
            f"FROM jsonb_populate_recordset(NULL::{TABLE}, %s) AS new "
            "WHERE alert.id = new.id AND alert.resolved_at IS NULL "
            # Who lets a held alert go by hand says so in both the words and the route.
            "AND alert.incident_id IS NOT DISTINCT FROM new.incident_id AND alert.held_why = new.held_why",
            [now, Jsonb(rows)],
        )
        if cursor.rowcount != len(rows):
            raise Changed


def release(alerts):
    """Write who holds these alerts, which the caller has locked, or which incident they have."""
    if not alerts:
        return
    columns = ", ".join(f"{name} = new.{name}" for name in RELEASING)
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {TABLE} AS alert SET {columns} FROM jsonb_populate_recordset(NULL::{TABLE}, %s) AS new "
            "WHERE alert.id = new.id",
            [Jsonb([_row(alert, RELEASING) for alert in alerts])],
        )
