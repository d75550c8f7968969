"""Connections to PostgreSQL beside Django's own: for event loops, and for what must not wait for views."""

from django.conf import settings
from django.db import connection

NOT_PSYCOPGS = ("pool", "cursor_factory")


def parameters(name, *, without=NOT_PSYCOPGS, **tighter):
    """The arguments for psycopg's connect(), for the database of Django's default connection.

    `name` is what pg_stat_activity shows, `without` are options that this connection has no use for, and `tighter`
    ones that hold unless DATABASE_URL says otherwise.
    """
    found = {key: value for key, value in connection.get_connection_params().items() if key not in without}
    for key, value in tighter.items():
        if found.get(key, value) == settings.DATABASE_PATIENCE.get(key, value):
            found[key] = value
    return {"application_name": name, **found}
