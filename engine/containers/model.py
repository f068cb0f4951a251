"""What a container is: the request that made it, its state, and the answers that the services give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from engine.networks.model import PublishedPort, Sandbox
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


class RestartPolicyName(StrEnum):
    NO = "no"
    ALWAYS = "always"
    UNLESS_STOPPED = "unless-stopped"
    ON_FAILURE = "on-failure"


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartPolicy:
    name: RestartPolicyName = RestartPolicyName.NO
    maximum_retries: int = 0
    """Only for `on-failure`; 0 means no limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bind:
    """A host path (absolute, as the host sees it) mounted in a container at `target`."""

    source: str
    target: str
    read_only: bool = False
    propagation: str = "rprivate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ulimit:
    name: str
    soft: int
    hard: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerConfig:
    """What to run (Docker Engine API, `ContainerConfig`), before the image's defaults are merged in."""

    image: str
    cmd: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    """`None` takes the image's; an empty tuple takes none at all."""
    env: tuple[str, ...] = ()
    """`NAME=value`; a bare `NAME` removes the image's."""
    working_dir: str = ""
    user: str = ""
    hostname: str = ""
    domainname: str = ""
    tty: bool = False
    open_stdin: bool = False
    stdin_once: bool = False
    attach_stdin: bool = False
    attach_stdout: bool = True
    attach_stderr: bool = True
    labels: Mapping[str, str] = field(default_factory=dict)
    exposed_ports: tuple[str, ...] = ()
    stop_signal: str = ""
    stop_timeout: int | None = None
    """Seconds; `None` is Docker's 10."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostConfig:
    """How the host runs it (Docker Engine API, `HostConfig`)."""

    binds: tuple[Bind, ...] = ()
    tmpfs: Mapping[str, str] = field(default_factory=dict)
    network_mode: str = "default"
    ports: tuple[PublishedPort, ...] = ()
    publish_all: bool = False
    restart: RestartPolicy = RestartPolicy()
    auto_remove: bool = False
    privileged: bool = False
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    no_new_privileges: bool = False
    seccomp: str = ""
    """"" is the default profile, `unconfined` none, anything else the profile's JSON."""
    read_only_rootfs: bool = False
    init: bool = False
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    extra_hosts: tuple[str, ...] = ()
    group_add: tuple[str, ...] = ()
    ulimits: tuple[Ulimit, ...] = ()
    sysctls: Mapping[str, str] = field(default_factory=dict)
    shm_size: int = 64 * 1024 * 1024
    memory: int = 0
    """Bytes; 0 is no limit."""
    memory_swap: int = 0
    memory_reservation: int = 0
    nano_cpus: int = 0
    cpu_shares: int = 0
    cpu_period: int = 0
    cpu_quota: int = 0
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    pids_limit: int | None = None
    """`None` takes Havre's default of 2048; 0 or less is no limit."""


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
    sandbox: Sandbox | None = None
    """Set while it has a network."""
    log_path: str = ""

    @property
    def short_id(self) -> str:
        return self.id[:12]


@dataclass(frozen=True, slots=True, kw_only=True)
class Created:
    id: str
    warnings: tuple[str, ...] = ()


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


class Stream(StrEnum):
    STDOUT = "stdout"
    STDERR = "stderr"


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
