"""Datadog's webhook integration. Its payload is whatever the user pastes, so we give them one to paste."""

import json
import re

from alerts.event import (
    IGNORE,
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
from alerts.sources.reading import an_object, filled, key_with, labels_of_tags, paragraphs

TEMPLATE = {
    "alert_id": "$ALERT_ID",
    "alert_cycle_key": "$ALERT_CYCLE_KEY",
    "aggreg_key": "$AGGREG_KEY",
    "alert_transition": "$ALERT_TRANSITION",
    "alert_type": "$ALERT_TYPE",
    "alert_priority": "$ALERT_PRIORITY",
    "alert_title": "$ALERT_TITLE",
    "alert_query": "$ALERT_QUERY",
    "alert_scope": "$ALERT_SCOPE",
    "alert_status": "$ALERT_STATUS",
    "alert_metric": "$ALERT_METRIC",
    "event_id": "$ID",
    "event_type": "$EVENT_TYPE",
    "event_title": "$EVENT_TITLE",
    "event_msg": "$TEXT_ONLY_MSG",
    "date": "$DATE",
    "last_updated": "$LAST_UPDATED",
    "hostname": "$HOSTNAME",
    "tags": "$TAGS",
    "service": "$TAGS[service]",
    "link": "$LINK",
    "snapshot": "$SNAPSHOT",
    "org_id": "$ORG_ID",
    "org_name": "$ORG_NAME",
}
_OURS = ("alert_transition", "alert_type", "alert_cycle_key", "alert_id", "event_title", "event_type")
# A variable that does not apply stays as it is written.
_PLACEHOLDER = re.compile(r"\$[A-Z_]+(\[[^\]]*\])?")
_BRACKETS = re.compile(r"(\s*\[[^\]]*\])+\s*")
_RECOVERED = re.compile(r"(\s*\[[^\]]*\])*?\s*\[recovered\b", re.IGNORECASE)
_BY_TYPE = {"error": "high", "warning": "medium", "info": "info"}
_WORSE_THAN_A_WARNING = ("critical", "high")
_LABELS = ("alert_id", "alert_metric", "alert_scope", "alert_transition", "alert_query", "event_type", "org_name")


class Datadog(Source):
    kind = "datadog"
    label = "Datadog"
    setup_help = (
        "In Datadog open Integrations, Webhooks, New Webhook:\n\n"
        "  Name       oncall\n"
        "  URL        {url}\n"
        "  Payload    the text below\n"
        "  Encode as form    off\n\n"
        + json.dumps(TEMPLATE, indent=2)
        + "\n\nTo keep the key out of the address, use {server}/in/datadog with the custom headers\n\n"
        '{"Authorization": "Bearer {key}"}\n\n'
        "Then write @webhook-oncall into the message of each monitor that should call somebody, and let it notify on "
        "recovery too. The priority of the monitor gives the severity, its tag “service” the service."
    )

    def read(self, data, headers, options):
        if not any(name in an_object(data, "Datadog") for name in _OURS):
            return Generic().read(data, headers, options)
        data = filled(data, _PLACEHOLDER)
        full_title = text_of(data, "event_title", "title", limit=TITLE_LIMIT)
        transition = clean_line(data.get("alert_transition"), 40).lower()
        kind = clean_line(data.get("alert_type"), 40).lower()
        is_over = transition == "recovered" or kind == "success"
        if not transition:
            is_over = is_over or bool(_RECOVERED.match(full_title))  # Datadog's own payload says it nowhere else
        title = (
            _BRACKETS.sub("", full_title, count=1) if full_title.lstrip().startswith("[") else full_title
        ) or text_of(data, "alert_title", limit=TITLE_LIMIT)
        key = self._key(data)
        if is_over and not key:
            reason = (
                "It says that something is well, but not what. Paste the payload of the setup text into the webhook: "
                "it has alert_cycle_key."
            )
            return [Event(IGNORE, title=title, reason=reason, source=self.kind)]
        severity, priority = self._severity(data, kind, transition)
        tags = labels_of_tags(clean_line(data.get("tags"), 20_000).split(","))
        return [
            Event(
                action=RESOLVE if is_over else TRIGGER,
                dedup_key=key,
                severity=severity,
                priority=priority,
                title=title or full_title or "A Datadog event without a title",
                description=paragraphs(data.get("event_msg") or data.get("body") or data.get("alert_status")),
                service=clean_line(data.get("service") or tags.get("service"), SERVICE_LIMIT),
                labels=clean_labels(
                    tags,
                    {name: data.get(name) or None for name in _LABELS},
                    {"host": data.get("hostname") or None},
                ),
                links=clean_links([(data.get("link"), "Datadog"), (data.get("snapshot"), "Snapshot")]),
                occurred_at=parse_time(data.get("date")) or parse_time(data.get("last_updated")),
                source=self.kind,
            )
        ]

    @staticmethod
    def _key(data):
        """The key of the cycle from trigger to recovery, else the monitor with its sorted scope."""
        scope = sorted(part.strip() for part in clean_line(data.get("alert_scope"), 4000).split(","))
        monitor = clean_key(data.get("alert_id"))
        return clean_key(data.get("alert_cycle_key")) or (key_with(monitor, ",".join(scope) or "*") if monitor else "")

    @staticmethod
    def _severity(data, kind, transition):
        """`(severity, priority)`; a warning is never more than medium, and then has the priority of that."""
        priority = clean_line(data.get("alert_priority"), 10).upper()
        severity = severity_from(priority) or _BY_TYPE.get(kind, "")
        if transition.removeprefix("re-") == "warn" and severity in _WORSE_THAN_A_WARNING:
            return "medium", ""
        return severity, priority if re.fullmatch("P[1-5]", priority) else ""
