"""Requests from outside that were acted upon: the same one again does nothing."""

import datetime

from django.db import connection

from core.due import housekeeping
from notifications.models import SeenRequest

KEPT = datetime.timedelta(days=2)


def is_first(key, *, now):
    """Remember a request by a key of at most 200 characters; False when it was seen. In the caller's transaction."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {SeenRequest._meta.db_table} (key, at) VALUES (%s, %s) ON CONFLICT DO NOTHING",
            [key[:200], now],
        )
        return cursor.rowcount == 1


def forget(prefix):
    """Forget the requests whose key starts with this text."""
    SeenRequest.objects.filter(key__startswith=prefix).delete()


@housekeeping
def forget_old_requests(*, now):
    SeenRequest.objects.filter(at__lt=now - KEPT).delete()
