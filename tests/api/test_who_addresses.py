"""Who is on call: for teams, services and schedules; whom an escalation calls; the shift before and after."""

import pytest

from tests.factories import (
    AvailabilityFactory,
    FixedShiftFactory,
    LayerFactory,
    ScheduleFactory,
    TeamFactory,
    UserFactory,
)

AT = "at=2026-06-01T12:00:00Z"


@pytest.fixture
def schedule(team, alice, bob):
    """Alice has the week of Monday 1 June from 09:00; Bob has the next, and is secondary always."""
    made = ScheduleFactory(name="Shop on call", slug="shop-on-call", team=team, people=[bob, alice])
    LayerFactory(schedule=made, role="SECONDARY", people=[bob])
    return made


@pytest.fixture
def levels(api, service, schedule):
    """The policy of checkout calls the schedule, then its secondary and Charlie."""
    answer = api.patch(
        "/api/v1/policies/shop",
        {
            "levels": [
                {"targets": [{"schedule": "shop-on-call"}]},
                {
                    "targets": [{"schedule": "shop-on-call", "role": "SECONDARY"}, {"user": "alice@example.com"}],
                    "delay_minutes": 9,
                },
            ]
        },
    )
    assert answer.status_code == 200


def called(people):
    return [(one["user"] and one["user"]["name"], one["why"]) for one in people]


# --- oncall/current -------------------------------------------------------------------------------------------


def test_current_shows_every_team_with_a_schedule(api, schedule):
    ScheduleFactory(name="Other", slug="other")
    answer = api.get("/api/v1/oncall/current?at=2026-06-01T12:00:00Z").data
    assert answer["service"] is None
    shop = next(one for one in answer["teams"] if one["team"] == "shop")
    assert [(one["schedule"], one["user"]["name"]) for one in shop["schedules"]] == [("shop-on-call", "Alice")]
    assert len(answer["teams"]) == 2
    assert len(api.get("/api/v1/oncall/current?team=shop").data["teams"]) == 1


def test_current_of_a_service_shows_whom_each_level_would_call_and_why(api, levels):
    answer = api.get("/api/v1/oncall/current?service=checkout&at=2026-06-01T12:00:00Z").data
    assert answer["teams"] == []
    assert answer["service"]["policy"] == "Shop"
    first, second = answer["service"]["levels"]
    assert called(first["calls"]) == [("Alice", "on call: Shop on call, Layer 1")]
    assert second["delay_minutes"] == 9
    assert called(second["calls"]) == [
        ("Bob", "on call: Shop on call, Layer 1, as secondary"),
        ("Alice", "named in the policy"),
    ]
    assert [one["via"] for one in second["calls"]] == ["layer", "policy"]
    assert [one["target"] for one in second["calls"]] == ["Shop on call (secondary)", "Alice"]


def test_current_of_an_unknown_service_or_team_is_400(api):
    for query, sentence in (
        ("service=nope", "There is no service “nope”. GET /api/v1/services lists them."),
        ("team=nope", "There is no team “nope”. GET /api/v1/teams lists them."),
        ("at=noon", "This is not a time."),
    ):
        answer = api.get(f"/api/v1/oncall/current?{query}")
        assert answer.status_code == 400
        assert sentence in answer.data["detail"]


def test_current_of_a_service_says_where_a_level_means_nobody(api, service, team):
    empty = ScheduleFactory(name="Empty", slug="empty", team=team)
    api.patch("/api/v1/policies/shop", {"levels": [{"targets": [{"schedule": empty.slug}]}]})
    (level,) = api.get("/api/v1/oncall/current?service=checkout").data["service"]["levels"]
    (nobody,) = level["calls"]
    assert (nobody["user"], nobody["unavailable"]) == (None, "nobody is on call in Empty")


# --- on-call/find-current -------------------------------------------------------------------------------------


@pytest.mark.parametrize("subject", ["team=shop", "schedule=shop-on-call", "service=checkout"])
def test_find_current_is_the_person_to_call_first_and_everybody(api, levels, subject):
    answer = api.get(f"/api/v1/on-call/find-current?{subject}&{AT}").data
    assert (answer["user"]["name"], answer["role"], answer["at"]) == ("Alice", "PRIMARY", "2026-06-01T12:00:00Z")
    assert answer["until"] == "2026-06-08T09:00:00Z"
    assert [one["user"]["name"] for one in answer["people"]][:2] == ["Alice", "Bob"]


def test_find_current_passes_over_who_is_busy_and_says_so(api, schedule, alice):
    AvailabilityFactory(user=alice, note="in the air")
    answer = api.get(f"/api/v1/on-call/find-current?team=shop&{AT}").data
    assert (answer["user"]["name"], answer["role"]) == ("Bob", "SECONDARY")
    assert answer["people"][0]["unavailable"] == "Alice is busy (in the air)"


def test_find_current_names_who_is_busy_when_nobody_else_can_be_called(api, schedule, alice, bob):
    AvailabilityFactory(user=alice)
    bob.is_active = False
    bob.save()
    answer = api.get(f"/api/v1/on-call/find-current?team=shop&{AT}").data
    assert answer["user"]["name"] == "Alice"
    assert [one["unavailable"] for one in answer["people"]] == ["Alice is busy", "Bob is deactivated"]


