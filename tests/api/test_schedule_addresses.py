"""Writing schedules: layers that follow each other, previews, coverage; every refusal is a sentence."""

import pytest

from oncall.models import Layer, Participant, Schedule
from tests.factories import (
    EscalationPolicyFactory,
    LayerFactory,
    OfferFactory,
    OverrideFactory,
    ScheduleFactory,
    TimeOffFactory,
    UserFactory,
)

URL = "/api/v1/schedules/shop-on-call"
WEEKLY = {
    "name": "Weekly",
    "start_date": "2026-01-05",
    "handoff_time": "09:00:00",
    "participants": ["alice@example.com", "bob@example.com"],
}


@pytest.fixture
def schedule(team, alice, bob):
    return ScheduleFactory(name="Shop on call", slug="shop-on-call", team=team, people=[bob, alice])


def refusal(answer, status=400):
    assert answer.status_code == status, answer.data
    return answer.data["detail"]


# --- reading and writing layers -------------------------------------------------------------------------------


def test_a_layer_has_everything_that_a_rotation_can_say(api, team, alice, bob):
    full = {
        "name": "Nights",
        "position": 3,
        "role": "SECONDARY",
        "unit": "rrule",
        "every": 1,
        "rule": "FREQ=WEEKLY;BYDAY=MO,TH",
        "start_date": "2026-01-05",
        "handoff_time": "21:30:00",
        "time_zone": "Asia/Tokyo",
        "first_slot": 1,
        "starts_at": "2031-01-05T00:00:00Z",
        "ends_at": "2032-01-05T00:00:00Z",
        "participants": [["alice@example.com", "bob@example.com"], None, "bob@example.com"],
        "restrictions": [
            {"days": ["monday", "friday"], "start_time": "22:00:00", "end_time": "06:00:00", "until_day": None},
            {"days": ["saturday"], "start_time": "00:00:00", "end_time": "00:00:00", "until_day": "sunday"},
        ],
    }
    answer = api.post(
        "/api/v1/schedules",
        {
            "name": "Night watch",
            "team": "shop",
            "time_zone": "Europe/Berlin",
            "skips_time_off": True,
            "swaps_need_approval": True,
            "sends_handoff_notices": False,
            "notice_minutes": 15,
            "layers": [full],
        },
    )
    assert answer.status_code == 201, answer.data
    (layer,) = answer.data["layers"]
    both, empty, one = layer["participants"]
    assert ([each["name"] for each in both], empty, one["name"]) == (["Alice", "Bob"], [], "Bob")
    assert layer == {**full, "id": layer["id"], "participants": [both, empty, one]}
    assert (answer.data["skips_time_off"], answer.data["swaps_need_approval"]) == (True, True)
    assert (answer.data["sends_handoff_notices"], answer.data["notice_minutes"]) == (False, 15)
    assert api.put("/api/v1/schedules/night-watch", answer.data).data == answer.data


def test_what_is_left_out_of_a_layer_has_its_default(api, team, alice, bob):
    answer = api.post("/api/v1/schedules", {"name": "S", "team": "shop", "layers": [WEEKLY]})
    (layer,) = answer.data["layers"]
    assert (layer["unit"], layer["every"], layer["rule"], layer["role"]) == ("week", 1, "", "PRIMARY")
    assert (layer["time_zone"], layer["first_slot"], layer["restrictions"]) == ("", 0, [])


def test_a_changed_layer_ends_and_another_follows_so_that_the_past_stays(api, schedule):
    before = api.get(URL).data["layers"][0]
    answer = api.patch(URL, {"layers": [{**before, "unit": "day"}]})
    assert answer.status_code == 200, answer.data
    (after,) = answer.data["layers"]
    assert (after["unit"], after["id"] == before["id"]) == ("day", False)
    ended, running = api.get(f"{URL}/layers").data["results"]
    assert (ended["id"], ended["unit"], ended["ends_at"]) == (before["id"], "week", running["starts_at"])
    assert api.get(f"{URL}/oncall?at=2026-06-01T12:00:00Z").data["user"]["name"] == "Alice"


def test_a_layer_that_is_written_back_as_it_was_stays(api, schedule):
    before = api.get(URL).data
    assert api.put(URL, before).data == before
    assert Layer.objects.count() == 1


