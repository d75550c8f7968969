"""System checks of the settings: Errors for what cannot work, Warnings for what is unsafe in production.

They know values only, so they run before there is a database. Each hint says what to change, by the name in the
environment; docs/configuration.md explains every one.
"""

import ipaddress
import zoneinfo
from urllib.parse import urlsplit

from cryptography.fernet import Fernet
from django.conf import settings
from django.core.checks import Error, Warning, register

from notifications.models import vendors

TAG = "watchbill"
PRIORITIES = ("P1", "P2", "P3", "P4", "P5")
SECRET_LENGTH = 32
# name in the environment: (how the setting is read, the smallest value that works)
SMALLEST = {
    "CORRELATION_WINDOW_SECONDS": (lambda: settings.CORRELATION_WINDOW_SECONDS, 0),
    "LINK_HOURS": (lambda: settings.LINK_HOURS, 1),
    "INGEST_MAX_BODY_BYTES": (lambda: settings.INGEST_MAX_BODY_BYTES, 1024),
    "INGEST_QUEUE_LIMIT": (lambda: settings.INGEST_QUEUE_LIMIT, 1),
    "RAW_EVENT_DAYS": (lambda: settings.RAW_EVENT_DAYS, 1),
    "CHANGE_EVENT_DAYS": (lambda: settings.CHANGE_EVENT_DAYS, 1),
    "STORM_INCIDENTS_PER_MINUTE": (lambda: settings.STORM_INCIDENTS_PER_MINUTE, 0),
    "SILENCE_WARNING_SECONDS": (lambda: settings.SILENCE_WARNING_SECONDS, 0),
    "WORKERS": (lambda: settings.Q_CLUSTER["workers"], 1),
    "DB_POOL_SIZE": (lambda: settings.DATABASES["default"]["OPTIONS"].get("pool", {}).get("max_size", 2), 2),
}


def host():
    """The host of PUBLIC_URL, or ""."""
    try:
        return urlsplit(settings.PUBLIC_URL).hostname or ""
    except ValueError:
        return ""


def is_local():
    """Whether only this machine uses the program, so that nothing of production is asked of it."""
    try:
        return ipaddress.ip_address(host()).is_loopback
    except ValueError:
        return host() == "localhost" or host().endswith(".localhost")


@register(TAG)
def check_values(app_configs=None, **kwargs):
    """Values that cannot work."""
    return [
        *_public_url(),
        *_time_zone(),
        *_numbers(),
        *_retries(),
        *_priorities(),
        *_networks(),
        *_redis(),
        *_encryption_keys(),
        *_providers(),
    ]


def _public_url():
    try:
        parts = urlsplit(settings.PUBLIC_URL)
        is_fine = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        is_fine = is_fine and not (parts.path or parts.query or parts.fragment or parts.username)
    except ValueError:
        is_fine = False
    if not is_fine:
        yield Error(
            f"PUBLIC_URL is “{settings.PUBLIC_URL}”, which is not the address of a site.",
            hint="Set it to what people type in the browser, without a path, for example https://oncall.example.com.",
            id="watchbill.E001",
        )


def _time_zone():
    if settings.TIME_ZONE not in zoneinfo.available_timezones():
        yield Error(
            f"TIME_ZONE is “{settings.TIME_ZONE}”, which is not a time zone.",
            hint="Set it to an IANA name, for example UTC or Europe/Berlin.",
            id="watchbill.E002",
        )


def _numbers():
    for priority, seconds in settings.SLA_TARGET_SECONDS.items():
        if seconds <= 0:
            yield Error(
                f"SLA_{priority}_SECONDS is {seconds}.",
                hint="Set it to the seconds in which somebody should answer, 1 or more, for example 300.",
                id="watchbill.E003",
            )
    for name, (value, smallest) in SMALLEST.items():
        if value() < smallest:
            yield Error(f"{name} is {value()}.", hint=f"Set it to {smallest} or more.", id="watchbill.E003")


def _retries():
    delays = settings.RETRY_DELAYS_SECONDS
    if not delays or any(seconds <= 0 for seconds in delays):
        yield Error(
            f"RETRY_DELAYS_SECONDS is {', '.join(map(str, delays)) or 'empty'}.",
            hint="Set it to the seconds before each new try, each 1 or more, for example 5,10,20.",
            id="watchbill.E004",
        )