def test_find_current_says_why_there_is_nobody(api, team):
    empty = ScheduleFactory(name="Empty", slug="empty", team=team)
    answer = api.get("/api/v1/on-call/find-current?schedule=empty").data
    assert (answer["user"], answer["why"]) == (None, "nobody is on call for Empty")
    LayerFactory(schedule=empty, people=[UserFactory(name="Eve")])
    answer = api.get("/api/v1/on-call/find-current?schedule=empty").data
    assert answer["user"] is None
    assert answer["why"] == ("nobody who is on call for Empty can be reached: Eve has no verified contact method")


def test_a_shadow_is_never_the_person_to_call(api, team, bob):
    LayerFactory(schedule=ScheduleFactory(slug="empty", team=team), role="SHADOW", people=[bob])
    answer = api.get("/api/v1/on-call/find-current?schedule=empty").data
    assert answer["user"] is None
    assert [one["role"] for one in answer["people"]] == ["SHADOW"]


@pytest.mark.parametrize("query", ["", "team=shop&service=checkout"])
@pytest.mark.parametrize("path", ["find-current", "escalation-chain"])
def test_asking_for_none_or_for_several_is_400(api, service, path, query):
    answer = api.get(f"/api/v1/on-call/{path}?{query}")
    assert answer.status_code == 400
    assert "Name exactly one" in answer.data["detail"]


# --- on-call/escalation-chain ---------------------------------------------------------------------------------


def test_the_chain_of_a_service_is_level_by_level_with_reasons(api, levels, bob):
    AvailabilityFactory(user=bob)
    answer = api.get(f"/api/v1/on-call/escalation-chain?service=checkout&{AT}").data
    assert (answer["service"], answer["team"], answer["policy"], answer["repeats"]) == ("checkout", "shop", "Shop", 2)
    assert [(one["number"], one["delay_minutes"]) for one in answer["levels"]] == [(1, 5), (2, 9)]
    assert [(one["user"]["name"], one["unavailable"], one["is_spare"]) for one in answer["people"]] == [
        ("Alice", "", False),
        ("Bob", "Bob is busy", True),
        ("Alice", "", False),
    ]


def test_the_chain_of_a_team_is_that_of_its_default_policy_else_its_roles(api, levels, charlie):
    answer = api.get(f"/api/v1/on-call/escalation-chain?team=shop&{AT}").data
    assert (answer["service"], answer["policy"], answer["levels"]) == (None, None, [])
    assert [(one["user"]["name"], one["role"]) for one in answer["people"]] == [
        ("Alice", "PRIMARY"),
        ("Bob", "SECONDARY"),
    ]
    api.patch("/api/v1/policies/shop", {"is_team_default": True})
    answer = api.get(f"/api/v1/on-call/escalation-chain?team=shop&{AT}").data
    assert (answer["policy"], len(answer["levels"])) == ("Shop", 2)


def test_the_chain_follows_the_time_that_is_asked_about(api, levels):
    answer = api.get("/api/v1/on-call/escalation-chain?service=checkout&at=2026-06-09T00:00:00Z").data
    assert [one["user"]["name"] for one in answer["people"]] == ["Bob", "Bob", "Alice"]


# --- on-call/current/all --------------------------------------------------------------------------------------


def test_all_shows_every_schedule_with_its_team_and_its_roles(api, schedule, charlie):
    ScheduleFactory(name="Other", slug="other", team=TeamFactory(name="Data", slug="data"), people=[charlie])
    answer = api.get(f"/api/v1/on-call/current/all?{AT}").data
    assert answer["at"] == "2026-06-01T12:00:00Z"
    assert [(one["team"], one["schedule"], one["user"]["name"]) for one in answer["schedules"]] == [
        ("data", "other", "Charlie"),
        ("shop", "shop-on-call", "Alice"),
    ]
    assert [one["role"] for one in answer["schedules"][1]["people"]] == ["PRIMARY", "SECONDARY"]


# --- on-call/next and previous --------------------------------------------------------------------------------


def test_the_next_and_the_previous_shift_of_a_person(api, calls, team, alice, bob):
    ScheduleFactory(slug="shop", team=team, people=[bob, alice])
    found = api.get(f"/api/v1/on-call/next?user=bob@example.com&{AT}").data
    assert (found["user"]["name"], found["schedule"], found["role"]) == ("Bob", "shop", "PRIMARY")
    assert (found["start_at"], found["end_at"]) == ("2026-06-08T09:00:00Z", "2026-06-15T09:00:00Z")
    mine = calls(bob).get(f"/api/v1/on-call/previous?{AT}").data
    assert (mine["start_at"], mine["end_at"]) == ("2026-05-25T09:00:00Z", "2026-06-01T09:00:00Z")


def test_somebody_without_shifts_has_no_next_one(api, charlie):
    answer = api.get("/api/v1/on-call/next?user=charlie@example.com")
    assert answer.status_code == 200
    assert (answer.data["schedule"], answer.data["start_at"]) == (None, None)


# --- what holds for all ---------------------------------------------------------------------------------------


def test_an_observer_may_ask_and_a_swap_or_fixed_shift_is_named_as_such(calls, schedule, charlie):
    FixedShiftFactory(schedule=schedule, user=charlie)
    observer = calls(UserFactory(role="observer"))
    answer = observer.get(f"/api/v1/on-call/find-current?schedule=shop-on-call&{AT}").data
    assert (answer["user"]["name"], answer["people"][0]["via"]) == ("Charlie", "fixed shift")
    assert answer["until"] == "2026-06-01T12:30:00Z"