def test_without_an_id_the_layer_of_the_same_role_and_position_is_meant(api, schedule):
    same = {key: value for key, value in api.get(URL).data["layers"][0].items() if key != "id"}
    spare = {**WEEKLY, "role": "SECONDARY", "position": 1}
    answer = api.patch(URL, {"layers": [same, spare]})
    assert [one["role"] for one in answer.data["layers"]] == ["PRIMARY", "SECONDARY"]
    assert Layer.objects.count() == 2


def test_a_layer_that_is_left_out_ends_now_and_is_not_forgotten(api, schedule):
    assert api.patch(URL, {"layers": []}).data["layers"] == []
    (ended,) = api.get(f"{URL}/layers").data["results"]
    assert ended["ends_at"]
    assert api.get(f"{URL}/oncall?at=2026-06-01T12:00:00Z").data["user"]["name"] == "Alice"


def test_another_zone_counts_from_now_on(api, schedule):
    answer = api.patch(URL, {"time_zone": "Asia/Tokyo", "description": "Tokyo."})
    assert (answer.data["time_zone"], answer.data["description"]) == ("Asia/Tokyo", "Tokyo.")
    assert api.get(f"{URL}/oncall?at=2026-06-01T12:00:00Z").data["until"] == "2026-06-08T09:00:00Z"
    (layer,) = answer.data["layers"]
    assert layer["time_zone"] == ""
    ended, _ = api.get(f"{URL}/layers").data["results"]
    assert ended["time_zone"] == "UTC"


def test_layers_and_the_zone_change_together(api, schedule, charlie):
    before = api.get(URL).data["layers"][0]
    changed = {**before, "participants": ["charlie@example.com"]}
    answer = api.patch(URL, {"time_zone": "Asia/Tokyo", "layers": [changed]})
    assert answer.status_code == 200, answer.data
    assert answer.data["time_zone"] == "Asia/Tokyo"
    assert [one["participants"][0]["name"] for one in answer.data["layers"]] == ["Charlie"]
    assert api.get(f"{URL}/oncall").data["user"]["name"] == "Charlie"


def test_an_id_of_another_schedule_is_refused(api, schedule):
    other = LayerFactory()
    other.refresh_from_db()
    sentence = refusal(api.patch(URL, {"layers": [{**WEEKLY, "id": str(other.uuid)}]}))
    assert "There is no running layer with this id" in sentence


def test_a_layer_is_named_twice_in_no_list(api, schedule):
    layer = api.get(URL).data["layers"][0]
    assert "it stands here twice" in refusal(api.patch(URL, {"layers": [layer, {**layer, "position": 2}]}))


