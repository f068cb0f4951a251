"""What a page gets that had something done."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render


def messages_or_redirect(request: HttpRequest, to: str, /, *, status: int = 200, **place: Any) -> HttpResponse:
    """The waiting messages as a fragment where htmx asked; else a redirect to *to* at *place*, which shows them.

    What changed on the page follows by the engine's own events.
    """
    if request.htmx:
        return render(request, "components/_messages.html", status=status)
    return redirect(to, **place)
