"""How people are reached: addresses, rules, and every message with every try."""

import uuid

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.utils import timezone

from core.models import DueRow
from core.registry import Registry
from notifications.channels.base import Channel

channels = Registry("notifications.channels")


def channel_choices():
    return channels.choices()


def shown_address(kind, address):
    """An address as others may read it; see `Channel.shown`. Also that of a channel that is gone."""
    return (channels.get(kind) if kind in channels else Channel()).shown(address)


class Urgency(models.TextChoices):
    HIGH = "high", "High"
    LOW = "low", "Low"


class ContactMethod(models.Model):
    """One address of a person on one channel. Only a verified one is used."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="contact_methods")
    channel = models.CharField(max_length=30, choices=channel_choices)
    address = models.CharField(max_length=500)
    label = models.CharField(max_length=100, blank=True, help_text="For example “work phone”.")
    secret = models.CharField(
        max_length=200, blank=True, help_text="Signs webhook bodies (whsec_…). Made when left empty."
    )
    verified_at = models.DateTimeField(null=True, blank=True, help_text="Empty: nothing is sent to this address.")
    disabled_reason = models.CharField(
        max_length=300, blank=True, help_text="Set by the system when the address is dead. Empty it to use it again."
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["user", "id"]
        constraints = [
            models.UniqueConstraint(fields=["user", "channel", "address"], name="one_contact_method_per_address")
        ]

    def __str__(self):
        return f"{self.user}: {self.get_channel_display()} {self.address}"

    @property
    def is_usable(self):
        return self.verified_at is not None and not self.disabled_reason

    def clean(self):
        if self.channel in channels and self.address:
            channel = channels.get(self.channel)
            problem = channel.problem_with(self.address)
            if problem:
                raise ValidationError({"address": problem})
            self.secret = self.secret or channel.new_secret()


class NotificationRule(models.Model):
    """When and where a person is told of pages of an urgency. Without any, every verified method is used at once."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="notification_rules")
    urgency = models.CharField(max_length=10, choices=Urgency.choices, default=Urgency.HIGH)
    contact_method = models.ForeignKey(ContactMethod, on_delete=models.CASCADE, related_name="rules")
    delay_minutes = models.PositiveIntegerField(default=0, help_text="Minutes after the page; 0 is at once.")

    class Meta:
        ordering = ["user", "urgency", "delay_minutes", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["user", "urgency", "contact_method", "delay_minutes"], name="one_rule_per_urgency_method_delay"
            )
        ]

    def __str__(self):
        return f"{self.user}, {self.urgency}: {self.contact_method} after {self.delay_minutes} min"

    def clean(self):
        if self.contact_method_id and self.user_id and self.contact_method.user_id != self.user_id:
            raise ValidationError({"contact_method": "This address belongs to somebody else. Choose one of theirs."})


class NotificationQuerySet(models.QuerySet):
    def unsettled(self):
        """Those that may still be sent."""
        return self.filter(state__in=[Notification.State.PENDING, Notification.State.SENDING])


class Notification(DueRow):
    """One message to one person on one channel."""

    class State(models.TextChoices):
        PENDING = "pending", "Pending"
        SENDING = "sending", "Sending"
        SENT = "sent", "Sent"
        DELIVERED = "delivered", "Delivered"
        ACKNOWLEDGED = "acknowledged", "Acknowledged"
        FAILED = "failed", "Failed"
        CANCELLED = "cancelled", "Cancelled"
        SUPPRESSED = "suppressed", "Suppressed"

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    # The plan's key, for example "incident:42:r0:l1:u5:m3". Unique: a step planned twice writes nothing.
    plan_key = models.CharField(max_length=200, unique=True)
    topic = models.CharField(max_length=100, help_text="What it is about, for example incident:42.")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="notifications")
    contact_method = models.ForeignKey(ContactMethod, on_delete=models.SET_NULL, null=True, related_name="+")
    channel = models.CharField(max_length=30)
    address = models.CharField(max_length=500)
    urgency = models.CharField(max_length=10, choices=Urgency.choices)
    is_repeat = models.BooleanField(default=False, help_text="Not the first page of its topic.")
    is_possible_repeat = models.BooleanField(
        default=False, help_text="A worker died while sending it, so it may have arrived twice."
    )
    message = models.JSONField(help_text="The message as planned: title, body, fields, url, actions.")
    state = models.CharField(max_length=20, choices=State.choices, default=State.PENDING)
    reason = models.CharField(max_length=500, blank=True, help_text="Why it failed, was cancelled or was suppressed.")
    created_at = models.DateTimeField(default=timezone.now)
    planned_at = models.DateTimeField(help_text="When it was first due.")
    sent_at = models.DateTimeField(null=True, blank=True)
    delivered_at = models.DateTimeField(null=True, blank=True)
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    provider_id = models.CharField(max_length=255, blank=True)
    link_expires_at = models.DateTimeField(null=True, blank=True)
    link_used_at = models.DateTimeField(null=True, blank=True)

    objects = NotificationQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(
                fields=["is_repeat", "urgency", "due_at"],
                name="notification_due",
                condition=Q(state__in=["pending", "sending"]),
            ),
            models.Index(fields=["topic"], name="notification_topic"),
        ]

    def __str__(self):
        return f"{self.channel} to {self.user} about {self.topic}: {self.state}"


class Attempt(models.Model):
    """One try to send a notification: committed before the call, finished after it."""

    notification = models.ForeignKey(Notification, on_delete=models.CASCADE, related_name="tries")
    number = models.PositiveIntegerField()
    lease_token = models.UUIDField()
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)
    ok = models.BooleanField(null=True)
    error = models.CharField(max_length=500, blank=True)
    provider_id = models.CharField(max_length=255, blank=True)

    class Meta:
        ordering = ["notification", "number"]

    def __str__(self):
        return f"try {self.number} of {self.notification_id}"


class Alarm(models.Model):
    """The product could not do its job and says so: shown to admins, counted in /health/ready and the metrics."""

    key = models.CharField(max_length=150, help_text="One open alarm per key.")
    text = models.TextField()
    count = models.PositiveIntegerField(default=1)
    raised_at = models.DateTimeField()
    last_at = models.DateTimeField()
    cleared_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-last_at"]
        constraints = [
            models.UniqueConstraint(fields=["key"], condition=Q(cleared_at=None), name="one_open_alarm_per_key")
        ]

    def __str__(self):
        return self.text[:80]
