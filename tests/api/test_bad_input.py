"""Whatever is sent, the answer is a sentence and never a 500. The test client raises what a view lets out."""

import copy
import datetime as dt
import json

import pytest

from incidents import lifecycle
from tests.factories import (
    CalendarImportFactory,
    DependencyFactory,
    FixedShiftFactory,
    HeartbeatFactory,
    HolidayFactory,
    InhibitionRuleFactory,
    IntegrationFactory,
    LinkFactory,
    MaintenanceWindowFactory,
    NotificationFactory,
    RuleFactory,
    ScheduleFactory,
    ServiceFactory,
    ShiftRequestFactory,
    SilenceFactory,
    TaskFactory,
    TimeOffFactory,
)

PERSON = "bob@example.com"
LAYER = {
    "name": "Primary",
    "position": 1,
    "role": "PRIMARY",
    "unit": "rrule",
    "every": 1,
    "rule": "FREQ=WEEKLY;BYDAY=MO,TH",
    "start_date": "2026-01-05",
    "handoff_time": "09:00",
    "time_zone": "Asia/Tokyo",
    "first_slot": 0,
    "starts_at": None,
    "ends_at": None,
    "participants": [PERSON, [PERSON, "alice@example.com"], None],
    "restrictions": [{"days": ["monday"], "start_time": "09:00", "end_time": "17:00", "until_day": "friday"}],
}
LEVEL = {"delay_minutes": 5, "targets": [{"user": PERSON, "schedule": None, "role": "PRIMARY"}]}
# Alice is on call then, and all of it is to come.
SPAN = {"start_at": "2040-01-03T00:00:00Z", "end_at": "2040-01-04T00:00:00Z"}
INCIDENT = {"service": "checkout", "title": "Down", "severity": "high", "description": "", "priority": "P2"}
SCHEDULE = {
    "name": "S",
    "slug": "s",
    "team": "shop",
    "time_zone": "UTC",
    "description": "",
    "skips_time_off": False,
    "swaps_need_approval": False,
    "sends_handoff_notices": True,
    "notice_minutes": 60,
    "layers": [LAYER],
}
POLICY = {
    "name": "P",
    "slug": "p",
    "team": "shop",
    "is_team_default": False,
    "repeats": 1,
    "nobody_action": "fallback",
    "fallback_user": PERSON,
    "levels": [LEVEL],
}
SERVICE = {
    "name": "S",
    "slug": "s",
    "description": "",
    "team": "shop",
    "policy": "shop",
    "lifecycle": "active",
    "tier": 1,
    "correlation_window_seconds": 60,
}
TEAM = {"name": "T", "slug": "t", "description": "", "members": [{"user": PERSON, "role": "responder"}]}
USER = {"email": "d@example.com", "name": "D", "role": "observer", "time_zone": "UTC", "is_active": True}
OVERRIDE = {"user": PERSON, "role": "PRIMARY", "replaces": "alice@example.com", "reason": "", **SPAN}
SWAP = {"role": "PRIMARY", "asked": PERSON, "wants_return": False, "note": "", **SPAN}
BACK = {"return_schedule": "shop", "return_role": "PRIMARY", "return_start_at": None, "return_end_at": None}
SHIFT = {"schedule": "shop", "team": "shop", "user": PERSON, "priority": "PRIMARY", "note": "", **SPAN}
TIME_OFF = {"user": PERSON, "reason": "", **SPAN}
IMPORT = {
    "name": "C",
    "kind": "shifts",
    "schedule": "shop",
    "team": None,
    "role": "PRIMARY",
    "url": "https://calendar.example.com/a.ics",
    "refresh_minutes": 60,
    "is_enabled": True,
}
HOLIDAY = {"day": "2026-12-25", "name": "H", "team": "shop"}
INTEGRATION = {
    "name": "I",
    "source": "generic",
    "service": "checkout",
    "team": "shop",
    "may_choose_service": True,
    "default_severity": "high",
    "options": {"title": "labels.summary"},
    "signing_secret": "S",
    "dedup_fields": ["labels.host"],
    "group_fields": ["payload.data.id"],
    "group_window_seconds": 60,
    "group_slides": True,
    "group_freezes_on_acknowledge": True,
    "flap_changes": 4,
    "flap_window_seconds": 600,
    "flap_pause_seconds": 600,
    "auto_resolve_seconds": 3600,
    "events_per_minute": 100,
    "incidents_per_minute": 10,
    "is_enabled": True,
}
RULE = {
    "name": "R",
    "integration": None,
    "position": 1,
    "is_enabled": True,
    "condition": 'labels.env = "prod" and title =~ "Disk.*"',
    "days": [0, 6],
    "starts_at": "22:00",
    "ends_at": "06:00",
    "time_zone": "Europe/Berlin",
    "action": "route",
    "service": "checkout",
    "policy": "shop",
    "severity": "low",
    "priority": "P4",
    "title": "{labels.host}: {title}",
    "pages_nobody": False,
    "goes_on": True,
}
SILENCE = {
    "condition": 'labels.env = "prod"',
    "starts_at": "2040-01-03T00:00:00Z",
    "ends_at": "2040-01-04T00:00:00Z",
    "reason": "R",
    "integration": None,
    "service": "checkout",
    "everything": True,
}
WINDOW = {
    "name": "W",
    "reason": "R",
    "services": ["checkout"],
    "teams": ["shop"],
    "condition": 'labels.env = "prod"',
    "everything": True,
    "starts_at": "2026-01-04T00:00:00Z",
    "ends_at": "2026-01-04T04:00:00Z",
    "rrule": "FREQ=WEEKLY;BYDAY=SU",
    "time_zone": "Europe/Berlin",
}
INHIBITION = {
    "name": "N",
    "integration": None,
    "source": 'alertname = "NodeDown"',
    "target": 'alertname != "NodeDown"',
    "equal": ["host"],
    "is_enabled": True,
}
HEARTBEAT = {
    "name": "H",
    "description": "",
    "service": "checkout",
    "integration": None,
    "severity": "high",
    "interval_seconds": 60,
    "grace_seconds": 10,
    "is_enabled": True,
}
LINK = {"kind": "runbook", "label": "Slow", "url": "https://wiki.example.com/slow"}
DEPENDENCY = {"service": "checkout", "needs": "database", "holds_alerts": True, "note": ""}

