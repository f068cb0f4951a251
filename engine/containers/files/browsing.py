"""What is in a directory of a container, for people who look around: names, kinds, sizes, and nothing of contents."""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass
from itertools import islice
from typing import Final

from engine.containers.files.roots import Root, missing
from engine.containers.places import normal
from engine.errors import InvalidParameter
from engine.kernel import paths

MOST: Final = 10_000
"""Entries that one answer tells of; a directory may have any number."""

_OPEN: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NONBLOCK | os.O_CLOEXEC
_KINDS: Final = {
    stat.S_IFDIR: "directory",
    stat.S_IFREG: "file",
    stat.S_IFLNK: "link",
    stat.S_IFBLK: "block device",
    stat.S_IFCHR: "character device",
    stat.S_IFIFO: "pipe",
    stat.S_IFSOCK: "socket",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One name in a directory."""

    name: bytes
    kind: str
    size: int
    mode: int
    """The permission bits of stat(2)."""
    uid: int
    gid: int
    modified: int
    """Nanoseconds since the epoch."""
    target: bytes = b""
    """What a link says, wherever that leads."""
    leads_to: str = ""
    """The kind of what a link leads to inside the container; "" where that is nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A directory of a container."""

    path: str
    """Where it is, without links on the way."""
    entries: tuple[Entry, ...]
    truncated: bool
    """Whether there is more than `MOST` and the limit allowed."""


def listing(root: Root, path: str, *, limit: int = MOST) -> Listing:
    """The entries of the directory *path*, by name. `NotFound`, `InvalidParameter` for what is no directory."""
    try:
        directory = paths.open_in_root(root.descriptor, root.inside(normal(path)), _OPEN)
    except OSError as error:
        if error.errno == errno.ENOTDIR:
            raise InvalidParameter(f"{path[:300]} is no directory") from error
        raise missing(root, path, error) from error
    try:
        place = root.name_of(directory)
        with os.scandir(directory) as found:
            names = [os.fsencode(entry.name) for entry in islice(found, min(limit, MOST) + 1)]
        truncated = len(names) > min(limit, MOST)
        entries = [_entry(root, place, directory, name) for name in sorted(names[: min(limit, MOST)])]
    finally:
        os.close(directory)
    return Listing(path=place, entries=tuple(entry for entry in entries if entry is not None), truncated=truncated)


def _entry(root: Root, place: str, directory: int, name: bytes) -> Entry | None:
    try:
        found = os.stat(name, dir_fd=directory, follow_symlinks=False)
        link = stat.S_ISLNK(found.st_mode)
        target = os.readlink(name, dir_fd=directory) if link else b""
    except FileNotFoundError:
        return None  # gone since it was seen
    return Entry(
        name=name,
        kind=_KINDS.get(stat.S_IFMT(found.st_mode), "file"),
        size=found.st_size,
        mode=stat.S_IMODE(found.st_mode),
        uid=found.st_uid,
        gid=found.st_gid,
        modified=found.st_mtime_ns,
        target=target,
        leads_to=_leads_to(root, place, name) if link else "",
    )


def _leads_to(root: Root, place: str, name: bytes) -> str:
    """The kind of what the link *name* in *place* leads to; the kernel follows it, inside the root only."""
    try:
        end = paths.open_in_root(root.descriptor, root.inside(f"{place.rstrip('/')}/{os.fsdecode(name)}"), os.O_PATH)
    except OSError:
        return ""
    try:
        return _KINDS.get(stat.S_IFMT(os.fstat(end).st_mode), "file")
    finally:
        os.close(end)
