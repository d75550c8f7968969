import datetime as dt
import json

import pytest
from django.utils import timezone

from notifications import links
from tests.factories import (
    AlertFactory,
    AttemptFactory,
    ContactMethodFactory,
    IncidentFactory,
    IntegrationFactory,
    NotificationFactory,
)


def ids(answer, name):
    assert answer.status_code == 200, answer.data
    return {one[name] for one in answer.data["results"]}


# --- alerts ---------------------------------------------------------------------------------------------------


def test_an_alert_is_shown_with_public_ids_only(api, service):
    integration = IntegrationFactory(service=service)
    incident = IncidentFactory(service=service)
    alert = AlertFactory(service=service, integration=integration, incident=incident, labels={"host": "web-1"})
    answer = api.get(f"/api/v1/alerts/{alert.pk}").data
    assert answer["id"] == str(alert.pk)
    assert (answer["status"], answer["service"], answer["incident"]) == ("firing", "checkout", incident.number)
    assert answer["integration"] == str(integration.uuid)
    assert answer["labels"] == {"host": "web-1"}
    assert answer["first_at"] == "2026-06-01T11:55:00Z"
    assert "scope" not in answer


def test_alerts_are_filtered(api, service, now):
    incident = IncidentFactory(service=service)
    firing = AlertFactory(service=service, incident=incident, dedup_key="disk/web-1")
    over = AlertFactory(severity="low", resolved_at=now, first_at=now - dt.timedelta(days=2))
    for query, wanted in {
        "": {firing, over},
        "status=firing": {firing},
        "status=resolved": {over},
        "severity=low,info": {over},
        "service=checkout": {firing},
        f"incident={incident.number}": {firing},
        "dedup_key=disk/web-1": {firing},
        "since=2026-06-01T00:00:00Z": {firing},
        "until=2026-06-01T00:00:00Z": {over},
    }.items():
        assert ids(api.get(f"/api/v1/alerts?{query}"), "id") == {str(one.pk) for one in wanted}, query


@pytest.mark.parametrize("query", ["status=open", "severity=awful", "service=nope", "incident=x", "since=x"])
def test_a_wrong_filter_is_400(api, query):
    answer = api.get(f"/api/v1/alerts?{query}")
    assert (answer.status_code, answer.data["code"]) == (400, "invalid")


def test_an_incident_number_beyond_all_numbers_is_400(api):
    assert api.get("/api/v1/alerts?incident=99999999999999999999999").status_code == 400


@pytest.mark.logs_errors
def test_posting_an_alert_to_django_itself_says_how_to_start_the_program(api):
    answer = api.post("/api/v1/alerts", {"service": "checkout", "title": "Disk full"})
    assert answer.status_code == 503
    assert "bin/up" in answer.data["detail"]


# --- notifications --------------------------------------------------------------------------------------------


def test_a_notification_is_shown_with_every_try(api, bob):
    row = NotificationFactory(user=bob, contact_method=bob.contact_methods.get(), state="sent", attempts=2)
    AttemptFactory(notification=row, number=1, ok=False, error="The mail server was busy.")
    AttemptFactory(notification=row, number=2)
    answer = api.get(f"/api/v1/notifications/{row.uuid}").data
    assert (answer["user"]["name"], answer["channel"], answer["address"]) == ("Bob", "email", "bob@example.com")
    assert (answer["title"], answer["body"]) == ("P1 Checkout is down", "Nobody can pay.")
    assert [(one["number"], one["ok"], one["error"]) for one in answer["attempts"]] == [
        (1, False, "The mail server was busy."),
        (2, True, ""),
    ]


def test_no_link_token_and_no_secret_is_ever_shown(api, bob, now):
    method = ContactMethodFactory(
        user=bob, channel="webhook", address="https://hooks.example.com/T0/SECRET?key=SECRET", secret="whsec_SECRET"
    )
    row = NotificationFactory(user=bob, contact_method=method, link_expires_at=now, provider_id="SECRET")
    shown = json.dumps([api.get(f"/api/v1/notifications{path}").data for path in ("", f"/{row.uuid}")], default=str)
    assert "SECRET" not in shown
    assert links.token(row.uuid, "acknowledge") not in shown
    assert "https://hooks.example.com/…" in json.loads(shown)[1]["address"]


def test_notifications_are_filtered(api, bob, now):
    mine = NotificationFactory(user=bob, contact_method=bob.contact_methods.get(), topic="incident:42")
    old = NotificationFactory(state="failed", urgency="low", created_at=now - dt.timedelta(days=2))
    for query, wanted in {
        "": {mine, old},
        "state=pending,sending": {mine},
        "channel=email": {mine, old},
        "user=bob@example.com": {mine},
        "topic=incident:42": {mine},
        "urgency=low": {old},
        "since=2026-06-01T00:00:00Z": {mine},
        "until=2026-06-01T00:00:00Z": {old},
    }.items():
        answer = api.get(f"/api/v1/notifications?{query}")
        assert ids(answer, "uuid") == {str(one.uuid) for one in wanted}, query
    assert api.get("/api/v1/notifications?channel=pigeon").status_code == 400


def test_the_summary_counts_by_channel_and_state(api, now):
    NotificationFactory(state="sent", sent_at=now + dt.timedelta(seconds=2))
    NotificationFactory(state="sent", sent_at=now + dt.timedelta(seconds=4))
    NotificationFactory(state="failed")  # long ago
    NotificationFactory(state="failed", created_at=timezone.now())
    assert api.get("/api/v1/notifications/stats/summary").data == {
        "total": 4,
        "by_channel": {"email": {"sent": 2, "failed": 2}},
        "mean_seconds_to_send": 3.0,
        "failed_last_24_hours": 1,
    }
    assert api.get("/api/v1/notifications/stats/summary?state=pending").data["mean_seconds_to_send"] is None
