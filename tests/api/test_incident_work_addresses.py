"""Working on an incident together, by the API: merging, responders, tasks, updates, followers, what is beside it."""

import datetime as dt

import pytest

from accounts.models import Role
from incidents import lifecycle
from notifications.models import Notification
from tests import factories

URL = "/api/v1/incidents"


@pytest.fixture
def incident(service, now):
    return lifecycle.trigger(service, title="Checkout is down", severity="critical", now=now)


@pytest.fixture
def other(service, now):
    return lifecycle.trigger(service, title="Payments fail", severity="high", now=now)


def test_an_incident_is_merged_found_by_where_it_went_and_taken_out(api, incident, other):
    answer = api.post(f"{URL}/{other.pk}/merge", {"into": incident.pk})
    assert answer.status_code == 200, answer.data
    assert (answer.data["status"], answer.data["merged_into"]) == ("resolved", incident.pk)
    assert answer.data["verbs"] == ["close", "unmerge"]
    found = api.get(f"{URL}?merged_into={incident.pk}").data["results"]
    assert [one["number"] for one in found] == [other.pk]
    answer = api.post(f"{URL}/{other.pk}/unmerge")
    assert (answer.data["status"], answer.data["merged_into"], answer.data["merged_at"]) == ("triggered", None, None)


def test_a_merge_that_somebody_overtook_is_409_and_says_so(api, bob, incident, other, now):
    lifecycle.resolve(other.pk, by=bob, now=now)
    answer = api.post(f"{URL}/{other.pk}/merge", {"into": incident.pk})
    assert answer.status_code == 409 and f"#{other.pk}: Bob resolved it" in answer.data["detail"]


def test_merging_asks_for_the_right_in_both(calls, incident, now):
    person = factories.UserFactory(role=Role.OBSERVER)
    home = factories.TeamFactory()
    factories.MembershipFactory(team=home, user=person, role=Role.RESPONDER)
    own = factories.IncidentFactory(service=factories.ServiceFactory(team=home))
    hidden = factories.IncidentFactory(service=factories.ServiceFactory(team=factories.TeamFactory(is_private=True)))
    client = calls(person)
    assert client.post(f"{URL}/{own.pk}/merge", {"into": incident.pk}).status_code == 403
    assert client.post(f"{URL}/{own.pk}/merge", {"into": hidden.pk}).status_code == 404
    own.refresh_from_db()
    assert own.status == "triggered"


def test_into_which_a_hidden_one_went_is_not_told(calls, charlie, incident):
    hidden = factories.IncidentFactory(service=factories.ServiceFactory(team=factories.TeamFactory(is_private=True)))
    now = dt.datetime(2026, 6, 1, 12, tzinfo=dt.UTC)
    type(incident).objects.filter(pk=incident.pk).update(
        status="resolved", resolved_at=now, next_escalation_at=None,
        merged_into=hidden, merged_at=now, status_before_merge="triggered",
    )  # fmt: skip
    assert calls(charlie).get(f"{URL}/{incident.pk}").data["merged_into"] is None


def test_impact_and_severity_are_patched(api, incident):
    answer = api.patch(f"{URL}/{incident.pk}", {"impact": "Nobody can pay.", "severity": "medium"})
    assert (answer.data["impact"], answer.data["severity"], answer.data["priority"]) == (
        "Nobody can pay.",
        "medium",
        "P1",
    )


def test_people_are_asked_to_help_given_roles_and_taken_off(api, bob, charlie, incident):
    url = f"{URL}/{incident.pk}/responders"
    answer = api.post(url, {"user": "charlie@example.com", "role": "commander", "message": "Please."})
    assert answer.status_code == 201, answer.data
    (row,) = [one for one in answer.data if one["user"]["name"] == "Charlie"]
    assert (row["role"], row["joined_at"], row["is_assignee"]) == ("commander", None, False)
    assert Notification.objects.filter(user=charlie, kind="page").count() == 1
    assert api.post(url, {"users": [str(bob.uuid), str(charlie.uuid)]}).status_code == 201
    answer = api.patch(f"{url}/{bob.uuid}", {"role": "commander"})
    roles = {one["user"]["name"]: one["role"] for one in answer.data}
    assert (roles["Bob"], roles["Charlie"]) == ("commander", "responder")
    assert api.delete(f"{url}/{charlie.uuid}").status_code == 204
    assert api.delete(f"{url}/{charlie.uuid}").status_code == 404


