"""What holds for every address: constant cost, slashes, keys, and a clean OpenAPI document."""

import io

import pytest
from django.core.handlers.asgi import ASGIRequest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import resolve

from incidents import lifecycle
from tests import factories


@pytest.fixture
def grow(service, team, alice, bob, now):
    """`grow(20)` adds 20 rows of everything, each with what belongs to it."""

    def more(count):
        for _ in range(count):
            schedule = factories.ScheduleFactory(people=[alice, factories.UserFactory()])
            policy = factories.EscalationPolicyFactory(calls=[alice, schedule], fallback_user=factories.UserFactory())
            one = factories.ServiceFactory(policy=policy)
            factories.MembershipFactory(team=one.team)
            factories.OverrideFactory(schedule=first_schedule, user=factories.UserFactory(), created_by=alice)
            incident = factories.IncidentFactory(
                service=one, assignee=factories.UserFactory(), acknowledged_by=bob, resolved_by=alice
            )
            hook = factories.IntegrationFactory(service=one)
            factories.AlertFactory(service=one, incident=incident, integration=hook)
            _grow_quiet(one, hook, policy, owner=factories.UserFactory())
            factories.NotificationFactory(topic=first_incident.topic)
            factories.TimelineEntryFactory(incident=first_incident, by=factories.UserFactory())
            _grow_on_call(first_schedule, now)
            _grow_postmortems(first_postmortem)

    first_schedule = factories.ScheduleFactory(slug="first", team=team, people=[alice])
    first_postmortem = factories.PostmortemFactory(team=team, owner=alice)
    first_incident = lifecycle.trigger(service, title="Down", severity="critical", now=now)
    more.number, more.postmortem = first_incident.number, first_postmortem.pk
    return more


def _grow_quiet(service, integration, policy, *, owner):
    """One more of everything that shapes noise."""
    silence = factories.SilenceFactory(service=service, integration=integration, owner=owner)
    factories.AlertFactory(service=service, integration=integration, held_by=f"silence:{silence.pk}")
    factories.MaintenanceWindowFactory(services=[service], teams=[service.team], owner=owner)
    factories.InhibitionRuleFactory(integration=integration)
    factories.RuleFactory(integration=integration, service=service, policy=policy)
    factories.HeartbeatFactory(service=service, integration=integration)
    factories.DependencyFactory(service=service, needs=factories.ServiceFactory())
    factories.ChangeEventFactory(service=service, integration=integration)


def _grow_postmortems(first):
    """Another postmortem, and one more of everything that the first consists of."""
    other = factories.PostmortemFactory(team=first.team, owner=factories.UserFactory())
    for one in (first, other):
        factories.SectionFactory(postmortem=one, body="Renew it.")
        factories.MomentFactory(postmortem=one)
        factories.FactorFactory(postmortem=one)
        factories.CommentFactory(postmortem=one)
        factories.ReviewFactory(postmortem=one)
        factories.ActionItemFactory(postmortem=one)
        factories.ShareLinkFactory(postmortem=one)
    first.incidents.add(factories.IncidentFactory(service__team=first.team))


def _grow_on_call(schedule, now):
    """One more of everything that belongs to a schedule."""
    person = factories.UserFactory()
    factories.MembershipFactory(team=schedule.team, user=person)
    layer = factories.LayerFactory(schedule=schedule, role="SECONDARY", people=[person], ends_at=now)
    factories.RestrictionFactory(layer=layer)
    layer = factories.LayerFactory(schedule=schedule, role="TERTIARY", position=layer.pk, people=[person])
    factories.RestrictionFactory(layer=layer)
    calendar = factories.CalendarImportFactory(schedule=schedule)
    factories.FixedShiftFactory(schedule=schedule, user=person, calendar=calendar, created_by=person)
    factories.TimeOffFactory(user=person, created_by=person)
    factories.AvailabilityFactory(user=person)
    factories.HolidayFactory(calendar=calendar, team=schedule.team)
    request = factories.ShiftRequestFactory(schedule=schedule, requester=person, asked=factories.UserFactory())
    offer = factories.OfferFactory(request=request, decided_by=person)
    factories.OverrideFactory(schedule=schedule, user=person, offer=offer)
    factories.EscalationPolicyFactory(calls=[schedule])


