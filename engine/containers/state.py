"""The life of a container: one table of what may follow what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from engine.containers.model import Container, Status
from engine.errors import Conflict, NotModified, NotRunning

TRANSITIONS: Final[Mapping[Status, frozenset[Status]]] = {
    Status.CREATED: frozenset({Status.CREATED, Status.RUNNING, Status.EXITED, Status.REMOVING}),
    Status.RUNNING: frozenset({Status.PAUSED, Status.EXITED, Status.RESTARTING}),
    Status.PAUSED: frozenset({Status.RUNNING, Status.EXITED, Status.RESTARTING}),
    Status.RESTARTING: frozenset({Status.RUNNING, Status.EXITED, Status.RESTARTING, Status.REMOVING}),
    # A restart that failed has ended, and may be tried again.
    Status.EXITED: frozenset({Status.RUNNING, Status.EXITED, Status.RESTARTING, Status.REMOVING}),
    # A removal that failed half-way may be tried again.
    Status.REMOVING: frozenset({Status.DEAD, Status.REMOVING}),
    Status.DEAD: frozenset({Status.REMOVING}),
}


def moved(container: Container, status: Status, **changes: Any) -> Container:
    """*container* in *status*, with other *changes* of its state; `Conflict` when that cannot follow."""
    if status not in TRANSITIONS[container.state.status]:
        raise Conflict(f"container {container.short_id} is {container.state.status}: it cannot become {status}")
    return replace(container, state=replace(container.state, status=status, **changes))


def require_running(container: Container) -> None:
    """For what needs a process: attach, exec, kill, resize."""
    if container.state.status is Status.RESTARTING:
        raise Conflict(f"Container {container.id} is restarting, wait until the container is running")
    if not container.state.running:
        raise NotRunning(f"Container {container.id} is not running")


def require_removable(container: Container) -> None:
    """For a removal without force."""
    status = container.state.status
    if container.state.running:
        raise Conflict(
            f'cannot remove container "/{container.name}": container is {status}'
            + (
                " and must be unpaused first"
                if status is Status.PAUSED
                else ": stop the container before removing or force remove"
            )
        )


def require_startable(container: Container) -> None:
    status = container.state.status
    if status is Status.PAUSED:
        raise Conflict("cannot start a paused container, try unpause instead")
    if status is Status.RUNNING:
        raise NotModified(f"Container {container.id} is already started")
    if status in (Status.REMOVING, Status.DEAD):
        raise Conflict("container is marked for removal and cannot be started")
