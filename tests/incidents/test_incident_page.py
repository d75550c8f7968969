"""The page of one incident: what it says, and what its buttons do, without a script and with one."""

import datetime as dt
import re

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import Role
from incidents import checklist, lifecycle, merging, reasons, responding, timeline, updates
from incidents.models import Incident
from notifications.models import Notification
from tests import factories

MINUTE = dt.timedelta(minutes=1)
HTMX = {"HX-Request": "true", "X-Fragment": "head,timeline"}


@pytest.fixture
def incident(service):
    return lifecycle.trigger(service, title="Checkout is down", severity="critical", now=timezone.now() - MINUTE)


@pytest.fixture
def other(service):
    return lifecycle.trigger(service, title="Payments time out", severity="high", now=timezone.now() - MINUTE)


@pytest.fixture
def signed_in(client, bob):
    client.force_login(bob)
    return client


def words(content):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", content.decode()))


def page_of(incident, client, query=""):
    answer = client.get(f"/incidents/{incident.pk}{query}")
    assert answer.status_code == 200
    return words(answer.content)


def do(client, incident, verb, **form):
    answer = client.post(f"/incidents/{incident.pk}/do/{verb}", form, follow=True)
    assert answer.redirect_chain and answer.status_code == 200
    return words(answer.content)


# --- the head -------------------------------------------------------------------------------------------------


def test_the_head_says_what_is_wrong_how_bad_and_who_depends_on_it(incident, service, bob, signed_in):
    web = factories.ServiceFactory(name="Web shop")
    factories.DependencyFactory(service=web, needs=service)
    factories.DependencyFactory(service=factories.ServiceFactory(name="Mobile"), needs=web)
    lifecycle.edit(incident.pk, impact="One in eight cannot pay.", by=bob, now=timezone.now())
    text = page_of(incident, signed_in)
    assert "Triggered P1 Critical" in text and "Checkout is down" in text
    assert "Impact: One in eight cannot pay." in text and "2 services depend on it" in text
    assert "Who has it nobody yet" in text and re.search(r"Running for 1 m \d+ s", text)
    assert "unless somebody acknowledges" in text


def test_services_of_private_teams_are_neither_shown_nor_counted(incident, service, signed_in):
    secret = factories.ServiceFactory(name="Vault", team=factories.TeamFactory(is_private=True))
    factories.DependencyFactory(service=secret, needs=service)
    text = page_of(incident, signed_in)
    assert "Vault" not in text and "depend on it" not in text


def test_services_beside_it_show_their_state_the_worst_first(incident, service, signed_in):
    for name in ("Cache", "Database"):
        needed = factories.ServiceFactory(name=name)
        factories.DependencyFactory(service=service, needs=needed)
    lifecycle.trigger(needed, title="Disk full", severity="high", now=timezone.now())
    assert "It needs Database 1 open, high Cache Fine" in page_of(incident, signed_in)


def test_escalating_names_whom_it_calls(incident, alice, signed_in):
    text = page_of(incident, signed_in)
    assert re.search(r"This calls (Alice|Bob) now", text)


# --- verbs ----------------------------------------------------------------------------------------------------


def test_changing_priority_severity_title_and_impact(incident, signed_in):
    do(signed_in, incident, "edit", priority="P2", severity="high")
    do(signed_in, incident, "edit", title="Checkout is slow", impact="Paying takes a minute.")
    incident.refresh_from_db()
    assert (incident.priority, incident.severity) == ("P2", "high")
    assert (incident.title, incident.impact) == ("Checkout is slow", "Paying takes a minute.")
    assert "Choose a priority" in do(signed_in, incident, "edit", priority="P9")
    assert "Choose a severity" in do(signed_in, incident, "edit", severity="huge")


def test_merging_and_taking_out_again(incident, other, signed_in):
    assert f"goes on in #{other.pk}" in do(signed_in, incident, "merge", into=other.pk)
    text = page_of(other, signed_in)
    assert "Merged into this one" in text and f"#{incident.pk} Checkout is down" in text
    assert f"Merged into #{other.pk}" in page_of(incident, signed_in)
    assert "stands by itself again, and is open" in do(signed_in, incident, "unmerge")
    incident.refresh_from_db()
    assert (incident.merged_into, incident.status) == (None, "triggered")


