"""Incidents: what is wrong, and one address per verb. Every verb answers with the incident's new state."""

import datetime as dt

import django_filters
from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, status
from rest_framework.decorators import action
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from accounts.api import PersonFilter, TeamFilter
from accounts.models import User
from accounts.permissions import may, visible
from catalog.api import ServiceFilter
from core.errors import NotAllowed, NotFound
from core.rest import NUMBER, UUID, Edge, Filters, MomentFilter, ReadViewSet, WordsFilter, read_body
from incidents import checklist, figures, lifecycle, merging, responding, states, updates
from incidents.models import Incident, Priority, Severity, TimelineEntry
from incidents.replies import links
from incidents.shapes import (
    AcknowledgedShape,
    AcknowledgeShape,
    AddRespondersShape,
    EscalateShape,
    FollowersShape,
    IncidentEditShape,
    IncidentShape,
    IncidentSummaryShape,
    MergeShape,
    MetricsShape,
    NewIncidentShape,
    NewTaskShape,
    NoteShape,
    ReassignShape,
    ResolveShape,
    ResponderEditShape,
    ResponderShape,
    SnoozeShape,
    SummaryWithAnswersShape,
    TaskEditShape,
    TaskShape,
    TimelineShape,
    UpdateShape,
)
from notifications import api as notifications_api
from notifications import history
from notifications.message import Kind
from notifications.models import Notification

# --- filters --------------------------------------------------------------------------------------------------


class StatusFilter(WordsFilter):
    """A status, or `open` for all that are work still."""

    def __init__(self, **kwargs):
        super().__init__(choices=[("open", "Open"), *states.CHOICES], **kwargs)

    def filter(self, qs, value):
        return super().filter(qs, [*value, *states.OPEN] if value and "open" in value else value)


class IncidentFilters(Filters):
    status = StatusFilter()
    severity = WordsFilter(choices=Severity.choices)
    priority = WordsFilter(choices=Priority.choices)
    service = ServiceFilter()
    team = TeamFilter()
    assignee = PersonFilter(label="Email or UUID.")
    merged_into = django_filters.NumberFilter(
        field_name="merged_into", label="Number of the one into which they were merged."
    )
    q = django_filters.CharFilter(field_name="title", lookup_expr="icontains", label="Words of the title.")
    since = MomentFilter(field_name="triggered_at", lookup_expr="gte", label="Triggered at this time or later.")
    until = MomentFilter(field_name="triggered_at", lookup_expr="lt", label="Triggered before this time.")


# --- views ----------------------------------------------------------------------------------------------------


INCIDENTS = Incident.objects.select_related("service", "team", "assignee", "acknowledged_by", "resolved_by")


def _answer(incident, request, code=status.HTTP_200_OK):
    """The incident's new state. Read again: a verb loads only what it needs."""
    shape = IncidentShape(INCIDENTS.get(pk=incident.pk), context={"user": request.user})
    return Response(shape.data, status=code)


def _caller(request):
    """The arguments that every verb takes from its request."""
    return {"by": request.user, "now": timezone.now(), "via": "api"}


