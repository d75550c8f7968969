"""Priority from severity, urgency from priority, and the response target."""

from django.conf import settings

PRIORITY_OF = {"critical": "P1", "high": "P2", "medium": "P3", "low": "P4", "info": "P5"}


def priority_of(severity):
    return PRIORITY_OF[severity]


def urgency_of(priority):
    """How loudly people are told: `high` or `low`."""
    return "high" if priority in settings.HIGH_URGENCY_PRIORITIES else "low"


def target_seconds(priority):
    """How fast somebody should answer."""
    return settings.SLA_TARGET_SECONDS[priority]
