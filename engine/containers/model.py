"""What a container is: its state, and the answers that the services give. What was asked for is in `options`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from engine.containers.options import ContainerConfig, HostConfig
from engine.networks.model import Attachment, Sandbox
from engine.types import Digest


class Status(StrEnum):
    """A container's state, as Docker names it (Docker Engine API, `ContainerState.Status`)."""

    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    RESTARTING = "restarting"
    REMOVING = "removing"
    EXITED = "exited"
    DEAD = "dead"


class HealthStatus(StrEnum):
    STARTING = "starting"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthResult:
    """One look at a container's health. Instants are nanoseconds since the epoch."""

    start: int
    end: int
    exit_code: int
    """0 is well, 1 is not; -1 says that the look took too long, or could not be taken."""
    output: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What the looks at a container's health have shown since its start."""

    status: HealthStatus = HealthStatus.STARTING
    failing_streak: int = 0
    log: tuple[HealthResult, ...] = ()
    """The last five, oldest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """A container's state at one moment. Instants are nanoseconds since the epoch, `None` for "never"."""

    status: Status = Status.CREATED
    pid: int = 0
    exit_code: int = 0
    error: str = ""
    oom_killed: bool = False
    started_at: int | None = None
    finished_at: int | None = None
    restart_count: int = 0
    health: Health | None = None
    """`None` where nobody asked for health checks."""

    @property
    def running(self) -> bool:
        """Whether it has a process: Docker counts paused and restarting containers as running."""
        return self.status in (Status.RUNNING, Status.PAUSED, Status.RESTARTING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """A container as the service knows it: an immutable picture of one moment."""

    id: str
    name: str
    """Without Docker's leading slash."""
    image: Digest
    created: int
    config: ContainerConfig
    """With the image's defaults merged in: `cmd`, `entrypoint`, `env`, `working_dir`, `user`, `labels`."""
    host: HostConfig
    state: State
    path: str
    """The program (`Path` in inspect)."""
    args: tuple[str, ...]
    raw_config: Mapping[str, Any]
    """The request's body without HostConfig and NetworkingConfig, merged, echoed by inspect."""
    raw_host_config: Mapping[str, Any]
    """The request's HostConfig, echoed by inspect."""
    attachments: tuple[Attachment, ...] = ()
    """What it asks of its networks, whether it runs or not; nothing where it shares another container's."""
    sandbox: Sandbox | None = None
    """Set while it has a network."""
    log_path: str = ""

    @property
    def short_id(self) -> str:
        return self.id[:12]

    def control_group(self, parent: str) -> str:
        """Where its control group is in each hierarchy; *parent* is the engine's own, for those that name no other."""
        return f"{self.host.cgroup_parent.strip('/') or parent}/{self.id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Created:
    id: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    ids: tuple[str, ...]
    reclaimed: int
    """Bytes."""


class WaitCondition(StrEnum):
    NOT_RUNNING = "not-running"
    NEXT_EXIT = "next-exit"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecConfig:
    """What to run in a running container (Docker Engine API, `ExecConfig`)."""

    cmd: tuple[str, ...]
    env: tuple[str, ...] = ()
    working_dir: str = ""
    user: str = ""
    tty: bool = False
    attach_stdin: bool = False
    attach_stdout: bool = False
    attach_stderr: bool = False
    privileged: bool = False
    detach_keys: str = ""
    console_size: tuple[int, int] = (0, 0)
    """Rows and columns of the terminal at its beginning; zeros leave them to the start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exec:
    """An exec session at one moment. `exit_code` is `None` until it has ended; `pid` is 0 before it starts."""

    id: str
    container_id: str
    config: ExecConfig
    running: bool = False
    exit_code: int | None = None
    pid: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LogQuery:
    """Which part of a log (Docker Engine API, `ContainerLogs`)."""

    stdout: bool = True
    stderr: bool = True
    follow: bool = False
    since: int = 0
    """Nanoseconds since the epoch, inclusive; 0 is the beginning."""
    until: int = 0
    """Nanoseconds since the epoch, inclusive; 0 is no end."""
    tail: int | None = None
    """The last so many lines; `None` is all."""


class Tell(Protocol):
    """Publishes an event of a container."""

    def __call__(self, container: Container, action: str, **attributes: str) -> None: ...
