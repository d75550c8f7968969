"""Integrations, the raw events they sent, and the alerts these opened."""

import secrets
import uuid

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from accounts import audited
from accounts.models import Team
from catalog.models import Service
from core.models import DueRow
from core.registry import Registry
from core.secrets import EncryptedTextField
from incidents.models import Incident, Priority, Severity
from oncall.models import EscalationPolicy

sources = Registry("alerts.sources")


# The drop-in addresses of other products.
dialects = Registry("alerts.compat")


def source_choices():
    return [(kind, label) for kind, label in sources.choices() if not sources.classes()[kind].is_internal]


def new_key():
    """A key of 128 bits in 32 hexadecimal characters, the length that PagerDuty's clients expect."""
    return secrets.token_hex(16)


class Integration(models.Model):
    """A door for one monitoring tool. Its key is shown once; only the hash and the last four characters are kept."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(max_length=100)
    source = models.CharField(max_length=30, choices=source_choices)
    service = models.ForeignKey(
        Service,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="integrations",
        help_text="Alerts belong to this service unless they or a routing rule name another. Empty: the team's.",
    )
    team = models.ForeignKey(
        Team,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="integrations",
        help_text="Without a service: alerts that nothing else routes go to the service that takes the rest of "
        "this team. It is made when it is first needed.",
    )
    may_choose_service = models.BooleanField(
        default=True, help_text="An alert may name another service by its slug or routing key."
    )
    default_severity = models.CharField(max_length=10, choices=Severity.choices, default=Severity.MEDIUM)
    signing_secret = EncryptedTextField(
        blank=True, help_text="When set, every request must carry a valid HMAC signature."
    )
    options = models.JSONField(default=dict, blank=True, help_text="What this kind of source can be told.")

    # Which alerts are the same, and which share an incident.
    dedup_fields = ArrayField(
        models.CharField(max_length=200),
        default=list,
        blank=True,
        help_text="Fields whose values make the dedup key, such as labels.cluster. Empty: the key of the source.",
    )
    group_fields = ArrayField(
        models.CharField(max_length=200),
        default=list,
        blank=True,
        help_text="Alerts of a service with equal values in these fields share an incident. Empty: those of one "
        "severity do.",
    )
    group_window_seconds = models.PositiveIntegerField(
        null=True,
        blank=True,
        help_text="How long an incident takes more alerts. Empty: as the service says. 0: each alert its own.",
    )
    group_slides = models.BooleanField(
        "window slides",
        default=False,
        help_text="Each alert that joins starts the window anew, up to a day. Otherwise it counts from the first.",
    )
    group_freezes_on_acknowledge = models.BooleanField(
        "frozen when acknowledged",
        default=False,
        help_text="Once somebody has the incident, what comes new opens another and pages again.",
    )
    flap_changes = models.PositiveSmallIntegerField(
        default=4,
        help_text="An alert that opened so often within the time below flaps: its incident stays open until it has "
        "been calm for the pause. 0: never.",
    )
    flap_window_seconds = models.PositiveIntegerField(default=900)
    flap_pause_seconds = models.PositiveIntegerField(default=300)
    auto_resolve_seconds = models.PositiveIntegerField(
        null=True,
        blank=True,
        help_text="An alert of which nothing was heard for so long is over. For sources that never say so.",
    )

    # How much it may send.
    events_per_minute = models.PositiveIntegerField(
        null=True,
        blank=True,
        help_text="What comes above this rate is stored and decided later, at this rate. Empty: as fast as it goes.",
    )
    incidents_per_minute = models.PositiveIntegerField(
        null=True,
        blank=True,
        help_text="New alerts above this rate share one incident for the storm. Empty: the setting (60).",
    )

    key_hash = models.CharField(max_length=64, unique=True, editable=False)
    key_last4 = models.CharField(max_length=4, editable=False)
    old_key_hash = models.CharField(max_length=64, blank=True, db_index=True, editable=False)
    old_key_until = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="The key before this one works until then."
    )
    key_expires_at = models.DateTimeField(
        "key expires at",
        null=True,
        blank=True,
        help_text="From then on no key of it works and what it sends is refused. Empty: it works for ever.",
    )
    is_enabled = models.BooleanField("enabled", default=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    last_event_at = models.DateTimeField(null=True, blank=True, editable=False)

    team_paths = ("team", "service__team")
    audit_ignores = ("last_event_at",)
    objects = audited.Rows.as_manager()

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                condition=Q(service__isnull=False) | Q(team__isnull=False),
                name="integration_has_a_service_or_a_team",
                violation_error_message="Choose a service, or a team that takes what names no service.",
            )
        ]

    def __str__(self):
        return f"{self.name} (…{self.key_last4})"


class InboundEvent(DueRow):
    """One accepted request of a source, raw. Kept whatever becomes of it."""

    class State(models.TextChoices):
        PENDING = "pending", "Pending"
        DECIDED = "decided", "Decided"
        FAILED = "failed", "Failed, will be tried again"
        POISON = "poison", "Given up: look at it"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    source = models.CharField(max_length=30)
    # Which key it came through: "integration:7", "service:3" or "api:3". Dedup keys live inside one scope.
    scope = models.CharField(max_length=60)
    # Without indexes of their own: every accepted event would pay for them, and nothing filters by them.
    integration = models.ForeignKey(
        Integration, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", db_index=False
    )
    service = models.ForeignKey(
        Service, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", db_index=False
    )
    body = models.BinaryField(help_text="The request's body, byte for byte.")
    headers = models.JSONField(default=dict, blank=True)
    # Keys that we made for triggers without one, so that deciding again gives the same alert.
    generated_key = models.CharField(max_length=64, blank=True)
    received_at = models.DateTimeField(default=timezone.now)
    state = models.CharField(max_length=10, choices=State.choices, default=State.PENDING)
    decided_at = models.DateTimeField(null=True, blank=True)
    error = models.TextField(blank=True)
    result = models.JSONField(default=list, blank=True, help_text="What became of it: alert, incident, outcome.")

    team_paths = ("integration__team", "integration__service__team", "service__team")

    class Meta:
        ordering = ["-received_at"]
        indexes = [
            models.Index(fields=["due_at"], name="inbound_event_due", condition=Q(state__in=["pending", "failed"])),
            # Whose turn it is: see alerts/backlog.py.
            models.Index(
                fields=["scope", "received_at"],
                name="inbound_event_by_turn",
                condition=Q(state__in=["pending", "failed"]),
            ),
            models.Index(fields=["received_at"], name="inbound_event_by_time"),
            models.Index(
                fields=["integration", "received_at"],
                name="inbound_event_in_trouble",
                condition=Q(state__in=["failed", "poison"]),
            ),
        ]

    def __str__(self):
        return f"{self.source} {self.id}: {self.state}"


class AlertQuerySet(models.QuerySet):
    def firing(self):
        return self.filter(resolved_at=None)


class Alert(models.Model):
    """What a source says is wrong: one per dedup key while it fires."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    scope = models.CharField(max_length=60)
    dedup_key = models.CharField(max_length=255)
    source = models.CharField(max_length=30)
    integration = models.ForeignKey(
        Integration, on_delete=models.SET_NULL, null=True, blank=True, related_name="alerts"
    )
    service = models.ForeignKey(Service, on_delete=models.PROTECT, related_name="alerts")
    incident = models.ForeignKey(Incident, on_delete=models.PROTECT, null=True, blank=True, related_name="alerts")
    # Of which merged incident it came along; it goes back there when that is taken out again.
    merged_from = models.ForeignKey(
        Incident, on_delete=models.PROTECT, null=True, blank=True, related_name="+", db_index=False
    )
    severity = models.CharField(max_length=10, choices=Severity.choices)
    title = models.CharField(max_length=1024)
    description = models.TextField(blank=True)
    labels = models.JSONField(default=dict, blank=True)
    links = models.JSONField(default=list, blank=True)
    occurrences = models.PositiveIntegerField(default=1)
    first_at = models.DateTimeField(help_text="When the source says it began.")
    last_at = models.DateTimeField(help_text="When we last heard of it.")
    changed_at = models.DateTimeField(help_text="The source's time of the last state change.")
    resolved_at = models.DateTimeField(null=True, blank=True)
    resolved_why = models.CharField(max_length=200, blank=True)

    # What routing decided, for when a held alert is let go: see alerts/ingest.py.
    route = models.JSONField(default=dict, blank=True)
    # Held: it fires, and nobody is called for it yet. `held_by` names what holds it, such as "silence:12".
    held_by = models.CharField(max_length=60, blank=True)
    held_why = models.CharField(max_length=500, blank=True)
    held_at = models.DateTimeField(null=True, blank=True)
    recheck_at = models.DateTimeField(null=True, blank=True, help_text="When to look whether it is still held.")
    # The inhibition rules whose source it is.
    inhibits = ArrayField(models.BigIntegerField(), default=list, blank=True)
    resolve_at = models.DateTimeField(null=True, blank=True, help_text="Over at this time if nothing new is heard.")
    resolve_at_why = models.CharField(max_length=200, blank=True)
    flapping_since = models.DateTimeField(null=True, blank=True)

    team_paths = ("service__team",)
    seen_through = ("incident__team",)
    objects = AlertQuerySet.as_manager()

    class Meta:
        ordering = ["-last_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["scope", "dedup_key"], condition=Q(resolved_at=None), name="one_firing_alert_per_dedup_key"
            )
        ]
        indexes = [
            models.Index(fields=["scope", "dedup_key"], name="alert_by_key"),
            models.Index(fields=["last_at"], name="alert_by_time"),
            models.Index(fields=["recheck_at"], name="alert_recheck_due", condition=Q(recheck_at__isnull=False)),
            models.Index(fields=["resolve_at"], name="alert_resolve_due", condition=Q(resolve_at__isnull=False)),
            models.Index(fields=["held_by"], name="alert_held_by", condition=Q(resolved_at=None) & ~Q(held_by="")),
            models.Index(fields=["merged_from"], name="alert_merged_from", condition=Q(merged_from__isnull=False)),
            GinIndex(fields=["inhibits"], name="alert_inhibits", condition=Q(resolved_at=None) & ~Q(inhibits=[])),
        ]

    def __str__(self):
        return self.title

    @property
    def status(self):
        return "firing" if self.resolved_at is None else "resolved"

    @property
    def is_held(self):
        return self.resolved_at is None and bool(self.held_by)

    @classmethod
    def shown_although_hidden(cls, user):
        """The alerts of an incident that somebody was called to."""
        return Exists(Incident.objects.filter(Incident.shown_although_hidden(user), pk=OuterRef("incident")))


