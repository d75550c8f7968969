"""Opsgenie's Alert API and heartbeats at their own addresses.

What changes an alert is stored as an inbound event and answered by 202, as the vendor does; its id is the request id,
and what became of it is the status of that request. A key sees the alerts that came through it, and no others.
"""

import datetime as dt
import json
import time
import uuid
from urllib.parse import parse_qs, unquote, urlencode

from django.conf import settings
from django.db.models import F, Q
from django.db.models.functions import Coalesce
from django.utils import timezone

from accounts.models import User
from alerts import heartbeats
from alerts.compat import opsgenie_query
from alerts.compat.base import AWAY, Dialect, check_signature, in_thread
from alerts.door import RETRY_AFTER_SECONDS, Refused
from alerts.event import clean_line, clean_text, parse_time
from alerts.models import Alert, Heartbeat, InboundEvent, Integration
from alerts.sources.base import BadEvent, read_json
from alerts.sources.opsgenie import ACTION, ALERT_ID, ALIAS, FAILURE, NAME, Opsgenie, alias_key
from core.errors import DomainError
from incidents import lifecycle

LIST_LIMIT, LIST_DEFAULT, OFFSET_LIMIT = 100, 20, 20_000
TINY_BITS = 48
STATUS_SECONDS = 3
UNDECIDED = (InboundEvent.State.PENDING, InboundEvent.State.FAILED)
PRIORITY = {"critical": "P1", "high": "P2", "medium": "P3", "low": "P4", "info": "P5"}
UNITS = (("days", 86400), ("hours", 3600), ("minutes", 60))

CHANGES = {
    "POST": (
        *("close", "acknowledge", "unacknowledge", "snooze", "escalate", "assign", "notes"),
        *("tags", "details", "responders", "teams"),
    ),
    "PUT": ("message", "description", "priority"),
    "PATCH": ("message", "description", "priority"),
    "DELETE": ("tags", "details"),
}
READINGS = ("notes", "logs", "recipients")
# These do more than an event says: their verbs are run at once, and the event tells of them.
VERBS = ("unacknowledge", "snooze", "escalate", "assign")
FORMS = {"tags": "remove-tags", "details": "remove-details"}


