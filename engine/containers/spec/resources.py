"""Limits and devices of the OCI runtime specification (OCI runtime-spec, config-linux.md, "Control groups")."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from engine.containers.options import DeviceRate, HostConfig, Resources

DEFAULT_PIDS: Final = 2048
PERIOD: Final = 100_000
"""Microseconds: the kernel's period of CPU quotas where nobody asks for another."""

_MOST_MEMORY: Final = (1 << 63) - 1

_DEVICES: Final = (
    {"allow": False, "access": "rwm"},
    {"allow": True, "type": "c", "major": 1, "minor": 5, "access": "rwm"},  # zero
    {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "rwm"},  # null
    {"allow": True, "type": "c", "major": 1, "minor": 9, "access": "rwm"},  # urandom
    {"allow": True, "type": "c", "major": 1, "minor": 8, "access": "rwm"},  # random
    {"allow": True, "type": "c", "major": 1, "minor": 7, "access": "rwm"},  # full
    {"allow": True, "type": "c", "major": 5, "minor": 0, "access": "rwm"},  # tty
    {"allow": True, "type": "c", "major": 5, "minor": 1, "access": "rwm"},  # console
    {"allow": True, "type": "c", "access": "m"},
    {"allow": True, "type": "b", "access": "m"},
    {"allow": True, "type": "c", "major": 136, "access": "rwm"},  # pts
    {"allow": True, "type": "c", "major": 5, "minor": 2, "access": "rwm"},  # ptmx
)


def resources(host: HostConfig, *, devices: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
    """`linux.resources`; *devices* are the nodes that the container gets beside the usual ones, with their `access`."""
    rules: list[dict[str, Any]] = (
        [{"allow": True, "access": "rwm"}] if host.privileged else [dict(rule) for rule in _DEVICES]
    )
    if not host.privileged:
        rules += [
            {"allow": True, **{key: device[key] for key in ("type", "major", "minor", "access")}} for device in devices
        ]
        rules += [device_rule(rule) for rule in host.device_cgroup_rules]
    pids = DEFAULT_PIDS if host.pids_limit is None else host.pids_limit
    return {"devices": rules, **limits(host), **({"pids": {"limit": pids}} if pids > 0 else {})}


def limits(wanted: Resources) -> dict[str, Any]:
    """Memory, CPU and block I/O: only what is limited."""
    parts = {"memory": _memory(wanted), "cpu": _cpu(wanted), "blockIO": _block_io(wanted)}
    return {name: part for name, part in parts.items() if part}


def device_rule(text: str) -> dict[str, Any]:
    """`c 1:3 rwm` as a rule (cgroup-v1/devices.rst); `ValueError` when it is none."""
    kind, numbers, access = text.split(" ")
    major, minor = numbers.split(":")
    if kind not in "acb" or not access or set(access) - set("rwm"):
        raise ValueError(text)
    rule: dict[str, Any] = {"allow": True, "type": kind, "access": access}
    for name, number in (("major", major), ("minor", minor)):
        if number != "*":
            rule[name] = int(number)
    return rule


def memory_and_swap(wanted: Resources) -> int:
    """Bytes of both together. Docker's rule: without a word about it, swap may be as much again as memory."""
    return wanted.memory_swap or min(wanted.memory * 2, _MOST_MEMORY)


def _memory(wanted: Resources) -> dict[str, Any]:
    values: dict[str, Any] = {
        "limit": wanted.memory,
        "swap": memory_and_swap(wanted),
        "reservation": wanted.memory_reservation,
    }
    found = {name: value for name, value in values.items() if value}
    if wanted.memory_swappiness is not None and wanted.memory_swappiness >= 0:
        found["swappiness"] = wanted.memory_swappiness
    if wanted.oom_kill_disable:
        found["disableOOMKiller"] = True
    return found


def _cpu(wanted: Resources) -> dict[str, Any]:
    values: dict[str, Any] = {
        "shares": wanted.cpu_shares,
        "quota": wanted.cpu_quota,
        "period": wanted.cpu_period,
        "realtimePeriod": wanted.cpu_realtime_period,
        "realtimeRuntime": wanted.cpu_realtime_runtime,
        "cpus": wanted.cpuset_cpus,
        "mems": wanted.cpuset_mems,
    }
    if wanted.nano_cpus:
        values |= {"period": PERIOD, "quota": wanted.nano_cpus * PERIOD // 1_000_000_000}
    return {name: value for name, value in values.items() if value}


def _block_io(wanted: Resources) -> dict[str, Any]:
    values: dict[str, Any] = {
        "weight": wanted.blkio_weight,
        "weightDevice": _rates(wanted.blkio_weight_devices, "weight"),
        "throttleReadBpsDevice": _rates(wanted.blkio_read_bps, "rate"),
        "throttleWriteBpsDevice": _rates(wanted.blkio_write_bps, "rate"),
        "throttleReadIOPSDevice": _rates(wanted.blkio_read_iops, "rate"),
        "throttleWriteIOPSDevice": _rates(wanted.blkio_write_iops, "rate"),
    }
    return {name: value for name, value in values.items() if value}


def _rates(rates: Iterable[DeviceRate], word: str) -> list[dict[str, int]]:
    found = []
    for each in rates:
        number = Path(each.path).stat().st_rdev
        found.append({"major": os.major(number), "minor": os.minor(number), word: each.rate})
    return found


def is_block_device(path: str) -> bool:
    """Whether *path* is a block device of this host."""
    try:
        return stat.S_ISBLK(Path(path).stat().st_mode)
    except OSError:
        return False
