"""Alerts in the admin: the doors they come through, what came in, and what shapes and quiets it."""

from alerts.admin import changes, events, heartbeats, integrations, quiet, rules

__all__ = ["changes", "events", "heartbeats", "integrations", "quiet", "rules"]
