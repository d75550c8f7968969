"""Where people look when a service is in trouble. Only addresses of the web: a link is pressed by others."""

from django.core.exceptions import ValidationError
from django.core.validators import URLValidator

SCHEMES = ["http", "https"]
ADVICE = "Write the whole address, for example https://wiki.example.com/runbooks/checkout."


def web_address(text):
    """Refuse what is not an address of the web. Raises ValidationError."""
    try:
        URLValidator(schemes=SCHEMES)(text)
    except ValidationError:
        raise ValidationError(ADVICE, code="invalid") from None


def is_web_address(text):
    """Whether a page may make a link of it, whoever wrote it into the database."""
    return text.lower().startswith(("http://", "https://"))
