"""Figures over time: how many postmortems, how soon, what comes again, and what is still to be done.

Four statements, whatever there is. Everything counts only what the person may see.
"""

import collections
import dataclasses
import datetime as dt
import statistics

from django.db.models import Count, Exists, Max, OuterRef, Q

from core.zones import zone_of
from incidents.models import Incident, Priority
from postmortems import states
from postmortems.items import overdue, seen_by
from postmortems.models import ActionItem, Factor, Postmortem

MOST = 10_000  # postmortems of one span that are looked at
URGENT = (Priority.P1, Priority.P2)
REPEATED = 2  # from so many postmortems on a cause has come again


@dataclasses.dataclass(frozen=True)
class Month:
    """How many postmortems were begun for impacts of a month, and how many of these are published."""

    first_day: dt.date
    begun: int
    published: int


@dataclasses.dataclass(frozen=True)
class Cause:
    """A cause that was named in several postmortems, as it was written last; `postmortems` are `(number, title)`."""

    cause: str
    count: int
    postmortems: tuple


@dataclasses.dataclass(frozen=True)
class TeamItems:
    """What a team still has to do."""

    team: str
    slug: str
    open: int
    overdue: int


@dataclasses.dataclass(frozen=True)
class Figures:
    """The figures of a span. Times in seconds, shares from 0 to 1; None where there is nothing to count."""

    since: dt.datetime
    until: dt.datetime
    months: tuple
    count: int
    published: int
    publish_median_seconds: float | None
    publish_mean_seconds: float | None
    causes: tuple
    teams: tuple
    urgent_incidents: int
    urgent_with_postmortem: int
    is_cut: bool  # there were more postmortems than were looked at

    @property
    def urgent_share(self):
        """The share of P1 and P2 incidents that have a postmortem."""
        return self.urgent_with_postmortem / self.urgent_incidents if self.urgent_incidents else None

    @property
    def open_items(self):
        return sum(team.open for team in self.teams)

    @property
    def overdue_items(self):
        return sum(team.overdue for team in self.teams)


def figures(user, since, until, *, now):
    """The figures of `since <= t < until`: of postmortems whose impact began then. Items count as they stand now.

    Months and days are those of the person's time zone. The time to publish counts from the end of the impact, the
    last resolution where none is said.
    """
    zone = zone_of(user.time_zone)
    rows = user.visible(Postmortem.objects.filter(impact_began_at__gte=since, impact_began_at__lt=until))
    shown = list(
        rows.order_by("-number")
        .annotate(resolved_at=Max("incidents__resolved_at"))
        .values_list("number", "title", "status", "impact_began_at", "impact_ended_at", "published_at", "resolved_at")[
            : MOST + 1
        ]
    )
    is_cut, shown = len(shown) > MOST, shown[:MOST]
    waits = [_wait(*one[4:]) for one in shown if one[5] is not None]
    waits = [one for one in waits if one is not None]
    urgent = _urgent(user, since, until)
    return Figures(
        since=since,
        until=until,
        months=_months(shown, since, until, zone),
        count=len(shown),
        published=sum(status == states.PUBLISHED for _, _, status, *_ in shown),
        publish_median_seconds=statistics.median(waits) if waits else None,
        publish_mean_seconds=statistics.fmean(waits) if waits else None,
        causes=_causes({one[0]: one[1] for one in shown}, rows),
        teams=_teams(user, now.astimezone(zone).date()),
        urgent_incidents=urgent["all"],
        urgent_with_postmortem=urgent["written"],
        is_cut=is_cut,
    )


def _wait(impact_ended_at, published_at, resolved_at):
    """How long after its end it was published, in seconds; None when nobody says when that was."""
    ended_at = impact_ended_at or resolved_at
    return max(0.0, (published_at - ended_at).total_seconds()) if ended_at else None


def _months(shown, since, until, zone):
    """Every month of the span in order, those without any too."""
    begun, published = collections.Counter(), collections.Counter()
    for _, _, status, began_at, *_ in shown:
        month = began_at.astimezone(zone).date().replace(day=1)
        begun[month] += 1
        published[month] += status == states.PUBLISHED
    found, month = [], since.astimezone(zone).date().replace(day=1)
    while dt.datetime.combine(month, dt.time(), zone) < until:
        found.append(Month(month, begun[month], published[month]))
        month = (month + dt.timedelta(days=32)).replace(day=1)
    return tuple(found)


def _causes(titles, rows):
    """Causes that came again, the most frequent first. The same words count as the same, however they are written."""
    named = collections.defaultdict(list)
    factors = Factor.objects.filter(postmortem__in=rows.order_by().values("pk")).order_by("-postmortem_id", "pk")
    for cause, number in factors.values_list("cause", "postmortem_id"):
        if number in titles:
            named[" ".join(cause.casefold().split())].append((cause, number))
    again = [found for found in named.values() if len({number for _, number in found}) >= REPEATED]
    causes = []
    for found in again:
        numbers = dict.fromkeys(number for _, number in found)
        causes.append(Cause(found[0][0], len(numbers), tuple((number, titles[number]) for number in numbers)))
    return tuple(sorted(causes, key=lambda one: (-one.count, one.cause.casefold())))


def _teams(user, today):
    """Open and overdue items per team, as they stand, the most overdue first."""
    late = overdue(today)
    rows = (
        seen_by(user)
        .filter(status__in=ActionItem.OPEN)
        .order_by()
        .values("postmortem__team__name", "postmortem__team__slug")
        .annotate(open=Count("pk"), overdue=Count("pk", filter=late))
    )
    found = [
        TeamItems(*one)
        for one in rows.values_list("postmortem__team__name", "postmortem__team__slug", "open", "overdue")
    ]
    return tuple(sorted(found, key=lambda one: (-one.overdue, -one.open, one.team.casefold())))


def _urgent(user, since, until):
    """How many P1 and P2 incidents there were, and how many of them have a postmortem that the person may see."""
    written = user.visible(Postmortem.objects.order_by()).filter(incidents=OuterRef("pk"))
    rows = user.visible(
        Incident.objects.filter(
            priority__in=URGENT, merged_into=None, triggered_at__gte=since, triggered_at__lt=until
        ).order_by()
    )
    return rows.aggregate(all=Count("pk"), written=Count("pk", filter=Q(Exists(written))))