WRITES = {
    ("post", "incidents"): INCIDENT,
    ("patch", "incidents/{number}"): {
        "title": "T",
        "description": "D",
        "impact": "I",
        "severity": "low",
        "priority": "P1",
    },
    ("post", "incidents/{number}/merge"): {"into": 1},
    ("post", "incidents/{number}/unmerge"): {},
    ("post", "incidents/{number}/responders"): {"users": [PERSON], "role": "scribe", "message": "Come."},
    ("patch", "incidents/{number}/responders/{bob}"): {"state": "declined", "reason": "R"},
    ("post", "incidents/{number}/tasks"): {"text": "T", "assignee": PERSON},
    ("patch", "incidents/{number}/tasks/{task}"): {"text": "T", "assignee": PERSON, "is_done": True},
    ("post", "incidents/{number}/updates"): {"text": "U"},
    ("post", "incidents/{number}/followers"): {},
    ("post", "incidents/{number}/acknowledge"): {},
    ("post", "incidents/{number}/start"): {},
    ("post", "incidents/{number}/remediate"): {},
    ("post", "incidents/{number}/resolve"): {"note": "N"},
    ("post", "incidents/{number}/close"): {},
    ("post", "incidents/{number}/escalate"): {},
    ("post", "incidents/{number}/reassign"): {"user": PERSON},
    ("post", "incidents/{number}/snooze"): {"minutes": 5},
    ("post", "incidents/{number}/notes"): {"text": "N"},
    ("post", "escalate"): {"incident": 1, **INCIDENT},
    ("post", "services"): SERVICE,
    ("put", "services/checkout"): SERVICE,
    ("patch", "services/checkout"): SERVICE,
    ("post", "teams"): TEAM,
    ("put", "teams/shop"): TEAM,
    ("patch", "teams/shop"): TEAM,
    ("post", "users"): USER,
    ("patch", "users/{bob}"): USER,
    ("post", "schedules"): SCHEDULE,
    ("put", "schedules/shop"): SCHEDULE,
    ("patch", "schedules/shop"): SCHEDULE,
    ("post", "schedules/shop/overrides"): OVERRIDE,
    ("post", "schedules/shop/preview"): {"layers": [LAYER], "time_zone": "UTC", "start": "2040-01-03T00:00:00Z"},
    ("post", "schedules/shop/swaps"): SWAP,
    ("post", "schedules/shop/swaps/{swap}/take"): SPAN,
    ("post", "schedules/shop/swaps/{swap}/offer"): {"note": "", **SPAN, **BACK},
    ("post", "schedules/shop/swaps/{swap}/cancel"): {},
    ("post", "on-call"): SHIFT,
    ("put", "on-call/{shift}"): SHIFT,
    ("patch", "on-call/{shift}"): SHIFT,
    ("post", "time-off"): TIME_OFF,
    ("put", "time-off/{off}"): TIME_OFF,
    ("patch", "time-off/{off}"): TIME_OFF,
    ("put", "availability/me"): {"status": "away", "until_at": "2040-01-03T00:00:00Z", "note": ""},
    ("post", "calendar-feeds"): {"name": "", "person": PERSON, "schedule": None, "team": None},
    ("post", "calendar-imports"): IMPORT,
    ("post", "calendar-imports/"): {"name": "C", "kind": "holidays", "content": "BEGIN:VCALENDAR"},
    ("put", "calendar-imports/{calendar}"): IMPORT,
    ("patch", "calendar-imports/{calendar}"): IMPORT,
    ("post", "holidays"): HOLIDAY,
    ("put", "holidays/{holiday}"): HOLIDAY,
    ("patch", "holidays/{holiday}"): HOLIDAY,
    ("post", "notifications/send"): {"user": PERSON, "title": "T", "body": "B", "url": "", "urgency": "low"},
    ("patch", "notifications/{message}"): {"state": "read"},
    ("post", "notifications/{message}/resend"): {},
    ("post", "notifications/acknowledge"): {"token": "x"},
    ("post", "notify"): {"team": "shop", "service": "checkout", "schedule": "shop", "user": PERSON, "title": "T"},
    ("post", "policies"): POLICY,
    ("put", "policies/shop"): POLICY,
    ("patch", "policies/shop"): POLICY,
    ("post", "integrations"): INTEGRATION,
    ("put", "integrations/{integration}"): INTEGRATION,
    ("patch", "integrations/{integration}"): INTEGRATION,
    ("post", "integrations/{integration}/rotate-key"): {"overlap_seconds": 60},
    ("post", "routing-rules"): RULE,
    ("put", "routing-rules/{rule}"): RULE,
    ("patch", "routing-rules/{rule}"): RULE,
    ("post", "silences"): SILENCE,
    ("put", "silences/{silence}"): SILENCE,
    ("post", "silences/{silence}/extend"): {"seconds": 60},
    ("post", "silences/{silence}/expire"): {},
    ("post", "silences/preview"): {"condition": 'labels.env = "prod"', "integration": None, "service": "checkout"},
    ("post", "maintenance-windows"): WINDOW,
    ("put", "maintenance-windows/{window}"): WINDOW,
    ("post", "maintenance-windows/{window}/disable"): {},
    ("post", "maintenance-windows/{window}/enable"): {},
    ("post", "maintenance-windows/{window}/end"): {},
    ("post", "inhibition-rules"): INHIBITION,
    ("put", "inhibition-rules/{inhibition}"): INHIBITION,
    ("patch", "inhibition-rules/{inhibition}"): INHIBITION,
    ("post", "heartbeats"): HEARTBEAT,
    ("put", "heartbeats/{heartbeat}"): HEARTBEAT,
    ("patch", "heartbeats/{heartbeat}"): HEARTBEAT,
    ("post", "heartbeats/{heartbeat}/arm"): {},
    ("post", "dependencies"): DEPENDENCY,
    ("post", "services/checkout/links"): LINK,
    ("patch", "services/checkout/links/{link}"): LINK,
}

