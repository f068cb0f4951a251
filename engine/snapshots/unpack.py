"""The unpack helper: reads an untrusted tar from standard input and writes it below one directory, and nowhere else.

A short-lived process of its own, run as `python -I -S unpack.py DIRECTORY MOST_ENTRIES MOST_BYTES`. Before it reads a
byte it has no network, the directory is its root, and it has no capability but those that restoring files takes. Whatever a
hostile archive makes of it can only write there.

Prints one line of JSON: `{"entries": N, "bytes": N}`, or `{"error": "…", "errno": N or null}` and exits with 1.
"""

from __future__ import annotations

import errno
import json
import os
import resource
import stat
import sys
from pathlib import Path
from typing import BinaryIO

if __name__ == "__main__":
    # -I leaves the script's directory out of the path; the helper needs two modules, not the package.
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from engine.kernel import syscalls
from engine.snapshots.tar import (
    BLOCK_DEVICE,
    CHARACTER,
    DIRECTORY,
    FIFO,
    FILE,
    HARD_LINK,
    SYMLINK,
    Entry,
    TarError,
    TarReader,
)

WHITEOUT = b".wh."
OPAQUE_WHITEOUT = b".wh..wh..opq"
_OVERLAY_OPAQUE = b"trusted.overlay.opaque"

_KEPT_CAPABILITIES = sum(
    1 << number
    for number in (
        0,  # CAP_CHOWN
        1,  # CAP_DAC_OVERRIDE
        3,  # CAP_FOWNER
        4,  # CAP_FSETID
        27,  # CAP_MKNOD
        31,  # CAP_SETFCAP
        # trusted.* attributes, which mark opaque directories, take this one. What else it permits takes a path or a
        # descriptor that leads out of the root, and there is none.
        21,  # CAP_SYS_ADMIN
    )
)

_TYPES = {CHARACTER: stat.S_IFCHR, BLOCK_DEVICE: stat.S_IFBLK, FIFO: stat.S_IFIFO}
_XATTRS = (b"security.capability", b"user.", b"system.posix_acl_")


class Unpacker:
    """Writes entries below the root directory of this process."""

    def __init__(self, *, most_entries: int, most_bytes: int) -> None:
        self._most_entries = most_entries
        self._most_bytes = most_bytes
        self._directories: dict[bytes, Entry] = {}
        """Their times and modes are set at the end: writing into them would change the times."""
        self._parents: set[bytes] = {b"/"}
        self.entries = 0
        self.bytes = 0

    def unpack(self, stream: BinaryIO) -> None:
        reader = TarReader(stream)
        for entry in reader:
            self.entries += 1
            self.bytes += entry.size
            if self.entries > self._most_entries:
                raise TarError(f"more than the {self._most_entries} entries that are allowed")
            if self.bytes > self._most_bytes:
                raise TarError(f"more than the {self._most_bytes} bytes that are allowed")
            self._place(entry, reader)
        for path in sorted(self._directories, reverse=True):
            self._finish_directory(path, self._directories[path])

    def _place(self, entry: Entry, reader: TarReader) -> None:
        parts = [part for part in entry.name.split(b"/") if part not in (b"", b".")]
        if b".." in parts:
            raise TarError(f"{_show(entry.name)}: a name with '..' in it")
        path = b"/" + b"/".join(parts)
        if not parts:
            if entry.kind == DIRECTORY:
                self._directories[path] = entry
            return
        parent = path[: -len(parts[-1]) - 1] or b"/"
        self._make_parents(parent)
        if parts[-1].startswith(WHITEOUT):
            self._whiteout(parent, parts[-1])
            return
        if entry.kind != DIRECTORY:
            self._directories.pop(path, None)
        self._make(path, entry, reader)

    def _make(self, path: bytes, entry: Entry, reader: TarReader) -> None:
        kind = entry.kind
        if kind == DIRECTORY:
            self._make_directory(path, entry)
            return
        if kind == HARD_LINK:
            self._clear(path)
            source = _inside(entry.link)
            try:
                os.link(source, path, follow_symlinks=False)
            except FileNotFoundError:
                raise TarError(f"{_show(path)}: a hard link to {_show(source)}, which is not in this layer") from None
            return
        if kind == FILE:
            self._make_file(path, entry, reader)
            return
        self._clear(path)
        if kind == SYMLINK:
            os.symlink(entry.link, path)
        else:
            device = os.makedev(entry.major, entry.minor) if kind != FIFO else 0
            os.mknod(path, _TYPES[kind] | 0o600, device)
        os.chown(path, entry.uid, entry.gid, follow_symlinks=False)
        if kind != SYMLINK:
            os.chmod(path, entry.mode)
        _set_xattrs(path, entry)
        os.utime(path, ns=(entry.mtime, entry.mtime), follow_symlinks=False)

    def _make_file(self, path: bytes, entry: Entry, reader: TarReader) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            descriptor = os.open(path, flags, 0o600)
        except FileExistsError:
            # The last entry of a name is the one that counts.
            self._clear(path)
            descriptor = os.open(path, flags, 0o600)
        try:
            for data in reader.copy():
                view = memoryview(data)
                while view:
                    view = view[os.write(descriptor, view) :]
            # Changing the owner clears setuid and file capabilities, so it comes before mode and attributes.
            os.fchown(descriptor, entry.uid, entry.gid)
            os.fchmod(descriptor, entry.mode)
            if entry.xattrs:
                _set_xattrs(path, entry)
            os.utime(descriptor, ns=(entry.mtime, entry.mtime))
        finally:
            os.close(descriptor)

    def _make_directory(self, path: bytes, entry: Entry) -> None:
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:
            found = os.lstat(path)
            if not stat.S_ISDIR(found.st_mode):
                self._clear(path)
                os.mkdir(path, 0o700)
                if _is_whiteout(found):
                    # Removed below and made anew here: what the lower layers had in it stays hidden.
                    os.setxattr(path, _OVERLAY_OPAQUE, b"y")
        self._parents.add(path)
        self._directories[path] = entry

    def _finish_directory(self, path: bytes, entry: Entry) -> None:
        try:
            if not stat.S_ISDIR(os.lstat(path).st_mode):
                return
        except FileNotFoundError:
            return
        os.chown(path, entry.uid, entry.gid, follow_symlinks=False)
        os.chmod(path, entry.mode)
        _set_xattrs(path, entry)
        os.utime(path, ns=(entry.mtime, entry.mtime))

    def _make_parents(self, path: bytes) -> None:
        """Directories that the archive forgot to name get mode 755. A link on the way is followed, inside the root."""
        if path in self._parents:
            return
        parent = path.rpartition(b"/")[0] or b"/"
        self._make_parents(parent)
        try:
            os.mkdir(path, 0o755)
        except FileExistsError:
            self._accept_parent(path)
        self._parents.add(path)

    def _accept_parent(self, path: bytes) -> None:
        if _is_whiteout(os.lstat(path)):
            self._clear(path)
            os.mkdir(path, 0o755)
            os.setxattr(path, _OVERLAY_OPAQUE, b"y")
        elif not stat.S_ISDIR(os.stat(path).st_mode):
            raise TarError(f"{_show(path)} is in the way: it is no directory")

    def _whiteout(self, parent: bytes, name: bytes) -> None:
        """Turn the marks of layers (OCI image-spec, layer.md, "Whiteouts") into those of overlayfs."""
        if name == OPAQUE_WHITEOUT:
            os.setxattr(parent, _OVERLAY_OPAQUE, b"y")
            return
        hidden = name[len(WHITEOUT) :]
        if not hidden or hidden in (b".", b"..") or hidden.startswith(WHITEOUT):
            if hidden.startswith(WHITEOUT):
                return  # aufs' own marks, such as .wh..wh.plnk, mean nothing elsewhere
            raise TarError(f"a whiteout of {_show(hidden)} in {_show(parent)}")
        path = parent.rstrip(b"/") + b"/" + hidden
        try:
            os.mknod(path, stat.S_IFCHR, os.makedev(0, 0))
        except FileExistsError:
            # A whiteout hides what lower layers have, not what this one has put there already.
            if stat.S_ISDIR(os.lstat(path).st_mode):
                os.setxattr(path, _OVERLAY_OPAQUE, b"y")

    def _clear(self, path: bytes) -> None:
        """Make *path* free: what an earlier entry put there goes."""
        try:
            os.unlink(path)
            return
        except FileNotFoundError:
            return
        except IsADirectoryError:
            _remove_tree(path)
        self._parents = {known for known in self._parents if known != path and not known.startswith(path + b"/")}
        for known in [known for known in self._directories if known == path or known.startswith(path + b"/")]:
            del self._directories[known]


