"""What is stored here about a person: what they did in incidents."""

from django.db.models import Q

from accounts.privacy import Obstacle, erases, exports, obstacles, rows
from incidents.models import Follower, Incident, Responder, SavedView, Task, TimelineEntry
from notifications.message import CALLS
from notifications.models import Notification


@exports(
    "incidents",
    "incidents.Incident.assignee",
    "incidents.Incident.acknowledged_by",
    "incidents.Incident.resolved_by",
    "incidents.TimelineEntry.by",
)
def _incidents(person):
    names = ("number", "title", "status", "triggered_at", "acknowledged_at", "resolved_at")
    return {
        "assigned": rows(Incident.objects.filter(assignee=person), *names),
        "acknowledged": rows(Incident.objects.filter(acknowledged_by=person), *names),
        "resolved": rows(Incident.objects.filter(resolved_by=person), *names, "resolution_note"),
        "timeline": rows(TimelineEntry.objects.filter(by=person), "incident_id", "at", "kind", "via", "text", "data"),
    }


@exports(
    "working_together",
    "incidents.Responder.user",
    "incidents.Responder.added_by",
    "incidents.Task.assignee",
    "incidents.Task.created_by",
    "incidents.Task.done_by",
    "incidents.Follower.user",
    "incidents.SavedView.owner",
)
def _working_together(person):
    own = Q(assignee=person) | Q(created_by=person) | Q(done_by=person)
    asked = ("incident_id", "role", "added_at", "joined_at", "declined_at")
    return {
        "responding": rows(Responder.objects.filter(user=person), *asked),
        "asked_others": rows(Responder.objects.filter(added_by=person), "incident_id", "role", "added_at"),
        "tasks": rows(Task.objects.filter(own), "incident_id", "text", "created_at", "done_at"),
        "following": rows(Follower.objects.filter(user=person), "incident_id", "since"),
        "saved_views": rows(SavedView.objects.filter(owner=person), "name", "query"),
    }


@obstacles
def _open_work(person, now):
    for one in Incident.objects.open().filter(assignee=person):
        yield Obstacle(f"{person} has incident #{one.pk}. Reassign or resolve it first.")
    for one in Incident.objects.open().filter(next_escalation_at__isnull=False).exclude(assignee=person):
        if _names_person(one.policy, person) or _is_being_called(one, person):
            yield Obstacle(f"Incident #{one.pk} is calling people, and {person} is among them. Acknowledge it first.")


def _names_person(policy, person):
    """Whether the copy of a policy calls the person by name; who is on call is asked of the schedules."""
    targets = [target for level in policy.get("levels", ()) for target in level.get("targets", ())]
    by_name = any(one.get("kind") == "user" and one.get("id") == person.pk for one in targets)
    return by_name or policy.get("fallback_user") == person.pk


def _is_being_called(incident, person):
    waiting = Notification.objects.unsettled().filter(topic=incident.topic, user=person)
    return waiting.filter(Q(kind__in=sorted(CALLS))).exists()


@erases
def _erase(person, traces, now):
    traces.replace_in(TimelineEntry, "text", "data")
    traces.replace_in(Incident, "title", "description", "impact", "resolution_note", "policy")
    traces.replace_in(Task, "text")
