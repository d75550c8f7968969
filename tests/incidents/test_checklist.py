"""The tasks of an incident."""

import datetime as dt

import pytest

from accounts.models import Role
from core.errors import DomainError, IllegalMove, NotFound
from incidents import checklist, lifecycle
from tests import factories

MINUTE = dt.timedelta(minutes=1)


@pytest.fixture
def incident(service, now):
    return lifecycle.trigger(service, title="Checkout is down", severity="critical", now=now)


def texts(incident, kind):
    return list(incident.timeline.filter(kind=kind).values_list("text", flat=True))


def test_a_task_is_added_done_and_taken_back(incident, alice, bob, now):
    task = checklist.add(incident.pk, text=" Call the\nprovider ", assignee=bob, by=alice, now=now)
    assert (task.text, task.assignee, task.created_by) == ("Call the provider", bob, alice)
    assert texts(incident, "task_added") == ["Task for Bob: Call the provider"]
    checklist.complete(incident.pk, task.pk, by=bob, now=now + MINUTE)
    task.refresh_from_db()
    assert (task.done_by, task.done_at) == (bob, now + MINUTE)
    assert texts(incident, "task_done") == ["Done: Call the provider"]
    checklist.reopen(incident.pk, task, by=alice, now=now)
    task.refresh_from_db()
    assert (task.done_by, task.done_at) == (None, None)


def test_the_first_who_ticks_it_off_did_it(incident, alice, bob, now):
    task = checklist.add(incident.pk, text="Call", by=alice, now=now)
    checklist.complete(incident.pk, task.pk, by=alice, now=now)
    checklist.complete(incident.pk, task.pk, by=bob, now=now + MINUTE)
    task.refresh_from_db()
    assert task.done_by == alice and len(texts(incident, "task_done")) == 1


def test_words_and_person_change_and_nothing_is_said_when_nothing_does(incident, alice, bob, now):
    task = checklist.add(incident.pk, text="Call", assignee=bob, by=alice, now=now)
    checklist.edit(incident.pk, task.pk, text="Call", by=alice, now=now)
    assert texts(incident, "task_edited") == []
    checklist.edit(incident.pk, task.pk, text="Call them", assignee=None, by=alice, now=now)
    task.refresh_from_db()
    assert (task.text, task.assignee) == ("Call them", None)
    assert texts(incident, "task_edited") == [
        "Task “Call them”: its words changed and it is for nobody in particular now."
    ]


def test_a_task_that_is_removed_stays_in_the_timeline(incident, alice, now):
    task = checklist.add(incident.pk, text="Call", by=alice, now=now)
    checklist.remove(incident.pk, task.pk, by=alice, now=now)
    assert not incident.tasks.exists() and texts(incident, "task_removed") == ["Task removed: Call"]


def test_an_empty_one_and_a_book_are_refused(incident, alice, now):
    with pytest.raises(DomainError, match="empty"):
        checklist.add(incident.pk, text=" \n ", by=alice, now=now)
    with pytest.raises(DomainError, match="at most 500"):
        checklist.add(incident.pk, text="x" * 501, by=alice, now=now)


def test_a_task_of_another_incident_is_not_found(incident, alice, now):
    task = factories.TaskFactory()
    for verb in (checklist.complete, checklist.reopen, checklist.remove):
        with pytest.raises(NotFound, match="no such task"):
            verb(incident.pk, task.pk, by=alice, now=now)
    task.refresh_from_db()
    assert task.done_at is None


def test_it_is_for_somebody_who_may_respond(incident, alice, now):
    with pytest.raises(DomainError, match="may only look"):
        checklist.add(incident.pk, text="Call", assignee=factories.UserFactory(role=Role.OBSERVER), by=alice, now=now)
    with pytest.raises(DomainError, match="deactivated"):
        checklist.add(incident.pk, text="Call", assignee=factories.UserFactory(is_active=False), by=alice, now=now)


def test_tasks_outlive_the_end_and_not_the_closing(incident, alice, now):
    lifecycle.resolve(incident.pk, by=alice, now=now)
    task = checklist.add(incident.pk, text="Write it down", by=alice, now=now)
    lifecycle.close(incident.pk, by=alice, now=now)
    with pytest.raises(IllegalMove, match="You closed it 1 m 0 s ago"):
        checklist.complete(incident.pk, task.pk, by=alice, now=now + MINUTE)


def test_the_list_has_an_end(incident, alice, now):
    for number in range(checklist.MOST):
        factories.TaskFactory(incident=incident, text=f"Task {number}")
    with pytest.raises(DomainError, match="200 tasks already"):
        checklist.add(incident.pk, text="One more", by=alice, now=now)
