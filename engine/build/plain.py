"""Small, plain archives, unpacked without the helper, whose start takes longer than all the rest of a cached build.

Plain are files and directories, each named once, without attributes: nothing that could lead anywhere. Whatever else an
archive has in it makes it the helper's business, before anything is written.
"""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from engine.snapshots.helper import UnpackLimits
from engine.snapshots.tar import DIRECTORY, FILE, Entry, TarError, TarReader

LARGEST: Final = 128 * 1024
"""Bytes of an archive that is looked at here."""
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def unpack(data: bytes, directory: Path, *, limits: UnpackLimits) -> int | None:
    """Write the archive *data* into the empty *directory*, all of it root's; bytes of the files.

    `None`, with nothing written, for one that is not plain, broken, or larger than *limits*.
    """
    entries = _entries(data)
    if entries is None or len(entries) > limits.entries:
        return None
    size = sum(len(content) for _, content in entries.values())
    if size > limits.bytes:
        return None
    root = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for path, (entry, content) in entries.items():
            if entry.kind == DIRECTORY:
                os.mkdir(path, 0o700, dir_fd=root)
            else:
                _write(root, path, entry, content)
        for path, (entry, _) in reversed(list(entries.items())):
            if entry.kind == DIRECTORY:
                os.chmod(path, entry.mode, dir_fd=root)
                os.utime(path, ns=(entry.mtime, entry.mtime), dir_fd=root)
    finally:
        os.close(root)
    return size


def _entries(data: bytes) -> Mapping[bytes, tuple[Entry, bytes]] | None:
    """What is in the archive by path, directories before what is in them; those that it does not name are added."""
    found: dict[bytes, tuple[Entry, bytes]] = {}
    reader = TarReader(io.BytesIO(data))
    try:
        for entry in reader:
            parts = [part for part in entry.name.split(b"/") if part not in (b"", b".")]
            if entry.kind not in (FILE, DIRECTORY) or entry.xattrs or entry.sparse or b".." in parts:
                return None
            if not parts:
                continue
            for depth in range(1, len(parts)):
                above = b"/".join(parts[:depth])
                if found.setdefault(above, (_missing(above), b""))[0].kind != DIRECTORY:
                    return None
            path = b"/".join(parts)
            if path in found:
                return None
            found[path] = entry, b"".join(reader.copy()) if entry.kind == FILE else b""
    except TarError:
        return None
    return found


def _missing(name: bytes) -> Entry:
    return Entry(name=name, kind=DIRECTORY, mode=0o755)


def _write(root: int, path: bytes, entry: Entry, content: bytes) -> None:
    descriptor = os.open(path, _NEW, 0o600, dir_fd=root)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fchmod(descriptor, entry.mode)
        os.utime(descriptor, ns=(entry.mtime, entry.mtime))
    finally:
        os.close(descriptor)
