"""Copying a directory with everything that its files are: owner, mode, times, extended attributes, links, devices."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from typing import Final

from engine.kernel import syscalls

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_BENEATH: Final = syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_SYMLINKS
_PART: Final = 1 << 30


def copy_directory(source: int, target: int) -> None:
    """Copy what is in the directory *source* into the empty directory *target*, and then *source*'s own attributes.

    Both are descriptors. Links are copied as links and never followed; files with several names keep them.
    """
    names: dict[tuple[int, int], str] = {}
    waiting = ["."]
    directories = []
    while waiting:
        path = waiting.pop()
        directories.append(path)
        here = syscalls.openat2(source, path, _DIRECTORY, resolve=_BENEATH)
        there = syscalls.openat2(target, path, _DIRECTORY, resolve=_BENEATH)
        try:
            with os.scandir(here) as entries:
                for entry in entries:
                    status = entry.stat(follow_symlinks=False)
                    below = f"{path}/{entry.name}"
                    first = names.get((status.st_dev, status.st_ino))
                    if first is not None:
                        os.link(first, entry.name, src_dir_fd=target, dst_dir_fd=there, follow_symlinks=False)
                    elif stat.S_ISDIR(status.st_mode):
                        os.mkdir(entry.name, 0o700, dir_fd=there)
                        waiting.append(below)
                    else:
                        if status.st_nlink > 1:
                            names[status.st_dev, status.st_ino] = below
                        _copy_entry(here, there, entry.name, status)
        finally:
            os.close(here)
            os.close(there)
    # Deepest last to first: a directory's times change with what is made in it.
    for path in reversed(directories):
        here = syscalls.openat2(source, path, _DIRECTORY, resolve=_BENEATH)
        there = syscalls.openat2(target, path, _DIRECTORY, resolve=_BENEATH)
        try:
            _copy_attributes(here, there, os.fstat(here))
        finally:
            os.close(here)
            os.close(there)


def _copy_entry(here: int, there: int, name: str, status: os.stat_result) -> None:
    kind = stat.S_IFMT(status.st_mode)
    if kind == stat.S_IFREG:
        source = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=here)
        try:
            target = os.open(
                name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=there
            )
            try:
                copy_content(source, target)
                _copy_attributes(source, target, status)
            finally:
                os.close(target)
        finally:
            os.close(source)
        return
    if kind == stat.S_IFLNK:
        os.symlink(os.readlink(name, dir_fd=here), name, dir_fd=there)
    elif kind in (stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO):
        os.mknod(name, status.st_mode, status.st_rdev, dir_fd=there)
    else:
        return  # a socket means nothing without the process that made it
    os.chown(name, status.st_uid, status.st_gid, dir_fd=there, follow_symlinks=False)
    if kind != stat.S_IFLNK:
        os.chmod(name, stat.S_IMODE(status.st_mode), dir_fd=there)
    os.utime(name, ns=(status.st_atime_ns, status.st_mtime_ns), dir_fd=there, follow_symlinks=False)


def copy_content(source: int, target: int) -> None:
    """Copy what is left to read of the file *source* to *target*, both descriptors, without leaving the kernel."""
    try:
        while os.copy_file_range(source, target, _PART):
            continue
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP):
            raise
        while os.sendfile(target, source, None, _PART):
            continue


def _copy_attributes(source: int, target: int, status: os.stat_result) -> None:
    os.fchown(target, status.st_uid, status.st_gid)
    os.fchmod(target, stat.S_IMODE(status.st_mode))
    for name in os.listxattr(source):
        if not name.startswith("trusted."):
            with suppress(PermissionError):  # one that only another security module may set
                os.setxattr(target, name, os.getxattr(source, name))
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
