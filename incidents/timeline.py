"""The timeline: what happened to an incident, and why. Its numbers are the live feed."""

from django.db import connection

from incidents.models import TimelineEntry

CHANNEL = "watchbill_timeline"


def entry(incident, kind, text, *, at, by=None, via="system", **data):
    """An entry that is not saved yet, for `record_many`."""
    return TimelineEntry(incident=incident, kind=kind, text=text, at=at, by=by, via=via, data=data)


def record_many(entries):
    """Write entries in the caller's transaction and tell every open page when it commits."""
    if not entries:
        return
    TimelineEntry.objects.bulk_create(entries)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, '')", [CHANNEL])


def record(incident, kind, text, *, at, by=None, via="system", **data):
    """Write one entry."""
    record_many([entry(incident, kind, text, at=at, by=by, via=via, **data)])
