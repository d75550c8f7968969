"""Grafana OnCall's formatted webhook, which several tools know how to send."""

import hashlib

from alerts.event import (
    RESOLVE,
    SERVICE_LIMIT,
    TITLE_LIMIT,
    TRIGGER,
    Event,
    clean_key,
    clean_labels,
    clean_line,
    clean_links,
    clean_text,
    severity_from,
)
from alerts.sources.base import BadEvent, Source, text_of
from alerts.sources.reading import an_object, needed_key, paragraphs

_KNOWN = ("alert_uid", "title", "message", "image_url", "link_to_upstream_details", "state", "severity", "service")
_UPTIME_KUMA = (" is up", " is down")


class OnCall(Source):
    kind = "oncall"
    label = "Grafana OnCall formatted webhook"
    setup_help = (
        "Where the sender asks for the address of Grafana OnCall, enter\n\n"
        "  {server}/integrations/v1/formatted_webhook/{key}/\n\n"
        "or {url}. Both take the same body:\n\n"
        "curl {url} -H 'Content-Type: application/json' \\\n"
        '  -d \'{"alert_uid": "disk/web-03", "title": "Disk 92% full on web-03", "state": "alerting", '
        '"message": "3 GB left", "link_to_upstream_details": "https://monitor.example.com/web-03"}\'\n\n'
        'The same with "state": "ok" resolves it. “severity” and “service” may be added; all other fields become '
        "labels."
    )

    def parse(self, body, headers, options=None):
        if headers.get("content-type", "").lower().startswith("multipart/"):
            raise BadEvent.about("", "Files are not taken here. Send a JSON object.")
        return super().parse(body, headers, options)

    def read(self, data, headers, options):
        an_object(data, "the tool")
        action = RESOLVE if clean_line(data.get("state"), 40).lower() == "ok" else TRIGGER
        message = clean_text(data.get("message"), TITLE_LIMIT)
        key = clean_key(data.get("alert_uid")) or _key_of_uptime_kuma(data.get("title"))
        return [
            Event(
                action=action,
                dedup_key=needed_key(action, key, "alert_uid"),
                severity=severity_from(data.get("severity")),
                title=text_of(data, "title", limit=TITLE_LIMIT)
                or clean_line(message.partition("\n")[0])
                or "An alert without a title",
                description=paragraphs(data.get("message")),
                service=clean_line(data.get("service"), SERVICE_LIMIT),
                labels=clean_labels({name: value for name, value in data.items() if name not in _KNOWN}),
                links=clean_links(
                    [(data.get("link_to_upstream_details"), "Details"), (data.get("image_url"), "Image")]
                ),
                source=self.kind,
            )
        ]

    def accepted(self, events, event_id):
        return 200, "Ok."  # Zabbix' script compares with 200


def _key_of_uptime_kuma(title):
    """The key of “<monitor> is down” and “<monitor> is up”: only Uptime Kuma's text says what belongs together."""
    for end in _UPTIME_KUMA:
        if isinstance(title, str) and title.endswith(end):
            return hashlib.sha256(title.removesuffix(end).encode("utf-8", "surrogatepass")).hexdigest()
    return ""
