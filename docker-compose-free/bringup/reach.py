"""How the web side's user reaches the code, even in a clone that only root may enter.

A clone in /root, or under a umask of 077, is closed to the user havre. Nobody's permissions are changed for that: the
web side's processes get a mount namespace of their own, in which an empty directory covers the closed one and holds
only what they need, at the same paths.
"""

from __future__ import annotations

import contextlib
import ctypes
import grp
import os
import pwd
import stat
from collections.abc import Callable, Sequence
from pathlib import Path

CLONE_NEWNS = 0x00020000
MS_BIND, MS_REC, MS_SLAVE, MS_NOSUID, MS_NODEV = 4096, 16384, 1 << 19, 2, 4
PR_SET_PDEATHSIG = 1
SIGTERM = 15


def reachable_by_all(path: Path) -> bool:
    """Whether anybody may walk to *path*."""
    return all(parent.stat().st_mode & stat.S_IXOTH for parent in path.parents)


def become(user: str, group: str, needed: Sequence[Path]) -> Callable[[], None]:
    """What a child process does before it runs its program as *user*: open the way to *needed*, drop every right."""
    uid, gid = pwd.getpwnam(user).pw_uid, grp.getgrnam(group).gr_gid
    groups = sorted({gid, *os.getgrouplist(user, gid)})
    covers = _covers([path for path in needed if path.exists()], uid, groups)
    libc = ctypes.CDLL(None, use_errno=True)

    def prepare() -> None:
        os.umask(0o022)
        if covers:
            directory = Path.cwd()
            _open_the_way(libc, covers)
            os.chdir(directory)
        os.setgroups(groups)
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
        os.umask(0o027)
        end_with_parent()

    return prepare


def end_with_parent() -> None:
    """Ask the kernel for SIGTERM when the supervisor dies; forgotten at a change of user, so call it after that."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, SIGTERM)


def _covers(needed: Sequence[Path], uid: int, groups: Sequence[int]) -> dict[Path, list[Path]]:
    """For each directory that is closed to the user: the paths beneath it that must stay in sight."""
    covers: dict[Path, list[Path]] = {}
    for path in needed:
        closed = next((parent for parent in reversed(path.parents) if not _may_enter(parent, uid, groups)), None)
        if closed:
            covers.setdefault(closed, []).append(path)
    return covers


def _may_enter(directory: Path, uid: int, groups: Sequence[int]) -> bool:
    status = directory.stat()
    if status.st_uid == uid:
        return bool(status.st_mode & stat.S_IXUSR)
    return bool(status.st_mode & (stat.S_IXGRP if status.st_gid in groups else stat.S_IXOTH))


def _open_the_way(libc: ctypes.CDLL, covers: dict[Path, list[Path]]) -> None:
    _check(libc.unshare(CLONE_NEWNS), "unshare")
    _mount(libc, "none", "/", "", MS_REC | MS_SLAVE, "")
    for closed, paths in covers.items():
        held = [(path, path.is_dir(), os.open(path, os.O_PATH)) for path in paths]
        _mount(libc, "tmpfs", str(closed), "tmpfs", MS_NOSUID | MS_NODEV, "mode=711,size=1m")
        for path, is_directory, descriptor in held:
            if is_directory:
                path.mkdir(parents=True, exist_ok=True, mode=0o755)
            else:
                path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
                with contextlib.suppress(FileExistsError):
                    path.touch(exist_ok=False)
            _mount(libc, f"/proc/self/fd/{descriptor}", str(path), "", MS_BIND | MS_REC, "")
            os.close(descriptor)


def _mount(libc: ctypes.CDLL, source: str, target: str, kind: str, flags: int, data: str) -> None:
    _check(libc.mount(source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), data.encode()), target)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)
