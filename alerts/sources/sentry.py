"""Sentry: webhooks of an internal integration, and its older webhooks plugin.

The shapes are those of "Integration Platform, Webhooks" in Sentry's docs. Sentry waits one second for the answer, and
an issue has one key whether an alert rule or the issue itself speaks of it: so resolving it ends what a rule began.
"""

import hashlib

from alerts import signatures
from alerts.event import (
    DESCRIPTION_LIMIT,
    IGNORE,
    NOTE,
    RESOLVE,
    SERVICE_LIMIT,
    TRIGGER,
    Event,
    clean_key,
    clean_labels,
    clean_line,
    clean_links,
    clean_text,
    parse_time,
    severity_from,
)
from alerts.sources.base import BadEvent, Source, text_of

ISSUE_ACTIONS = {
    "created": TRIGGER,
    "unresolved": TRIGGER,
    "resolved": RESOLVE,
    "archived": RESOLVE,
    "ignored": RESOLVE,  # what archived was called before
    "assigned": NOTE,
}
METRIC_ACTIONS = {"critical": TRIGGER, "warning": TRIGGER, "resolved": RESOLVE}


class Sentry(Source):
    kind = "sentry"
    label = "Sentry"
    setup_help = (
        "In Sentry, under Settings, Developer Settings, create an internal integration with this webhook URL:\n\n{url}"
        "\n\nSwitch on “Alert Rule Action” and the webhooks for issues, and copy its client secret into the signing "
        "secret here. Then add the integration as an action to your alert rules."
    )
    keep_headers = ("sentry-hook-resource", "sentry-hook-timestamp", "request-id")

    async def check(self, secret, headers, body, *, now):
        return signatures.sentry(secret, headers, body) if secret else signatures.Verdict(True)

    def delivery_id(self, headers, body):
        name = headers.get("request-id", "")
        # The header is not signed: the same name with other words is another delivery.
        return f"{name}:{hashlib.sha256(body).hexdigest()}" if name else ""

    def accepted(self, events, event_id):
        return 200, {"status": "accepted", "event_id": event_id}

    def read(self, data, headers, options):
        if not isinstance(data, dict):
            raise BadEvent.about("", "The body is not a JSON object as Sentry sends it.")
        said = data.get("data") if isinstance(data.get("data"), dict) else None
        resource = clean_line(headers.get("sentry-hook-resource"), 40).lower()
        if said is None and not resource:
            return [self._legacy(data)]
        said = said or {}
        action = clean_line(data.get("action"), 40).lower()
        sent_at = parse_time(headers.get("sentry-hook-timestamp"))
        if resource in ("", "event_alert") and isinstance(said.get("event"), dict):
            return [self._event_alert(said)]
        if resource in ("", "issue") and isinstance(said.get("issue"), dict):
            return [self._issue(said, action, data, sent_at)]
        if resource in ("", "metric_alert") and isinstance(said.get("metric_alert"), dict):
            return [self._metric_alert(said, action, sent_at)]
        return [_ignored(f"Sentry's resource “{resource or 'unknown'}” says nothing about trouble.")]

    def _issue(self, said, action, data, sent_at):
        issue, what = said["issue"], ISSUE_ACTIONS.get(action)
        key = _key("issue", issue.get("id"))
        if what is None or not key:
            return _ignored(f"Nothing follows from “{action}” of an issue of Sentry.")
        event = Event(
            action=what,
            dedup_key=key,
            severity=severity_from(issue.get("level")),
            title=text_of(issue, "title", "culprit", "shortId", limit=1024) or "An issue in Sentry",
            description=clean_text(issue.get("culprit"), DESCRIPTION_LIMIT),
            labels=clean_labels(
                {
                    "project": _name(issue.get("project")),
                    "issue": issue.get("shortId"),
                    "level": issue.get("level"),
                    "platform": issue.get("platform"),
                    "count": issue.get("count"),
                    "users": issue.get("userCount"),
                }
            ),
            links=clean_links(
                [(issue.get("web_url"), "Issue in Sentry"), (issue.get("permalink"), "Issue in Sentry")]
            ),
            # When it was seen last says nothing about when it was resolved.
            occurred_at=sent_at or (parse_time(issue.get("lastSeen")) if what == TRIGGER else None),
            source=self.kind,
        )
        if what == NOTE:
            actor = _name(data.get("actor")) or "Somebody"
            whom = _name(issue.get("assignedTo"))
            return Event(
                action=NOTE,
                dedup_key=key,
                description=f"{actor} assigned the issue in Sentry{f' to {whom}' if whom else ''}.",
                occurred_at=sent_at,
                source=self.kind,
            )
        return event

    def _event_alert(self, said):
        event = said["event"]
        rule = clean_line(said.get("triggered_rule"), 255)
        chosen = _settings(said.get("issue_alert"))
        issue_id = event.get("issue_id") or _last_part(event.get("issue_url"))
        about = [clean_text(event.get("message"), 8192), clean_text(event.get("culprit"), 1024)]
        return Event(
            action=TRIGGER,
            dedup_key=_key("issue", issue_id),
            severity=severity_from(chosen.pop("severity", "")) or severity_from(event.get("level")),
            title=text_of(event, "title", "message", "culprit", limit=1024) or rule or "An alert rule in Sentry",
            description="\n\n".join(filter(None, [*about, f"Alert rule: {rule}" if rule else ""])),
            service=clean_line(chosen.pop("service", ""), SERVICE_LIMIT),
            labels=clean_labels(
                {
                    "rule": rule or None,
                    "project": event.get("project"),
                    "level": event.get("level"),
                    "environment": event.get("environment"),
                    "release": event.get("release"),
                    "platform": event.get("platform"),
                },
                _tags(event.get("tags")),
                chosen,
            ),
            links=clean_links([(event.get("web_url"), "Event in Sentry")]),
            occurred_at=parse_time(event.get("datetime")) or parse_time(event.get("timestamp")),
            source=self.kind,
        )

    def _metric_alert(self, said, action, sent_at):
        alert, what = said["metric_alert"], METRIC_ACTIONS.get(action)
        key = _key("metric", alert.get("id"))
        if what is None or not key:
            return _ignored(f"Nothing follows from “{action}” of a metric alert of Sentry.")
        title = clean_line(said.get("description_title"))
        prefix, _, rest = title.partition(": ")
        if rest and prefix.lower() in METRIC_ACTIONS:
            title = rest
        rule = alert.get("alert_rule") if isinstance(alert.get("alert_rule"), dict) else {}
        began, ended = parse_time(alert.get("date_started")), parse_time(alert.get("date_closed"))
        return Event(
            action=what,
            dedup_key=key,
            severity={"critical": "critical", "warning": "medium"}.get(action, ""),
            title=title or clean_line(alert.get("title")) or "A metric alert in Sentry",
            description=clean_text(said.get("description_text"), DESCRIPTION_LIMIT),
            labels=clean_labels(
                {
                    "rule": rule.get("name"),
                    "project": ", ".join(_texts(alert.get("projects"))) or None,
                    "environment": rule.get("environment"),
                    "aggregate": rule.get("aggregate"),
                    "query": rule.get("query"),
                }
            ),
            links=clean_links([(said.get("web_url"), "Alert in Sentry")]),
            occurred_at=began if what == TRIGGER else ended or sent_at,
            source=self.kind,
        )

    def _legacy(self, data):
        inner = data.get("event") if isinstance(data.get("event"), dict) else {}
        title = text_of(inner, "title", limit=1024) or text_of(data, "message", "culprit", limit=1024)
        if not title:
            raise BadEvent.about(
                "message", "This is not a message as Sentry sends it: it has no title and no message."
            )
        rules = ", ".join(_texts(data.get("triggering_rules")))
        return Event(
            action=TRIGGER,
            dedup_key=_key("issue", data.get("id")),
            severity=severity_from(data.get("level")) or severity_from(inner.get("level")),
            title=title,
            description="\n\n".join(
                filter(None, [clean_text(data.get("culprit"), 8192), f"Alert rule: {rules}" if rules else ""])
            ),
            labels=clean_labels(
                {
                    "rule": rules or None,
                    "project": data.get("project_slug") or data.get("project"),
                    "level": data.get("level"),
                    "environment": inner.get("environment"),
                },
                _tags(inner.get("tags")),
            ),
            links=clean_links([(data.get("url"), "Issue in Sentry")]),
            occurred_at=parse_time(inner.get("timestamp")),
            source=self.kind,
        )


def _ignored(reason):
    return Event(action=IGNORE, reason=reason, source=Sentry.kind)


def _key(kind, number):
    number = clean_key(number)
    return clean_key(f"{kind}:{number}") if number else ""


def _name(value):
    """The name of a project or a person, which comes as text or as an object."""
    if isinstance(value, dict):
        value = value.get("slug") or value.get("name") or value.get("email")
    return clean_line(value, 255) or None


def _texts(values):
    return [text for value in (values if isinstance(values, list) else ()) if (text := clean_line(value, 255))]


def _last_part(url):
    return url.rstrip("/").rpartition("/")[2] if isinstance(url, str) else ""


def _tags(pairs):
    if isinstance(pairs, dict):
        return pairs
    found = {}
    for pair in pairs if isinstance(pairs, list) else ():
        if isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str):
            found.setdefault(pair[0], pair[1])
    return found


def _settings(issue_alert):
    """`{name: value}` of what whoever made the alert rule filled in."""
    settings = issue_alert.get("settings") if isinstance(issue_alert, dict) else None
    return {
        clean_line(one.get("name"), 255): one.get("value")
        for one in (settings if isinstance(settings, list) else ())
        if isinstance(one, dict) and clean_line(one.get("name"), 255)
    }
