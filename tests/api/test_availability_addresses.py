"""Time off and availability: everybody's own, and that of others for who leads them."""

import pytest

from accounts.models import Role
from tests.factories import AvailabilityFactory, MembershipFactory, TimeOffFactory, UserFactory

OFF = "/api/v1/time-off"
URL = "/api/v1/availability"


@pytest.fixture
def lead(team):
    """Admin of the team Shop, and a responder otherwise."""
    user = UserFactory(name="Lea", email="lea@example.com")
    MembershipFactory(team=team, user=user, role=Role.ADMIN)
    return user


def refusal(answer, status=400):
    assert answer.status_code == status, answer.data
    return answer.data["detail"]


# --- time off -------------------------------------------------------------------------------------------------


def test_a_responder_writes_down_changes_and_takes_back_their_own(calls, bob, soon):
    api = calls(bob)
    made = api.post(OFF, {"start_at": soon(24), "end_at": soon(48), "reason": "Holiday"})
    assert made.status_code == 201, made.data
    assert (made.data["user"]["name"], made.data["reason"]) == ("Bob", "Holiday")
    one = f"{OFF}/{made.data['id']}"
    assert api.get(one).data == made.data
    changed = api.patch(one, {"end_at": soon(60)})
    assert (changed.status_code, changed.data["end_at"]) == (200, soon(60))
    assert api.put(one, changed.data).data == changed.data
    assert api.delete(one).status_code == 204
    assert api.get(OFF).data["results"] == []


def test_that_of_others_is_for_admins_and_who_leads_their_team(calls, alice, bob, charlie, lead, soon):
    span = {"start_at": soon(24), "end_at": soon(48)}
    row = TimeOffFactory(user=bob, start_at=soon(24), end_at=soon(48))
    for answer in (
        calls(charlie).post(OFF, {**span, "user": bob.email}),
        calls(charlie).patch(f"{OFF}/{row.uuid}", {"reason": "x"}),
        calls(charlie).delete(f"{OFF}/{row.uuid}"),
        calls(lead).post(OFF, {**span, "user": charlie.email}),
    ):
        assert "an admin of their team or an admin may change this." in refusal(answer, 403)
    for user in (alice, lead):
        made = calls(user).post(OFF, {**span, "user": bob.email})
        assert (made.status_code, made.data["created_by"]["name"]) == (201, user.name)
        assert calls(user).delete(f"{OFF}/{made.data['id']}").status_code == 204


@pytest.mark.parametrize(
    "fields, sentence",
    [
        ({"end_at": 24}, "The time off ends before it starts. Choose a later end."),
        ({"start_at": -48, "end_at": -24}, "This time is over, and history does not change. Choose a later end."),
        ({"end_at": 24 * 500}, "The time off lasts longer than 400 days. Choose an earlier end."),
        ({"user": "eve@example.com"}, "There is no person “eve@example.com”."),
        ({"user": "gone@example.com"}, "Gone is deactivated. Choose somebody else."),
    ],
)
def test_time_off_that_cannot_be_is_400(api, soon, fields, sentence):
    UserFactory(name="Gone", email="gone@example.com", is_active=False)
    body = {"start_at": 24, "end_at": 48, **fields}
    body |= {"start_at": soon(body["start_at"]), "end_at": soon(body["end_at"])}
    assert sentence in refusal(api.post(OFF, body))


def test_time_off_that_runs_keeps_its_start_and_what_is_over_stays(api, bob, soon):
    running = TimeOffFactory(user=bob, start_at=soon(-2), end_at=soon(2))
    over = TimeOffFactory(user=bob, start_at=soon(-6), end_at=soon(-4))
    assert "so only its end and its reason can change" in refusal(
        api.patch(f"{OFF}/{running.uuid}", {"start_at": soon(1)}), 409
    )
    assert api.patch(f"{OFF}/{running.uuid}", {"end_at": soon(1), "reason": "Flu"}).status_code == 200
    assert "history does not change" in refusal(api.patch(f"{OFF}/{over.uuid}", {"reason": "x"}), 409)
    assert refusal(api.delete(f"{OFF}/{over.uuid}"), 409) == "This time off is over, and history does not change."
    assert api.delete(f"{OFF}/{running.uuid}").status_code == 204
    assert api.get(f"{OFF}/{running.uuid}").data["end_at"] < soon(0.5)


