"""The drop-in addresses with input that nobody means well: never a 5xx."""

import datetime as dt
import itertools

import pytest
from django.utils import timezone

from alerts import ingest
from alerts.models import InboundEvent
from tests import factories
from tests.alerts.test_door import Server

pytestmark = pytest.mark.django_db(transaction=True)

PARTS = ("%00", "%ff", "%F0%9F%92%A9", "a%2Fb", "..", "1" * 400, "x" * 600, "%ED%A0%80", "-1", "{}")
BODIES = (
    b"",
    b"[]",
    b"{}",
    b"3",
    b"\xff\x00",
    b"[" * 50_000,
    b'{"message": {"a": [1]}, "alias": [], "tags": 5, "details": [], "priority": {}, "responders": [3]}',
    b'{"message": "\\ud800\\u0000", "alias": "\\u0000", "note": 1e400, "details": {"\\ud800": {"a": null}}}',
    b'{"endTime": 99999999999999999999, "owner": [], "note": [], "message": [], "priority": 1e999}',
    b'{"matchers": [{"name": "\\u0000", "value": "\\ud800"}], "startsAt": 1e300, "endsAt": "9999-12-31T23:59:59Z"}',
    b'{"matchers": [{"name": "a", "value": "(((((", "isRegex": true}], "endsAt": 1e400, "id": []}',
    b'[{"labels": {"\\ud800": "\\u0000", "a": [[]]}, "startsAt": {}, "endsAt": 99999999999999999999999}]',
    b'{"event_type": [], "event_action": {}, "payload": [], "service_key": [], "routing_key": 3}',
)


@pytest.fixture
def server():
    with Server() as running:
        yield running


def test_no_request_is_answered_by_a_5xx_and_what_is_stored_can_be_decided(server, service):
    keys = {
        kind: factories.IntegrationFactory(source=kind, service=service).key for kind in ("opsgenie", "prometheus")
    }
    genie = {"Authorization": f"GenieKey {keys['opsgenie']}"}
    prefix = f"/in/{keys['prometheus']}"
    calls = (("GET", ""), ("POST", "/close"), ("POST", "/snooze"), ("DELETE", ""))
    requests = [
        (method, f"/v2/alerts/{part}{rest}?identifierType={kind}", genie, b"")
        for part, (method, rest), kind in itertools.product(PARTS, calls, ("id", "alias", "tiny"))
    ]
    requests += [("GET", f"/v2/alerts?query={part}&limit={part}&offset={part}", genie, b"") for part in PARTS]
    requests += [("GET", f"/v2/alerts?query={part}", genie, b"") for part in PARTS]
    requests += [(method, f"/v2/heartbeats/{part}/ping", genie, b"") for part in PARTS for method in ("GET", "POST")]
    requests += [("GET", f"{prefix}/api/v2/alerts?filter={part}%3D{part}", {}, b"") for part in PARTS]
    requests += [("GET", f"{prefix}/api/v2/silence/{part}", {}, b"") for part in PARTS]
    requests += [("POST", f"/integrations/v1/{part}/{part}/", {}, b"{}") for part in PARTS]
    for body in BODIES:
        rests = ("", "/k/close", "/k/notes", "/k/snooze", "/k/assign", "/k/tags", "/k/details")
        requests += [("POST", f"/v2/alerts{rest}?identifierType=alias", genie, body) for rest in rests]
        requests += [
            ("PUT", f"/v2/alerts/k/{what}?identifierType=alias", genie, body) for what in ("message", "priority")
        ]
        requests += [("POST", f"{prefix}/api/v2/{what}", {}, body) for what in ("alerts", "silences")]
        requests += [("POST", path, {}, body) for path in ("/v2/enqueue", "/generic/2010-04-15/create_event.json")]
    failed = [
        (method, path, body[:80], reply.status, reply.body[:200])
        for method, path, headers, body in requests
        if (reply := server.request(method, path, body, headers)).status >= 500
    ]
    assert failed == []
    while ingest.sweep(now=timezone.now() + dt.timedelta(minutes=1)):
        pass
    stuck = InboundEvent.objects.exclude(state="decided").exclude(state="poison", attempts=0)  # 400, and kept
    assert [(row.source, bytes(row.body)[:80], row.headers, row.error) for row in stuck] == []
