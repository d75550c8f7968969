"""What would become of a request if it came in at some time: read, routed, held, grouped, and who would be paged.

The same code as in alerts/ingest.py decides. Everything happens in a transaction that is rolled back, so nothing is
written and nobody is called. Not rehearsed is what depends on how much else comes in: rates, storms and flapping.
"""

import dataclasses
import datetime as dt
import logging
import uuid

from django.db import transaction
from django.db.models import Q

from alerts import event as events
from alerts import grouping, quiet, routing
from alerts.attempts import attempt, guarded
from alerts.destinations import NO_INTEGRATION, Destinations, key_values
from alerts.models import Alert, ChangeEvent, InboundEvent, sources
from alerts.opening import is_worse
from alerts.sources.base import BadEvent
from alerts.visibility import hush_holds
from catalog.models import Service
from catalog.policies import copies_for
from core.errors import NotFound
from incidents import escalation, states, steps
from incidents.models import Incident
from incidents.priorities import priority_of, urgency_of
from notifications import rules as notification_rules
from oncall import chain

logger = logging.getLogger(__name__)

LOUD = "high"
# Of a request with more events, these are shown.
EVENTS_SHOWN = 20
# No policy has so many levels that a person would read them.
LEVELS_SHOWN = 20


@dataclasses.dataclass(frozen=True)
class Person:
    """Somebody who would be paged, or why not. `channels` are (channel, minutes after the level is called)."""

    name: str
    why: str
    channels: tuple = ()
    reasons: tuple = ()


@dataclasses.dataclass(frozen=True)
class Call:
    """One level that would be called, if nobody acknowledges before."""

    level: int
    minutes: int
    at: dt.datetime
    people: tuple
    reasons: tuple
    alarm: str = ""
    is_again: bool = False  # the policy begins once more


@dataclasses.dataclass
class Outcome:
    """What would become of one event. `happens` says it in a sentence; `reasons` are the way there."""

    event: events.Event
    happens: str = ""
    steps: list = dataclasses.field(default_factory=list)  # (name of the rule, matched, why)
    reasons: list = dataclasses.field(default_factory=list)
    service: Service | None = None
    service_is_new: bool = False
    severity: str = ""
    priority: str = ""
    title: str = ""
    key: str = ""
    key_why: str = ""
    group: str = ""
    incident: Incident | None = None  # that it would join
    held: quiet.Hold | None = None
    policy: str = ""
    calls: list = dataclasses.field(default_factory=list)
    later: list = dataclasses.field(default_factory=list)  # the calls once nothing holds it, if it still fires

    @property
    def decisions(self):
        """The reasons without those of the rules, which are told in full."""
        return [one for one in self.reasons if not one.startswith(("Rule “", "…"))]


@dataclasses.dataclass
class Rehearsal:
    """What would become of a request. `status` and `answer` are what its sender would get."""

    at: dt.datetime
    source: object
    status: int = 0
    answer: object = None
    errors: list = dataclasses.field(default_factory=list)
    outcomes: list = dataclasses.field(default_factory=list)
    left_out: int = 0