class OpsgenieApi(Dialect):
    kind = "opsgenie"
    label = "Opsgenie Alert API"

    def __init__(self):
        self._source = Opsgenie()

    def find(self, method, path):
        if path in ("/v2/alerts", "/v2/heartbeats") or path.startswith(("/v2/alerts/", "/v2/heartbeats/")):
            return self._handle
        return None

    async def _handle(self, door, request):
        began, request_id = time.monotonic(), str(uuid.uuid4())
        try:
            status, answer, headers = await self._answer(door, request)
        except Refused as refused:
            status, answer, headers = refused.status, refused.answer, refused.headers
        except AWAY:
            status, answer = self._source.overloaded()
            headers = [(b"retry-after", b"%d" % RETRY_AFTER_SECONDS)]
        took = round(time.monotonic() - began, 3)
        answer = {"took": took, "requestId": request_id, **(answer or {})}
        headers = [
            *(pair for pair in headers if pair[0] != b"www-authenticate"),
            (b"x-request-id", answer["requestId"].encode()),
            (b"x-response-time", str(took).encode()),
            (b"x-ratelimit-state", b"THROTTLED" if status == 429 else b"OK"),
            (b"x-ratelimit-reason", b"ACCOUNT"),
            (b"x-ratelimit-period-in-sec", b"60"),
        ]
        return status, answer, headers

    async def _answer(self, door, request):
        query = _query(request.query)
        target = await door.target(self._source, _key(request, query), "header", request)
        await check_signature(self._source, target, request)
        area, *rest = [part for part in request.raw_path.partition("?")[0].split("/")[2:] if part]
        if area == "heartbeats":
            return await self._heartbeats(door, request, target, [unquote(part) for part in rest])
        if request.method in ("GET", "HEAD"):
            if len(rest) == 2 and rest[0] == "requests":
                return await self._request_status(door, target, rest[1])
            return await in_thread(self._read, target, rest, query)
        return await self._change(door, request, target, rest, query)

    # --- reading ----------------------------------------------------------------------------------------------

    def _read(self, target, rest, query):
        """Answer a GET. Runs in a thread."""
        if not rest:
            return self._list(target, query)
        if rest == ["count"]:
            rows = self._wanted(target, query)
            return 200, {"data": {"count": rows.count()}}, ()
        if rest[0] == "saved-searches":
            raise _problem(404, "There are no saved searches here. Use the list of alerts with a query.")
        what = rest.pop() if len(rest) > 1 and rest[-1] in READINGS else ""
        alert = _find(target, _identifier(rest), _identifier_type(query))
        if alert is None:
            raise _problem(404, f"Alert with {_identifier_type(query)} [{_identifier(rest)}] does not exist.")
        if not what:
            return 200, {"data": _shown(alert, is_whole=True)}, ()
        return 200, {"data": _told_about(alert, what), "paging": {}}, ()

    def _wanted(self, target, query):
        text = query.get("query", "")
        try:
            return _alerts(target).filter(opsgenie_query.parse(text, now=timezone.now()))
        except opsgenie_query.Wrong as wrong:
            raise _problem(422, str(wrong)) from None

    def _list(self, target, query):
        limit = _number(query, "limit", LIST_DEFAULT, 1, LIST_LIMIT)
        offset = _number(query, "offset", 0, 0, OFFSET_LIMIT)
        order = opsgenie_query.SORTS.get(query.get("sort", "createdAt"))
        if order is None:
            raise _problem(422, f"Sort by one of {', '.join(opsgenie_query.SORTS)}.")
        direction = query.get("order", "desc").lower()
        if direction not in ("asc", "desc"):
            raise _problem(422, "The order is asc or desc.")
        rows = self._wanted(target, query)
        sign = "-" if direction == "desc" else ""
        found = list(rows.order_by(f"{sign}{order}", f"{sign}id")[offset : offset + limit + 1])

        def page(start):
            return _page_url(query, start, limit)

        paging = {"first": page(0)}
        if offset:
            paging["prev"] = page(max(0, offset - limit))
        if len(found) > limit:
            paging["next"] = page(offset + limit)
        return 200, {"data": [_shown(alert) for alert in found[:limit]], "paging": paging}, ()

    async def _request_status(self, door, target, request_id):
        row = await in_thread(_event, target, request_id)
        if row is not None and row.state in UNDECIDED:
            # The vendor's Python client takes a 404 for the end of it, so this waits a moment for the decision.
            await door.result(row.pk, STATUS_SECONDS)
            row = await in_thread(_event, target, request_id)
        if row is None or row.state in UNDECIDED:
            raise _problem(404, "Request not found. It might not be processed, yet.")
        return 200, {"data": await in_thread(_status_of, row)}, ()

    # --- changing ---------------------------------------------------------------------------------------------

    async def _change(self, door, request, target, rest, query):
        headers = request.headers
        action = _action(request.method, rest)
        headers[ACTION] = action
        if action != "create":
            body = await request.body(self._source)
            if not body.strip():
                extra = {name: value for name, value in query.items() if name not in ("apiKey", "identifierType")}
                body = json.dumps(extra).encode() if extra else b""
                request.give_body(body)
            data = _object(body)
            if action == "actions":
                headers[NAME] = clean_line(unquote(rest[-1]), 100)
            identifier, kind = _identifier(rest[: _length(action, rest)]), _identifier_type(query)
            if kind == "alias":
                headers[ALIAS] = alias_key(identifier)
            if action in VERBS or kind != "alias":
                found, failure = await in_thread(_run, target, identifier, kind, action, data)
                if failure:
                    headers[FAILURE] = failure
                if found and kind != "alias":
                    headers[ALERT_ID] = str(found)
        return await door.accept(request, self._source, _key(request, query), "header")

    # --- heartbeats -------------------------------------------------------------------------------------------

    async def _heartbeats(self, door, request, target, rest):
        method = request.method
        if not rest and method in ("GET", "HEAD"):
            return await in_thread(_all_heartbeats, target)
        if not rest:
            raise _problem(403, "Heartbeats are made in Watchbill itself, not through this address.")
        verb = rest.pop() if len(rest) > 1 and rest[-1] in ("ping", "enable", "disable") else ""
        name = clean_line("/".join(rest), 100)
        if verb == "ping" and method in ("GET", "HEAD", "POST", "PUT", "PATCH"):
            ping = await heartbeats.ping_by_name(door, name, "opsgenie", target=target, now=timezone.now())
            if ping is None:
                raise _no_heartbeat(name)
            return 202, {"result": "PONG - Heartbeat received"}, ()
        if verb in ("enable", "disable") and method == "POST":
            return await in_thread(_enable, target, name, is_enabled=verb == "enable")
        if not verb and method in ("GET", "HEAD"):
            return await in_thread(_one_heartbeat, target, name)
        raise _problem(403, "Heartbeats are changed in Watchbill itself, not through this address.")


