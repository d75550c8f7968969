"""Schedules: layers of rotations, and overrides on top of them."""

import datetime as dt
import uuid
import zoneinfo

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q

from accounts.models import Team


def check_zone(name):
    """Refuse a name that is not an IANA time zone."""
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValidationError(f"“{name}” is not a time zone. Use one like Europe/Berlin.") from error


class Schedule(models.Model):
    """Who is on call when: layers stacked, the higher wins, and overrides win over all."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(max_length=100, unique=True)
    slug = models.SlugField(max_length=100, unique=True, help_text="Used in addresses and in the API.")
    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="schedules")
    time_zone = models.CharField(max_length=64, default="UTC", validators=[check_zone])
    description = models.TextField(blank=True)

    class Meta:
        ordering = ["name"]

    def __str__(self):
        return self.name


class Layer(models.Model):
    """One rotation of participants. Handoffs are at a wall-clock time in the schedule's zone."""

    class Unit(models.TextChoices):
        DAY = "day", "Days"
        WEEK = "week", "Weeks"

    schedule = models.ForeignKey(Schedule, on_delete=models.CASCADE, related_name="layers")
    name = models.CharField(max_length=100, default="Layer 1")
    position = models.PositiveIntegerField(default=1, help_text="The highest number wins where layers overlap.")
    unit = models.CharField(max_length=10, choices=Unit.choices, default=Unit.WEEK)
    every = models.PositiveIntegerField(
        default=1,
        validators=[MinValueValidator(1), MaxValueValidator(365)],
        help_text="A shift lasts this many units, for example 2 weeks.",
    )
    start_date = models.DateField(
        # Far enough for every shift, and near enough that no calendar arithmetic overflows.
        validators=[MinValueValidator(dt.date(1990, 1, 1)), MaxValueValidator(dt.date(2100, 1, 1))],
        help_text="The first shift begins on this day; a weekly handoff is on its weekday.",
    )
    handoff_time = models.TimeField(default=dt.time(9, 0), help_text="Wall-clock time of the handoff.")
    ends_at = models.DateTimeField(null=True, blank=True, help_text="Empty: the layer has no end.")

    class Meta:
        ordering = ["schedule", "position", "id"]
        constraints = [models.CheckConstraint(condition=Q(every__gte=1), name="layer_shift_lasts_at_least_one_unit")]

    def __str__(self):
        return f"{self.schedule}: {self.name}"


class Participant(models.Model):
    """A person's place in a layer's rotation."""

    layer = models.ForeignKey(Layer, on_delete=models.CASCADE, related_name="participants")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="rotations")
    position = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ["layer", "position", "id"]

    def __str__(self):
        return str(self.user)


class Override(models.Model):
    """Somebody takes a span of a schedule, whatever the layers say. Where two overlap, the later made one wins."""

    schedule = models.ForeignKey(Schedule, on_delete=models.CASCADE, related_name="overrides")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="overrides")
    start_at = models.DateTimeField()
    end_at = models.DateTimeField()
    reason = models.CharField(max_length=200, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", editable=False
    )

    class Meta:
        ordering = ["-start_at"]
        constraints = [models.CheckConstraint(condition=Q(end_at__gt=F("start_at")), name="override_ends_after_start")]
        indexes = [models.Index(fields=["schedule", "end_at"], name="override_by_end")]

    def __str__(self):
        return f"{self.user} for {self.schedule}, {self.start_at:%Y-%m-%d %H:%M} to {self.end_at:%Y-%m-%d %H:%M}"

    def clean(self):
        if self.start_at and self.end_at and self.end_at <= self.start_at:
            raise ValidationError({"end_at": "The override ends before it starts. Choose a later end."})
