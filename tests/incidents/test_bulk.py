"""What is done to many incidents at once: each by itself, and each says what came of it."""

import datetime as dt

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import Role
from core.errors import DomainError
from incidents import bulk, lifecycle, merging
from tests import factories

NOW = factories.NOW
MINUTE = dt.timedelta(minutes=1)


@pytest.fixture
def three(service):
    return [lifecycle.trigger(service, title=f"Trouble {n}", severity="high", now=NOW) for n in range(3)]


@pytest.fixture
def signed_in(client, bob):
    client.force_login(bob)
    return client


def numbers(incidents):
    return [one.pk for one in incidents]


def texts(results):
    return [one.text for one in results]


def status(incident):
    incident.refresh_from_db()
    return incident.status


def test_each_is_acknowledged_and_says_so(three, bob):
    results = bulk.do_many("acknowledge", numbers(three), by=bob, now=NOW)
    assert texts(results) == [f"#{one.pk} acknowledged." for one in three]
    assert all(one.is_done for one in results)
    assert {status(one) for one in three} == {"acknowledged"}
    assert bulk.said("acknowledge", results) == "3 incidents acknowledged."


def test_some_that_others_did_first_do_not_stop_the_rest(three, alice, bob):
    first, second, third = three
    lifecycle.resolve(first.pk, by=alice, now=NOW)
    lifecycle.acknowledge(second.pk, by=alice, now=NOW)
    results = bulk.do_many("acknowledge", numbers(three), by=bob, now=NOW + 2 * MINUTE)
    assert texts(results) == [
        f"#{first.pk}: Alice resolved it 2 m 0 s ago.",
        f"#{second.pk}: Alice acknowledged it 2 m 0 s ago.",
        f"#{third.pk} acknowledged.",
    ]
    assert [one.is_done for one in results] == [False, True, True]
    assert bulk.said("acknowledge", results) == "2 of 3 incidents acknowledged. See what became of the others."
    second.refresh_from_db()
    assert second.acknowledged_by == alice


def test_one_note_is_kept_with_each_that_is_resolved(three, bob):
    bulk.do_many("resolve", numbers(three), by=bob, now=NOW, note="The switch was off.")
    for one in three:
        one.refresh_from_db()
        assert (one.status, one.resolution_note) == ("resolved", "The switch was off.")


def test_the_others_are_merged_into_the_chosen_one(three, bob):
    first, second, third = three
    lifecycle.resolve(third.pk, by=bob, now=NOW)
    results = bulk.do_many("merge", numbers(three), by=bob, now=NOW, into=first.pk)
    assert texts(results) == [f"#{second.pk} merged into #{first.pk}.", f"#{third.pk}: You resolved it just now."]
    second.refresh_from_db()
    assert second.merged_into == first and status(first) == "triggered"


def test_what_is_merged_already_says_into_what(three, alice, bob):
    first, second, third = three
    merging.merge(second.pk, into=third.pk, by=alice, now=NOW)
    results = bulk.do_many("merge", [second.pk], by=bob, now=NOW + MINUTE, into=first.pk)
    assert texts(results) == [f"#{second.pk}: Alice merged it into #{third.pk} 1 m 0 s ago."]


def test_each_is_asked_for_by_itself_whether_the_person_may(three, bob):
    other = factories.IncidentFactory(triggered_at=NOW)
    hidden = factories.IncidentFactory(service__team__is_private=True, triggered_at=NOW)
    helper = factories.UserFactory(role=Role.OBSERVER)
    factories.MembershipFactory(team=three[0].team, user=helper, role=Role.RESPONDER)
    wanted = [three[0].pk, other.pk, hidden.pk, 999_999]
    results = bulk.do_many("acknowledge", wanted, by=helper, now=NOW)
    assert texts(results) == [
        f"#{three[0].pk} acknowledged.",
        f"#{other.pk}: only responders of its team do this.",
        f"#{hidden.pk}: there is no such incident.",
        "#999999: there is no such incident.",
    ]
    assert status(other) == status(hidden) == "triggered"


@pytest.mark.parametrize(
    ("verb", "count", "said"),
    [
        ("acknowledge", 0, "No incident is selected"),
        ("acknowledge", 201, "201 incidents are selected, and at most 200 are done at once"),
        ("close", 1, "“close” is not done to many at once. Use acknowledge, resolve, merge"),
        ("merge", 1, "Choose the incident that the others are merged into"),
    ],
)
def test_what_cannot_be_done_at_all_is_a_sentence(bob, verb, count, said):
    with pytest.raises(DomainError, match=said):
        bulk.do_many(verb, range(1, count + 1), by=bob, now=NOW)


