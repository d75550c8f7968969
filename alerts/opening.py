"""From alerts to incidents: an alert joins the open incident of its group, or opens one.

Lock order everywhere: services, then incidents, then alerts. Whoever holds the lock of a service is the only one who
opens incidents for its alerts, so one group has one open incident.
"""

import dataclasses

from django.conf import settings
from django.db import connection
from django.db.models import Count, Q

from alerts import grouping, limits
from alerts.attempts import Changed
from alerts.models import sources
from catalog.models import Service
from incidents import lifecycle, states, timeline
from incidents.models import Incident, Severity
from incidents.priorities import priority_of
from oncall.models import EscalationPolicy

RANKS = {severity: rank for rank, severity in enumerate(Severity.values)}  # 0 is the worst


def is_worse(severity, other):
    """Whether the first severity is worse than the second."""
    return RANKS[severity] < RANKS[other]


def lock_services(services):
    """Lock these services until the transaction ends; others who open incidents for them wait."""
    ids = {service.pk for service in services}
    if not ids:
        return
    rows = Service.objects.filter(pk__in=ids).order_by("pk").select_for_update(no_key=True)
    if len(rows.values_list("pk")) != len(ids):
        raise Changed


def _badness(alert):
    return f"The alert “{alert.title}” is {alert.severity}."


@dataclasses.dataclass(slots=True)
class _Raise:
    """An open incident of which an alert is worse than it."""

    severity: str
    priority: str
    why: str


