"""The queue's door: wake-ups that say "look now"."""

import functools

from django.db import connection

from core.due import due_work
from oncall import handoffs, imports, inspection, swaps

# Any number that no other program on this database uses for an advisory lock.
LOCK = 7_230_413


def one_at_a_time(function):
    """Let one worker at a time do such work; the others stay free for pages, however slow it is.

    What is due stays due, so whoever finds the lock taken leaves it to the next tick. A worker that dies frees it.
    """

    @functools.wraps(function)
    def run():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(%s)", [LOCK])
            if not cursor.fetchone()[0]:
                return
        try:
            function()
        finally:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [LOCK])

    return run


@due_work("handoffs", oldest=handoffs.oldest_due)
@one_at_a_time
def tell_handoffs():
    handoffs.run()


@due_work("coverage", oldest=inspection.oldest_due)
@one_at_a_time
def inspect_coverage():
    inspection.run()


@due_work("calendars", oldest=imports.oldest_due)
@one_at_a_time
def read_calendars():
    imports.run()


@due_work("shift requests", oldest=swaps.oldest_due)
def expire_shift_requests():
    swaps.run()
