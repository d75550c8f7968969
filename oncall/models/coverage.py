"""The daily look at a team's coverage."""

from django.db import models
from django.db.models.functions import Now

from accounts.models import Team


class CoverageCheck(models.Model):
    """When a team's coverage is looked at next, and what was wrong the last time."""

    team = models.OneToOneField(Team, on_delete=models.CASCADE, related_name="coverage_check")
    due_at = models.DateTimeField(null=True, blank=True, db_default=Now())
    checked_at = models.DateTimeField(null=True, blank=True)
    problems = models.JSONField(default=list, blank=True)

    team_paths = ("team",)

    class Meta:
        ordering = ["team"]
        indexes = [models.Index(fields=["due_at"], name="coverage_check_by_due")]

    def __str__(self):
        return f"Coverage of {self.team}"
