"""The REST addresses of everything that decides who is on call."""

from oncall.api.calendars import CalendarFeedViewSet, CalendarImportViewSet, HolidayViewSet
from oncall.api.overrides import OverrideViewSet
from oncall.api.people import AvailabilityViewSet, TimeOffViewSet
from oncall.api.policies import PolicyViewSet
from oncall.api.requests import SwapViewSet
from oncall.api.schedules import ScheduleViewSet
from oncall.api.shapes import (
    AtQuery,
    OnCallPersonShape,
    OnCallShape,
    ScheduleField,
    first_called,
    on_call_shown,
    people_shown,
)
from oncall.api.shifts import FixedShiftViewSet

__all__ = [
    "AtQuery",
    "AvailabilityViewSet",
    "CalendarFeedViewSet",
    "CalendarImportViewSet",
    "FixedShiftViewSet",
    "HolidayViewSet",
    "OnCallPersonShape",
    "OnCallShape",
    "OverrideViewSet",
    "PolicyViewSet",
    "ScheduleField",
    "ScheduleViewSet",
    "SwapViewSet",
    "TimeOffViewSet",
    "first_called",
    "on_call_shown",
    "people_shown",
]
