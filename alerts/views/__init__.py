"""The pages of alerts, integrations, quiet and heartbeats."""
