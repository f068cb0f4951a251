"""The unpack helper: reads an untrusted tar from standard input and writes it below one directory, and nowhere else.

A short-lived process of its own. Before it reads a byte it has no network, the directory is its root, no device node in
it can be opened, and it has no capability but those that restoring files takes. Whatever a hostile archive makes of it
can only write there. `main` takes one of

    layer DIRECTORY MOST_ENTRIES MOST_BYTES           a new layer, whose whiteouts become those of overlayfs
    tree DIRECTORY MOST_ENTRIES MOST_BYTES NAMESPACE ROOT OWNER KEEP
        into the files of a container: DIRECTORY is a path within its root, which is the directory ROOT in the mount
        namespace whose descriptor is NAMESPACE (- for the host's). Everything belongs to OWNER (UID:GID; - for the
        archive's own word). KEEP 1 never replaces a directory by something else or the reverse.

Prints lines for `engine.snapshots.helper`: `done ENTRIES BYTES` after an `opaque PATH` for each directory that hides
those below it, or `refused TEXT`, or `failed ERRNO TEXT` and exits with 1. Paths and texts are in hexadecimal.
"""

from __future__ import annotations

import errno
import os
import resource
import stat
import sys

from engine.kernel import syscalls
from engine.kernel.trees import remove_tree
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

TYPE_CHECKING = False  # see engine.kernel.syscalls
if TYPE_CHECKING:
    from typing import BinaryIO

WHITEOUT = b".wh."
OPAQUE_WHITEOUT = b".wh..wh..opq"

_KEPT_CAPABILITIES = sum(
    1 << number
    for number in (
        0,  # CAP_CHOWN
        1,  # CAP_DAC_OVERRIDE
        3,  # CAP_FOWNER
        4,  # CAP_FSETID
        27,  # CAP_MKNOD
        31,  # CAP_SETFCAP
    )
)
"""Not CAP_SYS_ADMIN, which undoes a chroot: the engine itself marks opaque directories, from the list it is given."""

_MOST_MEMORY = 1024**3
"""Bytes. Two million directories take about a third of it."""

_TYPES = {CHARACTER: stat.S_IFCHR, BLOCK_DEVICE: stat.S_IFBLK, FIFO: stat.S_IFIFO}
_INLINE_XATTR = 2048
"""Bytes of an attribute that fit into an inode's block on every file system; more is an oddity, not a full disk."""
_XATTRS = (b"security.capability", b"user.", b"system.posix_acl_")


