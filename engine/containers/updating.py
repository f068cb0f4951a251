"""Changing a container's limits and restart policy (Docker Engine API, `ContainerUpdate`)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from engine.containers.limits import check_limits, supported
from engine.containers.model import Container, Status
from engine.containers.options import HostConfig, RestartPolicy, RestartPolicyName
from engine.containers.spec.resources import DEFAULT_PIDS, limits
from engine.errors import Conflict

_EXCLUSIVE: Final = (
    ("nano_cpus", "cpu_period", "Nano CPUs cannot be updated as CPU Period"),
    ("nano_cpus", "cpu_quota", "Nano CPUs cannot be updated as CPU Quota"),
    ("cpu_period", "nano_cpus", "CPU Period cannot be updated as NanoCPUs"),
    ("cpu_quota", "nano_cpus", "CPU Quota cannot be updated as NanoCPUs"),
)
"""Limits that exclude each other: the new one, the old one, and Docker's words."""
_EVERY_PROCESS: Final = 4 * 1024 * 1024
"""The kernel's PID_MAX_LIMIT (include/linux/threads.h). crun 1.8 has no word for "no limit" of a group of version 1."""


def updated(
    container: Container, *, changes: Mapping[str, Any], restart: RestartPolicy | None
) -> tuple[Container, Sequence[str]]:
    """*container* with *changes* of its limits, by their names in `Resources`; and what its owner should know.

    `InvalidParameter` where the limits do not go together, as at creation; `Conflict` where one of the container's own
    is in the way.
    """
    if container.state.status in (Status.REMOVING, Status.DEAD):
        raise _conflict(container, 'Container is marked for removal and cannot be "update".')
    before, host = container.host, replace(container.host, **changes)
    for name, other, words in _EXCLUSIVE:
        if changes.get(name) and getattr(before, other):
            raise _conflict(container, f"Conflicting options: {words} has already been set")
    if restart is not None:
        if container.host.auto_remove and restart.name is not RestartPolicyName.NO:
            raise _conflict(
                container, "Restart policy cannot be updated because AutoRemove is enabled for the container"
            )
        host = replace(host, restart=restart)
    if host.memory and not changes.get("memory_swap") and 0 < host.memory_swap < host.memory:
        raise _conflict(
            container,
            "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time",
        )
    check_limits(host)
    host, warnings = supported(host)
    return replace(container, host=host), warnings


def document(host: HostConfig) -> bytes:
    """The limits as `runc update --resources -` reads them: `linux.resources` without devices."""
    pids = DEFAULT_PIDS if host.pids_limit is None else host.pids_limit
    return json.dumps({**limits(host), "pids": {"limit": pids if pids > 0 else _EVERY_PROCESS}}).encode()


def _conflict(container: Container, reason: str) -> Conflict:
    return Conflict(f"Cannot update container {container.id}: {reason}")