@pytest.mark.parametrize(
    "fields, sentence",
    [
        ({"participants": []}, "Layer Weekly has no participants. Add one, or delete the layer."),
        ({"participants": [None, []]}, "Layer Weekly has no participants. Add one, or delete the layer."),
        ({"participants": ["eve@example.com"]}, "There is no person “eve@example.com”."),
        ({"participants": "alice@example.com"}, "Give a list of people, in the order of the rotation."),
        ({"participants": [["bob@example.com", "BOB@example.com"]]}, "Bob stands twice in place 1 of Layer Weekly."),
        ({"participants": ["gone@example.com"]}, "Layer Weekly: Gone is deactivated. Choose somebody else."),
        ({"participants": ["bob@example.com"] * 201}, "Use at most 200 slots in a layer"),
        ({"every": 0}, "A shift lasts 1 to 365 units. Choose a number from 1 to 365."),
        ({"every": 366}, "A shift lasts 1 to 365 units. Choose a number from 1 to 365."),
        ({"unit": "fortnight"}, "is not a valid choice"),
        ({"start_date": "9999-12-31"}, "Use a day between 1990 and 2100."),
        ({"time_zone": "Mars/Base"}, "“Mars/Base” is not a time zone. Use one like Europe/Berlin."),
        ({"starts_at": "2031-01-05T00:00:00Z", "ends_at": "2031-01-05T00:00:00Z"}, "Choose a later end."),
        ({"ends_at": "2026-01-05T00:00:00Z"}, "Choose a later end"),
        ({"unit": "rrule"}, "Write the recurrence rule, for example FREQ=WEEKLY;BYDAY=MO,TH."),
        ({"rule": "FREQ=DAILY"}, "This rule is not used: choose the unit “By a recurrence rule”, or empty it."),
        ({"unit": "rrule", "rule": "FREQ=SECONDLY"}, "This rule hands over too often."),
        ({"unit": "rrule", "rule": "FREQ=DAILY;BYSECOND=1"}, "This rule hands over too often."),
        (
            {"unit": "rrule", "rule": "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"},
            "never fires in the 9 years after its first day. Change the rule or that day.",
        ),
        ({"unit": "rrule", "rule": "every monday"}, "Write it like FREQ=WEEKLY;BYDAY=MO,TH."),
        (
            {"restrictions": [{"days": [], "start_time": "09:00", "end_time": "17:00"}]},
            "Choose the days on which the window opens.",
        ),
        (
            {"restrictions": [{"days": ["monday"], "start_time": "09:00", "end_time": "09:00"}]},
            "The window opens and closes at the same time.",
        ),
        (
            {
                "restrictions": [
                    {"days": ["monday"], "start_time": "09:00", "end_time": "09:00", "until_day": "monday"}
                ]
            },
            "The window opens and closes at the same time.",
        ),
        (
            {
                "restrictions": [
                    {"days": ["monday", "friday"], "start_time": "09:00", "end_time": "17:00", "until_day": "sunday"}
                ]
            },
            "A window that closes on a day of its own opens on one day only. Choose one.",
        ),
        ({"restrictions": [{"days": ["Moonday"], "start_time": "09:00", "end_time": "17:00"}]}, "valid choice"),
    ],
)
@pytest.mark.parametrize("path", ["", "/preview"])
def test_a_layer_that_cannot_work_is_400_and_nothing_changes(api, schedule, path, fields, sentence):
    UserFactory(name="Gone", email="gone@example.com", is_active=False)
    call = api.post if path else api.patch
    answer = call(f"{URL}{path}", {"name": "New", "layers": [WEEKLY | fields]})
    assert sentence in refusal(answer)
    assert answer.data["errors"][0]["field"].startswith("layers.")
    assert Schedule.objects.get().name == "Shop on call"
    assert Layer.objects.count() == 1


def test_two_layers_of_one_place_are_refused_and_the_second_is_named(api, schedule):
    two = [{**WEEKLY, "position": 1}, {**WEEKLY, "name": "Nights", "position": 1}]
    assert "Layer Nights has the same position as layer Weekly." in refusal(api.patch(URL, {"layers": two}))


@pytest.mark.parametrize(
    "fields, sentence",
    [
        ({"time_zone": "Europe/Bonn"}, "“Europe/Bonn” is not a time zone. Use one like Europe/Berlin."),
        ({"notice_minutes": 100_000}, "less than or equal to 10080"),
        ({"team": "nope"}, "There is no team “nope”."),
    ],
)
def test_a_schedule_that_cannot_work_is_400(api, schedule, fields, sentence):
    assert sentence in refusal(api.patch(URL, fields))
    assert sentence in refusal(api.post("/api/v1/schedules", {"name": "S", "team": "shop", **fields}))


def test_only_an_admin_changes_a_schedule(calls, schedule, bob):
    assert calls(bob).patch(URL, {"layers": []}).status_code == 403
    assert calls(bob).delete(URL).status_code == 403


# --- preview --------------------------------------------------------------------------------------------------


def test_a_preview_shows_four_weeks_by_role_and_saves_nothing(calls, schedule, bob, charlie):
    spare = {**WEEKLY, "role": "SECONDARY", "participants": ["charlie@example.com"]}
    answer = calls(UserFactory(role="observer")).post(
        f"{URL}/preview", {"layers": [WEEKLY, spare], "start": "2031-01-06T00:00:00Z", "time_zone": "Asia/Tokyo"}
    )
    assert answer.status_code == 200, answer.data
    assert (answer.data["start"], answer.data["end"]) == ("2031-01-06T00:00:00Z", "2031-02-03T00:00:00Z")
    primary, secondary = answer.data["roles"]
    assert (primary["role"], secondary["role"]) == ("PRIMARY", "SECONDARY")
    assert [one["start_at"] for one in primary["shifts"]] == [
        "2031-01-06T00:00:00Z",
        "2031-01-13T00:00:00Z",
        "2031-01-20T00:00:00Z",
        "2031-01-27T00:00:00Z",
    ]
    assert {one["user"]["name"] for one in primary["shifts"]} == {"Alice", "Bob"}
    assert Layer.objects.count() == 1
    assert Schedule.objects.get().time_zone == "UTC"


