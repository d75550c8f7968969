"""Incidents and their timeline."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVector
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Exists, F, OuterRef, Q, Value
from django.db.models.functions import Cast, Concat, Left
from django.utils import timezone

from accounts import audited
from accounts.models import Team
from catalog.models import Service
from incidents import states
from notifications.message import CALLS
from notifications.models import Destination, Notification


class Severity(models.TextChoices):
    CRITICAL = "critical", "Critical"
    HIGH = "high", "High"
    MEDIUM = "medium", "Medium"
    LOW = "low", "Low"
    INFO = "info", "Info"


class Priority(models.TextChoices):
    P1 = "P1"
    P2 = "P2"
    P3 = "P3"
    P4 = "P4"
    P5 = "P5"


def all_events():
    return ["triggered", "acknowledged", "escalated", "reassigned", "changed", "resolved", "update"]


# The words of an incident that people look for. “simple” keeps them as they are: names of hosts and errors have no
# stem. The index is of this expression, so a search has to use the same.
WORDS = SearchVector("title", "impact", "resolution_note", Left("description", 4000), config="simple")


class IncidentQuerySet(models.QuerySet):
    def open(self):
        """Work that somebody still has to do."""
        return self.filter(status__in=states.OPEN)


class Incident(models.Model):
    """Work for people: what is wrong, who has it, and who is called next."""

    number = models.BigAutoField(primary_key=True)
    title = models.CharField(max_length=1024)
    description = models.TextField(blank=True)
    # Their indexes are incident_by_service and incident_by_team, which also give the order of lists.
    service = models.ForeignKey(Service, on_delete=models.PROTECT, related_name="incidents", db_index=False)
    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="incidents", db_index=False)
    severity = models.CharField(max_length=10, choices=Severity.choices)
    priority = models.CharField(max_length=2, choices=Priority.choices)
    urgency = models.CharField(max_length=10, choices=[("high", "High"), ("low", "Low")])
    status = models.CharField(max_length=20, choices=states.CHOICES, default=states.TRIGGERED)
    triggered_at = models.DateTimeField()
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    resolved_at = models.DateTimeField(null=True, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)
    acknowledged_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    resolved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    assignee = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="assigned_incidents"
    )
    resolution_note = models.TextField(blank=True)
    impact = models.CharField(
        max_length=300, blank=True, default="", db_default="", help_text="What users notice, in one sentence."
    )
    # Merged: its work goes on in the other one. Where it stood is kept, so that it can be taken out again.
    merged_into = models.ForeignKey("self", on_delete=models.PROTECT, null=True, blank=True, related_name="merged")
    merged_at = models.DateTimeField(null=True, blank=True)
    status_before_merge = models.CharField(
        max_length=20, choices=states.CHOICES, blank=True, default="", db_default=""
    )

    # The escalation. The policy is a copy: editing it later changes nothing here. See incidents/escalation.py.
    policy = models.JSONField(default=dict, help_text="The escalation policy as it was when the incident triggered.")
    escalation_round = models.PositiveIntegerField(default=0)
    escalation_level = models.PositiveIntegerField(default=0, help_text="The level called last; 0 before the first.")
    next_escalation_at = models.DateTimeField(null=True, blank=True)
    page_number = models.PositiveIntegerField(default=0, help_text="Counts the times people were called, ever.")
    snoozed_until = models.DateTimeField(
        null=True, blank=True, help_text="Nobody is called until then. Still open at that time: it calls again."
    )

    # Which later alerts join this incident instead of opening another: those of the same service and group, until the
    # group is frozen. What a group is, the floor above decides.
    group_key = models.CharField(max_length=100, blank=True)
    group_until = models.DateTimeField(null=True, blank=True, help_text="Empty: the group is frozen.")

    team_paths = ("team",)
    objects = IncidentQuerySet.as_manager()

    class Meta:
        ordering = ["-number"]
        indexes = [
            models.Index(
                fields=["next_escalation_at"],
                name="incident_escalation_due",
                condition=Q(next_escalation_at__isnull=False),
            ),
            models.Index(
                fields=["snoozed_until"], name="incident_snooze_due", condition=Q(snoozed_until__isnull=False)
            ),
            models.Index(
                fields=["service", "group_key", "group_until"],
                name="incident_open_by_group",
                condition=Q(status__in=states.OPEN),
            ),
            models.Index(fields=["triggered_at"], name="incident_by_time"),
            GinIndex(WORDS, name="incident_by_words"),
            # Lists of a million incidents: each of these is read in the order in which it is shown.
            models.Index(fields=["service", "-number"], name="incident_by_service"),
            models.Index(fields=["team", "-number"], name="incident_by_team"),
            models.Index(fields=["priority", "-number"], name="incident_by_priority"),
            models.Index(fields=["severity", "-number"], name="incident_by_severity"),
            models.Index(fields=["-number"], name="incident_open", condition=Q(status__in=states.OPEN)),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(next_escalation_at__isnull=True) | Q(status=states.TRIGGERED),
                name="only_triggered_incidents_escalate",
            ),
            models.CheckConstraint(
                condition=Q(resolved_at__isnull=False) | ~Q(status__in=[states.RESOLVED, states.CLOSED]),
                name="resolved_incident_has_a_time",
            ),
            models.CheckConstraint(
                condition=Q(merged_into__isnull=True)
                | Q(status__in=[states.RESOLVED, states.CLOSED], merged_at__isnull=False) & ~Q(status_before_merge=""),
                name="merged_incident_is_over",
            ),
            models.CheckConstraint(
                condition=Q(merged_into__isnull=True) | ~Q(merged_into=F("pk")),
                name="no_incident_is_merged_into_itself",
            ),
        ]

    def __str__(self):
        return f"#{self.number} {self.title}"

    @classmethod
    def called(cls, user):
        """Whoever has it or was called to it answers it, whosever it is: nobody is locked out of it."""
        topic = Concat(Value("incident:"), Cast(OuterRef("pk"), models.TextField()))
        return Q(assignee=user) | Exists(Notification.objects.filter(topic=topic, user=user, kind__in=sorted(CALLS)))

    shown_although_hidden = called  # also in a private team of others

    @property
    def topic(self):
        return f"incident:{self.number}"

    @property
    def share(self):
        """Whose turn its messages use: no service waits behind another's storm."""
        return f"service:{self.service_id}"

    @property
    def is_open(self):
        return self.status in states.OPEN


