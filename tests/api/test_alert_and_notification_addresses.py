import datetime as dt
import json

import pytest
from django.utils import timezone

from incidents import lifecycle
from notifications import links
from notifications.models import Notification
from tests.factories import (
    AlertFactory,
    AttemptFactory,
    ContactMethodFactory,
    IncidentFactory,
    IntegrationFactory,
    NotificationFactory,
    ScheduleFactory,
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
    assert (answer["user"]["name"], answer["channel"], answer["address"]) == ("Bob", "email", "b•••@example.com")
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
    NotificationFactory(state="delivered", sent_at=now + dt.timedelta(seconds=4), delivered_at=now)
    NotificationFactory(state="acknowledged", sent_at=now, acknowledged_at=now, delivered_at=now)
    NotificationFactory(state="failed")  # long ago
    NotificationFactory(state="failed", created_at=timezone.now())
    assert api.get("/api/v1/notifications/stats/summary").data == {
        "total": 5,
        "total_sent": 3,
        "total_delivered": 2,
        "total_acknowledged": 1,
        "total_failed": 2,
        "by_channel": {"email": {"sent": 1, "delivered": 1, "acknowledged": 1, "failed": 2}},
        "mean_seconds_to_send": 2.0,
        "failed_last_24_hours": 1,
        "average_response_time_seconds": None,
        "sla_compliance_rate": None,
        "escalation_rate": None,
    }
    assert api.get("/api/v1/notifications/stats/summary?state=pending").data["mean_seconds_to_send"] is None


def test_the_summary_says_how_fast_the_incidents_behind_the_messages_were_answered(api, service):
    """P1 has 180 s. One answered in 120 s, one in 600 s after the second level, one open and late, one just begun."""
    began = timezone.now() - dt.timedelta(hours=1)
    quick, slow = (
        IncidentFactory(
            service=service,
            status="acknowledged",
            triggered_at=began,
            acknowledged_at=began + dt.timedelta(seconds=seconds),
            escalation_level=level,
        )
        for seconds, level in ((120, 1), (600, 2))
    )
    late = IncidentFactory(service=service, triggered_at=began, escalation_level=1, escalation_round=1)
    fresh = IncidentFactory(service=service, triggered_at=timezone.now(), escalation_level=1)
    unpaged = IncidentFactory(service=service, triggered_at=began, escalation_level=2)
    for incident in (quick, quick, slow, late, fresh):
        NotificationFactory(topic=incident.topic)
    NotificationFactory(topic=unpaged.topic, kind="resolved")
    found = api.get("/api/v1/notifications/stats/summary").data
    assert found["average_response_time_seconds"] == (120 + 600) / 2
    assert found["sla_compliance_rate"] == pytest.approx(1 / 3)
    assert found["escalation_rate"] == 2 / 4


def test_a_person_is_told_something_by_hand(api, bob):
    answer = api.post(
        "/api/v1/notifications/send", {"user": "bob@example.com", "title": "Deploy at noon", "body": "Of checkout."}
    )
    assert answer.status_code == 201
    (sent,) = answer.data["notifications"]
    assert (sent["user"]["name"], sent["kind"], sent["urgency"], sent["state"]) == ("Bob", "notice", "low", "pending")
    row = Notification.objects.get(uuid=sent["uuid"])
    assert (row.message["title"], row.message["body"]) == ("Deploy at noon", "Of checkout.")


def test_telling_somebody_without_an_address_is_409_and_says_why(api, bob):
    bob.contact_methods.all().delete()
    answer = api.post("/api/v1/notifications/send", {"user": "bob@example.com", "title": "Deploy at noon"})
    assert (answer.status_code, answer.data["code"]) == (409, "unreachable")
    assert "Bob has no verified contact method" in answer.data["detail"]
    assert not Notification.objects.exists()


def test_whoever_is_on_call_is_told_by_hand(api, service, alice, bob):
    schedule = ScheduleFactory(team=service.team, slug="nights", people=[bob])
    for named in ({"schedule": schedule.slug}, {"team": "shop"}, {"user": "bob@example.com"}):
        answer = api.post("/api/v1/notify", {"title": "Look at the graphs", "urgency": "high", **named})
        assert answer.status_code == 201, answer.data
        assert [one["user"]["name"] for one in answer.data["notifications"]] == ["Bob"], named
    answer = api.post("/api/v1/notify", {"title": "Look at the graphs", "service": "checkout"})
    assert answer.status_code == 201, answer.data
    assert answer.data["notifications"]


def test_telling_whoever_is_on_call_where_nobody_is_is_409(api, service):
    schedule = ScheduleFactory(slug="nights")
    answer = api.post("/api/v1/notify", {"title": "Look", "schedule": schedule.slug})
    assert (answer.status_code, answer.data["code"]) == (409, "unreachable")
    assert "Nobody is on call" in answer.data["detail"]


@pytest.mark.parametrize("named", [{}, {"user": "bob@example.com", "team": "shop"}])
def test_notify_names_exactly_one(api, bob, team, named):
    answer = api.post("/api/v1/notify", {"title": "Look", **named})
    assert answer.status_code == 400
    assert "Name exactly one" in answer.data["detail"]


def test_a_message_is_marked_as_read_by_its_reader_only(api, calls, bob):
    row = NotificationFactory(user=bob, contact_method=bob.contact_methods.get(), state="sent")
    path = f"/api/v1/notifications/{row.uuid}"
    assert api.patch(path, {"state": "read"}).status_code == 403
    assert calls(bob).patch(path, {"state": "read"}).data["state"] == "read"
    assert calls(bob).patch(path, {"state": "acknowledged"}).status_code == 400


def test_a_waiting_message_is_stopped_and_sent_again(api, bob):
    row = NotificationFactory(user=bob, contact_method=bob.contact_methods.get())
    path = f"/api/v1/notifications/{row.uuid}"
    assert api.post(f"{path}/resend").status_code == 409
    assert api.patch(path, {"state": "cancelled"}).data["state"] == "cancelled"
    answer = api.post(f"{path}/resend")
    assert (answer.status_code, answer.data["state"]) == (201, "pending")
    assert answer.data["uuid"] != str(row.uuid)


def test_the_token_of_a_link_acknowledges_without_a_key_and_once(calls, service, bob, now):
    incident = lifecycle.trigger(service, title="Down", severity="critical", now=timezone.now())
    row = NotificationFactory(
        user=bob,
        contact_method=bob.contact_methods.get(),
        topic=incident.topic,
        link_expires_at=timezone.now() + dt.timedelta(hours=1),
    )
    token = {"token": links.token(row.uuid, "acknowledge")}
    answer = calls().post("/api/v1/notifications/acknowledge", token)
    assert (answer.status_code, answer.data["incidents"]) == (200, [incident.number])
    assert "You have" in answer.data["detail"]
    incident.refresh_from_db()
    assert (incident.status, incident.acknowledged_by) == ("acknowledged", bob)
    answer = calls().post("/api/v1/notifications/acknowledge", token)
    assert (answer.status_code, answer.data["code"]) == (410, "used_link")


@pytest.mark.parametrize("token", ["", "x", "%00", "é", "A" * 400])
def test_a_forged_token_acknowledges_nothing(calls, service, bob, token):
    incident = lifecycle.trigger(service, title="Down", severity="critical", now=timezone.now())
    answer = calls().post("/api/v1/notifications/acknowledge", {"token": token})
    assert answer.status_code in (400, 404)
    incident.refresh_from_db()
    assert incident.status == "triggered"


def test_a_token_of_another_verb_does_not_acknowledge(calls, service, bob):
    incident = lifecycle.trigger(service, title="Down", severity="critical", now=timezone.now())
    row = NotificationFactory(
        user=bob,
        contact_method=bob.contact_methods.get(),
        topic=incident.topic,
        link_expires_at=timezone.now() + dt.timedelta(hours=1),
    )
    answer = calls().post("/api/v1/notifications/acknowledge", {"token": links.token(row.uuid, "resolve")})
    assert answer.status_code == 404
    incident.refresh_from_db()
    assert incident.status == "triggered"
