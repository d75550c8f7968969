"""Alerts as Prometheus posts them to an Alertmanager: its API v2, an array without fingerprints or status."""

from datetime import UTC, datetime, timedelta

from alerts.event import (
    DESCRIPTION_LIMIT,
    IGNORE,
    RESOLVE,
    SERVICE_LIMIT,
    TITLE_LIMIT,
    TRIGGER,
    Event,
    clean_labels,
    clean_line,
    clean_links,
    clean_text,
    parse_time,
    severity_from,
)
from alerts.sources.alertmanager import check_number, fingerprint
from alerts.sources.base import KIBIBYTE, BadEvent, Source, text_of

# Alertmanager's `resolve_timeout` where the sender names no end. Prometheus always does.
RESOLVE_TIMEOUT = timedelta(minutes=5)
FARTHEST_END = timedelta(days=366)
SAID = 20  # of the mistakes in an array


class Prometheus(Source):
    kind = "prometheus"
    label = "Prometheus"
    limited_status = 503  # it drops what got a 4xx
    setup_help = (
        "Prometheus can send its alerts here without an Alertmanager. In prometheus.yml:\n\n"
        "alerting:\n"
        "  alertmanagers:\n"
        "    - scheme: https\n"
        "      path_prefix: /in/{key}\n"
        "      static_configs:\n"
        "        - targets: [oncall.example.com]  # the host of {server}\n\n"
        "Whatever else speaks Alertmanager's API v2 posts to {url}. amtool works too: "
        "amtool --alertmanager.url={server}/in/{key} silence add "
        'alertname=InstanceDown --comment="New disks". '
        "A label “service” with a slug chooses the service, a label “severity” the severity. "
        "An alert that Prometheus stops sending ends at the time it named, about four minutes after the last one."
    )
    max_body = 2048 * KIBIBYTE
    # When it was received: without a status, an end before that is what says "resolved".
    keep_headers = (":received-at",)
    also_keys_of = ("alertmanager",)

    def __init__(self):
        self.errors = []  # of the array that was read last

    def read(self, data, headers, options):
        if not isinstance(data, list):
            raise BadEvent.about("", "Send an array of alerts.")
        check_number(data)
        # Only the test box in the admin, where nothing was received, has no such time.
        received_at = parse_time(headers.get(":received-at")) or datetime.now(UTC)
        if not data:
            return [Event(IGNORE, reason="There is no alert in it.", source=self.kind)]
        events, self.errors = read_alerts(data, received_at)
        if self.errors and not events:
            raise BadEvent(self.errors)
        return events

    def accepted(self, events, event_id):
        return 200, None

    def refused(self, errors):
        more = f" And {len(errors) - SAID} more." if len(errors) > SAID else ""
        return 400, " ".join(error["message"] for error in errors[:SAID]) + more

    def overloaded(self):
        return self.overloaded_status, super().overloaded()[1]["message"]

    def limited(self, sentence):
        return self.limited_status, sentence


def read_alerts(data, received_at):
    """`(events, errors)` of an array: one mistake does not keep the others out."""
    events, errors = [], []
    for index, alert in enumerate(data):
        labels = alert.get("labels") if isinstance(alert, dict) else None
        if not isinstance(labels, dict):
            message = f"Alert {index} has no labels. Each alert needs an object with at least one label."
            errors.append({"field": f"[{index}].labels", "message": message})
            continue
        labels = {name: value for name, value in labels.items() if value not in ("", None)}
        if not labels:
            message = f"Alert {index} has no label with a value. Each alert needs at least one."
            errors.append({"field": f"[{index}].labels", "message": message})
            continue
        starts_at, ends_at = parse_time(alert.get("startsAt")), parse_time(alert.get("endsAt"))
        if starts_at and ends_at and ends_at < starts_at:
            message = f"Alert {index} ends before it starts. Correct endsAt."
            errors.append({"field": f"[{index}].endsAt", "message": message})
            continue
        events.append(_event(alert, labels, starts_at, ends_at, received_at))
    return events, errors


def _event(alert, labels, starts_at, ends_at, received_at):
    annotations = alert.get("annotations") if isinstance(alert.get("annotations"), dict) else {}
    is_over = ends_at is not None and ends_at <= received_at
    name, instance = (clean_line(labels.get(label), 200) for label in ("alertname", "instance"))
    title = text_of(annotations, "summary", "title", limit=TITLE_LIMIT)
    return Event(
        action=RESOLVE if is_over else TRIGGER,
        dedup_key=fingerprint(labels),
        severity=severity_from(labels.get("severity")),
        title=title or " on ".join(part for part in (name, instance) if part) or "An alert without a name",
        description=clean_text(annotations.get("description") or annotations.get("message"), DESCRIPTION_LIMIT),
        service=clean_line(labels.get("service"), SERVICE_LIMIT),
        labels=clean_labels(labels),
        links=clean_links(
            [
                (annotations.get("runbook_url"), "Runbook"),
                (annotations.get("dashboard_url"), "Dashboard"),
                (alert.get("generatorURL"), "Source"),
            ]
        ),
        occurred_at=ends_at if is_over else starts_at,
        source=Prometheus.kind,
        ends_at=None if is_over else min(ends_at or received_at + RESOLVE_TIMEOUT, received_at + FARTHEST_END),
    )