GARBAGE = [
    None,
    True,
    -1,
    0,
    2**31,
    2**63,
    10**400,
    1.5,
    1e308,
    "",
    " ",
    "x",
    "\0",
    "a\0b",
    "\ud800",
    "é\u202e😀",
    "%s%(x)s{0}",
    "x" * 70_000,
    "2026-06-01",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
    "09:00:00+02:00",
    "24:00",
    "Europe/../etc/passwd",
    "00000000-0000-0000-0000-000000000000",
    [],
    [None],
    [[]],
    ["\ud800"],
    [{}],
    {},
    {"a": "\0"},
    {"uuid": []},
    {"\ud800": 1},
]
# Texts in which JSON cannot be, and bodies that are no JSON object.
BODIES = [
    b"",
    b"{",
    b"null",
    b"[]",
    b"[1]",
    b'"text"',
    b"1",
    b"NaN",
    b'{"title": NaN}',
    b'{"title": Infinity}',
    b"\xff\xfe",
    b'{"title": "\xff"}',
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b"1" * 10_000,
    b'{"title": 1e999}',
    b"\xef\xbb\xbf{}",
]


def places(body, path=()):
    """Every place in a body, however deep."""
    for key, value in body.items() if isinstance(body, dict) else enumerate(body):
        yield (*path, key)
        if isinstance(value, (dict, list)):
            yield from places(value, (*path, key))


