"""Fixed shifts at `on-call`: written down for one person, on top of the rotations."""

import pytest

from oncall.models import FixedShift
from tests.factories import (
    CalendarImportFactory,
    FixedShiftFactory,
    ScheduleFactory,
    TeamFactory,
    UserFactory,
)

URL = "/api/v1/on-call"


@pytest.fixture
def schedule(team, alice, bob):
    return ScheduleFactory(name="Shop on call", slug="shop-on-call", team=team, people=[bob, alice])


@pytest.fixture
def body(schedule, soon):
    """Bob, tomorrow for twelve hours."""
    return {"schedule": "shop-on-call", "user": "bob@example.com", "start_at": soon(24), "end_at": soon(36)}


def refusal(answer, status=400):
    assert answer.status_code == status, answer.data
    return answer.data["detail"]


def test_a_responder_makes_reads_changes_and_deletes_a_shift(calls, bob, charlie, body, soon):
    api = calls(bob)
    made = api.post(URL, {**body, "priority": "SECONDARY", "note": "Release"})
    assert made.status_code == 201, made.data
    assert (made.data["schedule"], made.data["team"], made.data["priority"]) == ("shop-on-call", "shop", "SECONDARY")
    assert (made.data["user"]["name"], made.data["created_by"]["name"], made.data["calendar"]) == ("Bob", "Bob", None)
    one = f"{URL}/{made.data['id']}"
    assert api.get(one).data == made.data
    changed = api.patch(one, {"user": str(charlie.uuid), "priority": "PRIMARY", "end_at": soon(30)})
    assert changed.status_code == 200, changed.data
    assert (changed.data["user"]["name"], changed.data["priority"], changed.data["end_at"]) == (
        "Charlie",
        "PRIMARY",
        soon(30),
    )
    assert api.put(one, changed.data).data == changed.data
    assert api.get(f"/api/v1/schedules/shop-on-call/oncall?at={soon(25)}").data["why"] == (
        "fixed shift in Shop on call"
    )
    assert api.delete(one).status_code == 204
    assert api.get(one).status_code == 404


def test_the_team_is_enough_where_it_has_one_schedule(api, body):
    body["team"] = "shop"
    del body["schedule"]
    assert api.post(URL, body).data["schedule"] == "shop-on-call"


@pytest.mark.parametrize(
    "given, sentence",
    [
        ({"schedule": None, "team": "shop"}, "may not be null"),
        ({}, "Name the schedule, or the team if it has only one."),
        ({"team": "shop"}, "The team “shop” has 2 schedules. Name one as “schedule”: shop-nights, shop-on-call."),
        ({"team": "empty"}, "The team “empty” has no schedule. Make one first."),
        ({"schedule": "shop-on-call", "team": "empty"}, "is of the team “shop”. Leave the team out."),
        ({"schedule": "nope"}, "There is no schedule “nope”."),
    ],
)
def test_a_shift_of_no_schedule_or_of_several_is_400(api, body, team, given, sentence):
    ScheduleFactory(name="Shop nights", slug="shop-nights", team=team)
    TeamFactory(slug="empty")
    del body["schedule"]
    assert sentence in refusal(api.post(URL, body | given))


@pytest.mark.parametrize(
    "fields, sentence",
    [
        ({"end_at": 24}, "The shift ends before it starts. Choose a later end."),
        ({"end_at": 12}, "The shift ends before it starts. Choose a later end."),
        ({"start_at": -24, "end_at": -12}, "This time is over, and history does not change. Choose a later end."),
        ({"end_at": 24 * 500}, "The shift lasts longer than 400 days. Choose an earlier end."),
        ({"user": "gone@example.com"}, "Gone is deactivated. Choose somebody else."),
        ({"user": "eve@example.com"}, "There is no person “eve@example.com”."),
        ({"priority": "BOSS"}, "is not a valid choice."),
        ({"start_at": 40, "end_at": 60}, "already has a fixed shift in this schedule at that time."),
    ],
)
def test_a_shift_that_cannot_work_is_400(api, schedule, bob, body, soon, fields, sentence):
    UserFactory(name="Gone", email="gone@example.com", is_active=False)
    FixedShiftFactory(schedule=schedule, user=bob, start_at=soon(48), end_at=soon(72))
    body |= {name: soon(value) if isinstance(value, int) else value for name, value in fields.items()}
    answer = api.post(URL, body)
    assert sentence in refusal(answer)
    assert answer.data["errors"][0]["field"] in ("user", "priority", "end_at", "")
    assert FixedShift.objects.count() == 1


