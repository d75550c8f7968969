"""Swap and cover requests: one address per verb, each answers with the request's new state."""

import pytest

from accounts.models import Role
from oncall.models import Override
from tests.factories import FixedShiftFactory, MembershipFactory, ScheduleFactory, ShiftRequestFactory, UserFactory

URL = "/api/v1/schedules/shop-on-call/swaps"


@pytest.fixture
def schedule(team, alice, bob, soon):
    """Bob is on call from now on; on another schedule Charlie is."""
    made = ScheduleFactory(name="Shop on call", slug="shop-on-call", team=team)
    FixedShiftFactory(schedule=made, user=bob, start_at=soon(-1), end_at=soon(100))
    return made


@pytest.fixture
def asked(calls, schedule, bob, soon):
    """Bob asks the team for cover of a day."""
    answer = calls(bob).post(URL, {"start_at": soon(24), "end_at": soon(48), "note": "Dentist"})
    assert answer.status_code == 201, answer.data
    return answer.data


@pytest.fixture
def one(asked):
    return f"{URL}/{asked['id']}"


def refusal(answer, status):
    assert answer.status_code == status, answer.data
    return answer.data["detail"]


def test_a_request_says_who_asks_for_what(api, asked, one, soon):
    assert (asked["requester"]["name"], asked["asked"], asked["state"]) == ("Bob", None, "open")
    assert (asked["start_at"], asked["end_at"], asked["role"]) == (soon(24), soon(48), "PRIMARY")
    assert (asked["wants_return"], asked["note"], asked["offers"]) == (False, "Dentist", [])
    assert api.get(one).data == asked
    assert api.get(URL).data["results"] == [asked]


def test_somebody_takes_it_at_once_and_an_override_says_so(calls, one, charlie, soon):
    answer = calls(charlie).post(f"{one}/take", {})
    assert answer.status_code == 200, answer.data
    (offer,) = answer.data["offers"]
    assert (answer.data["state"], offer["state"], offer["user"]["name"]) == ("done", "applied", "Charlie")
    at = f"/api/v1/schedules/shop-on-call/oncall?at={soon(30)}"
    (person,) = calls(charlie).get(at).data["people"]
    assert (person["user"]["name"], person["via"], person["instead_of"]["name"]) == ("Charlie", "swap", "Bob")
    (override,) = calls(charlie).get("/api/v1/schedules/shop-on-call/overrides").data["results"]
    assert override["swap"] == answer.data["id"]


def test_a_part_of_it_is_taken_and_the_rest_stays_open(calls, one, alice, charlie, soon):
    answer = calls(charlie).post(f"{one}/take", {"start_at": soon(24), "end_at": soon(30)})
    assert answer.data["state"] == "open"
    assert "Charlie has taken this already." in refusal(
        calls(alice).post(f"{one}/take", {"start_at": soon(29), "end_at": soon(40)}), 409
    )
    assert calls(alice).post(f"{one}/take", {}).data["state"] == "done"
    assert Override.objects.count() == 2


def test_an_offer_is_accepted_once(calls, one, bob, charlie):
    made = calls(charlie).post(f"{one}/offer", {"note": "Gladly."})
    assert made.status_code == 201, made.data
    (offer,) = made.data["offers"]
    assert (offer["state"], offer["note"], offer["return_schedule"]) == ("offered", "Gladly.", None)
    accept = f"{one}/offers/{offer['id']}/accept"
    assert "Only Bob or an admin of the team Shop can accept this." in refusal(calls(charlie).post(accept), 403)
    assert calls(bob).post(accept).data["state"] == "done"
    assert "This offer is accepted already." in refusal(calls(bob).post(accept), 409)
    assert Override.objects.count() == 1


def test_a_swap_gives_a_shift_in_return(calls, schedule, bob, charlie, team, soon):
    nights = ScheduleFactory(name="Nights", slug="nights", team=team)
    FixedShiftFactory(schedule=nights, user=charlie, start_at=soon(0), end_at=soon(200))
    made = calls(bob).post(URL, {"start_at": soon(24), "end_at": soon(48), "wants_return": True}).data
    one = f"{URL}/{made['id']}"
    assert "wants a shift in return" in refusal(calls(charlie).post(f"{one}/take"), 409)
    assert "wants a shift in return" in refusal(calls(charlie).post(f"{one}/offer", {}), 400)
    back = {"return_schedule": "nights", "return_start_at": soon(60), "return_end_at": soon(72)}
    offered = calls(charlie).post(f"{one}/offer", back)
    assert offered.status_code == 201, offered.data
    (offer,) = offered.data["offers"]
    assert (offer["return_schedule"], offer["return_role"]) == ("nights", "PRIMARY")
    assert calls(bob).post(f"{one}/offers/{offer['id']}/accept").data["state"] == "done"
    found = calls(bob).get(f"/api/v1/schedules/nights/oncall?at={soon(65)}").data["people"][0]
    assert (found["user"]["name"], found["via"]) == ("Bob", "swap")