class IncidentViewSet(mixins.CreateModelMixin, mixins.UpdateModelMixin, ReadViewSet):
    resource = "incidents"
    sentences = ("policy", "text", "reasons")
    is_paging = True
    queryset = INCIDENTS
    serializer_class = IncidentShape
    filterset_class = IncidentFilters
    ordering = ("-number",)
    lookup_field = "number"
    lookup_value_regex = NUMBER
    http_method_names = ["get", "post", "patch", "delete", "head", "options"]

    def get_serializer_context(self):
        return {**super().get_serializer_context(), "user": self.request.user}

    def initial(self, request, *args, **kwargs):
        super().initial(request, *args, **kwargs)
        if self.detail:
            self.get_object()  # what is hidden is not there, and every verb asks whether it may

    @extend_schema(request=NewIncidentShape, responses={201: IncidentShape})
    def create(self, request):
        """Open an incident by hand and call the first level."""
        incident = self.do(lifecycle.trigger, **read_body(NewIncidentShape, request), **_caller(request))
        return _answer(incident, request, status.HTTP_201_CREATED)

    @extend_schema(request=IncidentEditShape)
    def partial_update(self, request, number):
        """Change title, description, impact, severity or priority. Everything else has a verb."""
        return _answer(lifecycle.edit(number, **read_body(IncidentEditShape, request), **_caller(request)), request)

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def acknowledge(self, request, number):
        """Take it: its escalation stops. Twice is harmless."""
        return _answer(lifecycle.acknowledge(number, **_caller(request)), request)

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def start(self, request, number):
        """Begin to investigate."""
        return _answer(lifecycle.start(number, **_caller(request)), request)

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def remediate(self, request, number):
        """Begin to repair."""
        return _answer(lifecycle.remediate(number, **_caller(request)), request)

    @extend_schema(request=ResolveShape)
    @action(detail=True, methods=["post"])
    def resolve(self, request, number):
        """End it, from any open state. Its firing alerts end with it."""
        return _answer(lifecycle.resolve(number, **read_body(ResolveShape, request), **_caller(request)), request)

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def close(self, request, number):
        """Put a resolved incident away."""
        return _answer(lifecycle.close(number, **_caller(request)), request)

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def escalate(self, request, number):
        """Call the next level now."""
        return _answer(lifecycle.escalate(number, **_caller(request)), request)

    @extend_schema(request=ReassignShape)
    @action(detail=True, methods=["post"])
    def reassign(self, request, number):
        """Give it to somebody and page them."""
        to = read_body(ReassignShape, request)["user"]
        return _answer(lifecycle.reassign(number, to=to, **_caller(request)), request)

    @extend_schema(request=SnoozeShape)
    @action(detail=True, methods=["post"])
    def snooze(self, request, number):
        """Call nobody until then. Still open at that time, it calls again."""
        given, caller = read_body(SnoozeShape, request), _caller(request)
        until = given.get("until") or caller["now"] + dt.timedelta(minutes=given["minutes"])
        return _answer(lifecycle.snooze(number, until=until, **caller), request)

    @extend_schema(request=MergeShape)
    @action(detail=True, methods=["post"])
    def merge(self, request, number):
        """Let its work go on in another one, with its alerts and open tasks. It is resolved, and calls nobody."""
        into = read_body(MergeShape, request)["into"]
        target = visible(Incident.objects.filter(pk=into), request.user).first()
        if target is None:
            raise NotFound(f"There is no incident #{into}.")
        if not may(request.user, "respond", target):
            raise NotAllowed(f"You may not respond to #{into}. Ask somebody of the team {target.team}.")
        return _answer(merging.merge(number, into=into, **_caller(request)), request)

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def unmerge(self, request, number):
        """Take it out again: its alerts and tasks go back, and it stands where it stood."""
        return _answer(merging.unmerge(number, **_caller(request)), request)

    @extend_schema(request=UpdateShape, responses={201: IncidentShape})
    @action(detail=True, methods=["post"])
    def updates(self, request, number):
        """Tell the stakeholders how it stands: subscribed destinations, and whoever follows."""
        incident = updates.post(number, **read_body(UpdateShape, request), **_caller(request))
        return _answer(incident, request, status.HTTP_201_CREATED)

    @extend_schema(request=None, responses=FollowersShape)
    @action(detail=True, methods=["post"], change_verb="read")
    def followers(self, request, number):
        """Follow it: you are told of updates and of its end."""
        updates.follow(number, request.user, now=timezone.now())
        return self._followers(request)

    @extend_schema(request=None, responses={200: FollowersShape})
    @followers.mapping.delete
    def unfollow(self, request, number):
        """Hear no more of it."""
        updates.unfollow(number, request.user)
        return self._followers(request)

    def _followers(self, request):
        rows = self.get_object().followers
        mine = rows.filter(user=request.user).exists()
        return Response({"is_following": mine, "count": rows.count()})

    @extend_schema(responses=TaskShape(many=True), filters=False)
    @action(detail=True, filterset_class=None, pagination_class=None, serializer_class=TaskShape)
    def tasks(self, request, number):
        """What is to be done about it, oldest first."""
        rows = self.get_object().tasks.select_related("assignee", "created_by", "done_by")
        return Response(TaskShape(rows, many=True).data)

    @extend_schema(request=NewTaskShape, responses={201: TaskShape})
    @tasks.mapping.post
    def add_task(self, request, number):
        """Put a task on the list."""
        task = checklist.add(number, **read_body(NewTaskShape, request), **_caller(request))
        return Response(TaskShape(task).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=TaskEditShape, responses=TaskShape)
    @action(detail=True, methods=["patch"], url_path=f"tasks/(?P<task>{NUMBER})")
    def task(self, request, number, task):
        """Change its words or its person, tick it off or take that back: all or nothing."""
        given, caller = read_body(TaskEditShape, request), _caller(request)
        with transaction.atomic():
            is_done = given.pop("is_done", None)
            row = checklist.edit(number, task, **given, **caller)
            if is_done is not None:
                row = (checklist.complete if is_done else checklist.reopen)(number, task, **caller)
        return Response(TaskShape(row).data)

    @extend_schema(responses={204: None})
    @task.mapping.delete
    def remove_task(self, request, number, task):
        """Take a task off the list."""
        checklist.remove(number, task, **_caller(request))
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(responses=TimelineShape(many=True), filters=False)
    @action(detail=True, filterset_class=None, ordering=("id",), serializer_class=TimelineShape)
    def notes(self, request, number):
        """The notes of people, oldest first."""
        return self._timeline(kind="note")

    @extend_schema(request=NoteShape, responses={201: IncidentShape})
    @notes.mapping.post
    def add_note(self, request, number):
        """Write a note into the timeline."""
        incident = lifecycle.add_note(number, **read_body(NoteShape, request), **_caller(request))
        return _answer(incident, request, status.HTTP_201_CREATED)

    @extend_schema(responses=TimelineShape(many=True), filters=False)
    @action(detail=True, filterset_class=None, ordering=("id",), serializer_class=TimelineShape)
    def timeline(self, request, number):
        """What happened, and why, oldest first."""
        return self._timeline()

    def _timeline(self, **wanted):
        rows = TimelineEntry.objects.filter(incident=self.get_object(), **wanted).select_related("by")
        return self.get_paginated_response(TimelineShape(self.paginate_queryset(rows), many=True).data)

    @extend_schema(responses=MetricsShape)
    @action(detail=True)
    def metrics(self, request, number):
        """How fast it was answered and resolved, and whether that met the target."""
        return Response(figures.of(self.get_object(), now=timezone.now()))

    @extend_schema(responses=ResponderShape(many=True), filters=False)
    @action(detail=True, filterset_class=None, pagination_class=None)
    def responders(self, request, number):
        """Who was told about it, has it or was asked to help, first told first."""
        return Response(ResponderShape(_responders(self.get_object()), many=True).data)

    @extend_schema(request=AddRespondersShape, responses={201: ResponderShape(many=True)})
    @responders.mapping.post
    def add_responders(self, request, number):
        """Ask people to help, and page each of them once."""
        incident = responding.add(number, **read_body(AddRespondersShape, request), **_caller(request))
        return self._team(incident, status.HTTP_201_CREATED)

    @extend_schema(request=ResponderEditShape, responses=ResponderShape(many=True))
    @action(
        detail=True,
        methods=["patch"],
        url_path=f"responders/(?P<user>{UUID})",
        filterset_class=None,
        pagination_class=None,
    )
    def responder(self, request, number, user):
        """Give somebody a role, or join or decline yourself."""
        given, caller = read_body(ResponderEditShape, request), _caller(request)
        person = self._person(number, user)
        if "role" in given:
            return self._team(responding.set_role(number, person, given["role"], **caller))
        if person != request.user:
            raise NotAllowed(f"Only {person} can join or decline for themselves.")
        if given["state"] == "joined":
            return self._team(responding.join(number, **caller))
        return self._team(responding.decline(number, reason=given.get("reason", ""), **caller))

    @extend_schema(responses={204: None})
    @responder.mapping.delete
    def remove_responder(self, request, number, user):
        """Take somebody off the incident, and stop asking them."""
        responding.remove(number, self._person(number, user), **_caller(request))
        return Response(status=status.HTTP_204_NO_CONTENT)

    def _person(self, number, user):
        """The person of the address: who is on the incident, or oneself."""
        found = User.objects.filter(Q(responding__incident=number) | Q(pk=self.request.user.pk), uuid=user).first()
        if found is None:
            raise NotFound(f"Nobody with this UUID works on incident #{int(number)}.")
        return found

    def _team(self, incident, code=status.HTTP_200_OK):
        incident = INCIDENTS.get(pk=incident.pk)
        return Response(ResponderShape(_responders(incident), many=True).data, status=code)

    @extend_schema(responses=IncidentSummaryShape, filters=True)
    @action(detail=False, url_path="stats/summary", pagination_class=None)
    def summary(self, request):
        """Counts, mean times to acknowledge and to resolve, and how often the target was met."""
        return Response(figures.summary(self.filter_queryset(self.get_queryset())))


