"""What a postmortem says in numbers: how fast, for how long, who was called. Pure."""

import dataclasses
import datetime as dt


@dataclasses.dataclass(frozen=True)
class Work:
    """When one incident began, was taken, and ended; None where it has not happened."""

    triggered_at: dt.datetime
    acknowledged_at: dt.datetime | None
    resolved_at: dt.datetime | None


@dataclasses.dataclass(frozen=True)
class Call:
    """One page to one person. The same page on several channels has the same key."""

    key: str
    person: int
    name: str
    at: dt.datetime


def compute(works, calls, *, impact_began_at, impact_ended_at):
    """The figures as plain JSON: times in seconds, None where nothing has happened yet.

    `people_paged` are `{"name", "count"}`, whoever was called most often first.
    """
    first = {}
    for call in calls:
        first[call.key] = min(first.get(call.key, call), call, key=lambda one: one.at)
    by_person = {}
    for call in sorted(first.values(), key=lambda one: one.at):
        by_person.setdefault(call.person, []).append(call)
    paged = sorted(by_person.values(), key=lambda one: (-len(one), one[0].name))
    first_at = min((call.at for call in first.values()), default=None)
    return {
        "incidents": len(works),
        "mtta_seconds": _mean(one.acknowledged_at - one.triggered_at for one in works if one.acknowledged_at),
        "mttr_seconds": _mean(one.resolved_at - one.triggered_at for one in works if one.resolved_at),
        "impact_seconds": (impact_ended_at - impact_began_at).total_seconds() if impact_ended_at else None,
        "pages": len(first),
        "people_paged": [{"name": one[0].name, "count": len(one)} for one in paged],
        "first_page_at": first_at.astimezone(dt.UTC).isoformat().replace("+00:00", "Z") if first_at else None,
    }


def _mean(durations):
    seconds = [duration.total_seconds() for duration in durations]
    return sum(seconds) / len(seconds) if seconds else None
