"""Prometheus Alertmanager, webhook payload version 4: one event per alert of the group, or one for the whole group."""

import dataclasses
import hashlib
import json

from alerts.event import (
    RESOLVE,
    SERVICE_LIMIT,
    TITLE_LIMIT,
    TRIGGER,
    Event,
    as_text,
    clean_key,
    clean_labels,
    clean_line,
    clean_links,
    parse_time,
    severity_from,
)
from alerts.sources.base import KIBIBYTE, BadEvent, Option, Source, text_of
from alerts.sources.generic import Generic
from alerts.sources.reading import object_in, paragraphs

WORST_FIRST = ("critical", "high", "medium", "low", "info")
LISTED = 50  # of the alerts of a group in its description
# The smallest real alert takes 190 of the 2 MiB, so no sender has more; to read many more would take seconds.
MOST_ALERTS = 20_000

MODE = Option(
    name="mode",
    label="One alert for",
    help_text="Each alert of a group, which resolves by itself, or the whole group, which resolves with the last of "
    "its alerts. The key of a group changes when the routing tree of the sender is edited: set “auto-resolve” too.",
    default="alert",
    choices=(("alert", "each alert"), ("group", "the whole group")),
)


class Alertmanager(Source):
    kind = "alertmanager"
    label = "Prometheus Alertmanager"
    # A group without max_alerts may be large, and Alertmanager never sends again after a 4xx.
    max_body = 2048 * KIBIBYTE
    limited_status = 503
    setup_help = (
        "Add a receiver to alertmanager.yml:\n\n"
        "receivers:\n"
        "  - name: oncall\n"
        "    webhook_configs:\n"
        "      - url: {url}\n"
        "        send_resolved: true\n"
        "        max_alerts: 100\n\n"
        "Without send_resolved nothing ever resolves. A label “service” with a slug chooses the service, "
        "a label “severity” the severity."
    )

    options = (MODE,)

    def read(self, data, headers, options):
        alerts = self._alerts(data)
        if not alerts:
            return Generic().read(data, headers, options)  # a receiver with its own `payload:` sends what it likes
        check_number(alerts)
        truncated = data.get("truncatedAlerts")
        note = ""
        if isinstance(truncated, int) and truncated > 0:
            note = f"The sender left {truncated} more alerts of this group out. Raise max_alerts to see them."
        if options.get(MODE.name) == "group":
            return [self._group_event(alerts, data, note)]
        return [self._event(alert, data, note) for alert in alerts]

    def accepted(self, events, event_id):
        return 200, None

    @staticmethod
    def _alerts(data):
        alerts = data.get("alerts") if isinstance(data, dict) else None
        return [alert for alert in alerts if isinstance(alert, dict)] if isinstance(alerts, list) else []

    def links_of(self, alert, group):
        """`(address, text)` pairs of an alert."""
        annotations = object_in(alert, "annotations")
        return [
            (annotations.get("runbook_url"), "Runbook"),
            (annotations.get("dashboard_url"), "Dashboard"),
            (alert.get("generatorURL"), "Source"),
            (group.get("externalURL"), "Alertmanager"),
        ]

    def labels_of(self, alert):
        """The labels of an alert as the sender gives them."""
        return object_in(alert, "labels")

    def _event(self, alert, group, note=""):
        labels, annotations = object_in(alert, "labels"), object_in(alert, "annotations")
        action = RESOLVE if alert.get("status") == "resolved" else TRIGGER
        name, instance = (clean_line(labels.get(label), 200) for label in ("alertname", "instance"))
        title = text_of(annotations, "summary", "title", limit=TITLE_LIMIT)
        return Event(
            action=action,
            dedup_key=clean_key(alert.get("fingerprint")) or fingerprint(labels),
            severity=severity_from(labels.get("severity")),
            title=title or " on ".join(part for part in (name, instance) if part) or "An alert without a name",
            description=paragraphs(annotations.get("description") or annotations.get("message"), note),
            service=clean_line(labels.get("service"), SERVICE_LIMIT),
            labels=clean_labels(self.labels_of(alert)),
            links=clean_links(self.links_of(alert, group)),
            occurred_at=parse_time(alert.get("endsAt" if action == RESOLVE else "startsAt")),
            source=self.kind,
        )

    def _group_event(self, alerts, group, note):
        """One event for all alerts of a group: what they have in common, and how bad the worst of them is."""
        each = [self._event(alert, group) for alert in alerts]
        firing = [event for event in each if event.action == TRIGGER]
        over = group["status"] == "resolved" if isinstance(group.get("status"), str) else not firing
        labels = {**object_in(group, "groupLabels"), **object_in(group, "commonLabels")}
        whole = self._event(
            {
                **alerts[0],
                "status": "resolved" if over else "firing",
                "labels": labels,
                "annotations": object_in(group, "commonAnnotations"),
                "fingerprint": group_key(group),
            },
            group,
        )
        shown = each if over or not firing else firing
        severities, services = {event.severity for event in shown}, {event.service for event in shown}
        count = f"{len(shown)} alerts" if len(shown) > 1 else ""
        named = (
            text_of(object_in(group, "commonAnnotations"), "summary", "title", limit=TITLE_LIMIT)
            or clean_line(labels.get("alertname"), 200)
            or shown[0].title
        )
        lines = [f"- {event.title}" for event in shown[:LISTED]] if count else [shown[0].description]
        return dataclasses.replace(
            whole,
            severity=next((severity for severity in WORST_FIRST if severity in severities), ""),
            service=whole.service or (services.pop() if len(services) == 1 else ""),
            title=clean_line(f"{count}: {named}" if count else shown[0].title),
            description=paragraphs(whole.description, "\n".join(lines), note),
            # The first that began and the last that ended, so that an end never looks older than its beginning.
            occurred_at=(max if over else min)(
                (event.occurred_at for event in shown if event.occurred_at), default=None
            ),
        )


def check_number(alerts):
    """Raise BadEvent when one request has more alerts than any sender puts into one."""
    if len(alerts) > MOST_ALERTS:
        raise BadEvent.about("alerts", f"There are {len(alerts)} alerts. Send {MOST_ALERTS} at most in one request.")


def group_key(group):
    """SHA-256 of the group key; without one, of what the group is made by."""
    key = as_text(group.get("groupKey")) or json.dumps(
        [group.get("receiver"), group.get("groupLabels")], sort_keys=True, default=str
    )
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def fingerprint(labels):
    """Prometheus' fingerprint of a label set: FNV-1a, 64 bit, in 16 hexadecimal characters."""
    value = 14695981039346656037
    for name in sorted(labels, key=as_text):
        for text in (as_text(name), as_text(labels[name])):
            for byte in text.encode("utf-8", "replace") + b"\xff":
                value = (value ^ byte) * 1099511628211 & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"
