"""Writing what COPY and ADD bring into the tree of a stage.

The destination is looked up inside the tree as a process there would see it: links on the way lead where they lead
inside. Below it nothing is followed: what is in the way is replaced, and only directories meet.
"""

from __future__ import annotations

import errno
import os
import posixpath
import stat
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from engine.build.chmod import Change
from engine.build.trees import Entry, Excluded, Found, Tree
from engine.errors import InvalidParameter
from engine.kernel import copying, paths, syscalls

_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_PATH: Final = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW
_BENEATH: Final = syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_SYMLINKS
_XATTRS: Final = ("security.capability", "user.", "system.posix_acl_")


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How files arrive."""

    owner: tuple[int, int] | None = (0, 0)
    """Whose they are, a user's and a group's number; `None` leaves them to whom they belong."""
    change: Change | None = None
    """What becomes of their modes."""
    excluded: Excluded | None = None
    check: Callable[[], None] = lambda: None
    """Called for each file; may raise to stop."""


class Placer:
    """Writes into the tree whose root is the descriptor *root*."""

    def __init__(self, root: int, manner: Manner) -> None:
        self._root = root
        self._manner = manner

    def is_directory(self, path: str) -> bool:
        """Whether *path* leads to a directory."""
        try:
            os.close(paths.open_in_root(self._root, path, os.O_PATH | os.O_DIRECTORY))
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                return False
            raise
        return True

    def make_directory(self, path: str) -> int:
        """The directory *path*, made with its parents where it is missing; a descriptor (O_PATH).

        `InvalidParameter` when something else is in the way.
        """
        uid, gid = self._manner.owner or (0, 0)
        try:
            return paths.make_directories(self._root, path, uid=uid, gid=gid)
        except OSError as error:
            if error.errno in (errno.ENOTDIR, errno.EEXIST, errno.ELOOP):
                raise InvalidParameter(f"cannot copy to {path[:300]}: it is, or lies below, no directory") from error
            raise

    def put(self, tree: Tree, found: Found, path: str) -> None:
        """Copy a file to *path*, or what is in a directory into the directory *path*."""
        if found.directory:
            top = self.make_directory(path)
            try:
                self._put_directory(tree, found, top)
            finally:
                os.close(top)
            return
        directory, name = posixpath.split(self._followed(path))
        parent = self.make_directory(directory)
        try:
            with tree.entry(found) as entry:
                self._write(entry, parent, name)
        finally:
            os.close(parent)

    def _followed(self, path: str) -> str:
        """Where *path* leads when a link is the last of it; a link to nothing is what will be replaced."""
        try:
            descriptor = paths.open_in_root(self._root, path, os.O_PATH)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                return path
            raise
        try:
            return paths.place_in_root(self._root, descriptor)
        finally:
            os.close(descriptor)

    def _put_directory(self, tree: Tree, found: Found, top: int) -> None:
        made: list[tuple[str, os.stat_result]] = []
        entries = iter(tree.walk(found, self._manner.excluded))
        next(entries)
        for entry in entries:
            self._manner.check()
            above, name = posixpath.split(entry.path)
            try:
                parent = self._below(top, above)
            except FileNotFoundError:
                # Its directory was left out, and this is taken in again.
                parent = self._made_again(top, above)
            try:
                if stat.S_ISDIR(entry.status.st_mode):
                    self._directory(entry, parent, name)
                    made.append((entry.path, entry.status))
                else:
                    self._write(entry, parent, name)
            finally:
                os.close(parent)
        # Their times change with what is made in them.
        for place, status in reversed(made):
            descriptor = self._below(top, place)
            try:
                _set_times(descriptor, status)
            finally:
                os.close(descriptor)

    def _made_again(self, top: int, path: str) -> int:
        current = os.dup(top)
        uid, gid = self._manner.owner or (0, 0)
        for part in path.split("/"):
            try:
                with suppress(FileExistsError):
                    os.mkdir(part, 0o755, dir_fd=current)
                    os.chown(part, uid, gid, dir_fd=current, follow_symlinks=False)
                following = self._below(current, part)
            finally:
                os.close(current)
            current = following
        return current

    def _below(self, top: int, path: str) -> int:
        return syscalls.openat2(top, path or ".", _PATH, resolve=_BENEATH)

    def _directory(self, entry: Entry, parent: int, name: str) -> None:
        try:
            os.mkdir(name, 0o700, dir_fd=parent)
        except FileExistsError:
            if not stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
                os.unlink(name, dir_fd=parent)
                os.mkdir(name, 0o700, dir_fd=parent)
        self._own(entry.status, parent, name)
        os.chmod(name, self._mode(entry.status), dir_fd=parent)

    def _write(self, entry: Entry, parent: int, name: str) -> None:
        """Write a file, a link, a fifo or a device as *name*, instead of whatever is there."""
        kind = stat.S_IFMT(entry.status.st_mode)
        if kind == stat.S_IFSOCK or (kind == stat.S_IFCHR and entry.status.st_rdev == 0):
            return  # a socket means nothing without its process; the other is how overlayfs marks what has been removed
        if kind == stat.S_IFREG:
            self._file(entry, parent, name)
            return
        self._clear(parent, name)
        if kind == stat.S_IFLNK:
            os.symlink(os.readlink(entry.name, dir_fd=entry.parent), name, dir_fd=parent)
        else:
            os.mknod(name, kind | 0o600, entry.status.st_rdev, dir_fd=parent)
        self._own(entry.status, parent, name)
        if kind != stat.S_IFLNK:
            os.chmod(name, self._mode(entry.status), dir_fd=parent)
        os.utime(name, ns=(entry.status.st_atime_ns, entry.status.st_mtime_ns), dir_fd=parent, follow_symlinks=False)

    def _file(self, entry: Entry, parent: int, name: str) -> None:
        source = os.open(entry.name, _FILE, dir_fd=entry.parent)
        try:
            target = self._created(parent, name)
            try:
                copying.copy_content(source, target)
                uid, gid = self._manner.owner or (entry.status.st_uid, entry.status.st_gid)
                os.fchown(target, uid, gid)
                os.fchmod(target, self._mode(entry.status))
                for attribute in os.listxattr(source):
                    if attribute.startswith(_XATTRS):
                        with suppress(OSError):  # a file system that does not have it
                            os.setxattr(target, attribute, os.getxattr(source, attribute))
                os.utime(target, ns=(entry.status.st_atime_ns, entry.status.st_mtime_ns))
            finally:
                os.close(target)
        finally:
            os.close(source)

    def _created(self, parent: int, name: str) -> int:
        """A descriptor of the new file *name*, instead of whatever is there."""
        try:
            return os.open(name, _NEW, 0o600, dir_fd=parent)
        except FileExistsError:
            self._clear(parent, name)
            return os.open(name, _NEW, 0o600, dir_fd=parent)

    def _clear(self, parent: int, name: str) -> None:
        try:
            os.unlink(name, dir_fd=parent)
        except FileNotFoundError:
            return
        except IsADirectoryError:
            raise InvalidParameter(f"cannot overwrite the directory {name[:200]} with a file") from None

    def _own(self, status: os.stat_result, parent: int, name: str) -> None:
        uid, gid = self._manner.owner or (status.st_uid, status.st_gid)
        os.chown(name, uid, gid, dir_fd=parent, follow_symlinks=False)

    def _mode(self, status: os.stat_result) -> int:
        mode = stat.S_IMODE(status.st_mode)
        return self._manner.change(mode, directory=stat.S_ISDIR(status.st_mode)) if self._manner.change else mode


def _set_times(descriptor: int, status: os.stat_result) -> None:
    os.utime(f"/proc/self/fd/{descriptor}", ns=(status.st_atime_ns, status.st_mtime_ns))
