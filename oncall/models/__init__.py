from oncall.models.calendars import CalendarFeed, CalendarImport
from oncall.models.coverage import CoverageCheck
from oncall.models.policies import EscalationPolicy, Level, NobodyAction, Target, TargetKind
from oncall.models.requests import Offer, ShiftRequest
from oncall.models.schedules import (
    Availability,
    Duty,
    FixedShift,
    Holiday,
    Layer,
    Override,
    Participant,
    Restriction,
    Schedule,
    TimeOff,
    Weekday,
)

__all__ = [
    "Availability",
    "CalendarFeed",
    "CalendarImport",
    "CoverageCheck",
    "Duty",
    "EscalationPolicy",
    "FixedShift",
    "Holiday",
    "Layer",
    "Level",
    "NobodyAction",
    "Offer",
    "Override",
    "Participant",
    "Restriction",
    "Schedule",
    "ShiftRequest",
    "Target",
    "TargetKind",
    "TimeOff",
    "Weekday",
]
