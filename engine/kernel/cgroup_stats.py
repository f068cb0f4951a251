"""What a control group's processes use, read from the kernel's files (Linux: cgroup-v1/*.rst, cgroup-v2.rst).

What a kernel does not tell is 0 or empty: controllers may be missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from engine.kernel import cgroup

TICKS: Final = 100
"""Of the clock in a second, in the files that people read (proc(5)); USER_HZ is 100 everywhere."""
_TICK: Final = 1_000_000_000 // TICKS


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """Bytes or operations of one kind on one block device."""

    major: int
    minor: int
    operation: str
    """`Read`, `Write`, `Sync`, `Async`, `Discard`, `Total` with version 1; `read`, `write` with version 2."""
    value: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """All of a group at one moment. Times are nanoseconds, amounts bytes."""

    cpu_total: int = 0
    cpu_kernel: int = 0
    cpu_user: int = 0
    cpu_each: Sequence[int] = ()
    """Of each CPU; version 1 only."""
    periods: int = 0
    throttled_periods: int = 0
    throttled_time: int = 0
    memory: int = 0
    memory_peak: int = 0
    memory_failures: int = 0
    """Version 1 only."""
    oom_kills: int = 0
    """Processes that the kernel killed for want of memory."""
    memory_limit: int = 0
    """0 is no limit."""
    memory_details: Mapping[str, int] = field(default_factory=dict)
    """The kernel's own words, as in memory.stat."""
    pids: int = 0
    pids_limit: int = 0
    transferred: Sequence[Transfer] = ()
    operations: Sequence[Transfer] = ()


def usage(group: str, root: Path = cgroup.ROOT) -> Usage:
    """What *group* (`parent/name`) uses."""
    return _unified(root / group) if cgroup.version(root) == 2 else _first(root, group)


def pids(group: str, root: Path = cgroup.ROOT) -> list[int]:
    """The processes of *group* and of the groups below it."""
    if cgroup.version(root) == 2:
        top = root / group
    else:
        found = next((name for name in ("pids", "memory", "devices", "cpu") if (root / name / group).is_dir()), "pids")
        top = root / found / group
    numbers: set[int] = set()
    for file in [top / "cgroup.procs", *top.glob("*/**/cgroup.procs")]:
        numbers.update(int(line) for line in _text(file).split())
    return sorted(numbers)


def system_cpu_time(stat: Path = Path("/proc/stat")) -> int:
    """Nanoseconds that all CPUs of the host have run or idled, as Docker counts them: without guests and steal."""
    for line in _text(stat).splitlines():
        words = line.split()
        if words and words[0] == "cpu":
            return sum(int(word) for word in words[1:8]) * _TICK
    return 0


def memory_of_host(meminfo: Path = Path("/proc/meminfo")) -> int:
    """Bytes."""
    for line in _text(meminfo).splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024
    return 0


def interfaces(pid: int, proc: Path = Path("/proc")) -> Mapping[str, Sequence[int]]:
    """The counters of each interface that the process *pid* sees, but for lo (proc(5), `/proc/pid/net/dev`).

    Received: bytes, packets, errors, dropped, …; sent from the ninth on. Empty when it is gone.
    """
    found = {}
    for line in _text(proc / str(pid) / "net/dev").splitlines()[2:]:
        name, _, rest = line.partition(":")
        if name.strip() != "lo":
            found[name.strip()] = [int(word) for word in rest.split()]
    return found


def _first(root: Path, group: str) -> Usage:
    cpuacct, cpu = root / "cpuacct" / group, root / "cpu" / group
    memory, blkio, tasks = root / "memory" / group, root / "blkio" / group, root / "pids" / group
    ticks, throttling = _pairs(cpuacct / "cpuacct.stat"), _pairs(cpu / "cpu.stat")
    limit = _number(memory / "memory.limit_in_bytes")
    return Usage(
        cpu_total=_number(cpuacct / "cpuacct.usage"),
        cpu_kernel=ticks.get("system", 0) * _TICK,
        cpu_user=ticks.get("user", 0) * _TICK,
        cpu_each=[int(word) for word in _text(cpuacct / "cpuacct.usage_percpu").split()],
        periods=throttling.get("nr_periods", 0),
        throttled_periods=throttling.get("nr_throttled", 0),
        throttled_time=throttling.get("throttled_time", 0),
        memory=_number(memory / "memory.usage_in_bytes"),
        memory_peak=_number(memory / "memory.max_usage_in_bytes"),
        memory_failures=_number(memory / "memory.failcnt"),
        oom_kills=_pairs(memory / "memory.oom_control").get("oom_kill", 0),
        memory_limit=limit if limit < _UNLIMITED else 0,
        memory_details=_pairs(memory / "memory.stat"),
        pids=_number(tasks / "pids.current"),
        pids_limit=_number(tasks / "pids.max"),
        transferred=_first_transfers(
            blkio, "blkio.bfq.io_service_bytes_recursive", "blkio.throttle.io_service_bytes_recursive"
        ),
        operations=_first_transfers(blkio, "blkio.bfq.io_serviced_recursive", "blkio.throttle.io_serviced_recursive"),
    )


_UNLIMITED: Final = 1 << 62


def _first_transfers(directory: Path, *names: str) -> list[Transfer]:
    """From the first of the files that tells anything: which one does depends on the device's scheduler."""
    for name in names:
        found = []
        for line in _text(directory / name).splitlines():
            words = line.split()
            if len(words) == 3 and words[2].isdecimal():
                major, _, minor = words[0].partition(":")
                found.append(Transfer(major=int(major), minor=int(minor), operation=words[1], value=int(words[2])))
        if found:
            return found
    return []


def _unified(directory: Path) -> Usage:
    cpu = _pairs(directory / "cpu.stat")
    transferred: list[Transfer] = []
    operations: list[Transfer] = []
    for line in _text(directory / "io.stat").splitlines():
        device, *words = line.split()
        major, _, minor = device.partition(":")
        values = dict(word.split("=", 1) for word in words if "=" in word)
        for key, word, rows in (
            ("rbytes", "read", transferred),
            ("wbytes", "write", transferred),
            ("rios", "read", operations),
            ("wios", "write", operations),
        ):
            if key in values:
                rows.append(Transfer(major=int(major), minor=int(minor), operation=word, value=int(values[key])))
    return Usage(
        cpu_total=cpu.get("usage_usec", 0) * 1000,
        cpu_kernel=cpu.get("system_usec", 0) * 1000,
        cpu_user=cpu.get("user_usec", 0) * 1000,
        periods=cpu.get("nr_periods", 0),
        throttled_periods=cpu.get("nr_throttled", 0),
        throttled_time=cpu.get("throttled_usec", 0) * 1000,
        memory=_number(directory / "memory.current"),
        memory_peak=_number(directory / "memory.peak"),
        oom_kills=_pairs(directory / "memory.events").get("oom_kill", 0),
        memory_limit=_number(directory / "memory.max"),
        memory_details=_pairs(directory / "memory.stat"),
        pids=_number(directory / "pids.current"),
        pids_limit=_number(directory / "pids.max"),
        transferred=transferred,
        operations=operations,
    )


def _number(path: Path) -> int:
    text = _text(path).strip()
    return int(text) if text.isdecimal() else 0


def _pairs(path: Path) -> dict[str, int]:
    pairs = (line.split() for line in _text(path).splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdecimal()}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except OSError:
        return ""
