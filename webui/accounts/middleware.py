"""Before there is an administrator, every page leads to the word about the set-up link."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from webui.accounts.services import setup_is_open


class SetupMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        self.done = False

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not self.done and not request.path.startswith(("/setup/", "/static/")):
            if setup_is_open():
                return render(request, "setup/wait.html")
            self.done = True
        return self.get_response(request)