# --- requests -----------------------------------------------------------------------------------------------------


def _problem(status, message):
    return Refused((status, {"message": message}))


def _query(raw):
    """The last value of each parameter."""
    try:
        found = parse_qs(raw.decode("latin-1"), keep_blank_values=True, max_num_fields=100)
    except ValueError:
        raise _problem(422, "There are too many parameters in the address.") from None
    return {name: values[-1] for name, values in found.items()}


def _key(request, query):
    """The key of `Authorization: GenieKey`, or of the parameter `apiKey`, or ""."""
    scheme, _, key = request.headers.get("authorization", "").strip().partition(" ")
    return key.strip() if scheme.lower() == "geniekey" else query.get("apiKey", "")


def _identifier(parts):
    # A slash in an alias may come encoded, as one part, or as it is.
    return unquote("/".join(parts))


def _identifier_type(query):
    kind = query.get("identifierType") or query.get("alertIdentifierType") or "id"
    if kind not in ("id", "alias", "tiny"):
        raise _problem(422, "The identifierType is one of id, alias or tiny.")
    return kind


def _action(method, rest):
    """What a request that changes something asks for."""
    if not rest:
        if method in ("POST", "PUT"):
            return "create"
        raise _problem(405, "Create an alert with POST.")
    if rest[0] == "saved-searches":
        raise _problem(403, "There are no saved searches here.")
    if len(rest) > 1 and rest[-1] in CHANGES.get(method, ()):
        return FORMS.get(rest[-1], rest[-1]) if method == "DELETE" else rest[-1]
    if method == "POST" and len(rest) > 2 and rest[-2] == "actions":
        return "actions"
    if "attachments" in rest[1:]:
        raise _problem(403, "Attachments are not kept here. Put a link into the description or a note.")
    if method == "DELETE":
        return "delete"
    raise _problem(404, "There is no such call. See the list of calls in the documentation under Opsgenie.")


def _length(action, rest):
    """How many parts of the path are the identifier."""
    return len(rest) - {"delete": 0, "actions": 2}.get(action, 1)


def _object(body):
    """The JSON object of a body, or {}: what is wrong with it is said when it is read as an event."""
    try:
        data = read_json(body) if body.strip() else {}
    except BadEvent:
        return {}
    return data if isinstance(data, dict) else {}


def _number(query, name, default, least, most):
    text = query.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and least <= int(text) <= most):
        raise _problem(422, f"Give {name} as a number from {least} to {most}.")
    return int(text)


def _page_url(query, offset, limit):
    kept = {name: query[name] for name in ("query", "sort", "order") if name in query}
    parameters = urlencode({**kept, "limit": limit, "offset": offset})
    return f"{settings.PUBLIC_URL}/v2/alerts?{parameters}"


# --- alerts -------------------------------------------------------------------------------------------------------


def tiny_id(alert_id):
    """The short number of an alert: the first 48 bits of its id."""
    return str(alert_id.int >> (128 - TINY_BITS))


def _uuid(text):
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


def _alerts(target):
    rows = Alert.objects.filter(scope=target.scope)
    return rows.select_related("incident__assignee", "incident__acknowledged_by", "integration", "service__team")


def _find(target, identifier, kind):
    """The alert of this key with that identifier, or None. Of an alias the open one counts, else the last."""
    rows = _alerts(target)
    if kind == "alias":
        rows = rows.filter(dedup_key=alias_key(identifier))
        return rows.order_by(F("resolved_at").desc(nulls_first=True)).first()
    if kind == "id":
        alert_id = _uuid(identifier)
        return rows.filter(pk=alert_id).first() if alert_id else None
    if not (identifier.isascii() and identifier.isdecimal() and len(identifier) < 20):
        return None
    low = int(identifier) << (128 - TINY_BITS)
    high = low | ((1 << (128 - TINY_BITS)) - 1)
    if high >> 128:
        return None
    return rows.filter(pk__range=(uuid.UUID(int=low), uuid.UUID(int=high))).first()


