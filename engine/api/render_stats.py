"""A container's use of resources, as the API tells it (Docker Engine API, `ContainerStats`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from engine.containers.model import Container
from engine.containers.usage import Sample
from engine.kernel import cgroup
from engine.kernel.cgroup_stats import Transfer
from engine.types import ZERO_TIME, rfc3339

_UNLIMITED_PIDS: Final = 0xFFFFFFFFFFFFFFFF


def stats(container: Container, sample: Sample | None, before: Sample | None, *, memory_of_host: int) -> dict[str, Any]:
    """One answer; *sample* is `None` where the container does not run, *before* where nothing came before."""
    return {
        "name": f"/{container.name}",
        "id": container.id,
        "read": rfc3339(sample.read) if sample else ZERO_TIME,
        "preread": rfc3339(before.read) if before else ZERO_TIME,
        "num_procs": 0,
        "storage_stats": {},
        "pids_stats": _pids(sample),
        "cpu_stats": _cpu(sample),
        "precpu_stats": _cpu(before),
        "memory_stats": _memory(sample, memory_of_host),
        "blkio_stats": _block_io(sample),
        **({"networks": _networks(sample)} if sample and sample.interfaces else {}),
    }


def _pids(sample: Sample | None) -> dict[str, int]:
    if sample is None:
        return {}
    return {"current": sample.usage.pids, "limit": sample.usage.pids_limit or _UNLIMITED_PIDS}


def _cpu(sample: Sample | None) -> dict[str, Any]:
    throttling = {"periods": 0, "throttled_periods": 0, "throttled_time": 0}
    if sample is None:
        usage: dict[str, Any] = {"total_usage": 0, "usage_in_kernelmode": 0, "usage_in_usermode": 0}
        return {"cpu_usage": usage, "throttling_data": throttling}
    found = sample.usage
    usage = {
        "total_usage": found.cpu_total,
        "usage_in_kernelmode": found.cpu_kernel,
        "usage_in_usermode": found.cpu_user,
        **({"percpu_usage": list(found.cpu_each)} if found.cpu_each else {}),
    }
    throttling = {
        "periods": found.periods,
        "throttled_periods": found.throttled_periods,
        "throttled_time": found.throttled_time,
    }
    return {
        "cpu_usage": usage,
        "system_cpu_usage": sample.system_cpu_time,
        "online_cpus": sample.online_cpus,
        "throttling_data": throttling,
    }


def _memory(sample: Sample | None, memory_of_host: int) -> dict[str, Any]:
    if sample is None:
        return {}
    found = sample.usage
    first = cgroup.version() == 1
    return {
        "usage": found.memory,
        "stats": dict(found.memory_details),
        "limit": min(found.memory_limit or memory_of_host, memory_of_host),
        **({"max_usage": found.memory_peak, "failcnt": found.memory_failures} if first else {}),
    }


def _block_io(sample: Sample | None) -> dict[str, Any]:
    found: dict[str, Any] = dict.fromkeys(
        (
            "io_service_bytes_recursive",
            "io_serviced_recursive",
            "io_queue_recursive",
            "io_service_time_recursive",
            "io_wait_time_recursive",
            "io_merged_recursive",
            "io_time_recursive",
            "sectors_recursive",
        )
    )
    if sample is not None:
        found["io_service_bytes_recursive"] = _transfers(sample.usage.transferred)
        found["io_serviced_recursive"] = _transfers(sample.usage.operations)
    return found


def _transfers(rows: Sequence[Transfer]) -> list[dict[str, Any]]:
    return [{"major": row.major, "minor": row.minor, "op": row.operation, "value": row.value} for row in rows]


def _networks(sample: Sample) -> dict[str, Any]:
    return {
        name: {
            "rx_bytes": values[0],
            "rx_packets": values[1],
            "rx_errors": values[2],
            "rx_dropped": values[3],
            "tx_bytes": values[8],
            "tx_packets": values[9],
            "tx_errors": values[10],
            "tx_dropped": values[11],
        }
        for name, values in sample.interfaces.items()
        if len(values) >= 12
    }
