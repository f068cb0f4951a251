"""What bringing files from elsewhere works with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from engine.build.scratch import Scratch
from engine.registry.reach import PublicReach
from engine.snapshots.helper import UnpackLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """One build's, for its context and its sources of ADD."""

    scratch: Scratch
    limits: UnpackLimits
    check: Callable[[], None]
    """Called often, by any thread; raises when the build is to stop."""
    reach: PublicReach | None = None
    """Limits where files may come from; `None` is anywhere."""