def test_offers_are_declined_and_withdrawn_and_requests_cancelled(calls, one, bob, alice, charlie):
    first = calls(charlie).post(f"{one}/offer", {}).data["offers"][0]["id"]
    declined = calls(bob).post(f"{one}/offers/{first}/decline").data
    assert declined["offers"][0]["state"] == "declined"
    second = calls(alice).post(f"{one}/offer", {}).data["offers"][1]["id"]
    assert "Only Alice can withdraw this offer." in refusal(calls(bob).post(f"{one}/offers/{second}/withdraw"), 403)
    assert calls(alice).post(f"{one}/offers/{second}/withdraw").data["offers"][1]["state"] == "withdrawn"
    assert "Only Bob can cancel this request." in refusal(calls(charlie).post(f"{one}/cancel"), 403)
    assert calls(bob).post(f"{one}/cancel").data["state"] == "cancelled"
    assert "Bob has cancelled this request." in refusal(calls(charlie).post(f"{one}/take"), 409)


def test_who_is_asked_by_name_says_no(calls, schedule, bob, charlie, alice, soon):
    span = {"start_at": soon(24), "end_at": soon(48)}
    asked = calls(bob).post(URL, {**span, "asked": charlie.email}).data
    address = f"{URL}/{asked['id']}"
    assert "Only who is asked by name can say no." in refusal(calls(alice).post(f"{address}/decline"), 403)
    assert calls(charlie).post(f"{address}/decline").data["state"] == "declined"
    assert "Charlie has said no to this request." in refusal(calls(charlie).post(f"{address}/take"), 409)
    assert calls(bob).post(URL, span).status_code == 201


def test_an_admin_of_the_team_approves_where_the_schedule_says_so(calls, schedule, one, bob, charlie, team):
    schedule.swaps_need_approval = True
    schedule.save()
    lead = UserFactory(name="Lea")
    MembershipFactory(team=team, user=lead, role=Role.ADMIN)
    (offer,) = calls(charlie).post(f"{one}/take").data["offers"]
    assert offer["state"] == "agreed"
    approve = f"{one}/offers/{offer['id']}/approve"
    assert "Only an admin of the team Shop can approve this." in refusal(calls(bob).post(approve), 403)
    approved = calls(lead).post(approve).data
    assert (approved["state"], approved["offers"][0]["decided_by"]["name"]) == ("done", "Lea")


@pytest.mark.parametrize(
    "fields, sentence",
    [
        ({"end_at": 24}, "The span ends before it starts. Choose a later end."),
        ({"start_at": -20, "end_at": -10}, "This time is over, and history does not change."),
        ({"end_at": 200}, "You are not on call in Shop on call for all of that time."),
        ({"role": "SECONDARY"}, "You are not on call in Shop on call for all of that time."),
        ({"asked": "bob@example.com"}, "Ask somebody else than yourself"),
        ({"asked": "eve@example.com"}, "There is no person “eve@example.com”."),
    ],
)
def test_a_request_that_cannot_work_is_400(calls, schedule, bob, soon, fields, sentence):
    body = {"start_at": 24, "end_at": 48, **fields}
    body |= {"start_at": soon(body["start_at"]), "end_at": soon(body["end_at"])}
    assert sentence in refusal(calls(bob).post(URL, body), 400)


def test_asking_twice_for_the_same_time_is_409(calls, one, bob, soon):
    again = calls(bob).post(URL, {"start_at": soon(40), "end_at": soon(60)})
    assert refusal(again, 409) == "You already ask for cover at that time. Cancel that request first."


def test_requests_and_offers_of_others_are_not_found_here(api, schedule, one):
    other = ShiftRequestFactory()
    assert api.get(f"{URL}/{other.uuid}").status_code == 404
    assert api.post(f"{URL}/{other.uuid}/take").status_code == 404
    assert api.post(f"{one}/offers/{other.uuid}/accept").status_code == 404


def test_requests_are_found_by_state_person_and_time(api, schedule, asked, charlie, soon):
    ShiftRequestFactory(schedule=schedule, requester=charlie, state="cancelled", closed_at=soon(0))
    for query, count in {
        "": 2,
        "state=open": 1,
        "state=open,cancelled": 2,
        "requester=charlie@example.com": 1,
        "asked=charlie@example.com": 0,
        f"since={soon(47)}": 1,
    }.items():
        assert len(api.get(f"{URL}?{query}").data["results"]) == count, query


def test_an_observer_takes_no_shift(calls, one):
    assert calls(UserFactory(role=Role.OBSERVER)).post(f"{one}/take").status_code == 403
