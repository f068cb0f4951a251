"""Limits in a container's body (Docker Engine API, `Resources`), for creation and for update."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from engine.api.fields import Fields
from engine.containers.options import DeviceRate, Resources
from engine.containers.spec.resources import memory_and_swap
from engine.errors import InvalidParameter

_AMOUNTS: Final = {
    "memory": "Memory",
    "memory_reservation": "MemoryReservation",
    "nano_cpus": "NanoCpus",
    "cpu_shares": "CpuShares",
    "cpu_period": "CpuPeriod",
    "cpu_realtime_period": "CpuRealtimePeriod",
    "cpu_realtime_runtime": "CpuRealtimeRuntime",
    "blkio_weight": "BlkioWeight",
}
_NUMBERS: Final = {"memory_swap": "MemorySwap", "cpu_quota": "CpuQuota"}
_TEXTS: Final = {"cpuset_cpus": "CpusetCpus", "cpuset_mems": "CpusetMems"}
_RATES: Final = {
    "blkio_weight_devices": ("BlkioWeightDevice", "Weight"),
    "blkio_read_bps": ("BlkioDeviceReadBps", "Rate"),
    "blkio_write_bps": ("BlkioDeviceWriteBps", "Rate"),
    "blkio_read_iops": ("BlkioDeviceReadIOps", "Rate"),
    "blkio_write_iops": ("BlkioDeviceWriteIOps", "Rate"),
}
_MOST_DEVICES: Final = 256


def parse(host: Fields) -> Mapping[str, Any]:
    """The limits that *host* sets, by their names in `Resources`; what says nothing is left out.

    `InvalidParameter` names the field.
    """
    found: dict[str, Any] = {name: not_negative(host, field) for name, field in _AMOUNTS.items()}
    found |= {name: host.integer(field) for name, field in _NUMBERS.items()}
    found |= {name: host.text(field) for name, field in _TEXTS.items()}
    found |= {name: _rates(host, *words) for name, words in _RATES.items()}
    found["oom_kill_disable"] = host.flag("OomKillDisable")
    swappiness = host.optional_integer("MemorySwappiness")
    found["memory_swappiness"] = None if swappiness == -1 else swappiness
    found["pids_limit"] = host.optional_integer("PidsLimit") or None
    return {name: value for name, value in found.items() if value is not None and value not in (0, "", (), False)} | (
        {"memory_swappiness": 0} if swappiness == 0 else {}
    )


def document(wanted: Resources) -> dict[str, Any]:
    """Limits under the API's names, for inspect. Rates of devices where there are any: none can be said as `[]` or as
    `null`, and inspect gives back which it was.
    """
    names = {**_AMOUNTS, **_NUMBERS, **_TEXTS, "oom_kill_disable": "OomKillDisable"}
    names |= {"memory_swappiness": "MemorySwappiness", "pids_limit": "PidsLimit"}
    told = {field: getattr(wanted, name) for name, field in names.items()}
    for name, (field, word) in _RATES.items():
        if rates := getattr(wanted, name):
            told[field] = [{"Path": each.path, word: each.rate} for each in rates]
    return told | {"MemorySwap": memory_and_swap(wanted)}


def not_negative(host: Fields, name: str) -> int:
    value = host.integer(name)
    if value < 0:
        raise InvalidParameter(f"{host.path or 'HostConfig'}.{name}: must not be negative, got {value}")
    return value


def _rates(host: Fields, field: str, word: str) -> tuple[DeviceRate, ...]:
    rows = host.objects(field)
    if len(rows) > _MOST_DEVICES:
        raise InvalidParameter(f"HostConfig.{field}: at most {_MOST_DEVICES} devices")
    return tuple(DeviceRate(path=row.text("Path"), rate=row.integer(word)) for row in rows)
