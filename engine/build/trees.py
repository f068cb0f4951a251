"""Trees that COPY and ADD read from: a context, a stage's files, what has been downloaded.

Whoever made them is a stranger. They are read through descriptors only, a link in a path stays inside the tree, and
nobody writes to them any more.
"""

from __future__ import annotations

import errno
import hashlib
import os
import posixpath
import stat
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from engine.build.dockerfile.patterns import compile_pattern
from engine.kernel import paths, syscalls

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_BENEATH: Final = syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_SYMLINKS
_XATTRS: Final = ("security.capability", "user.", "system.posix_acl_")
_PIECE: Final = 1024**2
MOST_FILES: Final = 5000
"""Files of one step whose digests are kept by name, to tell later which of them changed."""
_WILD: Final = frozenset("*?[\\")
_NOT_THERE: Final = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)

Excluded = Callable[[str], bool]
"""Whether a path, from the copied directory on, is left out."""


class Missing(Exception):
    """There is nothing at the path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A thing in a tree that was asked for."""

    path: str
    """Its own place in the tree, links on the way followed."""
    asked: str
    """Its place as it was asked for, without the wild cards."""
    directory: bool

    @property
    def name(self) -> str:
        return posixpath.basename(self.asked)


@dataclass(frozen=True, slots=True)
class Entry:
    """A file, directory or link below something that was found; *path* is "" for the thing itself."""

    path: str
    status: os.stat_result
    parent: int
    """A descriptor of its directory, good until the next entry."""
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What is to be copied, as the cache knows it."""

    digest: str
    files: Mapping[str, str] = field(default_factory=dict)
    """The digest of each entry, by its path; not all of them where there are more than `MOST_FILES`."""


class Tree:
    """The files below *root*; a context, which keeps a descriptor of it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.descriptor = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self._lock = threading.Lock()
        self._files: dict[tuple[int, int], tuple[str, ...]] = {}

    def close(self) -> None:
        os.close(self.descriptor)

    def find(self, path: str) -> list[Found]:
        """What *path* means: one thing, or all that fit where it has wild cards, by name.

        `Missing` when a path without wild cards leads nowhere, `InvalidParameter` for a pattern that is none.
        """
        clean = posixpath.normpath("/" + path).lstrip("/")
        if not _WILD & set(clean):
            return [self._found(clean)]
        places = [""]
        for part in clean.split("/"):
            places = [below for place in places for below in self._below(place, part)]
        found = []
        for place in places:
            with suppress(Missing):
                found.append(self._found(place))
        return found

    @contextmanager
    def entry(self, found: Found) -> Iterator[Entry]:
        """The thing itself."""
        directory, name = posixpath.split(found.path)
        parent = self._open(directory or ".")
        try:
            yield Entry("", os.stat(name or ".", dir_fd=parent, follow_symlinks=False), parent, name or ".")
        finally:
            os.close(parent)

    def walk(self, found: Found, excluded: Excluded | None = None) -> Iterator[Entry]:
        """The thing itself and, of a directory, everything below it; directories before what is in them."""
        with self.entry(found) as itself:
            yield itself
        if not found.directory:
            return
        waiting = [""]
        while waiting:
            path = waiting.pop()
            here = self._open(posixpath.join(found.path, path) or ".")
            try:
                below = []
                for entry in sorted(os.listdir(here)):  # noqa: PTH208 - a descriptor
                    place = f"{path}/{entry}" if path else entry
                    status = os.stat(entry, dir_fd=here, follow_symlinks=False)
                    # What is in a directory that is left out may be taken in again.
                    if excluded is None or not excluded(place):
                        yield Entry(place, status, here, entry)
                    if stat.S_ISDIR(status.st_mode):
                        below.append(place)
                waiting += reversed(below)
            finally:
                os.close(here)

    def summary(self, found: Found, *, owners: bool, excluded: Excluded | None, check: Callable[[], None]) -> Summary:
        """Digests of everything that a copy would take: kind, mode, content, links, attributes; *owners* as well.

        Times do not count, as in Docker.
        """
        files: dict[str, str] = {}
        whole = hashlib.sha256()
        for entry in self.walk(found, excluded):
            check()
            if found.directory and not entry.path:
                continue  # of the directory itself only the content is taken
            digest = self._digest(entry, owners=owners)
            if len(files) <= MOST_FILES:
                files[entry.path or found.name] = digest
            whole.update(f"{entry.path}\0{digest}\0".encode("utf-8", "surrogateescape"))
        return Summary(digest=whole.hexdigest(), files=files)

    def _file(self, entry: Entry) -> tuple[str, ...]:
        """The sha256 of a file's content, in hexadecimal, and its attributes; read once."""
        key = entry.status.st_dev, entry.status.st_ino
        with self._lock:
            known = self._files.get(key)
        if known is None:
            descriptor = os.open(entry.name, _FILE, dir_fd=entry.parent)
            try:
                known = (_content(descriptor, entry.status.st_size), *_attributes(descriptor))
            finally:
                os.close(descriptor)
            with self._lock:
                self._files[key] = known
        return known

    def _digest(self, entry: Entry, *, owners: bool) -> str:
        status = entry.status
        parts = [f"{status.st_mode:o}"]
        if owners:
            parts.append(f"{status.st_uid}:{status.st_gid}")
        if stat.S_ISREG(status.st_mode):
            parts += self._file(entry)
        elif stat.S_ISLNK(status.st_mode):
            parts.append(os.readlink(entry.name, dir_fd=entry.parent))
        elif stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
            parts.append(str(status.st_rdev))
        return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()

    def _found(self, path: str) -> Found:
        try:
            descriptor = paths.open_in_root(self.descriptor, path, os.O_PATH)
        except OSError as error:
            if error.errno in _NOT_THERE:
                raise Missing(path) from error
            raise
        try:
            place = paths.place_in_root(self.descriptor, descriptor)
            directory = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        finally:
            os.close(descriptor)
        return Found(path=place.lstrip("/"), asked=path, directory=directory)

    def _below(self, place: str, part: str) -> list[str]:
        """The names in the directory *place* that fit *part*, a name with wild cards or `**`, as places."""
        if part == "**":
            found = [place]
            for below in self._below(place, "*"):
                found += self._below(below, "**")
            return found
        if not _WILD & set(part):
            return [posixpath.join(place, part)]
        fits = compile_pattern(part)
        try:
            descriptor = paths.open_in_root(self.descriptor, place or ".", os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            if error.errno in _NOT_THERE:
                return []
            raise
        try:
            names = sorted(os.listdir(descriptor))  # noqa: PTH208 - a descriptor
        finally:
            os.close(descriptor)
        return [posixpath.join(place, name) for name in names if fits(name)]

    def _open(self, path: str) -> int:
        return syscalls.openat2(self.descriptor, path, _DIRECTORY, resolve=_BENEATH)


def _content(descriptor: int, size: int) -> str:
    """The sha256 of a file of *size* bytes, which nobody changes, in hexadecimal."""
    # A byte more than there is tells that this was all; room for a whole piece takes longer to get than to fill.
    data = os.read(descriptor, min(size + 1, _PIECE))
    digest = hashlib.sha256(data)
    if len(data) != size:
        while data := os.read(descriptor, _PIECE):
            digest.update(data)
    return digest.hexdigest()


def _attributes(descriptor: int) -> list[str]:
    try:
        found = os.listxattr(descriptor)
        if not found:
            return found
        names = sorted(name for name in found if name.startswith(_XATTRS))
        return [f"{name}={os.getxattr(descriptor, name).hex()}" for name in names]
    except OSError:
        return []  # a file system without them
