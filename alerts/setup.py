"""How a sender is set up: its address, and what to paste where."""

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
