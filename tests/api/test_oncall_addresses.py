import datetime as dt

import pytest

from oncall.models import Override, Schedule
from tests.factories import OverrideFactory, ScheduleFactory

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


@pytest.mark.parametrize(
    "layers, sentence",
    [
        ([{**WEEKLY, "participants": []}], "This layer has no participants. Add one, or leave the layer out."),
        ([{**WEEKLY, "participants": ["dave@example.com"]}], "There is no person “dave@example.com”."),
        ([{**WEEKLY, "start_date": "9999-12-31"}], "Use a day between 1990 and 2100."),
        ([WEEKLY, {**WEEKLY, "position": 1}], "Two layers have the same position"),
        ([{**WEEKLY, "every": 0}], "greater than or equal to 1"),
    ],
)
def test_a_layer_that_cannot_work_is_400_and_nothing_changes(api, schedule, layers, sentence):
    answer = api.patch("/api/v1/schedules/shop-on-call", {"name": "New", "layers": layers})
    assert answer.status_code == 400
    assert sentence in answer.data["detail"]
    assert Schedule.objects.get().name == "Shop on call"


def test_a_schedule_that_a_policy_calls_stays(api, schedule):
    levels = [{"targets": [{"schedule": "shop-on-call"}]}]
    assert api.post("/api/v1/policies", {"name": "P", "team": "shop", "levels": levels}).status_code == 201
    answer = api.delete("/api/v1/schedules/shop-on-call")
    assert (answer.status_code, answer.data["code"]) == (409, "conflict")
    assert "Take it out of the policies that call it first." in answer.data["detail"]


def test_oncall_says_who_and_why_and_until_when(api, schedule):
    answer = api.get("/api/v1/schedules/shop-on-call/oncall?at=2026-06-01T12:00:00Z")
    assert answer.data == {
        "schedule": "shop-on-call",
        "at": "2026-06-01T12:00:00Z",
        "user": {**answer.data["user"], "name": "Alice"},
        "why": "Shop on call, Layer 1",
        "until": "2026-06-08T09:00:00Z",
    }


def test_oncall_of_an_empty_schedule_says_that_nobody_is(api, team):
    ScheduleFactory(name="Empty", slug="empty", team=team)
    answer = api.get("/api/v1/schedules/empty/oncall")
    assert (answer.data["user"], answer.data["why"]) == (None, "nobody is on call in Empty")


def test_final_has_shifts_with_overrides_applied(api, schedule, bob):
    OverrideFactory(schedule=schedule, user=bob)  # 11:30 to 12:30
    answer = api.get("/api/v1/schedules/shop-on-call/final?start=2026-06-01T09:00:00Z&end=2026-06-09T00:00:00Z")
    assert [(one["user"]["name"], one["start_at"]) for one in answer.data["shifts"]] == [
        ("Alice", "2026-06-01T09:00:00Z"),
        ("Bob", "2026-06-01T11:30:00Z"),
        ("Alice", "2026-06-01T12:30:00Z"),
        ("Bob", "2026-06-08T09:00:00Z"),
    ]


@pytest.mark.parametrize(
    "query, sentence",
    [
        ("start=2026-06-02T00:00:00Z&end=2026-06-01T00:00:00Z", "Choose a later end."),
        ("start=2026-06-01T00:00:00Z&end=2028-06-01T00:00:00Z", "Ask for at most 400 days at a time."),
        ("start=soon", "This is not a time. Write it like 2026-06-01T12:00:00Z."),
        ("start=0001-01-01T00:00:00Z", "Use a time between 1990 and 2100."),
    ],
)
def test_a_wrong_span_is_400_with_a_sentence(api, schedule, query, sentence):
    answer = api.get(f"/api/v1/schedules/shop-on-call/final?{query}")
    assert answer.status_code == 400
    assert sentence in answer.data["detail"]


def test_a_responder_takes_a_span_and_gives_it_back(calls, schedule, bob):
    api = calls(bob)
    span = {"start_at": "2026-06-02T08:00:00+02:00", "end_at": "2026-06-02T20:00:00+02:00", "reason": "Dentist"}
    made = api.post("/api/v1/schedules/shop-on-call/overrides", {"user": "bob@example.com", **span})
    assert made.status_code == 201, made.data
    assert (made.data["start_at"], made.data["created_by"]["name"]) == ("2026-06-02T06:00:00Z", "Bob")
    at = "/api/v1/schedules/shop-on-call/oncall?at=2026-06-02T12:00:00Z"
    assert api.get(at).data["user"]["name"] == "Bob"
    (listed,) = api.get("/api/v1/schedules/shop-on-call/overrides").data["results"]
    assert api.delete(f"/api/v1/schedules/shop-on-call/overrides/{listed['id']}").status_code == 204
    assert api.get(at).data["user"]["name"] == "Alice"


