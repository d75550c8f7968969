"""How a sender is set up: its address, and what to paste where."""

import re

from django.conf import settings

from alerts.models import sources

NO_KEY = "KEY"


def address(source, key):
    """Where a sender with this key posts to."""
    return f"{settings.PUBLIC_URL}/in/{source}/{key}"


def setup_text(source, key):
    """How to set the sender up, with its address and key filled in."""
    kind = sources.classes().get(source)
    if kind is None:
        return f"There is no source “{source}” any more. Make a new integration for another."
    values = {
        "{url}": address(source, key),
        "{key}": key,
        "{server}": settings.PUBLIC_URL,
        "{mail}": settings.MAIL_IN_DOMAIN,
    }
    text = kind.setup_help
    for name, value in values.items():
        text = text.replace(name, value)
    return text


def setup_parts(text):
    """The same in parts, `[(text, whether it is to be copied)]`: sentences, and what stands between them."""
    parts = []
    for part in re.split(r"\n{2,}", text.strip("\n")):
        is_copied = _is_copied(part)
        # A script has empty lines; what goes on is indented.
        if is_copied and parts and parts[-1][1] and part[0] == " " != parts[-1][0][0]:
            parts[-1] = (f"{parts[-1][0]}\n\n{part}", True)
        else:
            parts.append((part, is_copied))
    return parts


def _is_copied(part):
    if re.match(r"\d+\. ", part):
        return False
    return "\n" in part or part.lstrip().startswith(("curl ", "http", "{"))