class Unpacker:
    """Writes entries below the root directory of this process."""

    def __init__(
        self,
        *,
        most_entries: int,
        most_bytes: int,
        layer: bool = True,
        owner: tuple[int, int] | None = None,
        keep: bool = False,
    ) -> None:
        self._most_entries = most_entries
        self._most_bytes = most_bytes
        self._layer = layer
        self._owner = owner
        self._keep = keep
        self._directories: dict[bytes, tuple[int, int, int, int]] = {}
        """Mode, owner, group and time of each, set at the end: writing into them would change the times."""
        self._parents: set[bytes] = {b"/"}
        """Paths that lead to a directory, perhaps through links."""
        self._opaque: set[bytes] = set()
        self.entries = 0
        self.bytes = 0

    def unpack(self, stream: BinaryIO, *, pipe: int | None = None) -> None:
        """Everything in *stream*, as `TarReader` takes it."""
        reader = TarReader(stream, pipe=pipe)
        for entry in reader:
            self.entries += 1
            # As Docker counts: a link has the size of its target's name.
            self.bytes += len(entry.link) if entry.kind == SYMLINK else entry.size
            if self.entries > self._most_entries:
                raise TarError(f"more than the {self._most_entries} entries that are allowed")
            if self.bytes > self._most_bytes:
                raise TarError(f"more than the {self._most_bytes} bytes that are allowed")
            self._place(entry, reader)
        for path in sorted(self._directories, reverse=True):
            self._finish_directory(path, self._directories[path])

    def opaque(self) -> list[bytes]:
        """The directories that hide what lower layers have in their place, absolute within the root."""
        return [path for path in sorted(self._opaque) if _is_directory(path)]

    def _place(self, entry: Entry, reader: TarReader) -> None:
        if self._owner is not None:
            entry.uid, entry.gid = self._owner
        parts = [part for part in entry.name.split(b"/") if part not in (b"", b".")]
        if b".." in parts:
            raise TarError(f"{_show(entry.name)}: a name with '..' in it")
        path = b"/" + b"/".join(parts)
        if not parts:
            if entry.kind == DIRECTORY:
                self._describe(b"/", entry)
            return
        parent = path[: -len(parts[-1]) - 1] or b"/"
        self._make_parents(parent)
        if self._layer and parts[-1].startswith(WHITEOUT):
            self._whiteout(parent, parts[-1])
            return
        self._make(path, entry, reader)

    def _make(self, path: bytes, entry: Entry, reader: TarReader) -> None:
        kind = entry.kind
        if self._keep:
            self._check_kept(path, entry)
        if kind == DIRECTORY:
            self._make_directory(path, entry)
            return
        if kind == HARD_LINK:
            self._link(path, _inside(entry.link))
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

    def _check_kept(self, path: bytes, entry: Entry) -> None:
        try:
            found = os.lstat(path)
        except FileNotFoundError:
            return
        if stat.S_ISDIR(found.st_mode) and entry.kind != DIRECTORY:
            raise TarError(f"cannot overwrite directory {_show(path)} with non-directory {_show(entry.name)}")
        if not stat.S_ISDIR(found.st_mode) and entry.kind == DIRECTORY:
            raise TarError(f"cannot overwrite non-directory {_show(path)} with directory {_show(entry.name)}")

    def _make_file(self, path: bytes, entry: Entry, reader: TarReader) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            descriptor = os.open(path, flags, 0o600)
        except FileExistsError:
            # The last entry of a name is the one that counts.
            self._clear(path)
            descriptor = os.open(path, flags, 0o600)
        try:
            if entry.sparse:
                _write_sparse(descriptor, entry, reader)
            else:
                reader.copy_to(descriptor)
            # Changing the owner clears setuid and file capabilities, so it comes before mode and attributes.
            os.fchown(descriptor, entry.uid, entry.gid)
            os.fchmod(descriptor, entry.mode)
            if entry.xattrs:
                _set_xattrs(path, entry)
            os.utime(descriptor, ns=(entry.mtime, entry.mtime))
        finally:
            os.close(descriptor)

    def _link(self, path: bytes, source: bytes) -> None:
        if path == source:
            return  # tar writes that for a file that is named twice on its command line
        try:
            found = os.lstat(source)
        except (FileNotFoundError, NotADirectoryError):
            raise TarError(f"{_show(path)}: a hard link to {_show(source)}, which is not in this layer") from None
        if stat.S_ISDIR(found.st_mode):
            raise TarError(f"{_show(path)}: a hard link to {_show(source)}, which is a directory")
        self._clear(path)
        try:
            os.link(source, path, follow_symlinks=False)
        except FileNotFoundError:
            raise TarError(f"{_show(path)}: a hard link to {_show(source)}, which it has replaced") from None

    def _make_directory(self, path: bytes, entry: Entry) -> None:
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:
            found = os.lstat(path)
            if not stat.S_ISDIR(found.st_mode):
                self._clear(path)
                os.mkdir(path, 0o700)
                if self._layer and _is_whiteout(found):
                    # Removed below and made anew here: what the lower layers had in it stays hidden.
                    self._opaque.add(path)
        self._parents.add(path)
        self._describe(path, entry)

    def _describe(self, path: bytes, entry: Entry) -> None:
        self._directories[path] = (entry.mode, entry.uid, entry.gid, entry.mtime)
        if entry.xattrs:
            _set_xattrs(path, entry)

    def _finish_directory(self, path: bytes, described: tuple[int, int, int, int]) -> None:
        if not _is_directory(path):
            return
        mode, uid, gid, mtime = described
        os.chown(path, uid, gid, follow_symlinks=False)
        os.chmod(path, mode)
        os.utime(path, ns=(mtime, mtime))

    def _make_parents(self, path: bytes) -> None:
        """Directories that the archive forgot to name get mode 755. A link on the way is followed, inside the root."""
        missing = []
        while path not in self._parents:
            missing.append(path)
            path = path.rpartition(b"/")[0] or b"/"
        for parent in reversed(missing):
            try:
                os.mkdir(parent, 0o755)
            except FileExistsError:
                self._accept_parent(parent)
            self._parents.add(parent)

    def _accept_parent(self, path: bytes) -> None:
        if self._layer and _is_whiteout(os.lstat(path)):
            self._clear(path)
            os.mkdir(path, 0o755)
            self._opaque.add(path)
            return
        try:
            found = os.stat(path)
        except FileNotFoundError:
            raise TarError(f"{_show(path)} is in the way: a link to nothing in this layer") from None
        if not stat.S_ISDIR(found.st_mode):
            raise TarError(f"{_show(path)} is in the way: it is no directory")

    def _whiteout(self, parent: bytes, name: bytes) -> None:
        """Turn the marks of layers (OCI image-spec, layer.md, "Whiteouts") into those of overlayfs."""
        if name == OPAQUE_WHITEOUT:
            self._opaque.add(parent)
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
            if _is_directory(path):
                self._opaque.add(path)

    def _clear(self, path: bytes) -> None:
        """Make *path* free: what an earlier entry put there goes."""
        try:
            os.unlink(path)
        except FileNotFoundError:
            return
        except IsADirectoryError:
            remove_tree(path)
        if path in self._parents:
            below = path + b"/"
            self._parents = {known for known in self._parents if known != path and not known.startswith(below)}
            self._opaque = {known for known in self._opaque if known != path and not known.startswith(below)}
            for known in [known for known in self._directories if known == path or known.startswith(below)]:
                del self._directories[known]