def test_only_oneself_joins_and_declines(api, calls, alice, charlie, incident):
    url = f"{URL}/{incident.pk}/responders"
    api.post(url, {"user": "charlie@example.com"})
    assert api.patch(f"{url}/{charlie.uuid}", {"state": "joined"}).status_code == 403
    answer = calls(charlie).patch(f"{url}/{charlie.uuid}", {"state": "declined", "reason": "On a train."})
    assert answer.status_code == 200 and incident.responders.get().declined_at
    assert calls(charlie).patch(f"{url}/{charlie.uuid}", {"state": "joined"}).status_code == 200
    assert incident.responders.get().joined_at


@pytest.mark.parametrize("body", [{}, {"user": "bob@example.com", "users": ["bob@example.com"]}, {"users": []}])
def test_one_person_or_several_but_not_both(api, bob, incident, body):
    assert api.post(f"{URL}/{incident.pk}/responders", body).status_code == 400


def test_tasks_are_listed_added_done_and_removed(api, alice, bob, incident):
    url = f"{URL}/{incident.pk}/tasks"
    task = api.post(url, {"text": "Call the provider", "assignee": "bob@example.com"}).data
    assert task["assignee"]["name"] == "Bob" and task["done_at"] is None
    done = api.patch(f"{url}/{task['id']}", {"text": "Call them", "assignee": None, "is_done": True}).data
    assert (done["text"], done["assignee"], done["done_by"]["name"]) == ("Call them", None, "Alice")
    assert api.patch(f"{url}/{task['id']}", {"is_done": False}).data["done_at"] is None
    assert [one["id"] for one in api.get(url).data] == [task["id"]]
    assert api.delete(f"{url}/{task['id']}").status_code == 204
    assert api.get(url).data == [] and api.delete(f"{url}/{task['id']}").status_code == 404


def test_a_task_that_is_refused_in_part_stays_as_it_was(api, incident, alice, now):
    task = factories.TaskFactory(incident=incident)
    lifecycle.resolve(incident.pk, by=alice, now=now)
    lifecycle.close(incident.pk, by=alice, now=now)
    answer = api.patch(f"{URL}/{incident.pk}/tasks/{task.pk}", {"text": "New", "is_done": True})
    task.refresh_from_db()
    assert answer.status_code == 409 and (task.text, task.done_at) == ("Call the provider", None)


def test_whoever_may_look_follows_and_hears_of_an_update(api, calls, incident):
    person = factories.UserFactory(role=Role.OBSERVER)
    factories.ContactMethodFactory(user=person)
    url = f"{URL}/{incident.pk}"
    assert calls(person).post(f"{url}/followers").data == {"is_following": True, "count": 1}
    assert calls(person).post(f"{url}/updates", {"text": "Mine."}).status_code == 403
    assert api.post(f"{url}/updates", {"text": "We look into it."}).status_code == 201
    assert Notification.objects.get(user=person).message["body"] == "We look into it."
    assert calls(person).delete(f"{url}/followers").data == {"is_following": False, "count": 0}


def test_earlier_ones_and_changes_are_read(api, alice, incident, service, now):
    lifecycle.resolve(incident.pk, by=alice, now=now, note="Restarted.")
    factories.ChangeEventFactory(service=service, title="Deployed 42", at=now - dt.timedelta(hours=1))
    new = lifecycle.trigger(service, title="Checkout is down", severity="high", now=now + dt.timedelta(minutes=5))
    (found,) = api.get(f"{URL}/{new.pk}/similar").data
    assert (found["number"], found["resolution_note"], found["resolved_by"]["name"]) == (
        incident.pk,
        "Restarted.",
        "Alice",
    )
    assert found["is_same_alert"] is False and found["web_url"].endswith(f"/incidents/{incident.pk}")
    (change,) = api.get(f"{URL}/{new.pk}/changes").data
    assert (change["title"], change["is_before"]) == ("Deployed 42", True)