def confine(directory: str) -> None:
    """Make *directory* this process's root, and take away what restoring files does not need."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    syscalls.unshare(syscalls.CLONE_NEWNS | syscalls.CLONE_NEWNET | syscalls.CLONE_NEWIPC)
    syscalls.mount("none", "/", "", syscalls.MS_REC | syscalls.MS_PRIVATE)
    os.chroot(directory)
    os.chdir("/")
    os.closerange(3, 256)
    os.umask(0)
    for number in range(64):
        if not _KEPT_CAPABILITIES >> number & 1:
            try:
                syscalls.prctl(syscalls.PR_CAPBSET_DROP, number)
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
                break  # the kernel knows no more of them
    syscalls.set_capabilities(_KEPT_CAPABILITIES)
    syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)


def main() -> int:
    directory, most_entries, most_bytes = sys.argv[1:]
    unpacker = Unpacker(most_entries=int(most_entries), most_bytes=int(most_bytes))
    result: dict[str, object]
    try:
        confine(directory)
        with os.fdopen(0, "rb", buffering=1024 * 1024, closefd=False) as stream:
            unpacker.unpack(stream)
        result = {"entries": unpacker.entries, "bytes": unpacker.bytes}
    except TarError as error:
        result = {"error": str(error), "errno": None}
    except OSError as error:
        where = f"{_show(os.fsencode(error.filename))}: " if error.filename else ""
        result = {"error": f"{where}{error.strerror}", "errno": error.errno}
    sys.stdout.write(json.dumps(result) + "\n")
    sys.stdout.flush()
    return 1 if "error" in result else 0


def _inside(link: bytes) -> bytes:
    parts = [part for part in link.split(b"/") if part not in (b"", b".")]
    if b".." in parts or not parts:
        raise TarError(f"a hard link to {_show(link)}")
    return b"/" + b"/".join(parts)


def _is_whiteout(found: os.stat_result) -> bool:
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == 0


def _set_xattrs(path: bytes, entry: Entry) -> None:
    for name, value in entry.xattrs.items():
        if name.startswith(_XATTRS):
            os.setxattr(path, name, value, follow_symlinks=False)


def _remove_tree(path: bytes) -> None:
    with os.scandir(path) as found:
        for child in list(found):
            if child.is_dir(follow_symlinks=False):
                _remove_tree(child.path)
            else:
                os.unlink(child.path)
    os.rmdir(path)


def _show(name: bytes) -> str:
    return ascii(name[:200].decode("utf-8", "backslashreplace"))


if __name__ == "__main__":
    sys.exit(main())
