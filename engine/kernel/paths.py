"""Paths inside a container's root, resolved by the kernel: a symbolic link or `..` in them cannot lead out of it.

openat2(2) with RESOLVE_IN_ROOT treats the root as `/` for absolute paths and links, as chroot would.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from engine.kernel import syscalls

_IN_ROOT = syscalls.RESOLVE_IN_ROOT | syscalls.RESOLVE_NO_MAGICLINKS


@contextmanager
def opened_root(root: Path) -> Iterator[int]:
    """A descriptor of *root* for as long as the block runs."""
    descriptor = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def open_in_root(root: int, path: str, flags: int, *, mode: int = 0) -> int:
    """A descriptor of *path* inside *root*; `OSError` as open(2) gives it."""
    return syscalls.openat2(root, path.lstrip("/") or ".", flags, mode=mode, resolve=_IN_ROOT)


def place_in_root(root: int, descriptor: int) -> str:
    """Where *descriptor*, opened inside *root*, is there: an absolute path without links."""
    top, real = (str(Path(f"/proc/self/fd/{number}").readlink()) for number in (root, descriptor))
    return real if top == "/" else real.removeprefix(top) or "/"


def read_in_root(root: int, path: str, *, limit: int) -> bytes:
    """The first *limit* bytes of the regular file *path* inside *root*; empty when there is none."""
    try:
        found = open_in_root(root, path, os.O_PATH)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EACCES, errno.EXDEV, errno.ENAMETOOLONG):
            return b""
        raise
    try:
        # Only a file is opened to be read: opening a device node does things to the host.
        if not stat.S_ISREG(os.fstat(found).st_mode):
            return b""
        with Path(f"/proc/self/fd/{found}").open("rb") as file:
            return file.read(limit)
    finally:
        os.close(found)


def make_directories(root: int, path: str, *, mode: int = 0o755, uid: int = 0, gid: int = 0) -> int:
    """Make *path* inside *root* with its parents, as `mkdir -p`, and return a descriptor of it (O_PATH).

    Directories that are there keep their mode and owner. `OSError` with ENOTDIR when something else is in the way.
    """
    current = os.dup(root)
    try:
        done = "."
        for part in PurePosixPath("/", path).parts[1:]:
            if part == "..":
                raise OSError(errno.EINVAL, "a path with '..'", path)
            # Resolved from the root each time: a link on the way is followed inside the root.
            done = f"{done}/{part}"
            try:
                following = open_in_root(root, done, os.O_PATH | os.O_DIRECTORY)
            except FileNotFoundError:
                os.mkdir(part, mode, dir_fd=current)
                following = syscalls.openat2(
                    current, part, os.O_PATH | os.O_DIRECTORY, resolve=syscalls.RESOLVE_BENEATH
                )
                if uid or gid:
                    os.chown(part, uid, gid, dir_fd=current, follow_symlinks=False)
            os.close(current)
            current = following
    except BaseException:
        os.close(current)
        raise
    return current


def make_file(root: int, path: str) -> None:
    """Make sure that something is at *path* inside *root* that a file can be mounted on."""
    pure = PurePosixPath("/", path)
    parent = make_directories(root, str(pure.parent))
    try:
        descriptor = syscalls.openat2(
            parent,
            pure.name,
            os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW,
            mode=0o644,
            resolve=syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_SYMLINKS,
        )
        os.close(descriptor)
    except FileExistsError:
        return
    finally:
        os.close(parent)