def _shown(alert, *, is_whole=False):
    """The alert as Opsgenie shows one."""
    incident = alert.incident
    labels = alert.labels
    person = incident and (incident.assignee or incident.acknowledged_by)
    snoozed_until = incident and incident.snoozed_until
    is_open = alert.resolved_at is None
    data = {
        "id": str(alert.pk),
        "tinyId": tiny_id(alert.pk),
        "alias": alert.dedup_key,
        "message": alert.title,
        "status": "open" if is_open else "closed",
        "acknowledged": bool(incident and incident.status in opsgenie_query.TAKEN),
        "isSeen": bool(incident and incident.acknowledged_at),
        "tags": [name[len("tag:") :] for name in labels if name.startswith("tag:")],
        "snoozed": bool(is_open and snoozed_until and snoozed_until > timezone.now()),
        "count": alert.occurrences,
        "lastOccurredAt": _time(alert.last_at),
        "createdAt": _time(alert.first_at),
        "updatedAt": _time(max(alert.last_at, alert.resolved_at or alert.last_at)),
        "source": labels.get("source", ""),
        "owner": person.email if person else "",
        "priority": PRIORITY[alert.severity],
        "responders": [{"type": "team", "id": str(alert.service.team_id), "name": alert.service.team.name}],
        "integration": {
            "id": str(alert.integration.uuid) if alert.integration else "",
            "name": alert.integration.name if alert.integration else alert.service.name,
            "type": "API",
        },
    }
    if data["snoozed"]:
        data["snoozedUntil"] = _time(snoozed_until)
    if incident and incident.acknowledged_at:
        data["report"] = {
            "ackTime": round((incident.acknowledged_at - incident.triggered_at).total_seconds() * 1000),
            "acknowledgedBy": incident.acknowledged_by.email if incident.acknowledged_by else "",
        }
    if is_whole:
        hidden = ("entity", "source", "responders")
        details = {name: text for name, text in labels.items() if name not in hidden and not name.startswith("tag:")}
        data |= {
            "entity": labels.get("entity", ""),
            "description": alert.description,
            "details": details,
            "actions": [],
        }
    return data


def _told_about(alert, what):
    """The notes or the log of an alert: the timeline of its incident."""
    if what == "recipients" or alert.incident is None:
        return []
    rows = alert.incident.timeline.select_related("by").order_by("-pk")
    if what == "notes":
        rows = rows.filter(kind="note")
    return [
        {
            "note" if what == "notes" else "log": row.text,
            "owner": row.by.email if row.by else "System",
            "createdAt": _time(row.at),
            "offset": str(row.pk),
            **({} if what == "notes" else {"type": row.kind}),
        }
        for row in rows[:LIST_LIMIT]
    ]


