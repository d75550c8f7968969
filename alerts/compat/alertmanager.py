"""Alertmanager's API v2: Prometheus sends its alerts to it, and amtool reads alerts and makes silences.

It is at `/in/<key>/api/v2`, which is what `path_prefix: /in/<key>` makes of it, and at `/api/v2` with the key as a
bearer token. A key sees the alerts and the silences of its own integration, and a silence made with it holds no other
alerts.
"""

import contextlib
import datetime as dt
import functools
import re
import uuid
from urllib.parse import parse_qs

from django.db.models import Q
from django.utils import timezone

from alerts import matching, silences
from alerts.compat.base import AWAY, Dialect, check_signature, in_thread
from alerts.door import RETRY_AFTER_SECONDS, Refused
from alerts.event import clean_line, clean_text, parse_time
from alerts.models import Alert, Integration, Silence
from alerts.sources.base import BadEvent, read_json
from alerts.sources.prometheus import RESOLVE_TIMEOUT, Prometheus
from catalog.models import Service
from core.errors import DomainError, IllegalMove

STARTED_AT = timezone.now()
# What is over is listed for as long as an Alertmanager keeps it.
KEPT = dt.timedelta(hours=120)
LIST_LIMIT = 10_000
MATCHERS_LIMIT = 50
RECEIVER = "watchbill"
CONFIG = f"route:\n  receiver: {RECEIVER}\nreceivers:\n- name: {RECEIVER}\n"
# A condition of ours that matchers cannot say is shown as a matcher of this name.
CONDITION = "__condition__"

_ADDRESS = re.compile(
    r"(?:/in(?:/(?:prometheus|alertmanager))?(?:/(?P<key>[^/]+))?)?"
    r"(?:/api/v2/(?P<call>alerts|alerts/groups|silences|silence/(?P<id>[^/]+)|status|receivers)|/-/(?:healthy|ready))"
)
_POSTED = re.compile(r"/in/prometheus(?:/(?P<key>[^/]+))?")
_MATCHER = re.compile(
    r'\s*(?P<name>"(?:[^"\\]|\\.)*"|[^=!~\s"{},]+)\s*(?P<op>=~|!~|!=|=)\s*(?P<value>.*?)\s*', re.DOTALL
)


class AlertmanagerApi(Dialect):
    kind = "alertmanager"
    label = "Alertmanager API v2"

    def __init__(self):
        self._calls = {
            ("GET", "alerts"): _alerts,
            ("GET", "alerts/groups"): _groups,
            ("GET", "silences"): _silences,
            ("POST", "silences"): _set_silence,
            ("GET", "silence"): _silence,
            ("DELETE", "silence"): _expire,
            ("GET", "status"): _status,
            ("GET", "receivers"): _receivers,
        }

    def find(self, method, path):
        if "/api/v2/" not in path and not path.startswith("/in/prometheus") and "/-/" not in path:
            return None
        match = _POSTED.fullmatch(path)
        if match:
            return functools.partial(_take, key=match["key"])
        match = _ADDRESS.fullmatch(path)
        if match is None:
            return None
        call = match["call"]
        if call is None:
            return _is_well
        if call == "alerts" and method not in ("GET", "HEAD"):
            return functools.partial(_take, key=match["key"])
        call = call.partition("/")[0] if match["id"] else call
        work = self._calls.get(("GET" if method == "HEAD" else method, call))
        return functools.partial(_answer, key=match["key"], work=work, silence_id=match["id"])


async def _is_well(door, request):
    return 200, b"OK", [(b"content-type", b"text/plain; charset=utf-8")]


async def _take(door, request, *, key):
    """Alerts. The valid ones are stored even when the answer says that others are not valid."""
    source = Prometheus()
    request.headers[":received-at"] = timezone.now().isoformat()
    stored = await door.accept(request, source, key or request.bearer(), "path" if key else "header")
    return (*source.refused(source.errors), ()) if source.errors else stored


async def _answer(door, request, *, key, work, silence_id):
    source = Prometheus()
    try:
        target = await door.target(source, key or request.bearer(), "path" if key else "header", request)
        if work is None:
            raise _problem(405, f"There is no {clean_line(request.method, 20)} at this address.")
        await check_signature(source, target, request)
        query = _query(request.query)
        data = read_json(await request.body(source)) if request.method == "POST" else {}
        return 200, await in_thread(work, target, query, data, silence_id), ()
    except (BadEvent, DomainError, matching.Wrong) as error:
        raise _problem(400, str(error)) from None
    except AWAY:
        raise Refused(source.overloaded(), [(b"retry-after", b"%d" % RETRY_AFTER_SECONDS)]) from None


def _query(raw):
    try:
        return parse_qs(raw.decode("latin-1"), max_num_fields=MATCHERS_LIMIT)
    except ValueError:
        raise _problem(400, "There are too many parameters in the address.") from None


