"""The way from a page to the document about it."""

from django import template
from django.urls import reverse

from config import docs

register = template.Library()

# How the name of an address begins: the documents about it, of which the first that is there is meant.
ABOUT = {
    "alerts:integration": ("integrations",),
    "alerts:silence": ("quiet",),
    "alerts:maintenance": ("quiet",),
    "alerts:held": ("quiet",),
    "alerts:heartbeat": ("heartbeats",),
    "alerts:": ("routing",),
    "incident": ("incidents", "responding"),
    "dashboard": ("incidents", "responding"),
    "service": ("services", "routing"),
    "oncall": ("schedules",),
    "schedule": ("schedules",),
    "override": ("schedules",),
    "coverage": ("schedules",),
    "shift": ("schedules",),
    "feed": ("calendars",),
    "notification": ("channels",),
    "settings": ("channels",),
    "audit": ("audit",),
    "token": ("api",),
    "session": ("sign-in",),
    "privacy": ("privacy",),
    "security": ("sign-in",),
    "mfa_": ("sign-in",),
    "account_": ("sign-in",),
    "people-": ("access",),
}


@register.simple_tag(takes_context=True)
def document_url(context):
    """The address of the document about this page, else of the list of all documents."""
    match = getattr(context.get("request"), "resolver_match", None)
    view_name = match.view_name if match else ""
    names = next((names for begins, names in ABOUT.items() if view_name.startswith(begins)), ())
    name = next((one for one in names if docs.is_there(one)), None)
    return reverse("doc", args=[name]) if name else reverse("docs")
