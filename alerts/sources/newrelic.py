"""New Relic's workflow webhook, and the names that its older notification channels used."""

from alerts.event import (
    ACKNOWLEDGE,
    RESOLVE,
    SERVICE_LIMIT,
    TITLE_LIMIT,
    TRIGGER,
    Event,
    clean_key,
    clean_labels,
    clean_line,
    clean_links,
    parse_time,
    severity_from,
)
from alerts.sources.base import Source, text_of
from alerts.sources.generic import Generic
from alerts.sources.reading import an_object, first_line, lines_in, list_in, needed_key, paragraphs

TEMPLATE = """{
  "id": {{ json issueId }},
  "issueUrl": {{ json issuePageUrl }},
  "title": {{ json annotations.title.[0] }},
  "description": {{#if annotations.description}}{{ json annotations.description.[0] }}{{else}}""{{/if}},
  "priority": {{ json priority }},
  "impactedEntities": {{ json entitiesData.names }},
  "totalIncidents": {{ json totalIncidents }},
  "state": {{ json state }},
  "trigger": {{ json triggerEvent }},
  "isCorrelated": {{ json isCorrelated }},
  "createdAt": {{ createdAt }},
  "updatedAt": {{ updatedAt }},
  "sources": {{ json accumulations.source }},
  "alertPolicyNames": {{ json accumulations.policyName }},
  "alertConditionNames": {{ json accumulations.conditionName }},
  "workflowName": {{ json workflowName }},
  "acknowledged": {{#if issueAcknowledgedAt}}true{{else}}false{{/if}},
  "runbooks": {{ json accumulations.runbookUrl }},
  "service": {{ json accumulations.tag.affectedService }}
}"""

_OURS = ("id", "issueId", "incident_id", "issueUrl", "state", "current_state", "trigger")
_LISTS = ("impactedEntities", "sources", "alertPolicyNames", "alertConditionNames")
_WORDS = ("trigger", "workflowName", "isCorrelated", "totalIncidents", "policy_name", "condition_name")
_YES = ("true", "yes", "1")


class NewRelic(Source):
    kind = "newrelic"
    label = "New Relic"
    setup_help = (
        "In New Relic open Alerts, Destinations, and add a destination of the type Webhook:\n\n"
        "  Endpoint URL     {server}/in/newrelic\n"
        "  Authorization    Bearer token: {key}\n\n"
        "(or {url} without authorization). Then open Alerts, Workflows, add a workflow with this destination, and "
        "paste this as its payload:\n\n" + TEMPLATE + "\n\n"
        "Keep all notifications of the workflow on: activated, acknowledged, priority changed and closed. A tag "
        "“affectedService” of an entity with a slug chooses the service."
    )

    def read(self, data, headers, options):
        an_object(data, "New Relic")
        if not any(name in data for name in _OURS):
            return Generic().read(data, headers, options)
        action = self._action(data)
        key = next((key for name in ("id", "issueId", "incident_id") if (key := clean_key(data.get(name)))), "")
        times = ("createdAt", "timestamp") if action == TRIGGER else ("updatedAt", "timestamp")
        runbooks = [(address, "Runbook") for address in (*list_in(data, "runbooks"), data.get("runbook_url"))]
        return [
            Event(
                action=action,
                dedup_key=needed_key(action, key, "id"),
                severity=severity_from(data.get("priority")) or severity_from(data.get("severity")),
                title=first_line(data, "title", TITLE_LIMIT)
                or text_of(data, "condition_name", "details", "workflowName", limit=TITLE_LIMIT)
                or "A New Relic issue without a title",
                description=paragraphs(data.get("description"), data.get("details")),
                service=first_line(data, "service", SERVICE_LIMIT),
                labels=clean_labels(
                    {name: lines_in(data, name) for name in _LISTS},
                    {name: data.get(name) for name in _WORDS if data.get(name) not in ("", None)},
                ),
                links=clean_links(
                    [(data.get("issueUrl"), "New Relic"), (data.get("incident_url"), "New Relic"), *runbooks]
                ),
                occurred_at=next((time for name in times if (time := parse_time(data.get(name)))), None),
                source=self.kind,
            )
        ]

    @staticmethod
    def _action(data):
        state = (clean_line(data.get("state"), 40) or clean_line(data.get("current_state"), 40)).upper()
        if state == "CLOSED":  # a closed incident of the issue (INCIDENT_CLOSED) does not close the issue
            return RESOLVE
        if state == "ACKNOWLEDGED":  # the older channels
            return ACKNOWLEDGE
        # Somebody did something to the issue: took it, or gave it back. Only these two fields tell which.
        if clean_line(data.get("trigger"), 40).upper() == "USER_ACTION" and state in ("ACTIVATED", ""):
            said_yes = any(
                clean_line(data.get(name), 10).lower() in _YES for name in ("acknowledged", "isAcknowledged")
            )
            if said_yes or parse_time(data.get("issueAcknowledgedAt")):
                return ACKNOWLEDGE
        return TRIGGER
