"""What holds an alert back before it calls anybody: silences, maintenance, other alerts, a service it needs.

`Quiet` is loaded once for a batch: one query finds everything that is set up, and at most two more are made when an
inhibition rule or a dependency is concerned. What is held stays a firing alert with the name of what holds it; when
that ends, `recheck` makes it due at once. Whatever cannot be read holds nothing, because a page too many beats a page
too few, and the admins are told.

An inhibition rule of which an alert matches the source is noted at the alert, negative when the alert matches the
target as well: such an alert holds only alerts that are no source themselves, so two never hold each other.
"""

import dataclasses
import datetime as dt
import functools
import logging

from django.db import connection, transaction

from accounts.models import User
from alerts import matching
from alerts.models import Alert, InhibitionRule, MaintenanceWindow, Silence
from catalog import graph
from catalog.models import Dependency
from core import due
from core.errors import IllegalMove, NotFound
from incidents import states
from incidents.models import Incident, Severity
from notifications import alarms
from oncall.occurrences import BadWindow, Window

logger = logging.getLogger(__name__)

SILENCE, MAINTENANCE, INHIBITION, DEPENDENCY = "silence", "maintenance", "inhibition", "dependency"
RULE = "rule"
WHY_LENGTH = Alert._meta.get_field("held_why").max_length
RANKS = {severity: rank for rank, severity in enumerate(Severity.values)}  # 0 is the worst
# How often one process tells of the same broken row: an alarm counts, and a storm asks hundreds of times a second.
TOLD_AGAIN = dt.timedelta(minutes=1)
_told = {}


@dataclasses.dataclass(frozen=True)
class Hold:
    """What holds an alert: its name, such as "silence:12", a sentence, and when to look again where that is known."""

    by: str
    why: str
    until: dt.datetime | None = None


@dataclasses.dataclass
class _Row:
    """A row of the query below."""

    kind: str
    id: int
    condition: str
    target: str
    name: str
    reason: str
    rrule: str
    zone: str
    integration_id: int | None
    service_ids: list
    team_ids: list
    starts_at: dt.datetime | None
    ends_at: dt.datetime | None
    equal: list

    @property
    def by(self):
        return f"{self.kind}:{self.id}"


