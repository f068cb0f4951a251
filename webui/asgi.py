"""The ASGI application that daphne serves: pages over HTTP, streams over websockets."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webui.settings")
_pages = get_asgi_application()

# After Django is set up: these modules import models.
from channels.auth import AuthMiddlewareStack  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402

from webui import bodies  # noqa: E402
from webui.live.origin import SameOrigin  # noqa: E402
from webui.live.routing import websocket_urlpatterns  # noqa: E402
from webui.pacing import Paced  # noqa: E402

bodies.install()

application = ProtocolTypeRouter(
    {"http": Paced(_pages), "websocket": SameOrigin(AuthMiddlewareStack(URLRouter(websocket_urlpatterns)))}
)
