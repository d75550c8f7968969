"""From raw events to alerts, incidents and first pages: one transaction a batch.

Lock order everywhere: services, then incidents, then alerts. Under the locks of its services a batch is decided in
memory, event after event, and written in a constant number of statements. When a row turns out to have changed in
between (another batch opened the same key under another service, somebody resolved the incident by hand), the batch is
rolled back and decided again on what is true now. When deciding raises, the events are decided one by one: the one
that raises is marked and tried again, the others commit.
"""

import datetime as dt
import json
import logging

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Min, Q
from psycopg.types.json import Jsonb

from alerts import event as events
from alerts.models import Alert, InboundEvent, Integration, SeenSignature, sources
from catalog.models import Service
from core import counters, due
from incidents import lifecycle, states, timeline
from incidents.models import Incident
from notifications import alarms

logger = logging.getLogger(__name__)

BATCH = 200
# An event that is older than the last change and comes in so soon after it was overtaken by that change on its way.
OVERTAKEN = dt.timedelta(seconds=15)
# A resolve without an alert waits so long at a time, and so long in all, for an older event to be decided.
EARLY_WAIT, EARLY_LIMIT = dt.timedelta(seconds=1), dt.timedelta(seconds=30)
# A signature is refused when it is 300 s old, so nobody can replay one that was seen this long ago.
SIGNATURE_KEPT = dt.timedelta(seconds=600)
MAX_ATTEMPTS = 8
RETRY_SECONDS = (2, 5, 15, 60, 300, 900, 3600)
OPEN_STATES = (InboundEvent.State.PENDING, InboundEvent.State.FAILED)
# Upper bounds in seconds of the histogram of the time from receipt to decision.
BUCKETS = (0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class _Changed(Exception):
    """Something that the batch relied on has changed: decide again."""


def decide_ids(ids, *, now):
    """Decide these events now; those that another process holds or has decided are skipped. Returns how many."""
    return _decide(InboundEvent.objects.filter(pk__in=ids, state__in=OPEN_STATES), now=now)


def sweep(*, now, limit=BATCH):
    """Decide what is due: left behind by a process that died or was full, or failed before. Returns how many."""
    return _decide(InboundEvent.objects.filter(state__in=OPEN_STATES, due_at__lte=now), now=now, limit=limit)


def oldest_due(now):
    """The due time of the oldest undecided event that is due, or None."""
    rows = InboundEvent.objects.filter(state__in=OPEN_STATES, due_at__lte=now).order_by("due_at")
    return rows.values_list("due_at", flat=True).first()


def run(*, now_of, seconds=10):
    """Sweep until nothing is due or the time is up; `now_of()` reads the clock."""
    until = now_of() + dt.timedelta(seconds=seconds)
    while (now := now_of()) < until:
        due.beat()
        if not sweep(now=now):
            return


def _decide(rows, *, now, limit=BATCH):
    """Lock up to `limit` of `rows` and decide them. The locks are the claim, so no lease is needed."""
    rows = rows.order_by("received_at", "pk")
    with transaction.atomic():
        locked = list(rows.select_for_update(skip_locked=True)[:limit])
        if not locked:
            return 0
        for _ in range(3):
            try:
                with transaction.atomic():
                    _decide_batch(locked, now)
                return len(locked)
            except _Changed:
                continue
            except Exception:  # one of them is poison: find it, let the others through
                logger.warning("A batch of %d events failed; they are decided one by one.", len(locked), exc_info=True)
                break
        for row in locked:
            _decide_alone(row, now)
        return len(locked)


def _decide_alone(row, now):
    try:
        with transaction.atomic():
            _decide_batch([row], now)
    except _Changed:  # no fault of the event: somebody else is at the same alert right now
        InboundEvent.objects.filter(pk=row.pk).update(due_at=now + EARLY_WAIT)
    except Exception as error:  # the event is kept, tried again and shown; nothing else may suffer from it
        logger.warning("Event %s of %s could not be decided.", row.pk, row.source, exc_info=True)
        _mark_failed(row, error, now)


def _mark_failed(row, error, now):
    row.attempts += 1
    row.error = f"{type(error).__name__}: {error}"[:2000].replace("\0", "")
    if row.attempts >= MAX_ATTEMPTS:
        row.state, row.due_at = InboundEvent.State.POISON, None
    else:
        wait = RETRY_SECONDS[min(row.attempts, len(RETRY_SECONDS)) - 1]
        row.state, row.due_at = InboundEvent.State.FAILED, now + dt.timedelta(seconds=wait)
    row.save(update_fields=["attempts", "error", "state", "due_at"])
    alarms.raise_alarm(
        _alarm_key(row),
        f"An event from {row.source} was accepted but could not be turned into an alert: {row.error} "
        "Nobody was paged for it. Open it in the admin under Inbound events.",
        now=now,
    )


def _alarm_key(row):
    return f"event:{row.pk}"


def _decide_batch(rows, now):
    _Batch(rows, now).decide()


class _Batch:
    """The events of one transaction, and what they found."""

    def __init__(self, rows, now):
        self.rows = rows
        self.now = now
        self.results = {row.pk: [] for row in rows}
        self.new_alerts = []
        self.repeats = {}  # alert -> how many more
        self.ended = []  # alerts that resolved in this batch and were in the database before
        self.new_incidents = []  # lifecycle.NewIncident, in order
        self.added = []  # (incident, alert): joined an incident that was open before
        self.acknowledged = []
        self.maybe_over = {}  # incidents of which an alert ended
        self.counts = {}

    def decide(self):
        parsed = self._parse()
        self._load(parsed)
        parsed = self._without_early(parsed)
        for row, event, service, severity in self._routed(parsed):
            self._apply(row, event, service, severity)
        self._write()

    # --- reading -----------------------------------------------------------------------------------------------

    def _parse(self):
        integrations = Integration.objects.in_bulk({row.integration_id for row in self.rows if row.integration_id})
        parsed = []
        for row in self.rows:
            row.integration = integrations.get(row.integration_id)
            # The door has parsed it once, so a BadEvent here is a bug of ours: the event is decided alone and marked.
            for index, event in enumerate(sources.get(row.source).parse(bytes(row.body), row.headers)):
                if not event.dedup_key:
                    event = events.with_key(event, row.generated_key or row.pk.hex, index)
                parsed.append((row, event))
        return parsed

    def _load(self, parsed):
        hints = {event.service for _, event in parsed if event.service}
        ids = {row.service_id for row, _ in parsed}
        services = Service.objects.filter(
            Q(pk__in=ids) | Q(slug__in=hints) | Q(routing_key__in=hints) | Q(name__in=hints)
        )
        # Other batches of these services wait here, so that one window has one incident.
        services = services.select_related("team").order_by("pk").select_for_update(of=("self",), no_key=True)
        self.services = {service.pk: service for service in services}
        self.by_hint = {}
        for field in ("name", "routing_key", "slug"):  # the last wins: a slug means its service before a name does
            for service in self.services.values():
                self.by_hint[getattr(service, field)] = service

        keys = {(row.scope, event.dedup_key) for row, event in parsed}
        self._lock_incidents(self._alerts(keys).values())
        self.firing = self._alerts(keys)
        self.last_change = self._last_changes(keys - self.firing.keys())

    def _alerts(self, keys):
        """`{(scope, key): firing alert}`"""
        if not keys:
            return {}
        scopes, names = zip(*sorted(keys), strict=True)
        rows = Alert.objects.raw(
            f"SELECT alert.* FROM {Alert._meta.db_table} AS alert "
            "JOIN unnest(%s::text[], %s::text[]) AS wanted(scope, key) "
            "ON alert.scope = wanted.scope AND alert.dedup_key = wanted.key WHERE alert.resolved_at IS NULL",
            [list(scopes), list(names)],
        )
        return {(alert.scope, alert.dedup_key): alert for alert in rows}

    def _last_changes(self, keys):
        """`{(scope, key): (the source's time of the last state change, when we resolved it)}`"""
        if not keys:
            return {}
        scopes, names = zip(*sorted(keys), strict=True)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT alert.scope, alert.dedup_key, max(alert.changed_at), max(alert.resolved_at) "
                f"FROM {Alert._meta.db_table} AS alert "
                "JOIN unnest(%s::text[], %s::text[]) AS wanted(scope, key) "
                "ON alert.scope = wanted.scope AND alert.dedup_key = wanted.key GROUP BY 1, 2",
                [list(scopes), list(names)],
            )
            return {(scope, key): times for scope, key, *times in cursor.fetchall()}

    def _lock_incidents(self, alerts):
        """Lock the incidents that this batch may join or end, and keep the open ones by service and severity."""
        window = {pk: self._window(service) for pk, service in self.services.items()}
        joinable = [pk for pk, seconds in window.items() if seconds]
        oldest = self.now - dt.timedelta(seconds=max(window.values(), default=0))
        wanted = Q(pk__in={alert.incident_id for alert in alerts if alert.incident_id})
        if joinable:
            wanted |= Q(service_id__in=joinable, status__in=states.OPEN, triggered_at__gt=oldest)
        rows = Incident.objects.filter(wanted).order_by("pk").select_for_update(no_key=True)
        self.open_incidents, self.over = {}, set()
        for incident in rows:
            if not incident.is_open:
                self.over.add(incident.pk)
            seconds = window.get(incident.service_id)
            if not (seconds and incident.is_open):
                continue
            if incident.triggered_at > self.now - dt.timedelta(seconds=seconds):
                incident.service = self.services[incident.service_id]
                self.open_incidents[incident.service_id, incident.severity] = incident

    def _window(self, service):
        seconds = service.correlation_window_seconds
        return settings.CORRELATION_WINDOW_SECONDS if seconds is None else seconds

    # --- deciding ----------------------------------------------------------------------------------------------

    def _without_early(self, parsed):
        """Leave out requests that end something of which we may know the beginning in a moment.

        A resolve that finds no alert is dropped. But when an older event of the same key's scope is still undecided,
        perhaps in the hands of another process, it may be the trigger: then the request waits for a second.
        """
        begun = set(self.firing)
        early = {}
        for row, event in parsed:
            key = (row.scope, event.dedup_key)
            if event.action == "trigger":
                begun.add(key)
                early[row.pk] = None  # people are not kept waiting
            elif key not in begun and self.now - row.received_at < EARLY_LIMIT:
                early.setdefault(row.pk, row)
        early = {pk: row for pk, row in early.items() if row}
        if not early:
            return parsed
        others = InboundEvent.objects.filter(state__in=OPEN_STATES, scope__in={row.scope for row in early.values()})
        others = others.exclude(pk__in=[row.pk for row in self.rows]).order_by()
        oldest = dict(others.values_list("scope").annotate(Min("received_at")))
        waiting = {pk for pk, row in early.items() if row.scope in oldest and oldest[row.scope] < row.received_at}
        InboundEvent.objects.filter(pk__in=waiting).update(due_at=self.now + EARLY_WAIT)
        self.rows = [row for row in self.rows if row.pk not in waiting]
        return [(row, event) for row, event in parsed if row.pk not in waiting]

    def _routed(self, parsed):
        """`(row, event, service, severity)`: a service the event may name, else that of the key it came through."""
        for row, event in parsed:
            integration = row.integration
            service = self.services.get(row.service_id)
            if event.service and (service is None or integration is None or integration.may_choose_service):
                service = self.by_hint.get(event.service, service)
            if service is None:
                raise LookupError(
                    "The service of this event was deleted. Choose a service for the integration, "
                    "then set the event's due time to now."
                )
            severity = event.severity or (integration.default_severity if integration else "medium")
            yield row, event, service, severity

    def _apply(self, row, event, service, severity):
        key = (row.scope, event.dedup_key)
        alert = self.firing.get(key)
        at = events.event_time(event.occurred_at, row.received_at)
        if alert and alert.incident_id in self.over:
            # Its incident ended and it was left behind: it must not swallow what is new.
            self._end(alert, key, alert.changed_at)
            alert = None
        if event.action == "trigger":
            self._count("alerts_received_total", severity=severity)
            if alert:
                outcome = self._repeat(alert, row)
            elif event.occurred_at and self._was_overtaken(key, at, row):
                outcome = "stale"
            else:
                alert, outcome = self._open(row, event, service, severity, at)
                self.firing[key] = alert
        elif alert is None:
            outcome = "no_open_alert"
        elif event.occurred_at and at < alert.changed_at:
            outcome = "stale"
        elif event.action == "acknowledge":
            self.acknowledged.append(alert)
            outcome = "acknowledged"
        else:
            outcome = self._end(alert, key, at)
        self._count("alerts_correlated_total", result=outcome)
        self.results[row.pk].append((alert, outcome))

    def _was_overtaken(self, key, at, row):
        """Whether a newer change came in just before. Much later, an old start time is a trouble that is back."""
        changed_at, resolved_at = self.last_change.get(key, (at, row.received_at))
        return at < changed_at and row.received_at - resolved_at < OVERTAKEN

    def _open(self, row, event, service, severity, at):
        alert = Alert(
            scope=row.scope,
            dedup_key=event.dedup_key,
            source=row.source,
            integration=row.integration,
            service=service,
            severity=severity,
            title=event.title,
            description=event.description,
            labels=event.labels,
            links=event.links,
            first_at=at,
            last_at=self.now,
            changed_at=at,
        )
        self.new_alerts.append(alert)
        incident = self.open_incidents.get((service.pk, severity))
        if incident is not None:
            alert.joins = incident
            if isinstance(incident, Incident):
                self.added.append((incident, alert))
            return alert, "joined_incident"
        new = lifecycle.NewIncident(
            service,
            severity,
            event.title,
            event.description,
            why=f"{sources.classes()[row.source].label}: {event.title}",
        )
        alert.joins = new
        self.new_incidents.append(new)
        if self._window(service):
            self.open_incidents[service.pk, severity] = new
        return alert, "new_incident"

    def _repeat(self, alert, row):
        if alert in self.repeats or not alert._state.adding:
            self.repeats[alert] = self.repeats.get(alert, 0) + 1
        else:
            alert.occurrences += 1
        return "repeat"

    def _end(self, alert, key, at):
        alert.resolved_at = self.now
        alert.resolved_why = "the source says it is over"
        alert.changed_at = at
        del self.firing[key]
        self.last_change[key] = (at, self.now)
        if not alert._state.adding:
            self.ended.append(alert)
        self.maybe_over[id(alert)] = alert
        return "resolved"

    def _count(self, name, amount=1, **labels):
        key = (name, counters.text(**labels))
        self.counts[key] = self.counts.get(key, 0) + amount

    # --- writing -----------------------------------------------------------------------------------------------

    def _write(self):
        incidents = lifecycle.trigger_many(self.new_incidents, now=self.now)
        made = {id(new): incident for new, incident in zip(self.new_incidents, incidents, strict=True)}
        for alert in self.new_alerts:
            alert.incident = made.get(id(alert.joins), alert.joins)
        self._update_repeats()
        self._update_ended()
        self._insert_alerts()  # last: a key that resolved in this batch may fire again in it
        timeline.record_many(
            [
                timeline.entry(
                    incident,
                    "alert_added",
                    f"Another alert: {alert.title}",
                    at=self.now,
                    via="source",
                    alert=str(alert.pk),
                    reasons=["Same service and severity, within the correlation window."],
                )
                for incident, alert in self.added
            ]
        )
        self._run_verbs()
        self._finish_rows()
        counters.add_many(self.counts)

    def _insert_alerts(self):
        if not self.new_alerts:
            return
        rows = [
            {
                "id": str(alert.pk),
                "scope": alert.scope,
                "dedup_key": alert.dedup_key,
                "source": alert.source,
                "integration_id": alert.integration_id,
                "service_id": alert.service_id,
                "incident_id": alert.incident.pk,
                "severity": alert.severity,
                "title": alert.title,
                "description": alert.description,
                "labels": alert.labels,
                "links": alert.links,
                "occurrences": alert.occurrences,
                "first_at": alert.first_at.isoformat(),
                "last_at": alert.last_at.isoformat(),
                "changed_at": alert.changed_at.isoformat(),
                "resolved_at": alert.resolved_at and alert.resolved_at.isoformat(),
                "resolved_why": alert.resolved_why,
            }
            for alert in sorted(self.new_alerts, key=lambda one: (one.scope, one.dedup_key))
        ]
        names = ", ".join(rows[0])
        table = Alert._meta.db_table
        with connection.cursor() as cursor:
            cursor.execute(
                f"INSERT INTO {table} ({names}) SELECT {names} FROM jsonb_populate_recordset(NULL::{table}, %s) "
                "ON CONFLICT (scope, dedup_key) WHERE resolved_at IS NULL DO NOTHING",
                [Jsonb(rows)],
            )
            if cursor.rowcount != len(rows):
                raise _Changed

    def _update_repeats(self):
        if not self.repeats:
            return
        ids, amounts = zip(*sorted((alert.pk, amount) for alert, amount in self.repeats.items()), strict=True)
        with connection.cursor() as cursor:
            cursor.execute(
                f"UPDATE {Alert._meta.db_table} AS alert SET occurrences = alert.occurrences + more.amount, "
                "last_at = %s FROM unnest(%s::uuid[], %s::int[]) AS more(id, amount) "
                "WHERE alert.id = more.id AND alert.resolved_at IS NULL",
                [self.now, list(ids), list(amounts)],
            )
            if cursor.rowcount != len(ids):
                raise _Changed

    def _update_ended(self):
        for alert in sorted(self.ended, key=lambda one: one.pk):
            changed = Alert.objects.firing().filter(pk=alert.pk)
            if not changed.update(
                resolved_at=alert.resolved_at,
                resolved_why=alert.resolved_why,
                changed_at=alert.changed_at,
                last_at=self.now,
            ):
                raise _Changed

    def _run_verbs(self):
        for alert in self.acknowledged:
            incident = Incident.objects.get(pk=alert.incident_id)
            if incident.status == states.TRIGGERED:
                lifecycle.acknowledge(incident.pk, by=None, now=self.now, via="source")
        numbers = {alert.incident_id for alert in self.maybe_over.values()}
        if not numbers:
            return
        burning = set(Alert.objects.firing().filter(incident_id__in=numbers).values_list("incident_id", flat=True))
        for incident in Incident.objects.open().filter(pk__in=numbers - burning).order_by("pk"):
            lifecycle.resolve(incident.pk, by=None, now=self.now, via="source")

    def _finish_rows(self):
        ids, results, waited = [], [], 0.0
        for row in self.rows:
            ids.append(row.pk)
            results.append(
                json.dumps(
                    [
                        {
                            "alert_id": str(alert.pk) if alert else None,
                            "incident": alert.incident_id if alert else None,
                            "outcome": outcome,
                        }
                        for alert, outcome in self.results[row.pk]
                    ]
                )
            )
            took = max(0.0, (self.now - row.received_at).total_seconds())
            waited += took
            for bound in BUCKETS:
                if took <= bound:
                    self._count("alert_processing_seconds_bucket", le=bound)
        again = [_alarm_key(row) for row in self.rows if row.attempts]
        if again:
            alarms.clear_alarms(again, now=self.now)
        self._count("alert_processing_seconds_count", len(self.rows))
        self._count("alert_processing_seconds_sum_ms", round(waited * 1000))
        with connection.cursor() as cursor:
            cursor.execute(
                f"UPDATE {InboundEvent._meta.db_table} AS event SET state = 'decided', decided_at = %s, "
                "due_at = NULL, error = '', result = done.result::jsonb "
                "FROM unnest(%s::uuid[], %s::text[]) AS done(id, result) WHERE event.id = done.id",
                [self.now, ids, results],
            )


def prune(*, now):
    """Delete decided raw events older than RAW_EVENT_DAYS, at most 5,000 a call, and signatures past their replay."""
    SeenSignature.objects.filter(seen_at__lt=now - SIGNATURE_KEPT).delete()
    before = now - dt.timedelta(days=settings.RAW_EVENT_DAYS)
    old = InboundEvent.objects.filter(state=InboundEvent.State.DECIDED, received_at__lt=before)
    return InboundEvent.objects.filter(pk__in=list(old.values_list("pk", flat=True)[:5000])).delete()[0]
