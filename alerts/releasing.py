"""Held alerts: looked at again when what holds them ends or changes, and let go when nothing does.

An alert that is let go is treated like one that has just come in: it joins an incident or opens one, and pages.
"""

import dataclasses
import datetime as dt
import logging

from django.db import transaction

from alerts import matching, quiet, routing, storing
from alerts.attempts import Changed, attempt, guarded
from alerts.destinations import NO_INTEGRATION, Destination
from alerts.models import Alert
from alerts.opening import Opening, lock_services
from catalog.models import Service
from core import due
from incidents import lifecycle
from notifications import alarms

logger = logging.getLogger(__name__)

BATCH = 200
# Whatever holds an alert, it is looked at so often at least.
RECHECK = dt.timedelta(minutes=5)
# The end of what holds it may have been committed while the alert came in, unseen by either side.
RECHECK_AT_FIRST = dt.timedelta(seconds=10)
TROUBLE_DELAY = dt.timedelta(seconds=30)
# What Destination.route writes at an alert.
ROUTED = ("came", "priority", "policy", "pages", "rule", "rule_name", "asked")


def recheck_at(hold, *, now, is_new=False):
    """When to look again at an alert that this holds; None: not before somebody asks."""
    if _is_by_rule(hold.by):  # a change of the rule lets it go, and asks; or the end of its hours
        latest = now + RECHECK_AT_FIRST if is_new else None
    else:
        latest = now + (RECHECK_AT_FIRST if is_new else RECHECK)
    return min(filter(None, (hold.until, latest)), default=None)


def _is_by_rule(held_by):
    return held_by.startswith(f"{quiet.RULE}:")


def oldest_due(now):
    """The due time of the held alert that should be looked at first, or None."""
    rows = Alert.objects.firing().filter(recheck_at__lte=now).order_by("recheck_at")
    return rows.values_list("recheck_at", flat=True).first()


def run(*, now_of, seconds=10):
    """Look at held alerts until none is due or the time is up; `now_of()` reads the clock."""
    until = now_of() + dt.timedelta(seconds=seconds)
    while (now := now_of()) < until:
        due.beat()
        if not release_due(now=now):
            return


def release_due(*, now, limit=BATCH):
    """Decide again about held alerts that are due. Returns how many it looked at.

    When one of them raises, all are rolled back and decided one by one, so that it holds up no other.
    """
    rows = Alert.objects.firing().filter(recheck_at__lte=now).order_by("recheck_at", "first_at")
    ids = list(rows.values_list("pk", flat=True)[:limit])
    if not ids:
        return 0
    try:
        attempt(lambda without: _Release(ids, now, without).decide())
    except Exception:  # one broken alert must not hold up the rest: find it
        logger.warning("%d held alerts failed together; they are decided one by one.", len(ids), exc_info=True)
        for pk in ids:
            _release_alone(pk, now)
    return len(ids)


def _release_alone(pk, now):
    try:
        attempt(lambda without: _Release([pk], now, without).decide())
    except Exception as error:  # it stays due, the admins are told, the others go on
        logger.warning("The held alert %s could not be decided again.", pk, exc_info=True)
        with transaction.atomic():
            Alert.objects.firing().filter(pk=pk).update(recheck_at=now + TROUBLE_DELAY)
            alarms.raise_alarm(
                f"held-failed:{pk}",
                f"The held alert {pk} could not be decided again: {error}. It is tried again every 30 s, and calls "
                "nobody until then. Look at it in the admin under Alerts.",
                now=now,
            )


