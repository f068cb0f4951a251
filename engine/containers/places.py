"""Places in the root of a container or of a build's step, made ready for what is put there.

Each is resolved by the kernel in that root, whose descriptor is *root* (`engine.kernel.paths`).
"""

from __future__ import annotations

import os
from pathlib import Path

from engine.errors import InvalidParameter
from engine.kernel import paths


def normal(path: str) -> str:
    """*path* without `.`, `..` and double slashes, from the root."""
    return "/" + os.path.normpath(path).lstrip("/")


def make_mount_point(root: int, source: Path, target: str) -> None:
    """A place for a mount: a directory for a directory, a file for anything else."""
    try:
        if source.is_dir():
            os.close(paths.make_directories(root, target))
        else:
            paths.make_file(root, target)
    except OSError as error:
        raise InvalidParameter(
            f"invalid mount of {str(source)[:200]!r} at {target[:200]!r}: {error.filename}: {error.strerror}"
        ) from error


def make_working_dir(root: int, path: str) -> None:
    """Make sure that the working directory *path* is there in *root*; `InvalidParameter` when it cannot be."""
    if not path:
        return
    place = normal(path)
    # Below /proc a directory may be a descriptor of the runtime's own, and lead out of the container (CVE-2024-21626).
    if place.startswith("/proc/"):
        raise InvalidParameter(f"the working directory {path[:200]!r} lies in /proc: give another")
    try:
        found = paths.make_directories(root, place)
    except OSError as error:
        raise InvalidParameter(f"the working directory {path[:200]!r} cannot be made: {error.strerror}") from error
    try:
        real = paths.place_in_root(root, found)
    finally:
        os.close(found)
    if real.startswith("/proc/"):
        raise InvalidParameter(f"the working directory {path[:200]!r} leads into /proc: give another")


def make_place_of_tmpfs(root: int, place: str) -> None:
    """A directory at *place* in *root*, for a file system in memory."""
    try:
        os.close(paths.make_directories(root, os.path.normpath(place)))
    except OSError as error:
        raise InvalidParameter(f"invalid tmpfs at {place[:200]!r}: {error.filename}: {error.strerror}") from error
