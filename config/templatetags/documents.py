"""The way from a page to the document about it."""

from django import template
from django.urls import reverse

register = template.Library()

# How the name of an address begins: the document about it. The first that fits counts.
ABOUT = {
    "alerts:integration": "integrations",
    "alerts:silence": "quiet",
    "alerts:maintenance": "quiet",
    "alerts:held": "quiet",
    "alerts:heartbeat": "heartbeats",
    "alerts:": "routing",
    "service": "routing",
    "oncall": "schedules",
    "schedule": "schedules",
    "override": "schedules",
    "coverage": "schedules",
    "shift": "schedules",
    "feed": "calendars",
    "notification": "channels",
    "settings": "channels",
    "audit": "audit",
    "token": "api",
    "session": "sign-in",
    "privacy": "privacy",
    "security": "sign-in",
    "mfa_": "sign-in",
    "account_": "sign-in",
    "people-": "access",
    "postmortems:": "postmortems",
    "statuspages:": "status-pages",
}


@register.simple_tag(takes_context=True)
def document_url(context):
    """The address of the document about this page, else of the list of all documents."""
    match = getattr(context.get("request"), "resolver_match", None)
    view_name = match.view_name if match else ""
    name = next((name for begins, name in ABOUT.items() if view_name.startswith(begins)), "")
    return reverse("doc", args=[name]) if name else reverse("docs")