class ChangeEvent(models.Model):
    """Something that was done on purpose, such as a deployment. Shown beside incidents; calls nobody."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    integration = models.ForeignKey(
        Integration, on_delete=models.SET_NULL, null=True, blank=True, related_name="changes"
    )
    service = models.ForeignKey(Service, on_delete=models.CASCADE, null=True, blank=True, related_name="changes")
    source = models.CharField(max_length=30)
    title = models.CharField(max_length=1024)
    description = models.TextField(blank=True)
    labels = models.JSONField(default=dict, blank=True)
    links = models.JSONField(default=list, blank=True)
    at = models.DateTimeField(help_text="When the source says it happened.")
    received_at = models.DateTimeField(default=timezone.now)

    team_paths = ("service__team", "integration__team", "integration__service__team")

    class Meta:
        ordering = ["-at"]
        indexes = [models.Index(fields=["service", "at"], name="change_by_service"), models.Index(fields=["at"])]

    def __str__(self):
        return self.title

    @property
    def origin(self):
        """Who says so: the integration by its name, else the kind of source."""
        return self.integration.name if self.integration else dict(sources.choices()).get(self.source, self.source)


class SeenSignature(models.Model):
    """A timestamped signature that was used, kept while it could be replayed."""

    integration = models.ForeignKey(Integration, on_delete=models.CASCADE, related_name="+")
    signature = models.CharField(max_length=128)
    seen_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["integration", "signature"], name="one_use_per_signature"),
        ]

    def __str__(self):
        return f"{self.integration} at {self.seen_at:%H:%M:%S}"


class Rule(models.Model):
    """A routing rule: which alerts it means, when, and what becomes of them. See alerts/routing.py."""

    class Action(models.TextChoices):
        ROUTE = "route", "Route it"
        SUPPRESS = "suppress", "Suppress it: kept as an alert, calls nobody"
        DROP = "drop", "Drop it: only the raw event is kept"

    name = models.CharField(max_length=100)
    integration = models.ForeignKey(
        Integration,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="rules",
        help_text="Empty: a global rule, asked after those of the integration.",
    )
    position = models.PositiveIntegerField(default=100, help_text="Rules are asked in this order, lowest first.")
    is_enabled = models.BooleanField("enabled", default=True)
    condition = models.TextField(blank=True, help_text="Empty: every alert.")
    days = ArrayField(
        models.PositiveSmallIntegerField(),
        default=list,
        blank=True,
        help_text="Days of the week on which it counts, 0 for Monday to 6 for Sunday. Empty: every day.",
    )
    starts_at = models.TimeField(null=True, blank=True, help_text="From this time of day. Empty: the whole day.")
    ends_at = models.TimeField(null=True, blank=True, help_text="To this time; earlier than the start: past midnight.")
    time_zone = models.CharField(max_length=64, blank=True, help_text="Of the days and times, such as Europe/Berlin.")
    action = models.CharField(max_length=10, choices=Action.choices, default=Action.ROUTE)
    service = models.ForeignKey(Service, on_delete=models.CASCADE, null=True, blank=True, related_name="+")
    policy = models.ForeignKey(EscalationPolicy, on_delete=models.CASCADE, null=True, blank=True, related_name="+")
    severity = models.CharField(max_length=10, choices=Severity.choices, blank=True)
    priority = models.CharField(max_length=2, choices=Priority.choices, blank=True)
    title = models.CharField(
        max_length=500,
        blank=True,
        help_text="A new title, with fields in braces: {labels.host}: {title}. Empty: as it came.",
    )
    pages_nobody = models.BooleanField(default=False, help_text="An incident is opened, and nobody is called for it.")
    goes_on = models.BooleanField(
        "later rules count too",
        default=False,
        help_text="They fill in what this rule leaves open. Otherwise the first rule that matches is the last.",
    )

    team_paths = ("integration__team", "integration__service__team")
    seen_through = ("service__team", "policy__team")
    audit_parent = "integration"
    objects = audited.Rows.as_manager()

    class Meta:
        ordering = ["integration", "position", "id"]

    def __str__(self):
        return self.name


class Silence(models.Model):
    """Holds new alerts that match until it ends. Made by a person, here or with amtool."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    condition = models.TextField()
    integration = models.ForeignKey(
        Integration,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="silences",
        help_text="Only its alerts. Empty: those of every source.",
    )
    service = models.ForeignKey(
        Service, on_delete=models.CASCADE, null=True, blank=True, related_name="silences", help_text="Empty: any."
    )
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    reason = models.CharField(max_length=500, help_text="Others read it at three in the morning.")
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="silences"
    )
    made_by = models.CharField(max_length=200, blank=True, help_text="Who made it, where that is no account here.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)
    expired_at = models.DateTimeField(null=True, blank=True, help_text="When somebody ended it early.")
    warn_at = models.DateTimeField(null=True, blank=True, help_text="When its owner is told that it ends soon.")
    due_at = models.DateTimeField(null=True, blank=True, help_text="When somebody must look at it next.")

    team_paths = ("integration__team", "integration__service__team", "service__team")
    audit_ignores = ("updated_at", "warn_at", "due_at")
    objects = audited.Rows.as_manager()

    class Meta:
        ordering = ["-ends_at"]
        indexes = [
            models.Index(fields=["ends_at"], name="silence_by_end"),
            models.Index(fields=["due_at"], name="silence_due", condition=Q(due_at__isnull=False)),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(ends_at__gt=models.F("starts_at")),
                name="silence_ends_after_it_starts",
                violation_error_message="The end must be later than the start.",
            )
        ]

    def __str__(self):
        return f"{self.condition} until {self.ends_at:%Y-%m-%d %H:%M}"


