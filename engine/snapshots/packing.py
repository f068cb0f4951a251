"""Makes a tar of a directory tree, as a stream: for `docker cp`, for export, and for layers.

Only descriptors lead through the tree, and no link is followed. What changes while it is read may be missing or cut.
Who does not read a stream to its end closes it: it holds descriptors.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Generator
from contextlib import closing, suppress
from typing import Final

from engine.kernel import syscalls
from engine.kernel.overlay import is_opaque, is_whiteout
from engine.snapshots.tar import (
    BLOCK_DEVICE,
    CHARACTER,
    DIRECTORY,
    FIFO,
    FILE,
    HARD_LINK,
    SYMLINK,
    Entry,
)
from engine.snapshots.tar_writer import END, header, padding
from engine.snapshots.unpack import OPAQUE_WHITEOUT, WHITEOUT

_CHUNK: Final = 1024 * 1024
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_BENEATH: Final = syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_SYMLINKS
_CHANGED: Final = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EINVAL)
"""What the kernel says of an entry that has vanished, or is of another kind, since it was seen."""
_KINDS: Final = {
    stat.S_IFREG: FILE,
    stat.S_IFDIR: DIRECTORY,
    stat.S_IFLNK: SYMLINK,
    stat.S_IFCHR: CHARACTER,
    stat.S_IFBLK: BLOCK_DEVICE,
    stat.S_IFIFO: FIFO,
}
_KEPT_XATTRS: Final = ("security.capability", "user.", "system.posix_acl_")


def pack_directory(root: int, *, name: str = "", layer: bool = False, dated: bool = True) -> Generator[bytes]:
    """The tar of everything in the directory *root* (a descriptor, which stays open), in chunks of about 1 MiB.

    With *name*, the directory itself comes first under that name, and its content below it. With *layer*, marks of
    overlayfs become those of layers (OCI image-spec, layer.md, "Whiteouts"). Sockets are left out. Unless *dated*,
    directories have no times: one that an archive does not tell of has that of its unpacking.
    """
    return _chunked(_tree(root, os.fsencode(name), layer=layer, dated=dated))


def pack_entry(parent: int, entry: str, *, name: str) -> Generator[bytes]:
    """The tar of one *entry* of the directory *parent*, which is no directory, under the name *name*."""
    return _chunked(_entry(parent, entry, os.fsencode(name), {}))


def _chunked(parts: Generator[bytes]) -> Generator[bytes]:
    waiting: list[bytes] = []
    size = 0
    # Who stops reading has an exception in hand that keeps this alive, and with it a descriptor for each level.
    with closing(parts):
        for part in parts:
            waiting.append(part)
            size += len(part)
            if size >= _CHUNK:
                yield b"".join(waiting)
                waiting, size = [], 0
        yield b"".join([*waiting, END])


def _tree(root: int, name: bytes, *, layer: bool, dated: bool) -> Generator[bytes]:
    links: dict[tuple[int, int], bytes] = {}
    if name:
        yield header(_described(os.fstat(root), name, root))
    waiting = [b"."]
    while waiting:
        path = waiting.pop()
        try:
            here = syscalls.openat2(root, os.fsdecode(path), _DIRECTORY, resolve=_BENEATH)
        except OSError as error:
            if error.errno in _CHANGED:
                continue
            raise
        try:
            below = _joined(name, path)
            if layer and is_opaque(here):
                yield header(Entry(name=_joined(below, OPAQUE_WHITEOUT), kind=FILE, mode=0o600))
            directories = []
            for entry in sorted(os.listdir(here)):  # noqa: PTH208 - a descriptor
                try:
                    found = os.stat(entry, dir_fd=here, follow_symlinks=False)
                    place = _joined(below, os.fsencode(entry))
                    if layer and is_whiteout(found):
                        hidden = _joined(below, WHITEOUT + os.fsencode(entry))
                        yield header(Entry(name=hidden, kind=FILE, mode=0o600))
                    elif stat.S_ISDIR(found.st_mode):
                        child = os.open(entry, _DIRECTORY | os.O_CLOEXEC, dir_fd=here)
                        try:
                            described = _described(found, place, child)
                            if not dated:
                                described.mtime = 0
                            yield header(described)
                        finally:
                            os.close(child)
                        directories.append(b"%s/%s" % (path, os.fsencode(entry)))
                    else:
                        yield from _entry(here, entry, place, links)
                except OSError as error:
                    if error.errno not in _CHANGED:
                        raise
            waiting += reversed(directories)
        finally:
            os.close(here)


def _entry(parent: int, entry: str, name: bytes, links: dict[tuple[int, int], bytes]) -> Generator[bytes]:
    found = os.stat(entry, dir_fd=parent, follow_symlinks=False)
    kind = stat.S_IFMT(found.st_mode)
    if kind == stat.S_IFREG:
        descriptor = _opened(parent, entry)
        try:
            yield from _file(descriptor, name, links)
        finally:
            os.close(descriptor)
    elif kind in _KINDS:
        described = _described(found, name)
        if kind == stat.S_IFLNK:
            described.link = os.fsencode(os.readlink(entry, dir_fd=parent))
        yield header(described)


def _opened(parent: int, entry: str) -> int:
    """A file for reading, which it still is: a container may put a device in its place, and to open one does things."""
    place = os.open(entry, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        if not stat.S_ISREG(os.fstat(place).st_mode):
            raise FileNotFoundError(errno.ENOENT, "it is no file any more", entry)
        return os.open(f"/proc/self/fd/{place}", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(place)


def _file(descriptor: int, name: bytes, links: dict[tuple[int, int], bytes]) -> Generator[bytes]:
    found = os.fstat(descriptor)
    described = _described(found, name, descriptor)
    if found.st_nlink > 1:
        first = links.setdefault((found.st_dev, found.st_ino), name)
        if first != name:
            described.kind, described.link, described.xattrs = HARD_LINK, first, {}
            yield header(described)
            return
    described.size = left = found.st_size
    yield header(described)
    while left:
        data = os.read(descriptor, min(left, _CHUNK))
        if not data:
            # It has become shorter: the header's word is kept.
            data = bytes(min(left, _CHUNK))
        left -= len(data)
        yield data
    yield padding(found.st_size)


def _described(found: os.stat_result, name: bytes, descriptor: int | None = None) -> Entry:
    device = stat.S_ISCHR(found.st_mode) or stat.S_ISBLK(found.st_mode)
    return Entry(
        name=name,
        kind=_KINDS[stat.S_IFMT(found.st_mode)],
        mode=stat.S_IMODE(found.st_mode),
        uid=found.st_uid,
        gid=found.st_gid,
        mtime=found.st_mtime_ns,
        major=os.major(found.st_rdev) if device else 0,
        minor=os.minor(found.st_rdev) if device else 0,
        xattrs=_xattrs(descriptor) if descriptor is not None else {},
    )


def _xattrs(descriptor: int) -> dict[bytes, bytes]:
    with suppress(OSError):  # a file system without them
        return {
            os.fsencode(name): os.getxattr(descriptor, name)
            for name in os.listxattr(descriptor)
            if name.startswith(_KEPT_XATTRS)
        }
    return {}


def _joined(directory: bytes, name: bytes) -> bytes:
    name = name.removeprefix(b"./")
    if name == b".":
        return directory
    return b"%s/%s" % (directory, name) if directory else name