class Escalate(Edge, ViewSet):
    resource = "incidents"
    sentences = ("policy",)
    is_paging = True

    @extend_schema(
        operation_id="escalate",
        request=EscalateShape,
        responses={200: IncidentShape, 201: IncidentShape},
    )
    def create(self, request):
        """Call people now: the next level of an incident, or the first level of a new one.

        With `incident` that incident escalates (200). With `service`, `title` and `severity` one is opened (201).
        """
        given = read_body(EscalateShape, request)
        if "incident" in given:
            number = given["incident"]
            if not request.user.visible(Incident.objects.filter(pk=number)).exists():
                raise NotFound(f"There is no incident #{number}.")
            return _answer(self.do(lifecycle.escalate, number, **_caller(request)), request)
        return _answer(self.do(lifecycle.trigger, **given, **_caller(request)), request, status.HTTP_201_CREATED)


def _responders(incident):
    found = {}
    rows = Notification.objects.filter(topic=incident.topic, user__isnull=False)
    rows = rows.select_related("user").order_by("planned_at", "id")
    for row in rows:
        one = found.setdefault(row.user, {"first_told_at": row.planned_at, "acknowledged_at": None, "channels": []})
        if row.channel not in one["channels"]:
            one["channels"].append(row.channel)
        one["acknowledged_at"] = one["acknowledged_at"] or row.acknowledged_at
    team = {row.user: row for row in incident.responders.select_related("user")}
    for user in filter(None, (incident.assignee, incident.acknowledged_by, *team)):
        one = found.setdefault(user, {"first_told_at": None, "acknowledged_at": None, "channels": []})
        if user == incident.acknowledged_by:
            one["acknowledged_at"] = incident.acknowledged_at
    return [
        {
            "user": user,
            "is_assignee": user == incident.assignee,
            "role": team[user].role if user in team else None,
            "joined_at": team[user].joined_at if user in team else None,
            "declined_at": team[user].declined_at if user in team else None,
            **one,
        }
        for user, one in found.items()
    ]