class Quiet:
    """Everything that may hold an alert at one moment."""

    def __init__(self, rows, *, now, services=()):
        self.now = now
        self._silences = [row for row in rows if row.kind == SILENCE]
        self._windows = [row for row in rows if row.kind == MAINTENANCE]
        self._rules = [row for row in rows if row.kind == INHIBITION]
        self._edges = {tuple(row.service_ids): row for row in rows if row.kind == DEPENDENCY}
        self._services = {getattr(one, "pk", one) for one in services}
        self._upstream = functools.cache(functools.partial(graph.upstream, self._edges))  # asked often
        self._known_incidents = {}  # service id -> [(severity, number, name of the service)], once asked
        self._own_sources = {}  # alerts that were let through by this very object, as in _sources
        self._open_until = {}

    @classmethod
    def load(cls, *, now, services=()):
        """Read what is set up, in one query. `services` are those that the alerts are likely to belong to."""
        with connection.cursor() as cursor:
            cursor.execute(_SQL, {"now": now})
            return cls([_Row(*row) for row in cursor.fetchall()], now=now, services=services)

    def hold(self, facts, *, service, severity, scope="", key="", integration_id=None):
        """What holds an alert of this Service and severity, or None."""
        held = (
            self._silenced(facts, service, integration_id)
            or self._in_maintenance(facts, service)
            or self._inhibited(facts, integration_id)
            or self._held_by_needed(service, severity)
        )
        if held and (scope, key) not in self._let_go:
            return dataclasses.replace(held, why=_short(held.why))
        for signed in self.inhibits(facts, integration_id=integration_id):
            rule = next(one for one in self._rules if one.id == abs(signed))
            values = tuple(facts.labels.get(name, "") for name in rule.equal)
            self._own_sources.setdefault((rule.id, values), {}).setdefault(signed < 0, facts.title)
        return None

    def inhibits(self, facts, *, integration_id=None):
        """What to note at an alert: the ids of the rules of which it matches the source, negative as said above."""
        return [
            -rule.id if self._matches(rule, rule.target, facts) else rule.id
            for rule in self._rules
            if _is_of(rule, integration_id) and self._matches(rule, rule.condition, facts)
        ]

    @functools.cached_property
    def _let_go(self):
        """`{(scope, key)}` of the held alerts that somebody lets go: nothing holds them any more."""
        rows = Alert.objects.firing().filter(recheck_at__lte=self.now, route__has_key=LET_GO).exclude(held_by="")
        return set(rows.values_list("scope", "dedup_key"))

    # --- silences and maintenance ------------------------------------------------------------------------------

    def _silenced(self, facts, service, integration_id):
        found = [
            row
            for row in self._silences
            if _is_of(row, integration_id)
            and (not row.service_ids or service.pk in row.service_ids)
            and self._is_meant(row, row.integration_id or row.service_ids, facts)
        ]
        if not found:
            return None
        row = max(found, key=lambda one: one.ends_at)
        who = f" by {row.name}" if row.name else ""
        return Hold(row.by, f"Silence{who} until {said(row.ends_at, self.now)}: {row.reason}", row.ends_at)

    def _in_maintenance(self, facts, service):
        for row in self._windows:
            if (row.service_ids or row.team_ids) and not (
                service.pk in row.service_ids or service.team_id in row.team_ids
            ):
                continue
            if not self._is_meant(row, row.service_ids or row.team_ids, facts):
                continue
            if until := self._window_open_until(row):
                reason = f": {row.reason}" if row.reason else ""
                return Hold(row.by, f"Maintenance “{row.name}” until {said(until, self.now)}{reason}", until)
        return None

    def _window_open_until(self, row):
        if row.id not in self._open_until:
            try:
                window = Window(row.starts_at, row.ends_at, row.rrule, row.zone)
                self._open_until[row.id] = window.open_until(self.now)
            except BadWindow as error:
                self._open_until[row.id] = None
                self._tell_broken(row, error)
        return self._open_until[row.id]

    # --- other alerts ------------------------------------------------------------------------------------------

    def _inhibited(self, facts, integration_id):
        for rule in self._rules:
            if not _is_of(rule, integration_id) or not self._matches(rule, rule.target, facts):
                continue
            is_both = self._matches(rule, rule.condition, facts)
            values = tuple(facts.labels.get(name, "") for name in rule.equal)
            for sources in (self._sources, self._own_sources):
                found = sources.get((rule.id, values), {})
                for kind in (False,) if is_both else (False, True):
                    if kind in found:
                        return Hold(rule.by, f"Inhibited by “{found[kind]}”, which fires: rule “{rule.name}”.")
        return None

    @functools.cached_property
    def _sources(self):
        """`{(rule id, values of its equal labels): {matches the target too: title}}` of what fires and is not held."""
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT DISTINCT ON (1, 2, 3) rule.id, given.signed < 0, "
                "ARRAY(SELECT coalesce(alert.labels ->> wanted.name, '') "
                "FROM unnest(rule.equal) WITH ORDINALITY AS wanted(name, place) ORDER BY wanted.place), alert.title "
                f"FROM {Alert._meta.db_table} AS alert CROSS JOIN unnest(alert.inhibits) AS given(signed) "
                f"JOIN {InhibitionRule._meta.db_table} AS rule ON rule.id = abs(given.signed) "
                "WHERE alert.resolved_at IS NULL AND NOT alert.inhibits = '{}'::bigint[] AND alert.held_by = '' "
                "AND alert.inhibits && %s::bigint[] ORDER BY 1, 2, 3, alert.first_at",
                [[signed for rule in self._rules for signed in (rule.id, -rule.id)]],
            )
            found = {}
            for rule_id, is_both, values, title in cursor.fetchall():
                found.setdefault((rule_id, tuple(values)), {})[is_both] = title
            return found

    # --- the service graph -------------------------------------------------------------------------------------

    def _held_by_needed(self, service, severity):
        if not self._edges:
            return None
        first_steps = [(needs, row) for (start, needs), row in self._edges.items() if start == service.pk]
        if not first_steps:
            return None
        incidents = self._incidents(service.pk)
        worst = RANKS.get(severity, len(RANKS))
        for needs, row in first_steps:
            for upstream in (needs, *sorted(self._upstream(needs))):
                for number, incident_severity, name in incidents.get(upstream, ()):
                    if RANKS[incident_severity] <= worst:
                        return Hold(
                            row.by,
                            f"{name} has the open incident #{number} ({incident_severity}), and {service.name} "
                            f"needs {name}.",
                        )
        return None

    def _incidents(self, service_id):
        """`{service id: [(number, severity, name)]}`, the oldest open incident of each severity, the worst first."""
        wanted = set(self._upstream(service_id))
        if not wanted <= self._known_incidents.keys():
            for one in self._services:
                wanted |= self._upstream(one)
            for one in wanted:
                self._known_incidents[one] = []
            rows = (
                Incident.objects.filter(service_id__in=wanted, status__in=states.OPEN)
                .order_by("service_id", "severity", "number")
                .distinct("service_id", "severity")
                .values_list("service_id", "number", "severity", "service__name")
            )
            for one, *facts in sorted(rows, key=lambda row: RANKS[row[2]]):
                self._known_incidents[one].append(tuple(facts))
        return self._known_incidents

    # --- reading -----------------------------------------------------------------------------------------------

    def _is_meant(self, row, is_narrow, facts):
        """Whether the condition matches; an empty one does where something else says which alerts are meant."""
        return self._matches(row, row.condition, facts) if row.condition else bool(is_narrow)

    def _matches(self, row, text, facts):
        try:
            return matching.parse(text).matches(facts)
        except matching.Wrong as error:
            self._tell_broken(row, error)
            return False

    def _tell_broken(self, row, error):
        """Tell the admins of a row that cannot be read, now and then."""
        told = _told.get((row.by, str(error)))
        if told and self.now - told < TOLD_AGAIN:
            return
        if len(_told) > 1000:
            _told.clear()
        _told[row.by, str(error)] = self.now
        alarms.raise_alarm(
            alarm_key(row.by),
            f"The {LABELS[row.kind]} “{row.name or row.reason or row.id}” (number {row.id}) cannot be read and holds "
            f"nothing, so its alerts page: {error} Correct it in the admin.",
            now=self.now,
        )


