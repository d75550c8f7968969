"""Escalation policies: ordered levels, each with targets and a delay."""

import uuid

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from accounts import audited
from accounts.models import Team
from oncall.models.schedules import Duty, Schedule


class NobodyAction(models.TextChoices):
    NEXT_LEVEL = "next_level", "Call the next level at once"
    FALLBACK = "fallback", "Page the fallback person"
    ALARM = "alarm", "Raise the system alarm, then go on as planned"


class EscalationPolicy(models.Model):
    """Whom to call, in which order, until somebody answers."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(max_length=100, unique=True)
    slug = models.SlugField(max_length=100, unique=True, help_text="Used in addresses and in the API.")
    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="policies")
    is_team_default = models.BooleanField(
        default=False, help_text="Used for services of the team that name no policy of their own."
    )
    repeats = models.PositiveIntegerField(
        default=2,
        validators=[MaxValueValidator(20)],
        help_text="How often to start again at level 1 after the last level: 1 means everybody is called twice.",
    )
    nobody_action = models.CharField(
        "when nobody is on call",
        max_length=20,
        choices=NobodyAction.choices,
        default=NobodyAction.NEXT_LEVEL,
        help_text="What happens when a level has no person who can be reached. It is never silent.",
    )
    fallback_user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        help_text="Paged when nobody else can be, if the choice above says so.",
    )

    team_paths = ("team",)
    objects = audited.Rows.as_manager()

    class Meta:
        ordering = ["name"]
        verbose_name_plural = "escalation policies"
        constraints = [
            models.UniqueConstraint(
                fields=["team"], condition=Q(is_team_default=True), name="one_default_policy_per_team"
            )
        ]

    def __str__(self):
        return self.name

    def clean(self):
        if self.nobody_action == NobodyAction.FALLBACK and not self.fallback_user_id:
            raise ValidationError({"fallback_user": "Choose the person to page when nobody is on call."})


class Level(models.Model):
    policy = models.ForeignKey(EscalationPolicy, on_delete=models.CASCADE, related_name="levels")
    number = models.PositiveIntegerField(validators=[MinValueValidator(1)])
    delay_minutes = models.PositiveIntegerField(
        default=5,
        validators=[MinValueValidator(1), MaxValueValidator(1440)],
        help_text="Minutes to wait for an answer before the next level is called.",
    )

    team_paths = ("policy__team",)
    audit_parent = "policy"
    objects = audited.Rows.as_manager()

    class Meta:
        ordering = ["policy", "number"]
        constraints = [
            models.UniqueConstraint(fields=["policy", "number"], name="one_level_per_number"),
            models.CheckConstraint(condition=Q(delay_minutes__gte=1), name="level_waits_at_least_a_minute"),
        ]

    def __str__(self):
        return f"{self.policy}, level {self.number}"


class TargetKind(models.TextChoices):
    USER = "user", "Person"
    SCHEDULE = "schedule", "Schedule"


class Target(models.Model):
    """A person or a schedule that a level calls."""

    level = models.ForeignKey(Level, on_delete=models.CASCADE, related_name="targets")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, blank=True, related_name="policy_targets"
    )
    schedule = models.ForeignKey(
        Schedule, on_delete=models.PROTECT, null=True, blank=True, related_name="policy_targets"
    )
    role = models.CharField(
        max_length=10,
        choices=[(value, label) for value, label in Duty.choices if value != Duty.SHADOW],
        default=Duty.PRIMARY,
        help_text="Of a schedule: who is called. When nobody of that role can be, the next role is.",
    )

    team_paths = ("level__policy__team",)
    audit_parent = "level__policy"
    objects = audited.Rows.as_manager()

    class Meta:
        ordering = ["level", "id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(user__isnull=False, schedule__isnull=True) | Q(user__isnull=True, schedule__isnull=False),
                name="target_is_a_person_or_a_schedule",
                violation_error_message="Choose either a person or a schedule.",
            )
        ]

    def __str__(self):
        if self.user_id or self.role == Duty.PRIMARY:
            return str(self.user or self.schedule)
        return f"{self.schedule} ({self.get_role_display().lower()})"

    @property
    def kind(self):
        return TargetKind.USER if self.user_id else TargetKind.SCHEDULE
