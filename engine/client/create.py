"""What to create, as values; `engine.client.create_body` makes the request's body of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.client.model import Port


@dataclass(frozen=True, slots=True, kw_only=True)
class BindMount:
    """A host path, absolute, mounted in the container at `target`; or a volume's name as `source`."""

    source: str
    target: str
    read_only: bool = False
    options: str = ""
    """Further words of the bind, such as `rshared` or `nocopy`, separated by commas."""

    def __str__(self) -> str:
        words = [word for word in ("ro" if self.read_only else "", self.options) if word]
        return f"{self.source}:{self.target}" + (f":{','.join(words)}" if words else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCheck:
    """How a container's health is tested; durations are nanoseconds, 0 leaves each to the image or the engine.

    `test` begins with CMD or CMD-SHELL; `("NONE",)` takes the image's own check away, `()` keeps it.
    """

    test: tuple[str, ...]
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ulimit:
    name: str
    soft: int
    hard: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A device node of the host, given to the container; `permissions` are letters of rwm."""

    source: str
    target: str
    permissions: str = "rwm"


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateContainer:
    """A container to be. What is left out is the image's or the engine's default.

    A port with `host_port` `None` is exposed only; 0 takes a free port of the host. `base` is a body with further
    settings, such as `engine.client.recreate` makes of a container that is there: what has no field here is kept of it.
    """

    image: str
    name: str = ""
    cmd: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    env: tuple[str, ...] = ()
    """`NAME=value`."""
    working_dir: str = ""
    user: str = ""
    group_add: tuple[str, ...] = ()
    tty: bool = False
    open_stdin: bool = False
    init: bool = False
    stop_signal: str = ""
    stop_timeout: int | None = None
    """Seconds."""
    auto_remove: bool = False
    restart_policy: str = "no"
    maximum_retries: int = 0
    health: HealthCheck | None = None
    labels: Mapping[str, str] = field(default_factory=dict)

    network: str = ""
    ports: tuple[Port, ...] = ()
    publish_all: bool = False
    hostname: str = ""
    domainname: str = ""
    extra_hosts: tuple[str, ...] = ()
    """`name:address`."""
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()

    binds: tuple[BindMount, ...] = ()
    tmpfs: Mapping[str, str] = field(default_factory=dict)
    """Place to options, such as `size=64m`."""
    shm_size: int = 0
    read_only: bool = False

    memory: int = 0
    memory_reservation: int = 0
    memory_swap: int | None = None
    """Memory and swap together, in bytes; -1 is swap without limit, `None` twice the memory."""
    nano_cpus: int = 0
    cpu_shares: int = 0
    cpuset_cpus: str = ""
    pids_limit: int | None = None
    ulimits: tuple[Ulimit, ...] = ()
    log_driver: str = ""
    log_options: Mapping[str, str] = field(default_factory=dict)

    privileged: bool = False
    no_new_privileges: bool = False
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    devices: tuple[Device, ...] = ()
    sysctls: Mapping[str, str] = field(default_factory=dict)
    pid_mode: str = ""
    ipc_mode: str = ""

    base: Mapping[str, Any] = field(default_factory=dict, repr=False)
