"""Settings of Watchbill, all of them, read from the environment.

Every name is explained in docs/configuration.md. The defaults start the program on its own embedded PostgreSQL.
"""

import os
import sys
import zoneinfo
from pathlib import Path
from urllib.parse import urlsplit

import environ

from core import embedded

BASE_DIR = Path(__file__).resolve().parent.parent


class Env(environ.Env):
    """The environment; a value that cannot be read ends the start with a sentence. System checks judge the rest."""

    def get_value(self, var, *args, **kwargs):
        try:
            return super().get_value(var, *args, **kwargs)
        except ValueError as error:
            raise SystemExit(
                f"{var} is “{os.environ.get(var, '')}”, which cannot be read ({error}): correct it, or unset it."
            ) from None


env = Env()

WATCHBILL_VERSION = "0.1.0"
WATCHBILL_HOME = Path(env.str("WATCHBILL_HOME", default="") or BASE_DIR / "var").resolve()
# web | worker | ticker | mailin | command. Connections differ by role: a pool corrupts forked workers, persistent
# connections leak under ASGI.
ROLE = env.str("WATCHBILL_ROLE", default="") or {
    "qcluster": "worker",
    "ticker": "ticker",
    "mailin": "mailin",
}.get("".join(sys.argv[1:2]), "command")

DEBUG = env.bool("DEBUG", default=False)
SECRET_KEY = env.str("SECRET_KEY", default="") or embedded.secret_key(WATCHBILL_HOME)
SECRET_KEY_FALLBACKS = env.list("SECRET_KEY_FALLBACKS", default=[])
# Fernet keys for secrets in the database, the one that encrypts first; empty: derived from SECRET_KEY.
ENCRYPTION_KEYS = env.list("ENCRYPTION_KEYS", default=[])
PUBLIC_URL = env.str("PUBLIC_URL", default="http://127.0.0.1:8000").rstrip("/")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["*"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[PUBLIC_URL])
SITE_NAME = env.str("SITE_NAME", default="Watchbill")

INSTALLED_APPS = [
    "daphne",
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django.contrib.postgres",
    "channels",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_q",
    "django_prometheus",
    "core",
    "accounts",
    "notifications",
    "oncall",
    "catalog",
    "incidents",
    "alerts",
    "config",
]

MIDDLEWARE = [
    "django_prometheus.middleware.PrometheusBeforeMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_prometheus.middleware.PrometheusAfterMiddleware",
]

ROOT_URLCONF = "config.urls"
ASGI_APPLICATION = "config.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# --- database -------------------------------------------------------------------------------------------------
DATABASE_URL = env.str("DATABASE_URL", default="") or embedded.url(WATCHBILL_HOME)
try:
    DATABASES = {"default": environ.Env.db_url_config(DATABASE_URL, engine="django.db.backends.postgresql")}
except ValueError:  # nothing can be loaded without it, so not even a system check
    raise SystemExit(
        "DATABASE_URL is not an address of PostgreSQL: "
        "write it as postgres://user:password@host:5432/name, or unset it."
    ) from None
DATABASES["default"].setdefault("OPTIONS", {})
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
if ROLE == "web":
    DATABASES["default"]["CONN_MAX_AGE"] = 0
    DATABASES["default"]["OPTIONS"]["pool"] = {
        "min_size": 2,
        "max_size": env.int("DB_POOL_SIZE", default=10),
        "timeout": 5,
    }
else:
    DATABASES["default"]["CONN_MAX_AGE"] = 60
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- cache and queue ------------------------------------------------------------------------------------------
REDIS_URL = env.str("REDIS_URL", default="")
if REDIS_URL:
    CACHES = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": REDIS_URL}}
else:
    CACHES = {"default": {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "watchbill_cache"}}
CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer", "CONFIG": {"capacity": 1000}}}

