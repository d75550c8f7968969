"""On call in the admin: schedules and policies, each on one page with what it means, and all that stands beside."""

from oncall.admin import calendars, coverage, exceptions, requests, schedules
from oncall.admin.policies import calls

__all__ = ["calendars", "calls", "coverage", "exceptions", "requests", "schedules"]