def test_a_shift_is_not_moved_onto_another_of_the_same_person(api, schedule, bob, body, soon):
    FixedShiftFactory(schedule=schedule, user=bob, start_at=soon(48), end_at=soon(72))
    one = f"{URL}/{api.post(URL, body).data['id']}"
    sentence = refusal(api.patch(one, {"end_at": soon(50)}))
    assert "Change that one, or choose another time." in sentence


def test_a_shift_stays_in_its_schedule(api, team, body):
    ScheduleFactory(slug="shop-nights", team=team)
    one = f"{URL}/{api.post(URL, body).data['id']}"
    sentence = refusal(api.patch(one, {"schedule": "shop-nights"}))
    assert "Delete it, and add one to the other schedule." in sentence
    assert api.patch(one, {"team": "shop", "schedule": "shop-on-call"}).status_code == 200


def test_a_running_shift_changes_its_end_only_and_one_that_is_over_stays(api, schedule, bob, charlie, soon):
    running = FixedShiftFactory(schedule=schedule, user=bob, start_at=soon(-2), end_at=soon(2))
    over = FixedShiftFactory(schedule=schedule, user=bob, start_at=soon(-6), end_at=soon(-4))
    sentence = refusal(api.patch(f"{URL}/{running.uuid}", {"user": charlie.email}), 409)
    assert sentence.startswith("This shift is running, so only its end and its note can change.")
    assert api.patch(f"{URL}/{running.uuid}", {"end_at": soon(1)}).status_code == 200
    assert "This shift is over" in refusal(api.patch(f"{URL}/{over.uuid}", {"note": "x"}), 409)
    assert "This shift is over" in refusal(api.delete(f"{URL}/{over.uuid}"), 409)
    assert api.delete(f"{URL}/{running.uuid}").status_code == 204
    assert api.get(f"{URL}/{running.uuid}").data["end_at"] < soon(0.5)  # it ended now


def test_a_shift_of_an_imported_calendar_is_changed_there(api, schedule, bob, soon):
    calendar = CalendarImportFactory(name="Rota", schedule=schedule)
    shift = FixedShiftFactory(
        schedule=schedule, user=bob, start_at=soon(24), end_at=soon(36), calendar=calendar, calendar_uid="1"
    )
    one = f"{URL}/{shift.uuid}"
    assert api.get(one).data["calendar"] == str(calendar.uuid)
    for answer in (api.patch(one, {"note": "x"}), api.put(one, api.get(one).data), api.delete(one)):
        assert refusal(answer, 409) == "This shift comes from the calendar Rota. Change it there."


def test_shifts_are_found_by_team_schedule_person_priority_and_time(api, schedule, bob, charlie):
    FixedShiftFactory(schedule=schedule, user=bob)  # 11:30 to 12:30
    FixedShiftFactory(schedule=schedule, user=charlie, role="TERTIARY")
    FixedShiftFactory(user=bob)
    for query, count in {
        "": 3,
        "team=shop": 2,
        "schedule=shop-on-call": 2,
        "user=bob@example.com": 2,
        "priority=TERTIARY,SHADOW": 1,
        "since=2026-06-01T12:30:00Z": 0,
        "until=2026-06-01T11:30:00Z": 0,
        "since=2026-06-01T12:00:00Z&until=2026-06-01T12:10:00Z": 3,
    }.items():
        assert len(api.get(f"{URL}?{query}").data["results"]) == count, query


def test_an_observer_makes_no_shift(calls, body):
    assert calls(UserFactory(role="observer")).post(URL, body).status_code == 403


def test_the_same_post_twice_with_a_key_makes_one_shift(api, body):
    first, second = (api.post(URL, body, headers={"Idempotency-Key": "k1"}) for _ in range(2))
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()
    assert FixedShift.objects.count() == 1