# A task is a wake-up; the truth is a row with a due time. So results are not kept, a failed task is not repeated by
# the queue (the row is still due), and `retry` exceeds `timeout` so that no task runs beside itself.
Q_CLUSTER = {
    "name": "watchbill",
    "workers": env.int("WORKERS", default=2),
    "timeout": 60,
    "retry": 120,
    "max_attempts": 3,
    "ack_failures": True,
    "save_limit": -1,
    "catch_up": False,
    "scheduler": False,
    "queue_limit": 4,
    "recycle": 5000,
    "poll": 0.05,
    "log_level": env.str("QUEUE_LOG_LEVEL", default="WARNING"),
    **({"redis": REDIS_URL} if REDIS_URL else {"orm": "default"}),
}

# --- people ---------------------------------------------------------------------------------------------------
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["accounts.auth.Backend"]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "dashboard"
LOGOUT_REDIRECT_URL = "login"
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = PUBLIC_URL.startswith("https://")

# --- words and numbers of the product -------------------------------------------------------------------------
CORRELATION_WINDOW_SECONDS = env.int("CORRELATION_WINDOW_SECONDS", default=300)
HIGH_URGENCY_PRIORITIES = env.list("HIGH_URGENCY_PRIORITIES", default=["P1", "P2"])
SLA_TARGET_SECONDS = {
    "P1": env.int("SLA_P1_SECONDS", default=180),
    "P2": env.int("SLA_P2_SECONDS", default=300),
    "P3": env.int("SLA_P3_SECONDS", default=600),
    "P4": env.int("SLA_P4_SECONDS", default=600),
    "P5": env.int("SLA_P5_SECONDS", default=600),
}
RETRY_DELAYS_SECONDS = env.list("RETRY_DELAYS_SECONDS", cast=int, default=[5, 10, 20])
LINK_HOURS = env.int("LINK_HOURS", default=24)
INGEST_MAX_BODY_BYTES = env.int("INGEST_MAX_BODY_BYTES", default=512 * 1024)
INGEST_QUEUE_LIMIT = env.int("INGEST_QUEUE_LIMIT", default=5000)
RAW_EVENT_DAYS = env.int("RAW_EVENT_DAYS", default=90)
CHANGE_EVENT_DAYS = env.int("CHANGE_EVENT_DAYS", default=90)
STORM_INCIDENTS_PER_MINUTE = env.int("STORM_INCIDENTS_PER_MINUTE", default=60)
SILENCE_WARNING_SECONDS = env.int("SILENCE_WARNING_SECONDS", default=900)
# Addresses that outgoing webhooks may reach although they are private: "127.0.0.1", "10.1.0.0/16".
HTTP_ALLOW_PRIVATE = env.list("HTTP_ALLOW_PRIVATE", default=[])

# Proxies in front of us whose X-Forwarded-For counts: how many there are ("1"), or their networks ("10.0.0.0/8").
TRUSTED_PROXIES = env.list("TRUSTED_PROXIES", default=[])

# --- mail -----------------------------------------------------------------------------------------------------
EMAIL_URL = env.str("EMAIL_URL", default="")
MAIL_DIR = WATCHBILL_HOME / "mail"
if EMAIL_URL:
    vars().update(environ.Env.email_url_config(EMAIL_URL))
else:
    EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
    EMAIL_FILE_PATH = MAIL_DIR
EMAIL_TIMEOUT = 15
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default="Watchbill <watchbill@localhost>")
SERVER_EMAIL = DEFAULT_FROM_EMAIL
# Mails are sent from bounces+<token>@example.com when this is bounces@example.com, so that bounces find their message.
BOUNCE_ADDRESS = env.str("BOUNCE_ADDRESS", default="")
BOUNCE_SECRET = env.str("BOUNCE_SECRET", default="")
MAILGUN_SIGNING_KEY = env.str("MAILGUN_SIGNING_KEY", default="")
# Alerts by mail: the SMTP listener is on when it has a port.
MAIL_IN_PORT = env.int("MAIL_IN_PORT", default=0)
MAIL_IN_HOST = env.str("MAIL_IN_HOST", default="")
MAIL_IN_DOMAIN = env.str("MAIL_IN_DOMAIN", default="") or urlsplit(PUBLIC_URL).hostname or "localhost"

