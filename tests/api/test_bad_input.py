"""Whatever is sent, the answer is a sentence and never a 500. The test client raises what a view lets out."""

import copy
import json

import pytest

from incidents import lifecycle
from tests.factories import ScheduleFactory

PERSON = "bob@example.com"
LAYER = {
    "name": "Primary",
    "position": 1,
    "unit": "week",
    "every": 1,
    "start_date": "2026-01-05",
    "handoff_time": "09:00",
    "ends_at": None,
    "participants": [PERSON],
}
LEVEL = {"delay_minutes": 5, "targets": [{"user": PERSON, "schedule": None}]}
INCIDENT = {"service": "checkout", "title": "Down", "severity": "high", "description": "", "priority": "P2"}
SCHEDULE = {"name": "S", "slug": "s", "team": "shop", "time_zone": "UTC", "description": "", "layers": [LAYER]}
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
OVERRIDE = {"user": PERSON, "start_at": "2026-06-01T00:00:00Z", "end_at": "2026-06-02T00:00:00Z", "reason": ""}

WRITES = {
    ("post", "incidents"): INCIDENT,
    ("patch", "incidents/{number}"): {"title": "T", "description": "D", "priority": "P1"},
    ("post", "incidents/{number}/acknowledge"): {},
    ("post", "incidents/{number}/start"): {},
    ("post", "incidents/{number}/remediate"): {},
    ("post", "incidents/{number}/resolve"): {"note": "N"},
    ("post", "incidents/{number}/close"): {},
    ("post", "incidents/{number}/escalate"): {},
    ("post", "incidents/{number}/reassign"): {"user": PERSON},
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
    ("post", "policies"): POLICY,
    ("put", "policies/shop"): POLICY,
    ("patch", "policies/shop"): POLICY,
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
    ScheduleFactory(name="Shop", slug="shop", team=team, people=[alice])
    incident = lifecycle.trigger(service, title="Down", severity="critical", now=now)
    return lambda path: "/api/v1/" + path.format(number=incident.number, bob=bob.uuid)


def refused_well(answer):
    """A status below 500; and every refusal is a problem document that says something."""
    if answer.status_code >= 400:
        assert answer["Content-Type"] == "application/problem+json"
        assert json.loads(answer.content)["detail"]
    return answer.status_code < 500


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
    "incidents": "status severity priority service team assignee q since until cursor page_size",
    "incidents/stats/summary": "status service assignee q since until",
    "alerts": "status service severity incident dedup_key since until cursor page_size",
    "services": "team lifecycle policy cursor",
    "teams": "cursor",
    "users": "role team is_active cursor",
    "schedules": "team cursor",
    "schedules/shop/oncall": "at",
    "schedules/shop/final": "start end",
    "schedules/shop/overrides": "cursor",
    "policies": "team user cursor",
    "oncall/current": "team service at",
    "notifications": "state channel user topic urgency since until cursor",
    "notifications/stats/summary": "state user since",
    "incidents/{number}/timeline": "cursor",
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


@pytest.mark.parametrize("kind", ["incidents", "alerts", "services", "teams", "users", "policies", "notifications"])
@pytest.mark.parametrize("name", ["%00", "x%00", "%ff", "..", "1e9", "-1", "9" * 30, "é", "x" * 3000])
def test_a_wrong_name_in_an_address_is_404(api, kind, name):
    answer = api.get(f"/api/v1/{kind}/{name}")
    assert answer.status_code == 404
    assert refused_well(answer)


def test_a_bad_cursor_says_so(api):
    answer = api.get("/api/v1/alerts?cursor=cD1h")
    assert answer.status_code == 404
    assert "Take the address in “next” as it is." in answer.data["detail"]
