"""Control groups (cgroups(7)): which kind this host has, and what is left of a container's."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Collection, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Final

from engine.kernel.aside import aside
from engine.kernel.process import Process

ROOT = Path("/sys/fs/cgroup")
_DYING: Final = 5.0


@lru_cache(maxsize=1)
def version(root: Path = ROOT) -> int:
    """2 where the host has only the unified hierarchy, else 1: a hybrid host keeps its controllers in version 1."""
    return 2 if (root / "cgroup.controllers").is_file() else 1


def controllers(root: Path = ROOT) -> frozenset[str]:
    """The controllers that this host offers, by their version 1 names."""
    if version(root) == 2:
        return frozenset((root / "cgroup.controllers").read_text(encoding="ascii").split())
    return frozenset(entry.name for entry in root.iterdir() if (entry / "cgroup.procs").is_file())


def leftovers(parent: str, root: Path = ROOT) -> Iterator[Path]:
    """The groups below *parent*, in every hierarchy, deepest first."""
    for top in tops(parent, root):
        yield from _below(top)


def _below(group: Path) -> list[Path]:
    return sorted((entry for entry in group.rglob("*") if entry.is_dir()), reverse=True)


def tops(parent: str, root: Path = ROOT) -> list[Path]:
    """The group *parent* in every hierarchy that has it."""
    hierarchies = [root] if version(root) == 2 else [entry for entry in root.iterdir() if entry.is_dir()]
    return [hierarchy / parent for hierarchy in hierarchies if (hierarchy / parent).is_dir()]


def remove(group: Path) -> None:
    """Remove an empty group; one that still has processes stays."""
    with contextlib.suppress(OSError):
        group.rmdir()


def clear(group: str, root: Path = ROOT) -> None:
    """Kill the processes that are left in *group* and below it, and remove it from every hierarchy.

    What does not die within some seconds, such as a process in an uninterruptible sleep, stays, and its groups do.
    """
    for top in tops(group, root):
        for each in (*_below(top), top):
            end(each, root)


def end(group: Path, root: Path = ROOT) -> None:
    """Kill the processes that are left in one group of one hierarchy, and remove it; as `clear` does."""
    # What version 1 has frozen does not die; version 2 has no such file.
    freezer = root.joinpath("freezer", *group.relative_to(root).parts[1:], "freezer.state")
    with contextlib.suppress(OSError):
        freezer.write_text("THAWED", encoding="ascii")
    deadline = time.monotonic() + _DYING
    while (members := _members(group)) and time.monotonic() < deadline:
        _kill(members, group)
        time.sleep(0.005)
    remove(group)


def _kill(pids: Collection[int], group: Path) -> None:
    found = []
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            found.append(Process.of(pid))
    # Each is known with its start time now: one whose pid is a member's still is not somebody else with that pid.
    still = _members(group)
    for process in found:
        if process.pid in still:
            process.send(signal.SIGKILL)


def _members(group: Path) -> frozenset[int]:
    """The pids in *group*, without those of processes that this namespace does not see: they are told as 0."""
    try:
        return frozenset(map(int, (group / "cgroup.procs").read_text(encoding="ascii").split())) - {0}
    except OSError:
        return frozenset()


def frozen(group: str, root: Path = ROOT) -> bool:
    """Whether the processes of *group* stand still (cgroup-v1/freezer-subsystem.rst, cgroup-v2.rst)."""
    second = version(root) == 2
    file = root / group / "cgroup.freeze" if second else root / "freezer" / group / "freezer.state"
    try:
        return file.read_text(encoding="ascii").strip() not in ("0", "THAWED")
    except OSError:
        return False


@lru_cache(maxsize=256)
def has_file(controller: str, name: str, root: Path = ROOT) -> bool:
    """Whether groups below the root have the file *name* of *controller*: the root itself lacks some."""
    top = root if version(root) == 2 else root / controller
    if (top / name).exists():
        return True
    return any((entry / name).exists() for entry in top.iterdir() if entry.is_dir()) if top.is_dir() else False


_joining = threading.Lock()


def expect_join() -> None:
    """Let the kernel get ready, meanwhile, for a process that joins a group soon.

    Who joins a group takes a lock that readers hold by RCU (kernel/cgroup/cgroup.c, `cgroup_threadgroup_rwsem`). The
    first to do so waits for a grace period, about 10 ms; for some 20 ms afterwards there is no wait. Joining the group
    that one is in already takes that wait, on a thread, while something else goes on.
    """
    if _joining.acquire(blocking=False):  # one that is under way does for this one as well
        aside(_join_own_group)


def _join_own_group() -> None:
    try:
        with contextlib.suppress(OSError):  # only time is lost
            _own_group().write_text(str(os.getpid()), encoding="ascii")
    finally:
        _joining.release()


@lru_cache(maxsize=1)
def _own_group() -> Path:
    """The `cgroup.procs` of the group of this process in some hierarchy (cgroups(7), /proc/pid/cgroup)."""
    _, controllers, group = Path("/proc/self/cgroup").read_text(encoding="ascii").splitlines()[0].split(":", 2)
    return ROOT / controllers.removeprefix("name=") / group.lstrip("/") / "cgroup.procs"


def online_cpus() -> int:
    return os.sysconf("SC_NPROCESSORS_ONLN")


def memory_nodes() -> str:
    """The nodes that have memory, as a list such as `0-1` (admin-guide/mm/numaperf.rst)."""
    try:
        return Path("/sys/devices/system/node/has_memory").read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return "0"  # a kernel without NUMA


def configured_cpus() -> int:
    return os.sysconf("SC_NPROCESSORS_CONF")