# What a person may let go by hand, and how the alert says so. What a routing rule suppresses waits for the rule.
RELEASED = (SILENCE, MAINTENANCE, INHIBITION, DEPENDENCY)
LET_GO = "let_go"
LABELS = {SILENCE: "silence", MAINTENANCE: "maintenance window", INHIBITION: "inhibition rule"}


def alarm_key(by):
    """The key of the alarm that says that this silence, window or rule cannot be read."""
    return f"quiet-broken:{by}"


def _is_of(row, integration_id):
    return row.integration_id is None or row.integration_id == integration_id


def _short(text):
    return text if len(text) <= WHY_LENGTH else text[: WHY_LENGTH - 1] + "…"


def said(at, now):
    """A moment in words, with its day when that is not today: times of several people meet here, so it is UTC."""
    at = at.astimezone(dt.UTC)
    return f"{at:%H:%M} UTC" if at.date() == now.astimezone(dt.UTC).date() else f"{at:%a %d %b %Y, %H:%M} UTC"


# One statement for all kinds: it is asked for every batch of events, and nearly always finds little.
_SERVICES = MaintenanceWindow.services.through._meta.db_table
_TEAMS = MaintenanceWindow.teams.through._meta.db_table
_SQL = f"""
SELECT 'silence', one.id, one.condition, '', coalesce(nullif(person.name, ''), person.email, one.made_by), one.reason,
    '', '', one.integration_id, array_remove(ARRAY[one.service_id], NULL), '{{}}'::bigint[], one.starts_at,
    one.ends_at, '{{}}'::text[]
FROM {Silence._meta.db_table} AS one LEFT JOIN {User._meta.db_table} AS person ON person.id = one.owner_id
WHERE one.ends_at > %(now)s AND one.starts_at <= %(now)s AND one.expired_at IS NULL
UNION ALL
SELECT 'maintenance', one.id, one.condition, '', one.name, one.reason, one.rrule, one.time_zone, NULL,
    ARRAY(SELECT service_id FROM {_SERVICES} WHERE maintenancewindow_id = one.id),
    ARRAY(SELECT team_id FROM {_TEAMS} WHERE maintenancewindow_id = one.id), one.starts_at, one.ends_at, '{{}}'
FROM {MaintenanceWindow._meta.db_table} AS one
WHERE one.is_enabled AND one.ended_at IS NULL AND one.starts_at <= %(now)s
    AND (one.ends_at > %(now)s OR one.rrule <> '')
UNION ALL
SELECT 'inhibition', one.id, one.source, one.target, one.name, '', '', '', one.integration_id, '{{}}', '{{}}', NULL,
    NULL, one.equal
FROM {InhibitionRule._meta.db_table} AS one WHERE one.is_enabled
UNION ALL
SELECT 'dependency', one.id, '', '', '', '', '', '', NULL, ARRAY[one.service_id, one.needs_id], '{{}}', NULL, NULL,
    '{{}}'
FROM {Dependency._meta.db_table} AS one WHERE one.holds_alerts
ORDER BY 1, 2
"""


