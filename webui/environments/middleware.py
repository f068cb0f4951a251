"""What holds for every page: fragments are not whole pages, and an engine's no becomes a page in its words."""

from __future__ import annotations

import time
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import patch_vary_headers

from webui import gateway

_STATUS = {
    gateway.NotFound: 404,
    gateway.Conflict: 409,
    gateway.InvalidRequest: 400,
    gateway.Forbidden: 403,
    gateway.NotSupported: 501,
}


class MomentMiddleware:
    """Remembers when a page was asked for, before anything for it was read: its socket tells what has changed since."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request.asked_at = time.time()  # type: ignore[attr-defined]
        return self.get_response(request)


class FragmentMiddleware:
    """One address answers a whole page or a fragment of it: caches, the browser's own too, must not mix them up.

    Without it, the back button shows the fragment that htmx fetched last.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        patch_vary_headers(response, ("HX-Request",))
        return response


class EngineErrorMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if not isinstance(exception, gateway.ClientError):
            return None
        status = _STATUS.get(type(exception), 502)
        template = "errors/_engine.html" if request.htmx else "errors/engine.html"
        context = {
            "error": str(exception),
            "unreachable": isinstance(exception, gateway.Unreachable),
            "missing": isinstance(exception, gateway.NotFound),
            # /e/<environment>/<kind>/ is the list of what was asked for.
            "list": "/".join(request.path.split("/")[:4]) + "/",
        }
        return render(request, template, context, status=status)
