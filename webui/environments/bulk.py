"""The same thing done to many: one that fails does not keep the others from it, and the page tells which failed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _

from webui import gateway
from webui.environments.answers import messages_or_redirect

if TYPE_CHECKING:
    from webui.environments.models import Environment

MOST_AT_ONCE = 500
_MOST_TOLD = 5


@dataclass(frozen=True, slots=True)
class Outcome:
    """How many went well, and for each that did not its name and the engine's words."""

    done: int
    failures: tuple[tuple[str, str], ...]


def each(
    *, environment: Environment, names: Sequence[str], act: Callable[[gateway.Client, str], object], abreast: int = 1
) -> Outcome:
    """Do *act* to each of *names*, *abreast* at once. An engine that goes away ends it: the rest fails in its words."""
    away: list[gateway.Unreachable] = []

    def attempt(name: str) -> gateway.ClientError | None:
        if away:
            return away[0]
        try:
            act(client, name)
        except gateway.Unreachable as error:
            # One that only takes long, such as a stop, says nothing of those that are dealt with beside it.
            if abreast == 1 or not isinstance(error, gateway.TimedOut):
                away.append(error)
            return error
        except gateway.ClientError as error:
            return error
        return None

    chosen = list(dict.fromkeys(names))[:MOST_AT_ONCE]
    with gateway.client(environment, timeout=gateway.LONG_PATIENCE) as client, ThreadPoolExecutor(abreast) as pool:
        errors = list(pool.map(attempt, chosen))
    failures = tuple((name, str(error)) for name, error in zip(chosen, errors, strict=True) if error is not None)
    return Outcome(len(chosen) - len(failures), failures)


def answer(
    request: HttpRequest, environment: Environment, outcome: Outcome, *, done: str, page: str, removal: bool = True
) -> HttpResponse:
    """Tell of it: *done* when anything went well, and what failed.

    The page of a thing that its *removal* has left without one (it sent `leave`) goes to the list, *page*.
    """
    _tell(request, outcome, done=done)
    if request.htmx and removal and not outcome.failures and "leave" in request.POST:
        return HttpResponse(status=204, headers={"HX-Redirect": reverse(page, kwargs={"env": environment.slug})})
    return messages_or_redirect(request, page, env=environment.slug)


def _tell(request: HttpRequest, outcome: Outcome, *, done: str) -> None:
    if outcome.done:
        messages.success(request, done)
    asked = outcome.done + len(outcome.failures)
    if outcome.failures and asked > 1:
        messages.error(request, _("%(x)d of %(y)d failed.") % {"x": len(outcome.failures), "y": asked})
    for name, reason in outcome.failures[:_MOST_TOLD]:
        # What was asked for alone needs no name, and most reasons have it.
        messages.error(request, f"{name.removeprefix('sha256:')[:40]}: {reason}" if asked > 1 else reason)