class TimelineEntry(models.Model):
    """What happened, and why. The database refuses to change or delete one. Its number is also the live feed's."""

    id = models.BigAutoField(primary_key=True)
    incident = models.ForeignKey(Incident, on_delete=models.PROTECT, related_name="timeline")
    kind = models.CharField(max_length=40)
    at = models.DateTimeField()
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    via = models.CharField(max_length=20, blank=True, help_text="web, api, link, source, system …")
    text = models.TextField()
    data = models.JSONField(default=dict, blank=True, help_text="Reasons and figures behind the text.")
    recorded_at = models.DateTimeField(default=timezone.now)

    team_paths = ("incident__team",)

    class Meta:
        ordering = ["incident", "id"]
        verbose_name_plural = "timeline entries"

    def __str__(self):
        return f"#{self.incident_id} {self.kind}"

    @classmethod
    def shown_although_hidden(cls, user):
        return Exists(Incident.objects.filter(Incident.shown_although_hidden(user), pk=OuterRef("incident")))


class Subscription(models.Model):
    """A destination that is told of the incidents of a team, or of one service, from a severity on."""

    class Event(models.TextChoices):
        TRIGGERED = "triggered", "Triggered"
        ACKNOWLEDGED = "acknowledged", "Acknowledged"
        ESCALATED = "escalated", "Escalated"
        REASSIGNED = "reassigned", "Reassigned"
        CHANGED = "changed", "Title, priority or status changed"
        NOTE = "note", "Note added"
        RESOLVED = "resolved", "Resolved"
        UPDATE = "update", "Update for stakeholders"

    destination = models.ForeignKey(Destination, on_delete=models.CASCADE, related_name="subscriptions")
    team = models.ForeignKey(Team, on_delete=models.CASCADE, null=True, blank=True, related_name="subscriptions")
    service = models.ForeignKey(Service, on_delete=models.CASCADE, null=True, blank=True, related_name="subscriptions")
    events = ArrayField(
        models.CharField(max_length=20, choices=Event.choices),
        default=all_events,
        help_text="What it is told of.",
    )
    minimum_severity = models.CharField(
        max_length=10, choices=Severity.choices, default=Severity.INFO, help_text="Nothing below it is told."
    )
    opens_channel = models.BooleanField(
        "opens a channel",
        default=False,
        help_text="Slack only: each incident gets a channel of its own, in which its responders are invited.",
    )

    team_paths = ("team", "service__team")
    audit_parent = "destination"
    objects = audited.Rows.as_manager()

    class Meta:
        ordering = ["destination", "id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(team__isnull=True) ^ Q(service__isnull=True),
                name="subscription_is_of_a_team_or_a_service",
                violation_error_message="Choose a team or a service, not both.",
            ),
            models.UniqueConstraint(
                fields=["destination", "team"],
                name="one_subscription_per_destination_and_team",
                violation_error_message="This destination is told of this team already.",
            ),
            models.UniqueConstraint(
                fields=["destination", "service"],
                name="one_subscription_per_destination_and_service",
                violation_error_message="This destination is told of this service already.",
            ),
        ]

    def __str__(self):
        return f"{self.destination}: {self.team or self.service} from {self.minimum_severity}"

    def clean(self):
        if self.destination_id and self.destination.is_outside:
            raise ValidationError({"destination": "This is a reader of a status page. Choose another."})