def broken(body, place, value):
    body = copy.deepcopy(body)
    inner = body
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    return body


@pytest.fixture
def address(service, team, alice, bob, now):
    schedule = ScheduleFactory(name="Shop", slug="shop", team=team, people=[alice])
    incident = lifecycle.trigger(service, title="Down", severity="critical", now=now)
    span = {name: dt.datetime.fromisoformat(text) for name, text in SPAN.items()}
    database = ServiceFactory(name="Database", slug="database", team=team)
    cache = ServiceFactory(name="Cache", slug="cache", team=team)
    names = {
        "number": incident.number,
        "task": TaskFactory(incident=incident).pk,
        "integration": IntegrationFactory(service=service).uuid,
        "rule": RuleFactory(condition='labels.env = "prod"').pk,
        "silence": SilenceFactory(starts_at=span["start_at"], ends_at=span["end_at"]).uuid,
        "window": MaintenanceWindowFactory(
            services=[service], starts_at=span["start_at"], ends_at=span["end_at"]
        ).uuid,
        "inhibition": InhibitionRuleFactory().pk,
        "heartbeat": HeartbeatFactory(service=service).uuid,
        "dependency": DependencyFactory(service=database, needs=cache).pk,
        "link": LinkFactory(service=service).pk,
        "bob": bob.uuid,
        "swap": ShiftRequestFactory(schedule=schedule, requester=bob, **span).uuid,
        "shift": FixedShiftFactory(schedule=schedule, user=bob, role="TERTIARY", **span).uuid,
        "off": TimeOffFactory(user=bob, **span).uuid,
        "calendar": CalendarImportFactory(schedule=schedule).uuid,
        "holiday": HolidayFactory().pk,
        "message": NotificationFactory(user=bob, contact_method=bob.contact_methods.get()).uuid,
    }
    return lambda path: "/api/v1/" + path.format(**names)


def refused_well(answer):
    """A status below 500; and every refusal is a problem document that says something."""
    if answer.status_code >= 400:
        assert answer["Content-Type"] == "application/problem+json"
        assert json.loads(answer.content)["detail"]
    return answer.status_code < 500


SHAPING = ("integrations", "routing-rules", "silences", "maintenance", "inhibition", "heartbeats", "dependencies")


@pytest.mark.parametrize("method, path", [one for one in WRITES if one[1].startswith(SHAPING)])
def test_what_is_broken_below_is_taken_as_it_stands(api, address, method, path):
    answer = getattr(api, method)(address(path), WRITES[method, path])
    assert answer.status_code < 300, answer.data


@pytest.mark.parametrize("method, path", WRITES)
def test_a_wrong_value_in_any_place_is_refused_with_a_sentence(api, address, method, path):
    body = WRITES[method, path]
    for place in list(places(body)) or [("unknown",)]:
        for value in GARBAGE:
            answer = getattr(api, method)(
                address(path), json.dumps(broken(body, place, value)), content_type="application/json"
            )
            assert refused_well(answer), (place, value)


@pytest.mark.parametrize("method, path", WRITES)
def test_a_missing_field_is_refused_with_a_sentence(api, address, method, path):
    body = WRITES[method, path]
    for name in body:
        answer = getattr(api, method)(address(path), {key: body[key] for key in body if key != name})
        assert refused_well(answer), name


@pytest.mark.parametrize("method, path", WRITES)
def test_a_body_that_is_no_object_is_refused_with_a_sentence(api, address, method, path):
    for raw in BODIES:
        for content_type in ("application/json", "application/json; charset=rot13", "text/plain"):
            answer = getattr(api, method)(address(path), raw, content_type=content_type)
            assert refused_well(answer), (raw[:40], content_type)


@pytest.mark.parametrize("text", ["a\0b", "\ud800"])
def test_a_text_that_cannot_be_stored_is_400_everywhere(api, address, text):
    for (method, path), body in WRITES.items():
        if body:
            answer = getattr(api, method)(
                address(path), json.dumps({**body, "unknown": text}), content_type="application/json"
            )
            assert answer.status_code == 400, path
            assert "U+0000" in answer.data["detail"]