def test_time_off_stays_that_of_its_person(api, bob, charlie, soon):
    row = TimeOffFactory(user=bob, start_at=soon(24), end_at=soon(48))
    sentence = refusal(api.patch(f"{OFF}/{row.uuid}", {"user": charlie.email}))
    assert "Delete it, and add one for somebody else." in sentence


def test_time_off_is_found_by_person_team_and_time(api, bob, charlie):
    TimeOffFactory(user=bob)
    TimeOffFactory(user=charlie)
    for query, count in {
        "": 2,
        "user=charlie@example.com": 1,
        "team=shop": 1,
        "since=2026-06-03T00:00:00Z": 0,
        "since=2026-06-01T00:00:00Z&until=2026-06-02T00:00:00Z": 2,
    }.items():
        assert len(api.get(f"{OFF}?{query}").data["results"]) == count, query


# --- availability ---------------------------------------------------------------------------------------------


def test_everybody_is_available_until_they_say_otherwise(calls, alice, bob, soon):
    api = calls(bob)
    assert [(one["user"]["name"], one["status"]) for one in api.get(URL).data["results"]] == [
        ("Alice", "available"),
        ("Bob", "available"),
    ]
    said = api.put(f"{URL}/me", {"status": "away", "until_at": soon(2), "note": "Lunch"})
    assert said.status_code == 200, said.data
    assert (said.data["status"], said.data["until_at"], said.data["note"]) == ("away", soon(2), "Lunch")
    assert said.data["since_at"]
    assert api.get(f"{URL}/{bob.uuid}").data == said.data
    assert api.put(f"{URL}/{bob.uuid}", said.data).data == said.data
    assert api.put(f"{URL}/me", {"status": "available"}).data["until_at"] is None


def test_what_is_over_is_shown_no_more(api, bob, soon):
    AvailabilityFactory(user=bob, until_at=soon(-1), note="In the air")
    shown = api.get(f"{URL}/{bob.uuid}").data
    assert (shown["status"], shown["since_at"], shown["until_at"], shown["note"]) == ("available", soon(-1), None, "")


@pytest.mark.parametrize(
    "body, sentence",
    [
        ({"status": "away"}, "Say until when you are away."),
        ({"status": "busy", "until_at": -1}, "This time is over. Choose a later one, or leave it empty."),
        ({"status": "asleep"}, "is not a valid choice."),
        ({"status": "busy", "note": "x" * 201}, "no more than 200 characters"),
        ({}, "This field is required."),
    ],
)
def test_an_availability_that_cannot_be_is_400(api, soon, body, sentence):
    if "until_at" in body:
        body = body | {"until_at": soon(body["until_at"])}
    assert sentence in refusal(api.put(f"{URL}/me", body))


def test_that_of_others_is_set_by_who_leads_them(calls, alice, bob, charlie, lead):
    for user, person, status in (
        (alice, charlie, 200),
        (lead, bob, 200),
        (lead, charlie, 403),
        (charlie, bob, 403),
        (UserFactory(role=Role.OBSERVER), bob, 403),
    ):
        assert calls(user).put(f"{URL}/{person.uuid}", {"status": "busy"}).status_code == status


def test_availability_is_found_by_team(api, bob, charlie):
    UserFactory(is_active=False)
    assert [one["user"]["name"] for one in api.get(f"{URL}?team=shop").data["results"]] == ["Alice", "Bob"]
    assert len(api.get(URL).data["results"]) == 3
