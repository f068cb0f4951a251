"""Keeps a step of a build from filling the disk: overlayfs has no limit of its own for what is written."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engine.errors import StorageFull
from engine.kernel.trees import tree_size

_LOOK: Final = 0.5
"""Seconds between two looks at the file system's free space."""
_SHARE: Final = 20
"""Measuring a step's files may take a twentieth of the time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskLimits:
    """What a step may take; 0 is no limit."""

    step: int = 0
    """Bytes that one step writes."""
    free: int = 0
    """Bytes that stay free on the engine's file system."""


class DiskGuard:
    """Looks after the files below *upper*, which one step writes."""

    def __init__(self, upper: Path, limits: DiskLimits) -> None:
        self._upper = upper
        self._limits = limits
        self._next_look = 0.0
        self._next_measure = 0.0

    def check(self) -> None:
        """Called often: looks now and then. `StorageFull` when the step has taken too much."""
        now = time.monotonic()
        if self._limits.free and now >= self._next_look:
            self._next_look = now + _LOOK
            found = os.statvfs(self._upper)
            free = found.f_bavail * found.f_frsize
            if free < self._limits.free:
                raise StorageFull(
                    f"the step was stopped: it leaves {free} bytes free on the engine's disk, and "
                    f"HAVRE_BUILD_KEEP_FREE keeps {self._limits.free}; free some space and try again"
                )
        if self._limits.step and now >= self._next_measure:
            self.measure()
            self._next_measure = time.monotonic() + max(_LOOK, _SHARE * (time.monotonic() - now))

    def measure(self) -> None:
        """Look at what the step has written. `StorageFull` when it is too much."""
        size = tree_size(self._upper) if self._limits.step else 0
        if size > self._limits.step:
            raise StorageFull(
                f"the step was stopped: it has written {size} bytes, and HAVRE_BUILD_STEP_SIZE allows "
                f"{self._limits.step}"
            )
