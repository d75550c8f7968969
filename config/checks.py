"""System checks of the settings: Errors for what cannot work or would be open to strangers, Warnings for the rest.

Production is whatever other machines can reach: PUBLIC_URL names another host than this machine's own loopback. What
is unsafe there stops the start of every process; `refuse_unsafe` does it where no command of Django runs the checks.

They know values only, so they run before there is a database. Each hint says what to change, by the name in the
environment; docs/configuration.md explains every one.
"""

import ipaddress
import zoneinfo
from pathlib import Path
from urllib.parse import urlsplit

from cryptography.fernet import Fernet
from django.conf import settings
from django.core.checks import ERROR, Error, Tags, Warning, register
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError

from accounts import oidc, passwords, second_factor
from accounts.models import Role, User
from core import hosts, limits, packages
from core.buckets import Limit
from notifications.models import vendors

TAG = "watchbill"
PRIORITIES = ("P1", "P2", "P3", "P4", "P5")
SECRET_LENGTH = 32
MOST_PROXIES = 10  # in a row; whoever sets more has mistaken what is asked
KNOWN_SECRETS = ("django-insecure", "changeme", "change-me", "change me", "fifty random characters", "your-secret")
# name in the environment: (how the setting is read, the smallest value that works)
SMALLEST = {
    "SESSION_HOURS": (lambda: settings.SESSION_COOKIE_AGE // 3600, 1),
    "LOCKOUT_FAILURES": (lambda: settings.AXES_FAILURE_LIMIT, 3),
    "LOCKOUT_MINUTES": (lambda: settings.AXES_COOLOFF_TIME.total_seconds() // 60, 1),
    "CORRELATION_WINDOW_SECONDS": (lambda: settings.CORRELATION_WINDOW_SECONDS, 0),
    "LINK_HOURS": (lambda: settings.LINK_HOURS, 1),
    "SUBSCRIBER_MESSAGES_PER_MINUTE": (lambda: settings.SUBSCRIBER_MESSAGES_PER_MINUTE, 1),
    "INVITATION_HOURS": (lambda: settings.INVITATION_HOURS, 1),
    "RESET_MINUTES": (lambda: settings.RESET_MINUTES, 1),
    "INGEST_MAX_BODY_BYTES": (lambda: settings.INGEST_MAX_BODY_BYTES, 1024),
    "INGEST_QUEUE_LIMIT": (lambda: settings.INGEST_QUEUE_LIMIT, 1),
    "RAW_EVENT_DAYS": (lambda: settings.RAW_EVENT_DAYS, 1),
    "CHANGE_EVENT_DAYS": (lambda: settings.CHANGE_EVENT_DAYS, 1),
    "POSTMORTEM_REMINDER_HOURS": (lambda: settings.POSTMORTEM_REMINDER_HOURS, 0),
    "AUDIT_DAYS": (lambda: settings.AUDIT_DAYS, 0),
    "STORM_INCIDENTS_PER_MINUTE": (lambda: settings.STORM_INCIDENTS_PER_MINUTE, 0),
    "SILENCE_WARNING_SECONDS": (lambda: settings.SILENCE_WARNING_SECONDS, 0),
    "SOCKETS_PER_PERSON": (lambda: settings.SOCKETS_PER_PERSON, 1),
    "SOCKETS_PER_ADDRESS": (lambda: settings.SOCKETS_PER_ADDRESS, 1),
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
    return hosts.is_loopback(host())


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
        *_proxies(),
        *_limits(),
        *_encryption_keys(),
        *_providers(),
        *_origins(),
        *_sign_in(),
        *_oidc(),
        *_status_export(),
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
    for name in ("HTTP_ALLOW_PRIVATE", "SUBSCRIBER_ALLOW_PRIVATE"):
        for text in getattr(settings, name):
            try:
                if text != "*":
                    ipaddress.ip_network(text.strip(), strict=False)
            except ValueError:
                yield Error(
                    f"{name} names “{text}”, which is not an address or a network.",
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


def _proxies():
    try:
        count, networks = limits.read_proxies(tuple(settings.TRUSTED_PROXIES))
    except ValueError as error:
        yield Error(
            f"TRUSTED_PROXIES cannot be read: {error}.",
            hint="Set it to how many proxies are in front, for example 1, or to their addresses and networks, for "
            "example 10.0.0.0/8,fd00::/8; or unset it when there is none.",
            id="watchbill.E020",
        )
        return
    if count > MOST_PROXIES or any(network.prefixlen == 0 for network in networks):
        yield Error(
            "TRUSTED_PROXIES trusts everybody, so that each client may claim any address.",
            hint="Name only your own proxies.",
            id="watchbill.E020",
        )


def _limits():
    for name, text in settings.RATE_LIMITS.items():
        try:
            Limit.read(name, text)
        except ValueError as error:
            yield Error(
                f"RATE_LIMIT_{name.upper()} is “{text}”, which is not a limit.",
                hint=f"Please {error}.",
                id="watchbill.E021",
            )
    if settings.RATE_LIMIT_STORE not in ("shared", "process"):
        yield Error(
            f"RATE_LIMIT_STORE is “{settings.RATE_LIMIT_STORE}”.",
            hint="Set it to shared, or to process when there is only one web process.",
            id="watchbill.E022",
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


def _origins():
    for origin in settings.CORS_ALLOWED_ORIGINS:
        if hosts.origin_of(origin) != origin:
            yield Error(
                f"CORS_ALLOWED_ORIGINS names “{origin}”, which is not an origin.",
                hint="Name each site by scheme, host and port, for example https://status.example.com. There is no *: "
                "it would let every page in the world use the API.",
                id="watchbill.E010",
            )


def _sign_in():
    allowed = {
        "PASSWORD_SIGN_IN": (passwords.EVERYBODY, passwords.BREAK_GLASS),
        "REQUIRE_SECOND_FACTOR": (second_factor.NOBODY, second_factor.ADMINS, second_factor.EVERYBODY),
        "OIDC_DEFAULT_ROLE": tuple(Role.values),
    }
    for name, values in allowed.items():
        if getattr(settings, name) not in values:
            yield Error(
                f"{name} is “{getattr(settings, name)}”.", hint=f"Use one of {', '.join(values)}.", id="watchbill.E014"
            )
    if settings.PASSWORD_SIGN_IN == passwords.BREAK_GLASS and not settings.OIDC_PROVIDERS:
        yield Error(
            "PASSWORD_SIGN_IN is “break-glass”, and there is no provider of single sign-on: nobody else can sign in.",
            hint="Set OIDC_ISSUER and what belongs to it, or set PASSWORD_SIGN_IN=everybody.",
            id="watchbill.E014",
        )


def _oidc():
    """A provider that is wrong would silently not be offered."""
    seen = set()
    for one in settings.OIDC_PROVIDERS if isinstance(settings.OIDC_PROVIDERS, list) else [None]:
        if problem := oidc.problem_with(one):
            yield Error(
                f"A provider of single sign-on is wrong: {problem}",
                hint="Correct what begins with OIDC_, or the list in OIDC_PROVIDERS; docs/sign-in.md has examples.",
                id="watchbill.E015",
            )
        elif one["id"] in seen:
            yield Error(
                f"Two providers of single sign-on have the id “{one['id']}”.",
                hint="Give each its own; OIDC_ID is that of OIDC_ISSUER.",
                id="watchbill.E015",
            )
        else:
            seen.add(one["id"])


def _status_export():
    root = settings.STATUS_EXPORT_ROOT
    if root and not Path(root).is_absolute():
        yield Error(
            f"STATUS_EXPORT_ROOT is “{root}”, which depends on where a process was started.",
            hint="Write the whole path, for example /srv/status, or unset it.",
            id="watchbill.E023",
        )


@register(Tags.database)
def check_break_glass(app_configs=None, databases=None, **kwargs):
    """Single sign-on only, and nobody who could get in while the provider is down. Asks the database."""
    if settings.PASSWORD_SIGN_IN != passwords.BREAK_GLASS or not databases:
        return []
    try:
        accounts = User.objects.filter(is_break_glass=True, is_active=True)
        if any(one.has_usable_password() for one in accounts):
            return []
    except DatabaseError:  # there are no tables yet
        return []
    return [
        Warning(
            "Only single sign-on is allowed, and no account with a password is marked as break-glass: while the "
            "provider is down, nobody can sign in.",
            hint="Mark an admin as break-glass on their page in the admin, and give the account a long password.",
            id="watchbill.W021",
        )
    ]


@register(TAG)
def check_production(app_configs=None, **kwargs):
    """Values that work and are not safe, or not useful, for more people than the one who tries it out."""
    return [] if is_local() else [*_debug(), *_hosts(), *_secret(), *_plain_http(), *_mail(), *_proxy()]


@register(TAG)
def check_packages(app_configs=None, **kwargs):
    """The browser's packages, without which pages are plain and change only when they are loaded again."""
    if not (missing := packages.missing()):
        return []
    return [
        Warning(
            f"Files of the browser's packages are missing: {', '.join(missing)}. Pages can be read and answered, and "
            "do not change by themselves.",
            hint="Start bin/up where the npm registry can be reached; it fetches them.",
            id="watchbill.W030",
        )
    ]


def refuse_unsafe():
    """Raise ImproperlyConfigured, with a sentence for each, when settings are unsafe in production."""
    if found := [one for one in check_production() if one.level >= ERROR]:
        raise ImproperlyConfigured(" ".join(f"{one.msg} {one.hint}" for one in found))


def _debug():
    if settings.DEBUG:
        yield Error(
            "DEBUG is on, so an error page shows settings and data to everybody.",
            hint="Unset DEBUG.",
            id="watchbill.E011",
        )


def _hosts():
    if "*" in settings.ALLOWED_HOSTS:
        yield Error(
            "ALLOWED_HOSTS is *, so a request may claim any host name.",
            hint=f"Unset it, and it is {host() or 'the host name of PUBLIC_URL'}; or name each host.",
            id="watchbill.E012",
        )


def _secret():
    key = settings.SECRET_KEY
    is_known = any(word in key.lower() for word in KNOWN_SECRETS)
    if len(key) < SECRET_LENGTH or len(set(key)) < 8 or is_known:
        reason = "it is one of an example" if is_known else f"it has {len(key)} characters, {len(set(key))} different"
        yield Error(
            f"SECRET_KEY is too easy to guess: {reason}.",
            hint="Unset it, and one is made and kept in WATCHBILL_HOME; or set it to 50 random characters.",
            id="watchbill.E013",
        )


def _plain_http():
    if settings.PUBLIC_URL.lower().startswith("http:"):
        level, number = (Warning, "W004") if settings.INSECURE_HTTP_OK else (Error, "E016")
        yield level(
            "PUBLIC_URL begins with http://, so passwords, keys and links to acknowledge travel in plain text.",
            hint="Put a proxy with TLS in front, and set PUBLIC_URL to its https:// address. In a network where "
            "nobody else listens, INSECURE_HTTP_OK=true allows it.",
            id=f"watchbill.{number}",
        )


def _proxy():
    if settings.PUBLIC_URL.lower().startswith("https:") and not settings.TRUSTED_PROXIES:
        yield Warning(
            "TRUSTED_PROXIES is not set, so everybody who comes through the proxy that does TLS has its address: in "
            "limits, in lockouts after wrong passwords, and in the audit log.",
            hint="Set it to how many proxies are in front, mostly 1, or to their addresses; 0 if there is none.",
            id="watchbill.W020",
        )


def _mail():
    if not settings.EMAIL_URL:
        yield Warning(
            f"EMAIL_URL is not set, so mails become files in {settings.MAIL_DIR} and nobody gets them.",
            hint="Set it to your mail server, for example smtp+tls://user:password@mail.example.com:587.",
            id="watchbill.W005",
        )