def test_open_tasks_are_shown_and_done_where_the_work_goes_on(incident, other, alice, signed_in):
    task = checklist.add(incident.pk, text="Call the bank", by=alice, now=timezone.now())
    merging.merge(incident.pk, into=other.pk, by=alice, now=timezone.now())
    assert f"Call the bank for nobody in particular · from #{incident.pk}" in page_of(other, signed_in)
    answer = signed_in.get(f"/incidents/{incident.pk}")
    assert f"What is still to be done stands in #{other.pk} ." in words(answer.content)
    assert b'id="task-' not in answer.content
    assert "The task is done" in do(signed_in, other, "complete-task", task=task.pk)
    assert f"goes on in #{other.pk}" in do(signed_in, incident, "add-task", text="Call again")


@pytest.mark.parametrize("into", ["", "x", "4711", "9" * 30])
def test_merging_into_nothing_asks_for_an_incident(incident, signed_in, into):
    assert "Choose the incident" in do(signed_in, incident, "merge", into=into)


def test_nobody_merges_into_what_is_hidden_from_them(incident, alice, signed_in):
    secret = factories.ServiceFactory(team=factories.TeamFactory(is_private=True))
    hidden = factories.IncidentFactory(service=secret, title="Keys were stolen")
    assert "Choose the incident" in do(signed_in, incident, "merge", into=hidden.pk)
    answer = signed_in.get(f"/incidents/{incident.pk}/merge?q=keys")
    assert b"Keys were stolen" not in answer.content and b"No open incident has" in answer.content


def test_what_it_can_be_merged_into_is_found_by_number_words_and_service(incident, other, signed_in):
    path = f"/incidents/{incident.pk}/merge"
    over = factories.IncidentFactory(service=other.service, title="Over long ago", status="closed")
    for query in ("", f"{other.pk}", f"%23{other.pk}", "payments", "CHECKOUT"):
        content = signed_in.get(f"{path}?q={query}").content
        assert b"Payments time out" in content, query
        assert f'value="{incident.pk}"'.encode() not in content and over.title.encode() not in content
    assert b"Payments time out" not in signed_in.get(f"{path}?q=nothing+like+it\0").content
    part = signed_in.get(path, headers={"X-Fragment": "panel"}).content
    assert b"<html" not in part and b"Payments time out" in part


def test_responders_are_asked_join_take_roles_and_leave(incident, alice, bob, signed_in):
    before = Notification.objects.filter(user=alice).count()
    assert "They are asked to help" in do(signed_in, incident, "add-responder", person=alice.pk, message="Help us.")
    assert Notification.objects.filter(user=alice).count() > before
    assert "Alice Asked" in page_of(incident, signed_in)
    hers = Client()
    hers.force_login(alice)
    do(hers, incident, "join")
    assert "Alice Joined" in page_of(incident, signed_in)
    do(signed_in, incident, "set-role", person=alice.pk, role="commander")
    assert "Commander" in page_of(incident, signed_in)
    do(hers, incident, "decline", reason="I am on a train.")
    assert "Alice Declined" in page_of(incident, signed_in)
    do(signed_in, incident, "remove-responder", person=alice.pk)
    assert not incident.responders.exists()
    assert "not on the incident any more" in do(signed_in, incident, "remove-responder", person=alice.pk)
    assert "Choose the person to add" in do(signed_in, incident, "add-responder", person="")


def test_tasks_are_added_changed_ticked_and_removed(incident, alice, signed_in):
    do(signed_in, incident, "add-task", text="Call the bank", assignee=alice.pk)
    task = incident.tasks.get()
    assert (task.text, task.assignee) == ("Call the bank", alice)
    do(signed_in, incident, "complete-task", task=task.pk)
    assert "Call the bank done by Bob" in page_of(incident, signed_in)
    do(signed_in, incident, "reopen-task", task=task.pk)
    do(signed_in, incident, "edit-task", task=task.pk, text="Call the bank again", assignee="")
    task.refresh_from_db()
    assert (task.text, task.assignee, task.done_at) == ("Call the bank again", None, None)
    do(signed_in, incident, "remove-task", task=task.pk)
    assert not incident.tasks.exists()
    for wrong in ("", "x", "9" * 30):
        assert "no such task" in do(signed_in, incident, "complete-task", task=wrong)
    assert "The task is empty" in do(signed_in, incident, "add-task", text=" ")
    assert "Choose a person of the list" in do(signed_in, incident, "add-task", text="x", assignee="4711")


