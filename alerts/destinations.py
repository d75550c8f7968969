"""Where an event goes: the service of its own key, then what a rule says, then the integration's, then the team's.

A rule or a part of ours that is broken never stops an event: it goes where it would go without, and an admin is told.
"""

import dataclasses
import logging

from django.conf import settings
from django.db import DatabaseError
from django.db.models import Q

from alerts import grouping, limits, matching, quiet, routing
from alerts.attempts import Broken, guarded
from alerts.models import Integration
from catalog.catchall import catch_all
from catalog.models import Service
from notifications import alarms

logger = logging.getLogger(__name__)

# What counts for events that came through no integration: the defaults of one.
NO_INTEGRATION = Integration()
STEPS_SHOWN = 12


@dataclasses.dataclass(slots=True)
class Destination:
    """What becomes of an event that opens an alert. `reasons` say why, in sentences."""

    service: Service
    came: str  # the severity it came with
    severity: str
    priority: str
    title: str
    facts: matching.Facts
    action: str = routing.ROUTE
    policy_id: int | None = None
    pages: bool = True
    rule_id: int | None = None
    rule: str = ""  # the name of the rule that dropped or suppressed it, or says that nobody is called
    reasons: list = dataclasses.field(default_factory=list)
    verdict: routing.Verdict = routing.NOTHING
    is_own: bool = False  # the service is that of its key or the one it names, so no rule changes it

    def suppressed(self, now):
        """The Hold of the rule that suppresses its alert, or None."""
        if self.action != routing.SUPPRESS:
            return None
        until = self.verdict.decider.open_until(self.verdict.at)
        when = f" until {quiet.said(until, now)}" if until else ""
        return quiet.Hold(f"{quiet.RULE}:{self.rule_id}", f"Rule “{self.rule}” suppresses it{when}.", until)

    def places(self, integration):
        """The group keys of the open incidents that its alert may join."""
        storm = limits.storm_key(self.severity, policy_id=self.policy_id, pages=self.pages)
        return {self.group(integration).key, storm}

    def route(self):
        """What has to be known later, when a held alert is let go or says that it is worse: `Alert.route`."""
        found = {}
        if self.came != self.severity:
            found["came"] = self.came
        if self.priority:
            found["priority"] = self.priority
        if self.policy_id:
            found["policy"] = self.policy_id
        if not self.pages:
            found["pages"] = False
        if self.rule_id:
            found["rule"] = self.rule_id
        if self.rule:
            found["rule_name"] = self.rule
        if self.action == routing.SUPPRESS:
            asked = self.verdict.facts
            found["asked"] = {"title": asked.title, "service": asked.service, "mark": self.verdict.decider.mark}
            if self.is_own:
                found["asked"]["is_own"] = True
        return found

    def group(self, integration, *, as_said=None):
        """The Group of its alert; `as_said` is the (key, why) of one that was found before."""
        seconds = integration.group_window_seconds
        if seconds is None:
            seconds = self.service.correlation_window_seconds
        if seconds is None:
            seconds = settings.CORRELATION_WINDOW_SECONDS
        if as_said and seconds:
            return grouping.Group(
                as_said[0], seconds, integration.group_slides, integration.group_freezes_on_acknowledge, as_said[1]
            )
        return grouping.group_of(
            severity=self.severity,
            fields=[(name, matching.value_of(self.facts, name)) for name in integration.group_fields],
            seconds=seconds,
            slides=integration.group_slides,
            freezes=integration.group_freezes_on_acknowledge,
            policy_id=self.policy_id,
            pages=self.pages,
        )


def severity_of(row, event):
    """The severity with which an event came."""
    return event.severity or (row.integration or NO_INTEGRATION).default_severity


def key_values(row, event):
    """The values of the fields that make the event's dedup key; None when not one of them is there."""
    integration = row.integration or NO_INTEGRATION
    facts = matching.facts_of(
        event,
        severity=severity_of(row, event),
        integration=integration.name,
        payload=matching.payload_of(row.body),
    )
    values = [matching.value_of(facts, name) for name in integration.dedup_fields]
    return values if any(values) else None


