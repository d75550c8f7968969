"""Counters as rows: they survive restarts and are the same in every process."""

from django.db import connection

from core.models import Counter


def add(name, amount=1, **labels):
    """Add to a counter inside the caller's transaction. Labels must be few and low in variety."""
    add_many({(name, text(**labels)): amount})


def text(**labels):
    """Labels as Prometheus writes them, sorted by name."""
    return ",".join(f'{key}="{value}"' for key, value in sorted(labels.items()))


def add_many(amounts):
    """Add `{(name, labels text): amount}` in one statement, in a fixed order so that two writers cannot deadlock."""
    if not amounts:
        return
    rows = sorted((name, labels, amount) for (name, labels), amount in amounts.items())
    names, labels, values = (list(column) for column in zip(*rows, strict=True))
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {Counter._meta.db_table} (name, labels, value) "
            "SELECT * FROM unnest(%s::text[], %s::text[], %s::bigint[]) "
            "ON CONFLICT (name, labels) DO UPDATE "
            f"SET value = {Counter._meta.db_table}.value + EXCLUDED.value",
            [names, labels, values],
        )