def test_an_update_for_stakeholders_stands_in_the_timeline(incident, signed_in):
    assert "on its way" in do(signed_in, incident, "update", text="We **know** and work on it.")
    assert b"We <strong>know</strong> and work on it." in signed_in.get(f"/incidents/{incident.pk}").content


def test_observers_follow_and_do_nothing_else(incident, client):
    olga = factories.UserFactory(role=Role.OBSERVER, name="Olga")
    client.force_login(olga)
    assert "You follow" in do(client, incident, "follow")
    assert "1 person follows it" in page_of(incident, client)
    do(client, incident, "unfollow")
    assert not incident.followers.exists()
    for verb in ("merge", "unmerge", "add-responder", "join", "add-task", "update", "edit", "note"):
        assert client.post(f"/incidents/{incident.pk}/do/{verb}").status_code == 403, verb
    assert client.get(f"/incidents/{incident.pk}/merge").status_code == 403


# --- refusals -------------------------------------------------------------------------------------------------


def test_a_refusal_says_without_a_script_what_happened_meanwhile_and_by_whom(incident, alice, signed_in):
    lifecycle.resolve(incident.pk, by=alice, now=timezone.now() - dt.timedelta(seconds=5))
    text = do(signed_in, incident, "acknowledge")
    assert re.search(r"Alice resolved it \d+ s ago\.", text)


def test_a_refusal_is_a_409_with_what_is_true_now(incident, alice, signed_in):
    lifecycle.resolve(incident.pk, by=alice, now=timezone.now() - dt.timedelta(seconds=5))
    answer = signed_in.post(f"/incidents/{incident.pk}/do/start", headers=HTMX)
    assert answer.status_code == 409
    assert re.findall(rb'data-fragment="(\w+)"', answer.content) == [b"head", b"timeline", b"messages"]
    text = words(answer.content)
    assert "Resolved" in text and re.search(r"Alice resolved it \d+ s ago\.", text)


def test_a_form_that_is_wrong_is_a_400_with_a_sentence(incident, signed_in):
    answer = signed_in.post(f"/incidents/{incident.pk}/do/note", {"text": " "}, headers=HTMX)
    assert answer.status_code == 400 and "The note is empty." in words(answer.content)


def test_what_the_page_shows_of_itself_stays_after_a_form(incident, bob, signed_in):
    headers = {**HTMX, "HX-Current-URL": f"http://testserver/incidents/{incident.pk}?show=notes&evil=1"}
    answer = signed_in.post(f"/incidents/{incident.pk}/do/note", {"text": "Found it."}, headers=headers)
    assert answer.headers["Location"] == f"/incidents/{incident.pk}?show=notes"
    refused = signed_in.post(f"/incidents/{incident.pk}/do/note", {"text": ""}, headers=headers)
    assert b"Found it." in refused.content and b"Level 1, round 1" not in refused.content


# --- timeline and reasons -------------------------------------------------------------------------------------


def test_the_timeline_has_the_newest_first_and_shows_one_kind_alone(incident, bob, signed_in):
    now = timezone.now()
    lifecycle.add_note(incident.pk, text="It was the cache.", by=bob, now=now)
    lifecycle.edit(incident.pk, priority="P2", by=bob, now=now + MINUTE)
    everything = page_of(incident, signed_in)
    assert (
        everything.index("priority is P2") < everything.index("It was the cache.") < everything.index("Triggered for")
    )
    shown = {"notes": "It was the cache.", "pages": "Level 1, round 1", "changes": "priority is P2"}
    for show in shown:
        part = signed_in.get(f"/incidents/{incident.pk}?show={show}", headers={"X-Fragment": "timeline"})
        for name, text in shown.items():
            assert (text in words(part.content)) is (name == show), (show, name)
    assert "It was the cache." in page_of(incident, signed_in, "?show=nonsense")


def test_the_pages_of_a_step_stand_under_it_with_what_became_of_them(incident, alice, signed_in):
    page = Notification.objects.get(topic=incident.topic, user=alice)
    page.state, page.sent_at = "delivered", timezone.now()
    page.save()
    factories.AttemptFactory(notification=page, answer="250 2.0.0 queued")
    part = signed_in.get(f"/incidents/{incident.pk}?show=pages", headers={"X-Fragment": "timeline"})
    assert "Delivered Alice by Email · 250 2.0.0 queued" in words(part.content)


