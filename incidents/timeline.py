"""The timeline: what happened to an incident, and why. Its numbers are the live feed."""

import dataclasses
import datetime as dt

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


# --- what stands beside it ------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Beside:
    """Something that a floor above has to say in the timeline of an incident; it is no entry of ours."""

    at: dt.datetime
    kind: str  # "alert", "change" …
    text: str
    url: str = ""
    severity: str = ""


_beside = []


def beside(function):
    """Decorate a function `(incident, reader, *, since, until) -> [Beside]`: what the reader may see of that time."""
    _beside.append(function)
    return function


def beside_of(incident, reader, *, since, until):
    """What the floors above have beside the timeline in this time, the oldest first."""
    found = [one for function in _beside for one in function(incident, reader, since=since, until=until)]
    return sorted(found, key=lambda one: one.at)
