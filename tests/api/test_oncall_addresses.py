import datetime as dt

import pytest

from tests.factories import (
    NOW,
    AvailabilityFactory,
    LayerFactory,
    OverrideFactory,
    ParticipantFactory,
    ScheduleFactory,
    TimeOffFactory,
    UserFactory,
)

WEEKLY = {
    "name": "Primary",
    "unit": "week",
    "every": 1,
    "start_date": "2026-01-05",
    "handoff_time": "09:00",
    "participants": ["alice@example.com", "bob@example.com"],
}


@pytest.fixture
def schedule(team, alice, bob):
    """Alice has the week of Monday 1 June from 09:00; Bob has the next."""
    return ScheduleFactory(name="Shop on call", slug="shop-on-call", team=team, people=[bob, alice])


def names(people):
    return [one["name"] for one in people]


# --- schedules ------------------------------------------------------------------------------------------------


def test_a_schedule_is_made_with_its_layers(api, alice, bob, charlie):
    nights = {**WEEKLY, "name": "Nights", "unit": "day", "every": 2, "participants": [str(charlie.uuid)]}
    answer = api.post(
        "/api/v1/schedules",
        {"name": "Shop on call", "team": "shop", "time_zone": "Europe/Berlin", "layers": [WEEKLY, nights]},
    )
    assert answer.status_code == 201, answer.data
    assert answer.data["slug"] == "shop-on-call"
    primary, nights = answer.data["layers"]
    assert (primary["position"], nights["position"]) == (1, 2)
    assert names(primary["participants"]) == ["Alice", "Bob"]
    assert (nights["unit"], nights["every"], names(nights["participants"])) == ("day", 2, ["Charlie"])


def test_layers_are_replaced_as_a_whole_and_kept_when_left_out(api, schedule):
    answer = api.patch("/api/v1/schedules/shop-on-call", {"description": "Weeks."})
    assert len(answer.data["layers"]) == 1
    answer = api.patch("/api/v1/schedules/shop-on-call", {"layers": [WEEKLY, {**WEEKLY, "position": 7}]})
    assert [one["position"] for one in answer.data["layers"]] == [1, 7]
    assert api.put("/api/v1/schedules/shop-on-call", answer.data).data == answer.data


def test_a_schedule_that_a_policy_calls_stays(api, schedule):
    levels = [{"targets": [{"schedule": "shop-on-call"}]}]
    assert api.post("/api/v1/policies", {"name": "P", "team": "shop", "levels": levels}).status_code == 201
    answer = api.delete("/api/v1/schedules/shop-on-call")
    assert (answer.status_code, answer.data["code"]) == (409, "conflict")
    assert "Take it out of the policies that call it first." in answer.data["detail"]


def test_oncall_says_who_and_why_and_until_when(api, schedule):
    answer = api.get("/api/v1/schedules/shop-on-call/oncall?at=2026-06-01T12:00:00Z")
    assert answer.data["at"] == "2026-06-01T12:00:00Z"
    assert (answer.data["user"]["name"], answer.data["why"]) == ("Alice", "Shop on call, Layer 1")
    assert answer.data["until"] == "2026-06-08T09:00:00Z"
    assert answer.data["people"] == [
        {
            "user": answer.data["user"],
            "role": "PRIMARY",
            "why": "Shop on call, Layer 1",
            "via": "layer",
            "until": "2026-06-08T09:00:00Z",
            "instead_of": None,
            "is_off": False,
            "unavailable": "",
            "is_spare": False,
        }
    ]


def test_oncall_shows_every_role_and_who_is_off_or_cannot_be_called(api, schedule, bob, charlie):
    LayerFactory(schedule=schedule, role="SECONDARY", people=[charlie])
    AvailabilityFactory(user=charlie)
    OverrideFactory(schedule=schedule, user=bob)
    TimeOffFactory(user=bob)
    unknown = UserFactory(name="Eve")
    LayerFactory(schedule=schedule, role="SHADOW", people=[unknown])
    people = api.get("/api/v1/schedules/shop-on-call/oncall?at=2026-06-01T12:00:00Z").data["people"]
    assert [(one["user"]["name"], one["role"], one["via"], one["is_off"]) for one in people] == [
        ("Bob", "PRIMARY", "override", True),
        ("Charlie", "SECONDARY", "layer", False),
        ("Eve", "SHADOW", "layer", False),
    ]
    assert people[0]["instead_of"]["name"] == "Alice"
    assert [(one["unavailable"], one["is_spare"]) for one in people[1:]] == [
        ("Charlie is busy", True),
        ("Eve has no verified contact method", False),
    ]


def test_a_schedule_with_a_secondary_only_has_no_primary(api, team, bob):
    LayerFactory(schedule=ScheduleFactory(name="Spare", slug="spare", team=team), role="SECONDARY", people=[bob])
    answer = api.get("/api/v1/schedules/spare/oncall").data
    assert (answer["user"], answer["why"]) == (None, "nobody is primary in Spare")
    assert [one["user"]["name"] for one in answer["people"]] == ["Bob"]


def test_oncall_of_an_empty_schedule_says_that_nobody_is(api, team):
    ScheduleFactory(name="Empty", slug="empty", team=team)
    answer = api.get("/api/v1/schedules/empty/oncall")
    assert (answer.data["user"], answer.data["why"]) == (None, "nobody is on call in Empty")


