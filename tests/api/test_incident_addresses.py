import datetime as dt

import pytest

from incidents import lifecycle
from incidents.models import Incident
from notifications.models import Notification
from tests.factories import IncidentFactory, NotificationFactory

URL = "/api/v1/incidents"


@pytest.fixture
def incident(service, now):
    return lifecycle.trigger(service, title="Checkout is down", severity="critical", now=now)


def numbers(answer):
    assert answer.status_code == 200, answer.data
    return {one["number"] for one in answer.data["results"]}


def test_an_incident_is_opened_and_the_first_level_is_paged(api, alice, service):
    answer = api.post(URL, {"service": "checkout", "title": "Checkout is down", "severity": "critical"})
    assert answer.status_code == 201
    assert answer.data["status"] == "triggered"
    assert answer.data["priority"] == "P1"
    assert answer.data["service"] == "checkout"
    assert answer.data["team"] == "shop"
    assert answer.data["policy"] == "Shop"
    assert answer.data["triggered_at"].endswith("Z")
    assert answer.data["verbs"] == ["acknowledge", "resolve", "escalate", "reassign", "snooze"]
    assert Notification.objects.get().user == alice
    entries = api.get(f"{URL}/{answer.data['number']}/timeline").data["results"]
    assert [(one["kind"], one["via"]) for one in entries] == [("triggered", "api"), ("paged", "system")]
    assert entries[0]["by"]["email"] == "alice@example.com"
    assert entries[1]["reasons"] == ["Level 1: Alice, named in the policy."]


def test_a_priority_that_is_given_wins_over_the_severity(api, service):
    new = {"service": "checkout", "title": "Slow", "severity": "critical", "priority": "P4", "description": "A bit."}
    answer = api.post(URL, new)
    assert (answer.data["priority"], answer.data["urgency"], answer.data["description"]) == ("P4", "low", "A bit.")


def test_an_unknown_service_is_named_and_the_list_is_pointed_to(api):
    answer = api.post(URL, {"service": "nope", "title": "Checkout is down", "severity": "critical"})
    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"
    message = "There is no service “nope”. GET /api/v1/services lists them."
    assert answer.data["errors"] == [{"field": "service", "message": message}]


def test_the_verbs_carry_an_incident_through(api, alice, incident):
    url = f"{URL}/{incident.number}"
    for verb, status in (
        ("acknowledge", "acknowledged"),
        ("start", "investigating"),
        ("remediate", "remediating"),
        ("resolve", "resolved"),
        ("close", "closed"),
    ):
        answer = api.post(f"{url}/{verb}", {"note": "Restarted."} if verb == "resolve" else None)
        assert (answer.status_code, answer.data["status"]) == (200, status)
    assert answer.data["acknowledged_by"]["email"] == alice.email
    assert answer.data["resolution_note"] == "Restarted."
    assert answer.data["verbs"] == []


def test_an_illegal_move_is_409_and_says_what_is_possible(api, incident):
    answer = api.post(f"{URL}/{incident.number}/close")
    assert answer.status_code == 409
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.data["code"] == "illegal_state_change"
    assert answer.data["detail"] == "This incident is triggered, so it cannot be closed. Acknowledge it first."


def test_escalating_pages_the_next_level(api, bob, incident):
    answer = api.post(f"{URL}/{incident.number}/escalate")
    assert (answer.status_code, answer.data["escalation_level"]) == (200, 2)
    assert Notification.objects.filter(user=bob).exists()


@pytest.mark.parametrize("name", ["email", "uuid"])
def test_reassigning_names_a_person_by_email_or_uuid(api, charlie, incident, name):
    answer = api.post(f"{URL}/{incident.number}/reassign", {"user": str(getattr(charlie, name))})
    assert answer.status_code == 200
    assert answer.data["assignee"] == {"uuid": str(charlie.uuid), "email": "charlie@example.com", "name": "Charlie"}
    assert Notification.objects.filter(user=charlie).exists()