def test_a_body_beyond_the_limit_is_413(api, settings, service):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    answer = api.post("/api/v1/incidents", {**INCIDENT, "description": "x" * 1000})
    assert (answer.status_code, answer.data["code"]) == (413, "too_large")


READS = {
    "incidents": "status severity priority service team assignee merged_into q since until cursor page_size",
    "incidents/stats/summary": "status service assignee q since until",
    "alerts": "status is_held service severity incident dedup_key since until cursor page_size",
    "services": "team lifecycle policy cursor",
    "teams": "cursor",
    "users": "role team is_active is_machine cursor",
    "api-keys": "state team is_personal cursor",
    "schedules": "team cursor",
    "schedules/shop/oncall": "at",
    "schedules/shop/final": "start end role",
    "schedules/shop/coverage": "start end",
    "schedules/shop/layers": "cursor",
    "schedules/shop/overrides": "user role since until cursor",
    "schedules/shop/swaps": "state requester asked since until cursor",
    "on-call": "team schedule user priority since until cursor",
    "on-call/find-current": "team service schedule at",
    "on-call/escalation-chain": "team service at",
    "on-call/current/all": "at",
    "on-call/next": "user at",
    "on-call/previous": "user at",
    "time-off": "user team since until cursor",
    "availability": "team cursor",
    "calendar-feeds": "cursor",
    "calendar-imports": "kind schedule team cursor",
    "holidays": "team since until cursor",
    "policies": "team user cursor",
    "oncall/current": "team service at",
    "notifications": "state kind channel user topic urgency since until cursor",
    "notifications/stats/summary": "state user since",
    "incidents/{number}/timeline": "cursor",
    "integrations": "source service team is_enabled q cursor",
    "routing-rules": "integration is_enabled action cursor",
    "change-events": "service source since until cursor",
    "silences": "status service integration cursor",
    "maintenance-windows": "is_enabled cursor",
    "inhibition-rules": "integration is_enabled cursor",
    "heartbeats": "service is_enabled is_missing cursor",
    "dependencies": "service needs cursor",
    "services/checkout/links": "cursor",
    "services/graph": "around depth",
}
# "cD1h" is the cursor p=a, "cD0lMDA" is p=%00, "bz0tMQ==" is o=-1, "cj0xJnA9MQ==" is r=1&p=1
WORDS = [
    "x",
    "%00",
    "a%00b",
    "%ff",
    "%ed%a0%80",
    "-1",
    "1e400",
    "99999999999999999999999",
    ",",
    ",,",
    "open,x",
    "null",
    "[]",
    "%",
    "2026-13-01",
    "2026-06-01",
    "0001-01-01T00:00:00%2B14:00",
    "9999-12-31T23:59:59-14:00",
    "2026-06-01T00:00:00",
    "2000-01-01T00:00:00Z",
    "2099-12-31T23:59:59Z",
    "00000000-0000-0000-0000-000000000000",
    "cD1h",
    "cD0lMDA=",
    "bz0tMQ==",
    "cj0xJnA9MQ==",
    "cD0lRkY=",
]


@pytest.mark.parametrize("path", READS)
def test_a_wrong_parameter_is_refused_with_a_sentence(api, address, path):
    for name in READS[path].split():
        for word in ["", *WORDS, "x" * 5000]:
            assert refused_well(api.get(f"{address(path)}?{name}={word}")), (name, word)


NAMED = ["incidents", "alerts", "services", "teams", "users", "schedules", "policies", "notifications"]
NAMED += ["on-call", "time-off", "availability", "calendar-feeds", "calendar-imports", "holidays"]
NAMED += ["integrations", "routing-rules", "change-events", "silences", "maintenance-windows", "inhibition-rules"]
NAMED += ["heartbeats", "dependencies", "services/checkout/links"]


@pytest.mark.parametrize("kind", NAMED)
@pytest.mark.parametrize("name", ["%00", "x%00", "%ff", "..", "1e9", "-1", "9" * 30, "é", "x" * 3000])
def test_a_wrong_name_in_an_address_is_404(api, kind, name):
    answer = api.get(f"/api/v1/{kind}/{name}")
    assert answer.status_code == 404
    assert refused_well(answer)


def test_a_bad_cursor_says_so(api):
    answer = api.get("/api/v1/alerts?cursor=cD1h")
    assert answer.status_code == 404
    assert "Take the address in “next” as it is." in answer.data["detail"]