# --- providers: accounts at outside services that the environment gives; others are rows, made in the admin ---------
# vendor: {field of its class in notifications/providers: value}. One with an empty required value does not exist.
PROVIDERS = {
    "twilio": {
        "account_sid": env.str("TWILIO_ACCOUNT_SID", default=""),
        "auth_token": env.str("TWILIO_AUTH_TOKEN", default=""),
        "from_number": env.str("TWILIO_FROM_NUMBER", default=""),
        "messaging_service_sid": env.str("TWILIO_MESSAGING_SERVICE_SID", default=""),
        "old_auth_token": env.str("TWILIO_OLD_AUTH_TOKEN", default=""),
        "receipts": env.str("TWILIO_RECEIPTS", default="yes"),
        "machine_detection": env.str("TWILIO_MACHINE_DETECTION", default="no"),
        "base_url": env.str("TWILIO_BASE_URL", default="https://api.twilio.com"),
    },
    "slack": {
        "bot_token": env.str("SLACK_BOT_TOKEN", default=""),
        "signing_secret": env.str("SLACK_SIGNING_SECRET", default=""),
        "base_url": env.str("SLACK_BASE_URL", default="https://slack.com/api/"),
    },
    "telegram": {
        "bot_token": env.str("TELEGRAM_BOT_TOKEN", default=""),
        "webhook_secret": env.str("TELEGRAM_WEBHOOK_SECRET", default=""),
        "bot_name": env.str("TELEGRAM_BOT_NAME", default=""),
        "base_url": env.str("TELEGRAM_BASE_URL", default="https://api.telegram.org"),
    },
}

# --- API ------------------------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_FILTER_BACKENDS": [
        "accounts.auth.VisibleRows",
        "django_filters.rest_framework.DjangoFilterBackend",
    ],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "accounts.auth.ApiKeyAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["accounts.auth.RolePermission"],
    "DEFAULT_PAGINATION_CLASS": "core.api.CursorPagination",
    "EXCEPTION_HANDLER": "core.api.problem_handler",
    "PAGE_SIZE": 50,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Watchbill API",
    "DESCRIPTION": "Alerts in, people paged, incidents carried through.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    # Several things have a role, a priority or a state.
    "ENUM_NAME_OVERRIDES": {
        "RoleEnum": "accounts.models.Role",
        "OnCallRoleEnum": "oncall.models.Duty",
        "CalledRoleEnum": "oncall.api.shapes.CALLED_ROLES",
        "WeekdayEnum": "oncall.api.schedules.WEEKDAYS",
        "PriorityEnum": "incidents.models.Priority",
        "SeverityEnum": "incidents.models.Severity",
        "MessageKindEnum": "notifications.models.KINDS",
        "NotificationStateEnum": "notifications.models.Notification.State",
        "SwapStateEnum": "oncall.models.ShiftRequest.State",
        "OfferStateEnum": "oncall.models.Offer.State",
    },
}

# --- pages ----------------------------------------------------------------------------------------------------
LANGUAGE_CODE = "en"
TIME_ZONE = env.str("TIME_ZONE", default="UTC")
if TIME_ZONE not in zoneinfo.available_timezones():  # Django would end in a traceback before any check runs
    raise SystemExit(f"TIME_ZONE is “{TIME_ZONE}”, which is no time zone: write it like Europe/Berlin, or unset it.")
USE_TZ = True
USE_I18N = False
STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = WATCHBILL_HOME / "static"
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG
# Each place of a rotation is two fields, and the page of a schedule has all its layers.
DATA_UPLOAD_MAX_NUMBER_FIELDS = 20_000
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
UNFOLD = {
    "SITE_TITLE": SITE_NAME,
    "SITE_HEADER": SITE_NAME,
    "SITE_URL": "/",
    "SIDEBAR": {"show_search": True, "navigation": "config.admin_menu.navigation"},
    "DASHBOARD_CALLBACK": "config.admin_menu.dashboard",
}

# --- log ------------------------------------------------------------------------------------------------------
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", default="INFO")},
    "loggers": {
        "django.request": {"level": "ERROR"},
        "django-q": {"level": "WARNING"},
        "daphne": {"level": "WARNING"},
        "django.channels.server": {"level": "WARNING"},
        "mail.log": {"level": "ERROR"},  # of the SMTP listener: it names recipients, and those are keys
    },
}

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
