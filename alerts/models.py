"""Integrations, the raw events they sent, and the alerts these opened."""

import secrets
import uuid

from django.db import models
from django.db.models import Q
from django.utils import timezone

from catalog.models import Service
from core.models import DueRow
from core.registry import Registry
from incidents.models import Incident, Severity

sources = Registry("alerts.sources")


def source_choices():
    return sources.choices()


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
        related_name="integrations",
        help_text="Alerts belong to this service unless they name another and that is allowed.",
    )
    may_choose_service = models.BooleanField(
        default=True, help_text="An alert may name another service by its slug or routing key."
    )
    default_severity = models.CharField(max_length=10, choices=Severity.choices, default=Severity.MEDIUM)
    signing_secret = models.CharField(
        max_length=200, blank=True, help_text="When set, every request must carry a valid HMAC signature."
    )
    key_hash = models.CharField(max_length=64, unique=True, editable=False)
    key_last4 = models.CharField(max_length=4, editable=False)
    is_enabled = models.BooleanField("enabled", default=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    last_event_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ["name"]

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

    class Meta:
        ordering = ["-received_at"]
        indexes = [
            models.Index(fields=["due_at"], name="inbound_event_due", condition=Q(state__in=["pending", "failed"])),
            models.Index(fields=["received_at"], name="inbound_event_by_time"),
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

    objects = AlertQuerySet.as_manager()

    class Meta:
        ordering = ["-last_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["scope", "dedup_key"], condition=Q(resolved_at=None), name="one_firing_alert_per_dedup_key"
            )
        ]
        indexes = [models.Index(fields=["scope", "dedup_key"], name="alert_by_key")]

    def __str__(self):
        return self.title

    @property
    def status(self):
        return "firing" if self.resolved_at is None else "resolved"


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