# --- when something ends ------------------------------------------------------------------------------------------


def recheck(by, *, now):
    """Look again, now, at the firing alerts that this holds. In the caller's transaction. Returns how many."""
    return _make_due("held_by = %s", [by], now)


@transaction.atomic
def release(alert_id, *, by, now):
    """Let one held alert go, whatever holds it: its incident opens at once. Raises IllegalMove when it is not held."""
    alert = Alert.objects.select_for_update().filter(pk=alert_id).first()
    if alert is None:
        raise NotFound("There is no such alert.")
    if not alert.is_held:
        raise IllegalMove("This alert is not held any more. Look at its incident instead.")
    if alert.held_by.partition(":")[0] not in RELEASED:
        raise IllegalMove("A routing rule suppresses this alert. Change the rule instead.")
    alert.route[LET_GO] = by.pk if by else None
    alert.held_why = _short(f"{by or 'A program'} let it go. {alert.held_why}")
    alert.recheck_at = now
    alert.save(update_fields=["route", "held_why", "recheck_at"])
    due.wake("held")
    return alert


def recheck_services(service_ids, *, now):
    """Look again at what the dependencies of these services, and of those that need them, hold. Returns how many."""
    edges = list(Dependency.objects.values_list("service_id", "needs_id"))
    wanted = set(service_ids)
    for one in service_ids:
        wanted |= graph.downstream(edges, one)
    return _make_due("held_by LIKE 'dependency:%%' AND service_id = ANY(%s)", [list(wanted)], now)


def recheck_inhibited(inhibits, *, now):
    """Look again at what alerts may have held that are over now: `inhibits` are theirs, in one. Returns how many."""
    rules = {abs(signed) for signed in inhibits}
    if not rules:
        return 0
    return _make_due("held_by = ANY(%s)", [[f"{INHIBITION}:{pk}" for pk in rules]], now)


def after_incident_changed(incident, *, now):
    """What the dependants of an incident's service held may be over. One cheap query where nothing depends."""
    if Dependency.objects.filter(needs_id=incident.service_id, holds_alerts=True).exists():
        recheck_services({incident.service_id}, now=now)


def held_because_of(incident):
    """The firing alerts of dependants that this incident holds. Their reason names it: a dependency has many."""
    rows = Alert.objects.firing().filter(held_by__startswith=f"{DEPENDENCY}:")
    return rows.filter(held_why__contains=f" open incident #{incident.pk} (").select_related("service", "integration")


def _make_due(condition, values, now):
    table = Alert._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(
            # Locked in one order, so that two such statements cannot deadlock.
            f"WITH wanted AS (SELECT id FROM {table} WHERE resolved_at IS NULL AND NOT held_by = '' AND {condition} "
            "ORDER BY id FOR NO KEY UPDATE) "
            f"UPDATE {table} AS alert SET recheck_at = %s FROM wanted WHERE alert.id = wanted.id",
            [*values, now],
        )
        count = cursor.rowcount
    if count:
        due.wake("held")
    return count
