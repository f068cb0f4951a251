"""Overlay mounts (Linux Documentation/filesystems/overlayfs.rst)."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from engine.kernel import syscalls
from engine.kernel.paths import opened_root

MOST_LOWER = 127
"""How many lower directories fit in the page that mount(2) takes, at 31 bytes each."""


def mount_overlay(*, links: Path, lower: Sequence[str], upper: Path, work: Path, target: Path) -> None:
    """Mount the directories *lower* (names of links in *links*, topmost first) under *upper* at *target*.

    mount(2) takes one page of options, in which commas, colons and backslashes mean something. All directories are
    named through descriptors: that keeps each lower one below 32 bytes however long the engine's root is, lets the root
    have any name, and needs no change of the working directory.
    """
    if len(lower) > MOST_LOWER:
        raise OSError(errno.E2BIG, f"{len(lower)} layers: overlayfs takes {MOST_LOWER} here", str(target))
    with opened_root(links) as below, opened_root(upper) as above, opened_root(work) as aside:
        names = ":".join(f"/proc/self/fd/{below}/{name}" for name in lower)
        options = f"lowerdir={names},upperdir=/proc/self/fd/{above},workdir=/proc/self/fd/{aside}"
        syscalls.mount("overlay", str(target), "overlay", 0, options)


OPAQUE = "trusted.overlay.opaque"
"""Set to `y`, the directory hides what lower layers have in its place."""


def is_opaque(descriptor: int) -> bool:
    """Whether the directory hides what lower layers have in its place."""
    try:
        return os.getxattr(descriptor, OPAQUE) == b"y"
    except OSError:
        return False


def is_whiteout(status: os.stat_result) -> bool:
    """Whether an entry stands for one that has been removed (overlayfs.rst, "whiteouts and opaque directories")."""
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0
