"""Limits of a container: whether they go together, and which of them this host can enforce."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from typing import Any, Final

from engine.containers.options import HostConfig, Resources
from engine.containers.spec.resources import is_block_device
from engine.errors import InvalidParameter
from engine.kernel import cgroup

LEAST_MEMORY: Final = 6 * 1024 * 1024
_CPU_LIST: Final = re.compile(r"\d{1,5}(-\d{1,5})?(,\d{1,5}(-\d{1,5})?)*")
_WEIGHT: Final = range(10, 1001)
_SHARES: Final = range(2, 262145)
"""What the kernel takes (`MIN_SHARES` and `MAX_SHARES` in kernel/sched/sched.h); the runtime fails beyond."""
_LEAST_CPU: Final = 10_000_000
"""Billionths of a CPU: 1 ms of each 100, the shortest quota that the kernel takes."""

_NEEDS: Final[dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]]] = {
    # Field: controller, its files in version 1, its files in version 2 (none: version 2 has no such thing)
    "memory": ("memory", ("memory.limit_in_bytes",), ("memory.max",)),
    "memory_swap": ("memory", ("memory.memsw.limit_in_bytes",), ("memory.swap.max",)),
    "memory_reservation": ("memory", ("memory.soft_limit_in_bytes",), ("memory.low",)),
    "memory_swappiness": ("memory", ("memory.swappiness",), ()),
    "oom_kill_disable": ("memory", ("memory.oom_control",), ()),
    "nano_cpus": ("cpu", ("cpu.cfs_quota_us",), ("cpu.max",)),
    "cpu_quota": ("cpu", ("cpu.cfs_quota_us",), ("cpu.max",)),
    "cpu_period": ("cpu", ("cpu.cfs_period_us",), ("cpu.max",)),
    "cpu_shares": ("cpu", ("cpu.shares",), ("cpu.weight",)),
    "cpu_realtime_period": ("cpu", ("cpu.rt_period_us",), ()),
    "cpu_realtime_runtime": ("cpu", ("cpu.rt_runtime_us",), ()),
    "cpuset_cpus": ("cpuset", ("cpuset.cpus",), ("cpuset.cpus",)),
    "cpuset_mems": ("cpuset", ("cpuset.mems",), ("cpuset.mems",)),
    "pids_limit": ("pids", ("pids.max",), ("pids.max",)),
    # Version 1 has `blkio.bfq.weight` as well, which crun 1.8 does not know: the start would fail.
    "blkio_weight": ("blkio", ("blkio.weight",), ("io.weight", "io.bfq.weight")),
    "blkio_weight_devices": ("blkio", ("blkio.weight_device",), ("io.weight", "io.bfq.weight")),
    "blkio_read_bps": ("blkio", ("blkio.throttle.read_bps_device",), ("io.max",)),
    "blkio_write_bps": ("blkio", ("blkio.throttle.write_bps_device",), ("io.max",)),
    "blkio_read_iops": ("blkio", ("blkio.throttle.read_iops_device",), ("io.max",)),
    "blkio_write_iops": ("blkio", ("blkio.throttle.write_iops_device",), ("io.max",)),
}

_WORDS: Final = {
    "blkio_weight": ("Block I/O weight", "Weight"),
    "blkio_weight_devices": ("Block I/O weight_device", "Weight-device"),
}
"""What is missing and what is lost with it, in Docker's words where clients may know them."""


def check_limits(wanted: Resources) -> None:
    """`InvalidParameter`, in Docker's words where clients know them, for limits that cannot be meant."""
    if wanted.memory and wanted.memory < LEAST_MEMORY:
        raise InvalidParameter("Memory: Minimum memory limit allowed is 6MB")
    if wanted.memory_swap > 0 and not wanted.memory:
        raise InvalidParameter(
            "MemorySwap: You should always set the Memory limit when using Memoryswap limit, see usage"
        )
    if 0 < wanted.memory_swap < wanted.memory:
        raise InvalidParameter("MemorySwap: Minimum memoryswap limit should be larger than memory limit, see usage")
    if wanted.memory_swap < -1:
        raise InvalidParameter(f"MemorySwap: must be -1 (no limit), 0 or bytes, got {wanted.memory_swap}")
    if wanted.memory_reservation and wanted.memory_reservation < LEAST_MEMORY:
        raise InvalidParameter("MemoryReservation: Minimum memory reservation allowed is 6MB")
    if wanted.memory and wanted.memory < wanted.memory_reservation:
        raise InvalidParameter(
            "Memory, MemoryReservation: Minimum memory limit can not be less than memory reservation limit, see usage"
        )
    if wanted.memory_swappiness is not None and not -1 <= wanted.memory_swappiness <= 100:
        raise InvalidParameter(
            f"MemorySwappiness: Invalid value: {wanted.memory_swappiness}, valid memory swappiness range is 0-100"
        )
    _check_cpu(wanted)
    _check_block_io(wanted)


