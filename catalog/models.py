"""Services: what can break, who owns it, and which policy calls people for it."""

import secrets

from django.core.exceptions import ValidationError
from django.db import models

from accounts import audited
from accounts.models import Team
from catalog.links import is_web_address, web_address
from oncall.models import EscalationPolicy

# Addresses of ours: /services/graph is a page, so no service can have it.
RESERVED = frozenset({"graph"})


def free_slug(slug):
    """Refuse a slug that is an address of ours. Raises ValidationError."""
    if slug in RESERVED:
        raise ValidationError(f"“{slug}” is an address of the pages of services. Choose another, such as {slug}-api.")


def new_routing_key():
    """32 hexadecimal characters, the length that PagerDuty's clients expect."""
    return secrets.token_hex(16)


class Service(models.Model):
    class Lifecycle(models.TextChoices):
        ACTIVE = "active", "Active"
        DEPRECATED = "deprecated", "Deprecated"
        ARCHIVED = "archived", "Archived"

    name = models.CharField(max_length=100, unique=True)
    slug = models.SlugField(
        max_length=100, unique=True, validators=[free_slug], help_text="How alerts and the API name the service."
    )
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
    is_catch_all = models.BooleanField(
        "takes the rest of its team",
        default=False,
        help_text="Alerts that reach the team and name no service belong to this one. One service of a team can.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    team_paths = ("team",)
    objects = audited.Rows.as_manager()

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(
                fields=["team"],
                condition=models.Q(is_catch_all=True),
                name="one_catch_all_service_per_team",
                violation_error_message="Another service of this team takes the rest already.",
            )
        ]

    def __str__(self):
        return self.name


class Dependency(models.Model):
    """A service that needs another one. The graph of all of them has no cycles."""

    service = models.ForeignKey(
        Service, on_delete=models.CASCADE, related_name="dependencies", help_text="The one that needs the other."
    )
    needs = models.ForeignKey(
        Service, on_delete=models.CASCADE, related_name="dependants", help_text="The one it cannot work without."
    )
    holds_alerts = models.BooleanField(
        "holds alerts",
        default=False,
        help_text="While the needed service has an open incident, alerts of this one that are no more severe are "
        "held. They page as soon as that incident is over and they still fire.",
    )
    note = models.CharField(max_length=200, blank=True)

    team_paths = ("service__team",)
    seen_through = ("needs__team",)
    audit_parent = "service"
    objects = audited.Rows.as_manager()

    class Meta:
        ordering = ["service__name", "needs__name"]
        verbose_name_plural = "dependencies"
        constraints = [
            models.UniqueConstraint(
                fields=["service", "needs"],
                name="one_dependency_per_pair",
                violation_error_message="This dependency is there already.",
            ),
            models.CheckConstraint(
                condition=~models.Q(service=models.F("needs")),
                name="no_service_needs_itself",
                violation_error_message="A service cannot need itself.",
            ),
        ]

    def __str__(self):
        return f"{self.service} needs {self.needs}"


class Link(models.Model):
    """Where people look when a service is in trouble: its runbook, dashboard, code or chat."""

    class Kind(models.TextChoices):
        RUNBOOK = "runbook", "Runbook"
        DASHBOARD = "dashboard", "Dashboard"
        REPOSITORY = "repository", "Repository"
        CHAT = "chat", "Chat"
        OTHER = "other", "Other"

    service = models.ForeignKey(Service, on_delete=models.CASCADE, related_name="links")
    kind = models.CharField(max_length=20, choices=Kind.choices, default=Kind.RUNBOOK)
    label = models.CharField(max_length=100, help_text="What it is, for example “When checkout is slow”.")
    url = models.URLField(
        "address", max_length=500, validators=[web_address], help_text="Begins with https:// or http://."
    )

    team_paths = ("service__team",)
    audit_parent = "service"
    objects = audited.Rows.as_manager()

    class Meta:
        ordering = ["service", "kind", "label", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["service", "url"],
                name="one_link_per_service_and_address",
                violation_error_message="The service has a link to this address already.",
            )
        ]

    def __str__(self):
        return self.label

    @property
    def is_safe(self):
        """Whether a page may make a link of it."""
        return is_web_address(self.url)
