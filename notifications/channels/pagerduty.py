"""PagerDuty, by its Events API v2: a team's incidents are opened, acknowledged and resolved there as they are here."""

import json
import re

from django.conf import settings

from core import http
from core.errors import SendError
from notifications.channels.base import Accepted, Channel, Limit
from notifications.message import CALLS, Kind
from notifications.vendors.base import Setting

ADDRESS = "https://events.pagerduty.com/v2/enqueue"
KEY = re.compile(r"[A-Za-z0-9]{32}")
# What the API takes at most.
SUMMARY, DEDUP, MOST_BYTES = 1024, 255, 512_000
RETRY_SECONDS = 30  # the least it asks for after 429 and 5xx
BY_PRIORITY = {"P1": "critical", "P2": "error", "P3": "warning", "P4": "info", "P5": "info"}
BY_SEVERITY = {"critical": "critical", "high": "error", "medium": "warning", "low": "info", "info": "info"}
TRIGGER, ACKNOWLEDGE, RESOLVE = "trigger", "acknowledge", "resolve"
ACTIONS = {Kind.ACKNOWLEDGED: ACKNOWLEDGE, Kind.RESOLVED: RESOLVE}
OPENING = (None, "incident.triggered", "incident.reopened")  # events, as the message's data names them


class PagerDuty(Channel):
    kind, label = "pagerduty", "PagerDuty"
    address_label = "Integration key"
    address_help = (
        "The integration key (32 characters) of a PagerDuty service: Service, Integrations, add “Events API V2”."
    )
    is_for_people = False
    is_for_teams = True
    is_address_secret = True
    is_bundled = False  # each incident is one of its own there
    per_address = Limit(120, 60)
    options = (
        Setting(
            "url",
            "Address",
            f"Of the Events API. For an account in the EU: {ADDRESS.replace('events.', 'events.eu.', 1)}.",
            is_required=False,
            default=ADDRESS,
        ),
    )

    def problem_with(self, address):
        if KEY.fullmatch(address):
            return ""
        return "This is no integration key. Copy its 32 letters and digits from the service's integrations."

    def problems_with_options(self, options):
        problem = http.problem_with(options["url"]) if options.get("url") else ""
        return {"url": problem} if problem else {}

    def shown(self, address):
        return f"…{address[-4:]}" if KEY.fullmatch(address) else "…"

    def preview(self, outgoing):
        action = action_of(outgoing.message)
        if action != TRIGGER:
            return {"Event": action or "Nothing is sent."}
        event = trigger("…", outgoing, dedup_key(outgoing), severity=severity_of(outgoing.message))
        return {"Event": json.dumps(event, ensure_ascii=False, indent=2)}

    def send(self, address, outgoing):
        url = outgoing.options.get("url") or ADDRESS
        key = dedup_key(outgoing)
        if outgoing.message.kind == Kind.TEST:
            # An incident there pages people, so the test is over at once and of the mildest sort.
            _post(url, trigger(address, outgoing, key, severity="info"))
            return _post(url, {"routing_key": address, "event_action": RESOLVE, "dedup_key": key})
        action = action_of(outgoing.message)
        if action is None:
            return Accepted(answer="Not passed on: PagerDuty is told when an incident opens, is taken, and is over.")
        if action == TRIGGER:
            return _post(url, trigger(address, outgoing, key, severity=severity_of(outgoing.message)))
        return _post(url, {"routing_key": address, "event_action": action, "dedup_key": key})


def action_of(message):
    """What to tell PagerDuty, or None. An escalation here must not open it there a second time."""
    if message.kind in ACTIONS:
        return ACTIONS[message.kind]
    return TRIGGER if message.kind in CALLS and message.data.get("event") in OPENING else None


def dedup_key(outgoing):
    """The same for all of one incident."""
    return (outgoing.thread or outgoing.topic or str(outgoing.uuid))[:DEDUP]


def severity_of(message):
    priority = (message.data.get("incident") or {}).get("priority")
    return BY_PRIORITY.get(priority) or BY_SEVERITY.get(message.severity, "error")


def trigger(key, outgoing, dedup, *, severity):
    """The event that opens an incident, cut to what the API takes."""
    message = outgoing.message
    incident = message.data.get("incident") or {}
    service = incident.get("service") or {}
    details = {**{str(name): str(value) for name, value in message.fields}, "text": message.body}
    if outgoing.notes:
        details["notes"] = "\n".join(outgoing.notes)
    payload = {
        "summary": _cut(message.title or message.subject or "An incident", SUMMARY),
        "source": _cut(service.get("name") or settings.SITE_NAME, SUMMARY),
        "severity": severity,
        "custom_details": details,
    }
    if incident.get("triggered_at"):
        payload["timestamp"] = incident["triggered_at"]
    if service.get("slug"):
        payload["component"] = service["slug"]
    if incident.get("team"):
        payload["group"] = incident["team"]
    event = {
        "routing_key": key,
        "event_action": TRIGGER,
        "dedup_key": dedup,
        "client": settings.SITE_NAME,
        "payload": payload,
        "links": [
            {"href": str(value), "text": str(name)}  # a runbook, a dashboard
            for name, value in message.fields
            if str(value).startswith(("https://", "http://"))
        ],
    }
    if message.url:
        event["client_url"] = message.url
    if len(_bytes(event)) > MOST_BYTES:
        del payload["custom_details"]
    return event


def _post(url, event):
    body = _bytes(event)
    try:
        reply = http.post(url, data=body, headers={"Content-Type": "application/json"})
    except SendError as error:
        if not error.permanent:
            error.retry_after = max(error.retry_after or 0, RETRY_SECONDS)
        raise
    try:
        answer = reply.json
    except SendError:
        answer = None
    answer = answer if isinstance(answer, dict) else {}
    status, said = str(answer.get("status") or ""), str(answer.get("message") or "")
    if reply.status == 202 and status == "success":
        return Accepted(str(answer.get("dedup_key") or event["dedup_key"]), answer=said[:200])
    if reply.is_success:  # a proxy, or a mock that is not one
        raise SendError(
            f"The answer ({reply.status}) is not PagerDuty's. Check the address of the Events API.", permanent=True
        )
    errors = answer.get("errors")
    why = "; ".join(str(each) for each in errors) if isinstance(errors, list) else said
    raise SendError(
        f"PagerDuty refused the event ({reply.status}{f': {why[:300]}' if why else ''}). "
        "Check the integration key and that its service still exists.",
        permanent=reply.status != 408,
        status=reply.status,
        **({"retry_after": RETRY_SECONDS} if reply.status == 408 else {}),
    )


def _bytes(event):
    return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()


def _cut(text, most):
    return text if len(text) <= most else text[: most - 1] + "…"