def test_an_override_that_ends_before_it_starts_is_400(api, schedule):
    span = {"start_at": "2026-06-02T08:00:00Z", "end_at": "2026-06-02T08:00:00Z", "user": "bob@example.com"}
    answer = api.post("/api/v1/schedules/shop-on-call/overrides", span)
    assert answer.status_code == 400
    assert "Choose a later end." in answer.data["detail"]


def test_an_override_of_another_schedule_is_not_deleted(api, schedule):
    other = OverrideFactory()
    assert api.delete(f"/api/v1/schedules/shop-on-call/overrides/{other.pk}").status_code == 404
    assert Override.objects.exists()


# --- policies -------------------------------------------------------------------------------------------------


def test_a_policy_is_made_with_levels_and_targets(api, schedule, charlie):
    levels = [
        {"delay_minutes": 3, "targets": [{"schedule": "shop-on-call"}, {"user": "charlie@example.com"}]},
        {"targets": [{"user": str(charlie.uuid)}]},
    ]
    answer = api.post("/api/v1/policies", {"name": "Shop pages", "team": "shop", "repeats": 1, "levels": levels})
    assert answer.status_code == 201, answer.data
    first, second = answer.data["levels"]
    assert (first["number"], first["delay_minutes"], second["number"], second["delay_minutes"]) == (1, 3, 2, 5)
    assert [one["schedule"] for one in first["targets"]] == ["shop-on-call", None]
    assert first["targets"][1]["user"]["name"] == "Charlie"


@pytest.mark.parametrize(
    "fields, sentence",
    [
        ({"levels": [{"targets": []}]}, "This level calls nobody. Add a user or a schedule, or leave the level out."),
        ({"levels": [{"targets": [{}]}]}, "Give one of the two."),
        ({"levels": [{"targets": [{"schedule": "nope"}]}]}, "There is no schedule “nope”."),
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


# --- who is on call now ---------------------------------------------------------------------------------------


def test_current_shows_every_team_with_a_schedule(api, schedule):
    ScheduleFactory(name="Other", slug="other")
    answer = api.get("/api/v1/oncall/current?at=2026-06-01T12:00:00Z").data
    assert answer["service"] is None
    shop = next(one for one in answer["teams"] if one["team"] == "shop")
    assert [(one["schedule"], one["user"]["name"]) for one in shop["schedules"]] == [("shop-on-call", "Alice")]
    assert len(answer["teams"]) == 2
    assert len(api.get("/api/v1/oncall/current?team=shop").data["teams"]) == 1


def test_current_of_a_service_shows_whom_each_level_would_call_and_why(api, schedule, service):
    levels = [
        {"targets": [{"schedule": "shop-on-call"}]},
        {"targets": [{"user": "bob@example.com"}], "delay_minutes": 9},
    ]
    api.patch("/api/v1/policies/shop", {"levels": levels})
    answer = api.get("/api/v1/oncall/current?service=checkout&at=2026-06-01T12:00:00Z").data
    assert answer["teams"] == []
    assert answer["service"]["policy"] == "Shop"
    first, second = answer["service"]["levels"]
    assert [(one["user"]["name"], one["why"]) for one in first["calls"]] == [
        ("Alice", "on call: Shop on call, Layer 1")
    ]
    assert (second["delay_minutes"], second["calls"][0]["why"]) == (9, "named in the policy")


def test_current_of_an_unknown_service_or_team_is_400(api):
    for query, sentence in (
        ("service=nope", "There is no service “nope”. GET /api/v1/services lists them."),
        ("team=nope", "There is no team “nope”. GET /api/v1/teams lists them."),
        ("at=noon", "This is not a time."),
    ):
        answer = api.get(f"/api/v1/oncall/current?{query}")
        assert answer.status_code == 400
        assert sentence in answer.data["detail"]


def test_a_time_without_an_offset_is_utc(api, schedule):
    at = dt.datetime(2026, 6, 1, 12).isoformat()
    assert api.get(f"/api/v1/schedules/shop-on-call/oncall?at={at}").data["at"] == "2026-06-01T12:00:00Z"
