"""Swap and cover requests: a person asks others to take a shift, others offer, somebody agrees."""

import uuid

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Q

from oncall.models.schedules import Duty, Schedule, check_span


class ShiftRequest(models.Model):
    """Somebody asks for cover of a span in which they are on call. It is open until all of it is taken."""

    class State(models.TextChoices):
        OPEN = "open", "Open"
        DONE = "done", "Taken"
        CANCELLED = "cancelled", "Cancelled"
        DECLINED = "declined", "Declined"
        EXPIRED = "expired", "Expired"

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    schedule = models.ForeignKey(Schedule, on_delete=models.CASCADE, related_name="shift_requests")
    role = models.CharField(max_length=10, choices=Duty.choices, default=Duty.PRIMARY)
    requester = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="shift_requests",
        help_text="Whose shift it is.",
    )
    asked = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="asked_shift_requests",
        help_text="Who is asked. Empty: everybody of the team.",
    )
    start_at = models.DateTimeField("starts at")
    end_at = models.DateTimeField("ends at")
    wants_return = models.BooleanField(
        "swap", default=False, help_text="Whoever takes it gives a shift of theirs in return."
    )
    note = models.CharField(max_length=200, blank=True)
    state = models.CharField(max_length=10, choices=State.choices, default=State.OPEN)
    created_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True)

    team_paths = ("schedule__team",)

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.CheckConstraint(condition=Q(end_at__gt=F("start_at")), name="shift_request_ends_after_start"),
            models.CheckConstraint(
                condition=Q(state="open", closed_at__isnull=True) | (~Q(state="open") & Q(closed_at__isnull=False)),
                name="a_closed_shift_request_says_when",
            ),
        ]
        indexes = [models.Index(fields=["state", "end_at"], name="shift_request_by_state")]

    def __str__(self):
        return f"{self.requester} asks for cover of {self.schedule}, {self.start_at:%Y-%m-%d %H:%M}"

    @classmethod
    def shown_although_hidden(cls, user):
        """Whoever asks, is asked, or takes turns in the schedule."""
        schedules = Schedule.objects.filter(Schedule.shown_although_hidden(user))
        return Q(requester=user) | Q(asked=user) | Q(schedule__in=schedules)

    def clean(self):
        check_span(self.start_at, self.end_at, "The span")
        if self.asked_id and self.asked_id == self.requester_id:
            raise ValidationError({"asked": "Ask somebody else than yourself, or leave this empty to ask the team."})


class Offer(models.Model):
    """Somebody offers to take a requested span or a part of it, perhaps for a span of their own in return.

    `offered` waits for the requester, `agreed` for the team's admin; `applied` has made its overrides.
    """

    class State(models.TextChoices):
        OFFERED = "offered", "Offered"
        AGREED = "agreed", "Waits for approval"
        APPLIED = "applied", "Accepted"
        DECLINED = "declined", "Declined"
        WITHDRAWN = "withdrawn", "Withdrawn"

    WAITING = (State.OFFERED, State.AGREED)

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    request = models.ForeignKey(ShiftRequest, on_delete=models.CASCADE, related_name="offers")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="shift_offers")
    start_at = models.DateTimeField("starts at")
    end_at = models.DateTimeField("ends at")
    return_schedule = models.ForeignKey(
        Schedule,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="+",
        help_text="Of the shift in return.",
    )
    return_role = models.CharField(max_length=10, choices=Duty.choices, blank=True)
    return_start_at = models.DateTimeField("shift in return starts at", null=True, blank=True)
    return_end_at = models.DateTimeField("shift in return ends at", null=True, blank=True)
    note = models.CharField(max_length=200, blank=True)
    state = models.CharField(max_length=10, choices=State.choices, default=State.OFFERED)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", editable=False
    )
    created_at = models.DateTimeField()
    decided_at = models.DateTimeField(null=True, blank=True)

    team_paths = ("request__schedule__team",)

    class Meta:
        ordering = ["created_at", "id"]
        constraints = [
            models.CheckConstraint(condition=Q(end_at__gt=F("start_at")), name="offer_ends_after_start"),
            models.CheckConstraint(
                condition=Q(return_start_at=None, return_end_at=None, return_schedule=None)
                | Q(return_end_at__gt=F("return_start_at"), return_schedule__isnull=False),
                name="a_return_is_whole_and_ends_after_start",
            ),
        ]

    def __str__(self):
        return f"{self.user} offers {self.start_at:%Y-%m-%d %H:%M} to {self.end_at:%Y-%m-%d %H:%M}"

    @classmethod
    def shown_although_hidden(cls, user):
        """Whoever offers, and whoever sees the request."""
        return Q(user=user) | Q(request__in=ShiftRequest.objects.filter(ShiftRequest.shown_although_hidden(user)))
