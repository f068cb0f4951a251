"""Settings of the web side, all from the environment (12-factor, III). README.md documents each variable."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import dj_database_url
from csp.constants import NONE, SELF
from django.utils.translation import gettext_lazy as _

BASE_DIR = Path(__file__).resolve().parents[2]


def _list(name: str, default: str = "") -> list[str]:
    return [word.strip() for word in os.environ.get(name, default).split(",") if word.strip()]


# --- where things are ------------------------------------------------------------------------------------------------

HAVRE_ROOT = Path(os.environ.get("HAVRE_ROOT") or "/var/lib/havre")
HAVRE_RUN = Path(os.environ.get("HAVRE_RUN") or "/run/havre")
HAVRE_SOCKET = os.environ.get("HAVRE_SOCKET") or str(HAVRE_RUN / "engine.sock")
HAVRE_BIND = os.environ.get("HAVRE_BIND") or "127.0.0.1:8000"
STATE_DIR = HAVRE_ROOT / "web"
UPLOADS_DIR = STATE_DIR / "uploads"
# What the steps of builds have printed.
BUILD_LOGS_DIR = STATE_DIR / "builds"
REDIS_URL = os.environ.get("REDIS_URL") or f"unix://{HAVRE_RUN}/redis.sock"


def _secret_key() -> str:
    """The key that signs sessions: given, or made at the first start and kept for this installation alone."""
    given = os.environ.get("HAVRE_SECRET_KEY")
    if given:
        return given
    path = STATE_DIR / "secret-key"
    try:
        return path.read_text(encoding="ascii")
    except FileNotFoundError:
        STATE_DIR.mkdir(parents=True, exist_ok=True)
        key = secrets.token_urlsafe(64)
        # Exclusive: of two processes that start at once, the second reads what the first wrote.
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return path.read_text(encoding="ascii")
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(key)
        return key


SECRET_KEY = _secret_key()
DEBUG = os.environ.get("HAVRE_DEBUG", "") == "1"
ALLOWED_HOSTS = _list("HAVRE_ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
_host = HAVRE_BIND.rpartition(":")[0]
if _host and _host not in ("0.0.0.0", "[::]"):
    ALLOWED_HOSTS.append(_host)
CSRF_TRUSTED_ORIGINS = _list("HAVRE_TRUSTED_ORIGINS")

# --- applications ----------------------------------------------------------------------------------------------------

INSTALLED_APPS = [
    "daphne",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "channels",
    "csp",
    "django_htmx",
    "allauth",
    "allauth.account",
    "webui.accounts",
    "webui.environments",
    "webui.live",
    "webui.dashboard",
    "webui.jobs",
    "webui.containers",
    "webui.images",
    "webui.builds",
    "webui.networks",
    "webui.volumes",
    "webui.registries",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "webui.environments.middleware.MomentMiddleware",
    "webui.environments.middleware.FragmentMiddleware",
    "webui.accounts.middleware.SetupMiddleware",
    "webui.environments.middleware.EngineErrorMiddleware",
]

ROOT_URLCONF = "webui.urls"
ASGI_APPLICATION = "webui.asgi.application"

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
                "webui.environments.context.page",
            ],
            "builtins": ["webui.environments.templatetags.havre"],
        },
    }
]

# --- data ------------------------------------------------------------------------------------------------------------

DATABASES = {"default": dj_database_url.parse(os.environ.get("DATABASE_URL") or f"sqlite:///{STATE_DIR}/web.sqlite3")}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    DATABASES["default"]["OPTIONS"] = {
        # Write-ahead log and immediate transactions: readers never wait, and writers wait instead of failing.
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.core.RedisChannelLayer",
        # The layer waits 5 s for a message at a time; redis 8 gives up after 5 s too, and every websocket would end.
        "CONFIG": {"hosts": [{"address": REDIS_URL, "socket_timeout": 30}], "prefix": "havre"},
    }
}

CELERY_BROKER_URL = REDIS_URL.replace("unix://", "redis+socket://", 1)
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
# Without it a task whose worker was killed counts as done.
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 6 * 3600}
CELERY_BEAT_SCHEDULE_FILENAME = str(STATE_DIR / "beat-schedule")
CELERY_BEAT_SCHEDULE = {
    "reap-jobs": {"task": "jobs.reap", "schedule": 30.0},
    "sweep-uploads": {"task": "images.sweep-uploads", "schedule": 3600.0},
    "sweep-build-logs": {"task": "builds.sweep-logs", "schedule": 3600.0},
}

# --- people ----------------------------------------------------------------------------------------------------------

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
AUTH_PASSWORD_VALIDATORS[1]["OPTIONS"] = {"min_length": 10}
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/"
ACCOUNT_ADAPTER = "webui.accounts.adapter.ClosedAdapter"
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "password1*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_LOGOUT_REDIRECT_URL = "/accounts/login/"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 7 * 24 * 3600
# Two instances on one host differ only by port, which cookies do not look at.
SESSION_COOKIE_NAME = f"havre_session_{HAVRE_BIND.rpartition(':')[2]}"
CSRF_COOKIE_NAME = f"havre_csrf_{HAVRE_BIND.rpartition(':')[2]}"
CSRF_COOKIE_HTTPONLY = True
CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": REDIS_URL, "KEY_PREFIX": "havre"}
}

# Directories of the engines' hosts, as they are, that people who are no administrators may bind into containers.
BIND_ROOTS = _list("HAVRE_BIND_ROOTS")

# --- security headers ------------------------------------------------------------------------------------------------

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "manifest-src": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
    }
}
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
if any(origin.startswith("https://") for origin in CSRF_TRUSTED_ORIGINS):
    # Behind a proxy that speaks TLS.
    SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    # Whose sign-ins are counted: the proxy's client, and not all of them together.
    ALLAUTH_TRUSTED_PROXY_COUNT = 1

# --- words, files, logs ----------------------------------------------------------------------------------------------

LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English"))]
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True

STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static" / "dist"] if (BASE_DIR / "static" / "dist").is_dir() else []
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG
WHITENOISE_MAX_AGE = 24 * 3600

DATA_UPLOAD_MAX_NUMBER_FIELDS = 5000
DATA_UPLOAD_MAX_MEMORY_SIZE = 5 * 1024 * 1024
# Bytes that may be uploaded into a container at once; they wait on the disk, not in memory.
UPLOAD_LIMIT = int(os.environ.get("HAVRE_UPLOAD_LIMIT") or 1_000_000_000)
# Bytes of archives (images, build contexts) that one person may have waiting for an engine.
UPLOAD_QUOTA = int(os.environ.get("HAVRE_UPLOAD_QUOTA") or 50_000_000_000)
# Jobs of one person that may wait or run at a time.
JOBS_PER_PERSON = int(os.environ.get("HAVRE_JOBS_PER_PERSON") or 50)
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "%(levelname)s %(name)s: %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
    "loggers": {"daphne": {"level": "WARNING"}, "django.channels.server": {"level": "WARNING"}},
}
