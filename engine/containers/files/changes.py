"""What a container has changed, from the upper directory of its overlay (overlayfs.rst)."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Final

from engine.kernel import syscalls
from engine.kernel.overlay import is_opaque, is_whiteout

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_BENEATH: Final = syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_SYMLINKS


class ChangeKind(IntEnum):
    """Docker's numbers (Docker Engine API, `ContainerChanges`)."""

    MODIFIED = 0
    ADDED = 1
    DELETED = 2


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Change:
    path: str
    kind: ChangeKind


def changes(upper: Path, lower: Sequence[Path]) -> list[Change]:
    """The changes in *upper* over the layers *lower*, topmost first; sorted by path."""
    found: list[Change] = []
    with ExitStack() as stack:
        top = _open(stack, upper)
        below = [_open(stack, layer) for layer in lower]
        waiting = ["."]
        while waiting:
            path = waiting.pop()
            with suppress(FileNotFoundError, NotADirectoryError), ExitStack() as here:
                current = _open_below(here, top, path)
                waiting += _in_directory(found, path, current, _layers_of(here, below, path))
    return sorted(found)


def _in_directory(found: list[Change], path: str, current: int, layers: Sequence[int]) -> list[str]:
    """Add the changes in one directory; returns the directories in it."""
    directories, seen = [], set()
    for name in os.listdir(current):
        seen.add(name)
        try:
            status = os.stat(name, dir_fd=current, follow_symlinks=False)
        except FileNotFoundError:
            continue  # gone since it was seen: the container may be running
        place = _shown(path, name)
        if is_whiteout(status):
            found.append(Change(path=place, kind=ChangeKind.DELETED))
            continue
        existed = _exists(layers, name)
        found.append(Change(path=place, kind=ChangeKind.MODIFIED if existed else ChangeKind.ADDED))
        if stat.S_ISDIR(status.st_mode):
            directories.append(f"{path}/{name}")
    if path != "." and is_opaque(current):
        hidden = {name for layer in layers for name in os.listdir(layer)}  # noqa: PTH208 - descriptors
        found += [
            Change(path=_shown(path, name), kind=ChangeKind.DELETED) for name in hidden - seen if _exists(layers, name)
        ]
    return directories


def _layers_of(stack: ExitStack, below: Sequence[int], path: str) -> list[int]:
    """The directory *path* in the layers that have it, topmost first, down to one that hides the rest."""
    found = []
    for layer in below:
        try:
            directory = _open_below(stack, layer, path)
        except FileNotFoundError:
            continue
        except OSError:
            break  # something else than a directory, or a whiteout: it hides what is below
        found.append(directory)
        if is_opaque(directory):
            break
    return found


def _exists(layers: Sequence[int], name: str) -> bool:
    for layer in layers:
        try:
            status = os.stat(name, dir_fd=layer, follow_symlinks=False)
        except FileNotFoundError:
            continue
        return not is_whiteout(status)
    return False


def _shown(path: str, name: str) -> str:
    return f"{path[1:]}/{name}"


def _open(stack: ExitStack, directory: Path) -> int:
    # The directory may be named by a link of the engine's own: only what is in it belongs to strangers.
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    stack.callback(os.close, descriptor)
    return descriptor


def _open_below(stack: ExitStack, top: int, path: str) -> int:
    descriptor = syscalls.openat2(top, path, _DIRECTORY, resolve=_BENEATH)
    stack.callback(os.close, descriptor)
    return descriptor
