"""How much is in the volumes. The engine walks through them all to know: it is asked seldom, and by one at a time."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from django.core.cache import cache

from webui import gateway

if TYPE_CHECKING:
    from webui.environments.models import Environment

LISTED: Final = 60
"""Seconds that a measurement counts in a list."""
CERTAIN: Final = 10
"""Seconds that it counts where somebody is about to remove what was measured."""
_SAME: Final = 1
"""Seconds within which several that ask at once get one measurement."""
_LONGEST: Final = 600
"""Seconds after which a measurement that has not ended may be begun again."""


def known_sizes(*, environment: Environment, within: int = LISTED) -> Mapping[str, int] | None:
    """The bytes in each volume as measured at most *within* seconds ago; `None` when that was longer ago."""
    found: tuple[float, Mapping[str, int]] | None = cache.get(_key(environment))
    return found[1] if found is not None and time.time() - found[0] <= within else None


def measure_sizes(*, environment: Environment) -> bool:
    """Measure, unless somebody does so right now: then False, and the sizes are known soon."""
    if known_sizes(environment=environment, within=_SAME) is not None:
        return True
    claim = f"{_key(environment)}-claim"
    if not cache.add(claim, True, timeout=_LONGEST):
        return False
    try:
        with gateway.client(environment) as client:
            cache.set(_key(environment), (time.time(), client.volume_sizes()), timeout=LISTED)
    finally:
        cache.delete(claim)
    return True


def forget_sizes(*, environment: Environment) -> None:
    """After a removal: what is left is measured anew."""
    cache.delete(_key(environment))


def _key(environment: Environment) -> str:
    return f"volume-sizes-{environment.pk}"
