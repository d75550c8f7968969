"""One batch of events: decided in memory under locks, event by event, and written in a constant number of statements.

How a batch comes about, and what happens when one fails, is in alerts/ingest.py.
"""

import bisect
import collections
import datetime as dt
import json
import logging
import uuid

from django.db import DatabaseError, connection
from django.db.models import Min

from alerts import backlog, flapping, grouping, quiet, routing, storing
from alerts import event as events
from alerts.attempts import Broken, Changed, guarded
from alerts.destinations import NO_INTEGRATION, Destinations, key_values, severity_of
from alerts.expiry import resolve_burnt_out
from alerts.models import Alert, ChangeEvent, InboundEvent, Integration, sources
from alerts.opening import Opening, is_worse, lock_services
from alerts.releasing import recheck_at
from core import counters
from incidents import lifecycle, states
from incidents.models import Incident
from notifications import alarms

logger = logging.getLogger(__name__)

# An event that is older than the last change and comes in so soon after it was overtaken by that change on its way.
OVERTAKEN = dt.timedelta(seconds=15)
# A resolve without an alert waits so long at a time, and so long in all, for an older event to be decided.
EARLY_WAIT, EARLY_LIMIT = dt.timedelta(seconds=1), dt.timedelta(seconds=30)
# An event that is decided so late after its receipt counts its end time from now: what prolonged it waits behind it.
LATE = dt.timedelta(seconds=30)
# Of a held alert so many notes are kept for its incident.
NOTES_KEPT, NOTE_KEPT_LENGTH = 20, 1000
# Upper bounds in seconds of the histogram of the time from receipt to decision.
BUCKETS = (0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


def failed_key(row):
    """The key of the alarm about an event that could not be decided."""
    return f"event:{row.pk}"


def _options(row):
    return row.integration.options if row.integration else {}


class _Item:
    """One event of the batch. `keys` is the dedup key that it means; where that fires not, it means the `others`."""

    __slots__ = ("row", "event", "keys", "others", "at", "note")

    def __init__(self, row, event):
        self.row = row
        self.event = event
        self.keys = [event.dedup_key] if event.dedup_key else []
        self.others = []
        self.at = events.event_time(event.occurred_at, row.received_at)
        self.note = ""  # what is to be said about its key

    @property
    def is_keyed(self):
        return self.event.action not in (events.CHANGE, events.IGNORE)

    @property
    def integration(self):
        return self.row.integration or NO_INTEGRATION


class Batch:
    """The events of one transaction, and what they found."""

    def __init__(self, rows, now, without):
        self.rows = rows
        self.now = now
        self.without = without
        self.results = {row.pk: [] for row in rows}  # (alert, outcome, reasons) of each event
        self.opening = Opening(now=now)
        self.new_alerts = []
        self.repeats = {}  # alert -> how many more
        self.changed = {}  # id -> alert that was in the database before; its end is a change too
        self.acknowledged = []
        self.notes = []  # (alert, text)
        self.edits = []  # (alert, {field: value} for its incident)
        self.ended = []
        self.change_events = []
        self.counts = collections.Counter()  # of (name, (label, value), ...)
        self.alarms = {}

    def decide(self):
        for item in self._without_early(self._load(self._parse())):
            self.results[item.row.pk].append(self._apply(item))
        self._write()
        self._note()

    def _note(self):
        """Let the sources write down what their events say beside alerts."""
        by_source = {}
        for row in self.rows:
            by_source.setdefault(row.source, []).append(row)
        for kind, rows in by_source.items():
            if sources.classes()[kind].takes_notes:
                sources.get(kind).note(rows, now=self.now)

    # --- reading -----------------------------------------------------------------------------------------------

    def _parse(self):
        ids = {row.integration_id for row in self.rows if row.integration_id}
        integrations = Integration.objects.select_related("team").in_bulk(ids) if ids else {}
        items = []
        for row in self.rows:
            row.integration = integrations.get(row.integration_id)
            # The door has parsed it once, so a BadEvent here is a bug of ours: the event is decided alone and marked.
            for index, event in enumerate(sources.get(row.source).parse(bytes(row.body), row.headers, _options(row))):
                if not event.dedup_key:
                    event = events.with_key(event, row.generated_key or row.pk.hex, index)
                items.append(_Item(row, event))
        return items

    def _load(self, items):
        self._choose_keys(items)
        keyed = [item for item in items if item.is_keyed]
        keys = {(item.row.scope, key) for item in keyed for key in (*item.keys, *item.others)}
        firing = self._alerts(keys)
        may_open = self._may_open(keyed, firing)
        # Nothing of this is needed for what repeats, and that is most of what comes.
        asking = [*may_open, *(item for item in items if item.event.action == events.CHANGE)]
        self.destinations = None
        if asking:
            pairs = [(item.row, item.event) for item in asking]
            self.destinations = Destinations(pairs, now=self.now, without=self.without)
        self.routed, services, groups = set(), {}, set()
        for item in may_open:
            destination = self.destinations.of(item.row, item.event)
            self.routed.add(id(item))
            services[destination.service.pk] = destination.service
            groups |= {(destination.service.pk, key) for key in destination.places(item.integration)}
        # Other batches of these services wait here, so that one group has one incident.
        lock_services(services.values())
        self._ask_quiet(may_open, services.values())
        numbers = {alert.incident_id for alert in firing.values() if alert.incident_id}
        self.opening.lock(groups, numbers)
        self.firing = self._alerts(keys)
        self.last_change = self._last_changes(may_open)
        return items

    def _choose_keys(self, items):
        """The keys of events that name an alert of ours, or whose integration makes keys of fields."""
        by_id, by_source_key, same = [], [], {}
        for item in items:
            if not item.is_keyed:
                continue
            if item.event.alert_id and not item.event.dedup_key:
                by_id.append(item)
            elif item.integration.dedup_fields:
                if values := key_values(item.row, item.event):
                    item.keys = [grouping.dedup_key(values)]
                else:
                    item.note = "None of the fields of the dedup key is there, so the key of the source counts."
                if item.event.action != events.TRIGGER:
                    by_source_key.append(item)
                elif values:
                    same.setdefault((item.row.scope, item.event.dedup_key), set()).update(item.keys)
        if by_id:
            rows = Alert.objects.firing().filter(pk__in={_uuid(item.event.alert_id) for item in by_id} - {None})
            found = {(scope, pk): key for pk, scope, key in rows.values_list("pk", "scope", "dedup_key")}
            for item in by_id:
                key = found.get((item.row.scope, _uuid(item.event.alert_id)))
                item.keys = [key] if key else []
        if by_source_key:
            # An end often says less than the beginning: the alert remembers the source's own key.
            rows = Alert.objects.firing().filter(
                scope__in={item.row.scope for item in by_source_key},
                route__source_key__in={item.event.dedup_key for item in by_source_key},
            )
            for scope, source_key, key in rows.values_list("scope", "route__source_key", "dedup_key"):
                same.setdefault((scope, source_key), set()).add(key)
            for item in by_source_key:
                item.others = sorted(same.get((item.row.scope, item.event.dedup_key), ()))

    def _may_open(self, items, firing):
        """The triggers that may open an alert, or make one worse: only these are routed."""
        ending = {
            (item.row.scope, key)
            for item in items
            if item.event.action != events.TRIGGER
            for key in (*item.keys, *item.others)
        }
        found = []
        for item in items:
            if item.event.action != events.TRIGGER:
                continue
            key = (item.row.scope, item.keys[0])
            alert = firing.get(key)
            if (
                alert is None
                or key in ending
                or (alert.incident_status and alert.incident_status not in states.OPEN)
                or is_worse(severity_of(item.row, item.event), _came(alert))
            ):
                found.append(item)
        return found

    def _alerts(self, keys):
        """`{(scope, key): firing alert}`, each with the status of its incident."""
        if not keys:
            return {}
        # Row by row: joined at once, the planner reads all alerts while they are some ten thousand.
        scopes, names = zip(*sorted(keys), strict=True)
        rows = Alert.objects.raw(
            "SELECT alert.*, incident.status AS incident_status "
            "FROM unnest(%s::text[], %s::text[]) AS wanted(scope, key) CROSS JOIN LATERAL ("
            f"SELECT * FROM {Alert._meta.db_table} AS one WHERE one.scope = wanted.scope "
            "AND one.dedup_key = wanted.key AND one.resolved_at IS NULL LIMIT 1) AS alert "
            f"LEFT JOIN {Incident._meta.db_table} AS incident ON incident.number = alert.incident_id",
            [list(scopes), list(names)],
        )
        return {(alert.scope, alert.dedup_key): alert for alert in rows}

    def _last_changes(self, items):
        """`{(scope, key): [the source's time of the last state change, when we resolved it, ends in the window]}`"""
        wanted = {(item.row.scope, item.keys[0]): item.integration.flap_window_seconds for item in items}
        if not wanted:
            return {}
        rows = sorted((scope, key, seconds) for (scope, key), seconds in wanted.items())
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT wanted.scope, wanted.key, found.* "
                "FROM unnest(%s::text[], %s::text[], %s::int[]) AS wanted(scope, key, seconds) CROSS JOIN LATERAL ("
                "SELECT max(alert.changed_at) AS changed_at, max(alert.resolved_at), "
                "count(*) FILTER (WHERE alert.resolved_at > %s - wanted.seconds * interval '1 second') "
                f"FROM {Alert._meta.db_table} AS alert "
                "WHERE alert.scope = wanted.scope AND alert.dedup_key = wanted.key) AS found "
                "WHERE found.changed_at IS NOT NULL",
                [*(list(column) for column in zip(*rows, strict=True)), self.now],
            )
            return {(scope, key): found for scope, key, *found in cursor.fetchall()}

    def _without_early(self, items):
        """Leave out requests that end something of which we may know the beginning in a moment.

        A resolve that finds no alert is dropped. But when an older event of the same key's scope is still undecided,
        perhaps in the hands of another process, it may be the trigger: then the request waits for a second.
        """
        begun = set(self.firing)
        early = {}
        for item in items:
            row = item.row
            if item.event.action in (events.TRIGGER, events.CHANGE):
                begun.update((row.scope, key) for key in item.keys)
                early[row.pk] = None  # people are not kept waiting
            elif (
                item.keys
                and item.is_keyed
                and not any((row.scope, key) in begun for key in (*item.keys, *item.others))
                and self.now - row.received_at < EARLY_LIMIT
            ):
                early.setdefault(row.pk, row)
        early = {pk: row for pk, row in early.items() if row}
        if not early:
            return items
        scopes = {row.scope for row in early.values()}
        others = InboundEvent.objects.filter(state__in=backlog.OPEN_STATES, scope__in=scopes)
        others = others.exclude(pk__in=[row.pk for row in self.rows]).order_by()
        oldest = dict(others.values_list("scope").annotate(Min("received_at")))
        waiting = {pk for pk, row in early.items() if row.scope in oldest and oldest[row.scope] < row.received_at}
        InboundEvent.objects.filter(pk__in=waiting).update(due_at=self.now + EARLY_WAIT)
        self.rows = [row for row in self.rows if row.pk not in waiting]
        return [item for item in items if item.row.pk not in waiting]

    # --- quiet -------------------------------------------------------------------------------------------------

    def _ask_quiet(self, items, services):
        """Load what may hold the alerts that open, and let those speak first that hold others of this batch."""
        self.quiet, self.holds, self.expected = None, {}, {}
        if not items:
            return
        self.quiet = guarded("quiet", self.without, quiet.Quiet.load, now=self.now, services=services)
        if self.quiet is None:
            self.alarms["quiet-failed"] = (
                f"Silences, maintenance and inhibition could not be read: {self.without['quiet']}. Nothing is held "
                "until they can be: every alert pages. Look at the log, then at the silences and windows in the admin."
            )
            return
        for item in items:
            destination = self.destinations.of(item.row, item.event)
            if destination.action != routing.ROUTE or (item.row.scope, item.keys[0]) in self.expected:
                continue
            if inhibits := self._inhibits(item, destination):
                self.expected[item.row.scope, item.keys[0]] = inhibits
                self._hold(item, destination)

    def _inhibits(self, item, destination):
        """The inhibition rules of which the alert is a source."""
        if self.quiet is None:
            return []
        return self._safely(item, [], self.quiet.inhibits, destination.facts, integration_id=item.row.integration_id)

    def _hold(self, item, destination):
        """What holds the alert, or None; the same each time."""
        if held := destination.suppressed(self.now):
            return held
        if self.quiet is None:
            return None
        if id(item) not in self.holds:
            self.holds[id(item)] = self._safely(
                item,
                None,
                self.quiet.hold,
                destination.facts,
                service=destination.service,
                severity=destination.severity,
                scope=item.row.scope,
                key=item.keys[0],
                integration_id=item.row.integration_id,
            )
        return self.holds[id(item)]

    def _safely(self, item, otherwise, call, *args, **kwargs):
        try:
            return call(*args, **kwargs)
        except DatabaseError as error:  # it has ended the transaction
            raise Broken("quiet") from error
        except Exception as error:  # what shapes noise must not cost the page
            logger.warning("Quiet failed for event %s.", item.row.pk, exc_info=True)
            self.alarms["quiet-failed"] = (
                f"Whether event {item.row.pk} is held could not be decided: {type(error).__name__}: {error}. It was "
                "not held, and pages. Look at the silences, windows and inhibition rules in the admin."
            )
            item.note = f"{item.note} Quiet failed ({type(error).__name__}), so nothing holds it.".strip()
            return otherwise

    # --- deciding ----------------------------------------------------------------------------------------------

    def _apply(self, item):
        """Decide one event: `(alert, outcome, reasons)`."""
        event = item.event
        if event.action == events.IGNORE:
            found = None, "ignored", [event.reason or "The source says that nothing happens."]
        elif event.action == events.CHANGE:
            found = self._keep_change(item)
        elif event.action == events.TRIGGER:
            found = self._trigger(item)
        else:
            found = self._about(item)
        self._count("alerts_correlated_total", result=found[1])
        if item.note:
            found[2].insert(0, item.note)
        return found

    def _keep_change(self, item):
        service, why = self.destinations.service_without_rules(item.row, item.event)
        self.change_events.append(
            ChangeEvent(
                integration=item.row.integration,
                service=service,
                source=item.row.source,
                title=item.event.title,
                description=item.event.description,
                labels=item.event.labels,
                links=item.event.links,
                at=item.at,
                received_at=item.row.received_at,
            )
        )
        return None, "change", [why or "It names no service, so it is shown beside the incidents of all."]

    def _fires(self, key):
        """The alert that fires under this (scope, key), or None."""
        alert = self.firing.get(key)
        if alert and alert.incident_id in self.opening.over:
            # Its incident ended and it was left behind: it must not swallow what is new.
            self._end(alert, key, alert.changed_at, "its incident is over")
            return None
        if alert and alert.incident_id and alert.incident_id not in self.opening.open:
            raise Changed  # it was let go a moment ago, so its incident is not locked
        return alert

    def _trigger(self, item):
        row, event, at = item.row, item.event, item.at
        key = (row.scope, item.keys[0])
        alert = self._fires(key)
        self._count("alerts_received_total", severity=severity_of(row, event))
        if alert:
            return self._again(item, alert)
        if event.occurred_at and self._was_overtaken(key, at, row):
            return None, "stale", ["A newer event of this alert came in before it."]
        return self._open(item, key)

    def _was_overtaken(self, key, at, row):
        """Whether a newer change came in just before. Much later, an old start time is a trouble that is back."""
        changed_at, resolved_at, *_ = self.last_change.get(key, (at, row.received_at))
        if resolved_at is None:  # it began to fire a moment ago
            raise Changed
        return at < changed_at and row.received_at - resolved_at < OVERTAKEN

    def _again(self, item, alert):
        """A trigger of an alert that fires already."""
        over_at = alert.route.get("over_at")
        if over_at:
            if item.event.occurred_at and item.at < alert.changed_at and self._is_near(item.row, over_at):
                return alert, "stale", ["A newer event of this alert came in before it."]
            del alert.route["over_at"]
            alert.changed_at = item.at
            self._change(alert)
        self._count_once_more(alert)
        alert.resolve_at, alert.resolve_at_why = self._deadline(item)
        reasons = []
        if over_at:
            reasons.append("The alert flaps: it is back before it was over for long enough.")
        if is_worse(severity_of(item.row, item.event), _came(alert)):
            reasons += self._worsen(item, alert)
        return alert, "flapping" if over_at else "repeat", reasons

    @staticmethod
    def _is_near(row, text):
        return row.received_at - dt.datetime.fromisoformat(text) < OVERTAKEN

    def _worsen(self, item, alert):
        """An alert that fires is worse now: so is its incident, and whoever was told quietly is told again."""
        destination = self._destination(item)
        alert.route["came"] = destination.came
        self._change(alert)
        if alert.held_by:
            alert.recheck_at = self.now  # a silence or a rule may mean the lesser ones only
            if "asked" in alert.route:
                alert.route["asked"] |= destination.route().get("asked", {"mark": ""})
        if not is_worse(destination.severity, alert.severity):
            return [*destination.reasons, f"It stays {alert.severity}."]
        before, alert.severity = alert.severity, destination.severity
        if destination.priority:
            alert.route["priority"] = destination.priority
        if not alert.held_by and (incident := self._incident(alert)):
            why = f"The alert “{alert.title}” is {alert.severity} now, not {before}."
            self.opening.worsen(incident, alert.severity, destination.priority, why)
        return [*destination.reasons, f"The alert was {before} and is {alert.severity} now."]

    def _incident(self, alert):
        """The open Incident of an alert, or the NewIncident that it joins in this batch; None: it has none."""
        return getattr(alert, "joins", None) or self.opening.open.get(alert.incident_id)

    def _destination(self, item):
        """Where the event goes. Raises Changed when nothing was locked for it: a moment ago its alert fired."""
        if id(item) not in self.routed:
            raise Changed
        return self.destinations.of(item.row, item.event)

    def _deadline(self, item):
        """`(when the alert is over if nothing more is heard, why)`; (None, ""): never."""
        found, why = None, ""
        seconds = item.integration.auto_resolve_seconds
        if seconds:
            found, why = self.now + dt.timedelta(seconds=seconds), f"nothing was heard of it for {seconds} s"
        ends_at = item.event.ends_at
        if ends_at:
            late = self.now - item.row.received_at
            ends_at = ends_at + late if late > LATE else ends_at
            if found is None or ends_at < found:
                found, why = ends_at, "the source gave it an end time and did not prolong it"
        return found, why

    def _open(self, item, key):
        row, event, integration = item.row, item.event, item.integration
        destination = self._destination(item)
        if destination.action == routing.DROP:
            return None, "dropped", [*destination.reasons, f"Dropped by rule “{destination.rule}”."]
        group = destination.group(integration)
        resolve_at, resolve_at_why = self._deadline(item)
        inhibits = self.expected.pop(key, None) or self._inhibits(item, destination)
        alert = Alert(
            scope=row.scope,
            dedup_key=key[1],
            source=row.source,
            integration=row.integration,
            service=destination.service,
            severity=destination.severity,
            title=destination.title,
            description=event.description,
            labels=event.labels,
            links=event.links,
            first_at=item.at,
            last_at=self.now,
            changed_at=item.at,
            route=destination.route(),
            inhibits=inhibits,
            resolve_at=resolve_at,
            resolve_at_why=resolve_at_why,
        )
        if key[1] != event.dedup_key:
            alert.route["source_key"] = event.dedup_key
        self.new_alerts.append(alert)
        self.firing[key] = alert
        reasons = list(destination.reasons)
        if held := self._hold(item, destination):
            alert.held_by, alert.held_why, alert.held_at = held.by, held.why, self.now
            alert.recheck_at = recheck_at(held, now=self.now, is_new=True)
            alert.route["group"] = [group.key, group.why]  # of fields that may not be known any more
            return alert, "held", [*reasons, f"Held: {held.why}"]
        outcome, why = self.opening.place(alert, destination, group, limit=integration.incidents_per_minute)
        reasons.append(why)
        ends = self.last_change.get(key, (None, None, 0))[2]
        if flapping.flaps(ends, changes=integration.flap_changes):
            alert.flapping_since = self.now
            text = flapping.why(ends, seconds=integration.flap_window_seconds, pause=integration.flap_pause_seconds)
            reasons.append(text)
            self.opening.say(alert, "flapping", f"{alert.title}: {text}")
        return alert, outcome, reasons

    def _about(self, item):
        """An event about an alert that should fire: its end, somebody has seen it, a remark, new words for it."""
        scope = item.row.scope
        is_known = any((scope, key) in self.firing for key in item.keys)
        found = None
        for key in item.keys if is_known else item.others:
            if alert := self._fires((scope, key)):
                found = self._about_one(item, (scope, key), alert)
        return found or (None, "no_open_alert", ["No alert fires under this key."])

    def _about_one(self, item, key, alert):
        event, at = item.event, item.at
        if event.action in (events.NOTE, events.UPDATE):
            return self._remark(event, alert) if event.action == events.NOTE else self._update(event, alert)
        if at < alert.changed_at:  # also one without a time of its own that waited for an earlier event
            return alert, "stale", ["A newer event of this alert came in before it."]
        if event.action == events.ACKNOWLEDGE:
            self.acknowledged.append(alert)
            held = [f"It is held, so there is no incident to acknowledge: {alert.held_why}"] if alert.held_by else []
            return alert, "acknowledged", held
        if alert.flapping_since and not alert.held_by:
            return self._end_if_calm(item, key, alert)
        self._end(alert, key, _clocked(item, alert), "the source says it is over")
        return alert, "resolved", ["The source says it is over."]

    def _end_if_calm(self, item, key, alert):
        """An alert that flaps is over when it has stayed so for the pause."""
        integration = item.integration
        if "over_at" not in alert.route:
            if flapping.is_calm(alert.changed_at, item.at, seconds=integration.flap_window_seconds):
                self._end(alert, key, _clocked(item, alert), "the source says it is over")
                return alert, "resolved", ["The source says it is over, and it no longer flaps."]
            pause = integration.flap_pause_seconds
            alert.route["over_at"] = self.now.isoformat()
            alert.changed_at = _clocked(item, alert)
            alert.resolve_at = self.now + dt.timedelta(seconds=pause)
            alert.resolve_at_why = f"it flapped, and stayed over for {pause} s"
            self._change(alert)
        return alert, "flapping", ["The alert flaps: it ends when it has stayed over for the pause."]

    def _remark(self, event, alert):
        text = event.description or event.title
        if not text:
            return alert, "noted", ["The note is empty."]
        if alert.held_by:
            kept = alert.route.setdefault("notes", [])
            kept.append(text[:NOTE_KEPT_LENGTH])
            del kept[:-NOTES_KEPT]
            self._change(alert)
            return alert, "noted", ["The alert is held: the note is kept for its incident."]
        self.notes.append((alert, text))
        return alert, "noted", []

    def _update(self, event, alert):
        """New words for an alert. Those of its incident follow where they came from this alert."""
        edit = {}
        for name in ("title", "description"):
            if value := getattr(event, name):
                incident = self._incident(alert)
                if incident is not None and getattr(incident, name) == getattr(alert, name):
                    edit[name] = value
                setattr(alert, name, value)
        if event.priority:
            edit["priority"] = alert.route["priority"] = event.priority
        if event.severity:
            alert.severity = edit["severity"] = alert.route["came"] = event.severity
        self._change(alert)
        if alert.held_by:
            alert.recheck_at = self.now
            if "asked" in alert.route:  # its words are others now, so whether it is suppressed is asked anew
                alert.route["asked"] |= {"title": alert.title, "mark": ""}
        elif edit:
            self.edits.append((alert, edit))
        return alert, "updated", []

    def _count_once_more(self, alert):
        if alert._state.adding:
            alert.occurrences += 1
        else:
            self.repeats[alert] = self.repeats.get(alert, 0) + 1

    def _change(self, alert):
        if not alert._state.adding:
            self.changed[alert.pk] = alert

    def _end(self, alert, key, at, why):
        alert.resolved_at = self.now
        alert.resolved_why = why
        alert.changed_at = at
        alert.resolve_at = alert.recheck_at = None
        del self.firing[key]
        ends = self.last_change.get(key, (None, None, 0))[2]
        self.last_change[key] = (at, self.now, ends + 1)
        self._change(alert)
        self.ended.append(alert)

    def _count(self, name, amount=1, **labels):
        self.counts[name, *labels.items()] += amount

    # --- writing -----------------------------------------------------------------------------------------------

    def _write(self):
        self.opening.write()
        storing.repeat(self.repeats, now=self.now)
        storing.change(self.changed.values(), now=self.now)
        storing.insert(self.new_alerts)  # last: a key that resolved in this batch may fire again in it
        if self.change_events:
            ChangeEvent.objects.bulk_create(self.change_events)
        self.opening.tell()
        self._run_verbs()
        # What never opened holds nobody; what ended may have.
        inhibits = [rule for alert in self.ended for rule in alert.inhibits]
        inhibits += [rule for key, rules in self.expected.items() if key not in self.firing for rule in rules]
        quiet.recheck_inhibited(inhibits, now=self.now)
        if self.destinations:
            self.destinations.tell()
        alarms.raise_alarms(self.alarms, now=self.now)
        self._finish_rows()
        counters.add_many({(name, counters.text(**dict(of))): n for (name, *of), n in self.counts.items()})

    def _run_verbs(self):
        numbers = {alert.incident_id for alert in self.acknowledged if alert.incident_id}
        if numbers:
            waiting = Incident.objects.filter(pk__in=numbers, status=states.TRIGGERED).order_by("pk")
            for number in waiting.values_list("pk", flat=True):
                lifecycle.acknowledge(number, by=None, now=self.now, via="source")
        for alert, text in self.notes:
            if alert.incident_id:
                lifecycle.add_note(alert.incident_id, text=text, by=None, now=self.now, via="source")
        for alert, edit in self.edits:
            if alert.incident_id:
                self._edit(alert, edit)
        numbers = {alert.incident_id for alert in self.ended if alert.incident_id}
        resolve_burnt_out(numbers, now=self.now)

    def _edit(self, alert, edit):
        severity = edit.pop("severity", None)
        if severity:
            why = f"The source says that the alert “{alert.title}” is {severity}."
            lifecycle.worsen(
                alert.incident_id, severity=severity, priority=edit.get("priority", ""), why=why, now=self.now
            )
        incident = Incident.objects.get(pk=alert.incident_id)
        # Of several alerts the worst counts, so one that is better now changes nothing of the others.
        is_alone = not incident.alerts.firing().exclude(pk=alert.pk).exists()
        if "priority" in edit and not is_alone and edit["priority"] > incident.priority:
            del edit["priority"]
        if edit and incident.status != states.CLOSED:
            lifecycle.edit(alert.incident_id, by=None, now=self.now, via="source", **edit)

    def _finish_rows(self):
        ids, results, waits = [], [], []
        for row in self.rows:
            ids.append(row.pk)
            results.append(json.dumps([_told(*one) for one in self.results[row.pk]]))
            waits.append(max(0.0, (self.now - row.received_at).total_seconds()))
        waits.sort()
        for bound in BUCKETS:
            if within := bisect.bisect_right(waits, bound):
                self._count("alert_processing_seconds_bucket", within, le=bound)
        again = [failed_key(row) for row in self.rows if row.attempts]
        if again:
            alarms.clear_alarms(again, now=self.now)
        self._count("alert_processing_seconds_count", len(self.rows))
        self._count("alert_processing_seconds_sum_ms", round(sum(waits) * 1000))
        with connection.cursor() as cursor:
            cursor.execute(
                f"UPDATE {InboundEvent._meta.db_table} AS event SET state = 'decided', decided_at = %s, "
                "due_at = NULL, error = '', result = done.result::jsonb "
                "FROM unnest(%s::uuid[], %s::text[]) AS done(id, result) WHERE event.id = done.id",
                [self.now, ids, results],
            )


def _told(alert, outcome, reasons):
    """The result of one event, as the pages and the drop-in APIs read it."""
    number = alert.incident_id if alert else None
    if outcome == "new_incident":
        reasons = [*reasons, f"Incident #{number} was opened."]
    elif outcome == "joined_incident":
        reasons = [*reasons, f"The incident is #{number}."]
    return {"alert_id": str(alert.pk) if alert else None, "incident": number, "outcome": outcome, "reasons": reasons}


def _clocked(item, alert):
    """The source's time of this end. An end without one does not tell what the source's clock showed: the receipt is
    later than the start that the source gives of what comes next, which then would look as if it had been overtaken.
    """
    return item.at if item.event.occurred_at else alert.changed_at


def _came(alert):
    """The severity with which an alert came in, before a rule changed it."""
    return alert.route.get("came", alert.severity)


def _uuid(text):
    try:
        return uuid.UUID(text)
    except ValueError:
        return None
