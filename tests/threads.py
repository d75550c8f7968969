"""Several calls at the same moment, as several people make them."""

import threading

from django.db import connection


def at_once(*calls):
    """Run these at the same time, each on its own connection; what each gave or raised, in order."""
    outcomes = [None] * len(calls)
    start = threading.Barrier(len(calls))

    def run(number, call):
        start.wait()
        try:
            outcomes[number] = call()
        except Exception as error:  # the test looks at it
            outcomes[number] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=one) for one in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def waits_for_us():
    """The sessions that wait for what our transaction has locked."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pid FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))")
        return [pid for (pid,) in cursor.fetchall()]