LISTS = [
    "alerts",
    "integrations",
    "routing-rules",
    "change-events",
    "silences",
    "maintenance-windows",
    "inhibition-rules",
    "heartbeats",
    "dependencies",
    "incidents",
    "incidents?status=open&service=checkout",
    "incidents/stats/summary",
    "incidents/{number}/timeline",
    "incidents/{number}/notes",
    "incidents/{number}/responders",
    "incidents/{number}/tasks",
    "incidents/{number}/similar",
    "incidents/{number}/changes",
    "services",
    "teams",
    "users",
    "schedules",
    "schedules/first",
    "schedules/first/layers",
    "schedules/first/oncall?at=2026-06-01T12:00:00Z",
    "schedules/first/overrides",
    "schedules/first/swaps",
    "schedules/first/coverage?start=2026-06-01T00:00:00Z&end=2026-06-08T00:00:00Z",
    "schedules/first/final?start=2026-06-01T00:00:00Z&end=2026-08-01T00:00:00Z",
    "policies",
    "postmortems",
    "postmortems?q=renew&cause=full disk",
    "postmortems/{postmortem}",
    *(
        f"postmortems/{{postmortem}}/{part}"
        for part in ("sections", "moments", "factors", "comments", "reviews", "items", "share-links")
    ),
    "action-items",
    "action-items?is_overdue=true&team=shop",
    "notifications",
    "notifications/stats/summary",
    "oncall/current",
    "oncall/current?service=checkout",
    "on-call",
    "on-call/find-current?team=shop&at=2026-06-01T12:00:00Z",
    "on-call/find-current?service=checkout",
    "on-call/escalation-chain?team=shop&at=2026-06-01T12:00:00Z",
    "on-call/escalation-chain?service=checkout",
    "on-call/current/all?at=2026-06-01T12:00:00Z",
    "on-call/next?user=alice@example.com",
    "on-call/previous?user=alice@example.com",
    "time-off",
    "time-off?team=shop",
    "availability",
    "calendar-feeds",
    "calendar-imports",
    "holidays",
]


def test_a_list_costs_the_same_number_of_queries_with_one_row_and_with_twenty(api, grow):
    def costs():
        found = {}
        for path in LISTS:
            with CaptureQueriesContext(
                connection,
            ) as queries:
                answer = api.get("/api/v1/" + path.format(number=grow.number, postmortem=grow.postmortem))
            assert answer.status_code == 200, answer.data
            found[path] = len(queries)
        return found

    grow(1)
    with_one = costs()
    grow(19)
    assert costs() == with_one
    assert max(cost for path, cost in with_one.items() if "coverage" not in path) <= 16
    assert max(with_one.values()) <= 20


@pytest.mark.parametrize("path", ["incidents", "alerts", "oncall/current", "users/me", "incidents/stats/summary"])
def test_an_address_works_with_and_without_a_slash_at_the_end(api, path):
    assert api.get(f"/api/v1/{path}").status_code == 200
    assert api.get(f"/api/v1/{path}/").status_code == 200


def test_posting_works_with_a_slash_too(api, service):
    new = {"service": "checkout", "title": "Down", "severity": "low"}
    for path in ("incidents/", "escalate/", "escalate"):
        assert api.post(f"/api/v1/{path}", new).status_code == 201


def test_an_unknown_address_is_a_problem_document(api):
    for path in ("", "nope", "incidents/1/explode", "incidents//"):
        answer = api.get(f"/api/v1/{path}")
        assert answer.status_code == 404
        assert answer["Content-Type"] == "application/problem+json"


def test_a_method_that_an_address_has_not_is_405(api):
    answer = api.delete("/api/v1/incidents")
    assert (answer.status_code, answer.data["code"]) == (405, "method_not_allowed")


@pytest.mark.parametrize("header", ["Authorization", "X-API-Key"])
def test_a_key_works_in_either_header(calls, bob, header):
    text = factories.ApiKeyFactory(user=bob).text
    value = f"Bearer {text}" if header == "Authorization" else text
    assert calls().get("/api/v1/users/me", headers={header: value}).data["name"] == "Bob"


def test_a_key_does_what_its_scope_says(calls, alice, service):
    new = {"service": "checkout", "title": "Down", "severity": "low"}
    for scope, reads, writes in (("*:read", 200, 403), ("alerts:write", 403, 403), ("incidents:write", 200, 201)):
        headers = {"X-API-Key": factories.ApiKeyFactory(user=alice, scopes=[scope]).text}
        assert calls().get("/api/v1/incidents", headers=headers).status_code == reads
        assert calls().post("/api/v1/incidents", new, headers=headers).status_code == writes


def test_a_body_that_comes_in_chunks_is_read(service, alice):
    key = factories.ApiKeyFactory(user=alice).text.encode()
    headers = [(b"x-api-key", key), (b"content-type", b"application/json"), (b"transfer-encoding", b"chunked")]
    scope = {"type": "http", "method": "POST", "path": "/api/v1/incidents", "query_string": b"", "headers": headers}
    request = ASGIRequest(scope, io.BytesIO(b'{"service": "checkout", "title": "Down", "severity": "low"}'))
    answer = resolve(request.path).func(request)
    assert (answer.status_code, answer.data["title"]) == (201, "Down")


def test_the_openapi_document_is_valid_and_complete(db, tmp_path):
    call_command("spectacular", validate=True, fail_on_warn=True, file=str(tmp_path / "schema.yaml"))
    text = (tmp_path / "schema.yaml").read_text()
    assert "/api/v1/alerts:" in text and "Idempotency-Key" in text and "application/problem+json" in text


def test_the_docs_load_nothing_from_elsewhere(client, db):
    page = client.get("/api/docs")
    assert page.status_code == 200
    assert b"https://" not in page.content and b"swagger-ui-bundle.js" in page.content
