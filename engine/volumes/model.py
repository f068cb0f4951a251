"""What a volume is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

LONGEST_NAME: Final = 250
VOLUME_NAME: Final = re.compile(rf"[a-zA-Z0-9][a-zA-Z0-9_.-]{{1,{LONGEST_NAME - 1}}}")
"""Docker's rule, and no longer than a directory's name may be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """A volume (Docker Engine API, `Volume`)."""

    name: str
    mountpoint: Path
    """Where its data are on the host."""
    created: int
    """Nanoseconds since the epoch."""
    labels: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    """`type`, `o` and `device` of what is mounted there while a container uses it; empty for a plain directory."""
    anonymous: bool = False
    """Whether nobody gave it a name: such ones are removed with their container and by prune."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrunedVolumes:
    names: tuple[str, ...]
    reclaimed: int
    """Bytes."""