def test_what_the_floors_above_have_stands_between(incident, service, signed_in):
    factories.ChangeEventFactory(service=service, title="Deployed 4.2.1", at=incident.triggered_at - MINUTE)
    part = signed_in.get(f"/incidents/{incident.pk}?show=changes", headers={"X-Fragment": "timeline"})
    assert "Deployed 4.2.1" in words(part.content)


def test_why_somebody_was_paged_and_why_another_was_not(incident, alice, bob, charlie):
    hers, his = Client(), Client()
    hers.force_login(alice)
    his.force_login(bob)
    assert "You were paged once." in page_of(incident, hers)
    assert "Level 1: Alice, named in the policy." in page_of(incident, hers)
    about_me = page_of(incident, his)
    assert "You were not paged. You are called next" in about_me
    assert "Alice was paged once." in page_of(incident, his, f"?person={alice.pk}")
    assert "Charlie was not paged. Level 1 of" in page_of(incident, his, f"?person={charlie.pk}")
    for nobody in ("x", "9" * 30, "4711"):
        assert "You were not paged." in page_of(incident, his, f"?person={nobody}")


def test_a_reason_that_names_somebody_is_told_to_them():
    class Over:
        policy = {"name": "Shop", "levels": [{"number": 1}]}
        escalation_level, escalation_round, status = 1, 0, "acknowledged"

    at = timezone.now()
    entries = [
        (at, "paged", ["Level 1: Bob is away until Monday.", "Level 1: Bobby, on call."]),
        (at, "note", ["Bob?"]),
    ]
    answer = reasons.why("Bob", is_reader=False, times=0, entries=entries, incident=Over)
    assert not answer.was_paged and answer.reasons == ((at, "Level 1: Bob is away until Monday."),)
    assert "Bob was not paged." in answer.verdict
    silent = reasons.why("Eve", is_reader=True, times=0, entries=entries, incident=Over)
    assert "Higher levels are called only while nobody has it." in silent.verdict


def test_a_note_can_be_looked_at_before(incident, signed_in):
    path = f"/incidents/{incident.pk}/preview"
    answer = signed_in.post(path, {"text": "**bold** <script>alert(1)</script>"})
    assert b"<strong>bold</strong>" in answer.content and b"<script" not in answer.content
    assert signed_in.post(path, {"text": " "}).content == b""
    assert signed_in.get(path).status_code == 405


def test_an_entry_is_drawn_for_each_reader_with_what_they_may_see(service, incident, signed_in, client):
    secret = factories.TeamFactory(is_private=True)
    factories.ServiceFactory(name="Vault", team=secret)
    timeline.record(incident, "edited", "Vault was named here.", at=timezone.now())
    admin = factories.UserFactory(role=Role.ADMIN)
    theirs = Client()
    theirs.force_login(admin)
    for _ in range(2):
        assert "Vault was named here." in page_of(incident, theirs)
        assert "(private) was named here." in page_of(incident, signed_in)


def test_the_page_costs_the_same_for_few_and_for_many(
    incident, service, alice, bob, signed_in, django_assert_max_num_queries
):
    now = timezone.now()
    for number in range(20):
        lifecycle.add_note(incident.pk, text=f"Note {number}", by=alice, now=now)
        checklist.add(incident.pk, text=f"Task {number}", assignee=bob, by=alice, now=now)
        factories.DependencyFactory(service=service, needs=factories.ServiceFactory())
        factories.DependencyFactory(service=factories.ServiceFactory(), needs=service)
        one = lifecycle.trigger(service, title=f"Trouble {number}", severity="high", now=now)
        merging.merge(one.pk, into=incident.pk, by=alice, now=now)
        updates.follow(incident.pk, factories.UserFactory(), now=now)
    responding.add(incident.pk, people=[alice], by=bob, now=now)
    signed_in.get(f"/incidents/{incident.pk}")
    with django_assert_max_num_queries(30):
        signed_in.get(f"/incidents/{incident.pk}")
    assert Incident.objects.filter(merged_into=incident).count() == 20
