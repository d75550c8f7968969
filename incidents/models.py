"""Incidents and their timeline."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Exists, OuterRef, Q, Value
from django.db.models.functions import Cast, Concat
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
    return ["triggered", "acknowledged", "escalated", "reassigned", "changed", "resolved"]


class IncidentQuerySet(models.QuerySet):
    def open(self):
        """Work that somebody still has to do."""
        return self.filter(status__in=states.OPEN)


class Incident(models.Model):
    """Work for people: what is wrong, who has it, and who is called next."""

    number = models.BigAutoField(primary_key=True)
    title = models.CharField(max_length=1024)
    description = models.TextField(blank=True)
    service = models.ForeignKey(Service, on_delete=models.PROTECT, related_name="incidents")
    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="incidents")
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