def _problem(status, message):
    return Refused((status, message))


# --- what is asked for --------------------------------------------------------------------------------------------


def _wanted(query):
    """A function of labels that says whether all matchers of `filter` hold. Raises matching.Wrong."""
    matchers = [_matcher(text) for text in query.get("filter", ())]
    if not matchers:
        return lambda labels: True
    condition = matching.parse(matching.from_matchers(matchers))
    return lambda labels: condition.matches(matching.Facts(labels=labels))


def _matcher(text):
    match = _MATCHER.fullmatch(text.strip().removeprefix("{").removesuffix("}"))
    if match is None:
        raise matching.Wrong(f'“{clean_line(text, 100)}” is no matcher. Write one such as alertname="InstanceDown".')
    return {
        "name": _unquoted(match["name"]),
        "value": _unquoted(match["value"]),
        "isRegex": match["op"].endswith("~"),
        "isEqual": not match["op"].startswith("!"),
    }


_ESCAPES = {"n": "\n", '"': '"', "\\": "\\"}


def _unquoted(text):
    if len(text) < 2 or not (text[0] == text[-1] == '"'):
        return text
    return re.sub(r"\\(.)", lambda one: _ESCAPES.get(one[1], one[0]), text[1:-1], flags=re.DOTALL)


def _is_asked(query, name):
    """Alertmanager's switches are on unless they are off."""
    return query.get(name, ["true"])[-1].lower() not in ("false", "0", "f")


