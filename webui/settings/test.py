"""Settings of the tests: everything in memory or in a temporary directory, nothing of the host's."""

import os
import tempfile

_state = tempfile.mkdtemp(prefix="havre-web-test-")
os.environ.setdefault("HAVRE_ROOT", _state)
os.environ.setdefault("HAVRE_RUN", _state)

from webui.settings import *  # noqa: E402, F403

DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
CELERY_BROKER_URL = "memory://"
# The cheapest hasher: the tests sign in a thousand times.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
ALLOWED_HOSTS = ["testserver", "localhost", "127.0.0.1"]
ACCOUNT_RATE_LIMITS = False
