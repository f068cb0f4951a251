"""How much is in the volumes. The engine walks through them all to know: it is asked seldom, and by one at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from django.core.cache import cache

from webui import gateway

if TYPE_CHECKING:
    from webui.environments.models import Environment

FRESH: Final = 60
"""Seconds that a measurement counts."""
_LONGEST: Final = 600
"""Seconds after which a measurement that has not ended may be begun again."""


def known_sizes(*, environment: Environment) -> Mapping[str, int] | None:
    """The bytes in each volume as last measured; `None` when that is too long ago."""
    found: Mapping[str, int] | None = cache.get(_key(environment))
    return found


def measure_sizes(*, environment: Environment) -> bool:
    """Measure, unless somebody does so right now: then False, and the sizes are known soon."""
    if known_sizes(environment=environment) is not None:
        return True
    claim = f"{_key(environment)}-claim"
    if not cache.add(claim, True, timeout=_LONGEST):
        return False
    try:
        with gateway.client(environment) as client:
            cache.set(_key(environment), client.volume_sizes(), timeout=FRESH)
    finally:
        cache.delete(claim)
    return True


def forget_sizes(*, environment: Environment) -> None:
    """After a removal: what is left is measured anew."""
    cache.delete(_key(environment))


def _key(environment: Environment) -> str:
    return f"volume-sizes-{environment.pk}"