def test_reassigning_to_nobody_we_know_is_400(api, incident):
    answer = api.post(f"{URL}/{incident.number}/reassign", {"user": "dave@example.com"})
    assert answer.status_code == 400
    assert "There is no person “dave@example.com”. GET /api/v1/users lists them." in answer.data["detail"]


def test_a_note_stands_in_the_notes_and_in_the_timeline(api, incident):
    answer = api.post(f"{URL}/{incident.number}/notes", {"text": "The disk is full."})
    assert (answer.status_code, answer.data["number"]) == (201, incident.number)
    (note,) = api.get(f"{URL}/{incident.number}/notes").data["results"]
    assert (note["text"], note["by"]["name"]) == ("The disk is full.", "Alice")
    assert api.get(f"{URL}/{incident.number}/timeline").data["results"][-1]["kind"] == "note"


def test_title_description_and_priority_can_be_edited_and_the_timeline_says_so(api, incident):
    changes = {"title": "Payments are down", "priority": "P3", "status": "closed"}
    answer = api.patch(f"{URL}/{incident.number}", changes)
    assert answer.status_code == 200
    assert answer.data["title"] == "Payments are down"
    assert (answer.data["priority"], answer.data["urgency"]) == ("P3", "low")
    assert answer.data["status"] == "triggered"  # an unknown field is ignored; only verbs move an incident
    last = api.get(f"{URL}/{incident.number}/timeline").data["results"][-1]
    assert (last["kind"], last["text"]) == ("edited", "Edited by Alice: title changed, priority is P3.")


def test_a_closed_incident_is_not_edited(api, service):
    closed = IncidentFactory(service=service, status="closed")
    assert api.patch(f"{URL}/{closed.number}", {"title": "New"}).status_code == 409


def test_responders_are_those_who_were_told_or_have_it(api, calls, alice, bob, charlie, incident):
    api.post(f"{URL}/{incident.number}/escalate")
    calls(charlie).post(f"{URL}/{incident.number}/acknowledge")
    people = api.get(f"{URL}/{incident.number}/responders").data
    assert [one["user"]["name"] for one in people] == ["Alice", "Bob", "Charlie"]
    assert [one["is_assignee"] for one in people] == [False, False, True]
    assert [one["channels"] for one in people] == [["email"], ["email"], []]
    assert people[0]["first_told_at"] == "2026-06-01T12:00:00Z"


def test_metrics_say_whether_the_target_was_met(api, service, now):
    taken = IncidentFactory(service=service, status="acknowledged")
    figures = api.get(f"{URL}/{taken.number}/metrics").data
    assert figures["time_to_acknowledge_seconds"] == 120
    assert (figures["target_seconds"], figures["target_met"]) == (180, True)


def test_the_summary_counts_what_the_filters_leave(api, service):
    IncidentFactory(service=service, status="acknowledged")
    IncidentFactory(service=service, status="resolved", severity="low")
    IncidentFactory()
    summary = api.get(f"{URL}/stats/summary").data
    assert (summary["total"], summary["open"]) == (3, 2)
    summary = api.get(f"{URL}/stats/summary?service=checkout").data
    assert summary["by_status"] == {"acknowledged": 1, "resolved": 1}
    assert summary["by_severity"] == {"critical": 1, "low": 1}
    assert (summary["mtta_seconds"], summary["mttr_seconds"], summary["target_compliance"]) == (120, 240, 1)


def test_filters_narrow_the_list(api, alice, service, now):
    mine = IncidentFactory(service=service, status="acknowledged", assignee=alice, title="Disk of db-1 is full")
    old = IncidentFactory(severity="low", status="resolved", triggered_at=now - dt.timedelta(days=3))
    new = IncidentFactory(severity="high")
    everything = {mine.number, old.number, new.number}
    for query, wanted in {
        "": everything,
        "status=open": {mine.number, new.number},
        "status=resolved,triggered": {old.number, new.number},
        "severity=low,high": {old.number, new.number},
        "priority=P1": {mine.number},
        "service=checkout": {mine.number},
        "team=shop": {mine.number},
        "assignee=alice@example.com": {mine.number},
        f"assignee={alice.uuid}": {mine.number},
        "q=DB-1": {mine.number},
        "since=2026-05-30T00:00:00Z": {mine.number, new.number},
        "until=2026-05-30T00:00:00Z": {old.number},
        "status=open&severity=high": {new.number},
    }.items():
        assert numbers(api.get(f"{URL}?{query}")) == wanted, query


