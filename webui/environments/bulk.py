"""The same thing done to many: one that fails does not keep the others from it, and the page tells which failed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.contrib import messages
from django.http import HttpRequest
from django.utils.translation import gettext as _

from webui import gateway

if TYPE_CHECKING:
    from webui.environments.models import Environment

MOST_AT_ONCE = 500
_MOST_TOLD = 5
_PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How many went well, and for each that did not its name and the engine's words."""

    done: int
    failures: tuple[tuple[str, str], ...]


def each(*, environment: Environment, names: Sequence[str], act: Callable[[gateway.Client, str], object]) -> Outcome:
    """Do *act* to each of *names*. An engine that goes away ends it: the rest fails in its words."""
    failures: list[tuple[str, str]] = []
    chosen = names[:MOST_AT_ONCE]
    with gateway.client(environment, timeout=_PATIENCE) as client:
        for at, name in enumerate(chosen):
            try:
                act(client, name)
            except gateway.Unreachable as error:
                failures.extend((rest, str(error)) for rest in chosen[at:])
                break
            except gateway.ClientError as error:
                failures.append((name, str(error)))
    return Outcome(len(chosen) - len(failures), tuple(failures))


def tell(request: HttpRequest, outcome: Outcome, *, done: str) -> None:
    """Leave messages: *done* when anything went well, and what failed."""
    if outcome.done:
        messages.success(request, done)
    asked = outcome.done + len(outcome.failures)
    if outcome.failures and asked > 1:
        messages.error(request, _("%(x)d of %(y)d failed.") % {"x": len(outcome.failures), "y": asked})
    for name, reason in outcome.failures[:_MOST_TOLD]:
        # What was asked for alone needs no name, and most reasons have it.
        messages.error(request, f"{name.removeprefix('sha256:')[:40]}: {reason}" if asked > 1 else reason)
