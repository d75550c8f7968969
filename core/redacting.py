"""What must not stand in a log or an error page: keys, tokens, passwords, and links that work without signing in.

`Redacting` is a filter on every handler of the log. It knows the shapes of secrets, and the values that the settings
hold. Whoever logs still takes care; this is the net below.
"""

import functools
import logging
import re
import traceback
from urllib.parse import unquote, urlsplit

from django.conf import settings
from django.views.debug import SafeExceptionReporterFilter

MASK = "[redacted]"
# What would begin a line, or speak to a terminal. A text of ours may have lines: those after the first are set in.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")
SHORTEST = 8  # a shorter value of a setting would mask ordinary words
# Settings of ours that hold a secret each, besides those inside of addresses and provider accounts.
SECRET_SETTINGS = ("SECRET_KEY", "BOUNCE_SECRET", "MAILGUN_SIGNING_KEY", "EMAIL_HOST_PASSWORD")
SECRET_LISTS = ("SECRET_KEY_FALLBACKS", "ENCRYPTION_KEYS")
ADDRESSES = ("DATABASE_URL", "REDIS_URL", "EMAIL_URL")

# Each keeps what says which thing it was (group "keep") and masks what follows.
PATTERNS = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        # our own: API keys, signing secrets, and addresses whose last part is the credential
        r"(?P<keep>\bwb_[0-9a-f]{12}_)[\w-]{8,}",
        r"(?P<keep>\bwhsec_)[\w+/=-]{8,}",
        r"(?P<keep>/in/[\w-]+/)[\w-]{6,}",
        r"(?P<keep>/(?:l|ical|ping|beat|mail/updates|slack/link|twilio/voice/menu|postmortems/shared|status/link)/)"
        r"[\w.:~=-]{6,}",
        r"(?P<keep>/status/[\w-]+/(?:subscribe/confirm|subscribe|unsubscribe)/)(?!confirm/)[\w.:~=-]{6,}",
        r"(?P<keep>/(?:invitation|invite|reset|confirm-email|password/reset/key)/)[\w.:~=-]{6,}",
        # headers, however they are quoted
        r"(?P<keep>\b(?:proxy-)?authorization\b[\"']?\s*[:=,]\s*(?:b?[\"'])?(?:bearer|basic|token|genie\s?key)?\s*)"
        r"[^\s\"',;)\]}]{4,}",
        r"(?P<keep>\b(?:bearer|geniekey)\s+)[\w.~+/=-]{6,}",
        r"(?P<keep>\b(?:set-)?cookie\b[\"']?\s*[:=,]\s*(?:b?[\"'])?)[^\"'\r\n]{4,}",
        # name and value, as in JSON, a query, a form or the text of a Python call
        r"(?P<keep>\b[\w-]*(?:password|passwd|secret|token|api[_-]?key|routing[_-]?key|integration[_-]?key|"
        r"service[_-]?key|signing[_-]?key|sessionid)[\"']?\s*[:=]\s*(?:b?[\"'])?)[^\s\"'&,;)\]}]{4,}",
        r"(?P<keep>://[^\s/@:]*:)[^\s/@]+(?=@)",
        # others'
        r"(?P<keep>\bxox[abeprs]-)[\w-]{8,}",
        r"(?P<keep>/bot\d{5,}:)[\w-]{10,}",
        r"(?P<keep>\b\d{6,}:)AA[\w-]{20,}",
        r"(?P<keep>hooks\.slack\.com/\w+/)[\w/-]{8,}",
        r"(?P<keep>/api/webhooks/\d+/)[\w-]{8,}",
        r"(?P<keep>\.logic\.azure\.com\S*\?)\S+",
        r"(?P<keep>-----BEGIN [A-Z ]*PRIVATE KEY-----).*?(?=-----END|$)",
    )
]


def redacted(text):
    """The text without what looks like a secret or is one of the settings."""
    for value in _values():
        text = text.replace(value, MASK)
    for pattern in PATTERNS:
        text = pattern.sub(rf"\g<keep>{MASK}", text)
    return text


def one_entry(text):
    """The text without what could pass for an entry of its own, or for commands to a terminal."""
    text = text.replace("\r\n", "\n")
    text = _CONTROL.sub(lambda found: repr(found[0])[1:-1], text)
    return re.sub(r"\n(?! {4})", "\n    ", text)  # once, also where two handlers see the same record


@functools.lru_cache(maxsize=1)
def _values():
    """The secrets of the settings, the longest first: one may be part of another."""
    found = {getattr(settings, name, "") for name in SECRET_SETTINGS}
    for name in SECRET_LISTS:
        found.update(getattr(settings, name, ()))
    for name in ADDRESSES:
        password = _password(getattr(settings, name, ""))
        found.update((password, unquote(password)))
    for account in settings.PROVIDERS.values():
        found.update(value for field, value in account.items() if field.endswith(("token", "secret")))
    found.update(str(one.get("client_secret", "")) for one in settings.OIDC_PROVIDERS if isinstance(one, dict))
    return sorted((value for value in found if value and len(value) >= SHORTEST), key=len, reverse=True)


def _password(address):
    try:
        return urlsplit(address).password or ""
    except ValueError:
        return ""


class Redacting(logging.Filter):
    """Masks secrets in the message of a record and in its traceback. Never drops a record."""

    def filter(self, record):
        try:
            message = record.getMessage()
        except (TypeError, ValueError):  # the arguments do not fit: show both rather than lose the line
            message = f"{record.msg} {record.args}"
        record.msg, record.args = one_entry(redacted(message)), None
        if record.exc_info and record.exc_info[0]:
            record.exc_text = one_entry(redacted("".join(traceback.format_exception(*record.exc_info)).rstrip()))
        elif record.exc_text:
            record.exc_text = one_entry(redacted(record.exc_text))
        if record.stack_info:
            record.stack_info = redacted(record.stack_info)
        return True


class ReporterFilter(SafeExceptionReporterFilter):
    """The error page of DEBUG also hides addresses with passwords in them, and provider accounts."""

    hidden_settings = re.compile(
        "API|AUTH|TOKEN|KEY|SECRET|PASS|SIGNATURE|COOKIE|_URL$|PROVIDERS|LOCATION|^redis$|DATABASES|CACHES|Q_CLUSTER",
        flags=re.IGNORECASE,
    )

    def cleanse_setting(self, key, value):
        cleansed = super().cleanse_setting(key, value)
        return redacted(cleansed) if isinstance(cleansed, str) else cleansed