def test_a_preview_in_an_unknown_zone_is_400(api, schedule):
    sentence = refusal(api.post(f"{URL}/preview", {"layers": [WEEKLY], "time_zone": "Mars/Base"}))
    assert "“Mars/Base” is not a time zone." in sentence


# --- coverage -------------------------------------------------------------------------------------------------


def test_coverage_has_problems_loads_and_the_proof_of_each_policy(api, team, alice, charlie):
    half = ScheduleFactory(name="Half", slug="half", team=team)
    LayerFactory(schedule=half, people=[alice], ends_at="2031-01-08T00:00:00Z")
    EscalationPolicyFactory(slug="calls-half", calls=[half])
    EscalationPolicyFactory(slug="calls-another", calls=[ScheduleFactory(team=team)])
    EscalationPolicyFactory(slug="safe", calls=[half, charlie])
    answer = api.get("/api/v1/schedules/half/coverage?start=2031-01-06T00:00:00Z&end=2031-01-10T00:00:00Z").data
    gap = next(one for one in answer["problems"] if one["kind"] == "gap")
    assert (gap["start_at"], gap["end_at"]) == ("2031-01-08T00:00:00Z", "2031-01-10T00:00:00Z")
    assert (gap["schedule"], gap["role"], gap["user"]) == ("half", "PRIMARY", None)
    assert [(one["user"]["name"], one["hours"], one["shifts"]) for one in answer["loads"]] == [("Alice", 48.0, 1)]
    proofs = {one["policy"]: one for one in answer["proofs"]}
    assert set(proofs) == {"calls-half", "safe"}
    assert proofs["safe"]["is_covered"] is True
    (example,) = proofs["calls-half"]["counter_examples"]
    assert (example["start_at"], example["end_at"]) == ("2031-01-08T00:00:00Z", "2031-01-10T00:00:00Z")
    assert example["reasons"]


# --- overrides ------------------------------------------------------------------------------------------------


def test_a_responder_takes_a_span_and_gives_it_back(calls, schedule, bob, soon):
    api = calls(bob)
    span = {"start_at": soon(24), "end_at": soon(36), "reason": "Dentist"}
    made = api.post(f"{URL}/overrides", {"user": "bob@example.com", **span})
    assert made.status_code == 201, made.data
    assert (made.data["start_at"], made.data["created_by"]["name"]) == (soon(24), "Bob")
    assert (made.data["role"], made.data["replaces"], made.data["swap"]) == ("PRIMARY", None, None)
    at = f"{URL}/oncall?at={soon(30)}"
    assert api.get(at).data["why"] == "override in Shop on call"
    (listed,) = api.get(f"{URL}/overrides").data["results"]
    assert api.get(f"{URL}/overrides/{listed['id']}").data == listed == made.data
    assert api.delete(f"{URL}/overrides/{listed['id']}").status_code == 204
    assert api.get(at).data["why"] == "Shop on call, Layer 1"


def test_an_override_takes_one_persons_part_of_a_role(api, schedule, alice, bob, soon):
    LayerFactory(schedule=schedule, role="SECONDARY", people=[alice])
    taken = {"user": "bob@example.com", "replaces": "alice@example.com", "role": "SECONDARY"}
    made = api.post(f"{URL}/overrides", {**taken, "start_at": soon(-1), "end_at": soon(2)})
    assert (made.status_code, made.data["replaces"]["name"]) == (201, "Alice")
    assert made.data["start_at"] > soon(-0.1)  # the past stays


def test_a_running_override_ends_now_and_one_that_is_over_stays(api, schedule, bob, soon):
    running = OverrideFactory(schedule=schedule, user=bob, start_at=soon(-2), end_at=soon(2))
    over = OverrideFactory(schedule=schedule, user=bob, start_at=soon(-4), end_at=soon(-3))
    for one in (running, over):
        one.refresh_from_db()
    assert api.delete(f"{URL}/overrides/{running.uuid}").status_code == 204
    assert api.get(f"{URL}/overrides/{running.uuid}").data["end_at"] < soon(1)
    sentence = refusal(api.delete(f"{URL}/overrides/{over.uuid}"), 409)
    assert sentence == "This override is over, and history does not change."


