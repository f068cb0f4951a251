"""How much is in the volumes. The engine walks through them all to know: it is asked seldom, and by one at a time."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

from django.core.cache import cache

from webui import gateway

if TYPE_CHECKING:
    from webui.environments.models import Environment

LISTED: Final = 60
"""Seconds that a measurement counts in a list."""
CERTAIN: Final = 10
"""Seconds that it counts where somebody is about to remove what was measured."""
_TICK: Final = 1
"""Seconds to which an engine tells when a volume was made."""
_LONGEST: Final = 600
"""Seconds after which a measurement that has not ended may be begun again."""


def known_sizes(
    *, environment: Environment, within: int = LISTED, made: Iterable[dt.datetime | None] = ()
) -> Mapping[str, int] | None:
    """The bytes in each volume as measured at most *within* seconds ago; `None` when that was longer ago.

    *made* are the moments in which the volumes were: one that is younger than the measurement is not in it.
    """
    now = time.time()
    # A host whose clock is ahead of this one's makes volumes in the future: they are measured when that has come.
    moments = (moment.timestamp() for moment in made if moment is not None)
    newest = max((moment for moment in moments if moment <= now), default=0.0)
    return _measured(environment, since=max(now - within, newest + _TICK))


def measure_sizes(*, environment: Environment, since: float) -> bool:
    """Measure, unless somebody did so after the moment *since* (seconds of the epoch).

    False when somebody does so right now: the sizes are known soon.
    """
    if _measured(environment, since=since) is not None:
        return True
    claim = f"{_key(environment)}-claim"
    if not cache.add(claim, True, timeout=_LONGEST):
        return False
    try:
        with gateway.client(environment) as client:
            # What is written while the engine walks may not be in it: the measurement is as old as its beginning.
            began = time.time()
            cache.set(_key(environment), (began, client.volume_sizes()), timeout=LISTED)
    finally:
        cache.delete(claim)
    return True


def forget_sizes(*, environment: Environment) -> None:
    """After a removal: what is left is measured anew."""
    cache.delete(_key(environment))


def _measured(environment: Environment, *, since: float) -> Mapping[str, int] | None:
    found: tuple[float, Mapping[str, int]] | None = cache.get(_key(environment))
    return found[1] if found is not None and found[0] >= since else None


def _key(environment: Environment) -> str:
    return f"volume-sizes-{environment.pk}"