# --- messages about incidents ---------------------------------------------------------------------------------


class NotificationViewSet(notifications_api.NotificationViewSet):
    """The messages, with what only this floor knows: how fast they were answered, and answering by a link."""

    is_paging = True
    http_method_names = ["get", "post", "patch", "head", "options"]

    @extend_schema(responses=SummaryWithAnswersShape, filters=True)
    @action(detail=False, url_path="stats/summary", pagination_class=None)
    def summary(self, request):
        """How many messages went out and arrived, and how fast the incidents behind them were answered."""
        rows, now = self.filter_queryset(self.get_queryset()), timezone.now()
        topics = rows.order_by().filter(kind=Kind.PAGE, topic__startswith="incident:").values_list("topic").distinct()
        numbers = [int(topic.partition(":")[2]) for (topic,) in topics]
        found = figures.answers(Incident.objects.filter(pk__in=numbers), now=now)
        return Response({**history.figures(rows, now=now), **found})

    @extend_schema(request=AcknowledgeShape, responses=AcknowledgedShape, filters=False, auth=[])
    @action(
        detail=False,
        methods=["post"],
        pagination_class=None,
        authentication_classes=[],
        permission_classes=[],
    )
    def acknowledge(self, request):
        """Acknowledge by the token of a link in a message. No key is needed: the token is one, and it works once."""
        token, now = read_body(AcknowledgeShape, request)["token"], timezone.now()
        text, numbers = links.acknowledge(token, now=now)
        return Response({"detail": text, "incidents": numbers})
