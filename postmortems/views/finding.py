"""Which postmortem a page is about, whether the person may change it, and what is said when they did."""

import uuid

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.shortcuts import get_object_or_404
from django.utils import timezone

from accounts.permissions import may, visible
from core.errors import DomainError
from core.zones import zone_of
from notifications.message import storable
from postmortems.models import Postmortem

ROWS = Postmortem.objects.select_related("team", "owner", "created_by", "published_by")


def readable(request, number):
    """The postmortem that a page shows. Raises Http404 when there is none, or none for them."""
    return get_object_or_404(visible(ROWS.all(), request.user), pk=number)


def writable(request, number):
    """The postmortem that a page changes. Raises Http404 and PermissionDenied."""
    found = readable(request, number)
    if not may(request.user, "respond", found):
        raise PermissionDenied(
            f"Responders of the team {found.team} write this postmortem. Ask one of them, or an admin for the role."
        )
    return found


def do(request, done, verb, *args, typed="", **values):
    """Let the person do this, and say what came of it. Returns what the verb gave, None when it refused.

    `typed` is the text that is lost with the form when it is refused: it is said again.
    """
    try:
        given = verb(*args, by=request.user, now=timezone.now(), **values)
    except DomainError as error:
        refuse(request, error.message, typed)
        return None
    messages.success(request, done)
    return given if given is not None else True


def text_of(data, name, limit=200):
    """A line from an address or a form, as the database can look for it."""
    return storable(data.get(name, "")).strip()[:limit]


def number_of(text):
    """A number that somebody typed, None when it is none that a row can have."""
    text = text.strip().lower().removeprefix("pm-").removeprefix("#")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def uuid_of(text):
    """A UUID from a form or an address, None when it is none."""
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


def refuse(request, sentence, typed=""):
    """Say why nothing was done, and what was typed."""
    messages.error(request, f"{request.user.hushed()(sentence)}{f' You wrote: “{typed}”' if typed else ''}")


def today(user):
    """The day where they are: what is late counts from it."""
    return timezone.now().astimezone(zone_of(user.time_zone)).date()


def context(request, **more):
    """What every page of this part needs."""
    if found := more.get("postmortem"):  # the way to the versions begins at the first section
        more["versions_of"] = found.sections.filter(removed_at=None).values_list("uuid", flat=True).first()
    return {"section": "postmortems", "now": timezone.now(), **more}