def _priorities():
    if unknown := [one for one in settings.HIGH_URGENCY_PRIORITIES if one not in PRIORITIES]:
        yield Error(
            f"HIGH_URGENCY_PRIORITIES names {', '.join(unknown)}, which is no priority.",
            hint=f"Use some of {', '.join(PRIORITIES)}, for example P1,P2.",
            id="watchbill.E005",
        )


def _networks():
    for text in settings.HTTP_ALLOW_PRIVATE:
        try:
            if text != "*":
                ipaddress.ip_network(text.strip(), strict=False)
        except ValueError:
            yield Error(
                f"HTTP_ALLOW_PRIVATE names “{text}”, which is not an address or a network.",
                hint="Use addresses and networks, for example 127.0.0.1,10.1.0.0/16.",
                id="watchbill.E006",
            )


def _redis():
    if settings.REDIS_URL and urlsplit(settings.REDIS_URL).scheme not in ("redis", "rediss", "unix"):
        yield Error(
            "REDIS_URL does not begin with redis://, rediss:// or unix://.",
            hint="Write it as redis://host:6379/0, or unset it: Redis is not needed.",
            id="watchbill.E007",
        )


def _encryption_keys():
    for number, key in enumerate(settings.ENCRYPTION_KEYS, start=1):
        try:
            Fernet(key)
        except (ValueError, TypeError):
            yield Error(
                f"Key number {number} of ENCRYPTION_KEYS is not a Fernet key: 32 bytes in url-safe base64.",
                hint='Make one with: python -c "from cryptography.fernet import Fernet; '
                'print(Fernet.generate_key().decode())"',
                id="watchbill.E008",
            )


def _providers():
    """An account of which only half is there: it would silently not be used."""
    for kind, config in settings.PROVIDERS.items():
        vendor = vendors.get(kind) if kind in vendors else None
        given = (
            [one.name for one in vendor.settings if config.get(one.name, "") not in ("", one.default)]
            if vendor
            else []
        )
        if not given:
            continue
        problems = vendor.problems_with(vendor.complete(config))
        for setting in vendor.settings:
            if setting.is_required and not config.get(setting.name) and not setting.default:
                problems.setdefault(setting.name, f"{setting.label} is missing.")
        for name, problem in problems.items():
            yield Error(
                f"{kind.upper()}_{name.upper()}: {problem}",
                hint=f"Set it, or unset all of {', '.join(f'{kind.upper()}_{one.upper()}' for one in given)}.",
                id="watchbill.E009",
            )


@register(TAG)
def check_production(app_configs=None, **kwargs):
    """Values that work and are not safe, or not useful, for more people than the one who tries it out."""
    return [] if is_local() else [*_debug(), *_hosts(), *_secret(), *_plain_http(), *_mail()]


def _debug():
    if settings.DEBUG:
        yield Warning(
            "DEBUG is on, so an error page shows settings and data to everybody.",
            hint="Unset DEBUG.",
            id="watchbill.W001",
        )


def _hosts():
    if "*" in settings.ALLOWED_HOSTS:
        yield Warning(
            "ALLOWED_HOSTS is *, so a request may claim any host name.",
            hint=f"Set ALLOWED_HOSTS to {host() or 'the host name of PUBLIC_URL'}.",
            id="watchbill.W002",
        )


def _secret():
    if len(settings.SECRET_KEY) < SECRET_LENGTH or len(set(settings.SECRET_KEY)) < 8:
        yield Warning(
            f"SECRET_KEY is too easy to guess: it has {len(settings.SECRET_KEY)} characters.",
            hint="Unset it, and one is made and kept in WATCHBILL_HOME; or set it to 50 random characters.",
            id="watchbill.W003",
        )


def _plain_http():
    if settings.PUBLIC_URL.lower().startswith("http:"):
        yield Warning(
            "PUBLIC_URL begins with http://, so passwords, keys and links to acknowledge travel in plain text.",
            hint="Put a proxy with TLS in front, and set PUBLIC_URL to its https:// address.",
            id="watchbill.W004",
        )


def _mail():
    if not settings.EMAIL_URL:
        yield Warning(
            f"EMAIL_URL is not set, so mails become files in {settings.MAIL_DIR} and nobody gets them.",
            hint="Set it to your mail server, for example smtp+tls://user:password@mail.example.com:587.",
            id="watchbill.W005",
        )
