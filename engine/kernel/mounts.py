"""The mount table, and mounting with the care that a container's files need."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from engine.kernel import syscalls

_ESCAPE = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Mount:
    """A line of /proc/self/mountinfo (proc_pid_mountinfo(5))."""

    target: str
    root: str
    """What of the file system is mounted, as a path in it."""
    kind: str
    source: str
    options: str
    """Those of the super block."""


def mount_table(path: Path = Path("/proc/self/mountinfo")) -> list[Mount]:
    """Every mount of this process's mount namespace, in the order in which they were made."""
    mounts = []
    for line in path.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        left, _, right = line.partition(" - ")
        fields, kind_source_options = left.split(" "), right.split(" ")
        mounts.append(
            Mount(
                target=_unescape(fields[4]),
                root=_unescape(fields[3]),
                kind=kind_source_options[0],
                source=_unescape(kind_source_options[1]),
                options=kind_source_options[2] if len(kind_source_options) > 2 else "",
            )
        )
    return mounts


def kind_at(path: Path) -> str:
    """The kind of the file system that *path* is on: `ext4`, `tmpfs`, … The path is taken as it is written."""
    above = [each for each in mount_table() if f"{path}/".startswith(f"{each.target.rstrip('/')}/")]
    # Of those at one place the last one covers the others.
    return max(enumerate(above), key=lambda found: (len(found[1].target), found[0]))[1].kind if above else ""


def mounts_below(directory: Path) -> list[str]:
    """The targets at or below *directory*, deepest first: the order in which they can be unmounted."""
    prefix = f"{directory}/"
    targets = [mount.target for mount in mount_table() if f"{mount.target}/".startswith(prefix)]
    return sorted(targets, key=lambda target: target.count("/"), reverse=True)


def unmount(target: Path) -> None:
    """Take the topmost mount off *target*; nothing happens where nothing is mounted.

    Detached rather than refused when it is busy: whoever still has a file open keeps it, and the path is free.
    """
    try:
        syscalls.umount(str(target), syscalls.UMOUNT_NOFOLLOW | syscalls.MNT_DETACH)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOENT):
            raise


@contextmanager
def mounted(source: str, target: Path, kind: str, *, flags: int = 0, data: str = "") -> Iterator[Path]:
    """A mount for as long as the block runs."""
    syscalls.mount(source, str(target), kind, flags, data)
    try:
        yield target
    finally:
        unmount(target)


def bind(source: Path, target: Path, *, read_only: bool = False) -> None:
    """Mount *source* at *target* as well, with what is mounted below it."""
    syscalls.mount(str(source), str(target), "", syscalls.MS_BIND | syscalls.MS_REC)
    if read_only:
        try:
            syscalls.mount("", str(target), "", syscalls.MS_BIND | syscalls.MS_REMOUNT | syscalls.MS_RDONLY)
        except OSError:
            unmount(target)
            raise


def _unescape(text: str) -> str:
    if "\\" not in text:
        return text
    return _ESCAPE.sub(lambda match: chr(int(match[1], 8)), text)
