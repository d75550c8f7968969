"""Settings of Watchbill, all of them, read from the environment.

Every name is explained in docs/configuration.md. The defaults start the program on its own embedded PostgreSQL.
"""

import datetime
import os
import sys
import zoneinfo
from pathlib import Path
from urllib.parse import urlsplit

import environ
from csp.constants import NONCE, NONE, SELF, UNSAFE_EVAL, UNSAFE_INLINE
from django.templatetags.static import static

from core import embedded, hosts

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
PUBLIC_URL = env.str("PUBLIC_URL", default="").rstrip("/") or "http://127.0.0.1:8000"
IS_HTTPS = PUBLIC_URL.lower().startswith("https://")
# Beside the site's own name those by which only this machine can call it.
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=[]) or [
    *dict.fromkeys([hosts.of(PUBLIC_URL) or "localhost", "localhost", ".localhost", "127.0.0.1", "[::1]"])
]
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
    "allauth",
    "allauth.account",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "allauth.mfa",
    "allauth.usersessions",
    "axes",
    "core",
    "accounts",
    "notifications",
    "oncall",
    "catalog",
    "incidents",
    "alerts",
    "statuspages",
    "postmortems",
    "automation",
    "config",
]

MIDDLEWARE = [
    "django_prometheus.middleware.PrometheusBeforeMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "core.headers.Compressed",
    "csp.middleware.CSPMiddleware",
    "core.headers.Headers",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "config.gate.Gate",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "accounts.audit.Origin",
    "django.contrib.messages.middleware.MessageMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "accounts.sessions.Seen",
    "accounts.middleware.SecondFactorMiddleware",
    "axes.middleware.AxesMiddleware",
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
# A host that is gone answers nothing, and the system waits for it for a quarter of an hour. Whoever pages people must
# notice within seconds. What DATABASE_URL says goes first; on a socket of this machine these mean nothing.
DATABASE_PATIENCE = {
    "connect_timeout": 5,
    "tcp_user_timeout": 10_000,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
}
DATABASES["default"]["OPTIONS"] = DATABASE_PATIENCE | DATABASES["default"].get("OPTIONS", {})
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
AUTHENTICATION_BACKENDS = ["accounts.passwords.LockoutBackend", "accounts.passwords.PasswordBackend"]
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
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = IS_HTTPS
CSRF_COOKIE_HTTPONLY = True  # pages read the token from their form
if IS_HTTPS:  # no other host of the domain can set a cookie with this prefix
    SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = "__Host-session", "__Host-csrf"
# Long, because a person who is called at three in the morning must not look for a password first.
SESSION_COOKIE_AGE = env.int("SESSION_HOURS", default=336) * 3600

# --- sign-in: docs/sign-in.md, docs/decisions/0011-sign-in.md -------------------------------------------------------
PASSWORD_SIGN_IN = env.str("PASSWORD_SIGN_IN", default="everybody")
REQUIRE_SECOND_FACTOR = env.str("REQUIRE_SECOND_FACTOR", default="nobody")
# Providers of single sign-on. One of them: OIDC_ISSUER and what begins like it. Several: OIDC_PROVIDERS, a JSON list.
OIDC_PROVIDERS = env.json("OIDC_PROVIDERS", default=[])
if env.str("OIDC_ISSUER", default=""):
    OIDC_PROVIDERS = [
        {
            "id": env.str("OIDC_ID", default="sso"),
            "name": env.str("OIDC_NAME", default="single sign-on"),
            "issuer": env.str("OIDC_ISSUER"),
            "client_id": env.str("OIDC_CLIENT_ID", default=""),
            "client_secret": env.str("OIDC_CLIENT_SECRET", default=""),
            "scopes": env.str("OIDC_SCOPES", default="openid profile email"),
            "groups_claim": env.str("OIDC_GROUPS_CLAIM", default="groups"),
            "email_domains": env.list("OIDC_EMAIL_DOMAINS", default=[]),
            "trusts_email": env.bool("OIDC_TRUSTS_EMAIL", default=False),
            "asks_second_factor": env.bool("OIDC_ASKS_SECOND_FACTOR", default=False),
        },
        *OIDC_PROVIDERS,
    ]
OIDC_CREATE_ACCOUNTS = env.bool("OIDC_CREATE_ACCOUNTS", default=False)
OIDC_DEFAULT_ROLE = env.str("OIDC_DEFAULT_ROLE", default="observer")

ACCOUNT_ADAPTER = "accounts.adapters.AccountAdapter"
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]  # nobody signs up; a check wants the address of the login in it
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_FORMS = {"login": "accounts.forms.LoginForm"}
# What is guessed is counted by accounts.lockout in the database, so that nobody is kept out by a cache that is down.
ACCOUNT_RATE_LIMITS = False
MFA_RATE_LIMITS = False
SOCIALACCOUNT_ADAPTER = "accounts.adapters.SocialAccountAdapter"
SOCIALACCOUNT_EMAIL_VERIFICATION = "none"
MFA_ADAPTER = "accounts.adapters.MFAAdapter"
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes", "webauthn"]
MFA_FORMS = {
    "authenticate": "accounts.forms.SecondFactorForm",
    "reauthenticate": "accounts.forms.SecondFactorAgainForm",
}
MFA_TOTP_ISSUER = SITE_NAME
MFA_TOTP_TOLERANCE = 1  # a phone's clock may be half a minute off
MFA_PASSKEY_LOGIN_ENABLED = True

AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_FAILURE_LIMIT = env.int("LOCKOUT_FAILURES", default=5)
AXES_COOLOFF_TIME = datetime.timedelta(minutes=env.int("LOCKOUT_MINUTES", default=15))
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False  # or a forgotten tab would keep its owner out
AXES_CLIENT_IP_CALLABLE = "accounts.lockout.address_of"
AXES_USERNAME_CALLABLE = "accounts.lockout.name_of"
AXES_LOCKOUT_CALLABLE = "accounts.lockout.respond"
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False
AXES_SENSITIVE_PARAMETERS = ["username", "ip_address", "code", "csrfmiddlewaretoken"]  # it keeps what was sent

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
INVITATION_HOURS = env.int("INVITATION_HOURS", default=72)
RESET_MINUTES = env.int("RESET_MINUTES", default=60)
INGEST_MAX_BODY_BYTES = env.int("INGEST_MAX_BODY_BYTES", default=512 * 1024)
INGEST_QUEUE_LIMIT = env.int("INGEST_QUEUE_LIMIT", default=5000)
RAW_EVENT_DAYS = env.int("RAW_EVENT_DAYS", default=90)
CHANGE_EVENT_DAYS = env.int("CHANGE_EVENT_DAYS", default=90)
POSTMORTEM_REMINDER_HOURS = env.int("POSTMORTEM_REMINDER_HOURS", default=48)  # 0: nobody is reminded
AUDIT_DAYS = env.int("AUDIT_DAYS", default=2 * 365)  # 0: for ever
STORM_INCIDENTS_PER_MINUTE = env.int("STORM_INCIDENTS_PER_MINUTE", default=60)
SILENCE_WARNING_SECONDS = env.int("SILENCE_WARNING_SECONDS", default=900)
# Addresses that outgoing webhooks may reach although they are private: "127.0.0.1", "10.1.0.0/16".
HTTP_ALLOW_PRIVATE = env.list("HTTP_ALLOW_PRIVATE", default=[])
# The same for webhooks of subscribers of status pages, whom nobody knows.
SUBSCRIBER_ALLOW_PRIVATE = env.list("SUBSCRIBER_ALLOW_PRIVATE", default=[])
# All of them together: what a relay of one's own takes, and most services for hire.
SUBSCRIBER_MESSAGES_PER_MINUTE = env.int("SUBSCRIBER_MESSAGES_PER_MINUTE", default=600)