def rehearse(integration, body, headers, *, at, service=None, source=None):
    """The Rehearsal of a request that comes in at `at`. Writes nothing.

    `headers` have names in lower case. Without an integration it is sent with the routing key of `service`, in the
    words of `source`, the kind of one.
    """
    kind = sources.classes().get(integration.source if integration else source)
    if kind is None:
        raise NotFound("There is no such source. Choose one from the list.")
    reader = sources.get(kind.kind)
    found = Rehearsal(at, reader)
    if len(body) > reader.max_body:
        found.status, found.answer = reader.too_large(reader.max_body)
        found.errors = [
            {"field": "", "message": f"The body has {len(body)} bytes, more than {reader.label} may send."}
        ]
        return found
    kept = {name: value for name, value in headers.items() if name in _kept_names(reader)}
    row = InboundEvent(
        source=reader.kind,
        scope=f"integration:{integration.pk}" if integration else f"service:{service.pk}",
        integration=integration,
        # As the door writes it: the service of the key, where the key has one.
        service=service if integration is None else integration.service,
        body=body,
        headers=kept,
        received_at=at,
    )
    try:
        read = reader.parse(body, headers, integration.options if integration else {})
    except BadEvent as bad:
        found.status, found.answer = reader.refused(bad.errors)
        found.errors = bad.errors
        return found
    except Exception as error:  # as at the door: the event is kept raw, and deciding it says what is wrong
        logger.warning("The source %s could not read a rehearsed request.", reader.kind, exc_info=True)
        found.errors = [
            {
                "field": "",
                "message": f"The source {reader.label} failed on this body ({type(error).__name__}: {error}). It is "
                "stored raw, marked as failed and tried again, and the admins are told.",
            }
        ]
        return found
    found.left_out = max(0, len(read) - EVENTS_SHOWN)
    found.status, found.answer = reader.accepted([events.with_key(one, "…") for one in read], str(row.pk))
    with transaction.atomic():
        try:
            found.outcomes = attempt(lambda without: _Stage(row, read[:EVENTS_SHOWN], at, without).outcomes())
        finally:
            transaction.set_rollback(True)
    known = set(
        Service.objects.filter(pk__in={one.service.pk for one in found.outcomes if one.service}).values_list(
            "pk", flat=True
        )
    )
    for one in found.outcomes:
        one.service_is_new = one.service is not None and one.service.pk not in known
    return found


def seen(found, user):
    """The rehearsal as the person may read it: events of hidden teams are left out, and names of what is hidden."""
    hidden = user.access().hidden
    if not hidden:
        return found
    shown = [one for one in found.outcomes if not _teams(one) & hidden]
    hush, count = user.hushed(), len(found.outcomes)
    for one in shown:
        one.happens, one.policy = hush(one.happens), hush(one.policy)
        one.reasons = list(map(hush, one.reasons))
        one.steps = [(hush(name), matched, hush(why)) for name, matched, why in one.steps]
        one.calls, one.later = ([_hushed(call, hush) for call in calls] for calls in (one.calls, one.later))
        if one.held:
            alert = Alert(held_by=one.held.by, held_why=one.held.why)
            hush_holds([alert], user)
            one.held = dataclasses.replace(one.held, why=alert.held_why)
    found.outcomes, found.left_out = shown, found.left_out + count - len(shown)
    return found


def _teams(outcome):
    return {one.team_id for one in (outcome.service, outcome.incident) if one}


def _hushed(call, hush):
    people = (
        dataclasses.replace(one, why=hush(one.why), reasons=tuple(map(hush, one.reasons))) for one in call.people
    )
    return dataclasses.replace(
        call, people=tuple(people), reasons=tuple(map(hush, call.reasons)), alarm=hush(call.alarm)
    )


def _uuid(text):
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


def _kept_names(reader):
    return {"content-type", "user-agent", *reader.keep_headers}


