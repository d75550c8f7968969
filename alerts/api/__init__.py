"""The REST addresses of what comes in: alerts, their doors, and what keeps them quiet."""

from alerts.api.alerts import AlertViewSet
from alerts.api.beside import BesideViewSet
from alerts.api.heartbeats import HeartbeatViewSet
from alerts.api.integrations import ChangeEventViewSet, IntegrationViewSet, RuleViewSet
from alerts.api.quiet import InhibitionRuleViewSet, MaintenanceWindowViewSet, SilenceViewSet

__all__ = [
    "AlertViewSet",
    "BesideViewSet",
    "ChangeEventViewSet",
    "HeartbeatViewSet",
    "InhibitionRuleViewSet",
    "IntegrationViewSet",
    "MaintenanceWindowViewSet",
    "RuleViewSet",
    "SilenceViewSet",
]