def _time(at):
    return at.astimezone(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


# --- the status of a request --------------------------------------------------------------------------------------

# What the vendor calls an action, and what it says when it worked.
ACTIONS = {
    "create": ("Create", "Created alert"),
    "close": ("Close", "Alert closed"),
    "acknowledge": ("Acknowledge", "Alert acknowledged"),
    "unacknowledge": ("UnAcknowledge", "Alert unacknowledged"),
    "snooze": ("Snooze", "Alert snoozed"),
    "escalate": ("Escalate", "Alert escalated"),
    "assign": ("Assign", "Alert assigned"),
    "delete": ("Delete", "Alert deleted"),
    "notes": ("AddNote", "Note added"),
    "tags": ("AddTags", "Noted in the alert's timeline"),
    "message": ("UpdateMessage", "Message updated"),
    "description": ("UpdateDescription", "Description updated"),
    "priority": ("UpdatePriority", "Priority updated"),
}
FAILED = {"no_open_alert": "Alert does not exist", "stale": "A newer event has overtaken this one"}


def _event(target, request_id):
    """The inbound event of this key with that id, or None."""
    event_id = _uuid(request_id)
    rows = InboundEvent.objects.filter(scope=target.scope, source=Opsgenie.kind).select_related("integration")
    return rows.filter(pk=event_id).first() if event_id else None


def _status_of(row):
    """What became of a decided inbound event."""
    action = row.headers.get(ACTION, "create")
    name, success = ACTIONS.get(action, (action, "Noted in the alert's timeline"))
    results = row.result or []
    # With a note there are two events: that of a new alert comes first, that of an end last.
    main = (results[0] if action == "create" else results[-1]) if results else {}
    outcome = main.get("outcome", "")
    failure = row.headers.get(FAILURE, "") or FAILED.get(outcome, "")
    if row.state == InboundEvent.State.POISON:
        failure = "It could not be processed. The administrators of Watchbill were told."
    elif not failure and outcome in ("ignored", "dropped", ""):
        failure = " ".join(main.get("reasons", ())) or "It was ignored"
    alert_id = next((one["alert_id"] for one in results if one.get("alert_id")), None)
    alias = row.headers.get(ALIAS, "")
    if alert_id:
        alias = Alert.objects.filter(pk=alert_id).values_list("dedup_key", flat=True).first() or alias
    return {
        "success": not failure,
        "isSuccess": not failure,
        "action": name,
        "processedAt": _time(row.decided_at or row.received_at),
        "integrationId": str(row.integration.uuid) if row.integration else "",
        "status": failure or success,
        "alertId": alert_id or "",
        "alias": alias,
    }


# --- what is more than an event -----------------------------------------------------------------------------------


def _run(target, identifier, kind, action, data):
    """`(id of the alert or None, why it fails or "")`; the verbs of an incident are run here. Runs in a thread."""
    alert = _find(target, identifier, kind)
    if alert is None:
        # An alias may belong to an alert that is just being opened: deciding looks again.
        return None, "" if kind == "alias" else f"Alert with {kind} [{clean_line(identifier, 100)}] does not exist"
    if action in VERBS and alert.resolved_at is None and alert.incident_id:
        try:
            _verb(alert.incident_id, action, data)
        except DomainError as error:
            return alert.pk, clean_text(str(error), 300)
    return alert.pk, ""


def _verb(number, action, data):
    now = timezone.now()
    common = {"by": None, "now": now, "via": "source"}
    if action == "snooze":
        until = parse_time(data.get("endTime"))
        if until is None:
            raise DomainError("Give endTime as a time such as 2026-06-01T12:00:00Z.")
        lifecycle.snooze(number, until=until, **common)
    elif action == "assign":
        owner = data.get("owner") if isinstance(data.get("owner"), dict) else {}
        people = User.objects.people().filter(email__iexact=clean_line(owner.get("username"), 254), is_active=True)
        person = people.first()
        if person is None:
            raise DomainError("There is no active person with this username. Give the address they sign in with.")
        lifecycle.reassign(number, to=person, **common)
    else:  # whoever had it has it no longer, or is not enough: the next ones are called
        lifecycle.escalate(number, **common)


# --- heartbeats ---------------------------------------------------------------------------------------------------


def _heartbeats(target):
    """Those that this key may ping, as heartbeats.ping_by_name has it."""
    mine = Q(service=target.service_id)
    if target.integration_id:
        own = Integration.objects.filter(pk=target.integration_id)
        team = own.values(own_team=Coalesce("team_id", "service__team_id"))
        mine = Q(integration=target.integration_id) | Q(integration=None) & (mine | Q(service__team__in=team))
    return Heartbeat.objects.filter(mine).select_related("service__team")


def _no_heartbeat(name):
    return _problem(404, f"Heartbeat with name [{name}] does not exist.")


def _one_heartbeat(target, name):
    row = _heartbeats(target).filter(name=name).first()
    if row is None:
        raise _no_heartbeat(name)
    return 200, {"data": _shown_heartbeat(row)}, ()


def _all_heartbeats(target):
    return 200, {"data": {"heartbeats": [_shown_heartbeat(row) for row in _heartbeats(target)]}}, ()


def _enable(target, name, *, is_enabled):
    row = _heartbeats(target).filter(name=name).first()
    if row is None:
        raise _no_heartbeat(name)
    heartbeats.set_enabled(row, is_enabled, now=timezone.now())
    return 200, {"code": 200, "data": {"name": row.name, "enabled": is_enabled, "expired": bool(row.missed_at)}}, ()


def _shown_heartbeat(row):
    unit, size = next(((unit, size) for unit, size in UNITS if row.interval_seconds % size == 0), UNITS[-1])
    return {
        "name": row.name,
        "description": row.description,
        "interval": max(1, row.interval_seconds // size),
        "intervalUnit": unit,
        "enabled": row.is_enabled,
        "expired": row.missed_at is not None,
        "lastPingTime": _time(row.last_ping_at) if row.last_ping_at else None,
        "ownerTeam": {"id": str(row.service.team_id), "name": row.service.team.name},
        "alertPriority": PRIORITY[row.severity],
        "alertTags": [],
        "alertMessage": f"HeartbeatName: {row.name} is expired",
    }