class _Stage:
    """The events of one rehearsed request."""

    def __init__(self, row, read, at, without):
        self._row, self._at = row, at
        self._integration = row.integration or NO_INTEGRATION
        self._pairs = [(row, event) for event in read]
        self._destinations = Destinations(self._pairs, now=at, without=without)
        services = self._destinations.services.values()
        self._quiet = guarded("quiet", without, quiet.Quiet.load, now=at, services=services)
        self._without = without
        self._called = {}
        self._opened = {}  # key -> Outcome of an earlier event of this request

    def outcomes(self):
        return [self._outcome(row, event) for row, event in self._pairs]

    def _outcome(self, row, event):
        found = Outcome(event, title=event.title, severity=event.severity)
        found.key, found.key_why = self._key(event)
        if event.action == events.IGNORE:
            found.happens = f"Nothing: {event.reason or 'the source ignores it'}"
        elif event.action == events.CHANGE:
            self._change(row, event, found)
        else:
            alert = self._firing(event, found)
            if event.action == events.TRIGGER:
                self._trigger(row, event, found, alert)
            else:
                found.happens = self._about(event, alert)
        return found

    def _change(self, row, event, found):
        found.service, why = self._destinations.service_without_rules(row, event)
        found.reasons = [why] if why else []
        found.happens = f"It is kept as a {ChangeEvent._meta.verbose_name} and calls nobody."

    def _key(self, event):
        if event.action in (events.IGNORE, events.CHANGE):
            return "", ""
        names = self._integration.dedup_fields
        if names and (event.dedup_key or not event.alert_id) and (values := key_values(self._row, event)):
            return grouping.dedup_key(values), f"from {', '.join(names)}, as the integration says"
        if event.dedup_key:
            return event.dedup_key, "as the source gives it"
        if event.alert_id:
            return "", f"it names our alert {event.alert_id}"
        return "", "the sender gives none, so each event opens an alert of its own"

    def _firing(self, event, found):
        """The alert that fires under the event's key, or None."""
        rows = Alert.objects.firing().filter(scope=self._row.scope).select_related("incident")
        if found.key:
            wanted = Q(dedup_key=found.key)
            if event.action != events.TRIGGER and event.dedup_key:
                wanted |= Q(route__source_key=event.dedup_key)
            alert = rows.filter(wanted).first()
        elif event.alert_id:
            alert = rows.filter(pk=_uuid(event.alert_id)).first()
        else:
            return None
        # An alert that was left behind when its incident ended swallows nothing.
        return alert if alert is None or alert.incident is None or alert.incident.is_open else None

    def _about(self, event, alert):
        if alert is None:
            return "Nothing: no alert fires under this key. It is accepted and dropped."
        where = f"the alert “{alert.title}”" + (f" of incident #{alert.incident_id}" if alert.incident_id else "")
        return {
            events.RESOLVE: f"It ends {where}. When all alerts of the incident are over, so is the incident.",
            events.ACKNOWLEDGE: f"It acknowledges the incident of {where}.",
            events.NOTE: f"It is written down as a note at {where}.",
            events.UPDATE: f"It changes the words of {where}.",
        }.get(event.action, f"It concerns {where}.")

    def _trigger(self, row, event, found, alert):
        destination = self._destinations.of(row, event)
        found.service, found.severity, found.title = destination.service, destination.severity, destination.title
        found.priority = destination.priority or priority_of(destination.severity)
        found.steps = destination.verdict.steps
        found.reasons = destination.reasons
        if destination.action == routing.DROP:
            found.happens = f"Dropped by rule “{destination.rule}”: the raw event is kept, and nothing else happens."
            return
        if alert is not None:
            where = f"incident #{alert.incident_id}" if alert.incident_id else "no incident"
            held = f" It is held: {alert.held_why}" if alert.is_held else ""
            found.incident = alert.incident
            found.happens = f"The alert fires already, in {where}: it is counted once more.{held}"
            came = alert.route.get("came") or alert.severity
            if is_worse(destination.came, came) and is_worse(destination.severity, alert.severity):
                found.happens += f" It was {alert.severity} and becomes {destination.severity}."
                if alert.incident and not alert.is_held:
                    self._worsen(alert.incident, destination, found)
            return
        if found.key and (before := self._opened.setdefault(found.key, found)) is not found:
            found.happens = f"A repeat of the event “{before.title}” above, which has the same key."
            return
        found.held = self._hold(destination, found)
        if found.held:
            found.happens = "Held: the alert is kept and calls nobody, until nothing holds it any more."
            if destination.pages:
                until = found.held.until or self._at
                found.policy, found.later = self._calls_of(destination, found, at=until)
            return
        self._place(destination, found)
        if not destination.pages:
            found.happens += f" Nobody is called: rule “{destination.rule}” says so."
            return
        if found.incident:
            if not self._worsen(found.incident, destination, found):
                found.happens += " Whoever has been called for the incident is not called again."
            return
        self._call(destination, found)

    def _hold(self, destination, found):
        if held := destination.suppressed(self._at):
            return held
        if self._quiet is None:
            return None
        return guarded(
            "quiet",
            self._without,
            self._quiet.hold,
            destination.facts,
            service=destination.service,
            severity=destination.severity,
            scope=self._row.scope,
            key=found.key,
            integration_id=self._row.integration_id,
        )

    def _place(self, destination, found):
        group = destination.group(self._integration)
        found.group = group.why
        incident = None
        if group.key:
            incident = (
                Incident.objects.filter(
                    service_id=destination.service.pk,
                    group_key=group.key,
                    group_until__gt=self._at,
                    status__in=states.OPEN,
                )
                .order_by("-pk")
                .first()
            )
        if incident and group.freezes and incident.status != states.TRIGGERED:
            found.happens = f"It opens a new incident: #{incident.pk} of its group is frozen, since somebody has it."
        elif incident:
            found.incident = incident
            found.happens = f"It joins incident #{incident.pk}."
        elif (
            group.key and (before := self._opened.setdefault((destination.service.pk, group.key), found)) is not found
        ):
            found.happens = f"It joins the incident that “{before.title}” above opens."
        else:
            found.happens = "It opens a new incident."

    # --- who is called -----------------------------------------------------------------------------------------

    def _worsen(self, incident, destination, found):
        """Say whom an open incident calls again because the alert makes it worse. Returns whether it calls anybody."""
        if is_worse(destination.severity, incident.severity):
            found.happens += f" Incident #{incident.pk} is {incident.severity} and becomes {destination.severity}."
        is_loud = urgency_of(min(found.priority, incident.priority)) == LOUD
        was_called = incident.escalation_level or incident.escalation_round
        if not is_loud or incident.urgency == LOUD or not was_called:
            return False
        if incident.status != states.TRIGGERED and incident.assignee and incident.assignee.is_active:
            found.happens += f" It is loud then, so {incident.assignee}, who has it, is called again."
        else:
            found.happens += " It is loud then, so its policy calls again from the first level."
            found.policy, found.calls = incident.policy.get("name", ""), calls(incident.policy, LOUD, at=self._at)
        return True

    def _call(self, destination, found):
        if found.happens.startswith("It joins"):
            return
        found.policy, found.calls = self._calls_of(destination, found, at=self._at)

    def _calls_of(self, destination, found, *, at):
        """`(name of the policy, calls)` of a new incident at that time."""
        service, policy_id = destination.service, destination.policy_id
        place = (policy_id or f"service:{service.pk}", found.priority, at)
        if place not in self._called:
            policy = chain.copies({policy_id}).get(policy_id) if policy_id else None
            if policy_id and policy is None:
                found.reasons.append("The policy of the rule no longer exists, so that of the service counts.")
            policy = policy or copies_for([service])[service.pk]
            self._called[place] = (policy.get("name", ""), calls(policy, urgency_of(found.priority), at=at))
        return self._called[place]