# Below it status pages are written as files after each change, for those with a folder; empty: nowhere.
STATUS_EXPORT_ROOT = env.str("STATUS_EXPORT_ROOT", default="")

# Proxies in front of us whose X-Forwarded-For counts: how many there are ("1"), or their networks ("10.0.0.0/8").
TRUSTED_PROXIES = env.list("TRUSTED_PROXIES", default=[])
# How often somebody may do what: "600/minute", "20/10s", "off". See docs/limits.md.
RATE_LIMITS = {
    "inbound": env.str("RATE_LIMIT_INBOUND", default="100000/minute"),
    "unknown_keys": env.str("RATE_LIMIT_UNKNOWN_KEYS", default="60/minute"),
    "api": env.str("RATE_LIMIT_API", default="3000/minute"),
    "api_changes": env.str("RATE_LIMIT_API_CHANGES", default="1200/minute"),
    "answers": env.str("RATE_LIMIT_ANSWERS", default="6000/minute"),
    "public": env.str("RATE_LIMIT_PUBLIC", default="1200/minute"),
    "guesses": env.str("RATE_LIMIT_GUESSES", default="60/minute"),
}
# shared: counted in Redis if there is a REDIS_URL, else in PostgreSQL. process: each web process counts for itself.
RATE_LIMIT_STORE = env.str("RATE_LIMIT_STORE", default="shared")
SOCKETS_PER_PERSON = env.int("SOCKETS_PER_PERSON", default=50)
SOCKETS_PER_ADDRESS = env.int("SOCKETS_PER_ADDRESS", default=1000)

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
    "DEFAULT_THROTTLE_CLASSES": ["core.throttle.ApiThrottle"],
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
        "ApiKeyStateEnum": "accounts.key_api.STATES",
        "OnCallRoleEnum": "oncall.models.Duty",
        "CalledRoleEnum": "oncall.api.shapes.CALLED_ROLES",
        "WeekdayEnum": "oncall.api.schedules.WEEKDAYS",
        "PriorityEnum": "incidents.models.Priority",
        "SeverityEnum": "incidents.models.Severity",
        "ResponderRoleEnum": "incidents.models.Responder.Role",
        "MessageKindEnum": "notifications.models.KINDS",
        "NotificationStateEnum": "notifications.models.Notification.State",
        "SwapStateEnum": "oncall.models.ShiftRequest.State",
        "OfferStateEnum": "oncall.models.Offer.State",
        "ServiceStateEnum": "catalog.state.CHOICES",
        "VerdictEnum": "automation.models.Verdict",
        "PostmortemStatusEnum": "postmortems.states.CHOICES",
        "ReviewVerdictEnum": "postmortems.models.Review.Verdict",
        "ActionItemStatusEnum": "postmortems.models.ActionItem.Status",
        "GradeEnum": "postmortems.models.ActionItem.Priority",
        "ComponentStateEnum": "statuspages.states.COMPONENT_STATES",
        "IncidentStageEnum": "statuspages.states.INCIDENT_STAGES",
        "PostStageEnum": "statuspages.states.STAGES",
        "ImpactEnum": "statuspages.states.IMPACTS",
        "PostKindEnum": "statuspages.models.Post.Kind",
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
STATICFILES_FINDERS = [
    "django.contrib.staticfiles.finders.FileSystemFinder",
    "django.contrib.staticfiles.finders.AppDirectoriesFinder",
    "core.packages.Finder",
]
STATIC_ROOT = WATCHBILL_HOME / "static"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "core.static.Storage"},
}
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG
# Each place of a rotation is two fields, and the page of a schedule has all its layers.
DATA_UPLOAD_MAX_NUMBER_FIELDS = 20_000
DATA_UPLOAD_MAX_NUMBER_FILES = 5
# Of any request outside of the door for alerts, which has a limit of its own. A calendar file may have 5 MB.
MAX_BODY_BYTES = env.int("MAX_BODY_BYTES", default=6 * 1024 * 1024)
# --- what browsers are told: see core/headers.py ---------------------------------------------------------------
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
# Behind a proxy with TLS. Whoever comes past the proxy and writes this header deceives only themselves.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if IS_HTTPS else None
SECURE_HSTS_SECONDS = env.int("HSTS_SECONDS", default=365 * 24 * 3600) if IS_HTTPS else 0
# Left to the proxy, which knows the scheme: a redirect of ours would go in circles behind one that does not say it.
# Other names below ours, and the list built into browsers, are not for a program to decide.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W008", "security.W021"]
# Passwords and keys in plain text on the network are refused unless somebody says that this is known.
INSECURE_HTTP_OK = env.bool("INSECURE_HTTP_OK", default=False)
# Pages elsewhere whose scripts may use the API, with a key of their own and never with cookies.
CORS_ALLOWED_ORIGINS = env.list("CORS_ALLOWED_ORIGINS", default=[])
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "base-uri": [NONE],
        # Written out for the socket: not every browser counts it as 'self'.
        "connect-src": [SELF, f"ws{PUBLIC_URL[4:]}"],
        "font-src": [SELF],
        # A browser asks it of redirects too, so what leads to a provider of single sign-on is a link and no form.
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "img-src": [SELF],
        "manifest-src": [SELF],
        "object-src": [NONE],
        "script-src": [SELF, NONCE],
        "style-src": [SELF, NONCE],
        "worker-src": [SELF],
    }
}
CONTENT_SECURITY_POLICY_OF_AREAS = {
    # The skin evaluates its templates (Alpine), and writes its colours and widths into the page.
    "/admin/": {
        "script-src": [SELF, UNSAFE_EVAL],
        "style-src": [SELF, UNSAFE_INLINE],
        "img-src": [SELF, "data:"],
    },
    # Swagger UI has its icons in its style sheet, and its page has a few lines of style: those, by their hash.
    "/api/docs": {
        "style-src": [SELF, "'sha256-MMpT0iDxyjALd9PdfepImGX3DBfJPXZ4IlDWdPAgtn0='"],
        "img-src": [SELF, "data:"],
    },
}
DEFAULT_EXCEPTION_REPORTER_FILTER = "core.redacting.ReporterFilter"
UNFOLD = {
    "SITE_TITLE": SITE_NAME,
    "SITE_HEADER": SITE_NAME,
    "SITE_URL": "/",
    "SITE_ICON": lambda request: static("favicon.svg"),
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("favicon.svg")},
    ],
    # The blue of the other pages (static/css/watchbill.css): one product.
    "COLORS": {
        "primary": {
            "50": "#f2f6ff",
            "100": "#eaf0ff",
            "200": "#d3defd",
            "300": "#bccffb",
            "400": "#8ab0ff",
            "500": "#3f74f5",
            "600": "#2358e6",
            "700": "#1d4fd7",
            "800": "#1b46bd",
            "900": "#16233f",
            "950": "#0e1729",
        }
    },
    "SIDEBAR": {"show_search": True, "navigation": "config.admin_menu.navigation"},
    "DASHBOARD_CALLBACK": "config.admin_menu.dashboard",
}

# --- log ------------------------------------------------------------------------------------------------------
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"redacting": {"()": "core.redacting.Redacting"}},
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["redacting"]}},
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", default="INFO")},
    "loggers": {
        # Django gives these handlers of their own, which know no secrets to leave out.
        "django": {"handlers": [], "level": "INFO"},
        "django.server": {"handlers": [], "propagate": True},
        "django.db.backends": {"level": "INFO"},  # below it are all values of all statements
        "django.request": {"level": "ERROR"},
        "django.security.DisallowedHost": {"level": "CRITICAL"},  # config/errors.py says it as a warning
        "django-q": {"level": "WARNING"},
        "daphne": {"level": "WARNING"},
        "axes": {"level": "WARNING"},
        "django.channels.server": {"level": "WARNING"},
        "mail.log": {"level": "ERROR"},  # of the SMTP listener: it names recipients, and those are keys
    },
}

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