class Opening:
    """The incidents of one transaction: those that are open and may be joined, and those that open now."""

    def __init__(self, *, now):
        self._now = now
        self._by_group = {}  # (service id, group key) -> Incident or NewIncident
        self._new = []
        self._added = []  # (incident, alert, why)
        self._slid = {}  # incident -> its new group_until
        self._raised = {}  # incident number -> _Raise
        self._placed = []  # alerts
        self._entries = []
        self._storms = limits.Storms({})
        self.open, self.over = {}, set()  # the locked incidents by number, and the numbers of those that have ended

    def lock(self, groups, numbers):
        """Lock the open incidents of these `{(service id, group key)}`, and those of these numbers."""
        groups = {group for group in groups if group[1]}
        wanted = Q(pk__in=numbers)
        if groups:
            wanted |= Q(
                service_id__in={pk for pk, _ in groups},
                group_key__in={key for _, key in groups},
                group_until__gt=self._now,
                status__in=states.OPEN,
            )
        if not groups and not numbers:
            return
        if groups:
            self._storms = limits.Storms(self._opened_lately({pk for pk, _ in groups}))
        for incident in Incident.objects.filter(wanted).order_by("pk").select_for_update(no_key=True):
            if not incident.is_open:
                self.over.add(incident.pk)
                continue
            self.open[incident.pk] = incident
            if incident.group_until and incident.group_until > self._now:
                # The newest wins: an older one of the same group is frozen.
                self._by_group[incident.service_id, incident.group_key] = incident

    def _opened_lately(self, service_ids):
        since = self._now - limits.STORM_WINDOW
        rows = Incident.objects.filter(service_id__in=service_ids, triggered_at__gt=since).order_by()
        return dict(rows.values_list("service_id").annotate(Count("pk")))

    def place(self, alert, destination, group, *, said="", limit=None):
        """Let the alert join the open incident of its group, or open one. Returns (outcome, why).

        `said` is a sentence more for the incident's timeline, `limit` how many incidents a minute the service may open
        for the integration; None: as many as the setting says. The alert has its incident after `write`.
        """
        self._placed.append(alert)
        place = (alert.service_id, group.key)
        incident = self._by_group.get(place) if group.key else None
        frozen = ""
        if isinstance(incident, Incident) and group.freezes and incident.status != states.TRIGGERED:
            frozen = f" Incident #{incident.pk} of this group is frozen, since somebody has it."
            incident = None
        if incident is not None:
            return self._join(alert, destination, group, incident, said)
        service, title, storm = destination.service, alert.title, ""
        limit = settings.STORM_INCIDENTS_PER_MINUTE if limit is None else limit
        if not self._storms.may_open(service.pk, limit):
            storm = limits.storm_reason(service.name, limit)
            key = limits.storm_key(alert.severity, policy_id=destination.policy_id, pages=destination.pages)
            group = grouping.Group(key, limits.STORM_LASTS.seconds, False, False, "the storm of its service")
            place = (alert.service_id, key)
            if (incident := self._by_group.get(place)) is not None:
                outcome, why = self._join(alert, destination, group, incident, f"{said} {storm}".strip())
                return outcome, f"{storm} {why}"
            title = limits.storm_title(service.name, limit)
        why = [f"{sources.classes()[alert.source].label}: {alert.title}"]
        if storm:
            why.append(storm)
        if not destination.pages:
            why.append(f"Nobody is called: rule “{destination.rule}” says so.")
        if said:
            why.append(said)
        new = lifecycle.NewIncident(
            service,
            alert.severity,
            title,
            alert.description,
            priority=destination.priority,
            why=" ".join(why),
            policy=destination.policy_id,  # the row follows in `write`
            pages=destination.pages,
            group_key=group.key,
            group_until=group.until(self._now),
        )
        alert.joins = new
        self._new.append(new)
        if group.key:
            self._by_group[place] = new
        return "new_incident", f"{storm} A new incident: no open one takes it ({group.why}).{frozen}".strip()

    def _join(self, alert, destination, group, incident, said):
        alert.joins = incident
        self.worsen(incident, alert.severity, destination.priority, _badness(alert))
        if isinstance(incident, Incident):
            self._added.append((incident, alert, group.why, said))
            until = group.slid(incident.group_until, triggered_at=incident.triggered_at, now=self._now)
            if until != incident.group_until:
                incident.group_until = self._slid[incident] = until
        return "joined_incident", f"It joins an open incident: {group.why}."

    def worsen(self, incident, severity, priority, why):
        """Raise this open incident, now or as soon as it opens, when an alert of it is worse than it is."""
        if not isinstance(incident, Incident):  # it opens in this very transaction
            if is_worse(severity, incident.severity):
                incident.severity, incident.priority = severity, ""
            if priority and priority < (incident.priority or priority_of(incident.severity)):
                incident.priority = priority
            return
        is_as_bad = not is_worse(severity, incident.severity) and not (priority and priority < incident.priority)
        if is_as_bad:
            return
        priority = priority or priority_of(severity)
        found = self._raised.setdefault(incident.pk, _Raise(severity, priority, why))
        if is_worse(severity, found.severity):
            found.severity, found.why = severity, why
        found.priority = min(found.priority, priority)

    def say(self, alert, kind, text, **data):
        """Write this into the timeline of the alert's incident."""
        self._entries.append((alert, kind, text, data))

    def write(self):
        """Trigger what is new, and give the alerts their incidents. Whoever calls writes the alerts."""
        self._choose_policies()
        incidents = lifecycle.trigger_many(self._new, now=self._now)
        made = {id(new): incident for new, incident in zip(self._new, incidents, strict=True)}
        for alert in self._placed:
            alert.incident = made.get(id(alert.joins), alert.joins)
        self._slide()

    def tell(self):
        """Write the timelines and raise what got worse, once the alerts are written."""
        entries = [
            timeline.entry(
                incident,
                "alert_added",
                f"Another alert: {alert.title} {said}".strip(),
                at=self._now,
                via="source",
                alert=str(alert.pk),
                reasons=[f"{why[0].upper()}{why[1:]}, within the window of the group."],
            )
            for incident, alert, why, said in self._added
        ]
        entries += [
            timeline.entry(alert.incident, kind, text, at=self._now, via="source", alert=str(alert.pk), **data)
            for alert, kind, text, data in self._entries
            if alert.incident_id
        ]
        timeline.record_many(entries)
        for number, one in sorted(self._raised.items()):
            lifecycle.worsen(number, severity=one.severity, priority=one.priority, why=one.why, now=self._now)

    def _choose_policies(self):
        named = EscalationPolicy.objects.in_bulk({new.policy for new in self._new if new.policy})
        for new in self._new:
            if new.policy:
                found = named.get(new.policy)
                if found is None:
                    new.why += " The policy of the rule no longer exists, so that of the service counts."
                new.policy = found

    def _slide(self):
        if not self._slid:
            return
        rows = sorted((incident.pk, until) for incident, until in self._slid.items())
        with connection.cursor() as cursor:
            cursor.execute(
                f"UPDATE {Incident._meta.db_table} AS incident SET group_until = new.until "
                "FROM unnest(%s::bigint[], %s::timestamptz[]) AS new(number, until) "
                "WHERE incident.number = new.number",
                [list(column) for column in zip(*rows, strict=True)],
            )
