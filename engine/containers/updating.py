"""Changing a container's limits and restart policy (Docker Engine API, `ContainerUpdate`)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from engine.containers.limits import check_limits, supported
from engine.containers.model import Container
from engine.containers.options import HostConfig, RestartPolicy, RestartPolicyName
from engine.containers.spec_resources import DEFAULT_PIDS, limits
from engine.errors import InvalidParameter


def updated(
    container: Container, *, changes: Mapping[str, Any], restart: RestartPolicy | None
) -> tuple[Container, Sequence[str]]:
    """*container* with *changes* of its limits, by their names in `Resources`; and what its owner should know.

    `InvalidParameter` where the limits do not go together, as at creation.
    """
    host = replace(container.host, **changes)
    if restart is not None:
        if container.host.auto_remove and restart.name is not RestartPolicyName.NO:
            raise InvalidParameter("Restart policy cannot be updated because AutoRemove is enabled for the container")
        host = replace(host, restart=restart)
    if host.memory and not changes.get("memory_swap") and 0 < host.memory_swap < host.memory:
        raise InvalidParameter(
            "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time"
        )
    check_limits(host)
    host, warnings = supported(host)
    return replace(container, host=host), warnings


def document(host: HostConfig) -> bytes:
    """The limits as `runc update --resources -` reads them: `linux.resources` without devices."""
    pids = DEFAULT_PIDS if host.pids_limit is None else host.pids_limit
    return json.dumps({**limits(host), "pids": {"limit": pids if pids > 0 else -1}}).encode()
