"""Control groups as a host of version 1 has them, for a program that refuses a hybrid one."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engine.kernel import cgroup, mounts, netns, syscalls
from engine.kernel.aside import aside

_FLAGS = syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC
_PROGRAMS_NEED: Final = ("/proc", "/dev", "/sys", "/etc", "/usr", "/bin", "/sbin", "/lib", "/lib64")


def is_hybrid(root: Path = cgroup.ROOT) -> bool:
    """Whether the tree of version 2 is mounted beside the controllers of version 1 (cgroups(7), "hybrid")."""
    return cgroup.version(root) == 1 and (root / "unified" / "cgroup.procs").is_file()


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A mount namespace in which control groups look as on a host of version 1."""

    namespace: Path
    """For nsenter(1)."""
    program: Path
    """Where the program is in it."""
    make: Callable[[], None]
    """To be called before the namespace is entered, and once."""


@contextmanager
def version_1(program: Path, root: Path = cgroup.ROOT) -> Iterator[View]:
    """A mount namespace like this one, but without version 2's tree. Its path is known before it is there.

    It is a copy of the moment of `View.make`, and goes soon after the block unless a process is in it: for programs
    that end soon. One that stays would keep every mount of today. *program* is there read-only: what would copy itself
    first, so that no container can write to it (CVE-2019-5736), sees that it need not.
    """
    descriptor = os.open("/dev/null", os.O_PATH | os.O_CLOEXEC)  # keeps the number for the namespace

    def make() -> None:
        copy = netns.on_a_thread(lambda: _enter_copy(root, program))
        os.dup2(copy, descriptor, inheritable=False)
        os.close(copy)

    try:
        yield View(namespace=Path(f"/proc/{os.getpid()}/fd/{descriptor}"), program=root / program.name, make=make)
    finally:
        aside(lambda: os.close(descriptor))  # the kernel waits until nobody looks at the mounts any more, half a ms


class KeptView:
    """Such a namespace for many calls of *program*: it holds what that needs to run, the control groups and *place*.

    Nothing else is mounted in it, so it keeps no disk of the host busy, and neither it nor a copy of it grows with the
    containers that run. Any thread may ask for it.
    """

    def __init__(self, program: Path, *, place: Path) -> None:
        self._program = program
        self._place = place
        self._lock = threading.Lock()
        self._descriptors: list[int] = []
        self._made_for: tuple[int, int] | None = None

    def view(self) -> View:
        """The namespace, which is there: `View.make` does nothing.

        It is made by the first call, and anew when an upgrade has put another file in the program's place.
        """
        with self._lock:
            found = self._program.stat()
            if (identity := (found.st_dev, found.st_ino)) != self._made_for:
                # An earlier one may be on its way to a process, so it stays.
                self._descriptors.append(netns.on_a_thread(self._enter))
                self._made_for = identity
            namespace = Path(f"/proc/{os.getpid()}/fd/{self._descriptors[-1]}")
        return View(namespace=namespace, program=cgroup.ROOT / self._program.name, make=_nothing)

    def close(self) -> None:
        with self._lock:
            self._made_for = None
            while self._descriptors:
                os.close(self._descriptors.pop())

    def _enter(self) -> int:
        return _enter_copy(cgroup.ROOT, self._program, only=(self._place, self._program, *map(Path, _PROGRAMS_NEED)))


def _enter_copy(root: Path, program: Path, *, only: Iterable[Path] = ()) -> int:
    """The calling thread's new namespace; of the other mounts it has all, or those that hold the places of *only*."""
    syscalls.unshare(syscalls.CLONE_NEWNS)
    if only:
        syscalls.mount("", "/", "", syscalls.MS_REC | syscalls.MS_PRIVATE)
        _leave((*(entry for entry in root.iterdir() if entry.name != "unified"), *only))
    # This one mount alone: what is mounted on it stays here, all others are passed on as they were.
    syscalls.mount("", str(root), "", syscalls.MS_PRIVATE)
    links = {entry.name: entry.readlink() for entry in root.iterdir() if entry.is_symlink()}
    hierarchies = {
        entry.name: os.open(entry, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        for entry in root.iterdir()
        if entry.is_dir() and not entry.is_symlink() and entry.name != "unified"
    }
    try:
        syscalls.mount("tmpfs", str(root), "tmpfs", _FLAGS, "mode=755")
        for name, hierarchy in hierarchies.items():
            place = root / name
            place.mkdir()
            syscalls.mount(f"/proc/self/fd/{hierarchy}", str(place), "", syscalls.MS_BIND)
        for name, target in links.items():
            (root / name).symlink_to(target)
        _show_read_only(program, root / program.name)
        syscalls.mount("", str(root), "", syscalls.MS_REMOUNT | syscalls.MS_BIND | syscalls.MS_RDONLY | _FLAGS)
    finally:
        for hierarchy in hierarchies.values():
            os.close(hierarchy)
    return os.open("/proc/thread-self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)


def _nothing() -> None:
    pass


def _leave(places: Iterable[Path]) -> None:
    """Unmount what is not at one of *places*, nor above one."""
    found = [place.resolve() for place in places]
    kept = {str(each) for place in found for each in (place, *place.parents)}
    for mount in mounts.mount_table(Path("/proc/thread-self/mountinfo")):
        if mount.target not in kept:
            mounts.unmount(Path(mount.target))  # with all that is mounted below it


def _show_read_only(program: Path, place: Path) -> None:
    place.touch()
    syscalls.mount(str(program), str(place), "", syscalls.MS_BIND)
    flags = syscalls.MS_REMOUNT | syscalls.MS_BIND | syscalls.MS_RDONLY | syscalls.MS_NOSUID | syscalls.MS_NODEV
    syscalls.mount("", str(place), "", flags)
