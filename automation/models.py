"""What machines propose about an incident, and what people said to it."""

import uuid

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Exists, OuterRef, Q

from incidents.models import Incident


class Verdict(models.TextChoices):
    OPEN = "open", "Not reviewed"
    APPROVED = "approved", "Approved"
    REJECTED = "rejected", "Rejected"


class Proposal(models.Model):
    """What a machine says about an incident, for a person to review. It does nothing by itself."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    incident = models.ForeignKey(Incident, on_delete=models.CASCADE, related_name="+")
    text = models.TextField(help_text="What the machine says, in Markdown.")
    confidence = models.FloatField(
        validators=[MinValueValidator(0), MaxValueValidator(1)],
        null=True,
        blank=True,
        help_text="From 0 to 1. Empty: it does not say.",
    )
    evidence = models.JSONField(
        default=list, blank=True, help_text="What it stands on: a list of texts, each with a link if there is one."
    )
    source = models.CharField(max_length=100, help_text="Which program says so.")
    proposed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    proposed_at = models.DateTimeField()
    verdict = models.CharField(max_length=10, choices=Verdict.choices, default=Verdict.OPEN)
    reviewed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    reviewed_at = models.DateTimeField(null=True, blank=True)
    feedback = models.TextField(blank=True, help_text="What the reviewer said to it.")

    team_paths = ("incident__team",)

    class Meta:
        abstract = True
        ordering = ["incident", "id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(verdict="open", reviewed_at__isnull=True)
                | ~Q(verdict="open") & Q(reviewed_at__isnull=False),
                name="%(class)s_is_reviewed_at_a_time",
            ),
            models.CheckConstraint(
                condition=Q(confidence__isnull=True) | Q(confidence__gte=0, confidence__lte=1),
                name="%(class)s_confidence_is_a_share",
            ),
        ]

    def __str__(self):
        return self.text[:80]

    @classmethod
    def called(cls, user):
        """Whoever answers the incident also reviews what is proposed about it."""
        return Exists(Incident.objects.filter(Incident.called(user), pk=OuterRef("incident")))

    shown_although_hidden = called

    @property
    def percent(self):
        return None if self.confidence is None else round(self.confidence * 100)


class Hypothesis(Proposal):
    """Why it may be broken."""

    class Meta(Proposal.Meta):
        verbose_name_plural = "hypotheses"


class RecommendedAction(Proposal):
    """What could be done about it. Approving it records that; what runs is a runbook, when one belongs to it."""

    hypothesis = models.ForeignKey(
        Hypothesis, on_delete=models.SET_NULL, null=True, blank=True, related_name="recommended_actions"
    )
    risk = models.CharField(
        max_length=10,
        choices=[("low", "Low"), ("medium", "Medium"), ("high", "High")],
        blank=True,
        help_text="How much can go wrong. Empty: it does not say.",
    )