class _Release:
    """Some held alerts, decided again in one transaction."""

    def __init__(self, ids, now, without):
        self._ids = ids
        self._now = now
        self._without = without
        self._anew = set()  # the alerts that are routed anew
        self._alarms = {}

    def decide(self):
        seen = list(self._rows())
        routes = self._routing(seen)
        severities = {alert.pk: alert.severity for alert in seen}
        found = {alert.pk: self._destination(alert, routes) for alert in seen}
        lock_services(one.service for one in found.values())
        opening = Opening(now=self._now)
        places = {
            (one.service.pk, key)
            for alert in seen
            for one in [found[alert.pk]]
            for key in [*one.places(alert.integration or NO_INTEGRATION), (alert.route.get("group") or [""])[0]]
        }
        opening.lock(places, set())
        alerts = list(self._rows().select_for_update(of=("self",), no_key=True))
        still_held = self._quiet([one.service for one in found.values()])
        freed = []
        for alert in alerts:
            destination = found[alert.pk]
            if alert.severity != severities[alert.pk]:
                raise Changed
            if alert.pk in self._anew:
                _take(alert, destination)
            if held := still_held(alert, destination):
                if held.by != alert.held_by or held.why != alert.held_why:
                    alert.held_by, alert.held_why = held.by, held.why
                alert.recheck_at = recheck_at(held, now=self._now)
                continue
            self._free(alert, destination, opening)
            freed.append(alert)
        opening.write()
        storing.release(alerts)
        opening.tell()
        for alert in freed:
            for text in alert.kept_notes:
                lifecycle.add_note(alert.incident_id, text=text, by=None, now=self._now, via="source")
        alarms.raise_alarms(self._alarms, now=self._now)
        alarms.clear_alarms([f"held-failed:{alert.pk}" for alert in alerts], now=self._now)

    def _rows(self):
        rows = Alert.objects.firing().filter(pk__in=self._ids, recheck_at__lte=self._now).exclude(held_by="")
        return rows.select_related("service__team", "integration").order_by("first_at", "pk")

    def _routing(self, alerts):
        """The rules, when one of these alerts is suppressed by one; None when they cannot be read."""
        suppressed = [alert for alert in alerts if _is_by_rule(alert.held_by)]
        if not suppressed:
            return None
        return guarded(
            "routing", self._without, routing.load, {one.integration for one in suppressed if one.integration}
        )

    def _destination(self, alert, routes):
        """Where the alert goes: as was decided when it came in, but for a suppressed one, which is routed anew."""
        facts = matching.facts_of_alert(alert)
        route = alert.route
        destination = Destination(
            service=alert.service,
            came=route.get("came", alert.severity),
            severity=alert.severity,
            priority=route.get("priority", ""),
            title=alert.title,
            facts=facts,
            policy_id=route.get("policy"),
            pages=route.get("pages", True),
            rule_id=route.get("rule"),
            rule=route.get("rule_name", ""),
        )
        if _is_by_rule(alert.held_by) and routes is not None:
            self._route_again(alert, routes, destination)
        return destination

    def _route_again(self, alert, routes, destination):
        """Suppressed still, while its rule is the same and counts; else the rules are asked anew.

        They are asked about the alert as it came, but for its payload, which is no longer known.
        """
        asked = alert.route.get("asked", {})
        facts = dataclasses.replace(
            destination.facts,
            severity=destination.came,
            title=asked.get("title", alert.title),
            service=asked.get("service", alert.service.slug),
        )
        destination.is_own = asked.get("is_own", False)
        rules = routes.rules_for(alert.integration_id)
        same = next((one for one in rules if f"{quiet.RULE}:{one.id}" == alert.held_by), None)
        if same and not same.broken and same.mark == asked.get("mark") and same.counts_at(self._now):
            destination.action = routing.SUPPRESS
            destination.verdict = routing.Verdict(routing.SUPPRESS, asked=((same, True),), facts=facts, at=self._now)
            return
        self._anew.add(alert.pk)
        verdict = routes.decide(facts, integration_id=alert.integration_id, at=self._now)
        destination.verdict = verdict
        destination.action = verdict.action if verdict.action == routing.SUPPRESS else routing.ROUTE
        destination.severity = verdict.severity or destination.came
        destination.title = verdict.title or facts.title
        destination.priority = verdict.priority or ("" if verdict.severity else destination.priority)
        destination.policy_id, destination.pages = verdict.policy_id, verdict.pages
        destination.rule_id = verdict.rule_id
        decider = verdict.by.get("action") or verdict.by.get("pages_nobody")
        destination.rule = decider[1] if decider else ""
        if verdict.service_id and verdict.service_id != alert.service_id and not destination.is_own:
            found = Service.objects.select_related("team").filter(pk=verdict.service_id).first()
            destination.service = found or alert.service
        destination.facts = dataclasses.replace(
            facts, severity=destination.severity, title=destination.title, service=destination.service.slug
        )

    def _quiet(self, services):
        """A function `(alert, destination)` that gives the Hold of an alert, or None."""
        known = guarded("quiet", self._without, quiet.Quiet.load, now=self._now, services=services)
        if known is None:
            self._alarms["quiet-failed"] = (
                f"Silences, maintenance and inhibition could not be read: {self._without['quiet']}. Nothing is held "
                "until they can be: every alert pages. Look at the log, then at the silences and windows in the admin."
            )

        def hold(alert, destination):
            if held := destination.suppressed(self._now):
                return held
            if known is None:
                return None
            return guarded(
                "quiet",
                self._without,
                known.hold,
                destination.facts,
                service=destination.service,
                severity=destination.severity,
                scope=alert.scope,
                key=alert.dedup_key,
                integration_id=alert.integration_id,
            )

        return hold

    def _free(self, alert, destination, opening):
        said = f"It was held since {quiet.said(alert.held_at, self._now)}, and nothing holds it now. {alert.held_why}"
        alert.held_by = alert.held_why = ""
        alert.held_at = alert.recheck_at = None
        integration = alert.integration or NO_INTEGRATION
        as_said = alert.route.pop("group", None)
        alert.kept_notes = alert.route.pop("notes", [])
        group = destination.group(integration, as_said=as_said)
        opening.place(alert, destination, group, said=said, limit=integration.incidents_per_minute)
        opening.say(alert, "released", f"{alert.title}: {said}")


def _take(alert, destination):
    """Write at the alert what the rules say of it now."""
    route = alert.route
    if destination.rule_id != route.get("rule"):
        route.pop("group", None)  # it was that of another route
    for name in ROUTED:
        route.pop(name, None)
    route.update(destination.route())
    alert.service, alert.severity, alert.title = destination.service, destination.severity, destination.title