def test_merging_needs_another_one_besides_the_chosen(three, bob):
    with pytest.raises(DomainError, match="Select at least one incident besides"):
        bulk.do_many("merge", [three[0].pk], by=bob, now=NOW, into=three[0].pk)
    hidden = factories.IncidentFactory(service__team__is_private=True, triggered_at=NOW)
    with pytest.raises(DomainError, match="Choose the incident"):
        bulk.do_many("merge", numbers(three), by=factories.UserFactory(), now=NOW, into=hidden.pk)


# --- the form -------------------------------------------------------------------------------------------------


def test_the_form_works_without_a_script_and_leads_back_to_the_same_list(signed_in, three, alice):
    lifecycle.resolve(three[0].pk, by=alice, now=timezone.now())
    form = {"verb": "acknowledge", "number": numbers(three), "query": "team=shop&sort=oldest"}
    answer = signed_in.post("/incidents/bulk", form)
    assert answer.headers["Location"] == "/incidents?team=shop&sort=oldest"
    content = signed_in.get(answer.headers["Location"]).content.decode()
    assert "2 of 3 incidents acknowledged." in content
    assert f"<li>#{three[0].pk}: Alice resolved it" in content and f"<li>#{three[1].pk} acknowledged.</li>" in content
    assert "message-warning" in content


def test_the_form_says_what_it_lacks(signed_in, three):
    for form, said in (
        ({"verb": "acknowledge"}, b"No incident is selected"),
        ({"verb": "acknowledge", "number": ["x", "\0", "9" * 40]}, b"No incident is selected"),
        ({"verb": "merge", "number": numbers(three), "into": "x"}, b"Choose the incident"),
        ({"verb": "<script>", "number": numbers(three)}, b"is not done to many at once"),
    ):
        content = signed_in.post("/incidents/bulk", form, follow=True).content
        assert said in content and b"<script>\xe2" not in content


def test_what_leads_back_stays_in_the_list(signed_in, three):
    form = {"verb": "acknowledge", "number": three[0].pk, "query": "//evil.example\r\nX: y"}
    location = signed_in.post("/incidents/bulk", form).headers["Location"]
    assert location.startswith("/incidents?") and "\n" not in location


def test_observers_have_neither_form_nor_right(client, three):
    client.force_login(factories.UserFactory(role=Role.OBSERVER))
    assert b"/incidents/bulk" not in client.get("/incidents").content
    assert client.post("/incidents/bulk", {"verb": "resolve", "number": numbers(three)}).status_code == 403
    assert {status(one) for one in three} == {"triggered"}


def test_a_title_cannot_become_part_of_the_page(signed_in, service):
    evil = lifecycle.trigger(service, title="<b>x", severity="low", now=NOW)
    form = {"verb": "resolve", "number": evil.pk, "note": "<script>alert(1)</script>"}
    assert b"<script>alert" not in signed_in.post("/incidents/bulk", form, follow=True).content


# --- the API --------------------------------------------------------------------------------------------------


@pytest.fixture
def api(bob):
    client = APIClient()
    client.force_authenticate(bob)
    return client


def test_the_api_answers_a_result_for_each(api, three, alice):
    lifecycle.resolve(three[0].pk, by=alice, now=timezone.now())
    answer = api.post("/api/v1/incidents/bulk", {"verb": "resolve", "numbers": numbers(three)}, format="json")
    assert answer.status_code == 200 and answer.json()["detail"].startswith("2 of 3 incidents resolved.")
    assert [(one["number"], one["is_done"]) for one in answer.json()["results"]] == [
        (three[0].pk, False),
        (three[1].pk, True),
        (three[2].pk, True),
    ]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"verb": "close", "numbers": [1]},
        {"verb": "resolve", "numbers": []},
        {"verb": "resolve", "numbers": [0]},
        {"verb": "resolve", "numbers": list(range(1, 202))},
        {"verb": "merge", "numbers": [1, 2]},
    ],
)
def test_the_api_refuses_with_a_sentence(api, db, body):
    answer = api.post("/api/v1/incidents/bulk", body, format="json")
    assert answer.status_code == 400 and answer.json()["detail"]
