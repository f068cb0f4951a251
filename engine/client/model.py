"""What an endpoint tells, as values. Instants are aware datetimes in UTC, `None` for "never"; sizes are bytes.

Text that comes from containers, images and labels is hostile: whoever shows it escapes it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """A port that a container exposes, and the host's port that leads to it, if one does."""

    container_port: int
    protocol: str = "tcp"
    host_ip: str = ""
    host_port: int | None = None


def _once(ports: tuple[Port, ...]) -> tuple[Port, ...]:
    """Of a port that answers at several addresses, such as IPv4's and IPv6's any, the first."""
    chosen: dict[tuple[int, int, str], Port] = {}
    for port in ports:
        if port.host_port:
            chosen.setdefault((port.host_port, port.container_port, port.protocol), port)
    return tuple(chosen.values())


def _pairs(env: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    pairs = (variable.partition("=") for variable in env)
    return tuple((name, value) for name, _, value in pairs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """Something mounted in a container: `kind` is bind, volume or tmpfs."""

    kind: str
    source: str
    target: str
    name: str = ""
    read_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A container's place in a network; `address` is empty while it has none."""

    network: str
    network_id: str = ""
    endpoint_id: str = ""
    address: str = ""
    prefix_length: int = 0
    gateway: str = ""
    ipv6_address: str = ""
    mac: str = ""
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerSummary:
    """A row of the list of containers."""

    id: str
    name: str
    """Without the leading slash."""
    image: str
    image_id: str
    command: str
    created: dt.datetime
    state: str
    """created, running, paused, restarting, removing, exited or dead."""
    status: str
    """The engine's words: `Up 3 seconds (healthy)`."""
    ports: tuple[Port, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    mounts: tuple[Mount, ...] = ()
    networks: tuple[Attachment, ...] = ()
    size_rw: int | None = None
    size_root: int | None = None

    @property
    def short_id(self) -> str:
        return self.id[:12]

    @property
    def running(self) -> bool:
        return self.state in ("running", "paused", "restarting")

    @property
    def published(self) -> tuple[Port, ...]:
        """The ports that the host leads here, each once whatever its addresses."""
        return _once(self.ports)

    @property
    def health(self) -> str:
        """healthy, unhealthy, starting, or empty where there is no health check."""
        for word in ("unhealthy", "healthy"):
            if f"({word})" in self.status:
                return word
        return "starting" if "(health: starting)" in self.status else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthResult:
    """One look at a container's health."""

    at: dt.datetime | None
    exit_code: int
    output: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageSample:
    """What a container uses at one moment. Counters grow from its start on; amounts are bytes."""

    at: dt.datetime | None
    cpu: float
    """Of one CPU, since the sample before: 2.0 is two CPUs."""
    cpu_time: int
    """Nanoseconds of CPU that it has used in all."""
    memory: int
    """Without the page cache that the kernel could drop."""
    memory_limit: int
    received: int
    sent: int
    read: int
    written: int
    processes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessTable:
    """What ps tells of a container's processes."""

    titles: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """Why a container ended (Havre's own API)."""

    name: str
    verdict: str
    started_at: dt.datetime | None
    finished_at: dt.datetime | None
    exit_code: int
    signal: str
    asked: str
    oom_killed: bool
    memory_peak: int | None
    memory_limit: int
    cpu_seconds: float | None
    last_lines: tuple[tuple[int, str], ...]
    """The stream (1 stdout, 2 stderr) and the text of each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileChange:
    """A file that a container has changed: `modified`, `added` or `deleted`."""

    path: str
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerState:
    status: str
    running: bool
    paused: bool = False
    restarting: bool = False
    oom_killed: bool = False
    dead: bool = False
    pid: int = 0
    exit_code: int = 0
    error: str = ""
    started_at: dt.datetime | None = None
    finished_at: dt.datetime | None = None
    health: str = ""
    health_streak: int = 0
    """Failures in a row."""
    health_log: tuple[HealthResult, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerDetail:
    """What inspect tells of one container; `raw` is the whole answer."""

    id: str
    name: str
    image: str
    """The reference that the container was created from."""
    image_id: str
    created: dt.datetime | None
    state: ContainerState
    path: str
    args: tuple[str, ...]
    entrypoint: tuple[str, ...]
    cmd: tuple[str, ...]
    env: tuple[str, ...]
    working_dir: str
    user: str
    hostname: str
    tty: bool
    open_stdin: bool
    labels: Mapping[str, str]
    restart_policy: str
    maximum_retries: int
    restart_count: int
    auto_remove: bool
    privileged: bool
    network_mode: str
    ports: tuple[Port, ...]
    bindings: tuple[Port, ...]
    """The ports that it was asked to have; those of the host that it really has, while it runs, are among `ports`."""
    mounts: tuple[Mount, ...]
    networks: tuple[Attachment, ...]
    memory: int
    """Bytes; 0 is no limit, as for the next three."""
    memory_swap: int
    """Bytes of both together; -1 is all the swap there is."""
    nano_cpus: int
    cpu_shares: int
    pids_limit: int | None
    """-1 is no limit; `None` is what the endpoint gives to everybody."""
    log_driver: str
    log_path: str
    driver: str
    platform: str
    raw: Mapping[str, Any] = field(repr=False, default_factory=dict)

    @property
    def short_id(self) -> str:
        return self.id[:12]

    @property
    def running(self) -> bool:
        return self.state.running

    @property
    def cpus(self) -> str:
        """How many CPUs it may use, such as 1.5; empty where there is no limit."""
        return f"{self.nano_cpus / 1_000_000_000:g}" if self.nano_cpus else ""

    @property
    def published(self) -> tuple[Port, ...]:
        """The ports that the host leads here, each once whatever its addresses."""
        return _once(self.ports)

    @property
    def to_publish(self) -> tuple[Port, ...]:
        """Those that the host will lead here once it runs."""
        return () if self.running else _once(self.bindings)

    @property
    def variables(self) -> tuple[tuple[str, str], ...]:
        """The environment as names and values."""
        return _pairs(self.env)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What to change of a container's limits; `None` leaves it as it is, and 0 does too."""

    memory: int | None = None
    """Bytes."""
    memory_swap: int | None = None
    """Bytes of both together; -1 is all the swap there is."""
    nano_cpus: int | None = None
    """Billionths of a CPU."""
    cpu_shares: int | None = None
    pids_limit: int | None = None
    """-1 is no limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSummary:
    """A row of the list of images."""

    id: str
    """`sha256:` and 64 digits."""
    tags: tuple[str, ...]
    digests: tuple[str, ...]
    created: dt.datetime
    size: int
    containers: int | None = None
    """How many containers use it, where the endpoint counts them."""
    labels: Mapping[str, str] = field(default_factory=dict)
    parent: str = ""

    @property
    def short_id(self) -> str:
        return self.id.removeprefix("sha256:")[:12]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageDetail:
    """What inspect tells of one image; `raw` is the whole answer."""

    id: str
    tags: tuple[str, ...]
    digests: tuple[str, ...]
    created: dt.datetime | None
    size: int
    architecture: str
    os: str
    author: str
    comment: str
    entrypoint: tuple[str, ...]
    cmd: tuple[str, ...]
    env: tuple[str, ...]
    working_dir: str
    user: str
    exposed_ports: tuple[str, ...]
    volumes: tuple[str, ...]
    labels: Mapping[str, str]
    layers: tuple[str, ...]
    raw: Mapping[str, Any] = field(repr=False, default_factory=dict)

    @property
    def variables(self) -> tuple[tuple[str, str], ...]:
        """The environment as names and values."""
        return _pairs(self.env)


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryEntry:
    """One line of an image's history, newest first in the list."""

    id: str
    created: dt.datetime | None
    created_by: str
    size: int
    comment: str = ""
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovedImage:
    """One line of a removal: exactly one of the two is set."""

    untagged: str = ""
    deleted: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostInfo:
    """The endpoint's host and its counts; `raw` is the whole answer."""

    id: str
    name: str
    operating_system: str
    kernel: str
    architecture: str
    cpus: int
    memory: int
    containers: int
    running: int
    paused: int
    stopped: int
    images: int
    server_version: str
    storage_driver: str
    root_dir: str
    cgroup_version: str
    runtime: str
    warnings: tuple[str, ...]
    raw: Mapping[str, Any] = field(repr=False, default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionInfo:
    version: str
    api_version: str
    minimum_api_version: str
    os: str
    architecture: str
    kernel: str
    platform: str = ""
    components: Mapping[str, str] = field(default_factory=dict)
    """Name to version: Engine, runc, conmon, containerd …"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened at the endpoint: `kind` is container, image, network, volume or daemon."""

    kind: str
    action: str
    actor: str
    attributes: Mapping[str, str]
    time: dt.datetime
    time_ns: int

    @property
    def name(self) -> str:
        """The object's name where the event tells it, else its id."""
        return self.attributes.get("name", self.actor)


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line of a log, or a piece of one: `partial` when the next of the same stream continues it.

    `time` is RFC 3339 in nanoseconds as the endpoint wrote it (it sorts as text, and serves as `since` of a later
    call); `data` has no line ending and may be any bytes.
    """

    time: str
    stream: Literal["stdout", "stderr"]
    data: bytes
    partial: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Auth:
    """Credentials for one registry."""

    username: str = ""
    password: str = field(default="", repr=False)
    server_address: str = ""
    identity_token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicOnly:
    """Holds an engine to public addresses, and to *registries* (`host[:port]`) wherever these are.

    Havre's engine alone knows of it; another one goes anywhere.
    """

    registries: tuple[str, ...] = ()

    def parameters(self) -> dict[str, Any]:
        """Those of `/havre/v1/…`."""
        return {"reach": "public", "registry": list(self.registries)}


@dataclass(frozen=True, slots=True, kw_only=True)
class PullEvent:
    """One line of a pull, push or load.

    About a layer: `layer` is its 12 digits, `status` Docker's words (`Downloading`, `Pushed`, `Loading layer`, …),
    `current` and `total` bytes. About the whole: `layer` is empty.
    """

    status: str
    layer: str = ""
    current: int = 0
    total: int = 0
    digest: str = ""
    """Of the manifest, in the line that ends the push of a tag; `status` is empty there."""
