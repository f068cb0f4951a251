"""Overlay mounts (Linux Documentation/filesystems/overlayfs.rst)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from engine.kernel import syscalls

MOST_LOWER = 127
"""How many lower directories fit in the page that mount(2) takes, at 29 bytes each."""


def mount_overlay(*, links: Path, lower: Sequence[str], upper: Path, work: Path, target: Path) -> None:
    """Mount the directories *lower* (names of links in *links*, topmost first) under *upper* at *target*.

    mount(2) takes one page of options. The lower directories are named through a descriptor of *links*, which keeps
    each of them below 30 bytes however long the engine's root is, and needs no change of the working directory.
    """
    if len(lower) > MOST_LOWER:
        raise OSError(0, f"{len(lower)} layers: overlayfs takes {MOST_LOWER} here", str(target))
    directory = os.open(links, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        names = ":".join(f"/proc/self/fd/{directory}/{name}" for name in lower)
        options = f"lowerdir={names},upperdir={upper},workdir={work}"
        syscalls.mount("overlay", str(target), "overlay", 0, options)
    finally:
        os.close(directory)


def mount_overlay_read_only(*, links: Path, lower: Sequence[str], target: Path) -> None:
    """Mount at least two directories *lower* at *target*, without anywhere to write."""
    directory = os.open(links, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        names = ":".join(f"/proc/self/fd/{directory}/{name}" for name in lower)
        syscalls.mount("overlay", str(target), "overlay", syscalls.MS_RDONLY, f"lowerdir={names}")
    finally:
        os.close(directory)


OPAQUE = "trusted.overlay.opaque"
"""Set to `y`, the directory hides what lower layers have in its place."""