def calls(policy, urgency, *, at):
    """Whom a policy copy would call from `at` on, level by level until it begins again, if nobody acknowledges: Calls.

    People are looked up for the time at which their level is called.
    """
    found, round, level, minutes = [], 0, 0, 0
    while len(found) < LEVELS_SHOWN:
        now = at + dt.timedelta(minutes=minutes)
        callers = escalation.Callers([policy], now=now)
        step = steps.next_step(
            policy,
            round=round,
            level=level,
            candidates=callers.candidates,
            fallback=lambda callers=callers: callers.fallback(policy),
        )
        people = tuple(_person(one, callers.reaches, urgency, now) for one in step.pages)
        said = {f"Level {step.level}: {one.name}, {one.why}." for one in step.pages}  # the people say so
        reasons = tuple(one for one in step.reasons if one not in said)
        found.append(Call(step.level, minutes, now, people, reasons, step.alarm, is_again=step.round > 0))
        if step.is_over or step.wait_minutes is None or step.round > 0:
            break
        round, level = step.round, step.level
        minutes += step.wait_minutes
    return found


def _person(candidate, reaches, urgency, now):
    reach = reaches.get(candidate.user_id)
    if reach is None:
        return Person(candidate.name, candidate.why)
    planned, reasons = notification_rules.plan(reach, urgency=urgency, now=now)
    channels = tuple((one.channel, max(0, round((one.due_at - now).total_seconds() / 60))) for one in planned)
    return Person(candidate.name, candidate.why, channels, tuple(reasons))
