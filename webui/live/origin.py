"""Websockets from this site's own pages only: scheme, host and port must be those of the request.

Browsers send cookies with a websocket from any site, and no CSRF token protects it. Channels' own validator looks at
the host alone.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from channels.security.websocket import WebsocketDenier
from django.conf import settings
from django.http.request import split_domain_port, validate_host

_PORTS = {"http": 80, "https": 443}

Application = Callable[[Any, Any, Any], Awaitable[None]]


class SameOrigin:
    def __init__(self, application: Application) -> None:
        self.application = application

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        application = self.application if allowed(scope) else WebsocketDenier.as_asgi()
        await application(scope, receive, send)


def allowed(scope: Any) -> bool:
    headers = dict(scope["headers"])
    origin = headers.get(b"origin", b"").decode("latin-1")
    host = headers.get(b"host", b"").decode("latin-1")
    # The host as well: a name that somebody else made to lead here agrees with itself.
    if not origin or not validate_host(split_domain_port(host)[0], settings.ALLOWED_HOSTS):
        return False
    if origin in settings.CSRF_TRUSTED_ORIGINS:
        return True
    scheme = "https" if scope.get("scheme") == "wss" else "http"
    try:
        parts = urlsplit(origin)
        return parts.scheme == scheme and (parts.hostname, parts.port or _PORTS[scheme]) == _split(host, scheme)
    except ValueError:
        return False


def _split(host: str, scheme: str) -> tuple[str | None, int]:
    parts = urlsplit(f"//{host}")
    return parts.hostname, parts.port or _PORTS[scheme]