class Destinations:
    """Finds the destinations of the events of a batch, in a constant number of queries.

    `pairs` are the (row, event) that may need one. `without` are the parts that have just failed: see alerts.attempts.
    """

    def __init__(self, pairs, *, now, without):
        integrations = {row.integration for row, _ in pairs if row.integration}
        self._without = without
        self._routing = guarded("routing", without, routing.load, integrations)
        ids = {row.service_id or (row.integration and row.integration.service_id) for row, _ in pairs}
        if self._routing:
            for pk in {row.integration_id for row, _ in pairs}:
                ids.update(rule.service_id for rule in self._routing.rules_for(pk))
        hints = {event.service for _, event in pairs if event.service}
        teams = {one.team_id for one in integrations if one.service_id is None}
        wanted = Q(pk__in=ids - {None})
        if hints:
            wanted |= Q(slug__in=hints) | Q(routing_key__in=hints) | Q(name__in=hints)
        if teams:
            wanted |= Q(is_catch_all=True, team_id__in=teams)
        self.services = {one.pk: one for one in Service.objects.filter(wanted).select_related("team")}
        self._by_hint = {}
        for field in ("name", "routing_key", "slug"):  # the last wins: a slug means its service before a name does
            for service in self.services.values():
                self._by_hint[getattr(service, field)] = service
        self._rest = {one.team_id: one for one in self.services.values() if one.is_catch_all}
        self._found = {}
        self._alarms = {}
        self._now = now

    def of(self, row, event):
        """The Destination of an event, the same each time. Raises LookupError when there is no service at all."""
        found = self._found.get(id(event))
        if found is None:
            found = self._found[id(event)] = self._find(row, event)
        return found

    def named(self, row, event):
        """The service that the event names and may name, or None."""
        if not event.service or not (row.integration or NO_INTEGRATION).may_choose_service:
            return None
        return self._by_hint.get(event.service)

    def service_without_rules(self, row, event):
        """`(service or None, why)` of an event for which no rule counts, such as a change event."""
        if service := self.named(row, event):
            return service, f"Service {service.name}: the event names it."
        integration = row.integration
        service = self.services.get(row.service_id or (integration and integration.service_id))
        if service:
            whose = "that of the integration" if integration else "the event came through its own key"
            return service, f"Service {service.name}: {whose}."
        return self._rest.get(integration.team_id) if integration else None, ""

    def tell(self):
        """Raise the alarms about what was found broken."""
        alarms.raise_alarms(self._alarms, now=self._now)

    def _find(self, row, event):
        integration = row.integration or NO_INTEGRATION
        came = severity_of(row, event)
        service, why = self.service_without_rules(row, event)
        # The key of a service means this service, whatever a rule says; so does an event that names one.
        is_own = service is not None and (row.integration is None or self.named(row, event) is service)
        facts = matching.facts_of(
            event,
            service=service.slug if service else "",
            severity=came,
            integration=integration.name,
            payload=matching.payload_of(row.body),
        )
        if not facts.source:
            facts = dataclasses.replace(facts, source=row.source)
        verdict, reasons = self._verdict(row, facts)
        if verdict.service_id and not is_own:
            rule = verdict.by["service_id"][1]
            if chosen := self.services.get(verdict.service_id):
                service, why = chosen, f"Service {chosen.name}: rule “{rule}” says so."
            else:
                reasons.append(f"The service of rule “{rule}” no longer exists.")
        elif verdict.service_id:
            why += " The service of a rule does not count then."
        if service is None:
            service, why = self._the_rest(row)
        reasons.append(why)
        severity = verdict.severity or came
        title = verdict.title or event.title
        if verdict.severity and verdict.severity != came:
            reasons.append(f"Severity {severity} instead of {came}: rule “{verdict.by['severity'][1]}”.")
        if not event.severity and not verdict.severity:
            reasons.append(f"Severity {severity}: the event gives none that is known, so the default counts.")
        decider = verdict.by.get("action") or verdict.by.get("pages_nobody")
        # What quiet and groups look at is what the alert will say, so that it is the same when a held one is let go.
        if (service.slug, severity, title) != (facts.service, facts.severity, facts.title):
            facts = dataclasses.replace(facts, service=service.slug, severity=severity, title=title)
        return Destination(
            service=service,
            came=came,
            severity=severity,
            # A priority of the source's own says no more than the severity that a rule has replaced.
            priority=verdict.priority or ("" if verdict.severity else event.priority),
            title=title,
            facts=facts,
            action=verdict.action,
            policy_id=verdict.policy_id,
            pages=verdict.pages,
            rule_id=verdict.rule_id,
            rule=decider[1] if decider else "",
            reasons=reasons,
            verdict=verdict,
            is_own=is_own,
        )

    def _verdict(self, row, facts):
        if self._routing is None:
            self._alarms["routing-failed"] = (
                "The routing rules could not be read. Events go to the service of their key, as if there were no "
                "rules, and page. Look at the rules in the admin and at the log."
            )
            return routing.NOTHING, ["The routing rules could not be read, so none counts."]
        try:
            verdict = self._routing.decide(facts, integration_id=row.integration_id, at=row.received_at)
            steps = verdict.told(STEPS_SHOWN)
        except DatabaseError as error:
            raise Broken("routing") from error
        except Exception as error:  # a rule that breaks must not cost the event
            logger.warning("The routing rules failed for event %s.", row.pk, exc_info=True)
            self._alarms[f"routing-failed:{row.integration_id or 0}"] = (
                f"The routing rules failed for event {row.pk}: {type(error).__name__}: {error}. It went on as if "
                "there were none, and pages. Look at the rules in the admin."
            )
            return routing.NOTHING, [f"The routing rules failed ({type(error).__name__}), so none counts."]
        for rule, _ in verdict.asked:
            if rule.broken:
                self._alarms[broken_rule_key(rule.id)] = f"Rule “{rule.name}”: {rule.broken}"
        reasons = [
            f"Rule “{name}”: {'yes' if matched else 'no'}, {why[:200].rstrip('.')}." for name, matched, why in steps
        ]
        if len(verdict.asked) > STEPS_SHOWN:
            reasons.append(f"… and {len(verdict.asked) - STEPS_SHOWN} more rules.")
        return verdict, reasons

    def _the_rest(self, row):
        team = row.integration.team if row.integration else None
        if team is None:
            raise LookupError(
                "The service of this event was deleted. Choose a service for the integration, "
                "then set the event's due time to now."
            )
        service = self._rest.get(team.pk)
        if service is None:
            service = self._rest[team.pk] = catch_all(team)
            self.services[service.pk] = service
        return service, f"Service {service.name}: it takes the rest of the team {team.name}."


def broken_rule_key(rule_id):
    """The key of the alarm about a rule that cannot be read."""
    return f"rule-broken:{rule_id}"