@pytest.mark.parametrize(
    "fields, sentence",
    [
        ({"end_at": 24}, "The override ends before it starts. Choose a later end."),
        ({"end_at": 20}, "The override ends before it starts. Choose a later end."),
        ({"start_at": -48, "end_at": -24}, "This time is over, and history does not change. Choose a later end."),
        ({"end_at": 24 * 500}, "The override lasts longer than 400 days. Choose an earlier end."),
        ({"user": "gone@example.com"}, "Gone is deactivated. Choose somebody else."),
        ({"replaces": "bob@example.com"}, "Somebody cannot replace themselves. Choose another person."),
        ({"replaces": "charlie@example.com"}, "Charlie is not on call in Shop on call then."),
        ({"role": "BOSS"}, "is not a valid choice."),
        ({"reason": "x" * 201}, "no more than 200 characters"),
    ],
)
def test_an_override_that_cannot_work_is_400(api, schedule, charlie, soon, fields, sentence):
    UserFactory(name="Gone", email="gone@example.com", is_active=False)
    body = {"user": "bob@example.com", "start_at": 24, "end_at": 36, **fields}
    body |= {"start_at": soon(body["start_at"]), "end_at": soon(body["end_at"])}
    assert sentence in refusal(api.post(f"{URL}/overrides", body))


def test_an_override_of_another_schedule_is_not_found(api, schedule):
    other = OverrideFactory()
    other.refresh_from_db()
    assert api.get(f"{URL}/overrides/{other.uuid}").status_code == 404
    assert api.delete(f"{URL}/overrides/{other.uuid}").status_code == 404
    assert api.get("/api/v1/schedules/nope/overrides").status_code == 404
    assert api.post("/api/v1/schedules/nope/overrides", {}).status_code in (400, 404)


def test_overrides_are_found_by_person_role_and_time(api, schedule, bob, charlie):
    OverrideFactory(schedule=schedule, user=bob)  # 11:30 to 12:30
    OverrideFactory(schedule=schedule, user=charlie, role="SECONDARY")
    for query, count in {
        "user=bob@example.com": 1,
        "role=SECONDARY,SHADOW": 1,
        "since=2026-06-01T12:30:00Z": 0,
        "until=2026-06-01T11:30:00Z": 0,
        "since=2026-06-01T12:00:00Z&until=2026-06-01T12:10:00Z": 2,
    }.items():
        assert len(api.get(f"{URL}/overrides?{query}").data["results"]) == count, query


def test_time_off_is_passed_over_where_the_schedule_says_so(api, schedule, alice):
    TimeOffFactory(user=alice)
    at = f"{URL}/oncall?at=2026-06-01T12:00:00Z"
    assert (api.get(at).data["user"]["name"], api.get(at).data["people"][0]["is_off"]) == ("Alice", True)
    api.patch(URL, {"skips_time_off": True})
    assert api.get(at).data["user"]["name"] == "Bob"
    assert Participant.objects.count() == 2


def test_a_schedule_with_swaps_that_were_taken_stays(api, schedule, bob):
    offer = OfferFactory(request__schedule=schedule)
    OverrideFactory(schedule=schedule, user=bob, offer=offer)
    assert refusal(api.delete(URL), 409) == (
        "Shifts of Shop on call were swapped, and history does not change, so it stays. "
        "Write an empty list of layers instead."
    )


def test_the_same_list_of_layers_twice_keeps_who_is_on_call(api, schedule, bob, charlie):
    def on_call():
        return api.get(f"{URL}/oncall").data["user"]["email"]

    before = on_call()
    people = ["alice@example.com", "charlie@example.com", "bob@example.com"]
    layers = [{**WEEKLY, "name": "Layer 1", "participants": people}]
    for _ in range(3):
        assert api.patch(URL, {"layers": layers}, format="json").status_code == 200
        assert on_call() == before
    assert Layer.objects.filter(schedule=schedule).count() == 2
