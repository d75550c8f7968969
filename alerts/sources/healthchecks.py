"""Healthchecks: its webhook integration, with the body that we give to paste."""

import re
from urllib.parse import quote, urlsplit

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
from alerts.sources.reading import an_object, filled, label, labels_of_tags, needed_key, object_in, paragraphs

BODY = (
    '{"check_uuid":"$CODE","status":"$STATUS","now":"$NOW","name":$NAME_JSON,"slug":"$SLUG","tags":"$TAGS",'
    '"exit_status":"$EXITSTATUS","body":$BODY_JSON,"check":$JSON}'
)
_PLACEHOLDER = re.compile(r"\$[A-Z_]+\d?")
# What the button “Send test notification” sends is a check that exists nowhere, always with these.
_TEST_NAME, _TEST_PINGS = "TEST", 42


class Healthchecks(Source):
    kind = "healthchecks"
    label = "Healthchecks"
    setup_help = (
        "In Healthchecks open Integrations, Webhook, and enter the same for “down” and for “up”:\n\n"
        "  Method    POST\n"
        "  URL       {url}\n"
        "  Request headers    Content-Type: application/json\n"
        "  Request body\n\n" + BODY + "\n\n"
        "Tags of a check such as severity:high and service:checkout choose severity and service. Write $NAME_JSON and "
        "not $NAME: a quote in a name would break the body."
    )

    def read(self, data, headers, options):
        check = object_in(an_object(data, "Healthchecks"), "check")
        if not check and "check_uuid" not in data:
            return Generic().read(data, headers, options)
        data = filled(data, _PLACEHOLDER)
        status = text_of(data, "status", limit=40) or text_of(check, "status", limit=40)
        action = RESOLVE if status.lower() == "up" else TRIGGER
        name = text_of(data, "name", limit=TITLE_LIMIT) or text_of(check, "name", "slug", limit=TITLE_LIMIT)
        title = clean_line(f"{name or 'A check without a name'} is {'UP' if action == RESOLVE else 'DOWN'}")
        if name == _TEST_NAME and check.get("n_pings") == _TEST_PINGS and not check.get("slug"):
            reason = "It is the test message of Healthchecks about a check that does not exist."
            return [Event(IGNORE, title=title, reason=reason, source=self.kind)]
        uuid = clean_key(data.get("check_uuid")) or clean_key(check.get("uuid"))
        tags = labels_of_tags((text_of(data, "tags", limit=4000) or text_of(check, "tags", limit=4000)).split())
        output = text_of(data, "body", limit=10)
        return [
            Event(
                action=action,
                dedup_key=needed_key(action, uuid, "check_uuid"),
                severity=severity_from(label(tags, "severity")),
                title=title,
                description=paragraphs(check.get("desc"), data.get("body") if output else None),
                service=clean_line(label(tags, "service"), SERVICE_LIMIT),
                labels=clean_labels(
                    tags,
                    {"check": name or None, "slug": text_of(data, "slug", limit=200) or None},
                    {"exit_status": data.get("exit_status") or None},
                    {field: check.get(field) or None for field in ("schedule", "tz", "last_ping", "next_ping")},
                ),
                links=clean_links([(_page(check, uuid), "Healthchecks")]),
                occurred_at=parse_time(data.get("now")),
                source=self.kind,
            )
        ]

    def accepted(self, events, event_id):
        return 200, super().accepted(events, event_id)[1]  # it knows 200, 201, 202 and 204


def _page(check, uuid):
    """The page of the check on the host that its addresses in the API name, or None."""
    try:
        parts = urlsplit(clean_line(check.get("update_url"), 2000))
    except ValueError:
        return None
    return f"{parts.scheme}://{parts.netloc}/checks/{quote(uuid, safe='')}/details/" if parts.netloc and uuid else None
