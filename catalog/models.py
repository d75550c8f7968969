"""Services: what can break, who owns it, and which policy calls people for it."""

import secrets

from django.db import models

from accounts.models import Team
from oncall.models import EscalationPolicy


def new_routing_key():
    """32 hexadecimal characters, the length that PagerDuty's clients expect."""
    return secrets.token_hex(16)


class Service(models.Model):
    class Lifecycle(models.TextChoices):
        ACTIVE = "active", "Active"
        DEPRECATED = "deprecated", "Deprecated"
        ARCHIVED = "archived", "Archived"

    name = models.CharField(max_length=100, unique=True)
    slug = models.SlugField(max_length=100, unique=True, help_text="How alerts and the API name the service.")
    description = models.TextField(blank=True)
    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="services", help_text="The owner.")
    policy = models.ForeignKey(
        EscalationPolicy,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="services",
        help_text="Empty: the default policy of the team.",
    )
    routing_key = models.CharField(
        max_length=32,
        unique=True,
        default=new_routing_key,
        editable=False,
        help_text="Alerts sent with this key belong to this service. It never changes.",
    )
    lifecycle = models.CharField(max_length=20, choices=Lifecycle.choices, default=Lifecycle.ACTIVE)
    tier = models.PositiveSmallIntegerField(
        default=3, choices=[(1, "Tier 1"), (2, "Tier 2"), (3, "Tier 3")], help_text="1 is the most important."
    )
    correlation_window_seconds = models.PositiveIntegerField(
        null=True,
        blank=True,
        help_text="Alerts of one severity within this time share an incident. Empty: the setting (300). 0: never.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]

    def __str__(self):
        return self.name
