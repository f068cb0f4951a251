"""The web side's settings under test: everything in memory or in a temporary directory, nothing of the host's.

Not in the package `webui.settings`: that would be imported first, and read the host's environment.
"""

import atexit
import os
import shutil
import tempfile

_state = tempfile.mkdtemp(prefix="havre-web-test-")
atexit.register(shutil.rmtree, _state, ignore_errors=True)
for _name in [name for name in os.environ if name.startswith("HAVRE_") and not name.startswith("HAVRE_TEST_")]:
    del os.environ[_name]
os.environ.pop("DATABASE_URL", None)
os.environ["HAVRE_ROOT"] = os.environ["HAVRE_RUN"] = _state

from webui.settings import *  # noqa: E402, F403

# A file, as in earnest: Django never closes a connection to a database in memory, not even one of a thread that ends.
DATABASES["default"]["TEST"] = {"NAME": f"{_state}/test.sqlite3"}  # noqa: F405
CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
CELERY_BROKER_URL = "memory://"
# The cheapest hasher: the tests sign in a thousand times.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
ALLOWED_HOSTS = ["testserver", "localhost", "127.0.0.1"]
ACCOUNT_RATE_LIMITS = False