def test_final_has_shifts_with_overrides_applied(api, schedule, bob):
    OverrideFactory(schedule=schedule, user=bob)  # 11:30 to 12:30
    answer = api.get("/api/v1/schedules/shop-on-call/final?start=2026-06-01T09:00:00Z&end=2026-06-09T00:00:00Z").data
    assert (answer["schedule"], answer["role"]) == ("shop-on-call", "PRIMARY")
    assert [(one["user"]["name"], one["start_at"]) for one in answer["shifts"]] == [
        ("Alice", "2026-06-01T09:00:00Z"),
        ("Bob", "2026-06-01T11:30:00Z"),
        ("Alice", "2026-06-01T12:30:00Z"),
        ("Bob", "2026-06-08T09:00:00Z"),
    ]
    (bobs,) = answer["shifts"][1]["people"]
    assert (bobs["via"], bobs["instead_of"]["name"]) == ("override", "Alice")


def test_final_of_a_role_has_its_gaps_and_all_people_of_a_slot(api, schedule, alice, charlie):
    layer = LayerFactory(schedule=schedule, role="SECONDARY", ends_at=NOW)
    for user in (charlie, alice):
        ParticipantFactory(layer=layer, user=user, position=0)
    query = "start=2026-06-01T09:00:00Z&end=2026-06-02T00:00:00Z&role=SECONDARY"
    both, gap = api.get(f"/api/v1/schedules/shop-on-call/final?{query}").data["shifts"]
    assert names([one["user"] for one in both["people"]]) == ["Charlie", "Alice"]
    assert both["user"]["name"] == "Charlie"
    assert (gap["start_at"], gap["user"], gap["people"]) == ("2026-06-01T12:00:00Z", None, [])
    assert gap["why"] == "nobody is on call in Shop on call"


@pytest.mark.parametrize(
    "query, sentence",
    [
        ("start=2026-06-02T00:00:00Z&end=2026-06-01T00:00:00Z", "Choose a later end."),
        ("start=2026-06-01T00:00:00Z&end=2028-06-01T00:00:00Z", "Ask for at most 400 days at a time."),
        ("start=soon", "This is not a time. Write it like 2026-06-01T12:00:00Z."),
        ("start=0001-01-01T00:00:00Z", "Use a time between 1990 and 2100."),
        ("role=BOSS", "is not a valid choice."),
    ],
)
def test_a_wrong_span_is_400_with_a_sentence(api, schedule, query, sentence):
    answer = api.get(f"/api/v1/schedules/shop-on-call/final?{query}")
    assert answer.status_code == 400
    assert sentence in answer.data["detail"]


# --- policies -------------------------------------------------------------------------------------------------


def test_a_policy_is_made_with_levels_and_targets(api, schedule, charlie):
    levels = [
        {"delay_minutes": 3, "targets": [{"schedule": "shop-on-call"}, {"user": "charlie@example.com"}]},
        {"targets": [{"user": str(charlie.uuid)}, {"schedule": "shop-on-call", "role": "SECONDARY"}]},
    ]
    answer = api.post("/api/v1/policies", {"name": "Shop pages", "team": "shop", "repeats": 1, "levels": levels})
    assert answer.status_code == 201, answer.data
    first, second = answer.data["levels"]
    assert (first["number"], first["delay_minutes"], second["number"], second["delay_minutes"]) == (1, 3, 2, 5)
    assert [one["schedule"] for one in first["targets"]] == ["shop-on-call", None]
    assert first["targets"][1]["user"]["name"] == "Charlie"
    assert [one["role"] for one in second["targets"]] == ["PRIMARY", "SECONDARY"]


@pytest.mark.parametrize(
    "fields, sentence",
    [
        ({"levels": [{"targets": []}]}, "This level calls nobody. Add a user or a schedule, or leave the level out."),
        ({"levels": [{"targets": [{}]}]}, "Give one of the two."),
        ({"levels": [{"targets": [{"schedule": "nope"}]}]}, "There is no schedule “nope”."),
        ({"levels": [{"targets": [{"user": "bob@example.com", "role": "SHADOW"}]}]}, "is not a valid choice"),
        ({"nobody_action": "fallback"}, "Name the person to page when nobody is on call"),
        ({"is_team_default": True}, "“shop” is the default of this team. Set it to false there first."),
    ],
)
def test_a_policy_that_cannot_work_is_400(api, service, fields, sentence):
    assert api.patch("/api/v1/policies/shop", {"is_team_default": True}).status_code == 200
    answer = api.post("/api/v1/policies", {"name": "Other", "team": "shop", **fields})
    assert answer.status_code == 400
    assert sentence in answer.data["detail"]


def test_a_team_has_many_policies_and_one_default(api, service):
    api.patch("/api/v1/policies/shop", {"is_team_default": True})
    assert api.post("/api/v1/policies", {"name": "Other", "team": "shop"}).status_code == 201
    assert api.patch("/api/v1/policies/shop", {"repeats": 0, "is_team_default": True}).status_code == 200


def test_policies_are_found_by_team_and_by_person(api, service, bob):
    assert len(api.get("/api/v1/policies?team=shop&user=bob@example.com").data["results"]) == 1
    assert api.get("/api/v1/policies?user=charlie@example.com").status_code == 400


def test_a_time_without_an_offset_is_utc(api, schedule):
    at = dt.datetime(2026, 6, 1, 12).isoformat()
    assert api.get(f"/api/v1/schedules/shop-on-call/oncall?at={at}").data["at"] == "2026-06-01T12:00:00Z"