def confine(directory: str) -> None:
    """Make *directory* this process's root, and take away what restoring files does not need.

    To be called in a mount namespace of the process's own, from which nothing spreads.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard == resource.RLIM_INFINITY or hard > _MOST_MEMORY:
        resource.setrlimit(resource.RLIMIT_DATA, (_MOST_MEMORY, _MOST_MEMORY))
    # A mount of its own for the layer, so that device nodes can be made there but not opened.
    harmless = syscalls.MS_NODEV | syscalls.MS_NOSUID | syscalls.MS_NOEXEC
    syscalls.mount(directory, directory, "", syscalls.MS_BIND)
    if os.statvfs(directory).f_flag & os.ST_RDONLY:
        harmless |= syscalls.MS_RDONLY  # what a container may only read, it does not get written by a way round
    syscalls.mount("", directory, "", syscalls.MS_BIND | syscalls.MS_REMOUNT | harmless)
    os.chroot(directory)
    os.chdir("/")
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


def enter(namespace: str, root: str) -> None:
    """Get a mount namespace of one's own: a copy of the host's, or of a container's, with its root."""
    # From here on files are a stranger's: nothing more may be imported, not even to print a traceback.
    sys.meta_path.clear()
    sys.path.clear()
    syscalls.unshare(syscalls.CLONE_NEWNET | syscalls.CLONE_NEWIPC)
    if namespace != "-":
        syscalls.setns(int(namespace), syscalls.CLONE_NEWNS)
        os.close(int(namespace))
    syscalls.unshare(syscalls.CLONE_NEWNS)
    syscalls.mount("none", "/", "", syscalls.MS_REC | syscalls.MS_PRIVATE)
    if root != "/":
        # A mount of its own: what is later mounted on the root of a process is not found by its name.
        syscalls.mount(root, root, "", syscalls.MS_BIND | syscalls.MS_REC)
        os.chroot(root)
        os.chdir("/")


def main() -> int:
    kind, directory, most_entries, most_bytes, *rest = sys.argv[1:]
    namespace, root, owner, keep = rest or ("-", "/", "-", "0")
    uid, _, gid = owner.partition(":")
    unpacker = Unpacker(
        most_entries=int(most_entries),
        most_bytes=int(most_bytes),
        layer=kind == "layer",
        owner=None if owner == "-" else (int(uid), int(gid)),
        keep=keep == "1",
    )
    try:
        enter(namespace, root)
        confine(directory)
        with open(0, "rb", buffering=1024 * 1024, closefd=False) as stream:
            unpacker.unpack(stream, pipe=0)
        lines = [f"opaque {path.hex()}" for path in unpacker.opaque()]
        lines.append(f"done {unpacker.entries} {unpacker.bytes}")
    except TarError as error:
        lines = [f"refused {_hex(str(error))}"]
    except MemoryError:
        lines = [f"refused {_hex(f'it takes more than the {_MOST_MEMORY} bytes of memory that are allowed')}"]
    except OSError as error:
        where = f"{_show(os.fsencode(error.filename))}: " if error.filename else ""
        lines = [f"failed {error.errno or 0} {_hex(f'{where}{error.strerror}')}"]
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()
    return 0 if lines[-1].startswith("done") else 1


def _inside(link: bytes) -> bytes:
    parts = [part for part in link.split(b"/") if part not in (b"", b".")]
    if b".." in parts or not parts:
        raise TarError(f"a hard link to {_show(link)}")
    return b"/" + b"/".join(parts)


def _write_sparse(descriptor: int, entry: Entry, reader: TarReader) -> None:
    for data in reader.copy():
        if not data.strip(b"\0"):
            os.lseek(descriptor, len(data), os.SEEK_CUR)
            continue
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
    os.ftruncate(descriptor, entry.size)


def _is_whiteout(found: os.stat_result) -> bool:
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == 0


def _is_directory(path: bytes) -> bool:
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def _set_xattrs(path: bytes, entry: Entry) -> None:
    for name, value in entry.xattrs.items():
        if not name.startswith(_XATTRS):
            continue
        try:
            os.setxattr(path, name, value, follow_symlinks=False)
        except OSError as error:
            if error.errno in (errno.EOPNOTSUPP, errno.EPERM) and not name.startswith(b"security."):
                # What this file system, or a link or a device on any, cannot have; Docker leaves it out as well.
                continue
            if error.errno in (errno.E2BIG, errno.ERANGE) or len(value) > _INLINE_XATTR:
                raise TarError(
                    f"{_show(path)}: its attribute {_show(name)} of {len(value)} bytes is too large"
                ) from None
            if error.errno == errno.EINVAL:
                raise TarError(f"{_show(path)}: its attribute {_show(name)} is not valid") from None
            raise


def _hex(text: str) -> str:
    return text.encode(errors="backslashreplace").hex()


def _show(name: bytes) -> str:
    return ascii(name[:200].decode("utf-8", "backslashreplace"))
