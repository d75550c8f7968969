"""Stopping a real process at one point of its work: it waits for a lock that the test holds, and is killed there."""

import contextlib

import psycopg
from django.db import connection

from tests.house import wait_until


@contextlib.contextmanager
def frozen(house, statement, *values):
    """Run a statement that takes a lock, and keep the transaction open for the block."""
    with psycopg.connect(house.environment["DATABASE_URL"]) as other:
        other.execute(statement, values)
        yield
        other.rollback()


def waits_for_a_lock():
    """The sessions that wait for somebody else's lock."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return [pid for (pid,) in cursor.fetchall()]


def kill(house, name):
    """Kill the process; what it had open in the database is rolled back, as when its machine is gone."""
    house.kill(name)
    with connection.cursor() as cursor:
        for pid in waits_for_a_lock():  # one that waits does not look whether its client is still there
            cursor.execute("SELECT pg_terminate_backend(%s)", [pid])
    wait_until(lambda: not waits_for_a_lock(), 10, "the database has noticed")
