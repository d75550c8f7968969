"""Addresses, rules, providers, wording, and every message with every try, in the admin."""

from notifications.admin import addresses, messages, providers, wording

__all__ = ["addresses", "messages", "providers", "wording"]
