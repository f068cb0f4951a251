"""Whole directory trees that strangers made: deleting them and adding them up.

A container or a layer can make a tree deeper than any recursion, any path (PATH_MAX) and any number of open files
allow. What is here needs two descriptors and no recursion, and never follows a symbolic link.
"""

from __future__ import annotations

import errno
import os
import stat

from engine.kernel import syscalls

TYPE_CHECKING = False  # see engine.kernel.syscalls
if TYPE_CHECKING:
    from typing import Final

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_BENEATH: Final = syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_SYMLINKS | syscalls.RESOLVE_NO_XDEV


def remove_tree(directory: os.PathLike[str] | str | bytes) -> None:
    """Delete *directory* with everything in it; `FileNotFoundError` when it is not there.

    A directory that is not empty is first moved up, next to its grandparent's other children, so nothing is ever looked
    up deeper than two levels.
    """
    top = os.open(directory, _DIRECTORY)
    try:
        waiting = _remove_files(top)
        token = os.urandom(8).hex()
        moved = 0
        while waiting:
            name = waiting.pop()
            current = os.open(name, _DIRECTORY, dir_fd=top)
            try:
                for child in _remove_files(current):
                    try:
                        os.rmdir(child, dir_fd=current)
                    except OSError as error:
                        if error.errno != errno.ENOTEMPTY:
                            raise
                        moved += 1
                        place = f"{token}-{moved}"
                        os.rename(child, place, src_dir_fd=current, dst_dir_fd=top)
                        waiting.append(place)
            finally:
                os.close(current)
            os.rmdir(name, dir_fd=top)
    finally:
        os.close(top)
    os.rmdir(directory)  # noqa: PTH106 - takes bytes too


def tree_size(directory: os.PathLike[str] | str) -> int:
    """Bytes of the files and symbolic links below *directory*: each one's size, those with several names once.

    It may change meanwhile. Files whose path is longer than PATH_MAX are not counted.
    """
    seen: set[tuple[int, int]] = set()
    total = 0
    root = os.open(directory, _DIRECTORY)
    try:
        waiting = ["."]
        while waiting:
            path = waiting.pop()
            try:
                current = syscalls.openat2(root, path, _DIRECTORY, resolve=_BENEATH)
            except OSError as error:
                if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EXDEV):
                    continue
                raise
            try:
                with os.scandir(current) as found:
                    for entry in found:
                        if entry.is_dir(follow_symlinks=False):
                            waiting.append(f"{path}/{entry.name}")
                        else:
                            total += _size_once(entry, seen)
            finally:
                os.close(current)
    finally:
        os.close(root)
    return total


def limit_times(directory: os.PathLike[str] | str, latest: int) -> None:
    """Give everything in *directory* that was changed after *latest* (nanoseconds) that time."""
    root = os.open(directory, _DIRECTORY)
    try:
        waiting = ["."]
        while waiting:
            path = waiting.pop()
            current = syscalls.openat2(root, path, _DIRECTORY, resolve=_BENEATH)
            try:
                with os.scandir(current) as found:
                    for entry in found:
                        if entry.is_dir(follow_symlinks=False):
                            waiting.append(f"{path}/{entry.name}")
                        if entry.stat(follow_symlinks=False).st_mtime_ns > latest:
                            os.utime(entry.name, ns=(latest, latest), dir_fd=current, follow_symlinks=False)
            finally:
                os.close(current)
    finally:
        os.close(root)


def _size_once(entry: os.DirEntry[str], seen: set[tuple[int, int]]) -> int:
    try:
        found = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return 0
    if not stat.S_ISREG(found.st_mode):
        return 0
    if found.st_nlink > 1:
        key = (found.st_dev, found.st_ino)
        if key in seen:
            return 0
        seen.add(key)
    return found.st_size


def _remove_files(directory: int) -> list[str]:
    """Delete what is no directory in *directory*, and return the names of those that are."""
    directories = []
    with os.scandir(directory) as found:
        for entry in list(found):
            if entry.is_dir(follow_symlinks=False):
                directories.append(entry.name)
            else:
                os.unlink(entry.name, dir_fd=directory)
    return directories