class MaintenanceWindow(models.Model):
    """Planned work: alerts of what is worked on are held while it lasts, once or again and again."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(max_length=200)
    reason = models.CharField(max_length=500, blank=True)
    services = models.ManyToManyField(Service, blank=True, related_name="maintenance_windows")
    teams = models.ManyToManyField(
        Team, blank=True, related_name="maintenance_windows", help_text="All services of these teams."
    )
    condition = models.TextField(
        blank=True, help_text="Only alerts that match. With no service and no team: of any service."
    )
    starts_at = models.DateTimeField(help_text="The first time.")
    ends_at = models.DateTimeField(help_text="The end of the first time.")
    rrule = models.CharField(
        "repeats",
        max_length=1000,
        blank=True,
        help_text="A recurrence rule of iCalendar such as FREQ=WEEKLY;BYDAY=SU. Empty: once.",
    )
    time_zone = models.CharField(max_length=64, default="UTC", help_text="In which it repeats, such as Europe/Berlin.")
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    is_enabled = models.BooleanField("enabled", default=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    ended_at = models.DateTimeField(null=True, blank=True, help_text="When somebody ended it for good.")

    team_paths = ("services__team", "teams")
    objects = audited.Rows.as_manager()

    class Meta:
        ordering = ["-starts_at"]
        constraints = [
            models.CheckConstraint(
                condition=Q(ends_at__gt=models.F("starts_at")),
                name="maintenance_ends_after_it_starts",
                violation_error_message="The end must be later than the start.",
            )
        ]

    def __str__(self):
        return self.name


class InhibitionRule(models.Model):
    """While an alert fires that matches the source, alerts that match the target are held."""

    name = models.CharField(max_length=100)
    integration = models.ForeignKey(
        Integration,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="inhibition_rules",
        help_text="Only its alerts, on both sides. Empty: those of every source.",
    )
    source = models.TextField(help_text="A condition: the alert that says more.")
    target = models.TextField(help_text="A condition: the alerts that need not page beside it.")
    equal = ArrayField(
        models.CharField(max_length=200),
        default=list,
        blank=True,
        help_text="Labels that must have the same value on both sides.",
    )
    is_enabled = models.BooleanField("enabled", default=True)

    team_paths = ("integration__team", "integration__service__team")
    objects = audited.Rows.as_manager()

    class Meta:
        ordering = ["name"]

    def __str__(self):
        return self.name


class Heartbeat(models.Model):
    """A sign of life that is expected again and again. When it stays away, an incident opens."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(max_length=100, unique=True, help_text="Also how Opsgenie's address names it.")
    description = models.TextField(blank=True)
    service = models.ForeignKey(Service, on_delete=models.PROTECT, related_name="heartbeats")
    severity = models.CharField(max_length=10, choices=Severity.choices, default=Severity.HIGH)
    interval_seconds = models.PositiveIntegerField(default=300, help_text="How often it is expected.")
    grace_seconds = models.PositiveIntegerField(default=60, help_text="How late it may be.")
    key_hash = models.CharField(max_length=64, unique=True, editable=False)
    key_last4 = models.CharField(max_length=4, editable=False)
    integration = models.ForeignKey(
        Integration,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="heartbeats",
        help_text="Pings by name or at this integration's heartbeat address count for it too.",
    )
    is_enabled = models.BooleanField("enabled", default=True)
    armed_at = models.DateTimeField(
        null=True, blank=True, help_text="Empty: it waits for its first ping, and nothing is missed until then."
    )
    last_ping_at = models.DateTimeField(null=True, blank=True)
    last_ping_via = models.CharField(max_length=40, blank=True)
    missed_at = models.DateTimeField(null=True, blank=True, help_text="Since when it is missing.")
    due_at = models.DateTimeField(null=True, blank=True, help_text="When it counts as missing.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    team_paths = ("service__team",)
    audit_ignores = ("armed_at", "last_ping_at", "last_ping_via", "missed_at", "due_at")
    objects = audited.Rows.as_manager()

    class Meta:
        ordering = ["name"]
        indexes = [models.Index(fields=["due_at"], name="heartbeat_due", condition=Q(due_at__isnull=False))]

    def __str__(self):
        return self.name


class Presence(models.Model):
    """When this installation could be reached. One row: from a gap in it we know that we were away ourselves."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    beat_at = models.DateTimeField()
    away_at = models.DateTimeField(null=True, blank=True, help_text="Last sign of life before the last gap.")
    back_at = models.DateTimeField(null=True, blank=True, help_text="First sign of life after the last gap.")

    def __str__(self):
        return f"reachable at {self.beat_at:%H:%M:%S}"


class Topic(DueRow):
    """A topic of Amazon SNS that sends to an integration: pinned when it is first confirmed."""

    class State(models.TextChoices):
        PENDING = "pending", "To be confirmed"
        CONFIRMED = "confirmed", "Confirmed"
        FAILED = "failed", "Could not be confirmed"
        GONE = "gone", "Unsubscribed"

    integration = models.ForeignKey(Integration, on_delete=models.CASCADE, related_name="topics")
    arn = models.CharField(max_length=300)
    subscribe_url = models.TextField(blank=True)
    state = models.CharField(max_length=10, choices=State.choices, default=State.PENDING)
    error = models.TextField(blank=True)
    seen_at = models.DateTimeField()

    team_paths = ("integration__team", "integration__service__team")

    class Meta:
        ordering = ["arn"]
        constraints = [
            models.UniqueConstraint(fields=["integration", "arn"], name="one_topic_per_integration_and_arn")
        ]

    def __str__(self):
        return self.arn