@pytest.mark.parametrize(
    "query, sentence",
    [
        ("status=broken", "“broken” is not one of the words for this. Use open, triggered, acknowledged"),
        ("service=nope", "There is no service “nope”. GET /api/v1/services lists them."),
        ("team=nope", "There is no team “nope”. GET /api/v1/teams lists them."),
        ("assignee=nope", "There is no person “nope”. GET /api/v1/users lists them."),
        ("since=yesterday", "This is not a time. Write it like 2026-06-01T12:00:00Z"),
        ("since=2026-06-02T00:00:00Z&until=2026-06-01T00:00:00Z", "Choose a later time."),
    ],
)
@pytest.mark.parametrize("path", ["", "/stats/summary"])
def test_a_wrong_filter_is_400_with_a_sentence(api, path, query, sentence):
    answer = api.get(f"{URL}{path}?{query}")
    assert answer.status_code == 400
    assert sentence in answer.data["detail"]


def test_pages_go_on_where_the_last_one_ended(api, service):
    rows = [IncidentFactory(service=service).number for _ in range(5)]
    first = api.get(f"{URL}?page_size=3").data
    IncidentFactory(service=service)  # arrives in between
    second = api.get(first["next"]).data
    assert [one["number"] for one in first["results"] + second["results"]] == rows[::-1]
    assert second["next"] is None


def test_a_number_that_is_not_there_is_404(api):
    for number in ("1", "999999999999999999"):
        assert api.get(f"{URL}/{number}").status_code == 404
        assert api.post(f"{URL}/{number}/acknowledge").status_code == 404


# --- /api/v1/escalate -----------------------------------------------------------------------------------------


def test_escalate_with_a_number_calls_the_next_level_of_that_incident(api, bob, incident):
    answer = api.post("/api/v1/escalate", {"incident": incident.number})
    assert (answer.status_code, answer.data["escalation_level"]) == (200, 2)
    assert Notification.objects.filter(user=bob).exists()


def test_escalate_without_a_number_opens_an_incident(api, service):
    answer = api.post("/api/v1/escalate", {"service": "checkout", "title": "Call somebody", "severity": "high"})
    assert answer.status_code == 201
    assert Incident.objects.get().title == "Call somebody"
    assert Notification.objects.count() == 1


def test_escalate_with_too_little_says_what_is_missing(api, service):
    answer = api.post("/api/v1/escalate", {"service": "checkout"})
    assert answer.status_code == 400
    assert "Missing: title, severity." in answer.data["detail"]


def test_escalate_of_an_unknown_incident_is_404(api):
    answer = api.post("/api/v1/escalate", {"incident": 4711})
    assert (answer.status_code, answer.data["detail"]) == (404, "There is no incident #4711.")


def test_acknowledging_by_api_settles_the_page_of_the_caller(calls, alice, incident):
    NotificationFactory(topic=incident.topic, user=alice, contact_method=alice.contact_methods.get(), state="sent")
    calls(alice).post(f"{URL}/{incident.number}/acknowledge")
    assert set(Notification.objects.values_list("state", flat=True)) == {"cancelled", "acknowledged"}


def test_snoozing_takes_minutes_or_a_time(api, incident, soon):
    url = f"{URL}/{incident.pk}/snooze"
    answer = api.post(url, {"until": soon(1)})
    assert (answer.status_code, answer.data["snoozed_until"], answer.data["status"]) == (200, soon(1), "triggered")
    assert api.post(url, {"minutes": 30}).data["snoozed_until"] < soon(1)
    for wrong in ({}, {"minutes": 5, "until": soon(1)}, {"minutes": 0}, {"until": soon(-1)}, {"until": soon(24 * 8)}):
        assert api.post(url, wrong).status_code in (400, 409), wrong