class Responder(models.Model):
    """Somebody who works on an incident besides its assignee, and as what."""

    class Role(models.TextChoices):
        COMMANDER = "commander", "Commander"
        RESPONDER = "responder", "Responder"
        SCRIBE = "scribe", "Scribe"

    incident = models.ForeignKey(Incident, on_delete=models.CASCADE, related_name="responders")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="responding")
    role = models.CharField(max_length=20, choices=Role.choices, default=Role.RESPONDER)
    added_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    added_at = models.DateTimeField()
    joined_at = models.DateTimeField(null=True, blank=True, help_text="When they said that they are on it.")
    declined_at = models.DateTimeField(null=True, blank=True)

    team_paths = ("incident__team",)

    class Meta:
        ordering = ["incident", "added_at", "id"]
        constraints = [
            models.UniqueConstraint(fields=["incident", "user"], name="one_role_per_responder"),
            models.UniqueConstraint(
                fields=["incident"], condition=Q(role="commander"), name="one_commander_per_incident"
            ),
            models.CheckConstraint(
                condition=Q(joined_at__isnull=True) | Q(declined_at__isnull=True), name="responder_joined_or_declined"
            ),
        ]

    def __str__(self):
        return f"#{self.incident_id} {self.user}: {self.get_role_display()}"


class Task(models.Model):
    """Something to do about an incident."""

    incident = models.ForeignKey(Incident, on_delete=models.CASCADE, related_name="tasks")
    text = models.CharField(max_length=500)
    assignee = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField()
    done_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    done_at = models.DateTimeField(null=True, blank=True)
    # Of which merged incident it came along; it goes back there when that is taken out again.
    merged_from = models.ForeignKey(Incident, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")

    team_paths = ("incident__team",)

    class Meta:
        ordering = ["incident", "created_at", "id"]

    def __str__(self):
        return self.text


class Follower(models.Model):
    """A person who is told of the updates for stakeholders of one incident, and of its end."""

    incident = models.ForeignKey(Incident, on_delete=models.CASCADE, related_name="followers")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="following")
    since = models.DateTimeField()

    team_paths = ("incident__team",)

    class Meta:
        ordering = ["incident", "since", "id"]
        constraints = [models.UniqueConstraint(fields=["incident", "user"], name="one_follower_per_person")]

    def __str__(self):
        return f"#{self.incident_id} {self.user}"


class SavedView(models.Model):
    """Filters of the list of incidents under a name: a person's own, or their team's."""

    name = models.CharField(max_length=60)
    query = models.CharField(max_length=1000, blank=True, help_text="The filters, as they stand in the address.")
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="saved_views")
    team = models.ForeignKey(
        Team,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="saved_views",
        help_text="The team that sees it too. Empty: its owner only.",
    )
    created_at = models.DateTimeField(default=timezone.now)

    team_paths = ("team",)
    objects = audited.Rows.as_manager()

    class Meta:
        ordering = ["name", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["owner", "name"],
                name="one_saved_view_per_name",
                violation_error_message="You have a view of this name already. Choose another, or delete that one.",
            )
        ]

    def __str__(self):
        return self.name
