"""PagerDuty Events API v2, so that whoever talks to PagerDuty can talk to us by another address."""

import msgspec

from alerts.event import (
    ACKNOWLEDGE,
    CHANGE,
    RESOLVE,
    TRIGGER,
    Event,
    clean_key,
    clean_labels,
    clean_line,
    clean_links,
    parse_time,
    severity_from,
)
from alerts.sources.base import BadEvent, Source, read_json

SEVERITIES = ("critical", "warning", "error", "info")
ACTIONS = (TRIGGER, ACKNOWLEDGE, RESOLVE)


class PagerDuty(Source):
    kind = "pagerduty"
    label = "PagerDuty Events API v2"
    setup_help = (
        "Where the sender asks for the address of PagerDuty's Events API, enter {server}/v2/enqueue, and as the "
        "integration or routing key the key that was shown when it was issued. "
        "A sender that can only change the whole address posts to {url}.\n\n"
        "In alertmanager.yml:\n\n"
        "pagerduty_configs:\n"
        "  - routing_key: {key}\n"
        "    url: {server}/v2/enqueue\n\n"
        "Change events go to {server}/v2/change/enqueue with the same key. A sender that speaks version 1, such as "
        "Healthchecks, posts to {server}/generic/2010-04-15/create_event.json with the key as its service key."
    )
    # PagerDuty's clients know 429 and try again.
    overloaded_status = 429
    key_field = "routing_key"

    def read(self, data, headers, options):
        if not isinstance(data, dict):
            raise BadEvent.about("", "The event is not a JSON object")
        if "event_type" in data and "event_action" not in data:
            return [version_1(data, self.kind)]
        errors = []
        action = clean_line(data.get("event_action"), 40).lower()
        if not action:
            errors.append(_missing("event_action"))
        elif action not in ACTIONS:
            errors.append(_not_one_of("event_action", ACTIONS))
        dedup_key = clean_key(data.get("dedup_key"))
        if action in (ACKNOWLEDGE, RESOLVE) and not dedup_key:
            errors.append(_missing("dedup_key"))
        payload = data.get("payload") if isinstance(data.get("payload"), dict) else {}
        severity = clean_line(payload.get("severity"), 40).lower()
        if action == TRIGGER:
            errors += [
                _missing(f"payload.{name}") for name in ("summary", "source") if not clean_line(payload.get(name))
            ]
            if not severity:
                errors.append(_missing("payload.severity"))
            elif severity not in SEVERITIES:
                errors.append(_not_one_of("payload.severity", SEVERITIES))
        if errors:
            raise BadEvent(errors)
        return [
            Event(
                action=action,
                dedup_key=dedup_key,
                severity=severity_from(severity),
                title=clean_line(payload.get("summary")),
                labels=labels_of(payload),
                links=links_of(data),
                occurred_at=parse_time(payload.get("timestamp")),
                source=self.kind,
            )
        ]

    def accepted(self, events, event_id):
        key = events[0].dedup_key if events else ""
        return 202, {"status": "success", "message": "Event processed", "dedup_key": key}

    def refused(self, errors):
        return 400, {
            "status": "invalid event",
            "message": "Event object is invalid",
            "errors": [error["message"] for error in errors],
        }

    def overloaded(self):
        return self.overloaded_status, {
            "status": "throttle exceeded",
            "message": "Requests for this service are arriving too quickly. Please retry later.",
        }

    def limited(self, sentence):
        return self.limited_status, {"status": "throttle exceeded", "message": sentence}

    def unknown_key(self, where):
        if where == "path":
            return super().unknown_key(where)
        # A 202 would hide the mistake; clients log what stands in `errors`.
        message = f"'{self.key_field}' is unknown (copy the key of an enabled integration or of a service)"
        return self.refused([{"field": self.key_field, "message": message}])

    def wrong_door(self, kind, where):
        if where != "body":
            return super().wrong_door(kind, where)
        return self.refused([{"field": self.key_field, "message": super().wrong_door(kind, where)[1]["message"]}])

    def key_of(self, body, headers):
        try:
            key = getattr(_keyed.decode(body), self.key_field)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            data = read_json(body)
            key = data.get(self.key_field) if isinstance(data, dict) else None
        if key is None:
            key = headers.get("x-routing-key")  # old clients
        key = key.strip() if isinstance(key, str) else ""
        if not key:
            raise BadEvent([_missing(self.key_field)])
        return key


class PagerDutyChange(PagerDuty):
    """Change events (deployments and such). They come with the key of an integration of PagerDuty."""

    kind = "pagerduty_change"
    label = "PagerDuty change events"
    is_internal = True
    also_keys_of = (PagerDuty.kind,)

    def read(self, data, headers, options):
        payload = data.get("payload") if isinstance(data, dict) else None
        if not isinstance(payload, dict) or not clean_line(payload.get("summary")):
            raise BadEvent([_missing("payload.summary")])
        return [
            Event(
                action=CHANGE,
                title=clean_line(payload["summary"]),
                labels=labels_of(payload),
                links=links_of(data),
                occurred_at=parse_time(payload.get("timestamp")),
                source=PagerDuty.kind,
            )
        ]

    def accepted(self, events, event_id):
        return 202, {"status": "success", "message": "Change event processed"}


class _Keyed(msgspec.Struct):
    routing_key: object = None
    service_key: object = None


_keyed = msgspec.json.Decoder(_Keyed)


def version_1(data, kind):
    """The event of an object of the Events API v1, which knows no severity. Raises BadEvent."""
    errors = []
    action = clean_line(data.get("event_type"), 40).lower()
    if not action:
        errors.append(_missing("event_type"))
    elif action not in ACTIONS:
        errors.append(_not_one_of("event_type", ACTIONS))
    dedup_key = clean_key(data.get("incident_key"))
    if action in (ACKNOWLEDGE, RESOLVE) and not dedup_key:
        errors.append(_missing("incident_key"))
    if action == TRIGGER and not clean_line(data.get("description")):
        errors.append(_missing("description"))
    if errors:
        raise BadEvent(errors)
    details = data.get("details")
    if details is not None and not isinstance(details, dict):
        details = {"details": details}
    contexts = data.get("contexts")
    links = []
    for context in contexts if isinstance(contexts, list) else ():
        if isinstance(context, dict):
            links += [(context.get("href"), context.get("text")), (context.get("src"), context.get("text"))]
    links.append((data.get("client_url"), data.get("client")))
    return Event(
        action=action,
        dedup_key=dedup_key,
        title=clean_line(data.get("description")),
        labels=clean_labels(details),
        links=clean_links(links),
        source=kind,
    )


def labels_of(payload):
    """component, group, class, source and the custom details as labels."""
    details = payload.get("custom_details")
    if details is not None and not isinstance(details, dict):
        details = {"custom_details": details}
    return clean_labels(
        {name: payload.get(name) or None for name in ("source", "component", "group", "class")}, details
    )


def links_of(data):
    """The links, the client's page and the images, in this order."""
    links = list(data["links"]) if isinstance(data.get("links"), list) else []
    links.append((data.get("client_url"), data.get("client")))
    images = data.get("images")
    for image in images if isinstance(images, list) else ():
        if isinstance(image, dict):
            links += [(image.get("href"), image.get("alt")), (image.get("src"), image.get("alt"))]
    return clean_links(links)


def _missing(field):
    return {"field": field, "message": f"'{field}' is missing or blank"}


def _not_one_of(field, words):
    quoted = [f"'{word}'" for word in words]
    listed = f"{', '.join(quoted[:-1])} or {quoted[-1]}"
    return {"field": field, "message": f"'{field}' is invalid (must be one of the following: {listed})"}
