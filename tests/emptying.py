"""Empties the tables after a test that committed: what Django's `flush` does, in a fifteenth of its time.

Django truncates every table, then makes the content types and permissions anew. Most tables are empty, and these rows
are always the same, so they stay. After a test that wrote much, or had statistics gathered, Django's way is taken:
what was deleted still takes its place, and the planner would believe that the next test's tables are empty too.
"""

import functools

from django.db import connections, transaction
from django.test import TransactionTestCase

KEPT = {"django_content_type", "auth_permission"}
MUCH_BYTES = 1_000_000

flush = TransactionTestCase._fixture_teardown


def empty_tables(test_case):
    """Stands for `TransactionTestCase._fixture_teardown`."""
    for alias in test_case._databases_names(include_mirrors=False):
        if not _may_skip_triggers(alias) or _has_traces(connections[alias]):
            flush(test_case)
            return
        _empty(connections[alias])


@functools.cache
def _may_skip_triggers(alias):
    """Whether the role may leave out triggers: those that refuse to delete history, and those of foreign keys."""
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT has_parameter_privilege('session_replication_role', 'SET')")
        return cursor.fetchone()[0]


def _has_traces(connection):
    """Whether a table is large, or somebody counted its rows."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM pg_class WHERE oid = ANY(%s::regclass[]) "
            "AND (reltuples >= 0 OR pg_relation_size(oid) > %s))",
            [_tables(connection.alias), MUCH_BYTES],
        )
        return cursor.fetchone()[0]


def _empty(connection):
    names = _tables(connection.alias)
    with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
        # As TRUNCATE does, wait for what a process or thread of the test still writes.
        cursor.execute(f"LOCK TABLE {', '.join(names)} IN SHARE ROW EXCLUSIVE MODE")
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("; ".join(f"DELETE FROM {name}" for name in names))


@functools.cache
def _tables(alias):
    connection = connections[alias]
    names = connection.introspection.django_table_names(only_existing=True, include_views=False)
    return [connection.ops.quote_name(name) for name in sorted(names) if name not in KEPT]
