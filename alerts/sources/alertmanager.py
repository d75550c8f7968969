"""Prometheus Alertmanager, webhook payload version 4: one event per alert of the group."""

from alerts.event import (
    DESCRIPTION_LIMIT,
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
    clean_text,
    parse_time,
    severity_from,
)
from alerts.sources.base import KIBIBYTE, Source, text_of
from alerts.sources.generic import Generic


class Alertmanager(Source):
    kind = "alertmanager"
    label = "Prometheus Alertmanager"
    # A group without max_alerts may be large, and Alertmanager never sends again after a 4xx.
    max_body = 2048 * KIBIBYTE
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

    def read(self, data, headers):
        if not self._is_version_4(data):
            return Generic().read(data, headers)  # a receiver with its own `payload:` sends what it likes
        truncated = data.get("truncatedAlerts")
        note = ""
        if isinstance(truncated, int) and truncated > 0:
            note = f"Alertmanager left {truncated} more alerts of this group out. Raise max_alerts to see them."
        return [self._event(alert, data, note) for alert in data["alerts"]]

    def accepted(self, events, event_id):
        return 200, None

    @staticmethod
    def _is_version_4(data):
        if not isinstance(data, dict):
            return False
        alerts = data.get("alerts")
        return isinstance(alerts, list) and bool(alerts) and all(isinstance(alert, dict) for alert in alerts)

    def _event(self, alert, group, note):
        labels = alert.get("labels") if isinstance(alert.get("labels"), dict) else {}
        annotations = alert.get("annotations") if isinstance(alert.get("annotations"), dict) else {}
        action = RESOLVE if alert.get("status") == "resolved" else TRIGGER
        name, instance = (clean_line(labels.get(label), 200) for label in ("alertname", "instance"))
        title = text_of(annotations, "summary", "title", limit=TITLE_LIMIT)
        described = annotations.get("description") or annotations.get("message")
        return Event(
            action=action,
            dedup_key=clean_key(alert.get("fingerprint")) or fingerprint(labels),
            severity=severity_from(labels.get("severity")),
            title=title or " on ".join(part for part in (name, instance) if part) or "An alert without a name",
            description=clean_text("\n\n".join(filter(None, (as_text(described), note))), DESCRIPTION_LIMIT),
            service=clean_line(labels.get("service"), SERVICE_LIMIT),
            labels=clean_labels(labels),
            links=clean_links(
                [
                    (annotations.get("runbook_url"), "Runbook"),
                    (annotations.get("dashboard_url"), "Dashboard"),
                    (alert.get("generatorURL"), "Source"),
                    (group.get("externalURL"), "Alertmanager"),
                ]
            ),
            occurred_at=parse_time(alert.get("endsAt" if action == RESOLVE else "startsAt")),
            source=self.kind,
        )


def fingerprint(labels):
    """Prometheus' fingerprint of a label set: FNV-1a, 64 bit, in 16 hexadecimal characters."""
    value = 14695981039346656037
    for name in sorted(labels, key=as_text):
        for text in (as_text(name), as_text(labels[name])):
            for byte in text.encode("utf-8", "replace") + b"\xff":
                value = (value ^ byte) * 1099511628211 & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"