def supported(host: HostConfig) -> tuple[HostConfig, list[str]]:
    """*host* without the limits that this kernel does not have, and a warning for each of them."""
    warnings: list[str] = []
    changes: dict[str, Any] = {}
    plain = {each.name: each.default for each in fields(HostConfig)}
    for name, (controller, first, second) in _NEEDS.items():
        if getattr(host, name) in (plain[name], -1):
            continue
        files = second if cgroup.version() == 2 else first
        if not any(cgroup.has_file(controller, file) for file in files):
            changes[name] = plain[name]
            what, lost = _WORDS.get(name, (f"{name.replace('_', ' ')} limits", "Limit"))
            warnings.append(f"Your kernel does not support {what} or the cgroup is not mounted. {lost} discarded.")
    if host.oom_kill_disable and not host.memory:
        warnings.append(
            "OOM killer is disabled for the container, but no memory limit is set, this can result in the system "
            "running out of resources."
        )
    return replace(host, **changes), warnings


def _check_cpu(wanted: Resources) -> None:
    for word, value in (("Period", wanted.cpu_period), ("Quota", wanted.cpu_quota)):
        if wanted.nano_cpus and value:
            raise InvalidParameter(
                f"NanoCpus, Cpu{word}: Conflicting options: Nano CPUs and CPU {word} cannot both be set"
            )
    cpus = cgroup.online_cpus()
    if wanted.nano_cpus and not _LEAST_CPU <= wanted.nano_cpus <= cpus * 1_000_000_000:
        raise InvalidParameter(
            f"NanoCpus: Range of CPUs is from 0.01 to {cpus}.00, as there are only {cpus} CPUs available"
        )
    if wanted.cpu_period and not 1000 <= wanted.cpu_period <= 1_000_000:
        raise InvalidParameter(
            "CpuPeriod: CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)"
        )
    if wanted.cpu_shares and wanted.cpu_shares not in _SHARES:
        raise InvalidParameter(f"CpuShares: from 2 to 262144, got {wanted.cpu_shares}")
    if 0 < wanted.cpu_quota < 1000:
        raise InvalidParameter("CpuQuota: CPU cfs quota can not be less than 1ms (i.e. 1000)")
    for field, text in (("CpusetCpus", wanted.cpuset_cpus), ("CpusetMems", wanted.cpuset_mems)):
        if text and not _CPU_LIST.fullmatch(text):
            name = f"cpuset {field[-4:].lower()}"
            raise InvalidParameter(f"{field}: Invalid value {text[:60]} for {name}: invalid format: {text[:60]}")
    for field, name, text, available in (
        ("CpusetCpus", "CPUs", wanted.cpuset_cpus, f"0-{cgroup.configured_cpus() - 1}"),
        ("CpusetMems", "memory nodes", wanted.cpuset_mems, cgroup.memory_nodes()),
    ):
        if _highest(text) > _highest(available):
            raise InvalidParameter(
                f"{field}: Requested {name} are not available - requested {text[:60]}, available: {available}"
            )
    if wanted.cpu_realtime_period and wanted.cpu_realtime_runtime > wanted.cpu_realtime_period:
        raise InvalidParameter("CpuRealtimeRuntime: cpu real-time runtime cannot be higher than cpu real-time period")


def _highest(numbers: str) -> int:
    """The highest number of a list such as `0,2-3`; 0 of an empty one."""
    return max((int(number) for number in re.findall(r"\d+", numbers)), default=0)


def _check_block_io(wanted: Resources) -> None:
    if wanted.blkio_weight and wanted.blkio_weight not in _WEIGHT:
        raise InvalidParameter("BlkioWeight: Range of blkio weight is from 10 to 1000")
    for field, rows in (
        ("BlkioWeightDevice", wanted.blkio_weight_devices),
        ("BlkioDeviceReadBps", wanted.blkio_read_bps),
        ("BlkioDeviceWriteBps", wanted.blkio_write_bps),
        ("BlkioDeviceReadIOps", wanted.blkio_read_iops),
        ("BlkioDeviceWriteIOps", wanted.blkio_write_iops),
    ):
        for each in rows:
            if field == "BlkioWeightDevice" and each.rate not in _WEIGHT:
                raise InvalidParameter(f"{field}: Range of blkio weight is from 10 to 1000")
            if each.rate < 0:
                raise InvalidParameter(f"{field}: {each.path[:100]}: a rate must not be negative, got {each.rate}")
            if not is_block_device(each.path):
                raise InvalidParameter(f"{field}: {each.path[:200]} is not a block device of this host")
