"""Calendars out and in: secret addresses that calendar programs read, and calendars of others that we read."""

import uuid
from urllib.parse import urlsplit

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from accounts import audited
from accounts.models import Team
from oncall.models.schedules import Duty, Schedule


class CalendarFeed(models.Model):
    """A secret address that gives shifts as iCalendar. Only its hash is kept; `oncall.feeds.issue` shows it once.

    It shows what it was made for: a schedule, a team, or the shifts of a person.
    """

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="calendar_feeds",
        help_text="Who made it. It stops when they are deactivated.",
    )
    name = models.CharField(max_length=100, blank=True, help_text="Where it is used, for example “phone”.")
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, blank=True, related_name="+"
    )
    schedule = models.ForeignKey(Schedule, on_delete=models.CASCADE, null=True, blank=True, related_name="feeds")
    team = models.ForeignKey(Team, on_delete=models.CASCADE, null=True, blank=True, related_name="calendar_feeds")
    secret_hash = models.CharField(max_length=64, unique=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)

    team_paths = ("schedule__team", "team")
    audit_ignores = ("last_used_at",)
    audit_parent = "owner"
    objects = audited.Rows.as_manager()

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.CheckConstraint(
                condition=Q(person__isnull=False, schedule=None, team=None)
                | Q(person=None, schedule__isnull=False, team=None)
                | Q(person=None, schedule=None, team__isnull=False),
                name="a_feed_is_of_a_person_a_schedule_or_a_team",
                violation_error_message="Choose one: a person, a schedule or a team.",
            )
        ]

    def __str__(self):
        return f"{self.subject} for {self.owner}"

    @property
    def subject(self):
        return self.person or self.schedule or self.team


class CalendarImport(models.Model):
    """A calendar of others: its events become fixed shifts of a schedule, or holidays. By address, or from a file."""

    class Kind(models.TextChoices):
        SHIFTS = "shifts", "Fixed shifts"
        HOLIDAYS = "holidays", "Holidays"

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(max_length=100)
    kind = models.CharField(max_length=10, choices=Kind.choices, default=Kind.SHIFTS)
    schedule = models.ForeignKey(
        Schedule,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="calendar_imports",
        help_text="Where the shifts go.",
    )
    team = models.ForeignKey(
        Team,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="+",
        help_text="Whose holidays; empty: all.",
    )
    role = models.CharField(max_length=10, choices=Duty.choices, default=Duty.PRIMARY)
    url = models.CharField(
        "address",
        max_length=1000,
        blank=True,
        help_text="https://… of the calendar, often with a secret in it. Empty: upload a file.",
    )
    refresh_minutes = models.PositiveIntegerField(
        default=60, validators=[MinValueValidator(5), MaxValueValidator(7 * 24 * 60)]
    )
    is_enabled = models.BooleanField("read it regularly", default=True)
    # The last copy that could be read; it counts until a better one comes.
    content = models.TextField(blank=True, editable=False)
    etag = models.CharField(max_length=300, blank=True, editable=False)
    read_at = models.DateTimeField("last good copy of", null=True, blank=True, editable=False)
    error = models.TextField("what went wrong last", blank=True, editable=False)
    warnings = models.JSONField("what was left out", default=list, blank=True, editable=False)
    due_at = models.DateTimeField(null=True, blank=True, editable=False, db_default=Now())
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", editable=False
    )

    team_paths = ("schedule__team", "team")
    audit_ignores = ("content", "etag", "read_at", "error", "warnings", "due_at", "created_by")
    audit_shown = {"url": "shown_url"}
    audit_parent = "schedule"
    objects = audited.Rows.as_manager()

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                condition=Q(kind="shifts", schedule__isnull=False) | Q(kind="holidays", schedule=None),
                name="shifts_go_to_a_schedule_and_holidays_do_not",
                violation_error_message="Choose a schedule for shifts, and none for holidays.",
            )
        ]
        indexes = [models.Index(fields=["due_at"], name="calendar_import_by_due")]

    def __str__(self):
        return self.name

    @property
    def host(self):
        """The host of its address, which may be shown: the rest is often a secret. "" where the address is none."""
        try:
            return urlsplit(self.url.strip()).hostname or ""
        except ValueError:
            return ""

    @property
    def shown_url(self):
        """The address as others may read it."""
        return self.url and (f"https://{self.host}/…" if self.host else "…")