def _time(at):
    return at.astimezone(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


# --- alerts -------------------------------------------------------------------------------------------------------


def _alerts(target, query, data, silence_id):
    """The firing alerts of this key."""
    wanted, receiver = _wanted(query), query.get("receiver", [""])[-1]
    if receiver and not matching.parse(matching.from_matchers([_receiver(receiver)])).matches(_OUR_RECEIVER):
        return []
    rows = Alert.objects.firing().filter(scope=target.scope).order_by("first_at", "id")[:LIST_LIMIT]
    rows = [row for row in rows if wanted(row.labels)]
    names = {row.held_by.partition(":")[2] for row in rows if row.held_by.startswith("silence:")}
    held_by = dict(Silence.objects.filter(pk__in=names).values_list("pk", "uuid"))
    shown = [_shown(row, held_by) for row in rows]
    return [one for one in shown if _is_asked(query, _switch(one["status"]))]


_OUR_RECEIVER = matching.Facts(labels={"receiver": RECEIVER})


def _receiver(pattern):
    return {"name": "receiver", "value": pattern, "isRegex": True}


def _switch(status):
    if status["silencedBy"]:
        return "silenced"
    return "inhibited" if status["inhibitedBy"] else "active"


def _shown(alert, held_by):
    """The alert as Alertmanager shows one."""
    silenced, inhibited = [], []
    if alert.held_by:
        by, _, number = alert.held_by.partition(":")
        if by == "silence":
            silenced = [str(held_by.get(int(number), alert.held_by))]
        elif by == "maintenance":
            silenced = [alert.held_by]
        else:
            inhibited = [alert.held_by]
    links = {link["text"]: link["href"] for link in alert.links}
    annotations = {
        "summary": alert.title,
        "description": alert.description,
        "runbook_url": links.get("Runbook", ""),
        "dashboard_url": links.get("Dashboard", ""),
    }
    return {
        "labels": alert.labels,
        "annotations": {name: text for name, text in annotations.items() if text},
        "startsAt": _time(alert.first_at),
        "endsAt": _time(alert.resolve_at or alert.last_at + RESOLVE_TIMEOUT),
        "updatedAt": _time(alert.last_at),
        "fingerprint": alert.dedup_key,
        "generatorURL": links.get("Source", ""),
        "receivers": [{"name": RECEIVER}],
        "status": {
            "state": "suppressed" if alert.held_by else "active",
            "silencedBy": silenced,
            "inhibitedBy": inhibited,
        },
    }


def _groups(target, query, data, silence_id):
    """The same alerts by their name."""
    groups = {}
    for alert in _alerts(target, query, data, silence_id):
        groups.setdefault(alert["labels"].get("alertname", ""), []).append(alert)
    return [
        {"labels": {"alertname": name} if name else {}, "receiver": {"name": RECEIVER}, "alerts": alerts}
        for name, alerts in sorted(groups.items())
    ]


def _receivers(target, query, data, silence_id):
    return [{"name": RECEIVER}]


def _status(target, query, data, silence_id):
    version = ("branch", "buildDate", "buildUser", "goVersion", "revision")
    return {
        "cluster": {"status": "disabled", "peers": []},
        "config": {"original": CONFIG},
        "uptime": _time(STARTED_AT),
        "versionInfo": {**dict.fromkeys(version, RECEIVER), "version": "0.27.0"},
    }


# --- silences -----------------------------------------------------------------------------------------------------


def _own(target):
    """The silences of this key: of its integration, or of its service where it is a routing key."""
    if target.integration_id:
        return Silence.objects.filter(integration=target.integration_id).select_related("owner")
    return Silence.objects.filter(integration=None, service=target.service_id).select_related("owner")


def _find(target, silence_id):
    try:
        row = _own(target).filter(uuid=uuid.UUID(str(silence_id))).first()
    except ValueError:
        row = None
    if row is None:
        raise _problem(404, f"There is no silence {clean_line(silence_id, 100)}.")
    return row


def _silences(target, query, data, silence_id):
    wanted, now = _wanted(query), timezone.now()
    rows = _own(target).filter(ends_at__gt=now - KEPT).filter(Q(expired_at=None) | Q(expired_at__gt=now - KEPT))
    shown = [_shown_silence(row, now) for row in silences.soonest_end_first(rows, now)[:LIST_LIMIT]]
    return [one for one in shown if wanted({each["name"]: each["value"] for each in one["matchers"]})]


def _silence(target, query, data, silence_id):
    return _shown_silence(_find(target, silence_id), timezone.now())


def _shown_silence(silence, now):
    return {
        "id": str(silence.uuid),
        "status": {"state": silences.state(silence, now)},
        "matchers": _matchers(silence),
        "startsAt": _time(silence.starts_at),
        "endsAt": _time(silence.expired_at or silence.ends_at),
        "updatedAt": _time(silence.updated_at),
        "createdBy": silence.made_by or (silence.owner.email if silence.owner else ""),
        "comment": silence.reason,
    }


def _matchers(silence):
    said = {"name": CONDITION, "value": silence.condition, "isRegex": False, "isEqual": True}
    return (matching.to_matchers(silence.condition) if silence.condition else None) or [said]


def _set_silence(target, query, data, silence_id):
    """Make a silence, or change the one with this id. With other matchers it is a new one and the old one ends."""
    if not isinstance(data, dict):
        raise _problem(400, "Send a silence as a JSON object.")
    now = timezone.now()
    starts_at, ends_at = parse_time(data.get("startsAt")) or now, parse_time(data.get("endsAt"))
    if ends_at is None:
        raise _problem(400, "Give endsAt, the time at which the silence ends.")
    if max(starts_at, ends_at) > now + silences.LONGEST:
        raise _problem(400, "A silence begins and ends within a year. Choose earlier times.")
    old = _find(target, data["id"]) if data.get("id") else None
    is_over = old is not None and silences.state(old, now) == silences.EXPIRED
    matchers = _read_matchers(data.get("matchers"))
    is_same = old is not None and matchers == _matchers(old)
    condition = old.condition if is_same else _condition(matchers)
    fields = {
        "condition": condition,
        "ends_at": ends_at,
        "reason": clean_text(data.get("comment"), 500) or "No comment was given.",
        "integration": _integration(target),
        "service": _service(target),
        "by": None,
        "now": now,
    }
    if is_same and not is_over:
        # The start of one that holds already stays what it was.
        starts_at = old.starts_at if old.starts_at <= now else max(starts_at, now)
        silences.edit(old.pk, starts_at=starts_at, **fields)
        return {"silenceID": str(old.uuid)}
    made_by = clean_line(data.get("createdBy"), 200) or "Alertmanager's API"
    new = silences.create(starts_at=max(starts_at, now), made_by=made_by, **fields)
    if old is not None and not is_over:
        silences.expire(old.pk, by=None, now=now)
    return {"silenceID": str(new.uuid)}


def _read_matchers(given):
    if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
        raise _problem(400, "Give matchers, a list of objects with name, value, isRegex and isEqual.")
    if len(given) > MATCHERS_LIMIT:
        raise _problem(400, f"Give at most {MATCHERS_LIMIT} matchers.")
    return [
        {
            "name": one.get("name"),
            "value": one.get("value"),
            "isRegex": one.get("isRegex") is True,
            "isEqual": one.get("isEqual") is not False,
        }
        for one in given
    ]


def _condition(matchers):
    text = matching.from_matchers(matchers)
    if matching.parse(text).matches(matching.Facts()):
        raise _problem(400, "At least one matcher must not match an empty value.")
    return text


def _integration(target):
    return Integration.objects.get(pk=target.integration_id) if target.integration_id else None


def _service(target):
    return None if target.integration_id else Service.objects.get(pk=target.service_id)


def _expire(target, query, data, silence_id):
    """End it. Twice is harmless."""
    silence = _find(target, silence_id)
    with contextlib.suppress(IllegalMove):
        silences.expire(silence.pk, by=None, now=timezone.now())
