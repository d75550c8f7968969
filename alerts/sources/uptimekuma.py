"""Uptime Kuma's webhook: as JSON, as a form, or as a GET request with a query."""

import re
from urllib.parse import parse_qsl

from alerts.event import (
    IGNORE,
    RESOLVE,
    SERVICE_LIMIT,
    TITLE_LIMIT,
    TRIGGER,
    Event,
    clean_labels,
    clean_line,
    clean_links,
    parse_time,
    severity_from,
)
from alerts.sources.base import BadEvent, Source, read_form, read_json, text_of, too_deep
from alerts.sources.generic import Generic
from alerts.sources.reading import (
    an_object,
    key_with,
    label,
    labels_of_pairs,
    list_in,
    needed_key,
    object_in,
    paragraphs,
)

_PRESET = {"heartbeat", "monitor", "msg"}
_WAITING = {
    "2": "The monitor is pending: Uptime Kuma tries again before it says that it is down.",
    "3": "The monitor is in maintenance.",
}
_UP = "1"
_TEST_END = " Testing"
_PLAIN_ADDRESS = re.compile(r"https?://[^/?#\s]+\S*", re.IGNORECASE)  # monitors without one have only “https://”


class UptimeKuma(Source):
    kind = "uptimekuma"
    label = "Uptime Kuma"
    methods = ("POST", "PUT", "GET")
    keep_headers = (":method", ":query")
    setup_help = (
        "In Uptime Kuma open Settings, Notifications, Setup Notification:\n\n"
        "  Notification Type    Webhook\n"
        "  Post URL             {url}\n"
        "  Request Body         Preset - application/json\n\n"
        "To keep the key out of the address, use {server}/in/uptimekuma with the additional headers\n\n"
        '{"Authorization": "Bearer {key}"}\n\n'
        "Uptime Kuma never sends a message a second time. Set “Resend Notification if Down X times consecutively” of "
        "each monitor to 5 or so: then an alert arrives even if this server was away when the trouble began.\n\n"
        "Tags of a monitor: “severity” with the value high, “service” with a slug."
    )

    def parse(self, body, headers, options=None):
        content_type = headers.get("content-type", "")
        if headers.get(":method") == "GET":
            fields = dict(reversed(parse_qsl(headers.get(":query", ""), keep_blank_values=True)))
        elif content_type.lower().startswith(("multipart/", "application/x-www-form-urlencoded")):
            fields = read_form(body, content_type)
            if "data" in fields:
                return super().parse(fields["data"].encode("utf-8", "replace"), headers, options)
        else:
            return super().parse(body, headers, options)
        if not fields:
            raise BadEvent.about("", "There is neither a body nor a query. Let Uptime Kuma send its preset body.")
        try:
            data = {name: text if name == "msg" else _value(text) for name, text in fields.items()}
            return self.read(data, headers, options or {})
        except RecursionError:
            raise too_deep() from None

    def read(self, data, headers, options):
        an_object(data, "Uptime Kuma")
        message = data.get("msg")
        heartbeat, monitor = object_in(data, "heartbeat"), object_in(data, "monitor")
        if not heartbeat and not (data and data.keys() <= _PRESET):
            return Generic().read(data, headers, options)  # a custom body
        if not heartbeat:
            return [self._without_heartbeat(message, monitor)]
        name = text_of(monitor, "name", "pathName", limit=TITLE_LIMIT) or "A monitor without a name"
        status = clean_line(heartbeat.get("status"), 10)
        if status in _WAITING:
            return [Event(IGNORE, title=name, reason=_WAITING[status], source=self.kind)]
        action = RESOLVE if status == _UP else TRIGGER
        key = key_with("monitor", heartbeat.get("monitorID")) or key_with("monitor", monitor.get("id"))
        return [
            Event(
                action=action,
                dedup_key=needed_key(action, key, "heartbeat.monitorID"),
                title=clean_line(f"{name} is {'up' if action == RESOLVE else 'down'}"),
                description=paragraphs(heartbeat.get("msg") or message, monitor.get("description")),
                occurred_at=parse_time(heartbeat.get("time")),
                **self._about(monitor),
            )
        ]

    def _about(self, monitor):
        """What the monitor says about itself, as fields of an event."""
        tags = labels_of_pairs(list_in(monitor, "tags"), "name", "value")
        address = clean_line(monitor.get("url"), 2048)
        return {
            "severity": severity_from(label(tags, "severity")),
            "service": clean_line(label(tags, "service"), SERVICE_LIMIT),
            "labels": clean_labels(
                tags,
                {"monitor": monitor.get("name"), "path": monitor.get("pathName"), "type": monitor.get("type")},
                {name: monitor.get(name) or None for name in ("hostname", "port")},
            ),
            "links": clean_links([(address, "Monitored address")] if _PLAIN_ADDRESS.fullmatch(address) else []),
            "source": self.kind,
        }

    def _without_heartbeat(self, message, monitor):
        """A test, or a certificate or a domain that expires: nothing that can be up again."""
        title = clean_line(message) or text_of(monitor, "name", limit=TITLE_LIMIT) or "A message without a text"
        if title.endswith(_TEST_END):
            reason = "It is the test message of a notification, so it opens no alert."
            return Event(IGNORE, title=title, reason=reason, source=self.kind)
        about = self._about(monitor)
        return Event(TRIGGER, title=title, **{**about, "severity": about["severity"] or "info"})


def _value(text):
    """The JSON value in a field of a query or a form, or the text itself."""
    try:
        return read_json(text.encode("utf-8", "replace"))
    except BadEvent:
        return text
