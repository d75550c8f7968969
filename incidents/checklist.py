"""Tasks: what is to be done about an incident, by whom, and what is done. They may outlive its end.

The open ones of a merged incident go on in the other one: see merging.py.
"""

from django.db import transaction

from accounts.permissions import may_once_seen
from core.errors import DomainError, NotFound
from incidents import lifecycle, states, timeline
from incidents.models import Task
from notifications.message import storable

LONGEST_TEXT = Task._meta.get_field("text").max_length
MOST = 200
KEEP = object()  # the assignee stays who it is


@transaction.atomic
def add(number, *, text, by, now, assignee=None, via="web"):
    """Put a task on the list. Returns it. Raises DomainError when it is empty or its person may not respond."""
    incident = _changeable(number, by=by, now=now)
    text = _clean(text)
    _check(assignee, incident)
    if incident.tasks.count() >= MOST:
        raise DomainError(f"There are {MOST} tasks already. Remove some, or write them where such a list belongs.")
    task = Task.objects.create(incident=incident, text=text, assignee=assignee, created_by=by, created_at=now)
    to = f" for {assignee}" if assignee else ""
    timeline.record(incident, "task_added", f"Task{to}: {text}", at=now, by=by, via=via, task=task.pk)
    return task


@transaction.atomic
def edit(number, task, *, by, now, text=None, assignee=KEEP, via="web"):
    """Change the words of a task, or who does it (None: nobody in particular). Returns it."""
    incident = _changeable(number, by=by, now=now)
    row = _of(incident, task)
    changes = []
    if text is not None and _clean(text) != row.text:
        row.text = _clean(text)
        changes.append("its words changed")
    if assignee is not KEEP and (assignee and assignee.pk) != row.assignee_id:
        _check(assignee, incident)
        row.assignee = assignee
        changes.append(f"it is for {assignee} now" if assignee else "it is for nobody in particular now")
    if not changes:
        return row
    row.save(update_fields=["text", "assignee"])
    said = f"Task “{row.text}”: {' and '.join(changes)}."
    timeline.record(incident, "task_edited", said, at=now, by=by, via=via, task=row.pk)
    return row


@transaction.atomic
def complete(number, task, *, by, now, via="web"):
    """Tick a task off. Twice is harmless, and the first one did it."""
    incident = _changeable(number, by=by, now=now)
    row = _of(incident, task)
    if row.done_at is None:
        row.done_by, row.done_at = by, now
        row.save(update_fields=["done_by", "done_at"])
        timeline.record(incident, "task_done", f"Done: {row.text}", at=now, by=by, via=via, task=row.pk)
    return row


@transaction.atomic
def reopen(number, task, *, by, now, via="web"):
    """Put a task that was ticked off back on the list. Twice is harmless."""
    incident = _changeable(number, by=by, now=now)
    row = _of(incident, task)
    if row.done_at is not None:
        row.done_by = row.done_at = None
        row.save(update_fields=["done_by", "done_at"])
        timeline.record(incident, "task_reopened", f"To do again: {row.text}", at=now, by=by, via=via, task=row.pk)
    return row


@transaction.atomic
def remove(number, task, *, by, now, via="web"):
    """Take a task off the list; the timeline remembers it."""
    incident = _changeable(number, by=by, now=now)
    row = _of(incident, task)
    timeline.record(incident, "task_removed", f"Task removed: {row.text}", at=now, by=by, via=via, task=row.pk)
    row.delete()
    return incident


def _changeable(number, *, by, now):
    incident = lifecycle.locked(number)
    if incident.status == states.CLOSED or incident.merged_into_id:  # nobody looks at the list of a merged one
        raise lifecycle.refused(incident, "list", by=by, now=now)
    return incident


def _of(incident, task):
    """The Task of the incident by its number (or the row itself), locked with it. Raises NotFound."""
    pk = getattr(task, "pk", task)
    row = incident.tasks.select_related("assignee", "done_by").filter(pk=pk).first()
    if row is None:
        raise NotFound(f"Incident #{incident.pk} has no such task. Somebody may have removed it.")
    return row


def _clean(text):
    text = " ".join(storable(text).split())
    if not text:
        raise DomainError("The task is empty. Write what is to be done.")
    if len(text) > LONGEST_TEXT:
        raise DomainError(f"A task has at most {LONGEST_TEXT} characters. Put the rest into a note.")
    return text


def _check(person, incident):
    if person is None:
        return
    if not person.is_active:
        raise DomainError(f"{person} is deactivated. Choose somebody who is active.")
    if not may_once_seen(person, "respond", incident):
        raise DomainError(f"{person} may only look at incidents. Choose a responder.")
